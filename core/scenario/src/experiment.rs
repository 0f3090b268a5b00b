//! Experiments: a scenario file with every point of its sweep.

use std::path::Path;

use crate::fault::{Fault, ScenarioError, read_text};
use crate::file::ScenarioFile;
use crate::outline::{has, replace, value_of};
use crate::scenario::Scenario;
use crate::settings;
use crate::source::Source;
use crate::sweep::{self, point_text};

/// A scenario file that has been read, with every point of its sweep.
///
/// `P` is the type of a point: a [`Scenario`], or whatever a scenario has been bound to.
#[derive(Clone, Debug)]
pub struct Experiment<P = Scenario> {
    /// The name that results use.
    pub name: String,
    /// The text of the file as it is run, including values of files of settings and changes from
    /// the command line.
    pub text: String,
    /// Every point of the sweep, in order: at least one.
    pub points: Vec<P>,
}

/// A field whose value the command line overrides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The path of the field, such as `evaluate.seed`.
    pub field: &'static str,
    /// Its value.
    pub value: SettingValue,
}

/// The value that a [`Setting`] gives to a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingValue {
    /// This one, as RON.
    Is(String),
    /// That of the file, but at most this.
    AtMost(u64),
}

impl Experiment {
    /// Reads a scenario file, with `settings` overriding the file's own values and those of the
    /// files of settings that it names. A setting inside a
    /// section that the file lacks has no effect; `evaluate` is the exception.
    ///
    /// # Errors
    /// [`ScenarioError`] with the place in the file, what is wrong and how to mend it.
    pub fn read(path: &Path, settings: &[Setting]) -> Result<Self, ScenarioError> {
        let text = read_text(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let name = path.display().to_string();
        Self::parse(&name, text, folder, settings)
            .map_err(|fault| ScenarioError::Invalid(Box::new(fault)))
    }

    /// Reads the text of a scenario. Errors refer to it by `source_name`; paths in it are relative
    /// to `folder`.
    ///
    /// # Errors
    /// The first fault.
    pub fn parse(
        source_name: &str,
        text: String,
        folder: &Path,
        settings: &[Setting],
    ) -> Result<Self, Fault> {
        let source = Source { name: source_name, text: &text, folder };
        source.read_file()?; // So that an error shows the file as it was written.
        let (name, written) =
            settings::applied(source)?.unwrap_or_else(|| (source_name.to_owned(), text.clone()));
        let text = with_settings(&written, settings);
        let source = Source { name: &name, text: &text, folder };
        let read = || {
            let file = source.read_file()?;
            without_effect(source, &file, settings)?;
            let points = sweep::points(&source, &file.sweep)?
                .into_iter()
                .map(|values| point(source, &written, &file, values))
                .collect::<Result<_, _>>()?;
            Ok((file.name, points))
        };
        let (name, points) =
            read().map_err(|fault: Fault| fault.in_text_written(&text, &written))?;
        Ok(Self { name, text, points })
    }
}

impl<P> Experiment<P> {
    /// Turns every point into something else.
    ///
    /// # Errors
    /// The first error of `bind`.
    pub fn try_map<Q, E>(self, bind: impl FnMut(P) -> Result<Q, E>) -> Result<Experiment<Q>, E> {
        let Self { name, text, points } = self;
        let points = points.into_iter().map(bind).collect::<Result<_, _>>()?;
        Ok(Experiment { name, text, points })
    }
}

/// A setting of what is swept would be replaced at every point.
fn without_effect(
    source: Source<'_>,
    file: &ScenarioFile,
    settings: &[Setting],
) -> Result<(), Fault> {
    let is_in = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    for swept in file.sweep.keys() {
        let set = |setting: &&Setting| is_in(setting.field, swept) || is_in(swept, setting.field);
        if let Some(Setting { field, .. }) = settings.iter().find(set) {
            let message = format!("`{swept}` is swept: another value of `{field}` has no effect");
            let help = format!("leave out the option that sets it, or `{swept}` here");
            return Err(source.fault(&format!("sweep.{swept}"), message, Some(help)));
        }
    }
    Ok(())
}

fn with_settings(text: &str, settings: &[Setting]) -> String {
    let mut changed = text.to_owned();
    for Setting { field, value } in settings {
        let section = field.split_once('.').map(|(section, _)| section);
        let value = match value {
            SettingValue::Is(value) => Some(value.clone()),
            // Fields that are left out have defaults above any bound.
            SettingValue::AtMost(most) => {
                let own = value_of(text, field).and_then(|value| value.parse::<u64>().ok());
                own.is_none_or(|own| own > *most).then(|| most.to_string())
            }
        };
        if let Some(value) = value
            && section.is_none_or(|section| section == "evaluate" || has(text, section))
        {
            changed = replace(&changed, field, &value).unwrap_or(changed);
        }
    }
    changed
}

/// The scenario at a point of the sweep: `values` by their fields; none outside a sweep. `written` is the text
/// without the settings of the command line, to which errors refer.
fn point(
    source: Source<'_>,
    written: &str,
    file: &ScenarioFile,
    values: Vec<(String, String)>,
) -> Result<Scenario, Fault> {
    if values.is_empty() {
        return Ok(Scenario { written: written.into(), ..Scenario::new(source, file, values)? });
    }
    let (mut text, mut written) = (source.text.to_owned(), written.to_owned());
    for (field, value) in &values {
        written = replace(&written, field, value).unwrap_or(written);
        text = replace(&text, field, value).ok_or_else(|| {
            let message = format!("`sweep` names `{field}`, but this scenario has no such field");
            source.fault(&format!("sweep.{field}"), message, None)
        })?;
    }
    let name = format!("{} (sweep, {})", source.name, point_text(&values));
    let source = Source { name: &name, text: &text, folder: source.folder };
    let read = || Scenario::new(source, &source.read_file()?, values);
    let scenario = read().map_err(|fault| fault.in_text_written(&text, &written))?;
    Ok(Scenario { written: written.into(), ..scenario })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_swept_can_not_be_set() {
        let read = |sweep: &str, field| {
            let text = format!(
                "(name: \"x\", sweep: {{ \"{sweep}\": [{}] }})",
                match sweep {
                    "evaluate" => "(seed: 1)",
                    _ => "1",
                }
            );
            let setting = Setting { field, value: SettingValue::Is("3".into()) };
            Experiment::parse("x.ron", text, Path::new(""), &[setting])
                .map(|read| read.points.len())
        };
        for (sweep, field) in [
            ("evaluate.seed", "evaluate.seed"),
            ("evaluate.episodes", "evaluate.episodes"),
            ("evaluate", "evaluate.seed"),
        ] {
            assert_eq!(
                read(sweep, field).unwrap_err().message,
                format!("`{sweep}` is swept: another value of `{field}` has no effect")
            );
        }
        assert_eq!(read("evaluate.seed", "evaluate.episodes").unwrap(), 1);
    }

    /// A fault is shown where its user finds it, whatever the command line adds in front of it.
    #[test]
    fn positions_are_those_of_the_file() {
        let settings = [("hindsight", "true"), ("evaluate.seed", "9")];
        let settings =
            settings.map(|(field, value)| Setting { field, value: SettingValue::Is(value.into()) });
        let parse = |text: &str| {
            let parsed = Experiment::parse("x.ron", text.to_owned(), Path::new(""), &settings);
            parsed.map(|experiment| experiment.points)
        };
        let text = "(name: \"x\", policies: [(plugin: \"a\"), (plugin: \"a\")])";
        let fault = parse(text).unwrap_err();
        assert_eq!(fault.to_string(), "x.ron:1:39: there are two policies called `a`");
        assert_eq!(fault.text, text);
        let text = "(name: \"x\", policies: [(plugin: \"a\")])";
        let fault = parse(text).unwrap()[0].fault("policies.0.plugin", "gone".to_owned(), None);
        assert_eq!(fault.to_string(), "x.ron:1:33: gone");
        // At a point of a sweep, in the text of that point.
        let text = "(name: \"x\", system: (slots: 5), policies: [(plugin: \"a\")], \
                    sweep: {\"system.slots\": [10]})";
        let fault = parse(text).unwrap()[0].fault("policies.0.plugin", "gone".to_owned(), None);
        let expected = "x.ron (sweep, system.slots = 10):1:54: gone";
        assert_eq!(fault.to_string(), expected);
        assert!(!fault.text.contains("hindsight"), "{}", fault.text);
        // What is said of a value from the command line is shown there.
        let text = "(name: \"x\", evaluate: (seed: 1))";
        let fault = parse(text).unwrap()[0].fault("evaluate.seed", "bad".to_owned(), None);
        assert!(fault.text.contains("(seed: 9)"), "{}", fault.text);
        let text = "(name: \"x\", evaluate: (episodes: 0))";
        assert_eq!(parse(text).unwrap_err().text, text);
    }

    #[test]
    fn a_bound_changes_larger_values_alone() {
        let bounded = |text: &str| {
            let value = SettingValue::AtMost(3);
            with_settings(text, &[Setting { field: "evaluate.episodes", value }])
        };
        assert_eq!(bounded("(evaluate: (episodes: 50))"), "(evaluate: (episodes: 3))");
        assert_eq!(bounded("(evaluate: (episodes: 2))"), "(evaluate: (episodes: 2))");
        assert_eq!(bounded("(name: \"x\")"), "(evaluate: (episodes: 3), name: \"x\")");
    }
}
