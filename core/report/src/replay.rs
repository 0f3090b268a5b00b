//! Replays of recorded runs, one per trace.

use offramp_results::replay::Replay;
use serde_json::json;

use crate::records::{Cell, Field, Kind, Records, json_text};
use crate::{Format, NONE};

/// The replays in `format`.
pub fn replays(replays: &[Replay], format: Format) -> String {
    match format {
        Format::Table => replays.iter().map(outcome).collect(),
        Format::Json => as_json(replays),
        Format::Csv => replay_records(replays).csv(),
    }
}

/// The replays in `format`, with the number of recorded values that differ and the first of them;
/// JSON and CSV always have these numbers.
pub fn checked_replays(replays: &[Replay], format: Format) -> String {
    match format {
        Format::Table => {
            replays.iter().flat_map(|replay| [outcome(replay), comparison(replay)]).collect()
        }
        Format::Json | Format::Csv => self::replays(replays, format),
    }
}

fn outcome(replay: &Replay) -> String {
    let Replay { trace, devices, servers, slots, tasks, dropped, .. } = replay;
    let delay = replay.mean_delay_slots();
    format!(
        "{trace}: {devices} devices, {servers} servers, {slots} slots: {tasks} tasks, {dropped} \
         dropped, AvgDelay {}, AvgEnergy {:.3}, AvgQoE {:.3}\n",
        delay.map_or_else(|| NONE.to_owned(), |delay| format!("{delay:.3}")),
        replay.energy_per_device(),
        replay.qoe(),
    )
}

fn comparison(replay: &Replay) -> String {
    let Replay { compared, differing, .. } = replay;
    if *differing == 0 {
        return format!("  all {compared} recorded values equal\n");
    }
    let differences = replay.first_differences.iter();
    let differences: String = differences.map(|each| format!("  - {each}\n")).collect();
    format!("  {differing} of {compared} recorded values differ, the first:\n{differences}")
}

fn as_json(replays: &[Replay]) -> String {
    let trace = |replay: &Replay| {
        let differences: Vec<_> = replay
            .first_differences
            .iter()
            .map(|difference| {
                json!({
                    "place": difference.place,
                    "what": difference.what,
                    "recorded": difference.recorded,
                    "computed": difference.computed,
                })
            })
            .collect();
        json!({
            "trace": replay.trace,
            "devices": replay.devices,
            "servers": replay.servers,
            "slots": replay.slots,
            "tasks": replay.tasks,
            "dropped": replay.dropped,
            "delay_slots": replay.mean_delay_slots(),
            "energy": replay.energy_per_device(),
            "qoe": replay.qoe(),
            "compared": replay.compared,
            "differing": replay.differing,
            "first_differences": differences,
        })
    };
    json_text(&json!({ "traces": replays.iter().map(trace).collect::<Vec<_>>() }))
}

/// The replays as CSV and Parquet have them, one row per trace.
pub fn replay_records(replays: &[Replay]) -> Records {
    let fields = [
        Field::new("trace", Kind::Text),
        Field::new("devices", Kind::Count),
        Field::new("servers", Kind::Count),
        Field::new("slots", Kind::Count),
        Field::new("tasks", Kind::Count),
        Field::new("dropped", Kind::Count),
        Field::new("delay_slots", Kind::Number),
        Field::new("energy", Kind::Number),
        Field::new("qoe", Kind::Number),
        Field::new("compared", Kind::Count),
        Field::new("differing", Kind::Count),
    ];
    let mut records = Records::new(fields);
    records.rows.extend(replays.iter().map(|replay| {
        let Replay { trace, devices, servers, slots, tasks, dropped, compared, differing, .. } =
            replay;
        vec![
            trace.as_str().into(),
            u64::from(*devices).into(),
            u64::from(*servers).into(),
            u64::from(*slots).into(),
            (*tasks).into(),
            (*dropped).into(),
            replay.mean_delay_slots().map_or(Cell::Empty, |delay| Cell::Number(delay, 3)),
            Cell::Number(replay.energy_per_device(), 3),
            Cell::Number(replay.qoe(), 3),
            (*compared).into(),
            (*differing).into(),
        ]
    }));
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped() {
        let trace = "a \"b\", c".to_owned();
        let replay = Replay { trace, devices: 2, energy: 3.0, ..Replay::default() };
        let text = replays(&[replay], Format::Csv);
        assert_eq!(text.lines().nth(1), Some("\"a \"\"b\"\", c\",2,0,0,0,0,,1.5,0,0,0"));
    }

    #[test]
    fn without_tasks_there_is_no_delay() {
        let replay = Replay { trace: "a".to_owned(), devices: 2, ..Replay::default() };
        let table = replays(std::slice::from_ref(&replay), Format::Table);
        assert!(table.contains("AvgDelay –, AvgEnergy 0.000"), "{table}");
        assert!(replays(&[replay], Format::Json).contains("\"delay_slots\": null"));
    }
}
