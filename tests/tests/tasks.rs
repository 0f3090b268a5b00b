//! `offramp run --tasks`: a row per task, which can be read as a recorded workload, whatever the number of
//! threads and however the batch was carried out.

use std::path::Path;

use offramp_harness::bind::bind_evaluation;
use offramp_harness::run::watch_episode;
use offramp_host::Registry;
use offramp_model::{Episode, ObservationSpec, Workload};
use offramp_recorded::{Columns, TaskRow, When, tasks};
use offramp_results::timeline::TaskStory;
use offramp_scenario::Experiment;
use offramp_tests::{Sandbox, built, csv, example, parquet};

/// Two classes, devices that walk between stations and lose slots to handovers, a cloud behind a wire.
fn scenario(policies: &str) -> String {
    format!(
        r#"(name: "small", system: (devices: 7, servers: 3, slots: 40, server_ghz: [30.0, 30.0, 90.0],
            backhaul: (delay_slots: [0, 0, 2])),
        tasks: (arrival_probability: 0.5, classes: [(name: "video, live", size_mbit: Uniform(4.0, 8.0)),
            (name: "text", size_mbit: Uniform(0.5, 1.0), deadline_slots: 5)]),
        world: (width_m: 200, height_m: 100, stations: Grid(2, 1),
            mobility: RandomWaypoint(speed_mps: (5, 30)), radio: (),
            association: Serving(hysteresis_db: 0, time_to_trigger_slots: 1, interruption_slots: 1)),
        policies: [{policies}], evaluate: (episodes: 6))"#
    )
}

const ALL: &str = "(plugin: \"random\"), (plugin: \"all-local\"), (plugin: \"round-robin\")";

/// The cells of the columns of these names.
fn cells<'t>(table: &'t [Vec<String>], names: &[&str]) -> Vec<Vec<&'t str>> {
    let place = |name: &&str| table[0].iter().position(|column| column == name).unwrap();
    let places: Vec<usize> = names.iter().map(place).collect();
    table[1..].iter().map(|row| places.iter().map(|&at| row[at].as_str()).collect()).collect()
}

/// What was written is what arrived, bit by bit, and a reader of recorded tasks takes it.
#[test]
fn a_recorded_workload_is_read_from_it() {
    let sandbox = Sandbox::new();
    let text = scenario("(plugin: \"random\")");
    sandbox.write("small.ron", &text);
    sandbox.succeed(&["run", "small.ron", "--tasks", "--out", "out"]);
    let experiment = Experiment::parse("small", text, Path::new(""), &[]).unwrap();
    let system = &experiment.points[0].system;
    let mut expected = Vec::new();
    for number in 0..6 {
        let workload =
            Workload::Drawn { seed: experiment.points[0].evaluation.seed, episode: number };
        let mut episode = Episode::new(system, workload, ObservationSpec::PAPER);
        while !episode.is_over() {
            let slot =
                number * u64::from(system.parameters().arrival_slots) + u64::from(episode.slot());
            expected.extend(episode.arrivals().iter().map(|task| TaskRow {
                when: When::Slot(slot.try_into().unwrap()),
                device: task.device,
                size_mbit: task.size_mbit,
                density: task.density,
                deadline_slots: Some(task.deadline_slots),
                alpha: Some(task.alpha),
                class: Some(["video, live", "text"][task.class as usize].into()),
            }));
            let actions = vec![0; episode.arrivals().len()];
            episode.advance(&actions).unwrap();
        }
    }
    let read = |file: &str| tasks(&sandbox.path().join(file), &Columns::default()).unwrap();
    assert!(expected.len() > 500);
    assert_eq!(read("out/tasks.csv"), expected);
    let parquet = ["run", "small.ron", "--tasks", "--format", "parquet", "--out", "columns"];
    assert_eq!(sandbox.offramp(&parquet).code, 0);
    assert_eq!(read("columns/tasks.parquet"), expected);
    assert!(!sandbox.has("columns/tasks.csv") && !sandbox.has("out/tasks.parquet"));
}

