//! One slot of some devices, in a fixed order: local CPUs, servers, uplinks, activity (difference 1
//! from the paper, see the crate's front page). The order matters, and so does every `≤`.
//!
//! This is the hot loop. What makes it fast: FIFOs that hold no task are not visited, a FIFO stores
//! its oldest task itself, so that service goes through memory in order, and nothing is allocated once
//! the buffers have grown to their size.

use std::ops::Range;

use crate::device::Device;
use crate::energy::{Energies, Energy, published_local, published_server};
use crate::published::Published;
use crate::queue::{Fifo, Fifos, Flow, Flows, NONE, Task, Tasks, join};
use crate::scene::Scene;
use crate::system::System;
use crate::task::{Arrival, EndedTask, Outcome};

/// Neighbouring devices and all that is theirs: their tasks, CPUs, uplinks and flows at servers.
/// Within a slot no device affects another, so shards can be advanced in any order.
#[derive(Clone, Debug)]
pub(crate) struct Shard {
    /// Its first device. All that is its counts devices from this one.
    pub(crate) first: u32,
    pub(crate) tasks: Tasks,
    pub(crate) cpus: Fifos,
    pub(crate) uplinks: Fifos,
    pub(crate) flows: Flows,
    /// How many tasks are under way.
    pub(crate) under_way: usize,
    /// The tasks that ended in the last slot: at CPUs, then at servers, then at uplinks.
    ended: Vec<EndedTask>,
    /// How many ended at CPUs.
    at_cpus: usize,
    /// For each that ended at a server, the slot since which its device had been active there.
    since: Vec<u32>,
}

/// What a slot depends on besides the state of the shard.
pub(crate) struct Surroundings<'s> {
    pub(crate) system: &'s System,
    pub(crate) slot: u32,
    /// m(t−1): for each server the devices active at it at the end of the last slot.
    pub(crate) active: &'s [u32],
}

impl Shard {
    pub(crate) fn new(first: usize, devices: usize, servers: usize) -> Self {
        Self {
            first: first as u32,
            tasks: Tasks::default(),
            cpus: Fifos::new(devices),
            uplinks: Fifos::new(devices),
            flows: Flows::new(devices, servers),
            under_way: 0,
            ended: Vec::new(),
            at_cpus: 0,
            since: Vec::new(),
        }
    }

    /// The tasks that ended at CPUs in the last slot, by device.
    pub(crate) fn ended_at_cpus(&self) -> &[EndedTask] {
        &self.ended[..self.at_cpus]
    }

    /// The tasks that ended at servers in the last slot, each with the slot since which its device
    /// had been active there; the longest active first.
    pub(crate) fn ended_at_servers(&self) -> (&[EndedTask], &[u32]) {
        (&self.ended[self.at_cpus..][..self.since.len()], &self.since)
    }

    /// The tasks that ended at uplinks in the last slot, by device.
    pub(crate) fn ended_at_uplinks(&self) -> &[EndedTask] {
        &self.ended[self.at_cpus + self.since.len()..]
    }

    /// Advances by one slot, in which `arrivals` arrived and were decided as `actions` (as many,
    /// each 0 … M). `scene` is that of the slot; without one nothing changes during the episode.
    pub(crate) fn advance(
        &mut self,
        around: &Surroundings<'_>,
        scene: Option<&mut Scene>,
        mut published: Option<&mut Published>,
        arrivals: &[Arrival],
        actions: &[u32],
    ) {
        self.clear();
        if let Some(published) = published.as_deref_mut() {
            published.arrivals(around.system, around.slot, arrivals, actions);
        }
        for (arrival, &action) in arrivals.iter().zip(actions) {
            let task = Task {
                size_mbit: arrival.size_mbit,
                density: arrival.density,
                alpha: arrival.alpha,
                published_transmit: 0.0,
                sent_seconds: 0.0,
                arrival_slot: around.slot,
                deadline_slots: arrival.deadline_slots,
                class: arrival.class,
                action,
                sent_slot: 0,
                service_slot: NONE,
            };
            let fifos = if action == 0 { &mut self.cpus } else { &mut self.uplinks };
            fifos.push(&mut self.tasks, (arrival.device - self.first) as usize, task);
        }
        self.under_way += arrivals.len();
        self.serve_cpus(around);
        let capacities = scene.as_deref().and_then(Scene::capacities);
        self.serve_flows(around, capacities, published.as_deref_mut());
        match scene {
            None => self.serve_uplinks::<false>(around, None, published),
            Some(scene) => self.serve_uplinks::<true>(around, Some(scene), published),
        }
        self.under_way -= self.ended.len();
    }

