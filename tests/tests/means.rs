//! What the means of a table are means of: the parts come to the whole, and what has no value is
//! not shown as a number.

use offramp_tests::Sandbox;
use serde_json::Value;

fn json(sandbox: &Sandbox, scenario: &str) -> Value {
    sandbox.write("s.ron", scenario);
    let text = sandbox.succeed(&["run", "s.ron", "--out", "run", "--format", "json"]);
    serde_json::from_str(&text).unwrap()
}

fn mean(metrics: &Value, id: &str) -> Option<f64> {
    metrics[id]["mean"].as_f64()
}

/// The rows of a CSV file of the run folder, as `column → cell`.
fn rows(sandbox: &Sandbox, name: &str) -> Vec<std::collections::HashMap<String, String>> {
    let text = sandbox.read(&format!("run/{name}"));
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().collect::<Result<_, _>>().unwrap()
}

/// The mean of `value` over the rows that have one, weighted by `weight`.
fn pooled<'r>(
    rows: impl Iterator<Item = &'r std::collections::HashMap<String, String>>,
    value: &str,
    weight: &str,
) -> f64 {
    let (mut sum, mut total) = (0.0, 0.0);
    for row in rows.filter(|row| !row[value].is_empty()) {
        let [value, weight] = [value, weight].map(|column| row[column].parse::<f64>().unwrap());
        sum += value * weight;
        total += weight;
    }
    sum / total
}

