//! A bound that no plan exceeds: a linear programme in which servers are one, and may divide their
//! capacity as they like.
//!
//! A task is dropped, or computed by its device from some slot on, or sent from some slot on, and then
//! computed by the servers until some slot. Each of these has its reward, if it takes no more slots and
//! energy than it must. What couples them:
//!
//! - a CPU and an uplink serve one task per slot, from the slot it begins in for as long as it must take;
//! - what the servers have done of a task by the end of a slot is at most what had been sent before it;
//! - of a task a slot does at most what the fastest server can do;
//! - the work of a slot is at most what all servers together can do.
//!
//! Every plan fulfils this, whatever its order: servers that share their capacity equally, that waste
//! what is left of a slot, FIFO order, and shares of tasks are what the programme leaves out. So its
//! maximum is at least the reward of the best plan.

use good_lp::{
    Expression, IntoAffineExpression, ProblemVariables, Solution, SolverModel, Variable, clarabel,
    constraint, variable,
};
use offramp_model::EnergyAccounting;

use crate::instance::{Instance, NONE, Task};

/// How far, relative to the sum of all R_base, a maximum may be below the true one: a hundred times the
/// solver's tolerance.
const TOLERANCE: f64 = 1e-6;

/// The maximum, or `None` if the solver does not find it.
pub(crate) fn bound(instance: &Instance) -> Option<f64> {
    let mut variables = ProblemVariables::new();
    let slots = instance.slots() as usize;
    let devices = instance.system.device_count() as usize;
    let mut busy = Busy {
        cpus: vec![Expression::default(); slots * devices],
        uplinks: vec![Expression::default(); slots * devices],
        servers: vec![Expression::default(); slots],
    };
    let mut reward = Expression::default();
    let mut constraints = Vec::new();
    for task in &instance.tasks {
        let mut share = || variables.add(variable().min(0.0));
        let device = task.device as usize;
        let dropped = share();
        reward += value(task, false, task.deadline_slots, 0.0) * dropped;
        let mut whole = Expression::from(dropped);
        let served = computed(instance, task);
        for start in task.slot..=task.last_slot() {
            let end = start + served.slots;
            if end > task.last_slot() + 1 {
                break;
            }
            let begun = share();
            reward += value(task, true, end - task.slot, served.energy) * begun;
            whole += begun;
            for slot in start..end {
                busy.cpus[slot as usize * devices + device] += begun;
            }
        }
        // By the slot after the upload: what has been sent, and what has ended.
        let mut sent: Vec<(u32, Variable)> = Vec::new();
        for start in task.slot..=task.last_slot() {
            let Some(upload) = sent_from(instance, task, start) else { continue };
            let begun = share();
            reward -= 2.0 * (1.0 - task.alpha) * upload.energy * begun;
            whole += begun;
            sent.push((upload.arrives, begun));
            for slot in start..start + upload.slots {
                busy.uplinks[slot as usize * devices + device] += begun;
            }
        }
        constraints.push(constraint!(whole == 1.0));
        let Some(first) = sent.iter().map(|(arrives, _)| *arrives).min() else { continue };
        let gigacycles = task.size_mbit * task.density;
        let (mut all_sent, mut all_worked, mut all_ended) =
            (Expression::default(), Expression::default(), Expression::default());
        for slot in first..=task.last_slot() {
            for (_, begun) in sent.iter().filter(|(arrives, _)| *arrives == slot) {
                all_sent += *begun;
            }
            let (worked, ended) = (share(), share());
            reward += value(task, true, slot - task.slot + 1, 0.0) * ended;
            busy.servers[slot as usize] += gigacycles * worked;
            all_worked += worked;
            all_ended += ended;
            let most = fastest(instance, slot) / gigacycles;
            if most < 1.0 {
                constraints.push(constraint!(worked <= most * all_sent.clone()));
            }
            constraints.push(constraint!(all_worked.clone() <= all_sent.clone()));
            constraints.push(constraint!(all_ended.clone() <= all_worked.clone()));
        }
        // What is sent and does not end is dropped.
        let late = value(task, false, task.deadline_slots, 0.0);
        reward += late * (all_sent - all_ended);
    }
    let couples = |used: &Expression| used.linear_coefficients().count() > 1;
    for used in busy.cpus.into_iter().chain(busy.uplinks).filter(couples) {
        constraints.push(constraint!(used <= 1.0));
    }
    for (slot, used) in (0..).zip(busy.servers) {
        constraints.push(constraint!(used <= gigacycles_per_slot(instance, slot)));
    }
    let mut model = variables.maximise(reward.clone()).using(clarabel);
    for constraint in constraints {
        model.add_constraint(constraint);
    }
    let found = model.solve().ok()?.eval(&reward);
    let all: f64 = instance.tasks.iter().map(|task| task.base).sum();
    Some(found + TOLERANCE * all)
}

/// What is busy in each slot, with which shares.
struct Busy {
    /// Slots × N.
    cpus: Vec<Expression>,
    uplinks: Vec<Expression>,
    /// Gigacycles of all servers.
    servers: Vec<Expression>,
}

fn value(task: &Task, done: bool, delay_slots: u32, energy: f64) -> f64 {
    Instance::value(task, done, delay_slots, energy)
}

/// The least that serving a task takes.
struct Least {
    slots: u32,
    energy: f64,
    /// The first slot in which a server may work on it.
    arrives: u32,
}

/// The device's CPU, if it is free: alike from any slot on.
fn computed(instance: &Instance, task: &Task) -> Least {
    let service = instance.compute(task, task.slot);
    let slots = if service.done { service.delay_slots } else { NONE / 2 };
    Least { slots, energy: service.energy, arrives: 0 }
}

/// The uplink from slot `start` on, if it is free, with a whole band, to the server that is best for each
/// quantity; `None` if no server gets it before its deadline.
fn sent_from(instance: &Instance, task: &Task, start: u32) -> Option<Least> {
    let uploads = (0..instance.servers()).map(|server| instance.upload(task, server, start));
    let mut least: Option<Least> = None;
    for service in uploads.filter(|service| service.joins < task.last_slot()) {
        let least =
            least.get_or_insert(Least { slots: NONE, energy: f64::INFINITY, arrives: NONE });
        least.slots = least.slots.min(service.sent - start);
        least.energy = least.energy.min(service.energy);
        least.arrives = least.arrives.min(service.joins + 1);
    }
    let mut least = least?;
    if instance.shares_bands() && instance.system.energy() == EnergyAccounting::Published {
        // A slower upload may take less of its last slot: at least its size is counted.
        least.energy = least.energy.min(instance.published_upload(task));
    }
    Some(least)
}

/// Gigacycles that the fastest server does in a slot.
fn fastest(instance: &Instance, slot: u32) -> f64 {
    let parameters = instance.system.parameters();
    let servers = (0..).zip(&parameters.servers);
    let of = servers.map(|(server, one)| one.ghz * instance.capacity(slot, server));
    of.fold(0.0, f64::max) * parameters.slot_seconds
}

fn gigacycles_per_slot(instance: &Instance, slot: u32) -> f64 {
    let parameters = instance.system.parameters();
    let servers = (0..).zip(&parameters.servers);
    let of = servers.map(|(server, one)| one.ghz * instance.capacity(slot, server));
    of.sum::<f64>() * parameters.slot_seconds
}
