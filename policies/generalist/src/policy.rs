//! The policy: observations in, decisions out, and learning in between.

use std::sync::Arc;

use offramp_nn::learning::{Deploy, UpdateReport};
use offramp_nn::pending::{Complete, PendingDecisions};
use offramp_nn::set::{SetBatch, SetDecider, SetNetworkSpec, SetShape};
use offramp_nn::{Threads, best_action, stream};
use offramp_plugin::{
    AnySystem, Context, EpisodeStart, Error, Learner, Needs, Observation, Policy, Progress,
    TransitionBatch, UNDECIDED, ValueFunction,
};

use crate::agent::{Agent, Scratch, drawn_weights};
use crate::inputs::{EpisodeSystem, InputColumns, Inputs};
use crate::parameters::{PART, Parameters, Recipe};
use crate::replay::Experience;

/// The kind of its checkpoints.
pub(crate) const KIND: &str = "generalist";

/// One network for every system.
pub(crate) struct Generalist {
    /// What never changes.
    pub(crate) plan: Arc<Plan>,
    /// The weights that decide without training: those of a checkpoint, or drawn.
    weights: Arc<Vec<f32>>,
    /// From the first training episode on, or from when its parameters are set.
    pub(crate) agent: Option<Agent>,
    /// The system of the episode at hand.
    system: EpisodeSystem,
    inputs: Inputs,
    decider: SetDecider,
    /// Q of the rows at hand, in R_base.
    values: Vec<f32>,
    /// From the first training episode on.
    pub(crate) training: Option<Box<Training>>,
}

/// The choices and sizes of a policy.
pub(crate) struct Plan {
    pub(crate) recipe: Recipe,
    pub(crate) network: SetNetworkSpec,
    columns: InputColumns,
    /// The scenario's own system, until an episode states another.
    system: EpisodeSystem,
    seed: u64,
    threads: usize,
}

/// The state of a training besides the agent.
pub(crate) struct Training {
    /// Slots of training so far.
    pub(crate) slots: u64,
    threads: Threads,
    scratch: Vec<Scratch>,
    /// States are rows of the agent's log.
    pending: PendingDecisions<u64>,
    /// The row in the log of each device with a task in the slot at hand, if its decisions are kept.
    row_of: Vec<Option<u64>>,
    pub(crate) report: UpdateReport,
}

impl AnySystem for Generalist {}

impl Policy for Generalist {
    const NEEDS: Needs = InputColumns::NEEDS.and(Needs::LENGTH);

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        let parameters = context.parameters::<Parameters>()?;
        let widths = parameters.widths();
        let columns = InputColumns::find(context, parameters.predictions())?;
        let inputs = columns.inputs(context.observation.history_slots as usize);
        let recipe = parameters.recipe(context.learning_steps)?;
        let mut network = SetNetworkSpec::new(KIND, inputs, widths, &context.scenario_sha256)
            .record("history_unit", "devices over the share of a server, N times f over sum of f");
        recipe.check_memory(&network.shape, context.system.servers())?;
        let weights = match context.checkpoint.into_option() {
            Some(bytes) => network.read(bytes.as_slice())?,
            None => drawn_weights(&network.shape, context.seed),
        };
        let plan = Plan {
            recipe,
            network,
            columns,
            system: EpisodeSystem::new(context.system),
            seed: context.seed,
            threads: context.threads.max(1) as usize,
        };
        Ok(Self::of(Arc::new(plan), Arc::new(weights)))
    }

    fn fresh(&self) -> Option<Self> {
        Some(Self::of(Arc::clone(&self.plan), Arc::clone(&self.weights)))
    }

    fn begin_episode(&mut self, start: &EpisodeStart<'_>) -> Result<(), Error> {
        self.system = EpisodeSystem::new(start.system);
        if !start.training {
            return Ok(());
        }
        self.make_agent();
        if self.training.is_none() {
            self.training = Some(Box::new(self.plan.new_training()?));
        }
        if let (Some(training), Some(agent)) = (&mut self.training, &mut self.agent) {
            let devices = self.plan.recipe.parameters.devices;
            let (all, slots) = (self.system.devices(), start.system.arrival_slots);
            training.pending.begin_episode(all, slots, devices, &mut stream(start.seed, 0));
            agent.replay.log.begin_episode(self.system.servers());
        }
        Ok(())
    }

    fn decide(&mut self, observation: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        let count = 1 + self.system.servers();
        let mut values = std::mem::take(&mut self.values);
        values.resize(observation.rows() * count, 0.0);
        self.evaluate(observation, &mut values)?;
        let rows = values.chunks_exact(count).zip(&*observation.devices);
        for (action, (values, &device)) in actions.iter_mut().zip(rows) {
            if *action == UNDECIDED {
                *action = best_action(values, device, observation.slot)?;
            }
        }
        self.values = values;
        Ok(())
    }

    fn end_episode(&mut self) -> Result<(), Error> {
        if let (Some(_), Some(agent)) = (&self.training, &mut self.agent) {
            agent.replay.forget();
        }
        Ok(())
    }
}

