//! The numbers of a policy, and what is said of them.

use super::Weighted;
use super::interval::{Basis, Episodes, Interval, Rows, Spread};

/// A metric of one policy: training seeds × episodes.
///
/// Each score has the weight that its metric gives to the episode
/// ([`Pooling`](crate::metric::Pooling)), and means are weighted. Statements about single episodes
/// (interquartile means, shares, probabilities) count each episode that has a value once.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// One row per training, one if the policy does not learn. An episode without a value has
    /// weight 0.
    rows: Vec<Vec<Weighted>>,
    /// The training that each row descends from; empty if the policy does not learn.
    trainings: Vec<String>,
}

const ABSENT: Weighted = Weighted { value: 0.0, weight: 0.0 };

/// A statistic as a mean: its value, and the difference that each score makes to it.
struct Linear {
    estimate: f64,
    /// Their mean is 0; so is that of a score without a value.
    influence: Rows,
}

impl Scores {
    /// The scores of a policy that does not learn, episode by episode; `None` if none has a value.
    pub fn untrained(episodes: Vec<Option<Weighted>>) -> Option<Self> {
        Self::of(vec![episodes], Vec::new())
    }

    /// The scores of a policy that learns: of each training seed, the name of the training that it
    /// descends from (that of the teacher, if it was distilled), and its episodes. Policies that
    /// share these names are compared seed by seed. `None` if no episode has a value, or the
    /// numbers of episodes differ.
    pub fn trained(rows: Vec<(String, Vec<Option<Weighted>>)>) -> Option<Self> {
        let (trainings, rows) = rows.into_iter().unzip();
        Self::of(rows, trainings)
    }

    fn of(rows: Vec<Vec<Option<Weighted>>>, trainings: Vec<String>) -> Option<Self> {
        let episodes = rows.first()?.len();
        let even = rows.iter().all(|row| row.len() == episodes);
        let any = rows.iter().flatten().any(Option::is_some);
        let row = |row: Vec<Option<Weighted>>| {
            row.into_iter().map(|score| score.unwrap_or(ABSENT)).collect()
        };
        let rows = rows.into_iter().map(row).collect();
        (even && any).then_some(Self { rows, trainings })
    }

