//! Replays: a recorded run, run again, and where it differs from its record.

use std::fmt;

/// Outcome of the replay of one trace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replay {
    /// The trace's own name.
    pub trace: String,
    /// Number of devices N.
    pub devices: u32,
    /// Number of servers M.
    pub servers: u32,
    /// Number of slots T.
    pub slots: u32,
    /// Tasks; each ended exactly once.
    pub tasks: u64,
    /// Tasks dropped.
    pub dropped: u64,
    /// Sum of all delays, slots.
    pub delay_slots: u64,
    /// Sum of all energies, in the unit of the published accounting.
    pub energy: f64,
    /// Sum of all rewards.
    pub reward: f64,
    /// Number of recorded values that were compared.
    pub compared: u64,
    /// Number of them that differ.
    pub differing: u64,
    /// The first of the differences.
    pub first_differences: Vec<Difference>,
}

impl Replay {
    /// AvgDelay: mean delay of all tasks, slots; `None` if there are none.
    pub fn mean_delay_slots(&self) -> Option<f64> {
        (self.tasks > 0).then(|| self.delay_slots as f64 / self.tasks as f64)
    }

    /// AvgEnergy: energy per device.
    pub fn energy_per_device(&self) -> f64 {
        self.energy / f64::from(self.devices)
    }

    /// AvgQoE: sum of rewards per device.
    pub fn qoe(&self) -> f64 {
        self.reward / f64::from(self.devices)
    }
}

/// One recorded value that the engine does not reproduce.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The slot, or the task with its row in the file.
    pub place: String,
    /// The quantity.
    pub what: String,
    /// The value in the file.
    pub recorded: f64,
    /// The engine's value.
    pub computed: f64,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, what, recorded, computed } = self;
        write!(f, "{place}: {what}: recorded {recorded}, computed {computed}")
    }
}
