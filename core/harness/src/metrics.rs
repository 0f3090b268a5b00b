//! Measuring: the metrics of an episode, summed up while it runs (section 4 of the model).

use offramp_model::{EndedTask, Episode, Outcome, PreferenceRule, System, TaskClass, reward};
use offramp_results::{EpisodeMetrics, EpisodeMobility, Grouped, Grouping};

/// A metric of an episode is not a finite number.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("episode {episode}: {metric} is {value}, not a finite number")]
pub struct NotFinite {
    /// The episode, counted from 0.
    pub episode: u64,
    /// The metric's title.
    pub metric: &'static str,
    /// Its value.
    pub value: f64,
}

/// Sums over the tasks of an episode, or of one group of them, that have ended.
#[derive(Clone, Debug, Default)]
struct Sums {
    dropped: u64,
    /// Tasks that were computed locally.
    local: u64,
    delay: u64,
    reward: f64,
    energy: f64,
    /// Tasks by delay, up to the largest so far: D_max may be any number of slots.
    by_delay: Vec<u64>,
}

impl Sums {
    fn add(&mut self, task: &EndedTask, reward: f64, energy: f64) {
        self.dropped += u64::from(task.outcome == Outcome::Dropped);
        self.local += u64::from(task.action == 0);
        self.delay += u64::from(task.delay_slots);
        self.reward += reward;
        self.energy += energy;
        count(&mut self.by_delay, task.delay_slots as usize);
    }

    fn metrics(&self, devices: f64) -> EpisodeMetrics {
        let tasks: u64 = self.by_delay.iter().sum();
        let per_task = |sum: f64| (tasks > 0).then(|| sum / tasks as f64);
        let per_device = |sum: f64| (devices > 0.0).then(|| sum / devices);
        let percentile = |share: f64| {
            let rank = (share * tasks as f64).ceil() as u64;
            let mut seen = 0;
            let found = self.by_delay.iter().position(|count| {
                seen += count;
                seen >= rank
            });
            found.filter(|_| tasks > 0).map(|slots| slots as u32)
        };
        EpisodeMetrics {
            tasks,
            devices,
            qoe: per_device(self.reward),
            delay_slots: per_task(self.delay as f64),
            energy: per_device(self.energy),
            dropped: self.dropped,
            completion_ratio: per_task((tasks - self.dropped) as f64),
            local_share: per_task(self.local as f64),
            energy_per_task: per_task(self.energy),
            delay_p50: percentile(0.50),
            delay_p95: percentile(0.95),
            delay_p99: percentile(0.99),
        }
    }
}

/// Checks mobility and rates of the episode of that number.
///
/// # Errors
/// [`NotFinite`].
pub(crate) fn finite(
    mobility: EpisodeMobility,
    episode: u64,
) -> Result<EpisodeMobility, NotFinite> {
    match mobility.not_finite() {
        None => Ok(mobility),
        Some((metric, value)) => Err(NotFinite { episode, metric: metric.title, value }),
    }
}

/// Adds one to the count at `place`.
fn count(counts: &mut Vec<u64>, place: usize) {
    if place >= counts.len() {
        counts.resize(place + 1, 0);
    }
    counts[place] += 1;
}

/// The classes into which the tasks of a system are divided; none if they are all of one.
pub(crate) fn classes(system: &System) -> &[TaskClass] {
    match system.parameters().classes.as_slice() {
        [_] => &[],
        several => several,
    }
}

/// The group of a task, by its number in the order of the scenario.
fn group(system: &System, grouping: Grouping, task: &EndedTask) -> Option<usize> {
    match grouping {
        Grouping::PowerMode => {
            let modes = &system.parameters().power_preference.modes;
            modes.iter().position(|&alpha| alpha == task.alpha)
        }
        Grouping::Class => Some(task.class as usize),
    }
}

/// Measures an episode: call [`before_slot`](Self::before_slot) and
/// [`after_slot`](Self::after_slot) around each step.
#[derive(Debug)]
pub struct EpisodeMeter {
    all: Sums,
    by_group: Grouped<Sums>,
    /// Completed tasks by delay.
    done: Vec<u64>,
    /// Device-slots in each power mode, over the slots with arrivals.
    mode_device_slots: Vec<u64>,
}

