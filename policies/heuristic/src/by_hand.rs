//! The rules by hand: servers that are shared, and the choice among predictions.

use offramp_plugin::testing::Bench;
use offramp_plugin::{Context, EnergyAccounting, SystemSpec};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::rules::{Prediction, RuleParameters, Rules};

/// Eq. (5) for what is known of others: by hand for 4 Mbit of ρ = 0.297 at 42 GHz, 14.14 Mbit a
/// slot for a device alone, and at 14 Mbit/s, three slots.
#[test]
fn a_loaded_server_is_predicted_to_be_shared() {
    let mut bench = Bench::new(1, 2);
    bench.set_server("load", &[9.0, 1.0]);
    let delays = |bench: &Bench, load_trust: f64| {
        let parameters = RuleParameters { temperature: 0.0, load_trust };
        let mut rules = bench.context(|context| Rules::new(context, parameters)).unwrap();
        bench.observe(|seen| rules.predict(seen, 0)).unwrap();
        rules.predictions.iter().map(|prediction| prediction.delay_slots).collect::<Vec<_>>()
    };
    // It shares with 9 and 1 others, 10 and 2 in all: 1.414 and 7.07 Mbit a slot.
    assert_eq!(delays(&bench, 1.0), [5.0, 6.0, 4.0]);
    // With 5 at either: 6 in all, 2.36 Mbit.
    assert_eq!(delays(&bench, 0.0), [5.0, 5.0, 5.0]);
    // With 6.2 and 3.8: 1.96 and 2.95 Mbit.
    assert_eq!(delays(&bench, 0.3), [5.0, 6.0, 5.0]);
    // Where it has a task itself, it is one of the 9: 1.571 Mbit a slot, and 5 of its 6 Mbit are
    // done by the time it gets there.
    bench.set_link(0, "backlog_mbit", &[6.0, 0.0]);
    assert_eq!(delays(&bench, 1.0), [5.0, 3.0 + 1.0 + 3.0, 4.0]);
    // And at a server with none other it is alone.
    bench.set_server("load", &[0.0, 0.0]);
    assert_eq!(delays(&bench, 1.0), [5.0, 4.0, 4.0]);
}

/// 5 Mbit of ρ = 0.13 and α = 0.25: 2 Mbit a slot at 2.6 GHz, after one slot of another task;
/// 1.4 Mbit a slot over the uplink, after two; 32.3 Mbit at a server of 42 GHz.
fn loaded_bench() -> Bench {
    let mut bench = Bench::new(1, 2);
    for (column, value) in [
        ("size_mbit", 5.0),
        ("density_gcycles_per_mbit", 0.13),
        ("alpha", 0.25),
        ("compute_queue_slots", 1.0),
        ("uplink_queue_slots", 2.0),
    ] {
        bench.set_task(0, column, value);
    }
    // Twenty share server 1, this device with 50 Mbit among them; nobody is at server 2.
    bench.set_server("load", &[20.0, 0.0]);
    bench.set_link(0, "backlog_mbit", &[50.0, 0.0]);
    bench
}

/// The rules after a prediction for the only device of `bench`, under this accounting.
fn predicted(bench: &Bench, energy: EnergyAccounting, reference_energy: f64) -> Rules {
    let parameters = RuleParameters { temperature: 0.0, load_trust: 1.0 };
    let created = bench.context(|context| {
        let system = SystemSpec { energy, reference_energy, ..*context.system };
        Rules::new(&Context { system: &system, ..*context }, parameters)
    });
    let mut rules = created.unwrap();
    bench.observe(|seen| rules.predict(seen, 0)).unwrap();
    rules
}

#[track_caller]
fn assert_predicted(rules: &Rules, expected: [(f64, f64, bool); 3]) {
    for (found, (delay_slots, cost, late)) in rules.predictions.iter().zip(expected) {
        assert_eq!((found.delay_slots, found.late), (delay_slots, late), "{found:?}");
        assert!((found.cost - cost).abs() < 1e-5, "{found:?}, not {cost}");
    }
    let shortest = expected.iter().map(|(delay, ..)| *delay).fold(f64::INFINITY, f64::min);
    assert_eq!((rules.predictions.len(), rules.shortest_delay()), (3, shortest));
}

