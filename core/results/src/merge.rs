//! Merging: the parts of a batch, combined into what one run of all of it would have produced.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::run_folder::{
    NewRunFolder, RunFolder, RunRecord, Scenarios, StoredRun, check_free, read_scenarios,
};
use crate::shard::Shard;
use crate::tasks::{TaskFormat, TaskReader};

/// Combines the run folders of all parts of a batch, in any order, into the run folder `out`:
/// what one run of the whole batch would have written. Returns its runs. Each run is copied row by
/// row, so memory does not grow with the number of episodes.
///
/// # Errors
/// [`Error::Unmergeable`] if a part is missing, appears twice, or is of another batch;
/// [`Error::Unreadable`] if one can't be read; [`Error::Taken`] or [`Error::Unwritable`] if `out`
/// can't be written. `out` does not exist then.
pub fn merge(folders: &[PathBuf], out: &Path) -> Result<Vec<StoredRun>, Error> {
    check_free(out)?;
    let (scenarios, mut parts, folders) = parts(folders)?;
    let home = match out.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(home)
        .map_err(|cause| Error::Unwritable { path: out.to_owned(), cause })?;
    let mut merged = NewRunFolder::begin(out, home)?;
    let mut tasks = tasks(&folders, home)?;
    if let Some((format, _)) = &tasks {
        merged = merged.with_tasks(*format)?;
    }
    let total = parts.iter().map(RunFolder::remaining).sum();
    let mut runs = Vec::new();
    // The first run of each part, then the second of each, and so on.
    for at in 0..total {
        let count = parts.len();
        let part = &mut parts[at % count];
        let mut of_part = tasks.as_mut().map(|(_, readers)| &mut readers[at % count]);
        let Some(run) = merged.add_from(part, of_part.as_deref_mut())? else {
            let cause = "the parts do not have the runs of one batch".to_owned();
            return Err(Error::Unmergeable { cause });
        };
        // However many parts there are, the files of one are open.
        part.pause();
        if let Some(tasks) = of_part {
            tasks.pause();
        }
        runs.push(run);
    }
    merged.finish(&scenarios, None)?;
    Ok(runs)
}

/// The scenarios of a batch, and its parts in order with their folders.
fn parts(folders: &[PathBuf]) -> Result<(Scenarios, Vec<RunFolder>, Vec<&Path>), Error> {
    let unmergeable = |cause: String| Error::Unmergeable { cause };
    let mut parts = BTreeMap::new();
    let mut whole: Option<(u32, Scenarios, &Path)> = None;
    for folder in folders {
        let mut part = RunFolder::open(folder)?;
        part.pause();
        let Shard { number, of } = part.shard.ok_or_else(|| {
            unmergeable(format!("{} is not a part of a batch: it is complete", folder.display()))
        })?;
        let scenarios = read_scenarios(folder)?;
        match &whole {
            None => whole = Some((of, scenarios, folder)),
            Some((parts, first, _)) if *parts == of && *first == scenarios => {}
            Some((.., first)) => {
                let (folder, first) = (folder.display(), first.display());
                return Err(unmergeable(format!("{folder} and {first} are of different batches")));
            }
        }
        if parts.insert(number, (part, folder.as_path())).is_some() {
            return Err(unmergeable(format!("part {number}/{of} appears twice")));
        }
    }
    let (of, scenarios, _) =
        whole.ok_or_else(|| unmergeable("there is nothing to merge".into()))?;
    match (1..=of).find(|number| !parts.contains_key(number)) {
        Some(missing) => Err(unmergeable(format!("part {missing}/{of} is missing"))),
        None => {
            let (parts, folders): (Vec<RunFolder>, Vec<&Path>) = parts.into_values().unzip();
            same_engine(parts.iter().flat_map(RunFolder::records))?;
            same_files(parts.iter().flat_map(RunFolder::records))?;
            Ok((scenarios, parts, folders))
        }
    }
}

/// The tasks of parts, which have the format of the first; `None` if they were not kept.
///
/// # Errors
/// [`Error::Unmergeable`] if only some parts have them.
fn tasks(
    folders: &[&Path],
    scratch: &Path,
) -> Result<Option<(TaskFormat, Vec<TaskReader>)>, Error> {
    let mut readers = Vec::with_capacity(folders.len());
    for folder in folders {
        readers.extend(TaskReader::open(folder, scratch)?.map(|mut reader| {
            reader.pause();
            reader
        }));
    }
    let Some(format) = folders.iter().find_map(|folder| TaskFormat::of(folder)) else {
        return Ok(None);
    };
    match folders.iter().find(|folder| TaskFormat::of(folder).is_none()) {
        None => Ok(Some((format, readers))),
        Some(folder) => {
            let folder = folder.display();
            let cause =
                format!("{folder} lacks the tasks that other parts have: run it with --tasks, too");
            Err(Error::Unmergeable { cause })
        }
    }
}

/// Checks that one engine has computed all runs.
///
/// # Errors
/// [`Error::Unmergeable`] names two that differ.
fn same_engine<'r>(records: impl Iterator<Item = &'r RunRecord>) -> Result<(), Error> {
    let mut engines = records.filter_map(|record| Some(&record.identity.as_ref()?.engine));
    let Some(first) = engines.next() else { return Ok(()) };
    match engines.find(|engine| *engine != first) {
        None => Ok(()),
        Some(other) => {
            let cause = format!(
                "the parts were run by different engines of offramp, {first} and {other}: run \
                 them with the same build"
            );
            Err(Error::Unmergeable { cause })
        }
    }
}

/// Checks that all runs were made of the same files: plugins, checkpoints, and what plugins read.
///
/// # Errors
/// [`Error::Unmergeable`] names the one that differs.
fn same_files<'r>(records: impl Iterator<Item = &'r RunRecord>) -> Result<(), Error> {
    let mut known: BTreeMap<String, &str> = BTreeMap::new();
    for record in records {
        let identity = record.identity.iter();
        let files = identity.flat_map(|identity| identity.checkpoint.iter().chain(&identity.files));
        let files = files.map(|file| (format!("the file {}", file.path), file.sha256.as_str()));
        let plugin = &record.plugin;
        // A run that failed early may lack it.
        let plugin = (format!("the plugin of {}", record.policy), plugin.sha256.as_str());
        for (what, sha256) in files.chain([plugin]) {
            let what = format!("{what} in {}", record.scenario);
            if *known.entry(what.clone()).or_insert(sha256) != sha256 {
                let cause = format!("the parts were run with different files: {what}");
                return Err(Error::Unmergeable { cause });
            }
        }
    }
    Ok(())
}
