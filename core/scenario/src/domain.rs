//! Domains: what a field may be in a search or in a drawn system.

use offramp_model::rng::Stream;

use crate::Fault;
use crate::source::Source;

/// Digits of a drawn number that is not whole.
const DIGITS: usize = 4;

/// What a field may be.
#[derive(Clone, Debug, PartialEq)]
pub enum Domain {
    /// One of these values, as RON; at least one, all different.
    Values(Vec<String>),
    /// A whole number from the first to the second, which is larger.
    Whole(i64, i64, Scale),
    /// A number between the first and the second, which is larger.
    Real(f64, f64, Scale),
}

/// The scale on which a number is uniform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// That of the numbers.
    Linear,
    /// That of their logarithms; both bounds are above 0.
    Log,
}

impl Domain {
    /// Draws a value, as RON, by one draw of `stream`. A number that is not whole has four digits.
    pub fn draw(&self, stream: &mut Stream) -> String {
        match self {
            Self::Values(values) => values[stream.below(values.len())].clone(),
            Self::Whole(low, high, scale) => {
                // Each number has an interval of its own, of length 1.
                let (from, to) = (*low as f64 - 0.5, *high as f64 + 0.5);
                let number = scale.between(from, to, stream.uniform()).round();
                (number as i64).clamp(*low, *high).to_string()
            }
            Self::Real(low, high, scale) => {
                let number = scale.between(*low, *high, stream.uniform());
                // What fits on a line is easier to compare, and nothing needs more.
                let short = format!("{number:.*e}", DIGITS - 1);
                format!("{:?}", short.parse().unwrap_or(number).clamp(*low, *high))
            }
        }
    }

    /// The values at its edges: all of a list, both ends of a range.
    pub(crate) fn edges(&self) -> Vec<String> {
        match self {
            Self::Values(values) => values.clone(),
            Self::Whole(low, high, _) => vec![low.to_string(), high.to_string()],
            Self::Real(low, high, _) => vec![format!("{low:?}"), format!("{high:?}")],
        }
    }
}

impl Scale {
    /// The number at a share of the way from `low` to `high`.
    fn between(self, low: f64, high: f64, share: f64) -> f64 {
        match self {
            Self::Linear => low + share * (high - low),
            Self::Log => (low.ln() + share * (high.ln() - low.ln())).exp(),
        }
    }
}

/// Two bounds that are both written as whole numbers.
pub(crate) fn whole(bounds: [&str; 2]) -> Option<[i64; 2]> {
    let [low, high] = bounds.map(|bound| bound.replace('_', "").parse().ok());
    Some([low?, high?])
}

/// The numbers between two bounds.
pub(crate) fn real(
    source: Source<'_>,
    path: &str,
    bounds: [&str; 2],
    scale: Scale,
) -> Result<Domain, Fault> {
    let mut numbers = [0.0; 2];
    for (at, bound) in bounds.iter().enumerate() {
        let path = format!("{path}.{at}");
        let number = bound.replace('_', "").parse::<f64>().ok().filter(|number| number.is_finite());
        let Some(number) = number else {
            return Err(source.fault(&path, format!("a number is needed, not {bound}"), None));
        };
        if scale == Scale::Log && number <= 0.0 {
            let message = format!("{bound} has no logarithm: it is not above 0");
            return Err(source.fault(&path, message, None));
        }
        numbers[at] = number;
    }
    let [low, high] = numbers;
    if low >= high {
        let message = format!("{} is not below {}", bounds[0], bounds[1]);
        let help = "a range begins with its smaller number".to_owned();
        return Err(source.fault(path, message, Some(help)));
    }
    Ok(Domain::Real(low, high, scale))
}
