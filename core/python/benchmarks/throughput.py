"""Environment throughput: device-slots per second of the four interfaces, on this machine, in one run.

    python core/python/benchmarks/throughput.py              # 5 repetitions of 2 s each: about a minute
    python core/python/benchmarks/throughput.py --quick
    python core/python/benchmarks/throughput.py --profile    # where the time of each interface goes

Random actions by NumPy, and the resets between episodes, are part of the time. One step is one
slot of one environment; it decides for all devices of it, so a device-slot is what other
environments call an agent step. The last column counts the processor time of all threads: on a
machine that is busy with other work it is the steadier one.

Two cores of an AMD EPYC with 1 MiB of L2 each, otherwise idle; Python 3.11, NumPy 2.4; medians of 5 × 2 s:

| interface    | environments | steps/s | device-slots/s | per CPU-second |
|--------------|--------------|---------|----------------|----------------|
| Batch        |          256 | 365,855 |     18,292,764 |     12,467,474 |
| Batch        |           64 | 311,026 |     15,551,275 |     15,553,186 |
| vector_env   |           64 | 231,677 |     11,583,862 |     11,584,476 |
| parallel_env |            1 |  17,496 |        874,818 |        874,883 |
| env          |            1 |  40,037 |      2,001,831 |      2,001,963 |

Up to 4,000 device-slots a step is done by one thread. An environment of this scenario has about 35 KiB of
state: 64 of them nearly fit in L2, 256 are far from it.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import platform
import pstats
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import offramp

SCENARIO = Path(__file__).resolve().parents[3] / "scenarios" / "paper.ron"

# Other environments, as measured elsewhere: none of them is a package of PyPI, so this script can't
# measure them beside ours.
ELSEWHERE = (
    ("offloading-gym, github.com/assuncaomarcos/offloading-gym", "2,000 to 2,900 steps/s"),
    ("QECO's own environment, github.com/ImanRHT/QECO", "about 9,000 device-slots/s"),
)

Play = Callable[[], int]
"""Plays one slot in every environment; returns the number of environments."""


class Rate(NamedTuple):
    steps: float
    device_slots: float
    per_cpu_second: float


def batch(scenario: offramp.Scenario, num_envs: int) -> Play:
    environments = offramp.Batch(scenario, num_envs)
    rng, actions = np.random.default_rng(1), scenario.servers + 1
    environments.reset(seed=1)

    def play() -> int:
        if environments.done:
            environments.reset()
        environments.step(rng.integers(actions, size=environments.rows))
        return num_envs

    return play


def vector_env(scenario: offramp.Scenario, num_envs: int) -> Play:
    environments = offramp.vector_env(scenario, num_envs)
    rng, actions = np.random.default_rng(1), scenario.servers + 1
    environments.reset(seed=1)

    def play() -> int:  # A step after the last one begins new episodes by itself.
        environments.step(rng.integers(actions, size=environments.num_envs))
        return num_envs

    return play


def parallel_env(scenario: offramp.Scenario, _: int = 1) -> Play:
    environment = offramp.parallel_env(scenario)
    rng, actions = np.random.default_rng(1), scenario.servers + 1
    environment.reset(seed=1)

    def play() -> int:
        if not environment.agents:
            environment.reset()
        agents = environment.agents
        environment.step(dict(zip(agents, rng.integers(actions, size=len(agents)).tolist())))
        return 1

    return play


def env(scenario: offramp.Scenario, _: int = 1) -> Play:
    environment = offramp.env(scenario)
    rng, actions = np.random.default_rng(1), scenario.servers + 1
    environment.reset(seed=1)

    def play() -> int:
        _, _, over, _, _ = environment.step(rng.integers(actions, size=scenario.devices))
        if over:
            environment.reset()
        return 1

    return play


INTERFACES: tuple[tuple[str, Callable[[offramp.Scenario, int], Play], int], ...] = (
    ("Batch", batch, 256),
    ("Batch", batch, 64),
    ("vector_env", vector_env, 64),
    ("parallel_env", parallel_env, 1),
    ("env", env, 1),
)


def measure(play: Play, devices: int, seconds: float) -> Rate:
    for _ in range(3):
        play()
    steps, wall, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < seconds:
        steps += play()
    cpu = time.process_time() - cpu
    wall = time.perf_counter() - wall
    return Rate(steps / wall, steps * devices / wall, steps * devices / cpu)


def profile(name: str, play: Play, seconds: float) -> None:
    profiler, end = cProfile.Profile(), time.perf_counter() + seconds
    profiler.enable()
    while time.perf_counter() < end:
        play()
    profiler.disable()
    print(f"\n{name}")
    pstats.Stats(profiler).strip_dirs().sort_stats("tottime").print_stats(14)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one short repetition")
    parser.add_argument("--profile", action="store_true", help="profile instead of measuring")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a repetition")
    parser.add_argument("--repetitions", type=int, default=5)
    args = parser.parse_args()
    seconds, repetitions = (0.1, 1) if args.quick else (args.seconds, args.repetitions)
    scenario = offramp.Scenario.load(SCENARIO)
    made: list[tuple[str, int, Play]] = [(n, size, make(scenario, size)) for n, make, size in INTERFACES]
    if args.profile:
        for name, size, play in made:
            profile(f"{name}, {size} environments", play, seconds)
        return

    # All interfaces in turn, so that a slow moment of the machine does not fall on one of them.
    rates: list[list[Rate]] = [[] for _ in made]
    for _ in range(repetitions):
        for found, (_, _, play) in zip(rates, made):
            found.append(measure(play, scenario.devices, seconds))
    print(
        f"{scenario.name}: {scenario.devices} devices, {scenario.servers} servers; "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; Python {platform.python_version()}, "
        f"NumPy {np.__version__}; median of {repetitions} × {seconds:g} s\n"
    )
    print("| interface    | environments |   steps/s | device-slots/s |       lowest … highest | per CPU-second |")
    print("|--------------|--------------|-----------|----------------|------------------------|----------------|")
    for (name, size, _), found in zip(made, rates):
        middle = Rate(*(statistics.median(values) for values in zip(*found)))
        low, high = (pick(rate.device_slots for rate in found) for pick in (min, max))
        print(
            f"| {name:12} | {size:12} | {middle.steps:9,.0f} | {middle.device_slots:14,.0f} "
            f"| {f'{low:,.0f} … {high:,.0f}':>22} | {middle.per_cpu_second:14,.0f} |"
        )
    print("\nMeasured elsewhere, not in this run:")
    for name, speed in ELSEWHERE:
        print(f"- {name}: {speed}")


if __name__ == "__main__":
    main()
