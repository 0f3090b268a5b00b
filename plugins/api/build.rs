//! Notes which compiler and target a plugin is built with, for the manifest.

use std::process::Command;

fn main() {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = Command::new(rustc)
        .arg("--version")
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default();
    println!("cargo:rustc-env=OFFRAMP_COMPILER={version}");
    let target = std::env::var("TARGET").unwrap_or_default();
    println!("cargo:rustc-env=OFFRAMP_TARGET={target}");
    println!("cargo:rerun-if-changed=build.rs");
}
