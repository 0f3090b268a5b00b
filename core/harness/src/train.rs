//! Training: a learner's own episodes, with an explorer, and a validation every now and then.
//!
//! ```text
//! RUN/scenario.ron            the scenario as it was trained
//! RUN/training.csv            one row per episode
//! RUN/best.safetensors        the checkpoint with the best validation so far
//! RUN/final.safetensors       the checkpoint of the last episode
//! RUN/state                   everything needed to resume, as of the last save
//! ```
//!
//! A training that resumes from `state` is bit-identical to one that was never interrupted: the
//! randomness of an episode depends on seed and episode alone, the learner saves all its state, and
//! rows written after the last save are cut off and written again.
//!
//! A validation plays separate instances, created from the checkpoint, on episodes that are neither
//! trained on nor part of an evaluation.

use std::path::{Path, PathBuf};

use offramp_host::plugin::{Needs, Observation, Progress, TransitionBatch, UNDECIDED};
use offramp_host::{CallFailure, Explorer, Policy};
use offramp_results::EpisodeMetrics;
use offramp_results::learning::TrainingRow;
use offramp_scenario::TrainingEntry;
use serde::{Deserialize, Serialize};

use crate::bind::Training;
use crate::context::PolicyContext;
use crate::environment::Environment;
use crate::events::{Event, Observer};
use crate::metrics::EpisodeMeter;
use crate::resume::{self, FolderError, Start, Table};
use crate::run::RunError;
use crate::seeds;
use crate::validation::validate;

/// The reason why a training ended early.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A call into a plugin failed, or a decision could not be carried out.
    #[error("episode {episode}: {cause}")]
    Failed {
        /// The training episode.
        episode: u64,
        /// The failure.
        cause: RunError,
    },
    /// The folder can't be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// The state of a training, saved beside the learner.
#[derive(Serialize, Deserialize)]
struct State {
    next_episode: u64,
    updates: u64,
    best_qoe: Option<f64>,
    /// Bytes of `training.csv` up to the row of the last episode before `next_episode`.
    rows: u64,
}

/// A training under way.
struct Trainer<'t> {
    training: &'t Training,
    context: PolicyContext,
    folder: PathBuf,
    learner: Box<dyn Policy>,
    explorer: Option<Box<dyn Explorer>>,
    progress: Progress,
    best_qoe: Option<f64>,
}

/// Trains a learner into `folder`, reporting [`Event::TrainingEpisode`]s. Threads are those of the
/// rayon pool this is called in; neither their number nor an interruption changes the result.
///
/// # Errors
/// [`TrainError`]; what was saved by then is kept.
pub fn train(
    training: &Training,
    folder: &Path,
    start: Start,
    observer: &dyn Observer,
) -> Result<(), TrainError> {
    let TrainingEntry { episodes, validate_every, save_every, .. } = training.entry;
    resume::begin(folder, start, &training.scenario.text)?;
    let mut trainer = Trainer::new(training, folder)
        .map_err(|cause| TrainError::Failed { episode: 0, cause: cause.into() })?;
    let saved = match start {
        Start::New => None,
        Start::Resume => trainer.resume()?,
    };
    let rows = saved.as_ref().map_or(0, |state| state.rows);
    let mut table = Table::open(&folder.join("training.csv"), rows)?;
    for episode in saved.map_or(0, |state| state.next_episode)..episodes {
        let mut row =
            trainer.episode(episode).map_err(|cause| TrainError::Failed { episode, cause })?;
        let count = episode + 1;
        let last = count == episodes;
        if last || count.is_multiple_of(validate_every) {
            trainer.validate(&mut row, last)?;
        }
        table.add(row)?;
        if last || count.is_multiple_of(save_every) {
            trainer.save(count, table.bytes()?)?;
        }
        observer.on_event(Event::TrainingEpisode(&row));
    }
    Ok(())
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
}

impl<'t> Trainer<'t> {
    fn new(training: &'t Training, folder: &Path) -> Result<Self, CallFailure> {
        let Training { scenario, sha256, entry, learner, explorer } = training;
        let context = PolicyContext::new(scenario, sha256);
        let threads = rayon::current_num_threads() as u32;
        let seed = seeds::learner(entry.seed);
        let lent = context.lend();
        let learner = learner.plugin.create_policy(&lent.context(
            &learner.parameters,
            None,
            seed,
            threads,
        ))?;
        let explorer = match explorer {
            None => None,
            Some(explorer) => {
                let seed = seeds::explorer(entry.seed);
                let context = lent.context(&explorer.parameters, None, seed, 1);
                Some(explorer.plugin.create_explorer(&context)?)
            }
        };
        Ok(Self {
            training,
            context,
            folder: folder.to_owned(),
            learner,
            explorer,
            progress: Progress::default(),
            best_qoe: None,
        })
    }

