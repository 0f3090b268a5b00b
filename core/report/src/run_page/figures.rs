//! The figures of runs.

use offramp_results::Grouping;

use crate::axis;
use crate::page::figures::Panel;
use crate::palette::Palette;
use crate::plot::{Figure, Lines, MAX_POINTS, Series, Strip, Strips, thinned};

use super::measured::{Mean, Run, Scenario, drawn};

/// Most policies of a figure.
pub(super) const MAX_POLICIES: usize = 12;

/// The policies that figures of a scenario show, in its order: those with the highest QoE, if there are
/// more than a figure can show; and how many there are.
pub(super) fn policies(scenario: &Scenario) -> (Vec<&str>, usize) {
    let qoe = drawn().next().map_or(0, |(at, _)| at);
    let mut policies: Vec<(&str, f64)> = Vec::new();
    for run in scenario.runs().filter(|run| run.succeeded()) {
        let qoe = run.means.get(qoe).copied().flatten().map_or(f64::NEG_INFINITY, |of| of.mean);
        match policies.iter_mut().find(|(name, _)| *name == run.record.policy) {
            Some((_, highest)) => *highest = highest.max(qoe),
            None => policies.push((&run.record.policy, qoe)),
        }
    }
    let count = policies.len();
    (highest(policies, MAX_POLICIES), count)
}

/// The `most` names with the highest numbers, in their order; on ties, the first.
fn highest(numbered: Vec<(&str, f64)>, most: usize) -> Vec<&str> {
    let mut ranked: Vec<(usize, (&str, f64))> = numbered.into_iter().enumerate().collect();
    ranked.sort_by(|(_, (_, a)), (_, (_, b))| b.total_cmp(a));
    ranked.truncate(most);
    ranked.sort_by_key(|(place, _)| *place);
    ranked.into_iter().map(|(_, (name, _))| name).collect()
}

/// The runs of `policies`, policy by policy, with their names.
fn runs<'s>(scenario: &'s Scenario, policies: &[&'s str]) -> Vec<(&'s str, Vec<&'s Run>)> {
    let of = |policy: &&'s str| {
        let own = scenario.runs().filter(|run| run.succeeded() && run.record.policy == **policy);
        (*policy, own.collect())
    };
    policies.iter().map(of).collect()
}

fn panel(figure: Figure) -> Panel {
    Panel { heading: figure.value_label().to_owned(), figure, files: Vec::new() }
}

fn lines(x: &str, y: String, series: Vec<Series>) -> Option<Panel> {
    let figure = Lines { title: String::new(), x: x.to_owned(), y, series };
    let any = figure.series.iter().any(|series| !series.points.is_empty());
    any.then(|| panel(Figure::Lines(figure)))
}

/// A line through means, with their intervals; of many only some.
fn series(name: &str, palette: &Palette, means: impl Iterator<Item = (f64, Mean)>) -> Series {
    let means: Vec<(f64, Mean)> = thinned(means.collect(), MAX_POINTS);
    let ends = means.iter().filter_map(|(x, mean)| mean.ends.map(|(low, high)| (*x, low, high)));
    Series {
        name: name.to_owned(),
        look: palette.look(name),
        points: means.iter().map(|(x, mean)| (*x, mean.mean)).collect(),
        intervals: ends.collect(),
        ..Series::default()
    }
}

/// The metrics of single episodes, one distribution per policy.
pub(super) fn distributions(
    scenario: &Scenario,
    policies: &[&str],
    palette: &Palette,
) -> Vec<Panel> {
    let of_metric = |(number, (_, metric))| {
        let strips = runs(scenario, policies).into_iter().flat_map(|(name, runs)| {
            let values = runs.into_iter().filter_map(move |run| run.values.get(number).cloned());
            values.map(move |values| Strip {
                name: name.to_owned(),
                look: palette.look(name),
                values,
            })
        });
        let strips: Vec<Strip> = strips.filter(|strip| !strip.values.is_empty()).collect();
        let value = axis::metric_label(metric);
        (!strips.is_empty())
            .then(|| panel(Figure::Strips(Strips { title: String::new(), value, strips })))
    };
    drawn().enumerate().filter_map(of_metric).collect()
}

