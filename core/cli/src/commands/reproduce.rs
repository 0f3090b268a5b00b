//! `offramp reproduce`: the tables and figures of a study.

use std::path::{Path, PathBuf};

use offramp_explain::{Kind, Problem};
use offramp_report::html::html;
use offramp_report::learning;
use offramp_report::study::{self, StudyResults};
use offramp_study::{Size, Study, StudyOutcome};

use crate::Outcome;
use crate::arguments::ReproduceArguments;
use crate::output::print;
use crate::progress::Notes;

/// The paper's study, in a checkout of offramp.
const DEFAULT_STUDY: &str = "scenarios/reproduce/paper.ron";

pub(crate) fn run(arguments: &ReproduceArguments, notes: Notes) -> Result<Outcome, Problem> {
    let path = study_file(arguments)?;
    let registry = super::load_plugins(&arguments.search)?;
    let size = if arguments.quick.quick { Size::Quick } else { Size::Full };
    let study = Study::read(&path, size)
        .map_err(|error| Problem::from(error).unless_mistaken(&path, Kind::Study))?;
    let study = match arguments.seeds {
        Some(count) => study.on_seeds(count),
        None => study,
    };
    let (name, version) = match size {
        Size::Quick => (format!("{}-quick", study.name), Some("the quick version")),
        Size::Full => (study.name.clone(), None),
    };
    let out = arguments.out.clone().unwrap_or_else(|| Path::new("runs").join(&name));
    let unwritable = |error| {
        Problem::new(format!("can't write {}: {error}", out.display()))
            .with_help("name a folder that can be written with --out")
    };
    std::fs::create_dir_all(&out).map_err(unwritable)?;
    let threads = super::thread_pool(&arguments.threads)?;
    let progress = notes.progress(0, "{bar:30} {pos}/{len} {msg}, {elapsed}", "");
    let executor = super::isolated_executor()?;
    let StudyOutcome { exhibits, lessons } =
        threads.install(|| study.run(&registry, &out, &arguments.only, &executor, &progress))?;
    drop(progress);
    let claims = study.claims(&exhibits);
    let results = StudyResults {
        name: &name,
        about: &study.about,
        version,
        episodes: study.episodes(),
        training_seeds: study.training_seeds(),
        exhibits: &exhibits,
        claims: &claims,
        budgets: &study.budgets,
    };
    for exhibit in &exhibits {
        study::write(exhibit, &out).map_err(Problem::new)?;
    }
    let page = out.join("index.html");
    let text = html(&results).map_err(Problem::new)?;
    std::fs::write(&page, text).map_err(unwritable)?;
    print(&results.print(arguments.format.format()))?;
    notes.say(format_args!("tables and figures: {}", page.display()));
    if !lessons.is_empty() {
        let path = out.join("lessons.csv");
        std::fs::write(&path, learning::lessons(&lessons).csv()).map_err(unwritable)?;
        let seconds: f64 = lessons.iter().filter_map(|lesson| lesson.seconds).sum();
        let (count, path) = (lessons.len(), path.display());
        notes.say(format_args!("{count} lessons, {seconds:.0} s in all: {path}"));
    }
    let mut cells = exhibits.iter().flat_map(|exhibit| &exhibit.cells);
    let failed = cells.any(|cell| cell.outcome.is_err());
    Ok(if failed { Outcome::Failures } else { Outcome::Success })
}

/// The study that is named, or the paper's.
fn study_file(arguments: &ReproduceArguments) -> Result<PathBuf, Problem> {
    if let Some(path) = &arguments.study {
        return Ok(path.clone());
    }
    let default = PathBuf::from(DEFAULT_STUDY);
    if default.exists() {
        return Ok(default);
    }
    let message = format!("the default study, {DEFAULT_STUDY}, is not in the current folder");
    let help = "run `offramp reproduce` in a checkout of offramp, or name a study: offramp \
                reproduce STUDY";
    Err(Problem::new(message).with_help(help))
}
