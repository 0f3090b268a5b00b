//! Runs of equal small numbers, in Parquet's hybrid encoding: levels, and places in a dictionary.
//!
//! The encoding may also pack numbers by bits. It is not used: levels are mostly equal, and so are texts,
//! which name a scenario, a policy or a point; what is left is for the compression.

use crate::thrift::varint;

/// A sequence of numbers as runs.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    /// Each number, and how often it follows itself.
    runs: Vec<(u32, u64)>,
}

impl Runs {
    pub(crate) fn push(&mut self, value: u32) {
        match self.runs.last_mut() {
            Some((last, length)) if *last == value => *length += 1,
            _ => self.runs.push((value, 1)),
        }
    }

    /// How many numbers there are.
    pub(crate) fn len(&self) -> u64 {
        self.runs.iter().map(|(_, length)| length).sum()
    }

    /// The numbers, each of which has at most so many bits.
    pub(crate) fn encoded(&self, bits: u32) -> Vec<u8> {
        let bytes = bits.div_ceil(8) as usize;
        let mut out = Vec::new();
        for (value, length) in &self.runs {
            varint(length << 1, &mut out);
            out.extend(&value.to_le_bytes()[..bytes]);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_neighbours_are_one_run() {
        let mut runs = Runs::default();
        [300, 300, 7].into_iter().for_each(|value| runs.push(value));
        (0..97).for_each(|_| runs.push(7));
        assert_eq!(runs.len(), 100);
        assert_eq!(runs.encoded(9), [4, 44, 1, 0xc4, 1, 7, 0]);
    }
}