/// Eq. (11), 2·(α·D + (1 − α)·E_scaled), by hand; D is 10 at most, the deadline.
#[test]
fn predicted_costs_by_hand() {
    let bench = loaded_bench();
    // Locally 1 + 3 slots. At server 1 it is sent in 2 + 4 slots; by then 50 − 6·1.6154 Mbit are
    // left before it, 25 slots of 1.6154 Mbit, and its own take 3.0952. At server 2 it takes
    // 0.1548 of a slot.
    let (local, first, second) = (1.0 + 3.0, 2.0 + 4.0 + 25.0 + 4.0, 2.0 + 4.0 + 1.0);
    // Published: two full slots of 2² and (1/0.13)·2; four slots of 1.4 Mbit at 2.3 W. Over 2.
    let rules = predicted(&bench, EnergyAccounting::PUBLISHED, 7.0);
    let sent = 4.0 * 1.4 * 2.3 / 2.0;
    assert_predicted(
        &rules,
        [
            (local, 2.0 * (0.25 * 4.0 + 0.75 * (8.0 + 2.0 / 0.13) / 2.0), false),
            (first, 2.0 * (0.25 * 10.0 + 0.75 * sent), true),
            (second, 2.0 * (0.25 * 7.0 + 0.75 * sent), false),
        ],
    );
    // Physical: 2 W · 0.25 s; 2.3 W · 5/14 s, and 0.1 W while it is at the server. Of E_ref = 2 J,
    // times 10.
    let rules = predicted(&bench, EnergyAccounting::PHYSICAL, 2.0);
    let sent = 2.3 * 5.0 / 14.0;
    assert_predicted(
        &rules,
        [
            (local, 2.0 * (0.25 * 4.0 + 0.75 * 5.0 * 0.5), false),
            (first, 2.0 * (0.25 * 10.0 + 0.75 * 5.0 * (sent + 0.01 * 28.095_238)), true),
            (second, 2.0 * (0.25 * 7.0 + 0.75 * 5.0 * (sent + 0.01 * 0.154_762)), false),
        ],
    );
    // Where nothing takes any energy, there is delay alone.
    let rules = predicted(&bench, EnergyAccounting::PHYSICAL, 0.0);
    assert_predicted(&rules, [(local, 2.0, false), (first, 5.0, true), (second, 3.5, false)]);
}

/// A task that ends in the last slot of its deadline is in time.
#[test]
fn the_last_slot_of_the_deadline_is_in_time() {
    let mut bench = loaded_bench();
    for (busy, delay, late) in [(5.0, 10.0, false), (6.0, 11.0, true)] {
        bench.set_task(0, "uplink_queue_slots", busy);
        let rules = predicted(&bench, EnergyAccounting::PHYSICAL, 0.0);
        assert_eq!(
            rules.predictions[2],
            Prediction { delay_slots: delay, cost: 5.0, compared: 5.0, late },
            "after {busy} slots"
        );
    }
}

/// A server out of coverage is never reached, and is not the cheapest even if all is late.
#[test]
fn a_server_out_of_coverage_is_never_reached() {
    let mut bench = loaded_bench();
    bench.set_link(0, "uplink_mbps", &[14.0, 0.0]);
    let rules = predicted(&bench, EnergyAccounting::PUBLISHED, 0.0);
    let (delay_slots, cost) = (f64::INFINITY, f64::INFINITY);
    let never = Prediction { delay_slots, cost, compared: cost, late: true };
    assert_eq!(rules.predictions[2], never);
    assert_eq!(rules.shortest_delay(), 4.0);
}

