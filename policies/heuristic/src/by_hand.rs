//! The rules by hand: servers that are shared, and the choice among predictions.

use offramp_plugin::testing::Bench;
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
