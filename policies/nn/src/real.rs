//! The numbers a network computes with: f32 in earnest, f64 where gradients are checked.
//!
//! The standard library's `tanh` takes some 15 ns a value and can't be vectorised; a training
//! run evaluates 5·10¹⁰ of them. The functions here are branch-free polynomials that the
//! compiler vectorises, with an error bound that a test holds.

use std::fmt::Debug;
use std::ops::{AddAssign, Neg};

use ndarray::LinalgScalar;

/// A real number.
pub trait Real:
    LinalgScalar + Debug + Default + PartialOrd + Send + Sync + Neg<Output = Self> + AddAssign + 'static
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;

    /// The nearest value to `value`.
    fn of(value: f64) -> Self;

    /// As an f64.
    fn f64(self) -> f64;

    /// `self · factor + addend`, rounded once. The same bits on every processor: where there is
    /// no such instruction it is computed in software.
    #[must_use]
    fn mul_add(self, factor: Self, addend: Self) -> Self;

    /// √.
    #[must_use]
    fn sqrt(self) -> Self;

    /// The larger one.
    #[must_use]
    fn max(self, other: Self) -> Self;

    /// e^self, for arguments whose result is finite and not subnormal; beyond them clamped.
    /// Relative error at most 3·10⁻⁷ in f32, 10⁻¹⁵ in f64.
    #[must_use]
    fn exp(self) -> Self;

    /// 1 / (1 + e^−self). Absolute error at most 10⁻⁷ in f32, 10⁻¹⁵ in f64.
    #[must_use]
    fn sigmoid(self) -> Self;

    /// tanh. Absolute error at most 2·10⁻⁷ in f32, 2·10⁻¹⁵ in f64.
    #[inline(always)]
    #[must_use]
    fn tanh(self) -> Self {
        let two = Self::ONE + Self::ONE;
        (two * self).sigmoid().mul_add(two, -Self::ONE)
    }
}

macro_rules! real {
    (
        $real:ident, $bits:ident, $mantissa:literal, $bias:literal, $most:literal, $degree:literal,
        $sigmoid:path
    ) => {
        impl Real for $real {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;

            #[inline(always)]
            fn of(value: f64) -> Self {
                value as Self
            }

            #[inline(always)]
            fn f64(self) -> f64 {
                f64::from(self)
            }

            #[inline(always)]
            fn mul_add(self, factor: Self, addend: Self) -> Self {
                $real::mul_add(self, factor, addend)
            }

            #[inline(always)]
            fn sqrt(self) -> Self {
                $real::sqrt(self)
            }

            #[inline(always)]
            fn max(self, other: Self) -> Self {
                if self > other { self } else { other }
            }

            #[inline(always)]
            fn sigmoid(self) -> Self {
                $sigmoid(self)
            }

            #[inline(always)]
            fn exp(self) -> Self {
                // e^x = 2^n · e^r with n whole and |r| ≤ ln 2 / 2; e^r by its Taylor series, of
                // which the first term left out is below the rounding error. ln 2 in two parts,
                // so that r is exact where x is large.
                const LN_2_HIGH: $real = 0.693_145_751_953_125_f64 as $real;
                const LN_2_LOW: $real = 1.428_606_820_309_417_2e-6_f64 as $real;
                const INVERSE: [$real; $degree + 1] = {
                    let mut inverse = [1.0; $degree + 1];
                    let mut factorial = 1.0;
                    let mut n = 1;
                    while n <= $degree {
                        factorial *= n as $real;
                        inverse[n] = 1.0 / factorial;
                        n += 1;
                    }
                    inverse
                };
                let x = if self > $most { $most } else { self };
                let x = if x < -$most { -$most } else { x };
                let n = (x * std::$real::consts::LOG2_E).round_ties_even();
                let r = n.mul_add(-LN_2_HIGH, x);
                let r = n.mul_add(-LN_2_LOW, r);
                let mut series = INVERSE[$degree];
                for term in (0..$degree).rev() {
                    series = series.mul_add(r, INVERSE[term]);
                }
                // 2^n, n within the exponents of normal numbers. The sum with 1.5 · 2^mantissa
                // has n in its lowest bits, which a vector can do where a conversion is slow.
                const SHIFT: $real = 1.5 * (1_u64 << $mantissa) as $real;
                let n = (n + SHIFT).to_bits().wrapping_sub(SHIFT.to_bits());
                series * $real::from_bits(n.wrapping_add($bias) << $mantissa)
            }
        }
    };
}

