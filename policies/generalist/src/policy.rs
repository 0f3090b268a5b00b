//! The policy: observations in, decisions out, and learning in between.

use std::sync::Arc;

use offramp_nn::checkpoint::Checkpoint;
use offramp_nn::learning::{Deploy, UpdateReport};
use offramp_nn::pending::{Complete, PendingDecisions};
use offramp_nn::set::{SetBatch, SetDecider, SetNetworkSpec, SetShape};
use offramp_nn::{Threads, best_action, expect_finite, step_stream, stream};
use offramp_plugin::{
    AnySystem, Context, Counterfactuals, EpisodeStart, Error, Learner, Needs, Observation, Policy,
    Progress, Student, TransitionBatch, UNDECIDED, ValueFunction,
};
use rand::Rng;

use crate::agent::{Agent, Lessons, Scratch, drawn_weights};
use crate::inputs::{EpisodeSystem, InputColumns, Inputs};
use crate::log::Row;
use crate::parameters::{PART, Parameters, Recipe};
use crate::replay::{Experience, Judged, Replay};
use crate::rule::{Rule, divergence, draw, probabilities};

/// The kind of its checkpoints.
pub(crate) const KIND: &str = "generalist";

/// One network for every system.
pub(crate) struct Generalist {
    /// What never changes.
    pub(crate) plan: Arc<Plan>,
    /// The weights that decide without training: those of a checkpoint, or drawn.
    weights: Arc<Vec<f32>>,
    /// The rule for these.
    rule: Rule,
    /// From the first training episode on, or from when its parameters are set.
    pub(crate) agent: Option<Agent>,
    /// The system of the episode at hand.
    system: EpisodeSystem,
    inputs: Inputs,
    decider: SetDecider,
    /// Q, or preferences, of the rows at hand, in R_base.
    values: Vec<f32>,
    /// The probabilities of the actions of the row at hand.
    probabilities: Vec<f32>,
    /// The seed of the draws of the episode at hand.
    seed: u64,
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
    /// T of that.
    slots: u32,
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
    /// The rows of each slot of the episode at hand, until it is known which of them are learned from.
    seen: Vec<SeenSlot>,
    /// The teacher's probabilities in the slot at hand, rows × (1 + M); empty without a teacher.
    taught: Vec<f32>,
    pub(crate) report: UpdateReport,
}

/// The rows of a slot.
#[derive(Debug)]
struct SeenSlot {
    /// The device of each, ascending.
    devices: Vec<u32>,
    /// Rows × D.
    device_features: Vec<f32>,
    /// Rows × M × T.
    link_features: Vec<f32>,
    bases: Vec<f32>,
    /// The teacher's probabilities, rows × (1 + M); empty without a teacher.
    taught: Vec<f32>,
}

impl SeenSlot {
    /// The place of the row of a device.
    fn place(&self, device: u32) -> Option<usize> {
        self.devices.binary_search(&device).ok()
    }

    /// The row at a place.
    fn row(&self, place: usize, shape: &SetShape, servers: usize) -> Row<'_> {
        let (of_device, of_links) = (shape.device_features, servers * shape.link_features);
        Row {
            device: &self.device_features[place * of_device..][..of_device],
            links: &self.link_features[place * of_links..][..of_links],
            base: self.bases[place],
        }
    }

    /// The teacher's probabilities in the row at a place; none without a teacher.
    fn taught(&self, place: usize, servers: usize) -> Box<[f32]> {
        let of_row = self.taught.chunks_exact(1 + servers).nth(place);
        of_row.unwrap_or_default().into()
    }
}

impl AnySystem for Generalist {}

