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
//!
//! A solver's maximum is one up to its tolerance, and that says little where the coefficients are of very
//! different sizes. The bound is therefore taken from the prices y of the constraints that the solver finds:
//! since no variable is above 1, for any y (not negative where Ax ≤ b)
//!
//! max c·x ≤ y·b + Σ max(0, c − yA).
//!
//! Bad prices make a loose bound, never a wrong one.

use std::collections::HashMap;

use good_lp::{
    Constraint, DualValues, Expression, IntoAffineExpression, ProblemVariables, SolutionWithDual,
    SolverModel, Variable, clarabel, constraint, variable,
};
use offramp_model::EnergyAccounting;

use crate::instance::{Instance, NONE, Task};

/// Allowance for rounding in the bound, relative to the sum of all R_base.
const ROUNDING: f64 = 1e-9;

/// A number that the maximum does not exceed, or `None` if the solver finds nothing.
pub(crate) fn bound(instance: &Instance) -> Option<f64> {
    if instance.tasks.is_empty() {
        return Some(0.0);
    }
    let mut variables = ProblemVariables::new();
    let slots = instance.slots() as usize;
    let devices = instance.system.device_count() as usize;
    let mut busy = Busy {
        cpus: vec![Expression::default(); slots * devices],
        uplinks: vec![Expression::default(); slots * devices],
        servers: vec![Expression::default(); slots],
    };
    let mut reward = Expression::default();
    let mut constraints: Vec<Constraint> = Vec::new();
    let mut shares = Vec::new();
    for task in &instance.tasks {
        let mut share = || {
            let share = variables.add(variable().min(0.0));
            shares.push(share);
            share
        };
        let device = task.device as usize;
        let dropped = share();
        let late = value(task, false, task.deadline_slots, 0.0);
        reward += late * dropped;
        let mut whole = Expression::from(dropped);
        let served = computed(instance, task);
        for start in task.slot..=task.last_slot() {
            let end = start + served.slots;
            if end > task.last_slot() + 1 {
                break;
            }
            let gain = value(task, true, end - task.slot, served.energy);
            // To drop it is better and keeps nobody waiting; the later, the less it gains.
            if gain <= late {
                break;
            }
            let begun = share();
            reward += gain * begun;
            whole += begun;
            for slot in start..end {
                busy.cpus[slot as usize * devices + device] += begun;
            }
        }
        // By the slot after the upload: what has been sent, and what has ended.
        let mut sent: Vec<(u32, Variable)> = Vec::new();
        for start in task.slot..=task.last_slot() {
            let Some(upload) = sent_from(instance, task, start) else { continue };
            // Likewise, even if a server does all of it at once.
            let delay_slots = upload.arrives + 1 - task.slot;
            if value(task, true, delay_slots, upload.energy) <= late {
                continue;
            }
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
        reward += late * (all_sent - all_ended);
    }
    let couples = |used: &Expression| used.linear_coefficients().count() > 1;
    for used in busy.cpus.into_iter().chain(busy.uplinks).filter(couples) {
        constraints.push(constraint!(used <= 1.0));
    }
    for (slot, used) in (0..).zip(busy.servers) {
        let capacity = gigacycles_per_slot(instance, slot);
        let work = (&used).linear_coefficients().map(|(_, gigacycles)| gigacycles);
        let (all, largest) =
            work.fold((0.0, 0.0), |(sum, most), one| (sum + one, f64::max(most, one)));
        // Where there is room for all of them, nothing is coupled. Else it is counted in the largest of them:
        // tasks may take a millionth of a slot, or a million slots.
        if all > capacity {
            constraints.push(constraint!(used / largest <= capacity / largest));
        }
    }
    let all: f64 = instance.tasks.iter().map(|task| task.base).sum();
    let mean_base = all / instance.tasks.len() as f64;
    let mut model = variables.maximise(reward.clone() / mean_base).using(clarabel);
    let rows: Vec<_> = constraints.iter().map(|row| model.add_constraint(row.clone())).collect();
    let mut solution = model.solve().ok()?;
    let prices = solution.compute_dual();
    let prices = rows.into_iter().map(|row| mean_base * prices.dual(row));
    let found = dual_bound(&reward, &constraints, prices, &shares);
    found.is_finite().then_some(found + ROUNDING * all)
}

/// An upper bound on `reward` under `constraints`, each with its price, for shares from 0 to 1.
fn dual_bound(
    reward: &Expression,
    constraints: &[Constraint],
    prices: impl Iterator<Item = f64>,
    shares: &[Variable],
) -> f64 {
    let mut left: HashMap<Variable, f64> = reward.linear_coefficients().collect();
    let mut bound = 0.0;
    for (row, price) in constraints.iter().zip(prices) {
        let price = if row.is_equality() { price } else { price.max(0.0) };
        // A row is an expression that is at most 0, or 0.
        bound -= price * row.expression().constant();
        for (share, coefficient) in row.expression().linear_coefficients() {
            *left.entry(share).or_default() -= price * coefficient;
        }
    }
    // In the order of shares, so that the last bits are the same, too.
    bound + shares.iter().filter_map(|share| left.get(share)).map(|left| left.max(0.0)).sum::<f64>()
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
