//! Live runs: what each policy reached before and after each change, and its curve over time.

use std::borrow::Cow;

use offramp_results::live::{LiveChange, LiveRow, LiveRun};

use crate::palette::{GREY, Look};
use crate::plot::{Figure, Lines, Series};
use crate::records::{Cell, Field, Kind, Records};

/// Digits after the point of a quality of experience per task, and of a regret.
const DIGITS: usize = 2;

fn field(id: String, title: String, kind: Kind) -> Field {
    Field { id: Cow::Owned(id), title: Cow::Owned(title), kind }
}

/// The outcome of each policy of each run: the quality of experience per task, that before the first change and
/// after each, the slots to recover from each, the regret against the ceiling, updates, and what went
/// wrong. Runs of other points of a sweep may have fewer changes; what they lack is empty.
pub fn outcomes(runs: &[LiveRun]) -> Records {
    let changes = runs.iter().map(|run| run.changes.len()).max().unwrap_or(0);
    let slots = |number: usize| {
        // Of a sweep over the slots of changes, the first point's.
        let change = runs.iter().find_map(|run| run.changes.get(number));
        change.map_or(0, |change| change.at_slot)
    };
    let mut fields = vec![
        Field::new("point", Kind::Text),
        Field::new("policy", Kind::Text),
        Field::new("tasks", Kind::Count),
        Field::titled("mean_qoe_per_task", "QoE per task", Kind::Number),
    ];
    if changes > 0 {
        let title = format!("before slot {}", slots(0));
        fields.push(field("qoe_per_task_0".to_owned(), title, Kind::Number));
    }
    fields.extend((0..changes).map(|number| {
        let title = format!("after slot {}", slots(number));
        field(format!("qoe_per_task_{}", number + 1), title, Kind::Number)
    }));
    fields.extend((0..changes).map(|number| {
        let title = format!("recovery from {} (slots)", slots(number));
        field(format!("recovery_slots_{}", number + 1), title, Kind::Count)
    }));
    fields.extend([
        Field::new("regret", Kind::Number),
        Field::new("updates", Kind::Count),
        Field::titled("bytes_per_device", "bytes per device (1,000 slots)", Kind::Number),
        Field::new("queries", Kind::Count),
        Field::new("refused", Kind::Count),
        Field::new("missing", Kind::Count),
        Field::titled("multiply_adds", "multiply-adds per device and slot", Kind::Number),
        Field::titled("epsilon", "ε", Kind::Number),
        Field::titled("stopped_learning_slot", "stopped learning in slot", Kind::Count),
        Field::new("error", Kind::Text),
    ]);
    let number =
        |value: Option<f64>| value.map_or(Cell::Empty, |value| Cell::Number(value, DIGITS));
    let counted = |count: u64| Cell::from(Some(count).filter(|&count| count > 0));
    let mut records = Records::new(fields);
    for run in runs {
        for summary in run.summaries() {
            let point = Some(run.point.clone()).filter(|point| !point.is_empty());
            let mut row = vec![point.into(), summary.policy.into(), summary.tasks.into()];
            let qoe = |at: usize| summary.qoe_per_task.get(at).copied().flatten();
            row.push(number(summary.mean_qoe_per_task));
            let phases = if changes > 0 { 0..changes + 1 } else { 0..0 };
            row.extend(phases.map(|at| number(qoe(at))));
            let recovery = |at: usize| summary.recovery_slots.get(at).copied().flatten();
            row.extend((0..changes).map(|at| Cell::from(recovery(at))));
            let stopped = summary.stopped_learning.map(|fault| u64::from(fault.slot));
            let error = summary.error.map(|fault| format!("slot {}: {}", fault.slot, fault.cause));
            row.extend([
                number(summary.regret),
                counted(summary.updates),
                number(Some(summary.bytes_per_device).filter(|&bytes| bytes > 0.0)),
                counted(summary.queries),
                counted(summary.refused),
                counted(summary.missing),
                number(summary.multiply_adds),
                number(summary.epsilon),
                stopped.into(),
                error.into(),
            ]);
            records.rows.push(row);
        }
    }
    records
}

