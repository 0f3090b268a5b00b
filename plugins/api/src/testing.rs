//! For the unit tests of a policy: a small system in which the test sets what is seen.
//!
//! ```
//! use offramp_plugin::testing::Bench;
//! # use offramp_plugin::{Context, Error, Needs, Observation, Policy, ServerColumn};
//! # struct LeastLoaded { load: ServerColumn }
//! # impl Policy for LeastLoaded {
//! #     const NEEDS: Needs = Needs::SERVERS;
//! #     fn create(context: &Context<'_>) -> Result<Self, Error> {
//! #         Ok(Self { load: context.server_column("load")? })
//! #     }
//! #     fn decide(&mut self, seen: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
//! #         let load = seen.server(self.load);
//! #         let least = (1..).zip(load).min_by(|a, b| a.1.total_cmp(b.1));
//! #         actions.fill(least.map_or(0, |(server, _)| server));
//! #         Ok(())
//! #     }
//! # }
//! let mut bench = Bench::new(2, 3); // two devices, each with a task; three servers
//! let mut policy: LeastLoaded = bench.create().unwrap();
//! bench.set_server("load", &[4.0, 1.0, 2.0]);
//! assert_eq!(bench.decide(&mut policy).unwrap(), [2, 2]);
//! ```

use std::path::PathBuf;

use abi_stable::std_types::{RSlice, RStr};

use crate::author::{Explorer, Learner, Policy};
use crate::data::{
    Context, Counterfactuals, EndedTask, EnergyAccounting, EpisodeStart, Progress, SystemSpec,
    TransitionBatch, UNDECIDED, bytes_of,
};
use crate::error::Error;
use crate::observation::{Feature, Observation, ObservationSpec};

/// The task columns of a [`Bench`], in the order of offramp's own, and what they hold at first. None
/// follows another: a test that sets a size sets the delay predicted for it, too, if that is read.
pub const TASK_COLUMNS: [(&str, f64); 15] = [
    ("size_mbit", 4.0),
    ("compute_queue_slots", 0.0),
    ("uplink_queue_slots", 0.0),
    ("alpha", 0.5),
    ("density_gcycles_per_mbit", 0.297),
    ("deadline_slots", 10.0),
    ("class", 0.0),
    ("speed_mps", 0.0),
    ("own_mbps", 0.0),
    ("own_mbps_1_ago", 0.0),
    ("own_mbps_2_ago", 0.0),
    ("own_mbps_4_ago", 0.0),
    ("own_mbps_8_ago", 0.0),
    ("local_delay_slots", 5.0),
    ("local_energy", 2.267_129),
];

/// The link columns of a [`Bench`], likewise.
pub const LINK_COLUMNS: [(&str, f64); 7] = [
    ("backlog_mbit", 0.0),
    ("uplink_mbps", 14.0),
    ("serving", 1.0),
    ("distance_m", 0.0),
    ("wired_slots", 0.0),
    ("predicted_delay_slots", 4.0),
    ("predicted_energy", 4.83),
];

/// The server columns of a [`Bench`], likewise.
pub const SERVER_COLUMNS: [(&str, f64); 3] = [("load", 0.0), ("ghz", 42.0), ("up", 1.0)];

/// The columns that servers of a [`Bench`] broadcast if the test says so, likewise.
pub const BROADCAST_COLUMNS: [(&str, f64); 3] =
    [("queued_gcycles", 0.0), ("uploads", 0.0), ("arrivals_per_slot", 0.0)];

/// E_ref, joules: computing 7 Mbit of 0.397 Gcycles/Mbit locally, at 2 W and 2.6 GHz.
const REFERENCE_ENERGY: f64 = 2.0 * (7.0 * 0.397 / 2.6);

/// The columns that make up the features of a [`Bench`], those of the paper, with their scales. A
/// link column stands for one feature per server.
const FEATURES: [(&str, f64); 5] = [
    ("size_mbit", 7.0),
    ("compute_queue_slots", 10.0),
    ("uplink_queue_slots", 10.0),
    ("backlog_mbit", 7.0),
    ("alpha", 1.0),
];

/// K.
const HISTORY_SLOTS: usize = 10;

