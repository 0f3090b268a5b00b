//! The states of all batches, each kept once.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Different states with the teacher's decisions, in the order in which they came first.
///
/// A dataset's states come again and again: memory is bounded by their number, not by that of the
/// batches.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct States {
    /// States × columns.
    pub(crate) columns: Vec<f32>,
    /// The teacher's decisions.
    pub(crate) actions: Vec<u32>,
    /// Cost of the worst decision: max Q − min Q.
    pub(crate) costs: Vec<f32>,
    /// The number of each state by its hash, or by the next that is free.
    known: HashMap<u64, u32>,
}

impl States {
    /// Number of states.
    pub(crate) fn len(&self) -> usize {
        self.actions.len()
    }

    /// Adds a state, unless it is known: its columns, the teacher's decision, and the cost of the
    /// worst. Returns true if it was not.
    pub(crate) fn add(&mut self, columns: &[f32], action: u32, cost: f32) -> bool {
        // With fixed keys: the same in every run.
        let mut hasher = DefaultHasher::new();
        columns.iter().for_each(|column| column.to_bits().hash(&mut hasher));
        (action, cost.to_bits()).hash(&mut hasher);
        let mut key = hasher.finish();
        while let Some(&state) = self.known.get(&key) {
            let state = state as usize;
            let own = &self.columns[state * columns.len()..(state + 1) * columns.len()];
            if own == columns && self.actions[state] == action && self.costs[state] == cost {
                return false;
            }
            key = key.wrapping_add(1);
        }
        self.known.insert(key, self.len() as u32);
        self.columns.extend_from_slice(columns);
        self.actions.push(action);
        self.costs.push(cost);
        true
    }
}
