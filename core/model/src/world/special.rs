//! Special functions: the normal quantile, the Bessel function J₀ and the exponential integral E₁.

use crate::rng::Stream;

/// Σ c_k · x^k, coefficients from the constant on.
#[inline(always)]
fn polynomial<const N: usize>(coefficients: &[f64; N], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c)
}

/// Φ⁻¹: the standard normal quantile of a probability in 0 … 1; ±∞ at the ends.
///
/// Algorithm AS 241, PPND16 (Wichura 1988): relative error about 10⁻¹⁶. Chosen over Box–Muller,
/// which needs a logarithm, a root, a sine and a cosine for two numbers: here 85 % of all
/// arguments need one division and no transcendental function.
#[inline]
pub fn normal_quantile(probability: f64) -> f64 {
    let q = probability - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        q * polynomial(&CENTRE_OVER, r) / polynomial(&CENTRE_UNDER, r)
    } else {
        tail_quantile(probability, q)
    }
}

#[cold]
fn tail_quantile(probability: f64, q: f64) -> f64 {
    let tail = if q < 0.0 { probability } else { 1.0 - probability };
    if tail <= 0.0 {
        return f64::INFINITY.copysign(q);
    }
    let r = (-tail.ln()).sqrt();
    let size = if r <= 5.0 {
        polynomial(&MIDDLE_OVER, r - 1.6) / polynomial(&MIDDLE_UNDER, r - 1.6)
    } else {
        polynomial(&FAR_OVER, r - 5.0) / polynomial(&FAR_UNDER, r - 5.0)
    };
    size.copysign(q)
}

/// Compares numbers with normal quantiles, nearly always without computing one.
#[derive(Clone, Debug)]
pub(super) struct Quantiles {
    /// Φ⁻¹ at multiples of 1/64.
    steps: [f64; Self::STEPS + 1],
}

impl Quantiles {
    const STEPS: usize = 64;
    /// Above the error of a quantile between −8.2 and 8.2.
    const MARGIN: f64 = 1e-9;

    pub(super) fn new() -> Self {
        let step = |step| normal_quantile(step as f64 / Self::STEPS as f64);
        Self { steps: std::array::from_fn(step) }
    }

    /// `x < normal_quantile(probability)`, for a probability in 0 … 1.
    #[inline]
    pub(super) fn is_below(&self, x: f64, probability: f64) -> bool {
        let step = ((probability * Self::STEPS as f64) as usize).min(Self::STEPS - 1);
        // The quantile of a probability between two steps lies between theirs.
        if x < self.steps[step] - Self::MARGIN {
            true
        } else if x > self.steps[step + 1] + Self::MARGIN {
            false
        } else {
            x < normal_quantile(probability)
        }
    }
}

/// The next standard normal number of `stream`; takes one draw. Its tails end at ±8.2, beyond
/// which lie 2 · 10⁻¹⁶ of the distribution.
#[inline]
pub fn next_normal(stream: &mut Stream) -> f64 {
    // The middle of one of 2⁵³ cells of (0, 1), so that neither end is drawn.
    let cell = (stream.next_u64() >> 11) as f64 + 0.5;
    normal_quantile(cell * (1.0 / (1_u64 << 53) as f64))
}

