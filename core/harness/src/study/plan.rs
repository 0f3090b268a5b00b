//! What a study needs: its lessons and evaluations, each with the key of all it depends on.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use offramp_results::files::sha256;

use offramp_scenario::{Experiment, Fault, Scenario, fault_of, replace};

use crate::bind::{bind_distillation, bind_evaluation, bind_training};

use super::file::{ItemSection, PointSection, PolicySource, Settings, TrainedAt};
use super::{Bench, Study, StudyError};

/// One training seed of a policy at a point: what it is taught, and how it is evaluated.
pub(super) struct Trial {
    pub(super) lesson: Option<Lesson>,
    pub(super) evaluation: Evaluation,
}

/// A training, or a distillation after its teacher's training.
pub(super) struct Lesson {
    pub(super) name: String,
    /// The folder, relative to that of all lessons. The scenario's name is in it, not the policy's:
    /// policies that learn the same share it.
    pub(super) folder: String,
    /// The hash of all it depends on.
    pub(super) key: String,
    /// The scenario's text as it is run.
    pub(super) scenario: String,
    /// The training of whom it is distilled from.
    pub(super) teacher: Option<Box<Lesson>>,
}

/// An evaluation.
pub(super) struct Evaluation {
    pub(super) name: String,
    pub(super) key: String,
    pub(super) scenario: String,
}

impl Trial {
    /// Adds the keys of all that it needs.
    pub(super) fn keys(&self, all: &mut HashSet<String>) {
        if let Some(lesson) = &self.lesson {
            all.extend(lesson.teacher.iter().map(|teacher| teacher.key.clone()));
            all.insert(lesson.key.clone());
        }
        all.insert(self.evaluation.key.clone());
    }
}

/// What a folder is called: a name as far as it is plain, and the beginning of a key.
pub(super) fn folder_name(name: &str, key: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = name.chars().map(plain).collect();
    format!("{name}-{}", &key[..12])
}

/// What is done with a scenario.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Training,
    Distillation,
    Evaluation,
}

/// True if a field concerns a stage: those of the other stages do not.
fn concerns(field: &str, stage: Stage) -> bool {
    match field.split('.').next() {
        Some("train") => stage == Stage::Training,
        Some("distill") => stage == Stage::Distillation,
        _ => true,
    }
}

/// A RON text in quotes.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A policy in a scenario.
fn entry(plugin: &str, name: &str, checkpoint: Option<&str>, parameters: &str) -> String {
    let mut text = format!("(plugin: {}, name: {}", quoted(plugin), quoted(name));
    if let Some(checkpoint) = checkpoint {
        text += &format!(", checkpoint: {}", quoted(checkpoint));
    }
    if !parameters.is_empty() {
        text += &format!(", parameters: {parameters}");
    }
    text + ")"
}

/// All settings as one, later ones over earlier ones: however they came together, the same settings
/// make the same text of a scenario, so that the same is not learned twice.
fn merged<'s>(settings: &[&'s Settings]) -> BTreeMap<&'s str, &'s str> {
    let mut merged = BTreeMap::new();
    for (field, value) in settings.iter().copied().flatten() {
        // What a later one sets as a whole leaves nothing of what was set inside it.
        merged.retain(|earlier: &&str, _| {
            !earlier.strip_prefix(field.as_str()).is_some_and(|rest| rest.starts_with('.'))
        });
        merged.insert(field.as_str(), value.0.as_str());
    }
    merged
}

