//! A decision has the same bits whichever way it is computed.

use offramp_nn::{Decider, Histories, Initial, Row, Shape, Workspace, initial_parameters};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Parameters with biases of their own, the LSTM's too.
fn network(shape: &Shape, rng: &mut Xoshiro256PlusPlus) -> Vec<f32> {
    let mut parameters: Vec<f32> = initial_parameters(shape, Initial::Glorot, rng);
    parameters.iter_mut().for_each(|parameter| *parameter += rng.random_range(-0.2..0.2));
    parameters
}

proptest! {
    #[test]
    fn side_by_side_is_one_by_one(
        seed in any::<u64>(),
        hidden in 1..30_usize,
        servers in 1..8_usize,
        rows in 1..10_usize,
    ) {
        let shape = Shape { features: 4 + servers, servers, history_slots: 5, hidden };
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let networks: Vec<Vec<f32>> =
            (0..rows).map(|_| network(&shape, &mut rng)).collect();
        let mut numbers = |count: usize| -> Vec<f32> {
            (0..count).map(|_| rng.random_range(-3.0..3.0)).collect()
        };
        let features = numbers(rows * shape.features);
        let histories = numbers(rows * 5 * servers);
        let row = |row: usize| Row {
            parameters: &networks[row],
            features: &features[row * shape.features..][..shape.features],
            history: &histories[row * 5 * servers..][..5 * servers],
        };
        let mut values = vec![0.0; rows * shape.actions()];
        Decider::new(shape).decide(rows, row, &mut values);
        let mut workspace = Workspace::new(shape);
        let mut alone = vec![0.0; shape.actions()];
        for (number, values) in values.chunks_exact(shape.actions()).enumerate() {
            let Row { parameters, features, history } = row(number);
            let expected = workspace.forward(parameters, features, Histories::Shared(history));
            let bits = |values: &[f32]| values.iter().map(|q| q.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(values), bits(expected));
            Decider::new(shape).decide_shared(parameters, features, history, &mut alone);
            prop_assert_eq!(bits(values), bits(&alone));
        }
    }
}
