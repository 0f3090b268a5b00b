//! The networks of a policy, one per device or one for all: their inputs' scales, and the
//! checkpoints that keep them.

use serde::{Deserialize, Serialize};

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::checkpoint_spec::{CheckpointSpec, Stage};
use crate::shape::Shape;

/// The devices that use a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sharing {
    /// Each device has its own, and learns from its own experience.
    PerDevice,
    /// All devices have one.
    Shared,
}

impl Sharing {
    /// Number of networks for `devices` devices.
    pub fn networks(self, devices: usize) -> usize {
        match self {
            Self::PerDevice => devices,
            Self::Shared => 1,
        }
    }
}

/// The divisors of features and loads, so that a network sees numbers of about one.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    /// One per feature, above 0, in the feature's unit.
    pub features: Vec<f32>,
    /// That of all loads, above 0, in active devices.
    pub history: f32,
}

impl Scaling {
    /// Scales as an observation states them, in single precision.
    pub fn new(features: impl IntoIterator<Item = f64>, history: f64) -> Self {
        let features = features.into_iter().map(|scale| scale as f32).collect();
        Self { features, history: history as f32 }
    }

    /// Leaves `features` features and the loads as they are.
    pub fn identity(features: usize) -> Self {
        Self { features: vec![1.0; features], history: 1.0 }
    }

    /// Appends the scaled features of any number of rows to `scaled`.
    pub fn scale_features(&self, features: &[f64], scaled: &mut Vec<f32>) {
        let scales = self.features.iter().cycle();
        scaled.extend(features.iter().zip(scales).map(|(&x, &scale)| x as f32 / scale));
    }

    /// Appends the scaled loads to `scaled`.
    pub fn scale_loads(&self, loads: &[f64], scaled: &mut Vec<f32>) {
        scaled.extend(loads.iter().map(|&load| load as f32 / self.history));
    }
}

/// The architecture, as checkpoints of these networks state it.
const ARCHITECTURE: &str = "LSTM, two dense layers, dueling head";

/// Networks of one shape: how many, what they see, and the description of their checkpoints.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkSpec {
    /// The sizes of each network.
    pub shape: Shape,
    /// Number of networks: one per device, or 1.
    pub networks: usize,
    /// Scales of their inputs; a checkpoint's own replace them, with the weights.
    pub scaling: Scaling,
    scenario_sha256: String,
    checkpoint: CheckpointSpec,
}

impl NetworkSpec {
    /// Networks of the policy `kind`, for features of these names in this order. The checkpoints
    /// record the SHA-256 of the scenario that they were made for.
    pub fn new<'n>(
        kind: &str,
        shape: Shape,
        networks: usize,
        scaling: Scaling,
        feature_names: impl IntoIterator<Item = &'n str>,
        scenario_sha256: &str,
    ) -> Self {
        let names: Vec<&str> = feature_names.into_iter().collect();
        let one = shape.parameters();
        let checkpoint = CheckpointSpec::new(kind)
            .require("features", names.join(","))
            .require("servers", shape.servers)
            .require("history_slots", shape.history_slots)
            .require("hidden", shape.hidden)
            .require("networks", networks)
            .record("architecture", ARCHITECTURE)
            .record("parameters_deployed", one)
            .record("parameters_as_in_the_paper", 2 * one)
            .record("scenario_sha256", scenario_sha256);
        let scenario_sha256 = scenario_sha256.to_owned();
        Self { shape, networks, scaling, scenario_sha256, checkpoint }
    }

    /// A checkpoint with this description and the scales, without weights.
    pub fn describe(&self, stage: Stage) -> Checkpoint {
        let mut checkpoint = self.checkpoint.describe(stage);
        let scales = &self.scaling.features;
        checkpoint.put_f32("feature_scales", &[scales.len()], scales.iter().copied());
        checkpoint.put_f32("history_scale", &[1], [self.scaling.history]);
        checkpoint
    }

    /// Checks that a checkpoint is of networks like these.
    ///
    /// # Errors
    /// [`CheckpointError::Mismatch`] names what differs.
    pub fn expect(&self, checkpoint: &Checkpoint, stage: Stage) -> Result<(), CheckpointError> {
        self.checkpoint.expect(checkpoint, stage)
    }

    /// Checks that a checkpoint was made for the same scenario: a training resumes in its own only.
    ///
    /// # Errors
    /// [`CheckpointError::Mismatch`] if it was made for another.
    pub fn expect_scenario(&self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        checkpoint.expect("scenario_sha256", &self.scenario_sha256)
    }

    /// Puts numbers of the shape of each network's parameters under `prefix`.
    pub fn put<'n>(
        &self,
        checkpoint: &mut Checkpoint,
        prefix: &str,
        networks: impl IntoIterator<Item = &'n [f32]>,
    ) {
        checkpoint.put_networks(prefix, &self.shape.tensors(), networks);
    }

    /// The numbers that [`NetworkSpec::put`] put in, network by network.
    ///
    /// # Errors
    /// [`CheckpointError::Mismatch`] if a tensor is missing or has another shape.
    pub fn take(
        &self,
        checkpoint: &Checkpoint,
        prefix: &str,
    ) -> Result<Vec<Vec<f32>>, CheckpointError> {
        checkpoint.take_networks(prefix, &self.shape.tensors(), self.networks)
    }

    /// Reads a deployed checkpoint: takes over its scales and returns the weights, network by
    /// network.
    ///
    /// # Errors
    /// [`CheckpointError`] if it is not of networks like these, or damaged.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Vec<Vec<f32>>, CheckpointError> {
        let checkpoint = Checkpoint::from_bytes(bytes)?;
        self.expect(&checkpoint, Stage::Deployed)?;
        let scaling = scaling_of(&checkpoint, self.shape.features)?;
        let weights = self.take(&checkpoint, "")?;
        self.scaling = scaling;
        Ok(weights)
    }
}

