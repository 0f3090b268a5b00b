//! The network of offramp's learned policies, written by hand on ndarray.
//!
//! In the order a learner uses it: a [`Shape`] says how large a network is;
//! [`initial_parameters`] draws one; a [`Workspace`] computes Q and gradients; [`learning`] has
//! losses, optimisers and target networks as functions of plain slices; [`replay`] keeps
//! experience; a [`Decider`] decides and a [`Perceptron`] serves who needs no past; [`checkpoint`] writes and reads files; a [`bank`] is networks that decide.
//!
//! Every gradient is checked against central finite differences in f64, forward values and an
//! optimiser step against an independent implementation (`tests/`).

pub mod bank;
pub mod checkpoint;
mod kernels;
pub mod learning;
mod network;
mod perceptron;
mod product;
mod real;
pub mod replay;

pub use network::{
    Decider, Histories, Initial, Row, Shape, Tensor, Workspace, initial_parameters, interleave,
};
pub use perceptron::{Perceptron, PerceptronShape};
pub use real::Real;
