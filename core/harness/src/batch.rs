//! Batches: every policy at every point of every scenario. Each run is kept as soon as it is done,
//! so that a batch that was killed resumes with bit-identical results.
//!
//! Finished runs are kept in OUT.partial (see `journal.rs`). When everything is done, OUT.partial
//! becomes the run folder OUT (see [`offramp_results::run_folder`]). Resuming keeps the runs that
//! succeeded, whether OUT.partial or OUT has them, if their identity is the same, and runs the
//! others; a run folder OUT stays whole until the new one takes its place.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use offramp_results::Error;
use offramp_results::files::unfinished;
use offramp_results::lock::FolderLock;
use offramp_results::run_folder::{
    self, NewRunFolder, RowFile, RunFolder, StoredRun, check_free, is_complete,
};
use offramp_results::shard::Shard;
use offramp_results::tasks::{TaskFile, TaskFormat, TaskReader};
use offramp_scenario::Experiment;

use crate::bind::Evaluation;
use crate::check::{Planned, Unfit, check, plan};
use crate::evaluate::evaluate;
use crate::events::{Event, Observer};
use crate::executor::Executor;
use crate::identity::{FileHashes, declared_now};
use crate::journal::{self, Contents, Ids, Journal};
use crate::record;
use crate::resume::Start;
use crate::run::runs;
use crate::tasks::Detail;

/// A batch: all of its runs, or those of one part.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'e> {
    experiments: &'e [Experiment<Evaluation>],
    shard: Option<Shard>,
    tasks: Option<TaskFormat>,
}

/// Why a batch ended early. What was done by then is kept.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// Results can't be written or read.
    #[error(transparent)]
    Results(#[from] Error),
    /// Some runs can't begin; nothing was done.
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

/// An attempt at a batch, with what earlier ones have left.
#[derive(Debug)]
pub struct Attempt<'e> {
    batch: Batch<'e>,
    /// The run folder.
    path: PathBuf,
    /// Held on the unfinished folder, if it exists.
    lock: Option<FolderLock>,
    journal: Contents,
    /// The runs that have succeeded in the complete run folder, by their identifiers; `None` if
    /// there is no such folder.
    whole: Option<BTreeMap<String, StoredRun>>,
}

impl<'e> Batch<'e> {
    /// All runs of `experiments`, or those of one part.
    pub fn new(experiments: &'e [Experiment<Evaluation>], shard: Option<Shard>) -> Self {
        Self { experiments, shard, tasks: None }
    }

    /// The same batch, which keeps each task of its runs in that format, if there is one.
    pub fn with_tasks(self, tasks: Option<TaskFormat>) -> Self {
        Self { tasks, ..self }
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

    /// Finds out what there is of the run folder `path`. Nothing is created.
    ///
    /// # Errors
    /// [`Error`] if another process works on it, if it can't be read, or if it exists and the start
    /// is new.
    pub fn open(self, path: &Path, start: Start) -> Result<Attempt<'e>, Error> {
        let partial = unfinished(path);
        let lock = if partial.is_dir() { Some(FolderLock::take(&partial)?) } else { None };
        let complete = start == Start::Resume && is_complete(path);
        if !complete {
            check_free(path)?;
        }
        if start == Start::New && lock.is_some() {
            return Err(Error::Unfinished { path: partial });
        }
        let journal = lock.as_ref().map(|_| journal::read(&partial)).transpose()?;
        let journal = journal.unwrap_or_default();
        let whole = if complete { Some(successes(path)?) } else { None };
        Ok(Attempt { batch: self, path: path.to_owned(), lock, journal, whole })
    }
}

/// The runs in a run folder that have succeeded, by their identifiers.
fn successes(path: &Path) -> Result<BTreeMap<String, StoredRun>, Error> {
    let mut ids = Ids::default();
    let runs = run_folder::read(path)?.into_iter();
    let runs = runs.map(|run| (ids.next(&run.record), run));
    Ok(runs.filter(|(_, run)| run.record.error.is_none()).collect())
}

