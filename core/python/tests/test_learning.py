"""Training, distillation and studies by the code of the commands."""

import pytest

import offramp

from conftest import SCENARIOS

LEARNING = """(
    name: "learning", system: (devices: 4, servers: 2, slots: 30),
    train: (
        learner: (plugin: "d3qn", parameters: (hidden: 4, batch: 8, warm_up_slots: 20)),
        explorer: (plugin: "uniform"), episodes: 12, validate_every: 4, validate_episodes: 2,
    ),
    distill: (
        teacher: (plugin: "d3qn", checkpoint: "trained/best.safetensors", parameters: (hidden: 4)),
        student: (plugin: "student", parameters: (teacher_hidden: 4)),
        states: 500, steps: 40, validate_every: 20, validate_episodes: 2,
    ),
)"""


def test_train_distill_and_evaluate(tmp_path):
    scenario = offramp.Scenario(LEARNING, tmp_path)
    trained = offramp.train(scenario, tmp_path / "trained")
    assert trained.rows["episode"] == list(range(12)) and trained.checkpoint.exists()
    distilled = offramp.distill(scenario, tmp_path / "distilled")
    assert distilled.rows["step"] == [20, 40]
    results = offramp.evaluate(
        scenario,
        {
            "teacher": {"plugin": "d3qn", "checkpoint": trained.checkpoint, "parameters": {"hidden": 4}},
            "student": {
                "plugin": "student",
                "checkpoint": distilled.checkpoint,
                "parameters": {"teacher_hidden": 4},
            },
        },
        episodes=2,
    )
    assert not results.errors and results.mean("teacher").basis == "episodes of one training"
    again = offramp.evaluate(scenario, [trained, distilled], episodes=2)
    assert again.policies == ["trained", "distilled"]
    assert again.summary["qoe"] == results.summary["qoe"]
    assert offramp.read(tmp_path / "trained").rows == trained.rows
    with pytest.raises(offramp.ScenarioError, match="already exists"):
        offramp.train(scenario, tmp_path / "trained")
    longer = offramp.train(scenario, tmp_path / "trained", resume=True)
    assert longer.rows == trained.rows


def test_an_interrupted_training_continues_bit_identically(tmp_path):
    scenario = offramp.Scenario(LEARNING, tmp_path).with_({"train.episodes": 400})
    whole = offramp.train(scenario, tmp_path / "whole")
    done = []

    def stop(episode):
        done.append(episode)
        if episode > 3 and len(done) > 1:
            raise InterruptedError

    try:
        offramp.train(scenario, tmp_path / "parts", progress=stop)
    except InterruptedError:
        pass
    parts = offramp.train(scenario, tmp_path / "parts", resume=True)
    assert parts.rows == whole.rows
    for name in ("best.safetensors", "final.safetensors"):
        assert (parts.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_errors_of_learning(tmp_path, tiny):
    with pytest.raises(offramp.ScenarioError, match="nothing to train"):
        offramp.train(tiny, tmp_path / "x")
    scenario = offramp.Scenario(LEARNING, tmp_path)
    wrong = scenario.with_({"train.learner.parameters": "(hiden: 4)"})
    with pytest.raises(offramp.ScenarioError, match="hiden"):
        offramp.train(wrong, tmp_path / "x")
    with pytest.raises(offramp.ScenarioError, match="checkpoint"):
        offramp.distill(scenario, tmp_path / "x")
    never = scenario.with_({"train.episodes": 1, "train.learner.parameters.warm_up_slots": 100000})
    with pytest.raises(offramp.RunError):
        offramp.train(never, tmp_path / "y")


LIVE = """(
    name: "live", system: (devices: 4, servers: 2),
    live: (
        slots: 400, window_slots: 100, ceiling: "heuristic",
        drift: [(at: 200, set: { "tasks.arrival_probability": 0.6 })],
        policies: [
            (plugin: "heuristic"),
            (plugin: "d3qn", parameters: (hidden: 4, batch: 8, warm_up_slots: 20), learns: Alone),
        ],
    ),
)"""


def test_live(tmp_path):
    scenario = offramp.Scenario(LIVE, tmp_path)
    ticks = []
    run = offramp.live(scenario, tmp_path / "run", progress=ticks.append)
    assert run.rows["policy"] == ["heuristic"] * 4 + ["d3qn"] * 4
    assert run.rows["end_slot"] == [100, 200, 300, 400] * 2
    assert run.recovery["at_slot"] == [200, 200] and run.recovery["recovery_slots"][0] == 0
    assert run.summary["d3qn"]["updates"] > 0 and not run.errors
    assert (run.folder / "live.svg").exists()
    assert (run.folder / "report.html").exists()
    assert offramp.read(tmp_path / "run").rows == run.rows
    again = offramp.live(scenario, tmp_path / "run", resume=True, threads=1)
    assert again.rows == run.rows
    with pytest.raises(offramp.ScenarioError, match="already exists"):
        offramp.live(scenario, tmp_path / "run")
    with pytest.raises(offramp.ScenarioError, match="describes no live run"):
        offramp.live(offramp.Scenario(LEARNING, tmp_path), tmp_path / "x")


def test_reproduce(tmp_path):
    (tmp_path / "small.ron").write_text('(name: "small", system: (devices: 4, servers: 2, slots: 30))')
    study = tmp_path / "study.ron"
    study.write_text(
        """(
        name: "two", about: "Two rules.", scenario: "small.ron",
        training_seeds: [1], evaluate: (episodes: 3, seed: 9),
        policies: { "random": Fixed(plugin: "random"), "heuristic": Fixed(plugin: "heuristic") },
        items: [(id: "rules", title: "Rules", form: Table, policies: ["random", "heuristic"], metrics: [Qoe])],
    )"""
    )
    made = offramp.reproduce(study, tmp_path / "out")
    assert "Rules" in repr(made) and made.results["items"] if "items" in made.results else made.results
    assert (made.folder / "index.html").exists() and (made.folder / "rules.csv").exists()
    with pytest.raises(offramp.ScenarioError, match="there is no `x`"):
        offramp.reproduce(study, tmp_path / "out", only=["x"])
    with pytest.raises(offramp.ScenarioError, match="it is a scenario"):
        offramp.reproduce(SCENARIOS / "small.ron", tmp_path / "out2")
