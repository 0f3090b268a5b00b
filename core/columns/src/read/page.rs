//! Pages: the values of a column, unpacked.

use std::io::Read;

use flate2::read::MultiGzDecoder;

use super::compact::{Broken, Bytes, Parsed};
use super::footer::{Physical, Values};
use super::{Cell, hybrid, snappy};

/// Upper bound on a page, bytes: a few kilobytes of GZIP can claim gigabytes.
pub(super) const MAX_BYTES: u64 = 1 << 28;

/// Numbers of the format.
const PLAIN: i64 = 0;
const PLAIN_DICTIONARY: i64 = 2;
const RLE: i64 = 3;
const RLE_DICTIONARY: i64 = 8;

/// What can be wrong with a page.
#[derive(Debug)]
pub(super) enum Unusable {
    Broken(Broken),
    /// What it has that is not read.
    Unknown(String),
}

impl From<Broken> for Unusable {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

/// The header of a page.
#[derive(Debug, Default)]
pub(super) struct Header {
    pub(super) kind: i64,
    /// Of its contents, without and with compression.
    pub(super) unpacked: u64,
    pub(super) packed: u64,
    /// Values, empty ones included.
    pub(super) values: u64,
    encoding: i64,
    /// Of version 1.
    levels: i64,
    /// Of version 2: bytes of both kinds of levels, before what is packed.
    repetition: u64,
    definition: u64,
    is_packed: bool,
}

pub(super) const DATA: i64 = 0;
pub(super) const DICTIONARY: i64 = 2;
pub(super) const DATA_2: i64 = 3;

impl Header {
    pub(super) fn read(bytes: &mut Bytes<'_>) -> Parsed<Self> {
        let mut header = Self { is_packed: true, levels: RLE, ..Self::default() };
        bytes.structure(|field, value| match field {
            1 => value.whole().map(|kind| header.kind = kind),
            2 => value.count().map(|size| header.unpacked = size),
            3 => value.count().map(|size| header.packed = size),
            5 | 7 => value.structure(|inner, value| match (field, inner) {
                (_, 1) => value.count().map(|values| header.values = values),
                (_, 2) => value.whole().map(|encoding| header.encoding = encoding),
                (5, 3) => value.whole().map(|levels| header.levels = levels),
                _ => value.skip(),
            }),
            8 => value.structure(|field, value| match field {
                1 => value.count().map(|values| header.values = values),
                4 => value.whole().map(|encoding| header.encoding = encoding),
                5 => value.count().map(|size| header.definition = size),
                6 => value.count().map(|size| header.repetition = size),
                7 => value.whole().map(|packed| header.is_packed = packed != 0),
                _ => value.skip(),
            }),
            _ => value.skip(),
        })?;
        Ok(header)
    }
}

/// The values of a page or dictionary, without the empty ones.
#[derive(Debug)]
pub(super) enum Stored {
    Bool(Vec<bool>),
    Whole(Vec<i64>),
    Number(Vec<f64>),
    Text {
        bytes: Vec<u8>,
        /// Beginning and end of each.
        spans: Vec<(u32, u32)>,
    },
    /// Places in the dictionary, in which they exist.
    Places(Vec<u32>),
}

impl Stored {
    fn len(&self) -> usize {
        match self {
            Self::Bool(values) => values.len(),
            Self::Whole(values) => values.len(),
            Self::Number(values) => values.len(),
            Self::Text { spans, .. } => spans.len(),
            Self::Places(places) => places.len(),
        }
    }

