//! The element-wise loops, compiled for the best vector instructions the processor has.
//!
//! Matrix products are ndarray's, which chooses its kernel at run time. The loops here would be
//! compiled for the oldest processor of the target; [`vectorised`] runs one compiled for the one
//! at hand. Each is a struct of what it reads and writes, because only what is inlined into the
//! dispatcher is compiled so, and a trait method can be made to be where a closure can't.

use pulp::{NullaryFnOnce, Simd, WithSimd};

use crate::gate::{FORGET_BIAS, Gate};
use crate::head::{FIRST_ADVANTAGE_COLUMN, duel};
use crate::real::{Real, SIGMOID_MOST, SIGMOID_SHIFT, SIGMOID_TERMS};
use crate::rows::add_product;

/// Runs a kernel, chosen at run time: AVX-512 or AVX2 with fused multiply-add on x86, else the
/// target's own.
#[inline]
pub(crate) fn vectorised<K: WithSimd>(kernel: K) -> K::Output {
    pulp::Arch::new().dispatch(kernel)
}

/// [`vectorised`], with vectors no longer than `length` numbers if there are such.
#[inline]
pub(crate) fn vectorised_for<K: WithSimd>(length: usize, kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    if let pulp::Arch::V4(wide) = pulp::Arch::new()
        && length < 16
    {
        return Simd::vectorize(*wide, kernel);
    }
    let _ = length;
    vectorised(kernel)
}

macro_rules! kernel {
    (
        $(#[$doc:meta])*
        $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* } $body:block
    ) => {
        $(#[$doc])*
        pub(crate) struct $name<'a, F> {
            $($(#[$field_doc])* pub(crate) $field: $type,)*
        }

        impl<F: Real> NullaryFnOnce for $name<'_, F> {
            type Output = ();

            #[inline(always)]
            fn call(self) {
                let Self { $($field),* } = self;
                $body
            }
        }
    };
}

kernel! {
    /// `sums += x · w`, for one row x of k elements and w of k × n: a decision.
    ///
    /// ndarray's product packs w first, which for one row takes longer than the product.
    AddRowProduct {
        x: &'a [F],
        w: &'a [F],
        sums: &'a mut [F],
    } {
        let columns = sums.len();
        add_product(x, x.len(), w, sums, columns);
    }
}

kernel! {
    /// Gates of the LSTM in place, for rows of 4H sums in the order of [`Gate`]: the logistic
    /// function for i, f (with its bias) and o, tanh for the candidate j.
    Gates {
        hidden: usize,
        bias: &'a [F],
        sums: &'a mut [F],
    } {
        let two = F::ONE + F::ONE;
        for row in sums.chunks_exact_mut(4 * hidden) {
            for gate in [Gate::Input, Gate::Candidate, Gate::Output] {
                let columns = gate.columns(hidden);
                for (sum, &bias) in row[columns.clone()].iter_mut().zip(&bias[columns]) {
                    *sum += bias;
                }
            }
            let columns = Gate::Forget.columns(hidden);
            for (sum, &bias) in row[columns.clone()].iter_mut().zip(&bias[columns]) {
                *sum += bias + F::of(FORGET_BIAS);
            }
            // tanh(x) = 2σ(2x) − 1, so that one loop does all four.
            for candidate in &mut row[Gate::Candidate.columns(hidden)] {
                *candidate = two * *candidate;
            }
        }
        for sum in sums.iter_mut() {
            *sum = sum.sigmoid();
        }
        for row in sums.chunks_exact_mut(4 * hidden) {
            for candidate in &mut row[Gate::Candidate.columns(hidden)] {
                *candidate = two.mul_add(*candidate, -F::ONE);
            }
        }
    }
}

kernel! {
    /// c = f·c₋₁ + i·j; t = tanh c; h = o·t. Rows of H, and of 4H gates.
    Cell {
        hidden: usize,
        gates: &'a [F],
        before: &'a [F],
        cell: &'a mut [F],
        tanh: &'a mut [F],
        output: &'a mut [F],
    } {
        for ((gates, before), cell) in gates
            .chunks_exact(4 * hidden)
            .zip(before.chunks_exact(hidden))
            .zip(cell.chunks_exact_mut(hidden))
        {
            let [i, j, f, _] = Gate::split(gates, hidden);
            for ((((cell, &before), &i), &j), &f) in
                cell.iter_mut().zip(before).zip(i).zip(j).zip(f)
            {
                *cell = f.mul_add(before, i * j);
            }
        }
        for (tanh, &cell) in tanh.iter_mut().zip(&*cell) {
            *tanh = cell.tanh();
        }
        for ((gates, tanh), output) in gates
            .chunks_exact(4 * hidden)
            .zip(tanh.chunks_exact(hidden))
            .zip(output.chunks_exact_mut(hidden))
        {
            for ((output, &o), &tanh) in output.iter_mut().zip(&gates[Gate::Output.columns(hidden)]).zip(tanh) {
                *output = o * tanh;
            }
        }
    }
}

/// Rows that are decided side by side.
pub(crate) const SIDE_BY_SIDE: usize = 4;

/// The inputs of one row's decision.
#[derive(Clone, Copy)]
pub(crate) struct RowInput<'a> {
    pub(crate) lstm: &'a [f32],
    pub(crate) lstm_bias: &'a [f32],
    pub(crate) dense_1: &'a [f32],
    pub(crate) dense_1_bias: &'a [f32],
    pub(crate) dense_2: &'a [f32],
    pub(crate) dense_2_bias: &'a [f32],
    pub(crate) head: &'a [f32],
    /// F.
    pub(crate) features: &'a [f32],
    /// K × M.
    pub(crate) history: &'a [f32],
}

