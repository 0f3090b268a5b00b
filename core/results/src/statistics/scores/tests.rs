//! Statistics by hand, and what they promise of any scores.

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

/// Episodes without a value change neither an estimate nor its interval.
fn with_gaps(values: &[f64]) -> Scores {
    let gaps = row(values).into_iter().flat_map(|score| [None, score]);
    Scores::untrained(gaps.collect()).unwrap()
}

#[track_caller]
fn assert_interval(found: Interval, estimate: f64, half_width: f64) {
    assert!((found.estimate - estimate).abs() < 1e-9, "{found:?}");
    let (low, high) = found.ends.unwrap();
    for (end, wanted) in [(low, estimate - half_width), (high, estimate + half_width)] {
        assert!((end - wanted).abs() < 2e-4 * half_width, "{found:?}, not {wanted}");
    }
}

/// Of 1 … 7 and 100 the middle half is 3 … 6; two count as 3 and two as 6, besides.
#[test]
fn the_middle_half_of_eight_by_hand() {
    let eight = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 100.0];
    // Squares of differences from 4.5: 6 · 1.5² + 2 · 0.5² = 14, over 7 · 8 episodes; half of
    // the scores make all of it, so 2²; and t(3), since 4 episodes are in the middle.
    let half_width = 3.182_446 * (14.0 * 4.0 / (7.0 * 8.0_f64)).sqrt();
    for scores in [fixed(&eight), with_gaps(&eight)] {
        assert_interval(scores.interquartile_mean(), 4.5, half_width);
    }
    let four = with_gaps(&[9.0, 2.0, 3.0, -9.0]).interquartile_mean();
    assert_interval(four, 2.5, 12.7062 / 3.0_f64.sqrt());
}

/// Of 16 episodes, 4 reach 2: a variance of 16 · 0.25 · 0.75 / 15, and t(15).
#[test]
fn a_share_by_hand() {
    let mut values = vec![1.0; 16];
    values[3..7].copy_from_slice(&[2.0, 2.5, 9.0, 2.0]);
    let half_width = 2.131_45 * (0.2 / 16.0_f64).sqrt();
    for scores in [fixed(&values), with_gaps(&values)] {
        assert_interval(scores.share_of_at_least(2.0), 0.25, half_width);
    }
    // An interval of shares ends where they do.
    let (low, high) = fixed(&[1.0, 2.0]).share_of_at_least(2.0).ends.unwrap();
    assert_eq!((low, high), (0.0, 1.0));
}

/// The mean of 3 with weight 2 and 5 with weight 6 is 4.5: as a ratio, its variance is
/// n/(n − 1) · Σ w²(x − 4.5)² / (Σ w)², which is 2 · (9 + 9) / 64.
#[test]
fn the_interval_of_a_weighted_mean_by_hand() {
    let ours = [score(3.0, 2.0), score(5.0, 6.0)];
    let half_width = 12.7062 * 0.75;
    let of = |scores: Vec<_>| Scores::untrained(scores).unwrap();
    assert_interval(of(ours.to_vec()).mean(), 4.5, half_width);
    let sparse = of(vec![ours[0], None, None, ours[1]]);
    assert_interval(sparse.mean(), 4.5, half_width);
    assert_interval(sparse.times(-2.0).mean(), -9.0, 2.0 * half_width);
    // 2 with weight 6 and 6 with weight 2 is 3, and errs twice as much the same
    // way: the difference errs as much as ours.
    let theirs = of(vec![score(2.0, 6.0), score(6.0, 2.0)]);
    let both = of(ours.to_vec()).mean_minus(&theirs).unwrap();
    assert_interval(both, 1.5, half_width);
}

