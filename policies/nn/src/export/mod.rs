//! Trained networks for devices: C source that a device compiles, or an ONNX file that its runtime
//! reads.
//!
//! A [`Format`] is one entry of [`FORMATS`] and one file here. [`export`] writes the networks that
//! a [`NetworkSpec`](crate::networks::NetworkSpec) described; [`c`] has the parts that other
//! models (trees) share, so that all exported C has the same entry point.

pub mod c;
mod onnx;
#[cfg(test)]
mod tests;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::networks::{Scaling, StoredNetworks};
use crate::shape::Shape;

/// A file for a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedFile {
    /// Its name, without a folder.
    pub name: String,
    /// Contents.
    pub bytes: Vec<u8>,
    /// The memory it needs, or how it is used; empty if there is nothing to say.
    pub note: String,
}

/// A form in which a network can be exported.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// Its name in requests.
    pub name: &'static str,
    /// A sentence for people who choose.
    pub about: &'static str,
    write: fn(&Network<'_>) -> Vec<ExportedFile>,
}

/// All formats.
pub const FORMATS: [Format; 3] = [c::FORMAT, c::FORMAT_INT8, onnx::FORMAT];

/// The names of all formats.
pub const FORMAT_NAMES: [&str; 3] = [FORMATS[0].name, FORMATS[1].name, FORMATS[2].name];

/// A network to be exported.
struct Network<'n> {
    shape: Shape,
    scaling: &'n Scaling,
    parameters: &'n [f32],
}

/// The reason why a checkpoint cannot be exported.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ExportError {
    /// Not a checkpoint, or damaged.
    #[error(transparent)]
    Unreadable(CheckpointError),
    /// A checkpoint of something else.
    #[error("cannot be exported: {0}")]
    OtherArchitecture(CheckpointError),
    /// The checkpoint has fewer networks.
    #[error(
        "has {networks} networks (0 to {}); network {asked} does not exist",
        networks.saturating_sub(1)
    )]
    NoSuchNetwork {
        /// Number of networks in the checkpoint.
        networks: usize,
        /// The network that was asked for.
        asked: usize,
    },
    /// A format of another name.
    #[error("cannot be exported as `{asked}`; the formats are {}", known.join(", "))]
    NoSuchFormat {
        /// The format that was asked for.
        asked: String,
        /// All formats of this model.
        known: Vec<&'static str>,
    },
}

/// Writes network `network` (counted from 0) of a deployed checkpoint in the format of that name.
///
/// # Errors
/// [`ExportError`] if there is no such format or network, or the checkpoint is not of networks
/// with an LSTM and a dueling head.
pub fn export(
    checkpoint: &[u8],
    format: &str,
    network: usize,
) -> Result<Vec<ExportedFile>, ExportError> {
    let write = FORMATS.iter().find(|known| known.name == format).map(|format| format.write);
    let write = write.ok_or_else(|| ExportError::NoSuchFormat {
        asked: format.to_owned(),
        known: FORMATS.map(|format| format.name).to_vec(),
    })?;
    let checkpoint = Checkpoint::from_bytes(checkpoint).map_err(ExportError::Unreadable)?;
    let stored = StoredNetworks::of(&checkpoint).map_err(ExportError::OtherArchitecture)?;
    let StoredNetworks { shape, scaling, parameters } = &stored;
    let parameters = parameters
        .get(network)
        .ok_or(ExportError::NoSuchNetwork { networks: stored.parameters.len(), asked: network })?;
    Ok(write(&Network { shape: *shape, scaling, parameters }))
}
