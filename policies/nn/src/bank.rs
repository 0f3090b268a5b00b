//! Networks that decide: one for each device or one for all, what they are fed, and the
//! checkpoint they are kept in.

use serde::{Deserialize, Serialize};

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::network::{Decider, Histories, Row, Shape, Workspace};

/// Who shares a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sharing {
    /// Each device has its own, and learns from its own experience.
    PerDevice,
    /// All devices have one.
    Shared,
}

impl Sharing {
    /// How many networks so many devices have.
    pub fn networks(self, devices: usize) -> usize {
        match self {
            Self::PerDevice => devices,
            Self::Shared => 1,
        }
    }
}

/// What features and loads are divided by, so that a network sees numbers of about one.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    /// Of each feature, above 0.
    pub features: Vec<f32>,
    /// Of loads, above 0.
    pub history: f32,
}

/// What networks are: all that must agree for a checkpoint to be of use, and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// What the checkpoint is of: the policy's name.
    pub kind: String,
    /// The size of each network.
    pub shape: Shape,
    /// How many there are: one for each device, or 1.
    pub networks: usize,
    /// The names of the features, in order, joined by commas.
    pub feature_names: String,
    /// SHA-256 of the scenario it was made for.
    pub scenario_sha256: String,
    /// What the networks are fed; taken from a checkpoint, with the weights.
    pub scaling: Scaling,
}

impl Identity {
    /// A checkpoint that says all this, without weights.
    pub fn describe(&self) -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        let one = self.shape.parameters();
        let further = [
            ("kind", self.kind.clone()),
            ("architecture", "LSTM, two dense layers, dueling head".to_owned()),
            ("parameters_deployed", one.to_string()),
            ("parameters_as_in_the_paper", (2 * one).to_string()),
            ("scenario_sha256", self.scenario_sha256.clone()),
        ];
        let all = self.must_agree().into_iter().chain(further);
        checkpoint.metadata = all.map(|(key, value)| (key.to_owned(), value)).collect();
        let scales = &self.scaling.features;
        checkpoint.put_f32("feature_scales", &[scales.len()], scales.iter().copied());
        checkpoint.put_f32("history_scale", &[1], [self.scaling.history]);
        checkpoint
    }

    fn must_agree(&self) -> [(&'static str, String); 5] {
        [
            ("features", self.feature_names.clone()),
            ("servers", self.shape.servers.to_string()),
            ("history_slots", self.shape.history_slots.to_string()),
            ("hidden", self.shape.hidden.to_string()),
            ("networks", self.networks.to_string()),
        ]
    }

    /// That a checkpoint is of `kind` and of networks like these.
    ///
    /// # Errors
    /// [`CheckpointError::Mismatch`] names what differs.
    pub fn expect(&self, checkpoint: &Checkpoint, kind: &str) -> Result<(), CheckpointError> {
        checkpoint.expect("kind", kind)?;
        self.must_agree().iter().try_for_each(|(key, value)| checkpoint.expect(key, value))
    }

    /// Puts numbers of the shape of every network's weights, a tensor at a time over all
    /// networks; a network without such numbers has none.
    pub fn put<'n>(
        &self,
        checkpoint: &mut Checkpoint,
        prefix: &str,
        networks: impl Iterator<Item = &'n [f32]> + Clone,
    ) {
        for tensor in self.shape.tensors() {
            let [rows, columns] = tensor.shape;
            let all = networks.clone().filter_map(|numbers| numbers.get(tensor.range.clone()));
            let name = format!("{prefix}{}", tensor.name);
            checkpoint.put_f32(&name, &[self.networks, rows, columns], all.flatten().copied());
        }
    }

    /// Takes out what [`Identity::put`] put in, network by network.
    ///
    /// # Errors
    /// [`CheckpointError::Mismatch`] if a tensor is not there, or of another shape.
    pub fn take(
        &self,
        checkpoint: &Checkpoint,
        prefix: &str,
    ) -> Result<Vec<Vec<f32>>, CheckpointError> {
        let mut all = vec![vec![0.0; self.shape.parameters()]; self.networks];
        for tensor in self.shape.tensors() {
            let [rows, columns] = tensor.shape;
            let name = format!("{prefix}{}", tensor.name);
            let values = checkpoint.f32_of_shape(&name, &[all.len(), rows, columns])?;
            for (numbers, values) in all.iter_mut().zip(values.chunks_exact(rows * columns)) {
                numbers[tensor.range.clone()].copy_from_slice(values);
            }
        }
        Ok(all)
    }

    /// Reads a deployed checkpoint: takes over its scaling and gives the weights.
    ///
    /// # Errors
    /// [`CheckpointError`] if it is not one of these networks, or damaged.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Vec<Vec<f32>>, CheckpointError> {
        let checkpoint = Checkpoint::from_bytes(bytes)?;
        self.expect(&checkpoint, &self.kind)?;
        let features = checkpoint.f32_of_shape("feature_scales", &[self.shape.features])?;
        let history = checkpoint.f32_of_shape("history_scale", &[1])?[0];
        let wrong = |&&scale: &&f32| scale <= 0.0 || !scale.is_finite();
        if let Some(scale) = features.iter().chain([&history]).find(wrong) {
            return Err(CheckpointError::Mismatch {
                what: "a scale".to_owned(),
                found: scale.to_string(),
                wanted: "a number above 0".to_owned(),
            });
        }
        let weights = self.take(&checkpoint, "")?;
        self.scaling = Scaling { features, history };
        Ok(weights)
    }
}

