//! Trained networks for devices: C source that a device compiles, or an ONNX file that its runtime
//! reads.
//!
//! A [`Format`] is one entry of [`FORMATS`] and one file here. [`export`] writes the networks that
//! a [`NetworkSpec`](crate::networks::NetworkSpec) described, [`export_set`] the one of a
//! [`SetNetworkSpec`](crate::set::SetNetworkSpec), for any number of servers; [`c`] has the parts that other
//! models (trees) share, so that all exported C has the same entry point.

pub mod c;
mod onnx;
mod set_c;
mod set_onnx;
#[cfg(test)]
mod set_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::inputs::{Inputs, Scaling, TrainedInputs};
use crate::networks::StoredNetworks;
use crate::set::{SetInputs, SetShape, StoredSetNetwork, TEMPERATURE};
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
    write_set: fn(&SetNetwork<'_>) -> Vec<ExportedFile>,
}

/// All formats.
pub const FORMATS: [Format; 3] = [c::FORMAT, c::FORMAT_INT8, onnx::FORMAT];

/// The names of all formats.
pub const FORMAT_NAMES: [&str; 3] = [FORMATS[0].name, FORMATS[1].name, FORMATS[2].name];

/// The network that is asked for, and what it is to be called.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// The name of a format.
    pub format: &'r str,
    /// Which network of the checkpoint, counted from 0.
    pub network: usize,
    /// The name of the files, and the beginning of every public name in them: letters, digits and
    /// underscores, a letter first.
    pub name: &'r str,
}

/// Where an exported policy comes from, as its files state.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin<I = Inputs> {
    /// [`Request::name`].
    pub name: String,
    /// Inputs that the policy was trained on.
    pub inputs: I,
    /// The metadata of the checkpoint, and `network`: which of its `networks` this is.
    pub facts: BTreeMap<String, String>,
}

impl<I: TrainedInputs> Origin<I> {
    /// The origin of a network of `checkpoint`, which has `networks`.
    ///
    /// # Errors
    /// [`ExportError`] if there is no such network, the name is not one, or the checkpoint does not
    /// state its inputs.
    pub fn new(
        checkpoint: &Checkpoint,
        request: &Request<'_>,
        networks: usize,
    ) -> Result<Self, ExportError> {
        let Request { name, network, .. } = *request;
        if network >= networks {
            return Err(ExportError::NoSuchNetwork { networks, asked: network });
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !name.starts_with(|c: char| c.is_ascii_alphabetic())
            || !name.chars().all(plain)
            || name.len() > MAX_NAME
        {
            return Err(ExportError::Name(name.to_owned()));
        }
        let inputs = I::of(checkpoint).map_err(ExportError::OtherArchitecture)?;
        let mut facts = checkpoint.metadata.clone();
        facts.insert("network".to_owned(), network.to_string());
        facts.insert("networks".to_owned(), networks.to_string());
        Ok(Self { name: name.to_owned(), inputs, facts })
    }

    /// The device whose own network it is; `None` if all devices share it.
    pub fn device(&self) -> Option<&str> {
        let own = self.facts.get("networks").is_some_and(|networks| networks != "1");
        self.facts.get("network").filter(|_| own).map(String::as_str)
    }
}

impl Origin<SetInputs> {
    /// The temperature of the softmax that decisions are drawn from; `None` if the largest value decides.
    fn temperature(&self) -> Option<f32> {
        let stated = self.facts.get(TEMPERATURE)?.parse().ok();
        stated.filter(|temperature: &f32| temperature.is_finite() && *temperature > 0.0)
    }
}

/// Upper bound of the bytes of a name: C guarantees 63 characters of a name to be significant.
const MAX_NAME: usize = 40;

/// A network to be exported.
struct Network<'n> {
    shape: Shape,
    scaling: &'n Scaling,
    parameters: &'n [f32],
    origin: &'n Origin,
}

/// Meanings of the inputs of a network over servers, as its policy defines them: a program that calls
/// the network has to compute them. Lines of ASCII, which files state beside the names.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meanings<'m> {
    /// Symbols and bounds that the others use, one line each.
    pub terms: &'m [&'m str],
    /// Meaning, with unit or formula, of each feature by name, of whatever kind.
    pub features: &'m [(&'m str, &'m str)],
    /// Meaning of a load in the history.
    pub load: &'m str,
}