/// Seeds that agree in every episode are as good as one.
#[test]
fn seeds_that_agree_add_nothing() {
    let values = [4.0, -1.0, 2.5, 8.0, 3.0, 5.0, 0.0, 1.0];
    let (one, three) = (fixed(&values), trained("a", &[values; 3]));
    let theirs = fixed(&[3.0, 2.0, 2.5, 9.0, 0.0, 1.0, 1.0, -1.0]);
    for (one, three) in [
        (one.mean(), three.mean()),
        (one.interquartile_mean(), three.interquartile_mean()),
        (one.share_of_at_least(2.5), three.share_of_at_least(2.5)),
        (one.mean_minus(&theirs).unwrap(), three.mean_minus(&theirs).unwrap()),
        (one.probability_above(&theirs).unwrap(), three.probability_above(&theirs).unwrap()),
    ] {
        assert_eq!((one.basis, three.basis), (Basis::Episodes, Basis::Trainings(3)));
        assert!((one.estimate - three.estimate).abs() < 1e-12);
        assert!((half(one) - half(three)).abs() < 1e-12, "{one:?} {three:?}");
    }
}

#[test]
fn every_score_is_multiplied_and_keeps_its_weight() {
    let rows = vec![
        ("a".to_owned(), vec![score(3.0, 2.0), None]),
        ("b".to_owned(), vec![score(-1.0, 4.0), score(0.5, 1.0)]),
    ];
    let scores = Scores::trained(rows).unwrap().times(4.0);
    assert_eq!(scores.all().collect::<Vec<_>>(), [12.0, -4.0, 2.0]);
    // (2 · 12 − 4 · 4 + 2) / 7.
    assert!((scores.mean().estimate - 10.0 / 7.0).abs() < 1e-12);
    assert_eq!(scores.mean().basis, Basis::Trainings(2));
    assert_eq!(scores.times(0.25).times(4.0), scores);
}

