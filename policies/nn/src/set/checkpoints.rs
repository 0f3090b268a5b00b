//! The one network of a policy over servers, and the checkpoints that keep it: for any number of
//! servers and devices.

use super::inputs::{SetInputs, SetWidths};
use super::shape::SetShape;
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::checkpoint_spec::{CheckpointSpec, Stage, expect_kind};

/// The architecture, as checkpoints of these networks state it.
const ARCHITECTURE: &str = "set of servers: LSTM, embedding, mean and maximum, dueling head";

/// A network over servers: its sizes, what it sees, and the description of its checkpoints.
#[derive(Clone, Debug, PartialEq)]
pub struct SetNetworkSpec {
    /// The sizes of the network.
    pub shape: SetShape,
    checkpoint: CheckpointSpec<SetInputs>,
}

impl SetNetworkSpec {
    /// A network of the policy `kind`. The checkpoints record the SHA-256 of the scenario that they
    /// were made for; nothing compares it.
    pub fn new(kind: &str, inputs: SetInputs, widths: SetWidths, scenario_sha256: &str) -> Self {
        let shape = inputs.shape(widths);
        let SetWidths { lstm, embedding, hidden } = widths;
        let checkpoint = CheckpointSpec::new(kind, inputs)
            .require_parameter("lstm", lstm, "neurons in the LSTM")
            .require_parameter("embedding", embedding, "numbers in the embedding of a server")
            .require_parameter("hidden", hidden, "neurons in the hidden layer")
            .record("architecture", ARCHITECTURE)
            .record("parameters_deployed", shape.parameters())
            .record("scenario_sha256", scenario_sha256);
        Self { shape, checkpoint }
    }

    /// Adds a fact that the checkpoints record and nothing compares.
    #[must_use]
    pub fn record(self, key: &str, value: impl ToString) -> Self {
        Self { checkpoint: self.checkpoint.record(key, value), ..self }
    }

    /// Inputs of the network; the scales of a checkpoint replace its own, with the weights.
    pub fn inputs(&self) -> &SetInputs {
        self.checkpoint.inputs()
    }

    /// A checkpoint with this description, without weights.
    pub fn describe(&self, stage: Stage) -> Checkpoint {
        self.checkpoint.describe(stage)
    }

    /// Checks that a checkpoint is of a network like this.
    ///
    /// # Errors
    /// [`CheckpointError`] names what differs.
    pub fn expect(&self, checkpoint: &Checkpoint, stage: Stage) -> Result<(), CheckpointError> {
        self.checkpoint.expect(checkpoint, stage)
    }

    /// Puts numbers of the shape of the parameters under `prefix`.
    pub fn put(&self, checkpoint: &mut Checkpoint, prefix: &str, numbers: &[f32]) {
        checkpoint.put_networks(prefix, &self.shape.tensors(), [numbers]);
    }

    /// The numbers that [`SetNetworkSpec::put`] put in.
    ///
    /// # Errors
    /// [`CheckpointError::Mismatch`] if a tensor is missing or has another shape.
    pub fn take(&self, checkpoint: &Checkpoint, prefix: &str) -> Result<Vec<f32>, CheckpointError> {
        take(&self.shape, checkpoint, prefix)
    }

    /// Reads a deployed checkpoint: takes over its scales and returns the parameters.
    ///
    /// # Errors
    /// [`CheckpointError`] if it is not of a network like this, or damaged.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Vec<f32>, CheckpointError> {
        let checkpoint = Checkpoint::from_bytes(bytes)?;
        self.checkpoint.deploy(&checkpoint)?;
        self.take(&checkpoint, "")
    }
}

/// Numbers of the shape of the parameters.
fn take(
    shape: &SetShape,
    checkpoint: &Checkpoint,
    prefix: &str,
) -> Result<Vec<f32>, CheckpointError> {
    let networks = checkpoint.take_networks(prefix, &shape.tensors(), 1)?;
    Ok(networks.into_iter().flatten().collect())
}

/// The fact of a checkpoint that states the temperature of the softmax that its decisions are drawn from.
/// Without it the largest value decides.
pub const TEMPERATURE: &str = "temperature";

/// The network of a deployed checkpoint, read without knowing the scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredSetNetwork {
    /// The sizes of the network.
    pub shape: SetShape,
    /// What it was trained on.
    pub inputs: SetInputs,
    /// Its parameters.
    pub parameters: Vec<f32>,
}

impl StoredSetNetwork {
    /// Reads the network of a checkpoint that a [`SetNetworkSpec`] of `kind` described.
    ///
    /// # Errors
    /// [`CheckpointError`] if it is of another kind or damaged.
    pub fn of(checkpoint: &Checkpoint, kind: &str) -> Result<Self, CheckpointError> {
        expect_kind(checkpoint, kind)?;
        checkpoint.expect_finite()?;
        let inputs = SetInputs::of(checkpoint)?;
        let shape = inputs.shape(SetWidths {
            lstm: checkpoint.size("lstm")?,
            embedding: checkpoint.size("embedding")?,
            hidden: checkpoint.size("hidden")?,
        });
        let parameters = take(&shape, checkpoint, "")?;
        Ok(Self { shape, inputs, parameters })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::Columns;

    const WIDTHS: SetWidths = SetWidths { lstm: 2, embedding: 3, hidden: 4 };

    #[test]
    fn networks_are_read_with_and_without_their_description() {
        let inputs = SetInputs {
            observation: "Set".to_owned(),
            device: Columns::new([("a", 0.5), ("b", 4.0)]),
            link: Columns::new([("c", 2.0)]),
            server: Columns::default(),
            history_scale: 10.0,
            history_slots: 3,
        };
        let spec = |inputs, widths| SetNetworkSpec::new("x", inputs, widths, "").record("more", 7);
        let described = spec(inputs.clone(), WIDTHS);
        let parameters: Vec<f32> = (0..described.shape.parameters()).map(|n| n as f32).collect();
        let mut checkpoint = described.describe(Stage::Deployed);
        described.put(&mut checkpoint, "", &parameters);
        assert_eq!(checkpoint.metadata["more"], "7");
        assert!(!checkpoint.metadata.contains_key("servers"));
        let stored = StoredSetNetwork::of(&checkpoint, "x").unwrap();
        assert_eq!(
            stored,
            StoredSetNetwork {
                shape: described.shape,
                inputs: inputs.clone(),
                parameters: parameters.clone(),
            }
        );
        let bytes = checkpoint.to_bytes().unwrap();
        let mut of_other_scales = inputs.clone();
        of_other_scales.link.scales[0] = 9.0;
        let mut of_other_scales = spec(of_other_scales, WIDTHS);
        assert_eq!(of_other_scales.read(&bytes).unwrap(), parameters);
        assert_eq!(of_other_scales.inputs(), &inputs);
        let mut wider = spec(inputs, SetWidths { embedding: 5, ..WIDTHS });
        assert_eq!(
            wider.read(&bytes).unwrap_err().to_string(),
            "the checkpoint has 3 numbers in the embedding of a server, and 5 are needed; for this \
             checkpoint set `parameters: (embedding: 3)`"
        );
        assert!(StoredSetNetwork::of(&checkpoint, "y").is_err());
        for size in ["3".to_owned(), "0".to_owned(), usize::MAX.to_string()] {
            checkpoint.metadata.insert("hidden".into(), size);
            assert!(StoredSetNetwork::of(&checkpoint, "x").is_err());
        }
    }
}
