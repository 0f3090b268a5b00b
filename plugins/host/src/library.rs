//! One library file: what it is, and whether it can be loaded.
//!
//! Checks go from the outside in, so that what can't be loaded is explained: is it a file, a
//! library, of this platform, does the system load it, has it a manifest, of this interface
//! version, are the types that cross the boundary laid out as the host knows them.

use std::ffi::{CStr, c_char};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use abi_stable::library::{AbiHeaderRef, LibHeader};
use object::{FileKind, Object};
use offramp_plugin::Needs;
use offramp_plugin::boundary::{
    Capabilities, ENTRY_EXPLORER, ENTRY_POLICY, INTERFACE_VERSION, MAGIC, MANIFEST_SYMBOL,
    Manifest, PluginModuleRef,
};
use offramp_plugin::c::{Entry, Plugin, SYMBOL as C_SYMBOL, VERSION as C_VERSION};
use sha2::{Digest, Sha256};

use crate::c;

/// Why a file is not a plugin that can be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It can't be read.
    #[error("can't be read: {0}")]
    Unreadable(std::io::Error),
    /// It is something else.
    #[error("is no {wanted} (it {found})")]
    NoLibrary {
        /// What this platform loads.
        wanted: &'static str,
        /// What it is instead.
        found: String,
    },
    /// It is a library for another kind of machine.
    #[error("is a library for {found}; this machine is {wanted}")]
    OtherPlatform {
        /// Its platform.
        found: String,
        /// The host's.
        wanted: String,
    },
    /// The system's loader refuses it: a library it depends on is missing, or it is damaged.
    #[error("the system can't load it: {0}")]
    Unloadable(String),
    /// A library, but no plugin.
    #[error(
        "is a library but no offramp plugin: it has no symbol `{MANIFEST_SYMBOL}` (a plugin \
         ends in `offramp_plugin::export_plugin!();`; one in C exports `{C_SYMBOL}`)"
    )]
    NoManifest,
    /// Built for another version of the interface.
    #[error(
        "was built for plugin interface {found}, this is interface {INTERFACE_VERSION}: rebuild \
         it with the offramp-plugin crate of this release"
    )]
    OtherInterface {
        /// Its interface version.
        found: u32,
    },
    /// Written to another version of `offramp.h`.
    #[error(
        "was compiled with version {found} of offramp.h, this is {C_VERSION}: compile it with the \
         one of this release"
    )]
    OtherHeader {
        /// Its version.
        found: u32,
    },
    /// A library in C without something that is needed.
    #[error("has no {lacks}")]
    Incomplete {
        /// What it lacks.
        lacks: String,
    },
    /// Same version, other layout: built with a changed offramp-plugin or another abi_stable.
    #[error(
        "was built with an incompatible offramp-plugin ({detail}): rebuild it with the one of \
         this release"
    )]
    OtherLayout {
        /// The first difference.
        detail: String,
    },
}

/// What a library offers under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Policy or explorer.
    pub kind: OfferKind,
    /// Its name in scenarios.
    pub name: String,
    /// What it does, in one sentence.
    pub about: String,
    /// Which parts of an observation it reads.
    pub needs: Needs,
    /// What it can do besides deciding.
    pub capabilities: Capabilities,
}

/// What is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfferKind {
    /// Decides.
    Policy,
    /// Explores while a learner trains.
    Explorer,
}

impl OfferKind {
    /// `policy` or `explorer`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Explorer => "explorer",
        }
    }
}

/// A plugin's library, loaded; it stays loaded until the process ends.
#[derive(Clone)]
pub struct Library {
    /// The file.
    pub path: PathBuf,
    /// The name of its crate.
    pub plugin: String,
    /// The version of its crate.
    pub version: String,
    /// The compiler it was built with.
    pub compiler: String,
    /// The target it was built for.
    pub target: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// What it offers, by name.
    pub offers: Vec<Offer>,
    pub(crate) module: Module,
}

