//! Identities: what the results of a run are made of, part by part.
//!
//! Each run has an identity of its own, so that a batch can be resumed after any change that does
//! not concern the runs that are done: another policy, more points, a mended parameter of a run
//! that failed. What does not belong to it cannot change a result: the policies beside it, the
//! limits of isolation, comments, the sections for trainings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use offramp_results::files::{FileRecord, MAX_CHECKPOINT_BYTES, MAX_DATA_BYTES, sha256};
use offramp_results::run_folder::Identity;
use offramp_scenario::{Scenario, fields_of};

use crate::bind::{BoundPolicy, Evaluation};
use crate::context::absolute;
use crate::engine::ENGINE;

/// Fields of a scenario that no result depends on, or that an identity has separately.
const LEFT_OUT: [&str; 11] = [
    "name",
    "about",
    "settings",
    "policies",
    "hindsight",
    "sweep",
    "isolate",
    "limits",
    "train",
    "distill",
    "tune",
];

/// Records of files, each read once: many runs may share a checkpoint.
#[derive(Debug, Default)]
pub(crate) struct FileHashes {
    /// By folder and file.
    known: Mutex<BTreeMap<(PathBuf, PathBuf), FileRecord>>,
}

impl FileHashes {
    /// The record of a file of at most `max` bytes that a run depends on, relative to `folder`.
    ///
    /// # Errors
    /// The system's error with the path.
    pub(crate) fn record(
        &self,
        folder: &Path,
        path: &Path,
        max: u64,
    ) -> Result<FileRecord, String> {
        let path = absolute(path);
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (folder.to_owned(), path);
        if let Some(record) = known().get(&key) {
            return Ok(record.clone());
        }
        let record = FileRecord::of(&key.1, &key.0, max);
        let record = record.map_err(|error| format!("{}: {error}", key.1.display()))?;
        known().insert(key, record.clone());
        Ok(record)
    }

    /// The identity of a run whose policy reads no files by itself: its files are the recorded data of
    /// the scenario.
    ///
    /// # Errors
    /// That its checkpoint or recorded data can't be read.
    pub(crate) fn identity(
        &self,
        evaluation: &Evaluation,
        policy: &BoundPolicy,
    ) -> Result<Identity, String> {
        let shared = evaluation.shared_identity.get_or_init(|| {
            let mut fields = fields_of(&evaluation.scenario.text);
            fields.retain(|(name, _)| !LEFT_OUT.contains(&name.as_str()));
            fields.sort();
            sha256(format!("{fields:?}").as_bytes())
        });
        let entry = (policy.name(), &policy.parameters);
        let checkpoint = policy.checkpoint.as_deref();
        let home = &evaluation.checkpoint_home;
        let recordings = evaluation.scenario.recordings.iter();
        let folder = &evaluation.scenario.folder;
        let files = recordings.map(|path| self.record(folder, path, MAX_DATA_BYTES));
        Ok(Identity {
            engine: ENGINE.to_owned(),
            scenario: shared.clone(),
            policy: sha256(format!("{entry:?}").as_bytes()),
            checkpoint: checkpoint
                .map(|path| self.record(home, path, MAX_CHECKPOINT_BYTES))
                .transpose()?,
            files: files.collect::<Result<_, _>>()?,
        })
    }
}

/// The first file of an identity whose contents are different now, as messages name it; `None` if
/// all are the same.
pub(crate) fn changed_file(evaluation: &Evaluation, identity: &Identity) -> Option<String> {
    let checkpoint = identity.checkpoint.iter();
    let checkpoint = checkpoint.map(|then| now(&evaluation.checkpoint_home, then));
    let now = checkpoint.chain(declared_now(evaluation, identity));
    let then = identity.checkpoint.iter().chain(&identity.files);
    then.zip(now).find(|(then, now)| *then != now).map(|(then, _)| then.path.clone())
}

/// The recorded data of a scenario.
///
/// # Errors
/// The system's error, with the path.
pub fn recorded_files(scenario: &Scenario) -> Result<Vec<FileRecord>, String> {
    let hashes = FileHashes::default();
    let record = |path: &PathBuf| hashes.record(&scenario.folder, path, MAX_DATA_BYTES);
    scenario.recordings.iter().map(record).collect()
}

/// The files of an earlier run of the same scenario and policy as they are now.
pub(crate) fn declared_now(evaluation: &Evaluation, earlier: &Identity) -> Vec<FileRecord> {
    earlier.files.iter().map(|then| now(&evaluation.scenario.folder, then)).collect()
}

/// A file that was recorded relative to `folder`, as it is now; without a hash if it can't be read.
fn now(folder: &Path, then: &FileRecord) -> FileRecord {
    let unreadable = || FileRecord { path: then.path.clone(), sha256: String::new() };
    FileRecord::of(then.path.as_ref(), folder, MAX_DATA_BYTES).unwrap_or_else(|_| unreadable())
}

#[cfg(test)]
mod tests {
    use super::*;
    use offramp_scenario::Experiment;

    fn scenario_part(text: &str) -> String {
        let experiment = Experiment::parse("x", text.to_owned(), Path::new(""), &[]).unwrap();
        let mut fields = fields_of(&experiment.points[0].text);
        fields.retain(|(name, _)| !LEFT_OUT.contains(&name.as_str()));
        fields.sort();
        format!("{fields:?}")
    }

    #[test]
    fn only_what_results_depend_on_is_part_of_it() {
        let one = "(name: \"x\", evaluate: (episodes: 4, seed: 2), policies: [(plugin: \"a\")])";
        let other = "(name: \"y\", policies: [(plugin: \"b\")], isolate: true, // why
            limits: (memory_mib: 9), sweep: {\"alpha.rule\": [Fixed]}, about: \"z\",
            evaluate: (episodes: 4, seed: 2))";
        assert_eq!(scenario_part(one), "[(\"evaluate\", \"(episodes: 4, seed: 2)\")]");
        assert_eq!(
            scenario_part(one),
            scenario_part(&other.replace("sweep: {\"alpha.rule\": [Fixed]},", ""))
        );
        assert_ne!(scenario_part(one), scenario_part(other), "the point of the sweep");
        assert_ne!(scenario_part(one), scenario_part(&one.replace("seed: 2", "seed: 3")));
    }
}
