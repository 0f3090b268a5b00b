//! The tables of run folders as Parquet files: everything that the CSV files have, of any number of
//! folders, with seed and swept values of the run in each row.
//!
//! ```text
//! runs.parquet         one row per run: what `--format csv` prints
//! episodes.parquet     one row per episode: the metrics
//! power-modes.parquet  one row per episode and power mode: the same metrics
//! classes.parquet      one row per episode and class, if a run has classes
//! mobility.parquet     one row per episode: mobility and rates, if devices move or rates change
//! delays.parquet       one row per episode: the list of how many tasks were completed in 1, 2, … slots
//! timing.parquet       one row per episode: decisions and the time they took
//! ```
//!
//! Each begins with the columns `folder`, `scenario`, `policy`, `seed` and `sweep`, and one for each
//! swept field: `tasks.deadline_slots`, or `sweep.energy` of a section that is swept as a
//! whole. Rows are read and written one by one: memory does not grow with their number.

use std::fs::File;
use std::io::{BufWriter, Error as IoError};
use std::path::{Path, PathBuf};

use offramp_columns::{Column, Value, Writer};
use offramp_results::group::Label;
use offramp_results::metric::{self, Source};
use offramp_results::run_folder::{PARQUET, RunFolder, RunRecord, StoredRun};
use offramp_results::summary::Summary;
use offramp_results::{EpisodeResult, Error, Grouping, Metric};

use crate::records::{Cell, ColumnError, Field, Kind, Records};
use crate::runs::{group_field, run_records};
use crate::swept_value;

/// Columns of [`run_records`] that [`Keys`] has, too.
const KEY_OF_RUN: usize = 4;

/// Writes the tables of run folders to the folder `out`, which may be one of them, and returns the runs.
///
/// # Errors
/// [`Error::Taken`] if one of the files is there, [`Error::Unreadable`] with the fault in a run folder, or
/// [`Error::Unwritable`]. No table is left behind half written.
pub fn write(folders: &[PathBuf], out: &Path) -> Result<Vec<StoredRun>, Error> {
    if let Some(there) = PARQUET.map(|name| out.join(name)).into_iter().find(|path| path.exists()) {
        return Err(Error::Taken { path: there });
    }
    let mut opened = Vec::with_capacity(folders.len());
    for folder in folders {
        let mut reader = RunFolder::open(folder)?;
        // There may be more folders than files that can be open.
        reader.pause();
        opened.push(reader);
    }
    let records = || opened.iter().flat_map(RunFolder::records);
    let keys = Keys::of(records());
    let extra = Extra {
        classes: records().any(|run| !run.classes.is_empty()),
        mobility: records().any(|run| run.moves),
    };
    let unwritable = |cause| Error::Unwritable { path: out.to_owned(), cause };
    std::fs::create_dir_all(out).map_err(unwritable)?;
    let growing =
        tempfile::Builder::new().prefix(".offramp-").tempdir_in(out).map_err(unwritable)?;
    let failed = |error| Error::Unwritable { path: out.to_owned(), cause: cause(error) };
    let mut tables = Tables::create(growing.path(), &keys, extra).map_err(failed)?;
    let (mut runs, mut of_runs) = (Vec::new(), Vec::new());
    for (folder, reader) in folders.iter().zip(&mut opened) {
        let folder = folder.display().to_string();
        while let Some(record) = reader.next_run() {
            let key = keys.cells(&folder, &record);
            let mut summary = Summary::new();
            while let Some(episode) = reader.next_episode()? {
                let number = summary.episodes();
                tables.add(&key, number, &record, &episode).map_err(failed)?;
                summary.add(&episode);
            }
            of_runs.push(key);
            runs.push(StoredRun { record, summary });
        }
        reader.pause();
    }
    tables.finish().map_err(failed)?;
    let table = with_keys(run_records(&runs), &keys, of_runs).parquet().map_err(failed)?;
    std::fs::write(growing.path().join(PARQUET[0]), table).map_err(unwritable)?;
    for name in PARQUET.into_iter().filter(|name| growing.path().join(name).exists()) {
        std::fs::rename(growing.path().join(name), out.join(name)).map_err(unwritable)?;
    }
    Ok(runs)
}

