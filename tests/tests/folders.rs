//! The folders of trainings, distillations and studies: one process at a time works in them, they
//! resume what they began and nothing else, and what is in them is whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use offramp_results::lock::FolderLock;
use offramp_tests::{Fields, Ran, Sandbox, built, example, plugin, quoted};

/// Runs `offramp` with the plugins `linear` and `reads-a-file`.
fn offramp(sandbox: &Sandbox, arguments: &[&str]) -> Ran {
    let [linear, reads] =
        ["linear", "reads_a_file"].map(|name| example(name).display().to_string());
    sandbox.offramp(&[arguments, &["--plugins", &linear, "--plugins", &reads]].concat())
}

#[track_caller]
fn succeed(sandbox: &Sandbox, arguments: &[&str]) {
    let ran = offramp(sandbox, arguments);
    assert_eq!(ran.code, 0, "{arguments:?}\n{}{}", ran.out, ran.err);
}

fn small_system(name: &str) -> Fields {
    Fields::scenario(name)
        .set("system.devices", 4)
        .set("system.servers", 2)
        .set("system.slots", 40)
        .set("tasks.arrival_probability", 0.4)
}

fn training(learner: Fields) -> Fields {
    small_system("learning")
        .set("train.learner", learner)
        .set("train.explorer", plugin("uniform").set("parameters.over", 1))
        .set("train.episodes", 6)
        .set("train.validate_every", 4)
        .set("train.validate_episodes", 2)
        .set("train.save_every", 5)
}

fn networks() -> Fields {
    plugin("d3qn")
        .set("parameters.hidden", 4)
        .set("parameters.every_slots", 2)
        .set("parameters.batch", 16)
        .set("parameters.warm_up_slots", 50)
}

fn distillation(student: Fields) -> Fields {
    small_system("distilling")
        .set("distill.teacher", plugin("linear").set("checkpoint", quoted("run/final.safetensors")))
        .set("distill.student", student)
        .set("distill.states", 400)
        .set("distill.steps", 60)
        .set("distill.validate_every", 40)
        .set("distill.validate_episodes", 2)
}

fn student() -> Fields {
    plugin("student").set("parameters.teacher_hidden", 4)
}

/// A folder with a training of `linear` in `run`.
fn trained() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("learning.ron", training(plugin("linear")).to_string());
    succeed(&sandbox, &["train", "learning.ron", "--out", "run"]);
    sandbox
}

const STUDY: &str = r#"(
    name: "study", scenario: "small.ron", training_seeds: [1], evaluate: (episodes: 2, seed: 9),
    policies: { "linear": Trained(scenario: "learning.ron") },
    items: [(id: "all", title: "All", form: Table, policies: ["linear"], metrics: [Qoe])],
)"#;

#[test]
fn a_folder_in_use_is_left_alone() {
    let sandbox = trained();
    sandbox.write("distilling.ron", distillation(student()).to_string());
    succeed(&sandbox, &["distill", "distilling.ron", "--out", "distilled"]);
    sandbox.write("small.ron", small_system("small").to_string());
    sandbox.write("study.ron", STUDY);
    succeed(&sandbox, &["reproduce", "study.ron", "--out", "study"]);
    // What has nothing left to do is left alone, too; the page of a study is always written.
    for (arguments, touched, written) in [
        (&["train", "learning.ron", "--resume", "--out", "run"][..], "scenario.ron", false),
        (&["distill", "distilling.ron", "--resume", "--out", "distilled"], "scenario.ron", false),
        (&["reproduce", "study.ron", "--out", "study"], "index.html", true),
    ] {
        let folder = arguments.last().unwrap();
        assert!(!sandbox.has(&format!("{folder}/lock")));
        let held = FolderLock::take(&sandbox.path().join(folder)).unwrap();
        let touched = format!("{folder}/{touched}");
        sandbox.write(&touched, "as it was");
        let ran = offramp(&sandbox, arguments);
        assert_eq!(ran.code, 2, "{}", ran.err);
        let stated = format!("{folder}: in use by process {} since ", std::process::id());
        assert!(ran.err.contains(&stated), "{}", ran.err);
        assert_eq!(sandbox.read(&touched), "as it was");
        drop(held);
        succeed(&sandbox, arguments);
        assert_eq!(sandbox.read(&touched) != "as it was", written);
        assert!(!sandbox.has(&format!("{folder}/lock")));
    }
}

