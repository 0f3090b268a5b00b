//! Gradients against central finite differences, in f64.

mod common;

use common::{Slots, draw_parameters};
use offramp_nn::learning::Loss;
use offramp_nn::set::{SetShape, SetWorkspace};
use offramp_nn::{
    Histories, Initial, Perceptron, PerceptronShape, Shape, Workspace, initial_parameters, stream,
};
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
    windows: Vec<f64>,
    /// The window of each row; those that share windows.
    window_of: Vec<u32>,
    /// Of the first rows; the others have no loss.
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
    let (features, windows) = (numbers(rows * shape.features), numbers(rows * shape.window()));
    let with_loss = rows - rows / 3;
    let targets = numbers(with_loss * shape.actions());
    let window_of = (0..rows).map(|_| rng.random_range(0..rows as u32)).collect();
    Case { parameters, features, windows, window_of, targets }
}

impl Case {
    /// The loss over the values of the first rows, and its gradient by Q.
    fn loss(
        &self,
        workspace: &mut Workspace<f64>,
        parameters: &[f64],
        loss: Loss,
        shared: bool,
    ) -> (f64, Vec<f64>) {
        let histories = match shared {
            true => Histories::Of(&self.windows, &self.window_of),
            false => Histories::Each(&self.windows),
        };
        let values = workspace.forward(parameters, &self.features, histories);
        let both = values.iter().zip(&self.targets).map(|(q, target)| loss.of(q - target));
        let (losses, derivatives): (Vec<f64>, Vec<f64>) = both.unzip();
        (losses.iter().sum(), derivatives)
    }
}

/// How a gradient compares with the slopes of its loss.
struct Comparison {
    unequal: usize,
    /// Parameters with a corner of ReLU or Huber within reach of the steps: no slope to compare
    /// with. One corner of a late layer is many parameters'.
    at_a_corner: usize,
}

