//! Actors, their critic, and how they learn.

use offramp_nn::checkpoint::Checkpoint;
use offramp_nn::learning::{Loss, Optimiser, OptimiserState, clip};
use offramp_nn::{Perceptron, PerceptronShape};
use offramp_plugin::{
    Context, EpisodeStart, Error, Learner, Needs, Observation, Policy, Progress, Saved,
    TransitionBatch, UNDECIDED,
};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::parameters::Parameters;
use crate::trajectories::{Replay, Transition, Under};

/// What a checkpoint of it says it is.
const KIND: &str = "dcdrl";

pub(crate) struct DcDrl {
    parameters: Parameters,
    features: Vec<f32>,
    servers: usize,
    history_slots: usize,
    history_scale: f32,
    feature_names: String,
    seed: u64,
    shape: PerceptronShape,
    network: Perceptron<f32>,
    /// The actor that is trained by gradient.
    actor: Vec<f32>,
    /// Its running mean, which decides after training: it does not swing from one update to the
    /// next.
    deployed: Vec<f32>,
    learning: Option<Box<Learning>>,
    devices: usize,
    /// The rows at hand, rows × width.
    states: Vec<f32>,
    /// π of a row.
    probabilities: Vec<f32>,
}

/// What learning needs besides the actor.
struct Learning {
    critic: Vec<f32>,
    target: Vec<f32>,
    actor_optimiser: OptimiserState<f32>,
    critic_optimiser: OptimiserState<f32>,
    population: Vec<Vec<f32>>,
    /// Sum of rewards, and tasks, of each actor in the generation at hand.
    fitness: Vec<[f64; 2]>,
    episodes: u64,
    slots: u64,
    updates: u64,
    replay: Replay,
    under: Under,
    draws: Xoshiro256PlusPlus,
    /// Probabilities of the slot's actions.
    taken: Vec<f32>,
    batch: Batch,
    loss: f64,
    losses: u64,
}

/// Buffers of an update.
#[derive(Default)]
struct Batch {
    /// Where each target's state is in `ends`, if it bootstraps.
    bootstrap: Vec<Option<usize>>,
    states: Vec<f32>,
    ends: Vec<f32>,
    actions: Vec<u32>,
    returns: Vec<f32>,
    discounts: Vec<f32>,
    d_outputs: Vec<f32>,
    gradient: Vec<f32>,
}

/// A stream for one purpose of one learner.
fn stream(seed: u64, number: u64, purpose: u64) -> Xoshiro256PlusPlus {
    let mixed = seed ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93) ^ (purpose << 56);
    Xoshiro256PlusPlus::seed_from_u64(mixed)
}

impl Policy for DcDrl {
    const NEEDS: Needs = Needs::FEATURES.and(Needs::HISTORY);

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        let parameters: Parameters = context.parameters::<Parameters>()?.checked()?;
        let spec = &context.observation;
        let servers = context.system.servers();
        let shape = PerceptronShape {
            inputs: spec.features.len() + servers,
            hidden: parameters.hidden,
            outputs: servers + 1,
        };
        let names: Vec<&str> = spec.features.iter().map(|feature| feature.name.as_str()).collect();
        let actor: Vec<f32> = shape.initial(&mut stream(context.seed, 0, 1));
        let mut policy = Self {
            features: spec.features.iter().map(|feature| feature.scale as f32).collect(),
            servers,
            history_slots: spec.history_slots as usize,
            history_scale: spec.history_scale as f32,
            feature_names: names.join(","),
            seed: context.seed,
            network: Perceptron::new(shape),
            deployed: actor.clone(),
            actor,
            learning: None,
            devices: context.system.devices(),
            states: Vec::new(),
            probabilities: Vec::new(),
            shape,
            parameters,
        };
        if let Some(bytes) = context.checkpoint.into_option() {
            let checkpoint = Checkpoint::from_bytes(bytes.as_slice())?;
            policy.expect(&checkpoint, KIND)?;
            policy.deployed = policy.take(&checkpoint, "actor", 1)?;
            policy.actor.clone_from(&policy.deployed);
        }
        Ok(policy)
    }

    fn begin_episode(&mut self, start: &EpisodeStart) -> Result<(), Error> {
        if start.training {
            let fresh =
                || Box::new(Learning::new(&self.parameters, self.shape, self.devices, self.seed));
            let learning = self.learning.get_or_insert_with(fresh);
            learning.under.clear();
            learning.draws = Xoshiro256PlusPlus::seed_from_u64(start.seed);
        }
        Ok(())
    }

    fn decide(&mut self, observation: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        self.look(observation);
        let Self { network, states, probabilities, shape, actor, learning, parameters, .. } = self;
        let rows = states.chunks_exact(shape.inputs).zip(actions.iter_mut());
        let Some(learning) = learning else {
            for (state, action) in rows.filter(|(_, action)| **action == UNDECIDED) {
                *action = greedy(network.forward(&self.deployed, state));
            }
            return Ok(());
        };
        // The first actor of a round is the gradient's.
        let player = (learning.episodes % parameters.actors as u64) as usize;
        let playing = if player == 0 { &*actor } else { &learning.population[player] };
        learning.taken.clear();
        for (state, action) in rows {
            softmax(network.forward(playing, state), probabilities);
            if *action == UNDECIDED {
                *action = drawn(probabilities, learning.draws.random());
            }
            learning.taken.push(probabilities[*action as usize]);
        }
        Ok(())
    }

    fn end_episode(&mut self) -> Result<(), Error> {
        if let Some(learning) = &mut self.learning {
            learning.end_episode(&self.parameters, self.shape, &self.actor, self.seed);
        }
        Ok(())
    }
}

