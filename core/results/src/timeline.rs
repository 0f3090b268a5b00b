//! Timelines: what happened in one episode, task by task, so that it can be watched.

/// An episode of one policy, or of the decisions of a recorded run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    /// N: number of devices.
    pub devices: u32,
    /// M: number of servers.
    pub servers: u32,
    /// T: number of slots.
    pub slots: u32,
    /// S: slots in which tasks may arrive.
    pub arrival_slots: u32,
    /// D_max: slots within which a task must end, counting that of its arrival.
    pub deadline_slots: u32,
    /// τ: duration of a slot, seconds.
    pub slot_seconds: f64,
    /// f^L of each device, GHz.
    pub device_ghz: Vec<f64>,
    /// f^E of each server, GHz.
    pub server_ghz: Vec<f64>,
    /// The devices whose tasks are in `tasks`: the first so many.
    pub shown_devices: u32,
    /// Their tasks, by arrival slot and then device.
    pub tasks: Vec<TaskStory>,
    /// Sums over the tasks of all devices.
    pub totals: Totals,
    /// m(t): devices active at each server at the end of each slot, T × M.
    pub active_devices: Vec<Vec<u32>>,
}

/// Sums over tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// Number of tasks.
    pub tasks: u64,
    /// Tasks that were dropped.
    pub dropped: u64,
    /// Sum of all delays, slots.
    pub delay_slots: u64,
    /// Sum of all energies, in the system's accounting.
    pub energy: f64,
    /// Sum of all rewards.
    pub reward: f64,
}

/// The story of a task. It is under way in the slots from its arrival on, `delay_slots` of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskStory {
    /// The slot it arrived in.
    pub arrival_slot: u32,
    /// The device it arrived at, 0 … N − 1.
    pub device: u32,
    /// λ: size, Mbit.
    pub size_mbit: f64,
    /// ρ: density, Gcycles per Mbit.
    pub density: f64,
    /// α: weight of delay against energy, 0 … 1.
    pub alpha: f64,
    /// The decision: 0 local, j = 1 … M server j.
    pub action: u32,
    /// The policy's value of each action, M + 1; empty if it has no value function.
    pub values: Vec<f32>,
    /// Slots that each action would take if servers stayed as busy as they were last seen, M + 1;
    /// `None` where a server does not cover the device.
    pub predicted_slots: Vec<Option<u32>>,
    /// The first slot in which its CPU or uplink worked on it.
    pub started: Option<u32>,
    /// The first slot in which it was at its server.
    pub sent: Option<u32>,
    /// The first slot in which its server worked on it.
    pub served: Option<u32>,
    /// True if it was dropped.
    pub dropped: bool,
    /// D: slots from arrival to end, counting the arrival slot.
    pub delay_slots: u32,
    /// Its energy: local, transmit, server, idle; in the system's accounting.
    pub energy: [f64; 4],
    /// Its reward, eq. (12).
    pub reward: f64,
}

impl Timeline {
    /// AvgQoE: sum of rewards per device.
    pub fn qoe(&self) -> f64 {
        self.totals.reward / f64::from(self.devices)
    }

    /// AvgDelay: mean delay of all tasks, slots; `None` if there are none.
    pub fn mean_delay_slots(&self) -> Option<f64> {
        let Totals { tasks, delay_slots, .. } = self.totals;
        (tasks > 0).then(|| delay_slots as f64 / tasks as f64)
    }

    /// AvgEnergy: energy per device.
    pub fn energy_per_device(&self) -> f64 {
        self.totals.energy / f64::from(self.devices)
    }
}
