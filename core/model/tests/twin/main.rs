//! The engine against a slow, obvious twin on random systems and random decisions: dense FIFOs in
//! a table of devices × servers, every step and every observation spelled out.

#![expect(clippy::unwrap_used, reason = "a fault of a test may panic")]

mod world;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use offramp_model::observation::{broadcast_columns, link_columns, task_columns};
use offramp_model::rng::{Purpose, StreamFamily, WHOLE_RUN};
use offramp_model::world::Band;
use offramp_model::{
    Arrival, Broadcast, Column, ColumnList, Device, Distribution, EndedTask, EnergyAccounting,
    Episode, ObservationKind, ObservationSpec, Outcome, PowerPreference, PreferenceRule, Server,
    System, SystemParameters, TaskClass, UplinkRates, Workload, reward,
};
use proptest::prelude::*;

use crate::world::{Around, Slow, moving};

/// The episode that is played.
const EPISODE: u64 = 3;
/// Draws of the decisions, which are not part of the physics.
const DECISIONS: Purpose = Purpose::new(6);

#[derive(Clone, Debug)]
struct TwinTask {
    device: usize,
    born: u32,
    deadline: u32,
    size: f64,
    density: f64,
    left: f64,
    /// Published energy: local, transmit, server, idle.
    energy: [f64; 4],
    /// Physical seconds: computing here, sending, served, waited at the server.
    seconds: [f64; 4],
}

impl TwinTask {
    fn new(slot: u32, arrival: &Arrival) -> Self {
        Self {
            device: arrival.device as usize,
            born: slot,
            deadline: arrival.deadline_slots,
            size: arrival.size_mbit,
            density: arrival.density,
            left: arrival.size_mbit,
            energy: [0.0; 4],
            seconds: [0.0; 4],
        }
    }
}

#[derive(Clone, Debug, Default)]
struct TwinFifo {
    in_service: Option<TwinTask>,
    waiting: VecDeque<TwinTask>,
}

#[derive(Clone, Debug, PartialEq)]
struct TwinEnd {
    dropped: bool,
    delay: u32,
    energy: [f64; 4],
    physical: [f64; 4],
}

/// The public code's own bookkeeping: a dense table of what each device is believed to have at
/// each server.
#[derive(Clone, Debug)]
struct TwinPublished {
    busy_until: Vec<i64>,
    backlog: Vec<Vec<Option<f64>>>,
    lost: Vec<(usize, usize, f64)>,
    last_density: Option<f64>,
}

#[derive(Clone)]
struct Twin<'s> {
    around: Around,
    /// Devices that sent to each station in the last slot, where they share its band.
    senders: Option<Vec<u32>>,
    /// The slot in which a task on the backhaul reaches its server.
    wired: Vec<(u32, TwinTask, usize)>,
    /// Each device's own rate, slot by slot.
    own: Vec<Vec<f64>>,
    /// A copy in which rates stay as they are, by device and server.
    frozen: Option<Vec<Vec<f64>>>,
    system: &'s SystemParameters,
    cpus: Vec<TwinFifo>,
    uplinks: Vec<VecDeque<(TwinTask, usize)>>,
    uplink_service: Vec<Option<(TwinTask, usize)>>,
    servers: Vec<Vec<TwinFifo>>,
    active: Vec<u32>,
    /// For each slot the servers that a task reached in it.
    reached: Vec<Vec<usize>>,
    ended: BTreeMap<(u32, usize), TwinEnd>,
    published: TwinPublished,
}

impl<'s> Twin<'s> {
    fn new(whole: &'s System, around: Around) -> Self {
        let system = whole.parameters();
        let (n, m) = (system.devices.len(), system.servers.len());
        let world = system.world.as_ref();
        let shared = world.filter(|world| world.radio.is_some() && world.band == Band::Shared);
        Self {
            around,
            senders: shared.map(|world| vec![0; world.stations.len()]),
            wired: Vec::new(),
            own: vec![Vec::new(); n],
            frozen: None,
            system,
            cpus: vec![TwinFifo::default(); n],
            uplinks: vec![VecDeque::new(); n],
            uplink_service: vec![None; n],
            servers: vec![vec![TwinFifo::default(); m]; n],
            active: vec![0; m],
            reached: Vec::new(),
            ended: BTreeMap::new(),
            published: TwinPublished {
                busy_until: vec![-1; n],
                backlog: vec![vec![None; m]; n],
                lost: Vec::new(),
                last_density: None,
            },
        }
    }

    fn end(&mut self, task: &TwinTask, dropped: bool, delay: u32) {
        let device = &self.system.devices[task.device];
        let [computing, sending, served, waited] = task.seconds;
        let server_w = self.system.servers[0].power_w; // all servers have the same here
        let physical = [
            device.compute_w * computing,
            device.transmit_w * sending,
            server_w * served,
            device.idle_w * waited,
        ];
        let end = TwinEnd { dropped, delay, energy: task.energy, physical };
        let before = self.ended.insert((task.born, task.device), end);
        assert!(before.is_none(), "a task ended twice");
    }

