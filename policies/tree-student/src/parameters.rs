//! What can be chosen of the trees.

use offramp_nn::bank::Sharing;
use offramp_plugin::Error;
use offramp_plugin::serde::Deserialize;

/// Everything that can be chosen.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(crate = "offramp_plugin::serde", deny_unknown_fields, default)]
pub(crate) struct Parameters {
    pub(crate) sharing: Sharing,
    /// 1 is a decision tree, more a random forest of so many that vote.
    pub(crate) trees: u16,
    /// The most splits before a decision.
    pub(crate) max_depth: u16,
    /// The fewest states in a leaf.
    pub(crate) min_leaf: usize,
    /// Whether states count by what a wrong decision costs in them.
    pub(crate) weighted: bool,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { sharing: Sharing::Shared, trees: 1, max_depth: 10, min_leaf: 5, weighted: true }
    }
}

impl Parameters {
    /// Itself, if every value is in its range.
    pub(crate) fn checked(self) -> Result<Self, Error> {
        let check = |holds: bool, text: &str| if holds { Ok(()) } else { Err(Error::new(text)) };
        check((1..=1000).contains(&self.trees), "trees: 1 … 1000 is needed")?;
        check((1..=64).contains(&self.max_depth), "max_depth: 1 … 64 is needed")?;
        check(self.min_leaf >= 1, "min_leaf: 1 or more is needed")?;
        Ok(self)
    }
}
