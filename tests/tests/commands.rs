//! Common to all commands: `--quiet`, `--format`, and options that mean the same
//! everywhere.

use std::collections::BTreeMap;
use std::fs::File;
use std::process::{Command, Stdio};

use offramp_tests::{Ran, Sandbox, built, csv, example, parquet, workspace};
use serde_json::Value;

const SYSTEM: &str = "system: (devices: 6, servers: 2, slots: 40)";

/// A desk with a small scenario of each kind and a small study.
fn desk() -> Sandbox {
    let desk = Sandbox::new();
    desk.write(
        "small.ron",
        format!(
            "(name: \"small\", {SYSTEM}, policies: [(plugin: \"random\"), (plugin: \"heuristic\")],
              evaluate: (episodes: 2))"
        ),
    );
    desk.write(
        "learning.ron",
        format!(
            "(name: \"learning\", {SYSTEM}, train: (
                learner: (plugin: \"linear\"), explorer: (plugin: \"uniform\"), episodes: 6,
                validate_every: 2, validate_episodes: 2,
            ), sweep: {{ \"tasks.arrival_probability\": [0.2, 0.5] }})"
        ),
    );
    desk.write(
        "stream.ron",
        format!(
            "(name: \"stream\", {SYSTEM}, live: (slots: 300, window_slots: 50,
                drift: [(at: 100, set: {{\"tasks.density\": 0.2}})], policies: [(plugin: \"random\")]))"
        ),
    );
    desk.write(
        "distilling.ron",
        format!(
            "(name: \"distilling\", {SYSTEM}, distill: (
                teacher: (plugin: \"linear\", checkpoint: \"trained/point-001/best.safetensors\"),
                student: (plugin: \"tree-student\"), states: 300, steps: 20, batch: PerDevice(8),
                validate_every: 10, validate_episodes: 2,
            ))"
        ),
    );
    desk.write(
        "study.ron",
        "(name: \"study\", about: \"A test.\", scenario: \"small.ron\", training_seeds: [1],
          evaluate: (episodes: 3, seed: 5),
          policies: { \"random\": Fixed(plugin: \"random\"), \"rules\": Fixed(plugin: \"heuristic\") },
          items: [(id: \"all\", title: \"All\", form: Bars, policies: [\"random\", \"rules\"],
            reference: Some(\"random\"), metrics: [Qoe], paper: { \"rules\": { \"\": { Qoe: 300.0 } } })],
          claims: [(text: \"Rules help.\", source: \"a test\", holds_if: Best(item: \"all\",
            metric: Qoe, order: Above, policy: \"rules\", rivals: [\"random\"]))])",
    );
    desk
}

/// Every command once, in an order in which each finds what it needs.
fn commands() -> Vec<Vec<String>> {
    let linear = example("linear").display().to_string();
    let student = workspace().join("scenarios/paper/student.safetensors").display().to_string();
    let trace = workspace().join("tests/traces/tiny-random.json.gz").display().to_string();
    let commands: [&[&str]; 17] = [
        &["run", "small.ron", "--out", "run"],
        &["run", "small.ron", "--out", "a", "--shard", "1/2"],
        &["run", "small.ron", "--out", "b", "--shard", "2/2"],
        &["run", "small.ron", "--out", "isolated", "--isolate"],
        &["merge", "a", "b", "--out", "merged"],
        &["report", "run", "--power-modes"],
        &["train", "learning.ron", "--out", "trained", "--plugins", &linear],
        &["live", "stream.ron", "--out", "live"],
        &["distill", "distilling.ron", "--out", "distilled", "--plugins", &linear],
        &["inspect", "distilled/best.safetensors"],
        &["inspect", "learning.ron"],
        &["reproduce", "study.ron", "--out", "study"],
        &["replay", "--check", &trace],
        &["plugins"],
        &["plugins", "inspect", &linear],
        &["new", "my-policy"],
        &["export", &student, "--out", "c"],
    ];
    commands.into_iter().map(|command| command.iter().map(|&part| part.into()).collect()).collect()
}

fn offramp(desk: &Sandbox, command: &[String], more: &[&str]) -> Ran {
    let command: Vec<&str> =
        command.iter().map(String::as_str).chain(more.iter().copied()).collect();
    let ran = desk.offramp(&command);
    assert_eq!(ran.code, 0, "{command:?}: {}{}", ran.out, ran.err);
    ran
}

/// Without the last column of tables: of some it is time.
fn untimed(text: &str) -> String {
    let row = |line: &str| match line.trim_end_matches('|').rsplit_once('|') {
        Some((row, _)) if line.starts_with('|') => format!("{row}|\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(row).collect()
}

#[test]
fn quiet_commands_print_the_result_and_nothing_else() {
    let (loud, quiet) = (desk(), desk());
    let mut noted = 0;
    for command in commands() {
        let expected = offramp(&loud, &command, &[]);
        let ran = offramp(&quiet, &command, &["--quiet"]);
        assert_eq!(ran.err, "", "{command:?}");
        assert_eq!(untimed(&ran.out), untimed(&expected.out), "{command:?}");
        assert_ne!(ran.out, "", "{command:?}");
        noted += usize::from(!expected.err.is_empty());
    }
    assert!(noted >= 6, "{noted} commands have notes that --quiet hides");
    // Errors are shown, and so is what failed; the option may stand in front as well.
    let ran = quiet.offramp(&["--quiet", "report", "nowhere"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("nowhere/run.json"), "{}", ran.err);
    let failing = "(name: \"x\", train: (learner: (plugin: \"linear\"), explorer: (plugin: \
                   \"hostile\"), episodes: 5))";
    quiet.write("failing.ron", failing);
    let plugins = ["linear", "hostile"].map(|name| example(name).display().to_string());
    let arguments =
        ["train", "failing.ron", "--quiet", "--plugins", &plugins[0], "--plugins", &plugins[1]];
    let ran = quiet.offramp(&arguments);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.err.starts_with("failed: runs/x-001: episode 0: "), "{}", ran.err);
    assert!(ran.out.contains("runs/x-001"), "{}", ran.out);
}

/// A result that could not be written is an error, whatever the command; one that nobody wants to
/// read any more (`| head`) is not.
#[test]
#[cfg(target_os = "linux")]
fn lost_output_is_an_error() {
    let (full, closed) = (desk(), desk());
    let run = |desk: &Sandbox, command: &[String], out: Stdio, err: Stdio| {
        let mut offramp = Command::new(built().join("offramp"));
        offramp.current_dir(desk.path()).args(command).stdout(out).stderr(err);
        Ran::from(offramp.spawn().unwrap().wait_with_output().unwrap())
    };
    let device = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let help = ["--help", "--version", "help"].map(|word| vec![word.to_owned()]);
    for command in commands().into_iter().chain(help) {
        let ran = run(&full, &command, device(), Stdio::piped());
        assert_eq!(ran.code, 2, "{command:?}: {}", ran.err);
        let message = "can't write the result to standard output: No space left on device";
        assert!(ran.err.contains(message), "{command:?}: {}", ran.err);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        // Nor does it matter that notes can't be written.
        let ran = run(&closed, &command, writer.into(), device());
        assert_eq!(ran.code, 0, "{command:?}");
    }
    // What was computed is kept.
    let again = offramp(&full, &["report".to_owned(), "run".to_owned()], &[]);
    assert!(again.out.contains("| heuristic |"), "{}", again.out);
}

/// What a policy prints, or a process that it starts, is not part of the result.
#[test]
fn what_plugins_print_is_not_in_the_result() {
    let desk = desk();
    let plugin = example("prints").display().to_string();
    desk.write("s.ron", format!("(name: \"s\", {SYSTEM}, policies: [(plugin: \"prints\")])"));
    for more in [&[][..], &["--isolate"]] {
        for format in ["json", "csv"] {
            let run = ["run", "s.ron", "--episodes", "2", "--plugins", &plugin, "--format", format];
            let ran = desk.offramp(&[&run[..], more].concat());
            assert_eq!(ran.code, 0, "{}", ran.err);
            if format == "json" {
                serde_json::from_str::<Value>(&ran.out).unwrap();
            } else {
                assert_eq!(ran.out.lines().count(), 2, "{}", ran.out);
            }
            if more.is_empty() {
                assert!(ran.err.contains("printed in decide"), "{}", ran.err);
                assert!(ran.err.contains("echoed"), "{}", ran.err);
            }
        }
    }
}

#[test]
fn every_result_is_printed_as_json_csv_and_parquet() {
    let [json, rows, typed] = [desk(), desk(), desk()];
    for command in &commands() {
        let object = offramp(&json, command, &["--format", "json"]).out;
        let object: Value = serde_json::from_str(&object).unwrap();
        assert!(object.is_object(), "{command:?}");
        let expected = csv(&offramp(&rows, command, &["--format", "csv"]).out);
        assert!(!expected[0].concat().contains([' ', '|']), "{command:?}: {:?}", expected[0]);
        let mut offramp = Command::new(built().join("offramp"));
        offramp.current_dir(typed.path()).args(command).args(["--format", "parquet"]);
        let found = parquet(&offramp.output().unwrap().stdout);
        let columns: Vec<&String> = found.columns.iter().map(|(name, _)| name).collect();
        assert_eq!(columns, expected[0].iter().collect::<Vec<_>>(), "{command:?}");
        // Times of decisions differ, and so does what is new.
        let same = |name: &&String| !name.starts_with("decision_us");
        let same: Vec<String> = expected[0].iter().filter(same).cloned().collect();
        let places = same.iter().map(|name| expected[0].iter().position(|other| other == name));
        let places: Vec<usize> = places.flatten().collect();
        let kept = |row: &Vec<String>| places.iter().map(|&at| row[at].clone()).collect();
        let expected: Vec<Vec<String>> = expected.iter().map(kept).collect();
        assert_eq!(found.only(&same), expected, "{command:?}");
    }
}

#[test]
fn results_of_learning_are_rows() {
    let desk = desk();
    let commands = commands();
    let named = |name: &str| commands.iter().find(|command| command[0] == name).unwrap();
    let mut printed = String::new();
    for format in ["table", "json", "csv"] {
        // What is there already is shown again.
        for name in ["train", "distill"] {
            printed += &offramp(&desk, named(name), &["--resume", "--format", format]).out;
        }
    }
    insta::assert_snapshot!("learning", printed);
}

#[test]
fn a_study_is_printed_as_json_and_csv() {
    let desk = desk();
    let reproduce = |format: &str| {
        offramp(
            &desk,
            &["reproduce", "study.ron", "--out", "study"].map(String::from),
            &["--format", format],
        )
        .out
    };
    assert_eq!(
        reproduce("csv"),
        std::fs::read_to_string(desk.path().join("study/all.csv")).unwrap()
    );
    insta::assert_snapshot!("study_json", reproduce("json"));
}

#[test]
fn power_modes_are_rows_of_csv() {
    let desk = desk();
    let run = ["run", "small.ron", "--out", "run"].map(String::from);
    let whole = offramp(&desk, &run, &["--format", "csv"]).out;
    let report = ["report", "run", "--format", "csv"].map(String::from);
    assert_eq!(offramp(&desk, &report, &[]).out, whole);
    let modes = offramp(&desk, &report, &["--power-modes"]).out;
    let alphas: Vec<&str> = modes.lines().map(|line| line.split(',').nth(6).unwrap()).collect();
    let modes_of_each = &alphas[2..5];
    assert_eq!([&["alpha", ""], modes_of_each, &[""], modes_of_each].concat(), alphas);
    assert!(modes_of_each.iter().all(|alpha| alpha.parse::<f64>().is_ok()), "{alphas:?}");
    // JSON has them anyway.
    let report = ["report", "run", "--format", "json"].map(String::from);
    assert_eq!(offramp(&desk, &report, &[]).out, offramp(&desk, &report, &["--power-modes"]).out);
}

/// The options of a command, with their help texts.
fn options(command: &[&str]) -> BTreeMap<String, String> {
    let ran = Sandbox::new().offramp(&[command, &["-h"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.err);
    let option = |line: &str| {
        let (_, line) = line.trim_start().split_once("--").filter(|(short, _)| short.len() < 5)?;
        let (option, help) = line.split_once("  ")?;
        Some((option.split(' ').next()?.to_owned(), help.trim().to_owned()))
    };
    ran.out.lines().filter_map(option).collect()
}

#[test]
fn an_option_means_the_same_everywhere() {
    let mut helps: BTreeMap<String, String> = BTreeMap::new();
    for (command, expected) in [
        (&["run"][..], "format jobs seed out quick episodes resume plugins quiet"),
        (&["train"], "format jobs seed out quick episodes resume plugins quiet"),
        (&["live"], "format jobs seed out resume plugins quiet"),
        (&["distill"], "format jobs seed out quick steps resume plugins quiet"),
        (&["tune"], "format jobs seed out quick resume plugins quiet"),
        (&["reproduce"], "format jobs out quick plugins quiet"),
        (&["merge"], "classes format power-modes out quiet"),
        (&["report"], "classes format html open parquet power-modes quiet"),
        (&["replay"], "format jobs quiet"),
        (&["inspect"], "format quiet"),
        (&["plugins"], "format plugins quiet"),
        (&["plugins", "inspect"], "format quiet"),
        (&["new"], "format quiet"),
    ] {
        let options = options(command);
        for option in expected.split(' ') {
            assert!(options.contains_key(option), "{command:?} has no --{option}: {options:?}");
        }
        // What is written, and where by default, differs.
        let same = |(option, _): &(String, String)| !["out", "html"].contains(&option.as_str());
        for (option, help) in options.into_iter().filter(same) {
            let earlier = helps.entry(option.clone()).or_insert_with(|| help.clone());
            assert_eq!(*earlier, help, "--{option} of {command:?}");
        }
    }
}

#[test]
fn a_quick_distillation_is_short() {
    let desk = desk();
    let commands = commands();
    let named = |name: &str| commands.iter().find(|command| command[0] == name).unwrap();
    offramp(&desk, named("train"), &["--quick", "--quiet"]);
    let short = desk.read("distilling.ron");
    let long = short.replace("states: 300, steps: 20,", "states: 20000, steps: 2000,");
    assert_ne!(long, short);
    desk.write("distilling.ron", long);
    let ran = offramp(&desk, named("distill"), &["--quick", "--quiet", "--format", "json"]);
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    let row = &json["distillations"][0];
    assert_eq!(row["steps"], 1_000);
    // The last slot is used whole.
    let states = row["states"].as_u64().unwrap();
    assert!((10_000..10_300).contains(&states), "{states}");
    // What is shorter already stays so.
    desk.write("distilling.ron", short);
    let mut again = named("distill").clone();
    again[3] = "shorter".to_owned();
    let ran = offramp(&desk, &again, &["--quick", "--quiet", "--format", "json"]);
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(json["distillations"][0]["steps"], 20);
}
