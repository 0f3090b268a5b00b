//! `offramp report`: print the results in folders again, draw them, write and open their pages.

use std::path::{Path, PathBuf};

use offramp_explain::Problem;
use offramp_report::folder::Kind;
use offramp_report::page::{PageKind, check_ours};
use offramp_report::tuning::search;
use offramp_report::{learning_page, run_page};
use offramp_results::run_folder::{self, StoredRun};
use offramp_results::tuning::Search;

use crate::Outcome;
use crate::arguments::ReportArguments;
use crate::output::print;
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
            print(&arguments.results.text(&read(folders)?))?;
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
            false => read(&[folder.to_owned()]).err().unwrap_or_else(|| unknown(folder)),
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
    if results.power_modes && kind != Kind::Runs {
        let message = format!("{}: --power-modes is for runs", folder.display());
        return Err(Problem::new(message).with_help("leave it out"));
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
    let text = match kind {
        Kind::Runs => results.text(&run_folder::read(folder)?),
        Kind::Learning => learning_page::text(folder, results.format()).map_err(super::of_page)?,
        Kind::Search => search(&Search::read(folder)?, results.format()),
    };
    print(&text)?;
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
    print(&arguments.results.text(&read(folders)?))?;
    let folders: Vec<&Path> = folders.iter().map(PathBuf::as_path).collect();
    run_page::write_together(&folders, page).map_err(super::of_page)?;
    if arguments.open {
        return Ok(show(page, notes));
    }
    notes.say(format_args!("page: {}", page.display()));
    Ok(Outcome::Success)
}

fn read(folders: &[PathBuf]) -> Result<Vec<StoredRun>, Problem> {
    let mut runs = Vec::new();
    for folder in folders {
        if let Some(Kind::Learning | Kind::Search) = Kind::of(folder) {
            let message = format!("{}: not a run folder", folder.display());
            let help = "of a training, distillation or search name the folder alone, without --html; \
                        its page is report.html in it";
            return Err(Problem::new(message).with_help(help));
        }
        runs.extend(run_folder::read(folder)?);
    }
    Ok(runs)
}

fn unknown(folder: &Path) -> Problem {
    let message = format!(
        "{}: not the folder of a run, training, distillation, search or study",
        folder.display()
    );
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
