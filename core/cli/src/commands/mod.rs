//! Commands, one module each.

pub(crate) mod distill;
pub(crate) mod export;
pub(crate) mod inspect;
pub(crate) mod new;
pub(crate) mod plugins;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod reproduce;
pub(crate) mod run;
pub(crate) mod train;

use std::path::{Path, PathBuf};

use offramp_harness::executor::Isolated;
use offramp_harness::resume::FolderError;
use offramp_host::Registry;
use offramp_scenario::Scenario;

use crate::arguments::SearchArguments;
use crate::problem::Problem;

/// Folder and label of a point of a sweep; `folder` itself and an empty label without a sweep.
fn point(folder: &Path, number: usize, scenario: &Scenario) -> (PathBuf, String) {
    match scenario.point_text() {
        text if text.is_empty() => (folder.to_owned(), text),
        text => (folder.join(format!("point-{number:03}")), text),
    }
}

/// Explains how to mend a folder that can't be trained or distilled into.
fn folder_problem(error: FolderError) -> Problem {
    let taken = matches!(error, FolderError::Taken { .. });
    let problem = Problem::new(error);
    if taken {
        problem.with_help("name another folder with --out, or continue in it with --resume")
    } else {
        problem
    }
}

/// A pool of `jobs` threads; one per core by default.
fn threads(jobs: Option<u16>) -> Result<rayon::ThreadPool, Problem> {
    let threads = rayon::ThreadPoolBuilder::new().num_threads(jobs.map_or(0, usize::from));
    threads.build().map_err(Problem::new)
}

/// Loads the plugins: those named, then those of OFFRAMP_PLUGINS, then those beside the executable.
fn discover(search: &SearchArguments) -> Result<Registry, Problem> {
    let mut named: Vec<PathBuf> = search.paths.clone();
    if let Some(path) = &search.plugin_path {
        named.extend(std::env::split_paths(path).filter(|path| !path.as_os_str().is_empty()));
    }
    let executable = std::env::current_exe().ok();
    let beside = executable.as_deref().and_then(Path::parent);
    Registry::discover(&named, beside).map_err(Problem::new)
}

/// Runs that ask for isolation get a process of this same executable.
fn isolated() -> Result<Isolated, Problem> {
    let executable = std::env::current_exe().map_err(Problem::new)?;
    Ok(Isolated { executable })
}
