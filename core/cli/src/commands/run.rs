//! `offramp run`: evaluate, store, print.

use std::path::Path;

use indicatif::ProgressBar;
use offramp_harness::evaluate::evaluate;
use offramp_harness::scenario::{Experiment, Purpose};
use offramp_harness::store::{NewRunFolder, StoreError, StoredRun};

use crate::arguments::{Format, RunArguments};
use crate::problem::Problem;
use crate::{Done, print};

/// Episodes of a first look.
const QUICK_EPISODES: u64 = 3;

pub(crate) fn run(arguments: &RunArguments) -> Result<Done, Problem> {
    let registry = super::discover(&arguments.search)?;
    let overrides = arguments.running.overrides(QUICK_EPISODES);
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
    let folder = match &arguments.out {
        Some(path) => NewRunFolder::begin(path),
        None => {
            let name = match experiments.as_slice() {
                [one] => one.name.as_str(),
                _ => "batch",
            };
            NewRunFolder::begin_numbered(Path::new("runs"), name)
        }
    }
    .map_err(store_problem)?;

    let threads = super::threads(arguments.running.jobs)?;
    let bar = progress_bar(&experiments);
    let runs: Vec<StoredRun> = threads
        .install(|| evaluate(&experiments, &|| bar.inc(1)).iter().map(StoredRun::of).collect());
    bar.finish_and_clear();

    let stored = folder.finish(&experiments, &runs).map_err(store_problem)?;
    print(&offramp_report::results(&runs, arguments.format.into()));
    if arguments.power_modes && matches!(arguments.format, Format::Table) {
        print(&offramp_report::power_modes(&runs));
    }
    eprintln!("results: {}", stored.display());
    Ok(Done::failed_if(runs.iter().any(|run| run.record.error.is_some())))
}

fn store_problem(error: StoreError) -> Problem {
    let help = match error {
        StoreError::Taken { .. } => "name another folder with --out",
        StoreError::Unwritable { .. } => "name a folder that can be written with --out",
        StoreError::Unreadable { .. } => "name a run folder",
    };
    Problem::new(error).with_help(help)
}

/// Counts episodes; on a terminal only.
fn progress_bar(experiments: &[Experiment]) -> ProgressBar {
    let points = experiments.iter().flat_map(|experiment| &experiment.points);
    let episodes = points.map(|point| point.episodes * point.policies.len() as u64).sum();
    super::progress_bar(episodes, "{bar:30} {pos}/{len} episodes, {elapsed}, {eta} left")
}
