//! The inner loops of learning: a batch's rows side by side, one in each lane of a vector.
//!
//! A number of the network (an input, a neuron, a gate) is then a vector over the rows, whatever
//! the width of a layer; what is done with it needs no shuffling, and a weight is one number for
//! all rows. Rows come in blocks of W: 32 where a vector has 16 lanes, else 16.
//!
//! Results do not depend on W: a row's numbers depend on no other row, and sums over rows are
//! added up in an order of their own ([`VIRTUAL`]).

use crate::real::Real;

/// Lanes that a sum over rows is added up in, before they are added to each other: those of one
/// wide block, or of two narrow ones. A batch is filled up to a multiple of them with rows of zeros.
pub(crate) const VIRTUAL: usize = 32;

/// Weights that are read together: of four outputs, for one input.
const GROUP: usize = 4;

/// Weights in the order in which [`multiply`] reads them: for each group of four outputs, the four
/// weights of each input. Outputs that are missing in the last group have weights 0.
#[derive(Clone, Debug)]
pub(crate) struct Packed<F> {
    inputs: usize,
    outputs: usize,
    weights: Vec<[F; GROUP]>,
}

impl<F: Real> Packed<F> {
    pub(crate) fn new(inputs: usize, outputs: usize) -> Self {
        let weights = vec![[F::ZERO; GROUP]; outputs.div_ceil(GROUP) * inputs];
        Self { inputs, outputs, weights }
    }

    /// Takes in weights: `row(input)` has one for each output, in their order.
    #[inline(always)]
    pub(crate) fn pack<'w>(&mut self, row: impl Fn(usize) -> &'w [F]) {
        for input in 0..self.inputs {
            let row = row(input);
            let (whole, rest) = row.as_chunks::<GROUP>();
            let mut at = input;
            for &weights in whole {
                self.weights[at] = weights;
                at += self.inputs;
            }
            for (number, &weight) in rest.iter().enumerate() {
                self.weights[at][number] = weight;
            }
        }
    }

    /// Takes in weights one by one: `weight(input, output)`.
    #[inline(always)]
    pub(crate) fn pack_each(&mut self, weight: impl Fn(usize, usize) -> F) {
        let groups = self.weights.chunks_exact_mut(self.inputs);
        for (group, weights) in groups.enumerate() {
            let outputs = group * GROUP..self.outputs.min((group + 1) * GROUP);
            for (input, weights) in weights.iter_mut().enumerate() {
                for (weights, output) in weights.iter_mut().zip(outputs.clone()) {
                    *weights = weight(input, output);
                }
            }
        }
    }
}

/// The dot products of `x` with a group of columns of weights.
#[inline(always)]
fn sums<F: Real, const W: usize>(x: &[[F; W]], w: &[[F; GROUP]]) -> [[F; W]; GROUP] {
    let mut sums = [[F::ZERO; W]; GROUP];
    for (x, w) in x.iter().zip(w) {
        for to in 0..GROUP {
            for lane in 0..W {
                sums[to][lane] = x[lane].mul_add(w[to], sums[to][lane]);
            }
        }
    }
    sums
}

/// [`sums`] of two groups.
#[inline(always)]
fn sums_of_two<F: Real, const W: usize>(
    x: &[[F; W]],
    [one, two]: [&[[F; GROUP]]; 2],
) -> [[[F; W]; GROUP]; 2] {
    let (mut sums, mut more) = ([[F::ZERO; W]; GROUP], [[F::ZERO; W]; GROUP]);
    for ((x, one), two) in x.iter().zip(one).zip(two) {
        for to in 0..GROUP {
            for lane in 0..W {
                sums[to][lane] = x[lane].mul_add(one[to], sums[to][lane]);
            }
        }
        for to in 0..GROUP {
            for lane in 0..W {
                more[to][lane] = x[lane].mul_add(two[to], more[to][lane]);
            }
        }
    }
    [sums, more]
}

