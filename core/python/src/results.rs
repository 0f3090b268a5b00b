//! What comes out of an evaluation: tables, episodes, intervals.

use std::path::PathBuf;

use offramp_report::{Format, results, results_by};
use offramp_results::group::Label;
use offramp_results::run_folder::{RunFolder, StoredRun};
use offramp_results::statistics::{Interval, Scores, Weighted};
use offramp_results::summary::Summary;
use offramp_results::{EpisodeResult, Error, Grouping, Metric, metric};
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::error::bad_input;

/// Runs with all of their episodes, in the order of the scenario.
#[pyclass(module = "offramp._offramp", frozen)]
pub(crate) struct Results {
    pub(crate) runs: Vec<StoredRun>,
    pub(crate) episodes: Vec<Vec<EpisodeResult>>,
}

/// An estimate, the ends of its 95 % interval, and what the interval is over.
type Estimate = (f64, Option<(f64, f64)>, &'static str);

#[pymethods]
impl Results {
    /// Reads a run folder.
    #[staticmethod]
    pub(crate) fn read(folder: PathBuf) -> PyResult<Self> {
        let read = || -> Result<Self, Error> {
            let mut folder = RunFolder::open(&folder)?;
            let (mut runs, mut episodes) = (Vec::new(), Vec::new());
            while let Some(record) = folder.next_run() {
                let mut summary = Summary::new();
                let mut of_run = Vec::new();
                while let Some(episode) = folder.next_episode()? {
                    summary.add(&episode);
                    of_run.push(episode);
                }
                runs.push(StoredRun { record, summary });
                episodes.push(of_run);
            }
            Ok(Self { runs, episodes })
        };
        read().map_err(bad_input)
    }

    /// The table that the command prints.
    #[pyo3(signature = (by = None))]
    fn table(&self, by: Option<&str>) -> PyResult<String> {
        let groupings = by.map(known_grouping).transpose()?;
        Ok(results_by(groupings.as_slice(), &self.runs, Format::Table))
    }

    /// The JSON that the command prints.
    fn json(&self) -> String {
        results(&self.runs, Format::Json)
    }

    /// One row per run: columns by name.
    fn summary<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let frame = self.keys(py, self.runs.iter())?;
        frame.set_item("episodes", self.of_runs(|run| run.record.episodes))?;
        frame.set_item("error", self.of_runs(|run| run.record.error.clone()))?;
        for metric in metric::summarised() {
            let of = |run: &StoredRun| run.mean_sd(metric);
            frame.set_item(metric.id, self.of_runs(|run| of(run).map(|value| value.mean)))?;
            let sd = self.of_runs(|run| of(run).and_then(|value| value.sd));
            frame.set_item(format!("{}_sd", metric.id), sd)?;
        }
        Ok(frame)
    }

    /// One row per episode: columns by name.
    fn rows<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let all = || self.runs.iter().zip(&self.episodes);
        let frame = self
            .keys(py, all().flat_map(|(run, episodes)| std::iter::repeat_n(run, episodes.len())))?;
        let numbers: Vec<usize> = self.episodes.iter().flat_map(|of| 0..of.len()).collect();
        frame.set_item("episode", numbers)?;
        for metric in metric::all() {
            let values = self.episodes.iter().flatten();
            let values: Vec<Option<f64>> =
                values.map(|episode| metric.of(episode).map(|of| of.value)).collect();
            frame.set_item(metric.id, values)?;
        }
        Ok(frame)
    }

    /// One row per episode and group of its tasks, `power_modes` or `classes`: columns by name.
    fn groups<'py>(&self, py: Python<'py>, by: &str) -> PyResult<Bound<'py, PyDict>> {
        let grouping = known_grouping(by)?;
        let all = || {
            let runs = self.runs.iter().zip(&self.episodes);
            runs.flat_map(|(run, episodes)| {
                episodes.iter().enumerate().flat_map(move |(number, episode)| {
                    let groups = 0..episode.by_group[grouping].len();
                    groups.map(move |group| (run, number, episode, group))
                })
            })
        };
        let frame = self.keys(py, all().map(|(run, ..)| run))?;
        frame.set_item("episode", all().map(|(_, number, ..)| number).collect::<Vec<_>>())?;
        let labels = PyList::empty(py);
        for (run, _, _, group) in all() {
            match run.record.groups(grouping).get(group) {
                Some(Label::Alpha(alpha)) => labels.append(alpha)?,
                Some(Label::Class(name)) => labels.append(name)?,
                None => labels.append(py.None())?,
            }
        }
        frame.set_item(grouping.column(), labels)?;
        for metric in metric::all().iter().filter(|metric| metric.has_groups()) {
            let values = all().map(|(_, _, episode, group)| {
                metric.of_group(&episode.by_group[grouping][group]).map(|of| of.value)
            });
            frame.set_item(metric.id, values.collect::<Vec<_>>())?;
        }
        Ok(frame)
    }

    /// One row per episode in which devices move or rates change: mobility and rates.
    fn mobility<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let all = || {
            let runs = self.runs.iter().zip(&self.episodes);
            runs.flat_map(|(run, episodes)| {
                let found = episodes.iter().enumerate();
                found.filter_map(move |(number, episode)| {
                    Some((run, number, episode.mobility.as_deref()?))
                })
            })
        };
        let frame = self.keys(py, all().map(|(run, ..)| run))?;
        frame.set_item("episode", all().map(|(_, number, _)| number).collect::<Vec<_>>())?;
        for metric in metric::mobility() {
            let values = all().map(|(.., found)| metric.of_mobility(found));
            frame.set_item(metric.id, values.collect::<Vec<_>>())?;
        }
        Ok(frame)
    }

    /// The runs at the points of the sweep that have these values, as RON.
    fn at(&self, point: Vec<(String, String)>) -> PyResult<Self> {
        let swept = |run: &StoredRun, field: &str| {
            let mut sweep = run.record.sweep.iter();
            sweep.find(|(swept, _)| swept == field).map(|(_, value)| value.clone())
        };
        let is_there = |run: &StoredRun| {
            point.iter().all(|(field, value)| swept(run, field).as_ref() == Some(value))
        };
        let kept = self.runs.iter().zip(&self.episodes).filter(|(run, _)| is_there(run));
        let (runs, episodes): (Vec<_>, Vec<_>) =
            kept.map(|(run, episodes)| (run.clone(), episodes.clone())).unzip();
        if runs.is_empty() {
            let mut points: Vec<String> = self.of_runs(|run| run.record.point());
            points.dedup();
            let points = points.join(", or ");
            return Err(PyKeyError::new_err(format!("no run is there; there are: {points}")));
        }
        Ok(Self { runs, episodes })
    }

    /// Everything, for another process.
    fn dumped<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = serde_json::to_vec(&(&self.runs, &self.episodes))
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// What `dumped` returned, again.
    #[staticmethod]
    fn restored(bytes: &[u8]) -> PyResult<Self> {
        let (runs, episodes) = serde_json::from_slice(bytes)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Self { runs, episodes })
    }

    /// The names of the policies, in order.
    #[getter]
    fn policies(&self) -> Vec<&str> {
        self.of_runs(|run| run.record.policy.as_str())
    }

    /// The reasons of the runs that failed, by policy.
    #[getter]
    fn errors(&self) -> Vec<(&str, &str)> {
        let failed = self.runs.iter().filter_map(|run| Some((run, run.record.error.as_deref()?)));
        failed.map(|(run, error)| (run.record.policy.as_str(), error)).collect()
    }

    /// The mean of a metric with its interval. Several names are trainings of one policy.
    #[pyo3(signature = (policies, metric))]
    fn mean(&self, policies: Vec<String>, metric: &str) -> PyResult<Estimate> {
        let metric = known(metric)?;
        Ok(estimate(self.scores(&policies, metric, "")?.mean()))
    }

    /// The mean of a metric minus that of a reference, on the same episodes, with its interval.
    #[pyo3(signature = (policies, reference, metric, paired))]
    fn difference(
        &self,
        policies: Vec<String>,
        reference: Vec<String>,
        metric: &str,
        paired: bool,
    ) -> PyResult<Estimate> {
        let metric = known(metric)?;
        if paired && policies.len() != reference.len() {
            let message = "pairs of trainings need as many names on both sides";
            return Err(PyValueError::new_err(message));
        }
        let ours = self.scores(&policies, metric, "")?;
        let theirs = self.scores(&reference, metric, if paired { "" } else { "other " })?;
        let difference = ours.mean_minus(&theirs).ok_or_else(|| {
            PyValueError::new_err("the numbers of episodes differ, so they can't be compared")
        })?;
        Ok(estimate(difference))
    }

    fn __len__(&self) -> usize {
        self.runs.len()
    }
}

