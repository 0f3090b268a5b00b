//! Targets by hand, gradients by finite differences in f64.

use offramp_nn::stream;
use rand::Rng;

use super::*;

const SHAPE: PerceptronShape = PerceptronShape { inputs: 2, hidden: 3, outputs: 3 };

/// Parameters of a network that returns `outputs` whatever it sees.
fn constant(outputs: [f32; 3]) -> Vec<f32> {
    let mut parameters = vec![0.0; SHAPE.parameters()];
    let [.., bias] = SHAPE.tensors();
    parameters[bias.range].copy_from_slice(&outputs);
    parameters
}

/// A replay of transitions, each an action, π_then, r and γ^Δ; the state of the n-th is [n, −n].
fn replay(capacity: usize, transitions: &[(u32, f32, f32, f32)]) -> Replay {
    let mut replay = Replay::new(capacity, SHAPE.inputs);
    for (number, &(action, probability, reward, discount)) in (0_u8..).zip(transitions) {
        let state = f32::from(number);
        replay.push(Transition { action, probability, reward, discount }, &[state, -state]);
    }
    replay
}

/// Y of the first transition, before it bootstraps: return, discount, and the state that follows.
fn followed(replay: &Replay, steps: usize, trust: f64) -> (f32, f32, Option<f32>) {
    let parameters = Parameters { steps, trust, ..Parameters::default() };
    // π = 0.5, 0.3, 0.2.
    let (actor, critic) = (constant([0.5_f32, 0.3, 0.2].map(f32::ln)), constant([0.0; 3]));
    let lesson = Lesson {
        parameters: &parameters,
        replay,
        actor: &actor,
        critic: &critic,
        target: &critic,
        entropy_weight: 0.0,
    };
    let mut part = Part::new(SHAPE);
    part.places.push(0);
    part.gather(&lesson);
    assert_eq!((part.states, part.actions), (vec![0.0, -0.0], vec![replay.transition(0).action]));
    let end = part.bootstrap[0].map(|row| part.ends[row * SHAPE.inputs]);
    (part.returns[0], part.discounts[0], end)
}

#[test]
fn a_target_follows_a_device_for_so_many_of_its_tasks() {
    let chain = replay(
        10,
        &[(2, 0.2, 1.0, 0.5), (0, 0.5, 2.0, 0.25), (1, 0.3, 4.0, 0.5), (0, 0.5, 8.0, 0.0)],
    );
    assert_eq!(followed(&chain, 1, 0.5), (1.0, 0.5, Some(1.0)));
    assert_eq!(followed(&chain, 2, 0.5), (1.0 + 0.5 * 2.0, 0.125, Some(2.0)));
    assert_eq!(followed(&chain, 3, 0.5), (2.0 + 0.125 * 4.0, 0.0625, Some(3.0)));
    // The last task of the episode ends it.
    assert_eq!(followed(&chain, 4, 0.5), (2.5 + 0.0625 * 8.0, 0.0, None));
    assert_eq!(followed(&chain, 9, 0.5), (3.0, 0.0, None));
    // What comes next is another device's.
    let others = replay(10, &[(2, 0.2, 1.0, 0.0), (0, 0.5, 2.0, 0.5), (0, 0.5, 2.0, 0.5)]);
    assert_eq!(followed(&others, 5, 0.5), (1.0, 0.0, None));
}

/// The product of min(1, π_now / π_then) is at least the trust, or the target ends before.
#[test]
fn a_target_follows_what_the_actor_would_still_do() {
    // Ratios: 1/2, then 3/5 (3/10 together), then 1.
    let first = (0, 0.5, 1.0, 0.5);
    let falling = [first, (1, 0.6, 1.0, 0.5), (1, 0.5, 1.0, 0.5), (0, 0.5, 1.0, 0.5)];
    let falling = replay(10, &[&falling[..], &[(0, 0.5, 1.0, 0.0)]].concat());
    let end = |replay: &Replay, trust: f64| followed(replay, 5, trust).2;
    assert_eq!(end(&falling, 0.51), Some(1.0));
    assert_eq!(end(&falling, 0.49), Some(2.0));
    assert_eq!(end(&falling, 0.31), Some(2.0));
    assert_eq!(end(&falling, 0.29), None);
    assert_eq!(followed(&falling, 4, 0.29).2, Some(4.0));
    assert_eq!(end(&falling, 0.0), None);
    // What it would rather do than then makes up for nothing: 1 for 2, then 1/2.
    let rising = [first, (0, 0.25, 1.0, 0.5), (1, 0.6, 1.0, 0.5), (0, 0.5, 1.0, 0.0)];
    assert_eq!(end(&replay(10, &rising), 0.6), Some(2.0));
    // A probability of 0 is not divided by, and its ratio is 1.
    let never = [first, (0, 0.0, 1.0, 0.5), (0, 0.5, 1.0, 0.0)];
    assert_eq!(end(&replay(10, &never), 1.0), None);
}

