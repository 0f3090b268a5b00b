//! The traits and the root module that cross the boundary, and the manifest that is read before.
//!
//! An author never sees these: [`register_policy!`](crate::register_policy) wraps what the author
//! wrote. The host never calls them bare either: `offramp-host` turns them back into ordinary
//! Rust.
//!
//! # How the interface grows
//! A plugin states the version and the revision of the interface it was built for. The rule:
//!
//! - another *version* is refused, whichever is newer;
//! - a later *revision* than the host's is refused, with the one it needs;
//! - an earlier revision loads and runs, for ever.
//!
//! Within a version things are only appended, and [`REVISION`] is raised:
//!
//! | what | how it grows | what an older plugin does |
//! |---|---|---|
//! | structs passed by reference ([`ByRef`], [`ByMut`]) and what they refer to | fields at the end | reads, or fills, the fields it knows |
//! | observation columns, formats, energy accountings | more of them | finds its own by name or number |
//! | [`RawPolicy`], [`RawExplorer`], [`PluginModule`] | at the end, after `last_prefix_field`; methods with a default | has the default |
//! | [`Capabilities`], [`Needs`](crate::Needs) | new bits | does not set them |
//! | [`Manifest`], [`ManifestEntry`] | fields at the end; `size` and `entry_size` tell which are there | they read as zero |
//! | elements of slices ([`EndedTask`](crate::EndedTask), [`Feature`](crate::Feature)), values returned ([`CallError`], [`RawFile`]) | not at all; more about them comes as a slice beside them or a new method | |
//!
//! # What abi_stable checks, and what it cannot
//! abi_stable compares the layouts of all types that a root module mentions, which catches a
//! plugin that was built against a changed copy of this crate. Three of its habits stand against
//! the rule above, hence:
//!
//! - Structs passed by reference are opaque to it ([`ByRef`]). As ordinary structs they could not
//!   gain a field; as prefix types they would be reached through accessors, need metadata in front
//!   of them that C does not know, and be built unsafely in every slot. The revision governs them,
//!   and tests hold each field of revision 0 to its offset.
//! - Its check lets a *newer* plugin into an older host and not the reverse: the interface may
//!   have fewer methods than the implementation. `offramp-host` therefore compares with the roles
//!   exchanged (the plugin's layout as the interface, the host's as the implementation); the
//!   revision has refused newer plugins before.
//! - It compares the version of the crate that a type is defined in. This crate's version is
//!   therefore the interface's: 2.REVISION.

use std::ffi::c_char;

use abi_stable::StableAbi;
use abi_stable::library::{LibHeader, RootModule};
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{
    RBox, RNone, ROk, ROption, RResult, RSlice, RSliceMut, RStr, RString, RVec,
};

use crate::data::{
    Context, Counterfactuals, EpisodeStart, ExportRequest, Progress, TransitionBatch,
};
use crate::observation::Observation;

/// The version of this interface. A plugin of another is refused.
pub const INTERFACE_VERSION: u32 = 2;

/// The revision within the version: raised whenever something is appended. A plugin of a later
/// one is refused, one of an earlier loads.
pub const REVISION: u32 = 4;

/// The symbol of the function `extern "C" fn() -> *const Manifest`.
pub const MANIFEST_SYMBOL: &str = "offramp_plugin_manifest";

/// The first bytes of every [`Manifest`].
pub const MAGIC: [u8; 8] = *b"offramp\0";

/// A struct lent for a call, opaque to abi_stable so that it may grow at its end.
#[repr(transparent)]
#[derive(StableAbi, Debug)]
#[sabi(unsafe_unconstrained(T), unsafe_opaque_fields)]
pub struct ByRef<'a, T> {
    inner: &'a T,
}

impl<'a, T> ByRef<'a, T> {
    /// The struct; only the fields of the reader's own revision.
    #[inline]
    pub fn get(self) -> &'a T {
        self.inner
    }
}

impl<T> Clone for ByRef<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for ByRef<'_, T> {}

impl<'a, T> From<&'a T> for ByRef<'a, T> {
    #[inline]
    fn from(inner: &'a T) -> Self {
        Self { inner }
    }
}

