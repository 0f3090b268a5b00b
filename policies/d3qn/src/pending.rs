//! Pending decisions: from decisions and ends of tasks to experiences.
//!
//! The reward of a decision is known when its task ends, several slots later; its next state
//! when the next slot, or the device's next task, comes. Until both are known the decision is
//! pending.

use offramp_nn::replay::Experience;
use offramp_plugin::EndedTask;
use rand::Rng;
use rand::seq::index;

use crate::parameters::{Flaw, NextState, Recipe};

/// A decision without its reward or its next state.
#[derive(Clone, Debug)]
struct PendingDecision {
    arrival_slot: u32,
    window: u64,
    action: u32,
    features: Vec<f32>,
    reward: Option<f32>,
    next: Option<NextObservation>,
}

#[derive(Clone, Debug)]
struct NextObservation {
    window: u64,
    discount: f32,
    features: Vec<f32>,
}

/// A complete experience, with the features of both states.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Complete {
    pub(crate) device: usize,
    pub(crate) experience: Experience<f32>,
    pub(crate) features: Vec<f32>,
    pub(crate) next_features: Vec<f32>,
}

/// The pending decisions of an episode, by device, the oldest first.
#[derive(Debug)]
pub(crate) struct PendingDecisions {
    rule: NextState,
    discount: f32,
    /// True if the last states of an episode have no next one.
    terminal: bool,
    arrival_slots: u32,
    width: usize,
    devices: Vec<Vec<PendingDecision>>,
    /// The devices whose decisions are kept in the episode at hand.
    kept: Vec<bool>,
}

impl PendingDecisions {
    pub(crate) fn new(recipe: &Recipe, devices: usize, arrival_slots: u32, width: usize) -> Self {
        Self {
            rule: recipe.parameters.next_state,
            discount: recipe.parameters.discount as f32,
            terminal: !recipe.has(Flaw::NoTerminal),
            arrival_slots,
            width,
            devices: vec![Vec::new(); devices],
            kept: vec![true; devices],
        }
    }

    /// N: number of devices.
    pub(crate) fn devices(&self) -> usize {
        self.devices.len()
    }

    /// Begins an episode: drops what is pending from the last one, and draws the devices whose
    /// decisions are kept, `count` at most.
    pub(crate) fn begin_episode(&mut self, count: usize, rng: &mut impl Rng) {
        self.devices.iter_mut().for_each(Vec::clear);
        let devices = self.devices.len();
        if count < devices {
            self.kept.fill(false);
            index::sample(rng, devices, count).into_iter().for_each(|one| self.kept[one] = true);
        }
    }

