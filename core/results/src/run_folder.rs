//! Run folders: what was run, with what, and what came out.
//!
//! ```text
//! RUN/run.json           offramp's version, and for each run its scenario, point, policy,
//!                        plugin (version, file, SHA-256) and outcome
//! RUN/scenarios/NAME.ron the scenario as it was run
//! RUN/episodes.csv       one row per episode: the metrics
//! RUN/power-modes.csv    one row per episode and power mode: the same metrics
//! RUN/timing.csv         one row per episode: decisions and the time they took
//! ```
//!
//! All but `timing.csv` is bit-identical for the same scenario, seed and plugins. A folder is
//! completed under another name and then renamed, so it is there complete or not at all. Columns
//! are read by their names.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::metric::{EpisodeMetrics, EpisodeResult, Metric};
use crate::shard::Shard;
use crate::statistics::MeanSd;
use crate::{Error, table};

/// The number of this format; a folder of another is refused.
const FORMAT: u32 = 1;

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

/// The identity of a run: a policy at a point of a scenario.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The scenario's name.
    pub scenario: String,
    /// The policy's label in the scenario.
    pub policy: String,
    /// The seed of all randomness.
    pub seed: u64,
    /// The point of the sweep: field and value, in the sweep's order.
    pub sweep: Vec<(String, String)>,
    /// The power modes' α, in the order of `power-modes.csv`.
    pub power_modes: Vec<f64>,
    /// Number of episodes; 0 if the run failed.
    pub episodes: u64,
    /// The plugin that decided.
    pub plugin: PluginRecord,
    /// The reason, if the run failed.
    pub error: Option<String>,
}

/// The plugin that a run used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PluginRecord {
    /// The policy's name among the plugins.
    pub policy: String,
    /// Its crate.
    pub name: String,
    /// The version of its crate.
    pub version: String,
    /// The name of its file.
    pub file: String,
    /// SHA-256 of its file.
    pub sha256: String,
}

/// A stored run: what was run, and its episodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredRun {
    /// The identity of the run.
    pub record: RunRecord,
    /// Its episodes in order; empty if it failed.
    pub episodes: Vec<EpisodeResult>,
}

/// The columns that state to which episode a row belongs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Key {
    scenario: String,
    policy: String,
    sweep: String,
    episode: usize,
}

/// The columns of `power-modes.csv` that state to which episode and power mode a row belongs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct ModeKey {
    scenario: String,
    policy: String,
    sweep: String,
    episode: usize,
    alpha: f64,
}

/// The other columns of `timing.csv`.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Timing {
    decisions: u64,
    decide_ns: u64,
}

impl RunRecord {
    /// The point of the sweep as one text, `field=value; field=value`; empty outside a sweep.
    pub fn point(&self) -> String {
        let parts: Vec<_> =
            self.sweep.iter().map(|(field, value)| format!("{field}={value}")).collect();
        parts.join("; ")
    }

    fn key(&self, episode: usize) -> Key {
        let (scenario, policy) = (self.scenario.clone(), self.policy.clone());
        Key { scenario, policy, sweep: self.point(), episode }
    }
}

impl Key {
    fn of_mode(&self, alpha: f64) -> ModeKey {
        let Self { scenario, policy, sweep, episode } = self.clone();
        ModeKey { scenario, policy, sweep, episode, alpha }
    }
}

impl StoredRun {
    /// Mean and standard deviation of a metric over the episodes.
    pub fn mean_sd(&self, metric: &Metric) -> MeanSd {
        MeanSd::of(self.episodes.iter().filter_map(|episode| metric.of(episode)))
    }

    /// The same in one power mode, by its number in [`RunRecord::power_modes`]; `None` if the
    /// metric is not defined by power mode, or the mode does not exist.
    pub fn mean_sd_of_mode(&self, mode: usize, metric: &Metric) -> Option<MeanSd> {
        let value = |episode: &EpisodeResult| metric.of_mode(episode.by_mode.get(mode)?);
        let values: Vec<f64> = self.episodes.iter().map(value).collect::<Option<_>>()?;
        Some(MeanSd::of(values.into_iter()))
    }
}

/// A run folder that has been claimed and will appear once it is complete.
#[derive(Debug)]
pub struct NewRunFolder {
    path: PathBuf,
}

impl NewRunFolder {
    /// Claims the folder `path`: fails before anything is computed if it could not be written
    /// afterwards. Nothing is left behind until [`NewRunFolder::finish`].
    ///
    /// # Errors
    /// [`Error::Taken`] if it already exists, [`Error::Unwritable`] if its parent can't be
    /// written.
    pub fn begin(path: &Path) -> Result<Self, Error> {
        let empty = std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
        if path.exists() && !empty {
            return Err(Error::Taken { path: path.to_owned() });
        }
        let new = Self { path: path.to_owned() };
        new.growing()?;
        Ok(new)
    }