impl Policy for Generalist {
    const NEEDS: Needs = InputColumns::NEEDS.and(Needs::LENGTH);

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        let parameters = context.parameters::<Parameters>()?;
        let widths = parameters.widths();
        let columns = InputColumns::find(context, parameters.predictions(), &parameters.broadcast)?;
        let inputs = columns.inputs(context.observation.history_slots as usize);
        let recipe = parameters.recipe(context.learning_steps)?;
        let mut network = SetNetworkSpec::new(KIND, inputs, widths, &context.scenario_sha256)
            .record("history_unit", "devices over the share of a server, N times f over sum of f");
        let system = context.system;
        let episode = system.devices() as u128 * u128::from(system.arrival_slots);
        recipe.check_memory(&network.shape, system.servers(), episode)?;
        let (weights, rule) = match context.checkpoint.into_option() {
            Some(bytes) => {
                let weights = network.read(bytes.as_slice())?;
                (weights, Rule::of(&Checkpoint::from_bytes(bytes.as_slice())?)?)
            }
            None => (drawn_weights(&network.shape, context.seed), recipe.rule()),
        };
        let plan = Plan {
            recipe,
            network,
            columns,
            system: EpisodeSystem::new(context.system),
            slots: context.system.arrival_slots,
            seed: context.seed,
            threads: context.threads.max(1) as usize,
        };
        Ok(Self::of(Arc::new(plan), Arc::new(weights), rule))
    }

    fn fresh(&self) -> Option<Self> {
        Some(Self::of(Arc::clone(&self.plan), Arc::clone(&self.weights), self.rule))
    }

    fn begin_episode(&mut self, start: &EpisodeStart<'_>) -> Result<(), Error> {
        self.system = EpisodeSystem::new(start.system);
        self.seed = start.seed;
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
            agent.lessons.log().begin_episode(self.system.servers());
            training.seen.clear();
        }
        Ok(())
    }

    fn decide(&mut self, observation: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        let count = 1 + self.system.servers();
        let mut values = std::mem::take(&mut self.values);
        values.resize(observation.rows() * count, 0.0);
        self.evaluate(observation, &mut values)?;
        let (rule, slot) = (self.rule(), observation.slot);
        // Seeded anew for each slot. Decisions of others are drawn for, too: that changes nothing of ours.
        let mut rng = step_stream(self.seed, u64::from(slot));
        let rows = values.chunks_exact(count).zip(&*observation.devices);
        for (action, (values, &device)) in actions.iter_mut().zip(rows) {
            let own = match rule {
                Rule::Largest => best_action(values, device, slot)?,
                Rule::Drawn => {
                    expect_finite(values, "the preference for action", device, slot)?;
                    probabilities(values, &mut self.probabilities);
                    draw(&self.probabilities, &mut rng)
                }
            };
            if *action == UNDECIDED {
                *action = own;
            }
        }
        self.values = values;
        Ok(())
    }

    fn end_episode(&mut self) -> Result<(), Error> {
        let tasks = self.plan.recipe.taught_tasks();
        let (shape, servers) = (&self.plan.network.shape, self.system.servers());
        if let (Some(training), Some(agent)) = (&self.training, &mut self.agent) {
            if let (1.., Lessons::Judged(replay)) = (tasks, &mut agent.lessons) {
                training.take_taught(shape, servers, tasks, replay, &mut stream(self.seed, 1));
            }
            agent.lessons.forget();
        }
        Ok(())
    }
}

