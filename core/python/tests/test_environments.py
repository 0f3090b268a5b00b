"""The environments pass the checkers of the packages whose interfaces they have."""

import copy
import pickle

import numpy as np
import pytest

import offramp

gymnasium = pytest.importorskip("gymnasium")
pytest.importorskip("pettingzoo")


def test_pettingzoo_parallel_api(tiny):
    from pettingzoo.test import parallel_api_test, parallel_seed_test

    parallel_api_test(offramp.parallel_env(tiny), num_cycles=200)
    parallel_seed_test(lambda: offramp.parallel_env(tiny))


@pytest.mark.filterwarnings("error::UserWarning")
def test_gymnasium_check_env(tiny):
    from gymnasium.utils.env_checker import check_env

    env = offramp.env(tiny)
    # An observation has no bounds, which the checker would rather have.
    with pytest.MonkeyPatch.context():
        import warnings

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*infinity.*")
            warnings.filterwarnings("ignore", message=".*not within the range.*")
            warnings.filterwarnings("ignore", message=".*`spec`.*|.*spec is None.*|.*render.*")
            check_env(env, skip_render_check=True)


def test_stable_baselines3_check_env(tiny):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    checker.check_env(offramp.env(tiny), warn=True)


def test_vector_env_is_a_vector_env(tiny):
    venv = offramp.vector_env(tiny, num_envs=4)
    assert isinstance(venv, gymnasium.vector.VectorEnv) and venv.num_envs == 4 * 6
    seen, info = venv.reset(seed=3)
    assert seen in venv.observation_space and info["has_task"].shape == (24,)
    steps, total = 0, 0.0
    while True:
        seen, reward, terminated, truncated, info = venv.step(venv.action_space.sample())
        assert seen in venv.observation_space and reward.shape == terminated.shape == (24,)
        steps += 1
        total += reward.sum()
        if terminated.any():
            break
    assert terminated.all() and not truncated.any() and steps == tiny.slots
    # The next step begins new episodes.
    seen, reward, terminated, _, _ = venv.step(venv.action_space.sample())
    assert not terminated.any() and not reward.any()
    again, _ = venv.reset(seed=3, options={"episode": 4})
    assert np.array_equal(again, seen)
    wrapped = gymnasium.wrappers.vector.RecordEpisodeStatistics(venv)
    wrapped.reset(seed=3)
    for _ in range(tiny.slots):
        *_, info = wrapped.step(np.zeros(24, int))
    assert info["episode"]["l"].tolist() == [tiny.slots] * 24
    assert total != 0.0


def test_all_interfaces_play_the_same_episodes(paper):
    """The same actions: the same observations and rewards, bit-identical."""
    slots = paper.slots
    rng = np.random.default_rng(0)
    actions = rng.integers(0, 6, (slots, 50))
    one, many = offramp.env(paper, tasks="evaluation"), offramp.vector_env(paper, 3, tasks="evaluation")
    agents = offramp.parallel_env(paper, tasks="evaluation")
    first, _ = one.reset(seed=5)
    of_many, _ = many.reset(seed=5)
    of_agents, _ = agents.reset(seed=5)
    names = list(agents.possible_agents)
    for slot in range(slots):
        assert np.array_equal(of_many[:50], first)
        stacked = np.stack([of_agents[name]["observation"] for name in names])
        assert np.array_equal(stacked, first)
        first, reward, over, _, info = one.step(actions[slot])
        of_many, rewards, *_ = many.step(np.tile(actions[slot], 3))
        of_agents, of_each, overs, _, infos = agents.step(dict(zip(names, actions[slot])))
        assert reward == rewards[:50].sum() == pytest.approx(sum(of_each.values()))
        assert rewards[:50].tolist() == [of_each[name] for name in names]
        late = sum(len(infos[name].get("ended", [])) for name in names)
        assert late == len(info["ended"].device) == int((many.ended.env == 0).sum())
    assert over and all(overs.values()) and agents.agents == []


def test_masks_close_what_is_out_of_reach(tiny):
    rates = [[14.0, 0.0, 14.0]] * 5 + [[0.0, 0.0, 0.0]]
    scenario = tiny.with_({"system.uplink_mbps": f"PerPair({rates})"})
    venv = offramp.vector_env(scenario, 2)
    _, info = venv.reset(seed=1)
    mask, waits = info["action_mask"], info["has_task"]
    assert mask[:, 0].all() and not mask[:, 2].any() and not mask[5].any(where=[False, True, True, True])
    assert (mask[:5, 1] == waits[:5]).all() and waits.any()
    env = offramp.parallel_env(scenario)
    seen, _ = env.reset(seed=1)
    assert seen["device_5"]["action_mask"].tolist() == [1, 0, 0, 0]


