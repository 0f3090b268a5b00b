//! The process of an isolated run, seen from both sides.

use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::net::Shutdown;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use offramp_host::plugin::{EpisodeStart, Needs, Observation, bytes_of, path_of};
use offramp_host::{CallFailure, Learner, Policy, Registry, Saved, Student, ValueFunction};
use offramp_results::EpisodeResult;
use offramp_scenario::{Experiment, Limits, Scenario};
use serde::{Deserialize, Serialize};

use super::ARGUMENT;
use crate::bind::{BoundPolicy, Evaluation, bind_evaluation_with};
use crate::run::{OnEpisode, RunError, RunSetup};
use crate::tasks::{Detail, EpisodeTasks, Played};

/// A run for the process to carry out. Paths are bytes: the system's names need not be UTF-8.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    task: Task,
    name: String,
    text: String,
    sha256: String,
    folder: Vec<u8>,
    checkpoint_home: Vec<u8>,
    plugin: Vec<u8>,
    limits: Limits,
}

/// The part of a run that the process carries out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Task {
    /// Its policy is created and dropped.
    Check,
    /// All of it.
    Play(Detail),
}

/// A report of the process.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    /// The age of the current call, ms; 0 between calls.
    Busy(u64),
    /// The policy was created; the files that it reads by itself.
    Created(Vec<Vec<u8>>),
    /// Some rows of the tasks of the next episode that ends.
    Tasks(String),
    /// The next episode has ended.
    Episode(Box<EpisodeResult>),
    /// All is done, or something failed.
    Over(Result<(), Failure>),
}

/// Why a run failed in its process.
#[derive(Debug, Serialize, Deserialize)]
enum Failure {
    /// It could not begin.
    Refused(String),
    /// Something else failed.
    Failed(String),
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let cause = error.to_string();
        if error.is_refusal() { Self::Refused(cause) } else { Self::Failed(cause) }
    }
}

impl From<Failure> for RunError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(cause) => Self::Refused(cause),
            Failure::Failed(cause) => Self::Isolated(cause),
        }
    }
}

/// Time between two reports of the age of the current call.
const BEAT: Duration = Duration::from_millis(50);
/// A process that is silent for this long beyond the limit of a call is considered hung.
const SILENCE: Duration = Duration::from_secs(5);

/// File handles that a run in a process needs on this side, at most, its results' files included.
const HANDLES: u64 = 10;
/// Permits that are held now.
static RUNNING: Mutex<u64> = Mutex::new(0);
/// Notified when one of them is given back.
static ENDED: Condvar = Condvar::new();

/// The right to carry out one run in a process, from before its results' files are opened until they
/// are closed.
pub(crate) struct Permit;

impl Permit {
    /// Waits until there are file handles for one more run.
    pub(crate) fn wait() -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        // The rest of the command needs as many as a process.
        let most = limit.map_or(u64::MAX, |limit| (limit / HANDLES).saturating_sub(1).max(1));
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        while *running >= most {
            running = ENDED.wait(running).unwrap_or_else(PoisonError::into_inner);
        }
        *running += 1;
        Self
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ENDED.notify_one();
    }
}

/// Creates the policy of a run in a process of its own; returns the files that it reads by itself.
///
/// # Errors
/// [`RunError::Refused`] if it could not be created, [`RunError::Isolated`] with how the process
/// ended.
pub(crate) fn check(
    executable: &Path,
    evaluation: &Evaluation,
    policy: &BoundPolicy,
    limits: Limits,
) -> Result<Vec<PathBuf>, RunError> {
    let _permit = Permit::wait();
    let mut files = Vec::new();
    let mut listen = |answer| {
        if let Answer::Created(paths) = answer {
            files = paths.iter().map(|path| path_of(path)).collect();
        }
        ControlFlow::Continue(())
    };
    carry_out(executable, &request(Task::Check, evaluation, policy, limits), &mut listen)?;
    Ok(files)
}

