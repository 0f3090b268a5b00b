//! Instances: fresh ones of a policy, how long a learner learns, and what the host asks it.

use offramp_host::plugin::testing::Bench;
use offramp_host::plugin::{Progress, UNDECIDED};
use offramp_host::{OfferKind, Policy, Registry};
use offramp_tests::{Fields, Sandbox, built, example, plugin, quoted, workspace};

/// Slots of an episode: those with arrivals, and the deadline.
const SLOTS: u64 = 20 + 10;

/// A small system.
fn system() -> Fields {
    Fields::scenario("x")
        .set("system", Fields::new())
        .set("system.devices", 3)
        .set("system.servers", 2)
        .set("system.slots", 20)
        .set("tasks.arrival_probability", 0.5)
        .set("tasks.deadline_slots", 10)
}

/// The policy `fresh`, which has fresh instances or not.
fn policy(fresh: bool) -> Fields {
    plugin("fresh")
        .set("parameters.fresh", fresh)
        .set("parameters.creations", quoted(if fresh { "fresh" } else { "created" }))
}

/// Runs `offramp` with the plugin.
#[track_caller]
fn succeed(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let library = example("fresh").display().to_string();
    sandbox.succeed(&[arguments, &["--plugins", &library]].concat())
}

/// How often a policy was created; each line of the file is one creation.
fn creations(sandbox: &Sandbox, file: &str) -> usize {
    sandbox.read(file).lines().count()
}

/// The policy decides by how often it has decided: an instance that had played would be noticed.
#[test]
fn a_run_creates_its_policy_once_for_all_episodes() {
    let sandbox = Sandbox::new();
    for fresh in [true, false] {
        let policy = policy(fresh).set("name", quoted("x")).set("untrained", true);
        let scenario = system().set("policies", format!("[{policy}]")).set("evaluate.episodes", 40);
        sandbox.write("x.ron", scenario.to_string());
        for (jobs, isolate) in [("1", false), ("4", false), ("1", true)] {
            let out = format!("{fresh}-{jobs}-{isolate}");
            let mut arguments = vec!["run", "x.ron", "--jobs", jobs, "--out", &out];
            if isolate {
                arguments.push("--isolate");
            }
            succeed(&sandbox, &arguments);
            // One is to check that it can be created.
            let file = if fresh { "fresh" } else { "created" };
            assert_eq!(creations(&sandbox, file), if fresh { 2 } else { 41 }, "{out}");
            std::fs::remove_file(sandbox.path().join(file)).unwrap();
        }
    }
    let episodes = |folder: &str| sandbox.read(&format!("{folder}/episodes.csv"));
    let first = episodes("true-1-false");
    for folder in ["true-4-false", "true-1-true", "false-1-false", "false-4-false", "false-1-true"]
    {
        assert_eq!(episodes(folder), first, "{folder}");
    }
}

