//! Evaluation: every policy of every scenario, over its episodes and the points of its sweep.
//!
//! Common random numbers: an episode's tasks depend on seed and episode alone, so all policies
//! face the same ones. Each episode is a job of its own with an instance of its own, so that the
//! result does not depend on the number of threads, even for a policy that forgets to forget.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use offramp_host::plugin::EpisodeStart;
use offramp_host::{CallFailure, Policy};
use offramp_model::rng::{Purpose, StreamFamily, WHOLE_RUN};
use offramp_model::{Episode, IllegalDecision, Workload};
use rayon::prelude::*;

use crate::environment::{Environment, SlotBuffers};
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
    /// It decided what can't be done.
    #[error(transparent)]
    Illegal(#[from] IllegalDecision),
}

/// An episode of a run.
#[derive(Clone, Debug, PartialEq)]
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

/// Evaluates all policies of all points of all experiments, in that nesting. `progress` is told
/// after each episode, from any thread.
///
/// Threads are those of the rayon pool it is called in.
pub fn evaluate<'e>(experiments: &'e [Experiment], progress: &(dyn Fn() + Sync)) -> Vec<Run<'e>> {
    let prepared: Vec<_> = experiments
        .iter()
        .flat_map(|experiment| &experiment.points)
        .flat_map(|scenario| {
            let environment = Arc::new(Environment::new(scenario));
            let policies = scenario.policies.iter();
            policies.map(move |policy| Prepared::new(scenario, policy, Arc::clone(&environment)))
        })
        .collect();
    let jobs: Vec<(usize, u64)> = prepared
        .iter()
        .enumerate()
        .flat_map(|(run, prepared)| (0..prepared.scenario.episodes).map(move |e| (run, e)))
        .collect();
    let results: Vec<Option<Result<EpisodeResult, RunError>>> = jobs
        .par_iter()
        .map(|&(run, episode)| {
            let result = prepared[run].episode(episode);
            progress();
            result
        })
        .collect();
    let mut results = results.into_iter();
    prepared
        .into_iter()
        .map(|prepared| {
            let count = prepared.scenario.episodes as usize;
            let episodes: Vec<_> = results.by_ref().take(count).collect();
            // Those after a failed one may be missing; the first failure comes before them.
            let outcome = episodes.into_iter().flatten().collect::<Result<Vec<_>, _>>();
            let Prepared { scenario, policy, checkpoint, .. } = prepared;
            Run { scenario, policy, outcome: checkpoint.and(outcome) }
        })
        .collect()
}

/// A run before its episodes.
struct Prepared<'e> {
    scenario: &'e Scenario,
    policy: &'e PolicyEntry,
    environment: Arc<Environment>,
    /// The bytes of the checkpoint, if there is one, or why they can't be had.
    checkpoint: Result<Option<Vec<u8>>, RunError>,
    /// The first episode that failed: later ones need not run.
    first_failure: AtomicU64,
}

impl<'e> Prepared<'e> {
    fn new(scenario: &'e Scenario, policy: &'e PolicyEntry, environment: Arc<Environment>) -> Self {
        let checkpoint = match &policy.checkpoint {
            None => Ok(None),
            Some(path) => std::fs::read(path)
                .map(Some)
                .map_err(|cause| RunError::Checkpoint { path: path.clone(), cause }),
        };
        let first_failure = AtomicU64::new(u64::MAX);
        Self { scenario, policy, environment, checkpoint, first_failure }
    }

    fn episode(&self, episode: u64) -> Option<Result<EpisodeResult, RunError>> {
        let checkpoint = self.checkpoint.as_ref().ok()?;
        if episode > self.first_failure.load(Ordering::Relaxed) {
            return None;
        }
        let seed = StreamFamily::new(self.scenario.seed, WHOLE_RUN, Purpose::Learner).seed();
        let context =
            self.environment.context(&self.policy.parameters, checkpoint.as_deref(), seed, 1);
        let result = self.policy.found.create_policy(&context).map_err(RunError::from).and_then(
            |mut policy| run_episode(self.scenario, policy.as_mut(), self.scenario.seed, episode),
        );
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
    policy.begin_episode(&EpisodeStart { episode, seed, training: false })?;
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
