//! `offramp distill`, end to end: a student that decides as its teacher does.

use std::path::Path;

use offramp_harness::dataset::Dataset;
use offramp_results::learning::{self, DistillationRow};
use offramp_scenario::Experiment;
use offramp_tests::{Fields, Sandbox, majority_share, plugin, quoted};

/// A scenario of four devices and two servers.
fn small_system(name: &str) -> Fields {
    Fields::scenario(name)
        .set("system", Fields::new())
        .set("system.devices", 4)
        .set("system.servers", 2)
        .set("system.slots", 60)
        .set("system.server_ghz", "[6.0, 12.0]")
        .set("tasks.arrival_probability", 0.4)
}

/// One network per device, or one for all.
const PER_DEVICE: &str = "PerDevice";
const SHARED: &str = "Shared";

/// The teacher's learner, or the teacher.
fn teacher(sharing: &str) -> Fields {
    plugin("d3qn").set("parameters.hidden", 6).set("parameters.sharing", sharing)
}

/// A folder with a teacher that has learned a little.
fn taught(sharing: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let training = small_system("teacher")
        .set("train.learner", teacher(sharing).set("parameters.every_slots", 2))
        .set("train.explorer", plugin("uniform").set("parameters.over", 0.48))
        .set("train.episodes", 12)
        .set("train.validate_every", 12)
        .set("train.validate_episodes", 2);
    sandbox.write("teacher.ron", training.to_string());
    sandbox.succeed(&["train", "teacher.ron", "--out", "teacher"]);
    sandbox
}

/// A distillation of that teacher.
fn distillation(sharing: &str, student: Fields) -> Fields {
    let teacher = teacher(sharing).set("checkpoint", quoted("teacher/final.safetensors"));
    small_system("student")
        .set("distill.teacher", teacher)
        .set("distill.student", student)
        .set("distill.states", 2000)
        .set("distill.steps", 600)
        .set("distill.validate_every", 300)
        .set("distill.validate_episodes", 3)
}

/// A student that is a network as wide as `ratio` times its teacher's.
fn network(ratio: f64) -> Fields {
    plugin("student").set("parameters.teacher_hidden", 6).set("parameters.ratio", ratio)
}

/// A student that is a tree.
fn tree() -> Fields {
    plugin("tree-student").set("parameters", Fields::new())
}

/// A distillation of the teacher with a network per device into trees, which take more states
/// and fewer steps.
fn growth(tree: Fields) -> Fields {
    distillation(PER_DEVICE, tree)
        .set("distill.states", 6000)
        .set("distill.steps", 200)
        .set("distill.validate_every", 100)
}

/// The last row of a distillation's table.
fn last_row(sandbox: &Sandbox, folder: &str) -> DistillationRow {
    learning::distillation(&sandbox.path().join(folder)).unwrap().pop().unwrap()
}

/// Checks that a student has learned most of what there is to learn of its teacher's decisions: of
/// those that are not the commonest ones of their device, it differs in half at most.
#[track_caller]
fn assert_agrees(row: &DistillationRow, sandbox: &Sandbox, dataset: &str) {
    let majority = majority_share(&sandbox.bytes(dataset));
    assert!((0.3..0.9).contains(&majority), "a constant agrees in {majority}");
    let differs = (1.0 - row.agreement) / (1.0 - majority);
    assert!(differs < 0.5, "agrees in {}, a constant in {majority}", row.agreement);
}

