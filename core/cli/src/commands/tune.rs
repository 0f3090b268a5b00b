//! `offramp tune`: hyper-parameters, chosen on validation.

use offramp_harness::resume::{Claim, Work};
use offramp_report::tuning::search;
use offramp_tune::{TuneError, Tuning};

use super::{folder_problem, results_problem};
use crate::Outcome;
use crate::arguments::TuneArguments;
use crate::output::print;
use crate::problem::Problem;
use crate::progress::{Notes, show_failure};

pub(crate) fn run(arguments: &TuneArguments, notes: Notes) -> Result<Outcome, Problem> {
    let registry = super::load_plugins(&arguments.search)?;
    let mut experiment = super::read_scenario(&arguments.scenario, &arguments.settings())?;
    // A scenario that is tuned has no sweep, any other is refused below.
    let scenario = experiment.points.swap_remove(0);
    let out = arguments.folder.folder(&experiment.name);
    let threads = super::thread_pool(&arguments.threads)?;
    let tuning = threads.install(|| Tuning::new(scenario, &registry)).map_err(problem)?;
    let start = arguments.folder.start();
    let _claim = Claim::new(&out, start, &Work::Search).map_err(folder_problem)?;
    let progress =
        notes.progress(tuning.lessons() as u64, "{bar:30} {pos}/{len} {msg}, {elapsed}", "");
    let found = threads.install(|| tuning.run(&out, &progress)).map_err(problem)?;
    drop(progress);
    for row in &found.rows {
        let Some(error) = &row.error else { continue };
        let (rung, number, seed) = (row.rung, row.configuration, row.seed);
        let values = found.values(number);
        show_failure(format_args!(
            "rung {rung}, configuration {number} ({values}), seed {seed}: {error}"
        ));
    }
    print(&search(&found, arguments.format.format()))?;
    match found.chosen {
        Some(_) => notes.say(format_args!("chosen: {}", out.join("chosen.ron").display())),
        None => show_failure("nothing was chosen: no configuration learned under all seeds"),
    }
    let failed = found.chosen.is_none() || found.rows.iter().any(|row| row.error.is_some());
    Ok(if failed { Outcome::Failures } else { Outcome::Success })
}

/// Explains how to mend what ends a search.
fn problem(error: TuneError) -> Problem {
    match error {
        TuneError::Fault(fault) => (*fault).into(),
        TuneError::Folder(error) => folder_problem(error),
        TuneError::Results(error) => results_problem(error),
        TuneError::Dataset(error) => Problem::new(error).with_help(
            "name another folder with --out, or remove the file: it is then collected again",
        ),
    }
}
