//! The learner: a critic, the gradient's actor, and the population that evolves around it.

use offramp_nn::learning::{Loss, Optimiser, OptimiserState, Schedule, clip};
use offramp_nn::{Perceptron, PerceptronShape, argmax, softmax, stream};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::parameters::Parameters;
use crate::replay::{OpenEpisode, Replay, Transition};

/// What is left of the learning rates in the end.
const RATE_FLOOR: f64 = 0.1;
/// What is left of the weight of the entropy in the end.
const ENTROPY_FLOOR: f64 = 0.01;

/// The state of a training besides the gradient's actor.
pub(crate) struct Learning {
    pub(crate) critic: Vec<f32>,
    pub(crate) target: Vec<f32>,
    pub(crate) actor_optimiser: OptimiserState<f32>,
    pub(crate) critic_optimiser: OptimiserState<f32>,
    pub(crate) population: Vec<Vec<f32>>,
    /// Sum of rewards, and number of tasks, of each actor in the generation at hand.
    pub(crate) fitness: Vec<[f64; 2]>,
    pub(crate) episodes: u64,
    pub(crate) slots: u64,
    pub(crate) updates: u64,
    /// T: the updates over which rates and entropy fall.
    anneal_updates: u64,
    pub(crate) replay: Replay,
    pub(crate) episode: OpenEpisode,
    pub(crate) draws: Xoshiro256PlusPlus,
    /// Probabilities of the actions taken in the slot at hand.
    pub(crate) taken: Vec<f32>,
    batch: Batch,
    pub(crate) loss: f64,
    pub(crate) losses: u64,
}

/// Buffers of an update.
#[derive(Default)]
struct Batch {
    /// Row of `ends` from which each target bootstraps, if it does.
    bootstrap: Vec<Option<usize>>,
    /// Rows × width.
    states: Vec<f32>,
    /// The states that targets bootstrap from, rows × width.
    ends: Vec<f32>,
    actions: Vec<u32>,
    /// Discounted rewards up to the end of the followed trajectory; then the targets.
    returns: Vec<f32>,
    /// γ^Δ from the state to the end of the followed trajectory.
    discounts: Vec<f32>,
    /// Q of the states before the critic's step, rows × actions.
    values: Vec<f32>,
    d_outputs: Vec<f32>,
    gradient: Vec<f32>,
}

/// The use of a random stream. The numbers are part of every result.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// First weights of the gradient's actor.
    Actor = 1,
    /// First weights of the critic.
    Critic = 2,
    /// First weights of the other actors.
    Population = 3,
    /// Crossovers and mutations of a generation.
    Evolution = 4,
    /// The batch of an update.
    Batches = 5,
}

/// Stream `index` of one purpose.
pub(crate) fn purpose_stream(seed: u64, index: u64, purpose: Purpose) -> Xoshiro256PlusPlus {
    stream(seed ^ ((purpose as u64) << 56), index)
}

