//! Intervals: how far an estimate may be off, from the variation between episodes, between
//! training seeds, and of the two together.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// The share of the cases in which an interval misses the true value: 5 %, half of them on either
/// side.
pub const MISSES: f64 = 0.05;

/// Numbers of one policy, or of the difference of two that learned together: one row per training
/// seed, one column per episode.
pub(super) type Rows = Vec<Vec<f64>>;

/// An estimate with its 95 % interval, in the metric's unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The estimate.
    pub estimate: f64,
    /// Low and high end. `None` if fewer than two episodes have a value: one says nothing about
    /// how much they vary.
    pub ends: Option<(f64, f64)>,
    /// The sources of variation that the interval takes into account.
    pub basis: Basis,
    pub(super) spread: Option<Spread>,
}

/// The sources of variation that an interval takes into account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// Other episodes and other trainings; the number of training seeds, at least 2, of the policy
    /// that has the fewest.
    Trainings(usize),
    /// Other episodes; no policy involved learns, so there is nothing else.
    Episodes,
    /// Other episodes alone, although a policy involved was trained, once: another training may
    /// end anywhere.
    OneTraining,
}

impl Basis {
    /// The smallest number of training seeds of a policy that learns; `None` if none learns.
    pub fn trainings(self) -> Option<usize> {
        match self {
            Self::Trainings(seeds) => Some(seeds),
            Self::Episodes => None,
            Self::OneTraining => Some(1),
        }
    }

    /// What the interval is over, in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trainings(_) => "trainings and episodes",
            Self::Episodes => "episodes",
            Self::OneTraining => "episodes of one training",
        }
    }

    /// The basis of a statement about policies with so many training seeds; `None` for one that
    /// does not learn.
    pub(super) fn of(seeds: impl IntoIterator<Item = Option<usize>>) -> Self {
        match seeds.into_iter().flatten().min() {
            None => Self::Episodes,
            Some(1) => Self::OneTraining,
            Some(seeds) => Self::Trainings(seeds),
        }
    }
}

impl Interval {
    /// The interval of an estimate; `spread` is that of its numbers.
    pub(super) fn new(estimate: f64, spread: Option<Spread>, basis: Basis) -> Self {
        let half = spread.map(|spread| spread.half_width(MISSES / 2.0));
        let ends = half.map(|half| (estimate - half, estimate + half));
        Self { estimate, ends, basis, spread }
    }

    /// With the ends no further than `low` and `high`, between which all values are.
    pub(super) fn within(self, low: f64, high: f64) -> Self {
        let ends = self.ends.map(|(from, to)| (from.max(low), to.min(high)));
        Self { ends, ..self }
    }

    /// The probability of an estimate this low or lower if the true value were zero or more: the
    /// one-sided test whose level is 2.5 % where the interval ends at zero. 1 without an interval.
    pub fn p_below_zero(&self) -> f64 {
        let Some(spread) = self.spread else { return 1.0 };
        if self.estimate >= 0.0 {
            return 1.0;
        }
        // The half width falls as the probability rises.
        let (mut low, mut high) = (LEAST_PROBABILITY.ln(), 0.5_f64.ln());
        for _ in 0..50 {
            let middle = f64::midpoint(low, high);
            if spread.half_width(middle.exp()) < -self.estimate {
                high = middle;
            } else {
                low = middle;
            }
        }
        high.exp()
    }
}

/// The smallest probability that tests tell apart from smaller ones.
const LEAST_PROBABILITY: f64 = 1e-9;

/// A part of the variance of an estimate, and its degrees of freedom.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Part {
    variance: f64,
    freedom: f64,
}

impl Part {
    /// The sum of independent parts (Welch and Satterthwaite).
    fn sum(parts: impl Iterator<Item = Self> + Clone) -> Self {
        let variance: f64 = parts.clone().map(|part| part.variance).sum();
        let squares = parts.filter(|part| part.variance > 0.0);
        let squares: f64 = squares.map(|part| part.variance * part.variance / part.freedom).sum();
        let freedom = if squares > 0.0 { variance * variance / squares } else { 1.0 };
        Self { variance, freedom }
    }

