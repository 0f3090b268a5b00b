//! Faults of a scenario or study file: the place, what is wrong there, and how to mend it.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::outline::{Outline, place_in};

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

impl Fault {
    /// The same fault in the file as its user wrote it, if it is one of `text`, which is `written` with values
    /// from elsewhere, and not of these.
    pub(crate) fn in_text_written(self, text: &str, written: &str) -> Self {
        if self.text != text || text == written {
            return self;
        }
        match place_in(written, text, &self.span) {
            Some(span) => Self { span, text: written.to_owned(), ..self },
            None => self,
        }
    }
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

/// Reads the text of a scenario or study file, of at most 64 MiB, without its byte order mark.
///
/// # Errors
/// [`ScenarioError::Unreadable`], also if the text is in UTF-16.
pub fn read_text(path: &Path) -> Result<String, ScenarioError> {
    let unreadable = |cause| ScenarioError::Unreadable { path: path.to_owned(), cause };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_BYTES {
        let cause = std::io::Error::other(format!("{size} bytes exceed the limit of {MAX_BYTES}"));
        return Err(unreadable(cause));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    text_of(bytes).map_err(|message| {
        unreadable(std::io::Error::new(std::io::ErrorKind::InvalidData, message))
    })
}

/// The text that `bytes` are in UTF-8, without a byte order mark.
fn text_of(bytes: Vec<u8>) -> Result<String, &'static str> {
    // With a mark, or by its first character, which is plain ASCII in RON.
    if let [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, 1..=255, ..] | [1..=255, 0, ..] = bytes[..] {
        return Err("the text is in UTF-16, not UTF-8; save it as UTF-8");
    }
    let text = String::from_utf8(bytes).map_err(|_| "the text is not valid UTF-8")?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// Reads a value from RON, in which `Some` may be left out; [`Raw`](crate::Raw) keeps a value as
/// text.
///
/// # Errors
/// The first fault with its place, and the nearest valid name where a name is wrong. A name or key
/// that is there twice is one, also in what is kept as text.
pub fn read_ron<T: DeserializeOwned>(source_name: &str, text: &str) -> Result<T, Fault> {
    let options =
        ron::Options::default().with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME);
    let value = options.from_str(text).map_err(|error| {
        let start = byte_of(text, error.span.start);
        let end = byte_of(text, error.span.end).max(start);
        let (span, message, help) = match explain_integer(&error.code, text, end) {
            Some((span, message)) => (span, message, None),
            None => {
                let (message, help) = explain(&error.code);
                // `ron` may stop in front of the space before what is wrong.
                let space = text[start..].len() - text[start..].trim_start().len();
                let start = start + space;
                (start..end.max(start), message, help)
            }
        };
        let (source_name, text) = (source_name.to_owned(), text.to_owned());
        Fault { source_name, text, span, message, help }
    })?;
    match Outline::of(text).twice() {
        None => Ok(value),
        Some((name, span)) => {
            let message = format!("`{name}` is listed twice");
            let help = Some("keep one of them".to_owned());
            let (source_name, text) = (source_name.to_owned(), text.to_owned());
            Err(Fault { source_name, text, span, message, help })
        }
    }
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
        ron::Error::ExpectedInteger => ("a whole number is needed here".to_owned(), None),
        other => (other.to_string(), None),
    }
}

