//! The boundary for other languages: what `include/offramp.h` declares, as the host knows it.
//!
//! A library exports [`SYMBOL`] instead of a manifest. What it is handed in a slot is
//! [`Observation`], [`TransitionBatch`] and so on as they stand: plain structs of C, in which a
//! slice is a pointer and a length. Tests compare the header with the types here, size by size and
//! offset by offset, and hold it to the header of revision 0.
//!
//! It grows as [`boundary`](crate::boundary) states: structs passed by pointer gain fields at
//! their end, and entries of the tables do too, since [`Plugin`] states the size of each.

use std::ffi::{c_char, c_int, c_void};

use abi_stable::std_types::RSlice;

use crate::boundary::{INTERFACE_VERSION, REVISION};
use crate::data::{Counterfactuals, EpisodeStart, Progress, SystemSpec, TransitionBatch};
use crate::observation::Observation;

/// The symbol of the function `const OfframpPlugin *offramp_c_plugin(void)`.
pub const SYMBOL: &str = "offramp_c_plugin";

/// The version of the header: that of the interface.
pub const VERSION: u32 = INTERFACE_VERSION;

/// The revision of the header: that of the interface.
pub const HEADER_REVISION: u32 = REVISION;

/// Flag of an entry: [`AnySystem`](crate::AnySystem).
pub const FLAG_ANY_SYSTEM: u32 = 1;

/// The table of a library; it never changes and is never freed.
///
/// `version` and `revision` stand first from version 2 on, for ever; version 1 had no revision.
#[repr(C)]
#[derive(Debug)]
pub struct Plugin {
    /// [`VERSION`] it was compiled for.
    pub version: u32,
    /// [`HEADER_REVISION`] it was compiled for.
    pub revision: u32,
    /// Bytes of this struct as the library knows it.
    pub size: usize,
    /// Its name; all texts end in NUL.
    pub name: *const c_char,
    /// Its own version.
    pub plugin_version: *const c_char,
    /// The policies: `policy_count` entries of `policy_size` bytes each.
    pub policies: *const PolicyEntry,
    /// Number of entries in `policies`.
    pub policy_count: usize,
    /// Bytes of a [`PolicyEntry`] as the library knows it.
    pub policy_size: usize,
    /// The explorers: `explorer_count` entries of `explorer_size` bytes each.
    pub explorers: *const ExplorerEntry,
    /// Number of entries in `explorers`.
    pub explorer_count: usize,
    /// Bytes of an [`ExplorerEntry`] as the library knows it.
    pub explorer_size: usize,
}

/// Where a function that fails writes why, as a text that ends in NUL. Its size is fixed.
#[repr(C)]
#[derive(Debug)]
pub struct Message {
    /// The text.
    pub text: [c_char; 256],
}

/// Takes bytes that a policy hands over, during the call only.
pub type Write = unsafe extern "C" fn(sink: *mut c_void, bytes: *const u8, length: usize);

/// Takes a file that an export consists of, during the call only: its name and a note on it, both
/// ending in NUL, and its bytes.
pub type AddFile = unsafe extern "C" fn(
    sink: *mut c_void,
    name: *const c_char,
    note: *const c_char,
    bytes: *const u8,
    length: usize,
);

/// Takes a path, which ends in NUL, during the call only.
pub type AddPath = unsafe extern "C" fn(sink: *mut c_void, path: *const c_char);

/// Takes a number and its name, which ends in NUL, during the call only.
pub type AddNumber = unsafe extern "C" fn(sink: *mut c_void, name: *const c_char, value: f64);

/// [`crate::Policy::files`]: hands each path to the [`AddPath`].
pub type FilesFunction =
    unsafe extern "C" fn(*mut c_void, AddPath, *mut c_void, *mut Message) -> c_int;

/// [`crate::ObservationSpec`] in plain C; texts end in NUL.
#[repr(C)]
#[derive(Debug)]
pub struct ObservationSpec<'a> {
    /// The names of the F features.
    pub feature_names: RSlice<'a, *const c_char>,
    /// A size that each feature rarely exceeds.
    pub feature_scales: RSlice<'a, f64>,
    /// The names of the task columns.
    pub task_columns: RSlice<'a, *const c_char>,
    /// The names of the link columns.
    pub link_columns: RSlice<'a, *const c_char>,
    /// The names of the server columns.
    pub server_columns: RSlice<'a, *const c_char>,
    /// K: load vectors in a window of history.
    pub history_slots: u32,
    /// A load that is rarely exceeded.
    pub history_scale: f64,
    /// The kind of observation; ends in NUL. Since revision 1.
    pub kind: *const c_char,
}

