//! The dueling head, eq. (15): its columns, and the way from them to Q and back.
//!
//! This is the only place that knows these columns, as `gate` is the only one that knows the LSTM's.

use crate::real::Real;

/// V in the output of the head.
pub(crate) const VALUE_COLUMN: usize = 0;

/// A of action 0 in the output of the head; the other actions follow.
pub(crate) const FIRST_ADVANTAGE_COLUMN: usize = 1;

/// The dueling head, eq. (15): Q = V + A − mean A. `sums` and `bias` have the head's columns: V,
/// then A of each action.
pub(crate) fn duel<F: Real>(sums: &[F], bias: &[F], values: &mut [F]) {
    let value = sums[VALUE_COLUMN] + bias[VALUE_COLUMN];
    let advantages = sums[FIRST_ADVANTAGE_COLUMN..].iter().zip(&bias[FIRST_ADVANTAGE_COLUMN..]);
    duel_of(value, advantages.map(|(&advantage, &bias)| advantage + bias), values);
}

/// Q = V + A − mean A, from V and A of each action.
#[inline(always)]
pub(crate) fn duel_of<F: Real>(value: F, advantages: impl Iterator<Item = F>, values: &mut [F]) {
    let share = F::ONE / F::of(values.len() as f64);
    let mut mean = F::ZERO;
    for (q, advantage) in values.iter_mut().zip(advantages) {
        *q = advantage;
        mean += *q;
    }
    for q in values {
        *q = value + (*q - mean * share);
    }
}

/// ∂L/∂(head) of a row, given ∂L/∂Q: ∂Q_a/∂V = 1, ∂Q_a/∂A_b = [a = b] − 1/(1+M).
pub(crate) fn duel_backward<F: Real>(d_values: &[F], d_head: &mut [F]) {
    let share = F::ONE / F::of(d_values.len() as f64);
    let mut sum = F::ZERO;
    for &d in d_values {
        sum += d;
    }
    d_head[VALUE_COLUMN] = sum;
    for (d_head, &d) in d_head[FIRST_ADVANTAGE_COLUMN..].iter_mut().zip(d_values) {
        *d_head = d - sum * share;
    }
}

/// [`duel`] of one lane.
#[inline(always)]
pub(crate) fn duel_lane<F: Real, const W: usize>(
    head: &[[F; W]],
    bias: &[F],
    lane: usize,
    values: &mut [F],
) {
    let value = head[VALUE_COLUMN][lane] + bias[VALUE_COLUMN];
    let advantages = head[FIRST_ADVANTAGE_COLUMN..].iter().zip(&bias[FIRST_ADVANTAGE_COLUMN..]);
    duel_of(value, advantages.map(|(advantage, &bias)| advantage[lane] + bias), values);
}
