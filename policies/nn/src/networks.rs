//! The networks of a policy, one per device or one for all, and the checkpoints that keep them.

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::checkpoint_spec::{CheckpointSpec, Stage, expect_kind};
use crate::inputs::{Inputs, Scaling};
use crate::shape::Shape;
pub use crate::sharing::Sharing;

/// The architecture, as checkpoints of these networks state it.
const ARCHITECTURE: &str = "LSTM, two dense layers, dueling head";

/// Unit of the number of networks, in words.
pub const NETWORKS: &str = "networks (one per device, or one for all: `sharing`)";

/// Networks of one shape: how many, what they see, and the description of their checkpoints.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkSpec {
    /// The sizes of each network.
    pub shape: Shape,
    /// Number of networks: one per device, or 1.
    pub networks: usize,
    checkpoint: CheckpointSpec,
}

impl NetworkSpec {
    /// Networks of the policy `kind`, with `hidden` neurons in a layer. The checkpoints record the
    /// SHA-256 of the scenario that they were made for, and that of its hardware, as
    /// [`CheckpointSpec::on_hardware`] has it.
    pub fn new(
        kind: &str,
        inputs: Inputs,
        hidden: usize,
        sharing: Sharing,
        scenario_sha256: &str,
        hardware_sha256: &str,
    ) -> Self {
        let (shape, networks) = (inputs.shape(hidden), sharing.networks(inputs.devices));
        let one = shape.parameters();
        let checkpoint = CheckpointSpec::new(kind, inputs)
            .require("hidden", hidden, "neurons in each hidden layer")
            .require("networks", networks, NETWORKS)
            .record("architecture", ARCHITECTURE)
            .record("parameters_deployed", one)
            .record("parameters_as_in_the_paper", 2 * one)
            .record("scenario_sha256", scenario_sha256)
            .on_hardware(hardware_sha256, sharing);
        Self { shape, networks, checkpoint }
    }

    /// Also reads checkpoints of these kinds, whose networks are the same.
    #[must_use]
    pub fn also_reads(self, kinds: &[&str]) -> Self {
        Self { checkpoint: self.checkpoint.also_reads(kinds), ..self }
    }

    /// Scales of the networks' inputs; a checkpoint's own replace them, with the weights.
    pub fn scaling(&self) -> &Scaling {
        &self.checkpoint.inputs().scaling
    }

    /// A checkpoint with this description, without weights.
    pub fn describe(&self, stage: Stage) -> Checkpoint {
        self.checkpoint.describe(stage)
    }

    /// Checks that a checkpoint is of networks like these.
    ///
    /// # Errors
    /// [`CheckpointError`] names what differs.
    pub fn expect(&self, checkpoint: &Checkpoint, stage: Stage) -> Result<(), CheckpointError> {
        self.checkpoint.expect(checkpoint, stage)
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
        self.checkpoint.deploy(&checkpoint)?;
        self.take(&checkpoint, "")
    }
}

/// The networks of a deployed checkpoint, read without knowing the scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredNetworks {
    /// The sizes of each network.
    pub shape: Shape,
    /// What they were trained on.
    pub inputs: Inputs,
    /// The parameters of each network.
    pub parameters: Vec<Vec<f32>>,
}

impl StoredNetworks {
    /// Reads the networks of a checkpoint that a [`NetworkSpec`] of `kind` described.
    ///
    /// # Errors
    /// [`CheckpointError`] if it is of another kind or damaged.
    pub fn of(checkpoint: &Checkpoint, kind: &str) -> Result<Self, CheckpointError> {
        expect_kind(checkpoint, kind)?;
        checkpoint.expect_finite()?;
        let inputs = Inputs::of(checkpoint)?;
        let (hidden, networks) = (checkpoint.size("hidden")?, checkpoint.size("networks")?);
        let shape = inputs.shape(hidden);
        let parameters = checkpoint.take_networks("", &shape.tensors(), networks)?;
        Ok(Self { shape, inputs, parameters })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_with_and_without_their_description() {
        let inputs = Inputs {
            observation: "Paper".to_owned(),
            features: vec!["a".to_owned(), "b".to_owned()],
            scaling: Scaling::new([0.5, 4.0], 10.0),
            history_slots: 3,
            servers: 1,
            devices: 2,
        };
        let spec = |inputs| NetworkSpec::new("x", inputs, 2, Sharing::PerDevice, "", "");
        let described = spec(inputs.clone());
        let shape = described.shape;
        let parameters: Vec<Vec<f32>> = [1.0, 2.0].map(|w| vec![w; shape.parameters()]).to_vec();
        let mut checkpoint = described.describe(Stage::Deployed);
        described.put(&mut checkpoint, "", parameters.iter().map(Vec::as_slice));
        let stored = StoredNetworks::of(&checkpoint, "x").unwrap();
        let (inputs, parameters) = (stored.inputs.clone(), &parameters);
        assert_eq!(&stored.parameters, parameters);
        let mut of_other_scales = spec(Inputs { scaling: Scaling::identity(2), ..inputs.clone() });
        assert_eq!(&of_other_scales.read(&checkpoint.to_bytes().unwrap()).unwrap(), parameters);
        assert_eq!(of_other_scales.scaling(), &inputs.scaling);
        let mut of_more_devices = spec(Inputs { devices: 3, ..inputs });
        assert_eq!(
            of_more_devices.read(&checkpoint.to_bytes().unwrap()).unwrap_err().to_string(),
            "the checkpoint has 2 networks (one per device, or one for all: `sharing`), and 3 are \
             needed"
        );
        assert!(StoredNetworks::of(&checkpoint, "y").is_err());
        checkpoint.metadata.insert("hidden".into(), "3".into());
        assert!(StoredNetworks::of(&checkpoint, "x").is_err());
        checkpoint.metadata.insert("hidden".into(), usize::MAX.to_string());
        assert!(StoredNetworks::of(&checkpoint, "x").is_err());
    }
}