    fn slot(&mut self, t: u32, decided: Vec<(TwinTask, usize)>) {
        let system = self.system;
        let tau = system.slot_seconds;
        let can_meet = |task: &TwinTask| t - task.born < task.deadline;
        self.published_arrivals(t, &decided);
        for (task, action) in decided {
            match action {
                0 => self.cpus[task.device].waiting.push_back(task),
                server => self.uplinks[task.device].push_back((task, server - 1)),
            }
        }
        // 1. Local CPUs.
        for i in 0..self.cpus.len() {
            while self.cpus[i].in_service.is_none() {
                let Some(task) = self.cpus[i].waiting.pop_front() else { break };
                if can_meet(&task) {
                    self.cpus[i].in_service = Some(task);
                } else {
                    self.end(&task, true, task.deadline);
                }
            }
            let Some(mut task) = self.cpus[i].in_service.take() else { continue };
            let c = system.devices[i].cpu_ghz * tau / task.density;
            if task.left >= c {
                task.energy[0] += c * c;
            } else {
                task.energy[0] += task.left / task.density * c;
            }
            task.seconds[0] += task.left.min(c) * task.density / system.devices[i].cpu_ghz;
            task.left -= c;
            let delay = t - task.born + 1;
            if task.left <= 0.0 {
                self.end(&task, false, delay);
            } else if delay == task.deadline {
                self.end(&task, true, delay);
            } else {
                self.cpus[i].in_service = Some(task);
            }
        }
        // 2. Servers.
        for i in 0..self.servers.len() {
            for j in 0..self.active.len() {
                while self.servers[i][j].in_service.is_none() {
                    let Some(task) = self.servers[i][j].waiting.pop_front() else { break };
                    if can_meet(&task) {
                        self.servers[i][j].in_service = Some(task);
                    } else {
                        self.end(&task, true, task.deadline);
                    }
                }
                for task in &mut self.servers[i][j].waiting {
                    // Past its deadline it waits on, but its device has given up.
                    if can_meet(task) {
                        task.seconds[3] += tau;
                    }
                }
                let Some(mut task) = self.servers[i][j].in_service.take() else { continue };
                let server = &system.servers[j];
                let k = f64::from(self.active[j]);
                let whole = self.around.capacity[j] * (server.ghz * tau / task.density);
                if task.left >= whole / k {
                    task.energy[2] += whole * server.power_w * tau;
                    task.energy[3] += whole / k;
                } else {
                    task.energy[2] += task.left * server.power_w * tau;
                    task.energy[3] += task.left / k * system.devices[i].idle_w;
                }
                task.seconds[2] += task.left.min(whole / k) * task.density / server.ghz;
                task.seconds[3] +=
                    if whole > 0.0 { (task.left / (whole / k)).min(1.0) * tau } else { tau };
                task.left -= whole / k;
                let delay = t - task.born + 1;
                if task.left <= 0.0 {
                    self.end(&task, false, delay);
                } else if delay == task.deadline {
                    self.published.lost.push((i, j, task.left));
                    self.end(&task, true, delay);
                } else {
                    self.servers[i][j].in_service = Some(task);
                }
            }
        }
        self.published_servers();
        // 3. The backhaul, then uplinks.
        let mut reached = Vec::new();
        let (due, wired): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.wired).into_iter().partition(|(due, ..)| *due <= t);
        self.wired = wired;
        for (_, task, _) in &mut self.wired {
            if can_meet(task) {
                task.seconds[3] += tau;
            }
        }
        for (_, mut task, server) in due {
            if can_meet(&task) {
                task.seconds[3] += tau;
            }
            self.servers[task.device][server].waiting.push_back(task);
            reached.push(server);
        }
        self.count_senders(t);
        for i in 0..self.uplinks.len() {
            while self.uplink_service[i].is_none() {
                let Some((task, server)) = self.uplinks[i].pop_front() else { break };
                if can_meet(&task) {
                    self.uplink_service[i] = Some((task, server));
                } else {
                    self.end(&task, true, task.deadline);
                }
            }
            let Some((mut task, server)) = self.uplink_service[i].take() else { continue };
            let rate = self.rate(i, server);
            task.energy[1] += rate * tau * system.devices[i].transmit_w;
            if rate > 0.0 {
                task.seconds[1] += task.left.min(rate * tau) / rate;
            }
            task.left -= rate * tau;
            if task.left <= 0.0 {
                task.left = task.size;
                let believed = &mut self.published.backlog[i][server];
                *believed = Some(believed.unwrap_or(0.0) + task.size);
                let slots = self.wired_slots(i, server, task.size);
                if slots == 0 {
                    self.servers[i][server].waiting.push_back(task);
                    reached.push(server);
                } else {
                    self.wired.push((t + slots, task, server));
                }
            } else if t - task.born + 1 == task.deadline {
                self.end(&task, true, task.deadline);
            } else {
                self.uplink_service[i] = Some((task, server));
            }
        }
        self.reached.push(reached);
        // 4. Activity.
        for (j, active) in self.active.iter_mut().enumerate() {
            let busy =
                |row: &&Vec<TwinFifo>| row[j].in_service.is_some() || !row[j].waiting.is_empty();
            *active = self.servers.iter().filter(busy).count() as u32;
        }
    }

    /// 5. What is still open is dropped.
    fn close(&mut self) {
        let mut open: Vec<_> = self.wired.drain(..).map(|(_, task, _)| task).collect();
        for fifo in self.cpus.iter_mut().chain(self.servers.iter_mut().flatten()) {
            open.extend(fifo.in_service.take());
            open.extend(fifo.waiting.drain(..));
        }
        for (service, waiting) in self.uplink_service.iter_mut().zip(&mut self.uplinks) {
            open.extend(service.take().map(|(task, _)| task));
            open.extend(waiting.drain(..).map(|(task, _)| task));
        }
        for task in open {
            self.end(&task, true, task.deadline);
        }
    }
}

