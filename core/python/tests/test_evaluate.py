"""Evaluation: by the code of the command, with policies of both worlds."""

import concurrent.futures
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import offramp


def shortest(slot):
    """To the server with the fewest active devices in the last slot."""
    return np.full(len(slot.device), 1 + int(np.argmin(slot.server("load"))))


def test_a_callable_equals_the_plugin_that_does_the_same(paper):
    results = offramp.evaluate(
        paper, {"all-local": "all-local", "mine": lambda slot: np.zeros(len(slot.device), int)}, episodes=3
    )
    frame = results.summary
    for metric in ("qoe", "delay_slots", "energy", "dropped"):
        assert frame[metric][0] == frame[metric][1]
    difference = results.difference("mine", "all-local")
    assert difference[:3] == (0.0, 0.0, 0.0) and difference.basis == "episodes"


def test_threads_change_nothing(paper):
    one, two = (
        offramp.evaluate(paper, [shortest, "random"], episodes=6, threads=threads) for threads in (1, 2)
    )
    drop = "decision_us"
    pick = lambda results: {k: v for k, v in results.episodes.items() if drop not in k}
    assert pick(one) == pick(two)


def test_frames_and_tables(paper, tmp_path):
    results = offramp.evaluate(paper, ["random", shortest], episodes=3, seed=2, out=tmp_path / "run")
    assert repr(results).startswith("paper: 3 episodes, seed 2\n| policy")
    assert results._repr_html_().startswith("<table><tr><th") and "shortest</td>" in results._repr_html_()
    assert results.policies == ["random", "shortest"]
    assert results.summary.height == 2 and results.episodes.height == 6
    again = offramp.read(tmp_path / "run")
    assert again.episodes == results.episodes and repr(again) == repr(results)
    assert (tmp_path / "run" / "run.json").exists()
    pandas = pytest.importorskip("pandas")
    frame = results.to_pandas()
    assert isinstance(frame, pandas.DataFrame) and frame["qoe"].tolist() == results.summary["qoe"]
    mean = results.episodes.to_pandas().groupby("policy")["qoe"].mean()
    assert mean["random"] == pytest.approx(results.summary["qoe"][0])
    pytest.importorskip("polars")
    assert results.to_polars()["policy"].to_list() == ["random", "shortest"]
    pytest.importorskip("pyarrow")
    assert results.episodes.to_arrow().num_rows == 6
    with pytest.raises(offramp.ScenarioError, match="already exists"):
        offramp.evaluate(paper, ["random"], episodes=3, out=tmp_path / "run")


def test_intervals_are_those_of_the_documented_statistics(paper):
    """Student's t over episodes, where nothing learns."""
    results = offramp.evaluate(paper, ["random", "heuristic"], episodes=12)
    frame = results.episodes
    of = lambda name: np.array([q for q, p in zip(frame["qoe"], frame["policy"]) if p == name])
    t = 2.200985160082949  # 97.5 %, 11 degrees of freedom
    for values, found in (
        (of("random"), results.mean("random")),
        (of("heuristic") - of("random"), results.difference("heuristic", "random")),
    ):
        half = t * values.std(ddof=1) / np.sqrt(12)
        assert found.value == pytest.approx(values.mean())
        assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half))
    assert "[" in str(found)
    with pytest.raises(KeyError, match="there is no policy `x`; there are: random, heuristic"):
        results.mean("x")
    with pytest.raises(KeyError, match="there is no metric `quality`"):
        results.mean("random", "quality")


def test_the_command_prints_the_same(paper, tmp_path):
    """`offramp run` on the same policies, if the command is there."""
    command = os.environ.get("OFFRAMP_COMMAND")
    if not command:
        pytest.skip("OFFRAMP_COMMAND names no command")
    scenario = paper.with_(policies='[(plugin: "random"), (plugin: "heuristic")]')
    scenario = scenario.with_({"evaluate.episodes": 3, "evaluate.seed": 2})
    path = tmp_path / "same.ron"
    path.write_text(scenario.text)
    run = [command, "run", path, "--out", tmp_path / "out", "--format", "json", "--quiet"]
    printed = json.loads(subprocess.run(run, check=True, capture_output=True).stdout)
    ours = offramp.evaluate(scenario).to_dict()
    for runs in (printed, ours):
        for one in runs["runs"]:
            one["metrics"] = {k: v for k, v in one["metrics"].items() if "decision_us" not in k}
    assert ours == printed


