//! Write a policy for offramp: implement [`Policy`], register it, export the plugin.
//!
//! A plugin is a library of its own (`crate-type = ["cdylib"]`) that depends on this crate alone
//! and is loaded at run time. This is a whole one:
//!
//! ```
//! use offramp_plugin::{Context, Error, Needs, Observation, Policy};
//!
//! /// Computes every task on its own device.
//! struct AllLocal;
//!
//! impl Policy for AllLocal {
//!     const NEEDS: Needs = Needs::NOTHING;
//!
//!     fn create(context: &Context<'_>) -> Result<Self, Error> {
//!         context.no_parameters()?;
//!         Ok(Self)
//!     }
//!
//!     fn decide(&mut self, _: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
//!         actions.fill(0);
//!         Ok(())
//!     }
//! }
//!
//! offramp_plugin::register_policy!(AllLocal, "my-all-local", "Computes every task locally.");
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
//! What else a policy can do is a trait each ([`Learner`], [`ValueFunction`], [`Student`],
//! [`Saved`]), named at registration. An [`Explorer`] decides in training what the learner does
//! not.
//!
//! # Rules of the boundary
//! - An error or a panic ends one run; the others go on, and the plugin's name, the call and the
//!   message are reported. A segfault, `abort` or `exit` in native code takes the process along,
//!   unless the run is isolated.
//! - A library stays loaded until the process ends.
//! - Randomness comes from the seeds handed over ([`Context::seed`], [`EpisodeStart::seed`]); no
//!   clock, thread number or address may change a result.
//! - Interface version [`boundary::INTERFACE_VERSION`]. It grows by new methods and fields at
//!   the end; what breaks older plugins raises it.
//!
//! abi_stable, on which this rests, is not used outside `plugins/`: to replace it would touch
//! this crate and `offramp-host`.

#![expect(unsafe_code, reason = "the boundary itself: each unsafe block says why it holds")]

mod author;
pub mod boundary;
pub mod c;
mod data;
#[doc(hidden)]
pub mod export;
pub mod testing;

pub use author::{Error, Explorer, Learner, Policy, Saved, Student, ValueFunction};
pub use boundary::Capabilities;
pub use data::{
    Context, EndedTask, EnergyAccounting, EpisodeStart, Feature, Known, Needs, Observation,
    ObservationSpec, Progress, SystemSpec, TransitionBatch, UNDECIDED,
};
pub use serde;
#[doc(hidden)]
pub use {abi_stable, inventory};

/// Registers a type that implements [`Policy`] under the name scenarios use, with a sentence on
/// what it does and, in brackets, its further capabilities: `saved`, `learner`,
/// `value_function`, `student`. A capability whose trait is not implemented does not compile.
#[macro_export]
macro_rules! register_policy {
    ($policy:ty, $name:literal, $about:literal $(, [$($capability:ident),* $(,)?])? $(,)?) => {
        $crate::inventory::submit! {{
            const TABLE: &$crate::export::Table<$policy> =
                &$crate::export::Table::<$policy>::NONE$($(.$capability())*)?;
            $crate::export::Registration {
                name: $name,
                about: $about,
                needs: <$policy as $crate::Policy>::NEEDS,
                create: $crate::export::Create::Policy(
                    TABLE.capabilities(),
                    |context| $crate::export::policy::<$policy>(context, TABLE),
                ),
            }
        }}
    };
}

/// Registers a type that implements [`Explorer`] under the name scenarios use, with a sentence
/// on what it does.
#[macro_export]
macro_rules! register_explorer {
    ($explorer:ty, $name:literal, $about:literal $(,)?) => {
        $crate::inventory::submit! {
            $crate::export::Registration {
                name: $name,
                about: $about,
                needs: <$explorer as $crate::Explorer>::NEEDS,
                create: $crate::export::Create::Explorer(
                    |context| $crate::export::explorer::<$explorer>(context),
                ),
            }
        }
    };
}

/// Makes the crate a plugin: exports what has been registered anywhere in it. Once a crate.
#[macro_export]
macro_rules! export_plugin {
    () => {
        /// The manifest by which offramp knows this library.
        #[unsafe(no_mangle)]
        pub extern "C" fn offramp_plugin_manifest() -> *const $crate::boundary::Manifest {
            $crate::export::manifest(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        }
    };
}