/// The quality of experience per task of each policy, window by window, with a line at each change.
pub fn figure(run: &LiveRun) -> Figure {
    let title = format!("{}: QoE per task in windows of {} slots", run.scenario, run.window_slots);
    Figure::Lines(Lines { title, ..curves(run, "QoE per task", |row| row.qoe_per_task) })
}

/// A number of each policy, window by window, with a line at each change.
pub(crate) fn curves(run: &LiveRun, y: &str, value: fn(&LiveRow) -> Option<f64>) -> Lines {
    let point = |row: &LiveRow| Some((f64::from(row.end_slot), value(row)?));
    let curves = run.streams.iter().enumerate().map(|(number, stream)| Series {
        name: stream.policy.clone(),
        look: Look::numbered(number),
        points: stream.rows.iter().filter_map(point).collect(),
        ..Series::default()
    });
    let curves: Vec<Series> = curves.collect();
    Lines {
        title: String::new(),
        x: "slot".to_owned(),
        y: y.to_owned(),
        series: change_lines(&run.changes, &curves).chain(curves.iter().cloned()).collect(),
    }
}

/// A line at each change, as high as the curves. They belong behind the curves, each a series of its own: of
/// many intervals a series makes a band.
pub(crate) fn change_lines<'c>(
    changes: &'c [LiveChange],
    curves: &[Series],
) -> impl Iterator<Item = Series> + use<'c> {
    let points = || curves.iter().flat_map(|series| &series.points).map(|point| point.1);
    let ends = || curves.iter().flat_map(|series| &series.intervals);
    let low = points().chain(ends().map(|end| end.1)).fold(f64::INFINITY, f64::min);
    let high = points().chain(ends().map(|end| end.2)).fold(f64::NEG_INFINITY, f64::max);
    changes.iter().filter(move |_| low <= high).map(move |change| Series {
        look: Look::numbered(GREY),
        intervals: vec![(f64::from(change.at_slot), low, high)],
        ..Series::default()
    })
}

#[cfg(test)]
mod tests {
    use offramp_results::live::{LiveFault, LiveStream};

    use super::*;
    use crate::Format;

    fn run() -> LiveRun {
        let row = |window: u32| LiveRow {
            policy: "a".to_owned(),
            window: window.into(),
            first_slot: 10 * window,
            end_slot: 10 * window + 10,
            tasks: 4,
            qoe_per_task: Some(f64::from(window)),
            ..LiveRow::default()
        };
        let stream = |policy: &str, windows| LiveStream {
            policy: policy.to_owned(),
            rows: (0..windows).map(row).collect(),
            ..LiveStream::default()
        };
        let fault = LiveFault { slot: 20, cause: "no, \"never\"".to_owned() };
        LiveRun {
            scenario: "x".to_owned(),
            slots: 40,
            window_slots: 10,
            ceiling: Some("a".to_owned()),
            changes: vec![LiveChange { at_slot: 20, until_slot: 20, set: Vec::new() }],
            streams: vec![stream("a", 4), LiveStream { error: Some(fault), ..stream("b", 2) }],
            ..LiveRun::default()
        }
    }

    #[test]
    fn an_outcome_has_each_phase_and_each_recovery() {
        let expected = "\
point,policy,tasks,mean_qoe_per_task,qoe_per_task_0,qoe_per_task_1,recovery_slots_1,regret,updates,bytes_per_device,queries,\
refused,missing,multiply_adds,epsilon,stopped_learning_slot,error
,a,16,1.5,0.5,2.5,0,0,,,,,,,,,
,b,8,0.5,0.5,,,0,,,,,,,,,\"slot 20: no, \"\"never\"\"\"
";
        assert_eq!(outcomes(&[run()]).print("", Format::Csv), expected);
        let table = outcomes(&[run()]).table();
        assert!(table.contains("after slot 20") && !table.contains("updates"), "{table}");
    }

    #[test]
    fn a_figure_has_a_line_at_each_change() {
        let Figure::Lines(Lines { series, .. }) = figure(&run()) else { panic!("no lines") };
        assert_eq!(series.len(), 3);
        assert_eq!(series[0].intervals, [(20.0, 0.0, 3.0)]);
        assert_eq!(series[2].points, [(10.0, 0.0), (20.0, 1.0)]);
    }
}
