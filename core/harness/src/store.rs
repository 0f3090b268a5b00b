//! Run folders: what was run, with what, and what came out.
//!
//! ```text
//! RUN/run.json           offramp's version, and for each run its scenario, point, policy,
//!                        plugin (version, file, SHA-256) and outcome
//! RUN/scenarios/NAME.ron the scenario as it was run
//! RUN/episodes.csv       one row an episode: the metrics
//! RUN/power-modes.csv    one row an episode and power mode: the same metrics
//! RUN/timing.csv         one row an episode: time per decision
//! ```
//!
//! All but `timing.csv` is the same to the byte for the same scenario, seed and plugins. A
//! folder is made whole under another name and then renamed, so it is there or it is not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use offramp_scenario::Experiment;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::bind::Evaluation;
use crate::evaluate::{EpisodeResult, Run};
use crate::metrics::{EpisodeMetrics, Spread};

/// The number of this format; a folder of another is refused.
const FORMAT: u32 = 1;

/// Why a run folder can't be written or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It can't be written.
    #[error("can't write results to {path}: {cause}")]
    Unwritable {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// There are results already.
    #[error("{path} is there already; results are never overwritten")]
    Taken {
        /// The folder.
        path: PathBuf,
    },
    /// A run was begun there and not finished.
    #[error("{path} has a run that was not finished")]
    Unfinished {
        /// The folder of what is done.
        path: PathBuf,
    },
    /// What was begun there is something else.
    #[error("{path} has the beginning of another run: a scenario, plugin or checkpoint differs")]
    OtherRun {
        /// The folder of what is done.
        path: PathBuf,
    },
    /// Parts do not make a whole.
    #[error("{cause}")]
    Unmergeable {
        /// What is missing or differs.
        cause: String,
    },
    /// It can't be read.
    #[error("{path}: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
}

/// What a run folder says of the runs in it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct RunFile {
    format: u32,
    offramp: String,
    /// Which part of a batch it is, if it is not all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shard: Option<Shard>,
    runs: Vec<RunRecord>,
}

/// A part of a batch: of every `of` runs one, from the `number`th on. Counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Which part, 1 … of.
    pub number: u32,
    /// How many parts there are.
    pub of: u32,
}

impl Shard {
    /// Whether the batch's run `number`, counted from 0, is of this part.
    pub fn has(self, number: usize) -> bool {
        number % self.of as usize == self.number as usize - 1
    }
}

impl FromStr for Shard {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once('/');
        let numbers = parts.and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((number, of)) if (1..=of).contains(&number) => Ok(Self { number, of }),
            _ => Err("I/N is needed, 1 ≤ I ≤ N: 2/5 is the second part of five"),
        }
    }
}

/// The scenarios of a run folder, name and text, as they were run.
pub type Scenarios = Vec<(String, String)>;

/// A policy at a point of a scenario, as stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The scenario's name.
    pub scenario: String,
    /// What the scenario calls the policy.
    pub policy: String,
    /// The seed of all randomness.
    pub seed: u64,
    /// The point of the sweep: field and value, in the sweep's order.
    pub sweep: Vec<(String, String)>,
    /// The power modes' α, in the order of `power-modes.csv`.
    pub power_modes: Vec<f64>,
    /// Episodes that were run.
    pub episodes: u64,
    /// The plugin it came from.
    pub plugin: PluginRecord,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// Which plugin a run used.
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
    /// What was run.
    pub record: RunRecord,
    /// Its episodes in order; empty if it failed.
    pub episodes: Vec<EpisodeResult>,
}

/// The columns by which a row of any table here says whose it is.
const KEY_COLUMNS: [&str; 4] = ["scenario", "policy", "sweep", "episode"];

/// The fields of [`EpisodeMetrics`], in order.
const METRIC_COLUMNS: [&str; 10] = [
    "tasks",
    "qoe",
    "delay_slots",
    "energy",
    "dropped",
    "completion_ratio",
    "energy_per_task",
    "delay_p50",
    "delay_p95",
    "delay_p99",
];

