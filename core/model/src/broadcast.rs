//! Broadcasts: the quantities beyond their loads that servers report to all devices, if the scenario asks for
//! them.
//!
//! The paper's servers report m(t) alone. Policies must see no more than the scenario grants, so that like is
//! compared with like; these quantities are therefore computed, once per slot, only if they are broadcast.

use std::collections::VecDeque;

use crate::backhaul::Transit;
use crate::slot::Shard;

/// Quantities that servers report at the end of each slot.
#[derive(Clone, Debug)]
pub(crate) struct Broadcasts {
    /// Gcycles in service and waiting, of each server.
    pub(crate) queued_gcycles: Vec<f64>,
    /// Tasks on their way to each server: in uplinks and on the backhaul.
    pub(crate) on_the_way: Vec<u32>,
    /// How many tasks had reached each server by the end of the last K + 1 slots, the oldest first.
    reached: VecDeque<Vec<u64>>,
}

impl Broadcasts {
    /// Before the first slot. Arrivals are averaged over `slots`.
    pub(crate) fn new(servers: usize, slots: u32) -> Self {
        Self {
            queued_gcycles: vec![0.0; servers],
            on_the_way: vec![0; servers],
            reached: vec![vec![0; servers]; slots as usize + 1].into(),
        }
    }

    /// Updates all quantities at the end of a slot. `shards` must be complete and in the order of devices, so
    /// that sums are bit-identical on any number of threads.
    pub(crate) fn update(&mut self, shards: &[Shard], transit: Option<&Transit>) {
        let Self { queued_gcycles, on_the_way, reached } = self;
        queued_gcycles.fill(0.0);
        on_the_way.fill(0);
        let mut all = reached.pop_front().unwrap_or_default();
        all.fill(0);
        for Shard { tasks, uplinks, flows, .. } in shards {
            for flow in flows.iter() {
                queued_gcycles[flow.server as usize] += flow.fifo.gcycles(tasks);
            }
            for (task, _) in uplinks.iter().flat_map(|fifo| fifo.all(tasks)) {
                on_the_way[task.action as usize - 1] += 1;
            }
            for (sum, reached) in all.iter_mut().zip(flows.reached()) {
                *sum += reached;
            }
        }
        for task in transit.into_iter().flat_map(Transit::iter) {
            on_the_way[task.action as usize - 1] += 1;
        }
        reached.push_back(all);
    }

    /// The tasks per slot that reached a server in the last K slots.
    pub(crate) fn arrivals(&self, server: usize) -> f64 {
        let slots = self.reached.len() - 1;
        (self.reached[slots][server] - self.reached[0][server]) as f64 / slots as f64
    }
}
