//! `offramp tune`, end to end: it chooses the better value, within its budget, and neither an
//! interruption nor the number of threads changes a result.

use offramp_tests::{Fields, Sandbox, example, plugin, workspace};

/// A search in a system in which only server 2 is of use, for a learner without a network.
fn search() -> Fields {
    Fields::scenario("toy")
        .set("system.devices", 3)
        .set("system.servers", 2)
        .set("system.slots", 60)
        .set("system.device_ghz", 0.05)
        .set("system.server_ghz", "[0.05, 400.0]")
        .set("system.uplink_mbps", 40.0)
        .set("train.learner", plugin("linear"))
        .set("train.episodes", 12)
        .set("train.validate_every", 4)
        .set("train.validate_episodes", 2)
        .set("tune.space", r#"{"train.learner.parameters.prior": Values(["low", "high"])}"#)
        .set("tune.configurations", 8)
        .set("tune.first", 3)
        .set("tune.finalists", 1)
        .set("tune.validate_episodes", 4)
}

/// A search in which networks learn, or all but stand still.
fn search_of_networks() -> Fields {
    let learner = plugin("d3qn")
        .set("parameters.hidden", 4)
        .set("parameters.batch", 16)
        .set("parameters.every_slots", 2)
        .set("parameters.warm_up_slots", 100)
        .set("parameters.anneal", 0)
        .set("parameters.optimiser", "Adam(0.001)");
    search()
        .set("train.learner", learner)
        .set("train.explorer", plugin("uniform"))
        .set("train.explorer.parameters.over", 0.3)
        .set("train.episodes", 30)
        .set("tune.first", 10)
        .set("tune.space", r#"{"train.learner.parameters.optimiser.0": Values([0.0000001, 0.01])}"#)
}

/// A search with more configurations than values of one field.
fn wide_search() -> Fields {
    let space = r#"{
        "train.learner.parameters.prior": Values(["low", "high"]),
        "train.explorer.parameters.over": Range(0.1, 0.9),
    }"#;
    search().set("train.explorer", plugin("uniform")).set("tune.space", space)
}

fn sandbox(scenario: &Fields) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("low", "-1000000");
    sandbox.write("high", "1000000");
    sandbox.write("toy.ron", scenario.to_string());
    sandbox
}

/// Runs a command with the plugin `linear`.
fn offramp(sandbox: &Sandbox, arguments: &[&str]) -> offramp_tests::Ran {
    let linear = example("linear").display().to_string();
    sandbox.offramp(&[arguments, &["--plugins", &linear]].concat())
}

#[track_caller]
fn succeed(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let ran = offramp(sandbox, arguments);
    assert_eq!(ran.code, 0, "{arguments:?}\n{}{}", ran.out, ran.err);
    ran.out
}

