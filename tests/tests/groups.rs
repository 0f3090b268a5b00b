//! Classes of tasks, mobility and rates, in results: tables, JSON, CSV, Parquet, pages; however the
//! batch was carried out.

use offramp_tests::{Sandbox, csv, parquet, untimed};
use serde_json::Value;

/// Devices that walk between two stations, with two classes of tasks.
const MOVING: &str = r#"(
    name: "moving",
    system: (devices: 6, servers: 2, slots: 60),
    tasks: (classes: [(name: "video, live", size_mbit: 5.0, share: 2.0), (name: "text", size_mbit: 1.0)]),
    world: (width_m: 200, height_m: 100, stations: Grid(2, 1),
        mobility: RandomWaypoint(speed_mps: (5, 30)), radio: (),
        association: Serving(hysteresis_db: 0, time_to_trigger_slots: 1, interruption_slots: 1)),
    policies: [(plugin: "all-local"), (plugin: "random")],
    evaluate: (episodes: 4),
    sweep: {"tasks.arrival_probability": [0.3, 0.6]},
)"#;

/// Neither classes nor a world.
const STATIC: &str = r#"(name: "static", system: (devices: 3, servers: 1, slots: 10),
    policies: [(plugin: "random")], evaluate: (episodes: 2))"#;

const TABLES: [&str; 5] =
    ["episodes.csv", "power-modes.csv", "delays.csv", "classes.csv", "mobility.csv"];

#[track_caller]
fn assert_same(sandbox: &Sandbox, one: &str, other: &str) {
    for file in TABLES.iter().chain(&["run.json"]) {
        let bytes = |folder: &str| sandbox.bytes(&format!("{folder}/{file}"));
        assert!(bytes(one) == bytes(other), "{file} of {one} and {other}");
    }
}

fn whole(sandbox: &Sandbox) -> String {
    sandbox.write("moving.ron", MOVING);
    sandbox.write("static.ron", STATIC);
    sandbox.succeed(&["run", "moving.ron", "static.ron", "--classes", "--out", "whole"])
}

#[test]
fn classes_mobility_and_rates_are_shown() {
    let sandbox = Sandbox::new();
    insta::assert_snapshot!(untimed(&whole(&sandbox)));
    let header = |name: &str| csv(&sandbox.read(&format!("whole/{name}")))[0].clone();
    let of_modes = header("power-modes.csv").join(",");
    assert_eq!(header("classes.csv").join(","), of_modes.replace("alpha", "class"));
    // Of each run of `moving`: 4 episodes, 2 classes.
    assert_eq!(csv(&sandbox.read("whole/classes.csv")).len(), 1 + 4 * 4 * 2);
    let found = csv(&sandbox.read("whole/mobility.csv"));
    assert_eq!(found.len(), 1 + 4 * 4);
    // The same for all policies.
    let of = |policy: &str| -> Vec<Vec<String>> {
        let rows = found.iter().filter(|row| row[1] == policy);
        rows.map(|row| [&row[..1], &row[2..]].concat()).collect()
    };
    assert_eq!(of("all-local"), of("random"));
    let json: Value =
        serde_json::from_str(&sandbox.succeed(&["report", "whole", "--format", "json"])).unwrap();
    let runs = json["runs"].as_array().unwrap();
    let mean = |of: &Value, metric: &str| of[metric]["mean"].as_f64().unwrap();
    for run in &runs[..4] {
        let classes = run["classes"].as_array().unwrap();
        let names: Vec<&str> =
            classes.iter().map(|class| class["class"].as_str().unwrap()).collect();
        assert_eq!(names, ["video, live", "text"]);
        for metric in ["tasks", "qoe", "energy", "dropped"] {
            let sum: f64 = classes.iter().map(|class| mean(&class["metrics"], metric)).sum();
            let whole = mean(&run["metrics"], metric);
            assert!((sum - whole).abs() < 1e-9 * whole.abs().max(1.0), "{metric}");
        }
        assert!(mean(&run["mobility"], "handovers_per_minute") > 0.0);
        assert!((5.0..30.0).contains(&mean(&run["mobility"], "mean_speed_mps")));
    }
    for key in ["classes", "mobility"] {
        assert_eq!(runs[4][key], Value::Null);
    }
    let page = sandbox.read("whole/report.html");
    assert!(page.contains("Mobility and rates, the same for every policy"));
    // Tables by group are of single points.
    assert!(!page.contains("By class") && page.contains("By power mode"));
    // In CSV, each run has a row and then one per group.
    let rows = csv(&sandbox.succeed(&["report", "whole", "--classes", "--format", "csv"]));
    let at = rows[0].iter().position(|column| column == "class").unwrap();
    let classes: Vec<&str> = rows[1..].iter().map(|row| row[at].as_str()).collect();
    let of_run = ["", "video, live", "text"];
    assert_eq!(classes, [&of_run[..]; 4].concat().into_iter().chain([""]).collect::<Vec<_>>());
}

