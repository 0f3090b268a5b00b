//! What was attainable: rows of references, shares of hindsight, plans as traces, their cache.

use offramp_tests::{Sandbox, csv, untimed};
use serde_json::Value;

const SCENARIO: &str = r#"(
    name: "few",
    system: (devices: 8, servers: 2, slots: 20, server_ghz: 12.0),
    policies: [(plugin: "random"), (plugin: "all-local")],
    evaluate: (episodes: 3, seed: 4),
    sweep: {"tasks.arrival_probability": [0.3, 0.6]},
)"#;

fn with_scenario() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("few.ron", SCENARIO);
    sandbox
}

/// The message with which a command refuses its input.
fn refused(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let ran = sandbox.offramp(arguments);
    assert_eq!(ran.code, 2, "{}", ran.err);
    ran.err
}

/// The mean QoE and the share of each row of a run, by policy, at the first point.
fn qoe(json: &str) -> Vec<(String, f64, Option<f64>)> {
    let json: Value = serde_json::from_str(json).unwrap();
    let runs = json["runs"].as_array().unwrap();
    let row = |run: &Value| {
        let qoe = run["metrics"]["qoe"]["mean"].as_f64().unwrap();
        let policy = run["policy"].as_str().unwrap().to_owned();
        (policy, qoe, run["share_of_hindsight"].as_f64())
    };
    runs.iter().take(runs.len() / 2).map(row).collect()
}

#[test]
fn references_are_rows_and_everyone_has_a_share() {
    let sandbox = with_scenario();
    let ran = sandbox.succeed(&["run", "few.ron", "--hindsight", "--out", "whole"]);
    insta::assert_snapshot!(untimed(&ran));
    let rows = qoe(&sandbox.succeed(&["report", "whole", "--format", "json"]));
    let names: Vec<&str> = rows.iter().map(|row| row.0.as_str()).collect();
    assert_eq!(names, ["random", "all-local", "chance", "central", "hindsight"]);
    let [chance, central, hindsight] = [rows[2].1, rows[3].1, rows[4].1];
    assert!(chance < central && central < hindsight);
    for (name, qoe, share) in &rows {
        let expected = (qoe - chance) / (hindsight - chance);
        assert!((share.unwrap() - expected).abs() < 1e-12, "{name}");
    }
    // The same in all formats, and on the page.
    let printed = csv(&sandbox.succeed(&["report", "whole", "--format", "csv"]));
    let place = printed[0].iter().position(|name| name == "share_of_hindsight").unwrap();
    let share: f64 = printed[4][place].parse().unwrap();
    assert!((share - rows[3].2.unwrap()).abs() < 1e-12);
    assert!(sandbox.read("whole/report.html").contains("of hindsight"));
    // Nobody has one without it.
    let ran = sandbox.succeed(&["run", "few.ron", "--out", "plain"]);
    assert!(!ran.contains("hindsight"));
}

/// However a batch is carried out: on other threads, in processes of their own, resumed, in parts,
/// without a cache or with a damaged one.
#[test]
fn rows_of_references_are_the_same_however_they_come_about() {
    let sandbox = with_scenario();
    let run = |arguments: &[&str]| sandbox.succeed(&[&["run", "few.ron"][..], arguments].concat());
    run(&["--hindsight", "--jobs", "1", "--out", "one"]);
    let expected = sandbox.bytes("one/episodes.csv");
    let same = |folder: &str| {
        assert!(sandbox.bytes(&format!("{folder}/episodes.csv")) == expected, "{folder}");
    };
    run(&["--hindsight", "--jobs", "2", "--out", "cached"]);
    same("cached");
    for key in std::fs::read_dir(sandbox.path().join("cache/plans")).unwrap() {
        for file in std::fs::read_dir(key.unwrap().path()).unwrap() {
            std::fs::write(file.unwrap().path(), "damaged").unwrap();
        }
    }
    run(&["--hindsight", "--isolate", "--out", "damaged"]);
    same("damaged");
    run(&["--out", "resumed"]);
    run(&["--hindsight", "--out", "resumed", "--resume"]);
    same("resumed");
    run(&["--hindsight", "--shard", "1/2", "--out", "part-1"]);
    run(&["--hindsight", "--shard", "2/2", "--out", "part-2"]);
    sandbox.succeed(&["merge", "part-1", "part-2", "--out", "merged"]);
    same("merged");
    // A cache that can't be written costs time alone.
    std::fs::remove_dir_all(sandbox.path().join("cache")).unwrap();
    sandbox.write("cache", "not a folder");
    run(&["--hindsight", "--out", "uncached"]);
    same("uncached");
}

