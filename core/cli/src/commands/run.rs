//! `offramp run`: evaluate, store, print.

use std::path::{Path, PathBuf};

use offramp_explain::Problem;
use offramp_harness::batch::Batch;
use offramp_harness::bind::{Evaluation, bind_evaluation};
use offramp_report::page::{PageKind, check_ours};
use offramp_report::run_page;
use offramp_results::run_folder::StoredRun;
use offramp_scenario::Experiment;
use rayon::ThreadPool;

use super::watch;
use crate::Outcome;
use crate::arguments::RunArguments;
use crate::progress::Notes;

pub(crate) fn run(arguments: &RunArguments, notes: Notes) -> Result<Outcome, Problem> {
    let experiments = read_experiments(arguments)?;
    let name = match experiments.as_slice() {
        [one] => one.name.as_str(),
        _ => "batch",
    };
    let out = arguments.folder.folder(name);
    // Before hours of work: what can't be written afterwards.
    if let Some(episode) = arguments.html {
        watch::check(&experiments, episode)?;
    }
    for page in watched(arguments, &experiments, &out) {
        check_ours(&page, PageKind::Episode).map_err(super::of_page)?;
    }
    let threads = super::thread_pool(&arguments.threads)?;
    let runs = evaluate(arguments, notes, &experiments, &out, &threads)?;
    let printed = arguments.results.print(&runs);
    let mut outcome = super::outcome_of_runs(&runs);
    let pages = watched(arguments, &experiments, &out);
    let episode = arguments.html.unwrap_or_default();
    for (experiment, page) in experiments.iter().zip(&pages) {
        let written = threads.install(|| watch::write(experiment, episode, page));
        if let Ok(true) = written {
            notes.say(format_args!("episode to watch: {}", page.display()));
        }
        outcome = super::with_page(outcome, written.map(drop));
    }
    // Last: it links the others.
    outcome = super::with_page(outcome, run_page::write(&out));
    notes.say(format_args!("results: {}", out.display()));
    printed?;
    Ok(outcome)
}

/// The pages of episodes that are to be written.
fn watched(
    arguments: &RunArguments,
    experiments: &[Experiment<Evaluation>],
    out: &Path,
) -> Vec<PathBuf> {
    if arguments.html.is_some() { watch::pages(experiments, out) } else { Vec::new() }
}

fn read_experiments(arguments: &RunArguments) -> Result<Vec<Experiment<Evaluation>>, Problem> {
    let registry = super::load_plugins(&arguments.search)?;
    let settings = arguments.settings();
    let mut experiments: Vec<Experiment<Evaluation>> = Vec::new();
    for path in &arguments.scenarios {
        let experiment = super::read_scenario(path, &settings)?;
        let experiment = experiment.try_map(|scenario| bind_evaluation(scenario, &registry))?;
        if experiments.iter().any(|earlier| earlier.name == experiment.name) {
            let message =
                format!("{}: another scenario is called `{}`", path.display(), experiment.name);
            return Err(Problem::new(message).with_help("give each scenario a name of its own"));
        }
        experiments.push(experiment);
    }
    Ok(experiments)
}

fn evaluate(
    arguments: &RunArguments,
    notes: Notes,
    experiments: &[Experiment<Evaluation>],
    out: &Path,
    threads: &ThreadPool,
) -> Result<Vec<StoredRun>, Problem> {
    let batch = Batch::new(experiments, arguments.shard).with_tasks(arguments.tasks());
    let attempt = batch.open(out, arguments.folder.start())?;
    for what in attempt.interrupted() {
        notes.say(format_args!("the last attempt ended while this ran: {what}"));
    }
    if !attempt.interrupted().is_empty() && !arguments.isolate {
        notes.say("if it crashed: with --isolate only its own run fails, and the others continue");
    }
    let template = "{bar:30} {pos}/{len} episodes, {elapsed}, {eta} left";
    let progress = notes.progress(batch.episodes(), template, "");
    let executor = super::isolated_executor()?;
    let evaluated = threads.install(|| attempt.run(&executor, &progress));
    drop(progress);
    Ok(evaluated?)
}
