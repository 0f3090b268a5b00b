//! Finds, checks and loads plugins, and turns what they offer into ordinary Rust trait objects.
//!
//! A [`Registry`] searches folders and single files; a [`Library`] that can't be loaded is
//! listed with the reason. [`Registry::find`] gives a [`Found`] policy or explorer by its name,
//! and [`Found::create_policy`] an instance.
//!
//! Loading a library executes its code, and native code that segfaults takes the process along:
//! load only what you would run. Libraries stay loaded until the process ends.

#![expect(unsafe_code, reason = "loading native code: each unsafe block says why it holds")]

mod c;
mod library;
mod policy;
mod registry;

pub use library::{Library, LoadError, Offer, OfferKind, sha256};
pub use offramp_plugin as plugin;
pub use policy::{
    CallFailure, CallFault, Explorer, Learner, Policy, Saved, Student, ValueFunction,
};
pub use registry::{Found, Registry, SearchError, UnknownName, nearest};
