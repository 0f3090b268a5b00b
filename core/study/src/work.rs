//! The work of a study: a training, a distillation, an evaluation, each unless it has been done
//! already.

use std::collections::{BTreeMap, HashSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use offramp_results::exhibit::{ExhibitKind, Measured, MeasuredRun};
use offramp_results::files::write_atomically;
use offramp_results::learning::{Lesson, TimingRow};
use offramp_results::lock::FolderLock;
use offramp_results::run_folder::{RunFolder, is_complete};
use offramp_results::{Error, checkpoint, learning};
use offramp_scenario::{DistillationEntry, Experiment, Scenario};
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;

use offramp_harness::Refusal;
use offramp_harness::batch::{Batch, BatchError};
use offramp_harness::bind::{
    Distillation, Evaluation, Training, bind_distillation, bind_evaluation_with, bind_training,
};
use offramp_harness::check::check_evaluation;
use offramp_harness::distill::{self, DistillError};
use offramp_harness::events::{Event, Observer, Part};
use offramp_harness::reference::Reference;
use offramp_harness::resume::Start;
use offramp_harness::train::{self, TrainError};

use crate::plan::{EvaluationJob, SeedRun, TrainingJob};
use crate::planned::{PlannedItem, runs_of, streams_of};
use crate::study::{StudyError, StudyRunner};

/// The jobs that are done, and the observer of progress.
pub(crate) struct ProgressLog<'t> {
    total: usize,
    done: Mutex<HashSet<String>>,
    pub(crate) observer: &'t dyn Observer,
}

impl<'t> ProgressLog<'t> {
    /// Progress of these items, of which nothing is done yet.
    pub(crate) fn new(planned: &[PlannedItem<'_>], observer: &'t dyn Observer) -> Self {
        let mut all = HashSet::new();
        runs_of(planned).iter().for_each(|run| run.keys(&mut all));
        streams_of(planned).iter().for_each(|job| job.keys(&mut all));
        Self { total: all.len(), done: Mutex::default(), observer }
    }

    /// Progress of a single job.
    pub(crate) fn of_one(observer: &'t dyn Observer) -> Self {
        Self { total: 1, done: Mutex::default(), observer }
    }

    /// Reports that a job begins.
    pub(crate) fn begin(&self, what: String) {
        // A lock is poisoned by a panic alone, which ends everything anyway.
        let done = self.done.lock().map_or(0, |done| done.len());
        let what = &what;
        self.observer.on_event(Event::StudyJob { done, total: self.total, what });
    }

    /// Notes that the job with this key is done.
    pub(crate) fn done(&self, key: &str) {
        if let Ok(mut done) = self.done.lock() {
            done.insert(key.to_owned());
        }
    }
}

/// The failure of a plugin. It is a value, not an error of the study: it is shown in the cells it
/// affects, and everything else continues.
#[derive(Clone, Debug)]
pub(crate) struct Failure(pub(crate) String);

/// The result of a job, or the failure of a plugin.
pub(crate) type Attempt<T> = Result<T, Failure>;

/// The failures of jobs, by their keys.
pub(crate) type Failures = BTreeMap<String, Failure>;

/// The checkpoint that a lesson yields. A lesson without it has to be done again.
pub(crate) const CHECKPOINT: &str = "best.safetensors";

/// The file that states that a lesson has been done.
const DONE: &str = "done";

/// The file of the states that a distillation learns from.
pub(crate) const DATASET: &str = "dataset.safetensors";

fn unwritable(path: &Path) -> impl Fn(std::io::Error) -> Error {
    move |cause| Error::Unwritable { path: path.to_owned(), cause }
}

impl StudyRunner<'_> {
    /// What a lesson has cost so far.
    pub(crate) fn lesson(&self, job: &TrainingJob) -> Lesson {
        let folder = self.learned().join(&job.folder);
        let seconds = match job.teacher {
            None => learning::timing(&folder).map(|rows| {
                let whole = |row: &TimingRow| row.seconds + row.validation_seconds.unwrap_or(0.0);
                rows.iter().map(whole).sum()
            }),
            Some(_) => learning::distillation_timing(&folder)
                .map(|rows| rows.iter().map(|row| row.seconds).sum()),
        };
        let folder = Path::new("learned").join(&job.folder);
        Lesson { policy: job.name.clone(), folder, seconds: seconds.ok() }
    }

