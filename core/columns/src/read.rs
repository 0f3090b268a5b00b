//! Parquet files, read: the columns of a file, then the cells of those that are asked for, row by row.

mod compact;
mod footer;
mod hybrid;
mod page;
mod snappy;

use std::io::{Read, Seek, SeekFrom};

use compact::{Broken, Bytes};
use footer::{Chunk, Footer, Group, Values};
use page::{Header, Stored, Unusable};

/// First and last bytes of a file, and the last ones of an encrypted file.
const MAGIC: &[u8] = b"PAR1";
const MAGIC_ENCRYPTED: &[u8] = b"PARE";

/// Rows that any file may state, and those that each of its bytes may add: a few bytes could state
/// billions of equal rows.
const FREE_ROWS: u64 = 1 << 20;
const ROWS_PER_BYTE: u64 = 16;

/// Upper bound on the header of a page, bytes.
const MAX_HEADER: u64 = 1 << 24;

/// A column of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// The type of its cells.
    pub kind: FieldKind,
}

/// The type of a column's cells, any of which may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldKind {
    /// Whole numbers: [`Cell::Whole`].
    Whole,
    /// Whole numbers of 64 bits without a sign: [`Cell::Seed`].
    Seed,
    /// Numbers: [`Cell::Number`].
    Number,
    /// Texts: [`Cell::Text`].
    Text,
    /// Truth values: [`Cell::Bool`].
    Bool,
    /// Timestamps: [`Cell::Instant`].
    Instant,
    /// Cells that can't be read, and what they are, such as `lists`.
    Other(String),
}

/// A cell that was read.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Cell<'r> {
    /// No value.
    Empty,
    /// A whole number.
    Whole(i64),
    /// A whole number of an unsigned column of 64 bits.
    Seed(u64),
    /// A number; it may be infinite or not a number.
    Number(f64),
    /// A text.
    Text(&'r str),
    /// A truth value.
    Bool(bool),
    /// Nanoseconds since the beginning of 1970, in UTC or, if the file has no time zone, as on the clock.
    Instant(i128),
}

/// The reason why a table can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Reading failed.
    #[error(transparent)]
    Unreadable(#[from] std::io::Error),
    /// The file is not a Parquet file, or its end is missing.
    #[error("not a whole Parquet file: {found}")]
    NotParquet {
        /// Its beginning or end, and what should be there.
        found: String,
    },
    /// The file contradicts itself or the format.
    #[error("{place} is damaged: {cause}; write the file again")]
    Damaged {
        /// The part of the file: its footer, or a column and row group.
        place: String,
        /// The contradiction.
        cause: &'static str,
    },
    /// The file uses a part of the format that is not read.
    #[error("{place} has {found}, which is not supported; {instead}")]
    Unsupported {
        /// The part of the file: a column, or a column and row group.
        place: String,
        /// What it has.
        found: String,
        /// What to write instead.
        instead: &'static str,
    },
}

const INSTEAD_OF_PACKING: &str = "write it with \
    `df.write_parquet(path, compression=\"uncompressed\")` (Polars), \
    `df.to_parquet(path, compression=\"snappy\")` (pandas) or \
    `COPY t TO 'path' (COMPRESSION snappy)` (DuckDB)";
const INSTEAD_OF_TYPE: &str = "convert it to whole numbers, floats, texts or timestamps first, such as \
    `df.with_columns(pl.col(name).cast(pl.Float64))` (Polars)";
const INSTEAD_OF_ALL: &str = "write a plain file, not an encrypted or divided one";

/// A file whose columns are known.
///
/// Reads what [`Writer`](crate::Writer) writes, and plain files of Polars, pandas and DuckDB: columns of
/// booleans, 32 and 64-bit whole numbers, floats, doubles, texts and timestamps, with or without empty
/// cells; pages of version 1 and 2, plain or by dictionary, and GZIP, Snappy or no compression. Other
/// columns may be there, and are an error only if they are asked for.
///
/// Whatever the bytes are, it does not panic, and memory stays in proportion to the file: one page a column
/// is held, of at most 256 MiB, and a file may state 16 rows for each of its bytes, or 2²⁰.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    length: u64,
    footer: Footer,
    fields: Vec<Field>,
    rows: u64,
}

