//! The student (section 5.3 of the paper): the teacher's topology with fewer neurons, fitted to
//! the teacher's values.
//!
//! H = round(20 · ratio). The loss is eq. (16), the mean squared error over all actions; beside
//! it, as options, the squared error of the advantages (what tells the actions apart), and the
//! divergence of the temperature-softened policies (Hinton, Vinyals and Dean 2015). One student
//! for each device, or one for all.
//!
//! # What it reaches
//! `offramp reproduce --only table-1,table-2,student-options`: three training seeds, each with a
//! teacher of its own, 50 episodes, QoE and drops; their teachers have 881.2 and 43.1.
//!
//! | ratio | parameters | eq. (16), 5,000 steps | 10,000 steps |
//! |---|---|---|---|
//! | 0.1 | 115 | 547.1, 407.5 | |
//! | 0.2 | 271 | 791.4, 136.0 | 810.3, 118.8 |
//! | 0.4 | 727 | 876.4, 48.8 | 880.2, 44.9 |
//! | 0.6 | 1,375 | 879.5, 45.8 | |
//! | 0.8 | 2,215 | 880.6, 44.6 | |
//! | 1.0 | 3,247 | 880.5, 44.2 | |
//!
//! What each option is worth at ratio 0.2, 10,000 steps: `starts: 6` 879.1, 45.8;
//! `advantage_weight: 30.0` 865.3, 59.6; both 880.1, 44.6; two on-policy rounds 830.7, 98.3; `policy_weight: 0.01`
//! 784.9, 153.9; one student for all devices, taught by their fifty teachers, 725.7, 205.6.
//!
//! Small networks can't fit values and what tells actions apart at once, and depend on where they
//! begin: with `starts: 6` each device keeps the best of six beginnings. With that and
//! `advantage_weight: 30.0`, 10,000 steps (`offramp reproduce --only table-2-advantages`), ratio 0.1
//! has 875.5, 49.9; ratio 0.2 880.1, 44.6; ratio 0.4 880.3, 44.5. So 115 parameters a device are
//! enough. With all six to the end, in 2.8 times the steps, they had 875.9, 49.7; 880.6,
//! 43.9; 880.7, 44.1.
//!
//! One student for all devices does well if its teacher is one for all, too, and both read ρ and the
//! deadline (`offramp reproduce --only trees`): 892.7, 29.6 with 2,247 parameters, its teacher 895.9, 28.2.
//! At an arrival probability of 0.5 12 neurons are too few (`offramp distill` of
//! `paper-student-shared.ron` with that probability and teachers of γ = 0.9, `ratio: 0.6` for 0.8):
//! 1,092 and 1,100 (validation, seeds 1 and 3) where 16 have 1,139 and 1,147 and their teachers
//! 1,150 and 1,147.
//!
//! How far the teacher looks trades delay for energy where there is much to do (50 episodes, training
//! seed 1, `offramp reproduce` with that discount in the study): students of γ = 0.7 have a delay of 7.265 and 7.940 slots at 0.5 and 0.6, 12.65 and 12.03 of
//! energy a task and a QoE of 1,144 and 1,086; of γ = 0.8 7.125 and 7.770, 12.87 and 12.72, 1,140 and
//! 1,098; of γ = 0.9 (three seeds) 6.964 and 7.627, 13.54 and 13.38, 1,150 and 1,113. QECO has 7.155 and
//! 7.844, 13.06 and 12.44, 1,100 and 1,056: so a student beats it in delay with γ = 0.9, in energy with 0.7,
//! and at 0.6 in both with none of the three.

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

use parameters::Parameters;

struct DistilledStudent {
    parameters: Parameters,
    identity: Identity,
    /// Of each device, or of all.
    learners: Vec<Learner>,
    reader: Reader,
    values: Vec<f32>,
    threads: usize,
    /// From the first step on: a buffer for each thread.
    fitting: Option<(ThreadPool, Vec<Scratch>)>,
}

/// The networks of one device, or of all.
struct Learner {
    starts: Vec<Start>,
    /// Which of them decides.
    best: usize,
    /// Its rows in the batch at hand.
    rows: Vec<usize>,
}

/// A network from one beginning, and its optimiser.
struct Start {
    weights: Vec<f32>,
    optimiser: OptimiserState<f32>,
    /// A running mean of what it descends.
    loss: f32,
    /// Whether others were so far ahead that it learns no more.
    ended: bool,
}

