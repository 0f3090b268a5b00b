//! Uplinks without coverage: every policy, accounting and observation copes with a rate of 0.

use offramp_tests::{Sandbox, example};
use serde_json::Value;

const POLICIES: [&str; 8] = [
    "(plugin: \"all-local\")",
    "(plugin: \"constant\", name: \"server 1\", parameters: (action: 1))",
    "(plugin: \"constant\", name: \"server 2\", parameters: (action: 2))",
    "(plugin: \"random\")",
    "(plugin: \"heuristic\")",
    "(plugin: \"heuristic\", name: \"soft\", parameters: (temperature: 1.0))",
    "(plugin: \"round-robin\")",
    "(plugin: \"shortest-queue\")",
];

/// The metrics of every policy with these uplinks; each is a number wherever all-local has one.
fn metrics(uplinks: &str, fields: &str) -> Vec<Value> {
    let sandbox = Sandbox::new();
    let text = format!(
        "(name: \"x\", system: (devices: 4, servers: 2, uplink_mbps: {uplinks}), {fields},
          evaluate: (episodes: 3), policies: [{}])",
        POLICIES.join(", ")
    );
    sandbox.write("x.ron", text);
    let constant = example("constant").display().to_string();
    let text = sandbox.succeed(&["run", "x.ron", "--plugins", &constant, "--format", "json"]);
    let json: Value = serde_json::from_str(&text).unwrap();
    let runs: Vec<Value> =
        json["runs"].as_array().unwrap().iter().map(|run| run["metrics"].clone()).collect();
    assert_eq!(runs.len(), POLICIES.len());
    for (run, policy) in runs.iter().zip(POLICIES) {
        for (id, metric) in run.as_object().unwrap() {
            // A percentile may be of tasks of which there are none.
            let known = runs[0][id]["mean"].is_number();
            assert!(!known || metric["mean"].is_number(), "{uplinks}, {policy}, {id}: {metric}");
        }
    }
    runs
}

fn mean(metrics: &Value, id: &str) -> f64 {
    metrics[id]["mean"].as_f64().unwrap()
}

#[test]
fn a_server_without_coverage_is_avoided_by_who_looks() {
    for energy in ["Published", "Physical"] {
        let runs = metrics("PerServer([14.0, 0.0])", &format!("energy: {energy}"));
        let [_, first, second, _, heuristic, soft, _, shortest] = &runs[..] else { panic!() };
        // What is sent to server 2 never arrives, and takes no energy.
        assert_eq!(mean(second, "completion_ratio"), 0.0);
        assert_eq!(mean(second, "energy_per_task"), 0.0);
        assert!(mean(first, "completion_ratio") > 0.5);
        for run in [heuristic, soft, shortest] {
            assert!(mean(run, "completion_ratio") > 0.8, "{run}");
        }
    }
}

#[test]
fn without_any_coverage_who_looks_computes() {
    for energy in ["Published", "Physical"] {
        let runs = metrics("0", &format!("energy: {energy}"));
        let [local, _, _, _, heuristic, soft, _, shortest] = &runs[..] else { panic!() };
        for run in [heuristic, soft, shortest] {
            assert_eq!(run["qoe"], local["qoe"]);
            assert_eq!(mean(run, "local_share"), 1.0);
        }
    }
}

#[test]
fn every_form_and_observation_is_finite() {
    for (uplinks, observation) in [
        ("PerDevice([0, 14.0, 14.0, 0])", "Paper"),
        ("PerPair([[0, 14.0], [14.0, 0], [0, 0], [14.0, 14.0]])", "Extended"),
        ("Uniform(0, 14)", "Published"),
        ("Choice([0, 14])", "[\"uplink_mbps\", \"uplink_queue_slots\"]"),
        ("0.0", "[\"uplink_mbps\", \"uplink_queue_slots\"]"),
        ("0.0", "Published"),
        // Slower than any deadline.
        ("1e-15", "Published"),
    ] {
        metrics(uplinks, &format!("energy: Physical, observation: {observation}"));
    }
}

#[test]
fn a_learner_explores_without_coverage() {
    for uplinks in ["PerServer([14.0, 0.0])", "0"] {
        let sandbox = Sandbox::new();
        let text = format!(
            "(name: \"x\", system: (devices: 2, servers: 2, slots: 30, uplink_mbps: {uplinks}),
              energy: Physical, train: (learner: (plugin: \"d3qn\", parameters:
              (batch: 4, every_slots: 1, warm_up_slots: 0)), explorer: (plugin: \"heuristic\"), episodes: 3, validate_every: 3, validate_episodes: 1))"
        );
        sandbox.write("x.ron", text);
        sandbox.succeed(&["train", "x.ron", "--out", "trained"]);
        let rows = sandbox.read("trained/training.csv");
        assert!(!rows.contains("NaN") && !rows.contains("inf"), "{rows}");
    }
}
