//! Evaluation: every policy of every scenario, over its episodes and the points of its sweep.
//!
//! Common random numbers: an episode's tasks depend on seed and episode alone, so all policies
//! face the same ones. Each episode is a job of its own with an instance of its own, so that the
//! result does not depend on the number of threads, even for a policy that forgets to forget.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use offramp_host::plugin::EpisodeStart;
use offramp_host::{CallFailure, Policy};
use offramp_model::rng::{Purpose, StreamFamily, WHOLE_RUN};
use offramp_model::{Episode, IllegalDecision, Workload};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::environment::{Environment, SlotBuffers, SystemBuffers};
use crate::files::{self, MOST_CHECKPOINT_BYTES};
use crate::isolate::{self, Limits};
use crate::metrics::{EpisodeMeter, EpisodeMetrics, Spread};
use crate::scenario::{Experiment, PolicyEntry, Scenario};

/// Why a run failed. The others go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Its checkpoint can't be read.
    #[error("checkpoint {path}: {cause}")]
    Checkpoint {
        /// The file.
        path: std::path::PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// A call into the plugin failed.
    #[error(transparent)]
    Call(#[from] CallFailure),
    /// In a process of its own: how that ended, or what the run failed of there.
    #[error("{0}")]
    Isolated(String),
    /// It decided what can't be done.
    #[error(transparent)]
    Illegal(#[from] IllegalDecision),
}

/// An episode of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpisodeResult {
    /// Its metrics.
    pub all: EpisodeMetrics,
    /// The same by power mode, in the order of the scenario's modes.
    pub by_mode: Vec<EpisodeMetrics>,
    /// Decisions made.
    pub decisions: u64,
    /// Time spent in the policy's `decide`, nanoseconds; the one number that is not
    /// reproducible.
    pub decide_ns: u64,
}

/// A policy at a point of a scenario.
#[derive(Debug)]
pub struct Run<'e> {
    /// The scenario at that point.
    pub scenario: &'e Scenario,
    /// The policy.
    pub policy: &'e PolicyEntry,
    /// Its episodes in order, or why there are none.
    pub outcome: Result<Vec<EpisodeResult>, RunError>,
}

/// Who is told how an evaluation goes, from any thread.
pub trait Watch<'e>: Sync {
    /// A run begins: its number among all, in the order of [`runs`].
    fn begun(&self, number: usize, scenario: &'e Scenario, policy: &'e PolicyEntry);
    /// An episode is over.
    fn episode(&self);
    /// A run is over.
    fn done(&self, number: usize, run: Run<'e>);
}

/// All policies of all points of all experiments, in that nesting.
pub fn runs(experiments: &[Experiment]) -> impl Iterator<Item = (&Scenario, &PolicyEntry)> {
    let points = experiments.iter().flat_map(|experiment| &experiment.points);
    points.flat_map(|scenario| scenario.policies.iter().map(move |policy| (scenario, policy)))
}

/// Evaluates all [`runs`]. `progress` is told after each episode, from any thread.
///
/// Threads are those of the rayon pool it is called in.
pub fn evaluate<'e>(experiments: &'e [Experiment], progress: &(dyn Fn() + Sync)) -> Vec<Run<'e>> {
    struct Collect<'c, 'e> {
        done: Mutex<Vec<Option<Run<'e>>>>,
        progress: &'c (dyn Fn() + Sync),
    }
    impl<'e> Watch<'e> for Collect<'_, 'e> {
        fn begun(&self, _: usize, _: &'e Scenario, _: &'e PolicyEntry) {}

        fn episode(&self) {
            (self.progress)();
        }

        fn done(&self, number: usize, run: Run<'e>) {
            lock(&self.done)[number] = Some(run);
        }
    }
    let done = Mutex::new(runs(experiments).map(|_| None).collect());
    let collect = Collect { done, progress };
    evaluate_some(experiments, &|_| true, &collect);
    let done = collect.done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.into_iter().flatten().collect()
}

