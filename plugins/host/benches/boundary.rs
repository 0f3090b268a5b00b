//! Cost of the boundary: `cargo build --release && cargo bench -p offramp-host`.
//!
//! One `decide` for a single task, by the same policy: compiled into the benchmark and called
//! directly; and as a plugin, through abi_stable, the panic guard and the host's checks.
//!
//! | call | measured |
//! |---|---|
//! | static | 10.0 ns |
//! | through the boundary | 16.5 ns |
//!
//! The limit is an indirect call that can't be inlined, about 1 ns; abi_stable's trait objects,
//! the guard and the result add the rest.

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use offramp_host::plugin::{
    Context, EnergyAccounting, Observation, ObservationSpec, SystemSpec, UNDECIDED,
};
use offramp_host::{OfferKind, Registry};

#[inline(never)]
fn all_local(_: &Observation<'_>, actions: &mut [u32]) -> Result<(), String> {
    actions.fill(0);
    Ok(())
}

fn observation() -> Observation<'static> {
    Observation {
        slot: 0,
        devices: [0_u32].as_slice().into(),
        features: [].as_slice().into(),
        histories: [].as_slice().into(),
        history_of: [].as_slice().into(),
        knowledge: [].as_slice().into(),
        load: [].as_slice().into(),
        uplink_mbps: [].as_slice().into(),
    }
}

fn boundary(criterion: &mut Criterion) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/release");
    let registry = Registry::discover(&[], Some(&folder)).unwrap_or_default();
    let Ok(found) = registry.find(OfferKind::Policy, "all-local") else {
        eprintln!("no plugins in {}: run `cargo build --release` first", folder.display());
        return;
    };
    let one = [1.0_f64];
    let context = Context {
        parameters: "".into(),
        checkpoint: None.into(),
        scenario_sha256: "".into(),
        seed: 1,
        threads: 1,
        observation: ObservationSpec {
            features: [].as_slice().into(),
            history_slots: 1,
            history_scale: 1.0,
        },
        system: SystemSpec {
            slot_seconds: 0.1,
            deadline_slots: 10,
            arrival_slots: 100,
            device_ghz: one.as_slice().into(),
            compute_w: one.as_slice().into(),
            transmit_w: one.as_slice().into(),
            idle_w: one.as_slice().into(),
            server_ghz: one.as_slice().into(),
            energy: EnergyAccounting::Published,
            reference_energy: 1.0,
        },
    };
    let mut policy = match found.create_policy(&context) {
        Ok(policy) => policy,
        Err(failure) => {
            eprintln!("{failure}");
            return;
        }
    };
    let observation = observation();
    let mut actions = [UNDECIDED];
    criterion.bench_function("static call", |bencher| {
        bencher.iter(|| all_local(black_box(&observation), black_box(&mut actions)));
    });
    criterion.bench_function("through the boundary", |bencher| {
        bencher.iter(|| policy.decide(black_box(&observation), black_box(&mut actions)));
    });
}

criterion_group!(benches, boundary);
criterion_main!(benches);
