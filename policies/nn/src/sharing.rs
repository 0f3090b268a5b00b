//! Sharing: a network for each device, or one for all.

use serde::{Deserialize, Serialize};

/// The devices that use a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sharing {
    /// Each device has its own, and learns from its own experience.
    PerDevice,
    /// All devices have one.
    Shared,
}

impl Sharing {
    /// Number of networks for `devices` devices.
    pub fn networks(self, devices: usize) -> usize {
        match self {
            Self::PerDevice => devices,
            Self::Shared => 1,
        }
    }
}
