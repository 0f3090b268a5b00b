//! Checking: before the first episode of a batch, each policy is created once, with its parameters
//! and its checkpoint, at each point. So a wrong parameter or a checkpoint of another system is
//! found in the first second, not after hours of other runs. It is also when a policy states the
//! files it depends on.

use std::fmt;
use std::path::PathBuf;

use offramp_results::files::MAX_DATA_BYTES;
use offramp_results::run_folder::RunRecord;
use offramp_scenario::Limits;
use rayon::prelude::*;

use crate::bind::{BoundPolicy, Evaluation};
use crate::executor::{Executor, InProcess};
use crate::identity::FileHashes;
use crate::record::run_record;
use crate::run::RunError;

/// A run that is about to begin.
#[derive(Debug)]
pub struct Planned<'e> {
    /// Its number among all runs of the command, counted from 0.
    pub number: usize,
    /// The scenario at its point of the sweep.
    pub evaluation: &'e Evaluation,
    /// The policy: one of those of `evaluation`.
    pub policy: &'e BoundPolicy,
    /// The run's record, as known before its first episode.
    pub record: RunRecord,
    /// The reason why it can't run, if its policy crashed while it was created.
    pub failed: Option<RunError>,
}

/// Runs that can't begin, because of their scenarios, parameters, checkpoints or other files.
#[derive(Debug)]
pub struct Unfit {
    /// Number of all runs that were checked.
    pub runs: usize,
    /// One fault per run that can't begin. Never empty.
    pub faults: Vec<UnfitRun>,
}

/// A run that can't begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnfitRun {
    /// The file and the point, the policy, and its checkpoint.
    pub place: String,
    /// The reason.
    pub cause: String,
}

impl fmt::Display for UnfitRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.cause)
    }
}

/// Faults that a message shows.
const SHOWN: usize = 5;

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.faults.len();
        if count > 1 {
            writeln!(f, "{count} of {} runs can't begin:", self.runs)?;
        }
        let shown: Vec<_> = self.faults.iter().take(SHOWN).map(UnfitRun::to_string).collect();
        f.write_str(&shown.join("\n"))?;
        if count > SHOWN {
            write!(f, "\nand {} more", count - SHOWN)?;
        }
        Ok(())
    }
}

impl std::error::Error for Unfit {}

impl<'e> Planned<'e> {
    /// A run that has not been checked; its record lacks the files that its policy declares.
    ///
    /// # Errors
    /// That its checkpoint can't be read.
    pub(crate) fn new(
        number: usize,
        (evaluation, policy): (&'e Evaluation, &'e BoundPolicy),
        hashes: &FileHashes,
    ) -> Result<Self, UnfitRun> {
        let identity = hashes.identity(evaluation, policy);
        let identity = identity.map_err(|cause| unfit(evaluation, policy, &cause))?;
        let record = run_record(evaluation, policy, identity);
        Ok(Self { number, evaluation, policy, record, failed: None })
    }

    /// The limits of the process that it has for itself, if it has one: references are trusted.
    pub(crate) fn isolation(&self) -> Option<Limits> {
        self.policy.plugin().and(self.evaluation.scenario.isolation)
    }

    /// Creates the policy once. If that crashes, the run has failed.
    ///
    /// # Errors
    /// Why the run can't begin.
    fn check(&mut self, isolated: &dyn Executor, hashes: &FileHashes) -> Result<(), UnfitRun> {
        let Self { evaluation, policy, .. } = *self;
        let fault = |cause: &dyn fmt::Display| unfit(evaluation, policy, cause);
        let created = match self.isolation() {
            Some(limits) => isolated.check(evaluation, policy, limits),
            None => InProcess::create(evaluation, policy),
        };
        let files: Vec<PathBuf> = match created {
            Ok(files) => files,
            Err(error) if error.is_refusal() => return Err(fault(&error)),
            Err(error) => {
                self.failed = Some(error);
                return Ok(());
            }
        };
        let records = files
            .iter()
            .map(|file| hashes.record(&evaluation.scenario.folder, file, MAX_DATA_BYTES));
        let records = records.collect::<Result<Vec<_>, _>>().map_err(|cause| fault(&cause))?;
        if let Some(identity) = &mut self.record.identity {
            identity.files.extend(records);
        }
        Ok(())
    }
}

/// Creates each policy of an evaluation once, as before its first episode; nothing is written.
///
/// # Errors
/// [`Unfit`] with every policy that refuses to be created, or whose checkpoint can't be read.
pub fn check_evaluation(evaluation: &Evaluation, isolated: &dyn Executor) -> Result<(), Unfit> {
    let hashes = FileHashes::default();
    let runs = evaluation.policies.iter().map(|policy| (evaluation, policy)).enumerate();
    check(&mut plan(runs, &hashes)?, isolated, &hashes)
}

/// Plans all runs of `runs`, by their numbers.
///
/// # Errors
/// [`Unfit`] if a checkpoint can't be read.
pub(crate) fn plan<'e>(
    runs: impl Iterator<Item = (usize, (&'e Evaluation, &'e BoundPolicy))>,
    hashes: &FileHashes,
) -> Result<Vec<Planned<'e>>, Unfit> {
    let planned: Vec<_> = runs.map(|(number, run)| Planned::new(number, run, hashes)).collect();
    let (runs, mut faults) = (planned.len(), Vec::new());
    let planned =
        planned.into_iter().filter_map(|run| run.map_err(|cause| faults.push(cause)).ok());
    let planned = planned.collect();
    if faults.is_empty() { Ok(planned) } else { Err(Unfit { runs, faults }) }
}

/// Creates the policy of each run once, in parallel. Runs that ask for isolation do that in a
/// process of their own.
///
/// # Errors
/// [`Unfit`] with every run whose policy refused to be created.
pub(crate) fn check(
    runs: &mut [Planned<'_>],
    isolated: &dyn Executor,
    hashes: &FileHashes,
) -> Result<(), Unfit> {
    let faults = runs.par_iter_mut().filter_map(|run| run.check(isolated, hashes).err());
    let faults: Vec<UnfitRun> = faults.collect();
    if faults.is_empty() { Ok(()) } else { Err(Unfit { runs: runs.len(), faults }) }
}

/// A run that can't begin because of `cause`.
fn unfit(evaluation: &Evaluation, policy: &BoundPolicy, cause: &dyn fmt::Display) -> UnfitRun {
    let file = policy.checkpoint.as_ref();
    let file = file.map_or_else(String::new, |file| format!(" (checkpoint {})", file.display()));
    let place = format!("{}: {}{file}", evaluation.scenario.source_name, policy.label);
    UnfitRun { place, cause: cause.to_string() }
}
