//! The format of traces: reading a file, and checking that it does not contradict itself.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use offramp_model::{
    Arrival, Device, Distribution, EnergyAccounting, ObservationKind, PowerPreference,
    PreferenceRule, RecordedArrival, Server, System, SystemParameters, TaskClass, UplinkRates,
};
use serde::{Deserialize, Serialize};

/// Upper bound on the size of an unpacked file, bytes: a few kilobytes of gzip can claim
/// terabytes.
const MAX_BYTES: u64 = 1 << 30;

/// Upper bound on the number of servers.
const MAX_SERVERS: usize = 1_000_000;

/// Why a trace can't be read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file can't be read or unpacked.
    #[error("{path}: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        cause: std::io::Error,
    },
    /// The file unpacks to more than 1 GiB.
    #[error("{path}: unpacks to more than {MAX_BYTES} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file is not JSON, or not of this format.
    #[error("{path}: {cause}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, column and what was expected there.
        cause: serde_json::Error,
    },
    /// The file is of this format and contradicts itself.
    #[error("{path}: {place}: {fault}")]
    Inconsistent {
        /// The file.
        path: PathBuf,
        /// The field, with the row if it has rows.
        place: String,
        /// The fault.
        fault: String,
    },
}

/// A file as it is written.
#[derive(Deserialize, Serialize)]
pub(crate) struct TraceFile {
    pub(crate) name: String,
    pub(crate) devices: usize,
    pub(crate) edges: usize,
    pub(crate) slots: u32,
    pub(crate) deadline_slots: u32,
    pub(crate) slot_seconds: f64,
    pub(crate) device_ghz: f64,
    pub(crate) uplink_mbps: f64,
    pub(crate) edge_ghz: f64,
    pub(crate) power: Power,
    pub(crate) alpha: Vec<f64>,
    pub(crate) task_columns: Vec<String>,
    pub(crate) tasks: Vec<Vec<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) active_devices_after_slot: Option<Vec<Vec<u32>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) published_observation_columns: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) published_observations: Option<Vec<Vec<f64>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) published_load_seen_at_slot: Option<Vec<Vec<f64>>>,
}

#[derive(Deserialize, Serialize)]
pub(crate) struct Power {
    pub(crate) transmit: f64,
    pub(crate) idle: f64,
    pub(crate) edge: f64,
}

/// A trace that has been read and found consistent.
#[derive(Debug)]
pub struct Trace {
    /// The name in the file.
    pub name: String,
    pub(crate) system: Arc<System>,
    /// One per task, by slot and then device.
    pub(crate) tasks: Vec<RecordedTask>,
    /// Active devices after each slot: T × M.
    pub(crate) active_devices: Option<Vec<Vec<u32>>>,
    /// Load seen at each slot: T × M.
    pub(crate) load_seen: Option<Vec<Vec<f64>>>,
    /// Names of the values of each task's observation.
    pub(crate) observation_columns: Vec<String>,
}

/// A task of a trace: what arrived, what was decided, and the recorded outcome.
#[derive(Debug)]
pub(crate) struct RecordedTask {
    /// Its row in the file, counted from 0.
    row: usize,
    /// Slot, device, size, density and α.
    pub(crate) arrival: RecordedArrival,
    /// 0 computes locally, j offloads to server j.
    pub(crate) action: u32,
    /// Its delay, slots.
    pub(crate) delay_slots: Option<f64>,
    /// 1 if it was dropped, else 0.
    pub(crate) dropped: Option<f64>,
    /// Its energy by [`ENERGY_COLUMNS`].
    pub(crate) energy: [Option<f64>; 4],
    /// Its observation, in the trace's order.
    pub(crate) observation: Option<Vec<f64>>,
}

