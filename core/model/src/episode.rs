//! An episode: T slots of one system under one workload, decision by decision.

use std::sync::Arc;

use crate::broadcast::Broadcasts;
use crate::continuation::Incompatible;
use crate::history::LoadHistory;
use crate::observation::{Broadcast, ObservationKind, ObservationSpec, View};
use crate::published::Published;
use crate::scene::Scene;
use crate::slot::{Shard, Timed};
use crate::state::State;
use crate::system::System;
use crate::task::{Arrival, EndedTask, Place, TaskUnderWay};
use crate::workload::{Source, Workload};
use crate::world::Position;
use crate::world::association::Handovers;

/// An illegal decision. The episode has not advanced and can continue with another decision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IllegalDecision {
    /// The number of actions differs from that of waiting tasks.
    #[error("slot {slot}: {actions} actions for {tasks} tasks")]
    Count {
        /// The slot, 0 … T − 1.
        slot: u32,
        /// How many tasks waited for a decision.
        tasks: usize,
        /// How many actions were given.
        actions: usize,
    },
    /// An action above M.
    #[error("slot {slot}, device {device}: action {action} is out of range 0 … {servers}")]
    OutOfRange {
        /// The slot, 0 … T − 1.
        slot: u32,
        /// The device of the task, 0 … N − 1.
        device: u32,
        /// The action, above M.
        action: u32,
        /// M: the largest action allowed.
        servers: u32,
    },
    /// The episode is over: no slot is left.
    #[error("the episode is over after its {slots} slots")]
    Over {
        /// T: slots of the episode.
        slots: u32,
    },
}

/// An episode under way. It always stands at the start of a slot, with that slot's arrivals
/// waiting for their decisions, or at its end after slot T − 1.
///
/// ```
/// use offramp_model::{Episode, IllegalDecision, ObservationSpec, System, Workload};
/// let system = std::sync::Arc::new(System::paper(3, 2));
/// let workload = Workload::Drawn { seed: 1, episode: 0 };
/// let mut episode = Episode::new(&system, workload, ObservationSpec::PAPER);
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
    /// The seed and the episode of all that is drawn.
    streams: (u64, u64),
    slot: u32,
    arrivals: Vec<Arrival>,
    history: LoadHistory,
    state: State,
    scene: Option<Box<Scene>>,
    /// Quantities that servers report besides their loads, if the observation asks for any.
    broadcasts: Option<Box<Broadcasts>>,
    threads: usize,
}

impl Episode {
    /// Begins an episode of `system` in which `workload` arrives; [`Episode::features`] and
    /// [`Episode::history`] follow `observation`.
    ///
    /// # Panics
    /// If `workload` is a recording that was checked against a larger system.
    pub fn new(system: &Arc<System>, workload: Workload, observation: ObservationSpec) -> Self {
        let (devices, servers) = (system.device_count() as usize, system.server_count() as usize);
        let published = (observation.kind == ObservationKind::Published)
            .then(|| Published::new(devices, servers));
        let (seed, number) = workload.streams();
        let scene = Scene::new(system, seed, number).map(Box::new);
        let mut source = Source::new(system, workload);
        let mut arrivals = Vec::new();
        source.arrivals(system, 0, &mut arrivals, 1);
        drop_absent(scene.as_deref(), &mut arrivals);
        let history_slots = observation.history_slots.max(1);
        let broadcasts = (observation.broadcast != Broadcast::NONE)
            .then(|| Broadcasts::new(servers, history_slots));
        Self {
            system: Arc::clone(system),
            observation,
            source,
            streams: (seed, number),
            slot: 0,
            arrivals,
            history: LoadHistory::new(servers, history_slots),
            state: State::new(system, published),
            scene,
            broadcasts: broadcasts.map(Box::new),
            threads: 1,
        }
    }

    /// Carries out each slot on at most `threads` threads, 1 by default; 0 counts as 1. Results are
    /// bit-identical for any number. Only systems of thousands of devices in which nothing
    /// [changes](System::changes) gain from more than one.
    pub fn set_threads(&mut self, threads: usize) {
        self.threads = threads.max(1);
    }

