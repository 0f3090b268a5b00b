//! Trainings and distillations as one page each: the outcome, and curves of everything that was
//! recorded while they learned, one line per point of the sweep; drawn from the rows that they wrote.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use offramp_results::learning::{self, DistillationRow, Learned, TrainingRow};
use offramp_results::words::counted;

use crate::axis;
use crate::learning::{SMOOTHED, averaged, distillations, trainings};
use crate::page::figures::{Panel, grid};
use crate::page::{self, Page, PageError, Section, details, escaped, html_table, link};
use crate::palette::Look;
use crate::plot::{Figure, Lines, MAX_POINTS, Series, thinned};
use crate::records::Records;
use crate::run_page::FILE;
use crate::table::Table;

/// Most lines of a figure.
const MAX_LINES: usize = 12;
/// Most rows of the table, and most failures.
const MAX_ROWS: usize = 300;

/// A curve of a training or distillation: a panel's heading, and the value in a row, if there is one.
type Curve<R> = (String, fn(&R) -> Option<f64>);

/// True if `folder` has the rows of a training or distillation, or those of its points.
pub fn has_rows(folder: &Path) -> bool {
    ["training.csv", "distillation.csv"].iter().any(|file| !folders_with(folder, file).is_empty())
}

/// Writes [`FILE`] to the folder of a training or distillation, over an earlier page of offramp. Points
/// of a sweep have the names of their folders.
///
/// # Errors
/// [`PageError`]; what was learned stays as it is.
pub fn write(folder: &Path) -> Result<(), PageError> {
    let name = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let name = name.file_name().unwrap_or_default().to_string_lossy();
    let trained = learned(folder, "training.csv", learning::training)?;
    if !trained.is_empty() {
        return write_trainings(&name, &trained, folder);
    }
    let distilled = learned(folder, "distillation.csv", learning::distillation)?;
    write_distillations(&name, &distilled, folder)
}

/// The trainings or distillations of a folder, one per row, and the word for them. One that failed before
/// its first row is left out.
///
/// # Errors
/// [`PageError`] names the file that can't be read.
pub fn outcomes(folder: &Path) -> Result<(&'static str, Records), PageError> {
    let trained = learned(folder, "training.csv", learning::training)?;
    if !trained.is_empty() {
        return Ok(("trainings", trainings(&trained)));
    }
    let distilled = learned(folder, "distillation.csv", learning::distillation)?;
    Ok(("distillations", distillations(&distilled)))
}

/// The QoE of what learned in a folder: of trainings while they learn, of distillations in validation.
///
/// # Errors
/// [`PageError`] names the file that can't be read.
pub(crate) fn picture(folder: &Path) -> Result<Option<Figure>, PageError> {
    let trained = learned(folder, "training.csv", learning::training)?;
    if !trained.is_empty() {
        let episodes = averaged_episodes(&trained);
        let panel = panel(&while_training(), "episode", &trained, |training| {
            (averaged(&training.rows, episodes, |row| Some(row.qoe)), None)
        });
        return Ok(Some(panel.figure));
    }
    let distilled = learned(folder, "distillation.csv", learning::distillation)?;
    let panel = panel(&in_validation(axis::QOE), "step", &distilled, |distillation| {
        (by_step(distillation, |row| Some(row.validation_qoe)), None)
    });
    Ok((!distilled.is_empty()).then_some(panel.figure))
}

