//! Decisions of a network over servers: a forward pass that keeps nothing for a backward pass.

use pulp::{NullaryFnOnce, Simd, WithSimd};

use super::batch::{Offsets, SetBatch};
use super::network::Dense;
use super::shape::SetShape;
use crate::gate::Gate;
use crate::kernels::{
    Cell, Gates, load, load_biases, neurons_cell, neurons_output, vectorised_for,
};
use crate::rows::add_product;

/// Computes Q of batches, one row alone or all rows of a slot.
///
/// The LSTM runs side by side for the servers of all slots, a vector of neurons at a time; the
/// layers after it are those of [`SetWorkspace`](super::SetWorkspace).
#[derive(Clone, Debug)]
pub struct SetDecider {
    dense: Dense<f32>,
    memory: Memory,
}

/// Buffers of the LSTM, for all servers.
#[derive(Clone, Debug, Default)]
struct Memory {
    /// The load and the last output, servers × (1 + L): of a slot, and of the one after it.
    inputs: [Vec<f32>; 2],
    /// Servers × L: before a slot and after it.
    cells: [Vec<f32>; 2],
    /// Servers × 4L.
    gates: Vec<f32>,
    /// Servers × L.
    tanh: Vec<f32>,
    /// Servers × L.
    outputs: Vec<f32>,
}

impl SetDecider {
    /// Buffers for networks of `shape`.
    pub fn new(shape: SetShape) -> Self {
        Self { dense: Dense::new(shape), memory: Memory::default() }
    }

    /// Q of a batch into `values`, where [`SetBatch::value_ranges`] has each row. Bit-identical to
    /// [`SetWorkspace::forward`](super::SetWorkspace::forward).
    ///
    /// # Panics
    /// If a slice does not have the length that the others and the shape require, or a slot has no
    /// servers.
    pub fn decide(&mut self, parameters: &[f32], batch: &SetBatch<'_, f32>, values: &mut [f32]) {
        let Self { dense, memory } = self;
        assert_eq!(parameters.len(), dense.shape.parameters(), "parameters");
        dense.take_in(batch);
        let offsets = &dense.offsets;
        assert_eq!(values.len(), offsets.values_of_first(offsets.rows()), "values");
        let hidden = dense.shape.lstm;
        memory.resize(offsets.all_servers(), hidden);
        vectorised_for(hidden, Decide { dense, memory, parameters, batch, values });
    }
}

/// A forward pass.
struct Decide<'d> {
    dense: &'d mut Dense<f32>,
    memory: &'d mut Memory,
    parameters: &'d [f32],
    batch: &'d SetBatch<'d, f32>,
    values: &'d mut [f32],
}

impl WithSimd for Decide<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { dense, memory, parameters, batch, values } = self;
        let Dense { shape, layers, offsets, server_inputs, .. } = &mut *dense;
        let (servers, hidden) = (offsets.all_servers(), shape.lstm);
        let lstm = Lstm {
            weights: layers.lstm.weights(parameters),
            bias: layers.lstm.biases(parameters),
            hidden,
        };
        memory.begin(servers, hidden);
        for slot in 0..shape.history_slots {
            memory.observe(offsets, slot, batch.loads, hidden);
            if hidden < S::F32_LANES {
                memory.narrow_step(&lstm, servers);
            } else {
                memory.step(simd, &lstm, servers);
            }
            memory.cells.swap(0, 1);
            memory.inputs.swap(0, 1);
        }
        let each = server_inputs.chunks_exact_mut(shape.server_inputs()).take(servers);
        for (to, from) in each.zip(memory.inputs[0].chunks_exact(1 + hidden)) {
            to[..hidden].copy_from_slice(&from[1..]);
        }
        dense.forward(parameters, batch, values);
    }
}

/// The parameters of the LSTM.
struct Lstm<'p> {
    weights: &'p [f32],
    bias: &'p [f32],
    hidden: usize,
}

impl Memory {
    fn resize(&mut self, servers: usize, hidden: usize) {
        let Self { inputs: [now, next], cells: [before, cell], gates, tanh, outputs } = self;
        for inputs in [now, next] {
            inputs.resize(servers * (1 + hidden), 0.0);
        }
        for buffer in [before, cell, tanh, outputs] {
            buffer.resize(servers * hidden, 0.0);
        }
        gates.resize(servers * 4 * hidden, 0.0);
    }

    /// Forgets everything.
    #[inline(always)]
    fn begin(&mut self, servers: usize, hidden: usize) {
        self.inputs[0][..servers * (1 + hidden)].fill(0.0);
        self.cells[0][..servers * hidden].fill(0.0);
    }

    /// Takes in the loads of a slot.
    #[inline(always)]
    fn observe(&mut self, offsets: &Offsets, slot: usize, loads: &[f32], hidden: usize) {
        for (server, inputs) in self.inputs[0].chunks_exact_mut(1 + hidden).enumerate() {
            if let Some(at) = offsets.load(server, slot) {
                inputs[0] = loads[at];
            }
        }
    }

    /// A slot of all servers, with fewer neurons than a vector has.
    #[inline(always)]
    fn narrow_step(&mut self, lstm: &Lstm<'_>, servers: usize) {
        let Lstm { weights, bias, hidden } = *lstm;
        let Self { inputs: [now, next], cells: [before, cell], gates, tanh, outputs } = self;
        gates.fill(0.0);
        add_product(&now[..servers * (1 + hidden)], 1 + hidden, weights, gates, 4 * hidden);
        Gates { hidden, bias, sums: gates }.call();
        Cell { hidden, gates, before, cell, tanh, output: outputs }.call();
        for (to, from) in next.chunks_exact_mut(1 + hidden).zip(outputs.chunks_exact(hidden)) {
            to[1..].copy_from_slice(from);
        }
    }

    /// A slot of all servers, a vector of neurons at a time. The last vector ends with the last
    /// neuron, and computes some a second time.
    ///
    /// A server's operations wait for each other. In three short loops, the processor overlaps those
    /// of more servers than in one.
    #[inline(always)]
    fn step<S: Simd>(&mut self, simd: S, lstm: &Lstm<'_>, servers: usize) {
        let Lstm { weights, bias, hidden } = *lstm;
        let Self { inputs: [now, next], cells: [before, cell], gates, .. } = self;
        let (lanes, width, columns) = (S::F32_LANES, 1 + hidden, 4 * hidden);
        let gates = &mut gates[..servers * columns];
        gates.fill(0.0);
        add_product(&now[..servers * width], width, weights, gates, columns);
        let mut neuron = 0;
        while neuron < hidden {
            let first = neuron.min(hidden - lanes);
            let [i, j, f, o] = load_biases(simd, bias, first);
            let sums = |server: usize, gate: Gate, bias| {
                let sums = &gates[server * columns + gate.columns(hidden).start + first..];
                simd.add_f32s(load::<S>(sums), bias)
            };
            for server in 0..servers {
                let sums = [
                    sums(server, Gate::Input, i),
                    sums(server, Gate::Candidate, j),
                    sums(server, Gate::Forget, f),
                ];
                let at = server * hidden + first;
                let c = neurons_cell(simd, sums, load::<S>(&before[at..]));
                S::as_mut_simd_f32s(&mut cell[at..][..lanes]).0[0] = c;
            }
            for server in 0..servers {
                let o = sums(server, Gate::Output, o);
                let h = neurons_output(simd, o, load::<S>(&cell[server * hidden + first..]));
                let at = server * width + 1 + first;
                S::as_mut_simd_f32s(&mut next[at..][..lanes]).0[0] = h;
            }
            neuron = first + lanes;
        }
    }
}
