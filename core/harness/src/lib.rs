//! Runs experiments: reads [`scenario`] files, [`evaluate`]s policies over episodes with common
//! random numbers, and hands the results to run folders ([`record`]). A [`batch`] keeps each run
//! as it is done; [`isolate`] gives it a process of its own.
//!
//! It knows no policy by name: what a scenario calls a policy is looked up among the plugins.

pub mod batch;
pub mod dataset;
pub mod distill;
pub mod environment;
pub mod evaluate;
pub mod export;
pub mod isolate;
pub mod metrics;
pub mod record;
pub mod resume;
pub mod scenario;
pub mod study;
pub mod train;
