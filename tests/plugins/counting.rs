//! A policy that counts what its own side of the boundary allocates: its end of an episode fails
//! if anything was allocated from one slot's decision to the next.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

use offramp_plugin::{Context, EpisodeStart, Error, Needs, Observation, Policy};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[expect(unsafe_code, reason = "an allocator that counts")]
// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Default)]
struct CountingPolicy {
    before: Option<u64>,
    allocated: u64,
}

impl Policy for CountingPolicy {
    const NEEDS: Needs = Needs::FEATURES
        .and(Needs::HISTORY)
        .and(Needs::KNOWLEDGE)
        .and(Needs::LOAD)
        .and(Needs::UPLINK);

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        context.no_parameters()?;
        Ok(Self::default())
    }

    fn begin_episode(&mut self, _: &EpisodeStart) -> Result<(), Error> {
        *self = Self::default();
        Ok(())
    }

    fn decide(&mut self, _: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        let now = ALLOCATIONS.load(Ordering::Relaxed);
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
