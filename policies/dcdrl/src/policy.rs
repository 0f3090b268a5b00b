//! The policy: observations in, decisions out, and learning in between.

use std::sync::Arc;

use offramp_nn::checkpoint::{Checkpoint, CheckpointError};
use offramp_nn::checkpoint_spec::CheckpointSpec;
use offramp_nn::inputs::{Inputs, Scaling};
use offramp_nn::networks::Sharing;
use offramp_nn::{Perceptron, PerceptronShape, best_action, expect_finite, softmax};
use offramp_plugin::{
    Context, EpisodeStart, Error, Learner, Needs, Observation, Policy, Progress, TransitionBatch,
    UNDECIDED,
};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::learning::{Learning, Purpose, purpose_stream};
use crate::parameters::{Deploy, Parameters};

/// The kind of its checkpoints.
pub(crate) const KIND: &str = "dcdrl";

/// Actors, their critic, and what they have lived through.
pub(crate) struct DcDrl {
    pub(crate) parameters: Parameters,
    /// M.
    pub(crate) servers: usize,
    pub(crate) checkpoint: CheckpointSpec,
    pub(crate) seed: u64,
    pub(crate) shape: PerceptronShape,
    network: Perceptron<f32>,
    /// The actor that is trained by gradient.
    pub(crate) actor: Arc<[f32]>,
    /// Its running mean, which decides after training: it does not swing from one update to the
    /// next.
    pub(crate) deployed: Arc<[f32]>,
    /// From the first training episode on.
    pub(crate) learning: Option<Box<Learning>>,
    pub(crate) devices: usize,
    /// How often it learns in a training.
    learning_steps: u64,
    threads: usize,
    /// Draws of the episode at hand, once deployed.
    draws: Xoshiro256PlusPlus,
    /// States of the rows at hand, rows × (F + M): features, then the last loads, scaled.
    states: Vec<f32>,
    /// π of a row, 1 + M.
    probabilities: Vec<f32>,
}

