//! The observation of a slot: three tables with named columns, the load history, and the flat
//! feature vector o.
//!
//! Columns are only ever appended, and their positions are not part of the interface: a policy
//! finds each by its name at creation ([`Context::task_column`](crate::Context::task_column) and its
//! siblings) and reads it by
//! the handle it got. [`LocalColumns`](crate::LocalColumns) finds the standard columns of a device in one go.

use abi_stable::std_types::{RSlice, RStr, RString};

use crate::error::Error;

/// Which parts of an [`Observation`] a policy reads, and what else it depends on. Nothing is
/// computed for a part that nobody reads.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Needs {
    bits: u32,
}

impl Needs {
    /// Only the devices that have a task, which every policy gets.
    pub const NOTHING: Self = Self { bits: 0 };
    /// [`Observation::features`].
    pub const FEATURES: Self = Self { bits: 1 };
    /// [`Observation::histories`].
    pub const HISTORY: Self = Self { bits: 2 };
    /// [`Observation::tasks`].
    pub const TASKS: Self = Self { bits: 4 };
    /// [`Observation::links`].
    pub const LINKS: Self = Self { bits: 8 };
    /// [`Observation::servers`].
    pub const SERVERS: Self = Self { bits: 16 };
    /// [`Context::learning_steps`](crate::Context::learning_steps): what a learner, explorer or
    /// student does depends on how long it learns in all. A training or distillation with one can't
    /// be resumed with another length. Since revision 2.
    pub const LENGTH: Self = Self { bits: 32 };

    const NAMES: [(Self, &str); 6] = [
        (Self::FEATURES, "features"),
        (Self::HISTORY, "history"),
        (Self::TASKS, "tasks"),
        (Self::LINKS, "links"),
        (Self::SERVERS, "servers"),
        (Self::LENGTH, "length"),
    ];

    /// The parts that either needs.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self { bits: self.bits | other.bits }
    }

    /// True if all of `part` is needed.
    #[inline]
    pub const fn includes(self, part: Self) -> bool {
        self.bits & part.bits == part.bits
    }

    /// The number that states them in a manifest.
    pub const fn bits(self) -> u32 {
        self.bits
    }

    /// The needs that the number of a manifest states; unknown bits are dropped.
    pub const fn from_bits(bits: u32) -> Self {
        Self { bits: bits & 63 }
    }

    /// The names of the parts needed.
    pub fn names(self) -> Vec<&'static str> {
        let named = Self::NAMES.into_iter().filter(|(need, _)| self.includes(*need));
        named.map(|(_, name)| name).collect()
    }
}

/// The observation of the devices with a new task at the start of a slot (eqs. 9 and 10 of the
/// paper).
///
/// A *row* is a task that waits for its decision; rows are in the order of devices. N devices,
/// M servers, K slots of history, F features; C_t, C_l and C_s columns of the three tables.
///
/// Passed by reference and only ever extended at its end, like every struct of this module and of
/// [`data`](crate#growth).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// t, counted from 0.
    pub slot: u32,
    /// M: the number of servers.
    pub server_count: u32,
    /// K: load vectors in a window of history.
    pub history_slots: u32,
    /// The device of each row, 0 … N − 1, ascending.
    pub devices: RSlice<'a, u32>,
    /// o: rows × F, row by row, unscaled, in the order of [`ObservationSpec::features`].
    /// [`Observation::features_of`] returns a row.
    pub features: RSlice<'a, f64>,
    /// h: one or more windows of K × M, oldest slot first: devices active at each server.
    /// [`Observation::window_of`] returns the window of a row.
    pub histories: RSlice<'a, f64>,
    /// The window that each row sees; empty if all rows see the only one (in an episode they do).
    pub history_of: RSlice<'a, u32>,
    /// Rows × C_t, row by row. [`Observation::task`] reads a column.
    pub tasks: RSlice<'a, f64>,
    /// Rows × C_l × M: for each row its columns, M values each. [`Observation::link`] reads one.
    pub links: RSlice<'a, f64>,
    /// C_s × M: for each column its M values. [`Observation::server`] reads one.
    pub servers: RSlice<'a, f64>,
}

impl<'a> Observation<'a> {
    /// How many tasks wait for a decision.
    #[inline]
    pub fn rows(&self) -> usize {
        self.devices.len()
    }

    /// The value of a task column in a row; needs [`Needs::TASKS`].
    ///
    /// # Panics
    /// If there is no such row, or the table was not asked for.
    #[inline]
    pub fn task(&self, row: usize, column: TaskColumn) -> f64 {
        let TaskColumn(Place { index, columns }) = column;
        match self.tasks.get(row * columns + index) {
            Some(&value) => value,
            None => missing(row, self.rows(), "tasks", "TASKS"),
        }
    }

