//! Run folders as one page: of each scenario the table of `offramp run` with 95 % intervals, the
//! differences between policies, and figures; drawn from the files of the folders alone.
//!
//! It stays small whatever was run: tables and figures have an upper bound, and say what they leave
//! out. Intervals are over episodes: they cover the randomness of tasks, not of training.

use std::fmt::Write;
use std::path::{Component, Path, PathBuf};

use offramp_results::Grouping;
use offramp_results::words::counted;

use crate::episode;
use crate::page::figures::grid;
use crate::page::{
    self, Page, PageError, PageKind, Section, counted_as, details, escaped, html_table, more,
};
use crate::palette::Palette;
use crate::plot::{Figure, MAX_POINTS};
use crate::table::Table;

use measured::{Folder, Run, Scenario};

mod figures;
mod measured;
mod tables;
#[cfg(test)]
mod tests;

/// The page in a run folder, a training or a distillation.
pub const FILE: &str = "report.html";

/// Most rows of the tables of means of a page.
const MAX_ROWS: usize = 500;
/// Rows from which on a table is a click away; of a sweep, whose figures show the same, fewer.
const MANY_ROWS: usize = 40;
const MANY_SWEPT_ROWS: usize = 16;
/// Most scenarios with figures.
const MAX_DRAWN: usize = 20;

/// Writes [`FILE`] to a run folder, over an earlier page of offramp.
///
/// # Errors
/// [`PageError`]; the folder's results stay as they are.
pub fn write(folder: &Path) -> Result<(), PageError> {
    write_together(&[folder], &folder.join(FILE))
}

/// Writes a page of several run folders, over an earlier page of offramp.
///
/// # Errors
/// [`PageError`]; the folders stay as they are.
pub fn write_together(folders: &[&Path], file: &Path) -> Result<(), PageError> {
    page::check_ours(file, PageKind::Results)?;
    let folders = folders.iter().map(|folder| measured::read(folder));
    let folders: Vec<Folder> = folders.collect::<Result<_, _>>()?;
    // A file in the working folder has an empty parent.
    let beside = match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    page_of(&folders, beside)?.write(file)
}

/// The QoE of the first scenario of a run folder: over its sweep, or episode by episode.
///
/// # Errors
/// [`PageError`] names the file that can't be read.
pub(crate) fn picture(folder: &Path) -> Result<Option<Figure>, PageError> {
    let folder = measured::read(folder)?;
    let Some(scenario) = folder.scenarios.first() else { return Ok(None) };
    let (policies, _) = figures::policies(scenario);
    let palette = Palette::of_groups([policies.iter().copied()]);
    let panels = match scenario.axis() {
        Some(field) => figures::sweep(scenario, field, &policies, &palette),
        None => figures::distributions(scenario, &policies, &palette),
    };
    Ok(panels.into_iter().next().map(|panel| panel.figure))
}

fn page_of(folders: &[Folder], beside: &Path) -> Result<Page, PageError> {
    let scenarios: Vec<(&Folder, &Scenario)> = folders
        .iter()
        .flat_map(|folder| folder.scenarios.iter().map(move |scenario| (folder, scenario)))
        .collect();
    let runs: Vec<&Run> = scenarios.iter().flat_map(|(_, scenario)| scenario.runs()).collect();
    let drawn: Vec<Vec<&str>> =
        scenarios.iter().map(|(_, scenario)| figures::policies(scenario).0).collect();
    let palette = Palette::of_groups(drawn.iter().map(|policies| policies.iter().copied()));
    let mut sections: Vec<Section> = Vec::new();
    sections.extend(failures(&runs));
    let mut rows = MAX_ROWS;
    for (number, (folder, scenario)) in scenarios.iter().enumerate() {
        if rows == 0 {
            let left = counted((scenarios.len() - number) as u64, "more scenario");
            let html = format!("<p>{left}: the folder’s files have their results.</p>\n");
            sections.push(section("more".to_owned(), "Left out".to_owned(), html));
            break;
        }
        let title = match folders.len() {
            1 => scenario.name.clone(),
            _ => format!("{}, {}", scenario.name, folder.path.display()),
        };
        let palette = (number < MAX_DRAWN).then_some(&palette);
        let html = scenario_html(folder, scenario, &from(beside, &folder.path), rows, palette)?;
        rows -= rows.min(scenario.runs().count());
        sections.push(section(format!("scenario-{}", number + 1), title, html));
    }
    if !runs.is_empty() {
        sections.push(section("made-with".to_owned(), "Made with".to_owned(), plugins(&runs)));
    }
    let title = match scenarios.as_slice() {
        [(_, one)] => one.name.clone(),
        several => counted(several.len() as u64, "scenario"),
    };
    Ok(Page { title, about: about(&runs), sections, footer: page::FOOTER.to_owned() })
}

