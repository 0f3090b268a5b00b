//! Live runs: the windows of each policy's stream, and how it comes through the changes of its system.
//!
//! A stream has no end, so its numbers are those of windows of slots. A task counts in the window in
//! which it *ended*: where it arrived, the last tasks of each window would be missing until they end.
//! What is under way at the end of the stream is in no window.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::files::{self, MAX_DATA_BYTES};
use crate::{Error, table};

/// A row of `live.csv`: a window of a policy's stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LiveRow {
    /// The policy's label.
    pub policy: String,
    /// The window, counted from 0.
    pub window: u64,
    /// Its first slot.
    pub first_slot: u32,
    /// The slot after its last one.
    pub end_slot: u32,
    /// Tasks that ended in it.
    pub tasks: u64,
    /// Those of them that were completed in time.
    pub completed: u64,
    /// Their mean quality of experience (eq. 12), units of reward; none if no task ended.
    pub qoe_per_task: Option<f64>,
    /// Their mean delay, slots; none if no task ended.
    pub delay_slots: Option<f64>,
    /// Their mean energy, in the scenario's accounting; none if no task ended.
    pub energy_per_task: Option<f64>,
    /// Share of them that were dropped, 0 … 1; none if no task ended.
    pub dropped_share: Option<f64>,
    /// Share of them that were computed locally, 0 … 1; none if no task ended.
    pub local_share: Option<f64>,
    /// Updates of a network since slot 0; 0 of a policy that does not learn.
    pub updates: u64,
    /// Mean loss of the slots of the window in which it learned; none if it did not.
    pub loss: Option<f64>,
    /// Bytes that its devices have sent in the window, all together.
    #[serde(default)]
    pub bytes_sent: u64,
    /// Bytes that they have received.
    #[serde(default)]
    pub bytes_received: u64,
    /// States that a teacher has valued.
    #[serde(default)]
    pub queries: u64,
    /// Messages that were refused, since they had numbers that are not finite.
    #[serde(default)]
    pub refused: u64,
    /// Messages that have not arrived.
    #[serde(default)]
    pub missing: u64,
    /// Multiply-adds that its devices have spent on learning, all together; none if the policy does not tell.
    #[serde(default)]
    pub multiply_adds: Option<u64>,
    /// ε of the whole run so far, at the δ of the scenario; none without privacy.
    #[serde(default)]
    pub epsilon: Option<f64>,
}

/// A row of `recovery.csv`: a policy after a change of the system.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RecoveryRow {
    /// The policy's label.
    pub policy: String,
    /// The change, counted from 1.
    pub change: u64,
    /// The slot in which the change begins.
    pub at_slot: u32,
    /// The slot from which on the system has all of it.
    pub until_slot: u32,
    /// Slots from the change until the policy is as good as the ceiling, see [`recovery_slots`]; none if it
    /// is not before the next change, or if there is no ceiling.
    pub recovery_slots: Option<u64>,
    /// [`regret`] from the change to the next one, units of reward; none without a ceiling.
    pub regret: Option<f64>,
}

/// A change of the system of a live run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveChange {
    /// The slot in which it begins.
    pub at_slot: u32,
    /// The slot from which on the system has all of it.
    pub until_slot: u32,
    /// The paths of fields, and their new values, as the scenario writes them.
    pub set: Vec<(String, String)>,
}

/// Something that went wrong in a stream. The stream went on without learning, unless it ended early.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveFault {
    /// The slot.
    pub slot: u32,
    /// The cause.
    pub cause: String,
}

/// The stream of a policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LiveStream {
    /// The policy's label.
    pub policy: String,
    /// Its windows, in order; fewer than those of the run if it ended early.
    pub rows: Vec<LiveRow>,
    /// Why and when it stopped learning, if it did.
    pub stopped_learning: Option<LiveFault>,
    /// Why and when it ended early, if it did.
    pub error: Option<LiveFault>,
}

