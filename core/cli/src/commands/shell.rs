//! `offramp completions` and `offramp man`: what shells and `man` read, made of the definitions of the
//! command line.

use clap::CommandFactory;
use offramp_explain::Problem;

use crate::Outcome;
use crate::arguments::{Arguments, CompletionsArguments, ManArguments};
use crate::output::print;
use crate::progress::Notes;

pub(crate) fn completions(arguments: &CompletionsArguments) -> Result<Outcome, Problem> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "offramp", &mut text);
    print(&String::from_utf8_lossy(&text))?;
    Ok(Outcome::Success)
}

pub(crate) fn man(arguments: &ManArguments, notes: Notes) -> Result<Outcome, Problem> {
    let out = &arguments.out;
    let written = std::fs::create_dir_all(out)
        .and_then(|()| clap_mangen::generate_to(Arguments::command(), out));
    let unwritable = |error| {
        Problem::new(format!("can't write to {}: {error}", out.display()))
            .with_help("name a folder that you may write to")
    };
    written.map_err(unwritable)?;
    notes.say(format_args!("man pages: {}", out.display()));
    Ok(Outcome::Success)
}
