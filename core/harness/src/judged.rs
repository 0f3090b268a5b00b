//! Judged tasks: what single decisions of a training episode changed for everybody.
//!
//! A task's own reward does not show what its decision cost other tasks. Once an episode is over, all
//! arrivals and decisions are known, so the effect of changing a single decision can be computed
//! exactly. A learner states how many tasks per episode it wants judged
//! ([`judged_tasks`](offramp_host::Learner::judged_tasks)).

use std::collections::BTreeSet;
use std::sync::Arc;

use offramp_hindsight::Known;
use offramp_host::plugin::Counterfactuals;
use offramp_model::rng::Stream;
use offramp_model::{System, Workload};

/// Tasks of the same slot are judged in runs of this length: a network computes what they share once.
const RUN: usize = 8;

/// The judged tasks of an episode.
#[derive(Debug)]
pub(crate) struct Judged {
    devices: Vec<u32>,
    arrival_slots: Vec<u32>,
    gains: Vec<f64>,
}

impl Judged {
    /// So many tasks of the episode of `system` in which `workload` arrived and `actions` were decided, one
    /// per task by slot and then device.
    pub(crate) fn of(
        system: &Arc<System>,
        workload: Workload,
        actions: &[u32],
        count: u64,
        stream: &mut Stream,
    ) -> Self {
        let known = Known::new(system, workload);
        let arrivals: Vec<(u32, u32)> = known.arrivals().collect();
        let tasks = drawn(&arrivals, count.try_into().unwrap_or(usize::MAX), stream);
        let of = |&task: &u32| arrivals[task as usize];
        Self {
            devices: tasks.iter().map(|task| of(task).1).collect(),
            arrival_slots: tasks.iter().map(|task| of(task).0).collect(),
            // What was carried out is a plan.
            gains: known.counterfactuals(actions, &tasks).unwrap_or_default(),
        }
    }

    /// In the form that crosses the boundary.
    pub(crate) fn lend(&self) -> Counterfactuals<'_> {
        Counterfactuals {
            devices: self.devices.as_slice().into(),
            arrival_slots: self.arrival_slots.as_slice().into(),
            gains: self.gains.as_slice().into(),
        }
    }
}

/// Draws `count` of the tasks, or all if there are fewer, in their order.
fn drawn(arrivals: &[(u32, u32)], count: usize, stream: &mut Stream) -> Vec<u32> {
    let all = arrivals.len();
    if count >= all {
        return (0..all as u32).collect();
    }
    let mut drawn = BTreeSet::new();
    while drawn.len() < count {
        let first = stream.below(all);
        let run = &arrivals[first..all.min(first + RUN)];
        let of_slot = run.iter().take_while(|(slot, _)| *slot == arrivals[first].0).count();
        drawn.extend((first as u32..).take(of_slot.min(count - drawn.len())));
    }
    drawn.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use offramp_model::{Episode, ObservationSpec, reward};

    use super::*;
    use crate::seeds;

    const WORKLOAD: Workload = Workload::Drawn { seed: 5, episode: 2 };

    /// The sum of rewards of an episode, and what was decided; `changed` is decided as the action.
    fn played(system: &Arc<System>, changed: Option<((u32, u32), u32)>) -> (f64, Vec<u32>) {
        let mut episode = Episode::new(system, WORKLOAD, ObservationSpec::PAPER);
        let (mut sum, mut all) = (0.0, Vec::new());
        while !episode.is_over() {
            let slot = episode.slot();
            let decide = |device: u32| match changed {
                Some((task, action)) if task == (slot, device) => action,
                _ => (slot + 2 * device) % 3,
            };
            let actions: Vec<u32> =
                episode.arrivals().iter().map(|arrival| decide(arrival.device)).collect();
            episode.advance(&actions).unwrap();
            sum += episode.ended().iter().map(|task| reward::reward(system, task)).sum::<f64>();
            all.extend(actions);
        }
        (sum, all)
    }

    /// Each number is what the engine pays more when the episode is played again with that decision.
    #[test]
    fn a_gain_is_what_another_decision_would_have_changed() {
        let system = Arc::new(System::paper(12, 2));
        let (sum, actions) = played(&system, None);
        let judge =
            |count| Judged::of(&system, WORKLOAD, &actions, count, &mut seeds::judged(1, 2));
        let judged = judge(20);
        assert_eq!((judged.devices.len(), judged.gains.len()), (20, 60));
        let tasks: Vec<(u32, u32)> =
            judged.arrival_slots.iter().copied().zip(judged.devices.iter().copied()).collect();
        assert!(tasks.is_sorted_by(|one, two| one < two), "{tasks:?}");
        for (&task, gains) in tasks.iter().zip(judged.gains.chunks_exact(3)) {
            for (action, gain) in (0..).zip(gains) {
                let expected = played(&system, Some((task, action))).0 - sum;
                assert!((gain - expected).abs() < 1e-9, "{task:?} {action}: {gain}, {expected}");
            }
        }
        assert!(judged.gains.iter().any(|gain| *gain > 1.0));
        assert!(judged.gains.iter().any(|gain| *gain < -1.0));
        // As many as there are.
        assert_eq!(judge(1_000_000).devices.len(), actions.len());
    }

    #[test]
    fn runs_of_a_slot_are_drawn_together() {
        let arrivals: Vec<(u32, u32)> = (0..3000).map(|n| (n / 30, n % 30)).collect();
        let tasks = drawn(&arrivals, 400, &mut seeds::judged(1, 0));
        assert_eq!(tasks.len(), 400);
        let runs = tasks.windows(2).filter(|pair| pair[1] != pair[0] + 1).count() + 1;
        assert!((50..=100).contains(&runs), "{runs}");
        assert_ne!(tasks, drawn(&arrivals, 400, &mut seeds::judged(1, 1)));
    }
}
