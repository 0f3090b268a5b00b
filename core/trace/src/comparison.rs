//! Comparison of recorded with computed values.

use offramp_results::replay::Difference;

/// Recorded and computed values must agree to this. Delays, drops and active devices are whole
/// numbers: for them it means equality.
pub const TOLERANCE: f64 = 1e-9;

/// Number of differences that are kept.
const MAX_DIFFERENCES: usize = 10;

/// Compares value by value.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// Number of values compared.
    pub(crate) compared: u64,
    /// Number of them that differ by more than [`TOLERANCE`].
    pub(crate) differing: u64,
    /// The first [`MAX_DIFFERENCES`] of them.
    pub(crate) first: Vec<Difference>,
}

impl Comparison {
    /// Compares one value; `place` and `what` describe it if it differs.
    pub(crate) fn value(
        &mut self,
        place: impl FnOnce() -> String,
        what: impl FnOnce() -> String,
        recorded: f64,
        computed: f64,
    ) {
        self.compared += 1;
        // A value that is not a number is close to nothing.
        let close = (recorded - computed).abs() <= TOLERANCE;
        if !close {
            self.differing += 1;
            if self.first.len() < MAX_DIFFERENCES {
                let (place, what) = (place(), what());
                self.first.push(Difference { place, what, recorded, computed });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_the_first_are_kept() {
        let mut comparison = Comparison::default();
        let mut value = |recorded, computed| {
            comparison.value(|| "slot 3".into(), || "load".into(), recorded, computed);
        };
        value(1.0, 1.0 + TOLERANCE / 2.0);
        value(f64::NAN, 1.0);
        (0..20).for_each(|at| value(0.0, 1.0 + f64::from(at)));
        assert_eq!((comparison.compared, comparison.differing), (22, 21));
        assert_eq!(comparison.first.len(), MAX_DIFFERENCES);
        assert_eq!(comparison.first[1].to_string(), "slot 3: load: recorded 0, computed 1");
    }
}
