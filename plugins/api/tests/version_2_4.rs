//! A plugin written against interface version 2.4: what revision 4 added for an author in Rust.
//!
//! Frozen, as `version_2_3.rs` is: it must compile and pass unchanged with every later revision of
//! version 2. What a revision adds gets a file of its own.

use offramp_plugin::testing::Bench;
use offramp_plugin::{
    Context, Counterfactuals, Error, Learner, Needs, Observation, Policy, Progress, RSlice, Saved,
    TransitionBatch, export_plugin, register_policy,
};

/// Decides for all tasks what would have gained most in all, summed over the tasks it was told of.
struct Regrets {
    gains: Vec<f64>,
}

impl Policy for Regrets {
    const NEEDS: Needs = Needs::NOTHING;

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        context.no_parameters()?;
        Ok(Self { gains: vec![0.0; context.system.actions()] })
    }

    fn decide(&mut self, _: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        let best = (0..).zip(&self.gains).max_by(|a, b| a.1.total_cmp(b.1));
        actions.fill(best.map_or(0, |(action, _)| action));
        Ok(())
    }
}

impl Saved for Regrets {
    fn checkpoint(&self) -> Result<Vec<u8>, Error> {
        Ok(self.gains.iter().flat_map(|gain| gain.to_le_bytes()).collect())
    }

    fn save(&self) -> Result<Vec<u8>, Error> {
        self.checkpoint()
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.gains = bytes.as_chunks().0.iter().copied().map(f64::from_le_bytes).collect();
        Ok(())
    }
}

impl Learner for Regrets {
    fn record(&mut self, _: &TransitionBatch<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn learn(&mut self) -> Result<Progress, Error> {
        Ok(Progress::default())
    }

    fn judged_tasks(&self) -> u64 {
        64
    }

    fn judge(&mut self, counterfactuals: &Counterfactuals<'_>) -> Result<(), Error> {
        let tasks: [RSlice<'_, u32>; 2] = [counterfactuals.devices, counterfactuals.arrival_slots];
        assert!(tasks[1].windows(2).all(|slots| slots[0] <= slots[1]));
        let gains: RSlice<'_, f64> = counterfactuals.gains;
        if gains.len() != tasks[0].len() * self.gains.len() {
            return Err(Error::new(format!("{} gains", gains.len())));
        }
        for (action, gain) in gains.iter().enumerate() {
            let actions = self.gains.len();
            self.gains[action % actions] += gain;
        }
        Ok(())
    }
}

/// A learner of revision 3: it has neither call.
struct Rewarded;

impl Policy for Rewarded {
    const NEEDS: Needs = Needs::NOTHING;

    fn create(_: &Context<'_>) -> Result<Self, Error> {
        Ok(Self)
    }

    fn decide(&mut self, _: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        actions.fill(0);
        Ok(())
    }
}

impl Saved for Rewarded {
    fn checkpoint(&self) -> Result<Vec<u8>, Error> {
        Ok(Vec::new())
    }

    fn save(&self) -> Result<Vec<u8>, Error> {
        Ok(Vec::new())
    }

    fn load(&mut self, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }
}

impl Learner for Rewarded {
    fn record(&mut self, _: &TransitionBatch<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn learn(&mut self) -> Result<Progress, Error> {
        Ok(Progress::default())
    }
}

register_policy!(Regrets, "regrets", "Learns from what would have been.", [saved, learner]);
register_policy!(
    Rewarded,
    "rewarded",
    "Learns from rewards, of which there are none.",
    [saved, learner]
);
export_plugin!();

#[test]
fn a_learner_is_handed_what_it_asked_for() {
    let bench = Bench::new(2, 2);
    let mut policy: Regrets = bench.create().unwrap();
    assert_eq!(policy.judged_tasks(), 64);
    // Both tasks were sent to server 1; either would have left more to the other elsewhere.
    bench.judge(&mut policy, &[(0, 3), (1, 3)], &[-1.0, 0.0, 0.5, -2.0, 0.0, 0.25]).unwrap();
    assert_eq!(policy.gains, [-3.0, 0.0, 0.75]);
    assert_eq!(bench.decide(&mut policy).unwrap(), [2, 2]);
}

#[test]
fn a_learner_without_the_calls_asks_for_none() {
    let bench = Bench::new(2, 1);
    let mut policy: Rewarded = bench.create().unwrap();
    assert_eq!(policy.judged_tasks(), 0);
    bench.judge(&mut policy, &[(0, 0)], &[0.0, 1.0]).unwrap();
}
