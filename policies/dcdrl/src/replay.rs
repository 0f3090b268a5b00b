//! The collective replay: the experience of all actors, each device's tasks one after the other.

use rand::Rng;

/// A decision, its reward, and the way to the device's next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Transition {
    pub(crate) action: u32,
    /// π_then: the probability with which the action was taken.
    pub(crate) probability: f32,
    pub(crate) reward: f32,
    /// γ^Δ to the device's next task; 0 after its last one of the episode.
    pub(crate) discount: f32,
}

/// The last transitions, in a ring; a device's next task is in the next place of the ring.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Replay {
    width: usize,
    capacity: usize,
    /// Where the next one goes.
    next: usize,
    transitions: Vec<Transition>,
    /// Transitions × width.
    states: Vec<f32>,
}

impl Replay {
    pub(crate) fn new(capacity: usize, width: usize) -> Self {
        Self { width, capacity, next: 0, transitions: Vec::new(), states: Vec::new() }
    }

    /// From the parts that [`Replay::parts`] returned; `None` if they contradict each other.
    pub(crate) fn from_parts(
        capacity: usize,
        width: usize,
        next: usize,
        transitions: Vec<Transition>,
        states: Vec<f32>,
    ) -> Option<Self> {
        let count = transitions.len();
        let sound = count <= capacity
            && states.len() == count * width
            && next < capacity
            && (count == capacity || next == count);
        sound.then_some(Self { width, capacity, next, transitions, states })
    }

    /// The place of the next transition, all transitions, their states.
    pub(crate) fn parts(&self) -> (usize, &[Transition], &[f32]) {
        (self.next, &self.transitions, &self.states)
    }

    pub(crate) fn len(&self) -> usize {
        self.transitions.len()
    }

    /// Adds a transition; in a full ring it replaces the oldest.
    pub(crate) fn push(&mut self, transition: Transition, state: &[f32]) {
        if self.transitions.len() < self.capacity {
            self.transitions.push(transition);
            self.states.extend_from_slice(state);
        } else {
            self.transitions[self.next] = transition;
            self.states[self.next * self.width..][..self.width].copy_from_slice(state);
        }
        self.next = (self.next + 1) % self.capacity;
    }

    /// A place drawn among those whose device's next task, if there is one, is still known.
    pub(crate) fn draw(&self, rng: &mut impl Rng) -> usize {
        loop {
            let place = rng.random_range(0..self.transitions.len());
            if self.transitions[place].discount == 0.0 || self.after(place).is_some() {
                return place;
            }
        }
    }

    /// The place of the device's next task.
    pub(crate) fn after(&self, place: usize) -> Option<usize> {
        let after = (place + 1) % self.capacity;
        let known = after != self.next && after < self.transitions.len();
        (self.transitions[place].discount > 0.0 && known).then_some(after)
    }

    pub(crate) fn transition(&self, place: usize) -> Transition {
        self.transitions[place]
    }

    pub(crate) fn state(&self, place: usize) -> &[f32] {
        &self.states[place * self.width..][..self.width]
    }
}

/// A decision of the episode at hand.
#[derive(Clone, Debug)]
struct Decision {
    arrival_slot: u32,
    action: u32,
    probability: f32,
    reward: Option<f32>,
    state: Vec<f32>,
}

/// The episode at hand, device by device.
#[derive(Clone, Debug)]
pub(crate) struct OpenEpisode {
    devices: Vec<Vec<Decision>>,
}

impl OpenEpisode {
    pub(crate) fn new(devices: usize) -> Self {
        Self { devices: vec![Vec::new(); devices] }
    }

    /// Drops all decisions.
    pub(crate) fn clear(&mut self) {
        self.devices.iter_mut().for_each(Vec::clear);
    }

    /// Adds a device's decision on the task that arrived in that slot.
    pub(crate) fn decide(
        &mut self,
        device: usize,
        arrival_slot: u32,
        action: u32,
        probability: f32,
        state: &[f32],
    ) {
        let state = state.to_vec();
        self.devices[device].push(Decision {
            arrival_slot,
            action,
            probability,
            reward: None,
            state,
        });
    }

    /// Sets the reward of the decision on an ended task.
    pub(crate) fn reward(&mut self, device: usize, arrival_slot: u32, reward: f32) {
        let decisions = self.devices[device].iter_mut().rev();
        if let Some(decision) =
            decisions.into_iter().find(|decision| decision.arrival_slot == arrival_slot)
        {
            decision.reward = Some(reward);
        }
    }

    /// Ends the episode: moves every device's decisions with a reward into the replay, in order.
    pub(crate) fn store(&mut self, discount: f64, replay: &mut Replay) {
        for decisions in &self.devices {
            let known: Vec<&Decision> =
                decisions.iter().filter(|decision| decision.reward.is_some()).collect();
            for (at, decision) in known.iter().enumerate() {
                let discount = known.get(at + 1).map_or(0.0, |next| {
                    let apart = next.arrival_slot - decision.arrival_slot;
                    discount.powi(apart as i32).max(f64::from(f32::MIN_POSITIVE)) as f32
                });
                let transition = Transition {
                    action: decision.action,
                    probability: decision.probability,
                    reward: decision.reward.unwrap_or_default(),
                    discount,
                };
                replay.push(transition, &decision.state);
            }
        }
        self.clear();
    }
}

#[cfg(test)]
mod tests;