/// Share of a new loss in the running mean.
const LOSS_SHARE: f32 = 0.01;

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
        let networks = parameters.sharing.networks(context.system.devices());
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
        let all: Vec<Vec<Vec<f32>>> = match context.checkpoint.into_option() {
            Some(bytes) => {
                identity.read(bytes.as_slice())?.into_iter().map(|weights| vec![weights]).collect()
            }
            None => (0..networks as u64)
                .map(|network| {
                    let seed = context.seed ^ network.wrapping_mul(0xd6e8_feb8_6659_fd93);
                    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
                    let mut start = |_| initial_parameters(&shape, Initial::Glorot, &mut rng);
                    (0..parameters.starts).map(&mut start).collect()
                })
                .collect(),
        };
        let start = |weights| Start {
            weights,
            optimiser: parameters.optimiser.state(shape.parameters()),
            loss: 0.0,
            ended: false,
        };
        let learner = |weights: Vec<Vec<f32>>| Learner {
            starts: weights.into_iter().map(start).collect(),
            best: 0,
            rows: Vec::new(),
        };
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
        let weights = self.learners.iter().map(Learner::weights);
        self.identity.put(&mut checkpoint, "", weights);
        Ok(checkpoint.to_bytes()?)
    }

    fn save(&self) -> Result<Vec<u8>, Error> {
        let mut state = self.identity.describe();
        state.metadata.insert("kind".to_owned(), "student in training".to_owned());
        for number in 0..self.learners.first().map_or(0, |learner| learner.starts.len()) {
            let starts = || self.learners.iter().map(move |learner| &learner.starts[number]);
            let mut put = |part: &str, numbers: fn(&Start) -> &[f32]| {
                self.identity.put(&mut state, &format!("{part}_{number}."), starts().map(numbers));
            };
            put("weights", |start| &start.weights);
            put("first", |start| &start.optimiser.first);
            put("second", |start| &start.optimiser.second);
        }
        let starts = || self.learners.iter().flat_map(|learner| &learner.starts);
        state.put_u64("steps", starts().map(|start| start.optimiser.steps));
        state.put_u64("losses", starts().map(|start| start.loss.to_bits().into()));
        state.put_u64("ended", starts().map(|start| start.ended.into()));
        state.put_u64("best", self.learners.iter().map(|learner| learner.best as u64));
        Ok(state.to_bytes()?)
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let state = Checkpoint::from_bytes(bytes)?;
        self.identity.expect(&state, "student in training")?;
        let count = self.parameters.starts;
        let (steps, losses) = (state.u64("steps")?, state.u64("losses")?);
        let (ended, best) = (state.u64("ended")?, state.u64("best")?);
        let all = self.learners.len() * count;
        let of_starts = [&steps, &losses, &ended].iter().all(|numbers| numbers.len() == all);
        let decides = |(learner, &best): (usize, &u64)| {
            let best = usize::try_from(best).ok().filter(|&best| best < count);
            best.is_some_and(|best| ended[learner * count + best] == 0)
        };
        if !of_starts || best.len() != self.learners.len() || !best.iter().enumerate().all(decides)
        {
            return Err(Error::new("the saved student contradicts itself"));
        }
        let mut learners: Vec<Learner> = best
            .into_iter()
            .map(|best| Learner { starts: Vec::new(), best: best as usize, rows: Vec::new() })
            .collect();
        for number in 0..count {
            let take = |part: &str| self.identity.take(&state, &format!("{part}_{number}."));
            let parts = take("weights")?.into_iter().zip(take("first")?).zip(take("second")?);
            for ((at, learner), ((weights, first), second)) in
                learners.iter_mut().enumerate().zip(parts)
            {
                let at = at * count + number;
                let optimiser = OptimiserState { steps: steps[at], first, second };
                learner.starts.push(Start {
                    weights,
                    optimiser,
                    loss: f32::from_bits(losses[at] as u32),
                    ended: ended[at] != 0,
                });
            }
        }
        self.learners = learners;
        Ok(())
    }
}

impl DistilledStudent {
    /// Q of every row in the networks' scale, into `values`, rows × (1 + M).
    fn evaluate(&mut self, observation: &Observation<'_>, values: &mut [f32]) {
        let Observation { features, histories, devices, history_of, .. } = observation;
        self.reader.read(&self.identity.scaling, features.as_slice(), histories.as_slice());
        let learners = &self.learners;
        let weights = |network: usize| learners[network].weights();
        let (shape, networks) = (&self.identity.shape, learners.len());
        self.reader.evaluate(shape, networks, weights, devices, history_of, values);
    }
}

impl Learner {
    /// Those that decide.
    fn weights(&self) -> &[f32] {
        &self.starts[self.best].weights
    }

    /// One step of every start that still learns on the rows of the batch; gives the loss of eq.
    /// (16) before it of the one that decided.
    fn step(
        &mut self,
        shape: &Shape,
        parameters: &Parameters,
        batch: &Batch<'_>,
        scratch: &mut Scratch,
    ) -> f64 {
        scratch.read(shape, &self.rows, batch);
        let Self { starts, best, rows } = self;
        let mut of_best = 0.0;
        for (number, start) in starts.iter_mut().enumerate().filter(|(_, start)| !start.ended) {
            let loss = start.step(shape, parameters, rows, batch, scratch);
            if number == *best {
                of_best = loss;
            }
        }
        // By their losses; where it is time, the worse half ends.
        let mut learning: Vec<usize> =
            (0..starts.len()).filter(|&number| !starts[number].ended).collect();
        learning.sort_by(|&a, &b| starts[a].loss.total_cmp(&starts[b].loss));
        *best = learning[0];
        let steps = starts[*best].optimiser.steps;
        if [8, 4, 2].iter().any(|part| steps == parameters.anneal_steps / part) {
            for &number in &learning[learning.len().div_ceil(2)..] {
                starts[number].ended = true;
            }
        }
        of_best
    }
}

