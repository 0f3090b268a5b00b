//! The plan of a study: its trainings, distillations and evaluations, each with the key of
//! everything it depends on.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use offramp_results::exhibit::Lineage;
use offramp_results::files::{FileRecord, MAX_DATA_BYTES, sha256};
use offramp_scenario::{Experiment, Fault, Raw, Scenario, fault_of, has};

use offramp_harness::bind::{
    BoundPolicy, Distillation, Training, bind_distillation, bind_evaluation, bind_training,
};
use offramp_harness::engine::ENGINE;
use offramp_harness::reference::Reference;
use offramp_harness::{files_of, recorded_files};

use crate::file::{ExhibitSection, PointSection, PolicySource, Settings, Size, TrainedAt};
use crate::study::{Study, StudyError, StudyRunner};
use crate::text::{merged, with};

/// One training seed of a policy at a point: its training or distillation, if it learns, and its
/// evaluation.
pub(crate) struct SeedRun {
    pub(crate) job: Option<TrainingJob>,
    /// The training that it descends from, if it learns.
    pub(crate) lineage: Option<Lineage>,
    pub(crate) evaluation: EvaluationJob,
    /// The reference that is measured, if it is not a policy.
    pub(crate) reference: Option<Reference>,
}

/// A training, or a distillation after its teacher's training.
pub(crate) struct TrainingJob {
    pub(crate) name: String,
    /// Its folder, relative to that of all jobs. It is named after the scenario, not the policy:
    /// policies that learn the same share it.
    pub(crate) folder: String,
    /// The hash of everything it depends on.
    pub(crate) key: String,
    /// The scenario's text as it is run.
    pub(crate) scenario: String,
    /// The scenario's folder, to which paths in parameters are relative.
    pub(crate) home: PathBuf,
    /// The training of its teacher, if it is a distillation.
    pub(crate) teacher: Option<Box<TrainingJob>>,
}

/// An evaluation.
pub(crate) struct EvaluationJob {
    pub(crate) name: String,
    pub(crate) key: String,
    pub(crate) scenario: String,
    /// The scenario's folder, to which paths in parameters are relative.
    pub(crate) home: PathBuf,
    /// True if it measures times, so that nothing else may run.
    pub(crate) alone: bool,
}

impl EvaluationJob {
    /// The same evaluation on a single thread. Its results have a folder of their own, since
    /// those of another may be there already.
    pub(crate) fn alone(self) -> Self {
        let key = sha256(format!("{} alone", self.key).as_bytes());
        Self { key, alone: true, ..self }
    }

    /// Its folder, relative to the study's.
    pub(crate) fn folder(&self) -> String {
        format!("results/{}", folder_name(&self.name, &self.key))
    }

    /// The number of threads it may use; `None` for all.
    pub(crate) fn threads(&self) -> Option<usize> {
        self.alone.then_some(1)
    }
}

/// The live run of a training seed.
pub(crate) struct LiveJob {
    pub(crate) seed: u64,
    /// The id of the item.
    pub(crate) name: String,
    /// The hash of everything it depends on.
    pub(crate) key: String,
    /// The scenario's text as it is run.
    pub(crate) scenario: String,
    /// The scenario's folder, to which paths are relative.
    pub(crate) home: PathBuf,
    /// The trainings and distillations whose checkpoints it has, by the files that the scenario names.
    pub(crate) lessons: BTreeMap<String, TrainingJob>,
}

impl LiveJob {
    /// Its folder, relative to the study's.
    pub(crate) fn folder(&self) -> String {
        format!("results/{}", folder_name(&self.name, &self.key))
    }

    /// Adds the keys of everything it needs.
    pub(crate) fn keys(&self, all: &mut HashSet<String>) {
        for lesson in self.lessons.values() {
            all.extend(lesson.teacher.iter().map(|teacher| teacher.key.clone()));
            all.insert(lesson.key.clone());
        }
        all.insert(self.key.clone());
    }
}

impl SeedRun {
    /// Adds the keys of everything it needs.
    pub(crate) fn keys(&self, all: &mut HashSet<String>) {
        if let Some(job) = &self.job {
            all.extend(job.teacher.iter().map(|teacher| teacher.key.clone()));
            all.insert(job.key.clone());
        }
        all.insert(self.evaluation.key.clone());
    }
}

