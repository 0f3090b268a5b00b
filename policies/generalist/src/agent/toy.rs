//! Little decision processes whose optimum is known: an agent has to find it.

use offramp_nn::learning::{Optimiser, TargetUpdate};
use offramp_nn::replay::Draw;

use super::*;
use crate::log::Row;
use crate::parameters::Parameters;
use crate::rule::{TEMPERATURE, probabilities};

/// One feature of the device, one of each link, two slots of history.
const SHAPE: SetShape = SetShape {
    device_features: 1,
    link_features: 1,
    server_features: 0,
    history_slots: 2,
    lstm: 4,
    embedding: 12,
    hidden: 12,
};

/// Updates of an agent, over which its learning rate falls.
const UPDATES: u64 = 2000;

/// A state: the device's feature, and those of as many links as there are servers.
#[derive(Clone)]
struct State {
    device: f32,
    links: Vec<f32>,
}

/// The way from an action in a state: its reward, and what follows with γ^Δ, if anything.
struct Step {
    from: State,
    action: u32,
    reward: f32,
    next: Option<(State, f32)>,
}

fn state(device: f32, links: &[f32]) -> State {
    State { device, links: links.to_vec() }
}

fn parameters() -> Parameters {
    Parameters {
        learn_from: LearnFrom::Rewards,
        optimiser: Optimiser::Adam(0.01),
        target: TargetUpdate::Soft(0.05),
        batch: 100,
        replay: 1000,
        every_slots: 1,
        warm_up_slots: 0,
        draw: Some(Draw::Experiences),
        ..Parameters::default()
    }
}

/// An agent that has learned from all steps.
fn learned(steps: &[Step], parameters: Parameters, threads: usize) -> Agent {
    let recipe = parameters.recipe(UPDATES).unwrap();
    let mut agent = Agent::new(&SHAPE, &recipe, 1, drawn_weights(&SHAPE, 1));
    let Lessons::Rewards(replay) = &mut agent.lessons else { panic!("learns from rewards") };
    for Step { from, action, reward, next } in steps.iter().cycle().take(200) {
        let log = &mut replay.log;
        let servers = from.links.len();
        log.begin_episode(servers);
        // All states have the same history.
        log.push_slot(&vec![0.5; servers], &[]);
        let mut row = |state: &State| {
            log.push_slot(&vec![0.5; servers], &[]);
            log.push_row(Row { device: &[state.device], links: &state.links, base: 40.0 })
        };
        let from = row(from);
        let (next, discount) = match next {
            Some((next, discount)) => (row(next), *discount),
            None => (u64::MAX, 0.0),
        };
        let (action, reward) = (*action, *reward);
        replay.push(Experience { row: from, next, action, reward, discount });
    }
    updated(agent, &recipe, threads)
}

/// An agent after all its updates.
fn updated(mut agent: Agent, recipe: &Recipe, threads: usize) -> Agent {
    let mut scratch: Vec<_> = (0..2).map(|_| Scratch::new(SHAPE)).collect();
    let threads = Threads::new(threads).unwrap();
    for _ in 0..UPDATES {
        agent.learn(recipe, &mut scratch, &threads).unwrap();
    }
    agent
}

/// Q of an agent in a state.
fn values(agent: &Agent, State { device, links }: &State) -> Vec<f32> {
    let mut log = Log::new(SHAPE);
    log.begin_episode(links.len());
    log.push_slot(&vec![0.5; links.len()], &[]);
    log.push_slot(&vec![0.5; links.len()], &[]);
    let row = log.push_row(Row { device: &[*device], links, base: 40.0 });
    let mut gathered = Gathered::default();
    gathered.add(&log, row);
    SetWorkspace::new(SHAPE).forward(&agent.evaluation, &gathered.batch()).to_vec()
}

#[track_caller]
fn assert_values(agent: &Agent, state: &State, expected: &[f32]) {
    let actual = values(agent, state);
    let close = actual.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.08);
    assert!(close && actual.len() == expected.len(), "{actual:?} instead of {expected:?}");
}

