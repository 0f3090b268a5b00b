//! Journals: what an unfinished batch has done.
//!
//! ```text
//! OUT.partial/journal  one line when a run begins, and one with its summary when it succeeded
//! OUT.partial/rows/ID  the rows of each of these runs; ID.tasks those of its tasks, if they are kept
//! ```
//!
//! A line that is cut off or altered ends the journal; a run whose rows are cut off or altered has
//! not been done.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use offramp_results::files::sha256;
use offramp_results::run_folder::{RowFile, RowsRecord, RunRecord, StoredRun};
use offramp_results::tasks::TaskFile;
use offramp_results::{EpisodeResult, Error};
use serde::{Deserialize, Serialize};

use crate::check::Planned;
use crate::evaluate::Sink;
use crate::tasks::{Detail, EpisodeTasks};

/// The identifiers of runs: the same for the same scenario's name, policy's label and point, in
/// every attempt.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    seen: BTreeMap<String, u64>,
}

impl Ids {
    /// The identifier of the next run.
    pub(crate) fn next(&mut self, run: &RunRecord) -> String {
        let RunRecord { scenario, policy, sweep, .. } = run;
        let what = format!("{:?}", (scenario, policy, sweep));
        let seen = self.seen.entry(what.clone()).or_default();
        *seen += 1;
        let mut id = sha256(format!("{what} {seen}").as_bytes());
        id.truncate(20);
        id
    }
}

/// A run that has succeeded.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) run: StoredRun,
    pub(crate) rows: RowsRecord,
    /// Its tasks, if they are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tasks: Option<RowsRecord>,
}

/// Contents of a journal.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// Number of its bytes that are valid lines.
    kept: u64,
    /// The runs that have succeeded, by their identifiers.
    pub(crate) done: BTreeMap<String, Done>,
    /// The runs that had begun when the journal ends, in words.
    pub(crate) interrupted: Vec<String>,
}

fn journal_path(partial: &Path) -> PathBuf {
    partial.join("journal")
}

/// The path of a run's rows.
pub(crate) fn rows_path(partial: &Path, id: &str) -> PathBuf {
    partial.join("rows").join(id)
}

/// The path of the rows of a run's tasks.
pub(crate) fn tasks_path(partial: &Path, id: &str) -> PathBuf {
    partial.join("rows").join(format!("{id}.tasks"))
}

/// Reads the journal in the folder `partial`; runs whose rows are not whole are left out.
///
/// # Errors
/// [`Error::Unreadable`].
pub(crate) fn read(partial: &Path) -> Result<Contents, Error> {
    let path = journal_path(partial);
    let mut text = Vec::new();
    let read = File::open(&path).and_then(|mut file| file.read_to_end(&mut text));
    match read {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::Unreadable { path, cause: error.to_string() });
        }
        _ => {}
    }
    let mut contents = parse(&text);
    contents.done.retain(|id, done| {
        let tasks = done.tasks.as_ref();
        done.rows.holds(&rows_path(partial, id))
            && tasks.is_none_or(|tasks| tasks.holds(&tasks_path(partial, id)))
    });
    Ok(contents)
}

fn parse(journal: &[u8]) -> Contents {
    let mut contents = Contents::default();
    let mut begun: BTreeMap<String, String> = BTreeMap::new();
    for line in journal.split_inclusive(|&byte| byte == b'\n') {
        let whole = std::str::from_utf8(line).ok().and_then(|line| line.strip_suffix('\n'));
        let entry = whole.and_then(|line| {
            let mut parts = line.splitn(3, ' ');
            Some((parts.next()?, parts.next()?.to_owned(), parts.next()?))
        });
        match entry {
            Some(("begun", id, what)) => {
                contents.done.remove(&id);
                begun.insert(id, what.to_owned());
            }
            Some(("failed", id, _)) => {
                begun.remove(&id);
            }
            Some(("done", id, checked)) => {
                let done =
                    checked.split_once(' ').filter(|(sum, done)| *sum == sha256(done.as_bytes()));
                let Some(done) = done.and_then(|(_, done)| serde_json::from_str(done).ok()) else {
                    break;
                };
                begun.remove(&id);
                contents.done.insert(id, done);
            }
            _ => break,
        }
        contents.kept += line.len() as u64;
    }
    contents.interrupted = begun.into_values().collect();
    contents
}

/// The journal of a batch that is running.
#[derive(Debug)]
pub(crate) struct Journal<'p> {
    partial: &'p Path,
    /// The identifiers of the planned runs, by their numbers.
    ids: &'p BTreeMap<usize, String>,
    detail: Detail,
    file: Mutex<Lines>,
}

/// A file of lines, each of which is written as a whole or not at all.
#[derive(Debug)]
struct Lines {
    file: File,
    bytes: u64,
}

impl Lines {
    fn add(&mut self, line: &str) -> std::io::Result<()> {
        match self.file.write_all(line.as_bytes()) {
            Ok(()) => self.bytes += line.len() as u64,
            Err(error) => {
                // A part of it would make all later lines unreadable.
                let _ = self.file.set_len(self.bytes);
                return Err(error);
            }
        }
        Ok(())
    }
}

