//! Batches through the real command: killed and resumed, in parts, with policies that end their
//! process.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use offramp_model::rng::{Purpose, StreamFamily};
use offramp_tests::{Sandbox, built, example, untimed};

/// Two thousand short runs.
const BATCH: &str = r#"(
    name: "batch",
    system: (devices: 30, servers: 4, slots: 100),
    policies: [(plugin: "heuristic"), (plugin: "random")],
    evaluate: (episodes: 3),
    sweep: {
        "tasks.arrival_probability": [0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55],
        "tasks.deadline_slots": [4, 5, 6, 7, 8, 9, 10, 11, 12, 13],
        "system.server_ghz": [10.0, 12.0, 14.0, 16.0, 18.0, 20.0, 22.0, 24.0, 26.0, 28.0],
    },
)"#;

/// True if two run folders are bit-identical, except for their times.
#[track_caller]
fn assert_same(sandbox: &Sandbox, one: &str, other: &str) {
    for file in ["run.json", "episodes.csv", "power-modes.csv", "delays.csv", "scenarios/batch.ron"]
    {
        let bytes = |folder: &str| sandbox.bytes(&format!("{folder}/{file}"));
        assert!(bytes(one) == bytes(other), "{file} of {one} and {other}");
    }
}

/// When a batch is killed, measured from its start.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kill {
    /// While the journal of what is done is read, or soon after.
    WhileResuming,
    /// Once something new has been done, on a machine of any speed.
    WhileWorking,
}

impl Kill {
    /// Three of four come while there is work.
    fn number(kills: u64) -> Self {
        if kills.is_multiple_of(4) { Self::WhileResuming } else { Self::WhileWorking }
    }
}

/// The size of the unfinished batch's journal, in bytes.
fn journal_size(sandbox: &Sandbox) -> u64 {
    let journal = sandbox.path().join("killed.partial/journal");
    std::fs::metadata(journal).map_or(0, |journal| journal.len())
}

fn is_running(child: &mut Child) -> bool {
    child.try_wait().unwrap().is_none()
}

#[test]
fn fifty_kills_change_no_bit() {
    let sandbox = Sandbox::new();
    sandbox.write("batch.ron", BATCH);
    sandbox.succeed(&["run", "batch.ron", "--out", "whole", "--format", "csv"]);
    let arguments = ["run", "batch.ron", "--out", "killed", "--resume"];
    let mut pauses = StreamFamily::new(1, 0, Purpose::new(1_000)).of(0);
    let (mut kills, mut batches, mut journal_sizes) = (0, 0, Vec::new());
    while kills < 50 {
        let before = journal_size(&sandbox);
        let mut command = Command::new(built().join("offramp"));
        command.current_dir(sandbox.path()).args(arguments);
        let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while Kill::number(kills) == Kill::WhileWorking
            && journal_size(&sandbox) <= before
            && is_running(&mut running)
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(pauses.below(200) as u64));
        if !is_running(&mut running) {
            // Done before the kill: from the beginning again.
            assert_same(&sandbox, "whole", "killed");
            std::fs::remove_dir_all(sandbox.path().join("killed")).unwrap();
            batches += 1;
            continue;
        }
        running.kill().unwrap();
        running.wait().unwrap();
        kills += 1;
        journal_sizes.push(journal_size(&sandbox));
    }
    sandbox.succeed(&arguments);
    assert_same(&sandbox, "whole", "killed");
    assert!(!sandbox.has("killed.partial"));
    // The journal had grown between most of them.
    journal_sizes.dedup();
    assert!(journal_sizes.len() > 20, "{batches} batches, journals of {journal_sizes:?}");
    // What is done is shown, and not done again.
    sandbox.succeed(&arguments);
}

#[test]
fn parts_make_the_whole() {
    let sandbox = Sandbox::new();
    sandbox.write("batch.ron", BATCH.replace("[10.0, 12.0, 14.0, 16.0, 18.0, 20.0, ", "["));
    let run = |out: &str, more: &[&str]| {
        let ran = sandbox.offramp(&[&["run", "batch.ron", "--out", out], more].concat());
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.out
    };
    let whole = run("whole", &[]);
    for (part, shard) in [("a", "1/3"), ("b", "2/3"), ("c", "3/3")] {
        run(part, &["--shard", shard]);
    }
    let merged = sandbox.offramp(&["merge", "c", "a", "b", "--out", "merged"]);
    assert_eq!(merged.code, 0, "{}", merged.err);
    assert_same(&sandbox, "whole", "merged");
    assert_eq!(untimed(&whole), untimed(&merged.out));
    // A report over parts has their rows.
    let report = sandbox.offramp(&["report", "a", "b", "c", "--format", "csv"]);
    assert_eq!(report.out.lines().count(), 1 + 2 * 400, "{}", report.err);

    sandbox.write("batch.ron", BATCH.replace("0.55", "0.6"));
    run("other", &["--shard", "2/3", "--quick"]);
    let mut errors = String::new();
    for parts in [&["a", "b"][..], &["a", "a", "c"], &["a", "other", "c"], &["whole"], &["no"]] {
        let ran = sandbox.offramp(&[&["merge", "--out", "wrong"], parts].concat());
        assert_eq!(ran.code, 2, "{parts:?}");
        errors += &ran.err;
    }
    for arguments in [
        ["run", "batch.ron", "--shard", "4/3"],
        ["run", "batch.ron", "--shard", "0/3"],
        ["merge", "a", "--out", "whole"],
    ] {
        let ran = sandbox.offramp(&arguments);
        assert_eq!(ran.code, 2, "{arguments:?}");
        errors += &ran.err;
    }
    insta::assert_snapshot!(errors);
}

