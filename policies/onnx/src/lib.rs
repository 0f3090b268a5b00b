//! Any ONNX file that maps an observation to Q values, as a policy without code:
//! `(plugin: "onnx", checkpoint: "network.onnx")`. tract runs it.
//!
//! ```text
//! in   features  N × F      o, unscaled, in the order of the scenario's observation
//! in   history   N × K × M  the loads of the last K slots, the oldest first, unscaled
//! out  values    N × (1+M)  Q of every action; the largest is taken
//! ```
//!
//! All f32. Inputs are recognised by these names, or else by their order; `history` may be missing.
//! N must be open or 1: rows are evaluated one by one. `offramp export --as onnx` writes such files, and
//! so does `torch.onnx.export` of a module that takes these tensors.

use offramp_plugin::{Context, Error, Needs, Observation, Policy, ValueFunction};
use tract_onnx::prelude::*;

struct Onnx {
    model: TypedRunnableModel<TypedModel>,
    /// True if the inputs are `history` and `features`, in that order.
    history_first: bool,
    has_history: bool,
    history_shape: [usize; 2],
    values: Vec<f32>,
    actions: usize,
}

impl Policy for Onnx {
    const NEEDS: Needs = Needs::FEATURES.and(Needs::HISTORY);

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        if !matches!(context.parameters.as_str().trim(), "" | "()") {
            return Err(Error::new("it takes no parameters"));
        }
        let Some(file) = context.checkpoint.into_option() else {
            return Err(Error::new("it needs a `checkpoint`: the ONNX file"));
        };
        let spec = &context.observation;
        let history_shape = [spec.history_slots as usize, context.system.servers()];
        let (features, actions) = (spec.features.len(), context.system.actions());
        let wrong = |error: TractError| Error::new(format!("the ONNX file: {error:#}"));
        let mut model = onnx().model_for_read(&mut file.as_slice()).map_err(wrong)?;
        let inputs = model.input_outlets().map_err(wrong)?.to_vec();
        let named = |at: usize| model.node(inputs[at].node).name.clone();
        let history_first = match inputs.len() {
            1 => false,
            2 => named(0) == "history" || named(1) == "features",
            count => {
                let message = format!("it has {count} inputs; `features`, or it and `history`");
                return Err(Error::new(message));
            }
        };
        let has_history = inputs.len() == 2;
        let [slots, servers] = history_shape;
        let mut facts = vec![f32::fact([1, features])];
        if has_history {
            facts.insert(usize::from(!history_first), f32::fact([1, slots, servers]));
        }
        for (at, fact) in facts.into_iter().enumerate() {
            model = model.with_input_fact(at, fact.into()).map_err(wrong)?;
        }
        let model = model.into_optimized().map_err(wrong)?;
        let given = model.output_fact(0).map_err(wrong)?;
        let shape = given.shape.as_concrete();
        if given.datum_type != f32::datum_type() || shape != Some(&[1, actions]) {
            let found = format!("{:?} of {:?}", given.shape, given.datum_type);
            return Err(Error::new(format!("1 × {actions} values of f32 are needed, not {found}")));
        }
        let model = model.into_runnable().map_err(wrong)?;
        Ok(Self { model, history_first, has_history, history_shape, values: Vec::new(), actions })
    }

    fn decide(&mut self, observation: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        let mut values = std::mem::take(&mut self.values);
        values.resize(actions.len() * self.actions, 0.0);
        self.values(observation, &mut values)?;
        for (action, values) in actions.iter_mut().zip(values.chunks_exact(self.actions)) {
            // Of equal ones the first.
            let best = (0..).zip(values).min_by(|a, b| b.1.total_cmp(a.1));
            *action = best.map_or(0, |(action, _)| action);
        }
        self.values = values;
        Ok(())
    }
}

impl ValueFunction for Onnx {
    fn values(&mut self, observation: &Observation<'_>, values: &mut [f32]) -> Result<(), Error> {
        let [slots, servers] = self.history_shape;
        let history_of = observation.history_of.as_slice();
        for (row, values) in values.chunks_exact_mut(self.actions).enumerate() {
            let of = |numbers: &[f64], shape: &[usize]| -> Result<TValue, TractError> {
                let numbers: Vec<f32> = numbers.iter().map(|&number| number as f32).collect();
                Ok(Tensor::from_shape(shape, &numbers)?.into_tvalue())
            };
            let features = observation.features_of(row);
            let mut inputs = tvec![of(features, &[1, features.len()])?];
            if self.has_history {
                let window = history_of.get(row).map_or(0, |&window| window as usize);
                let start = window * slots * servers;
                let window = &observation.histories.as_slice()[start..start + slots * servers];
                inputs.insert(usize::from(!self.history_first), of(window, &[1, slots, servers])?);
            }
            let given = self.model.run(inputs)?;
            values.copy_from_slice(given[0].as_slice::<f32>()?);
        }
        Ok(())
    }
}

offramp_plugin::register_policy!(
    Onnx,
    "onnx",
    "Takes the action with the largest value of an ONNX network.",
    [value_function],
);
offramp_plugin::export_plugin!();