    /// Goes on in another system: what is in service continues at the speed that it has there. Where
    /// sending is timed from now on, and was not in the `old` system, each task has been sent for as
    /// long as its rate there took.
    pub(crate) fn continue_in(&mut self, old: &System, system: &System, timed: Option<Timed>) {
        let Self { first, tasks, cpus, uplinks, flows, .. } = self;
        let parameters = system.parameters();
        let (devices, seconds) = (&parameters.devices[*first as usize..], parameters.slot_seconds);
        cpus.visit(|index, fifo| {
            let per_density = devices[index].cpu_ghz * seconds;
            fifo.mbit_per_slot = per_density / fifo.oldest.density;
        });
        let sent_for = |device: u32, task: &mut Task, mbit: f64| {
            let rate = old.constant_mbps(*first + device, task.action - 1);
            task.sent_seconds = if mbit > 0.0 { mbit / rate } else { 0.0 };
        };
        flows.visit(|Flow { fifo, device, server, .. }| {
            let ghz = parameters.servers[*server as usize].ghz;
            fifo.mbit_per_slot = ghz * seconds / fifo.oldest.density;
            if timed == Some(Timed::FromNowOn) {
                fifo.change(tasks, |task, _| sent_for(*device, task, task.size_mbit));
            }
        });
        uplinks.visit(|index, fifo| {
            if timed == Some(Timed::FromNowOn) {
                fifo.change(tasks, |task, sent| sent_for(index as u32, task, sent));
            } else if timed.is_none() {
                let rate = system.constant_mbps(*first + index as u32, fifo.oldest.action - 1);
                fifo.mbit_per_slot = rate * seconds;
            }
        });
    }

    /// Takes over the devices behind its own, of which there is a multiple of 64. What ended in the
    /// last slot is forgotten.
    pub(crate) fn absorb(&mut self, other: Self) {
        let Self { tasks, cpus, uplinks, flows, .. } = self;
        join((tasks, cpus, uplinks, flows), (other.tasks, other.cpus, other.uplinks, other.flows));
        self.under_way += other.under_way;
        self.clear();
        self.at_cpus = 0;
    }

    /// The rows of `arrivals`, sorted by device, that are at its devices.
    pub(crate) fn rows(&self, arrivals: &[Arrival]) -> Range<usize> {
        let end = self.first + self.cpus.iter().len() as u32;
        let row = |device| arrivals.partition_point(|arrival| arrival.device < device);
        row(self.first)..row(end)
    }

    fn clear(&mut self) {
        self.ended.clear();
        self.since.clear();
    }

    fn serve_cpus(&mut self, around: &Surroundings<'_>) {
        let Self { first, tasks, cpus, ended, .. } = self;
        let &Surroundings { system, slot, .. } = around;
        let parameters = system.parameters();
        let devices = &parameters.devices[*first as usize..];
        cpus.visit(|index, fifo| {
            let owner = Owner { index: *first + index as u32, device: &devices[index] };
            let drop_late = |task: &Task| ended.push(late(system, owner, task, slot));
            if fifo.take_head(tasks, slot, drop_late) {
                let density = fifo.oldest.density;
                fifo.mbit_per_slot = owner.device.cpu_ghz * parameters.slot_seconds / density;
            }
            if fifo.is_empty() {
                return;
            }
            let density = fifo.oldest.density;
            fifo.energy += published_local(fifo.remaining_mbit, fifo.mbit_per_slot, density);
            fifo.remaining_mbit -= fifo.mbit_per_slot;
            if fifo.remaining_mbit <= 0.0 || fifo.is_last_slot(slot) {
                let task = &fifo.oldest;
                let physical = local_energy(owner, task, fifo.remaining_mbit);
                let published = Energy { local: fifo.energy, ..Energy::default() };
                let delay = slot - task.arrival_slot + 1;
                let outcome = outcome(fifo.remaining_mbit);
                ended.push(end(owner, task, outcome, delay, published, physical));
                fifo.pop(tasks);
            }
        });
        self.at_cpus = self.ended.len();
    }

