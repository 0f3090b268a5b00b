//! Studies: what is trained, distilled and compared, and the tables and figures made of it.
//!
//! ```text
//! OUT/learned/SCENARIO-KEY/ a training or a distillation, as `train` and `distill` write them
//! OUT/results/POLICY-KEY/   a run folder for each policy, point and training seed
//! ```
//!
//! A key is a hash of everything that the folder's content depends on: the scenario as it is
//! run, the plugins' files, and the key of the teacher. So what is done is not done again, and a
//! change of a scenario or a plugin redoes what depends on it and nothing else.

mod claims;
mod file;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use offramp_host::{Registry, nearest, sha256};

use crate::checkpoint;
use crate::distill::{DistillError, distill};
use crate::evaluate::{EpisodeResult, evaluate};
use crate::resume::{FolderError, Start};
use crate::scenario::{
    Experiment, Fault, Overrides, Purpose, Scenario, ScenarioError, fault_of, has, read_ron,
    read_text, replace,
};
use crate::statistics::Scores;
use crate::store::{self, NewRunFolder, StoreError, StoredRun};
use crate::train::{self, TrainError, TrainingRow, train};

pub use claims::{Claim, Verdict};
use file::{Condition, ItemSection, PolicySource, Settings, StudyFile, TrainedAt};
pub use file::{Form, Metric};

/// A study that has been read.
#[derive(Debug)]
pub struct Study {
    /// The name by which results call it.
    pub name: String,
    /// What it is for.
    pub about: String,
    /// Whether it is the small version of itself.
    pub quick: bool,
    file: StudyFile,
    /// The texts of the scenarios it is made of, by the path as the study has it.
    scenarios: BTreeMap<String, String>,
    /// What the scenarios' paths are relative to.
    folder: PathBuf,
}

/// A table or a figure with its numbers.
#[derive(Clone, Debug)]
pub struct Item {
    /// What it is asked for by, and its files are called.
    pub id: String,
    /// Above it.
    pub title: String,
    /// How it is drawn.
    pub form: Form,
    /// What the points are values of.
    pub axis: String,
    /// Which metrics it shows.
    pub metrics: Vec<Metric>,
    /// The policy that the others are compared with.
    pub reference: Option<String>,
    /// Policy by policy in each point.
    pub cells: Vec<Cell>,
}

/// A policy at a point.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What results call the policy.
    pub policy: String,
    /// What tables and axes call the point.
    pub point: String,
    /// What came out, or why nothing did.
    pub outcome: Result<Measured, String>,
    /// The paper's numbers.
    pub paper: BTreeMap<Metric, f64>,
}

/// What came out.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// A run for each training seed, or one.
    pub runs: Vec<StoredRun>,
    /// Parameters of a network as the paper counts them, if it is one.
    pub parameters: Option<f64>,
    /// How each training went.
    pub trainings: Vec<Vec<TrainingRow>>,
}

/// Why a study ended before its time. What fails inside a plugin is told of its cells alone.
#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    /// A scenario of it is wrong.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// Something can't be written or read again.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A dataset can't be used.
    #[error(transparent)]
    Dataset(#[from] crate::dataset::DatasetError),
    /// Results can't be written or read again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such item.
    #[error("there is no `{asked}`; there are: {}", known.join(", "))]
    NoSuchItem {
        /// What was asked for.
        asked: String,
        /// What there is.
        known: Vec<String>,
    },
}

impl From<Box<Fault>> for StudyError {
    fn from(fault: Box<Fault>) -> Self {
        ScenarioError::Invalid(fault).into()
    }
}

/// What a study is doing.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// Trainings, distillations and evaluations that are done.
    pub done: usize,
    /// All there are.
    pub total: usize,
    /// What is being done.
    pub what: String,
}

