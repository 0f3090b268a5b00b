//! The target of double Q-learning, eq. (14).

use crate::actions::argmax;
use crate::real::Real;

/// Y = r + γ^Δ · Q_target(s', argmaxₐ Q_evaluation(s', a)): one network chooses, the other values.
///
/// `next_evaluation` and `next_target` are Q of the next state by either network, 1 + M numbers
/// each; `discount` is γ^Δ, or 0 at the end of an episode.
pub fn double_q_target<F: Real>(
    reward: F,
    discount: F,
    next_evaluation: &[F],
    next_target: &[F],
) -> F {
    reward + discount * next_target[argmax(next_evaluation)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_network_chooses_and_the_other_values() {
        assert_eq!(double_q_target(1.0, 0.5, &[2.0, 3.0], &[9.0, 4.0]), 3.0);
        assert_eq!(double_q_target(1.0, 0.0, &[2.0, 3.0], &[9.0, 4.0]), 1.0);
    }
}
