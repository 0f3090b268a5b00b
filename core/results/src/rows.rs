//! Rows: an episode as the tables of a run folder have it, and the row file in which a run grows.
//!
//! A row file is a sequence of blocks: a line with the lengths of its parts in bytes, then so many
//! bytes of each of the [`TABLES`], without their headers. So a run that is in
//! progress needs a few kilobytes of memory, and making a run folder of finished runs is
//! copying. (A file per run and table would multiply the number of files of a batch of thousands; one
//! table for all runs would mix the rows of those that run at the same time.)

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Error as IoError, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::files::{hexadecimal, sha256_of_file};
use crate::group::Grouping;
use crate::metric::{EpisodeMetrics, EpisodeMobility, EpisodeResult};
use crate::record::RunRecord;
use crate::{Error, table};

/// The tables of a run folder, in the order of a block's parts.
pub(crate) const TABLES: [&str; 6] = [
    "episodes.csv",
    Grouping::PowerMode.file(),
    "delays.csv",
    "timing.csv",
    Grouping::Class.file(),
    MOBILITY,
];
/// Every run folder has the first so many; the others are there if a run has rows for them.
const ALWAYS: usize = 4;
/// The table of mobility and rates.
pub(crate) const MOBILITY: &str = "mobility.csv";

/// The columns that state to which episode a row belongs.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Key<'r> {
    scenario: &'r str,
    policy: &'r str,
    sweep: &'r str,
    episode: u64,
}

/// The other column of `delays.csv`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Delays {
    /// Tasks completed in 1, 2, … slots, separated by blanks.
    done_by_delay: String,
}

impl Delays {
    pub(crate) fn new(counts: &[u64]) -> Self {
        let counts: Vec<String> = counts.iter().map(u64::to_string).collect();
        Self { done_by_delay: counts.join(" ") }
    }

    /// The counts; `None` if the cell is malformed.
    pub(crate) fn counts(&self) -> Option<Vec<u64>> {
        self.done_by_delay.split_whitespace().map(|count| count.parse().ok()).collect()
    }
}

/// The other columns of `timing.csv`.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Timing {
    pub(crate) decisions: u64,
    pub(crate) decide_ns: u64,
}

/// The columns of each table, in order.
pub(crate) fn columns() -> [Vec<String>; 6] {
    let (key, metrics) = (table::columns::<Key<'_>>(), table::columns::<EpisodeMetrics>());
    let with_key = |own: &[String]| [&key[..], own].concat();
    let of_groups =
        |grouping: Grouping| [&key[..], &[grouping.column().to_owned()], &metrics].concat();
    [
        with_key(&metrics),
        of_groups(Grouping::PowerMode),
        with_key(&table::columns::<Delays>()),
        with_key(&table::columns::<Timing>()),
        of_groups(Grouping::Class),
        with_key(&table::columns::<EpisodeMobility>()),
    ]
}

/// The rows of a run's `episodes`, of which the first has the number `first`, in each table.
fn block(
    record: &RunRecord,
    first: u64,
    episodes: &[EpisodeResult],
) -> Result<[Vec<u8>; 6], csv::Error> {
    let begin = || {
        let bytes = Vec::with_capacity(160 * episodes.len());
        csv::WriterBuilder::new().has_headers(false).from_writer(bytes)
    };
    let [mut overall, mut modes, mut delays, mut timing, mut classes, mut mobility] =
        TABLES.map(|_| begin());
    let sweep = record.point();
    let (scenario, policy) = (record.scenario.as_str(), record.policy.as_str());
    for (episode, result) in (first..).zip(episodes) {
        let key = Key { scenario, policy, sweep: &sweep, episode };
        overall.serialize((key, &result.overall))?;
        for (grouping, table) in
            [(Grouping::PowerMode, &mut modes), (Grouping::Class, &mut classes)]
        {
            for (label, metrics) in record.groups(grouping).iter().zip(&result.by_group[grouping]) {
                table.serialize((key, label, metrics))?;
            }
        }
        if let Some(found) = &result.mobility {
            mobility.serialize((key, found))?;
        }
        delays.serialize((key, Delays::new(&result.done_by_delay)))?;
        let EpisodeResult { decisions, decide_ns, .. } = *result;
        timing.serialize((key, Timing { decisions, decide_ns }))?;
    }
    let bytes = |writer: csv::Writer<Vec<u8>>| {
        writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))
    };
    Ok([
        bytes(overall)?,
        bytes(modes)?,
        bytes(delays)?,
        bytes(timing)?,
        bytes(classes)?,
        bytes(mobility)?,
    ])
}

/// Episodes that are turned into rows at once.
pub(crate) const BLOCK_EPISODES: usize = 128;

/// A run's row file while the run is in progress. It is open only while a block is written, so that
/// any number of runs can be in progress.
#[derive(Debug)]
pub struct RowFile {
    path: PathBuf,
    record: RunRecord,
    /// Episodes that are not in the file yet.
    pending: Vec<EpisodeResult>,
    /// Number of the first of them.
    first: u64,
    hash: Sha256,
    bytes: u64,
}

