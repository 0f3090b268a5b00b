//! Studies of live runs, end to end: what a study trains is handed over to the policies of a stream, and the
//! streams of all training seeds make its curves, tables and verdicts.

use offramp_tests::{Sandbox, with_study};

const STUDY: &str = r#"(
    name: "toy",
    scenario: "system.ron",
    training_seeds: [1, 2, 3],
    evaluate: (episodes: 2, seed: 9),
    policies: {
        "teacher": Trained(scenario: "teacher.ron"),
        "student": Distilled(scenario: "student.ron", teacher: "teacher"),
        "longer": Distilled(scenario: "student.ron", teacher: "teacher", set: { "distill.steps": 60 }),
    },
    quick: (training_seeds: [1]),
    items: [
        (
            id: "drift", title: "The load rises", form: Streams,
            policies: ["rules", "frozen", "renewed", "online", "alone"],
            live: (
                scenario: "drift.ron",
                checkpoints: {
                    "student.safetensors": "student", "longer.safetensors": "longer", "teacher.safetensors": "teacher",
                },
                quick: { "live.slots": 250 },
            ),
            metrics: [QoePerTask, Recovery, Regret, BytesPerDevice, MultiplyAdds, Epsilon],
        ),
    ],
    claims: [
        (
            text: "The rules compute more than 10 kB.",
            source: "a test",
            holds_if: Bounded(item: "drift", metric: BytesPerDevice, order: Above, policy: "rules", bound: 10000),
        ),
        (
            text: "Learning from the teacher sends something.",
            source: "a test",
            holds_if: Best(
                item: "drift", metric: BytesPerDevice, order: Above, policy: "online", rivals: ["frozen", "alone"],
            ),
        ),
        (
            text: "The rules are ahead in the end.",
            source: "a test",
            holds_if: Compare(
                item: "drift", metric: QoePerTask, order: Above,
                left: (policy: "rules", point: "200"), factor: 0.5, right: (policy: "frozen", point: "200"),
            ),
        ),
    ],
)"#;