impl<'m> Meanings<'m> {
    /// The meaning of a feature; `None` if it has none.
    fn of(&self, name: &str) -> Option<&'m str> {
        self.features.iter().find(|(feature, _)| *feature == name).map(|(_, meaning)| *meaning)
    }

    /// Adds them to the facts of a file.
    fn state(&self, inputs: &SetInputs, facts: &mut BTreeMap<String, String>) {
        let mut state = |key: &str, lines: Vec<String>| {
            if !lines.is_empty() {
                facts.insert(key.to_owned(), lines.join("\n"));
            }
        };
        state("terms", self.terms.iter().map(|&term| term.to_owned()).collect());
        for (kind, columns) in inputs.columns() {
            let line = |name: &String| Some(format!("{name}: {}", self.of(name)?));
            state(&format!("{kind}_meanings"), columns.names.iter().filter_map(line).collect());
        }
        let load = Some(self.load).filter(|load| !load.is_empty());
        state("load_meaning", load.into_iter().map(str::to_owned).collect());
    }
}

/// A network over servers to be exported.
struct SetNetwork<'n> {
    meanings: &'n Meanings<'n>,
    shape: &'n SetShape,
    inputs: &'n SetInputs,
    parameters: &'n [f32],
    origin: &'n Origin<SetInputs>,
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
        "has {}; network {asked} does not exist",
        match networks {
            1 => "1 network, network 0".to_owned(),
            _ => format!("{networks} networks (0 to {})", networks.saturating_sub(1)),
        }
    )]
    NoSuchNetwork {
        /// Number of networks in the checkpoint.
        networks: usize,
        /// The network that was asked for.
        asked: usize,
    },
    /// A name that can't begin the names of a program.
    #[error(
        "can't be called {0:?}: 1 to 40 letters, digits and underscores are needed, a letter first"
    )]
    Name(String),
    /// A format of another name.
    #[error("cannot be exported as `{asked}`; the formats are {}", known.join(", "))]
    NoSuchFormat {
        /// The format that was asked for.
        asked: String,
        /// All formats of this model.
        known: Vec<&'static str>,
    },
}

/// Writes a network of a deployed checkpoint of the policy `kind`.
///
/// # Errors
/// [`ExportError`] if there is no such format or network, or the checkpoint is not of that policy.
pub fn export(
    kind: &str,
    checkpoint: &[u8],
    request: &Request<'_>,
) -> Result<Vec<ExportedFile>, ExportError> {
    let format = Format::of(request)?;
    let checkpoint = Checkpoint::from_bytes(checkpoint).map_err(ExportError::Unreadable)?;
    let stored = StoredNetworks::of(&checkpoint, kind).map_err(ExportError::OtherArchitecture)?;
    let origin = Origin::new(&checkpoint, request, stored.parameters.len())?;
    let scaling = &stored.inputs.scaling;
    let parameters = &stored.parameters[request.network];
    Ok((format.write)(&Network { shape: stored.shape, scaling, parameters, origin: &origin }))
}

/// How values become an action, as files state it.
fn decision(temperature: Option<f32>) -> String {
    match temperature {
        None => "take the action of the largest value".to_owned(),
        Some(temperature) => format!(
            "draw an action, each in proportion to e^(value / {temperature}): devices that see the same \
             loads would all take the largest value, and meet at one server"
        ),
    }
}

/// Writes the network of a deployed checkpoint of the policy `kind`, for any number of servers, whose
/// inputs have these `meanings`. Files and formats are those of [`export`]; the network is number 0.
///
/// # Errors
/// [`ExportError`] if there is no such format or network, or the checkpoint is not of that policy.
pub fn export_set(
    kind: &str,
    checkpoint: &[u8],
    request: &Request<'_>,
    meanings: &Meanings<'_>,
) -> Result<Vec<ExportedFile>, ExportError> {
    let format = Format::of(request)?;
    let checkpoint = Checkpoint::from_bytes(checkpoint).map_err(ExportError::Unreadable)?;
    let stored = StoredSetNetwork::of(&checkpoint, kind).map_err(ExportError::OtherArchitecture)?;
    let mut origin: Origin<SetInputs> = Origin::new(&checkpoint, request, 1)?;
    let StoredSetNetwork { shape, inputs, parameters } = &stored;
    meanings.state(inputs, &mut origin.facts);
    origin.facts.insert("decision".to_owned(), decision(origin.temperature()));
    let origin = &origin;
    Ok((format.write_set)(&SetNetwork { meanings, shape, inputs, parameters, origin }))
}

impl Format {
    /// The format that is asked for.
    fn of(request: &Request<'_>) -> Result<&'static Self, ExportError> {
        let format = FORMATS.iter().find(|known| known.name == request.format);
        format.ok_or_else(|| ExportError::NoSuchFormat {
            asked: request.format.to_owned(),
            known: FORMAT_NAMES.to_vec(),
        })
    }
}
