//! A perceptron: two dense layers with ReLU, and a linear one, for actors and critics without
//! history.

use rand::Rng;

use crate::initial::glorot;
use crate::kernels::{ReluBackward, vectorised};
use crate::layer::{Layer, Layout, Tensor};
use crate::real::Real;

/// The sizes of a perceptron.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerceptronShape {
    /// Width of an input row, at least 1.
    pub inputs: usize,
    /// Width of both hidden layers, at least 1.
    pub hidden: usize,
    /// Width of an output row, at least 1.
    pub outputs: usize,
}

impl PerceptronShape {
    /// Both hidden layers and the linear one, in the order of the parameters.
    pub(crate) fn layers(&self) -> [Layer; 3] {
        let Self { inputs, hidden, outputs } = *self;
        let mut layout = Layout::default();
        [
            layout.layer(["dense_1.weight", "dense_1.bias"], inputs, hidden),
            layout.layer(["dense_2.weight", "dense_2.bias"], hidden, hidden),
            layout.layer(["output.weight", "output.bias"], hidden, outputs),
        ]
    }

    /// The parts of the parameters, in order: weight (inputs × outputs, row by row) and bias of
    /// each layer.
    pub fn tensors(&self) -> [Tensor; 6] {
        let [first, second, output] = self.layers();
        [first.weight, first.bias, second.weight, second.bias, output.weight, output.bias]
    }

    /// Number of parameters of one network.
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
    layers: [Layer; 3],
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
            layers: shape.layers(),
            inputs: Vec::new(),
            dense_1: Vec::new(),
            dense_2: Vec::new(),
            outputs: Vec::new(),
            d_dense_1: Vec::new(),
            d_dense_2: Vec::new(),
        }
    }

    /// The outputs, rows × outputs, for `inputs`, rows × inputs.
    ///
    /// # Panics
    /// If a slice does not have the length that the shape requires.
    pub fn forward(&mut self, parameters: &[F], inputs: &[F]) -> &[F] {
        let PerceptronShape { inputs: width, hidden, outputs } = self.shape;
        let rows = inputs.len() / width;
        assert_eq!(inputs.len(), rows * width, "inputs");
        assert_eq!(parameters.len(), self.shape.parameters(), "parameters");
        let [first, second, last] = &self.layers;
        self.inputs.clear();
        self.inputs.extend_from_slice(inputs);
        self.dense_1.resize(rows * hidden, F::ZERO);
        self.dense_2.resize(rows * hidden, F::ZERO);
        self.outputs.resize(rows * outputs, F::ZERO);
        first.relu(parameters, inputs, &mut self.dense_1);
        second.relu(parameters, &self.dense_1, &mut self.dense_2);
        last.product(parameters, &self.dense_2, &mut self.outputs);
        for row in self.outputs.chunks_exact_mut(outputs) {
            for (output, &bias) in row.iter_mut().zip(last.biases(parameters)) {
                *output += bias;
            }
        }
        &self.outputs
    }

    /// Adds ∂L/∂(parameters) to `gradient`, given ∂L/∂(outputs) of the last forward pass.
    ///
    /// # Panics
    /// If a slice does not have the length that the shape requires.
    pub fn backward(&mut self, parameters: &[F], d_outputs: &[F], gradient: &mut [F]) {
        assert_eq!(d_outputs.len(), self.outputs.len(), "d_outputs");
        assert_eq!(gradient.len(), self.shape.parameters(), "gradient");
        let Self { layers: [first, second, last], inputs, dense_1, dense_2, .. } = self;
        let (d_dense_1, d_dense_2) = (&mut self.d_dense_1, &mut self.d_dense_2);
        last.add_gradient(dense_2, d_outputs, gradient);
        d_dense_2.resize(dense_2.len(), F::ZERO);
        last.input_gradient(parameters, d_outputs, d_dense_2);
        vectorised(ReluBackward { output: dense_2, gradient: d_dense_2 });
        second.add_gradient(dense_1, d_dense_2, gradient);
        d_dense_1.resize(dense_1.len(), F::ZERO);
        second.input_gradient(parameters, d_dense_2, d_dense_1);
        vectorised(ReluBackward { output: dense_1, gradient: d_dense_1 });
        first.add_gradient(inputs, d_dense_1, gradient);
    }
}
