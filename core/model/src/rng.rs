//! Random streams: every draw is a pure function of (seed, episode, purpose, entity, position).
//!
//! Two policies that run with the same seed face bit-identical tasks, whatever they decide and
//! on any number of threads (common random numbers). A shared generator would let one policy's
//! decisions shift the draws of the next task, so there is none: a [`Stream`] is SplitMix64
//! (Steele, Lea and Flood 2014) started at a hash of who draws and for which [`Purpose`], and
//! position `n` can be read without drawing the `n − 1` before it. Nothing is stored per device,
//! and a higher arrival probability keeps every task of a lower one.

/// 2⁶⁴ divided by the golden ratio, the increment of SplitMix64.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of SplitMix64: a bijection of 64 bits in which each input bit moves each
/// output bit with probability one half.
#[inline]
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The purpose of a draw. Streams of different purposes are independent.
///
/// This crate owns the purposes of the physics, numbers 1 to 5 and 100 to 199. Other crates define
/// their own constants with other numbers from 6 on; no two constants anywhere may share a number.
/// The numbers are part of every result: never renumber, only append.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Purpose(u64);

impl Purpose {
    /// The arrival of a task, its size and its density: three draws per device and slot.
    pub const ARRIVALS: Self = Self(1);
    /// The power preference α of a device.
    pub const POWER_MODE: Self = Self(2);
    /// A quantity of a device that the scenario describes by a distribution.
    pub const DEVICE: Self = Self(3);
    /// A quantity of a server that the scenario describes by a distribution.
    pub const SERVER: Self = Self(4);
    /// The uplink rate R of a pair of device and server.
    pub const UPLINK: Self = Self(5);

    /// The place and the movement of a device.
    pub const MOBILITY: Self = Self(100);
    /// The line of sight of a pair of device and station.
    pub const LINE_OF_SIGHT: Self = Self(101);
    /// The shadowing of a pair of device and station in line of sight.
    pub const SHADOWING_LOS: Self = Self(102);
    /// The shadowing of a pair of device and station out of line of sight.
    pub const SHADOWING_NLOS: Self = Self(103);
    /// The real part of the fading gain of a pair of device and station.
    pub const FADING_REAL: Self = Self(104);
    /// The imaginary part of the fading gain of a pair of device and station.
    pub const FADING_IMAGINARY: Self = Self(105);
    /// The class of a task.
    pub const TASK_CLASS: Self = Self(106);
    /// Whether a device with bursty arrivals is on.
    pub const BURSTS: Self = Self(107);
    /// Whether a server is up.
    pub const OUTAGES: Self = Self(108);
    /// The part of a recording that an episode plays.
    pub const WINDOW: Self = Self(109);
    /// The place of a station that the scenario draws.
    pub const STATIONS: Self = Self(110);

    /// The purpose with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// The episode number of draws that are made once for a whole run.
pub const WHOLE_RUN: u64 = u64::MAX;

/// All streams of one purpose in one episode; [`StreamFamily::of`] returns that of one entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamFamily {
    key: u64,
}

impl StreamFamily {
    /// The streams of `purpose` in `episode` under `seed`.
    pub fn new(seed: u64, episode: u64, purpose: Purpose) -> Self {
        let key = mix(seed.wrapping_add(GOLDEN));
        let key = mix(key ^ episode.wrapping_mul(GOLDEN).wrapping_add(GOLDEN));
        Self { key: mix(key ^ purpose.0.wrapping_mul(GOLDEN)) }
    }

    /// The stream of one entity: the index of a device, of a server or of a pair of them.
    #[inline]
    pub fn of(self, entity: u64) -> Stream {
        Stream { state: mix(self.key ^ entity.wrapping_mul(GOLDEN).wrapping_add(GOLDEN)) }
    }

    /// One number that stands for the family, such as the seed of a plugin.
    pub fn seed(self) -> u64 {
        self.key
    }
}

/// A sequence of random numbers, read in order or from any position.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    state: u64,
}

impl Stream {
    /// The same stream, advanced by `position` draws.
    #[inline]
    pub fn skip(self, position: u64) -> Self {
        Self { state: self.state.wrapping_add(position.wrapping_mul(GOLDEN)) }
    }

    /// The next 64 random bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// The next number uniform in [0, 1), with 53 random bits.
    #[inline]
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// As `self.uniform() < probability`, for the chance of that probability.
    #[inline]
    pub(crate) fn happens(&mut self, chance: Chance) -> bool {
        self.next_u64() >> 11 < chance.0
    }

    /// The next number uniform in 0 … `bound` − 1, by one multiplication; the bias is below
    /// `bound` · 2⁻⁶⁴.
    #[inline]
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next_u64()) * bound as u128) >> 64) as usize
    }
}

