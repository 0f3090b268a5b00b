//! Distributions: how a quantity of a device, a server or a task is drawn.

use crate::rng::Stream;

/// A distribution of a quantity, in the unit of that quantity.
#[derive(Clone, Debug, PartialEq)]
pub enum Distribution {
    /// Always this value.
    Constant(f64),
    /// Uniform in `low` … `high`, with `low` ≤ `high`.
    Uniform(f64, f64),
    /// One of these values, equally likely; not empty.
    Choice(Vec<f64>),
}

impl Distribution {
    /// Draws one value. Takes one draw of `stream`; a constant takes none.
    #[inline]
    pub fn draw(&self, stream: &mut Stream) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::Uniform(low, high) => low + (high - low) * stream.uniform(),
            Self::Choice(values) => values[stream.below(values.len())],
        }
    }

    /// The smallest value it can take.
    pub fn min(&self) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::Uniform(low, _) => *low,
            Self::Choice(values) => values.iter().copied().fold(f64::INFINITY, f64::min),
        }
    }

    /// The largest value it can take.
    pub fn max(&self) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::Uniform(_, high) => *high,
            Self::Choice(values) => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        }
    }

    /// Describes the first value outside `range`, bounds in the wrong order or an empty choice;
    /// `None` if it is valid.
    pub fn fault(&self, range: &Range) -> Option<String> {
        match self {
            Self::Uniform(low, high) if low > high => {
                return Some(format!("Uniform({low}, {high}) has its bounds the wrong way round"));
            }
            Self::Choice(values) if values.is_empty() => {
                return Some("Choice([]) has nothing to choose from".into());
            }
            Self::Choice(values) => return values.iter().find_map(|&value| range.fault(value)),
            _ => {}
        }
        range.fault(self.min()).or_else(|| range.fault(self.max()))
    }
}

/// The range of a quantity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range {
    /// Above 0: 10⁻¹⁵ … 10¹⁵, so that no product or sum of quantities overflows.
    Positive,
    /// 0 … 10¹⁵.
    NotNegative,
    /// 0, or as [`Range::Positive`]: a rate, by which energies divide where it is not 0.
    ZeroOrPositive,
    /// 0 … 1, both included.
    Unit,
}

impl Range {
    /// Upper bound on every quantity, and the inverse of the lower bound on positive ones: beyond
    /// any unit, yet the energy of all tasks and its square are far from overflowing.
    const MAX: f64 = 1e15;

    /// Describes `value` and the range needed; `None` if it is in range.
    pub fn fault(&self, value: f64) -> Option<String> {
        let (holds, wanted) = match self {
            Self::Positive | Self::NotNegative | Self::ZeroOrPositive if value > Self::MAX => {
                (false, "at most 1e15")
            }
            Self::Positive if value > 0.0 && value < 1.0 / Self::MAX => (false, "at least 1e-15"),
            Self::ZeroOrPositive if value > 0.0 && value < 1.0 / Self::MAX => {
                (false, "at least 1e-15, or 0,")
            }
            Self::Positive => (value > 0.0, "a number above 0"),
            // −0 would make quotients −∞.
            Self::ZeroOrPositive => (value.is_sign_positive() && value >= 0.0, "0 or more"),
            Self::NotNegative => (value >= 0.0, "a number of 0 or more"),
            Self::Unit => ((0.0..=1.0).contains(&value), "a number from 0 to 1"),
        };
        let readable = value == 0.0 || (1e-5..=Self::MAX).contains(&value.abs());
        let shown = if readable { value.to_string() } else { format!("{value:?}") };
        (!holds).then(|| format!("{shown} is out of range: {wanted} is needed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, StreamFamily};

    #[test]
    fn draws_stay_within_min_and_max() {
        let mut stream = StreamFamily::new(1, 1, Purpose::DEVICE).of(0);
        for distribution in [
            Distribution::Constant(2.0),
            Distribution::Uniform(1.0, 7.0),
            Distribution::Choice(vec![0.197, 0.397, 0.297]),
        ] {
            for _ in 0..1000 {
                let value = distribution.draw(&mut stream);
                assert!((distribution.min()..=distribution.max()).contains(&value));
            }
        }
    }

    #[test]
    fn faults_are_found_anywhere() {
        let fault = |distribution: Distribution| distribution.fault(&Range::Positive);
        assert_eq!(fault(Distribution::Uniform(1.0, 7.0)), None);
        assert!(fault(Distribution::Uniform(7.0, 1.0)).is_some());
        assert!(fault(Distribution::Uniform(0.0, 1.0)).is_some());
        assert!(fault(Distribution::Choice(vec![])).is_some());
        assert!(fault(Distribution::Choice(vec![1.0, f64::NAN])).is_some());
        assert!(fault(Distribution::Constant(f64::INFINITY)).is_some());
        assert!(fault(Distribution::Constant(1e-300)).is_some());
        assert_eq!(
            Range::NotNegative.fault(1e308).as_deref(),
            Some("1e308 is out of range: at most 1e15 is needed")
        );
        assert!(Range::NotNegative.fault(f64::NAN).is_some());
        assert_eq!(Range::NotNegative.fault(0.0), None);
        assert_eq!(Range::ZeroOrPositive.fault(0.0), None);
        assert_eq!(Range::ZeroOrPositive.fault(1e-15), None);
        for wrong in [-0.0, 1e-16, -1.0, 1e16, f64::NAN] {
            assert!(Range::ZeroOrPositive.fault(wrong).is_some(), "{wrong}");
        }
    }
}
