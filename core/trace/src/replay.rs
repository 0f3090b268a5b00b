//! Replay of a trace through the engine.

use offramp_model::{
    EndedTask, Energy, Episode, ObservationKind, ObservationSpec, Outcome, Recording, Workload,
    reward,
};
use offramp_results::replay::Replay;
use offramp_results::timeline::Timeline;
use offramp_timeline::Recorder;

use crate::comparison::Comparison;
use crate::format::{ENERGY_COLUMNS, RecordedTask, Trace};

/// Observes the decisions of a trace slot by slot while they are played.
trait EpisodeObserver {
    /// Called at the start of a slot with the tasks that arrived, and the action for each.
    fn before_slot(&mut self, episode: &Episode, arrived: &[RecordedTask], actions: &[u32]);

    /// Called at the end of the slot.
    fn after_slot(&mut self, episode: &Episode);
}

impl Trace {
    /// Runs the recorded arrivals and decisions through the engine, and compares every recorded
    /// value with the engine's.
    pub fn replay(&self) -> Replay {
        let replay = Replay {
            trace: self.name.clone(),
            slots: self.system.slot_count(),
            devices: self.system.device_count(),
            servers: self.system.server_count(),
            ..Replay::default()
        };
        let comparison = Comparison::default();
        let mut check = Check { trace: self, comparison, replay, features: Vec::new() };
        self.play(&mut check);
        let Comparison { compared, differing, first } = check.comparison;
        Replay { compared, differing, first_differences: first, ..check.replay }
    }

    /// Runs the recorded arrivals and decisions through the engine, and returns what happens to each
    /// task.
    pub fn timeline(&self) -> Timeline {
        let mut recorder = Recorder::new(&self.system);
        self.play(&mut recorder);
        recorder.finish()
    }

    fn play(&self, observer: &mut impl EpisodeObserver) {
        let observation =
            ObservationSpec { kind: ObservationKind::Published, ..ObservationSpec::PAPER };
        let arrivals = self.tasks.iter().map(|task| task.arrival).collect();
        // The file's tasks were checked when it was read.
        let recording = match Recording::new(&self.system, arrivals) {
            Ok(recording) => recording,
            Err(invalid) => unreachable!("{invalid}"),
        };
        let workload = Workload::Recorded(recording);
        let mut episode = Episode::new(&self.system, workload, observation);
        let mut rest = self.tasks.as_slice();
        let mut actions = Vec::new();
        while !episode.is_over() {
            let (arrived, later) = rest.split_at(episode.arrivals().len());
            rest = later;
            actions.clear();
            actions.extend(arrived.iter().map(|task| task.action));
            observer.before_slot(&episode, arrived, &actions);
            // The file's decisions were checked when it was read.
            if let Err(illegal) = episode.advance(&actions) {
                unreachable!("{illegal}");
            }
            observer.after_slot(&episode);
        }
    }
}

impl EpisodeObserver for Recorder {
    fn before_slot(&mut self, episode: &Episode, _: &[RecordedTask], actions: &[u32]) {
        Recorder::before_slot(self, episode, actions, &[]);
    }

    fn after_slot(&mut self, episode: &Episode) {
        Recorder::after_slot(self, episode);
    }
}

/// Compares every recorded value with the engine's, and sums up the tasks.
struct Check<'t> {
    trace: &'t Trace,
    comparison: Comparison,
    replay: Replay,
    /// The engine's observations, one row per task.
    features: Vec<f64>,
}

impl EpisodeObserver for Check<'_> {
    fn before_slot(&mut self, episode: &Episode, arrived: &[RecordedTask], _: &[u32]) {
        episode.features(&mut self.features);
        self.compare_observations(arrived);
        if let Some(load_seen) = &self.trace.load_seen {
            let slot = episode.slot();
            let recorded = load_seen[slot as usize].iter().copied();
            let computed = episode.load_seen().iter().copied();
            self.compare_servers("load seen of server", slot, recorded, computed);
        }
    }

    fn after_slot(&mut self, episode: &Episode) {
        if let Some(active) = &self.trace.active_devices {
            let slot = episode.slot() - 1;
            let recorded = active[slot as usize].iter().map(|&count| f64::from(count));
            let computed = episode.active_devices().iter().map(|&count| f64::from(count));
            self.compare_servers("active devices at server", slot, recorded, computed);
        }
        for ended in episode.ended() {
            self.compare_end(ended);
            self.add(ended);
        }
    }
}

impl Check<'_> {
    /// Compares the observations of the tasks that arrived in a slot.
    fn compare_observations(&mut self, arrived: &[RecordedTask]) {
        let Self { trace, comparison, features, .. } = self;
        let width = ObservationKind::Published.width(trace.system.server_count());
        for (task, computed) in arrived.iter().zip(features.chunks(width)) {
            let Some(recorded) = &task.observation else { continue };
            let values = trace.observation_columns.iter().zip(recorded).zip(computed);
            for ((name, &recorded), &computed) in values {
                let what = || format!("observed {name}");
                comparison.value(|| task.place(), what, recorded, computed);
            }
        }
    }

    /// Compares the end of a task: delay, drop, and each component of its energy.
    fn compare_end(&mut self, ended: &EndedTask) {
        let Self { trace, comparison, .. } = self;
        let key = (ended.arrival_slot, ended.device);
        let found = trace
            .tasks
            .binary_search_by_key(&key, |task| (task.arrival.slot, task.arrival.arrival.device));
        // Each task that ends is one of those that arrived.
        let Ok(task) = found.map(|index| &trace.tasks[index]) else {
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
    fn add(&mut self, ended: &EndedTask) {
        let Self { trace, replay, .. } = self;
        replay.tasks += 1;
        replay.dropped += u64::from(ended.outcome == Outcome::Dropped);
        replay.delay_slots += u64::from(ended.delay_slots);
        replay.energy += ended.energy.published.total();
        replay.reward += reward::reward(&trace.system, ended);
    }

    /// Compares a quantity of each server in a slot.
    fn compare_servers(
        &mut self,
        what: &str,
        slot: u32,
        recorded: impl Iterator<Item = f64>,
        computed: impl Iterator<Item = f64>,
    ) {
        for (server, (recorded, computed)) in recorded.zip(computed).enumerate() {
            let what = || format!("{what} {}", server + 1);
            self.comparison.value(|| format!("slot {slot}"), what, recorded, computed);
        }
    }
}
