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
//!
//! A [`Workspace`] is for learning: it computes many rows of one network side by side. For single
//! rows, and rows with networks of their own, there is [`Decider`](crate::Decider).

use pulp::{Simd, WithSimd};

use crate::head::{duel_backward, duel_lane};
use crate::lanes::{
    Packed, Slots, VIRTUAL, Vectors, add_outer, add_sums, bias_relu, multiply, relu_backward,
};
use crate::layer::Layer;
use crate::lstm::{LstmLanes, grow};
use crate::real::Real;
use crate::shape::{Layers, Shape};

/// The load histories of the rows of a batch: windows of K × M, the oldest slot first, one after
/// the other.
#[derive(Clone, Copy, Debug)]
pub enum Histories<'a, F> {
    /// Each row has its own, in order.
    Each(&'a [F]),
    /// All rows see this one: the LSTM runs once.
    Shared(&'a [F]),
    /// Rows share windows, and the LSTM runs once for each: the windows, and the number of each
    /// row's.
    Of(&'a [F], &'a [u32]),
}

impl<'a, F> Histories<'a, F> {
    fn windows(&self) -> &'a [F] {
        let (Self::Each(windows) | Self::Shared(windows) | Self::Of(windows, _)) = *self;
        windows
    }

    /// The window of a row.
    #[inline(always)]
    fn of(&self, row: usize) -> usize {
        match self {
            Self::Each(_) => row,
            Self::Shared(_) => 0,
            Self::Of(_, of) => of[row] as usize,
        }
    }
}

/// Buffers of one forward and backward pass; they grow to the largest batch.
#[derive(Clone, Debug)]
pub struct Workspace<F> {
    shape: Shape,
    layers: Layers,
    rows: usize,
    /// The window of each row of the last forward pass; without them each row has its own.
    window_of: Vec<u32>,
    /// Windows of the last forward pass.
    windows: usize,
    packed: PackedNetwork<F>,
    lstm: LstmLanes<F>,
    dense: DenseLanes<F>,
    /// Q, rows × (1 + M).
    values: Vec<F>,
}

/// The layers after the LSTM in the order in which they are read, forwards and backwards.
#[derive(Clone, Debug)]
struct PackedNetwork<F> {
    dense_1: Packed<F>,
    dense_2: Packed<F>,
    head: Packed<F>,
    /// From ∂L/∂(sums) to ∂L/∂(inputs): of the first dense layer the LSTM's output only.
    dense_1_back: Packed<F>,
    dense_2_back: Packed<F>,
    head_back: Packed<F>,
}

/// Buffers of the layers after the LSTM, block by block.
#[derive(Clone, Debug, Default)]
struct DenseLanes<F> {
    /// Features beside the LSTM's last output, F + H.
    joined: Vec<F>,
    /// H.
    dense_1: Vec<F>,
    /// H.
    dense_2: Vec<F>,
    /// Value and advantages, 2 + M.
    head: Vec<F>,
    /// 2 + M.
    d_head: Vec<F>,
    /// H each.
    d_dense_1: Vec<F>,
    d_dense_2: Vec<F>,
}

impl<F: Real> PackedNetwork<F> {
    fn new(layers: &Layers, hidden: usize) -> Self {
        let forwards = |layer: &Layer| Packed::new(layer.inputs(), layer.outputs());
        Self {
            dense_1: forwards(&layers.dense_1),
            dense_2: forwards(&layers.dense_2),
            head: forwards(&layers.head),
            dense_1_back: Packed::new(hidden, hidden),
            dense_2_back: Packed::new(hidden, hidden),
            head_back: Packed::new(layers.head.outputs(), hidden),
        }
    }

    #[inline(always)]
    fn pack_forward(&mut self, layers: &Layers, parameters: &[F]) {
        let each = [
            (&layers.dense_1, &mut self.dense_1),
            (&layers.dense_2, &mut self.dense_2),
            (&layers.head, &mut self.head),
        ];
        for (layer, packed) in each {
            let (weights, columns) = (layer.weights(parameters), layer.outputs());
            packed.pack(|input| &weights[input * columns..(input + 1) * columns]);
        }
    }

    #[inline(always)]
    fn pack_backward(&mut self, layers: &Layers, shape: &Shape, parameters: &[F]) {
        let each = [
            (&layers.dense_1, shape.features, &mut self.dense_1_back),
            (&layers.dense_2, 0, &mut self.dense_2_back),
            (&layers.head, 0, &mut self.head_back),
        ];
        for (layer, first, packed) in each {
            let columns = layer.outputs();
            let weights = &layer.weights(parameters)[first * columns..];
            packed.pack_each(|input, output| weights[output * columns + input]);
        }
    }
}

