//! The observation: what a device sees when it decides (o of eq. 10).
//!
//! Every quantity that a policy can see is a [`Column`] of one of three tables, defined once here:
//! its name, unit, scale and computation. Widths, feature names, filling and documentation derive
//! from these definitions. Columns are only ever appended to a table, so that a reader that looks
//! up its columns by name keeps working.
//!
//! | table | one value per | shape |
//! |---|---|---|
//! | [`task_columns`] | waiting task | rows × C_t, row-major |
//! | [`link_columns`] | waiting task and server | rows × C_l × M, the M values of a column contiguous |
//! | [`ObservationSpec::server_columns`] | server | C_s × M, the M values of a column contiguous |
//!
//! A row is a task that waits for its decision, in the order of devices. The flat feature vector o
//! lists columns of any table in the order of an [`ObservationKind`].
//!
//! Columns are computed from a `View` rather than from `Episode`, so that an episode can hold
//! its observation without a cycle between the two modules.

use std::fmt;

use crate::broadcast::Broadcasts;
use crate::prediction::{self, ENERGY_SCALE, Prediction, Way};
use crate::published::Published;
use crate::scene::{OWN_SLOTS, Scene};
use crate::state::State;
use crate::system::System;
use crate::task::Arrival;
use crate::world::Association;

/// A named quantity of an observation table.
#[derive(Clone, Copy)]
pub struct Column {
    /// Its name: unique among all tables, ends with the unit where there is one.
    pub name: &'static str,
    /// Its unit; `1` if it has none.
    pub unit: &'static str,
    /// Its meaning, with the symbol of the paper.
    pub about: &'static str,
    scale: fn(&System) -> f64,
    values: Values,
}

