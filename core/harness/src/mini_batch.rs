//! Mini-batches: the states that a student is fitted to in a step of a distillation, and those held
//! out from all steps.

use std::ops::Range;

use offramp_scenario::{MiniBatch, Scenario};

use crate::dataset::Dataset;
use crate::seeds;
use crate::states::States;

/// One state in this many is held out.
const HELD_OUT: usize = 10;

/// True if a state is held out.
fn is_held_out(state: usize) -> bool {
    state % HELD_OUT == HELD_OUT - 1
}

/// No states yet, of a scenario's system.
fn no_states(scenario: &Scenario) -> States {
    States::new(scenario.system.server_count(), scenario.observation.history_slots)
}

/// Adds the window of history of a state of a dataset.
fn push_window(states: &mut States, dataset: &Dataset, state: usize) {
    let [servers, slots] = [states.servers, states.history_slots].map(|size| size as usize);
    let end = (dataset.newest[state] as usize + 1) * servers;
    states.push_window(&dataset.loads[end - slots * servers..end]);
}

/// Adds a state of a dataset with the teacher's values.
fn push(states: &mut States, dataset: &Dataset, state: usize) {
    let actions = states.servers as usize + 1;
    let width = dataset.features.len() / dataset.len();
    let features = &dataset.features[state * width..(state + 1) * width];
    let values = &dataset.values[state * actions..(state + 1) * actions];
    states.push(dataset.devices[state], features, values);
}

/// The states that are held out. Those of a slot, which follow each other, share its window.
pub(crate) fn held_out_states(scenario: &Scenario, dataset: &Dataset) -> States {
    let mut states = no_states(scenario);
    let mut newest = None;
    for state in (HELD_OUT - 1..dataset.len()).step_by(HELD_OUT) {
        if newest.replace(dataset.newest[state]) != Some(dataset.newest[state]) {
            push_window(&mut states, dataset, state);
        }
        push(&mut states, dataset, state);
    }
    states
}

/// The states that are not held out, as a kind of mini-batch draws them.
enum Drawn {
    /// So many states of each device, all states of which are listed.
    PerDevice(u64, Vec<Vec<u32>>),
    /// All states of so many slots. The states of a slot follow each other in the dataset.
    Slots(u64, Vec<Range<usize>>),
    /// So many states of all, of which there is this number.
    States(u64, usize),
}

/// Mini-batches, drawn anew in each step, with replacement.
pub(crate) struct Batches {
    drawn: Drawn,
    batch: States,
}

impl Batches {
    /// Batches of a kind, from the states that are not held out.
    pub(crate) fn new(scenario: &Scenario, kind: MiniBatch, dataset: &Dataset) -> Self {
        let training = || (0..dataset.len()).filter(|&state| !is_held_out(state));
        let drawn = match kind {
            MiniBatch::PerDevice(count) => {
                let mut by_device = vec![Vec::new(); scenario.system.device_count() as usize];
                for state in training() {
                    by_device[dataset.devices[state] as usize].push(state as u32);
                }
                Drawn::PerDevice(count, by_device)
            }
            MiniBatch::Slots(count) => {
                let mut slots: Vec<Range<usize>> = Vec::new();
                for state in training() {
                    match slots.last_mut() {
                        Some(slot) if dataset.newest[slot.start] == dataset.newest[state] => {
                            slot.end = state + 1;
                        }
                        _ => slots.push(state..state + 1),
                    }
                }
                Drawn::Slots(count, slots)
            }
            MiniBatch::States(count) => {
                Drawn::States(count, dataset.len() - dataset.len() / HELD_OUT)
            }
        };
        Self { drawn, batch: no_states(scenario) }
    }