impl Student for Generalist {
    /// In a training alone, before the slot that is seen is recorded: data sets have no tables, which it
    /// needs. The loss is the mean divergence of its probabilities from the teacher's.
    fn fit(&mut self, observation: &Observation<'_>, targets: &[f32]) -> Result<f64, Error> {
        if self.training.is_none() {
            return Err(Error::new(
                "it is taught while it plays, not by a data set: train it with the teacher as \
                 `train.teacher`",
            ));
        }
        if self.plan.recipe.rule() == Rule::Largest {
            return Err(Error::new(
                "with `learn_from: Rewards` it has no use for a teacher: leave out `train.teacher`, or \
                 learn from `Teacher(400)` or `Counterfactuals(400)`",
            ));
        }
        let actions = 1 + self.system.servers();
        let mut values = std::mem::take(&mut self.values);
        values.resize(targets.len(), 0.0);
        self.evaluate(observation, &mut values)?;
        let Self { training, inputs, probabilities: ours, .. } = self;
        let (mut taught, mut theirs, mut sum) =
            (Vec::with_capacity(targets.len()), Vec::new(), 0.0);
        let rows = values.chunks_exact(actions).zip(targets.chunks_exact(actions));
        for ((values, targets), base) in rows.zip(&inputs.bases) {
            let over_base: Vec<f32> = targets.iter().map(|target| target / base).collect();
            probabilities(&over_base, &mut theirs);
            probabilities(values, ours);
            sum += divergence(&theirs, ours);
            taught.extend_from_slice(&theirs);
        }
        self.values = values;
        if let Some(training) = training {
            training.taught = taught;
        }
        Ok(sum / observation.rows().max(1) as f64)
    }
}

impl ValueFunction for Generalist {
    /// Q, or the preferences, times the R_base of each row's task.
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
        self.observe(slot.observation)?;
        let (Some(training), Some(agent)) = (&mut self.training, &mut self.agent) else {
            return Ok(());
        };
        let (inputs, servers) = (&self.inputs, self.system.servers());
        let newest = &inputs.loads[inputs.loads.len() - servers..];
        agent.lessons.log().push_slot(newest, &inputs.server);
        let seen = SeenSlot {
            devices: slot.observation.devices.to_vec(),
            device_features: inputs.device.clone(),
            link_features: inputs.link.clone(),
            bases: inputs.bases.clone(),
            taught: std::mem::take(&mut training.taught),
        };
        if self.plan.recipe.taught_tasks() > 0 && seen.taught.is_empty() && !seen.devices.is_empty()
        {
            return Err(Error::new(
                "with `learn_from: Teacher(…)` it needs a teacher: name one as `train.teacher`",
            ));
        }
        let untaught = seen.taught.is_empty() && !seen.devices.is_empty();
        if untaught && self.plan.recipe.asks_to_imitate() {
            return Err(Error::new(
                "with another `imitate` than by default it needs a teacher: name one as `train.teacher`, or \
                 leave out `imitate`",
            ));
        }
        match &mut agent.lessons {
            Lessons::Rewards(replay) => {
                training.record(&self.plan.network.shape, servers, replay, &seen, slot);
            }
            Lessons::Judged(_) => training.seen.push(seen),
        }
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

    fn judged_tasks(&self) -> u64 {
        self.plan.recipe.judged_tasks()
    }

