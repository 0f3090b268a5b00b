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
/// PNG; the page index.html, and those of `lessons` in their folders; and lessons.csv with what each of `lessons` cost, if there are any.
///
/// # Errors
/// [`PlotError`] names the file that can't be written.
pub fn write(study: &StudyResults<'_>, lessons: &[Lesson], folder: &Path) -> Result<(), PlotError> {
    let palette = palette(study.exhibits);
    for exhibit in study.exhibits {
        write_exhibit(exhibit, &palette, folder)?;
    }
    for Lesson { folder: lesson, .. } in lessons {
        write_lesson(&folder.join(lesson))?;
    }
    write_text(&folder.join("index.html"), &study_page(study, lessons, folder)?)?;
    if lessons.is_empty() {
        return Ok(());
    }
    write_text(&folder.join("lessons.csv"), &learning::lessons(lessons).csv())
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
