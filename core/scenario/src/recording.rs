//! Recorded data that a scenario names: files, how their columns are called, and what the system makes of
//! their rows.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use offramp_model::world::Position;
use offramp_model::world::mobility::{Sample, Tracks};
use offramp_model::{
    Arrival, Range, RecordedRates, RecordedTask, RecordedTasks, SystemParameters, TaskClass,
    Uplink, Window,
};
use offramp_recorded::{Columns, Devices, Projection, RateRow, TaskRow, When};
use serde::Deserialize;

use crate::fault::explain;
use crate::file::{RecordingsSection, ScenarioFile, SystemSection};
use crate::source::Source;
use crate::{Fault, Raw, named_file};

/// Upper bound on the slots of a recording, and on the rates that are kept of it.
const MAX_SLOTS: f64 = 1e8;

/// One file or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Files {
    One(String),
    Several(Vec<String>),
}

impl From<Files> for Vec<String> {
    fn from(files: Files) -> Self {
        match files {
            Files::One(file) => vec![file],
            Files::Several(files) => files,
        }
    }
}

/// Files, and how their columns are called and measured.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename = "Recorded")]
struct Described {
    file: Files,
    #[serde(default)]
    columns: BTreeMap<String, String>,
    #[serde(default)]
    factors: BTreeMap<String, f64>,
    #[serde(default)]
    constants: BTreeMap<String, f64>,
}

/// The files of a value such as `Recorded("data/tasks.csv")`.
#[derive(Debug)]
pub(crate) struct Named {
    files: Vec<String>,
    columns: Columns,
}

impl Source<'_> {
    /// The files that a value of the form `FORM("file")`, or `FORM(file: "file", columns: {…}, …)`, names;
    /// `None` if it is not of that form.
    pub(crate) fn files_in(
        &self,
        field: &str,
        raw: &Raw,
        form: &str,
    ) -> Result<Option<Named>, Fault> {
        let Some(inner) = raw.0.strip_prefix(form).map(str::trim_start) else { return Ok(None) };
        let Some(first) = inner.strip_prefix('(').map(str::trim_start) else { return Ok(None) };
        let is_plain = first.starts_with(['"', '[']);
        if is_plain && first.starts_with("[(") {
            return Ok(None); // a list of positions
        }
        let inner = Raw(inner.to_owned());
        let read = if is_plain {
            inner
                .read::<(Files,)>()
                .map(|(files,)| Named { files: files.into(), columns: Columns::default() })
        } else {
            inner.read::<Described>().map(|Described { file, columns, factors, constants }| Named {
                files: file.into(),
                columns: Columns { names: columns, factors, constants },
            })
        };
        read.map(Some).map_err(|error| {
            let (message, help) = explain(&error.code);
            let forms = format!(
                "it may be {form}(\"FILE\") or {form}(file: \"FILE\", columns: {{\"ours\": \
                 \"theirs\"}}, factors: {{\"ours\": 0.001}}, constants: {{\"ours\": 1}})"
            );
            self.fault(field, message, Some(help.unwrap_or(forms)))
        })
    }
}

/// Reads the recorded data of one system.
pub(crate) struct Recordings<'s> {
    source: Source<'s>,
    slot_seconds: f64,
    /// The devices that files name, which they share.
    devices: Devices,
    /// What makes metres of degrees, for all files.
    projection: Option<Projection>,
    tracks: Option<Arc<Tracks>>,
    /// The slots of the tracks and rates that were read, if there are any.
    slots: Option<u32>,
    /// The files that were read, in order.
    pub(crate) files: Vec<PathBuf>,
}

