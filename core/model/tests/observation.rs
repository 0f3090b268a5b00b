//! The tables of observations as policies and plugins address them.

use std::sync::Arc;

use offramp_model::observation::{
    Column, Table, broadcast_columns, columns, link_columns, load_scale, server_columns,
    task_columns,
};
use offramp_model::world::mobility::RandomWaypoint;
use offramp_model::world::{
    Area, Association, Band, Handover, Mobility, PathLoss, Position, Radio, RadioParameters, World,
};
use offramp_model::{
    Broadcast, ColumnList, Distribution, Episode, ObservationKind, ObservationSpec, System,
    SystemParameters, Workload,
};

fn names<'c>(columns: impl IntoIterator<Item = &'c Column>) -> Vec<&'static str> {
    columns.into_iter().map(|column| column.name).collect()
}

/// Plugins address columns by their place in these tables: they are only ever appended to.
#[test]
fn tables_keep_their_columns_in_order() {
    let tasks = [
        "size_mbit",
        "compute_queue_slots",
        "uplink_queue_slots",
        "alpha",
        "density_gcycles_per_mbit",
        "deadline_slots",
        "class",
        "speed_mps",
        "own_mbps",
        "own_mbps_1_ago",
        "own_mbps_2_ago",
        "own_mbps_4_ago",
        "own_mbps_8_ago",
        "local_delay_slots",
        "local_energy",
    ];
    let links = [
        "backlog_mbit",
        "uplink_mbps",
        "serving",
        "distance_m",
        "wired_slots",
        "predicted_delay_slots",
        "predicted_energy",
    ];
    let servers = ["load", "ghz", "up"];
    assert_eq!(names(task_columns()), tasks);
    assert_eq!(names(link_columns()), links);
    assert_eq!(names(server_columns()), servers);
    let broadcast = ["queued_gcycles", "uploads", "arrivals_per_slot"];
    assert_eq!(names(broadcast_columns()), broadcast);
    assert_eq!(names(columns()), [&tasks[..], &links, &servers, &broadcast].concat());
    for (of_table, table) in [
        (task_columns(), Table::Task),
        (link_columns(), Table::Link),
        (server_columns(), Table::Server),
        (broadcast_columns(), Table::Server),
    ] {
        assert!(of_table.iter().all(|column| column.table() == table), "{table:?}");
    }
}

/// What a network divides a column by, with its unit.
#[test]
fn scales_by_hand() {
    let mut parameters = SystemParameters::paper(6, 4);
    parameters.servers[2].ghz = 50.0;
    parameters.classes[0].deadline_slots = 12;
    parameters.classes[0].size_mbit = Distribution::Uniform(2.0, 9.0);
    parameters.classes[0].density = Distribution::Choice(vec![0.5, 0.25]);
    let system = System::new(parameters).unwrap();
    assert_eq!(load_scale(&system), 1.5);
    let shown: Vec<_> =
        columns().map(|column| (column.name, column.scale(&system), column.unit)).collect();
    assert_eq!(
        shown,
        [
            ("size_mbit", 9.0, "Mbit"),
            ("compute_queue_slots", 12.0, "slots"),
            ("uplink_queue_slots", 12.0, "slots"),
            ("alpha", 1.0, "1"),
            ("density_gcycles_per_mbit", 0.5, "Gcycles/Mbit"),
            ("deadline_slots", 12.0, "slots"),
            ("class", 1.0, "1"),
            ("speed_mps", 15.0, "m/s"),
            ("own_mbps", 14.0, "Mbit/s"),
            ("own_mbps_1_ago", 14.0, "Mbit/s"),
            ("own_mbps_2_ago", 14.0, "Mbit/s"),
            ("own_mbps_4_ago", 14.0, "Mbit/s"),
            ("own_mbps_8_ago", 14.0, "Mbit/s"),
            ("local_delay_slots", 12.0, "slots"),
            ("local_energy", 10.0, "1"),
            ("backlog_mbit", 9.0, "Mbit"),
            ("uplink_mbps", 14.0, "Mbit/s"),
            ("serving", 1.0, "1"),
            ("distance_m", 1.0, "m"),
            ("wired_slots", 12.0, "slots"),
            ("predicted_delay_slots", 12.0, "slots"),
            ("predicted_energy", 10.0, "1"),
            ("load", 1.5, "devices"),
            ("ghz", 50.0, "GHz"),
            ("up", 1.0, "1"),
            // A task of the largest size and highest density from each device, over M.
            ("queued_gcycles", 6.75, "Gcycles"),
            ("uploads", 1.5, "tasks"),
            ("arrivals_per_slot", 1.5, "tasks/slot"),
        ]
    );
}

