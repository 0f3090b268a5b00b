//! Excerpts: the lines of a text around a fault, whatever the length of the text and its lines.

use std::ops::Range;

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

/// Upper bound on the lines of an excerpt.
const MAX_LINES: usize = 8;
/// Upper bound on the characters of a line.
const MAX_CHARS: usize = 200;
/// Characters that are kept in front of a fault.
const CHARS_BEFORE: usize = 60;

/// The lines around a fault, with `…` where something was cut; it knows where they stood.
#[derive(Debug)]
pub(crate) struct Excerpt {
    text: String,
    /// The number of its first line, from 0.
    first_line: usize,
    /// Line and column of the fault in the whole text, from 0, in characters.
    line: usize,
    column: usize,
}

impl Excerpt {
    /// The excerpt of `text` around the bytes `span`, and where these are in the excerpt.
    pub(crate) fn of(text: &str, span: Range<usize>) -> (Self, Range<usize>) {
        let before = &text[..span.start];
        let line = before.matches('\n').count();
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
        let last = line + text[span.clone()].matches('\n').count();
        let first_line = line.saturating_sub(1);
        let wanted = last + 2 - first_line;
        let mut excerpt = String::new();
        let mut place = 0..0;
        let mut offset = 0;
        let lines = text.split('\n').enumerate().skip(first_line).take(wanted.min(MAX_LINES));
        offset += text.split('\n').take(first_line).map(|line| line.len() + 1).sum::<usize>();
        for (number, whole) in lines {
            if number > first_line {
                excerpt.push('\n');
            }
            let content = whole.trim_end_matches('\r');
            // The window moves only as far as there is something behind it.
            let spare = content.chars().count().saturating_sub(MAX_CHARS);
            let first = if number == line { column.saturating_sub(CHARS_BEFORE) } else { 0 };
            let first = first.min(spare);
            let byte = |char| content.char_indices().nth(char).map_or(content.len(), |(at, _)| at);
            let window = byte(first)..byte(first + MAX_CHARS);
            if window.start > 0 {
                excerpt.push('…');
            }
            // A byte of the text, in the excerpt, no further than this line.
            let start = excerpt.len();
            let place_of = |byte: usize| {
                start + byte.saturating_sub(offset).clamp(window.start, window.end) - window.start
            };
            if number == line {
                place.start = place_of(span.start);
            }
            if (line..=last).contains(&number) {
                place.end = place_of(span.end);
            }
            excerpt.push_str(&content[window.clone()]);
            if window.end < content.len() {
                excerpt.push('…');
            }
            offset += whole.len() + 1;
        }
        if wanted > MAX_LINES {
            excerpt.push_str("\n…");
        }
        (Self { text: excerpt, first_line, line, column }, place)
    }
}

impl SourceCode for Excerpt {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        context_lines_before: usize,
        context_lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let inner = self.text.read_span(span, context_lines_before, context_lines_after)?;
        // Without context it is asked for the place of the fault.
        let (line, column) = match context_lines_before {
            0 => (self.line, self.column),
            _ => (self.first_line + inner.line(), inner.column()),
        };
        let (data, span, count) = (inner.data(), *inner.span(), inner.line_count());
        Ok(Box::new(MietteSpanContents::new(data, span, line, column, count)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, span: Range<usize>, lines: &[&str], marked: &str) {
        let (excerpt, place) = Excerpt::of(text, span);
        assert_eq!(excerpt.text.split('\n').collect::<Vec<_>>(), lines);
        assert_eq!(&excerpt.text[place], marked);
    }

    #[test]
    fn a_short_text_keeps_the_lines_next_to_the_fault() {
        check("a\nb\ncde\nf\ng", 5..6, &["b", "cde", "f"], "d");
        check("abc", 0..3, &["abc"], "abc");
        check("abc\r\n", 1..2, &["abc", ""], "b");
        check("abc\n", 4..4, &["abc", ""], "");
        check("", 0..0, &[""], "");
        check("a\nbc\nd\ne", 2..6, &["a", "bc", "d", "e"], "bc\nd");
    }

    #[test]
    fn a_long_text_is_cut_around_the_fault() {
        let text = format!("{}wrong{}", "ä".repeat(100_000), "ö".repeat(100_000));
        let shown = format!("…{}wrong{}…", "ä".repeat(60), "ö".repeat(135));
        let start = 200_000;
        check(&text, start..start + 5, &[&shown], "wrong");
        // At the end of a line, the window ends with it.
        let end = text.len();
        let (excerpt, place) = Excerpt::of(&text, end..end);
        assert_eq!(excerpt.text, format!("…{}", "ö".repeat(200)));
        assert_eq!(place, excerpt.text.len()..excerpt.text.len());
        check(
            &text[200_000 - 150..200_005],
            150..155,
            &[&format!("{}wrong", "ä".repeat(75))],
            "wrong",
        );
        // As is a fault that is long itself.
        let marked = format!("wrong{}", "ö".repeat(135));
        check(&text, start..text.len(), &[&shown], &marked);
        let (excerpt, _) = Excerpt::of(&text, start..start + 5);
        assert_eq!((excerpt.line, excerpt.column), (0, 100_000));
        let lines = "x\n".repeat(1000);
        let kept = ["x", "x", "x", "x", "x", "x", "x", "x", "…"];
        check(&lines, 100..900, &kept, "x\nx\nx\nx\nx\nx\nx");
        let (excerpt, _) = Excerpt::of(&lines, 100..900);
        assert_eq!((excerpt.first_line, excerpt.line), (49, 50));
    }
}
