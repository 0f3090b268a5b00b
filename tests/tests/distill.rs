//! `offramp distill`, end to end: a student that decides as its teacher does.

use std::path::Path;

use offramp_harness::dataset::Dataset;
use offramp_scenario::Experiment;
use offramp_tests::Sandbox;

const SYSTEM: &str = "system: (devices: 4, servers: 2, slots: 60, server_ghz: [6.0, 12.0]),
    tasks: (arrival_probability: 0.4)";

/// A sandbox with a teacher that has learned a little: networks per device, or a shared one.
fn taught(sharing: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write(
        "teacher.ron",
        format!(
            "(name: \"teacher\", {SYSTEM}, train: (
                learner: (plugin: \"d3qn\", parameters: (hidden: 6, every_slots: 2,
                    sharing: {sharing})),
                explorer: (plugin: \"uniform\", parameters: (per_update: 0.005)),
                episodes: 12, validate_every: 12, validate_episodes: 2,
            ))"
        ),
    );
    assert_eq!(sandbox.offramp(&["train", "teacher.ron", "--out", "teacher"]).code, 0);
    sandbox
}

fn scenario(student: &str, more: &str) -> String {
    // A shared student has a shared teacher here.
    let sharing = if student.contains("Shared") { "Shared" } else { "PerDevice" };
    format!(
        "(name: \"student\", {SYSTEM}, distill: (
            teacher: (plugin: \"d3qn\", checkpoint: \"teacher/final.safetensors\",
                parameters: (hidden: 6, sharing: {sharing})),
            student: (plugin: \"student\", parameters: (teacher_hidden: 6, {student})),
            states: 2000, steps: 600, validate_every: 300, validate_episodes: 3, {more}
        ))"
    )
}

/// The last row of `distillation.csv`: validation loss, agreement.
fn last(sandbox: &Sandbox, folder: &str) -> (f64, f64) {
    let table = sandbox.read(&format!("{folder}/distillation.csv"));
    let row: Vec<f64> =
        table.lines().last().unwrap().split(',').map(|value| value.parse().unwrap()).collect();
    (row[3], row[4])
}

#[test]
fn a_student_decides_as_its_teacher() {
    let sandbox = taught("PerDevice");
    for (name, student, more) in [
        ("per-device", "ratio: 1.0", ""),
        ("advantage", "ratio: 1.0, advantage_weight: 10.0", ""),
        ("policy", "ratio: 1.0, policy_weight: 0.01", ""),
        ("on-policy", "ratio: 1.0", "rounds: 1, round_states: 500"),
    ] {
        sandbox.write("student.ron", scenario(student, more));
        let ran = sandbox.offramp(&[
            "distill",
            "student.ron",
            "--out",
            name,
            "--dataset",
            "dataset.safetensors",
        ]);
        assert_eq!(ran.code, 0, "{name}: {}", ran.err);
        let (loss, agreement) = last(&sandbox, name);
        assert!(agreement > 0.8 && loss.is_finite(), "{name}: {loss} {agreement}");
    }
    // And then it runs like any policy.
    sandbox.write(
        "compare.ron",
        format!(
            "(name: \"compare\", {SYSTEM}, policies: [
                (plugin: \"d3qn\", checkpoint: \"teacher/final.safetensors\",
                    parameters: (hidden: 6)),
                (plugin: \"student\", checkpoint: \"per-device/final.safetensors\",
                    parameters: (teacher_hidden: 6, ratio: 1.0)),
            ], evaluate: (episodes: 10))"
        ),
    );
    let ran = sandbox.offramp(&["run", "compare.ron", "--format", "json"]);
    assert_eq!(ran.code, 0, "{}{}", ran.err, ran.out);
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let qoe = |run: usize| json["runs"][run]["metrics"]["qoe"]["mean"].as_f64().unwrap();
    assert!(qoe(1) > 0.95 * qoe(0), "{} of {}", qoe(1), qoe(0));
}

