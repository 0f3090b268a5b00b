//! A study as one page: verdicts, then its figures with the numbers behind them, then what was learned
//! for it.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use offramp_results::claim::{Claim, Verdict};
use offramp_results::exhibit::{Exhibit, ExhibitKind};
use offramp_results::learning::Lesson;
use offramp_results::metric;
use offramp_results::words::{counted, rounded};

use crate::NONE;
use crate::axis;
use crate::page::figures::{Panel, grid};
use crate::page::{self, Page, Section, counted_as, details, escaped, html_table, link, table};
use crate::palette::Palette;
use crate::plot::{Figure, Lines, PlotError, Series};
use crate::run_page;
use crate::study::{
    StudyResults, budgets_table, failures, figures, judged, palette, tables, tally, verdict,
    verdict_name,
};
use crate::table::Table;

/// The page of a study: every claim with its verdict, every exhibit with its figures, and what each of
/// `lessons` cost. It links to the files beside it in `folder`.
///
/// # Errors
/// [`PlotError`] if a figure can't be drawn.
pub fn study_page(
    study: &StudyResults<'_>,
    lessons: &[Lesson],
    folder: &Path,
) -> Result<String, PlotError> {
    let palette = palette(study.exhibits);
    let mut sections = Vec::new();
    if !study.claims.is_empty() {
        sections.push(claims_section(study.claims));
    }
    for exhibit in study.exhibits {
        sections.push(exhibit_section(exhibit, &palette)?);
    }
    if !study.budgets.is_empty() {
        let html = format!(
            "<p>These searches chose hyper-parameters on validation episodes. “Used” is what all trainings \
             or distillations of a search took.</p>\n{}",
            table(&budgets_table(study.budgets))
        );
        sections.push(section("budgets", "Chosen on validation", html));
    }
    if !lessons.is_empty() {
        sections.push(lessons_section(lessons, folder));
    }
    let page = Page {
        title: study.name.to_owned(),
        about: format!("{} {}.", study.about, study.size()).trim_start().to_owned(),
        sections,
        footer: page::FOOTER.to_owned(),
    };
    Ok(page.html())
}

fn section(id: &str, title: &str, html: String) -> Section {
    Section { id: id.to_owned(), title: title.to_owned(), html }
}

/// Every claim with its verdict and what it rests on.
fn claims_section(claims: &[Claim]) -> Section {
    let mut html = format!(
        "<p class=\"tally\">{}</p>\n<p class=\"quiet\">A claim holds if the 95 % interval of every \
         difference it implies lies on the claimed side; it fails if any difference lies on the other side, \
         by Holm’s procedure over all comparisons of the claim, and is undecided otherwise. One training \
         seed shows nothing about how another training would end, so such a verdict is “too few \
         seeds”.</p>\n<ul class=\"claims\">\n",
        tally(claims)
    );
    for claim in claims {
        let shown = verdict(claim);
        let class = verdict_name(shown).replace(' ', "-");
        let because = match shown {
            Verdict::NotJudged => claim.because.clone(),
            _ => format!("deciding margin: {}", in_words(&claim.because)),
        };
        let compared = counted(claim.comparisons as u64, "comparison");
        let trained = match claim.basis.trainings() {
            Some(seeds) => counted(seeds as u64, "training seed"),
            None => "nothing trained".to_owned(),
        };
        let basis = match shown {
            Verdict::NotJudged => String::new(),
            _ => format!("{compared}, {trained}; "),
        };
        // What `judged` adds to the verdict stands below it.
        let judged = judged(claim);
        let (word, few) = judged.split_once(", ").unwrap_or((&judged, ""));
        let few = if few.is_empty() { String::new() } else { format!(" <small>{few}</small>") };
        let _ = writeln!(
            html,
            "<li><p class=\"verdict {class}\">{word}{few}</p><div><p>{} <small>({})</small></p>\
             <p class=\"basis\">{basis}{}</p></div></li>",
            escaped(&claim.text),
            escaped(&claim.source),
            escaped(&because)
        );
    }
    html += "</ul>\n";
    section("claims", "Verdicts", html)
}

/// The reason of a verdict, with the title of its metric in the words of the figures.
fn in_words(because: &str) -> String {
    let titled = because.split_once(": ").and_then(|(title, margin)| {
        Some((metric::all().iter().find(|metric| metric.title == title)?, margin))
    });
    match titled {
        Some((metric, margin)) => format!("{}, {margin}", axis::metric_label(metric)),
        None => because.to_owned(),
    }
}

