//! The rule by which the network's numbers decide.

use offramp_nn::checkpoint::{Checkpoint, CheckpointError};
use offramp_nn::set::TEMPERATURE as FACT;
use offramp_nn::softmax;
use rand::Rng;

/// How decisions are made of the network's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// They are values: the largest decides.
    Largest,
    /// They are preferences, for which actions are drawn: devices that see the same loads spread over the
    /// servers.
    Drawn,
}

impl Rule {
    /// That of the weights of a checkpoint.
    ///
    /// # Errors
    /// [`CheckpointError`] if they are preferences in another unit.
    pub(crate) fn of(checkpoint: &Checkpoint) -> Result<Self, CheckpointError> {
        match checkpoint.metadata.get(FACT) {
            None => Ok(Self::Largest),
            Some(stated) if *stated == TEMPERATURE.to_string() => Ok(Self::Drawn),
            Some(stated) => Err(CheckpointError::Mismatch {
                found: format!("has the temperature {stated}"),
                wanted: format!("{TEMPERATURE} is needed"),
            }),
        }
    }

    /// States it in a checkpoint.
    pub(crate) fn state(self, checkpoint: &mut Checkpoint) {
        if self == Self::Drawn {
            checkpoint.metadata.insert(FACT.to_owned(), TEMPERATURE.to_string());
        }
    }
}

/// τ: of preferences that differ by it, one is e times as likely as the other. They are fitted to gains in
/// R_base at first, where a twentieth is much.
pub(crate) const TEMPERATURE: f32 = 0.05;

/// π(a|s) = e^(A(s, a)/τ) / Σ e^(A(s, ·)/τ) of the preferences A(s, ·).
pub(crate) fn probabilities(preferences: &[f32], probabilities: &mut Vec<f32>) {
    softmax(preferences.iter().map(|preference| preference / TEMPERATURE), probabilities);
}

/// Σ π_T ln(π_T/π): how far π is from a teacher's probabilities π_T, in nats; 0 if they are the same.
pub(crate) fn divergence(theirs: &[f32], ours: &[f32]) -> f64 {
    // What is too unlikely to be a number counts as the smallest one.
    let log = |probability: f32| f64::from(probability.max(f32::MIN_POSITIVE)).ln();
    let each = theirs.iter().zip(ours);
    each.map(|(&theirs, &ours)| f64::from(theirs) * (log(theirs) - log(ours))).sum()
}

/// Draws an action.
pub(crate) fn draw(probabilities: &[f32], rng: &mut impl Rng) -> u32 {
    let mut left = rng.random::<f32>();
    let last = probabilities.len() - 1;
    let chosen = probabilities[..last].iter().position(|probability| {
        left -= probability;
        left < 0.0
    });
    chosen.unwrap_or(last) as u32
}

#[cfg(test)]
mod tests {
    use offramp_nn::stream;

    use super::*;

    #[test]
    fn actions_are_drawn_by_their_probabilities() {
        let mut policy = Vec::new();
        let tau = TEMPERATURE;
        probabilities(
            &[100.0, 100.0 + 2.0_f32.ln() * tau, 100.0 + 5.0_f32.ln() * tau],
            &mut policy,
        );
        let mut rng = stream(1, 0);
        let mut counts = [0.0_f64; 3];
        (0..8000).for_each(|_| counts[draw(&policy, &mut rng) as usize] += 1.0);
        for (count, expected) in counts.into_iter().zip([1000.0_f64, 2000.0, 5000.0]) {
            assert!((count - expected).abs() < 5.0 * expected.sqrt(), "{counts:?}");
        }
        assert_eq!(draw(&[1.0], &mut rng), 0);
        // Rounding may leave a little over.
        assert_eq!((0..100).map(|_| draw(&[0.0, 0.0], &mut rng)).max(), Some(1));
    }
}
