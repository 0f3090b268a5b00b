//! A trained network for a device: as C that a device compiles, or as an ONNX file that its
//! runtime reads.

mod c;
mod onnx;

use std::collections::BTreeMap;

use offramp_results::checkpoint::{self, HeaderError};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

pub use c::{Exported, Weights};

/// A checkpoint that can't be exported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// It is no checkpoint, or was cut off.
    #[error("is no checkpoint, or was cut off: {0}")]
    Malformed(String),
    /// It is a checkpoint of something else.
    #[error("is not of an LSTM with two dense layers and a dueling head: {0}")]
    OtherArchitecture(String),
    /// There is no such network in it.
    #[error("has {networks} networks, 0 … {}; there is no {asked}", networks - 1)]
    NoSuchNetwork {
        /// How many it has.
        networks: usize,
        /// Which was asked for.
        asked: usize,
    },
}

/// A layer: inputs × outputs, row by row, and a bias for each output.
struct Layer {
    name: &'static str,
    inputs: usize,
    outputs: usize,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

/// A network of a checkpoint, ready to be written in another form.
pub struct Network {
    lstm: Layer,
    dense_1: Layer,
    dense_2: Layer,
    head: Layer,
    /// What each feature is divided by.
    feature_scales: Vec<f32>,
    /// What loads are divided by.
    history_scale: f32,
    /// K.
    slots: usize,
    /// M.
    servers: usize,
    /// H.
    hidden: usize,
}

impl Network {
    /// Reads network `network` of a checkpoint.
    ///
    /// # Errors
    /// [`ExportError`] if it is no checkpoint of such networks, or has no such network.
    pub fn read(checkpoint: &[u8], network: usize) -> Result<Self, ExportError> {
        let tensors = SafeTensors::deserialize(checkpoint)
            .map_err(|error| ExportError::Malformed(error.to_string()))?;
        let tensor = |name: &str| {
            let other = |fault: String| ExportError::OtherArchitecture(fault);
            let view = tensors.tensor(name).map_err(|error| other(error.to_string()))?;
            if view.dtype() != Dtype::F32 {
                return Err(other(format!("`{name}` is {:?}", view.dtype())));
            }
            let number = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
            let values: Vec<f32> = view.data().chunks_exact(4).map(number).collect();
            Ok((view.shape().to_vec(), values))
        };
        let layer = |name: &'static str| {
            let (shape, weights) = tensor(&format!("{name}.weight"))?;
            let (_, bias) = tensor(&format!("{name}.bias"))?;
            let [networks, inputs, outputs] = shape[..] else {
                return Err(ExportError::OtherArchitecture(format!(
                    "`{name}` has shape {shape:?}"
                )));
            };
            if network >= networks {
                return Err(ExportError::NoSuchNetwork { networks, asked: network });
            }
            let of = |all: &[f32], size: usize| {
                all.get(network * size..(network + 1) * size).map(<[f32]>::to_vec)
            };
            let short = || ExportError::OtherArchitecture(format!("`{name}` is too short"));
            let weights = of(&weights, inputs * outputs).ok_or_else(short)?;
            let bias = of(&bias, outputs).ok_or_else(short)?;
            Ok(Layer { name, inputs, outputs, weights, bias })
        };
        let (lstm, dense_1) = (layer("lstm")?, layer("dense_1")?);
        let (dense_2, head) = (layer("dense_2")?, layer("head")?);
        let (_, feature_scales) = tensor("feature_scales")?;
        let (_, history_scale) = tensor("history_scale")?;
        let hidden = lstm.outputs / 4;
        let (servers, features) = (lstm.inputs.wrapping_sub(hidden), feature_scales.len());
        let fits = lstm.outputs == 4 * hidden
            && dense_1.inputs == features + hidden
            && head.outputs == servers.wrapping_add(2)
            && history_scale.len() == 1;
        if !fits {
            return Err(ExportError::OtherArchitecture(
                "its layers do not fit together".to_owned(),
            ));
        }
        let slots = history_slots(checkpoint)?;
        Ok(Self {
            lstm,
            dense_1,
            dense_2,
            head,
            feature_scales,
            history_scale: history_scale[0],
            slots,
            servers,
            hidden,
        })
    }
}

/// K, which no tensor's shape tells.
fn history_slots(checkpoint: &[u8]) -> Result<usize, ExportError> {
    let metadata: BTreeMap<String, String> = match checkpoint::metadata(checkpoint) {
        Ok(metadata) => metadata,
        Err(HeaderError::Foreign) => BTreeMap::new(),
        Err(error) => return Err(ExportError::Malformed(error.to_string())),
    };
    let slots = metadata.get("history_slots").and_then(|slots| slots.parse().ok());
    slots.ok_or_else(|| ExportError::OtherArchitecture("it has no history_slots".to_owned()))
}
