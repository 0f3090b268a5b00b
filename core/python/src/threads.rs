//! Threads for long calls, in which Ctrl-C is heard, also in a forked process.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use offramp_harness::events::{Event, Observer};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// How long Ctrl-C may go unheard.
const PATIENCE: Duration = Duration::from_millis(50);

/// More threads than any machine makes use of.
const MAX_THREADS: usize = 1024;

/// The pools there are, by the process that they belong to and their number of threads.
static POOLS: Mutex<Vec<(u32, usize, Arc<ThreadPool>)>> = Mutex::new(Vec::new());

/// A pool of `threads` threads, one per core for 0. A forked process has none of its parent's
/// threads, so it gets pools of its own.
pub(crate) fn pool(threads: usize) -> PyResult<Arc<ThreadPool>> {
    if threads > MAX_THREADS {
        let message = format!("threads: {threads} is not in range 1 … {MAX_THREADS}");
        return Err(PyValueError::new_err(message));
    }
    let process = std::process::id();
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    let known = pools.iter().find(|(owner, count, _)| (*owner, *count) == (process, threads));
    if let Some((_, _, pool)) = known {
        return Ok(Arc::clone(pool));
    }
    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = Arc::new(pool.map_err(|error| PyOSError::new_err(error.to_string()))?);
    // Those of a parent are never dropped: that would wait for threads that are not there.
    pools.push((process, threads, Arc::clone(&pool)));
    Ok(pool)
}

/// How far a long call has come, and whether it is to end early.
#[derive(Default)]
pub(crate) struct Watched {
    done: AtomicU64,
    stop: AtomicBool,
}

impl Observer for Watched {
    fn on_event(&self, event: Event<'_>) {
        let done = match event {
            Event::EpisodesEnded(count) | Event::SlotsEnded(count) => {
                self.done.fetch_add(count, Ordering::Relaxed);
                return;
            }
            Event::Begun { done, .. } => done,
            Event::TrainingEpisode(played) => played.row.episode + 1,
            Event::Validation(validation) => validation.row.step,
            Event::StudyJob { done, .. } => done as u64,
            _ => return,
        };
        self.done.store(done, Ordering::Relaxed);
    }

    fn interrupted(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Carries out `work` on `threads` threads, without the interpreter's lock. `progress`, a callable,
/// is told how far it has come. `on_interrupt` is called at Ctrl-C. Ctrl-C, or an exception of `progress`, ends it early, and is raised
/// once it has returned.
pub(crate) fn interruptible<T: Send>(
    py: Python<'_>,
    threads: usize,
    progress: Option<&Bound<'_, PyAny>>,
    on_interrupt: impl Fn(),
    work: impl FnOnce(&Watched) -> T + Send,
) -> PyResult<T> {
    let pool = pool(threads)?;
    let watched = Watched::default();
    // Inside a callable of another call: this thread is one of those that would do the work.
    if rayon::current_thread_index().is_some() {
        return Ok(py.detach(|| pool.install(|| work(&watched))));
    }
    let mut raised = None;
    let done = std::thread::scope(|scope| {
        let (send, receive) = mpsc::channel();
        let (pool, watched) = (&pool, &watched);
        scope.spawn(move || {
            let _ = send.send(pool.install(|| work(watched)));
        });
        // The receiver is not for several threads, which `detach` can't know.
        let receive = Mutex::new(receive);
        loop {
            let heard = py.detach(|| {
                let receive = receive.lock().unwrap_or_else(PoisonError::into_inner);
                receive.recv_timeout(PATIENCE)
            });
            match heard {
                Ok(done) => return Some(done),
                Err(mpsc::RecvTimeoutError::Disconnected) => return None,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            let told = || -> PyResult<()> {
                py.check_signals()?;
                if let (None, Some(progress)) = (&raised, progress) {
                    progress.call1((watched.done.load(Ordering::Relaxed),))?;
                }
                Ok(())
            };
            if let Err(error) = told() {
                watched.stop.store(true, Ordering::Relaxed);
                on_interrupt();
                raised = Some(error);
            }
        }
    });
    match (raised, done) {
        (Some(error), _) => Err(error),
        (None, Some(done)) => Ok(done),
        (None, None) => Err(PyOSError::new_err("a thread ended early: this is a bug of offramp")),
    }
}