/// How a library's policies are created.
#[derive(Clone, Copy)]
pub(crate) enum Module {
    /// In Rust.
    Native(PluginModuleRef),
    /// By the table of a library written to `offramp.h`.
    Table(&'static [Entry]),
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Library").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Library {
    /// That `bytes` are a library which this machine's loader takes; nothing of it is executed.
    ///
    /// # Errors
    /// [`LoadError::NoLibrary`] or [`LoadError::OtherPlatform`].
    pub fn check(bytes: &[u8]) -> Result<(), LoadError> {
        check_platform(bytes)
    }

    /// Loads the plugin in `path`.
    ///
    /// This executes code of the library: load only what you would run.
    ///
    /// # Errors
    /// [`LoadError`] says at which check it failed.
    pub fn load(path: &Path) -> Result<Arc<Self>, LoadError> {
        let bytes = std::fs::read(path).map_err(LoadError::Unreadable)?;
        Self::check(&bytes)?;
        // A bare name would be looked for among the system's libraries.
        let whole = std::path::absolute(path).map_err(LoadError::Unreadable)?;
        // SAFETY: runs the library's constructors; that loading executes its code is this
        // function's documented contract.
        let library = unsafe { libloading::Library::new(&whole) }
            .map_err(|error| LoadError::Unloadable(loader_message(&error, &whole)))?;
        // Never unloaded (abi_stable's rule): threads, thread-locals and trait objects of the
        // plugin may outlive any handle. Also if it is refused, since its code has run already.
        let library: &'static libloading::Library = Box::leak(Box::new(library));
        // SAFETY: the symbol has this type in every version of the header.
        let in_c = unsafe { library.get::<extern "C" fn() -> *const Plugin>(C_SYMBOL.as_bytes()) };
        if let Ok(in_c) = in_c {
            return Self::in_c(path, &bytes, in_c());
        }
        // SAFETY: the symbol has this type in every interface version.
        let manifest = unsafe {
            library.get::<extern "C" fn() -> *const Manifest>(MANIFEST_SYMBOL.as_bytes())
        }
        .map_err(|_| LoadError::NoManifest)?();
        // SAFETY: null or a manifest; its first three fields are the same in every version, and
        // no others are read before they have been found good.
        let (magic, interface_version) = match unsafe { manifest.as_ref() } {
            Some(manifest) => (manifest.magic, manifest.interface_version),
            None => return Err(LoadError::NoManifest),
        };
        if magic != MAGIC {
            return Err(LoadError::NoManifest);
        }
        if interface_version != INTERFACE_VERSION {
            return Err(LoadError::OtherInterface { found: interface_version });
        }
        // SAFETY: magic and interface version are ours, so the manifest has all our fields.
        let manifest = unsafe { &*manifest };
        if manifest.header.is_null() {
            return Err(LoadError::OtherLayout { detail: "it has no header".into() });
        }
        // SAFETY: as above; the header is a static of the library, which is never unloaded, and
        // a reference to it is what an `AbiHeaderRef` is.
        let header: AbiHeaderRef =
            unsafe { std::mem::transmute::<*const LibHeader, AbiHeaderRef>(manifest.header) };
        let module = header
            .upgrade()
            .and_then(|header| header.init_root_module::<PluginModuleRef>())
            .map_err(|error| LoadError::OtherLayout { detail: first_difference(&error) })?;
        // SAFETY: the texts of a manifest of this version are C texts that are never freed.
        let text = |text| unsafe { c_text(text) };
        Ok(Arc::new(Self {
            path: path.to_owned(),
            plugin: text(manifest.plugin),
            version: text(manifest.version),
            compiler: text(manifest.compiler),
            target: text(manifest.target),
            sha256: sha256(&bytes),
            offers: offers(manifest),
            module: Module::Native(module),
        }))
    }

    /// A library that was written to `offramp.h`.
    fn in_c(path: &Path, bytes: &[u8], plugin: *const Plugin) -> Result<Arc<Self>, LoadError> {
        // SAFETY: that it is as the header says is the library's promise, as all of its code.
        let (offers, entries) = unsafe { c::table(plugin) }?;
        // SAFETY: the table was found good.
        let text = |text: fn(&Plugin) -> *const c_char| unsafe { c_text(text(&*plugin)) };
        Ok(Arc::new(Self {
            path: path.to_owned(),
            plugin: text(|plugin| plugin.name),
            version: text(|plugin| plugin.plugin_version),
            compiler: "C".to_owned(),
            target: std::env::consts::ARCH.to_owned(),
            sha256: sha256(bytes),
            offers,
            module: Module::Table(entries),
        }))
    }
}

fn offers(manifest: &Manifest) -> Vec<Offer> {
    if manifest.entries.is_null() {
        return Vec::new();
    }
    // SAFETY: a manifest of this version has `entry_count` entries there, which are never freed.
    let entries = unsafe { std::slice::from_raw_parts(manifest.entries, manifest.entry_count) };
    let kind = |kind| match kind {
        ENTRY_POLICY => Some(OfferKind::Policy),
        ENTRY_EXPLORER => Some(OfferKind::Explorer),
        _ => None,
    };
    // SAFETY: as for the manifest's own texts.
    let text = |text| unsafe { c_text(text) };
    let offers = entries.iter().filter_map(|entry| {
        Some(Offer {
            kind: kind(entry.kind)?,
            name: text(entry.name),
            about: text(entry.about),
            needs: Needs::from_bits(entry.needs),
            capabilities: Capabilities::from_bits(entry.capabilities),
        })
    });
    offers.collect()
}

/// # Safety
/// `text` is null or a C text.
pub(crate) unsafe fn c_text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, so the caller's promise holds.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// SHA-256 in hexadecimal: how offramp names the content of plugins, scenarios, checkpoints.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What this platform's loader takes.
fn native_format() -> &'static str {
    if cfg!(windows) {
        "DLL"
    } else if cfg!(target_os = "macos") {
        "Mach-O library"
    } else {
        "ELF library"
    }
}

