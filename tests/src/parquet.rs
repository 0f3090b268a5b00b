//! A reader of Parquet files, for what offramp writes, and independent of what writes it.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::GzDecoder;

/// A table that was read: its cells as a CSV file has them.
#[derive(Debug, PartialEq)]
pub struct ParquetTable {
    /// The columns in order: name and type.
    pub columns: Vec<(String, &'static str)>,
    /// The cells of each row; empty where there is no value. Lists are separated by blanks.
    pub rows: Vec<Vec<String>>,
    /// Rows of each row group.
    pub groups: Vec<usize>,
}

impl ParquetTable {
    /// The cells of the named columns, after their names.
    ///
    /// # Panics
    /// If a column is missing.
    pub fn only(&self, columns: &[String]) -> Vec<Vec<String>> {
        let place = |name: &String| {
            let place = self.columns.iter().position(|(column, _)| column == name);
            place.unwrap_or_else(|| panic!("there is no column {name}: {:?}", self.columns))
        };
        let places: Vec<usize> = columns.iter().map(place).collect();
        let rows = self.rows.iter();
        let rows = rows.map(|row| places.iter().map(|&at| row[at].clone()).collect());
        [columns.to_vec()].into_iter().chain(rows).collect()
    }
}

/// A value in Thrift's compact protocol.
#[derive(Debug)]
enum Thrift {
    Whole(i64),
    Text(String),
    List(Vec<Self>),
    Structure(BTreeMap<u8, Self>),
}

impl Thrift {
    fn field(&self, number: u8) -> Option<&Self> {
        match self {
            Self::Structure(fields) => fields.get(&number),
            other => panic!("{other:?} is not a structure"),
        }
    }

    fn whole(&self, number: u8) -> usize {
        match self.field(number) {
            Some(Self::Whole(value)) => usize::try_from(*value).unwrap(),
            other => panic!("field {number} is {other:?}"),
        }
    }

    fn text(&self, number: u8) -> &str {
        match self.field(number) {
            Some(Self::Text(text)) => text,
            other => panic!("field {number} is {other:?}"),
        }
    }

    fn list(&self, number: u8) -> &[Self] {
        match self.field(number) {
            Some(Self::List(list)) => list,
            other => panic!("field {number} is {other:?}"),
        }
    }
}

fn take<'b>(bytes: &mut &'b [u8], count: usize) -> &'b [u8] {
    let (taken, rest) = bytes.split_at(count);
    *bytes = rest;
    taken
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = take(bytes, 1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return value;
        }
    }
}

