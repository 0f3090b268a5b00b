//! The watch over calls into plugins: when the process ends in one, it is stated which, and the
//! exit code is not that of success.
//!
//! A policy in native code can segfault, abort, or call `exit`, and takes the process along. Each
//! thread marks the call that is under way on it (a few plain stores per call); after [`watch`],
//! handlers of fatal signals and of `exit` read the marks and name the policy. They use nothing but
//! memory that is never freed, a fixed buffer and `write`, as a signal handler must. Only isolation
//! keeps a run's failure from the others, and only it notices `_exit`, which no handler sees.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ptr::{self, null_mut};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, PoisonError};

/// The call in which a library is loaded.
pub(crate) static LOADING: &str = "loading the library";

/// The name of a policy, explorer or library in messages. It is never freed, so that a handler may
/// read it whenever it runs.
pub(crate) type Title = &'static String;

/// The title of that text: the same one each time, so that their number is bounded.
pub(crate) fn title(text: String) -> Title {
    static TITLES: Mutex<BTreeMap<String, Title>> = Mutex::new(BTreeMap::new());
    let mut titles = TITLES.lock().unwrap_or_else(PoisonError::into_inner);
    titles.entry(text).or_insert_with_key(|text| Box::leak(Box::new(text.clone())))
}

/// The call that is under way on a thread.
#[derive(Debug)]
struct Mark {
    /// The thread, as [`thread`] numbers it.
    thread: usize,
    /// The next in the list of all marks.
    next: *const Mark,
    /// Whom it calls; null between calls.
    title: AtomicPtr<String>,
    /// The call.
    call: AtomicPtr<&'static str>,
}

/// The marks of all threads that ever called a plugin. They are never freed: threads are few, since
/// calls are made from a pool.
static MARKS: AtomicPtr<Mark> = AtomicPtr::new(null_mut());

thread_local! {
    /// The mark of this thread; null before its first call.
    static OWN: Cell<*const Mark> = const { Cell::new(ptr::null()) };
}

/// Carries out a call into a plugin, marked as such.
#[inline]
pub(crate) fn during<T>(title: Title, call: &'static &'static str, work: impl FnOnce() -> T) -> T {
    /// Ends the mark, also when `work` panics.
    struct End(&'static Mark);
    impl Drop for End {
        #[inline]
        fn drop(&mut self) {
            self.0.title.store(null_mut(), Ordering::Relaxed);
        }
    }
    let own = OWN.get();
    // SAFETY: null, or a mark, which is never freed.
    let mark = unsafe { own.as_ref() }.unwrap_or_else(|| new_mark());
    // A handler on this thread sees stores in the order of the program; one on another thread may
    // see a call with the title of the one before, which costs a word in a message.
    mark.call.store(ptr::from_ref(call).cast_mut(), Ordering::Relaxed);
    mark.title.store(ptr::from_ref(title).cast_mut(), Ordering::Relaxed);
    let _end = End(mark);
    work()
}

/// Enters this thread into the list.
#[cold]
fn new_mark() -> &'static Mark {
    let mark = Box::leak(Box::new(Mark {
        thread: thread(),
        next: MARKS.load(Ordering::Acquire),
        title: AtomicPtr::new(null_mut()),
        call: AtomicPtr::new(null_mut()),
    }));
    while let Err(now) =
        MARKS.compare_exchange(mark.next.cast_mut(), mark, Ordering::AcqRel, Ordering::Acquire)
    {
        mark.next = now;
    }
    OWN.set(mark);
    mark
}

#[cfg(not(unix))]
fn thread() -> usize {
    0
}

#[cfg(unix)]
fn thread() -> usize {
    // SAFETY: it has no conditions.
    unsafe { libc::pthread_self() as usize }
}

/// Ends the watch when it is dropped: an exit after that is the program's own.
#[derive(Debug)]
#[must_use = "it watches until it is dropped"]
pub struct Watch(());

