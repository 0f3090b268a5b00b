//! The script that submits a plan to Slurm: arrays of jobs that need nothing of each other, each after
//! those before.

use std::collections::HashMap;

use offramp_results::files::sha256;

use super::plan::{PAGE, Plan};

/// The name of the script.
pub(super) const FILE: &str = "slurm.sh";

/// Jobs of an array; Slurm's own limit is 1,001 unless its administrator sets another one.
const LARGEST_ARRAY: usize = 1000;

/// An array, in the order of submission.
struct Array<'p> {
    /// The name of its file of jobs, without `.txt`.
    name: String,
    jobs: Vec<&'p str>,
    alone: bool,
}

/// The script that submits a plan, and what it refers to.
pub(super) struct Script {
    /// The text of the script.
    pub(super) text: String,
    /// The folder of the files it refers to, in that of the plan. Jobs read them when they begin, and a
    /// later plan must not change them, so each plan has a folder of its own.
    pub(super) folder: String,
    /// Those files: a script that does a job, and the lists of jobs.
    pub(super) files: Vec<(String, String)>,
}

impl Script {
    pub(super) fn of(plan: &Plan) -> Self {
        let mut submissions = String::new();
        let mut before: Option<String> = None;
        let mut all = String::new();
        let mut files = Vec::new();
        for (at, arrays) in levels(plan).iter().enumerate() {
            submissions += &format!("level_{at}=\n");
            for Array { name, jobs, alone } in arrays {
                let after = before.as_deref().map_or(String::new(), |ids| format!("afterany{ids}"));
                let exclusive = if *alone { " --exclusive" } else { "" };
                submissions += &format!(
                    "level_{at}+=:$(submit {name} {} \"{after}\"{exclusive} \"$@\")\n",
                    jobs.len()
                );
                files.push((format!("{name}.txt"), jobs.join("\n") + "\n"));
            }
            before = Some(format!("$level_{at}"));
            all += &format!("$level_{at}");
        }
        let after = if all.is_empty() { all } else { format!("afterok{all}") };
        submissions += &format!("page=$(submit page 1 \"{after}\" \"$@\")\n");
        files.push(("page.txt".to_owned(), format!("{PAGE}\n")));
        let command: Vec<String> = plan.command.iter().map(|part| quoted(part)).collect();
        files.push((
            "job.sh".to_owned(),
            format!(
                "#!/bin/bash\n\
                 # Does the job in that line of a list which Slurm's array names.\n\
                 exec {} \"$(sed -n \"${{SLURM_ARRAY_TASK_ID:?}}p\" \"$1\")\"\n",
                command.join(" "),
            ),
        ));
        let folder = format!("slurm-{}", &sha256(format!("{files:?}").as_bytes())[..12]);
        let text = text(plan, &folder, &submissions);
        Self { text, folder, files }
    }
}

fn text(plan: &Plan, folder: &str, submissions: &str) -> String {
    format!(
        "#!/bin/bash\n\
         # Submits the jobs of a study that were left when this was written: arrays, each after those\n\
         # it needs, and in the end the page. Arguments go to each sbatch: --time=4:00:00\n\
         # --partition=…. A job whose node dies is queued again and continues from its last save. When\n\
         # jobs have failed or took too long, plan again and submit what is left.\n\
         set -eu\n\
         plan={}\n\
         # submit LIST JOBS DEPENDENCY OPTION…\n\
         submit() {{\n    \
             local list=$1 jobs=$2 after=$3\n    \
             shift 3\n    \
             sbatch --parsable --job-name=\"offramp $list\" --array=\"1-$jobs\" --requeue \\\n        \
                 --cpus-per-task={} ${{after:+--dependency=\"$after\" --kill-on-invalid-dep=yes}} \\\n        \
                 --open-mode=append --output=\"$plan/log/slurm-%A-%a.txt\" \"$@\" \\\n        \
                 \"$plan/{folder}/job.sh\" \"$plan/{folder}/$list.txt\"\n\
         }}\n\
         {submissions}\
         echo \"submitted; the page is job $page\"\n",
        quoted(&plan.folder),
        plan.cores,
    )
}

/// The jobs by the number of others that must be done one after another before them, in arrays; those
/// that measure times apart.
fn levels(plan: &Plan) -> Vec<Vec<Array<'_>>> {
    let mut depths: HashMap<&str, usize> = HashMap::new();
    for job in &plan.jobs {
        let before = job.needs.iter().map(|need| depths[need.as_str()] + 1);
        depths.insert(&job.makes, before.max().unwrap_or(0));
    }
    let count = depths.values().max().map_or(0, |depth| depth + 1);
    let arrays = |depth: usize| {
        let mut arrays = Vec::new();
        for alone in [false, true] {
            let jobs = plan.jobs.iter().filter(|job| job.alone == alone);
            let jobs: Vec<&str> =
                jobs.map(|job| job.makes.as_str()).filter(|job| depths[job] == depth).collect();
            for jobs in jobs.chunks(LARGEST_ARRAY) {
                let name = format!("{}-{}", depth + 1, arrays.len() + 1);
                arrays.push(Array { name, jobs: jobs.to_vec(), alone });
            }
        }
        arrays
    };
    (0..count).map(arrays).collect()
}

/// A text that the shell takes as it is.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
