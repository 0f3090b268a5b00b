//! Differential privacy: the Gaussian mechanism on a sum, and what it costs.
//!
//! Each device of a round is in the sum with probability q; what it adds has a norm of at most C, and noise
//! of standard deviation σC is added to the sum. The privacy that this costs is counted by Rényi divergences
//! (Mironov 2017), those of the sampled Gaussian mechanism (Mironov, Talwar and Zhang 2019), which add up over
//! rounds; they are then turned into (ε, δ) (Balle and others 2020). Neighbouring runs differ in all that one
//! device sends.

use offramp_model::rng::Stream;
use offramp_model::world::special::normal_quantile;

/// The orders of the divergences that are tried: whole numbers.
fn orders() -> impl Iterator<Item = u32> {
    (2..64).chain((64..=512).step_by(8))
}

/// ε of `rounds` rounds at δ, in each of which a device takes part with probability `share`, under noise of
/// standard deviation `noise` times the clipping norm. Infinite without noise; 0 if nobody takes part.
pub fn epsilon(share: f64, noise: f64, rounds: u64, delta: f64) -> f64 {
    if rounds == 0 || share == 0.0 {
        return 0.0;
    }
    let of_order = |order: u32| {
        let alpha = f64::from(order);
        let divergence = rounds as f64 * divergence(share, noise, order);
        divergence - (delta.ln() + alpha.ln()) / (alpha - 1.0) + (-1.0 / alpha).ln_1p()
    };
    orders().map(of_order).fold(f64::INFINITY, f64::min).max(0.0)
}

/// The Rényi divergence of whole order α > 1 of one round: ln Σ_k C(α, k) (1 − q)^(α−k) q^k e^((k² − k)/(2σ²)),
/// over α − 1.
fn divergence(share: f64, noise: f64, order: u32) -> f64 {
    let alpha = f64::from(order);
    if share >= 1.0 {
        return alpha / (2.0 * noise * noise);
    }
    let (mut choose, mut logs) = (0.0_f64, Vec::with_capacity(order as usize + 1));
    for k in 0..=order {
        let taken = f64::from(k);
        if k > 0 {
            choose += ((alpha - taken + 1.0) / taken).ln();
        }
        let drawn = (alpha - taken) * (-share).ln_1p() + taken * share.ln();
        logs.push(choose + drawn + taken * (taken - 1.0) / (2.0 * noise * noise));
    }
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logs.iter().map(|log| (log - largest).exp()).sum();
    (largest + sum.ln()) / (alpha - 1.0)
}

/// Scales a vector to a norm of at most `norm`.
pub(crate) fn clip(vector: &mut [f32], norm: f64) {
    let size = vector.iter().map(|&number| f64::from(number).powi(2)).sum::<f64>().sqrt();
    if size > norm {
        let factor = (norm / size) as f32;
        vector.iter_mut().for_each(|number| *number *= factor);
    }
}

/// Adds normal noise of this standard deviation to each number.
pub(crate) fn add_noise(vector: &mut [f32], deviation: f64, stream: &mut Stream) {
    for number in vector {
        // A probability of 0 has no quantile.
        let uniform = stream.uniform().max(f64::MIN_POSITIVE);
        *number += (deviation * normal_quantile(uniform)) as f32;
    }
}

#[cfg(test)]
mod tests {
    use offramp_model::rng::{Purpose, StreamFamily};

    use super::*;

    #[test]
    fn a_vector_is_clipped_to_its_norm() {
        let mut vector = [3.0, -4.0];
        clip(&mut vector, 10.0);
        assert_eq!(vector, [3.0, -4.0]);
        clip(&mut vector, 1.0);
        assert_eq!(vector, [0.6, -0.8]);
    }

    #[test]
    fn noise_has_its_deviation() {
        let mut noise = vec![0.0_f32; 20_000];
        add_noise(&mut noise, 0.5, &mut StreamFamily::new(1, 0, Purpose::new(19)).of(0));
        let mean = noise.iter().map(|&one| f64::from(one)).sum::<f64>() / 20_000.0;
        let square = noise.iter().map(|&one| f64::from(one).powi(2)).sum::<f64>() / 20_000.0;
        // Four standard errors.
        assert!(mean.abs() < 4.0 * 0.5 / 20_000_f64.sqrt(), "{mean}");
        assert!((square.sqrt() - 0.5).abs() < 4.0 * 0.5 / 40_000_f64.sqrt(), "{square}");
    }

    /// ε of dp-accounting 0.6 (`RdpAccountant`, neighbours that add or remove one) over the same orders. With
    /// its default orders, broken ones too, it is up to 1.1 % lower.
    #[test]
    fn it_costs_what_the_reference_says() {
        for (share, noise, rounds, delta, expected) in [
            (1.0, 1.0, 1, 1e-5, 4.752728336819822),
            (1.0, 4.0, 100, 1e-5, 14.176691480042894),
            (0.1, 1.0, 100, 1e-5, 7.972921510380539),
            (0.5, 2.0, 100, 1e-5, 15.804010815805224),
            (0.01, 1.1, 10_000, 1e-5, 5.6543080001495145),
            (0.2, 1.5, 90, 1e-3, 5.798438354652652),
            (0.5, 5.0, 100, 1e-5, 4.869572862894722),
        ] {
            let found = epsilon(share, noise, rounds, delta);
            assert!((found / expected - 1.0).abs() < 1e-9, "{found} instead of {expected}");
        }
    }

    #[test]
    fn nothing_costs_nothing_and_more_costs_more() {
        assert_eq!(epsilon(0.5, 1.0, 0, 1e-5), 0.0);
        assert_eq!(epsilon(0.0, 1.0, 9, 1e-5), 0.0);
        assert!(epsilon(0.5, 1.0, 10, 1e-5) < epsilon(0.5, 1.0, 20, 1e-5));
        assert!(epsilon(0.5, 1.0, 10, 1e-5) < epsilon(1.0, 1.0, 10, 1e-5));
        assert!(epsilon(0.5, 2.0, 10, 1e-5) < epsilon(0.5, 1.0, 10, 1e-5));
        // In the limit both formulas are one.
        let (sampled, whole) = (divergence(1.0 - 1e-12, 1.3, 7), divergence(1.0, 1.3, 7));
        assert!((sampled - whole).abs() < 1e-6, "{sampled} {whole}");
    }
}
