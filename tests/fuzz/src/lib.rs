//! Shared by the fuzzers.

#[path = "../readers.rs"]
pub mod readers;

/// A folder of this process's own.
pub fn desk() -> std::path::PathBuf {
    let desk = std::env::temp_dir().join(format!("offramp-fuzz-{}", std::process::id()));
    let _ = std::fs::create_dir_all(&desk);
    desk
}
