//! Runs: one policy at one point of a scenario, episode by episode.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use offramp_host::plugin::{Context, Observation, UNDECIDED};
use offramp_host::{CallFailure, CallFault, Policy};
use offramp_model::{Episode, IllegalDecision};
use offramp_results::timeline::Timeline;
use offramp_results::{EpisodeResult, checkpoint};
use offramp_scenario::{Experiment, Scenario};
use offramp_timeline::Recorder;

use crate::bind::{BoundPolicy, Decider, Evaluation};
use crate::context::{PolicyContext, file_bytes};
use crate::environment::Environment;
use crate::instances::Instances;
use crate::metrics::{EpisodeMeter, NotFinite, finite};
use crate::plans;
use crate::seeds;
use crate::survey::Surveyor;
use crate::tasks::{Detail, Played, TaskRecorder};

/// Receives the episodes of a run in order; the run ends early if it breaks.
pub type OnEpisode<'a> = &'a mut dyn FnMut(Played) -> ControlFlow<()>;

/// The reason why a run failed. Other runs continue.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Its checkpoint can't be read.
    #[error("checkpoint {path}: {cause}")]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// The cause, as the system reports it.
        cause: std::io::Error,
    },
    /// A call into the plugin failed.
    #[error(transparent)]
    Call(#[from] CallFailure),
    /// The run had a process of its own, and could not begin in it.
    #[error("{0}")]
    Refused(String),
    /// The run had a process of its own: how that ended, or why the run failed in it.
    #[error("{0}")]
    Isolated(String),
    /// A metric of an episode is not a finite number.
    #[error(transparent)]
    NotFinite(#[from] NotFinite),
    /// A decision can't be carried out.
    #[error(transparent)]
    Illegal(#[from] IllegalDecision),
    /// The tasks of an episode can't be kept until it is over.
    #[error("can't write the tasks of an episode to a temporary file: {0}")]
    Tasks(#[from] std::io::Error),
}

impl RunError {
    /// True if the run could not begin because of what its scenario names: a parameter, a
    /// checkpoint, a file. A crash is not a refusal.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Checkpoint { .. } | Self::Refused(_) => true,
            Self::Call(failure) => {
                let crashed = matches!(failure.fault, CallFault::Panic(_));
                !crashed && ["create", "files"].contains(&failure.call)
            }
            Self::Isolated(_) | Self::NotFinite(_) | Self::Illegal(_) | Self::Tasks(_) => false,
        }
    }
}

/// All policies of all points of all experiments, in that nesting.
pub fn runs(
    experiments: &[Experiment<Evaluation>],
) -> impl Iterator<Item = (&Evaluation, &BoundPolicy)> {
    let points = experiments.iter().flat_map(|experiment| &experiment.points);
    points.flat_map(|point| point.policies.iter().map(move |policy| (point, policy)))
}

/// The setup that all episodes of a run share.
pub(crate) struct RunSetup<'r> {
    evaluation: &'r Evaluation,
    policy: &'r BoundPolicy,
    pub(crate) context: PolicyContext,
    /// The bytes of the checkpoint, if there is one.
    checkpoint: Option<Vec<u8>>,
    /// The absolute path of its file, as bytes; empty if there is none.
    checkpoint_file: Vec<u8>,
    instances: Instances,
    /// Threads on which the slots of an episode are carried out.
    threads: usize,
}

impl<'r> RunSetup<'r> {
    /// Reads the checkpoint and prepares the context.
    ///
    /// # Errors
    /// [`RunError::Checkpoint`] if it can't be read.
    pub(crate) fn new(
        evaluation: &'r Evaluation,
        policy: &'r BoundPolicy,
    ) -> Result<Self, RunError> {
        let read = |path: &PathBuf| {
            checkpoint::bytes(path)
                .map_err(|cause| RunError::Checkpoint { path: path.clone(), cause })
        };
        let checkpoint = policy.checkpoint.as_ref().map(read).transpose()?;
        let context = PolicyContext::new(&evaluation.scenario, &evaluation.sha256);
        let checkpoint_file = file_bytes(policy.checkpoint.as_deref());
        let instances = Instances::default();
        Ok(Self { evaluation, policy, context, checkpoint, checkpoint_file, instances, threads: 1 })
    }

