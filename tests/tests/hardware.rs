//! Hardware: networks of single devices stay on the devices that they were trained on, and the seeds
//! of tasks change no device.

use offramp_tests::{Fields, Sandbox, plugin, quoted};

/// A scenario of a few devices that differ.
fn system(name: &str) -> Fields {
    Fields::scenario(name)
        .set("system", Fields::new())
        .set("system.devices", 4)
        .set("system.servers", 2)
        .set("system.slots", 30)
        .set("system.device_ghz", "Uniform(1.0, 4.0)")
        .set("evaluate.episodes", 1)
}

/// The same with devices that are alike.
fn alike(name: &str) -> Fields {
    system(name).set("system.device_ghz", 2.0)
}

/// The policies that learn, with networks (or trees) of each device or for all.
fn learners(sharing: &str) -> [Fields; 3] {
    [
        plugin("d3qn")
            .set("parameters.hidden", 4)
            .set("parameters.batch", 4)
            .set("parameters.warm_up_slots", 20)
            .set("parameters.anneal", 0),
        plugin("student").set("parameters.teacher_hidden", 10),
        plugin("tree-student"),
    ]
    .map(|learner| learner.set("parameters.sharing", sharing))
}

/// A folder in which each of them was trained, or distilled from the first, in a scenario.
fn trained(scenario: &Fields, sharing: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let [teacher, students @ ..] = learners(sharing);
    let training = scenario
        .clone()
        .set("train.learner", teacher.clone())
        .set("train.episodes", 3)
        .set("train.validate_every", 3)
        .set("train.validate_episodes", 1);
    sandbox.write("train.ron", training.to_string());
    sandbox.succeed(&["train", "train.ron", "--out", "0"]);
    for (number, student) in students.into_iter().enumerate() {
        let distillation = scenario
            .clone()
            .set(
                "distill.teacher",
                teacher.clone().set("checkpoint", quoted("0/final.safetensors")),
            )
            .set("distill.student", student)
            .set("distill.states", 100)
            .set("distill.steps", 4)
            .set("distill.batch", "PerDevice(4)")
            .set("distill.validate_every", 4)
            .set("distill.validate_episodes", 1);
        sandbox.write("distill.ron", distillation.to_string());
        let out = (number + 1).to_string();
        sandbox.succeed(&["distill", "distill.ron", "--out", &out]);
    }
    sandbox
}

/// Runs all of them in a scenario, with another seed of tasks; what each prints if it is refused.
fn refusals(sandbox: &Sandbox, scenario: &Fields, sharing: &str) -> Vec<Option<String>> {
    let each = learners(sharing).into_iter().enumerate();
    each.map(|(number, learner)| {
        let checkpoint = quoted(&format!("{number}/final.safetensors"));
        let policy = learner.set("checkpoint", checkpoint);
        let run = scenario.clone().set("policies", format!("[{policy}]"));
        sandbox.write("run.ron", run.to_string());
        let ran = sandbox.offramp(&["run", "run.ron", "--seed", "9"]);
        let words = ran.err.replace('│', "");
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        (ran.code != 0).then(|| {
            assert_eq!(ran.code, 2, "{words}");
            words
        })
    })
    .collect()
}

const TRAINED_ELSEWHERE: &str = "the checkpoint has a network for each device, trained on other \
    hardware: use the `system`, `system.seed` and fixed power modes of its training";
const TRAINED_ALIKE: &str = "the checkpoint has a network for each device, trained where all \
    devices and servers are alike";

#[test]
fn networks_of_single_devices_stay_on_their_hardware() {
    let sandbox = trained(&system("x"), "PerDevice");
    let served = |scenario: &Fields| {
        let refused = refusals(&sandbox, scenario, "PerDevice");
        assert_eq!(refused, [None, None, None]);
    };
    // Other tasks, other loads and what is the same for all are no other devices.
    served(&system("x"));
    served(&system("x").set("tasks.deadline_slots", 7).set("tasks.arrival_probability", 0.5));
    served(&system("x").set("system.server_ghz", 20.0));
    let others = [
        system("x").set("system.seed", 2),
        system("x").set("system.server_ghz", "[20.0, 40.0]"),
        system("x").set("system.uplink_mbps", "Uniform(8.0, 20.0)"),
        system("x").set("alpha.rule", "Fixed"),
        alike("x"),
    ];
    for other in others {
        for refused in refusals(&sandbox, &other, "PerDevice") {
            let refused = refused.unwrap();
            assert!(refused.contains(TRAINED_ELSEWHERE), "{refused}");
        }
    }
}

