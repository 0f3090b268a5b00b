//! Reports: tables, figures and pages, from stored results and nothing else. `offramp report`
//! prints from a run folder exactly what `offramp run` printed when it wrote the folder.
//!
//! In the order of use:
//!
//! 1. [`results`] and [`results_by`]: the runs of run folders, as a table, JSON or CSV.
//!    The table of metrics ([`offramp_results::metric`]) states which metrics they show, and how.
//! 2. [`learning`]: the outcomes and curves of trainings and distillations; [`live`]: those of live runs.
//! 3. [`tuning`]: searches for hyper-parameters.
//! 4. [`study`]: the tables and figures of a study, [`study_page`]: all of them on one page, and
//!    [`study_folder`]: the folder that has both.
//! 5. [`run_page`]: runs on one page, and [`learning_page`], [`tuning_page`]: what was learned or found on one.
//! 6. [`replay`]: recorded runs, replayed.
//! 7. [`episode`]: an episode of several policies, as a page that plays it.
//! 8. What pages are made of: [`page`], with [`table`], [`page::figures`], [`axis`] and [`palette`].
//! 9. [`folder`]: any folder, as a page and a figure.
//! 10. [`records`]: any other small table, in the same formats. Its rows, and those of [`run_records`], are
//!     what CSV and Parquet have.
//! 11. [`run_tables`]: the tables of run folders, as Parquet.
//!
//! Figures are SVG and PNG with an embedded font; they do not depend on the system's fonts.
//!
//! ```
//! use offramp_report::{Format, results};
//! use offramp_results::run_folder::{RunRecord, StoredRun};
//! use offramp_results::summary::Summary;
//! use offramp_results::{EpisodeMetrics, EpisodeResult};
//!
//! let episode = |qoe| EpisodeResult {
//!     overall: EpisodeMetrics { devices: 50.0, qoe: Some(qoe), ..EpisodeMetrics::default() },
//!     ..EpisodeResult::default()
//! };
//! let record = RunRecord {
//!     scenario: "small".to_owned(),
//!     policy: "random".to_owned(),
//!     seed: 1,
//!     episodes: 2,
//!     ..RunRecord::default()
//! };
//! let mut summary = Summary::new();
//! [610.0, 620.0].map(|qoe| summary.add(&episode(qoe)));
//! let run = StoredRun { record, summary };
//! let table = results(&[run], Format::Table);
//! assert!(table.starts_with("small: 2 episodes, seed 1\n| policy |      AvgQoE |"));
//! assert!(table.contains("| random | 615.0 ± 7.1 |"));
//! ```

pub mod axis;
pub mod episode;
pub mod folder;
pub mod learning;
pub mod learning_page;
pub mod live;
pub mod live_page;
pub mod map;
pub mod page;
pub mod palette;
mod plot;
pub mod records;
pub mod replay;
pub mod run_page;
pub mod run_tables;
mod runs;
pub mod study;
pub mod study_folder;
pub mod study_page;
pub mod table;
pub mod tuning;
pub mod tuning_page;

use offramp_results::Grouping;
use offramp_results::metric::{self, Metric};
use offramp_results::reference::{SHARE_ID, SHARE_TITLE, share_of_hindsight};
use offramp_results::run_folder::{RunRecord, StoredRun};
use offramp_results::statistics::MeanSd;
use serde_json::{Map, Value, json};

use crate::records::{json_text, markdown};

pub use plot::{Bar, Bars, Figure, Lines, PlotError, Series, Strip, Strips};
pub use runs::{run_records, run_records_by};

/// The text of what has no value.
pub(crate) use offramp_results::metric::NONE;

/// A text format in which results are printed. Parquet, which is not a text, has the
/// [`Records`](records::Records) of CSV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Tables and sentences, for people.
    Table,
    /// JSON, for programs.
    Json,
    /// CSV, for spreadsheets.
    Csv,
}

