use std::collections::BTreeMap;

use offramp_nn::checkpoint::Checkpoint;
use offramp_plugin::testing::Bench;
use offramp_plugin::{EndedTask, Exportable, Mergeable, Saved};
use proptest::prelude::*;

use super::*;

/// A short training in the bench's system, in which everything stays finite.
fn train(bench: &mut Bench, policy: &mut Generalist, devices: u32, servers: usize) {
    bench
        .episode(0, |start| policy.begin_episode(&EpisodeStart { training: true, ..*start }))
        .unwrap();
    for slot in 0..60 {
        bench.slot = slot;
        let load = |j: usize| f64::from((slot * 7 + j as u32) % 5);
        bench.set_server("load", &(0..servers).map(load).collect::<Vec<_>>());
        bench.history.rotate_left(servers);
        let newest = bench.history.len() - servers;
        (0..servers).for_each(|j| bench.history[newest + j] = load(j));
        bench.set_link(0, "backlog_mbit", &(0..servers).map(load).collect::<Vec<_>>());
        let actions = bench.decide(policy).unwrap();
        if teaches(bench) {
            let value = |number: usize| ((number * 29 + slot as usize) % 70) as f32 - 30.0;
            let values: Vec<f32> = (0..actions.len() * (1 + servers)).map(value).collect();
            let loss = bench.observe(|seen| policy.fit(seen, &values)).unwrap();
            assert!(loss.is_finite() && loss >= -1e-6, "{loss}");
        }
        let ended = |device: u32| EndedTask {
            device,
            arrival_slot: slot,
            action: actions[device as usize],
            delay_slots: 1,
            dropped: false,
            reward: if slot % 3 == 0 { -60.0 } else { f64::from(slot % 40) },
            energy: [0.0; 4],
        };
        let ended: Vec<_> = (0..devices).map(ended).collect();
        let progress = bench.learn(policy, &actions, &ended).unwrap();
        assert!(progress.loss.is_finite());
    }
    // One that learns from rewards is not judged.
    if policy.judged_tasks() > 0 {
        let gain = |number: usize| (number * 37 % 100) as f64 - 60.0;
        let gains: Vec<f64> = (0..60 * devices as usize * (1 + servers)).map(gain).collect();
        let tasks = |of: fn(u32, u32) -> u32| -> Vec<u32> {
            (0..60).flat_map(|slot| (0..devices).map(move |device| of(slot, device))).collect()
        };
        let (slots, numbers) = (tasks(|slot, _| slot), tasks(|_, device| device));
        let judged = Counterfactuals {
            devices: numbers[..].into(),
            arrival_slots: slots[..].into(),
            gains: gains[..].into(),
        };
        policy.judge(&judged).unwrap();
    }
    policy.end_episode().unwrap();
    let checkpoint = Checkpoint::from_bytes(&policy.checkpoint().unwrap()).unwrap();
    checkpoint.expect_finite().unwrap();
}

/// Whether its parameters ask for a teacher.
fn teaches(bench: &Bench) -> bool {
    bench.parameters.contains("Teacher") || bench.parameters.contains("imitate")
}

const SMALL: &str = "lstm: 2, embedding: 4, hidden: 3, batch: 8, replay: 40, every_slots: 2, \
                     warm_up_slots: 0";

/// A bench with these parameters beside small ones.
fn bench(devices: usize, servers: usize, more: &str) -> Bench {
    let mut bench = Bench::new(devices, servers);
    bench.parameters = format!("({SMALL}, {more})");
    bench
}

/// Trained in systems of three, of one and of five servers; with draws of each kind.
fn trained(more: &str) -> Generalist {
    let mut policy: Generalist = bench(2, 3, more).create().unwrap();
    for servers in [3, 1, 5] {
        train(&mut bench(2, servers, more), &mut policy, 2, servers);
    }
    policy
}

