//! Decisions, in training and deployed, and what parameters allow.

use std::collections::BTreeMap;

use offramp_nn::checkpoint::Checkpoint;
use offramp_plugin::testing::Bench;
use offramp_plugin::{EndedTask, Saved};
use proptest::prelude::*;

use super::*;

/// Numbers that someone may write, few of which make sense.
const NUMBERS: [&str; 14] = [
    "0.0", "-1.0", "NaN", "inf", "1e-320", "1e-30", "1e-7", "0.001", "0.5", "1.0", "100.0", "1e6",
    "1e30", "1e308",
];
const COUNTS: [&str; 8] = ["-1", "0", "1", "2", "7", "64", "1000000000", "18446744073709551615"];

const FIELDS: [(&str, &[&str]); 17] = [
    ("hidden", &COUNTS),
    ("actors", &["0", "3", "4", "5", "1000000000"]),
    ("rounds", &COUNTS),
    ("steps", &COUNTS),
    ("batch", &COUNTS),
    ("replay", &COUNTS),
    ("every_slots", &COUNTS),
    ("anneal", &NUMBERS),
    ("mutation", &NUMBERS),
    ("discount", &NUMBERS),
    ("trust", &NUMBERS),
    ("critic_rate", &NUMBERS),
    ("actor_rate", &NUMBERS),
    ("entropy", &NUMBERS),
    ("clip", &NUMBERS),
    ("reward_scale", &NUMBERS),
    ("target", &["Hard(0)", "Hard(1)", "Soft(0.0)", "Soft(1e-30)", "Soft(1.0)", "Soft(NaN)"]),
];

const BASE: [(&str, &str); 5] =
    [("hidden", "3"), ("actors", "4"), ("rounds", "1"), ("batch", "4"), ("replay", "40")];

/// Short trainings, one after the other, so that a generation evolves.
fn trainings(bench: &mut Bench, policy: &mut DcDrl) {
    for _ in 0..6 {
        train(bench, policy);
    }
}

/// A short training, in which everything stays finite.
fn train(bench: &mut Bench, policy: &mut DcDrl) {
    bench
        .episode(0, |start| policy.begin_episode(&EpisodeStart { training: true, ..*start }))
        .unwrap();
    for slot in 0..12 {
        bench.slot = slot;
        let actions = bench.decide(policy).unwrap();
        let ended = |device: u32| EndedTask {
            device,
            arrival_slot: slot,
            action: actions[device as usize],
            delay_slots: 1,
            dropped: false,
            reward: if slot % 3 == 0 { -60.0 } else { f64::from(slot) },
            energy: [0.0; 4],
        };
        let all: Vec<EndedTask> = (0..actions.len() as u32).map(ended).collect();
        let progress = bench.learn(policy, &actions, &all).unwrap();
        assert!(progress.loss.is_finite());
    }
    policy.end_episode().unwrap();
    let checkpoint = Checkpoint::from_bytes(&policy.checkpoint().unwrap()).unwrap();
    checkpoint.expect_finite().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn accepted_parameters_train_finitely(
        changes in prop::collection::btree_map(0..FIELDS.len(), any::<prop::sample::Index>(), 1..4)
    ) {
        let mut fields: BTreeMap<&str, &str> = BASE.into_iter().collect();
        for (field, value) in changes {
            let (name, values) = FIELDS[field];
            fields.insert(name, values[value.index(values.len())]);
        }
        let fields: Vec<String> =
            fields.into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let mut bench = Bench::new(2, 2);
        bench.learning_steps = 6 * 12;
        bench.parameters = format!("({})", fields.join(", "));
        if let Ok(mut policy) = bench.create::<DcDrl>() {
            trainings(&mut bench, &mut policy);
        }
    }
}

fn refusal(parameters: &str) -> String {
    let mut bench = Bench::new(3, 2);
    bench.parameters = parameters.to_owned();
    bench.create::<DcDrl>().err().unwrap().message().to_owned()
}

#[test]
fn what_would_learn_nothing_or_not_fit_is_refused() {
    assert_eq!(
        refusal("(replay: 100)"),
        "batch: 128 is out of range: at most `replay`, which is 100, is needed"
    );
    assert_eq!(
        refusal("(target: Soft(1e-30))"),
        "target: 1e-30 is out of range: 1e-6 to 1.0 is needed"
    );
    assert!(refusal("(hidden: 4096, actors: 1024)").contains("GiB"));
}

#[test]
fn logits_that_are_not_finite_are_an_error() {
    let mut bench = Bench::new(3, 2);
    let mut policy: DcDrl = bench.create().unwrap();
    Arc::make_mut(&mut policy.deployed).fill(f32::NAN);
    assert_eq!(
        bench.decide(&mut policy).unwrap_err().message(),
        "device 0 in slot 0: the logit of action 0 is NaN; only finite numbers decide"
    );
    bench.checkpoint = Some(policy.checkpoint().unwrap());
    let refused = bench.create::<DcDrl>().err().unwrap();
    assert!(refused.message().contains("finite numbers are needed"), "{}", refused.message());
}