impl Results {
    fn of_runs<'r, T>(&'r self, value: impl Fn(&'r StoredRun) -> T) -> Vec<T> {
        self.runs.iter().map(value).collect()
    }

    /// A frame with the columns that say which run a row is of.
    fn keys<'py, 'r>(
        &self,
        py: Python<'py>,
        runs: impl Iterator<Item = &'r StoredRun> + Clone,
    ) -> PyResult<Bound<'py, PyDict>> {
        let frame = PyDict::new(py);
        let text = |of: fn(&StoredRun) -> &str| runs.clone().map(of).collect::<Vec<_>>();
        frame.set_item("scenario", text(|run| &run.record.scenario))?;
        let swept = self.runs.first().map(|run| run.record.sweep.as_slice()).unwrap_or_default();
        for (at, (field, _)) in swept.iter().enumerate() {
            let values: Vec<Option<&str>> = runs
                .clone()
                .map(|run| run.record.sweep.get(at).map(|(_, value)| value.as_str()))
                .collect();
            frame.set_item(field, values)?;
        }
        frame.set_item("policy", text(|run| &run.record.policy))?;
        frame.set_item("seed", runs.map(|run| run.record.seed).collect::<Vec<_>>())?;
        Ok(frame)
    }

    /// The scores of policies with these names: each a training of one policy, or the only one.
    fn scores(&self, names: &[String], metric: &Metric, prefix: &str) -> PyResult<Scores> {
        let mut rows: Vec<(String, Vec<Option<Weighted>>)> = Vec::new();
        let mut learned = names.len() > 1;
        for (seed, name) in names.iter().enumerate() {
            let mut found = self.runs.iter().zip(&self.episodes);
            let found = found.find(|(run, _)| run.record.policy == *name);
            let (run, episodes) = found.ok_or_else(|| {
                let mut known = self.policies();
                known.dedup();
                let known = known.join(", ");
                PyKeyError::new_err(format!("there is no policy `{name}`; there are: {known}"))
            })?;
            let points = self.runs.iter().filter(|run| run.record.policy == *name).count();
            if points > 1 {
                let message =
                    format!("`{name}` has {points} runs, one per point: choose a point with `at`");
                return Err(PyKeyError::new_err(message));
            }
            if let Some(error) = &run.record.error {
                return Err(PyValueError::new_err(format!("`{name}` has failed: {error}")));
            }
            let identity = run.record.identity.as_ref();
            learned |= identity.is_some_and(|identity| identity.checkpoint.is_some());
            let scores = episodes.iter().map(|episode| metric.of(episode)).collect();
            rows.push((format!("{prefix}{seed}"), scores));
        }
        let scores = if learned {
            Scores::trained(rows)
        } else {
            rows.pop().and_then(|(_, episodes)| Scores::untrained(episodes))
        };
        scores.ok_or_else(|| PyValueError::new_err(format!("`{}` has no value here", metric.id)))
    }
}

fn estimate(interval: Interval) -> Estimate {
    (interval.estimate, interval.ends, interval.basis.name())
}

/// The grouping with that key: `power_modes` or `classes`.
fn known_grouping(key: &str) -> PyResult<Grouping> {
    let found = Grouping::ALL.into_iter().find(|grouping| grouping.key() == key);
    found.ok_or_else(|| {
        let keys = Grouping::ALL.map(Grouping::key).join(", ");
        PyKeyError::new_err(format!("tasks are not grouped by `{key}`; there are: {keys}"))
    })
}

/// The metric with that id.
fn known(id: &str) -> PyResult<&'static Metric> {
    metric::by_id(id).ok_or_else(|| {
        let ids: Vec<&str> = metric::all().iter().map(|metric| metric.id).collect();
        PyKeyError::new_err(format!("there is no metric `{id}`; there are: {}", ids.join(", ")))
    })
}
