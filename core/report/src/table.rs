//! Tables of texts and numbers, for Markdown and pages.

use crate::records;

/// A table of texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The sentence above it; may be empty.
    pub caption: String,
    /// The titles of the columns.
    pub header: Vec<String>,
    /// As many cells per row as there are columns.
    pub rows: Vec<Vec<String>>,
    /// How many columns are texts; the rest are numbers.
    pub texts: usize,
}

/// A table as Markdown.
pub fn markdown(table: &Table) -> String {
    let Table { caption, header, rows, texts } = table;
    let rows = rows.iter().cloned();
    let table = records::markdown(header.clone(), rows, |column| column >= *texts);
    let caption = match caption.as_str() {
        "" => String::new(),
        caption => format!("\n{caption}\n"),
    };
    format!("{caption}\n{table}")
}