#[test]
fn tables_of_groups_are_on_pages_of_single_points() {
    let sandbox = Sandbox::new();
    let (single, _) = MOVING.split_once("    sweep").unwrap();
    sandbox.write("moving.ron", format!("{single})"));
    sandbox.succeed(&["run", "moving.ron", "--out", "one"]);
    let page = sandbox.read("one/report.html");
    assert!(page.contains("By class") && page.contains("video, live"));
    assert!(page.contains("mobility.csv") && page.contains("classes.csv"));
}

#[test]
fn they_are_the_same_in_parts_apart_and_resumed() {
    let sandbox = Sandbox::new();
    whole(&sandbox);
    let run = |out: &str, more: &[&str]| {
        let ran =
            sandbox.offramp(&[&["run", "moving.ron", "static.ron", "--out", out], more].concat());
        assert_eq!(ran.code, 0, "{}", ran.err);
    };
    // The second part has runs of `moving` alone.
    run("a", &["--shard", "1/2"]);
    run("b", &["--shard", "2/2"]);
    sandbox.succeed(&["merge", "b", "a", "--out", "merged"]);
    assert_same(&sandbox, "whole", "merged");
    run("apart", &["--isolate", "--jobs", "1"]);
    assert_same(&sandbox, "whole", "apart");
    // A finished folder that is resumed with more runs keeps the rows that it has.
    sandbox.write("moving.ron", MOVING.replace("(plugin: \"all-local\"), ", ""));
    run("resumed", &[]);
    sandbox.write("moving.ron", MOVING);
    run("resumed", &["--resume"]);
    assert_same(&sandbox, "whole", "resumed");
    // What no run has any more is gone.
    sandbox.succeed(&["run", "static.ron", "--out", "static"]);
    assert!(!sandbox.has("static/classes.csv") && !sandbox.has("static/mobility.csv"));
}

#[test]
fn parquet_has_the_cells_of_csv() {
    let sandbox = Sandbox::new();
    whole(&sandbox);
    sandbox.succeed(&["report", "whole", "--parquet", "tables"]);
    for name in ["classes", "mobility"] {
        let found = parquet(&sandbox.bytes(&format!("tables/{name}.parquet")));
        let number = |name: &str| found.columns.contains(&(name.to_owned(), "number"));
        let mut rows = csv(&sandbox.read(&format!("whole/{name}.csv")));
        let header = rows[0].clone();
        // Run folders have 4.0 for 4.
        for row in &mut rows[1..] {
            for (cell, name) in row.iter_mut().zip(&header).filter(|(_, name)| number(name)) {
                let value = cell.parse::<f64>();
                *cell = value.map_or_else(|_| cell.clone(), |value| value.to_string());
                assert!(cell.is_empty() || value_of(cell), "{name}: {cell}");
            }
        }
        assert_eq!(found.only(&header), rows, "{name}");
    }
    sandbox.succeed(&["run", "static.ron", "--out", "static"]);
    sandbox.succeed(&["report", "static", "--parquet", "static"]);
    assert!(sandbox.has("static/power-modes.parquet") && !sandbox.has("static/classes.parquet"));
}

fn value_of(cell: &str) -> bool {
    cell.parse::<f64>().is_ok_and(f64::is_finite)
}