fn cause(error: ColumnError) -> IoError {
    match error {
        ColumnError::Unwritable(cause) => cause,
        other => IoError::other(other),
    }
}

/// The columns that say which run a row is of.
struct Keys {
    fields: Vec<Field>,
}

impl Keys {
    /// Those of runs: a column for each field that any of them sweeps, of numbers if all its values are.
    fn of<'r>(runs: impl Iterator<Item = &'r RunRecord>) -> Self {
        let names = ["folder", "scenario", "policy"].map(|name| Field::new(name, Kind::Text));
        let mut fields = Vec::from(names);
        fields.extend([Field::new("seed", Kind::Seed), Field::new("sweep", Kind::Text)]);
        let fixed = fields.len();
        for (name, value) in runs.flat_map(|run| &run.sweep) {
            let kind = kind_of(value);
            let column = column(name);
            match fields[fixed..].iter_mut().find(|field| field.id == column) {
                Some(known) => known.kind = common(known.kind, kind),
                None => fields.push(Field::named(column, kind)),
            }
        }
        Self { fields }
    }

    fn cells(&self, folder: &str, run: &RunRecord) -> Vec<Cell> {
        let point = Some(run.point()).filter(|point| !point.is_empty());
        let mut cells: Vec<Cell> = [folder, &run.scenario, &run.policy].map(Cell::from).into();
        cells.extend([run.seed.into(), point.into()]);
        cells.extend(self.fields[cells.len()..].iter().map(|field| {
            let value = run.sweep.iter().find(|(name, _)| field.id == column(name));
            value.map_or(Cell::Empty, |(_, value)| swept_cell(value, field.kind))
        }));
        cells
    }
}

/// The name of a swept field's column. Of a section that is swept as a whole, such as `energy`, it could
/// be that of a metric.
fn column(swept: &str) -> String {
    if swept.contains('.') { swept.to_owned() } else { format!("sweep.{swept}") }
}

/// The type of a swept value alone.
fn kind_of(value: &str) -> Kind {
    let number = swept_value(value);
    match number.as_i64().is_some_and(|whole| whole >= 0) {
        true => Kind::Count,
        false if number.is_number() => Kind::Number,
        false => Kind::Text,
    }
}

/// The type of a column with values of both types.
fn common(one: Kind, other: Kind) -> Kind {
    match (one, other) {
        (Kind::Text, _) | (_, Kind::Text) => Kind::Text,
        (Kind::Number, _) | (_, Kind::Number) => Kind::Number,
        _ => one,
    }
}

fn swept_cell(text: &str, kind: Kind) -> Cell {
    let value = swept_value(text);
    match kind {
        Kind::Count => value.as_u64().into(),
        Kind::Number => value.as_f64().map_or(Cell::Empty, |number| Cell::Number(number, 3)),
        _ => text.into(),
    }
}

/// The table of runs with [`Keys`] in place of its own.
fn with_keys(mut runs: Records, keys: &Keys, cells: Vec<Vec<Cell>>) -> Records {
    runs.fields.splice(..KEY_OF_RUN, keys.fields.clone());
    for (row, key) in runs.rows.iter_mut().zip(cells) {
        row.splice(..KEY_OF_RUN, key);
    }
    runs
}

/// Which tables are written that not every run has rows for.
#[derive(Clone, Copy)]
struct Extra {
    classes: bool,
    mobility: bool,
}

type TableFile = Writer<BufWriter<File>>;

/// The tables with a row, or several, for each episode.
struct Tables {
    episodes: TableFile,
    delays: TableFile,
    timing: TableFile,
    groups: Vec<(Grouping, TableFile)>,
    mobility: Option<TableFile>,
}

