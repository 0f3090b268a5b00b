//! One network for every system, end to end: trained over drawn systems, evaluated in others.

use offramp_tests::{Fields, Sandbox, plugin, quoted};
use serde_json::Value;

const SYSTEMS: &str = "{ \
    \"tasks.arrival_probability\": Uniform(0.2, 0.6), \"tasks.deadline_slots\": Whole(4, 12), \
    \"system.devices\": Choice([3, 6]), \"system.servers\": Whole(1, 5), \
    \"system.server_ghz\": Choice([20, Uniform(10.0, 40.0)]), \
    \"energy\": Choice([Published, Physical]) }";

fn learner() -> Fields {
    plugin("generalist")
        .set("parameters.lstm", 3)
        .set("parameters.embedding", 6)
        .set("parameters.hidden", 5)
}

fn training() -> Fields {
    let learner = learner()
        .set("parameters.batch", 16)
        .set("parameters.replay", 100)
        .set("parameters.warm_up_slots", 10);
    Fields::scenario("training")
        .set("system", Fields::new())
        .set("system.slots", 40)
        .set("train.learner", learner)
        .set("train.episodes", 4)
        .set("train.systems", SYSTEMS)
        .set("train.validate_systems", 2)
        .set("train.validate_episodes", 2)
        .set("train.validate_every", 2)
        .set("train.save_every", 1)
}

/// Another system, of a policy with parameters of its own beside one that has learned.
fn evaluation(checkpoint: &str, servers: u32) -> Fields {
    let trained = learner().set("checkpoint", quoted(checkpoint));
    Fields::scenario("elsewhere")
        .set("system", Fields::new())
        .set("system.devices", 9)
        .set("system.servers", servers)
        .set("system.slots", 30)
        .set("observation", "Extended")
        .set("policies", format!("[{trained}, (plugin: \"random\")]"))
        .set("evaluate.episodes", 2)
}

