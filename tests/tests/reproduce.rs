//! `offramp reproduce`, end to end, on a study that takes a second.

use std::collections::BTreeSet;

use offramp_harness::Registry;
use offramp_harness::events::Quiet;
use offramp_harness::executor::InProcess;
use offramp_scenario::Experiment;
use offramp_study::{Size, Study};
use offramp_tests::{Ran, Sandbox, built, example, offramp, with_study, workspace};

const STUDY: &str = r#"(
    name: "toy",
    scenario: "system.ron",
    training_seeds: [1, 2],
    evaluate: (episodes: 6, seed: 9),
    policies: {
        "local": Fixed(plugin: "all-local"),
        "anything": Fixed(plugin: "random"),
        "rules": Fixed(plugin: "heuristic", parameters: (load_trust: 0.5)),
        "teacher": Trained(scenario: "teacher.ron", quick: { "train.learner.parameters.hidden": 2 }),
        "student": Distilled(scenario: "student.ron", teacher: "teacher"),
        "student at ease": Distilled(
            scenario: "student.ron",
            teacher: "teacher",
            set: { "distill.explored": 0.2 },
        ),
    },
    quick: (training_seeds: [1], episodes: 2, set: { "train.episodes": 6 }),
    items: [
        (
            id: "plain",
            title: "What does not learn",
            form: Lines,
            axis: "arrival probability",
            policies: ["local", "anything", "rules"],
            reference: "anything",
            points: [
                (label: "0.2", set: { "tasks.arrival_probability": 0.2 }),
                (label: "0.6", set: { "tasks.arrival_probability": 0.6 }),
            ],
            quick_points: ["0.6"],
            metrics: [Qoe, CompletionRatio],
            paper: { "local": { "0.6": { Qoe: 100.0 } } },
        ),
        (
            id: "profiles",
            title: "How much in how many episodes",
            form: Profiles,
            policies: ["local", "anything", "rules"],
            reference: "anything",
            metrics: [Qoe],
        ),
        (
            id: "learned",
            title: "What learns",
            form: Bars,
            policies: ["student", "teacher"],
            reference: "teacher",
            metrics: [Qoe, Parameters],
        ),
        (
            id: "steps",
            title: "How long it learned",
            form: Table,
            axis: "steps",
            policies: ["student"],
            reference: "teacher",
            points: [
                (label: "20", set: { "distill.steps": 20 }),
                (label: "40", set: { "distill.steps": 40 }),
            ],
            metrics: [Qoe],
        ),
        (
            id: "carried",
            title: "What was learned elsewhere",
            form: Table,
            trained: Once,
            policies: ["teacher"],
            points: [(label: "0.6", set: { "tasks.arrival_probability": 0.6 })],
            metrics: [Qoe, DecisionTime],
        ),
        (
            id: "apart",
            title: "Who learned longer",
            form: Table,
            policies: ["teacher", "student"],
            points: [
                (label: "as ever"),
                (label: "teacher", of: { "teacher": { "train.episodes": 12 } }),
                (label: "student", of: { "student": { "distill.steps": 60 } }),
            ],
            metrics: [Qoe],
        ),
        (
            id: "same",
            title: "Who learns the same by two names",
            form: Table,
            policies: ["student", "student at ease"],
            points: [
                // In whichever order it comes together.
                (
                    label: "60",
                    set: { "distill.steps": 60, "distill.batch": PerDevice(16) },
                    of: { "student": { "distill.explored": 0.2 } },
                ),
            ],
            metrics: [Qoe],
        ),
        (id: "curves", title: "How it learned", form: Curves, policies: ["teacher"], metrics: []),
    ],
    claims: [
        (
            text: "The rules are ahead at every load.",
            source: "a test",
            holds_if: Best(
                item: "plain",
                metric: Qoe,
                order: Above,
                policy: "rules",
                rivals: ["local", "anything"],
            ),
        ),
        (
            text: "Computing locally completes more than anything at 0.2.",
            source: "a test",
            holds_if: Compare(
                item: "plain",
                metric: CompletionRatio,
                order: Above,
                left: (policy: "local", point: "0.2"),
                right: (policy: "anything", point: "0.2"),
            ),
        ),
        (
            text: "At 0.6 anything has at most 0.57 times the QoE of the rules.",
            source: "a test",
            holds_if: Compare(
                item: "plain",
                metric: Qoe,
                order: Below,
                left: (policy: "anything", point: "0.6"),
                factor: 0.57,
                right: (policy: "rules", point: "0.6"),
            ),
        ),
    ],
)"#;

