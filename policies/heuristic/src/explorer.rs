//! Exploration by the rules (contribution 2 of the paper).
//!
//! The paper adapts the exploration probability to task urgency, server congestion and power
//! mode, but states no formula. Ours:
//!
//! ε_i(t) = clip(ε(step) · (1 − u/2) · (1 − g/2) · (1/2 + α), ε_min, 1)
//!
//! with u the share of the deadline that the best predicted action would use, and g the mean
//! load of the servers as a share of the devices that a server would have if all were active.
//! ε(step) may start above 1, so that devices in any state follow the rules at first: an untrained
//! network would only drop their tasks.

use offramp_plugin::serde::Deserialize;
use offramp_plugin::{
    Context, EpisodeStart, Error, Explorer, Needs, Observation, Progress, SystemSpec,
    TrainingPlace, UNDECIDED,
};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::NEEDS;
use crate::rules::{RuleParameters, Rules, check};

#[derive(Debug, Deserialize)]
#[serde(crate = "offramp_plugin::serde", deny_unknown_fields, default)]
struct Parameters {
    /// ε(step) in the first slot, 0 to 10⁶.
    from: f64,
    /// Share of the training's slots over which ε(step) falls linearly to 0, 0 to 1; 0 keeps it.
    over: f64,
    /// ε_min, 0 to 1.
    to: f64,
    /// Temperature of the soft rule, as for the policy; above 0, or nothing would be explored.
    temperature: f64,
    /// Trust in the last load, as for the policy.
    load_trust: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { from: 3.0, over: 0.364, to: 0.01, temperature: 1.0, load_trust: 0.25 }
    }
}

pub(crate) struct HeuristicExplorer {
    parameters: Parameters,
    place: TrainingPlace,
    rules: Rules,
    /// Devices per server if all are active and spread evenly.
    full_load: f64,
    rng: Xoshiro256PlusPlus,
}

fn full_load(system: &SystemSpec<'_>) -> f64 {
    system.devices() as f64 / system.servers() as f64
}

impl Explorer for HeuristicExplorer {
    const NEEDS: Needs = NEEDS.and(Needs::LENGTH);

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        let parameters: Parameters = context.parameters()?;
        check("from", parameters.from, 0.0..=1e6)?;
        check("over", parameters.over, 0.0..=1.0)?;
        check("to", parameters.to, 0.0..=1.0)?;
        let Parameters { temperature, load_trust, .. } = parameters;
        Ok(Self {
            place: TrainingPlace::new(context),
            rules: Rules::new(context, RuleParameters { temperature, load_trust })?,
            full_load: full_load(context.system),
            rng: Xoshiro256PlusPlus::seed_from_u64(context.seed),
            parameters,
        })
    }

    fn begin_episode(&mut self, start: &EpisodeStart<'_>) -> Result<(), Error> {
        self.place.begin_episode(start);
        self.rules.enter(start.system)?;
        self.full_load = full_load(start.system);
        self.rng = Xoshiro256PlusPlus::seed_from_u64(start.seed);
        Ok(())
    }

    fn propose(
        &mut self,
        observation: &Observation<'_>,
        _: &Progress,
        actions: &mut [u32],
    ) -> Result<f64, Error> {
        let Parameters { from, over, to, .. } = self.parameters;
        let step = from * (1.0 - self.place.progress(observation.slot, over));
        let load = self.rules.load(observation);
        let mean_load = load.iter().sum::<f64>() / load.len() as f64;
        let congestion = (mean_load / self.full_load).min(1.0);
        let mut sum = 0.0;
        for (row, action) in actions.iter_mut().enumerate() {
            self.rules.predict(observation, row)?;
            let state = self.rules.state(observation, row);
            let urgency = (self.rules.shortest_delay() / state.deadline_slots).min(1.0);
            let factor = (1.0 - 0.5 * urgency) * (1.0 - 0.5 * congestion) * (0.5 + state.alpha);
            let rate = (step * factor).clamp(to, 1.0);
            sum += rate;
            *action = if self.rng.random::<f64>() < rate {
                self.rules.choose(&mut self.rng)
            } else {
                UNDECIDED
            };
        }
        Ok(if actions.is_empty() { step.clamp(to, 1.0) } else { sum / actions.len() as f64 })
    }
}

#[cfg(test)]
mod tests;
