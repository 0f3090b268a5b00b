//! The tables and figures of a study: its numbers with 95 % intervals, beside the paper's, and
//! those of each training seed.

use offramp_results::claim::{Claim, Verdict};
use offramp_results::exhibit::{Cell, Exhibit, ExhibitKind, Measured, Quantity};
use offramp_results::metric::Source;
use offramp_results::statistics::{Basis, Interval, Scores};
use offramp_results::tuning::Budget;
use offramp_results::words::{counted, rounded, signed};
use serde_json::{Map, Value, json};

use crate::records::{Records, json_text};
use crate::table::{Table, markdown};
use crate::{Format, NONE};

mod figures;
mod rows;
#[cfg(test)]
mod tests;

pub use figures::{figures, palette};
pub use rows::csv;

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
    /// The searches that settings of policies come from, and what each took.
    pub budgets: &'s [Budget],
}

impl StudyResults<'_> {
    /// Name and size: `toy, the quick version: 2 episodes, 1 training seed`.
    pub fn size(&self) -> String {
        let version = self.version.map_or_else(String::new, |version| format!(", {version}"));
        let seeds = counted(self.training_seeds.len() as u64, "training seed");
        format!("{}{version}: {}, {seeds}", self.name, counted(self.episodes, "episode"))
    }

    /// The results in `format`. CSV has the rows of every exhibit's own CSV file.
    pub fn print(&self, format: Format) -> String {
        match format {
            Format::Table => self.text(),
            Format::Json => json_text(&self.json()),
            Format::Csv => self.records().csv(),
        }
    }

    /// The results as CSV and Parquet have them, one row per number.
    pub fn records(&self) -> Records {
        rows::exhibit_records(self.exhibits)
    }

    fn text(&self) -> String {
        let mut text = format!("{}; [95 % intervals]\n", self.size());
        text.extend(self.exhibits.iter().map(|exhibit| format!("\n{}", table(exhibit))));
        if !self.claims.is_empty() {
            text += &format!("\nClaims\n{}", markdown(&claims_table(self.claims)));
        }
        if !self.budgets.is_empty() {
            text += &format!("\nChosen on validation\n{}", markdown(&budgets_table(self.budgets)));
        }
        text
    }

    /// `{"study", "about", "episodes", "training_seeds", "exhibits": [{"id", "title", "reference",
    /// "cells": [{"policy", "point", "seeds", "error", "metrics": {id: {"estimate", "low", "high",
    /// "over", "paper", "by_seed": {seed: estimate}, "difference": {"estimate", "low", "high",
    /// "over"}}}}]}], "claims": [{"claim", "source", "verdict", "comparisons", "training_seeds",
    /// "because"}], "budgets": [{"policy", "search", "configurations", "slots", "steps",
    /// "validation_qoe", "overridden": [field]}]}`; keys without a value are left out.
    fn json(&self) -> Value {
        let exhibits: Vec<_> = self.exhibits.iter().map(exhibit_json).collect();
        let claim = |claim: &Claim| {
            let Claim { text, source, comparisons, basis, because, .. } = claim;
            let verdict = verdict_name(verdict(claim));
            let mut object = json!({
                "claim": text,
                "source": source,
                "verdict": verdict,
                "comparisons": comparisons,
                "because": because,
            });
            if let Some(seeds) = basis.trainings() {
                object["training_seeds"] = seeds.into();
            }
            object
        };
        let claims: Vec<_> = self.claims.iter().map(claim).collect();
        let mut study = json!({
            "study": self.name,
            "about": self.about,
            "episodes": self.episodes,
            "training_seeds": self.training_seeds,
            "exhibits": exhibits,
            "claims": claims,
        });
        if !self.budgets.is_empty() {
            study["budgets"] = self.budgets.iter().map(budget_json).collect();
        }
        study
    }
}

