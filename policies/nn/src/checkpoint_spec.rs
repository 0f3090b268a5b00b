//! The description of a policy's checkpoints: written into each, compared with each that is read.

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::inputs::{Inputs, TrainedInputs};
use crate::sharing::Sharing;

/// The two things that a policy saves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A checkpoint to decide by.
    Deployed,
    /// A snapshot to resume a training from.
    Training,
}

/// A size that must agree when a checkpoint is read.
#[derive(Clone, Debug, PartialEq)]
struct Size {
    key: String,
    value: usize,
    /// Unit it counts, in the plural.
    unit: String,
    origin: SizeOrigin,
}

/// What a size follows from.
#[derive(Clone, Copy, Debug, PartialEq)]
enum SizeOrigin {
    /// The parameter of the policy that is called like its key.
    Parameter,
    Other,
}

/// The kind of a policy's checkpoints, the inputs it was trained on, sizes that must agree when
/// one is read, and facts that are only recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckpointSpec<I = Inputs> {
    kind: String,
    /// Kinds whose checkpoints have the same networks.
    also: Vec<String>,
    inputs: I,
    required: Vec<Size>,
    recorded: Vec<(String, String)>,
    /// The hash of the hardware; empty if all devices and servers are alike.
    hardware: String,
    /// The devices that use a network.
    sharing: Sharing,
}

/// The key of the hash of the hardware; checkpoints of systems that are alike lack it.
const HARDWARE: &str = "hardware_sha256";

impl<I: TrainedInputs> CheckpointSpec<I> {
    /// Checkpoints of `kind`, which is the policy's name, trained on `inputs`; for use on any
    /// hardware.
    pub fn new(kind: &str, inputs: I) -> Self {
        Self {
            kind: kind.to_owned(),
            also: Vec::new(),
            inputs,
            required: Vec::new(),
            recorded: Vec::new(),
            hardware: String::new(),
            sharing: Sharing::Shared,
        }
    }

    /// Also reads checkpoints of these kinds, to decide by: they have the same networks.
    #[must_use]
    pub fn also_reads(mut self, kinds: &[&str]) -> Self {
        self.also = kinds.iter().map(|&kind| kind.to_owned()).collect();
        self
    }

    /// Adds the hash of the hardware, empty if all devices and servers are alike. It is recorded,
    /// and if each device has a network of its own, it must agree when a checkpoint is read: on
    /// other hardware network i would decide for another device i.
    #[must_use]
    pub fn on_hardware(mut self, sha256: &str, sharing: Sharing) -> Self {
        (self.hardware, self.sharing) = (sha256.to_owned(), sharing);
        self
    }

    /// Adds a size that must agree when a checkpoint is read; `unit` is what it counts, in the
    /// plural, for the error.
    #[must_use]
    pub fn require(self, key: &str, value: usize, unit: &str) -> Self {
        self.with_size(key, value, unit, SizeOrigin::Other)
    }

    /// The same of a size that is a parameter of the policy, called `key`: the error says how to set it.
    #[must_use]
    pub fn require_parameter(self, key: &str, value: usize, unit: &str) -> Self {
        self.with_size(key, value, unit, SizeOrigin::Parameter)
    }

    fn with_size(mut self, key: &str, value: usize, unit: &str, origin: SizeOrigin) -> Self {
        self.required.push(Size { key: key.to_owned(), value, unit: unit.to_owned(), origin });
        self
    }

    /// Adds a fact that a checkpoint records and nothing compares.
    #[must_use]
    pub fn record(mut self, key: &str, value: impl ToString) -> Self {
        self.recorded.push((key.to_owned(), value.to_string()));
        self
    }

    /// Inputs of the policy.
    pub fn inputs(&self) -> &I {
        &self.inputs
    }

    fn kind(&self, stage: Stage) -> String {
        match stage {
            Stage::Deployed => self.kind.clone(),
            Stage::Training => format!("{}{IN_TRAINING}", self.kind),
        }
    }

