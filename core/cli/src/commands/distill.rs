//! `offramp distill`: teacher in, student out.

use std::io::IsTerminal;
use std::path::Path;

use offramp_harness::distill::{DistillError, distill as distill_scenario};
use offramp_harness::resume::{FolderError, Start};
use offramp_harness::scenario::{Experiment, Overrides, Purpose};
use offramp_results::files;
use offramp_results::learning::DistillationRow;

use crate::Done;
use crate::arguments::DistillArguments;
use crate::problem::Problem;

pub(crate) fn distill(arguments: &DistillArguments) -> Result<Done, Problem> {
    let registry = super::discover(&arguments.search)?;
    let overrides =
        Overrides { seed: arguments.seed, episodes: arguments.steps, ..Overrides::default() };
    let experiment = Experiment::read(&arguments.scenario, &registry, Purpose::Distill, overrides)?;
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
    for (number, scenario) in experiment.points.iter().enumerate() {
        // Points with the same teacher and states have one dataset.
        let (folder, label) = super::point(&folder, number, scenario);
        let steps = scenario.distill.as_ref().map_or(0, |entry| entry.steps);
        let bar = super::progress_bar(steps, "{bar:30} {pos}/{len} {msg}, {eta} left");
        let mut tell = |row: &DistillationRow| {
            let held_out = row.validation_loss;
            let held_out =
                held_out.map_or_else(String::new, |loss| format!("held out {loss:.3}, "));
            let text = format!(
                "loss {:.3}, {held_out}agreement {:.1} %, QoE {:.1}, {:.1} dropped",
                row.loss,
                100.0 * row.agreement,
                row.validation_qoe,
                row.validation_dropped
            );
            bar.set_message(text.clone());
            bar.set_position(row.step);
            if !std::io::stderr().is_terminal() {
                eprintln!("{label} step {}: {text}", row.step);
            }
        };
        let distilled =
            threads.install(|| distill_scenario(scenario, &folder, &dataset, start, &mut tell));
        bar.finish_and_clear();
        match distilled {
            Ok(()) => eprintln!("distilled: {}", folder.display()),
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
