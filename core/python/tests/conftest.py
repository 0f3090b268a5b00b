"""Scenarios that the tests share: the repository's own, in a size that is quick."""

from pathlib import Path

import pytest

import offramp

SCENARIOS = Path(__file__).resolve().parents[3] / "scenarios"

SMALL = """(
    name: "tiny",
    system: (devices: 6, servers: 3, slots: 20),
    policies: [(plugin: "random"), (plugin: "heuristic")],
    evaluate: (episodes: 4, seed: 7),
)"""


@pytest.fixture
def tiny() -> offramp.Scenario:
    """Six devices and three servers."""
    return offramp.Scenario(SMALL)


@pytest.fixture
def paper() -> offramp.Scenario:
    """The scenario of the paper."""
    return offramp.Scenario.load(SCENARIOS / "paper.ron")
