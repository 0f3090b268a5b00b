//! Metrics, end to end: how they are pooled, what has no value, and that all are numbers.

use offramp_tests::{Ran, Sandbox};
use serde_json::Value;

/// Runs a scenario with these fields, and returns the JSON of its runs.
#[track_caller]
fn run(sandbox: &Sandbox, fields: &str) -> Vec<Value> {
    sandbox.write("x.ron", format!("(name: \"x\", {fields})"));
    let text = sandbox.succeed(&["run", "x.ron", "--format", "json", "--out", "run"]);
    let json: Value = serde_json::from_str(&text).unwrap();
    json["runs"].as_array().unwrap().clone()
}

/// The mean of a metric; 0 where it has no value.
fn mean(object: &Value, metric: &str) -> f64 {
    object["metrics"][metric]["mean"].as_f64().unwrap_or(0.0)
}

#[track_caller]
fn close(what: &str, ours: f64, theirs: f64) {
    assert!((ours - theirs).abs() <= 1e-9 * ours.abs().max(1.0), "{what}: {ours} and {theirs}");
}

/// The cells of a column of a CSV table whose cells have no commas.
fn cells<'t>(table: &'t str, column: &str) -> Vec<&'t str> {
    let mut rows = table.lines();
    let at = rows.next().unwrap().split(',').position(|title| title == column).unwrap();
    rows.map(|row| row.split(',').nth(at).unwrap()).collect()
}

/// The mean of a column of a table, weighted by another; rows without a value are left out.
fn pooled(table: &str, column: &str, weight: &str) -> f64 {
    let (values, weights_of) = (cells(table, column), cells(table, weight));
    let (mut sum, mut weights) = (0.0, 0.0);
    for (value, weight) in values.into_iter().zip(weights_of) {
        let Ok(value) = value.parse::<f64>() else { continue };
        let weight: f64 = weight.parse().unwrap();
        sum += weight * value;
        weights += weight;
    }
    sum / weights
}

const PER_TASK: [&str; 4] = ["delay_slots", "completion_ratio", "local_share", "energy_per_task"];

