//! Evaluation, by the code of the command.

use std::path::PathBuf;

use offramp_harness::batch::{Batch, BatchError};
use offramp_harness::bind::bind_evaluation;
use offramp_harness::check::Planned;
use offramp_harness::evaluate::{Sink, evaluate as play, prepare};
use offramp_harness::executor::InProcess;
use offramp_harness::resume::Start;
use offramp_report::run_page;
use offramp_results::run_folder::StoredRun;
use offramp_results::{EpisodeResult, Error};
use pyo3::prelude::*;

use crate::error::{ScenarioError, bad_input, warn_of_page};
use crate::plugins::registry;
use crate::policy::Registered;
use crate::results::Results;
use crate::scenario::Scenario;
use crate::threads::interruptible;

/// Keeps all episodes, by the number of their run.
#[derive(Default)]
struct Collect {
    runs: std::sync::Mutex<Vec<(usize, Vec<EpisodeResult>)>>,
}

impl Sink for Collect {
    type Run = (usize, Vec<EpisodeResult>);

    fn begin(&self, run: &Planned<'_>) -> Result<Self::Run, Error> {
        Ok((run.number, Vec::new()))
    }

    fn add(&self, (_, episodes): &mut Self::Run, episode: EpisodeResult) -> Result<(), Error> {
        episodes.push(episode);
        Ok(())
    }

    fn end(&self, (number, episodes): Self::Run, stored: &StoredRun) -> Result<(), Error> {
        // What a run has done before it failed is no result.
        let kept = if stored.record.error.is_none() { episodes } else { Vec::new() };
        let mut runs = self.runs.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        runs.push((number, kept));
        Ok(())
    }
}

/// Evaluates the policies of a scenario, and writes a run folder if `out` names one.
#[pyfunction]
#[pyo3(signature = (scenario, callables, out, resume, plugins, threads, progress))]
#[expect(clippy::too_many_arguments, reason = "keywords in Python")]
pub(crate) fn evaluate(
    py: Python<'_>,
    scenario: &Scenario,
    callables: Option<&Registered>,
    out: Option<PathBuf>,
    resume: bool,
    plugins: Vec<PathBuf>,
    threads: usize,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<Results> {
    let registry = registry(py, plugins)?;
    let experiment = scenario.experiment.clone();
    let bound = experiment.try_map(|point| bind_evaluation(point, &registry)).map_err(bad_input)?;
    if bound.points.iter().any(|point| point.scenario.isolation.is_some()) {
        let message = "`isolate: true` needs processes of their own, which the command starts: \
                       use `offramp run`, or set isolate to False";
        return Err(ScenarioError::new_err(message));
    }
    let experiments = [bound];
    let on_interrupt = || {
        if let Some(callables) = callables {
            callables.stop();
        }
    };
    if let Some(out) = out {
        let start = if resume { Start::Resume } else { Start::New };
        let attempt = Batch::new(&experiments, None).open(&out, start);
        let attempt = attempt.map_err(bad_input)?;
        interruptible(py, threads, progress, on_interrupt, |watched| {
            attempt.run(&InProcess, watched)
        })?
        .map_err(bad_input)?;
        warn_of_page(py, run_page::write(&out))?;
        return Results::read(out);
    }
    let collect = Collect::default();
    let played =
        interruptible(py, threads, progress, on_interrupt, |watched| -> Result<_, BatchError> {
            let planned = prepare(&experiments, &InProcess)?;
            Ok(play(&planned, &InProcess, &collect, watched)?)
        })?;
    let runs = played.map_err(bad_input)?;
    let mut episodes = collect.runs.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    episodes.sort_by_key(|(number, _)| *number);
    Ok(Results { runs, episodes: episodes.into_iter().map(|(_, episodes)| episodes).collect() })
}
