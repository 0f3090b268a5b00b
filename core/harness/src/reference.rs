//! References: what decides in an evaluation without being a policy, to show how far policies are from
//! what was attainable. Their runs are rows like others; [`plans`](crate::plans) makes their decisions.

use offramp_results::reference;
use serde::Deserialize;

/// A source of decisions that is not a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Reference {
    /// Each action equally likely: what is reached without knowing anything.
    Chance,
    /// The tasks of a slot decided together, with the true state of all devices and servers known, as if
    /// nothing more arrived: what is reached with all information except the future.
    Central,
    /// The best plan found with all tasks known in advance.
    Hindsight,
}

impl Reference {
    /// All of them, in the order of rows.
    pub const ALL: [Self; 3] = [Self::Chance, Self::Central, Self::Hindsight];

    /// Its name in results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chance => reference::CHANCE,
            Self::Central => reference::CENTRAL,
            Self::Hindsight => reference::HINDSIGHT,
        }
    }
}