/// Folder name: the sanitised name plus the first 12 digits of the key.
fn folder_name(name: &str, key: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = name.chars().map(plain).collect();
    format!("{name}-{}", &key[..12])
}

/// The part of a key that covers the files plugins read by themselves; empty if there are none.
pub(crate) fn described(files: &[FileRecord]) -> String {
    let file = |FileRecord { path, sha256 }: &FileRecord| format!(" {path} {sha256}");
    files.iter().map(file).collect()
}

/// The recorded data of a scenario.
pub(crate) fn recordings(scenario: &Scenario) -> Result<Vec<FileRecord>, Box<Fault>> {
    let fault = |cause| Box::new(scenario.fault("recordings", cause, None));
    recorded_files(scenario).map_err(fault)
}

/// The record of the checkpoint that a scenario names in `field`.
fn begun_from(
    scenario: &Scenario,
    field: &str,
    file: Option<&str>,
) -> Result<Option<FileRecord>, Box<Fault>> {
    let record = |file: &str| {
        FileRecord::of(Path::new(file), &scenario.folder, MAX_DATA_BYTES).map_err(|cause| {
            Box::new(scenario.fault(field, format!("checkpoint {file}: {cause}"), None))
        })
    };
    file.map(record).transpose()
}

/// The part of a study that uses a scenario.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Training,
    Distillation,
    Evaluation,
}

/// True if a field matters in a stage.
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