    /// Begins a slot whose newest load row is `window`: sets the next state of decisions of
    /// earlier slots. `features_of` returns the features of a device, if it has a task.
    pub(crate) fn begin_slot<'f>(
        &mut self,
        slot: u32,
        window: u64,
        features_of: impl Fn(usize) -> Option<&'f [f32]>,
    ) {
        let tasks_are_over = slot >= self.arrival_slots;
        for (device, decisions) in self.devices.iter_mut().enumerate() {
            // Only the last decision of a device can be without a next state.
            let Some(last) = decisions.last_mut().filter(|last| last.next.is_none()) else {
                continue;
            };
            let features = features_of(device);
            let discount = match (self.rule, features) {
                (NextState::NextTask, None) if tasks_are_over => 0.0,
                (NextState::NextTask, None) => continue,
                (NextState::NextTask, Some(_)) => {
                    self.discount.powi((slot - last.arrival_slot) as i32)
                }
                (NextState::NextSlot, _) if tasks_are_over && self.terminal => 0.0,
                (NextState::NextSlot, _) => self.discount,
            };
            let features = features.map_or_else(|| vec![0.0; self.width], <[f32]>::to_vec);
            last.next = Some(NextObservation { window, discount, features });
        }
    }

    /// Adds a device's decision.
    pub(crate) fn decide(
        &mut self,
        device: usize,
        slot: u32,
        window: u64,
        action: u32,
        features: &[f32],
    ) {
        if !self.kept[device] {
            return;
        }
        self.devices[device].push(PendingDecision {
            arrival_slot: slot,
            window,
            action,
            features: features.to_vec(),
            reward: None,
            next: None,
        });
    }

    /// Sets the reward of the decision on an ended task, in the network's scale.
    pub(crate) fn reward(&mut self, task: &EndedTask, reward: f32) {
        let decisions = &mut self.devices[task.device as usize];
        if let Some(decision) =
            decisions.iter_mut().find(|decision| decision.arrival_slot == task.arrival_slot)
        {
            decision.reward = Some(reward);
        }
    }

    /// Removes the complete experiences, by device, the oldest first.
    pub(crate) fn take_complete(&mut self, mut each: impl FnMut(Complete)) {
        for (device, decisions) in self.devices.iter_mut().enumerate() {
            decisions.retain_mut(|decision| {
                let (Some(reward), Some(next)) = (decision.reward, &mut decision.next) else {
                    return true;
                };
                each(Complete {
                    device,
                    experience: Experience {
                        window: decision.window,
                        next_window: next.window,
                        action: decision.action,
                        reward,
                        discount: next.discount,
                    },
                    features: std::mem::take(&mut decision.features),
                    next_features: std::mem::take(&mut next.features),
                });
                false
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use offramp_nn::stream;

    use super::*;

    const WIDTH: usize = 2;

    fn pending(rule: NextState, terminal: bool) -> PendingDecisions {
        PendingDecisions {
            rule,
            discount: 0.5,
            terminal,
            arrival_slots: 5,
            width: WIDTH,
            devices: vec![Vec::new(); 2],
            kept: vec![true; 2],
        }
    }

    fn ended(device: u32, arrival_slot: u32) -> EndedTask {
        EndedTask {
            device,
            arrival_slot,
            action: 0,
            delay_slots: 1,
            dropped: false,
            reward: 0.0,
            energy: [0.0; 4],
        }
    }

    fn complete(pending: &mut PendingDecisions) -> Vec<(usize, u64, u64, f32, f32, Vec<f32>)> {
        let mut all = Vec::new();
        pending.take_complete(|complete| {
            let Experience { window, next_window, reward, discount, .. } = complete.experience;
            let next = complete.next_features;
            all.push((complete.device, window, next_window, reward, discount, next));
        });
        all
    }

    /// Device 0 decides in slots 0 and 3; the first task ends in slot 2, after neither, before
    /// the second.
    fn two_decisions(pending: &mut PendingDecisions) {
        let none = |_: usize| None;
        pending.begin_slot(0, 100, |device| (device == 0).then_some(&[1.0, 2.0][..]));
        pending.decide(0, 0, 100, 4, &[1.0, 2.0]);
        pending.begin_slot(1, 101, none);
        pending.begin_slot(2, 102, none);
        pending.reward(&ended(0, 0), 7.0);
        pending.begin_slot(3, 103, |device| (device == 0).then_some(&[3.0, 4.0][..]));
        pending.decide(0, 3, 103, 5, &[3.0, 4.0]);
    }

    #[test]
    fn the_next_task_is_discounted_by_the_slots_between() {
        let mut pending = pending(NextState::NextTask, true);
        two_decisions(&mut pending);
        assert_eq!(complete(&mut pending), [(0, 100, 103, 7.0, 0.125, vec![3.0, 4.0])]);
        // After the last slot with arrivals there is no next task.
        pending.begin_slot(4, 104, |_| None);
        pending.reward(&ended(0, 3), -1.0);
        assert_eq!(complete(&mut pending), []);
        pending.begin_slot(5, 105, |_| None);
        assert_eq!(complete(&mut pending), [(0, 103, 105, -1.0, 0.0, vec![0.0, 0.0])]);
    }

    /// It is the slots since that decision, not since the episode began.
    #[test]
    fn a_later_task_is_discounted_by_the_slots_since_it() {
        let mut pending = pending(NextState::NextTask, true);
        pending.begin_slot(2, 102, |_| None);
        pending.decide(1, 2, 102, 0, &[1.0, 2.0]);
        pending.reward(&ended(1, 2), 7.0);
        pending.begin_slot(3, 103, |device| (device == 1).then_some(&[3.0, 4.0][..]));
        assert_eq!(complete(&mut pending), [(1, 102, 103, 7.0, 0.5, vec![3.0, 4.0])]);
    }

    #[test]
    fn the_next_slot_is_zeros_without_a_task() {
        for (terminal, last_discount) in [(true, 0.0), (false, 0.5)] {
            let mut pending = pending(NextState::NextSlot, terminal);
            two_decisions(&mut pending);
            assert_eq!(complete(&mut pending), [(0, 100, 101, 7.0, 0.5, vec![0.0, 0.0])]);
            pending.decide(1, 4, 104, 1, &[5.0, 6.0]);
            pending.reward(&ended(1, 4), 2.0);
            pending.begin_slot(5, 105, |_| None);
            let expected = [(1, 104, 105, 2.0, last_discount, vec![0.0, 0.0])];
            assert_eq!(complete(&mut pending), expected);
        }
    }

    #[test]
    fn an_unrewarded_decision_is_pending() {
        let mut pending = pending(NextState::NextSlot, true);
        pending.decide(1, 0, 9, 1, &[5.0, 6.0]);
        pending.begin_slot(1, 10, |_| None);
        assert_eq!(complete(&mut pending), []);
        pending.reward(&ended(1, 0), 3.0);
        assert_eq!(complete(&mut pending).len(), 1);
        // It is dropped when another episode begins.
        pending.decide(1, 0, 9, 1, &[5.0, 6.0]);
        pending.begin_episode(2, &mut stream(1, 0));
        pending.reward(&ended(1, 0), 3.0);
        assert_eq!(complete(&mut pending), []);
    }

    #[test]
    fn some_devices_are_kept_and_others_in_the_next_episode() {
        let kept = |episode: u64| {
            let mut pending = pending(NextState::NextTask, true);
            pending.devices = vec![Vec::new(); 40];
            pending.kept = vec![true; 40];
            pending.begin_episode(5, &mut stream(episode, 0));
            (0..40).for_each(|device| pending.decide(device, 0, 9, 1, &[5.0, 6.0]));
            pending.devices.iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(kept(1).iter().sum::<usize>(), 5);
        assert_eq!(kept(1), kept(1));
        assert_ne!(kept(1), kept(2));
    }
}
