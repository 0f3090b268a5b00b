//! What was seen in the episodes that experience is of: slots and rows, each stored once.
//!
//! Systems differ from episode to episode, so a state is ragged: M servers in its slot, M links in
//! its row. Rows have a number that never repeats, and know their slot; an experience is two such
//! numbers. An episode is forgotten as a whole, once nothing refers to it.

use std::collections::VecDeque;

use offramp_nn::set::{SetBatch, SetShape};

/// Contents of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    /// D features.
    pub(crate) device: &'a [f32],
    /// M × T features.
    pub(crate) links: &'a [f32],
    /// R_base of its task.
    pub(crate) base: f32,
}

/// The slots and rows of episodes, the oldest first.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Log {
    shape: SetShape,
    episodes: VecDeque<EpisodeLog>,
    /// The numbers that the next slot and row will have.
    next_slot: u64,
    next_row: u64,
}

/// An episode: all in it have the same number of servers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EpisodeLog {
    /// M.
    pub(crate) servers: usize,
    /// The numbers of its first slot and row.
    pub(crate) first_slot: u64,
    pub(crate) first_row: u64,
    /// M for each slot, after K − 1 slots of zeros.
    pub(crate) loads: Vec<f32>,
    /// M × S for each slot.
    pub(crate) server_features: Vec<f32>,
    /// D, then M × T, of each row.
    pub(crate) rows: Vec<f32>,
    /// The slot of each row, counted from the first of the episode.
    pub(crate) slot_of: Vec<u32>,
    /// R_base of each row's task.
    pub(crate) bases: Vec<f32>,
}

impl EpisodeLog {
    /// K − 1 slots of zeros, and nothing else.
    pub(crate) fn new(shape: &SetShape, servers: usize, first_slot: u64, first_row: u64) -> Self {
        Self {
            servers,
            first_slot,
            first_row,
            loads: vec![0.0; (shape.history_slots - 1) * servers],
            server_features: Vec::new(),
            rows: Vec::new(),
            slot_of: Vec::new(),
            bases: Vec::new(),
        }
    }

    /// Slots so far.
    pub(crate) fn slots(&self, shape: &SetShape) -> usize {
        self.loads.len() / self.servers + 1 - shape.history_slots
    }

    /// Numbers of a row.
    fn width(&self, shape: &SetShape) -> usize {
        shape.device_features + self.servers * shape.link_features
    }

    /// True if its lists have the lengths that the others require.
    pub(crate) fn is_whole(&self, shape: &SetShape) -> bool {
        let (slots, rows) = (self.loads.len() / self.servers, self.slot_of.len());
        slots + 1 >= shape.history_slots
            && self.loads.len() == slots * self.servers
            && self.server_features.len()
                == self.slots(shape) * self.servers * shape.server_features
            && self.rows.len() == rows * self.width(shape)
            && self.bases.len() == rows
            && self.slot_of.iter().all(|&slot| (slot as usize) < self.slots(shape))
    }
}

impl Log {
    /// Nothing.
    pub(crate) fn new(shape: SetShape) -> Self {
        Self { shape, episodes: VecDeque::new(), next_slot: 0, next_row: 0 }
    }

    /// A log of these episodes, the oldest first; `None` if they contradict each other.
    pub(crate) fn of(
        shape: SetShape,
        episodes: VecDeque<EpisodeLog>,
        [next_slot, next_row]: [u64; 2],
    ) -> Option<Self> {
        let end = |one: &EpisodeLog| {
            let (slots, rows) = (one.slots(&shape) as u64, one.slot_of.len() as u64);
            (one.first_slot.wrapping_add(slots), one.first_row.wrapping_add(rows))
        };
        let ends = episodes.iter().map(end);
        let begins = episodes.iter().skip(1).map(|one| (one.first_slot, one.first_row));
        let fits = ends.eq(begins.chain((!episodes.is_empty()).then_some((next_slot, next_row))));
        fits.then_some(Self { shape, episodes, next_slot, next_row })
    }

    /// All episodes.
    pub(crate) fn episodes(&self) -> &VecDeque<EpisodeLog> {
        &self.episodes
    }

    /// The numbers that the next slot and row will have.
    pub(crate) fn ends(&self) -> [u64; 2] {
        [self.next_slot, self.next_row]
    }