/// A system with the paper's values in which every device has a task of 4 Mbit and nothing is
/// busy, until the test sets something else.
#[derive(Clone, Debug)]
pub struct Bench {
    /// The scenario's `parameters`, RON.
    pub parameters: String,
    /// The scenario's `checkpoint`.
    pub checkpoint: Option<Vec<u8>>,
    /// The scenario's folder; the current one at first.
    pub folder: PathBuf,
    /// The seed of creation and episodes.
    pub seed: u64,
    /// The length of the learning; 0 at first.
    pub learning_steps: u64,
    /// The hash of the hardware; empty at first.
    pub hardware_sha256: String,
    /// t.
    pub slot: u32,
    /// h: K × M, oldest slot first.
    pub history: Vec<f64>,
    devices: usize,
    servers: usize,
    /// Rows × C_t.
    tasks: Vec<f64>,
    /// Rows × C_l × M.
    links: Vec<f64>,
    server_columns: Vec<(&'static str, f64)>,
    /// C_s × M.
    server_table: Vec<f64>,
}

impl Bench {
    /// A system of so many devices and servers.
    pub fn new(devices: usize, servers: usize) -> Self {
        let row = TASK_COLUMNS.map(|(_, value)| value);
        let per_server = |columns: &[(&str, f64)]| {
            let values = columns.iter().map(|&(_, value)| vec![value; servers]);
            values.collect::<Vec<_>>().concat()
        };
        Self {
            parameters: String::new(),
            checkpoint: None,
            folder: PathBuf::from("."),
            seed: 1,
            learning_steps: 0,
            hardware_sha256: String::new(),
            slot: 0,
            history: vec![0.0; HISTORY_SLOTS * servers],
            devices,
            servers,
            tasks: row.repeat(devices),
            links: per_server(&LINK_COLUMNS).repeat(devices),
            server_columns: SERVER_COLUMNS.into(),
            server_table: per_server(&SERVER_COLUMNS),
        }
    }

    /// Sets a task column for the task of `device`.
    ///
    /// # Panics
    /// If there is no such column or device.
    pub fn set_task(&mut self, device: usize, column: &str, value: f64) {
        self.tasks[device * TASK_COLUMNS.len() + index(&TASK_COLUMNS, column)] = value;
    }

    /// Sets a link column for the task of `device`: a value for each server.
    ///
    /// # Panics
    /// If there is no such column or device, or another number of servers.
    pub fn set_link(&mut self, device: usize, column: &str, values: &[f64]) {
        let start = (device * LINK_COLUMNS.len() + index(&LINK_COLUMNS, column)) * self.servers;
        self.links[start..start + self.servers].copy_from_slice(values);
    }

    /// Has servers broadcast one more of [`BROADCAST_COLUMNS`], a value for each server.
    ///
    /// # Panics
    /// If there is no such column, or another number of servers.
    pub fn broadcast(&mut self, column: &str, values: &[f64]) {
        assert_eq!(values.len(), self.servers, "one value per server");
        self.server_columns.push(BROADCAST_COLUMNS[index(&BROADCAST_COLUMNS, column)]);
        self.server_table.extend(values);
    }

    /// Sets a server column: a value for each server.
    ///
    /// # Panics
    /// If there is no such column, or another number of servers.
    pub fn set_server(&mut self, column: &str, values: &[f64]) {
        let start = index(&self.server_columns, column) * self.servers;
        self.server_table[start..start + self.servers].copy_from_slice(values);
    }

    /// Creates the policy.
    ///
    /// # Errors
    /// Its own.
    pub fn create<P: Policy>(&self) -> Result<P, Error> {
        self.context(P::create)
    }

    /// Creates the explorer.
    ///
    /// # Errors
    /// Its own.
    pub fn create_explorer<E: Explorer>(&self) -> Result<E, Error> {
        self.context(E::create)
    }

    /// The policy's decision: one action per device.
    ///
    /// # Errors
    /// Its own.
    pub fn decide<P: Policy>(&self, policy: &mut P) -> Result<Vec<u32>, Error> {
        let mut actions = vec![UNDECIDED; self.devices];
        self.observe(|observation| policy.decide(observation, &mut actions))?;
        Ok(actions)
    }

    /// The explorer's proposal: one action, or [`UNDECIDED`], per device.
    ///
    /// # Errors
    /// Its own.
    pub fn propose<E: Explorer>(
        &self,
        explorer: &mut E,
        progress: &Progress,
    ) -> Result<Vec<u32>, Error> {
        let mut actions = vec![UNDECIDED; self.devices];
        self.observe(|observation| explorer.propose(observation, progress, &mut actions))?;
        Ok(actions)
    }

