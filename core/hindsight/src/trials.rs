//! A plan of which changes can be tried out: what the search works on.

/// Another action for a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) task: u32,
    pub(crate) action: u32,
}

/// A plan, and what changes of it would gain.
pub(crate) trait Trials {
    /// The sum of rewards of the tasks that have arrived.
    fn total(&self) -> f64;

    /// The action of a task; [`ABSENT`](crate::instance::ABSENT) before it arrives.
    fn action(&self, task: u32) -> u32;

    /// What the sum of rewards would gain by changes of different tasks.
    fn try_out(&mut self, changes: &[Change]) -> f64;

    /// Carries out the last changes that were tried out, which gain `gain`.
    fn accept(&mut self, gain: f64);
}
