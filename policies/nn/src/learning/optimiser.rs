//! Steps against a gradient: clipping, Adam and RMSProp.

use serde::{Deserialize, Serialize};

use crate::kernels::{AdamStep, RmsPropStep, Scale, vectorised};
use crate::real::Real;

/// Scales `gradient` to a Euclidean norm of at most `max_norm`; returns the norm before.
pub fn clip<F: Real>(gradient: &mut [F], max_norm: f64) -> f64 {
    let norm = gradient.iter().map(|g| g.f64() * g.f64()).sum::<f64>().sqrt();
    if norm > max_norm {
        vectorised(Scale { values: gradient, factor: F::of(max_norm / norm) });
    }
    norm
}

/// An optimiser with its learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Optimiser {
    /// Adam (Kingma and Ba 2015), decays 0.9 and 0.999, ε 10⁻⁸.
    Adam(f64),
    /// RMSProp (Tieleman and Hinton 2012) as TensorFlow has it: decay 0.9, ε 10⁻¹⁰ under the
    /// root, squares beginning at 1.
    RmsProp(f64),
}

/// An optimiser's state for one network.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimiserState<F> {
    /// Steps so far.
    pub steps: u64,
    /// Mean gradient (Adam), as long as the parameters.
    pub first: Vec<F>,
    /// Mean square of the gradient, as long as the parameters.
    pub second: Vec<F>,
}

impl Optimiser {
    /// The learning rate.
    pub fn rate(self) -> f64 {
        let (Self::Adam(rate) | Self::RmsProp(rate)) = self;
        rate
    }

    /// The same optimiser with its learning rate times `factor`, which a
    /// [`Schedule`](super::Schedule) computes.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        match self {
            Self::Adam(rate) => Self::Adam(rate * factor),
            Self::RmsProp(rate) => Self::RmsProp(rate * factor),
        }
    }

    /// The state before the first step of a network with `parameters` parameters.
    pub fn state<F: Real>(self, parameters: usize) -> OptimiserState<F> {
        let of = |value| vec![value; parameters];
        match self {
            Self::Adam(_) => OptimiserState { steps: 0, first: of(F::ZERO), second: of(F::ZERO) },
            Self::RmsProp(_) => OptimiserState { steps: 0, first: of(F::ZERO), second: of(F::ONE) },
        }
    }

    /// One step against `gradient`, which is as long as `parameters`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clipping_keeps_direction_and_bounds_length() {
        let mut gradient = [3.0_f64, 4.0];
        assert_eq!(clip(&mut gradient, 10.0), 5.0);
        assert_eq!(gradient, [3.0, 4.0]);
        clip(&mut gradient, 1.0);
        assert!((gradient[0] - 0.6).abs() < 1e-15 && (gradient[1] - 0.8).abs() < 1e-15);
    }

    #[test]
    fn a_scaled_optimiser_is_of_the_same_kind() {
        assert_eq!(Optimiser::Adam(0.5).scaled(0.5), Optimiser::Adam(0.25));
        assert_eq!(Optimiser::RmsProp(0.5).scaled(0.5).rate(), 0.25);
    }
}
