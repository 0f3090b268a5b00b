//! Speed of the network: `cargo bench -p offramp-nn`.
//!
//! Measured on one of two hyperthreads of one core of an AMD EPYC (AVX2 and fused multiply-add
//! used; Rust 1.95, release profile). `peak` is a loop of independent fused multiply-adds in
//! registers: what the processor does at best on one thread.
//!
//! | what | measured | limit or target |
//! |---|---|---|
//! | peak, one thread | 117 GFLOP/s | |
//! | one decision, H = 20 | 1.96 µs | target 6 µs |
//! | one decision, H = 8 | 1.07 µs | target 2 µs |
//! | batch of 50, networks per device, H = 20, each | 1.99 µs, 21 GFLOP/s | target 3 µs; 18 % of peak |
//! | batch of 50, networks per device, H = 8, each | 0.57 µs, 15 GFLOP/s | target 1 µs; 13 % of peak |
//! | batch of 50, one shared network and history, H = 20, each | 0.12 µs | |
//! | actions of 50 rows from their values, each | 4 ns, 2 of them the check that all are finite | |
//!
//! The two rows of networks per device are what a slot of the paper's system asks for: the
//! student decides 3.5 times as fast as the teacher. Exported as C (`offramp export --as c`, `cc
//! -O3 -march=native`, gcc 12) the student takes 0.65 to 0.84 µs, 1.1 to 1.5 times that; without
//! `-march=native`, which leaves it the vector instructions of 2003, 2.7 µs.
//!
//! Learning, on one core of a later EPYC that has AVX-512 (peak 270 GFLOP/s): an update of D3QN (32
//! rows, H = 20) is a forward pass of 64 rows (s and s', 20.4 µs), one of 32 (the target network,
//! 10.5 µs) and a backward pass of 32 (21.5 µs): 129 GFLOP/s, 48 % of the peak, where a backward
//! pass counts two forward passes.
//!
//! A network over servers of 2,475 parameters (D = 12, T = 7, S = 3, K = 10, L = 8, E = 24, H = 16), on
//! one hyperthread of an AMD EPYC with AVX2 that others used too: the fastest of 100 samples of
//! criterion, with a peak of 103 GFLOP/s in its fastest. The median was up to five times that.
//!
//! | what | measured | target |
//! |---|---|---|
//! | one decision, M = 5 | 2.4 µs | 2 µs |
//! | a slot of 50 rows, M = 5, each | 0.28 µs | 0.2 µs |
//! | a slot of 50 rows, M = 20, each | 1.13 µs | |
//! | forward of 64 rows in 64 slots, M = 5 | 143 µs | |
//! | backward of 32 rows in 32 slots, M = 5 | 178 µs | |

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use offramp_nn::set::{SetBatch, SetDecider, SetShape, SetWorkspace};
use offramp_nn::{
    Decider, Histories, Initial, Row, Shape, Workspace, argmax, best_action, initial_parameters,
};
use pulp::{Simd, WithSimd};
use rand::{Rng, SeedableRng};
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

/// Two units of a latency of four need eight chains.
const CHAINS: usize = 12;

impl WithSimd for Peak {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let (factor, one) = (simd.splat_f32s(black_box(0.999)), simd.splat_f32s(1.0));
        let mut sums = [one; CHAINS];
        for _ in 0..black_box(self.rounds) {
            for sum in &mut sums {
                *sum = simd.mul_add_f32s(*sum, factor, one);
            }
        }
        sums.into_iter().map(|sum| simd.reduce_sum_f32s(sum)).sum()
    }
}

/// Numbers in a vector of the processor at hand.
struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES
    }
}

