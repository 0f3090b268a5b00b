"""A scenario behind the interfaces of Gymnasium and PettingZoo.

All three environments play a `Batch`, and their observations are the same vector for each device,
float32:

    the F features of its new task, each divided by its scale (zeros without a task)
    the history of loads, K × M, oldest slot first, divided by its scale
    1 if a task waits for a decision, else 0

**Rewards are late.** A task's reward comes in the slot in which the task ends, up to
`deadline_slots` after its decision, and the environments credit it to its device in that slot.
`info["ended"]` (`vector_env`: its attribute `ended`) says which decision it belongs to: device and arrival
slot. A learner that wants the reward of a decision itself uses `offramp.Batch`.

Without a seed the first one is drawn, as Gymnasium does; further resets without one play the episodes
that follow under it. A copied or unpickled environment is a new one of the same scenario.

A device without a task may answer anything; `info["action_mask"]` allows it 0 alone. Where a server
is out of reach of a device, in this slot if rates change, its action is masked, too.

The tasks are those of training unless `tasks="evaluation"` asks for those of `offramp.evaluate`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

try:
    import gymnasium
    from gymnasium import spaces
    from gymnasium.vector import AutoresetMode
    from gymnasium.vector.utils import batch_space
    from pettingzoo.utils import ParallelEnv as _ParallelEnv
except ImportError as error:  # pragma: no cover
    raise ImportError(
        "environments need Gymnasium and PettingZoo: pip install gymnasium pettingzoo"
    ) from error

from .batch import Batch, Ended, Observation, Part, Tasks
from .scenario import Scenario

Array = npt.NDArray[Any]


class _Devices:
    """The devices of `num_envs` environments: their vectors, masks and rewards, environments × N."""

    def __init__(self, scenario: Scenario, num_envs: int, tasks: Tasks, threads: int | None) -> None:
        # Where rates change, so does who can reach which server.
        parts: tuple[Part, ...] = ("features", "history")
        self._rate = scenario.columns()[1].index("uplink_mbps") if scenario.rates_change else None
        if self._rate is not None:
            parts = (*parts, "links")
        self.batch = Batch(scenario, num_envs, parts=parts, tasks=tasks, threads=threads)
        self.count, self.servers = scenario.devices, scenario.servers
        self.shape = (num_envs, self.count)
        self._features = len(scenario.features)
        self._history = scenario.history_slots * self.servers
        self.width = self._features + self._history + 1
        self._scale = np.asarray(scenario.feature_scales, np.float32)
        self._history_scale = np.float32(scenario.history_scale)
        reachable = np.asarray(scenario.reachable())
        self._open = np.concatenate([np.ones((self.count, 1), bool), reachable], axis=1)
        self.all_reachable = self._rate is None and bool(reachable.all())
        self._rows = np.empty(0, np.int64)
        self._reached = np.empty((0, self.servers), bool)

    def space(self) -> spaces.Box:
        return spaces.Box(-np.inf, np.inf, (self.width,), np.float32)

    def reset(self, seed: int | None, options: dict[str, Any] | None) -> Array:
        return self._vectors(self.batch.reset(seed, (options or {}).get("episode")))

    @property
    def begun(self) -> bool:
        return self.batch.episode is not None

    def step(self, actions: Array) -> tuple[Array, Array, Ended, bool]:
        """`actions`: one per device of all environments, of which those without a task count not."""
        ended, observation, done = self.batch.step(actions.reshape(-1)[self._rows])
        rewards = np.zeros(self.shape)
        np.add.at(rewards, (ended.env, ended.device), ended.reward)
        return self._vectors(observation), rewards, ended, done

    def waiting(self) -> Array:
        """True where a task waits, environments × N."""
        waiting = np.zeros(self.shape, bool)
        waiting.reshape(-1)[self._rows] = True
        return waiting

    def masks(self) -> Array:
        """The actions that are allowed, environments × N × (1 + M)."""
        if self._rate is None:
            masks = np.where(self.waiting()[:, :, None], self._open[None], False)
        else:
            masks = np.zeros((*self.shape, 1 + self.servers), bool)
            masks.reshape(-1, 1 + self.servers)[self._rows, 1:] = self._reached
        masks[:, :, 0] = True
        return masks

    def _vectors(self, observation: Observation) -> Array:
        assert observation.features is not None and observation.history is not None
        self._rows = observation.env * self.count + observation.device
        if self._rate is not None:
            assert observation.links is not None
            self._reached = observation.links[:, self._rate] > 0
        vectors = np.zeros((*self.shape, self.width), np.float32)
        flat = vectors.reshape(-1, self.width)
        flat[self._rows, : self._features] = observation.features / self._scale
        history = observation.history.reshape(self.shape[0], 1, self._history)
        vectors[:, :, self._features : -1] = history / self._history_scale
        flat[self._rows, -1] = 1.0
        return vectors


def _check(actions: Array, shape: tuple[int, ...], servers: int) -> Array:
    actions = np.asarray(actions)
    if actions.dtype.kind not in "iu":
        raise TypeError(f"actions: integers are needed, not {actions.dtype}")
    if actions.shape != shape:
        raise ValueError(f"actions: shape {shape} is needed, not {actions.shape}")
    if actions.size and (actions.min() < 0 or actions.max() > servers):
        raise ValueError(f"actions: 0 … {servers} are needed, not {actions.min()} … {actions.max()}")
    return actions.astype(np.int64, copy=False)


class OffloadingEnv(gymnasium.Env[Array, Array]):
    """A whole system as one agent: `gymnasium.Env`.

    Observation: N × width. Action: one per device, N. Reward: the sum over the tasks that ended.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012

    def __init__(self, scenario: Scenario, *, tasks: Tasks = "training") -> None:
        self._devices = _Devices(scenario, 1, tasks, 1)
        self.scenario, self.tasks = scenario, tasks
        n, width = self._devices.count, self._devices.width
        self.observation_space = spaces.Box(-np.inf, np.inf, (n, width), np.float32)
        self.action_space = spaces.MultiDiscrete([self._devices.servers + 1] * n)
        self._over = True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Begins an episode: `options["episode"]`, or else the first under a new seed, or the next."""
        super().reset(seed=None if seed is None else int(seed))
        if seed is None and not self._devices.begun:
            seed = int(self.np_random.integers(2**63))
        vectors = self._devices.reset(seed, options)
        self._over = False
        return vectors[0], self._info(None)

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        if self._over:
            raise RuntimeError("no episode is under way: call reset")
        action = _check(action, (self._devices.count,), self._devices.servers)
        vectors, rewards, ended, self._over = self._devices.step(action)
        return vectors[0], float(rewards.sum()), self._over, False, self._info(ended)

    def _info(self, ended: Ended | None) -> dict[str, Any]:
        info: dict[str, Any] = {
            "has_task": self._devices.waiting()[0],
            "action_mask": self._devices.masks()[0],
        }
        if ended is not None:
            info["ended"] = ended
        return info

    def close(self) -> None:
        self._over = True

    def __reduce__(self) -> Any:
        return _again, (type(self), self.scenario, {"tasks": self.tasks})


class OffloadingVectorEnv(gymnasium.vector.VectorEnv[Array, Array, Array]):
    """`num_envs` systems, whose devices are the sub-environments: `gymnasium.vector.VectorEnv`.

    One decision per device and slot by a shared policy, so `VectorEnv.num_envs` is environments × N.
    Episodes end together; the next step begins new ones (`AutoresetMode.NEXT_STEP`).
    """

    metadata: dict[str, Any] = {  # noqa: RUF012
        "render_modes": [],
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        scenario: Scenario,
        num_envs: int = 1,
        *,
        tasks: Tasks = "training",
        threads: int | None = None,
    ) -> None:
        self._devices = _Devices(scenario, num_envs, tasks, threads)
        self.scenario = scenario
        self._made = {"num_envs": num_envs, "tasks": tasks, "threads": threads}
        self.ended: Ended | None = None
        """The tasks that ended in the last slot."""
        self.num_envs = num_envs * self._devices.count
        self.single_observation_space = self._devices.space()
        self.single_action_space = spaces.Discrete(self._devices.servers + 1)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._over = False

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Begins episodes. One seed is for all: environment i plays episode i under it."""
        if seed is not None and not isinstance(seed, (int, np.integer)):
            raise TypeError(f"seed: one number for all environments is needed, not {seed!r}")
        if "reset_mask" in (options or {}):
            raise ValueError("options: environments are at the same slot, so all are reset together")
        super().reset(seed=None if seed is None else int(seed))
        if seed is None and not self._devices.begun:
            seed = int(self.np_random.integers(2**63))
        vectors = self._devices.reset(seed, options)
        self._over, self.ended = False, None
        return vectors.reshape(self.num_envs, -1), self._info()

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        if not self._devices.begun:
            raise RuntimeError("call reset before step")
        actions = _check(actions, (self.num_envs,), self._devices.servers)
        if self._over:
            vectors, info = self.reset()
            nothing = np.zeros(self.num_envs, bool)
            return vectors, np.zeros(self.num_envs), nothing, nothing.copy(), info
        vectors, rewards, self.ended, self._over = self._devices.step(actions)
        over = np.full(self.num_envs, self._over)
        never = np.zeros(self.num_envs, bool)
        info = self._info()
        return vectors.reshape(self.num_envs, -1), rewards.reshape(-1), over, never, info

    def _info(self) -> dict[str, Any]:
        # Gymnasium's form: an array per key, and one that says where it has a value.
        everywhere = np.ones(self.num_envs, bool)
        info: dict[str, Any] = {
            "has_task": self._devices.waiting().reshape(-1),
            "_has_task": everywhere,
        }
        if not self._devices.all_reachable:
            info["action_mask"] = self._devices.masks().reshape(self.num_envs, -1)
            info["_action_mask"] = everywhere
        return info

    def __reduce__(self) -> Any:
        return _again, (type(self), self.scenario, self._made)


