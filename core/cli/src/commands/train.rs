//! `offramp train`: learn, save, resume.

use offramp_explain::Problem;
use offramp_harness::bind::{Training, bind_training};
use offramp_harness::resume::{Claim, Work};
use offramp_harness::train::{TrainError, check, train};
use offramp_report::learning::{trainings, write_curves};
use offramp_report::learning_page;
use offramp_results::learning::{self, Learned};

use crate::Outcome;
use crate::arguments::TrainArguments;
use crate::logged::Logged;
use crate::progress::{Notes, show_failure};

pub(crate) fn run(arguments: &TrainArguments, notes: Notes) -> Result<Outcome, Problem> {
    let registry = super::load_plugins(&arguments.search)?;
    let experiment = super::read_scenario(&arguments.scenario, &arguments.settings())?;
    let experiment = experiment.try_map(|scenario| bind_training(scenario, &registry))?;
    let out = arguments.folder.folder(&experiment.name);
    let start = arguments.folder.start();
    let threads = super::thread_pool(&arguments.threads)?;
    let place = |number, training: &Training| {
        let point = training.scenario.point_text();
        (learning::folder_of_point(&out, number, &point), point)
    };
    let _claim = Claim::new(&out, start, &Work::Training)?;
    // All of them before the first, so that a mistake shows at once.
    for (number, training) in experiment.points.iter().enumerate() {
        let (folder, _) = place(number, training);
        let checked = threads.install(|| check(training, &folder, start));
        checked.map_err(|error| Problem::of_training(training, error))?;
    }
    let (mut learned, mut logged) = (Vec::new(), true);
    for (number, training) in experiment.points.iter().enumerate() {
        let (folder, point) = place(number, training);
        let template = "{bar:30} {pos}/{len} {msg}, {eta} left";
        let progress = notes.progress(training.entry.episodes, template, &point);
        let progress = Logged::new(progress, &arguments.log, &folder);
        let trained = threads.install(|| train(training, &folder, start, &progress));
        logged &= progress.finish().inspect_err(|error| show_failure(error)).is_ok();
        let (rows, error) = match trained {
            Ok(()) => {
                notes.say(format_args!("trained: {}", folder.display()));
                (learning::training(&folder)?, None)
            }
            Err(error @ (TrainError::Failed { .. } | TrainError::Untrained { .. })) => {
                show_failure(format_args!("{}: {error}", folder.display()));
                // There may be no rows yet.
                (learning::training(&folder).unwrap_or_default(), Some(error.to_string()))
            }
            Err(error) => return Err(Problem::of_training(training, error)),
        };
        learned.push(Learned { point, folder, rows, error });
    }
    arguments.format.print_records("trainings", trainings(&learned))?;
    let written = learning_page::write_trainings(&experiment.name, &learned, &out);
    let all = learned.len();
    learned.retain(|training| training.error.is_none());
    if !learned.is_empty() {
        write_curves(&experiment.name, &learned, &out).map_err(Problem::new)?;
    }
    let failed = learned.len() < all || !logged;
    Ok(super::with_page(if failed { Outcome::Failures } else { Outcome::Success }, written))
}
