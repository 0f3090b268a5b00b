//! The `offramp` command: arguments, progress, and errors as a person reads them. What it does
//! is in the crates below it.
//!
//! Exit codes: 0 done; 1 a run or a check failed, the others finished; 2 bad input, nothing done.

mod arguments;
mod commands;
mod problem;
mod progress;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use offramp_harness::isolate;

use crate::arguments::{Arguments, Command};
use crate::progress::Notes;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|first| first == isolate::ARGUMENT) {
        isolate::serve();
        return ExitCode::SUCCESS;
    }
    let arguments = Arguments::parse();
    let notes = Notes { quiet: arguments.quiet };
    let done = match arguments.command {
        Command::Run(arguments) => commands::run::run(&arguments, notes),
        Command::Merge(arguments) => commands::run::merge(&arguments, notes),
        Command::Train(arguments) => commands::train::train(&arguments, notes),
        Command::Distill(arguments) => commands::distill::distill(&arguments, notes),
        Command::Export(arguments) => commands::export::export(&arguments),
        Command::Inspect(arguments) => commands::inspect::inspect(&arguments),
        Command::Reproduce(arguments) => commands::reproduce::reproduce(&arguments, notes),
        Command::Report(arguments) => commands::report::report(&arguments),
        Command::Replay(arguments) => commands::replay::replay(&arguments),
        Command::Plugins(arguments) => commands::plugins::plugins(&arguments),
        Command::New(arguments) => commands::new::new(&arguments),
    };
    match done {
        Ok(Done::Well) => ExitCode::SUCCESS,
        Ok(Done::WithFailures) => ExitCode::FAILURE,
        Err(problem) => {
            problem.show();
            ExitCode::from(2)
        }
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    /// All went well.
    Well,
    /// A run or a check failed.
    WithFailures,
}

impl Done {
    fn failed_if(failed: bool) -> Self {
        if failed { Self::WithFailures } else { Self::Well }
    }
}

/// Prints to standard output; that its reader has gone away (`| head`) is no error.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
