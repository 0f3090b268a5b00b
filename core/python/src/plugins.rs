//! The plugins that calls search: those a caller names, those of `OFFRAMP_PLUGINS`, those of the
//! package, and the package itself for callables.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use offramp_harness::Registry;
use pyo3::prelude::*;

use crate::error::bad_input;

/// What was searched before, with what was found: to load a plugin, its file is hashed.
static KNOWN: Mutex<Vec<(Vec<PathBuf>, Arc<Registry>)>> = Mutex::new(Vec::new());

pub(crate) fn registry(py: Python<'_>, mut named: Vec<PathBuf>) -> PyResult<Arc<Registry>> {
    if let Some(paths) = std::env::var_os("OFFRAMP_PLUGINS") {
        named.extend(std::env::split_paths(&paths).filter(|path| !path.as_os_str().is_empty()));
    }
    let own: PathBuf = py.import("offramp._offramp")?.getattr("__file__")?.extract()?;
    let shipped = own.with_file_name("plugins");
    named.push(own);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, registry)) = known.iter().find(|(searched, _)| *searched == named) {
        return Ok(Arc::clone(registry));
    }
    let registry = Registry::discover(&named, Some(&shipped)).map_err(bad_input)?;
    let registry = Arc::new(registry);
    known.push((named, Arc::clone(&registry)));
    Ok(registry)
}