def test_what_a_callable_raises_is_raised(paper):
    def broken(slot):
        raise LookupError("on purpose")

    with pytest.raises(LookupError, match="on purpose"):
        offramp.evaluate(paper, [broken, "random"], episodes=2)
    for wrong, message in [
        (lambda slot: [0], "1 actions for"),
        (lambda slot: np.full(len(slot.device), 6), "out of range 0 … 5"),
        (lambda slot: np.zeros((len(slot.device), 2), int), "shape"),
        (lambda slot: np.zeros(len(slot.device)), "integers are needed"),
        (lambda slot: None, "integers are needed"),
    ]:
        with pytest.raises((ValueError, TypeError), match=message) as caught:
            offramp.evaluate(paper, {"mine": wrong}, episodes=1)
        assert str(caught.value).startswith("policy `mine`, slot 0: ")
    # And nothing of it is left for the next evaluation.
    assert not offramp.evaluate(paper, ["random"], episodes=1).errors


def test_bad_input_is_explained(paper, tmp_path):
    for policies, message in [
        (["heuristc"], "did you mean `heuristic`?"),
        ([{"plugin": "random", "chekpoint": "x"}], "checkpoint"),
        ([{"plugin": "d3qn"}], "has learned nothing without a checkpoint"),
        (["none.onnx"], "none.onnx"),
        ([], "there is no policy to run"),
        (["random", "random"], "random"),
    ]:
        with pytest.raises(offramp.ScenarioError) as caught:
            offramp.evaluate(paper, policies, episodes=1)
        assert message in str(caught.value)
    with pytest.raises(offramp.ScenarioError, match="shortest: what a callable does is not recorded"):
        offramp.evaluate(paper, [shortest], out=tmp_path / "x", resume=True)
    with pytest.raises(TypeError, match="an offramp.Scenario is needed"):
        offramp.evaluate("paper.ron", ["random"])
    for one in ("random", shortest):
        with pytest.raises(TypeError, match="a list or a dictionary of policies"):
            offramp.evaluate(paper, one)
    with pytest.raises(ValueError, match="threads: 10000 is not in range"):
        offramp.evaluate(paper, ["random"], episodes=1, threads=10**4)
    with pytest.raises(TypeError, match="a callable or a torch.nn.Module"):
        offramp.evaluate(paper, [3])
    with pytest.raises(offramp.ScenarioError, match="isolate"):
        offramp.evaluate(paper.with_(isolate=True), ["random"], episodes=1)
    with pytest.raises(offramp.ScenarioError, match="plugin path"):
        offramp.evaluate(paper, ["random"], episodes=1, plugins=[tmp_path / "none"])


def test_a_policy_with_memory_has_one_per_episode(paper):
    class Counts:
        def begin_episode(self, episode, seed):
            seen = []

            def decide(slot):
                assert not seen or seen[-1] < slot.slot
                seen.append(slot.slot)
                return np.full(len(slot.device), len(seen) % 6)

            return decide

    one, two = (offramp.evaluate(paper, [Counts()], episodes=6, threads=n).episodes for n in (1, 2))
    assert one["qoe"] == two["qoe"]


def test_other_threads_of_python_go_on(paper):
    """The interpreter's lock is released while native policies are evaluated."""
    ticks, over = [], threading.Event()

    def tick():
        while not over.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    begun = time.monotonic()
    offramp.evaluate(paper, ["heuristic"], episodes=3000)
    ended = time.monotonic()
    over.set()
    thread.join()
    assert sum(begun < tick < ended for tick in ticks) > 10


