//! Random streams: each network of a policy has its own, and so has each step of a training.
//!
//! A policy is given one seed. A stream that is seeded anew for each step leaves no state of a
//! generator to be saved: a resumed training draws what an uninterrupted one would have drawn.

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

/// The seed of stream `index` of `seed`; stream 0 has the seed itself.
pub fn stream_seed(seed: u64, index: u64) -> u64 {
    seed ^ index.wrapping_mul(0xd6e8_feb8_6659_fd93)
}

/// Stream `index` of `seed`: one per network, for its initial weights.
pub fn stream(seed: u64, index: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(stream_seed(seed, index))
}

/// The stream of step `step` of a training: one per update of a network, for its batch.
pub fn step_stream(seed: u64, step: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed ^ step.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    #[test]
    fn streams_differ_by_index_and_step() {
        let first = |mut rng: Xoshiro256PlusPlus| rng.random::<u64>();
        let all = [stream(7, 0), stream(7, 1), stream(8, 0), step_stream(7, 1)].map(first);
        for (number, draw) in all.iter().enumerate() {
            assert!(!all[..number].contains(draw));
        }
        assert_eq!(first(stream(7, 0)), first(Xoshiro256PlusPlus::seed_from_u64(7)));
    }
}
