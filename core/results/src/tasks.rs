//! Tasks: one row per task of a run folder, on request, as CSV or Parquet.
//!
//! While a run is in progress, its rows grow in a [`TaskFile`] beside its row file, as CSV whatever the
//! folder will have; a finished folder has one table of all runs, `tasks.csv` or `tasks.parquet`. Rows are
//! written and read one by one, so memory does not grow with their number.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Error as IoError, Read, Write};
use std::path::{Path, PathBuf};

use offramp_columns::{Cell, Column, Error as ColumnError, Kind, Reader, Value, Writer};
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::files::hexadecimal;
use crate::record::RunRecord;
use crate::rows::RowsRecord;
use crate::table::Table;
use crate::{Error, table};

/// The format of the table of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskFormat {
    /// `tasks.csv`.
    Csv,
    /// `tasks.parquet`.
    Parquet,
}

impl TaskFormat {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Csv, Self::Parquet];

    /// The table in a run folder.
    pub const fn file(self) -> &'static str {
        match self {
            Self::Csv => "tasks.csv",
            Self::Parquet => "tasks.parquet",
        }
    }

    /// The format in which a run folder has its tasks; `None` if it does not have them.
    pub fn of(folder: &Path) -> Option<Self> {
        Self::ALL.into_iter().find(|format| folder.join(format.file()).exists())
    }
}

/// A task that has ended. Slots count from the beginning of its episode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct TaskRow<'c> {
    /// The slot of its arrival, counted from the beginning of the first episode: as if one episode
    /// began where the slots with arrivals of the one before end.
    pub slot: u64,
    /// The episode.
    pub episode: u64,
    /// The slot of its arrival.
    pub arrival_slot: u32,
    /// The device, 0 … N − 1.
    pub device: u32,
    /// Its class; `None` if there is one kind of tasks.
    pub class: Option<&'c str>,
    /// λ: size, Mbit.
    pub size_mbit: f64,
    /// ρ: density, Gcycles per Mbit.
    pub density: f64,
    /// α of its device when it arrived.
    pub alpha: f64,
    /// D_max: slots within which it must end, counting that of its arrival.
    pub deadline_slots: u32,
    /// The decision: 0 local, j = 1 … M server j.
    pub action: u32,
    /// The first slot of its upload; `None` if that never began.
    pub upload_slot: Option<u32>,
    /// The slot in which its upload ended; `None` if it never did.
    pub sent_slot: Option<u32>,
    /// The first slot in which a CPU or a server computed it; `None` if none ever did.
    pub service_slot: Option<u32>,
    /// The slot in which it ended, or its deadline passed.
    pub end_slot: u32,
    /// Slots in which it waited: for the CPU, or for the uplink and at the server.
    pub waiting_slots: u32,
    /// D: slots from arrival to end, counting the arrival slot; D_max if it was dropped.
    pub delay_slots: u32,
    /// 1 if it was dropped, 0 if it was completed.
    pub dropped: u8,
    /// Its energy in the scenario's accounting: of the device's CPU.
    pub energy_local: f64,
    /// Of the upload.
    pub energy_transmit: f64,
    /// Of the server.
    pub energy_edge: f64,
    /// Of the device while its task is at the server.
    pub energy_idle: f64,
    /// Its reward, eq. (12).
    pub reward: f64,
}

/// The columns that state to which run a row belongs.
const KEY: [&str; 3] = ["scenario", "policy", "sweep"];