fn check_platform(bytes: &[u8]) -> Result<(), LoadError> {
    let no_library =
        |found: &str| Err(LoadError::NoLibrary { wanted: native_format(), found: found.into() });
    if bytes.is_empty() {
        return no_library("is empty");
    }
    let Ok(kind) = FileKind::parse(bytes) else {
        return no_library("is no library of any kind");
    };
    let format = match kind {
        FileKind::Elf32 | FileKind::Elf64 => "ELF library",
        FileKind::MachO32 | FileKind::MachO64 | FileKind::MachOFat32 | FileKind::MachOFat64 => {
            "Mach-O library"
        }
        FileKind::Pe32 | FileKind::Pe64 => "DLL",
        _ => return no_library("is no library of any kind"),
    };
    if format != native_format() {
        return Err(LoadError::OtherPlatform {
            found: format!("another system ({format})"),
            wanted: format!("{} ({})", std::env::consts::OS, native_format()),
        });
    }
    if matches!(kind, FileKind::MachOFat32 | FileKind::MachOFat64) {
        return Ok(()); // Several architectures in one; the loader picks.
    }
    match object::File::parse(bytes) {
        Err(error) => no_library(&format!("is damaged: {error}")),
        Ok(file) => {
            let found = format!("{:?}", file.architecture()).to_lowercase();
            let wanted = std::env::consts::ARCH;
            if found.starts_with(wanted) || wanted == "x86" && found == "i386" {
                Ok(())
            } else {
                Err(LoadError::OtherPlatform { found, wanted: wanted.into() })
            }
        }
    }
}

/// The loader's own words, without the path it repeats.
fn loader_message(error: &libloading::Error, path: &Path) -> String {
    use std::error::Error as _;
    let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    cause.replace(&format!("{}: ", path.display()), "")
}

/// abi_stable prints both layouts whole, which fills screens: keep the first line that says what
/// differs.
fn first_difference(error: &abi_stable::library::LibraryError) -> String {
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.clone().next().unwrap_or_default().to_owned();
    lines.find(|line| line.starts_with("Error:")).map_or(first, |line| line[6..].trim().to_owned())
}
