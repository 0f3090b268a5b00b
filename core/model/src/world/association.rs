//! Association: the station that a device sends to, and handover from one to the next.
//!
//! Stations are compared by their signal averaged over fading ([`Signal::sinr_db`]). A device
//! measures the eight stations nearest to the middle of its square of the map.

use super::mobility::Position;
use super::radio::Signal;
use super::{InvalidWorld, check_between};

/// The stations that a device sends to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Association {
    /// A device reaches the station of every server over a link of its own. A cloud, whose server
    /// has no station, is reached over the nearest one.
    Direct,
    /// A device sends to its serving station alone; what is for another server continues over the
    /// backhaul.
    Serving(Handover),
}

/// When the serving station changes: event A3 of 3GPP TS 38.331, a neighbour whose signal is
/// better by the hysteresis for the time to trigger. A device whose serving station no longer covers
/// it changes at once, to the strongest station.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Handover {
    /// By how much the neighbour must be better, dB, 0 … 30.
    pub hysteresis_db: f64,
    /// Slots in a row for which it must be; 0 counts as 1.
    pub time_to_trigger_slots: u32,
    /// Slots after a handover in which nothing is sent.
    pub interruption_slots: u32,
}

impl Association {
    pub(super) fn check(&self) -> Result<(), InvalidWorld> {
        match self {
            Self::Direct => Ok(()),
            Self::Serving(handover) => {
                check_between("hysteresis_db", handover.hysteresis_db, 0.0, 30.0)
            }
        }
    }
}

/// No station.
const NONE: u32 = u32::MAX;
/// How many stations a device measures.
const MEASURED: usize = 8;

/// A handover back to the station before within so many seconds is a ping-pong (the minimum time of
/// stay of 3GPP TR 36.839).
pub const PING_PONG_SECONDS: f64 = 1.0;

/// Totals over an episode's devices and slots so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handovers {
    /// Handovers: changes from one serving station to another.
    pub handovers: u64,
    /// Those back to the station before within [`PING_PONG_SECONDS`].
    pub ping_pongs: u64,
    /// Device-slots in which a handover let nothing be sent.
    pub interrupted: u64,
    /// Device-slots with a serving station.
    pub covered: u64,
    /// Device-slots in which the device was present.
    pub present: u64,
}

/// The association of a device.
#[derive(Clone, Copy, Debug)]
struct Cell {
    serving: u32,
    /// The station before the serving one, and the slot in which it was left.
    before: u32,
    left: u32,
    /// The neighbour that is better by the hysteresis, and for how many slots in a row.
    better: u32,
    better_slots: u32,
    /// The first slot in which it may send again.
    sends_from: u32,
}

/// The serving stations of all devices in a slot.
#[derive(Clone, Debug)]
pub(crate) struct Cells {
    handover: Handover,
    ping_pong_slots: u32,
    cells: Vec<Cell>,
    totals: Handovers,
}

impl Cells {
    pub(crate) fn new(handover: Handover, devices: u32, slot_seconds: f64) -> Self {
        let cell = Cell {
            serving: NONE,
            before: NONE,
            left: 0,
            better: NONE,
            better_slots: 0,
            sends_from: 0,
        };
        Self {
            handover,
            ping_pong_slots: (PING_PONG_SECONDS / slot_seconds).round() as u32,
            cells: vec![cell; devices as usize],
            totals: Handovers::default(),
        }
    }

    /// The same associations under other rules of handover.
    pub(crate) fn with(self, handover: Handover) -> Self {
        Self { handover, ..self }
    }

    /// Counts on from `totals`.
    pub(crate) fn count_from(&mut self, totals: Handovers) {
        self.totals = totals;
    }

