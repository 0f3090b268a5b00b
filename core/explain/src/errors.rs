//! The explanation of each error of the library crates.

use std::io::ErrorKind;

use offramp_harness::Refusal;
use offramp_harness::batch::BatchError;
use offramp_harness::bind::{Distillation, Live, Training};
use offramp_harness::dataset::{DatasetError, DatasetFault};
use offramp_harness::distill::DistillError;
use offramp_harness::resume::FolderError;
use offramp_harness::train::TrainError;
use offramp_host::SearchError;
use offramp_live::LiveError;
use offramp_results::Error;
use offramp_scenario::{Scenario, ScenarioError};
use offramp_study::StudyError;
use offramp_tune::TuneError;

use crate::problem::Problem;

/// The mend of a full disk.
const MAKE_ROOM: &str = "make room, then continue with --resume";

/// True if an error is that of a full disk, a quota, or the limit on the size of a file.
fn is_full(cause: &std::io::Error) -> bool {
    use ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    [FileTooLarge, QuotaExceeded, StorageFull].contains(&cause.kind())
}

impl From<ScenarioError> for Problem {
    fn from(error: ScenarioError) -> Self {
        match error {
            ScenarioError::Unreadable { ref cause, .. } => {
                let help = match cause.kind() {
                    ErrorKind::InvalidData => "scenarios and studies are RON files in UTF-8",
                    _ => "check the path of the file and its permissions",
                };
                Self::new(error).with_help(help)
            }
            ScenarioError::Invalid(fault) => (*fault).into(),
        }
    }
}

/// The search path of plugins.
impl From<SearchError> for Problem {
    fn from(error: SearchError) -> Self {
        Self::new(error)
            .with_help("name an existing folder or file with --plugins and in OFFRAMP_PLUGINS")
    }
}

/// Run folders that can't be written or read.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let help = match error {
            Error::Taken { .. } => "name another folder with --out",
            Error::Interrupted => "continue with --resume",
            Error::Unwritable { .. } => "name a folder that can be written with --out",
            // A table of a run folder, not a folder that is none.
            Error::Unreadable { ref path, .. }
                if !path.ends_with("run.json") && path.with_file_name("run.json").exists() =>
            {
                "the folder is damaged: restore the file, or run again into another folder"
            }
            Error::Unreadable { .. } => "name a run folder, as `offramp run` writes it",
            Error::Unfinished { .. } => {
                "resume it with --resume, name another folder with --out, or remove it"
            }
            Error::OtherBatch { .. } => "name another folder with --out, or remove it",
            Error::InUse { .. } => "wait for it, or name another folder with --out",
            Error::Unlockable { .. } => {
                "name a folder on a file system that has locks, such as a local disk, with --out"
            }
            Error::Unmergeable { .. } => "name all folders of one batch, made with --shard I/N",
        };
        Self::new(error).with_help(help)
    }
}

/// A batch that ended early.
impl From<BatchError> for Problem {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::Results(error) => error.into(),
            BatchError::Unfit(unfit) => Self::new(unfit)
                .with_help("nothing was run: correct the scenario, or the file that it names"),
        }
    }
}

/// A folder that can't be trained or distilled into.
impl From<FolderError> for Problem {
    fn from(error: FolderError) -> Self {
        let help = match error {
            FolderError::Lock(error) => return error.into(),
            FolderError::Changed { .. } => {
                "start again in another folder: name it with --out. Here validations, saves and \
                 evaluations may change, and the length, unless what is learned depends on it"
            }
            FolderError::Unwritable { ref cause, .. } if is_full(cause) => MAKE_ROOM,
            FolderError::Taken { .. } => {
                "name another folder with --out, or continue in it with --resume"
            }
            FolderError::Interrupted => "continue with --resume",
            FolderError::Foreign { .. } => {
                "name another folder with --out: a new or empty one, or that of the work to continue"
            }
            FolderError::NotBegun { .. } => "begin it, with --plan, or name its folder with --out",
            FolderError::Unwritable { .. } => "name a folder that can be written with --out",
            FolderError::NotResumable { .. } => "start again in another folder: name it with --out",
        };
        Self::new(error).with_help(help)
    }
}

/// A search that ended early.
impl From<TuneError> for Problem {
    fn from(error: TuneError) -> Self {
        match error {
            TuneError::Fault(fault) => (*fault).into(),
            TuneError::Folder(error @ FolderError::Changed { .. }) => Self::new(error).with_help(
                "start again in another folder: name it with --out. Here comments, `name`, `about` \
                 and `save_every` may change, and all that concerns evaluations",
            ),
            TuneError::Folder(error) => error.into(),
            TuneError::Results(Error::Unreadable { ref path, .. })
                if path.ends_with("judged.json") =>
            {
                let folder = path.parent().unwrap_or(path).display();
                let help =
                    format!("remove {folder}, then continue with --resume: it is learned again");
                Self::new(error).with_help(help)
            }
            TuneError::Results(error) => error.into(),
            TuneError::Dataset(error) => Self::new(error).with_help(
                "name another folder with --out, or remove the file: it is then collected again",
            ),
        }
    }
}

/// A study that ended early.
impl From<StudyError> for Problem {
    fn from(error: StudyError) -> Self {
        match error {
            StudyError::Scenario(error) => error.into(),
            StudyError::Results(error @ (Error::InUse { .. } | Error::Unlockable { .. })) => {
                error.into()
            }
            StudyError::Unfit(unfit) => Self::new(unfit)
                .with_help("nothing was done: correct the study, or the file that it names"),
            error @ (StudyError::Folder(_) | StudyError::Dataset(_) | StudyError::Results(_)) => {
                let help = "name another folder with --out, or remove what is damaged: it is then \
                            computed again";
                Self::new(error).with_help(help)
            }
            error @ StudyError::NoSuchJob { .. } => {
                let help = "make the plan again: the names of jobs depend on the study, the plugins and the \
                            version of offramp, which must be the same on every machine";
                Self::new(error).with_help(help)
            }
            error @ (StudyError::TooLarge { .. } | StudyError::NoSuchItem { .. }) => {
                Self::new(error)
            }
        }
    }
}

