//! Replays of recorded runs, as a text, JSON or CSV.

use offramp_results::replay::Replay;
use serde_json::json;

use crate::Format;
use crate::csv_text::csv_text;

/// The replays in `format`; as a text, with how many recorded values differ if `check` is set.
pub fn replays(replays: &[Replay], format: Format, check: bool) -> String {
    match format {
        Format::Table => replays.iter().map(|replay| text(replay, check)).collect(),
        Format::Json => as_json(replays),
        Format::Csv => as_csv(replays),
    }
}

fn text(replay: &Replay, check: bool) -> String {
    let Replay { trace, devices, servers, slots, tasks, dropped, compared, differing, .. } = replay;
    let mut text = format!(
        "{trace}: {devices} devices, {servers} servers, {slots} slots: {tasks} tasks, {dropped} \
         dropped, AvgDelay {:.3}, AvgEnergy {:.3}, AvgQoE {:.3}\n",
        replay.mean_delay_slots(),
        replay.energy_per_device(),
        replay.qoe(),
    );
    if !check {
        return text;
    }
    if *differing == 0 {
        text += &format!("  all {compared} recorded values equal\n");
    } else {
        text += &format!("  {differing} of {compared} recorded values differ, the first:\n");
        for difference in &replay.first_differences {
            text += &format!("  - {difference}\n");
        }
    }
    text
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
    format!("{:#}\n", json!({ "traces": replays.iter().map(trace).collect::<Vec<_>>() }))
}

fn as_csv(replays: &[Replay]) -> String {
    let header = [
        "trace",
        "devices",
        "servers",
        "slots",
        "tasks",
        "dropped",
        "delay_slots",
        "energy",
        "qoe",
        "compared",
        "differing",
    ];
    let row = |replay: &Replay| {
        let Replay { trace, devices, servers, slots, tasks, dropped, compared, differing, .. } =
            replay;
        [
            trace.clone(),
            devices.to_string(),
            servers.to_string(),
            slots.to_string(),
            tasks.to_string(),
            dropped.to_string(),
            replay.mean_delay_slots().to_string(),
            replay.energy_per_device().to_string(),
            replay.qoe().to_string(),
            compared.to_string(),
            differing.to_string(),
        ]
    };
    csv_text(std::iter::once(header.map(str::to_owned)).chain(replays.iter().map(row)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped() {
        let trace = "a \"b\", c".to_owned();
        let replay = Replay { trace, devices: 2, energy: 3.0, ..Replay::default() };
        let text = replays(&[replay], Format::Csv, false);
        assert_eq!(text.lines().nth(1), Some("\"a \"\"b\"\", c\",2,0,0,0,0,0,1.5,0,0,0"));
    }
}
