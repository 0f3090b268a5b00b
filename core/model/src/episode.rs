//! An episode: T slots of one system under one workload, decision by decision.

use std::sync::Arc;

use crate::observation::{LoadHistory, ObservationKind, ObservationSpec};
use crate::published::Published;
use crate::slot::{self, State};
use crate::system::System;
use crate::task::{Arrival, EndedTask};
use crate::workload::{Source, Workload};

/// A decision that no policy may make. The episode has not advanced and can go on with another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IllegalDecision {
    /// Not one action for each task.
    #[error("slot {slot}: {actions} actions for {tasks} tasks")]
    Count {
        /// The slot.
        slot: u32,
        /// Tasks that waited for a decision.
        tasks: usize,
        /// Actions given.
        actions: usize,
    },
    /// An action above M.
    #[error("slot {slot}, device {device}: action {action} is out of range 0 … {servers}")]
    OutOfRange {
        /// The slot.
        slot: u32,
        /// The device.
        device: u32,
        /// What was decided.
        action: u32,
        /// M.
        servers: u32,
    },
    /// The last slot is over.
    #[error("the episode is over after its {slots} slots")]
    Over {
        /// T.
        slots: u32,
    },
}

/// An episode under way: it always stands at the start of a slot, with that slot's arrivals
/// waiting for their decisions.
///
/// ```
/// use offramp_model::{Episode, IllegalDecision, ObservationKind, ObservationSpec, System, Workload};
/// let system = std::sync::Arc::new(System::paper(3, 2));
/// let observation = ObservationSpec { kind: ObservationKind::Paper, history_slots: 10 };
/// let workload = Workload::Drawn { seed: 1, episode: 0 };
/// let mut episode = Episode::new(&system, workload, observation);
/// let mut ended = 0;
/// while !episode.is_over() {
///     let all_local = vec![0; episode.arrivals().len()];
///     episode.advance(&all_local)?;
///     ended += episode.ended().len();
/// }
/// assert!(ended > 0);
/// # Ok::<(), IllegalDecision>(())
/// ```
#[derive(Clone, Debug)]
pub struct Episode {
    system: Arc<System>,
    observation: ObservationSpec,
    source: Source,
    slot: u32,
    arrivals: Vec<Arrival>,
    history: LoadHistory,
    state: State,
}

impl Episode {
    /// Begins an episode of `system`, in which `workload` arrives and `observation` is what a
    /// policy may ask to see.
    pub fn new(system: &Arc<System>, workload: Workload, observation: ObservationSpec) -> Self {
        let (devices, servers) = (system.device_count() as usize, system.server_count() as usize);
        let published = (observation.kind == ObservationKind::Published)
            .then(|| Published::new(devices, servers));
        let mut source = Source::new(system, workload);
        let mut arrivals = Vec::new();
        source.arrivals(system, 0, &mut arrivals);
        Self {
            system: Arc::clone(system),
            observation,
            source,
            slot: 0,
            arrivals,
            history: LoadHistory::new(servers, observation.history_slots.max(1)),
            state: State::new(devices, servers, published),
        }
    }

    /// Carries out this slot with one action for each of [`Episode::arrivals`] (0 local,
    /// j = 1 … M server j), and goes to the next. After the last slot, what is still open is
    /// dropped in the same call.
    ///
    /// # Errors
    /// [`IllegalDecision`]; nothing has changed then.
    pub fn advance(&mut self, actions: &[u32]) -> Result<(), IllegalDecision> {
        let (slot, servers) = (self.slot, self.system.server_count());
        if self.is_over() {
            return Err(IllegalDecision::Over { slots: self.system.slot_count() });
        }
        if actions.len() != self.arrivals.len() {
            let (tasks, actions) = (self.arrivals.len(), actions.len());
            return Err(IllegalDecision::Count { slot, tasks, actions });
        }
        if let Some(task) = actions.iter().position(|&action| action > servers) {
            let (device, action) = (self.arrivals[task].device, actions[task]);
            return Err(IllegalDecision::OutOfRange { slot, device, action, servers });
        }
        slot::advance(&self.system, &mut self.state, slot, &self.arrivals, actions);
        self.history.push(&self.state.active);
        self.slot += 1;
        if self.is_over() {
            slot::drop_open(&self.system, &mut self.state);
            self.arrivals.clear();
        } else {
            self.source.arrivals(&self.system, self.slot, &mut self.arrivals);
        }
        Ok(())
    }

    /// Whether the last slot is over: T slots, and every task has ended.
    pub fn is_over(&self) -> bool {
        self.slot == self.system.slot_count()
    }

    /// t: the slot that comes next, 0 … T.
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// The system.
    pub fn system(&self) -> &Arc<System> {
        &self.system
    }

    /// What a policy may ask to see.
    pub fn observation(&self) -> ObservationSpec {
        self.observation
    }

    /// The tasks that wait for a decision in this slot, in the order of devices.
    pub fn arrivals(&self) -> &[Arrival] {
        &self.arrivals
    }

    /// The tasks that ended in the slot that [`Episode::advance`] carried out last. Order: at
    /// CPUs by device; at servers by server, within one by how long the device has been active
    /// there; at uplinks by device; within a FIFO the oldest first.
    pub fn ended(&self) -> &[EndedTask] {
        &self.state.ended
    }

    /// m(t−1): for each server the devices with a task waiting or in service there at the end
    /// of the last slot.
    pub fn active_devices(&self) -> &[u32] {
        &self.state.active
    }

    /// How many tasks are under way (decided and not ended).
    pub fn under_way(&self) -> usize {
        self.state.tasks.under_way()
    }

    /// Each device's power mode in this slot, an index into the modes of the system's
    /// [`PowerPreference`](crate::PowerPreference); empty if the workload is recorded.
    pub fn power_modes(&self) -> &[u32] {
        self.source.modes()
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    pub(crate) fn load_history(&self) -> &LoadHistory {
        &self.history
    }
}