#[test]
fn a_student_decides_as_its_teacher() {
    let sandbox = taught(PER_DEVICE);
    let whole = network(1.0);
    for (name, scenario) in [
        ("per-device", distillation(PER_DEVICE, whole.clone())),
        (
            "advantage",
            distillation(PER_DEVICE, whole.clone().set("parameters.advantage_weight", 10.0)),
        ),
        ("policy", distillation(PER_DEVICE, whole.clone().set("parameters.policy_weight", 0.01))),
        (
            "on-policy",
            distillation(PER_DEVICE, whole.clone())
                .set("distill.rounds", 1)
                .set("distill.round_states", 500),
        ),
    ] {
        sandbox.write("student.ron", scenario.to_string());
        let dataset = ["--dataset", "dataset.safetensors"];
        sandbox.succeed(&[&["distill", "student.ron", "--out", name], &dataset[..]].concat());
        let last = last_row(&sandbox, name);
        assert_agrees(&last, &sandbox, "dataset.safetensors");
        assert!(last.validation_loss.unwrap().is_finite(), "{name}");
    }
    // And then it runs like any policy.
    let teacher = teacher(PER_DEVICE).set("checkpoint", quoted("teacher/final.safetensors"));
    let student = whole.set("checkpoint", quoted("per-device/final.safetensors"));
    let compare = small_system("compare")
        .set("policies", format!("[{teacher}, {student}]"))
        .set("evaluate.episodes", 10);
    sandbox.write("compare.ron", compare.to_string());
    let printed = sandbox.succeed(&["run", "compare.ron", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let qoe = |run: usize| json["runs"][run]["metrics"]["qoe"]["mean"].as_f64().unwrap();
    assert!(qoe(1) > 0.95 * qoe(0), "{} of {}", qoe(1), qoe(0));
}

#[test]
fn one_student_for_all_decides_as_one_teacher_for_all() {
    let sandbox = taught(SHARED);
    let student = network(1.0).set("parameters.sharing", SHARED);
    sandbox.write("student.ron", distillation(SHARED, student).to_string());
    sandbox.succeed(&["distill", "student.ron", "--out", "run"]);
    let last = last_row(&sandbox, "run");
    assert_agrees(&last, &sandbox, "run/dataset.safetensors");
}

/// A distillation in two parts: of the teacher's own states, and of those the student comes to.
fn in_rounds() -> Fields {
    distillation(PER_DEVICE, network(0.5)).set("distill.rounds", 1).set("distill.round_states", 300)
}

#[test]
fn a_distillation_is_bit_identical_for_any_number_of_threads() {
    let sandbox = taught(PER_DEVICE);
    sandbox.write("student.ron", in_rounds().to_string());
    for (out, jobs) in [("one", "1"), ("three", "3")] {
        sandbox.succeed(&["distill", "student.ron", "--out", out, "--jobs", jobs]);
    }
    for file in ["dataset.safetensors", "distillation.csv", "final.safetensors"] {
        let one = sandbox.bytes(&format!("one/{file}"));
        assert_eq!(one, sandbox.bytes(&format!("three/{file}")), "{file}");
    }
}

#[test]
fn a_dataset_is_used_again_if_it_is_the_same() {
    let sandbox = taught(PER_DEVICE);
    let scenario = in_rounds();
    sandbox.write("student.ron", scenario.to_string());
    sandbox.succeed(&["distill", "student.ron", "--out", "one"]);
    let dataset = "one/dataset.safetensors";
    let distil = |out| ["distill", "student.ron", "--out", out, "--dataset", dataset];
    sandbox.succeed(&distil("again"));
    let trained = sandbox.bytes("again/final.safetensors");
    assert_eq!(trained, sandbox.bytes("one/final.safetensors"));
    // Altered, it is refused instead of collected again.
    let before = sandbox.bytes(dataset);
    let mut altered = before.clone();
    *altered.last_mut().unwrap() ^= 1;
    sandbox.write(dataset, altered);
    let mut errors = sandbox.offramp(&distil("b")).err;
    sandbox.write(dataset, &before[..before.len() / 2]);
    errors += &sandbox.offramp(&distil("c")).err;
    insta::assert_snapshot!(errors);
    // One of other states is kept too.
    sandbox.write(dataset, &before);
    let other = scenario.set("distill.rounds", 0).set("distill.seed", 2);
    sandbox.write("student.ron", other.to_string());
    let refused = sandbox.offramp(&distil("d"));
    assert_eq!(refused.code, 2, "{}", refused.out);
    assert!(refused.err.contains("has the states of another scenario"), "{}", refused.err);
    assert_eq!(sandbox.bytes(dataset), before);
    assert!(!sandbox.has("d"));
}

#[test]
fn states_and_batches_that_do_not_fit_are_refused_before_anything_is_done() {
    let sandbox = taught(PER_DEVICE);
    let student = || distillation(PER_DEVICE, network(0.5));
    let refused = |scenario: Fields, field: &str| {
        sandbox.write("student.ron", scenario.to_string());
        let ran = sandbox.offramp(&["distill", "student.ron", "--out", "run"]);
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert!(ran.err.contains(" of memory, and this machine has "), "{}", ran.err);
        assert!(ran.err.contains(field) && !sandbox.has("run"), "{}", ran.err);
    };
    for batch in ["States(1000000000)", "Slots(1000000000)", "PerDevice(1000000000)"] {
        refused(student().set("distill.batch", batch), "batch");
    }
    let states = 1_000_000_000;
    let rounds = student().set("distill.states", states).set("distill.round_states", states);
    refused(rounds.set("distill.rounds", 1999).set("distill.steps", 2000), "states");
}

/// Points that have the same states share a dataset, others have their own.
#[test]
fn points_of_a_sweep_share_the_states_that_they_have_in_common() {
    let sandbox = taught(PER_DEVICE);
    let sweep = "{\"distill.seed\": [1, 2], \"distill.batch\": [PerDevice(8), PerDevice(16)]}";
    sandbox.write(
        "student.ron",
        distillation(PER_DEVICE, network(0.5)).set("sweep", sweep).to_string(),
    );
    sandbox.succeed(&["distill", "student.ron", "--out", "swept"]);
    let mut points: Vec<_> =
        std::fs::read_dir(sandbox.path().join("swept")).unwrap().flatten().collect();
    points.retain(|entry| entry.path().is_dir());
    let own = points.iter().filter(|entry| entry.path().join("dataset.safetensors").exists());
    // Four points and two seeds: one dataset lies beside the points, one in the first of the other seed.
    assert_eq!((points.len(), own.count()), (4, 1));
    assert!(sandbox.has("swept/dataset.safetensors"));
}

#[test]
fn trees_decide_as_their_teacher() {
    let sandbox = taught(PER_DEVICE);
    let per_device = tree().set("parameters.sharing", PER_DEVICE);
    for (name, tree) in [
        ("tree", per_device.clone()),
        ("forest", per_device.clone().set("parameters.trees", 7)),
        (
            "unweighted",
            per_device
                .set("parameters.weighted", false)
                .set("parameters.max_depth", 6)
                .set("parameters.min_leaf", 2),
        ),
    ] {
        sandbox.write("student.ron", growth(tree).to_string());
        let dataset = ["--dataset", "dataset.safetensors"];
        sandbox.succeed(&[&["distill", "student.ron", "--out", name], &dataset[..]].concat());
        let last = last_row(&sandbox, name);
        // A tree has no values to compare.
        assert_agrees(&last, &sandbox, "dataset.safetensors");
        assert!(last.validation_loss.is_none(), "{name}: {last:?}");
    }
}

/// A single tree for all devices that asks at most two questions, in `shared`.
fn small_tree() -> (Sandbox, Fields) {
    let sandbox = taught(PER_DEVICE);
    let small = tree().set("parameters.max_depth", 2);
    sandbox.write("student.ron", growth(small.clone()).to_string());
    sandbox.succeed(&["distill", "student.ron", "--out", "shared"]);
    (sandbox, small)
}

#[test]
fn a_single_tree_shows_its_rules() {
    let (sandbox, _) = small_tree();
    let shown = sandbox.succeed(&["inspect", "shared/final.safetensors"]);
    let rules = shown.split("rules:\n").nth(1).unwrap();
    assert!(rules.starts_with("if ") && rules.contains("\nelse\n"), "{shown}");
    let decisions = rules.lines().filter(|line| {
        let line = line.trim_start();
        line == "compute locally" || line.starts_with("offload to server ")
    });
    assert!((2..=4).contains(&decisions.count()), "{rules}");
}

#[test]
fn a_tree_runs_if_it_is_the_one_that_was_grown() {
    let (sandbox, small) = small_tree();
    let grown = |label: &str, tree: Fields| {
        tree.set("name", quoted(label)).set("checkpoint", quoted("shared/final.safetensors"))
    };
    let run = |policies: &[Fields]| {
        let policies: Vec<_> = policies.iter().map(ToString::to_string).collect();
        let policies = format!("[{}]", policies.join(", "));
        let scenario = small_system("run").set("policies", policies).set("evaluate.episodes", 2);
        sandbox.write("run.ron", scenario.to_string());
        sandbox.offramp(&["run", "run.ron"])
    };
    let ran = run(&[grown("grown", small)]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.lines().any(|row| row.contains("| grown ") && row.contains('±')));
    let ran = run(&[
        grown("of another size", tree().set("parameters.trees", 2)),
        tree().set("name", quoted("of no lesson")).set("untrained", true),
        grown("wrong", tree().set("parameters.max_depth", 0)),
    ]);
    assert_eq!(ran.code, 2, "{}", ran.out);
    insta::assert_snapshot!(ran.err);
}

#[test]
fn killed_trees_resume_bit_identical() {
    let sandbox = taught(PER_DEVICE);
    let scenario = growth(tree()).set("distill.rounds", 2).set("distill.round_states", 500);
    sandbox.write("trees.ron", scenario.to_string());
    sandbox.succeed(&["distill", "trees.ron", "--out", "whole"]);
    sandbox.killed_until_done(&["distill", "trees.ron", "--out", "killed", "--resume"]);
    let whole = sandbox.bytes("whole/final.safetensors");
    assert_eq!(whole, sandbox.bytes("killed/final.safetensors"));
}

#[test]
fn a_killed_distillation_resumes_bit_identical() {
    let sandbox = taught(PER_DEVICE);
    let student = network(0.5).set("parameters.starts", 3);
    let scenario = distillation(PER_DEVICE, student)
        .set("distill.rounds", 2)
        .set("distill.round_states", 500)
        .set("distill.validate_every", 40);
    sandbox.write("student.ron", scenario.to_string());
    sandbox.succeed(&["distill", "student.ron", "--out", "whole"]);
    let again = sandbox.offramp(&["distill", "student.ron", "--out", "whole"]);
    assert_eq!(again.code, 2);
    insta::assert_snapshot!("distilled_already", again.err);
    let killed = ["distill", "student.ron", "--out", "killed", "--resume"];
    assert!(sandbox.killed_until_done(&killed) > 0, "it was never killed");
    for file in [
        "dataset.safetensors",
        "round-2.safetensors",
        "distillation.csv",
        "best.safetensors",
        "final.safetensors",
        "state",
    ] {
        let whole = sandbox.bytes(&format!("whole/{file}"));
        assert_eq!(whole, sandbox.bytes(&format!("killed/{file}")), "{file}");
    }
}

/// A checksum proves that a file is what was written, not that it is sound.
#[test]
fn a_dataset_made_to_mislead_is_refused() {
    let text = "(name: \"x\", history_slots: 2, system: (devices: 3, servers: 2))";
    let experiment = Experiment::parse("x", text.into(), Path::new(""), &[]).unwrap();
    let scenario = &experiment.points[0];
    let width = scenario.observation.kind.width(2);
    let sound = Dataset {
        features: vec![0.5; width],
        loads: vec![0.0; 4],
        newest: vec![1],
        devices: vec![2],
        values: vec![1.0; 3],
    };
    let sandbox = Sandbox::new();
    let path = sandbox.path().join("dataset.safetensors");
    let read = |dataset: &Dataset| {
        dataset.write(&path, "key", 2).unwrap();
        Dataset::read(&path, "key", scenario)
    };
    assert_eq!(read(&sound).unwrap(), Some(sound.clone()));
    let mut errors = String::new();
    for wrong in [
        Dataset { newest: vec![2], ..sound.clone() },
        Dataset { newest: vec![0], ..sound.clone() },
        Dataset { devices: vec![3], ..sound.clone() },
        Dataset { values: vec![1.0, f32::NAN, 0.0], ..sound.clone() },
        Dataset { features: vec![0.5; width + 1], ..sound.clone() },
    ] {
        errors += &format!("{}\n", read(&wrong).unwrap_err().fault);
    }
    insta::assert_snapshot!(errors);
}

#[test]
fn what_can_not_be_distilled_is_refused() {
    let sandbox = Sandbox::new();
    let mut errors = String::new();
    for distill in [
        "",
        "distill: (teacher: (plugin: \"random\"), student: (plugin: \"student\"))",
        "distill: (teacher: (plugin: \"d3qn\", untrained: true), student: (plugin: \"dcdrl\"))",
        "distill: (teacher: (plugin: \"d3qn\", untrained: true), student: (plugin: \"student\"), explored: 2.0)",
        "distill: (teacher: (plugin: \"d3qn\", untrained: true), student: (plugin: \"student\"), steps: 0)",
    ] {
        sandbox.write("x.ron", format!("(name: \"x\", {distill})"));
        let ran = sandbox.offramp(&["distill", "x.ron"]);
        assert_eq!(ran.code, 2);
        errors += &ran.err;
    }
    assert!(!sandbox.path().join("runs").exists());
    insta::assert_snapshot!(errors);
    sandbox.write(
        "x.ron",
        "(name: \"x\", distill: (teacher: (plugin: \"d3qn\", untrained: true), student: (plugin: \"student\", \
         parameters: (ratio: -1.0)), states: 100, steps: 1))",
    );
    let ran = sandbox.offramp(&["distill", "x.ron", "--out", "run"]);
    assert_eq!(ran.code, 2);
    assert!(!sandbox.has("run"));
    insta::assert_snapshot!("failing_student", ran.err);
}