impl Learner for DcDrl {
    fn record(&mut self, slot: &TransitionBatch<'_>) -> Result<(), Error> {
        let TransitionBatch { observation, actions, ended } = slot;
        let Some(learning) = &mut self.learning else { return Ok(()) };
        let states = self.states.chunks_exact(self.shape.inputs);
        let rows = observation.devices.iter().zip(actions.iter()).zip(&learning.taken).zip(states);
        for (((&device, &action), &probability), state) in rows {
            let (device, slot) = (device as usize, observation.slot);
            learning.under.decided(device, slot, action, probability, state);
        }
        let player = (learning.episodes % self.parameters.actors as u64) as usize;
        for task in ended.iter() {
            let reward = task.reward / self.parameters.reward_scale;
            learning.under.ended(task.device as usize, task.arrival_slot, reward as f32);
            learning.fitness[player][0] += reward;
            learning.fitness[player][1] += 1.0;
        }
        // A slot without tasks is not decided: nothing of it is to be recorded twice.
        learning.taken.clear();
        self.states.clear();
        Ok(())
    }

    fn learn(&mut self) -> Result<Progress, Error> {
        let Some(learning) = &mut self.learning else { return Ok(Progress::default()) };
        learning.slots += 1;
        if learning.replay.len() >= self.parameters.batch
            && learning.slots.is_multiple_of(self.parameters.every_slots)
        {
            let loss = learning.update(
                &self.parameters,
                self.shape,
                &mut self.network,
                &mut self.actor,
                self.seed,
            );
            if !loss.is_finite() {
                return Err(Error::new(format!("its loss is {loss}: smaller learning rates?")));
            }
            self.parameters.target.follow(learning.updates, &mut self.deployed, &self.actor);
            learning.loss += loss;
            learning.losses += 1;
        }
        let recent_updates = learning.losses;
        let loss = learning.loss / recent_updates.max(1) as f64;
        (learning.loss, learning.losses) = (0.0, 0);
        Ok(Progress { updates: learning.updates, recent_updates, loss })
    }
}

impl Saved for DcDrl {
    fn checkpoint(&self) -> Result<Vec<u8>, Error> {
        let mut checkpoint = self.describe(KIND);
        self.put(&mut checkpoint, "actor", std::iter::once(&self.deployed));
        Ok(checkpoint.to_bytes()?)
    }

