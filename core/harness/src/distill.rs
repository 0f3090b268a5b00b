//! Distillation (section 5.3 of the paper): a student is fitted to its teacher's values.
//!
//! ```text
//! RUN/dataset.safetensors     states with the teacher's values; reused by later distillations
//! RUN/distillation.csv        one row per validation
//! RUN/best.safetensors        the student with the best validation
//! RUN/final.safetensors       the student of the last step
//! RUN/round-N.safetensors     the dataset with the states of all rounds up to the last, if any
//! RUN/state                   everything needed to resume, as of the last validation
//! ```
//!
//! One state in ten is held out for validation loss and agreement (the share of states in which
//! student and teacher decide alike). Validation QoE comes from episodes with a seed of their own.

use std::path::{Path, PathBuf};

use offramp_host::plugin::{Context, Observation, UNDECIDED};
use offramp_host::{CallFailure, Policy};
use offramp_results::checkpoint;
use offramp_results::files::sha256;
use offramp_results::learning::DistillationRow;
use offramp_scenario::{DistillationEntry, Scenario};
use serde::{Deserialize, Serialize};

use crate::bind::Distillation;
use crate::context::{PolicyContext, file_bytes};
use crate::dataset::{Collector, Dataset, DatasetError, Driver, greedy};
use crate::events::{Event, Observer};
use crate::resume::{self, FolderError, Start, Table};
use crate::run::RunError;
use crate::seeds;
use crate::validation::validate;

/// The reason why a distillation ended early.
#[derive(Debug, thiserror::Error)]
pub enum DistillError {
    /// A plugin failed, in a mini-batch step or a validation.
    #[error("step {step}: {cause}")]
    Failed {
        /// The mini-batch step; 0 before the first.
        step: u64,
        /// The failure.
        cause: RunError,
    },
    /// The dataset can't be used.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The folder can't be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// The state of a distillation after a validation, saved beside the student.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    step: u64,
    /// Rounds done; their states are in the file of the last one.
    rounds: u64,
    best_qoe: Option<f64>,
    /// The number of the next episode that the student plays itself.
    next_episode: u64,
    /// Bytes of `distillation.csv`.
    rows: u64,
}

impl State {
    /// The student's own episodes are numbered far above all that the teacher could drive.
    fn new() -> Self {
        Self { step: 0, rounds: 0, best_qoe: None, next_episode: 1 << 40, rows: 0 }
    }
}

/// One state in this many is held out.
const HELD_OUT: usize = 10;

/// Distils a teacher into `folder`, reporting [`Event::Validation`]s. The file `dataset` keeps the
/// states, which other distillations may reuse. Threads are those of the rayon pool this is called
/// in; neither their number nor an interruption changes the result.
///
/// # Errors
/// [`DistillError`]; what was written by then is kept.
pub fn distill(
    distillation: &Distillation,
    folder: &Path,
    dataset: &Path,
    start: Start,
    observer: &dyn Observer,
) -> Result<(), DistillError> {
    resume::begin(folder, start, &distillation.scenario.text)?;
    let mut distiller = Distiller::new(distillation, folder, dataset, start)?;
    for step in distiller.state.step + 1..=distillation.entry.steps {
        distiller.fit(step).map_err(|cause| DistillError::Failed { step, cause })?;
        if distiller.validates_after(step) {
            let row = distiller.validate_and_save(step)?;
            observer.on_event(Event::Validation(&row));
        }
    }
    Ok(())
}

/// A distillation under way.
struct Distiller<'d> {
    setup: Setup<'d>,
    folder: &'d Path,
    student: Box<dyn Policy>,
    states: Dataset,
    batches: Batches,
    table: Table,
    state: State,
    /// Sum and number of the losses since the last validation.
    losses: (f64, u64),
}

impl<'d> Distiller<'d> {
    /// A new student, or that of the last save, with its states.
    fn new(
        distillation: &'d Distillation,
        folder: &'d Path,
        dataset: &Path,
        start: Start,
    ) -> Result<Self, DistillError> {
        let failed = |cause| DistillError::Failed { step: 0, cause };
        let setup = Setup::new(distillation).map_err(failed)?;
        let mut student = setup.untaught().map_err(failed)?;
        let state = match start {
            Start::New => None,
            Start::Resume => resumed(folder, &distillation.sha256, student.as_mut())?,
        };
        let state = state.unwrap_or_else(State::new);
        let states = match state.rounds {
            0 => setup.teachers_states(dataset)?,
            rounds => setup.states_of_round(&round_file(folder, rounds), rounds)?,
        };
        let table = Table::open(&folder.join("distillation.csv"), state.rows)?;
        let batches = Batches::new(&distillation.scenario, &states);
        Ok(Self { setup, folder, student, states, batches, table, state, losses: (0.0, 0) })
    }