    fn learned(&self) -> PathBuf {
        self.out.join("learned")
    }

    /// Trains or distils, unless that has been done; `failures` are those of the lessons before.
    pub(crate) fn learn(
        &self,
        job: &TrainingJob,
        failures: &Failures,
        log: &ProgressLog<'_>,
    ) -> Result<Attempt<()>, StudyError> {
        if let Some(teacher) = &job.teacher
            && let Some(Failure(reason)) = failures.get(&teacher.key)
        {
            return Ok(Err(Failure(format!("its teacher: {reason}"))));
        }
        let attempt = self.in_folder_of(job, |folder| {
            let attempt = match &job.teacher {
                None => self.train(job, folder, log)?,
                Some(_) => self.distil(job, folder, log)?,
            };
            if attempt.is_ok() {
                self.end(folder)?;
            }
            Ok(attempt)
        })?;
        if attempt.is_ok() {
            log.done(&job.key);
        }
        Ok(attempt)
    }

    /// Collects the states of a distillation, unless that has been done.
    pub(crate) fn collect(
        &self,
        job: &TrainingJob,
        log: &ProgressLog<'_>,
    ) -> Result<Attempt<()>, StudyError> {
        self.in_folder_of(job, |folder| {
            log.begin(format!("{}: collecting states", job.name));
            self.in_distillation(job, folder, |distillation, dataset| {
                distill::collect(distillation, folder, dataset, Start::Resume)
            })
        })
    }

    /// True if a lesson has been done.
    pub(crate) fn is_learned(&self, job: &TrainingJob) -> bool {
        let folder = self.learned().join(&job.folder);
        folder.join(DONE).exists() && folder.join(CHECKPOINT).exists()
    }

    /// True if the states of a distillation have been collected.
    pub(crate) fn is_collected(&self, job: &TrainingJob) -> bool {
        self.learned().join(&job.folder).join(DATASET).exists()
    }

    /// Does `work` in the folder of a lesson, unless that has been done. No other process works there
    /// meanwhile.
    fn in_folder_of(
        &self,
        job: &TrainingJob,
        work: impl FnOnce(&Path) -> Result<Attempt<()>, StudyError>,
    ) -> Result<Attempt<()>, StudyError> {
        let folder = self.learned().join(&job.folder);
        if self.is_learned(job) {
            return Ok(Ok(()));
        }
        std::fs::create_dir_all(&folder).map_err(unwritable(&folder))?;
        let _lock = FolderLock::take(&folder)?;
        // Another process may have done it by then.
        if self.is_learned(job) {
            return Ok(Ok(()));
        }
        // Of a lesson whose checkpoint was lost: the next checkpoint is not its last.
        match std::fs::remove_file(folder.join(DONE)) {
            Err(cause) if cause.kind() != ErrorKind::NotFound => {
                return Err(unwritable(&folder.join(DONE))(cause).into());
            }
            _ => work(&folder),
        }
    }

