//! The first parameters of a network.

use ndarray_rand::rand_distr::{Distribution, Normal, Uniform};
use rand::Rng;

use crate::layer::Tensor;
use crate::real::Real;
use crate::shape::Shape;

/// Distribution of the first weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Initial {
    /// Uniform within ±√(6 / (inputs + outputs)) (Glorot and Bengio 2010), biases 0.
    Glorot,
    /// Normal with this standard deviation, biases as given; the LSTM as in `Glorot` (the public
    /// QECO code: 0.3 and 0.1).
    Normal {
        /// Standard deviation of the weights of the dense layers and the head.
        weights: f64,
        /// Their biases.
        biases: f64,
    },
}

/// Draws the parameters of a network, tensor by tensor.
pub fn initial_parameters<F: Real>(shape: &Shape, initial: Initial, rng: &mut impl Rng) -> Vec<F> {
    draw(&shape.tensors(), initial, rng)
}

/// Draws the parameters of a network of these tensors, one after the other.
pub(crate) fn draw<F: Real>(tensors: &[Tensor], initial: Initial, rng: &mut impl Rng) -> Vec<F> {
    let length = tensors.iter().map(|tensor| tensor.range.end).max().unwrap_or(0);
    let mut parameters = vec![F::ZERO; length];
    for Tensor { name, shape: [rows, columns], range } in tensors {
        let values = &mut parameters[range.clone()];
        let is_bias = name.ends_with("bias");
        let is_lstm = name.starts_with("lstm");
        match initial {
            Initial::Normal { biases, .. } if is_bias && !is_lstm => values.fill(F::of(biases)),
            Initial::Normal { weights, .. } if !is_bias && !is_lstm => {
                // The caller refuses what is not a standard deviation.
                if let Ok(normal) = Normal::new(0.0, weights) {
                    values.fill_with(|| F::of(normal.sample(rng)));
                }
            }
            _ if is_bias => {}
            _ => {
                // All four gates have the same inputs and H outputs each.
                let outputs = if is_lstm { columns / 4 } else { *columns };
                glorot(values, *rows, outputs, rng);
            }
        }
    }
    parameters
}

/// Draws weights uniform within ±√(6 / (inputs + outputs)).
pub(crate) fn glorot<F: Real>(
    weights: &mut [F],
    inputs: usize,
    outputs: usize,
    rng: &mut impl Rng,
) {
    let bound = (6.0 / (inputs + outputs) as f64).sqrt();
    if let Ok(uniform) = Uniform::new(-bound, bound) {
        weights.fill_with(|| F::of(uniform.sample(rng)));
    }
}