/// A live run: what was asked for, and what came out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LiveRun {
    /// The scenario's name.
    pub scenario: String,
    /// The point of its sweep; empty outside a sweep.
    pub point: String,
    /// N: devices.
    #[serde(default)]
    pub devices: u32,
    /// T: slots of the stream.
    pub slots: u32,
    /// Slots of a window.
    pub window_slots: u32,
    /// The seed.
    pub seed: u64,
    /// The label of the policy that the others are compared with, if there is one.
    pub ceiling: Option<String>,
    /// The changes of the system, by slot.
    pub changes: Vec<LiveChange>,
    /// The streams, one per policy, in the order of the scenario.
    pub streams: Vec<LiveStream>,
}

/// What `live.json` has of a policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LiveSummary {
    /// The policy's label.
    pub policy: String,
    /// Tasks that ended.
    pub tasks: u64,
    /// Mean quality of experience of all of them; none if no task ended.
    #[serde(default)]
    pub mean_qoe_per_task: Option<f64>,
    /// Mean quality of experience of a task, before the first change and in each phase: the windows that
    /// are wholly in it, and after all of its change; none of a phase without a window of its own.
    pub qoe_per_task: Vec<Option<f64>>,
    /// [`recovery_slots`] after each change.
    pub recovery_slots: Vec<Option<u64>>,
    /// [`regret`] of the whole stream; none without a ceiling.
    pub regret: Option<f64>,
    /// Updates of a network.
    pub updates: u64,
    /// Bytes that a device has sent and received in 1,000 slots, on average; 0 if nothing was sent.
    pub bytes_per_device: f64,
    /// States that a teacher has valued.
    pub queries: u64,
    /// Messages that were refused, since they had numbers that are not finite.
    pub refused: u64,
    /// Messages that have not arrived.
    pub missing: u64,
    /// Multiply-adds that a device has spent on learning in a slot, on average; none if the policy does not
    /// tell.
    pub multiply_adds: Option<f64>,
    /// ε of the whole run; none without privacy.
    pub epsilon: Option<f64>,
    /// Why and when it stopped learning, if it did.
    pub stopped_learning: Option<LiveFault>,
    /// Why and when it ended early, if it did.
    pub error: Option<LiveFault>,
}

/// Results of a policy in one phase of a live run. A phase lasts from slot 0, or from a change of the system,
/// until the next change, or the end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PhaseNumbers {
    /// Mean quality of experience of a task, of the windows in which the system has all of the change.
    pub qoe_per_task: Option<f64>,
    /// [`recovery_slots`]; all slots of the phase if it did not recover. None before the first change, or
    /// without a ceiling.
    pub recovery_slots: Option<f64>,
    /// [`regret`] from the change on; none without a ceiling.
    pub regret: Option<f64>,
    /// Bytes that a device has sent and received in 1,000 slots, on average.
    pub bytes_per_device: Option<f64>,
    /// States of a device that a teacher has valued in 1,000 slots, on average.
    pub queries_per_device: Option<f64>,
    /// Multiply-adds that a device has spent on learning in a slot, on average; none if the policy does not
    /// tell.
    pub multiply_adds: Option<f64>,
    /// ε of the run until the end of the phase; none without privacy.
    pub epsilon: Option<f64>,
}

/// A number of a policy in a phase of a live run, as studies show and compare it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LiveMetric {
    /// Mean quality of experience of a task.
    QoePerTask,
    /// Slots to recover from the change, or all of the phase.
    Recovery,
    /// Regret against the ceiling.
    Regret,
    /// Bytes that a device sends and receives.
    BytesPerDevice,
    /// States of a device that a teacher values.
    QueriesPerDevice,
    /// Multiply-adds that a device spends on learning.
    MultiplyAdds,
    /// ε of differential privacy.
    Epsilon,
}

/// Names and source of a [`LiveMetric`].
struct Facts {
    id: &'static str,
    name: &'static str,
    title: &'static str,
    digits: usize,
    of: fn(&PhaseNumbers) -> Option<f64>,
}

