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
    /// Tasks whose rewards are added up.
    steps: usize,
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
            steps: recipe.parameters.steps,
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
        let steps = self.steps;
        for (device, decisions) in self.devices.iter_mut().enumerate() {
            let mut at = 0;
            while at < decisions.len() {
                let Some((reward, discount, end)) = followed(&decisions[at..], steps) else {
                    at += 1;
                    continue;
                };
                let end = at + end;
                let next = decisions[end].next.as_ref();
                let (next_window, next_features) =
                    next.map_or_else(Default::default, |next| (next.window, next.features.clone()));
                // Those before still need it, if there are any.
                let decision = decisions.remove(at);
                each(Complete {
                    device,
                    experience: Experience {
                        window: decision.window,
                        next_window,
                        action: decision.action,
                        reward,
                        discount,
                    },
                    features: decision.features,
                    next_features,
                });
            }
        }
    }
}

/// The discounted rewards of a device's decisions from the first on, `steps` of them or up to the
/// end of the episode; the discount of what comes after; and the decision whose next state that is.
/// `None` if something of it is not known yet.
fn followed(decisions: &[PendingDecision], steps: usize) -> Option<(f32, f32, usize)> {
    let (mut sum, mut discount) = (0.0, 1.0);
    for (number, decision) in decisions.iter().take(steps).enumerate() {
        let (reward, next) = (decision.reward?, decision.next.as_ref()?);
        sum += discount * reward;
        discount *= next.discount;
        if number + 1 == steps || next.discount == 0.0 {
            return Some((sum, discount, number));
        }
    }
    None
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
            steps: 1,
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

    /// r + γ^Δ r' of two tasks, then the state after both; at the end of the episode what is there.
    #[test]
    fn the_rewards_of_several_tasks_are_added_up() {
        let mut pending = pending(NextState::NextTask, true);
        pending.steps = 2;
        let some: Option<&[f32]> = Some(&[1.0, 2.0]);
        for (slot, reward) in [(0, 1.0), (2, 10.0), (3, 100.0)] {
            let window = 100 + u64::from(slot);
            pending.begin_slot(slot, window, |device| some.filter(|_| device == 0));
            pending.decide(0, slot, window, 1, &[f32::from(slot as u8), 0.0]);
            pending.reward(&ended(0, slot), reward);
        }
        let after = vec![1.0, 2.0];
        assert_eq!(complete(&mut pending), [(0, 100, 103, 1.0 + 0.25 * 10.0, 0.125, after)]);
        pending.begin_slot(5, 105, |_| None);
        let rewards: Vec<_> = complete(&mut pending).iter().map(|one| (one.3, one.4)).collect();
        assert_eq!(rewards, [(10.0 + 0.5 * 100.0, 0.0), (100.0, 0.0)]);
    }
}
