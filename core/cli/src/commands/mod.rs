//! Commands, one module each. Each has `run`, which prints the result to standard output.

pub(crate) mod distill;
pub(crate) mod export;
pub(crate) mod hindsight;
pub(crate) mod inspect;
pub(crate) mod live;
pub(crate) mod merge;
pub(crate) mod new;
pub(crate) mod plugins;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod reproduce;
pub(crate) mod run;
pub(crate) mod shell;
pub(crate) mod train;
pub(crate) mod tune;
mod watch;

use std::env::consts::DLL_EXTENSION;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use offramp_explain::{Kind, Problem};
use offramp_harness::executor::Isolated;
use offramp_host::Registry;
use offramp_report::page::PageError;
use offramp_results::run_folder::StoredRun;
use offramp_scenario::{Experiment, Setting};

use crate::Outcome;
use crate::arguments::{SearchArguments, ThreadArguments};
use crate::progress::show_failure;

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

/// The outcome of a command whose results are complete, once their page has been written or not.
fn with_page(outcome: Outcome, written: Result<(), PageError>) -> Outcome {
    match written {
        Ok(()) => outcome,
        Err(error) => {
            show_failure(format_args!("can't write the results page: {error}"));
            Outcome::Failures
        }
    }
}

/// A page that can't be made, explained.
fn of_page(error: PageError) -> Problem {
    match error {
        PageError::Unreadable(error) => error.into(),
        error @ PageError::Foreign { .. } => {
            Problem::new(error).with_help("name another file, or move that one away")
        }
        error @ PageError::Unwritable(_) => Problem::new(error),
    }
}

/// A pool of as many threads as asked for.
fn thread_pool(arguments: &ThreadArguments) -> Result<rayon::ThreadPool, Problem> {
    let threads = arguments.jobs.map_or(0, usize::from);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(Problem::new)
}

/// Where `cargo install` has put the plugins of this executable, see `build.rs`.
const CARRIED_PLUGINS: Option<&str> = option_env!("OFFRAMP_CARRIED_PLUGINS");

/// Where plugins are searched for by the user's wish: folders or files on the command line, then those
/// of `OFFRAMP_PLUGINS`.
fn named_plugins(search: &SearchArguments) -> Vec<PathBuf> {
    let mut named: Vec<PathBuf> = search.paths.clone();
    if let Some(path) = &search.plugin_path {
        named.extend(std::env::split_paths(path).filter(|path| !path.as_os_str().is_empty()));
    }
    named
}

/// Loads the plugins: those named, then those of `OFFRAMP_PLUGINS`, then those beside the executable
/// or, if it stands alone, those installed with it.
fn load_plugins(search: &SearchArguments) -> Result<Registry, Problem> {
    let named = named_plugins(search);
    let executable = std::env::current_exe().ok();
    let beside = executable.as_deref().and_then(Path::parent).filter(|folder| has_library(folder));
    Ok(Registry::discover(&named, beside.or(CARRIED_PLUGINS.map(Path::new)))?)
}

/// True if a file of the folder is named like a library.
fn has_library(folder: &Path) -> bool {
    let is_library = |path: &Path| path.extension() == Some(OsStr::new(DLL_EXTENSION));
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.map(|file| file.path()).any(|path| is_library(&path))
}

/// The executor of isolated runs: processes of this same executable.
fn isolated_executor() -> Result<Isolated, Problem> {
    let executable = std::env::current_exe().map_err(Problem::new)?;
    Ok(Isolated { executable })
}
