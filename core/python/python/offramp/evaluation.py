"""Evaluation of policies, native ones and Python's, on the same episodes."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _offramp
from ._errors import RunError, ScenarioError
from ._progress import Progress, shown
from .frames import Frame
from .policies import NetworkPolicy, is_module
from .scenario import Scenario

if TYPE_CHECKING:
    import pandas
    import polars


class Estimate(NamedTuple):
    """An estimate with its 95 % interval."""

    value: float
    """The estimate."""
    low: float | None
    """The low end; None if there is one episode only."""
    high: float | None
    """The high end."""
    basis: str
    """What the interval is over: "episodes", "trainings and episodes", or "episodes of one
    training", which says nothing about how another training would end."""

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.4g}"
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


class Results:
    """What came out of an evaluation: runs, each of a policy, with all of their episodes.

    Shown as the table that `offramp run` prints.
    """

    def __init__(self, results: _offramp.Results) -> None:
        self._results = results

    def __reduce__(self) -> Any:
        return _restored, (self._results.dumped(),)

    def at(self, point: Mapping[str, Any]) -> Results:
        """The runs at points of a sweep: `results.at({"tasks.arrival_probability": 0.3})`."""
        values = [
            (field, value if isinstance(value, str) else _offramp.ron(value))
            for field, value in point.items()
        ]
        return Results(self._results.at(values))

    @property
    def policies(self) -> list[str]:
        """The names of the policies, in order."""
        return self._results.policies

    @property
    def summary(self) -> Frame:
        """One row per run: the mean of each metric over the episodes, and its standard deviation."""
        return Frame(self._results.summary())

    @property
    def episodes(self) -> Frame:
        """One row per run and episode: the value of each metric."""
        return Frame(self._results.rows())

    @property
    def power_modes(self) -> Frame:
        """One row per run, episode and power mode: the value of each metric."""
        return Frame(self._results.groups("power_modes"))

    @property
    def classes(self) -> Frame:
        """One row per run, episode and class of tasks: the value of each metric; no row of a scenario
        without classes."""
        return Frame(self._results.groups("classes"))

    @property
    def mobility(self) -> Frame:
        """One row per run and episode: mobility and rates, such as handovers; no row of a scenario in
        which nothing moves."""
        return Frame(self._results.mobility())

    @property
    def errors(self) -> dict[str, str]:
        """Why runs have failed, by policy; empty if none has."""
        return dict(self._results.errors)

    def to_pandas(self) -> pandas.DataFrame:
        """The summary as a pandas DataFrame."""
        return self.summary.to_pandas()

    def to_polars(self) -> polars.DataFrame:
        """The summary as a Polars DataFrame."""
        return self.summary.to_polars()

    def to_dict(self) -> dict[str, Any]:
        """What `offramp run --format json` prints."""
        parsed: dict[str, Any] = json.loads(self._results.json())
        return parsed

    def mean(self, policy: str | Sequence[str], metric: str = "qoe") -> Estimate:
        """The mean of a metric with its 95 % interval; of a sweep, choose a point by `at` first.

        policy: its name; the names of several trainings of one policy, to count their spread.
        metric: a column of `summary`, such as "qoe", "delay_slots" or "completion_ratio".
        """
        return _estimate(self._results.mean(_names(policy), metric))

    def difference(
        self,
        policy: str | Sequence[str],
        reference: str | Sequence[str],
        metric: str = "qoe",
        *,
        paired: bool = False,
    ) -> Estimate:
        """The mean of a metric minus that of a reference on the same episodes, with its 95 % interval.

        paired: True if trainings belong together, the first of one with the first of the other, as
            students and their teachers do.
        """
        names, others = _names(policy), _names(reference)
        return _estimate(self._results.difference(names, others, metric, paired))

    def by_power_mode(self) -> str:
        """The table with the metrics of each power mode, as text."""
        return self._results.table("power_modes")

    def by_class(self) -> str:
        """The table with the metrics of each class of tasks, as text."""
        return self._results.table("classes")

    def __len__(self) -> int:
        return len(self._results)

    def __repr__(self) -> str:
        return self._results.table()

    def _repr_html_(self) -> str:
        lines = [line for line in repr(self).splitlines() if line.startswith("|")]
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        rows = [cells for cells in rows if not all(set(cell) <= {"-", ":"} for cell in cells)]
        if not rows:
            return f"<pre>{html.escape(repr(self))}</pre>"
        head, *body = rows
        cell = '<{0} style="text-align: right">{1}</{0}>'
        line = "<tr>{}</tr>"
        text = line.format("".join(cell.format("th", html.escape(name)) for name in head))
        for cells in body:
            text += line.format("".join(cell.format("td", html.escape(value)) for value in cells))
        return f"<table>{text}</table>"