/// The system of the study, in a stream of 400 slots.
fn made() -> Sandbox {
    let sandbox = with_study(STUDY, 8);
    let system = sandbox.read("system.ron");
    let system = system.strip_suffix(')').unwrap().replacen("\"system\"", "\"drift\"", 1);
    let network = "plugin: \"d3qn\", parameters: (hidden: 4, sharing: PerDevice, batch: 8, warm_up_slots: 20)";
    let student = "plugin: \"student\", checkpoint: \"student.safetensors\", \
                   parameters: (teacher_hidden: 4, ratio: 0.5)";
    sandbox.write(
        "drift.ron",
        format!(
            "{system}, live: (
                slots: 400, window_slots: 50, save_every: 60, ceiling: \"renewed\",
                drift: [(at: 200, set: {{ \"tasks.arrival_probability\": 0.6 }})],
                policies: [
                    (name: \"rules\", plugin: \"heuristic\"),
                    (name: \"frozen\", {student}),
                    (name: \"renewed\", {student}, renewed: {{ 200: \"longer.safetensors\" }}),
                    (name: \"online\", {student}, online: (
                        teacher: (
                            plugin: \"d3qn\", checkpoint: \"teacher.safetensors\", parameters: (hidden: 4),
                        ),
                    )),
                    (name: \"alone\", {network}, learns: Alone, explorer: (plugin: \"uniform\")),
                ],
            ))"
        ),
    );
    sandbox
}

const REPRODUCE: [&str; 4] = ["reproduce", "toy.ron", "--out", "out"];

/// The numbers of a policy in a phase.
fn rows(sandbox: &Sandbox, policy: &str, point: &str, metric: &str) -> Vec<(String, f64)> {
    let bytes = sandbox.bytes("out/drift.csv");
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    let all = reader.records().map(Result::unwrap);
    let own = all.filter(|row| {
        row[1] == *point && row[2] == *policy && row[3].starts_with(metric) && !row[6].is_empty()
    });
    own.map(|row| (row[4].to_owned(), row[6].parse().unwrap())).collect()
}

#[test]
fn a_study_of_live_runs_has_curves_numbers_and_verdicts() {
    let sandbox = made();
    let first = sandbox.offramp(&REPRODUCE);
    assert_eq!(first.code, 0, "{}{}", first.out, first.err);
    for part in ["| from slot | policy", "recovery (slots)", "Claims"] {
        assert!(first.out.contains(part), "{}", first.out);
    }
    let verdicts = first.out.split("\nClaims\n").nth(1).unwrap();
    let verdict = |claim: &str| verdicts.lines().find(|line| line.contains(claim)).unwrap();
    assert!(verdict("more than 10 kB").contains("fails"), "{verdicts}");
    assert!(verdict("sends something").contains("holds"), "{verdicts}");

    // One number for each training seed, and their mean.
    let qoe = rows(&sandbox, "frozen", "200", "QoE per task");
    let seeds: Vec<&str> = qoe.iter().map(|(seed, _)| seed.as_str()).collect();
    assert_eq!(seeds, ["", "1", "2", "3"]);
    let mean = (qoe[1].1 + qoe[2].1 + qoe[3].1) / 3.0;
    assert!((qoe[0].1 - mean).abs() < 0.01, "{qoe:?}");
    // Streams differ from seed to seed, of what does not learn, too.
    let rules = rows(&sandbox, "rules", "0", "QoE per task");
    assert!(rules[1].1 != rules[2].1, "{rules:?}");
    // Until the change, what is renewed is what is not.
    assert_eq!(rows(&sandbox, "frozen", "0", "QoE"), rows(&sandbox, "renewed", "0", "QoE"));
    assert_eq!(rows(&sandbox, "renewed", "200", "recovery")[0].1, 0.0);
    assert!(rows(&sandbox, "renewed", "0", "recovery").is_empty());
    assert!(rows(&sandbox, "online", "0", "bytes")[0].1 > 0.0);
    assert!(rows(&sandbox, "alone", "0", "multiply-adds")[0].1 > 0.0);

    let page = sandbox.read("out/index.html");
    assert!(page.contains("The load rises") && page.contains("<svg"), "{page}");
    assert!(sandbox.path().join("out/drift.svg").exists());

    // It is not made again, and elsewhere, in pieces and on other threads it is the same.
    let again = sandbox.offramp(&REPRODUCE);
    assert_eq!(again.out, first.out);
    assert!(!again.err.contains("live run") && !again.err.contains("training"), "{}", again.err);
    let killed = ["reproduce", "toy.ron", "--out", "killed", "--jobs", "1"];
    sandbox.killed_until_done(&killed);
    assert_eq!(sandbox.bytes("out/drift.csv"), sandbox.bytes("killed/drift.csv"));
}

/// As on many machines.
#[test]
fn live_runs_are_jobs_of_their_own() {
    let sandbox = made();
    let planned = sandbox.succeed(&["reproduce", "toy.ron", "--quick", "--plan", "--out", "jobs"]);
    assert!(planned.contains("| live run     |    1 |"), "{planned}");
    let plan: serde_json::Value =
        serde_json::from_str(&sandbox.read("jobs/plan/jobs.json")).unwrap();
    for job in plan["jobs"].as_array().unwrap() {
        let name = job["makes"].as_str().unwrap();
        sandbox.succeed(&["reproduce", "toy.ron", "--quick", "--out", "jobs", "--job", name]);
    }
    sandbox.succeed(&["reproduce", "toy.ron", "--quick", "--out", "whole"]);
    assert_eq!(sandbox.bytes("jobs/drift.csv"), sandbox.bytes("whole/drift.csv"));
}

#[test]
fn what_fails_in_a_stream_is_reported() {
    let sandbox = made();
    let broken = sandbox.read("drift.ron").replace("hidden: 4, sharing", "hidden: 0, sharing");
    sandbox.write("drift.ron", broken);
    let ran = sandbox.offramp(&["reproduce", "toy.ron", "--quick", "--out", "out"]);
    assert!(ran.code != 0 && ran.err.contains("hidden"), "{} {}", ran.code, ran.err);
}
