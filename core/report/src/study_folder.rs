//! The folder of a study: its page, its tables and figures, and what its lessons cost.

use std::path::Path;

use offramp_results::exhibit::Exhibit;
use offramp_results::learning::Lesson;

use crate::learning;
use crate::palette::Palette;
use crate::plot::PlotError;
use crate::study::{StudyResults, csv, figures, palette, table};
use crate::study_page::study_page;

/// Writes a study to `folder`, which exists: of each exhibit ID.md, ID.csv, and its figures as SVG and
/// PNG; the page index.html; and lessons.csv with what each of `lessons` cost, if there are any.
///
/// # Errors
/// [`PlotError`] names the file that can't be written.
pub fn write(study: &StudyResults<'_>, lessons: &[Lesson], folder: &Path) -> Result<(), PlotError> {
    let palette = palette(study.exhibits);
    for exhibit in study.exhibits {
        write_exhibit(exhibit, &palette, folder)?;
    }
    write_text(&folder.join("index.html"), &study_page(study, lessons, folder)?)?;
    if lessons.is_empty() {
        return Ok(());
    }
    write_text(&folder.join("lessons.csv"), &learning::lessons(lessons).csv())
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
