//! Files that a scenario names.

use std::path::{Path, PathBuf};

/// The reason why a file that a scenario names can't be used.
#[derive(Debug, thiserror::Error)]
pub enum NamedFileError {
    /// It can't be opened.
    #[error("{path}: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause, as the system reports it.
        cause: std::io::Error,
    },
    /// A relative path leads out of the scenario's folder, by itself or by a link.
    #[error("`{0}` leaves the scenario's folder")]
    Outside(String),
}

impl NamedFileError {
    /// The mend, if one is known.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Unreadable { .. } => None,
            Self::Outside(_) => Some("give an absolute path if this is intended"),
        }
    }
}

/// The path of a file that a scenario in `folder` names. A scenario may come from anyone, so a
/// relative path must stay in its folder.
///
/// # Errors
/// [`NamedFileError`].
pub fn named_file(folder: &Path, file: &str) -> Result<PathBuf, NamedFileError> {
    let path = folder.join(file);
    let fail = |cause| NamedFileError::Unreadable { path: path.clone(), cause };
    std::fs::File::open(&path).map_err(fail)?;
    if Path::new(file).is_relative() {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let folder = folder.canonicalize().map_err(fail)?;
        if !path.canonicalize().map_err(fail)?.starts_with(folder) {
            return Err(NamedFileError::Outside(file.to_owned()));
        }
    }
    Ok(path)
}