real!(f32, u32, 23, 127, 87.0, 7, sigmoid_f32);
real!(f64, u64, 52, 1023, 708.0, 13, sigmoid_f64);

/// Beyond ± this σ is 0 or 1 to 10⁻¹³, and its exponential within the exponents of normal numbers.
pub(crate) const SIGMOID_MOST: f32 = 30.0;

/// 1.5 · 2²³: a sum with it has the nearest whole number in its lowest bits.
pub(crate) const SIGMOID_SHIFT: f32 = 1.5 * (1_u32 << 23) as f32;

/// 2^r for |r| ≤ 1/2, lowest power first: relative error at most 10⁻⁷ (least maximum, by Lawson's
/// iteration, with a first term of 1).
pub(crate) const SIGMOID_TERMS: [f32; 6] =
    [1.0, 0.693_147, 0.240_222_42, 0.055_507_336, 0.009_671_513, 0.001_326_472_7];

/// 1 / (1 + 2^(−x log₂ e)). What [`Real::exp`] takes besides, for arguments far out, does not
/// show in a number that is hardly above 0 there, or hardly below 1.
#[inline(always)]
fn sigmoid_f32(x: f32) -> f32 {
    let x = if x > SIGMOID_MOST { SIGMOID_MOST } else { x };
    let x = if x < -SIGMOID_MOST { -SIGMOID_MOST } else { x };
    let shifted = x.mul_add(-std::f32::consts::LOG2_E, SIGMOID_SHIFT);
    let n = shifted - SIGMOID_SHIFT;
    let r = x.mul_add(-std::f32::consts::LOG2_E, -n);
    let mut series = SIGMOID_TERMS[SIGMOID_TERMS.len() - 1];
    for &term in SIGMOID_TERMS.iter().rev().skip(1) {
        series = series.mul_add(r, term);
    }
    // Times 2ⁿ: n, in the lowest bits of `shifted`, is added to the exponent.
    let power = f32::from_bits(series.to_bits().wrapping_add(shifted.to_bits() << 23));
    1.0 / (1.0 + power)
}

#[inline(always)]
fn sigmoid_f64(x: f64) -> f64 {
    1.0 / (1.0 + Real::exp(-x))
}

#[cfg(test)]
mod tests {
    use super::Real;

    /// Every value in steps of 10⁻⁴ and a little more, far beyond where the functions are flat.
    fn arguments() -> impl Iterator<Item = f64> {
        (-1_000_000..=1_000_000).map(|step| f64::from(step) * 1.000_13e-4)
    }

    fn worst(error: impl Fn(f64) -> f64) -> f64 {
        arguments().map(error).fold(0.0, f64::max)
    }

    #[test]
    fn errors_are_within_their_bounds() {
        let single = |ours: fn(f32) -> f32, exact: fn(f64) -> f64| {
            worst(|x| (f64::from(ours(x as f32)) - exact(f64::from(x as f32))).abs())
        };
        let double =
            |ours: fn(f64) -> f64, exact: fn(f64) -> f64| worst(|x| (ours(x) - exact(x)).abs());
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        assert!(single(<f32 as Real>::sigmoid, sigmoid) <= 1e-7);
        assert!(single(<f32 as Real>::tanh, f64::tanh) <= 2e-7);
        assert!(double(<f64 as Real>::sigmoid, sigmoid) <= 1e-15);
        assert!(double(<f64 as Real>::tanh, f64::tanh) <= 2e-15);
        let relative = worst(|x| {
            let x = (x * 0.86) as f32;
            let exact = f64::from(x).exp();
            (f64::from(Real::exp(x)) - exact).abs() / exact
        });
        assert!(relative <= 3e-7, "{relative}");
        let relative = worst(|x| (Real::exp(x) - f64::exp(x)).abs() / f64::exp(x));
        assert!(relative <= 1e-15, "{relative}");
    }

    #[test]
    fn far_out_it_stays_finite() {
        for x in [1e4_f32, f32::MAX, f32::INFINITY] {
            assert!(Real::exp(x).is_finite() && Real::exp(-x) >= 0.0);
            assert_eq!((Real::tanh(x), Real::tanh(-x)), (1.0, -1.0));
        }
    }
}
