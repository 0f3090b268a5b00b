//! What a page shows of a run folder, taken from it episode by episode.

use std::path::{Path, PathBuf};

use offramp_results::metric::{self, Column, EpisodeResult, Metric};
use offramp_results::reference::{is_reference, share_of};
use offramp_results::run_folder::{RunFolder, RunRecord};
use offramp_results::statistics::{Interval, MeanSd, Scores, Weighted};
use offramp_results::summary::Summary;
use offramp_results::{Grouped, Grouping};

use crate::page::PageError;

/// Most scores (a metric of an episode, or of a group of its tasks) that are kept of the runs of one
/// point until their intervals are known: a few megabytes. Beyond that means and deviations remain.
const MAX_SCORES: u64 = 200_000;
/// Most values of single episodes that a page keeps for its distributions.
const MAX_VALUES: usize = 200_000;

/// The metrics that tables of runs show.
pub(super) fn shown() -> impl Iterator<Item = (&'static Metric, Column)> {
    metric::all().iter().filter_map(|metric| Some((metric, metric.column?)))
}

/// The metrics that figures show, by their places in [`shown`].
pub(super) fn drawn() -> impl Iterator<Item = (usize, &'static Metric)> {
    let ids = ["qoe", "delay_slots", "energy", "dropped"];
    ids.into_iter().filter_map(|id| {
        shown()
            .enumerate()
            .find(|(_, (metric, _))| metric.id == id)
            .map(|(at, (metric, _))| (at, metric))
    })
}

/// A run folder.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) scenarios: Vec<Scenario>,
}

/// The runs of one scenario of a folder, point by point.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) name: String,
    pub(super) points: Vec<Point>,
}

/// The runs at one point of a scenario.
#[derive(Debug, Default)]
pub(super) struct Point {
    pub(super) runs: Vec<Run>,
    /// The number of the run with the highest mean QoE, if any has one with an interval.
    pub(super) best: Option<usize>,
}

/// A run.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) record: RunRecord,
    /// One per metric of [`shown`].
    pub(super) means: Vec<Option<Mean>>,
    /// The same for each group of its tasks; empty in a sweep.
    pub(super) by_group: Grouped<Vec<Option<Mean>>>,
    /// Mobility and rates, one number per quantity of [`shown_of_mobility`](crate::shown_of_mobility).
    pub(super) mobility: Vec<Option<MeanSd>>,
    /// The same, minus the best run of the point, episode by episode.
    pub(super) minus_best: Vec<Option<Interval>>,
    /// The values of single episodes, ascending, one list per metric of [`drawn`]; empty in a sweep,
    /// or if there are too many.
    pub(super) values: Vec<Vec<f64>>,
    /// Tasks that were completed in 1, 2, … slots; empty if the folder does not have them.
    pub(super) done_by_delay: Vec<u64>,
    pub(super) tasks: u64,
}

/// A mean over episodes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mean {
    pub(super) mean: f64,
    /// Its 95 % interval, if all its scores were kept and there is more than one.
    pub(super) ends: Option<(f64, f64)>,
    /// The deviation of single episodes, in place of an interval, if there were too many to keep.
    pub(super) sd: Option<f64>,
}

/// The scores of a run, one list per metric of [`shown`], and the same for each group.
#[derive(Debug, Default)]
struct Kept {
    overall: Vec<Vec<Option<Weighted>>>,
    by_group: Grouped<Vec<Vec<Option<Weighted>>>>,
}

impl Point {
    /// The share of hindsight that each run reaches.
    pub(super) fn shares(&self) -> impl Iterator<Item = Option<f64>> + '_ {
        let qoe = shown().position(|(metric, _)| metric.id == "qoe");
        let mean = move |run: &Run| Some(run.means.get(qoe?).copied()??.mean);
        self.runs
            .iter()
            .map(move |run| share_of(run, self.runs.iter(), |run| (&run.record, mean(run))))
    }
}