    fn entry(&self) -> &'d DistillationEntry {
        &self.setup.distillation.entry
    }

    /// One mini-batch step.
    fn fit(&mut self, step: u64) -> Result<(), RunError> {
        let entry = self.entry();
        self.batches.draw(&self.states, entry, step);
        // That it can be fitted was checked when it was bound.
        if let Some(student) = self.student.student() {
            let loss = student.fit(&self.batches.observation(), &self.batches.targets)?;
            self.losses = (self.losses.0 + loss, self.losses.1 + 1);
        }
        Ok(())
    }

    /// True after the step in which a round ends: the rounds divide the steps into equal parts.
    fn ends_round(&self, step: u64) -> bool {
        let DistillationEntry { steps, rounds, .. } = self.entry();
        self.state.rounds < *rounds && step == steps / (rounds + 1) * (self.state.rounds + 1)
    }

    fn validates_after(&self, step: u64) -> bool {
        let DistillationEntry { steps, validate_every, .. } = self.entry();
        self.ends_round(step) || step == *steps || step.is_multiple_of(*validate_every)
    }

    /// Validates the student, ends the round if it is over, and saves everything.
    fn validate_and_save(&mut self, step: u64) -> Result<DistillationRow, DistillError> {
        let failed = |cause| DistillError::Failed { step, cause };
        let checkpoint =
            self.student.saved().map_or_else(|| Ok(Vec::new()), |student| student.checkpoint());
        let checkpoint = checkpoint.map_err(|cause| failed(cause.into()))?;
        let row = self.validate(step, &checkpoint).map_err(failed)?;
        self.table.add(row)?;
        if self.state.best_qoe.is_none_or(|best| row.validation_qoe > best) {
            self.state.best_qoe = Some(row.validation_qoe);
            resume::write(&self.folder.join("best.safetensors"), &checkpoint)?;
        }
        if step == self.entry().steps {
            resume::write(&self.folder.join("final.safetensors"), &checkpoint)?;
        }
        let round_over = self.ends_round(step);
        if round_over {
            self.round(step, &checkpoint)?;
        }
        self.save(step)?;
        if round_over && self.state.rounds > 1 {
            // It may be gone already, if this was interrupted before.
            let _ = std::fs::remove_file(round_file(self.folder, self.state.rounds - 1));
        }
        Ok(row)
    }

    /// The row of a validation; the mean loss is of the steps since the last one.
    fn validate(&mut self, step: u64, checkpoint: &[u8]) -> Result<DistillationRow, RunError> {
        let Self { setup, student, states, losses, .. } = self;
        let Distillation { scenario, entry, .. } = setup.distillation;
        let (validation_loss, agreement) = held_out(scenario, states, student.as_mut())?;
        let (validation_qoe, validation_dropped) =
            validate(scenario, &setup.context, entry.seed, entry.validate_episodes, || {
                setup.student(checkpoint)
            })?;
        let (sum, count) = std::mem::take(losses);
        Ok(DistillationRow {
            step,
            states: states.len() as u64,
            loss: sum / count as f64,
            validation_loss,
            agreement,
            validation_qoe,
            validation_dropped,
        })
    }

    /// Ends a round: adds states of the student's own episodes, labelled by the teacher.
    fn round(&mut self, step: u64, checkpoint: &[u8]) -> Result<(), DistillError> {
        let Self { setup, folder, states, batches, state, .. } = self;
        let Distillation { scenario, entry, .. } = setup.distillation;
        let create_student = || setup.student(checkpoint);
        let collector = Collector {
            scenario,
            context: &setup.context,
            seed: entry.seed,
            teacher: &|| setup.teacher(),
            driver: Driver::Student(&create_student),
        };
        state.next_episode = collector
            .collect(states, state.next_episode, entry.round_states)
            .map_err(|cause| DistillError::Failed { step, cause })?;
        state.rounds += 1;
        let (path, key) = (round_file(folder, state.rounds), setup.key_of_round(state.rounds));
        states.write(&path, &key, scenario.system.server_count() as usize)?;
        *batches = Batches::new(scenario, states);
        Ok(())
    }

    /// Saves the student and the state of the distillation after `step`.
    fn save(&mut self, step: u64) -> Result<(), DistillError> {
        (self.state.step, self.state.rows) = (step, self.table.bytes()?);
        let saved = self.student.saved().map_or_else(|| Ok(Vec::new()), |student| student.save());
        let saved = saved.map_err(|cause| DistillError::Failed { step, cause: cause.into() })?;
        let sha256 = &self.setup.distillation.sha256;
        resume::save(&self.folder.join("state"), sha256, &self.state, &saved)?;
        Ok(())
    }
}

