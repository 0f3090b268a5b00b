//! The state of one device by name: the standard columns of the task and link tables.

use crate::data::Context;
use crate::error::Error;
use crate::observation::{LinkColumn, Needs, Observation, TaskColumn};

/// The standard columns of a device: found once at creation, read row by row.
///
/// ```
/// # use offramp_plugin::{Context, Error, LocalColumns, Needs, Observation, Policy};
/// struct IdleCpu {
///     local: LocalColumns,
/// }
///
/// impl Policy for IdleCpu {
///     const NEEDS: Needs = LocalColumns::NEEDS;
///
///     fn create(context: &Context<'_>) -> Result<Self, Error> {
///         Ok(Self { local: LocalColumns::find(context)? })
///     }
///
///     fn decide(&mut self, seen: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
///         for (row, action) in actions.iter_mut().enumerate() {
///             let state = self.local.state(seen, row);
///             *action = if state.compute_queue_slots == 0.0 { 0 } else { 1 };
///         }
///         Ok(())
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalColumns {
    /// `size_mbit`.
    pub size_mbit: TaskColumn,
    /// `compute_queue_slots`.
    pub compute_queue_slots: TaskColumn,
    /// `uplink_queue_slots`.
    pub uplink_queue_slots: TaskColumn,
    /// `alpha`.
    pub alpha: TaskColumn,
    /// `density_gcycles_per_mbit`.
    pub density_gcycles_per_mbit: TaskColumn,
    /// `deadline_slots`.
    pub deadline_slots: TaskColumn,
    /// `backlog_mbit`.
    pub backlog_mbit: LinkColumn,
    /// `uplink_mbps`.
    pub uplink_mbps: LinkColumn,
}

/// The local state of a row's device, whatever the scenario's flat observation shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalState<'a> {
    /// λ, Mbit.
    pub size_mbit: f64,
    /// τ^C: slots for which the device's CPU stays busy.
    pub compute_queue_slots: f64,
    /// τ^T: slots for which the device's uplink stays busy.
    pub uplink_queue_slots: f64,
    /// α: the weight of delay against energy, 0 … 1.
    pub alpha: f64,
    /// ρ, Gcycles per Mbit.
    pub density_gcycles_per_mbit: f64,
    /// D_max of this task, slots.
    pub deadline_slots: f64,
    /// B^E_j: Mbit of this device's tasks at each server, M.
    pub backlog_mbit: &'a [f64],
    /// R: this device's rate to each server, Mbit/s, M; 0 without coverage.
    pub uplink_mbps: &'a [f64],
}

impl LocalColumns {
    /// The tables these columns are in.
    pub const NEEDS: Needs = Needs::TASKS.and(Needs::LINKS);

    /// Finds them.
    ///
    /// # Errors
    /// If this offramp lacks one; the message names it.
    pub fn find(context: &Context<'_>) -> Result<Self, Error> {
        Ok(Self {
            size_mbit: context.task_column("size_mbit")?,
            compute_queue_slots: context.task_column("compute_queue_slots")?,
            uplink_queue_slots: context.task_column("uplink_queue_slots")?,
            alpha: context.task_column("alpha")?,
            density_gcycles_per_mbit: context.task_column("density_gcycles_per_mbit")?,
            deadline_slots: context.task_column("deadline_slots")?,
            backlog_mbit: context.link_column("backlog_mbit")?,
            uplink_mbps: context.link_column("uplink_mbps")?,
        })
    }

    /// The state of a row's device; needs [`LocalColumns::NEEDS`].
    ///
    /// # Panics
    /// If there is no such row, or a table was not asked for.
    #[inline]
    pub fn state<'a>(&self, observation: &Observation<'a>, row: usize) -> LocalState<'a> {
        LocalState {
            size_mbit: observation.task(row, self.size_mbit),
            compute_queue_slots: observation.task(row, self.compute_queue_slots),
            uplink_queue_slots: observation.task(row, self.uplink_queue_slots),
            alpha: observation.task(row, self.alpha),
            density_gcycles_per_mbit: observation.task(row, self.density_gcycles_per_mbit),
            deadline_slots: observation.task(row, self.deadline_slots),
            backlog_mbit: observation.link(row, self.backlog_mbit),
            uplink_mbps: observation.link(row, self.uplink_mbps),
        }
    }
}
