//! Speed of the engine alone, without a policy: `cargo bench -p offramp-model`.
//!
//! Device-slots per second on one core (AMD EPYC, one of two cores of a shared machine; Rust
//! 1.95, release profile).
//!
//! The limit: per device-slot the engine reads and writes one FIFO of the CPU and one of the
//! uplink (40 bytes each) and one parameter set of the device (40 bytes), and draws one random
//! number; in the paper's scenario all of it stays in the first-level cache. `memory` measures
//! what the machine copies from and to main memory, which bounds the large scenario: there
//! every visit to a flow (64 bytes) or a task (56 bytes) is a cache miss of its own, so latency
//! and not bandwidth is the bound.
//!
//! | what | measured | limit |
//! |---|---|---|
//! | paper, 50 devices | 28.6 million/s | about 100 million/s (a few dozen bytes each) |
//! | 100,000 devices, 100 servers | 5.1 million/s | |
//! | copy of 256 MiB | 23.8 GB/s | |

use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use offramp_model::rng::{Purpose, StreamFamily};
use offramp_model::{Episode, ObservationKind, ObservationSpec, System, Workload};

/// The decisions' own randomness: not the physics', so the number is ours.
const DECISIONS: Purpose = Purpose::new(6);

/// An episode under uniformly random decisions, drawn as cheaply as can be.
fn episode(system: &Arc<System>, number: u64) -> usize {
    let observation = ObservationSpec { kind: ObservationKind::Paper, history_slots: 10 };
    let workload = Workload::Drawn { seed: 1, episode: number };
    let mut episode = Episode::new(system, workload, observation);
    let mut stream = StreamFamily::new(1, number, DECISIONS).of(0);
    let actions = system.server_count() as usize + 1;
    let (mut decided, mut ended) = (Vec::new(), 0);
    while !episode.is_over() {
        decided.clear();
        decided.extend(episode.arrivals().iter().map(|_| stream.below(actions) as u32));
        if episode.advance(&decided).is_err() {
            unreachable!("actions are below M + 1");
        }
        ended += episode.ended().len();
    }
    ended
}

fn engine(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("engine");
    for (name, devices, servers, samples) in
        [("paper", 50, 5, 100), ("100,000 devices", 100_000, 100, 10)]
    {
        let system = Arc::new(System::paper(devices, servers));
        let device_slots = u64::from(system.device_count()) * u64::from(system.slot_count());
        group.throughput(Throughput::Elements(device_slots)).sample_size(samples);
        let mut number = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                number += 1;
                episode(&system, number)
            });
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("memory");
    let from = vec![1_u8; 256 << 20];
    let mut to = vec![0_u8; 256 << 20];
    // Read once, written once.
    group.throughput(Throughput::Bytes(2 * from.len() as u64)).sample_size(10);
    group.bench_function("copy", |bencher| bencher.iter(|| to.copy_from_slice(&from)));
    group.finish();
}

criterion_group!(benches, engine);
criterion_main!(benches);
