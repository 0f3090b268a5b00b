//! Training: a learner's own episodes, with an explorer, and a validation every now and then.
//!
//! ```text
//! RUN/scenario.ron            the scenario as it was trained
//! RUN/training.csv            one row per episode
//! RUN/timing.csv              the wall-clock time of each episode
//! RUN/systems.csv             the system of each episode, if they are drawn
//! RUN/best.safetensors        the checkpoint with the best validation so far
//! RUN/final.safetensors       the checkpoint of the last episode
//! RUN/state                   everything needed to resume, as of the last save
//! ```
//!
//! A training that resumes from `state` is bit-identical to one that was never interrupted: the
//! randomness of an episode depends on seed and episode alone, the learner saves all its state, and
//! rows written after the last save are cut off and written again. It may resume with more
//! episodes, unless learner or explorer depends on their number, and then learns what it would have
//! learned at once; what differs is the validation after the episode that was the last one. What it
//! learns from must be the same. If its validations play other episodes or systems now, the best of them is
//! sought anew from there: means over different episodes can't be compared. A training that has nothing left
//! to do leaves its folder as it is.
//!
//! Each episode may be played in a system of its own ([`train.systems`](TrainingEntry::systems)). It is
//! drawn from a stream of its own, so that it depends on seed and episode alone, too.
//!
//! A learner may be shown a teacher's values of the tasks that wait, before each slot is carried out
//! ([`train.teacher`](TrainingEntry::teacher)); it decides and explores as without one.
//!
//! A validation plays separate instances, created from the checkpoint, on episodes that are neither
//! trained on nor part of an evaluation.

use std::path::{Path, PathBuf};
use std::time::Instant;

use offramp_host::plugin::{Context, Needs, Observation, Progress, TransitionBatch, UNDECIDED};
use offramp_host::{CallFailure, CallFault, Explorer, Policy};
use offramp_model::Workload;
use offramp_results::EpisodeMetrics;
use offramp_results::learning::{TimingRow, TrainingEpisode, TrainingRow, diagnostic};
use offramp_results::words::counted;
use offramp_scenario::TrainingEntry;
use serde::{Deserialize, Serialize};

use crate::bind::{BoundTeacher, Training};
use crate::context::{PolicyContext, learning_steps};
use crate::environment::Environment;
use crate::events::{Event, Observer};
use crate::judged::Judged;
use crate::memory;
use crate::metrics::EpisodeMeter;
use crate::origin::{Checkpoint, NotCreated, Origin, Refusal, created};
use crate::resume::{self, FolderError, Start, Table};
use crate::run::RunError;
use crate::seeds;
use crate::systems::{EpisodeSystem, Systems};
use crate::validation::{Validated, validate};

/// Fields that change nothing of what is learned; a training may resume with others.
const FREE: [&str; 12] = [
    "distill",
    "tune",
    "train.validate_every",
    "train.validate_episodes",
    "train.validate_systems",
    "train.stop_after",
    "train.save_every",
    // The hashes of the plugins themselves, and of the checkpoints, are compared.
    "train.learner.sha256",
    "train.explorer.sha256",
    "train.teacher.sha256",
    "train.teacher.checkpoint",
    "train.from",
];

/// The field that names what learns.
const LEARNER: &str = "train.learner";

/// The reason why a training ended early, or came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The learner or the explorer refuses what the scenario states. Nothing has been done.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A call into a plugin failed, or a decision could not be carried out.
    #[error("episode {episode}: {cause}")]
    Failed {
        /// The training episode.
        episode: u64,
        /// The failure.
        cause: RunError,
    },
    /// The learner has not learned anything. It may with more episodes.
    #[error("{}", untrained(*.episodes, *.tasks))]
    Untrained {
        /// All training episodes.
        episodes: u64,
        /// Tasks that arrived in them.
        tasks: u64,
    },
    /// The folder can't be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// Explains why nothing was learned, as far as can be known without knowing the learner.
fn untrained(episodes: u64, tasks: u64) -> String {
    let episodes = counted(episodes, "episode");
    if tasks == 0 {
        return format!("nothing was learned: no task arrived in {episodes}");
    }
    let tasks = counted(tasks, "task");
    format!(
        "nothing was learned: the learner did not report a single update in {episodes} \
         with {tasks}; it may wait for more episodes or tasks than there are, or for more experience \
         than it remembers"
    )
}

