//! Runs as CSV and Parquet have them: one row per run, or one more per power mode.

use offramp_results::metric::{self, Metric};
use offramp_results::run_folder::{RunRecord, StoredRun};
use offramp_results::statistics::MeanSd;

use crate::parts;
use crate::records::{Cell, Field, Kind, Records};

/// The columns that identify a run, and then how it went.
const KEY: [Field; 6] = [
    Field::new("scenario", Kind::Text),
    Field::new("policy", Kind::Text),
    Field::new("seed", Kind::Seed),
    Field::new("sweep", Kind::Text),
    Field::new("episodes", Kind::Count),
    Field::new("error", Kind::Text),
];

/// One row per run.
pub fn run_records(runs: &[StoredRun]) -> Records {
    let mut records = Records::new(KEY.into_iter().chain(metric_fields()).collect::<Vec<_>>());
    records.rows.extend(runs.iter().map(|run| {
        let cells = key_cells(&run.record).into_iter().chain(overall_cells(run));
        cells.collect::<Vec<_>>()
    }));
    records
}

/// The same with a column `alpha`, and after the row of a run, whose `alpha` is empty, one row per power
/// mode.
pub fn run_records_by_power_mode(runs: &[StoredRun]) -> Records {
    let key = KEY.into_iter().chain([Field::new("alpha", Kind::Number)]);
    let mut records = Records::new(key.chain(metric_fields()).collect::<Vec<_>>());
    let row = |run: &StoredRun, alpha: Cell, metrics: Vec<Cell>| {
        key_cells(&run.record).into_iter().chain([alpha]).chain(metrics).collect::<Vec<_>>()
    };
    for run in runs {
        records.rows.push(row(run, Cell::Empty, overall_cells(run)));
        let alphas = match run.record.error {
            None => run.record.power_modes.as_slice(),
            Some(_) => &[],
        };
        records.rows.extend(alphas.iter().enumerate().map(|(mode, &alpha)| {
            let metrics = metric_cells(|metric| run.mean_sd_of_mode(mode, metric));
            row(run, Cell::Number(alpha, 2), metrics)
        }));
    }
    records
}

/// The columns of the summarised metrics.
fn metric_fields() -> impl Iterator<Item = Field> {
    metric::summarised().flat_map(|metric| {
        ["mean", "sd"].map(|part| Field::named(format!("{}_{part}", metric.id), Kind::Number))
    })
}

fn key_cells(record: &RunRecord) -> [Cell; 6] {
    let point = record.point();
    [
        record.scenario.as_str().into(),
        record.policy.as_str().into(),
        record.seed.into(),
        Some(point).filter(|point| !point.is_empty()).into(),
        record.episodes.into(),
        record.error.clone().into(),
    ]
}

/// Mean and standard deviation of each summarised metric; empty where `of` has no value.
fn metric_cells(of: impl Fn(&'static Metric) -> Option<MeanSd>) -> Vec<Cell> {
    let cells = metric::summarised().flat_map(|metric| {
        let (mean, sd) = parts(of(metric));
        [mean, sd].map(|part| part.map_or(Cell::Empty, |part| Cell::Number(part, metric.digits)))
    });
    cells.collect()
}

/// The metrics of a run over all power modes.
fn overall_cells(run: &StoredRun) -> Vec<Cell> {
    metric_cells(|metric| run.mean_sd(metric).filter(|_| run.record.error.is_none()))
}
