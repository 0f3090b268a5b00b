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
    /// One row per training, one if the policy does not learn, or each episode has a training of its own. An
    /// episode without a value has weight 0.
    rows: Vec<Vec<Weighted>>,
    /// The training that each row, or each episode, descends from; empty if the policy does not learn.
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

    /// The numbers of live runs: each of a stream of its own, in which something learns, or which decides by
    /// a training of its own. Policies are compared stream by stream; intervals are over streams, and what
    /// was trained for each of them. `None` if none has a value.
    pub fn streams(values: Vec<(String, Option<Weighted>)>) -> Option<Self> {
        let (trainings, row) = values.into_iter().unzip();
        Self::of(vec![row], trainings)
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
        self.map(|value| factor * value)
    }

    /// Every score less `constant`.
    #[must_use]
    pub fn less(&self, constant: f64) -> Self {
        self.map(|value| value - constant)
    }

    fn map(&self, of: impl Fn(f64) -> f64) -> Self {
        let map = |score: &Weighted| Weighted { value: of(score.value), ..*score };
        let row = |row: &Vec<Weighted>| row.iter().map(map).collect();
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
        Self::sum_of_means([(1.0, self), (-1.0, other)])
    }

    /// How much more the mean of `ours` changes than that of `theirs`, from the first to the second
    /// of each: a difference of differences, all on the same episodes and paired as in
    /// [`mean_minus`](Self::mean_minus). `None` if the numbers of episodes differ.
    pub fn change_minus(ours: [&Self; 2], theirs: [&Self; 2]) -> Option<Interval> {
        let ([from, to], [their_from, their_to]) = (ours, theirs);
        Self::sum_of_means([(1.0, to), (-1.0, from), (-1.0, their_to), (1.0, their_from)])
    }

    /// The sum of the means of `terms`, each times its factor.
    fn sum_of_means<const N: usize>(terms: [(f64, &Self); N]) -> Option<Interval> {
        let (_, first) = terms.first()?;
        let episodes = first.episodes();
        if terms.iter().any(|(_, scores)| scores.episodes() != episodes) {
            return None;
        }
        let add = |sum: &mut [f64], factor: f64, row: &[f64]| {
            sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += factor * value);
        };
        let mut estimate = 0.0;
        let mut by_episode = vec![0.0; episodes];
        // Of scores that descend from the same trainings, what a seed adds to one it adds to all.
        let mut groups: Vec<(&Self, Rows)> = Vec::new();
        for (factor, scores) in terms {
            let Linear { estimate: mean, influence } = scores.linear_mean();
            estimate += factor * mean;
            add(&mut by_episode, factor, &columns(&influence));
            let at = groups.iter().position(|(other, _)| scores.shares_trainings(other));
            let at = at.unwrap_or_else(|| {
                groups.push((scores, vec![vec![0.0; episodes]; influence.len()]));
                groups.len() - 1
            });
            for (sum, row) in groups[at].1.iter_mut().zip(&influence) {
                add(sum, factor, row);
            }
        }
        let rows: Vec<&Rows> = groups.iter().map(|(_, rows)| rows).collect();
        let present = terms.iter().map(|(_, scores)| scores.present()).min()?;
        let spread = Spread::of(&by_episode, &rows, Episodes::all(present));
        Some(Interval::new(estimate, spread, Basis::of(terms.map(|(_, scores)| scores.seeds()))))
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
mod tests;