/// The scales in a checkpoint of networks with `features` features.
fn scaling_of(checkpoint: &Checkpoint, features: usize) -> Result<Scaling, CheckpointError> {
    let features = checkpoint.f32_of_shape("feature_scales", &[features])?;
    let history = checkpoint.f32_of_shape("history_scale", &[1])?[0];
    let wrong = |&&scale: &&f32| scale <= 0.0 || !scale.is_finite();
    if let Some(scale) = features.iter().chain([&history]).find(wrong) {
        return Err(CheckpointError::Mismatch {
            what: "a scale".to_owned(),
            found: scale.to_string(),
            wanted: "a number above 0".to_owned(),
        });
    }
    Ok(Scaling { features, history })
}

/// The networks of a deployed checkpoint, read without knowing the policy or the scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredNetworks {
    /// The sizes of each network.
    pub shape: Shape,
    /// Scales of their inputs.
    pub scaling: Scaling,
    /// The parameters of each network.
    pub parameters: Vec<Vec<f32>>,
}

impl StoredNetworks {
    /// Reads the networks of a checkpoint that a [`NetworkSpec`] described.
    ///
    /// # Errors
    /// [`CheckpointError`] if it is of another architecture.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self, CheckpointError> {
        checkpoint.expect("architecture", ARCHITECTURE)?;
        let shape = Shape {
            features: checkpoint.f32("feature_scales")?.len(),
            servers: checkpoint.size("servers")?,
            history_slots: checkpoint.size("history_slots")?,
            hidden: checkpoint.size("hidden")?,
        };
        Ok(Self {
            shape,
            scaling: scaling_of(checkpoint, shape.features)?,
            parameters: checkpoint.take_networks(
                "",
                &shape.tensors(),
                checkpoint.size("networks")?,
            )?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_with_and_without_their_description() {
        let shape = Shape { features: 2, servers: 1, history_slots: 3, hidden: 2 };
        let scaling = Scaling::new([0.5, 4.0], 10.0);
        let mut spec = NetworkSpec::new("x", shape, 2, scaling.clone(), ["a", "b"], "");
        let parameters: Vec<Vec<f32>> = [1.0, 2.0].map(|w| vec![w; shape.parameters()]).to_vec();
        let mut checkpoint = spec.describe(Stage::Deployed);
        spec.put(&mut checkpoint, "", parameters.iter().map(Vec::as_slice));
        let stored = StoredNetworks::of(&checkpoint).unwrap();
        assert_eq!(stored, StoredNetworks { shape, scaling, parameters: parameters.clone() });
        spec.scaling = Scaling::identity(2);
        assert_eq!(spec.read(&checkpoint.to_bytes().unwrap()).unwrap(), parameters);
        assert_eq!(spec.scaling, stored.scaling);
        checkpoint.metadata.insert("hidden".into(), "3".into());
        assert!(StoredNetworks::of(&checkpoint).is_err());
        checkpoint.metadata.insert("hidden".into(), usize::MAX.to_string());
        assert!(StoredNetworks::of(&checkpoint).is_err());
    }
}
