//! The tables and figures of a study: ours with intervals, beside the paper's.

use std::path::Path;

use offramp_harness::statistics::{Interval, Scores};
use offramp_harness::study::{Cell, Claim, Form, Item, Metric, Verdict};
use offramp_harness::train::TrainingRow;

use crate::plot::{Bar, Bars, Figure, Lines, PlotError, Series};
use crate::{align_numbers, bare_table};

/// A table before it has a form.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// Above it, if anything.
    pub caption: String,
    /// The names of the columns.
    pub header: Vec<String>,
    /// As many cells a row as there are columns.
    pub rows: Vec<Vec<String>>,
    /// How many columns are texts; the rest are numbers.
    pub texts: usize,
}

/// The tables of an item: what was measured, and, if it has a reference, the differences to it.
/// None for training curves.
pub fn grids(item: &Item) -> Vec<Grid> {
    if item.form == Form::Curves {
        return Vec::new();
    }
    if item.form == Form::Profiles {
        return vec![profile_grid(item)];
    }
    let texts = texts(item);
    let quoted = |metric: Metric| item.cells.iter().any(|cell| cell.paper.contains_key(&metric));
    let mut columns = item.metrics.iter().flat_map(|&metric| {
        let paper = quoted(metric).then(|| "paper (ours less it)".to_owned());
        [metric.name().to_owned()].into_iter().chain(paper)
    });
    let row = |cell: &Cell| {
        let mut row = begin(item, cell);
        for &metric in &item.metrics {
            let ours = interval(cell, metric);
            row.push(ours.map_or_else(|| "–".to_owned(), |ours| with_interval(ours, metric)));
            if quoted(metric) {
                let digits = metric.digits();
                row.push(match (cell.paper.get(&metric), ours) {
                    (Some(paper), Some(ours)) => {
                        format!("{paper:.digits$} ({:+.digits$})", ours.estimate - paper)
                    }
                    (Some(paper), None) => format!("{paper:.digits$}"),
                    (None, _) => String::new(),
                });
            }
        }
        row
    };
    let unchanging = unchanging_reference(item);
    let changing =
        |cell: &&Cell| unchanging.is_none_or(|reference| cell.policy != reference.policy);
    let mut rows: Vec<Vec<String>> = item.cells.iter().filter(changing).map(row).collect();
    rows.extend(unchanging.map(|reference| {
        let mut row = row(reference);
        row[0] = "any".to_owned();
        row
    }));
    let caption = String::new();
    let mut grids = vec![Grid { caption, header: header(item, &mut columns), rows, texts }];
    if let Some(reference) = &item.reference {
        let compared: Vec<Metric> = item
            .metrics
            .iter()
            .copied()
            .filter(|metric| !matches!(metric, Metric::Parameters | Metric::DecisionTime))
            .collect();
        let row = |cell: &Cell| {
            let mut row = begin(item, cell);
            row.extend(compared.iter().map(|&metric| {
                let difference = difference(item, cell, metric);
                difference.map_or_else(|| "–".to_owned(), |d| with_interval(d, metric))
            }));
            row
        };
        let others = item.cells.iter().filter(|cell| cell.policy != *reference);
        grids.push(Grid {
            caption: format!("Less that of {reference}, episode by episode:"),
            header: header(item, &mut compared.iter().map(|metric| metric.name().to_owned())),
            rows: others.map(row).collect(),
            texts,
        });
    }
    grids
}

/// What profiles leave out: means, means of the middle half, and how often each is ahead.
fn profile_grid(item: &Item) -> Grid {
    let mut columns = item.metrics.iter().flat_map(|metric| {
        let name = metric.name();
        let above = item.reference.as_ref().map(|reference| format!("P(above {reference})"));
        [name.to_owned(), format!("{name}, middle half")].into_iter().chain(above)
    });
    let row = |cell: &Cell| {
        let mut row = begin(item, cell);
        for &metric in &item.metrics {
            let scores = scores(cell, metric);
            let of = |statistic: fn(&Scores) -> Interval| {
                let interval = scores.as_ref().map(statistic);
                interval.map_or_else(|| "–".to_owned(), |found| with_interval(found, metric))
            };
            row.extend([of(Scores::mean), of(Scores::interquartile_mean)]);
            if item.reference.is_some() {
                let reference = reference(item, cell).filter(|other| other.policy != cell.policy);
                let reference = reference.and_then(|cell| self::scores(cell, metric));
                let both = scores.as_ref().zip(reference);
                let above = both.and_then(|(ours, theirs)| ours.probability_above(&theirs));
                row.push(above.map_or_else(
                    || "–".to_owned(),
                    |Interval { estimate, low, high }| {
                        format!("{estimate:.3} [{low:.3}, {high:.3}]")
                    },
                ));
            }
        }
        row
    };
    let (caption, header) = (String::new(), header(item, &mut columns));
    Grid { caption, header, rows: item.cells.iter().map(row).collect(), texts: texts(item) }
}

