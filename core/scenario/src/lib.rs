//! Scenario files: one self-explaining RON file per experiment, read and checked without running
//! anything.
//!
//! A scenario says which system is simulated, what arrives, which policies are compared and how
//! they are evaluated, trained or distilled. Reading one touches no plugin and no checkpoint: a
//! policy is a name, the text of its parameters and a path, which `offramp-harness` binds to
//! plugins when something is about to run.
//!
//! How to use it, in the order a user works:
//!
//! 1. [`Experiment::read`] a file, with the [`Setting`]s that a command line changes.
//! 2. Look at its [`points`](Experiment::points): every point of the sweep is a [`Scenario`] that
//!    one could have written and run alone, whatever is swept, parameters of policies included.
//! 3. What can't be is a [`Fault`]: what is wrong, where, and what would mend it.
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
//! A file is read in two stages: what it says (unknown fields denied), then a valid [`Scenario`]
//! that can't be wrong. A sweep replaces text, so that comments and fields stay as they were
//! written and every error shows its place in the file.

mod entries;
mod fault;
mod file;
mod outline;
mod raw;
mod sweep;
mod system;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use offramp_model::{ObservationKind, ObservationSpec, System};

pub use entries::{
    DistillationEntry, EvaluationEntry, Limits, PluginEntry, PolicyEntry, TrainingEntry,
};
pub use fault::{Fault, ScenarioError, fault_of, nearest, read_ron, read_text};
use file::{ObservationField, ScenarioFile};
pub use outline::{has, replace};
pub use raw::Raw;

/// A scenario file that has been read, with every point of its sweep.
///
/// `P` is what a point is: a [`Scenario`], or what a scenario has been bound to.
#[derive(Clone, Debug)]
pub struct Experiment<P = Scenario> {
    /// The name that results use.
    pub name: String,
    /// The file as it is run, changes from the command line included.
    pub text: String,
    /// Every point of the sweep, in order: at least one.
    pub points: Vec<P>,
}

/// A valid scenario, or one point of its sweep.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The name that results use.
    pub name: String,
    /// What it is for, in a sentence.
    pub about: String,
    /// Devices, servers, uplinks and tasks.
    pub system: Arc<System>,
    /// What policies observe.
    pub observation: ObservationSpec,
    /// The policies to compare; their labels differ. May be empty.
    pub policies: Vec<PolicyEntry>,
    /// How they are evaluated.
    pub evaluation: EvaluationEntry,
    /// What is trained, if the scenario has a `train` section.
    pub training: Option<TrainingEntry>,
    /// What is distilled, if the scenario has a `distill` section.
    pub distillation: Option<DistillationEntry>,
    /// The limits of a run in a process of its own; `None` if runs share offramp's process.
    pub isolation: Option<Limits>,
    /// The folder that paths in the scenario are relative to.
    pub folder: PathBuf,
    /// The file, with the point of the sweep: how errors name it.
    pub source_name: String,
    /// The text of this point alone.
    pub text: Arc<str>,
    /// The point of the sweep: each swept field and its value; empty outside a sweep.
    pub point: Vec<(String, String)>,
}

/// A field that the command line sets, whatever the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The path of the field, such as `evaluate.seed`.
    pub field: &'static str,
    /// Its value, as RON.
    pub value: String,
}

