//! `offramp hindsight`: what was attainable in the episodes of a scenario.

use std::path::{Path, PathBuf};

use offramp_explain::Problem;
use offramp_harness::events::{Event, Observer};
use offramp_harness::plans::{Attainable, attainable};
use offramp_harness::reference::Reference;
use offramp_harness::resume::{Claim, FolderError, Start, Work};
use offramp_model::Workload;
use offramp_report::records::{Cell, Field, Kind, Records};
use offramp_results::Error;
use offramp_results::files::replace_atomically;
use offramp_results::reference::{CENTRAL, CHANCE, HINDSIGHT};
use offramp_scenario::{Experiment, Scenario};
use offramp_trace::{can_record, record};
use rayon::prelude::*;

use crate::Outcome;
use crate::arguments::HindsightArguments;
use crate::progress::Notes;

pub(crate) fn run(arguments: &HindsightArguments, notes: Notes) -> Result<Outcome, Problem> {
    let experiment = super::read_scenario(&arguments.scenario, &arguments.settings())?;
    if arguments.out.is_some() {
        check(&experiment)?;
    }
    let threads = super::thread_pool(&arguments.threads)?;
    // Before minutes of work: nobody else's files are written over, and nobody else writes to it.
    let _claim = arguments.out.as_deref().map(claim).transpose()?;
    let episodes = experiment.points.iter().map(|point| point.evaluation.episodes);
    let template = "{bar:30} {pos}/{len} episodes, {elapsed}, {eta} left";
    let progress = notes.progress(episodes.sum(), template, "");
    let found: Vec<Vec<Attainable>> = threads.install(|| {
        let point = |point: &Scenario| {
            let episodes = (0..point.evaluation.episodes).into_par_iter();
            let found = episodes.map(|episode| {
                let found = attainable(point, episode);
                progress.on_event(Event::EpisodesEnded(1));
                found
            });
            found.collect()
        };
        experiment.points.iter().map(point).collect()
    });
    drop(progress);
    if let Some(folder) = &arguments.out {
        for (number, (point, found)) in experiment.points.iter().zip(&found).enumerate() {
            let folder = match experiment.points.len() {
                1 => folder.clone(),
                _ => folder.join(number.to_string()),
            };
            write_traces(point, found, &folder)?;
            notes.say(format_args!("traces: {}", folder.display()));
        }
    }
    arguments.format.print_records("points", records(&experiment, &found))?;
    Ok(Outcome::Success)
}

/// One row per point: mean QoE of each reference and of the bound, and how far hindsight is below that.
fn records(experiment: &Experiment, found: &[Vec<Attainable>]) -> Records {
    let first = experiment.points.first();
    let swept = first.map_or(&[][..], |point| &point.point);
    let number = |name: &str| Field::named(name.to_owned(), Kind::Number);
    let fields = swept.iter().map(|(field, _)| Field::named(field.clone(), Kind::Text));
    let fields = fields.chain([Field::new("episodes", Kind::Count)]);
    let fields = fields.chain([CHANCE, CENTRAL, HINDSIGHT, "bound", "gap_percent"].map(number));
    let mut records = Records::new(fields.collect::<Vec<_>>());
    for (point, found) in experiment.points.iter().zip(found) {
        let devices = f64::from(point.system.device_count());
        let mean = |of: fn(&Attainable) -> f64| {
            let sum: f64 = found.iter().map(of).sum();
            Cell::Number(sum / devices / found.len() as f64, 1)
        };
        let swept = point.point.iter().map(|(_, value)| value.as_str().into());
        let bounds: Option<Vec<f64>> = found.iter().map(|found| found.bound).collect();
        let (bound, gap) = bounds.map_or((Cell::Empty, Cell::Empty), |bounds| {
            let bound: f64 = bounds.iter().sum();
            let reached: f64 = found.iter().map(|found| found.hindsight.reward).sum();
            // Where nothing can be gained, nothing is missing, and not 0 of 0.
            let gap = match bound {
                0.0 => Cell::Empty,
                _ => Cell::Number(100.0 * (bound - reached) / bound.abs(), 2),
            };
            (Cell::Number(bound / devices / bounds.len() as f64, 1), gap)
        });
        let row = swept.chain([(found.len() as u64).into()]).chain([
            mean(|found| found.chance.reward),
            mean(|found| found.central.reward),
            mean(|found| found.hindsight.reward),
            bound,
            gap,
        ]);
        records.rows.push(row.collect());
    }
    records
}

/// Claims the folder of traces, which must not have anything in it: an unfinished one is not continued.
fn claim(folder: &Path) -> Result<Claim, Problem> {
    Claim::new(folder, Start::New, &Work::Plans).map_err(|error| match error {
        FolderError::Taken { path } => Error::Taken { path }.into(),
        error => error.into(),
    })
}

/// Checks that traces can describe each point, before anything is computed.
fn check(experiment: &Experiment) -> Result<(), Problem> {
    for point in &experiment.points {
        can_record(&point.system).map_err(|cause| {
            let message = format!("{}: {cause}", point.source_name);
            Problem::new(message).with_help("leave out --out; the table needs no traces")
        })?;
    }
    Ok(())
}

/// Writes a trace of each plan, `hindsight-0.json` and so on.
fn write_traces(point: &Scenario, found: &[Attainable], folder: &Path) -> Result<(), Problem> {
    let seed = point.evaluation.seed;
    let unwritable = |path: &Path, cause| Problem::new(format!("{}: {cause}", path.display()));
    std::fs::create_dir_all(folder).map_err(|cause| unwritable(folder, cause))?;
    for (episode, found) in (0..).zip(found) {
        let plans =
            [(Reference::Central, &found.central), (Reference::Hindsight, &found.hindsight)];
        for (reference, plan) in plans {
            let name = format!("{}-{episode}", reference.name());
            let title =
                format!("{}, seed {seed}, episode {episode}, {}", point.name, reference.name());
            let workload = Workload::Drawn { seed, episode };
            let text = record(&point.system, workload, &plan.actions, &title);
            let text = text.map_err(Problem::new)?;
            let path: PathBuf = folder.join(format!("{name}.json"));
            replace_atomically(&path, text.as_bytes()).map_err(|cause| unwritable(&path, cause))?;
        }
    }
    Ok(())
}
