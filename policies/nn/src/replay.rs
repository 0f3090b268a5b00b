//! Experience replay: the memory that a network learns from.
//!
//! A state is the features o and a window h of K load vectors. Windows of neighbouring slots
//! overlap in all but one row, so no experience stores its own: the loads of each slot are stored
//! once, in a [`LoadLog`], and an experience knows where its window ends.

use std::collections::VecDeque;
use std::ops::Range;

use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::real::Real;

/// How the experiences of a batch are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Draw {
    /// Each by itself.
    Experiences,
    /// By runs of so many successive slots, with all experiences of each slot (16 at most): they saw
    /// the same window of history, and the next states of a run have many windows in common, so that
    /// the LSTM runs about ten times less. For one network that several devices share.
    Slots(u64),
}

/// Experiences of a slot in a batch, at most: more would be of one situation, and few slots' then.
pub const ROWS_OF_A_SLOT: usize = 16;

/// The loads of successive slots, by a number that never repeats.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadLog<F> {
    servers: usize,
    /// The number of the first row that is still kept.
    first: u64,
    rows: Vec<F>,
}

impl<F: Real> LoadLog<F> {
    /// An empty log of rows of `servers` loads.
    pub fn new(servers: usize) -> Self {
        Self { servers, first: 0, rows: Vec::new() }
    }

    /// A log from the parts that [`LoadLog::parts`] returned.
    pub fn from_parts(servers: usize, first: u64, rows: Vec<F>) -> Self {
        Self { servers, first, rows }
    }

    /// The number of the first row kept, and all rows kept.
    pub fn parts(&self) -> (u64, &[F]) {
        (self.first, &self.rows)
    }

    /// Adds a slot's loads; returns its number.
    pub fn push(&mut self, load: impl IntoIterator<Item = F>) -> u64 {
        self.rows.extend(load);
        self.end() - 1
    }

    /// The number that the next row will have.
    pub fn end(&self) -> u64 {
        self.first + (self.rows.len() / self.servers) as u64
    }

    /// The row of a number that is still kept.
    ///
    /// # Panics
    /// If it has been forgotten or does not exist yet.
    #[inline]
    pub fn row(&self, number: u64) -> &[F] {
        let start = (number - self.first) as usize * self.servers;
        &self.rows[start..start + self.servers]
    }

    /// The rows of successive numbers that are still kept.
    ///
    /// # Panics
    /// If one has been forgotten or does not exist yet.
    #[inline]
    pub fn rows(&self, numbers: Range<u64>) -> &[F] {
        let place = |number: u64| (number - self.first) as usize * self.servers;
        &self.rows[place(numbers.start)..place(numbers.end)]
    }

    /// Forgets the rows before `number`. They are dropped in batches, so that a slot costs the same
    /// whatever the length.
    pub fn forget_before(&mut self, number: u64) {
        let forgotten = number.saturating_sub(self.first) as usize * self.servers;
        if forgotten > self.rows.len() / 2 {
            self.rows.drain(..forgotten);
            self.first = number;
        }
    }
}

/// An experience without the features of its two states.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Experience<F> {
    /// The number of the newest row of the state's window.
    pub window: u64,
    /// The same for the next state.
    pub next_window: u64,
    /// The action taken.
    pub action: u32,
    /// The reward, in the network's scale.
    pub reward: F,
    /// Factor of the next state's value: γ^Δ, or 0 if there is no next state.
    pub discount: F,
}

/// The last so many items, in a ring.
#[derive(Clone, Debug, PartialEq)]
pub struct Ring<T> {
    capacity: usize,
    /// Where the next one goes.
    next: usize,
    items: Vec<T>,
}

impl<T> Ring<T> {
    /// An empty ring of `capacity` items, at least 1.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, next: 0, items: Vec::new() }
    }

    /// Adds an item; in a full ring it replaces the oldest. Returns its index, and what it
    /// replaced.
    pub fn push(&mut self, item: T) -> (usize, Option<T>) {
        let index = self.next;
        let replaced = if self.items.len() < self.capacity {
            self.items.push(item);
            None
        } else {
            Some(std::mem::replace(&mut self.items[index], item))
        };
        self.next = (index + 1) % self.capacity;
        (index, replaced)
    }

    /// The indices of all items, the oldest first.
    pub fn by_age(&self) -> impl Iterator<Item = usize> + use<T> {
        let oldest = if self.items.len() < self.capacity { 0 } else { self.next };
        (oldest..self.items.len()).chain(0..oldest)
    }

    /// All items, by index.
    pub fn items(&self) -> &[T] {
        &self.items
    }

    /// Where the next item goes.
    pub fn next(&self) -> usize {
        self.next
    }

    /// A ring from what [`Ring::next`] and [`Ring::items`] returned; `None` if they contradict each
    /// other.
    pub fn from_parts(capacity: usize, next: usize, items: Vec<T>) -> Option<Self> {
        let count = items.len();
        let fits =
            count <= capacity && next < capacity.max(1) && (count == capacity || next == count);
        fits.then_some(Self { capacity, next, items })
    }
}

