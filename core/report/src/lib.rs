//! Reports: tables, figures and pages, from stored results and nothing else. `offramp report`
//! prints from a run folder exactly what `offramp run` printed when it wrote the folder.
//!
//! In the order of use:
//!
//! 1. [`results`] and [`power_modes`]: the runs of run folders, as a table, JSON or CSV. Which
//!    metrics they show, and how, is stated by the table of metrics ([`offramp_results::metric`]).
//! 2. [`training`]: the curves of trainings.
//! 3. [`study`]: the tables and figures of a study, and [`html`]: all of them on one page.
//! 4. [`replay`]: recorded runs, run again.
//!
//! Figures are drawn as SVG and PNG with an embedded font: nothing of the system is needed.
//!
//! ```
//! use offramp_report::{Format, results};
//! use offramp_results::run_folder::{RunRecord, StoredRun};
//! use offramp_results::{EpisodeMetrics, EpisodeResult};
//!
//! let episode = |qoe| EpisodeResult {
//!     overall: EpisodeMetrics { qoe, completion_ratio: 0.8, ..EpisodeMetrics::default() },
//!     ..EpisodeResult::default()
//! };
//! let record = RunRecord {
//!     scenario: "small".to_owned(),
//!     policy: "random".to_owned(),
//!     seed: 1,
//!     episodes: 2,
//!     ..RunRecord::default()
//! };
//! let run = StoredRun { record, episodes: vec![episode(610.0), episode(620.0)] };
//! let table = results(&[run], Format::Table);
//! assert!(table.starts_with("small: 2 episodes, seed 1\n| policy |      AvgQoE |"));
//! assert!(table.contains("| random | 615.0 ± 7.1 |"));
//! ```

mod csv_text;
pub mod html;
mod plot;
pub mod replay;
pub mod study;
pub mod training;

use comfy_table::{CellAlignment, Table, presets};
use offramp_results::metric::{self, Metric};
use offramp_results::run_folder::{RunRecord, StoredRun};
use offramp_results::statistics::MeanSd;
use serde_json::{Map, Value, json};

use crate::csv_text::csv_text;

pub use plot::{Bar, Bars, Figure, Lines, PlotError, Series};

/// The formats in which results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Table,
    /// The contract for programs: `{"runs":[{"scenario", "policy", "sweep", "episodes",
    /// "metrics": {id: {"mean", "sd"}}, "power_modes", "error"}]}`.
    Json,
    /// One row per run.
    Csv,
}

/// The runs in `format`.
pub fn results(runs: &[StoredRun], format: Format) -> String {
    match format {
        Format::Table => table(runs),
        Format::Json => format!("{:#}\n", as_json(runs)),
        Format::Csv => as_csv(runs),
    }
}

/// Neighbouring runs of the same scenario.
fn by_scenario(runs: &[StoredRun]) -> impl Iterator<Item = &[StoredRun]> {
    runs.chunk_by(|a, b| a.record.scenario == b.record.scenario)
}

fn bare_table(header: Vec<String>) -> Table {
    let mut table = Table::new();
    // Markdown: reads well on a terminal and can be pasted into a report.
    table.load_style(presets::ASCII_MARKDOWN).set_header(header);
    table
}