    /// Notes in the folder of a lesson that it has been done.
    fn end(&self, folder: &Path) -> Result<(), StudyError> {
        let done = folder.join(DONE);
        write_atomically(&done, &[]).map_err(unwritable(&done))?;
        // Large, and needed only to resume.
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name == DATASET || name == "state" || name.starts_with("round-") {
                let _ = std::fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    /// Creates everything that has not been done once: what learns, and policies that do not. So a
    /// parameter that a plugin refuses shows before hours of lessons. What has learned is created
    /// when it is evaluated: its checkpoint does not exist yet.
    ///
    /// # Errors
    /// The first refusal, or that a lesson can't be resumed.
    pub(crate) fn check(
        &self,
        lessons: &[&TrainingJob],
        planned: &[PlannedItem<'_>],
    ) -> Result<(), StudyError> {
        let first =
            |results: Vec<Result<(), StudyError>>| results.into_iter().collect::<Result<(), _>>();
        let lesson = |job: &&TrainingJob| self.check_lesson(job);
        first(lessons.par_iter().map(lesson).collect())?;
        let mut unlearned: BTreeMap<&str, &EvaluationJob> = BTreeMap::new();
        let runs = runs_of(planned);
        for run in runs.iter().filter(|run| run.job.is_none()) {
            unlearned.entry(&run.evaluation.key).or_insert(&run.evaluation);
        }
        let evaluation = |job: &&EvaluationJob| {
            if self.is_evaluated(job) {
                return Ok(());
            }
            let bound = self.bound(job)?;
            let checked = bound.points.iter().map(|point| check_evaluation(point, self.isolated));
            Ok(checked.collect::<Result<(), _>>()?)
        };
        let unlearned: Vec<&EvaluationJob> = unlearned.into_values().collect();
        first(unlearned.par_iter().map(evaluation).collect())?;
        streams_of(planned).into_iter().try_for_each(|job| self.check_live(job))
    }

    fn check_lesson(&self, job: &TrainingJob) -> Result<(), StudyError> {
        if self.is_learned(job) {
            return Ok(());
        }
        let folder = self.learned().join(&job.folder);
        let refused = |scenario: &Scenario, Refusal { field, cause }: Refusal| {
            Err(Box::new(scenario.fault(&field, cause, None)).into())
        };
        if job.teacher.is_some() {
            let (distillation, _) = self.distillation(job)?;
            // Its teacher has no checkpoint yet, so it can't be compared with what it resumes.
            return match distill::check(&distillation, Path::new(""), Start::New) {
                Err(DistillError::Refused(refusal)) => refused(&distillation.scenario, refusal),
                _ => Ok(()),
            };
        }
        let training = self.training(job)?;
        match train::check(&training, &folder, Start::Resume) {
            Err(TrainError::Refused(refusal)) => refused(&training.scenario, refusal),
            Err(TrainError::Folder(error)) => Err(error.into()),
            // Whatever else is wrong ends that lesson alone.
            _ => Ok(()),
        }
    }

    /// The training of a job.
    fn training(&self, job: &TrainingJob) -> Result<Training, StudyError> {
        let scenario = self.scenario(&job.name, &job.scenario, &job.home)?;
        Ok(bind_training(scenario, self.registry).map_err(Box::new)?)
    }

    /// The distillation of a job, whose teacher has no checkpoint, and the file of that checkpoint.
    fn distillation(
        &self,
        job: &TrainingJob,
    ) -> Result<(Distillation, Option<PathBuf>), StudyError> {
        let mut scenario = self.scenario(&job.name, &job.scenario, &job.home)?;
        // Unlike all other files it names, the teacher's checkpoint is in the study's own folder.
        let checkpoint =
            scenario.distillation.as_mut().and_then(|DistillationEntry { teacher, .. }| {
                teacher.untrained = true;
                teacher.checkpoint.take()
            });
        let distillation = bind_distillation(scenario, self.registry).map_err(Box::new)?;
        Ok((distillation, checkpoint.map(|file| self.learned().join(file))))
    }

    fn train(
        &self,
        job: &TrainingJob,
        folder: &Path,
        log: &ProgressLog<'_>,
    ) -> Result<Attempt<()>, StudyError> {
        log.begin(format!("{}: training", job.name));
        let training = self.training(job)?;
        match train::train(&training, folder, Start::Resume, &Part(log.observer)) {
            Ok(()) => Ok(Ok(())),
            Err(TrainError::Folder(error)) => Err(error.into()),
            Err(error) => Ok(Err(Failure(error.to_string()))),
        }
    }

    fn distil(
        &self,
        job: &TrainingJob,
        folder: &Path,
        log: &ProgressLog<'_>,
    ) -> Result<Attempt<()>, StudyError> {
        log.begin(format!("{}: distilling", job.name));
        self.in_distillation(job, folder, |distillation, dataset| {
            distill::distill(distillation, folder, dataset, Start::Resume, &Part(log.observer))
        })
    }

    /// Does `work` with a distillation and the file of its states.
    fn in_distillation(
        &self,
        job: &TrainingJob,
        folder: &Path,
        work: impl FnOnce(&Distillation, &Path) -> Result<(), DistillError>,
    ) -> Result<Attempt<()>, StudyError> {
        // A dataset of its own: others may be distilling the same teacher at the same time.
        let dataset = folder.join(DATASET);
        let (mut distillation, checkpoint) = self.distillation(job)?;
        distillation.teacher.checkpoint = checkpoint;
        match work(&distillation, &dataset) {
            Ok(()) => Ok(Ok(())),
            Err(DistillError::Folder(error)) => Err(error.into()),
            Err(DistillError::Dataset(error)) => Err(error.into()),
            Err(error) => Ok(Err(Failure(error.to_string()))),
        }
    }

    /// The measurements of a policy at a point.
    pub(crate) fn measure(
        &self,
        runs: &[SeedRun],
        form: ExhibitKind,
        failures: &Failures,
        log: &ProgressLog<'_>,
    ) -> Result<Attempt<Measured>, StudyError> {
        let mut measured = Measured::default();
        for run in runs {
            if let Some(job) = &run.job {
                if let Some(failure) = failures.get(&job.key) {
                    return Ok(Err(failure.clone()));
                }
                let folder = self.learned().join(&job.folder);
                if job.teacher.is_none() {
                    measured.trainings.push(learning::training(&folder)?);
                }
                let contents = checkpoint::read(&folder.join(CHECKPOINT));
                measured.parameters =
                    contents.ok().and_then(|contents| contents.parameters_as_in_the_paper());
            }
            if form != ExhibitKind::Curves {
                match self.evaluate(run, log)? {
                    Ok(run) => measured.runs.push(run),
                    Err(failure) => return Ok(Err(failure)),
                }
            }
        }
        Ok(Ok(measured))
    }

    /// The folder of the results of an evaluation.
    fn results_of(&self, evaluation: &EvaluationJob) -> PathBuf {
        self.out.join(evaluation.folder())
    }

    /// An evaluation, ready to run. Its checkpoint is recorded relative to the study's folder.
    fn bound(&self, evaluation: &EvaluationJob) -> Result<Experiment<Evaluation>, StudyError> {
        let experiment = self.parse(&evaluation.name, &evaluation.scenario, &evaluation.home)?;
        let bind = |scenario| bind_evaluation_with(scenario, self.out.to_owned(), self.registry);
        Ok(experiment.try_map(bind).map_err(Box::new)?)
    }

    /// True if an evaluation has been done, with whatever outcome.
    pub(crate) fn is_evaluated(&self, evaluation: &EvaluationJob) -> bool {
        is_complete(&self.results_of(evaluation))
    }

    /// True if an evaluation has been done, and no run of it failed.
    pub(crate) fn has_succeeded(&self, evaluation: &EvaluationJob) -> bool {
        let folder = RunFolder::open(&self.results_of(evaluation));
        folder.is_ok_and(|folder| folder.records().iter().all(|run| run.error.is_none()))
    }

    /// Evaluates, unless that has been done.
    pub(crate) fn evaluate(
        &self,
        SeedRun { evaluation, reference, lineage, .. }: &SeedRun,
        log: &ProgressLog<'_>,
    ) -> Result<Attempt<MeasuredRun>, StudyError> {
        let folder = self.results_of(evaluation);
        if !self.is_evaluated(evaluation) {
            log.begin(format!("{}: evaluating", evaluation.name));
        }
        let experiments = [self.bound(evaluation)?];
        let attempt = Batch::new(&experiments, None).open(&folder, Start::Resume)?;
        let evaluate = || attempt.run(self.isolated, &Part(log.observer));
        let threads = evaluation.threads().map(|count| ThreadPoolBuilder::new().num_threads(count));
        let outcome = match threads.map(ThreadPoolBuilder::build) {
            Some(Ok(pool)) => pool.install(evaluate),
            _ => evaluate(),
        };
        match outcome {
            Ok(_) => {}
            Err(BatchError::Results(error)) => return Err(error.into()),
            Err(BatchError::Unfit(unfit)) => {
                // There is one run, and the cell names it.
                let causes: Vec<_> = unfit.faults.into_iter().map(|run| run.cause).collect();
                return Ok(Err(Failure(causes.join("; "))));
            }
        }
        log.done(&evaluation.key);
        let missing = || Error::Unreadable { path: folder.clone(), cause: "no run".to_owned() };
        let run = MeasuredRun::read(&folder, reference.map(Reference::name), lineage.clone())?
            .ok_or_else(missing)?;
        match run.record.error {
            Some(error) => Ok(Err(Failure(error))),
            None => Ok(Ok(run)),
        }
    }
}
