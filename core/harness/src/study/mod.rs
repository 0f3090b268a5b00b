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

mod check;
mod claims;
mod file;
mod plan;
mod work;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use offramp_host::Registry;
use offramp_results::claim::Claim;
use offramp_results::exhibit::{Cell, Exhibit};
use offramp_scenario::{Fault, ScenarioError, has, read_ron, read_text, replace};

use crate::events::Observer;
use crate::executor::Executor;
use crate::resume::FolderError;

use check::check;
use file::{ItemSection, PointSection, PolicySource, StudyFile};
use work::Diary;

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
    Results(#[from] offramp_results::Error),
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
        isolated: &dyn Executor,
        observer: &dyn Observer,
    ) -> Result<Vec<Exhibit>, StudyError> {
        if let Some(asked) = only.iter().find(|asked| !self.items().contains(asked)) {
            return Err(StudyError::NoSuchItem { asked: asked.clone(), known: self.items() });
        }
        let items: Vec<&ItemSection> = self
            .file
            .items
            .iter()
            .filter(|item| only.is_empty() || only.contains(&item.id))
            .collect();
        let bench = Bench { study: self, registry, out, isolated };
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
        let diary = Diary::new(&plans, observer);
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
            results.push(Exhibit {
                id: item.id.clone(),
                title: item.title.clone(),
                kind: item.form,
                axis: item.axis.clone(),
                quantities: item.metrics.clone(),
                reference: item.reference.clone(),
                cells,
            });
        }
        Ok(results)
    }

    /// Verdicts for every claim whose exhibits were produced.
    pub fn claims(&self, items: &[Exhibit]) -> Vec<Claim> {
        self.file.claims.iter().filter_map(|claim| claims::judge(claim, items)).collect()
    }

    fn points<'s>(&self, item: &'s ItemSection) -> Vec<&'s PointSection> {
        let quick = item.quick_points.as_ref().filter(|_| self.quick);
        let wanted =
            |point: &&PointSection| quick.is_none_or(|labels| labels.contains(&point.label));
        item.points.iter().filter(wanted).collect()
    }
}

/// Where a study is worked on.
struct Bench<'s> {
    study: &'s Study,
    registry: &'s Registry,
    out: &'s Path,
    isolated: &'s dyn Executor,
}
