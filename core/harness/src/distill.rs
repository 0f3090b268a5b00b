//! Distillation (section 5.3 of the paper): a student is fitted to its teacher's values.
//!
//! ```text
//! RUN/dataset.safetensors     states with the teacher's values; reused by later distillations
//! RUN/distillation.csv        one row per validation
//! RUN/timing.csv              the wall-clock time up to each validation
//! RUN/best.safetensors        the student with the best validation
//! RUN/final.safetensors       the student of the last step
//! RUN/round-N.safetensors     the dataset with the states of all rounds up to the last, if any
//! RUN/state                   everything needed to resume, as of the last validation
//! ```
//!
//! One state in ten is held out for validation loss and agreement (the share of states in which
//! student and teacher decide alike). Validation QoE comes from episodes with a seed of their own.
//!
//! A distillation may resume with more steps, unless rounds divide them or the student depends on their number, and
//! then fits what it would have fitted at once; what differs is the validation after the step that was the last one.
//! If validations play another number of episodes now, the best of them is sought anew from there. One that
//! has nothing left to do leaves its folder as it is.

use std::path::{Path, PathBuf};
use std::time::Instant;

use offramp_host::plugin::{Context, UNDECIDED};
use offramp_host::{CallFailure, Policy};
use offramp_results::files::{FileRecord, sha256};
use offramp_results::learning::{DistillationRow, DistillationTimingRow, Validation, diagnostic};
use offramp_results::words::counted;
use offramp_scenario::{DistillationEntry, Scenario};
use serde::{Deserialize, Serialize};

use crate::bind::Distillation;
use crate::context::{PolicyContext, learning_steps};
use crate::dataset::{
    CollectError, Collector, Dataset, DatasetError, DatasetFault, Driver, greedy,
};
use crate::engine::ENGINE;
use crate::events::{Event, Observer};
use crate::instances::Instances;
use crate::memory;
use crate::mini_batch::{Batches, held_out_states};
use crate::origin::{Checkpoint, NotCreated, Origin, Refusal, created};
use crate::resume::{self, FolderError, Start, Table};
use crate::run::RunError;
use crate::seeds;
use crate::validation::{Validated, validate};

/// Fields that change nothing of what is learned; a distillation may resume with others.
const FREE: [&str; 9] = [
    "train",
    "tune",
    "distill.validate_every",
    "distill.validate_episodes",
    "distill.stop_after",
    // The hashes of the plugins themselves, and of the checkpoints, are compared.
    "distill.teacher.sha256",
    "distill.student.sha256",
    "distill.teacher.checkpoint",
    "distill.from",
];

/// The field that names what learns.
const STUDENT: &str = "distill.student";

/// The reason why a distillation ended early.
#[derive(Debug, thiserror::Error)]
pub enum DistillError {
    /// Teacher or student refuses what the scenario states. Nothing has been done.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A plugin failed, in a mini-batch step or a validation.
    #[error("step {step}: {cause}")]
    Failed {
        /// The mini-batch step; 0 before the first.
        step: u64,
        /// The failure.
        cause: RunError,
    },
    /// There are no states to learn from.
    #[error(
        "step {step}: no task arrived in {}: there are no states to learn from",
        counted(*episodes, "episode")
    )]
    NoTasks {
        /// The mini-batch step; 0 before the first.
        step: u64,
        /// Episodes in which none arrived.
        episodes: u64,
    },
    /// The dataset can't be used.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The folder can't be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

impl DistillError {
    /// An error of collecting states after `step`.
    fn of_collecting(step: u64, error: CollectError) -> Self {
        match error {
            CollectError::Failed(cause) => Self::Failed { step, cause },
            CollectError::NoTasks { episodes } => Self::NoTasks { step, episodes },
        }
    }
}

impl From<NotCreated> for DistillError {
    fn from(error: NotCreated) -> Self {
        match error {
            NotCreated::Refused(refusal) => refusal.into(),
            NotCreated::Crashed(failure) => Self::Failed { step: 0, cause: failure.into() },
        }
    }
}

/// The state of a distillation after a validation, saved beside the student.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    step: u64,
    /// Rounds done; their states are in the file of the last one.
    rounds: u64,
    best_qoe: Option<f64>,
    /// Validations since the best one.
    since_best: u64,
    /// The episodes in which the best one is the best; `None` in a save that does not note it.
    #[serde(default)]
    validated: Option<Validated>,
    /// True if the distillation ended early with the last step.
    stopped: bool,
    /// The number of the next episode that the student plays itself.
    next_episode: u64,
    /// Bytes of `distillation.csv`.
    rows: u64,
}

