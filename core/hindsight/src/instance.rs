//! The tasks of an episode, all known in advance, and what each costs wherever it may be computed.

use std::sync::Arc;

use offramp_model::{
    Arrival, EnergyAccounting, Episode, ObservationSpec, System, Workload, reward,
};

/// No task, no slot.
pub(crate) const NONE: u32 = u32::MAX;

/// The action of a task that has not arrived yet.
pub(crate) const ABSENT: u32 = u32::MAX;

/// Spreads the numbers of tasks over 64 bits, so that different sets have different sums.
#[inline]
pub(crate) fn spread(task: u32) -> u64 {
    let z = (u64::from(task) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (z ^ (z >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// A task of the episode.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    pub(crate) slot: u32,
    pub(crate) device: u32,
    pub(crate) deadline_slots: u32,
    pub(crate) size_mbit: f64,
    pub(crate) density: f64,
    pub(crate) alpha: f64,
    /// R_base.
    pub(crate) base: f64,
    /// The next task of its device, or [`NONE`].
    pub(crate) next: u32,
    /// The one before, or [`NONE`].
    pub(crate) previous: u32,
}

/// The tasks of an episode in the order of slots and then devices, and what surrounds them.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) system: Arc<System>,
    pub(crate) tasks: Vec<Task>,
    /// True if the energy of devices that wait for their servers enters the reward.
    pub(crate) idle_counts: bool,
    /// Mbit that a slot of each server does of each task, tasks × M.
    server_mbit: Vec<f64>,
    /// The first task of each slot, and the number of tasks.
    first_of_slot: Vec<u32>,
    /// Rates and servers as they change; `None` where they do not.
    changes: Option<Changes>,
}

/// What changes during an episode, whatever is decided.
#[derive(Clone, Debug, Default)]
struct Changes {
    /// T × N × M, Mbit/s; those of a whole band where devices share it.
    mbps: Vec<f64>,
    /// T × N × M: the station over which a device sends to a server, or [`NONE`]; empty unless devices
    /// share bands.
    stations: Vec<u32>,
    /// T × M: the share of its speed that a server has.
    capacities: Vec<f64>,
    /// The episode at each slot: the wired ways are those of its serving stations.
    episodes: Vec<Episode>,
}

/// Where a FIFO of one task at a time leaves a task.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Service {
    /// The first slot in which the FIFO is free for the next task.
    pub(crate) free: u32,
    /// Of an upload that has ended: the slot in which the task joins its server.
    pub(crate) joins: u32,
    /// Of an upload that has ended: the slot after it.
    pub(crate) sent: u32,
    /// What the task has cost so far by energy, in the unit of E_scaled.
    pub(crate) energy: f64,
    /// D, if it has ended.
    pub(crate) delay_slots: u32,
    /// True if it has ended in time.
    pub(crate) done: bool,
}

/// An upload that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Upload {
    /// The Mbit that have not been sent; none if 0 or below.
    pub(crate) remaining_mbit: f64,
    /// Its energy in published units.
    pub(crate) published: f64,
    /// The seconds for which it was sent.
    pub(crate) seconds: f64,
    /// The slot after its last one.
    pub(crate) end: u32,
}

impl Service {
    /// A task whose deadline passes, after which its FIFO is free from slot `free` on.
    pub(crate) fn late(task: &Task, free: u32, energy: f64) -> Self {
        let delay_slots = task.deadline_slots;
        Self { free, joins: NONE, sent: 0, energy, delay_slots, done: false }
    }
}

impl Instance {
    /// The tasks of an episode under `workload`.
    pub(crate) fn new(system: &Arc<System>, workload: Workload) -> Self {
        let mut episode = Episode::new(system, workload, ObservationSpec::PAPER);
        let devices = system.device_count();
        let mut changes = system.changes().then(Changes::default);
        let (mut tasks, mut first_of_slot) = (Vec::new(), vec![0]);
        let mut last = vec![NONE; devices as usize];
        while !episode.is_over() {
            for arrival in episode.arrivals() {
                tasks.push(Task::new(arrival, episode.slot(), &mut last, tasks.len() as u32));
            }
            first_of_slot.push(tasks.len() as u32);
            if let Some(changes) = &mut changes {
                changes.note(&episode);
            }
            let all_local = vec![0; episode.arrivals().len()];
            if episode.advance(&all_local).is_err() {
                // One action of a legal range for each arrival is never refused.
                unreachable!("a decision that is legal was refused");
            }
        }
        for task in (0..tasks.len()).rev() {
            let Task { previous, .. } = tasks[task];
            if previous != NONE {
                tasks[previous as usize].next = task as u32;
            }
        }
        let idle_counts = system.energy() == EnergyAccounting::Physical;
        let mut instance = Self {
            system: Arc::clone(system),
            tasks,
            idle_counts,
            server_mbit: Vec::new(),
            first_of_slot,
            changes,
        };
        instance.server_mbit = instance.each_server_mbit();
        instance
    }