impl From<NotCreated> for TrainError {
    fn from(error: NotCreated) -> Self {
        match error {
            NotCreated::Refused(refusal) => refusal.into(),
            NotCreated::Crashed(failure) => Self::Failed { episode: 0, cause: failure.into() },
        }
    }
}

/// The state of a training, saved beside the learner.
#[derive(Serialize, Deserialize)]
struct State {
    next_episode: u64,
    updates: u64,
    /// True once the learner has reported an update.
    updated: bool,
    /// Tasks that arrived so far.
    tasks: u64,
    best_qoe: Option<f64>,
    /// Validations since the best one.
    since_best: u64,
    /// The episodes in which the best one is the best; `None` in a save that does not note it.
    #[serde(default)]
    validated: Option<Validated>,
    /// True if the training ended early with the last episode.
    stopped: bool,
    /// Bytes of `training.csv` up to the row of the last episode before `next_episode`.
    rows: u64,
}

/// A training under way.
struct Trainer<'t> {
    training: &'t Training,
    systems: Systems<'t>,
    context: PolicyContext,
    origin: Origin,
    folder: PathBuf,
    learner: Box<dyn Policy>,
    explorer: Option<Box<dyn Explorer>>,
    teacher: Option<Box<dyn Policy>>,
    /// The teacher's values of the slot at hand.
    taught: Vec<f32>,
    /// Bytes that the learner will need at most; 0 if it does not know.
    memory: u64,
    /// Of how many tasks per episode the learner wants to know the counterfactuals.
    judged_tasks: u64,
    progress: Progress,
    updated: bool,
    tasks: u64,
    best_qoe: Option<f64>,
    /// Validations since the best one.
    since_best: u64,
    /// True if the training ends early, as these are too many.
    stopped: bool,
}

/// Checks that a training can begin or resume in `folder`, without writing anything: that its plugins
/// can be created, that it is of the same origin as what it resumes, and if it begins, that the learner
/// takes in a first slot.
///
/// # Errors
/// [`TrainError::Refused`] and [`TrainError::Folder`]. A plugin that crashes is found by [`train`].
pub fn check(training: &Training, folder: &Path, start: Start) -> Result<(), TrainError> {
    let mut trainer = match Trainer::new(training, folder) {
        Err(TrainError::Failed { .. }) => return Ok(()),
        trainer => trainer?,
    };
    if start == Start::Resume {
        let state: Option<State> = resume::saved(&trainer.state_file(), &trainer.origin)?;
        if let Some(state) = state {
            return Ok(trainer.accept(&state)?);
        }
    }
    match trainer.first_slot() {
        Err(RunError::Call(CallFailure {
            call: call @ ("fit" | "record"),
            fault: CallFault::Error(cause),
            ..
        })) => {
            let cause = format!("`{}`, {call}: {cause}", training.entry.learner.name);
            Err(Refusal { field: LEARNER.to_owned(), cause }.into())
        }
        // Whatever else it is, the training reports it.
        _ => Ok(()),
    }
}

/// Trains a learner into `folder`, which the caller has [claimed](resume::Claim), or one around it,
/// reporting [`Event::TrainingEpisode`]s. Threads are those of the rayon pool this is called in;
/// neither their number nor an interruption changes the result.
///
/// # Errors
/// [`TrainError`]; what was saved by then is kept.
pub fn train(
    training: &Training,
    folder: &Path,
    start: Start,
    observer: &dyn Observer,
) -> Result<(), TrainError> {
    let TrainingEntry { episodes, validate_every, stop_after, save_every, .. } = training.entry;
    let mut trainer = Trainer::new(training, folder)?;
    let saved = match start {
        Start::New => None,
        Start::Resume => trainer.resume()?,
    };
    let rows = saved.as_ref().map_or(0, |state| state.rows);
    let done = saved.map_or(0, |state| state.next_episode);
    if done == episodes || trainer.stopped {
        observer.on_event(Event::Begun { learner: LEARNER, memory: trainer.memory, done });
        return trainer.outcome();
    }
    resume::begin(folder, &training.scenario.text)?;
    let mut table = Table::open(&folder.join("training.csv"), rows)?;
    let mut timing = Table::open_below(&folder.join("timing.csv"), done)?;
    let drawn = trainer.systems.are_drawn();
    let systems = drawn.then(|| Table::open_below(&folder.join("systems.csv"), done));
    let mut systems = systems.transpose()?;
    observer.on_event(Event::Begun { learner: LEARNER, memory: trainer.memory, done });
    for episode in done..episodes {
        if observer.interrupted() {
            trainer.save(episode, table.bytes()?)?;
            return Err(FolderError::Interrupted.into());
        }
        let begun = Instant::now();
        let system = trainer.systems.episode(episode)?;
        let played = trainer.episode(episode, &system);
        let mut played = played.map_err(|cause| TrainError::Failed { episode, cause })?;
        let ended = Instant::now();
        played.timing =
            TimingRow { episode, seconds: (ended - begun).as_secs_f64(), validation_seconds: None };
        let count = episode + 1;
        let last = count == episodes;
        if last || count.is_multiple_of(validate_every) {
            trainer.validate(&mut played.row, last)?;
            played.timing.validation_seconds = Some(ended.elapsed().as_secs_f64());
        }
        table.add(played.row)?;
        timing.add(played.timing)?;
        if let (Some(systems), Some(row)) = (&mut systems, system.row(episode)) {
            systems.add(row)?;
        }
        // Before the save: what is saved has been reported.
        observer.on_event(Event::TrainingEpisode(&played));
        if last || trainer.stopped || count.is_multiple_of(save_every) {
            trainer.save(count, table.bytes()?)?;
        }
        if let Some(validations) = stop_after.filter(|_| trainer.stopped && !last) {
            observer.on_event(Event::Stopped { unit: "episode", after: count, validations });
        }
        if trainer.stopped {
            break;
        }
    }
    trainer.outcome()
}

