"""Many environments as arrays: the fast path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from . import _offramp
from .scenario import Scenario

Part = Literal["features", "history", "tasks", "links", "servers"]
Tasks = Literal["training", "validation", "evaluation"]


class Observation(NamedTuple):
    """What the devices with a new task see at the start of a slot, in all environments.

    One row per task that waits for its decision, environment by environment, in the order of
    devices. N devices, M servers, K slots of history, F features; C columns of a table. Arrays are
    new in each slot, so they may be kept. Parts that were not asked for are None.
    """

    env: npt.NDArray[np.int64]
    """The environment of each row."""
    device: npt.NDArray[np.int64]
    """The device of each row, 0 … N − 1."""
    decision: npt.NDArray[np.int64]
    """The number of each row's decision since the last reset: 0, 1, 2, …"""
    features: npt.NDArray[Any] | None
    """o: rows × F, unscaled, named by `Scenario.features`."""
    history: npt.NDArray[Any] | None
    """h: environments × K × M, oldest slot first: devices active at each server.
    `history[env]` has one window per row."""
    tasks: npt.NDArray[Any] | None
    """Rows × C, the first of `Scenario.columns()`."""
    links: npt.NDArray[Any] | None
    """Rows × C × M, the second of them."""
    servers: npt.NDArray[Any] | None
    """Environments × C × M, the third of them."""


class Ended(NamedTuple):
    """The tasks that ended in a slot, in all environments: one element per task."""

    env: npt.NDArray[np.int64]
    """The environment."""
    device: npt.NDArray[np.int64]
    """The device, 0 … N − 1."""
    arrival_slot: npt.NDArray[np.int64]
    """The slot in which it arrived and was decided."""
    decision: npt.NDArray[np.int64]
    """The number of its decision, as `Observation.decision` counts: the reward belongs to it."""
    action: npt.NDArray[np.int64]
    """The decision: 0 locally, j = 1 … M server j."""
    delay: npt.NDArray[np.int64]
    """Slots from its arrival to its end, both included."""
    dropped: npt.NDArray[np.bool_]
    """True if it missed its deadline."""
    reward: npt.NDArray[np.float64]
    """Its reward (eqs. 11 and 12 of the paper)."""
    energy: npt.NDArray[np.float64]
    """Tasks × 4: local, transmission, server and idle energy."""


class Step(NamedTuple):
    """A slot that is over."""

    ended: Ended
    """The tasks that ended in it, with their rewards."""
    observation: Observation
    """The start of the next slot; without rows if the episodes are over."""
    done: bool
    """True after the last slot of the episodes: `reset` begins the next ones."""


class Batch:
    """`num_envs` environments of a scenario side by side, each at the same slot of its own episode.

    >>> batch = offramp.Batch(scenario, num_envs=256)                 # doctest: +SKIP
    >>> observation = batch.reset(seed=1)                             # doctest: +SKIP
    >>> ended, observation, done = batch.step(actions)                # doctest: +SKIP

    A task's reward comes when it ends, up to `deadline_slots` after its decision; `Ended.decision`
    says which decision it belongs to. The last `deadline_slots` of an episode have no new tasks, so no
    rows. Steps run on all cores without the interpreter's lock, and
    their results do not depend on the number of threads.

    scenario: one point, without a sweep.
    num_envs: environments, 1 or more.
    parts: which parts of an observation are computed.
    dtype: of these parts, float32 or float64. Policies of `offramp.evaluate` see float64.
    tasks: the family that tasks are drawn from. Those of "training" occur in no evaluation;
        "evaluation" are those of `offramp run` and `offramp.evaluate` under the same seed.
    threads: None for one per core.

    A batch belongs to one thread of Python at a time.
    """

    def __init__(
        self,
        scenario: Scenario,
        num_envs: int = 1,
        *,
        parts: Sequence[Part] = ("features", "history"),
        dtype: npt.DTypeLike = np.float32,
        tasks: Tasks = "training",
        threads: int | None = None,
    ) -> None:
        kind = np.dtype(dtype)
        if kind not in (np.float32, np.float64):
            raise TypeError(f"dtype: float32 or float64 is needed, not {kind}")
        self._batch = _offramp.Batch(
            scenario, num_envs, list(parts), kind == np.float64, tasks, threads or 0
        )
        self.scenario = scenario
        """The scenario."""

    def reset(self, seed: int | None = None, episode: int | None = None) -> Observation:
        """Begins episodes and returns the first observation.

        Environment i plays `episode` + i under `seed`. Without `episode` they begin at 0 if a seed
        is given, else after those that were played last. Without any seed ever, it is 1.
        """
        return Observation(**self._batch.reset(seed, episode))

    def step(self, actions: npt.ArrayLike) -> Step:
        """Carries out one action per row of the last observation, and ends the slot.

        actions: integers, 0 locally, j = 1 … M to server j.

        Raises `ValueError` if there are more or fewer actions than rows, or one is out of range;
        nothing has been carried out then.
        """
        ended, observation = self._batch.step(as_actions(actions))
        return Step(Ended(**ended), Observation(**observation), self._batch.done)

    def __reduce__(self) -> Any:
        raise TypeError(
            "a Batch can't be copied or pickled: make another one of its scenario, and reset it to the "
            "same seed and episode"
        )

    def __repr__(self) -> str:
        return f"Batch({self.scenario.name!r}, num_envs={self.num_envs}, slot={self.slot})"

    @property
    def num_envs(self) -> int:
        """Environments."""
        return self._batch.num_envs

    @property
    def rows(self) -> int:
        """Tasks that wait in this slot: the number of actions that `step` needs."""
        return self._batch.rows

    @property
    def slot(self) -> int:
        """t, counted from 0."""
        return self._batch.slot

    @property
    def done(self) -> bool:
        """True after the last slot."""
        return self._batch.done

    @property
    def seed(self) -> int:
        """The seed of the tasks."""
        return self._batch.seed

    @property
    def episode(self) -> int | None:
        """The episode of the first environment; None before the first reset."""
        return self._batch.episode


def as_actions(actions: Any) -> npt.NDArray[np.int64]:
    """Actions as the engine takes them: one dimension, integers."""
    if hasattr(actions, "numel") and hasattr(actions, "detach"):
        actions = actions.detach().cpu()
    array = np.asarray(actions)
    if array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
        raise ValueError(f"actions: {array.max()} is out of range")
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"actions: integers are needed, not {array.dtype}")
    if array.ndim != 1:
        raise ValueError(f"actions: one per row is needed, not an array of shape {array.shape}")
    return np.ascontiguousarray(array, dtype=np.int64)
