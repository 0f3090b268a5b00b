//! `offramp report`: print the results in run folders again.

use offramp_explain::Problem;
use offramp_results::run_folder;

use crate::Outcome;
use crate::arguments::ReportArguments;
use crate::output::print;

pub(crate) fn run(arguments: &ReportArguments) -> Result<Outcome, Problem> {
    let mut runs = Vec::new();
    for folder in &arguments.runs {
        runs.extend(run_folder::read(folder)?);
    }
    print(&arguments.results.text(&runs))?;
    Ok(Outcome::Success)
}
