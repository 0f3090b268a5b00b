//! Event files for TensorBoard: read by a parser of this test's own, they say what the tables say,
//! once for each step, however often a training was interrupted.

use std::collections::BTreeMap;

use offramp_results::learning;
use offramp_tests::{Fields, Sandbox, example, plugin, quoted};

fn small_system(name: &str) -> Fields {
    Fields::scenario(name)
        .set("system.devices", 4)
        .set("system.servers", 2)
        .set("system.slots", 40)
        .set("tasks.arrival_probability", 0.4)
}

fn training() -> Fields {
    small_system("learning")
        .set("train.learner", plugin("linear"))
        .set("train.explorer", plugin("uniform"))
        .set("train.episodes", 40)
        .set("train.validate_every", 4)
        .set("train.validate_episodes", 3)
        .set("train.save_every", 7)
}

/// CRC-32C, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 }
        })
    })
}

fn masked(bytes: &[u8]) -> u32 {
    let crc = crc32c(bytes);
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// A field of a message: its number, and its number or bytes.
enum Part<'a> {
    Number(u64, u64),
    Bytes(u64, &'a [u8]),
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return value;
        }
    }
}

/// The fields of a message in the wire format of Protocol Buffers.
fn parts(mut bytes: &[u8]) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let size = match key & 7 {
            0 => {
                parts.push(Part::Number(key >> 3, varint(&mut bytes)));
                continue;
            }
            1 => 8,
            2 => varint(&mut bytes) as usize,
            5 => 4,
            kind => panic!("wire type {kind}"),
        };
        parts.push(Part::Bytes(key >> 3, &bytes[..size]));
        bytes = &bytes[size..];
    }
    parts
}

/// The steps and values of each tag in the event files of a folder, in the order of the files.
fn scalars(sandbox: &Sandbox, folder: &str) -> BTreeMap<String, Vec<(u64, f32)>> {
    let entries = std::fs::read_dir(sandbox.path().join(folder)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut scalars = BTreeMap::<String, Vec<(u64, f32)>>::new();
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        let (mut at, mut first) = (0, true);
        while at < bytes.len() {
            let length = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
            assert_eq!(u32_at(&bytes, at + 8), masked(&bytes[at..at + 8]));
            let data = &bytes[at + 12..at + 12 + length];
            assert_eq!(u32_at(&bytes, at + 12 + length), masked(data));
            at += 16 + length;
            let (mut time, mut step, mut version) = (0.0, 0, None);
            let mut values = Vec::new();
            for part in parts(data) {
                match part {
                    Part::Bytes(1, wall) => time = f64::from_le_bytes(wall.try_into().unwrap()),
                    Part::Number(2, number) => step = number,
                    Part::Bytes(3, text) => version = Some(text),
                    Part::Bytes(5, summary) => values = parts(summary),
                    _ => panic!("another field of an event"),
                }
            }
            assert!(time > 1.7e9, "{time}");
            assert_eq!(version, first.then_some(&b"brain.Event:2"[..]));
            first = false;
            for value in values {
                let Part::Bytes(1, value) = value else { panic!("another field of a summary") };
                let (mut tag, mut number) = (None, None);
                for part in parts(value) {
                    match part {
                        Part::Bytes(1, text) => tag = Some(String::from_utf8_lossy(text).into()),
                        Part::Bytes(2, single) => {
                            number = Some(f32::from_le_bytes(single.try_into().unwrap()));
                        }
                        _ => panic!("another field of a value"),
                    }
                }
                scalars.entry(tag.unwrap()).or_default().push((step, number.unwrap()));
            }
        }
    }
    scalars
}

/// The steps and values of a column, where it has one.
fn column<R>(
    rows: &[R],
    step: impl Fn(&R) -> u64,
    value: impl Fn(&R) -> Option<f64>,
) -> Vec<(u64, f32)> {
    rows.iter().filter_map(|row| Some((step(row), value(row)? as f32))).collect()
}

