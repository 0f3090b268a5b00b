//! Running a study: plan everything, train and distil, then measure.

use std::path::Path;

use offramp_harness::Registry;
use offramp_results::exhibit::{Cell, Exhibit, ExhibitKind, MeasuredRun, Quantity};
use offramp_results::learning::Lesson;

use offramp_harness::events::Observer;
use offramp_harness::executor::Executor;

use crate::file::ExhibitSection;
use crate::lessons::{give, lessons};
use crate::plan::SeedRun;
use crate::planned::{PlannedCell, PlannedItem, needed_by};
use crate::study::{Study, StudyError, StudyRunner};
use crate::work::{Failure, Failures, ProgressLog};

/// Upper bound on the memory of all episodes of a study, bytes.
const MAX_BYTES: u64 = 1 << 30;

/// What a study has yielded.
#[derive(Clone, Debug)]
pub struct StudyOutcome {
    /// The numbers behind its tables and figures.
    pub exhibits: Vec<Exhibit>,
    /// Its trainings and distillations, with what each cost.
    pub lessons: Vec<Lesson>,
}

impl Study {
    /// Does what has not been done yet, in the folder `out`, which the caller has
    /// [claimed](offramp_harness::resume::Claim) as that of [`Study::work`], for the tables and
    /// figures whose ids are in `only`, or for all if it is empty. Runs that ask for isolation are carried out by
    /// `isolated`. Threads are those of the rayon pool this is called in; their number does not
    /// change the results.
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
    ) -> Result<StudyOutcome, StudyError> {
        let runner = StudyRunner { study: self, registry, out, isolated };
        // Everything is planned before anything is done, so that a mistake shows at once.
        let planned = runner.planned(only)?;
        self.check_memory(&planned)?;
        let log = ProgressLog::new(&planned, observer);
        let lessons = lessons(needed_by(&planned));
        runner.check(&lessons, &planned)?;
        let failures = give(&lessons, |job, before| runner.learn(job, before, &log))?;
        let exhibit = |planned: &PlannedItem<'_>| match planned.item.form {
            ExhibitKind::Streams => {
                runner.exhibit_of_streams(planned.item, &planned.streams, &failures, &log)
            }
            _ => runner.exhibit(planned.item, &planned.cells, &failures, &log),
        };
        let exhibits = planned.iter().map(exhibit).collect::<Result<_, _>>()?;
        Ok(StudyOutcome {
            exhibits,
            lessons: lessons.into_iter().map(|job| runner.lesson(job)).collect(),
        })
    }
}

impl Study {
    /// Checks that the episodes of all cells fit in memory: statistics need all of them at once.
    pub(crate) fn check_memory(&self, planned: &[PlannedItem<'_>]) -> Result<(), StudyError> {
        let measured = planned.iter().filter(|planned| planned.item.form != ExhibitKind::Curves);
        let cells = measured.flat_map(|planned| &planned.cells);
        let runs = cells.map(|cell| cell.runs.len() as u64);
        let (runs, episodes) = (runs.sum::<u64>(), self.episodes());
        let needed = runs.saturating_mul(episodes).saturating_mul(MeasuredRun::EPISODE_BYTES);
        if needed <= MAX_BYTES {
            Ok(())
        } else {
            Err(StudyError::TooLarge { runs, episodes, needed })
        }
    }
}

impl<'s> StudyRunner<'s> {
    /// The items whose ids are in `only`, or all if it is empty.
    pub(crate) fn planned(&self, only: &[String]) -> Result<Vec<PlannedItem<'s>>, StudyError> {
        let study = self.study;
        if let Some(asked) = only.iter().find(|asked| !study.items().contains(asked)) {
            return Err(StudyError::NoSuchItem { asked: asked.clone(), known: study.items() });
        }
        let wanted = |item: &&ExhibitSection| only.is_empty() || only.contains(&item.id);
        let planned = |item| {
            let streams = self.live_jobs(item)?;
            let cells = match item.form {
                ExhibitKind::Streams => Vec::new(),
                _ => self.cells(item)?,
            };
            Ok(PlannedItem { item, cells, streams })
        };
        study.file.items.iter().filter(wanted).map(planned).collect()
    }

    /// The cells of an exhibit, point by point, with the plan of each.
    fn cells(&self, item: &'s ExhibitSection) -> Result<Vec<PlannedCell<'s>>, StudyError> {
        let mut cells: Vec<PlannedCell<'_>> = Vec::new();
        for point in self.study.points(item) {
            for policy in item.policies.iter().chain(&item.reference) {
                // The reference may be among the compared policies.
                let planned = |cell: &PlannedCell<'_>| {
                    cell.policy == policy && cell.point.label == point.label
                };
                if !cells.iter().any(planned) {
                    let mut runs = self.plan(item, policy, point)?;
                    if item.metrics.iter().any(Quantity::is_time) {
                        let alone =
                            |run: SeedRun| SeedRun { evaluation: run.evaluation.alone(), ..run };
                        runs = runs.into_iter().map(alone).collect();
                    }
                    cells.push(PlannedCell { policy, point, runs });
                }
            }
        }
        Ok(cells)
    }

    /// Measures the cells of an exhibit.
    fn exhibit(
        &self,
        item: &ExhibitSection,
        cells: &[PlannedCell<'_>],
        failures: &Failures,
        log: &ProgressLog<'_>,
    ) -> Result<Exhibit, StudyError> {
        let cell = |PlannedCell { policy, point, runs }: &PlannedCell<'_>| {
            let outcome = self.measure(runs, item.form, failures, log)?;
            let of_paper = item.paper.get(*policy).and_then(|by| by.get(&point.label));
            Ok(Cell {
                policy: (*policy).clone(),
                point: point.label.clone(),
                outcome: outcome.map_err(|Failure(reason)| reason),
                paper: of_paper.cloned().unwrap_or_default(),
            })
        };
        Ok(Exhibit {
            id: item.id.clone(),
            title: item.title.clone(),
            kind: item.form,
            axis: item.axis.clone(),
            quantities: item.metrics.clone(),
            reference: item.reference.clone(),
            cells: cells.iter().map(cell).collect::<Result<_, StudyError>>()?,
            streams: Vec::new(),
        })
    }
}