/// Writes [`FILE`] of the trainings of a scenario to their folder, over an earlier page of offramp; none
/// if they have no rows.
///
/// # Errors
/// [`PageError`]; what was learned stays as it is.
pub fn write_trainings(
    name: &str,
    all: &[Learned<TrainingRow>],
    folder: &Path,
) -> Result<(), PageError> {
    if all.iter().all(|training| training.rows.is_empty()) {
        return Ok(());
    }
    let curves: [Curve<TrainingRow>; 9] = [
        (while_training(), |row| Some(row.qoe)),
        (axis::DROPPED.to_owned(), |row| Some(row.dropped as f64)),
        (axis::of_metric("delay_slots"), |row| row.delay_slots),
        (axis::of_metric("energy"), |row| Some(row.energy)),
        ("loss".to_owned(), |row| Some(row.loss)),
        ("share of decisions made by the explorer".to_owned(), |row| Some(row.exploration)),
        ("mean Q".to_owned(), |row| row.q),
        ("mean |Q − target| (TD error)".to_owned(), |row| row.td_error),
        ("norm of the gradient".to_owned(), |row| row.gradient_norm),
    ];
    let episodes = averaged_episodes(all);
    let mut panels = vec![panel(&in_validation(axis::QOE), "episode", all, |training| {
        let points = training.rows.iter().filter_map(|row| Some((after(row), row.validation_qoe?)));
        let best = training.best(|row| row.validation_qoe);
        let points = thinned(points.collect(), MAX_POINTS);
        (points, best.and_then(|row| Some((after(row), row.validation_qoe?))))
    })];
    panels.extend(curves.into_iter().map(|(heading, value)| {
        panel(&heading, "episode", all, |training| {
            (averaged(&training.rows, episodes, value), None)
        })
    }));
    let about = format!(
        "{} of {name}. Curves of training episodes are means of {episodes} episodes; marks show the \
         best validation, saved as best.safetensors.",
        counted(all.len() as u64, "training")
    );
    let files = ["training.csv", "timing.csv", "scenario.ron"];
    page_of(name, about, all, &trainings(all), panels, files, folder)?.write(&folder.join(FILE))
}

/// Writes [`FILE`] of the distillations of a scenario to their folder, over an earlier page of offramp; none
/// if they have no rows.
///
/// # Errors
/// [`PageError`]; what was learned stays as it is.
pub fn write_distillations(
    name: &str,
    all: &[Learned<DistillationRow>],
    folder: &Path,
) -> Result<(), PageError> {
    if all.iter().all(|distillation| distillation.rows.is_empty()) {
        return Ok(());
    }
    let curves: [Curve<DistillationRow>; 6] = [
        ("agreement with the teacher".to_owned(), |row| Some(row.agreement)),
        (in_validation(axis::DROPPED), |row| Some(row.validation_dropped)),
        ("loss".to_owned(), |row| Some(row.loss)),
        ("loss on held-out states, eq. (16)".to_owned(), |row| row.validation_loss),
        ("norm of the gradient".to_owned(), |row| row.gradient_norm),
        ("states in the dataset".to_owned(), |row| Some(row.states as f64)),
    ];
    let mut panels = vec![panel(&in_validation(axis::QOE), "step", all, |distillation| {
        let best = distillation.best(|row| Some(row.validation_qoe));
        let mark = best.map(|row| (row.step as f64, row.validation_qoe));
        (by_step(distillation, |row| Some(row.validation_qoe)), mark)
    })];
    panels.extend(curves.into_iter().map(|(heading, value)| {
        panel(&heading, "step", all, |distillation| (by_step(distillation, value), None))
    }));
    let about = format!(
        "{} of {name}. Marks show the best validation, saved as best.safetensors.",
        counted(all.len() as u64, "distillation")
    );
    let files = ["distillation.csv", "timing.csv", "scenario.ron"];
    page_of(name, about, all, &distillations(all), panels, files, folder)?.write(&folder.join(FILE))
}

fn while_training() -> String {
    format!("{} while training", axis::QOE)
}

fn in_validation(quantity: &str) -> String {
    format!("{quantity} in validation")
}

/// Episodes that a point of a training's curve averages, so that no line has more than [`MAX_POINTS`].
fn averaged_episodes(all: &[Learned<TrainingRow>]) -> usize {
    let longest = all.iter().map(|training| training.rows.len()).max().unwrap_or(0);
    SMOOTHED * longest.div_ceil(SMOOTHED * MAX_POINTS).max(1)
}

/// The values of a distillation, by step; of many only some.
fn by_step(
    distillation: &Learned<DistillationRow>,
    value: impl Fn(&DistillationRow) -> Option<f64>,
) -> Vec<(f64, f64)> {
    let point = |row: &DistillationRow| Some((row.step as f64, value(row)?));
    thinned(distillation.rows.iter().filter_map(point).collect(), MAX_POINTS)
}

/// Episodes up to the validation of a row.
fn after(row: &TrainingRow) -> f64 {
    row.episode as f64 + 1.0
}

/// The folders with that file: `folder`, or those of the points of a sweep in it, in order.
fn folders_with(folder: &Path, file: &str) -> Vec<PathBuf> {
    if folder.join(file).is_file() {
        return vec![folder.to_owned()];
    }
    let points = (0..).map(|number| learning::folder_of_point(folder, number, "point"));
    points.take_while(|point| point.is_dir()).filter(|point| point.join(file).is_file()).collect()
}

