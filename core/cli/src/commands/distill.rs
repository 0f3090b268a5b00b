//! `offramp distill`: teacher in, student out.

use offramp_explain::Problem;
use offramp_harness::bind::{Distillation, bind_distillation};
use offramp_harness::distill::{DistillError, check, distill};
use offramp_harness::resume::{Claim, Work};
use offramp_report::learning::distillations;
use offramp_report::learning_page;
use offramp_results::learning::{self, Learned};

use crate::Outcome;
use crate::arguments::DistillArguments;
use crate::logged::Logged;
use crate::progress::{Notes, show_failure};

pub(crate) fn run(arguments: &DistillArguments, notes: Notes) -> Result<Outcome, Problem> {
    let registry = super::load_plugins(&arguments.search)?;
    let experiment = super::read_scenario(&arguments.scenario, &arguments.settings())?;
    let experiment = experiment.try_map(|scenario| bind_distillation(scenario, &registry))?;
    let out = arguments.folder.folder(&experiment.name);
    let start = arguments.folder.start();
    let threads = super::thread_pool(&arguments.threads)?;
    let place = |number, distillation: &Distillation| {
        let point = distillation.scenario.point_text();
        (learning::folder_of_point(&out, number, &point), point)
    };
    let _claim = Claim::new(&out, start, &Work::Distillation)?;
    // All of them before the first, so that a mistake shows at once.
    let mut states = Vec::new();
    for (number, distillation) in experiment.points.iter().enumerate() {
        let (folder, _) = place(number, distillation);
        let checked = threads.install(|| check(distillation, &folder, start));
        states.push(checked.map_err(|error| Problem::of_distillation(distillation, error))?);
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
                (learning::distillation(&folder)?, None)
            }
            Err(error @ (DistillError::Failed { .. } | DistillError::NoTasks { .. })) => {
                show_failure(format_args!("{}: {error}", folder.display()));
                // There may be no rows yet.
                (learning::distillation(&folder).unwrap_or_default(), Some(error.to_string()))
            }
            Err(error) => return Err(Problem::of_distillation(distillation, error)),
        };
        learned.push(Learned { point, folder, rows, error });
    }
    arguments.format.print_records("distillations", distillations(&learned))?;
    let failed = learned.iter().any(|distillation| distillation.error.is_some());
    let written = learning_page::write_distillations(&experiment.name, &learned, &out);
    let failed = failed || !logged;
    Ok(super::with_page(if failed { Outcome::Failures } else { Outcome::Success }, written))
}