/// The columns of the table, in order.
fn columns() -> Vec<String> {
    KEY.iter().map(|name| (*name).to_owned()).chain(table::columns::<TaskRow<'_>>()).collect()
}

fn kind(column: &str) -> Kind {
    match column {
        "scenario" | "policy" | "sweep" | "class" => Kind::Text,
        "size_mbit" | "density" | "alpha" | "reward" => Kind::Number,
        energy if energy.starts_with("energy_") => Kind::Number,
        _ => Kind::Count,
    }
}

/// A run's tasks while the run is in progress. The file is open only while rows are written, so that any
/// number of runs can be in progress.
#[derive(Debug)]
pub struct TaskFile {
    path: PathBuf,
    /// The cells of the run that begin each row.
    key: Vec<u8>,
    hash: Sha256,
    bytes: u64,
}

impl TaskFile {
    /// Begins the file of a run, over an earlier one.
    ///
    /// # Errors
    /// [`Error::Unwritable`].
    pub fn create(path: &Path, record: &RunRecord) -> Result<Self, Error> {
        File::create(path).map_err(unwritable(path))?;
        let mut key = csv::Writer::from_writer(Vec::new());
        // The last cell is empty, and stands for the others: the row ends with a comma and a line break.
        let written = key.write_record([&record.scenario, &record.policy, &record.point(), ""]);
        written.map_err(|error| unwritable(path)(error.into()))?;
        let mut key = key.into_inner().unwrap_or_default();
        key.truncate(key.len().saturating_sub(1));
        Ok(Self { path: path.to_owned(), key, hash: Sha256::new(), bytes: 0 })
    }

    /// Adds rows of CSV that lack the cells of the run, such as those of an episode.
    ///
    /// # Errors
    /// [`Error::Unwritable`]; the file is then not valid.
    pub fn add(&mut self, rows: impl BufRead) -> Result<(), Error> {
        let key = self.key.clone();
        self.append(rows, &key)
    }

    /// Adds rows of CSV that lack nothing.
    ///
    /// # Errors
    /// [`Error::Unwritable`]; the file is then not valid.
    pub fn add_whole(&mut self, rows: impl BufRead) -> Result<(), Error> {
        self.append(rows, &[])
    }

    fn append(&mut self, mut rows: impl BufRead, key: &[u8]) -> Result<(), Error> {
        let failed = unwritable(&self.path);
        let file = File::options().append(true).open(&self.path).map_err(&failed)?;
        let mut file = BufWriter::new(file);
        let mut line = Vec::new();
        loop {
            line.clear();
            line.extend_from_slice(key);
            if rows.read_until(b'\n', &mut line).map_err(&failed)? == 0 {
                return file.flush().map_err(&failed);
            }
            file.write_all(&line).map_err(&failed)?;
            self.hash.update(&line);
            self.bytes += line.len() as u64;
        }
    }

    /// Ends the file.
    pub fn finish(self) -> RowsRecord {
        RowsRecord { bytes: self.bytes, sha256: hexadecimal(&self.hash.finalize()) }
    }
}

/// The table of tasks of a new run folder.
#[derive(Debug)]
pub(crate) enum TaskTable {
    Csv(BufWriter<File>),
    Parquet(Box<Writer<BufWriter<File>>>),
}

impl TaskTable {
    /// Begins the table, with its columns.
    pub(crate) fn create(folder: &Path, format: TaskFormat) -> std::io::Result<Self> {
        let mut file = BufWriter::new(File::create(folder.join(format.file()))?);
        match format {
            TaskFormat::Csv => {
                csv::Writer::from_writer(&mut file).write_record(columns())?;
                Ok(Self::Csv(file))
            }
            TaskFormat::Parquet => {
                let columns = columns().into_iter().map(|name| {
                    let kind = kind(&name);
                    Column::new(name, kind)
                });
                let table = Writer::new(file, columns.collect()).map_err(cause)?;
                Ok(Self::Parquet(Box::new(table)))
            }
        }
    }

    /// Adds rows of CSV.
    pub(crate) fn add(&mut self, mut rows: impl Read) -> std::io::Result<()> {
        let table = match self {
            Self::Csv(file) => return std::io::copy(&mut rows, file).map(drop),
            Self::Parquet(table) => table,
        };
        let kinds: Vec<Kind> = columns().iter().map(|column| kind(column)).collect();
        let mut rows = csv::ReaderBuilder::new().has_headers(false).from_reader(rows);
        let mut row = csv::StringRecord::new();
        while rows.read_record(&mut row)? {
            let values = kinds.iter().zip(&row).map(|(kind, cell)| value(*kind, cell));
            let values: Vec<Value<'_>> = values.collect::<Option<_>>().ok_or_else(damaged)?;
            table.row(values).map_err(cause)?;
        }
        Ok(())
    }

    /// Adds the rows of a run's [`TaskFile`].
    pub(crate) fn copy(&mut self, rows: &Path) -> std::io::Result<()> {
        self.add(BufReader::with_capacity(1 << 16, File::open(rows)?))
    }

    /// Writes everything to the disk.
    pub(crate) fn finish(self) -> std::io::Result<()> {
        let file = match self {
            Self::Csv(file) => file,
            Self::Parquet(table) => table.finish().map_err(cause)?,
        };
        file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()
    }
}

/// The cell of a column as Parquet has it; `None` if it is not of that kind.
fn value(kind: Kind, cell: &str) -> Option<Value<'_>> {
    match kind {
        _ if cell.is_empty() => Some(Value::Empty),
        Kind::Text => Some(Value::Text(cell)),
        Kind::Number => cell.parse().ok().map(Value::Number),
        _ => cell.parse().ok().map(Value::Count),
    }
}