/// The trainings or distillations in a folder, point by point.
fn learned<R>(
    folder: &Path,
    file: &str,
    read: fn(&Path) -> Result<Vec<R>, offramp_results::Error>,
) -> Result<Vec<Learned<R>>, PageError> {
    let folders = folders_with(folder, file);
    // The table of curves names the points in order; one that failed at once has no row there.
    let names = learning::points(folder).filter(|names| names.len() == folders.len());
    let one = |(number, path): (usize, PathBuf)| {
        let inside = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
        let named = names.as_ref().filter(|_| !inside.is_empty());
        let point = named.map_or(inside, |names| names[number].clone());
        let rows = read(&path)?;
        Ok(Learned { point, folder: path, rows, error: None })
    };
    folders.into_iter().enumerate().map(one).collect()
}

/// A panel with one line per point of the sweep: its points, and the one to be marked.
fn panel<R>(
    heading: &str,
    x: &str,
    all: &[Learned<R>],
    line: impl Fn(&Learned<R>) -> (Vec<(f64, f64)>, Option<(f64, f64)>),
) -> Panel {
    let mut series = Vec::new();
    for (number, learned) in all.iter().take(MAX_LINES).enumerate() {
        let (points, marked) = line(learned);
        let look = Look::numbered(number);
        let name = short_name(&learned.point, all);
        series.push(Series { name, look, points, ..Series::default() });
        let marks = marked.map(|mark| Series { look, points: vec![mark], ..Series::default() });
        series.extend(marks);
    }
    let (title, x, y) = (String::new(), x.to_owned(), heading.to_owned());
    let figure = Figure::Lines(Lines { title, x, y, series });
    Panel { heading: heading.to_owned(), figure, files: Vec::new() }
}

/// A point beside a line: where all points are values of one field, the value.
fn short_name<R>(point: &str, all: &[Learned<R>]) -> String {
    let of_one_field = |point: &str| {
        let (field, value) = point.split_once(" = ")?;
        (!value.contains(" = ")).then(|| (field.to_owned(), value.to_owned()))
    };
    let field = of_one_field(point).map(|(field, _)| field);
    let same = |other: &Learned<R>| of_one_field(&other.point).map(|(field, _)| field) == field;
    match of_one_field(point) {
        Some((_, value)) if all.iter().all(same) => value,
        _ => point.to_owned(),
    }
}

fn page_of<R>(
    name: &str,
    about: String,
    all: &[Learned<R>],
    outcomes: &Records,
    panels: Vec<Panel>,
    files: [&str; 3],
    folder: &Path,
) -> Result<Page, PageError> {
    let mut sections = Vec::new();
    let failed = all.iter().filter_map(|learned| Some((learned, learned.error.as_ref()?)));
    let failed: Vec<(String, &str)> = failed
        .map(|(learned, error)| {
            let point = if learned.point.is_empty() { name } else { &learned.point };
            (point.to_owned(), error.as_str())
        })
        .collect();
    if !failed.is_empty() {
        sections.push(section("failed", "Failed", page::failures(&failed, MAX_ROWS)));
    }
    sections.push(section("outcome", "Outcome", outcome(all, outcomes, files, folder)));
    // Of one point the table states as much.
    let drawn = panels.into_iter().filter(|panel| match &panel.figure {
        Figure::Lines(lines) => lines.series.iter().any(|series| series.points.len() > 1),
        Figure::Bars(_) | Figure::Strips(_) => true,
    });
    let drawn: Vec<Panel> = drawn.collect();
    if !drawn.is_empty() {
        let mut html = String::new();
        if all.len() > MAX_LINES {
            let _ = writeln!(
                html,
                "<p class=\"quiet\">Figures show the first {MAX_LINES} of {} points.</p>",
                all.len()
            );
        }
        html += &grid(&drawn)?;
        sections.push(section("curves", "Curves", html));
    }
    Ok(Page { title: name.to_owned(), about, sections, footer: page::FOOTER.to_owned() })
}

fn section(id: &str, title: &str, html: String) -> Section {
    Section { id: id.to_owned(), title: title.to_owned(), html }
}