/// Plays a run in a process of its own; `on_episode` receives its episodes. The caller holds a
/// [`Permit`].
///
/// # Errors
/// [`RunError`] with how the process ended, or why the run failed in it.
pub(crate) fn play(
    executable: &Path,
    evaluation: &Evaluation,
    policy: &BoundPolicy,
    limits: Limits,
    detail: Detail,
    on_episode: OnEpisode<'_>,
) -> Result<(), RunError> {
    let kept = || (detail == Detail::Tasks).then(EpisodeTasks::new);
    let (mut tasks, mut error) = (kept(), None);
    let mut listen = |answer| match answer {
        Answer::Episode(result) => {
            let tasks = std::mem::replace(&mut tasks, kept());
            on_episode(Played { result: *result, tasks })
        }
        Answer::Tasks(rows) => match tasks.as_mut().map(|tasks| tasks.add(rows.as_bytes())) {
            Some(Err(cause)) => {
                error = Some(cause);
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        },
        _ => ControlFlow::Continue(()),
    };
    let request = request(Task::Play(detail), evaluation, policy, limits);
    let played = carry_out(executable, &request, &mut listen);
    error.map_or(played, |cause| Err(cause.into()))
}

/// Receives what a process reports; the process is ended if it breaks.
type Listen<'a> = &'a mut dyn FnMut(Answer) -> ControlFlow<()>;

fn carry_out(executable: &Path, request: &Request, listen: Listen<'_>) -> Result<(), RunError> {
    let failed = RunError::Isolated;
    let process = |error: std::io::Error| failed(format!("its process: {error}"));
    let mut complaints = tempfile::tempfile().map_err(process)?;
    let (mut child, ours) = spawn(executable, &complaints).map_err(process)?;
    let mut line = serde_json::to_vec(request).map_err(|error| failed(error.to_string()))?;
    line.push(b'\n');
    (&ours).write_all(&line).map_err(process)?;
    let mut episodes = 0;
    if let Some(outcome) = converse(ours, request.limits, &mut episodes, listen)? {
        return outcome.map_err(RunError::from);
    }
    // The process ended before it reported the end.
    let status = child.0.wait().map_err(process)?;
    Err(failed(how_it_ended(status, &mut complaints, episodes)))
}

fn request(task: Task, evaluation: &Evaluation, policy: &BoundPolicy, limits: Limits) -> Request {
    let Evaluation { scenario, sha256, checkpoint_home, .. } = evaluation;
    Request {
        task,
        name: scenario.name.clone(),
        text: evaluation.text_with(policy),
        sha256: sha256.clone(),
        folder: bytes_of(&scenario.folder),
        checkpoint_home: bytes_of(checkpoint_home),
        plugin: bytes_of(policy.plugin().map_or(Path::new(""), |plugin| &plugin.library.path)),
        limits,
    }
}

fn spawn(executable: &Path, complaints: &std::fs::File) -> std::io::Result<(Reaped, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    let child = Command::new(executable)
        .arg(ARGUMENT)
        .env("RUST_BACKTRACE", "0") // So that the last line states the cause.
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::from(complaints.try_clone()?))
        .spawn()?;
    ours.set_read_timeout(Some(BEAT))?;
    Ok((Reaped(child), ours))
}

/// Listens until the process reports the end, and counts its episodes; `None` if the process ended
/// early.
fn converse(
    ours: UnixStream,
    limits: Limits,
    episodes: &mut u64,
    listen: Listen<'_>,
) -> Result<Option<Result<(), Failure>>, RunError> {
    let failed = |cause: String| Err(RunError::Isolated(cause));
    let mut answers = BufReader::new(ours);
    let mut heard = Instant::now();
    let mut line = Vec::new();
    loop {
        match answers.read_until(b'\n', &mut line) {
            Ok(0) => return Ok(None),
            Ok(_) if line.ends_with(b"\n") => {
                let answer = serde_json::from_slice(&line);
                line.clear();
                heard = Instant::now();
                match answer {
                    Ok(answer @ (Answer::Episode(_) | Answer::Tasks(_) | Answer::Created(_))) => {
                        *episodes += u64::from(matches!(answer, Answer::Episode(_)));
                        if listen(answer).is_break() {
                            return Ok(Some(Ok(())));
                        }
                    }
                    Ok(Answer::Over(outcome)) => return Ok(Some(outcome)),
                    Ok(Answer::Busy(ms)) if ms as f64 > 1000.0 * limits.call_seconds => {
                        let Limits { call_seconds, .. } = limits;
                        let cause = format!("a call took more than {call_seconds} s");
                        return failed(format!("{cause}, in episode {episodes}"));
                    }
                    Ok(Answer::Busy(_)) => {}
                    Err(error) => {
                        return failed(format!("its process sent an invalid report: {error}"));
                    }
                }
            }
            Ok(_) => return Ok(None),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                let longest = Duration::from_secs_f64(limits.call_seconds) + SILENCE;
                if heard.elapsed() > longest {
                    return failed(format!("it hung, in episode {episodes}"));
                }
            }
            Err(error) => return failed(format!("its process: {error}")),
        }
    }
}

