//! Trainings and distillations that begin from a checkpoint: they continue what it can do, resume
//! from that one alone, and name what is wrong with it.

use offramp_results::learning;
use offramp_tests::{Fields, Ran, Sandbox, example, plugin, quoted};

/// Runs `offramp` with the plugin `linear`.
fn offramp(sandbox: &Sandbox, arguments: &[&str]) -> Ran {
    let linear = example("linear").display().to_string();
    sandbox.offramp(&[arguments, &["--plugins", &linear]].concat())
}

#[track_caller]
fn succeed(sandbox: &Sandbox, arguments: &[&str]) {
    let ran = offramp(sandbox, arguments);
    assert_eq!(ran.code, 0, "{arguments:?}\n{}{}", ran.out, ran.err);
}

/// The reason why `offramp` refuses bad input, in one line without frames.
#[track_caller]
fn refused(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let ran = offramp(sandbox, arguments);
    assert_eq!(ran.code, 2, "{arguments:?}\n{}{}", ran.out, ran.err);
    ran.err
        .replace(['│', '×', '╰', '╭', '─', '▶'], "")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

fn small_system(name: &str) -> Fields {
    Fields::scenario(name)
        .set("system.devices", 4)
        .set("system.servers", 2)
        .set("system.slots", 40)
        .set("tasks.arrival_probability", 0.4)
}

fn training(learner: Fields) -> Fields {
    small_system("learning")
        .set("train.learner", learner)
        .set("train.explorer", plugin("uniform"))
        .set("train.episodes", 8)
        .set("train.validate_every", 4)
        .set("train.validate_episodes", 3)
        .set("train.save_every", 5)
}

/// Networks that learn, or hardly.
fn networks(rate: &str) -> Fields {
    plugin("d3qn")
        .set("parameters.hidden", 4)
        .set("parameters.every_slots", 2)
        .set("parameters.batch", 16)
        .set("parameters.warm_up_slots", 20)
        .set("parameters.optimiser", format!("Adam({rate})"))
}

/// Actors that learn, or hardly.
fn actors(rate: &str) -> Fields {
    plugin("dcdrl")
        .set("parameters.hidden", 8)
        .set("parameters.batch", 16)
        .set("parameters.actors", 4)
        .set("parameters.rounds", 2)
        .set("parameters.critic_rate", rate)
        .set("parameters.actor_rate", rate)
        .set("parameters.replay", 300)
}

fn distillation(rate: &str) -> Fields {
    small_system("distilling")
        .set(
            "distill.teacher",
            plugin("linear").set("checkpoint", quoted("linear/final.safetensors")),
        )
        .set(
            "distill.student",
            plugin("student")
                .set("parameters.teacher_hidden", 4)
                .set("parameters.optimiser", format!("Adam({rate})")),
        )
        .set("distill.states", 400)
        .set("distill.steps", 60)
        .set("distill.validate_every", 20)
        .set("distill.validate_episodes", 3)
}

/// A folder with a training of `linear` in `linear`.
fn taught() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("linear.ron", training(plugin("linear")).to_string());
    succeed(&sandbox, &["train", "linear.ron", "--out", "linear"]);
    sandbox
}

/// The QoE of each validation of a training.
fn validations(sandbox: &Sandbox, folder: &str) -> Vec<f64> {
    let rows = learning::training(&sandbox.path().join(folder)).unwrap();
    rows.iter().filter_map(|row| row.validation_qoe).collect()
}

#[test]
fn a_training_begins_with_the_policy_of_its_checkpoint() {
    for (name, learns, hardly) in [
        ("networks", networks("0.01"), networks("1e-7")),
        ("actors", actors("0.01"), actors("1e-7")),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("first.ron", training(learns).set("train.episodes", 16).to_string());
        sandbox.succeed(&["train", "first.ron", "--out", "first"]);
        let first = validations(&sandbox, "first");
        let second = training(hardly)
            .set("train.from", quoted("first/final.safetensors"))
            .set("train.validate_every", 1)
            .set("train.episodes", 2);
        sandbox.write("second.ron", second.to_string());
        sandbox.succeed(&["train", "second.ron", "--out", "second"]);
        assert_eq!(validations(&sandbox, "second")[0], *first.last().unwrap(), "{name}");
        // Without it, it begins anew.
        sandbox.write("anew.ron", second.without("train.from").to_string());
        sandbox.succeed(&["train", "anew.ron", "--out", "anew"]);
        assert_ne!(validations(&sandbox, "anew")[0], *first.last().unwrap(), "{name}");
    }
}

