//! Logs of loads and rings of experiences, by hand.

use offramp_nn::replay::{BySlot, Experience, LoadLog, Replay, gather_windows};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

/// Row n of a log of two servers is n, −n.
fn log(rows: u32) -> LoadLog<f64> {
    let mut log = LoadLog::new(2);
    for row in 0..rows {
        assert_eq!(log.push([f64::from(row), -f64::from(row)]), u64::from(row));
        assert_eq!(log.end(), u64::from(row) + 1);
    }
    log
}

#[test]
fn rows_keep_their_numbers_whatever_is_forgotten_before_them() {
    let mut log = log(10);
    assert_eq!(log.row(3), [3.0, -3.0]);
    for number in [0, 2, 5, 6, 7, 3, 9] {
        log.forget_before(number);
        let newest = if number == 3 { 7 } else { number };
        assert_eq!(log.end(), 10);
        for row in newest..10 {
            assert_eq!(log.row(row), [row as f64, -(row as f64)]);
        }
        let tail: Vec<f64> = (newest..10).flat_map(|row| [row as f64, -(row as f64)]).collect();
        assert_eq!(log.rows(newest..10), tail);
        // No more than twice what is needed.
        let (first, rows) = log.parts();
        assert_eq!(rows.len() as u64, 2 * (10 - first));
        assert!(10 - first <= 2 * (10 - newest), "{first} after {number}");
    }
    assert_eq!(log.push([4.0, 5.0]), 10);
    let (first, rows) = log.parts();
    assert!(first > 0);
    let again = LoadLog::from_parts(2, first, rows.to_vec());
    assert_eq!((again.end(), again.row(10), again.row(9)), (11, log.row(10), log.row(9)));
    assert_eq!(again.rows(9..11), [9.0, -9.0, 4.0, 5.0]);
}

/// Of 100 rows that are needed, one more is not in each slot: they go a hundred at a time.
#[test]
fn rows_are_forgotten_in_batches() {
    let mut log = log(100);
    let mut batches = 0;
    for slot in 100..1100 {
        let (before, _) = log.parts();
        log.push([0.0, 0.0]);
        log.forget_before(slot - 99);
        batches += u32::from(log.parts().0 > before);
    }
    assert!((5..=10).contains(&batches), "{batches}");
}

#[test]
fn windows_end_at_their_newest_row() {
    let mut windows = vec![7.0];
    gather_windows(&log(9), 3, [2, 8], &mut windows);
    assert_eq!(windows, [0.0, 0.0, 1.0, -1.0, 2.0, -2.0, 6.0, -6.0, 7.0, -7.0, 8.0, -8.0]);
}

/// The experience of that number; no two of its parts are the same.
fn experience(number: u32) -> Experience<f64> {
    Experience {
        window: 20 + u64::from(number),
        next_window: 40 + u64::from(number),
        action: number,
        reward: f64::from(number) / 2.0,
        discount: 1.0 / f64::from(number + 2),
    }
}

fn features(number: u32) -> ([f64; 2], [f64; 2]) {
    let number = f64::from(number);
    ([number, number + 0.25], [number + 0.5, number + 0.75])
}

/// A ring of three with the experiences 0 … `count` − 1.
fn ring(count: u32) -> Replay<f64> {
    let mut ring = Replay::new(3, 2);
    for number in 0..count {
        let (own, next) = features(number);
        let replaced = number.checked_sub(3).map(experience);
        assert_eq!(ring.push(experience(number), &own, &next), (number as usize % 3, replaced));
    }
    ring
}

#[test]
fn a_full_ring_replaces_the_oldest() {
    assert!(ring(0).is_empty() && ring(0).oldest_row(2).is_none());
    for count in 1..9 {
        let ring = ring(count);
        let kept: Vec<u32> = (count.saturating_sub(3)..count).collect();
        assert_eq!((ring.len(), ring.is_empty()), (kept.len(), false));
        let by_age: Vec<u32> = ring.by_age().map(|at| ring.experience(at).action).collect();
        assert_eq!(by_age, kept);
        for number in kept {
            let at = number as usize % 3;
            assert_eq!(*ring.experience(at), experience(number));
            let (own, next) = features(number);
            assert_eq!((ring.features(at), ring.next_features(at)), (&own[..], &next[..]));
        }
    }
    // The oldest window ends at row 22 and has 4 rows, of which the first is row 19.
    assert_eq!(ring(5).oldest_row(4), Some(19));
    assert_eq!(ring(5).oldest_row(99), Some(0));
}

