//! `offramp distill`: teacher in, student out.

use offramp_harness::bind::bind_distillation;
use offramp_harness::distill::{DistillError, distill};
use offramp_harness::resume::{FolderError, Start};
use offramp_report::learning::distillations;
use offramp_results::learning::{self, Learned};

use super::{folder_problem, results_problem};
use crate::Outcome;
use crate::arguments::DistillArguments;
use crate::output::print;
use crate::problem::Problem;
use crate::progress::{Notes, show_failure};

pub(crate) fn run(arguments: &DistillArguments, notes: Notes) -> Result<Outcome, Problem> {
    let registry = super::load_plugins(&arguments.search)?;
    let experiment = super::read_scenario(&arguments.scenario, &arguments.settings())?;
    let experiment = experiment.try_map(|scenario| bind_distillation(scenario, &registry))?;
    let out = arguments.folder.folder(&experiment.name);
    let start = arguments.folder.start();
    if start == Start::New && out.exists() {
        return Err(folder_problem(FolderError::Taken { path: out }));
    }
    // Points with the same teacher and states share a dataset.
    let dataset = arguments.dataset.clone().unwrap_or_else(|| out.join("dataset.safetensors"));
    let threads = super::thread_pool(&arguments.threads)?;
    let mut learned = Vec::new();
    for (number, distillation) in experiment.points.iter().enumerate() {
        let (folder, point) = super::folder_of_point(&out, number, &distillation.scenario);
        let template = "{bar:30} {pos}/{len} {msg}, {eta} left";
        let progress = notes.progress(distillation.entry.steps, template, &point);
        let distilled =
            threads.install(|| distill(distillation, &folder, &dataset, start, &progress));
        drop(progress);
        let (rows, error) = match distilled {
            Ok(()) => {
                notes.say(format_args!("distilled: {}", folder.display()));
                (learning::distillation(&folder).map_err(results_problem)?, None)
            }
            Err(error @ DistillError::Failed { .. }) => {
                show_failure(format_args!("{}: {error}", folder.display()));
                // There may be no rows yet.
                (learning::distillation(&folder).unwrap_or_default(), Some(error.to_string()))
            }
            Err(DistillError::Folder(error)) => return Err(folder_problem(error)),
            Err(error @ DistillError::Dataset(_)) => {
                // What is in the user's own file may be dear to them.
                let help = match arguments.dataset {
                    Some(_) => {
                        "name another file with --dataset; one that does not exist yet is collected"
                    }
                    None => "remove it to collect it again, or name another file with --dataset",
                };
                return Err(Problem::new(error).with_help(help));
            }
        };
        learned.push(Learned { point, folder, rows, error });
    }
    print(&distillations(&learned).print("distillations", arguments.format.format()))?;
    let failed = learned.iter().any(|distillation| distillation.error.is_some());
    Ok(if failed { Outcome::Failures } else { Outcome::Success })
}
