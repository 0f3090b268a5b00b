"""Policies in Python: callables on the arrays of a slot."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from .batch import as_actions

__all__ = ["NetworkPolicy", "Policy", "Slot", "as_actions"]


def _place(columns: dict[str, int], column: str) -> int:
    """The place of a column among those of its table."""
    try:
        return columns[column]
    except KeyError:
        raise KeyError(f"there is no column `{column}`; there are: {', '.join(columns)}") from None


@dataclass(frozen=True, slots=True)
class Slot:
    """What a policy sees at the start of a slot: one row per task that waits for its decision.

    N devices, M servers, K slots of history, F features; C columns of a table. All float64.
    """

    slot: int
    """t, counted from 0."""
    device: npt.NDArray[np.int64]
    """The device of each row, 0 … N − 1, ascending."""
    features: npt.NDArray[np.float64]
    """o: rows × F, unscaled, named by `Scenario.features`."""
    history: npt.NDArray[np.float64]
    """h: K × M, oldest slot first: devices active at each server."""
    tasks: npt.NDArray[np.float64]
    """Rows × C."""
    links: npt.NDArray[np.float64]
    """Rows × C × M."""
    servers: npt.NDArray[np.float64]
    """C × M."""
    columns: tuple[dict[str, int], dict[str, int], dict[str, int]]
    """The places of the columns of tasks, links and servers, by their names."""

    def task(self, column: str) -> npt.NDArray[np.float64]:
        """A column of the tasks by its name, such as "size_mbit": one value per row."""
        return self.tasks[:, _place(self.columns[0], column)]

    def link(self, column: str) -> npt.NDArray[np.float64]:
        """A column of the links by its name, such as "backlog_mbit": rows × M."""
        return self.links[:, _place(self.columns[1], column)]

    def server(self, column: str) -> npt.NDArray[np.float64]:
        """A column of the servers by its name, such as "load", or one that the
        scenario has them `broadcast`: M values."""
        values: npt.NDArray[np.float64] = self.servers[_place(self.columns[2], column)]
        return values


@runtime_checkable
class Policy(Protocol):
    """Anything that can be called with a `Slot` and returns one action per row.

    Episodes are played side by side, so it must not remember anything between calls. A policy that
    has to remember has a method `begin_episode(episode, seed)` that returns what decides in that
    episode.
    """

    def __call__(self, slot: Slot, /) -> npt.ArrayLike: ...


class NetworkPolicy:
    """A `torch.nn.Module` as a policy: the action with the largest value.

    Its `forward` takes the features, rows × F, and the history, rows × K × M (or the features
    alone), unscaled float32, and returns the value of every action, rows × (1 + M): the form that
    `offramp.export_onnx` writes and the `onnx` plugin runs.
    """

    def __init__(self, module: Any) -> None:
        self.module = module
        self._inputs = len(inspect.signature(module.forward).parameters)

    def __call__(self, slot: Slot) -> npt.NDArray[np.int64]:
        import torch

        rows = len(slot.device)
        inputs = [torch.from_numpy(slot.features.astype(np.float32))]
        if self._inputs > 1:
            history = torch.from_numpy(slot.history.astype(np.float32))
            inputs.append(history.expand(rows, *history.shape))
        with torch.inference_mode():
            values = self.module(*inputs)
        actions = 1 + slot.history.shape[1]
        if tuple(values.shape) != (rows, actions):
            raise ValueError(
                f"the module returned values of shape {tuple(values.shape)}; {(rows, actions)} is needed: "
                "one per row and action"
            )
        if not torch.isfinite(values).all():
            raise ValueError("the module returned a value that is not finite")
        chosen: npt.NDArray[np.int64] = values.argmax(dim=1).cpu().numpy()
        return chosen


def decided(
    actions: Any, rows: int, servers: int, name: str, slot: int
) -> npt.NDArray[np.int64]:
    """What a callable has returned, checked."""
    where = f"policy `{name}`, slot {slot}"
    try:
        array = as_actions(actions)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{where}: {error}") from None
    if len(array) != rows:
        raise ValueError(f"{where}: {len(array)} actions for {rows} tasks: one per row is needed")
    if rows and (array.min() < 0 or array.max() > servers):
        row = int(np.flatnonzero((array < 0) | (array > servers))[0])
        raise ValueError(f"{where}: action {array[row]} in row {row} is out of range 0 … {servers}")
    return array


def is_module(policy: Any) -> bool:
    """True for a `torch.nn.Module`; imports nothing."""
    return any(
        base.__module__ == "torch.nn.modules.module" and base.__name__ == "Module"
        for base in type(policy).__mro__
    )
