//! The footer of a file: its columns, and where the pages of each are.

use super::compact::{Broken, Bytes, Parsed, Value};
use super::{Field, FieldKind};

/// Columns and row groups of a file.
#[derive(Debug, Default)]
pub(super) struct Footer {
    pub(super) fields: Vec<Described>,
    pub(super) groups: Vec<Group>,
}

/// A column of the file.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) field: Field,
    /// Its place among the chunks of a group.
    pub(super) leaf: usize,
    pub(super) values: Values,
}

/// The values of a column as they are stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values {
    pub(super) physical: Physical,
    pub(super) is_optional: bool,
    /// Of INT32 and INT64.
    pub(super) is_unsigned: bool,
    /// Of timestamps: nanoseconds in one of their units; 0 of all else.
    pub(super) nanoseconds: i128,
}

/// The physical types that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Physical {
    Boolean,
    Int32,
    Int64,
    Float,
    Double,
    ByteArray,
}

/// A row group.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) rows: u64,
    pub(super) chunks: Vec<Chunk>,
}

/// The pages of a column in a row group.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chunk {
    pub(super) codec: i64,
    pub(super) values: u64,
    /// Its bytes in the file.
    pub(super) start: u64,
    pub(super) length: u64,
    /// In another file, or encrypted.
    pub(super) is_elsewhere: bool,
}

impl Footer {
    pub(super) fn read(bytes: &[u8]) -> Parsed<Self> {
        let (mut elements, mut groups) = (Vec::new(), Vec::new());
        Bytes(bytes).structure(|field, value| match field {
            2 => value.list(|value| {
                elements.push(Element::read(value)?);
                Ok(())
            }),
            4 => value.list(|value| {
                groups.push(group(value)?);
                Ok(())
            }),
            _ => value.skip(),
        })?;
        let fields = fields(&elements)?;
        Ok(Self { fields, groups })
    }
}

fn group(value: Value<'_, '_>) -> Parsed<Group> {
    let mut group = Group::default();
    value.structure(|field, value| match field {
        1 => value.list(|value| {
            group.chunks.push(chunk(value)?);
            Ok(())
        }),
        3 => value.count().map(|rows| group.rows = rows),
        _ => value.skip(),
    })?;
    Ok(group)
}

fn chunk(value: Value<'_, '_>) -> Parsed<Chunk> {
    let (mut chunk, mut data_at, mut dictionary_at) = (Chunk::default(), 0, 0);
    value.structure(|field, value| match field {
        1 | 8 => {
            chunk.is_elsewhere = true;
            value.skip()
        }
        3 => value.structure(|field, value| match field {
            4 => value.whole().map(|codec| chunk.codec = codec),
            5 => value.count().map(|values| chunk.values = values),
            7 => value.count().map(|length| chunk.length = length),
            9 => value.count().map(|at| data_at = at),
            11 => value.count().map(|at| dictionary_at = at),
            _ => value.skip(),
        }),
        _ => value.skip(),
    })?;
    // Some writers state 0 where there is no dictionary.
    chunk.start = if dictionary_at > 0 { data_at.min(dictionary_at) } else { data_at };
    Ok(chunk)
}

/// An element of the tree of columns.
#[derive(Debug, Default)]
struct Element {
    name: String,
    physical: Option<i64>,
    repetition: i64,
    children: u64,
    converted: Option<i64>,
    logical: Option<i16>,
    /// Of timestamps: 1 for milliseconds, 2 for microseconds, 3 for nanoseconds.
    unit: i16,
    is_unsigned: bool,
}

impl Element {
    fn read(value: Value<'_, '_>) -> Parsed<Self> {
        let mut element = Self::default();
        value.structure(|field, value| match field {
            1 => value.whole().map(|physical| element.physical = Some(physical)),
            3 => value.whole().map(|repetition| element.repetition = repetition),
            4 => value.text().map(|name| element.name = name),
            5 => value.count().map(|children| element.children = children),
            6 => value.whole().map(|converted| element.converted = Some(converted)),
            10 => value.structure(|logical, value| {
                element.logical = Some(logical);
                value.structure(|field, value| match (logical, field) {
                    (8, 2) => value.structure(|unit, value| {
                        element.unit = unit;
                        value.skip()
                    }),
                    (10, 2) => value.whole().map(|signed| element.is_unsigned = signed == 0),
                    _ => value.skip(),
                })
            }),
            _ => value.skip(),
        })?;
        Ok(element)
    }

