//! The plan of a study: its jobs, in files for the programs that run jobs on many machines.
//!
//! ```text
//! OUT/plan/jobs.json        the jobs, each after those it needs
//! OUT/plan/hyperqueue.toml  the same as a job file of HyperQueue
//! OUT/plan/slurm.sh         a script that submits them to Slurm
//! OUT/plan/log/             what jobs print that fail
//! ```

use std::io;
use std::path::{Path, PathBuf};

use offramp_explain::Problem;
use offramp_results::files::write_atomically;
use offramp_results::words::counted;
use offramp_study::{Job, JobKind};
use serde_json::json;

use super::{Reproduction, hyperqueue, slurm};

/// What the last job makes, by which it is called: the tables and figures.
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
    /// If a path is not text, which the files of a plan are.
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
            for (name, text) in slurm::files(self) {
                write(&name, &text)?;
            }
            Ok(())
        };
        write().map_err(|cause| {
            Problem::new(format!("can't write the plan in {}: {cause}", folder.display()))
                .with_help("name a folder that can be written with --out")
        })?;
        Ok(folder)
    }

    /// How many jobs of each kind there are.
    pub(super) fn summary(&self) -> String {
        use JobKind::{Dataset, Distillation, Evaluation, Training};
        let counted = |kind: JobKind| {
            let count = self.jobs.iter().filter(|job| job.kind == kind).count();
            counted(count as u64, word(kind))
        };
        let [trainings, datasets, distillations, evaluations] =
            [Training, Dataset, Distillation, Evaluation].map(counted);
        format!(
            "left to do: {trainings}, {datasets}, {distillations}, {evaluations}, and the page\n"
        )
    }

    fn json(&self) -> String {
        let page = json!({
            "makes": PAGE,
            "kind": "page",
            "needs": self.jobs.iter().map(|job| &job.makes).collect::<Vec<_>>(),
            "alone": true,
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

/// The kind of a job, as a noun.
fn word(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Training => "training",
        JobKind::Dataset => "dataset",
        JobKind::Distillation => "distillation",
        JobKind::Evaluation => "evaluation",
    }
}

/// An absolute path, as text.
fn text(path: &Path) -> Result<String, Problem> {
    let absolute = std::path::absolute(path).map_err(Problem::new)?;
    absolute.to_str().map(str::to_owned).ok_or_else(|| {
        Problem::new(format!("{}: a plan can't state this path: it is not UTF-8", path.display()))
            .with_help("rename it")
    })
}