/// Checks that the event files of a training say what its tables say.
#[track_caller]
fn training_is_logged(sandbox: &Sandbox, out: &str) {
    let folder = sandbox.path().join(out);
    let rows = learning::training(&folder).unwrap();
    let timing = learning::timing(&folder).unwrap();
    let mut found = scalars(sandbox, &format!("{out}/tensorboard"));
    let mut is = |tag: &str, expected: Vec<(u64, f32)>| {
        assert_eq!(found.remove(tag).unwrap_or_default(), expected, "{tag}");
    };
    let mut of = |tag: &str, value: fn(&learning::TrainingRow) -> Option<f64>| {
        is(tag, column(&rows, |row| row.episode + 1, value));
    };
    of("train/qoe", |row| Some(row.qoe));
    of("train/delay_slots", |row| row.delay_slots);
    of("train/energy", |row| Some(row.energy));
    of("train/tasks", |row| Some(row.tasks as f64));
    of("train/dropped", |row| Some(row.dropped as f64));
    of("train/local_share", |row| row.local_share);
    of("train/loss", |row| Some(row.loss));
    of("train/exploration", |row| Some(row.exploration));
    of("train/action_share/0", |row| row.local_share);
    of("validation/qoe", |row| row.validation_qoe);
    of("validation/dropped", |row| row.validation_dropped);
    let seconds = |value: fn(&learning::TimingRow) -> Option<f64>| {
        column(&timing, |row| row.episode + 1, value)
    };
    is("train/seconds", seconds(|row| Some(row.seconds)));
    is("validation/seconds", seconds(|row| row.validation_seconds));
    // The servers' shares are the rest.
    let [one, two] = [1, 2].map(|server| found.remove(&format!("train/action_share/{server}")));
    for ((row, one), two) in rows.iter().zip(one.unwrap()).zip(two.unwrap()) {
        let sum = row.local_share.unwrap() as f32 + one.1 + two.1;
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
    }
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_training_is_logged_as_its_tables_have_it() {
    let sandbox = Sandbox::new();
    let linear = example("linear").display().to_string();
    sandbox.write("learning.ron", training().to_string());
    let train = ["train", "learning.ron", "--plugins", &linear];
    sandbox.succeed(&[&train[..], &["--out", "plain"]].concat());
    sandbox.succeed(&[&train[..], &["--tensorboard", "--out", "logged"]].concat());
    training_is_logged(&sandbox, "logged");
    // Nothing else differs, and without the option there is none.
    for file in ["training.csv", "final.safetensors", "state"] {
        let [plain, logged] =
            ["plain", "logged"].map(|out| sandbox.bytes(&format!("{out}/{file}")));
        assert_eq!(plain, logged, "{file}");
    }
    assert!(!sandbox.has("plain/tensorboard"));
    // Each point of a sweep has a folder of its own.
    let sweep = training().set("train.episodes", 8).set("sweep", "{\"train.seed\": [1, 2]}");
    sandbox.write("learning.ron", sweep.to_string());
    sandbox.succeed(&[&train[..], &["--tensorboard", "--out", "swept"]].concat());
    training_is_logged(&sandbox, "swept/point-000");
    training_is_logged(&sandbox, "swept/point-001");
}

#[test]
fn what_an_interrupted_training_did_twice_is_logged_once() {
    let sandbox = Sandbox::new();
    let linear = example("linear").display().to_string();
    let longer = training().set("train.episodes", 90).set("train.save_every", 15);
    sandbox.write("learning.ron", longer.to_string());
    let train = ["train", "learning.ron", "--tensorboard", "--plugins", &linear, "--resume"];
    let kills = sandbox.killed_until_done(&[&train[..], &["--out", "run"]].concat());
    assert!(kills > 0, "it was never killed");
    training_is_logged(&sandbox, "run");
}

#[test]
fn a_distillation_is_logged_as_its_table_has_it() {
    let sandbox = Sandbox::new();
    let linear = example("linear").display().to_string();
    sandbox.write("learning.ron", training().set("train.episodes", 4).to_string());
    sandbox.succeed(&["train", "learning.ron", "--plugins", &linear, "--out", "taught"]);
    let teacher = plugin("linear").set("checkpoint", quoted("taught/final.safetensors"));
    let distill = small_system("distilling")
        .set("distill.teacher", teacher)
        .set("distill.student", plugin("student").set("parameters.teacher_hidden", 4))
        .set("distill.states", 400)
        .set("distill.steps", 40)
        .set("distill.validate_every", 10)
        .set("distill.validate_episodes", 2);
    sandbox.write("distilling.ron", distill.to_string());
    let distill = ["distill", "distilling.ron", "--tensorboard", "--plugins", &linear];
    sandbox.succeed(&[&distill[..], &["--out", "run"]].concat());
    let rows = learning::distillation(&sandbox.path().join("run")).unwrap();
    assert_eq!(rows.len(), 4);
    let mut found = scalars(&sandbox, "run/tensorboard");
    let mut of = |tag: &str, value: fn(&learning::DistillationRow) -> Option<f64>| {
        let expected = column(&rows, |row| row.step, value);
        assert_eq!(found.remove(tag).unwrap_or_default(), expected, "{tag}");
    };
    of("train/states", |row| Some(row.states as f64));
    of("train/loss", |row| Some(row.loss));
    of("learner/gradient_norm", |row| row.gradient_norm);
    of("validation/loss", |row| row.validation_loss);
    of("validation/agreement", |row| Some(row.agreement));
    of("validation/qoe", |row| Some(row.validation_qoe));
    of("validation/dropped", |row| Some(row.validation_dropped));
    assert!(found.keys().all(|tag| tag.starts_with("learner/")), "{found:?}");
}

/// What is learned does not depend on the log, so it is complete where the log is not.
#[test]
fn a_log_that_can_not_be_written_is_a_failure() {
    let sandbox = Sandbox::new();
    let linear = example("linear").display().to_string();
    sandbox.write("learning.ron", training().set("train.episodes", 4).to_string());
    std::fs::create_dir(sandbox.path().join("run")).unwrap();
    sandbox.write("run/folder-of.txt", "a training\n");
    sandbox.write("run/tensorboard", "not a folder");
    let ran = sandbox.offramp(&[
        "train",
        "learning.ron",
        "--tensorboard",
        "--plugins",
        &linear,
        "--out",
        "run",
        "--resume",
    ]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.err.contains("failed: can't write results to run/tensorboard"), "{}", ran.err);
    assert_eq!(sandbox.read("run/training.csv").lines().count(), 5);
}
