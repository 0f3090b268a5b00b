//! Bad input, explained to a person: what is wrong, where, and what to do about it.

use std::fmt;
use std::io::{ErrorKind, IsTerminal};

use miette::{Diagnostic, LabeledSpan, MietteHandlerOpts, NamedSource, SourceCode};
use offramp_scenario::{Fault, ScenarioError};

use crate::excerpt::Excerpt;

/// Bad input; the command has done nothing.
#[derive(Debug)]
pub(crate) struct Problem {
    /// The fault, with the file if there is one.
    message: String,
    /// The mend.
    help: Option<String>,
    /// Where it is wrong, in the text of a file.
    place: Option<Box<(NamedSource<Excerpt>, LabeledSpan)>>,
}

impl Problem {
    pub(crate) fn new(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), help: None, place: None }
    }

    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn show(self) {
        let terminal = std::io::stderr().is_terminal();
        // A log is easier to search without colours and with a fixed width.
        let width = if terminal { None } else { Some(100) };
        let _ = miette::set_hook(Box::new(move |_| {
            let mut options = MietteHandlerOpts::new().color(terminal).unicode(true);
            if let Some(width) = width {
                options = options.width(width);
            }
            Box::new(options.build())
        }));
        let report = miette::Report::new(self);
        let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{report:?}"));
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

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        ScenarioError::Invalid(Box::new(fault)).into()
    }
}

impl From<ScenarioError> for Problem {
    fn from(error: ScenarioError) -> Self {
        match error {
            ScenarioError::Unreadable { ref cause, .. } => {
                let help = match cause.kind() {
                    ErrorKind::InvalidData => "scenarios and studies are RON files in UTF-8",
                    _ => "check the path of the file and its permissions",
                };
                Self::new(error).with_help(help)
            }
            ScenarioError::Invalid(fault) => {
                let Fault { source_name, text, span, message, help } = *fault;
                let (excerpt, span) = Excerpt::of(&text, span);
                let label = LabeledSpan::new_with_span(Some("here".to_owned()), span);
                let place = Some(Box::new((NamedSource::new(source_name, excerpt), label)));
                Self { message, help, place }
            }
        }
    }
}