    /// A new folder beside `path`, in which it grows.
    fn growing(&self) -> Result<tempfile::TempDir, Error> {
        let unwritable = |cause| Error::Unwritable { path: self.path.clone(), cause };
        let parent = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        std::fs::create_dir_all(parent).map_err(unwritable)?;
        tempfile::Builder::new().prefix(".offramp-").tempdir_in(parent).map_err(unwritable)
    }

    /// Writes everything, then moves the folder into place; returns its path. `shard` is the part
    /// of a batch that `runs` are, `None` for all of it.
    ///
    /// # Errors
    /// [`Error::Unwritable`]; nothing is there then.
    pub fn finish(
        self,
        scenarios: &Scenarios,
        shard: Option<Shard>,
        runs: &[StoredRun],
    ) -> Result<PathBuf, Error> {
        let growing = self.growing()?;
        let path = self.path;
        let unwritable = |cause| Error::Unwritable { path: path.clone(), cause };
        write_all(growing.path(), scenarios, shard, runs).map_err(unwritable)?;
        // An empty folder of the user's may stand there; a temporary one is private.
        let _ = std::fs::remove_dir(&path);
        let whole = growing.keep();
        make_readable(&whole).map_err(unwritable)?;
        if let Err(cause) = std::fs::rename(&whole, &path) {
            let _ = std::fs::remove_dir_all(&whole);
            return Err(unwritable(cause));
        }
        Ok(path)
    }
}