impl Start {
    /// One step on rows that `scratch` has read.
    fn step(
        &mut self,
        shape: &Shape,
        parameters: &Parameters,
        rows: &[usize],
        batch: &Batch<'_>,
        scratch: &mut Scratch,
    ) -> f64 {
        let Scratch { workspace, features, histories, d_values, gradient } = scratch;
        let actions = shape.actions();
        let values = workspace.forward(&self.weights, features, Histories::Each(histories));

        // Eq. (16), and what may stand beside it.
        let share = 1.0 / rows.len() as f32;
        let (mut loss, mut descended) = (0.0, 0.0);
        d_values.clear();
        for (values, &row) in values.chunks_exact(actions).zip(rows) {
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
                let squares = parameters.value_weight as f32 * of_values * of_values
                    + parameters.advantage_weight as f32 * of_advantages * of_advantages;
                descended += squares * share / actions as f32;
                if let Some((student, teacher, temperature)) = &softened {
                    let difference = student[action] - teacher[action];
                    d += parameters.policy_weight as f32 * difference / temperature;
                    let ratio = teacher[action].max(1e-12) / student[action].max(1e-12);
                    let divergence = teacher[action] * ratio.ln();
                    descended += parameters.policy_weight as f32 * divergence * share;
                }
                d_values.push(d * share);
            }
        }
        self.loss = match self.optimiser.steps {
            0 => descended,
            _ => self.loss + LOSS_SHARE * (descended - self.loss),
        };
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
    /// Reads rows of a batch in the order that a workspace wants them.
    fn read(&mut self, shape: &Shape, rows: &[usize], batch: &Batch<'_>) {
        let (width, servers) = (shape.features, shape.servers);
        let Self { features, histories, .. } = self;
        let window = shape.history_slots * servers;
        features.clear();
        for &row in rows {
            features.extend_from_slice(&batch.features[row * width..(row + 1) * width]);
        }
        histories.clear();
        for slot in 0..shape.history_slots {
            for &row in rows {
                let seen = batch.history_of.get(row).map_or(0, |&seen| seen as usize);
                let start = seen * window + slot * servers;
                histories.extend_from_slice(&batch.histories[start..start + servers]);
            }
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { features: 3, servers: 2, history_slots: 2, hidden: 2 };

    fn learner(beginnings: impl IntoIterator<Item = u64>, parameters: &Parameters) -> Learner {
        let start = |beginning| Start {
            weights: initial_parameters(
                &SHAPE,
                Initial::Glorot,
                &mut Xoshiro256PlusPlus::seed_from_u64(beginning),
            ),
            optimiser: parameters.optimiser.state(SHAPE.parameters()),
            loss: 0.0,
            ended: false,
        };
        Learner {
            starts: beginnings.into_iter().map(start).collect(),
            best: 0,
            rows: (0..4).collect(),
        }
    }

    #[test]
    fn of_six_beginnings_the_best_is_left_as_if_it_had_learned_alone() {
        let parameters = Parameters { anneal_steps: 400, ..Parameters::default() };
        let batch = Batch {
            features: &[0.1, 0.9, 0.3, 0.8, 0.2, 0.5, 0.4, 0.4, 0.7, 0.0, 1.0, 0.6],
            histories: &[
                0.2, 0.4, 0.6, 0.1, 0.9, 0.3, 0.5, 0.5, 0.0, 0.7, 0.8, 0.1, 0.3, 0.2, 1.0, 0.6,
            ],
            history_of: &[0, 1, 2, 3],
            targets: &[10.0, -20.0, 5.0, 0.0, 30.0, -8.0, 12.0, 12.0, -15.0, 25.0, -3.0, 7.0],
            value_scale: parameters.value_scale as f32,
        };
        let mut scratch = Scratch::new(SHAPE);
        let mut all = learner(0..6, &parameters);
        let mut alone = [0, 1, 2, 3, 4, 5].map(|number| learner([number], &parameters));
        for step in 1..=400 {
            all.step(&SHAPE, &parameters, &batch, &mut scratch);
            for learner in &mut alone {
                learner.step(&SHAPE, &parameters, &batch, &mut scratch);
            }
            let left: Vec<usize> = (0..6).filter(|&number| !all.starts[number].ended).collect();
            let expected = match step {
                0..50 => 6,
                50..100 => 3,
                100..200 => 2,
                _ => 1,
            };
            assert_eq!(left.len(), expected, "after {step} steps");
            let losses = left.iter().map(|&number| all.starts[number].loss);
            assert_eq!(Some(all.starts[all.best].loss), losses.reduce(f32::min));
            for number in left {
                assert_eq!(all.starts[number].weights, alone[number].weights());
            }
        }
    }
}
