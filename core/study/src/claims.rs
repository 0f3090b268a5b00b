//! Judging: the claims of a study, tested by its numbers.

use offramp_results::claim::{Claim, Verdict};
use offramp_results::exhibit::{Exhibit, Quantity};
use offramp_results::statistics::{Basis, Interval, MISSES, Scores, holm};

use crate::file::{ClaimSection, Condition, Factor, Order, Place};

/// A difference that a claim expects to be above zero.
struct Margin {
    /// The difference, in words.
    what: String,
    margin: Interval,
}

/// An exhibit, and the quantity of it that a claim is about.
#[derive(Clone, Copy)]
struct Compared<'e> {
    exhibit: &'e Exhibit,
    quantity: Quantity,
    order: Order,
}

/// Judges a claim; `None` if its exhibit was not made, or a cell of it failed.
pub(crate) fn judge(claim: &ClaimSection, exhibits: &[Exhibit]) -> Option<Claim> {
    let (Condition::Best { item, metric, order, .. }
    | Condition::Compare { item, metric, order, .. }) = &claim.holds_if;
    let exhibit = exhibits.iter().find(|made| made.id == *item)?;
    let compared = Compared { exhibit, quantity: *metric, order: *order };
    let margins = match &claim.holds_if {
        Condition::Best { policy, rivals, .. } => compared.best(policy, rivals)?,
        Condition::Compare { left, factor, right, .. } => {
            vec![compared.compare(left, *factor, right)?]
        }
    };
    let judged = verdict(margins.iter().map(|margin| &margin.margin));
    let low = |margin: &Margin| margin.margin.ends.map_or(f64::NEG_INFINITY, |(low, _)| low);
    let p = |margin: &Margin| margin.margin.p_below_zero();
    let comparisons = margins.len();
    let basis = weakest(margins.iter().map(|margin| margin.margin.basis))?;
    let because = compared.because(match judged {
        Verdict::Fails => margins.iter().min_by(|a, b| p(a).total_cmp(&p(b)))?,
        _ => margins.iter().min_by(|a, b| low(a).total_cmp(&low(b)))?,
    });
    let verdict = on(basis, judged);
    let ClaimSection { text, source, .. } = claim.clone();
    Some(Claim { text, source, verdict, comparisons, basis, because })
}

/// The verdict on a claim whose margins should all be above zero, whatever they rest on; without
/// an interval nothing is decided.
fn verdict<'m>(margins: impl Iterator<Item = &'m Interval> + Clone) -> Verdict {
    let below: Vec<f64> = margins.clone().map(Interval::p_below_zero).collect();
    if holm(&below, MISSES / 2.0).contains(&true) {
        Verdict::Fails
    } else if margins.map(|margin| margin.ends).all(|ends| ends.is_some_and(|(low, _)| low > 0.0)) {
        Verdict::Holds
    } else {
        Verdict::Undecided
    }
}

/// The verdict on that basis.
fn on(basis: Basis, judged: Verdict) -> Verdict {
    match (judged, basis) {
        (Verdict::Holds | Verdict::Fails, Basis::OneTraining) => Verdict::TooFewSeeds,
        _ => judged,
    }
}

/// The basis with the fewest training seeds of a policy that learns.
fn weakest(bases: impl Iterator<Item = Basis>) -> Option<Basis> {
    bases.min_by_key(|basis| basis.trainings().unwrap_or(usize::MAX))
}

