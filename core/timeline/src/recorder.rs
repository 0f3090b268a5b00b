//! The recorder: an episode becomes a [`Timeline`] slot by slot.

use offramp_model::{EndedTask, Episode, Outcome, Place, System, TaskUnderWay, reward};
use offramp_results::timeline::{TaskStory, Timeline, Totals};

use crate::prediction::Predictor;

/// Most numbers that the stories of a timeline consist of: 64 MB at 8 bytes each.
const MAX_NUMBERS: u64 = 8_000_000;
/// Numbers of a story besides those of each action.
const STORY_NUMBERS: u64 = 16;

/// Records an episode: call [`before_slot`](Self::before_slot) and
/// [`after_slot`](Self::after_slot) around each [`Episode::advance`].
#[derive(Debug)]
pub struct Recorder {
    timeline: Timeline,
    predictor: Predictor,
}

impl Recorder {
    /// A recorder for an episode of `system`. Of a large one it keeps the stories of the first devices'
    /// tasks, and sums over all.
    pub fn new(system: &System) -> Self {
        let parameters = system.parameters();
        let timeline = Timeline {
            devices: system.device_count(),
            servers: system.server_count(),
            slots: system.slot_count(),
            arrival_slots: parameters.arrival_slots,
            deadline_slots: system.deadline_slots(),
            slot_seconds: parameters.slot_seconds,
            device_ghz: parameters.devices.iter().map(|device| device.cpu_ghz).collect(),
            server_ghz: parameters.servers.iter().map(|server| server.ghz).collect(),
            shown_devices: shown_devices(system),
            tasks: Vec::new(),
            totals: Totals::default(),
            active_devices: Vec::new(),
        };
        Self { timeline, predictor: Predictor::default() }
    }

    /// Records the tasks that arrived in this slot, the decision for each, and the policy's
    /// `values`, rows × (M + 1); empty if it has none.
    ///
    /// # Panics
    /// If there is not one action per arrival, or there are values for only some actions.
    pub fn before_slot(&mut self, episode: &Episode, actions: &[u32], values: &[f32]) {
        let arrivals = episode.arrivals();
        let width = episode.system().server_count() as usize + 1;
        assert_eq!(arrivals.len(), actions.len(), "one action per arrival");
        assert!(values.is_empty() || values.len() == actions.len() * width, "M + 1 values each");
        self.predictor.observe(episode);
        let shown = self.timeline.shown_devices;
        let decided = arrivals.iter().zip(actions).enumerate();
        // In the order of devices.
        for (row, (arrival, &action)) in decided.take_while(|(_, (task, _))| task.device < shown) {
            self.timeline.tasks.push(TaskStory {
                arrival_slot: episode.slot(),
                device: arrival.device,
                size_mbit: arrival.size_mbit,
                density: arrival.density,
                alpha: arrival.alpha,
                action,
                values: values.chunks(width).nth(row).unwrap_or_default().to_vec(),
                predicted_slots: self.predictor.slots(episode, row),
                ..TaskStory::default()
            });
        }
    }

    /// Records where the tasks are after the slot that was just carried out, and how those that
    /// ended in it did.
    pub fn after_slot(&mut self, episode: &Episode) {
        let slot = episode.slot() - 1;
        self.timeline.active_devices.push(episode.active_devices().to_vec());
        // In the order of devices.
        let shown = self.timeline.shown_devices;
        for task in episode.tasks_under_way().take_while(|task| task.device < shown) {
            if let Some(story) = self.story(task.arrival_slot, task.device) {
                moved(story, &task, slot);
            }
        }
        for task in episode.ended() {
            add(&mut self.timeline.totals, task, episode.system());
            if let Some(story) = self.story(task.arrival_slot, task.device) {
                ended(story, task, episode.system());
            }
        }
    }

    /// The timeline, complete once the episode is over.
    pub fn finish(self) -> Timeline {
        self.timeline
    }

    fn story(&mut self, arrival_slot: u32, device: u32) -> Option<&mut TaskStory> {
        let tasks = &mut self.timeline.tasks;
        let key = |task: &TaskStory| (task.arrival_slot, task.device);
        let found = tasks.binary_search_by_key(&(arrival_slot, device), key);
        found.ok().map(|at| &mut tasks[at])
    }
}

/// The devices whose stories are kept: all, or as many as there is room for, at least one.
fn shown_devices(system: &System) -> u32 {
    let per_task = STORY_NUMBERS + 2 * (u64::from(system.server_count()) + 1);
    let per_device = per_task.saturating_mul(u64::from(system.parameters().arrival_slots));
    let devices = u32::try_from(MAX_NUMBERS / per_device).unwrap_or(u32::MAX);
    devices.clamp(1, system.device_count())
}