/// How the values of a column are computed.
#[derive(Clone, Copy)]
enum Values {
    /// The value of a task.
    Task(fn(&View<'_>, &Arrival) -> f64),
    /// The M values of a task, into a slice of M zeros.
    Link(fn(&View<'_>, &Arrival, &mut [f64])),
    /// The M values of a slot, into a slice of M zeros.
    Server(fn(&View<'_>, &mut [f64])),
}

/// The table that a column belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    /// One value per waiting task.
    Task,
    /// M values per waiting task, one per server.
    Link,
    /// M values per slot, one per server.
    Server,
}

const SIZE_MBIT: Column = Column {
    name: "size_mbit",
    unit: "Mbit",
    about: "λ: size of the task",
    scale: |system| system.largest_mbit(),
    values: Values::Task(|_, arrival| arrival.size_mbit),
};

const COMPUTE_QUEUE_SLOTS: Column = Column {
    name: "compute_queue_slots",
    unit: "slots",
    about: "τ^C: slots for which the CPU of the task's device stays busy with what it holds",
    scale: |system| f64::from(system.deadline_slots()),
    values: Values::Task(|view, arrival| f64::from(view.compute_queue_slots(arrival.device))),
};

const UPLINK_QUEUE_SLOTS: Column = Column {
    name: "uplink_queue_slots",
    unit: "slots",
    about: "τ^T: slots for which the uplink of the task's device stays busy with what it holds",
    scale: |system| f64::from(system.deadline_slots()),
    values: Values::Task(|view, arrival| f64::from(view.uplink_queue_slots(arrival.device))),
};

const ALPHA: Column = Column {
    name: "alpha",
    unit: "1",
    about: "α: weight of delay against energy, 0 … 1",
    scale: |_| 1.0,
    values: Values::Task(|_, arrival| arrival.alpha),
};

const DENSITY: Column = Column {
    name: "density_gcycles_per_mbit",
    unit: "Gcycles/Mbit",
    about: "ρ: computation that a Mbit of the task takes",
    scale: |system| system.highest_density(),
    values: Values::Task(|_, arrival| arrival.density),
};

const DEADLINE_SLOTS: Column = Column {
    name: "deadline_slots",
    unit: "slots",
    about: "D_max: slots within which the task must end, counting this one",
    scale: |system| f64::from(system.deadline_slots()),
    values: Values::Task(|_, arrival| f64::from(arrival.deadline_slots)),
};

const CLASS: Column = Column {
    name: "class",
    unit: "1",
    about: "the class of the task, counted from 0",
    scale: |system| (system.parameters().classes.len() as f64 - 1.0).max(1.0),
    values: Values::Task(|_, arrival| f64::from(arrival.class)),
};

const SPEED_MPS: Column = Column {
    name: "speed_mps",
    unit: "m/s",
    about: "speed of the task's device; 0 without positions",
    // That of a vehicle in a city; no model of movement has a highest speed that it must state.
    scale: |_| 15.0,
    values: Values::Task(|view, arrival| view.speed_mps(arrival.device)),
};

/// The rate of a device over time, for what predicts it.
const fn own_mbps(name: &'static str, about: &'static str, values: Values) -> Column {
    Column { name, unit: "Mbit/s", about, scale: rate_scale, values }
}

const OWN_MBPS: Column = own_mbps(
    "own_mbps",
    "rate to the station that serves the task's device, or is nearest; without positions the fastest \
     rate to a server; 0 if rates do not change",
    Values::Task(|view, arrival| view.own_mbps_ago(arrival.device, 0)),
);

const OWN_MBPS_1_AGO: Column = own_mbps(
    "own_mbps_1_ago",
    "`own_mbps` one slot ago",
    Values::Task(|view, arrival| view.own_mbps_ago(arrival.device, 1)),
);

const OWN_MBPS_2_AGO: Column = own_mbps(
    "own_mbps_2_ago",
    "`own_mbps` two slots ago",
    Values::Task(|view, arrival| view.own_mbps_ago(arrival.device, 2)),
);

const OWN_MBPS_4_AGO: Column = own_mbps(
    "own_mbps_4_ago",
    "`own_mbps` four slots ago",
    Values::Task(|view, arrival| view.own_mbps_ago(arrival.device, 4)),
);

const OWN_MBPS_8_AGO: Column = own_mbps(
    "own_mbps_8_ago",
    "`own_mbps` eight slots ago",
    Values::Task(|view, arrival| view.own_mbps_ago(arrival.device, OWN_SLOTS)),
);

/// A predicted delay or energy: finite, and at most [`prediction::CAP`] times its scale.
const fn predicted_slots(name: &'static str, about: &'static str, values: Values) -> Column {
    Column {
        name,
        unit: "slots",
        about,
        scale: |system| f64::from(system.deadline_slots()),
        values,
    }
}

const fn predicted_energy(name: &'static str, about: &'static str, values: Values) -> Column {
    Column { name, unit: "1", about, scale: |_| ENERGY_SCALE, values }
}

const LOCAL_DELAY_SLOTS: Column = predicted_slots(
    "local_delay_slots",
    "slots up to the end of the task if it is computed locally, this one included: τ^C and the slots \
     it takes itself; at most 4 D_max",
    Values::Task(|view, arrival| view.local(arrival).delay_slots),
);

const LOCAL_ENERGY: Column = predicted_energy(
    "local_energy",
    "E_scaled of eq. (11) if it is computed locally, by the scenario's accounting; at most 40",
    Values::Task(|view, arrival| view.local(arrival).energy),
);

const BACKLOG_MBIT: Column = Column {
    name: "backlog_mbit",
    unit: "Mbit",
    about: "B^E_j: Mbit of the task's device in service and waiting at the server",
    scale: |system| system.largest_mbit(),
    values: Values::Link(|view, arrival, servers| view.backlogs(arrival.device, servers)),
};

const UPLINK_MBPS: Column = Column {
    name: "uplink_mbps",
    unit: "Mbit/s",
    about: "R: rate at which the task's device sends to the server; 0 without coverage",
    scale: rate_scale,
    values: Values::Link(|view, arrival, servers| {
        for (server, rate) in (0..).zip(servers) {
            *rate = view.uplink_mbps(arrival.device, server);
        }
    }),
};

const SERVING: Column = Column {
    name: "serving",
    unit: "1",
    about: "1 if the server is at the station that serves the task's device, otherwise 0; 1 for all \
            where devices reach each server over a link of its own",
    scale: |_| 1.0,
    values: Values::Link(|view, arrival, servers| view.serving(arrival.device, servers)),
};

const DISTANCE_M: Column = Column {
    name: "distance_m",
    unit: "m",
    about: "distance from the task's device to the server's station; 0 without one",
    scale: |system| match &system.parameters().world {
        Some(world) => world.area.diagonal_m(),
        None => 1.0,
    },
    values: Values::Link(|view, arrival, servers| view.distances(arrival.device, servers)),
};

const WIRED_SLOTS: Column = Column {
    name: "wired_slots",
    unit: "slots",
    about: "slots that the task would take on the backhaul to the server, once it has been sent",
    scale: |system| f64::from(system.deadline_slots()),
    values: Values::Link(|view, arrival, servers| view.wired_slots(arrival, servers)),
};

const PREDICTED_DELAY_SLOTS: Column = predicted_slots(
    "predicted_delay_slots",
    "slots up to the end of the task if it is sent to the server, this one included, should rate, \
     speed and load stay as they are: τ^T, sending, the wired way, the device's backlog there and its \
     own service; at most 4 D_max, and so many without coverage or if the server is down",
    Values::Link(|view, arrival, servers| {
        view.offloaded(arrival, servers, |prediction| prediction.delay_slots);
    }),
);

const PREDICTED_ENERGY: Column = predicted_energy(
    "predicted_energy",
    "E_scaled of eq. (11) if it is sent to the server, likewise, by the scenario's accounting; at \
     most 40, and so much without coverage or if the server is down",
    Values::Link(|view, arrival, servers| {
        view.offloaded(arrival, servers, |prediction| prediction.energy);
    }),
);

const UP: Column = Column {
    name: "up",
    unit: "1",
    about: "share of its speed that the server has: 1, or less in an outage",
    scale: |_| 1.0,
    values: Values::Server(|view, servers| match view.scene.and_then(Scene::capacities) {
        Some(shares) => servers.copy_from_slice(shares),
        None => servers.fill(1.0),
    }),
};

const LOAD: Column = Column {
    name: "load",
    unit: "devices",
    about: "m(t−1): devices active at the server at the end of the last slot",
    scale: load_scale,
    values: Values::Server(|view, servers| {
        for (load, &active) in servers.iter_mut().zip(&view.state.active) {
            *load = f64::from(active);
        }
    }),
};

const GHZ: Column = Column {
    name: "ghz",
    unit: "GHz",
    about: "f^E: speed of the server's CPU",
    scale: |system| system.parameters().servers.iter().fold(0.0, |most, one| one.ghz.max(most)),
    values: Values::Server(|view, servers| {
        for (ghz, server) in servers.iter_mut().zip(&view.system.parameters().servers) {
            *ghz = server.ghz;
        }
    }),
};

/// A column that servers broadcast if the scenario says so; zeros otherwise.
const fn broadcast(
    name: &'static str,
    unit: &'static str,
    about: &'static str,
    scale: fn(&System) -> f64,
    value: fn(&View<'_>, &mut [f64]),
) -> Column {
    Column { name, unit, about, scale, values: Values::Server(value) }
}

const QUEUED_GCYCLES: Column = broadcast(
    "queued_gcycles",
    "Gcycles",
    "computation in service and waiting at the server, of all devices, at the end of the last slot",
    |system| load_scale(system) * system.largest_mbit() * system.highest_density(),
    |view, servers| {
        if let Some(broadcasts) = view.broadcasts {
            servers.copy_from_slice(&broadcasts.queued_gcycles);
        }
    },
);

const UPLOADS: Column = broadcast(
    "uploads",
    "tasks",
    "tasks on their way to the server at the end of the last slot: in uplinks, or on the backhaul",
    load_scale,
    |view, servers| {
        for (uploads, &tasks) in
            servers.iter_mut().zip(view.broadcasts.iter().flat_map(|all| &all.on_the_way))
        {
            *uploads = f64::from(tasks);
        }
    },
);

const ARRIVALS_PER_SLOT: Column = broadcast(
    "arrivals_per_slot",
    "tasks/slot",
    "tasks that reached the server in the last K slots, over K",
    load_scale,
    |view, servers| {
        let Some(broadcasts) = view.broadcasts else { return };
        for (server, arrivals) in servers.iter_mut().enumerate() {
            *arrivals = broadcasts.arrivals(server);
        }
    },
);

/// Order is part of the plugin interface: append only.
static TASK_COLUMNS: [Column; 15] = [
    SIZE_MBIT,
    COMPUTE_QUEUE_SLOTS,
    UPLINK_QUEUE_SLOTS,
    ALPHA,
    DENSITY,
    DEADLINE_SLOTS,
    CLASS,
    SPEED_MPS,
    OWN_MBPS,
    OWN_MBPS_1_AGO,
    OWN_MBPS_2_AGO,
    OWN_MBPS_4_AGO,
    OWN_MBPS_8_AGO,
    LOCAL_DELAY_SLOTS,
    LOCAL_ENERGY,
];
static LINK_COLUMNS: [Column; 7] = [
    BACKLOG_MBIT,
    UPLINK_MBPS,
    SERVING,
    DISTANCE_M,
    WIRED_SLOTS,
    PREDICTED_DELAY_SLOTS,
    PREDICTED_ENERGY,
];
static SERVER_COLUMNS: [Column; 3] = [LOAD, GHZ, UP];
static BROADCAST_COLUMNS: [Column; 3] = [QUEUED_GCYCLES, UPLOADS, ARRIVALS_PER_SLOT];

const COLUMN_COUNT: usize =
    TASK_COLUMNS.len() + LINK_COLUMNS.len() + SERVER_COLUMNS.len() + BROADCAST_COLUMNS.len();

/// Eq. (10).
static PAPER: [&Column; 5] =
    [&SIZE_MBIT, &COMPUTE_QUEUE_SLOTS, &UPLINK_QUEUE_SLOTS, &BACKLOG_MBIT, &ALPHA];
static EXTENDED: [&Column; 7] = [
    &SIZE_MBIT,
    &COMPUTE_QUEUE_SLOTS,
    &UPLINK_QUEUE_SLOTS,
    &BACKLOG_MBIT,
    &ALPHA,
    &DENSITY,
    &DEADLINE_SLOTS,
];

/// The columns with one value per waiting task.
pub fn task_columns() -> &'static [Column] {
    &TASK_COLUMNS
}

/// The columns with one value per waiting task and server.
pub fn link_columns() -> &'static [Column] {
    &LINK_COLUMNS
}

/// The columns with one value per server that every server table begins with.
pub fn server_columns() -> &'static [Column] {
    &SERVER_COLUMNS
}

/// The columns with one value per server that servers [`Broadcast`] only if a scenario says so.
pub fn broadcast_columns() -> &'static [Column] {
    &BROADCAST_COLUMNS
}

/// The columns of all tables: tasks, links, servers, then those that are broadcast.
pub fn columns() -> impl Iterator<Item = &'static Column> {
    TASK_COLUMNS.iter().chain(&LINK_COLUMNS).chain(&SERVER_COLUMNS).chain(&BROADCAST_COLUMNS)
}

/// The scale of a rate, Mbit/s: the fastest. Where no server covers any device, any will do.
fn rate_scale(system: &System) -> f64 {
    match system.fastest_mbps() {
        0.0 => 1.0,
        fastest => fastest,
    }
}

/// The scale of a load, devices: N/M, the load of each server if all devices were active and
/// spread evenly.
pub fn load_scale(system: &System) -> f64 {
    f64::from(system.device_count()) / f64::from(system.server_count())
}

impl Column {
    /// The table it belongs to.
    pub fn table(&self) -> Table {
        match self.values {
            Values::Task(_) => Table::Task,
            Values::Link(_) => Table::Link,
            Values::Server(_) => Table::Server,
        }
    }

