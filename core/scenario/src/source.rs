//! The text of a scenario, and how errors refer to it.

use std::path::Path;

use crate::fault::{Fault, fault_of, read_ron};
use crate::file::ScenarioFile;

/// The text of a scenario file or of one point of its sweep.
#[derive(Clone, Copy)]
pub(crate) struct Source<'t> {
    /// The name of the file, with the point of the sweep if the text is that of one.
    pub(crate) name: &'t str,
    /// The text.
    pub(crate) text: &'t str,
    /// The folder that paths in it are relative to.
    pub(crate) folder: &'t Path,
}

impl Source<'_> {
    /// A fault of the value of `field`, such as `policies.0.plugin`.
    pub(crate) fn fault(&self, field: &str, message: String, help: Option<String>) -> Fault {
        fault_of(self.name, self.text, field, message, help)
    }

    /// The first stage of reading: the contents.
    pub(crate) fn read_file(&self) -> Result<ScenarioFile, Fault> {
        read_ron(self.name, self.text)
    }
}
