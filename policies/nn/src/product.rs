//! Matrix products of plain slices, row by row: ndarray's, and one of our own for a single row.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};

use crate::kernels::{AddRowProduct, vectorised};
use crate::real::Real;

/// `slice` as a matrix of `columns` columns.
fn matrix<F>(slice: &[F], columns: usize) -> ArrayView2<'_, F> {
    // The length is a multiple of the columns wherever this is called.
    match ArrayView2::from_shape((slice.len() / columns, columns), slice) {
        Ok(view) => view,
        Err(error) => unreachable!("{error}"),
    }
}

fn matrix_mut<F>(slice: &mut [F], columns: usize) -> ArrayViewMut2<'_, F> {
    match ArrayViewMut2::from_shape((slice.len() / columns, columns), slice) {
        Ok(view) => view,
        Err(error) => unreachable!("{error}"),
    }
}

/// `sums = x · w`, sums having `columns` columns.
pub(crate) fn product<F: Real>(x: &[F], inner: usize, w: &[F], sums: &mut [F], columns: usize) {
    if x.len() == inner {
        sums.fill(F::ZERO);
        vectorised(AddRowProduct { x, w, sums });
    } else {
        general_mat_mul(
            F::ONE,
            &matrix(x, inner),
            &matrix(w, columns),
            F::ZERO,
            &mut matrix_mut(sums, columns),
        );
    }
}

/// `gradient += xᵀ · d`: of a weight matrix, from its inputs and the gradient of its sums.
pub(crate) fn add_weight_gradient<F: Real>(
    x: &[F],
    inner: usize,
    d: &[F],
    columns: usize,
    gradient: &mut [F],
) {
    general_mat_mul(
        F::ONE,
        &matrix(x, inner).t(),
        &matrix(d, columns),
        F::ONE,
        &mut matrix_mut(gradient, columns),
    );
}

/// `d_x = d · wᵀ`: of the inputs.
pub(crate) fn input_gradient<F: Real>(
    d: &[F],
    columns: usize,
    w: &[F],
    d_x: &mut [F],
    inner: usize,
) {
    general_mat_mul(
        F::ONE,
        &matrix(d, columns),
        &matrix(w, columns).t(),
        F::ZERO,
        &mut matrix_mut(d_x, inner),
    );
}
