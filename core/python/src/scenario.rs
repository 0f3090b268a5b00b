//! Scenarios: read, changed, asked for what they say.

use std::path::{Path, PathBuf};

use numpy::{PyArray1, PyArrayMethods};
use offramp_explain::{Kind, Problem};
use offramp_model::observation::{self, Column};
use offramp_scenario::{Experiment, Scenario as Point, has, replace, value_of};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyDictMethods, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::error::{ScenarioError, bad_input};

/// A scenario: the text of a RON file, and the folder that its paths start from.
#[pyclass(module = "offramp._offramp", frozen, subclass)]
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) experiment: Experiment,
    /// The name that errors use.
    source: String,
    pub(crate) folder: PathBuf,
}

impl Scenario {
    pub(crate) fn parsed(source: &str, text: String, folder: &Path) -> PyResult<Self> {
        let experiment = Experiment::parse(source, text, folder, &[]).map_err(bad_input)?;
        Ok(Self { experiment, source: source.to_owned(), folder: folder.to_owned() })
    }

    /// Its only point.
    pub(crate) fn point(&self) -> PyResult<&Point> {
        match self.experiment.points.as_slice() {
            [point] => Ok(point),
            points => {
                let message = format!(
                    "{}: it has a sweep of {} points, and one is needed here: set its fields with \
                     `with_`, and `sweep` to {{}}",
                    self.source,
                    points.len()
                );
                Err(ScenarioError::new_err(message))
            }
        }
    }
}

#[pymethods]
impl Scenario {
    #[new]
    #[pyo3(signature = (text, folder = PathBuf::from("."), source = "scenario"))]
    fn new(text: String, folder: PathBuf, source: &str) -> PyResult<Self> {
        Self::parsed(source, text, &absolute(&folder))
    }

    /// Reads a scenario file.
    #[staticmethod]
    fn load(path: PathBuf) -> PyResult<Self> {
        let explained = |error| Problem::from(error).unless_mistaken(&path, Kind::Scenario);
        let experiment =
            Experiment::read(&path, &[]).map_err(|error| bad_input(explained(error)))?;
        let folder = absolute(path.parent().unwrap_or(Path::new("")));
        // Once more, so that its paths start from the absolute folder.
        Self::parsed(&path.display().to_string(), experiment.text, &folder)
    }

    /// The scenario with other values, by the paths of fields.
    fn with_settings(&self, settings: &Bound<'_, PyDict>) -> PyResult<Self> {
        let mut changed = self.clone();
        for (field, value) in settings {
            let field: String = field.extract()?;
            changed = changed.with_value(&field, &value)?;
        }
        Ok(changed)
    }

    /// Its text, with values of files of settings and of `with_` in their places.
    #[getter]
    fn text(&self) -> &str {
        &self.experiment.text
    }

    /// The folder that its paths start from.
    #[getter]
    fn folder(&self) -> &Path {
        &self.folder
    }

    #[getter]
    fn source(&self) -> &str {
        &self.source
    }

    /// The RON of a field, None if it is left out.
    fn field(&self, path: &str) -> Option<&str> {
        value_of(&self.experiment.text, path)
    }

    /// The name that results use.
    #[getter]
    fn name(&self) -> &str {
        &self.experiment.name
    }

    /// The number of points of its sweep; 1 without one.
    #[getter]
    fn points(&self) -> usize {
        self.experiment.points.len()
    }

    /// N: devices.
    #[getter]
    fn devices(&self) -> PyResult<u32> {
        Ok(self.point()?.system.device_count())
    }

    /// M: servers.
    #[getter]
    fn servers(&self) -> PyResult<u32> {
        Ok(self.point()?.system.server_count())
    }

    /// T: slots of an episode, those after the last arrival included.
    #[getter]
    fn slots(&self) -> PyResult<u32> {
        Ok(self.point()?.system.slot_count())
    }

    /// K: load vectors in a history.
    #[getter]
    fn history_slots(&self) -> PyResult<u32> {
        Ok(self.point()?.observation.history_slots)
    }

    /// The kind of observation, as scenarios spell it.
    #[getter]
    fn observation(&self) -> PyResult<&str> {
        Ok(self.point()?.observation.kind.name())
    }

    /// The names of the F features of o.
    #[getter]
    fn features(&self) -> PyResult<Vec<String>> {
        let point = self.point()?;
        let features = observation::features(&point.system, point.observation.kind);
        Ok(features.into_iter().map(|feature| feature.name).collect())
    }

