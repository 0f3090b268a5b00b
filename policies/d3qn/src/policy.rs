//! The policy: observations in, decisions out, and learning in between.

use std::marker::PhantomData;

use offramp_nn::checkpoint::{Checkpoint, CheckpointError};
use offramp_nn::learning::OptimiserState;
use offramp_nn::replay::{LoadLog, Replay};
use offramp_nn::{Histories, Shape, Workspace};
use offramp_plugin::{
    Context, EpisodeStart, Error, Learner, Needs, Observation, Policy, Progress, Saved,
    TransitionBatch, UNDECIDED, ValueFunction,
};
use rayon::ThreadPool;
use rayon::prelude::*;

use crate::agent::{Agent, PART, Scratch, greedy};
use crate::experience::Waitroom;
use crate::parameters::{Deploy, Flaw, Parameters, QecoParameters, Recipe, Sharing};

/// Where a policy's recipe comes from.
pub(crate) trait Preset: Send + 'static {
    /// The kind that a checkpoint of it says it is.
    const KIND: &'static str;

    /// The recipe that the scenario's parameters ask for.
    fn recipe(context: &Context<'_>) -> Result<Recipe, Error>;
}

/// The teacher: every choice is a parameter.
pub(crate) struct Teacher;

impl Preset for Teacher {
    const KIND: &'static str = "d3qn";

    fn recipe(context: &Context<'_>) -> Result<Recipe, Error> {
        context.parameters::<Parameters>()?.recipe()
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
    shape: Shape,
    recipe: Recipe,
    /// The names of the features, for checkpoints.
    feature_names: String,
    scenario_sha256: String,
    scaling: Scaling,
    agents: Vec<Agent>,
    deciding: Deciding,
    waiting: Waitroom,
    threads: usize,
    /// From the first training episode on.
    training: Option<Training>,
    preset: PhantomData<P>,
}

/// What features and loads are divided by.
#[derive(Clone, Debug)]
struct Scaling {
    features: Vec<f32>,
    history: f32,
}

/// Buffers of a decision.
struct Deciding {
    workspace: Workspace<f32>,
    features: Vec<f32>,
    histories: Vec<f32>,
    values: Vec<f32>,
}

/// What training needs besides the agents.
struct Training {
    log: LoadLog<f32>,
    /// Slots of training so far.
    slots: u64,
    pool: ThreadPool,
    scratch: Vec<Scratch>,
    /// The row of each device in the slot at hand, if it has one.
    row_of: Vec<Option<usize>>,
    loss: f64,
    losses: u64,
}

impl<P: Preset> Policy for D3qn<P> {
    const NEEDS: Needs = Needs::FEATURES.and(Needs::HISTORY);

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        let recipe = P::recipe(context)?;
        let spec = &context.observation;
        let shape = Shape {
            features: spec.features.len(),
            servers: context.system.servers(),
            history_slots: spec.history_slots as usize,
            hidden: recipe.parameters.hidden,
        };
        let scaling = if recipe.has(Flaw::Unscaled) {
            Scaling { features: vec![1.0; shape.features], history: 1.0 }
        } else {
            let features = spec.features.iter().map(|feature| feature.scale as f32).collect();
            Scaling { features, history: spec.history_scale as f32 }
        };
        let agents = match recipe.parameters.sharing {
            Sharing::PerDevice => context.system.devices() as u64,
            Sharing::Shared => 1,
        };
        let seed = |agent: u64| context.seed ^ agent.wrapping_mul(0xd6e8_feb8_6659_fd93);
        let names: Vec<&str> = spec.features.iter().map(|feature| feature.name.as_str()).collect();
        let mut policy = Self {
            agents: (0..agents).map(|agent| Agent::new(&shape, &recipe, seed(agent))).collect(),
            waiting: Waitroom::new(context, &recipe),
            feature_names: names.join(","),
            scenario_sha256: context.scenario_sha256.to_string(),
            deciding: Deciding {
                workspace: Workspace::new(shape),
                features: Vec::new(),
                histories: Vec::new(),
                values: Vec::new(),
            },
            threads: context.threads.max(1) as usize,
            training: None,
            preset: PhantomData,
            shape,
            recipe,
            scaling,
        };
        if let Some(bytes) = context.checkpoint.into_option() {
            policy.read_checkpoint(bytes.as_slice())?;
        }
        Ok(policy)
    }