const KINDS: [&str; 7] = [
    "learn_from: Rewards",
    "learn_from: Rewards, n_step: 3, predictions: false",
    "learn_from: Rewards, priority: 0.6, deploy: Evaluation",
    "draw: Experiences, optimiser: RmsProp(0.01), target: Hard(3)",
    "learn_from: Counterfactuals(3)",
    "learn_from: Counterfactuals(3), imitate: 0.5",
    "learn_from: Teacher(9)",
];

#[test]
fn a_resumed_training_is_bit_identical_to_an_uninterrupted_one() {
    for more in KINDS {
        let mut one = trained(more);
        let mut other: Generalist = bench(2, 3, more).create().unwrap();
        let saved = one.save().unwrap();
        other.load(&saved).unwrap();
        assert_eq!(other.save().unwrap(), saved, "{more}");
        for policy in [&mut one, &mut other] {
            train(&mut bench(3, 2, more), policy, 3, 2);
        }
        assert_eq!(other.save().unwrap(), one.save().unwrap(), "{more}");
        assert_eq!(other.checkpoint().unwrap(), one.checkpoint().unwrap());
    }
}

#[test]
fn what_contradicts_itself_is_not_resumed() {
    let saved = Checkpoint::from_bytes(&trained(KINDS[2]).save().unwrap()).unwrap();
    let refused = |change: fn(&mut Checkpoint)| {
        let mut changed = saved.clone();
        change(&mut changed);
        let mut policy: Generalist = bench(2, 3, KINDS[2]).create().unwrap();
        policy.load(&changed.to_bytes().unwrap()).err().map(|error| error.message().to_owned())
    };
    assert_eq!(refused(|_| ()), None);
    let contradicts = Some("the saved training contradicts itself".to_owned());
    let changes: [fn(&mut Checkpoint); 6] = [
        |state| state.put_u64("log.ends", [7, 7]),
        |state| state.put_u64("log.episodes", [0, 0, 0, 20, 3]),
        |state| state.put_u64("log.episodes", [u64::MAX, 0, 0, u64::MAX, 3]),
        |state| state.put_u64("replay.whole", [0, 1 << 60, 0, 0]),
        |state| state.put_u64("replay.priorities", [f64::NAN.to_bits()]),
        |state| state.put_u64("counts", [7]),
    ];
    for change in changes {
        assert_eq!(refused(change), contradicts);
    }
}

#[test]
fn it_decides_in_systems_that_it_was_not_trained_in() {
    let checkpoint = trained(KINDS[0]).checkpoint().unwrap();
    for servers in [1, 2, 7] {
        let mut bench = bench(4, servers, "");
        bench.checkpoint = Some(checkpoint.clone());
        let mut policy: Generalist = bench.create().unwrap();
        let actions = bench.decide(&mut policy).unwrap();
        assert!(actions.iter().all(|&action| action as usize <= servers));
        // The same, if the episode states it after a creation in another system.
        let mut elsewhere = self::bench(4, 3, "");
        elsewhere.checkpoint = Some(checkpoint.clone());
        let mut roaming: Generalist = elsewhere.create().unwrap();
        bench.episode(0, |start| roaming.begin_episode(start)).unwrap();
        assert_eq!(bench.decide(&mut roaming).unwrap(), actions);
        let mut values = vec![f32::NAN; 4 * (1 + servers)];
        bench.observe(|seen| roaming.values(seen, &mut values)).unwrap();
        for (values, action) in values.chunks_exact(1 + servers).zip(actions) {
            assert_eq!(offramp_nn::argmax(values), action as usize);
        }
    }
}