impl Twin<'_> {
    fn longest_deadline(&self) -> u32 {
        self.system.classes.iter().map(|class| class.deadline_slots).max().unwrap()
    }

    /// R of a device to a server: what is left of it if others send to its station, too.
    fn rate(&self, device: usize, server: usize) -> f64 {
        if let Some(frozen) = &self.frozen {
            return frozen[device][server];
        }
        let rate = self.around.rates[device][server];
        match (&self.senders, self.around.stations[device][server]) {
            (Some(senders), Some(station)) => rate / f64::from(senders[station].max(1)),
            _ => rate,
        }
    }

    fn count_senders(&mut self, t: u32) {
        if self.senders.is_none() {
            return;
        }
        let stations = self.senders.as_ref().unwrap().len();
        let mut counts = vec![0; stations];
        for (i, waiting) in self.uplinks.iter().enumerate() {
            let can_meet = |(task, _): &&(TwinTask, usize)| t - task.born < task.deadline;
            let next = self.uplink_service[i].as_ref().or(waiting.iter().find(can_meet));
            if let Some(station) = next.and_then(|(_, server)| self.around.stations[i][*server]) {
                counts[station] += 1;
            }
        }
        self.senders = Some(counts);
    }

    fn wired_slots(&self, device: usize, server: usize, size: f64) -> u32 {
        use offramp_model::Ways;
        let station = self.around.stations[device][server];
        let of = |ways: &Ways| match ways {
            Ways::PerServer(values) => Some(values[server]),
            // Who can't send has no way to go.
            Ways::Same(value) if station.is_some_and(|station| station != server) => Some(*value),
            Ways::Same(_) => None,
            Ways::PerPair(rows) => Some(rows[station.unwrap()][server]),
        };
        let delay = of(&self.system.backhaul.delay_slots).unwrap_or(0.0);
        let rate = of(&self.system.backhaul.mbps);
        let sending = rate.map_or(0.0, |mbps| size / (mbps * self.system.slot_seconds));
        (delay + sending).ceil() as u32
    }

    fn published_arrivals(&mut self, t: u32, decided: &[(TwinTask, usize)]) {
        let system = self.system;
        let (slot, deadline) = (i64::from(t), i64::from(self.longest_deadline()));
        for (task, action) in decided {
            let mut sending = 0;
            if *action > 0 {
                let rate = self.rate(task.device, *action - 1);
                sending = (task.size / (rate * system.slot_seconds)).ceil() as i64;
            }
            self.published.busy_until[task.device] = slot + (sending - 1).min(deadline - 1);
        }
        let last = decided.iter().find(|(task, _)| task.device == system.devices.len() - 1);
        self.published.last_density = last.map(|(task, _)| task.density);
    }

    fn published_servers(&mut self) {
        for (i, j, mbit) in std::mem::take(&mut self.published.lost) {
            let believed = &mut self.published.backlog[i][j];
            *believed = believed.map(|before| before - mbit);
        }
        for (j, server) in self.system.servers.iter().enumerate() {
            for row in &mut self.published.backlog {
                row[j] = match (row[j], self.active[j], self.published.last_density) {
                    (before, 0, _) => before,
                    (_, _, None) => None,
                    (before, active, Some(density)) => {
                        let all = server.ghz * self.system.slot_seconds;
                        let worked_off = all / (density * f64::from(active));
                        before.map(|before| before - worked_off).filter(|&after| after > 0.0)
                    }
                };
            }
        }
    }

    /// Whether a device's CPU and its uplink have a task in slot `t` that can still end in time.
    fn busy(&self, t: u32, device: usize) -> (bool, bool) {
        let can_meet = |task: &TwinTask| t - task.born < task.deadline;
        let cpu = &self.cpus[device];
        let uplink = &self.uplinks[device];
        (
            cpu.in_service.is_some() || cpu.waiting.iter().any(can_meet),
            self.uplink_service[device].is_some() || uplink.iter().any(|(task, _)| can_meet(task)),
        )
    }

    /// τ^C and τ^T of every device at the start of slot `t`: for how many slots CPU and uplink
    /// stay busy in a copy of the world in which nothing arrives any more.
    fn queue_slots(&self, t: u32) -> Vec<(u32, u32)> {
        let mut slots = vec![(0, 0); self.cpus.len()];
        let mut alone = self.clone();
        let servers = 0..self.system.servers.len();
        let present = |device| servers.clone().map(|server| self.rate(device, server)).collect();
        alone.frozen = Some((0..self.cpus.len()).map(present).collect());
        for later in t..=t + self.longest_deadline() {
            for (device, (compute, uplink)) in slots.iter_mut().enumerate() {
                let (cpu_busy, uplink_busy) = alone.busy(later, device);
                *compute += u32::from(cpu_busy);
                *uplink += u32::from(uplink_busy);
            }
            alone.slot(later, Vec::new());
        }
        slots
    }

    /// The own rate of a device so many slots ago.
    fn own_ago(&self, device: usize, slots: usize) -> f64 {
        let own = &self.own[device];
        own.len().checked_sub(slots + 1).map_or(0.0, |at| own[at])
    }

    /// The slot begins in these surroundings.
    fn begin(&mut self, around: Around) {
        self.around = around;
        let changes = self.system.world.as_ref().is_some_and(|world| world.radio.is_some())
            || matches!(self.system.uplink, offramp_model::Uplink::Recorded(_));
        for (device, own) in self.own.iter_mut().enumerate().filter(|_| changes) {
            own.push(self.around.own(device));
        }
    }

    /// B^E of a device.
    fn backlogs(&self, device: usize) -> Vec<f64> {
        let backlog = |fifo: &TwinFifo| {
            let in_service = fifo.in_service.as_ref().map_or(0.0, |task| task.left);
            fifo.waiting.iter().fold(in_service, |sum, task| sum + task.size)
        };
        self.servers[device].iter().map(backlog).collect()
    }

    /// E_scaled of an energy in the unit of the accounting.
    fn scaled(&self, whole: &System, energy: f64) -> f64 {
        let reference = match self.system.energy {
            EnergyAccounting::Published => 20.0,
            EnergyAccounting::Physical => whole.reference_energy(),
        };
        (energy / reference * 10.0).min(40.0)
    }

    /// Delay and E_scaled of a task on its device's CPU, which is busy for so many slots: worked off
    /// slot by slot.
    fn local(&self, whole: &System, arrival: &Arrival, busy: u32) -> (f64, f64) {
        let device = &self.system.devices[arrival.device as usize];
        let per_slot = device.cpu_ghz * self.system.slot_seconds / arrival.density;
        let (mut slots, mut left, mut published, mut seconds) = (busy, arrival.size_mbit, 0.0, 0.0);
        while left > 0.0 {
            let done = left.min(per_slot);
            published += if done < per_slot { done / arrival.density } else { per_slot } * per_slot;
            seconds += done / per_slot * self.system.slot_seconds;
            (slots, left) = (slots + 1, left - per_slot);
        }
        let energy = match self.system.energy {
            EnergyAccounting::Published => published,
            EnergyAccounting::Physical => seconds * device.compute_w,
        };
        (f64::from(slots.min(4 * self.longest_deadline())), self.scaled(whole, energy))
    }

    /// Delay and E_scaled of a task at a server, if nothing changes any more: slot by slot, with
    /// `uplink` of them before it is sent.
    fn offloaded(&self, whole: &System, arrival: &Arrival, uplink: u32, at: usize) -> (f64, f64) {
        let Arrival { device: index, size_mbit, density, .. } = *arrival;
        let (device, tau) = (&self.system.devices[index as usize], self.system.slot_seconds);
        let (longest, rate) = (4 * self.longest_deadline(), self.rate(index as usize, at));
        let ghz = self.system.servers[at].ghz * self.around.capacity[at];
        if rate == 0.0 || ghz == 0.0 {
            return (f64::from(longest), 40.0);
        }
        let mut backlog = self.backlogs(index as usize)[at];
        let here = u32::from(backlog > 0.0);
        let share = ghz / f64::from((self.active[at] + 1 - here).max(1));
        let (mut slots, mut left, mut published, mut idle) = (uplink, size_mbit, 0.0, 0.0);
        while left > 0.0 {
            published += rate * tau * device.transmit_w;
            (slots, left) = (slots + 1, left - rate * tau);
        }
        let wired = self.wired_slots(index as usize, at, size_mbit);
        slots += wired;
        for _ in 0..slots {
            backlog -= share * tau / density;
        }
        let mut waited = 0;
        while backlog > 0.0 {
            backlog -= share * tau / density;
            waited += 1;
        }
        left = size_mbit;
        let mut served = 0;
        while left > 0.0 {
            idle += (left * density / share).min(tau);
            left -= share * tau / density;
            served += 1;
        }
        idle += f64::from(wired + waited) * tau;
        let energy = match self.system.energy {
            EnergyAccounting::Published => published,
            EnergyAccounting::Physical => {
                device.transmit_w * (size_mbit / rate) + device.idle_w * idle
            }
        };
        let delay = slots.saturating_add(waited + served).min(longest);
        (f64::from(delay), self.scaled(whole, energy))
    }

    /// The broadcast columns, with a history of three slots.
    fn broadcast(&self) -> Vec<f64> {
        let servers = 0..self.active.len();
        let queued = servers.clone().map(|server| {
            let here = self.servers.iter().map(|row| &row[server]);
            let tasks = here.flat_map(|fifo| fifo.in_service.iter().chain(&fifo.waiting));
            tasks.map(|task| task.left * task.density).sum()
        });
        let uploads = servers.clone().map(|server| {
            let uplinks = self.uplinks.iter().flatten().chain(self.uplink_service.iter().flatten());
            let sent = uplinks.filter(|(_, to)| *to == server).count();
            (sent + self.wired.iter().filter(|(_, _, to)| *to == server).count()) as f64
        });
        let arrivals = servers.map(|server| {
            let last = self.reached.iter().rev().take(3).flatten();
            last.filter(|to| **to == server).count() as f64 / 3.0
        });
        queued.chain(uploads).chain(arrivals).collect()
    }

    /// Every kind of observation and every table, spelled out.
    fn seen(&self, whole: &System, t: u32, arrivals: &[Arrival]) -> TwinSeen {
        let mut seen = TwinSeen::default();
        let queue_slots = self.queue_slots(t);
        let load: Vec<f64> = self.active.iter().map(|&active| f64::from(active)).collect();
        let ghz: Vec<f64> = self.system.servers.iter().map(|server| server.ghz).collect();
        for arrival in arrivals {
            let device = arrival.device as usize;
            let (compute, uplink) = queue_slots[device];
            let local = self.local(whole, arrival, compute);
            let offloaded: Vec<_> = (0..self.active.len())
                .map(|server| self.offloaded(whole, arrival, uplink, server))
                .collect();
            let (compute, uplink) = (f64::from(compute), f64::from(uplink));
            let backlogs = self.backlogs(device);
            let rates: Vec<f64> =
                (0..backlogs.len()).map(|server| self.rate(device, server)).collect();
            let Arrival { size_mbit, density, alpha, class, .. } = *arrival;
            let (deadline, class) = (f64::from(arrival.deadline_slots), f64::from(class));
            let speed = self.around.speeds[device];

            seen.paper.extend([size_mbit, compute, uplink]);
            seen.paper.extend(&backlogs);
            seen.paper.extend([alpha]);

            seen.extended.extend([size_mbit, compute, uplink]);
            seen.extended.extend(&backlogs);
            seen.extended.extend([alpha, density, deadline]);

            let published = &self.published;
            seen.published.push(size_mbit);
            seen.published.extend(match t {
                0 => [-1.0, -1.0],
                t => {
                    let slot = i64::from(t);
                    [(published.busy_until[device] - slot + 1) as f64, -slot as f64]
                }
            });
            seen.published.extend(published.backlog[device].iter().map(|mbit| mbit.unwrap_or(0.0)));
            seen.published.push(alpha);

            seen.listed.extend(&load);
            seen.listed.push(density);
            seen.listed.extend(&rates);
            seen.listed.push(compute);

            seen.tasks.extend([size_mbit, compute, uplink, alpha, density, deadline, class, speed]);
            seen.tasks.extend([0, 1, 2, 4, 8].map(|slots| self.own_ago(device, slots)));
            seen.tasks.extend([local.0, local.1]);
            seen.links.extend(&backlogs);
            seen.links.extend(&rates);
            seen.links.extend(&self.around.serving[device]);
            seen.links.extend(&self.around.distances[device]);
            seen.links.extend(
                (0..self.active.len())
                    .map(|server| f64::from(self.wired_slots(device, server, size_mbit))),
            );
            seen.links.extend(offloaded.iter().map(|(delay, _)| delay));
            seen.links.extend(offloaded.iter().map(|(_, energy)| energy));
        }
        seen.servers = [load, ghz, self.around.capacity.clone()].concat();
        seen.broadcast = self.broadcast();
        seen
    }
}

