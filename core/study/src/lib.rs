//! Studies: what is trained, distilled and compared, and the tables and figures made of it.
//!
//! [`Study::read`] reads a study file with the scenarios it names, [`Study::run`] does what has not
//! been done and returns the numbers behind its tables and figures, and [`Study::claims`] judges
//! what is said of them. `offramp-report` draws all of it.
//!
//! ```no_run
//! use offramp_harness::events::Quiet;
//! use offramp_harness::executor::InProcess;
//! use offramp_host::Registry;
//! use offramp_study::{Size, Study};
//!
//! let registry = Registry::discover(&["target/release".into()], None)?;
//! let study = Study::read("scenarios/reproduce/paper.ron".as_ref(), Size::Quick)?;
//! let only = ["table-3".to_owned()];
//! let exhibits = study.run(&registry, "runs/quick".as_ref(), &only, &InProcess, &Quiet)?;
//! for claim in study.claims(&exhibits) {
//!     println!("{}: {:?}", claim.text, claim.verdict);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ```text
//! OUT/learned/SCENARIO-KEY/ a training or a distillation, as `train` and `distill` write them
//! OUT/results/POLICY-KEY/   a run folder for each policy, point and training seed
//! ```
//!
//! A key is a hash of everything that the content of a folder depends on: the scenario as it is
//! run, the plugins' files, and the key of the teacher. So nothing is done twice, and a change of a
//! scenario or a plugin redoes exactly what depends on it.

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

use offramp_harness::events::Observer;
use offramp_harness::executor::Executor;
use offramp_harness::resume::FolderError;

use check::check;
pub use file::fields;
use file::{ExhibitSection, PointSection, PolicySource, StudyFile};
use work::{Failure, ProgressLog};

/// A study that has been read.
#[derive(Debug)]
pub struct Study {
    /// The name that results use.
    pub name: String,
    /// What it is for, in a sentence.
    pub about: String,
    /// All of it, or its small version.
    pub size: Size,
    file: StudyFile,
    /// The texts of its scenarios, by their paths as the study writes them.
    scenarios: BTreeMap<String, String>,
    /// The folder that the scenarios' paths are relative to.
    folder: PathBuf,
}

/// How much of a study is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Everything.
    Full,
    /// Fewer seeds, episodes and points, as its `quick` section says.
    Quick,
}

/// Why a study ended early. A plugin's failure is not among them: it is reported in the cells it
/// affects.
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
    Dataset(#[from] offramp_harness::dataset::DatasetError),
    /// Results can't be written or read again.
    #[error(transparent)]
    Results(#[from] offramp_results::Error),
    /// There is no such table or figure.
    #[error("there is no `{asked}`; there are: {}", known.join(", "))]
    NoSuchItem {
        /// The id that was asked for.
        asked: String,
        /// The ids there are.
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
    pub fn read(path: &Path, size: Size) -> Result<Self, ScenarioError> {
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
            // The teacher is a policy of the study, whatever the scenario says.
            let teacher = "distill.teacher.checkpoint";
            let text =
                if has(&text, teacher) { replace(&text, teacher, "None") } else { Some(text) };
            scenarios.insert(name.clone(), text.unwrap_or_default());
        }
        let (name, about) = (file.name.clone(), file.about.clone());
        Ok(Self { name, about, size, file, scenarios, folder })
    }

    /// The ids of the tables and figures, in order.
    pub fn items(&self) -> Vec<String> {
        self.file.items.iter().map(|item| item.id.clone()).collect()
    }

    /// The training seeds.
    pub fn training_seeds(&self) -> &[u64] {
        let quick = self.file.quick.training_seeds.as_ref().filter(|_| self.size == Size::Quick);
        quick.unwrap_or(&self.file.training_seeds)
    }

    /// Episodes of an evaluation.
    pub fn episodes(&self) -> u64 {
        let quick = self.file.quick.episodes.filter(|_| self.size == Size::Quick);
        quick.unwrap_or(self.file.evaluate.episodes)
    }

    /// Does what has not been done, in `out`, for the tables and figures whose ids are in `only`,
    /// or for all if it is empty. Threads are those of the rayon pool it is called in; their number
    /// changes no bit of the results.
    ///
    /// # Errors
    /// [`StudyError`]; what was done by then is kept, and not done again.
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
        let items: Vec<&ExhibitSection> = self
            .file
            .items
            .iter()
            .filter(|item| only.is_empty() || only.contains(&item.id))
            .collect();
        let runner = StudyRunner { study: self, registry, out, isolated };
        // Everything is planned before anything is done, so that a mistake shows at once.
        let mut plans = Vec::new();
        for item in &items {
            for point in self.points(item) {
                for policy in item.policies.iter().chain(&item.reference) {
                    let plan = runner.plan(item, policy, point)?;
                    plans.push(plan);
                }
            }
        }
        let log = ProgressLog::new(&plans, observer);
        let failures = runner.learn_all(&plans, &log)?;
        let mut plans = plans.into_iter();
        let mut results = Vec::new();
        for item in items {
            let mut cells = Vec::new();
            for point in self.points(item) {
                for policy in item.policies.iter().chain(&item.reference) {
                    let runs = plans.next().unwrap_or_default();
                    let outcome = runner.measure(&runs, item.form, &failures, &log)?;
                    let outcome = outcome.map_err(|Failure(reason)| reason);
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

    fn points<'s>(&self, item: &'s ExhibitSection) -> Vec<&'s PointSection> {
        let quick = item.quick_points.as_ref().filter(|_| self.size == Size::Quick);
        let wanted =
            |point: &&PointSection| quick.is_none_or(|labels| labels.contains(&point.label));
        item.points.iter().filter(wanted).collect()
    }
}

/// A study being carried out in a folder.
struct StudyRunner<'s> {
    study: &'s Study,
    registry: &'s Registry,
    out: &'s Path,
    isolated: &'s dyn Executor,
}
