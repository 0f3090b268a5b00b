//! One library file: what it is, and whether it can be loaded.
//!
//! Checks go from the outside in, so that a refusal is explained: is it a file, a library, of this
//! platform, does it export what a plugin exports; only then is its code executed: does the system
//! load it, has it a manifest, of this interface version and at most this revision, are the types
//! that cross the boundary laid out as the host knows them.

use std::ffi::c_char;
use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use abi_stable::StableAbi;
use abi_stable::abi_stability::abi_checking::{
    CheckingGlobals, check_layout_compatibility_with_globals,
};
use abi_stable::library::{AbiHeaderRef, LibHeader};
use abi_stable::type_layout::TypeLayout;
use object::read::NameOrOrdinal;
use object::{FileKind, Object};
use offramp_plugin::Needs;
use offramp_plugin::boundary::{
    Capabilities, ENTRY_EXPLORER, ENTRY_POLICY, INTERFACE_VERSION, MAGIC, MANIFEST_SYMBOL,
    Manifest, ManifestEntry, PluginModuleRef,
};
use offramp_plugin::c::{Plugin, SYMBOL as C_SYMBOL};
use sha2::{Digest, Sha256};

use crate::c::{self, Table};
use crate::offer::{LoadError, Offer, OfferKind, c_text, check_interface, read_prefix, read_table};
use crate::watch;

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
    /// Its policies and explorers, by name.
    pub offers: Vec<Offer>,
    pub(crate) module: Module,
}

