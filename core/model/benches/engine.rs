//! Speed of the engine alone, without a policy: `cargo bench -p offramp-model`.
//!
//! Device-slots per second on one core (AMD EPYC without AVX-512, one of two cores of a shared machine;
//! Rust 1.95, release profile), in millions:
//!
//! | what | measured |
//! |---|---|
//! | paper: 50 devices, 5 servers | 19.5 |
//! | 100,000 devices, 100 servers | 7.6 |
//! | 50 devices that move, a link to each station | 3.4 |
//! | 50 devices that move, serving stations with handover | 1.0 |
//! | 100,000 devices that move, a link to each station | 1.15 |
//!
//! In the paper's scenario everything stays in the first-level cache. A device-slot takes about 280
//! instructions and 1.8 mispredicted branches (`valgrind --tool=cachegrind --branch-sim=yes`); most of the
//! latter are what the model is about: whether a queue holds a task, and whether one ends in this
//! slot. With 100,000 devices each slot goes through the state once, shard by shard; a copy in main
//! memory (`memory`) runs at 21 GB/s here.

use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use offramp_model::rng::{Purpose, StreamFamily};
use offramp_model::world::mobility::RandomWaypoint;
use offramp_model::world::{
    Area, Association, Band, Handover, Mobility, PathLoss, Position, Radio, RadioParameters, World,
};
use offramp_model::{Distribution, Episode, ObservationSpec, System, SystemParameters, Workload};

/// The decisions' own randomness: not the physics', so the number is ours.
const DECISIONS: Purpose = Purpose::new(6);

/// An episode under uniformly random decisions, drawn as cheaply as can be.
fn episode(system: &Arc<System>, number: u64) -> usize {
    let observation = ObservationSpec::PAPER;
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

/// Devices that walk between stations on a grid, 50 of them per km², over a channel with shadowing and
/// fading.
fn moving(devices: usize, servers: usize, association: Association) -> SystemParameters {
    let side_m = 1000.0 * (devices as f64 / 50.0).sqrt();
    let columns = (servers as f64).sqrt().ceil() as usize;
    let step_m = side_m / columns as f64;
    let place = |at: usize| step_m * (at as f64 + 0.5);
    let station = |server| Position { x_m: place(server % columns), y_m: place(server / columns) };
    let Ok(radio) = Radio::new(RadioParameters::new(PathLoss::Umi)) else {
        unreachable!("the channel of a handset in a city")
    };
    let world = World {
        area: Area { width_m: side_m, height_m: side_m },
        stations: (0..servers).map(station).collect(),
        mobility: Mobility::RandomWaypoint(RandomWaypoint {
            speed_mps: (1.0, 2.0),
            pause_slots: Distribution::Constant(0.0),
        }),
        radio: Some(Arc::new(radio)),
        band: Band::PerDevice,
        association,
    };
    SystemParameters { world: Some(Arc::new(world)), ..SystemParameters::paper(devices, servers) }
}

fn engine(criterion: &mut Criterion) {
    let handover = Handover { hysteresis_db: 3.0, time_to_trigger_slots: 2, interruption_slots: 1 };
    let serving = Association::Serving(handover);
    let (few, many) = ((50, 5), (100_000, 100));
    let mut group = criterion.benchmark_group("engine");
    for (name, parameters, samples) in [
        ("paper", SystemParameters::paper(few.0, few.1), 100),
        ("100,000 devices", SystemParameters::paper(many.0, many.1), 10),
        ("moving", moving(few.0, few.1, Association::Direct), 100),
        ("moving, handover", moving(few.0, few.1, serving), 100),
        ("100,000 moving", moving(many.0, many.1, Association::Direct), 10),
    ] {
        let Ok(system) = System::new(parameters) else { unreachable!("the paper's, and a world") };
        let system = Arc::new(system);
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