fn compare(
    parameters: &[f64],
    gradient: &[f64],
    mut loss: impl FnMut(&[f64]) -> f64,
) -> Comparison {
    let size = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
    let mut tried = parameters.to_vec();
    let mut comparison = Comparison { unequal: 0, at_a_corner: 0 };
    for index in 0..parameters.len() {
        let mut at = |offset: f64| {
            tried[index] = parameters[index] + offset;
            let loss = loss(&tried);
            tried[index] = parameters[index];
            loss
        };
        // Fourth order, so that the truncation error is far below what is asked.
        let step = 1e-5;
        let [one, two, four] = [1.0, 2.0, 4.0].map(|steps| at(steps * step) - at(-steps * step));
        let slope = (8.0 * one - two) / (12.0 * step);
        let wider = (8.0 * two - four) / (24.0 * step);
        let allowed = 1e-6 * gradient[index].abs().max(slope.abs()).max(1e-3 * size);
        if (slope - wider).abs() > allowed {
            comparison.at_a_corner += 1;
        } else if (gradient[index] - slope).abs() > allowed {
            comparison.unequal += 1;
        }
    }
    comparison
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn every_gradient_is_right(
        shape in shapes(),
        rows in 1_usize..7,
        seed in any::<u64>(),
        squared in any::<bool>(),
        shared in any::<bool>(),
    ) {
        let loss = if squared { Loss::Squared } else { Loss::Huber(0.7) };
        let case = case(shape, rows, seed);
        let mut workspace = Workspace::new(shape);
        let (_, derivatives) = case.loss(&mut workspace, &case.parameters, loss, shared);
        let mut gradient = vec![0.0; shape.parameters()];
        workspace.backward(&case.parameters, &derivatives, &mut gradient);
        let comparison = compare(&case.parameters, &gradient, |parameters| {
            case.loss(&mut workspace, parameters, loss, shared).0
        });
        prop_assume!(comparison.at_a_corner <= gradient.len() / 10);
        prop_assert_eq!(comparison.unequal, 0, "of {} for {:?}", gradient.len(), shape);
    }

    #[test]
    fn every_gradient_of_a_perceptron_is_right(
        inputs in 1_usize..9,
        hidden in 1_usize..20,
        outputs in 1_usize..7,
        rows in 1_usize..5,
        seed in any::<u64>(),
    ) {
        let shape = PerceptronShape { inputs, hidden, outputs };
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut parameters: Vec<f64> = shape.initial(&mut rng);
        let mut numbers = |count: usize| -> Vec<f64> {
            (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
        };
        // Biases too, or their gradient would be tried at zero only.
        let noise = numbers(parameters.len());
        parameters.iter_mut().zip(noise).for_each(|(parameter, noise)| *parameter += 0.2 * noise);
        let (x, targets) = (numbers(rows * inputs), numbers(rows * outputs));
        let mut perceptron = Perceptron::new(shape);
        let errors = |perceptron: &mut Perceptron<f64>, parameters: &[f64]| -> Vec<f64> {
            let y = perceptron.forward(parameters, &x);
            y.iter().zip(&targets).map(|(y, target)| y - target).collect()
        };
        let loss = |errors: &[f64]| errors.iter().map(|error| error * error).sum::<f64>();
        let d_outputs = errors(&mut perceptron, &parameters);
        let d_outputs: Vec<f64> = d_outputs.iter().map(|error| 2.0 * error).collect();
        let mut gradient = vec![0.0; parameters.len()];
        perceptron.backward(&parameters, &d_outputs, &mut gradient);
        let comparison = compare(&parameters, &gradient, |parameters| {
            loss(&errors(&mut perceptron, parameters))
        });
        prop_assume!(comparison.at_a_corner <= gradient.len() / 10);
        prop_assert_eq!(comparison.unequal, 0, "of {} for {:?}", gradient.len(), shape);
    }

    /// Of slots with 1 to 6 servers, some of them without rows; the last rows have no loss.
    #[test]
    fn every_gradient_of_a_network_over_servers_is_right(
        (device_features, link_features, server_features) in (1_usize..6, 0_usize..5, 0_usize..4),
        (history_slots, lstm, embedding, hidden) in (1_usize..6, 1_usize..7, 1_usize..10, 1_usize..10),
        servers in prop::collection::vec(1_u32..=6, 1..5),
        rows in 1_usize..8,
        seed in any::<u64>(),
    ) {
        let shape = SetShape {
            device_features, link_features, server_features, history_slots, lstm, embedding, hidden,
        };
        let mut rng = stream(seed, 0);
        let slots = Slots::<f64>::draw(&shape, &servers, rows, &mut rng);
        let parameters = draw_parameters::<f64>(&shape, seed);
        let with_loss = slots.batch().value_ranges().nth((rows - 1) - rows / 3);
        let targets: Vec<f64> =
            (0..with_loss.map_or(0, |range| range.end)).map(|_| rng.random_range(-1.0..1.0)).collect();
        let mut workspace = SetWorkspace::new(shape);
        let loss = |workspace: &mut SetWorkspace<f64>, parameters: &[f64]| -> (f64, Vec<f64>) {
            let values = workspace.forward(parameters, &slots.batch());
            let both = values.iter().zip(&targets).map(|(q, target)| Loss::Squared.of(q - target));
            let (losses, derivatives): (Vec<f64>, Vec<f64>) = both.unzip();
            (losses.iter().sum(), derivatives)
        };
        let (_, d_values) = loss(&mut workspace, &parameters);
        let mut gradient = vec![0.0; shape.parameters()];
        workspace.backward(&parameters, &d_values, &mut gradient);
        let comparison =
            compare(&parameters, &gradient, |parameters| loss(&mut workspace, parameters).0);
        // Corners of ReLU and of the maximum.
        prop_assume!(comparison.at_a_corner <= gradient.len() / 10);
        prop_assert_eq!(comparison.unequal, 0, "of {} for {:?}", gradient.len(), shape);
        // Gradients add up.
        let once = gradient.clone();
        workspace.forward(&parameters, &slots.batch());
        workspace.backward(&parameters, &d_values, &mut gradient);
        prop_assert!(gradient.iter().zip(&once).all(|(two, one)| (two - 2.0 * one).abs() <= 1e-12 * one.abs().max(1.0)));
    }

    /// Rows of a batch do not see each other: its values are those of each row alone, its gradient
    /// is the sum of theirs. Windows may be shared.
    #[test]
    fn a_batch_is_its_rows(shape in shapes(), rows in 1_usize..80, seed in any::<u64>()) {
        let case = case(shape, rows, seed);
        let (mut workspace, mut alone) = (Workspace::new(shape), Workspace::new(shape));
        let with_loss = case.targets.len() / shape.actions();
        let mut sum = vec![0.0; shape.parameters()];
        // Buffers of a smaller batch before.
        workspace.forward(&case.parameters, &case.features[..shape.features], Histories::Each(&case.windows[..shape.window()]));
        workspace.backward(&case.parameters, &case.targets[..shape.actions()], &mut sum);
        sum.fill(0.0);
        let histories = Histories::Of(&case.windows, &case.window_of);
        let values = workspace.forward(&case.parameters, &case.features, histories);
        for (row, values) in values.chunks_exact(shape.actions()).enumerate() {
            let features = &case.features[row * shape.features..][..shape.features];
            let at = case.window_of[row] as usize * shape.window();
            let window = Histories::Shared(&case.windows[at..at + shape.window()]);
            let of_row = alone.forward(&case.parameters, features, window);
            prop_assert_eq!(of_row, values);
            if row < with_loss {
                let d_values = &case.targets[row * shape.actions()..][..shape.actions()];
                alone.backward(&case.parameters, d_values, &mut sum);
            }
        }
        let mut gradient = vec![0.0; shape.parameters()];
        workspace.backward(&case.parameters, &case.targets, &mut gradient);
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        prop_assert!(gradient.iter().zip(&sum).all(|(a, b)| (a - b).abs() <= 1e-12 * norm.max(1.0)));
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