impl State {
    /// The student's own episodes are numbered far above all that the teacher could drive.
    fn new(validated: Validated) -> Self {
        Self {
            step: 0,
            rounds: 0,
            best_qoe: None,
            since_best: 0,
            validated: Some(validated),
            stopped: false,
            next_episode: 1 << 40,
            rows: 0,
        }
    }
}

/// Checks that a distillation can begin or resume in `folder`, without doing anything: that its
/// plugins can be created, and that it is of the same origin as what it resumes.
///
/// Returns a hash of what its teacher's states are made of: distillations that have the same one can share
/// a dataset. `None` if a plugin crashes, which [`distill`] reports.
///
/// # Errors
/// [`DistillError::Refused`] and [`DistillError::Folder`].
pub fn check(
    distillation: &Distillation,
    folder: &Path,
    start: Start,
) -> Result<Option<String>, DistillError> {
    let setup = match Setup::new(distillation) {
        Err(DistillError::Failed { .. }) => return Ok(None),
        setup => setup?.0,
    };
    if start == Start::Resume {
        let path = state_file(folder);
        let state: Option<State> = resume::saved(&path, &setup.origin)?;
        state.map_or(Ok(()), |state| setup.accept(&path, &state))?;
    }
    Ok(Some(setup.key()))
}

/// Distils a teacher into `folder`, which the caller has [claimed](resume::Claim), or one around it,
/// reporting [`Event::Validation`]s. The file `dataset` keeps the states, which other distillations
/// may reuse. Threads are those of the rayon pool this is called in; neither their number nor an
/// interruption changes the result.
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
    let mut distiller = Distiller::new(distillation, folder, dataset, start)?;
    let DistillationEntry { steps, stop_after, .. } = distillation.entry;
    let (memory, done) = (distiller.setup.memory, distiller.state.step);
    observer.on_event(Event::Begun { learner: "distill", memory, done });
    for step in distiller.state.step + 1..=steps {
        if distiller.state.stopped {
            break;
        }
        if observer.interrupted() {
            return Err(FolderError::Interrupted.into());
        }
        distiller.fit(step).map_err(|cause| DistillError::Failed { step, cause })?;
        if distiller.validates_after(step) {
            distiller.validate_and_save(step, observer)?;
        }
        if let Some(validations) = stop_after.filter(|_| distiller.state.stopped && step < steps) {
            observer.on_event(Event::Stopped { unit: "step", after: step, validations });
        }
    }
    Ok(())
}

/// Collects the states that [`distill`] begins with in the file `dataset`, unless it has them already;
/// `folder` is that of the distillation.
///
/// # Errors
/// As of [`distill`].
pub fn collect(
    distillation: &Distillation,
    folder: &Path,
    dataset: &Path,
    start: Start,
) -> Result<(), DistillError> {
    Distiller::new(distillation, folder, dataset, start).map(drop)
}

