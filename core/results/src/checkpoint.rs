//! Checkpoints: what a file of learned weights states about itself, whatever policy wrote it.
//!
//! A checkpoint is a safetensors file. Its metadata has one key, [`METADATA_KEY`], whose value is
//! a JSON object; datasets have the same header. This module is the only reader of that key.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use serde::de::DeserializeOwned;

use crate::files::{self, MAX_CHECKPOINT_BYTES};

/// The key of a safetensors file's metadata under which offramp keeps its own, as JSON.
pub const METADATA_KEY: &str = "offramp";

/// A file that is not a checkpoint.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {cause}")]
pub struct CheckpointError {
    /// The file.
    pub path: PathBuf,
    /// The fault.
    pub cause: String,
}

/// Why the header of a safetensors file can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The bytes are not a safetensors file, or not all of one.
    #[error("is not a checkpoint, or was cut off: {0}")]
    Malformed(String),
    /// There is no metadata of offramp.
    #[error("has no metadata of offramp; another program may have written it")]
    Foreign,
    /// The metadata does not have the expected fields.
    #[error("has malformed metadata: {0}")]
    Metadata(String),
}

/// Contents of a checkpoint, without the weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Contents {
    /// The policy's own statements, by key.
    pub metadata: BTreeMap<String, String>,
    /// Name, type and shape of each tensor, by name.
    pub tensors: Vec<(String, String, Vec<usize>)>,
}

impl Contents {
    /// The policy whose checkpoint it is, by its name among the plugins, if the checkpoint states
    /// it under the key `kind`.
    pub fn policy(&self) -> Option<&str> {
        self.metadata.get("kind").map(String::as_str)
    }

    /// How many networks it has: 1, or one per device, if the checkpoint states it under the key
    /// `networks`.
    pub fn networks(&self) -> Option<usize> {
        self.metadata.get("networks")?.parse().ok()
    }

    /// Number of parameters as the paper counts them, if the checkpoint states it.
    pub fn parameters_as_in_the_paper(&self) -> Option<f64> {
        self.metadata.get("parameters_as_in_the_paper")?.parse().ok()
    }
}

/// Reads the bytes of a checkpoint file.
///
/// # Errors
/// Those of [`files::read`].
pub fn bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    files::read(path, MAX_CHECKPOINT_BYTES)
}

/// Reads the contents of a checkpoint file.
///
/// # Errors
/// [`CheckpointError`] if it can't be read, is not a safetensors file, or has no metadata of
/// offramp.
pub fn read(path: &Path) -> Result<Contents, CheckpointError> {
    let fail = |cause: String| CheckpointError { path: path.to_owned(), cause };
    let bytes = bytes(path).map_err(|error| fail(error.to_string()))?;
    contents(&bytes).map_err(|error| fail(error.to_string()))
}

fn contents(bytes: &[u8]) -> Result<Contents, HeaderError> {
    let tensors = SafeTensors::deserialize(bytes).map_err(malformed)?;
    let metadata = metadata(bytes)?;
    let mut tensors: Vec<_> = tensors
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, format!("{:?}", view.dtype()), view.shape().to_vec()))
        .collect();
    tensors.sort();
    Ok(Contents { metadata, tensors })
}

/// The metadata of offramp in a safetensors file: of a checkpoint a map of texts, of a dataset
/// its own structure.
///
/// # Errors
/// [`HeaderError`] if the bytes are not a safetensors file, or its metadata is not an `M`.
pub fn metadata<M: DeserializeOwned>(bytes: &[u8]) -> Result<M, HeaderError> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(malformed)?;
    let json = header.metadata().as_ref().and_then(|metadata| metadata.get(METADATA_KEY));
    let json = json.ok_or(HeaderError::Foreign)?;
    serde_json::from_str(json).map_err(|error| HeaderError::Metadata(error.to_string()))
}

fn malformed(error: safetensors::SafeTensorError) -> HeaderError {
    HeaderError::Malformed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::{Dtype, TensorView};
    use std::collections::HashMap;

    fn check(metadata: Option<(&str, &str)>) -> Result<Contents, HeaderError> {
        let metadata =
            metadata.map(|(key, value)| HashMap::from([(key.to_owned(), value.to_owned())]));
        let bytes = 1_f32.to_le_bytes();
        let view = TensorView::new(Dtype::F32, vec![1, 1], &bytes).unwrap();
        contents(&safetensors::serialize([("weight", view)], metadata).unwrap())
    }

    #[test]
    fn a_header_is_read_or_refused_with_the_reason() {
        let json =
            "{\"kind\": \"d3qn\", \"networks\": \"3\", \"parameters_as_in_the_paper\": \"727\"}";
        let read = check(Some(("offramp", json))).unwrap();
        assert_eq!(read.metadata["kind"], "d3qn");
        assert_eq!(read.networks(), Some(3));
        assert_eq!(read.parameters_as_in_the_paper(), Some(727.0));
        assert_eq!(read.tensors, [("weight".to_owned(), "F32".to_owned(), vec![1, 1])]);
        assert_eq!(check(None), Err(HeaderError::Foreign));
        assert_eq!(check(Some(("other", "{}"))), Err(HeaderError::Foreign));
        assert!(matches!(check(Some(("offramp", "[1]"))), Err(HeaderError::Metadata(_))));
        assert!(matches!(contents(b"text"), Err(HeaderError::Malformed(_))));
    }

    #[test]
    fn a_pointer_of_git_lfs_is_named_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("student.safetensors");
        std::fs::write(&file, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
            .unwrap();
        let error = read(&file).unwrap_err().to_string();
        assert!(error.ends_with(
            "student.safetensors: is a pointer of Git LFS, not the file itself; `git lfs pull` \
             fetches that"
        ));
    }
}
