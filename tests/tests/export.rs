//! `offramp export`: the C that a device would compile, against the plugin it came from.

use std::io::Write;
use std::process::{Command, Stdio};

use offramp_harness::bind::bind_evaluation;
use offramp_harness::context::PolicyContext;
use offramp_harness::environment::Environment;
use offramp_host::Registry;
use offramp_host::plugin::UNDECIDED;
use offramp_scenario::Experiment;
use offramp_tests::{Sandbox, built, workspace};

/// The device whose network is exported.
const DEVICE: u32 = 7;
/// Actions of the paper's system: local, or one of 5 servers.
const ACTIONS: usize = 1 + SERVERS;
const SERVERS: usize = 5;
/// Features of the paper's observation: size, two queues and α, and a backlog per server.
const FEATURES: usize = 4 + SERVERS;
/// Slots of the load history.
const HISTORY_SLOTS: usize = 10;
/// The networks are fitted to values divided by this (`value_scale` of the student).
const VALUE_SCALE: f64 = 40.0;

/// Reads features and histories, and prints the values and the decision.
const MAIN: &str = r#"
#include <stdio.h>
#include "policy.h"
int main(void) {
    float features[POLICY_FEATURES], history[POLICY_HISTORY_SLOTS * POLICY_SERVERS];
    float values[POLICY_ACTIONS];
    for (;;) {
        for (int n = 0; n < POLICY_FEATURES; n++) if (scanf("%f", &features[n]) != 1) return 0;
        for (int n = 0; n < POLICY_HISTORY_SLOTS * POLICY_SERVERS; n++)
            if (scanf("%f", &history[n]) != 1) return 1;
        policy_values(features, history, values);
        for (int n = 0; n < POLICY_ACTIONS; n++) printf("%.9g ", values[n]);
        printf("%d\n", policy_decide(features, history));
    }
}
"#;

/// A decision of the shipped student's network of that device.
struct Seen {
    features: Vec<f32>,
    history: Vec<f32>,
    /// Q, in the network's own scale.
    values: Vec<f64>,
    action: f64,
}

/// The observations of that network in some episodes.
fn seen() -> Vec<Seen> {
    let registry = Registry::discover(&[], Some(built())).unwrap();
    let text = "(name: \"x\", policies: [(plugin: \"student\",
        checkpoint: \"paper/student.safetensors\")], tasks: (arrival_probability: 0.9))";
    let folder = workspace().join("scenarios");
    let mut experiment = Experiment::parse("x", text.into(), &folder, &[]).unwrap();
    let evaluation = bind_evaluation(experiment.points.remove(0), &registry).unwrap();
    let scenario = &evaluation.scenario;
    let policy = &evaluation.policies[0];
    let checkpoint = std::fs::read(policy.checkpoint.as_ref().unwrap()).unwrap();
    let context = PolicyContext::new(scenario, &evaluation.sha256);
    let lent = context.lend();
    let context = lent.context("", Some(&checkpoint), 1, 1);
    let mut student = policy.plugin().unwrap().create_policy(&context).unwrap();
    let mut all = Vec::new();
    let mut environment = Environment::new(&scenario.system, scenario.observation, 3, 0);
    for number in 0..5 {
        environment.reset(3, number);
        while !environment.is_over() {
            let mut actions = vec![UNDECIDED; environment.rows()];
            let observation = environment.observe(student.needs());
            let mut values = vec![0.0; actions.len() * ACTIONS];
            student.value_function().unwrap().values(&observation, &mut values).unwrap();
            student.decide(&observation, &mut actions).unwrap();
            if let Some(row) = observation.devices.iter().position(|&device| device == DEVICE) {
                let single =
                    |numbers: &[f64]| numbers.iter().map(|&number| number as f32).collect();
                let values = &values[row * ACTIONS..(row + 1) * ACTIONS];
                all.push(Seen {
                    features: single(observation.features_of(row)),
                    history: single(&observation.histories),
                    values: values.iter().map(|&q| f64::from(q) / VALUE_SCALE).collect(),
                    action: actions[row].into(),
                });
            }
            environment.step(&actions).unwrap();
        }
    }
    all
}

