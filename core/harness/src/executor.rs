//! Executors: where a run that asks for isolation is carried out.
//!
//! Scheduling ([`mod@crate::evaluate`]) does not know how a process is started. The program that
//! embeds this crate, such as a command or a Python package, decides by the executor it passes.

use std::path::PathBuf;

use offramp_results::EpisodeResult;
use offramp_scenario::Limits;

use crate::bind::{BoundPolicy, Evaluation};
use crate::run::{RunError, RunSetup, run_episode};

/// Carries out all episodes of one run.
pub trait Executor: Sync {
    /// Evaluates `policy`, one of those of `evaluation`, within `limits`. `on_episode` is called
    /// after each episode.
    ///
    /// # Errors
    /// [`RunError`] of the first episode that failed.
    fn run(
        &self,
        evaluation: &Evaluation,
        policy: &BoundPolicy,
        limits: Limits,
        on_episode: &dyn Fn(),
    ) -> Result<Vec<EpisodeResult>, RunError>;
}

/// Runs in this process, one episode after another. Limits are not enforced: a policy that crashes
/// takes the process along.
#[derive(Clone, Copy, Debug)]
pub struct InProcess;

impl Executor for InProcess {
    fn run(
        &self,
        evaluation: &Evaluation,
        policy: &BoundPolicy,
        _: Limits,
        on_episode: &dyn Fn(),
    ) -> Result<Vec<EpisodeResult>, RunError> {
        let setup = RunSetup::new(evaluation, policy)?;
        let scenario = &evaluation.scenario;
        let episode = |episode| {
            let mut policy = setup.create(evaluation, policy)?;
            let seed = scenario.evaluation.seed;
            let result = run_episode(scenario, &setup.context, policy.as_mut(), seed, episode);
            on_episode();
            result
        };
        (0..scenario.evaluation.episodes).map(episode).collect()
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
    fn run(
        &self,
        evaluation: &Evaluation,
        policy: &BoundPolicy,
        limits: Limits,
        on_episode: &dyn Fn(),
    ) -> Result<Vec<EpisodeResult>, RunError> {
        crate::isolate::play(&self.executable, evaluation, policy, limits, on_episode)
    }
}
