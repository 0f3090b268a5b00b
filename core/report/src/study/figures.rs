//! The figures of a study: estimates with their intervals, and a dot for each training seed.

use offramp_results::exhibit::{Cell, Exhibit, ExhibitKind, Quantity};
use offramp_results::live::{LiveRow, LiveRun};
use offramp_results::statistics::{Interval, Scores, Weighted};

use super::interval;
use crate::axis;
use crate::learning::{SMOOTHED, smoothed};
use crate::live::change_lines;
use crate::palette::{Look, Palette};
use crate::plot::{Bar, Bars, Figure, Lines, Series};

/// The looks of all policies that figures show, the same throughout a study.
pub fn palette(exhibits: &[Exhibit]) -> Palette {
    let drawn = exhibits.iter().filter(|exhibit| exhibit.kind != ExhibitKind::Table);
    Palette::of_groups(drawn.map(policies))
}

/// The figures of an exhibit, each with the suffix of its file's name (`-qoe`; empty if there is
/// only one).
pub fn figures(exhibit: &Exhibit, palette: &Palette) -> Vec<(String, Figure)> {
    let of_metrics = |draw: fn(&Exhibit, Quantity, &Palette) -> Figure| {
        let file = |quantity: Quantity| match exhibit.quantities.len() {
            1 => String::new(),
            _ => format!("-{}", quantity.name()).to_lowercase(),
        };
        exhibit
            .quantities
            .iter()
            .map(|&quantity| (file(quantity), draw(exhibit, quantity, palette)))
            .collect()
    };
    match exhibit.kind {
        ExhibitKind::Table => Vec::new(),
        ExhibitKind::Lines => of_metrics(lines),
        ExhibitKind::Bars => of_metrics(bars),
        ExhibitKind::Profiles => of_metrics(profiles),
        ExhibitKind::Curves => vec![(String::new(), curves(exhibit, palette))],
        ExhibitKind::Streams => vec![(String::new(), streams(exhibit, palette))],
    }
}

/// A statistic of each training seed alone, where there are several.
fn by_seed(cell: &Cell, quantity: Quantity, statistic: impl Fn(&Scores) -> Interval) -> Vec<f64> {
    let seeds = cell.by_seed(quantity);
    let alone = |(_, scores): &(u64, Scores)| statistic(scores).estimate;
    if seeds.len() > 1 { seeds.iter().map(alone).collect() } else { Vec::new() }
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

/// True if all cells are of the same point.
fn one_point(exhibit: &Exhibit) -> bool {
    exhibit.cells.windows(2).all(|pair| pair[0].point == pair[1].point)
}

fn lines(exhibit: &Exhibit, quantity: Quantity, palette: &Palette) -> Figure {
    // At one point alone there are no lines.
    if one_point(exhibit) {
        return bars(exhibit, quantity, palette);
    }
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
            look: palette.look(policy),
            quoted: false,
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
            let look = palette.look(policy);
            series.push(Series { name, look, quoted: true, points: quoted, ..Series::default() });
        }
    }
    let (title, x) = (exhibit.title.clone(), exhibit.axis.clone());
    Figure::Lines(Lines { title, x, y: axis::label(quantity), series })
}

fn bars(exhibit: &Exhibit, quantity: Quantity, palette: &Palette) -> Figure {
    let mut bars = Vec::new();
    let first = exhibit.cells.first().map_or("", |cell| &cell.point);
    // The label names a point that is that of all bars.
    let common = Some(first).filter(|first| !first.is_empty() && one_point(exhibit));
    for cell in &exhibit.cells {
        let name = if common.is_some() { cell.policy.clone() } else { name_of(cell) };
        let look = palette.look(&cell.policy);
        if let Some(Interval { estimate, ends, .. }) = interval(cell, quantity) {
            let name = name.clone();
            let dots = by_seed(cell, quantity, Scores::mean);
            bars.push(Bar { name, look, quoted: false, value: estimate, interval: ends, dots });
        }
        if let Some(&value) = cell.paper.get(&quantity) {
            let name = format!("{name} (paper)");
            bars.push(Bar { name, look, quoted: true, value, ..Bar::default() });
        }
    }
    let label = axis::label(quantity);
    let value = match common {
        Some(point) if exhibit.axis.is_empty() => format!("{label}, {point}"),
        Some(point) => format!("{label}, {} {point}", exhibit.axis),
        None => label,
    };
    Figure::Bars(Bars { title: exhibit.title.clone(), value, bars })
}