impl Policy for DcDrl {
    const NEEDS: Needs = Needs::FEATURES.and(Needs::HISTORY).and(Needs::LENGTH);

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        let parameters: Parameters = context.parameters::<Parameters>()?.checked()?;
        let spec = &context.observation;
        let servers = context.system.servers();
        let shape = PerceptronShape {
            inputs: spec.features.len() + servers,
            hidden: parameters.hidden,
            outputs: servers + 1,
        };
        parameters.check_memory(shape)?;
        let scales = spec.features.iter().map(|feature| feature.scale);
        let inputs = Inputs {
            observation: spec.kind.to_string(),
            features: spec.features.iter().map(|feature| feature.name.to_string()).collect(),
            scaling: Scaling::new(scales, spec.history_scale),
            history_slots: spec.history_slots as usize,
            servers,
            devices: context.system.devices(),
        };
        let mut checkpoint = CheckpointSpec::new(KIND, inputs)
            .require_parameter("hidden", parameters.hidden, "neurons in each hidden layer")
            .record("architecture", "two dense layers and a softmax")
            .record("parameters_deployed", shape.parameters())
            .on_hardware(&context.hardware_sha256, Sharing::Shared);
        let actor: Arc<[f32]> = match context.checkpoint.into_option() {
            Some(bytes) => {
                let read = Checkpoint::from_bytes(bytes.as_slice())?;
                checkpoint.deploy(&read)?;
                take(&read, "actor", shape)?.into()
            }
            None => {
                let mut rng = purpose_stream(context.seed, 0, Purpose::Actor);
                shape.initial::<f32>(&mut rng).into()
            }
        };
        Ok(Self {
            servers,
            checkpoint,
            seed: context.seed,
            network: Perceptron::new(shape),
            deployed: Arc::clone(&actor),
            actor,
            learning: None,
            devices: context.system.devices(),
            learning_steps: context.learning_steps,
            threads: context.threads.max(1) as usize,
            draws: Xoshiro256PlusPlus::seed_from_u64(0),
            states: Vec::new(),
            probabilities: Vec::new(),
            shape,
            parameters,
        })
    }

    fn fresh(&self) -> Option<Self> {
        Some(Self {
            parameters: self.parameters.clone(),
            checkpoint: self.checkpoint.clone(),
            network: Perceptron::new(self.shape),
            actor: Arc::clone(&self.actor),
            deployed: Arc::clone(&self.deployed),
            learning: None,
            states: Vec::new(),
            probabilities: Vec::new(),
            draws: self.draws.clone(),
            ..*self
        })
    }

    fn begin_episode(&mut self, start: &EpisodeStart) -> Result<(), Error> {
        self.draws = Xoshiro256PlusPlus::seed_from_u64(start.seed);
        if start.training {
            if self.learning.is_none() {
                self.learning = Some(self.begun());
            }
            let Some(learning) = &mut self.learning else { return Ok(()) };
            learning.episode.clear();
            learning.draws = Xoshiro256PlusPlus::seed_from_u64(start.seed);
        }
        Ok(())
    }

    fn decide(&mut self, observation: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        self.observe(observation);
        let Self { network, states, probabilities, shape, actor, learning, parameters, .. } = self;
        let (slot, width) = (observation.slot, shape.outputs);
        // The first actor of a round is the gradient's.
        let deciding: &[f32] = match learning {
            None => &self.deployed,
            Some(learning) => match learning.player(parameters) {
                0 => actor,
                player => &learning.population[player],
            },
        };
        let logits = network.forward(deciding, states).chunks_exact(width);
        let rows = logits.zip(&*observation.devices).zip(actions.iter_mut());
        let (draws, mut taken) = match learning {
            Some(learning) => {
                learning.taken.clear();
                (&mut learning.draws, Some(&mut learning.taken))
            }
            None if parameters.deploy == Deploy::Sampled => (&mut self.draws, None),
            None => {
                for ((logits, &device), action) in rows {
                    if *action == UNDECIDED {
                        *action = best_action(logits, device, slot)?;
                    }
                }
                return Ok(());
            }
        };
        for ((logits, &device), action) in rows {
            expect_finite(logits, "the logit of action", device, slot)?;
            softmax(logits.iter().copied(), probabilities);
            if *action == UNDECIDED {
                *action = drawn(probabilities, draws.random());
            }
            if let Some(taken) = &mut taken {
                taken.push(probabilities[*action as usize]);
            }
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
            learning.episode.decide(device, slot, action, probability, state);
        }
        let player = learning.player(&self.parameters);
        for task in ended.iter() {
            let reward = task.reward / self.parameters.reward_scale;
            learning.episode.reward(task.device as usize, task.arrival_slot, reward as f32);
            learning.fitness[player][0] += reward;
            learning.fitness[player][1] += 1.0;
        }
        // A slot without tasks is not decided: its rows must not be recorded twice.
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
                Arc::make_mut(&mut self.actor),
                self.seed,
                self.threads,
            )?;
            if !loss.is_finite() {
                return Err(Error::new(format!("its loss is {loss}: smaller learning rates?")));
            }
            let deployed = Arc::make_mut(&mut self.deployed);
            self.parameters.target.follow(learning.updates, deployed, &self.actor);
            learning.loss += loss;
            learning.losses += 1;
        }
        let recent_updates = learning.losses;
        let loss = learning.loss / recent_updates.max(1) as f64;
        (learning.loss, learning.losses) = (0.0, 0);
        Ok(Progress { updates: learning.updates, recent_updates, loss })
    }
}

impl DcDrl {
    /// A training that has not begun.
    pub(crate) fn begun(&self) -> Box<Learning> {
        let Self { parameters, shape, devices, seed, learning_steps, .. } = self;
        Box::new(Learning::new(parameters, *shape, *devices, *seed, *learning_steps))
    }

    /// The state of every row: the features and the last loads, scaled.
    fn observe(&mut self, observation: &Observation<'_>) {
        let scaling = &self.checkpoint.inputs().scaling;
        self.states.clear();
        for row in 0..observation.rows() {
            scaling.scale_features(observation.features_of(row), &mut self.states);
            let window = observation.window_of(row);
            let newest = window.len() - self.servers;
            scaling.scale_loads(&window[newest..], &mut self.states);
        }
    }
}

/// Takes the parameters of one network of `shape`.
pub(crate) fn take(
    checkpoint: &Checkpoint,
    name: &str,
    shape: PerceptronShape,
) -> Result<Vec<f32>, CheckpointError> {
    let mut one = checkpoint.take_vectors(name, 1, shape.parameters())?;
    Ok(one.pop().unwrap_or_default())
}

/// The action at `at`, 0 to 1, of the cumulated probabilities.
fn drawn(probabilities: &[f32], at: f32) -> u32 {
    let mut sum = 0.0;
    let found = probabilities.iter().position(|&probability| {
        sum += probability;
        at < sum
    });
    found.unwrap_or(probabilities.len() - 1) as u32
}

#[cfg(test)]
mod tests;