impl Study {
    /// Reads a study file and the scenarios it names.
    ///
    /// # Errors
    /// [`ScenarioError`] with the place in the file, what is wrong and how to mend it.
    pub fn read(path: &Path, quick: bool) -> Result<Self, ScenarioError> {
        let text = read_text(path)?;
        let source_name = path.display().to_string();
        let invalid = |fault| ScenarioError::Invalid(Box::new(fault));
        let file: StudyFile = read_ron(&source_name, &text).map_err(invalid)?;
        check(&file, &source_name, &text).map_err(invalid)?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let mut scenarios = BTreeMap::new();
        let named = file.policies.values().filter_map(|source| match source {
            PolicySource::Fixed { .. } => None,
            PolicySource::Trained { scenario, .. } | PolicySource::Distilled { scenario, .. } => {
                Some(scenario)
            }
        });
        for name in named.chain([&file.scenario]) {
            let text = read_text(&folder.join(name))?;
            // Who teaches is a policy of the study, whatever the scenario has.
            let teacher = "distill.teacher.checkpoint";
            let text =
                if has(&text, teacher) { replace(&text, teacher, "None") } else { Some(text) };
            scenarios.insert(name.clone(), text.unwrap_or_default());
        }
        let (name, about) = (file.name.clone(), file.about.clone());
        Ok(Self { name, about, quick, file, scenarios, folder })
    }

    /// The items' names, in order.
    pub fn items(&self) -> Vec<String> {
        self.file.items.iter().map(|item| item.id.clone()).collect()
    }

    /// The training seeds.
    pub fn training_seeds(&self) -> &[u64] {
        let quick = self.file.quick.training_seeds.as_ref().filter(|_| self.quick);
        quick.unwrap_or(&self.file.training_seeds)
    }

    /// Episodes of an evaluation.
    pub fn episodes(&self) -> u64 {
        let quick = self.file.quick.episodes.filter(|_| self.quick);
        quick.unwrap_or(self.file.evaluate.episodes)
    }

    /// Does what has not been done, in `out`, for the items named in `only` or for all. Threads
    /// are those of the rayon pool it is called in, and do not change a bit of the results.
    ///
    /// # Errors
    /// [`StudyError`]; what was done by then stays, and is not done again.
    pub fn run(
        &self,
        registry: &Registry,
        out: &Path,
        only: &[String],
        told: &(dyn Fn(&Progress) + Sync),
    ) -> Result<Vec<Item>, StudyError> {
        if let Some(asked) = only.iter().find(|asked| !self.items().contains(asked)) {
            return Err(StudyError::NoSuchItem { asked: asked.clone(), known: self.items() });
        }
        let items: Vec<&ItemSection> = self
            .file
            .items
            .iter()
            .filter(|item| only.is_empty() || only.contains(&item.id))
            .collect();
        let bench = Bench { study: self, registry, out };
        // Everything is planned before anything is done: a slip is told at once.
        let mut plans = Vec::new();
        for item in &items {
            for point in self.points(item) {
                for policy in item.policies.iter().chain(&item.reference) {
                    let plan = bench.plan(item, policy, point)?;
                    plans.push(plan);
                }
            }
        }
        let diary = Diary::new(&plans, told);
        let failures = bench.teach_all(&plans, &diary)?;
        let mut plans = plans.into_iter();
        let mut results = Vec::new();
        for item in items {
            let mut cells = Vec::new();
            for point in self.points(item) {
                for policy in item.policies.iter().chain(&item.reference) {
                    let trials = plans.next().unwrap_or_default();
                    let outcome = bench.measure(&trials, item.form, &failures, &diary)?;
                    let listed = cells
                        .iter()
                        .any(|cell: &Cell| cell.policy == *policy && cell.point == point.label);
                    if listed {
                        continue; // A reference that is among the compared.
                    }
                    let of_paper = item.paper.get(policy).and_then(|by| by.get(&point.label));
                    cells.push(Cell {
                        policy: policy.clone(),
                        point: point.label.clone(),
                        outcome,
                        paper: of_paper.cloned().unwrap_or_default(),
                    });
                }
            }
            results.push(Item {
                id: item.id.clone(),
                title: item.title.clone(),
                form: item.form,
                axis: item.axis.clone(),
                metrics: item.metrics.clone(),
                reference: item.reference.clone(),
                cells,
            });
        }
        Ok(results)
    }

    /// What the claims come to, of which the items have been made.
    pub fn claims(&self, items: &[Item]) -> Vec<Claim> {
        self.file.claims.iter().filter_map(|claim| claims::judge(claim, items)).collect()
    }

    fn points<'s>(&self, item: &'s ItemSection) -> Vec<&'s file::PointSection> {
        let quick = item.quick_points.as_ref().filter(|_| self.quick);
        let wanted =
            |point: &&file::PointSection| quick.is_none_or(|labels| labels.contains(&point.label));
        item.points.iter().filter(wanted).collect()
    }
}

