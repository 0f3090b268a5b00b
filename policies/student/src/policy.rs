//! The policy: observations in, decisions out, and batches to be fitted to.

use std::sync::Arc;

use offramp_nn::inputs::{Inputs, Scaling};
use offramp_nn::networks::NetworkSpec;
use offramp_nn::{Initial, QEvaluator, Shape, Threads, best_action, initial_parameters, stream};
use offramp_plugin::{
    Context, Error, Needs, Observation, Policy, Student, UNDECIDED, ValueFunction,
};

use crate::candidates::{Batch, Candidates, Scratch};
use crate::parameters::Parameters;

/// The kind of its checkpoints.
pub(crate) const KIND: &str = "student";

/// Small networks fitted to a teacher's values, one for each device or one for all.
pub(crate) struct DistilledStudent {
    pub(crate) parameters: Parameters,
    pub(crate) networks: NetworkSpec,
    /// Weights of each network that decide until there are candidates; all instances of a run share
    /// them.
    deployed: Arc<[Vec<f32>]>,
    /// True if those are a checkpoint's.
    trained: bool,
    /// Those of each device, or of all; from the first step on.
    pub(crate) candidates: Vec<Candidates>,
    seed: u64,
    evaluator: QEvaluator,
    values: Vec<f32>,
    pub(crate) threads: usize,
    /// From the first step on: the threads, and a buffer for each.
    fitting: Option<(Threads, Vec<Scratch>)>,
    /// Multiply-adds of all steps since they were asked for.
    pub(crate) multiply_adds: u64,
}

impl Policy for DistilledStudent {
    const NEEDS: Needs = Needs::FEATURES.and(Needs::HISTORY).and(Needs::LENGTH);

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        let parameters =
            context.parameters::<Parameters>()?.checked()?.for_steps(context.learning_steps);
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
        let (scenario, hardware) = (&context.scenario_sha256, &context.hardware_sha256);
        let Parameters { sharing, .. } = parameters;
        let mut networks =
            NetworkSpec::new(KIND, inputs, parameters.hidden(), sharing, scenario, hardware);
        parameters.check_memory(&networks)?;
        let shape = networks.shape;
        let checkpoint = context.checkpoint.into_option();
        let deployed = match checkpoint {
            Some(bytes) => networks.read(bytes.as_slice())?.into(),
            None => {
                let drawn = |network: usize| drawn(&shape, context.seed, network, 1).remove(0);
                (0..networks.networks).map(drawn).collect()
            }
        };
        Ok(Self {
            deployed,
            trained: checkpoint.is_some(),
            candidates: Vec::new(),
            seed: context.seed,
            evaluator: QEvaluator::new(shape),
            values: Vec::new(),
            threads: context.threads.max(1) as usize,
            fitting: None,
            multiply_adds: 0,
            parameters,
            networks,
        })
    }

    fn decide(&mut self, observation: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        let count = self.networks.shape.actions();
        let mut values = std::mem::take(&mut self.values);
        values.resize(observation.rows() * count, 0.0);
        self.evaluate(observation, &mut values);
        let rows = values.chunks_exact(count).zip(&*observation.devices);
        for (action, (values, &device)) in actions.iter_mut().zip(rows) {
            if *action == UNDECIDED {
                *action = best_action(values, device, observation.slot)?;
            }
        }
        self.values = values;
        Ok(())
    }

    fn fresh(&self) -> Option<Self> {
        Some(Self {
            parameters: self.parameters.clone(),
            networks: self.networks.clone(),
            deployed: Arc::clone(&self.deployed),
            candidates: Vec::new(),
            evaluator: QEvaluator::new(self.networks.shape),
            values: Vec::new(),
            fitting: None,
            multiply_adds: 0,
            ..*self
        })
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
        self.make_candidates();
        self.evaluator.observe(self.networks.scaling(), features, histories);
        let shape = self.networks.shape;
        let (threads, scratch) = match &mut self.fitting {
            Some(fitting) => fitting,
            none => {
                let threads = Threads::new(self.threads)?;
                let scratch = (0..self.threads).map(|_| Scratch::new(shape)).collect();
                none.insert((threads, scratch))
            }
        };
        let networks = self.candidates.len();
        self.candidates.iter_mut().for_each(|candidates| candidates.rows.clear());
        for (row, &device) in observation.devices.iter().enumerate() {
            self.candidates[device as usize % networks].rows.push(row);
        }
        // Forwards, and twice as much backwards.
        let learn =
            |one: &Candidates| one.all.iter().filter(|one| !one.ended).count() * one.rows.len();
        let rows: usize = self.candidates.iter().map(learn).sum();
        self.multiply_adds += (shape.forward_operations() / 2 * 3 * rows) as u64;
        let batch = Batch {
            features: &self.evaluator.features,
            histories: &self.evaluator.histories,
            history_of: &observation.history_of,
            targets,
        };
        let (parameters, threads) = (&self.parameters, &*threads);
        let mut losses = vec![None; networks];
        if let [one] = self.candidates.as_mut_slice() {
            if !one.rows.is_empty() {
                losses[0] = Some(one.step(&shape, parameters, &batch, scratch, threads));
            }
        } else {
            // A network's step is the same on any thread.
            let share = networks.div_ceil(scratch.len());
            let work = self.candidates.chunks_mut(share).zip(losses.chunks_mut(share));
            threads.each(work.zip(scratch.chunks_mut(1)), |((some, losses), scratch)| {
                for (one, loss) in some.iter_mut().zip(losses) {
                    if !one.rows.is_empty() {
                        *loss =
                            Some(one.step(&shape, parameters, &batch, scratch, &Threads::alone()));
                    }
                }
            });
        }
        let losses: Vec<f64> = losses.into_iter().flatten().collect();
        Ok(losses.iter().sum::<f64>() / losses.len().max(1) as f64)
    }
}

