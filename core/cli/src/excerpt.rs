//! Excerpts: the text around a fault. A generated file may be one line of a megabyte, of which only
//! the surroundings of the fault are worth showing.

use std::ops::Range;

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

/// Characters that are shown on either side of the beginning of a fault.
const MAX_BEFORE: usize = 60;
const MAX_AFTER: usize = 120;

/// The text of a file with its long lines cut; lines and columns are those of the file.
#[derive(Debug)]
pub(crate) struct Excerpt {
    name: String,
    text: String,
    /// The line of the fault, from 0.
    line: usize,
    /// Bytes that are cut from the beginning of that line.
    removed: usize,
}

impl Excerpt {
    /// The excerpt of `text` around `span`, and the place of the span in it: the part on its first
    /// line.
    pub(crate) fn new(name: String, text: &str, span: Range<usize>) -> (Self, Range<usize>) {
        let mut excerpt = Self { name, text: String::new(), line: 0, removed: 0 };
        let (mut offset, mut place) = (0, 0..0);
        for (number, whole) in text.split_inclusive('\n').enumerate() {
            let line = whole.strip_suffix('\n').unwrap_or(whole);
            let ends = whole.len() > line.len();
            if (offset..offset + whole.len()).contains(&span.start) {
                let at = (span.start - offset).min(line.len());
                let from = back(line, at, MAX_BEFORE);
                let to = forward(line, at, MAX_AFTER);
                let lead = if from > 0 { "…" } else { "" };
                excerpt.line = number;
                // The mark is a character of its own, which takes up one column.
                excerpt.removed = from.saturating_sub(lead.len());
                let start = excerpt.text.len() + lead.len() + at - from;
                let end = (span.end.max(span.start) - offset).clamp(at, to);
                place = start..start + end - at;
                excerpt.text += lead;
                excerpt.text += &line[from..to];
                excerpt.text += if to < line.len() { "…" } else { "" };
            } else {
                let to = forward(line, 0, MAX_AFTER);
                excerpt.text += &line[..to];
                excerpt.text += if to < line.len() { "…" } else { "" };
            }
            excerpt.text += if ends { "\n" } else { "" };
            offset += whole.len();
        }
        if span.start >= text.len() {
            // The file ends too early.
            let end = excerpt.text.len();
            place = end..end;
        }
        (excerpt, place)
    }
}

/// The byte `most` characters before `at`.
fn back(line: &str, at: usize, most: usize) -> usize {
    line[..at].char_indices().rev().take(most).last().map_or(at, |(byte, _)| byte)
}

/// The byte `most` characters behind `at`.
fn forward(line: &str, at: usize, most: usize) -> usize {
    line[at..].char_indices().nth(most).map_or(line.len(), |(byte, _)| at + byte)
}

impl SourceCode for Excerpt {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let found = self.text.read_span(span, lines_before, lines_after)?;
        let column = match found.column() {
            column if column > 0 && found.line() == self.line => column + self.removed,
            column => column,
        };
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            found.data(),
            *found.span(),
            found.line(),
            column,
            found.line_count(),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut_around_the_fault() {
        let long = "x".repeat(100_000);
        let text = format!("{long}\n{long}FAULT{long}\nend");
        let start = 200_001;
        let (excerpt, place) = Excerpt::new("x.ron".into(), &text, start..start + 5);
        assert_eq!(&excerpt.text[place.clone()], "FAULT");
        assert!(excerpt.text.chars().count() < 400, "{}", excerpt.text);
        let contents = excerpt.read_span(&place.into(), 0, 0).unwrap();
        assert_eq!((contents.line(), contents.column()), (1, 100_000));
    }

    #[test]
    fn short_files_are_shown_as_they_are() {
        let text = "(\n    name: 1,\n)\n";
        let (excerpt, place) = Excerpt::new("x.ron".into(), text, 12..13);
        assert_eq!((excerpt.text.as_str(), &text[place]), (text, "1"));
        for text in ["", "(", "(\n"] {
            let (excerpt, place) = Excerpt::new("x.ron".into(), text, text.len()..text.len());
            assert_eq!((excerpt.text.as_str(), place), (text, text.len()..text.len()));
        }
    }
}
