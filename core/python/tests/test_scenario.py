"""Scenarios as values: read, changed, compared, pickled."""

import copy
import multiprocessing
import pickle

import numpy as np
import pytest

import offramp

from conftest import SCENARIOS


def test_a_file_is_read_with_its_system(paper):
    assert (paper.name, paper.devices, paper.servers, paper.slots) == ("paper", 50, 5, 110)
    assert paper.features[:3] == ["size_mbit", "compute_queue_slots", "uplink_queue_slots"]
    assert paper.feature_scales.shape == (len(paper.features),)
    assert paper.reachable().shape == (50, 5) and paper.reachable().all()
    assert (paper.observation, paper.history_slots, paper.history_scale) == ("Paper", 10, 10.0)


CYCLE: dict = {}
CYCLE["a"] = CYCLE


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("tasks.arrival_probability", 0.5, "arrival_probability: 0.5"),
        ("tasks.arrival_probability", np.float32(0.5), "arrival_probability: 0.5"),
        ("system.devices", np.int64(9), "devices: 9"),
        ("isolate", False, "isolate: false"),
        ("observation", "Extended", "observation: Extended"),
        ("observation", ["alpha", "load"], 'observation: ["alpha", "load"]'),
        ("about", "A test (small).", 'about: "A test (small)."'),
        ("tasks.size_mbit", "Uniform(2.0, 3.0)", "size_mbit: Uniform(2.0, 3.0)"),
        ("policies.0.plugin", "all-local", 'plugin: "all-local"'),
        ("policies.0.parameters", {"temperature": 2.0}, "parameters: (temperature: 2.0)"),
        ("policies", "[]", "policies: []"),
        ("sweep", {"system.devices": [2, 3]}, 'sweep: {"system.devices": [2, 3]}'),
        ("sweep", {}, "sweep: {}"),
        ("policies.0.parameters", {"a": offramp.Ron("Greedy"), "b": "c"}, '(a: Greedy, b: "c")'),
    ],
)
def test_values_become_ron(tiny, field, value, text):
    changed = tiny.with_(**{field: value})
    assert text in changed.text
    assert text not in tiny.text, "a scenario never changes"
    assert tiny.with_({field: value}) == changed


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("system.device", 3, "did you mean `devices`?"),
        ("system.devices", 0, "out of range"),
        ("system.devices", 2.5, "a whole number is needed, not 2.5"),
        ("tasks.arrival_probability", 2, "a number from 0 to 1 is needed"),
        ("observation", "Extendet", "Extendet"),
        ("name.nested", 1, "no field `name.nested`"),
        ("system.devices", "3), name: (4", ""),
        ("", 1, "a field needs a name"),
        ("system.devices", object(), "system.devices: a number, a boolean"),
        ("tasks", CYCLE, "tasks: values are nested more than 100 deep"),
    ],
)
def test_wrong_values_are_explained(tiny, field, value, message):
    with pytest.raises(offramp.ScenarioError, match=None) as caught:
        tiny.with_(**{field: value})
    assert message in str(caught.value)
    assert isinstance(caught.value, (offramp.Error, ValueError))


def test_errors_have_the_place_in_the_file(tmp_path):
    path = tmp_path / "wrong.ron"
    path.write_text('(\n    name: "x",\n    sytem: (devices: 5),\n)')
    with pytest.raises(offramp.ScenarioError) as caught:
        offramp.Scenario.load(path)
    assert "wrong.ron:3:5" in str(caught.value) and "did you mean `system`?" in str(caught.value)
    with pytest.raises(offramp.ScenarioError, match="none.ron"):
        offramp.Scenario.load(tmp_path / "none.ron")
    study = SCENARIOS / "reproduce" / "paper.ron"
    with pytest.raises(offramp.ScenarioError, match="it is a study"):
        offramp.Scenario.load(study)


def test_a_sweep_has_points_and_no_environment(tiny):
    swept = offramp.Scenario(
        tiny.text[:-1] + 'sweep: { "tasks.arrival_probability": [0.1, 0.2] },)'
    )
    assert swept.points == 2
    with pytest.raises(offramp.ScenarioError, match="sweep of 2 points"):
        offramp.Batch(swept)
    assert len(offramp.evaluate(swept)) == 4


def _of(scenario):
    return offramp.evaluate(scenario, ["random"]).to_dict()["runs"][0]["metrics"]["qoe"]


def test_scenarios_are_pickled_for_other_processes(paper):
    for again in (pickle.loads(pickle.dumps(paper)), copy.deepcopy(paper)):
        assert again == paper and hash(again) == hash(paper) and again.folder == paper.folder
    small = paper.with_({"evaluate.episodes": 2})
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(_of, [small]) == [_of(small)]


def test_a_forked_process_has_threads_of_its_own(paper):
    batch = offramp.Batch(paper, 200)
    first = batch.reset(seed=3)
    small = paper.with_({"evaluate.episodes": 2})
    expected = _of(small)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(_of, [small, small]) == [expected] * 2
        seen = pool.apply(_reset, (batch.scenario,))
    assert np.array_equal(seen, first.features)


def _reset(scenario):
    return offramp.Batch(scenario, 200).reset(seed=3).features
