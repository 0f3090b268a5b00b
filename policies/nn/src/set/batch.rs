//! A batch of slots, of any number of servers each, and of rows that see them.

use std::ops::Range;

use super::shape::SetShape;

/// Slots, each with servers of its own number, and rows: tasks that wait, each in one of the slots.
/// All numbers are scaled.
///
/// ```
/// use offramp_nn::set::SetBatch;
///
/// // Two slots, of 1 and 2 servers; K = 2 slots of history; no features of servers.
/// let batch = SetBatch {
///     servers: &[1, 2],
///     loads: &[0.1, 0.2, /* oldest slot: */ 0.3, 0.4, /* newest: */ 0.5, 0.6],
///     server_features: &[],
///     // Three rows of one device feature, the first two in slot 0.
///     slot_of: &[0, 0, 1],
///     device_features: &[1.0, 2.0, 3.0],
///     // One link feature: a number for each row and server of its slot.
///     link_features: &[7.0, /* row 1: */ 8.0, /* row 2: */ 9.0, 9.5],
/// };
/// // Q of row 2 has three numbers: computing locally, then each server.
/// assert_eq!(batch.value_ranges().last(), Some(4..7));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SetBatch<'b, F> {
    /// M of each slot, at least 1.
    pub servers: &'b [u32],
    /// The loads of all slots one after the other: K × M each, the oldest slot of history first.
    pub loads: &'b [F],
    /// The features of the servers of all slots: M × S of each.
    pub server_features: &'b [F],
    /// The slot of each row.
    pub slot_of: &'b [u32],
    /// The features of task and device of each row: rows × D.
    pub device_features: &'b [F],
    /// The features of device and server of each row: M × T of each, M being that of its slot.
    pub link_features: &'b [F],
}

impl<F> SetBatch<'_, F> {
    /// Where Q of each row is among the values of the batch, 1 + M numbers each.
    pub fn value_ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.slot_of.iter().scan(0, |start, &slot| {
            let range = *start..*start + 1 + self.servers[slot as usize] as usize;
            *start = range.end;
            Some(range)
        })
    }
}

/// Where slots and rows of a batch begin. Servers, and pairs of a row and a server, are counted
/// through all slots and rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offsets {
    /// The first server of each slot, and the end of the last.
    servers: Vec<usize>,
    /// The first pair of each row, and the end of the last.
    pairs: Vec<usize>,
    /// The oldest load of each server, and the distance to the next.
    loads: Vec<(usize, usize)>,
    /// The slot of each row.
    slot_of: Vec<u32>,
}

impl Offsets {
    /// Takes in a batch.
    ///
    /// # Panics
    /// If a slice does not have the length that the others and the shape require.
    pub(crate) fn set<F>(&mut self, shape: &SetShape, batch: &SetBatch<'_, F>) {
        let Self { servers, pairs, loads, slot_of } = self;
        servers.clear();
        loads.clear();
        let mut end = 0;
        servers.push(end);
        for &count in batch.servers {
            let count = count as usize;
            assert!(count > 0, "a slot without servers");
            let start = end * shape.history_slots;
            loads.extend((start..start + count).map(|oldest| (oldest, count)));
            end += count;
            servers.push(end);
        }
        assert_eq!(batch.loads.len(), end * shape.history_slots, "loads");
        assert_eq!(batch.server_features.len(), end * shape.server_features, "server_features");
        pairs.clear();
        let mut end = 0;
        pairs.push(end);
        for &slot in batch.slot_of {
            end += batch.servers[slot as usize] as usize;
            pairs.push(end);
        }
        let rows = batch.slot_of.len();
        assert_eq!(batch.device_features.len(), rows * shape.device_features, "device_features");
        assert_eq!(batch.link_features.len(), end * shape.link_features, "link_features");
        slot_of.clear();
        slot_of.extend_from_slice(batch.slot_of);
    }

    pub(crate) fn rows(&self) -> usize {
        self.slot_of.len()
    }

    /// Servers of all slots.
    pub(crate) fn all_servers(&self) -> usize {
        self.loads.len()
    }

    /// Pairs of the first `rows` rows.
    pub(crate) fn pairs_of_first(&self, rows: usize) -> usize {
        self.pairs[rows]
    }

    /// Servers of the slots that the first `rows` rows see, and of those before.
    pub(crate) fn servers_of_first(&self, rows: usize) -> usize {
        let slots = self.slot_of[..rows].iter().map(|&slot| slot as usize + 1).max();
        self.servers[slots.unwrap_or(0)]
    }

    #[inline(always)]
    pub(crate) fn servers(&self, row: usize) -> Range<usize> {
        let slot = self.slot_of[row] as usize;
        self.servers[slot]..self.servers[slot + 1]
    }

    #[inline(always)]
    pub(crate) fn pairs(&self, row: usize) -> Range<usize> {
        self.pairs[row]..self.pairs[row + 1]
    }

    /// Q of a row.
    #[inline(always)]
    pub(crate) fn values(&self, row: usize) -> Range<usize> {
        self.pairs[row] + row..self.pairs[row + 1] + row + 1
    }

    /// All values of the first `rows` rows.
    pub(crate) fn values_of_first(&self, rows: usize) -> usize {
        self.pairs[rows] + rows
    }

    /// The load of a server in a slot of its history, if there is such a server.
    #[inline(always)]
    pub(crate) fn load(&self, server: usize, slot: usize) -> Option<usize> {
        self.loads.get(server).map(|(oldest, servers)| oldest + slot * servers)
    }
}
