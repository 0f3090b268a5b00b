//! Distillation (section 5.3 of the paper): a student is fitted to its teacher's values.
//!
//! ```text
//! RUN/dataset.safetensors     states with the teacher's values; reused if they are the same
//! RUN/distillation.csv        one row a validation
//! RUN/best.safetensors        the student with the best validation
//! RUN/final.safetensors       the student of the last step
//! ```
//!
//! One state in ten is held out: validation loss and agreement (the share of states in which
//! student and teacher decide alike) are of those. QoE is of episodes of a seed of their own.

use std::path::Path;

use offramp_host::plugin::Observation;
use offramp_host::{Policy, sha256};
use offramp_model::rng::{Purpose, StreamFamily, WHOLE_RUN};
use serde::{Deserialize, Serialize};

use crate::dataset::{Dataset, DatasetError, Driver, greedy};
use crate::environment::Environment;
use crate::evaluate::{RunError, validate};
use crate::scenario::{DistillEntry, Scenario};
use crate::store::write_atomically;

/// Why a distillation ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum DistillError {
    /// A plugin failed.
    #[error("step {step}: {cause}")]
    Failed {
        /// The step.
        step: u64,
        /// What failed.
        cause: RunError,
    },
    /// The dataset can't be used.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The run folder can't be written.
    #[error("can't write {path}: {cause}")]
    Unwritable {
        /// The file.
        path: std::path::PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
}

/// A row of `distillation.csv`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DistillationRow {
    /// Steps so far.
    pub step: u64,
    /// States in the dataset.
    pub states: u64,
    /// Mean loss of eq. (16) since the last row.
    pub loss: f64,
    /// The same on the held-out states.
    pub validation_loss: f64,
    /// Share of the held-out states in which student and teacher decide alike.
    pub agreement: f64,
    /// Mean AvgQoE of the validation episodes.
    pub validation_qoe: f64,
    /// Mean drops of the validation episodes.
    pub validation_dropped: f64,
}

/// Every so many-th state is held out.
const HELD_OUT: usize = 10;

