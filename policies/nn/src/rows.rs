//! The inner loops of dense layers over rows that are stored one after the other: of decisions, and
//! of networks whose batches are too ragged for [`lanes`](crate::lanes).
//!
//! Each sum is one chain of fused multiply-adds in the order of the inputs, whatever tile computes
//! it, so results depend neither on the processor nor on the rows beside. Weights are read as they
//! are among the parameters. Nothing here is compiled for the processor at hand unless it is called
//! within [`vectorised`](crate::kernels::vectorised).

use crate::lanes::first;
use crate::real::Real;

/// `sums += x · w`, for rows × `inputs` in x, inputs × `columns` in w, rows × columns in sums.
#[inline(always)]
pub(crate) fn add_product<F: Real>(
    x: &[F],
    inputs: usize,
    w: &[F],
    sums: &mut [F],
    columns: usize,
) {
    if inputs == 0 || columns == 0 {
        return;
    }
    // Tiles of the sums stay in registers while w is read: the more rows, the more often it is used.
    let (mut x, mut sums) = (x, sums);
    while sums.len() >= 4 * columns {
        let (now, later) = sums.split_at_mut(4 * columns);
        let (x_now, x_later) = x.split_at(4 * inputs);
        strip::<F, 4>(x_now, inputs, w, now, columns);
        (x, sums) = (x_later, later);
    }
    while sums.len() >= columns {
        let (now, later) = sums.split_at_mut(columns);
        let (x_now, x_later) = x.split_at(inputs);
        strip::<F, 1>(x_now, inputs, w, now, columns);
        (x, sums) = (x_later, later);
    }
}

/// R rows of [`add_product`].
#[inline(always)]
fn strip<F: Real, const R: usize>(x: &[F], inputs: usize, w: &[F], sums: &mut [F], columns: usize) {
    let mut column = 0;
    while R == 1 && columns - column >= 64 {
        tile::<F, R, 64>(x, inputs, w, sums, columns, column);
        column += 64;
    }
    while columns - column >= 16 {
        tile::<F, R, 16>(x, inputs, w, sums, columns, column);
        column += 16;
    }
    while columns - column >= 8 {
        tile::<F, R, 8>(x, inputs, w, sums, columns, column);
        column += 8;
    }
    while columns - column >= 4 {
        tile::<F, R, 4>(x, inputs, w, sums, columns, column);
        column += 4;
    }
    while columns > column {
        tile::<F, R, 1>(x, inputs, w, sums, columns, column);
        column += 1;
    }
}

/// R rows and C columns of [`add_product`].
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "an input of each of the R rows")]
fn tile<F: Real, const R: usize, const C: usize>(
    x: &[F],
    inputs: usize,
    w: &[F],
    sums: &mut [F],
    columns: usize,
    column: usize,
) {
    // Loops, because what builds arrays from closures may not be inlined.
    let mut rows: [&[F]; R] = [&[]; R];
    let mut tile = [[F::ZERO; C]; R];
    for row in 0..R {
        rows[row] = &x[row * inputs..(row + 1) * inputs];
        tile[row] = *first(&sums[row * columns + column..]);
    }
    // Not in chunks, whose number takes a division to find out.
    let mut w = &w[column..];
    for input in 0..inputs {
        let of_input: &[F; C] = first(w);
        for row in 0..R {
            let x = rows[row][input];
            for to in 0..C {
                tile[row][to] = x.mul_add(of_input[to], tile[row][to]);
            }
        }
        w = w.get(columns..).unwrap_or_default();
    }
    for row in 0..R {
        sums[row * columns + column..][..C].copy_from_slice(&tile[row]);
    }
}

/// `gradient += xᵀ · d`: of a weight matrix, inputs × outputs, from its inputs and ∂L/∂(sums). The
/// rows are summed up in their order.
#[inline(always)]
pub(crate) fn add_outer<F: Real>(
    (x, inputs): (&[F], usize),
    (d, outputs): (&[F], usize),
    gradient: &mut [F],
) {
    let mut input = 0;
    while inputs - input >= 4 {
        outer_strip::<F, 4>((x, inputs), (d, outputs), gradient, input);
        input += 4;
    }
    while inputs > input {
        outer_strip::<F, 1>((x, inputs), (d, outputs), gradient, input);
        input += 1;
    }
}

/// [`add_outer`] of R inputs.
#[inline(always)]
fn outer_strip<F: Real, const R: usize>(
    x: (&[F], usize),
    d: (&[F], usize),
    gradient: &mut [F],
    input: usize,
) {
    let (mut output, outputs) = (0, d.1);
    while outputs - output >= 16 {
        outer_tile::<F, R, 16>(x, d, gradient, (input, output));
        output += 16;
    }
    while outputs - output >= 4 {
        outer_tile::<F, R, 4>(x, d, gradient, (input, output));
        output += 4;
    }
    while outputs > output {
        outer_tile::<F, R, 1>(x, d, gradient, (input, output));
        output += 1;
    }
}

/// R inputs and C outputs of [`add_outer`].
#[inline(always)]
fn outer_tile<F: Real, const R: usize, const C: usize>(
    (x, inputs): (&[F], usize),
    (d, outputs): (&[F], usize),
    gradient: &mut [F],
    (input, output): (usize, usize),
) {
    let mut tile = [[F::ZERO; C]; R];
    for (x, d) in x.chunks_exact(inputs).zip(d.chunks_exact(outputs)) {
        let (x, d): (&[F; R], &[F; C]) = (first(&x[input..]), first(&d[output..]));
        for from in 0..R {
            for to in 0..C {
                tile[from][to] = x[from].mul_add(d[to], tile[from][to]);
            }
        }
    }
    for (from, tile) in tile.iter().enumerate() {
        let gradient = &mut gradient[(input + from) * outputs + output..][..C];
        for (gradient, &sum) in gradient.iter_mut().zip(tile) {
            *gradient += sum;
        }
    }
}