/// Watches calls into plugins until the result is dropped: a policy that ends the process by a
/// fatal signal or by `exit` is named on standard error, and an exit code is 1 whatever it asked
/// for. For a program's `main`; the handlers are the process's.
pub fn watch() -> Watch {
    #[cfg(unix)]
    handlers::install();
    Watch(())
}

impl Drop for Watch {
    fn drop(&mut self) {
        #[cfg(unix)]
        handlers::end();
    }
}

#[cfg(unix)]
mod handlers {
    use std::ffi::c_int;
    use std::mem::MaybeUninit;
    use std::ptr::{self, null_mut};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

    use super::{LOADING, MARKS, Mark, thread};

    /// The process that watches, since a child of a `fork` in a plugin may exit as it likes; 0 if
    /// none does.
    static WATCHING: AtomicI32 = AtomicI32::new(0);
    /// True once something has been said: one crash often leads to another.
    static SAID: AtomicBool = AtomicBool::new(false);

    /// True once a plugin has called `exit`.
    static EXITS: AtomicBool = AtomicBool::new(false);
    /// As many threads may call `exit` at once. Each takes handlers off one list, and the process
    /// ends with the exit code of the first that finds it empty.
    const EXITING_THREADS: usize = 256;

    const SIGNALS: [(c_int, &str); 5] = [
        (libc::SIGSEGV, " (segmentation fault)"),
        (libc::SIGBUS, " (bus error)"),
        (libc::SIGILL, " (illegal instruction)"),
        (libc::SIGFPE, " (arithmetic error)"),
        (libc::SIGABRT, " (abort)"),
    ];

    /// Earlier action for each of [`SIGNALS`].
    static EARLIER: OnceLock<[libc::sigaction; SIGNALS.len()]> = OnceLock::new();

    pub(super) fn install() {
        let first = EARLIER.get().is_none();
        EARLIER.get_or_init(|| SIGNALS.map(|(signal, _)| earlier(signal)));
        // SAFETY: it has no conditions.
        WATCHING.store(unsafe { libc::getpid() }, Ordering::Release);
        if !first {
            return;
        }
        for (signal, _) in SIGNALS {
            // SAFETY: all its fields may be zero; the handler below has the type that SA_SIGINFO
            // asks for, and does only what a handler may.
            unsafe {
                let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
                let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                    on_signal;
                action.sa_sigaction = handler as libc::sighandler_t;
                action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
                libc::sigaction(signal, &raw const action, null_mut());
            }
        }
        for _ in 0..EXITING_THREADS {
            // SAFETY: the function lives as long as the process.
            unsafe { libc::atexit(on_exit) };
        }
    }

    pub(super) fn end() {
        WATCHING.store(0, Ordering::Release);
    }

    fn earlier(signal: c_int) -> libc::sigaction {
        // SAFETY: all fields may be zero; the call reads what there is.
        unsafe {
            let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
            libc::sigaction(signal, ptr::null(), &raw mut action);
            action
        }
    }

    fn watches() -> bool {
        // SAFETY: it has no conditions, and a signal handler may call it.
        WATCHING.load(Ordering::Acquire) == unsafe { libc::getpid() }
    }

    /// States the call that crashes, and leaves the rest to what was there before: the system ends
    /// the process, or Rust states first that a stack has overflowed.
    extern "C" fn on_signal(signal: c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        let place = SIGNALS.iter().position(|(listed, _)| *listed == signal).unwrap_or(0);
        if watches() && !SAID.swap(true, Ordering::AcqRel) {
            let mut line = Line::new();
            let remedy = line.culprit("crashed");
            line.text(": signal ");
            line.number(signal.unsigned_abs());
            line.text(SIGNALS[place].1);
            line.text(remedy);
            line.print();
        }
        let Some(earlier) = EARLIER.get() else { return };
        // SAFETY: puts back what was read; `info` is the system's. A fault happens again after the
        // return; a signal that was sent is sent again.
        unsafe {
            libc::sigaction(signal, &raw const earlier[place], null_mut());
            if (*info).si_code <= 0 {
                libc::raise(signal);
            }
        }
    }

