//! References: runs that show what was attainable, and the share of it that the others reach.
//!
//! A QoE says little by itself: at light load every policy is near the best possible, and under much load
//! none is. The share of hindsight puts each on one scale, 0 for chance and 1 for hindsight:
//!
//! share = (policy − chance) / (hindsight − chance), of mean QoE on the same tasks.
//!
//! Hindsight is the best plan that a search found with all tasks known in advance, not an optimum; so a
//! share may be above 1.

use crate::metric;
use crate::run_folder::{RunRecord, StoredRun};

/// What provides references, in the place of a plugin.
pub const PROVIDER: &str = "offramp";

/// The reference that decides uniformly: the share 0.
pub const CHANCE: &str = "chance";

/// The reference that knows the true state of the whole system, but not the future.
pub const CENTRAL: &str = "central";

/// The reference that knows all tasks in advance: the share 1.
pub const HINDSIGHT: &str = "hindsight";

/// Title of the share in tables.
pub const SHARE_TITLE: &str = "of hindsight";
/// The share's name in files.
pub const SHARE_ID: &str = "share_of_hindsight";

/// True of the runs that offramp itself provides.
pub fn is_reference(record: &RunRecord) -> bool {
    record.plugin.name == PROVIDER && [CHANCE, CENTRAL, HINDSIGHT].contains(&&*record.plugin.policy)
}

/// The share of hindsight that a run reaches, if `runs` has chance and hindsight at its point.
pub fn share_of_hindsight(run: &StoredRun, runs: &[StoredRun]) -> Option<f64> {
    let qoe = |run: &StoredRun| run.mean_sd(metric::by_id("qoe")?).map(|qoe| qoe.mean);
    share_of(run, runs.iter(), |run| (&run.record, qoe(run)))
}

/// The same of whatever has a record and a mean QoE.
pub fn share_of<'r, R: 'r>(
    run: &'r R,
    runs: impl Iterator<Item = &'r R> + Clone,
    of: impl Fn(&'r R) -> (&'r RunRecord, Option<f64>),
) -> Option<f64> {
    let (record, _) = of(run);
    let point =
        |record: &'r RunRecord| (&record.scenario, record.seed, &record.sweep, record.episodes);
    let qoe = |run: &'r R| {
        let (record, qoe) = of(run);
        qoe.filter(|_| record.error.is_none())
    };
    let reference = |name: &str| {
        let mut of_point = runs.clone().filter(|run| point(of(run).0) == point(record));
        let found = of_point.find(|run| {
            let record = of(run).0;
            is_reference(record) && record.plugin.policy == name
        });
        qoe(found?)
    };
    let (chance, hindsight) = (reference(CHANCE)?, reference(HINDSIGHT)?);
    (hindsight > chance).then_some((qoe(run)? - chance) / (hindsight - chance))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_folder::PluginRecord;
    use crate::summary::Summary;
    use crate::{EpisodeMetrics, EpisodeResult};

    fn run(policy: &str, provider: &str, sweep: &str, qoe: f64) -> StoredRun {
        let mut summary = Summary::new();
        summary.add(&EpisodeResult {
            overall: EpisodeMetrics { devices: 1.0, qoe: Some(qoe), ..EpisodeMetrics::default() },
            ..EpisodeResult::default()
        });
        let plugin = PluginRecord {
            policy: policy.to_owned(),
            name: provider.to_owned(),
            ..PluginRecord::default()
        };
        let sweep = vec![("tasks.arrival_probability".to_owned(), sweep.to_owned())];
        let record = RunRecord {
            policy: policy.to_owned(),
            plugin,
            sweep,
            episodes: 1,
            ..RunRecord::default()
        };
        StoredRun { record, summary }
    }

    #[test]
    fn a_share_is_that_of_its_point() {
        let runs = [
            run("a", "plugin", "0.1", 30.0),
            run(CHANCE, PROVIDER, "0.1", 10.0),
            run(HINDSIGHT, PROVIDER, "0.1", 50.0),
            run("a", "plugin", "0.2", 30.0),
            run(CHANCE, PROVIDER, "0.2", 20.0),
            run(HINDSIGHT, PROVIDER, "0.2", 28.0),
            run("a", "plugin", "0.3", 30.0),
            run(CHANCE, "plugin", "0.3", 20.0),
            run(HINDSIGHT, PROVIDER, "0.3", 28.0),
        ];
        let shares = runs.each_ref().map(|run| share_of_hindsight(run, &runs));
        assert_eq!(
            shares,
            [
                Some(0.5),
                Some(0.0),
                Some(1.0),
                Some(1.25),
                Some(0.0),
                Some(1.0),
                // A policy of a plugin that is called so is no reference.
                None,
                None,
                None,
            ]
        );
    }

    #[test]
    fn a_run_that_failed_has_no_share() {
        let mut runs = vec![
            run("a", "plugin", "0.1", 30.0),
            run(CHANCE, PROVIDER, "0.1", 10.0),
            run(HINDSIGHT, PROVIDER, "0.1", 50.0),
        ];
        runs[0].record.error = Some("it crashed".to_owned());
        assert_eq!(share_of_hindsight(&runs[0], &runs), None);
        runs[2].record.error = Some("it crashed".to_owned());
        assert_eq!(share_of_hindsight(&runs[1], &runs), None);
    }
}
