//! Golden outputs: files and numbers that no change of structure may change. They hold what is the
//! same on every processor: policies and learners without a network, exports of shipped
//! checkpoints, and what keys are made of.

use std::path::PathBuf;

use offramp_harness::engine::ENGINE;
use offramp_model::{ObservationSpec, System};
use offramp_results::files::sha256;
use offramp_tests::{Sandbox, example, read, workspace};
use serde_json::Value;

/// Runs `offramp` with the plugin `linear`, and expects success.
fn offramp(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let plugin = example("linear").display().to_string();
    let ran = sandbox.offramp(&[arguments, &["--plugins", &plugin]].concat());
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.out
}

/// The beginning of a text, and the hash of all of it.
fn digest(all: &str) -> String {
    let lines: Vec<&str> = all.lines().take(4).collect();
    format!("{}\n… {} lines, SHA-256 {}", lines.join("\n"), all.lines().count(), hash(all))
}

fn hash(text: &str) -> String {
    sha256(text.as_bytes())
}

/// The SHA-256 of each plugin's file, by the policy's name.
fn plugin_hash(sandbox: &Sandbox, name: &str) -> String {
    let listed = offramp(sandbox, &["plugins", "--format", "json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let mut plugins = listed["plugins"].as_array().unwrap().iter();
    let found = plugins.find(|plugin| plugin["name"] == name && plugin["kind"] == "policy");
    found.unwrap()["sha256"].as_str().unwrap().to_owned()
}

const RUN: &str = r#"(
    name: "golden",
    system: (devices: 12, servers: 3, slots: 60),
    policies: [
        (plugin: "all-local"), (plugin: "all-offload"), (plugin: "random"),
        (plugin: "round-robin"), (plugin: "shortest-queue"), (plugin: "heuristic"),
    ],
    evaluate: (episodes: 4, seed: 7),
    sweep: { "tasks.arrival_probability": [0.2, 0.5], "energy": [Published, Physical] },
)"#;

#[test]
fn a_run_keeps_its_files() {
    let sandbox = Sandbox::new();
    sandbox.write("golden.ron", RUN);
    offramp(&sandbox, &["run", "golden.ron", "--out", "run"]);
    let mut record: Value = serde_json::from_str(&sandbox.read("run/run.json")).unwrap();
    for run in record["runs"].as_array_mut().unwrap() {
        run["plugin"]["sha256"] = "#".into();
        run["plugin"]["file"] = "#".into();
        // Another build is another engine, and another machine another processor.
        assert_eq!(run["identity"]["engine"], ENGINE);
        assert_eq!(run["provenance"]["engine"], ENGINE);
        run["identity"]["engine"] = "#".into();
        run["provenance"] = "#".into();
    }
    let record = serde_json::to_string_pretty(&record).unwrap();
    let lines: Vec<&str> = record.lines().take(30).collect();
    insta::assert_snapshot!("run_json", format!("{}\n… {}", lines.join("\n"), hash(&record)));
    insta::assert_snapshot!("episodes_csv", digest(&sandbox.read("run/episodes.csv")));
    insta::assert_snapshot!("power_modes_csv", digest(&sandbox.read("run/power-modes.csv")));
    let scenario = sandbox.read("run/scenarios/golden.ron");
    assert_eq!(scenario, RUN);
}

const TRAIN: &str = r#"(
    name: "learning",
    system: (devices: 8, servers: 2, slots: 40),
    policies: [(plugin: "linear", checkpoint: "trained/best.safetensors")],
    train: (
        learner: (plugin: "linear"), explorer: (plugin: "uniform"), episodes: 12,
        validate_every: 3, validate_episodes: 4, save_every: 5,
    ),
    evaluate: (episodes: 3),
)"#;

const DISTILL: &str = r#"(
    name: "distilling",
    system: (devices: 8, servers: 2, slots: 40),
    distill: (
        teacher: (plugin: "linear", checkpoint: "trained/best.safetensors"),
        student: (plugin: "tree-student"), states: 600, steps: 40, batch: PerDevice(8), rounds: 1,
        round_states: 200, validate_every: 15, validate_episodes: 3,
    ),
)"#;

#[test]
fn a_training_and_a_distillation_keep_their_files() {
    let sandbox = Sandbox::new();
    sandbox.write("learning.ron", TRAIN);
    offramp(&sandbox, &["train", "learning.ron", "--out", "trained"]);
    insta::assert_snapshot!("training_csv", sandbox.read("trained/training.csv"));
    insta::assert_snapshot!("checkpoint", sandbox.read("trained/best.safetensors"));
    insta::assert_snapshot!("curves_csv", digest(&sandbox.read("trained/curves.csv")));
    sandbox.write("distilling.ron", DISTILL);
    offramp(&sandbox, &["distill", "distilling.ron", "--out", "distilled"]);
    let rows = sandbox.read("distilled/distillation.csv");
    insta::assert_snapshot!("distillation_csv", rows);
    let tree = sandbox.bytes("distilled/best.safetensors");
    insta::assert_snapshot!("tree", sha256(&tree));
    offramp(&sandbox, &["run", "learning.ron", "--out", "run"]);
    insta::assert_snapshot!("learned_csv", digest(&sandbox.read("run/episodes.csv")));
}

