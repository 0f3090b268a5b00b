//! Parquet: the cells of CSV with types, of any command and of whole run folders.

use std::process::Command;

use offramp_tests::{ParquetTable, Sandbox, built, csv, parquet};

/// Runs in which much has no value: without tasks there is no delay. The seed is the highest.
const SWEPT: &str = r#"(
    name: "swept", system: (devices: 4, servers: 2, slots: 10),
    tasks: (arrival_probability: 0.0, deadline_slots: 10),
    policies: [(plugin: "all-local"), (plugin: "random", name: "a, \"b\" ☃"), 
        (plugin: "hostile", parameters: (misdeed: PanicIn("decide"))),
    ],
    evaluate: (episodes: 3, seed: 18446744073709551615),
    sweep: { "tasks.arrival_probability": [0.0, 0.3], "system.devices": [4, 6],
             "energy": [Published, Physical] },
)"#;

const PLAIN: &str = r#"(
    name: "plain", system: (devices: 3, servers: 1, slots: 10), alpha: (modes: [0.5]),
    policies: [(plugin: "random")], evaluate: (episodes: 2, seed: 1),
)"#;

/// The tables of a run folder that are CSV files, too.
const TABLES: [&str; 4] = ["episodes", "power-modes", "delays", "timing"];

/// A sandbox with the run folders `swept`, in which a policy fails, and `plain`.
fn folders() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("swept.ron", SWEPT);
    sandbox.write("plain.ron", PLAIN);
    let hostile = offramp_tests::example("hostile").display().to_string();
    let ran = sandbox.offramp(&["run", "swept.ron", "--out", "swept", "--plugins", &hostile]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    sandbox.succeed(&["run", "plain.ron", "--out", "plain"]);
    sandbox
}

/// What a command prints as Parquet.
fn printed(sandbox: &Sandbox, command: &[&str]) -> ParquetTable {
    let mut offramp = Command::new(built().join("offramp"));
    let offramp = offramp.current_dir(sandbox.path()).args(command).args(["--format", "parquet"]);
    let output = offramp.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    parquet(&output.stdout)
}

/// The rows of a CSV file, with numbers spelled as in the other formats: run folders have 4.0 for 4.
fn expected(text: &str, found: &ParquetTable) -> Vec<Vec<String>> {
    let mut rows = csv(text);
    let header = rows[0].clone();
    let number = |name: &String| found.columns.contains(&(name.clone(), "number"));
    for row in &mut rows[1..] {
        for (cell, _) in row.iter_mut().zip(&header).filter(|(_, name)| number(name)) {
            *cell = cell.parse::<f64>().map_or_else(|_| cell.clone(), |value| value.to_string());
        }
    }
    rows
}

fn table(sandbox: &Sandbox, path: &str) -> ParquetTable {
    parquet(&sandbox.bytes(path))
}

#[test]
fn results_have_the_cells_of_csv() {
    let sandbox = folders();
    for more in [&[][..], &["--power-modes"]] {
        let report = [&["report", "swept", "plain"][..], more].concat();
        let expected = csv(&sandbox.succeed(&[&report[..], &["--format", "csv"]].concat()));
        let found = printed(&sandbox, &report);
        assert_eq!(found.only(&expected[0]), expected);
        let kinds: Vec<&str> = found.columns.iter().map(|(_, kind)| *kind).collect();
        assert_eq!(kinds[..6], ["text", "text", "seed", "text", "count", "text"]);
        assert!(kinds[6..].iter().all(|kind| *kind == "number"));
        assert_eq!(kinds.len(), expected[0].len());
    }
}

#[test]
fn tables_of_run_folders_have_the_cells_of_csv_and_the_run_of_each_row() {
    let sandbox = folders();
    let ran = sandbox.offramp(&["report", "swept", "plain", "--parquet", "tables"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(ran.out, sandbox.succeed(&["report", "swept", "plain"]));
    let key = ["folder", "scenario", "policy", "seed", "sweep"];
    let swept = ["sweep.energy", "system.devices", "tasks.arrival_probability"];
    for name in TABLES {
        let found = table(&sandbox, &format!("tables/{name}.parquet"));
        let [mut rows, plain] = ["swept", "plain"]
            .map(|run| expected(&sandbox.read(&format!("{run}/{name}.csv")), &found));
        rows.extend(plain.into_iter().skip(1));
        assert_eq!(found.only(&rows[0]), rows, "{name}");
        let columns: Vec<&str> = found.columns.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(columns[..8], [&key[..], &swept].concat(), "{name}");
        for row in &found.rows {
            assert_eq!(row[3], if row[0] == "plain" { "1" } else { "18446744073709551615" });
            let point = row[4].split("; ").filter_map(|part| part.split_once('='));
            let point: Vec<(&str, &str)> = point.collect();
            assert_eq!(point.len(), if row[0] == "plain" { 0 } else { swept.len() });
            for (field, cell) in swept.iter().zip(&row[5..8]) {
                let value = point.iter().find(|(swept, _)| field.ends_with(swept));
                let value = value.map_or("", |(_, value)| *value);
                // As a number, 0.0 is 0.
                let is_same = value == cell || value.parse::<f64>() == cell.parse::<f64>();
                assert!(is_same, "{field}: {value} and {cell}");
            }
        }
    }
    let kinds = |name: &str| {
        let table = table(&sandbox, &format!("tables/{name}.parquet"));
        table.columns.into_iter().map(|(name, kind)| format!("{name} {kind}")).collect::<Vec<_>>()
    };
    let expected = [
        "folder text",
        "scenario text",
        "policy text",
        "seed seed",
        "sweep text",
        "sweep.energy text",
        "system.devices count",
        "tasks.arrival_probability number",
        "episode count",
        "alpha number",
        "tasks count",
        "devices number",
        "qoe number",
        "delay_slots number",
        "energy number",
        "dropped count",
        "completion_ratio number",
        "local_share number",
        "energy_per_task number",
        "delay_p50 count",
        "delay_p95 count",
        "delay_p99 count",
    ];
    assert_eq!(kinds("power-modes"), expected);
    assert_eq!(kinds("delays").last().unwrap(), "done_by_delay counts");
    assert_eq!(kinds("timing")[9..], ["decisions count", "decide_ns count"]);
    // Failed runs have no episodes; the table of runs has them.
    let runs = table(&sandbox, "tables/runs.parquet");
    let csv = csv(&sandbox.succeed(&["report", "swept", "plain", "--format", "csv"]));
    assert_eq!(runs.only(&csv[0]), csv);
    assert_eq!(runs.rows.iter().filter(|row| row[9].contains("hostile in decide")).count(), 4);
}

#[test]
fn long_tables_are_written_in_row_groups() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "long.ron",
        r#"(name: "long", system: (devices: 1, servers: 1, slots: 2),
            policies: [(plugin: "all-local"), (plugin: "random")], evaluate: (episodes: 12000))"#,
    );
    sandbox.succeed(&["run", "long.ron", "--out", "run"]);
    // The folder itself is the place that notebooks look in.
    sandbox.succeed(&["report", "run", "--parquet", "run"]);
    for (name, groups) in [("episodes", &[24_000][..]), ("power-modes", &[65_536, 6_464])] {
        let found = table(&sandbox, &format!("run/{name}.parquet"));
        assert_eq!(found.groups, groups);
        let rows = expected(&sandbox.read(&format!("run/{name}.csv")), &found);
        assert!(found.only(&rows[0]) == rows, "{name} differs");
    }
}

