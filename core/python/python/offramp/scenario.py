"""Scenarios: what is simulated, and which policies are compared."""

from __future__ import annotations

from os import PathLike
from typing import Any

from . import _offramp


class Ron(str):
    """A text that is written as it is, wherever it stands: `Ron("Greedy")`, `Ron("Adam(0.001)")`."""

    __slots__ = ()


class Scenario(_offramp.Scenario):
    """A scenario: the text of a RON file, and the folder that paths in it start from.

    `Scenario.load(path)` reads a file, `Scenario(text, folder)` takes its text. Every field is
    explained in `scenarios/README.md`. Scenarios are values: they never change, compare equal if
    their texts do, and can be pickled.
    """

    __slots__ = ()

    @staticmethod
    def load(path: str | PathLike[str]) -> Scenario:
        """Reads a scenario file.

        Raises `ScenarioError` with the place in the file, what is wrong and how to mend it.
        """
        read = _offramp.Scenario.load(path)
        return Scenario(read.text, read.folder, read.source)

    def with_(self, settings: dict[str, Any] | None = None, /, **more: Any) -> Scenario:
        """The scenario with other values, by the paths of fields.

        >>> scenario.with_(**{"tasks.arrival_probability": 0.5, "system.devices": 20})  # doctest: +SKIP
        >>> scenario.with_(observation="Extended")                                      # doctest: +SKIP

        Numbers, booleans, lists, arrays and dictionaries are written as RON. A text is RON where RON is
        valid (`"Extended"`, `"Uniform(1.0, 7.0)"`), else a string; inside a list or dictionary it is a
        string, unless it is marked: `{"deploy": offramp.Ron("Greedy")}`.
        """
        changed = self.with_settings({**(settings or {}), **more})
        return Scenario(changed.text, changed.folder, changed.source)

    def __reduce__(self) -> tuple[type[Scenario], tuple[str, str, str]]:
        return Scenario, (self.text, str(self.folder), self.source)