    /// The M values of a link column in a row: this device's link to each server; needs
    /// [`Needs::LINKS`].
    ///
    /// # Panics
    /// If there is no such row, or the table was not asked for.
    #[inline]
    pub fn link(&self, row: usize, column: LinkColumn) -> &'a [f64] {
        let LinkColumn(Place { index, columns }) = column;
        let servers = self.server_count as usize;
        let start = (row * columns + index) * servers;
        match self.links.as_slice().get(start..start + servers) {
            Some(values) => values,
            None => missing(row, self.rows(), "links", "LINKS"),
        }
    }

    /// The M values of a server column; needs [`Needs::SERVERS`].
    ///
    /// # Panics
    /// If the table was not asked for.
    #[inline]
    pub fn server(&self, column: ServerColumn) -> &'a [f64] {
        let ServerColumn(Place { index, .. }) = column;
        let servers = self.server_count as usize;
        match self.servers.as_slice().get(index * servers..(index + 1) * servers) {
            Some(values) => values,
            None => missing(0, 1, "servers", "SERVERS"),
        }
    }

    /// o of a row: F values; empty if [`Needs::FEATURES`] was not asked for.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    pub fn features_of(&self, row: usize) -> &'a [f64] {
        let width = self.features.len() / self.rows();
        &self.features.as_slice()[row * width..(row + 1) * width]
    }

    /// h of a row: K × M values, oldest slot first; empty if [`Needs::HISTORY`] was not asked
    /// for.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    pub fn window_of(&self, row: usize) -> &'a [f64] {
        if self.histories.is_empty() {
            return &[];
        }
        let length = self.history_slots as usize * self.server_count as usize;
        let window = if self.history_of.is_empty() { 0 } else { self.history_of[row] as usize };
        &self.histories.as_slice()[window * length..(window + 1) * length]
    }
}

#[cold]
fn missing(row: usize, rows: usize, table: &str, need: &str) -> ! {
    if row >= rows {
        panic!("row {row} of an observation with {rows} rows");
    }
    panic!("the table `{table}` is empty: the policy's NEEDS lack Needs::{need}")
}

/// Where a column stands in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    index: usize,
    /// Columns in the table.
    columns: usize,
}

/// A column of the table [`Observation::tasks`]; [`Context::task_column`](crate::Context::task_column) finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskColumn(Place);

/// A column of the table [`Observation::links`]; [`Context::link_column`](crate::Context::link_column) finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkColumn(Place);

/// A column of the table [`Observation::servers`]; [`Context::server_column`](crate::Context::server_column) finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerColumn(Place);

impl ObservationSpec<'_> {
    /// Finds a task column by its name.
    ///
    /// # Errors
    /// If there is no such column; the message lists those there are.
    pub fn task_column(&self, name: &str) -> Result<TaskColumn, Error> {
        place("task", self.task_columns, name).map(TaskColumn)
    }

    /// Finds a link column by its name.
    ///
    /// # Errors
    /// If there is no such column; the message lists those there are.
    pub fn link_column(&self, name: &str) -> Result<LinkColumn, Error> {
        place("link", self.link_columns, name).map(LinkColumn)
    }

    /// Finds a server column by its name.
    ///
    /// # Errors
    /// If there is no such column; the message lists those there are.
    pub fn server_column(&self, name: &str) -> Result<ServerColumn, Error> {
        place("server", self.server_columns, name).map(ServerColumn)
    }
}

fn place(table: &str, columns: RSlice<'_, RStr<'_>>, name: &str) -> Result<Place, Error> {
    let index = columns.iter().position(|column| column.as_str() == name);
    index.map(|index| Place { index, columns: columns.len() }).ok_or_else(|| {
        let names: Vec<&str> = columns.iter().map(RStr::as_str).collect();
        Error::new(format!(
            "there is no {table} column `{name}` (this offramp has: {})",
            names.join(", ")
        ))
    })
}

/// A feature of o. It is an element of a slice, so it has this size for the whole version.
#[repr(C)]
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// Its name, with its unit.
    pub name: RString,
    /// A size it rarely exceeds, above 0: what a network may divide it by.
    pub scale: f64,
}

/// The shape of a scenario's observations.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ObservationSpec<'a> {
    /// The F features of a row of [`Observation::features`].
    pub features: RSlice<'a, Feature>,
    /// The names of the C_t columns of [`Observation::tasks`].
    pub task_columns: RSlice<'a, RStr<'a>>,
    /// The names of the C_l columns of [`Observation::links`].
    pub link_columns: RSlice<'a, RStr<'a>>,
    /// The names of the C_s columns of [`Observation::servers`].
    pub server_columns: RSlice<'a, RStr<'a>>,
    /// K: load vectors in a window of history.
    pub history_slots: u32,
    /// A load that is rarely exceeded, above 0: what a network may divide the history by.
    pub history_scale: f64,
    /// The kind of observation, as the scenario spells it: `Paper`, `Extended`, `Published`, or
    /// `Columns` for a list of columns. Features of the same name may differ in kind. Since
    /// revision 1.
    pub kind: RStr<'a>,
}
