//! A task: its arrival at a device, and its end.

use crate::energy::{Energies, Energy};

/// A task that has just arrived and waits for its decision (section 3 of the paper).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrival {
    /// The device it arrived at, 0 … N − 1.
    pub device: u32,
    /// λ: size in Mbit, above 0.
    pub size_mbit: f64,
    /// ρ: density, Gcycles per Mbit, above 0.
    pub density: f64,
    /// α of its device at this moment: weight of delay against energy, 0 … 1.
    pub alpha: f64,
    /// D_max: slots within which it must end, counting that of its arrival, at least 1.
    pub deadline_slots: u32,
    /// Its class, an index into those of the system.
    pub class: u32,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Computed within its deadline.
    Done,
    /// Its deadline passed, or the episode ended first.
    Dropped,
}

/// A task that has ended. Device and arrival slot identify it: at most one task arrives per
/// device and slot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EndedTask {
    /// The device it arrived at, 0 … N − 1.
    pub device: u32,
    /// The slot it arrived in, 0 … S − 1.
    pub arrival_slot: u32,
    /// The decision: 0 local, j = 1 … M server j.
    pub action: u32,
    /// Done in time, or dropped.
    pub outcome: Outcome,
    /// D: slots from arrival to end, counting the arrival slot, at least 1; D_max if it was dropped.
    pub delay_slots: u32,
    /// D_max of this task.
    pub deadline_slots: u32,
    /// Its class, an index into those of the system.
    pub class: u32,
    /// The slot in which its upload ended, if it was sent.
    pub sent_slot: Option<u32>,
    /// The slot in which it entered the service that it ended in, at a CPU, a server or an uplink;
    /// `None` if it waited to its end.
    pub service_slot: Option<u32>,
    /// λ: size, Mbit.
    pub size_mbit: f64,
    /// ρ: density, Gcycles per Mbit.
    pub density: f64,
    /// α of its device when it arrived: weight of delay against energy, 0 … 1.
    pub alpha: f64,
    /// Its energy in both accountings.
    pub energy: Energies,
}

impl EndedTask {
    /// Fills storage that no task has used.
    pub(crate) const NONE: Self = Self {
        device: 0,
        arrival_slot: 0,
        action: 0,
        outcome: Outcome::Dropped,
        delay_slots: 0,
        deadline_slots: 0,
        class: 0,
        sent_slot: None,
        service_slot: None,
        size_mbit: 0.0,
        density: 0.0,
        alpha: 0.0,
        energy: Energies { published: Energy::NONE, physical: Energy::NONE },
    };
}

/// Where a task under way is at the start of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the FIFO of its device's CPU.
    Cpu,
    /// In the FIFO of its device's uplink.
    Uplink,
    /// On the backhaul to its server.
    Backhaul,
    /// In the FIFO of its device at the server it was sent to.
    Server,
}

/// A task under way: decided and not ended. Device and arrival slot identify it, as they do an
/// [`EndedTask`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskUnderWay {
    /// The device it arrived at, 0 … N − 1.
    pub device: u32,
    /// The slot it arrived in, 0 … S − 1.
    pub arrival_slot: u32,
    /// Where it is.
    pub place: Place,
    /// True if it is in service there; it waits otherwise.
    pub in_service: bool,
}
