//! The engine: which build computes results, and on what processor.

use offramp_results::provenance::Provenance;

/// The build id of everything that computes results: a hash of the sources of model, hindsight,
/// scenarios, harness and plugin host. What was computed by another one is not taken for its own.
pub const ENGINE: &str = env!("OFFRAMP_ENGINE");

/// The version of offramp and its engine, as `--version` prints it.
pub const VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (engine ", env!("OFFRAMP_ENGINE"), ")");

/// The version of offramp, its engine and the processor of this process.
pub fn provenance() -> Provenance {
    let commit = env!("OFFRAMP_COMMIT");
    Provenance {
        offramp: env!("CARGO_PKG_VERSION").to_owned(),
        engine: ENGINE.to_owned(),
        commit: (!commit.is_empty()).then(|| commit.to_owned()),
        processor: processor(),
    }
}

/// The processor: its architecture, its name if the system tells it, and the widest vectors that
/// networks use on it.
fn processor() -> String {
    let known = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = known.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let name = name.map_or("unknown", |(_, name)| name.trim());
    format!("{name} ({}{})", std::env::consts::ARCH, vectors())
}

#[cfg(target_arch = "x86_64")]
fn vectors() -> &'static str {
    let has_fma = is_x86_feature_detected!("fma");
    match () {
        () if is_x86_feature_detected!("avx512f") && has_fma => ", AVX-512",
        () if is_x86_feature_detected!("avx2") && has_fma => ", AVX2",
        () => "",
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn vectors() -> &'static str {
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_states_what_computes() {
        let here = provenance();
        assert!(here.engine.len() == 16 && here.engine.bytes().all(|c| c.is_ascii_hexdigit()));
        assert!(here.processor.contains(std::env::consts::ARCH), "{}", here.processor);
        assert!(here.commit.is_none_or(|commit| commit.len() >= 40));
    }
}