    /// A checkpoint with this description and no tensors.
    pub fn describe(&self, stage: Stage) -> Checkpoint {
        let sizes = self.required.iter().map(|size| (size.key.clone(), size.value.to_string()));
        let kind = ("kind".to_owned(), self.kind(stage));
        let mut checkpoint = Checkpoint::default();
        checkpoint.metadata = sizes.chain(self.recorded.iter().cloned()).chain([kind]).collect();
        self.inputs.record(&mut checkpoint.metadata);
        if !self.hardware.is_empty() {
            checkpoint.metadata.insert(HARDWARE.to_owned(), self.hardware.clone());
        }
        checkpoint
    }

    /// Checks that a checkpoint is of this kind and stage, was trained on such inputs, that every
    /// required size agrees, and the hardware if each device has a network of its own.
    ///
    /// # Errors
    /// [`CheckpointError`] names the first fact that differs.
    pub fn expect(&self, checkpoint: &Checkpoint, stage: Stage) -> Result<(), CheckpointError> {
        let found = checkpoint.fact("kind")?;
        if stage != Stage::Deployed || !self.also.iter().any(|kind| kind == found) {
            expect_kind(checkpoint, &self.kind(stage))?;
        }
        self.inputs.expect(&I::of(checkpoint)?)?;
        for Size { key, value, unit, origin } in &self.required {
            let found = checkpoint.fact(key)?;
            if found != value.to_string() {
                let mend = match origin {
                    SizeOrigin::Parameter => self.settings(checkpoint),
                    SizeOrigin::Other => String::new(),
                };
                let verb = if *value == 1 { "is" } else { "are" };
                return Err(CheckpointError::Mismatch {
                    found: format!("has {found} {unit}"),
                    wanted: format!("{value} {verb} needed{mend}"),
                });
            }
        }
        let trained_on = checkpoint.metadata.get(HARDWARE).map_or("", String::as_str);
        if self.sharing == Sharing::Shared || trained_on == self.hardware {
            return Ok(());
        }
        Err(CheckpointError::OtherHardware(match trained_on {
            "" => "where all devices and servers are alike, or by an earlier offramp",
            _ => "on other hardware",
        }))
    }

    /// The parameters that all have to be set for a checkpoint, as the end of a sentence; empty if it states
    /// one that is not a number.
    fn settings(&self, checkpoint: &Checkpoint) -> String {
        let parameters = self.required.iter().filter(|size| size.origin == SizeOrigin::Parameter);
        let differing = parameters.filter_map(|Size { key, value, .. }| {
            let found = checkpoint.size(key);
            (found != Ok(*value)).then(|| Some(format!("{key}: {}", found.ok()?)))
        });
        let settings: Option<Vec<String>> = differing.collect();
        settings.map_or_else(String::new, |settings| {
            format!("; for this checkpoint set `parameters: ({})`", settings.join(", "))
        })
    }

    /// Checks a checkpoint to decide by, and takes over the scales that it was trained with.
    ///
    /// # Errors
    /// [`CheckpointError`] as in [`CheckpointSpec::expect`], or for a number that is not finite.
    pub fn deploy(&mut self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        self.expect(checkpoint, Stage::Deployed)?;
        checkpoint.expect_finite()?;
        self.inputs.take_scales(I::of(checkpoint)?);
        Ok(())
    }
}

/// The end of the kind of a state of a training.
const IN_TRAINING: &str = " in training";

