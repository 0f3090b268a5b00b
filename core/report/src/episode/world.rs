//! The world of an episode: where stations stand, and where each device is and what serves it, slot by
//! slot. None of it depends on decisions, so a page has it once, whatever its policies.

use serde::Serialize;

/// The world of an episode; positions in metres from the south-western corner.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct World {
    /// From west to east, metres.
    pub width_m: f64,
    /// From south to north, metres.
    pub height_m: f64,
    /// The stations; server j stands at station j.
    pub stations: Vec<(f64, f64)>,
    /// For each device from the first on, its whereabouts in each slot.
    pub ways: Vec<Vec<Whereabouts>>,
}

/// Where a device is as a slot begins, and how it is connected then.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Whereabouts {
    /// Its position: x and y.
    pub position: (f64, f64),
    /// False before its recorded track begins, and after its end.
    pub is_present: bool,
    /// The station that serves it, counted from 0; `None` outside all coverage, and where devices
    /// reach each station over a link of its own.
    pub serving: Option<u32>,
    /// False if it reaches no server: outside coverage, and while a handover interrupts its link.
    pub can_send: bool,
}

/// The world as the page reads it: one entry per device in each column.
#[derive(Serialize)]
pub(super) struct Columns {
    width_m: f64,
    height_m: f64,
    stations_dm: Vec<(i64, i64)>,
    /// In the first slot; then the differences from slot to slot, unless it never moves.
    x_dm: Vec<Vec<i64>>,
    y_dm: Vec<Vec<i64>>,
    /// Pairs of a slot and the station, counted from 1, that serves from then on; 0 is none.
    serving: Vec<Vec<u32>>,
    /// Pairs of the first slot in which a device is present but can't send, and the first in which it
    /// can.
    silent: Vec<Vec<u32>>,
    /// Likewise of slots in which it is absent.
    absent: Vec<Vec<u32>>,
}

impl Columns {
    /// The world with its first `devices`.
    pub(super) fn new(world: &World, devices: u32) -> Self {
        let ways = &world.ways[..world.ways.len().min(devices as usize)];
        let coordinate = |of: fn(&Whereabouts) -> f64| {
            ways.iter().map(|way| differences(way.iter().map(|at| decimetres(of(at))))).collect()
        };
        let when = |is: fn(&Whereabouts) -> bool| {
            ways.iter().map(|way| spans(way.iter().map(is))).collect()
        };
        let serving = |at: &Whereabouts| at.serving.map_or(0, |station| station + 1);
        Self {
            width_m: world.width_m,
            height_m: world.height_m,
            stations_dm: world
                .stations
                .iter()
                .map(|&(x, y)| (decimetres(x), decimetres(y)))
                .collect(),
            x_dm: coordinate(|at| at.position.0),
            y_dm: coordinate(|at| at.position.1),
            serving: ways.iter().map(|way| changes(way.iter().map(serving))).collect(),
            silent: when(|at| at.is_present && !at.can_send),
            absent: when(|at| !at.is_present),
        }
    }
}

fn decimetres(metres: f64) -> i64 {
    (10.0 * metres).round() as i64
}

/// The first value and the differences between neighbours; the first alone, if all are equal.
fn differences(values: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut last = 0;
    let mut differences: Vec<i64> =
        values.map(|value| value - std::mem::replace(&mut last, value)).collect();
    if differences.iter().skip(1).all(|&difference| difference == 0) {
        differences.truncate(1);
    }
    differences
}

/// Where a value begins, and it.
fn changes(values: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut changes = Vec::new();
    for (slot, value) in (0..).zip(values) {
        if changes.last() != Some(&value) {
            changes.extend([slot, value]);
        }
    }
    changes
}

/// Where it begins to be true, and where it ends.
fn spans(values: impl Iterator<Item = bool>) -> Vec<u32> {
    let mut spans = Vec::new();
    let mut slots = 0;
    for (slot, value) in (0..).zip(values) {
        if value != (spans.len() % 2 == 1) {
            spans.push(slot);
        }
        slots = slot + 1;
    }
    if spans.len() % 2 == 1 {
        spans.push(slots);
    }
    spans
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// One device that moves, is handed over and leaves; one that stays outside coverage.
    pub(in super::super) fn world() -> World {
        let at = |x, serving, can_send, is_present| Whereabouts {
            position: (x, 5.06),
            is_present,
            serving,
            can_send,
        };
        let moves = vec![
            at(1.04, Some(0), true, true),
            at(1.08, Some(0), true, true),
            at(2.01, Some(1), false, true),
            at(1.0, Some(1), true, true),
            at(1.0, None, false, false),
            at(1.0, None, false, false),
        ];
        World {
            width_m: 20.0,
            height_m: 10.5,
            stations: vec![(5.0, 5.25), (15.0, 5.0)],
            ways: vec![moves, vec![at(3.0, None, false, true); 6]],
        }
    }

    #[test]
    fn columns_by_hand() {
        let columns = |devices| serde_json::to_value(Columns::new(&world(), devices)).unwrap();
        let expected = json!({
            "width_m": 20.0, "height_m": 10.5, "stations_dm": [[50, 53], [150, 50]],
            "x_dm": [[10, 1, 9, -10, 0, 0], [30]], "y_dm": [[51], [51]],
            "serving": [[0, 1, 2, 2, 4, 0], [0, 0]], "silent": [[2, 3], [0, 6]],
            "absent": [[4, 6], []],
        });
        assert_eq!(columns(2), expected);
        assert_eq!(columns(1)["x_dm"].as_array().unwrap().len(), 1);
    }
}