    /// Ends the process with exit code 1 if nobody but a plugin can have asked for its end.
    extern "C" fn on_exit() {
        if !watches() {
            return;
        }
        while EXITS.swap(true, Ordering::AcqRel) {
            // SAFETY: it has no conditions. Another thread ends the process.
            unsafe { libc::pause() };
        }
        let mut line = Line::new();
        let remedy = line.culprit("ended the process");
        line.text(" by calling `exit`");
        line.text(remedy);
        line.print();
        // SAFETY: it has no conditions.
        unsafe { libc::_exit(1) }
    }

    /// A line of text in a buffer of its own; what does not fit is left out.
    struct Line {
        bytes: [u8; 1024],
        length: usize,
    }

    const ISOLATE: &str = "; with --isolate only its own run fails\n";
    const REMOVE: &str = "; move it out of the folders in which plugins are looked for\n";

    impl Line {
        fn new() -> Self {
            Self { bytes: [0; 1024], length: 0 }
        }

        fn text(&mut self, text: &str) {
            for &byte in text.as_bytes() {
                // The last byte is for the line's end.
                if self.length < self.bytes.len() - 1 {
                    self.bytes[self.length] = byte;
                    self.length += 1;
                }
            }
        }

        fn number(&mut self, number: u32) {
            if number > 9 {
                self.number(number / 10);
            }
            let digit = [b'0' + (number % 10) as u8];
            self.text(std::str::from_utf8(&digit).unwrap_or_default());
        }

        /// Names who did `what`, in which call, and returns what to do about it.
        fn culprit(&mut self, what: &str) -> &'static str {
            if let Some((title, call)) = calls().find_map(|(thread_of, title, call)| {
                (thread_of == thread()).then_some((title, call))
            }) {
                return self.in_call(title, call, what);
            }
            // A thread that a plugin has started, or one of the program's own.
            let mut others = calls().map(|(_, title, call)| (title, call));
            match (others.next(), others.next()) {
                (Some((title, call)), None) => return self.in_call(title, call, what),
                (None, _) => {
                    self.text("a plugin, or offramp itself, ");
                    self.text(what);
                    self.text(" outside of any call");
                }
                (Some(_), Some(_)) => {
                    self.text("one of these policies ");
                    self.text(what);
                    self.text(", on a thread of its own:");
                    for (_, title, call) in calls() {
                        self.text(" ");
                        self.text(title);
                        self.text(" in `");
                        self.text(call);
                        self.text("`");
                    }
                }
            }
            ISOLATE
        }

        fn in_call(&mut self, title: &str, call: &str, what: &str) -> &'static str {
            self.text(title);
            self.text(" ");
            self.text(what);
            if call == LOADING {
                self.text(" while it was being loaded");
                return REMOVE;
            }
            self.text(" in `");
            self.text(call);
            self.text("`");
            ISOLATE
        }

        fn print(&mut self) {
            if self.bytes[..self.length].last() != Some(&b'\n') {
                self.bytes[self.length] = b'\n';
                self.length += 1;
            }
            // SAFETY: so many bytes are there. If nobody can be told, so be it.
            unsafe { libc::write(2, self.bytes.as_ptr().cast(), self.length) };
        }
    }

    /// The calls under way: thread, title, call.
    fn calls() -> impl Iterator<Item = (usize, &'static str, &'static str)> {
        // SAFETY: marks, titles and calls are never freed.
        let first = unsafe { MARKS.load(Ordering::Acquire).cast_const().as_ref() };
        // SAFETY: as above.
        let marks = std::iter::successors(first, |mark: &&Mark| unsafe { mark.next.as_ref() });
        marks.filter_map(|mark| {
            // SAFETY: as above.
            let title = unsafe { mark.title.load(Ordering::Relaxed).as_ref() }?;
            // SAFETY: as above.
            let call = unsafe { mark.call.load(Ordering::Relaxed).as_ref() }?;
            Some((mark.thread, title.as_str(), *call))
        })
    }
}
