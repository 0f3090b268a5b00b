"""Stable-Baselines3's PPO on `offramp.vector_env`: every device is an agent of one shared policy.

    python core/python/examples/sb3_ppo.py            # to the end
    python core/python/examples/sb3_ppo.py --quick    # a test that everything works

The environment credits a reward in the slot in which a task ends, up to `deadline_slots` after the
decision, and also asks devices without a task, whose answer counts for nothing. That is what a standard
interface can express. `ppo.py` beside this file uses `offramp.Batch`, which says which decision a reward
belongs to, and gets further.

50 episodes after 4.4 million steps: 57 s on one core.

| policy         |        AvgQoE |      AvgDelay |    AvgEnergy |          Drop | completed |
|----------------|---------------|---------------|--------------|---------------|-----------|
| random         |  611.9 ± 23.2 | 6.955 ± 0.136 | 412.2 ± 15.6 |  304.6 ± 31.3 |    79.8 % |
| shortest-queue |  819.3 ± 18.7 | 5.805 ± 0.117 | 354.9 ± 20.9 |  108.8 ± 20.8 |    92.8 % |
| heuristic      |  894.4 ± 19.1 | 5.752 ± 0.112 | 309.8 ± 12.9 |    33.4 ± 9.7 |    97.8 % |
| sb3            |  876.1 ± 19.4 | 5.293 ± 0.108 | 383.0 ± 15.8 |   41.8 ± 11.3 |    97.2 % |
| sb3, likeliest |  605.9 ± 96.5 | 6.406 ± 0.308 | 572.9 ± 60.8 | 343.1 ± 110.5 |    77.2 % |

| QoE of sb3 minus that of | difference | 95 % interval  |
|--------------------------|------------|----------------|
| random                   |      264.2 | 257.1 … 271.3  |
| shortest-queue           |       56.8 |  52.9 …  60.7  |
| heuristic                |      -18.3 | -20.5 … -16.0  |

| million steps  | 0.44 | 0.88 | 1.32 | 1.76 | 2.64 | 3.52 | 4.40 |
|----------------|------|------|------|------|------|------|------|
| training QoE   |  834 |  873 |  873 |  876 |  865 |  872 |  868 |
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.vec_env import VecEnv, VecMonitor, VecNormalize

import offramp

SCENARIO = Path(__file__).resolve().parents[3] / "scenarios" / "paper.ron"
GAMMA = 0.9


class Devices(VecEnv):
    """A Gymnasium VectorEnv as a VecEnv of Stable-Baselines3, whose episodes all end together."""

    def __init__(self, env: Any) -> None:
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self.env = env
        self.actions: np.ndarray = np.zeros(env.num_envs, int)

    def reset(self) -> np.ndarray:
        seeds = [seed for seed in self._seeds if seed is not None]
        self._reset_seeds()
        return self.env.reset(seed=seeds[0] if seeds else None)[0]

    def step_async(self, actions: np.ndarray) -> None:
        self.actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        observations, rewards, over, _, _ = self.env.step(self.actions)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if over.all():  # A VecEnv returns the first observation of the next episode at once.
            for info, last in zip(infos, observations):
                info["terminal_observation"] = last
            observations = self.reset()
        return observations, rewards.astype(np.float32), over, infos

    def close(self) -> None:
        self.env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self.env, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        setattr(self.env, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        return [getattr(self.env, method_name)(*args, **kwargs)]

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs


class Likeliest(torch.nn.Module):
    """What Stable-Baselines3 has learned, on the observation of `offramp.evaluate`."""

    def __init__(self, policy: Any, scenario: offramp.Scenario) -> None:
        super().__init__()
        self.policy = policy
        self.register_buffer("scales", torch.as_tensor(scenario.feature_scales, dtype=torch.float32))
        self.history_scale = float(scenario.history_scale)

    def forward(self, features: torch.Tensor, history: torch.Tensor) -> torch.Tensor:
        """Logits of all actions, rows × (1 + M), from the vector that the environment makes."""
        has_task = torch.ones_like(features[:, :1])
        loads = history.flatten(1) / self.history_scale
        vector = torch.cat([features / self.scales, loads, has_task], dim=1)
        return self.policy.action_net(self.policy.mlp_extractor.forward_actor(vector))


class Drawn:
    """The same, with actions drawn from the policy as in training.

    All devices see the same servers: if each takes its likeliest action, all take the same server.
    """

    def __init__(self, logits: Likeliest) -> None:
        self.logits = logits

    def begin_episode(self, episode: int, seed: int) -> Any:
        """A generator of its own for each episode: the same results every time."""
        rng = np.random.default_rng(seed)

        def decide(slot: offramp.Slot) -> np.ndarray:
            features = torch.from_numpy(slot.features.astype(np.float32))
            history = torch.from_numpy(slot.history.astype(np.float32))
            with torch.inference_mode():
                logits = self.logits(features, history.expand(len(features), *history.shape)).numpy()
            return (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)

        return decide


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    begun = time.perf_counter()
    torch.set_num_threads(1)
    scenario = offramp.Scenario.load(SCENARIO).with_(observation="Extended")

    # The whole system as one agent passes the checker.
    check_env(offramp.env(scenario), warn=False)

    # Every device as an agent: 8 environments are 400 of them.
    agents = VecMonitor(Devices(offramp.vector_env(scenario, num_envs=1 if args.quick else 8)))
    scaled = VecNormalize(agents, norm_obs=False, gamma=GAMMA)
    model = PPO(
        "MlpPolicy",
        scaled,
        n_steps=scenario.slots,
        batch_size=5_500,
        n_epochs=4,
        learning_rate=1e-3,
        gamma=GAMMA,
        gae_lambda=0.9,
        ent_coef=0.003,
        policy_kwargs={"net_arch": [64, 64]},
        seed=1,
        stats_window_size=agents.num_envs,  # an episode of every device
        device="cpu",
        verbose=1,
    )
    rounds = 2 if args.quick else 100
    model.learn(rounds * scenario.slots * agents.num_envs, log_interval=1 if args.quick else 10)

    likeliest = Likeliest(model.policy, scenario)
    policies = {name: name for name in ("random", "shortest-queue", "heuristic")}
    results = offramp.evaluate(
        scenario,
        {**policies, "sb3": Drawn(likeliest), "sb3, likeliest": likeliest},
        episodes=5 if args.quick else 50,
        seed=20270105,
    )
    print(results)
    print("QoE", results.mean("sb3"))
    for reference in policies:
        print(f"    minus {reference}:", results.difference("sb3", reference))
    print(f"{time.perf_counter() - begun:.0f} s in all")


if __name__ == "__main__":
    main()
