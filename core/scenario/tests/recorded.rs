//! Recorded data that a scenario names, from its files to the system.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::path::Path;

use offramp_model::world::{Mobility, Position};
use offramp_model::{RecordedTasks, Uplink, Window};
use offramp_scenario::{Experiment, Fault, Scenario};

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn read(folder: &Path, fields: &str) -> Result<Scenario, Box<Fault>> {
    let text = format!("(name: \"x\", {fields})");
    let experiment = Experiment::parse("x.ron", text, folder, &[]).map_err(Box::new)?;
    Ok(experiment.points.into_iter().next().unwrap())
}

/// The message of a scenario that is refused, without its place and the folder.
#[track_caller]
fn fault(folder: &Path, fields: &str) -> String {
    let fault = read(folder, fields).unwrap_err().message;
    fault.replace(&format!("{}/", folder.display()), "")
}

fn rates(scenario: &Scenario) -> Vec<Vec<f64>> {
    let Uplink::Recorded(rates) = &scenario.system.parameters().uplink else { panic!("constant") };
    let devices = scenario.system.device_count();
    let of = |device| (0..rates.slot_count()).map(|slot| rates.mbps(device, 1, slot)).collect();
    (0..devices).map(of).collect()
}

fn tasks(scenario: &Scenario) -> &RecordedTasks {
    scenario.system.parameters().recorded.as_deref().unwrap()
}

/// A system of three devices and two servers whose episodes last three slots.
fn with_rates(files: &str) -> String {
    format!(
        "system: (slots: 2, devices: 3, servers: 2, uplink_mbps: Recorded({files})), \
         tasks: (deadline_slots: 1)"
    )
}

#[test]
fn a_file_of_one_trace_is_everyones_rate() {
    let folder = folder(&[("ride.csv", "0 2\n0.1 4\n0.3 8\n"), ("other.csv", "0 1\n0.2 3\n")]);
    let scenario = read(folder.path(), &with_rates("\"ride.csv\"")).unwrap();
    assert_eq!(rates(&scenario), vec![vec![2.0, 4.0, 4.0, 8.0]; 3]);
    assert_eq!(scenario.recordings, [folder.path().join("ride.csv")]);
    // Of several, each device has the next, as long as the shortest.
    let scenario = read(folder.path(), &with_rates("[\"ride.csv\", \"other.csv\"]")).unwrap();
    assert_eq!(rates(&scenario), [[2.0, 4.0, 4.0], [1.0, 1.0, 3.0], [2.0, 4.0, 4.0]]);
    assert_eq!(scenario.recordings.len(), 2);
}

#[test]
fn a_file_names_columns_devices_and_servers() {
    let text = "ms;car;unit;kbit\n0;a;1;1000\n0;a;2;2000\n0;b;1;3000\n0;b;2;4000\n100;a;2;500\n\
                200;a;1;0\n200;a;2;0\n200;b;1;0\n200;b;2;0\n";
    let folder = folder(&[("links.csv", text)]);
    let columns =
        "\"time_s\": \"ms\", \"device\": \"car\", \"server\": \"unit\", \"kbps\": \"kbit\"";
    let file =
        format!("file: \"links.csv\", columns: {{{columns}}}, factors: {{\"time_s\": 0.001}}");
    let two = with_rates(&file).replace("devices: 3", "devices: 2");
    let scenario = read(folder.path(), &two).unwrap();
    assert_eq!(rates(&scenario), [[2.0, 0.5, 0.0], [4.0, 4.0, 0.0]]);
    // Nobody else's rates are made up, and nobody's are left out.
    for devices in [1, 3] {
        let other = with_rates(&file).replace("devices: 3", &format!("devices: {devices}"));
        let message = format!("links.csv: rates of 2 devices: the system has {devices}");
        assert_eq!(fault(folder.path(), &other), message);
    }
}

#[test]
fn rates_that_do_not_fit_are_refused_with_their_place() {
    let folder = folder(&[
        ("gap.csv", "slot,device,mbps\n0,0,1\n0,2,1\n9,0,1\n9,2,1\n"),
        ("server.csv", "slot,device,server,mbps\n0,0,0,1\n"),
        ("bad.csv", "slot,mbps\n0,1\n1,fast\n"),
        ("epoch.csv", "1790000000 3\n1790000001 4\n"),
        ("long.csv", "slot,device,mbps\n0,0,1\n9,0,1\n"),
        ("short.csv", "slot,mbps\n0,1\n1,1\n"),
    ]);
    let of = |file: &str| fault(folder.path(), &with_rates(file));
    assert_eq!(of("\"gap.csv\""), "gap.csv: has no rate of device 1");
    assert_eq!(of("\"server.csv\""), "server.csv, row 1: servers are numbered 1 to 2");
    assert_eq!(
        of("\"bad.csv\""),
        "bad.csv, line 3, column `mbps`: found `fast`; expected a rate, 0 or more"
    );
    assert_eq!(of("\"epoch.csv\""), "epoch.csv: lasts 17900000011 slots, more than 10⁸");
    assert_eq!(
        of("[\"long.csv\", \"short.csv\"]"),
        "long.csv, row 1: a file among several is one trace: no `device`, no `server`"
    );
    assert!(of("\"none.csv\"").starts_with("none.csv: No such file"));
    assert!(of("fle: \"long.csv\"").starts_with("there is no field `fle`"));
    let short = of("\"short.csv\"");
    assert!(short.ends_with("recording of 2 slots has 2, and an episode needs 3"), "{short}");
}

