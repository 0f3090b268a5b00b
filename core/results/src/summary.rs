//! Summaries: what tables show of a run, kept up to date while its episodes pass by. The memory it
//! takes does not depend on their number.
//!
//! A mean is weighted as its metric states ([`Pooling`](crate::metric::Pooling)): pooled over tasks,
//! devices or decisions where it is a mean of these. The standard deviation is that of the episodes
//! that have a value, each counted once.

use serde::{Deserialize, Serialize};

use crate::group::{Grouped, Grouping};
use crate::metric::{self, EpisodeResult, Metric, Source};
use crate::statistics::{MeanSd, Weighted};

/// The statistics of every metric over the episodes so far.
///
/// The same episodes in the same order give the same bits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    episodes: u64,
    /// One per metric, in the order of [`metric::all`].
    overall: Vec<Running>,
    /// The same for each group.
    #[serde(flatten)]
    by_group: Grouped<Vec<Running>>,
    /// One per quantity of [`metric::mobility`]; none if nothing moves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    mobility: Vec<Running>,
}

/// A weighted mean, as a sum so that counts stay exact, and a deviation (Welford 1962) under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Running {
    count: u64,
    weight: f64,
    weighted_sum: f64,
    /// Mean and sum of squared deviations, each episode counted once.
    mean: f64,
    squares: f64,
}

impl Running {
    fn add(&mut self, Weighted { value, weight }: Weighted) {
        self.count += 1;
        self.weight += weight;
        self.weighted_sum += weight * value;
        let before = value - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (value - self.mean);
    }

    fn mean_sd(&self) -> Option<MeanSd> {
        let sd = (self.count > 1).then(|| (self.squares / (self.count - 1) as f64).sqrt());
        (self.count > 0).then_some(MeanSd { mean: self.weighted_sum / self.weight, sd })
    }
}

impl Summary {
    /// The summary of no episodes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an episode, which has the groups of those before it.
    pub fn add(&mut self, episode: &EpisodeResult) {
        self.episodes += 1;
        let row = || vec![Running::default(); metric::all().len()];
        if self.overall.is_empty() {
            self.overall = row();
            self.by_group = Grouped::new(|grouping| vec![row(); episode.by_group[grouping].len()]);
            let quantities = episode.mobility.as_ref().map_or(0, |_| metric::mobility().len());
            self.mobility = vec![Running::default(); quantities];
        }
        add(&mut self.overall, metric::all(), |metric| metric.of(episode));
        for grouping in Grouping::ALL {
            let rows = self.by_group[grouping].iter_mut().zip(&episode.by_group[grouping]);
            for (row, group) in rows {
                add(row, metric::all(), |metric| metric.of_group(group));
            }
        }
        add(&mut self.mobility, metric::mobility(), |metric| metric.of(episode));
    }

    /// The number of episodes.
    pub fn episodes(&self) -> u64 {
        self.episodes
    }

    /// Mean and standard deviation of a metric; `None` if no episode has a value.
    pub fn mean_sd(&self, metric: &Metric) -> Option<MeanSd> {
        match metric.source {
            Source::Mobility(_) => of(&self.mobility, metric::mobility(), metric),
            Source::Tasks(_) | Source::Episode(_) => of(&self.overall, metric::all(), metric),
        }
    }

    /// The same of one group, by its number; `None` if no episode has a value there, or the metric is
    /// not defined by group.
    pub fn mean_sd_of_group(
        &self,
        grouping: Grouping,
        group: usize,
        metric: &Metric,
    ) -> Option<MeanSd> {
        of(self.by_group[grouping].get(group)?, metric::all(), metric)
    }
}

fn add(row: &mut [Running], metrics: &[Metric], value: impl Fn(&Metric) -> Option<Weighted>) {
    for (running, metric) in row.iter_mut().zip(metrics) {
        if let Some(weighted) = value(metric) {
            running.add(weighted);
        }
    }
}

