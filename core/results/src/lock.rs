//! The lock of a folder: one process at a time writes there, or several that share it, each to a part of
//! its own.
//!
//! It is a lock of the system on a file in the folder, so it ends with the process, however that
//! dies; a file that states a process would outlive a crash and block the folder for ever. The file
//! states who holds the lock, for people and for messages, and is removed with it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Error;
pub use crate::holder::Holder;

/// The name of the file that is locked.
pub const FILE_NAME: &str = "lock";

/// A folder that this process has locked, alone or with others, until this is dropped.
#[derive(Debug)]
pub struct FolderLock {
    path: PathBuf,
    /// Open, and locked, as long as the folder is.
    file: File,
    hold: Hold,
}

/// How a folder is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// By one process.
    Alone,
    /// By any number of processes.
    Shared,
}

/// Attempts to lock a file that someone is about to remove, or to read who holds it from one that
/// is being written.
const ATTEMPTS: u32 = 50;

impl FolderLock {
    /// Locks `folder`, which must exist.
    ///
    /// # Errors
    /// [`Error::InUse`] if it is locked, by another process or by this one;
    /// [`Error::Unlockable`] if its file system has no locks; [`Error::Unwritable`].
    pub fn take(folder: &Path) -> Result<Self, Error> {
        Self::lock(folder, Hold::Alone)
    }

    /// Locks `folder`, which must exist, against all who would [take](Self::take) it, but not against
    /// others that share it.
    ///
    /// # Errors
    /// As of [`FolderLock::take`].
    pub fn share(folder: &Path) -> Result<Self, Error> {
        Self::lock(folder, Hold::Shared)
    }

    fn lock(folder: &Path, hold: Hold) -> Result<Self, Error> {
        let path = folder.join(FILE_NAME);
        let unwritable = |cause| Error::Unwritable { path: path.clone(), cause };
        let mut holder = None;
        for _ in 0..ATTEMPTS {
            let mut options = OpenOptions::new();
            let options = options.read(true).write(true).create(true).truncate(false);
            let mut file = options.open(&path).map_err(unwritable)?;
            let locked = match hold {
                Hold::Alone => file.try_lock(),
                Hold::Shared => file.try_lock_shared(),
            };
            match locked {
                // Whoever held it may have removed it since it was opened: a lock on that file
                // would keep nobody out.
                Ok(()) if !is_at(&file, &path) => continue,
                Ok(()) => {
                    // From here on the file is removed, also if it can't be written.
                    let mut lock = Self { path: path.clone(), file, hold };
                    // Those who share it write at the same time, so they state nobody.
                    let holder = (hold == Hold::Alone).then(Holder::this);
                    state(holder.as_ref(), &mut lock.file).map_err(unwritable)?;
                    return Ok(lock);
                }
                Err(TryLockError::WouldBlock) => {}
                // Likewise, on a network file system.
                Err(TryLockError::Error(cause))
                    if cause.kind() == ErrorKind::StaleNetworkFileHandle =>
                {
                    continue;
                }
                Err(TryLockError::Error(cause)) => return Err(Error::Unlockable { path, cause }),
            }
            let mut text = String::new();
            // What can't be read states nobody.
            let _ = file.read_to_string(&mut text);
            holder = Holder::parse(&text);
            if holder.is_some() {
                break;
            }
            // It has just been locked, and is being written.
            std::thread::sleep(Duration::from_millis(4));
        }
        Err(Error::InUse { path: folder.to_owned(), holder })
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Others may share it: the last one removes the file. Who takes it meanwhile keeps it.
        if self.hold == Hold::Shared {
            let _ = self.file.unlock();
            if self.file.try_lock().is_err() || !is_at(&self.file, &self.path) {
                return;
            }
        }
        // Removed while it is locked: nobody else's can be at this path. The folder may be gone.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Writes who holds the lock; nobody if it is shared.
fn state(holder: Option<&Holder>, file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    holder.map_or(Ok(()), |holder| file.write_all(holder.text().as_bytes()))
}

/// True if `file` is what is at `path`.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// True if there is a file at `path`: an open one keeps its name until it is closed.
#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use std::io::BufRead;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_folder_is_locked_by_one_and_free_again() {
        let folder = tempfile::tempdir().unwrap();
        let held = FolderLock::take(folder.path()).unwrap();
        let error = FolderLock::take(folder.path()).unwrap_err();
        let Error::InUse { holder: Some(holder), .. } = &error else { panic!("{error}") };
        assert_eq!(holder.pid, std::process::id());
        let stated = format!(": in use by process {} since {} (UTC)", holder.pid, holder.since);
        assert!(error.to_string().ends_with(&stated), "{error}");
        drop(held);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        FolderLock::take(folder.path()).unwrap();
    }

    #[test]
    fn a_folder_is_shared_by_many_and_taken_by_none_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let share = || FolderLock::share(folder.path());
        let in_use = |result| matches!(result, Err(Error::InUse { .. }));
        let (first, second) = (share().unwrap(), share().unwrap());
        assert!(in_use(FolderLock::take(folder.path())));
        drop(first);
        let error = FolderLock::take(folder.path()).unwrap_err();
        assert!(error.to_string().ends_with(": in use by another process"), "{error}");
        let third = share().unwrap();
        drop((second, third));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let taken = FolderLock::take(folder.path()).unwrap();
        assert!(in_use(share()));
        drop(taken);
        drop(share().unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    /// Body of the other process in [`a_lock_dies_with_its_process`].
    #[test]
    fn hold() {
        if let Some(folder) = std::env::var_os("OFFRAMP_TEST_LOCK") {
            let _held = FolderLock::take(Path::new(&folder)).unwrap();
            writeln!(std::io::stderr(), "held").unwrap();
            std::thread::sleep(Duration::from_secs(60));
        }
    }

    #[test]
    fn a_lock_dies_with_its_process() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "lock::tests::hold", "--nocapture"]);
        command.env("OFFRAMP_TEST_LOCK", folder.path());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.map(Result::unwrap).any(|line| line == "held"));
        let error = FolderLock::take(folder.path()).unwrap_err();
        let Error::InUse { holder: Some(holder), .. } = error else { panic!("{error}") };
        assert_eq!(holder.pid, child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(folder.path().join(FILE_NAME).exists());
        FolderLock::take(folder.path()).unwrap();
    }

    /// Each thread counts in a file that is only right if no other does so at the same time.
    #[test]
    fn a_lock_that_is_removed_keeps_everyone_else_out() {
        let folder = tempfile::tempdir().unwrap();
        let counter = folder.path().join("counter");
        std::fs::write(&counter, "0").unwrap();
        let count = || {
            for _ in 0..50 {
                let _held = loop {
                    match FolderLock::take(folder.path()) {
                        Ok(held) => break held,
                        Err(Error::InUse { .. }) => {}
                        Err(other) => panic!("{other}"),
                    }
                };
                let number: u32 = std::fs::read_to_string(&counter).unwrap().parse().unwrap();
                std::fs::write(&counter, (number + 1).to_string()).unwrap();
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(count);
            }
        });
        assert_eq!(std::fs::read_to_string(&counter).unwrap(), "200");
    }
}
