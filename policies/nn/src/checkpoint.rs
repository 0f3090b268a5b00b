//! Checkpoint files: safetensors with metadata that describes them, and a checksum.
//!
//! Readable from Python (`safetensors.safe_open`). The metadata is one JSON object under the key
//! `offramp` (safetensors writes several keys in no fixed order, and the same content must have
//! the same bytes): what the policy records of itself, and `sha256` of names, tensors and metadata,
//! so that an altered file is refused.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use safetensors::tensor::{Dtype, SafeTensors, TensorView, View};
use sha2::{Digest, Sha256};

use crate::layer::Tensor;

/// The reason why a checkpoint cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CheckpointError {
    /// Not a safetensors file, or cut off.
    #[error("the file is not a checkpoint, or was cut off: {0}")]
    Malformed(String),
    /// The bytes are not those that were written.
    #[error("the file was altered: its checksum does not fit")]
    Altered,
    /// A checkpoint of another policy, or the other thing that a policy saves.
    #[error("the file is {found}, not {wanted}")]
    OtherKind {
        /// The thing that the file is.
        found: String,
        /// The thing that is needed.
        wanted: String,
    },
    /// Written before checkpoints stated this fact, so that it can't be held.
    #[error(
        "the checkpoint does not state its `{0}`: an earlier offramp has written it; train or \
         distil again"
    )]
    Unstated(String),
    /// Networks of single devices, for other devices or servers than were trained on.
    #[error(
        "the checkpoint has a network for each device, trained {0}: use the `system`, \
         `system.seed` and fixed power modes of its training, or train one shared network \
         (`sharing: Shared`)"
    )]
    OtherHardware(&'static str),
    /// A checkpoint of something else.
    #[error("the checkpoint {found}, and {wanted}")]
    Mismatch {
        /// Contents of the checkpoint: a verb and its object.
        found: String,
        /// The rest of the sentence: what is needed.
        wanted: String,
    },
}

/// The key of safetensors' metadata that holds ours.
const METADATA_KEY: &str = "offramp";

/// Upper bound of the sizes in the metadata.
const MAX_SIZE: usize = 1 << 20;

/// A checkpoint in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checkpoint {
    /// Description of the contents, by key.
    pub metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, Stored>,
}

