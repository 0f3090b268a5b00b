//! Origin: what a training or a distillation is made of, part by part. It is saved with the state,
//! so that a resumed one continues what it began, and can say which part is another now.
//!
//! Fields that change nothing of what is learned are left out: how long it learns (unless a plugin
//! depends on that, or rounds divide it), how often it is validated and saved, and all that concerns evaluations. So these may change when it resumes. A
//! hash of the whole text would be simpler, and could not say more than that something differs.

use std::path::{Path, PathBuf};

use offramp_host::plugin::Context;
use offramp_host::{CallFailure, CallFault, Library, OfferKind, PluginRef, Policy};
use offramp_results::checkpoint;
use offramp_results::files::{FileRecord, MAX_DATA_BYTES, sha256};
use offramp_scenario::{Scenario, fields_of};
use serde::{Deserialize, Serialize};

use crate::context::{PolicyContext, file_bytes};
use crate::engine::ENGINE;
use crate::identity::recorded_files;

/// The parts of a training, a distillation or a search, in a fixed order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin(Vec<Part>);

/// A part: its name, as messages show it, and its value or the hash of a long one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    name: String,
    value: String,
}

/// Sections and fields of a scenario that nothing learned depends on.
const FREE: [&str; 8] =
    ["name", "about", "settings", "policies", "evaluate", "isolate", "limits", "sweep"];

/// Fields that are parts only if what is learned depends on the whole length, and of what.
const LENGTHS: [(&str, &str); 2] =
    [("`train.episodes`", "training"), ("`distill.steps`", "distillation")];

/// Prefix of the value of a part that is a hash.
const HASH: &str = "SHA-256 ";

impl Origin {
    /// The parts that a scenario states, without its `free` fields and sections.
    pub fn of_scenario(scenario: &Scenario, free: &[&str]) -> Self {
        let mut fields = Vec::new();
        leaves("", &scenario.text, &mut fields);
        let is_in = |field: &str, section: &str| {
            field.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        fields.retain(|(field, _)| !FREE.iter().chain(free).any(|free| is_in(field, free)));
        fields.sort();
        let mut origin = Self::default();
        origin.add("the engine of offramp".to_owned(), ENGINE.to_owned());
        for (field, value) in fields {
            let value = if value.len() > 60 { hash(value.as_bytes()) } else { value };
            origin.add(format!("`{field}`"), value);
        }
        // They were read a moment ago; one that has vanished since is another file now.
        for FileRecord { path, sha256 } in recorded_files(scenario).unwrap_or_default() {
            origin.add_hash(format!("the recorded data {path}"), &sha256);
        }
        origin
    }

    /// SHA-256 of the parts so far, in hexadecimal.
    pub fn sha256(&self) -> String {
        sha256(format!("{self:?}").as_bytes())
    }

    /// Leaves out a field that is free under certain conditions only.
    pub fn leave_out(&mut self, field: &str) {
        self.0.retain(|part| part.name != format!("`{field}`"));
    }

    /// Adds a part: its name, as messages show it, and its value.
    pub fn add(&mut self, name: String, value: String) {
        self.0.push(Part { name, value });
    }

    /// Adds a part with the SHA-256 of what is too long to be shown.
    pub fn add_hash(&mut self, name: String, sha256: &str) {
        self.add(name, format!("{HASH}{sha256}"));
    }

    /// Adds the library of the plugin that the scenario names in `field`, and the files that the
    /// instance reads by itself.
    pub fn add_plugin(&mut self, field: &str, library: &Library, files: &[FileRecord]) {
        self.add_hash(format!("the plugin of `{field}`"), &library.sha256);
        for FileRecord { path, sha256 } in files {
            self.add_hash(format!("the file {path} of `{field}`"), sha256);
        }
    }

    /// Adds the bytes of a checkpoint that the scenario names in `field`.
    pub fn add_checkpoint(&mut self, field: &str, checkpoint: &[u8]) {
        self.add(format!("the file of `{field}`"), hash(checkpoint));
    }

    /// The first part that is another one now than in `then`, as a message states it; `None` if all
    /// are the same.
    pub fn difference(&self, then: &Self) -> Option<String> {
        let value = |origin: &Self, name: &str| {
            let part = origin.0.iter().find(|part| part.name == name);
            part.map(|part| part.value.clone())
        };
        let names = then.0.iter().chain(&self.0).map(|part| &part.name);
        let changes = names.map(|name| (name, value(then, name), value(self, name)));
        let mut changed = changes.filter(|(_, then, now)| then != now);
        let is_length = |name: &str| LENGTHS.iter().any(|(field, _)| *field == name);
        // A length is a part because of the plugins: if one of them is another now, that is the reason.
        let first = changed.next()?;
        let (name, then, now) = match is_length(first.0) {
            true => changed.find(|(name, ..)| !is_length(name)).unwrap_or(first),
            false => first,
        };
        let hashed = |value: &Option<String>| value.as_ref().is_some_and(|v| v.starts_with(HASH));
        if hashed(&then) || hashed(&now) {
            return Some(match (then, now) {
                (None, _) => format!("{name} was not part of it when it began"),
                (_, None) => format!("{name} is not part of it any more"),
                _ => format!("{name} has changed since it began"),
            });
        }
        let shown = |value: Option<String>| value.unwrap_or_else(|| "left out".to_owned());
        let change = format!("{name} was {} when it began, and is {} now", shown(then), shown(now));
        let Some((_, another)) = LENGTHS.iter().find(|(field, _)| *field == name) else {
            return Some(change);
        };
        Some(format!(
            "{change}; what it learns depends on the whole length: begin another {another} `from` \
             its checkpoint"
        ))
    }
}

fn hash(bytes: &[u8]) -> String {
    format!("{HASH}{}", sha256(bytes))
}

/// Appends the fields of a struct or map, and of those in it, that are neither themselves: path and
/// text of each.
fn leaves(path: &str, text: &str, all: &mut Vec<(String, String)>) {
    let fields = if text.trim_start().starts_with(['(', '{']) || path.is_empty() {
        fields_of(text)
    } else {
        Vec::new()
    };
    // The elements of a tuple are called by their numbers.
    if fields.is_empty()
        || fields.iter().any(|(name, _)| name.starts_with(|c: char| c.is_ascii_digit()))
    {
        if !path.is_empty() {
            all.push((path.to_owned(), text.to_owned()));
        }
        return;
    }
    for (name, value) in fields {
        let path = if path.is_empty() { name } else { format!("{path}.{name}") };
        leaves(&path, value, all);
    }
}

/// A plugin refuses what the scenario states: its parameters, a checkpoint, a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct Refusal {
    /// The field of the scenario.
    pub field: String,
    /// The reason.
    pub cause: String,
}

