//! Statistics: means, intervals and paired differences, as comparisons of learned policies should
//! report them (Agarwal and others, "Deep reinforcement learning at the edge of the statistical
//! precipice", 2021).
//!
//! A learned policy was trained under several seeds, and each result was evaluated on the same
//! episodes. Both are samples: another training would have ended elsewhere, and other episodes
//! would have had other tasks. So a score is a mean plus what its seed adds, what its episode adds
//! and a rest, both crossed and both random, and the interval of a statistic is about what other
//! seeds and other episodes would yield.
//!
//! [`Scores`] are the numbers of one policy; an [`Interval`] is what a statistic of them returns,
//! with the [`Basis`] it rests on. [`holm`] is for several tests at once.
//!
//! **The interval.** A statistic is written as a mean of one number per score, its influence
//! (exact for a mean with equal weights; for a weighted mean that of a ratio, for an interquartile
//! mean that of a trimmed mean, Tukey and McLaughlin 1963). The variance of that mean has a part
//! from the episodes, V(E), one from the seeds, V(S), and V(R) from the rest, which is in both and
//! must not count twice. The half width is √(t²V(E) + max(0, t²V(S) − t²V(R))), where each part has
//! Student's t of its own degrees of freedom: E − 1, S − 1 and (E − 1)(S − 1) (after Howe 1974,
//! Graybill and Wang 1980, and Burdick and Graybill 1992). Shares of episodes and probabilities end
//! at 0 and 1.
//!
//! **Pairs.** Two policies meet the same tasks, so a difference is taken episode by episode.
//! Training seeds are paired where both policies descend from one training (a student and its
//! teacher, two students of one teacher, one network at two points): then the differences are one
//! table of seeds and episodes. Trainings of their own have nothing in common even if their seeds'
//! numbers agree: the parts of their seeds add, with Welch's degrees of freedom, and the numbers of
//! seeds may differ. A policy that does not learn has one row and no part from seeds.
//!
//! **One training seed** leaves the interval to the episodes alone; its basis states that
//! ([`Basis::OneTraining`]).
//!
//! **Designs that lost** in the same simulation: the percentile bootstrap over seeds and episodes
//! (75 % instead of 95 % with three seeds where seeds dominate, because the smallest of three
//! numbers is its 2.5 % quantile); one t with Satterthwaite's degrees of freedom for the sum
//! (92 % with three seeds where seeds and episodes weigh about the same); max(0, V(S) − V(R)) with
//! the quantile of V(S) outside (92 % with three seeds where episodes add nothing of their own).
//!
//! **Coverage**, the share of simulated studies, in percent, whose 95 % interval contains the true
//! value: 50 episodes; the standard deviation of what a seed adds at 0 to 2 times that of the
//! scores of one seed, of whose variance episodes make half; 10,000 studies a cell, so ± 0.4. Of
//! the mean of a policy, and of the differences of two that were trained apart, of one and a policy
//! without seeds, and of two that are paired by seed.
//! `cargo test -p offramp-results coverage_of_everything -- --ignored --nocapture` prints it:
//!
//! | of | numbers | seeds | 0 | 0.2 | 0.5 | 1 | 2 |
//! |---|---|---|---|---|---|---|---|
//! | mean | normal | 3 | 98.0 | 97.2 | 95.8 | 95.5 | 95.2 |
//! | mean | normal | 5 | 96.4 | 96.7 | 95.8 | 95.3 | 95.0 |
//! | mean | normal | 10 | 95.5 | 95.9 | 95.8 | 95.2 | 95.3 |
//! | mean | log-normal | 3 | 97.6 | 96.6 | 94.8 | 93.3 | 92.8 |
//! | mean | log-normal | 5 | 96.1 | 95.8 | 93.7 | 92.0 | 91.3 |
//! | mean | log-normal | 10 | 95.0 | 95.0 | 94.2 | 93.2 | 92.5 |
//! | mean | squared normal | 3 | 97.3 | 95.9 | 90.3 | 84.4 | 82.5 |
//! | mean | squared normal | 5 | 95.1 | 94.4 | 90.0 | 85.5 | 83.4 |
//! | mean | squared normal | 10 | 93.4 | 93.7 | 91.9 | 88.6 | 86.8 |
//! | trained apart | normal | 3 | 98.7 | 96.8 | 96.7 | 96.6 | 96.7 |
//! | trained apart | normal | 5 | 97.4 | 95.6 | 95.4 | 95.2 | 95.2 |
//! | trained apart | normal | 10 | 96.6 | 95.4 | 95.3 | 95.4 | 95.3 |
//! | trained apart | log-normal | 3 | 98.7 | 97.3 | 97.3 | 97.2 | 97.2 |
//! | trained apart | log-normal | 5 | 97.5 | 95.9 | 96.2 | 96.3 | 96.4 |
//! | trained apart | log-normal | 10 | 96.7 | 96.2 | 96.1 | 96.2 | 96.3 |
//! | trained apart | squared normal | 3 | 98.5 | 97.9 | 98.2 | 98.2 | 98.2 |
//! | trained apart | squared normal | 5 | 97.7 | 97.0 | 97.7 | 98.2 | 98.2 |
//! | trained apart | squared normal | 10 | 96.4 | 96.0 | 96.8 | 96.7 | 96.8 |
//! | against no seeds | normal | 3 | 98.1 | 97.0 | 95.7 | 95.3 | 95.1 |
//! | against no seeds | normal | 5 | 95.9 | 96.4 | 95.8 | 95.2 | 95.0 |
//! | against no seeds | normal | 10 | 95.6 | 95.9 | 95.8 | 95.5 | 95.3 |
//! | against no seeds | log-normal | 3 | 98.2 | 97.5 | 94.9 | 93.4 | 92.8 |
//! | against no seeds | log-normal | 5 | 95.9 | 96.7 | 93.8 | 92.0 | 91.2 |
//! | against no seeds | log-normal | 10 | 94.9 | 95.9 | 95.3 | 93.3 | 92.4 |
//! | against no seeds | squared normal | 3 | 97.7 | 97.7 | 91.4 | 84.6 | 82.6 |
//! | against no seeds | squared normal | 5 | 95.5 | 97.0 | 91.4 | 85.3 | 83.1 |
//! | against no seeds | squared normal | 10 | 93.7 | 96.1 | 94.2 | 89.0 | 86.9 |
//! | paired by seed | normal | 3 | 98.8 | 96.2 | 95.5 | 95.4 | 95.4 |
//! | paired by seed | normal | 5 | 98.0 | 95.0 | 94.8 | 94.9 | 94.8 |
//! | paired by seed | normal | 10 | 97.2 | 95.1 | 95.0 | 94.9 | 95.0 |
//! | paired by seed | log-normal | 3 | 98.8 | 96.9 | 96.3 | 96.3 | 96.2 |
//! | paired by seed | log-normal | 5 | 97.8 | 95.5 | 95.6 | 95.7 | 95.7 |
//! | paired by seed | log-normal | 10 | 96.9 | 95.7 | 95.8 | 95.8 | 95.8 |
//! | paired by seed | squared normal | 3 | 98.7 | 97.7 | 97.7 | 97.9 | 98.0 |
//! | paired by seed | squared normal | 5 | 98.0 | 96.7 | 97.1 | 97.4 | 97.6 |
//! | paired by seed | squared normal | 10 | 97.1 | 95.8 | 96.3 | 96.5 | 96.6 |
//!
//! With normal numbers it is 94.8 to 97.2 where seeds matter. It is up to 98.8 (too wide, never too
//! narrow) where they do not: few can't show that they vary less than the rest. Skew harms where it does not cancel, in a mean or against a policy without seeds,
//! and where seeds dominate: 91 to 93 with log-normal numbers (skewness 1.75), 82 to 89 with
//! squared normal ones (2.8). Differences of two that were trained keep 94.8 to 98.8.