const TASKS: &str = "slot,device,size_mbit,density,deadline_slots,alpha,class\n\
                     0,1,1.5,0.3,,,game\n4,0,2,0.2,6,0.5,film\n9,1,3,0.1,,,game\n";

fn with_tasks(devices: u32, tasks: &str) -> String {
    format!("system: (slots: 10, devices: {devices}, servers: 1), tasks: ({tasks})")
}

#[test]
fn tasks_are_those_of_the_file() {
    let folder = folder(&[("tasks.csv", TASKS)]);
    let file = "arrivals: Recorded(\"tasks.csv\")";
    let scenario = read(folder.path(), &with_tasks(2, file)).unwrap();
    let listed = |scenario: &Scenario| -> Vec<_> {
        let tasks = tasks(scenario).tasks().iter();
        tasks.map(|task| (task.slot, task.arrival)).collect()
    };
    let tasks = listed(&scenario);
    let seen: Vec<_> = tasks
        .iter()
        .map(|(slot, task)| (*slot, task.device, task.size_mbit, task.deadline_slots, task.class))
        .collect();
    assert_eq!(seen, [(0, 1, 1.5, 10, 0), (4, 0, 2.0, 6, 1), (9, 1, 3.0, 10, 0)]);
    assert!(tasks[0].1.alpha.is_nan());
    assert_eq!(tasks[1].1.alpha, 0.5);
    let classes = &scenario.system.parameters().classes;
    assert_eq!(classes.iter().map(|class| &class.name).collect::<Vec<_>>(), ["game", "film"]);
    // Classes of the scenario are found by name, and have deadlines of their own.
    let classes = "[(name: \"film\", deadline_slots: 3), (name: \"game\", deadline_slots: 4)]";
    let own = with_tasks(2, &format!("{file}, classes: {classes}"));
    let tasks = listed(&read(folder.path(), &own).unwrap());
    let seen: Vec<_> = tasks.iter().map(|(_, task)| (task.deadline_slots, task.class)).collect();
    assert_eq!(seen, [(4, 1), (6, 0), (4, 1)]);
}

#[test]
fn tasks_that_do_not_fit_are_refused_with_their_place() {
    let twice = TASKS.replace("9,1", "0,1");
    let folder = folder(&[("tasks.csv", TASKS), ("twice.csv", &twice)]);
    let of = |devices: u32, tasks: &str| fault(folder.path(), &with_tasks(devices, tasks));
    let file = "arrivals: Recorded(\"tasks.csv\")";
    assert_eq!(of(1, file), "tasks.csv, row 1: device 1 is out of range: there are 1");
    assert_eq!(
        of(2, &format!("{file}, classes: [(name: \"game\")]")),
        "tasks.csv, row 2: `tasks.classes` has no class `film`"
    );
    let other =
        fault(folder.path(), &format!("alpha: (modes: [0.25, 0.75]), {}", with_tasks(2, file)));
    assert_eq!(other, "tasks.csv, row 2: alpha 0.5 is none of `alpha.modes`");
    assert_eq!(
        of(2, "arrivals: Recorded(\"twice.csv\")"),
        "twice.csv, row 3: its device has a task in slot 0 already, in row 1"
    );
}