#[test]
fn what_was_learned_over_systems_decides_in_others() {
    let sandbox = Sandbox::new();
    sandbox.write("training.ron", training().to_string());
    sandbox.succeed(&["train", "training.ron", "--out", "run"]);
    for servers in [1, 2, 7] {
        let scenario = evaluation("run/final.safetensors", servers);
        sandbox.write("elsewhere.ron", scenario.to_string());
        let printed = sandbox.succeed(&["run", "elsewhere.ron", "--format", "json"]);
        let json: Value = serde_json::from_str(&printed).unwrap();
        let runs = json["runs"].as_array().unwrap();
        assert_eq!(runs.len(), 2);
        assert!(runs.iter().all(|run| run["metrics"]["qoe"]["mean"].is_number()), "{printed}");
    }
    let shown = sandbox.succeed(&["inspect", "run/final.safetensors"]);
    for part in ["set of servers", "predicted_reward", "generalist", "temperature"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    sandbox.succeed(&["export", "run/final.safetensors", "--as", "c", "--out", "device"]);
    // Of other inputs.
    let other = evaluation("run/final.safetensors", 2).to_string();
    sandbox.write("other.ron", other.replace("lstm: 3", "lstm: 3, predictions: false"));
    let refused = sandbox.offramp(&["run", "other.ron"]);
    assert_eq!(refused.code, 2, "{}", refused.out);
    assert!(refused.err.contains("`local_delay`"), "{}", refused.err);
}

fn teacher(checkpoint: &str) -> Fields {
    learner().set("checkpoint", quoted(checkpoint))
}

#[test]
fn who_can_not_teach_or_be_taught_is_named() {
    let sandbox = Sandbox::new();
    sandbox.write("before.ron", training().to_string());
    sandbox.succeed(&["train", "before.ron", "--out", "before"]);
    let taught = training()
        .set("train.learner.parameters.learn_from", "Teacher(20)")
        .set("train.teacher", teacher("before/final.safetensors"));
    let d3qn = |scenario: Fields| {
        scenario.set("train.systems", "{}").set("train.validate_systems", "None")
    };
    let cases = [
        (
            training().set("train.learner.parameters.learn_from", "Teacher(20)"),
            "name one as `train.teacher`",
        ),
        (taught.clone().set("train.teacher", plugin("heuristic")), "has no value function"),
        (taught.clone().set("train.teacher.checkpoint", quoted("none")), "none"),
        (taught.clone().set("train.teacher.plugin", quoted("d3qn")), "any_system"),
        (
            d3qn(taught.clone()).set("train.learner", plugin("dcdrl")),
            "`dcdrl` can't be fitted to a teacher",
        ),
        (
            taught.clone().set("train.learner.parameters.learn_from", "Rewards"),
            "leave out `train.teacher`",
        ),
        (
            training().set("train.learner.parameters.imitate", "0.5"),
            "name one as `train.teacher`, or leave out `imitate`",
        ),
    ];
    for (number, (scenario, expected)) in cases.into_iter().enumerate() {
        sandbox.write("taught.ron", scenario.to_string());
        let out = format!("refused-{number}");
        let refused = sandbox.offramp(&["train", "taught.ron", "--out", &out]);
        let told = refused.err.replace("\n  │ ", " ");
        assert!(refused.code == 2 && told.contains(expected), "{expected}: {}", refused.err);
        assert!(told.contains("taught.ron:"), "{}", refused.err);
        assert!(!sandbox.has(&out), "{expected}");
    }
    sandbox.write("taught.ron", taught.to_string());
    sandbox.succeed(&["train", "taught.ron", "--out", "taught"]);
    let shown = sandbox.succeed(&["inspect", "taught.ron"]);
    assert!(shown.contains("teacher_checkpoint"), "{shown}");
    // What it learns depends on its teacher.
    sandbox.write("other.ron", training().set("train.seed", 2).to_string());
    sandbox.succeed(&["train", "other.ron", "--out", "other"]);
    let other = taught.set("train.teacher.checkpoint", quoted("other/final.safetensors"));
    sandbox.write("taught.ron", other.to_string());
    let refused = sandbox.offramp(&["train", "taught.ron", "--out", "taught", "--resume"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(refused.err.contains("`train.teacher.checkpoint` has changed"), "{}", refused.err);
}

#[test]
fn neither_threads_nor_interruptions_change_what_is_learned() {
    let rewards = ("learn_from", "Rewards");
    for more in [
        &[("learn_from", "Counterfactuals(20)"), ("deploy", "Evaluation")][..],
        &[rewards, ("n_step", "2")],
        &[rewards, ("priority", "0.6")],
        // Taught by an earlier network, alone and beside counterfactuals.
        &[("learn_from", "Teacher(20)")],
        &[("learn_from", "Counterfactuals(20)"), ("imitate", "1.0")],
    ] {
        let sandbox = Sandbox::new();
        let with = |training: Fields, &(field, value): &(&str, &str)| {
            training.set(&format!("train.learner.parameters.{field}"), value)
        };
        let mut learner = training().set("train.explorer", plugin("heuristic"));
        if more.iter().any(|(field, value)| *field == "imitate" || value.starts_with("Teacher")) {
            sandbox.write("teacher.ron", training().set("train.seed", 2).to_string());
            sandbox.succeed(&["train", "teacher.ron", "--out", "teacher"]);
            learner = learner.set("train.teacher", teacher("teacher/final.safetensors"));
        }
        sandbox.write("training.ron", more.iter().fold(learner, with).to_string());
        for (out, jobs) in [("one", "1"), ("three", "3")] {
            sandbox.succeed(&["train", "training.ron", "--out", out, "--jobs", jobs]);
        }
        let command = ["train", "training.ron", "--out", "killed", "--resume"];
        sandbox.killed_until_done(&command);
        for file in ["training.csv", "final.safetensors", "best.safetensors", "state"] {
            let one = sandbox.bytes(&format!("one/{file}"));
            assert_eq!(one, sandbox.bytes(&format!("three/{file}")), "{file}");
            assert_eq!(one, sandbox.bytes(&format!("killed/{file}")), "{file}");
        }
    }
}
