//! The setup of a stream: a policy with its checkpoints, and what its stream is made of.

use std::sync::Arc;

use offramp_harness::bind::{BoundLivePolicy, BoundTeacher, Live};
use offramp_harness::context::{PolicyContext, learning_steps};
use offramp_harness::environment::Environment;
use offramp_harness::{Checkpoint, NotCreated, Origin, Refusal, created, seeds};
use offramp_host::plugin::{Context, EpisodeStart};
use offramp_host::{CallFailure, Explorer, Policy};
use offramp_model::{IllegalDecision, System};
use offramp_results::files::sha256;
use offramp_scenario::{Exchange, LivePolicy, Scenario};

use crate::federated::{Federated, Public};
use crate::online::Online;

/// Fields on which no stream depends, and the policies, of which each stream has one.
const FREE: [&str; 6] =
    ["train", "distill", "tune", "live.policies", "live.save_every", "live.ceiling"];

/// The longest value that an origin shows.
const SHOWN: usize = 60;

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
        (self.origin, self.crashed) = (origin, crashed);
        Ok(())
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
        Ok(Some(Online::new(entry, &self.policy.entry, teacher, devices, self.seed)))
    }

    /// Federated learning, if the devices exchange anything.
    pub(crate) fn federated(&self, devices: u32) -> Result<Option<Federated<'l>>, IllegalDecision> {
        let Some(entry) = &self.policy.entry.federated else { return Ok(None) };
        let public = match entry.exchange {
            Exchange::Parameters => Vec::new(),
            Exchange::Values { states, .. } => {
                let observation = self.live.scenario.observation;
                let tasks = seeds::public_tasks(self.seed);
                let simulation = Environment::new(self.first_system(), observation, tasks, 0);
                Public::states(simulation, states, self.seed)?
            }
        };
        Ok(Some(Federated::new(entry, &self.policy.entry, public, devices, self.seed)))
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
