//! A batch whose policies crash, hang and leak, each run in a process of its own, killed and resumed
//! again and again. In the suite it is small; an hour of it is
//!
//! ```sh
//! OFFRAMP_SOAK_RUNS=10000 cargo test --release -p offramp-tests --test soak -- --nocapture
//! ```

#[path = "../plugins/mood.rs"]
mod mood;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mood::Mood;
use offramp_results::metric;
use offramp_results::run_folder::{self, StoredRun};
use offramp_tests::{Sandbox, built, example};

/// Runs of the batch, besides the one that its successes must equal.
fn runs() -> u64 {
    std::env::var("OFFRAMP_SOAK_RUNS").map_or(40, |count| count.parse().unwrap())
}

fn scenario(runs: u64) -> String {
    let mut policies = "(plugin: \"all-local\", name: \"well-behaved\")".to_owned();
    for number in 0..runs {
        write!(
            policies,
            ",\n(plugin: \"moody\", name: \"moody-{number}\", parameters: (number: {number}))"
        )
        .unwrap();
    }
    format!(
        "(name: \"soak\", system: (devices: 5, servers: 2, slots: 20),
            policies: [{policies}], evaluate: (episodes: 3), isolate: true,
            limits: (call_seconds: 1.0, memory_mib: 200))"
    )
}

/// Memory of a process in RAM, kiB; `None` once it has ended.
fn resident(child: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Number of processes that work in `folder`.
fn processes_in(folder: &Path) -> usize {
    let folder = folder.canonicalize().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let there = |entry: &std::fs::DirEntry| {
        std::fs::read_link(entry.path().join("cwd")).is_ok_and(|at| at == folder)
    };
    processes.filter(there).count()
}

/// A part of the error by which a mood is recognised; `None` if there is none.
fn expected(mood: Mood) -> Option<&'static str> {
    match mood {
        Mood::Fine | Mood::Leaking => None,
        Mood::Hoarding => Some("memory"),
        Mood::Segfaulting => Some("signal 11"),
        Mood::Aborting => Some("signal 6"),
        Mood::Leaving => Some("exit"),
        Mood::Panicking => Some("in a mood"),
        Mood::Spinning | Mood::Sleeping => Some("took more than 1 s"),
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_batch_of_policies_that_crash_hang_and_leak_survives_kills_and_loses_nothing() {
    let runs = runs();
    let sandbox = Sandbox::new();
    sandbox.write("soak.ron", scenario(runs));
    let plugin = example("moody");
    let begun = Instant::now();
    let (mut kills, mut most) = (0_u32, Vec::new());
    loop {
        let mut command = Command::new(built().join("offramp"));
        command.current_dir(sandbox.path()).stdout(Stdio::null()).stderr(Stdio::null());
        command.args(["run", "soak.ron", "--out", "soak", "--resume", "--plugins"]).arg(&plugin);
        let mut child = command.spawn().unwrap();
        // Each attempt has longer than the one before, so that the batch ends.
        let mut left = (48 * runs / 1280).max(5) + u64::from(kills);
        let mut peak = 0;
        let status = loop {
            std::thread::sleep(Duration::from_millis(100));
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            peak = peak.max(resident(&child).unwrap_or(0));
            left = left.saturating_sub(1);
            if left == 0 {
                child.kill().unwrap();
                child.wait().unwrap();
                break None;
            }
        };
        most.push(peak);
        if let Some(status) = status {
            assert_eq!(status.code(), Some(1), "some runs failed");
            break;
        }
        kills += 1;
    }

    // Those that sleep or spin for ever end with whoever began them.
    let ended = |_: &u32| {
        std::thread::sleep(Duration::from_millis(100));
        processes_in(sandbox.path()) == 0
    };
    assert!((0..100).find(ended).is_some(), "processes were left behind");

    let stored = run_folder::read(&sandbox.path().join("soak")).unwrap();
    assert_eq!(stored.len() as u64, runs + 1, "runs were lost");
    // Times differ from run to run.
    let metrics = || metric::all().iter().filter(|metric| metric.name != "DecisionTime");
    let numbers = |run: &StoredRun| -> Vec<String> {
        metrics().map(|metric| format!("{:?}", run.summary.mean_sd(metric))).collect()
    };
    let mut ends: BTreeMap<Mood, u64> = BTreeMap::new();
    for (number, run) in (0..runs).zip(&stored[1..]) {
        let mood = Mood::of(number);
        assert_eq!(run.record.policy, format!("moody-{number}"));
        match (expected(mood), &run.record.error) {
            (None, None) => assert_eq!(numbers(run), numbers(&stored[0])),
            (Some(expected), Some(error)) => assert!(error.contains(expected), "{mood:?}: {error}"),
            (_, error) => panic!("moody-{number}, {mood:?}: {error:?}"),
        }
        *ends.entry(mood).or_default() += 1;
    }
    eprintln!("{runs} runs, {kills} kills, {:.0} s: {ends:?}", begun.elapsed().as_secs_f64());
    eprintln!("most memory of each attempt, kiB: {most:?}");
    // The first attempt of a short soak is shorter than a call that never returns may take.
    assert!(kills > 0, "it was never killed");
}
