//! Provenance: what another engine has computed is not taken for one's own, and every result says
//! which engine and which processor computed it.

use offramp_harness::engine::{ENGINE, provenance};
use offramp_tests::state_file::rehashed;
use offramp_tests::{Fields, Sandbox, example, plugin};
use serde_json::Value;

/// The build id of some other engine.
const OTHER: &str = "0123456789abcdef";

/// Makes a file look as if another engine had written it.
fn of_another_engine(sandbox: &Sandbox, file: &str) {
    let bytes = sandbox.bytes(file);
    let places: Vec<usize> = (0..bytes.len().saturating_sub(ENGINE.len()))
        .filter(|&at| bytes[at..].starts_with(ENGINE.as_bytes()))
        .collect();
    assert!(!places.is_empty(), "{file}");
    let mut altered = bytes;
    for at in places {
        altered[at..at + OTHER.len()].copy_from_slice(OTHER.as_bytes());
    }
    sandbox.write(file, altered);
}

fn scenario() -> Fields {
    Fields::new()
        .set("name", "\"small\"")
        .set("system", "(devices: 4, servers: 2, slots: 20)")
        .set("policies", "[(plugin: \"random\"), (plugin: \"all-local\")]")
        .set("evaluate.episodes", 2)
        .set("train.learner", plugin("linear").to_string())
        .set("train.explorer", plugin("uniform").to_string())
        .set("train.episodes", 4)
}

fn offramp(sandbox: &Sandbox, arguments: &[&str]) -> offramp_tests::Ran {
    let linear = example("linear").display().to_string();
    sandbox.offramp(&[arguments, &["--plugins", &linear]].concat())
}

#[test]
fn a_run_of_another_engine_is_not_continued() {
    let sandbox = Sandbox::new();
    sandbox.write("small.ron", scenario().to_string());
    sandbox.succeed(&["run", "small.ron", "--out", "run"]);
    let record: Value = serde_json::from_str(&sandbox.read("run/run.json")).unwrap();
    let ours = serde_json::to_value(provenance()).unwrap();
    assert_eq!(record["runs"][1]["provenance"], ours);
    of_another_engine(&sandbox, "run/run.json");
    let longer = scenario().set("policies", "[(plugin: \"random\"), (plugin: \"round-robin\")]");
    sandbox.write("small.ron", longer.to_string());
    let resumed = sandbox.offramp(&["run", "small.ron", "--out", "run", "--resume"]);
    assert_eq!(resumed.code, 2, "{}", resumed.out);
    assert!(resumed.err.contains("the engine of offramp"), "{}", resumed.err);
}

#[test]
fn parts_of_two_engines_are_not_one_batch() {
    let sandbox = Sandbox::new();
    sandbox.write("small.ron", scenario().to_string());
    for part in ["1/2", "2/2"] {
        let out = &part[..1];
        sandbox.succeed(&["run", "small.ron", "--out", out, "--shard", part]);
    }
    of_another_engine(&sandbox, "2/run.json");
    let merged = sandbox.offramp(&["merge", "1", "2", "--out", "all"]);
    assert_eq!(merged.code, 2, "{}", merged.out);
    assert!(merged.err.contains("different engines"), "{}", merged.err);
    assert!(!sandbox.has("all"));
}

#[test]
fn a_training_of_another_engine_is_not_continued() {
    let sandbox = Sandbox::new();
    sandbox.write("small.ron", scenario().to_string());
    let trained = offramp(&sandbox, &["train", "small.ron", "--out", "run"]);
    assert_eq!(trained.code, 0, "{}", trained.err);
    let recorded: Value = serde_json::from_str(&sandbox.read("run/provenance.json")).unwrap();
    assert_eq!(recorded, serde_json::to_value([provenance()]).unwrap());
    of_another_engine(&sandbox, "run/state");
    sandbox.write("run/state", rehashed(&sandbox.bytes("run/state")));
    let resumed = offramp(&sandbox, &["train", "small.ron", "--out", "run", "--resume"]);
    assert_eq!(resumed.code, 2, "{}", resumed.out);
    assert!(resumed.err.contains("the engine of offramp was 0123456789abcdef"), "{}", resumed.err);
}
