//! Files of settings: fields of a scenario and their values, such as a search chooses.
//!
//! A scenario that names such files is read as if it had these values in their places. What is kept
//! of a run is that text, so a run does not depend on the file afterwards.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::Raw;
use crate::fault::{Fault, ScenarioError, fault_of, read_ron, read_text};
use crate::named_file::named_file;
use crate::outline::{has, replace};
use crate::source::Source;

/// A file of settings.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename = "Settings")]
pub struct SettingsFile {
    /// Fields of a scenario, by path, and their values.
    pub settings: BTreeMap<String, Raw>,
    /// How they were chosen, if by a search.
    #[serde(default)]
    pub tuning: Option<TuningFacts>,
}

/// How settings were chosen.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename = "tuning")]
pub struct TuningFacts {
    /// The name of the scenario that describes the search.
    pub scenario: String,
    /// Configurations that were tried.
    pub configurations: u64,
    /// Trainings or distillations of all rungs.
    pub learned: u64,
    /// Slots that all trainings played, validations apart; `None` of distillations.
    #[serde(default)]
    pub slots: Option<u64>,
    /// Steps that all distillations took; `None` of trainings.
    #[serde(default)]
    pub steps: Option<u64>,
    /// The seeds under which the finalists learned.
    pub seeds: Vec<u64>,
    /// Mean AvgQoE of the chosen configuration under these seeds, on the episodes that judged.
    pub validation_qoe: f64,
}

/// Fields that a file of settings can't set: they say what a scenario is and what it consists of.
const NOT_SETTABLE: [&str; 4] = ["name", "settings", "sweep", "tune"];

/// Reads a file of settings.
///
/// # Errors
/// [`ScenarioError`] with the place in the file and what is wrong there.
pub fn read_settings(path: &Path) -> Result<SettingsFile, ScenarioError> {
    let text = read_text(path)?;
    let name = path.display().to_string();
    parse(&name, &text).map_err(|fault| ScenarioError::Invalid(Box::new(fault)))
}

fn parse(name: &str, text: &str) -> Result<SettingsFile, Fault> {
    let file: SettingsFile = read_ron(name, text)?;
    for field in file.settings.keys() {
        let first = field.split('.').next().unwrap_or(field);
        if NOT_SETTABLE.contains(&first) {
            let message = format!("`{field}` can't be set by a file of settings");
            return Err(fault_of(name, text, &format!("settings.{field}"), message, None));
        }
    }
    Ok(file)
}

/// Reads the text of a scenario file, with the values of the files of settings that it names in
/// their places.
///
/// # Errors
/// [`ScenarioError`] with the place in the file and what is wrong there.
pub fn read_scenario_text(path: &Path) -> Result<String, ScenarioError> {
    let text = read_text(path)?;
    let name = path.display().to_string();
    let folder = path.parent().unwrap_or(Path::new(""));
    let source = Source { name: &name, text: &text, folder };
    let applied = applied(source).map_err(|fault| ScenarioError::Invalid(Box::new(fault)))?;
    Ok(applied.map_or(text, |(_, text)| text))
}

/// Reads the files of settings that a scenario file names, in its order.
///
/// # Errors
/// [`ScenarioError`] with the place in the file and what is wrong there.
pub fn read_scenario_settings(path: &Path) -> Result<Vec<SettingsFile>, ScenarioError> {
    let text = read_text(path)?;
    let name = path.display().to_string();
    let folder = path.parent().unwrap_or(Path::new(""));
    let named = named(Source { name: &name, text: &text, folder });
    let named = named.map_err(|fault| ScenarioError::Invalid(Box::new(fault)))?;
    Ok(named.into_iter().map(|named| named.contents).collect())
}

/// A file of settings that a scenario names.
struct Named {
    /// How errors refer to it.
    name: String,
    text: String,
    contents: SettingsFile,
}

