//! The process of an isolated run, seen from both sides.

use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use offramp_host::plugin::{EpisodeStart, Needs, Observation};
use offramp_host::{CallFailure, Learner, Policy, Registry, Saved, Student, ValueFunction};
use serde::{Deserialize, Serialize};

use super::{ARGUMENT, Limits};
use crate::checkpoint;
use crate::environment::Environment;
use crate::evaluate::{EpisodeResult, RunError, evaluation_seed, run_episode};
use crate::scenario::{Experiment, Overrides, PolicyEntry, Purpose, Scenario, replace};

/// What the process is asked to do.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    name: String,
    text: String,
    sha256: String,
    folder: PathBuf,
    plugins: Vec<PathBuf>,
    policy: usize,
    limits: Limits,
}

/// What the process says.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    /// For so long the call at hand has been going on.
    Busy(u64),
    /// An episode is over.
    Episode,
    /// All are, or one failed.
    Over(Result<Vec<EpisodeResult>, String>),
}

/// Between two reports.
const BEAT: Duration = Duration::from_millis(50);
/// A process that says nothing for so long beyond the limit of a call hangs in something else.
const SILENCE: Duration = Duration::from_secs(5);

/// Plays a run in a process of its own; `progress` is told after each episode.
///
/// # Errors
/// [`RunError::Isolated`] with how the process ended, or what the run failed of.
pub(crate) fn play(
    scenario: &Scenario,
    policy: &PolicyEntry,
    limits: Limits,
    progress: &dyn Fn(),
) -> Result<Vec<EpisodeResult>, RunError> {
    let number = scenario.policies.iter().position(|entry| entry.label == policy.label);
    // Its own library first, so that no other has the policy's name before it.
    let entries = std::iter::once(policy).chain(&scenario.policies);
    let libraries = entries.map(|entry| entry.found.library.path.clone());
    let request = Request {
        name: scenario.name.clone(),
        text: replace(&scenario.text, "sweep", "{}").unwrap_or_else(|| scenario.text.to_string()),
        sha256: scenario.sha256.clone(),
        folder: scenario.folder.clone(),
        plugins: libraries.collect(),
        policy: number.unwrap_or_default(),
        limits,
    };
    let failed = |cause: String| RunError::Isolated(cause);
    let process = |error: std::io::Error| failed(format!("its process: {error}"));
    let (ours, theirs) = UnixStream::pair().map_err(process)?;
    let mut complaints = tempfile::tempfile().map_err(process)?;
    let child = Command::new(std::env::current_exe().map_err(process)?)
        .arg(ARGUMENT)
        .env("RUST_BACKTRACE", "0") // The last line is what it died of.
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::from(complaints.try_clone().map_err(process)?))
        .spawn()
        .map_err(process)?;
    let mut child = Reaped(child);
    let mut line = serde_json::to_vec(&request).map_err(|error| failed(error.to_string()))?;
    line.push(b'\n');
    (&ours).write_all(&line).map_err(process)?;
    ours.set_read_timeout(Some(BEAT)).map_err(process)?;
    let mut answers = BufReader::new(ours);
    let (mut heard, mut episodes) = (Instant::now(), 0_u64);
    line.clear();
    loop {
        match answers.read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) if line.ends_with(b"\n") => {
                let answer = serde_json::from_slice(&line);
                line.clear();
                heard = Instant::now();
                match answer {
                    Ok(Answer::Episode) => {
                        episodes += 1;
                        progress();
                    }
                    Ok(Answer::Over(outcome)) => return outcome.map_err(failed),
                    Ok(Answer::Busy(ms)) if ms as f64 > 1000.0 * limits.call_seconds => {
                        let Limits { call_seconds, .. } = limits;
                        let cause = format!("a call took more than {call_seconds} s");
                        return Err(failed(format!("{cause}, in episode {episodes}")));
                    }
                    Ok(Answer::Busy(_)) => {}
                    Err(error) => return Err(failed(format!("its process said: {error}"))),
                }
            }
            Ok(_) => break,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                let most = Duration::from_secs_f64(limits.call_seconds) + SILENCE;
                if heard.elapsed() > most {
                    return Err(failed(format!("it hung, in episode {episodes}")));
                }
            }
            Err(error) => return Err(process(error)),
        }
    }
    // The process is gone without having said all.
    let status = child.0.wait().map_err(process)?;
    let how = match (status.signal(), status.code()) {
        (Some(signal), _) => format!("signal {signal}{}", signal_name(signal)),
        (_, code) => format!("exit code {}", code.unwrap_or_default()),
    };
    let said = last_line(&mut complaints).map_or_else(String::new, |said| format!(" ({said})"));
    Err(failed(format!("its process ended by {how} in episode {episodes}{said}")))
}