    /// The value it rarely exceeds in `system`, in its unit, above 0: what a network may divide
    /// it by.
    pub fn scale(&self, system: &System) -> f64 {
        (self.scale)(system)
    }

    /// How many features it makes up: 1 for a task column, M for the others.
    fn width(&self, servers: usize) -> usize {
        match self.table() {
            Table::Task => 1,
            Table::Link | Table::Server => servers,
        }
    }

    /// Appends the value of a row, or its M values.
    #[inline]
    fn append(&self, view: &View<'_>, arrival: &Arrival, into: &mut Vec<f64>) {
        match self.values {
            Values::Task(value) => into.push(value(view, arrival)),
            Values::Link(fill) => fill(view, arrival, append_zeros(view, into)),
            Values::Server(fill) => fill(view, append_zeros(view, into)),
        }
    }
}

/// Appends M zeros and returns them.
#[inline]
fn append_zeros<'v>(view: &View<'_>, into: &'v mut Vec<f64>) -> &'v mut [f64] {
    let first = into.len();
    into.resize(first + view.system.server_count() as usize, 0.0);
    &mut into[first..]
}

/// Names are unique, and a column is defined once.
impl PartialEq for Column {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Column {}

impl fmt::Debug for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A list of distinct columns, at least one: the flat feature vector o in the scenario's own
/// order.
#[derive(Clone, Copy)]
pub struct ColumnList {
    /// As many as there are columns, so that the list is a plain value; the rest is padding.
    columns: [&'static Column; COLUMN_COUNT],
    count: usize,
}

/// A list of column names that is not an observation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidColumns {
    /// A name that no column has.
    #[error("there is no observation column `{name}`; there are: {}", known.join(", "))]
    Unknown {
        /// The name.
        name: String,
        /// The names of all columns.
        known: Vec<&'static str>,
    },
    /// A name that none of [`broadcast_columns`] has.
    #[error("servers cannot broadcast `{name}`; they can: {}", known.join(", "))]
    NotBroadcast {
        /// The name.
        name: String,
        /// The names of those columns.
        known: Vec<&'static str>,
    },
    /// A name that occurs twice.
    #[error("the observation column `{name}` is listed twice")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// No name at all.
    #[error("an observation needs at least one column")]
    Empty,
}

impl ColumnList {
    /// The columns with these names, in this order, of any of the three tables.
    ///
    /// # Errors
    /// [`InvalidColumns`] for an unknown name, a name that is listed twice, or an empty list.
    pub fn new<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Result<Self, InvalidColumns> {
        let mut list = Self { columns: [&SIZE_MBIT; COLUMN_COUNT], count: 0 };
        for name in names {
            let name = name.as_ref();
            let Some(column) = columns().find(|column| column.name == name) else {
                let known = columns().map(|column| column.name).collect();
                return Err(InvalidColumns::Unknown { name: name.into(), known });
            };
            if list.as_slice().contains(&column) {
                return Err(InvalidColumns::Duplicate { name: name.into() });
            }
            // In range: without duplicates, no list is longer than there are columns.
            list.columns[list.count] = column;
            list.count += 1;
        }
        if list.count == 0 { Err(InvalidColumns::Empty) } else { Ok(list) }
    }

