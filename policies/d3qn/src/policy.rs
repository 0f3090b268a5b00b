//! The policy: observations in, decisions out, and learning in between.

use std::marker::PhantomData;
use std::sync::Arc;

use offramp_nn::inputs::{Inputs, Scaling};
use offramp_nn::learning::{Deploy, UpdateReport};
use offramp_nn::networks::{NetworkSpec, Sharing};
use offramp_nn::pending::{Complete, PendingDecisions};
use offramp_nn::replay::{Experience, LoadLog};
use offramp_nn::{
    QEvaluator, Shape, Threads, best_action, initial_parameters, stream, stream_seed,
};
use offramp_plugin::{
    Context, EpisodeStart, Error, Learner, Needs, Observation, Policy, Progress, Student,
    TransitionBatch, UNDECIDED, ValueFunction,
};

use crate::agent::{Agent, Lesson, Scratch};
use crate::parameters::{Flaw, KEPT_DEVICES, PART, Parameters, QecoParameters, Recipe};

/// The source of a policy's recipe.
pub(crate) trait Preset: Send + 'static {
    /// The kind of its checkpoints.
    const KIND: &'static str;

    /// Other kinds of checkpoints that it may begin from.
    const ALSO_READS: &'static [&'static str] = &[];

    /// The recipe that the scenario's parameters ask for.
    fn recipe(context: &Context<'_>) -> Result<Recipe, Error>;
}

/// The teacher: every choice is a parameter.
pub(crate) struct Teacher;

impl Preset for Teacher {
    const KIND: &'static str = "d3qn";
    // What was distilled goes on learning from rewards.
    const ALSO_READS: &'static [&'static str] = &["student"];

    fn recipe(context: &Context<'_>) -> Result<Recipe, Error> {
        Ok(context.parameters::<Parameters>()?.recipe(context.learning_steps)?)
    }
}

/// The baseline: the published values.
pub(crate) struct Qeco;

impl Preset for Qeco {
    const KIND: &'static str = "qeco";

    fn recipe(context: &Context<'_>) -> Result<Recipe, Error> {
        let parameters = context.parameters::<QecoParameters>()?;
        parameters.check()?;
        Ok(parameters.recipe())
    }
}

/// D3QN agents, one for each device or one for all.
pub(crate) struct D3qn<P> {
    /// What never changes.
    pub(crate) plan: Arc<Plan>,
    /// The networks that decide without training: those of a checkpoint, or drawn.
    weights: Arc<Vec<Vec<f32>>>,
    /// From the first training episode on, or from when their parameters are set.
    pub(crate) agents: Vec<Agent>,
    evaluator: QEvaluator,
    /// Q of the rows at hand.
    values: Vec<f32>,
    /// From the first training episode on.
    pub(crate) training: Option<Box<Training>>,
    preset: PhantomData<P>,
}

/// The choices and sizes of a policy.
pub(crate) struct Plan {
    pub(crate) shape: Shape,
    pub(crate) recipe: Recipe,
    pub(crate) networks: NetworkSpec,
    /// True if the weights are a checkpoint's.
    trained: bool,
    seed: u64,
    threads: usize,
    devices: usize,
    arrival_slots: u32,
}

/// The state of a training besides the agents.
pub(crate) struct Training {
    pub(crate) log: LoadLog<f32>,
    /// Slots of training so far.
    pub(crate) slots: u64,
    threads: Threads,
    scratch: Vec<Scratch>,
    pending: PendingDecisions<State>,
    /// The row of each device in the slot at hand, if it has one.
    row_of: Vec<Option<usize>>,
    pub(crate) report: UpdateReport,
}

/// The state of a decision: its features, and the newest row of its window.
#[derive(Clone, Debug)]
struct State {
    window: u64,
    features: Vec<f32>,
}

