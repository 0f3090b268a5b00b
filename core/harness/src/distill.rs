//! Distillation (section 5.3 of the paper): a student is fitted to its teacher's values.
//!
//! ```text
//! RUN/dataset.safetensors     states with the teacher's values; reused if they are the same
//! RUN/distillation.csv        one row a validation
//! RUN/best.safetensors        the student with the best validation
//! RUN/final.safetensors       the student of the last step
//! RUN/round-N.safetensors     the dataset with the states of the last round, if there are any
//! RUN/state                   everything needed to go on, as of the last validation
//! ```
//!
//! One state in ten is held out: validation loss and agreement (the share of states in which
//! student and teacher decide alike) are of those. QoE is of episodes of a seed of their own.

use std::path::Path;

use offramp_host::Policy;
use offramp_host::plugin::{Observation, UNDECIDED};
use offramp_results::checkpoint;
use offramp_results::files::sha256;
use offramp_results::learning::DistillationRow;
use offramp_scenario::{DistillationEntry, Scenario};
use serde::{Deserialize, Serialize};

use crate::bind::Distillation;
use crate::context::PolicyContext;
use crate::dataset::{Dataset, DatasetError, Driver, greedy};
use crate::evaluate::{RunError, validate};
use crate::events::{Event, Observer};
use crate::resume::{self, FolderError, Start, Table};
use crate::seeds;

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
    /// The folder can't be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// What is saved besides the student: how things stand after a validation.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    step: u64,
    /// Rounds done; their states are in the file of the rounds.
    rounds: u64,
    best_qoe: Option<f64>,
    /// Of the student's own episodes, the next.
    next_episode: u64,
    /// Bytes of `distillation.csv`.
    rows: u64,
}

impl State {
    /// The student's own episodes come after all those that the teacher could have driven.
    fn new() -> Self {
        Self { step: 0, rounds: 0, best_qoe: None, next_episode: 1 << 40, rows: 0 }
    }
}

/// Every so many-th state is held out.
const HELD_OUT: usize = 10;