    /// The same, with the slots of each episode carried out on so many threads.
    pub(crate) fn on_threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    /// An instance of the policy for an episode.
    ///
    /// # Errors
    /// [`CallFailure`] of the plugin.
    pub(crate) fn instance(&self) -> Result<Box<dyn Policy>, CallFailure> {
        self.instances.next(|| self.create())
    }

    /// Creates an instance of the policy.
    ///
    /// # Errors
    /// [`CallFailure`] of the plugin.
    pub(crate) fn create(&self) -> Result<Box<dyn Policy>, CallFailure> {
        let Self { evaluation, policy, .. } = *self;
        let seed = seeds::evaluation(evaluation.scenario.evaluation.seed);
        let checkpoint = self.checkpoint.as_deref();
        let lent = self.context.lend();
        let context = lent.context(&policy.parameters, checkpoint, seed, 1);
        let checkpoint_file = self.checkpoint_file.as_slice().into();
        match &policy.decider {
            Decider::Plugin(plugin) => {
                plugin.create_policy(&Context { checkpoint_file, ..context })
            }
            Decider::Reference(reference) => Ok(plans::policy(*reference, &evaluation.scenario)),
        }
    }
}

/// Observes an episode slot by slot while it is played.
trait EpisodeObserver {
    /// Called at the start of a slot, before anything is decided.
    fn before_slot(&mut self, _: &Episode) {}

    /// Lets `policy` fill the actions, of which there is at least one.
    fn decide(
        &mut self,
        policy: &mut dyn Policy,
        observation: &Observation<'_>,
        actions: &mut [u32],
    ) -> Result<(), CallFailure>;

    /// Called with the decisions of the slot, before they are carried out.
    fn decided(&mut self, _: &Episode, _: &[u32]) {}

    /// Called at the end of the slot.
    fn after_slot(&mut self, episode: &Episode);
}

/// Plays an evaluation episode of `scenario`, whose context is `context`, under `seed` with `policy`,
/// its slots on `threads` threads.
fn play(
    scenario: &Scenario,
    context: &PolicyContext,
    policy: &mut dyn Policy,
    seed: u64,
    episode: u64,
    threads: usize,
    observer: &mut impl EpisodeObserver,
) -> Result<(), RunError> {
    let mut environment = Environment::new(&scenario.system, scenario.observation, seed, episode);
    environment.set_threads(threads);
    let mut actions = Vec::new();
    let needs = policy.needs();
    let seed = seeds::policy_episode(seed, episode);
    policy.begin_episode(&context.lend().start(episode, seed))?;
    while !environment.is_over() {
        observer.before_slot(environment.episode());
        actions.clear();
        actions.resize(environment.rows(), UNDECIDED);
        let observation = environment.observe(needs);
        if !actions.is_empty() {
            observer.decide(policy, &observation, &mut actions)?;
        }
        observer.decided(environment.episode(), &actions);
        environment.step(&actions)?;
        observer.after_slot(environment.episode());
    }
    Ok(policy.end_episode()?)
}

/// Measures an episode, and the time of its decisions.
struct Measured {
    meter: EpisodeMeter,
    /// Measures mobility and rates, if that is wanted and anything moves.
    surveyor: Option<Surveyor>,
    /// Records the tasks, if they are kept.
    tasks: Option<TaskRecorder>,
    decisions: u64,
    decide_ns: u64,
}

impl EpisodeObserver for Measured {
    fn before_slot(&mut self, episode: &Episode) {
        self.meter.before_slot(episode);
        if let Some(surveyor) = &mut self.surveyor {
            surveyor.before_slot(episode);
        }
        if let Some(tasks) = &mut self.tasks {
            tasks.before_slot(episode);
        }
    }

    fn decide(
        &mut self,
        policy: &mut dyn Policy,
        observation: &Observation<'_>,
        actions: &mut [u32],
    ) -> Result<(), CallFailure> {
        let start = Instant::now();
        policy.decide(observation, actions)?;
        self.decide_ns += start.elapsed().as_nanos() as u64;
        self.decisions += actions.len() as u64;
        Ok(())
    }

    fn after_slot(&mut self, episode: &Episode) {
        self.meter.after_slot(episode);
        if let Some(surveyor) = self.surveyor.as_mut().filter(|_| episode.is_over()) {
            surveyor.after_episode(episode);
        }
        if let Some(tasks) = &mut self.tasks {
            tasks.after_slot(episode);
        }
    }
}