/// Aligns numbers to the right: all columns except the first `texts`.
fn align_numbers(table: &mut Table, texts: usize) {
    for column in table.column_iter_mut().skip(texts) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

/// The values of a run's point, then `cells`.
fn row(record: &RunRecord, cells: impl IntoIterator<Item = String>) -> Vec<String> {
    record.sweep.iter().map(|(_, value)| value.clone()).chain(cells).collect()
}

/// The swept fields of a scenario's runs, then `columns`; and how many of them are texts.
fn header(first: &RunRecord, texts: &[&str], columns: Vec<&str>) -> (Vec<String>, usize) {
    let swept = first.sweep.iter().map(|(field, _)| field.clone());
    let named = texts.iter().copied().chain(columns).map(str::to_owned);
    (swept.chain(named).collect(), first.sweep.len() + texts.len())
}

fn table(runs: &[StoredRun]) -> String {
    let mut text = String::new();
    for runs in by_scenario(runs) {
        let episodes = runs.iter().map(|run| run.record.episodes).max().unwrap_or(0);
        let record = &runs[0].record;
        text += &format!(
            "{}: {episodes} {}, seed {}\n",
            record.scenario,
            if episodes == 1 { "episode" } else { "episodes" },
            record.seed
        );
        let shown = || metric::all().iter().filter_map(|metric| Some((metric, metric.column?)));
        let titles = shown().map(|(metric, _)| metric.title).collect();
        let (header, texts) = header(record, &["policy"], titles);
        let mut table = bare_table(header);
        for run in runs {
            let policy = run.record.policy.clone();
            table.add_row(match run.record.error {
                Some(_) => row(&run.record, [policy, "failed".to_owned()]),
                None => {
                    let cells =
                        shown().map(|(metric, column)| column.form.text(run.mean_sd(metric)));
                    row(&run.record, [policy].into_iter().chain(cells))
                }
            });
        }
        align_numbers(&mut table, texts);
        text += &format!("{table}\n");
        text.extend(runs.iter().filter_map(|run| {
            let error = run.record.error.as_ref()?;
            let point = match run.record.point() {
                point if point.is_empty() => point,
                point => format!(" ({point})"),
            };
            Some(format!("failed: {}{point}: {error}\n", run.record.policy))
        }));
    }
    text
}

/// The metrics of each run by power mode, for people.
pub fn power_modes(runs: &[StoredRun]) -> String {
    let shown = || {
        let columns = metric::all().iter().filter_map(|metric| Some((metric, metric.column?)));
        columns.filter(|(_, column)| column.by_mode)
    };
    let mut text = String::new();
    for runs in by_scenario(runs) {
        text += &format!("{}, by power mode\n", runs[0].record.scenario);
        let titles = ["α"].into_iter().chain(shown().map(|(metric, _)| metric.title)).collect();
        let (header, texts) = header(&runs[0].record, &["policy"], titles);
        let mut table = bare_table(header);
        for run in runs.iter().filter(|run| run.record.error.is_none()) {
            for (mode, alpha) in run.record.power_modes.iter().enumerate() {
                let cells = shown().map(|(metric, column)| {
                    column.form.text(run.mean_sd_of_mode(mode, metric).unwrap_or_default())
                });
                let texts = [run.record.policy.clone(), alpha.to_string()];
                table.add_row(row(&run.record, texts.into_iter().chain(cells)));
            }
        }
        align_numbers(&mut table, texts);
        text += &format!("{table}\n");
    }
    text
}

/// A swept value: a number if it is one, else its RON text.
fn swept_value(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(Value::Number(number)) => Value::Number(number),
        _ => Value::String(text.to_owned()),
    }
}

/// The summarised metrics for which `of` has a value, by id.
fn metrics_json(of: impl Fn(&'static Metric) -> Option<MeanSd>) -> Value {
    let metrics = metric::summarised().filter_map(|metric| {
        let MeanSd { mean, sd } = of(metric)?;
        Some((metric.id.to_owned(), json!({ "mean": mean, "sd": sd })))
    });
    Value::Object(metrics.collect())
}

fn as_json(runs: &[StoredRun]) -> Value {
    let run = |run: &StoredRun| {
        let record = &run.record;
        let sweep = record.sweep.iter();
        let sweep: Map<_, _> =
            sweep.map(|(field, value)| (field.clone(), swept_value(value))).collect();
        let mut object = json!({
            "scenario": record.scenario,
            "policy": record.policy,
            "seed": record.seed,
            "sweep": sweep,
            "episodes": record.episodes,
        });
        if let Some(error) = &record.error {
            object["error"] = error.clone().into();
            return object;
        }
        object["metrics"] = metrics_json(|metric| Some(run.mean_sd(metric)));
        let modes = record.power_modes.iter().enumerate().map(|(mode, alpha)| {
            let metrics = metrics_json(|metric| run.mean_sd_of_mode(mode, metric));
            json!({ "alpha": alpha, "metrics": metrics })
        });
        object["power_modes"] = modes.collect();
        object
    };
    json!({ "runs": runs.iter().map(run).collect::<Vec<_>>() })
}

fn as_csv(runs: &[StoredRun]) -> String {
    let mut header: Vec<String> =
        ["scenario", "policy", "seed", "sweep", "episodes", "error"].map(str::to_owned).into();
    header.extend(
        metric::summarised()
            .flat_map(|metric| [format!("{}_mean", metric.id), format!("{}_sd", metric.id)]),
    );
    let row = |run: &StoredRun| {
        let record = &run.record;
        let mut row = vec![
            record.scenario.clone(),
            record.policy.clone(),
            record.seed.to_string(),
            record.point(),
            record.episodes.to_string(),
            record.error.clone().unwrap_or_default(),
        ];
        row.extend(metric::summarised().flat_map(|metric| match record.error {
            None => {
                let MeanSd { mean, sd } = run.mean_sd(metric);
                [mean.to_string(), sd.to_string()]
            }
            Some(_) => [String::new(), String::new()],
        }));
        row
    };
    csv_text(std::iter::once(header).chain(runs.iter().map(row)))
}