/// Distils a teacher into `folder`, reporting [`Event::Validation`]s. `dataset` is where states
/// are kept that other distillations may use too. Threads are those of the rayon pool it is called
/// in; neither their number nor an interruption changes a bit of the result.
///
/// # Errors
/// [`DistillError`]; what was written by then stays.
pub fn distill(
    distillation: &Distillation,
    folder: &Path,
    dataset: &Path,
    start: Start,
    observer: &dyn Observer,
) -> Result<(), DistillError> {
    let Distillation { scenario, sha256, entry, .. } = distillation;
    resume::begin(folder, start, &scenario.text)?;
    let failed = |step| move |cause| DistillError::Failed { step, cause };
    let setup = Setup::new(distillation).map_err(failed(0))?;
    let mut student = setup.untaught().map_err(failed(0))?;
    let state_path = folder.join("state");
    let mut state = State::new();
    if start == Start::Resume
        && let Some((saved, bytes)) = resume::load::<State>(&state_path, sha256)?
    {
        if let Some(student) = student.saved() {
            student.load(&bytes).map_err(|failure| FolderError::NotResumable {
                path: state_path.clone(),
                cause: failure.to_string(),
            })?;
        }
        state = saved;
    }
    // A file for each round: which of them is of use, only the state says.
    let rounds_path = |round: u64| folder.join(format!("round-{round}.safetensors"));
    let mut states = match state.rounds {
        0 => setup.teachers_states(dataset)?,
        rounds => {
            let path = rounds_path(rounds);
            let states = Dataset::read(&path, &setup.key_of_round(rounds), scenario)?;
            let missing = || FolderError::NotResumable {
                path,
                cause: "it does not have the states of the rounds".to_owned(),
            };
            states.ok_or_else(missing)?
        }
    };
    let mut table = Table::open(&folder.join("distillation.csv"), state.rows)?;
    let mut batches = Batches::new(scenario, &states);
    let (mut sum, mut count) = (0.0, 0_u64);
    for step in state.step + 1..=entry.steps {
        let fail = failed(step);
        batches.draw(&states, entry, step);
        // That it can be taught was checked when the scenario was read.
        if let Some(student) = student.student() {
            let loss = student.fit(&batches.observation(), &batches.targets);
            sum += loss.map_err(|cause| fail(cause.into()))?;
            count += 1;
        }
        let last = step == entry.steps;
        let segment = entry.steps / (entry.rounds + 1);
        let round_over = state.rounds < entry.rounds && step == segment * (state.rounds + 1);
        if !(round_over || last || step.is_multiple_of(entry.validate_every)) {
            continue;
        }
        let checkpoint = student.saved().map_or_else(|| Ok(Vec::new()), |s| s.checkpoint());
        let checkpoint = checkpoint.map_err(|cause| fail(cause.into()))?;
        let (validation_loss, agreement) =
            held_out(scenario, &states, student.as_mut()).map_err(&fail)?;
        let (validation_qoe, validation_dropped) =
            validate(scenario, &setup.context, entry.seed, entry.validate_episodes, || {
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
        table.add(row)?;
        if state.best_qoe.is_none_or(|best| validation_qoe > best) {
            state.best_qoe = Some(validation_qoe);
            resume::write(&folder.join("best.safetensors"), &checkpoint)?;
        }
        if last {
            resume::write(&folder.join("final.safetensors"), &checkpoint)?;
        }
        if round_over {
            let driver = || setup.student(&checkpoint);
            let driver = Driver::Student(&driver);
            let (teacher, first) = (|| setup.teacher(), state.next_episode);
            state.next_episode = states
                .collect(
                    scenario,
                    &setup.context,
                    entry.seed,
                    first,
                    entry.round_states,
                    &teacher,
                    &driver,
                )
                .map_err(&fail)?;
            state.rounds += 1;
            let servers = scenario.system.server_count() as usize;
            states.write(&rounds_path(state.rounds), &setup.key_of_round(state.rounds), servers)?;
            batches = Batches::new(scenario, &states);
        }
        (state.step, state.rows) = (step, table.bytes()?);
        let saved = student.saved().map_or_else(|| Ok(Vec::new()), |student| student.save());
        let saved = saved.map_err(|cause| fail(cause.into()))?;
        resume::save(&state_path, sha256, &state, &saved)?;
        if round_over && state.rounds > 1 {
            // It may be gone already, if this was interrupted before.
            let _ = std::fs::remove_file(rounds_path(state.rounds - 1));
        }
        observer.on_event(Event::Validation(&row));
    }
    Ok(())
}

/// What instances are created from.
struct Setup<'d> {
    distillation: &'d Distillation,
    context: PolicyContext,
    teacher_checkpoint: Option<Vec<u8>>,
}

impl<'d> Setup<'d> {
    fn new(distillation: &'d Distillation) -> Result<Self, RunError> {
        let Distillation { scenario, sha256, teacher, .. } = distillation;
        let read = |path: &std::path::PathBuf| {
            checkpoint::bytes(path)
                .map_err(|cause| RunError::Checkpoint { path: path.clone(), cause })
        };
        let teacher_checkpoint = teacher.checkpoint.as_ref().map(read).transpose()?;
        let context = PolicyContext::new(scenario, sha256);
        Ok(Self { distillation, context, teacher_checkpoint })
    }

    fn teacher(&self) -> Result<Box<dyn Policy>, RunError> {
        let Distillation { entry, teacher, .. } = self.distillation;
        let checkpoint = self.teacher_checkpoint.as_deref();
        let seed = seeds::teacher(entry.seed);
        let lent = self.context.lend();
        let context = lent.context(&teacher.parameters, checkpoint, seed, 1);
        Ok(teacher.plugin.create_policy(&context)?)
    }

    /// A student that has learned nothing yet.
    fn untaught(&self) -> Result<Box<dyn Policy>, RunError> {
        let Distillation { entry, student, .. } = self.distillation;
        let seed = seeds::learner(entry.seed);
        let threads = rayon::current_num_threads() as u32;
        let lent = self.context.lend();
        let context = lent.context(&student.parameters, None, seed, threads);
        Ok(student.plugin.create_policy(&context)?)
    }

    /// What the teacher teaches first: read, or collected and written.
    fn teachers_states(&self, path: &Path) -> Result<Dataset, DistillError> {
        let Distillation { scenario, entry, .. } = self.distillation;
        let key = self.key();
        if let Some(states) = Dataset::read(path, &key, scenario)? {
            return Ok(states);
        }
        let mut states = Dataset::default();
        let driver = Driver::Teacher(entry.explored);
        states
            .collect(
                scenario,
                &self.context,
                entry.seed,
                0,
                entry.states,
                &|| self.teacher(),
                &driver,
            )
            .map_err(|cause| DistillError::Failed { step: 0, cause })?;
        states.write(path, &key, scenario.system.server_count() as usize)?;
        Ok(states)
    }

    fn student(&self, checkpoint: &[u8]) -> Result<Box<dyn Policy>, RunError> {
        let student = &self.distillation.student;
        let lent = self.context.lend();
        let context = lent.context(&student.parameters, Some(checkpoint), 0, 1);
        Ok(student.plugin.create_policy(&context)?)
    }

    /// The hash of all that the dataset depends on.
    fn key(&self) -> String {
        let Distillation { scenario, entry, teacher, .. } = self.distillation;
        let DistillationEntry { states, explored, seed, .. } = entry;
        let parameters = scenario.system.parameters();
        let described = format!(
            "{parameters:?} {:?} {} {} {} {states} {explored} {seed}",
            scenario.observation,
            teacher.plugin.library.sha256,
            teacher.parameters,
            sha256(self.teacher_checkpoint.as_deref().unwrap_or_default()),
        );
        sha256(described.as_bytes())
    }

    /// The hash of all that the dataset after that many rounds depends on.
    fn key_of_round(&self, rounds: u64) -> String {
        let described = format!("{} {} {rounds}", self.key(), self.distillation.sha256);
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

    fn draw(&mut self, states: &Dataset, entry: &DistillationEntry, step: u64) {
        self.clear();
        for device in 0..self.by_device.len() {
            let mut stream = seeds::mini_batch(entry.seed, step, device as u32);
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
            server_count: self.servers as u32,
            history_slots: self.window as u32,
            devices: self.devices.as_slice().into(),
            features: self.features.as_slice().into(),
            histories: self.histories.as_slice().into(),
            history_of: self.history_of.as_slice().into(),
            tasks: [].as_slice().into(),
            links: [].as_slice().into(),
            servers: [].as_slice().into(),
        }
    }
}

/// Loss, if the student has values, and agreement on the held-out states.
fn held_out(
    scenario: &Scenario,
    states: &Dataset,
    student: &mut dyn Policy,
) -> Result<(Option<f64>, f64), RunError> {
    let mut batch = Batches::new(scenario, &Dataset::default());
    for state in (HELD_OUT - 1..states.len()).step_by(HELD_OUT) {
        batch.push(states, state);
    }
    if batch.devices.is_empty() {
        return Ok((None, 1.0));
    }
    let loss = match student.value_function() {
        None => None,
        Some(student) => {
            let mut values = vec![0.0; batch.targets.len()];
            student.values(&batch.observation(), &mut values)?;
            let errors = values.iter().zip(&batch.targets).map(|(q, target)| f64::from(q - target));
            Some(errors.map(|error| error * error).sum::<f64>() / values.len() as f64)
        }
    };
    let mut decided = vec![UNDECIDED; batch.devices.len()];
    student.decide(&batch.observation(), &mut decided)?;
    let teacher = batch.targets.chunks_exact(batch.servers + 1).map(greedy);
    let alike = decided.iter().zip(teacher).filter(|(ours, theirs)| **ours == *theirs).count();
    Ok((loss, alike as f64 / decided.len() as f64))
}