    fn save(&self) -> Result<Vec<u8>, Error> {
        let mut state = self.describe("dcdrl in training");
        self.put(&mut state, "actor", std::iter::once(&self.actor));
        self.put(&mut state, "deployed", std::iter::once(&self.deployed));
        let Some(learning) = &self.learning else { return Ok(state.to_bytes()?) };
        let Learning { actor_optimiser, critic_optimiser, .. } = &**learning;
        for (name, numbers) in [
            ("critic", &learning.critic),
            ("target", &learning.target),
            ("actor_first", &actor_optimiser.first),
            ("actor_second", &actor_optimiser.second),
            ("critic_first", &critic_optimiser.first),
            ("critic_second", &critic_optimiser.second),
        ] {
            self.put(&mut state, name, std::iter::once(numbers));
        }
        self.put(&mut state, "population", learning.population.iter());
        let (next, transitions, states) = learning.replay.parts();
        let count = transitions.len();
        state.put_u64(
            "counters",
            [learning.episodes, learning.slots, learning.updates, next as u64],
        );
        state.put_u64("fitness", learning.fitness.iter().flatten().map(|value| value.to_bits()));
        state.put_u64("replay_actions", transitions.iter().map(|t| t.action.into()));
        let numbers = transitions.iter().flat_map(|t| [t.probability, t.reward, t.discount]);
        state.put_f32("replay_numbers", &[count, 3], numbers);
        state.put_f32("replay_states", &[count, self.shape.inputs], states.iter().copied());
        Ok(state.to_bytes()?)
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let state = Checkpoint::from_bytes(bytes)?;
        self.expect(&state, "dcdrl in training")?;
        let actor = self.take(&state, "actor", 1)?;
        let deployed = self.take(&state, "deployed", 1)?;
        if state.u64("counters").is_err() {
            (self.actor, self.deployed, self.learning) = (actor, deployed, None);
            return Ok(());
        }
        let wrong = || Error::new("the saved learner contradicts itself");
        let mut learning =
            Box::new(Learning::new(&self.parameters, self.shape, self.devices, self.seed));
        learning.critic = self.take(&state, "critic", 1)?;
        learning.target = self.take(&state, "target", 1)?;
        let [episodes, slots, updates, next] = state.u64("counters")?[..] else {
            return Err(wrong());
        };
        (learning.episodes, learning.slots, learning.updates) = (episodes, slots, updates);
        for (optimiser, name) in
            [(&mut learning.actor_optimiser, "actor"), (&mut learning.critic_optimiser, "critic")]
        {
            optimiser.steps = updates;
            optimiser.first = self.take(&state, &format!("{name}_first"), 1)?;
            optimiser.second = self.take(&state, &format!("{name}_second"), 1)?;
        }
        let actors = self.parameters.actors;
        let population = self.take(&state, "population", actors)?;
        let each = population.chunks_exact(self.shape.parameters());
        learning.population = each.map(<[f32]>::to_vec).collect();
        let fitness: Vec<f64> = state.u64("fitness")?.into_iter().map(f64::from_bits).collect();
        let (pairs, rest) = fitness.as_chunks::<2>();
        if pairs.len() != actors || !rest.is_empty() {
            return Err(wrong());
        }
        learning.fitness = pairs.to_vec();
        let actions = state.u64("replay_actions")?;
        let numbers = state.f32_of_shape("replay_numbers", &[actions.len(), 3])?;
        let states = state.f32_of_shape("replay_states", &[actions.len(), self.shape.inputs])?;
        if actions.iter().any(|&action| action > self.servers as u64) {
            return Err(wrong());
        }
        let transitions = actions.iter().zip(numbers.as_chunks::<3>().0);
        let transitions = transitions.map(|(&action, &[probability, reward, discount])| {
            Transition { action: action as u32, probability, reward, discount }
        });
        let capacity = self.parameters.replay;
        let next = usize::try_from(next).map_err(|_| wrong())?;
        learning.replay =
            Replay::from_parts(capacity, self.shape.inputs, next, transitions.collect(), states)
                .ok_or_else(wrong)?;
        (self.actor, self.deployed, self.learning) = (actor, deployed, Some(learning));
        Ok(())
    }
}

