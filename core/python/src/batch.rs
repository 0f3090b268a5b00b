//! Many environments of one system, stepped side by side: whole slots as arrays.

use std::sync::Arc;

use numpy::{Element, PyArray1, PyArrayMethods, PyReadonlyArray1};
use offramp_harness::environment::Environment;
use offramp_harness::seeds;
use offramp_host::plugin::{EndedTask, Needs};
use offramp_model::{ObservationSpec, System, observation};
use pyo3::exceptions::{PyMemoryError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rayon::ThreadPool;
use rayon::prelude::*;

use crate::scenario::Scenario;
use crate::threads;

/// Below so many device-slots a step is done by the calling thread: to wake others takes longer.
const WORTH_THREADS: usize = 4_000;

/// Memory of a device, and of an element of the history, in an environment and in the arrays of a slot.
const BYTES_OF_A_DEVICE: usize = 1_000;
const BYTES_OF_A_LOAD: usize = 16;
/// More memory is refused.
const MAX_BYTES: usize = 16 << 30;

/// Environments that stand at the same slot of different episodes.
#[pyclass(module = "offramp._offramp")]
pub(crate) struct Batch {
    places: Vec<Place>,
    system: Arc<System>,
    observation: ObservationSpec,
    needs: Needs,
    double: bool,
    tasks: Tasks,
    threads: usize,
    seed: u64,
    /// The episode of the first environment; `None` before the first reset.
    episode: Option<u64>,
    /// Decisions that were asked for since the last reset.
    decisions: u64,
}

/// The family that tasks are drawn from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tasks {
    Training,
    Validation,
    Evaluation,
}

/// One of the environments.
struct Place {
    environment: Environment,
    actions: Vec<u32>,
    ended: Vec<EndedTask>,
    asked: Asked,
}

/// The decisions of an episode by slot and device, so that a task that ends names its own.
#[derive(Default)]
struct Asked {
    /// Of each slot: the number of its first decision, and where its devices begin.
    slots: Vec<(u64, usize)>,
    /// The devices of all decisions, ascending within a slot.
    devices: Vec<u32>,
}

impl Asked {
    fn decision(&self, task: &EndedTask) -> Option<u64> {
        let slot = task.arrival_slot as usize;
        let &(first, start) = self.slots.get(slot)?;
        let end = self.slots.get(slot + 1).map_or(self.devices.len(), |&(_, end)| end);
        let row = self.devices.get(start..end)?.binary_search(&task.device).ok()?;
        Some(first + row as u64)
    }
}

/// The type of an array's numbers.
trait Number: Element + Copy + Default + Send {
    fn of(value: f64) -> Self;
}

impl Number for f32 {
    fn of(value: f64) -> Self {
        value as Self
    }
}

impl Number for f64 {
    fn of(value: f64) -> Self {
        value
    }
}

/// Where an environment writes what its devices observe.
struct Page<'a, T> {
    place: &'a mut Place,
    env: i64,
    /// The number of its first decision.
    decision: u64,
    envs: &'a mut [i64],
    devices: &'a mut [i64],
    numbers: &'a mut [i64],
    /// Features, tasks, links, servers, history.
    parts: [&'a mut [T]; 5],
}