impl<'s> Recordings<'s> {
    pub(crate) fn new(source: Source<'s>, file: &ScenarioFile) -> Result<Self, Fault> {
        let origin = file.world.as_ref().and_then(|world| world.origin);
        let projection = match origin {
            None => None,
            Some((latitude, longitude)) => {
                let message = || {
                    let message = format!("({latitude}, {longitude}) is not a place");
                    let help = "give latitude, −80 to 80, and longitude, −180 to 180".to_owned();
                    source.fault("world.origin", message, Some(help))
                };
                Some(Projection::around(latitude, longitude).ok_or_else(message)?)
            }
        };
        Ok(Self {
            source,
            slot_seconds: file.system.slot_seconds,
            devices: Devices::default(),
            projection,
            tracks: None,
            slots: None,
            files: Vec::new(),
        })
    }

    /// A fault of `field` because of a row of a file, counted from 1.
    fn at_row(&self, field: &str, file: &Path, row: usize, fault: &str) -> Fault {
        self.source.fault(field, format!("{}, row {}: {fault}", file.display(), row + 1), None)
    }

    /// Reads a file with `read`.
    fn read<T>(
        &mut self,
        field: &str,
        file: &str,
        read: impl FnOnce(&Path, &mut Devices) -> Result<T, offramp_recorded::FileFault>,
    ) -> Result<T, Fault> {
        let named = named_file(self.source.folder, file);
        let path = named.map_err(|error| {
            self.source.fault(field, error.to_string(), error.help().map(str::to_owned))
        })?;
        let rows = read(&path, &mut self.devices)
            .map_err(|fault| self.source.fault(field, fault.to_string(), None))?;
        if !self.files.contains(&path) {
            self.files.push(path);
        }
        Ok(rows)
    }