/// Sums over the slots of a training episode.
#[derive(Default)]
struct EpisodeSums {
    loss: f64,
    /// Slots with a loss.
    losses: u64,
    /// Sum of the exploration rate over decisions.
    explored: f64,
    /// Decisions in which an explorer took part.
    decisions: usize,
    /// Decisions that took each action, 0 to M.
    actions: Vec<u64>,
}

impl<'t> Trainer<'t> {
    fn new(training: &'t Training, folder: &Path) -> Result<Self, TrainError> {
        let Training { scenario, entry, learner, explorer, teacher, from, .. } = training;
        let from = Checkpoint::read("train.from", from.as_deref())?;
        let mut origin = Origin::of_scenario(scenario, &FREE);
        let systems = Systems::of_training(scenario, entry);
        let steps = systems.slots(entry.episodes)?;
        let validations = seeds::validation(entry.seed);
        let validations = Systems::of_validation(scenario, Some(entry), validations);
        let count = entry.validate_systems.unwrap_or(0).min(entry.validate_episodes);
        validations.slots(count)?;
        let learner_steps = learning_steps(&learner.plugin, steps);
        let explorer_steps =
            explorer.as_ref().map_or(0, |explorer| learning_steps(&explorer.plugin, steps));
        if learner_steps == 0 && explorer_steps == 0 {
            // It learns the same up to there, however long it continues.
            origin.leave_out("train.episodes");
        }
        // What checkpoints state: the same after a change that concerns nothing learned.
        let context = PolicyContext::new(scenario, &origin.sha256());
        let threads = rayon::current_num_threads() as u32;
        let lent = context.lend();
        let seed = seeds::learner(entry.seed);
        let of_learner = Context {
            learning_steps: learner_steps,
            ..lent.context(&learner.parameters, None, seed, threads)
        };
        let create = |from: &Checkpoint| learner.plugin.create_policy(&from.handed_to(&of_learner));
        let (made, files) =
            from.begun("train.from", "train.learner.parameters", &scenario.folder, create)?;
        origin.add_plugin(LEARNER, &learner.plugin.library, &files);
        if let Some(bytes) = from.bytes() {
            origin.add_checkpoint("train.from", bytes);
        }
        let mut learner = made;
        let memory = memory::needed(LEARNER, learner.as_mut())?;
        let judged_tasks = learner.learner().map_or(Ok(0), |learner| learner.judged_tasks());
        let judged_tasks = judged_tasks.map_err(NotCreated::Crashed)?;
        let explorer = match explorer {
            None => None,
            Some(explorer) => {
                let seed = seeds::explorer(entry.seed);
                let of_explorer = Context {
                    learning_steps: explorer_steps,
                    ..lent.context(&explorer.parameters, None, seed, 1)
                };
                let (made, files) = created(
                    "train.explorer.parameters",
                    &scenario.folder,
                    explorer.plugin.create_explorer(&of_explorer),
                    |explorer| explorer.files(),
                )?;
                origin.add_plugin("train.explorer", &explorer.plugin.library, &files);
                Some(made)
            }
        };
        let teacher = match teacher {
            None => None,
            Some(BoundTeacher { plugin, parameters, checkpoint }) => {
                let checkpoint =
                    Checkpoint::read("train.teacher.checkpoint", checkpoint.as_deref())?;
                let of_teacher = lent.context(parameters, None, seeds::teacher(entry.seed), 1);
                let (made, files) = created(
                    "train.teacher",
                    &scenario.folder,
                    plugin.create_policy(&checkpoint.handed_to(&of_teacher)),
                    |teacher| teacher.files(),
                )?;
                origin.add_plugin("train.teacher", &plugin.library, &files);
                let bytes = checkpoint.bytes().unwrap_or_default();
                origin.add_checkpoint("train.teacher.checkpoint", bytes);
                Some(made)
            }
        };
        Ok(Self {
            training,
            systems,
            context,
            origin,
            folder: folder.to_owned(),
            learner,
            explorer,
            teacher,
            taught: Vec::new(),
            memory,
            judged_tasks,
            progress: Progress::default(),
            updated: false,
            tasks: 0,
            best_qoe: None,
            since_best: 0,
            stopped: false,
        })
    }

