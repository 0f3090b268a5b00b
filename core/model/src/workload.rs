//! The workload: the tasks of an episode, drawn from random streams or recorded.

use crate::arrivals::{Arrivals, Switches};
use crate::class::TaskClass;
use crate::device::{Device, PreferenceRule};
use crate::distribution::Range;
use crate::rng::{Chance, Purpose, Stream, StreamFamily};
use crate::state::on_threads;
use crate::system::{System, SystemParameters};
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

impl Workload {
    /// The seed and the episode of everything but recorded tasks.
    pub(crate) fn streams(&self) -> (u64, u64) {
        match self {
            Self::Drawn { seed, episode } => (*seed, *episode),
            Self::Recorded(_) => (0, 0),
        }
    }
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
    if arrival.deadline_slots == 0 || arrival.deadline_slots > system.deadline_slots() {
        let (quantity, longest) = ("deadline_slots", system.deadline_slots());
        let fault = format!("{} is out of range 1 … {longest}", arrival.deadline_slots);
        return Err(RecordingFault::Quantity { quantity, fault });
    }
    if arrival.class as usize >= system.parameters().classes.len() {
        let fault = format!("{} is out of range", arrival.class);
        return Err(RecordingFault::Quantity { quantity: "class", fault });
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
    /// Drawn from the random streams of a seed and episode, or the part of the system's recorded tasks
    /// that these choose: the same for every policy. Positions, channel and outages are drawn from them
    /// too.
    Drawn {
        /// The seed of the tasks.
        seed: u64,
        /// The episode, counted from 0.
        episode: u64,
    },
    /// Read from a recording. All else is that of seed 0, episode 0.
    Recorded(Recording),
}

/// Draws or reads a workload slot by slot.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Drawn(Drawn),
    Recorded { tasks: Vec<RecordedArrival>, read: usize },
}

/// The tasks that a seed and an episode draw, or the part of the system's recorded tasks that they
/// choose.
#[derive(Clone, Debug)]
pub(crate) struct Drawn {
    /// The stream of each device's arrivals, at its start.
    arrivals: Vec<Stream>,
    /// The chance of an arrival at each device; empty where it changes.
    chances: Vec<Chance>,
    classes: StreamFamily,
    /// The seed and the episode of all streams.
    streams: (u64, u64),
    preferences: StreamFamily,
    /// The power mode of each device in this slot.
    modes: Vec<u32>,
    /// With bursty arrivals, whether each device is on in this slot.
    bursts: Option<Switches>,
    /// With recorded tasks, the slot of the recording that slot 0 is, and the next task.
    recorded: Option<(u32, usize)>,
}

/// The chance of an arrival at each device; empty where it changes.
fn chances(parameters: &SystemParameters) -> Vec<Chance> {
    let constant = parameters.arrivals == Arrivals::Bernoulli;
    let devices = parameters.devices.iter().filter(|_| constant);
    devices.map(|device| Chance::new(device.arrival_probability)).collect()
}

/// The bursts of all devices from `slot` on, if arrivals are bursty.
fn bursts(
    parameters: &SystemParameters,
    (seed, episode): (u64, u64),
    slot: u32,
) -> Option<Switches> {
    let Arrivals::Bursty { p_on, p_off, .. } = parameters.arrivals else { return None };
    let streams = StreamFamily::new(seed, episode, Purpose::BURSTS);
    Some(Switches::new(streams, parameters.devices.len(), p_on, p_off, slot))
}

/// With recorded tasks, the slot of the recording that slot 0 is, and the first task of `slot`.
fn recorded(system: &System, (seed, episode): (u64, u64), slot: u32) -> Option<(u32, usize)> {
    let parameters = system.parameters();
    let recorded = parameters.recorded.as_ref()?;
    let share = StreamFamily::new(seed, episode, Purpose::WINDOW).of(0).uniform();
    // As long as an episode, where it can be: so recordings of one length stay in step.
    let from = parameters.window.first_slot(recorded.slot_count(), system.slot_count(), share);
    Some((from, recorded.tasks().partition_point(|task| task.slot < from + slot)))
}

/// Devices for which a thread draws tasks at least: it takes microseconds to begin.
const LEAST_OF_A_THREAD: usize = 8192;

/// Draws of a device in a slot: whether a task arrives, its size, its density.
const DRAWS_PER_SLOT: u64 = 3;

impl Source {
    pub(crate) fn new(system: &System, workload: Workload) -> Self {
        match workload {
            Workload::Drawn { seed, episode } => Self::Drawn(Drawn::new(system, seed, episode)),
            Workload::Recorded(Recording { arrivals, devices }) => {
                assert!(devices <= system.device_count(), "a recording of a larger system");
                Self::Recorded { tasks: arrivals, read: 0 }
            }
        }
    }