impl Mean {
    fn of(interval: Interval) -> Self {
        Self { mean: interval.estimate, ends: interval.ends, sd: None }
    }

    fn summary(MeanSd { mean, sd }: MeanSd) -> Self {
        Self { mean, ends: None, sd }
    }
}

impl Scenario {
    /// All runs, point by point.
    pub(super) fn runs(&self) -> impl Iterator<Item = &Run> + Clone {
        self.points.iter().flat_map(|point| &point.runs)
    }

    /// The only swept field, if all its values are numbers.
    pub(super) fn axis(&self) -> Option<&str> {
        let mut runs = self.runs().peekable();
        let (field, _) = runs.peek()?.record.sweep.first()?;
        let numeric = |run: &Run| run.x().is_some();
        (self.points.len() > 1 && runs.all(numeric)).then_some(field)
    }
}

impl Run {
    pub(super) fn succeeded(&self) -> bool {
        self.record.error.is_none()
    }

    /// The value of the only swept field, if it is a number or a list of one.
    pub(super) fn x(&self) -> Option<f64> {
        let [(_, value)] = self.record.sweep.as_slice() else { return None };
        let only = value.strip_prefix('[').and_then(|value| value.strip_suffix(']'));
        only.unwrap_or(value).trim().parse().ok().filter(|x: &f64| x.is_finite())
    }

    /// True if there were too many episodes for intervals.
    pub(super) fn is_summary(&self) -> bool {
        self.means.iter().flatten().any(|mean| mean.sd.is_some())
    }
}

/// Reads a run folder.
pub(super) fn read(path: &Path) -> Result<Folder, PageError> {
    let mut folder = RunFolder::open(path)?;
    let mut scenarios: Vec<Scenario> = Vec::new();
    // The runs of the point that is read.
    let (mut runs, mut kept, mut scores) = (Vec::<Run>::new(), Vec::new(), 0);
    let mut values = 0;
    loop {
        let record = folder.next_run();
        let same = |before: &Run, record: &RunRecord| {
            before.record.scenario == record.scenario && before.record.sweep == record.sweep
        };
        let ended = match (runs.last(), &record) {
            (Some(before), Some(record)) => !same(before, record),
            (before, _) => before.is_some(),
        };
        if ended {
            let name = runs[0].record.scenario.clone();
            let point = point(std::mem::take(&mut runs), std::mem::take(&mut kept));
            match scenarios.last_mut().filter(|scenario| scenario.name == name) {
                Some(scenario) => scenario.points.push(point),
                None => scenarios.push(Scenario { name, points: vec![point] }),
            }
            scores = 0;
        }
        let Some(record) = record else { break };
        let groups = Grouped::new(|grouping| match record.sweep.is_empty() {
            true => vec![(); record.groups(grouping).len()],
            false => Vec::new(),
        });
        let size = record.episodes.saturating_mul((shown().count() * (1 + groups.count())) as u64);
        let keep = size.saturating_add(scores) <= MAX_SCORES;
        scores += if keep { size } else { 0 };
        let (mut run, scores) = run(&mut folder, record, &groups, keep)?;
        if values >= MAX_VALUES {
            run.values.clear();
        }
        values += run.values.iter().map(Vec::len).sum::<usize>();
        runs.push(run);
        kept.push(scores);
    }
    Ok(Folder { path: path.to_owned(), scenarios })
}

