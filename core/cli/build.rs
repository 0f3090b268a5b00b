//! Builds the plugins for `cargo install --path core/cli` and puts them where the installed command
//! looks for them.
//!
//! `cargo install` copies executables alone, and builds no library that they only load. So this runs
//! cargo once more, for the plugins, in a target folder of its own (the outer one is locked). It does
//! so for an installation only, see `.cargo/config.toml`: a build of the workspace would compile
//! everything twice. Linking the policies into the command instead would make them another kind of
//! plugin, which nobody else can write; building them at the first use would fail where the checkout
//! or the network is gone by then.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed=OFFRAMP_CARRY_PLUGINS");
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("OFFRAMP_CARRY_PLUGINS").is_none() {
        return Ok(());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    for source in ["Cargo.lock", "Cargo.toml", "plugins", "policies"] {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let folder = data_folder()?.join("plugins").join(id(&root)?);
    println!("cargo::rustc-env=OFFRAMP_CARRIED_PLUGINS={}", folder.display());

    let plugins = plugins(&root.join("policies"))?;
    let (target, built_in) = (env::var("TARGET")?, out.join("plugins"));
    let mut cargo = Command::new(env::var("CARGO")?);
    cargo.current_dir(&root).args(["build", "--locked", "--release", "--lib", "--target", &target]);
    cargo.arg("--target-dir").arg(&built_in);
    for plugin in &plugins {
        cargo.args(["--package", plugin]);
    }
    if !cargo.status()?.success() {
        return Err("cargo can't build the plugins: its messages are above".into());
    }

    // Not in place: a process may have the old ones mapped.
    let fresh = folder.with_extension("new");
    let _ = fs::remove_dir_all(&fresh);
    fs::create_dir_all(&fresh)?;
    for plugin in plugins {
        let library = plugin.replace('-', "_");
        let file = format!("{}{library}{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX);
        fs::copy(built_in.join(&target).join("release").join(&file), fresh.join(&file))?;
    }
    let _ = fs::remove_dir_all(&folder);
    fs::rename(fresh, folder)?;
    Ok(())
}

/// The packages of that folder that are plugins, sorted.
fn plugins(policies: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(policies)? {
        let manifest = fs::read_to_string(entry?.path().join("Cargo.toml"))?;
        let name =
            manifest.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
        if let Some(name) = name.filter(|_| manifest.contains("\"cdylib\"")) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// The folder for data of programs of this user.
fn data_folder() -> Result<PathBuf, Box<dyn Error>> {
    let named = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = if cfg!(windows) {
        named("LOCALAPPDATA")
    } else {
        named("XDG_DATA_HOME").or_else(|| Some(named("HOME")?.join(".local/share")))
    };
    Ok(folder.ok_or("no folder to put the plugins into: set HOME")?.join("offramp"))
}

/// A name of this checkout: installing from it again replaces its plugins, and those of no other.
fn id(checkout: &Path) -> Result<String, Box<dyn Error>> {
    // FNV-1a, which stays the same across compilers.
    let bytes = checkout.to_str().ok_or("the path of the checkout is not UTF-8")?.bytes();
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Ok(format!("{hash:016x}"))
}
