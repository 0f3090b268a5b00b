//! Training: a learner's own episodes, explored by an explorer, judged now and then.
//!
//! ```text
//! RUN/scenario.ron            the scenario as it was trained
//! RUN/training.csv            one row an episode
//! RUN/best.safetensors        the checkpoint with the best validation so far
//! RUN/final.safetensors       the checkpoint of the last episode
//! RUN/state                   everything needed to go on, as of the last save
//! ```
//!
//! A training is resumed from `state` to the same bits as if never interrupted: each episode's
//! randomness depends on seed and episode alone, the learner saves all of its own, and rows
//! written after the last save are cut off and written again.
//!
//! Validation runs separate instances created from the checkpoint, on episodes of a seed of
//! their own: neither trained on nor those of a later evaluation.

use std::path::{Path, PathBuf};

use offramp_host::plugin::{EndedTask, EpisodeStart, Progress, TransitionBatch};
use offramp_host::{CallFailure, Explorer, Policy};
use offramp_model::rng::{Purpose, StreamFamily, WHOLE_RUN};
use offramp_model::{Episode, Outcome, Workload, reward};
use serde::{Deserialize, Serialize};

use crate::environment::{Environment, SlotBuffers, SystemBuffers};
use crate::evaluate::{RunError, validate};
use crate::metrics::{EpisodeMeter, EpisodeMetrics};
use crate::resume::{self, FolderError, Start, Table};
use crate::scenario::{Scenario, TrainEntry};

/// Why a training ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A call into a plugin failed, or a decision could not be carried out.
    #[error("episode {episode}: {cause}")]
    Failed {
        /// The training episode.
        episode: u64,
        /// What failed.
        cause: RunError,
    },
    /// The folder can't be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// A row of `training.csv`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingRow {
    /// The episode, counted from 0.
    pub episode: u64,
    /// AvgQoE of the training episode itself, exploration included.
    pub qoe: f64,
    /// AvgDelay, slots.
    pub delay_slots: f64,
    /// AvgEnergy.
    pub energy: f64,
    /// Tasks dropped.
    pub dropped: u64,
    /// Mean loss of the episode's updates.
    pub loss: f64,
    /// Mean probability with which the explorer decided.
    pub exploration: f64,
    /// Updates of a network so far.
    pub updates: u64,
    /// Mean AvgQoE of the validation after the episode, if there was one.
    pub validation_qoe: Option<f64>,
    /// Mean drops of that validation.
    pub validation_dropped: Option<f64>,
}

/// What is saved besides the learner.
#[derive(Serialize, Deserialize)]
struct State {
    next_episode: u64,
    updates: u64,
    best_qoe: Option<f64>,
    /// Bytes of `training.csv` that are of the episodes before `next_episode`.
    rows: u64,
}

/// A training under way.
struct Trainer<'s> {
    scenario: &'s Scenario,
    entry: &'s TrainEntry,
    environment: Environment,
    folder: PathBuf,
    learner: Box<dyn Policy>,
    explorer: Option<Box<dyn Explorer>>,
    progress: Progress,
    buffers: SlotBuffers,
    ended: Vec<EndedTask>,
    best_qoe: Option<f64>,
}

/// Trains the learner of `scenario` into `folder`; `told` hears of each episode. Threads are
/// those of the rayon pool it is called in, and do not change a bit of the result.
///
/// # Errors
/// [`TrainError`]; what was saved by then stays.
///
/// # Panics
/// If the scenario has nothing to train; it was not read to be trained then.
pub fn train(
    scenario: &Scenario,
    folder: &Path,
    start: Start,
    told: &mut dyn FnMut(&TrainingRow),
) -> Result<(), TrainError> {
    let Some(entry) = &scenario.train else { panic!("the scenario trains nothing") };
    resume::begin(folder, start, &scenario.text)?;
    let mut trainer = Trainer::new(scenario, entry, folder)
        .map_err(|cause| TrainError::Failed { episode: 0, cause: cause.into() })?;
    let saved = match start {
        Start::New => None,
        Start::Resume => trainer.resume()?,
    };
    let rows = saved.as_ref().map_or(0, |state| state.rows);
    let mut table = Table::open(&folder.join("training.csv"), rows)?;
    for episode in saved.map_or(0, |state| state.next_episode)..entry.episodes {
        let failed = |cause| TrainError::Failed { episode, cause };
        let mut row = trainer.episode(episode).map_err(failed)?;
        let count = episode + 1;
        let last = count == entry.episodes;
        if last || count.is_multiple_of(entry.validate_every) {
            let checkpoint = trainer.checkpoint().map_err(|cause| failed(cause.into()))?;
            let (qoe, dropped) = trainer.validate(&checkpoint).map_err(failed)?;
            row.validation_qoe = Some(qoe);
            row.validation_dropped = Some(dropped);
            if trainer.best_qoe.is_none_or(|best| qoe > best) {
                trainer.best_qoe = Some(qoe);
                resume::write(&folder.join("best.safetensors"), &checkpoint)?;
            }
            if last {
                resume::write(&folder.join("final.safetensors"), &checkpoint)?;
            }
        }
        table.add(row)?;
        if last || count.is_multiple_of(entry.save_every) {
            trainer.save(count, table.bytes()?)?;
        }
        told(&row);
    }
    Ok(())
}

/// Reads the rows of a training.
///
/// # Errors
/// [`FolderError::NotResumable`] if `training.csv` can't be read.
pub fn rows(folder: &Path) -> Result<Vec<TrainingRow>, FolderError> {
    resume::rows(&folder.join("training.csv"))
}

