//! What a batch keeps when it is run again: what succeeded and would come out the same, and
//! nothing else.

use std::process::Command;

use offramp_results::lock::FolderLock;
use offramp_tests::{Fields, Ran, Sandbox, built, example, plugin, quoted, untimed};

fn scenario(policies: &[Fields]) -> Fields {
    let policies: Vec<String> = policies.iter().map(ToString::to_string).collect();
    Fields::scenario("small")
        .set("system.devices", 4)
        .set("system.servers", 2)
        .set("system.slots", 30)
        .set("evaluate.episodes", 5)
        .set("policies", format!("[{}]", policies.join(", ")))
}

/// Decides for a server, of which there are two.
fn hostile(action: u32) -> Fields {
    let misdeed = format!("Decide({action})");
    plugin("hostile").set("name", quoted("fixed")).set("parameters.misdeed", misdeed)
}

fn reads(file: &str) -> Fields {
    plugin("reads-a-file").set("name", quoted("reads")).set("parameters.rule", quoted(file))
}

fn run(sandbox: &Sandbox, scenario: &Fields, more: &[&str]) -> Ran {
    sandbox.write("small.ron", scenario.to_string());
    let (hostile, reads) = (example("hostile"), example("reads_a_file"));
    let plugins = [hostile.display().to_string(), reads.display().to_string()];
    let arguments = ["run", "small.ron", "--out", "out", "--plugins", &plugins[0], "--plugins"];
    sandbox.offramp(&[&arguments[..], &[plugins[1].as_str()], more].concat())
}

/// The rows of a policy, times included: they show that it was not run again.
fn rows_of(sandbox: &Sandbox, policy: &str) -> Vec<String> {
    let wanted = format!("small,{policy},");
    let tables = ["out/timing.csv", "out/episodes.csv", "out/power-modes.csv"];
    let rows = tables.map(|table| sandbox.read(table));
    rows.iter()
        .flat_map(|rows| rows.lines())
        .filter(|row| row.starts_with(&wanted))
        .map(str::to_owned)
        .collect()
}

