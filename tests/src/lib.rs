//! What the tests share: the real command and the real plugin files, built once.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The workspace's folder.
pub fn workspace() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}

/// The folder into which cargo builds for the profile of this test: the command and the plugins
/// are in it, plugins that misbehave in its `examples`.
///
/// `cargo test` builds neither the command nor the plugins of other crates, so this does, once
/// a process; if nothing has changed it takes a fraction of a second.
///
/// # Panics
/// If the build fails.
pub fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let test = std::env::current_exe().unwrap_or_else(|error| panic!("{error}"));
        // TARGET/PROFILE/deps/test
        let folder = test.ancestors().nth(2).unwrap_or(&test).to_owned();
        let target = folder.parent().unwrap_or(&folder);
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(workspace()).args([
            "build",
            "--workspace",
            "--bins",
            "--lib",
            "--examples",
        ]);
        cargo.arg("--target-dir").arg(target);
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        let output = cargo.output().unwrap_or_else(|error| panic!("{error}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        folder
    })
}

/// The file of a plugin that misbehaves.
pub fn example(name: &str) -> PathBuf {
    let file = format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    built().join("examples").join(file)
}

/// What a command printed, and its exit code.
#[derive(Debug)]
pub struct Ran {
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// The exit code; −1 if a signal ended it.
    pub code: i32,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code().unwrap_or(-1),
        }
    }
}

/// Runs `offramp` in `folder`.
///
/// # Panics
/// If it can't be started.
pub fn offramp(folder: &Path, arguments: &[&str]) -> Ran {
    let mut command = Command::new(built().join("offramp"));
    command.current_dir(folder).args(arguments).env_remove("OFFRAMP_PLUGINS");
    command.output().unwrap_or_else(|error| panic!("{error}")).into()
}

/// A folder of the test's own, and what `offramp` does in it.
#[derive(Debug)]
pub struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
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

    /// Writes a file into it.
    ///
    /// # Panics
    /// If that fails.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).unwrap_or_else(|error| panic!("{error}"));
        path
    }

    /// Runs `offramp` in it.
    pub fn offramp(&self, arguments: &[&str]) -> Ran {
        offramp(self.path(), arguments)
    }
}
