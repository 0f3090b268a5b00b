//! The learner: a critic, the gradient's actor, and the population that evolves around it.

use offramp_nn::learning::{Optimiser, OptimiserState, Schedule, clip};
use offramp_nn::{PerceptronShape, Threads, ThreadsError, stream};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::lesson::{Lesson, Part};
use crate::parameters::{PART, Parameters};
use crate::replay::{OpenEpisode, Replay};

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
    parts: Vec<Part>,
    /// From the first update on.
    threads: Option<Threads>,
    pub(crate) loss: f64,
    pub(crate) losses: u64,
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
            parts: Vec::new(),
            threads: None,
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

    /// One step of the critic and one of the gradient's actor, on at most `threads` threads;
    /// returns the critic's loss.
    ///
    /// # Errors
    /// If threads can't be started.
    pub(crate) fn update(
        &mut self,
        parameters: &Parameters,
        shape: PerceptronShape,
        actor: &mut [f32],
        seed: u64,
        threads: usize,
    ) -> Result<f64, ThreadsError> {
        let mut rng = purpose_stream(seed, self.updates, Purpose::Batches);
        self.updates += 1;
        let count = parameters.batch.div_ceil(PART);
        if self.parts.len() != count {
            self.parts = (0..count).map(|_| Part::new(shape)).collect();
            self.threads = Some(Threads::new(threads.min(count))?);
        }
        for part in &mut self.parts {
            part.places.clear();
        }
        for row in 0..parameters.batch {
            self.parts[row / PART].places.push(self.replay.draw(&mut rng));
        }

        let lesson = Lesson {
            parameters,
            replay: &self.replay,
            actor,
            critic: &self.critic,
            target: &self.target,
            entropy_weight: (parameters.entropy * self.falling_to(ENTROPY_FLOOR)) as f32,
        };
        if let Some(threads) = &self.threads {
            threads.each(&mut self.parts, |part| part.learn(&lesson));
        }

        let rate = self.falling_to(RATE_FLOOR);
        let Some((first, rest)) = self.parts.split_first_mut() else { return Ok(0.0) };
        for part in rest {
            add(&part.critic_gradient, &mut first.critic_gradient);
            add(&part.actor_gradient, &mut first.actor_gradient);
            first.loss += part.loss;
        }
        clip(&mut first.critic_gradient, parameters.clip);
        let optimiser = Optimiser::Adam(parameters.critic_rate * rate);
        optimiser.step(&mut self.critic_optimiser, &mut self.critic, &first.critic_gradient);
        parameters.target.follow(self.updates, &mut self.target, &self.critic);
        clip(&mut first.actor_gradient, parameters.clip);
        let optimiser = Optimiser::Adam(parameters.actor_rate * rate);
        optimiser.step(&mut self.actor_optimiser, actor, &first.actor_gradient);
        Ok(first.loss)
    }
}

/// Adds `from` to `sums`.
fn add(from: &[f32], sums: &mut [f32]) {
    for (sum, &number) in sums.iter_mut().zip(from) {
        *sum += number;
    }
}

/// A standard normal number (Box and Muller 1958).
fn normal(rng: &mut impl Rng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    (radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()) as f32
}

#[cfg(test)]
mod tests;
