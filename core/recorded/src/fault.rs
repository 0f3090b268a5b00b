//! The reasons why a file can't be read, each with its place and what to do.

use std::fmt;
use std::path::{Path, PathBuf};

/// The reason why a file can't be read. Nothing of it is used then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileFault {
    /// The file can't be opened, read or unpacked.
    #[error("{}: can't be read: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        cause: std::io::Error,
    },
    /// The file's name does not end in a format that is read.
    #[error("{}: unknown format; expected a name that ends in {expected}", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// The endings that are read.
        expected: &'static str,
    },
    /// The file has no rows.
    #[error("{}: has no rows; expected {expected}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// The rows that it should have.
        expected: &'static str,
    },
    /// A column is named, measured or set that is not one of these rows.
    #[error(
        "{}: the columns name `{name}`, which is not a column of {rows}; expected one of {}",
        path.display(), list(known)
    )]
    UnknownName {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
        /// The kind of rows.
        rows: &'static str,
        /// The columns that they have.
        known: Vec<String>,
    },
    /// A factor or a constant can't be used.
    #[error("{}: the {what} of `{name}` is {value}; expected {expected}", path.display())]
    UnusableValue {
        /// The file.
        path: PathBuf,
        /// `factor` or `constant`.
        what: &'static str,
        /// The column.
        name: String,
        /// The factor or constant.
        value: f64,
        /// The values that can be used.
        expected: &'static str,
    },
    /// The file lacks a column.
    #[error(
        "{}: has no column {wanted}; it has {}; name the one to use in `columns`",
        path.display(), list(found)
    )]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column, or several of which one is needed.
        wanted: String,
        /// The columns that the file has, in its order.
        found: Vec<String>,
    },
    /// The file has two columns of the name of one that is read.
    #[error("{}: has the column `{column}` twice; rename one of them", path.display())]
    RepeatedColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
    },
    /// A cell, or an attribute of XML, is not what it should be.
    #[error("{}, {place}, column `{column}`: found {found}; expected {expected}", path.display())]
    Cell {
        /// The file.
        path: PathBuf,
        /// The line or row.
        place: Place,
        /// The column, as the file names it.
        column: String,
        /// The cell, shortened.
        found: String,
        /// The cells that are read.
        expected: String,
    },
    /// A row, or an element of XML, is not well formed.
    #[error("{}, {place}: {cause}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// The line or row.
        place: Place,
        /// The fault, and what was expected.
        cause: String,
    },
    /// A point is too far from the origin of its projection.
    #[error(
        "{}, row {row}: the point at latitude {latitude}, longitude {longitude} is more than 250 km \
         from the origin at {south}, {west}; is it a wrong row, or are the columns exchanged?",
        path.display()
    )]
    Far {
        /// The file.
        path: PathBuf,
        /// The row, counted from 1, the header not included.
        row: u64,
        /// The point, degrees.
        latitude: f64,
        /// The point, degrees.
        longitude: f64,
        /// Latitude of the origin, degrees.
        south: f64,
        /// Longitude of the origin, degrees.
        west: f64,
    },
    /// A Parquet file is damaged, or has what is not supported.
    #[error("{}: {cause}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The place in it, the fault, and what to write instead.
        cause: offramp_columns::ReadError,
    },
}

/// A place in a file, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of a text.
    Line(u64),
    /// A row of a table without lines.
    Row(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Row(row) => write!(f, "row {row}"),
        }
    }
}

impl FileFault {
    /// Of a file, from the system's reason.
    pub(crate) fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> Self {
        move |cause| Self::Unreadable { path: path.into(), cause }
    }
}

/// Names, as many as a message can have.
fn list(names: &[String]) -> String {
    const MOST: usize = 20;
    if names.is_empty() {
        return "none".to_owned();
    }
    let shown: Vec<_> = names.iter().take(MOST).map(|name| shortened(name)).collect();
    let rest = names.len().saturating_sub(MOST);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    shown.join(", ") + &more
}

/// A text of a file in a message: in quotes, without control characters, and not long.
pub(crate) fn shortened(text: &str) -> String {
    const MOST: usize = 40;
    let shown: String = text.chars().take(MOST).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    format!("`{}{more}`", shown.escape_debug())
}
