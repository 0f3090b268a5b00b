//! `offramp run`: evaluate, store, print.

use std::path::Path;

use offramp_explain::Problem;
use offramp_harness::batch::Batch;
use offramp_harness::bind::{Evaluation, bind_evaluation};
use offramp_report::run_page;
use offramp_results::run_folder::StoredRun;
use offramp_scenario::Experiment;
use rayon::ThreadPool;

use super::watch;
use crate::Outcome;
use crate::arguments::RunArguments;
use crate::output::print;
use crate::progress::Notes;

pub(crate) fn run(arguments: &RunArguments, notes: Notes) -> Result<Outcome, Problem> {
    let experiments = read_experiments(arguments)?;
    let name = match experiments.as_slice() {
        [one] => one.name.as_str(),
        _ => "batch",
    };
    let out = arguments.folder.folder(name);
    if arguments.html.is_some() {
        watch::check(&experiments)?;
    }
    let threads = super::thread_pool(&arguments.threads)?;
    let runs = evaluate(arguments, notes, &experiments, &out, &threads)?;
    let printed = print(&arguments.results.text(&runs));
    if let Some(episode) = arguments.html {
        for page in threads.install(|| watch::write(&experiments, episode, &out))? {
            notes.say(format_args!("episode to watch: {}", page.display()));
        }
    }
    notes.say(format_args!("results: {}", out.display()));
    printed?;
    Ok(super::with_page(super::outcome_of_runs(&runs), run_page::write(&out)))
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
    let batch = Batch::new(experiments, arguments.shard);
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
