//! Datasets: states with a teacher's value for every action.
//!
//! The file is safetensors, which Python reads as it is:
//!
//! | tensor | shape | contents |
//! |---|---|---|
//! | `features` | states × F, f32 | o, unscaled |
//! | `loads` | rows × M, f32 | loads, one row per slot, with K − 1 rows of zeros before each episode |
//! | `newest` | states, u32 | the row of `loads` at which the state's window of K rows ends |
//! | `devices` | states, u32 | the device |
//! | `values` | states × (1 + M), f32 | the teacher's value of every action |
//!
//! Its metadata has one key, `offramp`: JSON with a hash of everything the states were collected
//! from, by which a later distillation recognises that it can reuse them, and a checksum of the
//! tensors.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use offramp_host::Policy;
use offramp_host::plugin::{Needs, Observation, UNDECIDED};
use offramp_model::rng::Stream;
use offramp_results::checkpoint::{self, HeaderError, METADATA_KEY};
use offramp_results::files::{self, MAX_DATA_BYTES, sha256};
use offramp_results::words::counted;
use offramp_scenario::Scenario;
use rayon::prelude::*;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

use crate::context::PolicyContext;
use crate::environment::Environment;
use crate::run::RunError;
use crate::seeds;

/// States with the teacher's values, as the file has them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dataset {
    /// o, states × F, unscaled.
    pub features: Vec<f32>,
    /// Loads, rows × M: one row per slot, with K − 1 rows of zeros before each episode.
    pub loads: Vec<f32>,
    /// For each state, the row of `loads` at which its window of K rows ends.
    pub newest: Vec<u32>,
    /// For each state, its device.
    pub devices: Vec<u32>,
    /// The teacher's value of every action, states × (1 + M).
    pub values: Vec<f32>,
}

/// The reason why a dataset can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {fault}")]
pub struct DatasetError {
    /// The file of the dataset.
    pub path: PathBuf,
    /// The fault.
    pub fault: DatasetFault,
}

/// A fault of the file of a dataset.
#[derive(Debug, thiserror::Error)]
pub enum DatasetFault {
    /// It is something else, which someone may need.
    #[error("is not a dataset, or was cut off ({0})")]
    Foreign(String),
    /// It has other states, which someone may need.
    #[error("has the states of another scenario, teacher or seed")]
    Other,
    /// It is a dataset, and not as it was written.
    #[error("{0}")]
    Damaged(String),
    /// It can't be read.
    #[error("{0}")]
    Unreadable(std::io::Error),
    /// It can't be written.
    #[error("can't be written: {0}")]
    Unwritable(std::io::Error),
}

/// Why no states were collected.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// A policy failed.
    #[error(transparent)]
    Failed(#[from] RunError),
    /// There were no decisions to take.
    #[error("no task arrived in {}", counted(*episodes, "episode"))]
    NoTasks {
        /// Episodes in a row without a task.
        episodes: u64,
    },
}

#[derive(Serialize, Deserialize)]
struct Metadata {
    key: String,
    sha256: String,
}

/// Creates an instance of a policy.
pub type CreatePolicy<'c> = dyn Fn() -> Result<Box<dyn Policy>, RunError> + Sync + 'c;

/// The policy that decides in the episodes whose states are collected.
pub enum Driver<'c> {
    /// The teacher itself, except for this share of decisions, which are drawn at random.
    Teacher(f64),
    /// The student: on-policy states (DAgger, Ross, Gordon and Bagnell 2011).
    Student(&'c CreatePolicy<'c>),
}

/// Collects states: the episodes of a scenario, decided by a driver and labelled by a teacher.
pub struct Collector<'c> {
    /// The scenario whose episodes are played.
    pub scenario: &'c Scenario,
    /// The scenario's context, from which teacher and driver are created.
    pub context: &'c PolicyContext,
    /// The seed from which those of the tasks and of decisions that are drawn are derived.
    pub seed: u64,
    /// Creates an instance of the teacher, which must have a value function.
    pub teacher: &'c CreatePolicy<'c>,
    /// The policy that decides.
    pub driver: Driver<'c>,
}

/// Episodes that are collected in parallel, whatever the number of threads.
const CHUNK: u64 = 16;

/// Episodes in a row without a task after which none is waited for any more. Where one episode in
/// a hundred has a task, that happens by chance once in 10⁴³ times; where far fewer have, states are
/// not worth collecting this way.
pub const MAX_EMPTY_EPISODES: u64 = 10_000;

