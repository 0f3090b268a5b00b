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
        if let Some(decision) = waiting.iter_mut().find(|waiting| waiting.slot == task.born_slot) {
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
