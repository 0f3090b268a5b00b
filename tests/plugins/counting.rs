//! A policy that counts what its own side of the boundary allocates: its end of an episode fails
//! if anything was allocated from one slot's decision to the next.

use offramp_plugin::{Context, EpisodeStart, Error, Needs, Observation, Policy};
use offramp_tests::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

#[derive(Default)]
struct CountingPolicy {
    before: Option<u64>,
    allocated: u64,
}

impl Policy for CountingPolicy {
    const NEEDS: Needs =
        Needs::FEATURES.and(Needs::HISTORY).and(Needs::TASKS).and(Needs::LINKS).and(Needs::SERVERS);

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        context.no_parameters()?;
        Ok(Self::default())
    }

    fn begin_episode(&mut self, _: &EpisodeStart) -> Result<(), Error> {
        *self = Self::default();
        Ok(())
    }

    fn decide(&mut self, _: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        let now = ALLOCATOR.count();
        self.allocated += self.before.map_or(0, |before| now - before);
        actions.fill(1);
        self.before = Some(now);
        Ok(())
    }

    fn end_episode(&mut self) -> Result<(), Error> {
        match self.allocated {
            0 => Ok(()),
            count => Err(Error::new(format!("{count} allocations between decisions"))),
        }
    }
}

offramp_plugin::register_policy!(CountingPolicy, "counting", "Counts its allocations.");
offramp_plugin::export_plugin!();
