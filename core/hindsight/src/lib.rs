//! Plans of those who know more than a device does, and a bound: what was attainable in an episode.
//!
//! A policy decides with what one device can see. How good its decisions are is hard to tell from its
//! quality of experience alone: at light load anything does well, and under much load nothing can.
//! This crate finds plans for the tasks of an episode that bound the scale:
//!
//! | plan | knows | decides |
//! |---|---|---|
//! | [`Known::chance`] | nothing | each action equally likely |
//! | [`Known::central`] | the true state of all devices and servers | the tasks of a slot together, as if nothing more arrived |
//! | [`Known::hindsight`] | all tasks of the episode in advance | all of them together, by search |
//!
//! What [`Known::hindsight`] finds is a plan that can be carried out, so it is a lower bound on the best
//! one; no policy is far above it, and how far a policy is below it is what better decisions could
//! still gain. It is found by simulated annealing from the central plan (Kirkpatrick, Gelatt and Vecchi
//! 1983), then by improving single tasks until none can be. The result depends on its arguments alone, not
//! on time.
//!
//! ```
//! use offramp_hindsight::{Known, TRIALS_PER_TASK};
//! use offramp_model::rng::{Purpose, StreamFamily};
//! use offramp_model::{System, Workload};
//!
//! let system = std::sync::Arc::new(System::paper(5, 2));
//! let known = Known::new(&system, Workload::Drawn { seed: 1, episode: 0 });
//! let mut stream = StreamFamily::new(1, 0, Purpose::new(15)).of(0);
//! let [chance, central] = [known.chance(&mut stream), known.central()];
//! let hindsight = known.hindsight(TRIALS_PER_TASK, &mut stream);
//! assert!(chance.reward < central.reward && central.reward <= hindsight.reward);
//! assert_eq!(hindsight.actions.len(), known.tasks());
//! ```

mod bound;
mod instance;
mod schedule;
mod search;
mod uplinks;

use std::sync::Arc;

use offramp_model::rng::Stream;
use offramp_model::{System, Workload};
use rayon::prelude::*;

use crate::instance::Instance;
use crate::schedule::{Change, Schedule};
use crate::search::{Annealing, anneal, descend};

/// How many changes of a plan [`Known::hindsight`] tries out per task, by default.
///
/// Mean QoE of four episodes of the paper's system by load and trials per task
/// (`cargo run --release -p offramp-hindsight --example loads 8 4 100 0.3 0.5 0.6`); with 0 trials single
/// tasks are improved alone:
///
/// | trials per task | 0.3 | 0.5 | 0.6 |
/// |---|---|---|---|
/// | central | 919.9 | 1226.4 | 1083.3 |
/// | 0 | 924.2 | 1242.7 | 1147.0 |
/// | 25 | 926.4 | 1249.1 | 1201.5 |
/// | 50 | 927.5 | 1256.2 | 1227.0 |
/// | 100 | 928.9 | 1274.9 | 1246.4 |
/// | 200 | 930.9 | 1285.3 | 1275.2 |
pub const TRIALS_PER_TASK: u64 = 100;

/// Tasks whose counterfactuals a thread works out at a time.
const TASKS_OF_A_PART: usize = 50;

/// An episode whose tasks are all known in advance.
#[derive(Clone, Debug)]
pub struct Known {
    instance: Instance,
}

/// Decisions for all tasks of an episode.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// One per task (0 local, j = 1 … M server j), by slot and then device.
    pub actions: Vec<u32>,
    /// The sum of rewards (eq. 12) of the episode under it: N times its QoE.
    pub reward: f64,
    /// The first task of each slot, and the number of tasks.
    first_of_slot: Vec<u32>,
}

impl Plan {
    /// The actions of the tasks that arrive in `slot`, by device; none after the last slot.
    pub fn of_slot(&self, slot: u32) -> &[u32] {
        match self.first_of_slot.get(slot as usize..slot as usize + 2) {
            Some(&[first, end]) => &self.actions[first as usize..end as usize],
            _ => &[],
        }
    }
}

impl Known {
    /// The episode of `system` in which `workload` arrives.
    pub fn new(system: &Arc<System>, workload: Workload) -> Self {
        Self { instance: Instance::new(system, workload) }
    }

    /// The number of tasks.
    pub fn tasks(&self) -> usize {
        self.instance.tasks.len()
    }

    /// The slot and the device of each task, by slot and then device.
    pub fn arrivals(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.instance.tasks.iter().map(|task| (task.slot, task.device))
    }