/// A server is worth its link's feature, computing locally the device's. Learned with two and three
/// servers; known with seven.
fn rewards_of_links() -> Vec<Step> {
    let mut steps = Vec::new();
    for (device, links) in [
        (0.2, &[0.0, 1.0][..]),
        (0.8, &[1.0, 0.0, 0.5]),
        (0.4, &[0.5, 0.5]),
        (0.6, &[0.0, 0.0, 1.0]),
    ] {
        for action in 0..=links.len() {
            let reward = if action == 0 { device } else { links[action - 1] };
            let from = state(device, links);
            steps.push(Step { from, action: action as u32, reward, next: None });
        }
    }
    steps
}

#[test]
fn what_was_learned_with_some_servers_holds_with_more() {
    let agent = learned(&rewards_of_links(), parameters(), 1);
    assert_values(&agent, &state(0.2, &[0.0, 1.0]), &[0.2, 0.0, 1.0]);
    let many = values(&agent, &state(0.4, &[0.0, 0.5, 0.0, 1.0, 0.5, 0.0, 0.0]));
    assert_eq!(offramp_nn::argmax(&many), 4, "{many:?}");
    let one = values(&agent, &state(0.2, &[1.0]));
    assert_eq!(offramp_nn::argmax(&one), 1, "{one:?}");
}

/// Two servers of the first state are worth −0.1 and what follows: 0.8 of 1, or 0.4 of it.
#[test]
fn a_delayed_reward_is_worth_what_the_discount_leaves_of_it() {
    let (first, second) = (state(0.0, &[0.0, 1.0, 0.5]), state(1.0, &[0.3, 0.6, 0.9]));
    let step = |from: &State, action, reward, next: Option<f32>| {
        let next = next.map(|discount| (second.clone(), discount));
        Step { from: from.clone(), action, reward, next }
    };
    let steps = [
        step(&first, 0, 0.4, None),
        step(&first, 1, -0.1, Some(0.8)),
        step(&first, 2, -0.1, Some(0.4)),
        step(&first, 3, 0.0, None),
        step(&second, 0, -1.0, None),
        step(&second, 1, 0.3, None),
        step(&second, 2, 1.0, None),
        step(&second, 3, 0.0, None),
    ];
    for priority in [0.0, 0.6] {
        let agent = learned(&steps, Parameters { priority, ..parameters() }, 1);
        assert_values(&agent, &second, &[-1.0, 0.3, 1.0, 0.0]);
        assert_values(&agent, &first, &[0.4, 0.7, 0.3, 0.0]);
    }
}

#[test]
fn an_update_is_the_same_on_any_number_of_threads() {
    let agents = [1, 3].map(|threads| learned(&rewards_of_links(), parameters(), threads));
    assert_eq!(agents[0].evaluation, agents[1].evaluation);
    assert_eq!(agents[0].target, agents[1].target);
}

/// An agent that has learned from judged decisions: what each action of a state would have gained.
fn judged(states: &[(State, &[f32])], parameters: Parameters, threads: usize) -> Agent {
    let parameters = Parameters { learn_from: LearnFrom::Counterfactuals(1), ..parameters };
    let recipe = parameters.recipe(UPDATES).unwrap();
    let mut agent = Agent::new(&SHAPE, &recipe, 1, drawn_weights(&SHAPE, 1));
    let Lessons::Judged(replay) = &mut agent.lessons else { panic!("judged") };
    for (State { device, links }, gains) in states.iter().cycle().take(200) {
        let log = &mut replay.log;
        log.begin_episode(links.len());
        log.push_slot(&vec![0.5; links.len()], &[]);
        log.push_slot(&vec![0.5; links.len()], &[]);
        let row = log.push_row(Row { device: &[*device], links, base: 40.0 });
        replay.push(Judged { row, gains: (*gains).into(), taught: Box::default() });
    }
    updated(agent, &recipe, threads)
}

fn policy(agent: &Agent, state: &State) -> Vec<f32> {
    let mut policy = Vec::new();
    probabilities(&values(agent, state), &mut policy);
    policy
}

/// The same state is judged in two ways, as where the others' decisions differ: the action that gains
/// most on average is the best, though it is never the best of either.
#[test]
fn a_policy_takes_what_gains_most_on_average() {
    let (mixed, plain) = (state(0.0, &[0.0, 1.0]), state(1.0, &[1.0, 0.0, 0.5]));
    let states = [
        (mixed.clone(), &[0.0, 0.5, -0.6][..]),
        (mixed.clone(), &[0.0, -0.6, 0.5]),
        (plain.clone(), &[0.0, 0.2, 0.1, -0.3]),
    ];
    let agent = judged(&states, parameters(), 1);
    let [mixed, plain] = [policy(&agent, &mixed), policy(&agent, &plain)];
    assert!(mixed[0] > 0.9, "{mixed:?}");
    assert!(plain[1] > 0.9, "{plain:?}");
    let others = judged(&states, parameters(), 3);
    assert_eq!(agent.evaluation, others.evaluation);
    assert_eq!(agent.target, others.target);
}

