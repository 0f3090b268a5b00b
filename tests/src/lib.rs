//! Shared by the tests: the real command and the real plugin files, built once; a folder to run
//! them in; scenarios to run; and the workspace's own sources, to check what they promise.

mod allocator;
mod majority;
mod parquet;
mod sandbox;
mod scenario_text;
mod sources;
pub mod state_file;
mod study;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

pub use allocator::CountingAllocator;
pub use majority::majority_share;
pub use parquet::{ParquetTable, csv, parquet};
pub use sandbox::Sandbox;
pub use scenario_text::{Fields, Value, plugin, quoted};
pub use sources::{
    Crate, Cycle, Dependency, cargo, crates, files, find_cycles, module_graph, names_crate, read,
};
pub use study::with_study;

/// The workspace's folder.
pub fn workspace() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}

/// The folder into which cargo builds for the profile of this test: the command and the plugins
/// are in it, plugins that misbehave in its `examples`.
///
/// `cargo test` builds neither the command nor the plugins of other crates, so this does, once
/// per process; if nothing has changed it takes a fraction of a second.
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
        // The default members: the Python package is a plugin too, inside Python alone.
        cargo.current_dir(workspace()).args(["build", "--bins", "--lib", "--examples"]);
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

/// Output and exit code of a command.
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
    command.env("OFFRAMP_CACHE", folder.join("cache"));
    command.output().unwrap_or_else(|error| panic!("{error}")).into()
}

/// A printed text without the last column of its tables, which holds times that differ from run
/// to run. Lines outside of tables stay as they are.
pub fn untimed(printed: &str) -> String {
    let lines = printed.lines().map(|line| match line.trim_end_matches('|').rsplit_once('|') {
        Some((rest, _)) if line.starts_with('|') => format!("{rest}|"),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Exports a manifest of that interface version and revision with nothing behind it.
#[macro_export]
macro_rules! bare_manifest {
    ($interface_version:expr, $revision:expr) => {
        static MANIFEST: offramp_plugin::boundary::Manifest = offramp_plugin::boundary::Manifest {
            magic: offramp_plugin::boundary::MAGIC,
            interface_version: $interface_version,
            size: size_of::<offramp_plugin::boundary::Manifest>() as u32,
            revision: $revision,
            entry_size: 0,
            plugin: std::ptr::null(),
            version: std::ptr::null(),
            compiler: std::ptr::null(),
            target: std::ptr::null(),
            entries: std::ptr::null(),
            entry_count: 0,
            header: std::ptr::null(),
        };

        /// The manifest.
        #[expect(unsafe_code, reason = "an exported symbol")]
        #[unsafe(no_mangle)]
        pub extern "C" fn offramp_plugin_manifest() -> *const offramp_plugin::boundary::Manifest {
            &raw const MANIFEST
        }
    };
}
