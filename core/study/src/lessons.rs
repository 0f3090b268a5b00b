//! Lessons: the trainings and distillations of a study, side by side on all threads. A student's
//! begins as soon as its teacher's has ended.

use std::sync::{Condvar, Mutex, PoisonError};

use crate::plan::{SeedRun, TrainingJob};
use crate::study::StudyError;
use crate::work::{Attempt, Failures};

/// The outcome of a lesson; the failure of a plugin is one.
type Outcome = Result<Attempt<()>, StudyError>;

/// Every training and distillation that `runs` need, each once; a teacher's comes before its
/// student's.
pub(crate) fn lessons<'s>(runs: &[&'s SeedRun]) -> Vec<&'s TrainingJob> {
    let mut lessons: Vec<&TrainingJob> = Vec::new();
    let learning = runs.iter().filter_map(|run| run.job.as_ref());
    for job in learning.flat_map(|job| job.teacher.as_deref().into_iter().chain([job])) {
        if !lessons.iter().any(|listed| listed.key == job.key) {
            lessons.push(job);
        }
    }
    // Many students may wait for one teacher.
    lessons.sort_by_key(|job| job.teacher.is_some());
    lessons
}

/// The lessons that are left, and what came of the others.
struct Progress<'j> {
    waiting: Vec<&'j TrainingJob>,
    outcomes: Vec<(&'j TrainingJob, Outcome)>,
}

impl<'j> Progress<'j> {
    /// Takes the first lesson whose teacher is ready; `None` if all of them wait.
    fn take(&mut self) -> Option<&'j TrainingJob> {
        let over = |key: &str| self.outcomes.iter().any(|(job, _)| job.key == key);
        let ready =
            |job: &&TrainingJob| job.teacher.as_ref().is_none_or(|teacher| over(&teacher.key));
        let at = self.waiting.iter().position(ready)?;
        Some(self.waiting.remove(at))
    }

    /// The failures so far.
    fn failures(&self) -> Failures {
        let failed = self.outcomes.iter().filter_map(|(job, outcome)| match outcome {
            Ok(Err(failure)) => Some((job.key.clone(), failure.clone())),
            _ => None,
        });
        failed.collect()
    }
}

/// Gives all lessons by `learn`, which is handed the failures of those before. Most of a lesson
/// runs on one thread, so as many run at a time as can, and share the threads of the pool.
///
/// # Errors
/// The first error of the study itself.
pub(crate) fn give(
    lessons: &[&TrainingJob],
    learn: impl Fn(&TrainingJob, &Failures) -> Outcome + Sync,
) -> Result<Failures, StudyError> {
    let threads = rayon::current_num_threads();
    let teachers = lessons.iter().filter(|job| job.teacher.is_none()).count();
    let at_a_time = teachers.max(lessons.len() - teachers);
    let workers = threads.min(at_a_time).max(1);
    let progress = Mutex::new(Progress { waiting: lessons.to_vec(), outcomes: Vec::new() });
    let changed = Condvar::new();
    // A lock is poisoned by a panic alone, which ends everything anyway.
    let lock = || progress.lock().unwrap_or_else(PoisonError::into_inner);
    let work = || {
        // If no pool can be made, it works in the one it is called in.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads / workers).build();
        loop {
            let mut held = lock();
            let (job, failures) = loop {
                if let Some(job) = held.take() {
                    break (job, held.failures());
                }
                if held.waiting.is_empty() {
                    return;
                }
                held = changed.wait(held).unwrap_or_else(PoisonError::into_inner);
            };
            drop(held);
            let learn = || learn(job, &failures);
            let outcome = match &pool {
                Ok(pool) => pool.install(learn),
                Err(_) => learn(),
            };
            lock().outcomes.push((job, outcome));
            changed.notify_all();
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    let outcomes = progress.into_inner().unwrap_or_else(PoisonError::into_inner).outcomes;
    let mut failures = Failures::new();
    for (job, outcome) in outcomes {
        if let Err(failure) = outcome? {
            failures.insert(job.key.clone(), failure);
        }
    }
    Ok(failures)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::Failure;

    fn job(key: &str, teacher: Option<&str>) -> TrainingJob {
        TrainingJob {
            name: key.to_owned(),
            folder: key.to_owned(),
            key: key.to_owned(),
            scenario: String::new(),
            home: "".into(),
            teacher: teacher.map(|key| Box::new(job(key, None))),
        }
    }

    #[test]
    fn a_student_learns_after_its_teacher_and_knows_of_its_failure() {
        let jobs = [
            job("a", None),
            job("b", None),
            job("pupil of a", Some("a")),
            job("pupil of b", Some("b")),
            job("another of b", Some("b")),
        ];
        for threads in [1, 2, 5] {
            let ended = Mutex::new(Vec::new());
            let learn = |job: &TrainingJob, before: &Failures| {
                let teacher = job.teacher.as_ref().map(|teacher| teacher.key.clone());
                let mut ended = ended.lock().unwrap();
                assert!(teacher.as_ref().is_none_or(|key| ended.contains(key)), "{}", job.key);
                ended.push(job.key.clone());
                let failed = job.key == "b" || teacher.is_some_and(|key| before.contains_key(&key));
                Ok(if failed { Err(Failure("no".into())) } else { Ok(()) })
            };
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let all: Vec<&TrainingJob> = jobs.iter().collect();
            let failures = pool.install(|| give(&all, learn)).unwrap();
            let failed: Vec<&str> = failures.keys().map(String::as_str).collect();
            assert_eq!(failed, ["another of b", "b", "pupil of b"]);
            assert_eq!(ended.into_inner().unwrap().len(), 5);
        }
    }
}
