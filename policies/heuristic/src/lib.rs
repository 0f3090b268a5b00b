//! The heuristic of contribution 2 of the paper: rules over what one device can know.
//!
//! As a policy of its own it always follows the rules. The rules are in one place, `rules.rs`.

mod rules;

use offramp_plugin::serde::Deserialize;
use offramp_plugin::{Context, EpisodeStart, Error, Needs, Observation, Policy};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use rules::{Prediction, Predictor};

#[derive(Debug, Deserialize)]
#[serde(crate = "offramp_plugin::serde", deny_unknown_fields, default)]
struct Parameters {
    /// Of the soft rule, in units of cost; 0 takes the cheapest action.
    temperature: f64,
    /// 0 … 1: how far a server's last load is believed to last; the rest is the mean load.
    load_trust: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { temperature: 0.0, load_trust: 0.25 }
    }
}

struct Heuristic {
    parameters: Parameters,
    predictor: Predictor,
    predictions: Vec<Prediction>,
    rng: Xoshiro256PlusPlus,
}

impl Policy for Heuristic {
    const NEEDS: Needs = Needs::KNOWLEDGE.and(Needs::LOAD).and(Needs::UPLINK);

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        let parameters: Parameters = context.parameters()?;
        if context.checkpoint.is_some() {
            return Err(Error::new("it takes no checkpoint"));
        }
        if !(parameters.temperature >= 0.0 && parameters.temperature.is_finite()) {
            return Err(Error::new("temperature: a number of 0 or more is needed"));
        }
        if !(0.0..=1.0).contains(&parameters.load_trust) {
            return Err(Error::new("load_trust: a number from 0 to 1 is needed"));
        }
        Ok(Self {
            predictor: Predictor::new(&context.system, parameters.load_trust),
            parameters,
            predictions: Vec::with_capacity(context.system.actions()),
            rng: Xoshiro256PlusPlus::seed_from_u64(context.seed),
        })
    }

    fn begin_episode(&mut self, start: &EpisodeStart) -> Result<(), Error> {
        self.rng = Xoshiro256PlusPlus::seed_from_u64(start.seed);
        Ok(())
    }

    fn decide(&mut self, observation: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        for (row, action) in actions.iter_mut().enumerate() {
            let device = observation.devices[row];
            let (known, uplink) = (observation.known(row), observation.uplink_of(row));
            let load = observation.load.as_slice();
            self.predictor.predict(device, &known, uplink, load, &mut self.predictions);
            let start = self.rng.random_range(0..self.predictions.len());
            *action =
                rules::choose(&self.predictions, self.parameters.temperature, start, &mut self.rng);
        }
        Ok(())
    }
}

offramp_plugin::register_policy!(
    Heuristic,
    "heuristic",
    "Predicts delay and energy of each action from what one device knows, and takes the cheapest \
     that meets the deadline.",
);
offramp_plugin::export_plugin!();
