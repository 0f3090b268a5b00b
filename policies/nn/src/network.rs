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

use std::ops::Range;

use ndarray::Array2;
use ndarray_rand::rand_distr::{Distribution, Normal, Uniform};
use rand::Rng;

use crate::kernels::{
    AddRows, BiasRelu, Cell, CellBackward, Decisions, Gates, LstmRow, ReluBackward, RowBuffers,
    RowInput, SIDE_BY_SIDE, vectorised,
};
use crate::product::{add_weight_gradient, input_gradient, product};
use crate::real::Real;

/// The sizes of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// F: features of o.
    pub features: usize,
    /// M: width of a row of history.
    pub servers: usize,
    /// K: rows of history, at least 1.
    pub history_slots: usize,
    /// H: width of the LSTM and of both dense layers, at least 1.
    pub hidden: usize,
}

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

/// The tensors by name; see [`Shape::tensors`].
#[derive(Clone, Debug)]
struct Tensors {
    lstm: Tensor,
    lstm_bias: Tensor,
    dense_1: Tensor,
    dense_1_bias: Tensor,
    dense_2: Tensor,
    dense_2_bias: Tensor,
    head: Tensor,
    head_bias: Tensor,
}

impl Shape {
    /// 1 + M: Q has a column for each action.
    pub fn actions(&self) -> usize {
        self.servers + 1
    }

    fn layout(&self) -> Tensors {
        let Self { features, servers, hidden, .. } = *self;
        let mut end = 0;
        let mut tensor = |name, rows, columns| {
            let start = end;
            end += rows * columns;
            Tensor { name, shape: [rows, columns], range: start..end }
        };
        Tensors {
            lstm: tensor("lstm.weight", servers + hidden, 4 * hidden),
            lstm_bias: tensor("lstm.bias", 1, 4 * hidden),
            dense_1: tensor("dense_1.weight", features + hidden, hidden),
            dense_1_bias: tensor("dense_1.bias", 1, hidden),
            dense_2: tensor("dense_2.weight", hidden, hidden),
            dense_2_bias: tensor("dense_2.bias", 1, hidden),
            head: tensor("head.weight", hidden, 2 + servers),
            head_bias: tensor("head.bias", 1, 2 + servers),
        }
    }

    /// The parts of the parameters, in order. Columns of the LSTM: the gates i, j (candidate),
    /// f (to which 1 is added), o, H each; its rows: the load of each server, then the last
    /// output. Rows of the first dense layer: the features, then the LSTM's output. Columns of
    /// the head: the value, then an advantage for each action.
    pub fn tensors(&self) -> [Tensor; 8] {
        let Tensors {
            lstm,
            lstm_bias,
            dense_1,
            dense_1_bias,
            dense_2,
            dense_2_bias,
            head,
            head_bias,
        } = self.layout();
        [lstm, lstm_bias, dense_1, dense_1_bias, dense_2, dense_2_bias, head, head_bias]
    }

    /// How many parameters one network has:
    /// 4H(M+H+1) + H(H+F+1) + H(H+1) + (H+1) + (1+M)(H+1).
    pub fn parameters(&self) -> usize {
        self.layout().head_bias.range.end
    }

    /// Floating-point operations of one forward pass for one row, a multiply-add counting two.
    pub fn forward_operations(&self) -> usize {
        let Self { features, servers, history_slots, hidden } = *self;
        let lstm = history_slots * 4 * hidden * (servers + hidden);
        2 * (lstm + hidden * (features + hidden) + hidden * hidden + hidden * (2 + servers))
    }
}

/// How weights are drawn.
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