use serde::{Deserialize, Serialize};

#[cfg(test)]
mod coverage;
mod interval;
mod multiple;
mod scores;

pub use interval::{Basis, Interval, MISSES};
pub use multiple::holm;
pub use scores::Scores;

/// A value and its weight in a mean ([`Pooling`](crate::metric::Pooling)).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weighted {
    /// The value.
    pub value: f64,
    /// The weight, above 0.
    pub weight: f64,
}

/// Mean and standard deviation over episodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MeanSd {
    /// The mean.
    pub mean: f64,
    /// The standard deviation of the sample (n − 1); one value has none.
    pub sd: Option<f64>,
}

impl MeanSd {
    /// Mean and standard deviation of `values`; `None` if there are none.
    pub fn of(values: impl Iterator<Item = f64> + Clone) -> Option<Self> {
        let count = values.clone().count() as f64;
        if count == 0.0 {
            return None;
        }
        let mean = values.clone().sum::<f64>() / count;
        let squares: f64 = values.map(|value| (value - mean) * (value - mean)).sum();
        Some(Self { mean, sd: (count > 1.0).then(|| (squares / (count - 1.0)).sqrt()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_deviation_by_hand() {
        let four = MeanSd::of([2.0, 4.0, 4.0, 6.0].into_iter()).unwrap();
        assert_eq!(four.mean, 4.0);
        assert!((four.sd.unwrap() - (8.0_f64 / 3.0).sqrt()).abs() < 1e-15);
        assert_eq!(MeanSd::of([3.0].into_iter()), Some(MeanSd { mean: 3.0, sd: None }));
        assert_eq!(MeanSd::of(std::iter::empty()), None);
    }
}
