//! `offramp run`: evaluate, store, print.

use std::path::Path;

use offramp_harness::batch::{Batch, Journal};
use offramp_harness::resume::Start;
use offramp_harness::scenario::{Experiment, Overrides, Purpose};
use offramp_results::run_folder::{self, NewRunFolder, StoredRun};
use offramp_results::{Error, files, merge};

use crate::arguments::{Format, MergeArguments, RunArguments};
use crate::problem::Problem;
use crate::{Done, print};

/// Episodes of a first look.
const QUICK_EPISODES: u64 = 3;

pub(crate) fn run(arguments: &RunArguments) -> Result<Done, Problem> {
    let registry = super::discover(&arguments.search)?;
    let overrides =
        Overrides { isolate: arguments.isolate, ..arguments.running.overrides(QUICK_EPISODES) };
    let mut experiments: Vec<Experiment> = Vec::with_capacity(arguments.scenarios.len());
    for path in &arguments.scenarios {
        let experiment = Experiment::read(path, &registry, Purpose::Evaluate, overrides)?;
        if experiments.iter().any(|earlier| earlier.name == experiment.name) {
            let message =
                format!("{}: another scenario is called `{}`", path.display(), experiment.name);
            return Err(Problem::new(message).with_help("give each scenario a name of its own"));
        }
        experiments.push(experiment);
    }
    let out = match &arguments.out {
        Some(path) => path.clone(),
        None => {
            let name = match experiments.as_slice() {
                [one] => one.name.as_str(),
                _ => "batch",
            };
            files::first_free(Path::new("runs"), name)
        }
    };
    let runs = if arguments.resume && out.join("run.json").exists() {
        run_folder::read(&out).map_err(results_problem)? // It was finished already.
    } else {
        evaluate(arguments, &experiments, &out)?
    };
    print(&offramp_report::results(&runs, arguments.format.into()));
    if arguments.power_modes && matches!(arguments.format, Format::Table) {
        print(&offramp_report::power_modes(&runs));
    }
    eprintln!("results: {}", out.display());
    Ok(Done::failed_if(runs.iter().any(|run| run.record.error.is_some())))
}

fn evaluate(
    arguments: &RunArguments,
    experiments: &[Experiment],
    out: &Path,
) -> Result<Vec<StoredRun>, Problem> {
    let batch = Batch::new(experiments, arguments.shard);
    let start = if arguments.resume { Start::Resume } else { Start::New };
    let mut journal = Journal::open(out, &batch, start).map_err(results_problem)?;
    for what in &journal.interrupted {
        eprintln!("the last attempt ended while this ran: {what}");
    }
    if !journal.interrupted.is_empty() && !arguments.isolate {
        eprintln!(
            "if that was a crash: with --isolate it is a failed row, and the others continue"
        );
    }
    let threads = super::threads(arguments.running.jobs)?;
    let template = "{bar:30} {pos}/{len} episodes, {elapsed}, {eta} left";
    let bar = super::progress_bar(batch.episodes(), template);
    let done = threads.install(|| batch.run(&mut journal, &|more| bar.inc(more)));
    bar.finish_and_clear();
    let runs = done.map_err(results_problem)?;
    batch.finish(journal, &runs).map_err(results_problem)?;
    Ok(runs)
}

pub(crate) fn merge(arguments: &MergeArguments) -> Result<Done, Problem> {
    let folder = NewRunFolder::begin(&arguments.out).map_err(results_problem)?;
    let (scenarios, runs) = merge::merge(&arguments.parts).map_err(results_problem)?;
    let stored = folder.finish(&scenarios, None, &runs).map_err(results_problem)?;
    print(&offramp_report::results(&runs, arguments.format.into()));
    eprintln!("results: {}", stored.display());
    Ok(Done::failed_if(runs.iter().any(|run| run.record.error.is_some())))
}

fn results_problem(error: Error) -> Problem {
    let help = match error {
        Error::Taken { .. } => "name another folder with --out",
        Error::Unwritable { .. } => "name a folder that can be written with --out",
        Error::Unreadable { .. } => "name a run folder",
        Error::Unfinished { .. } => {
            "continue with --resume, name another folder with --out, or remove it"
        }
        Error::OtherBatch { .. } => "name another folder with --out, or remove it",
        Error::Unmergeable { .. } => "name all folders of one batch, made with --shard I/N",
    };
    Problem::new(error).with_help(help)
}