#[cfg(unix)]
fn make_readable(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_readable(_: &Path) -> std::io::Result<()> {
    Ok(())
}

fn write_all(
    folder: &Path,
    scenarios: &Scenarios,
    shard: Option<Shard>,
    runs: &[StoredRun],
) -> std::io::Result<()> {
    std::fs::create_dir(folder.join("scenarios"))?;
    for (name, text) in scenarios {
        std::fs::write(folder.join("scenarios").join(format!("{name}.ron")), text)?;
    }
    let file = RunFile {
        format: FORMAT,
        offramp: env!("CARGO_PKG_VERSION").to_owned(),
        shard,
        runs: runs.iter().map(|run| run.record.clone()).collect(),
    };
    std::fs::write(folder.join("run.json"), serde_json::to_string_pretty(&file)? + "\n")?;

    let mut episodes = writer::<Key, EpisodeMetrics>(folder, "episodes.csv")?;
    let mut modes = writer::<ModeKey, EpisodeMetrics>(folder, "power-modes.csv")?;
    let mut timing = writer::<Key, Timing>(folder, "timing.csv")?;
    for run in runs {
        for (number, episode) in run.episodes.iter().enumerate() {
            let key = run.record.key(number);
            episodes.serialize((&key, &episode.overall))?;
            for (&alpha, metrics) in run.record.power_modes.iter().zip(&episode.by_mode) {
                modes.serialize((key.of_mode(alpha), metrics))?;
            }
            let EpisodeResult { decisions, decide_ns, .. } = *episode;
            timing.serialize((&key, Timing { decisions, decide_ns }))?;
        }
    }
    episodes.flush()?;
    modes.flush()?;
    timing.flush()
}

/// Begins a table with the columns of a `K` and of an `R`.
fn writer<K, R>(folder: &Path, name: &str) -> std::io::Result<csv::Writer<std::fs::File>>
where
    K: Default + Serialize,
    R: Default + Serialize,
{
    let file = std::fs::File::create(folder.join(name))?;
    // A row is two structures, whose names `csv` can't turn into a header by itself.
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(file);
    writer.write_record([table::columns::<K>(), table::columns::<R>()].concat())?;
    Ok(writer)
}

/// Reads a run folder.
///
/// # Errors
/// [`Error::Unreadable`] names the file and what is wrong in it.
pub fn read(folder: &Path) -> Result<Vec<StoredRun>, Error> {
    read_part(folder).map(|(_, runs)| runs)
}

/// Reads a run folder, with the part of a batch that it is.
pub(crate) fn read_part(folder: &Path) -> Result<(Option<Shard>, Vec<StoredRun>), Error> {
    let file = read_run_file(folder)?;
    let mut episodes = Rows::<Key, EpisodeMetrics>::open(folder, "episodes.csv")?;
    let mut modes = Rows::<ModeKey, EpisodeMetrics>::open(folder, "power-modes.csv")?;
    let mut timing = Rows::<Key, Timing>::open(folder, "timing.csv")?;
    let mut runs = Vec::with_capacity(file.runs.len());
    for record in file.runs {
        let mut own = Vec::new();
        for number in 0..record.episodes as usize {
            let key = record.key(number);
            let missing = |path| {
                let cause = format!("episode {number} of {} is missing", record.policy);
                Error::Unreadable { path, cause }
            };
            let overall = episodes.next(&key).map_err(missing)?;
            let of_mode = |&alpha: &f64| modes.next(&key.of_mode(alpha)).map_err(missing);
            let by_mode = record.power_modes.iter().map(of_mode).collect::<Result<_, _>>()?;
            let Timing { decisions, decide_ns } = timing.next(&key).map_err(missing)?;
            own.push(EpisodeResult { overall, by_mode, decisions, decide_ns });
        }
        runs.push(StoredRun { record, episodes: own });
    }
    Ok((file.shard, runs))
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

/// The rows of a table, in the order in which they were written.
struct Rows<K, R> {
    path: PathBuf,
    rows: std::vec::IntoIter<(K, R)>,
}

impl<K, R> Rows<K, R>
where
    K: Default + PartialEq + Serialize + DeserializeOwned,
    R: Default + Serialize + DeserializeOwned,
{
    fn open(folder: &Path, name: &str) -> Result<Self, Error> {
        let path = folder.join(name);
        let rows = table::pairs(&path)?.into_iter();
        Ok(Self { path, rows })
    }

    /// The next row, if it is the one of `key`; else the table's path.
    fn next(&mut self, key: &K) -> Result<R, PathBuf> {
        let row = self.rows.next().filter(|(of, _)| of == key);
        row.map(|(_, row)| row).ok_or_else(|| self.path.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric;

    fn run() -> StoredRun {
        let metrics = |qoe| EpisodeMetrics { tasks: 7, qoe, ..EpisodeMetrics::default() };
        let episode = |qoe| EpisodeResult {
            overall: metrics(qoe),
            by_mode: vec![metrics(qoe - 1.0), metrics(qoe + 0.1)],
            decisions: 7,
            decide_ns: 1_750,
        };
        let record = RunRecord {
            scenario: "small".to_owned(),
            policy: "a, \"b\"".to_owned(),
            sweep: vec![("x".to_owned(), "0.5".to_owned())],
            power_modes: vec![0.25, 1.0],
            episodes: 2,
            ..RunRecord::default()
        };
        StoredRun { record, episodes: vec![episode(1.5), episode(0.1 + 0.2)] }
    }

    fn stored(parent: &Path) -> PathBuf {
        let scenarios = vec![("small".to_owned(), "()".to_owned())];
        let folder = NewRunFolder::begin(&parent.join("run")).unwrap();
        folder.finish(&scenarios, None, &[run()]).unwrap()
    }

    #[test]
    fn what_was_written_is_read() {
        let parent = tempfile::tempdir().unwrap();
        let path = stored(parent.path());
        assert_eq!(read(&path).unwrap(), [run()]);
        let header = std::fs::read_to_string(path.join("power-modes.csv")).unwrap();
        assert!(header.starts_with("scenario,policy,sweep,episode,alpha,tasks,qoe,delay_slots,"));
        let taken = NewRunFolder::begin(&path).unwrap_err();
        assert!(matches!(taken, Error::Taken { .. }), "{taken}");
    }

    /// The table of episodes with `change` made to each row's cells.
    fn changed(change: impl Fn(Vec<String>) -> Vec<String>) -> Result<Vec<StoredRun>, Error> {
        let parent = tempfile::tempdir().unwrap();
        let path = stored(parent.path());
        for name in ["episodes.csv", "power-modes.csv", "timing.csv"] {
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
        read(&path)
    }

    #[test]
    fn columns_are_found_by_name() {
        let reordered = changed(|row| row.into_iter().rev().chain(["more".to_owned()]).collect());
        assert_eq!(reordered.unwrap(), [run()]);
        let renamed = |row: Vec<String>| {
            row.into_iter().map(|cell| if cell == "qoe" { "joy".into() } else { cell }).collect()
        };
        let missing = changed(renamed).unwrap_err().to_string();
        assert!(missing.ends_with("episodes.csv: it has no column `qoe`"), "{missing}");
    }

    #[test]
    fn metrics_of_a_run_and_of_its_power_modes() {
        let (run, qoe) = (run(), metric::by_id("qoe").unwrap());
        let time = metric::by_id("decision_us").unwrap();
        assert_eq!(run.mean_sd(qoe).mean, (1.5 + (0.1 + 0.2)) / 2.0);
        assert_eq!(run.mean_sd(time), MeanSd { mean: 0.25, sd: 0.0 });
        assert_eq!(run.mean_sd_of_mode(0, qoe).unwrap().mean, (0.5 + (0.1 + 0.2 - 1.0)) / 2.0);
        assert_eq!(run.mean_sd_of_mode(0, time), None);
        assert_eq!(run.mean_sd_of_mode(2, qoe), None);
    }
}