/// Every way in which a policy can end its process, between two that do not. (Without isolation, one
/// that never comes back from being dropped would never get through the check.)
fn ruinous(isolate: bool) -> String {
    let hostile = |ruin: &str| {
        format!("(plugin: \"hostile\", name: \"{ruin}\", parameters: (misdeed: Ruin({ruin}))), ")
    };
    let in_drop = isolate.then_some("LoopInDrop");
    let ruins = ["Segfault", "Abort", "Exit", "Loop", "Hoard"].into_iter().chain(in_drop);
    let ruins: String = ruins.map(hostile).collect();
    format!(
        "(name: \"ruinous\", system: (devices: 6, servers: 2, slots: 60),
        policies: [(plugin: \"random\"), {ruins}(plugin: \"heuristic\")],
        evaluate: (episodes: 3), isolate: {isolate},
        limits: (call_seconds: 3.0, memory_mib: 200))"
    )
}

#[test]
fn an_isolated_policy_ends_no_other() {
    let sandbox = Sandbox::new();
    sandbox.write("ruinous.ron", ruinous(true));
    let hostile = example("hostile").display().to_string();
    let ran = sandbox.offramp(&["run", "ruinous.ron", "--plugins", &hostile, "--out", "out"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    insta::assert_snapshot!(untimed(&ran.out));
    // The others' results are bit-identical to those without isolation.
    let calm = "(name: \"calm\", system: (devices: 6, servers: 2, slots: 60),
        policies: [(plugin: \"random\"), (plugin: \"heuristic\")], evaluate: (episodes: 3),
        sweep: {\"tasks.arrival_probability\": [0.2, 0.4]})";
    sandbox.write("calm.ron", calm);
    for (out, more) in [("bare", &[][..]), ("apart", &["--isolate"])] {
        let ran = sandbox.offramp(&[&["run", "calm.ron", "--out", out], more].concat());
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    }
    for file in ["run.json", "episodes.csv", "power-modes.csv", "delays.csv"] {
        let read = |folder: &str| sandbox.read(&format!("{folder}/{file}"));
        assert_eq!(read("bare"), read("apart"), "{file}");
    }
}

#[test]
fn after_a_crash_it_is_stated_what_was_running() {
    let sandbox = Sandbox::new();
    let hostile = example("hostile").display().to_string();
    sandbox.write("ruinous.ron", ruinous(false));
    let arguments =
        ["run", "ruinous.ron", "--plugins", &hostile, "--out", "out", "--jobs", "1", "--resume"];
    assert_eq!(sandbox.offramp(&arguments).code, -1, "a signal");
    let journal = sandbox.read("out.partial/journal");
    assert!(journal.trim_end().ends_with(" Segfault in ruinous"), "{journal}");
    let again = sandbox.offramp(&arguments);
    assert_eq!(again.code, -1);
    assert!(again.err.contains("the last attempt ended while this ran: Segfault in ruinous"));
    // A run resumes the old one only if it is asked to, and is the same.
    let anew = sandbox.offramp(&arguments[..arguments.len() - 1]);
    sandbox.write("ruinous.ron", ruinous(false).replace("episodes: 3", "episodes: 4"));
    let changed = sandbox.offramp(&arguments);
    assert_eq!((anew.code, changed.code), (2, 2));
    insta::assert_snapshot!(format!("{}{}", anew.err, changed.err));
    // What crashed can be resumed in a process of its own.
    sandbox.write("ruinous.ron", ruinous(false));
    let isolated = sandbox.offramp(&[&arguments[..], &["--isolate"]].concat());
    assert_eq!(isolated.code, 1, "{}", isolated.err);
    assert!(isolated.out.contains("failed: Segfault: its process ended by signal 11"));
    assert!(isolated.out.contains("| heuristic |"), "{}", isolated.out);
}

/// A kill after the run folder is in its place and before its journal is removed leaves both.
#[test]
fn what_a_late_kill_leaves_is_removed_on_resume() {
    let sandbox = Sandbox::new();
    sandbox.write("batch.ron", BATCH);
    let arguments = ["run", "batch.ron", "--out", "late", "--resume"];
    let whole = sandbox.succeed(&arguments);
    std::fs::create_dir(sandbox.path().join("late.partial")).unwrap();
    sandbox.write("late.partial/journal", "begun id random in batch\n");
    assert_eq!(untimed(&sandbox.succeed(&arguments)), untimed(&whole));
    assert!(sandbox.has("late") && !sandbox.has("late.partial"));
}
