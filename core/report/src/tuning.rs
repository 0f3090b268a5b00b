//! Searches for hyper-parameters: what each rung took, and what the configurations on it reached.

use std::path::Path;

use offramp_results::tuning::{Search, SearchRow};

use crate::Format;
use crate::axis;
use crate::palette::{GREY, Look};
use crate::plot::{Figure, Lines, Series};
use crate::records::{Cell, Field, Kind, Records, json_text};

/// Digits after the point of the selection score in tables: the mean AvgQoE on the episodes that judge.
const DIGITS: usize = 1;

/// A search in `format`. A table shows what each rung took and how the finalists rank, best first; CSV
/// has the rank of every configuration on every rung, JSON both.
pub fn search(search: &Search, format: Format) -> String {
    match format {
        Format::Table => {
            let finalists = search.rows.iter().map(|row| row.rung).max();
            let finalists = finalists.map_or(0..0, |last| last..last + 1);
            format!("{}\n{}", rungs(search).table(), standings(search, finalists).table())
        }
        Format::Csv => all_standings(search).csv(),
        Format::Json => json_text(&serde_json::json!({
            "rungs": rungs(search).json(),
            "standings": all_standings(search).json(),
        })),
    }
}

/// True if a folder is that of a search.
pub fn has_rows(folder: &Path) -> bool {
    folder.join("tune.csv").is_file()
}

/// What the configurations of a search reach, one line each over the lengths of the rungs; that of the
/// chosen one stands out.
pub(crate) fn figure(search: &Search) -> Figure {
    let rungs = (0..rung_count(search)).map(|rung| {
        let rows = search.rows.iter().filter(|row| row.rung == rung);
        let length = rows.map(|row| row.length).max().unwrap_or(0);
        (length as f64, search.standings(rung))
    });
    let mut lines = vec![Vec::new(); search.configurations.len()];
    for (length, standings) in rungs {
        for standing in standings {
            lines[standing.configuration].push((length, standing.qoe.mean));
        }
    }
    let others = Look::numbered(GREY);
    let line = |(configuration, points)| {
        let is_chosen = search.chosen == Some(configuration);
        Series {
            name: if is_chosen { "chosen".to_owned() } else { String::new() },
            look: if is_chosen { Look::default() } else { others },
            points,
            ..Series::default()
        }
    };
    // The chosen one is drawn last, above the others.
    let mut series: Vec<Series> = lines.into_iter().enumerate().map(line).collect();
    series.sort_by_key(|series| !series.name.is_empty());
    Figure::Lines(Lines {
        title: String::new(),
        x: format!("{} of the rung", search.unit.of_length()),
        y: format!("selection score ({})", axis::QOE),
        series,
    })
}

fn rung_count(search: &Search) -> u64 {
    search.rows.iter().map(|row| row.rung + 1).max().unwrap_or(0)
}

/// What each rung took, and all of them.
pub(crate) fn rungs(search: &Search) -> Records {
    let cost = search.unit.of_cost();
    let of_all = if cost == "slots" { "slots of all" } else { "steps of all" };
    let mut fields = vec![
        Field::new("rung", Kind::Text),
        Field::new("configurations", Kind::Count),
        Field::new("seeds", Kind::Count),
        Field::titled("length", search.unit.of_length(), Kind::Count),
    ];
    fields.extend([
        Field::titled("budget", of_all, Kind::Count),
        Field::new("seconds", Kind::Number),
        Field::new("failed", Kind::Count),
        Field::titled("validation_qoe", "best selection score", Kind::Number),
    ]);
    let mut records = Records::new(fields);
    for rung in (0..rung_count(search)).map(Some).chain([None]) {
        let rows =
            || search.rows.iter().filter(move |row| rung.is_none_or(|rung| row.rung == rung));
        let distinct = |number: fn(&SearchRow) -> u64| {
            let mut numbers: Vec<u64> = rows().map(number).collect();
            numbers.sort_unstable();
            numbers.dedup();
            Cell::Count(numbers.len() as u64)
        };
        let best = rung.and_then(|rung| search.standings(rung).first().copied());
        records.rows.push(vec![
            rung.map_or_else(|| "all".to_owned(), |rung| rung.to_string()).into(),
            distinct(|row| row.configuration as u64),
            distinct(|row| row.seed),
            rung.and_then(|_| rows().map(|row| row.length).max()).into(),
            search.cost(rung).into(),
            Cell::Number(rows().map(|row| row.seconds).sum(), 0),
            Cell::Count(rows().filter(|row| row.error.is_some()).count() as u64),
            best.map_or(Cell::Empty, |best| Cell::Number(best.qoe.mean, DIGITS)),
        ]);
    }
    records
}

