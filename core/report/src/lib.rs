//! Tables from stored results, and from nothing else: what `offramp run` prints and what
//! `offramp report` prints from the run folder is the same.

pub mod html;
mod plot;
pub mod study;

use comfy_table::{CellAlignment, Table, presets};
use offramp_harness::metrics::{EpisodeMetrics, Spread};
use offramp_harness::store::StoredRun;
use serde_json::{Map, Value, json};

pub use plot::{Bar, Bars, Figure, Lines, PlotError, Series};

/// The forms in which results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Table,
    /// The contract for programs: `{"runs":[{"scenario", "policy", "sweep", "episodes",
    /// "metrics": {name: {"mean", "sd"}}, "power_modes", "error"}]}`.
    Json,
    /// A row a run.
    Csv,
}

/// The runs as `format`.
pub fn results(runs: &[StoredRun], format: Format) -> String {
    match format {
        Format::Table => table(runs),
        Format::Json => format!("{:#}\n", as_json(runs)),
        Format::Csv => as_csv(runs),
    }
}

type Metric = (&'static str, fn(&EpisodeMetrics) -> f64);

/// The metrics of a run, by the names of the JSON contract.
const METRICS: [Metric; 9] = [
    ("qoe", |metrics| metrics.qoe),
    ("delay_slots", |metrics| metrics.delay_slots),
    ("energy", |metrics| metrics.energy),
    ("dropped", |metrics| metrics.dropped as f64),
    ("completion_ratio", |metrics| metrics.completion_ratio),
    ("energy_per_task", |metrics| metrics.energy_per_task),
    ("delay_p50", |metrics| f64::from(metrics.delay_p50)),
    ("delay_p95", |metrics| f64::from(metrics.delay_p95)),
    ("delay_p99", |metrics| f64::from(metrics.delay_p99)),
];

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

/// All columns but the first `texts` are numbers, and stand to the right.
fn align_numbers(table: &mut Table, texts: usize) {
    for column in table.column_iter_mut().skip(texts) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

fn plus_minus(spread: Spread, digits: usize) -> String {
    format!("{:.digits$} ± {:.digits$}", spread.mean, spread.sd)
}

fn table(runs: &[StoredRun]) -> String {
    let mut text = String::new();
    for runs in by_scenario(runs) {
        let swept: Vec<_> = runs[0].record.sweep.iter().map(|(field, _)| field.clone()).collect();
        let episodes = runs.iter().map(|run| run.record.episodes).max().unwrap_or(0);
        let record = &runs[0].record;
        text += &format!(
            "{}: {episodes} {}, seed {}\n",
            record.scenario,
            if episodes == 1 { "episode" } else { "episodes" },
            record.seed
        );
        let columns = [
            "policy",
            "AvgQoE",
            "AvgDelay",
            "AvgEnergy",
            "Drop",
            "completed",
            "p95 delay",
            "µs/decision",
        ];
        let texts = swept.len() + 1;
        let mut table = bare_table(swept.into_iter().chain(columns.map(str::to_owned)).collect());
        for run in runs {
            let mut row: Vec<String> =
                run.record.sweep.iter().map(|(_, value)| value.clone()).collect();
            row.push(run.record.policy.clone());
            if run.record.error.is_some() {
                row.push("failed".to_owned());
            } else {
                let ratio = run.spread(|metrics| metrics.completion_ratio);
                row.extend([
                    plus_minus(run.spread(|metrics| metrics.qoe), 1),
                    plus_minus(run.spread(|metrics| metrics.delay_slots), 3),
                    plus_minus(run.spread(|metrics| metrics.energy), 1),
                    plus_minus(run.spread(|metrics| metrics.dropped as f64), 1),
                    format!("{:.1} %", 100.0 * ratio.mean),
                    format!("{:.1}", run.spread(|metrics| f64::from(metrics.delay_p95)).mean),
                    format!("{:.3}", run.decision_us().mean),
                ]);
            }
            table.add_row(row);
        }
        align_numbers(&mut table, texts);
        text += &format!("{table}\n");
        for run in runs {
            if let Some(error) = &run.record.error {
                let point = match run.record.point() {
                    point if point.is_empty() => point,
                    point => format!(" ({point})"),
                };
                text += &format!("failed: {}{point}: {error}\n", run.record.policy);
            }
        }
    }
    text
}

/// The metrics of each run by power mode, for people.
pub fn power_modes(runs: &[StoredRun]) -> String {
    let mut text = String::new();
    for runs in by_scenario(runs) {
        text += &format!("{}, by power mode\n", runs[0].record.scenario);
        let columns = ["policy", "α", "AvgQoE", "AvgDelay", "AvgEnergy", "Drop", "completed"];
        let swept: Vec<_> = runs[0].record.sweep.iter().map(|(field, _)| field.clone()).collect();
        let texts = swept.len() + 1;
        let mut table = bare_table(swept.into_iter().chain(columns.map(str::to_owned)).collect());
        for run in runs.iter().filter(|run| run.record.error.is_none()) {
            for (mode, alpha) in run.record.power_modes.iter().enumerate() {
                let spread = |metric: fn(&EpisodeMetrics) -> f64| of_mode(run, mode, metric);
                let mut row: Vec<String> =
                    run.record.sweep.iter().map(|(_, value)| value.clone()).collect();
                row.extend([
                    run.record.policy.clone(),
                    alpha.to_string(),
                    plus_minus(spread(|metrics| metrics.qoe), 1),
                    plus_minus(spread(|metrics| metrics.delay_slots), 3),
                    plus_minus(spread(|metrics| metrics.energy), 1),
                    plus_minus(spread(|metrics| metrics.dropped as f64), 1),
                    format!("{:.1} %", 100.0 * spread(|metrics| metrics.completion_ratio).mean),
                ]);
                table.add_row(row);
            }
        }
        align_numbers(&mut table, texts);
        text += &format!("{table}\n");
    }
    text
}

fn of_mode(run: &StoredRun, mode: usize, metric: fn(&EpisodeMetrics) -> f64) -> Spread {
    Spread::of(run.episodes.iter().map(|episode| metric(&episode.by_mode[mode])))
}

/// A swept value: a number where it is one, else its RON text.
fn swept_value(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(Value::Number(number)) => Value::Number(number),
        _ => Value::String(text.to_owned()),
    }
}

fn spread_json(spread: Spread) -> Value {
    json!({ "mean": spread.mean, "sd": spread.sd })
}

fn as_json(runs: &[StoredRun]) -> Value {
    let runs: Vec<_> = runs
        .iter()
        .map(|run| {
            let record = &run.record;
            let sweep: Map<_, _> = record
                .sweep
                .iter()
                .map(|(field, value)| (field.clone(), swept_value(value)))
                .collect();
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
            let mut metrics: Map<_, _> = METRICS
                .iter()
                .map(|(name, metric)| ((*name).to_owned(), spread_json(run.spread(metric))))
                .collect();
            metrics.insert("decision_us".to_owned(), spread_json(run.decision_us()));
            object["metrics"] = metrics.into();
            let modes = record.power_modes.iter().enumerate().map(|(mode, alpha)| {
                let metrics: Map<_, _> = METRICS
                    .iter()
                    .map(|(name, metric)| {
                        ((*name).to_owned(), spread_json(of_mode(run, mode, *metric)))
                    })
                    .collect();
                json!({ "alpha": alpha, "metrics": metrics })
            });
            object["power_modes"] = modes.collect();
            object
        })
        .collect();
    json!({ "runs": runs })
}

fn as_csv(runs: &[StoredRun]) -> String {
    let mut table = csv::Writer::from_writer(Vec::new());
    let mut header: Vec<String> =
        ["scenario", "policy", "seed", "sweep", "episodes", "error"].map(str::to_owned).into();
    let names = METRICS.iter().map(|(name, _)| *name).chain(["decision_us"]);
    header.extend(names.flat_map(|name| [format!("{name}_mean"), format!("{name}_sd")]));
    let mut rows = vec![header];
    for run in runs {
        let record = &run.record;
        let mut row = vec![
            record.scenario.clone(),
            record.policy.clone(),
            record.seed.to_string(),
            record.point(),
            record.episodes.to_string(),
            record.error.clone().unwrap_or_default(),
        ];
        let spreads = METRICS.iter().map(|(_, metric)| run.spread(metric));
        for spread in spreads.chain([run.decision_us()]) {
            row.extend(match record.error {
                None => [spread.mean.to_string(), spread.sd.to_string()],
                Some(_) => [String::new(), String::new()],
            });
        }
        rows.push(row);
    }
    // Writing to memory can't fail.
    for row in rows {
        let _ = table.write_record(row);
    }
    String::from_utf8(table.into_inner().unwrap_or_default()).unwrap_or_default()
}