#[test]
fn what_failed_is_run_again_and_only_that() {
    let sandbox = Sandbox::new();
    let failing = scenario(&[plugin("random"), hostile(9), plugin("all-local")]);
    let first = run(&sandbox, &failing, &[]);
    assert_eq!(first.code, 1, "{}", first.err);
    let random = rows_of(&sandbox, "random");
    assert_eq!(random.len(), 5 + 5 + 15);
    // It fails again, and everything stays as it was.
    let again = run(&sandbox, &failing, &["--resume"]);
    assert_eq!((again.code, again.out), (1, first.out));
    assert_eq!(rows_of(&sandbox, "random"), random);
    // The cause is mended, one policy is new, and limits concern no result.
    let mended =
        scenario(&[plugin("random"), plugin("round-robin"), hostile(1), plugin("all-local")])
            .set("limits.memory_mib", 300);
    let ran = run(&sandbox, &mended, &["--resume"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert_eq!(rows_of(&sandbox, "random"), random);
    assert!(!sandbox.has("out.partial"));
    // The folder is that of a batch that has never failed.
    let (episodes, record) = (sandbox.read("out/episodes.csv"), sandbox.read("out/run.json"));
    std::fs::rename(sandbox.path().join("out"), sandbox.path().join("resumed")).unwrap();
    let whole = run(&sandbox, &mended, &[]);
    assert_eq!(untimed(&whole.out), untimed(&ran.out));
    assert!(sandbox.read("out/episodes.csv") == episodes && sandbox.read("out/run.json") == record);
    // Nothing is left to do.
    assert_eq!(run(&sandbox, &mended, &["--resume"]).out, whole.out);
}

#[test]
fn what_has_changed_is_named() {
    let sandbox = Sandbox::new();
    sandbox.write("rule.txt", "1");
    let policies = [plugin("random"), reads("rule.txt"), hostile(9)];
    assert_eq!(run(&sandbox, &scenario(&policies), &[]).code, 1);
    let record: serde_json::Value = serde_json::from_str(&sandbox.read("out/run.json")).unwrap();
    let files = &record["runs"][1]["identity"]["files"];
    assert_eq!(files[0]["path"], "rule.txt");
    assert_eq!(files[0]["sha256"].as_str().unwrap().len(), 64);
    let before = sandbox.read("out/run.json");
    let mut errors = String::new();
    let mut refused = |changed: &Fields| {
        let ran = run(&sandbox, changed, &["--resume"]);
        assert_eq!(ran.code, 2, "{}", ran.out);
        assert_eq!(sandbox.read("out/run.json"), before);
        assert!(!sandbox.has("out.partial"));
        errors += &ran.err;
    };
    refused(&scenario(&policies).set("evaluate.seed", 3));
    refused(&scenario(&[
        plugin("all-local").set("name", quoted("random")),
        policies[1].clone(),
        hostile(1),
    ]));
    refused(&scenario(&[plugin("random"), hostile(1)]));
    sandbox.write("rule.txt", "2");
    refused(&scenario(&policies));
    insta::assert_snapshot!(errors);
    sandbox.write("rule.txt", "1");
    assert_eq!(run(&sandbox, &scenario(&policies), &["--resume"]).code, 1);
}

/// An unfinished batch, too, has runs of one version of a file only; isolated or not.
#[test]
fn a_file_that_a_plugin_reads_belongs_to_its_run() {
    for isolate in [false, true] {
        let sandbox = Sandbox::new();
        sandbox.write("rule.txt", "1");
        let crash = plugin("hostile").set("parameters.misdeed", "Ruin(Abort)");
        let policies = [reads("rule.txt"), plugin("random"), crash];
        let more = ["--resume", "--jobs", "1", if isolate { "--isolate" } else { "--quiet" }];
        let ran = run(&sandbox, &scenario(&policies), &more);
        assert_eq!(ran.code, if isolate { 1 } else { -1 }, "{}", ran.err);
        sandbox.write("rule.txt", "2");
        let ran = run(&sandbox, &scenario(&policies), &more);
        assert_eq!(ran.code, 2, "{}", ran.out);
        let what = "results of reads in small, and the file rule.txt has changed since";
        assert!(ran.err.replace("\n  │", "").contains(what), "{}", ran.err);
        // A file that is not there, or changes while it is read.
        sandbox.write("none.ron", "");
        let none = run(&sandbox, &scenario(&[reads("none.txt")]), &["--out", "none"]);
        assert_eq!(none.code, 2);
    }
    let sandbox = Sandbox::new();
    sandbox.write("rule.txt", "1");
    let spoilt = reads("rule.txt").set("parameters.spoil", true);
    let spoilt = scenario(&[spoilt]).set("evaluate.episodes", 1);
    let ran = run(&sandbox, &spoilt, &[]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    let stated = "failed: reads: the file rule.txt has changed while it ran";
    assert!(ran.out.contains(stated), "{}", ran.out);
}

/// Leaves an unfinished batch with two finished runs.
fn unfinished(sandbox: &Sandbox) -> Fields {
    let crash = plugin("hostile").set("parameters.misdeed", "Ruin(Abort)");
    let crashing = scenario(&[plugin("random"), plugin("all-local"), crash]);
    assert_eq!(run(sandbox, &crashing, &["--jobs", "1"]).code, -1);
    scenario(&[plugin("random"), plugin("all-local"), hostile(1).set("name", quoted("hostile"))])
}

#[test]
fn rows_that_were_cut_off_or_altered_are_made_again() {
    for damage in [|bytes: &mut Vec<u8>| bytes.truncate(90), |bytes: &mut Vec<u8>| bytes[90] ^= 1] {
        let sandbox = Sandbox::new();
        let mended = unfinished(&sandbox);
        for entry in std::fs::read_dir(sandbox.path().join("out.partial/rows")).unwrap() {
            let path = entry.unwrap().path();
            let mut bytes = std::fs::read(&path).unwrap();
            if !bytes.is_empty() {
                damage(&mut bytes);
            }
            std::fs::write(&path, bytes).unwrap();
        }
        let resumed = run(&sandbox, &mended, &["--resume"]);
        assert_eq!(resumed.code, 0, "{}", resumed.err);
        let whole = run(&sandbox, &mended, &["--out", "whole"]);
        // A second `--out` is not taken.
        assert_eq!(whole.code, 2);
        let episodes = sandbox.read("out/episodes.csv");
        std::fs::remove_dir_all(sandbox.path().join("out")).unwrap();
        assert_eq!(run(&sandbox, &mended, &[]).code, 0);
        assert_eq!(sandbox.read("out/episodes.csv"), episodes);
    }
}

#[test]
fn one_process_at_a_time_works_on_a_batch() {
    let sandbox = Sandbox::new();
    let mended = unfinished(&sandbox);
    let journal = sandbox.read("out.partial/journal");
    let held = FolderLock::take(&sandbox.path().join("out.partial")).unwrap();
    for more in [&["--resume"][..], &[]] {
        let ran = run(&sandbox, &mended, more);
        assert_eq!(ran.code, 2, "{}", ran.out);
        let stated = format!("out.partial: in use by process {} since ", std::process::id());
        assert!(ran.err.contains(&stated), "{}", ran.err);
        assert!(!ran.err.contains("the last attempt"), "{}", ran.err);
    }
    assert_eq!(sandbox.read("out.partial/journal"), journal);
    drop(held);
    assert_eq!(run(&sandbox, &mended, &["--resume"]).code, 0);
}

/// A limit on the size of files stands for a full disk: a write fails in the middle.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_nothing_that_claims_to_be_whole() {
    let sandbox = Sandbox::new();
    let text = scenario(&[plugin("random"), plugin("all-local"), plugin("heuristic")])
        .set("evaluate.episodes", 400);
    sandbox.write("small.ron", text.to_string());
    sandbox.succeed(&["run", "small.ron", "--out", "whole", "--jobs", "1"]);
    let largest = sandbox.bytes("whole/power-modes.csv").len();
    // In the rows of a run, in the journal, and in the run folder.
    for kib in [8, 64, largest / 1024 - 20] {
        let script = format!(
            "trap '' XFSZ; ulimit -f {kib}; exec \"$0\" run small.ron --out out --jobs 1 --resume"
        );
        let mut command = Command::new("bash");
        command.current_dir(sandbox.path()).env_remove("OFFRAMP_PLUGINS");
        let ran: Ran =
            command.args(["-c", &script]).arg(built().join("offramp")).output().unwrap().into();
        assert_eq!(ran.code, 2, "{kib}: {}", ran.err);
        assert!(ran.err.replace("\n  │", "").contains("File too large"), "{}", ran.err);
        assert!(!sandbox.has("out"));
    }
    sandbox.succeed(&["run", "small.ron", "--out", "out", "--resume"]);
    for file in ["run.json", "episodes.csv", "power-modes.csv", "delays.csv"] {
        let bytes = |folder: &str| sandbox.bytes(&format!("{folder}/{file}"));
        assert!(bytes("out") == bytes("whole"), "{file}");
    }
    assert!(!sandbox.has("out.partial"));
}

/// As many processes at a time as there are file handles for.
#[cfg(unix)]
#[test]
fn few_file_handles_are_enough_for_isolation() {
    let sandbox = Sandbox::new();
    let named = |at: u32| plugin("random").set("name", quoted(&format!("r{at}")));
    sandbox.write("small.ron", scenario(&(0..20).map(named).collect::<Vec<_>>()).to_string());
    let script =
        "ulimit -n 20; exec \"$0\" run small.ron --isolate --jobs 16 --out out --format csv";
    let mut command = Command::new("bash");
    command.current_dir(sandbox.path()).env_remove("OFFRAMP_PLUGINS");
    let ran: Ran =
        command.args(["-c", script]).arg(built().join("offramp")).output().unwrap().into();
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert_eq!(ran.out.lines().count(), 21);
}

/// A folder whose name is not UTF-8 holds the scenario, its files and the plugins.
#[cfg(target_os = "linux")]
#[test]
fn isolated_runs_take_any_path() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let sandbox = Sandbox::new();
    let folder = sandbox.path().join(OsStr::from_bytes(b"caf\xe9"));
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("rule.txt"), "1").unwrap();
    std::fs::write(folder.join("small.ron"), scenario(&[reads("rule.txt")]).to_string()).unwrap();
    let library = example("reads_a_file");
    let copy = folder.join(library.file_name().unwrap());
    std::fs::copy(&library, &copy).unwrap();
    for more in [&["--isolate"][..], &[]] {
        let mut command = Command::new(built().join("offramp"));
        command.current_dir(sandbox.path()).env_remove("OFFRAMP_PLUGINS").arg("run");
        command.arg(folder.join("small.ron")).arg("--plugins").arg(&copy);
        let ran: Ran = command.args(["--format", "csv"]).args(more).output().unwrap().into();
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    }
}