/// `out = x · w` without bias. `x` may lack its last inputs, if they are zero.
#[inline(always)]
pub(crate) fn multiply<F: Real, const W: usize>(
    packed: &Packed<F>,
    x: &[[F; W]],
    out: &mut [[F; W]],
) {
    let inputs = packed.inputs;
    let (mut weights, mut out) = (packed.weights.as_slice(), out);
    // Wide blocks come with twice as many registers: two groups at a time hide the latency.
    while W == VIRTUAL && out.len() >= 2 * GROUP {
        let (two, rest) = weights.split_at(2 * inputs);
        let [one, two] = sums_of_two::<F, W>(x, [&two[..inputs], &two[inputs..]]);
        let (now, later) = out.split_at_mut(2 * GROUP);
        now[..GROUP].copy_from_slice(&one);
        now[GROUP..].copy_from_slice(&two);
        (weights, out) = (rest, later);
    }
    for (w, out) in weights.chunks_exact(inputs).zip(out.chunks_mut(GROUP)) {
        let sums = sums::<F, W>(x, w);
        match out.as_chunks_mut::<GROUP>() {
            ([out], _) => *out = sums,
            _ => out.copy_from_slice(&sums[..out.len()]),
        }
    }
}

/// Adds a bias to each output, then ReLU.
#[inline(always)]
pub(crate) fn bias_relu<F: Real, const W: usize>(bias: &[F], sums: &mut [[F; W]]) {
    for (sums, &bias) in sums.iter_mut().zip(bias) {
        for sum in sums {
            *sum = F::ZERO.max(*sum + bias);
        }
    }
}

/// ∂L/∂(sums) of a ReLU, in place: what passed stays.
#[inline(always)]
pub(crate) fn relu_backward<F: Real, const W: usize>(output: &[[F; W]], d: &mut [[F; W]]) {
    for (d, output) in d.iter_mut().zip(output) {
        for (d, &output) in d.iter_mut().zip(output) {
            *d = if output > F::ZERO { *d } else { F::ZERO };
        }
    }
}

/// A block of the LSTM: K slots of M loads, H neurons. The four gates of a neuron are side by side,
/// in the order of [`Gate`](crate::gate::Gate).
pub(crate) struct LstmBlock<'b, F, const W: usize> {
    pub(crate) servers: usize,
    pub(crate) hidden: usize,
    /// (K + 1) × (M + H): the load, then the output of the slot before. After the last slot comes
    /// its output, without load.
    pub(crate) inputs: &'b mut [[F; W]],
    /// K × H neurons.
    pub(crate) gates: &'b mut [[[F; W]; 4]],
    /// c, (K + 1) × H, the first zero.
    pub(crate) cells: &'b mut [[F; W]],
    /// tanh c, K × H.
    pub(crate) tanh: &'b mut [[F; W]],
}

impl<F: Real, const W: usize> LstmBlock<'_, F, W> {
    /// All slots, with the loads at hand. `bias` has that of the four gates of each neuron, the
    /// forget bias included.
    #[inline(always)]
    pub(crate) fn forward(&mut self, packed: &Packed<F>, bias: &[[F; 4]]) {
        let Self { servers, hidden, inputs, gates, cells, tanh } = self;
        let (servers, hidden) = (*servers, *hidden);
        let width = servers + hidden;
        cells[..hidden].fill([F::ZERO; W]);
        inputs[servers..width].fill([F::ZERO; W]);
        let slots = gates.chunks_exact_mut(hidden).zip(tanh.chunks_exact_mut(hidden)).enumerate();
        for (slot, (gates, tanh)) in slots {
            let (before, after) = inputs.split_at_mut((slot + 1) * width);
            let inputs = &before[slot * width..];
            // The first slot has nothing to remember.
            let inputs = if slot == 0 { &inputs[..servers] } else { inputs };
            multiply(packed, inputs, gates.as_flattened_mut());
            let (before, cell) = cells.split_at_mut((slot + 1) * hidden);
            activate(bias, &before[slot * hidden..], gates, &mut cell[..hidden]);
            output(gates, &cell[..hidden], tanh, &mut after[servers..width]);
        }
    }
}

