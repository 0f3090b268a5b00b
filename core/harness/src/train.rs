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

use offramp_host::plugin::{Progress, UNDECIDED};
use offramp_host::{CallFailure, Explorer, Policy};
use offramp_results::EpisodeMetrics;
use offramp_results::learning::TrainingRow;
use serde::{Deserialize, Serialize};

use crate::bind::Training;
use crate::context::PolicyContext;
use crate::environment::Environment;
use crate::evaluate::{RunError, validate};
use crate::events::{Event, Observer};
use crate::metrics::EpisodeMeter;
use crate::resume::{self, FolderError, Start, Table};
use crate::seeds;

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
/// rayon pool it is called in; their number changes no bit of the result.
///
/// # Errors
/// [`TrainError`]; what was saved by then stays.
pub fn train(
    training: &Training,
    folder: &Path,
    start: Start,
    observer: &dyn Observer,
) -> Result<(), TrainError> {
    let entry = &training.entry;
    resume::begin(folder, start, &training.scenario.text)?;
    let mut trainer = Trainer::new(training, folder)
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
        observer.on_event(Event::TrainingEpisode(&row));
    }
    Ok(())
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

    /// One training episode.
    fn episode(&mut self, number: u64) -> Result<TrainingRow, RunError> {
        let Training { scenario, entry, .. } = self.training;
        let (system, seed) = (&scenario.system, entry.seed);
        let mut environment = Environment::new(system, scenario.observation, seed, number);
        let mut meter = EpisodeMeter::new(system);
        let lent = self.context.lend();
        let mut needs = self.learner.needs();
        self.learner
            .begin_episode(&lent.training_start(number, seeds::policy_episode(seed, number)))?;
        if let Some(explorer) = &mut self.explorer {
            needs = needs.and(explorer.needs());
            let seed = seeds::explorer_episode(seed, number);
            explorer.begin_episode(&lent.training_start(number, seed))?;
        }
        let mut actions = Vec::new();
        let (mut loss, mut losses) = (0.0, 0_u64);
        let (mut explored, mut decisions) = (0.0, 0_usize);
        while !environment.is_over() {
            meter.before_slot(environment.episode());
            actions.clear();
            actions.resize(environment.rows(), UNDECIDED);
            let observation = environment.observe(needs);
            if !actions.is_empty() {
                if let Some(explorer) = &mut self.explorer {
                    let rate = explorer.propose(&observation, &self.progress, &mut actions)?;
                    explored += rate * actions.len() as f64;
                    decisions += actions.len();
                }
                self.learner.decide(&observation, &mut actions)?;
            }
            environment.step(&actions)?;
            meter.after_slot(environment.episode());
            // That it has the capability was checked when it was bound.
            if let Some(learner) = self.learner.learner() {
                learner.record(&environment.transitions(&actions).batch())?;
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

    /// Mean AvgQoE and mean drops of the checkpoint on the validation episodes.
    fn validate(&self, checkpoint: &[u8]) -> Result<(f64, f64), RunError> {
        // Instances of their own: the one that learns is not touched.
        let Self { training: Training { scenario, entry, learner, .. }, context, .. } = self;
        validate(scenario, context, entry.seed, entry.validate_episodes, || {
            let lent = context.lend();
            let context = lent.context(&learner.parameters, Some(checkpoint), 0, 1);
            Ok(learner.plugin.create_policy(&context)?)
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