#[test]
fn exports_keep_their_bytes() {
    let sandbox = Sandbox::new();
    let mut digests = String::new();
    for checkpoint in ["student", "teacher", "qeco"] {
        let file = workspace().join(format!("scenarios/paper/{checkpoint}.safetensors"));
        let file = file.display().to_string();
        for (format, network, folder, files) in [
            ("c", "3", "c", ["policy.c", "policy.h"].as_slice()),
            ("onnx", "3", "onnx", &["policy.onnx"]),
            ("c-int8", "0", "c8", &["policy.c", "policy.h"]),
        ] {
            let folder = format!("{checkpoint}-{folder}");
            let arguments = ["--as", format, "--network", network, "--out", &folder];
            offramp_export(&sandbox, &[&[file.as_str()], arguments.as_slice()].concat());
            for name in files {
                let bytes = std::fs::read(sandbox.path().join(&folder).join(name)).unwrap();
                digests += &format!("{folder}/{name} {} {}\n", bytes.len(), sha256(&bytes));
            }
        }
    }
    insta::assert_snapshot!("exports", digests);
}

fn offramp_export(sandbox: &Sandbox, arguments: &[&str]) {
    let ran = sandbox.offramp(&[&["export", "--name", "policy"], arguments].concat());
    assert_eq!(ran.code, 0, "{}", ran.err);
}

const STUDY: &str = r#"(
    name: "golden",
    scenario: "golden.ron",
    training_seeds: [1, 2],
    evaluate: (episodes: 3, seed: 5),
    policies: {
        "random": Fixed(plugin: "random"),
        "learner": Trained(scenario: "learning.ron"),
        "tree": Distilled(scenario: "distilling.ron", teacher: "learner"),
    },
    items: [(
        id: "table", title: "All", form: Table, policies: ["random", "learner", "tree"],
        reference: Some("random"),
        points: [
            (label: "0.2", set: { "tasks.arrival_probability": 0.2 }),
            (label: "0.5", set: { "tasks.arrival_probability": 0.5 }),
        ],
        metrics: [Qoe, Delay, Energy, Dropped, CompletionRatio, EnergyPerTask],
    )],
    claims: [(
        text: "the tree is better than chance", source: "this test",
        holds_if: Best(
            item: "table", metric: Qoe, order: Above, policy: "tree", rivals: ["random"],
        ),
    )],
)"#;

/// The folder in `parent` whose name begins with `name`, at the first point and of the second seed.
fn folder(parent: PathBuf, name: &str, scenario: &str) -> (PathBuf, String) {
    let mut found = std::fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().path());
    let path = found
        .find(|path| {
            let own = path.file_name().unwrap().to_string_lossy().starts_with(name);
            let text = if own { read(&path.join(scenario)) } else { String::new() };
            text.contains("arrival_probability: 0.2") && !text.contains("train: (seed: 1")
        })
        .unwrap();
    let key = path.file_name().unwrap().to_string_lossy();
    let key = key.rsplit('-').next().unwrap().to_owned();
    (path, key)
}

#[test]
fn a_study_keeps_its_tables_and_keys() {
    let sandbox = Sandbox::new();
    sandbox.write("golden.ron", "(name: \"golden\", system: (devices: 8, servers: 2, slots: 40))");
    sandbox.write("learning.ron", TRAIN);
    sandbox.write("distilling.ron", DISTILL);
    sandbox.write("study.ron", STUDY);
    let printed = offramp(&sandbox, &["reproduce", "study.ron", "--out", "study"]);
    insta::assert_snapshot!("study", printed);
    insta::assert_snapshot!("study_csv", sandbox.read("study/table.csv"));
    let study = sandbox.path().join("study");

    // What a key is made of: nothing is learned or evaluated again as long as it stays.
    let (random, key) = folder(study.join("results"), "random", "scenarios/golden.ron");
    let scenario = read(&random.join("scenarios/golden.ron"));
    let plugins = [plugin_hash(&sandbox, "random")];
    assert_eq!(key, hash(&format!("{ENGINE}  {plugins:?} {scenario}"))[..12]);
    let (learned, key) = folder(study.join("learned"), "learning", "scenario.ron");
    let scenario = read(&learned.join("scenario.ron"));
    insta::assert_snapshot!("study_scenario", scenario);
    let listed = offramp(&sandbox, &["plugins", "--format", "json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let mut plugins = listed["plugins"].as_array().unwrap().iter();
    let explorer = plugins.find(|p| p["name"] == "uniform").unwrap();
    let explorer = Some(explorer["sha256"].as_str().unwrap().to_owned());
    let plugins = Some((plugin_hash(&sandbox, "linear"), explorer));
    assert_eq!(key, hash(&format!("{ENGINE} {plugins:?} {scenario}"))[..12]);
}

/// A dataset is used again if its key is the same; the system is in it by this text.
#[test]
fn the_key_of_a_dataset_keeps_its_parts() {
    let observation = ObservationSpec::PAPER;
    let system = System::paper(2, 1);
    insta::assert_snapshot!("system", format!("{:?}\n{observation:?}", system.parameters()));
}