impl Learning {
    /// A training that has not begun: a critic and a population drawn from `seed`.
    pub(crate) fn new(
        parameters: &Parameters,
        shape: PerceptronShape,
        devices: usize,
        seed: u64,
        learning_steps: u64,
    ) -> Self {
        let critic: Vec<f32> = shape.initial(&mut purpose_stream(seed, 0, Purpose::Critic));
        let actor = |number: usize| {
            shape.initial(&mut purpose_stream(seed, number as u64, Purpose::Population))
        };
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
            anneal_updates: parameters.anneal_updates(learning_steps),
            replay: Replay::new(parameters.replay, shape.inputs),
            episode: OpenEpisode::new(devices),
            draws: Xoshiro256PlusPlus::seed_from_u64(0),
            taken: Vec::new(),
            batch: Batch::default(),
            loss: 0.0,
            losses: 0,
        }
    }

    /// Number of the actor that plays the episode at hand.
    pub(crate) fn player(&self, parameters: &Parameters) -> usize {
        (self.episodes % parameters.actors as u64) as usize
    }

    /// A factor that falls from 1 to `floor`.
    fn falling_to(&self, floor: f64) -> f64 {
        Schedule { steps: self.anneal_updates, floor }.blend(self.updates)
    }

    /// Adds the episode to the collective replay. After the last round of a generation the next
    /// one evolves.
    pub(crate) fn end_episode(
        &mut self,
        parameters: &Parameters,
        shape: PerceptronShape,
        actor: &[f32],
        seed: u64,
    ) {
        self.episode.store(parameters.discount, &mut self.replay);
        self.episodes += 1;
        let generation = parameters.rounds * parameters.actors as u64;
        if self.episodes.is_multiple_of(generation) {
            let mut rng = purpose_stream(seed, self.episodes, Purpose::Evolution);
            self.evolve(parameters, shape, actor, &mut rng);
        }
    }

    /// The next generation: the gradient's actor, the best quarter, and mutated crossovers of the
    /// better half.
    fn evolve(
        &mut self,
        parameters: &Parameters,
        shape: PerceptronShape,
        actor: &[f32],
        rng: &mut impl Rng,
    ) {
        let mean = |[sum, tasks]: [f64; 2]| sum / tasks.max(1.0);
        // The gradient's actor played in the first place.
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

    /// One step of the critic and one of the gradient's actor; returns the critic's loss.
    pub(crate) fn update(
        &mut self,
        parameters: &Parameters,
        shape: PerceptronShape,
        network: &mut Perceptron<f32>,
        actor: &mut [f32],
        seed: u64,
    ) -> f64 {
        let mut rng = purpose_stream(seed, self.updates, Purpose::Batches);
        self.updates += 1;
        self.gather(parameters, shape, network, actor, &mut rng);
        self.targets(shape, network);
        let loss = self.critic_step(parameters, shape, network);
        self.actor_step(parameters, shape, network, actor);
        loss
    }

    /// Y = Σ γ^Δ r + γ^Δ Q_target(s', argmax_a Q(s', a)), where s' ends the followed trajectory:
    /// the evaluation network chooses, the target network values.
    fn targets(&mut self, shape: PerceptronShape, network: &mut Perceptron<f32>) {
        let Self { batch, critic, target, .. } = self;
        if batch.ends.is_empty() {
            return;
        }
        let actions = shape.outputs;
        let choices: Vec<usize> =
            network.forward(critic, &batch.ends).chunks(actions).map(argmax).collect();
        let values = network.forward(target, &batch.ends);
        let bootstraps = batch.bootstrap.iter().zip(&batch.discounts).zip(&mut batch.returns);
        for ((end, discount), target) in bootstraps {
            if let Some(end) = *end {
                *target += discount * values[end * actions + choices[end]];
            }
        }
    }

    /// Down the gradient of the mean Huber loss of Q(s, a) − Y; leaves Q of before the step in
    /// the batch and returns the loss.
    fn critic_step(
        &mut self,
        parameters: &Parameters,
        shape: PerceptronShape,
        network: &mut Perceptron<f32>,
    ) -> f64 {
        let rate = parameters.critic_rate * self.falling_to(RATE_FLOOR);
        let (batch, actions) = (&mut self.batch, shape.outputs);
        let rows = batch.actions.len();
        let share = 1.0 / rows as f32;
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
        batch.values.clear();
        batch.values.extend_from_slice(values);

        batch.gradient.clear();
        batch.gradient.resize(shape.parameters(), 0.0);
        network.backward(&self.critic, &batch.d_outputs, &mut batch.gradient);
        clip(&mut batch.gradient, parameters.clip);
        Optimiser::Adam(rate).step(&mut self.critic_optimiser, &mut self.critic, &batch.gradient);
        parameters.target.follow(self.updates, &mut self.target, &self.critic);
        loss
    }

    /// Up the gradient of Σ_a π(a|s) Q(s, a) + β · entropy, over all actions, with Q of before
    /// the critic's step.
    fn actor_step(
        &mut self,
        parameters: &Parameters,
        shape: PerceptronShape,
        network: &mut Perceptron<f32>,
        actor: &mut [f32],
    ) {
        let rate = parameters.actor_rate * self.falling_to(RATE_FLOOR);
        let entropy_weight = (parameters.entropy * self.falling_to(ENTROPY_FLOOR)) as f32;
        let (batch, actions) = (&mut self.batch, shape.outputs);
        let share = 1.0 / batch.actions.len() as f32;
        let logits = network.forward(actor, &batch.states);
        let mut policy = Vec::with_capacity(actions);
        batch.d_outputs.clear();
        let rows = logits.chunks_exact(actions).zip(batch.values.chunks_exact(actions));
        for (logits, values) in rows {
            softmax(logits.iter().copied(), &mut policy);
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
        Optimiser::Adam(rate).step(&mut self.actor_optimiser, actor, &batch.gradient);
    }

    /// Draws a batch, and follows each trajectory as far as it is trusted: `states`, `actions`,
    /// `returns`, `discounts`, `ends` and `bootstrap` of the batch.
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
                softmax(logits.iter().copied(), &mut policy);
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
        // Where a trajectory ends, the critic takes over.
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

/// A standard normal number (Box and Muller 1958).
fn normal(rng: &mut impl Rng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    (radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()) as f32
}
