//! `--html`: pages that play an episode, and what they contain.

use std::path::Path;

use offramp_model::{Episode, ObservationSpec, Workload};
use offramp_scenario::Experiment;
use offramp_tests::{Sandbox, example, workspace};
use serde_json::Value;

fn scenario(name: &str) -> String {
    workspace().join("scenarios").join(name).display().to_string()
}

fn trace(name: &str) -> String {
    workspace().join("tests/traces").join(name).display().to_string()
}

/// Numbers in a page have five significant digits.
const ROUNDED: f64 = 5e-5;

/// The data of a page.
fn data(page: &str) -> Value {
    let (_, rest) = page.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

fn numbers(column: &Value) -> Vec<f64> {
    column.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// Whatever policies carry along, and however they compute their values: watching changes no result.
#[test]
fn the_episode_that_is_watched_is_the_one_that_was_run() {
    let sandbox = Sandbox::new();
    let paper = scenario("paper.ron");
    let ran = sandbox.offramp(&["run", &paper, "--episodes", "3", "--html=2", "--out", "run"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("episode to watch: run/episode.html"), "{}", ran.err);
    let page = sandbox.read("run/episode.html");
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    let data = data(&page);
    let runs = data["runs"].as_array().unwrap();
    let table = sandbox.read("run/episodes.csv");
    let mut rows = table.lines().map(|row| row.split(',').collect::<Vec<_>>());
    let header = rows.next().unwrap();
    let place = |name| header.iter().position(|column| *column == name).unwrap();
    let mut seen = 0;
    for row in rows.filter(|row| row[place("episode")] == "2") {
        let policy = row[place("policy")];
        let run = runs.iter().find(|run| run["policy"] == policy).unwrap();
        for (column, key) in [
            ("qoe", "qoe"),
            ("delay_slots", "delay_slots"),
            ("energy", "energy"),
            ("dropped", "dropped_tasks"),
        ] {
            let (ours, theirs) = (run[key].as_f64().unwrap(), row[place(column)].parse::<f64>());
            let theirs = theirs.unwrap();
            assert!(
                (ours - theirs).abs() <= ROUNDED * theirs.abs(),
                "{policy}: {key} {ours} {theirs}"
            );
        }
        seen += 1;
    }
    assert_eq!((seen, runs.len()), (12, 12));
    // The teacher takes the action with the highest value, and the heuristic has none.
    let of = |policy: &str| runs.iter().find(|run| run["policy"] == policy).unwrap();
    assert!(of("heuristic")["q"].is_null());
    let teacher = of("teacher");
    let values: Vec<Vec<f64>> = teacher["q"].as_array().unwrap().iter().map(numbers).collect();
    for (task, action) in numbers(&teacher["action"]).into_iter().enumerate() {
        let best = values.iter().map(|column| column[task]).fold(f64::NEG_INFINITY, f64::max);
        assert!(best - values[action as usize][task] <= 2.0 * ROUNDED * best.abs(), "task {task}");
    }
}

#[test]
fn each_scenario_has_a_page_of_its_first_point() {
    let sandbox = Sandbox::new();
    let (small, sweep) = (scenario("small.ron"), scenario("load-sweep.ron"));
    let ran = sandbox.offramp(&["run", &small, &sweep, "--quick", "--html", "--out", "run"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let [small, sweep] = ["small", "load-sweep"]
        .map(|name| data(&sandbox.read(&format!("run/episode-{name}.html"))));
    assert_eq!(
        (&small["title"], &small["about"]),
        (&"small".into(), &"episode 0 under seed 1".into())
    );
    // At a load of 0.1, about a third as many tasks as at 0.3.
    let tasks = |data: &Value| numbers(&data["tasks"]["slot"]).len();
    assert!(3 * tasks(&sweep) < 2 * tasks(&small), "{} {}", tasks(&sweep), tasks(&small));
}

fn integers(column: &Value) -> Vec<i64> {
    column.as_array().unwrap().iter().map(|number| number.as_i64().unwrap()).collect()
}

/// Plays the first episode of `scenario`, with decisions of its own, and compares every device in every
/// slot with the world of the page. Returns how often a device was served, could not send, and was
/// handed over.
fn compare_world(scenario: &Path, page: &Value) -> (u32, u32, u64) {
    let experiment = Experiment::read(scenario, &[]).unwrap();
    let (system, seed) = (&experiment.points[0].system, experiment.points[0].evaluation.seed);
    let (devices, servers) = (system.device_count(), system.server_count());
    let (world, shown) = (system.parameters().world.as_deref().unwrap(), &page["world"]);
    assert_eq!(shown["width_m"], world.area.width_m);
    assert_eq!(shown["height_m"], world.area.height_m);
    let near = |metres: f64, decimetres: i64| (metres - decimetres as f64 / 10.0).abs() <= 0.0501;
    for (station, shown) in world.stations.iter().zip(shown["stations_dm"].as_array().unwrap()) {
        let shown = integers(shown);
        assert!(
            near(station.x_m, shown[0]) && near(station.y_m, shown[1]),
            "{station:?} {shown:?}"
        );
    }
    let columns = |name: &str| -> Vec<Vec<i64>> {
        let columns: Vec<_> = shown[name].as_array().unwrap().iter().map(integers).collect();
        assert_eq!(columns.len(), devices as usize, "{name}");
        columns
    };
    let (x, y, serving) = (columns("x_dm"), columns("y_dm"), columns("serving"));
    let (silent, absent) = (columns("silent"), columns("absent"));
    let at = |differences: &[i64], slot: usize| differences.iter().take(slot + 1).sum::<i64>();
    let last = |changes: &[i64], slot: i64| {
        let mut begun = changes.chunks(2).filter(|change| change[0] <= slot);
        begun.next_back().map(|change| change[1])
    };
    let inside =
        |spans: &[i64], slot| spans.chunks(2).any(|span| (span[0]..span[1]).contains(&slot));
    let workload = Workload::Drawn { seed, episode: 0 };
    let mut episode = Episode::new(system, workload, ObservationSpec::PAPER);
    let (mut served, mut silences) = (0, 0);
    while !episode.is_over() {
        let slot = episode.slot();
        for device in 0..devices {
            let (column, what) = (device as usize, format!("device {device} in slot {slot}"));
            let position = episode.position(device).unwrap();
            let shown = (at(&x[column], slot as usize), at(&y[column], slot as usize));
            assert!(
                near(position.x_m, shown.0) && near(position.y_m, shown.1),
                "{what}: {shown:?}"
            );
            let station = episode.serving(device).map_or(0, |station| i64::from(station) + 1);
            let slot = i64::from(slot);
            assert_eq!(last(&serving[column], slot), Some(station), "{what}");
            let is_present = episode.is_present(device);
            assert_eq!(inside(&absent[column], slot), !is_present, "{what}");
            let reaches = (0..servers).any(|server| episode.uplink_mbps(device, server) > 0.0);
            assert_eq!(inside(&silent[column], slot), is_present && !reaches, "{what}");
            served += u32::from(station > 0);
            silences += u32::from(is_present && !reaches);
        }
        let arrivals = episode.arrivals().iter();
        let actions: Vec<u32> = arrivals.map(|task| (task.device + slot) % (servers + 1)).collect();
        episode.advance(&actions).unwrap();
    }
    (served, silences, episode.handovers().map_or(0, |totals| totals.handovers))
}

#[test]
fn the_world_of_a_page_is_that_of_the_engine_whatever_is_decided() {
    let sandbox = Sandbox::new();
    // Two stations, a cloud, and devices that stay where they are.
    let fixed = "(name: \"fixed\", system: (devices: 7, servers: 3),
        world: (width_m: 300, height_m: 200, stations: Grid(2, 1), radio: ()),
        policies: [(plugin: \"random\"), (plugin: \"heuristic\")])";
    sandbox.write("fixed.ron", fixed);
    let of = |path: &str| {
        let ran = sandbox.offramp(&["run", path, "--quick", "--html", "--out", "run"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let page = data(&sandbox.read("run/episode.html"));
        let found = compare_world(&sandbox.path().join(path), &page);
        std::fs::remove_dir_all(sandbox.path().join("run")).unwrap();
        (page, found)
    };
    let (page, (served, silences, handovers)) = of(&scenario("v2x-manhattan.ron"));
    assert!(served > 6000 && silences > 100 && handovers > 50, "{served} {silences} {handovers}");
    // The page counts the same handovers.
    let changes = page["world"]["serving"].as_array().unwrap().iter().map(integers);
    let stations =
        changes.map(|changes| changes.into_iter().skip(1).step_by(2).collect::<Vec<_>>());
    let counted =
        |stations: Vec<i64>| stations.windows(2).filter(|two| two[0] * two[1] > 0).count();
    assert_eq!(stations.map(counted).sum::<usize>() as u64, handovers);
    let (_, (served, ..)) = of(&scenario("pedestrian-umi.ron"));
    assert_eq!(served, 0, "each station has a link of its own");
    // What does not move is stored once.
    let (page, _) = of("fixed.ron");
    for name in ["x_dm", "y_dm"] {
        let columns = page["world"][name].as_array().unwrap();
        assert!(columns.iter().all(|column| column.as_array().unwrap().len() == 1), "{page}");
    }
}

#[test]
fn a_policy_that_must_run_apart_is_not_played_in_a_page() {
    let sandbox = Sandbox::new();
    sandbox
        .write("apart.ron", "(name: \"apart\", policies: [(plugin: \"random\")], isolate: true)");
    let ran = sandbox.offramp(&["run", "apart.ron", "--html", "--out", "run"]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains("`apart` runs each in a process of its own"), "{}", ran.err);
    assert!(!sandbox.has("run"));
    let ran = sandbox.offramp(&["run", &scenario("small.ron"), "--html", "--isolate"]);
    assert_eq!(ran.code, 2, "{}", ran.err);
}

#[test]
fn a_policy_that_fails_is_left_out_of_the_page() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "some.ron",
        "(name: \"some\", policies: [(plugin: \"random\"), (plugin: \"hostile\", name: \"</script>\",
          parameters: (misdeed: FailIn(\"decide\"))), (plugin: \"heuristic\", name: \"<b>rules</b>\")],
          evaluate: (episodes: 5))",
    );
    let hostile = example("hostile").display().to_string();
    let ran =
        sandbox.offramp(&["run", "some.ron", "--plugins", &hostile, "--html=4", "--out", "run"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(
        ran.err.contains("failed: </script>, while recording the episode: policy `hostile`"),
        "{}",
        ran.err
    );
    let page = sandbox.read("run/episode.html");
    let data = data(&page);
    let policies = data["runs"].as_array().unwrap().iter().map(|run| &run["policy"]);
    assert_eq!(policies.collect::<Vec<_>>(), ["random", "<b>rules</b>"]);
    assert_eq!(data["about"], "episode 4 under seed 1");
    assert!(!page.contains("<b>rules"), "names are data, not markup");
}

#[test]
fn a_recorded_run_is_played() {
    let sandbox = Sandbox::new();
    let paper = trace("paper-random.json.gz");
    let ran = sandbox.offramp(&["replay", &paper, "--html", "trace.html"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let page = data(&sandbox.read("trace.html"));
    let [run] = page["runs"].as_array().unwrap().as_slice() else { panic!("{page}") };
    let printed = sandbox.offramp(&["replay", &paper, "--format", "json"]);
    let printed: Value = serde_json::from_str(&printed.out).unwrap();
    let replay = &printed["traces"][0];
    assert_eq!(run["dropped_tasks"], replay["dropped"]);
    for key in ["qoe", "delay_slots", "energy"] {
        let (ours, theirs) = (run[key].as_f64().unwrap(), replay[key].as_f64().unwrap());
        assert!((ours - theirs).abs() <= ROUNDED * theirs.abs(), "{key}: {ours} {theirs}");
    }
    // A page has one trace.
    let two = trace("tiny-random.json.gz");
    let ran = sandbox.offramp(&["replay", &paper, &two, "--html", "two.html"]);
    assert_eq!((ran.code, sandbox.has("two.html")), (2, false), "{}", ran.err);
    assert!(ran.err.contains("--html shows one trace; 2 traces are given"), "{}", ran.err);
}

/// A file of the user's is not a page of ours: before the run, and before the replay.
#[test]
fn files_of_others_stay_as_they_are() {
    let sandbox = Sandbox::new();
    let small = scenario("small.ron");
    // An episode that the evaluation does not have is not played either.
    let beyond = sandbox.offramp(&["run", &small, "--html=5", "--out", "run"]);
    assert_eq!(beyond.code, 2, "{}", beyond.err);
    assert!(beyond.err.contains("`small` has 5 episodes, counted from 0"), "{}", beyond.err);
    let first = ["run", &small, "--quick", "--html", "--out", "run"];
    assert_eq!(sandbox.offramp(&first).code, 0);
    // A page of ours is written anew.
    let again = [&first[..], &["--resume"]].concat();
    assert_eq!(sandbox.offramp(&again).code, 0);
    let page = sandbox.read("run/report.html");
    assert!(page.contains("href=\"episode.html\""), "{page}");
    let ran = sandbox.offramp(&["report", "run", "--html", "run/episode.html"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{}", ran.err);
    sandbox.write("run/episode.html", "mine");
    let ran = sandbox.offramp(&again);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{}", ran.err);
    assert!(ran.err.contains("is not a page of an episode that offramp wrote"), "{}", ran.err);
    sandbox.write("notes.html", "mine");
    sandbox.write("notes.partial", "mine, too");
    let trace = trace("tiny-random.json.gz");
    let ran = sandbox.offramp(&["replay", &trace, "--html", "notes.html"]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert_eq!(sandbox.offramp(&["replay", &trace, "--html", "other.html"]).code, 0);
    for (file, text) in
        [("run/episode.html", "mine"), ("notes.html", "mine"), ("notes.partial", "mine, too")]
    {
        assert_eq!(sandbox.read(file), text, "{file}");
    }
}