impl<R: Read + Seek> Reader<R> {
    /// Reads the columns of a file.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn new(mut input: R) -> Result<Self, ReadError> {
        let length = input.seek(SeekFrom::End(0))?;
        let not_parquet = |found: String| Err(ReadError::NotParquet { found });
        let begin = read_at(&mut input, 0, length.min(4))?;
        if begin != MAGIC {
            let begin = String::from_utf8_lossy(&begin).escape_debug().to_string();
            return not_parquet(format!("it begins with `{begin}` instead of `PAR1`"));
        }
        let Some(end_at) = length.checked_sub(8).filter(|&at| at >= 4) else {
            return not_parquet("it has no footer".to_owned());
        };
        let end = read_at(&mut input, end_at, 8)?;
        if end.ends_with(MAGIC_ENCRYPTED) {
            let (place, found) = ("the file".to_owned(), "an encrypted footer".to_owned());
            return Err(ReadError::Unsupported { place, found, instead: INSTEAD_OF_ALL });
        }
        if !end.ends_with(MAGIC) {
            return not_parquet("it does not end with `PAR1`: it was cut off".to_owned());
        }
        let size = end[..4].iter().rev().fold(0, |size, &byte| size << 8 | u64::from(byte));
        let damaged = |cause| ReadError::Damaged { place: "its footer".to_owned(), cause };
        let Some(at) = end_at.checked_sub(size).filter(|&at| at >= 4) else {
            return Err(damaged("it states a size larger than the file"));
        };
        let footer = read_at(&mut input, at, size)?;
        let footer = Footer::read(&footer).map_err(|broken| damaged(broken.cause()))?;
        let rows = footer.groups.iter().try_fold(0_u64, |sum, group| sum.checked_add(group.rows));
        let most = FREE_ROWS.max(length.saturating_mul(ROWS_PER_BYTE));
        let rows = rows.filter(|&rows| rows <= most);
        let rows = rows.ok_or_else(|| damaged("it states more rows than the file can have"))?;
        let fields = footer.fields.iter().map(|described| described.field.clone()).collect();
        Ok(Self { input, length, footer, fields, rows })
    }

    /// The columns, in the order of the file.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Number of rows.
    pub fn row_count(&self) -> u64 {
        self.rows
    }

    /// Begins to read the rows, of which each has the cells of the columns at `places` of
    /// [`fields`](Self::fields), in that order.
    ///
    /// # Errors
    /// [`ReadError::Unsupported`] if the cells of a column can't be read.
    ///
    /// # Panics
    /// If a place is not one of a column.
    pub fn rows(self, places: &[usize]) -> Result<Rows<R>, ReadError> {
        let column = |&place: &usize| {
            let described = &self.footer.fields[place];
            let name = described.field.name.clone();
            if let FieldKind::Other(found) = &described.field.kind {
                let (place, found) = (format!("column `{name}`"), found.clone());
                return Err(ReadError::Unsupported { place, found, instead: INSTEAD_OF_TYPE });
            }
            Ok(Column::new(name, described.leaf, described.values))
        };
        let columns = places.iter().map(column).collect::<Result<_, _>>()?;
        let Self { input, length, footer, .. } = self;
        Ok(Rows { input, length, groups: footer.groups, group: 0, left: 0, columns })
    }
}

/// The rows of a file, one after the other.
#[derive(Debug)]
pub struct Rows<R> {
    input: R,
    length: u64,
    groups: Vec<Group>,
    /// Groups that were begun.
    group: usize,
    /// Rows of the group that were not read.
    left: u64,
    columns: Vec<Column>,
}

impl<R: Read + Seek> Rows<R> {
    /// Reads the next row; false if there is none.
    ///
    /// # Errors
    /// [`ReadError`]; no further row can be read then.
    pub fn advance(&mut self) -> Result<bool, ReadError> {
        while self.left == 0 {
            let Some(group) = self.groups.get(self.group) else { return Ok(false) };
            self.group += 1;
            self.left = group.rows;
            for column in &mut self.columns {
                column.begin(group, self.group, self.length)?;
            }
        }
        self.left -= 1;
        for column in &mut self.columns {
            column.advance(&mut self.input)?;
        }
        Ok(true)
    }

    /// The cell of the row in one of the columns that were asked for.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] if it is not UTF-8.
    ///
    /// # Panics
    /// If there is no such column, or no row was read.
    #[inline]
    pub fn cell(&self, column: usize) -> Result<Cell<'_>, ReadError> {
        self.columns[column].cell()
    }
}

/// A column that is being read: its pages in the group, and its values in the page.
#[derive(Debug)]
struct Column {
    name: String,
    leaf: usize,
    values: Values,
    /// The group, counted from 1, and the column's pages in it.
    group: usize,
    chunk: Chunk,
    /// Where the next page begins, and the last one ends.
    at: u64,
    end: u64,
    /// Values in the pages to come.
    pending: u64,
    dictionary: Option<Stored>,
    /// The page's values, those of them that come, and whether they are there; empty if all are.
    stored: Stored,
    next: usize,
    left: usize,
    is_there: Vec<bool>,
    /// The row's value; `None` if it is empty.
    current: Option<usize>,
}

impl Column {
    fn new(name: String, leaf: usize, values: Values) -> Self {
        Self {
            name,
            leaf,
            values,
            group: 0,
            chunk: Chunk::default(),
            at: 0,
            end: 0,
            pending: 0,
            dictionary: None,
            stored: Stored::Bool(Vec::new()),
            next: 0,
            left: 0,
            is_there: Vec::new(),
            current: None,
        }
    }