impl Collector<'_> {
    /// Appends at least `states` states to `dataset`: whole episodes from number `first` on.
    /// Returns the number after that of the last one. The result does not depend on the number of
    /// threads.
    ///
    /// # Errors
    /// [`CollectError`] if a policy fails, or no task arrives in [`MAX_EMPTY_EPISODES`] in a row;
    /// `dataset` may then have some of the states.
    pub fn collect(
        &self,
        dataset: &mut Dataset,
        first: u64,
        states: u64,
    ) -> Result<u64, CollectError> {
        let servers = self.scenario.system.server_count() as usize;
        let enough = dataset.len() as u64 + states;
        let (mut next, mut empty) = (first, 0);
        while empty < MAX_EMPTY_EPISODES {
            let parts: Vec<Dataset> = (next..next + CHUNK)
                .into_par_iter()
                .map(|episode| self.episode(episode))
                .collect::<Result<_, _>>()?;
            for part in parts {
                next += 1;
                if part.is_empty() {
                    empty += 1;
                    continue;
                }
                empty = 0;
                dataset.append(part, servers);
                if dataset.len() as u64 >= enough {
                    return Ok(next);
                }
            }
        }
        Err(CollectError::NoTasks { episodes: empty })
    }

    /// The states of one episode.
    fn episode(&self, number: u64) -> Result<Dataset, RunError> {
        let Self { scenario, context, seed, .. } = *self;
        let mut teacher = (self.teacher)()?;
        let mut student = match &self.driver {
            Driver::Teacher(_) => None,
            Driver::Student(create) => Some(create()?),
        };
        let policy_seed = seeds::policy_episode(seed, number);
        let lent = context.lend();
        let start = lent.start(number, policy_seed);
        let mut needs = teacher.needs().and(Needs::FEATURES).and(Needs::HISTORY);
        teacher.begin_episode(&start)?;
        if let Some(student) = &mut student {
            needs = needs.and(student.needs());
            student.begin_episode(&start)?;
        }
        let servers = scenario.system.server_count() as usize;
        let mut dataset = Dataset::default();
        dataset.loads.resize((scenario.observation.history_slots as usize - 1) * servers, 0.0);
        let mut draws = seeds::exploration(seed, number);
        let tasks = seeds::dataset_tasks(seed);
        let mut environment =
            Environment::new(&scenario.training_system, scenario.observation, tasks, number);
        let (mut actions, mut values) = (Vec::new(), Vec::new());
        while !environment.is_over() {
            actions.clear();
            actions.resize(environment.rows(), UNDECIDED);
            let observation = environment.observe(needs);
            values.resize(actions.len() * (servers + 1), 0.0);
            // That the teacher has values was checked when it was bound.
            if let Some(teacher) = teacher.value_function()
                && !actions.is_empty()
            {
                teacher.values(&observation, &mut values)?;
            }
            dataset.push(&observation, &values, servers);
            if !actions.is_empty() {
                match (&self.driver, &mut student) {
                    (_, Some(student)) => student.decide(&observation, &mut actions)?,
                    (Driver::Teacher(explored), None) => {
                        explore(&values, *explored, &mut draws, &mut actions);
                    }
                    (Driver::Student(_), None) => {}
                }
            }
            environment.step(&actions)?;
        }
        Ok(dataset)
    }
}

/// Decides by `values` (rows × (1 + M)): the greedy action, or, in a share `explored` of rows, any.
fn explore(values: &[f32], explored: f64, draws: &mut Stream, actions: &mut [u32]) {
    let Some(action_count) = values.len().checked_div(actions.len()) else { return };
    for (action, values) in actions.iter_mut().zip(values.chunks(action_count)) {
        let drawn = draws.uniform() < explored;
        let any = draws.below(action_count) as u32;
        *action = if drawn { any } else { greedy(values) };
    }
}

impl Dataset {
    /// Number of states in the dataset.
    pub fn len(&self) -> usize {
        self.devices.len()
    }

    /// True if there are no states.
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    /// Appends the states of a slot: its loads, and for each row features, device and `values`
    /// (rows × (1 + M)).
    fn push(&mut self, observation: &Observation<'_>, values: &[f32], servers: usize) {
        let Observation { features, histories, devices, .. } = observation;
        let newest = (self.loads.len() / servers) as u32;
        self.loads.extend(histories[histories.len() - servers..].iter().map(|&x| x as f32));
        self.features.extend(features.iter().map(|&feature| feature as f32));
        self.newest.resize(self.newest.len() + devices.len(), newest);
        self.devices.extend_from_slice(devices);
        self.values.extend_from_slice(values);
    }

    /// Appends the states of another dataset, with the same M.
    fn append(&mut self, part: Self, servers: usize) {
        let offset = (self.loads.len() / servers) as u32;
        self.features.extend(part.features);
        self.loads.extend(part.loads);
        self.newest.extend(part.newest.iter().map(|row| row + offset));
        self.devices.extend(part.devices);
        self.values.extend(part.values);
    }

