//! One update against its slow, obvious twin: the target by hand, the gradient by finite
//! differences in f64, the histories row by row.

use offramp_nn::learning::{Loss, Optimiser, Schedule, TargetUpdate};
use offramp_nn::networks::Sharing;
use offramp_nn::replay::ROWS_OF_A_SLOT;
use offramp_nn::{Initial, argmax};

use super::*;
use crate::parameters::{Fidelity, Parameters, QecoParameters};

const SHAPE: Shape = Shape { features: 2, servers: 2, history_slots: 3, hidden: 3 };

/// A recipe whose step is as smooth as a test can follow.
fn recipe(sharing: Sharing) -> Recipe {
    let parameters = Parameters { sharing, ..Parameters::default() };
    let mut recipe = parameters.recipe(0).unwrap();
    recipe.parameters.optimiser = Optimiser::RmsProp(0.5);
    recipe.parameters.clip = f64::INFINITY;
    recipe
}

fn stored_histories() -> Recipe {
    let fidelity = Fidelity::CorrectedBut(vec![Flaw::StoredHistories]);
    let mut recipe = QecoParameters { fidelity, ..QecoParameters::default() }.recipe();
    recipe.parameters.optimiser = Optimiser::RmsProp(0.5);
    recipe
}

fn network(seed: u64) -> Vec<f32> {
    initial_parameters(&SHAPE, Initial::Normal { weights: 0.7, biases: 0.2 }, &mut stream(seed, 0))
}

/// Three slots of a log, and experiences of which most are forgotten again: of `count`, those that
/// the ring keeps are in another order than they came in.
fn remember(agent: &mut Agent, log: &mut LoadLog<f32>, count: usize) {
    let mut rng = stream(77, 0);
    let mut number = || rng.random_range(0.0_f32..1.0);
    let rows = 80;
    for _ in 0..rows {
        log.push([number(), number()]);
    }
    for at in 0..count {
        let window = 2 + (at as u64 * 70) / count as u64;
        let experience = Experience {
            window,
            next_window: window + 1 + at as u64 % 5,
            action: (number() * 3.0) as u32,
            reward: 2.0 * number() - 1.0,
            discount: if at % 7 == 0 { 0.0 } else { number() },
        };
        let mut features = || [2.0 * number() - 0.5, 2.0 * number() - 0.5];
        let (features, next_features) = (features(), features());
        agent.remember(experience, &features, &next_features);
    }
}

/// The window of an experience, or of its next state: K × M.
fn window(
    agent: &Agent,
    recipe: &Recipe,
    log: &LoadLog<f32>,
    index: usize,
    next: bool,
) -> Vec<f64> {
    let (replay, slots) = (agent.replay(), SHAPE.history_slots as i64);
    let newest = |index: usize| {
        let Experience { window, next_window, .. } = *replay.experience(index);
        if next { next_window } else { window }
    };
    let row = |age: i64| {
        if recipe.has(Flaw::StoredHistories) {
            newest(index + (slots - 1 - age) as usize)
        } else {
            newest(index) - age as u64
        }
    };
    let rows = (0..slots).rev().map(row);
    rows.flat_map(|number| log.row(number).iter().map(|&load| load.into())).collect()
}

/// The states of a batch, or its next states, in f64: features and windows.
fn states(
    agent: &Agent,
    recipe: &Recipe,
    log: &LoadLog<f32>,
    batch: &[usize],
    next: bool,
) -> [Vec<f64>; 2] {
    let replay = agent.replay();
    let features = |&index: &usize| {
        if next { replay.next_features(index) } else { replay.features(index) }
    };
    let features = batch.iter().flat_map(|index| wide(features(index)));
    let windows = batch.iter().flat_map(|&index| window(agent, recipe, log, index, next));
    [features.collect(), windows.collect()]
}

/// Q of a network in f64, of each row.
fn values(parameters: &[f64], [features, windows]: &[Vec<f64>; 2]) -> Vec<Vec<f64>> {
    let mut workspace = Workspace::new(SHAPE);
    let values = workspace.forward(parameters, features, Histories::Each(windows));
    values.chunks(SHAPE.actions()).map(<[f64]>::to_vec).collect()
}

