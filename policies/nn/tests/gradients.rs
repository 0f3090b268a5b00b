//! Gradients against central finite differences, in f64.

use ndarray::Array2;
use offramp_nn::learning::Loss;
use offramp_nn::{Histories, Initial, Shape, Workspace, initial_parameters, interleave};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

fn shapes() -> impl Strategy<Value = Shape> {
    (1_usize..12, 1_usize..7, 1_usize..11, 1_usize..21).prop_map(
        |(features, servers, history_slots, hidden)| Shape {
            features,
            servers,
            history_slots,
            hidden,
        },
    )
}

struct Case {
    parameters: Vec<f64>,
    features: Vec<f64>,
    histories: Vec<f64>,
    targets: Vec<f64>,
}

fn case(shape: Shape, rows: usize, seed: u64) -> Case {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let initial = Initial::Normal { weights: 0.4, biases: 0.1 };
    let mut parameters = initial_parameters(&shape, initial, &mut rng);
    let mut numbers =
        |length: usize| -> Vec<f64> { (0..length).map(|_| rng.random_range(-1.0..1.0)).collect() };
    // The LSTM's biases too, or their gradient would be tried at zero only.
    let noise = numbers(parameters.len());
    parameters.iter_mut().zip(noise).for_each(|(parameter, noise)| *parameter += 0.2 * noise);
    Case {
        parameters,
        features: numbers(rows * shape.features),
        histories: numbers(rows * shape.history_slots * shape.servers),
        targets: numbers(rows * shape.actions()),
    }
}

impl Case {
    /// The loss over all values, and its gradient by Q.
    fn loss(
        &self,
        workspace: &mut Workspace<f64>,
        parameters: &[f64],
        loss: Loss,
    ) -> (f64, Vec<f64>) {
        let values =
            workspace.forward(parameters, &self.features, Histories::Each(&self.histories));
        let both = values.iter().zip(&self.targets).map(|(q, target)| loss.of(q - target));
        let (losses, derivatives): (Vec<f64>, Vec<f64>) = both.unzip();
        (losses.iter().sum(), derivatives)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn every_gradient_is_right(
        shape in shapes(),
        rows in 1_usize..5,
        seed in any::<u64>(),
        squared in any::<bool>(),
    ) {
        let loss = if squared { Loss::Squared } else { Loss::Huber(0.7) };
        let case = case(shape, rows, seed);
        let mut workspace = Workspace::new(shape);
        let (_, derivatives) = case.loss(&mut workspace, &case.parameters, loss);
        let mut gradient = vec![0.0; shape.parameters()];
        workspace.backward(&case.parameters, &derivatives, &mut gradient);
        let size = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        let mut parameters = case.parameters.clone();
        let step = 1e-5;
        let mut unequal = 0;
        for index in 0..parameters.len() {
            let value = parameters[index];
            let mut at = |offset: f64| {
                parameters[index] = value + offset;
                let loss = case.loss(&mut workspace, &parameters, loss).0;
                parameters[index] = value;
                loss
            };
            // Fourth order, so that the truncation error is far below what is asked.
            let difference = (8.0 * (at(step) - at(-step)) - (at(2.0 * step) - at(-2.0 * step)))
                / (12.0 * step);
            let error = (gradient[index] - difference).abs();
            if error > 1e-6 * gradient[index].abs().max(difference.abs()).max(1e-3 * size) {
                unequal += 1;
            }
        }
        // A ReLU or Huber corner within a step of a parameter spoils its difference, no more
        // than one or two in a case; a wrong gradient spoils a whole tensor.
        prop_assert!(unequal <= 2, "{unequal} of {} for {shape:?}", gradient.len());
    }

    /// One history for all rows gives what each row with that history would get.
    #[test]
    fn a_shared_history_changes_nothing(shape in shapes(), rows in 1_usize..6, seed in any::<u64>()) {
        let case = case(shape, rows, seed);
        let window = &case.histories[..shape.history_slots * shape.servers];
        let windows =
            Array2::from_shape_fn((rows, window.len()), |(_, column)| window[column]);
        let mut each = Vec::new();
        interleave(&windows, shape.servers, &mut each);
        let mut workspace = Workspace::new(shape);
        let parameters = &case.parameters;
        let shared =
            workspace.forward(parameters, &case.features, Histories::Shared(window)).to_vec();
        let apart = workspace.forward(parameters, &case.features, Histories::Each(&each));
        prop_assert!(shared.iter().zip(apart).all(|(a, b)| (a - b).abs() < 1e-12));
    }
}

/// Section 6 of the paper, Table 2: its counts are evaluation and target network together.
#[test]
fn parameter_counts_are_the_papers() {
    for (hidden, deployed) in [(2, 115), (4, 271), (8, 727), (12, 1375), (16, 2215), (20, 3247)] {
        let shape = Shape { features: 9, servers: 5, history_slots: 10, hidden };
        assert_eq!(shape.parameters(), deployed);
        let (f, m, h) = (9, 5, hidden);
        let formula =
            4 * h * (m + h + 1) + h * (h + f + 1) + h * (h + 1) + (h + 1) + (1 + m) * (h + 1);
        assert_eq!(shape.parameters(), formula);
    }
}
