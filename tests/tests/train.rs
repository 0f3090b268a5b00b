//! `offramp train`, end to end: it learns what is known to be best, and neither an interruption nor
//! the number of threads changes a result.

use offramp_results::learning;
use offramp_tests::{Fields, Sandbox, example, plugin, quoted};
use serde_json::Value;

/// The best server of the toy system, whatever a task looks like.
const BEST_ACTION: u32 = 2;

/// A scenario in which server 1 and the devices are useless and server 2 is as good as endless.
fn toy_system(name: &str) -> Fields {
    Fields::scenario(name)
        .set("system", Fields::new())
        .set("system.devices", 3)
        .set("system.servers", 2)
        .set("system.slots", 60)
        .set("system.device_ghz", 0.05)
        .set("system.server_ghz", "[0.05, 400.0]")
        .set("system.uplink_mbps", 40.0)
        .set("tasks.arrival_probability", 0.3)
}

/// The training of a learner in the toy system.
fn training(learner: Fields, episodes: u32) -> Fields {
    toy_system("toy")
        .set("train.learner", learner)
        .set("train.episodes", episodes)
        .set("train.save_every", 5)
        .set("train.validate_every", 10)
        .set("train.validate_episodes", 3)
}

/// The training of networks that an explorer guides.
fn training_of_networks(learner: Fields, episodes: u32) -> Fields {
    training(learner, episodes)
        .set("train.explorer", plugin("uniform"))
        .set("train.explorer.parameters.over", 0.3)
}

/// Small networks.
fn networks() -> Fields {
    plugin("d3qn")
        .set("parameters.hidden", 4)
        .set("parameters.batch", 16)
        .set("parameters.every_slots", 2)
        .set("parameters.warm_up_slots", 100)
        .set("parameters.optimiser", "Adam(0.01)")
        .set("parameters.anneal", 0)
}

/// Small actors, which explore by themselves.
fn actors() -> Fields {
    plugin("dcdrl")
        .set("parameters.hidden", 8)
        .set("parameters.batch", 16)
        .set("parameters.actors", 4)
        .set("parameters.rounds", 2)
        .set("parameters.critic_rate", 0.01)
        .set("parameters.actor_rate", 0.01)
        .set("parameters.target", "Soft(0.01)")
        .set("parameters.anneal", 0)
        .set("parameters.replay", 300)
}

/// A folder with that scenario, trained into `run`.
fn trained(scenario: &Fields) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("toy.ron", scenario.to_string());
    sandbox.succeed(&["train", "toy.ron", "--out", "run"]);
    sandbox
}

/// Trains a learner, and compares it on other tasks with what is known to be best.
#[track_caller]
fn learns_the_best(learner: &Fields, training: &Fields) {
    let sandbox = trained(training);
    let best = plugin("constant").set("parameters.action", BEST_ACTION);
    let learned = learner.clone().set("checkpoint", quoted("run/final.safetensors"));
    let compare = toy_system("compare")
        .set("policies", format!("[{best}, {learned}]"))
        .set("evaluate.episodes", 10)
        .set("evaluate.seed", 77);
    sandbox.write("compare.ron", compare.to_string());
    let constant = example("constant").display().to_string();
    let printed =
        sandbox.succeed(&["run", "compare.ron", "--plugins", &constant, "--format", "json"]);
    let json: Value = serde_json::from_str(&printed).unwrap();
    let qoe = |run: usize| json["runs"][run]["metrics"]["qoe"]["mean"].as_f64().unwrap();
    assert!(qoe(0) > 0.0);
    // Every decision is the best one, or all except a few.
    assert!(qoe(1) > 0.99 * qoe(0), "{} of {}", qoe(1), qoe(0));
}

#[test]
fn networks_of_each_device_learn_the_best_policy() {
    learns_the_best(&networks(), &training_of_networks(networks(), 40));
}

#[test]
fn one_shared_network_learns_the_best_policy() {
    let shared = networks().set("parameters.sharing", "Shared").set("parameters.every_slots", 1);
    learns_the_best(&shared, &training_of_networks(shared.clone(), 40));
}

#[test]
fn the_next_slots_state_serves_too() {
    let next_slot =
        networks().set("parameters.next_state", "NextSlot").set("parameters.target", "Hard(20)");
    learns_the_best(&next_slot, &training_of_networks(next_slot.clone(), 40));
}

#[test]
fn actors_learn_the_best_policy() {
    learns_the_best(&actors(), &training(actors(), 60));
}

