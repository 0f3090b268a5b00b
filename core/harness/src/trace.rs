//! Recorded runs of an environment: reading them, replaying them through the engine, comparing.
//!
//! A trace is a JSON file (`.json`, or `.json.gz`) with the capacities of a system, the tasks
//! that arrived with the decision for each, and what the recorded environment made of them.
//! `tests/traces/README.md` lists its fields. Columns are found by their names; what a file does
//! not record is not compared.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use offramp_model::{
    Arrival, Device, Distribution, EndedTask, Energy, EnergyAccounting, Episode, ObservationKind,
    ObservationSpec, Outcome, PowerPreference, PreferenceRule, RecordedArrival, Recording, Server,
    System, SystemParameters, UplinkRates, Workload, reward,
};
use serde::Deserialize;

/// Recorded and computed values must agree to this. Delays, drops and active devices are whole
/// numbers, so for them it means equal.
pub const TOLERANCE: f64 = 1e-9;

/// A file must not unpack to more than this: a few kilobytes of gzip can claim terabytes.
const MOST_BYTES: u64 = 1 << 30;

/// Why a trace can't be read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file can't be read or unpacked.
    #[error("{path}: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// The file unpacks to more than is sensible.
    #[error("{path}: unpacks to more than {MOST_BYTES} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It is no JSON, or not of this format.
    #[error("{path}: {cause}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, column and what was expected there.
        cause: serde_json::Error,
    },
    /// It is of this format and contradicts itself.
    #[error("{path}: {place}: {fault}")]
    Inconsistent {
        /// The file.
        path: PathBuf,
        /// The field, with the row if it has any.
        place: String,
        /// What is wrong there.
        fault: String,
    },
}

#[derive(Deserialize)]
struct TraceFile {
    name: String,
    devices: usize,
    edges: usize,
    slots: u32,
    deadline_slots: u32,
    slot_seconds: f64,
    device_ghz: f64,
    uplink_mbps: f64,
    edge_ghz: f64,
    power: Power,
    alpha: Vec<f64>,
    task_columns: Vec<String>,
    tasks: Vec<Vec<f64>>,
    active_devices_after_slot: Option<Vec<Vec<u32>>>,
    published_observation_columns: Option<Vec<String>>,
    published_observations: Option<Vec<Vec<f64>>>,
    published_load_seen_at_slot: Option<Vec<Vec<f64>>>,
}

#[derive(Deserialize)]
struct Power {
    transmit: f64,
    idle: f64,
    edge: f64,
}

/// A trace that has been read and found consistent.
#[derive(Debug)]
pub struct Trace {
    /// The name the file gives itself.
    pub name: String,
    system: System,
    /// One a task, by slot and then device.
    tasks: Vec<RecordedTask>,
    active_devices: Option<Vec<Vec<u32>>>,
    load_seen: Option<Vec<Vec<f64>>>,
    observation_columns: Vec<String>,
}

/// A task of a trace: what arrived, what was decided, and what was recorded of the rest.
#[derive(Debug)]
struct RecordedTask {
    /// Its row in the file, counted from 0.
    row: usize,
    arrival: RecordedArrival,
    action: u32,
    delay_slots: Option<f64>,
    dropped: Option<f64>,
    energy: [Option<f64>; 4],
    observation: Option<Vec<f64>>,
}

const ENERGY_COLUMNS: [&str; 4] = ["energy_local", "energy_transmit", "energy_edge", "energy_idle"];

impl Trace {
    /// Reads a trace.
    ///
    /// # Errors
    /// [`TraceError`] names the file and the place in it.
    pub fn read(path: &Path) -> Result<Self, TraceError> {
        let unreadable = |cause| TraceError::Unreadable { path: path.into(), cause };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mut text = Vec::new();
        let packed = path.extension().is_some_and(|extension| extension == "gz");
        let read = if packed {
            flate2::read::GzDecoder::new(file).take(MOST_BYTES + 1).read_to_end(&mut text)
        } else {
            file.take(MOST_BYTES + 1).read_to_end(&mut text)
        };
        if read.map_err(unreadable)? as u64 > MOST_BYTES {
            return Err(TraceError::TooLarge { path: path.into() });
        }
        let malformed = |cause| TraceError::Malformed { path: path.into(), cause };
        let file: TraceFile = serde_json::from_slice(&text).map_err(malformed)?;
        Self::from_file(file).map_err(|(place, fault)| TraceError::Inconsistent {
            path: path.into(),
            place,
            fault,
        })
    }