/// Whatever happens here, no process is left behind.
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

/// The last line that says something, of the last few thousand bytes.
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

/// The process's side: plays the run that standard input asks for.
pub fn serve() {
    let Ok(socket) = std::io::stdin().as_fd().try_clone_to_owned() else { return };
    let socket = UnixStream::from(socket);
    let mut line = String::new();
    let request = match BufReader::new(&socket).read_line(&mut line) {
        Ok(_) => serde_json::from_str::<Request>(&line),
        Err(_) => return,
    };
    let socket = Mutex::new(socket);
    // That no one listens any more ends the process soon enough.
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
            .map_err(|error| error.to_string())
            .and_then(|request| answer(&request, &clock, &|| say(&Answer::Episode)));
        say(&Answer::Over(outcome));
        let _ = socket.lock().unwrap_or_else(PoisonError::into_inner).shutdown(Shutdown::Both);
    });
}

fn answer(
    request: &Request,
    clock: &Arc<Clock>,
    episode_over: &dyn Fn() -> bool,
) -> Result<Vec<EpisodeResult>, String> {
    let Request { name, text, sha256, folder, plugins, policy, limits } = request;
    let registry = Registry::discover(plugins, None).map_err(|error| error.to_string())?;
    let overrides = Overrides::default();
    let experiment =
        Experiment::parse(name, text.clone(), folder, &registry, Purpose::Evaluate, overrides)
            .map_err(|fault| fault.to_string())?;
    let mut scenario = experiment.points.into_iter().next().ok_or("there is nothing to run")?;
    scenario.sha256.clone_from(sha256);
    let entry = scenario.policies.get(*policy).ok_or("there is no such policy")?;
    let checkpoint = entry.checkpoint.as_deref().map(checkpoint::bytes).transpose();
    let checkpoint = checkpoint.map_err(|error| format!("checkpoint: {error}"))?;
    let environment = Environment::new(&scenario);
    let seed = evaluation_seed(&scenario);
    limit_memory(limits.memory_mib);
    let mut episodes = Vec::new();
    for episode in 0..scenario.episodes {
        let parts = environment.parts();
        let context = parts.context(&entry.parameters, checkpoint.as_deref(), seed, 1);
        let created = clock.timed(|| entry.found.create_policy(&context));
        let inner = created.map_err(|error| error.to_string())?;
        let mut policy = Timed { inner, clock: Arc::clone(clock) };
        let played = run_episode(&scenario, &mut policy, scenario.seed, episode);
        clock.timed(|| drop(policy));
        episodes.push(played.map_err(|error| error.to_string())?);
        episode_over();
    }
    Ok(episodes)
}

/// So much more than the process has now.
fn limit_memory(mib: u64) {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = pages.split(' ').next().and_then(|pages| pages.parse().ok()).unwrap_or(0);
    let bytes = pages * rustix::param::page_size() as u64 + (mib << 20);
    // Where there is no such limit, there is none.
    let _ = setrlimit(Resource::As, Rlimit { current: Some(bytes), maximum: Some(bytes) });
}

/// Since when a call has been going on.
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