/// Draws the parameters of a network.
pub fn initial_parameters<F: Real>(shape: &Shape, initial: Initial, rng: &mut impl Rng) -> Vec<F> {
    let mut parameters = vec![F::ZERO; shape.parameters()];
    for Tensor { name, shape: [rows, columns], range } in shape.tensors() {
        let values = &mut parameters[range];
        let is_bias = name.ends_with("bias");
        let is_lstm = name.starts_with("lstm");
        match initial {
            Initial::Normal { biases, .. } if is_bias && !is_lstm => values.fill(F::of(biases)),
            Initial::Normal { weights, .. } if !is_bias && !is_lstm => {
                // A standard deviation is refused by the caller if it is none.
                if let Ok(normal) = Normal::new(0.0, weights) {
                    values.fill_with(|| F::of(normal.sample(rng)));
                }
            }
            _ if is_bias => {}
            _ => {
                // All four gates have the same inputs and H outputs each.
                let outputs = if is_lstm { columns / 4 } else { columns };
                glorot(values, rows, outputs, rng);
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

/// The histories that rows of a batch see.
#[derive(Clone, Copy, Debug)]
pub enum Histories<'a, F> {
    /// All rows see this window of K × M: the LSTM runs once.
    Shared(&'a [F]),
    /// Each row its own: K × rows × M, the oldest slot of all rows first.
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

/// The dueling head, eq. (15): Q = V + A − mean A, of sums and biases for V, then each A.
fn duel<F: Real>(sums: &[F], bias: &[F], values: &mut [F]) {
    let value = sums[0] + bias[0];
    let share = F::ONE / F::of(values.len() as f64);
    let mut mean = F::ZERO;
    for ((q, &advantage), &bias) in values.iter_mut().zip(&sums[1..]).zip(&bias[1..]) {
        *q = advantage + bias;
        mean += *q;
    }
    for q in values {
        *q = value + (*q - mean * share);
    }
}

/// Decisions of networks, each row by a network of its own: a forward pass without the way back.
#[derive(Clone, Debug)]
pub struct Decider {
    layout: Tensors,
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
    /// For networks of `shape`.
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
        Self { layout: shape.layout(), buffers: std::array::from_fn(|_| buffers()) }
    }

    /// Q of `rows` rows, `row` giving each, into `values`, rows × (1 + M). The same bits as
    /// [`Workspace::forward`] of one row.
    ///
    /// # Panics
    /// If a slice does not have the length its shape says.
    pub fn decide<'r>(&mut self, rows: usize, row: impl Fn(usize) -> Row<'r>, values: &mut [f32]) {
        if rows == 0 {
            return;
        }
        let actions = values.len() / rows;
        for (group, values) in values.chunks_mut(SIDE_BY_SIDE * actions).enumerate() {
            let first = group * SIDE_BY_SIDE;
            let count = values.len() / actions;
            // What is beyond the last row is not looked at.
            let inputs: [_; SIDE_BY_SIDE] =
                std::array::from_fn(|n| self.input(row(first + n.min(count - 1))));
            let buffers = &mut self.buffers[..count];
            pulp::Arch::new().dispatch(Decisions { rows: &inputs[..count], buffers });
            for ((values, buffers), n) in
                values.chunks_exact_mut(actions).zip(&self.buffers).zip(first..)
            {
                let bias = &row(n).parameters[self.layout.head_bias.range.clone()];
                duel(&buffers.head, bias, values);
            }
        }
    }

    fn input<'r>(&self, row: Row<'r>) -> RowInput<'r> {
        let of = |tensor: &Tensor| &row.parameters[tensor.range.clone()];
        let layout = &self.layout;
        RowInput {
            lstm: of(&layout.lstm),
            lstm_bias: of(&layout.lstm_bias),
            dense_1: of(&layout.dense_1),
            dense_1_bias: of(&layout.dense_1_bias),
            dense_2: of(&layout.dense_2),
            dense_2_bias: of(&layout.dense_2_bias),
            head: of(&layout.head),
            features: row.features,
            history: row.history,
        }
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
    /// If a slice does not have the length its shape says.
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
        let layout = self.shape.layout();
        let of = |tensor: &Tensor| &parameters[tensor.range.clone()];

        self.lstm(of(&layout.lstm), of(&layout.lstm_bias), history);

        // Dense layers.
        let joined = width + hidden;
        let outputs = self.output.chunks_exact(hidden).cycle();
        for ((joined, features), output) in
            self.joined.chunks_exact_mut(joined).zip(features.chunks_exact(width)).zip(outputs)
        {
            joined[..width].copy_from_slice(features);
            joined[width..].copy_from_slice(output);
        }
        product(&self.joined, joined, of(&layout.dense_1), &mut self.dense_1, hidden);
        vectorised(BiasRelu { bias: of(&layout.dense_1_bias), sums: &mut self.dense_1 });
        product(&self.dense_1, hidden, of(&layout.dense_2), &mut self.dense_2, hidden);
        vectorised(BiasRelu { bias: of(&layout.dense_2_bias), sums: &mut self.dense_2 });

        let columns = 2 + servers;
        product(&self.dense_2, hidden, of(&layout.head), &mut self.head, columns);
        let bias = of(&layout.head_bias);
        for (head, values) in
            self.head.chunks_exact(columns).zip(self.values.chunks_exact_mut(1 + servers))
        {
            duel(head, bias, values);
        }
        &self.values
    }

    /// The LSTM over the histories, K × rows × M; its last output is then in `output`.
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
        let Shape { features: width, servers, history_slots, hidden } = self.shape;
        let rows = self.rows;
        assert_eq!(rows, self.lstm_rows, "rows with a history each");
        assert_eq!(d_values.len(), rows * (1 + servers), "d_values");
        assert_eq!(gradient.len(), self.shape.parameters(), "gradient");
        let layout = self.shape.layout();
        let of = |tensor: &Tensor| &parameters[tensor.range.clone()];

        // Head: ∂Q_a/∂V = 1, ∂Q_a/∂A_b = [a = b] − 1/(1+M).
        let columns = 2 + servers;
        let share = F::ONE / F::of((1 + servers) as f64);
        self.d_head.resize(rows * columns, F::ZERO);
        for (d_head, d_values) in
            self.d_head.chunks_exact_mut(columns).zip(d_values.chunks_exact(1 + servers))
        {
            let mut sum = F::ZERO;
            for &d in d_values {
                sum += d;
            }
            d_head[0] = sum;
            for (d_head, &d) in d_head[1..].iter_mut().zip(d_values) {
                *d_head = d - sum * share;
            }
        }
        let d_head = &self.d_head;
        let mut into = |tensor: &Tensor, x: &[F], inner: usize, d: &[F], bias: &Tensor| {
            let columns = tensor.shape[1];
            add_weight_gradient(x, inner, d, columns, &mut gradient[tensor.range.clone()]);
            vectorised(AddRows { from: d, sums: &mut gradient[bias.range.clone()] });
        };
        into(&layout.head, &self.dense_2, hidden, d_head, &layout.head_bias);

        // Dense layers.
        self.d_dense.resize(rows * hidden, F::ZERO);
        input_gradient(d_head, columns, of(&layout.head), &mut self.d_dense, hidden);
        vectorised(ReluBackward { output: &self.dense_2, gradient: &mut self.d_dense });
        into(&layout.dense_2, &self.dense_1, hidden, &self.d_dense, &layout.dense_2_bias);
        self.d_output.resize(rows * hidden, F::ZERO);
        input_gradient(&self.d_dense, hidden, of(&layout.dense_2), &mut self.d_output, hidden);
        std::mem::swap(&mut self.d_dense, &mut self.d_output);
        vectorised(ReluBackward { output: &self.dense_1, gradient: &mut self.d_dense });
        let joined = width + hidden;
        into(&layout.dense_1, &self.joined, joined, &self.d_dense, &layout.dense_1_bias);
        self.d_joined.resize(rows * joined, F::ZERO);
        input_gradient(&self.d_dense, hidden, of(&layout.dense_1), &mut self.d_joined, joined);
        for (d_output, d_joined) in
            self.d_output.chunks_exact_mut(hidden).zip(self.d_joined.chunks_exact(joined))
        {
            d_output.copy_from_slice(&d_joined[width..]);
        }

        // LSTM, from the last slot back; its weights' gradient then in one product over all.
        let recurrent = &of(&layout.lstm)[servers * 4 * hidden..];
        self.recurrent.resize(4 * hidden * hidden, F::ZERO);
        for (row, weights) in recurrent.chunks_exact(4 * hidden).enumerate() {
            for (column, &weight) in weights.iter().enumerate() {
                self.recurrent[column * hidden + row] = weight;
            }
        }
        let cell_size = rows * hidden;
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
        into(&layout.lstm, &self.inputs, servers + hidden, &self.d_gates, &layout.lstm_bias);
    }
}

/// The rows of `histories` (K × M each, one behind the other) as [`Histories::Each`] wants them:
/// K × rows × M.
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
