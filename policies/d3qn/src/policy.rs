//! The policy: observations in, decisions out, and learning in between.

use std::marker::PhantomData;
use std::sync::Arc;

use offramp_nn::inputs::{Inputs, Scaling};
use offramp_nn::networks::{NetworkSpec, Sharing};
use offramp_nn::replay::LoadLog;
use offramp_nn::{QEvaluator, Shape, best_action, stream_seed};
use offramp_plugin::{
    Context, EpisodeStart, Error, Learner, Needs, Observation, Policy, Progress, TransitionBatch,
    UNDECIDED, ValueFunction,
};
use rayon::ThreadPool;
use rayon::prelude::*;

use crate::agent::{Agent, Scratch};
use crate::parameters::{Flaw, PART, Parameters, QecoParameters, Recipe};
use crate::pending::PendingDecisions;

/// The source of a policy's recipe.
pub(crate) trait Preset: Send + 'static {
    /// The kind of its checkpoints.
    const KIND: &'static str;

    /// The recipe that the scenario's parameters ask for.
    fn recipe(context: &Context<'_>) -> Result<Recipe, Error>;
}

/// The teacher: every choice is a parameter.
pub(crate) struct Teacher;

impl Preset for Teacher {
    const KIND: &'static str = "d3qn";

    fn recipe(context: &Context<'_>) -> Result<Recipe, Error> {
        Ok(context.parameters::<Parameters>()?.recipe()?)
    }
}

/// The baseline: the published values.
pub(crate) struct Qeco;

impl Preset for Qeco {
    const KIND: &'static str = "qeco";

    fn recipe(context: &Context<'_>) -> Result<Recipe, Error> {
        Ok(context.parameters::<QecoParameters>()?.recipe())
    }
}

/// D3QN agents, one for each device or one for all.
pub(crate) struct D3qn<P> {
    pub(crate) shape: Shape,
    pub(crate) recipe: Recipe,
    pub(crate) networks: NetworkSpec,
    /// Weights of each network that decide until there are agents; all instances of a run share
    /// them.
    deployed: Arc<[Vec<f32>]>,
    /// True if those are a checkpoint's.
    trained: bool,
    /// From the first training episode on.
    pub(crate) agents: Vec<Agent>,
    seed: u64,
    evaluator: QEvaluator,
    /// Q of the rows at hand.
    values: Vec<f32>,
    pending: PendingDecisions,
    threads: usize,
    /// From the first training episode on.
    pub(crate) training: Option<Training>,
    preset: PhantomData<P>,
}

/// The state of a training besides the agents.
pub(crate) struct Training {
    pub(crate) log: LoadLog<f32>,
    /// Slots of training so far.
    pub(crate) slots: u64,
    pool: ThreadPool,
    scratch: Vec<Scratch>,
    /// The row of each device in the slot at hand, if it has one.
    row_of: Vec<Option<usize>>,
    /// Sum and number of the losses since the last report.
    loss: f64,
    losses: u64,
}