impl LiveMetric {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::QoePerTask,
        Self::Recovery,
        Self::Regret,
        Self::BytesPerDevice,
        Self::QueriesPerDevice,
        Self::MultiplyAdds,
        Self::Epsilon,
    ];

    fn facts(self) -> Facts {
        let facts = |id, name, title, digits, of| Facts { id, name, title, digits, of };
        match self {
            Self::QoePerTask => {
                facts("qoe_per_task", "QoePerTask", "QoE per task", 2, |phase| phase.qoe_per_task)
            }
            Self::Recovery => facts("recovery_slots", "Recovery", "recovery (slots)", 0, |phase| {
                phase.recovery_slots
            }),
            Self::Regret => facts("regret", "Regret", "regret (reward)", 0, |phase| phase.regret),
            Self::BytesPerDevice => facts(
                "bytes_per_device",
                "BytesPerDevice",
                "bytes per device (1,000 slots)",
                0,
                |phase| phase.bytes_per_device,
            ),
            Self::QueriesPerDevice => facts(
                "queries_per_device",
                "QueriesPerDevice",
                "queries per device (1,000 slots)",
                1,
                |phase| phase.queries_per_device,
            ),
            Self::MultiplyAdds => facts(
                "multiply_adds",
                "MultiplyAdds",
                "multiply-adds per device and slot",
                0,
                |phase| phase.multiply_adds,
            ),
            Self::Epsilon => facts("epsilon", "Epsilon", "ε", 2, |phase| phase.epsilon),
        }
    }

    /// The key in JSON.
    pub fn id(self) -> &'static str {
        self.facts().id
    }

    /// The spelling in study files.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// The heading of tables, with the unit.
    pub fn title(self) -> &'static str {
        self.facts().title
    }

    /// Digits after the point.
    pub fn digits(self) -> usize {
        self.facts().digits
    }

    /// Its value in a phase; `None` if the phase has no such value.
    pub fn of(self, phase: &PhaseNumbers) -> Option<f64> {
        (self.facts().of)(phase)
    }

    /// The one that study files spell so.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }
}

/// The share of the ceiling's quality of experience within which a policy has recovered.
pub const RECOVERED_WITHIN: f64 = 0.03;

/// Windows of a policy and of the ceiling that are the same slots, and in which both have tasks.
fn pairs<'r>(
    own: &'r [LiveRow],
    ceiling: &'r [LiveRow],
    slots: std::ops::Range<u32>,
) -> impl Iterator<Item = (&'r LiveRow, f64, f64)> {
    let inside = move |row: &LiveRow| row.first_slot >= slots.start && row.end_slot <= slots.end;
    own.iter()
        .zip(ceiling)
        .filter(move |(own, _)| inside(own))
        .filter_map(|(own, ceiling)| Some((own, own.qoe_per_task?, ceiling.qoe_per_task?)))
}

/// The time to recover: slots from the change at `at` until the beginning of the first window whose
/// quality of experience per task is at most [`RECOVERED_WITHIN`] below the ceiling's, and that of the
/// next window, too; `None` if there is none before slot `next`, that of the next change or the end.
/// Windows that begin before the change say nothing of what comes after it, and those without tasks
/// nothing at all.
pub fn recovery_slots(own: &[LiveRow], ceiling: &[LiveRow], at: u32, next: u32) -> Option<u64> {
    let windows: Vec<_> = pairs(own, ceiling, at..next).collect();
    let is_back = |(_, own, ceiling): &(&LiveRow, f64, f64)| {
        *own >= ceiling - RECOVERED_WITHIN * ceiling.abs()
    };
    let found = windows.windows(2).find(|both| both.iter().all(is_back))?;
    Some(u64::from(found[0].0.first_slot - at))
}

/// The regret against the ceiling: the sum over the windows from slot `from` to `to` of the difference
/// of both qualities of experience per task, times the policy's tasks. Below 0 if it was better; `None` if
/// they have no window there.
pub fn regret(own: &[LiveRow], ceiling: &[LiveRow], from: u32, to: u32) -> Option<f64> {
    pairs(own, ceiling, from..to)
        .map(|(row, own, ceiling)| (ceiling - own) * row.tasks as f64)
        .reduce(|sum, regret| sum + regret)
}

