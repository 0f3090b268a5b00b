//! Evaluation: every policy of every scenario, over its episodes and the points of its sweep.
//!
//! Common random numbers: the tasks of an episode depend on seed and episode alone, so all policies
//! face the same ones. Each episode is a job of its own with an instance of its own, so the result
//! does not depend on the number of threads, even for a policy that carries state from one episode
//! to the next.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use offramp_results::EpisodeResult;
use offramp_scenario::{Experiment, Scenario};
use rayon::prelude::*;

use crate::bind::{BoundPolicy, Evaluation};
use crate::events::{Event, Observer};
use crate::executor::Executor;
use crate::run::{Run, RunError, RunSetup, run_episode, runs};

/// Evaluates those [`runs`] whose number is `wanted`, and returns them in order with their numbers.
/// Runs of scenarios that ask for isolation are carried out by `isolated`, all others here, on the
/// threads of the rayon pool this is called in.
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
    /// The setup that its episodes share, kept from the first to the last of them, so that a batch of
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

    /// Plays an episode; the last one to finish ends the run.
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
