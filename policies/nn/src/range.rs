//! Ranges of a learner's parameters: one form of error, and the ranges that learners share. Outside
//! of them a learner would report to have learned where nothing moved, or numbers would overflow.

use std::fmt::Debug;
use std::ops::RangeInclusive;

use crate::learning::{Loss, Optimiser, TargetUpdate};

/// The reason why parameters can't be learned with.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ParameterError {
    /// A value that is not in its range.
    #[error("{field}: {value} is out of range: {range} is needed")]
    OutOfRange {
        /// The parameter.
        field: String,
        /// Its value.
        value: String,
        /// The values that it may have.
        range: String,
    },
    /// It would end before its first update.
    #[error(
        "it learns nothing before slot {} (`warm_up_slots: {warm_up_slots}`, `every_slots: \
         {every_slots}`), and learns in {slots} slots",
        warm_up_slots.max(&1).div_ceil(*every_slots) * every_slots
    )]
    NoUpdate {
        /// Slots before the first update.
        warm_up_slots: u64,
        /// Slots between updates, at least 1.
        every_slots: u64,
        /// All its slots.
        slots: u64,
    },
    /// A checkpoint larger than [`MAX_CHECKPOINT_BYTES`].
    #[error(
        "{networks} networks of {parameters} parameters would make a checkpoint of more than \
         {} GiB, which is not read: less `hidden`, or `sharing: Shared`",
        MAX_CHECKPOINT_BYTES >> 30
    )]
    Checkpoint {
        /// Number of networks.
        networks: usize,
        /// Parameters of each.
        parameters: usize,
    },
    /// More memory than [`MAX_BYTES`].
    #[error(
        "{what} would need {} GiB of memory, and {} GiB is the limit: {advice}",
        bytes.div_ceil(1 << 30),
        MAX_BYTES >> 30
    )]
    Memory {
        /// The things that would need it.
        what: String,
        /// The bytes they would need.
        bytes: u128,
        /// The way to need less.
        advice: String,
    },
}

/// Upper bound of a learner's memory, bytes: a state of a training is not larger either.
pub const MAX_BYTES: u128 = 16 << 30;

/// Upper bound of a checkpoint, bytes: offramp reads none that is larger.
pub const MAX_CHECKPOINT_BYTES: u128 = 1 << 30;

/// Learning rates, 1: below, f32 weights of about one would not move.
pub const RATE: RangeInclusive<f64> = 1e-7..=1.0;
/// Bounds of a gradient's norm.
pub const CLIP: RangeInclusive<f64> = 1e-3..=1e6;
/// Divisors of rewards and values, in their unit.
pub const SCALE: RangeInclusive<f64> = 1e-3..=1e6;
/// Probabilities, shares and discounts.
pub const UNIT: RangeInclusive<f64> = 0.0..=1.0;
/// Neurons of a layer.
pub const HIDDEN: RangeInclusive<usize> = 1..=4096;
/// Slots between updates.
pub const EVERY_SLOTS: RangeInclusive<u64> = 1..=10_000;

/// Checks that the parameter `field` is in its range.
///
/// # Errors
/// [`ParameterError::OutOfRange`] if it is not, or not a number.
pub fn check<T: PartialOrd + Debug>(
    field: &str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), ParameterError> {
    if range.contains(&value) {
        return Ok(());
    }
    let range = format!("{:?} to {:?}", range.start(), range.end());
    refused(field, &value, &range)
}

/// Refuses a value of `field`, for it is not in `range`.
///
/// # Errors
/// [`ParameterError::OutOfRange`], always.
pub fn refused(field: &str, value: &dyn Debug, range: &str) -> Result<(), ParameterError> {
    let value = format!("{value:?}");
    Err(ParameterError::OutOfRange { field: field.to_owned(), value, range: range.to_owned() })
}

/// Checks a learning rate.
///
/// # Errors
/// [`ParameterError::OutOfRange`] if it is not in [`RATE`].
pub fn check_optimiser(field: &str, optimiser: Optimiser) -> Result<(), ParameterError> {
    check(field, optimiser.rate(), RATE)
}

