//! Evaluation: runs, episode by episode, on all threads.
//!
//! Common random numbers: the tasks of an episode depend on seed and episode alone, so all policies
//! face the same ones. Each episode is a job of its own with an instance of its own, so the result
//! does not depend on the number of threads, even for a policy that carries state from one episode
//! to the next.
//!
//! Memory does not grow with the number of episodes. Threads take episodes in order, one by one;
//! each run puts what comes back into order and hands it to its [`Sink`] at once. An episode that is
//! far ahead of the slowest one waits.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use offramp_results::run_folder::{RunRecord, StoredRun};
use offramp_results::summary::Summary;
use offramp_results::{EpisodeResult, Error};
use offramp_scenario::{Experiment, Limits};
use rayon::prelude::*;

use crate::bind::Evaluation;
use crate::check::{Planned, Unfit, check, plan};
use crate::events::{Event, Observer};
use crate::executor::Executor;
use crate::identity::{FileHashes, changed_file};
use crate::isolate::Permit;
use crate::run::{RunError, RunSetup, runs};
use crate::tasks::{Detail, EpisodeTasks, Played};

/// Receives the episodes of runs in order; only their summaries are kept otherwise.
pub trait Sink: Sync {
    /// State of a run in progress.
    type Run: Send;

    /// Begins a run. Called before anything of its policy is.
    ///
    /// # Errors
    /// [`Error`] ends the whole evaluation, as in each call here.
    fn begin(&self, run: &Planned<'_>) -> Result<Self::Run, Error>;

    /// Adds its next episode.
    ///
    /// # Errors
    /// [`Error`].
    fn add(&self, run: &mut Self::Run, episode: EpisodeResult) -> Result<(), Error>;

    /// Adds the tasks of the episode that is added next; called if [`detail`](Self::detail) asks for
    /// them.
    ///
    /// # Errors
    /// [`Error`].
    fn add_tasks(&self, _: &mut Self::Run, _: EpisodeTasks) -> Result<(), Error> {
        Ok(())
    }

    /// Ends it, successfully or not.
    ///
    /// # Errors
    /// [`Error`].
    fn end(&self, run: Self::Run, stored: &StoredRun) -> Result<(), Error>;

    /// How much it keeps: the episodes alone, unless it says otherwise.
    fn detail(&self) -> Detail {
        Detail::Episodes
    }
}

/// Keeps no episodes.
#[derive(Clone, Copy, Debug)]
pub struct Discard;

impl Sink for Discard {
    type Run = ();

    fn begin(&self, _: &Planned<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn add(&self, (): &mut (), _: EpisodeResult) -> Result<(), Error> {
        Ok(())
    }

    fn end(&self, (): (), _: &StoredRun) -> Result<(), Error> {
        Ok(())
    }
}

/// Creates the policy of each of the [`runs`] of `experiments` once, so that they can be
/// [evaluated](evaluate).
///
/// # Errors
/// [`Unfit`] with the runs that can't begin.
pub fn prepare<'e>(
    experiments: &'e [Experiment<Evaluation>],
    isolated: &dyn Executor,
) -> Result<Vec<Planned<'e>>, Unfit> {
    let hashes = FileHashes::default();
    let mut planned = plan(runs(experiments).enumerate(), &hashes)?;
    check(&mut planned, isolated, &hashes)?;
    Ok(planned)
}

