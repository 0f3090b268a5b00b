//! Updates, generations and annealing.

use offramp_nn::learning::TargetUpdate;

use super::*;
use crate::replay::Transition;

const SHAPE: PerceptronShape = PerceptronShape { inputs: 2, hidden: 3, outputs: 3 };

fn learning(parameters: &Parameters, steps: u64) -> Learning {
    Learning::new(parameters, SHAPE, 3, 7, steps)
}

/// Transitions without a next one.
fn fill(replay: &mut Replay) {
    let mut rng = stream(3, 0);
    for number in 0..200 {
        let (probability, reward) = (0.5, rng.random_range(-2.0_f32..2.0));
        let transition = Transition { action: number % 3, probability, reward, discount: 0.0 };
        let state = [rng.random_range(-1.0..1.0), rng.random_range(-1.0..1.0)];
        replay.push(transition, &state);
    }
}

/// Several parts, the last of them smaller: as if the batch were computed at once. Then the steps of
/// both networks, with the rates and the entropy of that moment, and the target network follows.
#[test]
fn an_update_is_one_step_of_critic_and_actor_along_their_batch() {
    let parameters = Parameters {
        batch: 2 * PART + 22,
        replay: 200,
        critic_rate: 0.02,
        actor_rate: 0.01,
        entropy: 0.5,
        clip: 0.01,
        target: TargetUpdate::Soft(0.25),
        every_slots: 1,
        anneal: 1.0,
        ..Parameters::default()
    };
    let mut learning = learning(&parameters, 4);
    fill(&mut learning.replay);
    learning.target = shifted(&learning.target);
    let mut actor: Vec<f32> = SHAPE.initial(&mut stream(1, 0));
    // 1 − 0.9 t/4 and 1 − 0.99 t/4, where t counts the update at hand.
    for (update, rate, entropy) in [(0, 0.775, 0.7525), (1, 0.55, 0.505), (2, 0.325, 0.2575)] {
        let mut rng = purpose_stream(7, update, Purpose::Batches);
        let mut whole = Part::new(SHAPE);
        whole.places.extend((0..parameters.batch).map(|_| learning.replay.draw(&mut rng)));
        let entropy_weight = (0.5 * entropy) as f32;
        let Learning { critic, target, replay, .. } = &learning;
        let lesson = Lesson {
            parameters: &parameters,
            replay,
            actor: &actor,
            critic,
            target,
            entropy_weight,
        };
        whole.learn(&lesson);
        let (old_critic, old_actor, old_target) =
            (learning.critic.clone(), actor.clone(), learning.target.clone());
        let mut states = [learning.critic_optimiser.clone(), learning.actor_optimiser.clone()];
        let loss = learning.update(&parameters, SHAPE, &mut actor, 7, 1).unwrap();
        assert!((loss - whole.loss).abs() < 1e-5);
        // After an update the first part has the sum of all, clipped.
        let sums = &learning.parts[0];
        for (number, (whole, sum, mut old, new, base)) in [
            (&mut whole.critic_gradient, &sums.critic_gradient, old_critic, &learning.critic, 0.02),
            (&mut whole.actor_gradient, &sums.actor_gradient, old_actor, &actor, 0.01),
        ]
        .into_iter()
        .enumerate()
        {
            assert!(clip(whole, 0.01) > 0.01);
            assert!(whole.iter().zip(sum).all(|(a, b)| (a - b).abs() < 1e-6), "{update} {number}");
            Optimiser::Adam(base * rate).step(&mut states[number], &mut old, sum);
            assert!(old.iter().zip(new).all(|(a, b)| (a - b).abs() < 1e-6), "{update} {number}");
        }
        for ((target, old), critic) in learning.target.iter().zip(old_target).zip(&learning.critic)
        {
            assert!((target - (old + 0.25 * (critic - old))).abs() < 1e-6);
        }
        assert_eq!(learning.updates, update + 1);
    }
    // In the end a tenth and a hundredth are left.
    learning.updates = 40;
    assert!((learning.falling_to(RATE_FLOOR) - 0.1).abs() < 1e-12);
    assert!((learning.falling_to(ENTROPY_FLOOR) - 0.01).abs() < 1e-12);
}