    /// A size that each feature rarely exceeds, above 0: what a network may divide it by.
    #[getter]
    fn feature_scales<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let point = self.point()?;
        let features = observation::features(&point.system, point.observation.kind);
        Ok(PyArray1::from_iter(py, features.into_iter().map(|feature| feature.scale)))
    }

    /// A load that is rarely exceeded: what a network may divide the history by.
    #[getter]
    fn history_scale(&self) -> PyResult<f64> {
        Ok(observation::load_scale(&self.point()?.system))
    }

    /// True if uplink rates change during an episode.
    #[getter]
    fn rates_change(&self) -> PyResult<bool> {
        Ok(self.point()?.system.rates_change())
    }

    /// True for each device and server between which there is a link: N × M. Where rates change, all are
    /// true, and the column `uplink_mbps` of links says which rates are 0.
    fn reachable<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, numpy::PyArray2<bool>>> {
        let system = &self.point()?.system;
        let (devices, servers) = (system.device_count(), system.server_count());
        let links = (0..devices)
            .flat_map(|device| (0..servers).map(move |server| (device, server)))
            .map(|(device, server)| system.reaches(device, server));
        PyArray1::from_iter(py, links).reshape([devices as usize, servers as usize])
    }

    /// The names of the columns of the three tables: of tasks, of links, of servers, with what they
    /// broadcast.
    fn columns(&self) -> PyResult<[Vec<&'static str>; 3]> {
        let observation = &self.point()?.observation;
        let name = |column: &'static Column| column.name;
        Ok([
            observation::task_columns().iter().map(name).collect(),
            observation::link_columns().iter().map(name).collect(),
            observation.server_columns().map(name).collect(),
        ])
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.experiment.text == other.experiment.text && self.folder == other.folder
    }

    fn __hash__(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        (&self.experiment.text, &self.folder).hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self) -> String {
        format!("Scenario({:?}, {})", self.experiment.name, self.source)
    }
}

impl Scenario {
    /// The scenario with `value` at `field`. A text is RON where RON is valid there, and a string
    /// where it is not.
    fn with_value(&self, field: &str, value: &Bound<'_, PyAny>) -> PyResult<Self> {
        if field.is_empty() {
            return Err(ScenarioError::new_err("a field needs a name, such as \"system.devices\""));
        }
        let written = ron(value, 0).map_err(|error| {
            let message = format!("{field}: {}", error.value(value.py()));
            ScenarioError::new_err(message)
        })?;
        // A text may be a string, a dictionary without names a map.
        let text = value.cast::<PyString>().ok().map(|text| format!("{:?}", text.to_string()));
        let empty = value.cast::<PyDict>().is_ok_and(PyDictMethods::is_empty);
        let quoted = text.or(empty.then(|| "{}".to_owned()));
        let mut first = None;
        for value in [Some(written), quoted].into_iter().flatten() {
            match self.with_ron(field, &value) {
                Ok(changed) => return Ok(changed),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or_else(|| ScenarioError::new_err(format!("`{field}` has no value"))))
    }

    fn with_ron(&self, field: &str, value: &str) -> PyResult<Self> {
        let text = replace(&self.experiment.text, field, value).ok_or_else(|| {
            ScenarioError::new_err(format!("{}: there is no field `{field}`", self.source))
        })?;
        let changed = Self::parsed(&self.source, text, &self.folder)?;
        // A text with brackets of its own could end the value early.
        if has(&changed.experiment.text, field) {
            Ok(changed)
        } else {
            Err(ScenarioError::new_err(format!("`{value}` is not a value of `{field}`")))
        }
    }
}

/// Values inside values that are written at most.
const MAX_DEPTH: usize = 100;

/// A value as RON, `depth` levels inside another.
fn ron(value: &Bound<'_, PyAny>, depth: usize) -> PyResult<String> {
    if depth > MAX_DEPTH {
        let message = format!("values are nested more than {MAX_DEPTH} deep");
        return Err(ScenarioError::new_err(message));
    }
    if value.is_none() {
        return Ok("None".to_owned());
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(text.to_string());
    }
    if value.is_instance_of::<PyBool>() {
        return Ok(value.extract::<bool>()?.to_string());
    }
    if value.is_instance_of::<PyInt>() || value.is_instance_of::<PyFloat>() {
        return Ok(value.str()?.to_string());
    }
    if let Ok(fields) = value.cast::<PyDict>() {
        let names = fields.keys().iter().map(|name| name.extract());
        let names: Vec<String> = names.collect::<PyResult<_>>()?;
        // Names of fields make a struct, paths of fields a map.
        let is_field = |name: &String| name.chars().all(|c| c.is_alphanumeric() || c == '_');
        let is_struct = names.iter().all(is_field);
        let pairs = names.iter().zip(fields.values()).map(|(name, value)| {
            let value = nested(&value, depth + 1)?;
            Ok(if is_struct { format!("{name}: {value}") } else { format!("{name:?}: {value}") })
        });
        let pairs = pairs.collect::<PyResult<Vec<_>>>()?.join(", ");
        return Ok(if is_struct { format!("({pairs})") } else { format!("{{{pairs}}}") });
    }
    // NumPy's numbers and arrays.
    if let Ok(plain) = value.call_method0("tolist") {
        return ron(&plain, depth + 1);
    }
    if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        let items = value.try_iter()?.map(|item| nested(&item?, depth + 1));
        return Ok(format!("[{}]", items.collect::<PyResult<Vec<_>>>()?.join(", ")));
    }
    let kind = value.get_type().name()?;
    let message = format!(
        "a number, a boolean, a text, a list or a dictionary is needed, not an object of type {kind}"
    );
    Err(ScenarioError::new_err(message))
}

/// A value as RON, for a scenario's text.
#[pyfunction]
#[pyo3(name = "ron")]
pub(crate) fn to_ron(value: &Bound<'_, PyAny>) -> PyResult<String> {
    nested(value, 0)
}

/// A value inside another: a text is a string, unless it is marked as RON.
fn nested(value: &Bound<'_, PyAny>, depth: usize) -> PyResult<String> {
    match value.cast_exact::<PyString>() {
        Ok(text) => Ok(format!("{:?}", text.to_string())),
        Err(_) => ron(value, depth),
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(Path::new(".").join(path)).unwrap_or_else(|_| path.to_owned())
}