    /// Begins an episode of so many servers.
    pub(crate) fn begin_episode(&mut self, servers: usize) {
        let Self { shape, next_slot, next_row, .. } = self;
        self.episodes.push_back(EpisodeLog::new(shape, servers, *next_slot, *next_row));
    }

    /// Adds a slot to the last episode: M loads, and M × S features.
    ///
    /// # Panics
    /// If no episode has begun.
    pub(crate) fn push_slot(&mut self, loads: &[f32], server_features: &[f32]) {
        let episode = self.last();
        episode.loads.extend_from_slice(loads);
        episode.server_features.extend_from_slice(server_features);
        self.next_slot += 1;
    }

    /// Adds a row to the last slot; returns its number.
    ///
    /// # Panics
    /// If there is no slot.
    pub(crate) fn push_row(&mut self, row: Row<'_>) -> u64 {
        let slot = self.next_slot - 1 - self.last().first_slot;
        self.push_row_of(slot as u32, row)
    }

    /// Adds a row to a slot of the last episode, which counts from 0; returns its number.
    ///
    /// # Panics
    /// If no episode has begun.
    pub(crate) fn push_row_of(&mut self, slot: u32, row: Row<'_>) -> u64 {
        let episode = self.last();
        episode.rows.extend_from_slice(row.device);
        episode.rows.extend_from_slice(row.links);
        episode.slot_of.push(slot);
        episode.bases.push(row.base);
        self.next_row += 1;
        self.next_row - 1
    }

    /// The episode under way.
    fn last(&mut self) -> &mut EpisodeLog {
        match self.episodes.back_mut() {
            Some(last) => last,
            None => panic!("no episode has begun"),
        }
    }

    /// The episode of a row, and the row's place in it.
    fn find(&self, row: u64) -> (&EpisodeLog, usize) {
        let after = self.episodes.partition_point(|episode| episode.first_row <= row);
        let episode = &self.episodes[after - 1];
        (episode, (row - episode.first_row) as usize)
    }

    /// True if it has this row.
    pub(crate) fn has(&self, row: u64) -> bool {
        let first = self.episodes.front().map_or(self.next_row, |oldest| oldest.first_row);
        (first..self.next_row).contains(&row)
    }

    /// The number of a row's slot.
    pub(crate) fn slot(&self, row: u64) -> u64 {
        let (episode, place) = self.find(row);
        episode.first_slot + u64::from(episode.slot_of[place])
    }

    /// R_base of a row's task.
    pub(crate) fn base(&self, row: u64) -> f32 {
        let (episode, place) = self.find(row);
        episode.bases[place]
    }

    /// M in a row's slot.
    pub(crate) fn servers(&self, row: u64) -> usize {
        self.find(row).0.servers
    }

    /// Forgets the episodes of which all rows come before `row`.
    pub(crate) fn forget_before(&mut self, row: u64) {
        while self.episodes.get(1).is_some_and(|second| second.first_row <= row) {
            self.episodes.pop_front();
        }
    }
}

/// Rows of any episodes with their slots, gathered for a network. Rows of the same slot share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gathered {
    /// The number of each slot.
    numbers: Vec<u64>,
    servers: Vec<u32>,
    loads: Vec<f32>,
    server_features: Vec<f32>,
    slot_of: Vec<u32>,
    device_features: Vec<f32>,
    link_features: Vec<f32>,
}

impl Gathered {
    pub(crate) fn clear(&mut self) {
        let Self { numbers, servers, loads, server_features, slot_of, .. } = self;
        numbers.clear();
        servers.clear();
        slot_of.clear();
        let Self { device_features, link_features, .. } = self;
        for list in [loads, server_features, device_features, link_features] {
            list.clear();
        }
    }

