//! Claims: statements about the numbers of a study, with the verdict of the data.

/// The verdict of the data on a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every difference is on the claimed side, and so is its 95 % interval.
    Holds,
    /// Some difference is on the other side, and so is its 95 % interval.
    Fails,
    /// Neither: some interval contains zero.
    Undecided,
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
    /// The difference that decided, or came closest to deciding, with its interval.
    pub because: String,
}