/// Reads the episodes of the run that `folder` is at; its scores are empty unless they are to be kept.
fn run(
    folder: &mut RunFolder,
    record: RunRecord,
    groups: &Grouped<()>,
    keep: bool,
) -> Result<(Run, Kept), PageError> {
    let lists = || vec![Vec::new(); shown().count()];
    let mut kept = Kept::default();
    if keep {
        let by_group = Grouped::new(|grouping| vec![lists(); groups[grouping].len()]);
        kept = Kept { overall: lists(), by_group };
    }
    let mut summary = Summary::new();
    let (mut done_by_delay, mut tasks) = (Vec::<u64>::new(), 0);
    while let Some(episode) = folder.next_episode()? {
        tasks += episode.overall.tasks;
        let slots = done_by_delay.len().max(episode.done_by_delay.len());
        done_by_delay.resize(slots, 0);
        for (sum, count) in done_by_delay.iter_mut().zip(&episode.done_by_delay) {
            *sum += count;
        }
        if keep {
            kept.add(&episode);
        }
        if !keep || episode.mobility.is_some() {
            summary.add(&episode);
        }
    }
    let mean = |scores: &Vec<Option<Weighted>>| {
        Scores::untrained(scores.clone()).map(|scores| Mean::of(scores.mean()))
    };
    let (means, by_group) = if keep {
        let of_group = |group: &Vec<_>| group.iter().map(mean).collect();
        let by_group =
            Grouped::new(|grouping| kept.by_group[grouping].iter().map(of_group).collect());
        (kept.overall.iter().map(mean).collect(), by_group)
    } else {
        let overall = shown().map(|(metric, _)| summary.mean_sd(metric).map(Mean::summary));
        let by_group = Grouped::new(|grouping| {
            let of_group = |group| {
                let means =
                    shown().map(|(metric, _)| summary.mean_sd_of_group(grouping, group, metric));
                means.map(|mean| mean.map(Mean::summary)).collect()
            };
            (0..groups[grouping].len()).map(of_group).collect()
        });
        (overall.collect(), by_group)
    };
    let mobility = crate::shown_of_mobility().map(|(metric, _)| summary.mean_sd(metric)).collect();
    let mut values = Vec::new();
    if keep && record.sweep.is_empty() {
        values.extend(drawn().map(|(at, _)| {
            let mut values: Vec<f64> =
                kept.overall[at].iter().flatten().map(|score| score.value).collect();
            values.sort_by(f64::total_cmp);
            values
        }));
    }
    let minus_best = Vec::new();
    let run = Run { record, means, by_group, mobility, minus_best, values, done_by_delay, tasks };
    Ok((run, kept))
}

impl Kept {
    fn add(&mut self, episode: &EpisodeResult) {
        for (scores, (metric, _)) in self.overall.iter_mut().zip(shown()) {
            scores.push(metric.of(episode));
        }
        for grouping in Grouping::ALL {
            let groups = self.by_group[grouping].iter_mut().zip(&episode.by_group[grouping]);
            for (lists, group) in groups {
                for (scores, (metric, _)) in lists.iter_mut().zip(shown()) {
                    scores.push(metric.of_group(group));
                }
            }
        }
    }
}

/// The runs of one point, compared with the best of them.
fn point(mut runs: Vec<Run>, kept: Vec<Kept>) -> Point {
    let qoe = drawn().next().map_or(0, |(at, _)| at);
    let mean_qoe =
        |run: &Run| run.means.get(qoe).copied().flatten().filter(|mean| mean.sd.is_none());
    let mut best: Option<(usize, f64)> = None;
    // No policy could be as good as a reference that knows more.
    let policies = runs.iter().enumerate().filter(|(_, run)| !is_reference(&run.record));
    for (number, run) in policies {
        let Some(Mean { mean, .. }) = mean_qoe(run) else { continue };
        if best.is_none_or(|(_, highest)| mean > highest) {
            best = Some((number, mean));
        }
    }
    let best = best.map(|(number, _)| number);
    let scores = |of: usize| -> Vec<Option<Scores>> {
        kept[of].overall.iter().map(|scores| Scores::untrained(scores.clone())).collect()
    };
    if let Some(best) = best {
        let references = scores(best);
        for (number, run) in runs.iter_mut().enumerate().filter(|(number, _)| *number != best) {
            let own = scores(number);
            let minus = own.iter().zip(&references);
            run.minus_best =
                minus.map(|(own, best)| own.as_ref()?.mean_minus(best.as_ref()?)).collect();
        }
    }
    Point { runs, best }
}