    /// A value that exists; `None` if it is not UTF-8.
    pub(super) fn cell<'r>(
        &'r self,
        at: usize,
        dictionary: Option<&'r Self>,
        values: Values,
    ) -> Option<Cell<'r>> {
        Some(match self {
            Self::Bool(stored) => Cell::Bool(stored[at]),
            Self::Whole(stored) if values.nanoseconds > 0 => {
                Cell::Instant(i128::from(stored[at]) * values.nanoseconds)
            }
            Self::Whole(stored) if values.physical == Physical::Int64 && values.is_unsigned => {
                Cell::Seed(stored[at] as u64)
            }
            Self::Whole(stored) => Cell::Whole(stored[at]),
            Self::Number(stored) => Cell::Number(stored[at]),
            Self::Text { bytes, spans } => {
                let (from, to) = spans[at];
                Cell::Text(std::str::from_utf8(&bytes[from as usize..to as usize]).ok()?)
            }
            Self::Places(places) => dictionary?.cell(places[at] as usize, None, values)?,
        })
    }
}

/// A page of data.
#[derive(Debug)]
pub(super) struct Data {
    /// Whether each value is there; empty if all are.
    pub(super) is_there: Vec<bool>,
    pub(super) stored: Stored,
}

/// The dictionary in the page of that header.
pub(super) fn dictionary(
    header: &Header,
    packed: Vec<u8>,
    codec: i64,
    values: Values,
) -> Result<Stored, Unusable> {
    if ![PLAIN, PLAIN_DICTIONARY].contains(&header.encoding) {
        return Err(unknown_encoding(header.encoding));
    }
    let unpacked = unpack(codec, packed, header.unpacked)?;
    let count = usize::try_from(header.values).map_err(|_| Broken::Short)?;
    Ok(plain(unpacked, 0, values, count)?)
}

/// The data in the page of that header, whose number of values the caller has bounded.
pub(super) fn data(
    header: &Header,
    mut packed: Vec<u8>,
    codec: i64,
    values: Values,
    dictionary: Option<&Stored>,
) -> Result<Data, Unusable> {
    let count = header.values as usize;
    let mut is_there = Vec::new();
    let (bytes, from) = if header.kind == DATA {
        let bytes = unpack(codec, packed, header.unpacked)?;
        let mut rest = Bytes(&bytes);
        if values.is_optional {
            if header.levels != RLE {
                return Err(Unusable::Unknown("levels packed by bits alone".to_owned()));
            }
            let length = rest.length()?;
            is_there = levels(rest.take(length)?, count)?;
        }
        let from = bytes.len() - rest.0.len();
        (bytes, from)
    } else {
        let (repetition, definition) = (header.repetition, header.definition);
        let size = repetition.saturating_add(definition);
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let before = packed.get(..size).ok_or(Broken::Short)?;
        if values.is_optional {
            is_there = levels(&before[repetition as usize..], count)?;
        }
        let unpacked = header.unpacked.checked_sub(size as u64).ok_or(Broken::Short)?;
        let rest = packed.split_off(size);
        let codec = if header.is_packed { codec } else { 0 };
        // A page in which all is empty has nothing to unpack.
        (if rest.is_empty() { rest } else { unpack(codec, rest, unpacked)? }, 0)
    };
    let present =
        if is_there.is_empty() { count } else { is_there.iter().filter(|there| **there).count() };
    let stored = match header.encoding {
        PLAIN => plain(bytes, from, values, present)?,
        RLE if values.physical == Physical::Boolean => {
            let mut rest = Bytes(&bytes[from..]);
            let length = rest.length()?;
            let bits = hybrid::numbers(Bytes(rest.take(length)?), 1, present)?;
            Stored::Bool(bits.into_iter().map(|bit| bit == 1).collect())
        }
        PLAIN_DICTIONARY | RLE_DICTIONARY => {
            let mut rest = Bytes(&bytes[from..]);
            let places = match present {
                // Without a value there may be no width either.
                0 => Vec::new(),
                _ => {
                    let bits = rest.byte()?;
                    hybrid::numbers(rest, bits.into(), present)?
                }
            };
            let size = dictionary.map_or(0, Stored::len);
            if places.iter().any(|&place| place as usize >= size) {
                return Err(Broken::Wrong("a value is not in its dictionary").into());
            }
            Stored::Places(places)
        }
        other => return Err(unknown_encoding(other)),
    };
    Ok(Data { is_there, stored })
}

