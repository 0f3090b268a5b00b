//! One slot, in a fixed order: local CPUs, servers, uplinks, activity (difference 1 from the
//! paper, see the crate's front page). The order matters, and so does every `≤`.
//!
//! This is the hot loop. What makes it fast: the state of a FIFO is 40 bytes in a plain array
//! indexed by device, a task is touched only while it is in service, random access follows the
//! tasks under way, and nothing is allocated once the buffers have grown to their size.
//!
//! The order of the tasks that end is a promise of `Episode::ended`; after the last slot, what is
//! still open follows in the same order.

use crate::device::Device;
use crate::energy::{Energies, Energy, published_local, published_server};
use crate::published::Published;
use crate::queue::{Fifo, Flow, Flows, NONE, Task, Tasks};
use crate::scene::Scene;
use crate::system::System;
use crate::task::{Arrival, EndedTask, Outcome};

/// The state of an episode between two slots.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) tasks: Tasks,
    pub(crate) cpus: Vec<Fifo>,
    pub(crate) uplinks: Vec<Fifo>,
    pub(crate) flows: Flows,
    /// m(t): for each server the devices active at it at the end of the last slot.
    pub(crate) active: Vec<u32>,
    /// The tasks that ended in the last slot.
    pub(crate) ended: Vec<EndedTask>,
    /// The public code's own bookkeeping, if the observation is the published one.
    pub(crate) published: Option<Published>,
}

impl State {
    pub(crate) fn new(devices: usize, servers: usize, published: Option<Published>) -> Self {
        Self {
            tasks: Tasks::default(),
            cpus: vec![Fifo::default(); devices],
            uplinks: vec![Fifo::default(); devices],
            flows: Flows::new(devices, servers),
            active: vec![0; servers],
            ended: Vec::new(),
            published,
        }
    }
}

/// Advances `state` by slot `slot`, in which `arrivals` arrived and were decided as `actions`
/// (as many, each 0 … M). `scene` is that of the slot; without one nothing changes during the episode.
pub(crate) fn advance(
    system: &System,
    scene: Option<&mut Scene>,
    state: &mut State,
    slot: u32,
    arrivals: &[Arrival],
    actions: &[u32],
) {
    state.ended.clear();
    if let Some(published) = &mut state.published {
        published.arrivals(system, slot, arrivals, actions);
    }
    for (arrival, &action) in arrivals.iter().zip(actions) {
        let task = state.tasks.insert(Task {
            size_mbit: arrival.size_mbit,
            density: arrival.density,
            alpha: arrival.alpha,
            published_transmit: 0.0,
            sent_seconds: 0.0,
            device: arrival.device,
            arrival_slot: slot,
            deadline_slots: arrival.deadline_slots,
            class: arrival.class,
            action,
            sent_slot: 0,
            service_slot: NONE,
            next: 0,
        });
        let fifos = if action == 0 { &mut state.cpus } else { &mut state.uplinks };
        fifos[arrival.device as usize].push(&mut state.tasks, task);
    }
    cpus(system, state, slot);
    servers(system, scene.as_deref().and_then(Scene::capacities), state, slot);
    match scene {
        None => uplinks::<false>(system, None, state, slot),
        Some(scene) => uplinks::<true>(system, Some(scene), state, slot),
    }
    for (server, active) in state.active.iter_mut().enumerate() {
        *active = state.flows.active(server as u32);
    }
}

fn cpus(system: &System, state: &mut State, slot: u32) {
    let State { tasks, cpus, ended, .. } = state;
    let parameters = system.parameters();
    for (fifo, device) in cpus.iter_mut().zip(&parameters.devices) {
        if fifo.is_empty() {
            continue;
        }
        let drop_late = |task: Task| ended.push(late(system, device, &task, slot));
        if fifo.take_head(tasks, slot, drop_late) {
            let density = tasks[fifo.in_service].density;
            fifo.mbit_per_slot = device.cpu_ghz * parameters.slot_seconds / density;
        }
        if fifo.is_empty() {
            continue;
        }
        let density = || tasks[fifo.in_service].density;
        fifo.energy += published_local(fifo.remaining_mbit, fifo.mbit_per_slot, density);
        fifo.remaining_mbit -= fifo.mbit_per_slot;
        if fifo.remaining_mbit <= 0.0 || slot == fifo.last_slot {
            let task = fifo.release(tasks);
            let physical = local_energy(device, &task, fifo.remaining_mbit);
            let published = Energy { local: fifo.energy, ..Energy::default() };
            let delay = slot - task.arrival_slot + 1;
            ended.push(end(&task, outcome(fifo.remaining_mbit), delay, published, physical));
        }
    }
}

