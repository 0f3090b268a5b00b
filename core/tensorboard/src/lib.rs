//! TensorBoard: the scalars of a training or distillation, in event files.
//!
//! ```text
//! RUN/tensorboard/events.out.tfevents.0000000000.offramp    of the first attempt
//! RUN/tensorboard/events.out.tfevents.0000000001.offramp    of the next, which resumed it
//! ```
//!
//! An event file is a sequence of TFRecords, each a message `Event` of event.proto with all scalars of
//! one step. TensorBoard shows the files of a folder as one run. What
//! an interrupted attempt wrote after the last save is cut off when the next one begins, since it is
//! done and written again: no step appears twice.
//!
//! | tag | value at step `episode + 1` of a training |
//! |---|---|
//! | `train/…` | `qoe`, `delay_slots`, `energy`, `tasks`, `dropped`, `local_share`, `loss`, `exploration`: as in `training.csv` |
//! | `train/action_share/A` | share of the decisions that took action A, 0 (locally) to M |
//! | `train/seconds` | as in `timing.csv` |
//! | `learner/NAME` | each diagnostic of the learner |
//! | `validation/…` | `qoe`, `dropped`: as in `training.csv`, and `seconds` |
//!
//! At step `step` of a distillation, `train/` has `loss` and `states`, `learner/` the diagnostics of the
//! student, and `validation/` `loss`, `agreement`, `qoe` and `dropped`.

mod event;
mod record;

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use offramp_results::Error;
use offramp_results::learning::{
    DistillationRow, TimingRow, TrainingEpisode, TrainingRow, Validation,
};
use prost::Message;

use crate::event::{Event, Summary, Value};
use crate::record::{records, write_record};

/// Part of the name by which TensorBoard knows an event file.
const KIND: &str = "events.out.tfevents.";

/// The event files of a training or distillation.
#[derive(Debug)]
pub struct EventLog {
    folder: PathBuf,
    /// The file of this attempt, from its first event on.
    file: Option<(PathBuf, File)>,
}

impl EventLog {
    /// The log in `folder`, which need not exist.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), file: None }
    }

    /// Begins an attempt: cuts off what earlier ones wrote of steps above `done`, which are done and
    /// written again.
    ///
    /// # Errors
    /// [`Error::Unwritable`].
    pub fn begin(&mut self, done: u64) -> Result<(), Error> {
        self.file = None;
        for path in self.files()? {
            cut(&path, done).map_err(unwritable(&path))?;
        }
        Ok(())
    }

    /// Adds the scalars of a training episode.
    ///
    /// # Errors
    /// [`Error::Unwritable`].
    pub fn training(&mut self, episode: &TrainingEpisode) -> Result<(), Error> {
        let TrainingEpisode { row, timing, action_share, diagnostics } = episode;
        let TrainingRow { qoe, delay_slots, energy, tasks, dropped, .. } = *row;
        let TrainingRow { local_share, loss, exploration, .. } = *row;
        let TimingRow { seconds, validation_seconds, .. } = *timing;
        let mut scalars = vec![
            scalar("train/qoe", Some(qoe)),
            scalar("train/delay_slots", delay_slots),
            scalar("train/energy", Some(energy)),
            scalar("train/tasks", Some(tasks as f64)),
            scalar("train/dropped", Some(dropped as f64)),
            scalar("train/local_share", local_share),
            scalar("train/loss", Some(loss)),
            scalar("train/exploration", Some(exploration)),
            scalar("train/seconds", Some(seconds)),
            scalar("validation/qoe", row.validation_qoe),
            scalar("validation/dropped", row.validation_dropped),
            scalar("validation/seconds", validation_seconds),
        ];
        let shares = action_share.iter().enumerate();
        scalars.extend(
            shares.map(|(action, share)| {
                scalar(&format!("train/action_share/{action}"), Some(*share))
            }),
        );
        scalars.extend(of_learner(diagnostics));
        self.add(row.episode + 1, scalars)
    }

    /// Adds the scalars of a validation of a distillation.
    ///
    /// # Errors
    /// [`Error::Unwritable`].
    pub fn distillation(&mut self, validation: &Validation) -> Result<(), Error> {
        let Validation { row, diagnostics } = validation;
        let DistillationRow { step, states, loss, validation_loss, agreement, .. } = *row;
        let mut scalars = vec![
            scalar("train/states", Some(states as f64)),
            scalar("train/loss", Some(loss)),
            scalar("validation/loss", validation_loss),
            scalar("validation/agreement", Some(agreement)),
            scalar("validation/qoe", Some(row.validation_qoe)),
            scalar("validation/dropped", Some(row.validation_dropped)),
        ];
        scalars.extend(of_learner(diagnostics));
        self.add(step, scalars)
    }

    /// Adds an event with the scalars that have a value.
    fn add(&mut self, step: u64, scalars: Vec<Option<Value>>) -> Result<(), Error> {
        let (path, mut file) = match self.file.take() {
            Some(begun) => begun,
            None => self.begin_file()?,
        };
        let summary = Summary { values: scalars.into_iter().flatten().collect() };
        let event = Event { step: step as i64, summary: Some(summary), ..Event::now() };
        append(&mut file, &event).map_err(unwritable(&path))?;
        self.file = Some((path, file));
        Ok(())
    }

    /// A new file, after those of earlier attempts.
    fn begin_file(&self) -> Result<(PathBuf, File), Error> {
        std::fs::create_dir_all(&self.folder).map_err(unwritable(&self.folder))?;
        let mut number = self.files()?.len();
        let path = loop {
            let path = self.folder.join(format!("{KIND}{number:010}.offramp"));
            if !path.exists() {
                break path;
            }
            // Someone has removed an earlier one.
            number += 1;
        };
        let mut file = File::create_new(&path).map_err(unwritable(&path))?;
        let version = Event { file_version: Some("brain.Event:2".to_owned()), ..Event::now() };
        append(&mut file, &version).map_err(unwritable(&path))?;
        Ok((path, file))
    }

    /// The files of earlier attempts.
    fn files(&self) -> Result<Vec<PathBuf>, Error> {
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(cause) => return Err(unwritable(&self.folder)(cause)),
        };
        let named = entries.flatten().map(|entry| entry.path());
        let is_ours = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(KIND))
        };
        Ok(named.filter(is_ours).collect())
    }
}