    fn each_server_mbit(&self) -> Vec<f64> {
        let parameters = self.system.parameters();
        let of_task = |task: &Task| {
            let density = task.density;
            let servers = parameters.servers.iter();
            servers.map(move |server| server.ghz * parameters.slot_seconds / density)
        };
        self.tasks.iter().flat_map(of_task).collect()
    }

    pub(crate) fn slots(&self) -> u32 {
        self.system.slot_count()
    }

    pub(crate) fn servers(&self) -> u32 {
        self.system.server_count()
    }

    /// The first task of each slot, and the number of tasks.
    pub(crate) fn first_of_slot(&self) -> &[u32] {
        &self.first_of_slot
    }

    /// The tasks that arrive in `slot`.
    pub(crate) fn of_slot(&self, slot: u32) -> std::ops::Range<u32> {
        self.first_of_slot[slot as usize]..self.first_of_slot[slot as usize + 1]
    }

    /// E_scaled of eq. (11) for an energy of the system's accounting.
    fn scaled(&self, energy: f64) -> f64 {
        match self.system.energy() {
            EnergyAccounting::Published => 10.0 * energy / 20.0,
            EnergyAccounting::Physical => match self.system.reference_energy() {
                0.0 => 0.0,
                reference => 10.0 * energy / reference,
            },
        }
    }

    /// Eq. (12) for a task that ends so, `energy` in the unit of E_scaled.
    #[inline]
    pub(crate) fn value(task: &Task, done: bool, delay_slots: u32, energy: f64) -> f64 {
        let cost = 2.0 * (task.alpha * f64::from(delay_slots) + (1.0 - task.alpha) * energy);
        if done { task.base - cost } else { -cost }
    }

    /// What a slot of a server can do of a task, Mbit, with all of its speed.
    #[inline]
    pub(crate) fn server_mbit_per_slot(&self, server: u32, task: u32) -> f64 {
        self.server_mbit[(task * self.servers() + server) as usize]
    }

    /// The share of its speed that a server has in `slot`.
    #[inline]
    pub(crate) fn capacity(&self, slot: u32, server: u32) -> f64 {
        let place = (slot * self.servers() + server) as usize;
        self.changes.as_ref().map_or(1.0, |changes| changes.capacities[place])
    }

    /// Idle energy of a task that has been at its server for so many slots, in the unit of E_scaled.
    #[inline]
    pub(crate) fn idle(&self, task: &Task, slots: f64) -> f64 {
        match self.system.energy() {
            EnergyAccounting::Published => 0.0,
            EnergyAccounting::Physical => {
                let parameters = self.system.parameters();
                let watts = parameters.devices[task.device as usize].idle_w;
                self.scaled(watts * slots * parameters.slot_seconds)
            }
        }
    }

    /// The service of a task at its device's CPU, which is free from slot `free` on.
    pub(crate) fn compute(&self, task: &Task, free: u32) -> Service {
        let start = free.max(task.slot);
        if start > task.last_slot() {
            return Service::late(task, free, 0.0);
        }
        let parameters = self.system.parameters();
        let device = &parameters.devices[task.device as usize];
        let mbit_per_slot = device.cpu_ghz * parameters.slot_seconds / task.density;
        let (mut remaining, mut published, mut slot) = (task.size_mbit, 0.0, start);
        while slot <= task.last_slot() && remaining > 0.0 {
            let full = remaining >= mbit_per_slot;
            published +=
                (if full { mbit_per_slot } else { remaining / task.density }) * mbit_per_slot;
            remaining -= mbit_per_slot;
            slot += 1;
        }
        let energy = match self.system.energy() {
            EnergyAccounting::Published => published,
            EnergyAccounting::Physical => {
                let computed = task.size_mbit - remaining.max(0.0);
                device.compute_w * (computed * task.density / device.cpu_ghz)
            }
        };
        let energy = self.scaled(energy);
        if remaining > 0.0 {
            return Service::late(task, slot, energy);
        }
        let delay_slots = slot - task.slot;
        Service { free: slot, joins: NONE, sent: 0, energy, delay_slots, done: true }
    }