#[test]
fn stations_and_devices_stand_where_the_files_say() {
    let folder = folder(&[
        ("sites.csv", "LATITUDE,LONGITUDE\n-37.82,144.96\n-37.81,144.97\n"),
        ("users.csv", "latitude,longitude\n-37.815,144.965\n-37.82,144.96\n-37.81,144.97\n"),
    ]);
    let fields = |origin: &str| {
        format!(
            "system: (devices: 2, servers: 2), world: (width_m: 1000, height_m: 1300, {origin}
             stations: Recorded(\"sites.csv\"), mobility: At(\"users.csv\"), radio: ())"
        )
    };
    let world = |origin: &str| {
        let scenario = read(folder.path(), &fields(origin)).unwrap();
        scenario.system.parameters().world.clone().unwrap()
    };
    let found = world("");
    let Position { x_m, y_m } = found.stations[1];
    // A degree there is 88.0 km to the east and 111.0 km to the north.
    assert!((x_m - 880.0).abs() < 1.0 && (y_m - 1110.0).abs() < 1.0, "{x_m}, {y_m}");
    let Mobility::Static(placed) = &found.mobility else { panic!("it moves") };
    let placed = format!("{placed:?}");
    assert_eq!(placed.matches("x_m").count(), 2, "the first two: {placed}");
    // The corner of the area may be elsewhere.
    let moved = world("origin: (-37.821, 144.96),");
    assert!((moved.stations[0].y_m - 111.0).abs() < 1.0);
    let far = fault(folder.path(), &fields("origin: (-37.8, 144.96),"));
    assert!(far.contains("is outside the area of 1000 m × 1300 m"), "{far}");
    let nowhere = fault(folder.path(), &fields("origin: (95, 144.96),"));
    assert_eq!(nowhere, "(95, 144.96) is not a place");
}

#[test]
fn tracks_move_devices() {
    let walk = "time_s,device,x_m,y_m\n0,ann,0,0\n20,ann,10,0\n0,bob,5,5\n20,bob,5,6\n";
    let folder = folder(&[
        ("walk.csv", walk),
        ("tasks.csv", "slot,device,size_mbit,density\n3,bob,1,0.3\n"),
        ("back.csv", "time_s,device,x_m,y_m\n0,0,1,1\n0,0,2,2\n"),
    ]);
    let fields = |file: &str| {
        format!(
            "system: (devices: 2, servers: 1), tasks: (arrivals: Recorded(\"tasks.csv\")),
             world: (width_m: 20, height_m: 20, stations: [(0, 0)], radio: (),
                     mobility: Recorded(\"{file}\"))"
        )
    };
    let scenario = read(folder.path(), &fields("walk.csv")).unwrap();
    // Files share the names of devices.
    let devices: Vec<u32> =
        tasks(&scenario).tasks().iter().map(|task| task.arrival.device).collect();
    assert_eq!(devices, [1]);
    // Tasks last as long as tracks, so that both stay in step.
    assert_eq!(tasks(&scenario).slot_count(), 201);
    let back = fault(folder.path(), &fields("back.csv"));
    assert!(back.starts_with("back.csv, row 2: "), "{back}");
    std::fs::write(folder.path().join("tasks.csv"), "slot,device,size_mbit,density\n3,eve,1,0.3\n")
        .unwrap();
    let three = fields("walk.csv").replace("devices: 2", "devices: 3");
    assert_eq!(
        fault(folder.path(), &three),
        "tasks.csv, row 1: its device has no track in the file of `world.mobility`"
    );
    let rates = three.replace("servers: 1", "servers: 1, uplink_mbps: Recorded(\"rates.csv\")");
    std::fs::write(folder.path().join("rates.csv"), "0 1\n20 1\n").unwrap();
    std::fs::write(folder.path().join("tasks.csv"), "slot,device,size_mbit,density\n3,ann,1,0.3\n")
        .unwrap();
    assert_eq!(
        fault(folder.path(), &rates),
        "recorded rates have no effect here: `world.radio` determines all rates"
    );
}

#[test]
fn recordings_are_divided_in_time() {
    let rows: String = (0..100).map(|slot| format!("{slot},0,1,0.3\n")).collect();
    let folder = folder(&[("tasks.csv", &format!("slot,device,size_mbit,density\n{rows}"))]);
    let with =
        |more: &str| format!("{}, {more}", with_tasks(1, "arrivals: Recorded(\"tasks.csv\")"));
    let train = "train: (learner: (plugin: \"d3qn\"), episodes: 1)";
    let divided = with(&format!("recordings: (train: 0.5, validate: 0.25), {train}"));
    let scenario = read(folder.path(), &divided).unwrap();
    let windows = [&scenario.training_system, &scenario.validation_system, &scenario.system]
        .map(|system| system.parameters().window);
    let window = |from, to| Window { from, to };
    assert_eq!(windows, [window(0.0, 0.5), window(0.5, 0.75), window(0.75, 1.0)]);
    // What is only evaluated may be all of it.
    let whole = read(folder.path(), &with("")).unwrap();
    assert_eq!(whole.system.parameters().window, Window::WHOLE);
    assert_eq!(
        fault(folder.path(), &with(train)),
        "what is learned would be learned on the recordings that are evaluated on"
    );
    let learned =
        "policies: [(plugin: \"random\"), (plugin: \"d3qn\", checkpoint: \"best.safetensors\")]";
    assert_eq!(
        fault(folder.path(), &with(learned)),
        "this may have been learned on the recordings that it is evaluated on"
    );
    let elsewhere = |more: &str| with(&format!("recordings: (train: 0, validate: 0), {more}"));
    let whole = read(folder.path(), &elsewhere(learned)).unwrap();
    assert_eq!(whole.system.parameters().window, Window::WHOLE);
    assert_eq!(
        fault(folder.path(), &elsewhere(train)),
        "what is learned would be learned on the recordings that are evaluated on"
    );
    let short = fault(folder.path(), &with("recordings: (train: 0.95, validate: 0.04)"));
    assert!(short.contains("has 1, and an episode needs 10"), "{short}");
    assert_eq!(
        fault(folder.path(), &with("recordings: (train: 0.6, validate: 0.4)")),
        "`train` and `validate` are above 0 and together below 1, or both 0"
    );
    assert_eq!(
        fault(folder.path(), "recordings: (train: 0.5)"),
        "nothing is recorded here, so there is nothing to divide"
    );
}
