//! The setup of a stream: a policy with its checkpoints, and what its stream is made of.

use std::sync::Arc;

use offramp_harness::bind::{BoundLivePolicy, BoundTeacher, Live};
use offramp_harness::context::{PolicyContext, learning_steps};
use offramp_harness::environment::Environment;
use offramp_harness::states::States;
use offramp_harness::{Checkpoint, NotCreated, Origin, Refusal, created, seeds};
use offramp_host::plugin::{Context, EpisodeStart, UNDECIDED};
use offramp_host::{CallFailure, CallFault, Explorer, Policy};
use offramp_model::{IllegalDecision, System};
use offramp_results::files::sha256;
use offramp_scenario::{Exchange, LivePolicy, Scenario};

use crate::federated::{Federated, Public};
use crate::online::Online;
use crate::wire::{self, Scales};

/// Fields on which no stream depends, and the policies, of which each stream has one.
const FREE: [&str; 6] =
    ["train", "distill", "tune", "live.policies", "live.save_every", "live.ceiling"];

/// The longest value that an origin shows.
const SHOWN: usize = 60;

/// The diagnostic by which a policy tells how many multiply-adds its learning has cost since it was asked last.
const MULTIPLY_ADDS: &str = "multiply_adds";

/// Multiply-adds that a policy has spent on learning since the last call; `None` if it does not report them.
///
/// # Errors
/// [`CallFailure`] of the policy.
pub(crate) fn multiply_adds(policy: &mut dyn Policy) -> Result<Option<u64>, CallFailure> {
    let Some(saved) = policy.saved() else { return Ok(None) };
    let told = saved.diagnostics()?;
    Ok(told.iter().find(|(name, _)| name == MULTIPLY_ADDS).map(|(_, cost)| *cost as u64))
}

/// A policy of a live run, ready to be created.
pub(crate) struct Setup<'l> {
    pub(crate) live: &'l Live,
    pub(crate) policy: &'l BoundLivePolicy,
    /// The seed of all that is drawn.
    pub(crate) seed: u64,
    context: PolicyContext,
    first: Checkpoint,
    teacher: Checkpoint,
    /// The checkpoints that replace the policy, by slot.
    pub(crate) renewed: Vec<(u32, Checkpoint)>,
    pub(crate) origin: Origin,
    threads: u32,
    /// Multiply-adds of a fit of `online`, for each device, if the policy tells.
    of_a_fit: Option<u64>,
    /// Why the policy or its explorer crashed when it was created, if it did.
    pub(crate) crashed: Option<CallFailure>,
}

impl<'l> Setup<'l> {
    /// Reads the checkpoints of a policy and creates it once from each of them.
    ///
    /// # Errors
    /// [`Refusal`] of what the scenario states.
    pub(crate) fn new(live: &'l Live, policy: &'l BoundLivePolicy) -> Result<Self, Refusal> {
        let field = |name: &str| format!("{}.{name}", policy.field);
        // What plugins see of the system is that from slot 0 on.
        let system = live.entry.phases.first().map(|phase| &phase.system);
        let system = system.unwrap_or(&live.scenario.system).clone();
        let seen = Scenario { system, ..live.scenario.clone() };
        let mut renewed = Vec::with_capacity(policy.renewed.len());
        for (slot, file) in &policy.renewed {
            let checkpoint = Checkpoint::read(&field(&format!("renewed.{slot}")), Some(file))?;
            renewed.push((*slot, checkpoint));
        }
        let threads = rayon::current_num_threads() / live.policies.len().max(1);
        let mut setup = Self {
            live,
            policy,
            seed: seeds::live(live.entry.seed),
            context: PolicyContext::new(&seen, &live.sha256),
            first: Checkpoint::read(&field("checkpoint"), policy.checkpoint.as_deref())?,
            teacher: match &policy.online {
                Some((_, teacher)) => {
                    let file = teacher.checkpoint.as_deref();
                    Checkpoint::read(&field("online.teacher.checkpoint"), file)?
                }
                None => Checkpoint::default(),
            },
            renewed,
            origin: Origin::of_scenario(&live.scenario, &FREE),
            threads: threads.max(1) as u32,
            of_a_fit: None,
            crashed: None,
        };
        setup.check(&field)?;
        Ok(setup)
    }

