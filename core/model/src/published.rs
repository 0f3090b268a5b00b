//! The observation of the public QECO code, quirks included, for comparison with it alone.
//!
//! None of this is the state of the system: the queue lengths are guesses made at the arrival
//! of a task, and the backlog of every device is worked off at the density of the *last*
//! device's task. Module `observation` has the true values. The rules here reproduce what was
//! recorded from that code.

use crate::system::System;
use crate::task::Arrival;

/// The public code's own bookkeeping of queues.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    /// u_i: the slot in which the code believes device i's queue will be empty.
    busy_until: Vec<i64>,
    /// B^E_j: for each server the devices it believes to have Mbit there, by device.
    backlog: Vec<Vec<(u32, f64)>>,
    /// Mbit lost by tasks dropped in service in this slot: (device, server, Mbit).
    lost: Vec<(u32, u32, f64)>,
    /// ρ of the last device's task in this slot, if one arrived.
    last_density: Option<f64>,
}

impl Published {
    pub(crate) fn new(devices: usize, servers: usize) -> Self {
        Self {
            busy_until: vec![-1; devices],
            backlog: vec![Vec::new(); servers],
            lost: Vec::new(),
            last_density: None,
        }
    }

    /// τ^C and τ^T as the code shows them at `slot`.
    pub(crate) fn queues(&self, device: u32, slot: u32) -> (f64, f64) {
        let slot = i64::from(slot);
        if slot == 0 {
            return (-1.0, -1.0);
        }
        ((self.busy_until[device as usize] - slot + 1) as f64, -slot as f64)
    }

    /// B^E_j of a device.
    pub(crate) fn backlog(&self, device: u32, server: u32) -> f64 {
        let entries = &self.backlog[server as usize];
        match entries.binary_search_by_key(&device, |entry| entry.0) {
            Ok(found) => entries[found].1,
            Err(_) => 0.0,
        }
    }

    pub(crate) fn arrivals(
        &mut self,
        system: &System,
        slot: u32,
        arrivals: &[Arrival],
        actions: &[u32],
    ) {
        let parameters = system.parameters();
        let deadline = i64::from(system.deadline_slots());
        let slot = i64::from(slot);
        for (arrival, &action) in arrivals.iter().zip(actions) {
            // The code's own slip: a local task counts as nothing to send, and its computing
            // time is not counted at all.
            let sending = match action {
                0 => 0.0,
                server => {
                    let rate = system.constant_mbps(arrival.device, server - 1);
                    (arrival.size_mbit / (rate * parameters.slot_seconds)).ceil()
                }
            };
            // In this order, since a rate of 0 takes for ever.
            self.busy_until[arrival.device as usize] =
                slot + (sending as i64 - 1).min(deadline - 1);
        }
        let last_device = system.device_count() - 1;
        self.last_density =
            arrivals.last().filter(|last| last.device == last_device).map(|last| last.density);
    }

    pub(crate) fn lost(&mut self, device: u32, server: u32, mbit: f64) {
        self.lost.push((device, server, mbit));
    }

    /// The server stage, with `active` the K_j that shared each server.
    pub(crate) fn servers(&mut self, system: &System, active: &[u32]) {
        let parameters = system.parameters();
        for &(device, server, mbit) in &self.lost {
            let entries = &mut self.backlog[server as usize];
            if let Ok(found) = entries.binary_search_by_key(&device, |entry| entry.0) {
                entries[found].1 -= mbit;
            }
        }
        self.lost.clear();
        for ((entries, server), &active) in
            self.backlog.iter_mut().zip(&parameters.servers).zip(active)
        {
            if active == 0 {
                continue;
            }
            match self.last_density {
                None => entries.clear(),
                Some(density) => {
                    let worked_off =
                        server.ghz * parameters.slot_seconds / (density * f64::from(active));
                    entries.retain_mut(|entry| {
                        entry.1 -= worked_off;
                        entry.1 > 0.0
                    });
                }
            }
        }
    }

    /// A task's upload to `server` is complete.
    pub(crate) fn reached_server(&mut self, device: u32, server: u32, size_mbit: f64) {
        let entries = &mut self.backlog[server as usize];
        match entries.binary_search_by_key(&device, |entry| entry.0) {
            Ok(found) => entries[found].1 += size_mbit,
            Err(place) => entries.insert(place, (device, size_mbit)),
        }
    }
}