/// The names of what is in a folder.
fn listed(sandbox: &Sandbox, folder: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(sandbox.path().join(folder)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().display().to_string()).collect()
}

/// A folder with the study, made into `out`; and what that printed.
fn made() -> (Sandbox, Ran) {
    let sandbox = with_study(STUDY, 8);
    let first = sandbox.offramp(&REPRODUCE);
    assert_eq!(first.code, 0, "{}", first.err);
    (sandbox, first)
}

const REPRODUCE: [&str; 4] = ["reproduce", "toy.ron", "--out", "out"];

/// Policies that do not learn have the same numbers on every machine.
fn unlearned(printed: &str) -> &str {
    printed.split("What learns").next().unwrap()
}

#[test]
fn a_study_prints_its_tables_and_claims() {
    let (_, first) = made();
    insta::assert_snapshot!(unlearned(&first.out));
    insta::assert_snapshot!("claims", first.out.split("\nClaims\n").nth(1).unwrap());
    // A reference that is the same at every point stands there once.
    let steps = first.out.split("How long it learned").nth(1).unwrap();
    let table = steps.split("Difference from").next().unwrap();
    assert_eq!(table.matches("| teacher |").count(), 1, "{table}");
    assert!(table.contains("| any   | teacher |"), "{table}");
}

#[test]
fn a_study_writes_files_and_a_page_that_needs_nothing_else() {
    let (sandbox, _) = made();
    let page = sandbox.read("out/index.html");
    for part in ["What learns", "class=\"verdict holds\"", "class=\"verdict fails\"", "<svg"] {
        assert!(page.contains(part), "{part}");
    }
    // What looks like an address names a format.
    let addresses = page.match_indices("http").map(|(at, _)| &page[at..]);
    assert!(addresses.into_iter().all(|text| text.starts_with("http://www.w3.org/2000/svg")));
    let files = listed(&sandbox, "out");
    for file in [
        "plain.md",
        "plain.csv",
        "plain-qoe.svg",
        "plain-qoe.png",
        "plain-completionratio.svg",
        "learned-qoe.svg",
        "carried.csv",
        "curves.svg",
        "profiles.png",
        "curves.png",
    ] {
        assert!(files.contains(file), "{file}: {files:?}");
    }
}

#[test]
fn what_several_items_need_is_learned_once() {
    let (sandbox, _) = made();
    let learned = listed(&sandbox, "out/learned");
    // Of each of two seeds: two teachers; students of 20, 40 and 60 steps, one of the other
    // teacher, and the one that has two names.
    assert_eq!(learned.len(), 2 * (2 + 5), "{learned:?}");
}

/// So seeds are paired where they share a training, and nowhere else.
#[test]
fn runs_know_the_training_that_they_descend_from() {
    let sandbox = with_study(STUDY, 8);
    let registry = Registry::discover(&[], Some(built())).unwrap();
    let study = Study::read(&sandbox.path().join("toy.ron"), Size::Full).unwrap();
    let out = sandbox.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let only = ["plain", "learned", "carried", "apart"].map(str::to_owned);
    let exhibits = study.run(&registry, &out, &only, &InProcess, &Quiet).unwrap().exhibits;
    let of = |item: &str, policy: &str, point: &str| {
        let exhibit = exhibits.iter().find(|exhibit| exhibit.id == item).unwrap();
        let measured = exhibit.cell(policy, point).unwrap().outcome.clone().unwrap();
        measured.runs.into_iter().map(|run| run.lineage).collect::<Vec<_>>()
    };
    assert_eq!(of("plain", "rules", "0.6"), [None]);
    let teacher = of("learned", "teacher", "");
    let seeds: Vec<u64> = teacher.iter().flatten().map(|lineage| lineage.seed).collect();
    assert_eq!(seeds, [1, 2]);
    assert_ne!(teacher[0].as_ref().unwrap().training, teacher[1].as_ref().unwrap().training);
    // A student is of its teacher's training, here and where it learned longer; so is what is
    // carried elsewhere.
    assert_eq!(of("learned", "student", ""), teacher);
    assert_eq!(of("apart", "student", "student"), teacher);
    assert_eq!(of("carried", "teacher", "0.6"), teacher);
    // Another training has nothing in common with it, under equal seeds.
    let longer = of("apart", "teacher", "teacher");
    assert_eq!(of("apart", "student", "teacher"), longer);
    for (one, other) in longer.iter().zip(&teacher) {
        assert_ne!(one.as_ref().unwrap().training, other.as_ref().unwrap().training);
    }
}