impl<'s> Trainer<'s> {
    fn new(
        scenario: &'s Scenario,
        entry: &'s TrainEntry,
        folder: &Path,
    ) -> Result<Self, CallFailure> {
        let environment = Environment::new(scenario);
        let threads = rayon::current_num_threads() as u32;
        let seed = |purpose| StreamFamily::new(entry.seed, WHOLE_RUN, purpose).seed();
        let parameters = &entry.learner.parameters;
        let parts = environment.parts();
        let context = parts.context(parameters, None, seed(Purpose::Learner), threads);
        let learner = entry.learner.found.create_policy(&context)?;
        let explorer = match &entry.explorer {
            None => None,
            Some(explorer) => {
                let seed = seed(Purpose::Explorer);
                let context = parts.context(&explorer.parameters, None, seed, 1);
                Some(explorer.found.create_explorer(&context)?)
            }
        };
        Ok(Self {
            scenario,
            entry,
            environment,
            folder: folder.to_owned(),
            learner,
            explorer,
            progress: Progress::default(),
            buffers: SlotBuffers::default(),
            ended: Vec::new(),
            best_qoe: None,
        })
    }

    /// One training episode.
    fn episode(&mut self, number: u64) -> Result<TrainingRow, RunError> {
        let seed = self.entry.seed;
        let system = &self.scenario.system;
        let workload = Workload::Drawn { seed, episode: number };
        let mut episode = Episode::new(system, workload, self.scenario.observation);
        let mut meter = EpisodeMeter::new(system);
        let lent = SystemBuffers::new(system);
        let lent = lent.spec();
        let start = |purpose| EpisodeStart {
            episode: number,
            seed: StreamFamily::new(seed, number, purpose).seed(),
            training: true,
            system: &lent,
        };
        let mut needs = self.learner.needs();
        self.learner.begin_episode(&start(Purpose::Policy))?;
        if let Some(explorer) = &mut self.explorer {
            needs = needs.and(explorer.needs());
            explorer.begin_episode(&start(Purpose::Explorer))?;
        }
        let (mut loss, mut losses) = (0.0, 0_u64);
        let (mut explored, mut decisions) = (0.0, 0_usize);
        while !episode.is_over() {
            meter.before_slot(&episode);
            let seen = self.buffers.observe(&episode, needs);
            if !seen.actions.is_empty() {
                if let Some(explorer) = &mut self.explorer {
                    let rate = explorer.propose(&seen.observation, &self.progress, seen.actions)?;
                    explored += rate * seen.actions.len() as f64;
                    decisions += seen.actions.len();
                }
                self.learner.decide(&seen.observation, seen.actions)?;
            }
            episode.advance(seen.actions)?;
            meter.after_slot(&episode);
            self.ended.clear();
            self.ended.extend(episode.ended().iter().map(|task| {
                let energy = system.energy().of(&task.energy);
                EndedTask {
                    device: task.device,
                    arrival_slot: task.born_slot,
                    action: task.action,
                    delay_slots: task.delay_slots,
                    dropped: task.outcome == Outcome::Dropped,
                    reward: reward::reward(system, task),
                    energy: [energy.local, energy.transmit, energy.server, energy.idle],
                }
            }));
            let transitions = TransitionBatch {
                observation: &seen.observation,
                actions: (&*seen.actions).into(),
                ended: self.ended.as_slice().into(),
            };
            // That it has the capability was checked when the scenario was read.
            if let Some(learner) = self.learner.learner() {
                learner.record(&transitions)?;
                self.progress = learner.learn()?;
                if self.progress.recent_updates > 0 {
                    loss += self.progress.loss;
                    losses += 1;
                }
            }
        }
        self.learner.end_episode()?;
        let EpisodeMetrics { qoe, delay_slots, energy, dropped, .. } = meter.metrics(system);
        let mean = |sum: f64, count: f64| if count == 0.0 { 0.0 } else { sum / count };
        Ok(TrainingRow {
            episode: number,
            qoe,
            delay_slots,
            energy,
            dropped,
            loss: mean(loss, losses as f64),
            exploration: mean(explored, decisions as f64),
            updates: self.progress.updates,
            validation_qoe: None,
            validation_dropped: None,
        })
    }

    fn checkpoint(&mut self) -> Result<Vec<u8>, CallFailure> {
        // A learner can be saved; the boundary's own types see to that.
        self.learner.saved().map_or_else(|| Ok(Vec::new()), |saved| saved.checkpoint())
    }

    /// Mean AvgQoE and drops of the checkpoint on the validation's episodes.
    fn validate(&self, checkpoint: &[u8]) -> Result<(f64, f64), RunError> {
        // Instances of their own: the one that learns is not touched.
        let Self { scenario, entry, environment, .. } = self;
        validate(scenario, entry.seed, entry.validate_episodes, || {
            let parameters = &entry.learner.parameters;
            let parts = environment.parts();
            let context = parts.context(parameters, Some(checkpoint), 0, 1);
            Ok(entry.learner.found.create_policy(&context)?)
        })
    }

    /// Saves the learner and where the training stands.
    fn save(&mut self, next_episode: u64, rows: u64) -> Result<(), TrainError> {
        let failed =
            |cause: CallFailure| TrainError::Failed { episode: next_episode, cause: cause.into() };
        let learner = match self.learner.saved() {
            Some(saved) => saved.save().map_err(failed)?,
            None => Vec::new(),
        };
        let Self { scenario, progress, best_qoe, .. } = self;
        let state = State { next_episode, updates: progress.updates, best_qoe: *best_qoe, rows };
        resume::save(&self.folder.join("state"), &scenario.sha256, state, &learner)?;
        Ok(())
    }

    /// Takes up the last save, if there is one.
    fn resume(&mut self) -> Result<Option<State>, TrainError> {
        let path = self.folder.join("state");
        let Some((state, learner)) = resume::load::<State>(&path, &self.scenario.sha256)? else {
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
