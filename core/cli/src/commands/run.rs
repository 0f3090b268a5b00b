//! `offramp run`: evaluate, store, print.

use std::path::Path;

use offramp_harness::batch::{Batch, Journal};
use offramp_harness::bind::{Evaluation, bind_evaluation};
use offramp_harness::resume::Start;
use offramp_results::run_folder::{self, NewRunFolder, StoredRun};
use offramp_results::{Error, files, merge};
use offramp_scenario::{Experiment, Setting};

use crate::arguments::{Format, MergeArguments, RunArguments};
use crate::problem::Problem;
use crate::progress::Notes;
use crate::{Done, print};

/// Episodes of a first look.
const QUICK_EPISODES: u64 = 3;

pub(crate) fn run(arguments: &RunArguments, notes: Notes) -> Result<Done, Problem> {
    let registry = super::discover(&arguments.search)?;
    let mut settings =
        arguments.running.settings("evaluate.seed", "evaluate.episodes", QUICK_EPISODES);
    if arguments.isolate {
        settings.push(Setting { field: "isolate", value: "true".to_owned() });
    }
    let mut experiments: Vec<Experiment<Evaluation>> = Vec::new();
    for path in &arguments.scenarios {
        let experiment = Experiment::read(path, &settings)?;
        let experiment = experiment.try_map(|scenario| bind_evaluation(scenario, &registry))?;
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
        evaluate(arguments, notes, &experiments, &out)?
    };
    print(&offramp_report::results(&runs, arguments.format.into()));
    if arguments.power_modes && matches!(arguments.format, Format::Table) {
        print(&offramp_report::power_modes(&runs));
    }
    notes.say(format_args!("results: {}", out.display()));
    Ok(Done::failed_if(runs.iter().any(|run| run.record.error.is_some())))
}

fn evaluate(
    arguments: &RunArguments,
    notes: Notes,
    experiments: &[Experiment<Evaluation>],
    out: &Path,
) -> Result<Vec<StoredRun>, Problem> {
    let batch = Batch::new(experiments, arguments.shard);
    let start = if arguments.resume { Start::Resume } else { Start::New };
    let mut journal = Journal::open(out, &batch, start).map_err(results_problem)?;
    for what in &journal.interrupted {
        notes.say(format_args!("the last attempt ended while this ran: {what}"));
    }
    if !journal.interrupted.is_empty() && !arguments.isolate {
        notes
            .say("if that was a crash: with --isolate it is a failed row, and the others continue");
    }
    let threads = super::threads(arguments.running.jobs)?;
    let template = "{bar:30} {pos}/{len} episodes, {elapsed}, {eta} left";
    let progress = notes.progress(batch.episodes(), template, "");
    let isolated = super::isolated()?;
    let done = threads.install(|| batch.run(&mut journal, &isolated, &progress));
    drop(progress);
    let runs = done.map_err(results_problem)?;
    batch.finish(journal, &runs).map_err(results_problem)?;
    Ok(runs)
}

pub(crate) fn merge(arguments: &MergeArguments, notes: Notes) -> Result<Done, Problem> {
    let folder = NewRunFolder::begin(&arguments.out).map_err(results_problem)?;
    let (scenarios, runs) = merge::merge(&arguments.parts).map_err(results_problem)?;
    let stored = folder.finish(&scenarios, None, &runs).map_err(results_problem)?;
    print(&offramp_report::results(&runs, arguments.format.into()));
    notes.say(format_args!("results: {}", stored.display()));
    Ok(Done::failed_if(runs.iter().any(|run| run.record.error.is_some())))
}

fn results_problem(error: Error) -> Problem {
    let help = match error {
        Error::Taken { .. } => "name another folder with --out",
        Error::Unwritable { .. } => "name a folder that can be written with --out",
        Error::Unreadable { .. } => "name a run folder",
        Error::Unfinished { .. } => {
            "resume it with --resume, name another folder with --out, or remove it"
        }
        Error::OtherBatch { .. } => "name another folder with --out, or remove it",
        Error::Unmergeable { .. } => "name all folders of one batch, made with --shard I/N",
    };
    Problem::new(error).with_help(help)
}