#[derive(Clone, Debug, PartialEq)]
struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl View for &Stored {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

impl Checkpoint {
    /// Adds a tensor of f32, row by row.
    pub fn put_f32(&mut self, name: &str, shape: &[usize], values: impl IntoIterator<Item = f32>) {
        let bytes = values.into_iter().flat_map(f32::to_le_bytes).collect();
        let stored = Stored { dtype: Dtype::F32, shape: shape.to_vec(), bytes };
        self.tensors.insert(name.to_owned(), stored);
    }

    /// Adds a one-dimensional tensor of u64.
    pub fn put_u64(&mut self, name: &str, values: impl IntoIterator<Item = u64>) {
        let bytes: Vec<u8> = values.into_iter().flat_map(u64::to_le_bytes).collect();
        let stored = Stored { dtype: Dtype::U64, shape: vec![bytes.len() / 8], bytes };
        self.tensors.insert(name.to_owned(), stored);
    }

    /// Adds the parameters of several networks of one shape, or numbers that go with them (an
    /// optimiser's state), one tensor of networks × rows × columns per tensor of the shape.
    pub fn put_networks<'n>(
        &mut self,
        prefix: &str,
        tensors: &[Tensor],
        networks: impl IntoIterator<Item = &'n [f32]>,
    ) {
        let networks: Vec<&[f32]> = networks.into_iter().collect();
        for Tensor { name, shape: [rows, columns], range } in tensors {
            let numbers = networks.iter().flat_map(|network| &network[range.clone()]);
            let shape = [networks.len(), *rows, *columns];
            self.put_f32(&format!("{prefix}{name}"), &shape, numbers.copied());
        }
    }

    /// The numbers that [`Checkpoint::put_networks`] put in, network by network.
    ///
    /// # Errors
    /// [`CheckpointError::Mismatch`] if a tensor is missing or has another shape.
    pub fn take_networks(
        &self,
        prefix: &str,
        tensors: &[Tensor],
        networks: usize,
    ) -> Result<Vec<Vec<f32>>, CheckpointError> {
        let read = |Tensor { name, shape: [rows, columns], .. }: &Tensor| {
            self.f32_of_shape(&format!("{prefix}{name}"), &[networks, *rows, *columns])
        };
        let all = tensors.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let length = tensors.iter().map(|tensor| tensor.range.end).max().unwrap_or(0);
        let mut taken = vec![vec![0.0; length]; networks];
        for (tensor, values) in tensors.iter().zip(&all) {
            let each = values.chunks_exact(tensor.range.len().max(1));
            for (numbers, values) in taken.iter_mut().zip(each) {
                numbers[tensor.range.clone()].copy_from_slice(values);
            }
        }
        Ok(taken)
    }

    /// Adds several vectors of `length` numbers as one tensor, vectors × length.
    pub fn put_vectors<'v>(
        &mut self,
        name: &str,
        length: usize,
        vectors: impl IntoIterator<Item = &'v [f32]>,
    ) {
        let vectors: Vec<&[f32]> = vectors.into_iter().collect();
        self.put_f32(name, &[vectors.len(), length], vectors.into_iter().flatten().copied());
    }

    /// The vectors that [`Checkpoint::put_vectors`] put in.
    ///
    /// # Errors
    /// [`CheckpointError::Mismatch`] if there are not `count` vectors of `length` numbers.
    pub fn take_vectors(
        &self,
        name: &str,
        count: usize,
        length: usize,
    ) -> Result<Vec<Vec<f32>>, CheckpointError> {
        let all = self.f32_of_shape(name, &[count, length])?;
        Ok(all.chunks_exact(length.max(1)).map(<[f32]>::to_vec).collect())
    }

    fn get(&self, name: &str, dtype: Dtype) -> Result<&Stored, CheckpointError> {
        let stored = self.tensors.get(name).filter(|stored| stored.dtype == dtype);
        stored.ok_or_else(|| CheckpointError::Mismatch {
            found: match self.tensors.get(name) {
                Some(stored) => format!("has a tensor `{name}` of {:?}", stored.dtype),
                None => format!("has no tensor `{name}`"),
            },
            wanted: format!("one of {dtype:?} is needed"),
        })
    }

    /// A tensor of f32 of any shape, row by row.
    ///
    /// # Errors
    /// [`CheckpointError::Mismatch`] if there is none of that name.
    pub fn f32(&self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        let bytes = &self.get(name, Dtype::F32)?.bytes;
        Ok(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    }

    /// A tensor of f32 of the given shape, row by row.
    ///
    /// # Errors
    /// [`CheckpointError::Mismatch`] if there is none of that name and shape.
    pub fn f32_of_shape(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, CheckpointError> {
        let stored = self.get(name, Dtype::F32)?;
        if stored.shape != shape {
            return Err(CheckpointError::Mismatch {
                found: format!("has a tensor `{name}` of shape {:?}", stored.shape),
                wanted: format!("{shape:?} is needed"),
            });
        }
        self.f32(name)
    }

    /// A tensor of u64.
    ///
    /// # Errors
    /// [`CheckpointError::Mismatch`] if there is none of that name.
    pub fn u64(&self, name: &str) -> Result<Vec<u64>, CheckpointError> {
        let bytes = &self.get(name, Dtype::U64)?.bytes;
        let number =
            |b: &[u8]| b.iter().rev().fold(0_u64, |number, &byte| (number << 8) | u64::from(byte));
        Ok(bytes.chunks_exact(8).map(number).collect())
    }

    /// A fact of the metadata.
    ///
    /// # Errors
    /// [`CheckpointError::Unstated`] if there is none under `key`.
    pub fn fact(&self, key: &str) -> Result<&str, CheckpointError> {
        let fact = self.metadata.get(key).map(String::as_str);
        fact.ok_or_else(|| CheckpointError::Unstated(key.to_owned()))
    }

    /// A size in the metadata, from 1 to 2²⁰: within that, no product of a few sizes overflows.
    ///
    /// # Errors
    /// [`CheckpointError::Unstated`] if there is none, [`CheckpointError::Mismatch`] if it is out of
    /// that range.
    pub fn size(&self, key: &str) -> Result<usize, CheckpointError> {
        let text = self.fact(key)?;
        let size = text.parse().ok().filter(|size| (1..=MAX_SIZE).contains(size));
        size.ok_or_else(|| CheckpointError::Mismatch {
            found: format!("has {text:?} as its `{key}`"),
            wanted: format!("a whole number from 1 to {MAX_SIZE} is needed"),
        })
    }

    /// Checks that every number of every tensor is finite.
    ///
    /// # Errors
    /// [`CheckpointError::Mismatch`] names the first that is not.
    pub fn expect_finite(&self) -> Result<(), CheckpointError> {
        for name in self.tensors.keys().filter(|name| self.get(name, Dtype::F32).is_ok()) {
            let values = self.f32(name)?;
            if let Some(place) = values.iter().position(|value| !value.is_finite()) {
                return Err(CheckpointError::Mismatch {
                    found: format!("has {} at place {place} of tensor `{name}`", values[place]),
                    wanted: "finite numbers are needed".to_owned(),
                });
            }
        }
        Ok(())
    }

    /// The bytes of the file.
    ///
    /// # Errors
    /// [`CheckpointError::Malformed`] if safetensors cannot write it.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CheckpointError> {
        let mut metadata = self.metadata.clone();
        metadata.insert("sha256".to_owned(), self.checksum());
        let malformed = |error: String| CheckpointError::Malformed(error);
        let json =
            serde_json::to_string(&metadata).map_err(|error| malformed(error.to_string()))?;
        let metadata = HashMap::from([(METADATA_KEY.to_owned(), json)]);
        safetensors::serialize(self.tensors.iter(), Some(metadata))
            .map_err(|error| malformed(error.to_string()))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`CheckpointError`] if it is not a checkpoint, was cut off or altered.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let malformed =
            |error: safetensors::SafeTensorError| CheckpointError::Malformed(error.to_string());
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(malformed)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(malformed)?;
        let stored = |view: TensorView<'_>| Stored {
            dtype: view.dtype(),
            shape: view.shape().to_vec(),
            bytes: view.data().to_vec(),
        };
        let json = header.metadata().as_ref().and_then(|metadata| metadata.get(METADATA_KEY));
        let json = json.map_or("{}", String::as_str);
        let mut checkpoint = Self {
            metadata: serde_json::from_str(json)
                .map_err(|error| CheckpointError::Malformed(error.to_string()))?,
            tensors: tensors
                .tensors()
                .into_iter()
                .map(|(name, view)| (name, stored(view)))
                .collect(),
        };
        let checksum = checkpoint.metadata.remove("sha256");
        if checksum != Some(checkpoint.checksum()) {
            return Err(CheckpointError::Altered);
        }
        Ok(checkpoint)
    }

    fn checksum(&self) -> String {
        let mut hash = Sha256::new();
        for (name, stored) in &self.tensors {
            hash.update(name.as_bytes());
            hash.update(&stored.bytes);
        }
        for (key, value) in &self.metadata {
            hash.update(key.as_bytes());
            hash.update(value.as_bytes());
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        checkpoint.metadata.insert("kind".into(), "test".into());
        checkpoint.put_f32("a", &[2, 2], [1.0, -2.5, f32::MIN_POSITIVE, 4.0]);
        checkpoint.put_u64("b", [0, u64::MAX, 1 << 40]);
        checkpoint
    }

    #[test]
    fn what_is_written_is_read() {
        let checkpoint = checkpoint();
        let again = Checkpoint::from_bytes(&checkpoint.to_bytes().unwrap()).unwrap();
        assert_eq!(again, checkpoint);
        assert_eq!(again.f32_of_shape("a", &[2, 2]).unwrap()[1], -2.5);
        assert_eq!(again.u64("b").unwrap(), [0, u64::MAX, 1 << 40]);
        assert_eq!(again.fact("kind"), Ok("test"));
    }

    #[test]
    fn networks_and_vectors_are_taken_out_as_they_were_put_in() {
        let tensor = |name, rows, columns, range| Tensor { name, shape: [rows, columns], range };
        let tensors = [tensor("w", 2, 2, 0..4), tensor("b", 1, 2, 4..6)];
        let networks = [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [7.0, 8.0, 9.0, 10.0, 11.0, 12.0]];
        let mut checkpoint = Checkpoint::default();
        checkpoint.put_networks("x.", &tensors, networks.iter().map(|n| &n[..]));
        checkpoint.put_vectors("v", 6, networks.iter().map(|n| &n[..]));
        assert_eq!(checkpoint.f32_of_shape("x.b", &[2, 1, 2]).unwrap(), [5.0, 6.0, 11.0, 12.0]);
        assert_eq!(checkpoint.take_networks("x.", &tensors, 2).unwrap(), networks);
        assert_eq!(checkpoint.take_vectors("v", 2, 6).unwrap(), networks);
        assert!(checkpoint.take_networks("x.", &tensors, 1).is_err());
        assert!(checkpoint.take_networks("", &tensors, 2).is_err());
        assert!(checkpoint.take_vectors("v", 1, 12).is_err());
    }

    #[test]
    fn the_same_content_has_the_same_bytes() {
        let bytes = checkpoint().to_bytes().unwrap();
        assert!((0..20).all(|_| checkpoint().to_bytes().unwrap() == bytes));
    }

    #[test]
    fn any_cut_is_refused() {
        let bytes = checkpoint().to_bytes().unwrap();
        assert!((0..bytes.len()).all(|length| Checkpoint::from_bytes(&bytes[..length]).is_err()));
    }

    #[test]
    fn any_altered_byte_is_refused() {
        let bytes = checkpoint().to_bytes().unwrap();
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            if let Ok(read) = Checkpoint::from_bytes(&altered) {
                // White space of the header means nothing.
                assert_eq!(read, checkpoint());
            }
        }
    }

    #[test]
    fn a_mismatch_says_what_is_needed() {
        let checkpoint = checkpoint();
        let error = |result: Result<Vec<f32>, CheckpointError>| result.unwrap_err().to_string();
        assert_eq!(
            error(checkpoint.f32_of_shape("a", &[4])),
            "the checkpoint has a tensor `a` of shape [2, 2], and [4] is needed"
        );
        assert_eq!(
            error(checkpoint.f32("b")),
            "the checkpoint has a tensor `b` of U64, and one of F32 is needed"
        );
        assert_eq!(
            error(checkpoint.f32("c")),
            "the checkpoint has no tensor `c`, and one of F32 is needed"
        );
        let mut checkpoint = checkpoint;
        checkpoint.metadata.insert("servers".into(), "0".into());
        assert_eq!(
            checkpoint.size("servers").unwrap_err().to_string(),
            "the checkpoint has \"0\" as its `servers`, and a whole number from 1 to 1048576 is needed"
        );
    }
}
