//! Statistics: means, intervals and paired differences, as comparisons of learned policies should
//! report them (Agarwal and others, "Deep reinforcement learning at the edge of the statistical
//! precipice", 2021).
//!
//! A learned policy was trained under several seeds, and each result was evaluated on the same
//! episodes. Both vary, so the bootstrap resamples both: training seeds with replacement, and
//! episodes with replacement, the same ones for all seeds because their tasks are the same
//! (Owen's pigeonhole bootstrap, 2007). A policy that does not learn is one row.
//!
//! Three seeds are few: where seeds matter most, an interval is then too narrow by about the
//! factor √(2/3). With one seed, the interval covers the evaluation alone, not how another
//! training would have ended.

use offramp_model::rng::{Purpose, StreamFamily};
use serde::{Deserialize, Serialize};

/// The purpose of a bootstrap's draws; its number is part of every interval.
pub const BOOTSTRAP: Purpose = Purpose::new(10);

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

/// A metric of one policy: training seeds × episodes.
///
/// Each score has the weight that its metric gives to the episode
/// ([`Pooling`](crate::metric::Pooling)), and means are weighted. Statements about single episodes
/// (interquartile means, shares, probabilities) count each episode that has a value once.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// An episode without a value has weight 0.
    by_seed: Vec<Vec<Weighted>>,
}

const ABSENT: Weighted = Weighted { value: 0.0, weight: 0.0 };

/// An estimate with its 95 % interval, in the metric's unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The estimate.
    pub estimate: f64,
    /// Low and high end: 2.5 % of the bootstrap's draws are below, and 2.5 % above. `None` if fewer
    /// than two scores have a value: one says nothing about how much they vary.
    pub ends: Option<(f64, f64)>,
}

/// Draws of a bootstrap.
const DRAWS: u64 = 2_000;

impl Scores {
    /// One row of episodes per seed; `None` if no episode has a value, or rows differ in length.
    pub fn new(by_seed: Vec<Vec<Option<Weighted>>>) -> Option<Self> {
        let episodes = by_seed.first()?.len();
        let even = by_seed.iter().all(|row| row.len() == episodes);
        let any = by_seed.iter().flatten().any(Option::is_some);
        let row = |row: Vec<Option<Weighted>>| {
            row.into_iter().map(|score| score.unwrap_or(ABSENT)).collect()
        };
        (even && any).then(|| Self { by_seed: by_seed.into_iter().map(row).collect() })
    }

    /// Scores that all have the same weight.
    pub fn unweighted(by_seed: Vec<Vec<f64>>) -> Option<Self> {
        let row = |row: Vec<f64>| {
            row.into_iter().map(|value| Some(Weighted { value, weight: 1.0 })).collect()
        };
        Self::new(by_seed.into_iter().map(row).collect())
    }

    fn episodes(&self) -> usize {
        self.by_seed[0].len()
    }

