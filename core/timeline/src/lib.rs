//! Timelines of episodes: a [`Recorder`] keeps, for every task of an episode, the decision, predicted
//! delays, where it was in which slots, and its outcome.
//!
//! ```
//! use offramp_model::{Episode, ObservationSpec, System, Workload};
//! use offramp_timeline::Recorder;
//!
//! let system = std::sync::Arc::new(System::paper(3, 2));
//! let workload = Workload::Drawn { seed: 1, episode: 0 };
//! let mut episode = Episode::new(&system, workload, ObservationSpec::PAPER);
//! let mut recorder = Recorder::new(&system);
//! while !episode.is_over() {
//!     let all_local = vec![0; episode.arrivals().len()];
//!     recorder.before_slot(&episode, &all_local, &[]);
//!     episode.advance(&all_local)?;
//!     recorder.after_slot(&episode);
//! }
//! let timeline = recorder.finish();
//! assert!(timeline.tasks.iter().all(|task| task.delay_slots >= 1));
//! # Ok::<(), offramp_model::IllegalDecision>(())
//! ```

mod prediction;
mod recorder;

pub use recorder::Recorder;