/// The names and contents of all files in a folder.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(contents(&path));
        } else {
            all.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    all
}

#[test]
fn nothing_continues_in_a_folder_of_something_else() {
    let sandbox = trained();
    sandbox.write("distilling.ron", distillation(student()).to_string());
    let space = "{\"train.learner.parameters.batch\": Values([8, 16])}";
    let search = training(networks()).set("tune.space", space).set("tune.configurations", 2);
    sandbox.write("search.ron", search.set("tune.first", 2).to_string());
    sandbox.write("small.ron", small_system("small").to_string());
    sandbox.write("study.ron", STUDY);
    sandbox.write("another.ron", STUDY.replace("\"study\"", "\"another\""));
    succeed(&sandbox, &["reproduce", "study.ron", "--out", "study"]);
    std::fs::create_dir(sandbox.path().join("mine")).unwrap();
    sandbox.write("mine/notes.txt", "what someone needs");
    let commands = [
        ["train", "learning.ron", "--resume", "--out"],
        ["distill", "distilling.ron", "--resume", "--out"],
        ["tune", "search.ron", "--resume", "--out"],
        ["reproduce", "study.ron", "--quiet", "--out"],
        ["reproduce", "another.ron", "--quiet", "--out"],
    ];
    let own = [("train", "run"), ("reproduce", "study")];
    for command in commands {
        for folder in ["run", "study", "mine"] {
            if own.contains(&(command[0], folder)) && command[1] != "another.ron" {
                continue;
            }
            let before = contents(&sandbox.path().join(folder));
            let ran = offramp(&sandbox, &[&command[..], &[folder]].concat());
            assert_eq!(ran.code, 2, "{command:?} {folder}: {}", ran.err);
            assert!(ran.err.contains("name another folder with --out"), "{}", ran.err);
            assert_eq!(contents(&sandbox.path().join(folder)), before, "{command:?} {folder}");
        }
    }
    let ran = offramp(&sandbox, &[&commands[4][..], &["study"]].concat());
    let stated = "study is the folder of the study study, not of the study another";
    assert!(ran.err.contains(stated), "{}", ran.err);
    // An empty folder is nobody's.
    std::fs::create_dir(sandbox.path().join("empty")).unwrap();
    succeed(&sandbox, &[&commands[0][..], &["empty"]].concat());
}

#[test]
fn a_training_made_longer_learns_what_it_would_have_at_once() {
    // Nothing that depends on the length.
    let sandbox = Sandbox::new();
    let short = training(plugin("linear")).without("train.explorer");
    sandbox.write("short.ron", short.to_string());
    let long = short.set("train.episodes", 10);
    sandbox.write("long.ron", long.to_string());
    succeed(&sandbox, &["train", "long.ron", "--out", "at-once"]);
    succeed(&sandbox, &["train", "short.ron", "--out", "longer"]);
    // Other validations, saves, threads, and what concerns evaluations only.
    let other = long
        .set("about", quoted("longer"))
        .set("train.validate_every", 5)
        .set("train.validate_episodes", 1)
        .set("train.save_every", 2)
        .set("policies", "[(plugin: \"random\")]")
        .set("evaluate", "(episodes: 3, seed: 8)");
    sandbox.write("other.ron", other.to_string());
    let resume = ["train", "other.ron", "--out", "longer", "--resume", "--jobs", "1"];
    succeed(&sandbox, &resume);
    let file = |folder: &str| sandbox.bytes(&format!("{folder}/final.safetensors"));
    assert_eq!(file("at-once"), file("longer"));
    // The last two columns are of the validation.
    let rows = |folder: &str| {
        let table = sandbox.read(&format!("{folder}/training.csv"));
        let row = |row: &str| row.rsplitn(3, ',').nth(2).unwrap().to_owned();
        table.lines().map(row).collect::<Vec<_>>()
    };
    assert_eq!(rows("at-once"), rows("longer"));
    assert!(sandbox.read("longer/scenario.ron").contains("validate_every: 5"));
}

#[test]
fn a_distillation_made_longer_fits_what_it_would_have_at_once() {
    let sandbox = trained();
    // Nothing that depends on the length: trees do not.
    let short = distillation(plugin("tree-student"));
    sandbox.write("short.ron", short.to_string());
    let long = short.set("distill.steps", 100);
    sandbox.write("long.ron", long.to_string());
    succeed(&sandbox, &["distill", "long.ron", "--out", "at-once"]);
    succeed(&sandbox, &["distill", "short.ron", "--out", "longer"]);
    let other = long.set("distill.validate_every", 30).set("distill.validate_episodes", 1);
    sandbox.write("other.ron", other.to_string());
    succeed(&sandbox, &["distill", "other.ron", "--out", "longer", "--resume"]);
    let file = |folder: &str| sandbox.bytes(&format!("{folder}/final.safetensors"));
    assert_eq!(file("at-once"), file("longer"));
}