def evaluate(
    scenario: Scenario,
    policies: Sequence[Any] | Mapping[str, Any] | None = None,
    *,
    episodes: int | None = None,
    seed: int | None = None,
    out: str | PathLike[str] | None = None,
    resume: bool = False,
    plugins: Sequence[str | PathLike[str]] = (),
    threads: int | None = None,
    progress: Progress = None,
) -> Results:
    """Evaluates policies on the same episodes, in parallel, as `offramp run` does.

    policies: a list, or a dictionary by name; None for those of the scenario. Each is
        - the name of a plugin: "heuristic", "random", "shortest-queue", …;
        - the path of an ONNX file, ending in ".onnx";
        - what `offramp.train` or `offramp.distill` returned;
        - a dictionary with the fields of a scenario's policy: {"plugin": "d3qn",
          "checkpoint": Path("best.safetensors"), "parameters": {"hidden": 20}}. A `Path` starts from the
          current folder, a text from the scenario's, as in its file. `offramp.Ron` marks values that
          are not strings: {"sharing": Ron("Shared")};
        - a callable on a `Slot` that returns one action per row (see `offramp.policies.Policy`);
        - a `torch.nn.Module` that returns values (see `offramp.policies.NetworkPolicy`).
    episodes, seed: override those of the scenario.
    out: a run folder to write, as `offramp report` reads it, with its page report.html; nothing is
        written without it.
    resume: continue an evaluation of native policies that was interrupted.
    plugins: folders or files of further plugins.
    threads: None for one per core. Results do not depend on it.
    progress: True or False for a bar of tqdm; a callable is handed the number of episodes that are
        done. None shows a bar in a terminal or notebook if tqdm is installed.

    Raises `ScenarioError` for bad input, and whatever a callable raises. A native policy that fails
    is a run of the results without values (`Results.errors`).
    """
    if not isinstance(scenario, Scenario):
        raise TypeError(f"scenario: an offramp.Scenario is needed (Scenario.load(path)), not {scenario!r}")
    if isinstance(policies, str) or callable(policies):
        raise TypeError("policies: a list or a dictionary of policies is needed, such as [policy]")
    if resume and out is None:
        raise ValueError("resume=True needs the folder to continue in: out=…")
    settings: dict[str, Any] = {}
    if episodes is not None:
        settings["evaluate.episodes"] = episodes
    if seed is not None:
        settings["evaluate.seed"] = seed
    scenario = scenario.with_(settings)
    modules: list[Any] = []
    registered = None
    if policies is not None:
        entries, callables, modules = _entries(policies)
        if callables and resume:
            names = ", ".join(name for name, _ in callables)
            raise ScenarioError(f"{names}: what a callable does is not recorded, so it can't be resumed")
        registered = _offramp.Registered(callables)
        own = iter(registered.entries())
        texts = [next(own) if entry is None else entry for entry in entries]
        scenario = scenario.with_(policies=f"[{', '.join(texts)}]")
    training = [module for module in modules if module.training]
    for module in training:
        module.eval()
    try:
        with shown(progress, "episodes", None) as tick:
            found = _offramp.evaluate(
                scenario,
                registered,
                None if out is None else fspath(out),
                resume,
                [fspath(path) for path in plugins],
                threads or 0,
                tick,
            )
    finally:
        for module in training:
            module.train()
    results = Results(found)
    if registered is not None:
        if (raised := registered.raised()) is not None:
            raise raised
        own_names = {name for name, _ in callables}
        for failed, reason in results.errors.items():
            if failed in own_names:
                raise RunError(f"{failed}: {reason}")
    return results


def _entries(
    policies: Sequence[Any] | Mapping[str, Any],
) -> tuple[list[str | None], list[tuple[str, Callable[..., Any]]], list[Any]]:
    """The RON of each policy, None for a callable; the callables by name; the modules among them."""
    named = isinstance(policies, Mapping)
    items = policies.items() if isinstance(policies, Mapping) else ((None, one) for one in policies)
    entries: list[str | None] = []
    callables: list[tuple[str, Callable[..., Any]]] = []
    modules: list[Any] = []
    for name, policy in items:
        if isinstance(policy, (str, Path)):
            path = fspath(policy)
            policy = (
                {"plugin": "onnx", "checkpoint": Path(path), **({} if named else {"name": Path(path).stem})}
                if path.endswith(".onnx")
                else {"plugin": path}
            )
        if hasattr(policy, "as_policy"):
            policy = policy.as_policy()
        if isinstance(policy, Mapping):
            entries.append(_entry({**policy, **({"name": name} if named else {})}))
        elif is_module(policy):
            modules.append(policy)
            callables.append((name or type(policy).__name__, NetworkPolicy(policy)))
            entries.append(None)
        elif callable(policy) or hasattr(policy, "begin_episode"):
            callables.append((name or _name(policy), policy))
            entries.append(None)
        else:
            raise TypeError(
                f"policies: a name, a dictionary, a callable or a torch.nn.Module is needed, not {policy!r}"
            )
    return entries, callables, modules


def _restored(dumped: bytes) -> Results:
    return Results(_offramp.Results.restored(dumped))


def _entry(fields: Mapping[str, Any]) -> str:
    """A policy of a scenario as RON; paths start from the current folder."""
    written = {
        name: str(value.absolute()) if isinstance(value, Path) else value
        for name, value in fields.items()
    }
    return _offramp.ron(written)


def _name(policy: Any) -> str:
    return getattr(policy, "__name__", None) or type(policy).__name__


def _names(policy: str | Sequence[str]) -> list[str]:
    return [policy] if isinstance(policy, str) else list(policy)


def _estimate(found: tuple[float, tuple[float, float] | None, str]) -> Estimate:
    value, ends, basis = found
    low, high = ends if ends is not None else (None, None)
    return Estimate(value, low, high, basis)