/// A process that is killed and reaped when this is dropped.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        4 => " (illegal instruction)",
        6 => " (abort)",
        7 => " (bus error)",
        8 => " (arithmetic error)",
        9 => " (kill)",
        11 => " (segmentation fault)",
        15 => " (terminate)",
        _ => "",
    }
}

fn how_it_ended(
    status: std::process::ExitStatus,
    complaints: &mut std::fs::File,
    episodes: u64,
) -> String {
    let how = match (status.signal(), status.code()) {
        (Some(signal), _) => format!("signal {signal}{}", signal_name(signal)),
        (_, code) => format!("exit code {}", code.unwrap_or_default()),
    };
    let said = last_line(complaints).map_or_else(String::new, |said| format!(" ({said})"));
    format!("its process ended by {how} in episode {episodes}{said}")
}

/// The last line of the last 4096 bytes that is neither empty nor a hint.
fn last_line(file: &mut std::fs::File) -> Option<String> {
    let end = file.seek(SeekFrom::End(0)).ok()?;
    file.seek(SeekFrom::Start(end.saturating_sub(4096))).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let hint = |line: &&str| line.is_empty() || line.starts_with("note: ");
    let line = text.lines().map(str::trim).rfind(|line| !hint(line))?;
    Some(line.chars().take(200).collect())
}

/// The process's side: reads a run from standard input, which is a socket, plays it, and reports
/// through the same socket. Returns when all has been sent or nobody listens any more.
pub fn serve() {
    // A run whose command was killed must not go on: a policy that hangs would for ever.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let Ok(socket) = std::io::stdin().as_fd().try_clone_to_owned() else { return };
    let socket = UnixStream::from(socket);
    let mut line = String::new();
    let request = match BufReader::new(&socket).read_line(&mut line) {
        Ok(_) => serde_json::from_str::<Request>(&line),
        Err(_) => return,
    };
    let socket = Mutex::new(socket);
    // If nobody listens any more, the process ends soon.
    let say = |answer: &Answer| {
        let mut text = serde_json::to_vec(answer).unwrap_or_default();
        text.push(b'\n');
        socket.lock().unwrap_or_else(PoisonError::into_inner).write_all(&text).is_ok()
    };
    let clock = Arc::new(Clock { start: Instant::now(), call: AtomicU64::new(0) });
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while say(&Answer::Busy(clock.busy_ms())) {
                std::thread::sleep(BEAT);
            }
        });
        let outcome = request
            .map_err(|error| Failure::Failed(error.to_string()))
            .and_then(|request| answer(&request, &clock, &say));
        say(&Answer::Over(outcome));
        let _ = socket.lock().unwrap_or_else(PoisonError::into_inner).shutdown(Shutdown::Both);
    });
}

fn answer(
    request: &Request,
    clock: &Arc<Clock>,
    say: &dyn Fn(&Answer) -> bool,
) -> Result<(), Failure> {
    let Request { task, name, text, sha256, folder, checkpoint_home, plugin, limits } = request;
    let refused = |cause: &dyn std::fmt::Display| Failure::Refused(cause.to_string());
    let registry = Registry::discover(&[path_of(plugin)], None).map_err(|error| refused(&error))?;
    let experiment = Experiment::parse(name, text.clone(), &path_of(folder), &[])
        .and_then(|experiment| {
            let home = path_of(checkpoint_home);
            experiment.try_map(|point| bind_evaluation_with(point, home.clone(), &registry))
        })
        .map_err(|fault| refused(&fault))?;
    let first = experiment.points.into_iter().next();
    let mut evaluation = first.ok_or_else(|| refused(&"there is nothing to run"))?;
    evaluation.sha256.clone_from(sha256);
    let entry = evaluation.policies.first();
    let entry = entry.ok_or_else(|| refused(&"the scenario has no policy"))?;
    let setup = RunSetup::new(&evaluation, entry)?;
    limit_memory(limits.memory_mib);
    if *task == Task::Check {
        let policy = clock.timed(|| setup.create()).map_err(RunError::from)?;
        let policy = Timed { inner: policy, clock: Arc::clone(clock) };
        let files = policy.files().map_err(RunError::from)?;
        clock.timed(|| drop(policy));
        say(&Answer::Created(files.iter().map(|file| bytes_of(file)).collect()));
        return Ok(());
    }
    let detail = if let Task::Play(detail) = task { *detail } else { Detail::Episodes };
    let played = episodes(&setup, &evaluation.scenario, detail, clock, say);
    clock.timed(|| drop(setup));
    played
}

