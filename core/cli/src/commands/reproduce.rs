//! `offramp reproduce`: the tables and figures of a study, all at once or job by job.

mod hyperqueue;
mod plan;
mod slurm;

use std::ops::Add;
use std::path::{Path, PathBuf};

use offramp_explain::{Kind, Problem};
use offramp_harness::Registry;
use offramp_harness::resume::{Claim, Start};
use offramp_report::study::{StudyResults, failures};
use offramp_report::study_folder;
use offramp_results::words::counted;
use offramp_study::{Job, JobOutcome, Size, Study, StudyOutcome};
use rayon::ThreadPool;

use crate::Outcome;
use crate::arguments::ReproduceArguments;
use crate::progress::{Notes, show_failure};

/// The studies that a checkout of offramp has.
const STUDIES: &str = "scenarios/reproduce";
/// The paper's.
const DEFAULT_STUDY: &str = "paper";

pub(crate) fn run(arguments: &ReproduceArguments, notes: Notes) -> Result<Outcome, Problem> {
    let path = study_file(arguments)?;
    let plugins = super::named_plugins(&arguments.search);
    let registry = super::load_plugins(&arguments.search)?;
    let size = if arguments.quick.quick { Size::Quick } else { Size::Full };
    let study = Study::read(&path, size)
        .map_err(|error| Problem::from(error).unless_mistaken(&path, Kind::Study))?;
    let study = match arguments.seeds {
        Some(count) => study.on_seeds(count),
        None => study,
    };
    let out = match &arguments.out {
        Some(out) => out.clone(),
        None => Path::new("runs").join(study.sized_name()),
    };
    let work = Reproduction { arguments, notes, study: &study, registry: &registry, out: &out };
    match &arguments.job {
        _ if arguments.plan => work.plan(&path, &plugins),
        Some(job) if job == plan::PAGE => work.page(),
        Some(job) => work.job(job),
        None => work.whole(),
    }
}

/// A study in its folder, as it is asked for.
#[derive(Clone, Copy)]
struct Reproduction<'a> {
    arguments: &'a ReproduceArguments,
    notes: Notes,
    study: &'a Study,
    registry: &'a Registry,
    out: &'a Path,
}

impl Reproduction<'_> {
    fn threads(&self) -> Result<ThreadPool, Problem> {
        super::thread_pool(&self.arguments.threads)
    }

    /// Does all that is left, and makes the tables and figures.
    fn whole(self) -> Result<Outcome, Problem> {
        let Self { arguments, notes, study, registry, out } = self;
        let threads = self.threads()?;
        let executor = super::isolated_executor()?;
        let _claim = Claim::new(out, Start::Resume, &study.work())?;
        let progress = notes.progress(0, "{bar:30} {pos}/{len} {msg}, {elapsed}", "");
        let StudyOutcome { exhibits, lessons } =
            threads.install(|| study.run(registry, out, &arguments.only, &executor, &progress))?;
        drop(progress);
        let claims = study.claims(&exhibits);
        let results = StudyResults {
            name: &study.sized_name(),
            about: &study.about,
            version: study.version(),
            episodes: study.episodes(),
            training_seeds: study.training_seeds(),
            exhibits: &exhibits,
            claims: &claims,
            budgets: &study.budgets,
        };
        study_folder::write(&results, &lessons, out).map_err(Problem::new)?;
        arguments.format.print(|format| results.print(format), || results.records())?;
        notes.say(format_args!("tables and figures: {}", out.join("index.html").display()));
        if !lessons.is_empty() {
            let seconds: f64 =
                lessons.iter().filter_map(|lesson| lesson.seconds).fold(0.0, Add::add);
            let (count, path) = (lessons.len(), out.join("lessons.csv"));
            let lessons = counted(count as u64, "lesson");
            let path = path.display();
            notes.say(format_args!(
                "{lessons} (trained or distilled), {seconds:.0} s in all: {path}"
            ));
        }
        let mut failed = false;
        for exhibit in &exhibits {
            for failure in failures(exhibit) {
                failed = true;
                show_failure(format_args!("{}: {failure}", exhibit.id));
            }
        }
        Ok(if failed { Outcome::Failures } else { Outcome::Success })
    }

    /// Writes what is left to do as jobs for other programs.
    fn plan(self, study_file: &Path, plugins: &[PathBuf]) -> Result<Outcome, Problem> {
        let Self { arguments, notes, study, out, .. } = self;
        let _claim = Claim::new(out, Start::Resume, &study.work())?;
        let plan = plan::Plan::new(self, study_file, plugins, self.left()?)?;
        let folder = plan.write(out)?;
        arguments.format.print_records("jobs", plan.summary())?;
        let hyperqueue = folder.join(hyperqueue::FILE);
        let slurm = folder.join(slurm::FILE);
        notes.say(format_args!("HyperQueue: hq job submit-file {}", hyperqueue.display()));
        notes.say(format_args!("Slurm: bash {}", slurm.display()));
        Ok(Outcome::Success)
    }

    /// The jobs that are left.
    fn left(self) -> Result<Vec<Job>, Problem> {
        let Self { arguments, study, registry, out, .. } = self;
        let executor = super::isolated_executor()?;
        let only = &arguments.only;
        Ok(self.threads()?.install(|| study.jobs(registry, out, only, &executor))?)
    }

    /// Makes the tables and figures, for which all other jobs must have been done.
    fn page(self) -> Result<Outcome, Problem> {
        let claim = Claim::share(self.out, &self.study.work())?;
        let left = self.left()?;
        drop(claim);
        let Some(first) = left.first() else { return self.whole() };
        let (jobs, first) = (counted(left.len() as u64, "job"), &first.makes);
        show_failure(format_args!(
            "{}: {jobs} before it left, such as {first}; without --job, all is done at once",
            plan::PAGE
        ));
        Ok(Outcome::Failures)
    }

    /// Does one job.
    fn job(self, job: &str) -> Result<Outcome, Problem> {
        let Self { arguments, notes, study, registry, out } = self;
        let threads = self.threads()?;
        let executor = super::isolated_executor()?;
        let _claim = Claim::share(out, &study.work())?;
        let progress = notes.progress(1, "{msg}, {elapsed}", "");
        let outcome = threads
            .install(|| study.run_job(registry, out, &arguments.only, job, &executor, &progress))?;
        drop(progress);
        match outcome {
            JobOutcome::Done => Ok(Outcome::Success),
            JobOutcome::Failed(reason) => {
                show_failure(format_args!("{job}: {reason}"));
                Ok(Outcome::Failures)
            }
        }
    }
}

/// The study that is named, or the paper's.
fn study_file(arguments: &ReproduceArguments) -> Result<PathBuf, Problem> {
    let named = arguments.study.as_deref().unwrap_or(DEFAULT_STUDY.as_ref());
    // A name alone is that of a study of ours, unless something here is called so.
    let is_name = named.extension().is_none() && named.components().count() == 1;
    if arguments.study.is_some() && (!is_name || named.is_file()) {
        return Ok(named.to_owned());
    }
    let path = Path::new(STUDIES).join(named).with_extension("ron");
    if path.exists() {
        return Ok(path);
    }
    let name = named.display();
    let message = format!("the study `{name}`, {}, is not in the current folder", path.display());
    let help = "run this in a checkout of offramp, or name the file of a study: offramp reproduce \
                study.ron";
    Err(Problem::new(message).with_help(help))
}