/// What the backward pass through a block of the LSTM needs of the forward pass, for H neurons.
pub(crate) struct LstmStates<'b, F, const W: usize> {
    pub(crate) hidden: usize,
    /// K × H neurons.
    pub(crate) gates: &'b [[[F; W]; 4]],
    /// c, K × H: before each slot.
    pub(crate) before: &'b [[F; W]],
    /// tanh c, K × H.
    pub(crate) tanh: &'b [[F; W]],
}

impl<F: Real, const W: usize> LstmStates<'_, F, W> {
    /// From ∂L/∂(the last output) in `d_output`, H, which is used up, back through all slots:
    /// ∂L/∂(sums of gates) into `d_gates`, K × H neurons. `d_cell` is H. `recurrent` are the
    /// weights of the last output, from gates to outputs.
    #[inline(always)]
    pub(crate) fn backward(
        &self,
        recurrent: &Packed<F>,
        d_output: &mut [[F; W]],
        d_cell: &mut [[F; W]],
        d_gates: &mut [[[F; W]; 4]],
    ) {
        let Self { hidden, gates, before, tanh } = self;
        d_cell.fill([F::ZERO; W]);
        for slot in (0..gates.len() / hidden).rev() {
            let range = slot * hidden..(slot + 1) * hidden;
            let d_gates = &mut d_gates[range.clone()];
            let neurons = gates[range.clone()]
                .iter()
                .zip(&before[range.clone()])
                .zip(&tanh[range])
                .zip(&*d_output)
                .zip(&mut *d_cell)
                .zip(&mut *d_gates);
            for (((((gates, before), tanh), d_output), d_cell), d_gates) in neurons {
                (*d_gates, *d_cell) = neuron_backward(*gates, *before, *tanh, *d_output, *d_cell);
            }
            if slot > 0 {
                multiply(recurrent, d_gates.as_flattened(), d_output);
            }
        }
    }
}

/// Sums of gates become gates, in place; c = f·c₋₁ + i·j.
///
/// One loop with the next would be one long chain of dependent operations per neuron; the
/// processor overlaps more neurons in two short ones. Both work on copies, which the compiler knows
/// not to overlap, or it would not use vectors.
#[inline(always)]
fn activate<F: Real, const W: usize>(
    bias: &[[F; 4]],
    before: &[[F; W]],
    gates: &mut [[[F; W]; 4]],
    cell: &mut [[F; W]],
) {
    let two = F::ONE + F::ONE;
    for (((bias, before), gates), cell) in bias.iter().zip(before).zip(gates).zip(cell) {
        let ([mut i, mut j, mut f, mut o], before) = (*gates, *before);
        let mut c = [F::ZERO; W];
        for lane in 0..W {
            i[lane] = (i[lane] + bias[0]).sigmoid();
            // tanh(x) = 2σ(2x) − 1.
            j[lane] = two.mul_add((two * (j[lane] + bias[1])).sigmoid(), -F::ONE);
            f[lane] = (f[lane] + bias[2]).sigmoid();
            o[lane] = (o[lane] + bias[3]).sigmoid();
            c[lane] = f[lane].mul_add(before[lane], i[lane] * j[lane]);
        }
        (*gates, *cell) = ([i, j, f, o], c);
    }
}

/// t = tanh c; h = o·t.
#[inline(always)]
fn output<F: Real, const W: usize>(
    gates: &[[[F; W]; 4]],
    cell: &[[F; W]],
    tanh: &mut [[F; W]],
    output: &mut [[F; W]],
) {
    for (((gates, cell), tanh), output) in gates.iter().zip(cell).zip(tanh).zip(output) {
        let ([_, _, _, o], cell) = (*gates, *cell);
        let (mut t, mut h) = ([F::ZERO; W], [F::ZERO; W]);
        for lane in 0..W {
            t[lane] = cell[lane].tanh();
            h[lane] = o[lane] * t[lane];
        }
        (*tanh, *output) = (t, h);
    }
}