/// Evaluates those [`runs`] whose number is `wanted`.
///
/// Threads are those of the rayon pool it is called in.
pub fn evaluate_some<'e>(
    experiments: &'e [Experiment],
    wanted: &dyn Fn(usize) -> bool,
    watch: &dyn Watch<'e>,
) {
    let prepared: Vec<Prepared<'e>> = runs(experiments)
        .enumerate()
        .filter(|(number, _)| wanted(*number))
        .map(|(number, (scenario, policy))| Prepared::new(number, scenario, policy))
        .collect();
    // A run in a process of its own is one job, any other a job an episode.
    let jobs: Vec<(usize, u64)> = prepared
        .iter()
        .enumerate()
        .flat_map(|(run, prepared)| {
            let Scenario { episodes, isolation, .. } = prepared.scenario;
            let jobs = if isolation.is_some() { 1 } else { *episodes };
            (0..jobs).map(move |job| (run, job))
        })
        .collect();
    jobs.par_iter().for_each(|&(run, episode)| match prepared[run].scenario.isolation {
        Some(limits) => prepared[run].play_isolated(limits, watch),
        None => prepared[run].play(episode, watch),
    });
}

/// The seed with which a policy is created to be evaluated.
pub(crate) fn evaluation_seed(scenario: &Scenario) -> u64 {
    StreamFamily::new(scenario.seed, WHOLE_RUN, Purpose::Learner).seed()
}

/// What a lock guards; it is poisoned by a panic alone, which is a bug that ends everything.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A run before and while its episodes are played.
struct Prepared<'e> {
    number: usize,
    scenario: &'e Scenario,
    policy: &'e PolicyEntry,
    /// What its episodes need; there from the first to the last of them, so that a batch of
    /// thousands does not hold all of it at once.
    stage: Mutex<Option<Arc<Stage>>>,
    /// The first episode that failed: later ones need not run.
    first_failure: AtomicU64,
    begun: AtomicBool,
    /// What has been played.
    episodes: Mutex<Vec<Option<Result<EpisodeResult, RunError>>>>,
    /// Episodes that have not been.
    left: AtomicU64,
}

/// What the episodes of a run have in common.
struct Stage {
    environment: Environment,
    /// The bytes of the checkpoint, if there is one.
    checkpoint: Option<Vec<u8>>,
}

impl<'e> Prepared<'e> {
    fn new(number: usize, scenario: &'e Scenario, policy: &'e PolicyEntry) -> Self {
        Self {
            number,
            scenario,
            policy,
            stage: Mutex::default(),
            first_failure: AtomicU64::new(u64::MAX),
            begun: AtomicBool::new(false),
            episodes: Mutex::default(),
            left: AtomicU64::new(scenario.episodes),
        }
    }

    /// Plays an episode; the last of them tells that the run is over.
    fn play(&self, episode: u64, watch: &dyn Watch<'e>) {
        if !self.begun.swap(true, Ordering::Relaxed) {
            watch.begun(self.number, self.scenario, self.policy);
        }
        let result = self.episode(episode);
        {
            let mut episodes = lock(&self.episodes);
            let place = episode as usize;
            if episodes.len() <= place {
                episodes.resize_with(place + 1, || None);
            }
            episodes[place] = result;
        }
        watch.episode();
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            *lock(&self.stage) = None;
            let episodes = std::mem::take(&mut *lock(&self.episodes));
            // Those after a failed one may be missing; the first failure comes before them.
            let outcome = episodes.into_iter().flatten().collect();
            watch.done(self.number, Run { scenario: self.scenario, policy: self.policy, outcome });
        }
    }

    fn stage(&self) -> Result<Arc<Stage>, RunError> {
        let mut stage = lock(&self.stage);
        if let Some(stage) = &*stage {
            return Ok(Arc::clone(stage));
        }
        let checkpoint = self.policy.checkpoint.as_ref().map(|path| {
            files::read(path, MOST_CHECKPOINT_BYTES)
                .map_err(|cause| RunError::Checkpoint { path: path.clone(), cause })
        });
        let checkpoint = checkpoint.transpose()?;
        let made = Arc::new(Stage { environment: Environment::new(self.scenario), checkpoint });
        *stage = Some(Arc::clone(&made));
        Ok(made)
    }

    /// Plays all episodes in a process of their own.
    fn play_isolated(&self, limits: Limits, watch: &dyn Watch<'e>) {
        let Self { number, scenario, policy, .. } = *self;
        watch.begun(number, scenario, policy);
        let outcome = isolate::play(scenario, policy, limits, &|| watch.episode());
        watch.done(number, Run { scenario, policy, outcome });
    }

    fn episode(&self, episode: u64) -> Option<Result<EpisodeResult, RunError>> {
        if episode > self.first_failure.load(Ordering::Relaxed) {
            return None;
        }
        let result = self.stage().and_then(|stage| {
            let Stage { environment, checkpoint } = &*stage;
            let seed = evaluation_seed(self.scenario);
            let parts = environment.parts();
            let context = parts.context(&self.policy.parameters, checkpoint.as_deref(), seed, 1);
            let mut policy = self.policy.found.create_policy(&context)?;
            run_episode(self.scenario, policy.as_mut(), self.scenario.seed, episode)
        });
        if result.is_err() {
            self.first_failure.fetch_min(episode, Ordering::Relaxed);
        }
        Some(result)
    }
}

