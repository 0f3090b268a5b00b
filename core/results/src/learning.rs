//! Learning: the rows that a training and a distillation write while they run, and what they left
//! in their folder.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Error, table};

/// A row of `training.csv`: one training episode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainingRow {
    /// The episode, counted from 0.
    pub episode: u64,
    /// AvgQoE of the training episode itself, exploration included.
    pub qoe: f64,
    /// AvgDelay, slots; none if no task arrived.
    pub delay_slots: Option<f64>,
    /// AvgEnergy, in the scenario's accounting.
    pub energy: f64,
    /// Tasks that arrived.
    pub tasks: u64,
    /// Tasks dropped.
    pub dropped: u64,
    /// Share of the tasks that were computed locally, 0 … 1; none if no task arrived.
    pub local_share: Option<f64>,
    /// Mean loss of the episode's updates; 0 if there were none.
    pub loss: f64,
    /// Mean probability with which the explorer decided, 0 … 1.
    pub exploration: f64,
    /// Updates of a network so far.
    pub updates: u64,
    /// Mean norm of the gradient before it is clipped, if the learner states it.
    pub gradient_norm: Option<f64>,
    /// Mean Q of the states of the batches, units of reward, if the learner states it.
    pub q: Option<f64>,
    /// Mean |Q − Y|, units of reward, if the learner states it.
    pub td_error: Option<f64>,
    /// Mean AvgQoE of the validation after the episode, if there was one.
    pub validation_qoe: Option<f64>,
    /// Mean drops of that validation.
    pub validation_dropped: Option<f64>,
}

/// A row of `timing.csv`: the wall-clock time of a training episode. It differs from attempt to
/// attempt, so no other file has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TimingRow {
    /// The episode, counted from 0.
    pub episode: u64,
    /// Seconds of the episode, its updates included.
    pub seconds: f64,
    /// Seconds of the validation after it, if there was one.
    pub validation_seconds: Option<f64>,
}

/// A row of a distillation's `timing.csv`: the wall-clock time up to a validation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DistillationTimingRow {
    /// Steps so far.
    pub step: u64,
    /// Seconds since the row before: steps, validation and the states of a round; in the first row
    /// the teacher's states, too.
    pub seconds: f64,
}

/// A training episode, with what tables leave out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrainingEpisode {
    /// Its row of `training.csv`.
    pub row: TrainingRow,
    /// Its row of `timing.csv`.
    pub timing: TimingRow,
    /// Share of the decisions that took each action, 0 (locally) to M, each 0 … 1; empty if no task
    /// arrived.
    pub action_share: Vec<f64>,
    /// Diagnostics of the learner, by name.
    pub diagnostics: Vec<(String, f64)>,
}

/// A validation of a distillation, with what tables leave out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Validation {
    /// Its row of `distillation.csv`.
    pub row: DistillationRow,
    /// Diagnostics of the student, by name.
    pub diagnostics: Vec<(String, f64)>,
}

/// The value of the diagnostic of that name, if there is one.
pub fn diagnostic(diagnostics: &[(String, f64)], name: &str) -> Option<f64> {
    diagnostics.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
}

/// A row of `distillation.csv`: one validation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DistillationRow {
    /// Steps so far.
    pub step: u64,
    /// States in the dataset.
    pub states: u64,
    /// Mean loss of the steps since the last row, as the student defines it.
    pub loss: f64,
    /// Mean norm of the gradient before it is clipped in those steps, if the student states it.
    pub gradient_norm: Option<f64>,
    /// Eq. (16) on the held-out states, if the student has values.
    pub validation_loss: Option<f64>,
    /// Share of the held-out states in which student and teacher decide alike, 0 … 1.
    pub agreement: f64,
    /// Mean AvgQoE of the validation episodes.
    pub validation_qoe: f64,
    /// Mean drops of the validation episodes.
    pub validation_dropped: f64,
}

/// The folder of one point of a scenario that is learned into `folder`: by its number in the sweep,
/// from 0; `folder` itself if `point` is empty, outside a sweep.
pub fn folder_of_point(folder: &Path, number: usize, point: &str) -> PathBuf {
    match point {
        "" => folder.to_owned(),
        _ => folder.join(format!("point-{number:03}")),
    }
}

/// A training ([`TrainingRow`]) or a distillation ([`DistillationRow`]) of one point of a
/// scenario, complete or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Learned<R> {
    /// The point of the sweep; empty outside a sweep.
    pub point: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Its rows, in order.
    pub rows: Vec<R>,
    /// The reason, if it failed.
    pub error: Option<String>,
}

