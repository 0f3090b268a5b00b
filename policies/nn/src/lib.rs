//! The networks of offramp's learned policies, written by hand on ndarray, for whoever writes a
//! policy that learns.
//!
//! There are three networks:
//!
//! - that of the paper, a [`Shape`]: an LSTM over the loads of M servers, for one system. Learners
//!   that are to be compared with the paper, and those with a network for each device, use it.
//! - a network over servers, a [`set::SetShape`]: one set of weights for systems of any number of
//!   servers and devices, equivariant to the order of servers (Zaheer and others, Deep Sets, 2017).
//!   A policy that is trained once and used everywhere needs it.
//! - a perceptron, a [`PerceptronShape`]: without history, for actors and critics.
//!
//! In the order in which a learner is written:
//!
//! 1. **Describe** the networks: a [`Shape`], [`set::SetShape`] or [`PerceptronShape`] has the
//!    sizes, [`networks::Sharing`] states whether devices share one, [`inputs::Inputs`] (or
//!    [`set::SetInputs`]) what they see and what that is divided by. [`range`] checks the
//!    parameters that a learner is created with.
//! 2. **Draw** their parameters: [`initial_parameters`] from a [`stream`] per network. All
//!    parameters of a network are one slice.
//! 3. **Decide**: a [`QEvaluator`] turns an observation into Q of every row, a [`set::SetDecider`] a
//!    batch; [`best_action`] or [`softmax`] Q into an action.
//! 4. **Remember**: [`replay`] keeps experience, and each slot's loads once.
//! 5. **Learn**: a [`Workspace`] ([`set::SetWorkspace`], [`Perceptron`]) computes Q and gradients, on
//!    [`Threads`] if there are parts; [`learning`] has losses, schedules, optimisers and target
//!    networks as functions of plain slices.
//! 6. **Save**: a [`networks::NetworkSpec`] or [`set::SetNetworkSpec`], or a
//!    [`checkpoint_spec::CheckpointSpec`] for other models, describes a [`checkpoint::Checkpoint`]
//!    and compares the one that is read with it.
//! 7. **Share and ship**: [`merge`] turns networks into vectors and back for federated learning,
//!    [`export`] writes a network as C or ONNX for a device.
//!
//! ```
//! use offramp_nn::learning::{Loss, Optimiser, Schedule, clip};
//! use offramp_nn::{Histories, Initial, Shape, Workspace, argmax, initial_parameters, stream};
//!
//! // o has 2 features; h has the loads of 1 server over 3 slots.
//! let shape = Shape { features: 2, servers: 1, history_slots: 3, hidden: 4 };
//! let mut parameters: Vec<f32> = initial_parameters(&shape, Initial::Glorot, &mut stream(1, 0));
//!
//! // Learn that offloading (action 1) is worth 1 and computing locally (action 0) nothing.
//! let (features, history) = ([0.3, 0.9], [0.0, 0.5, 0.2]);
//! let optimiser = Optimiser::Adam(0.01);
//! let schedule = Schedule { steps: 200, floor: 0.1 };
//! let mut state = optimiser.state(shape.parameters());
//! let mut workspace = Workspace::new(shape);
//! let mut gradient = vec![0.0; shape.parameters()];
//! for step in 0..200 {
//!     let values = workspace.forward(&parameters, &features, Histories::Each(&history));
//!     let errors = [values[0], values[1] - 1.0];
//!     let d_values = errors.map(|error| Loss::Huber(1.0).of(error).1);
//!     gradient.fill(0.0);
//!     workspace.backward(&parameters, &d_values, &mut gradient);
//!     clip(&mut gradient, 10.0);
//!     optimiser.scaled(schedule.factor(step)).step(&mut state, &mut parameters, &gradient);
//! }
//!
//! let values = workspace.forward(&parameters, &features, Histories::Shared(&history));
//! assert_eq!(argmax(values), 1);
//! assert!((values[1] - 1.0).abs() < 0.1);
//! ```
//!
//! Every gradient is checked against central finite differences in f64, forward values and an
//! optimiser step against an independent implementation (`tests/`).

mod actions;
pub mod checkpoint;
pub mod checkpoint_spec;
mod decider;
pub mod export;
mod gate;
mod head;
mod initial;
pub mod inputs;
mod kernels;
mod lanes;
mod layer;
pub mod learning;
mod lstm;
pub mod merge;
pub mod networks;
pub mod pending;
mod perceptron;
pub mod priority;
mod product;
mod q_evaluator;
pub mod range;
mod real;
pub mod replay;
mod rows;
pub mod set;
mod shape;
mod sharing;
mod streams;
mod threads;
mod window;
mod workspace;

pub use actions::{NotFinite, argmax, best_action, expect_finite, softmax};
pub use decider::{Decider, Row};
pub use initial::{Initial, initial_parameters};
pub use layer::Tensor;
pub use perceptron::{Perceptron, PerceptronShape};
pub use q_evaluator::QEvaluator;
pub use real::Real;
pub use shape::Shape;
pub use streams::{step_stream, stream, stream_seed};
pub use threads::{Threads, ThreadsError};
pub use window::window_of;
pub use workspace::{Histories, Workspace};
