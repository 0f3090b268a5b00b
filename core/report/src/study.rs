//! The tables and figures of a study: its numbers with 95 % intervals, beside the paper's.

use std::path::Path;

use offramp_results::claim::{Claim, Verdict};
use offramp_results::exhibit::{Cell, Exhibit, ExhibitKind, Quantity};
use offramp_results::metric::Source;
use offramp_results::statistics::{Interval, Scores};
use serde_json::{Map, Value, json};

use crate::learning::{SMOOTHED, smoothed};
use crate::plot::{Bar, Bars, Figure, Lines, PlotError, Series};
use crate::records::{self, Field, Records, json_text};
use crate::{Format, NONE};

/// The results of a study.
#[derive(Clone, Copy, Debug)]
pub struct StudyResults<'s> {
    /// The study's name.
    pub name: &'s str,
    /// Its purpose, in a sentence.
    pub about: &'s str,
    /// The version of the study, such as `the quick version`; `None` for all of it.
    pub version: Option<&'s str>,
    /// Episodes per evaluation.
    pub episodes: u64,
    /// The seeds of its trainings.
    pub training_seeds: &'s [u64],
    /// The tables and figures.
    pub exhibits: &'s [Exhibit],
    /// The claims about them, with their verdicts.
    pub claims: &'s [Claim],
}

impl StudyResults<'_> {
    /// Name and size: `toy, the quick version: 2 episodes, 1 training seed`.
    pub fn size(&self) -> String {
        let version = self.version.map_or_else(String::new, |version| format!(", {version}"));
        let seeds = self.training_seeds.len();
        let plural = if seeds == 1 { "seed" } else { "seeds" };
        let Self { name, episodes, .. } = self;
        format!("{name}{version}: {episodes} episodes, {seeds} training {plural}")
    }

    /// The results in `format`. CSV has the rows of every exhibit's own CSV file.
    pub fn print(&self, format: Format) -> String {
        match format {
            Format::Table => self.text(),
            Format::Json => json_text(&self.json()),
            Format::Csv => exhibit_records(self.exhibits).csv(),
        }
    }

    fn text(&self) -> String {
        let mut text = format!("{}; [95 % intervals]\n", self.size());
        text.extend(self.exhibits.iter().map(|exhibit| format!("\n{}", table(exhibit))));
        if !self.claims.is_empty() {
            text += &format!("\nClaims\n{}", markdown(&claims_table(self.claims)));
        }
        text
    }

    /// `{"study", "about", "episodes", "training_seeds", "exhibits": [{"id", "title", "reference",
    /// "cells": [{"policy", "point", "seeds", "error", "metrics": {id: {"estimate", "low", "high",
    /// "paper", "difference": {"estimate", "low", "high"}}}}]}], "claims": [{"claim", "source",
    /// "verdict", "because"}]}`; keys without a value are left out.
    fn json(&self) -> Value {
        let exhibits: Vec<_> = self.exhibits.iter().map(exhibit_json).collect();
        let claim = |claim: &Claim| {
            let Claim { text, source, verdict, because } = claim;
            let verdict = verdict_name(*verdict);
            json!({ "claim": text, "source": source, "verdict": verdict, "because": because })
        };
        let claims: Vec<_> = self.claims.iter().map(claim).collect();
        json!({
            "study": self.name,
            "about": self.about,
            "episodes": self.episodes,
            "training_seeds": self.training_seeds,
            "exhibits": exhibits,
            "claims": claims,
        })
    }
}

