//! Nothing is allocated in a slot once warm, on either side of the boundary. The host's side is
//! counted here, the plugin's by the plugin `counting` itself.

use std::path::Path;

use offramp_harness::environment::{Environment, SlotBuffers};
use offramp_harness::scenario::{Experiment, Overrides, Purpose};
use offramp_host::Registry;
use offramp_model::{Episode, Workload};
use offramp_tests::{CountingAllocator, example};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

/// The only test of this file: the counter is the process's.
#[test]
fn a_warm_slot_allocates_nothing() {
    // The counter counts, or this proves nothing.
    let start = ALLOCATOR.count();
    drop(vec![start]);
    assert!(ALLOCATOR.count() > start);

    let registry = Registry::discover(&[example("counting")], None).unwrap();
    // Every device has a task in every slot, so that buffers are full from the first on.
    let text = "(name: \"warm\", policies: [(plugin: \"counting\")], \
                tasks: (arrival_probability: 1.0), system: (slots: 300))"
        .to_owned();
    let experiment = Experiment::parse(
        "warm",
        text,
        Path::new(""),
        &registry,
        Purpose::Evaluate,
        Overrides::default(),
    )
    .unwrap();
    let scenario = &experiment.points[0];
    let environment = Environment::new(scenario);
    let policy = &scenario.policies[0];
    let parts = environment.parts();
    let mut policy = policy.found.create_policy(&parts.context("", None, 1, 1)).unwrap();
    policy.begin_episode(&parts.start(0, 1)).unwrap();

    let workload = Workload::Drawn { seed: 1, episode: 0 };
    let mut episode = Episode::new(&scenario.system, workload, scenario.observation);
    let mut buffers = SlotBuffers::default();
    let mut before = 0;
    while episode.slot() < 300 {
        let seen = buffers.observe(&episode, policy.needs());
        policy.decide(&seen.observation, seen.actions).unwrap();
        episode.advance(&buffers.actions).unwrap();
        let now = ALLOCATOR.count();
        // By slot 100 every FIFO has been as long as it gets.
        if episode.slot() > 100 {
            assert_eq!(now, before, "slot {}", episode.slot());
        }
        before = now;
    }
    // Fails if the plugin's side has allocated.
    policy.end_episode().unwrap();
}