    fn place(&self) -> String {
        format!("column `{}` in row group {}", self.name, self.group)
    }

    fn damaged(&self, cause: &'static str) -> ReadError {
        ReadError::Damaged { place: self.place(), cause }
    }

    /// Begins a row group.
    fn begin(&mut self, group: &Group, number: usize, length: u64) -> Result<(), ReadError> {
        self.group = number;
        let chunk = group.chunks.get(self.leaf).copied();
        let chunk = chunk.ok_or_else(|| self.damaged("it is missing"))?;
        if chunk.is_elsewhere {
            let (place, found) =
                (self.place(), "its values encrypted or in another file".to_owned());
            return Err(ReadError::Unsupported { place, found, instead: INSTEAD_OF_ALL });
        }
        if chunk.values != group.rows || self.left > 0 || self.pending > 0 {
            return Err(self.damaged("it has not one value a row"));
        }
        let end = chunk.start.checked_add(chunk.length).filter(|&end| end <= length);
        (self.at, self.pending, self.chunk, self.dictionary) =
            (chunk.start, chunk.values, chunk, None);
        self.end = end.ok_or_else(|| self.damaged("it ends behind the end of the file"))?;
        Ok(())
    }

    /// Moves to the next value.
    #[inline]
    fn advance(&mut self, input: &mut (impl Read + Seek)) -> Result<(), ReadError> {
        while self.left == 0 {
            self.next_page(input)?;
        }
        let is_there = match self.is_there.len() {
            0 => true,
            length => self.is_there[length - self.left],
        };
        self.left -= 1;
        self.current = is_there.then_some(self.next);
        self.next += usize::from(is_there);
        Ok(())
    }

    fn next_page(&mut self, input: &mut (impl Read + Seek)) -> Result<(), ReadError> {
        let header = self.header(input)?;
        if header.packed > self.end - self.at {
            return Err(self.damaged("a page is larger than the column"));
        }
        if header.unpacked > page::MAX_BYTES {
            let (place, found) = (self.place(), "a page of more than 256 MiB".to_owned());
            let instead = "write smaller pages (`data_page_size`)";
            return Err(ReadError::Unsupported { place, found, instead });
        }
        let is_data = [page::DATA, page::DATA_2].contains(&header.kind);
        if !is_data && header.kind != page::DICTIONARY {
            self.at += header.packed;
            return Ok(());
        }
        let packed = read_at(input, self.at, header.packed)?;
        self.at += header.packed;
        let (codec, values) = (self.chunk.codec, self.values);
        if is_data {
            self.pending = match self.pending.checked_sub(header.values) {
                Some(pending) => pending,
                None => return Err(self.damaged("it has more values than its group has rows")),
            };
            let data = page::data(&header, packed, codec, values, self.dictionary.as_ref());
            let data = data.map_err(|unusable| self.unusable(unusable))?;
            (self.stored, self.is_there) = (data.stored, data.is_there);
            (self.next, self.left) = (0, header.values as usize);
        } else {
            let dictionary = page::dictionary(&header, packed, codec, values);
            self.dictionary = Some(dictionary.map_err(|unusable| self.unusable(unusable))?);
        }
        Ok(())
    }

    /// The header of the next page, behind which the column then is.
    fn header(&mut self, input: &mut (impl Read + Seek)) -> Result<Header, ReadError> {
        let most = (self.end - self.at).min(MAX_HEADER);
        let mut window = 256;
        loop {
            let bytes = read_at(input, self.at, most.min(window))?;
            let mut rest = Bytes(&bytes);
            match Header::read(&mut rest) {
                Ok(header) => {
                    self.at += (bytes.len() - rest.0.len()) as u64;
                    return Ok(header);
                }
                // Statistics in a header may be long texts.
                Err(Broken::Short) if window < most => window *= 16,
                Err(Broken::Short) => return Err(self.damaged("its pages end too early")),
                Err(Broken::Wrong(cause)) => return Err(self.damaged(cause)),
            }
        }
    }

    fn unusable(&self, unusable: Unusable) -> ReadError {
        match unusable {
            Unusable::Broken(broken) => self.damaged(broken.cause()),
            Unusable::Unknown(found) => {
                let (place, instead) = (self.place(), INSTEAD_OF_PACKING);
                ReadError::Unsupported { place, found, instead }
            }
        }
    }

    #[inline]
    fn cell(&self) -> Result<Cell<'_>, ReadError> {
        let Some(current) = self.current else { return Ok(Cell::Empty) };
        let cell = self.stored.cell(current, self.dictionary.as_ref(), self.values);
        cell.ok_or_else(|| self.damaged("a text is not UTF-8"))
    }
}

/// Reads bytes that the file has.
fn read_at(input: &mut (impl Read + Seek), at: u64, count: u64) -> std::io::Result<Vec<u8>> {
    input.seek(SeekFrom::Start(at))?;
    let mut bytes = vec![0; count as usize];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}
