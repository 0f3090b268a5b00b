//! The data of creation, episodes and learning that crosses the boundary: plain slices and plain
//! structs. What is seen in a slot is in [`observation`](crate::Observation).
//!
//! Duty of the host: every slice has the length its comment states, every number is finite, and
//! what a policy did not ask for by its [`Needs`](crate::Needs) is empty. Duty of the plugin: to
//! keep none of these slices after the call.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use abi_stable::std_types::{ROption, RSlice, RStr};

use crate::error::Error;
use crate::observation::{LinkColumn, Observation, ObservationSpec, ServerColumn, TaskColumn};

/// The action of a row that has not been decided: what a policy finds in the rows it is to fill,
/// and what an explorer leaves where the learner shall decide.
pub const UNDECIDED: u32 = u32::MAX;

/// An energy accounting, as a number: a later offramp may have more than are named here.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnergyAccounting(u8);

impl EnergyAccounting {
    /// Power × time, joules.
    pub const PHYSICAL: Self = Self(0);
    /// The bookkeeping of the public code on which the paper's tables rest.
    pub const PUBLISHED: Self = Self(1);
}

/// The system of an episode. Units as in the scenario.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SystemSpec<'a> {
    /// τ, seconds.
    pub slot_seconds: f64,
    /// D_max, slots.
    pub deadline_slots: u32,
    /// S: slots in which tasks arrive.
    pub arrival_slots: u32,
    /// f^L of each device, GHz: N.
    pub device_ghz: RSlice<'a, f64>,
    /// p^C of each device, W: N.
    pub compute_w: RSlice<'a, f64>,
    /// p^T of each device, W: N.
    pub transmit_w: RSlice<'a, f64>,
    /// p^I of each device, W: N.
    pub idle_w: RSlice<'a, f64>,
    /// f^E of each server, GHz: M.
    pub server_ghz: RSlice<'a, f64>,
    /// Which accounting rewards use.
    pub energy: EnergyAccounting,
    /// E_ref: what E is divided by under the physical accounting, joules.
    pub reference_energy: f64,
}

impl SystemSpec<'_> {
    /// N: the number of devices.
    pub fn devices(&self) -> usize {
        self.device_ghz.len()
    }

    /// M: the number of servers.
    pub fn servers(&self) -> usize {
        self.server_ghz.len()
    }

    /// M + 1: action 0 computes locally, action j sends the task to server j.
    pub fn actions(&self) -> usize {
        self.server_ghz.len() + 1
    }
}

/// The context in which a policy or explorer is created.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The RON text of `parameters` in the scenario's entry; empty if there is none.
    /// [`Context::parameters`] reads it.
    pub parameters: RStr<'a>,
    /// The bytes of the checkpoint, if the scenario names one.
    pub checkpoint: ROption<RSlice<'a, u8>>,
    /// SHA-256 of the scenario, for a checkpoint to state where it comes from; in a training or
    /// distillation, of the fields that decide what is learned.
    pub scenario_sha256: RStr<'a>,
    /// For weights and everything else drawn once: the only source of randomness at creation.
    pub seed: u64,
    /// Threads it may use; results must not depend on their number.
    pub threads: u32,
    /// The shape of its observations.
    pub observation: &'a ObservationSpec<'a>,
    /// The system it will act in. A policy that declares `any_system` may meet others
    /// ([`EpisodeStart::system`]).
    pub system: &'a SystemSpec<'a>,
    /// The scenario's folder, absolute, as the bytes the system names it by; relative paths in
    /// parameters start here. [`Context::path`] resolves one. Since revision 1.
    pub folder: RSlice<'a, u8>,
    /// The path of the checkpoint's file, likewise, for a format that keeps data beside it; empty
    /// if there is none, or the checkpoint was never a file. [`Context::checkpoint_path`] reads
    /// it. Since revision 1.
    pub checkpoint_file: RSlice<'a, u8>,
    /// How often it will be called to learn in all: [`Learner::learn`](crate::Learner::learn) in a
    /// training (the slots of all episodes together, which explorers are told too), or
    /// [`Student::fit`](crate::Student::fit) in a distillation (steps). 0 for an instance that only
    /// decides, and for a policy or explorer without [`Needs::LENGTH`](crate::Needs::LENGTH). Since
    /// revision 2.
    pub learning_steps: u64,
    /// SHA-256 of the quantities in which devices, servers and uplinks differ, in hexadecimal;
    /// empty if they are alike. A policy with one network per device records it in its checkpoints,
    /// and refuses one of other hardware. Since revision 3.
    pub hardware_sha256: RStr<'a>,
}

