//! `offramp merge`: combine the parts of a batch.

use offramp_explain::Problem;
use offramp_report::run_page;
use offramp_results::merge::merge;

use crate::Outcome;
use crate::arguments::MergeArguments;
use crate::progress::Notes;

pub(crate) fn run(arguments: &MergeArguments, notes: Notes) -> Result<Outcome, Problem> {
    let runs = merge(&arguments.parts, &arguments.out)?;
    let printed = arguments.results.print(&runs);
    notes.say(format_args!("results: {}", arguments.out.display()));
    printed?;
    Ok(super::with_page(super::outcome_of_runs(&runs), run_page::write(&arguments.out)))
}