/// Evaluates `planned` runs and returns them in order. Runs of scenarios that ask for isolation are
/// carried out by `isolated`, all others here, on the threads of the rayon pool this is called in.
///
/// # Errors
/// The first [`Error`] of `sink`, or [`Error::Interrupted`].
pub fn evaluate<S: Sink>(
    planned: &[Planned<'_>],
    isolated: &dyn Executor,
    sink: &S,
    observer: &dyn Observer,
) -> Result<Vec<StoredRun>, Error> {
    // Episodes of thousands of devices are few and long: each has the threads that would be idle.
    let episodes = planned.iter().map(tasks_of).fold(0, u64::saturating_add);
    let threads = rayon::current_num_threads() as u64;
    let common = Common {
        episode_threads: (threads / episodes.max(1)).max(1) as usize,
        isolated,
        sink,
        observer,
        stop: AtomicBool::new(false),
        error: Mutex::default(),
        stored: Mutex::default(),
    };
    let common = &common;
    let tasks = planned.iter().enumerate().flat_map(|(at, run)| {
        let job = Arc::new(RunJob::new(at, run, common));
        let tasks = (0..tasks_of(run)).map(move |episode| (Arc::clone(&job), episode));
        tasks.take_while(|(job, episode)| job.counts(*episode))
    });
    let ends = || common.stop.load(Ordering::Relaxed) || observer.interrupted();
    let tasks = tasks.take_while(|_| !ends());
    tasks.par_bridge().for_each(|(job, episode)| {
        if let Err(error) = job.carry_out(episode) {
            common.stop.store(true, Ordering::Relaxed);
            lock(&common.error).get_or_insert(error);
        }
    });
    match std::mem::take(&mut *lock(&common.error)) {
        Some(error) => Err(error),
        None if observer.interrupted() => Err(Error::Interrupted),
        None => Ok(std::mem::take(&mut *lock(&common.stored)).into_values().collect()),
    }
}

/// How many tasks a run is: one per episode, or a single one if it has a process of its own.
fn tasks_of(run: &Planned<'_>) -> u64 {
    match run.isolation() {
        None if run.failed.is_none() => run.evaluation.scenario.evaluation.episodes,
        _ => 1,
    }
}

/// The value in a lock; a lock is poisoned by a panic alone, which is a bug that ends everything.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// State that all runs of an evaluation share.
struct Common<'c, S> {
    /// Threads of each episode.
    episode_threads: usize,
    isolated: &'c dyn Executor,
    sink: &'c S,
    observer: &'c dyn Observer,
    /// True if an error ends the evaluation.
    stop: AtomicBool,
    error: Mutex<Option<Error>>,
    /// The runs that have ended, by their places.
    stored: Mutex<BTreeMap<usize, StoredRun>>,
}

/// A run while its episodes are played.
struct RunJob<'c, S: Sink> {
    at: usize,
    run: &'c Planned<'c>,
    common: &'c Common<'c, S>,
    /// The setup that its episodes share.
    setup: Mutex<Option<Arc<RunSetup<'c>>>>,
    /// The first episode that failed so far: later ones need not be played, earlier ones must be.
    first_failure: AtomicU64,
    progress: Mutex<Progress<S::Run>>,
    /// Notified when `progress` has changed.
    moved: Condvar,
}

/// The episodes of a run that have ended.
struct Progress<R> {
    /// The sink's part; `None` before the run begins and after it ends.
    kept: Option<R>,
    summary: Summary,
    /// The first episode that has not been added.
    next: u64,
    /// Later ones that have ended.
    waiting: BTreeMap<u64, Result<Played, RunError>>,
    /// Bytes of their tasks.
    waiting_bytes: u64,
    begun: bool,
}

/// Bytes of the tasks of an episode.
fn task_bytes(played: &Result<Played, RunError>) -> u64 {
    let tasks = played.as_ref().ok().and_then(|played| played.tasks.as_ref());
    tasks.map_or(0, EpisodeTasks::bytes)
}

/// How far an episode may be ahead of the slowest one; at 500 bytes each, some megabytes.
const MAX_AHEAD: u64 = 4096;
/// Bytes of tasks that may wait for the slowest episode, apart from those of one episode per thread.
const MAX_WAITING_BYTES: u64 = 1 << 24;

impl<'c, S: Sink> RunJob<'c, S> {
    fn new(at: usize, run: &'c Planned<'c>, common: &'c Common<'c, S>) -> Self {
        let progress = Progress {
            kept: None,
            summary: Summary::new(),
            next: 0,
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
            begun: false,
        };
        Self {
            at,
            run,
            common,
            setup: Mutex::default(),
            first_failure: AtomicU64::new(u64::MAX),
            progress: Mutex::new(progress),
            moved: Condvar::new(),
        }
    }

    fn episodes(&self) -> u64 {
        self.run.evaluation.scenario.evaluation.episodes
    }

    /// True if the run's outcome depends on this episode.
    fn counts(&self, episode: u64) -> bool {
        episode <= self.first_failure.load(Ordering::Relaxed)
    }

    /// Plays an episode, or all of them if the run has a process of its own.
    fn carry_out(&self, episode: u64) -> Result<(), Error> {
        let _permit = self.run.isolation().map(|_| Permit::wait());
        self.begin()?;
        if let Some(error) = &self.run.failed {
            return self.end(&mut lock(&self.progress), Some(error.to_string()));
        }
        match self.run.isolation() {
            Some(limits) => self.apart(limits),
            None if !self.counts(episode) => Ok(()),
            None => {
                let result = self.episode(episode);
                self.deliver(episode, result)
            }
        }
    }

    fn begin(&self) -> Result<(), Error> {
        let mut progress = lock(&self.progress);
        if !progress.begun {
            progress.begun = true;
            let Planned { number, evaluation, policy, .. } = *self.run;
            self.common.observer.on_event(Event::RunStarted { number, evaluation, policy });
            progress.kept = Some(self.common.sink.begin(self.run)?);
        }
        Ok(())
    }

