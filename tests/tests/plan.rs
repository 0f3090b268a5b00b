//! `offramp reproduce --plan`: a study, job by job, in many processes that share its folder.

use std::collections::{BTreeSet, HashMap};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use offramp_tests::{Ran, Sandbox, example, with_study};
use serde_json::Value;

const STUDY: &str = r#"(
    name: "toy",
    scenario: "system.ron",
    training_seeds: [1, 2],
    evaluate: (episodes: 6, seed: 9),
    policies: {
        "rules": Fixed(plugin: "heuristic"),
        "teacher": Trained(scenario: "teacher.ron"),
        "student": Distilled(scenario: "student.ron", teacher: "teacher"),
    },
    items: [
        (
            id: "learned",
            title: "What learns, and what does not",
            form: Bars,
            policies: ["rules", "student", "teacher"],
            reference: "teacher",
            metrics: [Qoe, Parameters],
        ),
        (
            id: "carried",
            title: "Elsewhere",
            form: Table,
            trained: Once,
            policies: ["teacher", "student"],
            points: [(label: "0.6", set: { "tasks.arrival_probability": 0.6 })],
            metrics: [Qoe, DecisionTime],
        ),
        (id: "curves", title: "How it learned", form: Curves, policies: ["teacher"], metrics: []),
    ],
)"#;

/// Files whose bytes the whole study determines, times apart.
const TIMELESS: [&str; 3] = ["learned.csv", "learned-qoe.svg", "curves.svg"];

/// Asserts that `folder` has the results of the study that was made in one process.
fn assert_made(sandbox: &Sandbox, folder: &str) {
    sandbox.succeed(&["reproduce", "toy.ron", "--out", "whole"]);
    for file in TIMELESS {
        let bytes = |folder: &str| sandbox.bytes(&format!("{folder}/{file}"));
        assert_eq!(bytes("whole"), bytes(folder), "{file}");
    }
    for (part, file) in [("learned", "best.safetensors"), ("results", "episodes.csv")] {
        let made = |folder: &str| -> Vec<(String, Vec<u8>)> {
            let path = sandbox.path().join(folder).join(part);
            let names = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name());
            let names: BTreeSet<_> = names.map(|name| name.into_string().unwrap()).collect();
            let bytes = |name: &String| sandbox.bytes(&format!("{folder}/{part}/{name}/{file}"));
            names.into_iter().map(|name| (name.clone(), bytes(&name))).collect()
        };
        assert!(made("whole") == made(folder), "{part}");
    }
}