    fn judge(&mut self, judged: &Counterfactuals<'_>) -> Result<(), Error> {
        let (Some(training), Some(agent)) = (&mut self.training, &mut self.agent) else {
            return Ok(());
        };
        let (shape, servers) = (&self.plan.network.shape, self.system.servers());
        let Lessons::Judged(replay) = &mut agent.lessons else { return Ok(()) };
        let tasks = judged.arrival_slots.iter().zip(judged.devices.iter());
        let row_of = |(&slot, &device): (&u32, &u32)| {
            let seen = training.seen.get(slot as usize);
            let found = seen.and_then(|seen| Some((seen, seen.place(device)?)));
            let (seen, place) = found
                .ok_or_else(|| Error::new(format!("device {device} had no task in slot {slot}")))?;
            Ok((slot, seen.row(place, shape, servers), seen.taught(place, servers)))
        };
        let rows: Vec<(u32, Row<'_>, Box<[f32]>)> =
            tasks.map(row_of).collect::<Result<_, Error>>()?;
        let gains = judged.gains.chunks_exact(1 + servers);
        // Over R_base, and less the mean of all actions.
        let centred = |(base, gains): (f32, &[f64])| -> Vec<f64> {
            let mean = gains.iter().sum::<f64>() / gains.len() as f64;
            gains.iter().map(|gain| (gain - mean) / f64::from(base)).collect()
        };
        let bases = rows.iter().map(|(_, row, _)| row.base);
        let gains: Vec<Vec<f64>> = bases.zip(gains).map(centred).collect();
        let factor = self.plan.recipe.level(gains.iter().flatten().copied());
        for ((slot, row, taught), gains) in rows.into_iter().zip(gains) {
            let gains = gains.iter().map(|gain| (gain * factor) as f32).collect();
            let row = replay.log.push_row_of(slot, row);
            replay.push(Judged { row, gains, taught });
        }
        Ok(())
    }
}

impl Training {
    /// Takes in `tasks` tasks of the episode that was played, or all if there are fewer, each equally
    /// likely.
    fn take_taught(
        &self,
        shape: &SetShape,
        servers: usize,
        tasks: u64,
        replay: &mut Replay<Judged>,
        rng: &mut impl Rng,
    ) {
        let mut left: u64 = self.seen.iter().map(|seen| seen.devices.len() as u64).sum();
        let mut wanted = tasks.min(left);
        for (slot, seen) in (0..).zip(&self.seen) {
            for place in 0..seen.devices.len() {
                // So many of those that are left.
                if rng.random_range(0..left) < wanted {
                    wanted -= 1;
                    let row = replay.log.push_row_of(slot, seen.row(place, shape, servers));
                    let taught = seen.taught(place, servers);
                    replay.push(Judged { row, gains: Box::default(), taught });
                }
                left -= 1;
            }
        }
    }

    /// Takes in a slot whose rewards are learned from.
    fn record(
        &mut self,
        shape: &SetShape,
        servers: usize,
        replay: &mut Replay<Experience>,
        seen: &SeenSlot,
        slot: &TransitionBatch<'_>,
    ) {
        let TransitionBatch { observation, actions, ended } = slot;
        let Self { pending, row_of, .. } = self;
        row_of.clear();
        row_of.resize(pending.devices(), None);
        for &device in &seen.devices {
            if pending.keeps(device as usize) {
                let row = seen.place(device).map(|place| seen.row(place, shape, servers));
                row_of[device as usize] = row.map(|row| replay.log.push_row(row));
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
            let over_base = |&row: &u64| (task.reward / f64::from(replay.log.base(row))) as f32;
            pending.reward(task.device as usize, task.arrival_slot, over_base);
        }
        pending.take_complete(|complete| {
            let Complete { state: row, action, reward, next, discount, .. } = complete;
            replay.push(Experience { row, next, action, reward, discount });
        });
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
            seen: Vec::new(),
            taught: Vec::new(),
            report: UpdateReport::default(),
        })
    }

    /// Bytes that learning needs at most, in systems of up to 32 servers.
    pub(crate) fn memory(&self) -> u64 {
        let (devices, servers) = (self.system.devices(), self.system.servers());
        let episode = devices as u128 * u128::from(self.slots);
        let bytes = self.recipe.memory(&self.network.shape, servers, episode);
        bytes.try_into().unwrap_or(u64::MAX)
    }
}

impl Generalist {
    fn of(plan: Arc<Plan>, weights: Arc<Vec<f32>>, rule: Rule) -> Self {
        Self {
            decider: SetDecider::new(plan.network.shape),
            system: plan.system.clone(),
            plan,
            weights,
            rule,
            agent: None,
            inputs: Inputs::default(),
            values: Vec::new(),
            probabilities: Vec::new(),
            seed: 0,
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

    /// The rule for the weights that decide.
    pub(crate) fn rule(&self) -> Rule {
        match &self.agent {
            Some(_) => self.plan.recipe.rule(),
            None => self.rule,
        }
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), Error> {
        let Self { plan, system, inputs, .. } = self;
        inputs.observe(&plan.columns, plan.network.inputs(), system, observation)
    }

    /// The network's numbers of every row, over the R_base of its task, into `values`, rows × (1 + M).
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
