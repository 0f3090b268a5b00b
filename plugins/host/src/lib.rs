//! Finds, checks and loads plugins, and turns what they offer into ordinary Rust trait objects.
//!
//! A [`Registry`] searches folders and single files; a [`Library`] that cannot be loaded is listed
//! with the reason. [`Registry::find`] returns a [`PluginRef`] to a policy or explorer by its name;
//! [`PluginRef::create_policy`] creates an instance, [`PluginRef::export`] exports a checkpoint.
//!
//! Loading a library executes its code, and native code that segfaults takes the process along:
//! load only what you would run. A program that calls [`watch`] at its start then states which policy
//! it was, in which call; `exit` in a plugin is never success. Libraries stay loaded until the
//! process ends.

#![expect(unsafe_code, reason = "loading native code: each unsafe block states why it holds")]

mod c;
mod library;
mod offer;
mod policy;
mod registry;
mod watch;

pub use library::Library;
pub use offer::{LoadError, Offer, OfferKind};
pub use offramp_plugin as plugin;
pub use policy::{
    CallFailure, CallFault, Explorer, Learner, Mergeable, Policy, Saved, Student, ValueFunction,
};
pub use registry::{PluginRef, Registry, SearchError, UnknownName};
pub use watch::{Watch, watch};