/// A struct lent for a call to be filled, opaque to abi_stable like [`ByRef`]. The host has given
/// every field a value before; the plugin fills those it knows.
#[repr(transparent)]
#[derive(StableAbi, Debug)]
#[sabi(unsafe_unconstrained(T), unsafe_opaque_fields)]
pub struct ByMut<'a, T> {
    inner: &'a mut T,
}

impl<'a, T> ByMut<'a, T> {
    /// The struct.
    #[inline]
    pub fn get(self) -> &'a mut T {
        self.inner
    }
}

impl<'a, T> From<&'a mut T> for ByMut<'a, T> {
    #[inline]
    fn from(inner: &'a mut T) -> Self {
        Self { inner }
    }
}

/// Why a call failed: what the plugin stated, or the panic that was caught.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct CallError {
    /// The reason.
    pub message: RString,
    /// True if it was a panic.
    pub panicked: bool,
}

/// The result of a call.
pub type CallResult<T> = RResult<T, CallError>;

/// An [`ExportedFile`](crate::ExportedFile) as it crosses.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct RawFile {
    /// Its name, without a folder.
    pub name: RString,
    /// Its content.
    pub bytes: RVec<u8>,
    /// A note for the user.
    pub note: RString,
}

/// An element of [`Saved::diagnostics`](crate::Saved::diagnostics) as it crosses.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct RawDiagnostic {
    /// Its name.
    pub name: RString,
    /// The mean.
    pub value: f64,
}

/// A policy as a call of [`RawPolicy`] returns it. abi_stable must not descend into a trait from
/// that trait itself; it checks [`PolicyBox`] where the root module mentions it.
#[repr(transparent)]
#[derive(StableAbi)]
pub struct FreshPolicy {
    /// The policy.
    #[sabi(unsafe_opaque_field)]
    pub policy: PolicyBox,
}

#[expect(non_local_definitions, unused_qualifications, reason = "what sabi_trait expands to")]
mod traits {
    use super::*;

