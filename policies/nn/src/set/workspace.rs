//! Learning: forward passes of ragged batches that keep what their backward pass needs.

use pulp::{Simd, WithSimd};

use super::batch::SetBatch;
use super::network::{Dense, DenseGradient};
use super::shape::SetShape;
use crate::lstm::LstmLanes;
use crate::real::Real;

/// Buffers of one forward and backward pass of a network over servers; they grow to the largest
/// batch.
///
/// The LSTM runs once for each server of each slot, in lanes; the layers after it are rows. All
/// sums have a fixed order: results do not depend on the processor. A learner with several threads
/// divides its batch into parts of a fixed size, each with a workspace and a gradient of its own,
/// and adds these in order.
#[derive(Clone, Debug)]
pub struct SetWorkspace<F> {
    lstm: LstmLanes<F>,
    dense: Dense<F>,
    gradient: DenseGradient<F>,
    /// Of the last forward pass.
    links: Vec<F>,
    values: Vec<F>,
}

impl<F: Real> SetWorkspace<F> {
    /// Buffers for networks of `shape`.
    pub fn new(shape: SetShape) -> Self {
        let dense = Dense::new(shape);
        Self {
            lstm: LstmLanes::new(&dense.layers.lstm, shape.history_slots),
            dense,
            gradient: DenseGradient::default(),
            links: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Q of the last forward pass: 1 + M numbers of each row, one row after the other.
    pub fn values(&self) -> &[F] {
        &self.values
    }

    /// Q of a row of the last forward pass, 1 + M numbers.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn values_of(&self, row: usize) -> &[F] {
        &self.values[self.dense.offsets.values(row)]
    }

    /// Computes Q of a batch; returns it, where [`SetBatch::value_ranges`] has each row.
    ///
    /// # Panics
    /// If a slice does not have the length that the others and the shape require, or a slot has no
    /// servers.
    pub fn forward(&mut self, parameters: &[F], batch: &SetBatch<'_, F>) -> &[F] {
        assert_eq!(parameters.len(), self.dense.shape.parameters(), "parameters");
        self.dense.take_in(batch);
        let offsets = &self.dense.offsets;
        self.lstm.resize(offsets.all_servers());
        self.values.resize(offsets.values_of_first(offsets.rows()), F::ZERO);
        self.links.clear();
        self.links.extend_from_slice(batch.link_features);
        pulp::Arch::new().dispatch(Forward { workspace: self, parameters, batch });
        &self.values
    }

    /// Adds ∂L/∂(parameters) to `gradient`, given ∂L/∂Q of the first rows of the last forward pass.
    /// The loss does not depend on the rows after them. Where servers tie for the maximum of a
    /// neuron, the first has its gradient.
    ///
    /// # Panics
    /// If `d_values` are not those of some first rows, or a slice does not have the length that the
    /// shape requires.
    pub fn backward(&mut self, parameters: &[F], d_values: &[F], gradient: &mut [F]) {
        assert_eq!(gradient.len(), self.dense.shape.parameters(), "gradient");
        assert_eq!(parameters.len(), self.dense.shape.parameters(), "parameters");
        if !d_values.is_empty() {
            let pass = Backward { workspace: self, parameters, d_values, gradient };
            pulp::Arch::new().dispatch(pass);
        }
    }
}

/// A forward pass.
struct Forward<'p, F> {
    workspace: &'p mut SetWorkspace<F>,
    parameters: &'p [F],
    batch: &'p SetBatch<'p, F>,
}

impl<F: Real> WithSimd for Forward<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        if S::F32_LANES >= 16 { self.run::<32>() } else { self.run::<16>() }
    }
}

impl<F: Real> Forward<'_, F> {
    #[inline(always)]
    fn run<const W: usize>(self) {
        let Self { workspace, parameters, batch } = self;
        let SetWorkspace { lstm, dense, values, .. } = workspace;
        let Dense { shape, offsets, server_inputs, .. } = dense;
        lstm.pack_forward(parameters);
        let servers = offsets.all_servers();
        for block in 0..servers.div_ceil(W) {
            lstm.forward::<W>(block, |lane, slot| {
                offsets.load(block * W + lane, slot).map_or(F::ZERO, |at| batch.loads[at])
            });
            let last = lstm.last::<W>(block);
            let each = server_inputs.chunks_exact_mut(shape.server_inputs()).skip(block * W);
            for (lane, inputs) in each.take(W.min(servers - block * W)).enumerate() {
                for (input, last) in inputs.iter_mut().zip(last) {
                    *input = last[lane];
                }
            }
        }
        dense.forward(parameters, batch, values);
    }
}