/// Where the task after the next has been overwritten, the next one is where the critic takes over.
#[test]
fn a_target_ends_where_the_ring_does() {
    let all: Vec<_> = (0..3).map(|_| (0, 0.5, 1.0, 0.5)).collect();
    assert_eq!(followed(&replay(3, &all), 5, 0.5), (1.5, 0.25, Some(2.0)));
    assert_eq!(followed(&replay(9, &all), 5, 0.5), (1.5, 0.25, Some(2.0)));
}

/// Y by hand: the critic chooses, its target network values.
#[test]
fn the_critic_chooses_and_its_target_values() {
    let replay = replay(10, &[(1, 0.5, 1.0, 0.5), (0, 0.5, 2.0, 0.25), (1, 0.3, 4.0, 0.0)]);
    let parameters = Parameters { steps: 1, batch: 3, ..Parameters::default() };
    // In units of the targets, so that the Huber loss is on both sides of 1.
    let (critic, target) = (constant([3.0, 0.5, -1.0]), constant([2.0, 8.0, 9.0]));
    let lesson = Lesson {
        parameters: &parameters,
        replay: &replay,
        actor: &constant([0.0; 3]),
        critic: &critic,
        target: &target,
        entropy_weight: 0.0,
    };
    let mut part = Part::new(SHAPE);
    part.places.extend([0, 2, 1]);
    part.learn(&lesson);
    // 1 + 0.5 · 2; 4; 2 + 0.25 · 2.
    assert_eq!(part.returns, [2.0, 4.0, 2.5]);
    // Errors −1.5, −3.5 and 0.5: (1 + 3 + 0.125) / 3.
    assert!((part.loss - 4.125 / 3.0).abs() < 1e-6, "{}", part.loss);
    let [.., bias] = SHAPE.tensors();
    let expected = [0.5 / 3.0, -2.0 / 3.0, 0.0];
    let close = part.critic_gradient[bias.range].iter().zip(expected);
    assert!(close.into_iter().all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6));
    assert_eq!(part.values, [3.0, 0.5, -1.0].repeat(3));
}

fn wide(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().map(|&number| number.into()).collect()
}

/// The gradient of `loss` of a network's outputs, by central differences.
fn slopes(parameters: &[f32], states: &[f64], loss: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let mut network = Perceptron::<f64>::new(SHAPE);
    let parameters = wide(parameters);
    let mut at = |index: usize, by: f64| {
        let mut moved = parameters.clone();
        moved[index] += by;
        loss(network.forward(&moved, states))
    };
    (0..parameters.len()).map(|index| (at(index, 1e-6) - at(index, -1e-6)) / 2e-6).collect()
}

fn assert_close(what: &str, actual: &[f32], expected: &[f64]) {
    assert_eq!(actual.len(), expected.len());
    for (at, (&actual, expected)) in actual.iter().zip(expected).enumerate() {
        let off = (f64::from(actual) - expected).abs();
        assert!(off < 1e-5 + 1e-5 * expected.abs(), "{what} {at}: {actual} {expected}");
    }
    assert!(expected.iter().any(|slope| slope.abs() > 1e-3), "{what} has no slope");
}