const CENTRE_OVER: [f64; 8] = [
    3.387_132_872_796_366_5,
    1.331_416_678_917_843_8e2,
    1.971_590_950_306_551_3e3,
    1.373_169_376_550_946e4,
    4.592_195_393_154_987e4,
    6.726_577_092_700_87e4,
    3.343_057_558_358_813e4,
    2.509_080_928_730_122_7e3,
];
const CENTRE_UNDER: [f64; 8] = [
    1.0,
    4.231_333_070_160_091e1,
    6.871_870_074_920_579e2,
    5.394_196_021_424_751e3,
    2.121_379_430_158_659_7e4,
    3.930_789_580_009_271e4,
    2.872_908_573_572_194_3e4,
    5.226_495_278_852_854e3,
];
const MIDDLE_OVER: [f64; 8] = [
    1.423_437_110_749_683_5,
    4.630_337_846_156_546,
    5.769_497_221_460_691,
    3.647_848_324_763_204_5,
    1.270_458_252_452_368_4,
    2.417_807_251_774_506e-1,
    2.272_384_498_926_918_4e-2,
    7.745_450_142_783_414e-4,
];
const MIDDLE_UNDER: [f64; 8] = [
    1.0,
    2.053_191_626_637_759,
    1.676_384_830_183_803_8,
    6.897_673_349_851e-1,
    1.481_039_764_274_800_8e-1,
    1.519_866_656_361_645_7e-2,
    5.475_938_084_995_345e-4,
    1.050_750_071_644_416_9e-9,
];
const FAR_OVER: [f64; 8] = [
    6.657_904_643_501_103,
    5.463_784_911_164_114,
    1.784_826_539_917_291_3,
    2.965_605_718_285_048_7e-1,
    2.653_218_952_657_612_4e-2,
    1.242_660_947_388_078_4e-3,
    2.711_555_568_743_487_6e-5,
    2.010_334_399_292_288e-7,
];
const FAR_UNDER: [f64; 8] = [
    1.0,
    5.998_322_065_558_88e-1,
    1.369_298_809_227_358e-1,
    1.487_536_129_085_061_5e-2,
    7.868_691_311_456_133e-4,
    1.846_318_317_510_054_8e-5,
    1.421_511_758_316_446e-7,
    2.044_263_103_389_939_8e-15,
];

/// 1 − J₀(x) for |x| < 8, without cancellation near 0: the power series
/// y − y²/2!² + y³/3!² − …, y = x²/4, up to terms below 10⁻¹⁴.
#[inline]
fn one_minus_j0(x: f64) -> f64 {
    let y = 0.25 * x * x;
    // Terms y^k / k!² that are left out are below 10⁻¹⁴ (y ≤ 1, 4, 16).
    let terms = match y {
        y if y <= 1.0 => 9,
        y if y <= 4.0 => 14,
        _ => 23,
    };
    let mut nested = 1.0;
    for k in (2..=terms).rev() {
        nested = 1.0 - nested * y * INVERSE_SQUARES[k];
    }
    y * nested
}

/// 1 / k² by k; 0 at k = 0.
const INVERSE_SQUARES: [f64; 24] = {
    let mut values = [0.0; 24];
    let mut k = 1;
    while k < 24 {
        values[k] = 1.0 / (k * k) as f64;
        k += 1;
    }
    values
};

/// J₀(x) for |x| ≥ 8: Hankel's expansion, DLMF 10.17.3, five terms of each series; error below
/// 3 · 10⁻⁸ at 8 and falling.
fn j0_far(x: f64) -> f64 {
    let x = x.abs();
    let z = 1.0 / (x * x);
    let even = polynomial(&HANKEL_EVEN, z);
    let odd = polynomial(&HANKEL_ODD, z) / x;
    let (sine, cosine) = (x - std::f64::consts::FRAC_PI_4).sin_cos();
    (std::f64::consts::FRAC_2_PI / x).sqrt() * (even * cosine - odd * sine)
}

/// a₀, −a₂, a₄, … with a_k = (−1)^k · (1·3·…·(2k − 1))² / (k! · 8^k).
const HANKEL_EVEN: [f64; 5] = [
    1.0,
    -9.0 / 128.0,
    3_675.0 / 32_768.0,
    -2_401_245.0 / 4_194_304.0,
    13_043_905_875.0 / 2_147_483_648.0,
];
/// a₁, −a₃, a₅, …
const HANKEL_ODD: [f64; 5] = [
    -1.0 / 8.0,
    75.0 / 1_024.0,
    -59_535.0 / 262_144.0,
    57_972_915.0 / 33_554_432.0,
    -418_854_310_875.0 / 17_179_869_184.0,
];

/// J₀: the Bessel function of the first kind and order 0 of any real number; absolute error at
/// most 10⁻⁷ (10⁻¹³ for |x| < 8).
#[inline]
pub fn bessel_j0(x: f64) -> f64 {
    if x.abs() < 8.0 { 1.0 - one_minus_j0(x) } else { j0_far(x) }
}

