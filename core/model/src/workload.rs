//! The workload: the tasks of an episode, drawn from random streams or recorded.

use crate::device::PreferenceRule;
use crate::distribution::Range;
use crate::rng::{Purpose, StreamFamily};
use crate::system::System;
use crate::task::Arrival;

/// A recorded task: its arrival and the slot of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecordedArrival {
    /// The slot it arrived in, 0 … S − 1.
    pub slot: u32,
    /// The device, size, density and α.
    pub arrival: Arrival,
}

/// The recorded arrivals of an episode, checked: sorted by slot and then device, at most one per
/// slot and device, every field in its range.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    arrivals: Vec<RecordedArrival>,
    /// One more than the largest device.
    devices: u32,
}

/// The first fault of a recording.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("recorded task {index}: {fault}")]
pub struct InvalidRecording {
    /// The task, counted from 0.
    pub index: usize,
    /// The fault, and the value needed.
    pub fault: RecordingFault,
}

/// A fault of one recorded task.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RecordingFault {
    /// Its slot is not one in which tasks arrive.
    #[error("slot {slot} is out of range: arrivals end before slot {arrival_slots}")]
    Slot {
        /// The slot.
        slot: u32,
        /// S of the system.
        arrival_slots: u32,
    },
    /// The system does not have its device.
    #[error("device {device} is out of range: the system has {devices}")]
    Device {
        /// The device.
        device: u32,
        /// N of the system.
        devices: u32,
    },
    /// It belongs before the task in front of it.
    #[error("tasks must be sorted by slot and then device")]
    Unsorted,
    /// The task in front of it has the same slot and device.
    #[error("two tasks have the same slot and device")]
    Duplicate,
    /// A quantity is out of range.
    #[error("{quantity}: {fault}")]
    Quantity {
        /// The field of [`Arrival`].
        quantity: &'static str,
        /// The value and the range needed.
        fault: String,
    },
}

impl Recording {
    /// A recording of `arrivals` at the devices of `system`.
    ///
    /// # Errors
    /// [`InvalidRecording`] for the first task that is out of order, at the same slot and device
    /// as another, in a slot of S or later, at a device that `system` does not have, or with a
    /// field outside the range that [`Arrival`] states.
    pub fn new(system: &System, arrivals: Vec<RecordedArrival>) -> Result<Self, InvalidRecording> {
        let mut before = None;
        for (index, recorded) in arrivals.iter().enumerate() {
            check(system, recorded, before).map_err(|fault| InvalidRecording { index, fault })?;
            before = Some(recorded);
        }
        let devices = arrivals.iter().map(|task| task.arrival.device + 1).max().unwrap_or(0);
        Ok(Self { arrivals, devices })
    }

    /// The arrivals, by slot and then device.
    pub fn arrivals(&self) -> &[RecordedArrival] {
        &self.arrivals
    }
}

fn check(
    system: &System,
    recorded: &RecordedArrival,
    before: Option<&RecordedArrival>,
) -> Result<(), RecordingFault> {
    let RecordedArrival { slot, arrival } = *recorded;
    let (devices, arrival_slots) = (system.device_count(), system.parameters().arrival_slots);
    if slot >= arrival_slots {
        return Err(RecordingFault::Slot { slot, arrival_slots });
    }
    if arrival.device >= devices {
        return Err(RecordingFault::Device { device: arrival.device, devices });
    }
    for (quantity, value, range) in [
        ("size_mbit", arrival.size_mbit, Range::Positive),
        ("density", arrival.density, Range::Positive),
        ("alpha", arrival.alpha, Range::Unit),
    ] {
        if let Some(fault) = range.fault(value) {
            return Err(RecordingFault::Quantity { quantity, fault });
        }
    }
    match before.map(|before| (before.slot, before.arrival.device)) {
        Some(key) if key > (slot, arrival.device) => Err(RecordingFault::Unsorted),
        Some(key) if key == (slot, arrival.device) => Err(RecordingFault::Duplicate),
        _ => Ok(()),
    }
}

