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
//! The limit is an indirect call that cannot be inlined, about 1 ns; abi_stable's trait objects,
//! the guard and the result add the rest.

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use offramp_host::plugin::testing::Bench;
use offramp_host::plugin::{Observation, UNDECIDED};
use offramp_host::{OfferKind, Registry};

#[inline(never)]
fn all_local(_: &Observation<'_>, actions: &mut [u32]) -> Result<(), String> {
    actions.fill(0);
    Ok(())
}

fn boundary(criterion: &mut Criterion) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/release");
    let registry = Registry::discover(&[], Some(&folder)).unwrap_or_default();
    let Ok(plugin) = registry.find(OfferKind::Policy, "all-local") else {
        eprintln!("no plugins in {}: run `cargo build --release` first", folder.display());
        return;
    };
    let bench = Bench::new(1, 1);
    let mut policy = match bench.context(|context| plugin.create_policy(context)) {
        Ok(policy) => policy,
        Err(failure) => {
            eprintln!("{failure}");
            return;
        }
    };
    let mut actions = [UNDECIDED];
    bench.observe(|observation| {
        criterion.bench_function("static call", |bencher| {
            bencher.iter(|| all_local(black_box(observation), black_box(&mut actions)));
        });
        criterion.bench_function("through the boundary", |bencher| {
            bencher.iter(|| policy.decide(black_box(observation), black_box(&mut actions)));
        });
    });
}

criterion_group!(benches, boundary);
criterion_main!(benches);