impl Problem {
    /// A training that ended early or can't begin; what a plugin refuses has its place in the
    /// scenario.
    pub fn of_training(training: &Training, error: TrainError) -> Self {
        match error {
            TrainError::Refused(refusal) => Self::of_refusal(&training.scenario, refusal),
            TrainError::Folder(error) => error.into(),
            error @ (TrainError::Failed { .. } | TrainError::Untrained { .. }) => Self::new(error),
        }
    }

    /// A live run that ended early or can't begin; what a plugin refuses has its place in the scenario.
    pub fn of_live(live: &Live, error: LiveError) -> Self {
        match error {
            LiveError::Refused(refusal) => Self::of_refusal(&live.scenario, refusal),
            LiveError::Folder(error @ FolderError::Changed { .. }) => Self::new(error).with_help(
                "start again in another folder: name it with --out. Here `live.save_every` and \
                 `live.ceiling` may change, policies may follow, and so may all that concerns trainings \
                 and evaluations",
            ),
            LiveError::Folder(error) => error.into(),
        }
    }

    /// A distillation that ended early or can't begin; what a plugin refuses has its place in the
    /// scenario.
    pub fn of_distillation(distillation: &Distillation, error: DistillError) -> Self {
        match error {
            DistillError::Refused(refusal) => Self::of_refusal(&distillation.scenario, refusal),
            DistillError::Folder(error) => error.into(),
            DistillError::Dataset(error) => Self::of_dataset(error),
            error @ (DistillError::Failed { .. } | DistillError::NoTasks { .. }) => {
                Self::new(error)
            }
        }
    }

    fn of_refusal(scenario: &Scenario, Refusal { field, cause }: Refusal) -> Self {
        scenario.fault(&field, cause, None).into()
    }

    /// The dataset of a distillation. Not `From`: searches and studies choose the file of theirs
    /// themselves, so there is another thing to do.
    fn of_dataset(error: DatasetError) -> Self {
        let help = match &error.fault {
            DatasetFault::Foreign(_) | DatasetFault::Other => {
                "name another file with --dataset; one that does not exist is collected"
            }
            DatasetFault::Damaged(_) => {
                "name another file with --dataset, or remove it to collect it again"
            }
            DatasetFault::Unwritable(cause) if is_full(cause) => MAKE_ROOM,
            DatasetFault::Unreadable(_) | DatasetFault::Unwritable(_) => {
                "name a file that can be read and written with --dataset"
            }
        };
        Self::new(error).with_help(help)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(problem: impl Into<Problem>, expected: &str) {
        let problem = problem.into();
        let help = miette::Diagnostic::help(&problem).map(|help| help.to_string());
        assert_eq!(format!("{problem}; {}", help.as_deref().unwrap_or("no help")), expected);
    }

    fn unwritable(kind: ErrorKind) -> FolderError {
        FolderError::Unwritable { path: "out".into(), cause: kind.into() }
    }

    #[test]
    fn a_full_disk_needs_room_and_not_another_folder() {
        for full in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge] {
            let problem = format!("can't write out: {full}; {MAKE_ROOM}");
            check(unwritable(full), &problem);
        }
        check(
            unwritable(ErrorKind::PermissionDenied),
            "can't write out: permission denied; name a folder that can be written with --out",
        );
    }

    /// Whatever the error that it is wrapped in.
    #[test]
    fn a_folder_in_use_is_explained_the_same_everywhere() {
        let in_use = || Error::InUse { path: "out".into(), holder: None };
        let expected = "out: in use by another process; wait for it, or name another folder with \
                        --out";
        check(in_use(), expected);
        check(BatchError::from(in_use()), expected);
        check(FolderError::from(in_use()), expected);
        check(TuneError::from(FolderError::from(in_use())), expected);
        check(StudyError::from(in_use()), expected);
    }

    /// It is not a run folder, and validations may not change.
    #[test]
    fn a_search_is_resumed_in_its_own_terms() {
        let path = "out/rung-0/configuration-001-seed-1/judged.json";
        check(
            TuneError::from(Error::Unreadable { path: path.into(), cause: "EOF".to_owned() }),
            "out/rung-0/configuration-001-seed-1/judged.json: EOF; remove \
             out/rung-0/configuration-001-seed-1, then continue with --resume: it is learned again",
        );
        let change = "`tune.keep` was 0.3 when it began, and is 0.5 now".to_owned();
        check(
            TuneError::from(FolderError::Changed { path: "out/parts.json".into(), change }),
            "can't resume from out/parts.json: `tune.keep` was 0.3 when it began, and is 0.5 now; \
             start again in another folder: name it with --out. Here comments, `name`, `about` and \
             `save_every` may change, and all that concerns evaluations",
        );
    }

    #[test]
    fn a_damaged_dataset_is_mended_where_its_file_was_chosen() {
        let damaged = || DatasetError {
            path: "states".into(),
            fault: DatasetFault::Damaged("has 3 rows".to_owned()),
        };
        check(
            Problem::of_dataset(damaged()),
            "states: has 3 rows; name another file with --dataset, or remove it to collect it again",
        );
        check(
            TuneError::from(damaged()),
            "states: has 3 rows; name another folder with --out, or remove the file: it is then \
             collected again",
        );
        check(
            StudyError::from(damaged()),
            "states: has 3 rows; name another folder with --out, or remove what is damaged: it is \
             then computed again",
        );
    }
}
