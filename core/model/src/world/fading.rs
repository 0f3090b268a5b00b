//! Small-scale fading: the gain of a pair of device and station, slot by slot or averaged.
//!
//! The complex gain h is a first-order autoregression over slots with coefficient J₀(2π·f_D·τ),
//! the correlation of Jakes' model one slot apart; f_D = v·f_c/c is the Doppler frequency, τ the
//! slot. It is realised by [`Process`] through a change of time: each device has a clock
//! C(t) = Σ −ln|J₀| and a sign S(t) = Π sgn J₀ ([`FadeClocks`]), and the real and the imaginary
//! part of each station's h are two processes read at C(t), times S(t). So h of any pair and slot
//! is a pure function, and nothing is stored per pair.
//!
//! From f_D·τ = 1 on a slot averages over many fades; then the rate takes the ergodic mean of
//! log₂(1 + SNR·g), g = |h|².

use std::f64::consts::{FRAC_1_SQRT_2, LN_2, TAU};

use super::process::{Nearby, Process};
use super::special::{exponential_integral_scaled, minus_ln_j0};
use super::{InvalidWorld, check_between};

/// Speed of light, m/s, as 3GPP TR 38.901 rounds it.
pub(super) const LIGHT_MPS: f64 = 3.0e8;

/// The distribution of the power gain g = |h|², whose mean is 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fading {
    /// g = 1.
    None,
    /// g exponential: no direct path.
    Rayleigh,
    /// A direct path with K times the power of all others and a constant phase.
    Rician {
        /// K, dB, −30 … 30.
        k_db: f64,
    },
}

/// The fading of a device in a slot, for its links to all stations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fade {
    /// C: decorrelation of the gain since slot 0, 0 or more.
    pub clock: f64,
    /// S: 1 or −1.
    pub sign: f64,
    /// f_D·τ: Doppler frequency times slot, 0 or more.
    pub turns: f64,
}

impl Fade {
    /// The fading of a device at slot 0.
    pub fn at_start(turns: f64) -> Self {
        Self { clock: 0.0, sign: 1.0, turns }
    }

    /// True if a slot averages over many fades: f_D·τ ≥ 1.
    pub fn is_averaged(self) -> bool {
        self.turns >= 1.0
    }

    /// The fading one slot later, `turns` being f_D·τ between the two.
    #[inline]
    #[must_use]
    pub fn after(self, turns: f64) -> Self {
        let (decorrelation, sign) = minus_ln_j0(TAU * turns);
        let clock = self.clock + decorrelation.min(FORGOTTEN);
        Self { clock, sign: self.sign * sign, turns }
    }
}

/// Cap on a step of the clock: −ln|J₀| has poles, and a correlation of e^(−20) = 2 · 10⁻⁹ is none.
const FORGOTTEN: f64 = 20.0;

/// f_D·τ: the Doppler frequency of a speed (m/s) at a carrier (GHz), times the slot (s).
#[inline]
pub fn doppler_turns(speed_mps: f64, frequency_ghz: f64, slot_seconds: f64) -> f64 {
    speed_mps * frequency_ghz * 1e9 / LIGHT_MPS * slot_seconds
}

/// The fading of all devices in one slot of an episode.
#[derive(Clone, Debug)]
pub struct FadeClocks {
    fades: Vec<Fade>,
}

impl FadeClocks {
    /// All devices at slot 0; `turns` is the f_D·τ of each.
    pub fn new(turns: impl IntoIterator<Item = f64>) -> Self {
        Self { fades: turns.into_iter().map(Fade::at_start).collect() }
    }

    /// Moves one device to the next slot, `turns` being its f_D·τ. Call it once per device and slot.
    #[inline]
    pub fn advance(&mut self, device: u32, turns: f64) {
        let fade = &mut self.fades[device as usize];
        *fade = fade.after(turns);
    }

    /// The fading of a device.
    #[inline]
    pub fn fade(&self, device: u32) -> Fade {
        self.fades[device as usize]
    }
}

/// A kind of fading, checked and prepared.
#[derive(Clone, Debug)]
pub(super) struct Gains {
    /// Amplitude of the direct path, √(K/(K + 1)).
    direct: f64,
    /// Standard deviation of each part of the rest, √(1/(2·(K + 1))).
    scattered: f64,
    mean: MeanEfficiency,
}

#[derive(Clone, Debug)]
enum MeanEfficiency {
    /// log₂(1 + SNR).
    Constant,
    /// e^(1/SNR)·E₁(1/SNR)/ln 2.
    Rayleigh,
    /// By SNR, [`TABLE_FROM_DB`] … in steps of [`TABLE_STEP_DB`].
    Table(Vec<f64>),
}