    /// What its values are, and how they are stored; or what is not read of them.
    fn values(&self) -> Result<(FieldKind, Values), String> {
        if self.children > 0 {
            return Err("nested values".to_owned());
        }
        if self.repetition == 2 {
            return Err("lists".to_owned());
        }
        let physical = match self.physical {
            Some(0) => Physical::Boolean,
            Some(1) => Physical::Int32,
            Some(2) => Physical::Int64,
            Some(4) => Physical::Float,
            Some(5) => Physical::Double,
            Some(6) => Physical::ByteArray,
            Some(3) => return Err("timestamps of 96 bits (INT96)".to_owned()),
            Some(7) => {
                return Err("values of a fixed length (decimals, UUIDs or half floats)".to_owned());
            }
            _ => return Err("values of an unknown type".to_owned()),
        };
        let is_unsigned = self.is_unsigned || matches!(self.converted, Some(11..=14));
        let mut values =
            Values { physical, is_optional: self.repetition == 1, is_unsigned, nanoseconds: 0 };
        let kind = match (self.logical, self.converted) {
            (Some(5), _) | (None, Some(5)) => return Err("decimals".to_owned()),
            (Some(6), _) | (None, Some(6)) => return Err("dates".to_owned()),
            (Some(7), _) | (None, Some(7 | 8)) => return Err("times of day".to_owned()),
            (Some(8), _) | (None, Some(9 | 10)) if physical == Physical::Int64 => {
                values.nanoseconds = match (self.unit, self.converted) {
                    (1, _) | (0, Some(9)) => 1_000_000,
                    (2, _) | (0, Some(10)) => 1_000,
                    (3, _) => 1,
                    _ => return Err("timestamps of an unknown unit".to_owned()),
                };
                FieldKind::Instant
            }
            _ => match physical {
                Physical::Boolean => FieldKind::Bool,
                Physical::Int64 if is_unsigned => FieldKind::Seed,
                Physical::Int32 | Physical::Int64 => FieldKind::Whole,
                Physical::Float | Physical::Double => FieldKind::Number,
                Physical::ByteArray => FieldKind::Text,
            },
        };
        Ok((kind, values))
    }
}

/// The columns at the top of the tree, which is stored depth first.
fn fields(elements: &[Element]) -> Parsed<Vec<Described>> {
    let (root, mut rest) = elements.split_first().ok_or(Broken::Wrong("it has no columns"))?;
    let (mut fields, mut leaf) = (Vec::new(), 0);
    while let Some((element, after)) = rest.split_first() {
        let (below, leaves) = below(element, after)?;
        rest = &after[below..];
        let name = element.name.clone();
        let (kind, values) = match element.values() {
            Ok(known) => known,
            Err(found) => (FieldKind::Other(found), UNREAD),
        };
        fields.push(Described { field: Field { name, kind }, leaf, values });
        leaf += leaves;
    }
    if fields.len() as u64 != root.children {
        return Err(Broken::Wrong("its tree of columns is not whole"));
    }
    Ok(fields)
}

/// Of columns that are not read.
const UNREAD: Values = Values {
    physical: Physical::ByteArray,
    is_optional: false,
    is_unsigned: false,
    nanoseconds: 0,
};

/// How many elements are below one, and how many leaves it has, itself included.
fn below(element: &Element, after: &[Element]) -> Parsed<(usize, usize)> {
    let (mut open, mut at, mut leaves) = (element.children, 0, usize::from(element.children == 0));
    while open > 0 {
        let next = after.get(at).ok_or(Broken::Wrong("its tree of columns is not whole"))?;
        at += 1;
        open = (open - 1).saturating_add(next.children);
        leaves += usize::from(next.children == 0);
    }
    Ok((at, leaves))
}
