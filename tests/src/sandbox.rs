//! A folder to run commands in.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::{Ran, built, offramp};

/// A temporary folder of one test, in which `offramp` runs.
#[derive(Debug)]
pub struct Sandbox {
    folder: tempfile::TempDir,
}

impl Sandbox {
    /// An empty folder.
    ///
    /// # Panics
    /// If it can't be made.
    #[expect(clippy::new_without_default, reason = "a folder is made: no value by default")]
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap_or_else(|error| panic!("{error}")) }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into it, and returns its path.
    ///
    /// # Panics
    /// If that fails.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).unwrap_or_else(|error| panic!("{name}: {error}"));
        path
    }

    /// The contents of a file in it.
    ///
    /// # Panics
    /// If it can't be read.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The text of a file in it.
    ///
    /// # Panics
    /// If it can't be read, or is not UTF-8.
    pub fn read(&self, name: &str) -> String {
        String::from_utf8(self.bytes(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// True if it has a file or folder of this name.
    pub fn has(&self, name: &str) -> bool {
        self.path().join(name).exists()
    }

    /// Runs `offramp` in it.
    pub fn offramp(&self, arguments: &[&str]) -> Ran {
        offramp(self.path(), arguments)
    }

    /// Runs `offramp` in it, and returns what it printed.
    ///
    /// # Panics
    /// If it fails.
    #[track_caller]
    pub fn succeed(&self, arguments: &[&str]) -> String {
        let ran = self.offramp(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}\n{}{}", ran.out, ran.err);
        ran.out
    }

    /// Runs `offramp` in it again and again until it is done, and kills it (`kill -9`) after a
    /// time that grows from attempt to attempt, at first before anything can be done. Returns the
    /// number of kills.
    ///
    /// # Panics
    /// If it fails.
    pub fn killed_until_done(&self, arguments: &[&str]) -> u32 {
        for kills in 0.. {
            let mut command = Command::new(built().join("offramp"));
            command.current_dir(self.path()).args(arguments);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            let mut running = command.spawn().unwrap_or_else(|error| panic!("{error}"));
            std::thread::sleep(Duration::from_millis(1 + 17 * u64::from(kills)));
            match running.try_wait().unwrap_or_else(|error| panic!("{error}")) {
                Some(status) => {
                    assert!(status.success(), "{status}");
                    return kills;
                }
                None => {
                    running.kill().unwrap_or_else(|error| panic!("{error}"));
                    running.wait().unwrap_or_else(|error| panic!("{error}"));
                }
            }
        }
        unreachable!("the loop has no end")
    }
}