/// Bytes of rows that are reported at once, or a row more.
const CHUNK: usize = 1 << 16;

/// Plays the episodes of a run and reports each, as long as someone listens.
fn episodes(
    setup: &RunSetup<'_>,
    scenario: &Scenario,
    detail: Detail,
    clock: &Arc<Clock>,
    say: &dyn Fn(&Answer) -> bool,
) -> Result<(), Failure> {
    for episode in 0..scenario.evaluation.episodes {
        let inner = clock.timed(|| setup.instance()).map_err(RunError::from)?;
        let mut policy = Timed { inner, clock: Arc::clone(clock) };
        let played = setup.episode(&mut policy, episode, detail);
        clock.timed(|| drop(policy));
        let Played { result, tasks } = played?;
        if let Some(tasks) = tasks {
            let mut tasks = tasks.read().map_err(RunError::from)?;
            loop {
                let mut rows = String::new();
                // Rows of a few hundred bytes, as many as fit.
                while rows.len() < CHUNK && tasks.read_line(&mut rows).map_err(RunError::from)? > 0
                {
                }
                if rows.is_empty() {
                    break;
                }
                if !say(&Answer::Tasks(rows)) {
                    return Ok(());
                }
            }
        }
        if !say(&Answer::Episode(Box::new(result))) {
            return Ok(());
        }
    }
    Ok(())
}

/// Limits the memory of this process to `mib` more than it has now.
fn limit_memory(mib: u64) {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = pages.split(' ').next().and_then(|pages| pages.parse().ok()).unwrap_or(0);
    let bytes = pages * rustix::param::page_size() as u64 + (mib << 20);
    // On platforms without RLIMIT_AS the limit is not enforced.
    let _ = setrlimit(Resource::As, Rlimit { current: Some(bytes), maximum: Some(bytes) });
}

/// Measures the age of the current call.
#[derive(Debug)]
struct Clock {
    start: Instant,
    /// Milliseconds after `start`, plus 1; 0 between calls.
    call: AtomicU64,
}

impl Clock {
    fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64 + 1
    }

    fn timed<T>(&self, call: impl FnOnce() -> T) -> T {
        self.call.store(self.now(), Ordering::Relaxed);
        let result = call();
        self.call.store(0, Ordering::Relaxed);
        result
    }

    fn busy_ms(&self) -> u64 {
        match self.call.load(Ordering::Relaxed) {
            0 => 0,
            since => self.now().saturating_sub(since),
        }
    }
}

/// A policy whose calls are timed.
struct Timed {
    inner: Box<dyn Policy>,
    clock: Arc<Clock>,
}

impl Policy for Timed {
    fn needs(&self) -> Needs {
        self.inner.needs()
    }

    fn begin_episode(&mut self, start: &EpisodeStart<'_>) -> Result<(), CallFailure> {
        self.clock.timed(|| self.inner.begin_episode(start))
    }

    fn decide(
        &mut self,
        observation: &Observation<'_>,
        actions: &mut [u32],
    ) -> Result<(), CallFailure> {
        self.clock.timed(|| self.inner.decide(observation, actions))
    }

    fn end_episode(&mut self) -> Result<(), CallFailure> {
        self.clock.timed(|| self.inner.end_episode())
    }

    fn files(&self) -> Result<Vec<PathBuf>, CallFailure> {
        self.clock.timed(|| self.inner.files())
    }

    // An evaluation asks for none of these.
    fn saved(&mut self) -> Option<&mut dyn Saved> {
        None
    }

    fn learner(&mut self) -> Option<&mut dyn Learner> {
        None
    }

    fn value_function(&mut self) -> Option<&mut dyn ValueFunction> {
        None
    }

    fn student(&mut self) -> Option<&mut dyn Student> {
        None
    }
}