    fn from_file(file: TraceFile) -> Result<Self, (String, String)> {
        let fail = |place: &str, fault: String| Err((place.to_owned(), fault));
        if file.alpha.len() != file.devices {
            return fail("alpha", format!("{} for {} devices", file.alpha.len(), file.devices));
        }
        let system = system(&file)?;
        let column = |name: &str| file.task_columns.iter().position(|column| column == name);
        let needed = |name: &str| {
            column(name)
                .ok_or_else(|| ("task_columns".to_owned(), format!("there is no column `{name}`")))
        };
        let (slot, device, size, density, action) = (
            needed("slot")?,
            needed("device")?,
            needed("size_mbit")?,
            needed("density_gcycles_per_mbit")?,
            needed("action")?,
        );
        let (delay, dropped) = (column("delay_slots"), column("dropped"));
        let energy = ENERGY_COLUMNS.map(column);
        let observation_columns = file.published_observation_columns.unwrap_or_default();
        if file.published_observations.is_some()
            && observation_columns.len() != ObservationKind::Published.width(file.edges as u32)
        {
            let fault = format!("{} for {} edges", observation_columns.len(), file.edges);
            return fail("published_observation_columns", fault);
        }
        let mut observations = match file.published_observations {
            Some(rows) if rows.len() != file.tasks.len() => {
                let fault = format!("{} rows for {} tasks", rows.len(), file.tasks.len());
                return fail("published_observations", fault);
            }
            Some(rows) => rows.into_iter().map(Some).collect(),
            None => vec![None; file.tasks.len()],
        };
        let mut tasks = Vec::with_capacity(file.tasks.len());
        for (row, (values, observation)) in file.tasks.iter().zip(&mut observations).enumerate() {
            let place = format!("tasks, row {row}");
            if values.len() != file.task_columns.len() {
                let fault =
                    format!("{} values for {} columns", values.len(), file.task_columns.len());
                return Err((place, fault));
            }
            let whole = |name: &str, value: f64, most: usize| {
                if value.fract() == 0.0 && (0.0..=most as f64).contains(&value) {
                    Ok(value as u32)
                } else {
                    let fault = format!("{name} {value}: a whole number 0 … {most} is needed");
                    Err((place.clone(), fault))
                }
            };
            let positive = |name: &str, value: f64| {
                if value > 0.0 && value.is_finite() {
                    Ok(value)
                } else {
                    let fault = format!("{name} {value}: a number above 0 is needed");
                    Err((place.clone(), fault))
                }
            };
            let device = whole("device", values[device], file.devices - 1)?;
            if observation.as_ref().is_some_and(|seen| seen.len() != observation_columns.len()) {
                let fault = "not one value for each of published_observation_columns".to_owned();
                return Err((format!("published_observations, row {row}"), fault));
            }
            tasks.push(RecordedTask {
                row,
                arrival: RecordedArrival {
                    slot: whole("slot", values[slot], file.slots as usize - 1)?,
                    arrival: Arrival {
                        device,
                        size_mbit: positive("size", values[size])?,
                        density: positive("density", values[density])?,
                        alpha: file.alpha[device as usize],
                    },
                },
                action: whole("action", values[action], file.edges)?,
                delay_slots: delay.map(|column| values[column]),
                dropped: dropped.map(|column| values[column]),
                energy: energy.map(|column| column.map(|column| values[column])),
                observation: observation.take(),
            });
        }
        let key = |task: &RecordedTask| (task.arrival.slot, task.arrival.arrival.device);
        tasks.sort_by_key(key);
        if let Some(pair) = tasks.windows(2).find(|pair| key(&pair[0]) == key(&pair[1])) {
            let fault = format!("the same slot and device as row {}", pair[0].row);
            return Err((format!("tasks, row {}", pair[1].row), fault));
        }
        check_table(
            "active_devices_after_slot",
            file.active_devices_after_slot.as_deref(),
            &system,
        )?;
        check_table(
            "published_load_seen_at_slot",
            file.published_load_seen_at_slot.as_deref(),
            &system,
        )?;
        Ok(Self {
            name: file.name,
            system,
            tasks,
            active_devices: file.active_devices_after_slot,
            load_seen: file.published_load_seen_at_slot,
            observation_columns,
        })
    }

