//! A floor under learning: short trainings and distillations reach a QoE on tasks that they have not
//! seen, which no policy reaches that has learned nothing.
//!
//! The servers differ, so that spreading tasks evenly is as wrong as sending them all to the
//! fastest. On the tasks of [`qoe`], of policies without learning: `random` 193, `all-local` 182,
//! always the fastest server −101, the rules of `heuristic` 450.

use offramp_tests::{Fields, Sandbox, plugin, quoted};
use serde_json::Value;

/// The QoE that what was learned reaches at least.
const FLOOR: f64 = 330.0;

fn system(name: &str) -> Fields {
    Fields::scenario(name)
        .set("system", Fields::new())
        .set("system.devices", 20)
        .set("system.servers", 3)
        .set("system.slots", 60)
        .set("system.server_ghz", "[3.0, 12.0, 24.0]")
        .set("observation", "Extended")
}

/// QoE of policies, as the scenario has them, on 20 episodes of their own.
fn qoe(sandbox: &Sandbox, policies: &[&Fields]) -> Vec<f64> {
    let list: Vec<String> = policies.iter().map(ToString::to_string).collect();
    let scenario = system("unseen")
        .set("policies", format!("[{}]", list.join(", ")))
        .set("evaluate.episodes", 20)
        .set("evaluate.seed", 77);
    sandbox.write("unseen.ron", scenario.to_string());
    let printed = sandbox.succeed(&["run", "unseen.ron", "--format", "json"]);
    let json: Value = serde_json::from_str(&printed).unwrap();
    let runs = json["runs"].as_array().unwrap();
    runs.iter().map(|run| run["metrics"]["qoe"]["mean"].as_f64().unwrap()).collect()
}

/// Trains a learner into `run`; then it is above the floor, and as it was before it is below.
#[track_caller]
fn train(sandbox: &Sandbox, learner: &Fields, explorer: Option<Fields>, episodes: u32) {
    let mut scenario = system("training")
        .set("train.learner", learner.clone())
        .set("train.episodes", episodes)
        .set("train.validate_every", episodes)
        .set("train.validate_episodes", 2);
    if let Some(explorer) = explorer {
        scenario = scenario.set("train.explorer", explorer);
    }
    sandbox.write("training.ron", scenario.to_string());
    sandbox.succeed(&["train", "training.ron", "--out", "run"]);
    let trained = learner.clone().set("checkpoint", quoted("run/final.safetensors"));
    let untrained = learner.clone().set("name", quoted("untrained")).set("untrained", true);
    let [trained, untrained, random] = qoe(sandbox, &[&trained, &untrained, &plugin("random")])[..]
    else {
        unreachable!()
    };
    assert!(trained > FLOOR, "{trained} after training");
    assert!(untrained.max(random) < FLOOR - 100.0, "{untrained} before, {random} at random");
}

fn shared() -> Fields {
    plugin("d3qn").set("parameters.hidden", 8).set("parameters.sharing", "Shared")
}

/// Five training seeds: 457 to 469; untrained −101.
fn taught() -> Sandbox {
    let sandbox = Sandbox::new();
    let learner = shared()
        .set("parameters.discount", 0.5)
        .set("parameters.batch", 64)
        .set("parameters.replay", 10_000)
        .set("parameters.every_slots", 1);
    train(&sandbox, &learner, Some(plugin("heuristic")), 100);
    sandbox
}

/// Five training seeds: 446 to 453; untrained 78.
#[test]
fn networks_of_each_device_learn_to_offload() {
    let learner = plugin("d3qn")
        .set("parameters.hidden", 8)
        .set("parameters.discount", 0.5)
        .set("parameters.every_slots", 2)
        .set("parameters.optimiser", "Adam(0.005)");
    train(&Sandbox::new(), &learner, Some(plugin("heuristic")), 40);
}

/// Five training seeds: 447 to 453; untrained 167.
#[test]
fn actors_learn_to_offload() {
    let learner = plugin("dcdrl")
        .set("parameters.hidden", 16)
        .set("parameters.batch", 64)
        .set("parameters.rounds", 2)
        .set("parameters.target", "Soft(0.005)");
    train(&Sandbox::new(), &learner, None, 200);
}

/// A shared network, and what is distilled from it. Five distillation seeds: networks 405 to 464,
/// untrained −58; trees 458 to 464.
#[test]
fn a_shared_network_learns_to_offload_and_teaches_it() {
    let sandbox = taught();
    let teacher = shared().set("checkpoint", quoted("run/final.safetensors"));
    let network = plugin("student")
        .set("parameters.teacher_hidden", 8)
        .set("parameters.ratio", 0.75)
        .set("parameters.sharing", "Shared")
        .set("parameters.advantage_weight", 100.0);
    let tree = plugin("tree-student").set("parameters.max_depth", 8);
    for (student, steps, out) in [(network, 1500, "network"), (tree, 100, "tree")] {
        let scenario = system("distillation")
            .set("distill.teacher", teacher.clone())
            .set("distill.student", student.clone())
            .set("distill.states", 6000)
            .set("distill.explored", 0.1)
            .set("distill.steps", steps)
            .set("distill.batch", "PerDevice(16)")
            .set("distill.validate_every", steps)
            .set("distill.validate_episodes", 2);
        sandbox.write("distillation.ron", scenario.to_string());
        sandbox.succeed(&["distill", "distillation.ron", "--out", out]);
        let distilled = student.set("checkpoint", quoted(&format!("{out}/final.safetensors")));
        let [qoe] = qoe(&sandbox, &[&distilled])[..] else { unreachable!() };
        assert!(qoe > FLOOR, "{out}: {qoe}");
    }
}