impl Experiment {
    /// Reads a scenario file, with `settings` in place of what the file says.
    ///
    /// # Errors
    /// [`ScenarioError`] with the place in the file, what is wrong and how to mend it.
    pub fn read(path: &Path, settings: &[Setting]) -> Result<Self, ScenarioError> {
        let text = read_text(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let name = path.display().to_string();
        Self::parse(&name, text, folder, settings)
            .map_err(|fault| ScenarioError::Invalid(Box::new(fault)))
    }

    /// Reads the text of a scenario; `folder` is what paths in it are relative to.
    ///
    /// # Errors
    /// The first fault.
    pub fn parse(
        source_name: &str,
        text: String,
        folder: &Path,
        settings: &[Setting],
    ) -> Result<Self, Fault> {
        let source = Source { name: source_name, text: &text, folder };
        source.read_file()?; // So that an error shows the file as it was written.
        let mut changed = text.clone();
        for Setting { field, value } in settings {
            // A setting of a section that the file lacks has nothing to change.
            let section = field.split_once('.').map(|(section, _)| section);
            if section.is_none_or(|section| section == "evaluate" || has(&text, section)) {
                changed = replace(&changed, field, value).unwrap_or(changed);
            }
        }
        let text = changed;
        let source = Source { name: source_name, text: &text, folder };
        let file = source.read_file()?;
        let points = sweep::points(&source, &file.sweep)?
            .into_iter()
            .map(|point| source.point(&file, point))
            .collect::<Result<_, _>>()?;
        Ok(Self { name: file.name, text, points })
    }
}

impl<P> Experiment<P> {
    /// Turns every point into something else.
    ///
    /// # Errors
    /// The first error of `bind`.
    pub fn try_map<Q, E>(self, bind: impl FnMut(P) -> Result<Q, E>) -> Result<Experiment<Q>, E> {
        let Self { name, text, points } = self;
        let points = points.into_iter().map(bind).collect::<Result<_, _>>()?;
        Ok(Experiment { name, text, points })
    }
}

impl Scenario {
    /// A fault of the value of `field`, such as `policies.0.plugin`.
    pub fn fault(&self, field: &str, message: String, help: Option<String>) -> Fault {
        fault_of(&self.source_name, &self.text, field, message, help)
    }

    /// The point of the sweep as `field = value, …`; empty outside a sweep.
    pub fn point_text(&self) -> String {
        point_text(&self.point)
    }
}

fn point_text(point: &[(String, String)]) -> String {
    let parts: Vec<_> = point.iter().map(|(field, value)| format!("{field} = {value}")).collect();
    parts.join(", ")
}

/// The text of a scenario, and how errors name it.
#[derive(Clone, Copy)]
struct Source<'t> {
    name: &'t str,
    text: &'t str,
    folder: &'t Path,
}

impl Source<'_> {
    fn fault(&self, field: &str, message: String, help: Option<String>) -> Fault {
        fault_of(self.name, self.text, field, message, help)
    }

    /// The first stage.
    fn read_file(&self) -> Result<ScenarioFile, Fault> {
        read_ron(self.name, self.text)
    }

    /// The scenario at a point of the sweep.
    fn point(&self, file: &ScenarioFile, point: Vec<(String, String)>) -> Result<Scenario, Fault> {
        if point.is_empty() {
            return self.scenario(file, point);
        }
        let mut text = self.text.to_owned();
        for (field, value) in &point {
            text = replace(&text, field, value).ok_or_else(|| {
                let message =
                    format!("`sweep` names `{field}`, but this scenario has no such field");
                self.fault(&format!("sweep.{field}"), message, None)
            })?;
        }
        let name = format!("{} (sweep, {})", self.name, point_text(&point));
        let source = Source { name: &name, text: &text, folder: self.folder };
        source.scenario(&source.read_file()?, point)
    }

    /// The second stage.
    fn scenario(
        &self,
        file: &ScenarioFile,
        point: Vec<(String, String)>,
    ) -> Result<Scenario, Fault> {
        let observation = ObservationSpec {
            kind: match file.observation {
                ObservationField::Paper => ObservationKind::Paper,
                ObservationField::Extended => ObservationKind::Extended,
                ObservationField::Published => ObservationKind::Published,
            },
            history_slots: file.history_slots,
        };
        if !(1..=10_000).contains(&file.history_slots) {
            let message = format!("{} is out of range 1 … 10000", file.history_slots);
            return Err(self.fault("history_slots", message, None));
        }
        if file.name.is_empty() || file.name.contains(['/', '\\']) || file.name.starts_with('.') {
            let message = "a name must not be empty, begin with a dot or have a slash".to_owned();
            return Err(self.fault("name", message, None));
        }
        let limits = entries::limits(self, &file.limits)?;
        Ok(Scenario {
            name: file.name.clone(),
            about: file.about.clone(),
            evaluation: entries::evaluation(self, &file.evaluate)?,
            system: Arc::new(system::system(self, file)?),
            observation,
            policies: entries::policies(self, &file.policies)?,
            training: file
                .train
                .as_ref()
                .map(|section| entries::training(self, section))
                .transpose()?,
            distillation: file
                .distill
                .as_ref()
                .map(|section| entries::distillation(self, section))
                .transpose()?,
            isolation: file.isolate.then_some(limits),
            folder: self.folder.to_owned(),
            source_name: self.name.to_owned(),
            text: self.text.into(),
            point,
        })
    }
}
