//! The Python package `offramp`: the workbench as Python objects and NumPy arrays.
//!
//! Conversion alone: what is computed is computed by the crates below, on which the command rests
//! too. `python/offramp` has what users import; this is its private module `_offramp`. The library
//! is also a plugin, which offers the policy that hands its decisions to a Python callable.
//!
//! The interpreter's lock is released while anything is computed. A long call works on threads of
//! its own, so that Ctrl-C is heard.

mod batch;
mod error;
mod evaluate;
mod learn;
mod plugins;
mod policy;
mod results;
mod scenario;
mod threads;

use pyo3::prelude::*;

offramp_plugin::export_plugin!();

#[pymodule]
mod _offramp {
    #[pymodule_export]
    use super::batch::Batch;
    #[pymodule_export]
    use super::evaluate::evaluate;
    #[pymodule_export]
    use super::learn::{distill_policy, live_run, reproduce, train_policy};
    #[pymodule_export]
    use super::policy::Registered;
    #[pymodule_export]
    use super::results::Results;
    #[pymodule_export]
    use super::scenario::{Scenario, to_ron};

    use super::{PyModule, PyResult};
    use pyo3::Bound;
    use pyo3::types::PyModuleMethods;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        // NumPy's interface is loaded now: later, Ctrl-C could come between.
        drop(numpy::PyArray1::<f64>::zeros(module.py(), 0, false));
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("engine", offramp_harness::engine::ENGINE)
    }
}