#[test]
fn what_was_learned_from_may_not_change() {
    let sandbox = trained();
    let mut errors = String::new();
    let mut refused = |command: &str, scenario: Fields, folder: &str| {
        sandbox.write("other.ron", scenario.to_string());
        let before = sandbox.bytes(&format!("{folder}/scenario.ron"));
        let ran = offramp(&sandbox, &[command, "other.ron", "--out", folder, "--resume"]);
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert_eq!(sandbox.bytes(&format!("{folder}/scenario.ron")), before);
        errors += &ran.err;
    };
    let linear = || training(plugin("linear"));
    refused("train", linear().set("tasks.arrival_probability", 0.5), "run");
    refused("train", linear().set("train.seed", 2), "run");
    refused("train", linear().without("train.explorer"), "run");
    refused("train", linear().set("train.explorer.parameters.over", 0.5), "run");
    refused("train", training(networks()), "run");
    refused("train", linear().set("train.episodes", 5), "run");
    let short = distillation(student());
    sandbox.write("distilling.ron", short.to_string());
    succeed(&sandbox, &["distill", "distilling.ron", "--out", "distilled"]);
    refused("distill", short.clone().set("distill.batch", "PerDevice(8)"), "distilled");
    refused("distill", short.clone().set("distill.steps", 50), "distilled");
    let other = sandbox.bytes("run/best.safetensors");
    sandbox.write("copy.safetensors", [&other[..], b" "].concat());
    let copy = quoted("copy.safetensors");
    refused("distill", short.clone().set("distill.teacher.checkpoint", copy), "distilled");
    // Rounds divide the steps.
    let rounds = short.set("distill.rounds", 1).set("distill.round_states", 50);
    sandbox.write("rounds.ron", rounds.to_string());
    succeed(&sandbox, &["distill", "rounds.ron", "--out", "rounds"]);
    refused("distill", rounds.set("distill.steps", 100), "rounds");
    insta::assert_snapshot!(errors);
}

#[test]
fn a_file_that_a_plugin_reads_may_not_change() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path().join("scenarios")).unwrap();
    sandbox.write("scenarios/prior.txt", "0.5");
    let with_prior = plugin("linear").set("parameters.prior", quoted("prior.txt"));
    sandbox.write("scenarios/learning.ron", training(with_prior.clone()).to_string());
    let train = ["train", "scenarios/learning.ron", "--out", "scenarios/run"];
    succeed(&sandbox, &train);
    let teacher = with_prior.set("checkpoint", quoted("run/final.safetensors"));
    let distilling = distillation(student()).set("distill.teacher", teacher);
    sandbox.write("scenarios/distilling.ron", distilling.to_string());
    let distill = ["distill", "scenarios/distilling.ron", "--dataset", "states", "--out", "out"];
    succeed(&sandbox, &distill);
    let states = sandbox.bytes("states");
    let resumed = |arguments: &[&str]| offramp(&sandbox, &[arguments, &["--resume"]].concat());
    assert_eq!(resumed(&train).code, 0);
    sandbox.write("scenarios/prior.txt", "0.75");
    for (arguments, field) in [(&train[..], "train.learner"), (&distill, "distill.teacher")] {
        let ran = resumed(arguments);
        assert_eq!(ran.code, 2, "{}", ran.err);
        let stated = format!("the file prior.txt of `{field}` has changed");
        let words: Vec<&str> = ran.err.split_whitespace().filter(|word| *word != "│").collect();
        assert!(words.join(" ").contains(&stated), "{}", ran.err);
    }
    // States that were labelled with the other file are not used.
    let again = ["distill", "scenarios/distilling.ron", "--dataset", "states", "--out", "other"];
    let ran = offramp(&sandbox, &again);
    assert_eq!(ran.code, 2, "{}", ran.out);
    assert!(ran.err.contains("has the states of another scenario"), "{}", ran.err);
    assert_eq!(sandbox.bytes("states"), states);
    sandbox.write("scenarios/prior.txt", "much");
    let ran = offramp(&sandbox, &["train", "scenarios/learning.ron", "--out", "none"]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(!sandbox.has("none"));
}