impl EpisodeMeter {
    /// A meter for an episode of `system`.
    pub fn new(system: &System) -> Self {
        let modes = system.parameters().power_preference.modes.len();
        Self {
            all: Sums::default(),
            by_group: Grouped::new(|grouping| {
                let groups = match grouping {
                    Grouping::PowerMode => modes,
                    Grouping::Class => classes(system).len(),
                };
                vec![Sums::default(); groups]
            }),
            done: Vec::new(),
            mode_device_slots: vec![0; modes],
        }
    }

    /// Counts the devices in each power mode. Call it at the start of each slot.
    pub fn before_slot(&mut self, episode: &Episode) {
        let parameters = episode.system().parameters();
        let slots = u64::from(parameters.arrival_slots);
        let switching = matches!(parameters.power_preference.rule, PreferenceRule::Switching(_));
        // Where modes do not change, the first slot counts for all.
        let counts = match episode.slot() {
            slot if u64::from(slot) >= slots => return,
            _ if switching => 1,
            0 => slots,
            _ => return,
        };
        for &mode in episode.power_modes() {
            self.mode_device_slots[mode as usize] += counts;
        }
    }

    /// Adds the tasks that ended. Call it at the end of each slot.
    pub fn after_slot(&mut self, episode: &Episode) {
        let system = episode.system();
        for task in episode.ended() {
            let reward = reward::reward(system, task);
            let energy = system.energy().of(&task.energy).total();
            self.all.add(task, reward, energy);
            for grouping in Grouping::ALL {
                let group = group(system, grouping, task);
                if let Some(sums) = group.and_then(|at| self.by_group[grouping].get_mut(at)) {
                    sums.add(task, reward, energy);
                }
            }
            if task.outcome == Outcome::Done {
                // A delay is at least one slot.
                count(&mut self.done, task.delay_slots as usize - 1);
            }
        }
    }

    /// The metrics of the whole episode, which is number `episode` of its run.
    ///
    /// # Errors
    /// [`NotFinite`]: the ranges of the system's parameters rule it out, and nothing that is not a
    /// number may pass for a result.
    pub fn metrics(&self, system: &System, episode: u64) -> Result<EpisodeMetrics, NotFinite> {
        let metrics = self.all.metrics(f64::from(system.device_count()));
        match metrics.not_finite() {
            None => Ok(metrics),
            Some((metric, value)) => Err(NotFinite { episode, metric: metric.title, value }),
        }
    }

    /// Tasks completed in 1 slot, in 2 slots, and so on, up to the slowest.
    pub fn done_by_delay(&self) -> Vec<u64> {
        self.done.clone()
    }

    /// The metrics of each group, in the order of the scenario. A power mode has the devices that were
    /// in it on average; tasks of any class arrive at all devices.
    pub fn metrics_by_group(&self, system: &System) -> Grouped<EpisodeMetrics> {
        let slots = f64::from(system.parameters().arrival_slots);
        Grouped::new(|grouping| {
            let devices = |group: usize| match grouping {
                Grouping::PowerMode => self.mode_device_slots[group] as f64 / slots,
                Grouping::Class => f64::from(system.device_count()),
            };
            let groups = self.by_group[grouping].iter().enumerate();
            groups.map(|(group, sums)| sums.metrics(devices(group))).collect()
        })
    }
}

/// Measures a part of a stream of tasks: those that ended in its slots. Call
/// [`after_slot`](Self::after_slot) at the end of each.
#[derive(Debug, Default)]
pub struct WindowMeter {
    all: Sums,
}

impl WindowMeter {
    /// Adds the tasks that ended in the slot.
    pub fn after_slot(&mut self, episode: &Episode) {
        let system = episode.system();
        for task in episode.ended() {
            let energy = system.energy().of(&task.energy).total();
            self.all.add(task, reward::reward(system, task), energy);
        }
    }

