//! Decisions: Q of rows that each have a network of their own.

use crate::head::duel;
use crate::kernels::{
    Decisions, RowBuffers, RowInput, SIDE_BY_SIDE, SharedDecisions, vectorised_for,
};
use crate::shape::{Layers, Shape};

/// Computes Q where each row may have a network of its own: a forward pass that keeps nothing for
/// a backward pass.
#[derive(Clone, Debug)]
pub struct Decider {
    layers: Layers,
    hidden: usize,
    buffers: [RowBuffers; SIDE_BY_SIDE],
}

/// A row to decide.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The network's parameters.
    pub parameters: &'a [f32],
    /// F.
    pub features: &'a [f32],
    /// K × M.
    pub history: &'a [f32],
}

impl Decider {
    /// Buffers for networks of `shape`.
    pub fn new(shape: Shape) -> Self {
        let Shape { features, servers, hidden, .. } = shape;
        let zeros = |length| vec![0.0; length];
        let buffers = || RowBuffers {
            inputs: zeros(servers + hidden),
            gates: zeros(4 * hidden),
            cells: [zeros(hidden), zeros(hidden)],
            tanh: zeros(hidden),
            joined: zeros(features + hidden),
            dense: [zeros(hidden), zeros(hidden)],
            head: zeros(2 + servers),
        };
        Self { layers: shape.layers(), hidden, buffers: std::array::from_fn(|_| buffers()) }
    }

    /// Q of `rows` rows, which `row` returns by number, into `values`, rows × (1 + M).
    /// Bit-identical to [`Workspace::forward`](crate::Workspace::forward) of one row.
    ///
    /// # Panics
    /// If a slice does not have the length that the shape requires.
    pub fn decide<'r>(&mut self, rows: usize, row: impl Fn(usize) -> Row<'r>, values: &mut [f32]) {
        if rows == 0 {
            return;
        }
        let actions = values.len() / rows;
        for (group, values) in values.chunks_mut(SIDE_BY_SIDE * actions).enumerate() {
            let first = group * SIDE_BY_SIDE;
            let count = values.len() / actions;
            // A group that is not full repeats its last row; nothing reads the repetitions.
            let inputs: [_; SIDE_BY_SIDE] =
                std::array::from_fn(|n| self.input(row(first + n.min(count - 1))));
            let buffers = &mut self.buffers[..count];
            vectorised_for(self.hidden, Decisions { rows: &inputs[..count], buffers });
            for ((values, buffers), n) in
                values.chunks_exact_mut(actions).zip(&self.buffers).zip(first..)
            {
                let bias = self.layers.head.biases(row(n).parameters);
                duel(&buffers.head, bias, values);
            }
        }
    }

    /// Q of `features`, rows × F, of one network, where all rows see the same history of K × M,
    /// into `values`, rows × (1 + M): the LSTM runs once. Otherwise like [`Decider::decide`].
    ///
    /// # Panics
    /// If a slice does not have the length that the shape requires.
    pub fn decide_shared(
        &mut self,
        parameters: &[f32],
        features: &[f32],
        history: &[f32],
        values: &mut [f32],
    ) {
        let width = self.layers.dense_1.inputs() - self.hidden;
        let Some(first) = features.get(..width) else { return };
        let row = self.input(Row { parameters, features: first, history });
        let head_bias = self.layers.head.biases(parameters);
        let buffers = &mut self.buffers[0];
        let kernel = SharedDecisions { row, features, buffers, head_bias, values };
        vectorised_for(self.hidden, kernel);
    }

    fn input<'r>(&self, row: Row<'r>) -> RowInput<'r> {
        let Layers { lstm, dense_1, dense_2, head } = &self.layers;
        let of = row.parameters;
        RowInput {
            lstm: lstm.weights(of),
            lstm_bias: lstm.biases(of),
            dense_1: dense_1.weights(of),
            dense_1_bias: dense_1.biases(of),
            dense_2: dense_2.weights(of),
            dense_2_bias: dense_2.biases(of),
            head: head.weights(of),
            features: row.features,
            history: row.history,
        }
    }
}
