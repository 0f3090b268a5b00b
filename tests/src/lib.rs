//! What the tests share: the real command and the real plugin files, built once.

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

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

    /// Runs `offramp` in it again and again until it is done, and kills it at moments of its
    /// own choosing, as by `kill -9`; gives how often that was.
    ///
    /// # Panics
    /// If it fails.
    pub fn killed_until_done(&self, arguments: &[&str]) -> u32 {
        for kills in 0.. {
            let mut command = Command::new(built().join("offramp"));
            command.current_dir(self.path()).args(arguments).stderr(std::process::Stdio::null());
            let mut running = command.spawn().unwrap_or_else(|error| panic!("{error}"));
            std::thread::sleep(std::time::Duration::from_millis(60 + 17 * u64::from(kills)));
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

    /// Runs `offramp` in it.
    pub fn offramp(&self, arguments: &[&str]) -> Ran {
        offramp(self.path(), arguments)
    }
}

/// The system's allocator, counting: made the global one, it counts what its library or
/// executable allocates.
#[derive(Debug)]
pub struct CountingAllocator {
    allocations: AtomicU64,
}

impl CountingAllocator {
    /// Has counted nothing yet.
    #[expect(clippy::new_without_default, reason = "a default can't be made in a static")]
    pub const fn new() -> Self {
        Self { allocations: AtomicU64::new(0) }
    }

    /// Allocations so far, on all threads.
    pub fn count(&self) -> u64 {
        self.allocations.load(Ordering::Relaxed)
    }
}

#[expect(unsafe_code, reason = "an allocator that counts")]
// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.allocations.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.dealloc(pointer, layout) }
    }
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
