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
    /// Draws one value. Takes exactly one draw of `stream`, whatever the distribution.
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
    /// Above 0 and finite.
    Positive,
    /// 0 or above, and finite.
    NotNegative,
    /// 0 … 1, both included.
    Unit,
}

impl Range {
    /// Describes `value` and the range needed; `None` if it is in range.
    pub fn fault(&self, value: f64) -> Option<String> {
        let (holds, wanted) = match self {
            Self::Positive => (value > 0.0 && value.is_finite(), "a number above 0"),
            Self::NotNegative => (value >= 0.0 && value.is_finite(), "a number of 0 or more"),
            Self::Unit => ((0.0..=1.0).contains(&value), "a number from 0 to 1"),
        };
        (!holds).then(|| format!("{value} is out of range: {wanted} is needed"))
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
    }
}