impl DistilledStudent {
    /// Q of every row in the networks' scale, into `values`, rows × (1 + M).
    fn evaluate(&mut self, observation: &Observation<'_>, values: &mut [f32]) {
        let Observation { features, histories, devices, history_of, .. } = observation;
        self.evaluator.observe(self.networks.scaling(), features, histories);
        let Self { candidates, deployed, .. } = self;
        let weights = |network: usize| weights(candidates, deployed, network);
        self.evaluator.evaluate(deployed.len(), weights, devices, history_of, values);
    }

    /// The weights of each network that decide.
    pub(crate) fn weights(&self) -> impl Iterator<Item = &[f32]> {
        let networks = 0..self.deployed.len();
        networks.map(|network| weights(&self.candidates, &self.deployed, network))
    }

    /// The candidates of each network before their first step.
    pub(crate) fn new_candidates(&self) -> Vec<Candidates> {
        let Self { parameters, networks: NetworkSpec { shape, .. }, seed, .. } = self;
        let candidates = |(network, deployed): (usize, &Vec<f32>)| match self.trained {
            true => Candidates::new([deployed.clone()], parameters),
            false => Candidates::new(drawn(shape, *seed, network, self.starts()), parameters),
        };
        self.deployed.iter().enumerate().map(candidates).collect()
    }

    /// Number of candidates of a network: a checkpoint has one.
    pub(crate) fn starts(&self) -> usize {
        if self.trained { 1 } else { self.parameters.starts }
    }

    /// Makes the candidates, if they are not there yet.
    pub(crate) fn make_candidates(&mut self) {
        if self.candidates.is_empty() {
            self.candidates = self.new_candidates();
        }
    }
}

/// The weights of a network that decide.
fn weights<'w>(
    candidates: &'w [Candidates],
    deployed: &'w [Vec<f32>],
    network: usize,
) -> &'w [f32] {
    candidates.get(network).map_or(&deployed[network], Candidates::weights)
}

