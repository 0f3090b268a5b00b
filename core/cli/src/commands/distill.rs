//! `offramp distill`: teacher in, student out.

use std::path::Path;

use offramp_harness::bind::bind_distillation;
use offramp_harness::distill::{DistillError, distill as distill_scenario};
use offramp_harness::resume::{FolderError, Start};
use offramp_results::files;
use offramp_scenario::Experiment;

use crate::Done;
use crate::arguments::{DistillArguments, settings};
use crate::problem::Problem;
use crate::progress::Notes;

pub(crate) fn distill(arguments: &DistillArguments, notes: Notes) -> Result<Done, Problem> {
    let registry = super::discover(&arguments.search)?;
    let settings =
        settings(&[("distill.seed", arguments.seed), ("distill.steps", arguments.steps)]);
    let experiment = Experiment::read(&arguments.scenario, &settings)?;
    let experiment = experiment.try_map(|scenario| bind_distillation(scenario, &registry))?;
    let folder = match &arguments.out {
        Some(folder) => folder.clone(),
        None => files::first_free(Path::new("runs"), &experiment.name),
    };
    let start = if arguments.resume { Start::Resume } else { Start::New };
    if start == Start::New && folder.exists() {
        return Err(super::folder_problem(FolderError::Taken { path: folder }));
    }
    let dataset = arguments.dataset.clone().unwrap_or_else(|| folder.join("dataset.safetensors"));
    let threads = super::threads(arguments.jobs)?;
    let mut done = Done::Well;
    for (number, distillation) in experiment.points.iter().enumerate() {
        // Points with the same teacher and states have one dataset.
        let (folder, label) = super::point(&folder, number, &distillation.scenario);
        let template = "{bar:30} {pos}/{len} {msg}, {eta} left";
        let progress = notes.progress(distillation.entry.steps, template, &label);
        let distilled =
            threads.install(|| distill_scenario(distillation, &folder, &dataset, start, &progress));
        drop(progress);
        match distilled {
            Ok(()) => notes.say(format_args!("distilled: {}", folder.display())),
            Err(error @ DistillError::Failed { .. }) => {
                eprintln!("failed: {}: {error}", folder.display());
                done = Done::WithFailures;
            }
            Err(DistillError::Folder(error)) => return Err(super::folder_problem(error)),
            Err(error @ DistillError::Dataset(_)) => return Err(Problem::new(error)),
        }
    }
    Ok(done)
}
