//! The traits and the root module that cross the boundary, and the manifest that is read before.
//!
//! An author never sees these: [`register_policy!`](crate::register_policy) wraps what the
//! author wrote. The host never calls them bare either: `offramp-host` turns them back into
//! ordinary Rust.
//!
//! Both traits and the root module are prefix types of abi_stable: methods and fields may be
//! added at the end, after the one marked as the last of the prefix, and a plugin built before
//! them still loads. Anything else raises [`INTERFACE_VERSION`].

use std::ffi::c_char;

use abi_stable::StableAbi;
use abi_stable::library::{LibHeader, RootModule};
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{RBox, RResult, RSlice, RSliceMut, RStr, RString, RVec};

use crate::data::{Context, EpisodeStart, Observation, Progress, TransitionBatch};

/// The version of this boundary, apart from any crate's. A plugin of another is refused.
pub const INTERFACE_VERSION: u32 = 1;

/// The symbol of the function `extern "C" fn() -> *const Manifest`.
pub const MANIFEST_SYMBOL: &str = "offramp_plugin_manifest";

/// The first bytes of every [`Manifest`].
pub const MAGIC: [u8; 8] = *b"offramp\0";

/// Why a call failed: what the plugin said, or the panic that was caught.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct CallError {
    /// What went wrong.
    pub message: RString,
    /// Whether it was a panic; the instance must not be called again then.
    pub panicked: bool,
}

/// What a call gives back.
pub type CallResult<T> = RResult<T, CallError>;

#[expect(non_local_definitions, unused_qualifications, reason = "what sabi_trait expands to")]
mod traits {
    use super::*;