/// Runs a pass with blocks as wide as the processor's vectors like them.
macro_rules! wide {
    ($simd:ident, $call:ident($($argument:expr),*)) => {
        if $simd::F32_LANES >= 16 {
            $call::<F, 32, 16, 4>($($argument),*)
        } else {
            $call::<F, 16, 8, 3>($($argument),*)
        }
    };
}

/// A forward pass.
struct Forward<'p, F> {
    workspace: &'p mut Workspace<F>,
    parameters: &'p [F],
    features: &'p [F],
    histories: Histories<'p, F>,
}

impl<F: Real> WithSimd for Forward<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        wide!(S, forward(self));
    }
}

#[inline(always)]
fn forward<F: Real, const W: usize, const S: usize, const T: usize>(pass: Forward<'_, F>) {
    let Forward { workspace, parameters, features, histories } = pass;
    let Workspace { shape, layers, rows, windows, packed, lstm, dense, values, .. } = workspace;
    let Shape { features: width, servers, .. } = *shape;
    packed.pack_forward(layers, parameters);
    lstm.pack_forward(parameters);
    let loads = histories.windows();
    for block in 0..windows.div_ceil(W) {
        lstm.forward::<W>(block, |lane, at| {
            let of = (block * W + lane) * shape.window() + at;
            loads.get(of).copied().unwrap_or(F::ZERO)
        });
    }
    for block in 0..rows.div_ceil(W) {
        let [joined, dense_1, dense_2, head] = dense.forward_block::<W>(block, shape);
        for lane in 0..W {
            let row = block * W + lane;
            for (at, joined) in joined[..width].iter_mut().enumerate() {
                joined[lane] = features.get(row * width + at).copied().unwrap_or(F::ZERO);
            }
        }
        // The LSTM's last output.
        if let Histories::Each(_) = histories {
            joined[width..].copy_from_slice(lstm.last(block));
        } else {
            for lane in 0..W.min(*rows - block * W) {
                let window = histories.of(block * W + lane);
                let from = lstm.last::<W>(window / W);
                for (joined, from) in joined[width..].iter_mut().zip(from) {
                    joined[lane] = from[window % W];
                }
            }
        }
        multiply(&packed.dense_1, joined, dense_1);
        bias_relu(layers.dense_1.biases(parameters), dense_1);
        multiply(&packed.dense_2, dense_1, dense_2);
        bias_relu(layers.dense_2.biases(parameters), dense_2);
        multiply(&packed.head, dense_2, head);
        let bias = layers.head.biases(parameters);
        for lane in 0..W.min(*rows - block * W) {
            let row = block * W + lane;
            let values = &mut values[row * (1 + servers)..(row + 1) * (1 + servers)];
            duel_lane(head, bias, lane, values);
        }
    }
}

/// A backward pass.
struct Backward<'p, F> {
    workspace: &'p mut Workspace<F>,
    parameters: &'p [F],
    d_values: &'p [F],
    gradient: &'p mut [F],
}

impl<F: Real> WithSimd for Backward<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        wide!(S, backward(self));
    }
}

