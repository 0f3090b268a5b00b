//! The figures of a study: estimates with their intervals, and a dot for each training seed.

use offramp_results::exhibit::{Cell, Exhibit, ExhibitKind, Quantity};
use offramp_results::statistics::{Interval, Scores};

use super::interval;
use crate::learning::{SMOOTHED, smoothed};
use crate::plot::{Bar, Bars, Figure, Lines, Series};

/// The figures of an exhibit, each with the suffix of its file's name (`-qoe`; empty if there is
/// only one).
pub fn figures(exhibit: &Exhibit) -> Vec<(String, Figure)> {
    let of_metrics = |draw: fn(&Exhibit, Quantity) -> Figure| {
        let file = |quantity: Quantity| match exhibit.quantities.len() {
            1 => String::new(),
            _ => format!("-{}", quantity.name()).to_lowercase(),
        };
        exhibit
            .quantities
            .iter()
            .map(|&quantity| (file(quantity), draw(exhibit, quantity)))
            .collect()
    };
    match exhibit.kind {
        ExhibitKind::Table => Vec::new(),
        ExhibitKind::Lines => of_metrics(lines),
        ExhibitKind::Bars => of_metrics(bars),
        ExhibitKind::Profiles => of_metrics(profiles),
        ExhibitKind::Curves => vec![(String::new(), curves(exhibit))],
    }
}

/// A statistic of each training seed alone, where there are several.
fn by_seed(cell: &Cell, quantity: Quantity, statistic: impl Fn(&Scores) -> Interval) -> Vec<f64> {
    let seeds = cell.by_seed(quantity);
    let alone = |(_, scores): &(u64, Scores)| statistic(scores).estimate;
    if seeds.len() > 1 { seeds.iter().map(alone).collect() } else { Vec::new() }
}

/// The label of an axis, which explains the dots if there are any.
fn with_dots(label: &str, mut dots: impl Iterator<Item = bool>) -> String {
    let any = dots.any(|any| any);
    if any { format!("{label} (dots: single training seeds)") } else { label.to_owned() }
}

/// The ends of the intervals of a line, where there are any.
fn upright(points: &[(f64, Interval)]) -> Vec<(f64, f64, f64)> {
    points.iter().filter_map(|(x, ours)| ours.ends.map(|(low, high)| (*x, low, high))).collect()
}

/// The policies of an exhibit in the order of its first point.
fn policies(exhibit: &Exhibit) -> Vec<&str> {
    let mut policies: Vec<&str> = Vec::new();
    for cell in &exhibit.cells {
        if !policies.contains(&cell.policy.as_str()) {
            policies.push(&cell.policy);
        }
    }
    policies
}

fn lines(exhibit: &Exhibit, quantity: Quantity) -> Figure {
    let mut series = Vec::new();
    for policy in policies(exhibit) {
        let cells = || {
            let own = exhibit.cells.iter().filter(|cell| cell.policy == policy);
            own.filter_map(|cell| Some((cell.point.parse::<f64>().ok()?, cell)))
        };
        let measured: Vec<(f64, Interval)> =
            cells().filter_map(|(x, cell)| Some((x, interval(cell, quantity)?))).collect();
        series.push(Series {
            name: policy.to_owned(),
            points: measured.iter().map(|(x, ours)| (*x, ours.estimate)).collect(),
            intervals: upright(&measured),
            dots: cells()
                .flat_map(|(x, cell)| {
                    by_seed(cell, quantity, Scores::mean).into_iter().map(move |y| (x, y))
                })
                .collect(),
        });
        let quoted: Vec<(f64, f64)> =
            cells().filter_map(|(x, cell)| Some((x, *cell.paper.get(&quantity)?))).collect();
        if !quoted.is_empty() {
            let name = format!("{policy} (paper)");
            let (intervals, dots) = (Vec::new(), Vec::new());
            series.push(Series { name, points: quoted, intervals, dots });
        }
    }
    let y = with_dots(quantity.title(), series.iter().map(|series| !series.dots.is_empty()));
    let (title, x) = (exhibit.title.clone(), exhibit.axis.clone());
    Figure::Lines(Lines { title, x, y, series })
}

