//! What a checkpoint says of itself, whatever policy wrote it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;

use crate::files::{self, MOST_CHECKPOINT_BYTES};

/// A file that is no checkpoint.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {cause}")]
pub struct NoCheckpoint {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub cause: String,
}

/// What a checkpoint holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Contents {
    /// What the policy says of it.
    pub metadata: BTreeMap<String, String>,
    /// Name, type and shape of each tensor, by name.
    pub tensors: Vec<(String, String, Vec<usize>)>,
}

/// The bytes of a checkpoint.
///
/// # Errors
/// What the system says, or that it has more than any checkpoint.
pub fn bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    files::read(path, MOST_CHECKPOINT_BYTES)
}

/// Reads what a checkpoint holds.
///
/// # Errors
/// [`NoCheckpoint`] if it can't be read, or is no safetensors file with offramp's metadata.
pub fn read(path: &Path) -> Result<Contents, NoCheckpoint> {
    let fail = |cause: String| NoCheckpoint { path: path.to_owned(), cause };
    let bytes = bytes(path).map_err(|error| fail(error.to_string()))?;
    let malformed = |error: safetensors::SafeTensorError| {
        fail(format!("is no checkpoint, or was cut off: {error}"))
    };
    let tensors = SafeTensors::deserialize(&bytes).map_err(malformed)?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(malformed)?;
    let metadata = header.metadata().as_ref().and_then(|metadata| metadata.get("offramp"));
    let metadata =
        metadata.ok_or_else(|| fail("has no metadata of offramp: another program's?".into()))?;
    let metadata = serde_json::from_str(metadata)
        .map_err(|error| fail(format!("its metadata is malformed: {error}")))?;
    let mut tensors: Vec<_> = tensors
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, format!("{:?}", view.dtype()), view.shape().to_vec()))
        .collect();
    tensors.sort();
    Ok(Contents { metadata, tensors })
}