/// [`crate::Context`] in plain C.
#[repr(C)]
#[derive(Debug)]
pub struct Context<'a> {
    /// The RON text of `parameters`; does not end in NUL.
    pub parameters: RSlice<'a, u8>,
    /// The bytes of the checkpoint; a null pointer if there is none.
    pub checkpoint: *const u8,
    /// Bytes of the checkpoint; 0 if there is none.
    pub checkpoint_length: usize,
    /// SHA-256 of the scenario's text, in hexadecimal; does not end in NUL.
    pub scenario_sha256: RSlice<'a, u8>,
    /// The only source of randomness at creation.
    pub seed: u64,
    /// Threads it may use; results must not depend on their number.
    pub threads: u32,
    /// The shape of its observations.
    pub observation: *const ObservationSpec<'a>,
    /// The system it will act in.
    pub system: *const SystemSpec<'a>,
    /// The scenario's folder, absolute; ends in NUL. Since revision 1.
    pub folder: *const c_char,
    /// The path of the checkpoint's file; ends in NUL, a null pointer if there is none. Since
    /// revision 1.
    pub checkpoint_file: *const c_char,
    /// How often it will be called to learn in all; 0 if it only decides, or does not need to
    /// know. Since revision 2.
    pub learning_steps: u64,
    /// SHA-256 of the hardware, in hexadecimal; does not end in NUL, empty if devices, servers and
    /// uplinks are alike. Since revision 3.
    pub hardware_sha256: RSlice<'a, u8>,
}

/// [`crate::ExportRequest`] in plain C.
#[repr(C)]
#[derive(Debug)]
pub struct ExportRequest {
    /// One of the entry's formats; ends in NUL.
    pub format: *const c_char,
    /// Which network of the checkpoint, counted from 0.
    pub network: usize,
    /// Name of the export; ends in NUL. Since revision 1.
    pub name: *const c_char,
}