/// The rows by power mode, weighted by tasks or devices, come to the row of the whole: in the
/// JSON, and in both tables of the run folder. With 1 and 3 devices most episodes lack a mode.
#[test]
fn power_modes_come_to_the_whole() {
    for devices in [1, 3] {
        let sandbox = Sandbox::new();
        let json = json(
            &sandbox,
            &format!(
                "(name: \"a\", system: (devices: {devices}, servers: 1),
                  policies: [(plugin: \"all-local\")], evaluate: (episodes: 300))"
            ),
        );
        let run = &json["runs"][0];
        let (episodes, modes) = (rows(&sandbox, "episodes.csv"), rows(&sandbox, "power-modes.csv"));
        for (id, weight) in [
            ("delay_slots", "tasks"),
            ("completion_ratio", "tasks"),
            ("energy_per_task", "tasks"),
            ("local_share", "tasks"),
            ("qoe", "devices"),
            ("energy", "devices"),
        ] {
            let whole = mean(&run["metrics"], id).unwrap();
            let near = |other: f64| (whole - other).abs() < 1e-9 * whole.abs().max(1.0);
            assert!(near(pooled(episodes.iter(), id, weight)), "{id}, {devices} devices");
            assert!(near(pooled(modes.iter(), id, weight)), "{id} by mode, {devices} devices");
            let (mut sum, mut total) = (0.0, 0.0);
            for (mode, shown) in run["power_modes"].as_array().unwrap().iter().enumerate() {
                let of_mode = modes.iter().skip(mode).step_by(3);
                let count: f64 = of_mode.map(|row| row[weight].parse::<f64>().unwrap()).sum();
                sum += count * mean(&shown["metrics"], id).unwrap();
                total += count;
            }
            assert!(near(sum / total), "{id} in JSON, {devices} devices");
        }
        let dropped: f64 = ["0.25", "0.5", "0.75"]
            .map(|alpha| {
                let rows = modes.iter().filter(|row| row["alpha"] == alpha);
                rows.map(|row| row["dropped"].parse::<f64>().unwrap()).sum::<f64>()
            })
            .into_iter()
            .sum();
        let mean_dropped = mean(&run["metrics"], "dropped").unwrap();
        assert!((dropped / 300.0 - mean_dropped).abs() < 1e-9);
        assert_eq!(mean(&run["metrics"], "local_share"), Some(1.0));
    }
}

/// A task takes at least a slot, so no mean delay is below: episodes without tasks have no delay.
#[test]
fn episodes_without_tasks_do_not_count_as_perfect() {
    let sandbox = Sandbox::new();
    let json = json(
        &sandbox,
        "(name: \"z\", system: (devices: 1, servers: 1), tasks: (arrival_probability: 0.002),
          policies: [(plugin: \"all-local\")], evaluate: (episodes: 2000))",
    );
    let run = &json["runs"][0];
    let episodes = rows(&sandbox, "episodes.csv");
    assert!(episodes.iter().any(|row| row["tasks"] == "0"));
    for row in episodes.iter().filter(|row| row["tasks"] == "0") {
        assert_eq!((row["delay_slots"].as_str(), row["completion_ratio"].as_str()), ("", ""));
    }
    let delay = mean(&run["metrics"], "delay_slots").unwrap();
    assert!(delay >= 1.0, "{delay}");
    assert!((delay - pooled(episodes.iter(), "delay_slots", "tasks")).abs() < 1e-9);
}

#[test]
fn what_has_no_value_is_not_a_number() {
    let sandbox = Sandbox::new();
    let none = "(name: \"none\", system: (devices: 2, servers: 1),
        tasks: (arrival_probability: 0.0), policies: [(plugin: \"random\")],
        evaluate: (episodes: 2))";
    let run = &json(&sandbox, none)["runs"][0];
    assert_eq!(run["metrics"]["delay_slots"], serde_json::json!({ "mean": null, "sd": null }));
    assert_eq!(run["metrics"]["qoe"]["mean"], 0.0);
    insta::assert_snapshot!(sandbox.succeed(&["report", "run", "--power-modes"]), @"
    none: 2 episodes, seed 1
    | policy |    AvgQoE | AvgDelay | AvgEnergy |      Drop | completed | local | p95 delay | µs/decision |
    |--------|-----------|----------|-----------|-----------|-----------|-------|-----------|-------------|
    | random | 0.0 ± 0.0 |        – | 0.0 ± 0.0 | 0.0 ± 0.0 |         – |     – |         – |           – |
    none, by power mode
    | policy |    α |    AvgQoE | AvgDelay | AvgEnergy |      Drop | completed | local |
    |--------|------|-----------|----------|-----------|-----------|-----------|-------|
    | random | 0.25 | 0.0 ± 0.0 |        – | 0.0 ± 0.0 | 0.0 ± 0.0 |         – |     – |
    | random |  0.5 |         – |        – |         – | 0.0 ± 0.0 |         – |     – |
    | random | 0.75 | 0.0 ± 0.0 |        – | 0.0 ± 0.0 | 0.0 ± 0.0 |         – |     – |
    ");
    let csv = sandbox.succeed(&["report", "run", "--format", "csv"]);
    let rows: Vec<csv::StringRecord> =
        csv::Reader::from_reader(csv.as_bytes()).records().map(Result::unwrap).collect();
    let header = csv.lines().next().unwrap();
    let at = header.split(',').position(|column| column == "delay_slots_mean").unwrap();
    assert_eq!(&rows[0][at], "");
}

/// One episode says nothing about the deviation: unknown is not zero.
#[test]
fn one_episode_has_no_deviation() {
    let sandbox = Sandbox::new();
    let one = "(name: \"one\", policies: [(plugin: \"random\")], evaluate: (episodes: 1))";
    let run = &json(&sandbox, one)["runs"][0];
    assert!(run["metrics"]["qoe"]["mean"].is_number());
    assert_eq!(run["metrics"]["qoe"]["sd"], Value::Null);
    assert!(!sandbox.succeed(&["report", "run"]).contains('±'));
}

/// That nothing takes any energy is a natural way to say that only delay counts.
#[test]
fn no_energy_is_no_cost() {
    let sandbox = Sandbox::new();
    let free = "(name: \"free\", system: (devices: 4, servers: 2, power: (transmit_w: 0.0,
        idle_w: 0.0, compute_w: 0.0, server_w: 0.0)), energy: Physical, policies: [
        (plugin: \"random\"), (plugin: \"heuristic\")],
        evaluate: (episodes: 3))";
    for run in json(&sandbox, free)["runs"].as_array().unwrap() {
        assert_eq!(mean(&run["metrics"], "energy"), Some(0.0), "{run}");
        assert!(mean(&run["metrics"], "qoe").unwrap() > 0.0, "{run}");
    }
}

/// A number that overflows ends the run: no result has a NaN or an infinity.
#[test]
fn a_metric_that_is_not_finite_fails_its_run() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "s.ron",
        "(name: \"s\", system: (devices: 4, servers: 2, power: (transmit_w: 1e308)),
          energy: Physical, policies: [(plugin: \"all-offload\"), (plugin: \"all-local\")],
          evaluate: (episodes: 2))",
    );
    let ran = sandbox.offramp(&["run", "s.ron"]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("AvgQoE is"), "{}", ran.out);
    assert!(!ran.out.to_lowercase().contains("nan |"), "{}", ran.out);
}
