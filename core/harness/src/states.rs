//! States of any slots, as a student observes them, with what it is fitted to in each.

use offramp_host::plugin::Observation;

/// States that a student is shown at once. Each sees a window of history; several may see the same one.
#[derive(Clone, Debug, Default)]
pub struct States {
    pub(crate) servers: u32,
    pub(crate) history_slots: u32,
    windows: u32,
    features: Vec<f64>,
    histories: Vec<f64>,
    history_of: Vec<u32>,
    devices: Vec<u32>,
    targets: Vec<f32>,
}

impl States {
    /// None yet, of a system with M servers and windows of K slots.
    pub fn new(servers: u32, history_slots: u32) -> Self {
        Self { servers, history_slots, ..Self::default() }
    }

    /// Forgets all states and windows, but not their memory.
    pub fn clear(&mut self) {
        self.windows = 0;
        self.features.clear();
        self.histories.clear();
        self.history_of.clear();
        self.devices.clear();
        self.targets.clear();
    }

    /// Number of states.
    pub fn len(&self) -> usize {
        self.devices.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    /// Adds a window of history, K × M loads, that of the oldest slot first.
    pub fn push_window<T: Copy + Into<f64>>(&mut self, loads: &[T]) {
        self.histories.extend(loads.iter().map(|&load| load.into()));
        self.windows += 1;
    }

    /// Adds a state of a device, which sees the last window added, and its 1 + M targets, if it has any.
    pub fn push<T: Copy + Into<f64>>(&mut self, device: u32, features: &[T], targets: &[f32]) {
        self.history_of.push(self.windows.saturating_sub(1));
        self.devices.push(device);
        self.features.extend(features.iter().map(|&feature| feature.into()));
        self.targets.extend_from_slice(targets);
    }

    /// The targets of the fit: states × (1 + M).
    pub fn targets(&self) -> &[f32] {
        &self.targets
    }

    /// As a plugin is shown them.
    pub fn observation(&self) -> Observation<'_> {
        Observation {
            slot: 0,
            server_count: self.servers,
            history_slots: self.history_slots,
            devices: self.devices.as_slice().into(),
            features: self.features.as_slice().into(),
            histories: self.histories.as_slice().into(),
            history_of: self.history_of.as_slice().into(),
            tasks: [].as_slice().into(),
            links: [].as_slice().into(),
            servers: [].as_slice().into(),
        }
    }
}