/// Distils the teacher of `scenario` into `folder`; `told` hears of each validation. `dataset`
/// is where states are kept that other distillations may use too. Threads are those of the rayon
/// pool it is called in, and do not change a bit of the result.
///
/// # Errors
/// [`DistillError`]; what was written by then stays.
///
/// # Panics
/// If the scenario has nothing to distil; it was not read to be distilled then.
pub fn distill(
    scenario: &Scenario,
    folder: &Path,
    dataset: &Path,
    told: &mut dyn FnMut(&DistillationRow),
) -> Result<(), DistillError> {
    let Some(entry) = &scenario.distill else { panic!("the scenario distils nothing") };
    let unwritable = |path: &Path| {
        let path = path.to_owned();
        move |cause| DistillError::Unwritable { path, cause }
    };
    std::fs::create_dir_all(folder).map_err(unwritable(folder))?;
    let path = folder.join("scenario.ron");
    write_atomically(&path, scenario.text.as_bytes()).map_err(unwritable(&path))?;
    let environment = Environment::new(scenario);
    let setup = Setup::new(scenario, entry, &environment)
        .map_err(|cause| DistillError::Failed { step: 0, cause })?;
    let failed = |step| move |cause| DistillError::Failed { step, cause };

    let key = setup.key();
    let mut states = match Dataset::read(dataset, &key)? {
        Some(states) => states,
        None => {
            let mut states = Dataset::default();
            let driver = Driver::Teacher(entry.explored);
            states
                .collect(scenario, entry.seed, 0, entry.states, &|| setup.teacher(), &driver)
                .map_err(failed(0))?;
            states.write(dataset, &key, scenario.system.server_count() as usize)?;
            states
        }
    };

    let seed = StreamFamily::new(entry.seed, WHOLE_RUN, Purpose::Learner).seed();
    let threads = rayon::current_num_threads() as u32;
    let context = environment.context(&entry.student.parameters, None, seed, threads);
    let create = entry.student.found.create_policy(&context);
    let mut student = create.map_err(|cause| failed(0)(cause.into()))?;
    let path = folder.join("distillation.csv");
    let mut table = csv::Writer::from_path(&path)
        .map_err(|error| unwritable(&path)(std::io::Error::other(error.to_string())))?;
    let mut batches = Batches::new(scenario, &states);
    let (mut sum, mut count, mut best) = (0.0, 0_u64, f64::NEG_INFINITY);
    // The student's own episodes come after all those that the teacher could have driven.
    let mut next_episode = 1 << 40;
    for step in 1..=entry.steps {
        batches.draw(&states, entry, step);
        // That it can be taught was checked when the scenario was read.
        if let Some(student) = student.student() {
            let loss = student.fit(&batches.observation(), &batches.targets);
            sum += loss.map_err(|cause| failed(step)(cause.into()))?;
            count += 1;
        }
        let last = step == entry.steps;
        let segment = entry.steps / (entry.rounds + 1);
        let round_over = !last && segment > 0 && step.is_multiple_of(segment);
        if round_over || last || step.is_multiple_of(entry.validate_every) {
            let fail = failed(step);
            let checkpoint = student.saved().map_or_else(|| Ok(Vec::new()), |s| s.checkpoint());
            let checkpoint = checkpoint.map_err(|cause| fail(cause.into()))?;
            let (validation_loss, agreement) =
                held_out(scenario, &states, student.as_mut()).map_err(&fail)?;
            let (validation_qoe, validation_dropped) =
                validate(scenario, entry.seed, entry.validate_episodes, || {
                    setup.student(&checkpoint)
                })
                .map_err(&fail)?;
            let row = DistillationRow {
                step,
                states: states.len() as u64,
                loss: sum / count as f64,
                validation_loss,
                agreement,
                validation_qoe,
                validation_dropped,
            };
            (sum, count) = (0.0, 0);
            let other = |error: csv::Error| std::io::Error::other(error.to_string());
            table.serialize(row).map_err(other).map_err(unwritable(&path))?;
            table.flush().map_err(unwritable(&path))?;
            let best_path = folder.join("best.safetensors");
            if validation_qoe > best {
                best = validation_qoe;
                write_atomically(&best_path, &checkpoint).map_err(unwritable(&best_path))?;
            }
            if last {
                let path = folder.join("final.safetensors");
                write_atomically(&path, &checkpoint).map_err(unwritable(&path))?;
            }
            told(&row);
            if round_over && step / segment <= entry.rounds {
                let driver = || setup.student(&checkpoint);
                next_episode = states
                    .collect(
                        scenario,
                        entry.seed,
                        next_episode,
                        entry.round_states,
                        &|| setup.teacher(),
                        &Driver::Student(&driver),
                    )
                    .map_err(&fail)?;
                batches = Batches::new(scenario, &states);
            }
        }
    }
    Ok(())
}

/// What instances are created from.
struct Setup<'s> {
    scenario: &'s Scenario,
    entry: &'s DistillEntry,
    environment: &'s Environment,
    teacher_checkpoint: Option<Vec<u8>>,
}

impl<'s> Setup<'s> {
    fn new(
        scenario: &'s Scenario,
        entry: &'s DistillEntry,
        environment: &'s Environment,
    ) -> Result<Self, RunError> {
        let read = |path: &std::path::PathBuf| {
            std::fs::read(path).map_err(|cause| RunError::Checkpoint { path: path.clone(), cause })
        };
        let teacher_checkpoint = entry.teacher.checkpoint.as_ref().map(read).transpose()?;
        Ok(Self { scenario, entry, environment, teacher_checkpoint })
    }

    fn teacher(&self) -> Result<Box<dyn Policy>, RunError> {
        let entry = &self.entry.teacher;
        let checkpoint = self.teacher_checkpoint.as_deref();
        let seed = StreamFamily::new(self.entry.seed, WHOLE_RUN, Purpose::Policy).seed();
        let context = self.environment.context(&entry.parameters, checkpoint, seed, 1);
        Ok(entry.found.create_policy(&context)?)
    }

    fn student(&self, checkpoint: &[u8]) -> Result<Box<dyn Policy>, RunError> {
        let entry = &self.entry.student;
        let context = self.environment.context(&entry.parameters, Some(checkpoint), 0, 1);
        Ok(entry.found.create_policy(&context)?)
    }

