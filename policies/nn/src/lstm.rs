//! The LSTM of a batch, for learning: its packed weights, and the buffers of both passes.
//!
//! Sequences lie side by side in lanes (see [`lanes`](crate::lanes)): windows of all servers, or the
//! loads of single ones.

use crate::gate::FORGET_BIAS;
use crate::lanes::{LstmBlock, LstmStates, Packed, Slots, VIRTUAL, Vectors, add_outer, add_sums};
use crate::layer::Layer;
use crate::real::Real;

/// The weights of an LSTM in the order in which they are read, forwards and backwards, and the
/// buffers of both passes, block by block: see [`LstmBlock`].
#[derive(Clone, Debug)]
pub(crate) struct LstmLanes<F> {
    layer: Layer,
    /// Numbers that a slot of a sequence brings.
    width: usize,
    slots: usize,
    hidden: usize,
    /// Outputs are the four gates of each neuron.
    packed: Packed<F>,
    bias: Vec<[F; 4]>,
    /// From the gates of all neurons to the last output.
    recurrent: Packed<F>,
    inputs: Vec<F>,
    gates: Vec<F>,
    cells: Vec<F>,
    tanh: Vec<F>,
    d_gates: Vec<F>,
    /// H, of all blocks.
    d_output: Vec<F>,
    /// H, of one block.
    d_cell: Vec<F>,
}

impl<F: Real> LstmLanes<F> {
    /// Buffers for the LSTM in `layer`, over sequences of `slots` slots.
    pub(crate) fn new(layer: &Layer, slots: usize) -> Self {
        let (inputs, outputs) = (layer.inputs(), layer.outputs());
        let hidden = outputs / 4;
        Self {
            layer: layer.clone(),
            width: inputs - hidden,
            slots,
            hidden,
            packed: Packed::new(inputs, outputs),
            bias: vec![[F::ZERO; 4]; hidden],
            recurrent: Packed::new(outputs, hidden),
            inputs: Vec::new(),
            gates: Vec::new(),
            cells: Vec::new(),
            tanh: Vec::new(),
            d_gates: Vec::new(),
            d_output: Vec::new(),
            d_cell: Vec::new(),
        }
    }

    /// Makes room for a forward pass of so many sequences.
    pub(crate) fn resize(&mut self, sequences: usize) {
        let Self { width, slots, hidden, .. } = *self;
        let lanes = sequences.next_multiple_of(VIRTUAL);
        grow(&mut self.inputs, (slots + 1) * (width + hidden) * lanes);
        grow(&mut self.gates, slots * 4 * hidden * lanes);
        grow(&mut self.cells, (slots + 1) * hidden * lanes);
        grow(&mut self.tanh, slots * hidden * lanes);
    }

    /// Makes room for a backward pass of so many lanes.
    pub(crate) fn resize_backward(&mut self, lanes: usize) {
        grow(&mut self.d_gates, self.slots * 4 * self.hidden * lanes);
        grow(&mut self.d_output, self.hidden * lanes);
        grow(&mut self.d_cell, self.hidden * VIRTUAL);
    }

    #[inline(always)]
    pub(crate) fn pack_forward(&mut self, parameters: &[F]) {
        let Self { layer, hidden, packed, bias, .. } = self;
        let hidden = *hidden;
        let weights = layer.weights(parameters);
        let columns = 4 * hidden;
        packed
            .pack_each(|input, output| weights[input * columns + output % 4 * hidden + output / 4]);
        let biases = layer.biases(parameters);
        for (neuron, gates) in bias.iter_mut().enumerate() {
            *gates = std::array::from_fn(|gate| biases[gate * hidden + neuron]);
            gates[2] += F::of(FORGET_BIAS);
        }
    }

    #[inline(always)]
    pub(crate) fn pack_backward(&mut self, parameters: &[F]) {
        let hidden = self.hidden;
        let weights = &self.layer.weights(parameters)[self.width * 4 * hidden..];
        self.recurrent.pack_each(|input, output| {
            weights[output * 4 * hidden + input % 4 * hidden + input / 4]
        });
    }