/// Checks that a checkpoint is of `kind`.
///
/// # Errors
/// [`CheckpointError::OtherKind`] if it is of another.
pub fn expect_kind(checkpoint: &Checkpoint, kind: &str) -> Result<(), CheckpointError> {
    let found = checkpoint.fact("kind")?;
    if found == kind {
        return Ok(());
    }
    let parts = |kind: &str| match kind.strip_suffix(IN_TRAINING) {
        Some(policy) => ("a state of a training", policy.to_owned()),
        None => ("a checkpoint", kind.to_owned()),
    };
    let ((of, found), (needed, wanted)) = (parts(found), parts(kind));
    let wanted =
        if of == needed { format!("of `{wanted}`") } else { format!("{needed} of `{wanted}`") };
    Err(CheckpointError::OtherKind { found: format!("{of} of `{found}`"), wanted })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::Scaling;

    fn inputs() -> Inputs {
        Inputs {
            observation: "Paper".to_owned(),
            features: vec!["alpha".to_owned()],
            scaling: Scaling::new([2.0], 10.0),
            history_slots: 3,
            servers: 2,
            devices: 4,
        }
    }

    fn spec(kind: &str) -> CheckpointSpec {
        CheckpointSpec::new(kind, inputs()).require("hidden", 8, "neurons").record("updates", 5)
    }

    #[test]
    fn a_checkpoint_agrees_with_its_own_description() {
        let checkpoint = spec("x").describe(Stage::Training);
        assert_eq!(checkpoint.metadata["kind"], "x in training");
        assert_eq!(checkpoint.metadata["updates"], "5");
        assert_eq!(checkpoint.metadata["observation"], "Paper");
        assert_eq!(spec("x").expect(&checkpoint, Stage::Training), Ok(()));
        let updated = CheckpointSpec::new("x", inputs()).require("hidden", 8, "neurons");
        assert_eq!(updated.expect(&checkpoint, Stage::Training), Ok(()));
    }

    #[test]
    fn what_differs_is_said_in_a_sentence() {
        let checkpoint = spec("x").describe(Stage::Deployed);
        let error =
            |spec: CheckpointSpec, stage| spec.expect(&checkpoint, stage).unwrap_err().to_string();
        assert_eq!(
            error(spec("y"), Stage::Deployed),
            "the file is a checkpoint of `x`, not of `y`"
        );
        assert_eq!(
            error(spec("x"), Stage::Training),
            "the file is a checkpoint of `x`, not a state of a training of `x`"
        );
        assert_eq!(
            error(
                CheckpointSpec::new("x", inputs()).require("hidden", 9, "neurons"),
                Stage::Deployed
            ),
            "the checkpoint has 8 neurons, and 9 are needed"
        );
        let also = || spec("y").also_reads(&["z", "x"]);
        assert_eq!(also().expect(&checkpoint, Stage::Deployed), Ok(()));
        assert_eq!(
            error(also(), Stage::Training),
            "the file is a checkpoint of `x`, not a state of a training of `y`"
        );
        let other = Inputs { observation: "Extended".to_owned(), ..inputs() };
        assert_eq!(
            error(CheckpointSpec::new("x", other), Stage::Deployed),
            "the checkpoint was trained on observation `Paper`, and this scenario has `Extended`"
        );
    }

    #[test]
    fn a_network_of_each_device_stays_on_its_hardware() {
        let read = |sharing, trained_on: &str, here: &str| {
            let checkpoint = spec("x").on_hardware(trained_on, sharing).describe(Stage::Deployed);
            let recorded = checkpoint.metadata.get(HARDWARE).map(String::as_str);
            assert_eq!(recorded.unwrap_or_default(), trained_on);
            spec("x").on_hardware(here, sharing).expect(&checkpoint, Stage::Deployed)
        };
        for (trained_on, here) in [("", "1a"), ("1a", ""), ("1a", "2b"), ("", ""), ("1a", "1a")] {
            assert_eq!(read(Sharing::Shared, trained_on, here), Ok(()));
            assert_eq!(read(Sharing::PerDevice, trained_on, here).is_ok(), trained_on == here);
        }
        let error =
            |trained_on| read(Sharing::PerDevice, trained_on, "2b").unwrap_err().to_string();
        assert_eq!(
            error("1a"),
            "the checkpoint has a network for each device, trained on other hardware: use the \
             `system`, `system.seed` and fixed power modes of its training, or train one shared \
             network (`sharing: Shared`)"
        );
        assert!(error("").contains("trained where all devices and servers are alike, or by an"));
    }

    #[test]
    fn scales_are_the_checkpoints_and_numbers_finite() {
        let mut checkpoint = spec("x").describe(Stage::Deployed);
        let scaling = Scaling::new([7.0], 3.0);
        let mut here = CheckpointSpec::new("x", Inputs { scaling, ..inputs() });
        here.deploy(&checkpoint).unwrap();
        assert_eq!(here.inputs(), &inputs());
        checkpoint.put_f32("weights", &[2], [1.0, f32::NAN]);
        assert_eq!(
            here.deploy(&checkpoint).unwrap_err().to_string(),
            "the checkpoint has NaN at place 1 of tensor `weights`, and finite numbers are needed"
        );
    }
}