fn section(id: String, title: String, html: String) -> Section {
    Section { id, title, html }
}

/// What was run: policies, episodes, seeds and versions.
fn about(runs: &[&Run]) -> String {
    let distinct = |of: &dyn Fn(&Run) -> Option<String>| {
        let mut all: Vec<String> = Vec::new();
        for value in runs.iter().filter_map(|run| of(run)) {
            if !all.contains(&value) {
                all.push(value);
            }
        }
        all
    };
    let policies = distinct(&|run| Some(run.record.policy.clone())).len();
    let policies = counted_as(policies, "policy", "policies");
    let mut text = format!("{policies}, {}", counted(runs.len() as u64, "run"));
    let episodes = distinct(&|run| run.succeeded().then(|| run.record.episodes.to_string()));
    if let [episodes] = episodes.as_slice() {
        let _ = write!(text, " of {}", counted(episodes.parse().unwrap_or(0), "episode"));
    }
    let seeds = distinct(&|run| Some(run.record.seed.to_string()));
    if let [seed] = seeds.as_slice() {
        let _ = write!(text, ", seed {seed}");
    }
    let made = distinct(&|run| {
        let made = run.record.provenance.as_ref()?;
        let commit = made.commit.as_ref().map_or_else(String::new, |commit| {
            format!(", commit {}", commit.chars().take(12).collect::<String>())
        });
        Some(format!(
            "offramp {}, engine {}{commit}, {}",
            made.offramp, made.engine, made.processor
        ))
    });
    match made.as_slice() {
        [] => {}
        [made] => {
            let _ = write!(text, ". {made}");
        }
        several => {
            let _ = write!(text, ". {} builds or machines", several.len());
        }
    }
    text + "."
}

/// The runs that failed, with their reasons.
fn failures(runs: &[&Run]) -> Option<Section> {
    let failed =
        runs.iter().filter_map(|run| Some((run.record.title(), run.record.error.as_deref()?)));
    let failed: Vec<(String, &str)> = failed.collect();
    if failed.is_empty() {
        return None;
    }
    let html = page::failures(&failed, MAX_ROWS);
    let title = format!("{} failed", counted(failed.len() as u64, "run"));
    Some(section("failed".to_owned(), title, html))
}

