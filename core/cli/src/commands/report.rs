//! `offramp report`: print the results in folders again, draw them, write and open their pages.

use std::path::{Path, PathBuf};

use offramp_explain::Problem;
use offramp_report::folder::Kind;
use offramp_report::live::outcomes;
use offramp_report::page::{PageKind, check_ours};
use offramp_report::tuning::{all_standings, search};
use offramp_report::{learning_page, live_page, run_page, run_tables};
use offramp_results::Error;
use offramp_results::run_folder::{self, PARQUET, StoredRun};
use offramp_results::tuning::Search;

use crate::Outcome;
use crate::arguments::ReportArguments;
use crate::progress::{Notes, show_failure};

/// The page of a study in its folder.
const STUDY: &str = "index.html";

pub(crate) fn run(arguments: &ReportArguments, notes: Notes) -> Result<Outcome, Problem> {
    match (arguments.folders.as_slice(), &arguments.html) {
        ([folder], None) => one(folder, arguments, notes),
        (folders, Some(page)) => together(folders, page, arguments, notes),
        (folders, None) => {
            for (option, is_given) in
                [("--open", arguments.open), ("--figure", arguments.figure.is_some())]
            {
                if is_given {
                    let message =
                        format!("{option} takes one folder; {} were given", folders.len());
                    let help = "name one folder, or write a page of all of them: add --html FILE";
                    return Err(Problem::new(message).with_help(help));
                }
            }
            arguments.results.print(&read(folders, arguments, notes)?)?;
            Ok(Outcome::Success)
        }
    }
}

/// A folder, whatever it contains.
fn one(folder: &Path, arguments: &ReportArguments, notes: Notes) -> Result<Outcome, Problem> {
    let ReportArguments { figure, open, results, .. } = arguments;
    let Some(kind) = Kind::of(folder) else {
        let study = folder.join(STUDY);
        if *open && study.exists() {
            return Ok(show(&study, notes));
        }
        // A folder that is not there has nothing to be mistaken for.
        return Err(match folder.is_dir() {
            true => unknown(folder),
            false => run_folder::read(folder).map_or_else(Problem::from, |_| unknown(folder)),
        });
    };
    if let Some(file) =
        figure.as_ref().filter(|file| file.extension().is_none_or(|end| end != "svg"))
    {
        let message = format!("{}: --figure draws SVG", file.display());
        return Err(Problem::new(message).with_help("name a file that ends in .svg"));
    }
    if let Some(file) = figure.as_ref().filter(|file| file.exists()) {
        let message = format!("{}: the file exists and stays as it is", file.display());
        return Err(Problem::new(message).with_help("name another file, or move that one away"));
    }
    for (option, is_given) in [
        ("--power-modes", results.power_modes),
        ("--classes", results.classes),
        ("--parquet", arguments.parquet.is_some()),
    ] {
        if is_given && kind != Kind::Runs {
            let message = format!("{}: {option} is for runs", folder.display());
            return Err(Problem::new(message).with_help("leave it out"));
        }
    }
    let drawn = match figure {
        None => None,
        Some(file) => {
            let whole = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
            let name = whole.file_name().unwrap_or_default().to_string_lossy();
            let Some(drawn) = kind.figure(&name, folder).map_err(super::of_page)? else {
                let message = format!("{}: there is nothing to draw", folder.display());
                let help = "a figure needs runs that succeeded, at one point or over the numbers of \
                            one swept field";
                return Err(Problem::new(message).with_help(help));
            };
            Some((drawn, file))
        }
    };
    match kind {
        Kind::Runs => results.print(&read(&arguments.folders, arguments, notes)?)?,
        Kind::Learning => {
            let (key, outcomes) = learning_page::outcomes(folder).map_err(super::of_page)?;
            results.format.print_records(key, outcomes)?;
        }
        Kind::Search => {
            let found = Search::read(folder)?;
            results.format.print(|format| search(&found, format), || all_standings(&found))?;
        }
        Kind::Live => {
            let runs = live_page::runs(folder).map_err(super::of_page)?;
            results.format.print_records("live", outcomes(&runs))?;
        }
    }
    if let Some((drawn, file)) = drawn {
        drawn.write_svg(file).map_err(Problem::new)?;
        notes.say(format_args!("figure: {}", file.display()));
    }
    if *open {
        return Ok(show(&kind.page(folder).map_err(super::of_page)?, notes));
    }
    Ok(Outcome::Success)
}

/// Run folders, on one page.
fn together(
    folders: &[PathBuf],
    page: &Path,
    arguments: &ReportArguments,
    notes: Notes,
) -> Result<Outcome, Problem> {
    check_ours(page, PageKind::Results).map_err(super::of_page)?;
    arguments.results.print(&read(folders, arguments, notes)?)?;
    let folders: Vec<&Path> = folders.iter().map(PathBuf::as_path).collect();
    run_page::write_together(&folders, page).map_err(super::of_page)?;
    if arguments.open {
        return Ok(show(page, notes));
    }
    notes.say(format_args!("page: {}", page.display()));
    Ok(Outcome::Success)
}

/// The runs of run folders, whose tables are written as Parquet if that is asked for.
fn read(
    folders: &[PathBuf],
    arguments: &ReportArguments,
    notes: Notes,
) -> Result<Vec<StoredRun>, Problem> {
    for folder in folders {
        if let Some(Kind::Learning | Kind::Search | Kind::Live) = Kind::of(folder) {
            let message = format!("{}: not a run folder", folder.display());
            let help = "of a training, distillation, search or live run name the folder alone, without --html; \
                        its page is report.html in it";
            return Err(Problem::new(message).with_help(help));
        }
    }
    let Some(out) = &arguments.parquet else {
        let runs = folders.iter().map(|folder| run_folder::read(folder));
        return Ok(runs.collect::<Result<Vec<_>, _>>()?.concat());
    };
    let runs = run_tables::write(folders, out).map_err(|error| match error {
        Error::Taken { .. } => {
            Problem::new(error).with_help("name another folder with --parquet, or remove the file")
        }
        Error::Unwritable { .. } => {
            Problem::new(error).with_help("name a folder that can be written with --parquet")
        }
        other => other.into(),
    })?;
    let tables: Vec<&str> = PARQUET.into_iter().filter(|name| out.join(name).exists()).collect();
    let tables = tables.join(", ");
    notes.say(format_args!("tables: {tables} in {}", out.display()));
    Ok(runs)
}

fn unknown(folder: &Path) -> Problem {
    let shown = folder.display();
    let message =
        format!("{shown}: not the folder of a run, training, distillation, search or live run");
    let help = "name a folder that offramp wrote; of a study, `reproduce` prints the results again, and \
                --open shows its page";
    Problem::new(message).with_help(help)
}

/// Opens a page in the browser.
fn show(page: &Path, notes: Notes) -> Outcome {
    // A browser that is already there starts in a folder of its own.
    let whole = std::fs::canonicalize(page).unwrap_or_else(|_| page.to_owned());
    match open::that_detached(&whole) {
        Ok(()) => {
            notes.say(format_args!("page: {}", page.display()));
            Outcome::Success
        }
        Err(error) => {
            show_failure(format_args!(
                "can't start a browser ({error}); open {} yourself",
                whole.display()
            ));
            Outcome::Failures
        }
    }
}
