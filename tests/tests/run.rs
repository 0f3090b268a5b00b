//! `offramp run` and `offramp report`, end to end: the real command, the real plugins.

use offramp_tests::{Sandbox, read, untimed, workspace};
use serde_json::Value;

fn scenario(name: &str) -> String {
    workspace().join("scenarios").join(name).display().to_string()
}

#[test]
fn a_scenario_becomes_a_table() {
    let sandbox = Sandbox::new();
    let ran = sandbox.offramp(&["run", &scenario("small.ron"), "--power-modes"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, "results: runs/small-001\n"));
    let (table, modes) = ran.out.split_once("small, by power mode").unwrap();
    insta::assert_snapshot!("small", untimed(table));
    insta::assert_snapshot!("small_power_modes", modes);
}

#[test]
fn every_scenario_of_the_repository_runs() {
    let sandbox = Sandbox::new();
    for name in ["paper", "load-sweep", "heterogeneous", "physical-energy"] {
        let ran = sandbox.offramp(&["run", &scenario(&format!("{name}.ron")), "--episodes", "2"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        insta::assert_snapshot!(name, untimed(&ran.out));
    }
    // One network for several rows: ndarray's product, whose last bits differ by processor, so
    // its table is not one for all machines. (A single row's product is the same everywhere.)
    let ran = sandbox.offramp(&["run", &scenario("paper-extended.ron"), "--episodes", "2"]);
    assert_eq!(ran.code, 0, "{}{}", ran.err, ran.out);
    // Every training scenario can be read.
    for entry in std::fs::read_dir(workspace().join("scenarios")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "ron") {
            assert_eq!(sandbox.offramp(&["inspect", &path.display().to_string()]).code, 0);
        }
    }
    // Its full size is a command, not a test.
    let large = read(scenario("large.ron").as_ref());
    sandbox.write(
        "large.ron",
        large.replace("1000000", "1000").replace("servers: 1000", "servers: 9"),
    );
    let ran = sandbox.offramp(&["run", "large.ron"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
}

#[test]
fn json_keeps_its_contract() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "sweep.ron",
        "(name: \"sweep\", policies: [(plugin: \"random\"), (plugin: \"heuristic\", name: \"rules\")],
          evaluate: (episodes: 3), sweep: {
            \"tasks.arrival_probability\": [0.3, 0.6],
            \"alpha.rule\": [Fixed],
          })",
    );
    let ran = sandbox.offramp(&["run", "sweep.ron", "--format", "json"]);
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    let runs = json["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 4);
    let key = |run: &Value| (run["policy"].clone(), run["sweep"].clone(), run["episodes"].clone());
    let keys: Vec<_> = runs.iter().map(key).collect();
    insta::assert_debug_snapshot!(keys);
    let metrics = runs[1]["metrics"].as_object().unwrap();
    for name in
        ["qoe", "delay_slots", "energy", "dropped", "completion_ratio", "decision_us", "delay_p95"]
    {
        let metric = &metrics[name];
        assert!(metric["mean"].is_number() && metric["sd"].is_number(), "{name}");
    }
    assert!(metrics["decision_us"]["mean"].as_f64().unwrap() > 0.0);
    assert_eq!(runs[0]["power_modes"].as_array().unwrap().len(), 3);
}

#[test]
fn a_sweep_changes_what_it_says_and_nothing_else() {
    let sandbox = Sandbox::new();
    let alone = "(name: \"alone\", policies: [(plugin: \"random\")], evaluate: (episodes: 2),
                  tasks: (arrival_probability: 0.6))";
    sandbox.write("alone.ron", alone);
    let swept = "(name: \"swept\", policies: [(plugin: \"random\")], evaluate: (episodes: 2),
                  sweep: {\"tasks.arrival_probability\": [0.2, 0.6]})";
    sandbox.write("swept.ron", swept);
    assert_eq!(sandbox.offramp(&["run", "alone.ron", "--out", "a"]).code, 0);
    assert_eq!(sandbox.offramp(&["run", "swept.ron", "--out", "b"]).code, 0);
    let values = |text: String, skip: usize| -> Vec<String> {
        let rows = text.lines().skip(skip).take(2);
        rows.map(|row| row.splitn(4, ',').nth(3).unwrap().to_owned()).collect()
    };
    assert_eq!(
        values(sandbox.read("a/episodes.csv"), 1),
        values(sandbox.read("b/episodes.csv"), 3)
    );
}

/// Same scenario, seed and plugins: bit-identical results for any number of threads, and again.
#[test]
fn results_do_not_depend_on_threads() {
    let sandbox = Sandbox::new();
    let small = scenario("small.ron");
    for (out, jobs) in [("one", "1"), ("two", "2"), ("many", "7")] {
        assert_eq!(sandbox.offramp(&["run", &small, "--jobs", jobs, "--out", out]).code, 0);
    }
    for file in ["episodes.csv", "power-modes.csv", "delays.csv", "run.json", "scenarios/small.ron"]
    {
        assert_eq!(sandbox.read(&format!("one/{file}")), sandbox.read(&format!("two/{file}")));
        assert_eq!(sandbox.read(&format!("one/{file}")), sandbox.read(&format!("many/{file}")));
    }
    let other = sandbox.offramp(&["run", &small, "--seed", "2", "--out", "other"]);
    assert_eq!(other.code, 0);
    assert_ne!(sandbox.read("one/episodes.csv"), sandbox.read("other/episodes.csv"));
    // The scenario is kept as it was run, so it can be run again.
    let again = sandbox.offramp(&["run", "other/scenarios/small.ron", "--out", "again"]);
    assert_eq!(again.code, 0);
    assert_eq!(sandbox.read("other/episodes.csv"), sandbox.read("again/episodes.csv"));
}

#[test]
fn report_prints_what_run_printed() {
    let sandbox = Sandbox::new();
    for format in ["table", "json", "csv"] {
        let run = sandbox.offramp(&[
            "run",
            &scenario("small.ron"),
            &scenario("physical-energy.ron"),
            "--quick",
            "--format",
            format,
            "--out",
            format,
        ]);
        let report = sandbox.offramp(&["report", format, "--format", format]);
        assert_eq!((run.code, report.code), (0, 0), "{}{}", run.err, report.err);
        assert_eq!(run.out, report.out);
    }
}

#[test]
fn results_are_numbered_and_never_overwritten() {
    let sandbox = Sandbox::new();
    let small = scenario("small.ron");
    assert_eq!(sandbox.offramp(&["run", &small, "--quick"]).err, "results: runs/small-001\n");
    let first = sandbox.read("runs/small-001/run.json");
    assert_eq!(sandbox.offramp(&["run", &small, "--quick"]).err, "results: runs/small-002\n");
    let ran = sandbox.offramp(&["run", &small, "--quick", "--out", "runs/small-001"]);
    assert_eq!(ran.code, 2);
    insta::assert_snapshot!(ran.err);
    assert_eq!(sandbox.read("runs/small-001/run.json"), first);
    // Nothing is left behind beside the results.
    assert_eq!(std::fs::read_dir(sandbox.path().join("runs")).unwrap().count(), 2);
}

#[test]
fn a_damaged_run_folder_is_refused() {
    let sandbox = Sandbox::new();
    assert_eq!(
        sandbox.offramp(&["run", &scenario("small.ron"), "--quick", "--out", "run"]).code,
        0
    );
    let rows = sandbox.read("run/episodes.csv");
    let mut errors = sandbox.offramp(&["report", "nowhere"]).err;
    let cut = rows.rfind("small").unwrap();
    sandbox.write("run/episodes.csv", &rows[..cut]);
    errors += &sandbox.offramp(&["report", "run"]).err;
    sandbox
        .write("run/episodes.csv", rows.replacen("small,all-local,,0,", "small,all-local,,0,x", 1));
    errors += &sandbox.offramp(&["report", "run"]).err;
    sandbox.write(
        "run/run.json",
        sandbox.read("run/run.json").replace("\"format\": 1", "\"format\": 9"),
    );
    errors += &sandbox.offramp(&["report", "run"]).err;
    insta::assert_snapshot!(errors);
}

/// The same policies on the published environment, mean ± standard error over 8 seeds: AvgQoE,
/// AvgDelay, AvgEnergy, Drop.
const PUBLISHED: [(&str, [(f64, f64); 4]); 3] = [
    ("all-local", [(260.0, 6.4), (8.623, 0.046), (107.1, 0.9), (772.6, 17.1)]),
    ("all-offload", [(419.4, 7.2), (7.852, 0.047), (426.0, 3.5), (491.9, 15.9)]),
    ("random", [(616.3, 7.9), (6.935, 0.045), (412.3, 2.7), (285.1, 12.9)]),
];

/// The README's table is what its main command prints, except for the times.
#[test]
fn the_readme_is_true() {
    let sandbox = Sandbox::new();
    let ran = sandbox.offramp(&["run", &scenario("paper.ron")]);
    assert_eq!(ran.code, 0, "{}{}", ran.err, ran.out);
    let readme = read(&workspace().join("README.md"));
    let readme = untimed(&readme);
    for row in untimed(&ran.out).lines().filter(|line| line.starts_with("| ")) {
        assert!(readme.contains(row), "not in the README: {row}");
    }
}

/// Within 3 standard errors of the difference.
#[test]
fn baselines_agree_with_the_published_environment() {
    let sandbox = Sandbox::new();
    let ran = sandbox.offramp(&["run", &scenario("paper.ron"), "--format", "json"]);
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    for (policy, published) in PUBLISHED {
        let runs = json["runs"].as_array().unwrap();
        let run = runs.iter().find(|run| run["policy"] == policy).unwrap();
        let metrics = ["qoe", "delay_slots", "energy", "dropped"];
        for (name, (mean, error)) in metrics.into_iter().zip(published) {
            let ours = &run["metrics"][name];
            let (our_mean, sd) = (ours["mean"].as_f64().unwrap(), ours["sd"].as_f64().unwrap());
            let of_difference = (sd * sd / 50.0 + error * error).sqrt();
            let difference = (our_mean - mean).abs();
            assert!(difference < 3.0 * of_difference, "{policy} {name}: {our_mean} and {mean}");
        }
    }
}
