//! A policy that hands out fresh instances of itself, counts how often it is created, and reports
//! what the host tells it.

use std::io::Write as _;
use std::sync::Arc;

use offramp_plugin::serde::Deserialize;
use offramp_plugin::{
    Context, Error, Explorer, Learner, Needs, Observation, Policy, Progress, Saved, Student,
    TransitionBatch, UNDECIDED, ValueFunction, path_of,
};

#[derive(Clone, Deserialize)]
#[serde(crate = "offramp_plugin::serde", deny_unknown_fields)]
struct Parameters {
    /// True if it has fresh instances.
    fresh: bool,
    /// True if asking for one panics.
    #[serde(default)]
    panics: bool,
    /// A file in the scenario's folder that gets a line for each creation: the learning steps.
    creations: String,
}

/// Decides by a number that is drawn once, and by how often this instance has decided.
struct Fresh {
    parameters: Arc<Parameters>,
    drawn: u64,
    decided: u64,
    learned: u64,
}

fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 31)).wrapping_mul(0x7fb5_d329_728e_a185);
    (number ^ (number >> 27)).wrapping_mul(0x81da_def4_bc2d_d44d)
}

impl Policy for Fresh {
    const NEEDS: Needs = Needs::LENGTH;

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        let parameters: Parameters = context.parameters()?;
        let path = path_of(context.folder.as_slice()).join(&parameters.creations);
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
        file.write_all(format!("{}\n", context.learning_steps).as_bytes())?;
        let drawn = mixed(context.seed);
        Ok(Self { parameters: Arc::new(parameters), drawn, decided: 0, learned: 0 })
    }

    fn decide(&mut self, seen: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        let choices = u64::from(seen.server_count) + 1;
        for action in actions.iter_mut().filter(|action| **action == UNDECIDED) {
            self.decided += 1;
            *action = (mixed(self.drawn ^ self.decided) % choices) as u32;
        }
        Ok(())
    }

    fn fresh(&self) -> Option<Self> {
        assert!(!self.parameters.panics, "no fresh ones");
        let parameters = Arc::clone(&self.parameters);
        parameters.fresh.then_some(Self { parameters, decided: 0, learned: 0, ..*self })
    }
}

impl Saved for Fresh {
    fn checkpoint(&self) -> Result<Vec<u8>, Error> {
        self.save()
    }

    fn save(&self) -> Result<Vec<u8>, Error> {
        Ok(self.learned.to_le_bytes().to_vec())
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.learned = u64::from_le_bytes(bytes.try_into()?);
        Ok(())
    }

    fn diagnostics(&mut self) -> Vec<(String, f64)> {
        vec![("learned".to_owned(), self.learned as f64), ("unknown".to_owned(), f64::NAN)]
    }

    fn memory(&self) -> u64 {
        5 << 30
    }
}

impl Learner for Fresh {
    fn record(&mut self, _: &TransitionBatch<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn learn(&mut self) -> Result<Progress, Error> {
        self.learned += 1;
        Ok(Progress { updates: self.learned, recent_updates: 1, loss: 0.0 })
    }
}

impl Student for Fresh {
    fn fit(&mut self, _: &Observation<'_>, _: &[f32]) -> Result<f64, Error> {
        self.learned += 1;
        Ok(0.0)
    }
}

impl ValueFunction for Fresh {
    fn values(&mut self, _: &Observation<'_>, values: &mut [f32]) -> Result<(), Error> {
        values.fill(0.0);
        Ok(())
    }
}

/// An explorer that depends on the length of the training, and explores nothing.
struct Lengthy;

impl Explorer for Lengthy {
    const NEEDS: Needs = Needs::LENGTH;

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        context.no_parameters()?;
        if context.learning_steps == 0 { Err(Error::new("how long?")) } else { Ok(Self) }
    }

    fn propose(&mut self, _: &Observation<'_>, _: &Progress, _: &mut [u32]) -> Result<f64, Error> {
        Ok(0.0)
    }
}

offramp_plugin::register_policy!(
    Fresh,
    "fresh",
    "Hands out fresh instances of itself.",
    [learner, student, value_function]
);
offramp_plugin::register_explorer!(Lengthy, "lengthy", "Needs the length of the training.");
offramp_plugin::export_plugin!();
