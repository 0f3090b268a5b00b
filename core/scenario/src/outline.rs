//! Outlines: the place of each value of a RON text. They let an error about a value show its line,
//! and a sweep replace one value and leave the rest of the file, including comments, as it is.
//!
//! `ron` reads the values, but it reports positions only when it fails, and its `Value` loses the
//! names of enum variants. This is not a second parser of RON: it accepts any text, relies on `ron`
//! having accepted it, and only finds out how values are nested.

use std::collections::BTreeSet;
use std::ops::Range;

/// A value of a RON text and what is nested in it.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    /// The bytes of the value.
    pub(crate) span: Range<usize>,
    /// The bytes of its name or key; empty for an element.
    key: Range<usize>,
    /// Fields by name, entries of a map by key, elements by number.
    children: Vec<(String, Outline)>,
    /// The place where another named field can be inserted, if this is a struct.
    opening: Option<usize>,
}

impl Outline {
    /// The outline of `text`.
    pub(crate) fn of(text: &str) -> Self {
        let mut scanner = Scanner { text, at: 0 };
        scanner.skip_attributes();
        scanner.value(0)
    }

    /// The value at `path`, names and numbers joined by dots.
    pub(crate) fn find(&self, path: &str) -> Option<&Self> {
        if path.is_empty() {
            return Some(self);
        }
        // A key of a map may have dots itself.
        self.children.iter().find_map(|(name, child)| {
            let rest = path.strip_prefix(name.as_str())?;
            match rest.strip_prefix('.') {
                Some(rest) => child.find(rest),
                None => rest.is_empty().then_some(child),
            }
        })
    }

    /// The first name or key that its struct or map has twice, and the bytes of the second. `ron`
    /// refuses a field that is there twice, but of a map it keeps the last value.
    pub(crate) fn twice(&self) -> Option<(&str, Range<usize>)> {
        let mut known = BTreeSet::new();
        self.children.iter().find_map(|(name, child)| {
            let again = !child.key.is_empty() && !known.insert(name);
            if again { Some((name.as_str(), child.key.clone())) } else { child.twice() }
        })
    }

    /// The value at `path`, or the closest enclosing value that exists.
    pub(crate) fn find_nearest(&self, path: &str) -> &Self {
        let mut path = path;
        loop {
            if let Some(found) = self.find(path) {
                return found;
            }
            path = path.rsplit_once('.').map_or("", |(parent, _)| parent);
        }
    }
}

/// Returns `text` with the value at `path` replaced by `value`; if there is none, it is inserted,
/// with the structs around it. `None` if the enclosing value is not a struct.
pub fn replace(text: &str, path: &str, value: &str) -> Option<String> {
    let outline = Outline::of(text);
    let (range, new) = match outline.find(path) {
        Some(found) => (found.span.clone(), value.to_owned()),
        None => {
            let (parent, field) = path.rsplit_once('.').unwrap_or(("", path));
            let Some(parent) = outline.find(parent) else {
                return replace(text, parent, &format!("({field}: {value})"));
            };
            let opening = parent.opening?;
            (opening..opening, format!("{field}: {value}, "))
        }
    };
    Some([&text[..range.start], &new, &text[range.end..]].concat())
}

/// The place in `written` of what is at `span` in `text`, which has more fields and other values: that of the
/// same value, or of the closest one around it that `written` has. `None` if `written` has another value there,
/// so that what is said of this one is not true of it.
pub(crate) fn place_in(written: &str, text: &str, span: &Range<usize>) -> Option<Range<usize>> {
    let (outer, inner) = (Outline::of(written), Outline::of(text));
    let (mut there, mut here) = (&outer, &inner);
    loop {
        let within = |value: &Outline| value.span.start <= span.start && span.end <= value.span.end;
        let Some((name, child)) = here.children.iter().find(|(_, child)| within(child)) else {
            break;
        };
        let (_, same) = there.children.iter().find(|(known, _)| known == name)?;
        (there, here) = (same, child);
    }
    if text[here.span.clone()] == written[there.span.clone()] {
        let start = there.span.start + (span.start - here.span.start);
        return Some(start..start + span.len());
    }
    // Something else has changed in it, and its name or brackets are what is wrong.
    (!here.children.is_empty()).then(|| there.span.clone())
}

