//! Notes and progress on standard error: bars on a terminal, lines in a log, nothing with
//! `--quiet`. Results go to standard output and errors are always shown.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use offramp_harness::events::{Event, Observer};
use offramp_harness::memory::shown;
use offramp_results::learning::{DistillationRow, TrainingRow};

use crate::output::note;

/// Visibility of notes and progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notes {
    /// On standard error.
    Shown,
    /// Not at all (`--quiet`).
    Hidden,
}

/// Reports on standard error that a part of the command failed; the rest continues.
pub(crate) fn show_failure(text: impl std::fmt::Display) {
    note(format_args!("failed: {text}"));
}

/// Reports a problem on standard error that does not fail the command.
pub(crate) fn show_warning(text: impl std::fmt::Display) {
    note(format_args!("warning: {text}"));
}

impl Notes {
    /// A note on standard error.
    pub(crate) fn say(self, text: impl std::fmt::Display) {
        if self == Self::Shown {
            note(text);
        }
    }

    /// Progress over `length` steps; `template` is indicatif's, `label` begins every line of a log.
    pub(crate) fn progress(self, length: u64, template: &str, label: &str) -> Progress {
        let target = match self {
            Self::Shown => ProgressDrawTarget::stderr(),
            Self::Hidden => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(length), target);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        let log = self == Self::Shown && !std::io::stderr().is_terminal();
        // Outside a sweep there is nothing to tell apart.
        let label = if label.is_empty() { String::new() } else { format!("{label} ") };
        Progress { notes: self, bar, label, log }
    }
}

/// Shows the events of a long command; dropping it removes the bar.
pub(crate) struct Progress {
    notes: Notes,
    bar: ProgressBar,
    label: String,
    log: bool,
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Progress {
    fn log(&self, line: impl std::fmt::Display) {
        if self.log {
            note(line);
        }
    }

    /// A note above the bar.
    fn say(&self, text: impl std::fmt::Display) {
        self.bar.suspend(|| self.notes.say(text));
    }

    fn begun(&self, learner: &str, memory: u64, done: u64) {
        if memory >= 1 << 30 {
            let (label, memory) = (&self.label, shown(memory));
            self.say(format_args!("{label}{learner}: up to {memory} of memory"));
        }
        self.bar.set_position(done);
        self.bar.reset_eta();
    }

    fn training(&self, row: &TrainingRow) {
        let TrainingRow { episode, qoe, dropped, loss, exploration, .. } = row;
        let mut text = format!("QoE {qoe:.1}, {dropped} dropped, loss {loss:.4}");
        if *exploration > 0.0 {
            text += &format!(", ε {exploration:.3}");
        }
        let (label, count) = (&self.label, episode + 1);
        if let (Some(qoe), Some(dropped)) = (row.validation_qoe, row.validation_dropped) {
            let validation = format!("validation QoE {qoe:.1}, {dropped:.1} dropped");
            self.log(format_args!("{label}episode {count}: {text}; {validation}"));
        }
        self.bar.set_message(text);
        self.bar.set_position(count);
    }

    fn stopped(&self, unit: &str, after: u64, validations: u64) {
        let label = &self.label;
        self.say(format_args!(
            "{label}stopped after {unit} {after}: no better validation in {validations}"
        ));
    }

    fn validation(&self, row: &DistillationRow) {
        let held_out = row.validation_loss;
        let held_out = held_out.map_or_else(String::new, |loss| format!("held out {loss:.3}, "));
        let text = format!(
            "loss {:.3}, {held_out}agreement {:.1} %, QoE {:.1}, {:.1} dropped",
            row.loss,
            100.0 * row.agreement,
            row.validation_qoe,
            row.validation_dropped
        );
        self.log(format_args!("{}step {}: {text}", self.label, row.step));
        self.bar.set_message(text);
        self.bar.set_position(row.step);
    }
}

impl Observer for Progress {
    fn on_event(&self, event: Event<'_>) {
        match event {
            Event::EpisodesEnded(count) | Event::SlotsEnded(count) => self.bar.inc(count),
            Event::Begun { learner, memory, done } => self.begun(learner, memory, done),
            Event::TrainingEpisode(episode) => self.training(&episode.row),
            Event::Validation(validation) => self.validation(&validation.row),
            Event::Stopped { unit, after, validations } => self.stopped(unit, after, validations),
            Event::StudyJob { done, total, what } => {
                self.log(format_args!("{done}/{total} {what}"));
                self.bar.set_length(total as u64);
                self.bar.set_position(done as u64);
                self.bar.set_message(what.to_owned());
            }
            _ => {}
        }
    }
}