/// Drawn decisions repeat with the episode's seed, and are not all the most probable one.
#[test]
fn a_deployed_actor_draws_with_the_seed_of_the_episode() {
    let decided = |deploy: &str, seed: u64| {
        let mut bench = Bench::new(200, 2);
        bench.parameters = format!("(deploy: {deploy})");
        let mut policy: DcDrl = bench.create().unwrap();
        bench.episode(0, |start| policy.begin_episode(&EpisodeStart { seed, ..*start })).unwrap();
        bench.decide(&mut policy).unwrap()
    };
    assert_eq!(decided("Sampled", 1), decided("Sampled", 1));
    assert_ne!(decided("Sampled", 1), decided("Sampled", 2));
    // All devices are in the same state.
    let greedy = decided("Greedy", 1);
    assert_eq!(greedy, decided("Greedy", 2));
    assert!(greedy.iter().all(|&action| action == greedy[0]));
}

#[test]
fn actions_are_drawn_by_their_cumulated_probabilities() {
    let at = [0.0, 0.24, 0.26, 0.74, 0.76, 0.99, 1.0];
    assert_eq!(at.map(|at| drawn(&[0.25, 0.5, 0.25], at)), [0, 0, 1, 1, 2, 2, 2]);
    // What is rounded off is the last one's.
    assert_eq!(drawn(&[0.3, 0.0, 0.6], 0.95), 2);
    assert_eq!(drawn(&[0.0, 1.0], 0.0), 1);
}

/// π of a network in a state.
fn policy_in(policy: &DcDrl, parameters: &[f32], state: &[f32]) -> Vec<f32> {
    let mut probabilities = Vec::new();
    let mut network = Perceptron::new(policy.shape);
    softmax(network.forward(parameters, state).iter().copied(), &mut probabilities);
    probabilities
}

/// The scaled state of all devices of a bench where nothing is set.
fn state(devices: f32) -> [f32; 8] {
    let load = devices / 2.0;
    [4.0 / 7.0, 0.0, 0.0, 0.0, 0.0, 0.5, 2.0 / load, 1.0 / load]
}

/// The last loads: server 1 has 2, server 2 has 1.
fn set_loads(bench: &mut Bench) {
    let newest = bench.history.len() - 2;
    bench.history[..newest].fill(9.0);
    bench.history[newest..].copy_from_slice(&[2.0, 1.0]);
}

#[test]
fn a_deployed_actor_takes_the_most_probable_action_or_draws_from_all() {
    let devices = 4000;
    for deploy in ["Greedy", "Sampled"] {
        let mut bench = Bench::new(devices, 2);
        set_loads(&mut bench);
        bench.parameters = format!("(deploy: {deploy})");
        let mut policy: DcDrl = bench.create().unwrap();
        // The running mean decides, not the actor of the gradient.
        Arc::make_mut(&mut policy.actor).fill(0.0);
        let actions = bench.decide(&mut policy).unwrap();
        let expected = policy_in(&policy, &policy.deployed, &state(devices as f32));
        for (action, probability) in (0..).zip(&expected) {
            let count = actions.iter().filter(|&&other| other == action).count();
            let share = count as f32 / devices as f32;
            let expected = match deploy {
                "Sampled" => *probability,
                _ => f32::from(u8::from(expected.iter().all(|other| other <= probability))),
            };
            assert!((share - expected).abs() < 0.035, "{deploy}: {share} {expected}");
        }
    }
}

/// A state is what the checkpoint's scaling makes of it, in a system of other sizes too.
#[test]
fn a_state_is_scaled_by_the_checkpoint() {
    let mut bench = Bench::new(6, 2);
    let trained: DcDrl = bench.create().unwrap();
    for devices in [6, 20] {
        let mut other = Bench::new(devices, 2);
        set_loads(&mut other);
        other.checkpoint = Some(trained.checkpoint().unwrap());
        let mut policy: DcDrl = other.create().unwrap();
        other.decide(&mut policy).unwrap();
        assert_eq!(policy.states, state(6.0).repeat(devices));
    }
    bench.parameters = "(hidden: 8)".to_owned();
    bench.checkpoint = Some(trained.checkpoint().unwrap());
    assert!(bench.create::<DcDrl>().is_err());
}

