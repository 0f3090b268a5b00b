//! The gates of the LSTM: their order among its columns, and the forget bias.

use std::ops::Range;

/// A gate of the LSTM. Its H columns come in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// i, logistic.
    Input,
    /// j, tanh.
    Candidate,
    /// f, logistic, with [`FORGET_BIAS`].
    Forget,
    /// o, logistic.
    Output,
}

/// Added to the sums of the forget gate, so that a new network remembers.
pub(crate) const FORGET_BIAS: f64 = 1.0;

impl Gate {
    /// Its columns among the LSTM's 4H.
    #[inline(always)]
    pub(crate) const fn columns(self, hidden: usize) -> Range<usize> {
        let number = self as usize;
        number * hidden..(number + 1) * hidden
    }

    /// A row of 4H, gate by gate in the order above.
    #[inline(always)]
    pub(crate) fn split<T>(row: &[T], hidden: usize) -> [&[T]; 4] {
        let (i, rest) = row.split_at(hidden);
        let (j, rest) = rest.split_at(hidden);
        let (f, rest) = rest.split_at(hidden);
        [i, j, f, &rest[..hidden]]
    }
}
