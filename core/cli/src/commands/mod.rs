//! Commands, one module each. Each has `run`, which prints the result to standard output.

pub(crate) mod distill;
pub(crate) mod export;
pub(crate) mod inspect;
pub(crate) mod merge;
pub(crate) mod new;
pub(crate) mod plugins;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod reproduce;
pub(crate) mod run;
pub(crate) mod train;
pub(crate) mod tune;

use std::path::{Path, PathBuf};

use offramp_harness::executor::Isolated;
use offramp_harness::resume::FolderError;
use offramp_host::Registry;
use offramp_results::Error;
use offramp_results::run_folder::StoredRun;
use offramp_scenario::{Experiment, Scenario, Setting};

use crate::Outcome;
use crate::arguments::{SearchArguments, ThreadArguments};
use crate::mistaken::Kind;
use crate::problem::Problem;

/// The folder of a point of a sweep, and the point as a text; `folder` itself and an empty text
/// outside a sweep.
fn folder_of_point(folder: &Path, number: usize, scenario: &Scenario) -> (PathBuf, String) {
    match scenario.point_text() {
        text if text.is_empty() => (folder.to_owned(), text),
        text => (folder.join(format!("point-{number:03}")), text),
    }
}

/// The mend of a full disk.
const MAKE_ROOM: &str = "make room, then continue with --resume";

/// True if an error is that of a full disk, a quota, or the limit on the size of a file.
fn is_full(cause: &std::io::Error) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    [FileTooLarge, QuotaExceeded, StorageFull].contains(&cause.kind())
}

/// Explains how to mend a folder that can't be trained or distilled into.
fn folder_problem(error: FolderError) -> Problem {
    let help = match error {
        FolderError::Lock(error) => return results_problem(error),
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
        FolderError::Unwritable { .. } => "name a folder that can be written with --out",
        FolderError::NotResumable { .. } => "start again in another folder: name it with --out",
    };
    Problem::new(error).with_help(help)
}

/// Explains how to mend run folders that can't be written or read.
fn results_problem(error: Error) -> Problem {
    let help = match error {
        Error::Taken { .. } => "name another folder with --out",
        Error::Interrupted => "continue with --resume",
        Error::Unwritable { .. } => "name a folder that can be written with --out",
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
    Problem::new(error).with_help(help)
}

/// Reads a scenario, with `settings` in place of what it says.
fn read_scenario(path: &Path, settings: &[Setting]) -> Result<Experiment, Problem> {
    let explained = |error| Problem::from(error).unless_mistaken(path, Kind::Scenario);
    Experiment::read(path, settings).map_err(explained)
}

/// The outcome of a command that ran these runs.
fn outcome_of_runs(runs: &[StoredRun]) -> Outcome {
    let failed = runs.iter().any(|run| run.record.error.is_some());
    if failed { Outcome::Failures } else { Outcome::Success }
}

/// A pool of as many threads as asked for.
fn thread_pool(arguments: &ThreadArguments) -> Result<rayon::ThreadPool, Problem> {
    let threads = arguments.jobs.map_or(0, usize::from);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(Problem::new)
}

/// Loads the plugins: those named, then those of `OFFRAMP_PLUGINS`, then those beside the
/// executable.
fn load_plugins(search: &SearchArguments) -> Result<Registry, Problem> {
    let mut named: Vec<PathBuf> = search.paths.clone();
    if let Some(path) = &search.plugin_path {
        named.extend(std::env::split_paths(path).filter(|path| !path.as_os_str().is_empty()));
    }
    let executable = std::env::current_exe().ok();
    let beside = executable.as_deref().and_then(Path::parent);
    Registry::discover(&named, beside).map_err(|error| {
        Problem::new(error)
            .with_help("name an existing folder or file with --plugins and in OFFRAMP_PLUGINS")
    })
}

/// The executor of isolated runs: processes of this same executable.
fn isolated_executor() -> Result<Isolated, Problem> {
    let executable = std::env::current_exe().map_err(Problem::new)?;
    Ok(Isolated { executable })
}
