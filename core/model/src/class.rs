//! Classes of tasks: kinds that differ in size, density and deadline.

use crate::distribution::Distribution;

/// A kind of task, such as an application of a device.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskClass {
    /// Its name.
    pub name: String,
    /// How often a task is of this class, relative to the shares of the others; above 0.
    pub share: f64,
    /// λ: size of a task, Mbit, above 0.
    pub size_mbit: Distribution,
    /// ρ: density of a task, Gcycles per Mbit, above 0.
    pub density: Distribution,
    /// D_max: slots within which a task must end, counting that of its arrival, at least 1.
    pub deadline_slots: u32,
}