/// The first weights of so many candidates of a network.
fn drawn(shape: &Shape, seed: u64, network: usize, starts: usize) -> Vec<Vec<f32>> {
    let mut rng = stream(seed, network as u64);
    (0..starts).map(|_| initial_parameters(shape, Initial::Glorot, &mut rng)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use offramp_nn::checkpoint::Checkpoint;
    use offramp_plugin::Saved;
    use offramp_plugin::testing::Bench;
    use proptest::prelude::*;

    use super::*;

    /// Numbers that someone may write, few of which make sense.
    const NUMBERS: [&str; 14] = [
        "0.0", "-1.0", "NaN", "inf", "1e-320", "1e-30", "1e-7", "0.001", "0.5", "1.0", "100.0",
        "1e6", "1e30", "1e308",
    ];

    const FIELDS: [(&str, &[&str]); 12] = [
        ("ratio", &NUMBERS),
        ("teacher_hidden", &["-1", "0", "1", "4", "1000000000"]),
        ("starts", &["-1", "0", "1", "3", "1000000000"]),
        ("anneal", &NUMBERS),
        ("optimiser", &["Adam(0.0)", "Adam(1e-30)", "Adam(NaN)", "Adam(1.0)", "RmsProp(1.0)"]),
        ("clip", &NUMBERS),
        ("actions", &["All", "Taken(0.0)", "Taken(0.1)", "Taken(1.0)", "Taken(2.0)", "Taken(NaN)"]),
        ("value_weight", &NUMBERS),
        ("advantage_weight", &NUMBERS),
        ("policy_weight", &NUMBERS),
        ("temperature", &NUMBERS),
        ("value_scale", &NUMBERS),
    ];

    const BASE: [(&str, &str); 2] = [("teacher_hidden", "4"), ("starts", "1")];

    /// A short distillation, in which everything stays finite.
    fn fit(bench: &mut Bench, student: &mut DistilledStudent) {
        let targets = [12.0, -60.0, 3.0, -5.0, 0.0, 45.0];
        for _ in 0..60 {
            let loss = bench.observe(|observation| student.fit(observation, &targets)).unwrap();
            assert!(loss.is_finite());
        }
        bench.decide(student).unwrap();
        let checkpoint = Checkpoint::from_bytes(&student.checkpoint().unwrap()).unwrap();
        checkpoint.expect_finite().unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn accepted_parameters_fit_finitely(
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
            bench.parameters = format!("({})", fields.join(", "));
            if let Ok(mut policy) = bench.create::<DistilledStudent>() {
                fit(&mut bench, &mut policy);
            }
        }
    }

    fn refusal(devices: usize, parameters: &str) -> String {
        let mut bench = Bench::new(devices, 5);
        bench.parameters = parameters.to_owned();
        bench.create::<DistilledStudent>().err().unwrap().message().to_owned()
    }

    #[test]
    fn what_would_learn_nothing_or_not_fit_is_refused() {
        assert_eq!(
            refusal(3, "(value_weight: 0.0)"),
            "value_weight, advantage_weight, policy_weight: [0.0, 0.0, 0.0] is out of range: at \
             least one of 0.001 or more is needed"
        );
        assert_eq!(
            refusal(3, "(clip: 1e-30)"),
            "clip: 1e-30 is out of range: 0.001 to 1000000.0 is needed"
        );
        assert!(refusal(50, "(ratio: 16.0, teacher_hidden: 4096)").contains("GiB"));
        assert!(refusal(50, "(ratio: 4.0, starts: 1000, teacher_hidden: 256)").contains("GiB"));
    }

    #[test]
    fn values_that_are_not_finite_are_an_error() {
        let mut bench = Bench::new(3, 2);
        let mut student: DistilledStudent = bench.create().unwrap();
        student.make_candidates();
        student.candidates[2].all[0].weights.fill(f32::INFINITY);
        let error = bench.decide(&mut student).unwrap_err();
        assert!(error.message().starts_with("device 2 in slot 0: the value of action 0 is"));
        bench.checkpoint = Some(student.checkpoint().unwrap());
        let refused = bench.create::<DistilledStudent>().err().unwrap();
        assert!(refused.message().contains("finite numbers are needed"), "{}", refused.message());
    }
}
