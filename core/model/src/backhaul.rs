//! The backhaul: wired ways from the station that receives a task to the server that computes it.

use std::collections::VecDeque;

use crate::queue::Task;

/// Slots of delay and rate of each wired way. Ways are not shared: a task takes its delay, and its
/// size over the rate, whatever else is under way.
#[derive(Clone, Debug, PartialEq)]
pub struct Backhaul {
    /// Slots of delay of each way, whole numbers.
    pub delay_slots: Ways,
    /// Rate of each way, Mbit/s, above 0; infinite if sending takes no time.
    pub mbps: Ways,
}

/// A quantity of each wired way.
#[derive(Clone, Debug, PartialEq)]
pub enum Ways {
    /// The same for each way between a station and a server that does not stand there.
    Same(f64),
    /// One value per server, whatever the station: that of a cloud, for instance.
    PerServer(Vec<f64>),
    /// One row per station, one value per server.
    PerPair(Vec<Vec<f64>>),
}

impl Ways {
    /// The value of the way from `station` to `server`; `None` where there is no way to go: the
    /// server stands at the station.
    fn of(&self, station: Option<u32>, server: u32) -> Option<f64> {
        match (self, station) {
            (Self::PerServer(values), _) => Some(values[server as usize]),
            (Self::Same(_), station) if station.is_none_or(|station| station == server) => None,
            (Self::Same(value), _) => Some(*value),
            (Self::PerPair(rows), Some(station)) => Some(rows[station as usize][server as usize]),
            (Self::PerPair(_), None) => None,
        }
    }

    /// All values.
    pub(crate) fn values(&self) -> Vec<f64> {
        match self {
            Self::Same(value) => vec![*value],
            Self::PerServer(values) => values.clone(),
            Self::PerPair(rows) => rows.concat(),
        }
    }
}

impl Backhaul {
    /// No delay anywhere.
    pub const NONE: Self = Self { delay_slots: Ways::Same(0.0), mbps: Ways::Same(f64::INFINITY) };

    /// Whole slots that a task of `size_mbit` takes from the station that received it to `server`;
    /// `None` stands for the server's own station.
    pub fn slots(
        &self,
        station: Option<u32>,
        server: u32,
        size_mbit: f64,
        slot_seconds: f64,
    ) -> u32 {
        let delay = self.delay_slots.of(station, server).unwrap_or(0.0);
        let sending = match self.mbps.of(station, server) {
            Some(mbps) => size_mbit / (mbps * slot_seconds),
            None => 0.0,
        };
        (delay + sending).ceil() as u32
    }
}

/// The tasks on the backhaul.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transit {
    /// Slot in which each reaches its server, its device, and the task; by slot, then by time of
    /// departure.
    tasks: VecDeque<(u32, u32, Task)>,
}

impl Transit {
    /// A task of a device sets out, to reach its server in `slot`.
    pub(crate) fn push(&mut self, slot: u32, device: u32, task: Task) {
        let at = self.tasks.partition_point(|&(due, ..)| due <= slot);
        self.tasks.insert(at, (slot, device, task));
    }

    /// Removes the tasks that reach their servers in `slot`, in order, with their devices.
    pub(crate) fn due(&mut self, slot: u32) -> impl Iterator<Item = (u32, Task)> {
        let count = self.tasks.partition_point(|&(due, ..)| due <= slot);
        self.tasks.drain(..count).map(|(_, device, task)| (device, task))
    }

    /// The tasks of a device, in the order in which they reach their servers.
    pub(crate) fn of_device(&self, device: u32) -> impl Iterator<Item = &Task> {
        self.tasks.iter().filter(move |of| of.1 == device).map(|(_, _, task)| task)
    }

    /// All of them, in the order in which they reach their servers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Task> {
        self.tasks.iter().map(|(_, _, task)| task)
    }

    /// Removes all.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (u32, Task)> {
        self.tasks.drain(..).map(|(_, device, task)| (device, task))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_takes_its_delay_and_the_size_over_its_rate() {
        let same = Backhaul { delay_slots: Ways::Same(2.0), mbps: Ways::Same(100.0) };
        // 5 Mbit at 100 Mbit/s: half a slot of 0.1 s, so three slots in all.
        assert_eq!(same.slots(Some(1), 0, 5.0, 0.1), 3);
        assert_eq!(same.slots(Some(0), 0, 5.0, 0.1), 0);
        assert_eq!(same.slots(None, 0, 5.0, 0.1), 0);
        // A cloud has its delay for everyone.
        let delays = Ways::PerServer(vec![0.0, 4.0]);
        let cloud = Backhaul { delay_slots: delays, mbps: Ways::Same(f64::INFINITY) };
        let slots = [(None, 0), (None, 1), (Some(0), 1), (Some(1), 1)]
            .map(|(station, server)| cloud.slots(station, server, 5.0, 0.1));
        assert_eq!(slots, [0, 4, 4, 4]);
        let rows = vec![vec![0.0, 1.0], vec![3.0, 0.0]];
        let pairs = Backhaul { delay_slots: Ways::PerPair(rows), ..Backhaul::NONE };
        assert_eq!((pairs.slots(Some(1), 0, 5.0, 0.1), pairs.slots(Some(0), 1, 5.0, 0.1)), (3, 1));
    }

    #[test]
    fn tasks_arrive_by_slot_and_then_by_departure() {
        let mut transit = Transit::default();
        for (slot, device) in [(5, 1), (3, 2), (5, 3), (4, 4)] {
            transit.push(slot, device, Task::default());
        }
        assert_eq!(transit.due(2).count(), 0);
        let device = |(device, _)| device;
        assert_eq!(transit.due(4).map(device).collect::<Vec<_>>(), [2, 4]);
        assert_eq!(transit.drain().map(device).collect::<Vec<_>>(), [1, 3]);
    }
}