#[test]
fn a_policy_that_is_called_like_a_reference_is_refused() {
    let sandbox = Sandbox::new();
    let named = SCENARIO.replace("\"all-local\"", "\"all-local\", name: \"central\"");
    sandbox.write("few.ron", &named);
    let refused = refused(&sandbox, &["run", "few.ron", "--hindsight"]);
    assert!(refused.contains("`hindsight` adds a row that is called `central`, too"), "{refused}");
    assert!(refused.contains("give this policy another `name`"), "{refused}");
    sandbox.succeed(&["run", "few.ron", "--out", "plain"]);
}

#[test]
fn plans_are_traces_that_replay_to_the_last_value() {
    let sandbox = with_scenario();
    let table = sandbox.succeed(&["hindsight", "few.ron", "--out", "plans", "--jobs", "2"]);
    insta::assert_snapshot!(table);
    let (first, last) = ("plans/0/central-0.json", "plans/1/hindsight-2.json");
    let replayed = sandbox.succeed(&["replay", first, last, "--check"]);
    assert_eq!(replayed.matches("recorded values equal").count(), 2, "{replayed}");
    // The plans of rows are these.
    sandbox.succeed(&["run", "few.ron", "--hindsight", "--out", "run"]);
    let episodes = csv(&sandbox.read("run/episodes.csv"));
    let column = |name: &str| episodes[0].iter().position(|column| column == name).unwrap();
    let mut rows = episodes.iter().filter(|row| row[column("policy")] == "hindsight");
    let qoe: f64 = rows.next_back().unwrap()[column("qoe")].parse().unwrap();
    let json: Value =
        serde_json::from_str(&sandbox.succeed(&["replay", last, "--format", "json"])).unwrap();
    assert!((json["traces"][0]["qoe"].as_f64().unwrap() - qoe).abs() < 1e-9);
}

/// Nothing that is there is written over: plans of another seed, a run, anything else.
#[test]
fn a_folder_of_plans_is_its_own() {
    let sandbox = with_scenario();
    sandbox.succeed(&["hindsight", "few.ron", "--out", "plans"]);
    let trace = sandbox.read("plans/0/hindsight-0.json");
    assert!(trace.contains("few, seed 4, episode 0, hindsight"), "{trace}");
    sandbox.succeed(&["run", "few.ron", "--out", "run"]);
    std::fs::create_dir(sandbox.path().join("mine")).unwrap();
    sandbox.write("mine/notes.txt", "mine");
    for taken in ["plans", "run", "mine", "few.ron"] {
        let arguments = ["hindsight", "few.ron", "--seed", "9", "--episodes", "1", "--out", taken];
        let refused = refused(&sandbox, &arguments);
        assert!(refused.contains(&format!("{taken} already exists")), "{refused}");
        assert!(refused.contains("name another folder with --out"), "{refused}");
        assert!(!refused.contains("--resume"), "{refused}");
    }
    assert_eq!(sandbox.read("plans/0/hindsight-0.json"), trace);
    assert!(!sandbox.has("run/0") && !sandbox.has("mine/0"));
    // Nor is another work continued in it.
    let refused = refused(&sandbox, &["run", "few.ron", "--out", "plans"]);
    assert!(refused.contains("plans already exists"), "{refused}");
}

/// Whether its plans are found or read: the table is the same to the last digit.
#[test]
fn the_table_does_not_depend_on_the_cache() {
    let sandbox = with_scenario();
    let table = || sandbox.succeed(&["hindsight", "few.ron", "--format", "csv"]);
    let first = table();
    assert!(sandbox.has("cache/plans"));
    assert_eq!(table(), first);
}

#[test]
fn where_no_task_arrives_nothing_is_missing() {
    let sandbox = Sandbox::new();
    sandbox.write("few.ron", SCENARIO.replace("[0.3, 0.6]", "[0.0]"));
    let printed = csv(&sandbox.succeed(&["hindsight", "few.ron", "--format", "csv"]));
    let column = |name: &str| printed[0].iter().position(|column| column == name).unwrap();
    assert_eq!(printed[1][column("gap_percent")], "");
    assert_eq!(printed[1][column("bound")].parse(), Ok(0.0));
}

#[test]
fn a_folder_is_not_a_trace() {
    let sandbox = with_scenario();
    std::fs::create_dir(sandbox.path().join("plans")).unwrap();
    let refused = refused(&sandbox, &["replay", "plans", "--check"]);
    assert!(refused.contains("plans is a folder, not a trace"), "{refused}");
    assert!(refused.contains("name its files: plans/*.json"), "{refused}");
}

#[test]
fn what_a_trace_cannot_describe_is_refused_before_anything_is_computed() {
    let sandbox = Sandbox::new();
    sandbox.write("few.ron", SCENARIO.replace("12.0", "Uniform(6, 12)"));
    let refused = refused(&sandbox, &["hindsight", "few.ron", "--out", "plans"]);
    assert!(refused.contains("a trace can't describe servers that differ"), "{refused}");
    assert!(!sandbox.has("plans"));
    let table = sandbox.succeed(&["hindsight", "few.ron"]);
    assert!(table.contains("hindsight"));
}
