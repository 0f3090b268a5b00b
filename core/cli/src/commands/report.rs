//! `offramp report`: print the results in run folders again.

use offramp_results::run_folder;

use super::results_problem;
use crate::Outcome;
use crate::arguments::ReportArguments;
use crate::output::print;
use crate::problem::Problem;

pub(crate) fn run(arguments: &ReportArguments) -> Result<Outcome, Problem> {
    let mut runs = Vec::new();
    for folder in &arguments.runs {
        runs.extend(run_folder::read(folder).map_err(results_problem)?);
    }
    print(&arguments.results.text(&runs))?;
    Ok(Outcome::Success)
}
