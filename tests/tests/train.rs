//! `offramp train`, end to end: it learns what is known to be best, and an interruption, the
//! number of threads or a damaged file change nothing or are told.

use offramp_tests::{Sandbox, example};
use serde_json::Value;

/// Server 1 and the devices are useless, server 2 is as good as endless: it is best, whatever a
/// task looks like.
const TOY_SYSTEM: &str = "system: (devices: 3, servers: 2, slots: 60, device_ghz: 0.05,
        server_ghz: [0.05, 400.0], uplink_mbps: 40.0),
    tasks: (arrival_probability: 0.3)";

fn toy(learner: &str, episodes: u32) -> String {
    let explorer = "explorer: (plugin: \"uniform\", parameters: (per_update: 0.01)),";
    toy_of("d3qn", learner, explorer, episodes)
}

fn toy_of(plugin: &str, learner: &str, explorer: &str, episodes: u32) -> String {
    format!(
        "(name: \"toy\", {TOY_SYSTEM}, train: (
            learner: (plugin: \"{plugin}\", parameters: ({learner})), {explorer}
            episodes: {episodes}, save_every: 5, validate_every: 10, validate_episodes: 3,
        ))"
    )
}

/// Actors explore by themselves.
const ACTORS: &str = "hidden: 8, batch: 16, actors: 4, rounds: 2, critic_rate: 0.01, \
                      actor_rate: 0.01, target: Soft(0.01), anneal_updates: 0, replay: 300";

const SMALL: &str = "hidden: 4, batch: 16, every_slots: 2, warm_up_slots: 100, \
                     optimiser: Adam(0.01), anneal_updates: 0";

fn bytes(sandbox: &Sandbox, file: &str) -> Vec<u8> {
    std::fs::read(sandbox.path().join(file)).unwrap()
}

fn text(sandbox: &Sandbox, file: &str) -> String {
    String::from_utf8(bytes(sandbox, file)).unwrap()
}