impl<P: Preset> Policy for D3qn<P> {
    const NEEDS: Needs = Needs::FEATURES.and(Needs::HISTORY).and(Needs::LENGTH);

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
        let (scenario, hardware) = (&context.scenario_sha256, &context.hardware_sha256);
        let networks = NetworkSpec::new(P::KIND, inputs, hidden, sharing, scenario, hardware);
        let mut networks = networks.also_reads(P::ALSO_READS);
        let threads = context.threads.max(1) as usize;
        recipe.check_memory(&networks, threads)?;
        let shape = networks.shape;
        let checkpoint = context.checkpoint.into_option();
        let weights = match &checkpoint {
            Some(bytes) => networks.read(bytes.as_slice())?,
            None => {
                let seeds = (0..networks.networks as u64).map(|n| stream_seed(context.seed, n));
                let drawn = |seed| initial_parameters(&shape, recipe.initial, &mut stream(seed, 0));
                seeds.map(drawn).collect()
            }
        };
        let plan = Plan {
            shape,
            recipe,
            networks,
            trained: checkpoint.is_some(),
            seed: context.seed,
            threads,
            devices: context.system.devices(),
            arrival_slots: context.system.arrival_slots,
        };
        Ok(Self::of(Arc::new(plan), Arc::new(weights)))
    }

    fn fresh(&self) -> Option<Self> {
        Some(Self::of(Arc::clone(&self.plan), Arc::clone(&self.weights)))
    }

    fn begin_episode(&mut self, start: &EpisodeStart) -> Result<(), Error> {
        if !start.training {
            return Ok(());
        }
        self.make_agents();
        if self.training.is_none() {
            self.training = Some(Box::new(self.plan.new_training()?));
        }
        if let Some(training) = &mut self.training {
            let Plan { shape, recipe, networks, devices, arrival_slots, .. } = &*self.plan;
            // What one network can't use, nobody needs to keep.
            let kept = match networks.networks {
                1 => recipe.parameters.devices.unwrap_or(KEPT_DEVICES),
                _ => *devices,
            };
            let rng = &mut stream(start.seed, 0);
            training.pending.begin_episode(*devices, *arrival_slots, kept, rng);
            // The zeros before an episode; its first window ends with the first row it sees.
            for _ in 1..shape.history_slots {
                training.log.push(std::iter::repeat_n(0.0, shape.servers));
            }
        }
        Ok(())
    }

    fn decide(&mut self, observation: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        let count = self.plan.shape.actions();
        let mut values = std::mem::take(&mut self.values);
        values.resize(observation.rows() * count, 0.0);
        self.evaluate(observation, &mut values);
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
        let Some(training) = &mut self.training else { return Ok(()) };
        let slots = self.plan.shape.history_slots;
        let oldest = self.agents.iter().filter_map(|agent| agent.replay().oldest_row(slots));
        // Between episodes nothing is pending: without experience no row is needed.
        let oldest = oldest.min().unwrap_or(training.log.end());
        training.log.forget_before(oldest);
        Ok(())
    }
}

impl<P: Preset> ValueFunction for D3qn<P> {
    fn values(&mut self, observation: &Observation<'_>, values: &mut [f32]) -> Result<(), Error> {
        self.evaluate(observation, values);
        let scale = self.plan.recipe.parameters.reward_scale as f32;
        values.iter_mut().for_each(|value| *value *= scale);
        Ok(())
    }
}

/// Fits it to the values of another network: by the loss that it learns by otherwise, of all actions.
impl<P: Preset> Student for D3qn<P> {
    fn fit(&mut self, observation: &Observation<'_>, targets: &[f32]) -> Result<f64, Error> {
        self.observe(observation);
        self.make_agents();
        if self.training.is_none() {
            self.training = Some(Box::new(self.plan.new_training()?));
        }
        let Self { plan, agents, evaluator, training, .. } = self;
        let Plan { shape, recipe, .. } = &**plan;
        let Some(training) = training else { return Ok(0.0) };
        let Training { scratch, threads, report, .. } = &mut **training;
        report.count_passes(shape.forward_operations(), 3, observation.rows());
        let scale = recipe.parameters.reward_scale as f32;
        let targets: Vec<f32> = targets.iter().map(|target| target / scale).collect();
        let lesson = Lesson {
            features: &evaluator.features,
            histories: &evaluator.histories,
            history_of: &observation.history_of,
            targets: &targets,
        };
        let mut rows = vec![Vec::new(); agents.len()];
        for (row, &device) in observation.devices.iter().enumerate() {
            rows[device as usize % agents.len()].push(row);
        }
        let mut losses = vec![None; agents.len()];
        // An agent's step is the same on any thread.
        let share = agents.len().div_ceil(scratch.len());
        let work = agents.chunks_mut(share).zip(losses.chunks_mut(share)).zip(rows.chunks(share));
        threads.each(work.zip(&mut *scratch), |(((agents, losses), rows), scratch)| {
            for ((agent, loss), rows) in agents.iter_mut().zip(losses).zip(rows) {
                if !rows.is_empty() {
                    *loss = Some(agent.fit(shape, recipe, &lesson, rows, scratch));
                }
            }
        });
        let losses: Vec<f64> = losses.into_iter().flatten().collect();
        Ok(losses.iter().sum::<f64>() / losses.len().max(1) as f64)
    }
}