/// The columns with the components of a task's energy.
pub(crate) const ENERGY_COLUMNS: [&str; 4] =
    ["energy_local", "energy_transmit", "energy_edge", "energy_idle"];

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
            flate2::read::GzDecoder::new(file).take(MAX_BYTES + 1).read_to_end(&mut text)
        } else {
            file.take(MAX_BYTES + 1).read_to_end(&mut text)
        };
        if read.map_err(unreadable)? as u64 > MAX_BYTES {
            return Err(TraceError::TooLarge { path: path.into() });
        }
        let malformed = |cause| TraceError::Malformed { path: path.into(), cause };
        let file: TraceFile = serde_json::from_slice(&text).map_err(malformed)?;
        Self::from_file(file).map_err(|Fault { place, fault }| TraceError::Inconsistent {
            path: path.into(),
            place,
            fault,
        })
    }

    /// Checks a file in the order in which its fields depend on each other: system, columns,
    /// rows, tables.
    fn from_file(mut file: TraceFile) -> Result<Self, Fault> {
        if file.alpha.len() != file.devices {
            let fault = format!("{} for {} devices", file.alpha.len(), file.devices);
            return Err(Fault::new("alpha", fault));
        }
        let system = Arc::new(system(&file)?);
        let columns = Columns::find(&file.task_columns)?;
        let mut observations = observations(&mut file)?;
        let mut tasks = Vec::with_capacity(file.tasks.len());
        for (row, values) in file.tasks.iter().enumerate() {
            let task = columns.task(&file, row, values, observations[row].take())?;
            tasks.push(task);
        }
        sort(&mut tasks)?;
        let active_devices = file.active_devices_after_slot;
        check_table("active_devices_after_slot", active_devices.as_deref(), &system)?;
        let load_seen = file.published_load_seen_at_slot;
        check_table("published_load_seen_at_slot", load_seen.as_deref(), &system)?;
        let observation_columns = file.published_observation_columns.unwrap_or_default();
        Ok(Self { name: file.name, system, tasks, active_devices, load_seen, observation_columns })
    }
}

/// A place in a file and what is wrong there.
struct Fault {
    place: String,
    fault: String,
}

impl Fault {
    fn new(place: impl Into<String>, fault: impl Into<String>) -> Self {
        Self { place: place.into(), fault: fault.into() }
    }
}

/// Where the columns of a task are.
struct Columns {
    count: usize,
    slot: usize,
    device: usize,
    size: usize,
    density: usize,
    action: usize,
    delay: Option<usize>,
    dropped: Option<usize>,
    energy: [Option<usize>; 4],
}

impl Columns {
    fn find(names: &[String]) -> Result<Self, Fault> {
        let column = |name: &str| names.iter().position(|column| column == name);
        let needed = |name: &str| {
            let missing = || Fault::new("task_columns", format!("there is no column `{name}`"));
            column(name).ok_or_else(missing)
        };
        Ok(Self {
            count: names.len(),
            slot: needed("slot")?,
            device: needed("device")?,
            size: needed("size_mbit")?,
            density: needed("density_gcycles_per_mbit")?,
            action: needed("action")?,
            delay: column("delay_slots"),
            dropped: column("dropped"),
            energy: ENERGY_COLUMNS.map(column),
        })
    }

    /// The task of a row.
    fn task(
        &self,
        file: &TraceFile,
        row: usize,
        values: &[f64],
        observation: Option<Vec<f64>>,
    ) -> Result<RecordedTask, Fault> {
        let at_row = |fault: String| Fault::new(format!("tasks, row {row}"), fault);
        if values.len() != self.count {
            return Err(at_row(format!("{} values for {} columns", values.len(), self.count)));
        }
        let device = whole("device", values[self.device], file.devices - 1).map_err(at_row)?;
        let columns = file.published_observation_columns.as_ref().map_or(0, Vec::len);
        if observation.as_ref().is_some_and(|seen| seen.len() != columns) {
            let fault = "not one value for each of published_observation_columns";
            return Err(Fault::new(format!("published_observations, row {row}"), fault));
        }
        let last_slot = file.slots as usize - 1;
        let value = |column: Option<usize>| column.map(|column| values[column]);
        Ok(RecordedTask {
            row,
            arrival: RecordedArrival {
                slot: whole("slot", values[self.slot], last_slot).map_err(at_row)?,
                arrival: Arrival {
                    device,
                    size_mbit: positive("size", values[self.size]).map_err(at_row)?,
                    density: positive("density", values[self.density]).map_err(at_row)?,
                    alpha: file.alpha[device as usize],
                    deadline_slots: file.deadline_slots,
                    class: 0,
                },
            },
            action: whole("action", values[self.action], file.edges).map_err(at_row)?,
            delay_slots: value(self.delay),
            dropped: value(self.dropped),
            energy: self.energy.map(value),
            observation,
        })
    }
}

