//! Run folders: what was run, with what, and what came out.
//!
//! ```text
//! RUN/run.json           offramp's version, and for each run its scenario, point, policy,
//!                        plugin (version, file, SHA-256), the SHA-256 of everything else it
//!                        depends on, and outcome
//! RUN/scenarios/NAME.ron the scenario as it was run
//! RUN/episodes.csv       one row per episode: the metrics
//! RUN/power-modes.csv    one row per episode and power mode: the same metrics
//! RUN/classes.csv        one row per episode and class of tasks, where there are classes
//! RUN/mobility.csv       one row per episode: mobility and rates, where devices move or rates change
//! RUN/delays.csv         one row per episode: how many tasks were completed in 1, 2, … slots
//! RUN/timing.csv         one row per episode: decisions and the time they took
//! RUN/tasks.csv          one row per task, on request; or tasks.parquet (see [`tasks`](crate::tasks))
//! ```
//!
//! All but `timing.csv` is bit-identical for the same scenario, seed and plugins. A folder is
//! completed under another name and then renamed, so it is there complete or not at all. Columns
//! are read by their names. Tables are written and read row by row: whatever their size, they take
//! a few megabytes of memory.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::group::{Grouped, Grouping, Label};
use crate::metric::{EpisodeMetrics, EpisodeMobility, EpisodeResult, Metric};
use crate::rows::{BLOCK_EPISODES, Delays, MOBILITY, TABLES, Tables, Timing, columns};
use crate::shard::Shard;
use crate::summary::Summary;
use crate::table::Table;
use crate::tasks::{TaskFormat, TaskReader, TaskTable};
use crate::{Error, files};

pub use crate::record::{Identity, PluginRecord, RunRecord, StoredRun};
pub use crate::rows::{RowFile, RowsRecord};

/// The number of this format; a folder of another is refused.
const FORMAT: u32 = 1;

/// Files into which the tables of a run folder are converted for data frames: the runs, and then each
/// table, where a run has rows for it. A folder that is replaced loses them, as they are of its earlier
/// runs.
pub const PARQUET: [&str; 7] = [
    "runs.parquet",
    "episodes.parquet",
    "power-modes.parquet",
    "delays.parquet",
    "timing.parquet",
    "classes.parquet",
    "mobility.parquet",
];

/// The scenarios of a run folder as they were run: name and text, by name.
pub type Scenarios = Vec<(String, String)>;

/// Contents of `run.json`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct RunFile {
    format: u32,
    offramp: String,
    /// Which part of a batch it is, unless it is all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shard: Option<Shard>,
    runs: Vec<RunRecord>,
}

/// A run folder that grows under another name, and appears once it is complete.
#[derive(Debug)]
pub struct NewRunFolder {
    path: PathBuf,
    growing: tempfile::TempDir,
    tables: Tables,
    tasks: Option<TaskTable>,
    runs: Vec<RunRecord>,
}

impl NewRunFolder {
    /// Begins the run folder `path` in a new folder inside `home`, which must be on the same file
    /// system.
    ///
    /// # Errors
    /// [`Error::Unwritable`]; nothing is left behind.
    pub fn begin(path: &Path, home: &Path) -> Result<Self, Error> {
        let unwritable = |cause| Error::Unwritable { path: path.to_owned(), cause };
        let growing = tempfile::Builder::new().prefix(".offramp-").tempdir_in(home);
        let growing = growing.map_err(unwritable)?;
        let tables = Tables::create(growing.path()).map_err(unwritable)?;
        Ok(Self { path: path.to_owned(), growing, tables, tasks: None, runs: Vec::new() })
    }

    /// The same folder, with the tasks of its runs; each run is followed by its
    /// [tasks](Self::add_tasks) then.
    ///
    /// # Errors
    /// [`Error::Unwritable`].
    pub fn with_tasks(mut self, format: TaskFormat) -> Result<Self, Error> {
        let table = TaskTable::create(self.growing.path(), format);
        self.tasks = Some(table.map_err(|cause| self.unwritable(cause))?);
        Ok(self)
    }

    /// Adds the tasks of the run that was added last, from its [`TaskFile`](crate::tasks::TaskFile).
    ///
    /// # Errors
    /// [`Error::Unwritable`].
    pub fn add_tasks(&mut self, rows: &Path) -> Result<(), Error> {
        let copied = self.tasks.as_mut().map_or(Ok(()), |table| table.copy(rows));
        copied.map_err(|cause| self.unwritable(cause))
    }