def test_masks_follow_the_rates_of_a_world_that_moves(tiny):
    # Devices cross a border of the coverage of a weak station.
    world = """(
        width_m: 400, height_m: 50, stations: [(0, 25)],
        mobility: RandomWaypoint(speed_mps: (30, 60)),
        radio: (shadowing: None, fading: None, transmit_dbm: 0, path_loss: LogDistance(exponent: 3, reference_db: 43)),
    )"""
    scenario = tiny.with_({"world": offramp.Ron(world), "system.servers": 1, "tasks.arrival_probability": 1.0})
    env = offramp.env(scenario)
    batch = offramp.Batch(scenario, parts=("links",))
    _, info = env.reset(seed=1)
    seen = batch.reset(seed=1)
    rate = scenario.columns()[1].index("uplink_mbps")
    counts = set()
    while seen.device.size:
        covered = seen.links[:, rate, 0] > 0
        assert (info["action_mask"][seen.device, 1] == covered).all() and info["action_mask"][:, 0].all()
        counts.add(int(covered.sum()))
        *_, info = env.step(np.zeros(scenario.devices, int))
        seen = batch.step(np.zeros(seen.device.size, int)).observation
    assert len(counts) > 1


def test_closed_and_wrong_environments_say_so(tiny):
    env = offramp.env(tiny)
    with pytest.raises(RuntimeError, match="call reset"):
        env.step(np.zeros(6, int))
    env.reset(seed=1)
    with pytest.raises(ValueError, match="shape"):
        env.step(np.zeros(5, int))
    with pytest.raises(ValueError, match="0 … 3"):
        env.step(np.full(6, 4))
    with pytest.raises(TypeError, match="integers"):
        env.step(np.zeros(6))
    env.close()
    with pytest.raises(RuntimeError, match="call reset"):
        env.step(np.zeros(6, int))
    agents = offramp.parallel_env(tiny)
    with pytest.raises(RuntimeError, match="call reset"):
        agents.step({})
    agents.reset(seed=1)
    with pytest.raises(ValueError, match="0 … 3"):
        agents.step({"device_0": 9})
    with pytest.raises(RuntimeError, match="call reset"):
        offramp.vector_env(tiny).step(np.zeros(6, int))


def test_seeds_are_those_of_gymnasium(tiny):
    # Two first slots without a task would be equal whatever their seeds.
    tiny = tiny.with_({"tasks.arrival_probability": 1.0})
    for make in (offramp.env, offramp.vector_env, offramp.parallel_env):
        one, other = make(tiny), make(tiny)
        seen = [str(env.reset()[0]) for env in (one, other)]
        assert seen[0] != seen[1], "without a seed it is drawn"
        assert str(one.reset(seed=9)[0]) == str(other.reset(seed=np.int64(9))[0])
        assert str(one.reset()[0]) == str(other.reset()[0])
    venv = offramp.vector_env(tiny)
    venv.reset(seed=4)
    assert venv.np_random_seed == 4
    with pytest.raises(TypeError, match="one number"):
        venv.reset(seed=[1, 2])
    with pytest.raises(ValueError, match="reset together"):
        venv.reset(options={"reset_mask": np.ones(6, bool)})


def test_copies_begin_anew(tiny):
    for make in (offramp.env, offramp.vector_env, offramp.parallel_env):
        env = make(tiny)
        env.reset(seed=3)
        for again in (pickle.loads(pickle.dumps(env)), copy.deepcopy(env), copy.copy(env)):
            assert str(again.reset(seed=3)[0]) == str(env.reset(seed=3)[0])
    with pytest.raises(TypeError, match="make another one"):
        copy.deepcopy(offramp.Batch(tiny))


def test_infos_are_those_of_a_vector_env(tiny):
    wrapped = gymnasium.wrappers.vector.DictInfoToList(offramp.vector_env(tiny))
    wrapped.reset(seed=1)
    for _ in range(tiny.slots):
        *_, infos = wrapped.step(np.zeros(6, int))
    assert len(infos) == 6 and "has_task" in infos[0]