    /// All scores, seed by seed, without those of episodes that have no value.
    pub fn all(&self) -> impl Iterator<Item = f64> + Clone + '_ {
        self.by_seed.iter().flatten().filter(|score| score.weight > 0.0).map(|score| score.value)
    }

    /// The score of a seed and an episode; a policy of one row has it for all seeds.
    fn at(&self, (seed, episode): (usize, usize)) -> Weighted {
        self.by_seed[seed.min(self.by_seed.len() - 1)][episode]
    }

    /// Seeds and episodes of a comparison with `other`, episode by episode and seed by seed. A
    /// policy of one row is compared with each seed of the other; `None` if the numbers of seeds
    /// differ and neither is 1, or the numbers of episodes differ.
    fn shape_with(&self, other: &Self) -> Option<(usize, usize)> {
        let (ours, theirs) = (self.by_seed.len(), other.by_seed.len());
        let comparable = ours == theirs || ours == 1 || theirs == 1;
        let episodes = self.episodes();
        (comparable && episodes == other.episodes()).then(|| (ours.max(theirs), episodes))
    }

    /// The mean over drawn seeds and episodes; `None` if none of them has a value.
    fn mean_over(&self, drawn: &[(usize, usize)]) -> Option<f64> {
        let weight: f64 = drawn.iter().map(|&at| self.at(at).weight).sum();
        let sum = drawn.iter().map(|&at| self.at(at)).map(|score| score.weight * score.value);
        (weight > 0.0).then(|| sum.sum::<f64>() / weight)
    }

    /// The mean of this minus that of `other`, both over the same draws: what both have in common
    /// (their tasks) cancels. Each mean has its own weights, so that comparisons across numbers of
    /// tasks are possible. `None` if the numbers of seeds differ and neither is 1, or the numbers of
    /// episodes differ.
    pub fn mean_minus(&self, other: &Self) -> Option<Interval> {
        let shape = self.shape_with(other)?;
        let scores = self.all().count().min(other.all().count());
        let difference =
            |drawn: &[(usize, usize)]| Some(self.mean_over(drawn)? - other.mean_over(drawn)?);
        let estimate = difference(&pairs(shape))?;
        Some(Interval { estimate, ends: bootstrap(shape, scores, difference) })
    }

    /// Every score times `factor`.
    #[must_use]
    pub fn times(&self, factor: f64) -> Self {
        let times = |score: &Weighted| Weighted { value: factor * score.value, ..*score };
        let row = |row: &Vec<Weighted>| row.iter().map(times).collect();
        Self { by_seed: self.by_seed.iter().map(row).collect() }
    }

    /// The mean, with its interval.
    pub fn mean(&self) -> Interval {
        self.interval(|scores| {
            let weight: f64 = scores.iter().map(|score| score.weight).sum();
            scores.iter().map(|score| score.weight * score.value).sum::<f64>() / weight
        })
    }

    /// The mean of the middle half, with its interval; outliers hardly move it.
    pub fn interquartile_mean(&self) -> Interval {
        self.interval(|scores| {
            scores.sort_by(|a, b| a.value.total_cmp(&b.value));
            let cut = scores.len() / 4;
            let middle = &scores[cut..scores.len() - cut];
            middle.iter().map(|score| score.value).sum::<f64>() / middle.len() as f64
        })
    }

    /// The share of the scores that are at least `threshold`: a point of a performance profile.
    pub fn share_of_at_least(&self, threshold: f64) -> Interval {
        let share = |scores: &mut [Weighted]| {
            let above = scores.iter().filter(|score| score.value >= threshold).count();
            above as f64 / scores.len() as f64
        };
        self.interval(share)
    }

    /// Probability that this exceeds `other` on the same episode and seed, 0 … 1; ties count half,
    /// and episodes in which either has no value do not count. `None` if none counts, and as for
    /// [`Scores::mean_minus`].
    pub fn probability_above(&self, other: &Self) -> Option<Interval> {
        let (seeds, episodes) = self.shape_with(other)?;
        let above = |at| {
            let (ours, theirs) = (self.at(at), other.at(at));
            let value = match ours.value - theirs.value {
                above if above > 0.0 => 1.0,
                below if below < 0.0 => 0.0,
                _ => 0.5,
            };
            (ours.weight > 0.0 && theirs.weight > 0.0).then_some(Weighted { value, weight: 1.0 })
        };
        let row = |seed| (0..episodes).map(|episode| above((seed, episode))).collect();
        Some(Self::new((0..seeds).map(row).collect())?.mean())
    }

    /// `statistic` of all scores that have a value, of which there is at least one, with its
    /// interval; it may reorder the scores it is handed.
    pub fn interval(&self, statistic: impl Fn(&mut [Weighted]) -> f64) -> Interval {
        let mut all: Vec<Weighted> = Vec::new();
        let mut of = |drawn: &[(usize, usize)]| {
            all.clear();
            all.extend(drawn.iter().map(|&at| self.at(at)).filter(|score| score.weight > 0.0));
            (!all.is_empty()).then(|| statistic(&mut all))
        };
        let shape = (self.by_seed.len(), self.episodes());
        // Some score has a value.
        let estimate = of(&pairs(shape)).unwrap_or_default();
        Interval { estimate, ends: bootstrap(shape, self.all().count(), of) }
    }
}

/// Every pair of a seed and an episode.
fn pairs((seeds, episodes): (usize, usize)) -> Vec<(usize, usize)> {
    (0..seeds).flat_map(|seed| (0..episodes).map(move |episode| (seed, episode))).collect()
}

