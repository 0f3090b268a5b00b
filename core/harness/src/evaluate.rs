//! Evaluation: every policy of every scenario, over its episodes and the points of its sweep.
//!
//! Common random numbers: an episode's tasks depend on seed and episode alone, so all policies
//! face the same ones. Each episode is a job of its own with an instance of its own, so the result
//! does not depend on the number of threads, even for a policy that fails to forget.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use offramp_host::plugin::UNDECIDED;
use offramp_host::{CallFailure, Policy};
use offramp_model::IllegalDecision;
use offramp_results::statistics::MeanSd;
use offramp_results::{EpisodeMetrics, EpisodeResult, checkpoint};
use offramp_scenario::{Experiment, Scenario};
use rayon::prelude::*;

use crate::bind::{BoundPolicy, Evaluation};
use crate::context::PolicyContext;
use crate::environment::Environment;
use crate::events::{Event, Observer};
use crate::executor::Executor;
use crate::metrics::EpisodeMeter;
use crate::seeds;

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

/// A policy at a point of a scenario.
#[derive(Debug)]
pub struct Run<'e> {
    /// The scenario at that point.
    pub evaluation: &'e Evaluation,
    /// The policy.
    pub policy: &'e BoundPolicy,
    /// Its episodes in order, or why it failed.
    pub outcome: Result<Vec<EpisodeResult>, RunError>,
}

/// All policies of all points of all experiments, in that nesting.
pub fn runs(
    experiments: &[Experiment<Evaluation>],
) -> impl Iterator<Item = (&Evaluation, &BoundPolicy)> {
    let points = experiments.iter().flat_map(|experiment| &experiment.points);
    points.flat_map(|point| point.policies.iter().map(move |policy| (point, policy)))
}

/// Evaluates those [`runs`] whose number is `wanted`; returns them in order, by their numbers.
/// Runs of scenarios that ask for isolation are carried out by `isolated`, all others here.
///
/// Threads are those of the rayon pool it is called in.
pub fn evaluate<'e>(
    experiments: &'e [Experiment<Evaluation>],
    wanted: &dyn Fn(usize) -> bool,
    isolated: &dyn Executor,
    observer: &dyn Observer,
) -> Vec<(usize, Run<'e>)> {
    let jobs: Vec<RunJob<'e>> = runs(experiments)
        .enumerate()
        .filter(|(number, _)| wanted(*number))
        .map(|(number, (evaluation, policy))| RunJob::new(number, evaluation, policy))
        .collect();
    // A run in a process of its own is one job, any other one job per episode.
    let tasks: Vec<(usize, u64)> = jobs
        .iter()
        .enumerate()
        .flat_map(|(index, job)| {
            let Scenario { evaluation, isolation, .. } = &job.evaluation.scenario;
            let count = if isolation.is_some() { 1 } else { evaluation.episodes };
            (0..count).map(move |task| (index, task))
        })
        .collect();
    tasks.par_iter().for_each(|&(index, episode)| {
        let job = &jobs[index];
        match job.evaluation.scenario.isolation {
            Some(limits) => {
                job.start(observer);
                let on_episode = || observer.on_event(Event::EpisodesEnded(1));
                let outcome = isolated.run(job.evaluation, job.policy, limits, &on_episode);
                job.end(outcome, observer);
            }
            None => job.play(episode, observer),
        }
    });
    let outcome = |job: RunJob<'e>| {
        let run = job.ended.into_inner().unwrap_or_else(PoisonError::into_inner);
        run.map(|run| (job.number, run))
    };
    jobs.into_iter().filter_map(outcome).collect()
}

/// The value in a lock; a lock is poisoned by a panic alone, which is a bug that ends everything.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A run before and while its episodes are played.
struct RunJob<'e> {
    number: usize,
    evaluation: &'e Evaluation,
    policy: &'e BoundPolicy,
    /// What its episodes need; there from the first to the last of them, so that a batch of
    /// thousands does not hold all of it at once.
    setup: Mutex<Option<Arc<RunSetup>>>,
    /// The first episode that failed: later ones need not run.
    first_failure: AtomicU64,
    started: AtomicBool,
    /// The episodes played so far.
    episodes: Mutex<Vec<Option<Result<EpisodeResult, RunError>>>>,
    /// Episodes that have not been played.
    remaining: AtomicU64,
    /// The run, when it has ended.
    ended: Mutex<Option<Run<'e>>>,
}

/// What a run is made of: all that its episodes share.
pub(crate) struct RunSetup {
    pub(crate) context: PolicyContext,
    /// The bytes of the checkpoint, if there is one.
    checkpoint: Option<Vec<u8>>,
}

impl RunSetup {
    pub(crate) fn new(evaluation: &Evaluation, policy: &BoundPolicy) -> Result<Self, RunError> {
        let read = |path: &std::path::PathBuf| {
            checkpoint::bytes(path)
                .map_err(|cause| RunError::Checkpoint { path: path.clone(), cause })
        };
        let checkpoint = policy.checkpoint.as_ref().map(read).transpose()?;
        let context = PolicyContext::new(&evaluation.scenario, &evaluation.sha256);
        Ok(Self { context, checkpoint })
    }

    /// An instance of the policy.
    pub(crate) fn create(
        &self,
        evaluation: &Evaluation,
        policy: &BoundPolicy,
    ) -> Result<Box<dyn Policy>, CallFailure> {
        let seed = seeds::evaluation(evaluation.scenario.evaluation.seed);
        let checkpoint = self.checkpoint.as_deref();
        let lent = self.context.lend();
        policy.plugin.create_policy(&lent.context(&policy.parameters, checkpoint, seed, 1))
    }
}

