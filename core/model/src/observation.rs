//! What a device sees when it decides: o and h of eqs. (9) and (10).

use crate::episode::Episode;
use crate::task::{Fifo, Task};

/// Which features make up o.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObservationKind {
    /// Eq. (10) with the true values: λ, τ^C, τ^T, B^E_1…M, α: 4 + M numbers.
    Paper,
    /// The same, then ρ and the deadline of the task: 6 + M numbers.
    Extended,
    /// What the public QECO code shows its agents, for comparison with it alone: 4 + M numbers.
    Published,
}

/// The observation of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObservationSpec {
    /// Which features make up o.
    pub kind: ObservationKind,
    /// K: how many load vectors make up h; at least 1.
    pub history_slots: u32,
}

/// A feature of o: its name, and the size it rarely exceeds, by which a network may divide it.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// The name, with its unit.
    pub name: String,
    /// Always above 0.
    pub scale: f64,
}

impl ObservationKind {
    /// How many features a row has with `servers` servers.
    pub fn width(self, servers: u32) -> usize {
        servers as usize
            + match self {
                Self::Paper | Self::Published => 4,
                Self::Extended => 6,
            }
    }
}

/// The features of a row, in order.
pub fn features(system: &crate::System, kind: ObservationKind) -> Vec<Feature> {
    let feature = |name: &str, scale| Feature { name: name.into(), scale };
    let parameters = system.parameters();
    let deadline = f64::from(parameters.deadline_slots);
    let size = parameters.size_mbit.max();
    let mut features = vec![
        feature("size_mbit", size),
        feature("compute_queue_slots", deadline),
        feature("uplink_queue_slots", deadline),
    ];
    features.extend(
        (1..=parameters.servers.len())
            .map(|server| feature(&format!("server_{server}_backlog_mbit"), size)),
    );
    features.push(feature("alpha", 1.0));
    if kind == ObservationKind::Extended {
        features.push(feature("density_gcycles_per_mbit", parameters.density.max()));
        features.push(feature("deadline_slots", deadline));
    }
    features
}

/// The last load vectors, oldest first, zeros before the episode began: a window that slides
/// over a buffer of twice its length, so that it is always one plain slice.
#[derive(Clone, Debug)]
pub(crate) struct LoadHistory {
    rows: Vec<f64>,
    servers: usize,
    window: usize,
    /// The first row of the window.
    start: usize,
}

impl LoadHistory {
    /// Keeps `history_slots` + 1 vectors: the published observation lags one behind.
    pub(crate) fn new(servers: usize, history_slots: u32) -> Self {
        let window = history_slots as usize + 1;
        Self { rows: vec![0.0; 2 * window * servers], servers, window, start: 0 }
    }

    pub(crate) fn push(&mut self, load: &[u32]) {
        let Self { servers, window, .. } = *self;
        self.start += 1;
        if self.start + window > 2 * window {
            self.rows.copy_within(self.start * servers.., 0);
            self.start = 0;
        }
        let newest = (self.start + window - 1) * servers;
        for (slot, &active) in self.rows[newest..newest + servers].iter_mut().zip(load) {
            *slot = f64::from(active);
        }
    }

    /// K vectors; the newest is m(t−1), or with `lag` 1 m(t−2).
    pub(crate) fn window(&self, lag: usize) -> &[f64] {
        let first = self.start + 1 - lag;
        &self.rows[first * self.servers..(first + self.window - 1) * self.servers]
    }
}

impl Episode {
    /// o of every task that waits for a decision, a row each in the order of
    /// [`Episode::arrivals`], as the scenario's observation has it.
    pub fn features(&self, into: &mut Vec<f64>) {
        match self.observation().kind {
            ObservationKind::Published => self.published_features(into),
            ObservationKind::Paper => self.true_features(false, into),
            ObservationKind::Extended => self.true_features(true, into),
        }
    }