/// A distillation under way.
struct Distiller<'d> {
    setup: Setup<'d>,
    folder: &'d Path,
    student: Box<dyn Policy>,
    states: Dataset,
    batches: Batches,
    table: Table,
    timing: Table,
    /// When the time began that the next row of `timing` states.
    since: Instant,
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
        let since = Instant::now();
        let (setup, mut student) = Setup::new(distillation)?;
        let state = match start {
            Start::New => None,
            Start::Resume => setup.resumed(&state_file(folder), student.as_mut())?,
        };
        let state = state.unwrap_or_else(|| State::new(setup.validated()));
        // Nothing is written before there are states: without them there is nothing to resume.
        let (states, collected) = match state.rounds {
            0 => setup.teachers_states(dataset)?,
            rounds => (setup.states_of_round(&round_file(folder, rounds), rounds)?, false),
        };
        if state.step < distillation.entry.steps && !state.stopped {
            resume::begin(folder, &distillation.scenario.text)?;
        }
        if collected {
            states.write(dataset, &setup.key(), setup.servers())?;
        }
        let table = Table::open(&folder.join("distillation.csv"), state.rows)?;
        let timing = Table::open_below(&folder.join("timing.csv"), state.step + 1)?;
        let batches = Batches::new(&distillation.scenario, distillation.entry.batch, &states);
        let losses = (0.0, 0);
        Ok(Self { setup, folder, student, states, batches, table, timing, since, state, losses })
    }

    fn entry(&self) -> &'d DistillationEntry {
        &self.setup.distillation.entry
    }

    /// One mini-batch step.
    fn fit(&mut self, step: u64) -> Result<(), RunError> {
        let entry = self.entry();
        let batch = self.batches.draw(&self.states, entry.seed, step);
        // That it can be fitted was checked when it was bound.
        if let Some(student) = self.student.student() {
            let loss = student.fit(&batch.observation(), batch.targets())?;
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

    /// Validates the student, reports that, ends the round if it is over, and saves everything.
    fn validate_and_save(
        &mut self,
        step: u64,
        observer: &dyn Observer,
    ) -> Result<(), DistillError> {
        let failed = |cause| DistillError::Failed { step, cause };
        let checkpoint =
            self.student.saved().map_or_else(|| Ok(Vec::new()), |student| student.checkpoint());
        let checkpoint = checkpoint.map_err(|cause| failed(cause.into()))?;
        let validation = self.validate(step, &checkpoint).map_err(failed)?;
        let row = validation.row;
        self.table.add(row)?;
        // Before the save: what is saved has been reported.
        observer.on_event(Event::Validation(&validation));
        if self.state.best_qoe.is_none_or(|best| row.validation_qoe > best) {
            (self.state.best_qoe, self.state.since_best) = (Some(row.validation_qoe), 0);
            resume::write(&self.folder.join("best.safetensors"), &checkpoint)?;
        } else {
            self.state.since_best += 1;
        }
        let DistillationEntry { steps, stop_after, .. } = *self.entry();
        self.state.stopped = stop_after.is_some_and(|limit| self.state.since_best >= limit);
        if step == steps || self.state.stopped {
            resume::write(&self.folder.join("final.safetensors"), &checkpoint)?;
        }
        let round_over = self.ends_round(step);
        if round_over {
            self.round(step, &checkpoint)?;
        }
        let now = Instant::now();
        let seconds = (now - std::mem::replace(&mut self.since, now)).as_secs_f64();
        self.timing.add(DistillationTimingRow { step, seconds })?;
        self.save(step)?;
        if round_over && self.state.rounds > 1 {
            // It may be gone already, if this was interrupted before.
            let _ = std::fs::remove_file(round_file(self.folder, self.state.rounds - 1));
        }
        Ok(())
    }

    /// A validation; the mean loss is of the steps since the last one.
    fn validate(&mut self, step: u64, checkpoint: &[u8]) -> Result<Validation, RunError> {
        let Self { setup, student, states, losses, .. } = self;
        let Distillation { scenario, entry, .. } = setup.distillation;
        let (validation_loss, agreement) = held_out(scenario, states, student.as_mut())?;
        let (validation_qoe, validation_dropped) =
            validate(scenario, &setup.context, None, entry.seed, entry.validate_episodes, || {
                setup.student(checkpoint)
            })?;
        let diagnostics =
            student.saved().map_or_else(|| Ok(Vec::new()), |saved| saved.diagnostics())?;
        let (sum, count) = std::mem::take(losses);
        let row = DistillationRow {
            step,
            states: states.len() as u64,
            loss: sum / count as f64,
            gradient_norm: diagnostic(&diagnostics, "gradient_norm"),
            validation_loss,
            agreement,
            validation_qoe,
            validation_dropped,
        };
        Ok(Validation { row, diagnostics })
    }

    /// Ends a round: adds states of the student's own episodes, labelled by the teacher.
    fn round(&mut self, step: u64, checkpoint: &[u8]) -> Result<(), DistillError> {
        let Self { setup, folder, states, batches, state, .. } = self;
        let Distillation { scenario, entry, .. } = setup.distillation;
        let (teachers, students) = (Instances::default(), Instances::default());
        let create_student = || students.next(|| setup.student(checkpoint));
        let collector = Collector {
            scenario,
            context: &setup.context,
            seed: entry.seed,
            teacher: &|| teachers.next(|| Ok(setup.teacher()?)),
            driver: Driver::Student(&create_student),
        };
        state.next_episode = collector
            .collect(states, state.next_episode, entry.round_states)
            .map_err(|error| DistillError::of_collecting(step, error))?;
        state.rounds += 1;
        let (path, key) = (round_file(folder, state.rounds), setup.key_of_round(state.rounds));
        states.write(&path, &key, setup.servers())?;
        *batches = Batches::new(scenario, entry.batch, states);
        Ok(())
    }

    /// Saves the student and the state of the distillation after `step`.
    fn save(&mut self, step: u64) -> Result<(), DistillError> {
        (self.state.step, self.state.rows) = (step, self.table.bytes()?);
        let saved = self.student.saved().map_or_else(|| Ok(Vec::new()), |student| student.save());
        let saved = saved.map_err(|cause| DistillError::Failed { step, cause: cause.into() })?;
        resume::save(&state_file(self.folder), &self.setup.origin, &self.state, &saved)?;
        Ok(())
    }
}

fn state_file(folder: &Path) -> PathBuf {
    folder.join("state")
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
    origin: Origin,
    teacher_checkpoint: Checkpoint,
    /// The one that the student begins from.
    from: Checkpoint,
    /// Bytes that the student will need at most; 0 if it does not know.
    memory: u64,
    /// The files that the teacher reads by itself.
    teachers_files: Vec<FileRecord>,
}

impl<'d> Setup<'d> {
    /// The setup, and a student that has not been fitted yet. A teacher is created too, to find out
    /// whether it can be.
    fn new(distillation: &'d Distillation) -> Result<(Self, Box<dyn Policy>), DistillError> {
        let Distillation { scenario, entry, teacher, student, from, .. } = distillation;
        let teacher_checkpoint =
            Checkpoint::read("distill.teacher.checkpoint", teacher.checkpoint.as_deref())?;
        let from = Checkpoint::read("distill.from", from.as_deref())?;
        let mut origin = Origin::of_scenario(scenario, &FREE);
        if entry.rounds == 0 && learning_steps(&student.plugin, entry.steps) == 0 {
            // Without rounds that divide them, steps depend on nothing after them.
            origin.leave_out("distill.steps");
        }
        // What checkpoints state: the same after a change that concerns nothing learned.
        let context = PolicyContext::new(scenario, &origin.sha256());
        let mut setup = Self {
            distillation,
            context,
            origin,
            teacher_checkpoint,
            from,
            memory: 0,
            teachers_files: Vec::new(),
        };
        let (_, files) =
            created("distill.teacher", &scenario.folder, setup.teacher(), |teacher| {
                teacher.files()
            })?;
        setup.origin.add_plugin("distill.teacher", &teacher.plugin.library, &files);
        setup.teachers_files = files;
        let checkpoint = setup.teacher_checkpoint.bytes().unwrap_or_default();
        setup.origin.add_checkpoint("distill.teacher.checkpoint", checkpoint);
        let create = |from: &Checkpoint| setup.untaught(from);
        let parameters = "distill.student.parameters";
        let (mut made, files) =
            setup.from.begun("distill.from", parameters, &scenario.folder, create)?;
        setup.origin.add_plugin(STUDENT, &student.plugin.library, &files);
        if let Some(bytes) = setup.from.bytes() {
            setup.origin.add_checkpoint("distill.from", bytes);
        }
        let of_student = memory::needed(STUDENT, made.as_mut())?;
        setup.memory = of_student.saturating_add(memory::of_states(scenario, entry)?);
        Ok((setup, made))
    }

    fn servers(&self) -> usize {
        self.distillation.scenario.system.server_count() as usize
    }

    /// Loads the last save into `student`; `None` if there is none.
    fn resumed(&self, path: &Path, student: &mut dyn Policy) -> Result<Option<State>, FolderError> {
        let Some((mut state, bytes)) = resume::load::<State>(path, &self.origin)? else {
            return Ok(None);
        };
        self.accept(path, &state)?;
        let validated = Some(self.validated());
        if state.validated.is_some() && state.validated != validated {
            (state.best_qoe, state.since_best) = (None, 0);
            state.stopped = false;
        }
        state.validated = validated;
        // It continues if now it may wait longer.
        let stops = |limit| state.stopped && state.since_best >= limit;
        state.stopped = self.distillation.entry.stop_after.is_some_and(stops);
        if let Some(student) = student.saved() {
            let not_resumable = |failure: CallFailure| FolderError::NotResumable {
                path: path.to_owned(),
                cause: failure.to_string(),
            };
            student.load(&bytes).map_err(not_resumable)?;
        }
        Ok(Some(state))
    }

    /// The episodes that its validations play.
    fn validated(&self) -> Validated {
        Validated::new(self.distillation.entry.validate_episodes, None)
    }

    /// Checks that a save has no more steps than are asked for.
    fn accept(&self, path: &Path, state: &State) -> Result<(), FolderError> {
        let (done, asked) = (state.step, self.distillation.entry.steps);
        if done <= asked {
            return Ok(());
        }
        let change = format!("`distill.steps` is {asked}, and {done} are done already");
        Err(FolderError::Changed { path: path.to_owned(), change })
    }

    fn teacher(&self) -> Result<Box<dyn Policy>, CallFailure> {
        let Distillation { entry, teacher, .. } = self.distillation;
        let seed = seeds::teacher(entry.seed);
        let lent = self.context.lend();
        let context = lent.context(&teacher.parameters, None, seed, 1);
        teacher.plugin.create_policy(&self.teacher_checkpoint.handed_to(&context))
    }

    /// A student that has not been fitted yet, begun from a checkpoint if there is one.
    fn untaught(&self, from: &Checkpoint) -> Result<Box<dyn Policy>, CallFailure> {
        let Distillation { entry, student, .. } = self.distillation;
        let seed = seeds::learner(entry.seed);
        let threads = rayon::current_num_threads() as u32;
        let lent = self.context.lend();
        let context = Context {
            learning_steps: learning_steps(&student.plugin, entry.steps),
            ..lent.context(&student.parameters, None, seed, threads)
        };
        student.plugin.create_policy(&from.handed_to(&context))
    }

    /// The states of the teacher's own episodes, and whether they were collected: else they are
    /// those of the file `path`.
    fn teachers_states(&self, path: &Path) -> Result<(Dataset, bool), DistillError> {
        let Distillation { scenario, entry, .. } = self.distillation;
        if let Some(states) = Dataset::read(path, &self.key(), scenario)? {
            return Ok((states, false));
        }
        if path.exists() {
            return Err(DatasetError { path: path.to_owned(), fault: DatasetFault::Other }.into());
        }
        let mut states = Dataset::default();
        let teachers = Instances::default();
        let collector = Collector {
            scenario,
            context: &self.context,
            seed: entry.seed,
            teacher: &|| teachers.next(|| Ok(self.teacher()?)),
            driver: Driver::Teacher(entry.explored),
        };
        collector
            .collect(&mut states, 0, entry.states)
            .map_err(|error| DistillError::of_collecting(0, error))?;
        Ok((states, true))
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
        let mut described = format!(
            "{ENGINE} {parameters:?} {:?} {} {} {} {states} {explored} {seed}",
            scenario.observation,
            teacher.plugin.library.sha256,
            teacher.parameters,
            sha256(self.teacher_checkpoint.bytes().unwrap_or_default()),
        );
        for FileRecord { path, sha256 } in &self.teachers_files {
            described += &format!(" {path} {sha256}");
        }
        sha256(described.as_bytes())
    }

    /// The hash of everything the states after that many rounds depend on.
    fn key_of_round(&self, rounds: u64) -> String {
        let described = format!("{} {} {rounds}", self.key(), self.origin.sha256());
        sha256(described.as_bytes())
    }
}

/// Loss (if the student has values) and agreement on the held-out states.
fn held_out(
    scenario: &Scenario,
    states: &Dataset,
    student: &mut dyn Policy,
) -> Result<(Option<f64>, f64), RunError> {
    let rows = held_out_states(scenario, states);
    if rows.is_empty() {
        return Ok((None, 1.0));
    }
    let loss = match student.value_function() {
        None => None,
        Some(student) => {
            let mut values = vec![0.0; rows.targets().len()];
            student.values(&rows.observation(), &mut values)?;
            let errors = values.iter().zip(rows.targets()).map(|(q, target)| f64::from(q - target));
            Some(errors.map(|error| error * error).sum::<f64>() / values.len() as f64)
        }
    };
    let mut decided = vec![UNDECIDED; rows.len()];
    student.decide(&rows.observation(), &mut decided)?;
    let teacher =
        rows.targets().chunks_exact(scenario.system.server_count() as usize + 1).map(greedy);
    let alike = decided.iter().zip(teacher).filter(|(ours, theirs)| **ours == *theirs).count();
    Ok((loss, alike as f64 / decided.len() as f64))
}