/// Servers broadcast what the observation says, in one order, and nothing else.
#[test]
fn what_is_broadcast_ends_the_server_table() {
    let broadcast = Broadcast::new(["arrivals_per_slot", "queued_gcycles"]).unwrap();
    let observation = ObservationSpec { broadcast, ..ObservationSpec::PAPER };
    let expected = ["load", "ghz", "up", "queued_gcycles", "arrivals_per_slot"];
    assert_eq!(names(observation.server_columns()), expected);
    assert_eq!(names(ObservationSpec::PAPER.server_columns()), expected[..3]);
    assert_eq!(format!("{broadcast:?}"), "[queued_gcycles, arrivals_per_slot]");
    // Keys of what was learned before servers could broadcast stay.
    let paper = "ObservationSpec { kind: Paper, history_slots: 10";
    assert_eq!(format!("{:?}", ObservationSpec::PAPER), format!("{paper} }}"));
    assert_eq!(format!("{observation:?}"), format!("{paper}, broadcast: {broadcast:?} }}"));
    let refused = |names: &[&str]| Broadcast::new(names).unwrap_err().to_string();
    let unknown = "servers cannot broadcast `load`; they can: queued_gcycles, uploads, \
                   arrivals_per_slot";
    assert_eq!(refused(&["uploads", "load"]), unknown);
    let twice = "the observation column `uploads` is listed twice";
    assert_eq!(refused(&["uploads", "uploads"]), twice);
}

#[test]
fn kinds_are_named_as_scenarios_spell_them_and_have_their_widths() {
    let list = ColumnList::new(["load", "alpha"]).unwrap();
    for (kind, name, width) in [
        (ObservationKind::Paper, "Paper", 4 + 3),
        (ObservationKind::Extended, "Extended", 6 + 3),
        (ObservationKind::Published, "Published", 4 + 3),
        (ObservationKind::Columns(list), "Columns", 3 + 1),
    ] {
        assert_eq!((kind.name(), kind.width(3)), (name, width));
    }
    assert_eq!(format!("{list:?}"), "[load, alpha]");
    assert_eq!(list, ColumnList::new(["load", "alpha"]).unwrap());
    assert_ne!(list, ColumnList::new(["load"]).unwrap());
    assert_ne!(list, ColumnList::new(["load", "ghz"]).unwrap());
}

/// A past rate is the same whether or not it was asked for at the time.
#[test]
fn rates_of_the_past_are_shown_to_whoever_looks_late() {
    let mut parameters = SystemParameters::paper(6, 3);
    let area = Area { width_m: 600.0, height_m: 400.0 };
    let at = |x_m| Position { x_m, y_m: 200.0 };
    parameters.world = Some(Arc::new(World {
        area,
        stations: vec![at(100.0), at(300.0), at(500.0)],
        mobility: Mobility::RandomWaypoint(RandomWaypoint {
            speed_mps: (5.0, 20.0),
            pause_slots: Distribution::Constant(2.0),
        }),
        radio: Some(Arc::new(Radio::new(RadioParameters::new(PathLoss::Umi)).unwrap())),
        band: Band::Shared,
        association: Association::Serving(Handover {
            hysteresis_db: 1.0,
            time_to_trigger_slots: 1,
            interruption_slots: 1,
        }),
    }));
    let system = Arc::new(System::new(parameters).unwrap());
    let episode =
        || Episode::new(&system, Workload::Drawn { seed: 4, episode: 1 }, ObservationSpec::PAPER);
    let (mut always, mut seen) = (episode(), Vec::new());
    let (mut shown, mut changes) = (Vec::new(), 0);
    while !always.is_over() {
        always.task_table(&mut shown);
        changes += usize::from(seen.last().is_some_and(|before| before != &shown));
        seen.push(shown.clone());
        let actions: Vec<u32> = always.arrivals().iter().map(|task| task.device % 4).collect();
        always.advance(&actions).unwrap();
    }
    assert!(changes > 50);
    for late in [0, 1, 7, 30] {
        let mut episode = episode();
        while episode.slot() < late + 3 {
            if episode.slot() >= late {
                episode.task_table(&mut shown);
                assert_eq!(shown, seen[episode.slot() as usize], "slot {}", episode.slot());
            }
            let actions: Vec<u32> = episode.arrivals().iter().map(|task| task.device % 4).collect();
            episode.advance(&actions).unwrap();
        }
    }
}