    /// The association of a device in `slot`, given the measured stations with their signals; of an
    /// absent device none. Call it once per device and slot.
    pub(crate) fn advance(
        &mut self,
        device: u32,
        slot: u32,
        is_present: bool,
        mut signal: impl FnMut(u32) -> Signal,
        measured: &[u32],
    ) {
        let cell = &mut self.cells[device as usize];
        if !is_present {
            (cell.serving, cell.better, cell.better_slots) = (NONE, NONE, 0);
            return;
        }
        self.totals.present += 1;
        // The strongest station but the serving one; of equal ones the first.
        let mut strongest = None;
        for &station in measured {
            if station == cell.serving {
                continue;
            }
            let measured = signal(station);
            if measured.covered && strongest.is_none_or(|(_, most)| measured.sinr_db > most) {
                strongest = Some((station, measured.sinr_db));
            }
        }
        let own = (cell.serving != NONE).then(|| signal(cell.serving));
        let next = match (own.filter(|own| own.covered), strongest) {
            (Some(own), Some((station, sinr_db)))
                if sinr_db > own.sinr_db + self.handover.hysteresis_db =>
            {
                if cell.better != station {
                    (cell.better, cell.better_slots) = (station, 0);
                }
                cell.better_slots += 1;
                let triggers = cell.better_slots >= self.handover.time_to_trigger_slots.max(1);
                if triggers { station } else { cell.serving }
            }
            (Some(_), _) => {
                (cell.better, cell.better_slots) = (NONE, 0);
                cell.serving
            }
            (None, strongest) => strongest.map_or(NONE, |(station, _)| station),
        };
        if next != cell.serving {
            if cell.serving != NONE && next != NONE {
                self.totals.handovers += 1;
                let back = next == cell.before && slot - cell.left <= self.ping_pong_slots;
                self.totals.ping_pongs += u64::from(back);
                cell.sends_from = slot.saturating_add(self.handover.interruption_slots);
            }
            if cell.serving != NONE {
                (cell.before, cell.left) = (cell.serving, slot);
            }
            (cell.serving, cell.better, cell.better_slots) = (next, NONE, 0);
        }
        if cell.serving != NONE {
            self.totals.covered += 1;
            self.totals.interrupted += u64::from(slot < cell.sends_from);
        }
    }

    /// The station that serves a device.
    pub(crate) fn serving(&self, device: u32) -> Option<u32> {
        let station = self.cells[device as usize].serving;
        (station != NONE).then_some(station)
    }

    /// The station that a device can send to in `slot`: none outside all coverage and during the
    /// interruption of a handover.
    pub(crate) fn sends_to(&self, device: u32, slot: u32) -> Option<u32> {
        let cell = &self.cells[device as usize];
        self.serving(device).filter(|_| slot >= cell.sends_from)
    }

    pub(crate) fn totals(&self) -> Handovers {
        self.totals
    }
}

/// The stations that a device measures, by its square of the map: a grid over all stations whose
/// squares number about as many as they, each with the stations nearest to its middle.
#[derive(Clone, Debug)]
pub(crate) struct Neighbours {
    corner: Position,
    square_m: f64,
    columns: usize,
    rows: usize,
    /// The stations of all squares, [`Self::each`] per square, nearest first.
    stations: Vec<u32>,
    each: usize,
}

impl Neighbours {
    pub(crate) fn new(stations: &[Position]) -> Self {
        let bounds = |coordinate: fn(&Position) -> f64| {
            let all = stations.iter().map(coordinate);
            all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            })
        };
        let ((west, east), (south, north)) = (bounds(|place| place.x_m), bounds(|place| place.y_m));
        let side = (stations.len() as f64).sqrt().ceil();
        let square_m = ((east - west).max(north - south) / side).max(1.0);
        let squares = |length: f64| (length / square_m).floor() as usize + 1;
        let (columns, rows) = (squares(east - west), squares(north - south));
        let each = stations.len().min(MEASURED);
        let mut nearest: Vec<u32> = (0..stations.len() as u32).collect();
        let mut listed = Vec::with_capacity(columns * rows * each);
        for square in 0..columns * rows {
            let middle = |index: usize| (index as f64 + 0.5) * square_m;
            let (column, row) = (square % columns, square / columns);
            let place = Position { x_m: west + middle(column), y_m: south + middle(row) };
            let distance = |station: &u32| stations[*station as usize].distance_m(place);
            let nearer = |a: &u32, b: &u32| distance(a).total_cmp(&distance(b)).then(a.cmp(b));
            nearest.select_nth_unstable_by(each - 1, nearer);
            let first = listed.len();
            listed.extend(&nearest[..each]);
            listed[first..].sort_unstable_by(nearer);
        }
        Self {
            corner: Position { x_m: west, y_m: south },
            square_m,
            columns,
            rows,
            stations: listed,
            each,
        }
    }

    /// The stations that a device at `place` measures, at least one.
    pub(crate) fn of(&self, place: Position) -> &[u32] {
        // Outside the grid, the square at its edge.
        let index =
            |offset: f64, count: usize| ((offset / self.square_m).max(0.0) as usize).min(count - 1);
        let column = index(place.x_m - self.corner.x_m, self.columns);
        let row = index(place.y_m - self.corner.y_m, self.rows);
        let first = (row * self.columns + column) * self.each;
        &self.stations[first..first + self.each]
    }
}
