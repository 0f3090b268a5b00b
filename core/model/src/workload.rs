//! Where an episode's tasks come from: drawn from random streams, or recorded.

use crate::device::PreferenceRule;
use crate::rng::{Purpose, StreamFamily};
use crate::system::System;
use crate::task::Arrival;

/// A recorded task: what arrived, and when.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecordedArrival {
    /// The slot it arrived in.
    pub slot: u32,
    /// What arrived.
    pub arrival: Arrival,
}

/// The tasks of an episode.
#[derive(Clone, Debug)]
pub enum Workload {
    /// Drawn from the streams of a seed and episode: the same for every policy.
    Drawn {
        /// The seed of the run.
        seed: u64,
        /// The episode, counted from 0.
        episode: u64,
    },
    /// Recorded, sorted by slot and then device, at most one per slot and device, every field
    /// in the range that [`Arrival`] states.
    Recorded(Vec<RecordedArrival>),
}

/// Draws or reads a workload slot by slot.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Drawn {
        arrivals: StreamFamily,
        preferences: StreamFamily,
        /// Each device's power mode at present.
        modes: Vec<u32>,
    },
    Recorded {
        tasks: Vec<RecordedArrival>,
        read: usize,
    },
}

/// Draws of a device in a slot: whether, size, density.
const DRAWS_PER_SLOT: u64 = 3;

impl Source {
    pub(crate) fn new(system: &System, workload: Workload) -> Self {
        match workload {
            Workload::Drawn { seed, episode } => {
                let preference = &system.parameters().power_preference;
                let preferences = preference.streams(seed, episode);
                let mut modes = vec![0; system.device_count() as usize];
                preference.first_modes(preferences, &mut modes);
                let arrivals = StreamFamily::new(seed, episode, Purpose::Arrivals);
                Self::Drawn { arrivals, preferences, modes }
            }
            Workload::Recorded(tasks) => Self::Recorded { tasks, read: 0 },
        }
    }

    /// The arrivals of `slot` in the order of devices, into `into`. Slots are asked for in order.
    pub(crate) fn arrivals(&mut self, system: &System, slot: u32, into: &mut Vec<Arrival>) {
        into.clear();
        let parameters = system.parameters();
        if slot >= parameters.arrival_slots {
            return;
        }
        match self {
            Self::Drawn { arrivals, preferences, modes } => {
                let preference = &parameters.power_preference;
                if let PreferenceRule::Switching(_) = preference.rule {
                    preference.switch(*preferences, slot, modes);
                }
                let position = DRAWS_PER_SLOT * u64::from(slot);
                for (index, (device, mode)) in parameters.devices.iter().zip(&*modes).enumerate() {
                    let mut stream = arrivals.of(index as u64).skip(position);
                    if stream.uniform() < device.arrival_probability {
                        into.push(Arrival {
                            device: index as u32,
                            size_mbit: parameters.size_mbit.draw(&mut stream),
                            density: parameters.density.draw(&mut stream),
                            alpha: preference.modes[*mode as usize],
                        });
                    }
                }
            }
            Self::Recorded { tasks, read } => {
                while let Some(task) = tasks.get(*read).filter(|task| task.slot == slot) {
                    into.push(task.arrival);
                    *read += 1;
                }
            }
        }
    }

    /// Each device's power mode in this slot, as an index into the modes; none if recorded.
    pub(crate) fn modes(&self) -> &[u32] {
        match self {
            Self::Drawn { modes, .. } => modes,
            Self::Recorded { .. } => &[],
        }
    }
}