#[inline(always)]
fn backward<F: Real, const W: usize, const S: usize, const T: usize>(pass: Backward<'_, F>) {
    let Backward { workspace, parameters, d_values, gradient } = pass;
    let Workspace { shape, layers, packed, lstm, dense, window_of, .. } = workspace;
    let Shape { servers, hidden, .. } = *shape;
    let rows = d_values.len() / shape.actions();
    packed.pack_backward(layers, shape, parameters);
    lstm.pack_backward(parameters);
    let blocks = rows.div_ceil(W);
    // The windows that these rows see.
    let windows = match window_of[..rows.min(window_of.len())].iter().max() {
        Some(&last) => last as usize + 1,
        None => rows,
    };
    let lstm_blocks = windows.div_ceil(W);
    lstm.resize_backward(lstm_blocks * W);
    dense.resize_backward(blocks * W, shape);
    if !window_of.is_empty() {
        lstm.d_last::<W>().0.fill([F::ZERO; W]);
    }
    let mut d_row = vec![F::ZERO; 2 + servers];
    for block in 0..blocks {
        let range = |size: usize| block * size..(block + 1) * size;
        let d_head = &mut dense.d_head.as_chunks_mut::<W>().0[range(2 + servers)];
        for lane in 0..W {
            let row = block * W + lane;
            match d_values.get(row * (1 + servers)..(row + 1) * (1 + servers)) {
                Some(d_values) => duel_backward(d_values, &mut d_row),
                None => d_row.fill(F::ZERO),
            }
            for (d_head, &d) in d_head.iter_mut().zip(&d_row) {
                d_head[lane] = d;
            }
        }
        let d_dense_2 = &mut dense.d_dense_2.as_chunks_mut::<W>().0[range(hidden)];
        multiply(&packed.head_back, d_head, d_dense_2);
        relu_backward(&dense.dense_2.as_chunks::<W>().0[range(hidden)], d_dense_2);
        let d_dense_1 = &mut dense.d_dense_1.as_chunks_mut::<W>().0[range(hidden)];
        multiply(&packed.dense_2_back, d_dense_2, d_dense_1);
        relu_backward(&dense.dense_1.as_chunks::<W>().0[range(hidden)], d_dense_1);
        let (d_outputs, d_rows) = lstm.d_last::<W>();
        if window_of.is_empty() {
            multiply(&packed.dense_1_back, d_dense_1, &mut d_outputs[range(hidden)]);
            continue;
        }
        // Rows that share a window add to its gradient.
        multiply(&packed.dense_1_back, d_dense_1, d_rows);
        for lane in 0..W.min(rows - block * W) {
            let window = window_of[block * W + lane] as usize;
            let d_outputs = &mut d_outputs[window / W * hidden..][..hidden];
            for (d_output, d_row) in d_outputs.iter_mut().zip(&*d_rows) {
                d_output[window % W] += d_row[lane];
            }
        }
    }
    for block in 0..lstm_blocks {
        lstm.backward::<W>(block);
    }

    // The gradients of weights and biases, layer by layer.
    lstm.add_gradient::<W, S, T>(lstm_blocks, gradient);

    let slots = Slots { blocks, slots: 1, first: 0 };
    let each = [
        (&layers.dense_1, &dense.joined, &dense.d_dense_1),
        (&layers.dense_2, &dense.dense_1, &dense.d_dense_2),
        (&layers.head, &dense.dense_2, &dense.d_head),
    ];
    for (layer, x, d) in each {
        let of = |all, block| Vectors { all, block, stride: 0, offset: 0 };
        let (inputs, outputs) = (layer.inputs(), layer.outputs());
        let x = of(x.as_chunks::<W>().0, inputs);
        let d = of(d.as_chunks::<W>().0, outputs);
        let weights = &mut gradient[layer.weight.range.clone()];
        add_outer::<F, W, S, T>(slots, (x, inputs), (d, outputs), |input, output, sum| {
            weights[input * outputs + output] += sum;
        });
        let bias = &mut gradient[layer.bias.range.clone()];
        add_sums(slots, (d, outputs), |output, sum| bias[output] += sum);
    }
}

impl<F: Real> DenseLanes<F> {
    fn resize(&mut self, lanes: usize, shape: &Shape) {
        let Shape { features, servers, hidden, .. } = *shape;
        let sized = |buffer: &mut Vec<F>, length| grow(buffer, length * lanes);
        sized(&mut self.joined, features + hidden);
        sized(&mut self.dense_1, hidden);
        sized(&mut self.dense_2, hidden);
        sized(&mut self.head, 2 + servers);
    }

    fn resize_backward(&mut self, lanes: usize, shape: &Shape) {
        let sized = |buffer: &mut Vec<F>, length| grow(buffer, length * lanes);
        sized(&mut self.d_head, 2 + shape.servers);
        sized(&mut self.d_dense_1, shape.hidden);
        sized(&mut self.d_dense_2, shape.hidden);
    }

    /// `joined`, `dense_1`, `dense_2` and `head` of a block.
    #[inline(always)]
    fn forward_block<const W: usize>(&mut self, block: usize, shape: &Shape) -> [&mut [[F; W]]; 4] {
        let Shape { features, servers, hidden, .. } = *shape;
        let Self { joined, dense_1, dense_2, head, .. } = self;
        let each = [(joined, features + hidden), (dense_1, hidden), (dense_2, hidden)];
        let [joined, dense_1, dense_2] =
            each.map(|(buffer, size)| &mut buffer.as_chunks_mut::<W>().0[block * size..][..size]);
        let size = 2 + servers;
        [joined, dense_1, dense_2, &mut head.as_chunks_mut::<W>().0[block * size..][..size]]
    }
}

