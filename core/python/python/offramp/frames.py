"""Frames: named columns of equal length, for pandas, Polars and Arrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow


class Frame(Mapping[str, "list[Any]"]):
    """Named columns of equal length; a cell without a value is None."""

    def __init__(self, columns: dict[str, list[Any]]) -> None:
        self._columns = columns

    def __getitem__(self, name: str) -> list[Any]:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    @property
    def height(self) -> int:
        """The number of rows."""
        return len(next(iter(self._columns.values()), []))

    def to_pandas(self) -> pandas.DataFrame:
        """A pandas DataFrame; needs pandas."""
        import pandas

        return pandas.DataFrame(self._columns)

    def to_polars(self) -> polars.DataFrame:
        """A Polars DataFrame; needs polars."""
        import polars

        return polars.DataFrame(self._columns, strict=False)

    def to_arrow(self) -> pyarrow.Table:
        """An Arrow table, which Parquet is written from; needs pyarrow."""
        import pyarrow

        return pyarrow.table(self._columns)

    def __repr__(self) -> str:
        return f"Frame({self.height} rows: {', '.join(self._columns)})"