const TIMING_COLUMNS: [&str; 2] = ["decisions", "decide_ns"];

type Key = (String, String, String, usize);

impl RunRecord {
    /// What is stored of a run.
    pub fn of(run: &Run<'_>) -> Self {
        let Run { evaluation: Evaluation { scenario, .. }, policy, outcome } = run;
        let library = &policy.plugin.library;
        Self {
            scenario: scenario.name.clone(),
            policy: policy.label.clone(),
            seed: scenario.evaluation.seed,
            sweep: scenario.point.clone(),
            power_modes: scenario.system.parameters().power_preference.modes.clone(),
            episodes: outcome.as_ref().map_or(0, |episodes| episodes.len() as u64),
            plugin: PluginRecord {
                policy: policy.plugin.offer.name.clone(),
                name: library.plugin.clone(),
                version: library.version.clone(),
                file: library
                    .path
                    .file_name()
                    .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
                sha256: library.sha256.clone(),
            },
            error: outcome.as_ref().err().map(ToString::to_string),
        }
    }

    /// The point of the sweep in one text; empty outside a sweep.
    pub fn point(&self) -> String {
        let parts: Vec<_> =
            self.sweep.iter().map(|(field, value)| format!("{field}={value}")).collect();
        parts.join("; ")
    }

    fn key(&self, episode: usize) -> Key {
        (self.scenario.clone(), self.policy.clone(), self.point(), episode)
    }
}

impl StoredRun {
    /// A run as it would be read back.
    pub fn of(run: &Run<'_>) -> Self {
        let episodes = run.outcome.as_ref().map_or_else(|_| Vec::new(), Clone::clone);
        Self { record: RunRecord::of(run), episodes }
    }

    /// Mean and standard deviation of a metric over the episodes.
    pub fn spread(&self, metric: impl Fn(&EpisodeMetrics) -> f64 + Clone) -> Spread {
        Spread::of(self.episodes.iter().map(|episode| metric(&episode.all)))
    }

    /// Microseconds per decision, over the episodes with any.
    pub fn decision_us(&self) -> Spread {
        let timed = self.episodes.iter().filter(|episode| episode.decisions > 0);
        Spread::of(
            timed.map(|episode| episode.decide_ns as f64 / 1000.0 / episode.decisions as f64),
        )
    }
}

/// A run folder that will be there once it is whole.
#[derive(Debug)]
pub struct NewRunFolder {
    path: PathBuf,
}

impl NewRunFolder {
    /// Claims the folder `path`. Fails before anything is computed if it could not be written
    /// afterwards; leaves nothing behind until it is whole.
    ///
    /// # Errors
    /// [`StoreError`] if it is there already or its parent can't be written.
    pub fn begin(path: &Path) -> Result<Self, StoreError> {
        let empty = std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
        if path.exists() && !empty {
            return Err(StoreError::Taken { path: path.to_owned() });
        }
        let new = Self { path: path.to_owned() };
        new.growing()?;
        Ok(new)
    }

    /// A new folder beside `path`, in which it grows.
    fn growing(&self) -> Result<tempfile::TempDir, StoreError> {
        let unwritable = |cause| StoreError::Unwritable { path: self.path.clone(), cause };
        let parent = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        std::fs::create_dir_all(parent).map_err(unwritable)?;
        tempfile::Builder::new().prefix(".offramp-").tempdir_in(parent).map_err(unwritable)
    }

    /// The first of `NAME-001`, `NAME-002`, … in `parent` that is free.
    pub fn first_free(parent: &Path, name: &str) -> PathBuf {
        let mut path = parent.join(name);
        for number in 1_u32.. {
            path = parent.join(format!("{name}-{number:03}"));
            if !path.exists() && !crate::batch::unfinished(&path).exists() {
                break;
            }
        }
        path
    }

