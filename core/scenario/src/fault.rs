//! Faults of a scenario or study file: the place, what is wrong there, and how to mend it.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::outline::Outline;

/// The reason why a scenario or study file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file can't be read.
    #[error("{path}: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause, as the system reports it.
        cause: std::io::Error,
    },
    /// The file is not a valid scenario.
    #[error("{0}")]
    Invalid(Box<Fault>),
}

/// A fault, with its place in a file.
#[derive(Debug)]
pub struct Fault {
    /// The file, with the point of the sweep if only that point is at fault.
    pub source_name: String,
    /// The text of the file.
    pub text: String,
    /// The bytes of the text that are at fault.
    pub span: Range<usize>,
    /// The fault, in a sentence without a full stop.
    pub message: String,
    /// How to mend it, if known.
    pub help: Option<String>,
}

impl std::error::Error for Fault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = &self.text[..self.span.start];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&character| character != '\n').count() + 1;
        write!(f, "{}:{line}:{column}: {}", self.source_name, self.message)
    }
}

/// Upper bound on the size of a scenario file.
const MAX_BYTES: u64 = 64 << 20;

/// Reads the text of a scenario or study file, of at most 64 MiB.
///
/// # Errors
/// [`ScenarioError::Unreadable`].
pub fn read_text(path: &Path) -> Result<String, ScenarioError> {
    let unreadable = |cause| ScenarioError::Unreadable { path: path.to_owned(), cause };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_BYTES {
        let cause = std::io::Error::other(format!("{size} bytes exceed the limit of {MAX_BYTES}"));
        return Err(unreadable(cause));
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

/// Reads a value from RON, in which `Some` may be left out; [`Raw`](crate::Raw) keeps a value as
/// text.
///
/// # Errors
/// The first fault with its place, and the nearest valid name where a name is wrong.
pub fn read_ron<T: DeserializeOwned>(source_name: &str, text: &str) -> Result<T, Fault> {
    let options =
        ron::Options::default().with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME);
    options.from_str(text).map_err(|error| {
        let start = byte_of(text, error.span.start);
        let end = byte_of(text, error.span.end).max(start);
        let (message, help) = explain(&error.code);
        let (source_name, text) = (source_name.to_owned(), text.to_owned());
        Fault { source_name, text, span: start..end, message, help }
    })
}

/// A fault of the value of `field` in `text`, or of the closest enclosing value that exists.
pub fn fault_of(
    source_name: &str,
    text: &str,
    field: &str,
    message: String,
    help: Option<String>,
) -> Fault {
    let span = Outline::of(text).find_nearest(field).span.clone();
    let (source_name, text) = (source_name.to_owned(), text.to_owned());
    Fault { source_name, text, span, message, help }
}

/// The message of `ron`, with the nearest valid name where a name is wrong.
pub(crate) fn explain(error: &ron::Error) -> (String, Option<String>) {
    let near = |found: &str, expected: &[&'static str]| {
        nearest(found, expected.iter().copied())
            .map(|name| format!("did you mean `{name}`?"))
            .or_else(|| Some(format!("there are: {}", expected.join(", "))))
    };
    let inside = |outer: &Option<String>| {
        outer.as_ref().map_or_else(String::new, |outer| format!(" in `{outer}`"))
    };
    match error {
        ron::Error::NoSuchStructField { expected, found, outer } => {
            (format!("there is no field `{found}`{}", inside(outer)), near(found, expected))
        }
        ron::Error::NoSuchEnumVariant { expected, found, .. } => {
            (format!("there is no `{found}` here"), near(found, expected))
        }
        ron::Error::MissingStructField { field, outer } => {
            (format!("the field `{field}`{} is missing", inside(outer)), None)
        }
        other => (other.to_string(), None),
    }
}

/// The byte at a line and column, both counted from 1 in characters.
fn byte_of(text: &str, position: ron::error::Position) -> usize {
    let line_start: usize =
        text.split_inclusive('\n').take(position.line.saturating_sub(1)).map(str::len).sum();
    let line = &text[line_start.min(text.len())..];
    let column = position.col.saturating_sub(1);
    line.char_indices().nth(column).map_or(text.len(), |(byte, _)| line_start + byte)
}

/// The one of `known` that `name` probably stands for, misspelt or cut short.
pub fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str> + Clone) -> Option<&'k str> {
    let misspelt = known
        .clone()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(3) / 3 + 1)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate);
    let mut cut_short = known;
    misspelt.or_else(|| cut_short.find(|candidate| name.len() >= 3 && candidate.starts_with(name)))
}
