//! The framing of TFRecord files: a sequence of records, each checked by itself.
//!
//! ```text
//! u64    length of the data
//! u32    masked CRC-32C of these 8 bytes
//!        data
//! u32    masked CRC-32C of the data
//! ```
//!
//! All numbers are little-endian. A CRC is masked since data may have CRCs in it, and the CRC of a
//! text with its own CRC says nothing.

use crc32c::crc32c;

/// Bytes around the data: a length and two checksums.
const FRAME_BYTES: usize = 16;

fn masked(bytes: &[u8]) -> [u8; 4] {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// Size of the record that has this data, bytes.
pub(crate) fn size(data: &[u8]) -> usize {
    FRAME_BYTES + data.len()
}

/// Appends a record.
pub(crate) fn write_record(data: &[u8], into: &mut Vec<u8>) {
    let length = (data.len() as u64).to_le_bytes();
    into.extend(length);
    into.extend(masked(&length));
    into.extend(data);
    into.extend(masked(data));
}

/// The data of each record, up to the first that is damaged or cut off.
pub(crate) fn records(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<8>()?;
        let (of_length, rest) = rest.split_first_chunk::<4>()?;
        if *of_length != masked(length) {
            return None;
        }
        let (data, rest) = rest.split_at_checked(u64::from_le_bytes(*length).try_into().ok()?)?;
        let (of_data, rest) = rest.split_first_chunk::<4>()?;
        bytes = rest;
        (*of_data == masked(data)).then_some(data)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of CRC-32C (RFC 3720, B.4), masked as leveldb does.
    #[test]
    fn checksums_are_those_of_the_format() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(masked(&[0; 32]), 0x0fd7_fffa_u32.to_le_bytes());
    }

    #[test]
    fn reading_ends_where_a_record_is_damaged() {
        let mut bytes = Vec::new();
        for data in [&b"one"[..], b"", b"three"] {
            write_record(data, &mut bytes);
        }
        let read = |bytes: &[u8]| records(bytes).map(<[u8]>::to_vec).collect::<Vec<_>>();
        assert_eq!(read(&bytes), [&b"one"[..], b"", b"three"]);
        assert_eq!(bytes.len(), size(b"one") + size(b"") + size(b"three"));
        for cut in 1..size(b"three") {
            assert_eq!(read(&bytes[..bytes.len() - cut]).len(), 2, "{cut}");
        }
        for damaged in 0..size(b"one") {
            let mut bytes = bytes.clone();
            bytes[damaged] ^= 4;
            assert!(read(&bytes).is_empty(), "{damaged}");
        }
    }
}
