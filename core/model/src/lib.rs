//! The physics and the decision process of task offloading in mobile edge computing.
//!
//! A device gets a task and decides at once: compute it locally, or send it over its uplink to
//! one of several edge servers, which share their CPU among the devices active at them. Time
//! runs in slots; a task that has not ended by its deadline is dropped; the reward of a task is
//! known when it ends.
//!
//! ```text
//!            action 0    ┌─────────────┐
//!          ┌────────────▶│ CPU of i    │──▶ ended
//!   task ──┤             └─────────────┘
//!   at i   │ action j    ┌─────────────┐      ┌──────────────────────┐
//!          └────────────▶│ uplink of i │─────▶│ FIFO of i at server j│──▶ ended
//!                        └─────────────┘      └──────────────────────┘
//! ```
//!
//! # In the order you work
//! 1. **Describe a system**: devices, servers, channel, tasks, accounting. Start from
//!    [`SystemParameters::paper`], change what differs, and let [`System::new`] check it.
//! 2. **Choose a workload**: [`Workload::Drawn`] from a seed, the same tasks for every policy; or
//!    a checked [`Recording`].
//! 3. **Choose an observation** ([`ObservationSpec`]): the columns that make up the feature
//!    vector, and the length of the load history. Module [`observation`] lists all columns.
//! 4. **Run an [`Episode`]**, slot by slot: observe ([`Episode::arrivals`],
//!    [`Episode::features`], [`Episode::history`], or whole tables such as
//!    [`Episode::task_table`]), decide, [`Episode::advance`].
//! 5. **Collect** the tasks that ended ([`Episode::ended`]), their [`reward::reward`] and energy.
//!
//! ```
//! use offramp_model::{
//!     ColumnList, Episode, ObservationKind, ObservationSpec, Outcome, System,
//!     SystemParameters, Workload, reward,
//! };
//!
//! // 1. The paper's system with four devices, two servers and a tighter deadline.
//! let mut parameters = SystemParameters::paper(4, 2);
//! parameters.classes[0].deadline_slots = 8;
//! let system = std::sync::Arc::new(System::new(parameters)?);
//! // 2. Tasks drawn from seed 1.
//! let workload = Workload::Drawn { seed: 1, episode: 0 };
//! // 3. Two columns: how long the CPU stays busy, and the load of each server.
//! let columns = ColumnList::new(["compute_queue_slots", "load"])?;
//! let kind = ObservationKind::Columns(columns);
//! let observation = ObservationSpec { kind, ..ObservationSpec::PAPER };
//!
//! // 4. Compute locally if the CPU is idle, otherwise use the server with the lower load.
//! let mut episode = Episode::new(&system, workload, observation);
//! let (mut features, mut actions) = (Vec::new(), Vec::new());
//! let (mut done, mut total_reward) = (0, 0.0);
//! while !episode.is_over() {
//!     episode.features(&mut features);
//!     actions.clear();
//!     for row in features.chunks(kind.width(system.server_count())) {
//!         let [busy_slots, load_1, load_2] = *row else { unreachable!("three features") };
//!         let server = if load_1 <= load_2 { 1 } else { 2 };
//!         actions.push(if busy_slots == 0.0 { 0 } else { server });
//!     }
//!     episode.advance(&actions)?;
//!     // 5. Tasks end slots after their decision, in any order.
//!     for task in episode.ended() {
//!         done += u32::from(task.outcome == Outcome::Done);
//!         total_reward += reward::reward(&system, task);
//!     }
//! }
//! assert!(done > 50 && total_reward > 0.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Everything random is a pure function of seed, episode, purpose and entity ([`rng`]): the same
//! inputs give bit-identical results on any number of threads.
//!
//! # Where this differs from the paper
//! The code cites these by number.
//! 1. The paper leaves the order of events in a slot open; here it is that of the public QECO
//!    code: CPUs, servers, uplinks, activity ([`Episode::advance`]). Recorded runs of that code
//!    are reproduced exactly.
//! 2. A task that waits past its deadline stays in its FIFO until it is popped, and keeps its
//!    device active at the server meanwhile; it counts as dropped with delay D_max.
//! 3. h ends with m(t−1), not m(t): a decision sees the state at the start of its slot, never
//!    the decisions of the others in the same slot.
//! 4. τ^C and τ^T, "remaining processing time deviation" in the paper, are the whole slots for
//!    which CPU and uplink stay busy with what they hold ([`Episode::queue_slots`]).
//! 5. The paper does not define E_scaled. [`reward::scaled_energy`] offers the published code's
//!    definition and a physical one.
//! 6. Idle energy (eq. 6) counts whole slots from the one after the upload ended, the fraction
//!    of the last one that its service took, and nothing past the deadline: the device has given
//!    up by then.
//! 7. [`EnergyAccounting::Published`] is not physics (it adds up squares of work); it exists
//!    because the paper's tables rest on it.
//!
//! # Speed
//! `benches/engine.rs` states figures and limits; `cargo bench -p offramp-model` measures them.
//!
//! # Modules
//! Each is a noun of the paper, and depends only on those above it: `rng`, `distribution`;
//! `device`, `server`, `energy`; `task`, `class`, `recording`, `channel`; `arrivals`, `outage`; `queue`,
//! `backhaul`; `system`; `continuation`; `workload`, `reward`, `published`, `history`; `scene` (what changes from slot
//! to slot), `slot`; `prediction`, `observation`; `episode`. Module [`world`] (positions that move, the radio
//! channel, serving stations) depends on `rng` and `distribution` alone.

mod arrivals;
mod backhaul;
mod broadcast;
mod channel;
mod class;
mod continuation;
mod device;
mod distribution;
mod energy;
mod episode;
mod history;
pub mod observation;
mod outage;
mod prediction;
mod published;
mod queue;
mod recording;
pub mod reward;
pub mod rng;
mod scene;
mod server;
mod slot;
mod state;
mod system;
mod task;
mod workload;
pub mod world;

pub use arrivals::Arrivals;
pub use backhaul::{Backhaul, Ways};
pub use channel::{Uplink, UplinkRates};
pub use class::TaskClass;
pub use continuation::Incompatible;
pub use device::{Device, PowerPreference, PreferenceRule};
pub use distribution::{Distribution, Range};
pub use energy::{Energies, Energy, EnergyAccounting};
pub use episode::{Episode, IllegalDecision};
pub use observation::{
    Broadcast, Column, ColumnList, Feature, InvalidColumns, ObservationKind, ObservationSpec,
};
pub use outage::Outages;
pub use recording::{RecordedRates, RecordedTask, RecordedTasks, Window};
pub use server::Server;
pub use system::{InvalidSystem, System, SystemParameters};
pub use task::{Arrival, EndedTask, Outcome, Place, TaskUnderWay};
pub use workload::{InvalidRecording, RecordedArrival, Recording, RecordingFault, Workload};