/// A scalar, if it has a value. TensorBoard's are in single precision.
fn scalar(tag: &str, value: Option<f64>) -> Option<Value> {
    value.map(|value| Value { tag: tag.to_owned(), simple_value: Some(value as f32) })
}

fn of_learner(diagnostics: &[(String, f64)]) -> impl Iterator<Item = Option<Value>> {
    diagnostics.iter().map(|(name, value)| scalar(&format!("learner/{name}"), Some(*value)))
}

/// Appends an event as a whole, so that one that was cut off can only be the last.
fn append(file: &mut File, event: &Event) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    write_record(&event.encode_to_vec(), &mut bytes);
    file.write_all(&bytes)
}

/// Cuts a file off before the first event of a step above `done`, or the first that is damaged.
fn cut(path: &Path, done: u64) -> std::io::Result<()> {
    let bytes = std::fs::read(path)?;
    let mut kept = 0;
    for data in records(&bytes) {
        match Event::decode(data) {
            Ok(event) if event.step <= done as i64 => kept += record::size(data),
            _ => break,
        }
    }
    OpenOptions::new().write(true).open(path)?.set_len(kept as u64)
}

impl Event {
    fn now() -> Self {
        let time = SystemTime::now().duration_since(UNIX_EPOCH);
        Self { wall_time: time.map_or(0.0, |time| time.as_secs_f64()), ..Self::default() }
    }
}

fn unwritable(path: &Path) -> impl Fn(std::io::Error) -> Error {
    move |cause| Error::Unwritable { path: path.to_owned(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn episode(episode: u64) -> TrainingEpisode {
        let row = TrainingRow { episode, qoe: episode as f64, ..TrainingRow::default() };
        TrainingEpisode { row, ..TrainingEpisode::default() }
    }

    /// Steps and QoE in all files, in the order in which TensorBoard reads them.
    fn steps(folder: &Path) -> Vec<(i64, f32)> {
        let mut files = EventLog::new(folder).files().unwrap();
        files.sort();
        let mut steps = Vec::new();
        for path in files {
            let bytes = std::fs::read(path).unwrap();
            for event in records(&bytes).map(|data| Event::decode(data).unwrap()) {
                let values = event.summary.map(|summary| summary.values).unwrap_or_default();
                let qoe = values.iter().find(|value| value.tag == "train/qoe");
                steps.extend(qoe.map(|value| (event.step, value.simple_value.unwrap())));
            }
        }
        steps
    }

    #[test]
    fn what_is_done_again_is_written_once() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("tensorboard");
        let attempt = |done: u64, end: u64| {
            let mut log = EventLog::new(&folder);
            log.begin(done).unwrap();
            (done..end).for_each(|number| log.training(&episode(number)).unwrap());
        };
        // An attempt without events leaves no file.
        attempt(0, 0);
        assert!(!folder.exists());
        attempt(0, 7);
        attempt(5, 6);
        // The last event of an attempt may have been cut off.
        let torn = folder.join("events.out.tfevents.0000000001.offramp");
        let bytes = std::fs::read(&torn).unwrap();
        std::fs::write(&torn, &bytes[..bytes.len() - 3]).unwrap();
        std::fs::write(folder.join("notes.txt"), "mine").unwrap();
        attempt(5, 9);
        let all: Vec<_> =
            (0..9_u8).map(|number| (i64::from(number) + 1, f32::from(number))).collect();
        assert_eq!(steps(&folder), all);
        assert_eq!(std::fs::read(folder.join("notes.txt")).unwrap(), b"mine");
    }
}
