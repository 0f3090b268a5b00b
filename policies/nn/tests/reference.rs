//! Forward values and one optimiser step against an independent implementation.
//!
//! `reference.json` was made once with PyTorch 2.15 in float64, from the following: parameters,
//! features, histories and targets uniform in ±0.4 (weights), ±0.2 (biases), ±1 and ±2;
//! `torch.nn.LSTM(5, 20)` with the gates reordered from ours (i, j, f, o) to its own (i, f, g, o)
//! and 1 added to the forget bias, the second bias zero and not trained; its last output behind
//! the 9 features into `Linear(29, 20)`, ReLU, `Linear(20, 20)`, ReLU; heads `Linear(20, 1)` and
//! `Linear(20, 6)`; Q = V + A − mean A. The loss is the mean over the 6 rows at the action taken.
//! One step each of `torch.optim.Adam(lr=0.01)` on `huber_loss(delta=1)`, and of TensorFlow's
//! RMSProp (rate 0.01, decay 0.9, squares beginning at 1, 10⁻¹⁰ under the root) on the squared
//! loss.
//!
//! `set_reference.json` was made by `set_reference.py` with PyTorch 2.15 for a network over servers,
//! with seven rows in slots of 1 to 6 servers.

use std::ops::Range;

mod common;

use common::Slots;
use offramp_nn::learning::{Loss, Optimiser};
use offramp_nn::set::{SetShape, SetWorkspace};
use offramp_nn::{Histories, Real, Shape, Workspace};

use serde::Deserialize;

/// Q and two steps of a network.
#[derive(Deserialize)]
struct Steps {
    parameters: Vec<f64>,
    actions: Vec<usize>,
    targets: Vec<f64>,
    values: Vec<f64>,
    adam_huber: Vec<f64>,
    adam_huber_loss: f64,
    rmsprop_squared: Vec<f64>,
    rmsprop_squared_loss: f64,
}

#[derive(Deserialize)]
struct Reference {
    features: Vec<f64>,
    histories: Vec<f64>,
    #[serde(flatten)]
    steps: Steps,
}

#[derive(Deserialize)]
struct SetReference {
    servers: Vec<u32>,
    loads: Vec<f64>,
    server_features: Vec<f64>,
    slot_of: Vec<u32>,
    device_features: Vec<f64>,
    link_features: Vec<f64>,
    #[serde(flatten)]
    steps: Steps,
}

const SET_SHAPE: SetShape = SetShape {
    device_features: 5,
    link_features: 4,
    server_features: 2,
    history_slots: 6,
    lstm: 5,
    embedding: 7,
    hidden: 6,
};

const SHAPE: Shape = Shape { features: 9, servers: 5, history_slots: 10, hidden: 20 };

fn close(name: &str, ours: &[impl Real], theirs: &[f64]) {
    assert_eq!(ours.len(), theirs.len(), "{name}");
    for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        assert!((ours.f64() - theirs).abs() < 1e-5, "{name} {index}: {ours:?} and {theirs}");
    }
}

const REFERENCE: &str = include_str!("reference.json");

const SET_REFERENCE: &str = include_str!("set_reference.json");

fn of<F: Real>(numbers: &[f64]) -> Vec<F> {
    numbers.iter().map(|&number| F::of(number)).collect()
}

/// Q of all rows, from parameters, then the gradient by ∂L/∂Q into the last.
type Learn<'l, F> = dyn FnMut(&[F], &mut dyn FnMut(&[F]) -> Vec<F>, &mut [F]) + 'l;

/// Compares Q and steps; `ranges` has Q of each row.
fn agrees<F: Real>(reference: &Steps, ranges: &[Range<usize>], learn: &mut Learn<'_, F>) {
    let parameters = of::<F>(&reference.parameters);
    let rows = reference.actions.len();
    let steps = [
        (Optimiser::Adam(0.01), Loss::Huber(1.0), &reference.adam_huber, reference.adam_huber_loss),
        (
            Optimiser::RmsProp(0.01),
            Loss::Squared,
            &reference.rmsprop_squared,
            reference.rmsprop_squared_loss,
        ),
    ];
    for (optimiser, loss, expected, expected_loss) in steps {
        let mut d_loss = |values: &[F]| {
            close("Q", values, &reference.values);
            let mut d_values = vec![F::ZERO; values.len()];
            let mut sum = 0.0;
            let taken = ranges.iter().zip(&reference.actions).zip(&reference.targets);
            for ((range, &action), &target) in taken {
                let at = range.start + action;
                let (loss, derivative) = loss.of(values[at] - F::of(target));
                sum += loss.f64() / rows as f64;
                d_values[at] = derivative * F::of(1.0 / rows as f64);
            }
            assert!((sum - expected_loss).abs() < 1e-5);
            d_values
        };
        let mut gradient = vec![F::ZERO; parameters.len()];
        learn(&parameters, &mut d_loss, &mut gradient);
        let mut stepped = parameters.clone();
        let mut state = optimiser.state(parameters.len());
        optimiser.step(&mut state, &mut stepped, &gradient);
        // Adam's first step is the gradient's sign, which single precision can't tell where the
        // gradient is next to nothing: RMSProp's step is compared everywhere.
        let told = |&(index, _): &(usize, &F)| {
            matches!(optimiser, Optimiser::RmsProp(_)) || gradient[index].f64().abs() > 1e-5
        };
        let (indices, ours): (Vec<usize>, Vec<F>) =
            stepped.iter().enumerate().filter(told).map(|(index, &value)| (index, value)).unzip();
        assert!(ours.len() > stepped.len() * 9 / 10);
        let theirs: Vec<f64> = indices.iter().map(|&index| expected[index]).collect();
        close(&format!("{optimiser:?}"), &ours, &theirs);
    }
}

fn network_agrees<F: Real>(reference: &Reference) {
    let (features, windows) = (of::<F>(&reference.features), of::<F>(&reference.histories));
    let rows = 0..reference.steps.actions.len();
    let ranges: Vec<_> =
        rows.map(|row| row * SHAPE.actions()..(row + 1) * SHAPE.actions()).collect();
    let mut workspace = Workspace::new(SHAPE);
    agrees::<F>(&reference.steps, &ranges, &mut |parameters, d_loss, gradient| {
        let values = workspace.forward(parameters, &features, Histories::Each(&windows));
        let d_values = d_loss(values);
        workspace.backward(parameters, &d_values, gradient);
    });
}

fn set_network_agrees<F: Real>(reference: SetReference) {
    let slots = Slots::<F> {
        servers: reference.servers,
        loads: of(&reference.loads),
        server_features: of(&reference.server_features),
        slot_of: reference.slot_of,
        device_features: of(&reference.device_features),
        link_features: of(&reference.link_features),
    };
    let ranges: Vec<_> = slots.batch().value_ranges().collect();
    let mut workspace = SetWorkspace::new(SET_SHAPE);
    agrees::<F>(&reference.steps, &ranges, &mut |parameters, d_loss, gradient| {
        let d_values = d_loss(workspace.forward(parameters, &slots.batch()));
        workspace.backward(parameters, &d_values, gradient);
    });
}

#[test]
fn single_precision_agrees_with_an_independent_implementation() {
    network_agrees::<f32>(&serde_json::from_str(REFERENCE).unwrap());
    set_network_agrees::<f32>(serde_json::from_str(SET_REFERENCE).unwrap());
}

#[test]
fn double_precision_agrees_with_an_independent_implementation() {
    network_agrees::<f64>(&serde_json::from_str(REFERENCE).unwrap());
    set_network_agrees::<f64>(serde_json::from_str(SET_REFERENCE).unwrap());
}
