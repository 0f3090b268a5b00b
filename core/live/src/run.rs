//! Running: the streams of all policies, side by side, and the files that they leave.

use std::path::{Path, PathBuf};

use offramp_harness::Refusal;
use offramp_harness::bind::Live;
use offramp_harness::events::{Event, Observer};
use offramp_harness::resume::{self, FolderError, Start};
use offramp_results::live::{LiveChange, LiveRun, LiveStream};
use rayon::prelude::*;

use crate::play::{State, play};
use crate::setup::Setup;

/// The reason why a live run can't begin, or ended early.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// A policy or an explorer refuses what the scenario states. Nothing has been done.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The folder can't be used, or the run was to end early.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// The setup of a stream, the file of its state, and what is saved in it, with its decisions.
type Planned<'l> = (Setup<'l>, PathBuf, (State, Vec<u8>));

/// Checks that a live run can begin or resume in `folder`, without doing anything: that its plugins can
/// be created from their checkpoints, and that it is of the same origin as what it resumes.
///
/// # Errors
/// [`LiveError`]. A plugin that crashes is part of the result of [`live`].
pub fn check(live: &Live, folder: &Path, start: Start) -> Result<(), LiveError> {
    planned(live, folder, start).map(drop)
}

/// Plays the streams of a live run and writes their results to `folder`, which the caller has
/// [claimed](resume::Claim), or one around it, reporting [`Event::SlotsEnded`]. Streams are played side by
/// side on the rayon pool this is called in; neither the number of its threads nor an interruption
/// changes the result.
///
/// # Errors
/// [`LiveError`]; what was saved by then is kept. What went wrong with a policy is part of its stream.
pub fn live(
    live: &Live,
    folder: &Path,
    start: Start,
    observer: &dyn Observer,
) -> Result<LiveRun, LiveError> {
    let planned = planned(live, folder, start)?;
    resume::begin(folder, &live.scenario.text)?;
    let slots = live.entry.slots;
    let stream = |(setup, path, earlier): &Planned<'_>| {
        if earlier.0.is_over(slots) {
            observer.on_event(Event::SlotsEnded(u64::from(slots)));
            return Ok(earlier.0.stream.clone());
        }
        play(setup, path, earlier, observer)
    };
    let streams: Vec<Result<LiveStream, FolderError>> = planned.par_iter().map(stream).collect();
    let streams = streams.into_iter().collect::<Result<_, _>>()?;
    let run = outcome(live, streams);
    for (file, text) in [
        ("live.csv", run.live_csv()),
        ("recovery.csv", run.recovery_csv()),
        ("live.json", run.live_json()),
    ] {
        resume::write(&folder.join(file), text.as_bytes())?;
    }
    Ok(run)
}

/// The streams of a run, with what is saved of them.
fn planned<'l>(live: &'l Live, folder: &Path, start: Start) -> Result<Vec<Planned<'l>>, LiveError> {
    let plan = |(number, policy)| {
        let setup = Setup::new(live, policy)?;
        let path = folder.join(format!("policy-{number}.state"));
        let saved = match start {
            Start::New => None,
            Start::Resume => resume::load::<State>(&path, &setup.origin)?,
        };
        let (mut state, decisions) = saved.unwrap_or_default();
        // It may be called otherwise now.
        state.stream.policy.clone_from(&policy.label);
        state.stream.rows.iter_mut().for_each(|row| row.policy.clone_from(&policy.label));
        Ok((setup, path, (state, decisions)))
    };
    live.policies.iter().enumerate().map(plan).collect()
}

fn outcome(live: &Live, streams: Vec<LiveStream>) -> LiveRun {
    let entry = &live.entry;
    let change = |change: &offramp_scenario::Change| LiveChange {
        at_slot: change.at,
        until_slot: change.until,
        set: change.set.clone(),
    };
    let ceiling = entry.ceiling.and_then(|number| live.policies.get(number));
    LiveRun {
        scenario: live.scenario.name.clone(),
        point: live.scenario.point_text(),
        devices: entry.phases.first().map_or(0, |phase| phase.system.device_count()),
        slots: entry.slots,
        window_slots: entry.window_slots,
        seed: entry.seed,
        ceiling: ceiling.map(|policy| policy.label.clone()),
        changes: entry.changes.iter().map(change).collect(),
        streams,
    }
}
