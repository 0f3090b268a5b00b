//! Runs experiments: reads [`scenario`] files, [`evaluate`]s policies over episodes with common
//! random numbers, keeps the results in run folders ([`store`]), and replays recorded
//! [`trace`]s. A [`batch`] keeps each run as it is done; [`isolate`] gives it a process of its own.
//!
//! It knows no policy by name: what a scenario calls a policy is looked up among the plugins.

pub mod batch;
pub mod bind;
pub mod checkpoint;
pub mod context;
pub mod dataset;
pub mod distill;
pub mod environment;
pub mod evaluate;
pub mod events;
pub mod executor;
pub mod export;
mod files;
pub mod isolate;
pub mod metrics;
pub mod resume;
pub mod seeds;
pub mod statistics;
pub mod store;
pub mod study;
pub mod trace;
pub mod train;
