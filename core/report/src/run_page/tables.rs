//! The tables of runs.

use offramp_results::Grouping;
use offramp_results::metric::{Better, Column, Form, Metric};
use offramp_results::reference::{SHARE_TITLE, is_reference};
use offramp_results::words::{counted, rounded, signed};

use crate::axis;
use crate::page::{details, escaped, html_table, more};
use crate::plot::quartiles;
use crate::table::Table;
use crate::{NONE, before_last, share_text};

use super::figures::completed_within;
use super::measured::{Mean, Point, Run, Scenario, drawn, shown};

/// A table with so many columns of texts.
fn shape(texts: usize, header: Vec<String>) -> Table {
    Table { caption: String::new(), header, rows: Vec::new(), texts }
}

/// The swept fields, then `columns`; and how many of them are texts.
fn header(scenario: &Scenario, texts: &[&str], columns: impl Iterator<Item = String>) -> Table {
    let fields = scenario.runs().next().map_or(&[][..], |run| &run.record.sweep);
    let fields: Vec<String> = fields.iter().map(|(field, _)| field.clone()).collect();
    let count = fields.len() + texts.len();
    let texts = texts.iter().map(|text| (*text).to_owned());
    shape(count, fields.into_iter().chain(texts).chain(columns).collect())
}

/// The swept values of a run, as HTML.
fn swept(run: &Run) -> impl Iterator<Item = String> + '_ {
    run.record.sweep.iter().map(|(_, value)| escaped(value))
}

/// The factor, the digits after the point and the unit of a column's numbers.
fn form(column: Column) -> (f64, usize, &'static str) {
    match column.form {
        Form::MeanSd(digits) | Form::Mean(digits) => (1.0, digits, ""),
        // A number and its unit stay on one line.
        Form::Percent(digits) => (100.0, digits, "\u{a0}%"),
    }
}

/// A mean with its interval or deviation, as HTML.
fn mean_cell(mean: Option<Mean>, column: Column, is_best: bool) -> String {
    let Some(Mean { mean, ends, sd }) = mean else { return NONE.to_owned() };
    let (factor, digits, unit) = form(column);
    let text = |value: f64| rounded(factor * value, digits);
    let estimate = format!("{}{unit}", text(mean));
    let estimate = if is_best { format!("<strong>{estimate}</strong>") } else { estimate };
    // As `offramp run` does, without the spread of what is a mean alone there.
    let spread = match (column.form, ends, sd) {
        (Form::Mean(_), ..) | (_, None, None) => String::new(),
        (_, Some((low, high)), _) => format!(" <small>[{}, {}]</small>", text(low), text(high)),
        (_, None, Some(sd)) => format!(" <small>± {}</small>", text(sd)),
    };
    estimate + &spread
}

/// The best mean of a metric at a point, apart from references; `None` if nothing is better than anything else.
fn best(point: &Point, at: usize, metric: &Metric) -> Option<f64> {
    let policies = || point.runs.iter().filter(|run| !is_reference(&run.record));
    let means = || policies().filter_map(|run| Some(run.means.get(at).copied()??.mean));
    let (low, high) = (means().reduce(f64::min)?, means().reduce(f64::max)?);
    match metric.better {
        _ if low >= high => None,
        Better::Higher => Some(high),
        Better::Lower => Some(low),
        Better::Neither => None,
    }
}

/// The first `most` runs with the means of their metrics, and a sentence about the others.
pub(super) fn means(scenario: &Scenario, most: usize) -> String {
    let has_shares = scenario.points.iter().any(|point| point.shares().flatten().next().is_some());
    let share = has_shares.then(|| SHARE_TITLE.to_owned());
    let titles = shown().map(|(metric, _)| axis::metric_label(metric)).collect();
    let shape = header(scenario, &["policy"], before_last(titles, share).into_iter());
    let mut rows = Vec::new();
    for point in &scenario.points {
        let bests: Vec<Option<f64>> =
            shown().enumerate().map(|(at, (metric, _))| best(point, at, metric)).collect();
        let runs = point.runs.iter().zip(point.shares());
        rows.extend(runs.take(most - rows.len()).map(|(run, share)| {
            let mut row: Vec<String> = swept(run).chain([escaped(&run.record.policy)]).collect();
            if !run.succeeded() {
                row.push("failed".to_owned());
                row.resize(shape.header.len(), String::new());
                return row;
            }
            let cells = shown().enumerate().map(|(at, (_, column))| {
                let mean = run.means.get(at).copied().flatten();
                let is_best =
                    mean.is_some_and(|of| bests[at] == Some(of.mean)) && !is_reference(&run.record);
                mean_cell(mean, column, is_best)
            });
            let share = has_shares.then(|| share_text(share));
            row.extend(before_last(cells.collect(), share));
            row
        }));
    }
    html_table(&shape, &rows) + &left_out(rows.len(), scenario.runs().count())
}

fn left_out(rows: usize, all: usize) -> String {
    if rows == all {
        return String::new();
    }
    format!(
        "<p class=\"quiet\">First {rows} of {}; episodes.csv has all.</p>\n",
        counted(all as u64, "run")
    )
}

