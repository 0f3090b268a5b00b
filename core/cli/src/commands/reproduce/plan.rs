//! The plan of a study: its jobs, in files for the programs that run jobs on many machines.
//!
//! ```text
//! OUT/plan/jobs.json        the jobs, each after those it needs
//! OUT/plan/hyperqueue.toml  the same as a job file of HyperQueue
//! OUT/plan/slurm.sh         a script that submits them to Slurm
//! OUT/plan/slurm-KEY/       what that script refers to; KEY is a hash of the plan
//! OUT/plan/log/             what jobs print
//! ```

use std::io;
use std::path::{Path, PathBuf};

use offramp_explain::Problem;
use offramp_report::records::{Field, Kind, Records};
use offramp_results::files::write_atomically;
use offramp_study::{Job, JobKind};
use serde_json::json;

use super::{Reproduction, hyperqueue, slurm};

/// The name of the last job, which makes the tables and figures: the page that it writes.
pub(super) const PAGE: &str = "index.html";

/// Jobs, and the command that does one.
pub(super) struct Plan {
    /// The name of the study.
    pub(super) study: String,
    /// The folder of the plan.
    pub(super) folder: String,
    /// The command, to which the name of a job is added.
    pub(super) command: Vec<String>,
    /// Cores that a job uses, at least one.
    pub(super) cores: u16,
    /// The jobs, each after those it needs; the page, which needs all others, is not among them.
    pub(super) jobs: Vec<Job>,
}

impl Plan {
    /// The plan of these jobs. Its command has absolute paths: jobs run in whichever folder.
    ///
    /// # Errors
    /// If a path can't be stated in the files of a plan: [`text`].
    pub(super) fn new(
        of: Reproduction<'_>,
        study: &Path,
        plugins: &[PathBuf],
        jobs: Vec<Job>,
    ) -> Result<Self, Problem> {
        let arguments = of.arguments;
        let cores = arguments.threads.jobs.unwrap_or(1);
        let out = text(of.out)?;
        let offramp = std::env::current_exe().map_err(Problem::new)?;
        let mut command = vec![text(&offramp)?, "reproduce".into(), text(study)?];
        command.extend(["--out".into(), out.clone(), "--jobs".into(), cores.to_string()]);
        if arguments.quick.quick {
            command.push("--quick".into());
        }
        if let Some(seeds) = arguments.seeds {
            command.extend(["--seeds".into(), seeds.to_string()]);
        }
        if !arguments.only.is_empty() {
            command.extend(["--only".into(), arguments.only.join(",")]);
        }
        for path in plugins {
            command.extend(["--plugins".into(), text(path)?]);
        }
        command.push("--job".into());
        let folder = text(&of.out.join("plan"))?;
        Ok(Self { study: of.study.sized_name(), folder, command, cores, jobs })
    }

    /// Writes its files and returns their folder.
    pub(super) fn write(&self, out: &Path) -> Result<PathBuf, Problem> {
        let folder = out.join("plan");
        let write = || -> io::Result<()> {
            std::fs::create_dir_all(folder.join("log"))?;
            let write =
                |name: &str, text: &str| write_atomically(&folder.join(name), text.as_bytes());
            write("jobs.json", &self.json())?;
            write(hyperqueue::FILE, &hyperqueue::job_file(self))?;
            let script = slurm::Script::of(self);
            std::fs::create_dir_all(folder.join(&script.folder))?;
            for (name, text) in &script.files {
                write(&format!("{}/{name}", script.folder), text)?;
            }
            write(slurm::FILE, &script.text)?;
            Ok(())
        };
        write().map_err(|cause| {
            Problem::new(format!("can't write the plan in {}: {cause}", folder.display()))
                .with_help("name a folder that can be written with --out")
        })?;
        Ok(folder)
    }

    /// How many jobs of each kind are left.
    pub(super) fn summary(&self) -> Records {
        let mut records =
            Records::new([Field::new("job", Kind::Text), Field::new("left", Kind::Count)]);
        for kind in KINDS {
            let left = self.jobs.iter().filter(|job| job.kind == kind).count();
            records.rows.push(vec![word(kind).to_owned().into(), (left as u64).into()]);
        }
        records.rows.push(vec!["page".to_owned().into(), 1.into()]);
        records
    }

    fn json(&self) -> String {
        let page = json!({
            "makes": PAGE,
            "kind": "page",
            "needs": self.jobs.iter().map(|job| &job.makes).collect::<Vec<_>>(),
            "alone": false,
        });
        let jobs = self.jobs.iter().map(|job| {
            json!({
                "makes": job.makes,
                "kind": word(job.kind),
                "policy": job.policy,
                "needs": job.needs,
                "alone": job.alone,
            })
        });
        let plan = json!({
            "study": self.study,
            "command": self.command,
            "cores": self.cores,
            "jobs": jobs.chain([page]).collect::<Vec<_>>(),
        });
        format!("{plan:#}\n")
    }
}

/// The kinds of jobs, in the order in which they are done.
const KINDS: [JobKind; 5] = [
    JobKind::Training,
    JobKind::Dataset,
    JobKind::Distillation,
    JobKind::Evaluation,
    JobKind::Live,
];

/// The kind of a job, as a noun.
fn word(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Training => "training",
        JobKind::Dataset => "dataset",
        JobKind::Distillation => "distillation",
        JobKind::Evaluation => "evaluation",
        JobKind::Live => "live run",
    }
}

/// An absolute path, as text.
///
/// # Errors
/// If it is not UTF-8, or has characters that HyperQueue, Slurm or TOML would read as something else.
fn text(path: &Path) -> Result<String, Problem> {
    let absolute = std::path::absolute(path).map_err(Problem::new)?;
    let plain = |text: &&str| !text.contains(|letter: char| letter == '%' || letter.is_control());
    absolute.to_str().filter(plain).map(str::to_owned).ok_or_else(|| {
        let path = path.display();
        Problem::new(format!(
            "{path}: a plan can't state a path that has `%` or control characters, or is not UTF-8"
        ))
        .with_help("rename it")
    })
}