/// The tasks of an episode.
#[derive(Clone, Debug)]
pub enum Workload {
    /// Drawn from the random streams of a seed and episode: the same for every policy.
    Drawn {
        /// The seed of the tasks.
        seed: u64,
        /// The episode, counted from 0.
        episode: u64,
    },
    /// Read from a recording.
    Recorded(Recording),
}

/// Draws or reads a workload slot by slot.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Drawn {
        arrivals: StreamFamily,
        preferences: StreamFamily,
        /// The power mode of each device in this slot.
        modes: Vec<u32>,
    },
    Recorded {
        tasks: Vec<RecordedArrival>,
        read: usize,
    },
}

/// Draws of a device in a slot: whether a task arrives, its size, its density.
const DRAWS_PER_SLOT: u64 = 3;

impl Source {
    pub(crate) fn new(system: &System, workload: Workload) -> Self {
        match workload {
            Workload::Drawn { seed, episode } => {
                let preference = &system.parameters().power_preference;
                let preferences = preference.streams(seed, episode);
                let mut modes = vec![0; system.device_count() as usize];
                preference.first_modes(preferences, &mut modes);
                let arrivals = StreamFamily::new(seed, episode, Purpose::ARRIVALS);
                Self::Drawn { arrivals, preferences, modes }
            }
            Workload::Recorded(Recording { arrivals, devices }) => {
                assert!(devices <= system.device_count(), "a recording of a larger system");
                Self::Recorded { tasks: arrivals, read: 0 }
            }
        }
    }

    /// Fills `into` with the arrivals of `slot`, in the order of devices. Slots must be asked for
    /// in order, each once.
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

    /// The power mode of each device in this slot, an index into the modes; empty if recorded.
    pub(crate) fn modes(&self) -> &[u32] {
        match self {
            Self::Drawn { modes, .. } => modes,
            Self::Recorded { .. } => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recordings_that_contradict_themselves_are_refused() {
        let system = System::paper(3, 1);
        let task = |slot, device| RecordedArrival {
            slot,
            arrival: Arrival { device, size_mbit: 2.0, density: 0.3, alpha: 0.5 },
        };
        let good = vec![task(0, 1), task(0, 2), task(4, 0)];
        assert_eq!(Recording::new(&system, good.clone()).unwrap().arrivals(), good);
        assert!(Recording::new(&system, Vec::new()).is_ok());
        let fault = |tasks: &[RecordedArrival]| {
            Recording::new(&system, tasks.to_vec()).unwrap_err().to_string()
        };
        let with = |change: fn(&mut Arrival)| {
            let mut last = task(7, 0);
            change(&mut last.arrival);
            fault(&[task(0, 1), last])
        };
        assert_eq!(
            fault(&[task(0, 1), task(0, 0)]),
            "recorded task 1: tasks must be sorted by slot and then device"
        );
        assert_eq!(
            fault(&[task(3, 1), task(2, 2)]),
            "recorded task 1: tasks must be sorted by slot and then device"
        );
        assert_eq!(
            fault(&[task(3, 1), task(3, 1)]),
            "recorded task 1: two tasks have the same slot and device"
        );
        assert_eq!(
            fault(&[task(100, 1)]),
            "recorded task 0: slot 100 is out of range: arrivals end before slot 100"
        );
        assert_eq!(
            with(|arrival| arrival.device = 3),
            "recorded task 1: device 3 is out of range: the system has 3"
        );
        assert_eq!(
            with(|arrival| arrival.size_mbit = 0.0),
            "recorded task 1: size_mbit: 0 is out of range: a number above 0 is needed"
        );
        assert_eq!(
            with(|arrival| arrival.density = f64::NAN),
            "recorded task 1: density: NaN is out of range: a number above 0 is needed"
        );
        assert_eq!(
            with(|arrival| arrival.alpha = 1.5),
            "recorded task 1: alpha: 1.5 is out of range: a number from 0 to 1 is needed"
        );
    }
}