/// Plays one evaluation episode of `scenario`, whose context is `context`, under `seed` with
/// `policy`; mobility and rates are not measured.
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
    let meter = EpisodeMeter::new(&scenario.system);
    let measured = Measured { meter, surveyor: None, tasks: None, decisions: 0, decide_ns: 0 };
    Ok(measured.episode(scenario, context, policy, seed, episode, 1)?.result)
}

impl RunSetup<'_> {
    /// Plays an episode of the run with an instance of its policy, and measures everything.
    ///
    /// # Errors
    /// [`RunError`] if a call fails or a decision can't be carried out.
    pub(crate) fn episode(
        &self,
        policy: &mut dyn Policy,
        episode: u64,
        detail: Detail,
    ) -> Result<Played, RunError> {
        let scenario = &self.evaluation.scenario;
        let measured = Measured {
            meter: EpisodeMeter::new(&scenario.system),
            surveyor: Surveyor::new(&scenario.system),
            tasks: (detail == Detail::Tasks).then(|| TaskRecorder::new(episode)),
            decisions: 0,
            decide_ns: 0,
        };
        let seed = scenario.evaluation.seed;
        let mut played =
            measured.episode(scenario, &self.context, policy, seed, episode, self.threads)?;
        if self.policy.plugin().is_none() {
            // A plan is looked up: the time of that says nothing.
            (played.result.decisions, played.result.decide_ns) = (0, 0);
        }
        Ok(played)
    }
}

impl Measured {
    /// Plays an episode, with the arguments of [`run_episode`], its slots on `threads` threads.
    fn episode(
        mut self,
        scenario: &Scenario,
        context: &PolicyContext,
        policy: &mut dyn Policy,
        seed: u64,
        episode: u64,
        threads: usize,
    ) -> Result<Played, RunError> {
        play(scenario, context, policy, seed, episode, threads, &mut self)?;
        let Self { meter, surveyor, tasks, decisions, decide_ns } = self;
        let mobility =
            surveyor.map(|surveyor| finite(surveyor.mobility(&scenario.system), episode));
        let result = EpisodeResult {
            overall: meter.metrics(&scenario.system, episode)?,
            by_group: meter.metrics_by_group(&scenario.system),
            done_by_delay: meter.done_by_delay(),
            decisions,
            decide_ns,
            mobility: mobility.transpose()?.map(Box::new),
        };
        Ok(Played { result, tasks: tasks.map(TaskRecorder::finish).transpose()? })
    }
}

/// Records an episode, with the values of the policy's actions if it has a value function.
struct Recorded {
    recorder: Recorder,
    /// M + 1.
    width: usize,
    /// The values of this slot's tasks, rows × (M + 1); empty if the policy has none.
    values: Vec<f32>,
}

impl EpisodeObserver for Recorded {
    fn decide(
        &mut self,
        policy: &mut dyn Policy,
        observation: &Observation<'_>,
        actions: &mut [u32],
    ) -> Result<(), CallFailure> {
        policy.decide(observation, actions)?;
        if let Some(function) = policy.value_function() {
            self.values.resize(actions.len() * self.width, 0.0);
            function.values(observation, &mut self.values)?;
        }
        Ok(())
    }

    fn decided(&mut self, episode: &Episode, actions: &[u32]) {
        self.recorder.before_slot(episode, actions, &self.values);
        self.values.clear();
    }

    fn after_slot(&mut self, episode: &Episode) {
        self.recorder.after_slot(episode);
    }
}

/// Plays one evaluation episode of a run and returns what happened in it, with the values of the
/// policy's actions if it has a value function.
///
/// # Errors
/// [`RunError`] if the run can't begin, a call fails or a decision can't be carried out.
pub fn watch_episode(
    evaluation: &Evaluation,
    policy: &BoundPolicy,
    episode: u64,
) -> Result<Timeline, RunError> {
    let setup = RunSetup::new(evaluation, policy)?;
    let mut policy = setup.instance()?;
    let scenario = &evaluation.scenario;
    let width = scenario.system.server_count() as usize + 1;
    let recorder = Recorder::new(&scenario.system);
    let mut recorded = Recorded { recorder, width, values: Vec::new() };
    let seed = scenario.evaluation.seed;
    play(scenario, &setup.context, policy.as_mut(), seed, episode, 1, &mut recorded)?;
    Ok(recorded.recorder.finish())
}