/// The mean quality of experience of the tasks that ended in the windows from slot `from` to `to`;
/// `None` if none did.
pub fn qoe_per_task(rows: &[LiveRow], from: u32, to: u32) -> Option<f64> {
    let inside = rows.iter().filter(|row| row.first_slot >= from && row.end_slot <= to);
    let weighted = inside.filter_map(|row| Some((row.qoe_per_task?, row.tasks as f64)));
    let (sum, tasks) = weighted
        .fold((0.0, 0.0), |(sum, tasks), (qoe, weight)| (sum + qoe * weight, tasks + weight));
    (tasks > 0.0).then(|| sum / tasks)
}

/// The contents of `live.json`.
#[derive(Serialize, Deserialize)]
struct Summed {
    scenario: String,
    point: String,
    #[serde(default)]
    devices: u32,
    slots: u32,
    window_slots: u32,
    seed: u64,
    ceiling: Option<String>,
    changes: Vec<LiveChange>,
    policies: Vec<LiveSummary>,
}

impl LiveRun {
    /// Reads the run that wrote `live.json` and `live.csv` in a folder.
    ///
    /// # Errors
    /// [`Error::Unreadable`] names the file.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("live.json");
        let unreadable = |cause: String| Error::Unreadable { path: path.clone(), cause };
        let bytes =
            files::read(&path, MAX_DATA_BYTES).map_err(|cause| unreadable(cause.to_string()))?;
        let summed: Summed =
            serde_json::from_slice(&bytes).map_err(|cause| unreadable(cause.to_string()))?;
        let rows = read_rows(&folder.join("live.csv"))?;
        let stream = |summary: &LiveSummary| LiveStream {
            policy: summary.policy.clone(),
            rows: rows.iter().filter(|row| row.policy == summary.policy).cloned().collect(),
            stopped_learning: summary.stopped_learning.clone(),
            error: summary.error.clone(),
        };
        Ok(Self {
            streams: summed.policies.iter().map(stream).collect(),
            scenario: summed.scenario,
            point: summed.point,
            devices: summed.devices,
            slots: summed.slots,
            window_slots: summed.window_slots,
            seed: summed.seed,
            ceiling: summed.ceiling,
            changes: summed.changes,
        })
    }

    /// The windows of the ceiling, if there is one.
    fn ceiling_rows(&self) -> Option<&[LiveRow]> {
        let label = self.ceiling.as_ref()?;
        let stream = self.streams.iter().find(|stream| stream.policy == *label)?;
        Some(&stream.rows)
    }

    /// The slot of the change after number `change`, or the end.
    fn next_change(&self, change: usize) -> u32 {
        self.changes.get(change + 1).map_or(self.slots, |next| next.at_slot)
    }

    /// The first slot of each phase: 0, and that of each change.
    pub fn phases(&self) -> Vec<u32> {
        std::iter::once(0).chain(self.changes.iter().map(|change| change.at_slot)).collect()
    }

    /// The results of a stream in each phase, in order.
    pub fn numbers(&self, stream: &LiveStream) -> Vec<PhaseNumbers> {
        let ceiling = self.ceiling_rows();
        // It tells nothing before it has learned for the first time.
        let tells = stream.rows.iter().any(|row| row.multiply_adds.is_some());
        let phase = |(number, at_slot): (usize, u32)| {
            let change = number.checked_sub(1).and_then(|change| self.changes.get(change));
            let next = self.changes.get(number).map_or(self.slots, |change| change.at_slot);
            let inside = |row: &&LiveRow| row.first_slot >= at_slot && row.first_slot < next;
            let rows: Vec<&LiveRow> = stream.rows.iter().filter(inside).collect();
            let slots = match (rows.first(), rows.last()) {
                (Some(first), Some(last)) => last.end_slot - first.first_slot,
                _ => 0,
            };
            let per_slot = |sum: u64| {
                let device_slots = f64::from(slots) * f64::from(self.devices);
                (device_slots > 0.0).then(|| sum as f64 / device_slots)
            };
            let sum = |count: fn(&LiveRow) -> u64| per_slot(rows.iter().copied().map(count).sum());
            let spent = rows.iter().filter_map(|row| row.multiply_adds).sum();
            let recovery = change.zip(ceiling).map(|(_, ceiling)| {
                let slots = recovery_slots(&stream.rows, ceiling, at_slot, next);
                slots.map_or_else(|| f64::from(next - at_slot), |slots| slots as f64)
            });
            let settled = change.map_or(0, |change| change.until_slot);
            PhaseNumbers {
                qoe_per_task: qoe_per_task(&stream.rows, settled, next),
                recovery_slots: recovery,
                regret: ceiling.and_then(|ceiling| regret(&stream.rows, ceiling, at_slot, next)),
                bytes_per_device: sum(|row| row.bytes_sent + row.bytes_received)
                    .map(|bytes| 1_000.0 * bytes),
                queries_per_device: sum(|row| row.queries).map(|queries| 1_000.0 * queries),
                multiply_adds: per_slot(spent).filter(|_| tells),
                epsilon: rows.last().and_then(|row| row.epsilon),
            }
        };
        self.phases().into_iter().enumerate().map(phase).collect()
    }

    /// The rows of `recovery.csv`: by policy, then by change.
    pub fn recoveries(&self) -> Vec<RecoveryRow> {
        let ceiling = self.ceiling_rows();
        let of_stream = |stream: &LiveStream| {
            let row = |(number, change): (usize, &LiveChange)| {
                let LiveChange { at_slot, until_slot, .. } = *change;
                let next = self.next_change(number);
                RecoveryRow {
                    policy: stream.policy.clone(),
                    change: number as u64 + 1,
                    at_slot,
                    until_slot,
                    recovery_slots: ceiling
                        .and_then(|rows| recovery_slots(&stream.rows, rows, at_slot, next)),
                    regret: ceiling.and_then(|rows| regret(&stream.rows, rows, at_slot, next)),
                }
            };
            self.changes.iter().enumerate().map(row).collect::<Vec<_>>()
        };
        self.streams.iter().flat_map(of_stream).collect()
    }

    /// What each policy reached.
    pub fn summaries(&self) -> Vec<LiveSummary> {
        let ceiling = self.ceiling_rows();
        let recoveries = self.recoveries();
        let summary = |stream: &LiveStream| {
            let rows = &stream.rows;
            let first = self.changes.first().map_or(self.slots, |change| change.at_slot);
            let phases = self.changes.iter().enumerate().map(|(number, change)| {
                qoe_per_task(rows, change.until_slot, self.next_change(number))
            });
            let own = recoveries.iter().filter(|row| row.policy == stream.policy);
            let sum = |count: fn(&LiveRow) -> u64| rows.iter().map(count).sum::<u64>();
            let of_device = |sum: u64| {
                let slots = rows.last().map_or(0, |row| row.end_slot).max(1);
                sum as f64 / f64::from(slots) / f64::from(self.devices.max(1))
            };
            let multiply_adds = rows.iter().filter_map(|row| row.multiply_adds);
            let told = multiply_adds.clone().next().is_some();
            LiveSummary {
                policy: stream.policy.clone(),
                tasks: rows.iter().map(|row| row.tasks).sum(),
                mean_qoe_per_task: qoe_per_task(rows, 0, self.slots),
                qoe_per_task: std::iter::once(qoe_per_task(rows, 0, first)).chain(phases).collect(),
                recovery_slots: own.map(|row| row.recovery_slots).collect(),
                regret: ceiling.and_then(|ceiling| regret(rows, ceiling, 0, self.slots)),
                updates: rows.last().map_or(0, |row| row.updates),
                bytes_per_device: 1_000.0
                    * of_device(sum(|row| row.bytes_sent + row.bytes_received)),
                queries: sum(|row| row.queries),
                refused: sum(|row| row.refused),
                missing: sum(|row| row.missing),
                multiply_adds: told.then(|| of_device(multiply_adds.sum())),
                epsilon: rows.last().and_then(|row| row.epsilon),
                stopped_learning: stream.stopped_learning.clone(),
                error: stream.error.clone(),
            }
        };
        self.streams.iter().map(summary).collect()
    }

    /// The text of `live.csv`: the windows of all policies, one policy after the other.
    pub fn live_csv(&self) -> String {
        csv_text(self.streams.iter().flat_map(|stream| &stream.rows))
    }

    /// The text of `recovery.csv`.
    pub fn recovery_csv(&self) -> String {
        csv_text(&self.recoveries())
    }

    /// The text of `live.json`: the run without its windows, and the summary of each policy.
    pub fn live_json(&self) -> String {
        let summed = Summed {
            scenario: self.scenario.clone(),
            point: self.point.clone(),
            devices: self.devices,
            slots: self.slots,
            window_slots: self.window_slots,
            seed: self.seed,
            ceiling: self.ceiling.clone(),
            changes: self.changes.clone(),
            policies: self.summaries(),
        };
        // Texts and numbers can always be written.
        serde_json::to_string_pretty(&summed).unwrap_or_default() + "\n"
    }
}

