//! A policy that makes the decision which a file states, and declares the file.

use std::path::PathBuf;

use offramp_plugin::serde::Deserialize;
use offramp_plugin::{Context, Error, Needs, Observation, Policy};

#[derive(Deserialize)]
#[serde(crate = "offramp_plugin::serde", deny_unknown_fields)]
struct Parameters {
    /// The file: a number.
    file: String,
    /// Whether the file is changed when an episode ends.
    #[serde(default)]
    spoil: bool,
}

struct Reads {
    path: PathBuf,
    action: u32,
    spoil: bool,
}

impl Policy for Reads {
    const NEEDS: Needs = Needs::NOTHING;

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        let Parameters { file, spoil } = context.parameters()?;
        let path = context.path(&file)?;
        let text = std::fs::read_to_string(&path);
        let text = text.map_err(|error| Error::new(format!("{file}: {error}")))?;
        let action = text.trim().parse().map_err(|_| Error::new(format!("{file}: no number")))?;
        Ok(Self { path, action, spoil })
    }

    fn decide(&mut self, _: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        actions.fill(self.action);
        Ok(())
    }

    fn end_episode(&mut self) -> Result<(), Error> {
        if self.spoil {
            let spoilt = format!(" {}", self.action);
            std::fs::write(&self.path, spoilt).map_err(|error| Error::new(error.to_string()))?;
        }
        Ok(())
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.path.clone()]
    }
}

offramp_plugin::register_policy!(Reads, "reads", "Decides what a file states.");
offramp_plugin::export_plugin!();
