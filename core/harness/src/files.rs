//! Reading files that someone else may have made: never more than they may have.

use std::fs::File;
use std::io::{Error, Read, Result};
use std::path::Path;

/// A checkpoint that is larger is none.
pub(crate) const MOST_CHECKPOINT_BYTES: u64 = 1 << 30;
/// A dataset, or what a training needs to go on (its replay memory is in it), that is larger is
/// none.
pub(crate) const MOST_DATA_BYTES: u64 = 16 << 30;

/// The bytes of a file that has at most `most`.
///
/// # Errors
/// What the system says, or that the file has more: then no more than so many were read.
pub(crate) fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    let file = File::open(path)?;
    let too_large = || Error::other(format!("it has more than {most} bytes"));
    // What has no size, a device or a pipe, is stopped while it is read.
    let size = file.metadata()?.len();
    if size > most {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size as usize).map_err(|_| too_large())?;
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(too_large());
    }
    Ok(bytes)
}
