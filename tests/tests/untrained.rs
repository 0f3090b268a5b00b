//! A policy that learns is not compared before it has learned anything, unless the scenario says
//! so.

use offramp_tests::{Ran, Sandbox, example};

fn ran(sandbox: &Sandbox, policies: &str) -> Ran {
    let scenario = format!(
        "(name: \"s\", system: (devices: 4, servers: 2, slots: 20), policies: [{policies}],
          evaluate: (episodes: 2))"
    );
    sandbox.write("s.ron", scenario);
    sandbox.offramp(&["run", "s.ron"])
}

#[test]
fn a_policy_that_learns_needs_a_checkpoint() {
    let sandbox = Sandbox::new();
    for plugin in ["d3qn", "generalist", "student", "dcdrl", "tree-student"] {
        let ran = ran(&sandbox, &format!("(plugin: \"random\"), (plugin: \"{plugin}\")"));
        assert_eq!(ran.code, 2, "{plugin}: {}", ran.out);
        let message = format!("`{plugin}` has learned nothing without a checkpoint");
        assert!(ran.err.contains(&message), "{}", ran.err);
        assert!(ran.err.contains("untrained: true"), "{}", ran.err);
    }
    assert!(!sandbox.has("runs"));
}

#[test]
fn an_untrained_policy_is_called_so() {
    let sandbox = Sandbox::new();
    let ran = ran(&sandbox, "(plugin: \"d3qn\", untrained: true)");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("| d3qn (untrained) |"), "{}", ran.out);
    let table = sandbox.read("runs/s-001/episodes.csv");
    assert!(table.contains("s,d3qn (untrained),"), "{table}");
}

#[test]
fn untrained_is_said_of_what_could_be_trained() {
    let sandbox = Sandbox::new();
    let random = ran(&sandbox, "(plugin: \"random\", untrained: true)");
    assert_eq!(random.code, 2, "{}", random.out);
    assert!(random.err.contains("`random` does not learn"), "{}", random.err);
    sandbox.write("x.safetensors", "");
    let both = ran(&sandbox, "(plugin: \"d3qn\", untrained: true, checkpoint: \"x.safetensors\")");
    assert_eq!(both.code, 2, "{}", both.out);
    assert!(both.err.contains("a policy with a checkpoint is not untrained"), "{}", both.err);
}

#[test]
fn a_teacher_needs_a_checkpoint_too() {
    let sandbox = Sandbox::new();
    let linear = example("linear").display().to_string();
    for (untrained, code) in [("", 2), (", untrained: true", 0)] {
        let scenario = format!(
            "(name: \"s\", system: (devices: 4, servers: 2, slots: 20), distill: (
                teacher: (plugin: \"linear\"{untrained}), student: (plugin: \"tree-student\"),
                states: 100, steps: 2, batch: PerDevice(8), validate_every: 2, validate_episodes: 1))"
        );
        sandbox.write("s.ron", scenario);
        let ran = sandbox.offramp(&["distill", "s.ron", "--plugins", &linear]);
        assert_eq!(ran.code, code, "{}{}", ran.out, ran.err);
    }
}