/// What is observed, scaled, and the buffers to decide by it.
#[derive(Clone, Debug)]
pub struct Reader {
    workspace: Workspace<f32>,
    decider: Decider,
    /// Rows × F.
    pub features: Vec<f32>,
    /// Windows of K × M.
    pub histories: Vec<f32>,
}

impl Reader {
    /// For networks of `shape`.
    pub fn new(shape: Shape) -> Self {
        let (workspace, decider) = (Workspace::new(shape), Decider::new(shape));
        Self { workspace, decider, features: Vec::new(), histories: Vec::new() }
    }

    /// Scales features (rows × F) and histories (windows of K × M).
    pub fn read(&mut self, scaling: &Scaling, features: &[f64], histories: &[f64]) {
        self.features.clear();
        let scales = scaling.features.iter().cycle();
        self.features.extend(features.iter().zip(scales).map(|(&x, &scale)| x as f32 / scale));
        self.histories.clear();
        self.histories.extend(histories.iter().map(|&load| load as f32 / scaling.history));
    }

    /// Q of what was read last, into `values`, rows × (1 + M). `weights` gives a network's;
    /// with one network it decides for all rows, else each device's for its own.
    ///
    /// # Panics
    /// If a slice does not have the length its shape says.
    pub fn evaluate<'w>(
        &mut self,
        shape: &Shape,
        networks: usize,
        weights: impl Fn(usize) -> &'w [f32],
        devices: &[u32],
        history_of: &[u32],
        values: &mut [f32],
    ) {
        if networks == 1 && history_of.is_empty() {
            let length = shape.history_slots * shape.servers;
            let histories = Histories::Shared(&self.histories[..length]);
            values.copy_from_slice(self.workspace.forward(weights(0), &self.features, histories));
            return;
        }
        let Self { decider, features, histories, .. } = self;
        let length = shape.history_slots * shape.servers;
        let row = |row: usize| {
            let start = history_of.get(row).map_or(0, |&window| window as usize * length);
            Row {
                parameters: weights(devices[row] as usize % networks),
                features: &features[row * shape.features..(row + 1) * shape.features],
                history: &histories[start..start + length],
            }
        };
        decider.decide(devices.len(), row, values);
    }
}

/// The action of the largest value; the first of several.
pub fn greedy(values: &[f32]) -> usize {
    let mut best = 0;
    for (action, &value) in values.iter().enumerate() {
        if value > values[best] {
            best = action;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greedy_takes_the_first_of_the_largest() {
        assert_eq!(greedy(&[1.0, 3.0, 3.0, 2.0]), 1);
        assert_eq!(greedy(&[0.0]), 0);
    }
}
