//! Resuming: what a training and a distillation need to continue as if never interrupted. A table
//! is cut back to the last save, and a state file is replaced as a whole or not at all.

use std::io::Seek;
use std::path::{Path, PathBuf};

use offramp_results::files::{self, MAX_DATA_BYTES};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The start of a training, a distillation or a batch: new or resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// From the beginning, in a folder that does not exist yet.
    New,
    /// From the last save in the folder; from the beginning if there is none.
    Resume,
}

/// An error of the folder of a training or distillation.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It can't be written.
    #[error("can't write {path}: {cause}")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The cause, as the system reports it.
        cause: std::io::Error,
    },
    /// It already exists, and the training or distillation was to begin anew.
    #[error("{path} already exists")]
    Taken {
        /// The folder.
        path: PathBuf,
    },
    /// The last save can't be read.
    #[error("can't resume from {path}: {cause}")]
    NotResumable {
        /// The file.
        path: PathBuf,
        /// The fault in the file.
        cause: String,
    },
}

/// An error of writing `path`.
pub(crate) fn unwritable(path: &Path) -> impl Fn(std::io::Error) -> FolderError {
    let path = path.to_owned();
    move |cause| FolderError::Unwritable { path: path.clone(), cause }
}

/// Creates the folder, with the scenario in it.
pub(crate) fn begin(folder: &Path, start: Start, scenario: &str) -> Result<(), FolderError> {
    if start == Start::New && folder.exists() {
        return Err(FolderError::Taken { path: folder.to_owned() });
    }
    std::fs::create_dir_all(folder).map_err(unwritable(folder))?;
    write(&folder.join("scenario.ron"), scenario.as_bytes())
}

/// Replaces a file as a whole, or leaves it as it was.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    files::write_atomically(path, bytes).map_err(unwritable(path))
}

/// A CSV table that grows by one row at a time.
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

    /// Size of the header and the rows so far, bytes.
    pub(crate) fn bytes(&self) -> Result<u64, FolderError> {
        let metadata = self.writer.get_ref().metadata();
        Ok(metadata.map_err(unwritable(&self.path))?.len())
    }
}

/// The version of the format of state files.
const FORMAT: u32 = 2;

/// The header of a state file.
#[derive(Serialize, Deserialize)]
struct Header<S> {
    format: u32,
    scenario_sha256: String,
    state: S,
}

/// Saves `state` and the bytes of a plugin in one file: the length of a JSON header (u64, little
/// endian), the header, then the plugin's bytes.
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

/// Reads the state and the plugin's bytes that were saved for a scenario; `None` if there is no
/// file.
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
    // The format comes first: the rest may have another form.
    let format = serde_json::from_slice::<Header<serde_json::Value>>(header)
        .map_err(|error| fail(error.to_string()))?
        .format;
    if format != FORMAT {
        return Err(fail(format!("it has format {format}; this version reads format {FORMAT}")));
    }
    let header: Header<S> =
        serde_json::from_slice(header).map_err(|error| fail(error.to_string()))?;
    if header.scenario_sha256 != scenario_sha256 {
        return Err(fail("it belongs to another scenario, or the scenario has changed".to_owned()));
    }
    Ok(Some((header.state, plugin.to_vec())))
}