#[test]
fn an_instance_that_fails_to_make_another_ends_the_run() {
    let sandbox = Sandbox::new();
    let policy = policy(true).set("untrained", true).set("parameters.panics", true);
    let scenario = system().set("policies", format!("[{policy}]"));
    sandbox.write("x.ron", scenario.to_string());
    let library = example("fresh").display().to_string();
    let ran = sandbox.offramp(&["run", "x.ron", "--plugins", &library, "--out", "run"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.out.contains("policy `fresh`, fresh: panicked: no fresh ones"), "{}", ran.out);
}

/// Training and distillation validate with fresh instances too.
#[test]
fn a_learner_is_told_how_long_it_learns() {
    let sandbox = Sandbox::new();
    let training = system()
        .set("train.learner", policy(true))
        .set("train.explorer", plugin("lengthy"))
        .set("train.episodes", 6)
        .set("train.validate_every", 3)
        .set("train.validate_episodes", 5);
    sandbox.write("x.ron", training.to_string());
    succeed(&sandbox, &["train", "x.ron", "--out", "run"]);
    // One is created to check, one learns; then one for each validation, which only decides.
    let steps = (6 * SLOTS).to_string();
    let told = sandbox.read("fresh");
    assert_eq!(told.lines().collect::<Vec<_>>(), [&steps, &steps, "0", "0"]);
    let updates = |file: &str| {
        let row = sandbox.read(file).lines().last().unwrap().to_owned();
        row.split(',').any(|field| field == steps)
    };
    assert!(updates("run/training.csv"), "{}", sandbox.read("run/training.csv"));
    let distillation = system()
        .set("distill.teacher", policy(true).set("untrained", true))
        .set("distill.student", policy(true))
        .set("distill.states", 200)
        .set("distill.steps", 50)
        .set("distill.validate_every", 50)
        .set("distill.validate_episodes", 5);
    sandbox.write("y.ron", distillation.to_string());
    std::fs::remove_file(sandbox.path().join("fresh")).unwrap();
    succeed(&sandbox, &["distill", "y.ron", "--out", "distilled"]);
    let told = sandbox.read("fresh");
    let students = told.lines().filter(|line| *line == "50").count();
    assert_eq!((students, told.lines().count()), (2, 2 + 2 + 1 + 1), "{told}");
}

/// Whatever depends on the length is not continued with another one.
#[test]
fn a_learner_that_depends_on_the_length_is_not_trained_longer() {
    let sandbox = Sandbox::new();
    let library = example("fresh").display().to_string();
    let linear = example("linear").display().to_string();
    let mut messages = String::new();
    let cases = [
        ("learner", system().set("train.learner", policy(true))),
        (
            "explorer",
            system()
                .set("train.learner", plugin("linear"))
                .set("train.explorer", plugin("lengthy")),
        ),
        ("neither", system().set("train.learner", plugin("linear"))),
    ];
    for (case, training) in cases {
        let file = format!("{case}.ron");
        let plugins = ["--plugins", &library, "--plugins", &linear, "--out", case];
        sandbox.write(&file, training.clone().set("train.episodes", 2).to_string());
        sandbox.succeed(&[&["train", &file], &plugins[..]].concat());
        sandbox.write(&file, training.set("train.episodes", 3).to_string());
        let ran = sandbox.offramp(&[&["train", &file, "--resume"], &plugins[..]].concat());
        assert_eq!(ran.code, if case == "neither" { 0 } else { 2 }, "{}", ran.err);
        if ran.code != 0 {
            messages += &ran.err;
        }
    }
    insta::assert_snapshot!(messages);
}

#[test]
fn a_learner_reports_what_the_host_asks() {
    let sandbox = Sandbox::new();
    let registry = Registry::discover(&[example("fresh")], None).unwrap();
    let plugin = registry.find(OfferKind::Policy, "fresh").unwrap();
    let mut bench = Bench::new(2, 1);
    bench.folder = sandbox.path().to_owned();
    bench.parameters = "(fresh: true, creations: \"fresh\")".to_owned();
    bench.learning_steps = 7;
    let mut policy = bench.context(|context| plugin.create_policy(context)).unwrap();
    assert_eq!(sandbox.read("fresh"), "7\n");
    let Progress { updates, .. } = policy.learner().unwrap().learn().unwrap();
    let saved = policy.saved().unwrap();
    // What is not finite is not known.
    assert_eq!(saved.diagnostics().unwrap(), [("learned".to_owned(), updates as f64)]);
    assert_eq!(saved.memory().unwrap(), 5 << 30);
    let mut fresh = policy.fresh().unwrap().unwrap();
    // It lives on without the one it was made of.
    drop(policy);
    assert_eq!(fresh.saved().unwrap().diagnostics().unwrap(), [("learned".to_owned(), 0.0)]);
    let registry = Registry::discover(&[example("linear")], None).unwrap();
    let plugin = registry.find(OfferKind::Policy, "linear").unwrap();
    bench.parameters.clear();
    let mut without = bench.context(|context| plugin.create_policy(context)).unwrap();
    assert!(without.fresh().unwrap().is_none());
    let saved = without.saved().unwrap();
    assert!(saved.diagnostics().unwrap().is_empty());
    assert_eq!(saved.memory().unwrap(), 0);
}

/// Decisions of an episode of four slots, in which what is seen changes.
fn decisions(policy: &mut dyn Policy, bench: &mut Bench) -> Vec<Vec<u32>> {
    let (devices, servers) = (50, 5);
    bench.episode(0, |start| policy.begin_episode(start)).unwrap();
    let slots = (0..4).map(|slot: u32| {
        bench.slot = slot;
        for device in 0..devices {
            bench.set_task(device, "size_mbit", 1.0 + f64::from(slot) + device as f64 / 20.0);
            bench.set_task(device, "compute_queue_slots", (device % 7) as f64);
        }
        bench.history.rotate_left(servers);
        bench.history[0] = f64::from(slot * 3);
        let mut actions = vec![UNDECIDED; devices];
        bench.observe(|seen| policy.decide(seen, &mut actions)).unwrap();
        actions
    });
    let slots = slots.collect();
    policy.end_episode().unwrap();
    slots
}

/// However often, and whatever other instances do meanwhile.
#[test]
fn fresh_instances_of_shipped_policies_decide_as_created_ones() {
    let registry = Registry::discover(&[], Some(built())).unwrap();
    for (name, checkpoint, parameters) in
        [("dcdrl", "dcdrl", ""), ("tree-student", "tree-devices", "(sharing: PerDevice)")]
    {
        let plugin = registry.find(OfferKind::Policy, name).unwrap();
        let mut bench = Bench::new(50, 5);
        bench.parameters = parameters.to_owned();
        let file = format!("scenarios/paper/{checkpoint}.safetensors");
        bench.checkpoint = Some(std::fs::read(workspace().join(file)).unwrap());
        let create =
            |bench: &Bench| bench.context(|context| plugin.create_policy(context)).unwrap();
        let expected = decisions(create(&bench).as_mut(), &mut bench.clone());
        assert_ne!(expected[0], expected[3], "{name}");
        let prototype = create(&bench);
        let mut first = prototype.fresh().unwrap().unwrap();
        assert_eq!(decisions(first.as_mut(), &mut bench.clone()), expected, "{name}");
        let mut second = prototype.fresh().unwrap().unwrap();
        assert_eq!(decisions(second.as_mut(), &mut bench.clone()), expected, "{name}");
        let mut of_fresh = second.fresh().unwrap().unwrap();
        drop((prototype, first, second));
        assert_eq!(decisions(of_fresh.as_mut(), &mut bench), expected, "{name}");
    }
}
