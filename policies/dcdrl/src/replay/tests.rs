//! The ring and the episodes that are stored in it, by hand.

use super::*;
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

#[test]
fn a_device_is_followed_from_task_to_task() {
    let mut episode = OpenEpisode::new(2);
    let mut replay = Replay::new(10, 1);
    episode.decide(1, 0, 3, 0.5, &[1.0]);
    episode.decide(0, 1, 0, 0.25, &[2.0]);
    episode.decide(1, 3, 2, 1.0, &[3.0]);
    episode.decide(0, 4, 1, 1.0, &[4.0]); // never ends
    episode.reward(1, 3, -2.0);
    episode.reward(1, 0, 5.0);
    episode.reward(0, 1, 1.0);
    episode.store(0.5, &mut replay);
    assert_eq!(replay.len(), 3);
    let all: Vec<_> = (0..3).map(|place| replay.transition(place)).collect();
    assert_eq!((all[0].action, all[0].reward, all[0].discount), (0, 1.0, 0.0));
    assert_eq!((all[1].action, all[1].reward, all[1].discount), (3, 5.0, 0.125));
    assert_eq!((all[2].probability, all[2].discount), (1.0, 0.0));
    assert_eq!((replay.after(0), replay.after(1), replay.after(2)), (None, Some(2), None));
    assert_eq!(replay.state(2), [3.0]);
}

#[test]
fn what_was_overwritten_is_not_followed() {
    let mut replay = Replay::new(3, 1);
    let push = |replay: &mut Replay, reward: f32| {
        let transition = Transition { action: 0, probability: 1.0, reward, discount: 0.5 };
        replay.push(transition, &[reward]);
    };
    for reward in 0..5 {
        push(&mut replay, reward as f32);
    }
    // 3, 4, 2: after 4 comes what has no neighbour any more.
    assert_eq!(replay.after(0), Some(1));
    assert_eq!(replay.after(1), None);
    assert_eq!(replay.after(2), Some(0));
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    assert!((0..100).all(|_| replay.draw(&mut rng) != 1));
    let (next, transitions, states) = replay.parts();
    let again = Replay::from_parts(3, 1, next, transitions.to_vec(), states.to_vec()).unwrap();
    assert_eq!(again, replay);
    assert!(Replay::from_parts(3, 2, next, transitions.to_vec(), states.to_vec()).is_none());
}

/// A transition whose reward is a number of its own; its state is that number and its negative.
fn transition(number: u32, discount: f32) -> Transition {
    Transition { action: number % 4, probability: 0.25, reward: number as f32, discount }
}

/// A ring of so many places with transitions 0 … `count` − 1.
fn ring(capacity: usize, count: u32) -> Replay {
    let mut replay = Replay::new(capacity, 2);
    for number in 0..count {
        replay.push(transition(number, 0.5), &[number as f32, -(number as f32)]);
    }
    replay
}

#[test]
fn the_oldest_transition_makes_place_with_its_state() {
    for count in 0..12 {
        let replay = ring(4, count);
        assert_eq!(replay.len(), count.min(4) as usize);
        for number in count.saturating_sub(4)..count {
            let place = number as usize % 4;
            assert_eq!(replay.transition(place), transition(number, 0.5));
            assert_eq!(replay.state(place), [number as f32, -(number as f32)]);
            // The newest has no next one yet.
            let after = (number + 1 < count).then_some((number as usize + 1) % 4);
            assert_eq!(replay.after(place), after, "{number} of {count}");
        }
    }
    // Nor has the last task of an episode, whatever comes after it.
    let mut replay = ring(4, 1);
    replay.push(transition(1, 0.0), &[0.0, 0.0]);
    replay.push(transition(2, 0.5), &[0.0, 0.0]);
    assert_eq!((replay.after(0), replay.after(1)), (Some(1), None));
}

/// All with a next task that is known, or without any, equally often; no others.
#[test]
fn places_are_drawn_among_those_whose_next_is_known() {
    let mut replay = ring(4, 4);
    replay.push(transition(4, 0.0), &[0.0, 0.0]);
    replay.push(transition(5, 0.5), &[0.0, 0.0]);
    // 2, then 3, then 4, which ended its episode; 5 has no next yet.
    let mut counts = [0; 4];
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
    (0..3000).for_each(|_| counts[replay.draw(&mut rng)] += 1);
    assert_eq!(counts[1], 0);
    // Four standard deviations.
    assert!([0, 2, 3].iter().all(|&place| (900..=1100).contains(&counts[place])), "{counts:?}");
}

#[test]
fn parts_that_contradict_each_other_are_no_ring() {
    for count in [0, 1, 3, 4, 7] {
        let replay = ring(4, count);
        let (next, transitions, states) = replay.parts();
        let from = |capacity: usize, width: usize, next: usize, states: &[f32]| {
            Replay::from_parts(capacity, width, next, transitions.to_vec(), states.to_vec())
        };
        assert_eq!(from(4, 2, next, states).as_ref(), Some(&replay));
        assert_eq!(from(4, 2, next, &[states, &[0.0]].concat()), None);
        assert_eq!(from(4, 2, 4, states), None, "beyond the ring");
        if count < 4 {
            assert_eq!(from(4, 2, next + 1, states), None, "not the first free place");
        } else {
            assert_eq!(from(3, 2, 0, states), None, "more than fit in");
        }
        if count > 0 {
            assert_eq!(from(4, 3, next, states), None);
            assert_eq!(from(4, 2, next, &states[1..]), None);
        }
    }
}

#[test]
fn an_episode_is_stored_once_and_what_has_no_reward_not_at_all() {
    let (mut episode, mut replay) = (OpenEpisode::new(2), Replay::new(9, 1));
    for (device, slot) in [(0, 1), (1, 1), (0, 4), (1, 2), (0, 6)] {
        episode.decide(device, slot, slot, 0.5, &[slot as f32]);
    }
    // Of no decision.
    episode.reward(0, 3, 100.0);
    episode.reward(0, 6, 6.0);
    episode.reward(1, 1, -1.0);
    episode.reward(0, 1, 1.0);
    episode.store(0.5, &mut replay);
    // Device 0 in slots 1 and 6, device 1 in slot 1; the rewards of the others never came.
    let expected = [
        Transition { action: 1, probability: 0.5, reward: 1.0, discount: 0.031_25 },
        Transition { action: 6, probability: 0.5, reward: 6.0, discount: 0.0 },
        Transition { action: 1, probability: 0.5, reward: -1.0, discount: 0.0 },
    ];
    assert_eq!(replay.parts(), (3, &expected[..], &[1.0, 6.0, 1.0][..]));
    episode.store(0.5, &mut replay);
    assert_eq!(replay.len(), 3);
    episode.decide(1, 0, 2, 0.5, &[0.0]);
    episode.reward(1, 0, 3.0);
    episode.clear();
    episode.store(0.5, &mut replay);
    assert_eq!(replay.len(), 3);
}

/// However far apart, a device's next task is followed: its discount is never 0.
#[test]
fn a_next_task_far_away_is_still_followed() {
    let (mut episode, mut replay) = (OpenEpisode::new(1), Replay::new(9, 1));
    for slot in [0, 5000, 5001] {
        episode.decide(0, slot, 0, 1.0, &[0.0]);
        episode.reward(0, slot, 0.0);
    }
    episode.store(0.9, &mut replay);
    let discounts: Vec<f32> = (0..3).map(|place| replay.transition(place).discount).collect();
    assert_eq!(discounts, [f32::MIN_POSITIVE, 0.9, 0.0]);
    assert_eq!(replay.after(0), Some(1));
}
