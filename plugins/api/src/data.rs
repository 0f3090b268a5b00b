//! The data that crosses the boundary: plain slices and plain structs.
//!
//! Duty of the host: every slice has the length its comment states, every number is finite, and
//! what a policy did not ask for by its [`Needs`] is empty. Duty of the plugin: to hold on to
//! none of these slices after the call.
//!
//! These structs are frozen within an interface version. What a later version of offramp wants
//! to add comes by a new method of a trait or a new field of the root module (both may grow at
//! their end), so that a plugin built today keeps loading.

use abi_stable::StableAbi;
use abi_stable::std_types::{ROption, RSlice, RStr, RString};

/// An action that has not been decided: what a policy's actions hold before it fills them, and
/// what an explorer leaves where the learner shall decide.
pub const UNDECIDED: u32 = u32::MAX;

/// Which parts of an [`Observation`] a policy reads. Nothing is computed for a part that no one
/// reads.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Needs {
    bits: u32,
}

impl Needs {
    /// The number of tasks and their devices, which every policy gets.
    pub const NOTHING: Self = Self { bits: 0 };
    /// [`Observation::features`].
    pub const FEATURES: Self = Self { bits: 1 };
    /// [`Observation::histories`].
    pub const HISTORY: Self = Self { bits: 2 };
    /// [`Observation::knowledge`].
    pub const KNOWLEDGE: Self = Self { bits: 4 };
    /// [`Observation::load`].
    pub const LOAD: Self = Self { bits: 8 };
    /// [`Observation::uplink_mbps`].
    pub const UPLINK: Self = Self { bits: 16 };

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self { bits: self.bits | other.bits }
    }

    /// Whether all of `part` is needed.
    #[inline]
    pub const fn includes(self, part: Self) -> bool {
        self.bits & part.bits == part.bits
    }

    /// As a number, for the manifest.
    pub const fn bits(self) -> u32 {
        self.bits
    }

    /// From the number of a manifest; unknown bits (of a newer interface) are left out.
    pub const fn from_bits(bits: u32) -> Self {
        Self { bits: bits & 31 }
    }

    /// The names of what is needed.
    pub fn names(self) -> Vec<&'static str> {
        const NAMES: [(Needs, &str); 5] = [
            (Needs::FEATURES, "features"),
            (Needs::HISTORY, "history"),
            (Needs::KNOWLEDGE, "knowledge"),
            (Needs::LOAD, "load"),
            (Needs::UPLINK, "uplink"),
        ];
        let named = NAMES.into_iter().filter(|(need, _)| self.includes(*need));
        named.map(|(_, name)| name).collect()
    }
}

/// What the devices with a new task see at the start of a slot (eqs. 9 and 10 of the paper).
///
/// A *row* is a task that waits for its decision; rows are in the order of devices. N devices,
/// M servers, K slots of history, F features.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// t.
    pub slot: u32,
    /// The device of each row, 0 … N − 1.
    pub devices: RSlice<'a, u32>,
    /// o: rows × F, unscaled, in the order of [`ObservationSpec::features`].
    pub features: RSlice<'a, f64>,
    /// h: one or more windows of K × M, oldest slot first: devices active at each server.
    pub histories: RSlice<'a, f64>,
    /// The window of each row; empty if all rows see the first (in an episode they do).
    pub history_of: RSlice<'a, u32>,
    /// What each row's device truly knows, whatever the scenario's observation is: rows ×
    /// (6 + M): λ Mbit, τ^C slots, τ^T slots, B^E_1…M Mbit, α, ρ Gcycles/Mbit, D_max slots.
    /// [`Observation::known`] gives it names.
    pub knowledge: RSlice<'a, f64>,
    /// m(t−1): devices active at each server, M.
    pub load: RSlice<'a, f64>,
    /// R of each row's device to each server, Mbit/s: rows × M.
    pub uplink_mbps: RSlice<'a, f64>,
}

/// A row of [`Observation::knowledge`], by name.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// λ, Mbit.
    pub size_mbit: f64,
    /// τ^C: slots for which the device's CPU stays busy.
    pub compute_queue_slots: f64,
    /// τ^T: slots for which the device's uplink stays busy.
    pub uplink_queue_slots: f64,
    /// B^E_j: Mbit of this device's tasks at each server.
    pub backlog_mbit: &'a [f64],
    /// α.
    pub alpha: f64,
    /// ρ, Gcycles per Mbit.
    pub density: f64,
    /// D_max of this task, slots.
    pub deadline_slots: f64,
}

impl<'a> Observation<'a> {
    /// How many tasks wait for a decision.
    #[inline]
    pub fn rows(&self) -> usize {
        self.devices.len()
    }

