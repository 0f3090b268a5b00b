//! `offramp merge`: combine the parts of a batch.

use offramp_results::merge::merge;

use super::results_problem;
use crate::arguments::MergeArguments;
use crate::problem::Problem;
use crate::progress::Notes;
use crate::{Outcome, print};

pub(crate) fn run(arguments: &MergeArguments, notes: Notes) -> Result<Outcome, Problem> {
    let runs = merge(&arguments.parts, &arguments.out).map_err(results_problem)?;
    print(&arguments.results.text(&runs));
    notes.say(format_args!("results: {}", arguments.out.display()));
    Ok(super::outcome_of_runs(&runs))
}