/// The number and what is wrong with it, if `error` is that of reading it as an unsigned integer,
/// which ended at byte `end`. `ron` reads the digits of `1.0` and then misses a comma.
fn explain_integer(error: &ron::Error, text: &str, end: usize) -> Option<(Range<usize>, String)> {
    let after_digits = matches!(
        error,
        ron::Error::ExpectedComma
            | ron::Error::ExpectedArrayEnd
            | ron::Error::ExpectedMapEnd
            | ron::Error::ExpectedOptionEnd
            | ron::Error::ExpectedStructLikeEnd
            | ron::Error::InvalidIntegerDigit { .. }
            | ron::Error::TrailingCharacters
    );
    let out_of_bounds = *error == ron::Error::IntegerOutOfBounds;
    let of_number = |c: char| c.is_ascii_alphanumeric() || ['.', '_', '+', '-'].contains(&c);
    let start = text[..end].trim_end_matches(of_number).len();
    let length = text[end..].find(|c| !of_number(c)).unwrap_or(text.len() - end);
    let span = start..end + length;
    let number = &text[span.clone()];
    let value = number.replace('_', "").parse::<f64>().ok().filter(|value| value.is_finite())?;
    let inside = start < end && length > 0;
    let message = if !(out_of_bounds || after_digits && inside) {
        return None;
    } else if value < 0.0 {
        format!("a whole number of 0 or more is needed, not {number}")
    } else if out_of_bounds && !inside {
        format!("{number} is too large")
    } else if value.fract() == 0.0 && value <= 1e15 {
        format!("a whole number is needed, not {number}: write {value:.0}")
    } else {
        format!("a whole number is needed, not {number}")
    };
    Some((span, message))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Experiment;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let fault = Experiment::parse("x.ron", text.to_owned(), "".as_ref(), &[]).unwrap_err();
        assert_eq!(fault.to_string(), expected);
    }

    #[test]
    fn a_number_that_is_not_whole_is_named_at_its_place() {
        check(
            "(name: \"x\", evaluate: (episodes: 1.0))",
            "x.ron:1:34: a whole number is needed, not 1.0: write 1",
        );
        check(
            "(name: \"x\",\n system: (devices: 1_000.0, servers: 2))",
            "x.ron:2:20: a whole number is needed, not 1_000.0: write 1000",
        );
        check(
            "(name: \"x\", system: (slots: 1e3))",
            "x.ron:1:29: a whole number is needed, not 1e3: write 1000",
        );
        check(
            "(name: \"x\", system: (servers: 2.5))",
            "x.ron:1:31: a whole number is needed, not 2.5",
        );
        check(
            "(name: \"x\", evaluate: (seed: -1))",
            "x.ron:1:30: a whole number of 0 or more is needed, not -1",
        );
        check(
            "(name: \"x\", evaluate: (seed: -1.5, episodes: 2))",
            "x.ron:1:30: a whole number of 0 or more is needed, not -1.5",
        );
        check(
            "(name: \"x\", system: (devices: 5000000000))",
            "x.ron:1:31: 5000000000 is too large",
        );
        check(
            "(name: \"x\", system: (devices: 2), sweep: {\"system.devices\": [10, 10.5]})",
            "x.ron (sweep, system.devices = 10.5):1:31: a whole number is needed, not 10.5",
        );
        check(
            "(name: \"x\", system: (devices: [10.0]))",
            "x.ron:1:31: a whole number is needed here",
        );
        let list = read_ron::<Vec<u64>>("x.ron", "[1, 10.0]").unwrap_err();
        assert_eq!(list.to_string(), "x.ron:1:5: a whole number is needed, not 10.0: write 10");
        let alone = read_ron::<u64>("x.ron", "1.5").unwrap_err();
        assert_eq!(alone.to_string(), "x.ron:1:1: a whole number is needed, not 1.5");
    }

    /// `ron` would keep the last one of them.
    #[test]
    fn what_is_listed_twice_is_named_at_its_place() {
        check(
            "(name: \"x\", sweep: {\"system.slots\": [1], \"system.slots\": [2]})",
            "x.ron:1:42: `system.slots` is listed twice",
        );
        check(
            "(name: \"x\", policies: [(plugin: \"a\", parameters: (rate: 1, rate: 2))])",
            "x.ron:1:60: `rate` is listed twice",
        );
        let space = "space: {\"train.a\": Values([1]), \"train.a\": Values([2])}";
        check(
            &format!("(name: \"x\", tune: ({space}, configurations: 2, first: 1))"),
            "x.ron:1:52: `train.a` is listed twice",
        );
        let settings = read_ron::<crate::SettingsFile>("s.ron", "(settings: {\"a\": 1, \"a\": 1})");
        assert_eq!(settings.unwrap_err().to_string(), "s.ron:1:21: `a` is listed twice");
    }

    /// Other mistakes near a number are not about it.
    #[test]
    fn a_missing_comma_is_still_one() {
        let expected = "Expected comma";
        check(
            "(name: \"x\", system: (slot_seconds: 0.1 servers: 5))",
            &format!("x.ron:1:40: {expected}"),
        );
        check("(name: \"x\", system: (devices: 5 servers: 5))", &format!("x.ron:1:33: {expected}"));
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_text() {
        let text = |bytes: &[u8]| text_of(bytes.to_vec());
        assert_eq!(text(b"\xef\xbb\xbf(name: 1)").as_deref(), Ok("(name: 1)"));
        assert_eq!(text(b"(name: 1)").as_deref(), Ok("(name: 1)"));
        assert_eq!(text(b"").as_deref(), Ok(""));
        let both = "(name: \"x\")".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        let swapped = "(name: \"x\")".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for wide in [[b"\xff\xfe", &both[..]].concat(), both, swapped] {
            assert_eq!(text(&wide), Err("the text is in UTF-16, not UTF-8; save it as UTF-8"));
        }
        assert_eq!(text(b"(\xff"), Err("the text is not valid UTF-8"));
    }
}