impl<'e> RunJob<'e> {
    fn new(number: usize, evaluation: &'e Evaluation, policy: &'e BoundPolicy) -> Self {
        Self {
            number,
            evaluation,
            policy,
            setup: Mutex::default(),
            first_failure: AtomicU64::new(u64::MAX),
            started: AtomicBool::new(false),
            episodes: Mutex::default(),
            remaining: AtomicU64::new(evaluation.scenario.evaluation.episodes),
            ended: Mutex::new(None),
        }
    }

    fn start(&self, observer: &dyn Observer) {
        if !self.started.swap(true, Ordering::Relaxed) {
            let Self { number, evaluation, policy, .. } = *self;
            observer.on_event(Event::RunStarted { number, evaluation, policy });
        }
    }

    fn end(&self, outcome: Result<Vec<EpisodeResult>, RunError>, observer: &dyn Observer) {
        let Self { number, evaluation, policy, .. } = *self;
        let run = Run { evaluation, policy, outcome };
        observer.on_event(Event::RunEnded { number, run: &run });
        *lock(&self.ended) = Some(run);
    }

    /// Plays an episode; the last of them ends the run.
    fn play(&self, episode: u64, observer: &dyn Observer) {
        self.start(observer);
        let result = self.episode(episode);
        {
            let mut episodes = lock(&self.episodes);
            let place = episode as usize;
            if episodes.len() <= place {
                episodes.resize_with(place + 1, || None);
            }
            episodes[place] = result;
        }
        observer.on_event(Event::EpisodesEnded(1));
        if self.remaining.fetch_sub(1, Ordering::AcqRel) == 1 {
            *lock(&self.setup) = None;
            let episodes = std::mem::take(&mut *lock(&self.episodes));
            // Those after a failed one may be missing; the first failure comes before them.
            self.end(episodes.into_iter().flatten().collect(), observer);
        }
    }

    fn setup(&self) -> Result<Arc<RunSetup>, RunError> {
        let mut setup = lock(&self.setup);
        if let Some(setup) = &*setup {
            return Ok(Arc::clone(setup));
        }
        let made = Arc::new(RunSetup::new(self.evaluation, self.policy)?);
        *setup = Some(Arc::clone(&made));
        Ok(made)
    }

    fn episode(&self, episode: u64) -> Option<Result<EpisodeResult, RunError>> {
        if episode > self.first_failure.load(Ordering::Relaxed) {
            return None;
        }
        let result = self.setup().and_then(|setup| {
            let mut policy = setup.create(self.evaluation, self.policy)?;
            let scenario = &self.evaluation.scenario;
            let seed = scenario.evaluation.seed;
            run_episode(scenario, &setup.context, policy.as_mut(), seed, episode)
        });
        if result.is_err() {
            self.first_failure.fetch_min(episode, Ordering::Relaxed);
        }
        Some(result)
    }
}

/// Plays one evaluation episode of `scenario`, whose context is `context`, under `seed` with
/// `policy`.
///
/// # Errors
/// [`RunError`] if a call fails or a decision can't be carried out.
pub fn run_episode(
    scenario: &Scenario,
    context: &PolicyContext,
    policy: &mut dyn Policy,
    seed: u64,
    episode: u64,
) -> Result<EpisodeResult, RunError> {
    let mut environment = Environment::new(&scenario.system, scenario.observation, seed, episode);
    let mut meter = EpisodeMeter::new(&scenario.system);
    let mut actions = Vec::new();
    let (mut decisions, mut decide_ns) = (0, 0);
    let needs = policy.needs();
    let seed = seeds::policy_episode(seed, episode);
    policy.begin_episode(&context.lend().start(episode, seed))?;
    while !environment.is_over() {
        meter.before_slot(environment.episode());
        actions.clear();
        actions.resize(environment.rows(), UNDECIDED);
        let observation = environment.observe(needs);
        if !actions.is_empty() {
            let start = Instant::now();
            policy.decide(&observation, &mut actions)?;
            decide_ns += start.elapsed().as_nanos() as u64;
            decisions += actions.len() as u64;
        }
        environment.step(&actions)?;
        meter.after_slot(environment.episode());
    }
    policy.end_episode()?;
    Ok(EpisodeResult {
        overall: meter.metrics(&scenario.system),
        by_mode: meter.metrics_by_mode(&scenario.system),
        decisions,
        decide_ns,
    })
}

/// Mean AvgQoE and mean drops of `episodes` validation episodes, each with an instance of its own
/// made by `create`: how a training or a distillation is judged while it continues. Their tasks
/// are drawn under [`seeds::validation`]: neither trained on nor those of an evaluation.
///
/// # Errors
/// [`RunError`] of the first episode that failed.
pub fn validate(
    scenario: &Scenario,
    context: &PolicyContext,
    seed: u64,
    episodes: u64,
    create: impl Fn() -> Result<Box<dyn Policy>, RunError> + Sync,
) -> Result<(f64, f64), RunError> {
    let seed = seeds::validation(seed);
    let results: Vec<EpisodeResult> = (0..episodes)
        .into_par_iter()
        .map(|episode| run_episode(scenario, context, create()?.as_mut(), seed, episode))
        .collect::<Result<_, _>>()?;
    let mean = |metric: fn(&EpisodeMetrics) -> f64| {
        MeanSd::of(results.iter().map(|result| metric(&result.overall))).mean
    };
    Ok((mean(|metrics| metrics.qoe), mean(|metrics| metrics.dropped as f64)))
}