/// Whether each value is there; empty if all are.
fn levels(bytes: &[u8], count: usize) -> Parsed<Vec<bool>> {
    let levels = hybrid::numbers(Bytes(bytes), 1, count)?;
    if levels.iter().all(|&level| level == 1) {
        return Ok(Vec::new());
    }
    Ok(levels.into_iter().map(|level| level == 1).collect())
}

fn plain(bytes: Vec<u8>, from: usize, values: Values, count: usize) -> Parsed<Stored> {
    /// `count` words of `N` bytes.
    fn words<const N: usize, T>(
        bytes: &[u8],
        count: usize,
        as_value: fn([u8; N]) -> T,
    ) -> Parsed<Vec<T>> {
        let size = count.checked_mul(N).ok_or(Broken::Short)?;
        let (words, _) = bytes.get(..size).ok_or(Broken::Short)?.as_chunks::<N>();
        Ok(words.iter().map(|&word| as_value(word)).collect())
    }
    let rest = &bytes[from..];
    Ok(match values.physical {
        Physical::Boolean => {
            let bytes = rest.get(..count.div_ceil(8)).ok_or(Broken::Short)?;
            Stored::Bool((0..count).map(|at| bytes[at / 8] >> (at % 8) & 1 == 1).collect())
        }
        Physical::Int32 if values.is_unsigned => {
            Stored::Whole(words(rest, count, |word| u32::from_le_bytes(word).into())?)
        }
        Physical::Int32 => {
            Stored::Whole(words(rest, count, |word| i32::from_le_bytes(word).into())?)
        }
        Physical::Int64 => Stored::Whole(words(rest, count, i64::from_le_bytes)?),
        Physical::Float => {
            Stored::Number(words(rest, count, |word| f32::from_le_bytes(word).into())?)
        }
        Physical::Double => Stored::Number(words(rest, count, f64::from_le_bytes)?),
        Physical::ByteArray => {
            // Each has 4 bytes at least.
            let mut spans = Vec::with_capacity(count.min(rest.len() / 4));
            let mut texts = Bytes(rest);
            for _ in 0..count {
                let length = texts.length()?;
                let from = bytes.len() - texts.0.len();
                texts.take(length)?;
                // A page is too small for more than 32 bits.
                spans.push((from as u32, (from + length) as u32));
            }
            Stored::Text { bytes, spans }
        }
    })
}

/// Unpacks contents that must have `size` bytes then.
fn unpack(codec: i64, packed: Vec<u8>, size: u64) -> Result<Vec<u8>, Unusable> {
    let unpacked = match codec {
        0 => packed,
        1 => snappy::unpack(&packed, size as usize)?,
        2 => {
            let mut unpacked = Vec::new();
            let read = MultiGzDecoder::new(&packed[..]).take(size + 1).read_to_end(&mut unpacked);
            read.map_err(|_| Broken::Wrong("its GZIP data is damaged"))?;
            unpacked
        }
        other => {
            let name = match other {
                3 => "LZO",
                4 => "Brotli",
                5 | 7 => "LZ4",
                6 => "Zstandard",
                _ => return Err(Unusable::Unknown(format!("compression number {other}"))),
            };
            return Err(Unusable::Unknown(format!("{name} compression")));
        }
    };
    if unpacked.len() as u64 != size {
        return Err(Broken::Wrong("its contents have another size than its header states").into());
    }
    Ok(unpacked)
}

fn unknown_encoding(encoding: i64) -> Unusable {
    let name = match encoding {
        4 => "BIT_PACKED",
        5 => "DELTA_BINARY_PACKED",
        6 => "DELTA_LENGTH_BYTE_ARRAY",
        7 => "DELTA_BYTE_ARRAY",
        9 => "BYTE_STREAM_SPLIT",
        _ => return Unusable::Unknown(format!("the encoding number {encoding}")),
    };
    Unusable::Unknown(format!("the encoding {name}"))
}