class OffloadingParallelEnv(_ParallelEnv[str, Any, int]):  # type: ignore[misc]
    """A system with an agent per device: `pettingzoo.ParallelEnv`.

    Observation of an agent: {"observation": width, "action_mask": 1 + M}. Its info: "has_task", and
    "ended": what came of its tasks that ended in this slot.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012
        "render_modes": [],
        "name": "offramp",
        "is_parallelizable": True,
    }
    render_mode = None

    def __init__(self, scenario: Scenario, *, tasks: Tasks = "training") -> None:
        self._devices = _Devices(scenario, 1, tasks, 1)
        self.scenario, self.tasks = scenario, tasks
        self.possible_agents = [f"device_{device}" for device in range(self._devices.count)]
        self.agents: list[str] = []
        actions = self._devices.servers + 1
        self.observation_spaces = {
            agent: spaces.Dict(
                {
                    "observation": self._devices.space(),
                    "action_mask": spaces.Box(0, 1, (actions,), np.int8),
                }
            )
            for agent in self.possible_agents
        }
        self.action_spaces = {agent: spaces.Discrete(actions) for agent in self.possible_agents}

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begins an episode: `options["episode"]`, or else the first under a new seed, or the next."""
        if seed is None and not self._devices.begun:
            seed = int(np.random.default_rng().integers(2**63))
        vectors = self._devices.reset(seed, options)
        self.agents = list(self.possible_agents)
        observations, infos = self._seen(vectors)
        return observations, infos

    def step(
        self, actions: dict[str, int]
    ) -> tuple[
        dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]
    ]:
        """Ends the slot. An agent that is left out answers 0."""
        if not self.agents:
            raise RuntimeError("no episode is under way: call reset")
        if unknown := set(actions) - set(self.agents):
            raise ValueError(f"actions: there is no agent {sorted(unknown)[0]!r}")
        chosen = [actions.get(agent, 0) for agent in self.agents]
        chosen_array = _check(np.asarray(chosen), (self._devices.count,), self._devices.servers)
        vectors, rewards, ended, over = self._devices.step(chosen_array)
        observations, infos = self._seen(vectors)
        for task in zip(
            ended.device.tolist(),
            ended.arrival_slot.tolist(),
            ended.action.tolist(),
            ended.reward.tolist(),
            ended.delay.tolist(),
            ended.dropped.tolist(),
        ):
            keys = ("arrival_slot", "action", "reward", "delay", "dropped")
            infos[self.agents[task[0]]].setdefault("ended", []).append(dict(zip(keys, task[1:])))
        agents = self.agents
        if over:
            self.agents = []
        return (
            observations,
            dict(zip(agents, rewards[0].tolist())),
            dict.fromkeys(agents, over),
            dict.fromkeys(agents, False),
            infos,
        )

    def _seen(self, vectors: Array) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        masks = self._devices.masks()[0].astype(np.int8)
        waiting = self._devices.waiting()[0].tolist()
        observations = {
            agent: {"observation": vector, "action_mask": mask}
            for agent, vector, mask in zip(self.agents, vectors[0], masks)
        }
        infos: dict[str, dict[str, Any]] = {
            agent: {"has_task": has_task} for agent, has_task in zip(self.agents, waiting)
        }
        return observations, infos

    def close(self) -> None:
        self.agents = []

    def __reduce__(self) -> Any:
        return _again, (type(self), self.scenario, {"tasks": self.tasks})


def _again(kind: Any, scenario: Scenario, made: dict[str, Any]) -> Any:
    return kind(scenario, **made)


def env(scenario: Scenario, *, tasks: Tasks = "training") -> OffloadingEnv:
    """A whole system as one agent of Gymnasium."""
    return OffloadingEnv(scenario, tasks=tasks)


def vector_env(
    scenario: Scenario,
    num_envs: int = 1,
    *,
    tasks: Tasks = "training",
    threads: int | None = None,
) -> OffloadingVectorEnv:
    """`num_envs` systems whose devices are the sub-environments of a Gymnasium VectorEnv."""
    return OffloadingVectorEnv(scenario, num_envs, tasks=tasks, threads=threads)


def parallel_env(scenario: Scenario, *, tasks: Tasks = "training") -> OffloadingParallelEnv:
    """A system with an agent per device for PettingZoo."""
    return OffloadingParallelEnv(scenario, tasks=tasks)
