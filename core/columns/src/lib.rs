//! Tables of typed columns, as Parquet files.
//!
//! A table is written row by row; a [`Writer`] holds [`GROUP_ROWS`] rows at most, whatever the length of
//! the table. The same rows make the same bytes. A [`Reader`] reads such a table, and plain ones of other
//! programs, row by row too, and trusts none of their bytes.
//!
//! Both are our own because the `parquet` crate takes long to build: 39 seconds of processor time for
//! 25 crates, without Arrow and compression. These build in a second. The writer needs what every reader
//! has had for years: version 1 of the format, one data page per column and row group,
//! texts by dictionary, all else plain, and pages compressed as GZIP.
//!
//! | [`Kind`] | Parquet | Polars | DuckDB | pandas |
//! |---|---|---|---|---|
//! | `Text` | `BYTE_ARRAY`, string | `String` | `VARCHAR` | `str` |
//! | `Count` | `INT64` | `Int64` | `BIGINT` | `int64`, `float64` with empty cells |
//! | `Seed` | `INT64`, unsigned | `UInt64` | `UBIGINT` | `uint64` |
//! | `Number` | `DOUBLE` | `Float64` | `DOUBLE` | `float64` |
//! | `Counts` | list of `INT64` | `List(Int64)` | `BIGINT[]` | arrays |
//!
//! ```
//! use offramp_columns::{Column, Kind, Value, Writer};
//!
//! let columns = [Column::new("policy", Kind::Text), Column::new("qoe", Kind::Number)];
//! let mut table = Writer::new(Vec::new(), columns.into())?;
//! table.row([Value::Text("random"), Value::Number(615.5)])?;
//! table.row([Value::Text("mine"), Value::Empty])?;
//! let file = table.finish()?;
//! assert!(file.starts_with(b"PAR1") && file.ends_with(b"PAR1"));
//!
//! use offramp_columns::{Cell, Reader};
//!
//! let table = Reader::new(std::io::Cursor::new(file))?;
//! assert_eq!(table.fields()[1].name, "qoe");
//! let mut rows = table.rows(&[1])?;
//! assert!(rows.advance()?);
//! assert_eq!(rows.cell(0)?, Cell::Number(615.5));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod chunk;
mod file;
mod read;
mod runs;
mod thrift;

use std::borrow::Cow;

pub use file::{GROUP_ROWS, Writer};
pub use read::{Cell, Field, FieldKind, ReadError, Reader, Rows};

/// The type of a column. Any column may have empty cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Texts.
    Text,
    /// Whole numbers, 0 to 2⁶³ − 1. They are signed, so that the difference of two is what it should be.
    Count,
    /// Seeds: any 64 bits, unsigned.
    Seed,
    /// Numbers.
    Number,
    /// Lists of whole numbers, each 0 to 2⁶³ − 1.
    Counts,
}

/// A column: its name and type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, which no other column of the table has.
    pub name: Cow<'static, str>,
    /// The type of its cells.
    pub kind: Kind,
}

impl Column {
    /// A column of that name and type.
    pub fn new(name: impl Into<Cow<'static, str>>, kind: Kind) -> Self {
        Self { name: name.into(), kind }
    }
}

/// A cell of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'v> {
    /// No value, in a column of any type.
    Empty,
    /// A text.
    Text(&'v str),
    /// A whole number: of a [`Kind::Count`] or [`Kind::Seed`].
    Count(u64),
    /// A number.
    Number(f64),
    /// A list of whole numbers.
    Counts(&'v [u64]),
}

/// The reason why a table can't be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Writing failed.
    #[error(transparent)]
    Unwritable(#[from] std::io::Error),
    /// A cell is not of its column's type.
    #[error("column `{column}` of {kind:?} has the cell {cell}")]
    Mismatched {
        /// The column.
        column: String,
        /// Its type.
        kind: Kind,
        /// The cell.
        cell: String,
    },
    /// A row has more or fewer cells than the table has columns.
    #[error("a row has {cells} cells for {columns} columns")]
    Uneven {
        /// Cells of the row.
        cells: usize,
        /// Columns of the table.
        columns: usize,
    },
}