fn exhibit_json(exhibit: &Exhibit) -> Value {
    let cell = |cell: &Cell| {
        let mut object = json!({ "policy": cell.policy, "seeds": seeds(cell) });
        if !cell.point.is_empty() {
            object["point"] = cell.point.clone().into();
        }
        if let Err(error) = &cell.outcome {
            object["error"] = error.clone().into();
        }
        let metrics = exhibit.quantities.iter().filter_map(|&quantity| {
            let mut metric = interval(cell, quantity).map_or_else(|| json!({}), interval_json);
            if let Some(&paper) = cell.paper.get(&quantity) {
                metric["paper"] = paper.into();
            }
            if let Some(difference) = difference(exhibit, cell, quantity) {
                metric["difference"] = interval_json(difference);
            }
            let any = metric.as_object().is_some_and(|metric| !metric.is_empty());
            any.then(|| (quantity.id().to_owned(), metric))
        });
        object["metrics"] = Value::Object(metrics.collect::<Map<_, _>>());
        object
    };
    let cells: Vec<_> = exhibit.cells.iter().map(cell).collect();
    let mut object = json!({ "id": exhibit.id, "title": exhibit.title, "cells": cells });
    if let Some(reference) = &exhibit.reference {
        object["reference"] = reference.clone().into();
    }
    object
}

fn interval_json(Interval { estimate, ends }: Interval) -> Value {
    match ends {
        Some((low, high)) => json!({ "estimate": estimate, "low": low, "high": high }),
        None => json!({ "estimate": estimate }),
    }
}

/// Number of training seeds behind a cell; 0 if it failed.
fn seeds(cell: &Cell) -> u64 {
    cell.outcome.as_ref().map_or(0, |measured| measured.runs.len() as u64)
}

/// A table of texts, for Markdown and HTML.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The sentence above it; may be empty.
    pub caption: String,
    /// The titles of the columns.
    pub header: Vec<String>,
    /// As many cells per row as there are columns.
    pub rows: Vec<Vec<String>>,
    /// How many columns are texts; the rest are numbers.
    pub texts: usize,
}

/// The tables of an exhibit: what was measured, and, if it has a reference, the differences to it.
/// An empty vector for training curves.
pub fn tables(exhibit: &Exhibit) -> Vec<Table> {
    match exhibit.kind {
        ExhibitKind::Curves => Vec::new(),
        ExhibitKind::Profiles => vec![profile_table(exhibit)],
        ExhibitKind::Table | ExhibitKind::Bars | ExhibitKind::Lines => {
            let reference = exhibit.reference.as_ref();
            let differences = reference.map(|reference| difference_table(exhibit, reference));
            [measured_table(exhibit)].into_iter().chain(differences).collect()
        }
    }
}

