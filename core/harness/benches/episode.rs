//! Speed of an evaluation episode with a real plugin, all of it (creation of the policy,
//! workload, boundary, engine, metrics): `cargo build --release && cargo bench -p
//! offramp-harness`.
//!
//! Device-slots per second on one core, paper scenario, `random` (reads nothing of the
//! observation). The published Python environment does about 9,000 on the same machine; a
//! device-slot moves a few dozen bytes, so the limit is near 100 million.
//!
//! | what | measured |
//! |---|---|
//! | `random` | 23.9 million/s |

use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use offramp_harness::bind::bind_evaluation;
use offramp_harness::evaluate::{Discard, evaluate, prepare};
use offramp_harness::events::Quiet;
use offramp_harness::executor::InProcess;
use offramp_host::Registry;
use offramp_scenario::Experiment;

const EPISODES: u64 = 100;

fn episodes(criterion: &mut Criterion) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/release");
    let registry = Registry::discover(&[], Some(&folder)).unwrap_or_default();
    let text = format!(
        "(name: \"bench\", policies: [(plugin: \"random\")], evaluate: (episodes: {EPISODES}))"
    );
    let parsed = Experiment::parse("bench", text, Path::new(""), &[]);
    let bind = |scenario| bind_evaluation(scenario, &registry);
    let experiment = match parsed.and_then(|experiment| experiment.try_map(bind)) {
        Ok(experiment) => [experiment],
        Err(fault) => {
            eprintln!("{fault}: run `cargo build --release` first");
            return;
        }
    };
    let Ok(one_thread) = rayon::ThreadPoolBuilder::new().num_threads(1).build() else { return };
    let planned = match prepare(&experiment, &InProcess) {
        Ok(planned) => planned,
        Err(unfit) => {
            eprintln!("{unfit}");
            return;
        }
    };
    let system = &experiment[0].points[0].scenario.system;
    let device_slots = u64::from(system.device_count()) * u64::from(system.slot_count());
    let mut group = criterion.benchmark_group("evaluate");
    group.throughput(Throughput::Elements(device_slots * EPISODES));
    group.bench_function("random", |bencher| {
        bencher.iter(|| {
            one_thread
                .install(|| evaluate(&planned, &InProcess, &Discard, &Quiet).map(|runs| runs.len()))
        });
    });
    group.finish();
}

criterion_group!(benches, episodes);
criterion_main!(benches);
