//! Exported networks: the C that a device would compile, against the network it came from.

use std::io::Write;
use std::process::{Command, Stdio};

use rand::Rng;

use super::*;
use crate::checkpoint_spec::{CheckpointSpec, Stage};
use crate::networks::NetworkSpec;
use crate::{Histories, Initial, Workspace, argmax, initial_parameters, stream};

const SHAPE: Shape = Shape { features: 7, servers: 3, history_slots: 4, hidden: 6 };

/// Reads features and histories, and prints the values and the decision.
const MAIN: &str = r#"
    #include <stdio.h>
    #include "policy.h"
    int main(void) {
        float features[POLICY_FEATURES], history[POLICY_HISTORY_SLOTS * POLICY_SERVERS];
        float values[POLICY_ACTIONS];
        for (;;) {
            for (int n = 0; n < POLICY_FEATURES; n++)
                if (scanf("%f", &features[n]) != 1) return 0;
            for (int n = 0; n < POLICY_HISTORY_SLOTS * POLICY_SERVERS; n++)
                if (scanf("%f", &history[n]) != 1) return 1;
            policy_values(features, history, values);
            for (int n = 0; n < POLICY_ACTIONS; n++) printf("%.9g ", values[n]);
            printf("%d\n", policy_decide(features, history));
        }
    }
"#;

/// Two networks with biases of their own, and the bytes of their checkpoint.
fn networks() -> (Scaling, Vec<Vec<f32>>, Vec<u8>) {
    let scales = (1..=SHAPE.features).map(|feature| 0.5 * feature as f64);
    let scaling = Scaling::new(scales, 12.0);
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let spec = NetworkSpec::new("x", SHAPE, 2, scaling.clone(), names, "");
    let initial = Initial::Normal { weights: 0.4, biases: 0.1 };
    let draw = |network| {
        let mut rng = stream(1, network);
        let mut parameters: Vec<f32> = initial_parameters(&SHAPE, initial, &mut rng);
        parameters.iter_mut().for_each(|parameter| *parameter += rng.random_range(-0.1..0.1));
        parameters
    };
    let parameters: Vec<Vec<f32>> = (0..2).map(draw).collect();
    let mut checkpoint = spec.describe(Stage::Deployed);
    spec.put(&mut checkpoint, "", parameters.iter().map(Vec::as_slice));
    (scaling, parameters, checkpoint.to_bytes().unwrap())
}

/// The values and decisions that the compiled files print for rows of features and history.
fn printed(name: &str, files: &[ExportedFile], rows: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let folder = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for ExportedFile { name, bytes, .. } in files {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    std::fs::write(folder.join("main.c"), MAIN).unwrap();
    let built = Command::new("cc")
        .current_dir(&folder)
        .args(["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-o", "main"])
        .args(["main.c", "policy.c"])
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let mut child = Command::new(folder.join("main"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let line =
        |row: &Vec<f32>| row.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ") + "\n";
    let input: String = rows.iter().map(line).collect();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let numbers = |line: &str| line.split(' ').map(|number| number.parse().unwrap()).collect();
    String::from_utf8(output.stdout).unwrap().lines().map(numbers).collect()
}

#[test]
fn exported_c_has_the_values_of_the_network() {
    let (scaling, parameters, checkpoint) = networks();
    let mut rng = stream(2, 0);
    let width = SHAPE.features + SHAPE.window();
    let rows: Vec<Vec<f32>> =
        (0..300).map(|_| (0..width).map(|_| rng.random_range(0.0..9.0)).collect()).collect();
    let mut workspace = Workspace::new(SHAPE);
    for (format, tolerance, alike) in [("c", 1e-5, 300), ("c-int8", 0.1, 270)] {
        let files = export(&checkpoint, format, 1).unwrap();
        let theirs = printed(&format!("offramp-exported-{format}"), &files, &rows);
        assert_eq!(theirs.len(), rows.len());
        let mut agreed = 0;
        for (row, theirs) in rows.iter().zip(theirs) {
            let (features, history) = row.split_at(SHAPE.features);
            let features: Vec<f32> =
                features.iter().zip(&scaling.features).map(|(x, scale)| x / scale).collect();
            let history: Vec<f32> = history.iter().map(|load| load / scaling.history).collect();
            let ours = workspace.forward(&parameters[1], &features, Histories::Shared(&history));
            let (values, decision) = theirs.split_at(SHAPE.actions());
            let close = ours.iter().zip(values).all(|(a, b)| (a - b).abs() < tolerance);
            assert!(close, "{format}: {ours:?} {values:?}");
            agreed += usize::from(decision[0] as usize == argmax(ours));
        }
        assert!(agreed >= alike, "{format}: {agreed}");
    }
}

#[test]
fn every_format_writes_files_with_a_note() {
    let (_, _, checkpoint) = networks();
    for (format, expected) in FORMATS.iter().zip([
        ("c", 2, "1636 bytes of constants (flash), 212 bytes of stack"),
        ("c-int8", 2, "720 bytes of constants (flash), 212 bytes of stack"),
        ("onnx", 1, "inputs features (N x F) and history (N x K x M), unscaled; output values"),
    ]) {
        let files = export(&checkpoint, format.name, 0).unwrap();
        let note = files.last().unwrap().note.as_str();
        assert_eq!((format.name, files.len(), note), expected);
    }
}

#[test]
fn what_cannot_be_exported_says_why() {
    let (_, _, checkpoint) = networks();
    let error = |bytes: &[u8], format, network| export(bytes, format, network).unwrap_err();
    assert_eq!(
        error(&checkpoint, "c", 2).to_string(),
        "has 2 networks (0 to 1); network 2 does not exist"
    );
    assert_eq!(
        error(&checkpoint, "elf", 0).to_string(),
        "cannot be exported as `elf`; the formats are c, c-int8, onnx"
    );
    assert!(matches!(error(b"text", "c", 0), ExportError::Unreadable(_)));
    let other = CheckpointSpec::new("tree").describe(Stage::Deployed);
    assert_eq!(
        error(&other.to_bytes().unwrap(), "c", 0).to_string(),
        "cannot be exported: architecture is missing, and LSTM, two dense layers, dueling head \
         is needed"
    );
}