/// The buffers of one row's decision.
#[derive(Clone, Debug)]
pub(crate) struct RowBuffers {
    /// M + H.
    pub(crate) inputs: Vec<f32>,
    /// 4H.
    pub(crate) gates: Vec<f32>,
    /// H, and the one before it.
    pub(crate) cells: [Vec<f32>; 2],
    /// H.
    pub(crate) tanh: Vec<f32>,
    /// Features, then the output of the LSTM: F + H.
    pub(crate) joined: Vec<f32>,
    /// H each.
    pub(crate) dense: [Vec<f32>; 2],
    /// 2 + M, without bias.
    pub(crate) head: Vec<f32>,
}

/// Whole forward passes of rows with networks of their own. A row's slots depend on each other
/// and leave much of the processor waiting; the rows' do not.
///
/// The operations and their order are those of [`AddRowProduct`], [`Gates`] and [`Cell`], so the
/// results are bit-identical; but sums, gates and cells of a vector of neurons stay in registers.
pub(crate) struct Decisions<'a> {
    pub(crate) rows: &'a [RowInput<'a>],
    pub(crate) buffers: &'a mut [RowBuffers],
}

impl WithSimd for Decisions<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { rows, buffers } = self;
        remember(simd, rows, buffers);
        for (row, buffer) in rows.iter().zip(buffers.iter_mut()) {
            buffer.joined[..row.features.len()].copy_from_slice(row.features);
            buffer.dense(row);
        }
    }
}

/// Whole forward passes of rows with one network and one history: the LSTM runs once. Otherwise
/// like [`Decisions`].
pub(crate) struct SharedDecisions<'a> {
    /// The first row.
    pub(crate) row: RowInput<'a>,
    /// Features of all rows, rows × F.
    pub(crate) features: &'a [f32],
    pub(crate) buffers: &'a mut RowBuffers,
    pub(crate) head_bias: &'a [f32],
    /// Q, rows × (1 + M).
    pub(crate) values: &'a mut [f32],
}

impl WithSimd for SharedDecisions<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { row, features, buffers, head_bias, values } = self;
        let width = row.features.len();
        remember(simd, std::slice::from_ref(&row), std::slice::from_mut(buffers));
        let actions = head_bias.len() - FIRST_ADVANTAGE_COLUMN;
        let rows = features.chunks_exact(width).zip(values.chunks_exact_mut(actions));
        for (features, values) in rows {
            buffers.joined[..width].copy_from_slice(features);
            buffers.dense(&row);
            duel(&buffers.head, head_bias, values);
        }
    }
}

