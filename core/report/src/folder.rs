//! Folders that offramp writes, other than those of studies: what each contains, as a page and a figure.

use std::path::{Path, PathBuf};

use offramp_results::run_folder;
use offramp_results::tuning::Search;

use crate::page::PageError;
use crate::plot::Figure;
use crate::run_page::FILE;
use crate::{learning_page, live_page, run_page, tuning, tuning_page};

/// The contents of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Runs of policies.
    Runs,
    /// A training or a distillation, of one point or several.
    Learning,
    /// A search for hyper-parameters.
    Search,
    /// A live run, of one point or several.
    Live,
}

impl Kind {
    /// The kind of a folder; `None` if it is none of these.
    pub fn of(folder: &Path) -> Option<Self> {
        if run_folder::is_complete(folder) {
            Some(Self::Runs)
        } else if tuning::has_rows(folder) {
            Some(Self::Search)
        } else if learning_page::has_rows(folder) {
            Some(Self::Learning)
        } else if live_page::has_runs(folder) {
            Some(Self::Live)
        } else {
            None
        }
    }

    /// The page in the folder, which is written if it is missing.
    ///
    /// # Errors
    /// [`PageError`].
    pub fn page(self, folder: &Path) -> Result<PathBuf, PageError> {
        let page = folder.join(FILE);
        if !page.exists() {
            match self {
                Self::Runs => run_page::write(folder),
                Self::Learning => learning_page::write(folder),
                Self::Search => tuning_page::write(folder),
                Self::Live => live_page::write(folder),
            }?;
        }
        Ok(page)
    }

    /// The one figure that shows most, titled `name`: of runs the QoE, by policy or over a sweep; of
    /// trainings the QoE while they learn, of distillations in validation; of a search what its
    /// configurations reach, rung by rung; of a live run the QoE over time. `None` if there is nothing to show.
    ///
    /// # Errors
    /// [`PageError`] names the file that can't be read.
    pub fn figure(self, name: &str, folder: &Path) -> Result<Option<Figure>, PageError> {
        let figure = match self {
            Self::Runs => run_page::picture(folder)?,
            Self::Learning => learning_page::picture(folder)?,
            Self::Search => Some(tuning::figure(&Search::read(folder)?)),
            Self::Live => live_page::picture(folder)?,
        };
        Ok(figure.map(|figure| figure.titled(name)))
    }
}
