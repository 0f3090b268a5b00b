//! The place of a slot in a training.

use crate::data::{Context, EpisodeStart};

/// How far a training is, for what changes over a share of it; of an explorer or learner with
/// [`Needs::LENGTH`](crate::Needs::LENGTH).
#[derive(Clone, Copy, Debug)]
pub struct TrainingPlace {
    /// Slots of the training; 0 if it is not known.
    slots: u64,
    /// Slots before the episode at hand.
    before: u64,
}

impl TrainingPlace {
    /// The begin of the training that an instance is created for.
    pub fn new(context: &Context<'_>) -> Self {
        Self { slots: context.learning_steps, before: 0 }
    }

    /// Moves to the begin of an episode.
    pub fn begin_episode(&mut self, start: &EpisodeStart<'_>) {
        let system = start.system;
        let slots = u64::from(system.arrival_slots) + u64::from(system.deadline_slots);
        self.before = start.episode.saturating_mul(slots);
    }

    /// Share of the training that lies before `slot` of the episode at hand, 0 to 1; 0 without a
    /// length.
    pub fn share(self, slot: u32) -> f64 {
        let done = self.before.saturating_add(slot.into()) as f64;
        if self.slots == 0 { 0.0 } else { (done / self.slots as f64).min(1.0) }
    }

    /// Progress, 0 to 1, of what begins with the training and ends after the share `over` of it;
    /// always 0 if `over` is 0.
    pub fn progress(self, slot: u32, over: f64) -> f64 {
        if over > 0.0 { (self.share(slot) / over).min(1.0) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    #[test]
    fn a_place_is_a_share_of_the_training() {
        let mut bench = Bench::new(1, 1);
        // Its episodes have 110 slots.
        bench.learning_steps = 4 * 110;
        let mut place = bench.context(TrainingPlace::new);
        let mut at = |episode: u64, slot: u32| {
            bench.episode(episode, |start| place.begin_episode(start));
            (place.share(slot), place.progress(slot, 0.5), place.progress(slot, 0.0))
        };
        assert_eq!(at(0, 0), (0.0, 0.0, 0.0));
        assert_eq!(at(1, 0), (0.25, 0.5, 0.0));
        assert_eq!(at(1, 55), (0.375, 0.75, 0.0));
        assert_eq!(at(3, 0), (0.75, 1.0, 0.0));
        assert_eq!(at(9, 0), (1.0, 1.0, 0.0));
        bench.learning_steps = 0;
        let mut place = bench.context(TrainingPlace::new);
        bench.episode(3, |start| place.begin_episode(start));
        assert_eq!(place.progress(5, 0.5), 0.0);
    }
}