impl ValueFunction for Generalist {
    /// Q times the R_base of each row's task.
    fn values(&mut self, observation: &Observation<'_>, values: &mut [f32]) -> Result<(), Error> {
        self.evaluate(observation, values)?;
        let rows = values.chunks_exact_mut(1 + self.system.servers());
        for (values, &base) in rows.zip(&self.inputs.bases) {
            values.iter_mut().for_each(|value| *value *= base);
        }
        Ok(())
    }
}

impl Learner for Generalist {
    fn record(&mut self, slot: &TransitionBatch<'_>) -> Result<(), Error> {
        let TransitionBatch { observation, actions, ended } = slot;
        self.observe(observation)?;
        let (Some(training), Some(agent)) = (&mut self.training, &mut self.agent) else {
            return Ok(());
        };
        let Training { pending, row_of, .. } = &mut **training;
        let (inputs, shape) = (&self.inputs, &self.plan.network.shape);
        let (log, servers) = (&mut agent.replay.log, self.system.servers());
        let newest = &inputs.loads[inputs.loads.len() - servers..];
        log.push_slot(newest, &inputs.server);
        row_of.clear();
        row_of.resize(pending.devices(), None);
        let devices = inputs.device.chunks_exact(shape.device_features);
        let rows = devices.zip(inputs.link.chunks_exact(servers * shape.link_features));
        let rows = rows.zip(&inputs.bases).zip(observation.devices.iter());
        for (((device, link), &base), &number) in rows {
            if pending.keeps(number as usize) {
                row_of[number as usize] = Some(log.push_row(device, link, base));
            }
        }
        let slot = observation.slot;
        pending.begin_slot(slot, |device| row_of[device], || u64::MAX);
        for (&device, &action) in observation.devices.iter().zip(actions.iter()) {
            if let Some(row) = row_of[device as usize] {
                pending.decide(device as usize, slot, action, row);
            }
        }
        for task in ended.iter() {
            let over_base = |&row: &u64| (task.reward / f64::from(log.base(row))) as f32;
            pending.reward(task.device as usize, task.arrival_slot, over_base);
        }
        pending.take_complete(|complete| {
            let Complete { state: row, action, reward, next, discount, .. } = complete;
            agent.replay.push(Experience { row, next, action, reward, discount });
        });
        Ok(())
    }

    fn learn(&mut self) -> Result<Progress, Error> {
        let (Some(training), Some(agent)) = (&mut self.training, &mut self.agent) else {
            return Ok(Progress::default());
        };
        let recipe = &self.plan.recipe;
        let Training { slots, threads, scratch, report, .. } = &mut **training;
        *slots += 1;
        if recipe.parameters.cadence().due_at(*slots)
            && let Some(update) = agent.learn(recipe, scratch, threads)
        {
            report.add(&update)?;
        }
        let (recent_updates, loss) = report.take_loss();
        Ok(Progress { updates: agent.updates, recent_updates, loss })
    }
}

