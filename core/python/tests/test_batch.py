"""Batches: the same episodes as the engine's own, whatever their number and the threads."""

import numpy as np
import pytest

import offramp


def play(batch, choose, seed=1, episode=None):
    """Plays to the end; returns the slots and what ended."""
    observation, slots, ended = batch.reset(seed, episode), [], []
    while not batch.done:
        actions = choose(observation)
        step = batch.step(actions)
        slots.append((observation, actions))
        ended.append(step.ended)
        observation = step.observation
    return slots, ended


def modulo(observation):
    """A rule that depends on what is seen."""
    return (observation.device + np.round(observation.features[:, 0] * 10)).astype(int) % 4


def test_arrays_have_the_shapes_that_are_documented(tiny):
    batch = offramp.Batch(tiny, 5, parts=("features", "history", "tasks", "links", "servers"))
    seen = batch.reset(seed=1)
    rows, (of_tasks, of_links, of_servers) = batch.rows, tiny.columns()
    assert seen.env.shape == seen.device.shape == seen.decision.shape == (rows,)
    assert seen.features.shape == (rows, len(tiny.features))
    assert seen.history.shape == (5, 10, 3)
    assert seen.tasks.shape == (rows, len(of_tasks))
    assert seen.links.shape == (rows, len(of_links), 3)
    assert seen.servers.shape == (5, len(of_servers), 3)
    assert seen.features.dtype == np.float32 and seen.env.dtype == np.int64
    assert (np.diff(seen.env) >= 0).all() and seen.decision.tolist() == list(range(rows))
    only = offramp.Batch(tiny, 5, parts=())
    assert only.reset(seed=1).features is None and only.rows == rows


def test_what_servers_broadcast_ends_their_table(tiny):
    told = tiny.with_({"broadcast": ["uploads"], "tasks.size_mbit": 5})
    assert told.columns()[2] == [*tiny.columns()[2], "uploads"]
    batch = offramp.Batch(told, 2, parts=("servers",))
    seen = batch.reset(seed=1)
    assert seen.servers.shape == (2, 4, 3) and (seen.servers[:, 3] == 0).all()
    rows = seen.env
    seen = batch.step(np.ones(len(rows), int)).observation
    # Nothing is sent within a slot: what was decided is on its way to the first server.
    assert seen.servers[:, 3].tolist() == [[(rows == env).sum(), 0, 0] for env in range(2)]

    def least_uploads(slot):
        return np.full(len(slot.device), 1 + slot.server("uploads").argmin())

    assert offramp.evaluate(told, [least_uploads]).episodes.height == 4
    with pytest.raises(KeyError, match="there is no column `uploads`; there are: load, ghz"):
        offramp.evaluate(tiny, [least_uploads])


def test_every_decision_ends_once_and_names_itself(tiny):
    slots, ended = play(offramp.Batch(tiny, 3), modulo)
    asked = {}
    for slot, (seen, actions) in enumerate(slots):
        for row, number in enumerate(seen.decision.tolist()):
            asked[number] = (int(seen.env[row]), int(seen.device[row]), slot, int(actions[row]))
    answered = {}
    for tasks in ended:
        for row, number in enumerate(tasks.decision.tolist()):
            assert number not in answered
            answered[number] = (
                int(tasks.env[row]),
                int(tasks.device[row]),
                int(tasks.arrival_slot[row]),
                int(tasks.action[row]),
            )
    assert answered == asked and len(asked) > 50


def test_neither_threads_nor_neighbours_change_an_episode(paper):
    """200 environments are enough that several threads are used."""
    several, alone = offramp.Batch(paper, 200, dtype="float64"), offramp.Batch(
        paper, 200, dtype="float64", threads=1
    )
    single = offramp.Batch(paper, 1, dtype="float64")
    runs = [play(batch, modulo, seed=5) for batch in (several, alone)]
    for (seen, actions), (others, same) in zip(runs[0][0], runs[1][0]):
        assert np.array_equal(seen.features, others.features)
        assert np.array_equal(seen.history, others.history) and np.array_equal(actions, same)
    slots, ended = play(single, modulo, seed=5, episode=137)
    for (seen, _), (all_seen, _) in zip(slots, runs[0][0]):
        assert np.array_equal(seen.features, all_seen.features[all_seen.env == 137])
        assert np.array_equal(seen.history[0], all_seen.history[137])
    for tasks, all_tasks in zip(ended, runs[0][1]):
        assert np.array_equal(tasks.reward, all_tasks.reward[all_tasks.env == 137])


@pytest.mark.parametrize("policy", ["heuristic", "random"])
def test_evaluation_tasks_are_those_of_run(paper, policy):
    """A batch that replays a policy's decisions has the metrics of `offramp run`, to the bit."""
    taken = []

    class Recorded:
        def begin_episode(self, episode, seed):
            return lambda slot: (taken.append((episode, slot.slot, slot.device)) or 0 * slot.device)

    results = offramp.evaluate(paper, {"local": Recorded(), "all-local": "all-local"}, episodes=3, seed=11)
    frame = results.episodes
    local = [at for at, name in enumerate(frame["policy"]) if name == "local"]
    native = [at for at, name in enumerate(frame["policy"]) if name == "all-local"]
    for metric in ("qoe", "delay_slots", "energy", "dropped"):
        assert [frame[metric][at] for at in local] == [frame[metric][at] for at in native]
    batch = offramp.Batch(paper, 3, tasks="evaluation", dtype="float64")
    slots, ended = play(batch, lambda seen: 0 * seen.device, seed=11)
    asked = {(int(e), s, int(d)) for s, (seen, _) in enumerate(slots) for e, d in zip(seen.env, seen.device)}
    assert asked == {(episode, slot, int(d)) for episode, slot, devices in taken for d in devices}
    tasks = np.bincount(np.concatenate([tasks.env for tasks in ended]), minlength=3)
    dropped = np.bincount(
        np.concatenate([tasks.env for tasks in ended]),
        weights=np.concatenate([tasks.dropped for tasks in ended]),
        minlength=3,
    )
    assert tasks.tolist() == [frame["tasks"][at] for at in native]
    assert dropped.tolist() == [frame["dropped"][at] for at in native]