fn wide(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().map(|&number| number.into()).collect()
}

/// What an update of a batch shows, and its gradient.
fn expected(
    agent: &Agent,
    recipe: &Recipe,
    log: &LoadLog<f32>,
    batch: &[usize],
) -> (Update, Vec<f64>) {
    let [own, next] = [false, true].map(|next| states(agent, recipe, log, batch, next));
    let (evaluation, target) = (wide(&agent.evaluation), wide(&agent.target));
    let (choosing, valuing) = (values(&evaluation, &next), values(&target, &next));
    let experience = |row: usize| *agent.replay().experience(batch[row]);
    let target = |row: usize| {
        let Experience { reward, discount, .. } = experience(row);
        f64::from(reward) + f64::from(discount) * valuing[row][argmax(&choosing[row])]
    };
    let means = |parameters: &[f64]| {
        let mut means = [0.0; 3];
        for (row, values) in values(parameters, &own).iter().enumerate() {
            let q = values[experience(row).action as usize];
            let e = q - target(row);
            let loss = match recipe.parameters.loss {
                Loss::Squared => e * e,
                Loss::Huber(width) if e.abs() <= width => e * e / 2.0,
                Loss::Huber(width) => width * (e.abs() - width / 2.0),
            };
            for (mean, number) in means.iter_mut().zip([loss, q, e.abs()]) {
                *mean += number / batch.len() as f64;
            }
        }
        means
    };
    let slope = |at: usize| {
        let moved = |by: f64| {
            let mut parameters = evaluation.clone();
            parameters[at] += by;
            means(&parameters)[0]
        };
        (moved(1e-6) - moved(-1e-6)) / 2e-6
    };
    let gradient: Vec<f64> = (0..SHAPE.parameters()).map(slope).collect();
    let [loss, q, td_error] = means(&evaluation);
    let gradient_norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
    (Update { loss, gradient_norm, q, td_error }, gradient)
}

fn assert_close(what: &str, actual: f64, expected: f64) {
    assert!(
        (actual - expected).abs() < 2e-5 + 2e-5 * expected.abs(),
        "{what}: {actual} {expected}"
    );
}

/// Some updates of an agent, each against its twin: what it shows, the step of the evaluation
/// network, and what the target network makes of it.
fn check(mut recipe: Recipe, batch: usize, count: usize) {
    recipe.parameters.batch = batch;
    recipe.parameters.replay = 400;
    recipe.annealing = Schedule { steps: 4, floor: 0.25 };
    let mut agent = Agent::of(&SHAPE, &recipe, 3, network(1), network(2));
    let mut log = LoadLog::new(SHAPE.servers);
    remember(&mut agent, &mut log, count);
    let parts = batch.div_ceil(PART);
    let mut scratch: Vec<_> = (0..parts).map(|_| Scratch::new(SHAPE)).collect();
    let mut square = vec![1.0; SHAPE.parameters()];
    // 1 − 3/4 · t/4.
    for factor in [1.0, 0.8125, 0.625] {
        let (update, gradient) = expected(&agent, &recipe, &log, &agent.draw(&SHAPE, &recipe));
        let before = agent.clone();
        let shown = agent.learn(&SHAPE, &recipe, &log, &mut scratch, &Threads::alone()).unwrap();
        assert_close("loss", shown.loss, update.loss);
        assert_close("norm", shown.gradient_norm, update.gradient_norm);
        assert_close("q", shown.q, update.q);
        assert_close("error", shown.td_error, update.td_error);
        let kept = (recipe.parameters.clip / update.gradient_norm).min(1.0);
        for (at, square) in square.iter_mut().enumerate() {
            let slope = gradient[at] * kept;
            *square += 0.1 * (slope * slope - *square);
            let step = factor * 0.5 * slope / square.sqrt();
            let [new, old, target, old_target] =
                [&agent.evaluation, &before.evaluation, &agent.target, &before.target]
                    .map(|numbers| f64::from(numbers[at]));
            assert_close("step", old - new, step);
            let follows = match recipe.parameters.target {
                TargetUpdate::Soft(share) => old_target + share * (new - old_target),
                TargetUpdate::Hard(every) if agent.updates.is_multiple_of(every) => new,
                TargetUpdate::Hard(_) => old_target,
            };
            assert_close("target", target, follows);
        }
    }
    assert_eq!(agent.updates, 3);
}