#[pymethods]
impl Batch {
    #[new]
    #[pyo3(signature = (scenario, num_envs, parts, double, tasks, threads))]
    fn new(
        scenario: &Scenario,
        num_envs: usize,
        parts: Vec<String>,
        double: bool,
        tasks: &str,
        threads: usize,
    ) -> PyResult<Self> {
        let point = scenario.point()?;
        threads::pool(threads)?;
        let tasks = match tasks {
            "training" => Tasks::Training,
            "validation" => Tasks::Validation,
            "evaluation" => Tasks::Evaluation,
            other => {
                let message = format!(
                    "tasks: `{other}` is none of \"training\", \"validation\", \"evaluation\""
                );
                return Err(PyValueError::new_err(message));
            }
        };
        let mut needs = Needs::NOTHING;
        for part in parts {
            needs = needs.and(match part.as_str() {
                "features" => Needs::FEATURES,
                "history" => Needs::HISTORY,
                "tasks" => Needs::TASKS,
                "links" => Needs::LINKS,
                "servers" => Needs::SERVERS,
                other => {
                    let message = format!(
                        "parts: `{other}` is none of \"features\", \"history\", \"tasks\", \
                         \"links\", \"servers\""
                    );
                    return Err(PyValueError::new_err(message));
                }
            });
        }
        if num_envs == 0 {
            return Err(PyValueError::new_err("num_envs: 0 is not in range 1 or more"));
        }
        let of_device = num_envs.saturating_mul(point.system.device_count() as usize);
        let loads = point.observation.history_slots as usize * point.system.server_count() as usize;
        let bytes = of_device
            .saturating_mul(BYTES_OF_A_DEVICE)
            .saturating_add(num_envs.saturating_mul(loads.saturating_mul(BYTES_OF_A_LOAD)));
        if bytes > MAX_BYTES {
            let message = format!(
                "num_envs: {num_envs} environments of this scenario need about {} GiB; more than {} GiB \
                 is refused",
                bytes >> 30,
                MAX_BYTES >> 30
            );
            return Err(PyMemoryError::new_err(message));
        }
        let system = match tasks {
            Tasks::Training => &point.training_system,
            Tasks::Validation => &point.validation_system,
            Tasks::Evaluation => &point.system,
        };
        let parameters = system.parameters();
        if parameters.has_recordings()
            && tasks != Tasks::Evaluation
            && parameters.window == point.system.parameters().window
        {
            let message = "tasks: what is recorded here is not divided, so training on it would be training \
                           on what is evaluated; state `recordings: (train: 0.6, validate: 0.2)` in the \
                           scenario";
            return Err(PyValueError::new_err(message));
        }
        let place = |_| Place {
            environment: Environment::new(system, point.observation, 0, 0),
            actions: Vec::new(),
            ended: Vec::new(),
            asked: Asked::default(),
        };
        Ok(Self {
            places: (0..num_envs).map(place).collect(),
            system: Arc::clone(system),
            observation: point.observation,
            needs,
            double,
            tasks,
            threads,
            seed: 1,
            episode: None,
            decisions: 0,
        })
    }

    /// Begins episodes: environment i plays `episode` + i under `seed`. Without an episode those
    /// that follow, or the first under another seed.
    #[pyo3(signature = (seed = None, episode = None))]
    fn reset<'py>(
        &mut self,
        py: Python<'py>,
        seed: Option<u64>,
        episode: Option<u64>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let count = self.places.len() as u64;
        let episode = match (episode, seed, self.episode) {
            (Some(episode), _, _) => episode,
            (None, None, Some(last)) => last.saturating_add(count),
            (None, Some(_), _) | (None, None, None) => 0,
        };
        if episode.checked_add(count).is_none() {
            let message = format!("episode: {episode} leaves no numbers for {count} environments");
            return Err(PyValueError::new_err(message));
        }
        self.seed = seed.unwrap_or(self.seed);
        self.episode = Some(episode);
        self.decisions = 0;
        let seed = match self.tasks {
            Tasks::Training => seeds::training_tasks(self.seed),
            Tasks::Validation => seeds::validation(self.seed),
            Tasks::Evaluation => self.seed,
        };
        let pool = self.pool()?;
        let places = &mut self.places;
        py.detach(|| {
            each(pool.as_deref(), places, |at, place| {
                place.environment.reset(seed, episode + at as u64);
                place.asked.slots.clear();
                place.asked.devices.clear();
                place.ended.clear();
            });
        });
        self.observe(py)
    }

    /// Carries out one action per row of the last observation, and ends the slot. Returns the tasks
    /// that ended in it and what is observed next.
    fn step<'py>(
        &mut self,
        py: Python<'py>,
        actions: PyReadonlyArray1<'py, i64>,
    ) -> PyResult<(Bound<'py, PyDict>, Bound<'py, PyDict>)> {
        if self.episode.is_none() {
            return Err(PyRuntimeError::new_err("call reset before step"));
        }
        if self.done() {
            return Err(PyRuntimeError::new_err("the episodes are over: call reset"));
        }
        let actions = actions.as_slice()?;
        self.check(actions)?;
        let mut rest = actions;
        for place in &mut self.places {
            let (own, others) = rest.split_at(place.environment.rows());
            rest = others;
            place.actions.clear();
            // Checked above.
            place.actions.extend(own.iter().map(|&action| action as u32));
        }
        let pool = self.pool()?;
        let places = &mut self.places;
        py.detach(|| each(pool.as_deref(), places, |_, place| place.step()));
        let ended = self.ended(py)?;
        Ok((ended, self.observe(py)?))
    }

    /// True after the last slot.
    #[getter]
    fn done(&self) -> bool {
        self.places.first().is_some_and(|place| place.environment.is_over())
    }

    /// t, counted from 0.
    #[getter]
    fn slot(&self) -> u32 {
        self.places.first().map_or(0, |place| place.environment.episode().slot())
    }

    /// The episode of the first environment; the others play those that follow it.
    #[getter]
    fn episode(&self) -> Option<u64> {
        self.episode
    }

    #[getter]
    fn seed(&self) -> u64 {
        self.seed
    }

    #[getter]
    fn num_envs(&self) -> usize {
        self.places.len()
    }

    /// The tasks that wait in this slot, in all environments.
    #[getter]
    fn rows(&self) -> usize {
        self.places.iter().map(|place| place.environment.rows()).sum()
    }
}

