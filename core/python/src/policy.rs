//! Policies that are Python callables: the package's own library is a plugin too, which finds them
//! by their number.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray1};
use offramp_plugin::{Context, EpisodeStart, Error, Needs, Observation, Policy, RStr};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use serde::Deserialize;

/// The name of [`Callable`] among the plugins.
const NAME: &str = "python-callable";

offramp_plugin::register_policy!(Callable, "python-callable", "Decides by a Python callable.");

/// The callables that evaluations under way may ask for, and the exceptions they have raised.
static CALLABLES: Mutex<Callables> =
    Mutex::new(Callables { next: 0, known: BTreeMap::new(), raised: Vec::new() });

struct Callables {
    next: u64,
    known: BTreeMap<u64, Known>,
    raised: Vec<(u64, PyErr)>,
}

/// A callable, its name in results, and whether its evaluation is to end early.
struct Known {
    callable: Py<PyAny>,
    name: String,
    stop: Arc<AtomicBool>,
}

fn with<T>(use_it: impl FnOnce(&mut Callables) -> T) -> T {
    use_it(&mut CALLABLES.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Callables that a scenario's policies may name, until this is dropped.
#[pyclass(module = "offramp._offramp", frozen)]
pub(crate) struct Registered {
    numbers: Vec<u64>,
    names: Vec<String>,
    stop: Arc<AtomicBool>,
}

impl Registered {
    /// Ends the evaluation at the next decision of any of them.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[pymethods]
impl Registered {
    #[new]
    fn new(callables: Vec<(String, Py<PyAny>)>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let names = callables.iter().map(|(name, _)| name.clone()).collect();
        let numbers = with(|all| {
            let number = |(name, callable)| {
                let number = all.next;
                all.next += 1;
                all.known.insert(number, Known { callable, name, stop: Arc::clone(&stop) });
                number
            };
            callables.into_iter().map(number).collect()
        });
        Self { numbers, names, stop }
    }

    /// The RON of their entries in a scenario.
    fn entries(&self) -> Vec<String> {
        let entry = |(number, name): (&u64, &String)| {
            format!("(plugin: {NAME:?}, name: {name:?}, parameters: (number: {number}))")
        };
        self.numbers.iter().zip(&self.names).map(entry).collect()
    }

    /// The first exception that one of them has raised.
    fn raised(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let raised = with(|all| {
            let (ours, others): (Vec<_>, Vec<_>) = std::mem::take(&mut all.raised)
                .into_iter()
                .partition(|(number, _)| self.numbers.contains(number));
            all.raised = others;
            ours
        });
        raised.into_iter().next().map(|(_, error)| error.into_value(py).into_any())
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // Dropped when the lock is free: what is dropped may call back.
        let dropped = with(|all| {
            let ours = |(number, _): &(u64, PyErr)| self.numbers.contains(number);
            let (raised, others): (Vec<_>, Vec<_>) =
                std::mem::take(&mut all.raised).into_iter().partition(ours);
            all.raised = others;
            let known = self.numbers.iter().filter_map(|number| all.known.remove(number));
            (known.collect::<Vec<_>>(), raised)
        });
        drop(dropped);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    number: u64,
}

/// A policy that hands each slot to a Python callable.
struct Callable {
    number: u64,
    name: String,
    stop: Arc<AtomicBool>,
    whole: Py<PyAny>,
    /// What decides in the episode under way.
    decide: Option<Py<PyAny>>,
    observation: Py<PyAny>,
    features: usize,
    /// The places of the columns of each table by their names: a tuple of three dictionaries.
    columns: Py<PyTuple>,
    widths: [usize; 3],
}

impl Policy for Callable {
    const NEEDS: Needs =
        Needs::FEATURES.and(Needs::HISTORY).and(Needs::TASKS).and(Needs::LINKS).and(Needs::SERVERS);

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        let Parameters { number } = context.parameters()?;
        let spec = context.observation;
        Python::attach(|py| {
            let known = with(|all| {
                let known = all.known.get(&number)?;
                let callable = known.callable.clone_ref(py);
                Some((callable, known.name.clone(), Arc::clone(&known.stop)))
            });
            let (whole, name, stop) = known.ok_or_else(|| {
                Error::new("it belongs to a call of `offramp.evaluate`, which has ended")
            })?;
            let tables = [spec.task_columns, spec.link_columns, spec.server_columns]
                .map(|names| names.as_slice());
            let class = py.import("offramp.policies").and_then(|module| module.getattr("Slot"));
            let observation = class.map_err(|error| failed(py, number, error))?.unbind();
            Ok(Self {
                number,
                name,
                stop,
                whole,
                decide: None,
                observation,
                features: spec.features.len(),
                columns: places(py, tables).map_err(|error| failed(py, number, error))?,
                widths: tables.map(|names| names.len()),
            })
        })
    }

    fn begin_episode(&mut self, start: &EpisodeStart<'_>) -> Result<(), Error> {
        Python::attach(|py| {
            let whole = self.whole.bind(py);
            let begun = match whole.getattr_opt("begin_episode") {
                Ok(Some(begin)) => begin.call1((start.episode, start.seed)),
                Ok(None) => Ok(whole.clone()),
                Err(error) => Err(error),
            };
            self.decide = Some(begun.map_err(|error| failed(py, self.number, error))?.unbind());
            Ok(())
        })
    }

    fn decide(&mut self, observation: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::new("interrupted"));
        }
        Python::attach(|py| {
            let decided = self.decided(py, observation);
            let decided = decided.map_err(|error| failed(py, self.number, error))?;
            let decided = decided.as_slice().map_err(|error| Error::new(error.to_string()))?;
            // What Python has checked.
            for (action, &decided) in actions.iter_mut().zip(decided) {
                *action = u32::try_from(decided).unwrap_or(u32::MAX);
            }
            Ok(())
        })
    }
}

/// The places of the columns of each table by their names.
fn places(py: Python<'_>, tables: [&[RStr<'_>]; 3]) -> PyResult<Py<PyTuple>> {
    let dictionary = |names: &[RStr<'_>]| {
        let places = PyDict::new(py);
        for (place, name) in names.iter().enumerate() {
            places.set_item(name.as_str(), place)?;
        }
        PyResult::Ok(places)
    };
    let all = tables.map(dictionary).into_iter().collect::<PyResult<Vec<_>>>()?;
    Ok(PyTuple::new(py, all)?.unbind())
}