impl DcDrl {
    /// The state of every row: the features and the last loads, scaled.
    fn look(&mut self, observation: &Observation<'_>) {
        self.states.clear();
        let window = self.history_slots * self.servers;
        for row in 0..observation.rows() {
            let features = observation.features_of(row).iter().zip(&self.features);
            self.states.extend(features.map(|(&feature, scale)| feature as f32 / scale));
            let seen = observation.history_of.get(row).map_or(0, |&seen| seen as usize);
            let newest =
                &observation.histories[(seen + 1) * window - self.servers..][..self.servers];
            self.states.extend(newest.iter().map(|&load| load as f32 / self.history_scale));
        }
    }

    fn must_agree(&self) -> [(&'static str, String); 4] {
        [
            ("features", self.feature_names.clone()),
            ("servers", self.servers.to_string()),
            ("history_slots", self.history_slots.to_string()),
            ("hidden", self.parameters.hidden.to_string()),
        ]
    }

    /// A checkpoint of `kind` that says what it is of.
    fn describe(&self, kind: &str) -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        let further = [
            ("kind", kind.to_owned()),
            ("architecture", "two dense layers and a softmax".to_owned()),
            ("parameters_deployed", self.shape.parameters().to_string()),
        ];
        let all = self.must_agree().into_iter().chain(further);
        checkpoint.metadata = all.map(|(key, value)| (key.to_owned(), value)).collect();
        checkpoint
    }

    fn expect(&self, checkpoint: &Checkpoint, kind: &str) -> Result<(), Error> {
        checkpoint.expect("kind", kind)?;
        for (key, value) in self.must_agree() {
            checkpoint.expect(key, &value)?;
        }
        Ok(())
    }

    /// Puts the parameters of some networks.
    fn put<'n>(
        &self,
        checkpoint: &mut Checkpoint,
        name: &str,
        networks: impl ExactSizeIterator<Item = &'n Vec<f32>>,
    ) {
        let shape = [networks.len(), self.shape.parameters()];
        checkpoint.put_f32(name, &shape, networks.flatten().copied());
    }

    /// Takes them out again, one behind the other.
    fn take(&self, checkpoint: &Checkpoint, name: &str, count: usize) -> Result<Vec<f32>, Error> {
        Ok(checkpoint.f32_of_shape(name, &[count, self.shape.parameters()])?)
    }
}

impl Learning {
    fn new(parameters: &Parameters, shape: PerceptronShape, devices: usize, seed: u64) -> Self {
        let critic: Vec<f32> = shape.initial(&mut stream(seed, 0, 2));
        let actor = |number: usize| shape.initial(&mut stream(seed, number as u64, 3));
        let optimiser = || Optimiser::Adam(parameters.critic_rate).state(shape.parameters());
        Self {
            target: critic.clone(),
            critic,
            actor_optimiser: optimiser(),
            critic_optimiser: optimiser(),
            population: (0..parameters.actors).map(actor).collect(),
            fitness: vec![[0.0; 2]; parameters.actors],
            episodes: 0,
            slots: 0,
            updates: 0,
            replay: Replay::new(parameters.replay, shape.inputs),
            under: Under::new(devices),
            draws: Xoshiro256PlusPlus::seed_from_u64(0),
            taken: Vec::new(),
            batch: Batch::default(),
            loss: 0.0,
            losses: 0,
        }
    }

    /// What the actor at hand lived through is everyone's; after the last round of a generation
    /// the next one is born.
    fn end_episode(
        &mut self,
        parameters: &Parameters,
        shape: PerceptronShape,
        actor: &[f32],
        seed: u64,
    ) {
        self.under.store(parameters.discount, &mut self.replay);
        self.episodes += 1;
        let generation = parameters.rounds * parameters.actors as u64;
        if self.episodes.is_multiple_of(generation) {
            let mut rng = stream(seed, self.episodes, 4);
            self.evolve(parameters, shape, actor, &mut rng);
        }
    }