/// Adds a task that has ended to the sums.
fn add(totals: &mut Totals, task: &EndedTask, system: &System) {
    totals.tasks += 1;
    totals.dropped += u64::from(task.outcome == Outcome::Dropped);
    totals.delay_slots += u64::from(task.delay_slots);
    totals.energy += system.energy().of(&task.energy).total();
    totals.reward += reward::reward(system, task);
}

/// Notes where a task is after `slot`.
fn moved(story: &mut TaskStory, task: &TaskUnderWay, slot: u32) {
    match task.place {
        Place::Cpu | Place::Uplink if task.in_service => {
            story.started.get_or_insert(slot);
        }
        Place::Cpu | Place::Uplink => {}
        Place::Backhaul => {
            story.started.get_or_insert(slot);
            story.sent.get_or_insert(slot + 1);
        }
        Place::Server => {
            // A task that was sent within one slot has never been seen at the uplink.
            story.started.get_or_insert(slot);
            story.sent.get_or_insert(slot + 1);
            if task.in_service {
                story.served.get_or_insert(slot);
            }
        }
    }
}

/// Notes how a task ended.
fn ended(story: &mut TaskStory, task: &EndedTask, system: &System) {
    let energy = system.energy().of(&task.energy);
    story.energy = [energy.local, energy.transmit, energy.server, energy.idle];
    story.dropped = task.outcome == Outcome::Dropped;
    story.delay_slots = task.delay_slots;
    story.reward = reward::reward(system, task);
    // It may have been in service in this slot alone.
    if let Some(service) = task.service_slot {
        let last = if story.sent.is_some() { &mut story.served } else { &mut story.started };
        last.get_or_insert(service);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use offramp_model::{
        Arrival, Device, Distribution, ObservationSpec, RecordedArrival, Recording, Server,
        SystemParameters, Workload,
    };
    use proptest::prelude::*;

    use super::*;

    /// Plays `decide` on the arrivals of `workload`.
    fn record(
        system: &Arc<System>,
        workload: Workload,
        mut decide: impl FnMut(&Arrival) -> u32,
    ) -> Timeline {
        let mut episode = Episode::new(system, workload, ObservationSpec::PAPER);
        let mut recorder = Recorder::new(system);
        while !episode.is_over() {
            let actions: Vec<u32> = episode.arrivals().iter().map(&mut decide).collect();
            recorder.before_slot(&episode, &actions, &[]);
            episode.advance(&actions).unwrap();
            recorder.after_slot(&episode);
        }
        recorder.finish()
    }

    /// One device, one server: 2 Mbit a slot on the CPU, 1 over the uplink, 8 at the server.
    fn toy(arrivals: &[(u32, f64)]) -> (Arc<System>, Workload) {
        let mut parameters = SystemParameters::paper(1, 1);
        parameters.slot_seconds = 1.0;
        parameters.classes[0].deadline_slots = 5;
        parameters.devices = vec![Device { cpu_ghz: 2.0, ..parameters.devices[0] }];
        parameters.servers = vec![Server { ghz: 8.0, power_w: 5.0 }];
        parameters.uplink = offramp_model::UplinkRates::Same(1.0).into();
        parameters.classes[0].size_mbit = Distribution::Uniform(1.0, 9.0);
        let system = Arc::new(System::new(parameters).unwrap());
        let arrival = |&(slot, size_mbit): &(u32, f64)| RecordedArrival {
            slot,
            arrival: Arrival {
                device: 0,
                size_mbit,
                density: 1.0,
                alpha: 0.5,
                deadline_slots: 5,
                class: 0,
            },
        };
        let recording = Recording::new(&system, arrivals.iter().map(arrival).collect()).unwrap();
        (system, Workload::Recorded(recording))
    }

    fn stages(task: &TaskStory) -> (Option<u32>, Option<u32>, Option<u32>, u32, bool) {
        (task.started, task.sent, task.served, task.delay_slots, task.dropped)
    }

    #[test]
    fn stages_of_tasks_by_hand() {
        // 2 Mbit are sent in slots 0 and 1 and served in slot 2; 1 Mbit, which waits for the uplink, is
        // sent in slot 2 and served in slot 3.
        let (system, workload) = toy(&[(0, 2.0), (1, 1.0)]);
        let timeline = record(&system, workload, |_| 1);
        let [first, second] = &timeline.tasks[..] else { panic!("{timeline:?}") };
        assert_eq!(stages(first), (Some(0), Some(2), Some(2), 3, false));
        assert_eq!(stages(second), (Some(2), Some(3), Some(3), 3, false));
        assert_eq!(first.predicted_slots, [Some(1), Some(3)]);
        assert_eq!(second.predicted_slots, [Some(1), Some(3)]);
        assert_eq!(timeline.active_devices[..4], [[0], [1], [1], [0]]);

        // Locally: 9.5 Mbit take all slots up to the deadline; the next enters service in slot 5, the last
        // of its own, and those behind it have just the slot that they need.
        let (system, workload) = toy(&[(0, 9.5), (1, 4.0), (2, 1.0), (3, 1.0)]);
        let timeline = record(&system, workload, |_| 0);
        let found: Vec<_> = timeline.tasks.iter().map(stages).collect();
        assert_eq!(found[0], (Some(0), None, None, 5, false));
        assert_eq!(found[1], (Some(5), None, None, 5, true));
        assert_eq!(found[2], (Some(6), None, None, 5, false));
        assert_eq!(found[3], (Some(7), None, None, 5, false));
        assert_eq!((timeline.totals.dropped, timeline.mean_delay_slots()), (1, Some(5.0)));
    }

    #[test]
    fn a_task_that_expires_before_it_is_served_is_not_served() {
        // 5 Mbit are sent in slots 0 to 4 and reach the server after the deadline.
        let (system, workload) = toy(&[(0, 5.0)]);
        let timeline = record(&system, workload, |_| 1);
        assert_eq!(stages(&timeline.tasks[0]), (Some(0), Some(5), None, 5, true));
        // On the CPU, the second ends at its deadline after one slot of service, and so does the third.
        let (system, workload) = toy(&[(0, 9.9), (1, 9.9), (2, 9.9)]);
        let timeline = record(&system, workload, |_| 0);
        let found: Vec<_> = timeline.tasks.iter().map(stages).collect();
        assert_eq!(found[0], (Some(0), None, None, 5, false));
        assert_eq!(found[1], (Some(5), None, None, 5, true));
        assert_eq!(found[2], (Some(6), None, None, 5, true));
    }

    /// Memory does not grow with the devices, and sums are of all of them.
    #[test]
    fn of_a_large_system_the_first_devices_are_kept() {
        let mut parameters = SystemParameters::paper(3000, 4);
        parameters.arrival_slots = 150;
        let system = Arc::new(System::new(parameters).unwrap());
        let workload = || Workload::Drawn { seed: 3, episode: 0 };
        let mut all = Totals::default();
        let mut episode = Episode::new(&system, workload(), ObservationSpec::PAPER);
        while !episode.is_over() {
            let actions: Vec<u32> = episode.arrivals().iter().map(|task| task.device % 5).collect();
            episode.advance(&actions).unwrap();
            episode.ended().iter().for_each(|task| add(&mut all, task, &system));
        }
        let timeline = record(&system, workload(), |task| task.device % 5);
        assert_eq!(timeline.shown_devices, 2051); // 8,000,000 / (150 · (16 + 2 · 5))
        assert!(timeline.tasks.iter().all(|task| task.device < 2051 && task.delay_slots > 0));
        assert!(timeline.tasks.iter().any(|task| task.device > 2000));
        assert_eq!(timeline.totals, all);
        assert!(all.tasks > timeline.tasks.len() as u64);
    }

    proptest! {
        /// A device that has the system to itself: the prediction for its action is its delay.
        #[test]
        fn alone_predictions_come_true(seed in 0_u64..1000, action in 0_u32..3) {
            let mut parameters = SystemParameters::paper(1, 2);
            parameters.devices[0].arrival_probability = 0.1;
            let system = Arc::new(System::new(parameters).unwrap());
            let workload = Workload::Drawn { seed, episode: 0 };
            let timeline = record(&system, workload, |_| action);
            for task in &timeline.tasks {
                let predicted = task.predicted_slots[action as usize].unwrap();
                if task.dropped {
                    prop_assert!(predicted > system.deadline_slots(), "{task:?}");
                } else {
                    prop_assert_eq!(predicted, task.delay_slots, "{:?}", task);
                }
            }
        }

        /// Stages follow each other, and only what was dropped lacks one.
        #[test]
        fn stages_are_in_order(seed in 0_u64..1000) {
            let system = Arc::new(System::paper(12, 2));
            let mut next = seed;
            let timeline = record(&system, Workload::Drawn { seed, episode: 1 }, |_| {
                next = next.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (next >> 40) as u32 % 3
            });
            for task in &timeline.tasks {
                let end = task.arrival_slot + task.delay_slots;
                let stages = [Some(task.arrival_slot), task.started, task.sent, task.served];
                let known: Vec<u32> = stages.into_iter().flatten().collect();
                prop_assert!(known.is_sorted(), "{task:?}");
                if !task.dropped {
                    let last = if task.action == 0 { task.started } else { task.served };
                    prop_assert!(last.is_some_and(|last| last < end), "{task:?}");
                }
                prop_assert!(task.action > 0 || (task.sent.is_none() && task.served.is_none()));
            }
        }
    }
}