    /// Hands the learner a slot in which `actions` were taken and `ended` ended, and lets it
    /// learn.
    ///
    /// # Errors
    /// Its own.
    pub fn learn<L: Learner>(
        &self,
        learner: &mut L,
        actions: &[u32],
        ended: &[EndedTask],
    ) -> Result<Progress, Error> {
        self.observe(|observation| {
            let (actions, ended) = (actions.into(), ended.into());
            learner.record(&TransitionBatch { observation, actions, ended })
        })?;
        learner.learn()
    }

    /// Hands the learner the counterfactuals of `tasks`, each a device and a slot of arrival:
    /// tasks × (M + 1) `gains`.
    ///
    /// # Errors
    /// Its own.
    ///
    /// # Panics
    /// If there is another number of gains.
    pub fn judge<L: Learner>(
        &self,
        learner: &mut L,
        tasks: &[(u32, u32)],
        gains: &[f64],
    ) -> Result<(), Error> {
        assert_eq!(gains.len(), tasks.len() * (1 + self.servers), "tasks × (M + 1) gains");
        let (devices, arrival_slots): (Vec<u32>, Vec<u32>) = tasks.iter().copied().unzip();
        learner.judge(&Counterfactuals {
            devices: devices.as_slice().into(),
            arrival_slots: arrival_slots.as_slice().into(),
            gains: gains.into(),
        })
    }