    /// Creates all instances once, and completes the origin.
    fn check(&mut self, field: &impl Fn(&str) -> String) -> Result<(), Refusal> {
        let BoundLivePolicy { plugin, parameters, learns, explorer, .. } = self.policy;
        let folder = &self.live.scenario.folder;
        let mut origin = self.origin.clone();
        let mut state = |name: &str, value: &str| match value.len() {
            0..=SHOWN => origin.add(format!("`{}`", field(name)), value.to_owned()),
            _ => origin.add_hash(format!("`{}`", field(name)), &sha256(value.as_bytes())),
        };
        state("parameters", parameters);
        state("learns", &learns.map_or_else(String::new, |learns| format!("{learns:?}")));
        let LivePolicy { online, federated, silent, broken, .. } = &self.policy.entry;
        if learns.is_some() || online.is_some() {
            state("online", &online.as_ref().map_or_else(String::new, |one| format!("{one:?}")));
            let told = (federated, silent, broken);
            state("federated", &format!("{told:?}"));
        }
        if let Some(explorer) = explorer {
            state("explorer.parameters", &explorer.parameters);
        }
        let all = std::iter::once((field("checkpoint"), &self.first));
        let renewed = self.renewed.iter();
        let renewed =
            renewed.map(|(slot, checkpoint)| (field(&format!("renewed.{slot}")), checkpoint));
        let mut crashed = None;
        for (number, (named, checkpoint)) in all.chain(renewed).enumerate() {
            let create = |from: &Checkpoint| self.create(from);
            match checkpoint.begun(&named, &field("parameters"), folder, create) {
                Ok((_, files)) if number == 0 => {
                    origin.add_plugin(&field("plugin"), &plugin.library, &files);
                }
                Ok(_) => {}
                Err(NotCreated::Refused(refusal)) => return Err(refusal),
                Err(NotCreated::Crashed(failure)) => crashed = Some(failure),
            }
            if let Some(bytes) = checkpoint.bytes() {
                origin.add_checkpoint(&named, bytes);
            }
        }
        if let Some(explorer) = explorer {
            let made = self.explorer().transpose().unwrap_or_else(|| unreachable!("it has one"));
            let parameters = field("explorer.parameters");
            match created(&parameters, folder, made, |explorer| explorer.files()) {
                Ok((_, files)) => {
                    origin.add_plugin(&field("explorer"), &explorer.plugin.library, &files);
                }
                Err(NotCreated::Refused(refusal)) => return Err(refusal),
                Err(NotCreated::Crashed(failure)) => crashed = Some(failure),
            }
        }
        if let Some((_, teacher)) = &self.policy.online {
            let named = field("online.teacher");
            let made = self.online().transpose().unwrap_or_else(|| unreachable!("it has one"));
            match created(&named, folder, made, |online| online.files()) {
                Ok((_, files)) => origin.add_plugin(&named, &teacher.plugin.library, &files),
                Err(NotCreated::Refused(refusal)) => return Err(refusal),
                Err(NotCreated::Crashed(failure)) => crashed = Some(failure),
            }
            let bytes = self.teacher.bytes().unwrap_or_default();
            origin.add_checkpoint(&field("online.teacher.checkpoint"), bytes);
        }
        if crashed.is_none() && self.policy.entry.federated.is_some() {
            let devices = self.first_system().device_count() as usize;
            let networks = self.begun().and_then(|mut policy| {
                policy.mergeable().map_or(Ok(0), |networks| networks.networks())
            });
            match networks {
                Ok(networks) if networks != devices => {
                    return Err(Refusal {
                        field: field("federated"),
                        cause: format!(
                            "its {devices} devices have {networks} network(s): each needs one of its own, \
                             such as with `sharing: PerDevice`"
                        ),
                    });
                }
                Ok(_) => {}
                Err(failure) => crashed = Some(failure),
            }
        }
        if crashed.is_none() {
            match self.tried(field) {
                Ok(cost) => self.of_a_fit = cost,
                Err(NotCreated::Refused(refusal)) => return Err(refusal),
                Err(NotCreated::Crashed(failure)) => crashed = Some(failure),
            }
        }
        (self.origin, self.crashed) = (origin, crashed);
        Ok(())
    }