/// What is known to be best, and what was learned, on the same tasks.
#[track_caller]
fn learns_the_best(plugin: &str, learner: &str, training: String) {
    let sandbox = Sandbox::new();
    sandbox.write("toy.ron", training);
    let ran = sandbox.offramp(&["train", "toy.ron", "--out", "run"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    sandbox.write(
        "compare.ron",
        format!(
            "(name: \"compare\", {TOY_SYSTEM}, policies: [
                (plugin: \"hostile\", name: \"best\", parameters: (misdeed: Decide(2))),
                (plugin: \"{plugin}\", checkpoint: \"run/final.safetensors\",
                    parameters: ({learner})),
            ], evaluate: (episodes: 10, seed: 77))"
        ),
    );
    let hostile = example("hostile").display().to_string();
    let ran = sandbox.offramp(&["run", "compare.ron", "--plugins", &hostile, "--format", "json"]);
    assert_eq!(ran.code, 0, "{}{}", ran.err, ran.out);
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    let qoe = |run: usize| json["runs"][run]["metrics"]["qoe"]["mean"].as_f64().unwrap();
    assert!(qoe(0) > 0.0);
    // Every decision is the best one, or all but a few.
    assert!(qoe(1) > 0.99 * qoe(0), "{} of {}", qoe(1), qoe(0));
}

#[test]
fn networks_of_each_device_learn_the_best_policy() {
    learns_the_best("d3qn", SMALL, toy(SMALL, 40));
}

#[test]
fn one_shared_network_learns_the_best_policy() {
    let shared =
        format!("{SMALL}, sharing: Shared, every_slots: 1").replace("every_slots: 2, ", "");
    learns_the_best("d3qn", &shared, toy(&shared, 40));
}

#[test]
fn the_next_slots_state_serves_too() {
    let next_slot = format!("{SMALL}, next_state: NextSlot, target: Hard(20)");
    learns_the_best("d3qn", &next_slot, toy(&next_slot, 40));
}

#[test]
fn actors_learn_the_best_policy() {
    learns_the_best("dcdrl", ACTORS, toy_of("dcdrl", ACTORS, "", 60));
}

#[test]
fn threads_change_no_bit() {
    for learner in [SMALL.to_owned(), format!("{SMALL}, sharing: Shared").replace("16", "200")] {
        let sandbox = Sandbox::new();
        sandbox.write("toy.ron", toy(&learner, 10));
        for (out, jobs) in [("one", "1"), ("two", "2"), ("five", "5")] {
            let ran = sandbox.offramp(&["train", "toy.ron", "--out", out, "--jobs", jobs]);
            assert_eq!(ran.code, 0, "{}", ran.err);
        }
        for file in ["training.csv", "final.safetensors", "best.safetensors", "state"] {
            let one = bytes(&sandbox, &format!("one/{file}"));
            assert_eq!(one, bytes(&sandbox, &format!("two/{file}")), "{file}");
            assert_eq!(one, bytes(&sandbox, &format!("five/{file}")), "{file}");
        }
        assert!(text(&sandbox, "one/training.csv").lines().any(|row| !row.contains(",0.0,0,")));
    }
}

#[test]
fn a_killed_training_goes_on_to_the_same_bits() {
    let sandbox = Sandbox::new();
    for (name, training) in
        [("networks", toy(SMALL, 30)), ("actors", toy_of("dcdrl", ACTORS, "", 60))]
    {
        sandbox.write("toy.ron", training);
        let (whole, killed) = (format!("{name}-whole"), format!("{name}-killed"));
        assert_eq!(sandbox.offramp(&["train", "toy.ron", "--out", &whole]).code, 0);
        let kills = sandbox.killed_until_done(&["train", "toy.ron", "--out", &killed, "--resume"]);
        assert!(kills > 0, "it was never killed");
        for file in
            ["training.csv", "final.safetensors", "best.safetensors", "state", "scenario.ron"]
        {
            let bits = bytes(&sandbox, &format!("{whole}/{file}"));
            assert_eq!(bits, bytes(&sandbox, &format!("{killed}/{file}")), "{name}: {file}");
        }
    }
}

/// Validation is held out: how often it happens changes nothing of the training.
#[test]
fn validation_touches_nothing() {
    let sandbox = Sandbox::new();
    let rows = |every: &str| {
        let scenario =
            toy(SMALL, 20).replace("validate_every: 10", &format!("validate_every: {every}"));
        sandbox.write("toy.ron", scenario);
        assert_eq!(sandbox.offramp(&["train", "toy.ron", "--out", every]).code, 0);
        let table = text(&sandbox, &format!("{every}/training.csv"));
        let of_training = |row: &str| row.rsplitn(3, ',').nth(2).unwrap().to_owned();
        table.lines().map(of_training).collect::<Vec<_>>()
    };
    assert_eq!(rows("1"), rows("20"));
}

#[test]
fn a_training_is_not_overwritten_and_resumes_only_itself() {
    let sandbox = Sandbox::new();
    sandbox.write("toy.ron", toy(SMALL, 5));
    assert_eq!(sandbox.offramp(&["train", "toy.ron", "--out", "run"]).code, 0);
    let before = bytes(&sandbox, "run/state");
    let mut errors = sandbox.offramp(&["train", "toy.ron", "--out", "run"]).err;
    sandbox.write("other.ron", toy(SMALL, 5).replace("0.3", "0.4"));
    errors += &sandbox.offramp(&["train", "other.ron", "--out", "run", "--resume"]).err;
    sandbox.write("run/state", &before[..before.len() - 1]);
    errors += &sandbox.offramp(&["train", "toy.ron", "--out", "run", "--resume"]).err;
    sandbox.write("run/state", &before[..3]);
    errors += &sandbox.offramp(&["train", "toy.ron", "--out", "run", "--resume"]).err;
    insta::assert_snapshot!(errors);
}

#[test]
fn a_checkpoint_that_does_not_fit_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("toy.ron", toy(SMALL, 5));
    assert_eq!(sandbox.offramp(&["train", "toy.ron", "--out", "run"]).code, 0);
    let good = bytes(&sandbox, "run/final.safetensors");
    sandbox.write("cut.safetensors", &good[..good.len() / 2]);
    let mut altered = good.clone();
    *altered.last_mut().unwrap() ^= 1;
    sandbox.write("altered.safetensors", altered);
    sandbox.write("text.safetensors", "not a checkpoint");
    let policy = |label: &str, plugin: &str, file: &str, parameters: &str| {
        format!(
            "(plugin: \"{plugin}\", name: \"{label}\", checkpoint: \"{file}\", \
             parameters: ({parameters})),\n"
        )
    };
    let policies = [
        policy("good", "d3qn", "run/final.safetensors", SMALL),
        policy("cut", "d3qn", "cut.safetensors", SMALL),
        policy("altered", "d3qn", "altered.safetensors", SMALL),
        policy("text", "d3qn", "text.safetensors", SMALL),
        policy("size", "d3qn", "run/final.safetensors", &SMALL.replace("hidden: 4", "hidden: 8")),
        policy("sharing", "d3qn", "run/final.safetensors", &format!("{SMALL}, sharing: Shared")),
        policy("kind", "qeco", "run/final.safetensors", ""),
    ]
    .concat();
    let scenario =
        format!("(name: \"x\", {TOY_SYSTEM}, policies: [{policies}], evaluate: (episodes: 2))");
    sandbox.write("x.ron", &scenario);
    let ran = sandbox.offramp(&["run", "x.ron"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    let failures: Vec<_> = ran.out.lines().filter(|line| line.starts_with("failed")).collect();
    insta::assert_snapshot!("checkpoints", failures.join("\n"));
    // Another observation is another network.
    sandbox.write("x.ron", scenario.replacen("(name", "(observation: Extended, name", 1));
    let ran = sandbox.offramp(&["run", "x.ron"]);
    let failure = ran.out.lines().find(|line| line.starts_with("failed: good")).unwrap();
    assert!(failure.contains("density_gcycles_per_mbit"), "{failure}");
    // And every learned parameter that is out of range is named.
    sandbox.write("x.ron", scenario.replace("batch: 16", "batch: 0"));
    let ran = sandbox.offramp(&["run", "x.ron"]);
    assert!(ran.out.contains("create: batch: 1 … 65536 is needed"), "{}", ran.out);
}

#[test]
fn a_checkpoint_tells_what_it_holds() {
    let sandbox = Sandbox::new();
    sandbox.write("toy.ron", toy(SMALL, 5));
    assert_eq!(sandbox.offramp(&["train", "toy.ron", "--out", "run"]).code, 0);
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
    // A learner that fails ends its training; that is no bad input.
    sandbox.write(
        "x.ron",
        "(name: \"x\", train: (learner: (plugin: \"hostile\", \
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
    let sandbox = Sandbox::new();
    let scenario = toy(SMALL, 5)
        .replace("(name:", "(sweep: {\"train.learner.parameters.discount\": [0.1, 0.9]}, name:");
    sandbox.write("toy.ron", scenario);
    let ran = sandbox.offramp(&["train", "toy.ron", "--out", "run"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let rows = |point: &str| text(&sandbox, &format!("run/{point}/training.csv"));
    assert_eq!(rows("point-000").lines().count(), 6);
    assert_ne!(rows("point-000"), rows("point-001"));
    // And they are drawn side by side.
    assert_eq!(text(&sandbox, "run/curves.csv").lines().count(), 1 + 2 * 5);
    for figure in ["curves", "drops"] {
        assert!(text(&sandbox, &format!("run/{figure}.svg")).contains("discount = 0.9"));
        assert_eq!(bytes(&sandbox, &format!("run/{figure}.png"))[..4], *b"\x89PNG");
    }
}