#[test]
fn means_of_columns_by_hand() {
    let rows = [vec![1.0, -2.0, 0.5], vec![3.0, -4.0, 0.0]];
    assert_eq!(columns(&rows), [2.0, -3.0, 0.25]);
    assert_eq!(columns(&rows[..1]), rows[0]);
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

type Row = Vec<Option<Weighted>>;

/// So many rows of whole numbers 0 … 5, some of them absent; at least two episodes have one in
/// every row.
fn scores_with_gaps(seeds: usize) -> impl Strategy<Value = Vec<Row>> {
    let score = |number: u8| (number < 6).then_some(Weighted { value: number.into(), weight: 1.0 });
    let row = proptest::collection::vec((0..8_u8).prop_map(score), 30);
    let row = row.prop_map(|mut row: Row| {
        row[..2].fill(Some(Weighted { value: 3.0, weight: 1.0 }));
        row
    });
    proptest::collection::vec(row, seeds)
}

fn of_trainings(name: &str, rows: &[Row]) -> Scores {
    let named = rows.iter().zip(1..).map(|(row, n)| (format!("{name}{n}"), row.clone()));
    Scores::trained(named.collect()).unwrap()
}

/// 1, a half or 0, of equal weight, where both have a value.
fn who_is_above(ours: &Row, theirs: &Row) -> Row {
    let above = |(a, b): (&Option<Weighted>, &Option<Weighted>)| {
        let (a, b) = ((*a)?.value, (*b)?.value);
        score(f64::from(u8::from(a > b)) / 2.0 + f64::from(u8::from(a >= b)) / 2.0, 1.0)
    };
    ours.iter().zip(theirs).map(above).collect()
}

/// Checks a probability against a mean, whose interval may reach beyond 0 and 1.
#[track_caller]
fn assert_as_mean(found: Interval, mean: &Interval) {
    assert!((found.estimate - mean.estimate).abs() < 1e-12, "{found:?} {mean:?}");
    let (found, wanted) = (found.ends.unwrap(), mean.within(0.0, 1.0).ends.unwrap());
    assert!((found.0 - wanted.0).abs() < 1e-9, "{found:?} {wanted:?}");
    assert!((found.1 - wanted.1).abs() < 1e-9, "{found:?} {wanted:?}");
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

    /// The probability of being above is the mean of 1, a half and 0 over the episodes in which
    /// both have a value. With seeds on one side alone, or the same on both, each seed's are
    /// the row of a policy.
    #[test]
    fn a_probability_is_the_mean_of_who_is_above(
        ours in scores_with_gaps(4),
        theirs in scores_with_gaps(4),
    ) {
        let both: Vec<Vec<_>> =
            ours.iter().zip(&theirs).map(|(a, b)| who_is_above(a, b)).collect();
        let found = of_trainings("a", &ours).probability_above(&of_trainings("a", &theirs));
        assert_as_mean(found.unwrap(), &of_trainings("a", &both).mean());

        let rival = Scores::untrained(theirs[0].clone()).unwrap();
        let each: Vec<Vec<_>> = ours.iter().map(|a| who_is_above(a, &theirs[0])).collect();
        let found = of_trainings("a", &ours).probability_above(&rival);
        assert_as_mean(found.unwrap(), &of_trainings("a", &each).mean());
        let each: Vec<Vec<_>> = ours.iter().map(|a| who_is_above(&theirs[0], a)).collect();
        let found = rival.probability_above(&of_trainings("a", &ours));
        assert_as_mean(found.unwrap(), &of_trainings("a", &each).mean());
    }

    /// Any training of one against any of the other: what the seeds of either change, on
    /// average over those of the other, adds up.
    #[test]
    fn a_probability_of_independent_trainings_has_the_seeds_of_both(
        ours in proptest::collection::vec(proptest::collection::vec(0..6_u8, 24), 2..5),
        theirs in proptest::collection::vec(proptest::collection::vec(0..6_u8, 24), 2..5),
    ) {
        let of = |name, rows: &[Vec<u8>]| {
            let row = |row: &Vec<u8>| row.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
            trained(name, &rows.iter().map(row).collect::<Vec<_>>())
        };
        let above = |a: u8, b: u8| match a.cmp(&b) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Less => 0.0,
        };
        let mean = |of: &dyn Fn(usize) -> f64, count: usize| {
            (0..count).map(of).sum::<f64>() / count as f64
        };
        // How often each of ours is above; how often any is above each of theirs.
        let wins = |i: usize, e: usize| mean(&|j| above(ours[i][e], theirs[j][e]), theirs.len());
        let loses = |j: usize, e: usize| mean(&|i| above(ours[i][e], theirs[j][e]), ours.len());
        let of_all = |e: usize| mean(&|i| wins(i, e), ours.len());
        let table = |seeds: usize, number: &dyn Fn(usize, usize) -> f64| -> Vec<Vec<f64>> {
            (0..seeds).map(|seed| (0..24).map(|e| number(seed, e)).collect()).collect()
        };
        let up = trained("up", &table(ours.len(), &|i, e| wins(i, e)));
        let down = trained("down", &table(theirs.len(), &|j, e| of_all(e) - loses(j, e)));
        let found = of("a", &ours).probability_above(&of("b", &theirs)).unwrap();
        assert_as_mean(found, &up.mean_minus(&down).unwrap());
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

/// Differences of 2, 3 and 1: 2 ± t(2)/√3, and t(2) = 4.303.
#[test]
fn streams_are_compared_one_by_one() {
    let streams = |values: &[f64]| {
        let named = row(values).into_iter().zip(1..);
        Scores::streams(named.map(|(value, n)| (n.to_string(), value)).collect()).unwrap()
    };
    let (ours, theirs) = (streams(&[3.0, 5.0, 4.0]), streams(&[1.0, 2.0, 3.0]));
    for (difference, basis) in [
        (ours.mean_minus(&theirs), Basis::Trainings(3)),
        (ours.mean_minus(&fixed(&[1.0, 2.0, 3.0])), Basis::Trainings(3)),
        (fixed(&[3.0, 5.0, 4.0]).mean_minus(&fixed(&[1.0, 2.0, 3.0])), Basis::Episodes),
    ] {
        let difference = difference.unwrap();
        assert_eq!((difference.estimate, difference.basis), (2.0, basis));
        assert!((half(difference) - 4.303 / 3.0_f64.sqrt()).abs() < 1e-3, "{difference:?}");
    }
    assert_eq!(ours.less(1.5).mean().estimate, 2.5);
    assert_eq!(streams(&[7.0]).mean().ends, None);
}
