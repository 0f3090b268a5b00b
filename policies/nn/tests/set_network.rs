//! Networks over servers: the order of servers, batches and their rows, decisions and learning.

mod common;

use common::{Slots, draw_parameters};
use offramp_nn::set::{SetDecider, SetShape, SetWorkspace};
use offramp_nn::{Real, stream};
use proptest::prelude::*;
use rand::seq::SliceRandom;

fn shapes() -> impl Strategy<Value = SetShape> {
    let features = (1_usize..13, 0_usize..8, 0_usize..4);
    (features, 1_usize..6, 1_usize..20, 1_usize..27, 1_usize..19).prop_map(
        |(features, history_slots, lstm, embedding, hidden)| {
            let (device_features, link_features, server_features) = features;
            SetShape {
                device_features,
                link_features,
                server_features,
                history_slots,
                lstm,
                embedding,
                hidden,
            }
        },
    )
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Reordered servers reorder Q. How far the values are apart, relative to the largest of them.
fn reordering<F: Real>(shape: SetShape, servers: u32, rows: usize, seed: u64) -> f64 {
    let mut rng = stream(seed, 0);
    let slots = Slots::<F>::draw(&shape, &[servers], rows, &mut rng);
    let parameters = draw_parameters::<F>(&shape, seed);
    let mut order: Vec<usize> = (0..servers as usize).collect();
    order.shuffle(&mut rng);
    let mut workspace = SetWorkspace::new(shape);
    let values = workspace.forward(&parameters, &slots.batch()).to_vec();
    let others = workspace.forward(&parameters, &slots.reordered(&shape, &order).batch());
    let largest = values.iter().fold(1.0, |largest, q| q.f64().abs().max(largest));
    let mut apart = 0.0_f64;
    for (values, others) in
        values.chunks_exact(order.len() + 1).zip(others.chunks_exact(order.len() + 1))
    {
        apart = apart.max((values[0].f64() - others[0].f64()).abs());
        for (at, &server) in order.iter().enumerate() {
            apart = apart.max((others[1 + at].f64() - values[1 + server].f64()).abs());
        }
    }
    apart / largest
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// All but the sums over servers has the same bits in any order: with one server all of it.
    #[test]
    fn reordered_servers_reorder_values(
        shape in shapes(),
        servers in 1_u32..=20,
        rows in 1_usize..6,
        seed in any::<u64>(),
    ) {
        let single = reordering::<f32>(shape, servers, rows, seed);
        let double = reordering::<f64>(shape, servers, rows, seed);
        prop_assert!(single <= 4e-6 && double <= 1e-14, "{single} {double}");
        // Of one or two numbers, there is one sum.
        prop_assert_eq!(reordering::<f32>(shape, 1, rows, seed), 0.0);
    }

    /// Neither rows nor slots of a batch see each other, and decisions have the bits of learning.
    #[test]
    fn a_batch_is_its_rows(
        shape in shapes(),
        servers in prop::collection::vec(1_u32..=20, 1..5),
        rows in 1_usize..40,
        seed in any::<u64>(),
    ) {
        let slots = Slots::<f32>::draw(&shape, &servers, rows, &mut stream(seed, 0));
        let parameters = draw_parameters::<f32>(&shape, seed);
        let (mut workspace, mut decider) = (SetWorkspace::new(shape), SetDecider::new(shape));
        let mut alone = SetWorkspace::new(shape);
        let values = workspace.forward(&parameters, &slots.batch()).to_vec();
        let mut decided = vec![0.0; values.len()];
        decider.decide(&parameters, &slots.batch(), &mut decided);
        prop_assert_eq!(bits(&decided), bits(&values));
        for (row, range) in slots.batch().value_ranges().enumerate() {
            prop_assert_eq!(workspace.values_of(row), &values[range.clone()]);
            let of_row = slots.row(&shape, row);
            let values = bits(&values[range.clone()]);
            prop_assert_eq!(&bits(alone.forward(&parameters, &of_row.batch())), &values);
            // Buffers of a larger batch before.
            let decided = &mut decided[range];
            decider.decide(&parameters, &of_row.batch(), decided);
            prop_assert_eq!(bits(decided), values);
        }
    }
}

/// A network over servers worked out by hand: without memory, e = ReLU(link), one server of two.
#[test]
fn values_by_hand() {
    let shape = SetShape {
        device_features: 1,
        link_features: 1,
        server_features: 0,
        history_slots: 1,
        lstm: 1,
        embedding: 1,
        hidden: 1,
    };
    let [_, _, embed, _, hidden, hidden_bias, head, _, server_head, _] = shape.tensors();
    let mut parameters = vec![0.0_f64; shape.parameters()];
    // Rows of the embedding: LSTM, link, device.
    parameters[embed.range].copy_from_slice(&[0.0, 1.0, 0.0]);
    // Rows of the hidden layer: embedding, device, mean, maximum.
    parameters[hidden.range].copy_from_slice(&[1.0, 2.0, 3.0, 4.0]);
    parameters[hidden_bias.range].copy_from_slice(&[0.5]);
    parameters[head.range].copy_from_slice(&[1.0, 10.0]);
    parameters[server_head.range].copy_from_slice(&[100.0]);
    let slots = Slots {
        servers: vec![2],
        loads: vec![0.0; 2],
        server_features: vec![],
        slot_of: vec![0],
        device_features: vec![0.25],
        link_features: vec![-2.0, 3.0],
    };
    // e = 0 and 3: mean 1.5, maximum 3. u = 0.5 + 0.5 + 4.5 + 12 = 17.5, and of the servers u + e.
    // V = 17.5; A = 175, 1750, 2050: mean 1325.
    let values = [17.5 - 1150.0, 17.5 + 425.0, 17.5 + 725.0];
    assert_eq!(SetWorkspace::new(shape).forward(&parameters, &slots.batch()), values);
}

#[test]
fn parameter_counts_are_the_formula() {
    let (d, t, s, l, e, h) = (12, 7, 3, 8, 24, 16);
    let shape = SetShape {
        device_features: d,
        link_features: t,
        server_features: s,
        history_slots: 10,
        lstm: l,
        embedding: e,
        hidden: h,
    };
    let formula = 4 * l * (l + 2) + e * (l + s + t + d + 1) + h * (3 * e + d + 1) + 3 * (h + 1);
    assert_eq!((shape.parameters(), formula), (2475, 2475));
    assert_eq!(shape.forward_operations(5) - shape.forward_operations(4), 7_424);
}