const TABLE_FROM_DB: f64 = -60.0;
const TABLE_STEP_DB: f64 = 0.5;
const TABLE_LENGTH: usize = 321;

impl Gains {
    pub(super) fn new(fading: Fading) -> Result<Self, InvalidWorld> {
        Ok(match fading {
            Fading::None => Self { direct: 1.0, scattered: 0.0, mean: MeanEfficiency::Constant },
            Fading::Rayleigh => {
                Self { direct: 0.0, scattered: FRAC_1_SQRT_2, mean: MeanEfficiency::Rayleigh }
            }
            Fading::Rician { k_db } => {
                check_between("k_db", k_db, -30.0, 30.0)?;
                let k = 10.0_f64.powf(0.1 * k_db);
                let quadrature = RicianQuadrature::new(k);
                let snr_db = |row| TABLE_FROM_DB + TABLE_STEP_DB * row as f64;
                let table = (0..TABLE_LENGTH).map(|row| quadrature.mean(snr_db(row))).collect();
                Self {
                    direct: (k / (k + 1.0)).sqrt(),
                    scattered: (0.5 / (k + 1.0)).sqrt(),
                    mean: MeanEfficiency::Table(table),
                }
            }
        })
    }

    /// log₂(1 + SNR·g) of a pair in a slot, bit/s/Hz; its mean where a slot has many fades.
    /// `parts` are the processes of real and imaginary part.
    pub(super) fn efficiency(
        &self,
        parts: &[Process; 2],
        memory: &mut [Nearby; 2],
        pair: u64,
        fade: Fade,
        snr_db: f64,
    ) -> f64 {
        if matches!(self.mean, MeanEfficiency::Constant) || fade.is_averaged() {
            return self.mean_efficiency(snr_db);
        }
        (1.0 + from_db(snr_db) * self.gain(parts, memory, pair, fade)).log2()
    }

    /// g = |h|² of a pair.
    pub(super) fn gain(
        &self,
        parts: &[Process; 2],
        memory: &mut [Nearby; 2],
        pair: u64,
        fade: Fade,
    ) -> f64 {
        let [real, imaginary] = memory;
        let scattered = self.scattered * fade.sign;
        let real = self.direct + scattered * parts[0].near(real, pair, fade.clock);
        let imaginary = scattered * parts[1].near(imaginary, pair, fade.clock);
        real * real + imaginary * imaginary
    }

    /// E[log₂(1 + SNR·g)], bit/s/Hz; absolute error at most 10⁻⁶ for Rician fading (interpolation
    /// of third order in a table by dB), relative error 10⁻¹² else.
    pub(super) fn mean_efficiency(&self, snr_db: f64) -> f64 {
        match &self.mean {
            MeanEfficiency::Constant => (1.0 + from_db(snr_db)).log2(),
            MeanEfficiency::Rayleigh => exponential_integral_scaled(from_db(-snr_db)) / LN_2,
            MeanEfficiency::Table(table) => interpolate(table, snr_db),
        }
    }
}

/// 10^(x/10).
#[inline]
pub(super) fn from_db(db: f64) -> f64 {
    (db * (0.1 * std::f64::consts::LN_10)).exp()
}

fn interpolate(table: &[f64], snr_db: f64) -> f64 {
    let row = (snr_db - TABLE_FROM_DB) / TABLE_STEP_DB;
    if row < 1.0 {
        // E[SNR·g]/ln 2, to first order.
        return from_db(snr_db) / LN_2;
    }
    let last = table.len() - 1;
    if row >= (last - 1) as f64 {
        // log₂ SNR + E[log₂ g].
        return table[last] + (row - last as f64) * TABLE_STEP_DB * 0.1 * std::f64::consts::LOG2_10;
    }
    let at = row as usize;
    let t = row - at as f64;
    let [a, b, c, d] = [table[at - 1], table[at], table[at + 1], table[at + 2]];
    // Lagrange's polynomial through rows −1, 0, 1, 2.
    let (below, above, beyond) = (t + 1.0, t - 1.0, t - 2.0);
    -a * t * above * beyond / 6.0 + b * below * above * beyond / 2.0 - c * below * t * beyond / 2.0
        + d * below * t * above / 6.0
}