/// The tables and figures of a scenario; `path` leads from the page to its folder. Without a palette no
/// figures.
fn scenario_html(
    folder: &Folder,
    scenario: &Scenario,
    path: &Path,
    rows: usize,
    palette: Option<&Palette>,
) -> Result<String, PageError> {
    let episodes = [None, Some(scenario.name.as_str())].map(episode::file_name);
    let files = [
        &format!("scenarios/{}.ron", scenario.name),
        "run.json",
        "episodes.csv",
        "power-modes.csv",
        "classes.csv",
        "delays.csv",
        "mobility.csv",
        "timing.csv",
        &episodes[0],
        &episodes[1],
    ];
    let there = files.into_iter().filter(|file| folder.path.join(file).is_file());
    let links = there.map(|file| {
        let name = file.trim_start_matches("scenarios/");
        page::link(&path.join(file), name)
    });
    let files = format!("<p class=\"quiet files\">{}</p>\n", links.collect::<Vec<_>>().join(" "));
    let means = tables::means(scenario, rows);
    let mut html = files;
    let count = scenario.runs().count();
    let many = if scenario.axis().is_some() { MANY_SWEPT_ROWS } else { MANY_ROWS };
    html += &if count < many {
        means
    } else {
        details(&format!("Table of {}", counted(count as u64, "run")), &means)
    };
    html += "<p class=\"quiet\">Means with 95 % intervals over episodes. They cover the randomness of \
             tasks, not of training: a retrained policy may lie outside them. The best of each metric is bold.";
    if scenario.runs().any(Run::is_summary) {
        html += " Runs with too many episodes for intervals show the standard deviation (±).";
    }
    html += "</p>\n";
    html += &tables::differences(scenario, rows);
    html += &tables::groups(scenario, Grouping::Class, rows);
    html += &tables::mobility(scenario, rows);
    let Some(palette) = palette else {
        let _ = writeln!(
            html,
            "<p class=\"quiet\">Only the first {MAX_DRAWN} scenarios have figures.</p>"
        );
        return Ok(html);
    };
    let (policies, all) = figures::policies(scenario);
    if policies.len() < all {
        let _ = writeln!(
            html,
            "<p class=\"quiet\">Figures show the {} policies with the highest QoE, of {all}.</p>",
            policies.len()
        );
    }
    let swept = scenario.runs().next().is_some_and(|run| !run.record.sweep.is_empty());
    if let Some(field) = scenario.axis() {
        if scenario.points.len() > MAX_POINTS {
            let _ = writeln!(
                html,
                "<p class=\"quiet\">Lines have {MAX_POINTS} of {} points, evenly chosen.</p>",
                scenario.points.len()
            );
        }
        html += &grid(&figures::sweep(scenario, field, &policies, palette))?;
    } else if !swept && !policies.is_empty() {
        let mut panels = figures::distributions(scenario, &policies, palette);
        panels.extend(figures::delays(scenario, &policies, palette));
        panels.extend(figures::power_modes(scenario, &policies, palette));
        if !panels.is_empty() {
            html += &grid(&panels)?;
        }
        let numbers = tables::quartiles_of_episodes(scenario, rows)
            + &tables::delays(scenario, rows)
            + &tables::groups(scenario, Grouping::PowerMode, rows);
        html += &details("Numbers of the figures", &numbers);
    }
    Ok(html)
}

/// The plugins that decided, with their versions and files.
fn plugins(runs: &[&Run]) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for run in runs {
        let plugin = &run.record.plugin;
        let digest: String = plugin.sha256.chars().take(12).collect();
        let row = [&plugin.policy, &plugin.name, &plugin.version, &plugin.file, &digest];
        let row: Vec<String> = row.into_iter().map(|cell| escaped(cell)).collect();
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    let header = ["policy", "plugin", "version", "file", "SHA-256"].map(str::to_owned).into();
    let shape = Table { caption: String::new(), header, rows: Vec::new(), texts: 5 };
    let summary = counted(rows.len() as u64, "plugin");
    let shown = &rows[..rows.len().min(MAX_ROWS)];
    details(&summary, &(html_table(&shape, shown) + &more(rows.len(), MAX_ROWS)))
}

/// The path from the folder `beside` to another; empty if it is the same.
fn from(beside: &Path, folder: &Path) -> PathBuf {
    let whole = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let (folder, beside) = (whole(folder), whole(beside));
    let common = folder.components().zip(beside.components()).take_while(|(a, b)| a == b).count();
    let up = beside.components().skip(common).map(|_| Component::ParentDir);
    up.chain(folder.components().skip(common)).collect()
}
