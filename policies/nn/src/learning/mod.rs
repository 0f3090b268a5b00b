//! How a network learns: losses, clipping, optimisers, schedules and target networks, as pure
//! functions of plain slices.

mod loss;
mod optimiser;
mod schedule;
mod target;

pub use loss::Loss;
pub use optimiser::{Optimiser, OptimiserState, clip};
pub use schedule::Schedule;
pub use target::TargetUpdate;