    /// The columns in order.
    pub fn as_slice(&self) -> &[&'static Column] {
        &self.columns[..self.count]
    }
}

impl PartialEq for ColumnList {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for ColumnList {}

impl fmt::Debug for ColumnList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}

/// The columns that make up the flat feature vector o of a row.
#[expect(clippy::large_enum_variant, reason = "an episode has one, and a plain value is simpler")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObservationKind {
    /// Eq. (10) with the true values: λ, τ^C, τ^T, B^E_1…M, α: 4 + M features.
    Paper,
    /// The paper's, then ρ and D_max of the task: 6 + M features.
    Extended,
    /// The paper's columns as the public QECO code shows them to its agents, quirks included, for
    /// comparison with it alone: 4 + M features.
    Published,
    /// Columns of the scenario's own choice, with their true values.
    Columns(ColumnList),
}

impl ObservationKind {
    /// The name of the kind, as scenarios spell it; `Columns` for a list of columns.
    pub fn name(self) -> &'static str {
        match self {
            Self::Paper => "Paper",
            Self::Extended => "Extended",
            Self::Published => "Published",
            Self::Columns(_) => "Columns",
        }
    }

    /// The columns of o, in order. Each task column is one feature; each link and each server
    /// column is M of them.
    pub fn columns(&self) -> &[&'static Column] {
        match self {
            Self::Paper | Self::Published => &PAPER,
            Self::Extended => &EXTENDED,
            Self::Columns(list) => list.as_slice(),
        }
    }