    /// A policy with whatever capabilities its [`ManifestEntry`] states. To call one it lacks is
    /// an error, never undefined.
    #[abi_stable::sabi_trait]
    pub trait RawPolicy: Send {
        /// See [`Policy::begin_episode`](crate::Policy::begin_episode).
        fn begin_episode(&mut self, start: ByRef<'_, EpisodeStart<'_>>) -> CallResult<()>;
        /// See [`Policy::decide`](crate::Policy::decide).
        fn decide(
            &mut self,
            observation: ByRef<'_, Observation<'_>>,
            actions: RSliceMut<'_, u32>,
        ) -> CallResult<()>;
        /// See [`Policy::end_episode`](crate::Policy::end_episode).
        fn end_episode(&mut self) -> CallResult<()>;
        /// See [`Saved::checkpoint`](crate::Saved::checkpoint).
        fn checkpoint(&self) -> CallResult<RVec<u8>>;
        /// See [`Saved::save`](crate::Saved::save).
        fn save(&self) -> CallResult<RVec<u8>>;
        /// See [`Saved::load`](crate::Saved::load).
        fn load(&mut self, bytes: RSlice<'_, u8>) -> CallResult<()>;
        /// See [`Learner::record`](crate::Learner::record).
        fn record(&mut self, slot: ByRef<'_, TransitionBatch<'_>>) -> CallResult<()>;
        /// See [`Learner::learn`](crate::Learner::learn).
        fn learn(&mut self, progress: ByMut<'_, Progress>) -> CallResult<()>;
        /// See [`ValueFunction::values`](crate::ValueFunction::values).
        fn values(
            &mut self,
            observation: ByRef<'_, Observation<'_>>,
            values: RSliceMut<'_, f32>,
        ) -> CallResult<()>;
        /// See [`Student::fit`](crate::Student::fit).
        fn fit(
            &mut self,
            observation: ByRef<'_, Observation<'_>>,
            targets: RSlice<'_, f32>,
        ) -> CallResult<f64>;
        /// See [`Mergeable::networks`](crate::Mergeable::networks).
        fn networks(&self) -> CallResult<usize>;
        /// See [`Mergeable::parameters`](crate::Mergeable::parameters).
        fn parameters(&self, network: usize) -> CallResult<RVec<f32>>;
        /// See [`Mergeable::set_parameters`](crate::Mergeable::set_parameters).
        #[sabi(last_prefix_field)]
        fn set_parameters(&mut self, network: usize, parameters: RSlice<'_, f32>)
        -> CallResult<()>;
        /// See [`Policy::files`](crate::Policy::files); a path is the bytes the system names it
        /// by. Since revision 1.
        fn files(&self) -> CallResult<RVec<RVec<u8>>> {
            ROk(RVec::new())
        }
        /// See [`Policy::fresh`](crate::Policy::fresh). Since revision 2.
        fn fresh(&self) -> CallResult<ROption<FreshPolicy>> {
            ROk(RNone)
        }
        /// See [`Saved::diagnostics`](crate::Saved::diagnostics). Since revision 2.
        fn diagnostics(&mut self) -> CallResult<RVec<RawDiagnostic>> {
            ROk(RVec::new())
        }
        /// See [`Saved::memory`](crate::Saved::memory). Since revision 2.
        fn memory(&self) -> CallResult<u64> {
            ROk(0)
        }
        /// See [`Learner::judged_tasks`](crate::Learner::judged_tasks). Since revision 4.
        fn judged_tasks(&self) -> CallResult<u64> {
            ROk(0)
        }
        /// See [`Learner::judge`](crate::Learner::judge). Since revision 4.
        fn judge(&mut self, counterfactuals: ByRef<'_, Counterfactuals<'_>>) -> CallResult<()> {
            let _ = counterfactuals;
            ROk(())
        }
    }

    /// An explorer.
    #[abi_stable::sabi_trait]
    pub trait RawExplorer: Send {
        /// See [`Explorer::begin_episode`](crate::Explorer::begin_episode).
        fn begin_episode(&mut self, start: ByRef<'_, EpisodeStart<'_>>) -> CallResult<()>;
        /// See [`Explorer::propose`](crate::Explorer::propose).
        #[sabi(last_prefix_field)]
        fn propose(
            &mut self,
            observation: ByRef<'_, Observation<'_>>,
            progress: ByRef<'_, Progress>,
            actions: RSliceMut<'_, u32>,
        ) -> CallResult<f64>;
        /// See [`Explorer::files`](crate::Explorer::files). Since revision 1.
        fn files(&self) -> CallResult<RVec<RVec<u8>>> {
            ROk(RVec::new())
        }
    }
}

pub use traits::{RawExplorer, RawExplorer_TO, RawPolicy, RawPolicy_TO};

/// A policy behind the boundary.
pub type PolicyBox = RawPolicy_TO<'static, RBox<()>>;

/// An explorer behind the boundary.
pub type ExplorerBox = RawExplorer_TO<'static, RBox<()>>;

/// The root module of a plugin's library.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginModuleRef)))]
pub struct PluginModule {
    /// Creates a policy by its name.
    pub create_policy: extern "C" fn(RStr<'_>, ByRef<'_, Context<'_>>) -> CallResult<PolicyBox>,
    /// Creates an explorer by its name.
    pub create_explorer: extern "C" fn(RStr<'_>, ByRef<'_, Context<'_>>) -> CallResult<ExplorerBox>,
    /// The formats in which a policy, by its name, exports its checkpoints.
    pub export_formats: extern "C" fn(RStr<'_>) -> CallResult<RVec<RString>>,
    /// Exports a network of a checkpoint of a policy, by its name.
    #[sabi(last_prefix_field)]
    pub export: extern "C" fn(
        RStr<'_>,
        RSlice<'_, u8>,
        ByRef<'_, ExportRequest<'_>>,
    ) -> CallResult<RVec<RawFile>>,
}

impl RootModule for PluginModuleRef {
    abi_stable::declare_root_module_statics! {PluginModuleRef}
    const BASE_NAME: &'static str = "offramp_plugin";
    const NAME: &'static str = "offramp plugin";
    // The interface's version and no revision: abi_stable has no part in those.
    const VERSION_STRINGS: VersionStrings = VersionStrings::new("2.0.0");
}

/// The part of a library that is read before anything in it is trusted: plain C, so that even a plugin
/// that cannot be loaded can be explained.
///
/// `magic`, `interface_version` and `size` are the same in every version, for ever.
#[repr(C)]
#[derive(Debug)]
pub struct Manifest {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// [`INTERFACE_VERSION`] it was built for.
    pub interface_version: u32,
    /// Bytes of this struct as the plugin knows it; a later one may be longer.
    pub size: u32,
    /// [`REVISION`] it was built for. Version 1 had none.
    pub revision: u32,
    /// Bytes of a [`ManifestEntry`] as the plugin knows it.
    pub entry_size: u32,
    /// The crate's name; like all texts here UTF-8 that ends in NUL, never freed.
    pub plugin: *const c_char,
    /// The crate's version.
    pub version: *const c_char,
    /// The compiler it was built with.
    pub compiler: *const c_char,
    /// The target it was built for.
    pub target: *const c_char,
    /// Its policies and explorers: `entry_count` entries of `entry_size` bytes each.
    pub entries: *const ManifestEntry,
    /// Number of entries.
    pub entry_count: usize,
    /// abi_stable's header, through which the root module is checked and loaded.
    pub header: *const LibHeader,
}

// SAFETY: a manifest is written once, before its address is handed out, and everything it points
// to is never freed or changed.
unsafe impl Sync for Manifest {}
// SAFETY: as above; it has no owner that could free it on another thread.
unsafe impl Send for Manifest {}

/// A policy or an explorer that a plugin offers.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ManifestEntry {
    /// [`ENTRY_POLICY`] or [`ENTRY_EXPLORER`]; others are passed over.
    pub kind: u32,
    /// Bits of [`Capabilities`].
    pub capabilities: u32,
    /// Bits of [`Needs`](crate::Needs).
    pub needs: u32,
    /// Its name in scenarios.
    pub name: *const c_char,
    /// A one-sentence description.
    pub about: *const c_char,
}

/// [`ManifestEntry::kind`] of a policy.
pub const ENTRY_POLICY: u32 = 0;
/// [`ManifestEntry::kind`] of an explorer.
pub const ENTRY_EXPLORER: u32 = 1;

/// The capabilities of a policy besides deciding; of an explorer [`Capabilities::ANY_SYSTEM`] alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Capabilities {
    bits: u32,
}

impl Capabilities {
    /// No capability besides deciding.
    pub const NONE: Self = Self { bits: 0 };
    /// [`Saved`](crate::Saved).
    pub const SAVED: Self = Self { bits: 1 };
    /// [`Learner`](crate::Learner).
    pub const LEARNER: Self = Self { bits: 2 };
    /// [`ValueFunction`](crate::ValueFunction).
    pub const VALUE_FUNCTION: Self = Self { bits: 4 };
    /// [`Student`](crate::Student).
    pub const STUDENT: Self = Self { bits: 8 };
    /// [`Exportable`](crate::Exportable).
    pub const EXPORTABLE: Self = Self { bits: 16 };
    /// [`Mergeable`](crate::Mergeable).
    pub const MERGEABLE: Self = Self { bits: 32 };
    /// [`AnySystem`](crate::AnySystem).
    pub const ANY_SYSTEM: Self = Self { bits: 64 };

    const NAMES: [(Self, &str); 7] = [
        (Self::SAVED, "saved"),
        (Self::LEARNER, "learner"),
        (Self::VALUE_FUNCTION, "value_function"),
        (Self::STUDENT, "student"),
        (Self::EXPORTABLE, "exportable"),
        (Self::MERGEABLE, "mergeable"),
        (Self::ANY_SYSTEM, "any_system"),
    ];

    /// The capabilities of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self { bits: self.bits | other.bits }
    }

    /// True if it has all of `capability`.
    pub const fn has(self, capability: Self) -> bool {
        self.bits & capability.bits == capability.bits
    }

    /// The number that states them in a manifest.
    pub const fn bits(self) -> u32 {
        self.bits
    }

    /// The capabilities that the number of a manifest states; unknown bits are dropped.
    pub const fn from_bits(bits: u32) -> Self {
        Self { bits: bits & 127 }
    }

    /// The names of the capabilities, as in the brackets of a registration.
    pub fn names(self) -> Vec<&'static str> {
        let named = Self::NAMES.into_iter().filter(|(capability, _)| self.has(*capability));
        named.map(|(_, name)| name).collect()
    }
}
