//! Isolation: a run in a process of its own, so that a policy that crashes, hangs or takes all
//! memory ends that run and nothing else.
//!
//! The process is usually the same executable, started with [`ARGUMENT`] to [`serve`] one run. It
//! plays all episodes of that run, so the only overhead per call is two atomic stores that mark
//! when it began. The child reports over a socket, one JSON line each: the age of the current call
//! (20 times a second), the files that the policy reads, each episode with its results (its tasks, if they
//! are kept, come before, part by part), and the end. So neither side keeps more than one episode. A run
//! needs a few file handles: as many run at a time as the system allows.

#[cfg(unix)]
mod process;

#[cfg(unix)]
pub use process::serve;
#[cfg(unix)]
pub(crate) use process::{Permit, check, play};

/// The first argument that tells the executable to [`serve`].
pub const ARGUMENT: &str = "serve-isolated-run";

/// Does nothing: isolation needs a Unix system.
#[cfg(not(unix))]
pub fn serve() {}

/// Nothing: isolation needs a Unix system.
#[cfg(not(unix))]
pub(crate) struct Permit;

#[cfg(not(unix))]
impl Permit {
    pub(crate) fn wait() -> Self {
        Self
    }
}

/// Fails: isolation needs a Unix system.
#[cfg(not(unix))]
pub(crate) fn check(
    _: &std::path::Path,
    _: &crate::bind::Evaluation,
    _: &crate::bind::BoundPolicy,
    _: offramp_scenario::Limits,
) -> Result<Vec<std::path::PathBuf>, crate::run::RunError> {
    Err(crate::run::RunError::Refused("`isolate` needs a Unix system".to_owned()))
}

/// Fails: isolation needs a Unix system.
#[cfg(not(unix))]
pub(crate) fn play(
    _: &std::path::Path,
    _: &crate::bind::Evaluation,
    _: &crate::bind::BoundPolicy,
    _: offramp_scenario::Limits,
    _: crate::tasks::Detail,
    _: crate::run::OnEpisode<'_>,
) -> Result<(), crate::run::RunError> {
    Err(crate::run::RunError::Refused("`isolate` needs a Unix system".to_owned()))
}