    /// All scores, seed by seed, without those of episodes that have no value.
    pub fn all(&self) -> impl Iterator<Item = f64> + Clone + '_ {
        self.rows.iter().flatten().filter(|score| score.weight > 0.0).map(|score| score.value)
    }

    /// Every score times `factor`.
    #[must_use]
    pub fn times(&self, factor: f64) -> Self {
        let times = |score: &Weighted| Weighted { value: factor * score.value, ..*score };
        let row = |row: &Vec<Weighted>| row.iter().map(times).collect();
        Self { rows: self.rows.iter().map(row).collect(), trainings: self.trainings.clone() }
    }

    /// The mean, with its interval.
    pub fn mean(&self) -> Interval {
        self.interval(&self.linear_mean(), Episodes::all(self.present()))
    }

    /// The mean of this minus that of `other` on the same episodes: what both have in common
    /// (their tasks) cancels. Seeds are paired where both descend from the same trainings. Each
    /// mean has its own weights, so that comparisons across numbers of tasks are possible. `None`
    /// if the numbers of episodes differ.
    pub fn mean_minus(&self, other: &Self) -> Option<Interval> {
        if self.episodes() != other.episodes() {
            return None;
        }
        let (ours, theirs) = (self.linear_mean(), other.linear_mean());
        let minus =
            |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a - b).collect() };
        let columns = minus(&columns(&ours.influence), &columns(&theirs.influence));
        let paired: Rows;
        let groups = if self.shares_trainings(other) {
            let rows = ours.influence.iter().zip(&theirs.influence);
            paired = rows.map(|(ours, theirs)| minus(ours, theirs)).collect();
            vec![&paired]
        } else {
            vec![&ours.influence, &theirs.influence]
        };
        let episodes = Episodes::all(self.present().min(other.present()));
        let spread = Spread::of(&columns, &groups, episodes);
        let basis = Basis::of([self.seeds(), other.seeds()]);
        Some(Interval::new(ours.estimate - theirs.estimate, spread, basis))
    }

    /// The mean of the middle half, with its interval; outliers hardly move it.
    pub fn interquartile_mean(&self) -> Interval {
        let mut sorted: Vec<f64> = self.all().collect();
        sorted.sort_by(f64::total_cmp);
        let cut = sorted.len() / 4;
        let middle = &sorted[cut..sorted.len() - cut];
        let estimate = middle.iter().sum::<f64>() / middle.len() as f64;
        // Some score has a value.
        let (low, high) = middle.first().copied().zip(middle.last().copied()).unwrap_or_default();
        // What is cut off counts as the last that is not.
        let clamped = self.all().map(|value| value.clamp(low, high));
        let mean = clamped.sum::<f64>() / sorted.len() as f64;
        let scale = self.size() / middle.len() as f64;
        let influence = self.rows_of(|score| (score.value.clamp(low, high) - mean) * scale);
        // As many degrees of freedom as there are episodes in the middle (Tukey and McLaughlin).
        let present = self.present();
        let episodes = Episodes { present, free: present - 2 * (present / 4) };
        self.interval(&Linear { estimate, influence }, episodes)
    }

    /// The share of the scores that are at least `threshold`: a point of a performance profile.
    pub fn share_of_at_least(&self, threshold: f64) -> Interval {
        let above = |score: Weighted| f64::from(u8::from(score.value >= threshold));
        let present = self.all().count() as f64;
        let estimate = self.all().filter(|value| *value >= threshold).count() as f64 / present;
        let scale = self.size() / present;
        let influence = self.rows_of(|score| (above(score) - estimate) * scale);
        let episodes = Episodes::all(self.present());
        self.interval(&Linear { estimate, influence }, episodes).within(0.0, 1.0)
    }

    /// Probability that this exceeds `other` on the same episode, 0 … 1; ties count half, and
    /// episodes in which either has no value do not count. Of policies that descend from the same
    /// trainings, that of the same one; otherwise that of any training of one and any of the
    /// other. `None` if no episode counts, or the numbers of episodes differ.
    pub fn probability_above(&self, other: &Self) -> Option<Interval> {
        if self.episodes() != other.episodes() {
            return None;
        }
        let paired = self.shares_trainings(other);
        let (ours, theirs) = (self.rows.len(), other.rows.len());
        // Row by row of this, each with every row of the other, or with its own.
        let with = |ours: usize| if paired { ours..ours + 1 } else { 0..theirs };
        let above: Vec<Vec<Option<f64>>> = (0..ours)
            .flat_map(|ours| with(ours).map(move |theirs| (ours, theirs)))
            .map(|(ours, theirs)| {
                let both = self.rows[ours].iter().zip(&other.rows[theirs]);
                both.map(|(ours, theirs)| above(*ours, *theirs)).collect()
            })
            .collect();
        let present = above.iter().flatten().flatten().count() as f64;
        if present == 0.0 {
            return None;
        }
        let estimate = above.iter().flatten().flatten().sum::<f64>() / present;
        let scale = (above.len() * self.episodes()) as f64 / present;
        let influence = |above: Option<f64>| above.map_or(0.0, |one| (one - estimate) * scale);
        let pairs: Rows =
            above.iter().map(|row| row.iter().copied().map(influence).collect()).collect();
        let of_ours: Rows;
        let of_theirs: Rows;
        let groups = if paired {
            vec![&pairs]
        } else {
            let mean_of = |wanted: &dyn Fn(usize) -> bool| {
                let rows = pairs.iter().enumerate().filter(|(at, _)| wanted(*at));
                columns(rows.map(|(_, row)| row))
            };
            of_ours = (0..ours).map(|seed| mean_of(&|at| at / theirs == seed)).collect();
            of_theirs = (0..theirs).map(|seed| mean_of(&|at| at % theirs == seed)).collect();
            vec![&of_ours, &of_theirs]
        };
        let counted = |episode: &usize| above.iter().any(|row| row[*episode].is_some());
        let episodes = (0..self.episodes()).filter(counted).count();
        let spread = Spread::of(&columns(&pairs), &groups, Episodes::all(episodes));
        let basis = Basis::of([self.seeds(), other.seeds()]);
        Some(Interval::new(estimate, spread, basis).within(0.0, 1.0))
    }

    fn episodes(&self) -> usize {
        self.rows[0].len()
    }

    /// Seeds × episodes.
    fn size(&self) -> f64 {
        (self.rows.len() * self.episodes()) as f64
    }

    /// Episodes that have a value.
    fn present(&self) -> usize {
        let present = |episode: &usize| self.rows.iter().any(|row| row[*episode].weight > 0.0);
        (0..self.episodes()).filter(present).count()
    }

    /// The number of training seeds, if the policy learns.
    fn seeds(&self) -> Option<usize> {
        (!self.trainings.is_empty()).then_some(self.trainings.len())
    }

    fn shares_trainings(&self, other: &Self) -> bool {
        !self.trainings.is_empty() && self.trainings == other.trainings
    }

    fn linear_mean(&self) -> Linear {
        let all = || self.rows.iter().flatten();
        let weight: f64 = all().map(|score| score.weight).sum();
        let estimate = all().map(|score| score.weight * score.value).sum::<f64>() / weight;
        let scale = self.size() / weight;
        let influence = self.rows_of(|score| score.weight * (score.value - estimate) * scale);
        Linear { estimate, influence }
    }

    /// A number for each score, 0 for those without a value.
    fn rows_of(&self, number: impl Fn(Weighted) -> f64) -> Rows {
        let number = |score: &Weighted| if score.weight > 0.0 { number(*score) } else { 0.0 };
        self.rows.iter().map(|row| row.iter().map(number).collect()).collect()
    }

    fn interval(&self, linear: &Linear, episodes: Episodes) -> Interval {
        let Linear { estimate, influence } = linear;
        let spread = Spread::of(&columns(influence), &[influence], episodes);
        Interval::new(*estimate, spread, Basis::of([self.seeds()]))
    }
}