/// The first `most` runs minus the best of their points; empty if there is nothing to compare.
pub(super) fn differences(scenario: &Scenario, most: usize) -> String {
    let compared = |(metric, column): &(&Metric, Column)| {
        metric.better != Better::Neither && !matches!(column.form, Form::Mean(_))
    };
    let columns = || shown().enumerate().filter(|(_, shown)| compared(shown));
    let titles = columns().map(|(_, (metric, _))| axis::metric_label(metric));
    let shape = header(scenario, &["policy minus best"], titles);
    let mut rows = Vec::new();
    let mut all = 0;
    for point in &scenario.points {
        let Some(best) = point.best.map(|best| &point.runs[best].record.policy) else { continue };
        let others = point.runs.iter().filter(|run| !run.minus_best.is_empty());
        all += others.clone().count();
        rows.extend(others.take(most - rows.len()).map(|run| {
            let names = format!("{} − {}", escaped(&run.record.policy), escaped(best));
            let cells = columns().map(|(at, (_, column))| {
                let Some(difference) = run.minus_best[at] else { return NONE.to_owned() };
                let (factor, digits, unit) = form(column);
                let text = |value: f64| signed(factor * value, digits);
                let estimate = format!("{}{unit}", text(difference.estimate));
                match difference.ends {
                    None => estimate,
                    Some((low, high)) => {
                        let ends = format!("<small>[{}, {}]</small>", text(low), text(high));
                        let clear = low > 0.0 || high < 0.0;
                        let shown =
                            if clear { format!("<strong>{estimate}</strong>") } else { estimate };
                        format!("{shown} {ends}")
                    }
                }
            });
            swept(run).chain([names]).chain(cells).collect()
        }));
    }
    if rows.is_empty() {
        return String::new();
    }
    let about = "<p>Each policy minus the best by QoE, episode by episode on the same tasks, with 95 % \
                 intervals; bold where the interval excludes zero. The best was chosen on these \
                 episodes, which favours it, and intervals are not adjusted for the number of \
                 comparisons.</p>\n";
    let table = html_table(&shape, &rows) + &left_out(rows.len(), all);
    details("Differences from the best", &format!("{about}{table}"))
}

/// The first `most` runs by group of tasks; empty if they are not divided so.
pub(super) fn groups(scenario: &Scenario, grouping: Grouping, most: usize) -> String {
    let columns = || shown().enumerate().filter(|(_, (_, column))| column.by_group);
    let titles = columns().map(|(_, (metric, _))| axis::metric_label(metric));
    let shape = header(scenario, &["policy", grouping.title()], titles);
    let rows = scenario.runs().flat_map(|run| {
        let groups = run.record.groups(grouping).into_iter().zip(&run.by_group[grouping]);
        groups.map(move |(label, means)| {
            let cells = columns().map(|(at, (_, column))| {
                mean_cell(means.get(at).copied().flatten(), column, false)
            });
            let texts = [escaped(&run.record.policy), escaped(&label.to_string())];
            texts.into_iter().chain(cells).collect()
        })
    });
    table_with(&format!("By {}", grouping.name()), &shape, rows.collect(), most)
}

/// Mobility and rates at the first `most` points; empty if nothing moves.
pub(super) fn mobility(scenario: &Scenario, most: usize) -> String {
    let titles = crate::shown_of_mobility().map(|(metric, _)| axis::metric_label(metric));
    let shape = header(scenario, &[], titles);
    let runs = crate::one_per_point(scenario.runs(), |run| &run.record);
    let rows = runs.map(|run| {
        let cells = crate::shown_of_mobility().zip(&run.mobility);
        swept(run).chain(cells.map(|((_, column), mean)| column.form.text(*mean))).collect()
    });
    table_with("Mobility and rates, the same for every policy", &shape, rows.collect(), most)
}

/// The quartiles that the figures of distributions show.
pub(super) fn quartiles_of_episodes(scenario: &Scenario, most: usize) -> String {
    let columns = drawn().map(|(_, metric)| axis::metric_label(metric));
    let shape = header(scenario, &["policy"], columns);
    let row = |run: &Run| {
        let cells = drawn().zip(&run.values).map(|((_, metric), values)| {
            let Some([first, median, third]) = quartiles(values) else { return NONE.to_owned() };
            let text = |value| rounded(value, metric.digits);
            format!("{} <small>[{}, {}]</small>", text(median), text(first), text(third))
        });
        [escaped(&run.record.policy)].into_iter().chain(cells).collect()
    };
    let rows = scenario.runs().filter(|run| !run.values.is_empty()).map(row);
    table_with("Medians of episodes, with quartiles", &shape, rows.collect(), most)
}

/// The shares of tasks that the figure of delays shows.
pub(super) fn delays(scenario: &Scenario, most: usize) -> String {
    let runs = || scenario.runs().filter(|run| !run.done_by_delay.is_empty());
    let longest = runs().map(|run| run.done_by_delay.len()).max().unwrap_or(0);
    // A longer deadline than this makes a table that nobody reads.
    let slots = longest.min(30);
    let shape = header(scenario, &["policy"], (1..=slots).map(|slots| format!("≤ {slots}")));
    let rows = runs().map(|run| {
        let shares = completed_within(run);
        let share = |slots: usize| shares[slots.min(shares.len() - 1)].1;
        let cells = (1..=slots).map(|slots| format!("{}\u{a0}%", rounded(100.0 * share(slots), 1)));
        [escaped(&run.record.policy)].into_iter().chain(cells).collect()
    });
    let mut caption = "Share of tasks completed within n slots of arrival".to_owned();
    if longest > slots {
        caption += &format!(", up to {slots} of {longest}");
    }
    table_with(&caption, &shape, rows.collect(), most)
}

/// The first `most` rows below a caption, and how many more there are; empty without rows.
fn table_with(caption: &str, shape: &Table, rows: Vec<Vec<String>>, most: usize) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let shape = Table { caption: caption.to_owned(), ..shape.clone() };
    html_table(&shape, &rows[..rows.len().min(most)]) + &more(rows.len(), most)
}