/// Why a search in this scenario is refused, without line breaks; nothing is written.
#[track_caller]
fn refused(scenario: &Fields) -> String {
    let sandbox = sandbox(scenario);
    let ran = offramp(&sandbox, &["tune", "toy.ron", "--out", "run"]);
    assert_eq!(ran.code, 2, "{}{}", ran.out, ran.err);
    assert!(!sandbox.has("run"));
    ran.err.replace('│', "").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_better_value_is_chosen_and_what_that_took_is_counted() {
    let sandbox = sandbox(&search_of_networks());
    let printed = succeed(&sandbox, &["tune", "toy.ron", "--out", "run", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&printed).unwrap();
    // Two configurations for 10 episodes, then one for 30 under 3 seeds; an episode has 70 slots.
    assert_eq!(json["rungs"][0]["budget"], 2 * 10 * 70);
    assert_eq!(json["rungs"][1]["budget"], 3 * 30 * 70);
    assert_eq!(json["rungs"][2]["budget"], 110 * 70);
    let chosen = sandbox.read("run/chosen.ron");
    // Whole, since the scenario that takes it may not state an optimiser.
    assert!(chosen.contains(r#""train.learner.parameters.optimiser": Adam(0.01),"#), "{chosen}");
    for fact in ["configurations: 2,", "learned: 5,", "slots: 7700,", "seeds: [1, 2, 3],"] {
        assert!(chosen.contains(fact), "{chosen}");
    }
    let table = sandbox.read("run/tune.csv");
    assert_eq!(table.lines().count(), 6, "{table}");
    // Those that were played are those that were counted.
    let finalist = ["000", "001"].map(|number| format!("run/rung-1/configuration-{number}-seed-2"));
    let finalist: Vec<_> = finalist.into_iter().filter(|folder| sandbox.has(folder)).collect();
    assert_eq!(finalist.len(), 1);
    assert_eq!(sandbox.read(&format!("{}/training.csv", finalist[0])).lines().count(), 31);
}

#[test]
fn the_budget_bounds_what_is_tried() {
    let finalists = 3 * 12 * 70;
    let sandbox = sandbox(&wide_search().set("tune.budget", finalists + 4 * 3 * 70 + 2 * 9 * 70));
    succeed(&sandbox, &["tune", "toy.ron", "--out", "run"]);
    let chosen = sandbox.read("run/chosen.ron");
    assert!(chosen.contains("configurations: 4,"), "{chosen}");
    let small = refused(&search().set("tune.budget", finalists - 1));
    assert!(small.contains("the finalists alone take 2520 slots"), "{small}");
}

#[test]
fn neither_threads_nor_kills_change_a_search() {
    let sandbox = sandbox(&wide_search());
    let files = ["tune.csv", "chosen.ron", "scenario.ron", "parts.json"];
    succeed(&sandbox, &["tune", "toy.ron", "--out", "one", "--jobs", "1"]);
    succeed(&sandbox, &["tune", "toy.ron", "--out", "two", "--jobs", "2"]);
    let linear = example("linear").display().to_string();
    sandbox.killed_until_done(&[
        "tune",
        "toy.ron",
        "--out",
        "killed",
        "--resume",
        "--plugins",
        &linear,
    ]);
    for file in files {
        let bytes = sandbox.bytes(&format!("one/{file}"));
        for out in ["two", "killed"] {
            assert_eq!(bytes, sandbox.bytes(&format!("{out}/{file}")), "{out}: {file}");
        }
    }
    // What is done is not done again, and nothing else resumes there.
    let state = "killed/rung-0/configuration-000-seed-1/training.csv";
    let modified = |name: &str| sandbox.path().join(name).metadata().unwrap().modified().unwrap();
    let before = modified(state);
    succeed(&sandbox, &["tune", "toy.ron", "--out", "killed", "--resume"]);
    assert_eq!(modified(state), before);
    let taken = offramp(&sandbox, &["tune", "toy.ron", "--out", "killed"]);
    assert!(taken.code == 2 && taken.err.contains("already exists"), "{}", taken.err);
    sandbox.write("low", "-7");
    let other = offramp(&sandbox, &["tune", "toy.ron", "--out", "killed", "--resume"]);
    assert_eq!(other.code, 2);
    assert!(other.err.contains("the file low of `train.learner` has changed"), "{}", other.err);
    sandbox.write("low", "-1000000");
    let again = wide_search().set("tune.finalists", 2);
    sandbox.write("toy.ron", again.to_string());
    let other = offramp(&sandbox, &["tune", "toy.ron", "--out", "killed", "--resume"]);
    let words: Vec<&str> = other.err.split_whitespace().filter(|word| *word != "│").collect();
    let change = "`tune.finalists` was 1 when it began, and is 2 now";
    assert!(words.join(" ").contains(change), "{}", other.err);
    // What concerns nothing that is learned or chosen may be another one.
    let again = wide_search().set("about", "\"again\"").set("train.save_every", 7);
    sandbox.write("toy.ron", format!("// Another comment.\n{again}"));
    succeed(&sandbox, &["tune", "toy.ron", "--out", "killed", "--resume"]);
    // What is half there is learned again, as the help says.
    let judged = "killed/rung-0/configuration-000-seed-1/judged.json";
    sandbox.write(judged, "");
    let damaged = offramp(&sandbox, &["tune", "toy.ron", "--out", "killed", "--resume"]);
    assert!(damaged.code == 2 && damaged.err.contains("help: remove killed/"), "{}", damaged.err);
    std::fs::remove_dir_all(sandbox.path().join(judged).parent().unwrap()).unwrap();
    succeed(&sandbox, &["tune", "toy.ron", "--out", "killed", "--resume"]);
    assert_eq!(sandbox.bytes("killed/tune.csv"), sandbox.bytes("one/tune.csv"));
}

#[test]
fn a_mistake_is_named_before_anything_is_done() {
    let check = |space: &str, expected: &str| {
        let shown = refused(&search().set("tune.space", space));
        assert!(shown.contains(expected), "{shown}");
    };
    check("{}", "there is nothing to choose");
    check(r#"{"train.learner.parameters.prior": Values([])}"#, "there is no value to try");
    check(r#"{"train.learner.parameters.prior": Range(2, 1)}"#, "2 is not below 1");
    check(r#"{"train.learner.parameters.prior": LogRange(0, 1)}"#, "0 has no logarithm");
    check(r#"{"train.learners.parameters.prior": Values([1])}"#, "did you mean `learner`?");
    check(r#"{"system.devices": Values([1])}"#, "`system.devices` is not a field of `train`");
    // A value that the learner refuses: which configuration?
    let path = r#"{"train.learner.parameters.prior": Values(["low", "none"])}"#;
    let shown = refused(&search().set("tune.space", path));
    assert!(shown.contains("train.learner.parameters.prior = \"none\")"), "{shown}");
    assert!(shown.contains("(configuration "), "{shown}");
    let shown = refused(&search().without("tune"));
    assert!(shown.contains("there is nothing to tune"), "{shown}");
}

/// What fails while it learns ends that training alone.
#[test]
fn a_configuration_that_fails_is_out() {
    let rates = r#"{"train.learner.parameters.warm_up_slots": Values([10, 100000])}"#;
    let learner = plugin("d3qn").set("parameters.hidden", 4).set("parameters.batch", 8);
    let scenario = search().set("train.learner", learner).set("tune.space", rates);
    let sandbox = sandbox(&scenario);
    let ran = offramp(&sandbox, &["tune", "toy.ron", "--out", "run"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.err.contains("nothing was learned"), "{}", ran.err);
    assert!(sandbox.read("run/chosen.ron").contains("warm_up_slots\": 10,"));
}

/// A scenario that includes the chosen values learns what one learns that has them written in it.
#[test]
fn chosen_values_are_included() {
    let sandbox = sandbox(&search_of_networks().set("tune.seeds", "[1]"));
    succeed(&sandbox, &["tune", "toy.ron", "--out", "run"]);
    let training = search_of_networks().without("tune");
    let written = training.clone().set("train.learner.parameters.optimiser", "Adam(0.01)");
    let included = training.set("settings", r#"["run/chosen.ron"]"#);
    for (name, scenario) in [("written", written), ("included", included)] {
        sandbox.write(&format!("{name}.ron"), scenario.to_string());
        succeed(&sandbox, &["train", &format!("{name}.ron"), "--out", name]);
    }
    for file in ["training.csv", "best.safetensors", "final.safetensors"] {
        let bytes = sandbox.bytes(&format!("written/{file}"));
        assert_eq!(bytes, sandbox.bytes(&format!("included/{file}")), "{file}");
    }
    // The run folder does not depend on the file.
    let kept = sandbox.read("included/scenario.ron");
    assert!(kept.contains("optimiser: Adam(0.01)") && kept.contains("settings: [/*"), "{kept}");
}

/// Searches of the same kind have the same budget and the same rungs.
#[test]
fn the_shipped_searches_have_equal_budgets() {
    let read = |name: &str| {
        let path = workspace().join(format!("scenarios/tune-{name}.ron"));
        let experiment = offramp_scenario::Experiment::read(&path, &[]).unwrap();
        experiment.points[0].tuning.clone().unwrap()
    };
    for group in
        [&["teacher", "teacher-shared", "qeco", "dcdrl"][..], &["student", "student-shared"]]
    {
        let all: Vec<_> = group.iter().map(|name| read(name)).collect();
        for one in &all {
            assert_eq!(one.budget, all[0].budget);
            assert!(one.budget.is_some());
            assert_eq!(
                (one.keep, one.first, one.finalists, &one.seeds, one.validate_episodes),
                (
                    all[0].keep,
                    all[0].first,
                    all[0].finalists,
                    &all[0].seeds,
                    all[0].validate_episodes
                )
            );
        }
    }
}

/// Policies of a study that come to the same values share a training; `set` overrides settings.
#[test]
fn a_study_takes_settings_from_files() {
    let teacher = search_of_networks()
        .without("tune")
        .set("train.learner.parameters.discount", 0.5)
        .set("train.episodes", 8);
    let sandbox = sandbox(&teacher);
    sandbox.write(
        "chosen.ron",
        "(settings: {\"train.learner.parameters.discount\": 0.25}, tuning: (scenario: \"tune-toy\",
            configurations: 22, learned: 39, slots: 1498640, seeds: [1, 2], validation_qoe: 892.98))",
    );
    let study = |settings: &str| {
        format!(
            r#"(
                name: "toy",
                scenario: "toy.ron",
                training_seeds: [1],
                evaluate: (episodes: 2, seed: 9),
                policies: {{
                    "set": Trained(
                        scenario: "toy.ron",
                        set: {{ "train.learner.parameters.discount": 0.25 }},
                    ),
                    "chosen": Trained(scenario: "toy.ron", settings: ["{settings}"]),
                    "set and chosen": Trained(
                        scenario: "toy.ron",
                        settings: ["{settings}"],
                        set: {{ "train.learner.parameters.discount": 0.75 }},
                    ),
                }},
                items: [(
                    id: "all",
                    title: "All",
                    form: Table,
                    policies: ["set", "chosen", "set and chosen"],
                    metrics: [Qoe],
                )],
            )"#
        )
    };
    sandbox.write("study.ron", study("chosen.ron"));
    let printed = succeed(&sandbox, &["reproduce", "study.ron", "--out", "out"]);
    // What choosing took stands beside what was chosen, in the text and on the page.
    let page = sandbox.read("out/index.html");
    let chosen = printed.split("Chosen on validation").nth(1).unwrap();
    let words = |line: &str| line.split('|').map(str::trim).map(str::to_owned).collect::<Vec<_>>();
    let row = ["", "chosen", "tune-toy", "22", "1498640 slots", "893.0", ""];
    assert!(chosen.lines().any(|line| words(line) == row), "{printed}");
    // Of what was chosen nothing is left where the study sets it.
    assert!(!chosen.contains("set and chosen"), "{printed}");
    assert!(page.contains("Chosen on validation") && page.contains("1498640 slots"));
    let learned = std::fs::read_dir(sandbox.path().join("out/learned")).unwrap();
    let texts = learned.map(|folder| {
        std::fs::read_to_string(folder.unwrap().path().join("scenario.ron")).unwrap()
    });
    let discount = |text: String| text.split("discount: ").nth(1).unwrap()[..4].to_owned();
    let mut discounts: Vec<String> = texts.map(discount).collect();
    discounts.sort();
    assert_eq!(discounts, ["0.25", "0.75"]);
    sandbox.write("study.ron", study("none.ron"));
    let ran = offramp(&sandbox, &["reproduce", "study.ron", "--out", "other"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("none.ron") && ran.err.contains("study.ron:"), "{}", ran.err);
}