/// The last experiences, in a ring.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay<F> {
    width: usize,
    experiences: Ring<Experience<F>>,
    features: Vec<F>,
    next_features: Vec<F>,
}

impl<F: Real> Replay<F> {
    /// An empty ring of `capacity` experiences of `width` features, both at least 1.
    pub fn new(capacity: usize, width: usize) -> Self {
        let experiences = Ring::new(capacity);
        Self { width, experiences, features: Vec::new(), next_features: Vec::new() }
    }

    /// Adds an experience; in a full ring it replaces the oldest. Returns its index, and what it
    /// replaced.
    ///
    /// # Panics
    /// If the features are not of the ring's width.
    pub fn push(
        &mut self,
        experience: Experience<F>,
        features: &[F],
        next_features: &[F],
    ) -> (usize, Option<Experience<F>>) {
        assert!(features.len() == self.width && next_features.len() == self.width);
        let (index, replaced) = self.experiences.push(experience);
        if replaced.is_none() {
            self.features.extend_from_slice(features);
            self.next_features.extend_from_slice(next_features);
        } else {
            let range = index * self.width..(index + 1) * self.width;
            self.features[range.clone()].copy_from_slice(features);
            self.next_features[range].copy_from_slice(next_features);
        }
        (index, replaced)
    }

    /// The indices of all experiences, the oldest first.
    pub fn by_age(&self) -> impl Iterator<Item = usize> + use<F> {
        self.experiences.by_age()
    }

    /// Number of experiences.
    pub fn len(&self) -> usize {
        self.experiences.items.len()
    }

    /// True if there are no experiences.
    pub fn is_empty(&self) -> bool {
        self.experiences.items.is_empty()
    }

    /// An experience by index, below [`Replay::len`].
    ///
    /// # Panics
    /// If there is none.
    pub fn experience(&self, index: usize) -> &Experience<F> {
        &self.experiences.items[index]
    }

    /// The features of its state, F.
    ///
    /// # Panics
    /// If there is no such experience.
    pub fn features(&self, index: usize) -> &[F] {
        &self.features[index * self.width..(index + 1) * self.width]
    }

    /// The features of its next state, F.
    ///
    /// # Panics
    /// If there is no such experience.
    pub fn next_features(&self, index: usize) -> &[F] {
        &self.next_features[index * self.width..(index + 1) * self.width]
    }

    /// Draws an index, all equally likely.
    ///
    /// # Panics
    /// If there are no experiences.
    pub fn draw(&self, rng: &mut impl Rng) -> usize {
        rng.random_range(0..self.len())
    }

    /// The smallest row number that any window begins at, for windows of `history_slots` rows.
    pub fn oldest_row(&self, history_slots: usize) -> Option<u64> {
        let windows = self.experiences.items.iter().map(|experience| experience.window);
        Some((windows.min()? + 1).saturating_sub(history_slots as u64))
    }

    /// Plain arrays to be saved: the place of the next experience; window, next window and action
    /// of each; reward and discount of each; features; next features.
    pub fn parts(&self) -> (usize, Vec<u64>, Vec<F>, &[F], &[F]) {
        let all = &self.experiences.items;
        let whole = all.iter().flat_map(|e| [e.window, e.next_window, u64::from(e.action)]);
        let real = all.iter().flat_map(|e| [e.reward, e.discount]);
        let next = self.experiences.next;
        (next, whole.collect(), real.collect(), &self.features, &self.next_features)
    }

    /// A ring from the parts that [`Replay::parts`] returned; `None` if they contradict each other.
    pub fn from_parts(
        capacity: usize,
        width: usize,
        (next, whole, real): (usize, &[u64], &[F]),
        features: Vec<F>,
        next_features: Vec<F>,
    ) -> Option<Self> {
        let experiences: Vec<_> = whole
            .chunks_exact(3)
            .zip(real.chunks_exact(2))
            .map(|(whole, real)| Experience {
                window: whole[0],
                next_window: whole[1],
                action: whole[2] as u32,
                reward: real[0],
                discount: real[1],
            })
            .collect();
        let count = experiences.len();
        let fits = whole.len() == 3 * count
            && real.len() == 2 * count
            && features.len() == count * width
            && next_features.len() == count * width;
        let experiences = Ring::from_parts(capacity, next, experiences).filter(|_| fits)?;
        Some(Self { width, experiences, features, next_features })
    }
}

/// The experiences of each slot: where one network learns from many devices, those that decided in
/// the same slot saw the same window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BySlot {
    /// The number of the first slot's row.
    first: u64,
    /// Indices in the ring, in the order in which they came.
    slots: VecDeque<Vec<u32>>,
}

impl BySlot {
    /// The slots of all experiences of a ring.
    pub fn of<F: Real>(replay: &Replay<F>) -> Self {
        let mut by_slot = Self::default();
        for index in replay.by_age() {
            by_slot.add(index, replay.experience(index).window);
        }
        by_slot
    }

