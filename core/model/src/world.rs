//! The world that moves: positions of devices, the radio channel to base stations, and fading.
//!
//! Everything random here is a pure function of seed, episode, purpose and entity ([`crate::rng`]):
//! every policy meets the same trajectories, shadowing and fading, bit-identical, whatever it
//! decides and however often it asks.
//!
//! | module | contents |
//! |---|---|
//! | [`mobility`] | where devices are: parameters ([`Mobility`]) and the state of an episode ([`Motion`]) |
//! | [`radio`] | path loss, line of sight, shadowing, rate of a pair of device and station |
//! | [`fading`] | small-scale fading, slot by slot or averaged over a slot |
//! | [`process`] | the correlated Gaussian process under line of sight, shadowing and fading |
//! | [`special`] | the special functions that these need, with their errors |

pub mod fading;
pub mod mobility;
pub mod process;
pub mod radio;
pub mod special;
#[cfg(test)]
mod statistics;

pub use fading::{Fade, FadeClocks, Fading};
pub use mobility::{Area, Mobility, Motion, Position, Tracks};
pub use process::{Nearby, Process};
pub use radio::{
    Channel, Link, LinkMemory, PathLoss, Radio, RadioParameters, Shadowing, Whereabouts,
};

use crate::distribution::Range;

/// A parameter of the world that is out of range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{parameter}: {fault}")]
pub struct InvalidWorld {
    /// The field.
    pub parameter: &'static str,
    /// Its value and the range needed.
    pub fault: String,
}

/// Checks one number against a range.
fn check(parameter: &'static str, value: f64, range: Range) -> Result<(), InvalidWorld> {
    range.fault(value).map_or(Ok(()), |fault| Err(InvalidWorld { parameter, fault }))
}

/// Checks one number against `low` … `high`, both included.
fn check_between(
    parameter: &'static str,
    value: f64,
    low: f64,
    high: f64,
) -> Result<(), InvalidWorld> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    let fault = format!("{value} is out of range: a number from {low} to {high} is needed");
    Err(InvalidWorld { parameter, fault })
}
