//! Energy of a task, by component, in two accountings (section 3 of the model).
//!
//! Both are kept for every task; the scenario's [`EnergyAccounting`] says which one enters the
//! reward and the metrics. The published accounting adds up slot by slot and in units of its
//! own; the physical one is linear in the work done, so it is computed once, when a task ends.

/// Energy of one task by component. Unit: joules in the physical accounting, the published
/// code's own in the other.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Energy {
    /// Computing on the device (eq. 4).
    pub local: f64,
    /// Sending over the uplink (eq. 2).
    pub transmit: f64,
    /// Computing at the server.
    pub server: f64,
    /// The device idle while its task is at the server (eq. 6).
    pub idle: f64,
}

impl Energy {
    /// The sum of all four components, as the energy metric counts it.
    pub fn total(&self) -> f64 {
        self.local + self.transmit + self.server + self.idle
    }
}

/// The energy of one task in both accountings.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Energies {
    /// What the published code adds up.
    pub published: Energy,
    /// Power × time, joules (eqs. 2, 4, 6).
    pub physical: Energy,
}

/// Which accounting a scenario's rewards and metrics use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnergyAccounting {
    /// Power × time, joules.
    Physical,
    /// The bookkeeping of the public code on which the paper's tables rest.
    Published,
}

impl EnergyAccounting {
    /// This accounting's part of `energies`.
    pub fn of(self, energies: &Energies) -> &Energy {
        match self {
            Self::Physical => &energies.physical,
            Self::Published => &energies.published,
        }
    }
}

/// Published local energy of one slot: c² if the slot was full, else (left/ρ)·c, with c the
/// Mbit a slot can do.
#[inline]
pub(crate) fn published_local(left: f64, per_slot: f64, density: impl FnOnce() -> f64) -> f64 {
    if left >= per_slot { per_slot * per_slot } else { left / density() * per_slot }
}

/// Published (server, idle) energy of one slot at a server that `active` devices share, with
/// `per_slot` the Mbit the whole server can do in a slot.
#[inline]
pub(crate) fn published_server(
    left: f64,
    per_slot: f64,
    active: f64,
    slot_seconds: f64,
    server_w: f64,
    idle_w: impl FnOnce() -> f64,
) -> (f64, f64) {
    if left >= per_slot / active {
        (per_slot * server_w * slot_seconds, per_slot / active)
    } else {
        (left * server_w * slot_seconds, left / active * idle_w())
    }
}
