//! How a network learns: losses, clipping, optimisers, schedules and target networks, as pure
//! functions of plain slices.

mod double_q;
mod loss;
mod optimiser;
mod report;
mod schedule;
mod target;

pub use double_q::double_q_target;
pub use loss::Loss;
pub use optimiser::{Optimiser, OptimiserState, clip};
pub use report::{LossNotFinite, Update, UpdateReport};
pub use schedule::{Cadence, Schedule};
pub use target::{Deploy, TargetUpdate};