/// Wherever the command runs, a study's paths are relative to its scenarios.
#[test]
fn a_study_learns_again_when_a_file_of_a_plugin_changes() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path().join("studies")).unwrap();
    sandbox.write("studies/prior.txt", "0.5");
    let with_prior = plugin("linear").set("parameters.prior", quoted("prior.txt"));
    sandbox.write("studies/learning.ron", training(with_prior).to_string());
    sandbox.write("studies/small.ron", small_system("small").to_string());
    sandbox.write("studies/rule.txt", "0");
    let fixed = "\"fixed\": Fixed(plugin: \"reads-a-file\", parameters: (rule: \"rule.txt\"))";
    let study = STUDY
        .replace("policies: {", &format!("policies: {{ {fixed},"))
        .replace("policies: [", "policies: [\"fixed\", ");
    sandbox.write("studies/study.ron", study);
    let reproduce = ["reproduce", "studies/study.ron", "--out", "study"];
    let noted = || {
        let ran = offramp(&sandbox, &reproduce);
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
        ["fixed: evaluating", "linear: training", "linear: evaluating"]
            .map(|note| ran.err.contains(note))
    };
    assert_eq!(noted(), [true; 3]);
    assert_eq!(noted(), [false; 3]);
    sandbox.write("studies/prior.txt", "0.75");
    sandbox.write("studies/rule.txt", "1");
    assert_eq!(noted(), [true; 3]);
}

/// Where nothing arrives there is nothing to wait for.
#[test]
fn without_tasks_nothing_is_learned_and_it_is_said() {
    let sandbox = trained();
    let mut errors = String::new();
    let none = |scenario: Fields| scenario.set("tasks.arrival_probability", 0.0).to_string();
    sandbox.write("none.ron", none(distillation(student())));
    let ran = offramp(&sandbox, &["distill", "none.ron", "--out", "runs/none"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(!sandbox.has("runs"));
    errors += &ran.err;
    sandbox.write("none.ron", none(training(plugin("linear"))));
    let ran = offramp(&sandbox, &["train", "none.ron", "--out", "none"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(!sandbox.has("none/final.safetensors") && !sandbox.has("none/best.safetensors"));
    errors += &ran.err;
    // Where a task is rare, it is waited for.
    let rare = distillation(student()).set("distill.states", 3).set("distill.steps", 2);
    sandbox.write("rare.ron", rare.set("tasks.arrival_probability", 0.00002).to_string());
    succeed(&sandbox, &["distill", "rare.ron", "--out", "rare"]);
    insta::assert_snapshot!(errors);
}

#[test]
fn a_training_without_an_update_is_not_called_trained() {
    let sandbox = Sandbox::new();
    let waiting = training(networks().set("parameters.warm_up_slots", 400));
    sandbox.write("waiting.ron", waiting.to_string());
    let train = ["train", "waiting.ron", "--out", "run"];
    let ran = offramp(&sandbox, &train);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(!ran.err.contains("trained: "), "{}", ran.err);
    assert!(!sandbox.has("run/final.safetensors") && !sandbox.has("run/best.safetensors"));
    insta::assert_snapshot!(ran.err);
    // Resumed, it is the same; one with more episodes learns.
    assert_eq!(offramp(&sandbox, &[&train[..], &["--resume"]].concat()).code, 1);
    succeed(&sandbox, &["train", "waiting.ron", "--out", "longer", "--episodes", "12"]);
    assert!(sandbox.has("longer/final.safetensors") && sandbox.has("longer/best.safetensors"));
}

#[test]
fn what_a_plugin_refuses_leaves_no_folder() {
    let sandbox = trained();
    let mut errors = String::new();
    let cut = sandbox.bytes("run/final.safetensors");
    sandbox.write("cut.safetensors", &cut[..5]);
    let learner = training(networks().set("parameters.batch", 0));
    let explorer = training(networks()).set("train.explorer.parameters.over", -1.0);
    // The second point only.
    let swept = training(networks()).set("sweep", "{\"train.learner.parameters.hidden\": [4, 0]}");
    let teacher =
        distillation(student()).set("distill.teacher.checkpoint", quoted("cut.safetensors"));
    let student = distillation(student()).set("distill.student.parameters.ratio", -1.0);
    for (command, scenario) in [
        ("train", learner),
        ("train", explorer),
        ("train", swept),
        ("distill", teacher),
        ("distill", student),
    ] {
        sandbox.write("x.ron", scenario.to_string());
        let ran = offramp(&sandbox, &[command, "x.ron"]);
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert!(!sandbox.has("runs"), "{}", ran.err);
        errors += ran.err.lines().next().unwrap();
        errors += "\n";
        let place = ran.err.lines().find(|line| line.contains("─[")).unwrap();
        errors += &format!("{}\n", place.trim());
    }
    // A crash is a failed row, and leaves no folder either.
    let hostile = plugin("hostile-learner").set("parameters.misdeed", "PanicIn(\"create\")");
    sandbox.write("x.ron", training(hostile).to_string());
    let hostile = example("hostile").display().to_string();
    let ran = sandbox.offramp(&["train", "x.ron", "--plugins", &hostile]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(!sandbox.has("runs"), "{}", ran.err);
    insta::assert_snapshot!(errors);
}

#[test]
fn a_file_that_is_not_a_dataset_is_not_to_be_removed() {
    let sandbox = trained();
    sandbox.write("notes.txt", "what someone needs, and no dataset at all");
    sandbox.write("distilling.ron", distillation(student()).to_string());
    let mut errors = String::new();
    for file in ["notes.txt", "run/final.safetensors"] {
        let before = sandbox.bytes(file);
        let ran = offramp(&sandbox, &["distill", "distilling.ron", "--dataset", file]);
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert_eq!(sandbox.bytes(file), before);
        assert!(!ran.err.contains("remove"), "{}", ran.err);
        errors += &ran.err;
    }
    assert!(!sandbox.has("runs"));
    insta::assert_snapshot!(errors);
}

/// Runs `offramp` with files limited to so many blocks of the shell, of half a KiB or one.
#[cfg(unix)]
fn with_small_files(sandbox: &Sandbox, blocks: u32, arguments: &[&str]) -> Ran {
    let mut command = Command::new("sh");
    // The signal is ignored, so that writing fails as it does on a full disk.
    command.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\""), "sh"]);
    command.arg(built().join("offramp")).args(arguments).arg("--plugins").arg(example("linear"));
    command.current_dir(sandbox.path()).env_remove("OFFRAMP_PLUGINS");
    command.output().unwrap().into()
}

/// The files of a folder, in order.
#[cfg(unix)]
fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().display().to_string()).collect();
    names.sort();
    names
}

