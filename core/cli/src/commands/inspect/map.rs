//! A map of the world of a scenario, at the first point of its sweep.

use std::path::Path;

use offramp_explain::Problem;
use offramp_harness::survey::survey;
use offramp_report::map::{Map, svg};
use offramp_scenario::{Experiment, Scenario};

/// Squares of the map along its longer side.
const SQUARES: f64 = 48.0;

/// Writes the map to `path`.
pub(super) fn write(experiment: &Experiment<Scenario>, path: &Path) -> Result<(), Problem> {
    let Some((first, world)) = experiment
        .points
        .first()
        .and_then(|first| first.system.parameters().world.as_deref().map(|world| (first, world)))
    else {
        let problem = Problem::new(format!("`{}` has no positions", experiment.name));
        return Err(problem.with_help("a map needs a `world` section in the scenario"));
    };
    let (width_m, height_m) = (world.area.width_m, world.area.height_m);
    let square = width_m.max(height_m) / SQUARES;
    let count = |length: f64| (length / square).ceil().max(1.0) as usize;
    let (columns, rows) = (count(width_m), count(height_m));
    let rates = world.radio.as_ref().map_or_else(Vec::new, |radio| {
        let rate = |row: usize, column: usize| {
            let x = (column as f64 + 0.5) / columns as f64 * width_m;
            let y = (row as f64 + 0.5) / rows as f64 * height_m;
            let stations = world.stations.iter();
            stations
                .map(|station| radio.expected_mbps((station.x_m - x).hypot(station.y_m - y)))
                .fold(0.0, f64::max)
        };
        (0..rows).map(|row| (0..columns).map(|column| rate(row, column)).collect()).collect()
    });
    let survey = survey(&first.system, first.evaluation.seed, 1);
    let ways = survey.map_or_else(Vec::new, |survey| survey.ways);
    let map = Map {
        title: format!("{}: {width_m} m × {height_m} m", experiment.name),
        width_m,
        height_m,
        stations: world.stations.iter().map(|station| (station.x_m, station.y_m)).collect(),
        ways,
        rates,
    };
    std::fs::write(path, svg(&map))
        .map_err(|error| Problem::new(format!("can't write {}: {error}", path.display())))
}
