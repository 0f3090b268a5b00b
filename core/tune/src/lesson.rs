//! A lesson: the training or distillation of a configuration.

use std::path::Path;
use std::time::Instant;

use offramp_harness::bind::{
    BoundPlugin, Distillation, Training, bind_distillation, bind_training,
};
use offramp_harness::distill::{self, DistillError};
use offramp_harness::events::{Observer, Part};
use offramp_harness::resume::Start;
use offramp_harness::train::{self, TrainError};
use offramp_harness::validation::judge;
use offramp_harness::{Refusal, Registry, files_of};
use offramp_results::files::{self, MAX_CHECKPOINT_BYTES, MAX_DATA_BYTES, sha256_of_file};
use offramp_results::{Error, learning};
use offramp_scenario::{Fault, Scenario, Tuned, TuningEntry};
use serde::{Deserialize, Serialize};

use crate::error::TuneError;

/// A training or distillation, ready to begin.
pub(crate) enum Lesson {
    Training(Box<Training>),
    Distillation(Box<Distillation>),
}

/// What came out of a lesson, as it is kept in its folder.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Judged {
    /// Mean AvgQoE of the checkpoint with the best validation, on the episodes that judge.
    pub(crate) validation_qoe: f64,
    /// Mean drops of these episodes.
    pub(crate) validation_dropped: f64,
    /// Seconds of all attempts at a training, of the last one at a distillation.
    pub(crate) seconds: f64,
}

/// The failure of a plugin: it ends a lesson, and the search continues.
pub(crate) type Attempt<T> = Result<T, String>;

impl Lesson {
    /// Binds the section of a scenario that is tuned.
    pub(crate) fn bind(
        section: Tuned,
        scenario: Scenario,
        registry: &Registry,
    ) -> Result<Self, Fault> {
        Ok(match section {
            Tuned::Training => Self::Training(Box::new(bind_training(scenario, registry)?)),
            Tuned::Distillation => {
                Self::Distillation(Box::new(bind_distillation(scenario, registry)?))
            }
        })
    }

    fn scenario(&self) -> &Scenario {
        match self {
            Self::Training(training) => &training.scenario,
            Self::Distillation(distillation) => &distillation.scenario,
        }
    }

    /// The plugin that learns.
    fn learner(&self) -> &BoundPlugin {
        match self {
            Self::Training(training) => &training.learner,
            Self::Distillation(distillation) => &distillation.student,
        }
    }

    /// What it is made of besides the text of its scenario: names, as messages show them, and
    /// SHA-256 of files.
    pub(crate) fn parts(&self) -> Result<Vec<(String, String)>, Error> {
        let scenario = self.scenario();
        let (plugins, checkpoints) = match self {
            Self::Training(training) => (
                vec![
                    ("train.learner", Some(&training.learner)),
                    ("train.explorer", training.explorer.as_ref()),
                ],
                vec![("train.from", &training.from)],
            ),
            Self::Distillation(distillation) => (
                vec![("distill.student", Some(&distillation.student))],
                vec![
                    ("distill.from", &distillation.from),
                    ("distill.teacher.checkpoint", &distillation.teacher.checkpoint),
                ],
            ),
        };
        let mut parts = Vec::new();
        for (field, plugin) in plugins {
            let Some(BoundPlugin { plugin, parameters }) = plugin else { continue };
            parts.push((format!("the plugin of `{field}`"), plugin.library.sha256.clone()));
            for file in files_of(scenario, plugin, parameters) {
                parts.push((format!("the file {} of `{field}`", file.path), file.sha256));
            }
        }
        if let Self::Distillation(distillation) = self {
            let library = &distillation.teacher.plugin.library;
            parts.push(("the plugin of `distill.teacher`".to_owned(), library.sha256.clone()));
        }
        for (field, path) in checkpoints {
            let Some(path) = path else { continue };
            let hash =
                sha256_of_file(path, MAX_DATA_BYTES).map_err(|cause| unreadable(path, cause))?;
            parts.push((format!("the file of `{field}`"), hash));
        }
        Ok(parts)
    }