    fn evolve(
        &mut self,
        parameters: &Parameters,
        shape: PerceptronShape,
        actor: &[f32],
        rng: &mut impl Rng,
    ) {
        let mean = |[sum, tasks]: [f64; 2]| sum / tasks.max(1.0);
        // Who played first in its place was the gradient's actor.
        self.population[0] = actor.to_vec();
        let mut order: Vec<usize> = (0..self.population.len()).collect();
        order.sort_by(|&a, &b| mean(self.fitness[b]).total_cmp(&mean(self.fitness[a])));
        let ranked: Vec<&Vec<f32>> = order.iter().map(|&actor| &self.population[actor]).collect();
        let (stay, parents) = ((ranked.len() / 4).max(1), ranked.len() / 2);
        // The first place is the gradient's.
        let mut next = vec![actor.to_vec()];
        next.extend(ranked[..stay].iter().map(|&actor| actor.clone()));
        while next.len() < ranked.len() {
            let mother = ranked[rng.random_range(0..parents)];
            let father = ranked[rng.random_range(0..parents)];
            let mut child: Vec<f32> = mother.clone();
            for (gene, &other) in child.iter_mut().zip(father) {
                if rng.random::<bool>() {
                    *gene = other;
                }
            }
            for tensor in shape.tensors() {
                let numbers = &mut child[tensor.range];
                let square: f32 = numbers.iter().map(|n| n * n).sum();
                let scale = (square / numbers.len() as f32).sqrt() * parameters.mutation as f32;
                for number in numbers {
                    *number += scale * normal(rng);
                }
            }
            next.push(child);
        }
        next.truncate(self.population.len());
        self.population = next;
        self.fitness.fill([0.0; 2]);
    }

    /// One step of the critic and one of the gradient's actor; gives the critic's loss.
    fn update(
        &mut self,
        parameters: &Parameters,
        shape: PerceptronShape,
        network: &mut Perceptron<f32>,
        actor: &mut [f32],
        seed: u64,
    ) -> f64 {
        let actions = shape.outputs;
        let mut rng = stream(seed, self.updates, 5);
        self.updates += 1;
        self.gather(parameters, shape, network, actor, &mut rng);
        let batch = &mut self.batch;
        let rows = batch.actions.len();
        let share = 1.0 / rows as f32;

        // Targets: the evaluation network chooses, the target network values.
        let choices: Vec<u32> = match batch.ends.len() {
            0 => Vec::new(),
            _ => network.forward(&self.critic, &batch.ends).chunks(actions).map(greedy).collect(),
        };
        if !batch.ends.is_empty() {
            let values = network.forward(&self.target, &batch.ends);
            let bootstraps = batch.bootstrap.iter().zip(&batch.discounts).zip(&mut batch.returns);
            for ((end, discount), sum) in bootstraps {
                if let Some(end) = *end {
                    *sum += discount * values[end * actions + choices[end] as usize];
                }
            }
        }

        // Critic.
        let values = network.forward(&self.critic, &batch.states);
        batch.d_outputs.clear();
        batch.d_outputs.resize(rows * actions, 0.0);
        let mut loss = 0.0;
        for (row, (&action, &target)) in batch.actions.iter().zip(&batch.returns).enumerate() {
            let place = row * actions + action as usize;
            let (of_row, slope) = Loss::Huber(1.0).of(values[place] - target);
            loss += f64::from(of_row * share);
            batch.d_outputs[place] = slope * share;
        }
        let values = values.to_vec();
        let annealed = match parameters.anneal_updates {
            0 => 1.0,
            over => (1.0 - self.updates as f64 / over as f64).max(0.0),
        };
        let rate = 0.1 + 0.9 * annealed;
        batch.gradient.clear();
        batch.gradient.resize(shape.parameters(), 0.0);
        network.backward(&self.critic, &batch.d_outputs, &mut batch.gradient);
        clip(&mut batch.gradient, parameters.clip);
        let optimiser = Optimiser::Adam(parameters.critic_rate * rate);
        optimiser.step(&mut self.critic_optimiser, &mut self.critic, &batch.gradient);
        parameters.target.follow(self.updates, &mut self.target, &self.critic);

        // Actor: up along Σ_a π Q + β·entropy, over all actions.
        let entropy_weight = (parameters.entropy * (0.01 + 0.99 * annealed)) as f32;
        let logits = network.forward(actor, &batch.states);
        let mut policy = Vec::with_capacity(actions);
        batch.d_outputs.clear();
        for (logits, values) in logits.chunks_exact(actions).zip(values.chunks_exact(actions)) {
            softmax(logits, &mut policy);
            let expected: f32 = policy.iter().zip(values).map(|(p, q)| p * q).sum();
            let log = |p: f32| p.max(1e-12).ln();
            let entropy: f32 = policy.iter().map(|&p| -p * log(p)).sum();
            let slopes = policy.iter().zip(values).map(|(&p, &q)| {
                let up = p * (q - expected) - entropy_weight * p * (log(p) + entropy);
                -up * share
            });
            batch.d_outputs.extend(slopes);
        }
        batch.gradient.fill(0.0);
        network.backward(actor, &batch.d_outputs, &mut batch.gradient);
        clip(&mut batch.gradient, parameters.clip);
        let optimiser = Optimiser::Adam(parameters.actor_rate * rate);
        optimiser.step(&mut self.actor_optimiser, actor, &batch.gradient);
        loss
    }

