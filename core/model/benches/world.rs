//! Speed of the moving world: `cargo bench -p offramp-model --bench world`.
//!
//! Nanoseconds on one core (AMD EPYC, one of two cores of a shared machine; Rust 1.95, release
//! profile), the least of repeated batches of 1,000; the means that criterion reports are up to
//! three times as long while others use the machine.
//!
//! | per device-slot | 1,000 devices | 1,000,000 devices |
//! |---|---|---|
//! | random waypoint | 1.0 | 2.1 |
//! | Gauss–Markov | 19 | 21 |
//! | Manhattan | 1.6 | 2.8 |
//! | recorded | 2.0 | |
//! | fading (J₀ and its logarithm) | 23 | |
//!
//! | one link, with its share of the fading above | cold | warm |
//! |---|---|---|
//! | free space, no fading or shadowing | 44 | 33 |
//! | UMi, no fading | 292 | 66 |
//! | UMi, Rayleigh, slot by slot | 549 | 184 |
//! | UMi, Rician, slot by slot | 541 | 185 |
//! | UMi, Rayleigh, averaged | 335 | 90 |
//! | UMi, Rician, averaged | 290 | 60 |
//! | UMa, Rayleigh, slot by slot | 548 | 185 |
//!
//! Cold is a new [`LinkMemory`] per link, warm that of the slot before, at 1.5 m/s in slots of
//! 10 ms (averaged: 100 ms). Nearly all of it is the process: 92 cold; warm 7 in the same cell,
//! 27, 69, 79 and 94 for clocks that move by 0.01, 0.1, 0.3 and 1. A normal number takes 7, J₀ 16,
//! e^x·E₁(x) 30.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use offramp_model::Distribution;
use offramp_model::rng::{Purpose, StreamFamily};
use offramp_model::world::fading::{Fade, FadeClocks, Fading, doppler_turns};
use offramp_model::world::mobility::{
    Area, GaussMarkov, Manhattan, Mobility, Motion, Placement, Position, RandomWaypoint, Sample,
    Tracks,
};
use offramp_model::world::radio::{
    Channel, Link, LinkMemory, PathLoss, Radio, RadioParameters, Whereabouts,
};
use offramp_model::world::special::{bessel_j0, exponential_integral_scaled, next_normal};
use offramp_model::world::{Nearby, Process};

const AREA: Area = Area { width_m: 1299.0, height_m: 750.0 };
const SLOT: f64 = 0.1;

fn special(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("special");
    let mut stream = StreamFamily::new(1, 0, Purpose::DEVICE).of(0);
    group.bench_function("normal", |bencher| bencher.iter(|| next_normal(&mut stream)));
    group.bench_function("j0", |bencher| bencher.iter(|| bessel_j0(6.0 * stream.uniform())));
    group.bench_function("fade", |bencher| {
        bencher.iter(|| Fade::at_start(0.0).after(stream.uniform()))
    });
    group.bench_function("e1", |bencher| {
        bencher.iter(|| exponential_integral_scaled(2.0 * stream.uniform()))
    });
}

fn process(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("process");
    let process = Process::new(StreamFamily::new(1, 0, Purpose::SHADOWING_LOS));
    let mut clock = 0.0;
    group.bench_function("cold", |bencher| {
        bencher.iter(|| {
            clock += 0.01;
            process.at(1, black_box(clock))
        })
    });
    for (name, step) in [("warm, steps of 0.01", 0.01), ("warm, steps of 0.3", 0.3)] {
        let mut nearby = Nearby::default();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                clock += step;
                process.near(&mut nearby, 1, black_box(clock))
            })
        });
    }
}