#[test]
#[cfg(unix)]
fn on_a_full_disk_every_file_is_whole_or_absent() {
    let sandbox = trained();
    // Rows first: then half of one is on the disk.
    let long = training(plugin("linear")).set("train.episodes", 40).to_string();
    sandbox.write("long.ron", long);
    sandbox.write("distilling.ron", distillation(student()).to_string());
    succeed(&sandbox, &["train", "long.ron", "--out", "whole"]);
    succeed(&sandbox, &["distill", "distilling.ron", "--out", "whole-distilled"]);
    let train = ["train", "long.ron", "--out", "full", "--resume"];
    let distill = ["distill", "distilling.ron", "--out", "full-distilled", "--resume"];
    for (arguments, whole, tables) in
        [(train, "whole", "training.csv"), (distill, "whole-distilled", "distillation.csv")]
    {
        let folder = arguments[3];
        for blocks in [1, 2, 3, 4, 8] {
            let ran = with_small_files(&sandbox, blocks, &arguments);
            if ran.code == 0 {
                continue;
            }
            assert_eq!(ran.code, 2, "{blocks}: {}", ran.err);
            assert!(ran.err.contains("File too large"), "{}", ran.err);
            assert!(ran.err.contains("make room"), "{}", ran.err);
            for file in files(&sandbox.path().join(folder)) {
                assert!(file != "lock" && !file.ends_with("partial"), "{file}");
                if file.ends_with(".safetensors") && file != "best.safetensors" {
                    let there = sandbox.bytes(&format!("{folder}/{file}"));
                    assert_eq!(there, sandbox.bytes(&format!("{whole}/{file}")), "{file}");
                }
            }
        }
        succeed(&sandbox, &arguments);
        for file in [tables, "best.safetensors", "final.safetensors", "state", "scenario.ron"] {
            let there = sandbox.bytes(&format!("{folder}/{file}"));
            assert_eq!(there, sandbox.bytes(&format!("{whole}/{file}")), "{file}");
        }
    }
}
