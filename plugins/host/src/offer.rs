//! The offers of a library, and the reasons why a file is not a plugin.

use std::ffi::{CStr, c_char};
use std::path::PathBuf;

use offramp_plugin::Needs;
use offramp_plugin::boundary::{Capabilities, INTERFACE_VERSION, MANIFEST_SYMBOL, REVISION};
use offramp_plugin::c::SYMBOL as C_SYMBOL;

/// A policy or explorer that a library offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Policy or explorer.
    pub kind: OfferKind,
    /// Its name in scenarios.
    pub name: String,
    /// A one-sentence description.
    pub about: String,
    /// Which parts of an observation it reads.
    pub needs: Needs,
    /// Its capabilities besides deciding.
    pub capabilities: Capabilities,
}

/// The kind of an [`Offer`].
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

/// Why a file is not a plugin that can be loaded. Reads as a sentence about the file: "FILE: not
/// an ELF library (empty)".
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(std::io::Error),
    /// It is a link to a file that is not there.
    #[error("a link to {}, which is not there", target.display())]
    DanglingLink {
        /// Where it leads.
        target: PathBuf,
    },
    /// It is not a file.
    #[error("not a file ({found})")]
    NoFile {
        /// The kind of what is there: a library of another system, for example.
        found: &'static str,
    },
    /// It is something else.
    #[error("not {wanted} ({found})")]
    NoLibrary {
        /// The format that this platform loads, with its article.
        wanted: &'static str,
        /// The format of the file.
        found: String,
    },
    /// It is a library for another kind of machine.
    #[error("a library for {found}; this machine is {wanted}")]
    OtherPlatform {
        /// Its platform.
        found: String,
        /// The host's.
        wanted: String,
    },
    /// The system's loader refuses it: a library it depends on is missing, or it is damaged.
    #[error("the system cannot load it: {0}")]
    Unloadable(String),
    /// A library, but not a plugin; it was not loaded.
    #[error(
        "not an offramp plugin: it exports neither `{MANIFEST_SYMBOL}`, as a library does that \
         ends in `offramp_plugin::export_plugin!();`, nor `{C_SYMBOL}`, as one in C does"
    )]
    NoPlugin,
    /// Built for an earlier version of the interface.
    #[error(
        "built for plugin interface {found}, this offramp has {INTERFACE_VERSION}.{REVISION}: \
         {remedy} (plugins/README.md, \"From version 1 to 2\", lists what changed)"
    )]
    OlderInterface {
        /// Its version.
        found: u32,
        /// How to rebuild it.
        remedy: &'static str,
    },
    /// Built for a later version or revision of the interface.
    #[error(
        "needs plugin interface {needs}, this offramp has {INTERFACE_VERSION}.{REVISION}: use an \
         offramp that has it, or build the plugin against this one"
    )]
    NewerInterface {
        /// The interface it needs: `version`, or `version.revision`.
        needs: String,
    },
    /// Lacks something that is needed.
    #[error("not a complete plugin: it has no {lacks}")]
    Incomplete {
        /// The missing part.
        lacks: String,
    },
    /// Same interface, other layout: built with a changed offramp-plugin or another abi_stable.
    #[error(
        "built with an incompatible offramp-plugin ({detail}): rebuild it with the offramp-plugin \
         crate of this release"
    )]
    OtherLayout {
        /// The first difference.
        detail: String,
    },
}

/// Checks that a plugin of that version and revision can be loaded.
///
/// # Errors
/// [`LoadError::OlderInterface`] with `remedy`, or [`LoadError::NewerInterface`].
pub(crate) fn check_interface(
    version: u32,
    revision: Option<u32>,
    remedy: &'static str,
) -> Result<(), LoadError> {
    let needs = match revision {
        Some(revision) => format!("{version}.{revision}"),
        None => version.to_string(),
    };
    if version < INTERFACE_VERSION {
        return Err(LoadError::OlderInterface { found: version, remedy });
    }
    if version > INTERFACE_VERSION || revision.is_some_and(|revision| revision > REVISION) {
        return Err(LoadError::NewerInterface { needs });
    }
    Ok(())
}

/// A struct of which only the first `size` bytes are there; what lies behind them is zero.
///
/// # Safety
/// `start` has `size` readable bytes that begin a `T`, whose fields may all be zero.
pub(crate) unsafe fn read_prefix<T>(start: *const T, size: usize) -> T {
    let mut whole = std::mem::MaybeUninit::<T>::zeroed();
    let known = size.min(size_of::<T>());
    // SAFETY: `start` has that many bytes by the caller's promise, `whole` by its type; all-zero
    // fields are valid, and so are those copied.
    unsafe {
        std::ptr::copy_nonoverlapping(start.cast::<u8>(), whole.as_mut_ptr().cast::<u8>(), known);
        whole.assume_init()
    }
}

/// The entries of a table whose entries may be shorter or longer than the host knows them.
///
/// # Safety
/// `start` has `count` entries of `size` bytes each, as [`read_prefix`] wants them.
pub(crate) unsafe fn read_table<T>(start: *const T, count: usize, size: usize) -> Vec<T> {
    // SAFETY: the caller's promise.
    (0..count).map(|at| unsafe { read_prefix(start.byte_add(at * size), size) }).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    #[derive(Debug, PartialEq)]
    struct Earlier {
        a: u32,
        b: u32,
    }

    #[repr(C)]
    #[derive(Debug, PartialEq)]
    struct Later {
        a: u32,
        b: u32,
        c: *const u8,
    }

    #[test]
    fn entries_of_other_sizes_are_read() {
        let earlier = [Earlier { a: 1, b: 2 }, Earlier { a: 3, b: 4 }];
        // SAFETY: two entries of that size, which begin a `Later`.
        let read = unsafe { read_table::<Later>(earlier.as_ptr().cast(), 2, size_of::<Earlier>()) };
        assert_eq!(
            read,
            [Later { a: 1, b: 2, c: std::ptr::null() }, Later { a: 3, b: 4, c: std::ptr::null() }]
        );
        // SAFETY: likewise, the other way round.
        let read = unsafe { read_table::<Earlier>(read.as_ptr().cast(), 2, size_of::<Later>()) };
        assert_eq!(read, earlier);
    }

    #[test]
    fn revisions_are_compared() {
        let check = |version, revision| {
            check_interface(version, revision, "rebuild it").err().map(|error| error.to_string())
        };
        assert_eq!(check(INTERFACE_VERSION, Some(REVISION)), None);
        let needs = |text: Option<String>, what: &str| {
            assert!(text.as_deref().is_some_and(|text| text.contains(what)), "{text:?}");
        };
        needs(check(1, None), "built for plugin interface 1");
        needs(check(1, None), "rebuild it");
        needs(check(INTERFACE_VERSION, Some(REVISION + 1)), &format!(".{}", REVISION + 1));
        needs(check(INTERFACE_VERSION + 1, None), "needs plugin interface 3");
    }
}