    /// The upload of a task to `server`, over an uplink that is free from slot `free` on and shares its
    /// band with nobody.
    pub(crate) fn upload(&self, task: &Task, server: u32, free: u32) -> Service {
        let start = free.max(task.slot);
        if start > task.last_slot() {
            return Service::late(task, free, 0.0);
        }
        let parameters = self.system.parameters();
        let transmit_w = parameters.devices[task.device as usize].transmit_w;
        let (mut remaining_mbit, mut published, mut seconds) = (task.size_mbit, 0.0, 0.0);
        let mut slot = start;
        while slot <= task.last_slot() && remaining_mbit > 0.0 {
            let mbit_per_slot = self.mbps(slot, task.device, server) * parameters.slot_seconds;
            published += mbit_per_slot * transmit_w;
            if mbit_per_slot > 0.0 {
                seconds += (remaining_mbit / mbit_per_slot).min(1.0) * parameters.slot_seconds;
            }
            remaining_mbit -= mbit_per_slot;
            slot += 1;
        }
        self.uploaded(task, server, &Upload { remaining_mbit, published, seconds, end: slot })
    }

    /// What comes of an upload that has ended.
    pub(crate) fn uploaded(&self, task: &Task, server: u32, upload: &Upload) -> Service {
        let Upload { remaining_mbit, published, seconds, end } = *upload;
        let device = &self.system.parameters().devices[task.device as usize];
        let energy = match self.system.energy() {
            EnergyAccounting::Published => published,
            EnergyAccounting::Physical if self.changes.is_some() => device.transmit_w * seconds,
            EnergyAccounting::Physical => match task.size_mbit - remaining_mbit.max(0.0) {
                0.0 => 0.0,
                sent => device.transmit_w * sent / self.mbps(end - 1, task.device, server),
            },
        };
        let energy = self.scaled(energy);
        if remaining_mbit > 0.0 {
            return Service::late(task, end, energy);
        }
        let wired = self.changes.as_ref().map_or(0, |changes| {
            let episode = &changes.episodes[end as usize - 1];
            episode.wired_slots(task.device, server, task.size_mbit)
        });
        let joins = (end - 1).saturating_add(wired);
        if joins >= self.slots() {
            // It is on the backhaul when the episode ends.
            let waited = (task.last_slot() + 1).saturating_sub(end);
            return Service::late(task, end, energy + self.idle(task, f64::from(waited)));
        }
        Service { free: end, joins, sent: end, energy, delay_slots: 0, done: false }
    }

    /// The energy of sending a task and nothing more, in published units as E_scaled has them.
    pub(crate) fn published_upload(&self, task: &Task) -> f64 {
        let device = &self.system.parameters().devices[task.device as usize];
        self.scaled(device.transmit_w * task.size_mbit)
    }

    /// True if devices that send to a station share its band.
    pub(crate) fn shares_bands(&self) -> bool {
        self.system.shares_bands()
    }

    /// The station over which a device sends to a server, or [`NONE`]; where bands are shared.
    #[inline]
    pub(crate) fn station(&self, slot: u32, device: u32, server: u32) -> u32 {
        let place = self.place(slot, device, server);
        self.changes.as_ref().map_or(NONE, |changes| changes.stations[place])
    }

    #[inline]
    fn place(&self, slot: u32, device: u32, server: u32) -> usize {
        ((slot * self.system.device_count() + device) * self.servers() + server) as usize
    }

    /// The rate of a device to a server, with the whole band of a station, Mbit/s.
    #[inline]
    pub(crate) fn mbps(&self, slot: u32, device: u32, server: u32) -> f64 {
        match &self.changes {
            Some(changes) => changes.mbps[self.place(slot, device, server)],
            None => self.system.constant_mbps(device, server),
        }
    }
}

impl Changes {
    /// Notes what surrounds the tasks in the slot at whose start an episode stands in which nothing is
    /// sent.
    fn note(&mut self, episode: &Episode) {
        let system = episode.system();
        let (devices, servers) = (system.device_count(), system.server_count());
        let pairs = || (0..devices).flat_map(|i| (0..servers).map(move |j| (i, j)));
        self.mbps.extend(pairs().map(|(device, server)| episode.uplink_mbps(device, server)));
        if system.shares_bands() {
            let station = |(device, server)| episode.station(device, server).unwrap_or(NONE);
            self.stations.extend(pairs().map(station));
        }
        match episode.capacities() {
            Some(shares) => self.capacities.extend_from_slice(shares),
            None => self.capacities.resize(self.capacities.len() + servers as usize, 1.0),
        }
        self.episodes.push(episode.clone());
    }
}

impl Task {
    /// The last slot in which it can be served.
    #[inline]
    pub(crate) fn last_slot(&self) -> u32 {
        self.slot + self.deadline_slots - 1
    }

    /// The task `number`; `last` has the last task of each device.
    fn new(arrival: &Arrival, slot: u32, last: &mut [u32], number: u32) -> Self {
        let previous = std::mem::replace(&mut last[arrival.device as usize], number);
        Self {
            slot,
            device: arrival.device,
            deadline_slots: arrival.deadline_slots,
            size_mbit: arrival.size_mbit,
            density: arrival.density,
            alpha: arrival.alpha,
            base: reward::base_reward(arrival.deadline_slots),
            next: NONE,
            previous,
        }
    }
}