/// 1 if the first is larger, 0 if it is smaller, half of that if they are equal; `None` unless both
/// have a value.
fn above(ours: Weighted, theirs: Weighted) -> Option<f64> {
    let above = match ours.value - theirs.value {
        above if above > 0.0 => 1.0,
        below if below < 0.0 => 0.0,
        _ => 0.5,
    };
    (ours.weight > 0.0 && theirs.weight > 0.0).then_some(above)
}

/// The mean of each column.
fn columns<'r>(rows: impl IntoIterator<Item = &'r Vec<f64>>) -> Vec<f64> {
    let (mut sums, mut count) = (Vec::new(), 0.0);
    for row in rows {
        sums.resize(row.len(), 0.0);
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        count += 1.0;
    }
    sums.iter_mut().for_each(|sum| *sum /= count);
    sums
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn score(value: f64, weight: f64) -> Option<Weighted> {
        Some(Weighted { value, weight })
    }

    fn row(values: &[f64]) -> Vec<Option<Weighted>> {
        values.iter().map(|&value| score(value, 1.0)).collect()
    }

    fn fixed(values: &[f64]) -> Scores {
        Scores::untrained(row(values)).unwrap()
    }

    /// Of trainings `name`1, `name`2, …
    fn trained<R: AsRef<[f64]>>(name: &str, rows: &[R]) -> Scores {
        let named =
            rows.iter().zip(1..).map(|(values, n)| (format!("{name}{n}"), row(values.as_ref())));
        Scores::trained(named.collect()).unwrap()
    }

    /// The half width of an interval.
    fn half(interval: Interval) -> f64 {
        let (low, high) = interval.ends.unwrap();
        (high - low) / 2.0
    }

    #[test]
    fn by_hand() {
        let ours = trained("a", &[[1.0, 2.0, 3.0, 6.0], [2.0, 2.0, 3.0, 5.0]]);
        assert_eq!(ours.mean().estimate, 3.0);
        assert_eq!(ours.interquartile_mean().estimate, 2.5);
        assert_eq!(ours.share_of_at_least(3.0).estimate, 0.5);
        let theirs = fixed(&[1.0, 1.0, 4.0, 6.0]);
        assert_eq!(ours.mean_minus(&theirs).unwrap().estimate, 0.0);
        assert_eq!(ours.probability_above(&theirs).unwrap().estimate, 0.5);
        assert_eq!(theirs.mean_minus(&fixed(&[1.0])), None);
        assert_eq!(theirs.probability_above(&fixed(&[1.0])), None);
        assert_eq!(Scores::trained(vec![("a".into(), row(&[1.0])), ("b".into(), vec![])]), None);
        assert_eq!(Scores::trained(vec![]), None);
        assert_eq!(Scores::untrained(vec![None, None]), None);
    }

    #[test]
    fn scores_are_pooled_by_hand() {
        let of = |episodes| Scores::untrained(episodes).unwrap();
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
        // Values, but none on the same episode.
        let one = |at: usize| {
            of((0..2).map(|n| (n == at).then_some(Weighted { value: 7.0, weight: 1.0 })).collect())
        };
        assert_eq!(one(0).probability_above(&one(1)), None);
    }

    /// The mean of episodes alone has the textbook's interval, whichever have no value.
    #[test]
    fn a_policy_that_does_not_learn_has_the_interval_of_students_t() {
        // sd 2, √4, t(3) = 3.18245.
        let values = [1.0, 5.0, 5.0 - 8.0_f64.sqrt() / 2.0, 1.0 + 8.0_f64.sqrt() / 2.0];
        let sd = super::super::MeanSd::of(values.into_iter()).unwrap().sd.unwrap();
        let wanted = 3.182_446 * sd / 2.0;
        let all = fixed(&values).mean();
        assert!((half(all) - wanted).abs() < 1e-5);
        assert_eq!(all.basis, Basis::Episodes);
        let sparse = row(&values).into_iter().flat_map(|score| [score, None]).collect();
        let sparse = Scores::untrained(sparse).unwrap().mean();
        assert!((half(sparse) - wanted).abs() < 1e-5);
    }

    /// Of −9, 2, 3, 9 the middle half is 2 and 3; the others count as its ends.
    #[test]
    fn the_middle_half_by_hand() {
        let middle = fixed(&[9.0, 2.0, 3.0, -9.0]).interquartile_mean();
        assert_eq!(middle.estimate, 2.5);
        // t(1) · 2 · √(1/3) / √4.
        assert!((half(middle) - 12.7062 / 3.0_f64.sqrt()).abs() < 1e-3, "{}", half(middle));
    }

    #[test]
    fn one_episode_has_no_interval() {
        let one = fixed(&[3.0]);
        assert_eq!((one.mean().estimate, one.mean().ends), (3.0, None));
        assert_eq!(one.mean_minus(&one).unwrap().ends, None);
        assert_eq!(trained("a", &[&[3.0], &[4.0]]).mean().ends, None);
        assert_eq!(fixed(&[7.0, 7.0]).mean().ends, Some((7.0, 7.0)));
    }

    #[test]
    fn an_interval_states_what_it_rests_on() {
        let (none, once) = (fixed(&[1.0, 2.0]), trained("a", &[&[1.0, 2.0]]));
        let (two, three) = (trained("b", &[[1.0, 2.0]; 2]), trained("c", &[[1.0, 2.0]; 3]));
        assert_eq!(once.mean().basis, Basis::OneTraining);
        assert_eq!(once.mean().ends, none.mean().ends);
        let basis = |a: &Scores, b: &Scores| {
            let found = a.mean_minus(b).unwrap().basis;
            assert_eq!(a.probability_above(b).unwrap().basis, found);
            found
        };
        assert_eq!(basis(&none, &none), Basis::Episodes);
        assert_eq!(basis(&three, &two), Basis::Trainings(2));
        assert_eq!(basis(&none, &three), Basis::Trainings(3));
        assert_eq!(basis(&once, &three), Basis::OneTraining);
    }

    /// Seeds count as pairs where they are of the same trainings, and never because their numbers
    /// agree.
    #[test]
    fn seeds_are_paired_by_what_they_descend_from() {
        let rows = [[1.0, 2.0, 4.0], [11.0, 12.0, 13.0], [5.0, 6.0, 7.0]];
        let (teacher, other) = (trained("a", &rows), trained("b", &rows));
        let less = teacher.times(0.5);
        let paired = half(teacher.mean_minus(&teacher).unwrap());
        assert_eq!(paired, 0.0);
        assert!(half(less.mean_minus(&teacher).unwrap()) > 0.0);
        let apart = teacher.mean_minus(&other).unwrap();
        // As far as seeds alone: √2 · t(4) · sd / √3 of means 7/3, 12 and 6.
        let wanted = 2.0_f64.sqrt() * 2.776 * 4.889 / 3.0_f64.sqrt();
        assert!((half(apart) / wanted - 1.0).abs() < 0.01, "{}", half(apart));
        assert_eq!(teacher.probability_above(&teacher).unwrap().ends, Some((0.5, 0.5)));
        let any = teacher.probability_above(&other).unwrap();
        assert_eq!((any.estimate, any.ends), (0.5, Some((0.0, 1.0))));
    }

    proptest! {
        #[test]
        fn what_is_common_to_both_drops_out(
            episodes in proptest::collection::vec(-1e3..1e3_f64, 2..30),
            offset in -10.0..10.0_f64,
        ) {
            let shifted: Vec<f64> = episodes.iter().map(|x| x + offset).collect();
            let (ours, theirs) = (fixed(&shifted), fixed(&episodes));
            let Interval { estimate, ends, .. } = ours.mean_minus(&theirs).unwrap();
            let (low, high) = ends.unwrap();
            for value in [estimate, low, high] {
                prop_assert!((value - offset).abs() < 1e-9);
            }
            let above = ours.probability_above(&theirs).unwrap().estimate;
            prop_assert_eq!(above, if offset > 0.0 { 1.0 } else { 0.0 });
        }

        /// In whichever order seeds and episodes come, and whatever is added to all.
        #[test]
        fn an_interval_depends_on_no_order(
            rows in proptest::collection::vec(proptest::collection::vec(-1e3..1e3_f64, 8), 1..5),
            offset in -10.0..10.0_f64,
        ) {
            let of = |rows: &[Vec<f64>]| {
                let scores = trained("a", rows);
                [scores.mean(), scores.interquartile_mean()]
            };
            let mut turned = rows.clone();
            turned.reverse();
            turned.iter_mut().for_each(|row| {
                row.reverse();
                row.iter_mut().for_each(|value| *value += offset);
            });
            for (before, after) in of(&rows).into_iter().zip(of(&turned)) {
                prop_assert!((after.estimate - before.estimate - offset).abs() < 1e-8);
                prop_assert!((half(after) - half(before)).abs() < 1e-6 * (1.0 + half(before)));
            }
        }
    }
}