fn budget_json(budget: &Budget) -> Value {
    let Budget { policy, scenario, configurations, slots, steps, validation_qoe, overridden } =
        budget;
    let mut object = json!({
        "policy": policy,
        "search": scenario,
        "configurations": configurations,
        "validation_qoe": validation_qoe,
    });
    for (key, count) in [("slots", slots), ("steps", steps)] {
        if let Some(count) = count {
            object[key] = (*count).into();
        }
    }
    if !overridden.is_empty() {
        object["overridden"] = overridden.clone().into();
    }
    object
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
            let seeds = cell.by_seed(quantity);
            if !seeds.is_empty() {
                let alone = |(seed, scores): &(u64, Scores)| {
                    (seed.to_string(), Value::from(scores.mean().estimate))
                };
                metric["by_seed"] = Value::Object(seeds.iter().map(alone).collect());
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

fn interval_json(Interval { estimate, ends, basis, .. }: Interval) -> Value {
    match ends {
        Some((low, high)) => {
            json!({ "estimate": estimate, "low": low, "high": high, "over": basis.name() })
        }
        None => json!({ "estimate": estimate }),
    }
}

/// Number of training seeds behind a cell; 0 if it failed.
fn seeds(cell: &Cell) -> u64 {
    let of = |measured: &Measured| measured.runs.len().max(measured.live.phases.len());
    cell.outcome.as_ref().map_or(0, of) as u64
}

/// What a table calls a quantity: [`Quantity::title`], or its words and unit.
pub type Naming = fn(Quantity) -> String;

/// The tables of an exhibit: what was measured, and, if it has a reference, the differences to it.
/// An empty vector for training curves.
pub fn tables(exhibit: &Exhibit, naming: Naming) -> Vec<Table> {
    match exhibit.kind {
        ExhibitKind::Curves => Vec::new(),
        ExhibitKind::Profiles => vec![profile_table(exhibit, naming)],
        ExhibitKind::Streams => vec![measured_table(exhibit, naming)],
        ExhibitKind::Table | ExhibitKind::Bars | ExhibitKind::Lines => {
            let reference = exhibit.reference.as_ref();
            let differences =
                reference.map(|reference| difference_table(exhibit, reference, naming));
            [measured_table(exhibit, naming)].into_iter().chain(differences).collect()
        }
    }
}

/// Each quantity with its interval, beside the paper's number where there is one.
fn measured_table(exhibit: &Exhibit, naming: Naming) -> Table {
    let quoted =
        |quantity: Quantity| exhibit.cells.iter().any(|cell| cell.paper.contains_key(&quantity));
    let mut columns = exhibit.quantities.iter().flat_map(|&quantity| {
        let paper = quoted(quantity).then(|| "paper (ours − paper)".to_owned());
        [naming(quantity)].into_iter().chain(paper)
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
                        format!("{paper:.digits$} ({})", signed(ours.estimate - paper, digits))
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
    let (caption, header) = (note(exhibit), header(exhibit, &mut columns));
    Table { caption, header, rows, texts: texts(exhibit) }
}

/// Each quantity minus that of the reference, for metrics of tasks: times differ from run to run,
/// and the number of parameters is the same in every episode.
fn difference_table(exhibit: &Exhibit, reference: &str, naming: Naming) -> Table {
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
        header: header(exhibit, &mut compared.iter().map(|&quantity| naming(quantity))),
        rows: others.map(row).collect(),
        texts: texts(exhibit),
    }
}

/// The numbers that profiles do not show: means, means of the middle half, and how often each is ahead.
fn profile_table(exhibit: &Exhibit, naming: Naming) -> Table {
    let mut columns = exhibit.quantities.iter().flat_map(|&quantity| {
        let name = naming(quantity);
        let above = exhibit.reference.as_ref().map(|reference| format!("P(above {reference})"));
        [name.clone(), format!("{name}, middle half")].into_iter().chain(above)
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
                row.push(above.map_or_else(|| NONE.to_owned(), |above| with_digits(above, 3)));
            }
        }
        row
    };
    let (caption, header) = (note(exhibit), header(exhibit, &mut columns));
    Table { caption, header, rows: exhibit.cells.iter().map(row).collect(), texts: texts(exhibit) }
}

/// The note above a table whose intervals do not cover training: some policy was trained only once.
fn note(exhibit: &Exhibit) -> String {
    let once = exhibit.cells.iter().any(|cell| {
        let runs = cell.outcome.as_ref().map_or(&[][..], |measured| &measured.runs);
        matches!(runs, [run] if run.lineage.is_some())
    });
    let text = if once {
        "Intervals of policies with one training seed are over episodes alone: another training may \
         end elsewhere."
    } else {
        ""
    };
    text.to_owned()
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

/// The searches that settings come from, and what each took.
pub fn budgets_table(budgets: &[Budget]) -> Table {
    let any = budgets.iter().any(|budget| !budget.overridden.is_empty());
    let row = |budget: &Budget| {
        let Budget { policy, scenario, configurations, slots, steps, validation_qoe, .. } = budget;
        let used = match (slots, steps) {
            (Some(slots), _) => counted(*slots, "slot"),
            (None, Some(steps)) => counted(*steps, "step"),
            (None, None) => NONE.to_owned(),
        };
        let mut row = vec![policy.clone(), scenario.clone()];
        row.extend(any.then(|| match budget.overridden.as_slice() {
            [] => NONE.to_owned(),
            fields => fields.join(", "),
        }));
        row.extend([configurations.to_string(), used, rounded(*validation_qoe, 1)]);
        row
    };
    let header = ["configurations", "used", "selection score"];
    let texts = ["policy", "search"].into_iter().chain(any.then_some("set by the study instead"));
    Table {
        caption: String::new(),
        header: texts.chain(header).map(str::to_owned).collect(),
        rows: budgets.iter().map(row).collect(),
        texts: 2 + usize::from(any),
    }
}

/// Claims with their verdicts.
pub fn claims_table(claims: &[Claim]) -> Table {
    let row = |claim: &Claim| {
        let Claim { text, source, comparisons, basis, because, .. } = claim;
        let seeds = basis.trainings().map_or_else(|| NONE.to_owned(), |seeds| seeds.to_string());
        let (verdict, comparisons) = (judged(claim), comparisons.to_string());
        vec![text.clone(), source.clone(), verdict, comparisons, seeds, because.clone()]
    };
    let header = ["claim", "source", "verdict", "comparisons", "training seeds", "deciding margin"];
    Table {
        caption: String::new(),
        header: header.map(str::to_owned).into(),
        rows: claims.iter().map(row).collect(),
        texts: 6,
    }
}

/// A claim's verdict, with the number of training seeds it rests on if they are few: `holds, on 5
/// training seeds`.
pub fn judged(claim: &Claim) -> String {
    let verdict = verdict_name(verdict(claim));
    match claim.few_seeds() {
        Some(seeds) => format!("{verdict}, on {}", counted(seeds as u64, "training seed")),
        None => verdict.to_owned(),
    }
}

/// The verdict on a claim as anything shows it: one training seed decides nothing.
pub fn verdict(claim: &Claim) -> Verdict {
    match (claim.verdict, claim.basis) {
        (Verdict::Holds | Verdict::Fails, Basis::OneTraining) => Verdict::TooFewSeeds,
        (verdict, _) => verdict,
    }
}

/// The verdicts, counted: `9 hold, 2 fail, 1 undecided`.
pub fn tally(claims: &[Claim]) -> String {
    let words = [
        (Verdict::Holds, "holds", "hold"),
        (Verdict::Fails, "fails", "fail"),
        (Verdict::Undecided, "undecided", "undecided"),
        (Verdict::TooFewSeeds, "on too few seeds", "on too few seeds"),
        (Verdict::NotJudged, "not judged", "not judged"),
    ];
    let counts = words.into_iter().filter_map(|(of, one, several)| {
        match claims.iter().filter(|claim| verdict(claim) == of).count() {
            0 => None,
            1 => Some(format!("1 {one}")),
            count => Some(format!("{count} {several}")),
        }
    });
    counts.collect::<Vec<_>>().join(", ")
}

/// The word for a verdict.
pub fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "holds",
        Verdict::Fails => "fails",
        Verdict::Undecided => "undecided",
        Verdict::TooFewSeeds => "too few seeds",
        Verdict::NotJudged => "not judged",
    }
}

/// An exhibit as Markdown.
pub fn table(exhibit: &Exhibit) -> String {
    let titles = |quantity: Quantity| quantity.title().to_owned();
    let tables: String = tables(exhibit, titles).iter().map(markdown).collect();
    let failed: String = failures(exhibit).map(|failure| format!("failed: {failure}\n")).collect();
    format!("{}\n{tables}{failed}", exhibit.title)
}

/// The failed cells of an exhibit and why: `rules at 0.6: …`.
pub fn failures(exhibit: &Exhibit) -> impl Iterator<Item = String> {
    exhibit.cells.iter().filter_map(|cell| {
        let error = cell.outcome.as_ref().err()?;
        let point = if cell.point.is_empty() { "" } else { " at " };
        Some(format!("{}{point}{}: {error}", cell.policy, cell.point))
    })
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
    with_digits(interval, quantity.digits())
}

/// An estimate with its interval, if it has one, with so many digits after the point.
fn with_digits(Interval { estimate, ends, .. }: Interval, digits: usize) -> String {
    let rounded = |number: f64| rounded(number, digits);
    match ends {
        Some((low, high)) => format!("{} [{}, {}]", rounded(estimate), rounded(low), rounded(high)),
        None => rounded(estimate),
    }
}
