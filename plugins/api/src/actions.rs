//! Actions: choosing one by its value.

use crate::error::Error;

/// The action with the largest of the values, of which action 0 has the first; on ties, the first.
///
/// ```
/// # use offramp_plugin::best_action;
/// assert_eq!(best_action(&[1.5_f32, 3.0, 3.0]).unwrap(), 1);
/// assert!(best_action(&[1.5_f32, f32::NAN]).is_err());
/// ```
///
/// # Errors
/// A value that is not finite, with its action: no network means to decide by it. No values at all.
pub fn best_action<T: Copy + Into<f64>>(values: &[T]) -> Result<u32, Error> {
    let mut best: Option<(u32, f64)> = None;
    for (action, value) in (0..).zip(values.iter().map(|&value| value.into())) {
        if !value.is_finite() {
            return Err(Error::new(format!("the value of action {action} is {value}")));
        }
        if best.is_none_or(|(_, largest)| value > largest) {
            best = Some((action, value));
        }
    }
    best.map(|(action, _)| action).ok_or_else(|| Error::new("there is no value to decide by"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_largest_value_decides_and_none_that_is_not_finite() {
        assert_eq!(best_action(&[-1.0_f32, 2.0, 2.0, 0.0]), Ok(1));
        assert_eq!(best_action(&[-1.0_f64]), Ok(0));
        let error = |values: &[f32]| best_action(values).unwrap_err().message().to_owned();
        assert_eq!(error(&[f32::NAN; 3]), "the value of action 0 is NaN");
        assert_eq!(error(&[0.0, 1.0, f32::INFINITY]), "the value of action 2 is inf");
        assert_eq!(error(&[]), "there is no value to decide by");
    }
}
