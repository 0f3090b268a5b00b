"""Training, distillation, live runs and studies, by the code of the commands."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from . import _offramp
from ._errors import ScenarioError
from ._progress import Progress, shown
from .evaluation import Results
from .frames import Frame
from .scenario import Ron, Scenario


class Learned:
    """The folder of a training or distillation."""

    def __init__(self, folder: str | PathLike[str]) -> None:
        self.folder = Path(folder)
        """The folder."""

    @property
    def checkpoint(self) -> Path:
        """The checkpoint with the best validation."""
        return self.folder / "best.safetensors"

    @property
    def rows(self) -> Frame:
        """One row per training episode, or per validation of a distillation."""
        for name in ("training.csv", "distillation.csv"):
            if (path := self.folder / name).exists():
                return _read_csv(path)
        raise FileNotFoundError(f"{self.folder} has no training.csv and no distillation.csv")

    def as_policy(self) -> dict[str, Any]:
        """The policy that it has become, as `offramp.evaluate` takes it."""
        text = (self.folder / "scenario.ron").read_text(encoding="utf-8")
        scenario = Scenario(text, self.folder)
        training = (self.folder / "training.csv").exists()
        learner = "train.learner" if training else "distill.student"
        plugin = scenario.field(f"{learner}.plugin") or ""
        policy = {
            "plugin": plugin.strip('"'),
            "name": self.folder.name,
            "checkpoint": self.checkpoint,
        }
        parameters = scenario.field(f"{learner}.parameters")
        return policy if parameters is None else {**policy, "parameters": Ron(parameters)}

    def __repr__(self) -> str:
        return f"Learned({str(self.folder)!r})"


class Live:
    """The folder of a live run."""

    def __init__(self, folder: str | PathLike[str]) -> None:
        self.folder = Path(folder)
        """The folder; `live.svg` has the curves, `report.html` everything."""

    @property
    def rows(self) -> Frame:
        """One row per policy and window of slots."""
        return _read_csv(self.folder / "live.csv")

    @property
    def recovery(self) -> Frame:
        """One row per policy and change: the slots to recover, and the regret."""
        return _read_csv(self.folder / "recovery.csv")

    @property
    def summary(self) -> dict[str, dict[str, Any]]:
        """What each policy reached, as live.json has it."""
        text = (self.folder / "live.json").read_text(encoding="utf-8")
        return {one["policy"]: one for one in json.loads(text)["policies"]}

    @property
    def errors(self) -> dict[str, str]:
        """Why and when policies ended early, or stopped learning."""
        found = {}
        for name, one in self.summary.items():
            for key, what in (("stopped_learning", "stopped learning"), ("error", "ended")):
                if (fault := one[key]) is not None:
                    found[name] = f"{what} in slot {fault['slot']}: {fault['cause']}"
        return found

    def __repr__(self) -> str:
        return f"Live({str(self.folder)!r})"


class Study:
    """A study that has been made: tables, figures and verdicts, in a folder."""

    def __init__(self, folder: str | PathLike[str], text: str, results: dict[str, Any]) -> None:
        self.folder = Path(folder)
        """The folder; `index.html` is its page."""
        self.results = results
        """What `offramp reproduce --format json` prints."""
        self._text = text

    def __repr__(self) -> str:
        return self._text


def train(
    scenario: Scenario,
    out: str | PathLike[str],
    *,
    resume: bool = False,
    plugins: Sequence[str | PathLike[str]] = (),
    threads: int | None = None,
    progress: Progress = None,
) -> Learned:
    """Trains the learner of a scenario's `train` section, as `offramp train` does.

    out: the folder to write, with its page report.html. After Ctrl-C or a kill, `resume=True` continues,
        bit-identically.

    Raises `ScenarioError` for bad input, and `RunError` if the learner fails or learns nothing.
    """
    with shown(progress, "episodes", None) as tick:
        _offramp.train(scenario, fspath(out), resume, _paths(plugins), threads or 0, tick)
    return Learned(out)


def distill(
    scenario: Scenario,
    out: str | PathLike[str],
    *,
    dataset: str | PathLike[str] | None = None,
    resume: bool = False,
    plugins: Sequence[str | PathLike[str]] = (),
    threads: int | None = None,
    progress: Progress = None,
) -> Learned:
    """Distils the teacher of a scenario's `distill` section, as `offramp distill` does.

    out: the folder to write.
    dataset: a file with the teacher's states; collected, and kept in `out`, if it does not exist.

    Raises `ScenarioError` for bad input, and `RunError` if a policy fails.
    """
    states = None if dataset is None else fspath(dataset)
    with shown(progress, "steps", None) as tick:
        _offramp.distill(scenario, fspath(out), states, resume, _paths(plugins), threads or 0, tick)
    return Learned(out)


def live(
    scenario: Scenario,
    out: str | PathLike[str],
    *,
    resume: bool = False,
    plugins: Sequence[str | PathLike[str]] = (),
    threads: int | None = None,
    progress: Progress = None,
) -> Live:
    """Runs the policies of a scenario's `live` section on one long stream, as `offramp live` does.

    out: the folder to write. After Ctrl-C or a kill, `resume=True` continues, bit-identically.

    Raises `ScenarioError` for bad input. What goes wrong with a policy is in `Live.errors`.
    """
    with shown(progress, "slots", None) as tick:
        _offramp.live(scenario, fspath(out), resume, _paths(plugins), threads or 0, tick)
    return Live(out)


def reproduce(
    study: str | PathLike[str],
    out: str | PathLike[str],
    *,
    only: Sequence[str] = (),
    seeds: int | None = None,
    quick: bool = False,
    plugins: Sequence[str | PathLike[str]] = (),
    threads: int | None = None,
    progress: Progress = None,
) -> Study:
    """Makes the tables and figures of a study, as `offramp reproduce` does.

    study: a study file, such as scenarios/reproduce/paper.ron.
    out: the folder to write; what it already has is not computed again.
    only: the ids of the tables and figures to make; all if empty.
    seeds: train everything that learns under so many seeds.
    quick: a first look, with few episodes.
    """
    with shown(progress, "jobs", None) as tick:
        text, results = _offramp.reproduce(
            fspath(study), fspath(out), list(only), seeds, quick, _paths(plugins), threads or 0, tick
        )
    return Study(out, text, json.loads(results))


def read(folder: str | PathLike[str]) -> Results | Learned | Live:
    """Opens a run folder, or the folder of a training, a distillation or a live run."""
    path = Path(folder)
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: there is no such folder")
    if any((path / name).exists() for name in ("training.csv", "distillation.csv")):
        return Learned(path)
    if (path / "live.csv").exists():
        return Live(path)
    return Results(_offramp.Results.read(path))


def _paths(plugins: Sequence[str | PathLike[str]]) -> list[str]:
    return [fspath(path) for path in plugins]


def _read_csv(path: Path) -> Frame:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    if not rows:
        raise ScenarioError(f"{path} is empty")
    head, *body = rows
    return Frame({name: [_value(row[at]) for row in body] for at, name in enumerate(head)})


def _value(text: str) -> int | float | str | None:
    if not text:
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text