/// The mean over a Rician gain as a sum: by the trapezoid rule in y = ln √g, where the integrand
/// is analytic and falls off on both sides, so that the rule converges exponentially; error below
/// 10⁻¹⁰.
#[derive(Clone, Debug)]
struct RicianQuadrature {
    /// Gains and their weights.
    nodes: Vec<(f64, f64)>,
}

impl RicianQuadrature {
    fn new(k: f64) -> Self {
        let (root, direct) = ((1.0 + k).sqrt(), k.sqrt());
        // Beyond seven widths of the amplitude on either side lies e^(−49).
        let low = ((direct - 7.0) / root).max(1e-7).ln();
        let high = ((direct + 7.0) / root).ln();
        let step = f64::min(0.1, 0.3 / root);
        let count = ((high - low) / step).ceil() as usize;
        let nodes = (0..=count).map(|node| {
            let amplitude = (low + step * node as f64).exp();
            // Rice's density of the amplitude times its derivative by y, itself.
            let off = root * amplitude - direct;
            let bessel = bessel_i0_scaled(2.0 * amplitude * direct * root);
            let density = 2.0 * (root * amplitude).powi(2) * (-off * off).exp() * bessel;
            (amplitude * amplitude, step * density)
        });
        Self { nodes: nodes.collect() }
    }

    fn mean(&self, snr_db: f64) -> f64 {
        let snr = from_db(snr_db);
        self.nodes.iter().map(|(gain, weight)| weight * (snr * gain).ln_1p()).sum::<f64>() / LN_2
    }
}

