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
use offramp_scenario::{Fault, ScenarioError, has, read_ron, read_text, replace};

use crate::evaluate::EpisodeResult;
use crate::events::Observer;
use crate::executor::Executor;
use crate::resume::FolderError;
use crate::statistics::Scores;
use crate::store::{StoreError, StoredRun};
use crate::train::TrainingRow;

use check::check;
pub use claims::{Claim, Verdict};
pub use file::{Form, Metric};
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