/// Checks how a target network follows.
///
/// # Errors
/// [`ParameterError::OutOfRange`] if it would follow in no training.
pub fn check_target(field: &str, target: TargetUpdate) -> Result<(), ParameterError> {
    match target {
        TargetUpdate::Hard(updates) => check(field, updates, 1..=100_000),
        TargetUpdate::Soft(share) => check(field, share, 1e-6..=1.0),
    }
}

/// Checks a loss.
///
/// # Errors
/// [`ParameterError::OutOfRange`] if its width is so small or large that its gradient vanishes.
pub fn check_loss(field: &str, loss: Loss) -> Result<(), ParameterError> {
    match loss {
        Loss::Squared => Ok(()),
        Loss::Huber(width) => check(field, width, 1e-3..=1e6),
    }
}

/// Checks that a batch can be drawn from a replay memory: one with fewer places would never have a
/// batch, and nothing would be learned.
///
/// # Errors
/// [`ParameterError::OutOfRange`] for either.
pub fn check_batch(
    batch: usize,
    max_batch: usize,
    replay: usize,
    max_replay: usize,
) -> Result<(), ParameterError> {
    // With a single place, what comes after an experience is never known.
    check("replay", replay, 2..=max_replay)?;
    check("batch", batch, 1..=max_batch)?;
    if batch > replay {
        return refused("batch", &batch, &format!("at most `replay`, which is {replay},"));
    }
    Ok(())
}

/// Checks that `bytes` of memory are within [`MAX_BYTES`].
///
/// # Errors
/// [`ParameterError::Memory`] if they are not; `advice` is how to need less.
pub fn check_memory(what: &str, bytes: u128, advice: &str) -> Result<(), ParameterError> {
    if bytes <= MAX_BYTES {
        return Ok(());
    }
    Err(ParameterError::Memory { what: what.to_owned(), bytes, advice: advice.to_owned() })
}

/// Checks that the checkpoint of so many networks can be read again.
///
/// # Errors
/// [`ParameterError::Checkpoint`] if it would be larger than [`MAX_CHECKPOINT_BYTES`].
pub fn check_checkpoint(networks: usize, parameters: usize) -> Result<(), ParameterError> {
    // Beside each network's numbers, the names and places of its tensors.
    let bytes = networks as u128 * (4 * parameters as u128 + 1024);
    if bytes <= MAX_CHECKPOINT_BYTES {
        return Ok(());
    }
    Err(ParameterError::Checkpoint { networks, parameters })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_field_value_and_range() {
        let text = |result: Result<(), ParameterError>| result.unwrap_err().to_string();
        assert_eq!(
            text(check("reward_scale", 1e-30, SCALE)),
            "reward_scale: 1e-30 is out of range: 0.001 to 1000000.0 is needed"
        );
        for value in [f64::NAN, f64::INFINITY, -1.0, 0.0] {
            assert!(check("clip", value, CLIP).is_err(), "{value}");
        }
        assert_eq!(
            text(check_batch(4096, 65_536, 2_000, 10_000_000)),
            "batch: 4096 is out of range: at most `replay`, which is 2000, is needed"
        );
        assert_eq!(
            text(check_memory("50 networks", 17 << 30, "fewer neurons (`hidden`)")),
            "50 networks would need 17 GiB of memory, and 16 GiB is the limit: fewer neurons \
             (`hidden`)"
        );
        assert!(check_target("target", TargetUpdate::Hard(0)).is_err());
        assert!(check_target("target", TargetUpdate::Soft(1e-30)).is_err());
        assert!(check_loss("loss", Loss::Huber(f64::NAN)).is_err());
        assert!(check_optimiser("optimiser", Optimiser::Adam(1e-30)).is_err());
    }

    #[test]
    fn a_checkpoint_that_would_not_be_read_is_refused() {
        assert_eq!(check_checkpoint(50_000, 3247), Ok(()));
        assert_eq!(
            check_checkpoint(80_000, 3247).unwrap_err().to_string(),
            "80000 networks of 3247 parameters would make a checkpoint of more than 1 GiB, which \
             is not read: less `hidden`, or `sharing: Shared`"
        );
    }
}
