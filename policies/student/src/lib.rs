//! The student (section 5.3 of the paper): the teacher's topology with fewer neurons, fitted to
//! the teacher's values.
//!
//! H = round(20 · ratio). The loss is eq. (16), the mean squared error over all actions; beside
//! it, as options, the squared error of the advantages (what tells the actions apart), and the
//! divergence of the temperature-softened policies (Hinton, Vinyals and Dean 2015). One student
//! for each device, or one for all.
//!
//! # What it reaches
//! `paper-student.ron` with other ratios and losses, 10,000 steps, 20 validation episodes, one
//! seed; its teacher has 877.3 and 46.3 on the same episodes.
//!
//! | ratio | parameters | eq. (16) alone: QoE, drops | with `advantage_weight: 30.0` |
//! |---|---|---|---|
//! | 0.4 | 727 | 875.1, 49.6 | 875.7, 48.8 |
//! | 0.2 | 271 | 831.0, 94.1 | 862.6, 62.2 |
//! | 0.1 | 115 | 565.8, 382.3 | 783.4, 149.4 |
//!
//! Small networks can't fit values and what tells actions apart at once; the advantages are what
//! decides. Two on-policy rounds changed nothing at 0.4 (875.8).

mod parameters;

use offramp_nn::bank::{Identity, Reader, Scaling, greedy};
use offramp_nn::checkpoint::Checkpoint;
use offramp_nn::learning::{Optimiser, OptimiserState, clip};
use offramp_nn::{Histories, Initial, Shape, Workspace, initial_parameters};
use offramp_plugin::{
    Context, Error, Needs, Observation, Policy, Saved, Student, UNDECIDED, ValueFunction,
};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::ThreadPool;
use rayon::prelude::*;

use parameters::{Parameters, Sharing};

struct DistilledStudent {
    parameters: Parameters,
    identity: Identity,
    learners: Vec<Learner>,
    reader: Reader,
    values: Vec<f32>,
    threads: usize,
    /// From the first step on: a buffer for each thread.
    fitting: Option<(ThreadPool, Vec<Scratch>)>,
}

/// A network and its optimiser.
struct Learner {
    weights: Vec<f32>,
    optimiser: OptimiserState<f32>,
    /// Its rows in the batch at hand.
    rows: Vec<usize>,
}

/// Buffers of a step.
struct Scratch {
    workspace: Workspace<f32>,
    features: Vec<f32>,
    histories: Vec<f32>,
    d_values: Vec<f32>,
    gradient: Vec<f32>,
}

/// A batch as every network sees it: scaled, with targets in the network's scale.
struct Batch<'a> {
    features: &'a [f32],
    histories: &'a [f32],
    history_of: &'a [u32],
    targets: &'a [f32],
    value_scale: f32,
}

impl Policy for DistilledStudent {
    const NEEDS: Needs = Needs::FEATURES.and(Needs::HISTORY);

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        let parameters: Parameters = context.parameters::<Parameters>()?.checked()?;
        let spec = &context.observation;
        let shape = Shape {
            features: spec.features.len(),
            servers: context.system.servers(),
            history_slots: spec.history_slots as usize,
            hidden: parameters.hidden(),
        };
        let networks = match parameters.sharing {
            Sharing::PerDevice => context.system.devices(),
            Sharing::Shared => 1,
        };
        let names: Vec<&str> = spec.features.iter().map(|feature| feature.name.as_str()).collect();
        let mut identity = Identity {
            kind: "student".to_owned(),
            shape,
            networks,
            feature_names: names.join(","),
            scenario_sha256: context.scenario_sha256.to_string(),
            scaling: Scaling {
                features: spec.features.iter().map(|feature| feature.scale as f32).collect(),
                history: spec.history_scale as f32,
            },
        };
        let all = match context.checkpoint.into_option() {
            Some(bytes) => identity.read(bytes.as_slice())?,
            None => (0..networks as u64)
                .map(|network| {
                    let seed = context.seed ^ network.wrapping_mul(0xd6e8_feb8_6659_fd93);
                    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
                    initial_parameters(&shape, Initial::Glorot, &mut rng)
                })
                .collect(),
        };
        let optimiser = || parameters.optimiser.state(shape.parameters());
        let learner = |weights| Learner { weights, optimiser: optimiser(), rows: Vec::new() };
        Ok(Self {
            learners: all.into_iter().map(learner).collect(),
            reader: Reader::new(shape),
            values: Vec::new(),
            threads: context.threads.max(1) as usize,
            fitting: None,
            parameters,
            identity,
        })
    }

    fn decide(&mut self, observation: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        let count = self.identity.shape.actions();
        let mut values = std::mem::take(&mut self.values);
        values.resize(observation.rows() * count, 0.0);
        self.evaluate(observation, &mut values);
        for (action, values) in actions.iter_mut().zip(values.chunks_exact(count)) {
            if *action == UNDECIDED {
                *action = greedy(values) as u32;
            }
        }
        self.values = values;
        Ok(())
    }
}