/// That everything a study names is there.
fn check(file: &StudyFile, source_name: &str, text: &str) -> Result<(), Fault> {
    let fault = |field: &str, message: String, help: Option<String>| {
        Err(fault_of(source_name, text, field, message, help))
    };
    if file.training_seeds.is_empty() {
        return fault("training_seeds", "at least one is needed".to_owned(), None);
    }
    if file.quick.training_seeds.as_ref().is_some_and(Vec::is_empty) {
        return fault("quick.training_seeds", "at least one is needed".to_owned(), None);
    }
    if !(1..=1_000_000).contains(&file.evaluate.episodes) || file.quick.episodes == Some(0) {
        return fault("evaluate.episodes", "1 … 10⁶ is needed".to_owned(), None);
    }
    let unknown = |field: &str, name: &str| {
        let help = nearest(name, file.policies.keys().map(String::as_str))
            .map(|near| format!("did you mean `{near}`?"));
        fault(field, format!("the study has no policy `{name}`"), help)
    };
    for (name, source) in &file.policies {
        if let PolicySource::Distilled { teacher, .. } = source {
            let field = format!("policies.{name}.teacher");
            match file.policies.get(teacher) {
                None => return unknown(&field, teacher),
                Some(PolicySource::Trained { .. }) => {}
                Some(_) => {
                    let message = format!("`{teacher}` is not trained, so it can't teach here");
                    return fault(&field, message, None);
                }
            }
        }
    }
    for (number, item) in file.items.iter().enumerate() {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let taken = file.items[..number].iter().any(|earlier| earlier.id == item.id);
        if item.id.is_empty() || !item.id.chars().all(plain) || taken {
            let message = "an id is of letters, digits and hyphens, and no other item's".to_owned();
            return fault(&format!("items.{number}.id"), message, None);
        }
        let policies = item.policies.iter().enumerate();
        let named = policies
            .map(|(at, policy)| (format!("policies.{at}"), policy))
            .chain(item.reference.iter().map(|policy| ("reference".to_owned(), policy)))
            .chain(item.paper.keys().map(|policy| ("paper".to_owned(), policy)))
            .chain(item.points.iter().enumerate().flat_map(|(at, point)| {
                point.of.keys().map(move |policy| (format!("points.{at}.of"), policy))
            }));
        for (field, policy) in named {
            if !file.policies.contains_key(policy) {
                return unknown(&format!("items.{number}.{field}"), policy);
            }
        }
        let labels: Vec<&String> = item.points.iter().map(|point| &point.label).collect();
        let of_paper = item.paper.values().flat_map(BTreeMap::keys);
        let of_quick = item.quick_points.iter().flatten();
        let named = of_paper.map(|l| ("paper", l)).chain(of_quick.map(|l| ("quick_points", l)));
        for (field, label) in named {
            if !labels.contains(&label) {
                let message = format!("`{label}` is no point of `{}`", item.id);
                return fault(&format!("items.{number}.{field}"), message, None);
            }
        }
    }
    for (number, claim) in file.claims.iter().enumerate() {
        let field = format!("claims.{number}");
        let (item, policies) = match &claim.holds_if {
            Condition::Best { item, policy, rivals, .. } => {
                (item, [policy].into_iter().chain(rivals).collect::<Vec<_>>())
            }
            Condition::Compare { item, left, right, .. } => {
                (item, vec![&left.policy, &right.policy])
            }
        };
        let Some(item) = file.items.iter().find(|listed| listed.id == *item) else {
            return fault(&field, format!("the study has no item `{item}`"), None);
        };
        let listed = |policy: &&String| {
            !item.policies.contains(policy) && item.reference.as_ref() != Some(policy)
        };
        if let Some(policy) = policies.into_iter().find(listed) {
            let message = format!("`{}` has no policy `{policy}`", item.id);
            return fault(&field, message, None);
        }
    }
    Ok(())
}

/// Where a study is worked on.
struct Bench<'s> {
    study: &'s Study,
    registry: &'s Registry,
    out: &'s Path,
}

/// What has been done, and who is told.
struct Diary<'t> {
    total: usize,
    done: Mutex<HashSet<String>>,
    told: &'t (dyn Fn(&Progress) + Sync),
}

