//! Batches: every policy at every point of every scenario. Each run is saved as soon as it is done,
//! so that a batch that was killed resumes with bit-identical results.
//!
//! ```text
//! OUT.partial/batch    a hash of the scenarios, plugins and checkpoints of the batch
//! OUT.partial/journal  one line when a run begins, and one with its results when it is done
//! ```
//!
//! When everything is done, OUT.partial becomes the run folder OUT (see
//! [`offramp_results::run_folder`]).

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use offramp_results::files::{sha256, unfinished, write_atomically};
use offramp_results::run_folder::{NewRunFolder, StoredRun};
use offramp_results::shard::Shard;
use offramp_results::{Error, checkpoint};
use offramp_scenario::{Experiment, replace};

use crate::bind::Evaluation;
use crate::evaluate::evaluate;
use crate::events::{Event, Observer};
use crate::executor::Executor;
use crate::record;
use crate::resume::Start;
use crate::run::runs;

/// A batch: all of its runs, or those of one part.
#[derive(Clone, Debug)]
pub struct Batch<'e> {
    experiments: &'e [Experiment<Evaluation>],
    shard: Option<Shard>,
    key: String,
}

/// The runs of a batch that are done, in a file that grows with each of them.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: Mutex<File>,
    done: BTreeMap<usize, StoredRun>,
    /// The runs that were in progress when the last attempt ended early, in words.
    pub interrupted: Vec<String>,
}

impl<'e> Batch<'e> {
    /// All runs of `experiments`, or those of one part.
    pub fn new(experiments: &'e [Experiment<Evaluation>], shard: Option<Shard>) -> Self {
        let mut made_of = format!("{} {shard:?}\n", env!("CARGO_PKG_VERSION"));
        for experiment in experiments {
            // A batch that crashed may be resumed with `--isolate`, which must not change the key.
            let text = replace(&experiment.text, "isolate", "false");
            made_of += &format!("{} {text:?}\n", experiment.name);
        }
        // Many runs may share a checkpoint: each file is read once.
        let mut checkpoints: BTreeMap<&Path, String> = BTreeMap::new();
        for (_, policy) in runs(experiments) {
            let checkpoint = policy.checkpoint.as_deref().map(|path| {
                let read =
                    || checkpoint::bytes(path).map(|bytes| sha256(&bytes)).unwrap_or_default();
                checkpoints.entry(path).or_insert_with(read).clone()
            });
            made_of += &format!("{} {checkpoint:?}\n", policy.plugin.library.sha256);
        }
        Self { experiments, shard, key: sha256(made_of.as_bytes()) }
    }

    /// Number of episodes of all runs, including those that are done.
    pub fn episodes(&self) -> u64 {
        let numbered = runs(self.experiments).enumerate();
        let ours = numbered.filter(|(at, _)| self.has(*at));
        ours.map(|(_, (evaluation, _))| evaluation.scenario.evaluation.episodes).sum()
    }

    /// True if the run with this number belongs to this part.
    fn has(&self, number: usize) -> bool {
        self.shard.is_none_or(|shard| shard.has(number))
    }

    /// Carries out the runs that `journal` lacks, and returns all runs in order. Runs that ask for
    /// isolation are carried out by `isolated`. Threads are those of the rayon pool this is called
    /// in.
    ///
    /// # Errors
    /// [`Error::Unwritable`] if a run can't be saved.
    pub fn run(
        &self,
        journal: &mut Journal,
        isolated: &dyn Executor,
        observer: &dyn Observer,
    ) -> Result<Vec<StoredRun>, Error> {
        let mut done = std::mem::take(&mut journal.done);
        let episodes = done.values().map(|run| run.episodes.len() as u64).sum();
        observer.on_event(Event::EpisodesEnded(episodes));
        let writer = JournalWriter { journal, observer, failed: Mutex::default() };
        let wanted = |number| self.has(number) && !done.contains_key(&number);
        let new = evaluate(self.experiments, &wanted, isolated, &writer);
        if let Some(error) = writer.failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        done.extend(new.iter().map(|(number, run)| (*number, record::stored_run(run))));
        Ok(done.into_values().collect())
    }

    /// Moves the run folder to its place, and returns its path.
    ///
    /// # Errors
    /// [`Error`]; what is done is kept.
    pub fn finish(&self, journal: Journal, done: &[StoredRun]) -> Result<PathBuf, Error> {
        let scenarios = record::scenarios(self.experiments);
        let path = NewRunFolder::begin(&journal.path)?.finish(&scenarios, self.shard, done)?;
        let partial = unfinished(&path);
        std::fs::remove_dir_all(&partial)
            .map_err(|cause| Error::Unwritable { path: partial, cause })?;
        Ok(path)
    }
}

