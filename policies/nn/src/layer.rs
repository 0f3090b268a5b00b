//! A dense layer: where its parameters are among those of a network, its products and gradients.

use std::ops::Range;

use crate::kernels::{AddRows, BiasRelu, vectorised};
use crate::product::{add_weight_gradient, input_gradient, product};
use crate::real::Real;

/// A named part of the parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Its name in checkpoints.
    pub name: &'static str,
    /// Rows (inputs) and columns (outputs); a bias has one row.
    pub shape: [usize; 2],
    /// Where it is in the parameters, row by row.
    pub range: Range<usize>,
}

/// Weights, inputs × outputs, and a bias for each output.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) weight: Tensor,
    pub(crate) bias: Tensor,
}

/// Places tensors one after the other.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    end: usize,
}

impl Layout {
    /// Places the weights of a layer, then its bias, under these names.
    pub(crate) fn layer(
        &mut self,
        [weight, bias]: [&'static str; 2],
        inputs: usize,
        outputs: usize,
    ) -> Layer {
        let mut tensor = |name, rows, columns| {
            let start = self.end;
            self.end += rows * columns;
            Tensor { name, shape: [rows, columns], range: start..self.end }
        };
        Layer { weight: tensor(weight, inputs, outputs), bias: tensor(bias, 1, outputs) }
    }
}

impl Layer {
    /// Its name: that of its tensors without `.weight` or `.bias`.
    pub(crate) fn name(&self) -> &'static str {
        self.weight.name.split('.').next().unwrap_or_default()
    }

    pub(crate) fn inputs(&self) -> usize {
        self.weight.shape[0]
    }

    pub(crate) fn outputs(&self) -> usize {
        self.weight.shape[1]
    }

    /// Its weights, inputs × outputs, among the parameters of a network.
    pub(crate) fn weights<'p, F>(&self, parameters: &'p [F]) -> &'p [F] {
        &parameters[self.weight.range.clone()]
    }

    /// Where the weights of some of its inputs are among the parameters of a network.
    pub(crate) fn rows(&self, inputs: &Range<usize>) -> Range<usize> {
        let (start, outputs) = (self.weight.range.start, self.outputs());
        start + inputs.start * outputs..start + inputs.end * outputs
    }

    /// Its biases among the parameters of a network.
    pub(crate) fn biases<'p, F>(&self, parameters: &'p [F]) -> &'p [F] {
        &parameters[self.bias.range.clone()]
    }

    /// `sums = x · weights`, rows × outputs, without bias.
    pub(crate) fn product<F: Real>(&self, parameters: &[F], x: &[F], sums: &mut [F]) {
        product(x, self.inputs(), self.weights(parameters), sums, self.outputs());
    }

    /// `outputs = ReLU(x · weights + bias)`, rows × outputs.
    pub(crate) fn relu<F: Real>(&self, parameters: &[F], x: &[F], outputs: &mut [F]) {
        self.product(parameters, x, outputs);
        vectorised(BiasRelu { bias: self.biases(parameters), sums: outputs });
    }

    /// Adds ∂L/∂(weights) and ∂L/∂(bias) to the gradient of a network, given its inputs (rows ×
    /// inputs) and ∂L/∂(sums) (rows × outputs).
    pub(crate) fn add_gradient<F: Real>(&self, x: &[F], d_sums: &[F], gradient: &mut [F]) {
        let weights = &mut gradient[self.weight.range.clone()];
        add_weight_gradient(x, self.inputs(), d_sums, self.outputs(), weights);
        vectorised(AddRows { from: d_sums, sums: &mut gradient[self.bias.range.clone()] });
    }

    /// `d_x` = ∂L/∂(inputs), rows × inputs, given ∂L/∂(sums).
    pub(crate) fn input_gradient<F: Real>(&self, parameters: &[F], d_sums: &[F], d_x: &mut [F]) {
        input_gradient(d_sums, self.outputs(), self.weights(parameters), d_x, self.inputs());
    }
}
