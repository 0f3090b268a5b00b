//! Progress of every long command, as one kind of event.
//!
//! Evaluations, trainings, distillations and studies report to an [`Observer`]: a terminal's
//! progress bar, a log, or another language. Events change no result; an observer may drop them.

use offramp_results::learning::{TrainingEpisode, Validation};
use offramp_results::run_folder::StoredRun;

use crate::bind::{BoundPolicy, Evaluation};

/// Progress of a command.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A run begins: one policy at one point of a scenario.
    RunStarted {
        /// Its number among all runs of the command, counted from 0.
        number: usize,
        /// The scenario at its point of the sweep.
        evaluation: &'a Evaluation,
        /// The policy.
        policy: &'a BoundPolicy,
    },
    /// Episodes of runs have ended; more than one if they were read from an earlier attempt.
    EpisodesEnded(u64),
    /// Slots of the streams of a live run have ended.
    SlotsEnded(u64),
    /// A run has ended, successfully or not.
    RunEnded {
        /// Its number among all runs of the command, counted from 0.
        number: usize,
        /// The run with its outcome.
        run: &'a StoredRun,
    },
    /// A training or distillation begins, or continues.
    Begun {
        /// The field of the scenario that names what learns.
        learner: &'static str,
        /// Bytes that it will need at most; 0 if it does not know.
        memory: u64,
        /// Episodes or steps that were done before.
        done: u64,
    },
    /// A training episode has ended, its validation included.
    TrainingEpisode(&'a TrainingEpisode),
    /// A distillation has validated its student.
    Validation(&'a Validation),
    /// A training or distillation has ended early.
    Stopped {
        /// The unit of its length: `episode` or `step`.
        unit: &'static str,
        /// The number of them after which it ended.
        after: u64,
        /// Validations in a row without a better one, at which it was to end.
        validations: u64,
    },
    /// A job of a study or of a search for hyper-parameters begins.
    StudyJob {
        /// Number of trainings, distillations and evaluations that are done.
        done: usize,
        /// Number of all of them.
        total: usize,
        /// The policy, and whether it is trained, distilled or evaluated; or the rung, the
        /// configuration and the seed.
        what: &'a str,
    },
}

/// Receives [`Event`]s, from any thread.
pub trait Observer: Sync {
    /// Receives an event. Runs in the thread that caused it, so it should return soon.
    fn on_event(&self, event: Event<'_>);

    /// True once the command should end early. Asked between episodes and steps, from any thread;
    /// what is done by then is kept, and the command ends with an error that says so.
    fn interrupted(&self) -> bool {
        false
    }
}

impl<F: Fn(Event<'_>) + Sync> Observer for F {
    fn on_event(&self, event: Event<'_>) {
        self(event);
    }
}

/// Ignores every event.
#[derive(Clone, Copy, Debug)]
pub struct Quiet;

impl Observer for Quiet {
    fn on_event(&self, _: Event<'_>) {}
}

/// Ignores every event, but ends early with another observer: for parts of a command that reports as
/// a whole.
pub struct Part<'o>(pub &'o dyn Observer);

impl Observer for Part<'_> {
    fn on_event(&self, _: Event<'_>) {}

    fn interrupted(&self) -> bool {
        self.0.interrupted()
    }
}