fn servers(system: &System, capacities: Option<&[f64]>, state: &mut State, slot: u32) {
    let State { tasks, flows, ended, published, active, .. } = state;
    let parameters = system.parameters();
    for (index, server) in parameters.servers.iter().enumerate() {
        let sharing = f64::from(active[index]);
        let capacity = capacities.map_or(1.0, |shares| shares[index]);
        flows.visit(index as u32, |Flow { fifo, idle_energy, device: device_index, .. }| {
            let device = &parameters.devices[*device_index as usize];
            let drop_late = |task: Task| ended.push(late(system, device, &task, slot));
            if fifo.take_head(tasks, slot, drop_late) {
                let density = tasks[fifo.in_service].density;
                fifo.mbit_per_slot = server.ghz * parameters.slot_seconds / density;
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
                server.power_w,
                || device.idle_w,
            );
            fifo.energy += served;
            *idle_energy += idle;
            let share = mbit_per_slot / sharing;
            let before = fifo.remaining_mbit;
            fifo.remaining_mbit -= share;
            if fifo.remaining_mbit <= 0.0 || slot == fifo.last_slot {
                let task = fifo.release(tasks);
                let last_slot = (before / share).min(1.0);
                let slots_at_server = f64::from(slot - task.sent_slot) + last_slot;
                let physical =
                    server_energy(system, device, &task, fifo.remaining_mbit, slots_at_server);
                let published_energy = offloaded(&task, fifo.energy, *idle_energy);
                let outcome = outcome(fifo.remaining_mbit);
                if let (Outcome::Dropped, Some(published)) = (outcome, published.as_mut()) {
                    published.lost(*device_index, index as u32, fifo.remaining_mbit);
                }
                let delay = slot - task.arrival_slot + 1;
                ended.push(end(&task, outcome, delay, published_energy, physical));
            }
        });
    }
    if let Some(published) = published {
        published.servers(system, active);
    }
}

/// One slot of all uplinks; with `CHANGES` there is a scene, rates hold for this slot alone, and what
/// has been sent may continue on the backhaul.
fn uplinks<const CHANGES: bool>(
    system: &System,
    mut scene: Option<&mut Scene>,
    state: &mut State,
    slot: u32,
) {
    let State { tasks, uplinks, flows, ended, published, .. } = state;
    let parameters = system.parameters();
    if let Some(scene) = scene.as_deref_mut() {
        for place in scene.transit.due(slot) {
            let server = tasks[place].action - 1;
            flows.join(tasks, place, server);
        }
        if scene.shares_bands() {
            let next = |(device, fifo): (u32, &Fifo)| {
                fifo.next_to_serve(tasks, slot).map(|task| (device, task.action - 1))
            };
            scene.count_senders(system, (0..).zip(uplinks.iter()).filter_map(next));
        }
    }
    for (fifo, device) in uplinks.iter_mut().zip(&parameters.devices) {
        if fifo.is_empty() {
            continue;
        }
        let drop_late = |task: Task| ended.push(late(system, device, &task, slot));
        if fifo.take_head(tasks, slot, drop_late) && !CHANGES {
            let task = &tasks[fifo.in_service];
            let rate = system.constant_mbps(task.device, task.action - 1);
            fifo.mbit_per_slot = rate * parameters.slot_seconds;
        }
        if fifo.is_empty() {
            continue;
        }
        if let Some(scene) = scene.as_deref().filter(|_| CHANGES) {
            let task = &mut tasks[fifo.in_service];
            // The devices that share the band have just been counted.
            let rate = scene.expected_mbps(system, task.device, task.action - 1);
            fifo.mbit_per_slot = rate * parameters.slot_seconds;
            if fifo.mbit_per_slot > 0.0 {
                let share = (fifo.remaining_mbit / fifo.mbit_per_slot).min(1.0);
                task.sent_seconds += share * parameters.slot_seconds;
            }
        }
        fifo.energy += fifo.mbit_per_slot * device.transmit_w;
        fifo.remaining_mbit -= fifo.mbit_per_slot;
        if fifo.remaining_mbit <= 0.0 {
            let place = std::mem::replace(&mut fifo.in_service, NONE);
            let task = &mut tasks[place];
            (task.sent_slot, task.service_slot) = (slot + 1, NONE);
            task.published_transmit = fifo.energy;
            let (server, size) = (task.action - 1, task.size_mbit);
            if let Some(published) = published {
                published.reached_server(task.device, server, size);
            }
            if let Some(scene) = scene.as_deref_mut().filter(|_| CHANGES) {
                let slots = scene.wired_slots(system, task.device, server, size);
                if slots > 0 {
                    scene.transit.push(slot.saturating_add(slots), place);
                    continue;
                }
            }
            flows.join(tasks, place, server);
        } else if slot == fifo.last_slot {
            let task = fifo.release(tasks);
            let physical = uplink_energy(system, device, &task, fifo.remaining_mbit);
            let published = Energy { transmit: fifo.energy, ..Energy::default() };
            ended.push(end(&task, Outcome::Dropped, task.deadline_slots, published, physical));
        }
    }
}

