//! The physics and the decision process of task offloading in mobile edge computing.
//!
//! A device gets a task and decides at once: compute it locally, or send it over its uplink to
//! one of several edge servers, which share their CPU among the devices active at them. Time
//! runs in slots; a task that has not ended by its deadline is dropped; what a task was worth is
//! known when it ends.
//!
//! How to use it, in the order a user works:
//!
//! 1. Describe a [`System`]: devices, servers, uplink, tasks, accounting.
//! 2. Begin an [`Episode`] of it under a [`Workload`], drawn from a seed or recorded.
//! 3. Slot by slot: look ([`Episode::arrivals`], [`Episode::features`], [`Episode::history`]),
//!    decide, [`Episode::advance`], and see what ended ([`Episode::ended`], [`reward::reward`]).
//!
//! # Where this differs from the paper
//! Cited from the code by their numbers.
//! 1. The paper leaves the order of events in a slot open; here it is that of the public QECO
//!    code: CPUs, servers, uplinks, activity ([`Episode::advance`]). Recorded runs of that code
//!    are reproduced exactly.
//! 2. A task that waits past its deadline stays in its FIFO until it is popped, and keeps its
//!    device active at the server meanwhile; it counts as dropped with delay D_max.
//! 3. h ends with m(t−1), not m(t): a decision sees the state at the start of its slot, never
//!    the decisions of the others in the same slot.
//! 4. τ^C and τ^T, "remaining processing time deviation" in the paper, are the whole slots for
//!    which CPU and uplink stay busy with what they hold ([`Episode::queue_slots`]).
//! 5. E_scaled has no definition in the paper. [`reward::scaled_energy`] has the published
//!    code's and a physical one.
//! 6. Idle energy (eq. 6) counts whole slots from the one after the upload ended, the fraction
//!    of the last one that its service took, and nothing past the deadline: the device has given
//!    up by then.
//! 7. `EnergyAccounting::Published` is not physics (it adds up squares of work); it is there
//!    because the paper's tables rest on it.
//!
//! # Speed
//! Measured with `cargo bench -p offramp-model`; figures and limits in `benches/engine.rs`.

pub mod device;
pub mod distribution;
pub mod energy;
mod episode;
pub mod observation;
mod published;
pub mod reward;
pub mod rng;
pub mod server;
mod slot;
mod system;
mod task;
pub mod uplink;
mod workload;

pub use device::{Device, PowerPreference, PreferenceRule};
pub use distribution::{Distribution, Range};
pub use energy::{Energies, Energy, EnergyAccounting};
pub use episode::{Episode, IllegalDecision};
pub use observation::{Feature, ObservationKind, ObservationSpec};
pub use server::Server;
pub use system::{InvalidSystem, System, SystemParameters};
pub use task::{Arrival, EndedTask, Outcome};
pub use uplink::UplinkRates;
pub use workload::{RecordedArrival, Workload};

impl System {
    /// The system of the paper's section 6.1 with the published accounting, of `devices` devices
    /// and `servers` servers (each at least 1): what examples and tests begin with.
    ///
    /// # Panics
    /// If `devices` or `servers` is 0.
    pub fn paper(devices: usize, servers: usize) -> Self {
        let device = Device {
            cpu_ghz: 2.6,
            compute_w: 2.0,
            transmit_w: 2.3,
            idle_w: 0.1,
            arrival_probability: 0.3,
        };
        let parameters = SystemParameters {
            slot_seconds: 0.1,
            arrival_slots: 100,
            deadline_slots: 10,
            devices: vec![device; devices],
            servers: vec![Server { ghz: 42.0, power_w: 5.0 }; servers],
            uplink: UplinkRates::Same(14.0),
            size_mbit: Distribution::Uniform(1.0, 7.0),
            density: Distribution::Choice(vec![0.197, 0.297, 0.397]),
            power_preference: PowerPreference {
                modes: vec![0.25, 0.5, 0.75],
                rule: PreferenceRule::PerEpisode,
            },
            energy: EnergyAccounting::Published,
        };
        match Self::new(parameters) {
            Ok(system) => system,
            Err(fault) => panic!("{fault}"),
        }
    }
}