    /// Fills `into` with the arrivals of `slot`, in the order of devices. Slots must be asked for
    /// in order, each once.
    pub(crate) fn arrivals(
        &mut self,
        system: &System,
        slot: u32,
        into: &mut Vec<Arrival>,
        threads: usize,
    ) {
        into.clear();
        let parameters = system.parameters();
        if slot >= parameters.arrival_slots {
            return;
        }
        if let Self::Drawn(drawn) = self {
            drawn.advance(parameters, slot);
        }
        self.read(system, slot, into, threads);
    }

    /// Goes on in another system from `slot` on, whose arrivals it reads anew. They are the same
    /// unless what they depend on is another in that system.
    pub(crate) fn continue_in(
        &mut self,
        (old, system): (&System, &System),
        slot: u32,
        into: &mut Vec<Arrival>,
        threads: usize,
    ) {
        into.clear();
        match self {
            Self::Drawn(drawn) => drawn.continue_in(old.parameters(), system, slot),
            Self::Recorded { tasks, read } => {
                *read = tasks.partition_point(|task| task.slot < slot);
            }
        }
        self.read(system, slot, into, threads);
    }

    fn read(&mut self, system: &System, slot: u32, into: &mut Vec<Arrival>, threads: usize) {
        match self {
            Self::Drawn(drawn) => drawn.read(system, slot, into, threads),
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
            Self::Drawn(drawn) => &drawn.modes,
            Self::Recorded { .. } => &[],
        }
    }
}

impl Drawn {
    fn new(system: &System, seed: u64, episode: u64) -> Self {
        let parameters = system.parameters();
        let devices = system.device_count() as usize;
        let family = |purpose| StreamFamily::new(seed, episode, purpose);
        let preferences = parameters.power_preference.streams(seed, episode);
        let mut modes = vec![0; devices];
        parameters.power_preference.first_modes(preferences, &mut modes);
        let arrivals = family(Purpose::ARRIVALS);
        Self {
            arrivals: (0..devices as u64).map(|device| arrivals.of(device)).collect(),
            chances: chances(parameters),
            classes: family(Purpose::TASK_CLASS),
            streams: (seed, episode),
            preferences,
            modes,
            bursts: bursts(parameters, (seed, episode), 0),
            recorded: recorded(system, (seed, episode), 0),
        }
    }

    /// Goes on in another system from `slot` on. What is the same there continues undisturbed; what is
    /// not begins in `slot`. Devices keep their power modes if there are as many, drawn by the same
    /// rule or while they switch; otherwise they draw anew.
    fn continue_in(&mut self, old: &SystemParameters, system: &System, slot: u32) {
        let parameters = system.parameters();
        self.chances = chances(parameters);
        if old.arrivals != parameters.arrivals {
            self.bursts = bursts(parameters, self.streams, slot);
        }
        let preference = &parameters.power_preference;
        let streams = preference.streams(self.streams.0, self.streams.1);
        let as_many = preference.modes.len() == old.power_preference.modes.len();
        if !as_many || streams != self.preferences {
            preference.first_modes(streams, &mut self.modes);
        }
        self.preferences = streams;
        if old.recorded != parameters.recorded || old.window != parameters.window {
            self.recorded = recorded(system, self.streams, slot);
        } else if let (Some((from, next)), Some(tasks)) = (&mut self.recorded, &parameters.recorded)
        {
            *next = tasks.tasks().partition_point(|task| task.slot < *from + slot);
        }
    }

    /// Moves power modes and bursts on to `slot`.
    fn advance(&mut self, parameters: &SystemParameters, slot: u32) {
        let preference = &parameters.power_preference;
        if let PreferenceRule::Switching(_) = preference.rule {
            preference.switch(self.preferences, slot, &mut self.modes);
        }
        if let Some(bursts) = self.bursts.as_mut().filter(|_| slot > 0) {
            bursts.advance(slot);
        }
    }

    /// Reads the arrivals of the slot to which it has advanced.
    fn read(&mut self, system: &System, slot: u32, into: &mut Vec<Arrival>, threads: usize) {
        let parameters = system.parameters();
        let preference = &parameters.power_preference;
        if let (Some((from, next)), Some(recorded)) = (&mut self.recorded, &parameters.recorded) {
            while let Some(task) =
                recorded.tasks().get(*next).filter(|task| task.slot == *from + slot)
            {
                let mode = self.modes[task.arrival.device as usize];
                let mut arrival = task.arrival;
                if arrival.alpha.is_nan() {
                    arrival.alpha = preference.modes[mode as usize];
                }
                into.push(arrival);
                *next += 1;
            }
            return;
        }
        match (&parameters.arrivals, &self.bursts) {
            (Arrivals::Bernoulli, _) => {
                self.draw(parameters, slot, into, threads, |index, _| self.chances[index]);
            }
            (Arrivals::Bursty { probability_on, probability_off, .. }, Some(bursts)) => {
                let on = bursts.on();
                let chances = [*probability_off, *probability_on].map(Chance::new);
                self.draw(parameters, slot, into, threads, |index, _| {
                    chances[usize::from(on[index])]
                });
            }
            (arrivals, _) => {
                let factor = arrivals.factor(slot);
                self.draw(parameters, slot, into, threads, |_, device| {
                    Chance::new(device.arrival_probability * factor)
                });
            }
        }
    }