impl Context<'_> {
    /// The path of the checkpoint's file; `None` if there is none, or the checkpoint was never a
    /// file.
    pub fn checkpoint_path(&self) -> Option<PathBuf> {
        (!self.checkpoint_file.is_empty()).then(|| path_of(self.checkpoint_file.as_slice()))
    }

    /// Finds a task column by its name, to be read with [`Observation::task`].
    ///
    /// # Errors
    /// If this offramp has no such column; the message lists those it has.
    pub fn task_column(&self, name: &str) -> Result<TaskColumn, Error> {
        self.observation.task_column(name)
    }

    /// Finds a link column by its name, to be read with [`Observation::link`].
    ///
    /// # Errors
    /// If this offramp has no such column; the message lists those it has.
    pub fn link_column(&self, name: &str) -> Result<LinkColumn, Error> {
        self.observation.link_column(name)
    }

    /// Finds a server column by its name, to be read with [`Observation::server`].
    ///
    /// # Errors
    /// If this offramp has no such column; the message lists those it has.
    pub fn server_column(&self, name: &str) -> Result<ServerColumn, Error> {
        self.observation.server_column(name)
    }
}

/// The start of an episode.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct EpisodeStart<'a> {
    /// Its number, counted from 0.
    pub episode: u64,
    /// The only source of randomness in this episode.
    pub seed: u64,
    /// True if a learner is to learn from it.
    pub training: bool,
    /// Its system: with the N and M of [`Context::system`], unless the policy declares
    /// `any_system`.
    pub system: &'a SystemSpec<'a>,
}

/// A task that has ended. It is an element of a slice, so it has this size for the whole version.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EndedTask {
    /// Its device. Device and slot of arrival identify a task.
    pub device: u32,
    /// The slot in which it arrived and was decided.
    pub arrival_slot: u32,
    /// The decision: 0 local, j server j.
    pub action: u32,
    /// D: the delay, slots; a dropped task counts its deadline.
    pub delay_slots: u32,
    /// True if it missed its deadline.
    pub dropped: bool,
    /// The reward of eq. (12), in the scenario's energy accounting.
    pub reward: f64,
    /// Energy by component in the scenario's accounting: local, transmit, server, idle.
    pub energy: [f64; 4],
}

/// A slot that is over, as a learner sees it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TransitionBatch<'a> {
    /// The observation at the start of the slot.
    pub observation: &'a Observation<'a>,
    /// The actions carried out, one per row: the explorer's proposal or the learner's own decision.
    pub actions: RSlice<'a, u32>,
    /// The tasks that ended in this slot, whenever they were decided.
    pub ended: RSlice<'a, EndedTask>,
}

/// Effects of single decisions of a training episode on the sum of all rewards. Since revision 4.
///
/// A reward shows what a task's own device gained. Each number here is what the *sum of all rewards* of
/// the episode would have gained if one task alone had been decided otherwise, everything else that
/// arrived and was decided being the same: its effect on those it shares servers with is included.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Counterfactuals<'a> {
    /// The device of each task. Device and slot of arrival identify a task.
    pub devices: RSlice<'a, u32>,
    /// The slot of arrival of each task, ascending; tasks of a slot are in the order of devices.
    pub arrival_slots: RSlice<'a, u32>,
    /// The gain by each action, tasks × (M + 1), units of reward; 0 for the action that was carried out.
    pub gains: RSlice<'a, f64>,
}

/// How far training has come: reported by the learner, handed to the explorer. A learner without an
/// optimiser counts whatever changes its decisions; if nothing ever does, the training has failed.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// Optimiser steps so far of one network (the mean, if each device has its own).
    pub updates: u64,
    /// Optimiser steps, of all networks, since the last report.
    pub recent_updates: u64,
    /// Mean loss of those steps; meaningless if there were none.
    pub loss: f64,
}

/// The network to export, and the format.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ExportRequest<'a> {
    /// One of [`Exportable::formats`](crate::Exportable::formats).
    pub format: RStr<'a>,
    /// Which network of the checkpoint, counted from 0.
    pub network: usize,
    /// What the export is to be called: the name of its files without their ending, and the
    /// beginning of every public name in them. Letters, digits and underscores, a letter first.
    /// Since revision 1.
    pub name: RStr<'a>,
}

/// A file that an export consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedFile {
    /// Its name, without a folder.
    pub name: String,
    /// Its content, complete.
    pub bytes: Vec<u8>,
    /// A note for the user, in a few words (such as the memory it takes); may be
    /// empty.
    pub note: String,
}

/// The path that the system names by `bytes`.
#[cfg(unix)]
pub fn path_of(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    OsStr::from_bytes(bytes).into()
}

/// The path that the system names by `bytes`: UTF-8.
#[cfg(not(unix))]
pub fn path_of(bytes: &[u8]) -> PathBuf {
    OsStr::new(&*String::from_utf8_lossy(bytes)).into()
}

/// The bytes by which the system names a path.
#[cfg(unix)]
pub fn bytes_of(path: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().to_vec()
}

/// The bytes by which the system names a path: UTF-8.
#[cfg(not(unix))]
pub fn bytes_of(path: &Path) -> Vec<u8> {
    path.to_string_lossy().into_owned().into_bytes()
}