impl<F: Real> Workspace<F> {
    /// Buffers for networks of `shape`.
    pub fn new(shape: Shape) -> Self {
        let layers = shape.layers();
        Self {
            packed: PackedNetwork::new(&layers, shape.hidden),
            shape,
            rows: 0,
            window_of: Vec::new(),
            windows: 0,
            lstm: LstmLanes::new(&layers.lstm, shape.history_slots),
            dense: DenseLanes::default(),
            values: Vec::new(),
            layers,
        }
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
        let shape = self.shape;
        let rows = features.len() / shape.features;
        let windows = histories.windows().len() / shape.window();
        assert_eq!(features.len(), rows * shape.features, "features");
        assert_eq!(histories.windows().len(), windows * shape.window(), "history");
        assert_eq!(parameters.len(), shape.parameters(), "parameters");
        assert!((0..rows).all(|row| histories.of(row) < windows), "windows");
        self.window_of.clear();
        if !matches!(histories, Histories::Each(_)) {
            self.window_of.extend((0..rows).map(|row| histories.of(row) as u32));
        }
        (self.rows, self.windows) = (rows, windows);
        let lanes = |count: usize| count.next_multiple_of(VIRTUAL);
        self.lstm.resize(windows);
        self.dense.resize(lanes(rows), &shape);
        self.values.resize(rows * shape.actions(), F::ZERO);
        let pass = Forward { workspace: self, parameters, features, histories };
        pulp::Arch::new().dispatch(pass);
        &self.values
    }

    /// Adds ∂L/∂(parameters) to `gradient`, given ∂L/∂Q of the first rows of the last forward pass,
    /// rows × (1 + M). The loss does not depend on the rows after them.
    ///
    /// # Panics
    /// If there are more rows than in the last pass, or a slice does not have the length that the
    /// shape requires.
    pub fn backward(&mut self, parameters: &[F], d_values: &[F], gradient: &mut [F]) {
        let rows = d_values.len() / self.shape.actions();
        assert!(rows <= self.rows, "rows");
        assert_eq!(d_values.len(), rows * self.shape.actions(), "d_values");
        assert_eq!(gradient.len(), self.shape.parameters(), "gradient");
        assert_eq!(parameters.len(), self.shape.parameters(), "parameters");
        if rows > 0 {
            let pass = Backward { workspace: self, parameters, d_values, gradient };
            pulp::Arch::new().dispatch(pass);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::Rng;

    use super::*;
    use crate::stream;

    /// Q and gradient of a batch, in blocks of W.
    fn pass<const W: usize, const S: usize, const T: usize>(
        shape: Shape,
        [parameters, features, windows, d_values]: [&[f32]; 4],
        window_of: &[u32],
    ) -> [Vec<u32>; 2] {
        let mut workspace = Workspace::new(shape);
        let histories = Histories::Of(windows, window_of);
        // For the sizes of its buffers; then once more in blocks of the width that is asked for.
        workspace.forward(parameters, features, histories);
        let pass = Forward { workspace: &mut workspace, parameters, features, histories };
        forward::<f32, W, S, T>(pass);
        let mut gradient = vec![0.0; shape.parameters()];
        let pass =
            Backward { workspace: &mut workspace, parameters, d_values, gradient: &mut gradient };
        backward::<f32, W, S, T>(pass);
        [workspace.values(), &gradient].map(|all| all.iter().map(|x| x.to_bits()).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        /// A processor with wide vectors computes the bits that one with narrow vectors does.
        #[test]
        fn the_width_of_vectors_changes_no_bit(
            features in 1_usize..10,
            servers in 1_usize..7,
            hidden in 1_usize..22,
            rows in 1_usize..100,
            windows in 1_usize..100,
            seed in any::<u64>(),
        ) {
            let shape = Shape { features, servers, history_slots: 3, hidden };
            let mut rng = stream(seed, 0);
            let mut numbers = |count: usize| -> Vec<f32> {
                (0..count).map(|_| rng.random_range(-0.5..0.5)).collect()
            };
            let parameters = numbers(shape.parameters());
            let (of_rows, of_windows) = (numbers(rows * features), numbers(windows * shape.window()));
            let d_values = numbers((rows - rows / 3) * shape.actions());
            let window_of: Vec<u32> = (0..rows).map(|_| rng.random_range(0..windows as u32)).collect();
            let numbers = [&parameters[..], &of_rows, &of_windows, &d_values];
            let wide = pass::<32, 16, 4>(shape, numbers, &window_of);
            prop_assert_eq!(wide, pass::<16, 8, 3>(shape, numbers, &window_of));
        }
    }
}
