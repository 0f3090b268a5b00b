//! Merging: the parts of a batch, combined into what one run of all of it would have produced.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::run_folder::{Scenarios, StoredRun, read_part};
use crate::shard::Shard;

/// Combines the run folders of all parts of a batch, in any order: returns the scenarios, and the
/// runs in the order in which one run of the whole batch would have stored them.
///
/// # Errors
/// [`Error::Unmergeable`] if a part is missing, appears twice, or is of another batch;
/// [`Error::Unreadable`] if one can't be read.
pub fn merge(folders: &[PathBuf]) -> Result<(Scenarios, Vec<StoredRun>), Error> {
    let unmergeable = |cause: String| Error::Unmergeable { cause };
    let mut parts = BTreeMap::new();
    let mut whole: Option<(u32, Scenarios, &Path)> = None;
    for folder in folders {
        let (shard, runs) = read_part(folder)?;
        let Shard { number, of } = shard.ok_or_else(|| {
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
        if parts.insert(number, runs).is_some() {
            return Err(unmergeable(format!("part {number}/{of} appears twice")));
        }
    }
    let (of, scenarios, _) =
        whole.ok_or_else(|| unmergeable("there is nothing to merge".into()))?;
    if let Some(missing) = (1..=of).find(|number| !parts.contains_key(number)) {
        return Err(unmergeable(format!("part {missing}/{of} is missing")));
    }
    // The first run of each part, then the second of each, and so on.
    let total: usize = parts.values().map(Vec::len).sum();
    let mut parts: Vec<_> = parts.into_values().map(Vec::into_iter).collect();
    let runs: Vec<_> = (0..total).map_while(|at| parts[at % of as usize].next()).collect();
    if runs.len() < total {
        return Err(unmergeable("the parts do not have the runs of one batch".to_owned()));
    }
    Ok((scenarios, runs))
}

fn read_scenarios(folder: &Path) -> Result<Scenarios, Error> {
    let path = folder.join("scenarios");
    let read = || -> std::io::Result<Scenarios> {
        let mut scenarios = Vec::new();
        for entry in std::fs::read_dir(&path)? {
            let file = entry?.path();
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            scenarios.push((name, std::fs::read_to_string(&file)?));
        }
        scenarios.sort();
        Ok(scenarios)
    };
    read().map_err(|cause| Error::Unreadable { path: path.clone(), cause: cause.to_string() })
}
