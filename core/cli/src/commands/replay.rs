//! `offramp replay`: recorded runs through the engine.

use offramp_harness::trace::{Replay, Trace};
use serde_json::json;

use crate::arguments::{Format, ReplayArguments};
use crate::problem::Problem;
use crate::{Done, print};

pub(crate) fn replay(arguments: &ReplayArguments) -> Result<Done, Problem> {
    // All are read first: a file that is no trace costs nothing.
    let traces: Vec<Trace> = arguments
        .files
        .iter()
        .map(|file| Trace::read(file).map_err(Problem::new))
        .collect::<Result<_, _>>()?;
    let replays: Vec<(&Trace, Replay)> =
        traces.iter().map(|trace| (trace, trace.replay())).collect();
    print(&match arguments.format {
        Format::Table => table(&replays, arguments.check),
        Format::Json => as_json(&replays),
        Format::Csv => as_csv(&replays),
    });
    let differing = replays.iter().any(|(_, replay)| replay.differing > 0);
    Ok(Done::failed_if(arguments.check && differing))
}

fn table(replays: &[(&Trace, Replay)], check: bool) -> String {
    let mut text = String::new();
    for (trace, replay) in replays {
        let Replay { devices, servers, slots, tasks, dropped, .. } = replay;
        text += &format!(
            "{}: {devices} devices, {servers} servers, {slots} slots: {tasks} tasks, {dropped} \
             dropped, AvgDelay {:.3}, AvgEnergy {:.3}, AvgQoE {:.3}\n",
            trace.name,
            replay.mean_delay_slots(),
            replay.energy / f64::from(*devices),
            replay.reward / f64::from(*devices),
        );
        if !check {
            continue;
        }
        if replay.differing == 0 {
            text += &format!("  all {} recorded values equal\n", replay.compared);
        } else {
            text += &format!(
                "  {} of {} recorded values differ, the first:\n",
                replay.differing, replay.compared
            );
            for difference in &replay.first_differences {
                text += &format!("  - {difference}\n");
            }
        }
    }
    text
}

fn as_json(replays: &[(&Trace, Replay)]) -> String {
    let traces: Vec<_> = replays
        .iter()
        .map(|(trace, replay)| {
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
                "trace": trace.name,
                "devices": replay.devices,
                "servers": replay.servers,
                "slots": replay.slots,
                "tasks": replay.tasks,
                "dropped": replay.dropped,
                "delay_slots": replay.mean_delay_slots(),
                "energy": replay.energy / f64::from(replay.devices),
                "qoe": replay.reward / f64::from(replay.devices),
                "compared": replay.compared,
                "differing": replay.differing,
                "first_differences": differences,
            })
        })
        .collect();
    format!("{:#}\n", json!({ "traces": traces }))
}

fn as_csv(replays: &[(&Trace, Replay)]) -> String {
    let mut text = String::from(
        "trace,devices,servers,slots,tasks,dropped,delay_slots,energy,qoe,compared,differing\n",
    );
    for (trace, replay) in replays {
        let Replay { devices, servers, slots, tasks, dropped, compared, differing, .. } = replay;
        text += &format!(
            "\"{}\",{devices},{servers},{slots},{tasks},{dropped},{},{},{},{compared},{differing}\n",
            trace.name.replace('"', "\"\""),
            replay.mean_delay_slots(),
            replay.energy / f64::from(*devices),
            replay.reward / f64::from(*devices),
        );
    }
    text
}
