//! Thrift's compact protocol as a file has it, of which nothing is trusted: every length is checked
//! against the bytes there are, and nothing is allocated by a length alone.

/// Structures within structures, at most; Parquet's own headers have six.
const MAX_DEPTH: u8 = 16;

/// The fault of bytes that are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Broken {
    /// They end too early.
    Short,
    /// They contradict the format.
    Wrong(&'static str),
}

impl Broken {
    pub(super) fn cause(self) -> &'static str {
        match self {
            Self::Short => "it ends too early",
            Self::Wrong(cause) => cause,
        }
    }
}

pub(super) type Parsed<T> = Result<T, Broken>;

/// Bytes that are read from their beginning.
#[derive(Clone, Debug)]
pub(super) struct Bytes<'b>(pub(super) &'b [u8]);

impl<'b> Bytes<'b> {
    pub(super) fn take(&mut self, count: usize) -> Parsed<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Broken::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Parsed<u8> {
        Ok(self.take(1)?[0])
    }

    /// A length of 4 bytes, the least first.
    pub(super) fn length(&mut self) -> Parsed<usize> {
        let bytes = self.take(4)?;
        Ok(bytes.iter().rev().fold(0, |length, &byte| length << 8 | usize::from(byte)))
    }

    /// Seven bits a byte, the least first.
    pub(super) fn varint(&mut self) -> Parsed<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Broken::Wrong("a number has more than 64 bits"))
    }

    /// Reads a structure, calling `each` with the number and value of every field.
    pub(super) fn structure(
        &mut self,
        mut each: impl FnMut(i16, Value<'_, 'b>) -> Parsed<()>,
    ) -> Parsed<()> {
        self.fields(0, &mut each)
    }

    fn fields(
        &mut self,
        depth: u8,
        each: &mut dyn FnMut(i16, Value<'_, 'b>) -> Parsed<()>,
    ) -> Parsed<()> {
        if depth > MAX_DEPTH {
            return Err(Broken::Wrong("structures are nested too deeply"));
        }
        let mut field = 0_i16;
        loop {
            let header = self.byte()?;
            if header == 0 {
                return Ok(());
            }
            field = match header >> 4 {
                0 => unzigzag(self.varint()?) as i16,
                distance => field.wrapping_add(distance.into()),
            };
            let kind = header & 15;
            each(field, Value { kind, bytes: self, depth, in_field: true })?;
        }
    }
}

/// The value of a field or an element of a list. It must be read or skipped.
#[derive(Debug)]
pub(super) struct Value<'a, 'b> {
    kind: u8,
    bytes: &'a mut Bytes<'b>,
    depth: u8,
    /// A boolean is in the header of a field, and a byte in a list.
    in_field: bool,
}

impl<'b> Value<'_, 'b> {
    /// A boolean, or a whole number of any width.
    pub(super) fn whole(self) -> Parsed<i64> {
        match self.kind {
            1 | 2 if self.in_field => Ok((self.kind == 1).into()),
            1..=3 => Ok((self.bytes.byte()? as i8).into()),
            4..=6 => Ok(unzigzag(self.bytes.varint()?)),
            _ => Err(Broken::Wrong("a field that should be a whole number is not")),
        }
    }

    /// A whole number that is a size or a count.
    pub(super) fn count(self) -> Parsed<u64> {
        u64::try_from(self.whole()?).map_err(|_| Broken::Wrong("a count is negative"))
    }

    pub(super) fn text(self) -> Parsed<String> {
        if self.kind != 8 {
            return Err(Broken::Wrong("a field that should be a text is not"));
        }
        let length = self.bytes.varint()?;
        let bytes = self.bytes.take(length.try_into().map_err(|_| Broken::Short)?)?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    pub(super) fn structure(
        self,
        mut each: impl FnMut(i16, Value<'_, 'b>) -> Parsed<()>,
    ) -> Parsed<()> {
        if self.kind != 12 {
            return Err(Broken::Wrong("a field that should be a structure is not"));
        }
        self.bytes.fields(self.depth + 1, &mut each)
    }

    /// Reads a list, or a set, calling `each` with every element.
    pub(super) fn list(self, mut each: impl FnMut(Value<'_, 'b>) -> Parsed<()>) -> Parsed<()> {
        if self.kind != 9 && self.kind != 10 {
            return Err(Broken::Wrong("a field that should be a list is not"));
        }
        let header = self.bytes.byte()?;
        let length = match header >> 4 {
            15 => self.bytes.varint()?,
            length => length.into(),
        };
        // Every element has a byte at least, or is an error: the loop ends with the bytes.
        for _ in 0..length {
            let (kind, depth) = (header & 15, self.depth + 1);
            each(Value { kind, bytes: self.bytes, depth, in_field: false })?;
        }
        Ok(())
    }

    pub(super) fn skip(self) -> Parsed<()> {
        if self.depth > MAX_DEPTH {
            return Err(Broken::Wrong("structures are nested too deeply"));
        }
        match self.kind {
            1..=6 => self.whole().map(drop),
            7 => self.bytes.take(8).map(drop),
            8 => {
                let length = self.bytes.varint()?;
                self.bytes.take(length.try_into().map_err(|_| Broken::Short)?).map(drop)
            }
            9 | 10 => self.list(|value| value.skip()),
            11 => {
                let length = self.bytes.varint()?;
                let kinds = if length > 0 { self.bytes.byte()? } else { 0 };
                for _ in 0..length {
                    for kind in [kinds >> 4, kinds & 15] {
                        let depth = self.depth + 1;
                        Value { kind, bytes: self.bytes, depth, in_field: false }.skip()?;
                    }
                }
                Ok(())
            }
            12 => self.structure(|_, value| value.skip()),
            _ => Err(Broken::Wrong("a field is of an unknown type")),
        }
    }
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::thrift::Structure;

    #[test]
    fn what_the_writer_writes_is_read() {
        let inner = Structure::default().bool(2, false).i8(3, 7);
        let bytes = Structure::default()
            .i32(1, 150)
            .text(4, "ab")
            .structure(5, inner)
            .i32s(6, &[3; 20])
            .finish();
        let mut read = Vec::new();
        let outcome = Bytes(&bytes).structure(|field, value| match field {
            1 => value.whole().map(|whole| read.push(whole)),
            4 => value.text().map(|text| assert_eq!(text, "ab")),
            5 => value.structure(|_, value| value.whole().map(|whole| read.push(whole))),
            _ => value.list(|value| value.whole().map(|whole| read.push(whole))),
        });
        assert_eq!(outcome, Ok(()));
        assert_eq!(read[..4], [150, 0, 7, 3]);
        assert_eq!(read.len(), 23);
        assert_eq!(Bytes(&bytes).structure(|_, value| value.skip()), Ok(()));
        for end in 0..bytes.len() {
            let cut = Bytes(&bytes[..end]).structure(|_, value| value.skip());
            assert_eq!(cut, Err(Broken::Short));
        }
    }

    #[test]
    fn nesting_has_an_end() {
        let mut bytes = vec![0x1c; 100];
        bytes.extend([0; 101]);
        let deep = Bytes(&bytes).structure(|_, value| value.skip());
        assert_eq!(deep, Err(Broken::Wrong("structures are nested too deeply")));
        let lists = [&[0x19][..], &[0x19; 100], &[0x03, 0, 0]].concat();
        let deep = Bytes(&lists).structure(|_, value| value.skip());
        assert_eq!(deep, Err(Broken::Wrong("structures are nested too deeply")));
    }
}