    /// Adds a run with the rows of its row file; `None` if it failed.
    ///
    /// # Errors
    /// [`Error::Unwritable`].
    pub fn add(&mut self, run: RunRecord, rows: Option<&Path>) -> Result<(), Error> {
        if let Some(rows) = rows {
            self.tables.copy(rows).map_err(|cause| self.unwritable(cause))?;
        }
        self.runs.push(run);
        Ok(())
    }

    /// Adds a run that `reader` is at, and `tasks` if its tasks are kept; returns it with its statistics.
    ///
    /// # Errors
    /// [`Error::Unwritable`], or [`Error::Unreadable`] with the fault in the folder that is read.
    pub(crate) fn add_from(
        &mut self,
        reader: &mut RunFolder,
        tasks: Option<&mut TaskReader>,
    ) -> Result<Option<StoredRun>, Error> {
        let Some(record) = reader.next_run() else { return Ok(None) };
        let mut summary = Summary::new();
        let (mut first, mut block, mut count) = (0, Vec::new(), 0);
        while let Some(episode) = reader.next_episode()? {
            summary.add(&episode);
            count += episode.overall.tasks;
            block.push(episode);
            if block.len() == BLOCK_EPISODES || summary.episodes() == record.episodes {
                let added = self.tables.add(&record, first, &block);
                added.map_err(|cause| self.unwritable(cause))?;
                first += block.len() as u64;
                block.clear();
            }
        }
        if let (Some(table), Some(tasks)) = (&mut self.tasks, tasks) {
            let unwritable = |cause| Error::Unwritable { path: self.path.clone(), cause };
            tasks.run(&record, count, |rows| table.add(rows).map_err(unwritable))?;
        }
        self.runs.push(record.clone());
        Ok(Some(StoredRun { record, summary }))
    }

    /// Completes the folder and moves it to its path, where nothing or an empty folder must be.
    /// `shard` is the part of a batch that the runs are, `None` for all of it.
    ///
    /// # Errors
    /// [`Error::Unwritable`]; nothing has changed then.
    pub fn finish(self, scenarios: &Scenarios, shard: Option<Shard>) -> Result<(), Error> {
        self.complete(scenarios, shard, |new, path| {
            // An empty folder of the user's may stand there.
            let _ = std::fs::remove_dir(path);
            std::fs::rename(new, path)
        })
    }

    /// Completes the folder and replaces the one at its path, which stays whole until then. Files in it
    /// that this folder does not have remain, such as pages and notes.
    ///
    /// # Errors
    /// [`Error::Unwritable`]; nothing has changed then.
    pub fn replace(self, scenarios: &Scenarios, shard: Option<Shard>) -> Result<(), Error> {
        self.complete(scenarios, shard, |new, path| {
            files::exchange(new, path)?;
            keep_others(new, path)
        })
    }

    fn complete(
        self,
        scenarios: &Scenarios,
        shard: Option<Shard>,
        put: fn(&Path, &Path) -> std::io::Result<()>,
    ) -> Result<(), Error> {
        let Self { path, growing, tables, tasks, runs } = self;
        let file =
            RunFile { format: FORMAT, offramp: env!("CARGO_PKG_VERSION").to_owned(), shard, runs };
        complete(growing.path(), scenarios, &file, tables, tasks)
            .and_then(|()| put(growing.path(), &path))
            .map_err(|cause| Error::Unwritable { path, cause })
    }

    fn unwritable(&self, cause: std::io::Error) -> Error {
        Error::Unwritable { path: self.path.clone(), cause }
    }
}

/// Moves to `folder` what it lacks of `old`.
fn keep_others(old: &Path, folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(old)? {
        let entry = entry?;
        let kept = folder.join(entry.file_name());
        let name = entry.file_name();
        let of_tasks = TaskFormat::ALL.map(TaskFormat::file);
        let is_of_old_runs =
            TABLES.iter().chain(&PARQUET).chain(&of_tasks).any(|file| name == **file);
        if !kept.exists() && !is_of_old_runs {
            std::fs::rename(entry.path(), kept)?;
        }
    }
    Ok(())
}

