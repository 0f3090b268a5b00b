//! The network of section 5.1 of the paper: an LSTM over the load history h, its last output
//! beside the features o, two dense layers with ReLU, and a dueling head (eq. 15).
//!
//! ```text
//! h: K × M ── LSTM (H) ── h_K ─┐
//!                              ├─ dense H, ReLU ── dense H, ReLU ─┬─ value 1 ──────┐
//! o: F ────────────────────────┘                                  └─ advantage 1+M ┴─ Q
//! ```
//!
//! The paper's text has one dense layer; the parameter counts of its tables have two.
//! All parameters of a network are one slice, in the order of [`Shape::tensors`], which is what
//! optimisers, target networks and checkpoints work on.

use ndarray::Array2;

use crate::kernels::{Cell, CellBackward, Gates, LstmRow, ReluBackward, vectorised};
use crate::product::product;
use crate::real::Real;
use crate::shape::{FIRST_ADVANTAGE_COLUMN, Layers, Shape, VALUE_COLUMN};

/// The load histories of the rows of a batch.
#[derive(Clone, Copy, Debug)]
pub enum Histories<'a, F> {
    /// All rows see this window of K × M: the LSTM runs once.
    Shared(&'a [F]),
    /// Each row has its own: K × rows × M, the oldest slot of all rows first.
    Each(&'a [F]),
}

/// Buffers of one forward and backward pass; they grow to the largest batch.
#[derive(Clone, Debug)]
pub struct Workspace<F> {
    shape: Shape,
    rows: usize,
    /// Rows of the LSTM: 1 if all share a history, else as many as the batch.
    lstm_rows: usize,
    /// The LSTM's inputs, K × rows × (M + H): the load, then the last output.
    inputs: Vec<F>,
    /// Activated gates, K × rows × 4H.
    gates: Vec<F>,
    /// c, (K + 1) × rows × H, the first zero.
    cells: Vec<F>,
    /// tanh c, K × rows × H.
    tanh: Vec<F>,
    /// The LSTM's output of the slot at hand, rows × H.
    output: Vec<F>,
    /// Features beside the LSTM's last output, rows × (F + H).
    joined: Vec<F>,
    dense_1: Vec<F>,
    dense_2: Vec<F>,
    /// Value and advantages, rows × (2 + M).
    head: Vec<F>,
    /// Q, rows × (1 + M).
    values: Vec<F>,
    d_head: Vec<F>,
    d_dense: Vec<F>,
    d_joined: Vec<F>,
    d_output: Vec<F>,
    d_cell: Vec<F>,
    /// ∂L/∂(gate sums), K × rows × 4H.
    d_gates: Vec<F>,
    /// The recurrent part of the LSTM's weights, transposed: 4H × H.
    recurrent: Vec<F>,
}

/// The dueling head, eq. (15): Q = V + A − mean A. `sums` and `bias` have the head's columns: V,
/// then A of each action.
pub(crate) fn duel<F: Real>(sums: &[F], bias: &[F], values: &mut [F]) {
    let value = sums[VALUE_COLUMN] + bias[VALUE_COLUMN];
    let advantages = sums[FIRST_ADVANTAGE_COLUMN..].iter().zip(&bias[FIRST_ADVANTAGE_COLUMN..]);
    let share = F::ONE / F::of(values.len() as f64);
    let mut mean = F::ZERO;
    for (q, (&advantage, &bias)) in values.iter_mut().zip(advantages) {
        *q = advantage + bias;
        mean += *q;
    }
    for q in values {
        *q = value + (*q - mean * share);
    }
}

/// ∂L/∂(head) of a row, given ∂L/∂Q: ∂Q_a/∂V = 1, ∂Q_a/∂A_b = [a = b] − 1/(1+M).
fn duel_backward<F: Real>(d_values: &[F], d_head: &mut [F]) {
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

impl<F: Real> Workspace<F> {
    /// Buffers for networks of `shape`.
    pub fn new(shape: Shape) -> Self {
        Self {
            shape,
            rows: 0,
            lstm_rows: 0,
            inputs: Vec::new(),
            gates: Vec::new(),
            cells: Vec::new(),
            tanh: Vec::new(),
            output: Vec::new(),
            joined: Vec::new(),
            dense_1: Vec::new(),
            dense_2: Vec::new(),
            head: Vec::new(),
            values: Vec::new(),
            d_head: Vec::new(),
            d_dense: Vec::new(),
            d_joined: Vec::new(),
            d_output: Vec::new(),
            d_cell: Vec::new(),
            d_gates: Vec::new(),
            recurrent: Vec::new(),
        }
    }

    fn resize(&mut self, rows: usize, lstm_rows: usize) {
        if (rows, lstm_rows) == (self.rows, self.lstm_rows) {
            return;
        }
        (self.rows, self.lstm_rows) = (rows, lstm_rows);
        let Shape { features, servers, history_slots, hidden } = self.shape;
        let sized = |buffer: &mut Vec<F>, length| buffer.resize(length, F::ZERO);
        sized(&mut self.inputs, history_slots * lstm_rows * (servers + hidden));
        sized(&mut self.gates, history_slots * lstm_rows * 4 * hidden);
        sized(&mut self.cells, (history_slots + 1) * lstm_rows * hidden);
        sized(&mut self.tanh, history_slots * lstm_rows * hidden);
        sized(&mut self.output, lstm_rows * hidden);
        sized(&mut self.joined, rows * (features + hidden));
        sized(&mut self.dense_1, rows * hidden);
        sized(&mut self.dense_2, rows * hidden);
        sized(&mut self.head, rows * (2 + servers));
        sized(&mut self.values, rows * (1 + servers));
    }

    /// Q of the last forward pass, rows × (1 + M).
    pub fn values(&self) -> &[F] {
        &self.values
    }

    /// Computes Q for `features`, rows × F; returns it, rows × (1 + M).
    ///
    /// # Panics
    /// If a slice does not have the length that the shape requires.
    pub fn forward(
        &mut self,
        parameters: &[F],
        features: &[F],
        histories: Histories<'_, F>,
    ) -> &[F] {
        let Shape { features: width, servers, history_slots, hidden } = self.shape;
        let rows = features.len() / width;
        let (history, lstm_rows) = match histories {
            Histories::Shared(history) => (history, 1),
            Histories::Each(history) => (history, rows),
        };
        assert_eq!(features.len(), rows * width, "features");
        assert_eq!(history.len(), history_slots * lstm_rows * servers, "history");
        assert_eq!(parameters.len(), self.shape.parameters(), "parameters");
        self.resize(rows, lstm_rows);
        let layers = self.shape.layers();

        self.lstm(layers.lstm.weights(parameters), layers.lstm.biases(parameters), history);

        // The features beside the LSTM's output, through the dense layers.
        let joined = width + hidden;
        let outputs = self.output.chunks_exact(hidden).cycle();
        for ((joined, features), output) in
            self.joined.chunks_exact_mut(joined).zip(features.chunks_exact(width)).zip(outputs)
        {
            joined[..width].copy_from_slice(features);
            joined[width..].copy_from_slice(output);
        }
        layers.dense_1.relu(parameters, &self.joined, &mut self.dense_1);
        layers.dense_2.relu(parameters, &self.dense_1, &mut self.dense_2);

        layers.head.product(parameters, &self.dense_2, &mut self.head);
        let bias = layers.head.biases(parameters);
        let heads = self.head.chunks_exact(2 + servers);
        for (head, values) in heads.zip(self.values.chunks_exact_mut(1 + servers)) {
            duel(head, bias, values);
        }
        &self.values
    }

    /// The LSTM over the histories, K × rows × M; leaves its last output in `output`.
    fn lstm(&mut self, weights: &[F], bias: &[F], history: &[F]) {
        let Shape { servers, history_slots, hidden, .. } = self.shape;
        let rows = self.lstm_rows;
        let (input, cell_size) = (servers + hidden, rows * hidden);
        self.output.fill(F::ZERO);
        self.cells[..cell_size].fill(F::ZERO);
        if rows == 1 {
            let Self { inputs, gates, cells, tanh, output, .. } = self;
            vectorised(LstmRow {
                hidden,
                weights,
                bias,
                history,
                inputs,
                gates,
                cells,
                tanh,
                output,
            });
            return;
        }
        for slot in 0..history_slots {
            let inputs = &mut self.inputs[slot * rows * input..(slot + 1) * rows * input];
            let loads = history[slot * rows * servers..].chunks_exact(servers);
            for ((inputs, load), output) in
                inputs.chunks_exact_mut(input).zip(loads).zip(self.output.chunks_exact(hidden))
            {
                inputs[..servers].copy_from_slice(load);
                inputs[servers..].copy_from_slice(output);
            }
            let gates = &mut self.gates[slot * 4 * cell_size..(slot + 1) * 4 * cell_size];
            product(inputs, input, weights, gates, 4 * hidden);
            vectorised(Gates { hidden, bias, sums: gates });
            let (before, cell) = self.cells.split_at_mut((slot + 1) * cell_size);
            vectorised(Cell {
                hidden,
                gates,
                before: &before[slot * cell_size..],
                cell: &mut cell[..cell_size],
                tanh: &mut self.tanh[slot * cell_size..(slot + 1) * cell_size],
                output: &mut self.output,
            });
        }
    }

    /// Adds ∂L/∂(parameters) to `gradient`, given ∂L/∂Q of the last forward pass, rows × (1 + M).
    ///
    /// # Panics
    /// If the last pass shared one history among several rows (only decisions do), or a slice
    /// does not have the length its shape says.
    pub fn backward(&mut self, parameters: &[F], d_values: &[F], gradient: &mut [F]) {
        let rows = self.rows;
        assert_eq!(rows, self.lstm_rows, "rows with a history each");
        assert_eq!(d_values.len(), rows * self.shape.actions(), "d_values");
        assert_eq!(gradient.len(), self.shape.parameters(), "gradient");
        let layers = self.shape.layers();
        self.head_backward(d_values);
        layers.head.add_gradient(&self.dense_2, &self.d_head, gradient);
        self.dense_backward(&layers, parameters, gradient);
        self.lstm_backward(layers.lstm.weights(parameters));
        // The gradient of the LSTM's weights is one product over all slots.
        layers.lstm.add_gradient(&self.inputs, &self.d_gates, gradient);
    }

    /// ∂L/∂(head) into `d_head`, rows × (2 + M).
    fn head_backward(&mut self, d_values: &[F]) {
        let actions = self.shape.actions();
        self.d_head.resize(self.rows * (1 + actions), F::ZERO);
        let heads = self.d_head.chunks_exact_mut(1 + actions);
        for (d_head, d_values) in heads.zip(d_values.chunks_exact(actions)) {
            duel_backward(d_values, d_head);
        }
    }

    /// From `d_head` through both dense layers, whose gradients are added, to ∂L/∂(the LSTM's
    /// last output) in `d_output`, rows × H.
    fn dense_backward(&mut self, layers: &Layers, parameters: &[F], gradient: &mut [F]) {
        let Shape { features: width, hidden, .. } = self.shape;
        let (rows, joined) = (self.rows, width + hidden);
        self.d_dense.resize(rows * hidden, F::ZERO);
        layers.head.input_gradient(parameters, &self.d_head, &mut self.d_dense);
        vectorised(ReluBackward { output: &self.dense_2, gradient: &mut self.d_dense });
        layers.dense_2.add_gradient(&self.dense_1, &self.d_dense, gradient);

        self.d_output.resize(rows * hidden, F::ZERO);
        layers.dense_2.input_gradient(parameters, &self.d_dense, &mut self.d_output);
        std::mem::swap(&mut self.d_dense, &mut self.d_output);
        vectorised(ReluBackward { output: &self.dense_1, gradient: &mut self.d_dense });
        layers.dense_1.add_gradient(&self.joined, &self.d_dense, gradient);

        self.d_joined.resize(rows * joined, F::ZERO);
        layers.dense_1.input_gradient(parameters, &self.d_dense, &mut self.d_joined);
        let outputs = self.d_output.chunks_exact_mut(hidden);
        for (d_output, d_joined) in outputs.zip(self.d_joined.chunks_exact(joined)) {
            d_output.copy_from_slice(&d_joined[width..]);
        }
    }

    /// From `d_output` through the LSTM, from the last slot back: ∂L/∂(gate sums) of every slot
    /// into `d_gates`.
    fn lstm_backward(&mut self, weights: &[F]) {
        let Shape { servers, history_slots, hidden, .. } = self.shape;
        let cell_size = self.rows * hidden;
        let recurrent = &weights[servers * 4 * hidden..];
        self.recurrent.resize(4 * hidden * hidden, F::ZERO);
        for (row, weights) in recurrent.chunks_exact(4 * hidden).enumerate() {
            for (column, &weight) in weights.iter().enumerate() {
                self.recurrent[column * hidden + row] = weight;
            }
        }
        self.d_cell.clear();
        self.d_cell.resize(cell_size, F::ZERO);
        self.d_gates.resize(history_slots * 4 * cell_size, F::ZERO);
        for slot in (0..history_slots).rev() {
            let d_sums = &mut self.d_gates[slot * 4 * cell_size..(slot + 1) * 4 * cell_size];
            vectorised(CellBackward {
                hidden,
                gates: &self.gates[slot * 4 * cell_size..(slot + 1) * 4 * cell_size],
                before: &self.cells[slot * cell_size..(slot + 1) * cell_size],
                tanh: &self.tanh[slot * cell_size..(slot + 1) * cell_size],
                d_output: &self.d_output,
                d_cell: &mut self.d_cell,
                d_sums,
            });
            if slot > 0 {
                product(d_sums, 4 * hidden, &self.recurrent, &mut self.d_output, hidden);
            }
        }
    }
}

/// Rearranges windows (rows × K·M) as [`Histories::Each`] needs them: K × rows × M.
pub fn interleave<F: Real>(windows: &Array2<F>, servers: usize, into: &mut Vec<F>) {
    let (rows, length) = windows.dim();
    into.clear();
    into.reserve(rows * length);
    for slot in 0..length / servers {
        for row in windows.outer_iter() {
            into.extend(row.iter().skip(slot * servers).take(servers));
        }
    }
}
