//! `offramp report`: print the results in run folders again, write their page, open pages.

use std::path::{Path, PathBuf};

use offramp_explain::Problem;
use offramp_report::page::{PageError, check_ours};
use offramp_report::{learning_page, run_page, tuning, tuning_page};
use offramp_results::run_folder;

use crate::Outcome;
use crate::arguments::ReportArguments;
use crate::output::print;
use crate::progress::{Notes, show_failure};

/// The page of a study in its folder.
const STUDY: &str = "index.html";

pub(crate) fn run(arguments: &ReportArguments, notes: Notes) -> Result<Outcome, Problem> {
    let ReportArguments { runs: folders, html, open, results } = arguments;
    if let ([folder], None, true) = (folders.as_slice(), html, open)
        && !run_folder::is_complete(folder)
    {
        return Ok(show(&page_of_other(folder)?, notes));
    }
    if *open && html.is_none() && folders.len() > 1 {
        let message = "--open opens one page, and these are several folders";
        return Err(Problem::new(message).with_help("write a page of all of them: add --html FILE"));
    }
    if let Some(page) = html {
        check_ours(page).map_err(explained)?;
    }
    let mut runs = Vec::new();
    for folder in folders {
        runs.extend(run_folder::read(folder)?);
    }
    print(&results.text(&runs))?;
    let page = match html {
        Some(page) => {
            let folders: Vec<&Path> = folders.iter().map(PathBuf::as_path).collect();
            run_page::write_together(&folders, page).map_err(explained)?;
            page.clone()
        }
        None if *open => {
            let page = folders[0].join(run_page::FILE);
            if !page.exists() {
                run_page::write(&folders[0]).map_err(explained)?;
            }
            page
        }
        None => return Ok(Outcome::Success),
    };
    if *open {
        return Ok(show(&page, notes));
    }
    notes.say(format_args!("page: {}", page.display()));
    Ok(Outcome::Success)
}

/// The page in the folder of a training, distillation, search or study, which is written if it is missing.
fn page_of_other(folder: &Path) -> Result<PathBuf, Problem> {
    let page = folder.join(run_page::FILE);
    if learning_page::has_rows(folder) {
        if !page.exists() {
            learning_page::write(folder).map_err(explained)?;
        }
        return Ok(page);
    }
    if tuning::has_rows(folder) {
        if !page.exists() {
            tuning_page::write(folder).map_err(explained)?;
        }
        return Ok(page);
    }
    let study = folder.join(STUDY);
    if study.exists() {
        return Ok(study);
    }
    let message = format!(
        "{}: not the folder of a run, training, distillation, search or study",
        folder.display()
    );
    Err(Problem::new(message)
        .with_help("name a folder that offramp wrote; a study has its page once it is done"))
}

fn explained(error: PageError) -> Problem {
    match error {
        PageError::Unreadable(error) => error.into(),
        error @ PageError::Foreign { .. } => {
            Problem::new(error).with_help("name another file, or move that one away")
        }
        error @ PageError::Unwritable(_) => Problem::new(error),
    }
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
                "no browser can be started ({error}); open {}",
                whole.display()
            ));
            Outcome::Failures
        }
    }
}
