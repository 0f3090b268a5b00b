//! Column chunks: the cells of one column in one row group, as the pages of a file.

use std::collections::HashMap;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::runs::Runs;
use crate::thrift::Structure;
use crate::{Column, Error, Kind, Value};

/// Numbers of the format: encodings, and the kinds of pages.
pub(crate) const PLAIN: usize = 0;
pub(crate) const RLE: usize = 3;
pub(crate) const RLE_DICTIONARY: usize = 8;
const DATA_PAGE: usize = 0;
const DICTIONARY_PAGE: usize = 2;

/// The cells of a column in the row group that is being filled.
#[derive(Debug)]
pub(crate) struct Chunk {
    column: Column,
    /// How much of each value is there, 0 (an empty cell) to [`full`].
    definition: Runs,
    /// Of lists, 0 where a list begins and 1 within it.
    repetition: Runs,
    /// Numbers, 8 bytes each; or the dictionary of texts: length and bytes of each.
    plain: Vec<u8>,
    /// The place of each text in the dictionary.
    places: Runs,
    known: HashMap<String, u32>,
    /// The text of the cell before, which often is that of the next, and its place.
    last: Option<(String, u32)>,
}

/// A chunk as it stands in a file.
#[derive(Debug)]
pub(crate) struct Pages {
    /// All pages with their headers.
    pub(crate) bytes: Vec<u8>,
    /// Their size without compression.
    pub(crate) uncompressed: usize,
    /// Where the data page begins; before it is the dictionary, if there is one.
    pub(crate) data_at: usize,
    /// Values, empty ones included.
    pub(crate) values: usize,
}

/// The definition level of a value that is there.
pub(crate) fn full(kind: Kind) -> u32 {
    // A list may itself be empty, or be without elements.
    if kind == Kind::Counts { 2 } else { 1 }
}

impl Chunk {
    pub(crate) fn new(column: Column) -> Self {
        Self {
            column,
            definition: Runs::default(),
            repetition: Runs::default(),
            plain: Vec::new(),
            places: Runs::default(),
            known: HashMap::new(),
            last: None,
        }
    }

    pub(crate) fn column(&self) -> &Column {
        &self.column
    }

    /// Adds the cell of the next row.
    pub(crate) fn push(&mut self, value: Value<'_>) -> Result<(), Error> {
        let full = full(self.column.kind);
        match (self.column.kind, value) {
            (Kind::Counts, Value::Empty) => {
                self.definition.push(0);
                self.repetition.push(0);
            }
            (_, Value::Empty) => self.definition.push(0),
            (Kind::Text, Value::Text(text)) => {
                self.definition.push(full);
                let place = self.place(text);
                self.places.push(place);
            }
            (Kind::Count, Value::Count(count)) if is_signed(count) => {
                self.definition.push(full);
                self.plain.extend(count.to_le_bytes());
            }
            (Kind::Seed, Value::Count(seed)) => {
                self.definition.push(full);
                self.plain.extend(seed.to_le_bytes());
            }
            (Kind::Number, Value::Number(number)) => {
                self.definition.push(full);
                self.plain.extend(number.to_le_bytes());
            }
            (Kind::Counts, Value::Counts([])) => {
                self.definition.push(1);
                self.repetition.push(0);
            }
            (Kind::Counts, Value::Counts(counts)) if counts.iter().copied().all(is_signed) => {
                for (at, count) in counts.iter().enumerate() {
                    self.definition.push(full);
                    self.repetition.push(u32::from(at > 0));
                    self.plain.extend(count.to_le_bytes());
                }
            }
            (kind, value) => {
                let column = self.column.name.clone().into_owned();
                return Err(Error::Mismatched { column, kind, cell: format!("{value:?}") });
            }
        }
        Ok(())
    }

    /// The place of a text in the dictionary, in which it then is.
    fn place(&mut self, text: &str) -> u32 {
        if let Some((last, place)) = &self.last
            && last == text
        {
            return *place;
        }
        let place = self.known.get(text).copied().unwrap_or_else(|| {
            let place = self.known.len() as u32;
            self.plain.extend((text.len() as u32).to_le_bytes());
            self.plain.extend(text.as_bytes());
            self.known.insert(text.to_owned(), place);
            place
        });
        self.last = Some((text.to_owned(), place));
        place
    }

    /// Its pages; it is empty then.
    pub(crate) fn take(&mut self) -> Result<Pages, Error> {
        let kind = self.column.kind;
        let values = self.definition.len() as usize;
        let mut data = Vec::new();
        if kind == Kind::Counts {
            levels(&self.repetition, &mut data);
        }
        levels(&self.definition, &mut data);
        let mut pages = Pages { bytes: Vec::new(), uncompressed: 0, data_at: 0, values };
        let encoding = match kind {
            Kind::Text => {
                let texts = self.known.len();
                let bits = bits(texts);
                data.push(bits as u8);
                data.extend(self.places.encoded(bits));
                let header = Structure::default().i32(1, texts).i32(2, PLAIN);
                pages.add(DICTIONARY_PAGE, 7, header, &self.plain)?;
                RLE_DICTIONARY
            }
            Kind::Count | Kind::Seed | Kind::Number | Kind::Counts => {
                data.extend(&self.plain);
                PLAIN
            }
        };
        pages.data_at = pages.bytes.len();
        let header = Structure::default().i32(1, values).i32(2, encoding).i32(3, RLE).i32(4, RLE);
        pages.add(DATA_PAGE, 5, header, &data)?;
        *self = Self::new(self.column.clone());
        Ok(pages)
    }
}

impl Pages {
    /// Adds a page; its own header is the field `field` of every page's.
    fn add(&mut self, kind: usize, field: u8, header: Structure, data: &[u8]) -> Result<(), Error> {
        let mut compressed = GzEncoder::new(Vec::new(), Compression::fast());
        compressed.write_all(data)?;
        let compressed = compressed.finish()?;
        let header = Structure::default()
            .i32(1, kind)
            .i32(2, data.len())
            .i32(3, compressed.len())
            .structure(field, header)
            .finish();
        self.uncompressed += header.len() + data.len();
        self.bytes.extend(header);
        self.bytes.extend(compressed);
        Ok(())
    }
}

/// Adds levels, none of which has more than 8 bits, after their size in bytes.
fn levels(levels: &Runs, out: &mut Vec<u8>) {
    let encoded = levels.encoded(8);
    out.extend((encoded.len() as u32).to_le_bytes());
    out.extend(encoded);
}

/// Bits of a place in a dictionary of so many texts; at least one, which every reader accepts.
fn bits(texts: usize) -> u32 {
    (texts.saturating_sub(1).max(1) as u32).ilog2() + 1
}

fn is_signed(count: u64) -> bool {
    i64::try_from(count).is_ok()
}
