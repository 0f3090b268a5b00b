//! Write a policy for offramp: implement [`Policy`], register it, export the plugin.
//!
//! A plugin is a library of its own (`crate-type = ["cdylib"]`) that depends on this crate alone
//! and is loaded at run time. This is a whole one:
//!
//! ```
//! use offramp_plugin::{Context, Error, Needs, Observation, Policy, ServerColumn};
//!
//! /// Sends every task to the server at which the fewest devices were active in the last slot.
//! struct LeastLoaded {
//!     load: ServerColumn,
//! }
//!
//! impl Policy for LeastLoaded {
//!     const NEEDS: Needs = Needs::SERVERS;
//!
//!     fn create(context: &Context<'_>) -> Result<Self, Error> {
//!         context.no_parameters()?;
//!         Ok(Self { load: context.server_column("load")? })
//!     }
//!
//!     fn decide(&mut self, seen: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
//!         let load = seen.server(self.load);
//!         let least = (1..).zip(load).min_by(|a, b| a.1.total_cmp(b.1));
//!         actions.fill(least.map_or(0, |(server, _)| server));
//!         Ok(())
//!     }
//! }
//!
//! offramp_plugin::register_policy!(LeastLoaded, "my-policy", "Sends all to the idlest server.");
//! offramp_plugin::export_plugin!();
//! # fn main() {}
//! ```
//!
//! Parameters come as RON and are read with serde; a policy without them calls
//! [`Context::no_parameters`], one that has them [`Context::parameters`]:
//!
//! ```
//! use offramp_plugin::serde::{self, Deserialize};
//!
//! #[derive(Deserialize)]
//! #[serde(crate = "offramp_plugin::serde", deny_unknown_fields, default)]
//! struct Parameters {
//!     threshold_slots: f64,
//! }
//!
//! impl Default for Parameters {
//!     fn default() -> Self {
//!         Self { threshold_slots: 3.0 }
//!     }
//! }
//! # use offramp_plugin::{Context, Error};
//! # fn create(context: &Context<'_>) -> Result<(), Error> {
//! let parameters: Parameters = context.parameters()?;
//! # Ok(()) }
//! ```
//!
//! What a device sees comes as tables with named columns ([`Observation`]); [`LocalColumns`] has
//! the standard ones. What else a policy can do is a trait each ([`Saved`], [`Learner`],
//! [`ValueFunction`], [`Student`], [`Exportable`], [`Mergeable`], [`AnySystem`]), named at
//! registration. An [`Explorer`] decides in training what the learner does not. [`testing`] has
//! what unit tests need.
//!
//! # Rules of the boundary
//! - An error or a panic ends one run; the others continue, and the policy's name, the call and
//!   the message are reported. The instance is not called again, only dropped. A segfault, `abort`
//!   or `exit` in native code takes the process along, unless the run is isolated.
//! - A library stays loaded until the process ends.
//! - Randomness comes from the seeds handed over ([`Context::seed`], [`EpisodeStart::seed`]); no
//!   clock, thread number or address may change a result.
//! - Nothing lent for a call is kept after it.
//! - A path in parameters is relative to the scenario's folder ([`Context::path`]), and a file that
//!   a policy reads by itself is part of a run once [`Policy::files`] lists it.
//! - Values that are not finite decide nothing: [`best_action`] returns an error.
//!
//! # Growth
//! The interface has a version and a revision (2.4), and so does this crate. Within a version
//! things are only appended: a plugin built today loads on every later offramp of version 2, and
//! one that was built for a later revision than the host's is refused with the one it needs.
//! [`boundary`] has the rule for each type.
//!
//! abi_stable, on which this rests, is not used outside `plugins/`: to replace it would touch
//! this crate and `offramp-host`.

#![expect(unsafe_code, reason = "the boundary itself: each unsafe block says why it holds")]

/// The README's policy compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

