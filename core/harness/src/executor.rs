//! Executors: where a run that asks for isolation is carried out.
//!
//! Scheduling ([`mod@crate::evaluate`]) does not know how a process is started. The program that
//! embeds this crate, such as a command or a Python package, decides by the executor it passes.

use std::path::PathBuf;

use offramp_scenario::Limits;

use crate::bind::{BoundPolicy, Evaluation};
use crate::run::{OnEpisode, RunError, RunSetup};
use crate::tasks::Detail;

/// Creates the policy of one run, and carries out all of its episodes.
pub trait Executor: Sync {
    /// Creates `policy`, one of those of `evaluation`, within `limits`, and drops it; returns the
    /// files that it reads by itself.
    ///
    /// # Errors
    /// [`RunError`]: [a refusal](RunError::is_refusal), or a crash.
    fn check(
        &self,
        evaluation: &Evaluation,
        policy: &BoundPolicy,
        limits: Limits,
    ) -> Result<Vec<PathBuf>, RunError>;

    /// Evaluates `policy`, one of those of `evaluation`, within `limits`, and keeps as much as `detail`
    /// states.
    ///
    /// # Errors
    /// [`RunError`] of the first episode that failed.
    fn run(
        &self,
        evaluation: &Evaluation,
        policy: &BoundPolicy,
        limits: Limits,
        detail: Detail,
        on_episode: OnEpisode<'_>,
    ) -> Result<(), RunError>;
}

/// Runs in this process, one episode after another. Limits are not enforced: a policy that crashes
/// takes the process along.
#[derive(Clone, Copy, Debug)]
pub struct InProcess;

impl InProcess {
    /// Creates `policy` and drops it; returns the files that it reads by itself.
    pub(crate) fn create(
        evaluation: &Evaluation,
        policy: &BoundPolicy,
    ) -> Result<Vec<PathBuf>, RunError> {
        Ok(RunSetup::new(evaluation, policy)?.create()?.files()?)
    }
}

impl Executor for InProcess {
    fn check(
        &self,
        evaluation: &Evaluation,
        policy: &BoundPolicy,
        _: Limits,
    ) -> Result<Vec<PathBuf>, RunError> {
        Self::create(evaluation, policy)
    }

    fn run(
        &self,
        evaluation: &Evaluation,
        policy: &BoundPolicy,
        _: Limits,
        detail: Detail,
        on_episode: OnEpisode<'_>,
    ) -> Result<(), RunError> {
        let setup = RunSetup::new(evaluation, policy)?;
        for episode in 0..evaluation.scenario.evaluation.episodes {
            let mut policy = setup.instance()?;
            if on_episode(setup.episode(policy.as_mut(), episode, detail)?).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// Runs each in a process of its own, see [`crate::isolate`].
#[derive(Clone, Debug)]
pub struct Isolated {
    /// The program to start with the argument [`crate::isolate::ARGUMENT`]. It must then call
    /// [`crate::isolate::serve`]; usually it is the `offramp` command itself.
    pub executable: PathBuf,
}

impl Executor for Isolated {
    fn check(
        &self,
        evaluation: &Evaluation,
        policy: &BoundPolicy,
        limits: Limits,
    ) -> Result<Vec<PathBuf>, RunError> {
        crate::isolate::check(&self.executable, evaluation, policy, limits)
    }

    fn run(
        &self,
        evaluation: &Evaluation,
        policy: &BoundPolicy,
        limits: Limits,
        detail: Detail,
        on_episode: OnEpisode<'_>,
    ) -> Result<(), RunError> {
        crate::isolate::play(&self.executable, evaluation, policy, limits, detail, on_episode)
    }
}