fn complete(
    folder: &Path,
    scenarios: &Scenarios,
    file: &RunFile,
    tables: Tables,
    tasks: Option<TaskTable>,
) -> std::io::Result<()> {
    let scenarios_folder = folder.join("scenarios");
    std::fs::create_dir(&scenarios_folder)?;
    for (name, text) in scenarios {
        files::write_synced(&scenarios_folder.join(format!("{name}.ron")), &[text.as_bytes()])?;
    }
    tables.finish()?;
    tasks.map_or(Ok(()), TaskTable::finish)?;
    let text = serde_json::to_string_pretty(file)? + "\n";
    files::write_synced(&folder.join("run.json"), &[text.as_bytes()])?;
    make_readable(folder)
}

/// A temporary folder is private; a run folder is not.
#[cfg(unix)]
fn make_readable(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_readable(_: &Path) -> std::io::Result<()> {
    Ok(())
}

/// True if a complete run folder is at `path`.
pub fn is_complete(path: &Path) -> bool {
    path.join("run.json").exists()
}

/// Fails if something other than an empty folder is at `path`.
///
/// # Errors
/// [`Error::Taken`].
pub fn check_free(path: &Path) -> Result<(), Error> {
    let empty = std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    // A folder can't take the place of a link, wherever that leads.
    let link = path.is_symlink();
    let taken = link || path.exists() && !empty;
    if taken { Err(Error::Taken { path: path.to_owned() }) } else { Ok(()) }
}

/// True if the run folder at `path` has exactly these runs and scenarios, in this order.
///
/// # Errors
/// [`Error::Unreadable`].
pub fn consists_of<'r>(
    path: &Path,
    runs: impl Iterator<Item = &'r RunRecord>,
    scenarios: &Scenarios,
) -> Result<bool, Error> {
    let mut wanted = scenarios.clone();
    wanted.sort();
    let there = read_run_file(path)?.runs;
    Ok(there.iter().eq(runs) && read_scenarios(path)? == wanted)
}

/// The scenarios of a run folder, by name.
pub(crate) fn read_scenarios(folder: &Path) -> Result<Scenarios, Error> {
    let path = folder.join("scenarios");
    let read = || -> std::io::Result<Scenarios> {
        let mut scenarios = Vec::new();
        for entry in std::fs::read_dir(&path)? {
            let file = entry?.path();
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            scenarios.push((name, std::fs::read_to_string(&file)?));
        }
        scenarios.sort();
        Ok(scenarios)
    };
    read().map_err(|cause| Error::Unreadable { path: path.clone(), cause: cause.to_string() })
}

/// Reads a run folder.
///
/// # Errors
/// [`Error::Unreadable`] names the file and what is wrong in it.
pub fn read(folder: &Path) -> Result<Vec<StoredRun>, Error> {
    let mut folder = RunFolder::open(folder)?;
    let mut runs = Vec::new();
    while let Some(record) = folder.next_run() {
        let mut summary = Summary::new();
        while let Some(episode) = folder.next_episode()? {
            summary.add(&episode);
        }
        runs.push(StoredRun { record, summary });
    }
    Ok(runs)
}

/// A run folder that is read run by run and episode by episode.
#[derive(Debug)]
pub struct RunFolder {
    /// Which part of a batch it is, unless it is all of it.
    pub shard: Option<Shard>,
    runs: std::vec::IntoIter<RunRecord>,
    /// The run that is read: its record, its point, and its next episode.
    current: Option<(RunRecord, String, u64)>,
    overall: KeyedTable,
    modes: KeyedTable,
    /// Earlier versions of offramp did not write it.
    delays: Option<KeyedTable>,
    timing: KeyedTable,
    /// These are there if a run has rows for them.
    classes: Option<KeyedTable>,
    mobility: Option<KeyedTable>,
}

