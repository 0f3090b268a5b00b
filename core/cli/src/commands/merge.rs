//! `offramp merge`: combine the parts of a batch.

use offramp_results::merge::merge;
use offramp_results::run_folder::NewRunFolder;

use super::results_problem;
use crate::arguments::MergeArguments;
use crate::problem::Problem;
use crate::progress::Notes;
use crate::{Outcome, print};

pub(crate) fn run(arguments: &MergeArguments, notes: Notes) -> Result<Outcome, Problem> {
    let folder = NewRunFolder::begin(&arguments.out).map_err(results_problem)?;
    let (scenarios, runs) = merge(&arguments.parts).map_err(results_problem)?;
    let stored = folder.finish(&scenarios, None, &runs).map_err(results_problem)?;
    print(&arguments.results.text(&runs));
    notes.say(format_args!("results: {}", stored.display()));
    Ok(super::outcome_of_runs(&runs))
}