impl Attempt<'_> {
    /// The runs that were in progress when the last attempt ended early, in words.
    pub fn interrupted(&self) -> &[String] {
        &self.journal.interrupted
    }

    /// Checks the runs that have not succeeded, carries them out, and completes the run folder;
    /// returns all runs in order. Runs that ask for isolation are carried out by `isolated`.
    /// Threads are those of the rayon pool this is called in.
    ///
    /// # Errors
    /// [`BatchError`].
    pub fn run(
        mut self,
        isolated: &dyn Executor,
        observer: &dyn Observer,
    ) -> Result<Vec<StoredRun>, BatchError> {
        let batch = self.batch;
        let hashes = FileHashes::default();
        let ours = runs(batch.experiments).enumerate().filter(|(at, _)| batch.has(*at));
        let planned = plan(ours, &hashes)?;
        let mut names = Ids::default();
        let ids: BTreeMap<usize, String> =
            planned.iter().map(|run| (run.number, names.next(&run.record))).collect();
        let (mut kept, mut missing) = (BTreeMap::new(), Vec::new());
        for run in planned {
            match self.success(&ids[&run.number]) {
                Some(earlier) => {
                    self.check_unchanged(&run, earlier)?;
                    kept.insert(run.number, earlier.clone());
                }
                None => missing.push(run),
            }
        }
        self.check_all_belong(&ids)?;
        self.check_tasks()?;
        check(&mut missing, isolated, &hashes)?;
        let episodes = kept.values().map(|run| run.record.episodes).sum();
        observer.on_event(Event::EpisodesEnded(episodes));
        let partial = unfinished(&self.path);
        let scenarios = record::scenarios(batch.experiments);
        let current = missing.is_empty()
            && self.whole.is_some()
            && TaskFormat::of(&self.path) == batch.tasks
            && run_folder::consists_of(
                &self.path,
                kept.values().map(|run| &run.record),
                &scenarios,
            )?;
        if !current {
            self.begin(&partial)?;
            let detail = batch.tasks.map_or(Detail::Episodes, |_| Detail::Tasks);
            let journal = Journal::open(&partial, &self.journal, &ids, detail)?;
            let new = evaluate(&missing, isolated, &journal, observer)?;
            kept.extend(missing.iter().map(|run| run.number).zip(new));
            self.finish(&partial, &ids, &kept)?;
        }
        // A kill may come between the folder's move and the end of its journal.
        if partial.exists() {
            std::fs::remove_dir_all(&partial)
                .map_err(|cause| Error::Unwritable { path: partial, cause })?;
        }
        Ok(kept.into_values().collect())
    }

    /// A run that has succeeded in an earlier attempt.
    fn success(&self, id: &str) -> Option<&StoredRun> {
        let done = self.journal.done.get(id).map(|done| &done.run);
        done.or_else(|| self.whole.as_ref()?.get(id))
    }

    /// Fails if a run that is done would have other results now.
    fn check_unchanged(&self, run: &Planned<'_>, earlier: &StoredRun) -> Result<(), Error> {
        let mut now = run.record.clone();
        // The same plugin with the same parameters reads the same files: it need not be asked.
        if let (Some(identity), Some(earlier)) = (&mut now.identity, &earlier.record.identity) {
            identity.files = declared_now(run.evaluation, earlier);
        }
        match earlier.record.change(&now) {
            None => Ok(()),
            Some(part) => Err(self.other(&earlier.record, &format!("{part} has changed since"))),
        }
    }

    /// Fails if a run that is done is not one of this batch: its results would vanish.
    fn check_all_belong(&self, ids: &BTreeMap<usize, String>) -> Result<(), Error> {
        let ours: std::collections::BTreeSet<&String> = ids.values().collect();
        let done = self.journal.done.iter().map(|(id, done)| (id, &done.run));
        let mut earlier = done.chain(self.whole.iter().flatten());
        match earlier.find(|(id, _)| !ours.contains(id)) {
            None => Ok(()),
            Some((_, run)) => Err(self.other(&run.record, "this batch has no such run")),
        }
    }

    /// Fails if the tasks of runs that are done were kept and are not to be now, or the other way round.
    fn check_tasks(&self) -> Result<(), Error> {
        let done = self.journal.done.values().map(|done| (&done.run, done.tasks.is_some()));
        let whole_has_tasks = TaskFormat::of(&self.path).is_some();
        let whole = self.whole.iter().flat_map(BTreeMap::values);
        let mut earlier = done.chain(whole.map(|run| (run, whole_has_tasks)));
        match earlier.find(|(_, has_tasks)| *has_tasks != self.batch.tasks.is_some()) {
            None => Ok(()),
            Some((run, true)) => {
                Err(self.other(&run.record, "their tasks, which need --tasks again"))
            }
            Some((run, false)) => {
                Err(self.other(&run.record, "not their tasks, as it was begun without --tasks"))
            }
        }
    }

    fn other(&self, run: &run_folder::RunRecord, change: &str) -> Error {
        let path = if self.lock.is_some() { unfinished(&self.path) } else { self.path.clone() };
        Error::OtherBatch { path, run: run.title(), change: change.to_owned() }
    }

    /// Makes the unfinished folder, with the rows that only the complete one has.
    fn begin(&mut self, partial: &Path) -> Result<(), Error> {
        let unwritable = |cause| Error::Unwritable { path: partial.to_owned(), cause };
        if self.lock.is_none() {
            if let Some(parent) = partial.parent() {
                std::fs::create_dir_all(parent).map_err(unwritable)?;
            }
            match std::fs::create_dir(partial) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    // Another process has made it in the meantime.
                    FolderLock::take(partial)?;
                    return Err(Error::Unfinished { path: partial.to_owned() });
                }
                made => made.map_err(unwritable)?,
            }
            self.lock = Some(FolderLock::take(partial)?);
        }
        let Some(whole) = &self.whole else { return Ok(()) };
        std::fs::create_dir_all(partial.join("rows")).map_err(unwritable)?;
        let mut folder = RunFolder::open(&self.path)?;
        let mut all_tasks = TaskReader::open(&self.path, partial)?;
        let mut names = Ids::default();
        while let Some(record) = folder.next_run() {
            let id = names.next(&record);
            let wanted = whole.contains_key(&id) && !self.journal.done.contains_key(&id);
            let create = || RowFile::create(&journal::rows_path(partial, &id), &record);
            let mut rows = wanted.then(create).transpose()?;
            let mut count = 0;
            while let Some(episode) = folder.next_episode()? {
                count += episode.overall.tasks;
                if let Some(rows) = &mut rows {
                    rows.add(episode)?;
                }
            }
            if let Some(rows) = rows {
                rows.finish()?;
            }
            if let Some(all_tasks) = &mut all_tasks {
                let create = || TaskFile::create(&journal::tasks_path(partial, &id), &record);
                let mut tasks = wanted.then(create).transpose()?;
                all_tasks.run(&record, count, |rows| match &mut tasks {
                    Some(tasks) => tasks.add_whole(rows),
                    None => Ok(()),
                })?;
            }
        }
        Ok(())
    }

    /// Makes the run folder of `runs`, whose rows are in `partial`, and puts it in its place.
    fn finish(
        &self,
        partial: &Path,
        ids: &BTreeMap<usize, String>,
        runs: &BTreeMap<usize, StoredRun>,
    ) -> Result<(), Error> {
        let mut folder = NewRunFolder::begin(&self.path, partial)?;
        if let Some(format) = self.batch.tasks {
            folder = folder.with_tasks(format)?;
        }
        for (number, run) in runs {
            let rows = journal::rows_path(partial, &ids[number]);
            let rows = run.record.error.is_none().then_some(rows.as_path());
            folder.add(run.record.clone(), rows)?;
            if self.batch.tasks.is_some() && rows.is_some() {
                folder.add_tasks(&journal::tasks_path(partial, &ids[number]))?;
            }
        }
        let scenarios = record::scenarios(self.batch.experiments);
        match self.whole {
            Some(_) => folder.replace(&scenarios, self.batch.shard),
            None => folder.finish(&scenarios, self.batch.shard),
        }
    }
}
