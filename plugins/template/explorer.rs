//! the-name: an explorer for offramp, which decides in training what the learner does not.

use offramp_plugin::serde::Deserialize;
use offramp_plugin::{
    AnySystem, Context, EpisodeStart, Error, Explorer, Needs, Observation, Progress, TaskColumn,
    UNDECIDED,
};

/// What can be chosen in a scenario: `parameters: (per_update: 0.001)`.
#[derive(Debug, Deserialize)]
#[serde(crate = "offramp_plugin::serde", deny_unknown_fields, default)]
struct Parameters {
    /// How much ε, the share of tasks it decides, falls with each update of the learner.
    per_update: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { per_update: 0.00025 }
    }
}

/// Computes where the CPU is idle; else sends the task to a server drawn anew for each.
struct TheName {
    parameters: Parameters,
    cpu_queue: TaskColumn,
    random: u64,
}

impl TheName {
    /// The next number of a stream (SplitMix64); the crate `rand` has better ones.
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Explorer for TheName {
    const NEEDS: Needs = Needs::TASKS;

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        let cpu_queue = context.task_column("compute_queue_slots")?;
        Ok(Self { parameters: context.parameters()?, cpu_queue, random: context.seed })
    }

    // All randomness comes from the seeds: the same scenario, bit-identical results.
    fn begin_episode(&mut self, start: &EpisodeStart<'_>) -> Result<(), Error> {
        self.random = start.seed;
        Ok(())
    }

    fn propose(
        &mut self,
        observation: &Observation<'_>,
        progress: &Progress,
        actions: &mut [u32],
    ) -> Result<f64, Error> {
        let rate = (1.0 - self.parameters.per_update * progress.updates as f64).max(0.01);
        for (row, action) in actions.iter_mut().enumerate() {
            let (explores, server) = (self.next() as f64 / u64::MAX as f64, self.next());
            let proposed = match observation.task(row, self.cpu_queue) {
                0.0 => 0,
                _ => (server % u64::from(observation.server_count)) as u32 + 1,
            };
            *action = if explores < rate { proposed } else { UNDECIDED };
        }
        Ok(rate)
    }
}

// It reads nothing of a system but the number of servers it sees.
impl AnySystem for TheName {}

offramp_plugin::register_explorer!(
    TheName,
    "the-name",
    "Computes where the CPU is idle, else draws a server.",
    [any_system],
);
offramp_plugin::export_plugin!();

#[cfg(test)]
mod tests {
    use offramp_plugin::testing::Bench;

    use super::*;

    #[test]
    fn it_computes_where_the_cpu_is_idle() {
        let mut bench = Bench::new(2, 3);
        bench.set_task(1, "compute_queue_slots", 3.0);
        let mut explorer: TheName = bench.create_explorer().unwrap();
        let actions = bench.propose(&mut explorer, &Progress::default()).unwrap();
        assert_eq!(actions[0], 0);
        assert!((1..=3).contains(&actions[1]), "{actions:?}");
    }
}
