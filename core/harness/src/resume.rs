//! What a training and a distillation need to go on as if never interrupted: a table that is cut
//! back to its last save, and a state file that is there whole or as it was before.

use std::io::Seek;
use std::path::{Path, PathBuf};

use offramp_results::files::{self, MAX_DATA_BYTES};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Whether a training or a distillation begins or goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// From the beginning, in a folder that is not there yet.
    New,
    /// From the last save in the folder; from the beginning if there is none.
    Resume,
}

/// What goes wrong with a folder of a training or distillation.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It can't be written.
    #[error("can't write {path}: {cause}")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// There is one already.
    #[error("{path} is there already")]
    Taken {
        /// The folder.
        path: PathBuf,
    },
    /// What was saved can't be read again.
    #[error("can't go on from {path}: {cause}")]
    NotResumable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
}

/// An error of writing `path`.
pub(crate) fn unwritable(path: &Path) -> impl Fn(std::io::Error) -> FolderError {
    let path = path.to_owned();
    move |cause| FolderError::Unwritable { path: path.clone(), cause }
}

/// Makes the folder, with the scenario in it.
pub(crate) fn begin(folder: &Path, start: Start, scenario: &str) -> Result<(), FolderError> {
    if start == Start::New && folder.exists() {
        return Err(FolderError::Taken { path: folder.to_owned() });
    }
    std::fs::create_dir_all(folder).map_err(unwritable(folder))?;
    write(&folder.join("scenario.ron"), scenario.as_bytes())
}

/// Writes a file whole, or leaves it as it was.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    files::write_atomically(path, bytes).map_err(unwritable(path))
}

/// A CSV table that grows by a row at a time.
pub(crate) struct Table {
    path: PathBuf,
    writer: csv::Writer<std::fs::File>,
}

impl Table {
    /// Opens the table, cut back to its first `bytes`.
    pub(crate) fn open(path: &Path, bytes: u64) -> Result<Self, FolderError> {
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).open(path);
        let mut file = file.map_err(unwritable(path))?;
        file.set_len(bytes)
            .and_then(|()| file.seek(std::io::SeekFrom::End(0)))
            .map_err(unwritable(path))?;
        let writer = csv::WriterBuilder::new().has_headers(bytes == 0).from_writer(file);
        Ok(Self { path: path.to_owned(), writer })
    }

    /// Adds a row.
    pub(crate) fn add(&mut self, row: impl Serialize) -> Result<(), FolderError> {
        let other = |error: csv::Error| std::io::Error::other(error.to_string());
        self.writer
            .serialize(row)
            .map_err(other)
            .and_then(|()| self.writer.flush())
            .map_err(unwritable(&self.path))
    }

    /// Bytes of the rows so far.
    pub(crate) fn bytes(&self) -> Result<u64, FolderError> {
        let metadata = self.writer.get_ref().metadata();
        Ok(metadata.map_err(unwritable(&self.path))?.len())
    }
}

const FORMAT: u32 = 2;

/// The header of a state file.
#[derive(Serialize, Deserialize)]
struct Header<S> {
    format: u32,
    scenario_sha256: String,
    state: S,
}

/// Saves `state` and what the plugin gave, in one file: the length of a JSON header, the header,
/// then the plugin's bytes.
pub(crate) fn save(
    path: &Path,
    scenario_sha256: &str,
    state: impl Serialize,
    plugin: &[u8],
) -> Result<(), FolderError> {
    let header = Header { format: FORMAT, scenario_sha256: scenario_sha256.to_owned(), state };
    let header = serde_json::to_vec(&header).map_err(|error| unwritable(path)(error.into()))?;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend(plugin);
    write(path, &bytes)
}

/// Reads what was saved for that scenario, if anything was.
pub(crate) fn load<S: DeserializeOwned>(
    path: &Path,
    scenario_sha256: &str,
) -> Result<Option<(S, Vec<u8>)>, FolderError> {
    let fail = |cause: String| FolderError::NotResumable { path: path.to_owned(), cause };
    let bytes = match files::read(path, MAX_DATA_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(error.to_string())),
    };
    let cut_off = || fail("it was cut off".to_owned());
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(cut_off)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| cut_off())?;
    let (header, plugin) = rest.split_at_checked(length).ok_or_else(cut_off)?;
    // The format before the rest, which it may say is another.
    let format = serde_json::from_slice::<Header<serde_json::Value>>(header)
        .map_err(|error| fail(error.to_string()))?
        .format;
    if format != FORMAT {
        return Err(fail(format!("it has format {format}, this is {FORMAT}")));
    }
    let header: Header<S> =
        serde_json::from_slice(header).map_err(|error| fail(error.to_string()))?;
    if header.scenario_sha256 != scenario_sha256 {
        return Err(fail("it is of another scenario, or the scenario was changed".to_owned()));
    }
    Ok(Some((header.state, plugin.to_vec())))
}
