//! Recordings longer than an episode: rates and tasks over time, of which each episode plays a part.

use crate::distribution::Range;
use crate::task::Arrival;

/// The part of all recordings that episodes are taken from, as shares of their length. Where it is
/// longer than an episode, each episode begins at a slot of its own, drawn with its seed and number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Where it begins, 0 … 1.
    pub from: f64,
    /// Where it ends, above `from`, at most 1.
    pub to: f64,
}

impl Window {
    /// The whole recording.
    pub const WHOLE: Self = Self { from: 0.0, to: 1.0 };

    /// The slots of a recording of `slots` that are in the window: the first, and how many.
    fn slots(self, slots: u32) -> (u32, u32) {
        let at = |share: f64| (share * f64::from(slots)).round() as u32;
        let first = at(self.from);
        (first, at(self.to).saturating_sub(first))
    }

    /// The slot of a recording of `slots` at which an episode of `needed` slots begins, with `share`
    /// uniform in [0, 1).
    pub(crate) fn first_slot(self, slots: u32, needed: u32, share: f64) -> u32 {
        let (first, count) = self.slots(slots);
        let starts = count.saturating_sub(needed).saturating_add(1);
        first + (share * f64::from(starts)) as u32
    }

    /// Describes a window that is not valid, or too short for episodes of `needed` slots.
    pub(crate) fn fault(self, slots: u32, needed: u32) -> Option<String> {
        let Self { from, to } = self;
        if !(0.0..1.0).contains(&from) || !(from..=1.0).contains(&to) || from == to {
            return Some(format!("{from} … {to} is not a part of a recording: 0 ≤ from < to ≤ 1"));
        }
        let (_, count) = self.slots(slots);
        (count < needed).then(|| {
            let rounded = |share: f64| (share * 1e6).round() / 1e6;
            format!(
                "the part {} … {} of a recording of {slots} slots has {count}, and an episode needs \
                 {needed}",
                rounded(from),
                rounded(to)
            )
        })
    }
}

/// Uplink rates that were recorded, slot by slot.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedRates {
    /// Mbit/s in each slot; all of the same length.
    traces: Vec<Vec<f64>>,
    /// M, if there is a trace for each pair of device and server, otherwise `None`.
    servers: Option<u32>,
}

impl RecordedRates {
    /// Traces of devices, the same to each server; if there are fewer traces than devices, they are
    /// used again from the first one on.
    ///
    /// # Errors
    /// A text that describes the first fault: no trace, an empty one, lengths that differ, or a rate
    /// that is negative or not finite.
    pub fn per_device(traces: Vec<Vec<f64>>) -> Result<Self, String> {
        Self::checked(Self { traces, servers: None })
    }

    /// Traces of pairs of device and server: first those of device 0, in the order of servers.
    ///
    /// # Errors
    /// As for [`RecordedRates::per_device`], or if the traces are not so many per device.
    pub fn per_pair(traces: Vec<Vec<f64>>, servers: u32) -> Result<Self, String> {
        if servers == 0 || !traces.len().is_multiple_of(servers as usize) {
            return Err(format!("{} traces for {servers} servers", traces.len()));
        }
        Self::checked(Self { traces, servers: Some(servers) })
    }

    fn checked(self) -> Result<Self, String> {
        let Some(length) = self.traces.first().map(Vec::len).filter(|&length| length > 0) else {
            return Err("there is no recorded rate".into());
        };
        for (number, trace) in self.traces.iter().enumerate() {
            if trace.len() != length {
                return Err(format!(
                    "trace {number} has {} slots, the first {length}",
                    trace.len()
                ));
            }
            if let Some(fault) = trace.iter().find_map(|&rate| Range::ZeroOrPositive.fault(rate)) {
                return Err(format!("trace {number}: {fault}"));
            }
        }
        if u32::try_from(length).is_err() {
            return Err(format!("a trace of {length} slots is too long"));
        }
        Ok(self)
    }

    /// Slots of each trace.
    pub fn slot_count(&self) -> u32 {
        self.traces[0].len() as u32
    }

    /// R of a device to a server in a slot of the recording, Mbit/s.
    #[inline]
    pub fn mbps(&self, device: u32, server: u32, slot: u32) -> f64 {
        let trace = match self.servers {
            None => device as usize,
            Some(servers) => device as usize * servers as usize + server as usize,
        };
        self.traces[trace % self.traces.len()][slot as usize]
    }

    /// The slowest rate above 0 and the fastest of all.
    pub(crate) fn range(&self) -> (f64, f64) {
        let rates = self.traces.iter().flatten().copied();
        let slowest = rates.clone().filter(|&rate| rate > 0.0).fold(f64::INFINITY, f64::min);
        (slowest, rates.fold(0.0, f64::max))
    }

    /// Servers, if each pair has a trace.
    pub(crate) fn servers(&self) -> Option<u32> {
        self.servers
    }
}

