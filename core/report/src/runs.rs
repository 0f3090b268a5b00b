//! Runs as CSV and Parquet have them: one row per run, or one more per group of its tasks.

use offramp_results::Grouping;
use offramp_results::group::Label;
use offramp_results::metric::{self, Metric};
use offramp_results::reference::{SHARE_ID, share_of_hindsight};
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
    run_records_by(&[], runs)
}

/// The same with a column for each of `groupings`, such as `alpha`; and after the row of a run, which
/// has empty cells there, one row per group.
pub fn run_records_by(groupings: &[Grouping], runs: &[StoredRun]) -> Records {
    let labels = groupings.iter().map(|&grouping| group_field(grouping));
    // Where nothing moves, there are no columns of it.
    let moves = runs.iter().any(|run| run.record.moves);
    let mobility = || metric::mobility().iter().filter(move |_| moves);
    let fields = KEY.into_iter().chain(labels).chain(metric_fields(metric::summarised()));
    let shares: Vec<_> = runs.iter().map(|run| share_of_hindsight(run, runs)).collect();
    // Nor are there where no hindsight was evaluated.
    let share = shares.iter().any(Option::is_some);
    let share = || share.then_some(Field::new(SHARE_ID, Kind::Number)).into_iter();
    let fields = fields.chain(metric_fields(mobility())).chain(share());
    let mut records = Records::new(fields.collect::<Vec<_>>());
    let row = |run: &StoredRun, group: Option<(Grouping, Label<'_>)>, metrics: Vec<Cell>| {
        let labels = groupings.iter().map(|&grouping| match group {
            Some((of, label)) if of == grouping => group_cell(label),
            _ => Cell::Empty,
        });
        key_cells(&run.record).into_iter().chain(labels).chain(metrics).collect::<Vec<_>>()
    };
    for (run, share_of_run) in runs.iter().zip(shares) {
        let of_run =
            |metric: &'static Metric| run.mean_sd(metric).filter(|_| run.record.error.is_none());
        let mut found = metric_cells(mobility(), of_run);
        let share_of_run = share_of_run.map_or(Cell::Empty, |share| Cell::Number(share, 3));
        found.extend(share().map(|_| share_of_run.clone()));
        let overall = metric_cells(metric::summarised(), of_run);
        records.rows.push(row(run, None, overall.into_iter().chain(found.clone()).collect()));
        for &grouping in groupings.iter().filter(|_| run.record.error.is_none()) {
            for (group, label) in run.record.groups(grouping).into_iter().enumerate() {
                let of = |metric| run.mean_sd_of_group(grouping, group, metric);
                let mut metrics = metric_cells(metric::summarised(), of);
                metrics.resize(metrics.len() + found.len(), Cell::Empty);
                records.rows.push(row(run, Some((grouping, label)), metrics));
            }
        }
    }
    records
}

/// The column that states the group of a row.
pub(crate) fn group_field(grouping: Grouping) -> Field {
    let kind = match grouping {
        Grouping::PowerMode => Kind::Number,
        Grouping::Class => Kind::Text,
    };
    Field::new(grouping.column(), kind)
}

/// The cell of [`group_field`].
fn group_cell(label: Label<'_>) -> Cell {
    match label {
        Label::Alpha(alpha) => Cell::Number(alpha, 2),
        Label::Class(name) => name.into(),
    }
}

/// The columns of summarised metrics.
fn metric_fields(metrics: impl Iterator<Item = &'static Metric>) -> impl Iterator<Item = Field> {
    metrics.flat_map(|metric| {
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

/// Mean and standard deviation of each metric; empty where `of` has no value.
fn metric_cells(
    metrics: impl Iterator<Item = &'static Metric>,
    of: impl Fn(&'static Metric) -> Option<MeanSd>,
) -> Vec<Cell> {
    let cells = metrics.flat_map(|metric| {
        let (mean, sd) = parts(of(metric));
        [mean, sd].map(|part| part.map_or(Cell::Empty, |part| Cell::Number(part, metric.digits)))
    });
    cells.collect()
}
