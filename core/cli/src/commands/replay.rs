//! `offramp replay`: recorded runs through the engine.

use offramp_explain::Problem;
use offramp_report::replay::{checked_replays, replays};
use offramp_results::replay::Replay;
use offramp_trace::Trace;
use rayon::prelude::*;

use crate::Outcome;
use crate::arguments::ReplayArguments;
use crate::output::print;

pub(crate) fn run(arguments: &ReplayArguments) -> Result<Outcome, Problem> {
    // All files are read before any is replayed: one that is not a trace costs no time.
    let read = |file| Trace::read(file).map_err(Problem::new);
    let traces: Vec<Trace> =
        arguments.files.iter().map(|file| read(file)).collect::<Result<_, _>>()?;
    let threads = super::thread_pool(&arguments.threads)?;
    let replayed: Vec<Replay> = threads.install(|| traces.par_iter().map(Trace::replay).collect());
    let format = arguments.format.format();
    if !arguments.check {
        print(&replays(&replayed, format))?;
        return Ok(Outcome::Success);
    }
    print(&checked_replays(&replayed, format))?;
    let differing = replayed.iter().any(|replay| replay.differing > 0);
    Ok(if differing { Outcome::Failures } else { Outcome::Success })
}
