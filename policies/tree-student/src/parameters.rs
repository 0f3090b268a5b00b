//! The parameters of the trees.

use offramp_nn::networks::Sharing;
use offramp_nn::range::{ParameterError, check};
use offramp_plugin::serde::Deserialize;

/// `parameters` of the trees in a scenario.
///
/// | name | unit | range | default |
/// |---|---|---|---|
/// | `sharing` | | `PerDevice`, `Shared` | `Shared` |
/// | `trees` | trees per device, or for all | 1 to 1000 | 1 |
/// | `max_depth` | splits | 1 to 64 | 10 |
/// | `min_leaf` | states | 1 to 10⁶ | 5 |
/// | `weighted` | | `true`, `false` | `true` |
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(crate = "offramp_plugin::serde", deny_unknown_fields, default)]
pub(crate) struct Parameters {
    /// Devices that use a tree or forest.
    pub(crate) sharing: Sharing,
    /// 1 is a decision tree; more are a random forest that votes.
    pub(crate) trees: u16,
    /// Upper bound of the splits before a decision.
    pub(crate) max_depth: u16,
    /// Lower bound of the states in a leaf.
    pub(crate) min_leaf: usize,
    /// Weights states by the cost of a wrong decision in them.
    pub(crate) weighted: bool,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { sharing: Sharing::Shared, trees: 1, max_depth: 10, min_leaf: 5, weighted: true }
    }
}

impl Parameters {
    /// Itself, if every value is in its range.
    ///
    /// # Errors
    /// [`ParameterError`] names the first that is not.
    pub(crate) fn checked(self) -> Result<Self, ParameterError> {
        check("trees", self.trees, 1..=1000)?;
        check("max_depth", self.max_depth, 1..=64)?;
        check("min_leaf", self.min_leaf, 1..=1_000_000)?;
        Ok(self)
    }
}