impl RunFolder {
    /// Opens the run folder at `path`.
    ///
    /// # Errors
    /// [`Error::Unreadable`] if it is not one.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let RunFile { shard, runs, .. } = read_run_file(path)?;
        let columns = columns();
        let open = |number: usize| KeyedTable::open(&path.join(TABLES[number]), &columns[number]);
        let open_if_there = |number: usize| -> Result<Option<KeyedTable>, Error> {
            path.join(TABLES[number]).exists().then(|| open(number)).transpose()
        };
        let folder = Self {
            shard,
            current: None,
            overall: open(0)?,
            modes: open(1)?,
            delays: open_if_there(2)?,
            timing: open(3)?,
            classes: open_if_there(4)?,
            mobility: open_if_there(5)?,
            runs: runs.into_iter(),
        };
        let any = |has: fn(&RunRecord) -> bool| {
            folder.records().iter().any(|run| run.episodes > 0 && has(run))
        };
        for (name, is_missing) in [
            (
                Grouping::Class.file(),
                folder.classes.is_none() && any(|run| !run.classes.is_empty()),
            ),
            (MOBILITY, folder.mobility.is_none() && any(|run| run.moves)),
        ] {
            if is_missing {
                let cause = "the file is missing".to_owned();
                return Err(Error::Unreadable { path: path.join(name), cause });
            }
        }
        Ok(folder)
    }

    /// Number of runs that have not been read.
    pub fn remaining(&self) -> usize {
        self.runs.len()
    }

    /// The next run; its episodes follow.
    pub fn next_run(&mut self) -> Option<RunRecord> {
        let record = self.runs.next()?;
        let point = record.point();
        self.current = Some((record.clone(), point, 0));
        Some(record)
    }

    /// The next episode of the run; `None` after the last.
    ///
    /// # Errors
    /// [`Error::Unreadable`] with the row that is missing or malformed.
    pub fn next_episode(&mut self) -> Result<Option<EpisodeResult>, Error> {
        let Some((record, point, next)) = &mut self.current else { return Ok(None) };
        if *next == record.episodes {
            return Ok(None);
        }
        let key = RowKey { record, point, episode: *next };
        let overall = self.overall.metrics(&key, None)?;
        let mut by_group = Grouped::default();
        for (grouping, table) in
            [(Grouping::PowerMode, Some(&mut self.modes)), (Grouping::Class, self.classes.as_mut())]
        {
            let Some(table) = table else { continue };
            for label in record.groups(grouping) {
                by_group[grouping].push(table.metrics(&key, Some(label))?);
            }
        }
        let mobility = match &mut self.mobility {
            Some(table) if record.moves => Some(Box::new(table.mobility(&key)?)),
            _ => None,
        };
        let done_by_delay = match &mut self.delays {
            Some(delays) => delays.counts(&key)?,
            None => Vec::new(),
        };
        let Timing { decisions, decide_ns } = self.timing.next(&key, None)?;
        *next += 1;
        Ok(Some(EpisodeResult { overall, by_group, done_by_delay, decisions, decide_ns, mobility }))
    }

    /// The runs that have not been read.
    pub fn records(&self) -> &[RunRecord] {
        self.runs.as_slice()
    }

    /// Closes its files until the next episode is asked for.
    pub fn pause(&mut self) {
        let Self { overall, modes, delays, timing, classes, mobility, .. } = self;
        let optional = [delays, classes, mobility].into_iter().flatten();
        for table in [overall, modes, timing].into_iter().chain(optional) {
            table.table.pause();
        }
    }
}

fn read_run_file(folder: &Path) -> Result<RunFile, Error> {
    let path = folder.join("run.json");
    let unreadable = |cause: String| Error::Unreadable { path: path.clone(), cause };
    let text = std::fs::read_to_string(&path).map_err(|cause| unreadable(cause.to_string()))?;
    let file: RunFile =
        serde_json::from_str(&text).map_err(|cause| unreadable(cause.to_string()))?;
    match file.format {
        FORMAT => Ok(file),
        other => Err(unreadable(format!("it has format {other}, this offramp reads {FORMAT}"))),
    }
}

/// Expected values of the first columns of a row.
struct RowKey<'r> {
    record: &'r RunRecord,
    point: &'r str,
    episode: u64,
}

/// A table of a run folder, in the order in which it was written.
#[derive(Debug)]
struct KeyedTable {
    table: Table,
    /// The places of scenario, policy, sweep, episode and group.
    places: [usize; 5],
}

impl KeyedTable {
    fn open(path: &Path, columns: &[String]) -> Result<Self, Error> {
        let table = Table::open(path, columns)?;
        let [scenario, policy, sweep, episode] =
            ["scenario", "policy", "sweep", "episode"].map(|name| table.place(name));
        let group = Grouping::ALL.map(|grouping| table.place(grouping.column()));
        // A table has one of these columns at most.
        let group = group.into_iter().min().unwrap_or(usize::MAX);
        Ok(Self { table, places: [scenario, policy, sweep, episode, group] })
    }

    /// The metrics of [`KeyedTable::next`], which are finite numbers.
    fn metrics(
        &mut self,
        key: &RowKey<'_>,
        group: Option<Label<'_>>,
    ) -> Result<EpisodeMetrics, Error> {
        let metrics: EpisodeMetrics = self.next(key, group)?;
        self.finite(key, metrics.not_finite())?;
        Ok(metrics)
    }

