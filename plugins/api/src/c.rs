//! The boundary for other languages: what `include/offramp.h` declares, as the host knows it.
//!
//! A library exports [`SYMBOL`] instead of a manifest. What it is handed in a slot is
//! [`Observation`], [`TransitionBatch`] and so on as they stand: plain structs of C, in which a
//! slice is a pointer and a length. A test holds the header to the types here, size by size and
//! offset by offset.

use std::ffi::{c_char, c_int, c_void};

use abi_stable::std_types::RSlice;

use crate::data::{EpisodeStart, Observation, Progress, SystemSpec, TransitionBatch};

/// The symbol of the function `const OfframpPlugin *offramp_c_plugin(void)`.
pub const SYMBOL: &str = "offramp_c_plugin";

/// The version of the header. A library of another is refused.
pub const VERSION: u32 = 1;

/// What a library offers; it never changes and is never freed.
#[repr(C)]
#[derive(Debug)]
pub struct Plugin {
    /// [`VERSION`] it was written for.
    pub version: u32,
    /// How many policies.
    pub policy_count: u32,
    /// Its name; all texts end in NUL.
    pub name: *const c_char,
    /// Its own version.
    pub plugin_version: *const c_char,
    /// The policies.
    pub policies: *const Entry,
}

/// Where a function that fails says why, as a text that ends in NUL.
#[repr(C)]
#[derive(Debug)]
pub struct Message {
    /// The text.
    pub text: [c_char; 256],
}

/// Takes bytes that a policy wants kept.
pub type Write = unsafe extern "C" fn(sink: *mut c_void, bytes: *const u8, length: usize);

/// What a policy is created from: [`crate::Context`] in plain C.
#[repr(C)]
#[derive(Debug)]
pub struct Context<'a> {
    /// The RON text of `parameters`; not ended by NUL.
    pub parameters: RSlice<'a, u8>,
    /// The bytes of the checkpoint; a null pointer if there is none.
    pub checkpoint: *const u8,
    /// How many.
    pub checkpoint_length: usize,
    /// The only source of randomness at creation.
    pub seed: u64,
    /// Threads it may use; results must not depend on their number.
    pub threads: u32,
    /// K.
    pub history_slots: u32,
    /// What a load rarely exceeds.
    pub history_scale: f64,
    /// F names of features, each ended by NUL.
    pub feature_names: RSlice<'a, *const c_char>,
    /// What each feature rarely exceeds.
    pub feature_scales: RSlice<'a, f64>,
    /// The system it acts in.
    pub system: SystemSpec<'a>,
}

/// A policy. Functions give 0, or another number after they have written why into the message.
///
/// `create`, `destroy` and `decide` are needed. With `checkpoint`, `save` and `load` it can be
/// saved; with `record` and `learn` besides it is a learner.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name in scenarios.
    pub name: *const c_char,
    /// What it does, in one sentence.
    pub about: *const c_char,
    /// Bits of [`crate::Needs`].
    pub needs: u32,
    /// Creates an instance.
    pub create:
        Option<unsafe extern "C" fn(*const Context<'_>, *mut *mut c_void, *mut Message) -> c_int>,
    /// Frees it.
    pub destroy: Option<unsafe extern "C" fn(*mut c_void)>,
    /// See [`crate::Policy::begin_episode`].
    pub begin_episode:
        Option<unsafe extern "C" fn(*mut c_void, *const EpisodeStart, *mut Message) -> c_int>,
    /// See [`crate::Policy::decide`]; as many actions as the observation has devices.
    pub decide: Option<
        unsafe extern "C" fn(*mut c_void, *const Observation<'_>, *mut u32, *mut Message) -> c_int,
    >,
    /// See [`crate::Policy::end_episode`].
    pub end_episode: Option<unsafe extern "C" fn(*mut c_void, *mut Message) -> c_int>,
    /// See [`crate::Saved::checkpoint`]; hands its bytes to the function given.
    pub checkpoint: Option<SaveFunction>,
    /// See [`crate::Saved::save`]; likewise.
    pub save: Option<SaveFunction>,
    /// See [`crate::Saved::load`].
    pub load: Option<unsafe extern "C" fn(*mut c_void, *const u8, usize, *mut Message) -> c_int>,
    /// See [`crate::Learner::record`].
    pub record: Option<
        unsafe extern "C" fn(*mut c_void, *const TransitionBatch<'_>, *mut Message) -> c_int,
    >,
    /// See [`crate::Learner::learn`].
    pub learn: Option<unsafe extern "C" fn(*mut c_void, *mut Progress, *mut Message) -> c_int>,
}

/// Hands what is to be kept to a [`Write`], in one piece or several.
pub type SaveFunction =
    unsafe extern "C" fn(*mut c_void, Write, *mut c_void, *mut Message) -> c_int;

// SAFETY: a plugin's table never changes and is never freed; that is its documented duty.
unsafe impl Sync for Entry {}
// SAFETY: as above.
unsafe impl Send for Entry {}