/// Values are in units of reward: twice the deadline is twice the R_base.
#[test]
fn values_are_in_units_of_reward() {
    let mut bench = bench(1, 2, "predictions: false");
    let mut policy: Generalist = bench.create().unwrap();
    let mut values = [0.0; 3];
    bench.observe(|seen| policy.values(seen, &mut values)).unwrap();
    let mut raw = [0.0; 3];
    bench.observe(|seen| policy.evaluate(seen, &mut raw)).unwrap();
    assert_eq!(values, raw.map(|q| q * 40.0));
    bench.set_task(0, "deadline_slots", 20.0);
    bench.observe(|seen| policy.values(seen, &mut values)).unwrap();
    bench.observe(|seen| policy.evaluate(seen, &mut raw)).unwrap();
    assert_eq!(values, raw.map(|q| q * 80.0));
}

#[test]
fn reordered_servers_reorder_decisions() {
    let mut policy = trained(KINDS[0]);
    let order = [2, 0, 3, 1];
    let mut bench = bench(3, 4, "");
    let mut reordered = bench.clone();
    let numbers = |seed: u32| -> Vec<f64> {
        (0..4).map(|j| f64::from((seed * 31 + j * 17) % 23) / 3.0).collect()
    };
    let permuted = |numbers: &[f64]| order.map(|j| numbers[j]);
    let both = |set: &dyn Fn(&mut Bench, &[f64]), bench: &mut Bench, other: &mut Bench, seed| {
        let numbers = numbers(seed);
        set(bench, &numbers);
        set(other, &permuted(&numbers));
    };
    for device in 0..3 {
        for (number, column) in
            ["backlog_mbit", "uplink_mbps", "predicted_delay_slots", "predicted_energy"]
                .into_iter()
                .enumerate()
        {
            let set = |bench: &mut Bench, numbers: &[f64]| bench.set_link(device, column, numbers);
            both(&set, &mut bench, &mut reordered, (device * 4 + number) as u32);
        }
    }
    both(&|bench, n| bench.set_server("load", n), &mut bench, &mut reordered, 40);
    let faster: Vec<f64> = numbers(41).iter().map(|ghz| ghz + 10.0).collect();
    bench.set_server("ghz", &faster);
    reordered.set_server("ghz", &permuted(&faster));
    for slot in 0..10 {
        let loads = numbers(50 + slot as u32);
        bench.history[4 * slot..4 * slot + 4].copy_from_slice(&loads);
        reordered.history[4 * slot..4 * slot + 4].copy_from_slice(&permuted(&loads));
    }
    let mut values = |bench: &Bench| {
        bench.episode(0, |start| policy.begin_episode(start)).unwrap();
        let mut values = vec![0.0; 15];
        bench.observe(|seen| policy.values(seen, &mut values)).unwrap();
        (values, bench.decide(&mut policy).unwrap())
    };
    let ((values, actions), (others, other_actions)) = (values(&bench), values(&reordered));
    for row in 0..3 {
        let (values, others) = (&values[row * 5..][..5], &others[row * 5..][..5]);
        assert!((values[0] - others[0]).abs() < 1e-4);
        for (place, &j) in order.iter().enumerate() {
            assert!((others[1 + place] - values[1 + j]).abs() < 1e-4, "{values:?} {others:?}");
        }
        let there = match other_actions[row] {
            0 => 0,
            action => 1 + order[action as usize - 1] as u32,
        };
        assert_eq!(there, actions[row]);
    }
}

#[test]
fn parameters_are_set_as_they_were_returned() {
    let one = trained(KINDS[0]);
    let mut other: Generalist = bench(2, 3, "").create().unwrap();
    let parameters = one.parameters(0).unwrap();
    assert_ne!(other.parameters(0).unwrap(), parameters);
    other.set_parameters(0, &parameters).unwrap();
    assert_eq!(other.parameters(0).unwrap(), parameters);
    assert!(other.set_parameters(0, &parameters[1..]).is_err());
}

