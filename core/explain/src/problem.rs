//! Problems: an error explained to a person, by its message, place and help, and its two texts.

use std::fmt;

use miette::{Diagnostic, LabeledSpan, MietteHandlerOpts, NamedSource, ReportHandler, SourceCode};
use offramp_scenario::Fault;

use crate::excerpt::Excerpt;

/// An error as a person reads it: what is wrong, where, and what to do. `Display` is the first of
/// these alone.
#[derive(Debug)]
pub struct Problem {
    /// The fault, with the file if there is one.
    message: String,
    /// The mend.
    help: Option<String>,
    /// Where it is wrong, in the text of a file.
    place: Option<Box<(NamedSource<Excerpt>, LabeledSpan)>>,
}

/// Columns of [`Problem::text`].
const TEXT_WIDTH: usize = 100;

impl Problem {
    /// A problem that has no place in a file; `message` is a sentence without a full stop.
    pub fn new(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), help: None, place: None }
    }

    /// The same with `help` as what to do, in place of any before.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The whole explanation for a log or an exception: message, lines of the file, help. A log is
    /// easier to search without colours and with a fixed width.
    pub fn text(&self) -> String {
        self.rendered(MietteHandlerOpts::new().color(false).width(TEXT_WIDTH))
    }

    /// The whole explanation for the terminal this process runs in: with colours, as wide as it is.
    pub fn terminal_text(&self) -> String {
        self.rendered(MietteHandlerOpts::new().color(true))
    }

    fn rendered(&self, options: MietteHandlerOpts) -> String {
        // Not by a hook: there is one per process, and it is not for a library to set.
        let handler = options.unicode(true).build();
        fmt::from_fn(|f| handler.debug(self, f)).to_string()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as _)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.place.as_deref().map(|(source, _)| source as _)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let (_, label) = self.place.as_deref()?;
        Some(Box::new(std::iter::once(label.clone())))
    }
}

/// A fault of a scenario or study file, with its place.
impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        let Fault { source_name, text, span, message, help } = fault;
        let (excerpt, span) = Excerpt::of(&text, span);
        let label = LabeledSpan::new_with_span(Some("here".to_owned()), span);
        let place = Some(Box::new((NamedSource::new(source_name, excerpt), label)));
        Self { message, help, place }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_message_lines_and_help() {
        let problem = Problem::from(Fault {
            source_name: "x.ron".to_owned(),
            text: "(\n    name: \"x\",\n    device: 5,\n)\n".to_owned(),
            span: 21..27,
            message: "there is no field `device`".to_owned(),
            help: Some("did you mean `devices`?".to_owned()),
        });
        assert_eq!(problem.to_string(), "there is no field `device`");
        let text = [
            "  × there is no field `device`",
            "   ╭─[x.ron:3:5]",
            " 2 │     name: \"x\",",
            " 3 │     device: 5,",
            "   ·     ───┬──",
            "   ·        ╰── here",
            " 4 │ )",
            "   ╰────",
            "  help: did you mean `devices`?",
        ];
        assert_eq!(problem.text(), text.map(|line| format!("{line}\n")).concat());
    }

    #[test]
    fn the_text_does_not_depend_on_a_terminal() {
        let problem = Problem::new("long ".repeat(30)).with_help("shorten it");
        let (first, second) = (" long".repeat(19), " long".repeat(11));
        assert_eq!(problem.text(), format!("  ×{first}\n  │{second}\n  help: shorten it\n"));
        assert!(problem.terminal_text().contains("\u{1b}["));
    }
}