    /// Carries out this slot with one action for each of [`Episode::arrivals`] (0 computes
    /// locally, j = 1 … M sends to server j), and moves on to the next. The call that carries out
    /// the last slot also drops what is still open.
    ///
    /// # Errors
    /// [`IllegalDecision`]; the episode is unchanged then.
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
        let scene = self.scene.as_deref_mut();
        self.state.advance(&self.system, scene, slot, &self.arrivals, actions, self.threads);
        self.history.push(&self.state.active);
        if let Some(broadcasts) = &mut self.broadcasts {
            let transit = self.scene.as_deref().map(|scene| &scene.transit);
            broadcasts.update(self.state.shards(), transit);
        }
        self.slot += 1;
        if self.is_over() {
            self.state.drop_open(&self.system, self.scene.as_deref_mut(), self.threads);
            self.arrivals.clear();
        } else {
            if let Some(scene) = &mut self.scene {
                scene.advance(&self.system);
            }
            self.source.arrivals(&self.system, self.slot, &mut self.arrivals, self.threads);
            drop_absent(self.scene.as_deref(), &mut self.arrivals);
        }
        Ok(())
    }

    /// Goes on in another system, from the slot at which the episode stands. Queues, tasks under way
    /// and the history of loads stay. What differs takes effect at once:
    ///
    /// - The arrivals of this slot are those of the new system. Tasks that have been decided keep their
    ///   size, density, deadline, α and class.
    /// - What is in service, computed or sent, continues at its new speed. Its physical energy counts as
    ///   if all of it had been computed at the new speed and power; sending takes the time it took. The
    ///   reward of a task is that of the system in which it ends.
    /// - Where mobility or area differs, devices are placed anew, as that model places them at the start
    ///   of an episode, and their channels begin anew. Where outages or bursts differ, they begin in
    ///   this slot. Tasks on the backhaul stay on it.
    /// - Where there are more or fewer power modes, or devices draw them from other streams, they draw
    ///   anew; otherwise they keep their modes, with the α that these have in the new system.
    /// - Recorded workloads are not changed.
    ///
    /// What does not differ continues undisturbed, bit by bit; in an equal system everything does.
    ///
    /// # Errors
    /// [`Incompatible`]; the episode is unchanged then.
    pub fn continue_in(&mut self, system: &Arc<System>) -> Result<(), Incompatible> {
        Incompatible::check(&self.system, system, self.slot)?;
        let old = std::mem::replace(&mut self.system, Arc::clone(system));
        if old.parameters() == system.parameters() {
            return Ok(());
        }
        let (seed, number) = self.streams;
        // Whatever changes rates: what has been sent so far was sent at the old ones.
        let changes = system.changes() || old.parameters().uplink != system.parameters().uplink;
        let timed = match &self.scene {
            Some(_) => Some(Timed::Before),
            None => changes.then_some(Timed::FromNowOn),
        };
        if timed == Some(Timed::FromNowOn) {
            self.scene = Some(Box::new(Scene::at(&old, seed, number, self.slot)));
        }
        if let Some(scene) = &mut self.scene {
            scene.continue_in(&old, system);
        }
        self.state.continue_in(&old, system, timed);
        self.source.continue_in((&old, system), self.slot, &mut self.arrivals, self.threads);
        drop_absent(self.scene.as_deref(), &mut self.arrivals);
        Ok(())
    }

    /// Returns true after T slots; every task has ended then.
    pub fn is_over(&self) -> bool {
        self.slot == self.system.slot_count()
    }

    /// t: the slot at whose start the episode stands, 0 … T.
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// The system in which the episode takes place.
    pub fn system(&self) -> &Arc<System> {
        &self.system
    }

    /// The observation that [`Episode::features`] and [`Episode::history`] follow.
    pub fn observation(&self) -> ObservationSpec {
        self.observation
    }

    /// The tasks that wait for a decision in this slot, in the order of devices: the rows of the
    /// observation tables.
    pub fn arrivals(&self) -> &[Arrival] {
        &self.arrivals
    }

    /// The tasks that ended in the slot that [`Episode::advance`] carried out last. Order: at
    /// CPUs by device; at servers by server, and there the device that has been active longest
    /// first; at uplinks by device; within a FIFO the oldest first. What is on the backhaul after the
    /// last slot comes last.
    pub fn ended(&self) -> &[EndedTask] {
        self.state.ended()
    }

    /// m(t−1): for each of the M servers, how many devices had a task waiting or in service there
    /// at the end of the last slot.
    pub fn active_devices(&self) -> &[u32] {
        &self.state.active
    }

    /// How many tasks are under way: decided and not ended.
    pub fn under_way(&self) -> usize {
        self.state.under_way()
    }

    /// The tasks under way, device by device: those at its CPU, at its uplink, at servers, then on the
    /// backhaul; within a FIFO the oldest first.
    pub fn tasks_under_way(&self) -> impl Iterator<Item = TaskUnderWay> + '_ {
        let transit = self.scene.as_ref().map(|scene| &scene.transit);
        (0..self.system.device_count()).flat_map(move |device| {
            let (Shard { tasks, cpus, uplinks, flows, .. }, index) = self.state.of_device(device);
            let own = [(cpus.of(index), Place::Cpu), (uplinks.of(index), Place::Uplink)];
            let at_servers = flows.of_device(index).map(|flow| (&flow.fifo, Place::Server));
            let queued = own.into_iter().chain(at_servers).flat_map(move |(fifo, place)| {
                fifo.all(tasks).map(move |(task, in_service)| TaskUnderWay {
                    device,
                    arrival_slot: task.arrival_slot,
                    place,
                    in_service,
                })
            });
            let wired = transit.into_iter().flat_map(move |transit| transit.of_device(device));
            queued.chain(wired.map(move |task| TaskUnderWay {
                device,
                arrival_slot: task.arrival_slot,
                place: Place::Backhaul,
                in_service: true,
            }))
        })
    }

    /// The power mode of each of the N devices in this slot, an index into the modes of the
    /// system's `power_preference`; empty if the workload is recorded.
    pub fn power_modes(&self) -> &[u32] {
        self.source.modes()
    }

    /// R of a device to a server in this slot, both counted from 0, Mbit/s: what the device can
    /// expect. Where devices share a band, it is divided between those that sent in the last slot.
    #[inline]
    pub fn uplink_mbps(&self, device: u32, server: u32) -> f64 {
        self.view().uplink_mbps(device, server)
    }

    /// The slots that a task of `size_mbit` would take on the backhaul from a device to a server in this
    /// slot, both counted from 0; [`u32::MAX`] if it would not arrive.
    pub fn wired_slots(&self, device: u32, server: u32, size_mbit: f64) -> u32 {
        let scene = self.scene.as_ref();
        scene.map_or(0, |scene| scene.wired_slots(&self.system, device, server, size_mbit))
    }

    /// The station over which a device sends to a server in this slot, all counted from 0; `None` outside
    /// coverage, and without positions.
    pub fn station(&self, device: u32, server: u32) -> Option<u32> {
        self.scene.as_ref()?.station(&self.system, device, server)
    }

    /// The position of a device in this slot; `None` if the system has no positions.
    pub fn position(&self, device: u32) -> Option<Position> {
        Some(self.scene.as_ref()?.motion()?.position(device))
    }

    /// The speed of a device in this slot, m/s; 0 without positions.
    pub fn speed_mps(&self, device: u32) -> f64 {
        self.view().speed_mps(device)
    }

    /// False for a device whose recorded track has not begun, or has ended.
    pub fn is_present(&self, device: u32) -> bool {
        self.scene.as_ref().is_none_or(|scene| scene.is_present(device))
    }

    /// The station that serves a device in this slot, counted from 0; `None` outside all coverage, and
    /// where devices reach each station over a link of its own.
    pub fn serving(&self, device: u32) -> Option<u32> {
        self.scene.as_ref()?.serving(device)
    }

    /// The share of its speed that each of the M servers has in this slot; `None` if all have all of it.
    pub fn capacities(&self) -> Option<&[f64]> {
        self.scene.as_ref()?.capacities()
    }

    /// Handovers up to this slot; `None` where no station serves.
    pub fn handovers(&self) -> Option<Handovers> {
        self.scene.as_ref()?.handovers()
    }

    /// τ^C and τ^T: slots, from this one on, for which the CPU and the uplink of a device stay
    /// busy with what they hold. Exact: these FIFOs serve one task per slot.
    pub fn queue_slots(&self, device: u32) -> (u32, u32) {
        let view = self.view();
        (view.compute_queue_slots(device), view.uplink_queue_slots(device))
    }

    /// Fills `into` with o of every row, as the observation's kind lists it: rows × F, row-major,
    /// unscaled. Names and scales: [`observation::features`](crate::observation::features).
    pub fn features(&self, into: &mut Vec<f64>) {
        self.view().features(&self.observation.kind, into);
    }

    /// Fills `into` with the task table: rows × C_t, row-major, in the order of
    /// [`task_columns`](crate::observation::task_columns), whatever the observation's kind.
    pub fn task_table(&self, into: &mut Vec<f64>) {
        self.view().task_table(into);
    }

    /// Fills `into` with the link table: rows × C_l × M, in the order of
    /// [`link_columns`](crate::observation::link_columns), whatever the observation's kind. For
    /// each row, the M values of a column are contiguous.
    pub fn link_table(&self, into: &mut Vec<f64>) {
        self.view().link_table(into);
    }

    /// Fills `into` with the server table: C_s × M, in the order of
    /// [`ObservationSpec::server_columns`], whatever the observation's kind. The M values of a column are contiguous.
    pub fn server_table(&self, into: &mut Vec<f64>) {
        self.view().server_table(self.observation.broadcast, into);
    }

    /// h: K load vectors of M, oldest slot first, zeros before the episode began. The newest is
    /// m(t−1); m(t−2) in the published observation.
    pub fn history(&self) -> &[f64] {
        let lag = usize::from(self.observation.kind == ObservationKind::Published);
        self.history.window(lag)
    }

    /// The newest load vector of [`Episode::history`]: M numbers.
    pub fn load_seen(&self) -> &[f64] {
        let history = self.history();
        &history[history.len() - self.system.server_count() as usize..]
    }

    #[inline]
    fn view(&self) -> View<'_> {
        let Self { system, state, slot, arrivals, scene, broadcasts, .. } = self;
        let (scene, broadcasts) = (scene.as_deref(), broadcasts.as_deref());
        View { system, scene, state, broadcasts, slot: *slot, arrivals }
    }
}

/// Removes the arrivals at devices that are absent.
fn drop_absent(scene: Option<&Scene>, arrivals: &mut Vec<Arrival>) {
    if let Some(scene) = scene {
        arrivals.retain(|arrival| scene.is_present(arrival.device));
    }
}