    /// Adds a row of `log`.
    pub(crate) fn add(&mut self, log: &Log, row: u64) {
        let (shape, (episode, place)) = (&log.shape, log.find(row));
        let (servers, slot) = (episode.servers, episode.slot_of[place] as usize);
        let number = episode.first_slot + slot as u64;
        // Rows of a slot come one after the other: those that share it are not far.
        let slot_place = match self.numbers.iter().rposition(|&other| other == number) {
            Some(place) => place,
            None => {
                self.numbers.push(number);
                self.servers.push(servers as u32);
                let window = slot * servers..(slot + shape.history_slots) * servers;
                self.loads.extend_from_slice(&episode.loads[window]);
                let of_slot = servers * shape.server_features;
                let features = &episode.server_features[slot * of_slot..(slot + 1) * of_slot];
                self.server_features.extend_from_slice(features);
                self.numbers.len() - 1
            }
        };
        self.slot_of.push(slot_place as u32);
        let width = episode.width(shape);
        let row = &episode.rows[place * width..(place + 1) * width];
        let (device, links) = row.split_at(shape.device_features);
        self.device_features.extend_from_slice(device);
        self.link_features.extend_from_slice(links);
    }

    /// As a network takes them.
    pub(crate) fn batch(&self) -> SetBatch<'_, f32> {
        SetBatch {
            servers: &self.servers,
            loads: &self.loads,
            server_features: &self.server_features,
            slot_of: &self.slot_of,
            device_features: &self.device_features,
            link_features: &self.link_features,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D = 1, T = 1, S = 1, K = 2.
    const SHAPE: SetShape = SetShape {
        device_features: 1,
        link_features: 1,
        server_features: 1,
        history_slots: 2,
        lstm: 1,
        embedding: 1,
        hidden: 1,
    };

    /// An episode of one server and two slots, the second with two rows; one of two servers, and a
    /// row in its second slot.
    fn log() -> Log {
        let mut log = Log::new(SHAPE);
        log.begin_episode(1);
        log.push_slot(&[0.1], &[1.0]);
        log.push_slot(&[0.2], &[2.0]);
        assert_eq!(log.push_row(Row { device: &[10.0], links: &[11.0], base: 40.0 }), 0);
        assert_eq!(log.push_row(Row { device: &[20.0], links: &[21.0], base: 16.0 }), 1);
        log.begin_episode(2);
        log.push_slot(&[0.3, 0.4], &[3.0, 4.0]);
        log.push_slot(&[0.5, 0.6], &[5.0, 6.0]);
        assert_eq!(log.push_row(Row { device: &[30.0], links: &[31.0, 32.0], base: 80.0 }), 2);
        log
    }

    #[test]
    fn rows_are_gathered_with_their_slots() {
        let log = log();
        let mut gathered = Gathered::default();
        for row in [1, 2, 0] {
            gathered.add(&log, row);
        }
        let SetBatch { servers, loads, server_features, slot_of, device_features, link_features } =
            gathered.batch();
        assert_eq!((servers, slot_of), (&[1, 2][..], &[0, 1, 0][..]));
        assert_eq!(loads, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]);
        assert_eq!(server_features, [2.0, 5.0, 6.0]);
        assert_eq!(device_features, [20.0, 30.0, 10.0]);
        assert_eq!(link_features, [21.0, 31.0, 32.0, 11.0]);
        assert_eq!([0, 1, 2].map(|row| log.slot(row)), [1, 1, 3]);
        assert_eq!([0, 1, 2].map(|row| log.base(row)), [40.0, 16.0, 80.0]);
        assert_eq!([0, 1, 2].map(|row| log.servers(row)), [1, 1, 2]);
    }

    #[test]
    fn an_episode_is_forgotten_once_all_its_rows_are() {
        let mut log = log();
        log.forget_before(1);
        assert!(log.has(0) && log.has(2) && !log.has(3));
        log.forget_before(2);
        assert!(!log.has(1) && log.has(2));
        assert_eq!(log.slot(2), 3);
        // The last one stays: it is under way.
        log.forget_before(3);
        assert!(log.has(2));
    }

    #[test]
    fn episodes_make_a_whole_or_are_refused() {
        let log = log();
        let again = Log::of(SHAPE, log.episodes().clone(), log.ends());
        assert_eq!(again.as_ref(), Some(&log));
        assert!(log.episodes().iter().all(|episode| episode.is_whole(&SHAPE)));
        let [slots, rows] = log.ends();
        assert_eq!(Log::of(SHAPE, log.episodes().clone(), [slots + 1, rows]), None);
        let mut episode = log.episodes()[1].clone();
        episode.slot_of[0] = 2;
        assert!(!episode.is_whole(&SHAPE));
    }
}
