//! The job file of [HyperQueue](https://it4innovations.github.io/hyperqueue).

use std::collections::HashMap;

use super::plan::{PAGE, Plan};

/// The name of the file.
pub(super) const FILE: &str = "hyperqueue.toml";

/// The text of the file: one task per job.
pub(super) fn job_file(plan: &Plan) -> String {
    let mut text = format!(
        "# The jobs of a study that were left when this was written. Submit them with\n#\n\
         #     hq job submit-file {FILE}\n#\n\
         # A task whose worker dies is given to another one, which resumes it. When tasks have failed,\n\
         # plan again and submit what is left.\n\
         name = {}\n",
        quoted(&plan.study),
    );
    let numbers: HashMap<&str, usize> =
        plan.jobs.iter().enumerate().map(|(at, job)| (job.makes.as_str(), at + 1)).collect();
    for (at, job) in plan.jobs.iter().enumerate() {
        let needs: Vec<usize> = job.needs.iter().map(|need| numbers[need.as_str()]).collect();
        text += &task(plan, at + 1, &job.makes, &needs, job.alone);
    }
    let all: Vec<usize> = (1..=plan.jobs.len()).collect();
    text + &task(plan, all.len() + 1, PAGE, &all, false)
}

fn task(plan: &Plan, number: usize, job: &str, needs: &[usize], alone: bool) -> String {
    let command: Vec<String> =
        plan.command.iter().map(String::as_str).chain([job]).map(quoted).collect();
    let log = quoted(&format!("{}/log/hyperqueue-%{{JOB_ID}}-{number}.txt", plan.folder));
    // Nothing else runs on its worker then.
    let cores = if alone { "\"all\"".to_owned() } else { plan.cores.to_string() };
    format!(
        "\n[[task]]\nid = {number}\ncommand = [{}]\ndeps = {needs:?}\nstdout = \"none\"\n\
         stderr = {{ path = {log}, on_close = \"rm-if-finished\" }}\n\
         [[task.request]]\nresources = {{ \"cpus\" = {cores} }}\n",
        command.join(", "),
    )
}

/// A text in quotes. What JSON escapes, TOML escapes in the same way.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