    /// Writes everything and puts the folder in its place; gives its path.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is there then.
    pub fn finish(
        self,
        scenarios: &Scenarios,
        shard: Option<Shard>,
        runs: &[StoredRun],
    ) -> Result<PathBuf, StoreError> {
        let growing = self.growing()?;
        let path = self.path;
        let unwritable = |cause| StoreError::Unwritable { path: path.clone(), cause };
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

/// The scenarios of experiments, as they are run.
pub fn scenarios(experiments: &[Experiment<Evaluation>]) -> Scenarios {
    experiments.iter().map(|each| (each.name.clone(), each.text.clone())).collect()
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

    let mut episodes = table(folder, "episodes.csv", &[&KEY_COLUMNS, &METRIC_COLUMNS])?;
    let mut modes = table(folder, "power-modes.csv", &[&KEY_COLUMNS, &["alpha"], &METRIC_COLUMNS])?;
    let mut timing = table(folder, "timing.csv", &[&KEY_COLUMNS, &TIMING_COLUMNS])?;
    for run in runs {
        for (number, episode) in run.episodes.iter().enumerate() {
            let key = run.record.key(number);
            episodes.serialize((&key, &episode.all))?;
            for (alpha, metrics) in run.record.power_modes.iter().zip(&episode.by_mode) {
                modes.serialize((&key, alpha, metrics))?;
            }
            timing.serialize((&key, episode.decisions, episode.decide_ns))?;
        }
    }
    episodes.flush()?;
    modes.flush()?;
    timing.flush()
}

type Table = csv::Writer<std::fs::File>;

fn table(folder: &Path, name: &str, columns: &[&[&str]]) -> std::io::Result<Table> {
    let file = std::fs::File::create(folder.join(name))?;
    // A row is a key and a struct, whose names `csv` can't turn into a header by itself.
    let mut table = csv::WriterBuilder::new().has_headers(false).from_writer(file);
    table.write_record(columns.concat())?;
    Ok(table)
}

/// Reads a run folder back.
///
/// # Errors
/// [`StoreError::Unreadable`] names the file and what is wrong with it.
pub fn read(folder: &Path) -> Result<Vec<StoredRun>, StoreError> {
    read_part(folder).map(|(_, runs)| runs)
}

/// Reads a run folder back, with which part of a batch it is.
fn read_part(folder: &Path) -> Result<(Option<Shard>, Vec<StoredRun>), StoreError> {
    let path = folder.join("run.json");
    let unreadable =
        |path: &Path, cause: String| StoreError::Unreadable { path: path.to_owned(), cause };
    let text =
        std::fs::read_to_string(&path).map_err(|cause| unreadable(&path, cause.to_string()))?;
    let file: RunFile =
        serde_json::from_str(&text).map_err(|cause| unreadable(&path, cause.to_string()))?;
    if file.format != FORMAT {
        let cause = format!("it has format {}, this offramp reads {FORMAT}", file.format);
        return Err(unreadable(&path, cause));
    }
    let mut episodes = rows::<(Key, EpisodeMetrics)>(folder, "episodes.csv")?.into_iter();
    let mut modes = rows::<(Key, f64, EpisodeMetrics)>(folder, "power-modes.csv")?.into_iter();
    let mut timing = rows::<(Key, u64, u64)>(folder, "timing.csv")?.into_iter();
    let mut runs = Vec::with_capacity(file.runs.len());
    for record in file.runs {
        let mut own = Vec::new();
        for number in 0..record.episodes as usize {
            let key = record.key(number);
            let missing = |name: &str| {
                let cause = format!("episode {number} of {} is missing", record.policy);
                unreadable(&folder.join(name), cause)
            };
            let (_, all) = episodes
                .next()
                .filter(|row| row.0 == key)
                .ok_or_else(|| missing("episodes.csv"))?;
            let by_mode: Vec<_> = modes
                .by_ref()
                .take(record.power_modes.len())
                .take_while(|row| row.0 == key)
                .map(|row| row.2)
                .collect();
            if by_mode.len() != record.power_modes.len() {
                return Err(missing("power-modes.csv"));
            }
            let (_, decisions, decide_ns) =
                timing.next().filter(|row| row.0 == key).ok_or_else(|| missing("timing.csv"))?;
            own.push(EpisodeResult { all, by_mode, decisions, decide_ns });
        }
        runs.push(StoredRun { record, episodes: own });
    }
    Ok((file.shard, runs))
}

/// Joins the parts of a batch, in any order, to what one run of all of it would have given: the
/// same scenarios, and the runs in their order.
///
/// # Errors
/// [`StoreError::Unmergeable`] if a part is missing, is there twice, or is of another batch.
pub fn merge(folders: &[PathBuf]) -> Result<(Scenarios, Vec<StoredRun>), StoreError> {
    let unmergeable = |cause: String| StoreError::Unmergeable { cause };
    let mut parts = BTreeMap::new();
    let mut whole: Option<(u32, Scenarios, &Path)> = None;
    for folder in folders {
        let (shard, runs) = read_part(folder)?;
        let shard = shard.ok_or_else(|| {
            unmergeable(format!("{} is no part of a batch: it has all of it", folder.display()))
        })?;
        let scenarios = read_scenarios(folder)?;
        match &whole {
            None => whole = Some((shard.of, scenarios, folder)),
            Some((of, first, _)) if *of == shard.of && *first == scenarios => {}
            Some((.., first)) => {
                let (folder, first) = (folder.display(), first.display());
                return Err(unmergeable(format!("{folder} and {first} are of different batches")));
            }
        }
        if parts.insert(shard.number, runs).is_some() {
            let Shard { number, of } = shard;
            return Err(unmergeable(format!("part {number}/{of} is there twice")));
        }
    }
    let (of, scenarios, _) =
        whole.ok_or_else(|| unmergeable("there is nothing to merge".into()))?;
    if let Some(missing) = (1..=of).find(|number| !parts.contains_key(number)) {
        return Err(unmergeable(format!("part {missing}/{of} is missing")));
    }
    let total: usize = parts.values().map(Vec::len).sum();
    let mut parts: Vec<_> = parts.into_values().map(Vec::into_iter).collect();
    let runs: Vec<_> = (0..total).map_while(|at| parts[at % of as usize].next()).collect();
    if runs.len() < total {
        return Err(unmergeable("the parts do not have the runs of one batch".to_owned()));
    }
    Ok((scenarios, runs))
}

fn read_scenarios(folder: &Path) -> Result<Scenarios, StoreError> {
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
    read().map_err(|cause| StoreError::Unreadable { path: path.clone(), cause: cause.to_string() })
}

fn rows<R: DeserializeOwned>(folder: &Path, name: &str) -> Result<Vec<R>, StoreError> {
    let path = folder.join(name);
    let unreadable =
        |cause: csv::Error| StoreError::Unreadable { path: path.clone(), cause: cause.to_string() };
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).from_path(&path).map_err(unreadable)?;
    let rows = reader.records().skip(1).map(|record| record?.deserialize(None));
    rows.collect::<Result<_, _>>().map_err(unreadable)
}

/// Writes a file so that it is there whole or as it was before, whatever happens meanwhile.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    // A fixed name: what an interruption leaves is written over the next time.
    let partial = path.with_extension("partial");
    let mut file = std::fs::File::create(&partial)?;
    std::io::Write::write_all(&mut file, bytes)?;
    file.sync_all()?;
    std::fs::rename(&partial, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metric_columns_are_the_fields_of_the_metrics() {
        let json = serde_json::to_string(&EpisodeMetrics::default()).unwrap();
        let mut at = 0;
        for column in METRIC_COLUMNS {
            at += json[at..].find(&format!("\"{column}\":")).expect(column);
        }
        assert_eq!(json.matches(':').count(), METRIC_COLUMNS.len());
    }
}
