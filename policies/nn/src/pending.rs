//! Pending decisions: from decisions and ends of tasks to experiences.
//!
//! The reward of a decision is known when its task ends, several slots later; its next state
//! when the next slot, or the device's next task, comes. Until both are known the decision is
//! pending. A learner chooses what a state `S` is: features and a window, or the number of a row
//! that it keeps elsewhere.

use std::collections::VecDeque;

use rand::Rng;
use rand::seq::index;
use serde::{Deserialize, Serialize};

/// The next state of an experience.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NextState {
    /// The state of the next slot (eq. 14 as written), an empty one if the device has no task then.
    NextSlot,
    /// The state of the device's next task, Δ slots later, discounted by γ^Δ.
    NextTask,
}

/// How rewards and states of successive decisions make up experiences.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PendingRule {
    /// The next state.
    pub next: NextState,
    /// γ, per slot.
    pub discount: f32,
    /// True if the last states of an episode have no next one.
    pub terminal: bool,
    /// n, at least 1: decisions of a device whose rewards an experience sums, each discounted by
    /// the slots before it; the next state is that after the last of them. More than 1 is for
    /// [`NextState::NextTask`].
    pub steps: usize,
}

/// A decision without its rewards or its next state.
#[derive(Clone, Debug)]
struct PendingDecision<S> {
    slot: u32,
    state: S,
    action: u32,
    reward: Option<f32>,
    /// The state after it, and the factor of its value.
    next: Option<(S, f32)>,
    /// True if its experience was taken; it stays for those before it.
    taken: bool,
}

/// A complete experience.
#[derive(Clone, Debug, PartialEq)]
pub struct Complete<S> {
    /// The device that decided.
    pub device: usize,
    /// The state at the decision.
    pub state: S,
    /// The action taken.
    pub action: u32,
    /// The discounted sum of n rewards, in the network's scale.
    pub reward: f32,
    /// The next state; an empty one if `discount` is 0.
    pub next: S,
    /// Factor of the next state's value: γ^Δ, or 0 if there is no next state.
    pub discount: f32,
}

/// The pending decisions of an episode, by device, the oldest first.
#[derive(Debug)]
pub struct PendingDecisions<S> {
    rule: PendingRule,
    arrival_slots: u32,
    devices: Vec<VecDeque<PendingDecision<S>>>,
    /// The devices whose decisions are kept in the episode at hand.
    kept: Vec<bool>,
}

impl<S: Clone> PendingDecisions<S> {
    /// None, of no device.
    pub fn new(rule: PendingRule) -> Self {
        Self { rule, arrival_slots: 0, devices: Vec::new(), kept: Vec::new() }
    }

    /// N: number of devices.
    pub fn devices(&self) -> usize {
        self.devices.len()
    }

    /// True if the decisions of `device` are kept in the episode at hand.
    pub fn keeps(&self, device: usize) -> bool {
        self.kept[device]
    }

    /// Begins an episode of so many devices, in which tasks arrive for `arrival_slots`: drops what
    /// is pending from the last one, and draws the devices whose decisions are kept, `count` at
    /// most.
    pub fn begin_episode(
        &mut self,
        devices: usize,
        arrival_slots: u32,
        count: usize,
        rng: &mut impl Rng,
    ) {
        self.arrival_slots = arrival_slots;
        self.devices.iter_mut().for_each(VecDeque::clear);
        self.devices.resize_with(devices, VecDeque::new);
        self.kept.clear();
        self.kept.resize(devices, count >= devices);
        if count < devices {
            index::sample(rng, devices, count).into_iter().for_each(|one| self.kept[one] = true);
        }
    }

    /// Begins a slot: sets the next state of decisions of earlier slots. `state_of` returns the
    /// state of a device, if it has a task; `empty` that of one that has none.
    pub fn begin_slot(
        &mut self,
        slot: u32,
        state_of: impl Fn(usize) -> Option<S>,
        empty: impl Fn() -> S,
    ) {
        let PendingRule { next: rule, discount, terminal, .. } = self.rule;
        let tasks_are_over = slot >= self.arrival_slots;
        for (device, decisions) in self.devices.iter_mut().enumerate() {
            // Only the last decision of a device can be without a next state.
            let Some(last) = decisions.back_mut().filter(|last| last.next.is_none()) else {
                continue;
            };
            let state = state_of(device);
            let discount = match (rule, &state) {
                (NextState::NextTask, None) if tasks_are_over => 0.0,
                (NextState::NextTask, None) => continue,
                (NextState::NextTask, Some(_)) => discount.powi((slot - last.slot) as i32),
                (NextState::NextSlot, _) if tasks_are_over && terminal => 0.0,
                (NextState::NextSlot, _) => discount,
            };
            last.next = Some((state.unwrap_or_else(&empty), discount));
        }
    }

