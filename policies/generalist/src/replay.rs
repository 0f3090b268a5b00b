//! What is learned from: experiences, or judged decisions, of many systems, and which of them a batch
//! is.

use offramp_nn::priority::SumTree;
use offramp_nn::replay::{BySlot, Draw, Ring};
use rand::Rng;

use crate::log::Log;
use crate::parameters::Recipe;

/// Added to the size of an error, so that no experience is never drawn again; in R_base.
const LEAST_ERROR: f64 = 1e-3;

/// An experience; its states are rows of a [`Log`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Experience {
    /// The row of the state.
    pub(crate) row: u64,
    /// The row of the next state; without a meaning if `discount` is 0.
    pub(crate) next: u64,
    pub(crate) action: u32,
    /// Over R_base.
    pub(crate) reward: f32,
    /// Factor of the next state's value: γ^Δ, or 0 if there is no next state.
    pub(crate) discount: f32,
}

/// A decision, and what is known of each of its 1 + M actions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Judged {
    /// The row of the state.
    pub(crate) row: u64,
    /// What the sum of all rewards would have gained by each action: over the R_base of the task, less
    /// their mean, and brought to one level. Empty if it learns from a teacher alone.
    pub(crate) gains: Box<[f32]>,
    /// The probabilities with which the teacher would take each action; empty without a teacher.
    pub(crate) taught: Box<[f32]>,
}

/// What a state of a [`Log`] belongs to.
pub(crate) trait OfRow {
    /// The row of the state.
    fn row(&self) -> u64;
}

impl OfRow for Experience {
    fn row(&self) -> u64 {
        self.row
    }
}

impl OfRow for Judged {
    fn row(&self) -> u64 {
        self.row
    }
}

/// The last items of a kind, and all that they refer to.
#[derive(Clone, Debug)]
pub(crate) struct Replay<T> {
    pub(crate) log: Log,
    ring: Ring<T>,
    /// The items of each slot, if batches are drawn by slot.
    by_slot: Option<BySlot>,
    pub(crate) priorities: Option<Priorities>,
}

/// Weights by which experiences are drawn: (|error| + ε)^ω.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Priorities {
    pub(crate) weights: SumTree,
    /// The largest weight so far: that of an experience whose error is not known.
    pub(crate) largest: f64,
}

/// The experiences of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Drawn {
    pub(crate) indices: Vec<usize>,
    /// Importance of each, 1 at most; empty if all are 1.
    pub(crate) importance: Vec<f32>,
}

impl<T: OfRow> Replay<T> {
    /// Nothing yet, of what `log` has.
    pub(crate) fn new(log: Log, recipe: &Recipe) -> Self {
        let capacity = recipe.parameters.replay;
        let prioritised = recipe.parameters.priority > 0.0;
        Self {
            log,
            ring: Ring::new(capacity),
            by_slot: matches!(recipe.draw, Draw::Slots(_)).then(BySlot::default),
            priorities: prioritised
                .then(|| Priorities { weights: SumTree::new(capacity), largest: 1.0 }),
        }
    }

    /// Replaces everything by a log and the items of a ring, all of which it has.
    pub(crate) fn fill(&mut self, log: Log, ring: Ring<T>) {
        self.log = log;
        if let Some(by_slot) = &mut self.by_slot {
            *by_slot = BySlot::default();
            for index in ring.by_age() {
                by_slot.add(index, self.log.slot(ring.items()[index].row()));
            }
        }
        self.ring = ring;
    }

    pub(crate) fn ring(&self) -> &Ring<T> {
        &self.ring
    }

    /// Adds an item.
    pub(crate) fn push(&mut self, item: T) {
        let slot = self.log.slot(item.row());
        let (index, replaced) = self.ring.push(item);
        if let Some(by_slot) = &mut self.by_slot {
            if let Some(replaced) = replaced {
                by_slot.remove(index, self.log.slot(replaced.row()));
            }
            by_slot.add(index, slot);
        }
        if let Some(Priorities { weights, largest }) = &mut self.priorities {
            weights.set(index, *largest);
        }
    }

    /// Forgets the episodes that no item is of; nothing is pending.
    pub(crate) fn forget(&mut self) {
        // A device's next row comes after its row.
        let oldest = self.ring.items().iter().map(OfRow::row).min();
        let [_, end] = self.log.ends();
        self.log.forget_before(oldest.unwrap_or(end));
    }

    /// Draws the batch of update number `update`, counted from 0.
    pub(crate) fn draw(&self, recipe: &Recipe, update: u64, rng: &mut impl Rng) -> Drawn {
        let (batch, count) = (recipe.parameters.batch, self.ring.items().len());
        if let Some(Priorities { weights, .. }) = &self.priorities {
            let indices: Vec<usize> = (0..batch).map(|_| weights.draw(rng)).collect();
            // (count · probability)^−β, over the largest of the batch.
            let exponent = -recipe.importance_exponent(update);
            let weight = |&index: &usize| weights.weight(index);
            let least = indices.iter().map(weight).fold(f64::INFINITY, f64::min);
            let importance = indices.iter().map(|index| (weight(index) / least).powf(exponent));
            return Drawn { importance: importance.map(|one| one as f32).collect(), indices };
        }
        let indices = match (recipe.draw, &self.by_slot) {
            (Draw::Slots(run), Some(by_slot)) => by_slot.draw(run, batch, rng, |rng| {
                self.log.slot(self.ring.items()[rng.random_range(0..count)].row())
            }),
            _ => (0..batch).map(|_| rng.random_range(0..count)).collect(),
        };
        Drawn { indices, importance: Vec::new() }
    }