/// Y by hand. Q of a network without weights but these is the bias of its head for any o and h.
#[test]
fn the_evaluation_network_chooses_and_the_target_network_values() {
    // Q = V + A − mean A.
    let constant = |[v, first, second]: [f32; 3]| {
        let shape = Shape { features: 1, servers: 1, history_slots: 1, hidden: 1 };
        let mut parameters = vec![0.0; shape.parameters()];
        let [.., bias] = shape.tensors();
        parameters[bias.range].copy_from_slice(&[v, first, second]);
        (shape, parameters)
    };
    // Q_eval = [5, −1], Q_target = [2, 8]: its second action is the better one for the target.
    let (shape, evaluation) = constant([2.0, 3.0, -3.0]);
    let (_, target) = constant([5.0, -3.0, 3.0]);
    let mut recipe = recipe(Sharing::PerDevice);
    recipe.parameters.batch = 1;
    recipe.parameters.loss = Loss::Squared;
    let mut agent = Agent::of(&shape, &recipe, 1, evaluation, target);
    let mut log = LoadLog::new(1);
    let [window, next_window] = [0.0, 0.0].map(|load| log.push([load]));
    let experience = Experience { window, next_window, action: 1, reward: 0.5, discount: 0.25 };
    agent.remember(experience, &[0.0], &[0.0]);
    let mut scratch = [Scratch::new(shape)];
    let update = agent.learn(&shape, &recipe, &log, &mut scratch, &Threads::alone()).unwrap();
    // Y = 0.5 + 0.25 · 2 = 1; Q(s, a) = −1. By V, A₀ and A₁: 2 · (−2) · [1, −1/2, 1/2].
    let gradient_norm = (16.0_f64 + 4.0 + 4.0).sqrt();
    let expected = Update { loss: 4.0, gradient_norm, q: -1.0, td_error: 2.0 };
    let Update { gradient_norm, .. } = update;
    assert!((gradient_norm - expected.gradient_norm).abs() < 1e-6);
    assert_eq!(update, Update { gradient_norm, ..expected });
}

#[test]
fn an_update_descends_the_mean_loss_of_its_batch() {
    let mut recipe = recipe(Sharing::PerDevice);
    for (loss, target) in [
        (Loss::Squared, TargetUpdate::Soft(0.3)),
        (Loss::Huber(0.4), TargetUpdate::Hard(2)),
        (Loss::Huber(0.4), TargetUpdate::Hard(1)),
    ] {
        (recipe.parameters.loss, recipe.parameters.target) = (loss, target);
        check(recipe.clone(), 40, 130);
    }
    recipe.parameters.clip = 0.01;
    check(recipe, 40, 130);
}

/// Several parts, the last of them smaller: their gradients are added up.
#[test]
fn an_update_of_several_parts_descends_the_mean_loss_of_them_all() {
    for target in [TargetUpdate::Soft(0.3), TargetUpdate::Hard(2)] {
        let mut recipe = recipe(Sharing::PerDevice);
        recipe.parameters.target = target;
        check(recipe, 2 * PART + 30, 500);
    }
}

#[test]
fn a_batch_by_slots_sees_the_histories_of_its_experiences() {
    for target in [TargetUpdate::Soft(0.3), TargetUpdate::Hard(2)] {
        let mut recipe = recipe(Sharing::Shared);
        recipe.draw = Draw::Slots(3);
        recipe.parameters.target = target;
        check(recipe, PART + 20, 500);
    }
}

/// Histories strung together from what was stored, in a ring that is full and in one that is not.
#[test]
fn stored_histories_are_those_of_neighbours_in_the_ring() {
    for count in [130, 500] {
        check(stored_histories(), 40, count);
    }
}