    /// The one file that is named.
    fn one<'n>(&self, field: &str, named: &'n Named) -> Result<&'n str, Fault> {
        match &named.files[..] {
            [file] => Ok(file),
            files => {
                let message = format!("{} files are named, and one is needed", files.len());
                Err(self.source.fault(field, message, None))
            }
        }
    }

    /// The slot of a time.
    fn slot(&self, when: When) -> f64 {
        match when {
            When::Slot(slot) => f64::from(slot),
            // 0.3 s are three slots of 0.1 s, although 0.3 / 0.1 is less than 3.
            When::Seconds(time_s) => (time_s / self.slot_seconds + 1e-6).floor(),
        }
    }

    /// The slots up to the last of `slots`, that one too.
    fn length(&self, field: &str, file: &str, slots: &[f64]) -> Result<u32, Fault> {
        let last = slots.iter().copied().fold(0.0, f64::max);
        if last < MAX_SLOTS {
            return Ok(last as u32 + 1);
        }
        let message = format!("{file}: lasts {} slots, more than 10⁸", last + 1.0);
        let help = "times are slots or seconds from its beginning: name the column to use, or its \
                    factor";
        Err(self.source.fault(field, message, Some(help.to_owned())))
    }

    /// Positions, in metres from the south-western corner of the area.
    pub(crate) fn positions(&mut self, field: &str, named: &Named) -> Result<Vec<Position>, Fault> {
        let file = self.one(field, named)?;
        let around = self.projection;
        let read = self.read(field, file, |path, _| {
            offramp_recorded::positions(path, &named.columns, around)
        })?;
        self.projection = self.projection.or(read.projection);
        Ok(read.rows.iter().map(|row| Position { x_m: row.x_m, y_m: row.y_m }).collect())
    }

    /// Tracks of devices.
    pub(crate) fn tracks(&mut self, field: &str, named: &Named) -> Result<Arc<Tracks>, Fault> {
        let file = self.one(field, named)?;
        let rows = self.read(field, file, |path, devices| {
            offramp_recorded::tracks_of(path, &named.columns, devices)
        })?;
        let samples: Vec<Sample> = rows
            .iter()
            .map(|row| Sample {
                time_s: row.time_s,
                device: row.device,
                place: Position { x_m: row.x_m, y_m: row.y_m },
            })
            .collect();
        let tracks = Tracks::new(&samples).map_err(|invalid| {
            self.at_row(field, file.as_ref(), invalid.index, &invalid.fault.to_string())
        })?;
        let tracks = Arc::new(tracks);
        self.slots = self.slots.max(Some(tracks.slot_count(self.slot_seconds)));
        self.tracks = Some(Arc::clone(&tracks));
        Ok(tracks)
    }

    /// Rates of uplinks: of one file, by device and server if it has such columns, or of several, one
    /// trace each.
    pub(crate) fn rates(
        &mut self,
        field: &str,
        named: &Named,
        system: &SystemSection,
    ) -> Result<RecordedRates, Fault> {
        let &SystemSection { devices: system_devices, servers, .. } = system;
        // By device and server.
        let mut traces: BTreeMap<(u32, u32), Vec<(f64, f64)>> = BTreeMap::new();
        let (mut per_server, mut files) = (false, Vec::new());
        for (number, file) in (0..).zip(&named.files) {
            let rows = self.read(field, file, |path, devices| {
                offramp_recorded::rates_of(path, &named.columns, devices)
            })?;
            let several = named.files.len() > 1;
            for (at, RateRow { when, device, server, mbps }) in rows.into_iter().enumerate() {
                if several && device.or(server).is_some() {
                    let message = "a file among several is one trace: no `device`, no `server`";
                    return Err(self.at_row(field, file.as_ref(), at, message));
                }
                if server.is_some_and(|server| !(1..=servers).contains(&server)) {
                    let message = format!("servers are numbered 1 to {servers}");
                    return Err(self.at_row(field, file.as_ref(), at, &message));
                }
                per_server = server.is_some();
                let trace = (device.unwrap_or(number), server.map_or(0, |server| server - 1));
                traces.entry(trace).or_default().push((self.slot(when), mbps));
            }
            files.push(file.as_str());
        }
        let files = files.join(", ");
        let columns = if per_server { servers } else { 1 };
        // Each trace has its place: device by device, and server by server.
        for (at, &(device, server)) in (0_u64..).zip(traces.keys()) {
            let expected = ((at / u64::from(columns)) as u32, (at % u64::from(columns)) as u32);
            if (device, server) != expected {
                let to = if per_server {
                    format!(" to server {}", expected.1 + 1)
                } else {
                    String::new()
                };
                let message = format!("{files}: has no rate of device {}{to}", expected.0);
                return Err(self.source.fault(field, message, None));
            }
        }
        let devices = traces.len() as u64 / u64::from(columns);
        if named.files.len() == 1 && devices > 1 && devices != u64::from(system_devices) {
            let message =
                format!("{files}: rates of {devices} devices: the system has {system_devices}");
            let help = format!("`system.devices: {devices}`, or a file for each trace, in a list");
            return Err(self.source.fault(field, message, Some(help)));
        }
        let mut length = u32::MAX;
        for trace in traces.values() {
            let slots: Vec<f64> = trace.iter().map(|(slot, _)| *slot).collect();
            // Where one ends earlier, nothing is known of it afterwards.
            length = length.min(self.length(field, &files, &slots)?);
        }
        self.slots = self.slots.max(Some(length));
        if f64::from(length) * traces.len() as f64 > MAX_SLOTS {
            let message = format!("{files}: has more than 10⁸ rates, slot by slot");
            return Err(self.source.fault(field, message, None));
        }
        let traces: Vec<_> = traces.into_values().map(|trace| by_slot(trace, length)).collect();
        let rates = if per_server {
            RecordedRates::per_pair(traces, servers)
        } else {
            RecordedRates::per_device(traces)
        };
        rates.map_err(|fault| self.source.fault(field, format!("{files}: {fault}"), None))
    }

    /// Tasks, and the classes that they name where the scenario has none.
    pub(crate) fn tasks(
        &mut self,
        field: &str,
        named: &Named,
        file: &ScenarioFile,
        classes: &mut Vec<TaskClass>,
    ) -> Result<Arc<RecordedTasks>, Fault> {
        let name = self.one(field, named)?;
        let rows = self.read(field, name, |path, devices| {
            offramp_recorded::tasks_of(path, &named.columns, devices)
        })?;
        if file.tasks.classes.is_empty() {
            of_file(&rows, classes);
        }
        let slots: Vec<f64> = rows.iter().map(|row| self.slot(row.when)).collect();
        // A recording may end in slots without a task: it is as long as an episode, and as the others.
        let length = self.length(field, name, &slots)?.max(file.system.slots);
        let length = length.max(self.slots.unwrap_or(0));
        let mut tasks = Vec::with_capacity(rows.len());
        // By slot and device, the row of the task.
        let mut taken = HashMap::with_capacity(rows.len());
        for (at, (row, slot)) in rows.iter().zip(slots).enumerate() {
            let TaskRow { device, size_mbit, density, deadline_slots, alpha, class, .. } = row;
            if *device >= file.system.devices {
                let there_are = file.system.devices;
                let message = format!("device {device} is out of range: there are {there_are}");
                return Err(self.at_row(field, name.as_ref(), at, &message));
            }
            if self.tracks.as_ref().is_some_and(|tracks| !tracks.has(*device)) {
                let message = "its device has no track in the file of `world.mobility`";
                return Err(self.at_row(field, name.as_ref(), at, message));
            }
            if let Some(alpha) = alpha.filter(|alpha| !file.alpha.modes.contains(alpha)) {
                let message = format!("alpha {alpha} is none of `alpha.modes`");
                return Err(self.at_row(field, name.as_ref(), at, &message));
            }
            let class = match class {
                None => 0,
                Some(class) => {
                    classes.iter().position(|known| *known.name == **class).ok_or_else(|| {
                        let message = format!("`tasks.classes` has no class `{class}`");
                        self.at_row(field, name.as_ref(), at, &message)
                    })?
                }
            };
            for (column, value) in [("size_mbit", size_mbit), ("density", density)] {
                if let Some(fault) = Range::Positive.fault(*value) {
                    let message = format!("{column}: {fault}");
                    return Err(self.at_row(field, name.as_ref(), at, &message));
                }
            }
            if let Some(earlier) = taken.insert((slot as u32, *device), at) {
                let message =
                    format!("its device has a task in slot {slot} already, in row {}", earlier + 1);
                let fault = self.at_row(field, name.as_ref(), at, &message);
                let help = "a device gets at most one task in a slot: shorten `system.slot_seconds`, \
                            spread the tasks over more devices, or keep the tasks of one run";
                return Err(Fault { help: Some(help.to_owned()), ..fault });
            }
            let arrival = Arrival {
                device: *device,
                size_mbit: *size_mbit,
                density: *density,
                alpha: alpha.unwrap_or(f64::NAN),
                deadline_slots: deadline_slots.unwrap_or(classes[class].deadline_slots),
                class: class as u32,
            };
            tasks.push(RecordedTask { slot: slot as u32, arrival });
        }
        let recorded = RecordedTasks::new(tasks, length).map(Arc::new);
        recorded.map_err(|fault| self.source.fault(field, format!("{name}: {fault}"), None))
    }
}