INTERRUPTED = """
import signal, sys, threading, os, time
import offramp
scenario = offramp.Scenario.load(sys.argv[1])
threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
begun = time.monotonic()
try:
    {call}
except KeyboardInterrupt:
    print("interrupted", time.monotonic() - begun < 60)
"""


@pytest.mark.parametrize(
    "call",
    [
        'offramp.evaluate(scenario, ["heuristic"], episodes=10**7)',
        'offramp.evaluate(scenario, ["heuristic"], episodes=10**7, out=sys.argv[2])',
        'offramp.evaluate(scenario, [lambda slot: time.sleep(0.1) or 0 * slot.device], episodes=50)',
        "offramp.train(scenario.with_(train='''(learner: (plugin: \"d3qn\"), episodes: 100000)'''), sys.argv[2])",
    ],
)
def test_ctrl_c_is_heard_in_a_long_call(paper, tmp_path, call):
    scenario = tmp_path / "long.ron"
    scenario.write_text(paper.text)
    script = INTERRUPTED.format(call=call)
    done = subprocess.run(
        [sys.executable, "-c", script, scenario, tmp_path / "out"], capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "interrupted True\n", done.stderr


def test_progress_is_reported_and_may_stop_a_call(paper):
    seen = []
    offramp.evaluate(paper, ["heuristic"], episodes=4000, progress=seen.append)
    assert seen == sorted(seen) and all(0 <= done <= 4000 for done in seen)

    def enough(done):
        raise StopIteration("enough")

    with pytest.raises(StopIteration, match="enough"):
        offramp.evaluate(paper, ["heuristic"], episodes=10**7, progress=enough)


def test_a_module_decides_by_its_largest_value(paper):
    torch = pytest.importorskip("torch")

    class Local(torch.nn.Module):
        def forward(self, features, history):
            assert history.shape == (len(features), 10, 5) and not self.training
            values = torch.zeros(len(features), 6)
            values[:, 0] = 1.0
            return values

    module = Local()
    results = offramp.evaluate(paper, {"net": module, "all-local": "all-local"}, episodes=2)
    assert results.summary["qoe"][0] == results.summary["qoe"][1]
    assert module.training

    class Wrong(torch.nn.Module):
        def forward(self, features):
            return torch.zeros(len(features), 3)

    with pytest.raises(ValueError, match="values of shape"):
        offramp.evaluate(paper, [Wrong()], episodes=1)


def test_exceptions_belong_to_their_own_call(paper):
    def raises(error):
        def broken(slot):
            raise error

        return broken

    def call(error):
        try:
            offramp.evaluate(paper, [raises(error)], episodes=20)
        except Exception as caught:
            return caught

    errors = [LookupError("a"), ArithmeticError("b"), OSError("c")]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        assert list(pool.map(call, errors)) == errors


def test_a_callable_may_evaluate(paper):
    """Whatever threads are at work, nothing waits for itself."""
    small = paper.with_({"evaluate.episodes": 2})

    def inner(slot):
        if slot.slot == 0:
            offramp.evaluate(small, ["random", shortest])
        return np.zeros(len(slot.device), int)

    results = offramp.evaluate(paper, {"inner": inner, "all-local": "all-local"}, episodes=6)
    assert results.summary["qoe"][0] == results.summary["qoe"][1]


def test_points_of_a_sweep_are_chosen(tiny):
    swept = tiny.with_(sweep={"tasks.arrival_probability": [0.1, 0.5]})
    results = offramp.evaluate(swept)
    with pytest.raises(KeyError, match="2 runs, one per point: choose a point with `at`"):
        results.mean("random")
    means = [results.at({"tasks.arrival_probability": z}).mean("random").value for z in (0.1, 0.5)]
    assert means == [results.summary["qoe"][0], results.summary["qoe"][2]]
    with pytest.raises(KeyError, match="no run is there"):
        results.at({"tasks.arrival_probability": 0.2})


def test_results_are_pickled(paper):
    results = offramp.evaluate(paper, ["random", "heuristic"], episodes=2)
    again = pickle.loads(pickle.dumps(results))
    assert again.episodes == results.episodes and repr(again) == repr(results)