/// e^(−z)·I₀(z) = (1/2π) ∫ e^(z·(cos θ − 1)) dθ over a turn, by the trapezoid rule; relative error
/// about 10⁻¹⁴.
fn bessel_i0_scaled(z: f64) -> f64 {
    let points = 24 + (8.0 * z.sqrt()) as u32;
    let value = |point| (z * ((TAU * f64::from(point) / f64::from(points)).cos() - 1.0)).exp();
    (0..points).map(value).sum::<f64>() / f64::from(points)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, StreamFamily};
    use crate::world::special::bessel_j0;
    use crate::world::statistics::{assert_mean, mean};

    const KINDS: [(Fading, f64); 4] = [
        (Fading::Rayleigh, 0.0),
        (Fading::Rician { k_db: -10.0 }, 0.1),
        (Fading::Rician { k_db: 0.0 }, 1.0),
        (Fading::Rician { k_db: 10.0 }, 10.0),
    ];

    fn parts() -> [Process; 2] {
        [Purpose::FADING_REAL, Purpose::FADING_IMAGINARY]
            .map(|purpose| Process::new(StreamFamily::new(5, 0, purpose)))
    }

    /// Gains of 100,000 pairs, and the same after slots with these f_D·τ.
    fn gains(fading: Fading, slots: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let (gains, parts) = (Gains::new(fading).unwrap(), parts());
        let mut clocks = FadeClocks::new([0.0]);
        // Not at an anchor of the process.
        clocks.advance(0, 0.13);
        let before = clocks.fade(0);
        slots.iter().for_each(|&turns| clocks.advance(0, turns));
        let all = |fade| {
            let mut memory = Default::default();
            (0..100_000).map(|pair| gains.gain(&parts, &mut memory, pair, fade)).collect()
        };
        (all(before), all(clocks.fade(0)))
    }

    #[test]
    fn gains_have_mean_1_and_their_variance() {
        for (fading, k) in KINDS {
            let (gains, _) = gains(fading, &[]);
            assert_mean("mean", mean(gains.iter().copied()), 1.0);
            let squares = gains.iter().map(|gain| (gain - 1.0).powi(2));
            let variance = (1.0 + 2.0 * k) / (1.0 + k).powi(2);
            assert_mean(&format!("variance, {fading:?}"), mean(squares), variance);
        }
        assert_eq!(gains(Fading::None, &[]).0, vec![1.0; 100_000]);
    }

    #[test]
    fn rayleigh_gains_are_exponential() {
        let (mut gains, _) = gains(Fading::Rayleigh, &[]);
        gains.sort_by(f64::total_cmp);
        let n = gains.len() as f64;
        let distance = (0..).zip(&gains).fold(0.0, |most: f64, (rank, gain)| {
            most.max((f64::from(rank) / n - (1.0 - (-gain).exp())).abs())
        });
        // Kolmogorov and Smirnov: beyond 1.95/√n with probability 0.001.
        assert!(distance < 1.95 / n.sqrt(), "{distance}");
    }

    #[test]
    fn gains_are_correlated_as_j0_squared() {
        // One slot; several with alike and with different speeds; a negative J₀ twice.
        for slots in [&[0.02][..], &[0.1], &[0.3], &[0.5], &[0.1, 0.1, 0.1], &[0.45, 0.02, 0.5]] {
            let (before, after) = gains(Fading::Rayleigh, slots);
            let products = before.iter().zip(&after).map(|(a, b)| (a - 1.0) * (b - 1.0));
            let wanted: f64 = slots.iter().map(|turns| bessel_j0(TAU * turns).powi(2)).product();
            assert_mean(&format!("correlation after {slots:?}"), mean(products), wanted);
        }
        // With a direct path the sign matters: real parts, f_D·τ = 0.5, J₀ = −0.304.
        let (before, after) = gains(Fading::Rician { k_db: 10.0 }, &[0.5]);
        let products = before.iter().zip(&after).map(|(a, b)| (a - 1.0) * (b - 1.0));
        let (k, j0) = (10.0, bessel_j0(TAU * 0.5));
        let wanted = (2.0 * k * j0 + j0 * j0) / (1.0_f64 + k).powi(2);
        assert_mean("Rician covariance", mean(products), wanted);
    }

    #[test]
    fn a_device_that_stands_still_keeps_its_gain() {
        let (before, after) = gains(Fading::Rayleigh, &[0.0; 20]);
        assert_eq!(before, after);
    }

    #[test]
    fn mean_efficiency_is_that_of_drawn_gains() {
        for (fading, _) in KINDS {
            let (gains, model) = (gains(fading, &[]).0, Gains::new(fading).unwrap());
            for snr_db in [-20.0, -3.3, 0.0, 7.7, 20.0, 45.0] {
                let drawn = gains.iter().map(|gain| (1.0 + from_db(snr_db) * gain).log2());
                let (drawn, error) = mean(drawn);
                let wanted = model.mean_efficiency(snr_db);
                // Three standard errors, not four.
                let three = (drawn, 0.75 * error);
                assert_mean(&format!("{fading:?} {snr_db} dB"), three, wanted);
            }
        }
    }

    #[test]
    fn quadrature_and_table_keep_their_errors() {
        // At K = 0 the quadrature is the closed form of Rayleigh fading.
        let (rayleigh, none) = (Gains::new(Fading::Rayleigh).unwrap(), RicianQuadrature::new(0.0));
        for snr_db in [-60.0, -20.0, 0.0, 13.0, 40.0, 100.0] {
            let error = none.mean(snr_db) - rayleigh.mean_efficiency(snr_db);
            assert!(error.abs() < 1e-10, "{snr_db} dB: {error:e}");
        }
        for k_db in [-30.0, 0.0, 10.0, 30.0] {
            let gains = Gains::new(Fading::Rician { k_db }).unwrap();
            let exact = RicianQuadrature::new(10.0_f64.powf(0.1 * k_db));
            let total: f64 = exact.nodes.iter().map(|(_, weight)| weight).sum();
            let mean: f64 = exact.nodes.iter().map(|(gain, weight)| gain * weight).sum();
            assert!((total - 1.0).abs() < 1e-10 && (mean - 1.0).abs() < 1e-10, "{k_db} dB");
            for tenth in -800..1_200 {
                let snr_db = 0.1 * f64::from(tenth);
                let error = gains.mean_efficiency(snr_db) - exact.mean(snr_db);
                assert!(error.abs() < 1e-6, "K {k_db} dB, SNR {snr_db} dB: {error:e}");
            }
        }
    }

    #[test]
    fn scaled_i0_matches_references() {
        // e^(−z)·I₀(z), Abramowitz and Stegun table 9.8.
        for (z, wanted) in [(0.0, 1.0), (1.0, 0.465_759_607_6), (5.0, 0.183_540_812_6)] {
            assert!((bessel_i0_scaled(z) - wanted).abs() < 1e-9, "{z}");
        }
        // 1/√(2πz)·(1 + 1/(8z) + 9/(128z²) + …).
        let z = 2_000.0;
        let wanted = (1.0 + 0.125 / z + 9.0 / 128.0 / (z * z)) / (TAU * z).sqrt();
        assert!((bessel_i0_scaled(z) / wanted - 1.0).abs() < 1e-10);
    }

    #[test]
    fn doppler_of_a_car() {
        // 30 m/s at 3 GHz: 300 Hz, 3 turns in 10 ms.
        assert_eq!(doppler_turns(30.0, 3.0, 0.01), 3.0);
        assert!(Fade::at_start(3.0).is_averaged() && !Fade::at_start(0.99).is_averaged());
    }
}
