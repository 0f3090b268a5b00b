//! Exceptions, with the text of the command.

use offramp_explain::Problem;
use pyo3::PyErr;

pyo3::import_exception!(offramp._errors, ScenarioError);
pyo3::import_exception!(offramp._errors, RunError);

/// Bad input: nothing was done.
pub(crate) fn bad_input(problem: impl Into<Problem>) -> PyErr {
    ScenarioError::new_err(problem.into().text().trim().to_owned())
}
