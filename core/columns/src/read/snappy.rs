//! Snappy's block format, unpacked: the default compression of pandas and DuckDB.
//!
//! Our own because it is a page of code, and the `snap` crate would add a licence to those that
//! dependencies may have. Format: `format_description.txt` of google/snappy.

use super::compact::{Broken, Bytes, Parsed};

/// Unpacks a block that must have `size` bytes then.
pub(super) fn unpack(block: &[u8], size: usize) -> Parsed<Vec<u8>> {
    let mut block = Bytes(block);
    if block.varint()? != size as u64 {
        return Err(Broken::Wrong("its compressed data has another size than its header states"));
    }
    // The densest element makes 64 bytes of 3: the size may be a lie, this is none.
    let mut out = Vec::with_capacity(size.min(block.0.len().saturating_mul(22)));
    while !block.0.is_empty() {
        let tag = block.byte()?;
        let (length, offset) = match tag & 3 {
            0 => {
                let length = match usize::from(tag >> 2) {
                    short @ 0..60 => short,
                    long => little_endian(block.take(long - 59)?),
                };
                let literal = block.take(length + 1)?;
                if literal.len() > size - out.len() {
                    return Err(TOO_LONG);
                }
                out.extend(literal);
                continue;
            }
            1 => {
                let high = usize::from(tag >> 5) << 8;
                (usize::from(tag >> 2 & 7) + 4, high | usize::from(block.byte()?))
            }
            2 => (usize::from(tag >> 2) + 1, little_endian(block.take(2)?)),
            _ => (usize::from(tag >> 2) + 1, little_endian(block.take(4)?)),
        };
        if offset == 0 || offset > out.len() {
            return Err(Broken::Wrong("its compressed data refers to before its beginning"));
        }
        if length > size - out.len() {
            return Err(TOO_LONG);
        }
        let from = out.len() - offset;
        if offset >= length {
            out.extend_from_within(from..from + length);
        } else {
            // What is copied overlaps what is written: a repetition.
            (from..from + length).for_each(|at| out.push(out[at]));
        }
    }
    if out.len() == size { Ok(out) } else { Err(Broken::Short) }
}

const TOO_LONG: Broken = Broken::Wrong("its compressed data is longer than its header states");

fn little_endian(bytes: &[u8]) -> usize {
    bytes.iter().rev().fold(0, |value, &byte| value << 8 | usize::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_copies() {
        // 11 bytes: "ab" and a copy of 2 that repeats to 6, then 3 from 8 before with two bytes of offset.
        let block = [11, 0b100, b'a', b'b', 0b0000_1001, 2, 0b0000_1010, 8, 0];
        assert_eq!(unpack(&block, 11).unwrap(), b"abababababa");
        let long = [&[61, 60 << 2, 60][..], &[7; 61]].concat();
        assert_eq!(unpack(&long, 61).unwrap(), [7; 61]);
    }

    #[test]
    fn blocks_that_lie_are_refused() {
        for (block, size, cause) in [
            (&[][..], 0, "it ends too early"),
            (&[3, 8, b'a'], 3, "it ends too early"),
            (&[3, 0, b'a'], 3, "it ends too early"),
            (&[2, 8, b'a', b'a', b'a'], 2, "its compressed data is longer than its header states"),
            (&[9, 0, b'a', 0x1d, 1], 9, "its compressed data is longer than its header states"),
            (&[9, 0, b'a', 1, 2], 9, "its compressed data refers to before its beginning"),
            (&[9, 0, b'a', 1, 0], 9, "its compressed data refers to before its beginning"),
            (&[9], 8, "its compressed data has another size than its header states"),
        ] {
            assert_eq!(unpack(block, size).unwrap_err().cause(), cause, "{block:?}");
        }
    }
}