/// Each row against what a recorder of episodes sees from slot to slot, and the sums of all against the
/// metrics.
#[test]
fn rows_are_what_happened() {
    let sandbox = Sandbox::new();
    let text = scenario(ALL);
    sandbox.write("small.ron", &text);
    sandbox.succeed(&["run", "small.ron", "--tasks", "--out", "out"]);
    let registry = Registry::discover(&[], Some(built())).unwrap();
    let experiment = Experiment::parse("small", text, Path::new(""), &[]).unwrap();
    let experiment = experiment.try_map(|point| bind_evaluation(point, &registry)).unwrap();
    let evaluation = &experiment.points[0];
    let table = csv(&sandbox.read("out/tasks.csv"));
    let names = [
        "arrival_slot",
        "device",
        "size_mbit",
        "density",
        "alpha",
        "action",
        "upload_slot",
        "sent_slot",
        "service_slot",
        "delay_slots",
        "dropped",
        "energy_local",
        "energy_transmit",
        "energy_edge",
        "energy_idle",
        "reward",
    ];
    let (rows, run) = (cells(&table, &names), cells(&table, &["policy", "episode"]));
    let (mut dropped, mut on_the_way, mut seen) = (0, 0, 0);
    for policy in &evaluation.policies {
        for number in 0..6 {
            let timeline = watch_episode(evaluation, policy, number).unwrap();
            let key = [policy.label.clone(), number.to_string()];
            let own = rows.iter().zip(&run).filter(|(_, run)| run[..] == key[..]);
            let own: Vec<_> = own.map(|(row, _)| row.clone()).collect();
            let expected: Vec<Vec<String>> = timeline.tasks.iter().map(expected).collect();
            let found: Vec<Vec<String>> = own
                .iter()
                .map(|row| {
                    let number = |cell: &&str| {
                        cell.parse::<f64>()
                            .map_or_else(|_| (*cell).to_owned(), |number| number.to_string())
                    };
                    row.iter().map(number).collect()
                })
                .collect();
            assert_eq!(found, expected, "{key:?}");
            seen += own.len();
            dropped += timeline.totals.dropped;
            on_the_way += timeline
                .tasks
                .iter()
                .filter(|task| task.sent.is_some() && task.served.is_none())
                .count();
        }
    }
    assert_eq!(seen, rows.len());
    assert!(dropped > 100 && on_the_way > 0, "{dropped} {on_the_way}");
    // Ends and waits: nothing else happens to a task.
    for row in cells(
        &table,
        &[
            "arrival_slot",
            "delay_slots",
            "dropped",
            "end_slot",
            "waiting_slots",
            "action",
            "upload_slot",
            "sent_slot",
            "service_slot",
        ],
    ) {
        let number = |at: usize| row[at].parse::<u32>().ok();
        let (arrival, delay, end, waiting) =
            (number(0).unwrap(), number(1).unwrap(), number(3).unwrap(), number(4).unwrap());
        assert!(
            end + 1 - arrival <= delay && (row[2] == "1" || end + 1 - arrival == delay),
            "{row:?}"
        );
        assert!(waiting <= delay, "{row:?}");
        if row[5] == "0" {
            assert_eq!(waiting, number(8).unwrap_or(end + 1) - arrival, "{row:?}");
        } else if row[5] != "3" && row[2] == "0" {
            // No wire: at the server in the slot after that in which it was sent.
            let at_uplink = number(6).unwrap() - arrival;
            let at_server = number(8).unwrap() - number(7).unwrap() - 1;
            // A handover may send it over the wire all the same.
            assert!(waiting >= at_uplink && waiting <= at_uplink + at_server, "{row:?}");
        }
    }
    // The reward of an episode's tasks is its QoE.
    let episodes = csv(&sandbox.read("out/episodes.csv"));
    for row in cells(&episodes, &["policy", "episode", "qoe", "devices", "tasks"]) {
        let own = run.iter().zip(&rows).filter(|(run, _)| run[..] == row[..2]);
        let rewards: Vec<f64> = own.map(|(_, row)| row[15].parse().unwrap()).collect();
        let of = |at: usize| row[at].parse::<f64>().unwrap();
        assert_eq!(rewards.len() as f64, of(4));
        assert!((rewards.iter().sum::<f64>() - of(2) * of(3)).abs() < 1e-6, "{row:?}");
    }
}

/// The cells of a task as a recorder saw it.
fn expected(task: &TaskStory) -> Vec<String> {
    let slot = |slot: Option<u32>| slot.map_or_else(String::new, |slot| slot.to_string());
    let is_local = task.action == 0;
    let mut cells = [task.arrival_slot, task.device].map(|number| number.to_string()).to_vec();
    cells.extend([task.size_mbit, task.density, task.alpha].map(|number| number.to_string()));
    cells.push(task.action.to_string());
    cells.push(slot(task.started.filter(|_| !is_local)));
    cells.push(slot(task.sent.map(|sent| sent - 1)));
    cells.push(slot(if is_local { task.started } else { task.served }));
    cells.extend([task.delay_slots, u32::from(task.dropped)].map(|number| number.to_string()));
    cells.extend(task.energy.map(|energy| energy.to_string()));
    cells.push(task.reward.to_string());
    cells
}

