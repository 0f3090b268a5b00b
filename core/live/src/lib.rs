//! Live runs: one long stream of tasks instead of independent episodes. Policies keep their state, queues
//! are never emptied, and the system drifts. What comes out is a curve over time.
//!
//! [`live`] plays a stream for each policy of a [`Live`](offramp_harness::bind::Live), all with the same tasks, side by side on the
//! rayon pool it is called in. A stream is one episode of T slots that [goes
//! on](offramp_model::Episode::continue_in) in another system at each change. A policy is created once
//! and begins one episode; it learns of a change only by what it sees.
//!
//! ```text
//! RUN/scenario.ron            the scenario as it was run
//! RUN/live.csv                one row per policy and window
//! RUN/recovery.csv            one row per policy and change
//! RUN/live.json               the summary of each policy
//! RUN/policy-N.state          what --resume needs of a policy's stream
//! ```
//!
//! A policy that [`learns`](offramp_scenario::Learns) records each slot and learns after it, as in
//! training. If learning fails, the stream continues without it, from the checkpoint taken at the end of the
//! last window. A policy that can't decide ends its own stream alone.
//!
//! # Resuming
//! A run that resumes is bit-identical to one that was never interrupted. Streams that had ended are
//! read; each other one begins again, and its decisions are compared with those that were saved. It would
//! take less time to load what a policy saved last and to play the saved decisions up to there. But what
//! a plugin [saves](offramp_host::Saved::save) is complete between episodes only: the decisions whose
//! tasks have not ended are not part of it, and a stream is a single episode.

mod federated;
mod online;
mod play;
pub mod privacy;
mod rows;
mod run;
mod setup;
mod wire;

pub use run::{LiveError, check, live};