    /// The quantities of [`KeyedTable::next`] in the table of mobility, which are finite numbers.
    fn mobility(&mut self, key: &RowKey<'_>) -> Result<EpisodeMobility, Error> {
        let mobility: EpisodeMobility = self.next(key, None)?;
        self.finite(key, mobility.not_finite())?;
        Ok(mobility)
    }

    /// Fails if there is a value that is not finite.
    fn finite(&self, key: &RowKey<'_>, found: Option<(&Metric, f64)>) -> Result<(), Error> {
        let Some((metric, value)) = found else { return Ok(()) };
        let RowKey { record, episode, .. } = key;
        let title = record.title();
        Err(self.table.fault(format!("`{}` is {value} in episode {episode} of {title}", metric.id)))
    }

    /// The counts of [`KeyedTable::next`] in the table of delays.
    fn counts(&mut self, key: &RowKey<'_>) -> Result<Vec<u64>, Error> {
        let delays: Delays = self.next(key, None)?;
        delays.counts().ok_or_else(|| {
            let RowKey { record, episode, .. } = key;
            let cause = format!(
                "`done_by_delay` is not a list of counts in episode {episode} of {}",
                record.title()
            );
            self.table.fault(cause)
        })
    }

    /// The next row, which must be that of `key` and, in the table of a grouping, of `group`.
    fn next<R: serde::de::DeserializeOwned>(
        &mut self,
        key: &RowKey<'_>,
        group: Option<Label<'_>>,
    ) -> Result<R, Error> {
        let RowKey { record, point, episode } = key;
        let [scenario, policy, sweep, number, of_group] = self.places;
        if let Some(row) = self.table.next()?
            && row.cell(scenario) == record.scenario
            && row.cell(policy) == record.policy
            && row.cell(sweep) == *point
            && row.cell(number).parse() == Ok(*episode)
            && group.is_none_or(|group| group.is(row.cell(of_group)))
        {
            return row.read();
        }
        Err(self.table.fault(format!("episode {episode} of {} is missing", record.title())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 6] = TABLES;

    fn record() -> RunRecord {
        RunRecord {
            scenario: "small".to_owned(),
            policy: "a, \"b\"\nc".to_owned(),
            sweep: vec![("x".to_owned(), "0.5".to_owned())],
            power_modes: vec![0.25, 1.0],
            classes: vec!["video, live".to_owned(), "0.5".to_owned(), "c".to_owned()],
            moves: true,
            episodes: 300,
            ..RunRecord::default()
        }
    }

    fn episode(number: u64) -> EpisodeResult {
        let metrics = |qoe| EpisodeMetrics {
            tasks: 7,
            devices: 2.0,
            qoe: Some(qoe),
            ..EpisodeMetrics::default()
        };
        let qoe = 0.1 + 0.2 * number as f64;
        EpisodeResult {
            overall: metrics(qoe),
            by_group: Grouped::new(|grouping| match grouping {
                Grouping::PowerMode => vec![metrics(qoe - 1.0), metrics(qoe + 0.1)],
                Grouping::Class => [2.0, 3.0, 5.0].map(|part| metrics(qoe / part)).into(),
            }),
            done_by_delay: vec![0; number as usize % 3].into_iter().chain([number, 7]).collect(),
            decisions: 7,
            decide_ns: 1_750 + number,
            mobility: Some(Box::new(EpisodeMobility {
                device_minutes: 1.0 / (1.0 + number as f64),
                handovers: Some(number),
                ..EpisodeMobility::default()
            })),
        }
    }

    fn stored(parent: &Path) -> PathBuf {
        let scenarios = vec![("small".to_owned(), "()".to_owned())];
        let rows = parent.join("rows");
        let mut file = RowFile::create(&rows, &record()).unwrap();
        (0..300).for_each(|number| file.add(episode(number)).unwrap());
        let whole = file.finish().unwrap();
        assert!(whole.holds(&rows));
        let path = parent.join("run");
        let mut folder = NewRunFolder::begin(&path, parent).unwrap();
        folder.add(record(), Some(&rows)).unwrap();
        folder.add(RunRecord { error: Some("why".into()), ..RunRecord::default() }, None).unwrap();
        folder.finish(&scenarios, None).unwrap();
        // One byte less, or another one, is noticed.
        let mut bytes = std::fs::read(&rows).unwrap();
        bytes[100] ^= 1;
        std::fs::write(&rows, &bytes).unwrap();
        assert!(!whole.holds(&rows));
        std::fs::write(&rows, &bytes[1..]).unwrap();
        assert!(!whole.holds(&rows));
        path
    }

    /// The episodes of the first run of a folder.
    fn episodes(path: &Path) -> Result<Vec<EpisodeResult>, Error> {
        let mut folder = RunFolder::open(path)?;
        folder.next_run();
        let mut episodes = Vec::new();
        while let Some(episode) = folder.next_episode()? {
            episodes.push(episode);
            folder.pause();
        }
        Ok(episodes)
    }

    #[test]
    fn what_was_written_is_read() {
        let parent = tempfile::tempdir().unwrap();
        let path = stored(parent.path());
        assert_eq!(episodes(&path).unwrap(), (0..300).map(episode).collect::<Vec<_>>());
        let runs = read(&path).unwrap();
        assert_eq!((&runs[0].record, runs[0].summary.episodes()), (&record(), 300));
        assert_eq!((runs[1].record.error.as_deref(), runs[1].summary.episodes()), (Some("why"), 0));
        let header = std::fs::read_to_string(path.join("power-modes.csv")).unwrap();
        assert!(header.starts_with("scenario,policy,sweep,episode,alpha,tasks,devices,qoe,"));
        let header = std::fs::read_to_string(path.join("classes.csv")).unwrap();
        assert!(header.starts_with("scenario,policy,sweep,episode,class,tasks,devices,qoe,"));
        // Without the tables that only these runs have, it is not whole.
        for name in ["classes.csv", "mobility.csv"] {
            std::fs::rename(path.join(name), path.join("away")).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.ends_with(&format!("{name}: the file is missing")), "{error}");
            std::fs::rename(path.join("away"), path.join(name)).unwrap();
        }
        assert!(matches!(check_free(&path).unwrap_err(), Error::Taken { .. }));
        assert!(is_complete(&path));
    }

    /// A folder replaces another as a whole; finishing over one changes nothing.
    #[test]
    fn a_folder_is_replaced_only_on_request() {
        let parent = tempfile::tempdir().unwrap();
        let path = stored(parent.path());
        let failed = |error: &str| {
            let mut folder = NewRunFolder::begin(&path, parent.path()).unwrap();
            let run = RunRecord { error: Some(error.into()), ..RunRecord::default() };
            folder.add(run, None).unwrap();
            folder
        };
        failed("x").finish(&Vec::new(), None).unwrap_err();
        // What others have put there stays.
        std::fs::write(path.join("notes.txt"), "mine").unwrap();
        std::fs::create_dir(path.join("figures")).unwrap();
        assert_eq!(read(&path).unwrap().len(), 2);
        failed("y").replace(&Vec::new(), None).unwrap();
        assert_eq!(read(&path).unwrap()[0].record.error.as_deref(), Some("y"));
        assert_eq!(std::fs::read_to_string(path.join("notes.txt")).unwrap(), "mine");
        assert!(path.join("figures").is_dir() && path.join("episodes.csv").exists());
        let mut left: Vec<_> = std::fs::read_dir(parent.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["rows", "run"]);
    }

    /// The folder's episodes after `change` was made to each row's cells.
    fn changed(change: impl Fn(Vec<String>) -> Vec<String>) -> Result<Vec<EpisodeResult>, Error> {
        let parent = tempfile::tempdir().unwrap();
        let path = stored(parent.path());
        for name in NAMES {
            let file = path.join(name);
            let mut options = csv::ReaderBuilder::new();
            let rows: Vec<Vec<String>> = options
                .has_headers(false)
                .from_path(&file)
                .unwrap()
                .records()
                .map(|row| change(row.unwrap().iter().map(str::to_owned).collect()))
                .collect();
            let mut writer = csv::Writer::from_path(&file).unwrap();
            rows.iter().for_each(|row| writer.write_record(row).unwrap());
        }
        episodes(&path)
    }

    #[test]
    fn columns_are_found_by_name() {
        let reordered = changed(|row| row.into_iter().rev().chain(["more".to_owned()]).collect());
        assert_eq!(reordered.unwrap().len(), 300);
        let renamed = |row: Vec<String>| {
            row.into_iter().map(|cell| if cell == "qoe" { "joy".into() } else { cell }).collect()
        };
        let missing = changed(renamed).unwrap_err().to_string();
        assert!(missing.ends_with("episodes.csv: it has no column `qoe`"), "{missing}");
    }
}