    /// The square of the half width of an interval about this part alone, which misses with
    /// probability `tail` on either side.
    fn squared_half_width(self, tail: f64) -> f64 {
        if self.variance > 0.0 {
            let quantile = student(self.freedom, tail);
            quantile * quantile * self.variance
        } else {
            0.0
        }
    }
}

/// The episodes behind an estimate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Episodes {
    /// Those that have a value.
    pub(super) present: usize,
    /// One more than the degrees of freedom of their variance.
    pub(super) free: usize,
}

impl Episodes {
    /// So many, all of which count in full.
    pub(super) fn all(present: usize) -> Self {
        Self { present, free: present }
    }
}

/// The variance of an estimate by its sources.
///
/// A score is a mean, plus what its training seed adds, plus what its episode adds, plus a rest:
/// both crossed, both drawn at random. Let V(E) be the variance of the estimate by its columns
/// (the episodes, means over the seeds), V(S) that by its rows (the seeds, means over the
/// episodes), and V(R) that by what neither explains, which is in both and must not count twice.
/// V(E) + V(S) − V(R) is then the variance of the estimate, without bias; two policies that were
/// trained independently have a V(S) and a V(R) each, and share the episodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    episodes: Part,
    seeds: Part,
    rest: Part,
}

impl Spread {
    /// The spread of an estimate. `columns` are its differences from what each episode alone would
    /// yield; `groups` those of each seed and episode, of each group of policies that was trained
    /// independently of the others. `None` if fewer than two episodes have a value.
    pub(super) fn of(columns: &[f64], groups: &[&Rows], episodes: Episodes) -> Option<Self> {
        let Episodes { present, free } = episodes;
        if present < 2 || free < 2 {
            return None;
        }
        let all = columns.len() as f64;
        let freedom = (free - 1) as f64;
        // Columns without a value are 0, and no observations.
        let present = present as f64 / (present - 1) as f64;
        let between = squares(columns.iter().copied());
        let columns = Part { variance: between * present / (all * all), freedom };
        let trained = || groups.iter().filter(|rows| rows.len() > 1);
        let seeds = |rows: &&&Rows| {
            let count = rows.len() as f64;
            let means = rows.iter().map(|row| mean(row));
            Part { variance: squares(means) / (count * (count - 1.0)), freedom: count - 1.0 }
        };
        let rest = |rows: &&&Rows| {
            let count = rows.len() as f64;
            let rest = interaction(rows) * present;
            let variance = rest / (all * all * count * (count - 1.0));
            Part { variance, freedom: (count - 1.0) * freedom }
        };
        let seeds = Part::sum(trained().map(|rows| seeds(&rows)));
        Some(Self { episodes: columns, seeds, rest: Part::sum(trained().map(|rows| rest(&rows))) })
    }

