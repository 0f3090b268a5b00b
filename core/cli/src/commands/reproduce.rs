//! `offramp reproduce`: the tables and figures of a study.

use std::io::IsTerminal;
use std::path::Path;

use offramp_harness::study::{Progress, Study, StudyError};
use offramp_report::study;

use crate::arguments::ReproduceArguments;
use crate::problem::Problem;
use crate::{Done, print};

pub(crate) fn reproduce(arguments: &ReproduceArguments) -> Result<Done, Problem> {
    let registry = super::discover(&arguments.search)?;
    let read = Study::read(&arguments.study, arguments.quick)?;
    let name = if read.quick { format!("{}-quick", read.name) } else { read.name.clone() };
    let out = arguments.out.clone().unwrap_or_else(|| Path::new("runs").join(&name));
    let unwritable = |error| Problem::new(format!("{}: {error}", out.display()));
    std::fs::create_dir_all(&out).map_err(unwritable)?;
    let threads = super::threads(arguments.jobs)?;
    let bar = super::progress_bar(0, "{bar:30} {pos}/{len} {msg}, {elapsed}");
    let mut tell = |Progress { done, total, what }: &Progress| {
        bar.set_length(*total as u64);
        bar.set_position(*done as u64);
        bar.set_message(what.clone());
        if !std::io::stderr().is_terminal() && !what.ends_with("before") {
            eprintln!("{done}/{total} {what}");
        }
    };
    let items = threads
        .install(|| read.run(&registry, &out, &arguments.only, &mut tell))
        .map_err(problem)?;
    bar.finish_and_clear();
    let (episodes, seeds) = (read.episodes(), read.training_seeds().len());
    let size = if read.quick { ", the quick version" } else { "" };
    print(&format!(
        "{name}{size}: {episodes} episodes, {seeds} training {}; [95 % intervals]\n",
        if seeds == 1 { "seed" } else { "seeds" }
    ));
    for item in &items {
        print(&format!("\n{}", study::table(item)));
        study::write(item, &out).map_err(Problem::new)?;
    }
    eprintln!("tables and figures: {}", out.display());
    let failed = items.iter().flat_map(|item| &item.cells).any(|cell| cell.outcome.is_err());
    Ok(Done::failed_if(failed))
}

fn problem(error: StudyError) -> Problem {
    match error {
        StudyError::Scenario(error) => error.into(),
        other => Problem::new(other),
    }
}