fn shifted(numbers: &[f32]) -> Vec<f32> {
    numbers.iter().map(|number| number + 0.1).collect()
}

/// The next generation of a population whose n-th actor is n in every parameter.
fn next_generation(actors: usize, fitness: impl Fn(usize) -> [f64; 2]) -> Vec<Vec<f32>> {
    let parameters = Parameters { actors, mutation: 0.0, ..Parameters::default() };
    let mut learning = learning(&parameters, 0);
    learning.population = (0..actors).map(|n| vec![n as f32; SHAPE.parameters()]).collect();
    learning.fitness = (0..actors).map(fitness).collect();
    let gradients = vec![-1.0; SHAPE.parameters()];
    learning.evolve(&parameters, SHAPE, &gradients, &mut stream(2, 0));
    assert_eq!(learning.fitness, vec![[0.0; 2]; actors]);
    assert_eq!(learning.population.len(), actors);
    learning.population
}

#[test]
fn the_best_quarter_stays_and_the_better_half_has_children() {
    // Actor n earns (n − 5)² a task: the best are 0 (the gradient's), 23, 22, 21, …, then 10 and 1.
    let fitness = |n: usize| {
        let tasks = 1.0 + n as f64;
        [tasks * (n as f64 - 5.0).powi(2) + if n == 0 { 1000.0 } else { 0.0 }, tasks]
    };
    let next = next_generation(24, fitness);
    let all = |value: f32| vec![value; SHAPE.parameters()];
    let stay = [-1.0, -1.0, 23.0, 22.0, 21.0, 20.0, 19.0];
    for (actor, value) in next.iter().zip(stay) {
        assert_eq!(*actor, all(value));
    }
    // Children: of two of the twelve best, gene by gene.
    let parents = [-1.0, 23.0, 22.0, 21.0, 20.0, 19.0, 18.0, 17.0, 16.0, 15.0, 14.0, 13.0];
    let mut seen = Vec::new();
    for child in &next[7..] {
        let mut genes = child.clone();
        genes.sort_by(f32::total_cmp);
        genes.dedup();
        assert!(genes.len() <= 2 && genes.iter().all(|gene| parents.contains(gene)), "{genes:?}");
        if let [first, second] = genes[..] {
            let of_first = child.iter().filter(|&&gene| gene == first).count();
            assert!(of_first > child.len() / 4 && of_first < child.len() * 3 / 4);
            seen.push(second);
        }
        seen.push(genes[0]);
    }
    assert!(next[7..].windows(2).any(|two| two[0] != two[1]));
    assert!(parents.iter().filter(|parent| seen.contains(parent)).count() >= 8, "{seen:?}");
}

/// It is the mean reward of a task that counts, not their sum; an actor without tasks has 0.
#[test]
fn fitness_is_the_mean_reward_of_a_task() {
    let fitness = [[-1.0, 1.0], [30.0, 30.0], [20.0, 10.0], [0.0, 0.0]];
    let next = next_generation(4, |n| fitness[n]);
    assert_eq!(next[1][0], 2.0);
    let next = next_generation(4, |n| [[-1.0, 1.0], [-30.0, 30.0], [-20.0, 10.0], [0.0, 0.0]][n]);
    assert_eq!(next[1][0], 3.0);
}