    /// Tries whether it can learn as the scenario states; returns the multiply-adds of a fit of `online`, for
    /// each device, if the policy tells.
    fn tried(&self, field: &impl Fn(&str) -> String) -> Result<Option<u64>, NotCreated> {
        let refused = |name: &str, cause: String| {
            Err(NotCreated::Refused(Refusal { field: field(name), cause }))
        };
        let crashed = NotCreated::Crashed;
        let BoundLivePolicy { learns, online, entry, .. } = self.policy;
        let by_counterfactuals = |mut policy: Box<dyn Policy>| {
            policy.learner().map_or(Ok(0), |learner| learner.judged_tasks()).map(|tasks| tasks > 0)
        };
        let only = "it learns from counterfactuals, which trainings have, and streams do not: let its \
                    parameters state another way, if it has one";
        if learns.is_some() && self.begun().and_then(by_counterfactuals).map_err(crashed)? {
            return refused("learns", only.to_owned());
        }
        if let Some(federated) = &entry.federated
            && let Exchange::Values { states, .. } = federated.exchange
        {
            let found = self.public(states).map_or(0, |found| found.len());
            if found < states as usize {
                let cause =
                    "hardly a device has a task in the system from slot 0 on, so no states can be \
                             known to all"
                        .to_owned();
                return refused("federated", cause);
            }
        }
        if (learns.is_some() || online.is_some()) && self.policy.checkpoint.is_none() {
            match self.first_decision() {
                Err(CallFailure { fault: CallFault::Error(cause), .. }) => {
                    let cause = format!("it cannot decide before it has learned: {cause}");
                    return refused("checkpoint", cause);
                }
                Err(failure) => return Err(crashed(failure)),
                Ok(()) => {}
            }
        }
        let Some((online, _)) = online else { return Ok(None) };
        if online.reporting > 0.0 {
            let teacher = self.online().map_err(crashed)?.map(Online::into_teacher);
            if teacher.map_or(Ok(false), by_counterfactuals).map_err(crashed)? {
                return refused("online.reporting", only.to_owned());
            }
        }
        let (system, observation) = (self.first_system(), self.live.scenario.observation);
        let servers = system.server_count() as usize;
        let features = observation.kind.width(system.server_count());
        let window = observation.history_slots as usize * servers;
        let of_one = wire::bytes(online.encoding, features + window + 1 + servers);
        if online.memory_bytes < of_one as f64 {
            let cause = format!("a state with its values takes {of_one} bytes");
            return refused("online.memory_kb", cause);
        }
        let mut states = States::new(system.server_count(), observation.history_slots);
        states.push_window(&vec![0.0_f64; window]);
        for _ in 0..online.batch {
            states.push(0, &vec![0.0_f64; features], &vec![0.0; 1 + servers]);
        }
        let cost = self.begun().and_then(|mut policy| {
            if let Some(student) = policy.student() {
                student.fit(&states.observation(), states.targets())?;
            }
            multiply_adds(policy.as_mut())
        });
        let cost = cost.map_err(crashed)?;
        if online.multiply_adds.is_some() && cost.is_none() {
            let cause =
                "the policy does not tell what learning costs, so nothing can bound it".to_owned();
            return refused("online.multiply_adds", cause);
        }
        Ok(cost)
    }

    /// Lets the policy decide in the first slot that has a task.
    ///
    /// # Errors
    /// [`CallFailure`] of the policy.
    fn first_decision(&self) -> Result<(), CallFailure> {
        let mut policy = self.begun()?;
        let own = seeds::policy_episode(self.seed, 0);
        self.begin(own, self.policy.learns, |start| policy.begin_episode(start))?;
        let observation = self.live.scenario.observation;
        let mut simulation = Environment::new(self.first_system(), observation, self.seed, 0);
        while simulation.rows() == 0 && simulation.step(&[]).is_ok() {}
        let mut actions = vec![UNDECIDED; simulation.rows()];
        if actions.is_empty() {
            return Ok(());
        }
        policy.decide(&simulation.observe(policy.needs()), &mut actions)
    }

    /// The policy as its stream begins with it.
    pub(crate) fn begun(&self) -> Result<Box<dyn Policy>, CallFailure> {
        self.create(&self.first)
    }

    /// The policy with what is in a checkpoint.
    pub(crate) fn create(&self, checkpoint: &Checkpoint) -> Result<Box<dyn Policy>, CallFailure> {
        self.create_with(Some(checkpoint), None)
    }