/// A whole number from 0 to `max`.
fn whole(name: &str, value: f64, max: usize) -> Result<u32, String> {
    if value.fract() == 0.0 && (0.0..=max as f64).contains(&value) {
        Ok(value as u32)
    } else {
        Err(format!("{name} {value}: a whole number 0 … {max} is needed"))
    }
}

/// A finite number above 0.
fn positive(name: &str, value: f64) -> Result<f64, String> {
    if value > 0.0 && value.is_finite() {
        Ok(value)
    } else {
        Err(format!("{name} {value}: a number above 0 is needed"))
    }
}

/// Takes the observations out of a file: one per task, `None` if it records none.
fn observations(file: &mut TraceFile) -> Result<Vec<Option<Vec<f64>>>, Fault> {
    let Some(rows) = file.published_observations.take() else {
        return Ok(vec![None; file.tasks.len()]);
    };
    let columns = file.published_observation_columns.as_ref().map_or(0, Vec::len);
    if columns != ObservationKind::Published.width(file.edges as u32) {
        let fault = format!("{columns} for {} edges", file.edges);
        return Err(Fault::new("published_observation_columns", fault));
    }
    if rows.len() != file.tasks.len() {
        let fault = format!("{} rows for {} tasks", rows.len(), file.tasks.len());
        return Err(Fault::new("published_observations", fault));
    }
    Ok(rows.into_iter().map(Some).collect())
}

/// Sorts tasks by slot and then device, of which each may have one.
fn sort(tasks: &mut [RecordedTask]) -> Result<(), Fault> {
    let key = |task: &RecordedTask| (task.arrival.slot, task.arrival.arrival.device);
    tasks.sort_by_key(key);
    match tasks.windows(2).find(|pair| key(&pair[0]) == key(&pair[1])) {
        None => Ok(()),
        Some(pair) => {
            let fault = format!("the same slot and device as row {}", pair[0].row);
            Err(Fault::new(format!("tasks, row {}", pair[1].row), fault))
        }
    }
}

/// The recorded system.
fn system(file: &TraceFile) -> Result<System, Fault> {
    // Bounded before anything is allocated: every device has an alpha in the file.
    if file.edges > MAX_SERVERS {
        return Err(Fault::new("edges", format!("{} is more than {MAX_SERVERS}", file.edges)));
    }
    let device = Device {
        cpu_ghz: file.device_ghz,
        // The published accounting does not use the power of the device's CPU; the physical one,
        // which no trace records, is not shown.
        compute_w: 0.0,
        transmit_w: file.power.transmit,
        idle_w: file.power.idle,
        arrival_probability: 0.0,
    };
    let parameters = SystemParameters {
        slot_seconds: file.slot_seconds,
        arrival_slots: file.slots,
        devices: vec![device; file.devices],
        servers: vec![Server { ghz: file.edge_ghz, power_w: file.power.edge }; file.edges],
        uplink: UplinkRates::Same(file.uplink_mbps).into(),
        classes: vec![TaskClass {
            name: "task".into(),
            share: 1.0,
            size_mbit: Distribution::Constant(1.0),
            density: Distribution::Constant(1.0),
            deadline_slots: file.deadline_slots,
        }],
        // Every recorded task has its α; no rule draws one.
        power_preference: PowerPreference {
            modes: file.alpha.clone(),
            rule: PreferenceRule::PerEpisode,
        },
        energy: EnergyAccounting::Published,
        ..SystemParameters::paper(1, 1)
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
        Fault::new(name, invalid.fault)
    })
}

/// Checks that a table has one row per slot and in each one value per server.
fn check_table<T>(name: &str, table: Option<&[Vec<T>]>, system: &System) -> Result<(), Fault> {
    let Some(rows) = table else { return Ok(()) };
    if rows.len() != system.slot_count() as usize {
        let fault = format!("{} rows for {} slots", rows.len(), system.slot_count());
        return Err(Fault::new(name, fault));
    }
    let servers = system.server_count() as usize;
    match rows.iter().position(|row| row.len() != servers) {
        Some(row) => {
            let fault = format!("{} values for {servers} edges", rows[row].len());
            Err(Fault::new(format!("{name}, row {row}"), fault))
        }
        None => Ok(()),
    }
}

impl RecordedTask {
    /// Its description in a difference.
    pub(crate) fn place(&self) -> String {
        let RecordedArrival { slot, arrival } = self.arrival;
        format!("task in row {} (slot {slot}, device {})", self.row, arrival.device)
    }
}
