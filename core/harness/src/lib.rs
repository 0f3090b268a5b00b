//! Runs what scenarios describe: evaluation, training and distillation of plugins.
//!
//! In the order of use:
//!
//! 1. [`bind`] finds and checks a scenario's plugins and returns an
//!    [`Evaluation`](bind::Evaluation), a [`Training`](bind::Training) or a
//!    [`Distillation`](bind::Distillation), which can run.
//! 2. [`mod@evaluate`] plays every policy over its episodes, with common random numbers; each policy
//!    at each point of a scenario is a [`run`]. A [`check`] creates each policy once before that. A
//!    [`batch`] saves each finished run and resumes after a kill; an [`executor`] carries out runs
//!    that ask for isolation, [`isolate`] in a process of their own. [`run::watch_episode`] returns
//!    what happened in one episode.
//! 3. [`mod@train`] plays a learner's own episodes, [`mod@distill`] fits a student to the states of
//!    a [`dataset`] in mini-batches of [`states`]. Both are judged by [`validation`] and resume after any interruption
//!    ([`resume`]).
//! 4. [`events`] report progress, and what [`memory`] it will take; [`record`] is what run folders keep of a run, [`engine`] what computes it.
//!
//! 5. [`mod@reference`] names what no device could be, [`plans`] makes its decisions: plans that know the
//!    future, kept in a cache.
//! 6. [`survey`] measures mobility, coverage and rates of a world that moves; [`mod@side_by_side`] does many trainings or distillations on all threads.
//!
//! All of them play the one [`environment`] (reset, observe, step), create instances from a
//! [`context`], and take their randomness from [`seeds`].
//!
//! ```no_run
//! use offramp_harness::bind::bind_evaluation;
//! use offramp_harness::evaluate::{Discard, evaluate, prepare};
//! use offramp_harness::events::Quiet;
//! use offramp_harness::executor::InProcess;
//! use offramp_host::Registry;
//! use offramp_results::metric;
//! use offramp_scenario::Experiment;
//!
//! let registry = Registry::discover(&["target/release".into()], None)?;
//! let experiment = Experiment::read("scenarios/small.ron".as_ref(), &[])?;
//! let experiments = [experiment.try_map(|point| bind_evaluation(point, &registry))?];
//! let qoe = metric::by_id("qoe").expect("a row of the table");
//! let planned = prepare(&experiments, &InProcess)?;
//! for run in evaluate(&planned, &InProcess, &Discard, &Quiet)? {
//!     let mean = run.mean_sd(qoe).map(|qoe| qoe.mean);
//!     println!("{}: {mean:?}", run.record.policy);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The crate knows neither the names of policies, nor the architectures of networks, nor the
//! executable it runs in.

pub use identity::recorded_files;
pub use offramp_host::Registry;
pub use origin::{Checkpoint, NotCreated, Origin, Refusal, created, files_of};

pub mod batch;
pub mod bind;
pub mod check;
pub mod context;
pub mod dataset;
pub mod distill;
pub mod engine;
pub mod environment;
pub mod evaluate;
pub mod events;
pub mod executor;
pub mod hardware;
mod identity;
mod instances;
pub mod isolate;
mod journal;
mod judged;
pub mod memory;
pub mod metrics;
mod mini_batch;
mod origin;
pub mod plans;
pub mod record;
pub mod reference;
pub mod resume;
pub mod run;
pub mod seeds;
pub mod side_by_side;
pub mod states;
pub mod survey;
mod systems;
pub mod tasks;
pub mod train;
pub mod validation;
