//! Live runs as one page: what each policy reached, and its curves over time with a line at each change;
//! drawn from the files of their folder alone.

use std::path::{Path, PathBuf};

use offramp_results::learning::folder_of_point;
use offramp_results::live::{LiveChange, LiveRow, LiveRun};
use offramp_results::words::counted;

use crate::axis;
use crate::live::{curves, figure, outcomes};
use crate::page::figures::{Panel, grid};
use crate::page::{self, Page, PageError, Section, table};
use crate::plot::{Figure, Lines};
use crate::run_page::FILE;
use crate::table::Table;

/// The file that the last of each run is.
const SUMMARY: &str = "live.json";

/// Most runs whose curves a page shows.
const MAX_RUNS: usize = 12;

/// A curve of each policy: a panel's heading, and the value of a window, if it has one.
type Curve = (String, fn(&LiveRow) -> Option<f64>);

/// True if `folder` has a live run, or those of the points of a sweep.
pub fn has_runs(folder: &Path) -> bool {
    !folders(folder).is_empty()
}

/// The runs of a folder: its own, or those of its points, in order.
///
/// # Errors
/// [`PageError`] names the file that can't be read.
pub fn runs(folder: &Path) -> Result<Vec<LiveRun>, PageError> {
    let runs = folders(folder).into_iter().map(|folder| LiveRun::read(&folder));
    Ok(runs.collect::<Result<_, _>>()?)
}

/// The curves of the first run of a folder.
///
/// # Errors
/// [`PageError`] names the file that can't be read.
pub(crate) fn picture(folder: &Path) -> Result<Option<Figure>, PageError> {
    Ok(runs(folder)?.first().map(figure))
}

/// Writes [`FILE`] to the folder of a live run, over an earlier page of offramp.
///
/// # Errors
/// [`PageError`]; the results stay as they are.
pub fn write(folder: &Path) -> Result<(), PageError> {
    let all = folders(folder);
    let runs = runs(folder)?;
    let name = runs.first().map_or_else(String::new, |run| run.scenario.clone());
    let about = runs.first().map_or_else(String::new, |run| {
        let slots = counted(run.slots.into(), "slot");
        format!("{slots}, in windows of {}; seed {}.", run.window_slots, run.seed)
    });
    let mut sections = Vec::new();
    let failed: Vec<_> = runs
        .iter()
        .flat_map(|run| run.streams.iter().map(move |stream| (run, stream)))
        .filter_map(|(run, stream)| {
            let fault = stream.error.as_ref().or(stream.stopped_learning.as_ref())?;
            let at = [stream.policy.as_str(), run.point.as_str()].join(" ");
            Some((format!("{}, slot {}", at.trim_end(), fault.slot), fault.cause.as_str()))
        })
        .collect();
    if !failed.is_empty() {
        let html = page::failures(&failed, MAX_RUNS);
        sections.push(section("failed", "Ended or stopped learning", html));
    }
    let (header, rows, texts) = outcomes(&runs).shown();
    // Faults have a section of their own.
    let kept: Vec<usize> = (0..header.len()).filter(|&at| header[at] != "error").collect();
    let of_outcome = Table {
        caption: String::new(),
        header: kept.iter().map(|&at| header[at].clone()).collect(),
        rows: rows.iter().map(|row| kept.iter().map(|&at| row[at].clone()).collect()).collect(),
        texts: kept.iter().filter(|&&at| texts[at]).count(),
    };
    sections.push(section("outcome", "Outcome", table(&of_outcome)));
    for (number, (run, own)) in runs.iter().zip(&all).take(MAX_RUNS).enumerate() {
        let title = if run.point.is_empty() { "Curves" } else { &run.point };
        let inside = own.strip_prefix(folder).unwrap_or(own);
        let mut html = page::links_in(&["live.csv", "recovery.csv", SUMMARY], folder, inside);
        html += &changed(&run.changes);
        html += &grid(&panels(run))?;
        sections.push(section(&format!("run-{number}"), title, html));
    }
    if runs.len() > MAX_RUNS {
        let html = format!(
            "<p class=\"quiet\">Curves of the first {MAX_RUNS} of {} points.</p>\n",
            runs.len()
        );
        sections.push(section("others", "Other points", html));
    }
    let footer = page::FOOTER.to_owned();
    Page { title: name, about, sections, footer }.write(&folder.join(FILE))
}

/// The folders that have a run.
fn folders(folder: &Path) -> Vec<PathBuf> {
    if folder.join(SUMMARY).is_file() {
        return vec![folder.to_owned()];
    }
    let points = (0..).map(|number| folder_of_point(folder, number, "point"));
    let points = points.take_while(|point| point.is_dir());
    points.filter(|point| point.join(SUMMARY).is_file()).collect()
}

/// What changes, and when.
fn changed(changes: &[LiveChange]) -> String {
    if changes.is_empty() {
        return String::new();
    }
    let row = |change: &LiveChange| {
        let set = change.set.iter().map(|(field, value)| format!("{field} = {value}"));
        let slots = match change.until_slot {
            until if until > change.at_slot => format!("{} to {until}", change.at_slot),
            _ => change.at_slot.to_string(),
        };
        vec![slots, set.collect::<Vec<_>>().join(", ")]
    };
    table(&Table {
        caption: String::new(),
        header: ["slot", "change"].map(str::to_owned).into(),
        rows: changes.iter().map(row).collect(),
        texts: 2,
    })
}

/// The curves of a run; of a number that no window has there is none.
fn panels(run: &LiveRun) -> Vec<Panel> {
    let all: [Curve; 6] = [
        ("QoE per task".to_owned(), |row| row.qoe_per_task),
        (axis::of_metric("delay_slots"), |row| row.delay_slots),
        (axis::of_metric("energy_per_task"), |row| row.energy_per_task),
        ("share of tasks dropped".to_owned(), |row| row.dropped_share),
        (axis::of_metric("local_share"), |row| row.local_share),
        ("loss".to_owned(), |row| row.loss),
    ];
    let panel = |(heading, value): Curve| {
        let lines = Lines { title: String::new(), ..curves(run, &heading, value) };
        Panel { heading, figure: Figure::Lines(lines), files: Vec::new() }
    };
    let drawn = |panel: &Panel| match &panel.figure {
        Figure::Lines(lines) => lines.series.iter().any(|series| series.points.len() > 1),
        Figure::Bars(_) | Figure::Strips(_) => true,
    };
    all.into_iter().map(panel).filter(drawn).collect()
}

fn section(id: &str, title: &str, html: String) -> Section {
    Section { id: id.to_owned(), title: title.to_owned(), html }
}
