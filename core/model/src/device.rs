//! A mobile device: its CPU, its powers, its arrivals, and its power preference α.

use crate::rng::{Purpose, StreamFamily};

/// One mobile device (MD, index i of the paper).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Device {
    /// f^L: speed of its CPU, GHz, above 0.
    pub cpu_ghz: f64,
    /// p^C: power while it computes, W, 0 or above.
    pub compute_w: f64,
    /// p^T: power while it sends, W, 0 or above.
    pub transmit_w: f64,
    /// p^I: power while it waits for a server, W, 0 or above.
    pub idle_w: f64,
    /// z: probability that a task arrives in a slot, 0 … 1.
    pub arrival_probability: f64,
}

/// The time at which a device draws its power mode, and with it α.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PreferenceRule {
    /// At the start of each episode.
    PerEpisode,
    /// Once for the system, from these streams: whatever tasks are drawn, as in the published code.
    Fixed(StreamFamily),
    /// At the start of each episode; then, with this probability in each slot, it changes to
    /// another mode, each equally likely.
    Switching(f64),
}

/// α, the weight of delay against energy in a task's cost (eq. 11), by power mode.
#[derive(Clone, Debug, PartialEq)]
pub struct PowerPreference {
    /// α of each mode, 0 … 1; at least one mode. Modes are equally likely.
    pub modes: Vec<f64>,
    /// The time at which a device draws its mode.
    pub rule: PreferenceRule,
}

impl PowerPreference {
    /// The streams of all devices in an episode of the tasks that `seed` draws.
    pub(crate) fn streams(&self, seed: u64, episode: u64) -> StreamFamily {
        match self.rule {
            PreferenceRule::Fixed(streams) => streams,
            PreferenceRule::PerEpisode | PreferenceRule::Switching(_) => {
                StreamFamily::new(seed, episode, Purpose::POWER_MODE)
            }
        }
    }

    /// Fills `modes` with the mode of each device at the start of an episode, as an index.
    pub(crate) fn first_modes(&self, streams: StreamFamily, modes: &mut [u32]) {
        for (device, mode) in modes.iter_mut().enumerate() {
            *mode = streams.of(device as u64).below(self.modes.len()) as u32;
        }
    }

    /// Changes the modes of devices at the start of `slot`.
    pub(crate) fn switch(&self, streams: StreamFamily, slot: u32, modes: &mut [u32]) {
        let PreferenceRule::Switching(probability) = self.rule else { return };
        if self.modes.len() < 2 {
            return;
        }
        for (device, mode) in modes.iter_mut().enumerate() {
            let mut stream = streams.of(device as u64).skip(1 + 2 * u64::from(slot));
            if stream.uniform() < probability {
                // Uniform among the other modes.
                let other = stream.below(self.modes.len() - 1) as u32;
                *mode = other + u32::from(other >= *mode);
            }
        }
    }
}