    /// F: how many features a row has with `servers` servers.
    pub fn width(self, servers: u32) -> usize {
        self.columns().iter().map(|column| column.width(servers as usize)).sum()
    }
}

/// A set of [`broadcast_columns`]: the quantities that servers report besides their loads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Broadcast([bool; BROADCAST_COLUMNS.len()]);

impl Broadcast {
    /// Nothing, as in the paper.
    pub const NONE: Self = Self([false; BROADCAST_COLUMNS.len()]);

    /// The columns with these names.
    ///
    /// # Errors
    /// [`InvalidColumns`] for a name that is not one of [`broadcast_columns`], or is listed twice.
    pub fn new<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Result<Self, InvalidColumns> {
        let mut set = Self::NONE;
        for name in names {
            let name = name.as_ref();
            let Some(at) = BROADCAST_COLUMNS.iter().position(|column| column.name == name) else {
                let known = BROADCAST_COLUMNS.iter().map(|column| column.name).collect();
                return Err(InvalidColumns::NotBroadcast { name: name.into(), known });
            };
            if std::mem::replace(&mut set.0[at], true) {
                return Err(InvalidColumns::Duplicate { name: name.into() });
            }
        }
        Ok(set)
    }

    /// Its columns, in the order of [`broadcast_columns`].
    pub fn columns(self) -> impl Iterator<Item = &'static Column> {
        BROADCAST_COLUMNS.iter().zip(self.0).filter(|(_, is_in)| *is_in).map(|(column, _)| column)
    }
}