/// Step 5: after the last slot, what is still open is dropped.
pub(crate) fn drop_open(system: &System, scene: Option<&mut Scene>, state: &mut State) {
    let State { tasks, cpus, uplinks, flows, ended, .. } = state;
    let parameters = system.parameters();
    let slots = system.slot_count();
    let dropped = |task: &Task, published, physical| {
        end(task, Outcome::Dropped, task.deadline_slots, published, physical)
    };
    for (fifo, device) in cpus.iter_mut().zip(&parameters.devices) {
        fifo.drain(tasks, |task, remaining_mbit, energy| {
            let published = Energy { local: energy, ..Energy::default() };
            ended.push(dropped(&task, published, local_energy(device, &task, remaining_mbit)));
        });
    }
    for server in 0..parameters.servers.len() {
        flows.visit(server as u32, |Flow { fifo, idle_energy, device, .. }| {
            let device = &parameters.devices[*device as usize];
            let in_service = fifo.in_service != NONE;
            // Only the first, if it is in service, has cost its server anything.
            let mut idle = if in_service { *idle_energy } else { 0.0 };
            fifo.drain(tasks, |task, remaining_mbit, energy| {
                let published = offloaded(&task, energy, std::mem::take(&mut idle));
                let waited = waited_at_server(&task, slots);
                let physical = server_energy(system, device, &task, remaining_mbit, waited);
                ended.push(dropped(&task, published, physical));
            });
        });
    }
    for (fifo, device) in uplinks.iter_mut().zip(&parameters.devices) {
        fifo.drain(tasks, |task, remaining_mbit, energy| {
            let published = Energy { transmit: energy, ..Energy::default() };
            ended.push(dropped(
                &task,
                published,
                uplink_energy(system, device, &task, remaining_mbit),
            ));
        });
    }
    for place in scene.into_iter().flat_map(|scene| scene.transit.drain()) {
        let task = tasks.remove(place);
        let device = &parameters.devices[task.device as usize];
        let waited = waited_at_server(&task, slots);
        let physical = server_energy(system, device, &task, task.size_mbit, waited);
        ended.push(dropped(&task, offloaded(&task, 0.0, 0.0), physical));
    }
}

fn outcome(remaining_mbit: f64) -> Outcome {
    if remaining_mbit <= 0.0 { Outcome::Done } else { Outcome::Dropped }
}

/// A task popped after its deadline: it did no work where it waited, but may have been sent.
fn late(system: &System, device: &Device, task: &Task, slot: u32) -> EndedTask {
    let published = offloaded(task, 0.0, 0.0);
    let physical = if task.sent_slot > 0 {
        let waited = waited_at_server(task, slot);
        server_energy(system, device, task, task.size_mbit, waited)
    } else {
        Energy::default()
    };
    end(task, Outcome::Dropped, task.deadline_slots, published, physical)
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
    task: &Task,
    outcome: Outcome,
    delay_slots: u32,
    published: Energy,
    physical: Energy,
) -> EndedTask {
    EndedTask {
        device: task.device,
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
fn local_energy(device: &Device, task: &Task, remaining_mbit: f64) -> Energy {
    let seconds = work_done(task, remaining_mbit) * task.density / device.cpu_ghz;
    Energy { local: device.compute_w * seconds, ..Energy::default() }
}

/// Eq. (2) for the part that was sent: p^T · λ/R, and 0 if nothing was, as at rate 0.
fn uplink_energy(system: &System, device: &Device, task: &Task, remaining_mbit: f64) -> Energy {
    let sent = work_done(task, remaining_mbit);
    if sent == 0.0 {
        return Energy::default();
    }
    let transmit = if system.changes() {
        device.transmit_w * task.sent_seconds
    } else {
        device.transmit_w * sent / system.constant_mbps(task.device, task.action - 1)
    };
    Energy { transmit, ..Energy::default() }
}

/// Eqs. (2) and (6), and p^E for the task's share of the server's time: λρ/f^E, whatever K was.
fn server_energy(
    system: &System,
    device: &Device,
    task: &Task,
    remaining_mbit: f64,
    slots_at_server: f64,
) -> Energy {
    let parameters = system.parameters();
    let server = &parameters.servers[task.action as usize - 1];
    let served_seconds = work_done(task, remaining_mbit) * task.density / server.ghz;
    Energy {
        server: server.power_w * served_seconds,
        idle: device.idle_w * slots_at_server * parameters.slot_seconds,
        ..uplink_energy(system, device, task, 0.0)
    }
}