/// The figures of an exhibit, its tables (a click away, if there are figures) and its files.
fn exhibit_section(exhibit: &Exhibit, palette: &Palette) -> Result<Section, PlotError> {
    let id = &exhibit.id;
    let figures = figures(exhibit, palette);
    let tables = match exhibit.kind {
        ExhibitKind::Curves => {
            figures.iter().filter_map(|(_, figure)| curves_table(figure)).collect()
        }
        _ => tables(exhibit, axis::label),
    };
    let tables: String = tables.iter().map(table).collect();
    let panels: Vec<Panel> = figures
        .into_iter()
        .map(|(end, figure)| {
            let files = ["svg", "png"];
            let files = files
                .map(|kind| (kind.to_uppercase(), PathBuf::from(format!("{id}{end}.{kind}"))))
                .into();
            Panel { heading: figure.value_label().to_owned(), figure, files }
        })
        .collect();
    let files = if exhibit.kind == ExhibitKind::Curves {
        "<p class=\"quiet\">Every episode: training.csv in the folders of the trainings.</p>\n"
            .to_owned()
    } else {
        let [csv, markdown] = [("csv", "CSV"), ("md", "Markdown")]
            .map(|(end, name)| link(Path::new(&format!("{id}.{end}")), name));
        format!("<p class=\"quiet files\">All numbers: {csv} {markdown}</p>\n")
    };
    let mut html = String::new();
    if panels.is_empty() {
        html += &tables;
        html += &files;
    } else {
        html += &grid(&panels)?;
        html += &details("Numbers", &(tables + &files));
    }
    for failure in failures(exhibit) {
        let _ = writeln!(html, "<pre>failed: {}</pre>", escaped(&failure));
    }
    Ok(section(id, &exhibit.title, html))
}

/// Rows of a table of curves, at most.
const CURVE_ROWS: usize = 20;

/// The points of curves, evenly thinned, one column per curve.
fn curves_table(figure: &Figure) -> Option<Table> {
    let Figure::Lines(Lines { x, y, series, .. }) = figure else { return None };
    let longest = series.iter().max_by_key(|series| series.points.len())?;
    let step = longest.points.len().div_ceil(CURVE_ROWS).max(1);
    let rows = longest.points.iter().enumerate().skip(step - 1).step_by(step);
    let row = |(at, &(x, _)): (usize, &(f64, f64))| {
        let value = |series: &Series| {
            let point = series.points.get(at).filter(|point| point.0 == x);
            point.map_or_else(|| NONE.to_owned(), |point| rounded(point.1, 1))
        };
        [rounded(x, 0)].into_iter().chain(series.iter().map(value)).collect()
    };
    let names = series.iter().map(|series| series.name.clone());
    Some(Table {
        caption: format!("{y}:"),
        header: [x.clone()].into_iter().chain(names).collect(),
        rows: rows.map(row).collect(),
        texts: 1,
    })
}

/// What each training and distillation cost, with links to their pages.
fn lessons_section(lessons: &[Lesson], folder: &Path) -> Section {
    let seconds = |lesson: &Lesson| match lesson.seconds {
        Some(seconds) => rounded(seconds, 1),
        None => NONE.to_owned(),
    };
    let total: f64 = lessons.iter().filter_map(|lesson| lesson.seconds).sum();
    let place = |lesson: &Lesson| {
        let shown = lesson.folder.to_string_lossy().replace('\\', "/");
        let page = lesson.folder.join(run_page::FILE);
        if folder.join(&page).is_file() { link(&page, &shown) } else { escaped(&shown) }
    };
    let rows: Vec<Vec<String>> = lessons
        .iter()
        .map(|lesson| vec![escaped(&lesson.policy), place(lesson), seconds(lesson)])
        .collect();
    let header = ["policy", "folder", "seconds"].map(str::to_owned).into();
    let shape = Table { caption: String::new(), header, rows: Vec::new(), texts: 2 };
    let several = "trainings and distillations";
    let count = counted_as(lessons.len(), "training or distillation", several);
    let summary = format!("{count}, {} s in all", rounded(total, 0));
    let files = format!("<p class=\"quiet files\">{}</p>\n", link(Path::new("lessons.csv"), "CSV"));
    let html = details(&summary, &(html_table(&shape, &rows) + &files));
    section("lessons", "Trainings and distillations", html)
}

#[cfg(test)]
mod tests;