    /// Runs the recorded arrivals and decisions through the engine, and compares as it goes.
    pub fn replay(&self) -> Replay {
        let observation = ObservationSpec { kind: ObservationKind::Published, history_slots: 10 };
        let arrivals = self.tasks.iter().map(|task| task.arrival).collect();
        // The file's tasks were checked when it was read.
        let recording = match Recording::new(&self.system, arrivals) {
            Ok(recording) => recording,
            Err(invalid) => unreachable!("{invalid}"),
        };
        let workload = Workload::Recorded(recording);
        let mut episode = Episode::new(&self.system, workload, observation);
        let mut replay = Replay {
            slots: self.system.slot_count(),
            devices: self.system.device_count(),
            servers: self.system.server_count(),
            ..Replay::default()
        };
        let (mut features, mut actions) = (Vec::new(), Vec::new());
        let mut read = 0;
        while !episode.is_over() {
            let slot = episode.slot();
            let here = read..read + episode.arrivals().len();
            read = here.end;
            episode.features(&mut features);
            let width = ObservationKind::Published.width(self.system.server_count());
            for (task, seen) in self.tasks[here.clone()].iter().zip(features.chunks(width)) {
                let Some(recorded) = &task.observation else { continue };
                for ((name, &recorded), &ours) in
                    self.observation_columns.iter().zip(recorded).zip(seen)
                {
                    replay.compare(|| task.place(), &format!("observed {name}"), recorded, ours);
                }
            }
            if let Some(load_seen) = &self.load_seen {
                for (server, (&recorded, &ours)) in
                    load_seen[slot as usize].iter().zip(episode.load_seen()).enumerate()
                {
                    let what = format!("load seen of server {}", server + 1);
                    replay.compare(|| format!("slot {slot}"), &what, recorded, ours);
                }
            }
            actions.clear();
            actions.extend(self.tasks[here].iter().map(|task| task.action));
            // The file's decisions were checked when it was read.
            if let Err(illegal) = episode.advance(&actions) {
                unreachable!("{illegal}");
            }
            if let Some(active) = &self.active_devices {
                for (server, (&recorded, &ours)) in
                    active[slot as usize].iter().zip(episode.active_devices()).enumerate()
                {
                    let what = format!("active devices at server {}", server + 1);
                    let place = || format!("slot {slot}");
                    replay.compare(place, &what, f64::from(recorded), f64::from(ours));
                }
            }
            for ended in episode.ended() {
                self.compare_end(ended, &mut replay);
            }
        }
        replay
    }

    fn compare_end(&self, ended: &EndedTask, replay: &mut Replay) {
        let key = (ended.arrival_slot, ended.device);
        let found = self
            .tasks
            .binary_search_by_key(&key, |task| (task.arrival.slot, task.arrival.arrival.device));
        // Each task that ends is one of those that arrived.
        let Ok(task) = found.map(|index| &self.tasks[index]) else {
            unreachable!("slot {}, device {}: no such task", key.0, key.1)
        };
        let dropped = f64::from(u8::from(ended.outcome == Outcome::Dropped));
        if let Some(recorded) = task.delay_slots {
            replay.compare(|| task.place(), "delay_slots", recorded, f64::from(ended.delay_slots));
        }
        if let Some(recorded) = task.dropped {
            replay.compare(|| task.place(), "dropped", recorded, dropped);
        }
        let Energy { local, transmit, server, idle } = ended.energy.published;
        for ((name, recorded), ours) in
            ENERGY_COLUMNS.iter().zip(task.energy).zip([local, transmit, server, idle])
        {
            if let Some(recorded) = recorded {
                replay.compare(|| task.place(), name, recorded, ours);
            }
        }
        replay.tasks += 1;
        replay.dropped += u64::from(ended.outcome == Outcome::Dropped);
        replay.delay_slots += u64::from(ended.delay_slots);
        replay.energy += ended.energy.published.total();
        replay.reward += reward::reward(&self.system, ended);
    }
}