fn bars(exhibit: &Exhibit, quantity: Quantity) -> Figure {
    let mut bars = Vec::new();
    for cell in &exhibit.cells {
        let name = name_of(cell);
        if let Some(Interval { estimate, ends, .. }) = interval(cell, quantity) {
            let name = name.clone();
            let dots = by_seed(cell, quantity, Scores::mean);
            bars.push(Bar { name, height: estimate, interval: ends, dots, quoted: false });
        }
        if let Some(&height) = cell.paper.get(&quantity) {
            let name = format!("{name} (paper)");
            bars.push(Bar { name, height, interval: None, dots: Vec::new(), quoted: true });
        }
    }
    let y = with_dots(quantity.title(), bars.iter().map(|bar| !bar.dots.is_empty()));
    Figure::Bars(Bars { title: exhibit.title.clone(), y, bars })
}

/// Number of thresholds of a performance profile.
const THRESHOLDS: usize = 41;
/// Thresholds from one with dots to the next: more would hide the lines.
const BETWEEN_DOTS: usize = 4;
/// Places with dots along a training curve.
const DOTTED: usize = 20;

/// The share of episodes that reach each threshold (Agarwal et al. 2021).
fn profiles(exhibit: &Exhibit, quantity: Quantity) -> Figure {
    let measured: Vec<(&Cell, Scores)> =
        exhibit.cells.iter().filter_map(|cell| Some((cell, cell.scores(quantity)?))).collect();
    let (low, high) = measured
        .iter()
        .flat_map(|(_, scores)| scores.all())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), score| {
            (low.min(score), high.max(score))
        });
    let threshold = |at: usize| low + (high - low) * at as f64 / (THRESHOLDS - 1) as f64;
    let series = measured.into_iter().map(|(cell, scores)| {
        let shares: Vec<(f64, Interval)> = (0..THRESHOLDS)
            .map(|at| (threshold(at), scores.share_of_at_least(threshold(at))))
            .collect();
        let points = shares.iter().map(|(x, share)| (*x, share.estimate)).collect();
        let dots = (0..THRESHOLDS).step_by(BETWEEN_DOTS).map(threshold).flat_map(|x| {
            let shares = by_seed(cell, quantity, |scores| scores.share_of_at_least(x));
            shares.into_iter().map(move |share| (x, share))
        });
        let dots = dots.collect();
        Series { name: name_of(cell), points, intervals: upright(&shares), dots }
    });
    let series: Vec<Series> = series.collect();
    let shares = "share of episodes at or above";
    Figure::Lines(Lines {
        title: exhibit.title.clone(),
        x: quantity.title().to_owned(),
        y: with_dots(shares, series.iter().map(|series| !series.dots.is_empty())),
        series,
    })
}

/// The label of a cell in a figure: policy and point.
fn name_of(cell: &Cell) -> String {
    match cell.point.as_str() {
        "" => cell.policy.clone(),
        point => format!("{} {point}", cell.policy),
    }
}

fn curves(exhibit: &Exhibit) -> Figure {
    let mut series = Vec::new();
    for cell in &exhibit.cells {
        let Ok(measured) = &cell.outcome else { continue };
        let name = match cell.point.as_str() {
            "" => cell.policy.clone(),
            point => point.to_owned(),
        };
        // One line per seed would be too many: the mean over all seeds, and dots now and then.
        let all: Vec<Vec<(f64, f64)>> =
            measured.trainings.iter().map(|rows| smoothed(rows, |row| row.qoe)).collect();
        let Some(first) = all.first() else { continue };
        let points = first.iter().enumerate().map(|(at, &(x, _))| {
            let values = all.iter().filter_map(|points| points.get(at)).map(|point| point.1);
            (x, values.sum::<f64>() / all.len() as f64)
        });
        let points: Vec<(f64, f64)> = points.collect();
        let (step, several) = (points.len().div_ceil(DOTTED).max(1), all.len() > 1);
        let seeds = all.iter().filter(|_| several);
        let dots = seeds.flat_map(|seed| seed.iter().step_by(step).copied()).collect();
        series.push(Series { name, points, intervals: Vec::new(), dots });
    }
    Figure::Lines(Lines {
        title: format!("{} (mean of {SMOOTHED} episodes)", exhibit.title),
        x: "episode".to_owned(),
        y: with_dots("AvgQoE while training", series.iter().map(|series| !series.dots.is_empty())),
        series,
    })
}