    /// Plays a training episode, in which the learner learns after each slot.
    fn episode(&mut self, number: u64) -> Result<TrainingRow, RunError> {
        let Training { scenario, entry, .. } = self.training;
        let (system, seed) = (&scenario.system, entry.seed);
        let mut environment = Environment::new(system, scenario.observation, seed, number);
        let mut meter = EpisodeMeter::new(system);
        let needs = self.begin_episode(number)?;
        let mut actions = Vec::new();
        let mut sums = EpisodeSums::default();
        while !environment.is_over() {
            meter.before_slot(environment.episode());
            actions.clear();
            actions.resize(environment.rows(), UNDECIDED);
            let observation = environment.observe(needs);
            if !actions.is_empty() {
                self.decide(&observation, &mut actions, &mut sums)?;
            }
            environment.step(&actions)?;
            meter.after_slot(environment.episode());
            self.learn(&environment.transitions(&actions).batch(), &mut sums)?;
        }
        self.learner.end_episode()?;
        let EpisodeMetrics { qoe, delay_slots, energy, dropped, .. } =
            meter.metrics(system, number)?;
        let mean = |sum: f64, count: f64| if count == 0.0 { 0.0 } else { sum / count };
        Ok(TrainingRow {
            episode: number,
            // A system has devices.
            qoe: qoe.unwrap_or_default(),
            delay_slots,
            energy: energy.unwrap_or_default(),
            dropped,
            loss: mean(sums.loss, sums.losses as f64),
            exploration: mean(sums.explored, sums.decisions as f64),
            updates: self.progress.updates,
            validation_qoe: None,
            validation_dropped: None,
        })
    }

    /// Begins an episode for learner and explorer; returns the parts of an observation they need.
    fn begin_episode(&mut self, number: u64) -> Result<Needs, CallFailure> {
        let seed = self.training.entry.seed;
        let lent = self.context.lend();
        let mut needs = self.learner.needs();
        let own = seeds::policy_episode(seed, number);
        self.learner.begin_episode(&lent.training_start(number, own))?;
        if let Some(explorer) = &mut self.explorer {
            needs = needs.and(explorer.needs());
            let own = seeds::explorer_episode(seed, number);
            explorer.begin_episode(&lent.training_start(number, own))?;
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
            if self.progress.recent_updates > 0 {
                sums.loss += self.progress.loss;
                sums.losses += 1;
            }
        }
        Ok(())
    }

    /// Validates the learner after the episode of `row`, adds the result to it, and writes the
    /// checkpoints: the best one so far, and the `last`.
    fn validate(&mut self, row: &mut TrainingRow, last: bool) -> Result<(), TrainError> {
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
            validate(scenario, context, entry.seed, entry.validate_episodes, create)
                .map_err(failed)?;
        row.validation_qoe = Some(qoe);
        row.validation_dropped = Some(dropped);
        if self.best_qoe.is_none_or(|best| qoe > best) {
            self.best_qoe = Some(qoe);
            resume::write(&self.folder.join("best.safetensors"), &checkpoint)?;
        }
        if last {
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
        let Self { training, progress, best_qoe, .. } = self;
        let state = State { next_episode, updates: progress.updates, best_qoe: *best_qoe, rows };
        resume::save(&self.folder.join("state"), &training.sha256, state, &learner)?;
        Ok(())
    }

    /// Restores the last save, if there is one.
    fn resume(&mut self) -> Result<Option<State>, TrainError> {
        let path = self.folder.join("state");
        let Some((state, learner)) = resume::load::<State>(&path, &self.training.sha256)? else {
            return Ok(None);
        };
        if let Some(saved) = self.learner.saved() {
            saved.load(&learner).map_err(|failure| FolderError::NotResumable {
                path,
                cause: failure.to_string(),
            })?;
        }
        self.progress = Progress { updates: state.updates, ..Progress::default() };
        self.best_qoe = state.best_qoe;
        Ok(Some(state))
    }
}