    /// What the dataset depends on.
    fn key(&self) -> String {
        let DistillEntry { teacher, states, explored, seed, .. } = self.entry;
        let parameters = self.scenario.system.parameters();
        let described = format!(
            "{parameters:?} {:?} {} {} {} {states} {explored} {seed}",
            self.scenario.observation,
            teacher.found.library.sha256,
            teacher.parameters,
            sha256(self.teacher_checkpoint.as_deref().unwrap_or_default()),
        );
        sha256(described.as_bytes())
    }
}

/// Mini-batches: for each device as many of its states, drawn anew for each step.
struct Batches {
    width: usize,
    servers: usize,
    window: usize,
    /// The states of each device that are not held out.
    by_device: Vec<Vec<u32>>,
    features: Vec<f64>,
    histories: Vec<f64>,
    history_of: Vec<u32>,
    devices: Vec<u32>,
    targets: Vec<f32>,
}

impl Batches {
    fn new(scenario: &Scenario, states: &Dataset) -> Self {
        let servers = scenario.system.server_count();
        let mut by_device = vec![Vec::new(); scenario.system.device_count() as usize];
        for (state, &device) in states.devices.iter().enumerate() {
            if state % HELD_OUT != HELD_OUT - 1 {
                by_device[device as usize].push(state as u32);
            }
        }
        Self {
            width: scenario.observation.kind.width(servers),
            servers: servers as usize,
            window: scenario.observation.history_slots as usize,
            by_device,
            features: Vec::new(),
            histories: Vec::new(),
            history_of: Vec::new(),
            devices: Vec::new(),
            targets: Vec::new(),
        }
    }

    fn clear(&mut self) {
        self.features.clear();
        self.histories.clear();
        self.history_of.clear();
        self.devices.clear();
        self.targets.clear();
    }

    fn push(&mut self, states: &Dataset, state: usize) {
        let Self { width, servers, window, .. } = *self;
        let features = &states.features[state * width..(state + 1) * width];
        self.features.extend(features.iter().map(|&feature| f64::from(feature)));
        let end = (states.newest[state] as usize + 1) * servers;
        let loads = &states.loads[end - window * servers..end];
        self.histories.extend(loads.iter().map(|&load| f64::from(load)));
        self.history_of.push(self.devices.len() as u32);
        self.devices.push(states.devices[state]);
        let actions = servers + 1;
        self.targets.extend_from_slice(&states.values[state * actions..(state + 1) * actions]);
    }

    fn draw(&mut self, states: &Dataset, entry: &DistillEntry, step: u64) {
        self.clear();
        let streams = StreamFamily::new(entry.seed, step, Purpose::Learner);
        for device in 0..self.by_device.len() {
            let mut stream = streams.of(device as u64);
            let count = self.by_device[device].len();
            for _ in 0..if count == 0 { 0 } else { entry.batch } {
                let state = self.by_device[device][stream.below(count)];
                self.push(states, state as usize);
            }
        }
    }

    fn observation(&self) -> Observation<'_> {
        Observation {
            slot: 0,
            devices: self.devices.as_slice().into(),
            features: self.features.as_slice().into(),
            histories: self.histories.as_slice().into(),
            history_of: self.history_of.as_slice().into(),
            knowledge: [].as_slice().into(),
            load: [].as_slice().into(),
            uplink_mbps: [].as_slice().into(),
        }
    }
}

/// Loss and agreement on the held-out states.
fn held_out(
    scenario: &Scenario,
    states: &Dataset,
    student: &mut dyn Policy,
) -> Result<(f64, f64), RunError> {
    let mut batch = Batches::new(scenario, &Dataset::default());
    for state in (HELD_OUT - 1..states.len()).step_by(HELD_OUT) {
        batch.push(states, state);
    }
    let mut values = vec![0.0; batch.targets.len()];
    if values.is_empty() {
        return Ok((0.0, 1.0));
    }
    if let Some(student) = student.value_function() {
        student.values(&batch.observation(), &mut values)?;
    }
    let errors = values.iter().zip(&batch.targets).map(|(q, target)| f64::from(q - target));
    let loss = errors.map(|error| error * error).sum::<f64>() / values.len() as f64;
    let actions = batch.servers + 1;
    let pairs = values.chunks_exact(actions).zip(batch.targets.chunks_exact(actions));
    let alike = pairs.filter(|(ours, theirs)| greedy(ours) == greedy(theirs)).count();
    Ok((loss, alike as f64 / batch.devices.len() as f64))
}