/// How a library's policies are created.
#[derive(Clone, Copy)]
pub(crate) enum Module {
    /// In Rust.
    Native(PluginModuleRef),
    /// By the tables of a library written to `offramp.h`.
    Table(&'static Table),
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Library").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Library {
    /// Checks that `bytes` are a library for this machine's loader, and export what a plugin
    /// exports; nothing of it is executed.
    ///
    /// # Errors
    /// [`LoadError::NoLibrary`], [`LoadError::OtherPlatform`] or [`LoadError::NoPlugin`].
    pub fn check(bytes: &[u8]) -> Result<(), LoadError> {
        match check_platform(bytes)? {
            Some(file) if !exports_a_plugin(&file) => Err(LoadError::NoPlugin),
            _ => Ok(()),
        }
    }

    /// Loads the plugin in `path`.
    ///
    /// This executes code of the library: load only what you would run.
    ///
    /// # Errors
    /// [`LoadError`] states the check that failed.
    pub fn load(path: &Path) -> Result<Arc<Self>, LoadError> {
        let bytes = read(path)?;
        Self::check(&bytes)?;
        // A bare name would be looked for among the system's libraries.
        let whole = std::path::absolute(path).map_err(LoadError::Unreadable)?;
        let title = watch::title(format!("plugin {}", path.display()));
        watch::during(title, &watch::LOADING, || Self::execute(path, &whole, &bytes))
    }

    /// Loads the plugin in `path`, `whole` if absolute, which has passed [`Library::check`].
    fn execute(path: &Path, whole: &Path, bytes: &[u8]) -> Result<Arc<Self>, LoadError> {
        // SAFETY: runs the library's constructors; that loading executes its code is the documented
        // contract of `load`.
        let library = unsafe { libloading::Library::new(whole) }
            .map_err(|error| LoadError::Unloadable(loader_message(&error, whole)))?;
        // Never unloaded (abi_stable's rule): threads, thread-locals and trait objects of the
        // plugin may outlive any handle. Also if it is refused, since its code has run already.
        let library: &'static libloading::Library = Box::leak(Box::new(library));
        // SAFETY: the symbol has this type in every version of the header.
        let in_c = unsafe { library.get::<extern "C" fn() -> *const Plugin>(C_SYMBOL.as_bytes()) };
        if let Ok(in_c) = in_c {
            return Self::in_c(path, bytes, in_c());
        }
        // SAFETY: the symbol has this type in every interface version.
        let manifest = unsafe {
            library.get::<extern "C" fn() -> *const Manifest>(MANIFEST_SYMBOL.as_bytes())
        }
        .map_err(|_| LoadError::NoPlugin)?();
        // SAFETY: null or a manifest; its first three fields are the same in every version, and
        // no others are read before these have been found good.
        let (magic, version, size) = match unsafe { manifest.as_ref() } {
            Some(manifest) => (manifest.magic, manifest.interface_version, manifest.size),
            None => ([0; 8], 0, 0),
        };
        if magic != MAGIC {
            return Err(LoadError::Incomplete { lacks: "valid manifest".to_owned() });
        }
        if version == INTERFACE_VERSION && size < MANIFEST_SIZE {
            return Err(LoadError::Incomplete { lacks: "manifest of full size".to_owned() });
        }
        // SAFETY: a manifest of this version with the fields of revision 0.
        let revision = (version == INTERFACE_VERSION)
            .then(|| unsafe { (&raw const (*manifest).revision).read() });
        check_interface(version, revision, "rebuild it with the offramp-plugin of this release")?;
        // SAFETY: a manifest of this version, of `size` bytes.
        let manifest = unsafe { read_prefix(manifest, size as usize) };
        if manifest.header.is_null() {
            return Err(LoadError::Incomplete { lacks: "abi_stable header".to_owned() });
        }
        // SAFETY: as above; the header is a static of the library, which is never unloaded, and
        // a reference to it is what an `AbiHeaderRef` is.
        let header: AbiHeaderRef =
            unsafe { std::mem::transmute::<*const LibHeader, AbiHeaderRef>(manifest.header) };
        let other = |detail: String| LoadError::OtherLayout { detail };
        let header = header.upgrade().map_err(|error| other(first_difference(&error)))?;
        let layout = header.layout().ok_or_else(|| other("its layout is not stated".into()))?;
        compatible(layout, PluginModuleRef::LAYOUT).map_err(other)?;
        // SAFETY: its layout has just been checked.
        let module = unsafe { header.init_root_module_with_unchecked_layout::<PluginModuleRef>() }
            .map_err(|error| other(first_difference(&error)))?;
        // SAFETY: the texts of a manifest of this version are C texts that are never freed.
        let text = |text| unsafe { c_text(text) };
        Ok(Arc::new(Self {
            path: path.to_owned(),
            plugin: text(manifest.plugin),
            version: text(manifest.version),
            compiler: text(manifest.compiler),
            target: text(manifest.target),
            sha256: sha256(bytes),
            offers: offers(&manifest)?,
            module: Module::Native(module),
        }))
    }

    /// A library that was written to `offramp.h`.
    fn in_c(path: &Path, bytes: &[u8], plugin: *const Plugin) -> Result<Arc<Self>, LoadError> {
        // SAFETY: that it is as the header states is the library's promise, like all of its code.
        let (plugin, offers, table) = unsafe { c::table(plugin) }?;
        // SAFETY: as above.
        let text = |text: *const c_char| unsafe { c_text(text) };
        Ok(Arc::new(Self {
            path: path.to_owned(),
            plugin: text(plugin.name),
            version: text(plugin.plugin_version),
            compiler: "C".to_owned(),
            target: std::env::consts::ARCH.to_owned(),
            sha256: sha256(bytes),
            offers,
            module: Module::Table(table),
        }))
    }
}

/// Bytes of a [`Manifest`] of revision 0, up to its last field then, and of an entry.
const MANIFEST_SIZE: u32 = (offset_of!(Manifest, header) + size_of::<*const LibHeader>()) as u32;
const ENTRY_SIZE: u32 = (offset_of!(ManifestEntry, about) + size_of::<*const c_char>()) as u32;

/// Checks that a plugin's root module can be used as the host's.
///
/// The plugin's layout takes the part of abi_stable's interface and the host's that of the
/// implementation: of two prefix types abi_stable lets the *implementation* have more fields, and
/// here it is the host that may be newer. A field or method that the plugin lacks is found missing
/// by the prefix's own count when it is reached for, which the host does for stated capabilities
/// only.
///
/// Each check begins with no memory of others: abi_stable would hold every plugin to the layouts of
/// those loaded before it as well, and refuse one that is newer than they are.
fn compatible(plugin: &'static TypeLayout, host: &'static TypeLayout) -> Result<(), String> {
    check_layout_compatibility_with_globals(plugin, host, &CheckingGlobals::new())
        .map_err(|error| first_difference(&error))
}

fn offers(manifest: &Manifest) -> Result<Vec<Offer>, LoadError> {
    if manifest.entries.is_null() {
        return Ok(Vec::new());
    }
    if manifest.entry_size < ENTRY_SIZE {
        return Err(LoadError::Incomplete { lacks: "entries of full size".to_owned() });
    }
    let (start, count, size) = (manifest.entries, manifest.entry_count, manifest.entry_size);
    // SAFETY: a manifest of this version has that many entries of that size there.
    let entries: Vec<ManifestEntry> = unsafe { read_table(start, count, size as usize) };
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
    Ok(offers.collect())
}

/// SHA-256 in hexadecimal: how offramp names the content of plugins, scenarios, checkpoints.
fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The file format of this platform's loader, with its article.
fn native_format() -> &'static str {
    if cfg!(windows) {
        "a DLL"
    } else if cfg!(target_os = "macos") {
        "a Mach-O library"
    } else {
        "an ELF library"
    }
}