impl<'t> Diary<'t> {
    fn new(plans: &[Vec<Trial>], told: &'t (dyn Fn(&Progress) + Sync)) -> Self {
        let mut all = HashSet::new();
        plans.iter().flatten().for_each(|trial| trial.keys(&mut all));
        Self { total: all.len(), done: Mutex::default(), told }
    }

    /// Something is begun.
    fn tell(&self, what: String) {
        // A lock is poisoned by a panic alone, which ends everything anyway.
        let done = self.done.lock().map_or(0, |done| done.len());
        (self.told)(&Progress { done, total: self.total, what });
    }

    fn done(&self, key: &str) {
        if let Ok(mut done) = self.done.lock() {
            done.insert(key.to_owned());
        }
    }
}

/// Why lessons failed, by their keys.
type Failures = BTreeMap<String, String>;

/// One training seed of a policy at a point: what it is taught, and how it is evaluated.
struct Trial {
    lesson: Option<Lesson>,
    evaluation: Evaluation,
}

/// A training, or a distillation after its teacher's training.
struct Lesson {
    name: String,
    /// The folder, relative to that of all lessons. The scenario's name is in it, not the policy's:
    /// policies that learn the same share it.
    folder: String,
    key: String,
    scenario: String,
    teacher: Option<Box<Lesson>>,
}

/// An evaluation.
struct Evaluation {
    name: String,
    key: String,
    scenario: String,
}

impl Trial {
    fn keys(&self, all: &mut HashSet<String>) {
        if let Some(lesson) = &self.lesson {
            all.extend(lesson.teacher.iter().map(|teacher| teacher.key.clone()));
            all.insert(lesson.key.clone());
        }
        all.insert(self.evaluation.key.clone());
    }
}

fn folder_name(name: &str, key: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = name.chars().map(plain).collect();
    format!("{name}-{}", &key[..12])
}