/// The table of tasks of a run folder, read run by run.
#[derive(Debug)]
pub struct TaskReader {
    table: Table,
    places: Vec<usize>,
    /// The rows of a Parquet file, as CSV.
    _unpacked: Option<tempfile::TempPath>,
}

/// Rows that a reader passes on at once.
const ROWS: u64 = 1024;

impl TaskReader {
    /// Opens the table of a run folder; `None` if it has none. Parquet, of which a group of rows takes
    /// megabytes, is unpacked into a file in `scratch` first.
    ///
    /// # Errors
    /// [`Error::Unreadable`], or [`Error::Unwritable`] if it can't be unpacked.
    pub fn open(folder: &Path, scratch: &Path) -> Result<Option<Self>, Error> {
        let Some(format) = TaskFormat::of(folder) else { return Ok(None) };
        let path = folder.join(format.file());
        let (path, unpacked) = match format {
            TaskFormat::Csv => (path, None),
            TaskFormat::Parquet => {
                let unpacked = unpacked(&path, scratch)?;
                (unpacked.to_path_buf(), Some(unpacked))
            }
        };
        let columns = columns();
        let table = Table::open(&path, &columns)?;
        let places = columns.iter().map(|column| table.place(column)).collect();
        Ok(Some(Self { table, places, _unpacked: unpacked }))
    }

    /// Passes the next `count` rows, which must be those of the run, to `take`, as rows of CSV.
    ///
    /// # Errors
    /// [`Error::Unreadable`] if they are not, or those of `take`.
    pub fn run(
        &mut self,
        record: &RunRecord,
        mut count: u64,
        mut take: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let point = record.point();
        let key = [record.scenario.as_str(), &record.policy, &point];
        while count > 0 {
            let mut rows = csv::Writer::from_writer(Vec::new());
            for _ in 0..count.min(ROWS) {
                let Self { table, places, .. } = self;
                let is_of_run = match table.next()? {
                    None => false,
                    Some(row) => {
                        let cells = || places.iter().map(|&place| row.cell(place));
                        // Writing to memory can't fail.
                        let _ = rows.write_record(cells());
                        cells().zip(key).all(|(cell, key)| cell == key)
                    }
                };
                if !is_of_run {
                    return Err(table.fault(format!("tasks of {} are missing", record.title())));
                }
            }
            take(&rows.into_inner().unwrap_or_default())?;
            count -= count.min(ROWS);
        }
        Ok(())
    }

    /// Closes the file until the next row is asked for.
    pub fn pause(&mut self) {
        self.table.pause();
    }
}

/// A cell of Parquet as CSV has it.
struct Unpacked<'r>(Cell<'r>);

impl Serialize for Unpacked<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Cell::Whole(whole) => serializer.serialize_i64(whole),
            Cell::Number(number) => serializer.serialize_f64(number),
            Cell::Text(text) => serializer.serialize_str(text),
            _ => serializer.serialize_none(),
        }
    }
}

/// The rows of a Parquet file, as CSV in a file in `scratch`.
fn unpacked(path: &Path, scratch: &Path) -> Result<tempfile::TempPath, Error> {
    let unreadable = |cause: String| Error::Unreadable { path: path.to_owned(), cause };
    let unwritable = unwritable(scratch);
    let reader = File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let reader =
        Reader::new(BufReader::new(reader)).map_err(|error| unreadable(error.to_string()))?;
    let columns = columns();
    let place = |column: &String| {
        let found = reader.fields().iter().position(|field| field.name == *column);
        found.ok_or_else(|| unreadable(format!("it has no column `{column}`")))
    };
    let places: Vec<usize> = columns.iter().map(place).collect::<Result<_, _>>()?;
    let mut rows = reader.rows(&places).map_err(|error| unreadable(error.to_string()))?;
    let file = tempfile::Builder::new().prefix(".offramp-").tempfile_in(scratch);
    let (file, unpacked) = file.map_err(&unwritable)?.into_parts();
    let mut table = csv::Writer::from_writer(file);
    table.write_record(&columns).map_err(|error| unwritable(error.into()))?;
    while rows.advance().map_err(|error| unreadable(error.to_string()))? {
        let cells = (0..columns.len()).map(|column| rows.cell(column).map(Unpacked));
        let cells: Vec<_> =
            cells.collect::<Result<_, _>>().map_err(|error| unreadable(error.to_string()))?;
        table.serialize(cells).map_err(|error| unwritable(error.into()))?;
    }
    table.flush().map_err(&unwritable)?;
    Ok(unpacked)
}