/// The classes that tasks name, in the order in which they first appear, in the place of the only one.
fn of_file(rows: &[TaskRow], classes: &mut Vec<TaskClass>) {
    let all = classes.remove(0);
    for class in rows.iter().filter_map(|row| row.class.as_ref()) {
        if !classes.iter().any(|known| *known.name == **class) {
            classes.push(TaskClass { name: class.to_string(), ..all.clone() });
        }
    }
    if classes.is_empty() {
        classes.push(all);
    }
}

/// The rate in each of `length` slots: the mean of the samples in it, or what it was before.
fn by_slot(mut samples: Vec<(f64, f64)>, length: u32) -> Vec<f64> {
    samples.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut rates = Vec::with_capacity(length as usize);
    let mut next = 0;
    let mut rate = samples.first().map_or(0.0, |first| first.1);
    for slot in 0..length {
        let (mut sum, mut count) = (0.0, 0.0);
        while let Some((_, mbps)) = samples.get(next).filter(|sample| sample.0 <= f64::from(slot)) {
            sum += mbps;
            count += 1.0;
            next += 1;
        }
        if count > 0.0 {
            rate = sum / count;
        }
        rates.push(rate);
    }
    rates
}

/// The parts of all recordings that are trained on, validated on and evaluated on.
pub(crate) struct Parts {
    pub(crate) training: Window,
    pub(crate) validation: Window,
    pub(crate) evaluation: Window,
}

