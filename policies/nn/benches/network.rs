//! Speed of the network: `cargo bench -p offramp-nn`.
//!
//! Measured on one of two hyperthreads of one core of an AMD EPYC (AVX2 and fused multiply-add
//! used; Rust 1.95, release profile). `peak` is a loop of independent fused multiply-adds in
//! registers: what the processor does at best on one thread.
//!
//! | what | measured | limit or target |
//! |---|---|---|
//! | peak, one thread | M_PEAK GFLOP/s | |
//! | one decision, H = 20 | M_ONE20 µs | target 6 µs |
//! | one decision, H = 8 | M_ONE8 µs | target 2 µs |
//! | batch of 50, networks per device, H = 20, each | M_PD20 µs | target 3 µs |
//! | batch of 50, networks per device, H = 8, each | M_PD8 µs | target 1 µs |
//! | batch of 50, one shared network and history, H = 20, each | M_SH20 µs | |
//! | update of D3QN (32 rows, H = 20): 3 forward passes, 1 backward | M_UPDATE µs, M_GFLOPS GFLOP/s | M_SHARE % of peak |
//!
//! Operations of an update: a backward pass counts two forward passes.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use offramp_nn::{Histories, Initial, Shape, Workspace, initial_parameters};
use pulp::NullaryFnOnce;
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

fn shape(hidden: usize) -> Shape {
    Shape { features: 9, servers: 5, history_slots: 10, hidden }
}

fn network(shape: &Shape, seed: u64) -> Vec<f32> {
    initial_parameters(shape, Initial::Glorot, &mut Xoshiro256PlusPlus::seed_from_u64(seed))
}

/// Independent chains of fused multiply-adds that stay in registers.
struct Peak {
    rounds: usize,
}

const CHAINS: usize = 10;
const LANES: usize = 8;

impl NullaryFnOnce for Peak {
    type Output = f32;

    #[inline(always)]
    fn call(self) -> f32 {
        let mut sums = [[0.0_f32; LANES]; CHAINS];
        let factor = std::hint::black_box(0.999_f32);
        for _ in 0..self.rounds {
            for chain in &mut sums {
                for sum in chain {
                    *sum = sum.mul_add(factor, 1.0);
                }
            }
        }
        sums.iter().flatten().sum()
    }
}

fn benches(criterion: &mut Criterion) {
    let rounds = 100_000;
    let mut group = criterion.benchmark_group("peak");
    group.throughput(Throughput::Elements((2 * rounds * CHAINS * LANES) as u64));
    group.bench_function("fused multiply-adds", |bencher| {
        bencher.iter(|| pulp::Arch::new().dispatch(Peak { rounds }));
    });
    group.finish();

    for hidden in [20, 8] {
        let shape = shape(hidden);
        let history = vec![0.3_f32; 50];
        let mut workspace = Workspace::new(shape);
        let networks: Vec<_> = (0..50).map(|device| network(&shape, device)).collect();
        let features = vec![0.4_f32; 50 * 9];
        let mut group = criterion.benchmark_group(format!("decide, H = {hidden}"));
        group.bench_function("one", |bencher| {
            bencher.iter(|| {
                workspace.forward(&networks[0], &features[..9], Histories::Shared(&history))[0]
            });
        });
        group.throughput(Throughput::Elements(50));
        group.bench_function("50, networks per device", |bencher| {
            bencher.iter(|| {
                let rows = networks.iter().zip(features.chunks_exact(9));
                rows.map(|(network, features)| {
                    workspace.forward(network, features, Histories::Shared(&history))[0]
                })
                .sum::<f32>()
            });
        });
        group.bench_function("50, one network", |bencher| {
            bencher.iter(|| {
                workspace.forward(&networks[0], &features, Histories::Shared(&history))[0]
            });
        });
        group.finish();
    }

    let shape = shape(20);
    let (rows, parameters) = (32, network(&shape, 1));
    let features = vec![0.4_f32; rows * 9];
    let histories = vec![0.3_f32; rows * 50];
    let d_values = vec![0.01_f32; rows * 6];
    let mut gradient = vec![0.0_f32; parameters.len()];
    let mut workspace = Workspace::new(shape);
    let mut group = criterion.benchmark_group("learn");
    group.throughput(Throughput::Elements((5 * rows * shape.forward_operations()) as u64));
    group.bench_function("update of 32 rows", |bencher| {
        bencher.iter(|| {
            for _ in 0..3 {
                workspace.forward(&parameters, &features, Histories::Each(&histories));
            }
            gradient.fill(0.0);
            workspace.backward(&parameters, &d_values, &mut gradient);
            gradient[0]
        });
    });
    group.finish();
}

criterion_group!(network_benches, benches);
criterion_main!(network_benches);