    /// The metrics of the window, and the mean reward of its tasks; `None` if none ended. Window
    /// number `window` is that of its stream.
    ///
    /// # Errors
    /// [`NotFinite`].
    pub fn metrics(
        &self,
        system: &System,
        window: u64,
    ) -> Result<(EpisodeMetrics, Option<f64>), NotFinite> {
        let metrics = self.all.metrics(f64::from(system.device_count()));
        if let Some((metric, value)) = metrics.not_finite() {
            return Err(NotFinite { episode: window, metric: metric.title, value });
        }
        let per_task = (metrics.tasks > 0).then(|| self.all.reward / metrics.tasks as f64);
        Ok((metrics, per_task))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use offramp_model::{EndedTask, EnergyAccounting, ObservationSpec, Workload};

    use super::*;

    #[test]
    fn percentiles_by_hand() {
        let mut sums = Sums::default();
        // 20 tasks: 18 took 3 slots, one 7, one 10.
        count(&mut sums.by_delay, 7);
        (0..18).for_each(|_| count(&mut sums.by_delay, 3));
        count(&mut sums.by_delay, 10);
        let metrics = sums.metrics(1.0);
        assert_eq!(
            (metrics.delay_p50, metrics.delay_p95, metrics.delay_p99),
            (Some(3), Some(7), Some(10))
        );
    }

    #[test]
    fn a_metric_that_is_not_finite_ends_the_run() {
        let system = System::paper(1, 1);
        let mut meter = EpisodeMeter::new(&system);
        assert!(meter.metrics(&system, 4).is_ok());
        meter.all.energy = f64::INFINITY;
        let error = meter.metrics(&system, 4).unwrap_err().to_string();
        assert_eq!(error, "episode 4: AvgEnergy is inf, not a finite number");
        meter.all.reward = f64::NAN;
        let error = meter.metrics(&system, 4).unwrap_err().to_string();
        assert_eq!(error, "episode 4: AvgQoE is NaN, not a finite number");
    }

    #[test]
    fn what_an_empty_episode_lacks_has_no_value() {
        let metrics = Sums::default().metrics(5.0);
        assert_eq!((metrics.tasks, metrics.dropped), (0, 0));
        assert_eq!((metrics.qoe, metrics.energy), (Some(0.0), Some(0.0)));
        assert_eq!((metrics.delay_slots, metrics.completion_ratio), (None, None));
        assert_eq!((metrics.delay_p50, metrics.energy_per_task), (None, None));
        assert_eq!(Sums::default().metrics(0.0).qoe, None);
    }

    #[test]
    fn memory_is_that_of_the_delays_seen_whatever_the_deadline() {
        let mut parameters = offramp_model::SystemParameters::paper(2, 1);
        parameters.classes[0].deadline_slots = u32::MAX - 1000;
        let meter = EpisodeMeter::new(&System::new(parameters).unwrap());
        assert_eq!(meter.all.by_delay.capacity(), 0);
        let mut sums = Sums::default();
        count(&mut sums.by_delay, 20);
        count(&mut sums.by_delay, 5);
        assert_eq!(sums.by_delay.len(), 21);
    }

    /// Metrics of tasks that have ended, one after the other, as their documentation states them.
    fn obvious(system: &System, tasks: &[EndedTask], devices: f64) -> EpisodeMetrics {
        let count = tasks.len() as f64;
        let sum = |of: &dyn Fn(&EndedTask) -> f64| tasks.iter().map(of).sum::<f64>();
        let energy = sum(&|task| system.energy().of(&task.energy).total());
        let done = sum(&|task| f64::from(u8::from(task.outcome == Outcome::Done)));
        let mut delays: Vec<u32> = tasks.iter().map(|task| task.delay_slots).collect();
        delays.sort_unstable();
        // The smallest delay that this share of the tasks does not exceed.
        let percentile = |percent: usize| {
            let enough = |&&delay: &&u32| {
                100 * delays.iter().filter(|&&other| other <= delay).count()
                    >= percent * delays.len()
            };
            delays.iter().find(enough).copied()
        };
        EpisodeMetrics {
            tasks: tasks.len() as u64,
            devices,
            qoe: Some(sum(&|task| reward::reward(system, task)) / devices),
            delay_slots: Some(sum(&|task| task.delay_slots.into()) / count),
            energy: Some(energy / devices),
            dropped: tasks.len() as u64 - done as u64,
            completion_ratio: Some(done / count),
            local_share: Some(sum(&|task| f64::from(u8::from(task.action == 0))) / count),
            energy_per_task: Some(energy / count),
            delay_p50: percentile(50),
            delay_p95: percentile(95),
            delay_p99: percentile(99),
        }
    }

    #[track_caller]
    fn assert_same(actual: &EpisodeMetrics, expected: &EpisodeMetrics) {
        let reals = |metrics: &EpisodeMetrics| {
            let EpisodeMetrics { devices, qoe, delay_slots, energy, .. } = *metrics;
            let EpisodeMetrics { completion_ratio, local_share, energy_per_task, .. } = *metrics;
            [
                Some(devices),
                qoe,
                delay_slots,
                energy,
                completion_ratio,
                local_share,
                energy_per_task,
            ]
        };
        for (actual, expected) in reals(actual).into_iter().zip(reals(expected)) {
            let (actual, expected) = (actual.unwrap(), expected.unwrap());
            let off = (actual - expected).abs();
            assert!(off <= 1e-12 * expected.abs(), "{actual} instead of {expected}");
        }
        let whole = |metrics: &EpisodeMetrics| {
            let EpisodeMetrics { tasks, dropped, delay_p50, delay_p95, delay_p99, .. } = *metrics;
            (tasks, dropped, delay_p50, delay_p95, delay_p99)
        };
        assert_eq!(whole(actual), whole(expected));
    }

    /// Episodes, metered, against sums over all their tasks; of each power mode likewise, with the
    /// mean number of devices in it over the slots with arrivals, and of each class.
    #[test]
    fn an_episode_is_measured_as_its_tasks_are_summed_up() {
        for (rule, energy, classes_of_it) in [
            (PreferenceRule::PerEpisode, EnergyAccounting::Published, 0),
            (PreferenceRule::Switching(0.2), EnergyAccounting::Physical, 2),
        ] {
            let mut parameters = offramp_model::SystemParameters::paper(9, 2);
            parameters.arrival_slots = 40;
            if classes_of_it == 2 {
                let rare = TaskClass { share: 0.5, ..parameters.classes[0].clone() };
                parameters.classes.push(rare);
            }
            (parameters.power_preference.rule, parameters.energy) = (rule, energy);
            let system = Arc::new(System::new(parameters).unwrap());
            let workload = Workload::Drawn { seed: 5, episode: 3 };
            let mut episode = Episode::new(&system, workload, ObservationSpec::PAPER);
            let (mut meter, mut tasks) = (EpisodeMeter::new(&system), Vec::new());
            let mut in_mode = [0_u32; 3];
            while !episode.is_over() {
                meter.before_slot(&episode);
                if episode.slot() < 40 {
                    episode.power_modes().iter().for_each(|&mode| in_mode[mode as usize] += 1);
                }
                let actions: Vec<u32> =
                    episode.arrivals().iter().map(|task| (task.size_mbit as u32) % 3).collect();
                episode.advance(&actions).unwrap();
                meter.after_slot(&episode);
                tasks.extend_from_slice(episode.ended());
            }
            let all = meter.metrics(&system, 3).unwrap();
            assert_same(&all, &obvious(&system, &tasks, 9.0));
            assert!(all.dropped > 10 && all.tasks > all.dropped + 50);
            let in_slots = |slots: usize| {
                let done = tasks.iter().filter(|task| task.outcome == Outcome::Done);
                done.filter(|task| task.delay_slots as usize == slots).count() as u64
            };
            let slowest = meter.done_by_delay().len();
            let expected: Vec<u64> = (1..=slowest).map(in_slots).collect();
            assert_eq!(meter.done_by_delay(), expected);
            assert_eq!(expected.iter().sum::<u64>(), all.tasks - all.dropped);
            let by_group = meter.metrics_by_group(&system);
            let by_mode = &by_group[Grouping::PowerMode];
            assert_eq!((by_mode.len(), by_group[Grouping::Class].len()), (3, classes_of_it));
            let all_devices = by_group[Grouping::Class].iter().enumerate();
            for (class, metrics) in all_devices {
                let own: Vec<_> =
                    tasks.iter().filter(|task| task.class as usize == class).copied().collect();
                assert_same(metrics, &obvious(&system, &own, 9.0));
                assert!(own.len() > 20);
            }
            let modes = [0.25, 0.5, 0.75].into_iter().zip(in_mode).zip(by_mode);
            for ((alpha, device_slots), metrics) in modes {
                let own: Vec<_> =
                    tasks.iter().filter(|task| task.alpha == alpha).copied().collect();
                assert_same(metrics, &obvious(&system, &own, f64::from(device_slots) / 40.0));
            }
            assert_eq!(by_mode.iter().map(|metrics| metrics.tasks).sum::<u64>(), all.tasks);
        }
    }
}