/// The share of all tasks that were completed within so many slots, one line per policy; `None` if the
/// folder does not have the delays.
pub(super) fn delays(scenario: &Scenario, policies: &[&str], palette: &Palette) -> Option<Panel> {
    let mut lines_of = Vec::new();
    for (name, runs) in runs(scenario, policies) {
        for run in runs.into_iter().filter(|run| !run.done_by_delay.is_empty()) {
            lines_of.push(Series {
                name: name.to_owned(),
                look: palette.look(name),
                points: thinned(completed_within(run), MAX_POINTS),
                ..Series::default()
            });
        }
    }
    lines("slots since arrival", axis::of_metric("completion_ratio"), lines_of)
}

/// The share of all tasks of a run that were completed within 0, 1, 2, … slots.
pub(super) fn completed_within(run: &Run) -> Vec<(f64, f64)> {
    let mut done = 0;
    let shares = run.done_by_delay.iter().zip(1_u32..).map(|(count, slots)| {
        done += count;
        (f64::from(slots), done as f64 / run.tasks.max(1) as f64)
    });
    [(0.0, 0.0)].into_iter().chain(shares).collect()
}

/// The metrics by power mode, one line per policy.
pub(super) fn power_modes(scenario: &Scenario, policies: &[&str], palette: &Palette) -> Vec<Panel> {
    let of_metric = |(at, metric): (usize, _)| {
        let series = runs(scenario, policies).into_iter().map(|(name, runs)| {
            let means = runs.into_iter().flat_map(|run| {
                let modes = run.record.power_modes.iter().zip(&run.by_group[Grouping::PowerMode]);
                modes.filter_map(|(&alpha, means)| Some((alpha, (*means.get(at)?)?)))
            });
            series(name, palette, means)
        });
        let y = format!("{}, by power mode", axis::metric_label(metric));
        lines("power mode α", y, series.collect())
    };
    let several = scenario.runs().any(|run| run.by_group[Grouping::PowerMode].len() > 1);
    if several { drawn().filter_map(of_metric).collect() } else { Vec::new() }
}

/// The metrics over the values of the swept field, one line per policy.
pub(super) fn sweep(
    scenario: &Scenario,
    field: &str,
    policies: &[&str],
    palette: &Palette,
) -> Vec<Panel> {
    let of_metric = |(at, metric): (usize, _)| {
        let series = runs(scenario, policies).into_iter().map(|(name, runs)| {
            let mut means: Vec<(f64, Mean)> = runs
                .into_iter()
                .filter_map(|run| Some((run.x()?, run.means.get(at).copied().flatten()?)))
                .collect();
            means.sort_by(|a, b| a.0.total_cmp(&b.0));
            series(name, palette, means.into_iter())
        });
        lines(axis::of_field(field), axis::metric_label(metric), series.collect())
    };
    drawn().filter_map(of_metric).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_policy_is_shown_after_any_number_of_equal_ones() {
        let names: Vec<String> = (0..13).map(|at| format!("p{at}")).collect();
        let qoe = |at: usize| if at == 12 { 9.0 } else { 5.0 };
        let numbered = || names.iter().enumerate().map(|(at, name)| (name.as_str(), qoe(at)));
        let shown = highest(numbered().collect(), MAX_POLICIES);
        let expected: Vec<&str> =
            names[..11].iter().chain(&names[12..]).map(String::as_str).collect();
        assert_eq!(shown, expected);
        assert_eq!(highest(vec![("a", 1.0), ("b", 3.0), ("c", 2.0)], 2), ["b", "c"]);
        assert_eq!(highest(vec![("a", 1.0)], 2), ["a"]);
    }
}
