//! What is to be made of a study: its items, with all that they need.

use crate::file::{ExhibitSection, PointSection};
use crate::plan::{LiveJob, SeedRun, TrainingJob};

/// A cell of an exhibit that is to be measured.
pub(crate) struct PlannedCell<'s> {
    pub(crate) policy: &'s String,
    pub(crate) point: &'s PointSection,
    pub(crate) runs: Vec<SeedRun>,
}

/// An item that is to be made.
pub(crate) struct PlannedItem<'s> {
    pub(crate) item: &'s ExhibitSection,
    /// Its cells, point by point; none if it shows live runs.
    pub(crate) cells: Vec<PlannedCell<'s>>,
    /// The live runs that it shows.
    pub(crate) streams: Vec<LiveJob>,
}

/// All runs of these items, in order.
pub(crate) fn runs_of<'p>(planned: &'p [PlannedItem<'_>]) -> Vec<&'p SeedRun> {
    planned.iter().flat_map(|planned| &planned.cells).flat_map(|cell| &cell.runs).collect()
}

/// All live runs of these items, in order.
pub(crate) fn streams_of<'p>(planned: &'p [PlannedItem<'_>]) -> Vec<&'p LiveJob> {
    planned.iter().flat_map(|planned| &planned.streams).collect()
}

/// The trainings and distillations that these items need, some several times.
pub(crate) fn needed_by<'p>(
    planned: &'p [PlannedItem<'_>],
) -> impl Iterator<Item = &'p TrainingJob> {
    let of_runs = runs_of(planned).into_iter().filter_map(|run| run.job.as_ref());
    let of_streams = streams_of(planned).into_iter().flat_map(|job| job.lessons.values());
    of_runs.chain(of_streams)
}
