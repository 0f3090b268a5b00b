//! Judging: the claims of a study, tested by its numbers.

use offramp_results::claim::{Claim, Verdict};
use offramp_results::exhibit::{Exhibit, Quantity};
use offramp_results::statistics::{Interval, Scores};

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
    let verdict = verdict(&margins);
    let low = |margin: &Margin| margin.margin.ends.map_or(f64::NEG_INFINITY, |(low, _)| low);
    let narrowest = margins.into_iter().min_by(|a, b| low(a).total_cmp(&low(b)))?;
    let because = compared.because(&narrowest);
    let ClaimSection { text, source, .. } = claim.clone();
    Some(Claim { text, source, verdict, because })
}

/// A claim holds if all its intervals are above zero, and fails if one is below; without an
/// interval nothing is decided.
fn verdict(margins: &[Margin]) -> Verdict {
    let mut ends = margins.iter().map(|margin| margin.margin.ends);
    if ends.clone().flatten().any(|(_, high)| high < 0.0) {
        Verdict::Fails
    } else if ends.all(|ends| ends.is_some_and(|(low, _)| low > 0.0)) {
        Verdict::Holds
    } else {
        Verdict::Undecided
    }
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
