//! Replay of a trace through the engine.

use offramp_model::{
    EndedTask, Energy, Episode, ObservationKind, ObservationSpec, Outcome, Recording, Workload,
    reward,
};
use offramp_results::replay::Replay;

use crate::comparison::Comparison;
use crate::format::{ENERGY_COLUMNS, RecordedTask, Trace};

impl Trace {
    /// Runs the recorded arrivals and decisions through the engine, and compares every recorded
    /// value with the engine's.
    pub fn replay(&self) -> Replay {
        let observation = ObservationSpec { kind: ObservationKind::Published, history_slots: 10 };
        let arrivals = self.tasks.iter().map(|task| task.arrival).collect();
        // The file's tasks were checked when it was read.
        let recording = match Recording::new(&self.system, arrivals) {
            Ok(recording) => recording,
            Err(invalid) => unreachable!("{invalid}"),
        };
        let workload = Workload::Recorded(recording);
        let mut episode = Episode::new(&self.system, workload, observation);
        let mut replay = Replay {
            trace: self.name.clone(),
            slots: self.system.slot_count(),
            devices: self.system.device_count(),
            servers: self.system.server_count(),
            ..Replay::default()
        };
        let mut comparison = Comparison::default();
        let (mut features, mut actions) = (Vec::new(), Vec::new());
        let mut done = 0;
        while !episode.is_over() {
            let slot = episode.slot();
            let (_, rest) = self.tasks.split_at(done);
            let arrived = &rest[..episode.arrivals().len()];
            done += arrived.len();
            episode.features(&mut features);
            self.compare_observations(arrived, &features, &mut comparison);
            if let Some(load_seen) = &self.load_seen {
                let recorded = load_seen[slot as usize].iter().copied();
                let computed = episode.load_seen().iter().copied();
                compare_servers("load seen of server", slot, recorded, computed, &mut comparison);
            }
            actions.clear();
            actions.extend(arrived.iter().map(|task| task.action));
            // The file's decisions were checked when it was read.
            if let Err(illegal) = episode.advance(&actions) {
                unreachable!("{illegal}");
            }
            if let Some(active) = &self.active_devices {
                let recorded = active[slot as usize].iter().map(|&count| f64::from(count));
                let computed = episode.active_devices().iter().map(|&count| f64::from(count));
                let what = "active devices at server";
                compare_servers(what, slot, recorded, computed, &mut comparison);
            }
            for ended in episode.ended() {
                self.compare_end(ended, &mut comparison);
                self.add(ended, &mut replay);
            }
        }
        let Comparison { compared, differing, first } = comparison;
        Replay { compared, differing, first_differences: first, ..replay }
    }

    /// Compares the observations of the tasks that arrived in a slot; `features` are the
    /// engine's, one row per task.
    fn compare_observations(
        &self,
        arrived: &[RecordedTask],
        features: &[f64],
        comparison: &mut Comparison,
    ) {
        let width = ObservationKind::Published.width(self.system.server_count());
        for (task, computed) in arrived.iter().zip(features.chunks(width)) {
            let Some(recorded) = &task.observation else { continue };
            let values = self.observation_columns.iter().zip(recorded).zip(computed);
            for ((name, &recorded), &computed) in values {
                let what = || format!("observed {name}");
                comparison.value(|| task.place(), what, recorded, computed);
            }
        }
    }

    /// Compares the end of a task: delay, drop, and each component of its energy.
    fn compare_end(&self, ended: &EndedTask, comparison: &mut Comparison) {
        let key = (ended.arrival_slot, ended.device);
        let found = self
            .tasks
            .binary_search_by_key(&key, |task| (task.arrival.slot, task.arrival.arrival.device));
        // Each task that ends is one of those that arrived.
        let Ok(task) = found.map(|index| &self.tasks[index]) else {
            unreachable!("slot {}, device {}: no such task", key.0, key.1)
        };
        let mut compare = |what: &str, recorded: Option<f64>, computed: f64| {
            if let Some(recorded) = recorded {
                comparison.value(|| task.place(), || what.to_owned(), recorded, computed);
            }
        };
        let dropped = f64::from(u8::from(ended.outcome == Outcome::Dropped));
        compare("delay_slots", task.delay_slots, f64::from(ended.delay_slots));
        compare("dropped", task.dropped, dropped);
        let Energy { local, transmit, server, idle } = ended.energy.published;
        for ((name, recorded), computed) in
            ENERGY_COLUMNS.iter().zip(task.energy).zip([local, transmit, server, idle])
        {
            compare(name, recorded, computed);
        }
    }

    /// Adds an ended task to the sums.
    fn add(&self, ended: &EndedTask, replay: &mut Replay) {
        replay.tasks += 1;
        replay.dropped += u64::from(ended.outcome == Outcome::Dropped);
        replay.delay_slots += u64::from(ended.delay_slots);
        replay.energy += ended.energy.published.total();
        replay.reward += reward::reward(&self.system, ended);
    }
}

/// Compares a quantity of each server in a slot.
fn compare_servers(
    what: &str,
    slot: u32,
    recorded: impl Iterator<Item = f64>,
    computed: impl Iterator<Item = f64>,
    comparison: &mut Comparison,
) {
    for (server, (recorded, computed)) in recorded.zip(computed).enumerate() {
        let what = || format!("{what} {}", server + 1);
        comparison.value(|| format!("slot {slot}"), what, recorded, computed);
    }
}
