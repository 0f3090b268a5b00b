//! All Local (section 6.1 of the paper): every task is computed on its own device.

use offramp_plugin::{AnySystem, Context, Error, Needs, Observation, Policy};

struct AllLocal;

impl Policy for AllLocal {
    const NEEDS: Needs = Needs::NOTHING;

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        context.no_parameters()?;
        Ok(Self)
    }

    fn decide(&mut self, _: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        actions.fill(0);
        Ok(())
    }
}

impl AnySystem for AllLocal {}

offramp_plugin::register_policy!(
    AllLocal,
    "all-local",
    "Computes every task on its own device.",
    [any_system],
);
offramp_plugin::export_plugin!();