fn system(file: &TraceFile) -> Result<System, (String, String)> {
    let device = Device {
        cpu_ghz: file.device_ghz,
        // The published accounting knows no power of the device's CPU; the physical one, which
        // no trace records, is not shown.
        compute_w: 0.0,
        transmit_w: file.power.transmit,
        idle_w: file.power.idle,
        arrival_probability: 0.0,
    };
    // Bounded before anything is allocated: every device has an alpha in the file, and every
    // slot with a load vector has one entry a server.
    let parameters = SystemParameters {
        slot_seconds: file.slot_seconds,
        arrival_slots: file.slots,
        deadline_slots: file.deadline_slots,
        devices: vec![device; file.devices],
        servers: vec![
            Server { ghz: file.edge_ghz, power_w: file.power.edge };
            {
                if file.edges > 1_000_000 {
                    return Err(("edges".into(), format!("{} is more than 1000000", file.edges)));
                }
                file.edges
            }
        ],
        uplink: UplinkRates::Same(file.uplink_mbps),
        size_mbit: Distribution::Constant(1.0),
        density: Distribution::Constant(1.0),
        power_preference: PowerPreference {
            modes: file.alpha.clone(),
            rule: PreferenceRule::Fixed,
        },
        energy: EnergyAccounting::Published,
    };
    System::new(parameters).map_err(|invalid| {
        let name = match invalid.parameter {
            "servers" => "edges",
            "cpu_ghz" => "device_ghz",
            "ghz" => "edge_ghz",
            "uplink" => "uplink_mbps",
            "arrival_slots" => "slots",
            "power_preference" => "alpha",
            "transmit_w" | "idle_w" | "power_w" => "power",
            other => other,
        };
        (name.to_owned(), invalid.fault)
    })
}

/// A table must have a row a slot and a value a server in each.
fn check_table<T>(
    name: &str,
    table: Option<&[Vec<T>]>,
    system: &System,
) -> Result<(), (String, String)> {
    let Some(rows) = table else { return Ok(()) };
    if rows.len() != system.slot_count() as usize {
        let fault = format!("{} rows for {} slots", rows.len(), system.slot_count());
        return Err((name.to_owned(), fault));
    }
    let servers = system.server_count() as usize;
    match rows.iter().position(|row| row.len() != servers) {
        Some(row) => {
            let fault = format!("{} values for {servers} edges", rows[row].len());
            Err((format!("{name}, row {row}"), fault))
        }
        None => Ok(()),
    }
}

impl RecordedTask {
    fn place(&self) -> String {
        let RecordedArrival { slot, arrival } = self.arrival;
        format!("task in row {} (slot {slot}, device {})", self.row, arrival.device)
    }
}

/// What a replay came to, and where it differs from what was recorded.
#[derive(Debug, Default)]
pub struct Replay {
    /// N.
    pub devices: u32,
    /// M.
    pub servers: u32,
    /// T.
    pub slots: u32,
    /// Tasks, each of which ended exactly once.
    pub tasks: u64,
    /// Tasks dropped.
    pub dropped: u64,
    /// Sum of all delays, slots.
    pub delay_slots: u64,
    /// Sum of all energies, published units.
    pub energy: f64,
    /// Sum of all rewards.
    pub reward: f64,
    /// How many recorded values were compared.
    pub compared: u64,
    /// How many of them differ.
    pub differing: u64,
    /// The first of these.
    pub first_differences: Vec<Difference>,
}

/// One recorded value that the engine does not reproduce.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The slot, or the task with its row in the file.
    pub place: String,
    /// The quantity.
    pub what: String,
    /// The value in the file.
    pub recorded: f64,
    /// The engine's.
    pub computed: f64,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, what, recorded, computed } = self;
        write!(f, "{place}: {what}: recorded {recorded}, computed {computed}")
    }
}

/// How many differences a replay keeps.
const MOST_DIFFERENCES: usize = 10;

impl Replay {
    /// Mean delay of all tasks, slots; 0 if there are none.
    pub fn mean_delay_slots(&self) -> f64 {
        if self.tasks == 0 { 0.0 } else { self.delay_slots as f64 / self.tasks as f64 }
    }

    fn compare(
        &mut self,
        place: impl FnOnce() -> String,
        what: &str,
        recorded: f64,
        computed: f64,
    ) {
        self.compared += 1;
        let close = (recorded - computed).abs() <= TOLERANCE;
        if !close {
            self.differing += 1;
            if self.first_differences.len() < MOST_DIFFERENCES {
                let (place, what) = (place(), what.to_owned());
                self.first_differences.push(Difference { place, what, recorded, computed });
            }
        }
    }
}