impl Callable {
    fn decided<'py>(
        &self,
        py: Python<'py>,
        seen: &Observation<'_>,
    ) -> PyResult<PyReadonlyArray1<'py, i64>> {
        let (rows, servers) = (seen.rows(), seen.server_count as usize);
        let [of_tasks, of_links, of_servers] = self.widths;
        let array = |numbers: &[f64], shape: &[usize]| {
            PyArray1::from_slice(py, numbers).reshape(shape.to_vec())
        };
        let slot = PyDict::new(py);
        slot.set_item("slot", seen.slot)?;
        let devices = seen.devices.iter().map(|&device| i64::from(device));
        slot.set_item("device", PyArray1::from_iter(py, devices))?;
        slot.set_item("features", array(&seen.features, &[rows, self.features])?)?;
        slot.set_item("tasks", array(&seen.tasks, &[rows, of_tasks])?)?;
        slot.set_item("links", array(&seen.links, &[rows, of_links, servers])?)?;
        slot.set_item("servers", array(&seen.servers, &[of_servers, servers])?)?;
        let history = [seen.history_slots as usize, servers];
        slot.set_item("columns", self.columns.bind(py))?;
        slot.set_item("history", array(&seen.histories, &history)?)?;
        let slot = self.observation.bind(py).call((), Some(&slot))?;
        let decide = self.decide.as_ref().unwrap_or(&self.whole);
        let actions = decide.bind(py).call1((slot,))?;
        let checked = py.import("offramp.policies")?.getattr("decided")?;
        let checked = checked.call1((actions, rows, servers, &self.name, seen.slot))?;
        Ok(checked.cast_into::<PyArray1<i64>>()?.readonly())
    }
}

/// What a callable has raised, kept for the caller of the evaluation.
fn failed(py: Python<'_>, number: u64, error: PyErr) -> Error {
    let message = error.to_string();
    with(|all| all.raised.push((number, error.clone_ref(py))));
    Error::new(message)
}