/// A checkpoint that instances are created from, or none.
#[derive(Debug, Default)]
pub struct Checkpoint {
    bytes: Option<Vec<u8>>,
    /// The absolute path of its file, as bytes; empty if there is none.
    file: Vec<u8>,
}

impl Checkpoint {
    /// Reads the checkpoint that the scenario names in `field`, if it names one.
    ///
    /// # Errors
    /// [`Refusal`] if it can't be read.
    pub fn read(field: &str, file: Option<&Path>) -> Result<Self, Refusal> {
        let read = |path: &Path| {
            checkpoint::bytes(path).map_err(|cause| Refusal {
                field: field.to_owned(),
                cause: format!("checkpoint {}: {cause}", path.display()),
            })
        };
        Ok(Self { bytes: file.map(read).transpose()?, file: file_bytes(file) })
    }

    /// Its bytes, if there is one.
    pub fn bytes(&self) -> Option<&[u8]> {
        self.bytes.as_deref()
    }

    /// `context` with it.
    pub fn handed_to<'a>(&'a self, context: &Context<'a>) -> Context<'a> {
        Context {
            checkpoint: self.bytes().map(Into::into).into(),
            checkpoint_file: self.file.as_slice().into(),
            ..*context
        }
    }

    /// Creates what learns, from the checkpoint that the scenario names in `field` if it names one.
    /// If that is refused, it is created once more without the checkpoint, to tell whether the
    /// checkpoint or `parameters` is at fault.
    ///
    /// # Errors
    /// [`NotCreated`].
    pub fn begun(
        &self,
        field: &str,
        parameters: &str,
        folder: &Path,
        create: impl Fn(&Self) -> Result<Box<dyn Policy>, CallFailure>,
    ) -> Result<(Box<dyn Policy>, Vec<FileRecord>), NotCreated> {
        let made = create(self);
        let at_fault = made.is_err() && self.bytes.is_some() && create(&Self::default()).is_ok();
        let field = if at_fault { field } else { parameters };
        created(field, folder, made, |policy| policy.files())
    }
}