    /// Adds a device's decision.
    pub fn decide(&mut self, device: usize, slot: u32, action: u32, state: S) {
        if self.kept[device] {
            let decision =
                PendingDecision { slot, state, action, reward: None, next: None, taken: false };
            self.devices[device].push_back(decision);
        }
    }

    /// Sets the reward of the decision on a task that has ended, in the network's scale, which
    /// may depend on its state.
    pub fn reward(&mut self, device: usize, arrival_slot: u32, reward: impl Fn(&S) -> f32) {
        let decisions = &mut self.devices[device];
        if let Some(decision) = decisions.iter_mut().find(|decision| decision.slot == arrival_slot)
        {
            decision.reward = Some(reward(&decision.state));
        }
    }

    /// Removes the complete experiences, by device, the oldest first.
    pub fn take_complete(&mut self, mut each: impl FnMut(Complete<S>)) {
        for (device, decisions) in self.devices.iter_mut().enumerate() {
            for place in 0..decisions.len() {
                if decisions[place].taken {
                    continue;
                }
                if let Some((reward, next, discount)) =
                    outcome(decisions.range(place..).take(self.rule.steps), self.rule.steps)
                {
                    let decision = &mut decisions[place];
                    decision.taken = true;
                    let (state, action) = (decision.state.clone(), decision.action);
                    each(Complete { device, state, action, reward, next, discount });
                }
            }
            while decisions.front().is_some_and(|oldest| oldest.taken) {
                decisions.pop_front();
            }
            // Those of one step need none before them.
            if self.rule.steps == 1 {
                decisions.retain(|decision| !decision.taken);
            }
        }
    }
}