impl Journal {
    /// Begins or resumes a batch whose run folder will be `path`.
    ///
    /// # Errors
    /// [`Error`] if the folder exists already, can't be written, or holds an unfinished run of a
    /// different batch.
    pub fn open(path: &Path, batch: &Batch<'_>, start: Start) -> Result<Self, Error> {
        NewRunFolder::begin(path)?;
        let partial = unfinished(path);
        let unwritable = |cause| Error::Unwritable { path: partial.clone(), cause };
        match std::fs::create_dir(&partial) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if start == Start::New {
                    return Err(Error::Unfinished { path: partial });
                }
            }
            made => made.map_err(unwritable)?,
        }
        let key = partial.join("batch");
        match std::fs::read_to_string(&key) {
            Ok(begun) if begun != batch.key => {
                return Err(Error::OtherBatch { path: partial });
            }
            Ok(_) => {}
            Err(_) => write_atomically(&key, batch.key.as_bytes()).map_err(unwritable)?,
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).open(partial.join("journal"));
        let mut file = file.map_err(unwritable)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(unwritable)?;
        let (kept, done, interrupted) = read(&text);
        file.set_len(kept as u64).map_err(unwritable)?;
        Ok(Self { path: path.to_owned(), file: Mutex::new(file), done, interrupted })
    }

    /// Adds a line. If the process is killed meanwhile, the line may be cut off; it is then ignored
    /// when the journal is read.
    fn add(&self, line: &str) -> Result<(), Error> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(line.as_bytes())
            .map_err(|cause| Error::Unwritable { path: unfinished(&self.path), cause })
    }
}

/// Reads a journal: the number of its bytes that are valid lines, the runs that are done, and the
/// runs that have begun and are not done.
fn read(journal: &[u8]) -> (usize, BTreeMap<usize, StoredRun>, Vec<String>) {
    let mut done = BTreeMap::new();
    let mut begun: BTreeMap<usize, String> = BTreeMap::new();
    let mut kept = 0;
    for line in journal.split_inclusive(|&byte| byte == b'\n') {
        let whole = std::str::from_utf8(line).ok().and_then(|line| line.strip_suffix('\n'));
        let entry = whole.and_then(|line| {
            let mut parts = line.splitn(3, ' ');
            Some((parts.next()?, parts.next()?.parse::<usize>().ok()?, parts.next()?))
        });
        match entry {
            Some(("begun", number, what)) => {
                begun.insert(number, what.to_owned());
            }
            Some(("done", number, checked)) => {
                let run =
                    checked.split_once(' ').filter(|(sum, run)| *sum == sha256(run.as_bytes()));
                let Some(run) = run.and_then(|(_, run)| serde_json::from_str(run).ok()) else {
                    break;
                };
                begun.remove(&number);
                done.insert(number, run);
            }
            _ => break,
        }
        kept += line.len();
    }
    (kept, done, begun.into_values().collect())
}

/// Saves each run as it ends, and passes events on.
struct JournalWriter<'j> {
    journal: &'j Journal,
    observer: &'j dyn Observer,
    failed: Mutex<Option<Error>>,
}

impl JournalWriter<'_> {
    fn add(&self, line: &str) {
        if let Err(error) = self.journal.add(line) {
            *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    }
}

impl Observer for JournalWriter<'_> {
    fn on_event(&self, event: Event<'_>) {
        match &event {
            Event::RunStarted { number, evaluation: Evaluation { scenario, .. }, policy } => {
                let point = match scenario.point_text() {
                    text if text.is_empty() => text,
                    text => format!(", {text}"),
                };
                let what = format!("{} in {}{point}", policy.label, scenario.name);
                self.add(&format!("begun {number} {}\n", what.replace('\n', " ")));
            }
            Event::RunEnded { number, run } => {
                // A run is plain data, which can always be serialised.
                let text = serde_json::to_string(&record::stored_run(run)).unwrap_or_default();
                self.add(&format!("done {number} {} {text}\n", sha256(text.as_bytes())));
            }
            _ => {}
        }
        self.observer.on_event(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use offramp_results::run_folder::RunRecord;

    #[test]
    fn a_journal_is_read_up_to_where_it_was_cut_off() {
        let run = StoredRun { record: RunRecord::default(), episodes: Vec::new() };
        let text = serde_json::to_string(&run).unwrap();
        let sum = sha256(text.as_bytes());
        let whole = format!("begun 3 one\nbegun 4 two\ndone 3 {sum} {text}\n");
        for cut in 0..=whole.len() {
            let (kept, done, begun) = read(&whole.as_bytes()[..cut]);
            assert!(kept <= cut && (kept == 0 || whole.as_bytes()[kept - 1] == b'\n'));
            assert_eq!(done.len(), usize::from(cut == whole.len()), "{cut}");
            assert_eq!(begun.len() + done.len(), whole[..kept].matches("begun").count());
        }
        // A flipped bit makes a line invalid.
        let flipped = whole.replace("\"episodes\":0", "\"episodes\":1");
        assert_ne!(flipped, whole);
        assert_eq!(read(flipped.as_bytes()).1.len(), 0);
    }
}
