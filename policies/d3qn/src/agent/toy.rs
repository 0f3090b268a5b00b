//! Little decision processes whose optimum is known: an agent has to find it.

use offramp_nn::argmax;
use offramp_nn::learning::{Loss, Optimiser, TargetUpdate};
use offramp_nn::networks::Sharing;

use super::*;
use crate::parameters::Parameters;

/// o has two features; h two slots of two servers.
const SHAPE: Shape = Shape { features: 2, servers: 2, history_slots: 2, hidden: 8 };

/// A state: o, then h with its older slot first.
#[derive(Clone, Copy)]
struct State {
    features: [f32; 2],
    history: [[f32; 2]; 2],
}

/// The way from an action in a state: its reward, and what follows with γ^Δ, if anything.
struct Step {
    from: State,
    action: u32,
    reward: f32,
    next: Option<(State, f32)>,
}

const END: State = State { features: [0.0; 2], history: [[0.0; 2]; 2] };

/// A state without servers to tell apart.
fn o(features: [f32; 2]) -> State {
    State { features, history: [[0.5; 2]; 2] }
}

/// Q of an agent that has learned from all steps, in each of some states.
fn learned<const N: usize>(steps: &[Step], states: [State; N], draw: Draw) -> [Vec<f32>; N] {
    let parameters = Parameters {
        optimiser: Optimiser::Adam(0.01),
        loss: Loss::Huber(1.0),
        target: TargetUpdate::Soft(0.05),
        sharing: if draw == Draw::Experiences { Sharing::PerDevice } else { Sharing::Shared },
        draw: Some(draw),
        replay: 100,
        ..Parameters::default()
    };
    let recipe = parameters.recipe(0).unwrap();
    let mut agent = Agent::new(&SHAPE, &recipe, 1);
    let mut log = LoadLog::new(SHAPE.servers);
    let mut window = |state: &State| {
        log.push(state.history[0]);
        log.push(state.history[1])
    };
    for Step { from, action, reward, next } in steps.iter().cycle().take(96) {
        let (next, discount) = next.unwrap_or((END, 0.0));
        let experience = Experience {
            window: window(from),
            next_window: window(&next),
            action: *action,
            reward: *reward,
            discount,
        };
        agent.remember(experience, &from.features, &next.features);
    }
    let mut scratch = [Scratch::new(SHAPE)];
    for _ in 0..1500 {
        agent.learn(&SHAPE, &recipe, &log, &mut scratch, &Threads::alone()).unwrap();
    }
    states.map(|State { features, history }| {
        let window = history.concat();
        let mut workspace = Workspace::new(SHAPE);
        workspace.forward(&agent.evaluation, &features, Histories::Shared(&window)).to_vec()
    })
}

fn assert_values(actual: &[f32], expected: [f32; 3]) {
    let close = actual.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.06);
    assert!(close, "{actual:?} instead of {expected:?}");
    assert_eq!(argmax(actual), argmax(&expected));
}

/// In the first state action 0 has the largest reward; action 1 has one of −0.1 and leads, a slot
/// later, to a state that is worth 1; action 2 leads there four slots later, when 1 is worth less
/// than what action 0 has at once.
#[test]
fn a_delayed_reward_is_worth_what_the_discount_leaves_of_it() {
    let (first, second) = (o([1.0, 0.0]), o([0.0, 1.0]));
    let step = |from, action, reward, next| Step { from, action, reward, next };
    let steps = [
        step(first, 0, 0.4, None),
        step(first, 1, -0.1, Some((second, 0.8))),
        step(first, 2, -0.1, Some((second, 0.4096))),
        step(second, 0, -1.0, None),
        step(second, 1, 0.3, None),
        step(second, 2, 1.0, None),
    ];
    for draw in [Draw::Experiences, Draw::Slots(1)] {
        let [of_first, of_second] = learned(&steps, [first, second], draw);
        assert_values(&of_first, [0.4, 0.7, 0.3096]);
        assert_values(&of_second, [-1.0, 0.3, 1.0]);
    }
}

