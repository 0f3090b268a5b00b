//! `offramp reproduce`: the tables and figures of a study.

use std::path::Path;

use offramp_report::html::{Page, html};
use offramp_report::study;
use offramp_study::{Size, Study, StudyError};

use crate::arguments::ReproduceArguments;
use crate::problem::Problem;
use crate::progress::Notes;
use crate::{Done, print};

pub(crate) fn reproduce(arguments: &ReproduceArguments, notes: Notes) -> Result<Done, Problem> {
    let registry = super::discover(&arguments.search)?;
    let size = if arguments.quick { Size::Quick } else { Size::Full };
    let read = Study::read(&arguments.study, size)?;
    let name = if arguments.quick { format!("{}-quick", read.name) } else { read.name.clone() };
    let out = arguments.out.clone().unwrap_or_else(|| Path::new("runs").join(&name));
    let unwritable = |error| Problem::new(format!("{}: {error}", out.display()));
    std::fs::create_dir_all(&out).map_err(unwritable)?;
    let threads = super::threads(arguments.jobs)?;
    let progress = notes.progress(0, "{bar:30} {pos}/{len} {msg}, {elapsed}", "");
    let isolated = super::isolated()?;
    let exhibits = threads
        .install(|| read.run(&registry, &out, &arguments.only, &isolated, &progress))
        .map_err(problem)?;
    drop(progress);
    let (episodes, seeds) = (read.episodes(), read.training_seeds().len());
    let size = if arguments.quick { ", the quick version" } else { "" };
    let plural = if seeds == 1 { "seed" } else { "seeds" };
    let size = format!("{name}{size}: {episodes} episodes, {seeds} training {plural}");
    print(&format!("{size}; [95 % intervals]\n"));
    for exhibit in &exhibits {
        print(&format!("\n{}", study::table(exhibit)));
        study::write(exhibit, &out).map_err(Problem::new)?;
    }
    let claims = read.claims(&exhibits);
    if !claims.is_empty() {
        print(&format!("\nWhat holds\n{}", study::markdown(&study::claims_table(&claims))));
    }
    let about = format!("{} {size}; in brackets 95 % intervals.", read.about);
    let page = Page { title: &name, about: &about, exhibits: &exhibits, claims: &claims };
    let path = out.join("index.html");
    let page = html(&page).map_err(Problem::new)?;
    std::fs::write(&path, page).map_err(unwritable)?;
    notes.say(format_args!("tables and figures: {}", path.display()));
    let mut cells = exhibits.iter().flat_map(|exhibit| &exhibit.cells);
    let failed = cells.any(|cell| cell.outcome.is_err());
    Ok(Done::failed_if(failed))
}

fn problem(error: StudyError) -> Problem {
    match error {
        StudyError::Scenario(error) => error.into(),
        other => Problem::new(other),
    }
}
