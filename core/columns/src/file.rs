//! Parquet files: row groups, then what is in them.

use std::io::Write;

use crate::chunk::{Chunk, PLAIN, Pages, RLE, RLE_DICTIONARY};
use crate::thrift::Structure;
use crate::{Column, Error, Kind, Value};

/// Rows of a row group, of which all but the last has so many.
pub const GROUP_ROWS: usize = 1 << 16;

/// First and last bytes of a file.
const MAGIC: &[u8; 4] = b"PAR1";

/// Numbers of the format: physical types, converted types, repetition, and the compression.
const INT64: usize = 2;
const DOUBLE: usize = 5;
const BYTE_ARRAY: usize = 6;
const UTF8: usize = 0;
const LIST: usize = 3;
const UINT_64: usize = 14;
const REQUIRED: usize = 0;
const OPTIONAL: usize = 1;
const REPEATED: usize = 2;
const GZIP: usize = 2;

/// A table that is being written.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    /// Bytes written.
    at: usize,
    chunks: Vec<Chunk>,
    /// Rows in the chunks.
    pending: usize,
    /// Rows written.
    rows: usize,
    groups: Vec<Structure>,
}

impl<W: Write> Writer<W> {
    /// Begins a table.
    ///
    /// # Errors
    /// [`Error::Unwritable`].
    pub fn new(mut out: W, columns: Vec<Column>) -> Result<Self, Error> {
        out.write_all(MAGIC)?;
        let chunks = columns.into_iter().map(Chunk::new).collect();
        Ok(Self { out, at: MAGIC.len(), chunks, pending: 0, rows: 0, groups: Vec::new() })
    }

    /// Adds a row, with a cell for each column.
    ///
    /// # Errors
    /// [`Error`]; the table can't be completed then.
    pub fn row<'v>(&mut self, row: impl IntoIterator<Item = Value<'v>>) -> Result<(), Error> {
        let columns = self.chunks.len();
        let (mut row, mut cells) = (row.into_iter(), 0);
        for (chunk, value) in self.chunks.iter_mut().zip(&mut row) {
            chunk.push(value)?;
            cells += 1;
        }
        cells += row.count();
        if cells != columns {
            return Err(Error::Uneven { cells, columns });
        }
        self.pending += 1;
        if self.pending < GROUP_ROWS { Ok(()) } else { self.write_group() }
    }

    /// Completes the table.
    ///
    /// # Errors
    /// [`Error::Unwritable`].
    pub fn finish(mut self) -> Result<W, Error> {
        if self.pending > 0 {
            self.write_group()?;
        }
        let footer = Structure::default()
            .i32(1, 1)
            .structures(2, schema(&self.chunks))
            .i64(3, self.rows)
            .structures(4, self.groups)
            .text(6, concat!("offramp version ", env!("CARGO_PKG_VERSION")))
            .finish();
        self.out.write_all(&footer)?;
        self.out.write_all(&(footer.len() as u32).to_le_bytes())?;
        self.out.write_all(MAGIC)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn write_group(&mut self) -> Result<(), Error> {
        let (mut columns, mut bytes) = (Vec::new(), 0);
        for chunk in &mut self.chunks {
            let pages = chunk.take()?;
            self.out.write_all(&pages.bytes)?;
            columns.push(described(chunk.column(), &pages, self.at));
            bytes += pages.uncompressed;
            self.at += pages.bytes.len();
        }
        let group = Structure::default().structures(1, columns).i64(2, bytes).i64(3, self.pending);
        self.groups.push(group);
        self.rows += self.pending;
        self.pending = 0;
        Ok(())
    }
}

/// The physical type of a column's values.
fn physical(kind: Kind) -> usize {
    match kind {
        Kind::Text => BYTE_ARRAY,
        Kind::Count | Kind::Seed | Kind::Counts => INT64,
        Kind::Number => DOUBLE,
    }
}

/// A chunk in the footer; its pages begin at `at`.
fn described(column: &Column, pages: &Pages, at: usize) -> Structure {
    let mut path = vec![&*column.name];
    if column.kind == Kind::Counts {
        path.extend(["list", "element"]);
    }
    let encoding = if column.kind == Kind::Text { RLE_DICTIONARY } else { PLAIN };
    let mut data = Structure::default()
        .i32(1, physical(column.kind))
        .i32s(2, &[PLAIN, RLE, encoding][..if encoding == PLAIN { 2 } else { 3 }])
        .texts(3, &path)
        .i32(4, GZIP)
        .i64(5, pages.values)
        .i64(6, pages.uncompressed)
        .i64(7, pages.bytes.len())
        .i64(9, at + pages.data_at);
    if pages.data_at > 0 {
        data = data.i64(11, at);
    }
    Structure::default().i64(2, at).structure(3, data)
}

/// The tree of columns, from its root, depth first.
fn schema(chunks: &[Chunk]) -> Vec<Structure> {
    let mut tree = vec![Structure::default().text(4, "offramp").i32(5, chunks.len())];
    for Column { name, kind } in chunks.iter().map(Chunk::column) {
        let value = || Structure::default().i32(1, physical(*kind)).i32(3, OPTIONAL).text(4, name);
        // The type is stated twice: as readers have known it for long, and as the format now has it.
        let nothing = Structure::default;
        match kind {
            Kind::Text => {
                tree.push(value().i32(6, UTF8).structure(10, nothing().structure(1, nothing())))
            }
            Kind::Count | Kind::Number => tree.push(value()),
            Kind::Seed => {
                let unsigned = nothing().i8(1, 64).bool(2, false);
                tree.push(value().i32(6, UINT_64).structure(10, nothing().structure(10, unsigned)));
            }
            Kind::Counts => {
                let list = nothing().i32(3, OPTIONAL).text(4, name).i32(5, 1).i32(6, LIST);
                tree.push(list.structure(10, nothing().structure(3, nothing())));
                tree.push(nothing().i32(3, REPEATED).text(4, "list").i32(5, 1));
                tree.push(nothing().i32(1, INT64).i32(3, REQUIRED).text(4, "element"));
            }
        }
    }
    tree
}