/// Whatever an earlier attempt had done, and in whatever order it was asked for: the folder is that
/// of the batch as it stands.
#[test]
fn a_finished_folder_follows_its_batch() {
    let sandbox = Sandbox::new();
    let crash = plugin("hostile").set("parameters.misdeed", "RuinIn(\"decide\", Abort)");
    let (random, local) = (plugin("random"), plugin("all-local"));
    // An attempt that ends after its last run and before the folder is replaced.
    let crashed = scenario(&[random.clone(), local.clone(), crash]);
    assert_eq!(run(&sandbox, &crashed, &["--jobs", "1"]).code, -1);
    assert!(sandbox.has("out.partial"));
    std::fs::rename(sandbox.path().join("out.partial"), sandbox.path().join("kept")).unwrap();
    assert_eq!(run(&sandbox, &scenario(std::slice::from_ref(&random)), &[]).code, 0);
    std::fs::rename(sandbox.path().join("kept"), sandbox.path().join("out.partial")).unwrap();
    let both = scenario(&[random.clone(), local.clone()]);
    let ran = run(&sandbox, &both, &["--resume"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(!sandbox.has("out.partial"));
    assert_eq!(sandbox.succeed(&["report", "out"]), ran.out);
    assert_eq!(rows_of(&sandbox, "all-local").len(), 5 + 5 + 15);
    let turned = run(&sandbox, &scenario(&[local, random, hostile(9)]), &["--resume"]);
    assert_eq!(sandbox.offramp(&["report", "out"]).out, turned.out);
    // A policy that failed may leave; its row goes with it.
    let ran = run(&sandbox, &both, &["--resume"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(sandbox.succeed(&["report", "out"]), ran.out);
}

#[test]
fn parts_of_other_files_do_not_merge() {
    let sandbox = Sandbox::new();
    let scenario =
        scenario(&[reads("rule.txt")]).set("sweep", "{\"tasks.arrival_probability\": [0.1, 0.2]}");
    let mut arguments = Vec::new();
    for (rule, part) in [("0", "1/2"), ("1", "2/2")] {
        sandbox.write("rule.txt", rule);
        assert_eq!(run(&sandbox, &scenario, &["--shard", part]).code, 0);
        let folder = format!("part-{rule}");
        std::fs::rename(sandbox.path().join("out"), sandbox.path().join(&folder)).unwrap();
        arguments.push(folder);
    }
    let merged = sandbox.offramp(&["merge", &arguments[0], &arguments[1], "--out", "merged"]);
    assert_eq!(merged.code, 2, "{}", merged.out);
    assert!(merged.err.contains("different files: the file rule.txt in small"), "{}", merged.err);
    assert!(!sandbox.has("merged"));
}

#[test]
fn a_table_that_was_cut_off_has_no_numbers() {
    let sandbox = Sandbox::new();
    assert_eq!(run(&sandbox, &scenario(&[plugin("random")]), &[]).code, 0);
    for table in ["episodes.csv", "power-modes.csv", "delays.csv", "timing.csv"] {
        let path = format!("out/{table}");
        let whole = sandbox.bytes(&path);
        // Within the last number.
        sandbox.write(&path, &whole[..whole.len() - 2]);
        let ran = sandbox.offramp(&["report", "out"]);
        assert_eq!(ran.code, 2, "{table}: {}", ran.out);
        assert!(ran.err.contains("was cut off"), "{}", ran.err);
        assert!(ran.err.contains("the folder is damaged: restore the file"), "{}", ran.err);
        sandbox.write(&path, whole);
    }
    let table = sandbox.read("out/episodes.csv");
    let row = table.lines().nth(1).unwrap();
    let qoe = row.split(',').nth(6).unwrap();
    sandbox.write("out/episodes.csv", table.replace(qoe, "NaN"));
    let ran = sandbox.offramp(&["report", "out"]);
    assert_eq!(ran.code, 2, "{}", ran.out);
    assert!(ran.err.contains("`qoe` is NaN in episode 0 of random in small"), "{}", ran.err);
}

/// A folder that is renamed can't take the place of a link.
#[test]
#[cfg(unix)]
fn a_link_is_refused_before_anything_runs() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere", sandbox.path().join("out")).unwrap();
    let ran = run(&sandbox, &scenario(&[plugin("random")]), &[]);
    assert_eq!(ran.code, 2, "{}", ran.out);
    assert!(ran.err.contains("already exists"), "{}", ran.err);
    assert!(!sandbox.has("out.partial"));
}
