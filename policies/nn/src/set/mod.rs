//! The network over servers: one set of weights for systems of any number of servers and devices.
//!
//! Servers are a set: whichever order they come in, each action must have the same Q. Such a
//! function is a sum (or a maximum) over the set, of one function of each element (Zaheer and
//! others, Deep Sets, 2017):
//!
//! ```text
//! load of server j: K ── LSTM (L) ──┐
//! features of server j: S ──────────┤
//! features of device and j: T ──────┼── e_j = ReLU (E) ──┬── mean, max over j ─┐
//! features of the device: D ────────┤                    │                     │
//!                                   ├────────────────────┼─────────────────────┤
//!                                   │                    │                context (D + 2E)
//! hidden layer of server j:         u_j = ReLU(W e_j + W' context + b)  ── A(j)
//! hidden layer of computing locally: u_0 = ReLU(W' context + b)         ── V, A(0)
//! ```
//!
//! Q = V + A − mean A over all 1 + M actions, eq. (15). The LSTM runs once for each server and slot,
//! not once for each device. The first layer of e is a sum of what it takes of the server, of the
//! device and of both, so that the first two are computed once each.
//!
//! Reordered servers reorder Q, except for the rounding of the sums over servers, which follow
//! their order (`tests/set_network.rs` states the bound). Sums that do not depend on the order
//! would cost sorting in each row.
//!
//! A [`SetBatch`] borrows what a policy observed; a [`SetWorkspace`] learns from it, a
//! [`SetDecider`] decides by it:
//!
//! ```
//! use offramp_nn::learning::{Loss, Optimiser};
//! use offramp_nn::set::{SetBatch, SetDecider, SetShape, SetWorkspace};
//! use offramp_nn::{Initial, argmax, stream};
//!
//! let shape = SetShape {
//!     device_features: 1,
//!     link_features: 1,
//!     server_features: 0,
//!     history_slots: 2,
//!     lstm: 4,
//!     embedding: 8,
//!     hidden: 8,
//! };
//! let mut parameters: Vec<f32> = shape.initial(Initial::Glorot, &mut stream(1, 0));
//!
//! // Learn from slots of two and of three servers that the best one has the link feature 1.
//! let batch = SetBatch {
//!     servers: &[2, 3],
//!     loads: &[0.5; 2 * 5],
//!     server_features: &[],
//!     slot_of: &[0, 1],
//!     device_features: &[0.3, 0.3],
//!     link_features: &[0.0, 1.0, /* row 1: */ 0.0, 1.0, 0.0],
//! };
//! let targets = [0.0, 0.0, 1.0, /* row 1: */ 0.0, 0.0, 1.0, 0.0];
//! let mut workspace = SetWorkspace::new(shape);
//! let optimiser = Optimiser::Adam(0.02);
//! let mut state = optimiser.state(shape.parameters());
//! let mut gradient = vec![0.0; shape.parameters()];
//! for _ in 0..300 {
//!     let values = workspace.forward(&parameters, &batch);
//!     let errors = values.iter().zip(targets).map(|(q, target)| q - target);
//!     let d_values: Vec<f32> = errors.map(|error| Loss::Huber(1.0).of(error).1).collect();
//!     gradient.fill(0.0);
//!     workspace.backward(&parameters, &d_values, &mut gradient);
//!     optimiser.step(&mut state, &mut parameters, &gradient);
//! }
//!
//! // Decide in a slot of four.
//! let batch = SetBatch {
//!     servers: &[4],
//!     loads: &[0.5; 2 * 4],
//!     slot_of: &[0],
//!     device_features: &[0.3],
//!     link_features: &[0.0, 0.0, 0.0, 1.0],
//!     ..batch
//! };
//! let mut values = [0.0; 1 + 4];
//! SetDecider::new(shape).decide(&parameters, &batch, &mut values);
//! assert_eq!(argmax(&values), 4);
//! ```

mod batch;
mod checkpoints;
mod decider;
mod inputs;
mod network;
mod shape;
mod workspace;

pub use batch::SetBatch;
pub use checkpoints::{SetNetworkSpec, StoredSetNetwork, TEMPERATURE};
pub use decider::SetDecider;
pub use inputs::{Columns, SetInputs, SetWidths};
pub use shape::SetShape;
pub(crate) use shape::{EmbedRows, HiddenRows, SetLayers};
pub use workspace::SetWorkspace;