/// A finished row file: how to notice that it was cut off or altered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowsRecord {
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its contents, in hexadecimal.
    pub sha256: String,
}

impl RowFile {
    /// Begins the row file of a run, over an earlier one.
    ///
    /// # Errors
    /// [`Error::Unwritable`].
    pub fn create(path: &Path, record: &RunRecord) -> Result<Self, Error> {
        File::create(path).map_err(unwritable(path))?;
        let (path, record) = (path.to_owned(), record.clone());
        let (pending, hash) = (Vec::new(), Sha256::new());
        Ok(Self { path, record, pending, first: 0, hash, bytes: 0 })
    }

    /// Adds the next episode.
    ///
    /// # Errors
    /// [`Error::Unwritable`]; the file is then not valid.
    pub fn add(&mut self, episode: EpisodeResult) -> Result<(), Error> {
        self.pending.push(episode);
        if self.pending.len() < BLOCK_EPISODES { Ok(()) } else { self.write() }
    }

    /// Writes the last rows.
    ///
    /// # Errors
    /// [`Error::Unwritable`].
    pub fn finish(mut self) -> Result<RowsRecord, Error> {
        if !self.pending.is_empty() {
            self.write()?;
        }
        Ok(RowsRecord { bytes: self.bytes, sha256: hexadecimal(&self.hash.finalize()) })
    }

    fn write(&mut self) -> Result<(), Error> {
        let rows = block(&self.record, self.first, &self.pending);
        let rows = rows.map_err(|error| unwritable(&self.path)(error.into()))?;
        let lengths: Vec<String> = rows.iter().map(|part| part.len().to_string()).collect();
        let text = [(lengths.join(" ") + "\n").as_bytes(), &rows.concat()].concat();
        let file = OpenOptions::new().append(true).open(&self.path);
        file.and_then(|mut file| file.write_all(&text)).map_err(unwritable(&self.path))?;
        self.hash.update(&text);
        self.bytes += text.len() as u64;
        self.first += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }
}

impl RowsRecord {
    /// True if the row file at `path` is as it was when it was finished.
    pub fn holds(&self, path: &Path) -> bool {
        let size = std::fs::metadata(path).map(|metadata| metadata.len());
        size.is_ok_and(|size| size == self.bytes)
            && sha256_of_file(path, self.bytes).is_ok_and(|sha256| sha256 == self.sha256)
    }
}

/// The tables of a new run folder.
#[derive(Debug)]
pub(crate) struct Tables {
    folder: PathBuf,
    /// `None` if it is not there yet.
    tables: [Option<BufWriter<File>>; 6],
}

impl Tables {
    /// Begins the tables, with their headers.
    pub(crate) fn create(folder: &Path) -> std::io::Result<Self> {
        let mut tables = Self { folder: folder.to_owned(), tables: Default::default() };
        (0..ALWAYS).try_for_each(|number| tables.table(number).map(drop))?;
        Ok(tables)
    }

    /// A table, which is begun if it is not there.
    fn table(&mut self, number: usize) -> std::io::Result<&mut BufWriter<File>> {
        let table = match self.tables[number].take() {
            Some(table) => table,
            None => {
                let mut table = BufWriter::new(File::create(self.folder.join(TABLES[number]))?);
                let mut writer = csv::Writer::from_writer(&mut table);
                writer.write_record(&columns()[number])?;
                writer.flush()?;
                drop(writer);
                table
            }
        };
        Ok(self.tables[number].insert(table))
    }

    /// Appends the rows of a row file.
    pub(crate) fn copy(&mut self, rows: &Path) -> std::io::Result<()> {
        let mut rows = BufReader::with_capacity(1 << 16, File::open(rows)?);
        let mut line = String::new();
        loop {
            line.clear();
            if rows.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let mut lengths = line.split_whitespace().map(str::parse);
            for number in 0..TABLES.len() {
                let length: u64 = lengths.next().and_then(Result::ok).ok_or_else(damaged)?;
                if length == 0 {
                    continue;
                }
                let table = self.table(number)?;
                let copied = std::io::copy(&mut rows.by_ref().take(length), table)?;
                if copied != length {
                    return Err(damaged());
                }
            }
        }
    }

    /// Appends the rows of `episodes` of a run, of which the first has the number `first`.
    pub(crate) fn add(
        &mut self,
        record: &RunRecord,
        first: u64,
        episodes: &[EpisodeResult],
    ) -> std::io::Result<()> {
        let rows = block(record, first, episodes)?;
        for (number, rows) in rows.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            self.table(number)?.write_all(rows)?;
        }
        Ok(())
    }

    /// Writes everything to the disk.
    pub(crate) fn finish(self) -> std::io::Result<()> {
        for table in self.tables.into_iter().flatten() {
            table.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
        }
        Ok(())
    }
}

fn damaged() -> IoError {
    IoError::other("a row file was altered")
}

fn unwritable(path: &Path) -> impl Fn(IoError) -> Error {
    move |cause| Error::Unwritable { path: path.to_owned(), cause }
}
