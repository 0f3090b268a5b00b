//! Exceptions, with the text of the command.

use offramp_explain::Problem;
use pyo3::PyErr;

pyo3::import_exception!(offramp._errors, ScenarioError);
pyo3::import_exception!(offramp._errors, RunError);

/// Bad input: nothing was done.
pub(crate) fn bad_input(problem: impl Into<Problem>) -> PyErr {
    ScenarioError::new_err(in_python(problem.into().text().trim()))
}

/// The text of the command, with arguments of Python for its options.
fn in_python(text: &str) -> String {
    text.replace("--resume", "resume=True")
        .replace("--out", "`out`")
        .replace("--dataset", "`dataset`")
        .replace("--plugins", "`plugins`")
}
