//! From numbers to an action: the largest, or a probability for each.

/// The index of the largest number; on ties, the first. 0 for an empty slice.
///
/// A number that is not comparable (NaN) is never larger than the one before it.
pub fn argmax<T: PartialOrd + Copy>(values: &[T]) -> usize {
    let mut best = 0;
    for (index, &value) in values.iter().enumerate() {
        if value > values[best] {
            best = index;
        }
    }
    best
}

/// e^xᵢ / Σⱼ e^xⱼ of each logit into `probabilities`, replacing what was there. The largest logit
/// is subtracted first, so that no exponential overflows.
pub fn softmax(logits: impl Iterator<Item = f32> + Clone, probabilities: &mut Vec<f32>) {
    let largest = logits.clone().fold(f32::NEG_INFINITY, f32::max);
    probabilities.clear();
    probabilities.extend(logits.map(|logit| (logit - largest).exp()));
    let sum: f32 = probabilities.iter().sum();
    probabilities.iter_mut().for_each(|probability| *probability /= sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_ties_the_first_is_the_largest() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0, 2.0]), 1);
        assert_eq!(argmax(&[0.0]), 0);
        assert_eq!(argmax(&[2_u32, 5, 5]), 1);
        assert_eq!(argmax::<f32>(&[]), 0);
    }

    #[test]
    fn probabilities_are_in_proportion_to_exponentials() {
        let mut probabilities = vec![9.0];
        softmax([1000.0, 1000.0 + 3.0_f32.ln()].into_iter(), &mut probabilities);
        assert!((probabilities[0] - 0.25).abs() < 1e-4 && (probabilities[1] - 0.75).abs() < 1e-4);
    }
}