/// How often each action is chosen in many draws, with these predictions.
fn shares(predictions: &[(f64, bool)], temperature: f64) -> Vec<f64> {
    let bench = Bench::new(1, 2);
    let parameters = RuleParameters { temperature, load_trust: 1.0 };
    let mut rules = bench.context(|context| Rules::new(context, parameters)).unwrap();
    let prediction = |&(cost, late)| Prediction { delay_slots: 1.0, cost, compared: cost, late };
    rules.predictions = predictions.iter().map(prediction).collect();
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(4);
    let mut counts = vec![0.0; predictions.len()];
    let draws = 40_000;
    for _ in 0..draws {
        counts[rules.choose(&mut rng) as usize] += 1.0 / f64::from(draws);
    }
    counts
}

fn assert_shares(predictions: &[(f64, bool)], temperature: f64, expected: &[f64]) {
    let actual = shares(predictions, temperature);
    for (actual, expected) in actual.iter().zip(expected) {
        // Four standard errors; what is impossible never happens.
        let error = 4.0 * (expected * (1.0 - expected) / 40_000.0_f64).sqrt() + 1e-9;
        assert!((actual - expected).abs() <= error, "{actual} instead of {expected}");
    }
}

#[test]
fn the_soft_rule_draws_from_a_softmax_of_what_is_in_time() {
    // e^0, e^−1, e^−2 at temperature 2.
    let open = [(5.0, false), (3.0, false), (1.0, false)];
    let total = 1.0 + (-1.0_f64).exp() + (-2.0_f64).exp();
    let [first, second, third] = [-2.0_f64, -1.0, 0.0].map(|power| power.exp() / total);
    assert_shares(&open, 2.0, &[first, second, third]);
    // The cheapest would be too late.
    let masked = [(5.0, false), (3.0, false), (1.0, true)];
    let first = 1.0 / (1.0 + 1.0_f64.exp());
    assert_shares(&masked, 2.0, &[first, 1.0 - first, 0.0]);
    // Where all are, none is masked.
    let late = [(5.0, true), (3.0, true), (1.0, true)];
    assert_shares(&late, 2.0, &[(-2.0_f64).exp() / total, (-1.0_f64).exp() / total, 1.0 / total]);
    // Out of coverage.
    let uncovered = [(5.0, true), (3.0, true), (f64::INFINITY, true)];
    assert_shares(&uncovered, 2.0, &[first, 1.0 - first, 0.0]);
}

#[test]
fn at_temperature_0_the_cheapest_in_time_is_taken() {
    assert_shares(&[(5.0, false), (3.0, false), (1.0, false)], 0.0, &[0.0, 0.0, 1.0]);
    assert_shares(&[(5.0, false), (3.0, false), (1.0, true)], 0.0, &[0.0, 1.0, 0.0]);
    assert_shares(&[(5.0, true), (3.0, true), (1.0, true)], 0.0, &[0.0, 0.0, 1.0]);
    assert_shares(&[(1.0, false), (3.0, false), (f64::INFINITY, true)], 0.0, &[1.0, 0.0, 0.0]);
    // Equal ones: whoever comes first from a random place on.
    assert_shares(&[(2.0, false), (3.0, false), (2.0, false)], 0.0, &[1.0 / 3.0, 0.0, 2.0 / 3.0]);
}

/// Devices see the same loads. Were a fraction of a slot to decide, all would go to the same server.
#[test]
fn servers_that_differ_by_a_fraction_of_a_slot_are_drawn_from() {
    let mut bench = loaded_bench();
    bench.set_link(0, "backlog_mbit", &[0.0, 0.0]);
    bench.set_server("load", &[1.0, 0.0]);
    bench.set_task(0, "compute_queue_slots", 9.0);
    let rules = predicted(&bench, EnergyAccounting::PHYSICAL, 2.0);
    let [_, first, second] = rules.predictions[..] else { panic!("{:?}", rules.predictions) };
    assert!(first.cost > second.cost && first.compared == second.compared, "{first:?} {second:?}");
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(5);
    let chosen: std::collections::BTreeSet<u32> = (0..50).map(|_| rules.choose(&mut rng)).collect();
    assert_eq!(chosen.into_iter().collect::<Vec<_>>(), [1, 2]);
}