impl fmt::Debug for Broadcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.columns()).finish()
    }
}

/// The observation of a scenario: o, h, and what servers broadcast.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ObservationSpec {
    /// The columns that make up o. One of [`broadcast_columns`] is all zeros unless `broadcast` has it.
    pub kind: ObservationKind,
    /// K: load vectors that make up h; at least 1.
    pub history_slots: u32,
    /// The columns of the server table behind [`server_columns`].
    pub broadcast: Broadcast,
}

/// Keys of what has been learned are made of this text: it has `broadcast` only if anything is.
impl fmt::Debug for ObservationSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, history_slots, broadcast } = self;
        let mut text = f.debug_struct("ObservationSpec");
        text.field("kind", kind).field("history_slots", history_slots);
        if *broadcast != Broadcast::NONE {
            text.field("broadcast", broadcast);
        }
        text.finish()
    }
}

impl ObservationSpec {
    /// The paper's: eq. (10), ten load vectors, and nothing but loads from servers.
    pub const PAPER: Self =
        Self { kind: ObservationKind::Paper, history_slots: 10, broadcast: Broadcast::NONE };

    /// The columns of the server table: [`server_columns`], then those that are broadcast.
    pub fn server_columns(&self) -> impl Iterator<Item = &'static Column> {
        SERVER_COLUMNS.iter().chain(self.broadcast.columns())
    }
}

/// A feature of o.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// Its name: that of a task column, or `server_{j}_` and that of a link or server column,
    /// j = 1 … M.
    pub name: String,
    /// The value it rarely exceeds, in the unit of its column, above 0: what a network may divide
    /// it by.
    pub scale: f64,
}

/// The features of a row, in the order of [`ObservationKind::columns`]; the M features of a link
/// or server column in the order of servers.
pub fn features(system: &System, kind: ObservationKind) -> Vec<Feature> {
    let mut features = Vec::with_capacity(kind.width(system.server_count()));
    for column in kind.columns() {
        let (name, scale) = (column.name, column.scale(system));
        match column.table() {
            Table::Task => features.push(Feature { name: name.into(), scale }),
            Table::Link | Table::Server => features.extend(
                (1..=system.server_count())
                    .map(|server| Feature { name: format!("server_{server}_{name}"), scale }),
            ),
        }
    }
    features
}

/// The start of a slot, from which the values of columns are computed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'e> {
    pub(crate) system: &'e System,
    pub(crate) scene: Option<&'e Scene>,
    pub(crate) state: &'e State,
    /// Quantities that servers report besides their loads, if the observation asks for any.
    pub(crate) broadcasts: Option<&'e Broadcasts>,
    /// t.
    pub(crate) slot: u32,
    /// The tasks that wait for their decision, in the order of devices.
    pub(crate) arrivals: &'e [Arrival],
}

