//! Nothing is allocated in a slot once warm, on either side of the boundary. The host's side is
//! counted here, the plugin's by the plugin `counting` itself.

use std::path::Path;

use offramp_harness::bind::bind_evaluation;
use offramp_harness::context::PolicyContext;
use offramp_harness::environment::Environment;
use offramp_host::Registry;
use offramp_host::plugin::UNDECIDED;
use offramp_scenario::Experiment;
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
    let mut experiment = Experiment::parse("warm", text, Path::new(""), &[]).unwrap();
    let evaluation = bind_evaluation(experiment.points.remove(0), &registry).unwrap();
    let scenario = &evaluation.scenario;
    let context = PolicyContext::new(scenario, &evaluation.sha256);
    let policy = &evaluation.policies[0];
    let lent = context.lend();
    let mut policy = policy.plugin().unwrap().create_policy(&lent.context("", None, 1, 1)).unwrap();
    policy.begin_episode(&lent.start(0, 1)).unwrap();

    let mut environment = Environment::new(&scenario.system, scenario.observation, 1, 0);
    let mut actions = Vec::new();
    let mut before = 0;
    while environment.episode().slot() < 300 {
        actions.clear();
        actions.resize(environment.rows(), UNDECIDED);
        let observation = environment.observe(policy.needs());
        policy.decide(&observation, &mut actions).unwrap();
        environment.step(&actions).unwrap();
        let ended = environment.transitions(&actions).ended.len();
        assert_eq!(ended, environment.episode().ended().len());
        let now = ALLOCATOR.count();
        // By slot 100 every FIFO has been as long as it gets.
        let slot = environment.episode().slot();
        if slot > 100 {
            assert_eq!(now, before, "slot {slot}");
        }
        before = now;
    }
    // Fails if the plugin's side has allocated.
    policy.end_episode().unwrap();
}
