//! From numbers to an action: the largest, or a probability for each. Numbers that are not finite
//! decide nothing: they are an error.

/// A number that decides, and is not finite.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("device {device} in slot {slot}: {what} {index} is {value}; only finite numbers decide")]
pub struct NotFinite {
    device: u32,
    slot: u32,
    what: &'static str,
    index: usize,
    value: f32,
}

/// Checks the numbers that decide for `device` in `slot`; `what` one of them is, such as "the value
/// of action".
///
/// # Errors
/// [`NotFinite`] names the first that is not finite.
#[inline]
pub fn expect_finite(
    values: &[f32],
    what: &'static str,
    device: u32,
    slot: u32,
) -> Result<(), NotFinite> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => Err(NotFinite { device, slot, what, index, value: values[index] }),
    }
}

/// The action of the largest value, on ties the first, for `device` in `slot`.
///
/// # Errors
/// [`NotFinite`] if a value is not finite.
#[inline]
pub fn best_action(values: &[f32], device: u32, slot: u32) -> Result<u32, NotFinite> {
    expect_finite(values, "the value of action", device, slot)?;
    Ok(argmax(values) as u32)
}

/// The index of the largest number; on ties, the first. 0 for an empty slice.
///
/// A number that is not comparable (NaN) is never larger than the one before it: where numbers may
/// be such, [`best_action`] decides.
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
    fn what_is_not_finite_decides_nothing() {
        assert_eq!(best_action(&[1.0, 3.0, 3.0], 7, 12), Ok(1));
        assert_eq!(
            best_action(&[1.0, 0.0, f32::NAN], 7, 12).unwrap_err().to_string(),
            "device 7 in slot 12: the value of action 2 is NaN; only finite numbers decide"
        );
        assert!(best_action(&[f32::INFINITY, 0.0], 0, 0).is_err());
        assert!(best_action(&[0.0, f32::NEG_INFINITY], 0, 0).is_err());
    }

    #[test]
    fn probabilities_are_in_proportion_to_exponentials() {
        let mut probabilities = vec![9.0];
        softmax([1000.0, 1000.0 + 3.0_f32.ln()].into_iter(), &mut probabilities);
        assert!((probabilities[0] - 0.25).abs() < 1e-4 && (probabilities[1] - 0.75).abs() < 1e-4);
    }
}
