//! Jobs side by side: trainings and distillations of a study or a search, most of which run on one
//! thread.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The jobs that have not begun, those at work, and the outcomes of the others.
struct Progress<O> {
    waiting: Vec<usize>,
    working: usize,
    /// By the number of the job, in the order in which they ended.
    outcomes: Vec<(usize, O)>,
}

/// A job at work; it ends when this is dropped, by a panic too, so that nobody waits for it for ever.
struct AtWork<'p, O> {
    progress: &'p Mutex<Progress<O>>,
    changed: &'p Condvar,
}

impl<O> Drop for AtWork<'_, O> {
    fn drop(&mut self) {
        lock(self.progress).working -= 1;
        self.changed.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A lock is poisoned by a panic alone, which ends everything anyway.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does all jobs, at most `at_a_time`, with the threads of the rayon pool that this is called in
/// shared out evenly. Returns the outcome of each job, in the order of `jobs`.
///
/// `begin` is handed the outcomes so far, by the number of their jobs. It returns what the job needs of
/// them, or `None` as long as it has to wait. Of the jobs that need not wait, the first begins.
pub fn side_by_side<J: Sync, B: Send, O: Send>(
    jobs: &[J],
    at_a_time: usize,
    begin: impl Fn(&J, &[(usize, O)]) -> Option<B> + Sync,
    work: impl Fn(&J, B) -> O + Sync,
) -> Vec<O> {
    let threads = rayon::current_num_threads();
    let workers = threads.min(at_a_time).min(jobs.len()).max(1);
    let waiting = (0..jobs.len()).collect();
    let progress = Mutex::new(Progress { waiting, working: 0, outcomes: Vec::new() });
    let changed = Condvar::new();
    let next = || {
        let mut held = lock(&progress);
        loop {
            let Progress { waiting, outcomes, .. } = &*held;
            let mut open = waiting.iter().enumerate();
            let found = open.find_map(|(at, &job)| Some((at, job, begin(&jobs[job], outcomes)?)));
            if let Some((at, job, begun)) = found {
                held.waiting.remove(at);
                held.working += 1;
                return Some((job, begun, AtWork { progress: &progress, changed: &changed }));
            }
            // What waits for something that never ends is not done.
            if held.working == 0 {
                return None;
            }
            held = changed.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
    };
    let worker = || {
        // If no pool can be made, it works in the one it is called in.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads / workers).build();
        while let Some((job, begun, at_work)) = next() {
            let work = || work(&jobs[job], begun);
            let outcome = match &pool {
                Ok(pool) => pool.install(work),
                Err(_) => work(),
            };
            lock(&progress).outcomes.push((job, outcome));
            drop(at_work);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(worker);
        }
    });
    let mut outcomes = progress.into_inner().unwrap_or_else(PoisonError::into_inner).outcomes;
    outcomes.sort_by_key(|(job, _)| *job);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_job_is_done_once_and_after_what_it_waits_for() {
        // Each of the later ones waits for the job of half its number.
        let jobs: Vec<usize> = (0..9).collect();
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let begin = |&job: &usize, done: &[(usize, usize)]| match job {
                0..3 => Some(0),
                job => done.iter().find(|(other, _)| *other == job / 2).map(|(_, depth)| depth + 1),
            };
            let depths = pool.install(|| side_by_side(&jobs, 4, begin, |_, depth| depth));
            assert_eq!(depths, [0, 0, 0, 1, 1, 1, 2, 2, 2], "3 → 1, 4 → 2, …");
        }
        assert!(side_by_side(&[], 4, |&(), _| Some(()), |&(), ()| ()).is_empty());
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_panic_keeps_nobody_waiting() {
        let begin = |&job: &i32, done: &[(usize, ())]| (job == 0 || !done.is_empty()).then_some(());
        side_by_side(&[0, 1, 1], 3, begin, |&job, ()| assert!(job != 0, "on purpose"));
    }
}