/// The same bytes at any number of threads, in processes of their own, in parts, and after a kill.
#[test]
fn they_are_the_same_however_they_were_made() {
    let hostile = example("hostile").display().to_string();
    for (format, file) in [("csv", "tasks.csv"), ("parquet", "tasks.parquet")] {
        let sandbox = Sandbox::new();
        let calm = format!("{ALL}, (plugin: \"hostile\", parameters: (misdeed: Decide(1)))");
        sandbox.write("small.ron", scenario(&calm));
        let run = |out: &str, more: &[&str]| {
            let arguments =
                ["run", "small.ron", "--plugins", &hostile, "--tasks", "--format", format];
            sandbox.offramp(&[&arguments[..], &["--out", out], more].concat())
        };
        let same = |out: &str, more: &[&str]| {
            let ran = run(out, more);
            assert_eq!(ran.code, 0, "{}", ran.err);
            if !out.starts_with("part") {
                let bytes = |out: &str| sandbox.bytes(&format!("{out}/{file}"));
                assert!(bytes(out) == bytes("whole"), "{out}");
            }
        };
        same("whole", &["--jobs", "1"]);
        same("threads", &["--jobs", "5"]);
        same("apart", &["--isolate", "--jobs", "2"]);
        same("part-1", &["--shard", "1/2"]);
        same("part-2", &["--shard", "2/2"]);
        sandbox.succeed(&["merge", "part-2", "part-1", "--out", "merged"]);
        assert!(
            sandbox.bytes(&format!("merged/{file}")) == sandbox.bytes(&format!("whole/{file}"))
        );
        // The process ends within the last run; what it had written of that is written anew.
        let crash = calm.replace("Decide(1)", "RuinIn(\"decide\", Abort)");
        sandbox.write("small.ron", scenario(&crash));
        assert_eq!(run("killed", &["--jobs", "1"]).code, -1);
        sandbox.write("small.ron", scenario(&calm));
        same("killed", &["--resume"]);
        assert!(!sandbox.has("killed.partial"));
        // A finished folder that is resumed with one more policy.
        sandbox.write("small.ron", scenario("(plugin: \"random\"), (plugin: \"round-robin\")"));
        assert_eq!(run("grown", &[]).code, 0);
        sandbox.write("small.ron", scenario(&calm));
        same("grown", &["--resume"]);
    }
}

/// The two formats have the same cells.
#[test]
fn parquet_has_the_cells_of_csv() {
    let sandbox = Sandbox::new();
    sandbox.write("small.ron", scenario(ALL));
    sandbox.succeed(&["run", "small.ron", "--tasks", "--out", "out"]);
    let rows = csv(&sandbox.read("out/tasks.csv"));
    // The same folder, resumed with another format, has that one.
    let resume = ["run", "small.ron", "--tasks", "--out", "out", "--resume", "--format", "parquet"];
    assert_eq!(sandbox.offramp(&resume).code, 0);
    assert!(!sandbox.has("out/tasks.csv"));
    let found = parquet(&sandbox.bytes("out/tasks.parquet"));
    let number = |name: &String| found.columns.contains(&(name.clone(), "number"));
    let mut expected = rows.clone();
    for row in &mut expected[1..] {
        for (cell, _) in row.iter_mut().zip(&rows[0]).filter(|(_, name)| number(name)) {
            *cell = cell.parse::<f64>().unwrap().to_string();
        }
    }
    assert!(found.only(&rows[0]) == expected);
}

#[test]
fn tasks_are_kept_from_the_beginning_or_not_at_all() {
    let sandbox = Sandbox::new();
    sandbox.write("small.ron", scenario(ALL));
    let run = |out: &str, more: &[&str]| {
        sandbox.offramp(&[&["run", "small.ron", "--out", out], more].concat())
    };
    let mut errors = String::new();
    for (out, first, then) in [("with", &["--tasks"][..], &[][..]), ("without", &[], &["--tasks"])]
    {
        assert_eq!(run(out, first).code, 0);
        let before = sandbox.bytes(&format!("{out}/run.json"));
        let ran = run(out, &[then, &["--resume"]].concat());
        assert_eq!(ran.code, 2, "{}", ran.out);
        errors += &ran.err;
        assert!(sandbox.bytes(&format!("{out}/run.json")) == before);
    }
    assert!(sandbox.has("with/tasks.csv") && !sandbox.has("without/tasks.csv"));
    for (out, more) in [("a", &["--shard", "1/2", "--tasks"][..]), ("b", &["--shard", "2/2"])] {
        assert_eq!(run(out, more).code, 0);
    }
    let merged = sandbox.offramp(&["merge", "a", "b", "--out", "merged"]);
    assert_eq!(merged.code, 2);
    errors += &merged.err;
    insta::assert_snapshot!(errors);
}
