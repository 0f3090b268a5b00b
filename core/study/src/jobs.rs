//! The jobs of a study, each of which a process of its own can do, on any machine that sees the
//! study's folder.

use std::collections::HashSet;
use std::path::Path;

use offramp_harness::Registry;
use offramp_harness::events::Observer;
use offramp_harness::executor::Executor;
use offramp_results::exhibit::ExhibitKind;

use crate::lessons::lessons;
use crate::plan::{LiveJob, SeedRun, TrainingJob};
use crate::planned::{PlannedItem, needed_by, streams_of};
use crate::study::{Study, StudyError, StudyRunner};
use crate::work::{DATASET, Failure, Failures, ProgressLog};

/// Kind of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// Trains a policy.
    Training,
    /// Collects the states that a distillation learns from.
    Dataset,
    /// Distils a policy.
    Distillation,
    /// Evaluates a policy at a point.
    Evaluation,
    /// Plays the live run of a training seed.
    Live,
}

/// A job of a study.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its name: the path of the file or folder that it makes, relative to the study's folder, such as
    /// `learned/teacher-0123456789ab`.
    pub makes: String,
    /// Its kind.
    pub kind: JobKind,
    /// The policy that it trains, distils or evaluates; of a live run, the item that shows it.
    pub policy: String,
    /// The names of the jobs that must have succeeded before.
    pub needs: Vec<String>,
    /// True if it measures times, so that nothing else may run on its machine.
    pub alone: bool,
}

/// Outcome of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobOutcome {
    /// It is done.
    Done,
    /// A plugin failed, or something that it needs is missing; the reason.
    Failed(String),
}

/// A job and its task.
struct PlannedJob<'p> {
    job: Job,
    task: Task<'p>,
}

