//! What learners and students state of themselves: how much memory they will need, before anything
//! begins, and diagnostics while they learn; and of how many tasks they want the counterfactuals.

use offramp_host::plugin::Counterfactuals;
use offramp_host::plugin::testing::Bench;
use offramp_host::{OfferKind, Registry};
use offramp_results::learning;
use offramp_tests::{Fields, Ran, Sandbox, example, plugin, quoted};

/// Runs `offramp` with the plugins `candid` and `linear`.
fn offramp(sandbox: &Sandbox, arguments: &[&str]) -> Ran {
    let [candid, linear] = ["candid", "linear"].map(|name| example(name).display().to_string());
    sandbox.offramp(&[arguments, &["--plugins", &candid, "--plugins", &linear]].concat())
}

fn small_system(name: &str) -> Fields {
    Fields::scenario(name)
        .set("system.devices", 4)
        .set("system.servers", 2)
        .set("system.slots", 40)
        .set("tasks.arrival_probability", 0.4)
}

fn candid(bytes: u64) -> Fields {
    plugin("candid").set("parameters", format!("(bytes: {bytes})"))
}

fn training(learner: Fields) -> Fields {
    small_system("learning")
        .set("train.learner", learner)
        .set("train.episodes", 4)
        .set("train.validate_every", 2)
        .set("train.validate_episodes", 1)
}

fn distillation(student: Fields) -> Fields {
    let teacher = plugin("linear").set("checkpoint", quoted("taught/final.safetensors"));
    small_system("distilling")
        .set("distill.teacher", teacher)
        .set("distill.student", student)
        .set("distill.states", 400)
        .set("distill.steps", 30)
        .set("distill.validate_every", 10)
        .set("distill.validate_episodes", 1)
}

/// A folder with a teacher in `taught`.
fn taught() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("taught.ron", training(plugin("linear")).to_string());
    let ran = offramp(&sandbox, &["train", "taught.ron", "--out", "taught"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    sandbox
}

#[test]
fn memory_is_stated_before_anything_begins() {
    let sandbox = taught();
    for (command, scenario, field) in [
        ("train", training as fn(Fields) -> Fields, "train.learner"),
        ("distill", distillation, "distill.student"),
    ] {
        let stated = |bytes: u64, out: &str| {
            sandbox.write("x.ron", scenario(candid(bytes)).to_string());
            offramp(&sandbox, &[command, "x.ron", "--out", out])
        };
        let some = stated((1 << 30) + (1 << 29), &format!("{command}-some"));
        assert_eq!(some.code, 0, "{}", some.err);
        let first = some.err.lines().next().unwrap();
        // A distillation's states and batches are counted too.
        let what = field.strip_suffix(".student").unwrap_or(field);
        assert_eq!(first, format!("{what}: up to 1.5 GiB of memory"));
        let little = stated((1 << 30) - (1 << 24), &format!("{command}-little"));
        assert!(!little.err.contains("memory"), "{}", little.err);
        if cfg!(target_os = "linux") {
            let all = stated(1 << 60, &format!("{command}-all"));
            assert_eq!(all.code, 2, "{}", all.err);
            let words = all.err.replace('│', "");
            let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
            let expected = "to learn, it needs up to 1.0 EiB of memory, and this machine has ";
            assert!(words.contains(expected) && words.contains("x.ron:1:"), "{words}");
            assert!(!sandbox.has(&format!("{command}-all")));
        }
    }
}

#[test]
fn diagnostics_are_columns_and_curves() {
    let sandbox = taught();
    sandbox.write("train.ron", training(candid(0)).to_string());
    let ran = offramp(&sandbox, &["train", "train.ron", "--tensorboard", "--out", "trained"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    // One per slot: 40 in which tasks arrive, and those until the last deadline.
    for row in learning::training(&sandbox.path().join("trained")).unwrap() {
        assert_eq!((row.gradient_norm, row.q, row.td_error), (Some(50.0), Some(-0.5), None));
    }
    sandbox.write("distill.ron", distillation(candid(0)).to_string());
    let ran = offramp(&sandbox, &["distill", "distill.ron", "--tensorboard", "--out", "distilled"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for row in learning::distillation(&sandbox.path().join("distilled")).unwrap() {
        assert_eq!(row.gradient_norm, Some(10.0));
    }
    for out in ["trained", "distilled"] {
        let file = format!("{out}/tensorboard/events.out.tfevents.0000000000.offramp");
        let bytes = sandbox.bytes(&file);
        let logged = |tag: &str| bytes.windows(tag.len()).any(|text| text == tag.as_bytes());
        assert!(logged("learner/entropy of what it says") && logged("learner/q"), "{out}");
        assert!(!logged("learner/td_error"), "{out}");
    }
}

/// Through the boundary: a learner that asks for none, and one that asks for some.
#[test]
fn counterfactuals_reach_a_learner_that_asks_for_them() {
    let registry = Registry::discover(&[example("candid")], None).unwrap();
    let plugin = registry.find(OfferKind::Policy, "candid").unwrap();
    let mut bench = Bench::new(2, 1);
    let mut create = |parameters: &str| {
        bench.parameters = parameters.to_owned();
        bench.context(|context| plugin.create_policy(context)).unwrap()
    };
    assert_eq!(create("()").learner().unwrap().judged_tasks().unwrap(), 0);
    let mut policy = create("(judged: 5)");
    let learner = policy.learner().unwrap();
    assert_eq!(learner.judged_tasks().unwrap(), 5);
    let (devices, arrival_slots, gains) = ([1, 0], [2, 7], [0.0, -1.5, 0.25, 0.0]);
    let two = Counterfactuals {
        devices: devices.as_slice().into(),
        arrival_slots: arrival_slots.as_slice().into(),
        gains: gains.as_slice().into(),
    };
    learner.judge(&two).unwrap();
    let none = Counterfactuals { arrival_slots: [].as_slice().into(), ..two };
    let failure = learner.judge(&none).unwrap_err().to_string();
    assert_eq!(failure, "policy `candid`, judge: 0 slots");
    let stated = policy.saved().unwrap().diagnostics().unwrap();
    let judged = [("judged".to_owned(), 2.0), ("gains".to_owned(), -1.25)];
    assert!(stated.ends_with(&judged), "{stated:?}");
}
