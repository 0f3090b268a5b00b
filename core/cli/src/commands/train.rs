//! `offramp train`: learn, save, resume.

use std::path::Path;

use offramp_harness::bind::bind_training;
use offramp_harness::resume::Start;
use offramp_harness::train::{TrainError, train as train_scenario};
use offramp_report::training::{self, Curve};
use offramp_results::files;
use offramp_results::learning;
use offramp_scenario::Experiment;

use crate::Done;
use crate::arguments::TrainArguments;
use crate::problem::Problem;
use crate::progress::Notes;

/// Episodes of a first look.
const QUICK_EPISODES: u64 = 50;

pub(crate) fn train(arguments: &TrainArguments, notes: Notes) -> Result<Done, Problem> {
    let registry = super::discover(&arguments.search)?;
    let settings = arguments.running.settings("train.seed", "train.episodes", QUICK_EPISODES);
    let experiment = Experiment::read(&arguments.scenario, &settings)?;
    let experiment = experiment.try_map(|scenario| bind_training(scenario, &registry))?;
    let folder = match &arguments.out {
        Some(folder) => folder.clone(),
        None => files::first_free(Path::new("runs"), &experiment.name),
    };
    let start = if arguments.resume { Start::Resume } else { Start::New };
    let threads = super::threads(arguments.running.jobs)?;
    let mut done = Done::Well;
    let mut curves = Vec::new();
    for (number, training) in experiment.points.iter().enumerate() {
        let (folder, label) = super::point(&folder, number, &training.scenario);
        let template = "{bar:30} {pos}/{len} {msg}, {eta} left";
        let progress = notes.progress(training.entry.episodes, template, &label);
        let trained = threads.install(|| train_scenario(training, &folder, start, &progress));
        drop(progress);
        match trained {
            Ok(()) => {
                notes.say(format_args!("trained: {}", folder.display()));
                let label = if label.is_empty() { experiment.name.clone() } else { label };
                let rows = learning::training(&folder).map_err(Problem::new)?;
                curves.push(Curve { label, rows });
            }
            Err(error @ TrainError::Failed { .. }) => {
                eprintln!("failed: {}: {error}", folder.display());
                done = Done::WithFailures;
            }
            Err(TrainError::Folder(error)) => return Err(super::folder_problem(error)),
        }
    }
    training::write(&experiment.name, &curves, &folder).map_err(Problem::new)?;
    Ok(done)
}