/// Runs one evaluation episode of `scenario` under `seed` with `policy`.
///
/// # Errors
/// [`RunError`] if a call fails or a decision can't be carried out.
pub fn run_episode(
    scenario: &Scenario,
    policy: &mut dyn Policy,
    seed: u64,
    episode: u64,
) -> Result<EpisodeResult, RunError> {
    let workload = Workload::Drawn { seed, episode };
    let mut running = Episode::new(&scenario.system, workload, scenario.observation);
    let mut meter = EpisodeMeter::new(&scenario.system);
    let mut buffers = SlotBuffers::default();
    let (mut decisions, mut decide_ns) = (0, 0);
    let needs = policy.needs();
    let seed = StreamFamily::new(seed, episode, Purpose::Policy).seed();
    let system = SystemBuffers::new(&scenario.system);
    let system = &system.spec();
    policy.begin_episode(&EpisodeStart { episode, seed, training: false, system })?;
    while !running.is_over() {
        meter.before_slot(&running);
        let seen = buffers.observe(&running, needs);
        if !seen.actions.is_empty() {
            let start = Instant::now();
            policy.decide(&seen.observation, seen.actions)?;
            decide_ns += start.elapsed().as_nanos() as u64;
            decisions += seen.actions.len() as u64;
        }
        running.advance(&buffers.actions)?;
        meter.after_slot(&running);
    }
    policy.end_episode()?;
    Ok(EpisodeResult {
        all: meter.metrics(&scenario.system),
        by_mode: meter.metrics_by_mode(&scenario.system),
        decisions,
        decide_ns,
    })
}

/// Mean AvgQoE and drops of `episodes` episodes, each with an instance of its own made by
/// `create`: how a training or a distillation is judged while it goes on. Their tasks are those
/// of the validation streams under `seed`: neither trained on nor those of an evaluation.
///
/// # Errors
/// [`RunError`] of the first episode that failed.
pub fn validate(
    scenario: &Scenario,
    seed: u64,
    episodes: u64,
    create: impl Fn() -> Result<Box<dyn Policy>, RunError> + Sync,
) -> Result<(f64, f64), RunError> {
    let seed = StreamFamily::new(seed, WHOLE_RUN, Purpose::Validation).seed();
    let results: Vec<EpisodeResult> = (0..episodes)
        .into_par_iter()
        .map(|episode| run_episode(scenario, create()?.as_mut(), seed, episode))
        .collect::<Result<_, _>>()?;
    let mean = |metric: fn(&EpisodeMetrics) -> f64| {
        Spread::of(results.iter().map(|result| metric(&result.all))).mean
    };
    Ok((mean(|metrics| metrics.qoe), mean(|metrics| metrics.dropped as f64)))
}