    /// Draws the mini-batch of a step. Its windows of history are shared within a slot if slots are
    /// drawn; otherwise each state has its own.
    pub(crate) fn draw(&mut self, dataset: &Dataset, seed: u64, step: u64) -> &States {
        let Self { drawn, batch } = self;
        batch.clear();
        let mut push_alone = |state: usize| {
            push_window(batch, dataset, state);
            push(batch, dataset, state);
        };
        match drawn {
            Drawn::PerDevice(count, by_device) => {
                for (device, own) in by_device.iter().enumerate() {
                    let mut stream = seeds::mini_batch(seed, step, device as u32);
                    for _ in 0..if own.is_empty() { 0 } else { *count } {
                        push_alone(own[stream.below(own.len())] as usize);
                    }
                }
            }
            Drawn::Slots(count, slots) => {
                let mut stream = seeds::mini_batch(seed, step, 0);
                for _ in 0..if slots.is_empty() { 0 } else { *count } {
                    let slot = slots[stream.below(slots.len())].clone();
                    push_window(batch, dataset, slot.start);
                    for state in slot.filter(|&state| !is_held_out(state)) {
                        push(batch, dataset, state);
                    }
                }
            }
            Drawn::States(count, training) => {
                let mut stream = seeds::mini_batch(seed, step, 0);
                for _ in 0..if *training == 0 { 0 } else { *count } {
                    let number = stream.below(*training);
                    push_alone(number + number / (HELD_OUT - 1));
                }
            }
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use offramp_scenario::Experiment;

    use super::*;

    const SERVERS: usize = 2;
    const WINDOW: usize = 3;

    fn scenario(devices: usize) -> Scenario {
        let text = format!(
            "(name: \"x\", system: (devices: {devices}, servers: {SERVERS}), \
             history_slots: {WINDOW}, observation: [\"alpha\"])"
        );
        Experiment::parse("x.ron", text, "".as_ref(), &[]).unwrap().points.remove(0)
    }

    /// Slots with so many tasks each, at devices that take turns. The feature of a state is its
    /// number, its values begin with that too, and the loads of a slot are the slot's number.
    fn dataset(tasks: &[usize], devices: usize) -> Dataset {
        let mut states = Dataset::default();
        states.loads.resize((WINDOW - 1) * SERVERS, 0.0);
        for (slot, &count) in tasks.iter().enumerate() {
            let newest = (states.loads.len() / SERVERS) as u32;
            states.loads.resize(states.loads.len() + SERVERS, slot as f32);
            for _ in 0..count {
                let state = states.len();
                states.features.push(state as f32);
                states.newest.push(newest);
                states.devices.push((state % devices) as u32);
                states.values.extend([state as f32, 1.0, 2.0]);
            }
        }
        states
    }

    /// The states of rows, by their features.
    fn states_of(rows: &States) -> Vec<usize> {
        assert_eq!(rows.targets().len(), rows.len() * (SERVERS + 1));
        rows.observation().features.iter().map(|&state| state as usize).collect()
    }

    /// Each row sees the window that ends in its own slot.
    fn check_windows(rows: &States, states: &Dataset) {
        let observation = rows.observation();
        for (row, state) in states_of(rows).into_iter().enumerate() {
            let end = (states.newest[state] as usize + 1) * SERVERS;
            let wanted = &states.loads[end - WINDOW * SERVERS..end];
            let window = observation.window_of(row);
            assert!(window.iter().zip(wanted).all(|(seen, &load)| *seen == f64::from(load)));
            assert_eq!(observation.devices[row], states.devices[state]);
            assert_eq!(rows.targets()[row * (SERVERS + 1)], state as f32);
        }
    }

    #[test]
    fn a_slot_comes_with_all_its_states_and_one_window() {
        // The tenth state, alone in its slot, is held out: that slot is never drawn.
        let tasks = [4, 0, 5, 1, 3, 12];
        let states = dataset(&tasks, 7);
        let mut batches = Batches::new(&scenario(7), MiniBatch::Slots(3), &states);
        let all = [(0..4), (4..9), (10..13), (13..25)]
            .map(|slot| slot.filter(|state| ![9, 19].contains(state)).collect::<Vec<usize>>());
        let mut drawn = [0; 4];
        for step in 1..=50 {
            let rows = batches.draw(&states, 1, step);
            check_windows(rows, &states);
            assert_eq!(rows.observation().histories.len(), 3 * WINDOW * SERVERS);
            let of_rows = states_of(rows);
            let mut left = of_rows.as_slice();
            for window in 0..3 {
                let slot = all.iter().position(|slot| left.starts_with(slot)).unwrap();
                drawn[slot] += 1;
                let (own, after) = left.split_at(all[slot].len());
                let row = of_rows.len() - left.len();
                assert!(
                    rows.observation().history_of[row..row + own.len()]
                        .iter()
                        .all(|&of| of == window)
                );
                left = after;
            }
            assert!(left.is_empty());
        }
        assert!(drawn.iter().all(|&times| times > 20), "{drawn:?}");
    }

    #[test]
    fn singly_drawn_states_are_any_that_are_not_held_out() {
        let states = dataset(&[6, 4, 9, 3], 3);
        let mut batches = Batches::new(&scenario(3), MiniBatch::States(40), &states);
        let mut drawn = [0; 22];
        for step in 1..=50 {
            let rows = batches.draw(&states, 1, step);
            assert_eq!(rows.len(), 40);
            check_windows(rows, &states);
            states_of(rows).into_iter().for_each(|state| drawn[state] += 1);
        }
        for (state, &times) in drawn.iter().enumerate() {
            assert!(if is_held_out(state) { times == 0 } else { times > 50 }, "{state}: {times}");
        }
    }

    #[test]
    fn the_size_of_a_batch_grows_with_the_devices_only_if_it_is_per_device() {
        let tasks = [30; 1000];
        let states = dataset(&tasks, 10_000);
        let rows = |kind| {
            let mut batches = Batches::new(&scenario(10_000), kind, &states);
            batches.draw(&states, 1, 1).len()
        };
        assert!((8 * 26..=8 * 30).contains(&rows(MiniBatch::Slots(8))));
        assert_eq!(rows(MiniBatch::States(64)), 64);
        assert!(rows(MiniBatch::PerDevice(2)) >= 2 * 9_000);
    }

    #[test]
    fn held_out_states_of_a_slot_share_its_window() {
        let states = dataset(&[25, 5, 40], 7);
        let rows = held_out_states(&scenario(7), &states);
        assert_eq!(states_of(&rows), [9, 19, 29, 39, 49, 59, 69]);
        assert_eq!(*rows.observation().history_of, [0, 0, 1, 2, 2, 2, 2]);
        check_windows(&rows, &states);
    }

    #[test]
    fn no_states_make_an_empty_batch() {
        for kind in [MiniBatch::PerDevice(2), MiniBatch::Slots(2), MiniBatch::States(2)] {
            let states = Dataset::default();
            let mut batches = Batches::new(&scenario(3), kind, &states);
            assert_eq!(batches.draw(&states, 1, 1).len(), 0);
        }
    }
}