impl Tables {
    fn create(folder: &Path, keys: &Keys, extra: Extra) -> Result<Self, ColumnError> {
        let begin = |name: &str, more: Vec<Field>| {
            let episode = Field::new("episode", Kind::Count);
            let columns = keys.fields.iter().chain([&episode]).chain(&more).map(Column::from);
            let columns = columns.collect();
            Writer::new(BufWriter::new(File::create(folder.join(name))?), columns)
        };
        let [_, episodes, modes, delays, timing, classes, mobility] = PARQUET;
        let of_groups = |name: &str, grouping: Grouping| {
            let fields = [group_field(grouping)].into_iter().chain(metric_fields(of_tasks()));
            Ok::<_, ColumnError>((grouping, begin(name, fields.collect())?))
        };
        let mut groups = vec![of_groups(modes, Grouping::PowerMode)?];
        if extra.classes {
            groups.push(of_groups(classes, Grouping::Class)?);
        }
        let found = || begin(mobility, metric_fields(metric::mobility().iter()).collect());
        let counts = ["decisions", "decide_ns"].map(|name| Field::new(name, Kind::Count));
        Ok(Self {
            episodes: begin(episodes, metric_fields(of_tasks()).collect())?,
            groups,
            delays: begin(delays, vec![Field::new("done_by_delay", Kind::Counts)])?,
            timing: begin(timing, counts.into())?,
            mobility: extra.mobility.then(found).transpose()?,
        })
    }

    /// Adds an episode of the run with that key.
    fn add(
        &mut self,
        key: &[Cell],
        number: u64,
        record: &RunRecord,
        episode: &EpisodeResult,
    ) -> Result<(), ColumnError> {
        let EpisodeResult { overall, by_group, done_by_delay, decisions, decide_ns, mobility } =
            episode;
        let key = || key.iter().map(Cell::column_value).chain([Value::Count(number)]);
        let of = |metrics| {
            let value = move |metric: &Metric| match metric.source {
                Source::Tasks(value) => value(metrics),
                Source::Episode(_) | Source::Mobility(_) => None,
            };
            metric_values(of_tasks(), value)
        };
        self.episodes.row(key().chain(of(overall)))?;
        for (grouping, table) in &mut self.groups {
            let labels = record.groups(*grouping);
            for (&label, metrics) in labels.iter().zip(&by_group[*grouping]) {
                table.row(key().chain([group_value(label)]).chain(of(metrics)))?;
            }
        }
        if let (Some(table), Some(found)) = (&mut self.mobility, mobility) {
            let values =
                metric_values(metric::mobility().iter(), |metric| metric.of_mobility(found));
            table.row(key().chain(values))?;
        }
        // Folders of earlier versions have no delays, though tasks were completed.
        let unknown = done_by_delay.is_empty() && overall.tasks > overall.dropped;
        let delays = if unknown { Value::Empty } else { Value::Counts(done_by_delay) };
        self.delays.row(key().chain([delays]))?;
        self.timing.row(key().chain([Value::Count(*decisions), Value::Count(*decide_ns)]))
    }

    fn finish(self) -> Result<(), ColumnError> {
        let Self { episodes, groups, delays, timing, mobility } = self;
        let groups = groups.into_iter().map(|(_, table)| table);
        [episodes, delays, timing].into_iter().chain(groups).chain(mobility).try_for_each(|table| {
            table.finish()?;
            Ok(())
        })
    }
}

/// The cell of [`group_field`].
fn group_value(label: Label<'_>) -> Value<'_> {
    match label {
        Label::Alpha(alpha) => Value::Number(alpha),
        Label::Class(name) => Value::Text(name),
    }
}

/// The metrics that an episode's tasks have, and each group of them.
fn of_tasks() -> impl Iterator<Item = &'static Metric> {
    metric::all().iter().filter(|metric| metric.has_groups())
}

/// The columns of metrics.
fn metric_fields(metrics: impl Iterator<Item = &'static Metric>) -> impl Iterator<Item = Field> {
    metrics.map(|metric| {
        Field::new(metric.id, if metric.is_whole { Kind::Count } else { Kind::Number })
    })
}

/// The cells of [`metric_fields`].
fn metric_values<'m>(
    metrics: impl Iterator<Item = &'static Metric>,
    of: impl Fn(&Metric) -> Option<f64>,
) -> impl Iterator<Item = Value<'m>> {
    metrics.map(move |metric| match of(metric) {
        None => Value::Empty,
        Some(value) if metric.is_whole => Value::Count(value as u64),
        Some(value) => Value::Number(value),
    })
}
