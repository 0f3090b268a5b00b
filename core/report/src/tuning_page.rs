//! A search for hyper-parameters as one page: what each rung took, what its configurations reached, and
//! which was chosen; drawn from the files of its folder alone.

use std::path::Path;

use offramp_results::tuning::Search;
use offramp_results::words::counted;

use crate::page::figures::{Panel, grid};
use crate::page::{self, Page, PageError, Section, details, table};
use crate::records::Records;
use crate::run_page::FILE;
use crate::table::Table;
use crate::tuning::{all_standings, figure, rungs};

/// Most rows of the table of configurations, and most failures.
const MAX_ROWS: usize = 300;

/// Writes [`FILE`] to the folder of a search, over an earlier page of offramp.
///
/// # Errors
/// [`PageError`]; what was found stays as it is.
pub fn write(folder: &Path) -> Result<(), PageError> {
    let search = Search::read(folder)?;
    let name = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let count = counted(search.configurations.len() as u64, "configuration");
    let about = match search.chosen {
        Some(chosen) => format!("{count}; chosen: {}.", search.values(chosen)),
        None => format!("{count}; no configuration chosen."),
    };
    let files = ["scenario.ron", "tune.csv", "timing.csv", "chosen.ron"];
    let mut html = page::links(&files, folder);
    let drawn = figure(&search);
    let heading = drawn.value_label().to_owned();
    html += &grid(&[Panel { heading, figure: drawn, files: Vec::new() }])?;
    html += &table(&texts_first(&rungs(&search)));
    let failed = search.rows.iter().filter_map(|row| Some((row, row.error.as_ref()?)));
    let failed = failed.map(|(row, error)| {
        let values = search.values(row.configuration);
        (format!("rung {}, {values}, seed {}", row.rung, row.seed), error.as_str())
    });
    html += &page::failures(&failed.collect::<Vec<_>>(), MAX_ROWS);
    let mut standings = texts_first(&all_standings(&search));
    let rows = standings.rows.len();
    standings.rows.truncate(MAX_ROWS);
    if rows > MAX_ROWS {
        standings.caption = format!("First {MAX_ROWS} of {rows} rows; tune.csv has all.");
    }
    html += &details("Configurations, rung by rung", &table(&standings));
    let section = Section { id: "search".to_owned(), title: "Search".to_owned(), html };
    let footer = page::FOOTER.to_owned();
    Page { title: name, about, sections: vec![section], footer }.write(&folder.join(FILE))
}

/// The records as a table that begins with its columns of texts.
fn texts_first(records: &Records) -> Table {
    let (header, rows, texts) = records.shown();
    let mut order: Vec<usize> = (0..header.len()).collect();
    order.sort_by_key(|&at| !texts[at]);
    let ordered = |row: &Vec<String>| order.iter().map(|&at| row[at].clone()).collect();
    Table {
        caption: String::new(),
        header: ordered(&header),
        rows: rows.iter().map(ordered).collect(),
        texts: texts.iter().filter(|is_text| **is_text).count(),
    }
}
