//! The policy: observations in, decisions out, and learning in between.

use std::marker::PhantomData;

use offramp_nn::Shape;
use offramp_nn::bank::{Identity, Reader, Scaling, Sharing, greedy};
use offramp_nn::checkpoint::Checkpoint;
use offramp_nn::learning::OptimiserState;
use offramp_nn::replay::{LoadLog, Replay};
use offramp_plugin::{
    Context, EpisodeStart, Error, Learner, Needs, Observation, Policy, Progress, Saved,
    TransitionBatch, UNDECIDED, ValueFunction,
};
use rayon::ThreadPool;
use rayon::prelude::*;

use crate::agent::{Agent, PART, Scratch};
use crate::experience::Waitroom;
use crate::parameters::{Deploy, Flaw, Parameters, QecoParameters, Recipe};

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
    identity: Identity,
    agents: Vec<Agent>,
    reader: Reader,
    /// Q of the rows at hand.
    values: Vec<f32>,
    waiting: Waitroom,
    threads: usize,
    /// From the first training episode on.
    training: Option<Training>,
    preset: PhantomData<P>,
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
        let agents = recipe.parameters.sharing.networks(context.system.devices()) as u64;
        let seed = |agent: u64| context.seed ^ agent.wrapping_mul(0xd6e8_feb8_6659_fd93);
        let names: Vec<&str> = spec.features.iter().map(|feature| feature.name.as_str()).collect();
        let identity = Identity {
            kind: P::KIND.to_owned(),
            shape,
            networks: agents as usize,
            feature_names: names.join(","),
            scenario_sha256: context.scenario_sha256.to_string(),
            scaling,
        };
        let mut policy = Self {
            agents: (0..agents).map(|agent| Agent::new(&shape, &recipe, seed(agent))).collect(),
            waiting: Waitroom::new(context, &recipe),
            reader: Reader::new(shape),
            values: Vec::new(),
            threads: context.threads.max(1) as usize,
            training: None,
            preset: PhantomData,
            shape,
            recipe,
            identity,
        };
        if let Some(bytes) = context.checkpoint.into_option() {
            let weights = policy.identity.read(bytes.as_slice())?;
            for (agent, weights) in policy.agents.iter_mut().zip(weights) {
                agent.target.clone_from(&weights);
                agent.evaluation = weights;
            }
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
        let mut values = std::mem::take(&mut self.values);
        values.resize(observation.rows() * self.shape.actions(), 0.0);
        self.evaluate(observation, &mut values);
        for (action, values) in actions.iter_mut().zip(values.chunks_exact(self.shape.actions())) {
            if *action == UNDECIDED {
                *action = greedy(values) as u32;
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
        // Between episodes nothing waits: without experience no row is needed.
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
        self.read(observation);
        let Some(training) = &mut self.training else { return Ok(()) };
        let (width, servers) = (self.shape.features, self.shape.servers);
        let newest = self.reader.histories.len() - servers;
        let window = training.log.push(self.reader.histories[newest..].iter().copied());
        let features = |row: usize| &self.reader.features[row * width..(row + 1) * width];
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
        let recent_updates = std::mem::take(&mut training.losses);
        let loss = match recent_updates {
            0 => 0.0,
            count => std::mem::take(&mut training.loss) / count as f64,
        };
        Ok(Progress { updates: updates / self.agents.len() as u64, recent_updates, loss })
    }
}

impl<P: Preset> Saved for D3qn<P> {
    fn checkpoint(&self) -> Result<Vec<u8>, Error> {
        let mut checkpoint = self.describe();
        let weights = self.agents.iter().map(|agent| match self.recipe.parameters.deploy {
            Deploy::Evaluation => agent.evaluation.as_slice(),
            Deploy::Target => agent.target.as_slice(),
        });
        self.identity.put(&mut checkpoint, "", weights);
        Ok(checkpoint.to_bytes()?)
    }

    /// Called between episodes, when nothing waits.
    fn save(&self) -> Result<Vec<u8>, Error> {
        let Some(training) = &self.training else {
            return Err(Error::new("it has not been trained"));
        };
        let mut state = self.describe();
        state.metadata.insert("kind".to_owned(), format!("{} in training", P::KIND));
        let put = |state: &mut Checkpoint, prefix: &str, numbers: fn(&Agent) -> &[f32]| {
            self.identity.put(state, prefix, self.agents.iter().map(numbers));
        };
        put(&mut state, "evaluation.", |agent| &agent.evaluation);
        put(&mut state, "target.", |agent| &agent.target);
        put(&mut state, "optimiser.first.", |agent| &agent.optimiser.first);
        put(&mut state, "optimiser.second.", |agent| &agent.optimiser.second);
        let counts = self.agents.iter().flat_map(|agent| [agent.updates, agent.optimiser.steps]);
        state.put_u64("counts", counts);
        let (first, rows) = training.log.parts();
        state.put_u64("log.first_row_and_slots", [first, training.slots]);
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
        self.identity.expect(&state, &kind)?;
        state.expect("scenario_sha256", &self.identity.scenario_sha256)?;
        let mut agents = self.agents.clone();
        let parts = [
            self.identity.take(&state, "evaluation.")?,
            self.identity.take(&state, "target.")?,
            self.identity.take(&state, "optimiser.first.")?,
            self.identity.take(&state, "optimiser.second.")?,
        ];
        let [evaluation, target, first, second] = parts.map(Vec::into_iter);
        let counts = state.u64("counts")?;
        let mut training = self.new_training()?;
        let log = state.u64("log.first_row_and_slots")?;
        let rows = state.f32("log.rows")?;
        let malformed = || Error::new("the saved training contradicts itself");
        let ([log_first, slots], true) = (log.as_slice(), counts.len() == 2 * agents.len()) else {
            return Err(malformed());
        };
        if rows.len() % self.shape.servers != 0 {
            return Err(malformed());
        }
        training.slots = *slots;
        training.log = LoadLog::from_parts(self.shape.servers, *log_first, rows);
        let end = training.log.end();
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
    fn read(&mut self, observation: &Observation<'_>) {
        let Observation { features, histories, .. } = observation;
        self.reader.read(&self.identity.scaling, features.as_slice(), histories.as_slice());
    }

    /// Q of every row as the network sees rewards, into `values`, rows × (1 + M).
    fn evaluate(&mut self, observation: &Observation<'_>, values: &mut [f32]) {
        self.read(observation);
        let Self { shape, agents, reader, recipe, training, .. } = self;
        // While it trains, what is being learned decides.
        let deploy_target = training.is_none() && recipe.parameters.deploy == Deploy::Target;
        let weights = |agent: usize| -> &[f32] {
            let agent: &Agent = &agents[agent];
            if deploy_target { &agent.target } else { &agent.evaluation }
        };
        let (devices, history_of) = (&observation.devices, &observation.history_of);
        reader.evaluate(shape, agents.len(), weights, devices, history_of, values);
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

    /// A checkpoint that says what this is and how far it has come.
    fn describe(&self) -> Checkpoint {
        let mut checkpoint = self.identity.describe();
        let updates = self.agents.iter().map(|agent| agent.updates).sum::<u64>();
        let updates = (updates / self.agents.len() as u64).to_string();
        checkpoint.metadata.insert("updates".to_owned(), updates);
        checkpoint
    }
}