/// A backward pass.
struct Backward<'p, F> {
    workspace: &'p mut SetWorkspace<F>,
    parameters: &'p [F],
    d_values: &'p [F],
    gradient: &'p mut [F],
}

impl<F: Real> WithSimd for Backward<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        if S::F32_LANES >= 16 { self.run::<32, 16, 4>() } else { self.run::<16, 8, 3>() }
    }
}

impl<F: Real> Backward<'_, F> {
    #[inline(always)]
    fn run<const W: usize, const S: usize, const T: usize>(self) {
        let Self { workspace, parameters, d_values, gradient } = self;
        let SetWorkspace { lstm, dense, gradient: d, links, .. } = workspace;
        let rows = dense.backward(parameters, links, d_values, d, gradient);
        let servers = dense.offsets.servers_of_first(rows);
        let (blocks, hidden) = (servers.div_ceil(W), dense.shape.lstm);
        lstm.pack_backward(parameters);
        lstm.resize_backward(blocks * W);
        for block in 0..blocks {
            let d_last = &mut lstm.d_last::<W>().0[block * hidden..][..hidden];
            d_last.fill([F::ZERO; W]);
            let of_servers = d.outputs[block * W * hidden..servers * hidden].chunks_exact(hidden);
            for (lane, d_outputs) in of_servers.take(W).enumerate() {
                for (d_last, &d) in d_last.iter_mut().zip(d_outputs) {
                    d_last[lane] = d;
                }
            }
            lstm.backward::<W>(block);
        }
        lstm.add_gradient::<W, S, T>(blocks, gradient);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::Rng;

    use super::*;
    use crate::stream;

    /// Q and gradient of a batch, with blocks of W.
    fn pass<const W: usize, const S: usize, const T: usize>(
        shape: SetShape,
        parameters: &[f32],
        batch: &SetBatch<'_, f32>,
        d_values: &[f32],
    ) -> [Vec<u32>; 2] {
        let mut workspace = SetWorkspace::new(shape);
        // For the sizes of its buffers; then once more in blocks of the width that is asked for.
        workspace.forward(parameters, batch);
        Forward { workspace: &mut workspace, parameters, batch }.run::<W>();
        let mut gradient = vec![0.0; shape.parameters()];
        let (own, sums) = (&mut workspace, &mut gradient);
        Backward { workspace: own, parameters, d_values, gradient: sums }.run::<W, S, T>();
        [workspace.values(), &gradient].map(|all| all.iter().map(|x| x.to_bits()).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]
        /// A processor with wide vectors computes the bits that one with narrow vectors does.
        #[test]
        fn the_width_of_vectors_changes_no_bit(
            lstm in 1_usize..12,
            servers in prop::collection::vec(1_u32..=20, 1..6),
            seed in any::<u64>(),
        ) {
            let shape = SetShape {
                device_features: 4,
                link_features: 3,
                server_features: 1,
                history_slots: 3,
                lstm,
                embedding: 9,
                hidden: 6,
            };
            let mut rng = stream(seed, 0);
            let mut numbers = |count: usize| -> Vec<f32> {
                (0..count).map(|_| rng.random_range(-0.5..0.5)).collect()
            };
            let all: usize = servers.iter().map(|&servers| servers as usize).sum();
            let (rows, parameters) = (servers.len(), numbers(shape.parameters()));
            let slot_of: Vec<u32> = (0..rows as u32).rev().collect();
            let batch = SetBatch {
                servers: &servers,
                loads: &numbers(3 * all),
                server_features: &numbers(all),
                slot_of: &slot_of,
                device_features: &numbers(4 * rows),
                link_features: &numbers(3 * all),
            };
            let d_values = numbers(all + rows);
            let wide = pass::<32, 16, 4>(shape, &parameters, &batch, &d_values);
            prop_assert_eq!(wide, pass::<16, 8, 3>(shape, &parameters, &batch, &d_values));
        }
    }
}