    /// Checks that it can begin, without doing anything.
    pub(crate) fn check(&self, folder: &Path) -> Result<(), TuneError> {
        let refused = |Refusal { field, cause }: Refusal| {
            TuneError::Fault(Box::new(self.scenario().fault(&field, cause, None)))
        };
        match self {
            Self::Training(training) => match train::check(training, folder, Start::New) {
                Err(TrainError::Refused(refusal)) => Err(refused(refusal)),
                Err(TrainError::Folder(error)) => Err(error.into()),
                // Whatever else is wrong shows when it learns, and ends that lesson alone.
                Ok(()) | Err(TrainError::Failed { .. } | TrainError::Untrained { .. }) => Ok(()),
            },
            Self::Distillation(distillation) => {
                match distill::check(distillation, folder, Start::New) {
                    Err(DistillError::Refused(refusal)) => Err(refused(refusal)),
                    Err(DistillError::Folder(error)) => Err(error.into()),
                    Err(DistillError::Dataset(error)) => Err(error.into()),
                    Ok(_) | Err(DistillError::Failed { .. } | DistillError::NoTasks { .. }) => {
                        Ok(())
                    }
                }
            }
        }
    }

    /// Learns in `folder`, from the last save if there is one, and judges the checkpoint with the best
    /// validation, unless that has been done.
    pub(crate) fn learn(
        &self,
        folder: &Path,
        entry: &TuningEntry,
        observer: &dyn Observer,
    ) -> Result<Attempt<Judged>, TuneError> {
        let done = folder.join("judged.json");
        if done.exists() {
            let bytes = files::read(&done, 1 << 16).map_err(|cause| unreadable(&done, cause))?;
            let judged = serde_json::from_slice(&bytes);
            let judged = judged.map_err(|error| unreadable(&done, error.into()))?;
            leave_only_results(folder);
            return Ok(Ok(judged));
        }
        let begun = Instant::now();
        if let Err(failure) = self.learned(folder, observer)? {
            return Ok(Err(failure));
        }
        let checkpoint = folder.join("best.safetensors");
        let checkpoint = files::read(&checkpoint, MAX_CHECKPOINT_BYTES)
            .map_err(|cause| unreadable(&checkpoint, cause))?;
        let (scenario, learner) = (self.scenario(), self.learner());
        let trained = match self {
            Self::Training(training) => Some(&training.entry),
            Self::Distillation(_) => None,
        };
        let episodes = entry.validate_episodes;
        let result = judge(scenario, learner, &checkpoint, trained, entry.seed, episodes);
        let (validation_qoe, validation_dropped) = match result {
            Ok(means) => means,
            Err(error) => return Ok(Err(format!("the episodes that judge: {error}"))),
        };
        let seconds = match self {
            Self::Training(_) => {
                let rows = learning::timing(folder)?;
                rows.iter()
                    .map(|row| row.seconds + row.validation_seconds.unwrap_or_default())
                    .sum()
            }
            Self::Distillation(_) => begun.elapsed().as_secs_f64(),
        };
        let judged = Judged { validation_qoe, validation_dropped, seconds };
        let unwritable = |cause| Error::Unwritable { path: done.clone(), cause };
        let bytes = serde_json::to_vec(&judged).map_err(|error| unwritable(error.into()))?;
        files::write_atomically(&done, &bytes).map_err(unwritable)?;
        leave_only_results(folder);
        Ok(Ok(judged))
    }

    /// Trains or distils.
    fn learned(&self, folder: &Path, observer: &dyn Observer) -> Result<Attempt<()>, TuneError> {
        match self {
            Self::Training(training) => {
                match train::train(training, folder, Start::Resume, &Part(observer)) {
                    Ok(()) => Ok(Ok(())),
                    Err(TrainError::Folder(error)) => Err(error.into()),
                    Err(error) => Ok(Err(error.to_string())),
                }
            }
            Self::Distillation(distillation) => {
                // A dataset of its own: others may distil the same teacher at the same time.
                let dataset = folder.join("dataset.safetensors");
                match distill::distill(
                    distillation,
                    folder,
                    &dataset,
                    Start::Resume,
                    &Part(observer),
                ) {
                    Ok(()) => Ok(Ok(())),
                    Err(DistillError::Folder(error)) => Err(error.into()),
                    Err(DistillError::Dataset(error)) => Err(error.into()),
                    Err(error) => Ok(Err(error.to_string())),
                }
            }
        }
    }

    /// Episodes or steps that were taken in `folder` so far.
    pub(crate) fn length(&self, folder: &Path) -> u64 {
        // What failed at once has written nothing.
        match self {
            Self::Training(_) => learning::training(folder).map_or(0, |rows| rows.len() as u64),
            Self::Distillation(_) => learning::distillation(folder)
                .ok()
                .and_then(|rows| Some(rows.last()?.step))
                .unwrap_or(0),
        }
    }
}

fn unreadable(path: &Path, cause: std::io::Error) -> Error {
    Error::Unreadable { path: path.to_owned(), cause: cause.to_string() }
}

/// Removes what is large and only needed to resume a lesson.
fn leave_only_results(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name == "dataset.safetensors" || name == "state" || name.starts_with("round-") {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