/// The runs in `format`. JSON is a contract: `{"runs": [{"scenario", "policy", "seed", "sweep",
/// "episodes", "metrics": {id: {"mean", "sd"}}, "power_modes": [{"alpha", "metrics"}]}]}`, with
/// `null` for what has no value, and `error` in place of metrics and power modes if the run
/// failed. Where there are classes, `"classes": [{"class", "metrics"}]` follows, and where devices
/// move or rates change, `"mobility"` with the form of `metrics`. Where hindsight was evaluated,
/// `"share_of_hindsight"` is a number. CSV has one row per run.
pub fn results(runs: &[StoredRun], format: Format) -> String {
    match format {
        Format::Table => table(runs),
        Format::Json => json_text(&as_json(runs)),
        Format::Csv => run_records(runs).csv(),
    }
}

/// The runs in `format`, with the metrics of each group of `groupings`, such as each power mode: tables
/// of their own; in JSON no more than [`results`] has; in CSV a column for each grouping, and after the
/// row of a run, which has an empty cell there, one row per group.
pub fn results_by(groupings: &[Grouping], runs: &[StoredRun], format: Format) -> String {
    match format {
        Format::Table => {
            let tables = groupings.iter().map(|&grouping| group_tables(grouping, runs));
            table(runs) + &tables.collect::<String>()
        }
        Format::Json => results(runs, format),
        Format::Csv => run_records_by(groupings, runs).csv(),
    }
}

/// Neighbouring runs of the same scenario.
fn by_scenario(runs: &[StoredRun]) -> impl Iterator<Item = &[StoredRun]> {
    runs.chunk_by(|a, b| a.record.scenario == b.record.scenario)
}

/// The swept values of a run, then `cells`.
fn row(record: &RunRecord, cells: impl IntoIterator<Item = String>) -> Vec<String> {
    record.sweep.iter().map(|(_, value)| value.clone()).chain(cells).collect()
}

/// The swept fields of a scenario's runs, then `texts`, then `columns`; and the number of columns
/// that are texts.
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
        let has_shares = runs.iter().any(|run| share_of_hindsight(run, runs).is_some());
        let share = has_shares.then_some(SHARE_TITLE);
        let titles = shown().map(|(metric, _)| metric.title);
        let titles = before_last(titles.collect(), share);
        let (header, texts) = header(record, &["policy"], titles);
        let rows = runs.iter().map(|run| {
            let policy = run.record.policy.clone();
            match run.record.error {
                Some(_) => row(&run.record, [policy, "failed".to_owned()]),
                None => {
                    let cells =
                        shown().map(|(metric, column)| column.form.text(run.mean_sd(metric)));
                    let share = share.map(|_| share_text(share_of_hindsight(run, runs)));
                    let cells = before_last(cells.collect(), share);
                    row(&run.record, [policy].into_iter().chain(cells))
                }
            }
        });
        text += &markdown(header, rows, |column| column >= texts);
        text.extend(runs.iter().filter_map(|run| {
            let error = run.record.error.as_ref()?;
            let point = match run.record.point() {
                point if point.is_empty() => point,
                point => format!(" ({point})"),
            };
            Some(format!("failed: {}{point}: {error}\n", run.record.policy))
        }));
        text += &mobility_table(runs);
    }
    text
}

/// Columns with one more before the last, which is the time of a decision: what follows from other
/// columns is not to stand behind what differs from run to run.
pub(crate) fn before_last<T>(mut columns: Vec<T>, column: Option<T>) -> Vec<T> {
    let last = columns.len().saturating_sub(1);
    column.into_iter().for_each(|column| columns.insert(last, column));
    columns
}

/// A share of hindsight as tables show it.
pub(crate) fn share_text(share: Option<f64>) -> String {
    share.map_or_else(|| NONE.to_owned(), |share| format!("{share:.3}"))
}

/// The quantities that tables of [`mobility`](metric::mobility) show.
pub(crate) fn shown_of_mobility() -> impl Iterator<Item = (&'static Metric, metric::Column)> {
    metric::mobility().iter().filter_map(|metric| Some((metric, metric.column?)))
}