impl View<'_> {
    /// o of every row: rows × F, row-major.
    pub(crate) fn features(&self, kind: &ObservationKind, into: &mut Vec<f64>) {
        if let (ObservationKind::Published, Some(published)) = (kind, &self.state.published) {
            return self.published_features(published, into);
        }
        self.rows(kind.columns().iter().copied(), into);
    }

    /// Rows × C_t.
    pub(crate) fn task_table(&self, into: &mut Vec<f64>) {
        self.rows(TASK_COLUMNS.iter(), into);
    }

    /// Rows × C_l × M.
    pub(crate) fn link_table(&self, into: &mut Vec<f64>) {
        self.rows(LINK_COLUMNS.iter(), into);
    }

    /// C_s × M, with the columns that are `broadcast`.
    pub(crate) fn server_table(&self, broadcast: Broadcast, into: &mut Vec<f64>) {
        into.clear();
        for column in SERVER_COLUMNS.iter().chain(broadcast.columns()) {
            if let Values::Server(fill) = column.values {
                fill(self, append_zeros(self, into));
            }
        }
    }

    fn rows<'c>(&self, columns: impl Iterator<Item = &'c Column> + Clone, into: &mut Vec<f64>) {
        into.clear();
        for arrival in self.arrivals {
            for column in columns.clone() {
                column.append(self, arrival, into);
            }
        }
    }

    /// The columns of [`PAPER`], as the public code computes them.
    fn published_features(&self, published: &Published, into: &mut Vec<f64>) {
        into.clear();
        for arrival in self.arrivals {
            let (compute, uplink) = published.queues(arrival.device, self.slot);
            into.extend([arrival.size_mbit, compute, uplink]);
            let servers = 0..self.system.server_count();
            into.extend(servers.map(|server| published.backlog(arrival.device, server)));
            into.push(arrival.alpha);
        }
    }

    /// τ^C of a device, slots.
    pub(crate) fn compute_queue_slots(&self, device: u32) -> u32 {
        let parameters = self.system.parameters();
        let mbit = parameters.devices[device as usize].cpu_ghz * parameters.slot_seconds;
        let (shard, index) = self.state.of_device(device);
        shard.cpus.of(index).busy_slots(&shard.tasks, self.slot, |task| mbit / task.density)
    }

    /// τ^T of a device, slots.
    pub(crate) fn uplink_queue_slots(&self, device: u32) -> u32 {
        let parameters = self.system.parameters();
        let (shard, index) = self.state.of_device(device);
        shard.uplinks.of(index).busy_slots(&shard.tasks, self.slot, |task| {
            self.uplink_mbps(device, task.action - 1) * parameters.slot_seconds
        })
    }

    /// R of a device to a server, Mbit/s.
    #[inline]
    pub(crate) fn uplink_mbps(&self, device: u32, server: u32) -> f64 {
        match self.scene {
            None => self.system.constant_mbps(device, server),
            Some(scene) => scene.expected_mbps(self.system, device, server),
        }
    }

    /// m/s.
    pub(crate) fn speed_mps(&self, device: u32) -> f64 {
        let motion = self.scene.and_then(Scene::motion);
        motion.map_or(0.0, |motion| motion.speed_mps(device))
    }

    fn own_mbps_ago(&self, device: u32, slots: usize) -> f64 {
        self.scene.map_or(0.0, |scene| scene.own_mbps_ago(self.system, device, slots))
    }

    /// 0 or 1, into a slice of M zeros.
    fn serving(&self, device: u32, servers: &mut [f64]) {
        let world = self.system.parameters().world.as_deref();
        if world.is_none_or(|world| world.association == Association::Direct) {
            servers.fill(1.0);
        } else if let Some(station) = self.scene.and_then(|scene| scene.serving(device)) {
            servers[station as usize] = 1.0;
        }
    }

    /// Slots, into a slice of M zeros.
    fn wired_slots(&self, arrival: &Arrival, servers: &mut [f64]) {
        let Some(scene) = self.scene else { return };
        let Arrival { device, size_mbit, .. } = *arrival;
        for (server, slots) in (0..).zip(servers) {
            *slots = f64::from(scene.wired_slots(self.system, device, server, size_mbit));
        }
    }

    /// Metres, into a slice of M zeros.
    fn distances(&self, device: u32, servers: &mut [f64]) {
        let world = self.system.parameters().world.as_deref();
        if let (Some(world), Some(motion)) = (world, self.scene.and_then(Scene::motion)) {
            let place = motion.position(device);
            for (distance, station) in servers.iter_mut().zip(&world.stations) {
                *distance = place.distance_m(*station);
            }
        }
    }

    /// The outcome of computing a task locally.
    fn local(&self, arrival: &Arrival) -> Prediction {
        let queue = f64::from(self.compute_queue_slots(arrival.device));
        prediction::local(self.system, arrival, queue)
    }

    /// `value` of the outcome of sending a task to each server, into a slice of M zeros. Compiled for
    /// each value, so that no other is computed.
    #[inline(always)]
    fn offloaded(
        &self,
        arrival: &Arrival,
        servers: &mut [f64],
        value: impl Fn(&Prediction) -> f64,
    ) {
        let uplink_queue_slots = f64::from(self.uplink_queue_slots(arrival.device));
        let capacities = self.scene.and_then(Scene::capacities);
        let of_servers = &self.system.parameters().servers;
        self.backlogs(arrival.device, servers);
        for (server, into) in servers.iter_mut().enumerate() {
            let index = server as u32;
            let wired = |scene: &Scene| {
                scene.wired_slots(self.system, arrival.device, index, arrival.size_mbit)
            };
            let way = Way {
                uplink_queue_slots,
                uplink_mbps: self.uplink_mbps(arrival.device, index),
                wired_slots: self.scene.map_or(0.0, |scene| f64::from(wired(scene))),
                ghz: of_servers[server].ghz * capacities.map_or(1.0, |shares| shares[server]),
                load: f64::from(self.state.active[server]),
                backlog_mbit: *into,
            };
            *into = value(&prediction::offloaded(self.system, arrival, &way));
        }
    }

    /// B^E of a device, Mbit, into a slice of M zeros.
    fn backlogs(&self, device: u32, servers: &mut [f64]) {
        let (shard, index) = self.state.of_device(device);
        for flow in shard.flows.of_device(index) {
            servers[flow.server as usize] = flow.fifo.backlog_mbit(&shard.tasks);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_tables_hold_their_own_kind() {
        let names: std::collections::BTreeSet<_> = columns().map(|column| column.name).collect();
        assert_eq!(names.len(), COLUMN_COUNT);
        assert!(TASK_COLUMNS.iter().all(|column| column.table() == Table::Task));
        assert!(LINK_COLUMNS.iter().all(|column| column.table() == Table::Link));
        assert!(SERVER_COLUMNS.iter().all(|column| column.table() == Table::Server));
    }

    /// Checkpoints and plugins rely on these.
    #[test]
    fn features_keep_their_names_order_and_scales() {
        let system = System::paper(4, 2);
        let shown = |kind| {
            let features = features(&system, kind);
            assert_eq!(features.len(), kind.width(2));
            let one = |feature: Feature| format!("{} {}", feature.name, feature.scale);
            features.into_iter().map(one).collect::<Vec<_>>()
        };
        let paper = [
            "size_mbit 7",
            "compute_queue_slots 10",
            "uplink_queue_slots 10",
            "server_1_backlog_mbit 7",
            "server_2_backlog_mbit 7",
            "alpha 1",
        ];
        assert_eq!(shown(ObservationKind::Paper), paper);
        assert_eq!(shown(ObservationKind::Published), paper);
        let more = ["density_gcycles_per_mbit 0.397", "deadline_slots 10"];
        assert_eq!(shown(ObservationKind::Extended), [&paper[..], &more].concat());
        let list = ColumnList::new(["ghz", "alpha", "uplink_mbps", "load"]).unwrap();
        assert_eq!(
            shown(ObservationKind::Columns(list)),
            [
                "server_1_ghz 42",
                "server_2_ghz 42",
                "alpha 1",
                "server_1_uplink_mbps 14",
                "server_2_uplink_mbps 14",
                "server_1_load 2",
                "server_2_load 2",
            ]
        );
    }

    #[test]
    fn lists_that_are_not_observations_are_refused() {
        let error = |names: &[&str]| ColumnList::new(names).unwrap_err().to_string();
        assert_eq!(error(&[]), "an observation needs at least one column");
        assert_eq!(
            error(&["alpha", "load", "alpha"]),
            "the observation column `alpha` is listed twice"
        );
        assert_eq!(
            error(&["alpha", "size"]),
            "there is no observation column `size`; there are: size_mbit, compute_queue_slots, \
             uplink_queue_slots, alpha, density_gcycles_per_mbit, deadline_slots, class, speed_mps, \
             own_mbps, own_mbps_1_ago, own_mbps_2_ago, own_mbps_4_ago, own_mbps_8_ago, \
             local_delay_slots, local_energy, backlog_mbit, uplink_mbps, serving, distance_m, \
             wired_slots, predicted_delay_slots, predicted_energy, load, ghz, up, queued_gcycles, \
             uploads, arrivals_per_slot"
        );
        // All of them, in any order.
        let mut names: Vec<_> = columns().map(|column| column.name).collect();
        let all = ColumnList::new(&names).unwrap();
        assert_eq!(all.as_slice().len(), COLUMN_COUNT);
        names.reverse();
        assert_ne!(ColumnList::new(names).unwrap(), all);
    }
}