/// Loads the last save in `folder` into `student`; `None` if there is none.
fn resumed(
    folder: &Path,
    scenario_sha256: &str,
    student: &mut dyn Policy,
) -> Result<Option<State>, FolderError> {
    let path = folder.join("state");
    let Some((state, bytes)) = resume::load::<State>(&path, scenario_sha256)? else {
        return Ok(None);
    };
    if let Some(student) = student.saved() {
        let not_resumable = |failure: CallFailure| FolderError::NotResumable {
            path: path.clone(),
            cause: failure.to_string(),
        };
        student.load(&bytes).map_err(not_resumable)?;
    }
    Ok(Some(state))
}

/// The file of the states after a round. Each round has its own; which of them is current, only
/// the state file says.
fn round_file(folder: &Path, round: u64) -> PathBuf {
    folder.join(format!("round-{round}.safetensors"))
}

/// Creates instances of teacher and student.
struct Setup<'d> {
    distillation: &'d Distillation,
    context: PolicyContext,
    teacher_checkpoint: Option<Vec<u8>>,
    /// The absolute path of its file, as bytes; empty if there is none.
    teacher_file: Vec<u8>,
}

impl<'d> Setup<'d> {
    fn new(distillation: &'d Distillation) -> Result<Self, RunError> {
        let Distillation { scenario, sha256, teacher, .. } = distillation;
        let read = |path: &PathBuf| {
            checkpoint::bytes(path)
                .map_err(|cause| RunError::Checkpoint { path: path.clone(), cause })
        };
        let teacher_checkpoint = teacher.checkpoint.as_ref().map(read).transpose()?;
        let context = PolicyContext::new(scenario, sha256);
        let teacher_file = file_bytes(teacher.checkpoint.as_deref());
        Ok(Self { distillation, context, teacher_checkpoint, teacher_file })
    }

    fn teacher(&self) -> Result<Box<dyn Policy>, RunError> {
        let Distillation { entry, teacher, .. } = self.distillation;
        let checkpoint = self.teacher_checkpoint.as_deref();
        let seed = seeds::teacher(entry.seed);
        let lent = self.context.lend();
        let context = lent.context(&teacher.parameters, checkpoint, seed, 1);
        let checkpoint_file = self.teacher_file.as_slice().into();
        Ok(teacher.plugin.create_policy(&Context { checkpoint_file, ..context })?)
    }

    /// A student that has not been fitted yet.
    fn untaught(&self) -> Result<Box<dyn Policy>, RunError> {
        let Distillation { entry, student, .. } = self.distillation;
        let seed = seeds::learner(entry.seed);
        let threads = rayon::current_num_threads() as u32;
        let lent = self.context.lend();
        let context = lent.context(&student.parameters, None, seed, threads);
        Ok(student.plugin.create_policy(&context)?)
    }

    /// The states of the teacher's own episodes: read from `path`, or collected and written there.
    fn teachers_states(&self, path: &Path) -> Result<Dataset, DistillError> {
        let Distillation { scenario, entry, .. } = self.distillation;
        let key = self.key();
        if let Some(states) = Dataset::read(path, &key, scenario)? {
            return Ok(states);
        }
        let mut states = Dataset::default();
        let collector = Collector {
            scenario,
            context: &self.context,
            seed: entry.seed,
            teacher: &|| self.teacher(),
            driver: Driver::Teacher(entry.explored),
        };
        collector
            .collect(&mut states, 0, entry.states)
            .map_err(|cause| DistillError::Failed { step: 0, cause })?;
        states.write(path, &key, scenario.system.server_count() as usize)?;
        Ok(states)
    }

    /// The states after `rounds` rounds, read from `path`.
    fn states_of_round(&self, path: &Path, rounds: u64) -> Result<Dataset, DistillError> {
        let key = self.key_of_round(rounds);
        let states = Dataset::read(path, &key, &self.distillation.scenario)?;
        let missing = || FolderError::NotResumable {
            path: path.to_owned(),
            cause: "it does not have the states of the rounds".to_owned(),
        };
        Ok(states.ok_or_else(missing)?)
    }

    /// The student of a checkpoint.
    fn student(&self, checkpoint: &[u8]) -> Result<Box<dyn Policy>, RunError> {
        let student = &self.distillation.student;
        let lent = self.context.lend();
        let context = lent.context(&student.parameters, Some(checkpoint), 0, 1);
        Ok(student.plugin.create_policy(&context)?)
    }

    /// The hash of everything the teacher's states depend on.
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

    /// The hash of everything the states after that many rounds depend on.
    fn key_of_round(&self, rounds: u64) -> String {
        let described = format!("{} {} {rounds}", self.key(), self.distillation.sha256);
        sha256(described.as_bytes())
    }
}

/// Mini-batches: the same number of states for each device, drawn anew in each step.
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

    /// Empties the mini-batch.
    fn clear(&mut self) {
        self.features.clear();
        self.histories.clear();
        self.history_of.clear();
        self.devices.clear();
        self.targets.clear();
    }

    /// Adds a state.
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

    /// Draws the mini-batch of a step.
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

/// Loss (if the student has values) and agreement on the held-out states.
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