/// Each quantity with its interval, beside the paper's number where there is one.
fn measured_table(exhibit: &Exhibit) -> Table {
    let quoted =
        |quantity: Quantity| exhibit.cells.iter().any(|cell| cell.paper.contains_key(&quantity));
    let mut columns = exhibit.quantities.iter().flat_map(|&quantity| {
        let paper = quoted(quantity).then(|| "paper (ours − paper)".to_owned());
        [quantity.title().to_owned()].into_iter().chain(paper)
    });
    let row = |cell: &Cell| {
        let mut row = text_cells(exhibit, cell);
        for &quantity in &exhibit.quantities {
            let ours = interval(cell, quantity);
            row.push(ours.map_or_else(|| NONE.to_owned(), |ours| with_interval(ours, quantity)));
            if quoted(quantity) {
                let digits = quantity.digits();
                row.push(match (cell.paper.get(&quantity), ours) {
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
    let unchanging = unchanging_reference(exhibit);
    let changing =
        |cell: &&Cell| unchanging.is_none_or(|reference| cell.policy != reference.policy);
    let mut rows: Vec<Vec<String>> = exhibit.cells.iter().filter(changing).map(row).collect();
    rows.extend(unchanging.map(|reference| {
        let mut row = row(reference);
        row[0] = "any".to_owned();
        row
    }));
    let (caption, header) = (String::new(), header(exhibit, &mut columns));
    Table { caption, header, rows, texts: texts(exhibit) }
}

/// Each quantity minus that of the reference, for metrics of tasks: times differ from run to run,
/// and the number of parameters is the same in every episode.
fn difference_table(exhibit: &Exhibit, reference: &str) -> Table {
    let compared = |quantity: &&Quantity| matches!(quantity, Quantity::Metric(metric) if matches!(metric.source, Source::Tasks(_)));
    let compared: Vec<Quantity> = exhibit.quantities.iter().filter(compared).copied().collect();
    let row = |cell: &Cell| {
        let mut row = text_cells(exhibit, cell);
        row.extend(compared.iter().map(|&quantity| {
            let difference = difference(exhibit, cell, quantity);
            difference.map_or_else(|| NONE.to_owned(), |d| with_interval(d, quantity))
        }));
        row
    };
    let others = exhibit.cells.iter().filter(|cell| cell.policy != *reference);
    Table {
        caption: format!("Difference from {reference}, paired by episode:"),
        header: header(exhibit, &mut compared.iter().map(|quantity| quantity.title().to_owned())),
        rows: others.map(row).collect(),
        texts: texts(exhibit),
    }
}

/// The numbers that profiles do not show: means, means of the middle half, and how often each is ahead.
fn profile_table(exhibit: &Exhibit) -> Table {
    let mut columns = exhibit.quantities.iter().flat_map(|quantity| {
        let name = quantity.title();
        let above = exhibit.reference.as_ref().map(|reference| format!("P(above {reference})"));
        [name.to_owned(), format!("{name}, middle half")].into_iter().chain(above)
    });
    let row = |cell: &Cell| {
        let mut row = text_cells(exhibit, cell);
        for &quantity in &exhibit.quantities {
            let scores = cell.scores(quantity);
            let of = |statistic: fn(&Scores) -> Interval| {
                let interval = scores.as_ref().map(statistic);
                interval.map_or_else(|| NONE.to_owned(), |found| with_interval(found, quantity))
            };
            row.extend([of(Scores::mean), of(Scores::interquartile_mean)]);
            if exhibit.reference.is_some() {
                let reference =
                    reference(exhibit, cell).filter(|other| other.policy != cell.policy);
                let reference = reference.and_then(|cell| cell.scores(quantity));
                let both = scores.as_ref().zip(reference);
                let above = both.and_then(|(ours, theirs)| ours.probability_above(&theirs));
                row.push(above.map_or_else(|| NONE.to_owned(), |above| rounded(above, 3)));
            }
        }
        row
    };
    let (caption, header) = (String::new(), header(exhibit, &mut columns));
    Table { caption, header, rows: exhibit.cells.iter().map(row).collect(), texts: texts(exhibit) }
}

/// Number of text columns in an exhibit's tables: the point, if there are several, and the policy.
fn texts(exhibit: &Exhibit) -> usize {
    let pointed = exhibit.cells.iter().any(|cell| !cell.point.is_empty());
    usize::from(pointed) + 1
}

/// The text columns of a cell's row.
fn text_cells(exhibit: &Exhibit, cell: &Cell) -> Vec<String> {
    let point = (texts(exhibit) == 2).then(|| cell.point.clone());
    point.into_iter().chain([cell.policy.clone()]).collect()
}

/// The header of an exhibit's tables.
fn header(exhibit: &Exhibit, columns: &mut dyn Iterator<Item = String>) -> Vec<String> {
    let axis = if exhibit.axis.is_empty() { "case" } else { &exhibit.axis };
    let point = (texts(exhibit) == 2).then(|| axis.to_owned());
    point.into_iter().chain(["policy".to_owned()]).chain(columns).collect()
}

/// The reference's first cell, if there are several points and all its cells are the same: one
/// row is then enough.
fn unchanging_reference(exhibit: &Exhibit) -> Option<&Cell> {
    let reference = exhibit.reference.as_ref()?;
    let mut cells = exhibit.cells.iter().filter(|cell| cell.policy == *reference);
    let first = cells.next()?;
    let runs = |cell: &Cell| cell.outcome.as_ref().ok().map(|measured| measured.runs.clone());
    let mut others = cells.peekable();
    others.peek()?;
    others.all(|cell| runs(cell).is_some() && runs(cell) == runs(first)).then_some(first)
}

/// Claims with their verdicts.
pub fn claims_table(claims: &[Claim]) -> Table {
    let row = |claim: &Claim| {
        let Claim { text, source, verdict, because } = claim;
        vec![text.clone(), source.clone(), verdict_name(*verdict).to_owned(), because.clone()]
    };
    Table {
        caption: String::new(),
        header: ["claim", "source", "verdict", "narrowest difference"].map(str::to_owned).into(),
        rows: claims.iter().map(row).collect(),
        texts: 4,
    }
}

/// The word for a verdict.
pub fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "holds",
        Verdict::Fails => "fails",
        Verdict::Undecided => "undecided",
    }
}

/// A table as Markdown.
pub fn markdown(table: &Table) -> String {
    let Table { caption, header, rows, texts } = table;
    let rows = rows.iter().cloned();
    let table = records::markdown(header.clone(), rows, |column| column >= *texts);
    let caption = match caption.as_str() {
        "" => String::new(),
        caption => format!("\n{caption}\n"),
    };
    format!("{caption}\n{table}")
}

/// An exhibit as Markdown.
pub fn table(exhibit: &Exhibit) -> String {
    let tables: String = tables(exhibit).iter().map(markdown).collect();
    format!("{}\n{tables}{}", exhibit.title, failures(exhibit))
}

/// An exhibit as CSV, one row per number.
pub fn csv(exhibit: &Exhibit) -> String {
    exhibit_records(std::slice::from_ref(exhibit)).csv()
}

/// The numbers of exhibits, one row each.
fn exhibit_records(exhibits: &[Exhibit]) -> Records {
    let ids = [
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
    let mut records = Records::new(ids.map(Field::new));
    for exhibit in exhibits {
        for cell in &exhibit.cells {
            let row = |&quantity: &Quantity| number_row(exhibit, cell, quantity);
            records.rows.extend(exhibit.quantities.iter().map(row));
        }
    }
    records
}

/// A quantity of a cell, with the columns of [`exhibit_records`].
fn number_row(exhibit: &Exhibit, cell: &Cell, quantity: Quantity) -> Vec<records::Cell> {
    let number = |value: Option<f64>| {
        value.map_or(records::Cell::Empty, |value| records::Cell::Number(value, quantity.digits()))
    };
    let parts = |interval: Option<Interval>| {
        let ends = interval.and_then(|interval| interval.ends);
        [interval.map(|i| i.estimate), ends.map(|ends| ends.0), ends.map(|ends| ends.1)].map(number)
    };
    let mut row: Vec<records::Cell> = vec![
        exhibit.id.as_str().into(),
        cell.point.as_str().into(),
        cell.policy.as_str().into(),
        quantity.title().into(),
        seeds(cell).into(),
    ];
    row.extend(parts(interval(cell, quantity)));
    row.push(number(cell.paper.get(&quantity).copied()));
    row.extend(parts(difference(exhibit, cell, quantity)));
    row
}

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

/// Writes an exhibit to `folder`: ID.md, ID.csv, and its figures as SVG and PNG.
///
/// # Errors
/// [`PlotError`] names the file that can't be written.
pub fn write(exhibit: &Exhibit, folder: &Path) -> Result<(), PlotError> {
    for (extension, text) in [("md", table(exhibit)), ("csv", csv(exhibit))] {
        let path = folder.join(format!("{}.{extension}", exhibit.id));
        std::fs::write(&path, text)
            .map_err(|error| PlotError { path: path.clone(), cause: error.to_string() })?;
    }
    for (end, figure) in figures(exhibit) {
        figure.write(&folder.join(format!("{}{end}", exhibit.id)))?;
    }
    Ok(())
}

/// The failed cells of an exhibit, one line each; empty if none failed.
pub fn failures(exhibit: &Exhibit) -> String {
    let failed = exhibit.cells.iter().filter_map(|cell| {
        let error = cell.outcome.as_ref().err()?;
        let point = if cell.point.is_empty() { "" } else { " at " };
        Some(format!("failed: {}{point}{}: {error}\n", cell.policy, cell.point))
    });
    failed.collect()
}

fn interval(cell: &Cell, quantity: Quantity) -> Option<Interval> {
    Some(cell.scores(quantity)?.mean())
}

/// The cell that a cell is compared with: the reference at its point.
fn reference<'i>(exhibit: &'i Exhibit, cell: &Cell) -> Option<&'i Cell> {
    exhibit.cell(exhibit.reference.as_ref()?, &cell.point)
}

/// Difference between a cell and the reference at its point.
fn difference(exhibit: &Exhibit, cell: &Cell, quantity: Quantity) -> Option<Interval> {
    let other = reference(exhibit, cell)?;
    cell.scores(quantity)?.mean_minus(&other.scores(quantity)?)
}

fn with_interval(interval: Interval, quantity: Quantity) -> String {
    rounded(interval, quantity.digits())
}

/// An estimate with its interval, if it has one, with so many digits after the point.
fn rounded(Interval { estimate, ends }: Interval, digits: usize) -> String {
    match ends {
        Some((low, high)) => format!("{estimate:.digits$} [{low:.digits$}, {high:.digits$}]"),
        None => format!("{estimate:.digits$}"),
    }
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
        });
        let quoted: Vec<(f64, f64)> =
            cells().filter_map(|(x, cell)| Some((x, *cell.paper.get(&quantity)?))).collect();
        if !quoted.is_empty() {
            let name = format!("{policy} (paper)");
            series.push(Series { name, points: quoted, intervals: Vec::new() });
        }
    }
    let (title, x, y) = (exhibit.title.clone(), exhibit.axis.clone(), quantity.title().to_owned());
    Figure::Lines(Lines { title, x, y, series })
}

