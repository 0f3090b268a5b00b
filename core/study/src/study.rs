//! The study: its file, checked, with the scenarios it refers to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use offramp_harness::Registry;
use offramp_results::claim::Claim;
use offramp_results::exhibit::Exhibit;
use offramp_results::tuning::Budget;
use offramp_scenario::{
    Fault, ScenarioError, has, read_ron, read_scenario_text, read_text, replace,
};

use offramp_harness::check::Unfit;
use offramp_harness::executor::Executor;
use offramp_harness::resume::{FolderError, Work};

use crate::check::{check, check_streams};
use crate::chosen::{self, Source};
use crate::claims;
use crate::file::{ExhibitSection, PointSection, PolicySource, Size, StudyFile};
use crate::live_entry::read_entry;

/// A study that has been read.
#[derive(Debug)]
pub struct Study {
    /// The name that results use.
    pub name: String,
    /// Its purpose, in a sentence; may be empty.
    pub about: String,
    /// All of it, or its small version.
    pub size: Size,
    /// The searches that settings of its policies come from, and what each took.
    pub budgets: Vec<Budget>,
    pub(crate) file: StudyFile,
    /// The texts of its scenarios, by their paths as written in the study.
    pub(crate) scenarios: BTreeMap<String, String>,
    /// The folder that the scenarios' paths are relative to.
    pub(crate) folder: PathBuf,
}

/// The reason why a study ended early. The failure of a plugin is not one: it is reported in the
/// cells it affects.
#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    /// One of its scenarios is not valid.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The folder of a training or distillation can't be written or read.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A dataset can't be used.
    #[error(transparent)]
    Dataset(#[from] offramp_harness::dataset::DatasetError),
    /// Results can't be written or read.
    #[error(transparent)]
    Results(#[from] offramp_results::Error),
    /// A policy that does not learn refuses its parameters or a file. Nothing was done.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// Its statistics need more memory than offramp takes.
    #[error(
        "its statistics need all episodes in memory: {runs} runs of {episodes} episodes are \
         {} MiB, and the limit is 1024 MiB", needed >> 20
    )]
    TooLarge {
        /// Runs of all tables and figures.
        runs: u64,
        /// Episodes of each.
        episodes: u64,
        /// Memory of all of them, bytes.
        needed: u64,
    },
    /// The study has no job of that name.
    #[error("the study has no job `{asked}`")]
    NoSuchJob {
        /// The name that was given.
        asked: String,
    },
    /// The study has no table or figure of that name.
    #[error("there is no `{asked}`; there are: {}", known.join(", "))]
    NoSuchItem {
        /// The id that was given.
        asked: String,
        /// The ids of the study.
        known: Vec<String>,
    },
}

impl From<Box<Fault>> for StudyError {
    fn from(fault: Box<Fault>) -> Self {
        ScenarioError::Invalid(fault).into()
    }
}

impl Study {
    /// Reads a study file and the scenarios it refers to.
    ///
    /// # Errors
    /// [`ScenarioError`] with the place in the file, what is wrong and how to mend it.
    pub fn read(path: &Path, size: Size) -> Result<Self, ScenarioError> {
        let text = read_text(path)?;
        let source_name = path.display().to_string();
        let invalid = |fault| ScenarioError::Invalid(Box::new(fault));
        let mut file: StudyFile = read_ron(&source_name, &text).map_err(invalid)?;
        check(&file, &source_name, &text).map_err(invalid)?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let source = Source { name: &source_name, text: &text, folder: &folder };
        let budgets = chosen::take(&mut file, source, size)?;
        let mut scenarios = BTreeMap::new();
        let named = file.policies.values().filter_map(|source| match source {
            PolicySource::Fixed { .. } | PolicySource::Reference { .. } => None,
            PolicySource::Trained { scenario, .. } | PolicySource::Distilled { scenario, .. } => {
                Some(scenario)
            }
        });
        let live = file.items.iter().filter_map(|item| Some(&item.live.as_ref()?.scenario));
        for name in named.chain([&file.scenario]).chain(live) {
            let text = read_scenario_text(&folder.join(name))?;
            // The teacher is a policy of the study: it replaces that of the scenario.
            let teacher = "distill.teacher.checkpoint";
            let text =
                if has(&text, teacher) { replace(&text, teacher, "None") } else { Some(text) };
            scenarios.insert(name.clone(), text.unwrap_or_default());
        }
        for (number, item) in file.items.iter().enumerate() {
            let Some(live) = &item.live else { continue };
            let text = &scenarios[&live.scenario];
            let entry = read_entry(live, text, &folder).map_err(ScenarioError::Invalid)?;
            check_streams(&file, &source_name, source.text, number, &entry).map_err(invalid)?;
        }
        let (name, about) = (file.name.clone(), file.about.clone());
        Ok(Self { name, about, size, budgets, file, scenarios, folder })
    }

    /// The ids of the tables and figures, in order.
    pub fn items(&self) -> Vec<String> {
        self.file.items.iter().map(|item| item.id.clone()).collect()
    }

    /// The same study on `count` training seeds: 1 to `count`.
    #[must_use]
    pub fn on_seeds(mut self, count: u64) -> Self {
        self.file.training_seeds = (1..=count).collect();
        self.file.quick.training_seeds = None;
        self
    }

    /// What its folder is for, at any size.
    pub fn work(&self) -> Work {
        Work::Study(self.name.clone())
    }

    /// Its name at this size, which results and their folder have: `paper`, `paper-quick`.
    pub fn sized_name(&self) -> String {
        match self.size {
            Size::Quick => format!("{}-quick", self.name),
            Size::Full => self.name.clone(),
        }
    }

    /// The version of the study that is not all of it: `the quick version`.
    pub fn version(&self) -> Option<&'static str> {
        (self.size == Size::Quick).then_some("the quick version")
    }

    /// The training seeds, at this size.
    pub fn training_seeds(&self) -> &[u64] {
        let quick = self.file.quick.training_seeds.as_ref().filter(|_| self.size == Size::Quick);
        quick.unwrap_or(&self.file.training_seeds)
    }

    /// Episodes of an evaluation, at this size.
    pub fn episodes(&self) -> u64 {
        let quick = self.file.quick.episodes.filter(|_| self.size == Size::Quick);
        quick.unwrap_or(self.file.evaluate.episodes)
    }

    /// Verdicts for every claim whose exhibits were produced.
    pub fn claims(&self, items: &[Exhibit]) -> Vec<Claim> {
        self.file.claims.iter().filter_map(|claim| claims::judge(claim, items)).collect()
    }

    /// The points of an item, at this size.
    pub(crate) fn points<'s>(&self, item: &'s ExhibitSection) -> Vec<&'s PointSection> {
        let quick = item.quick_points.as_ref().filter(|_| self.size == Size::Quick);
        let wanted =
            |point: &&PointSection| quick.is_none_or(|labels| labels.contains(&point.label));
        item.points.iter().filter(wanted).collect()
    }
}

/// A study that is carried out in a folder.
#[derive(Clone, Copy)]
pub(crate) struct StudyRunner<'s> {
    pub(crate) study: &'s Study,
    pub(crate) registry: &'s Registry,
    /// The folder.
    pub(crate) out: &'s Path,
    /// Carries out runs that ask for isolation.
    pub(crate) isolated: &'s dyn Executor,
}