#[test]
fn a_training_is_bit_identical_for_any_number_of_threads() {
    let shared = networks().set("parameters.sharing", "Shared").set("parameters.batch", 200);
    for learner in [networks(), shared] {
        let sandbox = Sandbox::new();
        sandbox.write("toy.ron", training_of_networks(learner, 10).to_string());
        for (out, jobs) in [("one", "1"), ("two", "2"), ("five", "5")] {
            sandbox.succeed(&["train", "toy.ron", "--out", out, "--jobs", jobs]);
        }
        for file in ["training.csv", "final.safetensors", "best.safetensors", "state"] {
            let one = sandbox.bytes(&format!("one/{file}"));
            assert_eq!(one, sandbox.bytes(&format!("two/{file}")), "{file}");
            assert_eq!(one, sandbox.bytes(&format!("five/{file}")), "{file}");
        }
        // It has learned something.
        let rows = sandbox.read("one/training.csv");
        assert!(rows.lines().any(|row| !row.contains(",0.0,0,")));
    }
}

#[test]
fn a_killed_training_resumes_bit_identical() {
    let sandbox = Sandbox::new();
    for (name, training) in
        [("networks", training_of_networks(networks(), 30)), ("actors", training(actors(), 60))]
    {
        sandbox.write("toy.ron", training.to_string());
        let (whole, killed) = (format!("{name}-whole"), format!("{name}-killed"));
        sandbox.succeed(&["train", "toy.ron", "--out", &whole]);
        let kills = sandbox.killed_until_done(&["train", "toy.ron", "--out", &killed, "--resume"]);
        assert!(kills > 0, "it was never killed");
        for file in
            ["training.csv", "final.safetensors", "best.safetensors", "state", "scenario.ron"]
        {
            let bits = sandbox.bytes(&format!("{whole}/{file}"));
            assert_eq!(bits, sandbox.bytes(&format!("{killed}/{file}")), "{name}: {file}");
        }
        // Each episode took its time once, in whichever attempt.
        let episodes = |out: &str| -> Vec<u64> {
            let rows = learning::timing(&sandbox.path().join(out)).unwrap();
            assert!(rows.iter().all(|row| row.seconds > 0.0));
            assert!(
                rows.iter().all(|row| row.validation_seconds.is_some() == (row.episode % 10 == 9))
            );
            rows.iter().map(|row| row.episode).collect()
        };
        assert_eq!(episodes(&killed), episodes(&whole));
    }
}

/// Validation is held out: how often it happens changes nothing of the training.
#[test]
fn validation_does_not_affect_training() {
    let sandbox = Sandbox::new();
    let rows = |every: u32| {
        let scenario = training_of_networks(networks(), 20).set("train.validate_every", every);
        sandbox.write("toy.ron", scenario.to_string());
        let out = every.to_string();
        sandbox.succeed(&["train", "toy.ron", "--out", &out]);
        let table = sandbox.read(&format!("{out}/training.csv"));
        // The last two columns are of the validation.
        let of_training = |row: &str| row.rsplitn(3, ',').nth(2).unwrap().to_owned();
        table.lines().map(of_training).collect::<Vec<_>>()
    };
    assert_eq!(rows(1), rows(20));
}

#[test]
fn a_training_is_not_overwritten_and_resumes_only_itself() {
    let scenario = training_of_networks(networks(), 5);
    let sandbox = trained(&scenario);
    let before = sandbox.bytes("run/state");
    let mut errors = sandbox.offramp(&["train", "toy.ron", "--out", "run"]).err;
    let other = scenario.set("tasks.arrival_probability", 0.4);
    sandbox.write("other.ron", other.to_string());
    errors += &sandbox.offramp(&["train", "other.ron", "--out", "run", "--resume"]).err;
    sandbox.write("run/state", &before[..before.len() - 1]);
    errors += &sandbox.offramp(&["train", "toy.ron", "--out", "run", "--resume"]).err;
    sandbox.write("run/state", &before[..3]);
    errors += &sandbox.offramp(&["train", "toy.ron", "--out", "run", "--resume"]).err;
    insta::assert_snapshot!(errors);
}

/// The scenario `x` with these policies.
fn evaluation(policies: &[Fields]) -> Fields {
    let policies: Vec<String> = policies.iter().map(ToString::to_string).collect();
    toy_system("x")
        .set("policies", format!("[{}]", policies.join(", ")))
        .set("evaluate.episodes", 2)
}

