//! the-name: a policy for offramp that learns.

use offramp_plugin::serde::Deserialize;
use offramp_plugin::{
    Context, Error, Learner, LocalColumns, Needs, Observation, Policy, Progress, Saved,
    TransitionBatch, UNDECIDED, best_action,
};

/// What can be chosen in a scenario: `parameters: (rate: 0.01)`.
#[derive(Debug, Deserialize)]
#[serde(crate = "offramp_plugin::serde", deny_unknown_fields, default)]
struct Parameters {
    /// How far a value moves towards a reward, 0 … 1.
    rate: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { rate: 0.02 }
    }
}

/// How busy a CPU or an uplink can be, in classes: idle, up to 2 slots, up to 5, more.
const CLASSES: usize = 4;

fn class(slots: f64) -> usize {
    [0.0, 2.0, 5.0].iter().filter(|&&bound| slots > bound).count()
}

/// Remembers the mean reward of computing locally and of offloading, by how busy CPU and uplink
/// are, and does what was better. Of the servers it takes the one where the device has the least
/// waiting.
struct TheName {
    parameters: Parameters,
    local: LocalColumns,
    /// States × (local, offload), then how many rewards there were.
    values: Vec<f64>,
    /// State of each task that is on its way, by device and slot of arrival.
    waiting: std::collections::HashMap<(u32, u32), usize>,
    /// Squared errors since the last report, and how many.
    errors: (f64, u64),
}

/// Numbers in `values`.
const SIZE: usize = CLASSES * CLASSES * 2 + 1;

impl TheName {
    fn from_bytes(bytes: &[u8]) -> Result<Vec<f64>, Error> {
        let (numbers, rest) = bytes.as_chunks::<8>();
        if numbers.len() != SIZE || !rest.is_empty() {
            return Err(Error::new(format!(
                "not a checkpoint of it: {SIZE} numbers are needed"
            )));
        }
        Ok(numbers.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect())
    }

    fn state(&self, observation: &Observation<'_>, row: usize) -> usize {
        let state = self.local.state(observation, row);
        class(state.compute_queue_slots) * CLASSES + class(state.uplink_queue_slots)
    }
}

impl Policy for TheName {
    const NEEDS: Needs = LocalColumns::NEEDS;

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        let parameters: Parameters = context.parameters()?;
        if !(parameters.rate > 0.0 && parameters.rate <= 1.0) {
            return Err(Error::new("rate: a number above 0, at most 1, is needed"));
        }
        let values = match context.checkpoint.into_option() {
            Some(bytes) => Self::from_bytes(bytes.as_slice())?,
            None => vec![0.0; SIZE],
        };
        let local = LocalColumns::find(context)?;
        Ok(Self { parameters, local, values, waiting: Default::default(), errors: (0.0, 0) })
    }

    // Rows that hold an action already were decided by the explorer.
    fn decide(&mut self, observation: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        for (row, action) in actions.iter_mut().enumerate().filter(|(_, a)| **a == UNDECIDED) {
            let state = self.state(observation, row);
            let backlog = self.local.state(observation, row).backlog_mbit;
            // Devices begin at different servers, or all would rush to the same one.
            let first = observation.devices[row] as usize % backlog.len();
            let servers = (first..backlog.len()).chain(0..first);
            let server = servers.min_by(|&a, &b| backlog[a].total_cmp(&backlog[b])).unwrap_or(0);
            // An error if a value is not finite, which would decide nothing.
            let offload = best_action(&self.values[2 * state..2 * state + 2])? == 1;
            *action = if offload { server as u32 + 1 } else { 0 };
        }
        Ok(())
    }
}

impl Learner for TheName {
    // A reward comes when its task ends, slots after the decision.
    fn record(&mut self, slot: &TransitionBatch<'_>) -> Result<(), Error> {
        for (row, &device) in slot.observation.devices.iter().enumerate() {
            let state = self.state(slot.observation, row);
            self.waiting.insert((device, slot.observation.slot), state);
        }
        for task in slot.ended.iter() {
            let id = (task.device, task.arrival_slot);
            let Some(state) = self.waiting.remove(&id) else { continue };
            let value = &mut self.values[2 * state + usize::from(task.action > 0)];
            let error = task.reward - *value;
            *value += self.parameters.rate * error;
            self.errors.0 += error * error;
            self.errors.1 += 1;
            self.values[SIZE - 1] += 1.0;
        }
        Ok(())
    }

    fn learn(&mut self) -> Result<Progress, Error> {
        let (sum, recent_updates) = std::mem::take(&mut self.errors);
        let loss = sum / recent_updates.max(1) as f64;
        Ok(Progress { updates: self.values[SIZE - 1] as u64, recent_updates, loss })
    }
}

impl Saved for TheName {
    // What deciding needs.
    fn checkpoint(&self) -> Result<Vec<u8>, Error> {
        Ok(self.values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    // What learning on needs: saves come between episodes, when no task is on its way.
    fn save(&self) -> Result<Vec<u8>, Error> {
        self.checkpoint()
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.values = Self::from_bytes(bytes)?;
        self.waiting.clear();
        Ok(())
    }
}

offramp_plugin::register_policy!(
    TheName,
    "the-name",
    "Learns when to offload from how busy CPU and uplink are.",
    [learner],
);
offramp_plugin::export_plugin!();

#[cfg(test)]
mod tests {
    use offramp_plugin::testing::{Bench, ended};

    use super::*;

    #[test]
    fn it_does_what_was_rewarded_and_remembers_it() {
        let mut bench = Bench::new(1, 3);
        let mut policy: TheName = bench.create().unwrap();
        assert_eq!(bench.decide(&mut policy).unwrap(), [0]);
        bench.learn(&mut policy, &[2], &[ended(0, 2, 5.0)]).unwrap();
        assert_eq!(bench.decide(&mut policy).unwrap(), [1]);
        bench.checkpoint = Some(policy.checkpoint().unwrap());
        let mut again: TheName = bench.create().unwrap();
        assert_eq!(bench.decide(&mut again).unwrap(), [1]);
    }
}