#[test]
fn tables_are_neither_overwritten_nor_kept_for_other_runs() {
    let sandbox = Sandbox::new();
    sandbox.write("plain.ron", PLAIN);
    sandbox.succeed(&["run", "plain.ron", "--out", "run"]);
    sandbox.succeed(&["report", "run", "--parquet", "run"]);
    let before = sandbox.bytes("run/runs.parquet");
    let ran = sandbox.offramp(&["report", "run", "--parquet", "run"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    let expected = "run/runs.parquet already exists; results are never overwritten\n  help: name \
                    another folder with --parquet, or remove the file";
    assert!(ran.err.contains(expected), "{}", ran.err);
    assert_eq!(sandbox.bytes("run/runs.parquet"), before);
    // The same results, the same bytes.
    sandbox.succeed(&["report", "run", "--parquet", "again"]);
    assert_eq!(sandbox.bytes("again/episodes.parquet"), sandbox.bytes("run/episodes.parquet"));
    // A folder that is resumed with more policies has other runs.
    sandbox.write("run/notes.txt", "mine");
    let more = PLAIN.replace("policies: [", "policies: [(plugin: \"all-local\"), ");
    sandbox.write("plain.ron", more);
    sandbox.succeed(&["run", "plain.ron", "--out", "run", "--resume"]);
    assert!(sandbox.has("run/notes.txt") && !sandbox.has("run/runs.parquet"));
    sandbox.succeed(&["report", "run", "--parquet", "run"]);
    assert_eq!(table(&sandbox, "run/runs.parquet").rows.len(), 2);
}

/// More than files can be open.
#[test]
#[cfg(target_os = "linux")]
fn any_number_of_folders_is_converted() {
    let sandbox = Sandbox::new();
    sandbox.write("plain.ron", PLAIN);
    sandbox.succeed(&["run", "plain.ron", "--out", "plain"]);
    let report = format!("report {} --parquet tables", "plain ".repeat(50));
    let command = format!("ulimit -n 64; exec {} {report}", built().join("offramp").display());
    let ran = Command::new("bash").args(["-c", &command]).current_dir(sandbox.path()).output();
    let ran = ran.unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(table(&sandbox, "tables/episodes.parquet").rows.len(), 100);
}

#[test]
fn what_can_not_be_converted_is_refused() {
    let sandbox = folders();
    sandbox.write(
        "learning.ron",
        r#"(name: "learning", system: (devices: 3, servers: 1, slots: 10), train: (
            learner: (plugin: "linear"), explorer: (plugin: "uniform"), episodes: 2,
            validate_every: 2, validate_episodes: 1))"#,
    );
    let linear = offramp_tests::example("linear").display().to_string();
    sandbox.succeed(&["train", "learning.ron", "--out", "trained", "--plugins", &linear]);
    sandbox.write("file", "");
    let damaged = sandbox.read("swept/episodes.csv").replacen(",6.0,", ",six,", 1);
    for (command, expected) in [
        (["report", "trained", "--parquet", "t"], "trained: --parquet is for runs"),
        (["report", "nowhere", "--parquet", "t"], "nowhere/run.json"),
        (
            ["report", "plain", "--parquet", "file/t"],
            "name a folder that can be written with --parquet",
        ),
    ] {
        let ran = sandbox.offramp(&command);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{command:?}");
        assert!(ran.err.contains(expected), "{}", ran.err);
        assert!(!sandbox.has("t"));
    }
    sandbox.write("swept/episodes.csv", damaged);
    let ran = sandbox.offramp(&["report", "plain", "swept", "--parquet", "t"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("swept/episodes.csv"), "{}", ran.err);
    assert_eq!(std::fs::read_dir(sandbox.path().join("t")).unwrap().count(), 0);
}