    fn serve_flows(
        &mut self,
        around: &Surroundings<'_>,
        capacities: Option<&[f64]>,
        mut published: Option<&mut Published>,
    ) {
        let Self { first, tasks, flows, ended, since, .. } = self;
        let &Surroundings { system, slot, active } = around;
        let parameters = system.parameters();
        let devices = &parameters.devices[*first as usize..];
        flows.visit(|flow| {
            let Flow { fifo, idle_energy, device: index, server, since: active_since, .. } = flow;
            let owner = Owner { index: *first + *index, device: &devices[*index as usize] };
            let server = *server as usize;
            let sharing = f64::from(active[server]);
            let capacity = capacities.map_or(1.0, |shares| shares[server]);
            let server_parameters = &parameters.servers[server];
            let drop_late = |task: &Task| {
                since.push(*active_since);
                ended.push(late(system, owner, task, slot));
            };
            if fifo.take_head(tasks, slot, drop_late) {
                let density = fifo.oldest.density;
                fifo.mbit_per_slot = server_parameters.ghz * parameters.slot_seconds / density;
                *idle_energy = 0.0;
            }
            if fifo.is_empty() {
                return;
            }
            let mbit_per_slot = capacity * fifo.mbit_per_slot;
            let (served, idle) = published_server(
                fifo.remaining_mbit,
                mbit_per_slot,
                sharing,
                parameters.slot_seconds,
                server_parameters.power_w,
                owner.device.idle_w,
            );
            fifo.energy += served;
            *idle_energy += idle;
            let share = mbit_per_slot / sharing;
            let before = fifo.remaining_mbit;
            fifo.remaining_mbit -= share;
            if fifo.remaining_mbit <= 0.0 || fifo.is_last_slot(slot) {
                let task = &fifo.oldest;
                let last_slot = (before / share).min(1.0);
                let slots_at_server = f64::from(slot - task.sent_slot) + last_slot;
                let physical =
                    server_energy(system, owner, task, fifo.remaining_mbit, slots_at_server);
                let published_energy = offloaded(task, fifo.energy, *idle_energy);
                let outcome = outcome(fifo.remaining_mbit);
                if let (Outcome::Dropped, Some(published)) = (outcome, published.as_deref_mut()) {
                    published.lost(owner.index, server as u32, fifo.remaining_mbit);
                }
                let delay = slot - task.arrival_slot + 1;
                since.push(*active_since);
                ended.push(end(owner, task, outcome, delay, published_energy, physical));
                fifo.pop(tasks);
            }
        });
        if let Some(published) = published {
            published.servers(system, active);
        }
    }

