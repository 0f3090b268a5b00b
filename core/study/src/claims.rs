//! Judging: the claims of a study, tested against its numbers.

use offramp_results::claim::{Claim, Verdict};
use offramp_results::exhibit::{Exhibit, Quantity};
use offramp_results::statistics::{Interval, Scores};

use crate::file::{ClaimSection, Condition, Order, Place};

/// A difference that should be above zero.
struct Margin {
    what: String,
    margin: Interval,
    quantity: Quantity,
}

/// Judges a claim; `None` if its exhibit was not made, or some of it failed.
pub(crate) fn judge(claim: &ClaimSection, exhibits: &[Exhibit]) -> Option<Claim> {
    let margins = match &claim.holds_if {
        Condition::Best { item, metric, order, policy, rivals } => {
            let item = exhibits.iter().find(|made| made.id == *item)?;
            let mut points: Vec<&str> = Vec::new();
            for cell in &item.cells {
                if !points.contains(&cell.point.as_str()) {
                    points.push(&cell.point);
                }
            }
            let mut margins = Vec::new();
            for point in points {
                let ours = scores(item, policy, point, *metric)?;
                for rival in rivals {
                    let theirs = scores(item, rival, point, *metric)?;
                    let margin = ahead(&ours, &theirs, *order)?;
                    let at = if point.is_empty() { String::new() } else { format!(" at {point}") };
                    margins.push(Margin {
                        what: format!("{policy} less {rival}{at}"),
                        margin,
                        quantity: *metric,
                    });
                }
            }
            (margins, *order)
        }
        Condition::Compare { item, metric, order, left, factor, right } => {
            let item = exhibits.iter().find(|made| made.id == *item)?;
            let of = |place: &Place| scores(item, &place.policy, &place.point, *metric);
            let margin = ahead(&of(left)?, &of(right)?.times(factor.0), *order)?;
            let name = |place: &Place| match place.point.as_str() {
                "" => place.policy.clone(),
                point => format!("{} at {point}", place.policy),
            };
            let times = if factor.0 == 1.0 { String::new() } else { format!("{} × ", factor.0) };
            let what = format!("{} less {times}{}", name(left), name(right));
            (vec![Margin { what, margin, quantity: *metric }], *order)
        }
    };
    let (margins, order) = margins;
    let verdict = if margins.iter().any(|margin| margin.margin.high < 0.0) {
        Verdict::Fails
    } else if margins.iter().all(|margin| margin.margin.low > 0.0) {
        Verdict::Holds
    } else {
        Verdict::Undecided
    };
    let narrowest = margins.into_iter().min_by(|a, b| a.margin.low.total_cmp(&b.margin.low))?;
    let Margin { what, margin, quantity } = narrowest;
    // As it reads: the difference itself, not the margin.
    let (estimate, low, high) = match order {
        Order::Above => (margin.estimate, margin.low, margin.high),
        Order::Below => (-margin.estimate, -margin.high, -margin.low),
    };
    let (name, digits) = (quantity.title(), quantity.digits());
    let because =
        format!("{name}: {what} {estimate:+.digits$} [{low:+.digits$}, {high:+.digits$}]");
    let ClaimSection { text, source, .. } = claim.clone();
    Some(Claim { text, source, verdict, because })
}

/// How far the first is ahead, below being ahead if that is the order.
fn ahead(ours: &Scores, theirs: &Scores, order: Order) -> Option<Interval> {
    let difference = match order {
        Order::Above => ours.minus(theirs)?,
        Order::Below => theirs.minus(ours)?,
    };
    Some(difference.mean())
}

fn scores(item: &Exhibit, policy: &str, point: &str, quantity: Quantity) -> Option<Scores> {
    item.cell(policy, point)?.scores(quantity)
}