#[test]
fn a_checkpoint_that_does_not_fit_is_refused() {
    let sandbox = trained(&training_of_networks(networks(), 5));
    let good = sandbox.bytes("run/final.safetensors");
    sandbox.write("cut.safetensors", &good[..good.len() / 2]);
    let mut altered = good.clone();
    *altered.last_mut().unwrap() ^= 1;
    sandbox.write("altered.safetensors", altered);
    sandbox.write("text.safetensors", "not a checkpoint");
    let policy = |label: &str, learner: Fields, file: &str| {
        learner.set("name", quoted(label)).set("checkpoint", quoted(file))
    };
    let file = "run/final.safetensors";
    let failures = |scenario: &Fields| {
        sandbox.write("x.ron", scenario.to_string());
        let ran = sandbox.offramp(&["run", "x.ron"]);
        assert_eq!(ran.code, 2, "{}", ran.out);
        let words = ran.err.replace('│', "");
        words.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let good = policy("good", networks(), file);
    let all = evaluation(&[
        good.clone(),
        policy("cut", networks(), "cut.safetensors"),
        policy("altered", networks(), "altered.safetensors"),
        policy("text", networks(), "text.safetensors"),
        policy("size", networks().set("parameters.hidden", 8), file),
        policy("sharing", networks().set("parameters.sharing", "Shared"), file),
        policy("kind", plugin("qeco"), file),
    ]);
    insta::assert_snapshot!("checkpoints", failures(&all));
    // Another observation is another network.
    let extended =
        failures(&evaluation(std::slice::from_ref(&good)).set("observation", "Extended"));
    assert!(
        extended.contains("observation `Paper`, and this scenario has `Extended`"),
        "{extended}"
    );
    // And a learner's parameter that is out of range is named.
    let no_batch = failures(&evaluation(&[good.clone().set("parameters.batch", 0)]));
    assert!(no_batch.contains("create: batch: 0 is out of range: 1 to 65536"), "{no_batch}");
    let no_update = failures(&evaluation(&[good.set("parameters.batch", 4096)]));
    assert!(no_update.contains("at most `replay`, which is 2000"), "{no_update}");
}

#[test]
fn a_checkpoint_states_what_it_holds() {
    let sandbox = trained(&training_of_networks(networks(), 5));
    let ran = sandbox.offramp(&["inspect", "run/final.safetensors"]);
    assert_eq!(ran.code, 0);
    insta::with_settings!({filters => vec![(r"[0-9a-f]{64}", "SHA256")]}, {
        insta::assert_snapshot!("inspect", ran.out);
    });
    let ran = sandbox.offramp(&["inspect", "toy.ron"]);
    insta::assert_snapshot!("inspect_scenario", ran.out);
    sandbox.write("text.safetensors", "not a checkpoint");
    let ran = sandbox.offramp(&["inspect", "text.safetensors"]);
    assert_eq!(ran.code, 2);
    insta::assert_snapshot!("inspect_text", ran.err);
}

#[test]
fn what_can_not_be_trained_is_refused() {
    let sandbox = Sandbox::new();
    let mut errors = String::new();
    for train in [
        "",
        "train: (learner: (plugin: \"random\"), episodes: 5)",
        "train: (learner: (plugin: \"d3qn\"), explorer: (plugin: \"unifrom\"), episodes: 5)",
        "train: (learner: (plugin: \"d3qn\"), episodes: 0)",
    ] {
        sandbox.write("x.ron", format!("(name: \"x\", {train})"));
        let ran = sandbox.offramp(&["train", "x.ron"]);
        assert_eq!(ran.code, 2);
        errors += &ran.err;
    }
    insta::assert_snapshot!(errors);
    // A learner that fails ends its training; that is not bad input.
    sandbox.write(
        "x.ron",
        "(name: \"x\", train: (learner: (plugin: \"hostile-learner\", \
         parameters: (misdeed: PanicIn(\"learn\"))), episodes: 5))",
    );
    let hostile = example("hostile").display().to_string();
    let ran = sandbox.offramp(&["train", "x.ron", "--plugins", &hostile]);
    assert_eq!(ran.code, 1);
    insta::assert_snapshot!("failing_learner", ran.err);
    sandbox.write(
        "x.ron",
        "(name: \"x\", train: (learner: (plugin: \"d3qn\"), explorer: (plugin: \"hostile\"), \
         episodes: 5))",
    );
    let ran = sandbox.offramp(&["train", "x.ron", "--plugins", &hostile]);
    assert_eq!(ran.code, 1);
    insta::assert_snapshot!("failing_explorer", ran.err);
}

/// A sweep trains each of its points.
#[test]
fn a_sweep_is_trained_point_by_point() {
    let scenario = training_of_networks(networks(), 5)
        .set("sweep", "{\"train.learner.parameters.discount\": [0.1, 0.9]}");
    let sandbox = trained(&scenario);
    let rows = |point: &str| sandbox.read(&format!("run/{point}/training.csv"));
    assert_eq!(rows("point-000").lines().count(), 6);
    assert_ne!(rows("point-000"), rows("point-001"));
    // And they are drawn side by side.
    assert_eq!(sandbox.read("run/curves.csv").lines().count(), 1 + 2 * 5);
    for figure in ["curves", "drops"] {
        assert!(sandbox.read(&format!("run/{figure}.svg")).contains("discount = 0.9"));
        assert_eq!(sandbox.bytes(&format!("run/{figure}.png"))[..4], *b"\x89PNG");
    }
}