/// Which fields concern a stage: those of the other stages do not.
fn concerns(field: &str, stage: Purpose) -> bool {
    let section = field.split('.').next();
    match section {
        Some("train") => stage == Purpose::Train,
        Some("distill") => stage == Purpose::Distill,
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

impl Bench<'_> {
    fn learned(&self) -> PathBuf {
        self.out.join("learned")
    }

    /// `scenario`'s text with all settings that concern `stage`, later ones over earlier ones.
    fn text(
        &self,
        scenario: &str,
        settings: &[&Settings],
        stage: Purpose,
    ) -> Result<String, Box<Fault>> {
        let mut text = self.study.scenarios.get(scenario).cloned().unwrap_or_default();
        for (field, value) in settings.iter().copied().flatten() {
            if concerns(field, stage) {
                text = self.set(scenario, &text, field, &value.0)?;
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

    fn parse(
        &self,
        name: &str,
        text: &str,
        folder: &Path,
        purpose: Purpose,
    ) -> Result<Experiment, Box<Fault>> {
        let overrides = Overrides::default();
        Experiment::parse(name, text.to_owned(), folder, self.registry, purpose, overrides)
            .map_err(Box::new)
    }

    /// The first point of a scenario: studies have points of their own.
    fn scenario(
        &self,
        name: &str,
        text: &str,
        folder: &Path,
        purpose: Purpose,
    ) -> Result<Scenario, Box<Fault>> {
        let mut points = self.parse(name, text, folder, purpose)?.points;
        if points.len() == 1 {
            return Ok(points.remove(0));
        }
        let message = "a study has points of its own: its scenarios have no sweep".to_owned();
        Err(Box::new(fault_of(name, text, "sweep", message, None)))
    }

    /// Everything that a policy at a point needs, for each training seed.
    fn plan(
        &self,
        item: &ItemSection,
        policy: &str,
        point: &file::PointSection,
    ) -> Result<Vec<Trial>, StudyError> {
        let Study { file, quick, .. } = self.study;
        let none = Settings::new();
        let quick_set = if *quick { &file.quick.set } else { &none };
        let anywhere = file::PointSection::default();
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
            let stage = if lesson.teacher.is_some() { Purpose::Distill } else { Purpose::Train };
            let (plugin, parameters) = self.learner(&lesson, stage)?;
            let settings = [quick_set, set, own_quick, &point.set, own];
            let listed = entry(&plugin, policy, Some(&checkpoint), &parameters);
            let evaluation = self.evaluation(policy, scenario, &settings, &listed, &lesson.key)?;
            Ok(Trial { lesson: Some(lesson), evaluation })
        };
        self.study.training_seeds().iter().map(trial).collect()
    }

    /// Who learns in a lesson, with its parameters.
    fn learner(&self, lesson: &Lesson, stage: Purpose) -> Result<(String, String), Box<Fault>> {
        let folder = &self.study.folder;
        // Before the teacher has been trained its checkpoint is not there.
        let text = replace(&lesson.scenario, "distill.teacher.checkpoint", "None");
        let text = text.filter(|_| stage == Purpose::Distill);
        let text = text.as_ref().unwrap_or(&lesson.scenario);
        let scenario = self.scenario(&lesson.name, text, folder, stage)?;
        let learner = match stage {
            Purpose::Distill => scenario.distill.map(|entry| entry.student),
            _ => scenario.train.map(|entry| entry.learner),
        };
        Ok(learner.map(|entry| (entry.found.offer.name, entry.parameters)).unwrap_or_default())
    }

    fn lesson(
        &self,
        name: &str,
        source: &PolicySource,
        quick_set: &Settings,
        point: &file::PointSection,
        seed: u64,
    ) -> Result<Lesson, StudyError> {
        let none = Settings::new();
        let own = point.of.get(name).unwrap_or(&none);
        let folder = &self.study.folder;
        match source {
            PolicySource::Distilled { scenario, teacher, set, quick } => {
                let taught_by = &self.study.file.policies[teacher];
                let teacher = self.lesson(teacher, taught_by, quick_set, point, seed)?;
                let (plugin, parameters) = self.learner(&teacher, Purpose::Train)?;
                let quick = if self.study.quick { quick } else { &none };
                let settings = [quick_set, set, quick, &point.set, own];
                let mut text = self.text(scenario, &settings, Purpose::Distill)?;
                let parameters = if parameters.is_empty() { "()" } else { &parameters };
                let checkpoint = quoted(&format!("{}/best.safetensors", teacher.folder));
                for (field, value) in [
                    ("distill.seed", seed.to_string()),
                    ("distill.teacher.plugin", quoted(&plugin)),
                    ("distill.teacher.parameters", parameters.to_owned()),
                ] {
                    text = self.set(scenario, &text, field, &value)?;
                }
                let read = self.scenario(scenario, &text, folder, Purpose::Distill)?;
                let plugins = read.distill.map(|entry| {
                    [entry.teacher.found, entry.student.found]
                        .map(|found| found.library.sha256.clone())
                });
                let text = self.set(scenario, &text, "distill.teacher.checkpoint", &checkpoint)?;
                let key = sha256(format!("{} {plugins:?} {text}", teacher.key).as_bytes());
                let folder = folder_name(&read.name, &key);
                let teacher = Some(Box::new(teacher));
                Ok(Lesson { name: name.to_owned(), folder, key, scenario: text, teacher })
            }
            PolicySource::Trained { scenario, set, quick } => {
                let quick = if self.study.quick { quick } else { &none };
                let settings = [quick_set, set, quick, &point.set, own];
                let text = self.text(scenario, &settings, Purpose::Train)?;
                let text = self.set(scenario, &text, "train.seed", &seed.to_string())?;
                let read = self.scenario(scenario, &text, folder, Purpose::Train)?;
                let plugins = read.train.map(|entry| {
                    let explorer = entry.explorer.map(|entry| entry.found.library.sha256.clone());
                    (entry.learner.found.library.sha256.clone(), explorer)
                });
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
        let mut text = self.text(scenario, settings, Purpose::Evaluate)?;
        let seed = self.study.file.evaluate.seed;
        let evaluate = format!("(episodes: {}, seed: {seed})", self.study.episodes());
        for (field, value) in [("policies", format!("[{listed}]")), ("evaluate", evaluate)] {
            text = self.set(scenario, &text, field, &value)?;
        }
        // What has been learned may not be there yet; the rest is looked at now.
        let text_before = match lesson {
            "" => text.clone(),
            _ => replace(&text, "policies.0.checkpoint", "None").unwrap_or_default(),
        };
        let read = self.scenario(scenario, &text_before, &self.study.folder, Purpose::Evaluate)?;
        let plugins: Vec<_> =
            read.policies.iter().map(|policy| policy.found.library.sha256.clone()).collect();
        let key = sha256(format!("{lesson} {plugins:?} {text}").as_bytes());
        Ok(Evaluation { name: name.to_owned(), key, scenario: text })
    }

    /// Teaches everything that is to be learned: all teachers first, then all students, as many
    /// side by side as there are threads.
    fn teach_all(&self, plans: &[Vec<Trial>], diary: &Diary<'_>) -> Result<Failures, StudyError> {
        let mut lessons: Vec<&Lesson> = Vec::new();
        let taught = plans.iter().flatten().filter_map(|trial| trial.lesson.as_ref());
        for lesson in
            taught.flat_map(|lesson| lesson.teacher.as_deref().into_iter().chain([lesson]))
        {
            if !lessons.iter().any(|listed| listed.key == lesson.key) {
                lessons.push(lesson);
            }
        }
        let (teachers, students): (Vec<&Lesson>, Vec<&Lesson>) =
            lessons.into_iter().partition(|lesson| lesson.teacher.is_none());
        let mut failures = Failures::new();
        for lessons in [teachers, students] {
            let outcomes = self.side_by_side(&lessons, &failures, diary);
            for (lesson, outcome) in lessons.into_iter().zip(outcomes) {
                if let Err(failure) = outcome? {
                    failures.insert(lesson.key.clone(), failure);
                }
            }
        }
        Ok(failures)
    }

    /// Lessons that do not need each other. A few threads for each lesson, not all for one: most
    /// of what a lesson does is one thread's.
    fn side_by_side(
        &self,
        lessons: &[&Lesson],
        failures: &Failures,
        diary: &Diary<'_>,
    ) -> Vec<Result<Result<(), String>, StudyError>> {
        let threads = rayon::current_num_threads();
        let workers = threads.min(lessons.len()).max(1);
        let next = AtomicUsize::new(0);
        let outcomes: Vec<Mutex<Option<_>>> = lessons.iter().map(|_| Mutex::new(None)).collect();
        let work = || {
            // Without a pool of its own it works in whichever there is.
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads / workers).build();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(lesson) = lessons.get(at) else { return };
                let teach = || self.teach(lesson, failures, diary);
                let outcome = match &pool {
                    Ok(pool) => pool.install(teach),
                    Err(_) => teach(),
                };
                if let Ok(mut place) = outcomes[at].lock() {
                    *place = Some(outcome);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(work);
            }
        });
        let missing = || Ok(Err("it was not taught".to_owned()));
        let outcomes = outcomes.into_iter().map(|outcome| outcome.into_inner().ok().flatten());
        outcomes.map(|outcome| outcome.unwrap_or_else(missing)).collect()
    }

    /// Trains or distils, unless that is done.
    fn teach(
        &self,
        lesson: &Lesson,
        failures: &Failures,
        diary: &Diary<'_>,
    ) -> Result<Result<(), String>, StudyError> {
        let learned = self.learned();
        let folder = learned.join(&lesson.folder);
        let done = folder.join("done");
        if done.exists() {
            diary.done(&lesson.key);
            return Ok(Ok(()));
        }
        std::fs::create_dir_all(&learned).map_err(crate::resume::unwritable(&learned))?;
        let failed = match &lesson.teacher {
            None => {
                diary.tell(format!("{}: training", lesson.name));
                let scenario =
                    self.scenario(&lesson.name, &lesson.scenario, &learned, Purpose::Train)?;
                match train(&scenario, &folder, Start::Resume, &mut |_| {}) {
                    Ok(()) => None,
                    Err(error @ TrainError::Failed { .. }) => Some(error.to_string()),
                    Err(TrainError::Folder(error)) => return Err(error.into()),
                }
            }
            Some(teacher) => {
                if let Some(failure) = failures.get(&teacher.key) {
                    return Ok(Err(format!("its teacher: {failure}")));
                }
                diary.tell(format!("{}: distilling", lesson.name));
                // Its own: others may be distilling the same teacher at the same time.
                let dataset = folder.join("dataset.safetensors");
                let scenario =
                    self.scenario(&lesson.name, &lesson.scenario, &learned, Purpose::Distill)?;
                match distill(&scenario, &folder, &dataset, Start::Resume, &mut |_| {}) {
                    Ok(()) => None,
                    Err(error @ DistillError::Failed { .. }) => Some(error.to_string()),
                    Err(DistillError::Folder(error)) => return Err(error.into()),
                    Err(DistillError::Dataset(error)) => return Err(error.into()),
                }
            }
        };
        if let Some(failure) = failed {
            return Ok(Err(failure));
        }
        crate::resume::write(&done, &[])?;
        // Large, and needed only to go on.
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name == "dataset.safetensors" || name == "state" || name.starts_with("round-") {
                let _ = std::fs::remove_file(entry.path());
            }
        }
        diary.done(&lesson.key);
        Ok(Ok(()))
    }

    /// What came out of a policy at a point.
    fn measure(
        &self,
        trials: &[Trial],
        form: Form,
        failures: &Failures,
        diary: &Diary<'_>,
    ) -> Result<Result<Measured, String>, StudyError> {
        let mut measured = Measured::default();
        for trial in trials {
            if let Some(lesson) = &trial.lesson {
                if let Some(failure) = failures.get(&lesson.key) {
                    return Ok(Err(failure.clone()));
                }
                let folder = self.learned().join(&lesson.folder);
                if lesson.teacher.is_none() {
                    measured.trainings.push(train::rows(&folder)?);
                }
                let contents = checkpoint::read(&folder.join("best.safetensors"));
                measured.parameters = contents.ok().and_then(|contents| {
                    contents.metadata.get("parameters_as_in_the_paper")?.parse().ok()
                });
            }
            if form != Form::Curves {
                let run = self.evaluate(&trial.evaluation, diary)?;
                if let Some(error) = run.record.error {
                    return Ok(Err(error));
                }
                measured.runs.push(run);
            }
        }
        Ok(Ok(measured))
    }

    /// Evaluates, unless that is done.
    fn evaluate(
        &self,
        evaluation: &Evaluation,
        diary: &Diary<'_>,
    ) -> Result<StoredRun, StudyError> {
        let results = self.out.join("results");
        let folder = results.join(folder_name(&evaluation.name, &evaluation.key));
        if !folder.exists() {
            diary.tell(format!("{}: evaluating", evaluation.name));
            let (name, text) = (&evaluation.name, &evaluation.scenario);
            let experiments = [self.parse(name, text, self.out, Purpose::Evaluate)?];
            let runs: Vec<_> = evaluate(&experiments, &|| {}).iter().map(StoredRun::of).collect();
            let scenarios = store::scenarios(&experiments);
            NewRunFolder::begin(&folder)?.finish(&scenarios, None, &runs)?;
        }
        diary.done(&evaluation.key);
        let mut runs = store::read(&folder)?;
        let missing =
            || StoreError::Unreadable { path: folder.clone(), cause: "no run".to_owned() };
        let run = runs.pop().ok_or_else(missing)?;
        Ok(run)
    }
}

impl Metric {
    /// What tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Qoe => "AvgQoE",
            Self::Delay => "AvgDelay",
            Self::Energy => "AvgEnergy",
            Self::Dropped => "Drop",
            Self::CompletionRatio => "completed",
            Self::EnergyPerTask => "energy per task",
            Self::DecisionTime => "µs/decision",
            Self::Parameters => "parameters",
        }
    }

    /// How many digits after the point say something.
    pub fn digits(self) -> usize {
        match self {
            Self::Delay | Self::EnergyPerTask => 3,
            Self::CompletionRatio => 4,
            Self::DecisionTime => 2,
            Self::Parameters => 0,
            Self::Qoe | Self::Energy | Self::Dropped => 1,
        }
    }

    fn of(self, episode: &EpisodeResult) -> f64 {
        match self {
            Self::Qoe => episode.all.qoe,
            Self::Delay => episode.all.delay_slots,
            Self::Energy => episode.all.energy,
            Self::Dropped => episode.all.dropped as f64,
            Self::CompletionRatio => episode.all.completion_ratio,
            Self::EnergyPerTask => episode.all.energy_per_task,
            Self::DecisionTime => {
                episode.decide_ns as f64 / 1000.0 / episode.decisions.max(1) as f64
            }
            Self::Parameters => 0.0,
        }
    }
}

impl Measured {
    /// A metric of each training seed and episode; `None` if it has none.
    pub fn scores(&self, metric: Metric) -> Option<Scores> {
        if metric == Metric::Parameters {
            return Scores::new(vec![vec![self.parameters?]]);
        }
        let rows = self.runs.iter().map(|run| run.episodes.iter().map(|e| metric.of(e)).collect());
        Scores::new(rows.collect())
    }
}
