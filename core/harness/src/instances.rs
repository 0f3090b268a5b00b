//! Instances: every episode of a run has one of its own, as if it had just been created.
//!
//! The first that is created never plays, if it has fresh ones: reading a checkpoint may take longer
//! than an episode. Its episodes then cost what playing costs. A policy without fresh instances is
//! created for each episode.

use std::sync::{Mutex, PoisonError};

use offramp_host::{CallFailure, Policy};

/// The instances of a run, made one by one from the first.
#[derive(Default)]
pub(crate) struct Instances {
    /// An instance may be used by one thread at a time; asking it for a fresh one takes no time to
    /// speak of.
    first: Mutex<First>,
}

#[derive(Default)]
enum First {
    /// Not created yet.
    #[default]
    Missing,
    /// It is only asked for fresh ones.
    Prototype(Box<dyn Policy>),
    /// It had no fresh ones, and played.
    Gone,
}

impl Instances {
    /// An instance as `create` returns it; the same whichever way it is made.
    ///
    /// # Errors
    /// That of `create`, or of asking for a fresh instance.
    pub(crate) fn next<E: From<CallFailure>>(
        &self,
        create: impl FnOnce() -> Result<Box<dyn Policy>, E>,
    ) -> Result<Box<dyn Policy>, E> {
        // A lock is poisoned by a panic alone, which is a bug that ends everything.
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        let prototype = match std::mem::take(&mut *first) {
            First::Missing => create()?,
            First::Prototype(prototype) => prototype,
            First::Gone => {
                *first = First::Gone;
                drop(first);
                return create();
            }
        };
        // After an error an instance is not called again, only dropped.
        if let Some(fresh) = prototype.fresh()? {
            *first = First::Prototype(prototype);
            return Ok(fresh);
        }
        *first = First::Gone;
        Ok(prototype)
    }
}