#[test]
fn it_is_exported_for_any_number_of_servers() {
    let checkpoint = trained(KINDS[0]).checkpoint().unwrap();
    for &format in Generalist::formats() {
        let request = offramp_plugin::ExportRequest {
            format: format.into(),
            network: 0,
            name: "policy".into(),
        };
        let files = Generalist::export(&checkpoint, &request).unwrap();
        assert!(!files.is_empty() && files.iter().all(|file| !file.bytes.is_empty()));
        if format == "c" {
            let header = String::from_utf8(files[0].bytes.clone()).unwrap();
            assert!(header.contains("POLICY_MAX_SERVERS") && header.contains("predicted_reward"));
            // A program that knows this file alone can compute all it hands over.
            let lines: Vec<&str> = header.lines().collect();
            let numbered = |line: &str| line.trim_start().starts_with(|c: char| c.is_ascii_digit());
            let (features, described): (Vec<_>, Vec<_>) = lines
                .windows(2)
                .filter(|pair| {
                    let line = pair[0];
                    line.starts_with("    ") && !line.starts_with("          ") && numbered(line)
                })
                .map(|pair| (pair[0], pair[1].starts_with("          ")))
                .unzip();
            assert_eq!(features.len(), 23, "{header}");
            assert!(described.iter().all(|described| *described), "{header}");
            for stated in
                ["size * rho / (f * s) / D", "Each is load_j / share_j", "share_j: N * f_j"]
            {
                assert!(header.contains(stated), "{stated} in {header}");
            }
            assert!(header.is_ascii());
        }
    }
}

/// Which of its decisions are drawn depends on the seed of the episode and the slot alone.
#[test]
fn drawn_decisions_depend_on_episode_and_slot_alone() {
    let checkpoint = trained(KINDS[4]).checkpoint().unwrap();
    let mut bench = bench(200, 2, "");
    bench.checkpoint = Some(checkpoint);
    let decided = |seed: u64, slot: u32, decided_before: usize| {
        let mut bench = bench.clone();
        bench.slot = slot;
        let mut policy: Generalist = bench.create().unwrap();
        bench.episode(0, |start| policy.begin_episode(&EpisodeStart { seed, ..*start })).unwrap();
        let mut actions = vec![UNDECIDED; 200];
        actions[..decided_before].fill(0);
        bench.observe(|seen| policy.decide(seen, &mut actions)).unwrap();
        actions
    };
    let actions = decided(5, 3, 0);
    // All rows are alike, so one action would be taken by all if the largest decided.
    assert!((0..3).all(|action| actions.contains(&action)), "{actions:?}");
    assert_eq!(decided(5, 3, 0), actions);
    assert_ne!(decided(6, 3, 0), actions);
    assert_ne!(decided(5, 4, 0), actions);
    // An explorer's decisions do not move those after them.
    assert_eq!(decided(5, 3, 90)[90..], actions[90..]);
}

#[test]
fn a_checkpoint_states_how_it_decides() {
    let mut checkpoint = Checkpoint::from_bytes(&trained("").checkpoint().unwrap()).unwrap();
    assert_eq!(checkpoint.metadata["temperature"], "0.05");
    checkpoint.metadata.insert("temperature".to_owned(), "1".to_owned());
    let refused = refusal("", Some(checkpoint.to_bytes().unwrap()));
    assert_eq!(refused, "the checkpoint has the temperature 1, and 0.05 is needed");
}

#[test]
fn what_has_learned_from_rewards_decides_by_the_largest() {
    let checkpoint = Checkpoint::from_bytes(&trained(KINDS[0]).checkpoint().unwrap()).unwrap();
    assert!(!checkpoint.metadata.contains_key("temperature"));
}

/// Two slots of a training, in the first of which a teacher prefers the action of its row.
fn taught(more: &str, teacher: bool) -> Result<(), Error> {
    let bench = bench(2, 3, more);
    let mut policy: Generalist = bench.create().unwrap();
    bench.episode(0, |start| policy.begin_episode(&EpisodeStart { training: true, ..*start }))?;
    let actions = bench.decide(&mut policy)?;
    if teacher {
        bench.observe(|seen| policy.fit(seen, &[0.0; 8]))?;
    }
    bench.learn(&mut policy, &actions, &[])?;
    policy.end_episode()
}