/// How many columns of an item's tables are texts: the point, if there are several, and the policy.
fn texts(item: &Item) -> usize {
    let pointed = item.cells.iter().any(|cell| !cell.point.is_empty());
    usize::from(pointed) + 1
}

/// The texts that a cell's row begins with.
fn begin(item: &Item, cell: &Cell) -> Vec<String> {
    let point = (texts(item) == 2).then(|| cell.point.clone());
    point.into_iter().chain([cell.policy.clone()]).collect()
}

/// The header of an item's tables.
fn header(item: &Item, columns: &mut dyn Iterator<Item = String>) -> Vec<String> {
    let axis = if item.axis.is_empty() { "case" } else { &item.axis };
    let point = (texts(item) == 2).then(|| axis.to_owned());
    point.into_iter().chain(["policy".to_owned()]).chain(columns).collect()
}

/// The reference's first cell, if it is the same at every point of several: said once, that is
/// enough.
fn unchanging_reference(item: &Item) -> Option<&Cell> {
    let reference = item.reference.as_ref()?;
    let mut cells = item.cells.iter().filter(|cell| cell.policy == *reference);
    let first = cells.next()?;
    let runs = |cell: &Cell| cell.outcome.as_ref().ok().map(|measured| measured.runs.clone());
    let mut others = cells.peekable();
    others.peek()?;
    others.all(|cell| runs(cell).is_some() && runs(cell) == runs(first)).then_some(first)
}

/// What claims came to.
pub fn claims_grid(claims: &[Claim]) -> Grid {
    let row = |claim: &Claim| {
        let Claim { text, source, verdict, because } = claim;
        vec![text.clone(), source.clone(), verdict_name(*verdict).to_owned(), because.clone()]
    };
    Grid {
        caption: String::new(),
        header: ["claim", "source", "verdict", "the narrowest difference"]
            .map(str::to_owned)
            .into(),
        rows: claims.iter().map(row).collect(),
        texts: 4,
    }
}

/// What a verdict is called.
pub fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "holds",
        Verdict::Fails => "fails",
        Verdict::Undecided => "undecided",
    }
}

/// A table as Markdown.
pub fn markdown(grid: &Grid) -> String {
    let mut table = bare_table(grid.header.clone());
    table.add_rows(grid.rows.clone());
    align_numbers(&mut table, grid.texts);
    let caption = match grid.caption.as_str() {
        "" => String::new(),
        caption => format!("\n{caption}\n"),
    };
    format!("{caption}\n{table}\n")
}

/// An item as Markdown.
pub fn table(item: &Item) -> String {
    let tables: String = grids(item).iter().map(markdown).collect();
    format!("{}\n{tables}{}", item.title, failures(item))
}

/// An item as CSV, a row a number.
pub fn csv(item: &Item) -> String {
    let mut table = csv::Writer::from_writer(Vec::new());
    let header = [
        "item",
        "point",
        "policy",
        "metric",
        "seeds",
        "estimate",
        "low",
        "high",
        "paper",
        "less_reference",
        "less_reference_low",
        "less_reference_high",
    ];
    let mut rows = vec![header.map(str::to_owned)];
    for cell in &item.cells {
        for &metric in &item.metrics {
            let number = |value: Option<f64>| value.map_or_else(String::new, |v| v.to_string());
            let parts = |interval: Option<Interval>| {
                [interval.map(|i| i.estimate), interval.map(|i| i.low), interval.map(|i| i.high)]
                    .map(number)
            };
            let [estimate, low, high] = parts(interval(cell, metric));
            let [less, less_low, less_high] = parts(difference(item, cell, metric));
            rows.push([
                item.id.clone(),
                cell.point.clone(),
                cell.policy.clone(),
                metric.name().to_owned(),
                cell.outcome.as_ref().map_or(0, |measured| measured.runs.len()).to_string(),
                estimate,
                low,
                high,
                number(cell.paper.get(&metric).copied()),
                less,
                less_low,
                less_high,
            ]);
        }
    }
    // Writing to memory can't fail.
    for row in rows {
        let _ = table.write_record(row);
    }
    String::from_utf8(table.into_inner().unwrap_or_default()).unwrap_or_default()
}