    fn begin_episode(&mut self, start: &EpisodeStart) -> Result<(), Error> {
        if !start.training {
            return Ok(());
        }
        if self.training.is_none() {
            self.training = Some(self.new_training()?);
        }
        self.waiting.clear();
        if let Some(training) = &mut self.training {
            // The zeros before an episode; its first window ends with the first row it sees.
            for _ in 1..self.shape.history_slots {
                training.log.push(std::iter::repeat_n(0.0, self.shape.servers));
            }
        }
        Ok(())
    }

    fn decide(&mut self, observation: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        let mut values = std::mem::take(&mut self.deciding.values);
        values.resize(observation.rows() * self.shape.actions(), 0.0);
        self.evaluate(observation, &mut values);
        for (action, values) in actions.iter_mut().zip(values.chunks_exact(self.shape.actions())) {
            if *action == UNDECIDED {
                *action = greedy(values) as u32;
            }
        }
        self.deciding.values = values;
        Ok(())
    }

    fn end_episode(&mut self) -> Result<(), Error> {
        let Some(training) = &mut self.training else { return Ok(()) };
        let oldest = self
            .agents
            .iter()
            .filter_map(|agent| agent.replay.oldest_row(self.shape.history_slots));
        if let Some(oldest) = oldest.min() {
            training.log.forget_before(oldest);
        }
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
        self.read(observation);
        let Some(training) = &mut self.training else { return Ok(()) };
        let (width, servers) = (self.shape.features, self.shape.servers);
        let newest = self.deciding.histories.len() - servers;
        let window = training.log.push(self.deciding.histories[newest..].iter().copied());
        let features = |row: usize| &self.deciding.features[row * width..(row + 1) * width];
        training.row_of.clear();
        training.row_of.resize(self.waiting.devices(), None);
        for (row, &device) in observation.devices.iter().enumerate() {
            training.row_of[device as usize] = Some(row);
        }
        let row_of = &training.row_of;
        self.waiting.slot(observation.slot, window, |device| row_of[device].map(features));
        for (row, (&device, &action)) in observation.devices.iter().zip(actions.iter()).enumerate()
        {
            self.waiting.decided(device as usize, observation.slot, window, action, features(row));
        }
        for task in ended.iter() {
            self.waiting.ended(task, (task.reward / self.recipe.parameters.reward_scale) as f32);
        }
        let per_device = self.recipe.parameters.sharing == Sharing::PerDevice;
        let agents = &mut self.agents;
        self.waiting.complete(|complete| {
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
                    // Which thread computes an agent's update changes nothing in it.
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
        let loss = match std::mem::take(&mut training.losses) {
            0 => 0.0,
            count => std::mem::take(&mut training.loss) / count as f64,
        };
        Ok(Progress { updates: updates / self.agents.len() as u64, loss })
    }
}

impl<P: Preset> Saved for D3qn<P> {
    fn checkpoint(&self) -> Result<Vec<u8>, Error> {
        let mut checkpoint = self.describe();
        match self.recipe.parameters.deploy {
            Deploy::Evaluation => self.put(&mut checkpoint, "", |agent| &agent.evaluation),
            Deploy::Target => self.put(&mut checkpoint, "", |agent| &agent.target),
        }
        Ok(checkpoint.to_bytes()?)
    }

    /// Called between episodes, when nothing waits.
    fn save(&self) -> Result<Vec<u8>, Error> {
        let Some(training) = &self.training else {
            return Err(Error::new("it has not been trained"));
        };
        let mut state = self.describe();
        state.metadata.insert("kind".to_owned(), format!("{} in training", P::KIND));
        self.put(&mut state, "evaluation.", |agent| &agent.evaluation);
        self.put(&mut state, "target.", |agent| &agent.target);
        self.put(&mut state, "optimiser.first.", |agent| &agent.optimiser.first);
        self.put(&mut state, "optimiser.second.", |agent| &agent.optimiser.second);
        let counts = self.agents.iter().flat_map(|agent| [agent.updates, agent.optimiser.steps]);
        state.put_u64("counts", counts);
        let (first, rows) = training.log.parts();
        state.put_u64("log.first", [first, training.slots]);
        state.put_f32("log.rows", &[rows.len()], rows.iter().copied());
        for (number, agent) in self.agents.iter().enumerate() {
            let (next, whole, real, features, next_features) = agent.replay.parts();
            let name = |part: &str| format!("replay.{number}.{part}");
            state.put_u64(&name("whole"), std::iter::once(next as u64).chain(whole));
            state.put_f32(&name("real"), &[real.len()], real.iter().copied());
            state.put_f32(&name("features"), &[features.len()], features.iter().copied());
            let length = [next_features.len()];
            state.put_f32(&name("next_features"), &length, next_features.iter().copied());
        }
        Ok(state.to_bytes()?)
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let state = Checkpoint::from_bytes(bytes)?;
        let kind = format!("{} in training", P::KIND);
        self.expect(&state, &kind)?;
        state.expect("scenario_sha256", &self.scenario_sha256)?;
        let mut agents = self.agents.clone();
        let parts = [
            self.take(&state, "evaluation.")?,
            self.take(&state, "target.")?,
            self.take(&state, "optimiser.first.")?,
            self.take(&state, "optimiser.second.")?,
        ];
        let [evaluation, target, first, second] = parts.map(Vec::into_iter);
        let counts = state.u64("counts")?;
        let mut training = self.new_training()?;
        let log = state.u64("log.first")?;
        let rows = state.f32("log.rows")?;
        let malformed = || Error::new("the saved training contradicts itself");
        let ([log_first, slots], true) = (log.as_slice(), counts.len() == 2 * agents.len()) else {
            return Err(malformed());
        };
        if rows.len() % self.shape.servers != 0 {
            return Err(malformed());
        }
        let end = log_first + (rows.len() / self.shape.servers) as u64;
        training.slots = *slots;
        training.log = LoadLog::from_parts(self.shape.servers, *log_first, rows);
        let weights = evaluation.zip(target).zip(first).zip(second).zip(counts.chunks_exact(2));
        for ((number, agent), ((((evaluation, target), first), second), counts)) in
            agents.iter_mut().enumerate().zip(weights)
        {
            let name = |part: &str| format!("replay.{number}.{part}");
            let whole = state.u64(&name("whole"))?;
            let real = state.f32(&name("real"))?;
            let (next, whole) = whole.split_first().ok_or_else(malformed)?;
            agent.replay = Replay::from_parts(
                self.recipe.parameters.replay,
                self.shape.features,
                (*next as usize, whole, &real),
                state.f32(&name("features"))?,
                state.f32(&name("next_features"))?,
            )
            .ok_or_else(malformed)?;
            let oldest = agent.replay.oldest_row(self.shape.history_slots);
            let within = |experience: &[u64]| {
                experience[..2].iter().all(|&row| row < end)
                    && experience[2] < self.shape.actions() as u64
            };
            if oldest.is_some_and(|oldest| oldest < *log_first)
                || !whole.chunks_exact(3).all(within)
            {
                return Err(malformed());
            }
            agent.evaluation = evaluation;
            agent.target = target;
            agent.updates = counts[0];
            agent.optimiser = OptimiserState { steps: counts[1], first, second };
        }
        self.agents = agents;
        self.training = Some(training);
        Ok(())
    }
}

impl<P: Preset> D3qn<P> {
    /// Scales what is observed into the buffers for decisions.
    fn read(&mut self, observation: &Observation<'_>) {
        let Deciding { features, histories, .. } = &mut self.deciding;
        features.clear();
        let scales = self.scaling.features.iter().cycle();
        let scaled = observation.features.iter().zip(scales);
        features.extend(scaled.map(|(&feature, &scale)| feature as f32 / scale));
        histories.clear();
        let scale = self.scaling.history;
        histories.extend(observation.histories.iter().map(|&load| load as f32 / scale));
    }

    /// Q of every row as the network sees rewards, into `values`, rows × (1 + M).
    fn evaluate(&mut self, observation: &Observation<'_>, values: &mut [f32]) {
        self.read(observation);
        let Self { shape, agents, deciding, recipe, training, .. } = self;
        let Deciding { workspace, features, histories, .. } = deciding;
        // While it trains, what is being learned decides.
        let deploy_target = training.is_none() && recipe.parameters.deploy == Deploy::Target;
        let deciding = |agent: usize| -> &[f32] {
            let agent: &Agent = &agents[agent];
            if deploy_target { &agent.target } else { &agent.evaluation }
        };
        let window = shape.history_slots * shape.servers;
        if agents.len() == 1 && observation.history_of.is_empty() {
            let histories = Histories::Shared(&histories[..window]);
            values.copy_from_slice(workspace.forward(deciding(0), features, histories));
            return;
        }
        let rows = features.chunks_exact(shape.features);
        for (row, (features, values)) in
            rows.zip(values.chunks_exact_mut(shape.actions())).enumerate()
        {
            let agent = observation.devices[row] as usize % agents.len();
            let start = observation.history_of.get(row).map_or(0, |&at| at as usize * window);
            let histories = Histories::Shared(&histories[start..start + window]);
            values.copy_from_slice(workspace.forward(deciding(agent), features, histories));
        }
    }

    fn new_training(&self) -> Result<Training, Error> {
        // One buffer for each part of a batch, for as many agents as there are threads.
        let parts = self.recipe.parameters.batch.div_ceil(PART);
        let at_a_time = if self.agents.len() == 1 { 1 } else { self.threads };
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

    /// What a checkpoint says of this policy: what must agree, and what is good to know.
    fn describe(&self) -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        let one = self.shape.parameters();
        let updates = self.agents.iter().map(|agent| agent.updates).sum::<u64>();
        let known = [
            ("kind", P::KIND.to_owned()),
            ("architecture", "LSTM, two dense layers, dueling head".to_owned()),
            ("parameters_deployed", one.to_string()),
            ("parameters_as_in_the_paper", (2 * one).to_string()),
            ("scenario_sha256", self.scenario_sha256.clone()),
            ("updates", (updates / self.agents.len() as u64).to_string()),
        ];
        let known = known.map(|(key, value)| (key.to_owned(), value));
        checkpoint.metadata = known.into_iter().chain(self.identity()).collect();
        let scales = &self.scaling.features;
        checkpoint.put_f32("feature_scales", &[scales.len()], scales.iter().copied());
        checkpoint.put_f32("history_scale", &[1], [self.scaling.history]);
        checkpoint
    }

    /// What must agree for a checkpoint to be of use here.
    fn identity(&self) -> [(String, String); 5] {
        [
            ("features", self.feature_names.clone()),
            ("servers", self.shape.servers.to_string()),
            ("history_slots", self.shape.history_slots.to_string()),
            ("hidden", self.shape.hidden.to_string()),
            ("networks", self.agents.len().to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
    }

    fn expect(&self, checkpoint: &Checkpoint, kind: &str) -> Result<(), CheckpointError> {
        checkpoint.expect("kind", kind)?;
        self.identity().iter().try_for_each(|(key, value)| checkpoint.expect(key, value))
    }

    /// Puts numbers of the shape of every agent's weights.
    fn put(
        &self,
        checkpoint: &mut Checkpoint,
        prefix: &str,
        numbers: impl Fn(&Agent) -> &Vec<f32>,
    ) {
        for tensor in self.shape.tensors() {
            let [rows, columns] = tensor.shape;
            let all = self.agents.iter().filter_map(|agent| {
                // Empty where the optimiser has no use for them.
                numbers(agent).get(tensor.range.clone())
            });
            let name = format!("{prefix}{}", tensor.name);
            let shape = [self.agents.len(), rows, columns];
            checkpoint.put_f32(&name, &shape, all.flatten().copied());
        }
    }

    /// Takes them out again, agent by agent.
    fn take(
        &self,
        checkpoint: &Checkpoint,
        prefix: &str,
    ) -> Result<Vec<Vec<f32>>, CheckpointError> {
        let mut all = vec![vec![0.0; self.shape.parameters()]; self.agents.len()];
        for tensor in self.shape.tensors() {
            let [rows, columns] = tensor.shape;
            let name = format!("{prefix}{}", tensor.name);
            let values = checkpoint.f32_of_shape(&name, &[all.len(), rows, columns])?;
            for (numbers, values) in all.iter_mut().zip(values.chunks_exact(rows * columns)) {
                numbers[tensor.range.clone()].copy_from_slice(values);
            }
        }
        Ok(all)
    }

    fn read_checkpoint(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let checkpoint = Checkpoint::from_bytes(bytes)?;
        self.expect(&checkpoint, P::KIND)?;
        let features = checkpoint.f32_of_shape("feature_scales", &[self.shape.features])?;
        let history = checkpoint.f32_of_shape("history_scale", &[1])?[0];
        if features.iter().chain([&history]).any(|&scale| scale <= 0.0 || !scale.is_finite()) {
            return Err(Error::new("the checkpoint has a scale that is not above 0"));
        }
        self.scaling = Scaling { features, history };
        let weights = self.take(&checkpoint, "")?;
        for (agent, weights) in self.agents.iter_mut().zip(weights) {
            agent.target.clone_from(&weights);
            agent.evaluation = weights;
        }
        Ok(())
    }
}