/// −ln |J₀(x)| and the sign of J₀(x), ±1. The logarithm is 0 at 0, x²/4 to first order, accurate
/// however small x is, and ∞ at the zeros of J₀.
#[inline]
pub fn minus_ln_j0(x: f64) -> (f64, f64) {
    if x.abs() < 1.0 {
        (-(-one_minus_j0(x)).ln_1p(), 1.0)
    } else {
        let j0 = bessel_j0(x);
        (-j0.abs().ln(), 1.0_f64.copysign(j0))
    }
}

/// e^x · E₁(x) for x > 0, E₁(x) = ∫ₓ^∞ e^(−t)/t dt; relative error at most 10⁻¹², without
/// overflow at any x. ∞ at 0.
///
/// Up to 3 the series −γ − ln x + x − x²/(2·2!) + … (DLMF 6.6.2), beyond it the continued fraction
/// 1/(x + 1 − 1/(x + 3 − 4/(x + 5 − …))) (DLMF 6.9.1).
pub fn exponential_integral_scaled(x: f64) -> f64 {
    if x <= 3.0 {
        return x.exp() * exponential_integral_near(x);
    }
    let mut tail = 0.0;
    for k in (1..=24).rev() {
        let k = f64::from(k);
        tail = k * k / (x + 2.0 * k + 1.0 - tail);
    }
    1.0 / (x + 1.0 - tail)
}

/// E₁(x) for x > 0; relative error at most 10⁻¹².
pub fn exponential_integral(x: f64) -> f64 {
    if x <= 3.0 {
        exponential_integral_near(x)
    } else {
        (-x).exp() * exponential_integral_scaled(x)
    }
}

fn exponential_integral_near(x: f64) -> f64 {
    const EULER_GAMMA: f64 = 0.577_215_664_901_532_9;
    // Terms x^k / (k · k!) that are left out are below 10⁻¹⁵ (x ≤ 0.5, 3).
    let terms = if x <= 0.5 { 12 } else { 26 };
    // Σ (−1)^(k+1) x^k / (k · k!) as x·(1/1 − x/2·(1/2 − x/3·(1/3 − …))).
    let mut nested = 0.0;
    for k in (1..=terms).rev() {
        nested = INVERSES[k] - nested * x * INVERSES[k + 1];
    }
    x * nested - x.ln() - EULER_GAMMA
}