/// The figures of an item, each with the end of its file's name.
pub fn figures(item: &Item) -> Vec<(String, Figure)> {
    let of_metrics = |draw: fn(&Item, Metric) -> Figure| {
        let file = |metric: Metric| match item.metrics.len() {
            1 => String::new(),
            _ => format!("-{metric:?}").to_lowercase(),
        };
        item.metrics.iter().map(|&metric| (file(metric), draw(item, metric))).collect()
    };
    match item.form {
        Form::Table => Vec::new(),
        Form::Lines => of_metrics(lines),
        Form::Bars => of_metrics(bars),
        Form::Profiles => of_metrics(profiles),
        Form::Curves => vec![(String::new(), curves(item))],
    }
}

/// Writes an item to `folder`: ID.md, ID.csv, and its figures as SVG and PNG.
///
/// # Errors
/// [`PlotError`] names the file that can't be written.
pub fn write(item: &Item, folder: &Path) -> Result<(), PlotError> {
    for (extension, text) in [("md", table(item)), ("csv", csv(item))] {
        let path = folder.join(format!("{}.{extension}", item.id));
        std::fs::write(&path, text)
            .map_err(|error| PlotError { path: path.clone(), cause: error.to_string() })?;
    }
    for (end, figure) in figures(item) {
        figure.write(&folder.join(format!("{}{end}", item.id)))?;
    }
    Ok(())
}

/// What failed of an item, a line each.
pub fn failures(item: &Item) -> String {
    let failed = item.cells.iter().filter_map(|cell| {
        let error = cell.outcome.as_ref().err()?;
        let point = if cell.point.is_empty() { "" } else { " at " };
        Some(format!("failed: {}{point}{}: {error}\n", cell.policy, cell.point))
    });
    failed.collect()
}

fn scores(cell: &Cell, metric: Metric) -> Option<Scores> {
    cell.outcome.as_ref().ok()?.scores(metric)
}

fn interval(cell: &Cell, metric: Metric) -> Option<Interval> {
    Some(scores(cell, metric)?.mean())
}

/// What a cell is compared with: the reference at its point.
fn reference<'i>(item: &'i Item, cell: &Cell) -> Option<&'i Cell> {
    let reference = item.reference.as_ref()?;
    item.cells.iter().find(|other| other.policy == *reference && other.point == cell.point)
}

/// How a cell differs from the reference at its point.
fn difference(item: &Item, cell: &Cell, metric: Metric) -> Option<Interval> {
    let other = reference(item, cell)?;
    Some(scores(cell, metric)?.minus(&scores(other, metric)?)?.mean())
}

fn with_interval(interval: Interval, metric: Metric) -> String {
    let digits = metric.digits();
    let Interval { estimate, low, high } = interval;
    if metric == Metric::Parameters {
        return format!("{estimate:.digits$}");
    }
    format!("{estimate:.digits$} [{low:.digits$}, {high:.digits$}]")
}

/// The policies of an item in the order of its first point.
fn policies(item: &Item) -> Vec<&str> {
    let mut policies: Vec<&str> = Vec::new();
    for cell in &item.cells {
        if !policies.contains(&cell.policy.as_str()) {
            policies.push(&cell.policy);
        }
    }
    policies
}

fn lines(item: &Item, metric: Metric) -> Figure {
    let mut series = Vec::new();
    for policy in policies(item) {
        let cells = || {
            let own = item.cells.iter().filter(|cell| cell.policy == policy);
            own.filter_map(|cell| Some((cell.point.parse::<f64>().ok()?, cell)))
        };
        let measured: Vec<(f64, Interval)> =
            cells().filter_map(|(x, cell)| Some((x, interval(cell, metric)?))).collect();
        series.push(Series {
            name: policy.to_owned(),
            points: measured.iter().map(|(x, ours)| (*x, ours.estimate)).collect(),
            intervals: measured.iter().map(|(x, ours)| (*x, ours.low, ours.high)).collect(),
        });
        let quoted: Vec<(f64, f64)> =
            cells().filter_map(|(x, cell)| Some((x, *cell.paper.get(&metric)?))).collect();
        if !quoted.is_empty() {
            let name = format!("{policy} (paper)");
            series.push(Series { name, points: quoted, intervals: Vec::new() });
        }
    }
    let (title, x, y) = (item.title.clone(), item.axis.clone(), metric.name().to_owned());
    Figure::Lines(Lines { title, x, y, series })
}