    /// Draws a batch, and follows each trajectory as far as it is trusted.
    fn gather(
        &mut self,
        parameters: &Parameters,
        shape: PerceptronShape,
        network: &mut Perceptron<f32>,
        actor: &[f32],
        rng: &mut impl Rng,
    ) {
        let Self { batch, replay, .. } = self;
        for part in [&mut batch.states, &mut batch.ends, &mut batch.returns, &mut batch.discounts] {
            part.clear();
        }
        batch.actions.clear();
        let mut places: Vec<usize> = (0..parameters.batch).map(|_| replay.draw(rng)).collect();
        let mut trusted = vec![1.0_f32; places.len()];
        let mut going = vec![true; places.len()];
        for &place in &places {
            batch.states.extend_from_slice(replay.state(place));
            let Transition { action, reward, discount, .. } = replay.transition(place);
            batch.actions.push(action);
            batch.returns.push(reward);
            batch.discounts.push(discount);
        }
        // Every place is now the last step that is part of its target.
        let mut policy = Vec::with_capacity(shape.outputs);
        for _ in 1..parameters.steps {
            batch.ends.clear();
            let after: Vec<(usize, usize)> = (0..places.len())
                .filter(|&row| going[row])
                .filter_map(|row| Some((row, replay.after(places[row])?)))
                .collect();
            going.fill(false);
            after.iter().for_each(|&(_, next)| batch.ends.extend_from_slice(replay.state(next)));
            if after.is_empty() {
                break;
            }
            let logits = network.forward(actor, &batch.ends);
            for (&(row, next), logits) in after.iter().zip(logits.chunks_exact(shape.outputs)) {
                softmax(logits, &mut policy);
                let transition = replay.transition(next);
                let now = policy[transition.action as usize];
                trusted[row] *= (now / transition.probability.max(1e-6)).min(1.0);
                let known = transition.discount == 0.0 || replay.after(next).is_some();
                if known && f64::from(trusted[row]) >= parameters.trust {
                    batch.returns[row] += batch.discounts[row] * transition.reward;
                    batch.discounts[row] *= transition.discount;
                    (places[row], going[row]) = (next, true);
                }
            }
        }
        // Where it ends, the critic goes on.
        batch.ends.clear();
        batch.bootstrap.clear();
        let mut ends = 0;
        for &place in &places {
            let next = replay.after(place);
            if let Some(next) = next {
                batch.ends.extend_from_slice(replay.state(next));
                ends += 1;
            }
            batch.bootstrap.push(next.map(|_| ends - 1));
        }
    }
}

/// The action of the largest number; the first of several.
fn greedy(logits: &[f32]) -> u32 {
    offramp_nn::bank::greedy(logits) as u32
}

fn softmax(logits: &[f32], probabilities: &mut Vec<f32>) {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    probabilities.clear();
    probabilities.extend(logits.iter().map(|logit| (logit - largest).exp()));
    let sum: f32 = probabilities.iter().sum();
    probabilities.iter_mut().for_each(|probability| *probability /= sum);
}

/// The action at `at`, 0 … 1, of the cumulated probabilities.
fn drawn(probabilities: &[f32], at: f32) -> u32 {
    let mut sum = 0.0;
    let found = probabilities.iter().position(|&probability| {
        sum += probability;
        at < sum
    });
    found.unwrap_or(probabilities.len() - 1) as u32
}

/// A standard normal number (Box and Muller 1958).
fn normal(rng: &mut impl Rng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    (radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()) as f32
}
