//! `offramp report`: print the table of run folders again.

use offramp_results::run_folder;

use crate::arguments::{Format, ReportArguments};
use crate::problem::Problem;
use crate::{Done, print};

pub(crate) fn report(arguments: &ReportArguments) -> Result<Done, Problem> {
    let mut runs = Vec::new();
    for folder in &arguments.runs {
        runs.extend(run_folder::read(folder).map_err(|error| {
            Problem::new(error).with_help("name a run folder, as `offramp run` writes it")
        })?);
    }
    print(&offramp_report::results(&runs, arguments.format.into()));
    if arguments.power_modes && matches!(arguments.format, Format::Table) {
        print(&offramp_report::power_modes(&runs));
    }
    Ok(Done::Well)
}