fn of(row: &[Running], metrics: &[Metric], metric: &Metric) -> Option<MeanSd> {
    let at = metrics.iter().position(|own| own == metric)?;
    row.get(at)?.mean_sd()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metric::EpisodeMetrics;

    fn metric(id: &str) -> &'static Metric {
        metric::by_id(id).unwrap()
    }

    /// Metrics of `tasks` tasks with `delay` slots in all, of `devices` devices with `reward` in
    /// all.
    fn metrics(tasks: u64, delay: f64, devices: f64, reward: f64) -> EpisodeMetrics {
        EpisodeMetrics {
            tasks,
            devices,
            qoe: (devices > 0.0).then(|| reward / devices),
            delay_slots: (tasks > 0).then(|| delay / tasks as f64),
            ..EpisodeMetrics::default()
        }
    }

    fn summary(episodes: &[EpisodeResult]) -> Summary {
        let mut summary = Summary::new();
        episodes.iter().for_each(|episode| summary.add(episode));
        summary
    }

    #[test]
    fn means_per_task_are_pooled_by_hand() {
        // Two tasks of 3 slots each; none; six of 5 slots.
        let overall = [(2, 6.0), (0, 0.0), (6, 30.0)];
        let episodes = overall.map(|(tasks, delay)| EpisodeResult {
            overall: metrics(tasks, delay, 4.0, tasks as f64),
            ..EpisodeResult::default()
        });
        let summary = summary(&episodes);
        let delay = summary.mean_sd(metric("delay_slots")).unwrap();
        assert_eq!((delay.mean, delay.sd), (4.5, Some(2.0_f64.sqrt())));
        assert_eq!(summary.mean_sd(metric("tasks")).unwrap().mean, 8.0 / 3.0);
        assert_eq!(summary.mean_sd(metric("qoe")).unwrap().mean, 2.0 / 3.0);
        assert_eq!(summary.episodes(), 3);
    }

    #[test]
    fn what_has_no_value_has_no_mean_and_one_episode_no_deviation() {
        let empty =
            EpisodeResult { overall: metrics(0, 0.0, 4.0, 0.0), ..EpisodeResult::default() };
        let summary = summary(&[empty]);
        assert_eq!(summary.mean_sd(metric("delay_slots")), None);
        assert_eq!(summary.mean_sd(metric("decision_us")), None);
        assert_eq!(summary.mean_sd(metric("qoe")), Some(MeanSd { mean: 0.0, sd: None }));
        let none = Summary::new();
        assert_eq!(none.mean_sd(metric("qoe")), None);
        for (grouping, group) in
            [(Grouping::PowerMode, 0), (Grouping::PowerMode, 1), (Grouping::Class, 0)]
        {
            assert_eq!(none.mean_sd_of_group(grouping, group, metric("qoe")), None);
        }
        assert_eq!(none.mean_sd(&metric::mobility()[0]), None);
    }

    proptest! {
        /// The rows by power mode, weighted as the metric is pooled, come to the overall row.
        #[test]
        fn power_modes_come_to_the_whole(
            episodes in proptest::collection::vec(
                proptest::collection::vec((0_u64..4, 0.0..40.0_f64, 0_u32..3, -50.0..50.0_f64), 3),
                1..20,
            ),
        ) {
            let results: Vec<EpisodeResult> = episodes
                .iter()
                .map(|modes| {
                    let modes: Vec<_> = modes
                        .iter()
                        // Nobody's tasks, of nobody's devices.
                        .map(|&(tasks, delay, devices, reward)| match devices {
                            0 => (0, 0.0, 0.0, 0.0),
                            _ => (tasks, if tasks == 0 { 0.0 } else { delay }, devices.into(), reward),
                        })
                        .collect();
                    let whole = modes.iter().fold((0, 0.0, 0.0, 0.0), |sum, mode| {
                        (sum.0 + mode.0, sum.1 + mode.1, sum.2 + mode.2, sum.3 + mode.3)
                    });
                    let of = |(tasks, delay, devices, reward)| metrics(tasks, delay, devices, reward);
                    EpisodeResult {
                        overall: of(whole),
                        by_group: Grouped::new(|grouping| match grouping {
                            Grouping::PowerMode => modes.iter().copied().map(of).collect(),
                            Grouping::Class => Vec::new(),
                        }),
                        ..EpisodeResult::default()
                    }
                })
                .collect();
            let summary = summary(&results);
            for (id, weight) in [("delay_slots", "tasks"), ("qoe", "devices")] {
                let weights = (0..3).map(|mode| summary.mean_sd_of_group(Grouping::PowerMode, mode, metric(weight)).unwrap().mean);
                let mean = |mode| summary.mean_sd_of_group(Grouping::PowerMode, mode, metric(id)).map_or(0.0, |of| of.mean);
                let sum: f64 = weights.clone().enumerate().map(|(mode, weight)| weight * mean(mode)).sum();
                let total: f64 = weights.sum();
                match summary.mean_sd(metric(id)) {
                    Some(whole) => prop_assert!((sum / total - whole.mean).abs() < 1e-9),
                    None => prop_assert_eq!(total, 0.0),
                }
            }
        }
    }
}