def test_training_tasks_are_in_no_evaluation(paper):
    firsts = [
        offramp.Batch(paper, 1, tasks=tasks).reset(seed=1)
        for tasks in ("training", "validation", "evaluation")
    ]
    assert len({seen.device.tobytes() + seen.features.tobytes() for seen in firsts}) == 3


def test_resets_continue_unless_told_otherwise(tiny):
    batch = offramp.Batch(tiny, 3)
    first = batch.reset(seed=4)
    assert (batch.seed, batch.episode) == (4, 0)
    second = batch.reset()
    assert (batch.seed, batch.episode) == (4, 3)
    assert not np.array_equal(first.features, second.features)
    assert np.array_equal(batch.reset(seed=4).features, first.features)
    assert np.array_equal(batch.reset(episode=3).features, second.features)


def test_observations_may_be_kept(tiny):
    batch = offramp.Batch(tiny, 3)
    seen = batch.reset(seed=1)
    before = seen.features.copy()
    batch.step(np.zeros(batch.rows, int))
    assert np.array_equal(seen.features, before)


def test_wrong_actions_cost_nothing(tiny):
    batch = offramp.Batch(tiny, 2)
    with pytest.raises(RuntimeError, match="call reset before step"):
        batch.step([])
    seen = batch.reset(seed=1)
    rows = batch.rows
    with pytest.raises(ValueError, match=f"{rows + 1} actions for {rows} tasks"):
        batch.step(np.zeros(rows + 1, int))
    with pytest.raises(ValueError, match=f"action 4 in row {rows - 1} .environment 1, device"):
        batch.step([0] * (rows - 1) + [4])
    with pytest.raises(ValueError, match="action -1 in row 0"):
        batch.step([-1] + [0] * (rows - 1))
    with pytest.raises(TypeError, match="integers are needed, not float64"):
        batch.step(np.zeros(rows))
    with pytest.raises(ValueError, match="9223372036854775808 is out of range"):
        batch.step(np.full(rows, 2**63, np.uint64))
    with pytest.raises(ValueError, match="leaves no numbers"):
        batch.reset(1, 2**64 - 1)
    with pytest.raises(TypeError, match="not bool"):
        batch.step(np.zeros(rows, bool))
    with pytest.raises(ValueError, match="shape"):
        batch.step(np.zeros((rows, 1), int))
    assert batch.slot == 0
    for kind in (np.int8, np.uint16, np.int64):
        batch.reset(seed=1)
        batch.step(np.full(rows, 3, kind))
    while not batch.done:
        seen = batch.step(np.zeros(batch.rows, int)).observation
    assert len(seen.env) == batch.rows == 0
    with pytest.raises(RuntimeError, match="the episodes are over: call reset"):
        batch.step([])


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"num_envs": 0}, ValueError),
        ({"num_envs": -1}, OverflowError),
        ({"num_envs": 1, "tasks": "test"}, ValueError),
        ({"num_envs": 1, "parts": ["feature"]}, ValueError),
        ({"num_envs": 1, "dtype": "int32"}, TypeError),
        ({"num_envs": 10**9}, MemoryError),
        ({"num_envs": 1, "threads": 10**4}, ValueError),
    ],
)
def test_wrong_arguments_are_refused(tiny, arguments, error):
    with pytest.raises(error):
        offramp.Batch(tiny, **arguments)


def test_recorded_tasks_are_divided(tmp_path):
    rows = "".join(f"{slot},0,{1 + slot / 1000},0.3\n" for slot in range(400))
    (tmp_path / "tasks.csv").write_text("slot,device,size_mbit,density\n" + rows)
    text = """(
        name: "recorded", system: (devices: 1, servers: 1, slots: 20),
        tasks: (arrivals: Recorded("tasks.csv")), recordings: (train: 0.5, validate: 0.25),
    )"""
    scenario = offramp.Scenario(text, tmp_path)

    def first(tasks):
        batch = offramp.Batch(scenario, 100, dtype=np.float64, tasks=tasks)
        sizes = batch.reset(seed=1).features[:, 0]
        return round((sizes.min() - 1) * 1000), round((sizes.max() - 1) * 1000)

    for tasks, low, high in [("training", 0, 180), ("validation", 200, 280), ("evaluation", 300, 380)]:
        least, most = first(tasks)
        assert low <= least < most <= high
    undivided = scenario.with_({"recordings": None})
    with pytest.raises(ValueError, match="training on what is evaluated"):
        offramp.Batch(undivided, tasks="training")
    offramp.Batch(undivided, tasks="evaluation").reset(seed=1)