impl<P: Preset> Policy for D3qn<P> {
    const NEEDS: Needs = Needs::FEATURES.and(Needs::HISTORY);

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        let recipe = P::recipe(context)?;
        let spec = &context.observation;
        let scaling = if recipe.has(Flaw::Unscaled) {
            Scaling::identity(spec.features.len())
        } else {
            Scaling::new(spec.features.iter().map(|feature| feature.scale), spec.history_scale)
        };
        let inputs = Inputs {
            observation: spec.kind.to_string(),
            features: spec.features.iter().map(|feature| feature.name.to_string()).collect(),
            scaling,
            history_slots: spec.history_slots as usize,
            servers: context.system.servers(),
            devices: context.system.devices(),
        };
        let Parameters { hidden, sharing, .. } = recipe.parameters;
        let mut networks =
            NetworkSpec::new(P::KIND, inputs, hidden, sharing, &context.scenario_sha256);
        let threads = context.threads.max(1) as usize;
        recipe.check_memory(&networks, threads)?;
        let shape = networks.shape;
        let drawn = |number: usize| {
            let agent = Agent::new(&shape, &recipe, stream_seed(context.seed, number as u64));
            agent.deployed(recipe.parameters.deploy).to_vec()
        };
        let checkpoint = context.checkpoint.into_option();
        let deployed = match checkpoint {
            Some(bytes) => networks.read(bytes.as_slice())?,
            None => (0..networks.networks).map(drawn).collect(),
        };
        Ok(Self {
            deployed,
            trained: checkpoint.is_some(),
            agents: Vec::new(),
            seed: context.seed,
            pending: PendingDecisions::new(context, &recipe),
            evaluator: QEvaluator::new(shape),
            values: Vec::new(),
            threads,
            training: None,
            preset: PhantomData,
            shape,
            recipe,
            networks,
        })
    }

    fn fresh(&self) -> Option<Self> {
        Some(Self {
            recipe: self.recipe.clone(),
            networks: self.networks.clone(),
            deployed: Arc::clone(&self.deployed),
            agents: Vec::new(),
            evaluator: QEvaluator::new(self.shape),
            values: Vec::new(),
            pending: self.pending.clone(),
            training: None,
            ..*self
        })
    }

    fn begin_episode(&mut self, start: &EpisodeStart) -> Result<(), Error> {
        if !start.training {
            return Ok(());
        }
        self.make_agents();
        if self.training.is_none() {
            self.training = Some(self.new_training()?);
        }
        self.pending.clear();
        if let Some(training) = &mut self.training {
            // The zeros before an episode; its first window ends with the first row it sees.
            for _ in 1..self.shape.history_slots {
                training.log.push(std::iter::repeat_n(0.0, self.shape.servers));
            }
        }
        Ok(())
    }

    fn decide(&mut self, observation: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        let mut values = std::mem::take(&mut self.values);
        values.resize(observation.rows() * self.shape.actions(), 0.0);
        self.evaluate(observation, &mut values);
        let rows = values.chunks_exact(self.shape.actions()).zip(&*observation.devices);
        for (action, (values, &device)) in actions.iter_mut().zip(rows) {
            if *action == UNDECIDED {
                *action = best_action(values, device, observation.slot)?;
            }
        }
        self.values = values;
        Ok(())
    }

    fn end_episode(&mut self) -> Result<(), Error> {
        let Some(training) = &mut self.training else { return Ok(()) };
        let oldest = self
            .agents
            .iter()
            .filter_map(|agent| agent.replay.oldest_row(self.shape.history_slots));
        // Between episodes nothing is pending: without experience no row is needed.
        let oldest = oldest.min().unwrap_or(training.log.end());
        training.log.forget_before(oldest);
        Ok(())
    }
}

impl<P: Preset> ValueFunction for D3qn<P> {
    fn values(&mut self, observation: &Observation<'_>, values: &mut [f32]) -> Result<(), Error> {
        self.evaluate(observation, values);
        let scale = self.recipe.parameters.reward_scale as f32;
        values.iter_mut().for_each(|value| *value *= scale);
        Ok(())
    }
}

impl<P: Preset> Learner for D3qn<P> {
    fn record(&mut self, slot: &TransitionBatch<'_>) -> Result<(), Error> {
        let TransitionBatch { observation, actions, ended } = slot;
        self.observe(observation);
        let Some(training) = &mut self.training else { return Ok(()) };
        let (width, servers) = (self.shape.features, self.shape.servers);
        let QEvaluator { features, histories, .. } = &self.evaluator;
        let newest = &histories[histories.len() - servers..];
        let window = training.log.push(newest.iter().copied());
        let features = |row: usize| &features[row * width..(row + 1) * width];
        training.row_of.clear();
        training.row_of.resize(self.pending.devices(), None);
        for (row, &device) in observation.devices.iter().enumerate() {
            training.row_of[device as usize] = Some(row);
        }
        let row_of = &training.row_of;
        self.pending.begin_slot(observation.slot, window, |device| row_of[device].map(features));
        let decisions = observation.devices.iter().zip(actions.iter());
        for (row, (&device, &action)) in decisions.enumerate() {
            self.pending.decide(device as usize, observation.slot, window, action, features(row));
        }
        for task in ended.iter() {
            self.pending.reward(task, (task.reward / self.recipe.parameters.reward_scale) as f32);
        }
        let per_device = self.recipe.parameters.sharing == Sharing::PerDevice;
        let agents = &mut self.agents;
        self.pending.take_complete(|complete| {
            let agent = if per_device { complete.device } else { 0 };
            let (features, next_features) = (&complete.features, &complete.next_features);
            agents[agent].replay.push(complete.experience, features, next_features);
        });
        Ok(())
    }