/// In training the actor whose turn it is draws; the probability of what was done is kept,
/// whoever proposed it, and its rewards are that actor's fitness.
#[test]
fn in_training_each_actor_of_the_population_plays() {
    let devices = 30;
    let mut bench = Bench::new(devices, 2);
    set_loads(&mut bench);
    bench.parameters = "(actors: 4, rounds: 100, reward_scale: 10.0, deploy: Greedy)".to_owned();
    let mut policy: DcDrl = bench.create().unwrap();
    for episode in 0..6 {
        bench
            .episode(0, |start| policy.begin_episode(&EpisodeStart { training: true, ..*start }))
            .unwrap();
        let mut actions = vec![UNDECIDED; devices];
        (actions[3], actions[4]) = (1, 2);
        bench.observe(|seen| policy.decide(seen, &mut actions)).unwrap();
        assert_eq!((actions[3], actions[4]), (1, 2));
        assert!(actions.iter().any(|&action| action != actions[0]));
        let learning = policy.learning.as_ref().unwrap();
        let player = episode % 4;
        let network = if player == 0 { &*policy.actor } else { &learning.population[player][..] };
        let probabilities = policy_in(&policy, network, &state(devices as f32));
        let expected: Vec<f32> =
            actions.iter().map(|&action| probabilities[action as usize]).collect();
        let close = learning.taken.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(close && learning.taken.len() == devices);
        let ended = [(0, -20.0), (1, 60.0)]
            .map(|(device, reward)| offramp_plugin::testing::ended(device, 0, reward));
        bench.learn(&mut policy, &actions, &ended).unwrap();
        let learning = policy.learning.as_ref().unwrap();
        let rounds = (episode / 4 + 1) as f64;
        assert_eq!(learning.fitness[player], [4.0 * rounds, 2.0 * rounds]);
        assert!(learning.taken.is_empty() && policy.states.is_empty());
        policy.end_episode().unwrap();
        let learning = policy.learning.as_ref().unwrap();
        assert_eq!(learning.replay.len(), 2 * (episode + 1));
        assert_eq!(learning.replay.transition(2 * episode).reward, -2.0);
        assert_eq!(learning.replay.transition(2 * episode + 1).probability, expected[1]);
    }
}

/// It updates every so many slots once it has a batch, and the deployed actor follows.
#[test]
fn updates_begin_with_a_batch_and_the_mean_follows() {
    let mut bench = Bench::new(10, 2);
    bench.parameters =
        "(actors: 4, hidden: 4, batch: 20, every_slots: 3, target: Soft(0.25))".to_owned();
    let mut policy: DcDrl = bench.create().unwrap();
    let mut slots = 0;
    let mut expected = policy.deployed.to_vec();
    let mut updates = 0;
    for episode in 0..4 {
        bench
            .episode(0, |start| policy.begin_episode(&EpisodeStart { training: true, ..*start }))
            .unwrap();
        for slot in 0..5 {
            bench.slot = slot;
            let actions = bench.decide(&mut policy).unwrap();
            let ended: Vec<EndedTask> = (0..10)
                .filter(|_| slot == 0)
                .map(|device| offramp_plugin::testing::ended(device, 0, 5.0))
                .collect();
            slots += 1;
            let progress = bench.learn(&mut policy, &actions, &ended).unwrap();
            // Two episodes of ten transitions are a batch.
            let due = episode >= 2 && slots % 3 == 0;
            updates += u64::from(due);
            assert_eq!((progress.updates, progress.recent_updates), (updates, u64::from(due)));
            assert_eq!(progress.loss > 0.0, due);
            if due {
                for (mean, actor) in expected.iter_mut().zip(&*policy.actor) {
                    *mean += 0.25 * (actor - *mean);
                }
            }
            let close = expected.iter().zip(&*policy.deployed);
            assert!(close.into_iter().all(|(a, b)| (a - b).abs() < 1e-6));
        }
        policy.end_episode().unwrap();
    }
    assert!(updates > 2);
}

/// Several parts of a batch learn the same on any number of threads.
#[test]
fn threads_do_not_change_what_is_learned() {
    let learned = |threads: usize| {
        let mut bench = Bench::new(50, 2);
        bench.learning_steps = 6 * 12;
        bench.parameters = "(hidden: 3, batch: 150, replay: 2000)".to_owned();
        let mut policy: DcDrl = bench.create().unwrap();
        policy.threads = threads;
        trainings(&mut bench, &mut policy);
        assert!(policy.learning.as_ref().is_some_and(|learning| learning.updates > 0));
        policy.save().unwrap()
    };
    assert_eq!(learned(1), learned(3));
}

/// A network sees the numbers it was trained on, in a system of other sizes too.
#[test]
fn scales_are_those_of_the_checkpoint() {
    let policy: DcDrl = Bench::new(3, 2).create().unwrap();
    let mut other = Bench::new(9, 2);
    other.checkpoint = Some(policy.checkpoint().unwrap());
    let deployed: DcDrl = other.create().unwrap();
    let here: DcDrl = Bench::new(9, 2).create().unwrap();
    let scaling = |policy: &DcDrl| policy.checkpoint.inputs().scaling.clone();
    assert_eq!(scaling(&deployed), scaling(&policy));
    assert_ne!(scaling(&deployed), scaling(&here));
}
