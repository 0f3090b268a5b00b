//! Losses, clipping, optimisers and target networks: pure functions of plain slices.

use serde::{Deserialize, Serialize};

use crate::kernels::{AdamStep, MoveTowards, RmsPropStep, Scale, vectorised};
use crate::real::Real;

/// The loss of an error e = Q − Y.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Loss {
    /// e².
    Squared,
    /// e²/2 up to the given |e|, then linear (Huber 1964).
    Huber(f64),
}

impl Loss {
    /// Loss and derivative at an error.
    pub fn of<F: Real>(self, error: F) -> (F, F) {
        let half = F::of(0.5);
        match self {
            Self::Squared => (error * error, error + error),
            Self::Huber(width) => {
                let width = F::of(width);
                let size = if error < F::ZERO { -error } else { error };
                if size <= width {
                    (half * error * error, error)
                } else {
                    let slope = if error < F::ZERO { -width } else { width };
                    (width * (size - half * width), slope)
                }
            }
        }
    }
}

/// Scales `gradient` to a norm of at most `most`; gives the norm before.
pub fn clip<F: Real>(gradient: &mut [F], most: f64) -> f64 {
    let norm = gradient.iter().map(|g| g.f64() * g.f64()).sum::<f64>().sqrt();
    if norm > most {
        vectorised(Scale { values: gradient, factor: F::of(most / norm) });
    }
    norm
}

/// Which optimiser, with its learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Optimiser {
    /// Adam (Kingma and Ba 2015), decays 0.9 and 0.999, ε 10⁻⁸.
    Adam(f64),
    /// RMSProp (Tieleman and Hinton 2012) as TensorFlow has it: decay 0.9, ε 10⁻¹⁰ under the
    /// root, squares beginning at 1.
    RmsProp(f64),
}

/// What an optimiser remembers of one network.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimiserState<F> {
    /// Steps so far.
    pub steps: u64,
    /// Mean gradient (Adam).
    pub first: Vec<F>,
    /// Mean square of the gradient.
    pub second: Vec<F>,
}

impl Optimiser {
    /// Before the first step of a network with so many parameters.
    pub fn state<F: Real>(self, parameters: usize) -> OptimiserState<F> {
        let of = |value| vec![value; parameters];
        match self {
            Self::Adam(_) => OptimiserState { steps: 0, first: of(F::ZERO), second: of(F::ZERO) },
            Self::RmsProp(_) => OptimiserState { steps: 0, first: of(F::ZERO), second: of(F::ONE) },
        }
    }

    /// One step against `gradient`.
    pub fn step<F: Real>(
        self,
        state: &mut OptimiserState<F>,
        parameters: &mut [F],
        gradient: &[F],
    ) {
        state.steps += 1;
        match self {
            Self::Adam(rate) => {
                let (first_decay, second_decay, epsilon) = (0.9_f64, 0.999_f64, 1e-8);
                let steps = state.steps.min(1 << 30) as i32;
                let second_correction = (1.0 - second_decay.powi(steps)).sqrt();
                let rate = rate * second_correction / (1.0 - first_decay.powi(steps));
                vectorised(AdamStep {
                    parameters,
                    gradient,
                    first: &mut state.first,
                    second: &mut state.second,
                    first_decay: F::of(first_decay),
                    second_decay: F::of(second_decay),
                    rate: F::of(rate),
                    epsilon: F::of(epsilon * second_correction),
                });
            }
            Self::RmsProp(rate) => vectorised(RmsPropStep {
                parameters,
                gradient,
                square: &mut state.second,
                decay: F::of(0.9),
                rate: F::of(rate),
                epsilon: F::of(1e-10),
            }),
        }
    }
}

/// How the target network follows the evaluation network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum TargetUpdate {
    /// Copied every so many updates.
    Hard(u64),
    /// Moved by this share of the difference at every update.
    Soft(f64),
}

impl TargetUpdate {
    /// After update number `updates` (counted from 1).
    pub fn follow<F: Real>(self, updates: u64, target: &mut [F], evaluation: &[F]) {
        match self {
            Self::Hard(every) if updates.is_multiple_of(every.max(1)) => {
                target.copy_from_slice(evaluation);
            }
            Self::Hard(_) => {}
            Self::Soft(share) => {
                let share = F::of(share);
                vectorised(MoveTowards { target, values: evaluation, share });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_by_hand() {
        assert_eq!(Loss::Squared.of(-3.0), (9.0, -6.0));
        assert_eq!(Loss::Huber(2.0).of(1.0), (0.5, 1.0));
        assert_eq!(Loss::Huber(2.0).of(-5.0), (8.0, -2.0));
    }

    #[test]
    fn clipping_keeps_direction_and_bounds_length() {
        let mut gradient = [3.0_f64, 4.0];
        assert_eq!(clip(&mut gradient, 10.0), 5.0);
        assert_eq!(gradient, [3.0, 4.0]);
        clip(&mut gradient, 1.0);
        assert!((gradient[0] - 0.6).abs() < 1e-15 && (gradient[1] - 0.8).abs() < 1e-15);
    }

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