    fn learn(&mut self) -> Result<Progress, Error> {
        let Some(training) = &mut self.training else { return Ok(Progress::default()) };
        training.slots += 1;
        let parameters = &self.recipe.parameters;
        if training.slots >= parameters.warm_up_slots
            && training.slots.is_multiple_of(parameters.every_slots)
        {
            let (shape, recipe, log) = (&self.shape, &self.recipe, &training.log);
            let (agents, scratch) = (&mut self.agents, &mut training.scratch);
            let losses: Vec<Option<f64>> = training.pool.install(|| match agents.as_mut_slice() {
                [one] => vec![one.learn(shape, recipe, log, scratch)],
                many => {
                    // An agent's update is the same on any thread.
                    let parts = parameters.batch.div_ceil(PART);
                    let share = many.len().div_ceil(scratch.len() / parts);
                    many.par_chunks_mut(share)
                        .zip(scratch.par_chunks_mut(parts))
                        .flat_map_iter(|(agents, scratch)| {
                            agents.iter_mut().map(|agent| agent.learn(shape, recipe, log, scratch))
                        })
                        .collect()
                }
            });
            for loss in losses.into_iter().flatten() {
                if !loss.is_finite() {
                    return Err(Error::new(format!(
                        "its loss is {loss}: a smaller learning rate?"
                    )));
                }
                training.loss += loss;
                training.losses += 1;
            }
        }
        let updates: u64 = self.agents.iter().map(|agent| agent.updates).sum();
        let recent_updates = std::mem::take(&mut training.losses);
        let loss = match recent_updates {
            0 => 0.0,
            count => std::mem::take(&mut training.loss) / count as f64,
        };
        Ok(Progress { updates: updates / self.agents.len() as u64, recent_updates, loss })
    }
}

impl<P: Preset> D3qn<P> {
    fn observe(&mut self, observation: &Observation<'_>) {
        let Observation { features, histories, .. } = observation;
        self.evaluator.observe(self.networks.scaling(), features, histories);
    }

    /// Q of every row in the networks' scale, into `values`, rows × (1 + M).
    fn evaluate(&mut self, observation: &Observation<'_>, values: &mut [f32]) {
        self.observe(observation);
        let Self { agents, evaluator, deployed, training, recipe, .. } = self;
        let weights = |number: usize| -> &[f32] {
            match agents.get(number) {
                None => &deployed[number],
                // During training the evaluation network decides.
                Some(agent) if training.is_some() => &agent.evaluation,
                Some(agent) => agent.deployed(recipe.parameters.deploy),
            }
        };
        let (devices, history_of) = (&observation.devices, &observation.history_of);
        evaluator.evaluate(deployed.len(), weights, devices, history_of, values);
    }

    /// The weights of each network that a checkpoint deploys.
    pub(crate) fn to_deploy(&self) -> impl Iterator<Item = &[f32]> {
        let deploy = self.recipe.parameters.deploy;
        self.deployed.iter().enumerate().map(move |(number, deployed)| {
            self.agents.get(number).map_or(deployed.as_slice(), |agent| agent.deployed(deploy))
        })
    }

    /// The agent of a network before its first update.
    pub(crate) fn new_agent(&self, number: usize) -> Agent {
        let seed = stream_seed(self.seed, number as u64);
        let mut agent = Agent::new(&self.shape, &self.recipe, seed);
        if self.trained {
            agent.evaluation.copy_from_slice(&self.deployed[number]);
            agent.target.copy_from_slice(&self.deployed[number]);
        }
        agent
    }

    /// Makes the agents, if they are not there yet.
    pub(crate) fn make_agents(&mut self) {
        if self.agents.is_empty() {
            self.agents = (0..self.deployed.len()).map(|number| self.new_agent(number)).collect();
        }
    }

