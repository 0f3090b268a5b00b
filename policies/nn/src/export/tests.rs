//! Exported networks: the C that a device would compile, against the network it came from.

use std::io::Write;
use std::process::{Command, Stdio};

use rand::Rng;

use super::*;
use crate::checkpoint_spec::Stage;
use crate::networks::{NetworkSpec, Sharing};
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

pub(super) fn request(format: &str, network: usize) -> Request<'_> {
    Request { format, network, name: "policy" }
}

/// Two networks with biases of their own, and the bytes of their checkpoint.
fn networks() -> (Scaling, Vec<Vec<f32>>, Vec<u8>) {
    let scales = (1..=SHAPE.features).map(|feature| 0.5 * feature as f64);
    let scaling = Scaling::new(scales, 12.0);
    let inputs = Inputs {
        observation: "Paper".to_owned(),
        features: ["a", "b", "c", "d", "e", "f", "g"].map(str::to_owned).to_vec(),
        scaling: scaling.clone(),
        history_slots: SHAPE.history_slots,
        servers: SHAPE.servers,
        devices: 2,
    };
    let spec = NetworkSpec::new("x", inputs, SHAPE.hidden, Sharing::PerDevice, "", "");
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
pub(super) fn printed(
    name: &str,
    main: &str,
    files: &[ExportedFile],
    rows: &[Vec<f32>],
) -> Vec<Vec<f32>> {
    let folder = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for ExportedFile { name, bytes, .. } in files {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    std::fs::write(folder.join("main.c"), main).unwrap();
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
    assert!(output.status.success(), "{}", output.status);
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
        let files = export("x", &checkpoint, &request(format, 1)).unwrap();
        let theirs = printed(&format!("offramp-exported-{format}"), MAIN, &files, &rows);
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
        let files = export("x", &checkpoint, &request(format.name, 0)).unwrap();
        let note = files.last().unwrap().note.as_str();
        assert_eq!((format.name, files.len(), note), expected);
    }
}

#[test]
fn what_cannot_be_exported_says_why() {
    let (_, _, checkpoint) = networks();
    let error = |bytes: &[u8], request| export("x", bytes, &request).unwrap_err().to_string();
    assert_eq!(
        error(&checkpoint, request("c", 2)),
        "has 2 networks (0 to 1); network 2 does not exist"
    );
    assert_eq!(
        error(&checkpoint, request("elf", 0)),
        "cannot be exported as `elf`; the formats are c, c-int8, onnx"
    );
    let long = "n".repeat(41);
    for name in ["", "1st", "../policy", "*/", &long] {
        let refused = error(&checkpoint, Request { format: "c", network: 0, name });
        assert!(refused.contains("a letter first"), "{refused}");
    }
    assert!(error(b"text", request("c", 0)).starts_with("the file is not a checkpoint"));
    assert_eq!(
        export("y", &checkpoint, &request("c", 0)).unwrap_err().to_string(),
        "cannot be exported: the file is a checkpoint of `x`, not of `y`"
    );
}

/// Whoever reads an exported network learns what it was trained on.
#[test]
fn every_export_states_its_origin() {
    let (_, _, checkpoint) = networks();
    let files = export("x", &checkpoint, &request("c", 1)).unwrap();
    let header = String::from_utf8(files[0].bytes.clone()).unwrap();
    for line in [
        "   The network of device 1 of 2, of a checkpoint of `x`.",
        "     7  g, 3.5",
        "#define POLICY_OBSERVATION \"Paper\"",
        "#define POLICY_FEATURE_NAMES \"a\", \"b\", \"c\", \"d\", \"e\", \"f\", \"g\"",
        "#define POLICY_HISTORY_SCALE 1.2e1f",
        "#define POLICY_DEVICE 1",
    ] {
        assert!(header.lines().any(|found| found == line), "{line} in {header}");
    }
    let read = Checkpoint::from_bytes(&checkpoint).unwrap();
    let origin: Origin = Origin::new(&read, &request("onnx", 1), 2).unwrap();
    for (key, value) in
        [("observation", "Paper"), ("network", "1"), ("feature_scales", "0.5,1,1.5,2,2.5,3,3.5")]
    {
        assert_eq!(origin.facts[key], value);
    }
}

/// Two networks in one program, in C and in C++; the sources compile as either.
#[test]
fn two_exported_networks_link_into_one_program() {
    let (_, _, checkpoint) = networks();
    let folder = std::env::temp_dir().join(format!("offramp-two-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (name, format, network) in [("near", "c", 0), ("far", "c-int8", 1)] {
        for file in export("x", &checkpoint, &Request { format, network, name }).unwrap() {
            std::fs::write(folder.join(file.name), file.bytes).unwrap();
        }
    }
    let main = "#include \"near.h\"\n#include \"far.h\"\nint main(void) {\n\
                float features[NEAR_FEATURES] = {0}, history[FAR_HISTORY_SLOTS * FAR_SERVERS] = {0};\n\
                return near_decide(features, history) + far_decide(features, history) > 6; }\n";
    std::fs::write(folder.join("main.c"), main).unwrap();
    std::fs::write(folder.join("main.cpp"), main).unwrap();
    let compile = |compiler: &str, arguments: &[&str]| {
        let built = Command::new(compiler)
            .current_dir(&folder)
            .args(["-Wall", "-Wextra", "-Werror", "-pedantic"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    };
    let (c, cpp) = ("-std=c99", "-std=c++11");
    compile("cc", &[c, "-o", "c", "main.c", "near.c", "far.c"]);
    compile("cc", &[c, "-c", "near.c", "far.c"]);
    compile("c++", &[cpp, "-o", "mixed", "main.cpp", "near.o", "far.o"]);
    compile("c++", &[cpp, "-o", "cpp", "-x", "c++", "main.cpp", "near.c", "far.c"]);
    for program in ["c", "mixed", "cpp"] {
        assert!(Command::new(folder.join(program)).status().unwrap().success(), "{program}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