    /// Lends what a policy or explorer is created from.
    pub fn context<T>(&self, call: impl FnOnce(&Context<'_>) -> T) -> T {
        let mut features = Vec::new();
        for (column, scale) in FEATURES {
            if TASK_COLUMNS.iter().any(|(name, _)| *name == column) {
                features.push(Feature { name: column.into(), scale });
            } else {
                features.extend((1..=self.servers).map(|server| Feature {
                    name: format!("server_{server}_{column}").into(),
                    scale,
                }));
            }
        }
        let [task_columns, link_columns, server_columns] =
            [&TASK_COLUMNS[..], &LINK_COLUMNS, &self.server_columns].map(|columns| {
                columns.iter().map(|&(name, _)| RStr::from(name)).collect::<Vec<_>>()
            });
        let observation = ObservationSpec {
            features: features.as_slice().into(),
            task_columns: task_columns.as_slice().into(),
            link_columns: link_columns.as_slice().into(),
            server_columns: server_columns.as_slice().into(),
            history_slots: HISTORY_SLOTS as u32,
            history_scale: self.devices as f64 / self.servers as f64,
            kind: "Paper".into(),
        };
        let folder = bytes_of(&self.folder);
        self.system(|system| {
            call(&Context {
                parameters: self.parameters.as_str().into(),
                checkpoint: self.checkpoint.as_deref().map(RSlice::from).into(),
                scenario_sha256: "".into(),
                seed: self.seed,
                threads: 1,
                observation: &observation,
                system,
                folder: folder.as_slice().into(),
                checkpoint_file: "".as_bytes().into(),
                learning_steps: self.learning_steps,
                hardware_sha256: self.hardware_sha256.as_str().into(),
            })
        })
    }

    /// Lends the start of an episode of this system.
    pub fn episode<T>(&self, number: u64, call: impl FnOnce(&EpisodeStart<'_>) -> T) -> T {
        self.system(|system| {
            call(&EpisodeStart { episode: number, seed: self.seed, training: false, system })
        })
    }

    /// Lends what is seen.
    pub fn observe<T>(&self, call: impl FnOnce(&Observation<'_>) -> T) -> T {
        let devices: Vec<u32> = (0..self.devices as u32).collect();
        let mut features = Vec::new();
        for device in 0..self.devices {
            for (column, _) in FEATURES {
                if let Some(at) = TASK_COLUMNS.iter().position(|(name, _)| *name == column) {
                    features.push(self.tasks[device * TASK_COLUMNS.len() + at]);
                } else {
                    let column = index(&LINK_COLUMNS, column);
                    let start = (device * LINK_COLUMNS.len() + column) * self.servers;
                    features.extend(&self.links[start..start + self.servers]);
                }
            }
        }
        call(&Observation {
            slot: self.slot,
            server_count: self.servers as u32,
            history_slots: HISTORY_SLOTS as u32,
            devices: devices.as_slice().into(),
            features: features.as_slice().into(),
            histories: self.history.as_slice().into(),
            history_of: RSlice::EMPTY,
            tasks: self.tasks.as_slice().into(),
            links: self.links.as_slice().into(),
            servers: self.server_table.as_slice().into(),
        })
    }

    fn system<T>(&self, call: impl FnOnce(&SystemSpec<'_>) -> T) -> T {
        let [device_ghz, compute_w, transmit_w, idle_w] =
            [2.6, 2.0, 2.3, 0.1].map(|value| vec![value; self.devices]);
        let ghz = index(&SERVER_COLUMNS, "ghz") * self.servers;
        call(&SystemSpec {
            slot_seconds: 0.1,
            deadline_slots: 10,
            arrival_slots: 100,
            device_ghz: device_ghz.as_slice().into(),
            compute_w: compute_w.as_slice().into(),
            transmit_w: transmit_w.as_slice().into(),
            idle_w: idle_w.as_slice().into(),
            server_ghz: self.server_table[ghz..ghz + self.servers].into(),
            energy: EnergyAccounting::PUBLISHED,
            reference_energy: REFERENCE_ENERGY,
        })
    }
}

fn index(columns: &[(&str, f64)], column: &str) -> usize {
    match columns.iter().position(|(name, _)| *name == column) {
        Some(index) => index,
        None => panic!("there is no column `{column}` in this table"),
    }
}

/// A task that was decided in slot 0 and has ended, as a learner receives it.
pub fn ended(device: u32, action: u32, reward: f64) -> EndedTask {
    EndedTask {
        device,
        arrival_slot: 0,
        action,
        delay_slots: 3,
        dropped: false,
        reward,
        energy: [0.0; 4],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::LocalColumns;

    #[test]
    fn columns_are_found_by_name_and_read_by_row() {
        let mut bench = Bench::new(3, 2);
        bench.set_task(1, "alpha", 0.25);
        bench.set_link(2, "uplink_mbps", &[7.0, 8.0]);
        bench.set_server("load", &[1.0, 2.0]);
        let (local, load) = bench.context(|context| {
            (LocalColumns::find(context).unwrap(), context.server_column("load").unwrap())
        });
        bench.observe(|seen| {
            assert_eq!(local.state(seen, 0).alpha, 0.5);
            assert_eq!(local.state(seen, 1).alpha, 0.25);
            assert_eq!(local.state(seen, 2).uplink_mbps, [7.0, 8.0]);
            assert_eq!(local.state(seen, 2).backlog_mbit, [0.0, 0.0]);
            assert_eq!(seen.server(load), [1.0, 2.0]);
            // Size, two queues, the backlog at two servers, α.
            assert_eq!(seen.features_of(1), [4.0, 0.0, 0.0, 0.0, 0.0, 0.25]);
        });
    }

    #[test]
    fn a_missing_column_is_named_with_those_there_are() {
        let error = Bench::new(1, 1).context(|context| context.link_column("fading").unwrap_err());
        let expected = "there is no link column `fading` (this offramp has: backlog_mbit, \
                        uplink_mbps, serving, distance_m, wired_slots, predicted_delay_slots, \
                        predicted_energy)";
        assert_eq!(error.message(), expected);
    }

    #[test]
    fn rows_see_their_window() {
        let histories: Vec<f64> = (0..12).map(f64::from).collect();
        let bench = Bench::new(3, 2);
        bench.observe(|seen| {
            let windows = Observation {
                history_slots: 3,
                histories: histories.as_slice().into(),
                history_of: [1, 0, 1].as_slice().into(),
                ..*seen
            };
            assert_eq!(windows.window_of(0), [6.0, 7.0, 8.0, 9.0, 10.0, 11.0]);
            assert_eq!(windows.window_of(1), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
            let none = Observation { histories: RSlice::EMPTY, ..*seen };
            assert!(none.window_of(2).is_empty());
            // In an episode all rows see the only one.
            assert_eq!(seen.window_of(2).len(), 10 * 2);
        });
    }

    #[test]
    #[should_panic(expected = "the policy's NEEDS lack Needs::TASKS")]
    fn a_table_that_was_not_asked_for_is_named() {
        let bench = Bench::new(1, 1);
        let alpha = bench.context(|context| context.task_column("alpha").unwrap());
        bench.observe(|seen| Observation { tasks: RSlice::EMPTY, ..*seen }.task(0, alpha));
    }
}
