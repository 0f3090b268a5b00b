//! Doing what has not been done: lessons side by side, then evaluations.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use offramp_results::exhibit::{ExhibitKind, Measured};
use offramp_results::run_folder::{self, NewRunFolder, StoredRun};
use offramp_results::{Error, checkpoint, learning};

use crate::bind::{bind_distillation, bind_evaluation, bind_training};
use crate::distill::{DistillError, distill};
use crate::evaluate::evaluate;
use crate::events::{Event, Observer, Quiet};
use crate::record;
use crate::resume::Start;
use crate::train::{TrainError, train};

use super::plan::{Evaluation, Lesson, Trial, folder_name};
use super::{Bench, StudyError};

/// What has been done, and who is told.
pub(super) struct Diary<'t> {
    total: usize,
    done: Mutex<HashSet<String>>,
    observer: &'t dyn Observer,
}

impl<'t> Diary<'t> {
    pub(super) fn new(plans: &[Vec<Trial>], observer: &'t dyn Observer) -> Self {
        let mut all = HashSet::new();
        plans.iter().flatten().for_each(|trial| trial.keys(&mut all));
        Self { total: all.len(), done: Mutex::default(), observer }
    }

    /// Something is begun.
    fn tell(&self, what: String) {
        // A lock is poisoned by a panic alone, which ends everything anyway.
        let done = self.done.lock().map_or(0, |done| done.len());
        let what = &what;
        self.observer.on_event(Event::StudyJob { done, total: self.total, what });
    }

    fn done(&self, key: &str) {
        if let Ok(mut done) = self.done.lock() {
            done.insert(key.to_owned());
        }
    }
}

/// Why lessons failed, by their keys.
pub(super) type Failures = BTreeMap<String, String>;