#[derive(Debug, Default)]
struct TwinSeen {
    paper: Vec<f64>,
    extended: Vec<f64>,
    published: Vec<f64>,
    /// The columns of [`LISTED`].
    listed: Vec<f64>,
    tasks: Vec<f64>,
    links: Vec<f64>,
    servers: Vec<f64>,
    broadcast: Vec<f64>,
}

const LISTED: [&str; 4] =
    ["load", "density_gcycles_per_mbit", "uplink_mbps", "compute_queue_slots"];

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Half of them move.
fn any_systems() -> impl Strategy<Value = SystemParameters> {
    prop_oneof![systems(), moving(systems())]
}

fn systems() -> impl Strategy<Value = SystemParameters> {
    let sizes = (1_usize..8, 1_usize..5, 1_u32..40, 1_u32..14);
    let physics = (1.0..6.0, 2.0..60.0, 4.0..40.0, 0.05..1.0, any::<u64>());
    (sizes, physics, any::<bool>(), 0..8_u32).prop_map(
        |((n, m, slots, deadline), (cpu, ghz, rate, probability, seed), physical, form)| {
            let mut stream = StreamFamily::new(seed, 0, Purpose::DEVICE).of(0);
            let mut around = |value: f64| value * (0.5 + stream.uniform());
            let devices = (0..n)
                .map(|_| Device {
                    cpu_ghz: around(cpu),
                    compute_w: around(2.0),
                    transmit_w: around(2.3),
                    idle_w: around(0.1),
                    arrival_probability: probability,
                })
                .collect();
            let servers = (0..m).map(|_| Server { ghz: around(ghz), power_w: 5.0 }).collect();
            SystemParameters {
                slot_seconds: 0.1,
                arrival_slots: slots,
                devices,
                servers,
                uplink: uplink(form, n, m, rate, StreamFamily::new(seed, 0, Purpose::UPLINK))
                    .into(),
                classes: vec![TaskClass {
                    deadline_slots: deadline,
                    ..SystemParameters::paper(1, 1).classes[0].clone()
                }],
                power_preference: PowerPreference {
                    modes: vec![0.25, 0.5, 0.75],
                    rule: PreferenceRule::Switching(0.1),
                },
                energy: if physical {
                    EnergyAccounting::Physical
                } else {
                    EnergyAccounting::Published
                },
                ..SystemParameters::paper(1, 1)
            }
        },
    )
}