mod actions;
mod author;
pub mod boundary;
pub mod c;
mod data;
mod error;
#[doc(hidden)]
pub mod glue;
mod local;
mod observation;
mod place;
pub mod testing;

/// The slices and texts of the structs that cross: `.into()` makes them of `&[T]` and `&str`.
pub use abi_stable::std_types::{RSlice, RStr};
pub use actions::best_action;
pub use author::{
    AnySystem, Explorer, Exportable, Learner, Mergeable, Policy, Saved, Student, ValueFunction,
};
pub use boundary::Capabilities;
pub use data::{
    Context, Counterfactuals, EndedTask, EnergyAccounting, EpisodeStart, ExportRequest,
    ExportedFile, Progress, SystemSpec, TransitionBatch, UNDECIDED, bytes_of, path_of,
};
pub use error::Error;
pub use local::{LocalColumns, LocalState};
pub use observation::{
    Feature, LinkColumn, Needs, Observation, ObservationSpec, ServerColumn, TaskColumn,
};
pub use place::TrainingPlace;
pub use serde;
#[doc(hidden)]
pub use {abi_stable, inventory};

/// Registers a type that implements [`Policy`] under its name in scenarios, with a sentence on
/// what it does and, in brackets, its further capabilities: `saved`, `learner`, `value_function`,
/// `student`, `exportable`, `mergeable`, `any_system`. A capability whose trait is not implemented
/// does not compile:
///
/// ```compile_fail
/// # use offramp_plugin::{Context, Error, Needs, Observation, Policy};
/// # struct MyPolicy;
/// # impl Policy for MyPolicy {
/// #     const NEEDS: Needs = Needs::NOTHING;
/// #     fn create(_: &Context<'_>) -> Result<Self, Error> {
/// #         Ok(Self)
/// #     }
/// #     fn decide(&mut self, _: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
/// #         actions.fill(0);
/// #         Ok(())
/// #     }
/// # }
/// // `MyPolicy` does not implement `Mergeable`.
/// offramp_plugin::register_policy!(MyPolicy, "my-policy", "Computes locally.", [mergeable]);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! register_policy {
    ($policy:ty, $name:literal, $about:literal $(, [$($capability:ident),* $(,)?])? $(,)?) => {
        $crate::inventory::submit! {{
            const TABLE: &$crate::glue::Table<$policy> =
                &$crate::glue::Table::<$policy>::NONE$($(.$capability())*)?;
            $crate::glue::Registration {
                name: $name,
                about: $about,
                needs: <$policy as $crate::Policy>::NEEDS,
                create: $crate::glue::Create::Policy(
                    TABLE.entry(|context| $crate::glue::policy::<$policy>(context, TABLE)),
                ),
            }
        }}
    };
}

/// Registers a type that implements [`Explorer`] under its name in scenarios, with a sentence on
/// what it does and, in brackets, `any_system` if it implements [`AnySystem`].
#[macro_export]
macro_rules! register_explorer {
    ($explorer:ty, $name:literal, $about:literal $(, [$($capability:ident),* $(,)?])? $(,)?) => {
        $crate::inventory::submit! {
            $crate::glue::Registration {
                name: $name,
                about: $about,
                needs: <$explorer as $crate::Explorer>::NEEDS,
                create: $crate::glue::Create::Explorer(
                    $crate::glue::ExplorerTable::<$explorer>::NONE$($(.$capability())*)?
                        .capabilities(),
                    |context| $crate::glue::explorer::<$explorer>(context),
                ),
            }
        }
    };
}

/// Makes the crate a plugin: exports what is registered anywhere in it. Once per crate.
#[macro_export]
macro_rules! export_plugin {
    () => {
        /// The manifest by which offramp knows this library.
        #[unsafe(no_mangle)]
        pub extern "C" fn offramp_plugin_manifest() -> *const $crate::boundary::Manifest {
            $crate::glue::manifest(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        }
    };
}