/// A task of a recorded workload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecordedTask {
    /// The slot it arrived in.
    pub slot: u32,
    /// The task; its α is that of its device's power mode if it is not a number.
    pub arrival: Arrival,
}

/// A recorded workload, checked: sorted by slot and then device, at most one task per slot and
/// device.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedTasks {
    tasks: Vec<RecordedTask>,
    slots: u32,
}

impl RecordedTasks {
    /// A workload of these tasks, in any order, over so many slots.
    ///
    /// # Errors
    /// The first task that is out of range, and why.
    pub fn new(mut tasks: Vec<RecordedTask>, slots: u32) -> Result<Self, String> {
        for (number, RecordedTask { slot, arrival }) in tasks.iter().enumerate() {
            let fail = |fault: String| Err(format!("task {number}: {fault}"));
            if *slot >= slots {
                return fail(format!("slot {slot} is out of range: there are {slots}"));
            }
            for (quantity, value) in
                [("size_mbit", arrival.size_mbit), ("density", arrival.density)]
            {
                if let Some(fault) = Range::Positive.fault(value) {
                    return fail(format!("{quantity}: {fault}"));
                }
            }
            if !arrival.alpha.is_nan() && Range::Unit.fault(arrival.alpha).is_some() {
                return fail(format!("alpha: {} is out of range 0 … 1", arrival.alpha));
            }
            if arrival.deadline_slots == 0 {
                return fail("deadline_slots: at least one slot is needed".into());
            }
        }
        tasks.sort_by_key(|task| (task.slot, task.arrival.device));
        let same = |pair: &&[RecordedTask]| {
            (pair[0].slot, pair[0].arrival.device) == (pair[1].slot, pair[1].arrival.device)
        };
        if let Some(pair) = tasks.windows(2).find(same) {
            let RecordedTask { slot, arrival } = pair[0];
            return Err(format!("device {} has two tasks in slot {slot}", arrival.device));
        }
        Ok(Self { tasks, slots })
    }

    /// The tasks, by slot and then device.
    pub fn tasks(&self) -> &[RecordedTask] {
        &self.tasks
    }

    /// Its length in slots.
    pub fn slot_count(&self) -> u32 {
        self.slots
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Episode, ObservationSpec, System, SystemParameters, Workload};

    /// A task of device 0 in every slot of 1,000, whose size is the slot, plus 1.
    fn system(window: Window) -> Result<System, crate::InvalidSystem> {
        let task = |slot: u32| RecordedTask {
            slot,
            arrival: Arrival {
                device: 0,
                size_mbit: f64::from(slot + 1),
                density: 0.3,
                alpha: f64::NAN,
                deadline_slots: 7,
                class: 0,
            },
        };
        let recorded = RecordedTasks::new((0..1000).rev().map(task).collect(), 1000).unwrap();
        System::new(SystemParameters {
            recorded: Some(Arc::new(recorded)),
            window,
            ..SystemParameters::paper(2, 1)
        })
    }

    /// Training and evaluation never see the same recorded task, and an episode plays successive slots.
    #[test]
    fn episodes_play_their_window_alone() {
        let first = |system: &Arc<System>, episode| {
            let workload = Workload::Drawn { seed: 1, episode };
            let mut played = Episode::new(system, workload, ObservationSpec::PAPER);
            let mut sizes = Vec::new();
            while !played.is_over() {
                sizes.extend(played.arrivals().iter().map(|arrival| arrival.size_mbit));
                assert!(played.arrivals().iter().all(|arrival| arrival.alpha > 0.0));
                let actions = vec![0; played.arrivals().len()];
                played.advance(&actions).unwrap();
            }
            assert_eq!(sizes.len(), 100);
            assert!(sizes.windows(2).all(|pair| pair[1] == pair[0] + 1.0));
            sizes[0] - 1.0
        };
        let evaluated = Arc::new(system(Window { from: 0.6, to: 1.0 }).unwrap());
        let trained = evaluated.during(Window { from: 0.0, to: 0.6 }).unwrap();
        let starts = |system| (0..200).map(|episode| first(system, episode)).collect::<Vec<_>>();
        for (starts, low, high) in
            [(starts(&trained), 0.0, 500.0), (starts(&evaluated), 600.0, 900.0)]
        {
            assert!(starts.iter().all(|start| (low..=high).contains(start)), "{starts:?}");
            let (least, most) =
                starts.iter().fold((f64::INFINITY, 0.0), |(least, most), &start| {
                    (start.min(least), start.max(most))
                });
            assert!(least < low + 50.0 && most > high - 50.0, "{least} … {most}");
        }
        let fault = system(Window { from: 0.0, to: 0.05 }).unwrap_err().to_string();
        assert!(fault.contains("has 50, and an episode needs 100"), "{fault}");
    }
}
