//! Provenance: which build computed results, and on what.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::files::write_atomically;

/// Which build computed results, and on what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The version of offramp.
    pub offramp: String,
    /// The build id of its engine, 16 hexadecimal digits: equal ids are equal sources of everything
    /// that computes results.
    pub engine: String,
    /// The commit that was checked out when the engine was built, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The processor.
    pub processor: String,
}

/// The name of the file in the folder of a training or distillation.
const FILE: &str = "provenance.json";

/// Adds `ours` to the record in the folder of a training or distillation, unless it is the last
/// one there: a training that is resumed elsewhere has several.
///
/// # Errors
/// The system's error. A record that can't be read is replaced.
pub fn add(folder: &Path, ours: &Provenance) -> std::io::Result<()> {
    let path = folder.join(FILE);
    let text = std::fs::read(&path).unwrap_or_default();
    let mut all: Vec<Provenance> = serde_json::from_slice(&text).unwrap_or_default();
    if all.last() == Some(ours) {
        return Ok(());
    }
    all.push(ours.clone());
    let text = serde_json::to_string_pretty(&all)? + "\n";
    write_atomically(&path, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_that_computed_a_part_is_recorded_once() {
        let folder = tempfile::tempdir().unwrap();
        let on =
            |processor: &str| Provenance { processor: processor.into(), ..Provenance::default() };
        for processor in ["a", "a", "b", "b"] {
            add(folder.path(), &on(processor)).unwrap();
        }
        let text = std::fs::read(folder.path().join(FILE)).unwrap();
        let all: Vec<Provenance> = serde_json::from_slice(&text).unwrap();
        assert_eq!(all, [on("a"), on("b")]);
    }
}