    /// One slot of all uplinks; with `CHANGES` there is a scene, rates hold for this slot alone, and
    /// what has been sent may continue on the backhaul.
    fn serve_uplinks<const CHANGES: bool>(
        &mut self,
        around: &Surroundings<'_>,
        mut scene: Option<&mut Scene>,
        mut published: Option<&mut Published>,
    ) {
        let Self { first, tasks, uplinks, flows, ended, .. } = self;
        let &Surroundings { system, slot, .. } = around;
        let parameters = system.parameters();
        let devices = &parameters.devices[*first as usize..];
        if let Some(scene) = scene.as_deref_mut() {
            for (device, task) in scene.transit.due(slot) {
                flows.join(tasks, (device - *first) as usize, task, slot);
            }
            if scene.shares_bands() {
                let next = |(device, fifo): (u32, &Fifo)| {
                    fifo.next_to_serve(tasks, slot).map(|task| (device, task.action - 1))
                };
                scene.count_senders(system, (0..).zip(uplinks.iter()).filter_map(next));
            }
        }
        uplinks.visit(|index, fifo| {
            let owner = Owner { index: *first + index as u32, device: &devices[index] };
            let drop_late = |task: &Task| ended.push(late(system, owner, task, slot));
            if fifo.take_head(tasks, slot, drop_late) && !CHANGES {
                let rate = system.constant_mbps(owner.index, fifo.oldest.action - 1);
                fifo.mbit_per_slot = rate * parameters.slot_seconds;
            }
            if fifo.is_empty() {
                return;
            }
            if let Some(scene) = scene.as_deref().filter(|_| CHANGES) {
                let task = &mut fifo.oldest;
                // The devices that share the band have just been counted.
                let rate = scene.expected_mbps(system, owner.index, task.action - 1);
                fifo.mbit_per_slot = rate * parameters.slot_seconds;
                if fifo.mbit_per_slot > 0.0 {
                    let share = (fifo.remaining_mbit / fifo.mbit_per_slot).min(1.0);
                    task.sent_seconds += share * parameters.slot_seconds;
                }
            }
            fifo.energy += fifo.mbit_per_slot * owner.device.transmit_w;
            fifo.remaining_mbit -= fifo.mbit_per_slot;
            if fifo.remaining_mbit <= 0.0 {
                let mut task = fifo.oldest;
                fifo.pop(tasks);
                (task.sent_slot, task.service_slot) = (slot + 1, NONE);
                task.published_transmit = fifo.energy;
                let (server, size) = (task.action - 1, task.size_mbit);
                if let Some(published) = published.as_deref_mut() {
                    published.reached_server(owner.index, server, size);
                }
                if let Some(scene) = scene.as_deref_mut().filter(|_| CHANGES) {
                    let slots = scene.wired_slots(system, owner.index, server, size);
                    if slots > 0 {
                        scene.transit.push(slot.saturating_add(slots), owner.index, task);
                        return;
                    }
                }
                flows.join(tasks, index, task, slot);
            } else if fifo.is_last_slot(slot) {
                let task = &fifo.oldest;
                let physical = uplink_energy(system, owner, task, fifo.remaining_mbit);
                let published = Energy { transmit: fifo.energy, ..Energy::default() };
                let delay = task.deadline_slots;
                ended.push(end(owner, task, Outcome::Dropped, delay, published, physical));
                fifo.pop(tasks);
            }
        });
    }

    /// Step 5: after the last slot, what is still open is dropped, except on the backhaul.
    pub(crate) fn drop_open(&mut self, system: &System) {
        self.clear();
        let Self { first, tasks, cpus, uplinks, flows, ended, at_cpus, since, .. } = self;
        let devices = &system.parameters().devices[*first as usize..];
        let slots = system.slot_count();
        let owner = |index| Owner { index: *first + index as u32, device: &devices[index] };
        cpus.visit(|index, fifo| {
            let owner = owner(index);
            fifo.drain(tasks, |task, remaining_mbit, energy, _| {
                let published = Energy { local: energy, ..Energy::default() };
                let physical = local_energy(owner, task, remaining_mbit);
                ended.push(dropped(owner, task, published, physical));
            });
        });
        *at_cpus = ended.len();
        flows.visit(|Flow { fifo, idle_energy, device, since: active_since, .. }| {
            let owner = owner(*device as usize);
            fifo.drain(tasks, |task, remaining_mbit, energy, in_service| {
                // Only the first, if it is in service, has cost its server anything.
                let idle = if in_service { *idle_energy } else { 0.0 };
                let waited = waited_at_server(task, slots);
                let physical = server_energy(system, owner, task, remaining_mbit, waited);
                since.push(*active_since);
                ended.push(dropped(owner, task, offloaded(task, energy, idle), physical));
            });
        });
        uplinks.visit(|index, fifo| {
            let owner = owner(index);
            fifo.drain(tasks, |task, remaining_mbit, energy, _| {
                let published = Energy { transmit: energy, ..Energy::default() };
                let physical = uplink_energy(system, owner, task, remaining_mbit);
                ended.push(dropped(owner, task, published, physical));
            });
        });
        self.under_way -= self.ended.len();
    }
}

/// Since when the seconds are counted for which tasks are sent. They are where rates may change;
/// where they stay the same, the size says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timed {
    Before,
    FromNowOn,
}

/// The device that a task arrived at.
#[derive(Clone, Copy)]
struct Owner<'s> {
    /// 0 … N − 1.
    index: u32,
    device: &'s Device,
}

fn outcome(remaining_mbit: f64) -> Outcome {
    if remaining_mbit <= 0.0 { Outcome::Done } else { Outcome::Dropped }
}

