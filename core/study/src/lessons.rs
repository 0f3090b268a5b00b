//! Lessons: the trainings and distillations of a study, side by side on all threads.

use offramp_harness::side_by_side::side_by_side;

use crate::plan::TrainingJob;
use crate::study::StudyError;
use crate::work::{Attempt, Failures};

/// The outcome of a lesson; the failure of a plugin is one.
type Outcome = Result<Attempt<()>, StudyError>;

/// Each of these trainings and distillations once, with those of teachers, which come before their
/// students'.
pub(crate) fn lessons<'s>(needed: impl Iterator<Item = &'s TrainingJob>) -> Vec<&'s TrainingJob> {
    let mut lessons: Vec<&TrainingJob> = Vec::new();
    for job in needed.flat_map(|job| job.teacher.as_deref().into_iter().chain([job])) {
        if !lessons.iter().any(|listed| listed.key == job.key) {
            lessons.push(job);
        }
    }
    // Many students may wait for one teacher.
    lessons.sort_by_key(|job| job.teacher.is_some());
    lessons
}

/// Gives all lessons by `learn`, which is handed the failures of those before. A student's begins as
/// soon as its teacher's has ended.
///
/// # Errors
/// The first error of the study itself.
pub(crate) fn give(
    lessons: &[&TrainingJob],
    learn: impl Fn(&TrainingJob, &Failures) -> Outcome + Sync,
) -> Result<Failures, StudyError> {
    let teachers = lessons.iter().filter(|job| job.teacher.is_none()).count();
    let begin = |job: &&TrainingJob, done: &[(usize, Outcome)]| {
        let over = |key: &str| done.iter().any(|(at, _)| lessons[*at].key == key);
        let ready = job.teacher.as_ref().is_none_or(|teacher| over(&teacher.key));
        ready.then(|| failures(done.iter().map(|(at, outcome)| (lessons[*at], outcome))))
    };
    // With a single teacher, its lesson has all threads.
    let at_a_time = teachers.max(lessons.len() - teachers);
    let outcomes = side_by_side(lessons, at_a_time, begin, |job, before| learn(job, &before));
    let failures = failures(lessons.iter().copied().zip(&outcomes));
    outcomes.into_iter().find_map(Result::err).map_or(Ok(failures), Err)
}

/// The failures among these outcomes.
fn failures<'o>(outcomes: impl Iterator<Item = (&'o TrainingJob, &'o Outcome)>) -> Failures {
    let failed = outcomes.filter_map(|(job, outcome)| match outcome {
        Ok(Err(failure)) => Some((job.key.clone(), failure.clone())),
        _ => None,
    });
    failed.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

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
