//! The columns of observations are defined once, in the model: the plugin interface's test bench,
//! the C header and the documents agree with it.

use offramp_harness::context::PolicyContext;
use offramp_harness::environment::Environment;
use offramp_host::plugin::Needs;
use offramp_host::plugin::testing::{
    BROADCAST_COLUMNS, Bench, LINK_COLUMNS, SERVER_COLUMNS, TASK_COLUMNS,
};
use offramp_model::observation::{self, Column};
use offramp_scenario::Experiment;
use offramp_tests::workspace;

fn names(columns: &[Column]) -> Vec<&'static str> {
    columns.iter().map(|column| column.name).collect()
}

#[test]
fn the_test_bench_has_the_columns_of_the_model() {
    let bench = |columns: &[(&'static str, f64)]| -> Vec<_> {
        columns.iter().map(|&(name, _)| name).collect()
    };
    assert_eq!(bench(&TASK_COLUMNS), names(observation::task_columns()));
    assert_eq!(bench(&LINK_COLUMNS), names(observation::link_columns()));
    assert_eq!(bench(&SERVER_COLUMNS), names(observation::server_columns()));
    assert_eq!(bench(&BROADCAST_COLUMNS), names(observation::broadcast_columns()));
}

/// A policy's unit test meets the system and the features that a scenario has by default.
#[test]
fn the_test_bench_has_the_paper_s_values() {
    let text = "(name: \"x\", system: (devices: 4, servers: 3))".to_owned();
    let experiment = Experiment::parse("x", text, "".as_ref(), &[]).unwrap();
    let context = PolicyContext::new(&experiment.points[0], "");
    let lent = context.lend();
    let ours = lent.context("", None, 1, 1);
    Bench::new(4, 3).context(|theirs| {
        assert_eq!(format!("{:?}", ours.system), format!("{:?}", theirs.system));
        assert_eq!(format!("{:?}", ours.observation), format!("{:?}", theirs.observation));
    });
}

/// What servers broadcast is named to plugins, and is where its name says.
#[test]
fn what_is_broadcast_reaches_plugins() {
    let text = "(name: \"x\", system: (devices: 4, servers: 3), tasks: (arrival_probability: 1.0, size_mbit: 5),
        broadcast: [\"arrivals_per_slot\", \"uploads\"])";
    let experiment = Experiment::parse("x.ron", text.to_owned(), "".as_ref(), &[]).unwrap();
    let scenario = &experiment.points[0];
    let context = PolicyContext::new(scenario, "");
    let lent = context.lend();
    let columns = lent.context("", None, 1, 1).observation.server_columns;
    let columns: Vec<_> = columns.iter().map(|name| name.as_str()).collect();
    assert_eq!(columns, ["load", "ghz", "up", "uploads", "arrivals_per_slot"]);
    let mut environment = Environment::new(&scenario.system, scenario.observation, 1, 0);
    environment.step(&[1, 1, 3, 0]).unwrap();
    let seen = environment.observe(Needs::SERVERS);
    assert_eq!(seen.servers.len(), 5 * 3);
    assert_eq!(seen.servers[9..12], [2.0, 0.0, 1.0]);
}

#[test]
fn every_column_is_in_the_header_and_the_guide() {
    for file in ["plugins/api/include/offramp.h", "plugins/README.md"] {
        let text = std::fs::read_to_string(workspace().join(file)).unwrap();
        let all = [
            observation::task_columns(),
            observation::link_columns(),
            observation::server_columns(),
            observation::broadcast_columns(),
        ];
        for name in all.into_iter().flat_map(names) {
            let mut words = text.split(|c: char| !(c.is_alphanumeric() || c == '_'));
            assert!(words.any(|word| word == name), "{name} is not in {file}");
        }
    }
}
