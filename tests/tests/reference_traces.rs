//! The engine against recorded runs of the published environment, and what `offramp replay`
//! says of files that are damaged or differ.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use offramp_tests::{Sandbox, offramp, workspace};
use offramp_trace::Trace;
use serde_json::{Value, json};

fn traces() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(workspace().join("tests/traces")).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "gz"))
        .collect();
    files.sort();
    files
}

fn unpacked(path: &Path) -> Value {
    let mut text = String::new();
    let file = std::fs::File::open(path).unwrap();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn tiny() -> Value {
    unpacked(&workspace().join("tests/traces/tiny-random.json.gz"))
}

#[test]
fn every_recorded_run_is_reproduced() {
    let files = traces();
    assert_eq!(files.len(), 6);
    for file in files {
        let replay = Trace::read(&file).unwrap().replay();
        assert!(replay.compared >= 16 * replay.tasks / 2, "{}", file.display());
        assert_eq!(replay.differing, 0, "{:#?}", replay.first_differences);
    }
}

#[test]
fn replay_check_prints_what_was_compared() {
    let files: Vec<_> = traces().iter().map(|file| file.display().to_string()).collect();
    let mut arguments = vec!["replay", "--check"];
    arguments.extend(files.iter().map(String::as_str));
    let ran = offramp(workspace(), &arguments);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    insta::assert_snapshot!(ran.out);
}

/// Rows and columns may come in any order, and what is not recorded is not compared.
#[test]
fn any_file_of_the_format_is_read() {
    let sandbox = Sandbox::new();
    let mut trace = tiny();
    let object = trace.as_object_mut().unwrap();
    for absent in ["published_observations", "published_load_seen_at_slot"] {
        object.remove(absent);
    }
    object["task_columns"].as_array_mut().unwrap().reverse();
    let rows = object["tasks"].as_array_mut().unwrap();
    rows.reverse();
    rows.iter_mut().for_each(|row| row.as_array_mut().unwrap().reverse());
    sandbox.write("reversed.json", trace.to_string());
    let ran = sandbox.offramp(&["replay", "--check", "reversed.json"]);
    insta::assert_snapshot!(ran.out, @r"
    tiny-random: 3 devices, 2 servers, 30 slots: 30 tasks, 2 dropped, AvgDelay 6.600, AvgEnergy 94.461, AvgQoE 271.424
      all 240 recorded values equal
    ");
    assert_eq!(ran.code, 0);
}

#[test]
fn differences_are_shown_and_fail_the_check() {
    let sandbox = Sandbox::new();
    let mut trace = tiny();
    trace["tasks"][3][5] = json!(9);
    trace["tasks"][4][7] = json!(1.5);
    trace["active_devices_after_slot"][2][1] = json!(7);
    trace["published_observations"][0][0] = json!(1.7714210001);
    sandbox.write("altered.json", trace.to_string());
    let ran = sandbox.offramp(&["replay", "--check", "altered.json"]);
    assert_eq!(ran.code, 1);
    insta::assert_snapshot!(ran.out);
    // Without --check nothing is compared, and nothing fails.
    assert_eq!(sandbox.offramp(&["replay", "altered.json"]).code, 0);
}

fn refused(name: &str, content: &[u8]) -> String {
    let sandbox = Sandbox::new();
    sandbox.write(name, content);
    let ran = sandbox.offramp(&["replay", "--check", name]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    ran.err
}

fn altered(alter: impl FnOnce(&mut Value)) -> String {
    let mut trace = tiny();
    alter(&mut trace);
    refused("trace.json", trace.to_string().as_bytes())
}

#[test]
fn a_truncated_trace_is_refused() {
    let packed = std::fs::read(workspace().join("tests/traces/tiny-random.json.gz")).unwrap();
    insta::assert_snapshot!("truncated_gz", refused("trace.json.gz", &packed[..packed.len() / 2]));
    insta::assert_snapshot!("not_gz", refused("trace.json.gz", b"{}"));
    let text = tiny().to_string();
    insta::assert_snapshot!("truncated_json", refused("trace.json", &text.as_bytes()[..500]));
    insta::assert_snapshot!("empty", refused("trace.json", b""));
}

#[test]
fn a_trace_that_contradicts_itself_is_refused() {
    let cases: [(&str, String); 9] = [
        ("action", altered(|trace| trace["tasks"][2][4] = json!(3))),
        ("slot", altered(|trace| trace["tasks"][2][0] = json!(20))),
        ("device", altered(|trace| trace["tasks"][2][1] = json!(1.5))),
        ("size", altered(|trace| trace["tasks"][2][2] = json!(-1))),
        ("twice", altered(|trace| trace["tasks"][1] = trace["tasks"][0].clone())),
        ("alpha", altered(|trace| trace["alpha"] = json!([0.5]))),
        ("column", altered(|trace| trace["task_columns"][2] = json!("size"))),
        ("rows", altered(|trace| trace["active_devices_after_slot"] = json!([[0, 0]]))),
        ("edges", altered(|trace| trace["edges"] = json!(4_000_000_000_u64))),
    ];
    let text: String = cases.iter().map(|(name, error)| format!("{name}: {error}\n")).collect();
    insta::assert_snapshot!(text);
}

#[test]
fn a_file_that_unpacks_to_too_much_is_refused() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let spaces = vec![b' '; 1 << 20];
    for _ in 0..1025 {
        packed.write_all(&spaces).unwrap();
    }
    insta::assert_snapshot!(refused("trace.json.gz", &packed.finish().unwrap()));
}