/// The table of outcomes, with links to the files of each point.
fn outcome<R>(all: &[Learned<R>], outcomes: &Records, files: [&str; 3], folder: &Path) -> String {
    let (mut header, rows, texts) = outcomes.shown();
    // Errors have a section of their own; the folder is part of the links.
    let kept: Vec<usize> = (0..header.len())
        .filter(|&at| !["error", "folder"].contains(&header[at].as_str()))
        .collect();
    let rows = rows.into_iter().zip(all).take(MAX_ROWS).map(|(row, learned)| {
        let inside = learned.folder.strip_prefix(folder).unwrap_or(&learned.folder);
        let links: Vec<String> = files
            .iter()
            .filter(|file| learned.folder.join(file).is_file())
            .map(|file| link(&inside.join(file), file))
            .collect();
        kept.iter().map(|&at| escaped(&row[at])).chain([links.join(" ")]).collect()
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let count = kept.iter().filter(|&&at| texts[at]).count();
    header = kept.iter().map(|&at| header[at].clone()).chain(["files".to_owned()]).collect();
    let shape = Table { caption: String::new(), header, rows: Vec::new(), texts: count };
    let mut html = html_table(&shape, &rows);
    if all.len() > MAX_ROWS {
        let _ = writeln!(html, "<p class=\"quiet\">First {MAX_ROWS} of {} points.</p>", all.len());
    }
    if all.len() > 40 { details(&counted(all.len() as u64, "point"), &html) } else { html }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(episodes: u64) -> Vec<TrainingRow> {
        let row = |episode| TrainingRow {
            episode,
            qoe: (episode % 7) as f64,
            q: (episode % 2 == 0).then_some(1.0),
            validation_qoe: (episode % 10 == 9).then_some(if episode == 19 { 8.0 } else { 5.0 }),
            ..TrainingRow::default()
        };
        (0..episodes).map(row).collect()
    }

    fn write_rows(folder: &Path, rows: &[TrainingRow]) {
        std::fs::create_dir_all(folder).unwrap();
        let mut writer = csv::Writer::from_path(folder.join("training.csv")).unwrap();
        rows.iter().for_each(|row| writer.serialize(row).unwrap());
    }

    #[test]
    fn a_page_has_the_best_validation_and_what_the_learner_states() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("teacher");
        assert!(!has_rows(home.path()));
        write_rows(&folder, &rows(40));
        write(&folder).unwrap();
        let html = std::fs::read_to_string(folder.join(FILE)).unwrap();
        assert!(html.contains("<h1>teacher</h1>") && html.contains("1 training of teacher."));
        // After 20 of 40 episodes.
        let best = "data-label=\"best after\">20</td>\
                    <td class=\"number\" data-label=\"best validation QoE\">8.0</td>";
        assert!(html.contains(best), "{html}");
        assert!(html.contains("<h3>mean Q</h3>") && !html.contains("TD error"), "{html}");
    }

    #[test]
    fn long_trainings_at_many_points_make_a_small_page() {
        let home = tempfile::tempdir().unwrap();
        let point = |number: usize| Learned {
            point: format!("train.seed = {number}"),
            folder: home.path().join(format!("point-{number:03}")),
            rows: rows(20_000),
            error: (number == 1).then(|| "lost & gone".to_owned()),
        };
        let all: Vec<_> = (0..14).map(point).collect();
        write_trainings("x", &all, home.path()).unwrap();
        let html = std::fs::read_to_string(home.path().join(FILE)).unwrap();
        assert!(html.contains("Curves of training episodes are means of 40 episodes"), "{html}");
        assert!(html.contains("Figures show the first 12 of 14 points."));
        assert!(html.contains("<pre>train.seed = 1: lost &amp; gone</pre>"));
        assert!(html.len() < 2_500_000, "{}", html.len());
        // Validations, too, of which there are 2000.
        let lines = html.split("<polyline").skip(1);
        let longest = lines.map(|line| line.split("/>").next().unwrap().matches(',').count()).max();
        assert_eq!(longest, Some(500));
    }

    #[test]
    fn points_of_one_field_are_named_by_their_values() {
        let point = |point: &str| Learned::<TrainingRow> {
            point: point.to_owned(),
            folder: "x".into(),
            rows: Vec::new(),
            error: None,
        };
        let names = |points: [&str; 2]| {
            let all = points.map(point);
            points.map(|point| short_name(point, &all))
        };
        assert_eq!(names(["a.b = Adam(1)", "a.b = 2"]), ["Adam(1)", "2"]);
        assert_eq!(names(["a = 1, b = 2", "a = 1, b = 3"]), ["a = 1, b = 2", "a = 1, b = 3"]);
        assert_eq!(names(["point-000", "point-001"]), ["point-000", "point-001"]);
    }
}
