//! `offramp replay`: recorded runs through the engine.

use offramp_report::replay::replays;
use offramp_results::replay::Replay;
use offramp_trace::Trace;

use crate::arguments::ReplayArguments;
use crate::problem::Problem;
use crate::{Done, print};

pub(crate) fn replay(arguments: &ReplayArguments) -> Result<Done, Problem> {
    // All are read before any is replayed: a file that is not a trace costs nothing.
    let traces: Vec<Trace> = arguments
        .files
        .iter()
        .map(|file| Trace::read(file).map_err(Problem::new))
        .collect::<Result<_, _>>()?;
    let replayed: Vec<Replay> = traces.iter().map(Trace::replay).collect();
    print(&replays(&replayed, arguments.format.into(), arguments.check));
    let differing = replayed.iter().any(|replay| replay.differing > 0);
    Ok(Done::failed_if(arguments.check && differing))
}