#[test]
fn a_teacher_that_is_missing_or_useless_is_named() {
    let refused = |more: &str, teacher| taught(more, teacher).unwrap_err().message().to_owned();
    assert!(taught("learn_from: Teacher(9)", true).is_ok());
    assert!(taught("", true).is_ok());
    assert!(refused("learn_from: Teacher(9)", false).contains("name one as `train.teacher`"));
    assert!(refused("imitate: 0.5", false).contains("name one as `train.teacher`"));
    assert!(taught("imitate: 0.5", true).is_ok() && taught("imitate: 0.0", false).is_ok());
    assert!(refused("learn_from: Rewards", true).contains("leave out `train.teacher`"));
    let bench = bench(2, 3, "");
    let mut policy: Generalist = bench.create().unwrap();
    let refused = bench.observe(|seen| policy.fit(seen, &[0.0; 8])).unwrap_err();
    assert!(refused.message().contains("not by a data set"), "{}", refused.message());
}

#[test]
fn a_task_that_it_has_not_seen_is_not_judged() {
    let mut bench = bench(2, 3, "");
    let mut policy: Generalist = bench.create().unwrap();
    train(&mut bench, &mut policy, 2, 3);
    let judged = |slot: u32, device: u32| Counterfactuals {
        devices: [device][..].to_owned().leak()[..].into(),
        arrival_slots: [slot][..].to_owned().leak()[..].into(),
        gains: [0.0; 4][..].to_owned().leak()[..].into(),
    };
    for (slot, device) in [(60, 0), (5, 2)] {
        let refused = policy.judge(&judged(slot, device)).unwrap_err();
        assert_eq!(refused.message(), format!("device {device} had no task in slot {slot}"));
    }
}

fn refusal(parameters: &str, checkpoint: Option<Vec<u8>>) -> String {
    let mut bench = bench(3, 5, parameters);
    bench.checkpoint = checkpoint;
    bench.create::<Generalist>().err().unwrap().message().to_owned()
}

#[test]
fn what_differs_from_a_checkpoint_is_named() {
    let checkpoint = trained(KINDS[0]).checkpoint().unwrap();
    let refused = refusal("predictions: false", Some(checkpoint.clone()));
    assert!(refused.contains("`local_delay` as device feature 8 of 10"), "{refused}");
    let mut bench = Bench::new(3, 5);
    bench.checkpoint = Some(checkpoint);
    let refused = bench.create::<Generalist>().err().unwrap();
    let expected = "the checkpoint has 2 neurons in the LSTM, and 8 are needed; for this checkpoint set \
                    `parameters: (lstm: 2, embedding: 4, hidden: 3)`";
    assert_eq!(refused.message(), expected);
}