/// 1 / k by k; 0 at k = 0.
const INVERSES: [f64; 28] = {
    let mut values = [0.0; 28];
    let mut k = 1;
    while k < 28 {
        values[k] = 1.0 / k as f64;
        k += 1;
    }
    values
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, StreamFamily};

    /// References computed with mpmath at 20 digits.
    fn check(function: fn(f64) -> f64, references: &[(f64, f64)], tolerance: f64) {
        for &(x, wanted) in references {
            let error = (function(x) - wanted).abs();
            assert!(error <= tolerance * wanted.abs().max(1e-3), "{x}: off by {error:e}");
        }
    }

    #[test]
    fn quantiles_match_references() {
        let references = [
            (1e-300, -37.0470962993612),
            (1e-20, -9.262340089798409),
            (1e-10, -6.361340902404056),
            (0.001, -3.090232306167813),
            (0.0749, -1.4402382675279635),
            (0.0751, -1.4388253927525403),
            (0.25, -0.6744897501960817),
            (0.5, 0.0),
            (0.9, 1.2815515655446004),
            (0.9251, 1.4402382675279635),
            (0.999999, 4.753424308817087),
        ];
        check(normal_quantile, &references, 2e-15);
        let quantiles = Quantiles::new();
        let mut stream = StreamFamily::new(1, 0, Purpose::DEVICE).of(0);
        for number in 0..100_000 {
            let probability = if number < 65 { f64::from(number) / 64.0 } else { stream.uniform() };
            let quantile = normal_quantile(probability);
            for x in [next_normal(&mut stream), quantile, quantile.next_down(), quantile.next_up()]
            {
                assert_eq!(quantiles.is_below(x, probability), x < quantile, "{x}, {probability}");
            }
        }
        assert_eq!(normal_quantile(0.0), f64::NEG_INFINITY);
        assert_eq!(normal_quantile(1.0), f64::INFINITY);
    }

    #[test]
    fn normals_have_the_moments_of_a_normal() {
        let mut stream = StreamFamily::new(1, 1, Purpose::DEVICE).of(0);
        let n = 200_000;
        let mut moments = [0.0; 4];
        for _ in 0..n {
            let normal = next_normal(&mut stream);
            for (power, moment) in (1..).zip(&mut moments) {
                *moment += normal.powi(power) / f64::from(n);
            }
        }
        // Standard errors: √(1/n), √(2/n), √(15/n), √(96/n). Four of each.
        for (moment, (wanted, variance)) in
            moments.iter().zip([(0.0, 1.0), (1.0, 2.0), (0.0, 15.0), (3.0, 96.0)])
        {
            let error = (variance / f64::from(n)).sqrt();
            assert!((moment - wanted).abs() < 4.0 * error, "{moment} for {wanted}");
        }
    }

    #[test]
    fn j0_matches_references() {
        let references = [
            (0.0, 1.0),
            (0.1, 0.997_501_562_066_04),
            (0.5, 0.9384698072408129),
            (1.0, 0.765_197_686_557_966_6),
            (2.0, 0.22389077914123567),
            (3.0, -0.26005195490193344),
            (5.0, -0.1775967713143383),
            (std::f64::consts::TAU, 0.220_276_908_539_934_4),
            (7.9, 0.19436184484127824),
            (8.1, 0.14751745404437767),
            (10.0, -0.24593576445134834),
            (20.0, 0.16702466434058315),
            (50.0, 0.055812327669251815),
            (100.0, 0.019985850304223122),
        ];
        for (x, wanted) in references {
            let limit = if x < 8.0 { 1e-13 } else { 1e-7 };
            for x in [x, -x] {
                let error = (bessel_j0(x) - wanted).abs();
                assert!(error <= limit, "{x}: off by {error:e}");
            }
        }
        assert!(bessel_j0(2.404825557695773).abs() < 1e-15);
        // Both branches agree where they meet.
        assert!((bessel_j0(8.0_f64.next_down()) - bessel_j0(8.0)).abs() < 1e-7);
    }

    #[test]
    fn minus_ln_j0_keeps_its_relative_accuracy_near_0() {
        assert_eq!(minus_ln_j0(0.0), (0.0, 1.0));
        for x in [1e-150, 1e-8, 1e-4, 1e-3] {
            // −ln J₀(x) = x²/4 + x⁴/64 + O(x⁶).
            let wanted = x * x / 4.0 + x * x * x * x / 64.0;
            assert!((minus_ln_j0(x).0 / wanted - 1.0).abs() < 1e-12, "{x}");
        }
        for x in [0.3, 0.999, 1.0, 1.9, 3.0, 9.0] {
            let (minus_ln, sign) = minus_ln_j0(x);
            assert!((sign * (-minus_ln).exp() - bessel_j0(x)).abs() < 1e-13, "{x}");
        }
    }

    #[test]
    fn exponential_integrals_match_references() {
        let references = [
            (1e-8, 17.843465267487484),
            (0.001, 6.337874070325488),
            (0.1, 2.0146425447084516),
            (1.0, 0.596_347_362_323_194_1),
            (2.9, 0.269_413_880_395_663_8),
            (3.1, 0.255_152_547_768_516_9),
            (5.0, 0.1704221762847322),
            (10.0, 0.091_563_333_939_788_08),
            (50.0, 0.01961510993011487),
            (700.0, 0.0014265364183008867),
        ];
        check(exponential_integral_scaled, &references, 1e-12);
        // E₁(1) and E₁(10), Abramowitz and Stegun table 5.1.
        check(exponential_integral, &[(1.0, 0.219_383_934_395_520_27)], 1e-12);
        assert!((exponential_integral(10.0) / 4.156_968_929_685_324e-6 - 1.0).abs() < 1e-12);
        assert!((exponential_integral_scaled(1e300) * 1e300 - 1.0).abs() < 1e-12);
        assert_eq!(exponential_integral_scaled(0.0), f64::INFINITY);
    }
}
