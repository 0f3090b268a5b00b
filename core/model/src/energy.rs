//! Energy of a task, by component, in two accountings.
//!
//! Both are kept for every task; the system's [`EnergyAccounting`] selects the one that enters
//! the reward and the metrics. The published accounting adds up slot by slot, in units of its
//! own; the physical one is linear in the work done, so it is computed once, when a task ends.

/// Energy of one task by component, each 0 or above. Unit: joules in the physical accounting,
/// the published code's own in the other.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Energy {
    /// Computing on the device: p^C · λρ/f^L (eq. 4).
    pub local: f64,
    /// Sending over the uplink: p^T · λ/R (eq. 2).
    pub transmit: f64,
    /// Computing at the server: p^E · λρ/f^E.
    pub server: f64,
    /// The device idle while its task is at the server: p^I · time there (eq. 6).
    pub idle: f64,
}

impl Energy {
    pub(crate) const NONE: Self = Self { local: 0.0, transmit: 0.0, server: 0.0, idle: 0.0 };

    /// The sum of all four components: the energy metric.
    pub fn total(&self) -> f64 {
        self.local + self.transmit + self.server + self.idle
    }
}

/// The energy of one task in both accountings.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Energies {
    /// The sums of the published code, in its own units.
    pub published: Energy,
    /// Power × time, joules (eqs. 2, 4, 6).
    pub physical: Energy,
}

/// The accounting that rewards and metrics use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnergyAccounting {
    /// Power × time, joules.
    Physical,
    /// The bookkeeping of the public code on which the paper's tables rest.
    Published,
}

impl EnergyAccounting {
    /// The energy of a task under this accounting.
    pub fn of(self, energies: &Energies) -> &Energy {
        match self {
            Self::Physical => &energies.physical,
            Self::Published => &energies.published,
        }
    }
}

/// Published local energy of one slot: c² if the slot was full, otherwise (remaining/ρ)·c, with c
/// the Mbit that a slot can do.
#[inline]
pub(crate) fn published_local(remaining_mbit: f64, mbit_per_slot: f64, density: f64) -> f64 {
    // Both are computed, and one is chosen: a branch would be mispredicted in most last slots.
    let full = remaining_mbit >= mbit_per_slot;
    (if full { mbit_per_slot } else { remaining_mbit / density }) * mbit_per_slot
}

/// Published (server, idle) energy of one slot at a server that `active` devices share, with
/// `mbit_per_slot` the Mbit the whole server can do in a slot.
#[inline]
pub(crate) fn published_server(
    remaining_mbit: f64,
    mbit_per_slot: f64,
    active: f64,
    slot_seconds: f64,
    server_w: f64,
    idle_w: f64,
) -> (f64, f64) {
    let full = remaining_mbit >= mbit_per_slot / active;
    let mbit = if full { mbit_per_slot } else { remaining_mbit };
    (mbit * server_w * slot_seconds, mbit / active * if full { 1.0 } else { idle_w })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_energy_of_a_task_is_the_sum_of_its_components_in_one_accounting() {
        let physical = Energy { local: 1.0, transmit: 2.0, server: 4.0, idle: 8.0 };
        let published = Energy { local: 16.0, transmit: 32.0, server: 64.0, idle: 128.0 };
        assert_eq!((physical.total(), published.total()), (15.0, 240.0));
        let both = Energies { published, physical };
        assert_eq!(*EnergyAccounting::Physical.of(&both), physical);
        assert_eq!(*EnergyAccounting::Published.of(&both), published);
    }

    /// c = 2 Mbit a slot, and a density of 0.5.
    #[test]
    fn published_energy_of_a_slot_by_hand() {
        let local = |remaining_mbit| published_local(remaining_mbit, 2.0, 0.5);
        assert_eq!([3.0, 2.0, 1.0].map(local), [4.0, 4.0, 4.0]);
        assert_eq!(published_local(1.0, 2.0, 0.25), 8.0);
        // A server of 8 Mbit a slot that four devices share, 2 Mbit each; p^E = 5 W, p^I = 0.5 W.
        let server = |remaining_mbit| published_server(remaining_mbit, 8.0, 4.0, 0.1, 5.0, 0.5);
        assert_eq!(server(3.0), (4.0, 2.0));
        assert_eq!(server(2.0), (4.0, 2.0));
        assert_eq!(server(1.0), (0.5, 0.125));
    }
}