fn benches(criterion: &mut Criterion) {
    let rounds = 100_000;
    let lanes = pulp::Arch::new().dispatch(Lanes);
    let mut group = criterion.benchmark_group("peak");
    group.throughput(Throughput::Elements((2 * rounds * CHAINS * lanes) as u64));
    group.bench_function("fused multiply-adds", |bencher| {
        bencher.iter(|| pulp::Arch::new().dispatch(Peak { rounds }));
    });
    group.finish();

    for hidden in [20, 8] {
        let shape = shape(hidden);
        let history = vec![0.3_f32; 50];
        let mut decider = Decider::new(shape);
        let mut values = vec![0.0_f32; 50 * 6];
        let networks: Vec<_> = (0..50).map(|device| network(&shape, device)).collect();
        let features = vec![0.4_f32; 50 * 9];
        let mut group = criterion.benchmark_group(format!("decide, H = {hidden}"));
        group.bench_function("one", |bencher| {
            bencher.iter(|| {
                decider.decide_shared(&networks[0], &features[..9], &history, &mut values[..6]);
                values[0]
            });
        });
        group.throughput(Throughput::Elements(50));
        group.bench_function("50, networks per device", |bencher| {
            bencher.iter(|| {
                let row = |row: usize| Row {
                    parameters: &networks[row],
                    features: &features[row * 9..(row + 1) * 9],
                    history: &history,
                };
                decider.decide(50, row, &mut values);
                values[0]
            });
        });
        group.bench_function("50, one network", |bencher| {
            bencher.iter(|| {
                decider.decide_shared(&networks[0], &features, &history, &mut values);
                values[0]
            });
        });
        group.bench_function("actions of 50", |bencher| {
            bencher.iter(|| {
                let rows = (0..).zip(values.chunks_exact(6));
                rows.filter_map(|(device, row)| best_action(row, device, 0).ok()).sum::<u32>()
            });
        });
        group.bench_function("actions of 50, unchecked", |bencher| {
            bencher.iter(|| values.chunks_exact(6).map(argmax).sum::<usize>());
        });
        group.finish();
    }

    set_benches(criterion);

    for hidden in [20, 8] {
        let shape = shape(hidden);
        let (rows, parameters) = (32, network(&shape, 1));
        let features = vec![0.4_f32; 2 * rows * 9];
        let histories = vec![0.3_f32; 2 * rows * 50];
        let d_values = vec![0.01_f32; rows * 6];
        let mut gradient = vec![0.0_f32; parameters.len()];
        let (mut workspace, mut target) = (Workspace::new(shape), Workspace::new(shape));
        let mut group = criterion.benchmark_group(format!("learn, H = {hidden}"));
        group.throughput(Throughput::Elements((5 * rows * shape.forward_operations()) as u64));
        group.bench_function("update of 32 rows", |bencher| {
            bencher.iter(|| {
                let (features_of, histories_of) = (&features[..rows * 9], &histories[..rows * 50]);
                target.forward(&parameters, features_of, Histories::Each(histories_of));
                workspace.forward(&parameters, &features, Histories::Each(&histories));
                gradient.fill(0.0);
                workspace.backward(&parameters, &d_values, &mut gradient);
                gradient[0]
            });
        });
        group.throughput(Throughput::Elements((2 * rows * shape.forward_operations()) as u64));
        group.bench_function("forward of 64 rows", |bencher| {
            bencher.iter(|| {
                workspace.forward(&parameters, &features, Histories::Each(&histories));
            });
        });
        workspace.forward(&parameters, &features, Histories::Each(&histories));
        group.bench_function("backward of 32 rows", |bencher| {
            bencher.iter(|| {
                workspace.backward(&parameters, &d_values, &mut gradient);
            });
        });
        group.finish();
    }
}

/// A slot of `rows` rows with `servers` servers, `copies` times.
struct Slots {
    servers: Vec<u32>,
    slot_of: Vec<u32>,
    loads: Vec<f32>,
    server_features: Vec<f32>,
    device_features: Vec<f32>,
    link_features: Vec<f32>,
}

impl Slots {
    fn new(shape: &SetShape, servers: usize, rows: usize, copies: usize) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut numbers = |count: usize| -> Vec<f32> {
            (0..count * copies).map(|_| rng.random_range(-1.0..1.0)).collect()
        };
        Self {
            servers: vec![servers as u32; copies],
            slot_of: (0..copies as u32).flat_map(|slot| vec![slot; rows]).collect(),
            loads: numbers(servers * shape.history_slots),
            server_features: numbers(servers * shape.server_features),
            device_features: numbers(rows * shape.device_features),
            link_features: numbers(rows * servers * shape.link_features),
        }
    }

    fn batch(&self) -> SetBatch<'_, f32> {
        SetBatch {
            servers: &self.servers,
            slot_of: &self.slot_of,
            loads: &self.loads,
            server_features: &self.server_features,
            device_features: &self.device_features,
            link_features: &self.link_features,
        }
    }
}

fn set_benches(criterion: &mut Criterion) {
    let shape = SetShape {
        device_features: 12,
        link_features: 7,
        server_features: 3,
        history_slots: 10,
        lstm: 8,
        embedding: 24,
        hidden: 16,
    };
    let parameters: Vec<f32> =
        shape.initial(Initial::Glorot, &mut Xoshiro256PlusPlus::seed_from_u64(1));
    let mut decider = SetDecider::new(shape);
    let mut group = criterion.benchmark_group("decide over servers");
    for (servers, rows) in [(5, 1), (5, 50), (20, 1), (20, 50), (1, 1)] {
        let slots = Slots::new(&shape, servers, rows, 1);
        let mut values = vec![0.0; rows * (1 + servers)];
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_function(format!("M = {servers}, {rows} rows"), |bencher| {
            bencher.iter(|| {
                decider.decide(&parameters, &slots.batch(), &mut values);
                values[0]
            });
        });
    }
    group.finish();

    // Rows of replay: each has a slot of its own, and s' comes after s.
    let (rows, servers) = (32, 5);
    let slots = Slots::new(&shape, servers, 1, 2 * rows);
    let d_values = vec![0.01; rows * (1 + servers)];
    let mut gradient = vec![0.0; parameters.len()];
    let mut workspace = SetWorkspace::new(shape);
    let mut group = criterion.benchmark_group("learn over servers");
    group.throughput(Throughput::Elements((2 * rows * shape.forward_operations(servers)) as u64));
    group.bench_function("forward of 64 rows", |bencher| {
        bencher.iter(|| workspace.forward(&parameters, &slots.batch())[0]);
    });
    workspace.forward(&parameters, &slots.batch());
    group.bench_function("backward of 32 rows", |bencher| {
        bencher.iter(|| workspace.backward(&parameters, &d_values, &mut gradient));
    });
    group.finish();
}

criterion_group!(network_benches, benches);
criterion_main!(network_benches);