/// The probabilities of the teacher that is imitated.
const THEIRS: [f32; 3] = [0.2, 0.7, 0.1];

/// A teacher whose states differ is imitated in each.
#[test]
fn a_teacher_is_imitated() {
    let states = [state(0.0, &[0.0, 1.0]), state(1.0, &[1.0, 0.0])];
    let theirs = [THEIRS, [0.6, 0.1, 0.3]];
    let parameters = Parameters { learn_from: LearnFrom::Teacher(1), ..parameters() };
    let recipe = parameters.recipe(UPDATES).unwrap();
    let mut agent = Agent::new(&SHAPE, &recipe, 1, drawn_weights(&SHAPE, 1));
    let Lessons::Judged(replay) = &mut agent.lessons else { panic!("judged") };
    for (State { device, links }, theirs) in states.iter().zip(&theirs).cycle().take(200) {
        replay.log.begin_episode(links.len());
        replay.log.push_slot(&vec![0.5; links.len()], &[]);
        let row = replay.log.push_row(Row { device: &[*device], links, base: 40.0 });
        replay.push(Judged { row, gains: Box::default(), taught: (*theirs).into() });
    }
    let agent = updated(agent, &recipe, 1);
    for (state, theirs) in states.iter().zip(theirs) {
        let ours = policy(&agent, state);
        let far = ours.iter().zip(theirs).map(|(ours, theirs)| (ours - theirs).abs());
        assert!(far.fold(0.0, f32::max) < 0.1, "{ours:?}");
    }
}

/// Its derivative by each preference is that of what π gains on average, less the weighted divergence from
/// a teacher.
#[test]
fn the_gradient_is_that_of_the_expected_gain() {
    let learn_from = LearnFrom::Counterfactuals(1);
    let imitate = 0.3;
    let parameters = Parameters { batch: 1, learn_from, fit: 0.0, imitate, ..parameters() };
    let recipe = parameters.recipe(UPDATES).unwrap();
    let gains = [0.3_f32, -0.2, 0.9];
    let mut agent = Agent::new(&SHAPE, &recipe, 1, drawn_weights(&SHAPE, 1));
    let Lessons::Judged(replay) = &mut agent.lessons else { panic!("judged") };
    replay.log.begin_episode(2);
    replay.log.push_slot(&[0.5, 0.5], &[]);
    let row = replay.log.push_row(Row { device: &[0.1], links: &[0.2, 0.7], base: 40.0 });
    replay.push(Judged { row, gains: gains.into(), taught: THEIRS.into() });
    let mut scratch = Scratch::new(SHAPE);
    agent.part_gradient(&recipe, &[0], &[], &mut scratch);
    let preferences: Vec<f64> =
        scratch.workspace.values_of(0).iter().map(|one| f64::from(*one)).collect();
    let expected = |preferences: &[f64]| {
        let tau = f64::from(TEMPERATURE);
        let odds: Vec<f64> = preferences.iter().map(|one| (one / tau).exp()).collect();
        let sum = odds.iter().sum::<f64>();
        let each = odds.iter().zip(gains).zip(THEIRS).map(|((odds, gain), theirs)| {
            let (policy, theirs) = (odds / sum, f64::from(theirs));
            policy * f64::from(gain) - imitate * theirs * (theirs.ln() - policy.ln())
        });
        each.sum::<f64>()
    };
    for (action, derivative) in scratch.d_values.iter().enumerate() {
        let moved = |by: f64| {
            let mut preferences = preferences.clone();
            preferences[action] += by;
            expected(&preferences)
        };
        let difference = -(moved(1e-6) - moved(-1e-6)) / 2e-6;
        let error = (f64::from(*derivative) - difference).abs();
        assert!(error < 1e-4 * (1.0 + difference.abs()), "{derivative} instead of {difference}");
    }
    let loss = f64::from(gains[2]) - expected(&preferences);
    assert!((scratch.update.loss - loss).abs() < 1e-5, "{} {loss}", scratch.update.loss);
}