#[test]
fn a_distillation_begins_with_the_student_of_its_checkpoint() {
    let sandbox = taught();
    sandbox.write("first.ron", distillation("0.01").to_string());
    succeed(&sandbox, &["distill", "first.ron", "--out", "first"]);
    let second = distillation("1e-7").set("distill.from", quoted("first/final.safetensors"));
    sandbox.write("second.ron", second.to_string());
    succeed(&sandbox, &["distill", "second.ron", "--out", "second"]);
    let rows = |folder: &str| learning::distillation(&sandbox.path().join(folder)).unwrap();
    let (first, second) = (rows("first"), rows("second"));
    assert_ne!(first[0].validation_qoe, first[2].validation_qoe);
    assert_eq!(second[0].validation_qoe, first[2].validation_qoe);
    assert_eq!(second[0].agreement, first[2].agreement);
}

#[test]
fn what_was_distilled_goes_on_learning_from_rewards() {
    let sandbox = taught();
    sandbox.write("first.ron", distillation("0.01").set("distill.seed", 1).to_string());
    succeed(&sandbox, &["distill", "first.ron", "--out", "first"]);
    let distilled = learning::distillation(&sandbox.path().join("first")).unwrap();
    let second = |rate: &str| {
        training(networks(rate))
            .set("train.learner.parameters.hidden", 2)
            .set("train.from", quoted("first/final.safetensors"))
            .set("train.seed", 1)
    };
    sandbox.write("hardly.ron", second("1e-7").to_string());
    sandbox.succeed(&["train", "hardly.ron", "--out", "hardly"]);
    assert_eq!(validations(&sandbox, "hardly")[0], distilled[2].validation_qoe);
    sandbox.write("learns.ron", second("0.01").to_string());
    sandbox.succeed(&["train", "learns.ron", "--out", "learns"]);
    assert_ne!(validations(&sandbox, "learns"), validations(&sandbox, "hardly"));
    // A network of another size is another network.
    let other = second("0.01").set("train.learner.parameters.hidden", 3);
    sandbox.write("other.ron", other.to_string());
    let other = refused(&sandbox, &["train", "other.ron", "--out", "other"]);
    assert!(other.contains("has 2 neurons in each hidden layer, and 3 are needed"), "{other}");
}

#[test]
fn a_checkpoint_that_was_begun_from_is_part_of_what_is_resumed() {
    let sandbox = taught();
    sandbox.write("first.ron", distillation("0.01").to_string());
    succeed(&sandbox, &["distill", "first.ron", "--out", "first"]);
    std::fs::copy(
        sandbox.path().join("first/best.safetensors"),
        sandbox.path().join("student.safetensors"),
    )
    .unwrap();
    sandbox.write("mean", sandbox.bytes("linear/final.safetensors"));
    let train = training(plugin("linear")).set("train.from", quoted("mean"));
    let distill = distillation("0.01").set("distill.from", quoted("student.safetensors"));
    for (command, begun, field) in
        [("train", &train, "train.from"), ("distill", &distill, "distill.from")]
    {
        sandbox.write("begun.ron", begun.to_string());
        sandbox.write("left-out.ron", begun.clone().without(field).to_string());
        succeed(&sandbox, &[command, "begun.ron", "--out", &format!("{command}-at-once")]);
        let out = format!("{command}-begun");
        succeed(&sandbox, &[command, "begun.ron", "--out", &out]);
        let changed = refused(&sandbox, &[command, "left-out.ron", "--out", &out, "--resume"]);
        assert!(
            changed.contains(&format!("the file of `{field}` is not part of it any more")),
            "{changed}"
        );
        // Another path of the same file changes nothing.
        let (old, new) = match command {
            "train" => ("mean", "another"),
            _ => ("student.safetensors", "another"),
        };
        std::fs::rename(sandbox.path().join(old), sandbox.path().join(new)).unwrap();
        let moved = begun.clone().set(field, quoted(new));
        sandbox.write("moved.ron", moved.to_string());
        succeed(&sandbox, &[command, "moved.ron", "--out", &out, "--resume"]);
        let last = |folder: &str| sandbox.bytes(&format!("{command}-{folder}/final.safetensors"));
        assert_eq!(last("begun"), last("at-once"));
        let other = sandbox.bytes(&format!("{command}-at-once/final.safetensors"));
        assert_ne!(sandbox.bytes(new), other);
        sandbox.write(new, other);
        let changed = refused(&sandbox, &[command, "moved.ron", "--out", &out, "--resume"]);
        assert!(
            changed.contains(&format!("the file of `{field}` has changed since it began")),
            "{changed}"
        );
    }
}

