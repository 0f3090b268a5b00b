//! The search for good plans: from a start, single tasks and pairs are decided otherwise.

use offramp_model::rng::Stream;

use crate::instance::{ABSENT, Instance};
use crate::schedule::{Change, Schedule};

/// A gain below this is rounding.
const LEAST_GAIN: f64 = 1e-7;

/// Decides the tasks of each slot in turn as if nothing more arrived: the best response of all to
/// each other, the true state of everything known.
pub(crate) fn central(plan: &mut Schedule<'_>, instance: &Instance) {
    for slot in 0..instance.slots() {
        let tasks = instance.of_slot(slot);
        // The first pass inserts them one by one, each where it is best after those before it.
        while tasks.clone().fold(false, |moved, task| improve(plan, instance, task) | moved) {}
    }
}

/// Decides a task as is best, all others staying; true if that is another action.
fn improve(plan: &mut Schedule<'_>, instance: &Instance, task: u32) -> bool {
    let now = plan.action(task);
    let mut best = None;
    let mut least = if now == ABSENT { f64::NEG_INFINITY } else { LEAST_GAIN };
    for action in (0..=instance.servers()).filter(|&action| action != now) {
        let gain = plan.try_out(&[Change { task, action }]);
        if gain > least {
            (least, best) = (gain, Some(action));
        }
    }
    let Some(action) = best else { return false };
    let gain = plan.try_out(&[Change { task, action }]);
    plan.accept(gain);
    true
}

/// Passes over all tasks until one improves nothing.
pub(crate) fn descend(plan: &mut Schedule<'_>, instance: &Instance) {
    let tasks = 0..instance.tasks.len() as u32;
    while tasks.clone().fold(false, |moved, task| improve(plan, instance, task) | moved) {}
}

/// How a search by annealing goes about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Annealing {
    pub(crate) trials: u64,
    /// The temperature at its beginning and at its end.
    pub(crate) hot: f64,
    pub(crate) cold: f64,
    /// The share of moves that swap two tasks.
    pub(crate) swaps: f64,
}

impl Annealing {
    /// So many trials of a plan with `reward`. The more of the tasks' R_base it lacks, the more of them it
    /// drops, and the hotter the search begins: R_base itself is at stake where much is dropped, and little
    /// where nothing is.
    ///
    /// Chosen on episodes of seeds 7 and 8 of the paper's system, at loads 0.2, 0.3, 0.5 and 0.6.
    pub(crate) fn of(trials: u64, reward: f64, instance: &Instance) -> Self {
        let most: f64 = instance.tasks.iter().map(|task| task.base).sum();
        let lacks = (1.0 - reward / most).clamp(0.1, 1.0);
        Self { trials, hot: 200.0 * lacks * lacks, cold: 0.3, swaps: 0.2 }
    }
}

/// Tasks at most so far apart are swapped.
const NEAR: usize = 60;

/// Simulated annealing: random moves, a loss of x carried out with the probability e^(−x/T), T falling
/// geometrically.
pub(crate) fn anneal(
    plan: &mut Schedule<'_>,
    instance: &Instance,
    stream: &mut Stream,
    annealing: Annealing,
) {
    let Annealing { trials, hot, cold, swaps } = annealing;
    let tasks = instance.tasks.len();
    if tasks == 0 {
        return;
    }
    for trial in 0..trials {
        let temperature = hot * (cold / hot).powf(trial as f64 / trials as f64);
        let task = stream.below(tasks);
        let now = plan.action(task as u32);
        let bar = temperature * stream.uniform().max(f64::MIN_POSITIVE).ln();
        let change = |task: usize, action| Change { task: task as u32, action };
        let gain = if stream.uniform() < swaps {
            // One after it in time, whatever its device.
            let near = (task + 1 + stream.below(NEAR.min(tasks - 1).max(1))) % tasks;
            let other = plan.action(near as u32);
            if other == now {
                continue;
            }
            plan.try_out(&[change(task, other), change(near, now)])
        } else {
            let action = stream.below(instance.servers() as usize) as u32;
            plan.try_out(&[change(task, action + u32::from(action >= now))])
        };
        if gain > bar {
            plan.accept(gain);
        }
    }
}