    /// Plays the first slot that has tasks, up to where the learner has recorded it. Whether there is a teacher
    /// to learn from no learner knows when it is created: one that needs one, or has no use for it, says
    /// so here.
    fn first_slot(&mut self) -> Result<(), RunError> {
        let played_in =
            self.systems.episode(0).map_err(|refusal| RunError::Refused(refusal.to_string()))?;
        let Training { scenario, entry, .. } = self.training;
        let seed = seeds::training_tasks(entry.seed);
        let mut environment = Environment::new(&played_in.system, scenario.observation, seed, 0);
        let needs = self.begin_episode(0, &played_in)?;
        let mut actions = Vec::new();
        while !environment.is_over() {
            actions.clear();
            actions.resize(environment.rows(), UNDECIDED);
            let observation = environment.observe(needs);
            let has_tasks = !actions.is_empty();
            if has_tasks {
                self.decide(&observation, &mut actions, &mut EpisodeSums::default())?;
                self.teach(&observation)?;
            }
            environment.step(&actions)?;
            if let Some(learner) = self.learner.learner() {
                learner.record(&environment.transitions(&actions).batch())?;
            }
            if has_tasks {
                break;
            }
        }
        Ok(())
    }

    /// Plays a training episode in a system, in which the learner learns after each slot.
    fn episode(
        &mut self,
        number: u64,
        played_in: &EpisodeSystem,
    ) -> Result<TrainingEpisode, RunError> {
        let Training { scenario, entry, .. } = self.training;
        let system = &played_in.system;
        let seed = seeds::training_tasks(entry.seed);
        let mut environment = Environment::new(system, scenario.observation, seed, number);
        let mut meter = EpisodeMeter::new(system);
        let needs = self.begin_episode(number, played_in)?;
        let (mut actions, mut decided) = (Vec::new(), Vec::new());
        let mut sums = EpisodeSums {
            actions: vec![0; system.server_count() as usize + 1],
            ..EpisodeSums::default()
        };
        while !environment.is_over() {
            meter.before_slot(environment.episode());
            actions.clear();
            actions.resize(environment.rows(), UNDECIDED);
            let observation = environment.observe(needs);
            if !actions.is_empty() {
                self.decide(&observation, &mut actions, &mut sums)?;
                self.teach(&observation)?;
            }
            environment.step(&actions)?;
            // Each of them is legal, now that it was carried out.
            actions.iter().for_each(|action| sums.actions[*action as usize] += 1);
            if self.judged_tasks > 0 {
                decided.extend_from_slice(&actions);
            }
            meter.after_slot(environment.episode());
            self.learn(&environment.transitions(&actions).batch(), &mut sums)?;
        }
        if let (1.., Some(learner)) = (self.judged_tasks, self.learner.learner()) {
            let workload = Workload::Drawn { seed, episode: number };
            let stream = &mut seeds::judged(entry.seed, number);
            let judged = Judged::of(system, workload, &decided, self.judged_tasks, stream);
            learner.judge(&judged.lend())?;
        }
        self.learner.end_episode()?;
        let diagnostics =
            self.learner.saved().map_or_else(|| Ok(Vec::new()), |saved| saved.diagnostics())?;
        let EpisodeMetrics { tasks, qoe, delay_slots, energy, dropped, local_share, .. } =
            meter.metrics(system, number)?;
        self.tasks += tasks;
        let mean = |sum: f64, count: f64| if count == 0.0 { 0.0 } else { sum / count };
        let decisions: u64 = sums.actions.iter().sum();
        let share = |count: &u64| *count as f64 / decisions as f64;
        let row = TrainingRow {
            episode: number,
            // A system has devices.
            qoe: qoe.unwrap_or_default(),
            delay_slots,
            energy: energy.unwrap_or_default(),
            tasks,
            dropped,
            local_share,
            loss: mean(sums.loss, sums.losses as f64),
            exploration: mean(sums.explored, sums.decisions as f64),
            updates: self.progress.updates,
            gradient_norm: diagnostic(&diagnostics, "gradient_norm"),
            q: diagnostic(&diagnostics, "q"),
            td_error: diagnostic(&diagnostics, "td_error"),
            validation_qoe: None,
            validation_dropped: None,
        };
        Ok(TrainingEpisode {
            row,
            timing: TimingRow::default(),
            action_share: sums.actions.iter().filter(|_| decisions > 0).map(share).collect(),
            diagnostics,
        })
    }

