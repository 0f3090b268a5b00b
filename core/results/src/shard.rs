//! Shards: a batch in parts, one for each of several machines.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A part of a batch: one run of every `of`, starting with the `number`th. Written `2/5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Which part, 1 … `of`.
    pub number: u32,
    /// Number of parts, at least 1.
    pub of: u32,
}

impl Shard {
    /// True if the batch's run `number`, counted from 0, belongs to this part.
    pub fn has(self, number: usize) -> bool {
        number % self.of as usize == self.number as usize - 1
    }
}

impl FromStr for Shard {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once('/');
        let numbers = parts.and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((number, of)) if (1..=of).contains(&number) => Ok(Self { number, of }),
            _ => Err("I/N is needed, 1 ≤ I ≤ N: 2/5 is the second part of five"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_belongs_to_one_part() {
        let parts: Vec<Shard> = ["1/3", "2/3", "3/3"].map(|text| text.parse().unwrap()).into();
        for number in 0..10 {
            assert_eq!(parts.iter().filter(|part| part.has(number)).count(), 1);
        }
        for text in ["0/3", "4/3", "1", "a/b", "1/0", ""] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
