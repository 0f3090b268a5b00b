//! Configurations: the values that a search gives to the fields of its space.

use std::collections::BTreeSet;

use offramp_harness::seeds;
use offramp_scenario::{Domain, TuningEntry};

/// Attempts at a configuration that differs from all before it.
const ATTEMPTS: u64 = 10_000;

/// Draws configurations, each a value per field as RON, all of them different: as many as the search
/// asks for, or as the space has. The first ones do not depend on how many are drawn.
pub(crate) fn configurations(entry: &TuningEntry) -> Vec<Vec<String>> {
    let mut known = BTreeSet::new();
    let mut drawn = Vec::new();
    let size = size(entry);
    for number in 0..entry.configurations {
        if size.is_some_and(|size| drawn.len() as u128 >= size) {
            break;
        }
        let attempts = (0..ATTEMPTS).map(|attempt| draw(entry, number, attempt));
        let Some(new) = attempts.into_iter().find(|values| !known.contains(values)) else { break };
        known.insert(new.clone());
        drawn.push(new);
    }
    drawn
}

/// Configurations of the space, if every field has a list of values or is a whole number.
fn size(entry: &TuningEntry) -> Option<u128> {
    entry.space.iter().try_fold(1_u128, |size, (_, domain)| {
        let values = match domain {
            Domain::Values(values) => values.len() as u128,
            Domain::Whole(low, high, _) => u128::from(high.abs_diff(*low)) + 1,
            Domain::Real(..) => return None,
        };
        size.checked_mul(values)
    })
}

/// One attempt at a configuration.
fn draw(entry: &TuningEntry, number: u64, attempt: u64) -> Vec<String> {
    let mut stream = seeds::search(entry.seed, number, attempt);
    entry.space.iter().map(|(_, domain)| domain.draw(&mut stream)).collect()
}

#[cfg(test)]
mod tests {
    use offramp_scenario::{Scale, Tuned};

    use super::*;

    fn entry(domains: Vec<Domain>, configurations: u64) -> TuningEntry {
        let name = |(number, domain)| (format!("train.{number}"), domain);
        TuningEntry {
            section: Tuned::Training,
            space: domains.into_iter().enumerate().map(name).collect(),
            configurations,
            budget: None,
            keep: 0.33,
            first: 1,
            finalists: 1,
            seed: 1,
            seeds: vec![1],
            validate_episodes: 1,
        }
    }

    fn numbers(domain: Domain, count: u64) -> Vec<f64> {
        let drawn = configurations(&entry(vec![domain], count));
        drawn.iter().map(|values| values[0].parse().unwrap()).collect()
    }

    #[test]
    fn no_configuration_is_drawn_twice_and_a_small_space_is_exhausted() {
        let values = |list: &[&str]| Domain::Values(list.iter().map(|v| v.to_string()).collect());
        let drawn = configurations(&entry(
            vec![values(&["a", "b", "c"]), Domain::Whole(1, 4, Scale::Linear)],
            100,
        ));
        assert_eq!(drawn.len(), 12);
        assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), 12);
    }

    #[test]
    fn more_configurations_begin_with_the_same_ones() {
        let some = numbers(Domain::Real(0.0, 1.0, Scale::Linear), 10);
        let more = numbers(Domain::Real(0.0, 1.0, Scale::Linear), 20);
        assert_eq!(some, more[..10]);
    }

    #[test]
    fn numbers_fill_their_range_on_their_scale() {
        let below = |drawn: &[f64], bound: f64| {
            drawn.iter().filter(|number| **number < bound).count() as f64 / drawn.len() as f64
        };
        // Standard error of a share of one half: 0.011.
        let linear = numbers(Domain::Real(0.0, 8.0, Scale::Linear), 2000);
        assert!((below(&linear, 4.0) - 0.5).abs() < 0.05);
        let log = numbers(Domain::Real(1e-4, 1e-2, Scale::Log), 2000);
        assert!((below(&log, 1e-3) - 0.5).abs() < 0.05);
        assert!(log.iter().all(|number| (1e-4..=1e-2).contains(number)));
        let whole = numbers(Domain::Whole(-3, 1000, Scale::Linear), 1004);
        assert_eq!(whole.len(), 1004);
        assert_eq!((whole.iter().copied().fold(0.0, f64::min)), -3.0);
        // No number twice, so small ones are a little rarer.
        let large = numbers(Domain::Whole(1, 1_000_000, Scale::Log), 300);
        assert!((below(&large, 1000.0) - 0.5).abs() < 0.15);
    }

    /// Part of every search.
    #[test]
    fn configurations_stay_what_they_are() {
        let drawn = configurations(&entry(
            vec![Domain::Real(1e-4, 1e-2, Scale::Log), Domain::Whole(8, 256, Scale::Log)],
            2,
        ));
        assert_eq!(drawn.concat().join(" "), "0.000568 42 0.0002272 202");
    }
}
