//! Studies: policies that are trained, distilled and compared, and the tables and figures made of
//! the results.
//!
//! [`Study::read`] reads a study file and the scenarios it refers to. [`Study::run`] does whatever
//! has not been done yet and returns the numbers behind the tables and figures. [`Study::claims`]
//! judges the study's claims by these numbers. `offramp-report` draws all of it.
//!
//! ```no_run
//! use offramp_harness::events::Quiet;
//! use offramp_harness::executor::InProcess;
//! use offramp_harness::resume::{Claim, Start};
//! use offramp_harness::Registry;
//! use offramp_study::{Size, Study};
//!
//! let registry = Registry::discover(&["target/release".into()], None)?;
//! let study = Study::read("scenarios/reproduce/paper.ron".as_ref(), Size::Quick)?;
//! let (out, only) = ("runs/quick".as_ref(), ["table-3".to_owned()]);
//! let _claim = Claim::new(out, Start::Resume, &study.work())?;
//! let outcome = study.run(&registry, out, &only, &InProcess, &Quiet)?;
//! for claim in study.claims(&outcome.exhibits) {
//!     println!("{}: {:?}", claim.text, claim.verdict);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ```text
//! OUT/learned/SCENARIO-KEY/ a training or a distillation, as `train` and `distill` write them
//! OUT/results/POLICY-KEY/   one run folder per policy, point and training seed
//! OUT/results/ITEM-KEY/     one live run per item of streams and training seed
//! ```
//!
//! A key is a hash of everything that the contents of a folder depend on: the engine, the scenario
//! as it is run, the plugins' files, and the key of the teacher. So nothing is done twice, and a
//! change of the engine, a scenario or a plugin redoes exactly what depends on it.

mod check;
mod chosen;
mod claims;
mod effect;
mod file;
mod jobs;
mod lessons;
mod live_entry;
mod plan;
mod planned;
mod run;
mod streams;
mod study;
mod text;
mod work;

pub use file::{Size, fields};
pub use jobs::{Job, JobKind, JobOutcome};
pub use run::StudyOutcome;
pub use study::{Study, StudyError};