/// The jobs of a plan and the command that does one.
struct Plan {
    command: Vec<String>,
    jobs: Vec<Value>,
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn planned(sandbox: &Sandbox, folder: &str) -> Plan {
    sandbox.succeed(&["reproduce", "toy.ron", "--out", folder, "--plan"]);
    read_plan(sandbox, folder)
}

fn read_plan(sandbox: &Sandbox, folder: &str) -> Plan {
    let plan: Value =
        serde_json::from_str(&sandbox.read(&format!("{folder}/plan/jobs.json"))).unwrap();
    Plan { command: texts(&plan["command"]), jobs: plan["jobs"].as_array().unwrap().clone() }
}

impl Plan {
    fn begin(&self, job: &str) -> Child {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).arg(job).current_dir("/");
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn run(&self, job: &str) -> Ran {
        self.begin(job).wait_with_output().unwrap().into()
    }
}

/// Waits until a lesson in the folder `shared` has begun.
fn wait_for_lock(sandbox: &Sandbox, lesson: &str, running: &mut Child) {
    while !sandbox.has(&format!("shared/{lesson}/lock")) {
        assert!(running.try_wait().unwrap().is_none(), "{lesson} has ended");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Three workers take whatever is ready; one dies with each job it has begun, at first.
#[test]
fn workers_that_die_and_share_a_folder_make_what_one_process_makes() {
    let sandbox = with_study(STUDY, 40);
    let plan = planned(&sandbox, "shared");
    let names: Vec<&str> = plan.jobs.iter().map(|job| job["makes"].as_str().unwrap()).collect();
    let kinds = plan.jobs.iter().map(|job| job["kind"].as_str().unwrap());
    let mut counts: HashMap<&str, usize> = HashMap::new();
    kinds.for_each(|kind| *counts.entry(kind).or_default() += 1);
    // Per seed a teacher and a student, each evaluated twice, and the rules.
    let expected =
        [("training", 2), ("dataset", 2), ("distillation", 2), ("evaluation", 9), ("page", 1)];
    assert_eq!(counts, HashMap::from(expected));

    let (mut waiting, mut done) = (names.clone(), BTreeSet::new());
    let mut running: Vec<(&str, Child)> = Vec::new();
    let mut deaths = 0;
    while done.len() < names.len() {
        let ready = waiting.iter().position(|name| {
            let job = plan.jobs.iter().find(|job| job["makes"] == **name).unwrap();
            texts(&job["needs"]).iter().all(|need| done.contains(need))
        });
        if let Some(at) = ready.filter(|_| running.len() < 3) {
            let name = waiting.remove(at);
            running.push((name, plan.begin(name)));
            continue;
        }
        let (name, mut child) = running.remove(0);
        if deaths < 6 {
            // The first has certainly begun and not ended, the others are somewhere else.
            if deaths == 0 {
                wait_for_lock(&sandbox, name, &mut child);
            } else {
                std::thread::sleep(Duration::from_millis(30 + 40 * deaths));
            }
            if child.try_wait().unwrap().is_none() {
                child.kill().unwrap();
                child.wait().unwrap();
                waiting.insert(0, name);
                deaths += 1;
                continue;
            }
        }
        let ran: Ran = child.wait_with_output().unwrap().into();
        assert_eq!(ran.code, 0, "{name}: {}", ran.err);
        done.insert(name.to_owned());
    }
    assert!(deaths > 0, "none was ever killed");
    assert_made(&sandbox, "shared");
    let left = ["reproduce", "toy.ron", "--out", "shared", "--plan", "--format", "csv"];
    assert_eq!(
        sandbox.succeed(&left),
        "job,left\ntraining,0\ndataset,0\ndistillation,0\nevaluation,0\nlive run,0\npage,1\n"
    );
}

/// The script submits to a Slurm that runs each array at once, one job after another.
#[test]
#[cfg(unix)]
fn the_script_for_slurm_submits_every_job_after_those_it_needs() {
    use std::os::unix::fs::PermissionsExt;

    let sandbox = with_study(STUDY, 40);
    planned(&sandbox, "it's shared");
    let sbatch = sandbox.write(
        "sbatch",
        r#"#!/bin/bash
set -eu
count=$(grep -o 'array=1-[0-9]*' <<<"$*" | grep -o '[0-9]*$')
list=${!#}
before=$((${#}-1))
script=${!before}
for ((index = 1; index <= count; index++)); do
    SLURM_ARRAY_TASK_ID=$index bash "$script" "$list" >/dev/null 2>>"$OFFRAMP_TEST_LOG"
done
echo "$*" >>"$OFFRAMP_TEST_LOG.submitted"
wc -l <"$OFFRAMP_TEST_LOG.submitted"
"#,
    );
    std::fs::set_permissions(&sbatch, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", sandbox.path().display(), std::env::var("PATH").unwrap());
    let mut submit = Command::new("bash");
    submit.arg(sandbox.path().join("it's shared/plan/slurm.sh")).arg("--time=10").env("PATH", path);
    submit.env("OFFRAMP_TEST_LOG", sandbox.path().join("log")).current_dir("/");
    let ran: Ran = submit.output().unwrap().into();
    assert_eq!(ran.code, 0, "{}{}", ran.err, sandbox.read("log"));
    assert!(ran.out.contains("the page is job 7"), "{}", ran.out);
    assert_made(&sandbox, "it's shared");

    let submitted = sandbox.read("log.submitted");
    let submitted: Vec<&str> = submitted.lines().collect();
    let dependency = |line: &&str| {
        line.split(' ').find_map(|part| part.strip_prefix("--dependency=").map(str::to_owned))
    };
    let dependencies: Vec<_> = submitted.iter().map(dependency).collect();
    // Trainings and rules; datasets and teachers; teachers that are timed; distillations; students;
    // students that are timed; the page.
    let expected = [
        None,
        Some("afterany:1"),
        Some("afterany:1"),
        Some("afterany:2:3"),
        Some("afterany:4"),
        Some("afterany:4"),
        Some("afterok:1:2:3:4:5:6"),
    ];
    assert_eq!(dependencies, expected.map(|after| after.map(str::to_owned)));
    assert!(submitted.iter().all(|line| line.contains("--time=10")));
    let alone: Vec<bool> = submitted.iter().map(|line| line.contains("--exclusive")).collect();
    assert_eq!(alone.iter().filter(|alone| **alone).count(), 2);
}

#[test]
fn a_job_file_for_hyperqueue_has_every_job_with_what_it_needs() {
    let sandbox = with_study(STUDY, 40);
    let plan = planned(&sandbox, "shared");
    let text = sandbox.read("shared/plan/hyperqueue.toml");
    let tasks: Vec<&str> = text.split("[[task]]").skip(1).collect();
    assert_eq!(tasks.len(), plan.jobs.len());
    for (at, (task, job)) in tasks.iter().zip(&plan.jobs).enumerate() {
        assert!(task.contains(&format!("\nid = {}\n", at + 1)), "{task}");
        assert!(task.contains(&format!("\"--job\", {}]", job["makes"])), "{task}");
        let number =
            |need: &String| plan.jobs.iter().position(|job| job["makes"] == **need).unwrap() + 1;
        let needs: Vec<usize> = texts(&job["needs"]).iter().map(number).collect();
        assert!(task.contains(&format!("\ndeps = {needs:?}\n")), "{task}");
        // As HyperQueue reads it, not as its documentation has it.
        assert!(task.contains(", on_close = \"rm-if-finished\" }"), "{task}");
        let all = task.contains("\"cpus\" = \"all\"");
        assert_eq!(all, job["alone"] == true, "{task}");
    }
}

#[test]
fn what_failed_is_planned_again() {
    let sandbox = with_study(STUDY, 40);
    let failing = "Fixed(plugin: \"hostile\", parameters: (misdeed: FailIn(\"decide\")))";
    sandbox.write("toy.ron", STUDY.replace("Fixed(plugin: \"heuristic\")", failing));
    let plugin = example("hostile").display().to_string();
    let plan = ["reproduce", "toy.ron", "--out", "out", "--plugins", &plugin, "--plan"];
    let plan = [&plan[..], &["--only", "learned", "--format", "csv"]].concat();
    let first = sandbox.succeed(&plan);
    assert!(first.contains("evaluation,5\n"), "{first}");
    let plan_of = read_plan(&sandbox, "out");
    let failing = plan_of.jobs.iter().find(|job| job["policy"] == "rules").unwrap();
    let ran = plan_of.run(failing["makes"].as_str().unwrap());
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("decide refused"), "{}", ran.err);
    assert_eq!(sandbox.succeed(&plan), first);
}

/// As if it had been done, and its checkpoint were lost.
#[test]
fn a_lesson_without_its_checkpoint_is_given_again_to_its_end() {
    let sandbox = with_study(STUDY, 1_000_000);
    let plan = planned(&sandbox, "shared");
    let training = plan.jobs[0]["makes"].as_str().unwrap();
    std::fs::create_dir_all(sandbox.path().join("shared").join(training)).unwrap();
    sandbox.write(&format!("shared/{training}/done"), "");
    let left = || planned(&sandbox, "shared").jobs.len();
    assert_eq!(left(), plan.jobs.len());
    let mut running = plan.begin(training);
    while !sandbox.has(&format!("shared/{training}/best.safetensors")) {
        assert!(running.try_wait().unwrap().is_none(), "{training} has ended");
        std::thread::sleep(Duration::from_millis(1));
    }
    running.kill().unwrap();
    running.wait().unwrap();
    assert_eq!(left(), plan.jobs.len(), "its first checkpoint was taken for its last");
}

#[test]
fn a_wrong_job_is_explained() {
    // So long that it does not end before it is killed.
    let sandbox = with_study(STUDY, 1_000_000);
    let refused = sandbox.offramp(&["reproduce", "toy.ron", "--out", "shared", "--job", "x"]);
    assert_eq!(refused.code, 2);
    let expected = "  × shared: the study toy has not been begun there\n  \
                    help: begin it, with --plan, or name its folder with --out\n";
    assert_eq!(refused.err, expected);
    let plan = planned(&sandbox, "shared");
    let unknown = plan.run("learned/teacher-0");
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("the study has no job `learned/teacher-0`"), "{}", unknown.err);
    assert!(unknown.err.contains("make the plan again"), "{}", unknown.err);
    // Before what it needs.
    let early = plan.jobs.iter().find(|job| job["kind"] == "dataset").unwrap();
    let ran = plan.run(early["makes"].as_str().unwrap());
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("which has not been made: do that job first"), "{}", ran.err);
    let page = plan.run("index.html");
    assert_eq!(page.code, 1);
    let left = format!("index.html: 15 jobs before it left, such as {}", plan.jobs[0]["makes"]);
    assert!(page.err.contains(&left.replace('"', "")), "{}", page.err);
    // Whoever makes the whole is alone.
    let training = plan.jobs[0]["makes"].as_str().unwrap();
    let mut running = plan.begin(training);
    wait_for_lock(&sandbox, training, &mut running);
    let whole = sandbox.offramp(&["reproduce", "toy.ron", "--out", "shared"]);
    let same = plan.run(training);
    running.kill().unwrap();
    running.wait().unwrap();
    assert_eq!((whole.code, same.code), (2, 2), "{}{}", whole.err, same.err);
    assert!(whole.err.contains("shared: in use by another process"), "{}", whole.err);
    assert!(same.err.contains("in use by process"), "{}", same.err);
}

/// A policy that is trained once keeps that in an item in which others are trained at each point.
#[test]
fn a_policy_may_be_trained_once_where_others_are_trained_at_each_point() {
    let points =
        r#"points: [(label: "0.3"), (label: "0.6", set: {"tasks.arrival_probability": 0.6})],"#;
    let policies = r#""carried": Trained(scenario: "teacher.ron", set: {"train.episodes": 9}, trained: Once),"#;
    let study = STUDY.replace("policies: {", &format!("policies: {{\n{policies}"));
    let item = format!(
        "items: [(id: \"loads\", title: \"\", form: Table, metrics: [Qoe], {points} \
         policies: [\"rules\", \"teacher\", \"carried\"]),"
    );
    let end = study.find("items: [").unwrap();
    let study = format!("{}{item}])", &study[..end]);
    let sandbox = with_study(&study, 40);
    let plan = planned(&sandbox, "shared");
    let made = |kind: &str| plan.jobs.iter().filter(|job| job["kind"] == kind).count();
    // Per seed: teachers at both points, and the one that is carried over.
    assert_eq!(made("training"), 2 * (2 + 1));
    assert_eq!(made("evaluation"), 2 + 2 * 2 * 2);
    // What concerns trainings alone would do nothing to it.
    let of = study.replace(
        "(label: \"0.3\")",
        "(label: \"0.3\", of: {\"carried\": {\"train.episodes\": 5}})",
    );
    sandbox.write("toy.ron", &of);
    let refused = sandbox.offramp(&["reproduce", "toy.ron", "--out", "other", "--plan"]);
    assert!(refused.err.contains("it is evaluated here, not taught"), "{}", refused.err);
}