impl Place {
    fn step(&mut self) {
        let Self { environment, actions, ended, .. } = self;
        ended.clear();
        // The actions have been checked.
        if environment.step(actions).is_ok() {
            ended.extend_from_slice(environment.transitions(actions).ended);
        }
    }
}

impl Batch {
    /// The pool that steps are done on, if threads are worth it.
    fn pool(&self) -> PyResult<Option<Arc<ThreadPool>>> {
        let size = self.places.len() * self.system.device_count() as usize;
        let worth = self.threads != 1 && self.places.len() > 1 && size >= WORTH_THREADS;
        worth.then(|| threads::pool(self.threads)).transpose()
    }

    fn check(&self, actions: &[i64]) -> PyResult<()> {
        let (rows, servers) = (self.rows(), i64::from(self.system.server_count()));
        if actions.len() != rows {
            let message = format!(
                "{} actions for {rows} tasks that wait: one action per row of the observation",
                actions.len()
            );
            return Err(PyValueError::new_err(message));
        }
        let Some(row) = actions.iter().position(|action| !(0..=servers).contains(action)) else {
            return Ok(());
        };
        let mut first = 0;
        for (env, place) in self.places.iter().enumerate() {
            let arrivals = place.environment.episode().arrivals();
            if let Some(arrival) = arrivals.get(row - first) {
                let message = format!(
                    "action {} in row {row} (environment {env}, device {}) is out of range 0 … \
                     {servers}",
                    actions[row], arrival.device
                );
                return Err(PyValueError::new_err(message));
            }
            first += arrivals.len();
        }
        Ok(())
    }

