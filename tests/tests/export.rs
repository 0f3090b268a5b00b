//! `offramp export`: the C that a device would compile, against the plugin it came from.

use std::io::Write;
use std::process::{Command, Stdio};

use offramp_harness::environment::{Environment, SlotBuffers};
use offramp_harness::scenario::{Experiment, Overrides, Purpose};
use offramp_host::Registry;
use offramp_model::{Episode, Workload};
use offramp_tests::{Desk, built, workspace};

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

/// What the shipped student's network of device 7 saw in an episode, with its values.
fn seen() -> (String, Vec<Vec<f64>>) {
    let registry = Registry::discover(&[], Some(built())).unwrap();
    let text = "(name: \"x\", policies: [(plugin: \"student\",
        checkpoint: \"paper/student.safetensors\")], tasks: (arrival_probability: 0.9))";
    let (folder, overrides) = (workspace().join("scenarios"), Overrides::default());
    let experiment =
        Experiment::parse("x", text.into(), &folder, &registry, Purpose::Evaluate, overrides)
            .unwrap();
    let scenario = &experiment.points[0];
    let entry = &scenario.policies[0];
    let checkpoint = std::fs::read(entry.checkpoint.as_ref().unwrap()).unwrap();
    let environment = Environment::new(scenario);
    let context = environment.context("", Some(&checkpoint), 1, 1);
    let mut student = entry.found.create_policy(&context).unwrap();
    let (mut input, mut expected) = (String::new(), Vec::new());
    for number in 0..5 {
        let workload = Workload::Drawn { seed: 3, episode: number };
        let mut episode = Episode::new(&scenario.system, workload, scenario.observation);
        let mut buffers = SlotBuffers::default();
        while !episode.is_over() {
            let seen = buffers.observe(&episode, student.needs());
            let mut values = vec![0.0; seen.actions.len() * 6];
            let observation = seen.observation;
            student.value_function().unwrap().values(&observation, &mut values).unwrap();
            student.decide(&observation, seen.actions).unwrap();
            if let Some(row) = observation.devices.iter().position(|&device| device == 7) {
                let numbers =
                    observation.features_of(row).iter().chain(observation.histories.iter());
                let numbers: Vec<String> = numbers.map(ToString::to_string).collect();
                input += &format!("{}\n", numbers.join(" "));
                let values = values[row * 6..(row + 1) * 6].iter().map(|&q| f64::from(q) / 40.0);
                expected.push(values.chain([f64::from(seen.actions[row])]).collect());
            }
            episode.advance(seen.actions).unwrap();
        }
    }
    (input, expected)
}

/// Exports, compiles and runs; gives what it printed, and what `offramp` said.
fn compiled(desk: &Desk, folder: &str, more: &[&str], input: &str) -> (Vec<Vec<f64>>, String) {
    let student = workspace().join("scenarios/paper/student.safetensors").display().to_string();
    let mut arguments = vec!["export", &student, "--c", folder, "--network", "7"];
    arguments.extend(more);
    let ran = desk.offramp(&arguments);
    assert_eq!(ran.code, 0, "{}", ran.err);
    desk.write(&format!("{folder}/main.c"), MAIN);
    let built = Command::new("cc")
        .current_dir(desk.path().join(folder))
        .args([
            "-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-o", "main", "main.c", "policy.c",
        ])
        .arg("-lm")
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let mut child = Command::new(desk.path().join(folder).join("main"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let row = |line: &str| line.split(' ').map(|number| number.parse().unwrap()).collect();
    (printed.lines().map(row).collect(), ran.out)
}

#[test]
fn the_exported_c_decides_as_the_student() {
    let desk = Desk::new();
    let (input, expected) = seen();
    assert!(expected.len() > 400);
    let (single, said) = compiled(&desk, "single", &[], &input);
    assert_eq!(single.len(), expected.len());
    for (ours, theirs) in single.iter().zip(&expected) {
        let close = ours[..6].iter().zip(theirs).all(|(a, b)| (a - b).abs() < 1e-4);
        assert!(close, "{ours:?} {theirs:?}");
        assert_eq!(ours[6], theirs[6]);
    }
    let (eight, said_of_eight) = compiled(&desk, "eight", &["--int8"], &input);
    let alike = eight.iter().zip(&expected).filter(|(ours, theirs)| ours[6] == theirs[6]).count();
    assert!(alike * 100 >= expected.len() * 98, "{alike} of {}", expected.len());
    insta::assert_snapshot!(format!("{said}{said_of_eight}"));
}

#[test]
fn what_can_not_be_exported_is_refused() {
    let desk = Desk::new();
    let student = workspace().join("scenarios/paper/student.safetensors");
    let student = student.display().to_string();
    desk.write("text", "not a checkpoint");
    let mut errors = desk.offramp(&["export", "text", "--c", "out"]).err;
    errors += &desk.offramp(&["export", &student, "--c", "out", "--network", "50"]).err;
    errors += &desk.offramp(&["export", &student, "--c", "text"]).err;
    assert!(!desk.path().join("out").exists());
    let errors = errors.replace(&workspace().display().to_string(), "WORKSPACE");
    insta::assert_snapshot!(errors.split_whitespace().collect::<Vec<_>>().join(" "));
}