/// The bytes of a file; nothing else is opened, since that may wait for ever.
fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let kind = match std::fs::metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(cause) => {
            return Err(match std::fs::read_link(path) {
                Ok(target) => LoadError::DanglingLink { target },
                Err(_) => LoadError::Unreadable(cause),
            });
        }
    };
    if kind.is_file() {
        return std::fs::read(path).map_err(LoadError::Unreadable);
    }
    Err(LoadError::NoFile { found: if kind.is_dir() { "a folder" } else { "a device or pipe" } })
}

/// True if a library exports the symbol of a plugin, in Rust or in C.
fn exports_a_plugin(file: &object::File<'_>) -> bool {
    // Mach-O puts an underscore before the names of C.
    let prefix: &[u8] = if cfg!(target_os = "macos") { b"_" } else { b"" };
    let Ok(exports) = file.exports() else { return false };
    exports.map_while(Result::ok).any(|export| match export.name() {
        NameOrOrdinal::Name(name) => name
            .strip_prefix(prefix)
            .is_some_and(|name| name == MANIFEST_SYMBOL.as_bytes() || name == C_SYMBOL.as_bytes()),
        NameOrOrdinal::Ordinal(_) => false,
    })
}

/// The library, if it is for this platform; `None` if it is for several.
fn check_platform(bytes: &[u8]) -> Result<Option<object::File<'_>>, LoadError> {
    let no_library =
        |found: &str| Err(LoadError::NoLibrary { wanted: native_format(), found: found.into() });
    if bytes.is_empty() {
        return no_library("empty");
    }
    let Ok(kind) = FileKind::parse(bytes) else {
        return no_library("not a library at all");
    };
    let format = match kind {
        FileKind::Elf32 | FileKind::Elf64 => "an ELF library",
        FileKind::MachO32 | FileKind::MachO64 | FileKind::MachOFat32 | FileKind::MachOFat64 => {
            "a Mach-O library"
        }
        FileKind::Pe32 | FileKind::Pe64 => "a DLL",
        _ => return no_library("not a library at all"),
    };
    if format != native_format() {
        return Err(LoadError::OtherPlatform {
            found: format!("another system ({format})"),
            wanted: format!("{} ({})", std::env::consts::OS, native_format()),
        });
    }
    if matches!(kind, FileKind::MachOFat32 | FileKind::MachOFat64) {
        return Ok(None); // Several architectures in one; the loader picks.
    }
    match object::File::parse(bytes) {
        Err(error) => no_library(&format!("damaged: {error}")),
        Ok(file) => {
            let found = format!("{:?}", file.architecture()).to_lowercase();
            let wanted = std::env::consts::ARCH;
            if found.starts_with(wanted) || wanted == "x86" && found == "i386" {
                Ok(Some(file))
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

/// abi_stable prints both layouts whole, which fills screens: keep the first line that states what
/// differs.
fn first_difference(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.clone().next().unwrap_or_default().to_owned();
    lines.find(|line| line.starts_with("Error:")).map_or(first, |line| line[6..].trim().to_owned())
}

#[cfg(test)]
mod tests {
    use abi_stable::sabi_trait::prelude::TD_Opaque;
    use abi_stable::std_types::RBox;

    use super::*;

    /// A trait and a root module, as of one revision; `later` has what the next might append.
    #[expect(dead_code, unreachable_pub, non_local_definitions, unused_qualifications)]
    mod now {
        #[abi_stable::sabi_trait]
        pub trait Grown: Send {
            #[sabi(last_prefix_field)]
            fn first(&self) -> u32;
        }

        #[repr(C)]
        #[derive(abi_stable::StableAbi)]
        #[sabi(kind(Prefix(prefix_ref = ModuleRef)))]
        pub struct Module {
            #[sabi(last_prefix_field)]
            pub create: extern "C" fn() -> Grown_TO<'static, abi_stable::std_types::RBox<()>>,
        }
    }

    #[expect(dead_code, unreachable_pub, non_local_definitions, unused_qualifications)]
    mod later {
        #[abi_stable::sabi_trait]
        pub trait Grown: Send {
            #[sabi(last_prefix_field)]
            fn first(&self) -> u32;
            fn second(&self) -> u32 {
                0
            }
        }

        #[repr(C)]
        #[derive(abi_stable::StableAbi)]
        #[sabi(kind(Prefix(prefix_ref = ModuleRef)))]
        pub struct Module {
            #[sabi(last_prefix_field)]
            pub create: extern "C" fn() -> Grown_TO<'static, abi_stable::std_types::RBox<()>>,
            pub more: extern "C" fn() -> u32,
        }
    }

    struct Seven;

    impl now::Grown for Seven {
        fn first(&self) -> u32 {
            7
        }
    }

    /// As `now`, with a trait that has grown in a module that has not.
    #[expect(dead_code, unreachable_pub)]
    mod later_trait {
        #[repr(C)]
        #[derive(abi_stable::StableAbi)]
        #[sabi(kind(Prefix(prefix_ref = ModuleRef)))]
        pub struct Module {
            #[sabi(last_prefix_field)]
            pub create:
                extern "C" fn() -> super::later::Grown_TO<'static, abi_stable::std_types::RBox<()>>,
        }
    }

    /// Whatever was loaded before.
    #[test]
    fn plugins_of_several_revisions_fit_one_host() {
        let host = later_trait::ModuleRef::LAYOUT;
        for plugin in [now::ModuleRef::LAYOUT, host, now::ModuleRef::LAYOUT] {
            assert_eq!(compatible(plugin, host), Ok(()));
        }
    }

    /// The boundary's growth rests on this: an older plugin passes the check of a newer host, and
    /// its methods are reached through the newer trait.
    #[test]
    fn an_older_plugin_fits_a_newer_host() {
        assert_eq!(compatible(now::ModuleRef::LAYOUT, later::ModuleRef::LAYOUT), Ok(()));
        assert!(compatible(later::ModuleRef::LAYOUT, now::ModuleRef::LAYOUT).is_err());
        let older = now::Grown_TO::from_value(Seven, TD_Opaque);
        // SAFETY: what loading an older plugin does; the layouts have just been found compatible.
        let seen: later::Grown_TO<'static, RBox<()>> = unsafe { std::mem::transmute(older) };
        assert_eq!((seen.first(), seen.second()), (7, 0));
    }
}