#[test]
fn all_experiences_are_drawn_equally_often() {
    let (ring, mut rng) = (ring(5), Xoshiro256PlusPlus::seed_from_u64(3));
    let mut counts = [0; 3];
    (0..3000).for_each(|_| counts[ring.draw(&mut rng)] += 1);
    // Four standard deviations.
    assert!(counts.iter().all(|count| (900..=1100).contains(count)), "{counts:?}");
}

#[test]
fn parts_that_contradict_each_other_are_no_ring() {
    for count in [0, 2, 3, 5] {
        let ring = ring(count);
        let (next, whole, real, own, after) = ring.parts();
        let with = |next: usize, whole: &[u64], real: &[f64], own: &[f64], after: &[f64]| {
            Replay::from_parts(3, 2, (next, whole, real), own.to_vec(), after.to_vec())
        };
        assert_eq!(with(next, &whole, &real, own, after).as_ref(), Some(&ring));
        // Something is missing, or left over.
        let longer = [own, &[0.0]].concat();
        assert_eq!(with(next, &whole, &real, &longer, after), None);
        assert_eq!(with(next, &whole, &real, own, &longer), None);
        assert_eq!(with(next, &[&whole[..], &[1]].concat(), &real, own, after), None);
        assert_eq!(with(next, &whole, &[&real[..], &[1.0]].concat(), own, after), None);
        assert_eq!(with(next, &[&whole[..], &[1; 3]].concat(), &real, own, after), None);
        // The next place is beyond the ring, or not the first free one.
        assert_eq!(with(3, &whole, &real, own, after), None);
        if count < 3 {
            assert_eq!(with(next + 1, &whole, &real, own, after), None);
        }
        // More than fit in.
        if count > 2 {
            let parts = (0, &whole[..], &real[..]);
            let smaller = Replay::from_parts(2, 2, parts, own.to_vec(), after.to_vec());
            assert_eq!(smaller, None);
        }
    }
}

#[test]
fn experiences_of_a_slot_are_found_until_they_are_removed() {
    let mut by_slot = BySlot::default();
    assert!(by_slot.at(0).is_empty());
    for (index, window) in [(0, 6), (1, 9), (2, 4), (3, 6)] {
        by_slot.add(index, window);
    }
    let at = |by_slot: &BySlot| (3..11).map(|w| by_slot.at(w).to_vec()).collect::<Vec<_>>();
    let none = Vec::new;
    assert_eq!(
        at(&by_slot),
        [none(), vec![2], none(), vec![0, 3], none(), none(), vec![1], none()]
    );
    by_slot.remove(2, 4);
    by_slot.remove(0, 6);
    assert_eq!(at(&by_slot), [none(), none(), none(), vec![3], none(), none(), vec![1], none()]);
    // What was never there, before and after all slots.
    by_slot.remove(7, 1);
    by_slot.remove(7, 50);
    by_slot.remove(3, 6);
    assert_eq!(by_slot.at(9), [1]);
    by_slot.add(5, 7);
    assert_eq!(at(&by_slot), [none(), none(), none(), none(), vec![5], none(), vec![1], none()]);
    by_slot.remove(5, 7);
    by_slot.remove(1, 9);
    assert_eq!(at(&by_slot), vec![none(); 8]);
    // Empty again: it begins at whatever slot comes, the first of all too.
    for window in [3, 0] {
        by_slot.add(0, window);
        assert_eq!((by_slot.at(window), by_slot.at(window + 1)), (&[0][..], &[][..]));
        by_slot.remove(0, window);
    }
}
