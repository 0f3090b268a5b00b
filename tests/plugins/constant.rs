//! A policy that makes the same decision for every task.

use offramp_plugin::serde::Deserialize;
use offramp_plugin::{Context, Error, Needs, Observation, Policy};

#[derive(Deserialize)]
#[serde(crate = "offramp_plugin::serde", deny_unknown_fields)]
struct Constant {
    /// 0 computes locally, j offloads to server j.
    action: u32,
}

impl Policy for Constant {
    const NEEDS: Needs = Needs::NOTHING;

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        context.parameters()
    }

    fn decide(&mut self, _: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        actions.fill(self.action);
        Ok(())
    }
}

offramp_plugin::register_policy!(Constant, "constant", "One decision for every task.");
offramp_plugin::export_plugin!();