    /// Begins an episode for learner, explorer and teacher; returns the parts of an observation they need.
    fn begin_episode(&mut self, number: u64, system: &EpisodeSystem) -> Result<Needs, CallFailure> {
        let seed = self.training.entry.seed;
        let lent = self.context.lend();
        let mut needs = self.learner.needs();
        let own = seeds::policy_episode(seed, number);
        let start = lent.training_start(number, own);
        system.begin(start, |start| self.learner.begin_episode(start))?;
        if let Some(explorer) = &mut self.explorer {
            needs = needs.and(explorer.needs());
            let own = seeds::explorer_episode(seed, number);
            let start = lent.training_start(number, own);
            system.begin(start, |start| explorer.begin_episode(start))?;
        }
        if let Some(teacher) = &mut self.teacher {
            needs = needs.and(teacher.needs());
            let start = lent.start(number, seeds::teacher_episode(seed, number));
            system.begin(start, |start| teacher.begin_episode(start))?;
        }
        Ok(needs)
    }

    /// Fills `actions`: those that the explorer leaves open are the learner's.
    fn decide(
        &mut self,
        observation: &Observation<'_>,
        actions: &mut [u32],
        sums: &mut EpisodeSums,
    ) -> Result<(), CallFailure> {
        if let Some(explorer) = &mut self.explorer {
            let rate = explorer.propose(observation, &self.progress, actions)?;
            sums.explored += rate * actions.len() as f64;
            sums.decisions += actions.len();
        }
        self.learner.decide(observation, actions)
    }

    /// Shows the learner the teacher's values, if there is a teacher.
    fn teach(&mut self, observation: &Observation<'_>) -> Result<(), CallFailure> {
        // That both have these capabilities was checked when they were bound.
        let teacher = self.teacher.as_mut().and_then(|teacher| teacher.value_function());
        let (Some(teacher), Some(student)) = (teacher, self.learner.student()) else {
            return Ok(());
        };
        let actions = 1 + observation.server_count as usize;
        self.taught.clear();
        self.taught.resize(observation.rows() * actions, f32::NAN);
        teacher.values(observation, &mut self.taught)?;
        student.fit(observation, &self.taught)?;
        Ok(())
    }

    /// Lets the learner record a slot and learn.
    fn learn(
        &mut self,
        transitions: &TransitionBatch<'_>,
        sums: &mut EpisodeSums,
    ) -> Result<(), CallFailure> {
        // That it has the capability was checked when it was bound.
        if let Some(learner) = self.learner.learner() {
            learner.record(transitions)?;
            self.progress = learner.learn()?;
            self.updated |= self.progress.updates > 0 || self.progress.recent_updates > 0;
            if self.progress.recent_updates > 0 {
                sums.loss += self.progress.loss;
                sums.losses += 1;
            }
        }
        Ok(())
    }