/// The LSTM over the histories of some rows, side by side; leaves each one's last output in
/// `joined`, after the features.
#[inline(always)]
fn remember<S: Simd>(simd: S, rows: &[RowInput<'_>], buffers: &mut [RowBuffers]) {
    let Some(first) = rows.first() else { return };
    let hidden = first.lstm_bias.len() / 4;
    let width = first.features.len();
    let servers = first.lstm.len() / first.lstm_bias.len() - hidden;
    for buffer in buffers.iter_mut() {
        buffer.joined[width..].fill(0.0);
        buffer.cells[0].fill(0.0);
    }
    for slot in 0..first.history.len() / servers {
        for (row, buffer) in rows.iter().zip(buffers.iter_mut()) {
            buffer.inputs[..servers]
                .copy_from_slice(&row.history[slot * servers..(slot + 1) * servers]);
            buffer.inputs[servers..].copy_from_slice(&buffer.joined[width..]);
            if hidden < S::F32_LANES {
                buffer.narrow_step(row, width);
            } else {
                buffer.step(simd, row, width);
            }
            buffer.cells.swap(0, 1);
        }
    }
}

impl RowBuffers {
    /// Both dense layers and the head, after features and LSTM.
    #[inline(always)]
    fn dense(&mut self, row: &RowInput<'_>) {
        let Self { joined, dense: [first, second], head, .. } = self;
        first.fill(0.0);
        AddRowProduct { x: joined, w: row.dense_1, sums: first }.call();
        BiasRelu { bias: row.dense_1_bias, sums: first }.call();
        second.fill(0.0);
        AddRowProduct { x: first, w: row.dense_2, sums: second }.call();
        BiasRelu { bias: row.dense_2_bias, sums: second }.call();
        head.fill(0.0);
        AddRowProduct { x: second, w: row.head, sums: head }.call();
    }

    /// A slot of the LSTM with fewer neurons than a vector has.
    #[inline(always)]
    fn narrow_step(&mut self, row: &RowInput<'_>, width: usize) {
        let hidden = self.tanh.len();
        let Self { inputs, gates, cells: [before, cell], tanh, joined, .. } = self;
        gates.fill(0.0);
        AddRowProduct { x: inputs, w: row.lstm, sums: gates }.call();
        Gates { hidden, bias: row.lstm_bias, sums: gates }.call();
        Cell { hidden, gates, before, cell, tanh, output: &mut joined[width..] }.call();
    }

    /// A slot of the LSTM, a vector of neurons at a time. The last vector ends with the last
    /// neuron, and computes some a second time.
    #[inline(always)]
    fn step<S: Simd>(&mut self, simd: S, row: &RowInput<'_>, width: usize) {
        let hidden = self.tanh.len();
        let lanes = S::F32_LANES;
        let load = |slice: &[f32]| S::as_simd_f32s(slice).0[0];
        let mut neuron = 0;
        while neuron < hidden {
            let first = neuron.min(hidden - lanes);
            let mut sums = [simd.splat_f32s(0.0); 4];
            let columns = 4 * hidden;
            let starts = [0, 1, 2, 3].map(|gate| gate * hidden + first);
            // Asserted once, so that the bounds are not checked at each load.
            assert!(starts.iter().all(|&start| start <= columns && lanes <= columns - start));
            for (&x, weights) in self.inputs.iter().zip(row.lstm.chunks_exact(columns)) {
                let x = simd.splat_f32s(x);
                for (start, sum) in starts.into_iter().zip(&mut sums) {
                    *sum = simd.mul_add_f32s(x, load(&weights[start..][..lanes]), *sum);
                }
            }
            for (sum, bias) in sums.iter_mut().zip(load_biases(simd, row.lstm_bias, first)) {
                *sum = simd.add_f32s(*sum, bias);
            }
            let before = load(&self.cells[0][first..][..lanes]);
            let (cell, output) = activate_neurons(simd, sums, before);
            S::as_mut_simd_f32s(&mut self.cells[1][first..][..lanes]).0[0] = cell;
            S::as_mut_simd_f32s(&mut self.joined[width + first..][..lanes]).0[0] = output;
            neuron = first + lanes;
        }
    }
}

/// The first numbers as a vector.
#[inline(always)]
pub(crate) fn load<S: Simd>(numbers: &[f32]) -> S::f32s {
    S::as_simd_f32s(&numbers[..S::F32_LANES]).0[0]
}

/// The biases of the gates of a vector of neurons, the forget bias included: learning adds it to
/// the parameter first, and so must deciding, or the last bit would differ.
#[inline(always)]
pub(crate) fn load_biases<S: Simd>(simd: S, bias: &[f32], first: usize) -> [S::f32s; 4] {
    let hidden = bias.len() / 4;
    // A loop, because what builds arrays from closures may not be inlined.
    let mut biases = [simd.splat_f32s(0.0); 4];
    for (gate, biases) in biases.iter_mut().enumerate() {
        *biases = load::<S>(&bias[gate * hidden + first..]);
    }
    let forget = &mut biases[Gate::Forget as usize];
    *forget = simd.add_f32s(*forget, simd.splat_f32s(FORGET_BIAS as f32));
    biases
}

/// A vector of neurons, from the sums of their gates, all biases included, and c₋₁: c and h.
#[inline(always)]
fn activate_neurons<S: Simd>(
    simd: S,
    [i, j, f, o]: [S::f32s; 4],
    before: S::f32s,
) -> (S::f32s, S::f32s) {
    let cell = neurons_cell(simd, [i, j, f], before);
    (cell, neurons_output(simd, o, cell))
}

/// c of a vector of neurons.
#[inline(always)]
pub(crate) fn neurons_cell<S: Simd>(simd: S, [i, j, f]: [S::f32s; 3], before: S::f32s) -> S::f32s {
    let two = simd.splat_f32s(2.0);
    let i = sigmoid(simd, i);
    let j = sigmoid(simd, simd.mul_f32s(two, j));
    let f = sigmoid(simd, f);
    let j = simd.mul_add_f32s(two, j, simd.splat_f32s(-1.0));
    simd.mul_add_f32s(f, before, simd.mul_f32s(i, j))
}

/// h of a vector of neurons, from the sums of its output gate and c.
#[inline(always)]
pub(crate) fn neurons_output<S: Simd>(simd: S, o: S::f32s, cell: S::f32s) -> S::f32s {
    let two = simd.splat_f32s(2.0);
    let tanh = sigmoid(simd, simd.mul_f32s(two, cell));
    let tanh = simd.mul_add_f32s(tanh, two, simd.splat_f32s(-1.0));
    simd.mul_f32s(sigmoid(simd, o), tanh)
}

/// [`Real::sigmoid`] of a vector, bit-identical.
#[inline(always)]
fn sigmoid<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let splat = |value: f32| simd.splat_f32s(value);
    let x = simd.max_f32s(simd.min_f32s(x, splat(SIGMOID_MOST)), splat(-SIGMOID_MOST));
    let minus_log2_e = splat(-std::f32::consts::LOG2_E);
    let shifted = simd.mul_add_f32s(x, minus_log2_e, splat(SIGMOID_SHIFT));
    let n = simd.sub_f32s(shifted, splat(SIGMOID_SHIFT));
    let r = simd.mul_add_f32s(x, minus_log2_e, simd.neg_f32s(n));
    let mut series = splat(SIGMOID_TERMS[SIGMOID_TERMS.len() - 1]);
    for &term in SIGMOID_TERMS.iter().rev().skip(1) {
        series = simd.mul_add_f32s(series, r, splat(term));
    }
    let bits = |x| simd.transmute_u32s_f32s(x);
    let exponent = simd.wrapping_dyn_shl_u32s(bits(shifted), simd.splat_u32s(23));
    let exp = simd.transmute_f32s_u32s(simd.add_u32s(bits(series), exponent));
    simd.div_f32s(splat(1.0), simd.add_f32s(splat(1.0), exp))
}