/// The features are the same; the server to offload to is the one whose load has fallen.
#[test]
fn the_best_server_depends_on_the_history_alone() {
    let state = |history| State { features: [0.5; 2], history };
    // The newest loads are the same as well.
    let states = [state([[0.9, 0.1], [0.5, 0.5]]), state([[0.1, 0.9], [0.5, 0.5]])];
    let rewards = [[0.0, 1.0, -1.0], [0.0, -1.0, 1.0]];
    let mut steps = Vec::new();
    for (&from, rewards) in states.iter().zip(rewards) {
        for (action, reward) in (0..).zip(rewards) {
            steps.push(Step { from, action, reward, next: None });
        }
    }
    for draw in [Draw::Experiences, Draw::Slots(1)] {
        let all = learned(&steps, states, draw);
        all.iter().zip(rewards).for_each(|(values, expected)| assert_values(values, expected));
    }
}

/// Neither action has a reward, but one leads to a history in which the next one has: h' is not h.
#[test]
fn what_follows_is_seen_with_its_own_history() {
    let state = |features, history| State { features, history };
    let (good, bad) = ([[0.9, 0.1], [0.9, 0.1]], [[0.1, 0.9], [0.1, 0.9]]);
    let first = state([0.5; 2], [[0.5; 2]; 2]);
    let [then_good, then_bad] = [good, bad].map(|history| state([0.5; 2], history));
    let mut steps = Vec::new();
    for (action, next) in [(0, then_bad), (1, then_good), (2, then_bad)] {
        steps.push(Step { from: first, action, reward: 0.0, next: Some((next, 0.9)) });
    }
    for (from, reward) in [(then_good, 1.0), (then_bad, -1.0)] {
        steps.extend((0..3).map(|action| Step { from, action, reward, next: None }));
    }
    for draw in [Draw::Experiences, Draw::Slots(1)] {
        let [values] = learned(&steps, [first], draw);
        assert_values(&values, [-0.9, 0.9, -0.9]);
    }
}

/// The history is the same; the features say which action is the right one.
#[test]
fn the_best_action_depends_on_the_features_alone() {
    let states = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]].map(o);
    let rewards = [[1.0, 0.0, -1.0], [-1.0, 1.0, 0.0], [0.0, -1.0, 1.0]];
    let mut steps = Vec::new();
    for (&from, rewards) in states.iter().zip(rewards) {
        for (action, reward) in (0..).zip(rewards) {
            steps.push(Step { from, action, reward, next: None });
        }
    }
    let all = learned(&steps, states, Draw::Experiences);
    all.iter().zip(rewards).for_each(|(values, expected)| assert_values(values, expected));
}

/// A network fitted to values has them, whichever rows are its own.
#[test]
fn what_it_is_fitted_to_it_values() {
    let parameters = Parameters {
        optimiser: Optimiser::Adam(0.01),
        loss: Loss::Squared,
        ..Parameters::default()
    };
    let recipe = parameters.recipe(0).unwrap();
    let mut agent = Agent::new(&SHAPE, &recipe, 1);
    // Row 1 belongs to another agent; rows 0 and 2 see different windows.
    let lesson = Lesson {
        features: &[0.0, 1.0, 9.0, 9.0, 0.0, 1.0],
        histories: &[0.5, 0.5, 0.5, 0.5, 0.0, 1.0, 0.0, 1.0],
        history_of: &[0, 0, 1],
        targets: &[0.1, 0.9, -0.3, 7.0, 7.0, 7.0, 0.4, -0.2, 0.6],
    };
    let mut scratch = Scratch::new(SHAPE);
    let losses: Vec<f64> =
        (0..1500).map(|_| agent.fit(&SHAPE, &recipe, &lesson, &[0, 2], &mut scratch)).collect();
    assert!(losses[1499] < 1e-4 && losses[0] > 100.0 * losses[1499], "{losses:?}");
    let mut workspace = Workspace::new(SHAPE);
    let histories = Histories::Of(lesson.histories, lesson.history_of);
    let values = workspace.forward(&agent.evaluation, lesson.features, histories);
    assert_values(&values[..3], [0.1, 0.9, -0.3]);
    assert_values(&values[6..], [0.4, -0.2, 0.6]);
    assert_eq!(agent.updates, 1500);
}