    /// A policy with whatever capabilities its [`ManifestEntry`] states. To call one it has not is
    /// an error, never undefined.
    #[abi_stable::sabi_trait]
    pub trait RawPolicy: Send {
        /// See [`Policy::begin_episode`](crate::Policy::begin_episode).
        fn begin_episode(&mut self, start: &EpisodeStart) -> CallResult<()>;
        /// See [`Policy::decide`](crate::Policy::decide).
        fn decide(
            &mut self,
            observation: &Observation<'_>,
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
        fn record(&mut self, slot: &TransitionBatch<'_>) -> CallResult<()>;
        /// See [`Learner::learn`](crate::Learner::learn).
        fn learn(&mut self) -> CallResult<Progress>;
        /// See [`ValueFunction::values`](crate::ValueFunction::values).
        fn values(
            &mut self,
            observation: &Observation<'_>,
            values: RSliceMut<'_, f32>,
        ) -> CallResult<()>;
        /// See [`Student::fit`](crate::Student::fit).
        #[sabi(last_prefix_field)]
        fn fit(
            &mut self,
            observation: &Observation<'_>,
            targets: RSlice<'_, f32>,
        ) -> CallResult<f64>;
    }

    /// An explorer.
    #[abi_stable::sabi_trait]
    pub trait RawExplorer: Send {
        /// See [`Explorer::begin_episode`](crate::Explorer::begin_episode).
        fn begin_episode(&mut self, start: &EpisodeStart) -> CallResult<()>;
        /// See [`Explorer::propose`](crate::Explorer::propose).
        #[sabi(last_prefix_field)]
        fn propose(
            &mut self,
            observation: &Observation<'_>,
            progress: &Progress,
            actions: RSliceMut<'_, u32>,
        ) -> CallResult<f64>;
    }
}

pub use traits::{RawExplorer, RawExplorer_TO, RawPolicy, RawPolicy_TO};

/// A policy behind the boundary.
pub type PolicyBox = RawPolicy_TO<'static, RBox<()>>;

/// An explorer behind the boundary.
pub type ExplorerBox = RawExplorer_TO<'static, RBox<()>>;

/// What a plugin's library offers.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginModuleRef)))]
pub struct PluginModule {
    /// Creates a policy by its name.
    pub create_policy: extern "C" fn(RStr<'_>, &Context<'_>) -> CallResult<PolicyBox>,
    /// Creates an explorer by its name.
    #[sabi(last_prefix_field)]
    pub create_explorer: extern "C" fn(RStr<'_>, &Context<'_>) -> CallResult<ExplorerBox>,
}

impl RootModule for PluginModuleRef {
    abi_stable::declare_root_module_statics! {PluginModuleRef}
    const BASE_NAME: &'static str = "offramp_plugin";
    const NAME: &'static str = "offramp plugin";
    // The interface's version, so that a new version of the crate alone refuses no plugin.
    const VERSION_STRINGS: VersionStrings = VersionStrings::new("1.0.0");
}

/// What can be read of a library before anything in it is trusted: plain C, so that also a
/// plugin that can't be loaded can be explained.
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
    /// The crate's name; like all texts here UTF-8 that ends in NUL, for ever.
    pub plugin: *const c_char,
    /// The crate's version.
    pub version: *const c_char,
    /// The compiler it was built with.
    pub compiler: *const c_char,
    /// The target it was built for.
    pub target: *const c_char,
    /// What it offers: `entry_count` of them.
    pub entries: *const ManifestEntry,
    /// How many.
    pub entry_count: usize,
    /// abi_stable's header, through which the root module is checked and loaded.
    pub header: *const LibHeader,
}

// SAFETY: a manifest is written once, before its address is given out, and everything it points
// to is never freed or changed.
unsafe impl Sync for Manifest {}
// SAFETY: as above; it has no owner that could free it on another thread.
unsafe impl Send for Manifest {}

/// A policy or an explorer that a plugin offers.
#[repr(C)]
#[derive(Debug)]
pub struct ManifestEntry {
    /// [`ENTRY_POLICY`] or [`ENTRY_EXPLORER`]; others are of a newer offramp and are passed over.
    pub kind: u32,
    /// Bits of [`Capabilities`].
    pub capabilities: u32,
    /// Bits of [`Needs`](crate::Needs).
    pub needs: u32,
    /// Its name in scenarios.
    pub name: *const c_char,
    /// What it does, in one sentence.
    pub about: *const c_char,
}

/// [`ManifestEntry::kind`] of a policy.
pub const ENTRY_POLICY: u32 = 0;
/// [`ManifestEntry::kind`] of an explorer.
pub const ENTRY_EXPLORER: u32 = 1;

/// What a policy can do besides deciding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Capabilities {
    bits: u32,
}

impl Capabilities {
    /// It only decides.
    pub const NONE: Self = Self { bits: 0 };
    /// [`Saved`](crate::Saved).
    pub const SAVED: Self = Self { bits: 1 };
    /// [`Learner`](crate::Learner).
    pub const LEARNER: Self = Self { bits: 2 };
    /// [`ValueFunction`](crate::ValueFunction).
    pub const VALUE_FUNCTION: Self = Self { bits: 4 };
    /// [`Student`](crate::Student).
    pub const STUDENT: Self = Self { bits: 8 };

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self { bits: self.bits | other.bits }
    }

    /// Whether it has all of `capability`.
    pub const fn has(self, capability: Self) -> bool {
        self.bits & capability.bits == capability.bits
    }

    /// As a number, for the manifest.
    pub const fn bits(self) -> u32 {
        self.bits
    }

    /// From the number of a manifest; unknown bits (of a newer interface) are left out.
    pub const fn from_bits(bits: u32) -> Self {
        Self { bits: bits & 15 }
    }

    /// The names of the capabilities.
    pub fn names(self) -> Vec<&'static str> {
        const NAMES: [(Capabilities, &str); 4] = [
            (Capabilities::SAVED, "saved"),
            (Capabilities::LEARNER, "learner"),
            (Capabilities::VALUE_FUNCTION, "value function"),
            (Capabilities::STUDENT, "fit to a teacher"),
        ];
        let named = NAMES.into_iter().filter(|(capability, _)| self.has(*capability));
        named.map(|(_, name)| name).collect()
    }
}