/// Rates in any form, some with pairs that have no coverage.
fn uplink(form: u32, n: usize, m: usize, rate: f64, streams: StreamFamily) -> UplinkRates {
    // Every third is 0.
    let list = |length: usize, first: usize| -> Vec<f64> {
        (first..first + length).map(|at| if at % 3 == 0 { 0.0 } else { rate }).collect()
    };
    match form {
        0 => UplinkRates::Same(0.0),
        1 => UplinkRates::PerDevice(list(n, 0)),
        2 => UplinkRates::PerServer(list(m, 0)),
        3 => UplinkRates::PerPair((0..n).map(|device| list(m, device)).collect()),
        4 => UplinkRates::Drawn(Distribution::Choice(vec![0.0, rate, rate * 2.0]), streams),
        5 => UplinkRates::Drawn(Distribution::Uniform(0.0, rate), streams),
        _ => UplinkRates::Drawn(Distribution::Uniform(rate * 0.5, rate * 1.5), streams),
    }
}

const PAPER: ObservationSpec = ObservationSpec { history_slots: 3, ..ObservationSpec::PAPER };

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

/// Bit-identical, except for predicted energies: sums of many slots here, one product there.
#[track_caller]
fn assert_table(found: &[f64], expected: &[f64], columns: &[Column], per_column: usize) {
    assert_eq!(found.len(), expected.len());
    let names = columns.iter().flat_map(|column| std::iter::repeat_n(column.name, per_column));
    for ((found, expected), name) in found.iter().zip(expected).zip(names.cycle()) {
        let same = match name {
            "local_energy" | "predicted_energy" => close(*found, *expected),
            _ => found.to_bits() == expected.to_bits(),
        };
        assert!(same, "{name}: {found}, not {expected}");
    }
}