    /// Draws the tasks of a slot, given the chance of one at each device.
    #[inline]
    fn draw(
        &self,
        parameters: &SystemParameters,
        slot: u32,
        into: &mut Vec<Arrival>,
        threads: usize,
        chance: impl Fn(usize, &Device) -> Chance + Sync,
    ) {
        let devices = parameters.devices.len();
        let part = devices.div_ceil(threads).next_multiple_of(64).max(LEAST_OF_A_THREAD);
        if part >= devices {
            return self.draw_some(parameters, slot, 0..devices, into, &chance);
        }
        let ranges = (0..devices).step_by(part).map(|from| from..devices.min(from + part));
        let mut parts: Vec<_> = ranges.map(|range| (range, Vec::new())).collect();
        on_threads(parts.iter_mut(), |(range, into)| {
            self.draw_some(parameters, slot, range.clone(), into, &chance);
        });
        into.extend(parts.into_iter().flat_map(|(_, arrivals)| arrivals));
    }

    /// Appends the tasks at devices of `range`, which begins at a multiple of 64.
    #[inline]
    fn draw_some(
        &self,
        parameters: &SystemParameters,
        slot: u32,
        range: std::ops::Range<usize>,
        into: &mut Vec<Arrival>,
        chance: &impl Fn(usize, &Device) -> Chance,
    ) {
        let position = DRAWS_PER_SLOT * u64::from(slot);
        let modes = &parameters.power_preference.modes;
        let devices = parameters.devices[range.clone()].chunks(64);
        let blocks = devices.zip(self.arrivals[range.clone()].chunks(64));
        for (block, (devices, streams)) in blocks.enumerate() {
            // First whether a task arrives at each device, without a branch: it would be mispredicted
            // for every task.
            let first = range.start + 64 * block;
            let mut arriving = 0_u64;
            for (bit, (device, stream)) in devices.iter().zip(streams).enumerate() {
                let arrives = stream.skip(position).happens(chance(first + bit, device));
                arriving |= u64::from(arrives) << bit;
            }
            while arriving != 0 {
                let bit = arriving.trailing_zeros() as usize;
                arriving &= arriving - 1;
                // Each quantity has its place, so that the one does not depend on how the other is drawn.
                let [mut of_size, mut of_density] =
                    [1, 2].map(|place| streams[bit].skip(position + place));
                let class = self.class(&parameters.classes, (first + bit) as u64, slot);
                let TaskClass { size_mbit, density, deadline_slots, .. } =
                    &parameters.classes[class];
                into.push(Arrival {
                    device: (first + bit) as u32,
                    size_mbit: size_mbit.draw(&mut of_size),
                    density: density.draw(&mut of_density),
                    alpha: modes[self.modes[first + bit] as usize],
                    deadline_slots: *deadline_slots,
                    class: class as u32,
                });
            }
        }
    }

    /// The class of a task, by shares.
    fn class(&self, classes: &[TaskClass], device: u64, slot: u32) -> usize {
        if classes.len() == 1 {
            return 0;
        }
        let all: f64 = classes.iter().map(|class| class.share).sum();
        let mut left = all * self.classes.of(device).skip(u64::from(slot)).uniform();
        let found = classes.iter().position(|class| {
            left -= class.share;
            left < 0.0
        });
        // Rounding may leave nothing for the last one.
        found.unwrap_or(classes.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::Distribution;

    #[test]
    fn recordings_that_contradict_themselves_are_refused() {
        let system = System::paper(3, 1);
        let task = |slot, device| RecordedArrival {
            slot,
            arrival: Arrival {
                device,
                size_mbit: 2.0,
                density: 0.3,
                alpha: 0.5,
                deadline_slots: 10,
                class: 0,
            },
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

    #[test]
    fn what_is_drawn_of_a_task_does_not_depend_on_how_the_rest_is() {
        let arrivals = |size_mbit: Distribution| {
            let mut parameters = SystemParameters::paper(20, 1);
            parameters.classes[0].size_mbit = size_mbit;
            let system = System::new(parameters).unwrap();
            let mut source = Source::new(&system, Workload::Drawn { seed: 1, episode: 0 });
            let (mut all, mut slot) = (Vec::new(), Vec::new());
            for number in 0..20 {
                source.arrivals(&system, number, &mut slot, 1);
                all.extend(slot.iter().map(|task| (number, task.device, task.density)));
            }
            all
        };
        let drawn = arrivals(Distribution::Uniform(1.0, 7.0));
        assert!(drawn.len() > 80);
        assert_eq!(arrivals(Distribution::Constant(3.0)), drawn);
    }
}