fn cause(error: ColumnError) -> IoError {
    match error {
        ColumnError::Unwritable(cause) => cause,
        other => IoError::other(other),
    }
}

fn damaged() -> IoError {
    IoError::other("a file of tasks was altered")
}

fn unwritable(path: &Path) -> impl Fn(IoError) -> Error {
    move |cause| Error::Unwritable { path: path.to_owned(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(policy: &str) -> RunRecord {
        let sweep = vec![("x".to_owned(), "0.5".to_owned())];
        RunRecord {
            scenario: "s".to_owned(),
            policy: policy.to_owned(),
            sweep,
            ..RunRecord::default()
        }
    }

    /// The documents list the columns, in their order.
    #[test]
    fn the_documents_have_the_columns() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenarios/README.md");
        let text = std::fs::read_to_string(path).unwrap();
        let (_, rest) = text.split_once("<!-- columns of tasks -->").unwrap();
        let (listed, _) = rest.split_once("<!-- end of columns of tasks -->").unwrap();
        let first_cells = listed.lines().filter_map(|line| line.strip_prefix("| `"));
        let names =
            first_cells.flat_map(|row| row.split(" |").next().unwrap_or_default().split(", "));
        let names: Vec<&str> = names.map(|name| name.trim_matches('`')).collect();
        assert_eq!(names, columns());
    }

    /// Rows as an episode has them.
    fn rows(count: u32) -> Vec<u8> {
        let mut rows = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
        for number in 0..count {
            let row = TaskRow {
                slot: u64::from(number),
                class: (number % 2 == 1).then_some("video, live"),
                size_mbit: 0.1 + 0.2 * f64::from(number),
                density: 1e-9 / f64::from(number + 1),
                alpha: 1.0,
                energy_local: 1e21,
                reward: -f64::from(number) / 3.0,
                upload_slot: (number % 3 == 0).then_some(number),
                ..TaskRow::default()
            };
            rows.serialize(row).unwrap();
        }
        rows.into_inner().unwrap()
    }

    /// Rows pass from one format to the other and back, bit by bit.
    #[test]
    fn what_was_written_is_read_in_either_format() {
        let home = tempfile::tempdir().unwrap();
        let runs = [(record("a, \"b\""), 3_000), (record("c"), 0), (record("d"), 7)];
        let table = |folder: &Path, format| {
            std::fs::create_dir(folder).unwrap();
            TaskTable::create(folder, format).unwrap()
        };
        for format in TaskFormat::ALL {
            let folder = home.path().join(format!("{}-written", format.file()));
            let mut written = table(&folder, format);
            for (record, count) in &runs {
                let path = home.path().join("rows");
                let mut file = TaskFile::create(&path, record).unwrap();
                let rows = rows(*count);
                // Parts end with lines.
                let cut = rows[..rows.len() / 2]
                    .iter()
                    .rposition(|&byte| byte == b'\n')
                    .map_or(0, |at| at + 1);
                file.add(&rows[..cut]).unwrap();
                file.add(&rows[cut..]).unwrap();
                assert!(file.finish().holds(&path));
                written.copy(&path).unwrap();
            }
            written.finish().unwrap();
            assert_eq!(TaskFormat::of(&folder), Some(format));
            for other in TaskFormat::ALL {
                let again = home.path().join(format!("{}-{}", format.file(), other.file()));
                let mut copied = table(&again, other);
                let mut reader = TaskReader::open(&folder, home.path()).unwrap().unwrap();
                for (record, count) in &runs {
                    reader
                        .run(record, (*count).into(), |rows| {
                            copied.add(rows).unwrap();
                            Ok(())
                        })
                        .unwrap();
                    reader.pause();
                }
                let missing = reader.run(&runs[0].0, 1, |_| Ok(())).unwrap_err().to_string();
                assert!(
                    missing.contains("tasks of a, \"b\" in s (x=0.5) are missing"),
                    "{missing}"
                );
                copied.finish().unwrap();
                if format == other {
                    let bytes = |folder: &Path| std::fs::read(folder.join(format.file())).unwrap();
                    assert!(bytes(&folder) == bytes(&again));
                }
            }
        }
        let of = |from: &str| {
            std::fs::read(home.path().join(format!("{from}-tasks.csv/tasks.csv"))).unwrap()
        };
        assert!(of("tasks.csv") == of("tasks.parquet"));
        assert_eq!(TaskReader::open(home.path(), home.path()).unwrap().map(drop), None);
    }
}