impl<P: Preset> Learner for D3qn<P> {
    fn record(&mut self, slot: &TransitionBatch<'_>) -> Result<(), Error> {
        let TransitionBatch { observation, actions, ended } = slot;
        self.observe(observation);
        let Some(training) = &mut self.training else { return Ok(()) };
        let Training { log, pending, row_of, .. } = &mut **training;
        let Plan { shape, recipe, .. } = &*self.plan;
        let width = shape.features;
        let QEvaluator { features, histories, .. } = &self.evaluator;
        let newest = &histories[histories.len() - shape.servers..];
        let window = log.push(newest.iter().copied());
        let state = |row: usize| State {
            window,
            features: features[row * width..(row + 1) * width].to_vec(),
        };
        row_of.clear();
        row_of.resize(pending.devices(), None);
        for (row, &device) in observation.devices.iter().enumerate() {
            row_of[device as usize] = Some(row);
        }
        let empty = || State { window, features: vec![0.0; width] };
        pending.begin_slot(observation.slot, |device| row_of[device].map(state), empty);
        let decisions = observation.devices.iter().zip(actions.iter());
        for (row, (&device, &action)) in decisions.enumerate() {
            if pending.keeps(device as usize) {
                pending.decide(device as usize, observation.slot, action, state(row));
            }
        }
        for task in ended.iter() {
            let reward = (task.reward / recipe.parameters.reward_scale) as f32;
            pending.reward(task.device as usize, task.arrival_slot, |_| reward);
        }
        let per_device = recipe.parameters.sharing == Sharing::PerDevice;
        let agents = &mut self.agents;
        pending.take_complete(|complete| {
            let Complete { device, state, action, reward, next, discount } = complete;
            let experience = Experience {
                window: state.window,
                next_window: next.window,
                action,
                reward,
                discount,
            };
            let agent = if per_device { device } else { 0 };
            agents[agent].remember(experience, &state.features, &next.features);
        });
        Ok(())
    }

    fn learn(&mut self) -> Result<Progress, Error> {
        let Some(training) = &mut self.training else { return Ok(Progress::default()) };
        training.slots += 1;
        let Plan { shape, recipe, .. } = &*self.plan;
        let parameters = &recipe.parameters;
        if parameters.cadence().due_at(training.slots) {
            let Training { log, scratch, threads, .. } = &mut **training;
            let (agents, log, threads) = (&mut self.agents, &*log, &*threads);
            let mut updates = vec![None; agents.len()];
            if let [one] = agents.as_mut_slice() {
                updates[0] = one.learn(shape, recipe, log, scratch, threads);
            } else {
                // An agent's update is the same on any thread.
                let parts = parameters.batch.div_ceil(PART);
                let share = agents.len().div_ceil(scratch.len() / parts);
                let work = agents.chunks_mut(share).zip(updates.chunks_mut(share));
                threads.each(
                    work.zip(scratch.chunks_mut(parts)),
                    |((agents, updates), scratch)| {
                        for (agent, update) in agents.iter_mut().zip(updates) {
                            *update = agent.learn(shape, recipe, log, scratch, &Threads::alone());
                        }
                    },
                );
            }
            for update in updates.into_iter().flatten() {
                training.report.add(&update)?;
                // Q(s) and Q(s') of one network, Q(s') of the other, and backwards through the first.
                training.report.count_passes(shape.forward_operations(), 5, parameters.batch);
            }
        }
        let updates: u64 = self.agents.iter().map(|agent| agent.updates).sum();
        let (recent_updates, loss) = training.report.take_loss();
        Ok(Progress { updates: updates / self.agents.len().max(1) as u64, recent_updates, loss })
    }
}

impl Plan {
    /// The agent of a network that has not learned anything since the weights at hand.
    pub(crate) fn agent(&self, network: usize, weights: &[f32]) -> Agent {
        let Self { shape, recipe, trained, seed, .. } = self;
        let seed = stream_seed(*seed, network as u64);
        if *trained {
            Agent::of(shape, recipe, seed, weights.to_vec(), weights.to_vec())
        } else {
            Agent::new(shape, recipe, seed)
        }
    }

    pub(crate) fn new_training(&self) -> Result<Training, Error> {
        let Self { shape, recipe, networks, threads, .. } = self;
        // One buffer for each part of a batch, for as many agents as there are threads.
        let parts = recipe.parameters.batch.div_ceil(PART);
        let at_a_time = if networks.networks == 1 { 1 } else { *threads };
        Ok(Training {
            log: LoadLog::new(shape.servers),
            slots: 0,
            threads: Threads::new(*threads)?,
            scratch: (0..parts * at_a_time).map(|_| Scratch::new(*shape)).collect(),
            pending: PendingDecisions::new(recipe.pending()),
            row_of: Vec::new(),
            report: UpdateReport::default(),
        })
    }

    /// Bytes that learning needs at most.
    pub(crate) fn memory(&self) -> u64 {
        self.recipe.memory(&self.networks, self.threads).try_into().unwrap_or(u64::MAX)
    }
}

