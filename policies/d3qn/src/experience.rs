//! From decisions and ends of tasks to experiences.
//!
//! The reward of a decision is known when its task ends, several slots later; its next state
//! when the next slot, or the device's next task, comes. Until both are known the decision waits
//! here.

use offramp_nn::replay::Experience;
use offramp_plugin::{Context, EndedTask};

use crate::parameters::{Flaw, NextState, Recipe};

/// A decision that waits for its reward or its next state.
#[derive(Clone, Debug)]
struct Waiting {
    slot: u32,
    window: u64,
    action: u32,
    features: Vec<f32>,
    reward: Option<f32>,
    next: Option<Next>,
}

#[derive(Clone, Debug)]
struct Next {
    window: u64,
    discount: f32,
    features: Vec<f32>,
}

/// An experience that is complete, with the features of both states.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Complete {
    pub(crate) device: usize,
    pub(crate) experience: Experience<f32>,
    pub(crate) features: Vec<f32>,
    pub(crate) next_features: Vec<f32>,
}

/// The decisions of an episode that wait.
#[derive(Debug)]
pub(crate) struct Waitroom {
    rule: NextState,
    discount: f32,
    /// Whether the last states of an episode have no next one.
    terminal: bool,
    arrival_slots: u32,
    width: usize,
    devices: Vec<Vec<Waiting>>,
}

impl Waitroom {
    pub(crate) fn new(context: &Context<'_>, recipe: &Recipe) -> Self {
        Self {
            rule: recipe.parameters.next_state,
            discount: recipe.parameters.discount as f32,
            terminal: !recipe.has(Flaw::NoTerminal),
            arrival_slots: context.system.arrival_slots,
            width: context.observation.features.len(),
            devices: vec![Vec::new(); context.system.devices()],
        }
    }

    /// N.
    pub(crate) fn devices(&self) -> usize {
        self.devices.len()
    }

    /// An episode begins: nothing of the last one waits any more.
    pub(crate) fn clear(&mut self) {
        self.devices.iter_mut().for_each(Vec::clear);
    }