fn bars(item: &Item, metric: Metric) -> Figure {
    let mut bars = Vec::new();
    for cell in &item.cells {
        let name = name_of(cell);
        if let Some(Interval { estimate, low, high }) = interval(cell, metric) {
            let interval = Some((low, high));
            bars.push(Bar { name: name.clone(), height: estimate, interval, quoted: false });
        }
        if let Some(&height) = cell.paper.get(&metric) {
            let name = format!("{name} (paper)");
            bars.push(Bar { name, height, interval: None, quoted: true });
        }
    }
    Figure::Bars(Bars { title: item.title.clone(), y: metric.name().to_owned(), bars })
}

/// Thresholds of a performance profile.
const THRESHOLDS: usize = 41;

/// Which share of the episodes has at least so much (Agarwal et al. 2021).
fn profiles(item: &Item, metric: Metric) -> Figure {
    let measured: Vec<(String, Scores)> =
        item.cells.iter().filter_map(|cell| Some((name_of(cell), scores(cell, metric)?))).collect();
    let (low, high) = measured
        .iter()
        .flat_map(|(_, scores)| scores.all())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), score| {
            (low.min(score), high.max(score))
        });
    let threshold = |at: usize| low + (high - low) * at as f64 / (THRESHOLDS - 1) as f64;
    let series = measured.into_iter().map(|(name, scores)| {
        let shares: Vec<(f64, Interval)> = (0..THRESHOLDS)
            .map(|at| (threshold(at), scores.share_of_at_least(threshold(at))))
            .collect();
        let points = shares.iter().map(|(x, share)| (*x, share.estimate)).collect();
        let intervals = shares.iter().map(|(x, share)| (*x, share.low, share.high)).collect();
        Series { name, points, intervals }
    });
    Figure::Lines(Lines {
        title: item.title.clone(),
        x: metric.name().to_owned(),
        y: "share of episodes with at least so much".to_owned(),
        series: series.collect(),
    })
}

/// What a cell is called where point and policy stand together.
fn name_of(cell: &Cell) -> String {
    match cell.point.as_str() {
        "" => cell.policy.clone(),
        point => format!("{} {point}", cell.policy),
    }
}

/// Episodes whose mean is one point of a curve: single episodes scatter too much to be seen.
pub const SMOOTHED: usize = 10;

/// A metric of training episodes, smoothed.
pub fn smoothed(rows: &[TrainingRow], metric: impl Fn(&TrainingRow) -> f64) -> Vec<(f64, f64)> {
    let mean = |rows: &[TrainingRow]| {
        let sum: f64 = rows.iter().map(&metric).sum();
        (rows[rows.len() - 1].episode as f64 + 1.0, sum / rows.len() as f64)
    };
    rows.chunks(SMOOTHED).map(mean).collect()
}

fn curves(item: &Item) -> Figure {
    let mut series = Vec::new();
    for cell in &item.cells {
        let Ok(measured) = &cell.outcome else { continue };
        let name = match cell.point.as_str() {
            "" => cell.policy.clone(),
            point => point.to_owned(),
        };
        // One line a seed would be too many: the mean of all.
        let all: Vec<Vec<(f64, f64)>> =
            measured.trainings.iter().map(|rows| smoothed(rows, |row| row.qoe)).collect();
        let Some(first) = all.first() else { continue };
        let points = first.iter().enumerate().map(|(at, &(x, _))| {
            let values = all.iter().filter_map(|points| points.get(at)).map(|point| point.1);
            (x, values.sum::<f64>() / all.len() as f64)
        });
        series.push(Series { name, points: points.collect(), intervals: Vec::new() });
    }
    Figure::Lines(Lines {
        title: format!("{} (mean of {SMOOTHED} episodes)", item.title),
        x: "episode".to_owned(),
        y: "AvgQoE while training".to_owned(),
        series,
    })
}
