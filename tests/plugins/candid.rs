//! A learner and student that learns nothing and states a lot: how much memory it will need, and
//! diagnostics of every kind. It asks for counterfactuals if it is told to.

use offramp_plugin::serde::Deserialize;
use offramp_plugin::{
    Context, Counterfactuals, Error, Learner, Needs, Observation, Policy, Progress, Saved, Student,
    TransitionBatch,
};

#[derive(Default, Deserialize)]
#[serde(crate = "offramp_plugin::serde", default, deny_unknown_fields)]
struct Parameters {
    /// Bytes it claims to need.
    bytes: u64,
    /// Of how many tasks it asks for counterfactuals.
    judged: u64,
}

struct Candid {
    parameters: Parameters,
    /// Slots or steps so far.
    updates: u64,
    /// Those since the last diagnostics.
    recent: u64,
    /// Tasks that were judged since the last diagnostics, and the sum of what they would have gained.
    judged: (u64, f64),
}

impl Policy for Candid {
    const NEEDS: Needs = Needs::FEATURES;

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        let parameters = context.parameters()?;
        Ok(Self { parameters, updates: 0, recent: 0, judged: (0, 0.0) })
    }

    fn decide(&mut self, _: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        actions.fill(0);
        Ok(())
    }
}

impl Saved for Candid {
    fn checkpoint(&self) -> Result<Vec<u8>, Error> {
        self.save()
    }

    fn save(&self) -> Result<Vec<u8>, Error> {
        Ok(self.updates.to_le_bytes().to_vec())
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.updates = u64::from_le_bytes(bytes.try_into()?);
        Ok(())
    }

    fn diagnostics(&mut self) -> Vec<(String, f64)> {
        let recent = std::mem::take(&mut self.recent) as f64;
        let named = [
            ("gradient_norm", recent),
            ("q", -0.5),
            ("td_error", f64::NAN),
            ("entropy of what it says", self.updates as f64),
        ];
        let mut stated = named.map(|(name, value)| (name.to_owned(), value)).to_vec();
        if self.parameters.judged > 0 {
            let (tasks, gains) = std::mem::take(&mut self.judged);
            stated.extend([("judged".to_owned(), tasks as f64), ("gains".to_owned(), gains)]);
        }
        stated
    }

    fn memory(&self) -> u64 {
        self.parameters.bytes
    }
}

impl Learner for Candid {
    fn record(&mut self, _: &TransitionBatch<'_>) -> Result<(), Error> {
        self.updates += 1;
        self.recent += 1;
        Ok(())
    }

    fn learn(&mut self) -> Result<Progress, Error> {
        Ok(Progress { updates: self.updates, recent_updates: 1, loss: 0.25 })
    }

    fn judged_tasks(&self) -> u64 {
        self.parameters.judged
    }

    fn judge(&mut self, counterfactuals: &Counterfactuals<'_>) -> Result<(), Error> {
        let Counterfactuals { devices, arrival_slots, gains } = *counterfactuals;
        if devices.len() != arrival_slots.len() {
            return Err(Error::new(format!("{} slots", arrival_slots.len())));
        }
        self.judged.0 += devices.len() as u64;
        self.judged.1 += gains.iter().sum::<f64>();
        Ok(())
    }
}

impl Student for Candid {
    fn fit(&mut self, _: &Observation<'_>, _: &[f32]) -> Result<f64, Error> {
        self.updates += 1;
        self.recent += 1;
        Ok(0.25)
    }
}

offramp_plugin::register_policy!(
    Candid,
    "candid",
    "States how it learns.",
    [saved, learner, student]
);
offramp_plugin::export_plugin!();
