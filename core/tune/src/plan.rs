//! The plan of a search: its rungs, and what they take.

use offramp_results::tuning::Unit;
use offramp_scenario::TuningEntry;

/// A rung: configurations that learn for the same time, under the same seeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rung {
    /// How many configurations.
    pub(crate) configurations: usize,
    /// Episodes or steps of each.
    pub(crate) length: u64,
    /// The seeds of each.
    pub(crate) seeds: Vec<u64>,
}

/// The rungs of a search over so many configurations; `full` is the length of a finalist. The last
/// one has the finalists; it follows the first of full length, since another of that length, under
/// the same seed, would only repeat what is known.
pub(crate) fn rungs(entry: &TuningEntry, configurations: usize, full: u64) -> Vec<Rung> {
    let finalists = entry.finalists.min(configurations as u64) as usize;
    let (mut count, mut length) = (configurations, entry.first as f64);
    let mut rungs = Vec::new();
    while count > finalists {
        let whole = (length.round() as u64).min(full);
        let seeds = vec![entry.seed];
        rungs.push(Rung { configurations: count, length: whole, seeds });
        if whole == full {
            count = finalists;
            break;
        }
        let kept = (count as f64 * entry.keep).ceil() as usize;
        // At least one is left behind, or it would never end.
        count = kept.max(finalists).min(count - 1);
        length /= entry.keep;
    }
    rungs.push(Rung { configurations: count, length: full, seeds: entry.seeds.clone() });
    rungs
}

/// What rungs take: slots or steps.
pub(crate) fn cost(rungs: &[Rung], unit: Unit) -> u64 {
    let of_rung = |rung: &Rung| {
        let learned = rung.configurations as u64 * rung.seeds.len() as u64;
        learned.saturating_mul(unit.cost(rung.length))
    };
    rungs.iter().map(of_rung).fold(0, u64::saturating_add)
}

/// The rungs of the search over as many configurations as its budget allows, `drawn` at most.
///
/// # Errors
/// What the finalists alone take, if the budget is smaller.
pub(crate) fn within_budget(
    entry: &TuningEntry,
    drawn: usize,
    full: u64,
    unit: Unit,
) -> Result<Vec<Rung>, u64> {
    let finalists = entry.finalists.min(drawn as u64) as usize;
    let fits = |rungs: &Vec<Rung>| entry.budget.is_none_or(|budget| cost(rungs, unit) <= budget);
    let plans = (finalists..=drawn).rev().map(|count| rungs(entry, count, full));
    plans.into_iter().find(fits).ok_or_else(|| cost(&rungs(entry, finalists, full), unit))
}

#[cfg(test)]
mod tests {
    use offramp_scenario::Tuned;

    use super::*;

    fn entry(finalists: u64, keep: f64, budget: Option<u64>) -> TuningEntry {
        TuningEntry {
            section: Tuned::Training,
            space: Vec::new(),
            configurations: 32,
            budget,
            keep,
            first: 50,
            finalists,
            seed: 9,
            seeds: vec![1, 2, 3],
            validate_episodes: 1,
        }
    }

    fn shape(rungs: &[Rung]) -> Vec<(usize, u64, usize)> {
        let of_rung = |rung: &Rung| (rung.configurations, rung.length, rung.seeds.len());
        rungs.iter().map(of_rung).collect()
    }

    #[test]
    fn a_third_is_kept_and_learns_three_times_as_long() {
        let rungs = rungs(&entry(3, 1.0 / 3.0, None), 32, 1000);
        assert_eq!(shape(&rungs), [(32, 50, 1), (11, 150, 1), (4, 450, 1), (3, 1000, 3)]);
        assert_eq!(rungs[0].seeds, [9]);
        let slots = Unit::Episodes { slots: 110 };
        assert_eq!(cost(&rungs, slots), (1600 + 1650 + 1800 + 9000) * 110);
    }

    #[test]
    fn every_search_ends() {
        assert_eq!(
            shape(&rungs(&entry(1, 0.9, None), 3, 70)),
            [(3, 50, 1), (2, 56, 1), (1, 70, 3)]
        );
        // No rung learns longer than a finalist; there may be nothing to halve.
        assert_eq!(
            shape(&rungs(&entry(1, 0.5, None), 4, 60)),
            [(4, 50, 1), (2, 60, 1), (1, 60, 3)]
        );
        assert_eq!(shape(&rungs(&entry(3, 0.5, None), 2, 60)), [(2, 60, 3)]);
    }

    /// Rungs of full length under the same seed would be the same lessons again.
    #[test]
    fn nothing_is_learned_twice() {
        assert_eq!(shape(&rungs(&entry(1, 0.5, None), 27, 50)), [(27, 50, 1), (1, 50, 3)]);
        assert_eq!(
            shape(&rungs(&entry(1, 0.5, None), 16, 100)),
            [(16, 50, 1), (8, 100, 1), (1, 100, 3)]
        );
    }

    #[test]
    fn as_many_configurations_as_the_budget_allows() {
        let plan = |budget| within_budget(&entry(2, 0.5, Some(budget)), 8, 100, Unit::Steps);
        // 2 · 3 · 100 for the finalists; 8 · 50 + 4 · 100 before that.
        assert_eq!(plan(1400).map(|rungs| shape(&rungs)[0]), Ok((8, 50, 1)));
        assert_eq!(plan(1399).map(|rungs| shape(&rungs)[0]), Ok((7, 50, 1)));
        assert_eq!(plan(600).map(|rungs| shape(&rungs)), Ok(vec![(2, 100, 3)]));
        assert_eq!(plan(599), Err(600));
        for budget in (600..1400).step_by(50) {
            assert!(cost(&plan(budget).unwrap(), Unit::Steps) <= budget);
        }
    }
}
