//! Target networks.

use serde::{Deserialize, Serialize};

use crate::kernels::{MoveTowards, vectorised};
use crate::real::Real;

/// How the target network follows the evaluation network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum TargetUpdate {
    /// Copied once every so many updates.
    Hard(u64),
    /// Moved by this share of the difference at every update.
    Soft(f64),
}

impl TargetUpdate {
    /// True if the target moves after update number `updates` (counted from 1).
    pub fn moves_at(self, updates: u64) -> bool {
        match self {
            Self::Hard(every) => updates.is_multiple_of(every.max(1)),
            Self::Soft(_) => true,
        }
    }

    /// Moves `target` after update number `updates` (counted from 1).
    pub fn follow<F: Real>(self, updates: u64, target: &mut [F], evaluation: &[F]) {
        match self {
            Self::Hard(_) if self.moves_at(updates) => target.copy_from_slice(evaluation),
            Self::Hard(_) => {}
            Self::Soft(share) => {
                let share = F::of(share);
                vectorised(MoveTowards { target, values: evaluation, share });
            }
        }
    }
}

/// The network that decides after training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deploy {
    /// The evaluation network.
    Evaluation,
    /// The target network: with soft updates a running mean of the evaluation network, which
    /// does not swing from one update to the next.
    Target,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_follow() {
        let mut target = [0.0_f64, 0.0];
        TargetUpdate::Hard(3).follow(2, &mut target, &[1.0, 2.0]);
        assert_eq!(target, [0.0, 0.0]);
        TargetUpdate::Hard(3).follow(3, &mut target, &[1.0, 2.0]);
        assert_eq!(target, [1.0, 2.0]);
        TargetUpdate::Soft(0.25).follow(1, &mut target, &[5.0, 2.0]);
        assert_eq!(target, [2.0, 2.0]);
    }
}