#[test]
fn what_would_learn_nothing_is_refused() {
    assert_eq!(
        refusal("n_step: 0, learn_from: Rewards", None),
        "n_step: 0 is out of range: 1 to 100 is needed"
    );
    assert_eq!(
        refusal("n_step: 2", None),
        "n_step: 2 is out of range: `learn_from: Rewards` is needed"
    );
    assert_eq!(
        refusal("fit: 1.0, learn_from: Rewards", None),
        "fit: 1.0 is out of range: `learn_from: Counterfactuals(…)` is needed"
    );
    assert_eq!(
        refusal("level: 0.5, learn_from: Rewards", None),
        "level: 0.5 is out of range: `learn_from: Counterfactuals(…)` is needed"
    );
    assert_eq!(
        refusal("imitate: 0.5, learn_from: Teacher(400)", None),
        "imitate: 0.5 is out of range: `learn_from: Counterfactuals(…)` is needed"
    );
    assert_eq!(
        refusal("n_step: 2, learn_from: Teacher(400)", None),
        "n_step: 2 is out of range: `learn_from: Rewards` is needed"
    );
    assert_eq!(
        refusal("learn_from: Counterfactuals(0)", None),
        "learn_from: 0 is out of range: 1 to 1000000 is needed"
    );
    assert_eq!(
        refusal("priority: 0.5, draw: Slots(4), learn_from: Rewards", None),
        "draw: Slots(4) is out of range: with `priority`, `Experiences` is needed"
    );
    let short = |parameters: &str, slots: u64| {
        let mut bench = Bench::new(3, 5);
        bench.parameters = format!("({parameters})");
        bench.learning_steps = slots;
        bench.create::<Generalist>().err().map(|refused| refused.message().to_owned())
    };
    assert_eq!(
        short("", 600).unwrap(),
        "it learns nothing before slot 1000 (`warm_up_slots: 1000`, `every_slots: 25`), and learns in 600 slots"
    );
    let every = short("warm_up_slots: 0, every_slots: 700", 600).unwrap();
    assert!(every.contains("nothing before slot 700"), "{every}");
    assert_eq!((short("", 1000), short("", 0)), (None, None));
    let mut bench = Bench::new(3, 5);
    bench.parameters = "(replay: 10000000)".to_owned();
    let refused = bench.create::<Generalist>().err().unwrap();
    assert!(refused.message().contains("GiB"), "{}", refused.message());
}

#[test]
fn states_without_tables_are_refused() {
    let bench = bench(2, 2, "");
    let mut policy: Generalist = bench.create().unwrap();
    let refused = bench.observe(|seen| {
        let states = Observation { tasks: [].as_slice().into(), ..*seen };
        policy.values(&states, &mut [0.0; 6]).unwrap_err()
    });
    assert!(refused.message().contains("these states have none"), "{}", refused.message());
}

/// Numbers that someone may write, few of which make sense.
const NUMBERS: [&str; 14] = [
    "0.0", "-1.0", "NaN", "inf", "1e-320", "1e-30", "1e-7", "0.001", "0.5", "1.0", "100.0", "1e6",
    "1e30", "1e308",
];
const COUNTS: [&str; 8] = ["-1", "0", "1", "2", "7", "64", "1000000000", "18446744073709551615"];

const FIELDS: [(&str, &[&str]); 21] = [
    ("imitate", &NUMBERS),
    ("level", &NUMBERS),
    ("fit", &NUMBERS),
    ("learn_from", &["Rewards", "Counterfactuals(0)", "Counterfactuals(9)", "Teacher(9)"]),
    ("lstm", &COUNTS),
    ("embedding", &COUNTS),
    ("hidden", &COUNTS),
    ("predictions", &["true", "false"]),
    ("n_step", &COUNTS),
    ("batch", &COUNTS),
    ("replay", &COUNTS),
    ("every_slots", &COUNTS),
    ("warm_up_slots", &COUNTS),
    ("devices", &COUNTS),
    ("anneal", &NUMBERS),
    ("priority", &NUMBERS),
    ("draw", &["Experiences", "Slots(0)", "Slots(1)", "Slots(3)"]),
    ("clip", &NUMBERS),
    ("discount", &NUMBERS),
    (
        "optimiser",
        &["Adam(0.0)", "Adam(1e-30)", "Adam(NaN)", "Adam(1.0)", "RmsProp(1.0)", "Adam(1e308)"],
    ),
    ("loss", &["Squared", "Huber(0.0)", "Huber(1e-30)", "Huber(0.001)", "Huber(inf)"]),
];

const BASE: [(&str, &str); 8] = [
    ("learn_from", "Rewards"),
    ("lstm", "2"),
    ("embedding", "4"),
    ("hidden", "3"),
    ("batch", "4"),
    ("replay", "40"),
    ("every_slots", "1"),
    ("warm_up_slots", "0"),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
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
        bench.parameters = format!("({})", fields.join(", "));
        if let Ok(mut policy) = bench.create::<Generalist>() {
            train(&mut bench, &mut policy, 2, 2);
        }
    }
}
