//! Predictions: the slots that each action would take, by what its device knows when it decides.

use offramp_model::{Arrival, Episode, observation};

/// What predictions of a slot are computed from.
#[derive(Debug, Default)]
pub(crate) struct Predictor {
    /// The link table: rows × columns × M.
    links: Vec<f64>,
}

impl Predictor {
    /// Takes what devices see at the start of a slot.
    pub(crate) fn observe(&mut self, episode: &Episode) {
        episode.link_table(&mut self.links);
    }

    /// The slots that each action would take for the task of a row: exact for the device's own CPU
    /// and uplink, and with a server shared as it was at the end of the last slot (eq. 5); rates and
    /// speeds stay those of this slot. `None` without coverage, or if the server is down.
    pub(crate) fn slots(&self, episode: &Episode, row: usize) -> Vec<Option<u32>> {
        let arrival = &episode.arrivals()[row];
        let system = episode.system();
        let parameters = system.parameters();
        let device = &parameters.devices[arrival.device as usize];
        let (compute_queue, uplink_queue) = episode.queue_slots(arrival.device);
        let computing = service_slots(arrival, device.cpu_ghz * parameters.slot_seconds);
        let local = Some(whole(f64::from(compute_queue) + computing.ceil()));
        let servers = system.server_count() as usize;
        let backlogs = self.column("backlog_mbit", row, servers);
        let loads = backlogs.iter().zip(episode.active_devices()).zip(&parameters.servers);
        let offloaded = (0..).zip(loads).map(|(server, ((&backlog, &active), of_server))| {
            let rate = episode.uplink_mbps(arrival.device, server);
            let up = episode.capacities().map_or(1.0, |shares| shares[server as usize]);
            if rate <= 0.0 || up <= 0.0 {
                return None;
            }
            let sending = (arrival.size_mbit / (rate * parameters.slot_seconds)).ceil();
            let wired = self.column("wired_slots", row, servers)[server as usize];
            let at_server = f64::from(uplink_queue) + sending + wired;
            // It is one of those active there already, or joins them.
            let sharing = if backlog > 0.0 { active.max(1) } else { active + 1 };
            let gcycles = up * of_server.ghz * parameters.slot_seconds / f64::from(sharing);
            let service = service_slots(arrival, gcycles).ceil();
            let mbit_per_slot = gcycles / arrival.density;
            let backlog_then = (backlog - mbit_per_slot * at_server).max(0.0);
            let waiting = (backlog_then / mbit_per_slot).ceil();
            Some(whole(at_server + waiting + service))
        });
        std::iter::once(local).chain(offloaded).collect()
    }

    /// The values of a link column in a row, one per server.
    fn column(&self, name: &str, row: usize, servers: usize) -> &[f64] {
        let columns = observation::link_columns();
        let position = columns.iter().position(|column| column.name == name);
        // The model has these columns, and promises never to take one away.
        let Some(position) = position else { unreachable!("{name}") };
        let from = (row * columns.len() + position) * servers;
        &self.links[from..from + servers]
    }
}

/// Slots in which a CPU that does so many Gcycles a slot computes a task, fractions included.
fn service_slots(arrival: &Arrival, gcycles_per_slot: f64) -> f64 {
    arrival.size_mbit * arrival.density / gcycles_per_slot
}

/// A number of slots as an integer; one that is too large for it counts as the largest.
fn whole(slots: f64) -> u32 {
    slots as u32
}
