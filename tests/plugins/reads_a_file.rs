//! A policy that decides by a file which its parameters name.

use std::path::PathBuf;

use offramp_plugin::serde::Deserialize;
use offramp_plugin::{Context, Error, Explorer, Needs, Observation, Policy, Progress};

#[derive(Deserialize)]
#[serde(crate = "offramp_plugin::serde", deny_unknown_fields)]
struct Parameters {
    /// A file with the action for every task.
    rule: String,
    /// Whether the file is changed when an episode ends.
    #[serde(default)]
    spoil: bool,
}

struct ReadsAFile {
    path: PathBuf,
    action: u32,
    spoil: bool,
}

impl ReadsAFile {
    fn read(context: &Context<'_>) -> Result<Self, Error> {
        let Parameters { rule, spoil } = context.parameters()?;
        let path = context.path(&rule)?;
        let action = std::fs::read_to_string(&path)?.trim().parse()?;
        Ok(Self { path, action, spoil })
    }
}

impl Policy for ReadsAFile {
    const NEEDS: Needs = Needs::NOTHING;

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        Self::read(context)
    }

    fn decide(&mut self, _: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        actions.fill(self.action);
        Ok(())
    }

    fn end_episode(&mut self) -> Result<(), Error> {
        if self.spoil {
            std::fs::write(&self.path, format!(" {}", self.action))?;
        }
        Ok(())
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.path.clone()]
    }
}

impl Explorer for ReadsAFile {
    const NEEDS: Needs = Needs::NOTHING;

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        Self::read(context)
    }

    fn propose(
        &mut self,
        _: &Observation<'_>,
        _: &Progress,
        actions: &mut [u32],
    ) -> Result<f64, Error> {
        actions.fill(self.action);
        Ok(1.0)
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.path.clone()]
    }
}

offramp_plugin::register_policy!(ReadsAFile, "reads-a-file", "Decides what a file states.");
offramp_plugin::register_explorer!(ReadsAFile, "reads-a-file", "Proposes what a file states.");
offramp_plugin::export_plugin!();
