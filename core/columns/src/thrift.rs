//! Thrift's compact protocol, in which Parquet writes its headers: structures of numbered fields.

/// A structure that is being written.
#[derive(Debug, Default)]
pub(crate) struct Structure {
    bytes: Vec<u8>,
    /// The number of the field that was written last; fields are in order.
    last: u8,
}

/// The types of fields and elements, as the protocol numbers them.
const I8: u8 = 3;
const I32: u8 = 5;
const I64: u8 = 6;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCTURE: u8 = 12;

impl Structure {
    fn begin(&mut self, field: u8, kind: u8) -> &mut Vec<u8> {
        self.bytes.push((field - self.last) << 4 | kind);
        self.last = field;
        &mut self.bytes
    }

    /// A boolean, of which the header is all.
    pub(crate) fn bool(mut self, field: u8, value: bool) -> Self {
        self.begin(field, if value { 1 } else { 2 });
        self
    }

    pub(crate) fn i8(mut self, field: u8, value: u8) -> Self {
        self.begin(field, I8).push(value);
        self
    }

    pub(crate) fn i32(mut self, field: u8, value: usize) -> Self {
        varint(zigzag(value), self.begin(field, I32));
        self
    }

    pub(crate) fn i64(mut self, field: u8, value: usize) -> Self {
        varint(zigzag(value), self.begin(field, I64));
        self
    }

    pub(crate) fn text(mut self, field: u8, text: &str) -> Self {
        bytes(text, self.begin(field, BINARY));
        self
    }

    pub(crate) fn structure(mut self, field: u8, structure: Self) -> Self {
        self.begin(field, STRUCTURE).extend(structure.finish());
        self
    }

    pub(crate) fn i32s(mut self, field: u8, values: &[usize]) -> Self {
        let out = self.begin(field, LIST);
        list(values.len(), I32, out);
        values.iter().for_each(|&value| varint(zigzag(value), out));
        self
    }

    pub(crate) fn texts(mut self, field: u8, texts: &[&str]) -> Self {
        let out = self.begin(field, LIST);
        list(texts.len(), BINARY, out);
        texts.iter().for_each(|text| bytes(text, out));
        self
    }

    pub(crate) fn structures(mut self, field: u8, structures: Vec<Self>) -> Self {
        let out = self.begin(field, LIST);
        list(structures.len(), STRUCTURE, out);
        out.extend(structures.into_iter().flat_map(Self::finish));
        self
    }

    /// Its bytes.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }
}

/// The header of a list.
fn list(length: usize, kind: u8, out: &mut Vec<u8>) {
    match length {
        0..15 => out.push((length as u8) << 4 | kind),
        _ => {
            out.push(0xf0 | kind);
            varint(length as u64, out);
        }
    }
}

fn bytes(text: &str, out: &mut Vec<u8>) {
    varint(text.len() as u64, out);
    out.extend(text.as_bytes());
}

/// Signed numbers are written so that small ones are short; ours are never negative.
fn zigzag(value: usize) -> u64 {
    (value as u64) << 1
}

/// Seven bits a byte, the least first.
pub(crate) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_numbered_by_their_distance() {
        let inner = Structure::default().bool(2, false);
        let bytes = Structure::default().i32(1, 150).text(4, "ab").structure(5, inner).finish();
        assert_eq!(bytes, [0x15, 0xac, 0x02, 0x38, 2, b'a', b'b', 0x1c, 0x22, 0, 0]);
    }

    #[test]
    fn long_lists_state_their_length_apart() {
        let bytes = Structure::default().i32s(1, &[1; 3]).i32s(2, &[0; 15]).finish();
        assert_eq!(bytes[..5], [0x19, 0x35, 2, 2, 2]);
        assert_eq!(bytes[5..8], [0x19, 0xf5, 15]);
    }
}
