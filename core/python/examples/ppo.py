"""PPO in one file: one network, shared by all devices, trained on `offramp.Batch`.

    python core/python/examples/ppo.py            # to the end
    python core/python/examples/ppo.py --quick    # a test that everything works

A task's reward comes when the task ends, and `Ended.decision` says which decision it belongs to. So
rewards stand beside their decisions before anything is learned, and the discount counts the decisions
of a device, not the slots that a task happened to take.

All devices see the same servers. If each took its likeliest action, all would take the same server (QoE
854 instead of 890 on validation after 40 iterations), so the policy stays one that draws, in the ONNX
file, too: see `Network.forward`.

50 episodes on which nothing was trained or chosen, after 300 iterations: 121 s on one core.

| policy         |       AvgQoE |      AvgDelay |    AvgEnergy |         Drop | completed |
|----------------|--------------|---------------|--------------|--------------|-----------|
| random         | 611.9 ± 23.2 | 6.955 ± 0.136 | 412.2 ± 15.6 | 304.6 ± 31.3 |    79.8 % |
| shortest-queue | 819.3 ± 18.7 | 5.805 ± 0.117 | 354.9 ± 20.9 | 108.8 ± 20.8 |    92.8 % |
| heuristic      | 894.4 ± 19.1 | 5.752 ± 0.112 | 309.8 ± 12.9 |   33.4 ± 9.7 |    97.8 % |
| ppo            | 896.0 ± 18.9 | 5.558 ± 0.096 | 312.3 ± 13.0 |   29.2 ± 8.9 |    98.1 % |
| ppo (ONNX)     | 896.0 ± 18.9 | 5.558 ± 0.096 | 312.3 ± 13.0 |   29.2 ± 8.9 |    98.1 % |

| QoE of ppo minus that of | difference | 95 % interval  |
|--------------------------|------------|----------------|
| random                   |      284.1 | 276.9 … 291.3  |
| shortest-queue           |       76.7 |  73.0 …  80.5  |
| heuristic                |        1.6 |   0.2 …   3.1  |
| ppo (ONNX)               |          0 |     0 …     0  |

| iteration      |    10 |    20 |    30 |    50 |   100 |   200 |   300 |
|----------------|-------|-------|-------|-------|-------|-------|-------|
| validation QoE | 873.8 | 886.9 | 890.1 | 891.7 | 893.5 | 894.8 | 894.3 |
"""

from __future__ import annotations

import argparse
import copy
import time
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.distributions import Categorical

import offramp

SCENARIOS = Path(__file__).resolve().parents[3] / "scenarios"


@dataclass
class Args:
    """Hyper-parameters: `--name value` for each."""

    scenario: Path = SCENARIOS / "paper.ron"
    """the scenario file"""
    observation: str = "Extended"
    """the features: `Extended` adds the density and the deadline of a task to `Paper`"""
    seed: int = 1
    """of the network, of exploration and of the tasks"""
    iterations: int = 300
    """rounds of one episode in every environment and an update"""
    num_envs: int = 32
    """environments side by side"""
    learning_rate: float = 3e-3
    """of Adam at the start; it falls to 0 linearly"""
    reward_scale: float = 40.0
    """rewards are divided by it: that of a task in time, before its cost"""
    gamma: float = 0.5
    """discount from a decision of a device to its next"""
    gae_lambda: float = 0.9
    """λ of the generalised advantage estimate"""
    epochs: int = 2
    """passes over the decisions of a round"""
    minibatches: int = 12
    """updates per pass"""
    clip: float = 0.2
    """of the ratio between new and old policy"""
    entropy: float = 0.003
    """weight of the entropy bonus"""
    value_weight: float = 0.5
    """weight of the value loss"""
    max_grad_norm: float = 0.5
    """the gradient is clipped to this norm"""
    threads: int = 1
    """of PyTorch; so small a network gains little from more"""
    hidden: int = 32
    """width of the network's layers"""
    validate_every: int = 10
    """iterations between validations; the best network is kept"""
    validate_envs: int = 64
    """episodes of a validation"""
    episodes: int = 50
    """episodes of the evaluation at the end"""
    evaluate_seed: int = 20270105
    """seed of the evaluation"""
    onnx: Path = Path("ppo.onnx")
    """the file to export to"""
    quick: bool = False
    """a few iterations only"""

    @staticmethod
    def parse() -> Args:
        parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
        for field in fields(Args):
            name, default = f"--{field.name.replace('_', '-')}", field.default
            if isinstance(default, bool):
                parser.add_argument(name, action="store_true")
            else:
                parser.add_argument(name, type=type(default), default=default)
        args = Args(**vars(parser.parse_args()))
        if args.quick:
            args.iterations, args.num_envs, args.validate_every = 4, 16, 2
            args.validate_envs, args.episodes = 8, 5
        return args