kernel! {
    /// Adds a bias to each row, then ReLU.
    BiasRelu {
        bias: &'a [F],
        sums: &'a mut [F],
    } {
        for row in sums.chunks_exact_mut(bias.len()) {
            for (sum, &bias) in row.iter_mut().zip(bias) {
                *sum = F::ZERO.max(*sum + bias);
            }
        }
    }
}

kernel! {
    /// ∂L/∂(sums) of a ReLU, in place: what passed stays.
    ReluBackward {
        output: &'a [F],
        gradient: &'a mut [F],
    } {
        for (gradient, &output) in gradient.iter_mut().zip(output) {
            *gradient = if output > F::ZERO { *gradient } else { F::ZERO };
        }
    }
}

kernel! {
    /// Adds the rows of `from` up.
    AddRows {
        from: &'a [F],
        sums: &'a mut [F],
    } {
        for row in from.chunks_exact(sums.len()) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += value;
            }
        }
    }
}

kernel! {
    /// `values ·= factor`.
    Scale {
        values: &'a mut [F],
        factor: F,
    } {
        for value in values.iter_mut() {
            *value = *value * factor;
        }
    }
}

kernel! {
    /// `target += share · (values − target)`.
    MoveTowards {
        target: &'a mut [F],
        values: &'a [F],
        share: F,
    } {
        for (target, &value) in target.iter_mut().zip(values) {
            *target = share.mul_add(value - *target, *target);
        }
    }
}

kernel! {
    /// A step of Adam; the rate has the bias correction in it.
    AdamStep {
        parameters: &'a mut [F],
        gradient: &'a [F],
        first: &'a mut [F],
        second: &'a mut [F],
        first_decay: F,
        second_decay: F,
        rate: F,
        epsilon: F,
    } {
        let all = parameters.iter_mut().zip(gradient).zip(first.iter_mut()).zip(second.iter_mut());
        for (((parameter, &gradient), first), second) in all {
            *first = first_decay.mul_add(*first - gradient, gradient);
            *second = second_decay.mul_add(*second - gradient * gradient, gradient * gradient);
            *parameter = *parameter - rate * *first / (second.sqrt() + epsilon);
        }
    }
}

kernel! {
    /// A step of RMSProp, with ε under the root as TensorFlow has it.
    RmsPropStep {
        parameters: &'a mut [F],
        gradient: &'a [F],
        square: &'a mut [F],
        decay: F,
        rate: F,
        epsilon: F,
    } {
        let all = parameters.iter_mut().zip(gradient).zip(square.iter_mut());
        for ((parameter, &gradient), square) in all {
            *square = decay.mul_add(*square - gradient * gradient, gradient * gradient);
            *parameter = *parameter - rate * gradient / (*square + epsilon).sqrt();
        }
    }
}
