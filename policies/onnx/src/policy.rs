//! The policy: the action with the largest value.

use std::path::PathBuf;

use offramp_plugin::serde::Deserialize;
use offramp_plugin::{
    Context, Error, Needs, Observation, Policy, UNDECIDED, ValueFunction, best_action,
};

use crate::facts;
use crate::file::OnnxFile;
use crate::network::{Network, Sizes};

#[derive(Debug, Default, Deserialize)]
#[serde(crate = "offramp_plugin::serde", deny_unknown_fields, default)]
struct Parameters {
    /// Let the network that was trained for one device decide for all.
    for_all_devices: bool,
}

pub(crate) struct Onnx {
    network: Network,
    files: Vec<PathBuf>,
    actions: usize,
    features: Vec<f32>,
    history: Vec<f32>,
    values: Vec<f32>,
}

impl Policy for Onnx {
    const NEEDS: Needs = Needs::FEATURES.and(Needs::HISTORY);

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        let parameters: Parameters = context.parameters()?;
        let Some(bytes) = context.checkpoint.into_option() else {
            return Err(Error::new("it needs a `checkpoint`: the ONNX file"));
        };
        let path = context.checkpoint_path();
        let wrong = |error: Error| Error::new(format!("the ONNX file: {}", error.message()));
        let mut file = OnnxFile::read(bytes.as_slice(), path.as_deref()).map_err(wrong)?;
        facts::check(&file.model, context, parameters.for_all_devices).map_err(wrong)?;
        let files = std::mem::take(&mut file.files);
        let sizes = Sizes::of(context);
        Ok(Self {
            network: Network::load(file, sizes).map_err(wrong)?,
            files,
            actions: sizes.actions(),
            features: Vec::new(),
            history: Vec::new(),
            values: Vec::new(),
        })
    }

    fn decide(&mut self, observation: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        let mut values = std::mem::take(&mut self.values);
        values.resize(actions.len() * self.actions, 0.0);
        self.values(observation, &mut values)?;
        let rows = actions.iter_mut().zip(values.chunks_exact(self.actions));
        for (row, (action, values)) in rows.enumerate() {
            if *action == UNDECIDED {
                *action = best_action(values).map_err(|error| {
                    let (slot, device) = (observation.slot, observation.devices[row]);
                    let what = error.message();
                    Error::new(format!("device {device} in slot {slot} (row {row}): {what}"))
                })?;
            }
        }
        self.values = values;
        Ok(())
    }

    fn files(&self) -> Vec<PathBuf> {
        self.files.clone()
    }

    fn fresh(&self) -> Option<Self> {
        Some(Self {
            network: self.network.shared(),
            files: self.files.clone(),
            actions: self.actions,
            features: Vec::new(),
            history: Vec::new(),
            values: Vec::new(),
        })
    }
}

impl ValueFunction for Onnx {
    fn values(&mut self, observation: &Observation<'_>, values: &mut [f32]) -> Result<(), Error> {
        let single = |&number: &f64| number as f32;
        self.features.clear();
        self.features.extend(observation.features.iter().map(single));
        self.history.clear();
        if self.network.sees_history() {
            for row in 0..observation.rows() {
                self.history.extend(observation.window_of(row).iter().map(single));
            }
        }
        self.network.evaluate(&mut self.features, &mut self.history, values)
    }
}