/// `d_x = d · wᵀ`, rows × inputs, for inputs × `outputs` in w; `turned` is room for wᵀ.
#[inline(always)]
pub(crate) fn input_gradient<F: Real>(
    (d, outputs): (&[F], usize),
    (w, inputs): (&[F], usize),
    turned: &mut Vec<F>,
    d_x: &mut [F],
) {
    turned.clear();
    for output in 0..outputs {
        turned.extend(w.chunks_exact(outputs).map(|w| w[output]));
    }
    d_x.fill(F::ZERO);
    add_product(d, outputs, turned, d_x, inputs);
}

/// Fills the rows of `sums` with one row.
#[inline(always)]
pub(crate) fn fill_rows<F: Real>(row: &[F], sums: &mut [F]) {
    if let [value] = row {
        return sums.fill(*value);
    }
    for sums in sums.chunks_exact_mut(row.len()) {
        sums.copy_from_slice(row);
    }
}

/// `sums += row`.
#[inline(always)]
pub(crate) fn add_row<F: Real>(row: &[F], sums: &mut [F]) {
    for (sum, &value) in sums.iter_mut().zip(row) {
        *sum += value;
    }
}

/// ReLU, in place.
///
/// The zero that is added makes every number one to be stored: to store only those that change, as
/// the compiler would, takes masks, which some processors are slow at.
#[inline(always)]
pub(crate) fn relu<F: Real>(sums: &mut [F]) {
    for sum in sums {
        *sum = F::ZERO.max(*sum) + F::ZERO;
    }
}

/// Mean and maximum of the rows, which are not below 0, in their order.
#[inline(always)]
pub(crate) fn pool<F: Real>(rows: &[F], mean: &mut [F], max: &mut [F]) {
    let width = mean.len();
    let share = F::ONE / F::of((rows.len() / width) as f64);
    let mut column = 0;
    while width - column >= 8 {
        pool_columns::<F, 8>(rows, width, column, share, mean, max);
        column += 8;
    }
    while width > column {
        pool_columns::<F, 1>(rows, width, column, share, mean, max);
        column += 1;
    }
}

/// C columns of [`pool`].
#[inline(always)]
fn pool_columns<F: Real, const C: usize>(
    rows: &[F],
    width: usize,
    column: usize,
    share: F,
    mean: &mut [F],
    max: &mut [F],
) {
    let (mut sums, mut most) = ([F::ZERO; C], [F::ZERO; C]);
    for row in rows.chunks_exact(width) {
        let row: &[F; C] = first(&row[column..]);
        for at in 0..C {
            sums[at] += row[at];
            most[at] = row[at].max(most[at]);
        }
    }
    for sum in &mut sums {
        *sum = *sum * share;
    }
    mean[column..][..C].copy_from_slice(&sums);
    max[column..][..C].copy_from_slice(&most);
}

/// ∂L/∂(sums) of a ReLU, in place: what passed stays. For the zero see [`relu`].
#[inline(always)]
pub(crate) fn relu_backward<F: Real>(output: &[F], d: &mut [F]) {
    for (d, &output) in d.iter_mut().zip(output) {
        let passed = if output > F::ZERO { *d } else { F::ZERO };
        *d = passed + F::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::Rng;

    use super::*;
    use crate::stream;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        /// Tiles of any size compute what three loops compute.
        #[test]
        fn tiles_are_three_loops(
            rows in 0_usize..10,
            inputs in 0_usize..10,
            columns in 1_usize..90,
            seed in any::<u64>(),
        ) {
            let mut rng = stream(seed, 0);
            let mut numbers = |count: usize| -> Vec<f32> {
                (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
            };
            let (x, w) = (numbers(rows * inputs), numbers(inputs * columns));
            let (mut sums, d) = (numbers(rows * columns), numbers(rows * columns));
            let (mut expected, mut gradient) = (sums.clone(), vec![0.0; w.len()]);
            let mut expected_gradient = gradient.clone();
            for row in 0..rows {
                for input in 0..inputs {
                    for column in 0..columns {
                        let (sum, at) = (&mut expected[row * columns + column], input * columns + column);
                        *sum = x[row * inputs + input].mul_add(w[at], *sum);
                        let sum = &mut expected_gradient[at];
                        *sum = x[row * inputs + input].mul_add(d[row * columns + column], *sum);
                    }
                }
            }
            add_product(&x, inputs, &w, &mut sums, columns);
            add_outer((&x, inputs), (&d, columns), &mut gradient);
            prop_assert_eq!(sums, expected);
            prop_assert_eq!(gradient, expected_gradient);
            let mut d_x = numbers(rows * inputs);
            input_gradient((&d, columns), (&w, inputs), &mut Vec::new(), &mut d_x);
            for (row, d_x) in d_x.chunks_exact(inputs.max(1)).enumerate() {
                for (input, &d_x) in d_x.iter().enumerate() {
                    let of = (0..columns).fold(0.0, |sum, column| {
                        d[row * columns + column].mul_add(w[input * columns + column], sum)
                    });
                    prop_assert_eq!(d_x, of);
                }
            }
        }
    }
}
