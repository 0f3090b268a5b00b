//! The tables of run folders as Parquet files: everything that the CSV files have, of any number of
//! folders, with seed and swept values of the run in each row.
//!
//! ```text
//! runs.parquet         one row per run: what `--format csv` prints
//! episodes.parquet     one row per episode: the metrics
//! power-modes.parquet  one row per episode and power mode: the same metrics
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
use offramp_results::metric::{self, Source};
use offramp_results::run_folder::{PARQUET, RunFolder, RunRecord, StoredRun};
use offramp_results::summary::Summary;
use offramp_results::{EpisodeMetrics, EpisodeResult, Error};

use crate::records::{Cell, ColumnError, Field, Kind, Records};
use crate::runs::run_records;
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
    let keys = Keys::of(opened.iter().flat_map(RunFolder::records));
    let unwritable = |cause| Error::Unwritable { path: out.to_owned(), cause };
    std::fs::create_dir_all(out).map_err(unwritable)?;
    let growing =
        tempfile::Builder::new().prefix(".offramp-").tempdir_in(out).map_err(unwritable)?;
    let failed = |error| Error::Unwritable { path: out.to_owned(), cause: cause(error) };
    let mut tables = Tables::create(growing.path(), &keys).map_err(failed)?;
    let (mut runs, mut of_runs) = (Vec::new(), Vec::new());
    for (folder, reader) in folders.iter().zip(&mut opened) {
        let folder = folder.display().to_string();
        while let Some(record) = reader.next_run() {
            let key = keys.cells(&folder, &record);
            let mut summary = Summary::new(record.power_modes.len());
            while let Some(episode) = reader.next_episode()? {
                let number = summary.episodes();
                tables.add(&key, number, &record.power_modes, &episode).map_err(failed)?;
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
    for name in PARQUET {
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

/// The tables with a row, or several, for each episode.
struct Tables {
    episodes: Writer<BufWriter<File>>,
    modes: Writer<BufWriter<File>>,
    delays: Writer<BufWriter<File>>,
    timing: Writer<BufWriter<File>>,
}

impl Tables {
    fn create(folder: &Path, keys: &Keys) -> Result<Self, ColumnError> {
        let begin = |name: &str, more: Vec<Field>| {
            let episode = Field::new("episode", Kind::Count);
            let columns = keys.fields.iter().chain([&episode]).chain(&more).map(Column::from);
            let columns = columns.collect();
            Writer::new(BufWriter::new(File::create(folder.join(name))?), columns)
        };
        let [_, episodes, modes, delays, timing] = PARQUET;
        let alpha = [Field::new("alpha", Kind::Number)].into_iter();
        let counts = ["decisions", "decide_ns"].map(|name| Field::new(name, Kind::Count));
        Ok(Self {
            episodes: begin(episodes, metric_fields().collect())?,
            modes: begin(modes, alpha.chain(metric_fields()).collect())?,
            delays: begin(delays, vec![Field::new("done_by_delay", Kind::Counts)])?,
            timing: begin(timing, counts.into())?,
        })
    }

    /// Adds an episode of the run with that key.
    fn add(
        &mut self,
        key: &[Cell],
        number: u64,
        power_modes: &[f64],
        episode: &EpisodeResult,
    ) -> Result<(), ColumnError> {
        let EpisodeResult { overall, by_mode, done_by_delay, decisions, decide_ns } = episode;
        let key = || key.iter().map(Cell::column_value).chain([Value::Count(number)]);
        self.episodes.row(key().chain(metric_values(overall)))?;
        for (&alpha, metrics) in power_modes.iter().zip(by_mode) {
            self.modes.row(key().chain([Value::Number(alpha)]).chain(metric_values(metrics)))?;
        }
        // Folders of earlier versions have no delays, though tasks were completed.
        let unknown = done_by_delay.is_empty() && overall.tasks > overall.dropped;
        let delays = if unknown { Value::Empty } else { Value::Counts(done_by_delay) };
        self.delays.row(key().chain([delays]))?;
        self.timing.row(key().chain([Value::Count(*decisions), Value::Count(*decide_ns)]))
    }

    fn finish(self) -> Result<(), ColumnError> {
        let Self { episodes, modes, delays, timing } = self;
        [episodes, modes, delays, timing].into_iter().try_for_each(|table| {
            table.finish()?;
            Ok(())
        })
    }
}

/// The columns of [`EpisodeMetrics`].
fn metric_fields() -> impl Iterator<Item = Field> {
    let of_tasks = metric::all().iter().filter(|metric| metric.has_modes());
    of_tasks.map(|metric| {
        Field::new(metric.id, if metric.is_whole { Kind::Count } else { Kind::Number })
    })
}

/// The cells of [`metric_fields`].
fn metric_values<'m>(metrics: &'m EpisodeMetrics) -> impl Iterator<Item = Value<'m>> {
    metric::all().iter().filter_map(move |metric| match metric.source {
        Source::Tasks(value) => Some(match value(metrics) {
            None => Value::Empty,
            Some(value) if metric.is_whole => Value::Count(value as u64),
            Some(value) => Value::Number(value),
        }),
        Source::Episode(_) => None,
    })
}
