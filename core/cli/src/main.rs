//! The `offramp` command: arguments, progress, and errors for people. The work is done by the
//! crates below it.
//!
//! Exit codes: 0 success; 1 a run or a check failed, the others finished; 2 bad input, nothing done.

mod arguments;
mod commands;
mod logged;
mod output;
mod progress;

use std::process::ExitCode;

use clap::Parser;
use offramp_explain::Problem;
use offramp_harness::isolate;

use crate::arguments::{Arguments, Command};
use crate::progress::Notes;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|first| first == isolate::ARGUMENT) {
        isolate::serve();
        return ExitCode::SUCCESS;
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(answer) => return answered(&answer),
    };
    output::claim();
    let notes = if arguments.quiet { Notes::Hidden } else { Notes::Shown };
    let _watch = offramp_host::watch();
    match run(arguments.command, notes) {
        Ok(Outcome::Success) => ExitCode::SUCCESS,
        Ok(Outcome::Failures) => ExitCode::FAILURE,
        Err(problem) => bad_input(problem),
    }
}

fn bad_input(problem: Problem) -> ExitCode {
    output::show(&problem);
    ExitCode::from(2)
}

/// Prints help, the version, or what is wrong with the arguments.
fn answered(answer: &clap::Error) -> ExitCode {
    let printed = answer.print();
    if answer.use_stderr() {
        return ExitCode::from(2);
    }
    output::check(printed).map_or_else(bad_input, |()| ExitCode::SUCCESS)
}

fn run(command: Command, notes: Notes) -> Result<Outcome, Problem> {
    match command {
        Command::Run(arguments) => commands::run::run(&arguments, notes),
        Command::Merge(arguments) => commands::merge::run(&arguments, notes),
        Command::Train(arguments) => commands::train::run(&arguments, notes),
        Command::Live(arguments) => commands::live::run(&arguments, notes),
        Command::Distill(arguments) => commands::distill::run(&arguments, notes),
        Command::Tune(arguments) => commands::tune::run(&arguments, notes),
        Command::Export(arguments) => commands::export::run(&arguments, notes),
        Command::Inspect(arguments) => commands::inspect::run(&arguments),
        Command::Reproduce(arguments) => commands::reproduce::run(&arguments, notes),
        Command::Report(arguments) => commands::report::run(&arguments, notes),
        Command::Replay(arguments) => commands::replay::run(&arguments, notes),
        Command::Hindsight(arguments) => commands::hindsight::run(&arguments, notes),
        Command::Plugins(arguments) => commands::plugins::run(&arguments),
        Command::New(arguments) => commands::new::run(&arguments),
        Command::Completions(arguments) => commands::shell::completions(&arguments),
        Command::Man(arguments) => commands::shell::man(&arguments, notes),
    }
}

/// How a command ended that did its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Everything succeeded.
    Success,
    /// Some run or check failed, the others finished.
    Failures,
}