impl Compared<'_> {
    /// The margins of a policy ahead of each rival, at every point of the exhibit.
    fn best(&self, policy: &str, rivals: &[String]) -> Option<Vec<Margin>> {
        let mut points: Vec<&str> = Vec::new();
        for cell in &self.exhibit.cells {
            if !points.contains(&cell.point.as_str()) {
                points.push(&cell.point);
            }
        }
        let mut margins = Vec::new();
        for point in points {
            let ours = self.scores(policy, point)?;
            for rival in rivals {
                let margin = self.ahead(&ours, &self.scores(rival, point)?)?;
                let at = if point.is_empty() { String::new() } else { format!(" at {point}") };
                margins.push(Margin { what: format!("{policy} less {rival}{at}"), margin });
            }
        }
        Some(margins)
    }

    /// The margin of one number ahead of another, times `factor`.
    fn compare(&self, left: &Place, Factor(factor): Factor, right: &Place) -> Option<Margin> {
        let of = |place: &Place| self.scores(&place.policy, &place.point);
        let margin = self.ahead(&of(left)?, &of(right)?.times(factor))?;
        let name = |place: &Place| match place.point.as_str() {
            "" => place.policy.clone(),
            point => format!("{} at {point}", place.policy),
        };
        let times = if factor == 1.0 { String::new() } else { format!("{factor} × ") };
        Some(Margin { what: format!("{} less {times}{}", name(left), name(right)), margin })
    }

    /// How far the first is ahead: above the second, or below it if that is the order.
    fn ahead(&self, ours: &Scores, theirs: &Scores) -> Option<Interval> {
        match self.order {
            Order::Above => ours.mean_minus(theirs),
            Order::Below => theirs.mean_minus(ours),
        }
    }

    fn scores(&self, policy: &str, point: &str) -> Option<Scores> {
        self.exhibit.cell(policy, point)?.scores(self.quantity)
    }

    /// A margin in words: the difference itself, whichever way it should be.
    fn because(&self, Margin { what, margin }: &Margin) -> String {
        let (estimate, ends) = match self.order {
            Order::Above => (margin.estimate, margin.ends),
            Order::Below => (-margin.estimate, margin.ends.map(|(low, high)| (-high, -low))),
        };
        let (name, digits) = (self.quantity.title(), self.quantity.digits());
        let difference = format!("{name}: {what} {estimate:+.digits$}");
        match ends {
            Some((low, high)) => format!("{difference} [{low:+.digits$}, {high:+.digits$}]"),
            None => difference,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use offramp_results::exhibit::{Cell, ExhibitKind, Lineage, Measured, MeasuredRun};
    use offramp_results::run_folder::RunRecord;
    use offramp_results::statistics::Weighted;
    use offramp_results::{EpisodeMetrics, EpisodeResult, metric};

    use super::*;

    /// The difference, `mean` on average, of a policy that was trained under so many seeds and one
    /// that does not learn; seeds are 0.1 away from the mean, and episodes 1.
    fn margin(mean: f64, seeds: usize) -> Interval {
        let away = |at: usize| if at.is_multiple_of(2) { 1.0 } else { -1.0 };
        let row = |seed: usize| {
            let value = |at: usize| mean + 0.1 * away(seed) + away(at);
            (0..40).map(|at| Some(Weighted { value: value(at), weight: 1.0 })).collect()
        };
        let ours = (0..seeds).map(|seed| (format!("training {seed}"), row(seed)));
        let zero = vec![Some(Weighted { value: 0.0, weight: 1.0 }); 40];
        let (ours, zero) = (Scores::trained(ours.collect()), Scores::untrained(zero));
        ours.unwrap().mean_minus(&zero.unwrap()).unwrap()
    }

    fn of(margins: &[Interval]) -> Verdict {
        verdict(margins.iter())
    }

    #[test]
    fn a_claim_holds_if_each_comparison_does() {
        let half = margin(0.0, 10).ends.unwrap().1;
        assert!((half - 0.332).abs() < 0.001, "{half}");
        assert_eq!(of(&[margin(half + 0.01, 10); 30]), Verdict::Holds);
        assert_eq!(of(&[margin(half + 0.01, 10), margin(half - 0.01, 10)]), Verdict::Undecided);
    }

    /// One comparison of one fails where its interval ends below zero; one of thirty must be
    /// further below.
    #[test]
    fn a_claim_fails_by_more_the_more_it_compares() {
        let half = margin(0.0, 10).ends.unwrap().1;
        let with_29 = |mean: f64| {
            let mut margins = vec![margin(1.0, 10); 29];
            margins.push(margin(mean, 10));
            of(&margins)
        };
        assert_eq!(of(&[margin(-half - 0.01, 10)]), Verdict::Fails);
        assert_eq!(of(&[margin(-half + 0.01, 10)]), Verdict::Undecided);
        assert_eq!(with_29(-half - 0.01), Verdict::Undecided);
        assert_eq!(with_29(-1.5 * half), Verdict::Undecided);
        assert_eq!(with_29(-1.75 * half), Verdict::Fails);
    }

    #[test]
    fn what_was_trained_once_decides_nothing() {
        for (mean, judged) in
            [(9.0, Verdict::Holds), (-9.0, Verdict::Fails), (0.0, Verdict::Undecided)]
        {
            for (seeds, verdict) in [(2, judged), (1, Verdict::TooFewSeeds)] {
                let margin = margin(mean, seeds);
                let expected = if mean == 0.0 { Verdict::Undecided } else { verdict };
                assert_eq!(on(margin.basis, of(&[margin])), expected, "{mean}, {seeds}");
            }
        }
        assert_eq!(on(Basis::Episodes, Verdict::Holds), Verdict::Holds);
    }

    #[test]
    fn the_weakest_basis_has_the_fewest_trainings() {
        let of = |bases: &[Basis]| weakest(bases.iter().copied()).unwrap();
        assert_eq!(
            of(&[Basis::Episodes, Basis::Trainings(5), Basis::Trainings(10)]),
            Basis::Trainings(5)
        );
        assert_eq!(
            of(&[Basis::Trainings(2), Basis::OneTraining, Basis::Episodes]),
            Basis::OneTraining
        );
        assert_eq!(of(&[Basis::Episodes]), Basis::Episodes);
    }

    const QOE: &str = "Qoe";

    /// A policy that does not learn, at a point, with the QoE of each episode.
    fn fixed(policy: &str, point: &str, qoe: &[f64]) -> Cell {
        let run = MeasuredRun {
            lineage: None,
            record: RunRecord::default(),
            episodes: qoe.iter().map(|&qoe| episode(qoe)).collect(),
        };
        cell(policy, point, vec![run])
    }

    fn episode(qoe: f64) -> EpisodeResult {
        let overall = EpisodeMetrics { devices: 1.0, qoe: Some(qoe), ..EpisodeMetrics::default() };
        EpisodeResult { overall, ..EpisodeResult::default() }
    }

    fn cell(policy: &str, point: &str, runs: Vec<MeasuredRun>) -> Cell {
        let outcome = Ok(Measured { runs, ..Measured::default() });
        Cell { policy: policy.into(), point: point.into(), outcome, paper: BTreeMap::new() }
    }

    fn exhibit(id: &str, cells: Vec<Cell>) -> Exhibit {
        Exhibit {
            id: id.into(),
            title: String::new(),
            kind: ExhibitKind::Table,
            axis: String::new(),
            quantities: vec![qoe()],
            reference: None,
            cells,
        }
    }

    fn qoe() -> Quantity {
        Quantity::Metric(metric::by_name(QOE).unwrap())
    }

    /// The claim that "ours" is ahead of the rivals in the exhibit "item".
    fn best(order: Order, rivals: &[&str]) -> ClaimSection {
        let (item, policy) = ("item".into(), "ours".into());
        let rivals = rivals.iter().map(|&rival| rival.into()).collect();
        claim(Condition::Best { item, metric: qoe(), order, policy, rivals })
    }

    /// The claim that `left` is above or below a multiple of `right`, each a policy at a point.
    fn compare(left: (&str, &str), order: Order, factor: f64, right: (&str, &str)) -> ClaimSection {
        let place =
            |(policy, point): (&str, &str)| Place { policy: policy.into(), point: point.into() };
        claim(Condition::Compare {
            item: "item".into(),
            metric: qoe(),
            order,
            left: place(left),
            factor: Factor(factor),
            right: place(right),
        })
    }

    fn claim(holds_if: Condition) -> ClaimSection {
        ClaimSection { text: "It is so.".into(), source: "a test".into(), holds_if }
    }

    /// Of two differences d ± h, the interval is d ± t(1)·h, and t(1) = 12.706.
    #[test]
    fn a_policy_that_is_best_at_every_point_is_judged_by_hand() {
        let cells = || {
            vec![
                fixed("ours", "x", &[10.1, 9.9]),
                fixed("near", "x", &[5.0, 5.0]),
                fixed("far", "x", &[2.0, 2.0]),
                fixed("ours", "y", &[10.2, 9.8]),
                fixed("near", "y", &[4.0, 4.0]),
                fixed("far", "y", &[1.0, 1.0]),
            ]
        };
        // Where it is behind does not count in another exhibit.
        let other = exhibit("other", vec![fixed("ours", "x", &[0.0, 0.0])]);
        let made = [other, exhibit("item", cells())];
        let judged = judge(&best(Order::Above, &["far", "near"]), &made).unwrap();
        // 5 ± 1.27 at x and 6 ± 2.54 at y.
        let expected = Claim {
            text: "It is so.".into(),
            source: "a test".into(),
            verdict: Verdict::Holds,
            comparisons: 4,
            basis: Basis::Episodes,
            because: "AvgQoE: ours less near at y +6.0 [+3.5, +8.5]".into(),
        };
        assert_eq!(judged, Claim { because: judged.because.clone(), ..expected.clone() });
        assert_eq!(judged.because, expected.because);
        // The other way round it is false, at x most surely, by the same difference.
        let judged = judge(&best(Order::Below, &["near"]), &made).unwrap();
        assert_eq!((judged.verdict, judged.comparisons), (Verdict::Fails, 2));
        assert_eq!(judged.because, "AvgQoE: ours less near at x +5.0 [+3.7, +6.3]");
    }

    #[test]
    fn a_number_below_a_multiple_of_another_is_judged_by_hand() {
        let cells = vec![
            fixed("ours", "", &[1.0, 1.0]),
            fixed("rival", "", &[12.0, 12.4]),
            fixed("rival", "9", &[4.0, 4.0]),
        ];
        let made = [exhibit("item", cells)];
        let of = |claim: &ClaimSection| {
            let Claim { verdict, comparisons, because, .. } = judge(claim, &made).unwrap();
            assert_eq!(comparisons, 1);
            (verdict, because)
        };
        // Half of the rival is 6.1 ± 0.1: 5.1 ± 1.27 above.
        let (verdict, because) = of(&compare(("ours", ""), Order::Below, 0.5, ("rival", "")));
        assert_eq!(verdict, Verdict::Holds);
        assert_eq!(because, "AvgQoE: ours less 0.5 × rival -5.1 [-6.4, -3.8]");
        let (verdict, because) = of(&compare(("rival", "9"), Order::Above, 1.0, ("ours", "")));
        assert_eq!(verdict, Verdict::Holds);
        assert_eq!(because, "AvgQoE: rival at 9 less ours +3.0 [+3.0, +3.0]");
        let (verdict, because) = of(&compare(("rival", "9"), Order::Below, 3.0, ("ours", "")));
        assert_eq!(verdict, Verdict::Fails);
        assert_eq!(because, "AvgQoE: rival at 9 less 3 × ours +1.0 [+1.0, +1.0]");
    }

    /// A claim that fails names the comparison that shows it best, not the widest interval.
    #[test]
    fn the_surest_failure_is_named() {
        let cells = vec![
            fixed("ours", "", &[1.0, 1.0]),
            fixed("sure", "", &[2.0, 2.0]),
            fixed("vague", "", &[1.0, 5.0]),
        ];
        let judged =
            judge(&best(Order::Above, &["vague", "sure"]), &[exhibit("item", cells)]).unwrap();
        assert_eq!(judged.verdict, Verdict::Fails);
        assert_eq!(judged.because, "AvgQoE: ours less sure -1.0 [-1.0, -1.0]");
    }

    #[test]
    fn level_policies_decide_nothing() {
        let cells = vec![fixed("ours", "", &[3.0, 4.0]), fixed("rival", "", &[3.0, 4.0])];
        let made = [exhibit("item", cells)];
        for order in [Order::Above, Order::Below] {
            let judged = judge(&best(order, &["rival"]), &made).unwrap();
            assert_eq!(judged.verdict, Verdict::Undecided);
        }
    }

    #[test]
    fn one_episode_decides_nothing_and_has_no_interval() {
        let cells = vec![fixed("ours", "", &[9.0]), fixed("rival", "", &[3.5])];
        let judged = judge(&best(Order::Above, &["rival"]), &[exhibit("item", cells)]).unwrap();
        assert_eq!(judged.verdict, Verdict::Undecided);
        assert_eq!(judged.because, "AvgQoE: ours less rival +5.5");
    }

    #[test]
    fn a_claim_about_one_training_has_too_few_seeds() {
        let trained = |seeds: u64| {
            let run = |seed: u64| MeasuredRun {
                lineage: Some(Lineage { seed, training: format!("training {seed}") }),
                record: RunRecord::default(),
                episodes: vec![episode(9.0), episode(9.2)],
            };
            let rival = fixed("rival", "", &[3.0, 3.0]);
            [exhibit("item", vec![cell("ours", "", (0..seeds).map(run).collect()), rival])]
        };
        let of = |seeds: u64, order: Order| {
            let judged = judge(&best(order, &["rival"]), &trained(seeds)).unwrap();
            (judged.verdict, judged.basis)
        };
        assert_eq!(of(1, Order::Above), (Verdict::TooFewSeeds, Basis::OneTraining));
        assert_eq!(of(1, Order::Below), (Verdict::TooFewSeeds, Basis::OneTraining));
        assert_eq!(of(2, Order::Above), (Verdict::Holds, Basis::Trainings(2)));
        assert_eq!(of(2, Order::Below), (Verdict::Fails, Basis::Trainings(2)));
    }

    #[test]
    fn what_was_not_made_or_failed_is_not_judged() {
        let ours = || fixed("ours", "", &[1.0, 2.0]);
        let failed = Cell { outcome: Err("no".into()), ..fixed("rival", "", &[]) };
        let claim = best(Order::Above, &["rival"]);
        assert_eq!(judge(&claim, &[]), None);
        assert_eq!(judge(&claim, &[exhibit("item", vec![ours()])]), None);
        assert_eq!(judge(&claim, &[exhibit("item", vec![ours(), failed])]), None);
        let rival = fixed("rival", "", &[0.0, 0.0]);
        assert_eq!(judge(&claim, &[exhibit("other", vec![ours(), rival])]), None);
    }
}
