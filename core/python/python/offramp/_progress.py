"""Progress of long calls, by tqdm if it is there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Union

Progress = Union[bool, Callable[[int], Any], None]
"""True or False for a bar or none; a callable is handed how much is done; None for a bar where
someone may see it."""


@contextmanager
def shown(progress: Progress, unit: str, total: int | None) -> Iterator[Callable[[int], Any] | None]:
    """Yields what the engine calls with how much is done."""
    if callable(progress):
        yield progress
        return
    if progress is False or (progress is None and not _seen()):
        yield None
        return
    try:
        from tqdm.auto import tqdm
    except ImportError:
        if progress:
            raise
        yield None
        return
    with tqdm(total=total, unit=f" {unit}", leave=False) as bar:

        def tick(done: int) -> None:
            bar.update(done - bar.n)

        yield tick


def _seen() -> bool:
    return sys.stderr.isatty() or "ipykernel" in sys.modules