/// Exports, compiles and runs; returns the rows it printed, and what `offramp` printed.
fn compiled(
    sandbox: &Sandbox,
    folder: &str,
    more: &[&str],
    seen: &[Seen],
) -> (Vec<Vec<f64>>, String) {
    let student = workspace().join("scenarios/paper/student.safetensors").display().to_string();
    let network = DEVICE.to_string();
    let mut arguments = vec!["export", &student, "--out", folder, "--network", &network];
    arguments.extend(["--name", "policy"]);
    arguments.extend(more);
    let ran = sandbox.offramp(&arguments);
    assert_eq!(ran.code, 0, "{}", ran.err);
    sandbox.write(&format!("{folder}/main.c"), MAIN);
    let compiler = Command::new("cc")
        .current_dir(sandbox.path().join(folder))
        .args([
            "-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-o", "main", "main.c", "policy.c",
        ])
        .output()
        .unwrap();
    assert!(compiler.status.success(), "{}", String::from_utf8_lossy(&compiler.stderr));
    let mut child = Command::new(sandbox.path().join(folder).join("main"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let line = |seen: &Seen| {
        let numbers = seen.features.iter().chain(&seen.history);
        numbers.map(ToString::to_string).collect::<Vec<_>>().join(" ") + "\n"
    };
    let input: String = seen.iter().map(line).collect();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let row = |line: &str| line.split(' ').map(|number| number.parse().unwrap()).collect();
    (printed.lines().map(row).collect(), ran.out)
}

#[test]
fn the_exported_c_decides_as_the_student() {
    let sandbox = Sandbox::new();
    let seen = seen();
    assert!(seen.len() > 400);
    let (single, said) = compiled(&sandbox, "single", &[], &seen);
    assert_eq!(single.len(), seen.len());
    for (ours, theirs) in single.iter().zip(&seen) {
        let (values, action) = (&ours[..ACTIONS], ours[ACTIONS]);
        let close = values.iter().zip(&theirs.values).all(|(a, b)| (a - b).abs() < 1e-4);
        assert!(close, "{ours:?} {:?}", theirs.values);
        assert_eq!(action, theirs.action);
    }
    let (eight, said_of_eight) = compiled(&sandbox, "eight", &["--as", "c-int8"], &seen);
    let pairs = eight.iter().zip(&seen);
    let alike = pairs.filter(|(ours, theirs)| ours[ACTIONS] == theirs.action).count();
    assert!(alike * 100 >= seen.len() * 98, "{alike} of {}", seen.len());
    insta::assert_snapshot!(format!("{said}{said_of_eight}"));
}

/// Run by rten, which shares no code with the exporter.
#[test]
fn the_exported_onnx_has_the_values_of_the_student() {
    use rten::{Model, ValueView};
    let sandbox = Sandbox::new();
    let student = workspace().join("scenarios/paper/student.safetensors").display().to_string();
    let network = DEVICE.to_string();
    let ran =
        sandbox.offramp(&["export", &student, "--as", "onnx", "--out", ".", "--network", &network]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let seen = seen();
    let rows = seen.len();
    let model = Model::load_file(sandbox.path().join("student_7.onnx")).unwrap();
    let all =
        |part: fn(&Seen) -> &[f32]| -> Vec<f32> { seen.iter().flat_map(part).copied().collect() };
    let (features, history) = (all(|seen| &seen.features), all(|seen| &seen.history));
    let features = ValueView::from_shape([rows, FEATURES], &features).unwrap();
    let history = ValueView::from_shape([rows, HISTORY_SLOTS, SERVERS], &history).unwrap();
    let id = |name: &str| model.node_id(name).unwrap();
    let inputs = vec![(id("features"), features.into()), (id("history"), history.into())];
    let [values] = model.run_n(inputs, [id("values")], None).unwrap();
    let (shape, values) = values.into_shape_vec::<f32, 2>().unwrap();
    assert_eq!(shape, [rows, ACTIONS]);
    let expected = seen.iter().flat_map(|seen| &seen.values);
    let worst = values.iter().zip(expected).map(|(&ours, q)| (f64::from(ours) - q).abs());
    let worst = worst.fold(0.0, f64::max);
    assert!(worst < 1e-5, "{worst}");
    insta::assert_snapshot!(ran.out);
}

#[test]
fn what_can_not_be_exported_is_refused() {
    let sandbox = Sandbox::new();
    // A short path, which no line of an error breaks.
    let student = "student.safetensors";
    let shipped = workspace().join("scenarios/paper").join(student);
    std::fs::copy(shipped, sandbox.path().join(student)).unwrap();
    sandbox.write("text", "not a checkpoint");
    let mut errors = String::new();
    for arguments in [
        ["text", "--out", "out"].as_slice(),
        &["text", "--out", "out", "--policy", "student"],
        &[student, "--out", "out", "--network", "50"],
        &[student, "--out", "out", "--as", "rust"],
        &[student, "--out", "out", "--policy", "random"],
        &[student, "--out", "out", "--policy", "studen"],
        &[student, "--out", "out", "--policy", "d3qn"],
        &[student, "--out", "out", "--name", "two words"],
        &[student, "--out", "out", "--name", "../up", "--network", "0"],
        &[student, "--out", "text"],
    ] {
        let ran = sandbox.offramp(&[&["export"], arguments].concat());
        assert_eq!(ran.code, 2, "{arguments:?}");
        errors += &ran.err;
    }
    assert!(!sandbox.has("out"));
    insta::assert_snapshot!(
        errors.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ")
    );
}

/// A tree exports as C with the entry point of exported networks.
#[test]
fn a_tree_is_exported_with_the_entry_point_of_networks() {
    let sandbox = Sandbox::new();
    let tree = workspace().join("scenarios/paper/tree-devices.safetensors").display().to_string();
    let ran =
        sandbox.offramp(&["export", &tree, "--out", "tree", "--network", "7", "--name", "policy"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    sandbox.write(
        "tree/main.c",
        "#include \"policy.h\"\nint main(void) { static float features[POLICY_FEATURES], \
         history[POLICY_HISTORY_SLOTS * POLICY_SERVERS]; return policy_decide(features, history) \
         < POLICY_ACTIONS ? 0 : 1; }\n",
    );
    let built = Command::new("cc")
        .current_dir(sandbox.path().join("tree"))
        .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-o", "main", "main.c", "policy.c"])
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    assert!(Command::new(sandbox.path().join("tree/main")).status().unwrap().success());
}

/// The names of the files in a folder of the sandbox, sorted.
fn names(sandbox: &Sandbox, folder: &str) -> Vec<String> {
    let files = std::fs::read_dir(sandbox.path().join(folder)).unwrap();
    let mut names: Vec<String> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn all_networks_of_a_checkpoint_are_exported_each_with_its_number() {
    let sandbox = Sandbox::new();
    let student = workspace().join("scenarios/paper/student.safetensors").display().to_string();
    let ran = sandbox.offramp(&["export", &student, "--out", "all", "--name", "mine"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("50 networks, one for each device"), "{}", ran.err);
    let all = names(&sandbox, "all");
    assert_eq!(all.len(), 100);
    assert!(all.contains(&"mine_0.c".to_owned()) && all.contains(&"mine_49.h".to_owned()));
    let ran = sandbox.offramp(&["export", &student, "--out", "one", "--network", "7"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(names(&sandbox, "one"), ["student_7.c", "student_7.h"]);
    assert!(sandbox.read("one/student_7.h").contains("#define STUDENT_7_DEVICE 7\n"));
    let renamed = sandbox.read("all/mine_7.c").replace("mine_7", "student_7");
    assert_eq!(renamed.replace("MINE_7", "STUDENT_7"), sandbox.read("one/student_7.c"));
}

#[test]
fn an_export_overwrites_nothing_unless_asked() {
    let sandbox = Sandbox::new();
    let tree = workspace().join("scenarios/paper/tree.safetensors").display().to_string();
    std::fs::create_dir(sandbox.path().join("out")).unwrap();
    sandbox.write("out/tree_student.c", "mine");
    let arguments = ["export", &tree, "--out", "out"];
    let ran = sandbox.offramp(&arguments);
    assert_eq!(ran.code, 2, "{}", ran.out);
    assert!(ran.err.contains("out/tree_student.c: it already exists"), "{}", ran.err);
    assert!(ran.err.contains("--force"), "{}", ran.err);
    assert_eq!(names(&sandbox, "out"), ["tree_student.c"]);
    assert_eq!(sandbox.read("out/tree_student.c"), "mine");
    let ran = sandbox.offramp(&[arguments.as_slice(), &["--force"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(names(&sandbox, "out"), ["tree_student.c", "tree_student.h"]);
    assert_ne!(sandbox.read("out/tree_student.c"), "mine");
    // A folder can't be replaced by a file: what was written before it is gone again.
    std::fs::remove_file(sandbox.path().join("out/tree_student.c")).unwrap();
    std::fs::remove_file(sandbox.path().join("out/tree_student.h")).unwrap();
    std::fs::create_dir(sandbox.path().join("out/tree_student.c")).unwrap();
    let ran = sandbox.offramp(&[arguments.as_slice(), &["--force"]].concat());
    assert_eq!(ran.code, 2, "{}", ran.out);
    assert_eq!(names(&sandbox, "out"), ["tree_student.c"]);
}

/// Exports of all kinds under names of their own fit into one program, also in C++.
#[test]
fn a_network_a_tree_and_an_actor_fit_into_one_program() {
    let sandbox = Sandbox::new();
    let folder = workspace().join("scenarios/paper").display().to_string();
    let mut main = String::from("#include <cstdio>\n");
    let mut calls = String::new();
    for (file, name, more) in [
        ("student", "student_3", ["--network", "3"].as_slice()),
        ("tree", "tree_student", &[]),
        ("dcdrl", "dcdrl", &["--as", "c-int8"]),
    ] {
        let checkpoint = format!("{folder}/{file}.safetensors");
        let arguments = [&["export", &checkpoint, "--out", "."], more].concat();
        let ran = sandbox.offramp(&arguments);
        assert_eq!(ran.code, 0, "{}", ran.err);
        main += &format!("#include \"{name}.h\"\n");
        let upper = name.to_ascii_uppercase();
        calls += &format!(
            "{{ float f[{upper}_FEATURES] = {{0}}, h[{upper}_HISTORY_SLOTS * {upper}_SERVERS] = \
             {{0}}; sum += {name}_decide(f, h) < {upper}_ACTIONS; }}\n"
        );
    }
    sandbox.write(
        "main.cpp",
        format!("{main}int main() {{ int sum = 0;\n{calls}return sum != 3; }}\n"),
    );
    let compile = |compiler: &str, arguments: &[&str]| {
        let built = Command::new(compiler)
            .current_dir(sandbox.path())
            .args(["-Wall", "-Wextra", "-Werror", "-pedantic"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    };
    let sources = ["student_3.c", "tree_student.c", "dcdrl.c"];
    compile("cc", &[["-std=c99", "-c"].as_slice(), &sources].concat());
    let objects = ["student_3.o", "tree_student.o", "dcdrl.o"];
    compile("c++", &[["-std=c++11", "-o", "mixed", "main.cpp"].as_slice(), &objects].concat());
    let whole = ["-std=c++11", "-o", "whole", "-x", "c++", "main.cpp"];
    compile("c++", &[whole.as_slice(), &sources].concat());
    for program in ["mixed", "whole"] {
        assert!(Command::new(sandbox.path().join(program)).status().unwrap().success());
    }
}

/// A network decides only on the observation that it was trained on, whichever policy it is of.
#[test]
fn a_checkpoint_is_held_to_its_observation() {
    let sandbox = Sandbox::new();
    let folder = workspace().join("scenarios/paper").display().to_string();
    let mut errors = String::new();
    for (policy, more) in [
        ("qeco", ""),
        ("d3qn", ", name: \"teacher\""),
        ("student", ""),
        ("dcdrl", ""),
        ("tree-student", ", parameters: (sharing: PerDevice)"),
    ] {
        let file = match policy {
            "d3qn" => "teacher",
            "tree-student" => "tree-devices",
            other => other,
        };
        for (what, fields) in [
            ("paper", ""),
            ("kind", ", observation: Published"),
            ("names", ", observation: Extended"),
            ("slots", ", observation: Paper, history_slots: 9"),
            ("servers", ", system: (slots: 10, servers: 4)"),
        ] {
            let system = if fields.contains("system") { "" } else { ", system: (slots: 10)" };
            sandbox.write(
                "x.ron",
                format!(
                    "(name: \"x\"{fields}{system}, evaluate: (episodes: 1), policies: [(plugin: \
                     \"{policy}\", checkpoint: \"{folder}/{file}.safetensors\"{more})])"
                ),
            );
            let ran = sandbox.offramp(&["run", "x.ron", "--out", &format!("{policy}-{what}")]);
            if what == "paper" {
                assert_eq!(ran.code, 0, "{policy}: {}{}", ran.out, ran.err);
                continue;
            }
            assert_ne!(ran.code, 0, "{policy} {what}: {}", ran.out);
            let all = format!("{}{}", ran.out, ran.err);
            let words: Vec<&str> = all.split_whitespace().filter(|word| *word != "│").collect();
            let all = words.join(" ");
            let all = all.split(" results:").next().unwrap_or_default();
            let at = all.find("the checkpoint was").unwrap_or(0);
            let fault = all[at..].split(" help: ").next().unwrap_or_default();
            errors += &format!("{policy} {what}: {fault}\n");
        }
    }
    insta::assert_snapshot!(errors);
}