impl Plan {
    /// An agent that has not learned anything since these weights.
    pub(crate) fn agent(&self, weights: &[f32]) -> Agent {
        Agent::new(&self.network.shape, &self.recipe, self.seed, weights.to_vec())
    }

    pub(crate) fn shape(&self) -> &SetShape {
        &self.network.shape
    }

    pub(crate) fn new_training(&self) -> Result<Training, Error> {
        let Self { recipe, network, threads, .. } = self;
        let parts = recipe.parameters.batch.div_ceil(PART);
        Ok(Training {
            slots: 0,
            threads: Threads::new(*threads)?,
            scratch: (0..parts).map(|_| Scratch::new(network.shape)).collect(),
            pending: PendingDecisions::new(recipe.pending()),
            row_of: Vec::new(),
            report: UpdateReport::default(),
        })
    }

    /// Bytes that learning needs at most, in systems of up to 32 servers.
    pub(crate) fn memory(&self) -> u64 {
        let bytes = self.recipe.memory(&self.network.shape, self.system.servers());
        bytes.try_into().unwrap_or(u64::MAX)
    }
}

impl Generalist {
    fn of(plan: Arc<Plan>, weights: Arc<Vec<f32>>) -> Self {
        Self {
            decider: SetDecider::new(plan.network.shape),
            system: plan.system.clone(),
            plan,
            weights,
            agent: None,
            inputs: Inputs::default(),
            values: Vec::new(),
            training: None,
        }
    }

    /// The agent, made if there is none yet.
    pub(crate) fn make_agent(&mut self) -> &mut Agent {
        let Self { plan, weights, agent, .. } = self;
        agent.get_or_insert_with(|| plan.agent(weights))
    }

    /// The weights it was created with.
    pub(crate) fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// The network that decides after training.
    pub(crate) fn deployed(&self) -> &[f32] {
        deciding(self.agent.as_ref(), &self.weights, self.plan.recipe.parameters.deploy)
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), Error> {
        let Self { plan, system, inputs, .. } = self;
        inputs.observe(&plan.columns, plan.network.inputs(), system, observation)
    }

    /// Q of every row over the R_base of its task, into `values`, rows × (1 + M).
    fn evaluate(&mut self, observation: &Observation<'_>, values: &mut [f32]) -> Result<(), Error> {
        self.observe(observation)?;
        let Self { plan, weights, agent, system, inputs, decider, training, .. } = self;
        // During training the evaluation network decides.
        let deploy = match training {
            Some(_) => Deploy::Evaluation,
            None => plan.recipe.parameters.deploy,
        };
        let servers = system.servers();
        let windows = inputs.loads.len() / (servers * plan.network.shape.history_slots);
        let all_see_one = vec![0; observation.rows()];
        let slot_of: &[u32] = match &*observation.history_of {
            [] => &all_see_one,
            of_rows => of_rows,
        };
        let batch = SetBatch {
            servers: &vec![servers as u32; windows],
            loads: &inputs.loads,
            server_features: &inputs.server.repeat(windows),
            slot_of,
            device_features: &inputs.device,
            link_features: &inputs.link,
        };
        decider.decide(deciding(agent.as_ref(), weights, deploy), &batch, values);
        Ok(())
    }
}

/// The network that decides: of the agent that learns, if there is one.
fn deciding<'w>(agent: Option<&'w Agent>, weights: &'w [f32], deploy: Deploy) -> &'w [f32] {
    match (agent, deploy) {
        (None, _) => weights,
        (Some(agent), Deploy::Evaluation) => &agent.evaluation,
        (Some(agent), Deploy::Target) => &agent.target,
    }
}

#[cfg(test)]
mod tests;
