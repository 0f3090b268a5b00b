//! Files: bounded reads, atomic writes, hashes, records of files, free names.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Error, Read, Result, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Upper bound on the size of a checkpoint file, bytes.
pub const MAX_CHECKPOINT_BYTES: u64 = 1 << 30;
/// Upper bound on the size of a dataset or of a training's state (which includes its replay
/// memory), bytes.
pub const MAX_DATA_BYTES: u64 = 16 << 30;

fn too_large(max: u64) -> Error {
    Error::other(format!("it has more than {max} bytes"))
}

/// Reads a file of at most `max` bytes. Someone else may have made it, so no more memory than
/// that is taken, whatever the file claims.
///
/// # Errors
/// The system's error, or one stating that the file is larger or only points to one that Git LFS
/// has not fetched.
pub fn read(path: &Path, max: u64) -> Result<Vec<u8>> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    if size > max {
        return Err(too_large(max));
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size as usize).map_err(|_| too_large(max))?;
    // A device or a pipe has no size: it is stopped while it is read.
    file.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(too_large(max));
    }
    if bytes.starts_with(b"version https://git-lfs.github.com/spec/") {
        let text = "is a pointer of Git LFS, not the file itself; `git lfs pull` fetches that";
        return Err(Error::other(text));
    }
    Ok(bytes)
}

/// Writes a file so that, whatever happens meanwhile, it is complete or as it was before.
///
/// # Errors
/// The system's error; the file is as it was before.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    write_parts_atomically(path, &[bytes])
}

/// Writes a file that a user has named, over an earlier one, as [`write_atomically`] does. What it is
/// written to first has a name that no other file has.
///
/// # Errors
/// The system's error; the file is as it was before.
pub fn replace_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut options = tempfile::Builder::new();
    options.prefix(".offramp-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // A temporary file is private; this one is not. The user's mask applies.
        options.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = options.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Writes a file of several parts, one after the other, as [`write_atomically`] does.
///
/// # Errors
/// The system's error; the file is as it was before.
pub fn write_parts_atomically(path: &Path, parts: &[&[u8]]) -> Result<()> {
    // A fixed name: the next attempt overwrites what an interruption leaves.
    let partial = path.with_extension("partial");
    let written = write_synced(&partial, parts).and_then(|()| std::fs::rename(&partial, path));
    if written.is_err() {
        // Half a file would only take room, which may be what is missing.
        let _ = std::fs::remove_file(&partial);
    }
    written
}

/// Writes a file to the disk.
pub(crate) fn write_synced(path: &Path, parts: &[&[u8]]) -> Result<()> {
    let mut file = File::create(path)?;
    parts.iter().try_for_each(|part| file.write_all(part))?;
    file.sync_all()
}

/// Puts the folder `new` in the place of the one at `path`, and that one in the place of `new`, in
/// one step.
#[cfg(target_os = "linux")]
pub(crate) fn exchange(new: &Path, path: &Path) -> Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, new, CWD, path, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        // Not every file system can.
        Err(_) => exchange_in_steps(new, path),
    }
}

/// Puts the folder `new` in the place of the one at `path`, and that one in the place of `new`.
#[cfg(not(target_os = "linux"))]
pub(crate) fn exchange(new: &Path, path: &Path) -> Result<()> {
    exchange_in_steps(new, path)
}

fn exchange_in_steps(new: &Path, path: &Path) -> Result<()> {
    let old = new.with_extension("old");
    std::fs::rename(path, &old)?;
    if let Err(error) = std::fs::rename(new, path) {
        std::fs::rename(&old, path)?;
        return Err(error);
    }
    std::fs::rename(&old, new)
}

/// SHA-256 in lower-case hexadecimal, 64 digits.
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// SHA-256 of the contents of a file of at most `max` bytes, of which a small part at a time is in
/// memory.
///
/// # Errors
/// The system's error, or one stating that the file is larger or has no end, as devices do.
pub fn sha256_of_file(path: &Path, max: u64) -> Result<String> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(Error::other("it is not a regular file"));
    }
    if metadata.len() > max {
        return Err(too_large(max));
    }
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hexadecimal(&hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A file that a result depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileRecord {
    /// Its path: relative to the scenario's folder if it is in there, else absolute.
    pub path: String,
    /// SHA-256 of its contents, in hexadecimal.
    pub sha256: String,
}

impl FileRecord {
    /// The record of `file`, whose path is relative to `folder` or absolute, and which has at most
    /// `max` bytes.
    ///
    /// # Errors
    /// As for [`sha256_of_file`].
    pub fn of(file: &Path, folder: &Path, max: u64) -> Result<Self> {
        // An empty path is the current folder.
        let folder = std::path::absolute(Path::new(".").join(folder))?;
        let path = folder.join(file);
        let sha256 = sha256_of_file(&path, max)?;
        let path = path.strip_prefix(&folder).unwrap_or(&path);
        Ok(Self { path: path.to_string_lossy().into_owned(), sha256 })
    }
}

/// The folder in which a batch keeps its finished runs until the run folder `path` is complete:
/// `path` with `.partial` appended.
pub fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or(OsStr::new("")).to_owned();
    name.push(".partial");
    path.with_file_name(name)
}

/// The first of `NAME-001`, `NAME-002`, … in `parent` that neither exists nor is the run folder
/// of an unfinished batch. Nothing is created.
pub fn first_free(parent: &Path, name: &str) -> PathBuf {
    let mut path = parent.join(name);
    for number in 1_u32.. {
        path = parent.join(format!("{name}-{number:03}"));
        if !path.exists() && !unfinished(&path).exists() {
            break;
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_batch_keeps_its_name() {
        let parent = tempfile::tempdir().unwrap();
        let free = || first_free(parent.path(), "x").file_name().unwrap().to_owned();
        assert_eq!(free(), "x-001");
        std::fs::create_dir(parent.path().join("x-001.partial")).unwrap();
        assert_eq!(free(), "x-002");
        std::fs::write(parent.path().join("x-002"), "").unwrap();
        assert_eq!(free(), "x-003");
    }

    #[test]
    fn no_more_is_read_than_allowed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_atomically(&path, b"four").unwrap();
        assert_eq!(read(&path, 4).unwrap(), b"four");
        assert_eq!(read(&path, 3).unwrap_err().to_string(), "it has more than 3 bytes");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_is_recorded_by_its_path_in_the_folder_and_its_contents() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("scenarios");
        std::fs::create_dir(&folder).unwrap();
        // More than one part of it.
        let contents = vec![7; 200_000];
        std::fs::write(folder.join("rule.py"), &contents).unwrap();
        let record = FileRecord { path: "rule.py".to_owned(), sha256: sha256(&contents) };
        assert_eq!(FileRecord::of(Path::new("rule.py"), &folder, MAX_DATA_BYTES).unwrap(), record);
        assert_eq!(
            FileRecord::of(&folder.join("rule.py"), &folder, MAX_DATA_BYTES).unwrap(),
            record
        );
        let outside = parent.path().join("rule.py");
        std::fs::write(&outside, &contents).unwrap();
        let path = outside.display().to_string();
        assert_eq!(
            FileRecord::of(&outside, &folder, MAX_DATA_BYTES).unwrap(),
            FileRecord { path, ..record }
        );
        assert!(FileRecord::of(Path::new("none.py"), &folder, MAX_DATA_BYTES).is_err());
    }

    #[test]
    fn a_known_hash() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256(b""), empty);
    }
}