    fn observe<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        if self.double { self.observe_as::<f64>(py) } else { self.observe_as::<f32>(py) }
    }

    fn observe_as<'py, T: Number>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (needs, envs) = (self.needs, self.places.len());
        let servers = self.system.server_count() as usize;
        let slots = self.observation.history_slots as usize;
        let columns = [
            self.observation.kind.width(self.system.server_count()),
            observation::task_columns().len(),
            observation::link_columns().len() * servers,
            self.observation.server_columns().count() * servers,
            slots * servers,
        ];
        let [of_features, of_tasks, of_links, of_servers, of_history] = columns;
        let wanted = |need, numbers| if needs.includes(need) { numbers } else { 0 };
        let rows = self.rows();
        let first = self.decisions;
        self.decisions += rows as u64;
        let pool = self.pool()?;
        let places = &mut self.places;
        let (ids, parts) = py.detach(|| {
            let mut ids: [Vec<i64>; 3] = std::array::from_fn(|_| vec![0; rows]);
            let widths = [
                wanted(Needs::FEATURES, of_features),
                wanted(Needs::TASKS, of_tasks),
                wanted(Needs::LINKS, of_links),
                wanted(Needs::SERVERS, of_servers),
                wanted(Needs::HISTORY, of_history),
            ];
            let lengths = [rows, rows, rows, envs, envs];
            let mut parts: [Vec<T>; 5] =
                std::array::from_fn(|part| vec![T::default(); lengths[part] * widths[part]]);
            {
                let mut free_ids = ids.each_mut().map(Vec::as_mut_slice);
                let mut free = parts.each_mut().map(Vec::as_mut_slice);
                let mut decision = first;
                let mut pages: Vec<Page<'_, T>> = Vec::with_capacity(envs);
                for (env, place) in places.iter_mut().enumerate() {
                    let own = place.environment.rows();
                    let lengths = [own, own, own, 1, 1];
                    let [envs, devices, numbers] = free_ids.each_mut().map(|free| cut(free, own));
                    let mut part = 0;
                    let parts = free.each_mut().map(|free| {
                        part += 1;
                        cut(free, lengths[part - 1] * widths[part - 1])
                    });
                    let env = env as i64;
                    pages.push(Page { place, env, decision, envs, devices, numbers, parts });
                    decision += own as u64;
                }
                each(pool.as_deref(), &mut pages, |_, page| page.fill(needs));
            }
            (ids, parts)
        });
        let dict = PyDict::new(py);
        let [env, device, decision] = ids;
        dict.set_item("env", PyArray1::from_vec(py, env))?;
        dict.set_item("device", PyArray1::from_vec(py, device))?;
        dict.set_item("decision", PyArray1::from_vec(py, decision))?;
        let [features, tasks, links, server_table, history] = parts;
        let columns_of = |width: usize| width / servers;
        let shaped = |name, need, numbers: Vec<T>, shape: &[usize]| {
            if !needs.includes(need) {
                return dict.set_item(name, py.None());
            }
            let array = PyArray1::from_vec(py, numbers);
            dict.set_item(name, array.reshape(shape.to_vec())?)
        };
        shaped("features", Needs::FEATURES, features, &[rows, of_features])?;
        shaped("tasks", Needs::TASKS, tasks, &[rows, of_tasks])?;
        shaped("links", Needs::LINKS, links, &[rows, columns_of(of_links), servers])?;
        shaped("servers", Needs::SERVERS, server_table, &[envs, columns_of(of_servers), servers])?;
        shaped("history", Needs::HISTORY, history, &[envs, slots, servers])?;
        Ok(dict)
    }

    fn ended<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let tasks = || {
            let places = self.places.iter().enumerate();
            places.flat_map(|(env, place)| place.ended.iter().map(move |task| (env, place, task)))
        };
        let whole = |value: fn(&EndedTask) -> u32| {
            let values = tasks().map(|(_, _, task)| i64::from(value(task))).collect();
            PyArray1::<i64>::from_vec(py, values)
        };
        let dict = PyDict::new(py);
        let envs = tasks().map(|(env, _, _)| env as i64).collect();
        dict.set_item("env", PyArray1::<i64>::from_vec(py, envs))?;
        dict.set_item("device", whole(|task| task.device))?;
        dict.set_item("arrival_slot", whole(|task| task.arrival_slot))?;
        // Every task was asked for.
        let decisions = tasks()
            .map(|(_, place, task)| place.asked.decision(task).map_or(-1, |number| number as i64));
        dict.set_item("decision", PyArray1::<i64>::from_vec(py, decisions.collect()))?;
        dict.set_item("action", whole(|task| task.action))?;
        dict.set_item("delay", whole(|task| task.delay_slots))?;
        let dropped = tasks().map(|(_, _, task)| task.dropped).collect();
        dict.set_item("dropped", PyArray1::<bool>::from_vec(py, dropped))?;
        let rewards = tasks().map(|(_, _, task)| task.reward).collect();
        dict.set_item("reward", PyArray1::<f64>::from_vec(py, rewards))?;
        let energy: Vec<f64> = tasks().flat_map(|(_, _, task)| task.energy).collect();
        let count = energy.len() / 4;
        dict.set_item("energy", PyArray1::from_vec(py, energy).reshape([count, 4])?)?;
        Ok(dict)
    }
}

impl<T: Number> Page<'_, T> {
    fn fill(&mut self, needs: Needs) {
        let Place { environment, asked, .. } = &mut *self.place;
        let seen = environment.observe(needs);
        asked.slots.push((self.decision, asked.devices.len()));
        asked.devices.extend_from_slice(seen.devices.as_slice());
        self.envs.fill(self.env);
        let rows = self.devices.iter_mut().zip(&mut *self.numbers).zip(seen.devices.iter());
        for (number, ((device, decision), seen)) in (self.decision..).zip(rows) {
            *device = i64::from(*seen);
            *decision = number as i64;
        }
        let tables = [seen.features, seen.tasks, seen.links, seen.servers, seen.histories];
        for (part, table) in self.parts.iter_mut().zip(tables) {
            for (into, value) in part.iter_mut().zip(table.as_slice()) {
                *into = T::of(*value);
            }
        }
    }
}

/// Does `work` for all items, on the threads of a pool if there is one.
fn each<I: Send>(pool: Option<&ThreadPool>, items: &mut [I], work: impl Fn(usize, &mut I) + Sync) {
    match pool {
        None => items.iter_mut().enumerate().for_each(|(at, item)| work(at, item)),
        Some(pool) => {
            let least = items.len().div_ceil(4 * pool.current_num_threads());
            pool.install(|| {
                let items = items.par_iter_mut().enumerate().with_min_len(least);
                items.for_each(|(at, item)| work(at, item));
            });
        }
    }
}

/// The first `count` of what is free.
fn cut<'a, T>(free: &mut &'a mut [T], count: usize) -> &'a mut [T] {
    let (first, rest) = std::mem::take(free).split_at_mut(count);
    *free = rest;
    first
}
