//! Recording: an episode that the engine plays, as a trace.

use std::sync::Arc;

use offramp_model::{
    Backhaul, EndedTask, Episode, ObservationSpec, Outcome, PreferenceRule, System, Uplink,
    UplinkRates, Workload,
};

use crate::format::{ENERGY_COLUMNS, Power, TraceFile};

/// A system that a trace can't describe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a trace can't describe {0}")]
pub struct NotATrace(&'static str);

/// True if a trace can describe the episodes of `system`.
///
/// # Errors
/// [`NotATrace`] with what it can't describe: devices, servers or uplinks that differ, a world or servers
/// that change, several classes of tasks, power modes that switch.
pub fn can_record(system: &System) -> Result<(), NotATrace> {
    let parameters = system.parameters();
    let differ = |alike: bool, what| if alike { Ok(()) } else { Err(NotATrace(what)) };
    // Where tasks arrive is recorded.
    let hardware =
        |device: &offramp_model::Device| (device.cpu_ghz, device.transmit_w, device.idle_w);
    let first = &parameters.devices[0];
    let alike = parameters.devices.iter().all(|device| hardware(device) == hardware(first));
    differ(alike, "devices that differ")?;
    let alike = parameters.servers.iter().all(|server| *server == parameters.servers[0]);
    differ(alike, "servers that differ")?;
    let uniform = matches!(parameters.uplink, Uplink::Constant(UplinkRates::Same(_)));
    differ(uniform, "uplinks that differ")?;
    let still = !system.changes() && parameters.backhaul == Backhaul::NONE;
    differ(still, "a system that changes during an episode")?;
    let one = parameters.classes.len() == 1 && parameters.recorded.is_none();
    differ(one, "several classes of tasks, or recorded tasks")?;
    let switching = matches!(parameters.power_preference.rule, PreferenceRule::Switching(_));
    differ(!switching, "power modes that switch during an episode")
}

/// Plays the episode of `system` in which `workload` arrives, decided by `actions` (one per task, by slot
/// and then device), and returns it as the JSON text of a trace called `name`, with the outcome of each task
/// in the published accounting.
///
/// # Errors
/// [`NotATrace`], as for [`can_record`].
///
/// # Panics
/// If `actions` are not one legal action per task.
pub fn record(
    system: &Arc<System>,
    workload: Workload,
    actions: &[u32],
    name: &str,
) -> Result<String, NotATrace> {
    can_record(system)?;
    let parameters = system.parameters();
    let Uplink::Constant(UplinkRates::Same(uplink_mbps)) = parameters.uplink else {
        return Err(NotATrace("uplinks that differ"));
    };
    let (device, server) = (parameters.devices[0], parameters.servers[0]);
    let default = parameters.power_preference.modes.first().copied().unwrap_or_default();
    let mut alpha = vec![default; parameters.devices.len()];
    let mut episode = Episode::new(system, workload, ObservationSpec::PAPER);
    let (mut left, mut ended, mut active) = (actions, Vec::new(), Vec::new());
    while !episode.is_over() {
        for arrival in episode.arrivals() {
            alpha[arrival.device as usize] = arrival.alpha;
        }
        let (now, later) = left.split_at(episode.arrivals().len());
        if let Err(illegal) = episode.advance(now) {
            panic!("{illegal}");
        }
        left = later;
        active.push(episode.active_devices().to_vec());
        ended.extend(episode.ended().iter().map(row));
    }
    ended.sort_by(|a: &Vec<f64>, b| {
        a[..2].partial_cmp(&b[..2]).unwrap_or(std::cmp::Ordering::Equal)
    });
    let file = TraceFile {
        name: name.to_owned(),
        devices: parameters.devices.len(),
        edges: parameters.servers.len(),
        slots: parameters.arrival_slots,
        deadline_slots: system.deadline_slots(),
        slot_seconds: parameters.slot_seconds,
        device_ghz: device.cpu_ghz,
        uplink_mbps,
        edge_ghz: server.ghz,
        power: Power { transmit: device.transmit_w, idle: device.idle_w, edge: server.power_w },
        alpha,
        task_columns: columns(),
        tasks: ended,
        active_devices_after_slot: Some(active),
        published_observation_columns: None,
        published_observations: None,
        published_load_seen_at_slot: None,
    };
    // Numbers and names alone: nothing that JSON can't write.
    Ok(serde_json::to_string(&file).unwrap_or_default())
}

fn columns() -> Vec<String> {
    let decision = [
        "slot",
        "device",
        "size_mbit",
        "density_gcycles_per_mbit",
        "action",
        "delay_slots",
        "dropped",
    ];
    decision.into_iter().chain(ENERGY_COLUMNS).map(str::to_owned).collect()
}

fn row(task: &EndedTask) -> Vec<f64> {
    let energy = &task.energy.published;
    vec![
        f64::from(task.arrival_slot),
        f64::from(task.device),
        task.size_mbit,
        task.density,
        f64::from(task.action),
        f64::from(task.delay_slots),
        f64::from(u8::from(task.outcome == Outcome::Dropped)),
        energy.local,
        energy.transmit,
        energy.server,
        energy.idle,
    ]
}

#[cfg(test)]
mod tests {
    use offramp_model::{EnergyAccounting, SystemParameters};

    use super::*;
    use crate::Trace;

    #[test]
    fn what_is_recorded_is_replayed_to_the_last_value() {
        let mut parameters = SystemParameters::paper(6, 2);
        parameters.energy = EnergyAccounting::Physical;
        let system = Arc::new(System::new(parameters).unwrap());
        let workload = Workload::Drawn { seed: 5, episode: 2 };
        let mut episode = Episode::new(&system, workload.clone(), ObservationSpec::PAPER);
        let mut actions = Vec::new();
        while !episode.is_over() {
            let slot = episode.slot();
            let now: Vec<u32> =
                episode.arrivals().iter().map(|task| (task.device + slot) % 3).collect();
            actions.extend(&now);
            episode.advance(&now).unwrap();
        }
        let text = record(&system, workload, &actions, "six devices").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace.json");
        std::fs::write(&path, text).unwrap();
        let replay = Trace::read(&path).unwrap().replay();
        assert_eq!((replay.trace.as_str(), replay.tasks), ("six devices", actions.len() as u64));
        assert_eq!(replay.differing, 0, "{:?}", replay.first_differences);
        assert_eq!(replay.compared, 6 * replay.tasks + 2 * 110);
    }

    #[test]
    fn what_a_trace_cannot_describe_is_named() {
        let refused = |change: fn(&mut SystemParameters)| {
            let mut parameters = SystemParameters::paper(3, 2);
            change(&mut parameters);
            can_record(&System::new(parameters).unwrap()).map_err(|error| error.to_string())
        };
        assert_eq!(refused(|_| ()), Ok(()));
        let error = |what: &str| Err(format!("a trace can't describe {what}"));
        assert_eq!(refused(|system| system.devices[1].cpu_ghz = 3.0), error("devices that differ"));
        assert_eq!(refused(|system| system.servers[1].ghz = 3.0), error("servers that differ"));
        assert_eq!(
            refused(|system| system.uplink = UplinkRates::PerServer(vec![1.0, 2.0]).into()),
            error("uplinks that differ")
        );
        assert_eq!(
            refused(|system| system.power_preference.rule = PreferenceRule::Switching(0.1)),
            error("power modes that switch during an episode")
        );
        assert_eq!(refused(|system| system.devices[1].arrival_probability = 0.9), Ok(()));
    }
}