    pub(crate) fn new_training(&self) -> Result<Training, Error> {
        // One buffer for each part of a batch, for as many agents as there are threads.
        let parts = self.recipe.parameters.batch.div_ceil(PART);
        let at_a_time = if self.deployed.len() == 1 { 1 } else { self.threads };
        Ok(Training {
            log: LoadLog::new(self.shape.servers),
            slots: 0,
            pool: rayon::ThreadPoolBuilder::new().num_threads(self.threads).build()?,
            scratch: (0..parts * at_a_time).map(|_| Scratch::new(self.shape)).collect(),
            row_of: Vec::new(),
            loss: 0.0,
            losses: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use offramp_nn::checkpoint::Checkpoint;
    use offramp_plugin::testing::Bench;
    use offramp_plugin::{EndedTask, Saved};
    use proptest::prelude::*;

    use super::*;

    /// Numbers that someone may write, few of which make sense.
    const NUMBERS: [&str; 14] = [
        "0.0", "-1.0", "NaN", "inf", "1e-320", "1e-30", "1e-7", "0.001", "0.5", "1.0", "100.0",
        "1e6", "1e30", "1e308",
    ];
    const COUNTS: [&str; 8] =
        ["-1", "0", "1", "2", "7", "64", "1000000000", "18446744073709551615"];

    const FIELDS: [(&str, &[&str]); 13] = [
        ("hidden", &COUNTS),
        ("batch", &COUNTS),
        ("replay", &COUNTS),
        ("every_slots", &COUNTS),
        ("warm_up_slots", &COUNTS),
        ("anneal_updates", &COUNTS),
        ("clip", &NUMBERS),
        ("discount", &NUMBERS),
        ("reward_scale", &NUMBERS),
        (
            "optimiser",
            &["Adam(0.0)", "Adam(1e-30)", "Adam(NaN)", "Adam(1.0)", "RmsProp(1.0)", "Adam(1e308)"],
        ),
        ("loss", &["Squared", "Huber(0.0)", "Huber(1e-30)", "Huber(0.001)", "Huber(inf)"]),
        ("target", &["Hard(0)", "Hard(1)", "Soft(0.0)", "Soft(1e-30)", "Soft(1.0)", "Soft(NaN)"]),
        ("next_state", &["NextSlot", "NextTask"]),
    ];

    const BASE: [(&str, &str); 5] = [
        ("hidden", "3"),
        ("batch", "4"),
        ("replay", "40"),
        ("every_slots", "1"),
        ("warm_up_slots", "0"),
    ];

    /// A short training, in which everything stays finite.
    fn train(bench: &mut Bench, policy: &mut D3qn<Teacher>) {
        bench
            .episode(0, |start| policy.begin_episode(&EpisodeStart { training: true, ..*start }))
            .unwrap();
        for slot in 0..60 {
            bench.slot = slot;
            let actions = bench.decide(policy).unwrap();
            let ended = |device: u32| EndedTask {
                device,
                arrival_slot: slot,
                action: actions[device as usize],
                delay_slots: 1,
                dropped: false,
                reward: if slot % 3 == 0 { -60.0 } else { f64::from(slot) },
                energy: [0.0; 4],
            };
            let progress = bench.learn(policy, &actions, &[ended(0), ended(1)]).unwrap();
            assert!(progress.loss.is_finite());
        }
        policy.end_episode().unwrap();
        let checkpoint = Checkpoint::from_bytes(&policy.checkpoint().unwrap()).unwrap();
        checkpoint.expect_finite().unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn accepted_parameters_train_finitely(
            changes in prop::collection::btree_map(0..FIELDS.len(), any::<prop::sample::Index>(), 1..4)
        ) {
            let mut fields: BTreeMap<&str, &str> = BASE.into_iter().collect();
            for (field, value) in changes {
                let (name, values) = FIELDS[field];
                fields.insert(name, values[value.index(values.len())]);
            }
            let fields: Vec<String> =
                fields.into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
            let mut bench = Bench::new(2, 2);
            bench.parameters = format!("({})", fields.join(", "));
            if let Ok(mut policy) = bench.create::<D3qn<Teacher>>() {
                train(&mut bench, &mut policy);
            }
        }
    }

    fn refusal(devices: usize, parameters: &str) -> String {
        let mut bench = Bench::new(devices, 5);
        bench.parameters = parameters.to_owned();
        bench.create::<D3qn<Teacher>>().err().unwrap().message().to_owned()
    }

    #[test]
    fn what_would_learn_nothing_is_refused() {
        assert_eq!(
            refusal(3, "(batch: 4096)"),
            "batch: 4096 is out of range: at most `replay`, which is 2000, is needed"
        );
        assert_eq!(
            refusal(3, "(reward_scale: 1e-30)"),
            "reward_scale: 1e-30 is out of range: 0.001 to 1000000.0 is needed"
        );
        assert_eq!(
            refusal(3, "(hidden: 1000000000)"),
            "hidden: 1000000000 is out of range: 1 to 4096 is needed"
        );
    }

    #[test]
    fn what_would_not_fit_into_memory_is_refused() {
        assert_eq!(
            refusal(50, "(hidden: 4096)"),
            "50 networks of 100835335 parameters, their replay and batches would need 76 GiB of \
             memory, and 16 GiB is the limit: less `hidden`, `replay` or `batch`, or `sharing: \
             Shared`"
        );
        assert!(refusal(50, "(replay: 10000000)").contains("GiB"));
    }

    #[test]
    fn values_that_are_not_finite_are_an_error() {
        let bench = Bench::new(3, 2);
        let mut policy: D3qn<Teacher> = bench.create().unwrap();
        policy.make_agents();
        policy.agents[1].target.fill(f32::NAN);
        assert_eq!(
            bench.decide(&mut policy).unwrap_err().message(),
            "device 1 in slot 0: the value of action 0 is NaN; only finite numbers decide"
        );
        let mut other = bench.clone();
        other.checkpoint = Some(policy.checkpoint().unwrap());
        let refused = other.create::<D3qn<Teacher>>().err().unwrap();
        assert!(refused.message().contains("finite numbers are needed"), "{}", refused.message());
    }
}
