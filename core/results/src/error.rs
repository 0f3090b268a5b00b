//! Why results can't be written or read.

use std::path::PathBuf;

use crate::holder::Holder;

/// Why results can't be written or read. Nothing that was there before has changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A folder or file can't be written.
    #[error("can't write results to {path}: {cause}")]
    Unwritable {
        /// The folder or file.
        path: PathBuf,
        /// The system's reason.
        cause: std::io::Error,
    },
    /// It was to end early.
    #[error("interrupted; what was done is kept")]
    Interrupted,
    /// The folder already exists.
    #[error("{path} already exists; results are never overwritten")]
    Taken {
        /// The folder.
        path: PathBuf,
    },
    /// An earlier attempt at the same folder has not finished.
    #[error("{path} holds an unfinished run")]
    Unfinished {
        /// The folder of finished parts.
        path: PathBuf,
    },
    /// An earlier attempt at the same folder has results of something else.
    #[error("{path} has results of {run}, and {change}")]
    OtherBatch {
        /// The folder.
        path: PathBuf,
        /// The run.
        run: String,
        /// The part that has changed.
        change: String,
    },
    /// Run folders are not the parts of one batch.
    #[error("{cause}")]
    Unmergeable {
        /// The missing or differing part.
        cause: String,
    },
    /// Another process writes to the folder.
    #[error("{path}: in use by {}", holder.as_ref().map_or("another process".into(), Holder::to_string))]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The process; `None` if it did not say.
        holder: Option<Holder>,
    },
    /// A folder can't be locked: its file system has no locks.
    #[error("can't lock {path}: {cause}")]
    Unlockable {
        /// The file to be locked.
        path: PathBuf,
        /// The system's reason.
        cause: std::io::Error,
    },
    /// A file can't be read, or does not contain what it should.
    #[error("{path}: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The fault, with the row or column if there is one.
        cause: String,
    },
}
