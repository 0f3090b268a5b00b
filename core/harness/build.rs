//! Computes the build id of the engine: a hash of the sources of everything that results are
//! computed by, so that results of another engine are not taken for its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

/// Files and folders, from the root of the workspace. Statistics and reports are not among them:
/// they are made anew from the results.
const SOURCES: [&str; 11] = [
    "core/hindsight/Cargo.toml",
    "core/hindsight/src",
    "core/model/Cargo.toml",
    "core/model/src",
    "core/scenario/Cargo.toml",
    "core/scenario/src",
    "core/harness/Cargo.toml",
    "core/harness/src",
    "core/results/src/metric.rs",
    "plugins/host/src",
    "plugins/api/src",
];

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
        collect(&root, source, &mut files)?;
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let text = std::fs::read(root.join(&file))?;
        hash.update(format!("{file} {}\n", text.len()));
        hash.update(text);
    }
    let digits: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    println!("cargo::rustc-env=OFFRAMP_ENGINE={digits}");
    // A packaged copy may lie in another repository, or in none.
    let commit = root.join(".git").exists().then(|| head(&root)).flatten();
    println!("cargo::rustc-env=OFFRAMP_COMMIT={}", commit.unwrap_or_default());
    Ok(())
}

/// Adds a file, or all files in a folder, by their paths from the root, with `/` on all systems.
fn collect(root: &Path, path: &str, files: &mut Vec<String>) -> std::io::Result<()> {
    let full: PathBuf = root.join(path);
    if !full.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(full)? {
        let name = entry?.file_name();
        collect(root, &format!("{path}/{}", name.to_string_lossy()), files)?;
    }
    Ok(())
}

/// The commit that is checked out, if git can tell.
fn head(root: &Path) -> Option<String> {
    let printed =
        Command::new("git").args(["rev-parse", "HEAD"]).current_dir(root).output().ok()?;
    let commit = String::from_utf8(printed.stdout).ok()?.trim().to_owned();
    printed.status.success().then_some(commit)
}
