//! Claims: statements about the numbers of a study, with the verdict of the data.

use crate::statistics::Basis;

/// Training seeds from which on a statement about policies that learn needs no warning.
pub const ENOUGH_SEEDS: usize = 10;

/// The verdict of the data on a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every difference is on the claimed side, and so is its 95 % interval: each comparison is a
    /// test at its own level, and all must pass.
    Holds,
    /// Some difference is on the other side, by Holm's procedure over all comparisons of the
    /// claim: one that is true in all of them fails wrongly in 2.5 % of all cases at most.
    Fails,
    /// Neither.
    Undecided,
    /// It would hold or fail, but a policy involved was trained once: nobody knows how another
    /// training would have ended.
    TooFewSeeds,
    /// A number that it compares is not there: its point was left out, or its policy failed.
    NotJudged,
}

/// A claim with its verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The claim, in words.
    pub text: String,
    /// Its source: author and place.
    pub source: String,
    /// The verdict.
    pub verdict: Verdict,
    /// The number of comparisons that it rests on; 0 if it was not judged.
    pub comparisons: usize,
    /// The weakest basis of these comparisons.
    pub basis: Basis,
    /// The difference that decided, or came closest to deciding, with its interval; or why it was
    /// not judged.
    pub because: String,
}

impl Claim {
    /// The number of training seeds it rests on, if they are few: any but none, below
    /// [`ENOUGH_SEEDS`].
    pub fn few_seeds(&self) -> Option<usize> {
        self.basis.trainings().filter(|seeds| *seeds < ENOUGH_SEEDS)
    }
}