fn thrift(bytes: &mut &[u8], kind: u8) -> Thrift {
    match kind {
        1 | 2 => Thrift::Whole(i64::from(kind == 1)),
        3 => Thrift::Whole(take(bytes, 1)[0].into()),
        5 | 6 => {
            let zigzag = varint(bytes);
            Thrift::Whole((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
        }
        8 => {
            let length = varint(bytes) as usize;
            Thrift::Text(String::from_utf8(take(bytes, length).into()).unwrap())
        }
        9 => {
            let header = take(bytes, 1)[0];
            let length = if header >> 4 == 15 { varint(bytes) } else { u64::from(header >> 4) };
            Thrift::List((0..length).map(|_| thrift(bytes, header & 15)).collect())
        }
        12 => {
            let (mut fields, mut number) = (BTreeMap::new(), 0);
            loop {
                let header = take(bytes, 1)[0];
                if header == 0 {
                    return Thrift::Structure(fields);
                }
                assert_ne!(header >> 4, 0, "fields are near each other");
                number += header >> 4;
                fields.insert(number, thrift(bytes, header & 15));
            }
        }
        other => panic!("type {other}"),
    }
}

/// Numbers in the hybrid encoding, of which only runs are expected.
fn runs(mut bytes: &[u8], bits: usize) -> Vec<usize> {
    let mut numbers = Vec::new();
    while !bytes.is_empty() {
        let header = varint(&mut bytes);
        assert_eq!(header & 1, 0, "numbers are packed");
        let value = take(&mut bytes, bits.div_ceil(8));
        let value = value.iter().rev().fold(0, |value, &byte| value << 8 | usize::from(byte));
        numbers.extend(std::iter::repeat_n(value, (header >> 1) as usize));
    }
    numbers
}

fn levels(data: &mut &[u8]) -> Vec<usize> {
    let length = u32::from_le_bytes(take(data, 4).try_into().unwrap());
    runs(take(data, length as usize), 1)
}

/// The page at the beginning of `bytes`: its header, and its contents.
fn page(bytes: &mut &[u8]) -> (Thrift, Vec<u8>) {
    let header = thrift(bytes, 12);
    let mut data = Vec::new();
    GzDecoder::new(take(bytes, header.whole(3))).read_to_end(&mut data).unwrap();
    assert_eq!(data.len(), header.whole(2));
    (header, data)
}

fn texts(mut dictionary: &[u8]) -> Vec<String> {
    let mut texts = Vec::new();
    while !dictionary.is_empty() {
        let length = u32::from_le_bytes(take(&mut dictionary, 4).try_into().unwrap());
        texts.push(String::from_utf8(take(&mut dictionary, length as usize).into()).unwrap());
    }
    texts
}

/// The cells of a column in a row group.
fn cells(file: &[u8], chunk: &Thrift, kind: &str) -> Vec<String> {
    let chunk = chunk.field(3).unwrap();
    let dictionary_at = chunk.field(11).map(|_| chunk.whole(11));
    let mut pages = &file[dictionary_at.unwrap_or(chunk.whole(9))..][..chunk.whole(7)];
    let dictionary = dictionary_at.map(|_| page(&mut pages).1);
    let (header, data) = page(&mut pages);
    assert!(pages.is_empty());
    let mut data = &data[..];
    let repetition = (kind == "counts").then(|| levels(&mut data));
    let definition = levels(&mut data);
    assert_eq!(
        (header.field(5).unwrap().whole(1), chunk.whole(5)),
        (definition.len(), definition.len())
    );
    let mut values: Box<dyn Iterator<Item = String>> = match dictionary {
        Some(dictionary) => {
            let bits = take(&mut data, 1)[0];
            let texts = texts(&dictionary);
            Box::new(runs(data, bits.into()).into_iter().map(move |at| texts[at].clone()))
        }
        None => {
            let words =
                data.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap()));
            Box::new(words.map(|word| match kind {
                "number" => f64::from_bits(word).to_string(),
                "seed" => word.to_string(),
                _ => (word as i64).to_string(),
            }))
        }
    };
    let full = if kind == "counts" { 2 } else { 1 };
    let mut cells: Vec<String> = Vec::new();
    for (at, level) in definition.into_iter().enumerate() {
        let value = if level == full { values.next().unwrap() } else { String::new() };
        if repetition.as_ref().is_some_and(|levels| levels[at] == 1) {
            let list = cells.last_mut().unwrap();
            *list = format!("{list} {value}");
        } else {
            cells.push(value);
        }
    }
    assert_eq!(values.next(), None);
    cells
}

/// Reads a Parquet file.
///
/// # Panics
/// If it is not one, or has what offramp does not write.
pub fn parquet(file: &[u8]) -> ParquetTable {
    let (begin, rest) = file.split_first_chunk::<4>().unwrap();
    let (rest, end) = rest.split_last_chunk::<4>().unwrap();
    assert_eq!((begin, end), (b"PAR1", b"PAR1"));
    let (rest, length) = rest.split_last_chunk::<4>().unwrap();
    let (_, mut footer) = rest.split_at(rest.len() - u32::from_le_bytes(*length) as usize);
    let footer = thrift(&mut footer, 12);
    let mut columns = Vec::new();
    let mut schema = footer.list(2)[1..].iter();
    while let Some(element) = schema.next() {
        let converted = element.field(6).map(|_| element.whole(6));
        let kind = match (element.field(1).map(|_| element.whole(1)), converted) {
            (Some(6), Some(0)) => "text",
            (Some(5), None) => "number",
            (Some(2), None) => "count",
            (Some(2), Some(14)) => "seed",
            (None, Some(3)) => {
                assert_eq!(schema.next().unwrap().text(4), "list");
                assert_eq!(schema.next().unwrap().text(4), "element");
                "counts"
            }
            other => panic!("{other:?}"),
        };
        columns.push((element.text(4).to_owned(), kind));
    }
    let (mut rows, mut groups) = (Vec::new(), Vec::new());
    for group in footer.list(4) {
        let chunks = group.list(1).iter().zip(&columns);
        let mut cells: Vec<_> =
            chunks.map(|(chunk, (_, kind))| cells(file, chunk, kind).into_iter()).collect();
        groups.push(group.whole(3));
        rows.extend(
            (0..group.whole(3))
                .map(|_| cells.iter_mut().map(|cells| cells.next().unwrap()).collect::<Vec<_>>()),
        );
        assert!(cells.iter_mut().all(|cells| cells.next().is_none()));
    }
    assert_eq!(rows.len(), footer.whole(3));
    ParquetTable { columns, rows, groups }
}

/// The rows of a CSV file, header included.
///
/// # Panics
/// If it is not one.
pub fn csv(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.has_headers(false).from_reader(text.as_bytes());
    let rows = reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect());
    rows.collect()
}