    /// What a device truly knows, whatever the scenario's observation: the features of
    /// [`ObservationKind::Extended`].
    pub fn knowledge(&self, into: &mut Vec<f64>) {
        self.true_features(true, into);
    }

    /// h: K load vectors of M, oldest first, zeros before the episode began. The newest is
    /// m(t−1); in the published observation m(t−2).
    pub fn history(&self) -> &[f64] {
        let lag = usize::from(self.observation().kind == ObservationKind::Published);
        self.load_history().window(lag)
    }

    /// The load that the scenario's observation shows: the newest vector of h.
    pub fn load_seen(&self) -> &[f64] {
        let history = self.history();
        &history[history.len() - self.system().server_count() as usize..]
    }

    fn true_features(&self, extended: bool, into: &mut Vec<f64>) {
        let servers = self.system().server_count() as usize;
        let deadline = self.system().deadline_slots();
        into.clear();
        for arrival in self.arrivals() {
            let (compute, uplink) = self.queue_slots(arrival.device);
            into.extend([arrival.size_mbit, f64::from(compute), f64::from(uplink)]);
            let first = into.len();
            into.resize(first + servers, 0.0);
            for flow in self.state().flows.of_device(arrival.device) {
                into[first + flow.server as usize] = self.backlog_mbit(&flow.fifo);
            }
            into.push(arrival.alpha);
            if extended {
                into.extend([arrival.density, f64::from(deadline)]);
            }
        }
    }

    fn published_features(&self, into: &mut Vec<f64>) {
        into.clear();
        let Some(published) = &self.state().published else { return };
        for arrival in self.arrivals() {
            let (compute, uplink) = published.queues(arrival.device, self.slot());
            into.extend([arrival.size_mbit, compute, uplink]);
            let servers = 0..self.system().server_count();
            into.extend(servers.map(|server| published.backlog(arrival.device, server)));
            into.push(arrival.alpha);
        }
    }

    /// τ^C and τ^T: for how many slots, from this one on, the device's CPU and uplink stay busy
    /// with what they hold.
    ///
    /// A FIFO serves one task a slot and gives nothing left over to the next, and drops what
    /// passes its deadline, so this is a whole number and exact: each task takes the slots its
    /// work needs, or those up to its deadline if they are fewer.
    pub fn queue_slots(&self, device: u32) -> (u32, u32) {
        let parameters = self.system().parameters();
        let state = self.state();
        let cpu_mbit = parameters.devices[device as usize].cpu_ghz * parameters.slot_seconds;
        let compute = self.busy_slots(&state.cpus[device as usize], |task| cpu_mbit / task.density);
        let uplink = self.busy_slots(&state.uplinks[device as usize], |task| {
            parameters.uplink.mbps(device, task.action - 1) * parameters.slot_seconds
        });
        (compute, uplink)
    }

    fn busy_slots(&self, fifo: &Fifo, per_slot: impl Fn(&Task) -> f64) -> u32 {
        let deadline = self.system().deadline_slots();
        let now = self.slot();
        let mut free = now;
        let mut serve = |task: &Task, left: f64, per_slot: f64| {
            // The slots before its deadline, were it to enter service when the FIFO is free.
            let remaining = (task.born_slot + deadline).saturating_sub(free);
            free += ((left / per_slot).ceil() as u32).min(remaining);
        };
        let tasks = &self.state().tasks;
        if fifo.in_service != crate::task::NONE {
            serve(&tasks[fifo.in_service], fifo.left, fifo.per_slot);
        }
        for task in fifo.waiting(tasks) {
            serve(task, task.size_mbit, per_slot(task));
        }
        free - now
    }

    /// Mbit waiting or in service in a FIFO.
    fn backlog_mbit(&self, fifo: &Fifo) -> f64 {
        let in_service = if fifo.in_service == crate::task::NONE { 0.0 } else { fifo.left };
        fifo.waiting(&self.state().tasks).fold(in_service, |sum, task| sum + task.size_mbit)
    }
}
