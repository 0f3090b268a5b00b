//! `offramp train`: learn, save, go on.

use std::path::Path;

use offramp_harness::bind::bind_training;
use offramp_harness::resume::Start;
use offramp_harness::train::{TrainError, TrainingRow, rows, train as train_scenario};
use offramp_report::study::{SMOOTHED, smoothed};
use offramp_report::{Figure, Lines, Series};
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
        None => super::first_free(Path::new("runs"), &experiment.name),
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
                curves.push((label, rows(&folder).map_err(Problem::new)?));
            }
            Err(error @ TrainError::Failed { .. }) => {
                eprintln!("failed: {}: {error}", folder.display());
                done = Done::WithFailures;
            }
            Err(TrainError::Folder(error)) => return Err(super::folder_problem(error)),
        }
    }
    draw(&experiment.name, &curves, &folder)?;
    Ok(done)
}

/// QoE and drops per episode of every point: `curves.csv` as they are; `curves` and `drops`, as
/// SVG and PNG, smoothed.
fn draw(name: &str, curves: &[(String, Vec<TrainingRow>)], folder: &Path) -> Result<(), Problem> {
    let mut table = String::from("point,episode,qoe,dropped,validation_qoe\n");
    for (label, rows) in curves {
        let label = label.replace('"', "\"\"");
        for TrainingRow { episode, qoe, dropped, validation_qoe, .. } in rows {
            let validation = validation_qoe.map_or_else(String::new, |qoe| qoe.to_string());
            table += &format!("\"{label}\",{episode},{qoe},{dropped},{validation}\n");
        }
    }
    let path = folder.join("curves.csv");
    std::fs::write(&path, table)
        .map_err(|error| Problem::new(format!("{}: {error}", path.display())))?;
    let figures: [(&str, &str, &str, Metric); 2] = [
        ("curves", "QoE", "AvgQoE", |row| row.qoe),
        ("drops", "drops", "tasks dropped", |row| row.dropped as f64),
    ];
    for (file, what, y, metric) in figures {
        let series = curves
            .iter()
            .map(|(label, rows)| Series {
                name: label.clone(),
                points: smoothed(rows, metric),
                intervals: Vec::new(),
            })
            .collect();
        let figure = Figure::Lines(Lines {
            title: format!("{name}: {what} while training (mean of {SMOOTHED} episodes)"),
            x: "episode".to_owned(),
            y: y.to_owned(),
            series,
        });
        figure.write(&folder.join(file)).map_err(Problem::new)?;
    }
    Ok(())
}

type Metric = fn(&TrainingRow) -> f64;