    /// Validates the learner after the episode of `row`, adds the result to it, and writes the
    /// checkpoints: the best one so far, and the last, if that episode is the `last` or the training
    /// stops with it. Before its first update there is nothing to validate, and no checkpoint.
    fn validate(&mut self, row: &mut TrainingRow, last: bool) -> Result<(), TrainError> {
        if !self.updated {
            return Ok(());
        }
        let failed = |cause| TrainError::Failed { episode: row.episode, cause };
        // A learner can be saved; the boundary's own types see to that.
        let checkpoint =
            self.learner.saved().map_or_else(|| Ok(Vec::new()), |saved| saved.checkpoint());
        let checkpoint = checkpoint.map_err(|cause| failed(cause.into()))?;
        // Instances of their own: the one that learns is not touched.
        let Self { training: Training { scenario, entry, learner, .. }, context, .. } = self;
        let create = || {
            let lent = context.lend();
            let context = lent.context(&learner.parameters, Some(&checkpoint), 0, 1);
            Ok(learner.plugin.create_policy(&context)?)
        };
        let (qoe, dropped) =
            validate(scenario, context, Some(entry), entry.seed, entry.validate_episodes, create)
                .map_err(failed)?;
        row.validation_qoe = Some(qoe);
        row.validation_dropped = Some(dropped);
        if self.best_qoe.is_none_or(|best| qoe > best) {
            (self.best_qoe, self.since_best) = (Some(qoe), 0);
            resume::write(&self.folder.join("best.safetensors"), &checkpoint)?;
        } else {
            self.since_best += 1;
        }
        self.stopped = entry.stop_after.is_some_and(|limit| self.since_best >= limit);
        if last || self.stopped {
            resume::write(&self.folder.join("final.safetensors"), &checkpoint)?;
        }
        Ok(())
    }

    /// Saves the learner and the state of the training.
    fn save(&mut self, next_episode: u64, rows: u64) -> Result<(), TrainError> {
        let failed =
            |cause: CallFailure| TrainError::Failed { episode: next_episode, cause: cause.into() };
        let learner = match self.learner.saved() {
            Some(saved) => saved.save().map_err(failed)?,
            None => Vec::new(),
        };
        let Self { updated, tasks, best_qoe, since_best, stopped, .. } = *self;
        let Progress { updates, .. } = self.progress;
        let validated = Some(self.validated());
        let state = State {
            next_episode,
            updates,
            updated,
            tasks,
            best_qoe,
            since_best,
            validated,
            stopped,
            rows,
        };
        resume::save(&self.state_file(), &self.origin, state, &learner)?;
        Ok(())
    }

    /// The outcome of a training that has ended.
    fn outcome(&self) -> Result<(), TrainError> {
        let (episodes, tasks) = (self.training.entry.episodes, self.tasks);
        if self.updated { Ok(()) } else { Err(TrainError::Untrained { episodes, tasks }) }
    }

    /// The episodes that its validations play.
    fn validated(&self) -> Validated {
        let TrainingEntry { validate_episodes, validate_systems, .. } = self.training.entry;
        Validated::new(validate_episodes, validate_systems)
    }

    fn state_file(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Checks that a save has no more episodes than are asked for.
    fn accept(&self, state: &State) -> Result<(), FolderError> {
        let (done, asked) = (state.next_episode, self.training.entry.episodes);
        if done <= asked {
            return Ok(());
        }
        let change = format!("`train.episodes` is {asked}, and {done} are done already");
        Err(FolderError::Changed { path: self.state_file(), change })
    }

    /// Restores the last save, if there is one.
    fn resume(&mut self) -> Result<Option<State>, TrainError> {
        let path = self.state_file();
        let Some((state, learner)) = resume::load::<State>(&path, &self.origin)? else {
            return Ok(None);
        };
        self.accept(&state)?;
        let best = self.folder.join("best.safetensors");
        if state.best_qoe.is_some() && !best.is_file() {
            let cause = "it is missing".to_owned();
            return Err(FolderError::NotResumable { path: best, cause }.into());
        }
        if let Some(saved) = self.learner.saved() {
            saved.load(&learner).map_err(|failure| FolderError::NotResumable {
                path,
                cause: failure.to_string(),
            })?;
        }
        self.progress = Progress { updates: state.updates, ..Progress::default() };
        (self.updated, self.tasks) = (state.updated, state.tasks);
        if state.validated.is_some_and(|then| then != self.validated()) {
            return Ok(Some(state));
        }
        (self.best_qoe, self.since_best) = (state.best_qoe, state.since_best);
        // It continues if now it may wait longer.
        let stops = |limit| state.stopped && state.since_best >= limit;
        self.stopped = self.training.entry.stop_after.is_some_and(stops);
        Ok(Some(state))
    }
}