    /// o of a row; empty if [`Needs::FEATURES`] was not asked for.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    pub fn features_of(&self, row: usize) -> &'a [f64] {
        row_of(self.features, row, self.rows())
    }

    /// R of a row's device to each server.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    pub fn uplink_of(&self, row: usize) -> &'a [f64] {
        row_of(self.uplink_mbps, row, self.rows())
    }

    /// What a row's device truly knows; needs [`Needs::KNOWLEDGE`].
    ///
    /// # Panics
    /// If there is no such row, or the knowledge was not asked for.
    #[inline]
    pub fn known(&self, row: usize) -> Known<'a> {
        let values = row_of(self.knowledge, row, self.rows());
        let servers = values.len() - 6;
        Known {
            size_mbit: values[0],
            compute_queue_slots: values[1],
            uplink_queue_slots: values[2],
            backlog_mbit: &values[3..3 + servers],
            alpha: values[3 + servers],
            density: values[4 + servers],
            deadline_slots: values[5 + servers],
        }
    }
}

#[inline]
fn row_of<'a>(table: RSlice<'a, f64>, row: usize, rows: usize) -> &'a [f64] {
    let width = table.len() / rows;
    &table.as_slice()[row * width..(row + 1) * width]
}

/// A feature of o.
#[repr(C)]
#[derive(StableAbi, Clone, Debug, PartialEq)]
pub struct Feature {
    /// Its name, with its unit.
    pub name: RString,
    /// The size it rarely exceeds, above 0: what a network may divide it by.
    pub scale: f64,
}

/// What the observations of a scenario look like.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct ObservationSpec<'a> {
    /// The F features of a row.
    pub features: RSlice<'a, Feature>,
    /// K: load vectors in a window of history.
    pub history_slots: u32,
    /// What a load rarely exceeds, above 0: what a network may divide the history by.
    pub history_scale: f64,
}

/// The two energy accountings.
#[repr(u8)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnergyAccounting {
    /// Power × time, joules.
    Physical,
    /// The bookkeeping of the public code on which the paper's tables rest.
    Published,
}

/// What is known of the system a policy acts in. Units as in the scenario.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
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
    /// N.
    pub fn devices(&self) -> usize {
        self.device_ghz.len()
    }

    /// M.
    pub fn servers(&self) -> usize {
        self.server_ghz.len()
    }

    /// M + 1: action 0 computes locally, action j sends the task to server j.
    pub fn actions(&self) -> usize {
        self.server_ghz.len() + 1
    }
}

/// What a policy or explorer is created from.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The RON text of `parameters` in the scenario's entry; empty if there is none.
    /// [`Context::parameters`] reads it.
    pub parameters: RStr<'a>,
    /// The bytes of the checkpoint the scenario names, if it names one.
    pub checkpoint: ROption<RSlice<'a, u8>>,
    /// SHA-256 of the scenario's text, for a checkpoint to say where it comes from.
    pub scenario_sha256: RStr<'a>,
    /// For weights and everything else drawn once: the only source of randomness at creation.
    pub seed: u64,
    /// Threads it may use; results must not depend on their number.
    pub threads: u32,
    /// The observations it will see.
    pub observation: ObservationSpec<'a>,
    /// The system it acts in.
    pub system: SystemSpec<'a>,
}

/// The start of an episode.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpisodeStart {
    /// Counted from 0.
    pub episode: u64,
    /// The only source of randomness in this episode.
    pub seed: u64,
    /// Whether the learner will be asked to learn from it.
    pub training: bool,
}

/// A task that has ended, as a learner is told.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq)]
pub struct EndedTask {
    /// Its device. Device and slot of birth identify a task.
    pub device: u32,
    /// The slot in which it was decided.
    pub born_slot: u32,
    /// The decision: 0 local, j server j.
    pub action: u32,
    /// D, slots.
    pub delay_slots: u32,
    /// Whether it missed its deadline.
    pub dropped: bool,
    /// Eq. (12).
    pub reward: f64,
    /// Energy by component in the scenario's accounting: local, transmit, server, idle.
    pub energy: [f64; 4],
}

/// One slot as a learner sees it when it is over.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct TransitionBatch<'a> {
    /// What was seen at the start of the slot.
    pub observation: Observation<'a>,
    /// What was done, a row each: the explorer's proposal or the learner's own decision.
    pub actions: RSlice<'a, u32>,
    /// The tasks that ended in this slot, whenever they were decided.
    pub ended: RSlice<'a, EndedTask>,
}

/// How far training has come, as the learner reports it and an explorer is told.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// Optimiser steps so far of one network (the mean, if each device has its own).
    pub updates: u64,
    /// Mean loss of the steps since the last report; 0 if there were none.
    pub loss: f64,
}