type Create = unsafe extern "C" fn(*const Context<'_>, *mut *mut c_void, *mut Message) -> c_int;
type Destroy = unsafe extern "C" fn(*mut c_void);
type BeginEpisode =
    unsafe extern "C" fn(*mut c_void, *const EpisodeStart<'_>, *mut Message) -> c_int;

/// A function that hands over bytes through a [`Write`], in one piece or several.
pub type SaveFunction =
    unsafe extern "C" fn(*mut c_void, Write, *mut c_void, *mut Message) -> c_int;

/// A policy. Functions return 0, or another number after they have written why into the message.
///
/// `create`, `destroy` and `decide` are needed; which of the others are there states the
/// capabilities.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PolicyEntry {
    /// Its name in scenarios.
    pub name: *const c_char,
    /// A one-sentence description.
    pub about: *const c_char,
    /// Bits of [`crate::Needs`].
    pub needs: u32,
    /// [`FLAG_ANY_SYSTEM`], or 0.
    pub flags: u32,
    /// Creates an instance.
    pub create: Option<Create>,
    /// Frees it.
    pub destroy: Option<Destroy>,
    /// See [`crate::Policy::begin_episode`].
    pub begin_episode: Option<BeginEpisode>,
    /// See [`crate::Policy::decide`]; as many actions as the observation has devices.
    pub decide: Option<
        unsafe extern "C" fn(*mut c_void, *const Observation<'_>, *mut u32, *mut Message) -> c_int,
    >,
    /// See [`crate::Policy::end_episode`].
    pub end_episode: Option<unsafe extern "C" fn(*mut c_void, *mut Message) -> c_int>,
    /// See [`crate::Saved::checkpoint`].
    pub checkpoint: Option<SaveFunction>,
    /// See [`crate::Saved::save`].
    pub save: Option<SaveFunction>,
    /// See [`crate::Saved::load`].
    pub load: Option<unsafe extern "C" fn(*mut c_void, *const u8, usize, *mut Message) -> c_int>,
    /// See [`crate::Learner::record`].
    pub record: Option<
        unsafe extern "C" fn(*mut c_void, *const TransitionBatch<'_>, *mut Message) -> c_int,
    >,
    /// See [`crate::Learner::learn`].
    pub learn: Option<unsafe extern "C" fn(*mut c_void, *mut Progress, *mut Message) -> c_int>,
    /// See [`crate::ValueFunction::values`]; rows × (M + 1) values.
    pub values: Option<
        unsafe extern "C" fn(*mut c_void, *const Observation<'_>, *mut f32, *mut Message) -> c_int,
    >,
    /// See [`crate::Student::fit`]; rows × (M + 1) targets, and where the loss goes.
    pub fit: Option<
        unsafe extern "C" fn(
            *mut c_void,
            *const Observation<'_>,
            *const f32,
            *mut f64,
            *mut Message,
        ) -> c_int,
    >,
    /// See [`crate::Exportable::formats`]: texts, after the last a null pointer.
    pub export_formats: *const *const c_char,
    /// See [`crate::Exportable::export`]: checkpoint, its length, request; hands its files to the
    /// [`AddFile`].
    pub export_checkpoint: Option<
        unsafe extern "C" fn(
            *const u8,
            usize,
            *const ExportRequest,
            AddFile,
            *mut c_void,
            *mut Message,
        ) -> c_int,
    >,
    /// See [`crate::Mergeable::networks`].
    pub networks: Option<unsafe extern "C" fn(*mut c_void) -> usize>,
    /// See [`crate::Mergeable::parameters`]; hands over the bytes of floats.
    pub parameters:
        Option<unsafe extern "C" fn(*mut c_void, usize, Write, *mut c_void, *mut Message) -> c_int>,
    /// See [`crate::Mergeable::set_parameters`].
    pub set_parameters:
        Option<unsafe extern "C" fn(*mut c_void, usize, *const f32, usize, *mut Message) -> c_int>,
    /// See [`crate::Policy::files`]. Since revision 1.
    pub files: Option<FilesFunction>,
    /// See [`crate::Saved::diagnostics`]; hands each to the [`AddNumber`]. Since revision 2.
    pub diagnostics:
        Option<unsafe extern "C" fn(*mut c_void, AddNumber, *mut c_void, *mut Message) -> c_int>,
    /// See [`crate::Saved::memory`]. Since revision 2.
    pub memory: Option<unsafe extern "C" fn(*mut c_void) -> u64>,
    /// See [`crate::Learner::judged_tasks`]; not called if there is no `judge`. Since revision 4.
    pub judged_tasks: Option<unsafe extern "C" fn(*mut c_void) -> u64>,
    /// See [`crate::Learner::judge`]. Since revision 4.
    pub judge: Option<
        unsafe extern "C" fn(*mut c_void, *const Counterfactuals<'_>, *mut Message) -> c_int,
    >,
}

/// An explorer. As for a policy; `create`, `destroy` and `propose` are needed.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ExplorerEntry {
    /// Its name in scenarios.
    pub name: *const c_char,
    /// A one-sentence description.
    pub about: *const c_char,
    /// Bits of [`crate::Needs`].
    pub needs: u32,
    /// [`FLAG_ANY_SYSTEM`], or 0.
    pub flags: u32,
    /// Creates an instance.
    pub create: Option<Create>,
    /// Frees it.
    pub destroy: Option<Destroy>,
    /// See [`crate::Explorer::begin_episode`].
    pub begin_episode: Option<BeginEpisode>,
    /// See [`crate::Explorer::propose`]; the last pointer but one is where the probability goes.
    pub propose: Option<
        unsafe extern "C" fn(
            *mut c_void,
            *const Observation<'_>,
            *const Progress,
            *mut u32,
            *mut f64,
            *mut Message,
        ) -> c_int,
    >,
    /// See [`crate::Explorer::files`]. Since revision 1.
    pub files: Option<FilesFunction>,
}

// SAFETY: a library's tables never change and are never freed; that is their documented duty.
unsafe impl Sync for PolicyEntry {}
// SAFETY: as above.
unsafe impl Send for PolicyEntry {}
// SAFETY: as above.
unsafe impl Sync for ExplorerEntry {}
// SAFETY: as above.
unsafe impl Send for ExplorerEntry {}
