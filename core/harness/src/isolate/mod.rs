//! Isolation: a run in a process of its own, so that a policy that crashes, hangs or takes all
//! memory ends that run and nothing else.
//!
//! The process is the same executable, asked to [`serve`]. It plays all episodes of one run, so a
//! slot costs what it costs elsewhere but for two stores to memory that say since when a call has
//! been going on. Request and answers go over a socket, a line of JSON each: 20 times a second how
//! long the call at hand takes, after each episode that it is over, in the end the results.

use serde::{Deserialize, Serialize};

#[cfg(unix)]
mod process;

#[cfg(unix)]
pub(crate) use process::play;
#[cfg(unix)]
pub use process::serve;

/// The argument with which the executable is asked to [`serve`].
pub const ARGUMENT: &str = "serve-isolated-run";

/// How far a run in a process of its own may go.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Seconds of one call.
    pub call_seconds: f64,
    /// MiB of memory beyond what the process has before the policy is created.
    pub memory_mib: u64,
}

/// The process's side of it.
#[cfg(not(unix))]
pub fn serve() {}

/// There are no such processes here.
#[cfg(not(unix))]
pub(crate) fn play(
    _: &crate::scenario::Scenario,
    _: &crate::scenario::PolicyEntry,
    _: Limits,
    _: &dyn Fn(),
) -> Result<Vec<offramp_results::EpisodeResult>, crate::evaluate::RunError> {
    Err(crate::evaluate::RunError::Isolated("`isolate` needs a Unix system".to_owned()))
}