#[test]
fn networks_of_devices_that_are_alike_serve_others_that_are() {
    let sandbox = trained(&alike("x"), "PerDevice");
    assert_eq!(
        refusals(&sandbox, &alike("x").set("system.device_ghz", 3.0), "PerDevice"),
        [None, None, None]
    );
    for refused in refusals(&sandbox, &system("x"), "PerDevice") {
        let refused = refused.unwrap();
        assert!(refused.contains(TRAINED_ALIKE), "{refused}");
    }
}

#[test]
fn a_shared_network_serves_any_devices() {
    let sandbox = trained(&system("x"), "Shared");
    for scenario in [system("x").set("system.seed", 2), alike("x")] {
        assert_eq!(refusals(&sandbox, &scenario, "Shared"), [None, None, None]);
    }
}

/// A training begins from a checkpoint, a distillation has a teacher: likewise.
#[test]
fn other_hardware_is_refused_by_every_command() {
    let sandbox = trained(&system("x"), "PerDevice");
    let elsewhere = system("x").set("system.seed", 2);
    let [teacher, student, _] = learners("PerDevice");
    let training = elsewhere
        .clone()
        .set("train.learner", teacher.clone())
        .set("train.from", quoted("0/final.safetensors"))
        .set("train.episodes", 1);
    let distillation = elsewhere
        .set("distill.teacher", teacher.set("checkpoint", quoted("0/final.safetensors")))
        .set("distill.student", student)
        .set("distill.states", 10);
    for (command, scenario) in [("train", training), ("distill", distillation)] {
        sandbox.write("other.ron", scenario.to_string());
        let ran = sandbox.offramp(&[command, "other.ron", "--out", "other"]);
        assert_eq!(ran.code, 2, "{}", ran.err);
        let words = ran.err.replace('│', "");
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("trained on other hardware"), "{words}");
        assert!(!sandbox.has("other"));
    }
}

/// A study evaluates under another seed than it trains under, and still on the same devices.
#[test]
fn a_study_trains_and_evaluates_on_the_same_devices() {
    let sandbox = Sandbox::new();
    let [teacher, student, _] = learners("PerDevice");
    let training = system("trained")
        .set("train.learner", teacher)
        .set("train.episodes", 3)
        .set("train.validate_every", 3)
        .set("train.validate_episodes", 1);
    let distillation = system("distilled")
        // The study sets it.
        .set("distill.teacher", plugin("d3qn").set("checkpoint", quoted("teacher.safetensors")))
        .set("distill.student", student)
        .set("distill.states", 100)
        .set("distill.steps", 4)
        .set("distill.batch", "PerDevice(4)")
        .set("distill.validate_every", 4)
        .set("distill.validate_episodes", 1);
    sandbox.write("evaluated.ron", system("evaluated").to_string());
    sandbox.write("trained.ron", training.to_string());
    sandbox.write("distilled.ron", distillation.to_string());
    let study = "(
        name: \"devices\", scenario: \"evaluated.ron\", training_seeds: [2, 3],
        evaluate: (episodes: 2, seed: 5),
        policies: {
            \"teacher\": Trained(scenario: \"trained.ron\"),
            \"student\": Distilled(scenario: \"distilled.ron\", teacher: \"teacher\"),
        },
        items: [(
            id: \"table\", title: \"All\", form: Table, policies: [\"teacher\", \"student\"],
            points: [(label: \"here\")], metrics: [Qoe],
        )],
    )";
    sandbox.write("study.ron", study);
    let printed = sandbox.succeed(&["reproduce", "study.ron", "--out", "study"]);
    assert!(printed.contains("student"), "{printed}");
}
