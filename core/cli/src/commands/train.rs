//! `offramp train`: learn, save, resume.

use std::io::IsTerminal;
use std::path::Path;

use indicatif::ProgressBar;
use offramp_harness::resume::Start;
use offramp_harness::scenario::{Experiment, Purpose};
use offramp_harness::train::{TrainError, train as train_scenario};
use offramp_report::training::{self, Curve};
use offramp_results::files;
use offramp_results::learning::{self, TrainingRow};

use crate::Done;
use crate::arguments::TrainArguments;
use crate::problem::Problem;

/// Episodes of a first look.
const QUICK_EPISODES: u64 = 50;

pub(crate) fn train(arguments: &TrainArguments) -> Result<Done, Problem> {
    let registry = super::discover(&arguments.search)?;
    let overrides = arguments.running.overrides(QUICK_EPISODES);
    let experiment = Experiment::read(&arguments.scenario, &registry, Purpose::Train, overrides)?;
    let folder = match &arguments.out {
        Some(folder) => folder.clone(),
        None => files::first_free(Path::new("runs"), &experiment.name),
    };
    let start = if arguments.resume { Start::Resume } else { Start::New };
    let threads = super::threads(arguments.running.jobs)?;
    let mut done = Done::Well;
    let mut curves = Vec::new();
    for (number, scenario) in experiment.points.iter().enumerate() {
        let (folder, label) = super::point(&folder, number, scenario);
        let episodes = scenario.train.as_ref().map_or(0, |entry| entry.episodes);
        let progress = Progress::new(episodes, &label);
        let trained = threads
            .install(|| train_scenario(scenario, &folder, start, &mut |row| progress.tell(row)));
        progress.bar.finish_and_clear();
        match trained {
            Ok(()) => {
                eprintln!("trained: {}", folder.display());
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

/// A bar on a terminal; in a log, one line per validation.
struct Progress {
    bar: ProgressBar,
    label: String,
}

impl Progress {
    fn new(episodes: u64, label: &str) -> Self {
        let bar = super::progress_bar(episodes, "{bar:30} {pos}/{len} {msg}, {eta} left");
        Self { bar, label: label.to_owned() }
    }

    fn tell(&self, row: &TrainingRow) {
        let TrainingRow { episode, qoe, dropped, loss, exploration, .. } = row;
        let text = format!("QoE {qoe:.1}, {dropped} dropped, loss {loss:.4}, ε {exploration:.3}");
        self.bar.set_message(text.clone());
        self.bar.set_position(episode + 1);
        if let (Some(qoe), Some(dropped)) = (row.validation_qoe, row.validation_dropped)
            && !std::io::stderr().is_terminal()
        {
            let label = &self.label;
            let episode = episode + 1;
            eprintln!(
                "{label} episode {episode}: {text}; validation QoE {qoe:.1}, {dropped:.1} dropped"
            );
        }
    }
}