fn models() -> [(&'static str, Mobility); 5] {
    let tracks: Vec<_> = (0..1_000)
        .flat_map(|device| {
            (0..2_000).map(move |second| {
                let place = Position { x_m: 0.6 * f64::from(second), y_m: 0.1 };
                Sample { time_s: f64::from(second), device, place }
            })
        })
        .collect();
    let Ok(tracks) = Tracks::new(&tracks) else { unreachable!("times differ") };
    let speed_mps = (1.0, 20.0);
    let pause_slots = Distribution::Uniform(0.0, 100.0);
    [
        ("static", Mobility::Static(Placement::Uniform)),
        ("random waypoint", Mobility::RandomWaypoint(RandomWaypoint { speed_mps, pause_slots })),
        (
            "gauss-markov",
            Mobility::GaussMarkov(GaussMarkov { mean_speed_mps: 3.0, memory: 0.9, sigma_mps: 1.0 }),
        ),
        ("manhattan", Mobility::Manhattan(Manhattan::default())),
        ("recorded", Mobility::Recorded(Arc::new(tracks))),
    ]
}

fn mobility(criterion: &mut Criterion) {
    for devices in [1_000, 1_000_000] {
        let mut group = criterion.benchmark_group(format!("advance {devices} devices"));
        group.throughput(Throughput::Elements(u64::from(devices)));
        group.sample_size(10);
        for (name, mobility) in models() {
            let Ok(mut motion) = Motion::new(&mobility, AREA, devices, SLOT, 1, 0) else {
                unreachable!("the parameters are valid")
            };
            group.bench_function(name, |bencher| bencher.iter(|| motion.advance()));
        }
    }
}

/// Rates of 1,000 devices to one station over 10 slots each, at walking pace in slots of 10 ms, so
/// that fading is drawn slot by slot.
fn rates(criterion: &mut Criterion) {
    const DEVICES: u32 = 1_000;
    let mut group = criterion.benchmark_group("rate");
    group.throughput(Throughput::Elements(u64::from(DEVICES)));
    for (name, path_loss, fading, slot_seconds) in [
        ("umi, no fading", PathLoss::Umi, Fading::None, 0.01),
        ("umi, rayleigh", PathLoss::Umi, Fading::Rayleigh, 0.01),
        ("umi, rician", PathLoss::Umi, Fading::Rician { k_db: 6.0 }, 0.01),
        ("umi, rayleigh, averaged", PathLoss::Umi, Fading::Rayleigh, 0.1),
        ("umi, rician, averaged", PathLoss::Umi, Fading::Rician { k_db: 6.0 }, 0.1),
        ("uma, rayleigh", PathLoss::Uma, Fading::Rayleigh, 0.01),
    ] {
        let parameters = RadioParameters { fading, ..RadioParameters::new(path_loss) };
        let Ok(radio) = Radio::new(parameters) else { unreachable!("the parameters are valid") };
        let channel = Channel::new(&Arc::new(radio), 1, 0);
        let speed = 1.5;
        let turns = doppler_turns(speed, 3.5, slot_seconds);
        let mut memories = vec![LinkMemory::default(); DEVICES as usize];
        let mut clocks = FadeClocks::new((0..DEVICES).map(|_| turns));
        let mut travelled_m = 0.0;
        let mut slot = |memories: Option<&mut [LinkMemory]>| {
            travelled_m += speed * slot_seconds;
            let at = |device: u32, fade: Fade| Whereabouts {
                distance_m: 20.0 + f64::from(device % 200),
                travelled_m,
                fade,
            };
            let sum = |rate: f64, link: Link| rate + link.rate_mbps;
            for device in 0..DEVICES {
                clocks.advance(device, turns);
            }
            match memories {
                Some(memories) => (0..).zip(memories).fold(0.0, |rate, (device, memory)| {
                    sum(rate, channel.link(memory, device, 0, at(device, clocks.fade(device))))
                }),
                None => (0..DEVICES).fold(0.0, |rate, device| {
                    let at = at(device, clocks.fade(device));
                    sum(rate, channel.link(&mut LinkMemory::default(), device, 0, at))
                }),
            }
        };
        group.bench_function(format!("{name}, cold"), |bencher| bencher.iter(|| slot(None)));
        group.bench_function(format!("{name}, warm"), |bencher| {
            bencher.iter(|| slot(Some(&mut memories)))
        });
    }
}

criterion_group!(benches, special, process, mobility, rates);
criterion_main!(benches);
