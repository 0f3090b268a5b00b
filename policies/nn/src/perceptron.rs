//! A perceptron: two dense layers with ReLU, and a linear one. For actors and critics that do not
//! look at the past.

use rand::Rng;

use crate::kernels::{AddRows, BiasRelu, ReluBackward, vectorised};
use crate::network::{Tensor, glorot};
use crate::product::{add_weight_gradient, input_gradient, product};
use crate::real::Real;

/// The sizes of a perceptron.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerceptronShape {
    /// Numbers of a row, at least 1.
    pub inputs: usize,
    /// Width of both hidden layers, at least 1.
    pub hidden: usize,
    /// Numbers it gives, at least 1.
    pub outputs: usize,
}

impl PerceptronShape {
    /// The parts of the parameters, in order: weight (inputs × outputs, row by row) and bias of
    /// each layer.
    pub fn tensors(&self) -> [Tensor; 6] {
        let Self { inputs, hidden, outputs } = *self;
        let mut end = 0;
        let mut tensor = |name, rows, columns| {
            let start = end;
            end += rows * columns;
            Tensor { name, shape: [rows, columns], range: start..end }
        };
        [
            tensor("dense_1.weight", inputs, hidden),
            tensor("dense_1.bias", 1, hidden),
            tensor("dense_2.weight", hidden, hidden),
            tensor("dense_2.bias", 1, hidden),
            tensor("output.weight", hidden, outputs),
            tensor("output.bias", 1, outputs),
        ]
    }

    /// How many parameters it has.
    pub fn parameters(&self) -> usize {
        let Self { inputs, hidden, outputs } = *self;
        (inputs + 1) * hidden + (hidden + 1) * hidden + (hidden + 1) * outputs
    }

    /// Draws its parameters: weights uniform within ±√(6 / (inputs + outputs)) (Glorot and
    /// Bengio 2010), biases 0.
    pub fn initial<F: Real>(&self, rng: &mut impl Rng) -> Vec<F> {
        let mut parameters = vec![F::ZERO; self.parameters()];
        for Tensor { name, shape: [rows, columns], range } in self.tensors() {
            if name.ends_with("weight") {
                glorot(&mut parameters[range], rows, columns, rng);
            }
        }
        parameters
    }
}

/// Buffers of one forward and backward pass; they grow to the largest batch.
#[derive(Clone, Debug)]
pub struct Perceptron<F> {
    shape: PerceptronShape,
    tensors: [Tensor; 6],
    inputs: Vec<F>,
    dense_1: Vec<F>,
    dense_2: Vec<F>,
    outputs: Vec<F>,
    d_dense_1: Vec<F>,
    d_dense_2: Vec<F>,
}

impl<F: Real> Perceptron<F> {
    /// Buffers for perceptrons of `shape`.
    pub fn new(shape: PerceptronShape) -> Self {
        Self {
            shape,
            tensors: shape.tensors(),
            inputs: Vec::new(),
            dense_1: Vec::new(),
            dense_2: Vec::new(),
            outputs: Vec::new(),
            d_dense_1: Vec::new(),
            d_dense_2: Vec::new(),
        }
    }

    /// What it gives for `inputs`, rows × inputs; rows × outputs.
    ///
    /// # Panics
    /// If a slice does not have the length its shape says.
    pub fn forward(&mut self, parameters: &[F], inputs: &[F]) -> &[F] {
        let PerceptronShape { inputs: width, hidden, outputs } = self.shape;
        let rows = inputs.len() / width;
        assert_eq!(inputs.len(), rows * width, "inputs");
        assert_eq!(parameters.len(), self.shape.parameters(), "parameters");
        let [weight_1, bias_1, weight_2, bias_2, weight_3, bias_3] =
            self.tensors.each_ref().map(|tensor| &parameters[tensor.range.clone()]);
        self.inputs.clear();
        self.inputs.extend_from_slice(inputs);
        self.dense_1.resize(rows * hidden, F::ZERO);
        self.dense_2.resize(rows * hidden, F::ZERO);
        self.outputs.resize(rows * outputs, F::ZERO);
        product(inputs, width, weight_1, &mut self.dense_1, hidden);
        vectorised(BiasRelu { bias: bias_1, sums: &mut self.dense_1 });
        product(&self.dense_1, hidden, weight_2, &mut self.dense_2, hidden);
        vectorised(BiasRelu { bias: bias_2, sums: &mut self.dense_2 });
        product(&self.dense_2, hidden, weight_3, &mut self.outputs, outputs);
        for row in self.outputs.chunks_exact_mut(outputs) {
            for (output, &bias) in row.iter_mut().zip(bias_3) {
                *output += bias;
            }
        }
        &self.outputs
    }

    /// Adds ∂L/∂(parameters) to `gradient`, given ∂L/∂(outputs) of the last forward pass.
    ///
    /// # Panics
    /// If a slice does not have the length its shape says.
    pub fn backward(&mut self, parameters: &[F], d_outputs: &[F], gradient: &mut [F]) {
        let PerceptronShape { inputs: width, hidden, outputs } = self.shape;
        assert_eq!(d_outputs.len(), self.outputs.len(), "d_outputs");
        assert_eq!(gradient.len(), self.shape.parameters(), "gradient");
        let [weight_1, bias_1, weight_2, bias_2, weight_3, bias_3] =
            self.tensors.each_ref().map(|tensor| tensor.range.clone());
        let mut into = |x: &[F], inner, d: &[F], columns, weight, bias| {
            add_weight_gradient(x, inner, d, columns, &mut gradient[weight]);
            vectorised(AddRows { from: d, sums: &mut gradient[bias] });
        };
        let Self { inputs, dense_1, dense_2, d_dense_1, d_dense_2, .. } = self;
        into(dense_2, hidden, d_outputs, outputs, weight_3.clone(), bias_3);
        d_dense_2.resize(dense_2.len(), F::ZERO);
        input_gradient(d_outputs, outputs, &parameters[weight_3], d_dense_2, hidden);
        vectorised(ReluBackward { output: dense_2, gradient: d_dense_2 });
        into(dense_1, hidden, d_dense_2, hidden, weight_2.clone(), bias_2);
        d_dense_1.resize(dense_1.len(), F::ZERO);
        input_gradient(d_dense_2, hidden, &parameters[weight_2], d_dense_1, hidden);
        vectorised(ReluBackward { output: dense_1, gradient: d_dense_1 });
        into(inputs, width, d_dense_1, hidden, weight_1, bias_1);
    }
}