#[track_caller]
fn assert_same(ours: &EndedTask, twin: &TwinEnd) {
    assert_eq!(ours.outcome == Outcome::Dropped, twin.dropped);
    assert_eq!(ours.delay_slots, twin.delay);
    let both = [(ours.energy.published, twin.energy), (ours.energy.physical, twin.physical)];
    for (ours, twin) in both {
        let ours = [ours.local, ours.transmit, ours.server, ours.idle];
        let all_close = ours.iter().zip(twin).all(|(&a, b)| close(a, b));
        assert!(all_close, "{ours:?} {twin:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_engine_equals_its_obvious_twin(
        parameters in any_systems(),
        seed in any::<u64>(),
        local in 0.0..1.0_f64,
    ) {
        let system = Arc::new(System::new(parameters.clone()).unwrap());
        let workload = Workload::Drawn { seed, episode: EPISODE };
        let mut episode = Episode::new(&system, workload, PAPER);
        let mut slow = Slow::new(&system, seed, EPISODE);
        let mut twin = Twin::new(&system, slow.nothing());
        let mut decisions = StreamFamily::new(seed, 3, DECISIONS).of(0);
        let (mut arrived, mut ended) = (0, 0);
        while !episode.is_over() {
            let t = episode.slot();
            let mut actions = Vec::new();
            let mut decided = Vec::new();
            for arrival in episode.arrivals() {
                let action = if decisions.uniform() < local {
                    0
                } else {
                    1 + decisions.below(parameters.servers.len())
                };
                actions.push(action as u32);
                decided.push((TwinTask::new(t, arrival), action));
            }
            arrived += actions.len();
            twin.begin(slow.at(t, &episode));
            episode.advance(&actions).unwrap();
            twin.slot(t, decided);
            prop_assert_eq!(episode.active_devices(), &twin.active[..]);
            if episode.is_over() {
                twin.close();
            }
            for task in episode.ended() {
                let key = (task.arrival_slot, task.device as usize);
                assert_same(task, &twin.ended[&key]);
                prop_assert!(task.delay_slots <= task.deadline_slots);
                prop_assert!(reward::cost(&system, task) >= 0.0);
                ended += 1;
            }
            prop_assert_eq!(episode.under_way(), arrived - ended);
        }
        // Each task ends exactly once.
        prop_assert_eq!(ended, arrived);
        prop_assert_eq!(twin.ended.len(), arrived);
        prop_assert_eq!(episode.handovers().unwrap_or_default(), slow.totals);
    }

    /// Every kind of observation and every table.
    #[test]
    fn observations_equal_their_obvious_spelling(
        parameters in any_systems(),
        seed in any::<u64>(),
        local in 0.0..1.0_f64,
    ) {
        let system = Arc::new(System::new(parameters.clone()).unwrap());
        let listed = ObservationKind::Columns(ColumnList::new(LISTED).unwrap());
        // The public code knows of constant rates alone.
        let moves = parameters.world.is_some()
            || parameters.outages.is_some()
            || matches!(parameters.uplink, offramp_model::Uplink::Recorded(_));
        let third = if moves { listed } else { ObservationKind::Published };
        let kinds = [ObservationKind::Paper, ObservationKind::Extended, third, listed];
        let all = broadcast_columns().iter().map(|column| column.name);
        let broadcast = Broadcast::new(all).unwrap();
        let mut episodes = kinds.map(|kind| {
            let observation = ObservationSpec { kind, history_slots: 3, broadcast };
            Episode::new(&system, Workload::Drawn { seed, episode: EPISODE }, observation)
        });
        let mut slow = Slow::new(&system, seed, EPISODE);
        let mut twin = Twin::new(&system, slow.nothing());
        let mut decisions = StreamFamily::new(seed, 1, DECISIONS).of(0);
        let mut values = vec![f64::NAN; 7];
        while !episodes[0].is_over() {
            let t = episodes[0].slot();
            let arrivals = episodes[0].arrivals().to_vec();
            twin.begin(slow.at(t, &episodes[0]));
            let expected = twin.seen(&system, t, &arrivals);
            let third = if moves { &expected.listed } else { &expected.published };
            let kinds = [&expected.paper, &expected.extended, third, &expected.listed];
            for (episode, expected_features) in episodes.iter().zip(kinds) {
                episode.features(&mut values);
                prop_assert_eq!(bits(&values), bits(expected_features));
                let width = episode.observation().kind.width(system.server_count());
                prop_assert_eq!(values.len(), arrivals.len() * width);
                episode.task_table(&mut values);
                assert_table(&values, &expected.tasks, task_columns(), 1);
                episode.link_table(&mut values);
                assert_table(&values, &expected.links, link_columns(), parameters.servers.len());
                episode.server_table(&mut values);
                let (always, broadcast) = values.split_at(expected.servers.len());
                prop_assert_eq!(bits(always), bits(&expected.servers));
                assert_eq!(broadcast.len(), expected.broadcast.len());
                for (&found, &expected) in broadcast.iter().zip(&expected.broadcast) {
                    prop_assert!(close(found, expected), "{found}, not {expected}");
                }
            }
            let mut actions = Vec::new();
            let mut decided = Vec::new();
            for arrival in &arrivals {
                let servers = parameters.servers.len();
                let action =
                    if decisions.uniform() < local { 0 } else { 1 + decisions.below(servers) };
                actions.push(action as u32);
                decided.push((TwinTask::new(t, arrival), action));
            }
            for episode in &mut episodes {
                episode.advance(&actions).unwrap();
            }
            twin.slot(t, decided);
        }
    }

    #[test]
    fn physical_energy_is_scaled_to_at_most_ten(parameters in systems(), seed in any::<u64>()) {
        let physical = SystemParameters { energy: EnergyAccounting::Physical, ..parameters };
        let system = Arc::new(System::new(physical).unwrap());
        let mut episode = Episode::new(&system, Workload::Drawn { seed, episode: 0 }, PAPER);
        while !episode.is_over() {
            let actions: Vec<u32> =
                episode.arrivals().iter().map(|arrival| arrival.device % 2).collect();
            episode.advance(&actions).unwrap();
            for task in episode.ended() {
                prop_assert!((0.0..=10.0 + 1e-9).contains(&reward::scaled_energy(&system, task)));
            }
        }
    }

    /// τ^C says for how long a device's CPU stays busy if nothing joins it.
    #[test]
    fn queue_slots_are_exact(parameters in systems(), seed in any::<u64>(), until in 1_u32..30) {
        let system = Arc::new(System::new(parameters.clone()).unwrap());
        let mut episode = Episode::new(&system, Workload::Drawn { seed, episode: 0 }, PAPER);
        while !episode.is_over() && episode.slot() < until {
            let actions: Vec<u32> =
                episode.arrivals().iter().map(|arrival| (arrival.device + until) % 2).collect();
            episode.advance(&actions).unwrap();
        }
        // From here on, every task of every device goes elsewhere: to its other queue.
        let devices = 0..system.device_count();
        let foretold: Vec<_> = devices.map(|device| episode.queue_slots(device)).collect();
        let start = episode.slot();
        let mut last_local_end = vec![start; foretold.len()];
        while !episode.is_over() {
            let t = episode.slot();
            let actions = vec![1; episode.arrivals().len()];
            episode.advance(&actions).unwrap();
            for task in episode.ended().iter().filter(|task| task.action == 0) {
                let served = task.energy.published.local > 0.0;
                if served && !episode.is_over() {
                    last_local_end[task.device as usize] = t + 1;
                }
            }
        }
        for ((compute, _), end) in foretold.iter().zip(&last_local_end) {
            // The episode may close before the CPU is free.
            let free = start + compute;
            prop_assert!(*end == free || free >= system.slot_count());
        }
    }
}

#[test]
fn one_task_by_hand() {
    // 4.2 Mbit of density 0.2 at 14 Mbit/s: 3 slots of sending (1.4 each). Alone at a server of
    // 42 GHz: 21 Mbit a slot, so one slot. Born in slot 0: sent in 0, 1, 2, served in 3: D = 4.
    let paper = System::paper(1, 1);
    let mut parameters = paper.parameters().clone();
    parameters.arrival_slots = 1;
    parameters.devices[0].arrival_probability = 1.0;
    parameters.classes[0].size_mbit = Distribution::Constant(4.2);
    parameters.classes[0].density = Distribution::Constant(0.2);
    parameters.power_preference.modes = vec![0.5];
    let system = Arc::new(System::new(parameters).unwrap());
    let mut episode = Episode::new(&system, Workload::Drawn { seed: 1, episode: 0 }, PAPER);
    let mut ended = Vec::new();
    episode.advance(&[1]).unwrap();
    while !episode.is_over() {
        episode.advance(&[]).unwrap();
        ended.extend_from_slice(episode.ended());
    }
    assert_eq!(ended.len(), 1);
    let task = ended[0];
    assert_eq!((task.delay_slots, task.outcome), (4, Outcome::Done));
    // Published: 3 slots of 1.4 Mbit at 2.3 W; 4.2 Mbit · 5 W · 0.1 s; 4.2 Mbit · 0.1 W.
    assert!(close(task.energy.published.transmit, 3.0 * 1.4 * 2.3));
    assert!(close(task.energy.published.server, 4.2 * 5.0 * 0.1));
    assert!(close(task.energy.published.idle, 4.2 * 0.1));
    // Physical: 0.3 s at 2.3 W; a fifth of a slot served, at 5 W there and 0.1 W here.
    assert!(close(task.energy.physical.transmit, 0.3 * 2.3));
    assert!(close(task.energy.physical.server, 0.02 * 5.0));
    assert!(close(task.energy.physical.idle, 0.02 * 0.1));
    // Eq. (11): 2·(0.5·4 + 0.5·10·9.66/20); eq. (12): 40 minus that.
    assert!(close(reward::reward(&system, &task), 40.0 - (4.0 + 4.83)));
}

#[test]
fn a_server_without_coverage_by_hand() {
    // As above, with a second server that the device can't reach. Tasks arrive in slots 0 and 1,
    // D_max is 5. The first is sent to server 2: it holds the uplink until its deadline passes at
    // the end of slot 4. The second takes the uplink in slot 5, the last of its own deadline, and
    // sends 1.4 of its 4.2 Mbit.
    for energy in [EnergyAccounting::Published, EnergyAccounting::Physical] {
        let mut parameters = SystemParameters::paper(1, 2);
        parameters.arrival_slots = 2;
        parameters.classes[0].deadline_slots = 5;
        parameters.devices[0].arrival_probability = 1.0;
        parameters.uplink = UplinkRates::PerServer(vec![14.0, 0.0]).into();
        parameters.classes[0].size_mbit = Distribution::Constant(4.2);
        parameters.classes[0].density = Distribution::Constant(0.2);
        parameters.power_preference.modes = vec![0.5];
        parameters.energy = energy;
        let system = Arc::new(System::new(parameters).unwrap());
        // Locally 2 W · 4.2 · 0.2 / 2.6 s = 0.65 J; sent at 14, not at 0: 2.3 W · 0.3 s and
        // 0.1 W · 0.5 s.
        assert!(close(system.reference_energy(), 0.69 + 0.05));
        let mut episode = Episode::new(&system, Workload::Drawn { seed: 1, episode: 0 }, PAPER);
        let mut ended = Vec::new();
        let mut uplink_slots = Vec::new();
        while !episode.is_over() {
            let actions: &[u32] = match episode.slot() {
                0 => &[2],
                1 => &[1],
                _ => &[],
            };
            episode.advance(actions).unwrap();
            uplink_slots.push(episode.queue_slots(0).1);
            ended.extend_from_slice(episode.ended());
        }
        // After slot 0: slots 1 to 4. After slot 1: slots 2 to 4, and 5 for the second.
        assert_eq!(uplink_slots, [4, 4, 3, 2, 1, 0, 0]);
        let seen: Vec<_> =
            ended.iter().map(|task| (task.action, task.outcome, task.delay_slots)).collect();
        assert_eq!(seen, [(2, Outcome::Dropped, 5), (1, Outcome::Dropped, 5)]);
        // Nothing was sent to server 2, so nothing was spent on it.
        assert_eq!(ended[0].energy.published.total(), 0.0);
        assert_eq!(ended[0].energy.physical.total(), 0.0);
        // 2·0.5·5 slots.
        assert!(close(reward::reward(&system, &ended[0]), -5.0));
        assert!(close(ended[1].energy.published.total(), 1.4 * 2.3));
        assert!(close(ended[1].energy.physical.total(), 0.1 * 2.3));
    }
}

#[test]
fn a_device_without_any_coverage_has_finite_numbers() {
    for energy in [EnergyAccounting::Published, EnergyAccounting::Physical] {
        let mut parameters = SystemParameters::paper(2, 2);
        parameters.uplink = UplinkRates::Same(0.0).into();
        parameters.energy = energy;
        // The costliest way is to compute.
        let system = Arc::new(System::new(parameters).unwrap());
        assert!(close(system.reference_energy(), 2.0 * 7.0 * 0.397 / 2.6));
        let all: Vec<_> = offramp_model::observation::columns().map(|column| column.name).collect();
        let kind = ObservationKind::Columns(ColumnList::new(all).unwrap());
        for feature in offramp_model::observation::features(&system, kind) {
            assert!(feature.scale > 0.0 && feature.scale.is_finite(), "{}", feature.name);
        }
    }
}

#[test]
fn decisions_that_no_policy_may_make_change_nothing() {
    let system = Arc::new(System::paper(50, 5));
    let mut episode = Episode::new(&system, Workload::Drawn { seed: 1, episode: 0 }, PAPER);
    let tasks = episode.arrivals().len();
    let error =
        |episode: &mut Episode, actions: &[u32]| episode.advance(actions).unwrap_err().to_string();
    assert_eq!(
        error(&mut episode, &vec![0; tasks + 1]),
        format!("slot 0: {} actions for {tasks} tasks", tasks + 1)
    );
    let device = episode.arrivals()[0].device;
    assert_eq!(
        error(&mut episode, &vec![6; tasks]),
        format!("slot 0, device {device}: action 6 is out of range 0 … 5")
    );
    assert_eq!((episode.slot(), episode.under_way()), (0, 0));
    episode.advance(&vec![5; tasks]).unwrap();
    while !episode.is_over() {
        episode.advance(&vec![0; episode.arrivals().len()]).unwrap();
    }
    assert_eq!(error(&mut episode, &[]), "the episode is over after its 110 slots");
}

#[test]
fn common_random_numbers_whatever_is_decided() {
    let system = Arc::new(System::paper(20, 3));
    let arrivals = |action: u32| {
        let workload = Workload::Drawn { seed: 9, episode: 4 };
        let mut episode = Episode::new(&system, workload, PAPER);
        let mut all = Vec::new();
        while !episode.is_over() {
            all.extend(episode.arrivals().iter().map(|arrival| {
                (arrival.device, arrival.size_mbit.to_bits(), arrival.alpha.to_bits())
            }));
            episode.advance(&vec![action; episode.arrivals().len()]).unwrap();
        }
        all
    };
    assert_eq!(arrivals(0), arrivals(3));
}

#[test]
fn a_higher_arrival_probability_keeps_every_task_of_a_lower() {
    let tasks = |probability: f64| {
        let mut parameters = System::paper(20, 3).parameters().clone();
        for device in &mut parameters.devices {
            device.arrival_probability = probability;
        }
        let system = Arc::new(System::new(parameters).unwrap());
        let mut episode = Episode::new(&system, Workload::Drawn { seed: 5, episode: 0 }, PAPER);
        let mut all = Vec::new();
        while !episode.is_over() {
            let slot = episode.slot();
            let arrivals = episode.arrivals().iter();
            all.extend(arrivals.map(|arrival| (slot, arrival.device, arrival.size_mbit.to_bits())));
            episode.advance(&vec![0; episode.arrivals().len()]).unwrap();
        }
        all
    };
    let (few, many) = (tasks(0.1), tasks(0.6));
    assert!(few.len() < many.len());
    assert!(few.iter().all(|task| many.contains(task)));
}

#[test]
fn power_modes_follow_their_rule() {
    let alphas = |rule, seed, episode| {
        let mut parameters = System::paper(30, 2).parameters().clone();
        parameters.power_preference.rule = rule;
        let system = Arc::new(System::new(parameters).unwrap());
        let workload = Workload::Drawn { seed, episode };
        let mut episode = Episode::new(&system, workload, PAPER);
        let mut seen = vec![Vec::new(); 30];
        while !episode.is_over() {
            for (device, &mode) in episode.power_modes().iter().enumerate() {
                seen[device].push(mode);
            }
            episode.advance(&vec![0; episode.arrivals().len()]).unwrap();
        }
        seen
    };
    let constant =
        |seen: &[Vec<u32>]| seen.iter().all(|modes| modes.iter().all(|m| *m == modes[0]));
    let of_system =
        |seed| PreferenceRule::Fixed(StreamFamily::new(seed, WHOLE_RUN, Purpose::POWER_MODE));
    let fixed = alphas(of_system(1), 2, 0);
    assert!(constant(&fixed));
    // They belong to the system, not to tasks.
    assert_eq!(fixed, alphas(of_system(1), 2, 1));
    assert_eq!(fixed, alphas(of_system(1), 3, 0));
    assert_ne!(fixed, alphas(of_system(2), 2, 0));
    let drawn = alphas(PreferenceRule::PerEpisode, 2, 0);
    assert!(constant(&drawn));
    assert_ne!(drawn, alphas(PreferenceRule::PerEpisode, 2, 1));
    let switching = alphas(PreferenceRule::Switching(0.2), 2, 0);
    // 30 devices · 99 slots · 0.2: 594 changes expected, standard deviation 22.
    let changes: usize =
        switching.iter().map(|modes| modes.windows(2).filter(|two| two[0] != two[1]).count()).sum();
    assert!((484..704).contains(&changes), "{changes}");
}

#[test]
fn history_ends_with_the_last_load_and_begins_with_zeros() {
    let system = Arc::new(System::paper(10, 2));
    for (kind, lag) in [(ObservationKind::Paper, 1), (ObservationKind::Published, 2)] {
        let observation = ObservationSpec { kind, history_slots: 4, ..ObservationSpec::PAPER };
        let mut episode =
            Episode::new(&system, Workload::Drawn { seed: 3, episode: 0 }, observation);
        let mut loads = vec![vec![0.0; 2]; 8];
        while !episode.is_over() {
            let newest = loads.len() - lag;
            let expected = loads[newest + 1 - 4..=newest].concat();
            assert_eq!(episode.history(), expected);
            episode.advance(&vec![1; episode.arrivals().len()]).unwrap();
            loads.push(episode.active_devices().iter().map(|&k| f64::from(k)).collect());
        }
    }
}
