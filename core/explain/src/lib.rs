//! Errors of the library crates as a person reads them: what is wrong, where, and what to do.
//!
//! The library crates return typed errors. At the edge of a program each becomes a [`Problem`], by
//! `From`; the two whose place is in a scenario, by [`Problem::of_training`] and
//! [`Problem::of_distillation`]. What to do is stated in the terms of the `offramp` command: its
//! options, its other commands. [`Problem::unless_mistaken`] names the command that takes a file
//! which was given to the wrong one.
//!
//! ```
//! use offramp_explain::{Kind, Problem};
//! use offramp_scenario::Experiment;
//!
//! let path = "nowhere.ron".as_ref();
//! let problem = Experiment::read(path, &[])
//!     .map_err(|error| Problem::from(error).unless_mistaken(path, Kind::Scenario))
//!     .expect_err("there is no such file");
//! assert!(problem.to_string().starts_with("nowhere.ron: "));
//! assert!(problem.text().contains("help: check the path of the file and its permissions"));
//! ```
//!
//! It prints nothing: a program decides where [`Problem::text`] goes.

mod errors;
mod excerpt;
mod mistaken;
mod problem;

pub use mistaken::Kind;
pub use problem::Problem;
