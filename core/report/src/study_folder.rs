//! The folder of a study: its page, its tables and figures, and what its lessons cost.

use std::path::Path;

use offramp_results::exhibit::Exhibit;
use offramp_results::learning::Lesson;

use crate::learning;
use crate::learning_page;
use crate::palette::Palette;
use crate::plot::PlotError;
use crate::run_page;
use crate::study::{StudyResults, csv, figures, palette, table};
use crate::study_page::study_page;

/// Writes a study to `folder`, which exists: of each exhibit ID.md, ID.csv, and its figures as SVG and
/// PNG; the page index.html; and of `lessons`, if there are any, the pages in their folders and
/// lessons.csv with the cost of each.
///
/// # Errors
/// [`PlotError`] names the file that can't be written.
pub fn write(study: &StudyResults<'_>, lessons: &[Lesson], folder: &Path) -> Result<(), PlotError> {
    let palette = palette(study.exhibits);
    for exhibit in study.exhibits {
        write_exhibit(exhibit, &palette, folder)?;
    }
    // The study's page links those of its lessons, and does not depend on them.
    let pages: Vec<Result<(), PlotError>> =
        lessons.iter().map(|lesson| write_lesson(&folder.join(&lesson.folder))).collect();
    write_text(&folder.join("index.html"), &study_page(study, lessons, folder)?)?;
    if !lessons.is_empty() {
        write_text(&folder.join("lessons.csv"), &learning::lessons(lessons).csv())?;
    }
    pages.into_iter().collect()
}

/// Writes the page of a lesson, if it has begun.
fn write_lesson(folder: &Path) -> Result<(), PlotError> {
    if !learning_page::has_rows(folder) {
        return Ok(());
    }
    learning_page::write(folder)
        .map_err(|error| PlotError { path: folder.join(run_page::FILE), cause: error.to_string() })
}

fn write_exhibit(exhibit: &Exhibit, palette: &Palette, folder: &Path) -> Result<(), PlotError> {
    for (extension, text) in [("md", table(exhibit)), ("csv", csv(exhibit))] {
        write_text(&folder.join(format!("{}.{extension}", exhibit.id)), &text)?;
    }
    for (end, figure) in figures(exhibit, palette) {
        figure.write(&folder.join(format!("{}{end}", exhibit.id)))?;
    }
    Ok(())
}

fn write_text(path: &Path, text: &str) -> Result<(), PlotError> {
    std::fs::write(path, text)
        .map_err(|error| PlotError { path: path.to_owned(), cause: error.to_string() })
}
