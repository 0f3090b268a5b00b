//! Randomness: no two purposes draw from one stream, and today's streams stay what they are, since
//! every stored result depends on them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use offramp_harness::seeds;
use offramp_model::rng::{Purpose, Stream, StreamFamily, WHOLE_RUN};
use offramp_model::{Arrival, Episode, ObservationSpec, System, Workload};
use offramp_tests::{Fields, Sandbox, example, plugin, quoted};
use proptest::prelude::*;

/// Every purpose of the workspace. A new one belongs here.
const PURPOSES: [(&str, Purpose); 18] = [
    ("arrivals", Purpose::ARRIVALS),
    ("power modes", Purpose::POWER_MODE),
    ("devices", Purpose::DEVICE),
    ("servers", Purpose::SERVER),
    ("uplinks", Purpose::UPLINK),
    ("policies", seeds::POLICY),
    ("explorers", seeds::EXPLORER),
    ("learners", seeds::LEARNER),
    ("validation", seeds::VALIDATION),
    ("tasks of trainings", seeds::TRAINING_TASKS),
    ("tasks of datasets", seeds::DATASET_TASKS),
    ("search", seeds::SEARCH),
    ("selection", seeds::SELECTION),
    ("systems", seeds::SYSTEMS),
    ("references", seeds::REFERENCES),
    ("judged tasks", seeds::JUDGED),
    ("teachers", seeds::TEACHER),
    ("live runs", seeds::LIVE),
];

/// What shares a stream under the same seed, and why that is so. All of it is part of stored
/// results; nothing may be added.
const SAME: [(&str, &str, &str); 1] = [(
    "evaluation",
    "learner",
    "a policy is created under the seed of a learner: nothing of one run uses both",
)];

/// The seed under which tasks are drawn, of that of a scenario.
type OfTasks = fn(u64) -> u64;

/// The seed under which each purpose draws its tasks, as a function of the seed that a user sets.
const TASKS: [(&str, OfTasks); 6] = [
    ("training", seeds::training_tasks),
    ("a dataset", seeds::dataset_tasks),
    ("validation", seeds::validation),
    ("selection", seeds::selection),
    ("a live run", seeds::live),
    ("evaluation", |seed| seed),
];

#[test]
fn each_purpose_has_a_number_of_its_own() {
    let numbers = PURPOSES.map(|(_, purpose)| purpose.number());
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
}

fn first(mut stream: Stream) -> u64 {
    stream.next_u64()
}

/// All that is drawn once for a whole run under `seed`: a seed handed on.
fn of_a_run(seed: u64) -> Vec<(String, u64)> {
    let mut drawn = vec![
        ("evaluation".to_owned(), seeds::evaluation(seed)),
        ("learner".to_owned(), seeds::learner(seed)),
        ("explorer".to_owned(), seeds::explorer(seed)),
        ("teacher".to_owned(), seeds::teacher(seed)),
        ("validation".to_owned(), seeds::validation(seed)),
        ("training_tasks".to_owned(), seeds::training_tasks(seed)),
        ("dataset_tasks".to_owned(), seeds::dataset_tasks(seed)),
        ("selection".to_owned(), seeds::selection(seed)),
        ("live".to_owned(), seeds::live(seed)),
    ];
    for (name, purpose) in [PURPOSES[2], PURPOSES[3], PURPOSES[4]] {
        let stream = StreamFamily::new(seed, WHOLE_RUN, purpose).of(0);
        drawn.push((name.to_owned(), first(stream)));
    }
    drawn
}