    /// A forward pass of a block. `load(lane, at)` is number `at` of a lane's sequence, slot by slot.
    #[inline(always)]
    pub(crate) fn forward<const W: usize>(
        &mut self,
        block: usize,
        load: impl Fn(usize, usize) -> F,
    ) {
        let Self { width, slots, hidden, .. } = *self;
        let range = |size: usize| block * size..(block + 1) * size;
        let gates = range(slots * 4 * hidden);
        let inputs = &mut self.inputs.as_chunks_mut::<W>().0[range((slots + 1) * (width + hidden))];
        for slot in 0..slots {
            for number in 0..width {
                let lanes = &mut inputs[slot * (width + hidden) + number];
                for (lane, input) in lanes.iter_mut().enumerate() {
                    *input = load(lane, slot * width + number);
                }
            }
        }
        let mut block = LstmBlock {
            servers: width,
            hidden,
            inputs,
            gates: self.gates.as_chunks_mut::<W>().0[gates].as_chunks_mut::<4>().0,
            cells: &mut self.cells.as_chunks_mut::<W>().0[range((slots + 1) * hidden)],
            tanh: &mut self.tanh.as_chunks_mut::<W>().0[range(slots * hidden)],
        };
        block.forward(&self.packed, &self.bias);
    }

    /// The last output of a block, H.
    #[inline(always)]
    pub(crate) fn last<const W: usize>(&self, block: usize) -> &[[F; W]] {
        let Self { width, slots, hidden, .. } = *self;
        let size = width + hidden;
        let from = (block * (slots + 1) + slots) * size + width;
        &self.inputs.as_chunks::<W>().0[from..][..hidden]
    }

    /// ∂L/∂(last output), H of each block, and room for H of one block.
    #[inline(always)]
    pub(crate) fn d_last<const W: usize>(&mut self) -> (&mut [[F; W]], &mut [[F; W]]) {
        let d_rows = &mut self.d_cell.as_chunks_mut::<W>().0[..self.hidden];
        (self.d_output.as_chunks_mut::<W>().0, d_rows)
    }

    /// Back through a block, from its ∂L/∂(last output) to the sums of its gates.
    #[inline(always)]
    pub(crate) fn backward<const W: usize>(&mut self, block: usize) {
        let Self { slots, hidden, .. } = *self;
        let range = |size: usize| block * size..(block + 1) * size;
        let gates = range(slots * 4 * hidden);
        let states = LstmStates {
            hidden,
            gates: self.gates.as_chunks::<W>().0[gates.clone()].as_chunks::<4>().0,
            before: &self.cells.as_chunks::<W>().0[range((slots + 1) * hidden)][..slots * hidden],
            tanh: &self.tanh.as_chunks::<W>().0[range(slots * hidden)],
        };
        states.backward(
            &self.recurrent,
            &mut self.d_output.as_chunks_mut::<W>().0[range(hidden)],
            &mut self.d_cell.as_chunks_mut::<W>().0[..hidden],
            self.d_gates.as_chunks_mut::<W>().0[gates].as_chunks_mut::<4>().0,
        );
    }

    /// Adds ∂L/∂(weights) and ∂L/∂(bias) of the first `blocks` blocks to the gradient of a network.
    #[inline(always)]
    pub(crate) fn add_gradient<const W: usize, const S: usize, const T: usize>(
        &self,
        blocks: usize,
        gradient: &mut [F],
    ) {
        let Self { width, slots: steps, hidden, .. } = *self;
        let slots = Slots { blocks, slots: steps, first: 0 };
        let inputs = |offset| Vectors {
            all: self.inputs.as_chunks::<W>().0,
            block: (steps + 1) * (width + hidden),
            stride: width + hidden,
            offset,
        };
        let d_gates = Vectors {
            all: self.d_gates.as_chunks::<W>().0,
            block: steps * 4 * hidden,
            stride: 4 * hidden,
            offset: 0,
        };
        let column = |output: usize| output % 4 * hidden + output / 4;
        let weights = &mut gradient[self.layer.weight.range.clone()];
        let (d, outputs) = (d_gates, 4 * hidden);
        add_outer::<F, W, S, T>(slots, (inputs(0), width), (d, outputs), |input, output, sum| {
            weights[input * outputs + column(output)] += sum;
        });
        // Before the first slot the output was zero.
        let later = Slots { first: 1, ..slots };
        let recurrent = &mut weights[width * outputs..];
        let x = (inputs(width), hidden);
        add_outer::<F, W, S, T>(later, x, (d, outputs), |input, output, sum| {
            recurrent[input * outputs + column(output)] += sum;
        });
        let bias = &mut gradient[self.layer.bias.range.clone()];
        add_sums(slots, (d, outputs), |output, sum| bias[column(output)] += sum);
    }
}

/// Makes a buffer at least that long. What is in it stays, and is written before it is read.
pub(crate) fn grow<F: Real>(buffer: &mut Vec<F>, length: usize) {
    if buffer.len() < length {
        buffer.resize(length, F::ZERO);
    }
}
