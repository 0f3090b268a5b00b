//! `offramp report`: print the results in run folders again.

use offramp_results::run_folder;

use super::results_problem;
use crate::arguments::ReportArguments;
use crate::problem::Problem;
use crate::{Outcome, print};

pub(crate) fn run(arguments: &ReportArguments) -> Result<Outcome, Problem> {
    let mut runs = Vec::new();
    for folder in &arguments.runs {
        runs.extend(run_folder::read(folder).map_err(results_problem)?);
    }
    print(&arguments.results.text(&runs));
    Ok(Outcome::Success)
}