/// All that is drawn in one episode (or step) under `seed`: a seed handed on, or the
/// first number of a stream.
fn of_an_episode(seed: u64, episode: u64) -> Vec<(String, u64)> {
    let mut drawn = vec![
        ("policy_episode".to_owned(), seeds::policy_episode(seed, episode)),
        ("explorer_episode".to_owned(), seeds::explorer_episode(seed, episode)),
        ("exploration".to_owned(), first(seeds::exploration(seed, episode))),
    ];
    let tasks = |seed| first(StreamFamily::new(seed, episode, Purpose::ARRIVALS).of(0));
    drawn.extend(TASKS.map(|(name, under)| (format!("tasks of {name}"), tasks(under(seed)))));
    let system = |seed| first(seeds::system(seed, episode));
    drawn.extend(TASKS.map(|(name, under)| (format!("system of {name}"), system(under(seed)))));
    drawn.push(("search".to_owned(), first(seeds::search(seed, episode, 0))));
    drawn.push(("reference".to_owned(), first(seeds::reference(seed, episode))));
    drawn.push(("judged tasks".to_owned(), first(seeds::judged(seed, episode))));
    for device in [0, 1, 49] {
        let name = format!("mini_batch of device {device}");
        drawn.push((name, first(seeds::mini_batch(seed, episode, device))));
    }
    for (name, purpose) in [PURPOSES[1], PURPOSES[4]] {
        let name = format!("{name} of an episode");
        drawn.push((name, first(StreamFamily::new(seed, episode, purpose).of(0))));
    }
    drawn
}

#[test]
fn no_two_purposes_share_a_stream() {
    let mut seen: BTreeMap<u64, (String, String)> = BTreeMap::new();
    let mut excused = [false; SAME.len()];
    for seed in [0, 1, 2, 7, 20_261_124, u64::MAX] {
        let mut drawn: Vec<(String, String, u64)> = of_a_run(seed)
            .into_iter()
            .map(|(name, number)| (name, format!("seed {seed}"), number))
            .collect();
        for episode in [0, 1, 2, 49, 1_000, 1 << 40] {
            let when = format!("seed {seed}, episode {episode}");
            let own = of_an_episode(seed, episode).into_iter();
            drawn.extend(own.map(|(name, number)| (name, when.clone(), number)));
        }
        for (name, when, number) in drawn {
            let Some((other, other_when)) = seen.get(&number) else {
                seen.insert(number, (name, when));
                continue;
            };
            let listed = SAME.iter().position(|&(one, two, _)| {
                [(one, two), (two, one)].contains(&(name.as_str(), other.as_str()))
            });
            let listed = listed.filter(|_| when == *other_when);
            let Some(listed) = listed else {
                panic!("{name} ({when}) and {other} ({other_when}) share a stream");
            };
            excused[listed] = true;
        }
    }
    // An exception that is none any more must go.
    for (excused, (one, two, _)) in excused.iter().zip(SAME) {
        assert!(excused, "{one} and {two} differ");
    }
}

/// The first tasks of an episode: slot, device, and the bits of size, density and α.
fn first_tasks(system: &Arc<System>, seed: u64, episode: u64) -> Vec<(u32, u32, [u64; 3])> {
    let observation = ObservationSpec { history_slots: 1, ..ObservationSpec::PAPER };
    let mut episode = Episode::new(system, Workload::Drawn { seed, episode }, observation);
    let mut tasks = Vec::new();
    for slot in 0..20 {
        for &Arrival { device, size_mbit, density, alpha, .. } in episode.arrivals() {
            tasks.push((slot, device, [size_mbit, density, alpha].map(f64::to_bits)));
        }
        episode.advance(&vec![0; episode.arrivals().len()]).unwrap();
    }
    tasks
}