#[test]
fn a_study_that_is_made_is_not_made_again() {
    let (sandbox, first) = made();
    let again = sandbox.offramp(&REPRODUCE);
    assert_eq!(again.out, first.out);
    assert!(!again.err.contains("training") && !again.err.contains("evaluating"), "{}", again.err);
}

/// A folder may be renamed, copied, or reached by a link: its name is not part of what it contains.
#[test]
#[cfg(unix)]
fn a_study_continues_in_a_folder_of_another_name() {
    let sandbox = with_study(STUDY, 8);
    let made = |out: &str| {
        let ran =
            sandbox.offramp(&["reproduce", "toy.ron", "--out", out, "--only", "plain,learned"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran
    };
    let first = made("out");
    let path = |name: &str| sandbox.path().join(name);
    for folder in std::fs::read_dir(path("out/results")).unwrap() {
        let record = std::fs::read_to_string(folder.unwrap().path().join("run.json")).unwrap();
        assert!(!record.contains(&sandbox.path().display().to_string()), "{record}");
    }
    std::fs::rename(path("out"), path("renamed")).unwrap();
    std::os::unix::fs::symlink("renamed", path("link")).unwrap();
    for out in ["renamed", "link"] {
        let again = made(out);
        assert_eq!(again.out, first.out);
        assert!(!again.err.contains("evaluating"), "{}", again.err);
    }
}

/// At any number of threads, and elsewhere.
#[test]
fn a_part_of_a_study_has_the_numbers_of_the_whole() {
    let (sandbox, first) = made();
    let part = ["reproduce", "toy.ron", "--out", "part", "--only", "learned", "--jobs", "1"];
    let part = sandbox.succeed(&part);
    let table = part.split("What learns").nth(1).unwrap();
    assert!(first.out.contains(table), "{table}");
}

#[test]
fn only_what_changed_of_a_study_is_made_again() {
    let (sandbox, first) = made();
    let before = listed(&sandbox, "out/learned").len();
    // Another student; its teacher stays.
    let changed = STUDY.replace(
        "teacher: \"teacher\"),",
        "teacher: \"teacher\",
        set: { \"distill.steps\": 30 }),",
    );
    sandbox.write("toy.ron", changed);
    let changed = sandbox.offramp(&REPRODUCE);
    assert_eq!(changed.code, 0, "{}", changed.err);
    assert!(changed.err.contains("distilling") && !changed.err.contains("training"));
    // Of each of two seeds: the students of either teacher. Where points set the steps, nothing
    // changed.
    assert_eq!(listed(&sandbox, "out/learned").len(), before + 2 * 2);
    // The teacher's rows have times, which differ.
    let without_teacher = |printed: &str| {
        let lines = unlearned(printed).lines().filter(|line| !line.contains("| teacher |"));
        lines.collect::<Vec<_>>().join("\n")
    };
    assert_eq!(without_teacher(&first.out), without_teacher(&changed.out));
}

#[test]
fn a_killed_study_resumes_bit_identical() {
    let sandbox = with_study(STUDY, 8);
    sandbox.succeed(&["reproduce", "toy.ron", "--out", "whole"]);
    let kills = sandbox.killed_until_done(&["reproduce", "toy.ron", "--out", "killed"]);
    assert!(kills > 0, "it was never killed");
    for file in ["plain.csv", "learned.csv", "learned-qoe.svg", "curves.svg"] {
        let bytes = |folder: &str| sandbox.bytes(&format!("{folder}/{file}"));
        assert_eq!(bytes("whole"), bytes("killed"), "{file}");
    }
}

#[test]
fn a_quick_study_is_smaller_and_says_so() {
    let sandbox = with_study(STUDY, 8);
    let ran = sandbox.offramp(&["reproduce", "toy.ron", "--quick", "--only", "plain,learned"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.starts_with("toy-quick, the quick version: 2 episodes, 1 training seed"));
    assert!(!ran.out.contains("| 0.2  ") && ran.out.contains("| 0.6  "), "{}", ran.out);
    assert_eq!(listed(&sandbox, "runs/toy-quick/learned").len(), 2);
    // As many training seeds as one asks for; the first has been learned from.
    let more = ["--quick", "--only", "plain,learned", "--seeds", "2"];
    let ran = sandbox.offramp(&[&["reproduce", "toy.ron"], &more[..]].concat());
    assert!(ran.out.contains("2 episodes, 2 training seeds"), "{}", ran.out);
    assert_eq!(listed(&sandbox, "runs/toy-quick/learned").len(), 2 * 2);
    let lessons = sandbox.read("runs/toy-quick/lessons.csv");
    assert_eq!(lessons.lines().count(), 1 + 2 * 2, "{lessons}");
}

#[test]
fn what_is_wrong_with_a_study_is_told_before_anything_is_done() {
    let sandbox = with_study(STUDY, 8);
    let mut errors = String::new();
    for (from, to) in [
        ("scenario: \"system.ron\"", "scenario: \"sistem.ron\""),
        ("form: Bars", "form: Bar"),
        ("[\"local\", \"anything\"", "[\"local\", \"anythin\""),
        ("teacher: \"teacher\")", "teacher: \"rules\")"),
        ("quick_points: [\"0.6\"]", "quick_points: [\"0.7\"]"),
        ("training_seeds: [1, 2]", "training_seeds: []"),
        ("plugin: \"all-local\"", "plugin: \"all-locl\""),
        ("\"tasks.arrival_probability\": 0.2", "\"tasks.arrival_probability\": 2.0"),
        ("\"tasks.arrival_probability\": 0.2", "\"name.first\": 1"),
        ("id: \"curves\"", "id: \"plain\""),
        ("of: { \"teacher\"", "of: { \"teechr\""),
        ("rivals: [\"local\"", "rivals: [\"student\""),
        ("point: \"0.2\"),\n                right", "point: \"0.3\"),\n                right"),
        ("\"local\": Fixed", "\"rules\": Fixed"),
    ] {
        assert!(STUDY.contains(from), "{from}");
        sandbox.write("wrong.ron", STUDY.replace(from, to));
        let ran = sandbox.offramp(&["reproduce", "wrong.ron", "--out", "out"]);
        assert_eq!(ran.code, 2, "{to}: {}{}", ran.out, ran.err);
        errors += &ran.err;
    }
    errors += &sandbox.offramp(&["reproduce", "toy.ron", "--only", "plane", "--out", "out"]).err;
    assert!(!sandbox.has("out"));
    insta::assert_snapshot!(errors);
}

#[test]
fn what_fails_is_a_row_and_the_rest_goes_on() {
    let sandbox = with_study(STUDY, 8);
    let failing = STUDY.replace(
        "plugin: \"heuristic\", parameters: (load_trust: 0.5)",
        "plugin: \"hostile\", parameters: (misdeed: PanicIn(\"decide\"))",
    );
    sandbox.write("failing.ron", failing);
    let hostile = example("hostile").display().to_string();
    let reproduce = ["reproduce", "failing.ron", "--out", "out", "--only", "plain"];
    let reproduce = [&reproduce[..], &["--plugins", &hostile]].concat();
    let ran = sandbox.offramp(&reproduce);
    assert_eq!(ran.code, 1, "{}", ran.err);
    // Whatever the format, what failed is named.
    for format in ["csv", "json"] {
        let again = sandbox.offramp(&[&reproduce[..], &["--format", format]].concat());
        assert_eq!(again.code, 1, "{}", again.err);
        assert!(again.err.contains("failed: plain: rules at 0.6: "), "{}", again.err);
    }
    insta::assert_snapshot!(ran.out);
}

/// Before anything is learned, whatever comes first in the study.
#[test]
fn what_a_plugin_refuses_ends_a_study_before_it_begins() {
    let sandbox = with_study(STUDY, 8);
    for (from, to, place) in [
        ("load_trust: 0.5", "load_trust: 7.0", "rules"),
        ("\"distill.explored\": 0.2", "\"distill.student.parameters.ratio\": -1.0", "ratio: -1.0"),
        (
            "quick: { \"train.",
            "set: { \"train.learner.parameters.batch\": 0 }, quick: { \"train.",
            "batch: 0",
        ),
    ] {
        assert!(STUDY.contains(from), "{from}");
        sandbox.write("wrong.ron", STUDY.replace(from, to));
        let ran = sandbox.offramp(&["reproduce", "wrong.ron", "--out", "out"]);
        assert_eq!(ran.code, 2, "{to}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(place), "{}", ran.err);
        assert!(!sandbox.has("out"), "{}", ran.err);
    }
}

/// Everything that a claim needs is there, or the reason is.
#[test]
fn a_claim_about_a_point_that_is_left_out_is_not_judged() {
    let sandbox = with_study(STUDY, 8);
    let quick = ["reproduce", "toy.ron", "--quick", "--only", "plain", "--format", "json"];
    let json: serde_json::Value = serde_json::from_str(&sandbox.succeed(&quick)).unwrap();
    let verdict = |number: usize| &json["claims"][number]["verdict"];
    assert_eq!(verdict(1), "not judged");
    assert_eq!(json["claims"][1]["because"], "local at 0.2 was left out of this version");
    assert_ne!(verdict(2), "not judged");
}

/// The policies of the paper's study that learn.
const LEARNED: [&str; 7] =
    ["teacher", "student", "student, tuned", "shared teacher", "shared student", "qeco", "dcdrl"];

/// Two tables of the paper's study, small; between them they have each of these policies. What
/// has been learned differs from processor to processor in its last bits, after a training in its
/// decisions too, so only its shape is kept: its numbers are `#`, and what is measured against it is
/// left out.
/// The files are relative to the scenario, which need not be in the folder of the study or of its results.
#[test]
fn a_study_reads_recorded_data_beside_its_scenarios() {
    let sandbox = Sandbox::new();
    for folder in ["systems", "studies"] {
        std::fs::create_dir(sandbox.path().join(folder)).unwrap();
    }
    let rows: String = (0..200).map(|slot| format!("{slot},{},1,0.3\n", slot % 3)).collect();
    sandbox.write("systems/tasks.csv", format!("slot,device,size_mbit,density\n{rows}"));
    let system = "name: \"recorded\", system: (devices: 3, servers: 2, slots: 20), \
                  tasks: (arrivals: Recorded(\"tasks.csv\")), recordings: (train: 0.5, validate: 0.25)";
    sandbox.write("systems/system.ron", format!("({system})"));
    let learner = "(plugin: \"d3qn\", parameters: (hidden: 2, sharing: Shared, every_slots: 1, batch: 8, \
                   warm_up_slots: 40))";
    let train = format!("train: (learner: {learner}, episodes: 4, validate_episodes: 2)");
    // In a process of its own, which finds both the data and the checkpoint.
    sandbox.write("systems/teacher.ron", format!("({system}, isolate: true, {train})"));
    let study = r#"(
        name: "recorded", scenario: "../systems/system.ron", training_seeds: [1],
        evaluate: (episodes: 2, seed: 3),
        policies: {
            "local": Fixed(plugin: "all-local"),
            "teacher": Trained(scenario: "../systems/teacher.ron"),
        },
        items: [(id: "all", title: "All", form: Table, policies: ["local", "teacher"], metrics: [Qoe])],
    )"#;
    sandbox.write("studies/study.ron", study);
    let made = sandbox.succeed(&["reproduce", "studies/study.ron", "--out", "out"]);
    assert!(made.contains("| teacher"), "{made}");
    // Other tasks are another study.
    sandbox.write(
        "systems/tasks.csv",
        format!("slot,device,size_mbit,density\n{rows}").replace(",1,", ",2,"),
    );
    let other = sandbox.succeed(&["reproduce", "studies/study.ron", "--out", "out"]);
    assert_ne!(made, other);
}

/// Everything that its files name exists and fits, and learners and rules meet the same system.
#[test]
fn the_study_of_vehicles_can_begin() {
    let sandbox = Sandbox::new();
    let out = sandbox.path().join("study").display().to_string();
    let ran = offramp(workspace(), &["reproduce", "v2x", "--quick", "--plan", "--out", &out]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let system = |name: &str| {
        let path = workspace().join("scenarios").join(name);
        let experiment = Experiment::read(&path, &[]).unwrap();
        format!("{:?}", experiment.points[0].system.parameters())
    };
    assert_eq!(system("v2x-manhattan.ron"), system("v2x-teacher.ron"));
}

#[test]
fn the_quick_tables_of_the_paper_keep_their_shape() {
    let sandbox = Sandbox::new();
    let study = workspace().join("scenarios/reproduce/paper.ron").display().to_string();
    let mut shape = String::new();
    for item in ["table-3", "carried-over"] {
        let ran =
            sandbox.offramp(&["reproduce", &study, "--quick", "--only", item, "--out", "out"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let measured = ran.out.split("Difference from").next().unwrap_or_default();
        for line in measured.lines().filter(|line| !line.starts_with("|-")) {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let learned = |cell: &&str| LEARNED.contains(cell);
            // Numbers stand behind the policy's name.
            let named = cells.iter().position(learned).unwrap_or(cells.len());
            for (column, cell) in cells.iter().enumerate() {
                let separator = if column == 0 { "" } else { "|" };
                let text = if column > named { without_numbers(cell) } else { (*cell).to_owned() };
                shape += &format!("{separator}{text}");
            }
            shape.push('\n');
        }
    }
    insta::assert_snapshot!(shape);
}

/// With every number, its sign too, as `#`.
fn without_numbers(text: &str) -> String {
    let mut shape = String::new();
    for letter in text.chars() {
        let next = if "0123456789.+-".contains(letter) { '#' } else { letter };
        if next != '#' || !shape.ends_with('#') {
            shape.push(next);
        }
    }
    shape
}

/// What was attainable stands beside the policies, each on the same tasks; all of it is evaluated together.
#[test]
fn references_are_measured_beside_policies() {
    let study = r#"(
        name: "toy",
        scenario: "system.ron",
        training_seeds: [1],
        evaluate: (episodes: 3, seed: 9),
        policies: {
            "rules": Fixed(plugin: "heuristic"),
            "chance": Reference(of: Chance),
            "all known": Reference(of: Central),
            "foreseen": Reference(of: Hindsight),
        },
        items: [(
            id: "known", title: "What can be known", form: Table,
            policies: ["rules", "chance", "all known", "foreseen"], reference: "foreseen",
            points: [
                (label: "0.4"), (label: "0.6", set: { "tasks.arrival_probability": 0.6 }),
            ],
            metrics: [Qoe],
        )],
        claims: [(
            text: "", source: "",
            holds_if: Compare(
                item: "known", metric: Qoe, order: Above,
                left: (policy: "foreseen", point: "0.6"), right: (policy: "chance", point: "0.6"),
            ),
        )],
    )"#;
    let sandbox = with_study(study, 4);
    sandbox.succeed(&["reproduce", "toy.ron", "--out", "out"]);
    let table = sandbox.read("out/known.csv");
    let header: Vec<&str> = table.lines().next().unwrap().split(',').collect();
    let column = |name: &str| header.iter().position(|column| *column == name).unwrap();
    let (policy, point, estimate) = (column("policy"), column("point"), column("estimate"));
    let qoe = |wanted: [&str; 2]| -> f64 {
        let rows = table.lines().map(|row| row.split(',').collect::<Vec<_>>());
        let mut found = rows.filter(|row| [row[policy], row[point]] == wanted);
        found.next().unwrap()[estimate].parse().unwrap()
    };
    for load in ["0.4", "0.6"] {
        let known = ["chance", "all known", "foreseen"].map(|policy| qoe([policy, load]));
        assert!(known[0] < known[1] && known[1] <= known[2], "{load}: {known:?}");
    }
    // One evaluation of all references at each point, one of the rules.
    assert_eq!(listed(&sandbox, "out/results").len(), 2 + 2);
    // They are those of a run in the same system.
    let run =
        "(name: \"run\", system: (devices: 4, servers: 2, slots: 40, server_ghz: [6.0, 12.0]),
        tasks: (arrival_probability: 0.4), policies: [], hindsight: true,
        evaluate: (episodes: 3, seed: 9))";
    sandbox.write("run.ron", run);
    let printed = sandbox.succeed(&["run", "run.ron", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let last = json["runs"].as_array().unwrap().last().unwrap();
    let expected = last["metrics"]["qoe"]["mean"].as_f64().unwrap();
    assert!((qoe(["foreseen", "0.4"]) - expected).abs() < 1e-9);
}