    /// Takes in the errors of a batch, in R_base.
    pub(crate) fn set_errors(&mut self, recipe: &Recipe, indices: &[usize], errors: &[f32]) {
        let Some(Priorities { weights, largest }) = &mut self.priorities else { return };
        for (&index, &error) in indices.iter().zip(errors) {
            let size = f64::from(error.abs()) + LEAST_ERROR;
            // What is not finite ends the training, by its loss.
            let weight = size.powf(recipe.parameters.priority).min(f64::from(f32::MAX));
            weights.set(index, weight);
            *largest = largest.max(weight);
        }
    }
}

#[cfg(test)]
mod tests {
    use offramp_nn::set::SetShape;
    use offramp_nn::stream;

    use super::*;
    use crate::log::Row;
    use crate::parameters::{LearnFrom, Parameters};

    const SHAPE: SetShape = SetShape {
        device_features: 1,
        link_features: 1,
        server_features: 0,
        history_slots: 1,
        lstm: 1,
        embedding: 1,
        hidden: 1,
    };

    /// Experiences of `episodes` episodes of two slots, each with two rows.
    fn replay(parameters: Parameters, episodes: usize) -> (Replay<Experience>, Recipe) {
        let parameters = Parameters { learn_from: LearnFrom::Rewards, ..parameters };
        let recipe = parameters.recipe(0).unwrap();
        let mut replay = Replay::new(Log::new(SHAPE), &recipe);
        for episode in 0..episodes {
            let servers = 1 + episode % 3;
            replay.log.begin_episode(servers);
            for _ in 0..2 {
                replay.log.push_slot(&vec![0.0; servers], &[]);
                for _ in 0..2 {
                    let row = replay.log.push_row(Row {
                        device: &[0.0],
                        links: &vec![0.0; servers],
                        base: 40.0,
                    });
                    let (action, reward, discount) = (0, row as f32, 0.0);
                    replay.push(Experience { row, next: 0, action, reward, discount });
                }
            }
            replay.forget();
        }
        (replay, recipe)
    }

    #[test]
    fn the_oldest_episodes_are_forgotten_with_their_experiences() {
        let parameters = Parameters { batch: 2, replay: 6, ..Parameters::default() };
        let (replay, _) = replay(parameters, 5);
        // Six experiences: the last two rows of episode 3, and all of episode 4.
        let mut rows: Vec<u64> = replay.ring.items().iter().map(|one| one.row).collect();
        rows.sort_unstable();
        assert_eq!(rows, [14, 15, 16, 17, 18, 19]);
        assert_eq!(replay.log.episodes().len(), 2);
        let mut again = replay.clone();
        again.fill(replay.log.clone(), replay.ring.clone());
        assert_eq!(again.by_slot, replay.by_slot);
    }

    #[test]
    fn a_batch_by_slots_has_all_experiences_of_each() {
        let parameters = Parameters {
            batch: 4,
            replay: 100,
            draw: Some(Draw::Slots(2)),
            ..Parameters::default()
        };
        let (replay, recipe) = replay(parameters, 5);
        for seed in 0..50 {
            let drawn = replay.draw(&recipe, 0, &mut stream(seed, 0));
            let slots: Vec<u64> = drawn
                .indices
                .iter()
                .map(|&index| replay.log.slot(replay.ring.items()[index].row))
                .collect();
            assert_eq!(slots[0], slots[1]);
            assert!(slots[2] == slots[0] + 1 || slots[0] == 9, "{slots:?}");
            assert!(drawn.importance.is_empty());
        }
    }

    /// Errors 0.199, 0.049 and else 0 with ω = 1: weights 0.2, 0.05 and 0.001. β = 0.4.
    #[test]
    fn what_was_wrong_is_drawn_more_often_and_weighs_less() {
        let parameters =
            Parameters { batch: 2000, replay: 2000, priority: 1.0, ..Parameters::default() };
        let (mut replay, recipe) = replay(parameters, 2);
        let new = &replay.priorities.as_ref().unwrap().weights;
        assert_eq!((new.total(), new.weight(7), new.weight(8)), (8.0, 1.0, 0.0));
        let all: Vec<usize> = (0..8).collect();
        replay.set_errors(&recipe, &all, &[0.0, 0.199, -0.049, 0.0, 0.0, 0.0, 0.0, 0.0]);
        let drawn = replay.draw(&recipe, 0, &mut stream(1, 0));
        let count = |index| drawn.indices.iter().filter(|&&one| one == index).count();
        let total = 0.2 + 0.05 + 6.0 * 0.001;
        for (index, weight) in [(1, 0.2), (2, 0.05)] {
            let expected = 2000.0 * weight / total;
            let found = count(index) as f64;
            assert!((found - expected).abs() < 5.0 * expected.sqrt(), "{index}: {found}");
        }
        let importance = |index| {
            let place = drawn.indices.iter().position(|&one| one == index).unwrap();
            f64::from(drawn.importance[place])
        };
        assert!((importance(1) - 200.0_f64.powf(-0.4)).abs() < 1e-3);
        assert!((importance(2) - 50.0_f64.powf(-0.4)).abs() < 1e-3);
    }
}