#[test]
fn a_checkpoint_that_can_not_be_begun_from_is_named() {
    let sandbox = taught();
    let train = training(networks("0.01")).set("train.from", quoted("linear/final.safetensors"));
    let distill = distillation("0.01").set("distill.from", quoted("linear/final.safetensors"));
    let mut errors = String::new();
    for (command, scenario, field) in
        [("train", &train, "train.from"), ("distill", &distill, "distill.from")]
    {
        for scenario in [
            scenario.clone(),
            scenario.clone().set(field, quoted("missing.safetensors")),
            scenario.clone().set(field, quoted("../missing.safetensors")),
        ] {
            sandbox.write("x.ron", scenario.to_string());
            errors += &offramp(&sandbox, &[command, "x.ron", "--out", "x"]).err;
            assert!(!sandbox.has("x"));
        }
    }
    // Parameters that are wrong are not the checkpoint's fault.
    sandbox.write("x.ron", train.set("train.learner.parameters.batch", 0).to_string());
    errors += &offramp(&sandbox, &["train", "x.ron", "--out", "x"]).err;
    insta::assert_snapshot!(errors);
}

const STUDY: &str = r#"(
    name: "study", scenario: "small.ron", training_seeds: [1, 2], evaluate: (episodes: 2, seed: 9),
    policies: {
        "linear": Trained(scenario: "learning.ron"),
        "student": Distilled(scenario: "distilling.ron", teacher: "linear"),
    },
    items: [(
        id: "all", title: "All", form: Table, policies: ["linear", "student"], metrics: [Qoe],
    )],
)"#;

/// Paths are relative to the scenario, and another file means that it is learned again.
#[test]
fn a_study_begins_from_checkpoints_too() {
    let sandbox = taught();
    sandbox.write("first.ron", distillation("0.01").to_string());
    succeed(&sandbox, &["distill", "first.ron", "--out", "first"]);
    sandbox.write("small.ron", small_system("small").to_string());
    let train = training(plugin("linear")).set("train.from", quoted("linear/final.safetensors"));
    sandbox.write("learning.ron", train.to_string());
    let distill = distillation("0.01").set("distill.from", quoted("first/final.safetensors"));
    sandbox.write("distilling.ron", distill.to_string());
    sandbox.write("study.ron", STUDY);
    let learned = || std::fs::read_dir(sandbox.path().join("study/learned")).unwrap().count();
    succeed(&sandbox, &["reproduce", "study.ron", "--out", "study"]);
    assert_eq!(learned(), 4);
    succeed(&sandbox, &["reproduce", "study.ron", "--out", "study"]);
    assert_eq!(learned(), 4);
    sandbox.write("first/final.safetensors", sandbox.bytes("first/best.safetensors"));
    sandbox.write("linear/final.safetensors", "1.5 3\n1.5 3\n1.5 3\n9 0\n");
    succeed(&sandbox, &["reproduce", "study.ron", "--out", "study"]);
    assert_eq!(learned(), 8);
    sandbox.write("learning.ron", train.set("train.from", quoted("missing")).to_string());
    let missing = refused(&sandbox, &["reproduce", "study.ron", "--out", "study"]);
    assert!(missing.contains("checkpoint") && missing.contains("No such file"), "{missing}");
}

#[test]
fn a_scenario_shows_where_it_begins() {
    let sandbox = Sandbox::new();
    let train = training(plugin("linear")).set("train.from", quoted("a.safetensors"));
    sandbox.write("x.ron", train.set("train.stop_after", 7).to_string());
    let shown = sandbox.succeed(&["inspect", "x.ron", "--format", "json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["train"]["from"], "a.safetensors");
    assert_eq!(shown["train"]["stop_after"], 7);
}

#[test]
fn checkpoints_to_begin_from_are_swept_as_any_field() {
    let sandbox = taught();
    let sweep = "{\"train.from\": [\"linear/best.safetensors\", \"linear/final.safetensors\"]}";
    sandbox.write("x.ron", training(plugin("linear")).set("sweep", sweep).to_string());
    sandbox.write("linear/best.safetensors", "1.5 3\n1.5 3\n1.5 3\n9 0\n");
    succeed(&sandbox, &["train", "x.ron", "--out", "x"]);
    let last = |point: &str| sandbox.bytes(&format!("x/{point}/final.safetensors"));
    assert_ne!(last("point-000"), last("point-001"));
}
