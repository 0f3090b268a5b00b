//! Judging: the claims of a study, tested by its numbers.

use offramp_results::claim::{Claim, Verdict};
use offramp_results::exhibit::{Exhibit, Quantity};
use offramp_results::statistics::{Basis, Interval, MISSES, Scores, holm};
use offramp_results::words::signed;

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

/// Judges a claim; `None` if its exhibit was not made.
pub(crate) fn judge(claim: &ClaimSection, exhibits: &[Exhibit]) -> Option<Claim> {
    let (item, quantity, order) = claim.holds_if.compared();
    let exhibit = exhibits.iter().find(|made| made.id == *item)?;
    let compared = Compared { exhibit, quantity, order };
    let margins = match &claim.holds_if {
        Condition::Best { policy, rivals, .. } => compared.best(policy, rivals),
        Condition::Compare { left, factor, right, .. } => {
            compared.compare(left, *factor, right).map(|margin| vec![margin])
        }
        Condition::Steadier { policy, rivals, from, to, .. } => {
            compared.steadier(policy, rivals, from, to)
        }
        Condition::Bounded { policy, bound, .. } => compared.bounded(policy, *bound),
    };
    let ClaimSection { text, source, .. } = claim.clone();
    Some(match margins.and_then(|margins| compared.judged(&margins)) {
        Ok((verdict, comparisons, basis, because)) => {
            Claim { text, source, verdict, comparisons, basis, because }
        }
        Err(because) => {
            let (verdict, basis) = (Verdict::NotJudged, Basis::Episodes);
            Claim { text, source, verdict, comparisons: 0, basis, because }
        }
    })
}

/// The verdict on a claim about numbers that have no error, whose margins should all be above zero.
fn exact(margins: &[Margin]) -> Verdict {
    let holds = margins.iter().all(|margin| margin.margin.estimate > 0.0);
    if holds { Verdict::Holds } else { Verdict::Fails }
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
    /// The verdict, the number of comparisons, their weakest basis, and the difference that decided.
    ///
    /// # Errors
    /// Why nothing can be judged.
    fn judged(&self, margins: &[Margin]) -> Result<(Verdict, usize, Basis, String), String> {
        let is_exact = self.quantity.is_exact();
        let judged = if is_exact {
            exact(margins)
        } else {
            verdict(margins.iter().map(|margin| &margin.margin))
        };
        let low = |Margin { margin, .. }: &&Margin| match margin.ends {
            Some((low, _)) => low,
            None if is_exact => margin.estimate,
            None => f64::NEG_INFINITY,
        };
        let p = |margin: &&Margin| margin.margin.p_below_zero();
        let nothing = || "there is nothing to compare".to_owned();
        let deciding = match judged {
            Verdict::Fails if !is_exact => margins.iter().min_by(|a, b| p(a).total_cmp(&p(b))),
            _ => margins.iter().min_by(|a, b| low(a).total_cmp(&low(b))),
        };
        let because = self.because(deciding.ok_or_else(nothing)?);
        let basis = weakest(margins.iter().map(|margin| margin.margin.basis));
        let basis = basis.ok_or_else(nothing)?;
        Ok((on(basis, judged), margins.len(), basis, because))
    }

    /// The margins of a policy ahead of each rival, at every point of the exhibit.
    ///
    /// # Errors
    /// Which number is missing, and why.
    fn best(&self, policy: &str, rivals: &[String]) -> Result<Vec<Margin>, String> {
        let mut margins = Vec::new();
        for point in self.points() {
            let ours = self.scores(policy, point)?;
            for rival in rivals {
                let margin = self.ahead(&ours, &self.scores(rival, point)?)?;
                let at = if point.is_empty() { String::new() } else { format!(" at {point}") };
                margins.push(Margin { what: format!("{policy} minus {rival}{at}"), margin });
            }
        }
        Ok(margins)
    }

    /// The margins of a policy on its side of a number, at every point of the exhibit.
    ///
    /// # Errors
    /// Which number is missing, and why.
    fn bounded(&self, policy: &str, bound: f64) -> Result<Vec<Margin>, String> {
        let margin = |point| {
            let beyond = self.scores(policy, point)?.less(bound);
            let beyond = match self.order {
                Order::Above => beyond,
                Order::Below => beyond.times(-1.0),
            };
            let what = format!("{} minus {bound}", at(policy, point));
            Ok(Margin { what, margin: beyond.mean() })
        };
        self.points().into_iter().map(margin).collect()
    }

    /// The points of the exhibit, in order.
    fn points(&self) -> Vec<&str> {
        let mut points: Vec<&str> = Vec::new();
        for cell in &self.exhibit.cells {
            if !points.contains(&cell.point.as_str()) {
                points.push(&cell.point);
            }
        }
        points
    }

    /// The margin of one number ahead of another, times `factor`.
    ///
    /// # Errors
    /// Which number is missing, and why.
    fn compare(
        &self,
        left: &Place,
        Factor(factor): Factor,
        right: &Place,
    ) -> Result<Margin, String> {
        let of = |place: &Place| self.scores(&place.policy, &place.point);
        let margin = self.ahead(&of(left)?, &of(right)?.times(factor))?;
        let name = |place: &Place| at(&place.policy, &place.point);
        let times = if factor == 1.0 { String::new() } else { format!("{factor} × ") };
        Ok(Margin { what: format!("{} minus {times}{}", name(left), name(right)), margin })
    }

    /// The margins by which a policy loses less than each rival from one point to another.
    ///
    /// # Errors
    /// Which number is missing, and why.
    fn steadier(
        &self,
        policy: &str,
        rivals: &[String],
        from: &str,
        to: &str,
    ) -> Result<Vec<Margin>, String> {
        let both =
            |policy: &str| Ok::<_, String>([self.scores(policy, from)?, self.scores(policy, to)?]);
        let ours = both(policy)?;
        let margin = |rival: &String| {
            let theirs = both(rival)?;
            let (ours, theirs) = (ours.each_ref(), theirs.each_ref());
            let margin = match self.order {
                Order::Above => Scores::change_minus(ours, theirs),
                Order::Below => Scores::change_minus(theirs, ours),
            };
            let margin = margin.ok_or_else(not_the_same)?;
            let what = format!("change of {policy} minus that of {rival}, from {from} to {to},");
            Ok(Margin { what, margin })
        };
        rivals.iter().map(margin).collect()
    }

    /// How far the first is ahead: above the second, or below it if that is the order.
    fn ahead(&self, ours: &Scores, theirs: &Scores) -> Result<Interval, String> {
        let margin = match self.order {
            Order::Above => ours.mean_minus(theirs),
            Order::Below => theirs.mean_minus(ours),
        };
        margin.ok_or_else(not_the_same)
    }

    fn scores(&self, policy: &str, point: &str) -> Result<Scores, String> {
        let named = at(policy, point);
        let cell = self.exhibit.cell(policy, point);
        let cell = cell.ok_or_else(|| format!("{named} was left out of this version"))?;
        let measured = cell.outcome.as_ref().map_err(|error| format!("{named} failed: {error}"))?;
        let missing = || format!("{named} has no value for {}", self.quantity.title());
        measured.scores(self.quantity).ok_or_else(missing)
    }

    /// A margin in words: the difference itself, whichever way it should be.
    fn because(&self, Margin { what, margin }: &Margin) -> String {
        let (estimate, ends) = match self.order {
            Order::Above => (margin.estimate, margin.ends),
            Order::Below => (-margin.estimate, margin.ends.map(|(low, high)| (-high, -low))),
        };
        let (name, digits) = (self.quantity.title(), self.quantity.digits());
        let signed = |number: f64| signed(number, digits);
        let difference = format!("{name}: {what} {}", signed(estimate));
        match ends {
            Some((low, high)) => format!("{difference} [{}, {}]", signed(low), signed(high)),
            None => difference,
        }
    }
}