impl<R> Learned<R> {
    /// The row with the highest validation QoE, on ties the first; that of `best.safetensors`.
    pub fn best(&self, validation_qoe: impl Fn(&R) -> Option<f64>) -> Option<&R> {
        let mut best = None;
        for row in &self.rows {
            let Some(qoe) = validation_qoe(row) else { continue };
            if best.is_none_or(|(highest, _)| qoe > highest) {
                best = Some((qoe, row));
            }
        }
        best.map(|(_, row)| row)
    }
}

/// A training or distillation of a study, and what it cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Lesson {
    /// The policy that learned.
    pub policy: String,
    /// Its folder, from the study's.
    pub folder: PathBuf,
    /// Wall-clock seconds, those of earlier attempts included; none if it has not begun.
    pub seconds: Option<f64>,
}

/// The points of the trainings in a folder, in order, by the labels in its `curves.csv`; `None` if it
/// has none.
pub fn points(folder: &Path) -> Option<Vec<String>> {
    let mut reader = csv::Reader::from_path(folder.join("curves.csv")).ok()?;
    let mut points: Vec<String> = Vec::new();
    for row in reader.records() {
        let point = row.ok()?.get(0)?.to_owned();
        if points.last() != Some(&point) {
            points.push(point);
        }
    }
    Some(points)
}

/// Reads the `training.csv` of a training's folder.
///
/// # Errors
/// [`Error::Unreadable`] names the file and the row or column.
pub fn training(folder: &Path) -> Result<Vec<TrainingRow>, Error> {
    finite_rows(&folder.join("training.csv"), |row: &TrainingRow| {
        let always = [row.qoe, row.energy, row.loss, row.exploration].map(Some);
        let sometimes = [row.delay_slots, row.local_share, row.validation_qoe];
        always.into_iter().chain(sometimes).flatten().all(f64::is_finite)
    })
}

/// Reads the `timing.csv` of a training's folder.
///
/// # Errors
/// [`Error::Unreadable`] names the file and the row or column.
pub fn timing(folder: &Path) -> Result<Vec<TimingRow>, Error> {
    table::rows(&folder.join("timing.csv"))
}

/// Reads the `timing.csv` of a distillation's folder.
///
/// # Errors
/// [`Error::Unreadable`] names the file and the row or column.
pub fn distillation_timing(folder: &Path) -> Result<Vec<DistillationTimingRow>, Error> {
    table::rows(&folder.join("timing.csv"))
}

/// Reads the `distillation.csv` of a distillation's folder.
///
/// # Errors
/// [`Error::Unreadable`] names the file and the row or column.
pub fn distillation(folder: &Path) -> Result<Vec<DistillationRow>, Error> {
    finite_rows(&folder.join("distillation.csv"), |row: &DistillationRow| {
        [row.loss, row.agreement, row.validation_qoe, row.validation_dropped]
            .into_iter()
            .all(f64::is_finite)
    })
}

/// The rows of a table whose numbers are all finite.
fn finite_rows<R>(path: &Path, is_finite: impl Fn(&R) -> bool) -> Result<Vec<R>, Error>
where
    R: Default + Serialize + DeserializeOwned,
{
    let rows = table::rows(path)?;
    match rows.iter().position(|row| !is_finite(row)) {
        None => Ok(rows),
        Some(row) => {
            let cause = format!("row {}: a value is not a finite number", row + 1);
            Err(Error::Unreadable { path: path.to_owned(), cause })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_of_a_sweep_have_folders_of_their_own() {
        let folder = |point| folder_of_point("out".as_ref(), 7, point);
        assert_eq!(folder("seed = 2"), Path::new("out/point-007"));
        assert_eq!(folder(""), Path::new("out"));
    }

    #[test]
    fn an_absent_validation_is_not_a_missing_column() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("training.csv");
        let row = TrainingRow { episode: 3, validation_qoe: Some(2.5), ..TrainingRow::default() };
        let rows = [TrainingRow::default(), row];
        let mut writer = csv::Writer::from_path(&path).unwrap();
        rows.iter().for_each(|row| writer.serialize(row).unwrap());
        drop(writer);
        assert_eq!(training(folder.path()).unwrap(), rows);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("2.5", "NaN")).unwrap();
        let error = training(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("training.csv: row 2: a value is not a finite number"), "{error}");
        std::fs::write(&path, text.replace("validation_qoe", "qoe_of_validation")).unwrap();
        let error = training(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("training.csv: it has no column `validation_qoe`"), "{error}");
    }
}