impl Bench<'_> {
    fn learned(&self) -> PathBuf {
        self.out.join("learned")
    }

    /// Teaches everything that is to be learned: all teachers first, then all students, as many
    /// side by side as there are threads.
    pub(super) fn teach_all(
        &self,
        plans: &[Vec<Trial>],
        diary: &Diary<'_>,
    ) -> Result<Failures, StudyError> {
        let mut lessons: Vec<&Lesson> = Vec::new();
        let taught = plans.iter().flatten().filter_map(|trial| trial.lesson.as_ref());
        for lesson in
            taught.flat_map(|lesson| lesson.teacher.as_deref().into_iter().chain([lesson]))
        {
            if !lessons.iter().any(|listed| listed.key == lesson.key) {
                lessons.push(lesson);
            }
        }
        let (teachers, students): (Vec<&Lesson>, Vec<&Lesson>) =
            lessons.into_iter().partition(|lesson| lesson.teacher.is_none());
        let mut failures = Failures::new();
        for lessons in [teachers, students] {
            let outcomes = self.side_by_side(&lessons, &failures, diary);
            for (lesson, outcome) in lessons.into_iter().zip(outcomes) {
                if let Err(failure) = outcome? {
                    failures.insert(lesson.key.clone(), failure);
                }
            }
        }
        Ok(failures)
    }

    /// Lessons that do not need each other. A few threads for each lesson, not all for one: most
    /// of what a lesson does is one thread's.
    fn side_by_side(
        &self,
        lessons: &[&Lesson],
        failures: &Failures,
        diary: &Diary<'_>,
    ) -> Vec<Result<Result<(), String>, StudyError>> {
        let threads = rayon::current_num_threads();
        let workers = threads.min(lessons.len()).max(1);
        let next = AtomicUsize::new(0);
        let outcomes: Vec<Mutex<Option<_>>> = lessons.iter().map(|_| Mutex::new(None)).collect();
        let work = || {
            // Without a pool of its own it works in whichever there is.
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads / workers).build();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(lesson) = lessons.get(at) else { return };
                let teach = || self.teach(lesson, failures, diary);
                let outcome = match &pool {
                    Ok(pool) => pool.install(teach),
                    Err(_) => teach(),
                };
                if let Ok(mut place) = outcomes[at].lock() {
                    *place = Some(outcome);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(work);
            }
        });
        let missing = || Ok(Err("it was not taught".to_owned()));
        let outcomes = outcomes.into_iter().map(|outcome| outcome.into_inner().ok().flatten());
        outcomes.map(|outcome| outcome.unwrap_or_else(missing)).collect()
    }

    /// Trains or distils, unless that is done.
    fn teach(
        &self,
        lesson: &Lesson,
        failures: &Failures,
        diary: &Diary<'_>,
    ) -> Result<Result<(), String>, StudyError> {
        let learned = self.learned();
        let folder = learned.join(&lesson.folder);
        let done = folder.join("done");
        if done.exists() {
            diary.done(&lesson.key);
            return Ok(Ok(()));
        }
        std::fs::create_dir_all(&learned).map_err(crate::resume::unwritable(&learned))?;
        let failed = match &lesson.teacher {
            None => {
                diary.tell(format!("{}: training", lesson.name));
                let scenario = self.scenario(&lesson.name, &lesson.scenario, &learned)?;
                let training = bind_training(scenario, self.registry).map_err(Box::new)?;
                match train(&training, &folder, Start::Resume, &Quiet) {
                    Ok(()) => None,
                    Err(error @ TrainError::Failed { .. }) => Some(error.to_string()),
                    Err(TrainError::Folder(error)) => return Err(error.into()),
                }
            }
            Some(teacher) => {
                if let Some(failure) = failures.get(&teacher.key) {
                    return Ok(Err(format!("its teacher: {failure}")));
                }
                diary.tell(format!("{}: distilling", lesson.name));
                // Its own: others may be distilling the same teacher at the same time.
                let dataset = folder.join("dataset.safetensors");
                let scenario = self.scenario(&lesson.name, &lesson.scenario, &learned)?;
                let distillation = bind_distillation(scenario, self.registry).map_err(Box::new)?;
                match distill(&distillation, &folder, &dataset, Start::Resume, &Quiet) {
                    Ok(()) => None,
                    Err(error @ DistillError::Failed { .. }) => Some(error.to_string()),
                    Err(DistillError::Folder(error)) => return Err(error.into()),
                    Err(DistillError::Dataset(error)) => return Err(error.into()),
                }
            }
        };
        if let Some(failure) = failed {
            return Ok(Err(failure));
        }
        crate::resume::write(&done, &[])?;
        // Large, and needed only to go on.
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name == "dataset.safetensors" || name == "state" || name.starts_with("round-") {
                let _ = std::fs::remove_file(entry.path());
            }
        }
        diary.done(&lesson.key);
        Ok(Ok(()))
    }

    /// What came out of a policy at a point.
    pub(super) fn measure(
        &self,
        trials: &[Trial],
        form: ExhibitKind,
        failures: &Failures,
        diary: &Diary<'_>,
    ) -> Result<Result<Measured, String>, StudyError> {
        let mut measured = Measured::default();
        for trial in trials {
            if let Some(lesson) = &trial.lesson {
                if let Some(failure) = failures.get(&lesson.key) {
                    return Ok(Err(failure.clone()));
                }
                let folder = self.learned().join(&lesson.folder);
                if lesson.teacher.is_none() {
                    measured.trainings.push(learning::training(&folder)?);
                }
                let contents = checkpoint::read(&folder.join("best.safetensors"));
                measured.parameters =
                    contents.ok().and_then(|contents| contents.parameters_as_in_the_paper());
            }
            if form != ExhibitKind::Curves {
                let run = self.evaluate(&trial.evaluation, diary)?;
                if let Some(error) = run.record.error {
                    return Ok(Err(error));
                }
                measured.runs.push(run);
            }
        }
        Ok(Ok(measured))
    }

    /// Evaluates, unless that is done.
    fn evaluate(
        &self,
        evaluation: &Evaluation,
        diary: &Diary<'_>,
    ) -> Result<StoredRun, StudyError> {
        let results = self.out.join("results");
        let folder = results.join(folder_name(&evaluation.name, &evaluation.key));
        if !folder.exists() {
            diary.tell(format!("{}: evaluating", evaluation.name));
            let (name, text) = (&evaluation.name, &evaluation.scenario);
            let experiment = self.parse(name, text, self.out)?;
            let bind = |scenario| bind_evaluation(scenario, self.registry);
            let experiments = [experiment.try_map(bind).map_err(Box::new)?];
            let runs = evaluate(&experiments, &|_| true, self.isolated, &Quiet);
            let runs: Vec<_> = runs.iter().map(|(_, run)| record::stored_run(run)).collect();
            let scenarios = record::scenarios(&experiments);
            NewRunFolder::begin(&folder)?.finish(&scenarios, None, &runs)?;
        }
        diary.done(&evaluation.key);
        let mut runs = run_folder::read(&folder)?;
        let missing = || Error::Unreadable { path: folder.clone(), cause: "no run".to_owned() };
        let run = runs.pop().ok_or_else(missing)?;
        Ok(run)
    }
}
