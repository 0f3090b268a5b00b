"""A policy with NumPy alone: a linear model of the reward, and actions drawn by what it predicts.

    python core/python/examples/linear.py

One model is for computing locally, one for any server: decisions are recorded in training episodes, and
least squares predict a task's reward from what its device saw. `Ended.decision` says which decision a
late reward belongs to. It decides again with what it has learned, and learns from that, too, because
queues fill otherwise then. Actions are drawn, not the best taken: all devices see the same loads, and
would all go to the same server. How freely they are drawn is chosen on validation episodes.

It ends in this table after 11 seconds on one core (50 episodes on which nothing was trained or chosen):

    | policy         |       AvgQoE |      AvgDelay |    AvgEnergy |         Drop | completed |
    |----------------|--------------|---------------|--------------|--------------|-----------|
    | linear         | 882.2 ± 19.0 | 5.458 ± 0.110 | 346.5 ± 17.3 |  42.0 ± 11.6 |    97.2 % |
    | heuristic      | 894.4 ± 19.1 | 5.752 ± 0.112 | 309.8 ± 12.9 |   33.4 ± 9.7 |    97.8 % |
    | shortest-queue | 819.3 ± 18.7 | 5.805 ± 0.117 | 354.9 ± 20.9 | 108.8 ± 20.8 |    92.8 % |
    | random         | 611.9 ± 23.2 | 6.955 ± 0.136 | 412.2 ± 15.6 | 304.6 ± 31.3 |    79.8 % |
"""

import argparse
from pathlib import Path

import numpy as np

import offramp

SCENARIOS = Path(__file__).resolve().parents[3] / "scenarios"
TEMPERATURES = (0.2, 0.3, 0.5, 1.0)


def inputs(features, load, scales):
    """Inputs of every action, rows × (1 + M) × inputs: what the task needs, and how long it waits."""
    rows, servers = load.shape
    size, compute, uplink = (features / scales).T[:3]
    backlog, (alpha, density, _) = features[:, 3 : 3 + servers] / scales[3], (features / scales).T[3 + servers :]
    work = size * density
    own = np.stack([np.ones(rows), size, work, alpha, alpha * work], axis=1)
    local = np.concatenate([own, np.stack([compute, compute * work, compute**2, uplink * 0, uplink * 0], 1)], 1)
    remote = np.empty((rows, servers, 10))
    remote[:, :, :5] = own[:, None]
    remote[:, :, 5:] = np.stack(
        [load, load * work[:, None], load**2, uplink[:, None] + 0 * load, backlog], axis=2
    )
    return local, remote


def values(features, load, scales, weights):
    """The predicted reward of every action: rows × (1 + M)."""
    local, remote = inputs(features, load, scales)
    return np.concatenate([(local @ weights[0])[:, None], remote @ weights[1]], axis=1)


def draw(values, temperature, rng):
    """Actions with probabilities that rise with their values (Gumbel's trick)."""
    return (values / temperature + rng.gumbel(size=values.shape)).argmax(axis=1)


def record(batch, weights, temperature, rng, scales):
    """Plays the next episodes of a batch; returns the inputs of what was decided, and its reward."""
    seen, parts, rewards = batch.reset(), [], {}
    while not batch.done:
        load = seen.history[seen.env, -1] / 10.0
        local, remote = inputs(seen.features, load, scales)
        if weights is None:
            actions = rng.integers(0, 1 + load.shape[1], len(load))
        else:
            actions = draw(values(seen.features, load, scales, weights), temperature, rng)
        chosen = np.where((actions == 0)[:, None], local, remote[np.arange(len(load)), actions - 1])
        parts.append((chosen, actions > 0))
        ended, seen, _ = batch.step(actions)
        rewards.update(zip(ended.decision.tolist(), ended.reward.tolist()))
    x, sent = (np.concatenate(part) for part in zip(*parts))
    return x, sent, np.array([rewards[decision] for decision in range(len(x))])


def fit(x, sent, rewards):
    """Ridge regression for each kind of action."""

    def solve(x, rewards):
        return np.linalg.solve(x.T @ x + 1e-3 * np.eye(x.shape[1]), x.T @ rewards)

    return solve(x[~sent], rewards[~sent]), solve(x[sent], rewards[sent])


class Linear:
    """The policy: a generator of its own in each episode, so that results are the same every time."""

    def __init__(self, scales, weights, temperature):
        self.scales, self.weights, self.temperature = scales, weights, temperature

    def begin_episode(self, episode, seed):
        rng = np.random.default_rng(seed)

        def decide(slot):
            load = np.broadcast_to(slot.history[-1] / 10.0, (len(slot.device), slot.history.shape[1]))
            predicted = values(slot.features, load, self.scales, self.weights)
            return draw(predicted, self.temperature, rng)

        return decide


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--num-envs", type=int, default=64)
    parser.add_argument("--episodes", type=int, default=50)
    arguments = parser.parse_args()
    scenario = offramp.Scenario.load(SCENARIOS / "paper.ron").with_(observation="Extended")
    scales, rng = scenario.feature_scales, np.random.default_rng(1)
    validation = offramp.Batch(scenario, arguments.num_envs, tasks="validation")
    best = (-np.inf, None, None)
    for temperature in TEMPERATURES:
        batch, weights, data = offramp.Batch(scenario, arguments.num_envs), None, []
        for _ in range(arguments.rounds):
            data = [*data[-2:], record(batch, weights, temperature, rng, scales)]
            weights = fit(*(np.concatenate(parts) for parts in zip(*data)))
        validation.reset(seed=1, episode=0)
        _, _, rewards = record(validation, weights, temperature, rng, scales)
        mean = rewards.mean()
        print(f"temperature {temperature}: {mean:.3f} reward per task on validation")
        best = max(best, (mean, temperature, weights), key=lambda found: found[0])
    _, temperature, weights = best
    policies = {"linear": Linear(scales, weights, temperature)}
    policies |= {name: name for name in ("heuristic", "shortest-queue", "random")}
    results = offramp.evaluate(scenario, policies, episodes=arguments.episodes, seed=20270105)
    print(results)
    print("linear minus shortest-queue, QoE:", results.difference("linear", "shortest-queue"))


if __name__ == "__main__":
    main()