def linear(inputs: int, outputs: int, gain: float = 2**0.5) -> nn.Linear:
    """A layer with orthogonal weights."""
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


class Network(nn.Module):
    """Actor and critic, with the same weights for every server.

    A server is described by its columns of the features and its loads of the last K slots; each
    gets a score of its own, given the task and the mean over all servers.
    """

    def __init__(self, scenario: offramp.Scenario, hidden: int) -> None:
        super().__init__()
        names = scenario.features
        of_server = [f"server_{j}_" for j in range(1, scenario.servers + 1)]
        self.own = [i for i, name in enumerate(names) if not name.startswith("server_")]
        self.per_server = [
            [i for i, name in enumerate(names) if name.startswith(prefix)] for prefix in of_server
        ]
        scales = torch.as_tensor(scenario.feature_scales, dtype=torch.float32)
        self.register_buffer("scales", scales)
        self.history_scale = float(scenario.history_scale)
        self.size = names.index("size_mbit")
        # Multipliers that have nothing to do with each other, one per action.
        self.register_buffer("dice", 1000.0 + 617.0 * torch.sqrt(torch.arange(2.0, scenario.servers + 3)))
        server_width = len(self.per_server[0]) + scenario.history_slots
        self.task = nn.Sequential(linear(len(self.own), hidden), nn.ReLU())
        self.server = nn.Sequential(linear(server_width, hidden), nn.ReLU())
        self.context = linear(2 * hidden, 3 * hidden)
        self.beside = linear(hidden, hidden)
        self.score, self.local = linear(hidden, 1, 0.01), linear(hidden, 1, 0.01)
        self.critic = linear(hidden, 1, 1.0)

    def values(
        self, features: torch.Tensor, history: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits, rows × (1 + M), and the critic's values, one per row."""
        features = features / self.scales
        loads = (history / self.history_scale).transpose(1, 2)
        columns = torch.stack([features[:, at] for at in self.per_server], dim=1)
        servers = self.server(torch.cat([columns, loads], dim=2))
        state = torch.cat([self.task(features[:, self.own]), servers.mean(dim=1)], dim=1)
        server, local, critic = self.context(state).chunk(3, dim=1)
        scores = self.score(torch.relu(self.beside(servers) + server.unsqueeze(1))).squeeze(2)
        logits = torch.cat([self.local(torch.relu(local)), scores], dim=1)
        return logits, self.critic(torch.relu(critic)).squeeze(1)

    def forward(self, features: torch.Tensor, history: torch.Tensor) -> torch.Tensor:
        """Values whose largest is an action drawn from the policy: logits plus Gumbel noise.

        All devices see the same servers: if each took its likeliest action, all would take the same
        server. The noise is the digits of a task's size that mean nothing (sizes are continuous here),
        so the network needs no random numbers, and an ONNX file of it draws the same actions.
        """
        logits, _ = self.values(features, history)
        digits = features[:, self.size].unsqueeze(1) * self.dice
        uniform = (digits - digits.floor()).clamp(1e-3, 1 - 1e-3)
        return logits - (-uniform.log()).log()

    def actor_critic(
        self, features: torch.Tensor, history: torch.Tensor
    ) -> tuple[Categorical, torch.Tensor]:
        """The policy, as a distribution per row, and the critic's values."""
        logits, values = self.values(features, history)
        return Categorical(logits=logits, validate_args=False), values


def tensors(observation: offramp.Observation) -> tuple[torch.Tensor, torch.Tensor]:
    """Features, rows × F, and the history of each row's environment, rows × K × M."""
    return (
        torch.from_numpy(observation.features),
        torch.from_numpy(observation.history[observation.env]),
    )


@dataclass
class Rollout:
    """The decisions of one episode in every environment, in the order of `Ended.decision`."""

    features: torch.Tensor
    history: torch.Tensor
    actions: torch.Tensor
    log_probs: torch.Tensor
    advantages: torch.Tensor
    returns: torch.Tensor
    mean_reward: float


@torch.no_grad()
def collect(batch: offramp.Batch, network: Network, args: Args) -> Rollout:
    """Plays an episode in every environment with actions drawn from the policy."""
    # Each a list with one array per slot.
    features, history, actions, log_probs, values, places, ends = [], [], [], [], [], [], []
    observation, done = batch.reset(None if batch.episode is not None else args.seed), False
    while not done:
        inputs = tensors(observation)
        policy, value = network.actor_critic(*inputs)
        action = policy.sample() if batch.rows else torch.empty(0, dtype=torch.int64)
        for column, item in zip(
            (features, history, actions, log_probs, values, places),
            (*inputs, action, policy.log_prob(action), value, (observation.env, observation.device)),
        ):
            column.append(item)
        ended, observation, done = batch.step(action)
        ends.append((ended.decision, ended.reward))

    # Every task has ended, and says which decision its reward belongs to. No delay is guessed.
    rewards = np.zeros(sum(len(action) for action in actions), np.float32)
    for decision, reward in ends:
        rewards[decision] = reward / args.reward_scale

    # Generalised advantages, backwards along each device's own decisions: the "next state" of a
    # decision is the state in which its device decides again; after the last there is none.
    advantages = torch.empty(len(rewards))
    next_value = torch.zeros(batch.num_envs, batch.scenario.devices)
    next_advantage = torch.zeros_like(next_value)
    reward_of, end = torch.from_numpy(rewards), len(rewards)
    for value, place in zip(reversed(values), reversed(places)):
        rows = slice(end - len(value), end)
        delta = reward_of[rows] + args.gamma * next_value[place] - value
        advantages[rows] = delta + args.gamma * args.gae_lambda * next_advantage[place]
        next_value[place], next_advantage[place] = value, advantages[rows]
        end -= len(value)
    return Rollout(
        torch.cat(features),
        torch.cat(history),
        torch.cat(actions),
        torch.cat(log_probs),
        advantages,
        advantages + torch.cat(values),
        float(rewards.mean()) * args.reward_scale,
    )


def update(
    network: Network, optimizer: torch.optim.Optimizer, data: Rollout, args: Args
) -> tuple[float, float]:
    """The clipped objective of PPO over a round; returns the mean entropy and divergence."""
    entropies, divergences = [], []
    for _ in range(args.epochs):
        for rows in torch.randperm(len(data.actions)).chunk(args.minibatches):
            policy, value = network.actor_critic(data.features[rows], data.history[rows])
            log_ratio = policy.log_prob(data.actions[rows]) - data.log_probs[rows]
            ratio = log_ratio.exp()
            advantage = data.advantages[rows]
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
            clipped = ratio.clamp(1 - args.clip, 1 + args.clip)
            policy_loss = -torch.min(advantage * ratio, advantage * clipped).mean()
            value_loss = 0.5 * (value - data.returns[rows]).square().mean()
            entropy = policy.entropy().mean()
            loss = policy_loss + args.value_weight * value_loss - args.entropy * entropy
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), args.max_grad_norm)
            optimizer.step()
            entropies.append(entropy.item())
            divergences.append((ratio - 1 - log_ratio).mean().item())
    return float(np.mean(entropies)), float(np.mean(divergences))