/// The ends of the interval of `statistic`, which is handed drawn pairs of a seed and an episode; a
/// draw in which it has no value says nothing and is left out. `scores` is the number of scores
/// that have a value.
fn bootstrap(
    (seeds, episodes): (usize, usize),
    scores: usize,
    mut statistic: impl FnMut(&[(usize, usize)]) -> Option<f64>,
) -> Option<(f64, f64)> {
    if scores < 2 {
        return None;
    }
    let (mut drawn, mut drawn_episodes) = (Vec::new(), vec![0; episodes]);
    let mut draws: Vec<f64> = (0..DRAWS)
        .filter_map(|draw| {
            let mut stream = StreamFamily::new(0, draw, BOOTSTRAP).of(0);
            drawn_episodes.fill_with(|| stream.below(episodes));
            drawn.clear();
            for _ in 0..seeds {
                let seed = stream.below(seeds);
                drawn.extend(drawn_episodes.iter().map(|&episode| (seed, episode)));
            }
            statistic(&drawn)
        })
        .collect();
    draws.sort_by(f64::total_cmp);
    let last = draws.len().checked_sub(1)?;
    let at = |share: f64| draws.get((share * last as f64).round() as usize).copied();
    at(0.025).zip(at(0.975))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The trials of a test.
    const TRIALS: Purpose = Purpose::new(6);
    use proptest::prelude::*;

    /// Any stream: the numbers of the tests have none of their own.
    const DRAWN: Purpose = TRIALS;

    fn scores(rows: &[&[f64]]) -> Scores {
        Scores::unweighted(rows.iter().map(|row| row.to_vec()).collect()).unwrap()
    }

    /// A standard normal number (Box and Muller 1958).
    fn normal(stream: &mut offramp_model::rng::Stream) -> f64 {
        let radius = (-2.0 * (1.0 - stream.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * stream.uniform()).cos()
    }

    fn contains(interval: Interval, value: f64) -> bool {
        interval.ends.is_some_and(|(low, high)| low <= value && value <= high)
    }

    #[test]
    fn mean_and_deviation_by_hand() {
        let four = MeanSd::of([2.0, 4.0, 4.0, 6.0].into_iter()).unwrap();
        assert_eq!(four.mean, 4.0);
        assert!((four.sd.unwrap() - (8.0_f64 / 3.0).sqrt()).abs() < 1e-15);
        assert_eq!(MeanSd::of([3.0].into_iter()), Some(MeanSd { mean: 3.0, sd: None }));
        assert_eq!(MeanSd::of(std::iter::empty()), None);
    }

    #[test]
    fn by_hand() {
        let ours = scores(&[&[1.0, 2.0, 3.0, 6.0], &[2.0, 2.0, 3.0, 5.0]]);
        assert_eq!(ours.mean().estimate, 3.0);
        assert_eq!(ours.interquartile_mean().estimate, 2.5);
        assert_eq!(ours.share_of_at_least(3.0).estimate, 0.5);
        let theirs = scores(&[&[1.0, 1.0, 4.0, 6.0]]);
        assert_eq!(ours.mean_minus(&theirs).unwrap().estimate, 0.0);
        assert_eq!(ours.probability_above(&theirs).unwrap().estimate, 0.5);
        assert_eq!(theirs.mean_minus(&scores(&[&[1.0]])), None);
        assert_eq!(ours.mean_minus(&scores(&[&[1.0; 4], &[1.0; 4], &[1.0; 4]])), None);
        assert_eq!(Scores::unweighted(vec![vec![1.0], vec![]]), None);
        assert_eq!(Scores::new(vec![]), None);
        assert_eq!(Scores::new(vec![vec![None, None]]), None);
    }

    #[test]
    fn scores_are_pooled_by_hand() {
        let score = |value, weight| Some(Weighted { value, weight });
        let of = |rows| Scores::new(vec![rows]).unwrap();
        let ours = of(vec![score(3.0, 2.0), None, score(5.0, 6.0)]);
        assert_eq!(ours.mean().estimate, 4.5);
        assert_eq!(ours.interquartile_mean().estimate, 4.0);
        assert_eq!(ours.share_of_at_least(4.0).estimate, 0.5);
        assert_eq!(ours.all().collect::<Vec<_>>(), [3.0, 5.0]);
        let theirs = of(vec![score(2.0, 2.0), None, score(6.0, 6.0)]);
        assert_eq!(ours.mean_minus(&theirs).unwrap().estimate, -0.5);
        assert_eq!(ours.probability_above(&theirs).unwrap().estimate, 0.5);
        // Other numbers of tasks: 4.5 and 3.5.
        let others = of(vec![score(2.0, 3.0), score(2.0, 2.0), score(6.0, 3.0)]);
        assert_eq!(ours.mean_minus(&others).unwrap().estimate, 1.0);
        assert_eq!(ours.probability_above(&others).unwrap().estimate, 0.5);
        // Two values in a hundred episodes: some draws have none.
        let two = [score(7.0, 1.0), score(7.0, 1.0)];
        let rare = of([two.to_vec(), vec![None; 98]].concat());
        assert_eq!(rare.mean(), Interval { estimate: 7.0, ends: Some((7.0, 7.0)) });
        // Values, but none on the same episode.
        assert_eq!(
            of(vec![None, score(1.0, 1.0)]).probability_above(&of(vec![two[0], None])),
            None
        );
    }

    #[test]
    fn one_score_has_no_interval() {
        let one = scores(&[&[3.0]]);
        assert_eq!(one.mean(), Interval { estimate: 3.0, ends: None });
        assert_eq!(one.mean_minus(&one), Some(Interval { estimate: 0.0, ends: None }));
        assert_eq!(scores(&[&[3.0], &[3.0]]).mean().ends, Some((3.0, 3.0)));
    }

    /// A 95 % interval contains a known mean in about 95 % of all cases: in 400 trials, fewer
    /// than 90 or more than 99 % would be a fault, not chance.
    #[test]
    fn intervals_hold_what_they_should() {
        for (name, shape) in
            [("normal", (|x| x) as fn(f64) -> f64), ("squares of normal numbers", |x| x * x - 1.0)]
        {
            let holds = |trial: u64| {
                let mut stream = StreamFamily::new(7, trial, DRAWN).of(0);
                let row = (0..50).map(|_| shape(normal(&mut stream))).collect();
                let interval = Scores::unweighted(vec![row]).unwrap().mean();
                contains(interval, 0.0)
            };
            let share = (0..400).filter(|&trial| holds(trial)).count() as f64 / 400.0;
            assert!((0.90..0.99).contains(&share), "{name}: {share}");
        }
    }

    /// Where seeds matter most, ten seeds suffice for nine in ten.
    #[test]
    fn seeds_are_drawn_again() {
        let holds = |trial: u64| {
            let mut stream = StreamFamily::new(8, trial, DRAWN).of(0);
            let rows = (0..10).map(|_| {
                let of_seed = 3.0 * normal(&mut stream);
                (0..20).map(|_| of_seed + normal(&mut stream)).collect()
            });
            let interval = Scores::unweighted(rows.collect()).unwrap().mean();
            contains(interval, 0.0)
        };
        let share = (0..200).filter(|&trial| holds(trial)).count() as f64 / 200.0;
        assert!((0.84..0.98).contains(&share), "{share}");
    }

    proptest! {
        #[test]
        fn what_is_common_to_both_drops_out(
            episodes in proptest::collection::vec(-1e3..1e3_f64, 2..30),
            offset in -10.0..10.0_f64,
        ) {
            let shifted = episodes.iter().map(|x| x + offset).collect();
            let ours = Scores::unweighted(vec![shifted]).unwrap();
            let theirs = Scores::unweighted(vec![episodes]).unwrap();
            let Interval { estimate, ends } = ours.mean_minus(&theirs).unwrap();
            let (low, high) = ends.unwrap();
            for value in [estimate, low, high] {
                prop_assert!((value - offset).abs() < 1e-9);
            }
            let above = ours.probability_above(&theirs).unwrap().estimate;
            prop_assert_eq!(above, if offset > 0.0 { 1.0 } else { 0.0 });
        }

        #[test]
        fn an_interval_is_around_its_estimate_and_the_same_again(
            rows in proptest::collection::vec(proptest::collection::vec(-1e3..1e3_f64, 8), 1..4),
        ) {
            let scores = Scores::unweighted(rows).unwrap();
            let interval = scores.mean();
            prop_assert!(contains(interval, interval.estimate));
            prop_assert_eq!(interval, scores.mean());
        }
    }
}
