//! Threads of a learner: the caller's own, and others that wait for work beside it.

use rayon::{ThreadPool, ThreadPoolBuilder};

/// The reason why the system does not start a thread.
pub type ThreadsError = rayon::ThreadPoolBuildError;

/// Threads that share the parts of an update. The caller is one of them: to wake another and wait for
/// it takes some tens of microseconds, which is what a small part takes.
#[derive(Debug)]
pub struct Threads {
    /// The others, if there are any.
    others: Option<ThreadPool>,
}

impl Threads {
    /// So many threads, at least 1, the caller's among them.
    ///
    /// # Errors
    /// If the system can't start one.
    pub fn new(count: usize) -> Result<Self, ThreadsError> {
        let count = count.max(1);
        let pool = || ThreadPoolBuilder::new().num_threads(count - 1).build();
        Ok(Self { others: (count > 1).then(pool).transpose()? })
    }

    /// The caller's thread alone.
    pub const fn alone() -> Self {
        Self { others: None }
    }

    /// Calls `work` with each item, the first on the caller's thread, and returns when all are done. An
    /// item must not depend on another, so that the number of threads changes nothing.
    pub fn each<T: Send>(&self, items: impl IntoIterator<Item = T>, work: impl Fn(T) + Sync) {
        let mut items = items.into_iter();
        let Some(first) = items.next() else { return };
        match &self.others {
            None => std::iter::once(first).chain(items).for_each(work),
            Some(others) => others.in_place_scope(|scope| {
                let work = &work;
                items.for_each(|item| scope.spawn(move |_| work(item)));
                work(first);
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_worked_on_whatever_the_number_of_threads() {
        for count in [0, 1, 2, 5] {
            let mut items = [1, 2, 3, 4, 5, 6, 7];
            Threads::new(count).unwrap().each(&mut items, |item| *item *= 2);
            assert_eq!(items, [2, 4, 6, 8, 10, 12, 14]);
            Threads::new(count).unwrap().each(std::iter::empty::<u32>(), |_| ());
        }
    }
}