    /// Writes the file. `key` identifies what the states were collected from; `servers` is M.
    ///
    /// # Errors
    /// [`DatasetError`] if it can't be written.
    ///
    /// # Panics
    /// If `servers` is 0.
    pub fn write(&self, path: &Path, key: &str, servers: usize) -> Result<(), DatasetError> {
        let fail = |cause: std::io::Error| DatasetError {
            path: path.to_owned(),
            fault: DatasetFault::Unwritable(cause),
        };
        let other = |error: safetensors::SafeTensorError| fail(std::io::Error::other(error));
        let states = self.len();
        let real = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>();
        let whole =
            |values: &[u32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>();
        let columns = |length: usize| length / states.max(1);
        let tensors = [
            ("devices", Dtype::U32, vec![states], whole(&self.devices)),
            (
                "features",
                Dtype::F32,
                vec![states, columns(self.features.len())],
                real(&self.features),
            ),
            ("loads", Dtype::F32, vec![self.loads.len() / servers, servers], real(&self.loads)),
            ("newest", Dtype::U32, vec![states], whole(&self.newest)),
            ("values", Dtype::F32, vec![states, columns(self.values.len())], real(&self.values)),
        ];
        let views = tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| {
                TensorView::new(*dtype, shape.clone(), bytes).map(|view| (*name, view))
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(other)?;
        let metadata = Metadata { key: key.to_owned(), sha256: self.checksum() };
        let json = serde_json::to_string(&metadata).map_err(|error| fail(error.into()))?;
        let metadata = HashMap::from([(METADATA_KEY.to_owned(), json)]);
        let bytes = safetensors::serialize(views, Some(metadata)).map_err(other)?;
        files::write_atomically(path, &bytes).map_err(fail)
    }

    /// Reads the file; `None` if it does not exist or has another `key`, that is, was collected
    /// from something else.
    ///
    /// # Errors
    /// [`DatasetError`] if it is not a dataset, or damaged, or its states are not states of
    /// `scenario`.
    pub fn read(path: &Path, key: &str, scenario: &Scenario) -> Result<Option<Self>, DatasetError> {
        let of_file = |fault: DatasetFault| DatasetError { path: path.to_owned(), fault };
        let fail = |cause: String| of_file(DatasetFault::Damaged(cause));
        let malformed = |error: safetensors::SafeTensorError| fail(error.to_string());
        let bytes = match files::read(path, MAX_DATA_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(of_file(DatasetFault::Unreadable(error))),
        };
        // The header comes first: what is cut off after it was a dataset.
        let metadata: Metadata = checkpoint::metadata(&bytes).map_err(|error| {
            of_file(DatasetFault::Foreign(match error {
                HeaderError::Malformed(cause) => cause,
                other => other.to_string(),
            }))
        })?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(malformed)?;
        let words = |name: &str| -> Result<Vec<[u8; 4]>, DatasetError> {
            let data = tensors.tensor(name).map_err(malformed)?.data();
            Ok(data.chunks_exact(4).map(|b| [b[0], b[1], b[2], b[3]]).collect())
        };
        let real = |name: &str| Ok(words(name)?.into_iter().map(f32::from_le_bytes).collect());
        let whole = |name: &str| Ok(words(name)?.into_iter().map(u32::from_le_bytes).collect());
        let dataset = Self {
            features: real("features")?,
            loads: real("loads")?,
            newest: whole("newest")?,
            devices: whole("devices")?,
            values: real("values")?,
        };
        if metadata.sha256 != dataset.checksum() {
            return Err(fail("was altered: its checksum does not match".to_owned()));
        }
        if metadata.key != key {
            return Ok(None);
        }
        dataset.check(scenario).map_err(fail)?;
        Ok(Some(dataset))
    }

    /// Checks that every state can be one of `scenario`. The checksum alone does not prove that.
    fn check(&self, scenario: &Scenario) -> Result<(), String> {
        let servers = scenario.system.server_count() as usize;
        let width = scenario.observation.kind.width(scenario.system.server_count());
        let (states, rows) = (self.len(), self.loads.len() / servers);
        let lengths = [
            ("features", self.features.len(), states * width),
            ("loads", self.loads.len(), rows * servers),
            ("newest", self.newest.len(), states),
            ("values", self.values.len(), states * (servers + 1)),
        ];
        for (name, length, wanted) in lengths {
            if length != wanted {
                return Err(format!("`{name}` has {length} numbers, and {wanted} are needed"));
            }
        }
        let window = scenario.observation.history_slots as usize;
        let devices = scenario.system.device_count();
        let in_range = |state: usize| {
            let newest = self.newest[state] as usize;
            (window - 1..rows).contains(&newest) && self.devices[state] < devices
        };
        if let Some(state) = (0..states).find(|&state| !in_range(state)) {
            return Err(format!("state {state} has no such device, or no window of history"));
        }
        let mut numbers = self.features.iter().chain(&self.loads).chain(&self.values);
        if numbers.any(|number| !number.is_finite()) {
            return Err("it has numbers that are not finite".to_owned());
        }
        Ok(())
    }

    fn checksum(&self) -> String {
        let real = [&self.features, &self.loads, &self.values];
        let real = real.into_iter().flatten().flat_map(|value| value.to_le_bytes());
        let whole = [&self.newest, &self.devices];
        let whole = whole.into_iter().flatten().flat_map(|value| value.to_le_bytes());
        sha256(&real.chain(whole).collect::<Vec<u8>>())
    }
}

/// The action with the largest value; on ties, the first.
pub(crate) fn greedy(values: &[f32]) -> u32 {
    let mut best = 0;
    for (action, &value) in values.iter().enumerate() {
        if value > values[best] {
            best = action;
        }
    }
    best as u32
}
