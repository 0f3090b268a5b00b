//! Small numbers in Parquet's hybrid encoding, read: runs of equal ones, and others packed by bits.

use super::compact::{Broken, Bytes, Parsed};

/// Reads `count` numbers of `bits` bits each. The count is one of rows, which the caller has bounded.
pub(super) fn numbers(mut bytes: Bytes<'_>, bits: u32, count: usize) -> Parsed<Vec<u32>> {
    if bits > 32 {
        return Err(Broken::Wrong("its small numbers have more than 32 bits"));
    }
    let mut out = Vec::with_capacity(count);
    while out.len() < count {
        let header = bytes.varint()?;
        let left = count - out.len();
        if header & 1 == 0 {
            let value = bytes.take(bits.div_ceil(8) as usize)?;
            let value = value.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte));
            let length = usize::try_from(header >> 1).unwrap_or(usize::MAX);
            if length == 0 {
                return Err(Broken::Wrong("a run of small numbers is empty"));
            }
            out.extend(std::iter::repeat_n(value, length.min(left)));
        } else {
            // Groups of 8 numbers, the last of which may be cut off where the numbers are.
            let groups = usize::try_from(header >> 1).unwrap_or(usize::MAX);
            if groups == 0 {
                return Err(Broken::Wrong("a run of small numbers is empty"));
            }
            let length = groups.saturating_mul(8).min(left);
            let size = groups.saturating_mul(bits as usize);
            let needed = (length * bits as usize).div_ceil(8);
            let packed = bytes.take(size.min(bytes.0.len()).max(needed))?;
            unpack(packed, bits, length, &mut out);
        }
    }
    Ok(out)
}

/// Unpacks `count` numbers, for which `packed` is long enough.
fn unpack(packed: &[u8], bits: u32, count: usize, out: &mut Vec<u32>) {
    let mask = (1_u64 << bits) - 1;
    let (mut buffer, mut filled, mut packed) = (0_u64, 0, packed.iter());
    out.extend((0..count).map(|_| {
        while filled < bits {
            buffer |= u64::from(*packed.next().unwrap_or(&0)) << filled;
            filled += 8;
        }
        let value = (buffer & mask) as u32;
        buffer >>= bits;
        filled -= bits;
        value
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_packed_numbers() {
        // The example of the format: 0 to 7 with 3 bits each; after it a run of five threes.
        let bytes = [3, 0b1000_1000, 0b1100_0110, 0b1111_1010, 10, 3];
        let read = numbers(Bytes(&bytes), 3, 13).unwrap();
        assert_eq!(read, [0, 1, 2, 3, 4, 5, 6, 7, 3, 3, 3, 3, 3]);
        assert_eq!(numbers(Bytes(&[4]), 0, 2).unwrap(), [0, 0]);
        assert_eq!(numbers(Bytes(&[3, 255, 255, 255, 255]), 32, 1).unwrap(), [u32::MAX]);
        assert_eq!(numbers(Bytes(&bytes), 3, 14), Err(Broken::Short));
        assert_eq!(numbers(Bytes(&[3, 0]), 3, 8), Err(Broken::Short));
        assert!(numbers(Bytes(&[0, 1]), 3, 8).is_err());
    }
}
