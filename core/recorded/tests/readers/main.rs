//! Each reader on good files, and on each kind of bad one.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod positions;
mod rates;
mod tasks;
mod tracks;

use std::io::Write;
use std::path::{Path, PathBuf};

use offramp_recorded::{Columns, FileFault};

/// A folder that lasts as long as its test.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Writes a file, packed if its name ends in `.gz`.
    fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        let file = std::fs::File::create(&path).unwrap();
        if name.ends_with(".gz") {
            let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
            packed.write_all(contents.as_ref()).unwrap();
            packed.finish().unwrap();
        } else {
            (&file).write_all(contents.as_ref()).unwrap();
        }
        path
    }
}

/// Checks a part of what a fault says.
#[track_caller]
fn check_fault<T: std::fmt::Debug>(outcome: Result<T, FileFault>, expected: &str) {
    let fault = outcome.unwrap_err().to_string();
    assert!(fault.contains(expected), "{fault}\ninstead of\n{expected}");
}

/// A file of the examples.
fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/data").join(name)
}

/// Columns with our names and units.
fn plain() -> Columns {
    Columns::default()
}
