//! ε by hand, and what is proposed with it.

use offramp_plugin::testing::Bench;

use super::*;

/// Mean ε and what is proposed, in a slot of many draws.
fn proposed(bench: &Bench, rows: usize) -> (f64, Vec<u32>) {
    let mut explorer: HeuristicExplorer = bench.create_explorer().unwrap();
    let mut actions = vec![0; rows];
    let rate =
        bench.observe(|seen| explorer.propose(seen, &Progress::default(), &mut actions)).unwrap();
    (rate, actions)
}

fn assert_rate(bench: &Bench, expected: f64) {
    let (rate, _) = proposed(bench, 2);
    assert!((rate - expected).abs() < 1e-12, "{rate} instead of {expected}");
}

/// Two devices and two servers. A task of 4 Mbit at 14 Mbit/s and 42 GHz takes four slots of ten:
/// u = 0.4. Servers are idle: g = 0. α = 0.5.
fn bench(parameters: &str) -> Bench {
    let mut bench = Bench::new(2, 2);
    bench.learning_steps = 1100;
    bench.parameters = parameters.to_owned();
    bench
}

#[test]
fn exploration_falls_with_urgency_and_congestion_and_rises_with_alpha() {
    let mut bench = bench("(from: 0.5)");
    assert_rate(&bench, 0.5 * 0.8);
    // α of one of the two: the mean of both.
    bench.set_task(1, "alpha", 0.25);
    assert_rate(&bench, 0.5 * 0.8 * (1.0 + 0.75) / 2.0);
    bench.set_task(1, "alpha", 1.0);
    assert_rate(&bench, 0.5 * 0.8 * (1.0 + 1.5) / 2.0);
    bench.set_task(1, "alpha", 0.5);
    // A deadline of 5 slots: u = 0.8; of 3: 1 and no more.
    bench.set_task(1, "deadline_slots", 5.0);
    assert_rate(&bench, 0.5 * (0.8 + 0.6) / 2.0);
    bench.set_task(1, "deadline_slots", 3.0);
    assert_rate(&bench, 0.5 * (0.8 + 0.5) / 2.0);
    bench.set_task(1, "deadline_slots", 10.0);
    // 0.3 devices a server in the mean, of one if both were active, then more than that.
    bench.set_server("load", &[0.1, 0.5]);
    assert_rate(&bench, 0.5 * 0.8 * 0.85);
    bench.set_server("load", &[2.0, 2.0]);
    assert_rate(&bench, 0.5 * 0.8 * 0.5);
}

#[test]
fn epsilon_stays_between_its_floor_and_one() {
    assert_rate(&bench("(from: 3.0, to: 0.1)"), 1.0);
    assert_rate(&bench("(from: 0.05, to: 0.1)"), 0.1);
    assert_rate(&bench("(from: 0.05, to: 0.01)"), 0.04);
    // Of a slot without tasks, before urgency and all that.
    let (rate, none) = proposed(&bench("(from: 0.5, to: 0.1)"), 0);
    assert_eq!((rate, none.len()), (0.5, 0));
    assert_eq!(proposed(&bench("(from: 0.05, to: 0.1)"), 0).0, 0.1);
    assert_eq!(proposed(&bench("(from: 3.0, to: 0.1)"), 0).0, 1.0);
}

/// A share ε of the decisions is proposed, and those by the rules.
#[test]
fn so_many_decisions_are_those_of_the_rules() {
    let devices = 4000;
    let mut bench = Bench::new(devices, 2);
    bench.parameters = "(from: 0.5, temperature: 0.001)".to_owned();
    // Where only time counts, server 2 is the better one for each of them.
    for device in 0..devices {
        bench.set_task(device, "alpha", 1.0);
        bench.set_link(device, "uplink_mbps", &[14.0, 60.0]);
    }
    let (rate, actions) = proposed(&bench, devices);
    let share = |action: u32| {
        actions.iter().filter(|&&other| other == action).count() as f64 / devices as f64
    };
    // Two slots of ten: 0.5 · 0.9 · 1.5.
    assert!((rate - 0.675).abs() < 1e-9);
    assert!((share(2) - 0.675).abs() < 0.03 && (share(UNDECIDED) - 0.325).abs() < 0.03);
    assert_eq!(share(0) + share(1), 0.0);
    // At a high temperature, any of them.
    bench.parameters = "(from: 0.5, temperature: 1000.0)".to_owned();
    let (_, actions) = proposed(&bench, devices);
    let count = |action: u32| actions.iter().filter(|&&other| other == action).count();
    assert!((0..3).all(|action| count(action) > 400), "{:?}", [count(0), count(1), count(2)]);
}

/// `load_trust` is the rules': it moves what they predict, and with it u.
#[test]
fn trust_in_the_last_load_moves_the_prediction() {
    for (load_trust, urgency) in [(1.0, 0.4), (0.0, 0.5)] {
        let mut bench = bench(&format!("(from: 0.5, load_trust: {load_trust})"));
        // Alone at server 2, or as everywhere among 5 others: see the rules' own test.
        bench.set_server("load", &[10.0, 0.0]);
        assert_rate(&bench, 0.5 * (1.0 - 0.5 * urgency) * 0.5);
    }
}

/// What was drawn in one episode is drawn again with its seed, and the system is that of the episode.
#[test]
fn an_episode_begins_with_its_seed_and_system() {
    let mut bench = Bench::new(400, 2);
    bench.parameters = "(from: 0.5)".to_owned();
    let mut explorer: HeuristicExplorer = bench.create_explorer().unwrap();
    let mut drawn = |bench: &Bench, seed: u64| {
        bench.episode(0, |start| explorer.begin_episode(&EpisodeStart { seed, ..*start })).unwrap();
        bench.propose(&mut explorer, &Progress::default()).unwrap()
    };
    assert_eq!(drawn(&bench, 1), drawn(&bench, 1));
    assert_ne!(drawn(&bench, 1), drawn(&bench, 2));
    // 400 devices of which 20 are active at each server, then 40 of which 20 are: g = 0.1, then 1.
    let mut rate = |bench: &mut Bench| {
        bench.set_server("load", &[20.0, 20.0]);
        bench.episode(0, |start| explorer.begin_episode(start)).unwrap();
        bench.observe(|seen| explorer.propose(seen, &Progress::default(), &mut [0])).unwrap()
    };
    let (many, few) = (rate(&mut bench), rate(&mut Bench::new(40, 2)));
    assert!((few / many - 0.5 / 0.95).abs() < 1e-9, "{few} {many}");
}