/// The configurations on every rung, best first.
pub fn all_standings(search: &Search) -> Records {
    standings(search, 0..rung_count(search))
}

/// The configurations on these rungs, best first.
fn standings(search: &Search, rungs: std::ops::Range<u64>) -> Records {
    let mut records = Records::new([
        Field::new("rung", Kind::Count),
        Field::new("configuration", Kind::Count),
        Field::titled("validation_qoe", "selection score", Kind::Number),
        Field::titled("validation_qoe_sd", "± over seeds", Kind::Number),
        Field::new("chosen", Kind::Text),
        Field::new("values", Kind::Text),
    ]);
    for rung in rungs.clone() {
        for standing in search.standings(rung) {
            let is_chosen = rung + 1 == rungs.end && search.chosen == Some(standing.configuration);
            records.rows.push(vec![
                rung.into(),
                (standing.configuration as u64).into(),
                Cell::Number(standing.qoe.mean, DIGITS),
                standing.qoe.sd.map_or(Cell::Empty, |sd| Cell::Number(sd, DIGITS)),
                is_chosen.then_some("chosen").map_or(Cell::Empty, Cell::from),
                search.values(standing.configuration).into(),
            ]);
        }
    }
    records
}

#[cfg(test)]
mod tests {
    use offramp_results::tuning::Unit;

    use super::*;

    #[test]
    fn rungs_and_finalists_are_tables() {
        let row = |rung, configuration, seed, length, qoe: Option<f64>| SearchRow {
            rung,
            configuration,
            seed,
            length,
            validation_qoe: qoe,
            error: qoe.is_none().then(|| "lost".to_owned()),
            seconds: 2.0,
            ..SearchRow::default()
        };
        let found = Search {
            unit: Unit::Episodes { slots: 110 },
            fields: vec!["train.a".to_owned()],
            configurations: vec![vec!["1".to_owned()], vec!["Adam(0.1)".to_owned()]],
            rows: vec![
                row(0, 0, 9, 5, None),
                row(0, 1, 9, 5, Some(3.0)),
                row(1, 1, 1, 20, Some(4.0)),
                row(1, 1, 2, 20, Some(5.0)),
            ],
            chosen: Some(1),
        };
        let expected = "\
| rung | configurations | seeds | episodes | slots of all | seconds | failed | best selection score |
|------|----------------|-------|----------|--------------|---------|--------|----------------------|
| 0    |              2 |     1 |        5 |         1100 |       4 |      1 |                  3.0 |
| 1    |              1 |     2 |       20 |         4400 |       4 |      0 |                  4.5 |
| all  |              2 |     3 |          |         5500 |       8 |      1 |                      |

| rung | configuration | selection score | ± over seeds | chosen | values              |
|------|---------------|-----------------|--------------|--------|---------------------|
|    1 |             1 |             4.5 |          0.7 | chosen | train.a = Adam(0.1) |
";
        assert_eq!(search(&found, Format::Table), expected);
        let csv = search(&found, Format::Csv);
        assert_eq!(csv.lines().nth(1), Some("0,1,3,,,train.a = Adam(0.1)"));
        assert_eq!(csv.lines().count(), 3);
        let Figure::Lines(Lines { series, .. }) = figure(&found) else { panic!("no lines") };
        let points = series.into_iter().map(|series| (series.name, series.points));
        let chosen = ("chosen".to_owned(), vec![(5.0, 3.0), (20.0, 4.5)]);
        assert_eq!(points.collect::<Vec<_>>(), [(String::new(), Vec::new()), chosen]);
    }
}