impl Parts {
    /// In time: first what is trained on. Undivided, everything is evaluated on.
    pub(crate) fn of(section: Option<&RecordingsSection>) -> Self {
        let divided = section.filter(|section| !section.is_unlearned());
        let Some(&RecordingsSection { train, validate }) = divided else {
            let whole = Window::WHOLE;
            return Self { training: whole, validation: whole, evaluation: whole };
        };
        let (first, second) = (train, train + validate);
        Self {
            training: Window { from: 0.0, to: first },
            validation: Window { from: first, to: second },
            evaluation: Window { from: second, to: 1.0 },
        }
    }
}

/// Checks that a scenario whose system has recordings says which part is trained on, and one whose system
/// has none says nothing of the kind.
pub(crate) fn check(
    source: Source<'_>,
    file: &ScenarioFile,
    parameters: &SystemParameters,
) -> Result<(), Fault> {
    if let Some(section @ RecordingsSection { train, validate }) = &file.recordings {
        let is_divided = *train > 0.0 && *validate > 0.0 && train + validate < 1.0;
        if !(is_divided || section.is_unlearned()) {
            let message = "`train` and `validate` are above 0 and together below 1, or both 0";
            return Err(source.fault("recordings", message.to_owned(), None));
        }
    }
    if let (Uplink::Recorded(_), Some(world)) = (&parameters.uplink, &parameters.world)
        && world.radio.is_some()
    {
        let message = "recorded rates have no effect here: `world.radio` determines all rates";
        return Err(source.fault("system.uplink_mbps", message.to_owned(), None));
    }
    let has_recordings = parameters.has_recordings();
    if !has_recordings && file.recordings.is_some() {
        let message = "nothing is recorded here, so there is nothing to divide";
        return Err(source.fault("recordings", message.to_owned(), None));
    }
    let help = "divide them in time: recordings: (train: 0.6, validate: 0.2)";
    let learns = [
        ("train", file.train.is_some()),
        ("distill", file.distill.is_some()),
        ("tune", file.tune.is_some()),
    ];
    let undivided = file.recordings.as_ref().is_none_or(RecordingsSection::is_unlearned);
    if let Some((field, _)) =
        learns.iter().find(|(_, is_given)| has_recordings && undivided && *is_given)
    {
        let message = "what is learned would be learned on the recordings that are evaluated on";
        return Err(source.fault(field, message.to_owned(), Some(help.to_owned())));
    }
    let mut learned = (0..).zip(&file.policies).filter(|(_, policy)| policy.checkpoint.is_some());
    match learned.next() {
        Some((number, _)) if has_recordings && file.recordings.is_none() => {
            let message = "this may have been learned on the recordings that it is evaluated on";
            let help = format!(
                "{help}, as where it was trained; or, if it was trained on something else, recordings: \
                 (train: 0, validate: 0)"
            );
            let field = format!("policies.{number}.checkpoint");
            Err(source.fault(&field, message.to_owned(), Some(help)))
        }
        _ => Ok(()),
    }
}

impl RecordingsSection {
    /// True if it says that nothing is learned, or was, from what is recorded.
    fn is_unlearned(&self) -> bool {
        self.train == 0.0 && self.validate == 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples that share a slot are averaged, and a rate holds until the next.
    #[test]
    fn samples_become_slots() {
        let samples = vec![(4.0, 8.0), (1.0, 2.0), (1.0, 4.0), (2.0, 0.0)];
        assert_eq!(by_slot(samples, 5), [2.0, 3.0, 0.0, 0.0, 8.0]);
    }
}