/// One slot back through the cell of a neuron, given its gates, c₋₁, tanh c, ∂L/∂h and ∂L/∂c of
/// the slot after. Returns ∂L/∂(sums) and ∂L/∂c₋₁.
#[inline(always)]
fn neuron_backward<F: Real, const W: usize>(
    [i, j, f, o]: [[F; W]; 4],
    before: [F; W],
    tanh: [F; W],
    d_output: [F; W],
    d_cell: [F; W],
) -> ([[F; W]; 4], [F; W]) {
    let mut d_gates = [[F::ZERO; W]; 4];
    let mut d_before = [F::ZERO; W];
    for lane in 0..W {
        let (i, j, f, o) = (i[lane], j[lane], f[lane], o[lane]);
        let (d_h, tanh) = (d_output[lane], tanh[lane]);
        let d_c = d_cell[lane] + d_h * o * (F::ONE - tanh * tanh);
        d_gates[0][lane] = d_c * j * i * (F::ONE - i);
        d_gates[1][lane] = d_c * i * (F::ONE - j * j);
        d_gates[2][lane] = d_c * before[lane] * f * (F::ONE - f);
        d_gates[3][lane] = d_h * tanh * o * (F::ONE - o);
        d_before[lane] = d_c * f;
    }
    (d_gates, d_before)
}

/// What a gradient is summed over: so many blocks of rows, and of each the slots from `first` on.
#[derive(Clone, Copy)]
pub(crate) struct Slots {
    pub(crate) blocks: usize,
    pub(crate) slots: usize,
    pub(crate) first: usize,
}

/// Vectors of a batch: of each block `block`, of each slot `stride`, from `offset` on.
#[derive(Clone, Copy)]
pub(crate) struct Vectors<'v, F, const W: usize> {
    pub(crate) all: &'v [[F; W]],
    pub(crate) block: usize,
    pub(crate) stride: usize,
    pub(crate) offset: usize,
}

impl<'v, F, const W: usize> Vectors<'v, F, W> {
    /// Those of a slot, from the one at hand on.
    #[inline(always)]
    fn of(&self, block: usize, slot: usize, at: usize) -> &'v [[F; W]] {
        &self.all[block * self.block + slot * self.stride + self.offset + at..]
    }
}

