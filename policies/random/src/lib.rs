//! Random Offload and All Offload (section 6.1 of the paper): decisions drawn uniformly.

use offramp_plugin::{AnySystem, Context, EpisodeStart, Error, Needs, Observation, Policy};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Draws from the actions `FIRST` … M, all equally likely: from 0 on it may compute locally,
/// from 1 on it always offloads.
struct Uniform<const FIRST: u32> {
    servers: u32,
    rng: Xoshiro256PlusPlus,
}

impl<const FIRST: u32> Policy for Uniform<FIRST> {
    const NEEDS: Needs = Needs::NOTHING;

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        context.no_parameters()?;
        let servers = context.system.servers() as u32;
        Ok(Self { servers, rng: Xoshiro256PlusPlus::seed_from_u64(context.seed) })
    }

    fn begin_episode(&mut self, start: &EpisodeStart<'_>) -> Result<(), Error> {
        self.servers = start.system.servers() as u32;
        self.rng = Xoshiro256PlusPlus::seed_from_u64(start.seed);
        Ok(())
    }

    fn decide(&mut self, _: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        for action in actions {
            *action = self.rng.random_range(FIRST..=self.servers);
        }
        Ok(())
    }
}

impl<const FIRST: u32> AnySystem for Uniform<FIRST> {}

offramp_plugin::register_policy!(
    Uniform<0>,
    "random",
    "Computes locally or sends to any server, all equally likely.",
    [any_system],
);
offramp_plugin::register_policy!(
    Uniform<1>,
    "all-offload",
    "Sends every task to a server, all servers equally likely.",
    [any_system],
);
offramp_plugin::export_plugin!();
