//! Training, distillation, live runs and studies, by the code of the command.

use std::path::{Path, PathBuf};

use offramp_explain::{Kind, Problem};
use offramp_harness::bind::{bind_distillation, bind_live, bind_training};
use offramp_harness::executor::InProcess;
use offramp_harness::resume::{Claim, Start, Work};
use offramp_harness::{distill, train};
use offramp_report::Format;
use offramp_report::live::figure;
use offramp_report::study::StudyResults;
use offramp_report::{learning_page, live_page, study_folder};
use offramp_study::{Size, Study, StudyOutcome};
use pyo3::prelude::*;

use crate::error::{RunError, bad_input, warn_of_page};
use crate::plugins::registry;
use crate::scenario::Scenario;
use crate::threads::interruptible;

fn start(resume: bool) -> Start {
    if resume { Start::Resume } else { Start::New }
}

/// Writes the page of what was learned.
fn write_page(py: Python<'_>, folder: &Path) -> PyResult<()> {
    warn_of_page(py, learning_page::write(folder))
}

/// Trains what a scenario says.
#[pyfunction]
#[pyo3(name = "train", signature = (scenario, out, resume, plugins, threads, progress))]
pub(crate) fn train_policy(
    py: Python<'_>,
    scenario: &Scenario,
    out: PathBuf,
    resume: bool,
    plugins: Vec<PathBuf>,
    threads: usize,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let registry = registry(py, plugins)?;
    let training = bind_training(scenario.point()?.clone(), &registry).map_err(bad_input)?;
    let start = start(resume);
    let _claim = Claim::new(&out, start, &Work::Training).map_err(bad_input)?;
    interruptible(
        py,
        threads,
        progress,
        || {},
        |watched| {
            train::check(&training, &out, start)?;
            train::train(&training, &out, start, watched)
        },
    )?
    .map_err(|error| match error {
        train::TrainError::Failed { .. } | train::TrainError::Untrained { .. } => {
            RunError::new_err(error.to_string())
        }
        error => bad_input(Problem::of_training(&training, error)),
    })?;
    write_page(py, &out)
}

/// Distils what a scenario says.
#[pyfunction]
#[pyo3(name = "distill", signature = (scenario, out, dataset, resume, plugins, threads, progress))]
#[expect(clippy::too_many_arguments, reason = "keywords in Python")]
pub(crate) fn distill_policy(
    py: Python<'_>,
    scenario: &Scenario,
    out: PathBuf,
    dataset: Option<PathBuf>,
    resume: bool,
    plugins: Vec<PathBuf>,
    threads: usize,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let registry = registry(py, plugins)?;
    let distillation =
        bind_distillation(scenario.point()?.clone(), &registry).map_err(bad_input)?;
    let start = start(resume);
    let _claim = Claim::new(&out, start, &Work::Distillation).map_err(bad_input)?;
    let dataset = dataset.unwrap_or_else(|| out.join("dataset.safetensors"));
    interruptible(
        py,
        threads,
        progress,
        || {},
        |watched| {
            distill::check(&distillation, &out, start)?;
            distill::distill(&distillation, &out, &dataset, start, watched)
        },
    )?
    .map_err(|error| match error {
        distill::DistillError::Failed { .. } | distill::DistillError::NoTasks { .. } => {
            RunError::new_err(error.to_string())
        }
        error => bad_input(Problem::of_distillation(&distillation, error)),
    })?;
    write_page(py, &out)
}

/// Plays the live run of a scenario.
#[pyfunction]
#[pyo3(name = "live", signature = (scenario, out, resume, plugins, threads, progress))]
pub(crate) fn live_run(
    py: Python<'_>,
    scenario: &Scenario,
    out: PathBuf,
    resume: bool,
    plugins: Vec<PathBuf>,
    threads: usize,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let registry = registry(py, plugins)?;
    let live = bind_live(scenario.point()?.clone(), &registry).map_err(bad_input)?;
    let start = start(resume);
    let _claim = Claim::new(&out, start, &Work::Live).map_err(bad_input)?;
    let run = interruptible(
        py,
        threads,
        progress,
        || {},
        |watched| {
            offramp_live::check(&live, &out, start)?;
            offramp_live::live(&live, &out, start, watched)
        },
    )?;
    let run = run.map_err(|error| bad_input(Problem::of_live(&live, error)))?;
    let drawn = figure(&run).write_svg(&out.join("live.svg"));
    drawn.map_err(|error| bad_input(Problem::new(error)))?;
    warn_of_page(py, live_page::write(&out))
}

/// Makes the tables and figures of a study in the folder `out`; returns the text and the JSON that
/// the command prints.
#[pyfunction]
#[pyo3(signature = (path, out, only, seeds, quick, plugins, threads, progress))]
#[expect(clippy::too_many_arguments, reason = "keywords in Python")]
pub(crate) fn reproduce(
    py: Python<'_>,
    path: PathBuf,
    out: PathBuf,
    only: Vec<String>,
    seeds: Option<u64>,
    quick: bool,
    plugins: Vec<PathBuf>,
    threads: usize,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<(String, String)> {
    let registry = registry(py, plugins)?;
    let size = if quick { Size::Quick } else { Size::Full };
    let study = Study::read(&path, size)
        .map_err(|error| bad_input(Problem::from(error).unless_mistaken(&path, Kind::Study)))?;
    let study = match seeds {
        Some(count) => study.on_seeds(count),
        None => study,
    };
    let _claim = Claim::new(&out, Start::Resume, &study.work()).map_err(bad_input)?;
    let outcome = interruptible(
        py,
        threads,
        progress,
        || {},
        |watched| study.run(&registry, &out, &only, &InProcess, watched),
    )?;
    let StudyOutcome { exhibits, lessons } = outcome.map_err(bad_input)?;
    let claims = study.claims(&exhibits);
    let name = study.sized_name();
    let results = StudyResults {
        name: &name,
        about: &study.about,
        version: study.version(),
        episodes: study.episodes(),
        training_seeds: study.training_seeds(),
        exhibits: &exhibits,
        claims: &claims,
        budgets: &study.budgets,
    };
    study_folder::write(&results, &lessons, &out)
        .map_err(|error| bad_input(Problem::new(error)))?;
    Ok((results.print(Format::Table), results.print(Format::Json)))
}
