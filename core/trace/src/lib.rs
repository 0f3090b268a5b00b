//! Traces: recorded runs of an environment, replayed through the engine and compared.
//!
//! A trace is a JSON file (`.json`, or `.json.gz`) with the capacities of a system, the tasks
//! that arrived with the decision for each, and the outcome that the recorded environment had.
//! `tests/traces/README.md` lists its fields. In the order of use:
//!
//! 1. [`Trace::read`] reads a file and checks that it is consistent.
//! 2. [`Trace::replay`] runs its arrivals and decisions through the engine and compares every
//!    recorded value. The outcome is plain data, an [`offramp_results::replay::Replay`].
//! 3. [`record()`] writes one: an episode that the engine plays.
//!
//! It knows nothing of plugins or scenarios.
//!
//! ```
//! use offramp_trace::Trace;
//!
//! // One device, one server, three slots; a task that is offloaded, and dropped at its deadline.
//! let text = r#"{
//!     "name": "one task", "devices": 1, "edges": 1, "slots": 3, "deadline_slots": 2,
//!     "slot_seconds": 0.1, "device_ghz": 2.5, "uplink_mbps": 14.0, "edge_ghz": 40.0,
//!     "power": { "transmit": 2.3, "idle": 0.1, "edge": 5.0 }, "alpha": [0.5],
//!     "task_columns": ["slot", "device", "size_mbit", "density_gcycles_per_mbit", "action", "dropped"],
//!     "tasks": [[0, 0, 5.0, 0.297, 1, 1]]
//! }"#;
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("one.json");
//! std::fs::write(&path, text)?;
//!
//! let replay = Trace::read(&path)?.replay();
//! assert_eq!((replay.tasks, replay.dropped), (1, 1));
//! assert_eq!((replay.compared, replay.differing), (1, 0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod comparison;
mod format;
mod record;
mod replay;

pub use comparison::TOLERANCE;
pub use format::{Trace, TraceError};
pub use record::{NotATrace, can_record, record};
