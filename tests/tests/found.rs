//! Fuzzing's findings and seeds, tried again: a reader returns an error or a value,
//! and neither panics nor takes all memory. `tests/fuzz` has the fuzzers.

use offramp_tests::{Sandbox, workspace};

#[path = "../fuzz/readers.rs"]
pub mod readers;

type Reader = fn(&[u8], &std::path::Path);

#[test]
fn what_fuzzing_found_does_no_harm() {
    let sandbox = Sandbox::new();
    let readers: [(&str, Reader); 5] = [
        ("scenario", readers::scenario),
        ("trace", readers::trace),
        ("checkpoint", readers::checkpoint),
        ("dataset", readers::dataset),
        ("manifest", readers::manifest),
    ];
    let mut tried = 0;
    for (name, read) in readers {
        let folder = workspace().join("tests/fuzz/found").join(name);
        for entry in std::fs::read_dir(folder).unwrap() {
            read(&std::fs::read(entry.unwrap().path()).unwrap(), sandbox.path());
            tried += 1;
        }
    }
    assert!(tried > 5, "{tried}");
}