/// Rows as CSV, with the names of their columns; nothing but those if there is no row.
fn csv_text<'r, R: Default + Serialize + 'r>(rows: impl IntoIterator<Item = &'r R>) -> String {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    // Memory can always be written, and the rows here are flat.
    let _ = writer.write_record(table::columns::<R>());
    for row in rows {
        let _ = writer.serialize(row);
    }
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}

/// Reads the windows of a `live.csv`.
///
/// # Errors
/// [`Error::Unreadable`].
pub fn read_rows(path: &Path) -> Result<Vec<LiveRow>, Error> {
    table::rows(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Windows of 10 slots with these qualities of experience, of 4 tasks each.
    fn rows(policy: &str, qoe: &[f64]) -> Vec<LiveRow> {
        let row = |(window, &qoe): (u32, &f64)| LiveRow {
            policy: policy.to_owned(),
            window: window.into(),
            first_slot: 10 * window,
            end_slot: 10 * window + 10,
            tasks: 4,
            completed: 3,
            bytes_sent: 30,
            bytes_received: 10,
            qoe_per_task: (!qoe.is_nan()).then_some(qoe),
            ..LiveRow::default()
        };
        (0..).zip(qoe).map(row).collect()
    }

    #[test]
    fn recovery_is_the_first_of_two_windows_near_the_ceiling() {
        let ceiling = rows("b", &[10.0; 8]);
        let check = |qoe: [f64; 8], at, next, expected: Option<u64>| {
            assert_eq!(recovery_slots(&rows("a", &qoe), &ceiling, at, next), expected, "{qoe:?}");
        };
        let slow = [10.0, 10.0, 5.0, 9.69, 9.7, 9.9, 10.0, 10.0];
        check(slow, 20, 80, Some(20));
        // In one window alone it has not recovered.
        let once = [10.0, 10.0, 5.0, 9.8, 5.0, 9.9, 12.0, 10.0];
        check(once, 20, 80, Some(30));
        check(once, 20, 60, None);
        // A window in which the change takes place says nothing; it never fell behind after it.
        check([10.0, 10.0, 0.0, 10.0, 10.0, 0.0, 0.0, 0.0], 25, 80, Some(5));
        check([0.0; 8], 20, 80, None);
        // Windows without tasks are passed over.
        check([10.0, 10.0, 5.0, 9.8, f64::NAN, 9.8, 0.0, 0.0], 20, 80, Some(10));
        // A stream that ended early has no more of them.
        let short = rows("a", &slow[..5]);
        assert_eq!(recovery_slots(&short, &ceiling, 20, 80), None);
    }

    #[test]
    fn below_zero_the_bound_is_further_below() {
        let ceiling = rows("b", &[-10.0; 3]);
        assert_eq!(recovery_slots(&rows("a", &[-10.3; 3]), &ceiling, 0, 30), Some(0));
        assert_eq!(recovery_slots(&rows("a", &[-10.4; 3]), &ceiling, 0, 30), None);
    }

    #[test]
    fn regret_weighs_windows_by_tasks() {
        let ceiling = rows("b", &[10.0, 10.0, 10.0]);
        let mut own = rows("a", &[9.0, 12.0, 4.0]);
        own[1].tasks = 5;
        assert_eq!(regret(&own, &ceiling, 0, 30), Some(4.0 - 10.0 + 24.0));
        assert_eq!(regret(&own, &ceiling, 20, 30), Some(24.0));
        assert_eq!(regret(&[], &ceiling, 0, 30), None);
        assert_eq!(qoe_per_task(&own, 0, 20), Some((36.0 + 60.0) / 9.0));
        assert_eq!(qoe_per_task(&own, 5, 9), None);
    }

    #[test]
    fn a_run_is_summed_up_by_phase() {
        let stream = |policy: &str, qoe: &[f64]| LiveStream {
            policy: policy.to_owned(),
            rows: rows(policy, qoe),
            ..LiveStream::default()
        };
        let change = |at_slot, until_slot| LiveChange { at_slot, until_slot, set: Vec::new() };
        let run = LiveRun {
            slots: 80,
            devices: 2,
            ceiling: Some("b".to_owned()),
            changes: vec![change(20, 20), change(50, 60)],
            streams: vec![
                stream("a", &[9.0, 9.0, 1.0, 6.0, 6.0, 0.0, 3.0, 5.0]),
                stream("b", &[9.0, 9.0, 6.0, 6.0, 6.0, 4.0, 4.0, 4.0]),
            ],
            ..LiveRun::default()
        };
        let [a, b] = &run.summaries()[..] else { panic!() };
        assert_eq!(a.qoe_per_task, [Some(9.0), Some(13.0 / 3.0), Some(4.0)]);
        assert_eq!((&a.recovery_slots[..], a.regret), (&[Some(10), None][..], Some(36.0)));
        assert_eq!((&b.recovery_slots[..], b.regret), (&[Some(0), Some(0)][..], Some(0.0)));
        let numbers = run.numbers(&run.streams[0]);
        let of = |name: &str| {
            let metric = LiveMetric::by_name(name).unwrap();
            numbers.iter().map(|phase| metric.of(phase)).collect::<Vec<_>>()
        };
        assert_eq!(run.phases(), [0, 20, 50]);
        assert_eq!(of("QoePerTask"), [Some(9.0), Some(13.0 / 3.0), Some(4.0)]);
        // It did not recover from the second change.
        assert_eq!(of("Recovery"), [None, Some(10.0), Some(30.0)]);
        assert_eq!(of("Regret"), [Some(0.0), Some(20.0), Some(16.0)]);
        // 40 bytes in each window of 10 slots, of 2 devices.
        assert_eq!(of("BytesPerDevice"), [Some(2_000.0); 3]);
        assert_eq!(of("MultiplyAdds"), [None, None, None]);
        let regrets: Vec<_> = run.recoveries().iter().map(|row| row.regret).collect();
        assert_eq!(
            regrets,
            [Some(20.0), Some(16.0), Some(0.0), Some(0.0)].map(|r| r.map(|r: f64| r))
        );
        let alone = LiveRun { ceiling: None, ..run.clone() };
        assert_eq!(alone.recoveries()[0].regret, None);
        let csv = run.live_csv();
        assert_eq!(csv.lines().count(), 17);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("live.csv");
        std::fs::write(&path, csv).unwrap();
        std::fs::write(folder.path().join("live.json"), run.live_json()).unwrap();
        assert_eq!(LiveRun::read(folder.path()).unwrap(), run);
        let all: Vec<LiveRow> = run.streams.into_iter().flat_map(|stream| stream.rows).collect();
        assert_eq!(read_rows(&path).unwrap(), all);
        assert_eq!(LiveRun::default().live_csv().lines().count(), 1);
    }
}
