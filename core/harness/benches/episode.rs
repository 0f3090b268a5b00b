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
use offramp_harness::evaluate::evaluate;
use offramp_harness::scenario::{Experiment, Overrides, Purpose};
use offramp_host::Registry;

const EPISODES: u64 = 100;

fn episodes(criterion: &mut Criterion) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/release");
    let registry = Registry::discover(&[], Some(&folder)).unwrap_or_default();
    let text = "(name: \"bench\", policies: [(plugin: \"random\")])".to_owned();
    let overrides = Overrides { episodes: Some(EPISODES), ..Overrides::default() };
    let experiment = match Experiment::parse(
        "bench",
        text,
        Path::new(""),
        &registry,
        Purpose::Evaluate,
        overrides,
    ) {
        Ok(experiment) => [experiment],
        Err(fault) => {
            eprintln!("{fault}: run `cargo build --release` first");
            return;
        }
    };
    let Ok(one_thread) = rayon::ThreadPoolBuilder::new().num_threads(1).build() else { return };
    let system = &experiment[0].points[0].system;
    let device_slots = u64::from(system.device_count()) * u64::from(system.slot_count());
    let mut group = criterion.benchmark_group("evaluate");
    group.throughput(Throughput::Elements(device_slots * EPISODES));
    group.bench_function("random", |bencher| {
        bencher.iter(|| one_thread.install(|| evaluate(&experiment, &|| ()).len()));
    });
    group.finish();
}

criterion_group!(benches, episodes);
criterion_main!(benches);