/// Why an instance of a plugin was not created.
#[derive(Debug)]
pub enum NotCreated {
    /// The scenario is at fault.
    Refused(Refusal),
    /// The plugin is.
    Crashed(CallFailure),
}

/// The instance that a plugin created for `field`, with the records of the files that it reads by
/// itself; relative ones are in `folder`.
///
/// # Errors
/// [`NotCreated`].
pub fn created<T>(
    field: &str,
    folder: &Path,
    created: Result<T, CallFailure>,
    files: impl FnOnce(&T) -> Result<Vec<PathBuf>, CallFailure>,
) -> Result<(T, Vec<FileRecord>), NotCreated> {
    let refused = |cause: String| NotCreated::Refused(Refusal { field: field.to_owned(), cause });
    let not_created = |failure: CallFailure| match failure.fault {
        CallFault::Panic(_) => NotCreated::Crashed(failure),
        _ => refused(failure.to_string()),
    };
    let instance = created.map_err(not_created)?;
    let record = |file: PathBuf| {
        FileRecord::of(&file, folder, MAX_DATA_BYTES)
            .map_err(|cause| refused(format!("file {}: {cause}", file.display())))
    };
    let files = files(&instance).map_err(not_created)?.into_iter().map(record);
    let files = files.collect::<Result<_, _>>()?;
    Ok((instance, files))
}

/// The files that an instance of a plugin reads by itself, if it is created without a checkpoint;
/// none if it can't be: the reason shows when it is run.
pub fn files_of(scenario: &Scenario, plugin: &PluginRef, parameters: &str) -> Vec<FileRecord> {
    let context = PolicyContext::new(scenario, "");
    let lent = context.lend();
    let context = lent.context(parameters, None, 0, 1);
    let folder = &scenario.folder;
    let files = match plugin.offer.kind {
        OfferKind::Policy => {
            created("", folder, plugin.create_policy(&context), |policy| policy.files())
                .map(|(_, files)| files)
        }
        OfferKind::Explorer => {
            created("", folder, plugin.create_explorer(&context), |explorer| explorer.files())
                .map(|(_, files)| files)
        }
    };
    files.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use offramp_scenario::Experiment;

    fn origin(text: &str) -> Origin {
        let experiment = Experiment::parse("x", text.to_owned(), Path::new(""), &[]).unwrap();
        Origin::of_scenario(&experiment.points[0], &["distill", "tune", "train.episodes"])
    }

    const TEXT: &str = "(name: \"x\", tasks: (arrival_probability: 0.3, deadline_slots: 10),
        alpha: (modes: [0.25, 0.75]),
        train: (learner: (plugin: \"l\", parameters: (rate: Adam(0.1))), episodes: 5))";

    #[test]
    fn what_is_not_learned_from_may_change() {
        let other = "(about: \"y\", /* why */ alpha: (modes: [0.25, 0.75]), name: \"y\",
            policies: [(plugin: \"p\")], evaluate: (episodes: 3, seed: 4), isolate: true,
            tasks: (deadline_slots: 10, // on time
                arrival_probability: 0.3),
            train: (learner: (plugin: \"l\", parameters: (rate: Adam(0.1))), episodes: 9))";
        assert_eq!(origin(other).difference(&origin(TEXT)), None);
        assert_eq!(origin(other).sha256(), origin(TEXT).sha256());
    }

    #[test]
    fn what_has_changed_is_named() {
        let change = |from: &str, to: &str| {
            assert!(TEXT.contains(from), "{from}");
            origin(&TEXT.replace(from, to)).difference(&origin(TEXT)).unwrap()
        };
        assert_eq!(
            change("0.3", "0.4"),
            "`tasks.arrival_probability` was 0.3 when it began, and is 0.4 now"
        );
        assert_eq!(
            change("rate: Adam(0.1)", "rate: Adam(0.2)"),
            "`train.learner.parameters.rate` was Adam(0.1) when it began, and is Adam(0.2) now"
        );
        assert_eq!(
            change(", deadline_slots: 10", ""),
            "`tasks.deadline_slots` was 10 when it began, and is left out now"
        );
        assert_eq!(
            change(
                "[0.25, 0.75]",
                &format!("{:?}", (0..30).map(|at| f64::from(at) / 29.0).collect::<Vec<_>>())
            ),
            "`alpha.modes` has changed since it began"
        );
        assert_eq!(
            change("alpha:", "system: (seed: 2), alpha:"),
            "`system.seed` was left out when it began, and is 2 now"
        );
    }
}
