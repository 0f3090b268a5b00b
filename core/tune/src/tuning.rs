//! A search that is ready to run: its configurations, each checked, and its rungs.

use std::path::Path;

use offramp_harness::Registry;
use offramp_results::tuning::Unit;
use offramp_scenario::{Experiment, Fault, Scenario, Tuned, TuningEntry, replace};

use crate::configurations::configurations;
use crate::error::TuneError;
use crate::lesson::Lesson;
use crate::plan::{Rung, within_budget};

/// A search that is ready to run.
pub struct Tuning<'r> {
    pub(crate) scenario: Scenario,
    pub(crate) entry: TuningEntry,
    pub(crate) registry: &'r Registry,
    pub(crate) unit: Unit,
    /// The values of each configuration that the budget allows, in the order of the space.
    pub(crate) configurations: Vec<Vec<String>>,
    pub(crate) rungs: Vec<Rung>,
    /// What it is made of besides the text of the scenario: names and SHA-256 of files.
    pub(crate) parts: Vec<(String, String)>,
}

impl<'r> Tuning<'r> {
    /// Draws the configurations of a scenario with a `tune` section, plans the rungs, and creates the
    /// plugins of each configuration once, so that a mistake shows at once.
    ///
    /// # Errors
    /// [`TuneError::Fault`] if there is nothing to tune, the budget is too small, or a configuration
    /// is refused, which it then names; [`TuneError::Results`] if a checkpoint can't be read.
    pub fn new(scenario: Scenario, registry: &'r Registry) -> Result<Self, TuneError> {
        let Some(entry) = scenario.tuning.clone() else {
            let help = "give it a `tune` section; scenarios/README.md explains it".to_owned();
            let fault = scenario.fault("", "there is nothing to tune".to_owned(), Some(help));
            return Err(Box::new(fault).into());
        };
        let (unit, full) = match entry.section {
            Tuned::Training => {
                let slots = u64::from(scenario.system.slot_count());
                (Unit::Episodes { slots }, scenario.training.as_ref().map(|entry| entry.episodes))
            }
            Tuned::Distillation => {
                (Unit::Steps, scenario.distillation.as_ref().map(|entry| entry.steps))
            }
        };
        // That the section exists was checked when the scenario was read.
        let full = full.unwrap_or_default();
        let mut configurations = configurations(&entry);
        let rungs = within_budget(&entry, configurations.len(), full, unit).map_err(|needed| {
            let message = format!("the finalists alone take {needed} {}", unit.of_cost());
            let help = "raise the budget, or lower `finalists` or the length of a finalist";
            Box::new(scenario.fault("tune.budget", message, Some(help.to_owned())))
        })?;
        configurations.truncate(rungs[0].configurations);
        let parts = Vec::new();
        let mut tuning = Self { scenario, entry, registry, unit, configurations, rungs, parts };
        for number in 0..tuning.configurations.len() {
            let lesson = tuning.lesson(number, full, tuning.entry.seed)?;
            // Nothing is read from a new folder.
            lesson.check(Path::new(""))?;
            tuning.parts.extend(lesson.parts()?);
        }
        tuning.parts.sort();
        tuning.parts.dedup();
        Ok(tuning)
    }

    /// Trainings or distillations of all rungs.
    pub fn lessons(&self) -> usize {
        self.rungs.iter().map(|rung| rung.configurations * rung.seeds.len()).sum()
    }

    /// The lesson of a configuration: its training or distillation of that length, under that seed.
    pub(crate) fn lesson(
        &self,
        configuration: usize,
        length: u64,
        seed: u64,
    ) -> Result<Lesson, Box<Fault>> {
        let Self { scenario, entry, .. } = self;
        let values = &self.configurations[configuration];
        let mut text = scenario.text.to_string();
        let mut shown = Vec::new();
        for ((field, _), value) in entry.space.iter().zip(values) {
            text = replace(&text, field, value).ok_or_else(|| {
                let message = format!("this scenario has no field `{field}`");
                scenario.fault(&format!("tune.space.{field}"), message, None)
            })?;
            shown.push(format!("{field} = {value}"));
        }
        let own = [(entry.section.length(), length), (entry.section.seed(), seed)];
        for (field, value) in own {
            text = replace(&text, field, &value.to_string()).unwrap_or(text);
        }
        let shown = shown.join(", ");
        let name = format!("{} (configuration {configuration}, {shown})", scenario.source_name);
        let mut points = Experiment::parse(&name, text, &scenario.folder, &[])?.points;
        // A scenario that is tuned has no sweep.
        Ok(Lesson::bind(entry.section, points.swap_remove(0), self.registry)?)
    }
}