@torch.inference_mode()
def validate(scenario: offramp.Scenario, network: Network, args: Args) -> float:
    """QoE per device and episode, on tasks that occur nowhere else."""
    batch = offramp.Batch(scenario, args.validate_envs, tasks="validation")
    observation, done, total = batch.reset(args.seed), False, 0.0
    while not done:
        actions = network(*tensors(observation)).argmax(dim=1)
        ended, observation, done = batch.step(actions)
        total += ended.reward.sum()
    return total / (args.validate_envs * scenario.devices)


def main() -> None:
    args = Args.parse()
    begun = time.perf_counter()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    scenario = offramp.Scenario.load(args.scenario).with_(observation=args.observation)
    batch = offramp.Batch(scenario, args.num_envs)
    network = Network(scenario, args.hidden)
    optimizer = torch.optim.Adam(network.parameters(), lr=args.learning_rate, eps=1e-5)
    best, best_qoe = copy.deepcopy(network), -float("inf")

    print("iteration | seconds | reward | validation QoE | entropy | divergence")
    for iteration in range(1, args.iterations + 1):
        optimizer.param_groups[0]["lr"] = args.learning_rate * (1 - (iteration - 1) / args.iterations)
        data = collect(batch, network, args)
        entropy, divergence = update(network, optimizer, data, args)
        if iteration % args.validate_every == 0 or iteration == args.iterations:
            qoe = validate(scenario, network, args)
            if qoe > best_qoe:
                best, best_qoe = copy.deepcopy(network), qoe
            seconds = time.perf_counter() - begun
            print(
                f"{iteration:9} | {seconds:7.0f} | {data.mean_reward:6.2f} | {qoe:14.1f} "
                f"| {entropy:7.3f} | {divergence:10.4f}",
                flush=True,
            )

    file = offramp.export_onnx(best, scenario, args.onnx)
    policies = {name: name for name in ("random", "shortest-queue", "heuristic")}
    results = offramp.evaluate(
        scenario,
        {**policies, "ppo": best, "ppo (ONNX)": file},
        episodes=args.episodes,
        seed=args.evaluate_seed,
    )
    print(results)
    print("QoE", results.mean("ppo"))
    for reference in policies:
        print(f"    minus {reference}:", results.difference("ppo", reference))
    same = results.difference("ppo (ONNX)", "ppo")
    print("    ONNX minus PyTorch:", same)
    print(f"{time.perf_counter() - begun:.0f} s in all")


if __name__ == "__main__":
    main()