impl ValueFunction for DistilledStudent {
    fn values(&mut self, observation: &Observation<'_>, values: &mut [f32]) -> Result<(), Error> {
        self.evaluate(observation, values);
        let scale = self.parameters.value_scale as f32;
        values.iter_mut().for_each(|value| *value *= scale);
        Ok(())
    }
}

impl Student for DistilledStudent {
    fn fit(&mut self, observation: &Observation<'_>, targets: &[f32]) -> Result<f64, Error> {
        let Observation { features, histories, .. } = observation;
        self.reader.read(&self.identity.scaling, features.as_slice(), histories.as_slice());
        let shape = self.identity.shape;
        let (pool, scratch) = match &mut self.fitting {
            Some(fitting) => fitting,
            none => {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads).build()?;
                let scratch = (0..self.threads).map(|_| Scratch::new(shape)).collect();
                none.insert((pool, scratch))
            }
        };
        let networks = self.learners.len();
        self.learners.iter_mut().for_each(|learner| learner.rows.clear());
        for (row, &device) in observation.devices.iter().enumerate() {
            self.learners[device as usize % networks].rows.push(row);
        }
        let batch = Batch {
            features: &self.reader.features,
            histories: &self.reader.histories,
            history_of: &observation.history_of,
            targets,
            value_scale: self.parameters.value_scale as f32,
        };
        let parameters = &self.parameters;
        // Which thread computes a network's step changes nothing in it.
        let share = networks.div_ceil(scratch.len());
        let losses: Vec<f64> = pool.install(|| {
            self.learners
                .par_chunks_mut(share)
                .zip(scratch.par_iter_mut())
                .flat_map_iter(|(learners, scratch)| {
                    let with_rows = learners.iter_mut().filter(|learner| !learner.rows.is_empty());
                    with_rows.map(|learner| learner.step(&shape, parameters, &batch, scratch))
                })
                .collect()
        });
        Ok(losses.iter().sum::<f64>() / losses.len().max(1) as f64)
    }
}

impl Saved for DistilledStudent {
    fn checkpoint(&self) -> Result<Vec<u8>, Error> {
        let mut checkpoint = self.identity.describe();
        let weights = self.learners.iter().map(|learner| learner.weights.as_slice());
        self.identity.put(&mut checkpoint, "", weights);
        Ok(checkpoint.to_bytes()?)
    }

    fn save(&self) -> Result<Vec<u8>, Error> {
        let mut state = self.identity.describe();
        state.metadata.insert("kind".to_owned(), "student in training".to_owned());
        let mut put = |prefix: &str, part: fn(&Learner) -> &[f32]| {
            self.identity.put(&mut state, prefix, self.learners.iter().map(part));
        };
        put("weights.", |learner| &learner.weights);
        put("first.", |learner| &learner.optimiser.first);
        put("second.", |learner| &learner.optimiser.second);
        state.put_u64("steps", self.learners.iter().map(|learner| learner.optimiser.steps));
        Ok(state.to_bytes()?)
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let state = Checkpoint::from_bytes(bytes)?;
        self.identity.expect(&state, "student in training")?;
        let weights = self.identity.take(&state, "weights.")?;
        let first = self.identity.take(&state, "first.")?;
        let second = self.identity.take(&state, "second.")?;
        let steps = state.u64("steps")?;
        if steps.len() != self.learners.len() {
            return Err(Error::new("the saved student contradicts itself"));
        }
        let all = weights.into_iter().zip(first).zip(second).zip(steps);
        for (learner, (((weights, first), second), steps)) in self.learners.iter_mut().zip(all) {
            learner.weights = weights;
            learner.optimiser = OptimiserState { steps, first, second };
        }
        Ok(())
    }
}