impl<P: Preset> D3qn<P> {
    fn of(plan: Arc<Plan>, weights: Arc<Vec<Vec<f32>>>) -> Self {
        Self {
            evaluator: QEvaluator::new(plan.shape),
            plan,
            weights,
            agents: Vec::new(),
            values: Vec::new(),
            training: None,
            preset: PhantomData,
        }
    }

    /// The agents, made if there are none yet.
    pub(crate) fn make_agents(&mut self) -> &mut [Agent] {
        if self.agents.is_empty() {
            let weights = self.weights.iter().enumerate();
            self.agents = weights.map(|(network, own)| self.plan.agent(network, own)).collect();
        }
        &mut self.agents
    }

    /// The networks that decide after training.
    pub(crate) fn deployed(&self) -> impl Iterator<Item = &[f32]> {
        let Self { plan, weights, agents, .. } = self;
        let deploy = plan.recipe.parameters.deploy;
        (0..weights.len()).map(move |network| deciding(agents, weights, deploy, network))
    }

    /// The weights it was created with.
    pub(crate) fn weights_of(&self, network: usize) -> &[f32] {
        &self.weights[network]
    }

    fn observe(&mut self, observation: &Observation<'_>) {
        let Observation { features, histories, .. } = observation;
        self.evaluator.observe(self.plan.networks.scaling(), features, histories);
    }

    /// Q of every row in the networks' scale, into `values`, rows × (1 + M).
    fn evaluate(&mut self, observation: &Observation<'_>, values: &mut [f32]) {
        self.observe(observation);
        let Self { plan, weights, agents, evaluator, training, .. } = self;
        // During training the evaluation network decides.
        let deploy = match training {
            Some(_) => Deploy::Evaluation,
            None => plan.recipe.parameters.deploy,
        };
        let networks = weights.len();
        let weights = |network: usize| deciding(agents, weights, deploy, network);
        let (devices, history_of) = (&observation.devices, &observation.history_of);
        evaluator.evaluate(networks, weights, devices, history_of, values);
    }
}

/// The network that decides, of those that learn if there are any.
fn deciding<'w>(
    agents: &'w [Agent],
    weights: &'w [Vec<f32>],
    deploy: Deploy,
    network: usize,
) -> &'w [f32] {
    match (agents.get(network), deploy) {
        (None, _) => &weights[network],
        (Some(agent), Deploy::Evaluation) => &agent.evaluation,
        (Some(agent), Deploy::Target) => &agent.target,
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

    const FIELDS: [(&str, &[&str]); 16] = [
        ("hidden", &COUNTS),
        ("batch", &COUNTS),
        ("replay", &COUNTS),
        ("every_slots", &COUNTS),
        ("warm_up_slots", &COUNTS),
        ("anneal", &NUMBERS),
        ("devices", &COUNTS),
        ("sharing", &["PerDevice", "Shared"]),
        ("draw", &["Experiences", "Slots(0)", "Slots(1)", "Slots(3)"]),
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

    /// Rows that are all of one device fit its network and no other.
    #[test]
    fn a_row_fits_the_network_of_its_device() {
        let mut bench = Bench::new(3, 2);
        bench.parameters = "(hidden: 3)".to_owned();
        let mut policy: D3qn<Teacher> = bench.create().unwrap();
        let before: Vec<Vec<f32>> = policy.deployed().map(<[f32]>::to_vec).collect();
        bench.observe(|seen| {
            let of_one = Observation { devices: [1, 1, 1][..].into(), ..*seen };
            policy.fit(&of_one, &[9.0; 9]).unwrap();
        });
        let changed: Vec<bool> = policy
            .agents
            .iter()
            .zip(before)
            .map(|(agent, before)| agent.evaluation != before)
            .collect();
        assert_eq!(changed, [false, true, false]);
    }

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
            if slot % 5 == 0 {
                let count = actions.len() * policy.plan.shape.actions();
                let values: Vec<f32> = (0..count).map(|n| (n * 31 % 90) as f32 - 50.0).collect();
                let loss = bench.observe(|seen| policy.fit(seen, &values)).unwrap();
                assert!(loss.is_finite());
            }
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
            "50 networks of 100835335 parameters, their replay and batches would need 228 GiB of \
             memory, and 16 GiB is the limit: less `hidden`, `replay` or `batch`, or `sharing: \
             Shared`"
        );
        assert!(refusal(50, "(replay: 10000000)").contains("GiB"));
    }

    #[test]
    fn values_that_are_not_finite_are_an_error() {
        let bench = Bench::new(3, 2);
        let mut policy: D3qn<Teacher> = bench.create().unwrap();
        policy.make_agents()[1].target.fill(f32::NAN);
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
