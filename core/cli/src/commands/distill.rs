//! `offramp distill`: teacher in, student out.

use offramp_harness::Refusal;
use offramp_harness::bind::{Distillation, bind_distillation};
use offramp_harness::dataset::DatasetFault;
use offramp_harness::distill::{DistillError, check, distill};
use offramp_harness::resume::{Claim, Work};
use offramp_report::learning::distillations;
use offramp_results::learning::{self, Learned};

use super::{MAKE_ROOM, folder_problem, is_full, results_problem};
use crate::Outcome;
use crate::arguments::DistillArguments;
use crate::logged::Logged;
use crate::output::print;
use crate::problem::Problem;
use crate::progress::{Notes, show_failure};

pub(crate) fn run(arguments: &DistillArguments, notes: Notes) -> Result<Outcome, Problem> {
    let registry = super::load_plugins(&arguments.search)?;
    let experiment = super::read_scenario(&arguments.scenario, &arguments.settings())?;
    let experiment = experiment.try_map(|scenario| bind_distillation(scenario, &registry))?;
    let out = arguments.folder.folder(&experiment.name);
    let start = arguments.folder.start();
    let threads = super::thread_pool(&arguments.threads)?;
    let place = |number, distillation: &Distillation| {
        super::folder_of_point(&out, number, &distillation.scenario)
    };
    let _claim = Claim::new(&out, start, &Work::Distillation).map_err(folder_problem)?;
    // All of them before the first, so that a mistake shows at once.
    let mut states = Vec::new();
    for (number, distillation) in experiment.points.iter().enumerate() {
        let (folder, _) = place(number, distillation);
        let checked = threads.install(|| check(distillation, &folder, start));
        states.push(checked.map_err(|error| problem(distillation, error))?);
    }
    // Points with the same teacher and states share a dataset: that of the first of them.
    let dataset = |number: usize| {
        let first = states.iter().position(|other| *other == states[number]).unwrap_or(number);
        let folder = match first {
            0 => out.clone(),
            first => place(first, &experiment.points[first]).0,
        };
        arguments.dataset.clone().unwrap_or_else(|| folder.join("dataset.safetensors"))
    };
    let (mut learned, mut logged) = (Vec::new(), true);
    for (number, distillation) in experiment.points.iter().enumerate() {
        let (folder, point) = place(number, distillation);
        let template = "{bar:30} {pos}/{len} {msg}, {eta} left";
        let progress = notes.progress(distillation.entry.steps, template, &point);
        let progress = Logged::new(progress, &arguments.log, &folder);
        let distilled =
            threads.install(|| distill(distillation, &folder, &dataset(number), start, &progress));
        logged &= progress.finish().inspect_err(|error| show_failure(error)).is_ok();
        let (rows, error) = match distilled {
            Ok(()) => {
                notes.say(format_args!("distilled: {}", folder.display()));
                (learning::distillation(&folder).map_err(results_problem)?, None)
            }
            Err(error @ (DistillError::Failed { .. } | DistillError::NoTasks { .. })) => {
                show_failure(format_args!("{}: {error}", folder.display()));
                // There may be no rows yet.
                (learning::distillation(&folder).unwrap_or_default(), Some(error.to_string()))
            }
            Err(error) => return Err(problem(distillation, error)),
        };
        learned.push(Learned { point, folder, rows, error });
    }
    print(&distillations(&learned).print("distillations", arguments.format.format()))?;
    let failed = learned.iter().any(|distillation| distillation.error.is_some());
    Ok(if failed || !logged { Outcome::Failures } else { Outcome::Success })
}

/// Explains how to mend what keeps a distillation from beginning.
fn problem(distillation: &Distillation, error: DistillError) -> Problem {
    match error {
        DistillError::Refused(Refusal { field, cause }) => {
            distillation.scenario.fault(&field, cause, None).into()
        }
        DistillError::Folder(error) => folder_problem(error),
        DistillError::Dataset(error) => {
            let help = match &error.fault {
                DatasetFault::Foreign(_) | DatasetFault::Other => {
                    "name another file with --dataset; one that does not exist is collected"
                }
                DatasetFault::Damaged(_) => {
                    "name another file with --dataset, or remove it to collect it again"
                }
                DatasetFault::Unwritable(cause) if is_full(cause) => MAKE_ROOM,
                DatasetFault::Unreadable(_) | DatasetFault::Unwritable(_) => {
                    "name a file that can be read and written with --dataset"
                }
            };
            Problem::new(error).with_help(help)
        }
        other => Problem::new(other),
    }
}
