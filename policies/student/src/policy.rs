//! The policy: observations in, decisions out, and batches to be fitted to.

use offramp_nn::inputs::{Inputs, Scaling};
use offramp_nn::networks::NetworkSpec;
use offramp_nn::{Initial, QEvaluator, argmax, initial_parameters, stream};
use offramp_plugin::{
    Context, Error, Needs, Observation, Policy, Student, UNDECIDED, ValueFunction,
};
use rayon::ThreadPool;
use rayon::prelude::*;

use crate::candidates::{Batch, Candidates, Scratch};
use crate::parameters::Parameters;

/// The kind of its checkpoints.
pub(crate) const KIND: &str = "student";

/// Small networks fitted to a teacher's values, one for each device or one for all.
pub(crate) struct DistilledStudent {
    pub(crate) parameters: Parameters,
    pub(crate) networks: NetworkSpec,
    /// Those of each device, or of all.
    pub(crate) candidates: Vec<Candidates>,
    evaluator: QEvaluator,
    values: Vec<f32>,
    threads: usize,
    /// From the first step on: the threads, and a buffer for each.
    fitting: Option<(ThreadPool, Vec<Scratch>)>,
}

impl Policy for DistilledStudent {
    const NEEDS: Needs = Needs::FEATURES.and(Needs::HISTORY);

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        let parameters: Parameters = context.parameters::<Parameters>()?.checked()?;
        let spec = &context.observation;
        let inputs = Inputs {
            observation: spec.kind.to_string(),
            features: spec.features.iter().map(|feature| feature.name.to_string()).collect(),
            scaling: Scaling::new(
                spec.features.iter().map(|feature| feature.scale),
                spec.history_scale,
            ),
            history_slots: spec.history_slots as usize,
            servers: context.system.servers(),
            devices: context.system.devices(),
        };
        let sha256 = &context.scenario_sha256;
        let mut networks =
            NetworkSpec::new(KIND, inputs, parameters.hidden(), parameters.sharing, sha256);
        parameters.check_memory(&networks)?;
        let (shape, count) = (networks.shape, networks.networks);
        let drawn = |network: u64| {
            let mut rng = stream(context.seed, network);
            let weights = |_| initial_parameters(&shape, Initial::Glorot, &mut rng);
            Candidates::new((0..parameters.starts).map(weights), &parameters)
        };
        let candidates = match context.checkpoint.into_option() {
            Some(bytes) => {
                let read = networks.read(bytes.as_slice())?.into_iter();
                read.map(|weights| Candidates::new([weights], &parameters)).collect()
            }
            None => (0..count as u64).map(drawn).collect(),
        };
        Ok(Self {
            candidates,
            evaluator: QEvaluator::new(shape),
            values: Vec::new(),
            threads: context.threads.max(1) as usize,
            fitting: None,
            parameters,
            networks,
        })
    }

    fn decide(&mut self, observation: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        let count = self.networks.shape.actions();
        let mut values = std::mem::take(&mut self.values);
        values.resize(observation.rows() * count, 0.0);
        self.evaluate(observation, &mut values);
        for (action, values) in actions.iter_mut().zip(values.chunks_exact(count)) {
            if *action == UNDECIDED {
                *action = argmax(values) as u32;
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
        self.evaluator.observe(self.networks.scaling(), features, histories);
        let shape = self.networks.shape;
        let (pool, scratch) = match &mut self.fitting {
            Some(fitting) => fitting,
            none => {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads).build()?;
                let scratch = (0..self.threads).map(|_| Scratch::new(shape)).collect();
                none.insert((pool, scratch))
            }
        };
        let networks = self.candidates.len();
        self.candidates.iter_mut().for_each(|candidates| candidates.rows.clear());
        for (row, &device) in observation.devices.iter().enumerate() {
            self.candidates[device as usize % networks].rows.push(row);
        }
        let batch = Batch {
            features: &self.evaluator.features,
            histories: &self.evaluator.histories,
            history_of: &observation.history_of,
            targets,
        };
        let parameters = &self.parameters;
        // A network's step is the same on any thread.
        let share = networks.div_ceil(scratch.len());
        let losses: Vec<f64> = pool.install(|| {
            self.candidates
                .par_chunks_mut(share)
                .zip(scratch.par_iter_mut())
                .flat_map_iter(|(some, scratch)| {
                    let with_rows = some.iter_mut().filter(|one| !one.rows.is_empty());
                    with_rows.map(|one| one.step(&shape, parameters, &batch, scratch))
                })
                .collect()
        });
        Ok(losses.iter().sum::<f64>() / losses.len().max(1) as f64)
    }
}

impl DistilledStudent {
    /// Q of every row in the networks' scale, into `values`, rows × (1 + M).
    fn evaluate(&mut self, observation: &Observation<'_>, values: &mut [f32]) {
        let Observation { features, histories, devices, history_of, .. } = observation;
        self.evaluator.observe(self.networks.scaling(), features, histories);
        let candidates = &self.candidates;
        let weights = |network: usize| candidates[network].weights();
        self.evaluator.evaluate(candidates.len(), weights, devices, history_of, values);
    }
}
