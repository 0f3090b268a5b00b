//! Randomness: no two purposes draw from one stream, and today's streams stay what they are, since
//! every stored result depends on them.

use std::collections::BTreeMap;

use offramp_harness::seeds;
use offramp_model::rng::{Purpose, Stream, StreamFamily, WHOLE_RUN};
use offramp_results::statistics;
use offramp_tests::{read, workspace};

/// Every purpose of the workspace. A new one belongs here.
const PURPOSES: [(&str, Purpose); 12] = [
    ("arrivals", Purpose::ARRIVALS),
    ("power modes", Purpose::POWER_MODE),
    ("devices", Purpose::DEVICE),
    ("servers", Purpose::SERVER),
    ("uplinks", Purpose::UPLINK),
    ("policies", seeds::POLICY),
    ("explorers", seeds::EXPLORER),
    ("learners", seeds::LEARNER),
    ("validation", seeds::VALIDATION),
    ("bootstrap", statistics::BOOTSTRAP),
    ("search", seeds::SEARCH),
    ("selection", seeds::SELECTION),
];

/// What shares a stream under the same seed, and why that is so. All of it is part of stored
/// results; nothing may be added.
const SAME: [(&str, &str, &str); 3] = [
    (
        "evaluation",
        "learner",
        "a policy is created under the seed of a learner: nothing of one run uses both",
    ),
    (
        "tasks of training",
        "tasks of evaluation",
        "an episode's tasks follow from seed and number alone: whoever evaluates what was trained \
         chooses another seed, as studies do",
    ),
    ("tasks of training", "tasks of a dataset", "likewise"),
];

#[test]
fn each_purpose_has_a_number_of_its_own() {
    let numbers = PURPOSES.map(|(_, purpose)| purpose.number());
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14]);
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
        ("selection".to_owned(), seeds::selection(seed)),
    ];
    for (name, purpose) in [PURPOSES[2], PURPOSES[3], PURPOSES[4]] {
        let stream = StreamFamily::new(seed, WHOLE_RUN, purpose).of(0);
        drawn.push((name.to_owned(), first(stream)));
    }
    drawn
}

/// All that is drawn in one episode (or step, or draw) under `seed`: a seed handed on, or the
/// first number of a stream.
fn of_an_episode(seed: u64, episode: u64) -> Vec<(String, u64)> {
    let mut drawn = vec![
        ("policy_episode".to_owned(), seeds::policy_episode(seed, episode)),
        ("explorer_episode".to_owned(), seeds::explorer_episode(seed, episode)),
        ("exploration".to_owned(), first(seeds::exploration(seed, episode))),
    ];
    let tasks = |seed| first(StreamFamily::new(seed, episode, Purpose::ARRIVALS).of(0));
    drawn.push(("tasks of training".to_owned(), tasks(seed)));
    drawn.push(("tasks of a dataset".to_owned(), tasks(seed)));
    drawn.push(("tasks of evaluation".to_owned(), tasks(seed)));
    drawn.push(("tasks of validation".to_owned(), tasks(seeds::validation(seed))));
    drawn.push(("tasks of selection".to_owned(), tasks(seeds::selection(seed))));
    drawn.push(("search".to_owned(), first(seeds::search(seed, episode, 0))));
    for device in [0, 1, 49] {
        let name = format!("mini_batch of device {device}");
        drawn.push((name, first(seeds::mini_batch(seed, episode, device))));
    }
    for (name, purpose) in [PURPOSES[1], PURPOSES[4]] {
        let name = format!("{name} of an episode");
        drawn.push((name, first(StreamFamily::new(seed, episode, purpose).of(0))));
    }
    let bootstrap = StreamFamily::new(seed, episode, statistics::BOOTSTRAP).of(0);
    drawn.push(("bootstrap".to_owned(), first(bootstrap)));
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

/// The one that shares tasks between training and evaluation under one seed is the user; the
/// paper's study does not.
#[test]
fn the_paper_s_study_evaluates_on_tasks_that_no_training_saw() {
    let study = read(&workspace().join("scenarios/reproduce/paper.ron"));
    let seed = study.split("evaluate: (episodes: 50, seed: ").nth(1).unwrap();
    let seed: u64 = seed.split(')').next().unwrap().parse().unwrap();
    let lists = study.split("training_seeds: [").skip(1);
    let trained: Vec<u64> = lists
        .flat_map(|list| list.split(']').next().unwrap().split(", "))
        .map(|seed| seed.parse().unwrap())
        .collect();
    assert!(trained.len() >= 3 && !trained.contains(&seed), "{seed} of {trained:?}");
}

/// Part of every stored result.
#[test]
fn streams_under_seed_1_stay_what_they_are() {
    let drawn = of_a_run(1).into_iter().chain(of_an_episode(1, 2));
    let lines: Vec<String> =
        drawn.map(|(name, number)| format!("{name}: {number:#018x}")).collect();
    insta::assert_snapshot!(lines.join("\n"));
}