/// `gradient(input, output) += Σ x · d` over rows, slots and blocks, for `inputs` × `outputs`: in
/// tiles of T inputs and four outputs, S lanes at a time.
#[inline(always)]
pub(crate) fn add_outer<F: Real, const W: usize, const S: usize, const T: usize>(
    slots: Slots,
    (x, inputs): (Vectors<'_, F, W>, usize),
    (d, outputs): (Vectors<'_, F, W>, usize),
    mut add: impl FnMut(usize, usize, F),
) {
    let mut input = 0;
    while input < inputs {
        let tall = if inputs - input < T { 1 } else { T };
        let mut output = 0;
        while output < outputs {
            let wide = if outputs - output < GROUP { 1 } else { GROUP };
            let at = (input, output);
            match (tall == T, wide == GROUP) {
                (true, true) => tile::<F, W, S, T, GROUP>(slots, &x, &d, at, &mut add),
                (true, false) => tile::<F, W, S, T, 1>(slots, &x, &d, at, &mut add),
                (false, true) => tile::<F, W, S, 1, GROUP>(slots, &x, &d, at, &mut add),
                (false, false) => tile::<F, W, S, 1, 1>(slots, &x, &d, at, &mut add),
            }
            output += wide;
        }
        input += tall;
    }
}

/// A part of the outer products: A inputs and B outputs from a place on.
#[inline(always)]
fn tile<F: Real, const W: usize, const S: usize, const A: usize, const B: usize>(
    slots: Slots,
    x: &Vectors<'_, F, W>,
    d: &Vectors<'_, F, W>,
    (input, output): (usize, usize),
    add: &mut impl FnMut(usize, usize, F),
) {
    // Lane l and l + 16 of the virtual ones.
    let mut halves = [[[F::ZERO; VIRTUAL / 2]; B]; A];
    for part in (0..VIRTUAL / 2).step_by(S) {
        let low = lanes_of_tile::<F, W, S, A, B>(slots, x, d, (input, output), part);
        let high = lanes_of_tile::<F, W, S, A, B>(slots, x, d, (input, output), part + VIRTUAL / 2);
        for at in 0..A {
            for to in 0..B {
                for lane in 0..S {
                    halves[at][to][part + lane] = low[at][to][lane] + high[at][to][lane];
                }
            }
        }
    }
    for (at, halves) in halves.iter().enumerate() {
        for (to, halves) in halves.iter().enumerate() {
            add(input + at, output + to, total(halves));
        }
    }
}

/// The sums of a tile in S of the virtual lanes, from `part` on.
#[inline(always)]
fn lanes_of_tile<F: Real, const W: usize, const S: usize, const A: usize, const B: usize>(
    slots: Slots,
    x: &Vectors<'_, F, W>,
    d: &Vectors<'_, F, W>,
    (input, output): (usize, usize),
    part: usize,
) -> [[[F; S]; B]; A] {
    // Which block of those that make up the virtual lanes, and where in it.
    let (block, lane) = (part / W, part % W);
    let mut sums = [[[F::ZERO; S]; B]; A];
    for block in (block..slots.blocks).step_by(VIRTUAL / W) {
        for slot in slots.first..slots.slots {
            let x: &[[F; W]; A] = first(x.of(block, slot, input));
            let d: &[[F; W]; B] = first(d.of(block, slot, output));
            let d: [[F; S]; B] = std::array::from_fn(|to| *first(&d[to][lane..]));
            for at in 0..A {
                let x: [F; S] = *first(&x[at][lane..]);
                for to in 0..B {
                    for lane in 0..S {
                        sums[at][to][lane] = x[lane].mul_add(d[to][lane], sums[at][to][lane]);
                    }
                }
            }
        }
    }
    sums
}

/// The first N elements.
#[inline(always)]
pub(crate) fn first<T, const N: usize>(slice: &[T]) -> &[T; N] {
    match slice.first_chunk() {
        Some(chunk) => chunk,
        None => unreachable!("a slice of fewer than {N}"),
    }
}

/// The sum of all lanes, in a fixed order: halves are added to each other.
#[inline(always)]
fn total<F: Real>(lanes: &[F; VIRTUAL / 2]) -> F {
    let eight: [F; 8] = std::array::from_fn(|lane| lanes[lane] + lanes[lane + 8]);
    let four: [F; 4] = std::array::from_fn(|lane| eight[lane] + eight[lane + 4]);
    (four[0] + four[2]) + (four[1] + four[3])
}

/// `gradient(output) += Σ d` over rows, slots and blocks.
#[inline(always)]
pub(crate) fn add_sums<F: Real, const W: usize>(
    slots: Slots,
    (d, outputs): (Vectors<'_, F, W>, usize),
    mut add: impl FnMut(usize, F),
) {
    for output in 0..outputs {
        let mut sums = [F::ZERO; VIRTUAL];
        for block in 0..slots.blocks {
            let part = block * W % VIRTUAL;
            for slot in slots.first..slots.slots {
                let d: &[[F; W]; 1] = first(d.of(block, slot, output));
                for (sum, &d) in sums[part..part + W].iter_mut().zip(&d[0]) {
                    *sum += d;
                }
            }
        }
        add(output, total(&std::array::from_fn(|lane| sums[lane] + sums[lane + VIRTUAL / 2])));
    }
}
