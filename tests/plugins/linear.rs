//! A learner and teacher without a network: its numbers are the same on every processor, so that
//! golden outputs can hold what was learned.
//!
//! Q of an action is the mean reward of the tasks that took it, less the slots and the Mbit that
//! wait there. The mean begins at the number in the file `prior`, if there is one.

use std::path::PathBuf;

use offramp_plugin::serde::Deserialize;
use offramp_plugin::{
    Context, Error, Learner, Needs, Observation, Policy, Progress, Saved, TransitionBatch,
    UNDECIDED, ValueFunction, best_action,
};

#[derive(Default, Deserialize)]
#[serde(crate = "offramp_plugin::serde", default, deny_unknown_fields)]
struct Parameters {
    prior: Option<String>,
}

struct Linear {
    prior: Option<PathBuf>,
    /// Mean reward and number of tasks of each action.
    seen: Vec<(f64, u64)>,
    updates: u64,
    recent_updates: u64,
    loss: f64,
}

impl Linear {
    fn value(&self, features: &[f64], action: usize) -> f64 {
        let waiting = match action {
            0 => features[1],
            server => features[2] + features[2 + server],
        };
        self.seen[action].0 - waiting
    }
}

impl Policy for Linear {
    const NEEDS: Needs = Needs::FEATURES;

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        let Parameters { prior } = context.parameters()?;
        let prior = prior.map(|file| context.path(&file)).transpose()?;
        let mean = match &prior {
            None => 0.0,
            Some(path) => std::fs::read_to_string(path)?.trim().parse()?,
        };
        let mut linear = Self {
            prior,
            seen: vec![(mean, 0); context.system.actions()],
            updates: 0,
            recent_updates: 0,
            loss: 0.0,
        };
        if let Some(bytes) = context.checkpoint.into_option() {
            linear.load(&bytes)?;
        }
        Ok(linear)
    }

    fn files(&self) -> Vec<PathBuf> {
        self.prior.iter().cloned().collect()
    }

    fn decide(&mut self, observation: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        for (row, action) in actions.iter_mut().enumerate().filter(|(_, a)| **a == UNDECIDED) {
            let features = observation.features_of(row);
            let actions = 0..self.seen.len();
            let values: Vec<_> = actions.map(|action| self.value(features, action)).collect();
            *action = best_action(&values)?;
        }
        Ok(())
    }
}

impl Saved for Linear {
    fn checkpoint(&self) -> Result<Vec<u8>, Error> {
        self.save()
    }

    fn save(&self) -> Result<Vec<u8>, Error> {
        let seen = self.seen.iter().map(|(mean, count)| format!("{mean} {count}\n"));
        Ok(format!("{}{} 0\n", seen.collect::<String>(), self.updates).into_bytes())
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let text = std::str::from_utf8(bytes)?;
        let pairs = text.lines().map(|line| line.split_once(' ').ok_or("not a pair"));
        let pairs: Vec<(&str, &str)> = pairs.collect::<Result<_, _>>()?;
        for (seen, (mean, count)) in self.seen.iter_mut().zip(&pairs) {
            *seen = (mean.parse()?, count.parse()?);
        }
        self.updates = pairs.last().ok_or("empty")?.0.parse()?;
        Ok(())
    }
}

impl Learner for Linear {
    fn record(&mut self, slot: &TransitionBatch<'_>) -> Result<(), Error> {
        self.loss = 0.0;
        for ended in slot.ended {
            let (mean, count) = &mut self.seen[ended.action as usize];
            *count += 1;
            let step = (ended.reward - *mean) / *count as f64;
            *mean += step;
            self.loss += step * step;
            self.updates += 1;
            self.recent_updates += 1;
        }
        Ok(())
    }

    fn learn(&mut self) -> Result<Progress, Error> {
        let recent_updates = std::mem::take(&mut self.recent_updates);
        Ok(Progress { updates: self.updates, recent_updates, loss: self.loss })
    }
}

impl ValueFunction for Linear {
    fn values(&mut self, observation: &Observation<'_>, values: &mut [f32]) -> Result<(), Error> {
        let actions = self.seen.len();
        for (index, value) in values.iter_mut().enumerate() {
            let features = observation.features_of(index / actions);
            *value = self.value(features, index % actions) as f32;
        }
        Ok(())
    }
}

offramp_plugin::register_policy!(
    Linear,
    "linear",
    "Mean rewards less what waits.",
    [saved, learner, value_function]
);
offramp_plugin::export_plugin!();
