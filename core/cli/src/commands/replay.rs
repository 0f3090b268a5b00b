//! `offramp replay`: recorded runs through the engine.

use std::path::{Path, PathBuf};

use offramp_explain::Problem;
use offramp_report::episode;
use offramp_report::replay::{checked_replays, replay_records, replays};
use offramp_results::replay::Replay;
use offramp_results::words::counted;
use offramp_trace::Trace;
use rayon::prelude::*;

use crate::Outcome;
use crate::arguments::ReplayArguments;
use crate::progress::Notes;

pub(crate) fn run(arguments: &ReplayArguments, notes: Notes) -> Result<Outcome, Problem> {
    // All files are read before any is replayed: one that is not a trace costs no time.
    let read = |file: &PathBuf| {
        if file.is_dir() {
            let help = format!("name its files: {}", file.join("*.json").display());
            let message = format!("{} is a folder, not a trace", file.display());
            return Err(Problem::new(message).with_help(help));
        }
        Trace::read(file).map_err(Problem::new)
    };
    let traces: Vec<Trace> = arguments.files.iter().map(read).collect::<Result<_, _>>()?;
    if let Some(path) = &arguments.html {
        write_page(&traces, path)?;
        notes.say(format_args!("page: {}", path.display()));
    }
    let threads = super::thread_pool(&arguments.threads)?;
    let replayed: Vec<Replay> = threads.install(|| traces.par_iter().map(Trace::replay).collect());
    let shown = if arguments.check { checked_replays } else { replays };
    arguments.format.print(|format| shown(&replayed, format), || replay_records(&replayed))?;
    if !arguments.check {
        return Ok(Outcome::Success);
    }
    let differing = replayed.iter().any(|replay| replay.differing > 0);
    Ok(if differing { Outcome::Failures } else { Outcome::Success })
}

/// Writes the page that plays the trace, if there is one alone.
fn write_page(traces: &[Trace], path: &Path) -> Result<(), Problem> {
    let [trace] = traces else {
        let traces = counted(traces.len() as u64, "trace");
        let message = format!("--html shows one trace; {traces} are given");
        return Err(Problem::new(message).with_help("name one trace, or leave out --html"));
    };
    let played = [("recorded".to_owned(), trace.timeline())];
    episode::write(path, &trace.name, "a recorded run, replayed", &played, None)
        .map_err(super::of_page)
}