/// A probability as a bound on the 53 bits of a draw, so that a draw is compared as it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// The chance of an event of this probability, 0 … 1.
    pub(crate) fn new(probability: f64) -> Self {
        // Exact: a power of two changes the exponent alone.
        Self((probability * (1_u64 << 53) as f64).ceil() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_numbers_are_splitmix64() {
        // The published first outputs of SplitMix64 from state 0.
        let mut stream = Stream { state: 0 };
        assert_eq!(stream.next_u64(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(stream.next_u64(), 0x6e78_9e6a_a1b9_65f4);
    }

    /// The numbers and the hash are part of every stored result.
    #[test]
    fn streams_are_pinned() {
        let purposes = [
            Purpose::ARRIVALS,
            Purpose::POWER_MODE,
            Purpose::DEVICE,
            Purpose::SERVER,
            Purpose::UPLINK,
        ];
        assert_eq!(purposes.map(Purpose::number), [1, 2, 3, 4, 5]);
        let purposes = [
            Purpose::MOBILITY,
            Purpose::LINE_OF_SIGHT,
            Purpose::SHADOWING_LOS,
            Purpose::SHADOWING_NLOS,
            Purpose::FADING_REAL,
            Purpose::FADING_IMAGINARY,
            Purpose::TASK_CLASS,
            Purpose::BURSTS,
            Purpose::OUTAGES,
            Purpose::WINDOW,
            Purpose::STATIONS,
        ];
        let numbers = [100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110];
        assert_eq!(purposes.map(Purpose::number), numbers);
        assert_eq!(Purpose::new(5), Purpose::UPLINK);
        assert_eq!(StreamFamily::new(1, 2, Purpose::UPLINK).seed(), 0x690b_3691_9389_5259);
    }

    #[test]
    fn a_chance_is_met_as_its_probability_is() {
        let one = 1.0 / (1_u64 << 53) as f64;
        let edges = [0.0, f64::MIN_POSITIVE, one, 1.5 * one, 0.3, 0.5, 1.0 - one, 1.0];
        let mut stream = StreamFamily::new(1, 2, Purpose::ARRIVALS).of(3);
        let drawn = [stream.uniform(), stream.uniform(), stream.uniform()];
        for probability in drawn.into_iter().chain(edges) {
            let mut stream = StreamFamily::new(1, 2, Purpose::ARRIVALS).of(3);
            for _ in 0..3 {
                let expected = stream.clone().uniform() < probability;
                assert_eq!(stream.happens(Chance::new(probability)), expected, "{probability}");
            }
        }
        // Mixing nothing gives 0, the smallest draw.
        assert!(!Stream { state: 0_u64.wrapping_sub(GOLDEN) }.happens(Chance::new(0.0)));
        assert!(Stream { state: 0_u64.wrapping_sub(GOLDEN) }.happens(Chance::new(one)));
    }

    #[test]
    fn skipping_equals_drawing() {
        let stream = StreamFamily::new(1, 2, Purpose::ARRIVALS).of(3);
        let mut drawn = stream;
        for _ in 0..17 {
            drawn.next_u64();
        }
        assert_eq!(stream.skip(17).next_u64(), drawn.next_u64());
    }

    #[test]
    fn streams_differ_by_each_part_of_their_name() {
        let first = |seed, episode, purpose, entity| {
            StreamFamily::new(seed, episode, purpose).of(entity).next_u64()
        };
        let all = [
            first(1, 1, Purpose::ARRIVALS, 1),
            first(2, 1, Purpose::ARRIVALS, 1),
            first(1, 2, Purpose::ARRIVALS, 1),
            first(1, 1, Purpose::POWER_MODE, 1),
            first(1, 1, Purpose::ARRIVALS, 2),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| a != b));
        }
    }

    #[test]
    fn numbers_are_uniform_across_neighbouring_streams() {
        // The engine reads a few draws of many streams: it is those that must look uniform.
        let family = StreamFamily::new(7, 0, Purpose::ARRIVALS);
        let (mut sum, mut buckets) = (0.0, [0_u32; 6]);
        let n = 60_000_u64;
        for device in 0..n {
            let mut stream = family.of(device).skip(3 * 5);
            sum += stream.uniform();
            buckets[stream.below(6)] += 1;
        }
        // Standard error of the mean: 0.289 / √60000 = 0.0012; of a bucket: 91. Five of each.
        assert!((sum / n as f64 - 0.5).abs() < 0.006);
        assert!(buckets.iter().all(|&count| count.abs_diff(10_000) < 460), "{buckets:?}");
    }
}