/// Seeds as users choose them, and any others; often the same twice.
fn two_seeds() -> impl Strategy<Value = (u64, u64)> {
    let seed = || prop_oneof![0..10_u64, any::<u64>()];
    prop_oneof![seed().prop_map(|seed| (seed, seed)), (seed(), seed())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Nothing is evaluated on tasks that it was trained on, distilled from or chosen by.
    #[test]
    fn tasks_of_different_purposes_differ(
        (one, two) in two_seeds(), episodes in prop_oneof![Just((0, 0)), (0..1000_u64, 0..1000_u64)],
    ) {
        let system = Arc::new(System::paper(4, 1));
        for (at, (name, under)) in TASKS.iter().enumerate() {
            let tasks = first_tasks(&system, under(one), episodes.0);
            prop_assert!(!tasks.is_empty());
            for (other, under) in &TASKS[at + 1..] {
                let others = first_tasks(&system, under(two), episodes.1);
                // No task is the same, whatever its slot and device: sizes have 53 random bits.
                let sizes: BTreeSet<u64> = others.iter().map(|(_, _, [size, ..])| *size).collect();
                let common = tasks.iter().filter(|(_, _, [size, ..])| sizes.contains(size)).count();
                prop_assert_eq!(common, 0, "{} under {} and {} under {}", name, one, other, two);
            }
        }
    }
}

/// What the commands print of tasks: under equal seeds too, trainings, datasets, validations and
/// evaluations have tasks of their own.
#[test]
fn the_commands_draw_tasks_of_their_own() {
    const EPISODES: usize = 4;
    let sandbox = Sandbox::new();
    let scenario = Fields::scenario("all")
        .set("system", Fields::new())
        .set("system.slots", 40)
        .set("policies", "[(plugin: \"linear\", checkpoint: \"trained/best.safetensors\")]")
        .set("train.learner", plugin("linear"))
        .set("train.episodes", EPISODES as u32)
        .set("train.validate_every", 1)
        .set("train.validate_episodes", 1)
        .set(
            "distill.teacher",
            plugin("linear").set("checkpoint", quoted("trained/best.safetensors")),
        )
        .set("distill.student", plugin("tree-student"))
        .set("distill.states", 1)
        .set("distill.steps", 2)
        .set("distill.rounds", 1)
        .set("distill.round_states", 1)
        .set("distill.batch", "PerDevice(1)")
        .set("distill.validate_every", 1)
        .set("distill.validate_episodes", 1)
        .set("evaluate.episodes", EPISODES as u32);
    sandbox.write("all.ron", scenario.to_string());
    let linear = example("linear").display().to_string();
    for (command, out) in [("train", "trained"), ("distill", "distilled"), ("run", "run")] {
        sandbox.succeed(&[command, "all.ron", "--out", out, "--plugins", &linear]);
    }
    let column = |file: &str, name: &str| -> Vec<u64> {
        let table = sandbox.read(file);
        let mut rows = table.lines().map(|row| row.split(',').collect::<Vec<_>>());
        let at = rows.next().unwrap().iter().position(|column| *column == name).unwrap();
        rows.map(|row| row[at].parse().unwrap()).collect()
    };
    let trained = column("trained/training.csv", "tasks");
    let evaluated = column("run/episodes.csv", "tasks");
    let states = column("distilled/distillation.csv", "states");
    let collected = [states[0], states[1] - states[0]];
    // The system has 50 devices: an episode has some 600 tasks, and a number tells it from others.
    let system = {
        let mut parameters = System::paper(50, 5).parameters().clone();
        parameters.arrival_slots = 40;
        Arc::new(System::new(parameters).unwrap())
    };
    let drawn = |seed: u64| -> Vec<u64> {
        (0..EPISODES as u64).map(|episode| count(&system, seed, episode)).collect()
    };
    assert_eq!(trained, drawn(seeds::training_tasks(1)));
    assert_eq!(evaluated, drawn(1));
    // Rounds have episodes far behind those of the teacher.
    let dataset = seeds::dataset_tasks(1);
    assert_eq!(collected, [0, 1 << 40].map(|episode| count(&system, dataset, episode)));
    let all = [trained, evaluated, drawn(dataset), drawn(seeds::validation(1))];
    let different: BTreeSet<&Vec<u64>> = all.iter().collect();
    assert_eq!(different.len(), all.len(), "{all:?}");
}

/// Number of tasks of an episode.
fn count(system: &Arc<System>, seed: u64, episode: u64) -> u64 {
    let observation = ObservationSpec { history_slots: 1, ..ObservationSpec::PAPER };
    let mut episode = Episode::new(system, Workload::Drawn { seed, episode }, observation);
    let mut tasks = 0;
    while !episode.is_over() {
        tasks += episode.arrivals().len() as u64;
        episode.advance(&vec![0; episode.arrivals().len()]).unwrap();
    }
    tasks
}

/// Part of every stored result.
#[test]
fn streams_under_seed_1_stay_what_they_are() {
    let drawn = of_a_run(1).into_iter().chain(of_an_episode(1, 2));
    let lines: Vec<String> =
        drawn.map(|(name, number)| format!("{name}: {number:#018x}")).collect();
    insta::assert_snapshot!(lines.join("\n"));
}