/// A task that the end of the episode found under way.
fn dropped(owner: Owner<'_>, task: &Task, published: Energy, physical: Energy) -> EndedTask {
    end(owner, task, Outcome::Dropped, task.deadline_slots, published, physical)
}

/// A task of a device on the backhaul that the end of the episode found there.
pub(crate) fn dropped_on_backhaul(system: &System, index: u32, task: &Task) -> EndedTask {
    let owner = Owner { index, device: &system.parameters().devices[index as usize] };
    let waited = waited_at_server(task, system.slot_count());
    let physical = server_energy(system, owner, task, task.size_mbit, waited);
    dropped(owner, task, offloaded(task, 0.0, 0.0), physical)
}

/// A task popped after its deadline: it did no work where it waited, but may have been sent.
fn late(system: &System, owner: Owner<'_>, task: &Task, slot: u32) -> EndedTask {
    let physical = if task.sent_slot > 0 {
        let waited = waited_at_server(task, slot);
        server_energy(system, owner, task, task.size_mbit, waited)
    } else {
        Energy::default()
    };
    dropped(owner, task, offloaded(task, 0.0, 0.0), physical)
}

/// Slots a task spent on the backhaul and at its server before `slot`; its device waits no longer
/// than its deadline.
fn waited_at_server(task: &Task, slot: u32) -> f64 {
    let until = slot.min(task.arrival_slot + task.deadline_slots);
    f64::from(until.saturating_sub(task.sent_slot))
}

/// Published energy of a task that has been sent, or never entered service.
fn offloaded(task: &Task, server: f64, idle: f64) -> Energy {
    Energy { local: 0.0, transmit: task.published_transmit, server, idle }
}

fn end(
    owner: Owner<'_>,
    task: &Task,
    outcome: Outcome,
    delay_slots: u32,
    published: Energy,
    physical: Energy,
) -> EndedTask {
    EndedTask {
        device: owner.index,
        arrival_slot: task.arrival_slot,
        action: task.action,
        outcome,
        delay_slots,
        deadline_slots: task.deadline_slots,
        class: task.class,
        sent_slot: (task.sent_slot > 0).then(|| task.sent_slot - 1),
        service_slot: (task.service_slot != NONE).then_some(task.service_slot),
        size_mbit: task.size_mbit,
        density: task.density,
        alpha: task.alpha,
        energy: Energies { published, physical },
    }
}

/// Mbit done of a task. `remaining_mbit` is below 0 once its last slot had room to spare.
fn work_done(task: &Task, remaining_mbit: f64) -> f64 {
    task.size_mbit - remaining_mbit.max(0.0)
}

/// Eq. (4) for the part that was computed: p^C · λρ/f^L.
fn local_energy(owner: Owner<'_>, task: &Task, remaining_mbit: f64) -> Energy {
    let seconds = work_done(task, remaining_mbit) * task.density / owner.device.cpu_ghz;
    Energy { local: owner.device.compute_w * seconds, ..Energy::default() }
}

/// Eq. (2) for the part that was sent: p^T · λ/R, and 0 if nothing was, as at rate 0.
fn uplink_energy(system: &System, owner: Owner<'_>, task: &Task, remaining_mbit: f64) -> Energy {
    let sent = work_done(task, remaining_mbit);
    if sent == 0.0 {
        return Energy::default();
    }
    // In an episode that has changed, sending is timed in a system in which nothing changes, too.
    let transmit = if system.changes() || task.sent_seconds > 0.0 {
        owner.device.transmit_w * task.sent_seconds
    } else {
        owner.device.transmit_w * sent / system.constant_mbps(owner.index, task.action - 1)
    };
    Energy { transmit, ..Energy::default() }
}

/// Eqs. (2) and (6), and p^E for the task's share of the server's time: λρ/f^E, whatever K was.
fn server_energy(
    system: &System,
    owner: Owner<'_>,
    task: &Task,
    remaining_mbit: f64,
    slots_at_server: f64,
) -> Energy {
    let parameters = system.parameters();
    let server = &parameters.servers[task.action as usize - 1];
    let served_seconds = work_done(task, remaining_mbit) * task.density / server.ghz;
    Energy {
        server: server.power_w * served_seconds,
        idle: owner.device.idle_w * slots_at_server * parameters.slot_seconds,
        ..uplink_energy(system, owner, task, 0.0)
    }
}
