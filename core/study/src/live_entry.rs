//! The live run of a scenario that a study shows.

use std::path::Path;

use offramp_scenario::{Experiment, Fault, LiveEntry, Scenario, fault_of};

use crate::file::StreamsSection;
use crate::text::{merged, with};

/// The only live run of a scenario.
///
/// # Errors
/// [`Fault`] if the scenario has no live run, or a sweep of them.
pub(crate) fn only(experiment: Experiment, text: &str) -> Result<Scenario, Box<Fault>> {
    let name = experiment.name.clone();
    let fault = |field, message: &str| {
        Err(Box::new(fault_of(&name, text, field, message.to_owned(), None)))
    };
    let mut points = experiment.points;
    match points.len() {
        1 if points[0].live.is_some() => Ok(points.remove(0)),
        1 => fault("", "it describes no live run"),
        _ => fault("sweep", "a live run of a study has no `sweep`"),
    }
}

/// The live run that an item shows at full size; `text` is that of its scenario.
///
/// # Errors
/// If the scenario is not valid, has no place for what the study sets, or has no live run of its own.
pub(crate) fn read_entry(
    section: &StreamsSection,
    text: &str,
    folder: &Path,
) -> Result<LiveEntry, Box<Fault>> {
    let name = &section.scenario;
    let mut text = text.to_owned();
    for (field, value) in merged(&[&section.set]) {
        text = with(name, &text, field, value)?;
    }
    let home = folder.join(name);
    let home = home.parent().unwrap_or(Path::new(""));
    let experiment = Experiment::parse(name, text.clone(), home, &[]).map_err(Box::new)?;
    let scenario = only(experiment, &text)?;
    scenario.live.clone().ok_or_else(|| Box::new(scenario.fault("", String::new(), None)))
}