#[derive(Clone, Copy)]
enum Task<'p> {
    Learn(&'p TrainingJob),
    Collect(&'p TrainingJob),
    Evaluate(&'p SeedRun),
    Live(&'p LiveJob),
}

impl Study {
    /// The jobs that have not succeeded yet in the folder `out`, for the tables and figures whose ids
    /// are in `only`, or for all if it is empty. A job comes after those it needs. Jobs that do not need
    /// each other can run at the same time, by [`Study::run_job`] in processes of their own, unless one
    /// of them is [`alone`](Job::alone). [`Study::run`] then makes the tables and figures.
    ///
    /// # Errors
    /// As of [`Study::run`]: what is wrong shows before anything is done.
    pub fn jobs(
        &self,
        registry: &Registry,
        out: &Path,
        only: &[String],
        isolated: &dyn Executor,
    ) -> Result<Vec<Job>, StudyError> {
        let runner = StudyRunner { study: self, registry, out, isolated };
        let planned = runner.planned(only)?;
        self.check_memory(&planned)?;
        runner.check(&lessons(needed_by(&planned)), &planned)?;
        let mut left: Vec<Job> = runner
            .jobs(&planned)
            .into_iter()
            .filter(|planned| !runner.is_done(planned.task))
            .map(|planned| planned.job)
            .collect();
        let names: HashSet<String> = left.iter().map(|job| job.makes.clone()).collect();
        left.iter_mut().for_each(|job| job.needs.retain(|need| names.contains(need)));
        Ok(left)
    }

    /// Does the job of this [name](Job::makes) in the folder `out`, which the caller [shares](offramp_harness::resume::Claim::share) with others. It continues from the last
    /// save of an earlier process (a dataset starts over), and if it has been done, does nothing.
    ///
    /// # Errors
    /// [`StudyError::NoSuchJob`], and others as of [`Study::run`].
    pub fn run_job(
        &self,
        registry: &Registry,
        out: &Path,
        only: &[String],
        job: &str,
        isolated: &dyn Executor,
        observer: &dyn Observer,
    ) -> Result<JobOutcome, StudyError> {
        let runner = StudyRunner { study: self, registry, out, isolated };
        let planned = runner.planned(only)?;
        let jobs = runner.jobs(&planned);
        let Some(PlannedJob { task, .. }) = jobs.iter().find(|planned| planned.job.makes == job)
        else {
            return Err(StudyError::NoSuchJob { asked: job.to_owned() });
        };
        if let Some(missing) = runner.missing(*task) {
            return Ok(JobOutcome::Failed(missing));
        }
        let log = ProgressLog::of_one(observer);
        let attempt = match task {
            Task::Learn(lesson) => runner.learn(lesson, &Failures::new(), &log)?,
            Task::Collect(lesson) => runner.collect(lesson, &log)?,
            Task::Evaluate(run) => runner.evaluate(run, &log)?.map(drop),
            Task::Live(job) => runner.run_live(job, &Failures::new(), &log)?.map(drop),
        };
        Ok(match attempt {
            Ok(()) => JobOutcome::Done,
            Err(Failure(reason)) => JobOutcome::Failed(reason),
        })
    }
}

impl StudyRunner<'_> {
    /// Every job of these items once, after those it needs.
    fn jobs<'p>(&self, planned: &'p [PlannedItem<'_>]) -> Vec<PlannedJob<'p>> {
        let mut jobs = Vec::new();
        for lesson in lessons(needed_by(planned)) {
            jobs.extend(jobs_of(lesson));
        }
        let mut listed = HashSet::new();
        let evaluated = planned.iter().filter(|planned| planned.item.form != ExhibitKind::Curves);
        let cells = evaluated.flat_map(|planned| &planned.cells);
        for run in cells.flat_map(|cell| &cell.runs) {
            let SeedRun { job, evaluation, .. } = run;
            if listed.insert(&evaluation.key) {
                jobs.push(PlannedJob {
                    job: Job {
                        makes: evaluation.folder(),
                        kind: JobKind::Evaluation,
                        policy: evaluation.name.clone(),
                        needs: job.iter().map(makes).collect(),
                        alone: evaluation.alone,
                    },
                    task: Task::Evaluate(run),
                });
            }
        }
        let streams = streams_of(planned).into_iter().filter(|job| listed.insert(&job.key));
        jobs.extend(streams.map(|job| PlannedJob {
            job: Job {
                makes: job.folder(),
                kind: JobKind::Live,
                policy: job.name.clone(),
                needs: job.lessons.values().map(makes).collect(),
                alone: false,
            },
            task: Task::Live(job),
        }));
        jobs
    }

    /// True if there is nothing left to do.
    fn is_done(&self, task: Task<'_>) -> bool {
        match task {
            Task::Learn(lesson) => self.is_learned(lesson),
            Task::Collect(lesson) => self.is_learned(lesson) || self.is_collected(lesson),
            Task::Evaluate(run) => self.has_succeeded(&run.evaluation),
            Task::Live(job) => self.has_run_live(job),
        }
    }

    /// The reason why a task can't begin yet: a lesson that has not been given.
    fn missing(&self, task: Task<'_>) -> Option<String> {
        let needed: Vec<&TrainingJob> = match task {
            Task::Learn(lesson) | Task::Collect(lesson) => {
                lesson.teacher.as_deref().into_iter().collect()
            }
            Task::Evaluate(run) => run.job.iter().collect(),
            Task::Live(job) => job.lessons.values().collect(),
        };
        let missing = needed.into_iter().find(|lesson| !self.is_learned(lesson))?;
        Some(format!("it needs {}, which has not been made: do that job first", makes(missing)))
    }
}

/// The name of the job of a lesson: its folder.
fn makes(lesson: &TrainingJob) -> String {
    format!("learned/{}", lesson.folder)
}

/// The job of a training; those of a distillation.
fn jobs_of(lesson: &TrainingJob) -> Vec<PlannedJob<'_>> {
    let job = |makes, kind, needs| {
        let policy = lesson.name.clone();
        Job { makes, kind, policy, needs, alone: false }
    };
    let learn = |kind, needs| PlannedJob {
        job: job(makes(lesson), kind, needs),
        task: Task::Learn(lesson),
    };
    let Some(teacher) = &lesson.teacher else {
        return vec![learn(JobKind::Training, Vec::new())];
    };
    let dataset = format!("{}/{DATASET}", makes(lesson));
    let collect = PlannedJob {
        job: job(dataset.clone(), JobKind::Dataset, vec![makes(teacher)]),
        task: Task::Collect(lesson),
    };
    vec![collect, learn(JobKind::Distillation, vec![dataset])]
}