    /// A slot begins, whose newest load row is `window`; `features_of` gives the features of a
    /// device if it has a task. Gives decisions of earlier slots their next state.
    pub(crate) fn slot<'f>(
        &mut self,
        slot: u32,
        window: u64,
        features_of: impl Fn(usize) -> Option<&'f [f32]>,
    ) {
        let tasks_are_over = slot >= self.arrival_slots;
        for (device, waiting) in self.devices.iter_mut().enumerate() {
            // Only the last decision of a device can be without a next state.
            let Some(last) = waiting.last_mut().filter(|last| last.next.is_none()) else {
                continue;
            };
            let features = features_of(device);
            let discount = match (self.rule, features) {
                (NextState::NextTask, None) if tasks_are_over => 0.0,
                (NextState::NextTask, None) => continue,
                (NextState::NextTask, Some(_)) => self.discount.powi((slot - last.slot) as i32),
                (NextState::NextSlot, _) if tasks_are_over && self.terminal => 0.0,
                (NextState::NextSlot, _) => self.discount,
            };
            let features = features.map_or_else(|| vec![0.0; self.width], <[f32]>::to_vec);
            last.next = Some(Next { window, discount, features });
        }
    }

    /// A device decides.
    pub(crate) fn decided(
        &mut self,
        device: usize,
        slot: u32,
        window: u64,
        action: u32,
        features: &[f32],
    ) {
        self.devices[device].push(Waiting {
            slot,
            window,
            action,
            features: features.to_vec(),
            reward: None,
            next: None,
        });
    }

    /// A task ends, worth `reward` as the network sees it.
    pub(crate) fn ended(&mut self, task: &EndedTask, reward: f32) {
        let waiting = &mut self.devices[task.device as usize];
        if let Some(decision) = waiting.iter_mut().find(|waiting| waiting.slot == task.arrival_slot)
        {
            decision.reward = Some(reward);
        }
    }

    /// Takes out what is complete: by device, the oldest first.
    pub(crate) fn complete(&mut self, mut each: impl FnMut(Complete)) {
        for (device, waiting) in self.devices.iter_mut().enumerate() {
            waiting.retain_mut(|decision| {
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
    use super::*;

    const WIDTH: usize = 2;

    fn waitroom(rule: NextState, terminal: bool) -> Waitroom {
        Waitroom {
            rule,
            discount: 0.5,
            terminal,
            arrival_slots: 5,
            width: WIDTH,
            devices: vec![Vec::new(); 2],
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

    fn complete(waitroom: &mut Waitroom) -> Vec<(usize, u64, u64, f32, f32, Vec<f32>)> {
        let mut all = Vec::new();
        waitroom.complete(|complete| {
            let Experience { window, next_window, reward, discount, .. } = complete.experience;
            let next = complete.next_features;
            all.push((complete.device, window, next_window, reward, discount, next));
        });
        all
    }

    /// Device 0 decides in slots 0 and 3; the first task ends in slot 2, after neither, before
    /// the second.
    fn two_decisions(waitroom: &mut Waitroom) {
        let none = |_: usize| None;
        waitroom.slot(0, 100, |device| (device == 0).then_some(&[1.0, 2.0][..]));
        waitroom.decided(0, 0, 100, 4, &[1.0, 2.0]);
        waitroom.slot(1, 101, none);
        waitroom.slot(2, 102, none);
        waitroom.ended(&ended(0, 0), 7.0);
        waitroom.slot(3, 103, |device| (device == 0).then_some(&[3.0, 4.0][..]));
        waitroom.decided(0, 3, 103, 5, &[3.0, 4.0]);
    }

    #[test]
    fn the_next_task_is_discounted_by_the_slots_between() {
        let mut waitroom = waitroom(NextState::NextTask, true);
        two_decisions(&mut waitroom);
        assert_eq!(complete(&mut waitroom), [(0, 100, 103, 7.0, 0.125, vec![3.0, 4.0])]);
        // After the last slot with arrivals there is no next task.
        waitroom.slot(4, 104, |_| None);
        waitroom.ended(&ended(0, 3), -1.0);
        assert_eq!(complete(&mut waitroom), []);
        waitroom.slot(5, 105, |_| None);
        assert_eq!(complete(&mut waitroom), [(0, 103, 105, -1.0, 0.0, vec![0.0, 0.0])]);
    }

    #[test]
    fn the_next_slot_is_zeros_without_a_task() {
        for (terminal, last_discount) in [(true, 0.0), (false, 0.5)] {
            let mut waitroom = waitroom(NextState::NextSlot, terminal);
            two_decisions(&mut waitroom);
            assert_eq!(complete(&mut waitroom), [(0, 100, 101, 7.0, 0.5, vec![0.0, 0.0])]);
            waitroom.decided(1, 4, 104, 1, &[5.0, 6.0]);
            waitroom.ended(&ended(1, 4), 2.0);
            waitroom.slot(5, 105, |_| None);
            let expected = [(1, 104, 105, 2.0, last_discount, vec![0.0, 0.0])];
            assert_eq!(complete(&mut waitroom), expected);
        }
    }

    #[test]
    fn an_unrewarded_decision_waits() {
        let mut waitroom = waitroom(NextState::NextSlot, true);
        waitroom.decided(1, 0, 9, 1, &[5.0, 6.0]);
        waitroom.slot(1, 10, |_| None);
        assert_eq!(complete(&mut waitroom), []);
        waitroom.ended(&ended(1, 0), 3.0);
        assert_eq!(complete(&mut waitroom).len(), 1);
        // And is forgotten when another episode begins.
        waitroom.decided(1, 0, 9, 1, &[5.0, 6.0]);
        waitroom.clear();
        waitroom.ended(&ended(1, 0), 3.0);
        assert_eq!(complete(&mut waitroom), []);
    }
}
