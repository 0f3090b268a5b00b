//! What an episode came to, and what many came to (section 4 of the model).

use offramp_model::{Episode, Outcome, PreferenceRule, System, reward};
use serde::{Deserialize, Serialize};

/// The metrics of one episode, or of the tasks of one power mode in it.
///
/// An episode without tasks has delay 0, completion ratio 1 and energy per task 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EpisodeMetrics {
    /// Tasks that arrived; each ended exactly once.
    pub tasks: u64,
    /// AvgQoE: sum of all rewards / N. In a power mode N is the mean number of devices in it.
    pub qoe: f64,
    /// AvgDelay: mean delay in slots, a dropped task counting its deadline.
    pub delay_slots: f64,
    /// AvgEnergy: energy of all tasks, all four components, / N.
    pub energy: f64,
    /// Drop: tasks dropped.
    pub dropped: u64,
    /// Tasks done / tasks.
    pub completion_ratio: f64,
    /// Energy of all tasks, all four components, / tasks.
    pub energy_per_task: f64,
    /// Median delay, slots.
    pub delay_p50: u32,
    /// 95th percentile of the delay: the smallest number of slots that 95 % do not exceed.
    pub delay_p95: u32,
    /// 99th percentile of the delay.
    pub delay_p99: u32,
}

/// Adds up the tasks of an episode (or of a power mode) as they end.
#[derive(Clone, Debug)]
struct Sums {
    dropped: u64,
    delay: u64,
    reward: f64,
    energy: f64,
    /// Tasks by delay, 0 … D_max.
    by_delay: Vec<u64>,
}

impl Sums {
    fn new(deadline_slots: u32) -> Self {
        let by_delay = vec![0; deadline_slots as usize + 1];
        Self { dropped: 0, delay: 0, reward: 0.0, energy: 0.0, by_delay }
    }

    fn metrics(&self, devices: f64) -> EpisodeMetrics {
        let tasks: u64 = self.by_delay.iter().sum();
        let mean = |sum: f64, empty: f64| if tasks == 0 { empty } else { sum / tasks as f64 };
        let per_device = |sum: f64| if devices == 0.0 { 0.0 } else { sum / devices };
        let percentile = |share: f64| {
            let rank = (share * tasks as f64).ceil() as u64;
            let mut seen = 0;
            let found = self.by_delay.iter().position(|count| {
                seen += count;
                seen >= rank
            });
            found.unwrap_or(0) as u32
        };
        EpisodeMetrics {
            tasks,
            qoe: per_device(self.reward),
            delay_slots: mean(self.delay as f64, 0.0),
            energy: per_device(self.energy),
            dropped: self.dropped,
            completion_ratio: mean((tasks - self.dropped) as f64, 1.0),
            energy_per_task: mean(self.energy, 0.0),
            delay_p50: percentile(0.50),
            delay_p95: percentile(0.95),
            delay_p99: percentile(0.99),
        }
    }
}

/// Follows an episode and says in the end what it came to.
#[derive(Debug)]
pub struct EpisodeMeter {
    all: Sums,
    by_mode: Vec<Sums>,
    /// Device-slots in each power mode, over the slots with arrivals.
    mode_device_slots: Vec<u64>,
}

impl EpisodeMeter {
    /// A meter for an episode of `system`.
    pub fn new(system: &System) -> Self {
        let sums = Sums::new(system.deadline_slots());
        let modes = system.parameters().power_preference.modes.len();
        Self { by_mode: vec![sums.clone(); modes], all: sums, mode_device_slots: vec![0; modes] }
    }

    /// Before a slot: who is in which power mode.
    pub fn before_slot(&mut self, episode: &Episode) {
        let parameters = episode.system().parameters();
        let slots = u64::from(parameters.arrival_slots);
        let switching = matches!(parameters.power_preference.rule, PreferenceRule::Switching(_));
        // Where modes stay, the first slot tells them all.
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

    /// After a slot: what ended in it.
    pub fn after_slot(&mut self, episode: &Episode) {
        let system = episode.system();
        let modes = &system.parameters().power_preference.modes;
        for task in episode.ended() {
            let reward = reward::reward(system, task);
            let energy = system.energy().of(&task.energy).total();
            let mode = modes.iter().position(|&alpha| alpha == task.alpha);
            let of_mode = mode.map(|mode| &mut self.by_mode[mode]);
            for sums in std::iter::once(&mut self.all).chain(of_mode) {
                sums.dropped += u64::from(task.outcome == Outcome::Dropped);
                sums.delay += u64::from(task.delay_slots);
                sums.reward += reward;
                sums.energy += energy;
                sums.by_delay[task.delay_slots as usize] += 1;
            }
        }
    }

    /// The metrics of the whole episode.
    pub fn metrics(&self, system: &System) -> EpisodeMetrics {
        self.all.metrics(f64::from(system.device_count()))
    }

    /// The metrics of each power mode.
    pub fn metrics_by_mode(&self, system: &System) -> Vec<EpisodeMetrics> {
        let slots = f64::from(system.parameters().arrival_slots);
        self.by_mode
            .iter()
            .zip(&self.mode_device_slots)
            .map(|(sums, &device_slots)| sums.metrics(device_slots as f64 / slots))
            .collect()
    }
}

/// Mean and standard deviation over episodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The standard deviation of the sample (n − 1); 0 for one episode.
    pub sd: f64,
}

impl Spread {
    /// Of `values`; both 0 if there are none.
    pub fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let count = values.clone().count() as f64;
        if count == 0.0 {
            return Self::default();
        }
        let mean = values.clone().sum::<f64>() / count;
        let squares: f64 = values.map(|value| (value - mean) * (value - mean)).sum();
        Self { mean, sd: if count > 1.0 { (squares / (count - 1.0)).sqrt() } else { 0.0 } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_by_hand() {
        let spread = Spread::of([2.0, 4.0, 4.0, 6.0].into_iter());
        assert_eq!(spread.mean, 4.0);
        assert!((spread.sd - (8.0_f64 / 3.0).sqrt()).abs() < 1e-15);
        assert_eq!(Spread::of([3.0].into_iter()), Spread { mean: 3.0, sd: 0.0 });
        assert_eq!(Spread::of(std::iter::empty()), Spread::default());
    }

    #[test]
    fn percentiles_by_hand() {
        let mut sums = Sums::new(10);
        // 20 tasks: 18 took 3 slots, one 7, one 10.
        sums.by_delay[3] = 18;
        sums.by_delay[7] = 1;
        sums.by_delay[10] = 1;
        let metrics = sums.metrics(1.0);
        assert_eq!((metrics.delay_p50, metrics.delay_p95, metrics.delay_p99), (3, 7, 10));
    }

    #[test]
    fn an_empty_episode_has_numbers() {
        let metrics = Sums::new(10).metrics(5.0);
        assert_eq!((metrics.delay_slots, metrics.completion_ratio, metrics.qoe), (0.0, 1.0, 0.0));
        assert_eq!((metrics.delay_p50, metrics.energy_per_task), (0, 0.0));
    }
}