/// Where the table is split by power mode, its rows come to the overall row.
#[test]
fn power_modes_come_to_the_whole() {
    for fields in [
        "system: (devices: 3, servers: 1), policies: [(plugin: \"all-local\"), (plugin: \"random\")],
         evaluate: (episodes: 300)",
        "system: (devices: 1, servers: 1), policies: [(plugin: \"random\")],
         evaluate: (episodes: 300), alpha: (rule: Switching(0.1))",
        "system: (devices: 1, servers: 1), policies: [(plugin: \"all-local\")],
         evaluate: (episodes: 300)",
        "system: (devices: 1, servers: 1), tasks: (arrival_probability: 0.002),
         policies: [(plugin: \"all-local\")], evaluate: (episodes: 2000)",
    ] {
        let sandbox = Sandbox::new();
        let runs = run(&sandbox, fields);
        for run in &runs {
            let modes = run["power_modes"].as_array().unwrap();
            let total = |weight| modes.iter().map(|mode| mean(mode, weight)).sum::<f64>();
            for weight in ["tasks", "devices", "dropped"] {
                close(weight, total(weight), mean(run, weight));
            }
            let per_device = ["qoe", "energy"].map(|metric| (metric, "devices"));
            for (metric, weight) in PER_TASK.map(|id| (id, "tasks")).into_iter().chain(per_device) {
                let weighted = modes.iter().map(|mode| mean(mode, weight) * mean(mode, metric));
                close(metric, weighted.sum::<f64>() / total(weight), mean(run, metric));
            }
        }
        if let [only] = runs.as_slice() {
            for file in ["run/episodes.csv", "run/power-modes.csv"] {
                for metric in PER_TASK {
                    let of_rows = pooled(&sandbox.read(file), metric, "tasks");
                    close(metric, of_rows, mean(only, metric));
                }
                let of_rows = pooled(&sandbox.read(file), "qoe", "devices");
                close("qoe", of_rows, mean(only, "qoe"));
            }
        }
    }
}

/// Most of these episodes have no task; those that have take a slot at least.
#[test]
fn episodes_without_tasks_do_not_count_in_means_per_task() {
    let sandbox = Sandbox::new();
    let runs = run(
        &sandbox,
        "system: (devices: 1, servers: 1), tasks: (arrival_probability: 0.002),
         policies: [(plugin: \"all-local\")], evaluate: (episodes: 2000)",
    );
    let rows = sandbox.read("run/episodes.csv");
    let empty = cells(&rows, "delay_slots").iter().filter(|cell| cell.is_empty()).count();
    assert!((1500..1800).contains(&empty), "{empty}");
    let delay = mean(&runs[0], "delay_slots");
    assert!((4.5..5.5).contains(&delay), "{delay}");
    assert!(mean(&runs[0], "completion_ratio") < 1.0);
    assert!(mean(&runs[0], "delay_p50") >= 1.0);
}

/// Without any task, sums are 0, and means per task have no value.
#[test]
fn what_has_no_value_is_shown_as_such() {
    let sandbox = Sandbox::new();
    let fields = "system: (devices: 2, servers: 1), tasks: (arrival_probability: 0.0),
                  policies: [(plugin: \"all-local\")], evaluate: (episodes: 3)";
    let runs = run(&sandbox, fields);
    for metric in PER_TASK.into_iter().chain(["delay_p95", "decision_us"]) {
        let found = &runs[0]["metrics"][metric];
        assert_eq!((&found["mean"], &found["sd"]), (&Value::Null, &Value::Null), "{metric}");
    }
    assert_eq!(runs[0]["metrics"]["qoe"]["mean"], 0.0);
    insta::assert_snapshot!(sandbox.succeed(&["report", "run", "--power-modes"]));
    let csv = sandbox.succeed(&["report", "run", "--format", "csv"]);
    let cell = |name: &str| cells(&csv, name)[0];
    assert_eq!((cell("delay_slots_mean"), cell("delay_slots_sd")), ("", ""));
    assert_eq!((cell("qoe_mean"), cell("qoe_sd")), ("0", "0"));
}

/// One episode says nothing about how much episodes differ.
#[test]
fn one_episode_has_no_deviation() {
    let sandbox = Sandbox::new();
    let fields = "system: (devices: 2, servers: 1), policies: [(plugin: \"all-local\")],
                  evaluate: (episodes: 1)";
    let runs = run(&sandbox, fields);
    assert!(runs[0]["metrics"]["qoe"]["mean"].is_number());
    assert_eq!(runs[0]["metrics"]["qoe"]["sd"], Value::Null);
    let table = sandbox.succeed(&["report", "run", "--power-modes"]);
    assert!(!table.contains('±'), "{table}");
    let csv = sandbox.succeed(&["report", "run", "--format", "csv"]);
    let (header, row) = csv.split_once('\n').unwrap();
    let cells = header.split(',').zip(row.trim_end().split(','));
    for (title, cell) in cells.filter(|(title, _)| title.ends_with("_sd")) {
        assert_eq!(cell, "", "{title}");
    }
}

/// A policy that has collapsed into one action shows it.
#[test]
fn the_share_of_local_decisions_is_shown() {
    let sandbox = Sandbox::new();
    let fields = "system: (devices: 3, servers: 2), evaluate: (episodes: 20),
         policies: [(plugin: \"all-local\"), (plugin: \"all-offload\"), (plugin: \"random\")]";
    let runs = run(&sandbox, fields);
    assert_eq!(mean(&runs[0], "local_share"), 1.0);
    assert_eq!(runs[1]["metrics"]["local_share"]["mean"], 0.0);
    assert!((0.2..0.5).contains(&mean(&runs[2], "local_share")));
    let table = sandbox.succeed(&["report", "run", "--power-modes"]);
    assert_eq!(table.matches("local |").count(), 2, "{table}");
    assert_eq!(table.matches("100.0 %").count(), 1 + 3, "{table}");
}

/// No power, no energy: only delay counts.
#[test]
fn without_power_all_metrics_are_numbers() {
    let sandbox = Sandbox::new();
    let power = "energy: Physical, system: (devices: 3, servers: 2, slots: 20,
         power: (transmit_w: 0.0, idle_w: 0.0, compute_w: 0.0, server_w: 0.0))";
    let policies = ["all-local", "all-offload", "random", "heuristic", "round-robin"]
        .map(|name| format!("(plugin: \"{name}\")"));
    let policies = policies.join(", ");
    let runs = run(&sandbox, &format!("{power}, policies: [{policies}], evaluate: (episodes: 5)"));
    for run in &runs {
        for (id, metric) in run["metrics"].as_object().unwrap() {
            assert!(metric["mean"].is_number(), "{}: {id}", run["policy"]);
        }
        assert_eq!(run["metrics"]["energy"]["mean"], 0.0);
        assert_ne!(mean(run, "qoe"), 0.0);
    }
    sandbox.write(
        "train.ron",
        format!(
            "(name: \"train\", {power}, train: (learner: (plugin: \"d3qn\", parameters: (batch: 4,
              every_slots: 1, warm_up_slots: 0)), explorer: (plugin: \"heuristic\"), episodes: 2, validate_every: 2,
              validate_episodes: 1))"
        ),
    );
    sandbox.succeed(&["train", "train.ron", "--out", "trained"]);
    let rows = sandbox.read("trained/training.csv");
    assert!(!rows.contains("NaN") && !rows.contains("inf"), "{rows}");
}

/// Numbers whose products would overflow are refused; the largest allowed do not overflow.
#[test]
fn no_metric_overflows() {
    let sandbox = Sandbox::new();
    let check = |field: &str, system: &str| -> Ran {
        sandbox
            .write("x.ron", format!("(name: \"x\", {system}, policies: [(plugin: \"random\")])"));
        let ran = sandbox.offramp(&["run", "x.ron"]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{field}: {}", ran.err);
        assert!(ran.err.contains("is out of range: at "), "{field}: {}", ran.err);
        ran
    };
    insta::assert_snapshot!(check("power", "system: (power: (transmit_w: 1e308))").err);
    check("drawn", "system: (power: (idle_w: Uniform(0.0, 1e300)))");
    check("listed", "system: (servers: 1, power: (server_w: [1e200]))");
    check("speed", "system: (device_ghz: 1e-300)");
    check("rate", "system: (uplink_mbps: 1e-200)");
    check("slot", "system: (slot_seconds: 1e99)");
    check("size", "tasks: (size_mbit: 1e120)");
    check("density", "tasks: (density: Choice([1.0, 1e-120]))");
    for energy in ["Physical", "Published"] {
        for (fast, slow) in [("1e15", "1e-15"), ("1e-15", "1e15"), ("1e15", "1e15")] {
            let sandbox = Sandbox::new();
            let runs = run(
                &sandbox,
                &format!(
                    "energy: {energy}, tasks: (size_mbit: {slow}, density: {slow}),
                     system: (devices: 2, servers: 1, slot_seconds: {fast}, device_ghz: {fast},
                         server_ghz: {fast}, uplink_mbps: {slow}, power: (transmit_w: 1e15,
                         idle_w: 1e15, compute_w: 1e15, server_w: 1e15)),
                     policies: [(plugin: \"random\"), (plugin: \"all-local\")],
                     evaluate: (episodes: 3)"
                ),
            );
            for (id, metric) in runs.iter().flat_map(|run| run["metrics"].as_object().unwrap()) {
                assert!(metric["mean"].is_number() && metric["sd"].is_number(), "{energy} {id}");
            }
        }
    }
}

/// A name with a bar stays in its cell; one with a line break is refused.
#[test]
fn names_do_not_break_tables() {
    let sandbox = Sandbox::new();
    let scenario = |name: &str| {
        let text = format!(
            "(name: \"x\", system: (devices: 2, servers: 1), evaluate: (episodes: 2),
              policies: [(plugin: \"random\", name: \"{name}\")])"
        );
        sandbox.write("x.ron", text);
    };
    scenario("a|b");
    let table = sandbox.succeed(&["run", "x.ron", "--power-modes", "--out", "run"]);
    let bars = |row: &str| row.replace("\\|", "").matches('|').count();
    let rows: Vec<&str> = table.lines().filter(|row| row.starts_with('|')).collect();
    assert_eq!(rows.iter().filter(|row| row.starts_with("| a\\|b ")).count(), 1 + 3, "{table}");
    for block in rows.chunk_by(|_, next| !next.contains("policy")) {
        assert!(block.iter().all(|row| bars(row) == bars(block[0])), "{table}");
    }
    let csv = sandbox.succeed(&["report", "run", "--format", "csv"]);
    assert!(csv.lines().nth(1).unwrap().starts_with("x,a|b,"), "{csv}");
    for name in ["a\\nb", "a\\tb", "\\u{1b}[1m", "", " "] {
        scenario(name);
        let ran = sandbox.offramp(&["run", "x.ron"]);
        assert_eq!(ran.code, 2, "{name}: {}", ran.err);
        assert!(ran.err.contains("a name must not be empty or have line breaks"), "{}", ran.err);
    }
}
