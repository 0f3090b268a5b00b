//! Several tests at once.

/// Which of several hypotheses are rejected, so that with probability 1 − `level` or more none of
/// the true ones is: Holm's procedure (1979), whatever the tests have in common. `probabilities`
/// are those of data like these, or more extreme, if each hypothesis were true.
pub fn holm(probabilities: &[f64], level: f64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]));
    let mut rejected = vec![false; probabilities.len()];
    for (earlier, at) in order.into_iter().enumerate() {
        if probabilities[at] > level / (probabilities.len() - earlier) as f64 {
            break;
        }
        rejected[at] = true;
    }
    rejected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holm_by_hand() {
        // 0.05 / 4, / 3, / 2: the third is not, nor then is the fourth.
        assert_eq!(holm(&[0.03, 0.01, 0.04, 0.015], 0.05), [false, true, false, true]);
        assert_eq!(holm(&[0.0126, 0.0127, 0.0128, 0.0129], 0.05), [false; 4]);
        assert_eq!(holm(&[0.0125, 0.0166, 0.025, 0.05], 0.05), [true; 4]);
        assert_eq!(holm(&[0.05], 0.05), [true]);
        assert!(holm(&[], 0.05).is_empty());
    }
}