    /// The policy with what it has learned so far.
    pub(crate) fn create_from(&self, bytes: &[u8]) -> Result<Box<dyn Policy>, CallFailure> {
        self.create_with(None, Some(bytes))
    }

    fn create_with(
        &self,
        checkpoint: Option<&Checkpoint>,
        bytes: Option<&[u8]>,
    ) -> Result<Box<dyn Policy>, CallFailure> {
        let BoundLivePolicy { plugin, parameters, learns, .. } = self.policy;
        let lent = self.context.lend();
        let seed = seeds::learner(self.seed);
        let slots = u64::from(self.live.entry.slots);
        let context = Context {
            learning_steps: if learns.is_some() { learning_steps(plugin, slots) } else { 0 },
            ..lent.context(parameters, bytes, seed, self.threads)
        };
        match checkpoint {
            Some(checkpoint) => plugin.create_policy(&checkpoint.handed_to(&context)),
            None => plugin.create_policy(&context),
        }
    }

    /// The explorer, if the policy has one.
    pub(crate) fn explorer(&self) -> Result<Option<Box<dyn Explorer>>, CallFailure> {
        let Some(explorer) = &self.policy.explorer else { return Ok(None) };
        let lent = self.context.lend();
        let seed = seeds::explorer(self.seed);
        let slots = u64::from(self.live.entry.slots);
        let context = Context {
            learning_steps: learning_steps(&explorer.plugin, slots),
            ..lent.context(&explorer.parameters, None, seed, 1)
        };
        explorer.plugin.create_explorer(&context).map(Some)
    }

    /// Online distillation, with a teacher that has begun the stream, if the policy learns from one.
    pub(crate) fn online(&self) -> Result<Option<Online<'l>>, CallFailure> {
        let Some((entry, BoundTeacher { plugin, parameters, .. })) = &self.policy.online else {
            return Ok(None);
        };
        let lent = self.context.lend();
        let learns = entry.reporting > 0.0;
        let slots = u64::from(self.live.entry.slots);
        let context = Context {
            learning_steps: if learns { learning_steps(plugin, slots) } else { 0 },
            ..lent.context(parameters, None, seeds::teacher(self.seed), self.threads)
        };
        let mut teacher = plugin.create_policy(&self.teacher.handed_to(&context))?;
        let start = lent.start(0, seeds::teacher_episode(self.seed, 0));
        teacher.begin_episode(&EpisodeStart { training: learns, ..start })?;
        let devices = self.first_system().device_count();
        let policy = &self.policy.entry;
        let scales = Scales::new(self.first_system(), self.live.scenario.observation);
        let of_a_fit = self.of_a_fit;
        Ok(Some(Online::new(entry, policy, teacher, devices, self.seed, of_a_fit, scales)))
    }

    /// Federated learning, if the devices exchange anything.
    pub(crate) fn federated(&self, devices: u32) -> Result<Option<Federated<'l>>, IllegalDecision> {
        let Some(entry) = &self.policy.entry.federated else { return Ok(None) };
        let public = match entry.exchange {
            Exchange::Parameters => Vec::new(),
            Exchange::Values { states, .. } => self.public(states)?,
        };
        let (policy, is_new) = (&self.policy.entry, self.policy.checkpoint.is_none());
        Ok(Some(Federated::new(entry, policy, is_new, public, devices, self.seed)))
    }

    /// States that all devices know.
    fn public(&self, count: u32) -> Result<Vec<Public>, IllegalDecision> {
        let observation = self.live.scenario.observation;
        let tasks = seeds::public_tasks(self.seed);
        let simulation = Environment::new(self.first_system(), observation, tasks, 0);
        Public::states(simulation, count, tasks, self.seed)
    }

    /// The system from slot 0 on.
    pub(crate) fn first_system(&self) -> &'l Arc<System> {
        let first = self.live.entry.phases.first();
        first.map_or(&self.live.scenario.system, |phase| &phase.system)
    }

    /// Calls `begin` with the start of the stream's only episode; `learns` is what the plugin is told.
    pub(crate) fn begin<T>(
        &self,
        seed: u64,
        learns: Option<offramp_scenario::Learns>,
        begin: impl FnOnce(&EpisodeStart<'_>) -> T,
    ) -> T {
        let lent = self.context.lend();
        match learns {
            Some(_) => begin(&lent.training_start(0, seed)),
            None => begin(&lent.start(0, seed)),
        }
    }
}
