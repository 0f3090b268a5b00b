//! Scenario files: one self-explaining RON file per experiment, read and checked without running
//! anything.
//!
//! A scenario describes the system that is simulated, the tasks that arrive, the policies that are
//! compared, and how they are evaluated, trained or distilled. Reading one touches no plugin and no
//! checkpoint: a policy is a name, the text of its parameters and a path, which `offramp-harness`
//! binds to plugins before anything runs.
//!
//! In the order of use:
//!
//! 1. [`Experiment::read`] reads a file, with the [`Setting`]s of a command line in place of what
//!    the file says.
//! 2. Each of its [`points`](Experiment::points) is a [`Scenario`]: one point of the sweep, as if
//!    written as a file of its own. Any field can be swept, including parameters of policies; those of
//!    the system can be drawn anew for each episode of a training ([`DrawnSystems`]), or change in the
//!    middle of a live run ([`LiveEntry`]).
//!    A file may take fields and values from [other files](read_settings), such as a search for
//!    hyper-parameters writes; its [`text`](Experiment::text) then has them in their places.
//! 3. An invalid file yields a [`Fault`]: the place, what is wrong there, and how to mend it.
//!
//! ```
//! use offramp_scenario::Experiment;
//!
//! let text = r#"(
//!     name: "first-look",
//!     system: (devices: 10, servers: 2),
//!     policies: [(plugin: "random"), (plugin: "all-local")],
//!     sweep: { "tasks.arrival_probability": [0.1, 0.2, 0.3] },
//! )"#;
//! let experiment = Experiment::parse("first-look.ron", text.to_owned(), "".as_ref(), &[])?;
//! assert_eq!(experiment.points.len(), 3);
//! assert_eq!(experiment.points[2].point, [("tasks.arrival_probability".into(), "0.3".into())]);
//! assert_eq!(experiment.points[0].system.device_count(), 10);
//!
//! let wrong = text.replace("devices", "device");
//! let fault = Experiment::parse("first-look.ron", wrong, "".as_ref(), &[]).unwrap_err();
//! assert_eq!(fault.help.as_deref(), Some("did you mean `devices`?"));
//! # Ok::<(), offramp_scenario::Fault>(())
//! ```
//!
//! A file is read in two stages: first its contents, where unknown fields are denied, then a valid
//! [`Scenario`]. Every field is defined once, with documentation, default and range: [`fields`]
//! lists them, and the tables of `scenarios/README.md` are generated from that list. A sweep
//! replaces text, so that comments and fields stay as they were written and every error shows its
//! place in the file.

mod alone;
mod domain;
mod drawn;
mod entries;
mod experiment;
mod fault;
pub mod field;
mod file;
mod live;
mod name;
mod named_file;
mod observation;
mod outline;
mod raw;
mod recording;
mod scenario;
mod settings;
mod source;
mod sweep;
mod system;
mod tuning;
mod world;

pub use domain::{Domain, Scale};
pub use drawn::DrawnSystems;
pub use entries::{
    DistillationEntry, EvaluationEntry, Limits, MiniBatch, PluginEntry, PolicyEntry, TrainingEntry,
};
pub use experiment::{Experiment, Setting, SettingValue};
pub use fault::{Fault, ScenarioError, fault_of, nearest, read_ron, read_text};
pub use field::{Field, FieldDefault};
pub use file::fields;
pub use live::{
    Change, Encoding, Exchange, FederatedEntry, Learns, LiveEntry, LivePolicy, OnlineEntry, Phase,
    PrivacyEntry,
};
pub use name::check_name;
pub use named_file::{NamedFileError, named_file};
pub use outline::{fields_of, has, replace, value_of};
pub use raw::Raw;
pub use scenario::Scenario;
pub use settings::{
    SettingsFile, TuningFacts, read_scenario_settings, read_scenario_text, read_settings,
};
pub use tuning::{Tuned, TuningEntry};