#[test]
fn one_student_for_all_decides_as_one_teacher_for_all() {
    let sandbox = taught("Shared");
    sandbox.write("student.ron", scenario("ratio: 1.0, sharing: Shared", ""));
    let ran = sandbox.offramp(&["distill", "student.ron", "--out", "run"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let (_, agreement) = last(&sandbox, "run");
    assert!(agreement > 0.8, "{agreement}");
}

#[test]
fn threads_change_no_bit_and_a_dataset_is_used_again() {
    let sandbox = taught("PerDevice");
    sandbox.write("student.ron", scenario("ratio: 0.5", "rounds: 1, round_states: 300"));
    for (out, jobs) in [("one", "1"), ("three", "3")] {
        let ran = sandbox.offramp(&["distill", "student.ron", "--out", out, "--jobs", jobs]);
        assert_eq!(ran.code, 0, "{}", ran.err);
    }
    for file in ["dataset.safetensors", "distillation.csv", "final.safetensors"] {
        let one = sandbox.bytes(&format!("one/{file}"));
        assert_eq!(one, sandbox.bytes(&format!("three/{file}")), "{file}");
    }
    // A dataset that is there is used: altered, it is refused instead of collected again.
    let dataset = "one/dataset.safetensors";
    let again = ["distill", "student.ron", "--out", "again", "--dataset", dataset];
    let before = sandbox.bytes(dataset);
    let ran = sandbox.offramp(&again);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(sandbox.bytes("again/final.safetensors"), sandbox.bytes("one/final.safetensors"));
    let mut altered = before.clone();
    *altered.last_mut().unwrap() ^= 1;
    sandbox.write(dataset, altered);
    let mut errors =
        sandbox.offramp(&["distill", "student.ron", "--out", "b", "--dataset", dataset]).err;
    sandbox.write(dataset, &before[..before.len() / 2]);
    errors += &sandbox.offramp(&["distill", "student.ron", "--out", "c", "--dataset", dataset]).err;
    insta::assert_snapshot!(errors);
    // Of other states it is collected anew.
    sandbox.write(dataset, &before);
    sandbox.write("student.ron", scenario("ratio: 0.5", "seed: 2"));
    let ran = sandbox.offramp(&["distill", "student.ron", "--out", "d", "--dataset", dataset]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_ne!(sandbox.bytes(dataset), before);
}

/// `scenario` with trees instead of the small network.
fn trees(parameters: &str, more: &str) -> String {
    let network = "student: (plugin: \"student\", parameters: (teacher_hidden: 6, ))";
    let trees = format!("student: (plugin: \"tree-student\", parameters: ({parameters}))");
    let scenario = scenario("", more).replace(network, &trees);
    assert!(scenario.contains("tree-student"));
    scenario
        .replace("states: 2000", "states: 6000")
        .replace("steps: 600, validate_every: 300", "steps: 60, validate_every: 30")
}

#[test]
fn trees_decide_as_their_teacher() {
    let sandbox = taught("PerDevice");
    for (name, parameters) in [
        ("tree", "sharing: PerDevice"),
        ("forest", "sharing: PerDevice, trees: 7"),
        ("unweighted", "sharing: PerDevice, weighted: false, max_depth: 6, min_leaf: 2"),
    ] {
        sandbox.write("student.ron", trees(parameters, ""));
        let dataset = ["--dataset", "dataset.safetensors"];
        let arguments = [&["distill", "student.ron", "--out", name], &dataset[..]].concat();
        let ran = sandbox.offramp(&arguments);
        assert_eq!(ran.code, 0, "{name}: {}", ran.err);
        let table = sandbox.read(&format!("{name}/distillation.csv"));
        let last: Vec<&str> = table.lines().last().unwrap().split(',').collect();
        let agreement: f64 = last[4].parse().unwrap();
        // A tree has no values to compare.
        assert!(agreement > 0.8 && last[3].is_empty(), "{name}: {last:?}");
    }
    // A single tree tells its rules.
    sandbox.write("student.ron", trees("max_depth: 2", ""));
    assert_eq!(sandbox.offramp(&["distill", "student.ron", "--out", "shared"]).code, 0);
    let told = sandbox.offramp(&["inspect", "shared/final.safetensors"]).out;
    let rules = told.split("rules:\n").nth(1).unwrap();
    assert!(rules.starts_with("if ") && rules.contains("\nelse\n"), "{told}");
    let decisions = rules.lines().filter(|line| {
        let line = line.trim_start();
        line == "compute locally" || line.starts_with("offload to server ")
    });
    assert!((2..=4).contains(&decisions.count()), "{rules}");
    // And it runs like any policy, if it is the one that was grown.
    let run = |label: &str, checkpoint: &str, parameters: &str| {
        format!(
            "(plugin: \"tree-student\", name: \"{label}\", {checkpoint}
             parameters: ({parameters})),"
        )
    };
    let grown = "checkpoint: \"shared/final.safetensors\",";
    let policies = run("grown", grown, "max_depth: 2")
        + &run("of another size", grown, "trees: 2")
        + &run("of no lesson", "", "")
        + &run("wrong", grown, "max_depth: 0");
    sandbox.write(
        "run.ron",
        format!("(name: \"run\", {SYSTEM}, policies: [{policies}], evaluate: (episodes: 2))"),
    );
    let ran = sandbox.offramp(&["run", "run.ron"]);
    assert_eq!(ran.code, 1);
    assert!(ran.out.lines().any(|row| row.contains("| grown ") && row.contains('±')));
    let failures: Vec<&str> = ran.out.lines().filter(|row| row.starts_with("failed")).collect();
    insta::assert_snapshot!(failures.join("\n"));
}

#[test]
fn a_killed_distillation_goes_on_to_the_same_bits() {
    let sandbox = taught("PerDevice");
    let rounds = "rounds: 2, round_states: 500";
    sandbox.write("trees.ron", trees("", rounds));
    let ran = sandbox.offramp(&["distill", "trees.ron", "--out", "whole-trees"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    sandbox.killed_until_done(&["distill", "trees.ron", "--out", "killed-trees", "--resume"]);
    let trees = sandbox.bytes("whole-trees/final.safetensors");
    assert_eq!(trees, sandbox.bytes("killed-trees/final.safetensors"));
    let student = "ratio: 0.5, starts: 3, anneal_steps: 600";
    let often = scenario(student, rounds).replace("validate_every: 300", "validate_every: 40");
    sandbox.write("student.ron", often);
    let ran = sandbox.offramp(&["distill", "student.ron", "--out", "whole"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let again = sandbox.offramp(&["distill", "student.ron", "--out", "whole"]);
    assert_eq!(again.code, 2);
    insta::assert_snapshot!("distilled_already", again.err);
    let kills =
        sandbox.killed_until_done(&["distill", "student.ron", "--out", "killed", "--resume"]);
    assert!(kills > 0, "it was never killed");
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

/// A checksum says that a file is what was written, not that it is sound.
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
        errors += &format!("{}\n", read(&wrong).unwrap_err().cause);
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
        "distill: (teacher: (plugin: \"d3qn\"), student: (plugin: \"d3qn\"))",
        "distill: (teacher: (plugin: \"d3qn\"), student: (plugin: \"student\"), explored: 2.0)",
        "distill: (teacher: (plugin: \"d3qn\"), student: (plugin: \"student\"), steps: 0)",
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
        "(name: \"x\", distill: (teacher: (plugin: \"d3qn\"), student: (plugin: \"student\", \
         parameters: (ratio: -1.0)), states: 100, steps: 1))",
    );
    let ran = sandbox.offramp(&["distill", "x.ron", "--out", "run"]);
    assert_eq!(ran.code, 1);
    insta::assert_snapshot!("failing_student", ran.err);
}