/// The files of settings that a scenario names, in its order.
fn named(source: Source<'_>) -> Result<Vec<Named>, Fault> {
    if !has(source.text, "settings") {
        return Ok(Vec::new());
    }
    let files = source.read_file()?.settings;
    let read = |(number, file): (usize, &String)| {
        let at = format!("settings.{number}");
        let path = named_file(source.folder, file).map_err(|error| {
            source.fault(&at, error.to_string(), error.help().map(str::to_owned))
        })?;
        let text = read_text(&path).map_err(|error| source.fault(&at, error.to_string(), None))?;
        let name = path.display().to_string();
        Ok(Named { contents: parse(&name, &text)?, name, text })
    };
    files.iter().enumerate().map(read).collect()
}

/// The text of a scenario with the values of the files of settings that it names in their places,
/// and how errors refer to it; `None` if it names none.
pub(crate) fn applied(source: Source<'_>) -> Result<Option<(String, String)>, Fault> {
    let named = named(source)?;
    if named.is_empty() {
        return Ok(None);
    }
    let files = source.read_file()?.settings;
    let mut text = source.text.to_owned();
    for Named { name, text: own, contents } in named {
        for (field, value) in contents.settings {
            let missing = |section: &str| {
                let message = format!("this sets `{field}`, but {} has no {section}", source.name);
                fault_of(&name, &own, &format!("settings.{field}"), message, None)
            };
            // A section that learns is not made of a few settings.
            let section = field.split('.').next().unwrap_or_default();
            if ["train", "distill"].contains(&section) && !has(source.text, section) {
                return Err(missing(&format!("`{section}`")));
            }
            text = replace(&text, &field, &value.0).ok_or_else(|| missing("such field"))?;
        }
    }
    let names = files.join(", ");
    let comment = format!("[/* {} */]", names.replace("*/", ""));
    let text = replace(&text, "settings", &comment).unwrap_or(text);
    Ok(Some((format!("{} (settings, {names})", source.name), text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Experiment;

    /// What is read of a scenario with these fields beside these files.
    fn read(fields: &str, files: &[(&str, &str)]) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let text = format!("(name: \"x\", {fields})");
        let shown = |fault: Fault| {
            let folder = folder.path().display().to_string();
            fault.to_string().replace(&format!("{folder}/"), "")
        };
        Experiment::parse("x.ron", text, folder.path(), &[])
            .map(|experiment| experiment.text)
            .map_err(shown)
    }

    #[test]
    fn settings_take_the_place_of_what_is_written() {
        let files = [
            ("a.ron", "(settings: {\"system.devices\": 7, \"evaluate.seed\": 2})"),
            ("b.ron", "(settings: {\"system.devices\": 8})"),
        ];
        let text = read("settings: [\"a.ron\", \"b.ron\"], system: (devices: 5)", &files);
        let expected = "(evaluate: (seed: 2), name: \"x\", settings: [/* a.ron, b.ron */], \
                        system: (devices: 8))";
        assert_eq!(text.as_deref(), Ok(expected));
    }

    #[test]
    fn a_wrong_setting_is_named_with_its_file() {
        let check = |own: &str, text: &str, expected: &str| {
            let fields = format!("settings: [\"a.ron\"]{own}");
            assert_eq!(read(&fields, &[("a.ron", text)]).unwrap_err(), expected);
        };
        check(
            "",
            "(settings: {\"sweep\": {}})",
            "a.ron:1:22: `sweep` can't be set by a file of settings",
        );
        check(
            "",
            "(settings: {\"train.seed\": 2})",
            "a.ron:1:27: this sets `train.seed`, but x.ron has no `train`",
        );
        check(
            "",
            "(settings: {\"energy.a\": 2})",
            "x.ron (settings, a.ron):1:10: Expected identifier",
        );
        check("", "(setting: {})", "a.ron:1:2: there is no field `setting` in `Settings`");
        check(
            ", system: (servers: 2)",
            "(settings: {\"system.server\": 2})",
            "x.ron (settings, a.ron):1:47: there is no field `server` in `system`",
        );
        let missing = read("settings: [\"a.ron\"]", &[]).unwrap_err();
        assert!(missing.starts_with("x.ron:1:24: a.ron: "), "{missing}");
        let outside = read("settings: [\"../../etc/hosts\"]", &[]).unwrap_err();
        assert!(outside.starts_with("x.ron:1:24: "), "{outside}");
    }
}
