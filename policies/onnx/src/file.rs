//! An ONNX file, with the weights that it keeps in other files: what PyTorch's exporter writes
//! beside `network.onnx` as `network.onnx.data`.
//!
//! Those are taken in here. The runtime would read them itself, but only under names that end in
//! `.data` or so, and without telling which; here any name will do, within the network's folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use offramp_plugin::Error;
use rten_onnx::onnx::{DataLocation, GraphProto, ModelProto, TensorProto};

use crate::wire;

/// The newest operator set whose operators the runtime knows.
const NEWEST_OPERATOR_SET: i64 = 25;

/// The first bytes of what git leaves in place of a file that git-lfs keeps.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// A network as its file describes it, all weights included.
pub(crate) struct OnnxFile {
    pub(crate) model: ModelProto,
    /// The graph of `model`, which has none: inputs, outputs, nodes.
    pub(crate) graph: GraphProto,
    /// The files beside it that were read.
    pub(crate) files: Vec<PathBuf>,
}

impl OnnxFile {
    /// Reads the file of these bytes; `path` is where they came from.
    pub(crate) fn read(bytes: &[u8], path: Option<&Path>) -> Result<Self, Error> {
        refuse_pointer(bytes, "it")?;
        let broken = |why: &str| Error::new(format!("not a network, or cut off: {why}"));
        if !wire::is_whole(bytes) {
            return Err(broken("its parts are not framed as protobuf"));
        }
        let mut model = ModelProto::parse_buf(bytes).map_err(|error| broken(&error.to_string()))?;
        let mut graph = model.graph.take().ok_or_else(|| broken("it has no graph"))?;
        check_operator_set(&model)?;
        let mut beside = Beside { folder: path.and_then(Path::parent), read: BTreeMap::new() };
        take_in(&mut graph, &mut beside)?;
        let files = beside.read.into_values().map(|(path, _)| path).collect();
        Ok(Self { model, graph, files })
    }

    /// The bytes of one file with all weights in it.
    pub(crate) fn into_bytes(self) -> Result<Vec<u8>, Error> {
        Ok(ModelProto { graph: Some(self.graph), ..self.model }.write_buf()?)
    }
}

fn refuse_pointer(bytes: &[u8], what: &str) -> Result<(), Error> {
    if bytes.starts_with(LFS_POINTER) {
        let message =
            format!("{what} is the pointer that git-lfs left, not the file: run `git lfs pull`");
        return Err(Error::new(message));
    }
    Ok(())
}

fn check_operator_set(model: &ModelProto) -> Result<(), Error> {
    let mut sets = model.opset_import.iter();
    let standard = sets.find(|set| matches!(set.domain.as_deref(), None | Some("" | "ai.onnx")));
    match standard.and_then(|set| set.version) {
        Some(version) if version > NEWEST_OPERATOR_SET => Err(Error::new(format!(
            "it uses operator set {version}; {NEWEST_OPERATOR_SET} is the newest that is known \
             here: export it with `opset_version={NEWEST_OPERATOR_SET}` or less"
        ))),
        Some(_) => Ok(()),
        None => Err(Error::new("not a network, or cut off: it states no operator set")),
    }
}

/// The files beside a network.
struct Beside<'p> {
    /// The network's folder, if it came from a file.
    folder: Option<&'p Path>,
    /// What has been read, by location.
    read: BTreeMap<String, (PathBuf, Vec<u8>)>,
}

/// Takes the data of all tensors of the graph, and of graphs in its nodes, into it.
fn take_in(graph: &mut GraphProto, beside: &mut Beside<'_>) -> Result<(), Error> {
    for tensor in &mut graph.initializer {
        beside.take_in(tensor)?;
    }
    for attribute in graph.node.iter_mut().flat_map(|node| &mut node.attribute) {
        if let Some(tensor) = &mut attribute.t {
            beside.take_in(tensor)?;
        }
        if let Some(inner) = &mut attribute.g {
            take_in(inner, beside)?;
        }
    }
    Ok(())
}

impl Beside<'_> {
    fn take_in(&mut self, tensor: &mut TensorProto) -> Result<(), Error> {
        if tensor.data_location != Some(DataLocation::EXTERNAL) {
            return Ok(());
        }
        let name = tensor.name.as_deref().unwrap_or_default();
        let find = |key: &str| {
            let mut entries = tensor.external_data.iter();
            entries.find(|entry| entry.key.as_deref() == Some(key))?.value.as_deref()
        };
        let number = |key: &str| -> Result<Option<usize>, Error> {
            let wrong =
                |text: &str| Error::new(format!("weights `{name}`: their {key} is `{text}`"));
            find(key).map(|text| text.parse().map_err(|_| wrong(text))).transpose()
        };
        let Some(location) = find("location") else {
            return Err(Error::new(format!(
                "weights `{name}` are in another file, and it names none"
            )));
        };
        let (start, length) = (number("offset")?.unwrap_or(0), number("length")?);
        let bytes = self.bytes(location, name)?;
        let end = length.map_or(Some(bytes.len()), |length| start.checked_add(length));
        let Some(slice) = end.and_then(|end| bytes.get(start..end)) else {
            let needed = end.map_or_else(|| "more than can be".to_owned(), |end| end.to_string());
            return Err(Error::new(format!(
                "weights `{name}`: `{location}` has {} bytes, and {needed} are needed: it was cut \
                 off, or belongs to another network",
                bytes.len()
            )));
        };
        tensor.raw_data = Some(slice.to_vec().into());
        tensor.data_location = None;
        tensor.external_data.clear();
        Ok(())
    }

    /// The content of the file at `location`.
    fn bytes(&mut self, location: &str, name: &str) -> Result<&[u8], Error> {
        if !self.read.contains_key(location) {
            let file = self.read_file(location).map_err(|error| {
                Error::new(format!("weights `{name}` are in `{location}`: {}", error.message()))
            })?;
            self.read.insert(location.to_owned(), file);
        }
        Ok(self.read.get(location).map_or(&[], |(_, bytes)| bytes))
    }

    fn read_file(&self, location: &str) -> Result<(PathBuf, Vec<u8>), Error> {
        let Some(folder) = self.folder else {
            return Err(Error::new("not found, since the network did not come from a file"));
        };
        // An absolute path replaces the folder, and `..` or a link may lead out of it.
        let folder = folder.canonicalize()?;
        let path = folder.join(location);
        let whole = path.canonicalize().map_err(|error| {
            Error::new(format!("{error}; keep it beside the network, under the name it had"))
        })?;
        if !whole.starts_with(&folder) || Path::new(location).is_absolute() {
            return Err(Error::new("that is outside of the network's folder, and is not read"));
        }
        if !whole.is_file() {
            return Err(Error::new("that is not a file"));
        }
        let bytes = std::fs::read(&whole)?;
        refuse_pointer(&bytes, "that")?;
        Ok((whole, bytes))
    }
}