    /// All episodes, in a process of its own.
    fn apart(&self, limits: Limits) -> Result<(), Error> {
        let Planned { evaluation, policy, .. } = *self.run;
        let mut error = None;
        let mut on_episode = |result| {
            let added = self.add(&mut lock(&self.progress), result);
            self.common.observer.on_event(Event::EpisodesEnded(1));
            match added {
                Ok(()) => ControlFlow::Continue(()),
                Err(cause) => {
                    error = Some(cause);
                    ControlFlow::Break(())
                }
            }
        };
        let outcome = self.common.isolated.run(
            evaluation,
            policy,
            limits,
            self.common.sink.detail(),
            &mut on_episode,
        );
        match error {
            Some(error) => Err(error),
            None => self.end(&mut lock(&self.progress), outcome.err().map(|why| why.to_string())),
        }
    }

    /// Takes the result of an episode, and adds it and those that waited for it.
    fn deliver(&self, episode: u64, result: Result<Played, RunError>) -> Result<(), Error> {
        if result.is_err() {
            self.first_failure.fetch_min(episode, Ordering::Relaxed);
        }
        let mut progress = lock(&self.progress);
        let needed = || self.counts(episode) && !self.common.stop.load(Ordering::Relaxed);
        let is_ahead = |progress: &Progress<S::Run>| {
            episode > progress.next + MAX_AHEAD
                || episode > progress.next && progress.waiting_bytes > MAX_WAITING_BYTES
        };
        while is_ahead(&progress) && needed() {
            progress = self.moved.wait(progress).unwrap_or_else(PoisonError::into_inner);
        }
        progress.waiting_bytes += task_bytes(&result);
        progress.waiting.insert(episode, result);
        let before = progress.next;
        let added = self.add_waiting(&mut progress);
        let ended = progress.next - before;
        drop(progress);
        self.moved.notify_all();
        self.common.observer.on_event(Event::EpisodesEnded(ended));
        added
    }

    fn add_waiting(&self, progress: &mut Progress<S::Run>) -> Result<(), Error> {
        while let Some(result) = progress.waiting.remove(&progress.next) {
            progress.waiting_bytes -= task_bytes(&result);
            match result {
                Ok(result) => self.add(progress, result)?,
                Err(error) => return self.end(progress, Some(error.to_string())),
            }
        }
        if progress.next == self.episodes() { self.end(progress, None) } else { Ok(()) }
    }

    fn add(&self, progress: &mut Progress<S::Run>, played: Played) -> Result<(), Error> {
        let Played { result, tasks } = played;
        progress.summary.add(&result);
        progress.next += 1;
        let Some(kept) = &mut progress.kept else { return Ok(()) };
        if let Some(tasks) = tasks {
            self.common.sink.add_tasks(kept, tasks)?;
        }
        self.common.sink.add(kept, result)
    }

    /// Ends the run, with the reason if it failed.
    fn end(&self, progress: &mut Progress<S::Run>, error: Option<String>) -> Result<(), Error> {
        let Planned { number, evaluation, record, .. } = self.run;
        *lock(&self.setup) = None;
        let changed = || {
            let file = changed_file(evaluation, record.identity.as_ref()?)?;
            Some(format!("the file {file} has changed while it ran"))
        };
        let error = error.or_else(changed);
        let summary = std::mem::take(&mut progress.summary);
        let summary = if error.is_none() { summary } else { Summary::new() };
        let record = RunRecord { episodes: summary.episodes(), error, ..record.clone() };
        let stored = StoredRun { record, summary };
        if let Some(kept) = progress.kept.take() {
            self.common.sink.end(kept, &stored)?;
        }
        self.common.observer.on_event(Event::RunEnded { number: *number, run: &stored });
        lock(&self.common.stored).insert(self.at, stored);
        Ok(())
    }

    fn setup(&self) -> Result<Arc<RunSetup<'c>>, RunError> {
        let mut setup = lock(&self.setup);
        if let Some(setup) = &*setup {
            return Ok(Arc::clone(setup));
        }
        let made = RunSetup::new(self.run.evaluation, self.run.policy)?;
        let made = Arc::new(made.on_threads(self.common.episode_threads));
        *setup = Some(Arc::clone(&made));
        Ok(made)
    }

    fn episode(&self, episode: u64) -> Result<Played, RunError> {
        let setup = self.setup()?;
        let mut policy = setup.instance()?;
        setup.episode(policy.as_mut(), episode, self.common.sink.detail())
    }
}
