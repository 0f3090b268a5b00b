//! One module a command.

pub(crate) mod inspect;
pub(crate) mod plugins;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod train;

use std::path::PathBuf;

use offramp_host::Registry;

use crate::arguments::SearchArguments;
use crate::problem::Problem;

/// A pool of so many threads, or of one a core.
fn threads(jobs: Option<u16>) -> Result<rayon::ThreadPool, Problem> {
    let threads = rayon::ThreadPoolBuilder::new().num_threads(jobs.map_or(0, usize::from));
    threads.build().map_err(Problem::new)
}

/// Loads the plugins: those named, those of OFFRAMP_PLUGINS, those beside the executable.
fn discover(search: &SearchArguments) -> Result<Registry, Problem> {
    let mut named: Vec<PathBuf> = search.paths.clone();
    if let Some(path) = &search.plugin_path {
        named.extend(std::env::split_paths(path).filter(|path| !path.as_os_str().is_empty()));
    }
    let executable = std::env::current_exe().ok();
    let beside = executable.as_deref().and_then(std::path::Path::parent);
    Registry::discover(&named, beside).map_err(Problem::new)
}