/// The first run of each point that states mobility and rates there, which are the same for all of them.
pub(crate) fn one_per_point<'r, R: 'r>(
    runs: impl Iterator<Item = &'r R>,
    record: impl Fn(&R) -> &RunRecord,
) -> impl Iterator<Item = &'r R> {
    let mut points: Vec<Vec<(String, String)>> = Vec::new();
    runs.filter(move |run| {
        let record = record(run);
        let is_first = record.moves && record.error.is_none() && !points.contains(&record.sweep);
        if is_first {
            points.push(record.sweep.clone());
        }
        is_first
    })
}

/// Mobility and rates at each point of a scenario; empty if nothing moves there.
fn mobility_table(runs: &[StoredRun]) -> String {
    let titles = shown_of_mobility().map(|(metric, _)| metric.title).collect();
    let (header, texts) = header(&runs[0].record, &[], titles);
    let rows = one_per_point(runs.iter(), |run| &run.record).map(|run| {
        let cells =
            shown_of_mobility().map(|(metric, column)| column.form.text(run.mean_sd(metric)));
        row(&run.record, cells)
    });
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return String::new();
    }
    let table = markdown(header, rows.into_iter(), |column| column >= texts);
    format!("{}, mobility and rates\n{table}", runs[0].record.scenario)
}

/// The metrics of each run by group; of a scenario whose tasks are not divided so, no table.
fn group_tables(grouping: Grouping, runs: &[StoredRun]) -> String {
    let shown = || {
        let columns = metric::all().iter().filter_map(|metric| Some((metric, metric.column?)));
        columns.filter(|(_, column)| column.by_group)
    };
    let mut text = String::new();
    let divided =
        |runs: &&[StoredRun]| runs.iter().any(|run| !run.record.groups(grouping).is_empty());
    for runs in by_scenario(runs).filter(divided) {
        text += &format!("{}, by {}\n", runs[0].record.scenario, grouping.name());
        let title = [grouping.title()].into_iter();
        let titles = title.chain(shown().map(|(metric, _)| metric.title)).collect();
        let (header, mut texts) = header(&runs[0].record, &["policy"], titles);
        texts += usize::from(grouping == Grouping::Class);
        let succeeded = runs.iter().filter(|run| run.record.error.is_none());
        let rows = succeeded.flat_map(|run| {
            run.record.groups(grouping).into_iter().enumerate().map(move |(group, label)| {
                let of = |metric| run.mean_sd_of_group(grouping, group, metric);
                let cells = shown().map(|(metric, column)| column.form.text(of(metric)));
                let texts = [run.record.policy.clone(), label.to_string()];
                row(&run.record, texts.into_iter().chain(cells))
            })
        });
        text += &markdown(header, rows, |column| column >= texts);
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

/// Mean and standard deviation, each if it is known.
fn parts(value: Option<MeanSd>) -> (Option<f64>, Option<f64>) {
    (value.map(|of| of.mean), value.and_then(|of| of.sd))
}

/// `metrics` by id; null where `of` has no value.
fn metrics_json(
    metrics: impl Iterator<Item = &'static Metric>,
    of: impl Fn(&'static Metric) -> Option<MeanSd>,
) -> Value {
    let metrics = metrics.map(|metric| {
        let (mean, sd) = parts(of(metric));
        (metric.id.to_owned(), json!({ "mean": mean, "sd": sd }))
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
        object["metrics"] = metrics_json(metric::summarised(), |metric| run.mean_sd(metric));
        for grouping in Grouping::ALL {
            let groups = record.groups(grouping).into_iter().enumerate().map(|(group, label)| {
                let split = metric::summarised().filter(|metric| metric.has_groups());
                let of = |metric| run.mean_sd_of_group(grouping, group, metric);
                json!({ grouping.column(): label, "metrics": metrics_json(split, of) })
            });
            let groups: Vec<Value> = groups.collect();
            // Every run has power modes.
            if grouping == Grouping::PowerMode || !groups.is_empty() {
                object[grouping.key()] = groups.into();
            }
        }
        if let Some(share) = share_of_hindsight(run, runs) {
            object[SHARE_ID] = share.into();
        }
        if record.moves {
            object["mobility"] =
                metrics_json(metric::mobility().iter(), |metric| run.mean_sd(metric));
        }
        object
    };
    json!({ "runs": runs.iter().map(run).collect::<Vec<_>>() })
}