    /// Uniform decisions.
    pub fn chance(&self, stream: &mut Stream) -> Plan {
        let actions = self.instance.servers() as usize + 1;
        let drawn: Vec<u32> = (0..self.tasks()).map(|_| stream.below(actions) as u32).collect();
        self.plan(drawn)
    }

    /// The myopic central plan: the tasks of each slot are decided together, each the best response to
    /// all others, with the true state of the whole system known, as if nothing more arrived.
    pub fn central(&self) -> Plan {
        self.plan(self.actions_of(&self.centrally_planned()))
    }

    /// The best plan that a search with `trials_per_task` trials per task finds, starting from the
    /// central plan; at least as good as that.
    pub fn hindsight(&self, trials_per_task: u64, stream: &mut Stream) -> Plan {
        let central = self.centrally_planned();
        let mut schedule = central.clone();
        let trials = trials_per_task.saturating_mul(self.tasks() as u64);
        let annealing = Annealing::of(trials, central.total(), &self.instance);
        anneal(&mut schedule, &self.instance, stream, annealing);
        if schedule.total() < central.total() {
            schedule = central;
        }
        descend(&mut schedule, &self.instance);
        self.plan(self.actions_of(&schedule))
    }

    /// A sum of rewards that no plan exceeds, from the dual of a linear programme that asks less of plans
    /// than the model does: the closer the solver comes to the optimum, the tighter it is. `None` if the
    /// solver finds nothing.
    pub fn bound(&self) -> Option<f64> {
        bound::bound(&self.instance)
    }

    /// The plan with these actions, one per task by slot and then device; `None` if their number is another,
    /// or one is above M.
    pub fn carry_out(&self, actions: Vec<u32>) -> Option<Plan> {
        self.is_plan(&actions).then(|| self.plan(actions))
    }

    /// Gain in the sum of rewards if one task alone were decided differently than in `actions` (one per
    /// task): 1 + M numbers for each of `tasks`, 0 for the action it has. `None` if `actions` is not a plan.
    ///
    /// These are the counterfactuals of Wolpert and Tumer (2002): how much of the reward of all is due to one
    /// decision, its effect on everybody included.
    pub fn counterfactuals(&self, actions: &[u32], tasks: &[u32]) -> Option<Vec<f64>> {
        let schedule = self.is_plan(actions).then(|| self.scheduled(actions))?;
        let gains = |schedule: &mut Schedule<'_>, &task: &u32| -> Vec<f64> {
            let now = actions[task as usize];
            let gain = |action| match action == now {
                true => 0.0,
                false => schedule.try_out(&[Change { task, action }]),
            };
            (0..=self.instance.servers()).map(gain).collect()
        };
        let parts = tasks.par_chunks(TASKS_OF_A_PART);
        let part = |schedule: &mut Schedule<'_>, tasks: &[u32]| -> Vec<f64> {
            tasks.iter().flat_map(|task| gains(schedule, task)).collect()
        };
        Some(parts.map_init(|| schedule.clone(), part).flatten().collect())
    }

    fn is_plan(&self, actions: &[u32]) -> bool {
        let legal = |action: &u32| *action <= self.instance.servers();
        actions.len() == self.tasks() && actions.iter().all(legal)
    }

    fn scheduled(&self, actions: &[u32]) -> Schedule<'_> {
        let mut schedule = Schedule::new(&self.instance);
        for slot in 0..self.instance.slots() {
            let change = |task| Change { task, action: actions[task as usize] };
            let changes: Vec<Change> = self.instance.of_slot(slot).map(change).collect();
            let gain = schedule.try_out(&changes);
            schedule.accept(gain);
        }
        schedule
    }

    fn centrally_planned(&self) -> Schedule<'_> {
        let mut schedule = Schedule::new(&self.instance);
        search::central(&mut schedule, &self.instance);
        schedule
    }

    fn actions_of(&self, schedule: &Schedule<'_>) -> Vec<u32> {
        (0..self.tasks() as u32).map(|task| schedule.action(task)).collect()
    }

    /// The plan of these actions. Its reward is summed anew: the total of a search depends in its last bits
    /// on the changes that led there, so a plan that was found and one that was read would differ.
    fn plan(&self, actions: Vec<u32>) -> Plan {
        let reward = self.scheduled(&actions).total();
        Plan { actions, reward, first_of_slot: self.instance.first_of_slot().to_vec() }
    }
}

#[cfg(test)]
mod tests;
