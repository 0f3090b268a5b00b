//! Memory does not grow with the number of episodes: not while they run, and not when they are read,
//! merged, reported or converted.

use std::path::Path;

use offramp_columns::{Column, GROUP_ROWS, Kind, Value, Writer};
use offramp_harness::batch::Batch;
use offramp_harness::bind::bind_evaluation;
use offramp_harness::events::Quiet;
use offramp_harness::executor::InProcess;
use offramp_harness::resume::Start;
use offramp_host::Registry;
use offramp_results::tasks::TaskFormat;
use offramp_results::{merge, run_folder};
use offramp_scenario::Experiment;
use offramp_tests::{CountingAllocator, built};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

/// Most bytes at a time of a batch of `episodes` episodes of one slot, and of reading it and
/// merging it.
fn peaks(registry: &Registry, episodes: u64) -> [u64; 3] {
    let text = format!(
        "(name: \"x\", system: (devices: 1, servers: 1, slots: 1),
            policies: [(plugin: \"all-local\")], evaluate: (episodes: {episodes}))"
    );
    let experiment = Experiment::parse("x", text, Path::new(""), &[]).unwrap();
    let experiments = [experiment.try_map(|point| bind_evaluation(point, registry)).unwrap()];
    let parent = tempfile::tempdir().unwrap();
    let part = parent.path().join("part");
    let batch = || {
        let shard = Some("1/1".parse().unwrap());
        let attempt = Batch::new(&experiments, shard).open(&part, Start::New).unwrap();
        attempt.run(&InProcess, &Quiet).unwrap();
    };
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let ran = ALLOCATOR.peak_bytes(|| one_thread.install(batch));
    let read = ALLOCATOR.peak_bytes(|| {
        assert_eq!(run_folder::read(&part).unwrap()[0].summary.episodes(), episodes);
    });
    let merged = ALLOCATOR.peak_bytes(|| {
        merge::merge(std::slice::from_ref(&part), &parent.path().join("merged")).unwrap();
    });
    [ran, read, merged]
}

/// Most bytes at a time of a Parquet file with so many row groups.
fn peak_of_columns(groups: usize) -> u64 {
    ALLOCATOR.peak_bytes(|| {
        let columns = [("policy", Kind::Text), ("qoe", Kind::Number), ("delays", Kind::Counts)];
        let columns = columns.map(|(name, kind)| Column::new(name, kind));
        let mut table = Writer::new(std::io::sink(), columns.into()).unwrap();
        for row in 0..groups * GROUP_ROWS {
            let (policy, number) = (["all-local", "random"][row % 2], row as f64);
            let cells = [Value::Text(policy), Value::Number(number), Value::Counts(&[7; 3])];
            table.row(cells).unwrap();
        }
        table.finish().unwrap();
    })
}

/// Most bytes at a time of a batch of so many episodes of 400 tasks that keeps each of them.
fn peak_of_tasks(registry: &Registry, episodes: u64, format: TaskFormat) -> u64 {
    let text = format!(
        "(name: \"x\", system: (devices: 40, servers: 2, slots: 10),
            tasks: (arrival_probability: 1.0),
            policies: [(plugin: \"round-robin\")], evaluate: (episodes: {episodes}))"
    );
    let experiment = Experiment::parse("x", text, Path::new(""), &[]).unwrap();
    let experiments = [experiment.try_map(|point| bind_evaluation(point, registry)).unwrap()];
    let parent = tempfile::tempdir().unwrap();
    let out = parent.path().join("out");
    let batch = || {
        let batch = Batch::new(&experiments, None).with_tasks(Some(format));
        batch.open(&out, Start::New).unwrap().run(&InProcess, &Quiet).unwrap();
    };
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let peak = ALLOCATOR.peak_bytes(|| one_thread.install(batch));
    if format == TaskFormat::Csv {
        let rows = std::fs::read_to_string(out.join("tasks.csv")).unwrap();
        assert_eq!(rows.lines().count() as u64, 1 + 400 * episodes);
    }
    peak
}

/// The only test of this file: the allocator is the process's.
#[test]
fn memory_does_not_grow_with_episodes() {
    let registry = Registry::discover(&[], Some(built())).unwrap();
    peaks(&registry, 1);
    let (few, many) = (peaks(&registry, 1_000), peaks(&registry, 10_000));
    for ((few, many), what) in few.into_iter().zip(many).zip(["run", "read", "merge"]) {
        // All episodes would be more than 3 MB.
        assert!(many < few + 64_000, "{what}: {few} bytes for 1,000 episodes, {many} for 10,000");
    }
    for format in TaskFormat::ALL {
        // Row groups of Parquet have 65,536 rows.
        let [few, many] = [400, 1_600].map(|episodes| peak_of_tasks(&registry, episodes, format));
        let what = format.file();
        // All rows would be more than 100 MB.
        assert!(many < few + 500_000, "{what}: {few} bytes for 160,000 tasks, {many} for 640,000");
    }
    let (few, many) = (peak_of_columns(2), peak_of_columns(12));
    // A row group is more than 2 MB.
    assert!(many < few + 64_000, "{few} bytes for 2 row groups, {many} for 12");
}
