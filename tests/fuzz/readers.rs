//! Everything that reads a file which someone else may have made, for the fuzzers and for the
//! test that tries again what they found.

use std::path::Path;

use offramp_harness::dataset::Dataset;
use offramp_host::Library;
use offramp_results::{checkpoint, run_folder};
use offramp_scenario::Experiment;
use offramp_study::{Size, Study};
use offramp_trace::Trace;

fn parse(text: &str) -> Option<Experiment> {
    Experiment::parse("fuzz", text.to_owned(), Path::new("."), &[]).ok()
}

/// A scenario, and the same text as a study.
pub fn scenario(data: &[u8], desk: &Path) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = parse(text);
    }
    let _ = Study::read(&written(data, desk), Size::Full);
}

/// A recorded trace, packed or not.
pub fn trace(data: &[u8], desk: &Path) {
    let _ = Trace::read(&written(data, desk));
}

/// A checkpoint: looked into, exported, and as each policy takes it.
pub fn checkpoint(data: &[u8], desk: &Path) {
    let _ = checkpoint::read(&written(data, desk));
    for format in offramp_nn::export::FORMAT_NAMES {
        let request = offramp_nn::export::Request { format, network: 0, name: "policy" };
        let _ = offramp_nn::export::export("student", data, &request);
    }
    let _ = offramp_nn::checkpoint::Checkpoint::from_bytes(data);
}

/// The dataset of a distillation.
pub fn dataset(data: &[u8], desk: &Path) {
    let experiment = parse("(name: \"fuzz\", system: (devices: 2, servers: 2))");
    if let Some(scenario) = experiment.as_ref().and_then(|experiment| experiment.points.first()) {
        let _ = Dataset::read(&written(data, desk), "key", scenario);
    }
}

/// The files that describe a plugin or a run: a library's file before it is loaded, and a run folder,
/// whose files stand behind each other with two zeros between.
pub fn manifest(data: &[u8], desk: &Path) {
    let _ = Library::check(data);
    let mut rest = data;
    for file in ["run.json", "episodes.csv", "power-modes.csv", "delays.csv", "timing.csv"] {
        let end = rest.windows(2).position(|pair| pair == [0, 0]).unwrap_or(rest.len());
        let _ = std::fs::write(desk.join(file), &rest[..end]);
        rest = rest.get(end + 2..).unwrap_or_default();
    }
    let _ = run_folder::read(desk);
}

fn written(data: &[u8], desk: &Path) -> std::path::PathBuf {
    let file = desk.join("file");
    let _ = std::fs::write(&file, data);
    file
}