/// The fields of a text that is a struct: name and value of each, in order.
pub fn fields_of(text: &str) -> Vec<(String, &str)> {
    let children = Outline::of(text).children.into_iter();
    children.map(|(name, value)| (name, &text[value.span])).collect()
}

/// The text of the value at `path`.
pub fn value_of<'t>(text: &'t str, path: &str) -> Option<&'t str> {
    Outline::of(text).find(path).map(|value| &text[value.span.clone()])
}

/// True if the text has a value at `path`.
pub fn has(text: &str, path: &str) -> bool {
    Outline::of(text).find(path).is_some()
}

/// Upper bound on nesting; `ron` has a limit of its own, of 128.
const MAX_NESTING: usize = 256;

struct Scanner<'t> {
    text: &'t str,
    at: usize,
}

impl Scanner<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) {
        self.at += self.peek().map_or(0, char::len_utf8);
    }

    fn skip_attributes(&mut self) {
        self.skip_blank();
        while self.rest().starts_with("#!") {
            while self.peek().is_some_and(|next| next != ']') {
                self.bump();
            }
            self.bump();
            self.skip_blank();
        }
    }

    /// Skips white space and comments.
    fn skip_blank(&mut self) {
        loop {
            let rest = self.rest();
            if rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                let mut depth = 0;
                loop {
                    let rest = self.rest();
                    if rest.starts_with("/*") {
                        depth += 1;
                        self.at += 2;
                    } else if rest.starts_with("*/") {
                        depth -= 1;
                        self.at += 2;
                    } else {
                        self.bump();
                    }
                    if depth == 0 || self.rest().is_empty() {
                        break;
                    }
                }
            } else if self.peek().is_some_and(char::is_whitespace) {
                self.bump();
            } else {
                return;
            }
        }
    }

    /// A value: any tokens up to a comma, a colon or a closing bracket of its surroundings, the
    /// last bracketed group among them giving the children.
    fn value(&mut self, depth: usize) -> Outline {
        self.skip_blank();
        let mut outline = Outline { span: self.at..self.at, ..Outline::default() };
        while let Some(next) = self.peek() {
            match next {
                ',' | ':' | ')' | ']' | '}' => break,
                '(' | '[' | '{' if depth < MAX_NESTING => self.group(depth, &mut outline),
                _ => self.token(),
            }
            outline.span.end = self.at;
            self.skip_blank();
        }
        outline
    }

    fn group(&mut self, depth: usize, outline: &mut Outline) {
        outline.opening = (self.peek() == Some('(')).then_some(self.at + 1);
        self.bump();
        loop {
            let before = self.at;
            let first = self.value(depth + 1);
            let key = self.text[first.span.clone()].trim();
            let child = if self.peek() == Some(':') && !key.is_empty() {
                self.bump();
                let value = Outline { key: first.span.clone(), ..self.value(depth + 1) };
                (key.trim_matches('"').to_owned(), value)
            } else {
                (outline.children.len().to_string(), first)
            };
            if !child.1.span.is_empty() {
                outline.children.push(child);
            }
            match self.peek() {
                Some(',') => self.bump(),
                Some(')' | ']' | '}') => {
                    self.bump();
                    return;
                }
                None => return,
                Some(_) if self.at == before => self.bump(), // a stray colon
                Some(_) => {}
            }
        }
    }

    /// One token that is not a bracket: a whole string, or a character.
    fn token(&mut self) {
        let rest = self.rest();
        let hashes = rest.strip_prefix('r').map(|rest| {
            let hashes = rest.len() - rest.trim_start_matches('#').len();
            (hashes, rest[hashes..].starts_with('"'))
        });
        if let Some((hashes, true)) = hashes {
            self.at += 2 + hashes;
            let end = format!("\"{}", "#".repeat(hashes));
            let rest = self.rest();
            self.at += rest.find(&end).map_or(rest.len(), |found| found + end.len());
        } else if rest.starts_with('"') {
            self.bump();
            while let Some(next) = self.peek() {
                self.bump();
                match next {
                    '\\' => self.bump(),
                    '"' => break,
                    _ => {}
                }
            }
        } else if rest.starts_with('\'') {
            // A character: a quote or bracket in it does not count.
            self.bump();
            if self.peek() == Some('\\') {
                self.bump();
            }
            self.bump();
            if self.peek() == Some('\'') {
                self.bump();
            }
        } else {
            self.bump();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = r##"#![enable(implicit_some)]
// a comment with (brackets
(
    name: "a (tricky: \"one",
    tasks: (size: Uniform(1.0, 7.0), /* no, } */ list: [1, (x: 2), 3]),
    raw: r#"a " ) b"#,
    sweep: { "tasks.size": [1], "other": Some((deep: 'c')) },
    last: 5
)"##;

    #[track_caller]
    fn check(path: &str, expected: &str) {
        let outline = Outline::of(TEXT);
        let found = outline.find(path).map(|found| &TEXT[found.span.clone()]);
        assert_eq!(found, Some(expected), "{path}");
    }

    #[test]
    fn values_are_found_by_path() {
        check("name", r#""a (tricky: \"one""#);
        check("tasks.size", "Uniform(1.0, 7.0)");
        check("tasks.size.1", "7.0");
        check("tasks.list.1.x", "2");
        check("raw", r##"r#"a " ) b"#"##);
        check("sweep.tasks.size", "[1]");
        check("sweep.other.0.deep", "'c'");
        check("last", "5");
        assert!(Outline::of(TEXT).find("tasks.none").is_none());
    }

    #[test]
    fn replacing_keeps_everything_else() {
        let replaced = replace(TEXT, "tasks.size", "3.5").unwrap();
        assert_eq!(replaced, TEXT.replace("Uniform(1.0, 7.0)", "3.5"));
        let added = replace(TEXT, "tasks.new", "[1]").unwrap();
        assert_eq!(added, TEXT.replace("tasks: (", "tasks: (new: [1], "));
        let around = replace(TEXT, "nowhere.near", "1").unwrap();
        assert!(around.contains("(nowhere: (near: 1), \n    name:"));
        assert_eq!(replace(TEXT, "last.new", "1"), None);
    }

    #[test]
    fn a_name_or_key_that_is_there_twice_is_found() {
        let twice = |text: &str| {
            let outline = Outline::of(text);
            outline.twice().map(|(name, at)| (name.to_owned(), at.start))
        };
        assert_eq!(twice(TEXT), None);
        assert_eq!(twice(r#"(a: [1, 1], b: (x: 1), c: (x: 1), d: {"x": 1, "y": 1})"#), None);
        assert_eq!(twice(r#"{"x": 1, "y": 2, "x": 1}"#), Some(("x".to_owned(), 17)));
        assert_eq!(twice("(a: [1, (b: {Qoe: 1, Qoe: 2})])"), Some(("Qoe".to_owned(), 21)));
        assert_eq!(twice("(a: 1, /* a: */ a: 2)"), Some(("a".to_owned(), 16)));
    }

    proptest! {
        #[test]
        fn any_text_has_an_outline(text in "[()\\[\\]{}:,\"'/*# r\\\\a1é\n]{0,60}") {
            let outline = Outline::of(&text);
            prop_assert!(outline.span.end <= text.len());
            prop_assert!(outline.twice().is_none_or(|(_, key)| key.end <= text.len()));
            let _ = replace(&text, "a.b", "1");
        }
    }
}