/// Σₖ γ^(slots up to decision k) · rₖ over so many successive decisions, or up to the last of an
/// episode; then the state after them, and its factor. `None` if something of it is not known yet.
fn outcome<'d, S: Clone + 'd>(
    decisions: impl Iterator<Item = &'d PendingDecision<S>>,
    steps: usize,
) -> Option<(f32, S, f32)> {
    let (mut sum, mut factor) = (None, 1.0);
    for (number, decision) in decisions.enumerate() {
        let reward = decision.reward?;
        let sum = *sum.insert(sum.map_or(reward, |sum: f32| sum + factor * reward));
        let (next, discount) = decision.next.as_ref()?;
        factor *= discount;
        if number + 1 == steps || *discount == 0.0 {
            return Some((sum, next.clone(), factor));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream;

    type State = (u64, [f32; 2]);
    const EMPTY: [f32; 2] = [0.0, 0.0];

    fn pending(next: NextState, terminal: bool, steps: usize) -> PendingDecisions<State> {
        let rule = PendingRule { next, discount: 0.5, terminal, steps };
        let mut pending = PendingDecisions::new(rule);
        pending.begin_episode(2, 5, 2, &mut stream(1, 0));
        pending
    }

    /// A slot in which one device has a task, if any.
    fn begin(pending: &mut PendingDecisions<State>, slot: u32, task: Option<(usize, [f32; 2])>) {
        let window = 100 + u64::from(slot);
        let state_of = |device| task.filter(|(one, _)| *one == device).map(|(_, o)| (window, o));
        pending.begin_slot(slot, state_of, || (window, EMPTY));
    }

    fn complete(
        pending: &mut PendingDecisions<State>,
    ) -> Vec<(usize, u64, u64, f32, f32, [f32; 2])> {
        let mut all = Vec::new();
        pending.take_complete(|one| {
            let Complete { device, state, next, reward, discount, .. } = one;
            all.push((device, state.0, next.0, reward, discount, next.1));
        });
        all
    }

    /// Device 0 decides in slots 0 and 3; the first task ends in slot 2, after neither, before
    /// the second.
    fn two_decisions(pending: &mut PendingDecisions<State>) {
        begin(pending, 0, Some((0, [1.0, 2.0])));
        pending.decide(0, 0, 4, (100, [1.0, 2.0]));
        begin(pending, 1, None);
        begin(pending, 2, None);
        pending.reward(0, 0, |_| 7.0);
        begin(pending, 3, Some((0, [3.0, 4.0])));
        pending.decide(0, 3, 5, (103, [3.0, 4.0]));
    }

    #[test]
    fn the_next_task_is_discounted_by_the_slots_between() {
        let mut pending = pending(NextState::NextTask, true, 1);
        two_decisions(&mut pending);
        assert_eq!(complete(&mut pending), [(0, 100, 103, 7.0, 0.125, [3.0, 4.0])]);
        // After the last slot with arrivals there is no next task.
        begin(&mut pending, 4, None);
        pending.reward(0, 3, |_| -1.0);
        assert_eq!(complete(&mut pending), []);
        begin(&mut pending, 5, None);
        assert_eq!(complete(&mut pending), [(0, 103, 105, -1.0, 0.0, EMPTY)]);
    }

    /// It is the slots since that decision, not since the episode began.
    #[test]
    fn a_later_task_is_discounted_by_the_slots_since_it() {
        let mut pending = pending(NextState::NextTask, true, 1);
        begin(&mut pending, 2, None);
        pending.decide(1, 2, 0, (102, [1.0, 2.0]));
        pending.reward(1, 2, |state| state.1[1] + 5.0);
        begin(&mut pending, 3, Some((1, [3.0, 4.0])));
        assert_eq!(complete(&mut pending), [(1, 102, 103, 7.0, 0.5, [3.0, 4.0])]);
    }

    #[test]
    fn the_next_slot_is_empty_without_a_task() {
        for (terminal, last_discount) in [(true, 0.0), (false, 0.5)] {
            let mut pending = pending(NextState::NextSlot, terminal, 1);
            two_decisions(&mut pending);
            assert_eq!(complete(&mut pending), [(0, 100, 101, 7.0, 0.5, EMPTY)]);
            pending.decide(1, 4, 1, (104, [5.0, 6.0]));
            pending.reward(1, 4, |_| 2.0);
            begin(&mut pending, 5, None);
            assert_eq!(complete(&mut pending), [(1, 104, 105, 2.0, last_discount, EMPTY)]);
        }
    }

    /// Tasks in slots 0, 1 and 3, of rewards 8, 4 and 2; γ = 0.5. The last reward comes first.
    #[test]
    fn rewards_of_several_tasks_are_summed_with_the_slots_between() {
        let decided = |steps| {
            let mut pending = pending(NextState::NextTask, true, steps);
            for slot in 0..4 {
                let task = (slot != 2).then_some((0, [slot as f32, 0.0]));
                begin(&mut pending, slot, task);
                if let Some((device, o)) = task {
                    pending.decide(device, slot, 1, (100 + u64::from(slot), o));
                }
            }
            pending
        };
        let mut two = decided(2);
        two.reward(0, 3, |_| 2.0);
        begin(&mut two, 5, None);
        // The experience of slot 3 is complete; those before it wait for rewards.
        assert_eq!(complete(&mut two), [(0, 103, 105, 2.0, 0.0, EMPTY)]);
        two.reward(0, 1, |_| 4.0);
        // 4 + γ²·2, and the end.
        assert_eq!(complete(&mut two), [(0, 101, 105, 4.5, 0.0, EMPTY)]);
        two.reward(0, 0, |_| 8.0);
        // 8 + γ·4, then the state of slot 3, γ³.
        assert_eq!(complete(&mut two), [(0, 100, 103, 10.0, 0.125, [3.0, 0.0])]);
        assert!(two.devices[0].is_empty());

        let mut three = decided(3);
        for (slot, reward) in [(0, 8.0), (1, 4.0), (3, 2.0)] {
            three.reward(0, slot, |_| reward);
        }
        assert_eq!(complete(&mut three), []);
        begin(&mut three, 5, None);
        let sums: Vec<f32> = complete(&mut three).into_iter().map(|one| one.3).collect();
        assert_eq!(sums, [8.0 + 2.0 + 0.25, 4.5, 2.0]);
    }

    #[test]
    fn an_unrewarded_decision_is_pending() {
        let mut pending = pending(NextState::NextSlot, true, 1);
        pending.decide(1, 0, 1, (9, [5.0, 6.0]));
        begin(&mut pending, 1, None);
        assert_eq!(complete(&mut pending), []);
        pending.reward(1, 0, |_| 3.0);
        assert_eq!(complete(&mut pending).len(), 1);
        // It is dropped when another episode begins.
        pending.decide(1, 0, 1, (9, [5.0, 6.0]));
        pending.begin_episode(2, 5, 2, &mut stream(1, 0));
        pending.reward(1, 0, |_| 3.0);
        assert_eq!(complete(&mut pending), []);
    }

    #[test]
    fn some_devices_are_kept_and_others_in_the_next_episode() {
        let kept = |episode: u64| {
            let mut pending = pending(NextState::NextTask, true, 1);
            pending.begin_episode(40, 5, 5, &mut stream(episode, 0));
            (0..40).for_each(|device| pending.decide(device, 0, 1, (9, [5.0, 6.0])));
            pending.devices.iter().map(VecDeque::len).collect::<Vec<_>>()
        };
        assert_eq!(kept(1).iter().sum::<usize>(), 5);
        assert_eq!(kept(1), kept(1));
        assert_ne!(kept(1), kept(2));
    }
}
