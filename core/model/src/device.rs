//! A mobile device: its CPU, its powers, how busy it is, and what its user prefers.

use crate::rng::{Purpose, StreamFamily, WHOLE_RUN};

/// One mobile device (MD, i).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Device {
    /// f^L: CPU, GHz.
    pub cpu_ghz: f64,
    /// p^C: power while computing, W.
    pub compute_w: f64,
    /// p^T: power while sending, W.
    pub transmit_w: f64,
    /// p^I: power while it waits for a server, W.
    pub idle_w: f64,
    /// z: probability that a task arrives in a slot.
    pub arrival_probability: f64,
}

/// When a device draws its power preference α from the power modes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PreferenceRule {
    /// Anew for each episode.
    PerEpisode,
    /// Once for the whole run, as the published code does.
    Fixed,
    /// Anew for each episode, and with this probability in each slot it changes to another mode.
    Switching(f64),
}

/// α: weight of delay against energy, by power mode.
#[derive(Clone, Debug, PartialEq)]
pub struct PowerPreference {
    /// The modes' α, equally likely, each 0 … 1.
    pub modes: Vec<f64>,
    /// When a device draws its mode.
    pub rule: PreferenceRule,
}

impl PowerPreference {
    pub(crate) fn streams(&self, seed: u64, episode: u64) -> StreamFamily {
        let episode = match self.rule {
            PreferenceRule::Fixed => WHOLE_RUN,
            PreferenceRule::PerEpisode | PreferenceRule::Switching(_) => episode,
        };
        StreamFamily::new(seed, episode, Purpose::PowerMode)
    }

    /// Each device's mode at the start of an episode, as an index into `modes`.
    pub(crate) fn first_modes(&self, streams: StreamFamily, modes: &mut [u32]) {
        for (device, mode) in modes.iter_mut().enumerate() {
            *mode = streams.of(device as u64).below(self.modes.len()) as u32;
        }
    }

    /// Changes of mode at the start of `slot`.
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
