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
            .require("hidden", parameters.hidden, "neurons in each hidden layer")
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

    const FIELDS: [(&str, &[&str]); 17] = [
        ("hidden", &COUNTS),
        ("actors", &["0", "3", "4", "5", "1000000000"]),
        ("rounds", &COUNTS),
        ("steps", &COUNTS),
        ("batch", &COUNTS),
        ("replay", &COUNTS),
        ("every_slots", &COUNTS),
        ("anneal", &NUMBERS),
        ("mutation", &NUMBERS),
        ("discount", &NUMBERS),
        ("trust", &NUMBERS),
        ("critic_rate", &NUMBERS),
        ("actor_rate", &NUMBERS),
        ("entropy", &NUMBERS),
        ("clip", &NUMBERS),
        ("reward_scale", &NUMBERS),
        ("target", &["Hard(0)", "Hard(1)", "Soft(0.0)", "Soft(1e-30)", "Soft(1.0)", "Soft(NaN)"]),
    ];

    const BASE: [(&str, &str); 5] =
        [("hidden", "3"), ("actors", "4"), ("rounds", "1"), ("batch", "4"), ("replay", "40")];

    /// Short trainings, one after the other, so that a generation evolves.
    fn trainings(bench: &mut Bench, policy: &mut DcDrl) {
        for _ in 0..6 {
            train(bench, policy);
        }
    }

    /// A short training, in which everything stays finite.
    fn train(bench: &mut Bench, policy: &mut DcDrl) {
        bench
            .episode(0, |start| policy.begin_episode(&EpisodeStart { training: true, ..*start }))
            .unwrap();
        for slot in 0..12 {
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
            let all: Vec<EndedTask> = (0..actions.len() as u32).map(ended).collect();
            let progress = bench.learn(policy, &actions, &all).unwrap();
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
            bench.learning_steps = 6 * 12;
            bench.parameters = format!("({})", fields.join(", "));
            if let Ok(mut policy) = bench.create::<DcDrl>() {
                trainings(&mut bench, &mut policy);
            }
        }
    }

    fn refusal(parameters: &str) -> String {
        let mut bench = Bench::new(3, 2);
        bench.parameters = parameters.to_owned();
        bench.create::<DcDrl>().err().unwrap().message().to_owned()
    }

    #[test]
    fn what_would_learn_nothing_or_not_fit_is_refused() {
        assert_eq!(
            refusal("(replay: 100)"),
            "batch: 128 is out of range: at most `replay`, which is 100, is needed"
        );
        assert_eq!(
            refusal("(target: Soft(1e-30))"),
            "target: 1e-30 is out of range: 1e-6 to 1.0 is needed"
        );
        assert!(refusal("(hidden: 4096, actors: 1024)").contains("GiB"));
    }

    #[test]
    fn logits_that_are_not_finite_are_an_error() {
        let mut bench = Bench::new(3, 2);
        let mut policy: DcDrl = bench.create().unwrap();
        Arc::make_mut(&mut policy.deployed).fill(f32::NAN);
        assert_eq!(
            bench.decide(&mut policy).unwrap_err().message(),
            "device 0 in slot 0: the logit of action 0 is NaN; only finite numbers decide"
        );
        bench.checkpoint = Some(policy.checkpoint().unwrap());
        let refused = bench.create::<DcDrl>().err().unwrap();
        assert!(refused.message().contains("finite numbers are needed"), "{}", refused.message());
    }

    /// Drawn decisions repeat with the episode's seed, and are not all the most probable one.
    #[test]
    fn a_deployed_actor_draws_with_the_seed_of_the_episode() {
        let decided = |deploy: &str, seed: u64| {
            let mut bench = Bench::new(200, 2);
            bench.parameters = format!("(deploy: {deploy})");
            let mut policy: DcDrl = bench.create().unwrap();
            bench
                .episode(0, |start| policy.begin_episode(&EpisodeStart { seed, ..*start }))
                .unwrap();
            bench.decide(&mut policy).unwrap()
        };
        assert_eq!(decided("Sampled", 1), decided("Sampled", 1));
        assert_ne!(decided("Sampled", 1), decided("Sampled", 2));
        // All devices are in the same state.
        let greedy = decided("Greedy", 1);
        assert_eq!(greedy, decided("Greedy", 2));
        assert!(greedy.iter().all(|&action| action == greedy[0]));
    }

    /// Several parts of a batch learn the same on any number of threads.
    #[test]
    fn threads_do_not_change_what_is_learned() {
        let learned = |threads: usize| {
            let mut bench = Bench::new(50, 2);
            bench.learning_steps = 6 * 12;
            bench.parameters = "(hidden: 3, batch: 150, replay: 2000)".to_owned();
            let mut policy: DcDrl = bench.create().unwrap();
            policy.threads = threads;
            trainings(&mut bench, &mut policy);
            assert!(policy.learning.as_ref().is_some_and(|learning| learning.updates > 0));
            policy.save().unwrap()
        };
        assert_eq!(learned(1), learned(3));
    }

    /// A network sees the numbers it was trained on, in a system of other sizes too.
    #[test]
    fn scales_are_those_of_the_checkpoint() {
        let policy: DcDrl = Bench::new(3, 2).create().unwrap();
        let mut other = Bench::new(9, 2);
        other.checkpoint = Some(policy.checkpoint().unwrap());
        let deployed: DcDrl = other.create().unwrap();
        let here: DcDrl = Bench::new(9, 2).create().unwrap();
        let scaling = |policy: &DcDrl| policy.checkpoint.inputs().scaling.clone();
        assert_eq!(scaling(&deployed), scaling(&policy));
        assert_ne!(scaling(&deployed), scaling(&here));
    }
}
