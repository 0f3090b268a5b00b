//! Exceptions, with the text of the command.

use std::ffi::CString;

use offramp_explain::Problem;
use offramp_report::page::PageError;
use pyo3::exceptions::PyUserWarning;
use pyo3::prelude::*;

pyo3::import_exception!(offramp._errors, ScenarioError);
pyo3::import_exception!(offramp._errors, RunError);

/// Bad input: nothing was done.
pub(crate) fn bad_input(problem: impl Into<Problem>) -> PyErr {
    ScenarioError::new_err(in_python(problem.into().text().trim()))
}

/// Warns of a page that can't be written: the results it shows are there.
pub(crate) fn warn_of_page(py: Python<'_>, written: Result<(), PageError>) -> PyResult<()> {
    let Err(error) = written else { return Ok(()) };
    let text = CString::new(format!("can't write the results page: {error}"))?;
    PyErr::warn(py, &py.get_type::<PyUserWarning>(), &text, 1)
}

/// The text of the command, with arguments of Python for its options.
fn in_python(text: &str) -> String {
    text.replace("--resume", "resume=True")
        .replace("--out", "`out`")
        .replace("--dataset", "`dataset`")
        .replace("--plugins", "`plugins`")
}