    /// The half width of an interval that misses with probability `tail` on either side: each
    /// source with its own quantile of Student's t (Howe 1974; Graybill and Wang 1980).
    fn half_width(&self, tail: f64) -> f64 {
        let [episodes, seeds, rest] =
            [self.episodes, self.seeds, self.rest].map(|part| part.squared_half_width(tail));
        // By chance the seeds may seem to vary less than the rest alone makes them.
        (episodes + (seeds - rest).max(0.0)).sqrt()
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The sum of the squared differences of values from their mean.
fn squares(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    values.map(|value| (value - mean) * (value - mean)).sum()
}

/// The sum of the squares of what neither the row nor the column explains.
fn interaction(rows: &Rows) -> f64 {
    let count = rows.len() as f64;
    let of_rows: Vec<f64> = rows.iter().map(|row| mean(row)).collect();
    let of_all = mean(&of_rows);
    let columns = rows.first().map_or(0, Vec::len);
    let of_column = |at: usize| rows.iter().map(|row| row[at]).sum::<f64>() / count;
    let column = |at: usize| {
        let of_column = of_column(at);
        let rest = |(row, of_row): (&Vec<f64>, &f64)| row[at] - of_row - of_column + of_all;
        rows.iter().zip(&of_rows).map(rest).map(|rest| rest * rest).sum::<f64>()
    };
    (0..columns).map(column).sum()
}

/// Degrees of freedom from which on Student's t is taken to be the same: its quantiles then exceed
/// the normal distribution's by 0.02 %. The inverse is not accurate far beyond.
const MOST_FREEDOM: f64 = 1e4;

/// The number that Student's t with these degrees of freedom, a fraction too, exceeds with
/// probability `tail`.
fn student(freedom: f64, tail: f64) -> f64 {
    let freedom = freedom.clamp(1.0, MOST_FREEDOM);
    // The parameters are valid; without a quantile nothing would be known.
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::INFINITY, |t| -t.inverse_cdf(tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Table of quantiles: Abramowitz and Stegun 1964, table 26.10.
    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (freedom, tail, quantile) in [
            (1.0, 0.025, 12.706),
            (2.0, 0.025, 4.303),
            (2.0, 0.0005, 31.599),
            (4.0, 0.025, 2.776),
            (9.0, 0.025, 2.262),
            (9.0, 0.0005, 4.781),
            (60.0, 0.025, 2.000),
            (120.0, 0.05, 1.658),
            (1e4, 0.025, 1.960),
            (1e9, 0.025, 1.960),
        ] {
            let found = student(freedom, tail);
            assert!((found - quantile).abs() < 6e-4, "t({freedom}, {tail}) = {found}");
        }
    }

    /// Worked out by hand: seeds 1, 2 and 6 of the same two episodes, which differ by 2; the first
    /// seed by 2 more.
    #[test]
    fn parts_by_hand() {
        let rows = vec![vec![-1.0, 3.0], vec![1.0, 3.0], vec![5.0, 7.0]];
        let spread = Spread::of(&[5.0 / 3.0, 13.0 / 3.0], &[&rows], Episodes::all(2)).unwrap();
        let close = |part: Part, variance: f64, freedom: f64| {
            assert!((part.variance - variance).abs() < 1e-12, "{part:?}");
            assert!((part.freedom - freedom).abs() < 1e-12, "{part:?}");
        };
        // (4/3)²·2 / (2·1); (4 + 1 + 9) / (3·2); residuals ±2/3, ±1/3, ±1/3: 4/3 / (1·2·2·3).
        close(spread.episodes, 16.0 / 9.0, 1.0);
        close(spread.seeds, 14.0 / 6.0, 2.0);
        close(spread.rest, 1.0 / 9.0, 2.0);
        let [one, two] = [student(1.0, 0.025), student(2.0, 0.025)];
        let wanted = one * one * 16.0 / 9.0 + two * two * (14.0 / 6.0 - 1.0 / 9.0);
        assert!((spread.half_width(0.025) - wanted.sqrt()).abs() < 1e-9);
    }

    #[test]
    fn groups_that_learned_apart_add_their_seeds() {
        let (ours, theirs) =
            (vec![vec![0.0, 0.0], vec![2.0, 2.0]], vec![vec![1.0, 1.0], vec![5.0, 5.0]]);
        let both = Spread::of(&[0.0, 0.0], &[&ours, &theirs], Episodes::all(2)).unwrap().seeds;
        // 2/2 and 8/2 with one degree of freedom each: 25 / (1 + 16).
        assert_eq!(both, Part { variance: 5.0, freedom: 25.0 / 17.0 });
    }

    #[test]
    fn the_probability_is_that_of_the_interval_that_ends_at_zero() {
        let rows = vec![vec![-1.0, 3.0, 0.5], vec![1.0, 3.0, -2.0], vec![5.0, 7.0, 1.0]];
        let spread = Spread::of(&[-0.5, 3.0, -2.5], &[&rows], Episodes::all(3));
        let half = spread.unwrap().half_width(MISSES / 2.0);
        for (estimate, below) in [(-half - 1e-6, true), (-half + 1e-6, false)] {
            let p = Interval::new(estimate, spread, Basis::Trainings(3)).p_below_zero();
            assert_eq!(p < MISSES / 2.0, below, "{p}");
            assert!((p - MISSES / 2.0).abs() < 1e-6, "{p}");
        }
        assert_eq!(Interval::new(half, spread, Basis::Trainings(3)).p_below_zero(), 1.0);
        assert_eq!(Interval::new(-1.0, None, Basis::Episodes).p_below_zero(), 1.0);
        let certain = Spread::of(&[0.0, 0.0], &[], Episodes::all(2));
        assert!(Interval::new(-1.0, certain, Basis::Episodes).p_below_zero() < 1e-8);
    }

    /// Seeds −1, 0 and 1, episodes −2, 0 and 2, and what neither explains: ±1 in four scores.
    #[test]
    fn parts_of_three_seeds_and_three_episodes_by_hand() {
        let rows = vec![vec![-2.0, -2.0, 1.0], vec![-3.0, 1.0, 2.0], vec![-1.0, 1.0, 3.0]];
        let spread = Spread::of(&[-2.0, 0.0, 2.0], &[&rows], Episodes::all(3)).unwrap();
        let close = |part: Part, variance: f64, freedom: f64| {
            assert!((part.variance - variance).abs() < 1e-12, "{part:?}");
            assert!((part.freedom - freedom).abs() < 1e-12, "{part:?}");
        };
        // Mean squares over the numbers: 8/2 over 3; 2/2 over 3; 4/4 over 9.
        close(spread.episodes, 4.0 / 3.0, 2.0);
        close(spread.seeds, 1.0 / 3.0, 2.0);
        close(spread.rest, 1.0 / 9.0, 4.0);
        // With an episode that has no value, the others weigh 4/3: so do their differences.
        let more = |values: &[f64]| -> Vec<f64> {
            values.iter().map(|value| value * 4.0 / 3.0).chain([0.0]).collect()
        };
        let longer: Rows = rows.iter().map(|row| more(row)).collect();
        let of_three = Episodes { present: 3, free: 3 };
        let sparse = Spread::of(&more(&[-2.0, 0.0, 2.0]), &[&longer], of_three).unwrap();
        close(sparse.episodes, 4.0 / 3.0, 2.0);
        close(sparse.seeds, 1.0 / 3.0, 2.0);
        assert_eq!(sparse.rest.freedom, 4.0);
    }

    /// A policy that does not learn has one row: seeds and rest are those of the other alone.
    #[test]
    fn one_row_adds_nothing_to_seeds_and_rest() {
        let learned = vec![vec![-1.0, 3.0], vec![1.0, 3.0], vec![5.0, 7.0]];
        let fixed = vec![vec![2.0, -2.0]];
        let columns = [5.0 / 3.0, 13.0 / 3.0];
        let alone = Spread::of(&columns, &[&learned], Episodes::all(2)).unwrap();
        let both = Spread::of(&columns, &[&learned, &fixed], Episodes::all(2)).unwrap();
        assert_eq!(both, alone);
        let neither = Spread::of(&columns, &[&fixed], Episodes::all(2)).unwrap();
        assert_eq!((neither.seeds, neither.rest), (NOTHING, NOTHING));
    }

    /// What has no variance, with one degree of freedom.
    const NOTHING: Part = Part { variance: 0.0, freedom: 1.0 };

    #[test]
    fn without_degrees_of_freedom_there_is_no_spread() {
        for (present, free) in [(0, 0), (1, 1), (1, 2), (4, 1)] {
            let episodes = Episodes { present, free };
            assert_eq!(Spread::of(&[1.0, -1.0], &[], episodes), None, "{episodes:?}");
        }
        assert!(Spread::of(&[1.0, -1.0], &[], Episodes { present: 2, free: 2 }).is_some());
    }

    /// A large mean takes no digits from the differences.
    #[test]
    fn squares_are_those_of_differences() {
        let large = [1.0, 20.0, 30.0, 69.0].map(|value| 1e15 + value);
        assert_eq!(squares(large.into_iter()), 29.0 * 29.0 + 100.0 + 0.0 + 39.0 * 39.0);
    }

    #[test]
    fn ends_are_no_further_than_all_values() {
        let interval = Interval {
            estimate: 0.9,
            ends: Some((0.7, 1.1)),
            basis: Basis::Episodes,
            spread: None,
        };
        assert_eq!(interval.within(0.0, 1.0).ends, Some((0.7, 1.0)));
        assert_eq!(interval.within(0.8, 2.0).ends, Some((0.8, 1.1)));
        assert_eq!(interval.within(0.0, 1.0).estimate, 0.9);
    }

    #[test]
    fn a_basis_states_its_trainings() {
        for (basis, trainings, name) in [
            (Basis::Trainings(7), Some(7), "trainings and episodes"),
            (Basis::Episodes, None, "episodes"),
            (Basis::OneTraining, Some(1), "episodes of one training"),
        ] {
            assert_eq!((basis.trainings(), basis.name()), (trainings, name));
        }
    }
}
