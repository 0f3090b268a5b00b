//! The description of a policy's checkpoints: written into each, compared with each that is read.

use crate::checkpoint::{Checkpoint, CheckpointError};

/// The two things that a policy saves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A checkpoint to decide by.
    Deployed,
    /// A snapshot to resume a training from.
    Training,
}

/// The kind of a policy's checkpoints, with the facts that must agree when one is read and those
/// that are only recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckpointSpec {
    kind: String,
    required: Vec<(String, String)>,
    recorded: Vec<(String, String)>,
}

impl CheckpointSpec {
    /// Checkpoints of `kind`, which is the policy's name.
    pub fn new(kind: &str) -> Self {
        Self { kind: kind.to_owned(), required: Vec::new(), recorded: Vec::new() }
    }

    /// Adds a fact that must agree when a checkpoint is read.
    #[must_use]
    pub fn require(mut self, key: &str, value: impl ToString) -> Self {
        self.required.push((key.to_owned(), value.to_string()));
        self
    }

    /// Adds a fact that a checkpoint records and nothing compares.
    #[must_use]
    pub fn record(mut self, key: &str, value: impl ToString) -> Self {
        self.recorded.push((key.to_owned(), value.to_string()));
        self
    }

    fn kind(&self, stage: Stage) -> String {
        match stage {
            Stage::Deployed => self.kind.clone(),
            Stage::Training => format!("{} in training", self.kind),
        }
    }

    /// A checkpoint with this description and no tensors.
    pub fn describe(&self, stage: Stage) -> Checkpoint {
        let facts = self.required.iter().chain(&self.recorded).cloned();
        let kind = ("kind".to_owned(), self.kind(stage));
        let mut checkpoint = Checkpoint::default();
        checkpoint.metadata = facts.chain([kind]).collect();
        checkpoint
    }

    /// Checks that a checkpoint is of this kind and stage, and that every required fact agrees.
    ///
    /// # Errors
    /// [`CheckpointError::Mismatch`] names the first fact that differs.
    pub fn expect(&self, checkpoint: &Checkpoint, stage: Stage) -> Result<(), CheckpointError> {
        checkpoint.expect("kind", &self.kind(stage))?;
        self.required.iter().try_for_each(|(key, value)| checkpoint.expect(key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_agrees_with_its_own_description() {
        let spec = CheckpointSpec::new("x").require("hidden", 8).record("updates", 5);
        let checkpoint = spec.describe(Stage::Training);
        assert_eq!(checkpoint.metadata["kind"], "x in training");
        assert_eq!(checkpoint.metadata["updates"], "5");
        assert_eq!(spec.expect(&checkpoint, Stage::Training), Ok(()));
        assert!(spec.expect(&checkpoint, Stage::Deployed).is_err());
        let other = CheckpointSpec::new("x").require("hidden", 9).record("updates", 6);
        let error = other.expect(&checkpoint, Stage::Training).unwrap_err();
        assert_eq!(error.to_string(), "hidden is 8, and 9 is needed");
        let updated = CheckpointSpec::new("x").require("hidden", 8).record("updates", 6);
        assert_eq!(updated.expect(&checkpoint, Stage::Training), Ok(()));
    }
}