impl StudyRunner<'_> {
    /// `scenario`'s text with all settings that concern `stage`.
    pub(crate) fn text(
        &self,
        scenario: &str,
        settings: &[&Settings],
        stage: Stage,
    ) -> Result<String, Box<Fault>> {
        let mut text = self.study.scenarios.get(scenario).cloned().unwrap_or_default();
        for (field, value) in merged(settings) {
            if concerns(field, stage) {
                text = with(scenario, &text, field, value)?;
            }
        }
        Ok(text)
    }

    /// Reads the text of a scenario.
    pub(crate) fn parse(
        &self,
        name: &str,
        text: &str,
        folder: &Path,
    ) -> Result<Experiment, Box<Fault>> {
        Experiment::parse(name, text.to_owned(), folder, &[]).map_err(Box::new)
    }

    /// The only point of a scenario; it must not have a sweep.
    pub(crate) fn scenario(
        &self,
        name: &str,
        text: &str,
        folder: &Path,
    ) -> Result<Scenario, Box<Fault>> {
        let mut points = self.parse(name, text, folder)?.points;
        if points.len() == 1 {
            return Ok(points.remove(0));
        }
        let message =
            "a study has its own points, so its scenarios must not have a `sweep`".to_owned();
        Err(Box::new(fault_of(name, text, "sweep", message, None)))
    }

    /// Everything that a policy at a point needs, for each training seed.
    pub(crate) fn plan(
        &self,
        item: &ExhibitSection,
        policy: &str,
        point: &PointSection,
    ) -> Result<Vec<SeedRun>, StudyError> {
        let Study { file, size, .. } = self.study;
        let quick = *size == Size::Quick;
        let none = Settings::new();
        let quick_set = if quick { &file.quick.set } else { &none };
        let anywhere = PointSection::unlabelled();
        let own = point.of.get(policy).unwrap_or(&none);
        let source = &file.policies[policy];
        let trained_at = match source.trained(item.trained) {
            TrainedAt::EachPoint => point,
            TrainedAt::Once => &anywhere,
        };
        if let PolicySource::Fixed { plugin, parameters, set } = source {
            let parameters = parameters.as_ref().map_or("", |raw| raw.0.as_str());
            let settings = [quick_set, set, &point.set, own];
            let listed = entry(plugin, policy, None, parameters);
            let evaluation = self.evaluation(policy, &file.scenario, &settings, &listed, "")?;
            return Ok(vec![SeedRun { job: None, lineage: None, evaluation, reference: None }]);
        }
        if let PolicySource::Reference { of, set } = source {
            // All references of a point are evaluated together.
            let all = Settings::from([("hindsight".to_owned(), Raw("true".to_owned()))]);
            let settings = [quick_set, set, &point.set, own, &all];
            let evaluation = self.evaluation("references", &file.scenario, &settings, "", "")?;
            return Ok(vec![SeedRun {
                job: None,
                lineage: None,
                evaluation,
                reference: Some(*of),
            }]);
        }
        let run = |&seed: &u64| -> Result<SeedRun, StudyError> {
            let (scenario, set, own_quick) = match source {
                PolicySource::Trained { scenario, set, quick, .. }
                | PolicySource::Distilled { scenario, set, quick, .. } => (scenario, set, quick),
                PolicySource::Fixed { set, .. } | PolicySource::Reference { set, .. } => {
                    (&file.scenario, set, &none)
                }
            };
            let own_quick = if quick { own_quick } else { &none };
            let job = self.job(policy, source, quick_set, trained_at, seed)?;
            let checkpoint = format!("learned/{}/best.safetensors", job.folder);
            let (plugin, parameters) = self.learner(&job)?;
            let settings = [quick_set, set, own_quick, &point.set, own];
            let listed = entry(&plugin, policy, Some(&checkpoint), &parameters);
            let evaluation = self.evaluation(policy, scenario, &settings, &listed, &job.key)?;
            let training = job.teacher.as_deref().unwrap_or(&job).folder.clone();
            let lineage = Some(Lineage { seed, training });
            Ok(SeedRun { job: Some(job), lineage, evaluation, reference: None })
        };
        self.study.training_seeds().iter().map(run).collect()
    }

    /// The folder of a scenario of the study.
    pub(crate) fn home(&self, scenario: &str) -> PathBuf {
        let file = self.study.folder.join(scenario);
        file.parent().unwrap_or(Path::new("")).to_owned()
    }

    /// The plugin that learns in a job, and its parameters.
    fn learner(&self, job: &TrainingJob) -> Result<(String, String), Box<Fault>> {
        let scenario = self.scenario(&job.name, &job.scenario, &job.home)?;
        let learner = match job.teacher {
            Some(_) => scenario.distillation.map(|entry| entry.student),
            None => scenario.training.map(|entry| entry.learner),
        };
        Ok(learner.map(|entry| (entry.name, entry.parameters)).unwrap_or_default())
    }

    /// The training or distillation of the policy `name`, with that of its teacher.
    pub(crate) fn job(
        &self,
        name: &str,
        source: &PolicySource,
        quick_set: &Settings,
        point: &PointSection,
        seed: u64,
    ) -> Result<TrainingJob, StudyError> {
        let none = Settings::new();
        let own = point.of.get(name).unwrap_or(&none);
        match source {
            PolicySource::Distilled { scenario, teacher, set, quick, .. } => {
                let taught_by = &self.study.file.policies[teacher];
                let teacher = self.job(teacher, taught_by, quick_set, point, seed)?;
                let (plugin, parameters) = self.learner(&teacher)?;
                let quick = if self.study.size == Size::Quick { quick } else { &none };
                let settings = [quick_set, set, quick, &point.set, own];
                let mut text = self.text(scenario, &settings, Stage::Distillation)?;
                let parameters = if parameters.is_empty() { "()" } else { &parameters };
                let checkpoint = quoted(&format!("{}/best.safetensors", teacher.folder));
                for (field, value) in [
                    ("distill.seed", seed.to_string()),
                    ("distill.teacher.plugin", quoted(&plugin)),
                    ("distill.teacher.parameters", parameters.to_owned()),
                ] {
                    text = with(scenario, &text, field, &value)?;
                }
                let home = self.home(scenario);
                let mut read = self.scenario(scenario, &text, &home)?;
                // The teacher's checkpoint is set below: it may not exist yet.
                if let Some(entry) = &mut read.distillation {
                    entry.teacher.untrained = true;
                }
                let read = bind_distillation(read, self.registry).map_err(Box::new)?;
                let plugins = Some(
                    [&read.teacher.plugin, &read.student.plugin]
                        .map(|plugin| plugin.library.sha256.clone()),
                );
                // The teacher's own files are in its key.
                let Distillation { scenario: of_student, entry, student, .. } = read;
                let mut files = files_of(&of_student, &student.plugin, &student.parameters);
                files.extend(begun_from(&of_student, "distill.from", entry.from.as_deref())?);
                files.extend(recordings(&of_student)?);
                let files = described(&files);
                let text = with(scenario, &text, "distill.teacher.checkpoint", &checkpoint)?;
                let key = sha256(
                    format!("{ENGINE} {} {plugins:?} {text}{files}", teacher.key).as_bytes(),
                );
                let folder = folder_name(&of_student.name, &key);
                let teacher = Some(Box::new(teacher));
                let name = name.to_owned();
                Ok(TrainingJob { name, folder, key, scenario: text, home, teacher })
            }
            PolicySource::Trained { scenario, set, quick, .. } => {
                let quick = if self.study.size == Size::Quick { quick } else { &none };
                let settings = [quick_set, set, quick, &point.set, own];
                let text = self.text(scenario, &settings, Stage::Training)?;
                let text = with(scenario, &text, "train.seed", &seed.to_string())?;
                let home = self.home(scenario);
                let read = self.scenario(scenario, &text, &home)?;
                let read = bind_training(read, self.registry).map_err(Box::new)?;
                let Training { scenario: of_learner, entry, learner, explorer, teacher, .. } = read;
                let learning = [Some(&learner), explorer.as_ref()].into_iter().flatten();
                let mut files: Vec<FileRecord> = learning
                    .flat_map(|bound| files_of(&of_learner, &bound.plugin, &bound.parameters))
                    .collect();
                files.extend(begun_from(&of_learner, "train.from", entry.from.as_deref())?);
                if let Some(taught_by) = &teacher {
                    files.extend(files_of(&of_learner, &taught_by.plugin, &taught_by.parameters));
                    let file = entry.teacher.as_ref().and_then(|one| one.checkpoint.as_deref());
                    files.extend(begun_from(&of_learner, "train.teacher.checkpoint", file)?);
                }
                files.extend(recordings(&of_learner)?);
                let mut files = described(&files);
                if let Some(taught_by) = teacher {
                    files += &format!(" {}", taught_by.plugin.library.sha256);
                }
                let explorer = explorer.map(|bound| bound.plugin.library.sha256.clone());
                let plugins = Some((learner.plugin.library.sha256.clone(), explorer));
                let key = sha256(format!("{ENGINE} {plugins:?} {text}{files}").as_bytes());
                let folder = folder_name(&of_learner.name, &key);
                let name = name.to_owned();
                Ok(TrainingJob { name, folder, key, scenario: text, home, teacher: None })
            }
            PolicySource::Fixed { .. } | PolicySource::Reference { .. } => {
                unreachable!("what does not learn has no jobs")
            }
        }
    }

    /// The evaluation of `listed`, the entry of a scenario's policies; `job` is the key of its
    /// training or distillation, empty if it does not learn.
    fn evaluation(
        &self,
        name: &str,
        scenario: &str,
        settings: &[&Settings],
        listed: &str,
        job: &str,
    ) -> Result<EvaluationJob, StudyError> {
        let mut text = self.text(scenario, settings, Stage::Evaluation)?;
        // What was learned may be evaluated where it could not be learned, as drawn systems in a world.
        for section in ["train", "distill"] {
            if has(&text, section) {
                text = with(scenario, &text, section, "None")?;
            }
        }
        let seed = self.study.file.evaluate.seed;
        let evaluate = format!("(episodes: {}, seed: {seed})", self.study.episodes());
        for (field, value) in [("policies", format!("[{listed}]")), ("evaluate", evaluate)] {
            text = with(scenario, &text, field, &value)?;
        }
        let home = self.home(scenario);
        let mut read = self.scenario(scenario, &text, &home)?;
        // The checkpoint may not exist yet; everything else is checked now.
        if !job.is_empty() {
            read.policies.iter_mut().for_each(|policy| {
                (policy.checkpoint, policy.untrained) = (None, true);
            });
        }
        let read = bind_evaluation(read, self.registry).map_err(Box::new)?;
        let plugins: Vec<_> = read
            .policies
            .iter()
            .filter_map(BoundPolicy::plugin)
            .map(|plugin| plugin.library.sha256.clone())
            .collect();
        let mut files = described(&recordings(&read.scenario)?);
        // What has learned has its files in the key of that; what may crash is not created here.
        if job.is_empty() && read.scenario.isolation.is_none() {
            let scenario = Scenario { folder: home.clone(), ..read.scenario };
            for policy in &read.policies {
                let Some(plugin) = policy.plugin() else { continue };
                files += &described(&files_of(&scenario, plugin, &policy.parameters));
            }
        }
        let key = sha256(format!("{ENGINE} {job} {plugins:?} {text}{files}").as_bytes());
        Ok(EvaluationJob { name: name.to_owned(), key, scenario: text, home, alone: false })
    }
}