impl Bench<'_> {
    /// `scenario`'s text with all settings that concern `stage`.
    fn text(
        &self,
        scenario: &str,
        settings: &[&Settings],
        stage: Stage,
    ) -> Result<String, Box<Fault>> {
        let mut text = self.study.scenarios.get(scenario).cloned().unwrap_or_default();
        for (field, value) in merged(settings) {
            if concerns(field, stage) {
                text = self.set(scenario, &text, field, value)?;
            }
        }
        Ok(text)
    }

    fn set(
        &self,
        scenario: &str,
        text: &str,
        field: &str,
        value: &str,
    ) -> Result<String, Box<Fault>> {
        replace(text, field, value).ok_or_else(|| {
            let message = format!("the study sets `{field}`, and it is no field of anything here");
            Box::new(fault_of(scenario, text, field, message, None))
        })
    }

    pub(super) fn parse(
        &self,
        name: &str,
        text: &str,
        folder: &Path,
    ) -> Result<Experiment, Box<Fault>> {
        Experiment::parse(name, text.to_owned(), folder, &[]).map_err(Box::new)
    }

    /// The only point of a scenario: studies have points of their own.
    pub(super) fn scenario(
        &self,
        name: &str,
        text: &str,
        folder: &Path,
    ) -> Result<Scenario, Box<Fault>> {
        let mut points = self.parse(name, text, folder)?.points;
        if points.len() == 1 {
            return Ok(points.remove(0));
        }
        let message = "a study has points of its own: its scenarios have no sweep".to_owned();
        Err(Box::new(fault_of(name, text, "sweep", message, None)))
    }

    /// Everything that a policy at a point needs, for each training seed.
    pub(super) fn plan(
        &self,
        item: &ItemSection,
        policy: &str,
        point: &PointSection,
    ) -> Result<Vec<Trial>, StudyError> {
        let Study { file, quick, .. } = self.study;
        let none = Settings::new();
        let quick_set = if *quick { &file.quick.set } else { &none };
        let anywhere = PointSection::default();
        let trained_at = match item.trained {
            TrainedAt::EachPoint => point,
            TrainedAt::Once => &anywhere,
        };
        let own = point.of.get(policy).unwrap_or(&none);
        let source = &file.policies[policy];
        if let PolicySource::Fixed { plugin, parameters, set } = source {
            let parameters = parameters.as_ref().map_or("", |raw| raw.0.as_str());
            let settings = [quick_set, set, &point.set, own];
            let listed = entry(plugin, policy, None, parameters);
            let evaluation = self.evaluation(policy, &file.scenario, &settings, &listed, "")?;
            return Ok(vec![Trial { lesson: None, evaluation }]);
        }
        let trial = |&seed: &u64| -> Result<Trial, StudyError> {
            let (scenario, set, own_quick) = match source {
                PolicySource::Trained { scenario, set, quick, .. }
                | PolicySource::Distilled { scenario, set, quick, .. } => (scenario, set, quick),
                PolicySource::Fixed { set, .. } => (&file.scenario, set, &none),
            };
            let own_quick = if *quick { own_quick } else { &none };
            let lesson = self.lesson(policy, source, quick_set, trained_at, seed)?;
            let checkpoint = format!("learned/{}/best.safetensors", lesson.folder);
            let (plugin, parameters) = self.learner(&lesson)?;
            let settings = [quick_set, set, own_quick, &point.set, own];
            let listed = entry(&plugin, policy, Some(&checkpoint), &parameters);
            let evaluation = self.evaluation(policy, scenario, &settings, &listed, &lesson.key)?;
            Ok(Trial { lesson: Some(lesson), evaluation })
        };
        self.study.training_seeds().iter().map(trial).collect()
    }

    /// The policy that learns in a lesson, with its parameters.
    fn learner(&self, lesson: &Lesson) -> Result<(String, String), Box<Fault>> {
        let scenario = self.scenario(&lesson.name, &lesson.scenario, &self.study.folder)?;
        let learner = match lesson.teacher {
            Some(_) => scenario.distillation.map(|entry| entry.student),
            None => scenario.training.map(|entry| entry.learner),
        };
        Ok(learner.map(|entry| (entry.name, entry.parameters)).unwrap_or_default())
    }

    fn lesson(
        &self,
        name: &str,
        source: &PolicySource,
        quick_set: &Settings,
        point: &PointSection,
        seed: u64,
    ) -> Result<Lesson, StudyError> {
        let none = Settings::new();
        let own = point.of.get(name).unwrap_or(&none);
        let folder = &self.study.folder;
        match source {
            PolicySource::Distilled { scenario, teacher, set, quick } => {
                let taught_by = &self.study.file.policies[teacher];
                let teacher = self.lesson(teacher, taught_by, quick_set, point, seed)?;
                let (plugin, parameters) = self.learner(&teacher)?;
                let quick = if self.study.quick { quick } else { &none };
                let settings = [quick_set, set, quick, &point.set, own];
                let mut text = self.text(scenario, &settings, Stage::Distillation)?;
                let parameters = if parameters.is_empty() { "()" } else { &parameters };
                let checkpoint = quoted(&format!("{}/best.safetensors", teacher.folder));
                for (field, value) in [
                    ("distill.seed", seed.to_string()),
                    ("distill.teacher.plugin", quoted(&plugin)),
                    ("distill.teacher.parameters", parameters.to_owned()),
                ] {
                    text = self.set(scenario, &text, field, &value)?;
                }
                let read = self.scenario(scenario, &text, folder)?;
                // The teacher's checkpoint is set below: it may not be there yet.
                let read = bind_distillation(read, self.registry).map_err(Box::new)?;
                let plugins = Some(
                    [&read.teacher.plugin, &read.student.plugin]
                        .map(|plugin| plugin.library.sha256.clone()),
                );
                let read = read.scenario;
                let text = self.set(scenario, &text, "distill.teacher.checkpoint", &checkpoint)?;
                let key = sha256(format!("{} {plugins:?} {text}", teacher.key).as_bytes());
                let folder = folder_name(&read.name, &key);
                let teacher = Some(Box::new(teacher));
                Ok(Lesson { name: name.to_owned(), folder, key, scenario: text, teacher })
            }
            PolicySource::Trained { scenario, set, quick } => {
                let quick = if self.study.quick { quick } else { &none };
                let settings = [quick_set, set, quick, &point.set, own];
                let text = self.text(scenario, &settings, Stage::Training)?;
                let text = self.set(scenario, &text, "train.seed", &seed.to_string())?;
                let read = self.scenario(scenario, &text, folder)?;
                let read = bind_training(read, self.registry).map_err(Box::new)?;
                let explorer = read.explorer.map(|bound| bound.plugin.library.sha256.clone());
                let plugins = Some((read.learner.plugin.library.sha256.clone(), explorer));
                let read = read.scenario;
                let key = sha256(format!("{plugins:?} {text}").as_bytes());
                let folder = folder_name(&read.name, &key);
                Ok(Lesson { name: name.to_owned(), folder, key, scenario: text, teacher: None })
            }
            PolicySource::Fixed { .. } => unreachable!("what does not learn has no lessons"),
        }
    }

    /// The evaluation of `listed`, an entry of a scenario's policies.
    fn evaluation(
        &self,
        name: &str,
        scenario: &str,
        settings: &[&Settings],
        listed: &str,
        lesson: &str,
    ) -> Result<Evaluation, StudyError> {
        let mut text = self.text(scenario, settings, Stage::Evaluation)?;
        let seed = self.study.file.evaluate.seed;
        let evaluate = format!("(episodes: {}, seed: {seed})", self.study.episodes());
        for (field, value) in [("policies", format!("[{listed}]")), ("evaluate", evaluate)] {
            text = self.set(scenario, &text, field, &value)?;
        }
        let mut read = self.scenario(scenario, &text, &self.study.folder)?;
        // What is learned may not be there yet; the rest is checked now.
        if !lesson.is_empty() {
            read.policies.iter_mut().for_each(|policy| policy.checkpoint = None);
        }
        let read = bind_evaluation(read, self.registry).map_err(Box::new)?;
        let plugins: Vec<_> =
            read.policies.iter().map(|policy| policy.plugin.library.sha256.clone()).collect();
        let key = sha256(format!("{lesson} {plugins:?} {text}").as_bytes());
        Ok(Evaluation { name: name.to_owned(), key, scenario: text })
    }
}