fn bars(exhibit: &Exhibit, quantity: Quantity) -> Figure {
    let mut bars = Vec::new();
    for cell in &exhibit.cells {
        let name = name_of(cell);
        if let Some(Interval { estimate, ends }) = interval(cell, quantity) {
            let name = name.clone();
            bars.push(Bar { name, height: estimate, interval: ends, quoted: false });
        }
        if let Some(&height) = cell.paper.get(&quantity) {
            let name = format!("{name} (paper)");
            bars.push(Bar { name, height, interval: None, quoted: true });
        }
    }
    Figure::Bars(Bars { title: exhibit.title.clone(), y: quantity.title().to_owned(), bars })
}

/// Number of thresholds of a performance profile.
const THRESHOLDS: usize = 41;

/// The share of episodes that reach each threshold (Agarwal et al. 2021).
fn profiles(exhibit: &Exhibit, quantity: Quantity) -> Figure {
    let measured: Vec<(String, Scores)> = exhibit
        .cells
        .iter()
        .filter_map(|cell| Some((name_of(cell), cell.scores(quantity)?)))
        .collect();
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
        Series { name, points, intervals: upright(&shares) }
    });
    Figure::Lines(Lines {
        title: exhibit.title.clone(),
        x: quantity.title().to_owned(),
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

fn curves(exhibit: &Exhibit) -> Figure {
    let mut series = Vec::new();
    for cell in &exhibit.cells {
        let Ok(measured) = &cell.outcome else { continue };
        let name = match cell.point.as_str() {
            "" => cell.policy.clone(),
            point => point.to_owned(),
        };
        // One line per seed would be too many: the mean over all seeds.
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
        title: format!("{} (mean of {SMOOTHED} episodes)", exhibit.title),
        x: "episode".to_owned(),
        y: "AvgQoE while training".to_owned(),
        series,
    })
}