/// The same on a little ring, number by number: K = 3, and of seven experiences the last five.
#[test]
fn stored_histories_of_a_little_ring() {
    let mut recipe = stored_histories();
    (recipe.parameters.replay, recipe.parameters.batch) = (5, 1);
    let mut agent = Agent::new(&SHAPE, &recipe, 1);
    let mut log = LoadLog::new(2);
    (0..40_u8).for_each(|slot| _ = log.push([f32::from(slot), -f32::from(slot)]));
    for window in [3, 4, 6, 7, 11, 15, 19] {
        let next_window = window + 20;
        let experience = Experience { window, next_window, action: 0, reward: 0.0, discount: 0.5 };
        agent.remember(experience, &[0.0; 2], &[0.0; 2]);
    }
    // The ring is 15, 19, 6, 7, 11.
    let mut windows = [SharedWindows::default(), SharedWindows::default()];
    let [own, next] = &mut windows;
    agent.gather_histories(&SHAPE, &recipe, &log, &[1, 0], [own, next]);
    let loads = |slots: &[i8]| -> Vec<f32> {
        slots.iter().flat_map(|&slot| [f32::from(slot), -f32::from(slot)]).collect()
    };
    let (states, nexts) = ([19, 6, 7, 15, 19, 6], [39, 26, 27, 35, 39, 26]);
    assert_eq!(next.windows, loads(&nexts));
    assert_eq!(own.windows, loads(&[states, nexts].concat()));
    // The last three have too few others after them.
    let drawn = |updates| Agent { updates, ..agent.clone() }.draw(&SHAPE, &recipe)[0];
    let mut seen: Vec<usize> = (0..40).map(drawn).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, [0, 1]);
}

/// Values of a target network that stays for a while are computed once, and the same.
#[test]
fn kept_target_values_change_no_bit() {
    for draw in [Draw::Experiences, Draw::Slots(2)] {
        let mut recipe = recipe(Sharing::Shared);
        recipe.draw = draw;
        (recipe.parameters.batch, recipe.parameters.replay) = (PART + 30, 200);
        recipe.parameters.target = TargetUpdate::Hard(7);
        let mut log = LoadLog::new(SHAPE.servers);
        let mut cached = Agent::of(&SHAPE, &recipe, 3, network(1), network(2));
        assert!(cached.cache.is_some());
        remember(&mut cached, &mut log, 300);
        let mut plain = Agent { cache: None, ..cached.clone() };
        let mut scratch = [Scratch::new(SHAPE), Scratch::new(SHAPE)];
        for step in 0..40_u64 {
            for agent in [&mut cached, &mut plain] {
                agent.learn(&SHAPE, &recipe, &log, &mut scratch, &Threads::alone()).unwrap();
                // Some experiences make place for others, then both networks, then all of them.
                let window = 20 + step;
                let experience = Experience {
                    window,
                    next_window: window + 2,
                    action: (step % 3) as u32,
                    reward: step as f32 / 9.0,
                    discount: 0.9,
                };
                agent.remember(experience, &[0.3, step as f32 / 40.0], &[step as f32 / 30.0, 0.1]);
                if step % 16 == 10 {
                    let other = [network(step), network(step + 1)].concat();
                    agent.set_parameters(&other).unwrap();
                }
                if step % 16 == 12 {
                    let mut other = Agent::of(&SHAPE, &recipe, 3, network(1), network(2));
                    remember(&mut other, &mut LoadLog::new(SHAPE.servers), 310 + step as usize);
                    agent.set_replay(other.replay.clone());
                    assert_eq!(agent.replay, other.replay);
                }
            }
            assert_eq!(cached.evaluation, plain.evaluation, "after update {step}");
            assert_eq!(cached.target, plain.target);
        }
    }
}

/// What stays the same from one update to the next, and what does not, is decided by the recipe.
#[test]
fn values_are_kept_only_of_a_target_network_that_stays() {
    for (target, kept) in [
        (TargetUpdate::Soft(0.1), false),
        (TargetUpdate::Hard(1), false),
        (TargetUpdate::Hard(2), true),
    ] {
        let mut recipe = recipe(Sharing::PerDevice);
        recipe.parameters.target = target;
        assert_eq!(Agent::new(&SHAPE, &recipe, 1).cache.is_some(), kept);
    }
    let mut recipe = stored_histories();
    recipe.parameters.target = TargetUpdate::Hard(2);
    assert!(Agent::new(&SHAPE, &recipe, 1).cache.is_none());
}

