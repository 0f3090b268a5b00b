//! The numbers of a study, one row each, as its CSV files have them.

use offramp_results::exhibit::{Cell, Exhibit, Quantity};
use offramp_results::statistics::{Interval, Scores};

use super::{difference, interval, seeds};
use crate::records::{self, Field, Kind, Records};

/// An exhibit as CSV, one row per number.
pub fn csv(exhibit: &Exhibit) -> String {
    exhibit_records(std::slice::from_ref(exhibit)).csv()
}

/// The columns of an exhibit's CSV file.
const COLUMNS: [Field; 15] = [
    Field::new("item", Kind::Text),
    Field::new("point", Kind::Text),
    Field::new("policy", Kind::Text),
    Field::new("metric", Kind::Text),
    Field::new("training_seed", Kind::Seed),
    Field::new("seeds", Kind::Count),
    Field::new("estimate", Kind::Number),
    Field::new("low", Kind::Number),
    Field::new("high", Kind::Number),
    Field::new("over", Kind::Text),
    Field::new("paper", Kind::Number),
    Field::new("less_reference", Kind::Number),
    Field::new("less_reference_low", Kind::Number),
    Field::new("less_reference_high", Kind::Number),
    Field::new("less_reference_over", Kind::Text),
];

/// The numbers of exhibits, one row each, and one more for each training seed alone.
pub(super) fn exhibit_records(exhibits: &[Exhibit]) -> Records {
    let mut records = Records::new(COLUMNS);
    for exhibit in exhibits {
        for cell in &exhibit.cells {
            for &quantity in &exhibit.quantities {
                records.rows.push(number_row(exhibit, cell, quantity));
                let seeds = cell.by_seed(quantity).into_iter();
                records.rows.extend(seeds.map(|seed| seed_row(exhibit, cell, quantity, &seed)));
            }
        }
    }
    records
}

fn number(value: Option<f64>, quantity: Quantity) -> records::Cell {
    value.map_or(records::Cell::Empty, |value| records::Cell::Number(value, quantity.digits()))
}

/// The columns that name a number.
fn names(exhibit: &Exhibit, cell: &Cell, quantity: Quantity) -> Vec<records::Cell> {
    [&exhibit.id, cell.point.as_str(), &cell.policy, quantity.title()].map(Into::into).into()
}

/// A quantity of a cell, with [`COLUMNS`].
fn number_row(exhibit: &Exhibit, cell: &Cell, quantity: Quantity) -> Vec<records::Cell> {
    let parts = |interval: Option<Interval>| {
        let ends = interval.and_then(|interval| interval.ends);
        let numbers =
            [interval.map(|i| i.estimate), ends.map(|ends| ends.0), ends.map(|ends| ends.1)];
        let over = ends.and(interval).map(|interval| interval.basis.name().into());
        let numbers = numbers.map(|value| number(value, quantity)).into_iter();
        numbers.chain([over.unwrap_or(records::Cell::Empty)])
    };
    let mut row = names(exhibit, cell, quantity);
    row.extend([records::Cell::Empty, seeds(cell).into()]);
    row.extend(parts(interval(cell, quantity)));
    row.push(number(cell.paper.get(&quantity).copied(), quantity));
    row.extend(parts(difference(exhibit, cell, quantity)));
    row
}

/// The mean of one training seed of a cell, with [`COLUMNS`].
fn seed_row(
    exhibit: &Exhibit,
    cell: &Cell,
    quantity: Quantity,
    (seed, scores): &(u64, Scores),
) -> Vec<records::Cell> {
    let mut row = names(exhibit, cell, quantity);
    row.extend([records::Cell::Count(*seed), records::Cell::Count(1)]);
    row.push(number(Some(scores.mean().estimate), quantity));
    row.resize(COLUMNS.len(), records::Cell::Empty);
    row
}
