//! Why a search ended early, or can't begin.

use offramp_harness::dataset::DatasetError;
use offramp_harness::resume::FolderError;
use offramp_results::Error;
use offramp_scenario::Fault;

/// The reason why a search ended early, or can't begin. The failure of a plugin is not one: it ends a
/// lesson, and the search continues.
#[derive(Debug, thiserror::Error)]
pub enum TuneError {
    /// The scenario, or that of a configuration, is not valid or refused by a plugin. Nothing has been
    /// done.
    #[error(transparent)]
    Fault(#[from] Box<Fault>),
    /// The folder can't be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A dataset can't be used.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// Results can't be written or read.
    #[error(transparent)]
    Results(#[from] Error),
}