/// Runs of successive slots, all experiences of each, 16 at most.
#[test]
fn a_batch_by_slots_is_runs_of_whole_slots() {
    let run = 3;
    let mut recipe = recipe(Sharing::Shared);
    recipe.draw = Draw::Slots(run);
    (recipe.parameters.batch, recipe.parameters.replay) = (100, 400);
    let mut agent = Agent::new(&SHAPE, &recipe, 1);
    // Slot s has 1 + s % 5 experiences, every tenth one 40; slot 33 has none. The first are forgotten.
    let of_slot = |slot: u64| match slot {
        33 => 0,
        _ if slot.is_multiple_of(10) => 40,
        _ => 1 + slot % 5,
    };
    for slot in 0..80 {
        for _ in 0..of_slot(slot) {
            let (window, next_window) = (slot, slot + 1);
            let experience =
                Experience { window, next_window, action: 0, reward: 0.0, discount: 0.0 };
            agent.remember(experience, &[0.0; 2], &[0.0; 2]);
        }
    }
    let replay = agent.replay();
    let slots: Vec<u64> = (0..replay.len()).map(|index| replay.experience(index).window).collect();
    let slot_of = |index: usize| slots[index];
    let indices = |slot: u64| slots.iter().filter(|&&other| other == slot).count();
    let (mut batches, mut drawn_of_40) = (Vec::new(), std::collections::BTreeSet::new());
    for _ in 0..60 {
        let batch = agent.draw(&SHAPE, &recipe);
        assert_eq!(batch.len(), 100);
        // Take it apart again: runs of slots that follow one another, unless cut off.
        let mut at = 0;
        while at < batch.len() {
            let first = slot_of(batch[at]);
            for slot in first..first + run {
                let expected = indices(slot).min(ROWS_OF_A_SLOT).min(batch.len() - at);
                let of_slot = &batch[at..at + expected];
                assert!(of_slot.iter().all(|&index| slot_of(index) == slot), "{slot}");
                let apart: std::collections::BTreeSet<_> = of_slot.iter().collect();
                assert_eq!(apart.len(), expected);
                if slot == 50 {
                    drawn_of_40.extend(of_slot.to_vec());
                }
                at += expected;
            }
        }
        assert!(!batches.contains(&batch));
        batches.push(batch);
        agent.updates += 1;
    }
    // Of a slot with more, any.
    assert_eq!(drawn_of_40.len(), 40);
}

/// A batch is drawn anew for each update and each agent, and repeats with them.
#[test]
fn batches_differ_by_update_and_seed() {
    let recipe = recipe(Sharing::PerDevice);
    let drawn = |seed: u64, updates: u64| {
        let mut agent = Agent::of(&SHAPE, &recipe, seed, network(1), network(2));
        remember(&mut agent, &mut LoadLog::new(2), 100);
        agent.updates = updates;
        agent.draw(&SHAPE, &recipe)
    };
    assert_eq!(drawn(1, 1), drawn(1, 1));
    assert_eq!(drawn(1, 1).len(), recipe.parameters.batch);
    let different = [drawn(1, 0), drawn(1, 1), drawn(1, 2), drawn(2, 0), drawn(2, 1)];
    for (at, batch) in different.iter().enumerate() {
        assert!(!different[..at].contains(batch), "{at}");
    }
}

/// An update needs a whole batch.
#[test]
fn the_first_update_is_with_the_first_whole_batch() {
    let mut recipe = recipe(Sharing::PerDevice);
    recipe.parameters.batch = 10;
    for count in [9, 10, 11] {
        let mut agent = Agent::of(&SHAPE, &recipe, 1, network(1), network(2));
        let mut log = LoadLog::new(2);
        remember(&mut agent, &mut log, count);
        let mut scratch = [Scratch::new(SHAPE)];
        let update = agent.learn(&SHAPE, &recipe, &log, &mut scratch, &Threads::alone());
        assert_eq!(update.is_some(), count >= 10);
    }
}