/// A run in progress.
#[derive(Debug)]
pub(crate) struct Growing {
    id: String,
    rows: RowFile,
    tasks: Option<TaskFile>,
}

impl<'p> Journal<'p> {
    /// Continues the journal in the folder `partial`, whose contents are `contents`.
    ///
    /// # Errors
    /// [`Error::Unwritable`].
    pub(crate) fn open(
        partial: &'p Path,
        contents: &Contents,
        ids: &'p BTreeMap<usize, String>,
        detail: Detail,
    ) -> Result<Self, Error> {
        let unwritable = |cause| Error::Unwritable { path: partial.to_owned(), cause };
        std::fs::create_dir_all(partial.join("rows")).map_err(unwritable)?;
        let file = OpenOptions::new().append(true).create(true).open(journal_path(partial));
        let file = file.map_err(unwritable)?;
        file.set_len(contents.kept).map_err(unwritable)?;
        Ok(Self { partial, ids, detail, file: Mutex::new(Lines { file, bytes: contents.kept }) })
    }

    /// Adds a line. If the process is killed meanwhile, the line may be cut off; it is then ignored
    /// when the journal is read.
    fn add(&self, line: &str) -> Result<(), Error> {
        let added = self.file.lock().unwrap_or_else(PoisonError::into_inner).add(line);
        added.map_err(|cause| Error::Unwritable { path: self.partial.to_owned(), cause })
    }
}

impl Sink for Journal<'_> {
    type Run = Growing;

    fn begin(&self, run: &Planned<'_>) -> Result<Growing, Error> {
        let id = self.ids.get(&run.number).cloned().unwrap_or_default();
        self.add(&format!("begun {id} {}\n", run.record.title().replace('\n', " ")))?;
        let rows = RowFile::create(&rows_path(self.partial, &id), &run.record)?;
        let create = || TaskFile::create(&tasks_path(self.partial, &id), &run.record);
        let tasks = (self.detail == Detail::Tasks).then(create).transpose()?;
        Ok(Growing { id, rows, tasks })
    }

    fn add(&self, run: &mut Growing, episode: EpisodeResult) -> Result<(), Error> {
        run.rows.add(episode)
    }

    fn add_tasks(&self, run: &mut Growing, tasks: EpisodeTasks) -> Result<(), Error> {
        let Some(file) = &mut run.tasks else { return Ok(()) };
        let unwritable = |cause| Error::Unwritable { path: self.partial.to_owned(), cause };
        file.add(tasks.read().map_err(unwritable)?)
    }

    fn detail(&self) -> Detail {
        self.detail
    }

    fn end(&self, Growing { id, rows, tasks }: Growing, stored: &StoredRun) -> Result<(), Error> {
        if stored.record.error.is_some() {
            let _ = std::fs::remove_file(rows_path(self.partial, &id));
            let _ = std::fs::remove_file(tasks_path(self.partial, &id));
            return self.add(&format!("failed {id} -\n"));
        }
        let tasks = tasks.map(TaskFile::finish);
        let done = Done { run: stored.clone(), rows: rows.finish()?, tasks };
        // It is plain data, which can always be serialised.
        let text = serde_json::to_string(&done).unwrap_or_default();
        self.add(&format!("done {id} {} {text}\n", sha256(text.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use offramp_results::summary::Summary;

    #[test]
    fn a_journal_is_read_up_to_where_it_was_cut_off() {
        let run = StoredRun { record: RunRecord::default(), summary: Summary::new() };
        let done = Done { run, rows: RowsRecord::default(), tasks: None };
        let text = serde_json::to_string(&done).unwrap();
        let sum = sha256(text.as_bytes());
        let whole =
            format!("begun a one\nbegun b two\nfailed b -\nbegun b two\ndone a {sum} {text}\n");
        for cut in 0..=whole.len() {
            let contents = parse(&whole.as_bytes()[..cut]);
            let kept = contents.kept as usize;
            assert!(kept <= cut && (kept == 0 || whole.as_bytes()[kept - 1] == b'\n'));
            assert_eq!(contents.done.len(), usize::from(cut == whole.len()), "{cut}");
            let begun = whole[..kept].matches("begun").count();
            let failed = whole[..kept].matches("failed").count();
            assert_eq!(contents.interrupted.len() + contents.done.len() + failed, begun);
        }
        // A flipped bit makes a line invalid.
        let flipped = whole.replace("\"episodes\":0", "\"episodes\":1");
        assert_ne!(flipped, whole);
        assert_eq!(parse(flipped.as_bytes()).done.len(), 0);
    }

    #[test]
    fn runs_keep_their_identifiers() {
        let run = |policy: &str| RunRecord { policy: policy.into(), ..RunRecord::default() };
        let (mut one, mut other) = (Ids::default(), Ids::default());
        let (a, b) = (one.next(&run("a")), one.next(&run("b")));
        assert_eq!((other.next(&run("b")), other.next(&run("a"))), (b, a.clone()));
        // Two runs that only their place tells apart.
        assert_ne!(one.next(&run("a")), a);
    }
}