    /// Adds an experience whose window ends at row `window`.
    pub fn add(&mut self, index: usize, window: u64) {
        if self.slots.is_empty() {
            self.first = window;
        }
        // The reward of an earlier decision may come after that of a later one.
        while window < self.first {
            self.slots.push_front(Vec::new());
            self.first -= 1;
        }
        let place = (window - self.first) as usize;
        if place >= self.slots.len() {
            self.slots.resize(place + 1, Vec::new());
        }
        self.slots[place].push(index as u32);
    }

    /// Removes an experience that was added.
    pub fn remove(&mut self, index: usize, window: u64) {
        let place = window.checked_sub(self.first).map(|place| place as usize);
        if let Some(slot) = place.and_then(|place| self.slots.get_mut(place)) {
            slot.retain(|&other| other as usize != index);
        }
        while self.slots.front().is_some_and(Vec::is_empty) {
            self.slots.pop_front();
            self.first += 1;
        }
    }

    /// Draws a batch by runs of `run` slots: `first` returns the first row of the next run, that of
    /// an experience drawn at random. Returns the indices of `batch` experiences.
    pub fn draw<R: Rng>(
        &self,
        run: u64,
        batch: usize,
        rng: &mut R,
        first: impl Fn(&mut R) -> u64,
    ) -> Vec<usize> {
        let mut drawn = Vec::with_capacity(batch + ROWS_OF_A_SLOT);
        while drawn.len() < batch {
            let first = first(rng);
            for window in first..first + run {
                let of_slot = self.at(window);
                if of_slot.len() <= ROWS_OF_A_SLOT {
                    drawn.extend(of_slot.iter().map(|&index| index as usize));
                } else {
                    let start = rng.random_range(0..of_slot.len());
                    let from_there = of_slot.iter().cycle().skip(start).take(ROWS_OF_A_SLOT);
                    drawn.extend(from_there.map(|&index| index as usize));
                }
            }
        }
        drawn.truncate(batch);
        drawn
    }

    /// The indices of the experiences whose window ends at row `window`.
    pub fn at(&self, window: u64) -> &[u32] {
        let place = window.checked_sub(self.first).map(|place| place as usize);
        place.and_then(|place| self.slots.get(place)).map_or(&[], Vec::as_slice)
    }
}

/// Copies the windows of `history_slots` rows that end at `newest` into `into`, one after the other.
pub fn gather_windows<F: Real>(
    log: &LoadLog<F>,
    history_slots: usize,
    newest: impl IntoIterator<Item = u64>,
    into: &mut Vec<F>,
) {
    into.clear();
    for newest in newest {
        into.extend_from_slice(log.rows(newest + 1 - history_slots as u64..newest + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_those_of_their_time() {
        let mut log = LoadLog::new(2);
        let numbers: Vec<u64> =
            (0..40).map(|slot| log.push([f64::from(slot), f64::from(-slot)])).collect();
        assert_eq!(numbers[39], 39);
        log.forget_before(25);
        let mut windows = Vec::new();
        gather_windows(&log, 3, [30, 39], &mut windows);
        let slots = [28.0, 29.0, 30.0, 37.0, 38.0, 39.0];
        let expected: Vec<f64> = slots.iter().flat_map(|slot| [*slot, -slot]).collect();
        assert_eq!(windows, expected);
    }

    /// Experiences come in any order of slots, are overwritten, and the index is the same as one
    /// made anew.
    #[test]
    fn experiences_are_found_by_their_slot() {
        let mut replay = Replay::new(4, 1);
        let mut by_slot = BySlot::default();
        for window in [5, 6, 5, 4, 7, 7, 5, 9] {
            let experience =
                Experience { window, next_window: 9, action: 0, reward: 0.0, discount: 0.0 };
            let (index, replaced) = replay.push(experience, &[0.0_f32], &[0.0]);
            if let Some(replaced) = replaced {
                by_slot.remove(index, replaced.window);
            }
            by_slot.add(index, window);
            for window in 0..12 {
                let expected: Vec<u32> = (replay.by_age())
                    .filter(|&index| replay.experience(index).window == window)
                    .map(|index| index as u32)
                    .collect();
                assert_eq!(by_slot.at(window), expected);
                assert_eq!(BySlot::of(&replay).at(window), expected);
            }
        }
    }

    #[test]
    fn the_oldest_makes_place_and_parts_make_a_whole() {
        let mut replay = Replay::new(3, 1);
        for number in 0..5_u32 {
            let experience = Experience {
                window: u64::from(number),
                next_window: 9,
                action: number,
                reward: 0.5,
                discount: 0.9,
            };
            replay.push(experience, &[f64::from(number)], &[0.0]);
            let (next, whole, real, features, next_features) = replay.parts();
            let again = Replay::from_parts(
                3,
                1,
                (next, &whole, &real),
                features.to_vec(),
                next_features.to_vec(),
            );
            assert_eq!(again.as_ref(), Some(&replay));
        }
        let kept: Vec<u32> = (0..3).map(|index| replay.experience(index).action).collect();
        assert_eq!(kept, [3, 4, 2]);
        assert_eq!(replay.features(1), [4.0]);
        assert_eq!(replay.oldest_row(2), Some(1));
    }
}