/// A replay of sixty transitions of several devices; actor, critic and its target network.
fn drawn() -> (Replay, [Vec<f32>; 3]) {
    let mut rng = stream(5, 0);
    let mut draw = |low: f32, high: f32| rng.random_range(low..high);
    let mut replay = Replay::new(60, SHAPE.inputs);
    for number in 0..60 {
        let transition = Transition {
            action: number % 3,
            probability: draw(0.1, 0.9),
            reward: draw(-2.0, 2.0),
            discount: if number % 5 == 4 { 0.0 } else { draw(0.3, 0.9) },
        };
        let state = [draw(-1.0, 1.0), draw(-1.0, 1.0)];
        replay.push(transition, &state);
    }
    let mut network = || (0..SHAPE.parameters()).map(|_| draw(-0.9, 0.9)).collect::<Vec<_>>();
    let networks = [network(), network(), network()];
    (replay, networks)
}

/// Y of each transition of a part, one by one, from the state that follows it.
#[test]
fn each_target_bootstraps_from_its_own_state() {
    let (replay, [actor, critic, target]) = drawn();
    let parameters = Parameters { batch: 20, steps: 1, ..Parameters::default() };
    let lesson = Lesson {
        parameters: &parameters,
        replay: &replay,
        actor: &actor,
        critic: &critic,
        target: &target,
        entropy_weight: 0.0,
    };
    let mut part = Part::new(SHAPE);
    let places: Vec<usize> = (0..20).map(|row| row * 7 % 59).collect();
    part.places.extend(&places);
    part.learn(&lesson);
    let mut network = Perceptron::<f64>::new(SHAPE);
    let mut bootstraps = 0;
    for (&place, &y) in places.iter().zip(&part.returns) {
        let Transition { reward, discount, .. } = replay.transition(place);
        let mut expected = f64::from(reward);
        if discount > 0.0 {
            let next = wide(replay.state(place + 1));
            let choice = argmax(network.forward(&wide(&critic), &next));
            expected += f64::from(discount) * network.forward(&wide(&target), &next)[choice];
            bootstraps += 1;
        }
        assert!((f64::from(y) - expected).abs() < 1e-5, "{place}: {y} {expected}");
    }
    assert!((10..20).contains(&bootstraps));
}

/// Both gradients of a part of a batch against finite differences of what they are of.
#[test]
fn gradients_are_those_of_the_critics_loss_and_the_actors_gain() {
    let (replay, [actor, critic, target]) = drawn();
    for (entropy_weight, batch) in [(0.0, 20), (0.7, 20), (0.7, 50)] {
        let parameters = Parameters { batch, steps: 3, trust: 0.4, ..Parameters::default() };
        let (actor, critic, target) = (&actor[..], &critic[..], &target[..]);
        let lesson = Lesson {
            parameters: &parameters,
            replay: &replay,
            actor,
            critic,
            target,
            entropy_weight,
        };
        let mut part = Part::new(SHAPE);
        part.places.extend((0..20).map(|row| row * 7 % 59));
        part.learn(&lesson);
        let share = 1.0 / batch as f64;
        let states = wide(&part.states);
        let critic_loss = |values: &[f64]| {
            let rows = part.actions.iter().zip(&part.returns).enumerate();
            let of_row = rows.map(|(row, (&action, &target))| {
                let error = values[row * 3 + action as usize] - f64::from(target);
                if error.abs() < 1.0 { error * error / 2.0 } else { error.abs() - 0.5 }
            });
            share * of_row.sum::<f64>()
        };
        assert_close("critic", &part.critic_gradient, &slopes(critic, &states, critic_loss));
        let values = Perceptron::<f64>::new(SHAPE).forward(&wide(critic), &states).to_vec();
        assert!((part.loss - critic_loss(&values)).abs() < 1e-5);
        let loss_of_gain = |logits: &[f64]| {
            let rows = logits.chunks(3).zip(values.chunks(3));
            let gain = rows.map(|(logits, values)| {
                let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
                let policy = logits.iter().map(|logit| logit.exp() / sum).zip(values);
                policy.map(|(p, q)| p * q - f64::from(entropy_weight) * p * p.ln()).sum::<f64>()
            });
            -share * gain.sum::<f64>()
        };
        assert_close("actor", &part.actor_gradient, &slopes(actor, &states, loss_of_gain));
    }
}