impl DistilledStudent {
    /// Q of every row in the networks' scale, into `values`, rows × (1 + M).
    fn evaluate(&mut self, observation: &Observation<'_>, values: &mut [f32]) {
        let Observation { features, histories, devices, history_of, .. } = observation;
        self.reader.read(&self.identity.scaling, features.as_slice(), histories.as_slice());
        let learners = &self.learners;
        let weights = |network: usize| -> &[f32] { &learners[network].weights };
        let (shape, networks) = (&self.identity.shape, learners.len());
        self.reader.evaluate(shape, networks, weights, devices, history_of, values);
    }
}

impl Learner {
    /// One step on its rows of the batch; gives the loss of eq. (16) before it, in units of the
    /// teacher's values.
    fn step(
        &mut self,
        shape: &Shape,
        parameters: &Parameters,
        batch: &Batch<'_>,
        scratch: &mut Scratch,
    ) -> f64 {
        let Scratch { workspace, features, histories, d_values, gradient } = scratch;
        let (width, servers, actions) = (shape.features, shape.servers, shape.actions());
        let window = shape.history_slots * servers;
        features.clear();
        for &row in &self.rows {
            features.extend_from_slice(&batch.features[row * width..(row + 1) * width]);
        }
        histories.clear();
        for slot in 0..shape.history_slots {
            for &row in &self.rows {
                let seen = batch.history_of.get(row).map_or(0, |&seen| seen as usize);
                let start = seen * window + slot * servers;
                histories.extend_from_slice(&batch.histories[start..start + servers]);
            }
        }
        let values = workspace.forward(&self.weights, features, Histories::Each(histories));

        // Eq. (16), and what may stand beside it.
        let share = 1.0 / self.rows.len() as f32;
        let mut loss = 0.0;
        d_values.clear();
        for (values, &row) in values.chunks_exact(actions).zip(&self.rows) {
            let targets = &batch.targets[row * actions..(row + 1) * actions];
            let target = |action: usize| targets[action] / batch.value_scale;
            let error = |action: usize| values[action] - target(action);
            let mean_error = (0..actions).map(error).sum::<f32>() / actions as f32;
            let softened = (parameters.policy_weight > 0.0).then(|| {
                let temperature = parameters.temperature as f32;
                let student = softmax((0..actions).map(|action| values[action] / temperature));
                let teacher = softmax((0..actions).map(|action| target(action) / temperature));
                (student, teacher, temperature)
            });
            for action in 0..actions {
                let of_values = error(action);
                let of_advantages = of_values - mean_error;
                loss += f64::from(of_values * of_values * share / actions as f32);
                let mut d = parameters.value_weight as f32 * 2.0 * of_values / actions as f32;
                d += parameters.advantage_weight as f32 * 2.0 * of_advantages / actions as f32;
                if let Some((student, teacher, temperature)) = &softened {
                    let difference = student[action] - teacher[action];
                    d += parameters.policy_weight as f32 * difference / temperature;
                }
                d_values.push(d * share);
            }
        }
        gradient.fill(0.0);
        workspace.backward(&self.weights, d_values, gradient);
        clip(gradient, parameters.clip);
        let factor = match parameters.anneal_steps {
            0 => 1.0,
            over => (1.0 - 0.95 * self.optimiser.steps as f64 / over as f64).max(0.05),
        };
        let optimiser = match parameters.optimiser {
            Optimiser::Adam(rate) => Optimiser::Adam(rate * factor),
            Optimiser::RmsProp(rate) => Optimiser::RmsProp(rate * factor),
        };
        optimiser.step(&mut self.optimiser, &mut self.weights, gradient);
        loss * f64::from(batch.value_scale) * f64::from(batch.value_scale)
    }
}

impl Scratch {
    fn new(shape: Shape) -> Self {
        Self {
            workspace: Workspace::new(shape),
            features: Vec::new(),
            histories: Vec::new(),
            d_values: Vec::new(),
            gradient: vec![0.0; shape.parameters()],
        }
    }
}

fn softmax(logits: impl Iterator<Item = f32> + Clone) -> Vec<f32> {
    let largest = logits.clone().fold(f32::NEG_INFINITY, f32::max);
    let mut weights: Vec<f32> = logits.map(|logit| (logit - largest).exp()).collect();
    let sum: f32 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= sum);
    weights
}

offramp_plugin::register_policy!(
    DistilledStudent,
    "student",
    "A small network fitted to a teacher's values.",
    [saved, value_function, student],
);
offramp_plugin::export_plugin!();