/// Mutations are as large as the tensor they are of, times `mutation`.
#[test]
fn mutations_are_scaled_by_tensor() {
    let shape = PerceptronShape { inputs: 30, hidden: 40, outputs: 30 };
    let parameters = Parameters { actors: 8, mutation: 0.1, ..Parameters::default() };
    let mut learning = Learning::new(&parameters, shape, 3, 7, 0);
    let mut actor = vec![0.0; shape.parameters()];
    for (tensor, size) in shape.tensors().into_iter().zip([1.0, 2.0, -3.0, 0.0, 5.0, 6.0]) {
        actor[tensor.range].fill(size);
    }
    learning.population = vec![actor.clone(); 8];
    learning.evolve(&parameters, shape, &actor, &mut stream(2, 0));
    assert!(learning.population[..3].iter().all(|stays| *stays == actor));
    for child in &learning.population[3..] {
        for (tensor, size) in shape.tensors().into_iter().zip([1.0, 2.0, 3.0, 0.0, 5.0, 6.0]) {
            let moved = child[tensor.range.clone()].iter().zip(&actor[tensor.range]);
            let moved: Vec<f32> = moved.map(|(child, actor)| child - actor).collect();
            let count = moved.len() as f32;
            let mean = moved.iter().sum::<f32>() / count;
            let deviation = (moved.iter().map(|by| by * by).sum::<f32>() / count).sqrt();
            let scale = 0.1 * size;
            assert!(mean.abs() <= 4.0 * scale / count.sqrt());
            assert!((deviation - scale).abs() <= 3.0 * scale / count.sqrt(), "{deviation} {scale}");
        }
    }
}

#[test]
fn normal_numbers_are_standard_normal() {
    let mut rng = stream(6, 0);
    let all: Vec<f64> = (0..40_000).map(|_| normal(&mut rng).into()).collect();
    let mean = |power: i32| all.iter().map(|x| x.powi(power)).sum::<f64>() / all.len() as f64;
    for (power, expected) in [(1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0)] {
        assert!((mean(power) - expected).abs() < 0.1, "{power}: {}", mean(power));
    }
}

/// Each actor plays an episode of a round; after G rounds the next generation comes.
#[test]
fn generations_follow_one_another_after_their_rounds() {
    let parameters = Parameters { actors: 4, rounds: 2, discount: 0.5, ..Parameters::default() };
    let mut learning = learning(&parameters, 0);
    let actor = vec![0.5; SHAPE.parameters()];
    let first = learning.population.clone();
    for episode in 0..16 {
        assert_eq!(learning.player(&parameters), episode % 4);
        learning.fitness[episode % 4][1] += 1.0;
        learning.episode.decide(1, 3, 2, 0.25, &[1.0, 2.0]);
        learning.episode.decide(1, 5, 1, 0.25, &[1.0, 2.0]);
        learning.episode.reward(1, 3, 4.0);
        learning.episode.reward(1, 5, 4.0);
        let before = learning.population.clone();
        learning.end_episode(&parameters, SHAPE, &actor, 7);
        let evolves = episode % 8 == 7;
        assert_eq!(learning.population != before, evolves, "{episode}");
        assert_eq!(learning.fitness == vec![[0.0; 2]; 4], evolves);
        assert_eq!(
            (learning.replay.len(), learning.episodes),
            (2 * episode + 2, episode as u64 + 1)
        );
        assert_eq!(learning.replay.transition(2 * episode).discount, 0.25);
    }
    assert_ne!(learning.population[3], first[3]);
}

/// Whatever is drawn has a stream of its own.
#[test]
fn streams_differ_by_purpose_seed_and_number() {
    let first = |seed: u64, index: u64, purpose: Purpose| {
        purpose_stream(seed, index, purpose).random::<u64>()
    };
    let all = [
        first(7, 0, Purpose::Actor),
        first(7, 0, Purpose::Critic),
        first(7, 0, Purpose::Population),
        first(7, 1, Purpose::Population),
        first(7, 0, Purpose::Evolution),
        first(7, 0, Purpose::Batches),
        first(8, 0, Purpose::Batches),
    ];
    for (number, draw) in all.iter().enumerate() {
        assert!(!all[..number].contains(draw), "{number}");
    }
    // A seed with such bits itself is another one, too.
    let streams = [0, 1 << 56]
        .map(|seed: u64| [Purpose::Actor, Purpose::Critic].map(|purpose| first(seed, 0, purpose)));
    assert!(streams[0].iter().all(|draw| !streams[1].contains(draw)));
    let one = learning(&Parameters::default(), 0);
    assert_eq!(one.target, one.critic);
    for (number, actor) in one.population.iter().enumerate() {
        assert!(!one.population[..number].contains(actor) && *actor != one.critic);
    }
}
