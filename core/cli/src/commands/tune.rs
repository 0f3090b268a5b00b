//! `offramp tune`: hyper-parameters, chosen on validation.

use offramp_explain::Problem;
use offramp_harness::resume::{Claim, Work};
use offramp_report::tuning::{all_standings, search};
use offramp_report::tuning_page;
use offramp_tune::Tuning;

use crate::Outcome;
use crate::arguments::TuneArguments;
use crate::progress::{Notes, show_failure};

pub(crate) fn run(arguments: &TuneArguments, notes: Notes) -> Result<Outcome, Problem> {
    let registry = super::load_plugins(&arguments.search)?;
    let mut experiment = super::read_scenario(&arguments.scenario, &arguments.settings())?;
    // A scenario that is tuned has no sweep, any other is refused below.
    let scenario = experiment.points.swap_remove(0);
    let out = arguments.folder.folder(&experiment.name);
    let threads = super::thread_pool(&arguments.threads)?;
    let tuning = threads.install(|| Tuning::new(scenario, &registry))?;
    let start = arguments.folder.start();
    let _claim = Claim::new(&out, start, &Work::Search)?;
    let progress =
        notes.progress(tuning.lessons() as u64, "{bar:30} {pos}/{len} {msg}, {elapsed}", "");
    let found = threads.install(|| tuning.run(&out, &progress))?;
    drop(progress);
    for row in &found.rows {
        let Some(error) = &row.error else { continue };
        let (rung, number, seed) = (row.rung, row.configuration, row.seed);
        let values = found.values(number);
        show_failure(format_args!(
            "rung {rung}, configuration {number} ({values}), seed {seed}: {error}"
        ));
    }
    arguments.format.print(|format| search(&found, format), || all_standings(&found))?;
    match found.chosen {
        Some(_) => notes.say(format_args!("chosen: {}", out.join("chosen.ron").display())),
        None => show_failure("nothing was chosen: no configuration learned under all seeds"),
    }
    let failed = found.chosen.is_none() || found.rows.iter().any(|row| row.error.is_some());
    let outcome = if failed { Outcome::Failures } else { Outcome::Success };
    Ok(super::with_page(outcome, tuning_page::write(&out)))
}
