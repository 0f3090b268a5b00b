//! `offramp distill`: teacher in, student out.

use std::io::IsTerminal;
use std::path::Path;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use offramp_harness::distill::{DistillError, DistillationRow, distill as distill_scenario};
use offramp_harness::scenario::{Experiment, Overrides, Purpose};

use crate::Done;
use crate::arguments::DistillArguments;
use crate::problem::Problem;

pub(crate) fn distill(arguments: &DistillArguments) -> Result<Done, Problem> {
    let registry = super::discover(&arguments.search)?;
    let overrides = Overrides { seed: arguments.seed, episodes: arguments.steps };
    let experiment = Experiment::read(&arguments.scenario, &registry, Purpose::Distill, overrides)?;
    let folder = match &arguments.out {
        Some(folder) => folder.clone(),
        None => super::first_free(Path::new("runs"), &experiment.name),
    };
    if folder.exists() {
        let message = format!("{} is there already", folder.display());
        return Err(Problem::new(message).with_help("name another folder with --out"));
    }
    std::fs::create_dir_all(&folder)
        .map_err(|error| Problem::new(format!("{}: {error}", folder.display())))?;
    let dataset = arguments.dataset.clone().unwrap_or_else(|| folder.join("dataset.safetensors"));
    let threads = super::threads(arguments.jobs)?;
    let mut done = Done::Well;
    for (number, scenario) in experiment.points.iter().enumerate() {
        // A sweep distils each of its points in a folder of its own, from one dataset if they
        // have the same teacher and states.
        let folder = match scenario.point.as_slice() {
            [] => folder.clone(),
            _ => folder.join(format!("point-{number:03}")),
        };
        let described: Vec<_> =
            scenario.point.iter().map(|(field, value)| format!("{field} = {value}")).collect();
        let steps = scenario.distill.as_ref().map_or(0, |entry| entry.steps);
        let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}, {eta} left") {
            bar.set_style(style);
        }
        let mut tell = |row: &DistillationRow| {
            let text = format!(
                "loss {:.3}, held out {:.3}, agreement {:.1} %, QoE {:.1}, {:.1} dropped",
                row.loss,
                row.validation_loss,
                100.0 * row.agreement,
                row.validation_qoe,
                row.validation_dropped
            );
            bar.set_message(text.clone());
            bar.set_position(row.step);
            if !std::io::stderr().is_terminal() {
                eprintln!("{} step {}: {text}", described.join(", "), row.step);
            }
        };
        let distilled =
            threads.install(|| distill_scenario(scenario, &folder, &dataset, &mut tell));
        bar.finish_and_clear();
        match distilled {
            Ok(()) => eprintln!("distilled: {}", folder.display()),
            Err(error @ DistillError::Failed { .. }) => {
                eprintln!("failed: {}: {error}", folder.display());
                done = Done::WithFailures;
            }
            Err(error) => return Err(Problem::new(error)),
        }
    }
    Ok(done)
}