/// Number of thresholds of a performance profile.
const THRESHOLDS: usize = 41;
/// Thresholds from one with dots to the next: more would hide the lines.
const BETWEEN_DOTS: usize = 4;
/// Places with dots along a training curve.
const DOTTED: usize = 20;

/// The share of episodes that reach each threshold (Agarwal et al. 2021).
fn profiles(exhibit: &Exhibit, quantity: Quantity, palette: &Palette) -> Figure {
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
        Series {
            name: name_of(cell),
            look: palette.look(&cell.policy),
            quoted: false,
            points,
            intervals: upright(&shares),
            dots: dots.collect(),
        }
    });
    Figure::Lines(Lines {
        title: exhibit.title.clone(),
        x: axis::label(quantity),
        y: "share of episodes at or above".to_owned(),
        series: series.collect(),
    })
}

/// The label of a cell in a figure: policy and point.
fn name_of(cell: &Cell) -> String {
    match cell.point.as_str() {
        "" => cell.policy.clone(),
        point => format!("{} {point}", cell.policy),
    }
}

/// The quality of experience per task over time, window by window, with a line at each change: the mean of
/// all live runs, with its interval.
fn streams(exhibit: &Exhibit, palette: &Palette) -> Figure {
    let runs = || exhibit.streams.iter().map(|(_, run)| run);
    let curve = |policy: &str| {
        let of_policy = |run: &LiveRun| run.streams.iter().position(|one| one.policy == policy);
        let rows: Vec<&[LiveRow]> =
            runs().filter_map(|run| Some(&run.streams[of_policy(run)?].rows[..])).collect();
        let windows = rows.iter().map(|rows| rows.len()).max().unwrap_or(0);
        let measured = (0..windows).filter_map(|window| {
            let row = |rows: &&[LiveRow]| rows.get(window)?.qoe_per_task;
            let value = |value| Weighted { value, weight: 1.0 };
            let scores = Scores::untrained(rows.iter().map(|rows| row(rows).map(value)).collect());
            let end = rows.iter().find_map(|rows| rows.get(window))?.end_slot;
            Some((f64::from(end), scores?.mean()))
        });
        let measured: Vec<(f64, Interval)> = measured.collect();
        Series {
            name: policy.to_owned(),
            look: palette.look(policy),
            points: measured.iter().map(|(x, ours)| (*x, ours.estimate)).collect(),
            intervals: upright(&measured),
            ..Series::default()
        }
    };
    let curves: Vec<Series> = policies(exhibit).into_iter().map(curve).collect();
    let changes = runs().next().map_or(&[][..], |run| &run.changes);
    let window = runs().next().map_or(0, |run| run.window_slots);
    Figure::Lines(Lines {
        title: exhibit.title.clone(),
        x: "slot".to_owned(),
        y: format!("QoE per task (windows of {window} slots)"),
        series: change_lines(changes, &curves).chain(curves.iter().cloned()).collect(),
    })
}

fn curves(exhibit: &Exhibit, palette: &Palette) -> Figure {
    let mut series = Vec::new();
    for cell in &exhibit.cells {
        let Ok(measured) = &cell.outcome else { continue };
        let (name, look) = match cell.point.as_str() {
            "" => (cell.policy.clone(), palette.look(&cell.policy)),
            point => (
                format!("{} {point}", exhibit.axis).trim_start().to_owned(),
                Look::numbered(series.len()),
            ),
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
        series.push(Series { name, look, points, dots, ..Series::default() });
    }
    Figure::Lines(Lines {
        title: exhibit.title.clone(),
        x: "episode".to_owned(),
        y: format!("{} while training (mean of {SMOOTHED} episodes)", axis::QOE),
        series,
    })
}