/// Why numbers can't be compared.
fn not_the_same() -> String {
    "the numbers are not of the same episodes".to_owned()
}

/// A policy at a point, in words.
fn at(policy: &str, point: &str) -> String {
    if point.is_empty() { policy.to_owned() } else { format!("{policy} at {point}") }
}

#[cfg(test)]
mod by_hand;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use offramp_results::exhibit::{Cell, ExhibitKind, Measured};
    use offramp_results::statistics::Weighted;
    use offramp_scenario::read_ron;

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

    /// An exhibit of policies with so many parameters; those with an error failed.
    fn exhibit(cells: &[(&str, Result<f64, &str>)]) -> Exhibit {
        let cell = |(policy, parameters): &(&str, Result<f64, &str>)| {
            let measured =
                |parameters| Measured { parameters: Some(parameters), ..Measured::default() };
            let outcome = parameters.map(measured).map_err(str::to_owned);
            Cell {
                policy: (*policy).to_owned(),
                point: "p".into(),
                outcome,
                paper: BTreeMap::new(),
            }
        };
        Exhibit {
            id: "item".to_owned(),
            title: String::new(),
            kind: ExhibitKind::Table,
            axis: String::new(),
            quantities: vec![Quantity::Parameters],
            reference: None,
            cells: cells.iter().map(cell).collect(),
            streams: Vec::new(),
        }
    }

    /// The verdict on a claim about the policies of an exhibit, and why.
    fn judged(condition: &str, cells: &[(&str, Result<f64, &str>)]) -> (Verdict, String) {
        let claim = format!("(text: \"\", source: \"\", holds_if: {condition})");
        let claim = judge(&read_ron("x", &claim).unwrap(), &[exhibit(cells)]).unwrap();
        assert_eq!(claim.comparisons == 0, claim.verdict == Verdict::NotJudged);
        (claim.verdict, claim.because)
    }

    const SMALLER: &str = r#"Compare(
        item: "item", metric: Parameters, order: Below,
        left: (policy: "a", point: "p"), factor: 0.5, right: (policy: "b", point: "p"),
    )"#;

    /// They have no interval.
    #[test]
    fn exact_numbers_are_judged_exactly() {
        for (count, verdict) in
            [(49.0, Verdict::Holds), (50.0, Verdict::Fails), (51.0, Verdict::Fails)]
        {
            let (judged, because) = judged(SMALLER, &[("a", Ok(count)), ("b", Ok(100.0))]);
            assert_eq!(judged, verdict, "{count}: {because}");
        }
        let best = "Best(item: \"item\", metric: Parameters, order: Above, policy: \"a\", \
                    rivals: [\"b\", \"c\"])";
        let cells = [("a", Ok(7.0)), ("b", Ok(5.0)), ("c", Ok(9.0))];
        let because = "parameters: a minus c at p -2".to_owned();
        assert_eq!(judged(best, &cells), (Verdict::Fails, because));
    }

    #[test]
    fn a_claim_that_can_not_be_judged_says_why() {
        let not = |because: &str| (Verdict::NotJudged, because.to_owned());
        let a = ("a", Ok(7.0));
        assert_eq!(judged(SMALLER, &[a]), not("b at p was left out of this version"));
        assert_eq!(judged(SMALLER, &[a, ("b", Err("why"))]), not("b at p failed: why"));
        let qoe = SMALLER.replace("Parameters", "Qoe");
        assert_eq!(judged(&qoe, &[a, ("b", Ok(1.0))]).0, Verdict::NotJudged);
    }
}
