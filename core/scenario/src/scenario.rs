//! Scenarios: the second of the two stages in which a file is read.

use std::path::PathBuf;
use std::sync::Arc;

use offramp_model::{ObservationSpec, System};

use crate::entries::{
    self, DistillationEntry, EvaluationEntry, Limits, PolicyEntry, TrainingEntry,
};
use crate::fault::{Fault, fault_of};
use crate::field::Section;
use crate::file::ScenarioFile;
use crate::live::{self, LiveEntry};
use crate::name::check_name;
use crate::observation;
use crate::source::Source;
use crate::sweep::point_text;
use crate::system::{self, Systems};
use crate::tuning::{self, TuningEntry};

/// A valid scenario: a whole file, or one point of its sweep.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The name that results use.
    pub name: String,
    /// Its purpose, in a sentence; may be empty.
    pub about: String,
    /// Devices, servers, uplinks and tasks, as they are evaluated on.
    pub system: Arc<System>,
    /// The same system, with the part of its recordings that trainings and datasets play.
    pub training_system: Arc<System>,
    /// The same system, with the part of its recordings that validations play.
    pub validation_system: Arc<System>,
    /// The files of recorded data that the system was made of.
    pub recordings: Vec<PathBuf>,
    /// The observation of policies: the features o and the length of the history h.
    pub observation: ObservationSpec,
    /// The policies to compare; their labels differ. May be empty.
    pub policies: Vec<PolicyEntry>,
    /// True if references are evaluated too: chance, the central plan and hindsight.
    pub hindsight: bool,
    /// How they are evaluated.
    pub evaluation: EvaluationEntry,
    /// The training, if the scenario has a `train` section.
    pub training: Option<TrainingEntry>,
    /// The distillation, if the scenario has a `distill` section.
    pub distillation: Option<DistillationEntry>,
    /// The search, if the scenario has a `tune` section.
    pub tuning: Option<TuningEntry>,
    /// The live run, if the scenario has a `live` section.
    pub live: Option<LiveEntry>,
    /// The limits of a run in a process of its own; `None` if runs share offramp's process.
    pub isolation: Option<Limits>,
    /// The folder that paths in the scenario are relative to.
    pub folder: PathBuf,
    /// The name of the file, with the point of the sweep: how errors refer to it.
    pub source_name: String,
    /// The text of this point alone.
    pub text: Arc<str>,
    /// The same without what a command line sets: errors show it.
    pub written: Arc<str>,
    /// The point of the sweep: each swept field and its value; empty outside a sweep.
    pub point: Vec<(String, String)>,
}

impl Scenario {
    /// The scenario with these contents; `point` is the point of the sweep it is at.
    pub(crate) fn new(
        source: Source<'_>,
        file: &ScenarioFile,
        point: Vec<(String, String)>,
    ) -> Result<Self, Fault> {
        file.check("").map_err(|out| source.fault(&out.path, out.fault, None))?;
        check_name(&file.name).map_err(|message| source.fault("name", message, None))?;
        let distill = file.distill.as_ref().map(|section| entries::distillation(source, section));
        let train = file.train.as_ref().map(|section| entries::training(source, section));
        let tune = file.tune.as_ref().map(|section| tuning::tuning(source, file, section));
        let live = file.live.as_ref().map(|section| live::live(source, section));
        let Systems { training, validation, evaluation: system, files } =
            system::system(source, file)?;
        let observation = observation::observation(source, file)?;
        observation::check(source, &observation, &system)?;
        Ok(Self {
            name: file.name.clone(),
            about: file.about.clone(),
            system,
            training_system: training,
            validation_system: validation,
            recordings: files,
            observation,
            policies: entries::policies(source, "policies", &file.policies)?,
            hindsight: file.hindsight,
            evaluation: entries::evaluation(&file.evaluate),
            training: train.transpose()?,
            distillation: distill.transpose()?,
            tuning: tune.transpose()?,
            live: live.transpose()?,
            isolation: file.isolate.then(|| entries::limits(&file.limits)),
            folder: source.folder.to_owned(),
            source_name: source.name.to_owned(),
            text: source.text.into(),
            written: source.text.into(),
            point,
        })
    }

    /// The scenario as validations play it.
    #[must_use]
    pub fn in_validation(&self) -> Self {
        Self { system: Arc::clone(&self.validation_system), ..self.clone() }
    }

    /// A fault of the value of `field`, such as `policies.0.plugin`.
    pub fn fault(&self, field: &str, message: String, help: Option<String>) -> Fault {
        let fault = fault_of(&self.source_name, &self.text, field, message, help);
        fault.in_text_written(&self.text, &self.written)
    }

    /// The point of the sweep as `field = value, …`; empty outside a sweep.
    pub fn point_text(&self) -> String {
        point_text(&self.point)
    }
}
