//! A stationary Gaussian process that can be read anywhere: mean 0, variance 1, and correlation
//! e^(−|Δc|) between clocks that are Δc apart (Ornstein–Uhlenbeck).
//!
//! Shadowing (Gudmundson 1991), the line of sight (3GPP TR 38.901, 7.6.3) and fading (first-order
//! autoregression) are all this process; only the clock differs: metres travelled over a
//! correlation distance, or decorrelation since the start.
//!
//! The usual recursion x ← ρ·x + √(1 − ρ²)·w was rejected: its value depends on the clocks asked
//! for before, so a policy that looks at more stations would change the channel of another. Here a
//! value is a pure function of (family, entity, clock), built from coarse to fine:
//!
//! 1. **Anchors** at multiples of 16 are independent; exact would be a correlation of
//!    e^(−16) = 10⁻⁷.
//! 2. **Midpoints**, ten times over: between two points 2h apart the process at the middle is
//!    normal with mean (x₀ + x₁)·ρ/(1 + ρ²) and variance (1 − ρ²)/(1 + ρ²), ρ = e^(−h).
//! 3. **Cells**, the last intervals, are δ = 1/64 long. In a cell the process is its conditional
//!    mean plus √b(s) times one normal of the cell, b(s) = 2·sinh(s)·sinh(δ − s)/sinh(δ) being the
//!    conditional variance. So the variance is 1 everywhere, and the correlation is exact between
//!    clocks of different cells. Between two clocks of one cell it is too high, by at most
//!    δ/4 = 0.004 (at the quarters). Finer cells would cost one more normal per halving; with a
//!    correlation distance of 10 m, a cell is 16 cm.
//!
//! Every normal is the draw of the entity's stream at a position that names its point, so nothing
//! is stored. A [`Nearby`] caches the points around the last clock.

use super::special::next_normal;
use crate::rng::{Stream, StreamFamily};

/// Midpoints between two anchors and a cell.
const LEVELS: usize = 10;
/// Cells per unit of the clock: 2^LEVELS in the 16 units between anchors.
const CELLS_PER_UNIT: f64 = 64.0;
/// δ: length of a cell.
const CELL: f64 = 1.0 / CELLS_PER_UNIT;

/// By level, h = 8, 4, …, 1/64: weight ρ/(1 + ρ²) = 1/(2·cosh h) of each neighbour, and standard
/// deviation √((1 − ρ²)/(1 + ρ²)) = √tanh h.
const MIDPOINTS: [(f64, f64); LEVELS] = [
    (0.000_335_462_590_151_170_64, 0.999_999_887_464_831_6),
    (0.018_309_496_736_843_266, 0.999_664_593_620_814),
    (0.132_901_114_417_039_85, 0.981_849_061_758_382_9),
    (0.324_027_136_831_942_7, 0.872_693_620_897_829_7),
    (0.443_409_441_985_036_95, 0.679_791_995_583_950_5),
    (0.484_771_814_570_107_3, 0.494_892_576_630_231_07),
    (0.496_119_020_737_562_9, 0.352_637_209_851_138_95),
    (0.499_025_024_436_267_6, 0.249_837_440_643_936_54),
    (0.499_755_958_676_638_4, 0.176_747_931_942_728_14),
    (0.499_938_971_051_950_8, 0.124_994_914_130_171_17),
];

/// The processes of one purpose in one episode, one per entity, all independent.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    family: StreamFamily,
}

impl Process {
    /// The processes drawn from `family`.
    pub fn new(family: StreamFamily) -> Self {
        Self { family }
    }

    /// The value of an entity's process at `clock`, 0 … 10¹².
    pub fn at(&self, entity: u64, clock: f64) -> f64 {
        self.near(&mut Nearby::default(), entity, clock)
    }

    /// As [`Process::at`], bit-identical; faster if `nearby` was last used for the same entity at
    /// a clock near this one.
    #[inline]
    pub fn near(&self, nearby: &mut Nearby, entity: u64, clock: f64) -> f64 {
        debug_assert!((0.0..=1e12).contains(&clock), "a clock of {clock}");
        let cells = clock * CELLS_PER_UNIT;
        let cell = cells as u64;
        nearby.move_to(self.family, entity, cell);
        let s = (cells - cell as f64) * CELL;
        let (from_left, from_right) = (sinh(s), sinh(CELL - s));
        let mean = nearby.left * from_right + nearby.right * from_left;
        let deviation = (2.0 * INVERSE_SINH_CELL * from_left * from_right).sqrt();
        mean * INVERSE_SINH_CELL + deviation * nearby.bulge
    }
}

/// 1/sinh(δ).
const INVERSE_SINH_CELL: f64 = 1.0 / sinh(CELL);

/// sinh of a number of 0 … δ; relative error below 10⁻¹⁵.
#[inline(always)]
const fn sinh(x: f64) -> f64 {
    let square = x * x;
    x * (1.0 + square * (1.0 / 6.0 + square * (1.0 / 120.0 + square * (1.0 / 5_040.0))))
}

/// A cache of the points of one process around one cell: 150 bytes.
#[derive(Clone, Debug)]
pub struct Nearby {
    /// Whose points they are, and the cell they surround; `None` before the first use.
    owner: Option<(StreamFamily, u64)>,
    cell: u64,
    anchors: [f64; 2],
    /// The midpoints on the way from the anchors to the cell, coarse to fine.
    midpoints: [f64; LEVELS],
    /// The process at the ends of the cell.
    left: f64,
    right: f64,
    /// The normal of the cell.
    bulge: f64,
}

impl Default for Nearby {
    fn default() -> Self {
        let (anchors, midpoints) = ([0.0; 2], [0.0; LEVELS]);
        Self { owner: None, cell: 0, anchors, midpoints, left: 0.0, right: 0.0, bulge: 0.0 }
    }
}

impl Nearby {
    /// Makes these the points around `cell`, keeping those that it shares with the last one.
    #[inline]
    fn move_to(&mut self, family: StreamFamily, entity: u64, cell: u64) {
        let owner = Some((family, entity));
        if self.owner != owner {
            self.owner = owner;
            self.descend(family.of(entity), cell, None);
        } else if self.cell != cell {
            // A midpoint is shared if the two cells agree in all bits above its interval.
            let differing = (u64::BITS - (self.cell ^ cell).leading_zeros()) as usize;
            let shared = LEVELS.checked_sub(differing).map(|levels| levels + 1);
            self.descend(family.of(entity), cell, shared);
        }
    }

    /// The process at the ends of the interval around `cell` below the first `levels` midpoints. The
    /// left one is the last midpoint of which the cell is to the right, or the anchor.
    #[inline]
    fn ends(&self, cell: u64, levels: usize) -> (f64, f64) {
        // One bit per midpoint, the last one lowest: 1 where the cell is to its right.
        let sides = cell >> (LEVELS - levels);
        let last = |sides: u64, anchor: f64| {
            let above = sides.trailing_zeros() as usize;
            if above < levels { self.midpoints[levels - 1 - above] } else { anchor }
        };
        (last(sides, self.anchors[0]), last(!sides, self.anchors[1]))
    }

    /// The points around `cell`; the anchors and the first `shared` midpoints are known already.
    fn descend(&mut self, stream: Stream, cell: u64, shared: Option<usize>) {
        // Point `i`, at clock i·δ, has position 2i in the stream; cell `i` has 2i + 1.
        let normal = |position: u64| next_normal(&mut stream.skip(position));
        self.cell = cell;
        if shared.is_none() {
            let anchor = cell >> LEVELS;
            self.anchors = [anchor, anchor + 1].map(|anchor| normal(2 * (anchor << LEVELS)));
        }
        let known = shared.unwrap_or(0);
        let (mut left, mut right) = self.ends(cell, known);
        for (level, &(weight, deviation)) in MIDPOINTS.iter().enumerate().skip(known) {
            let half = 1 << (LEVELS - 1 - level);
            let point = (cell & !(2 * half - 1)) | half;
            let midpoint = weight * (left + right) + deviation * normal(2 * point);
            self.midpoints[level] = midpoint;
            if cell & half == 0 {
                right = midpoint;
            } else {
                left = midpoint;
            }
        }
        (self.left, self.right) = (left, right);
        self.bulge = normal(2 * cell + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;
    use crate::world::statistics::{assert_mean, mean};

    fn process() -> Process {
        Process::new(StreamFamily::new(3, 0, Purpose::SHADOWING_LOS))
    }

    /// Mean of `of(x(clock), x(clock + lag))` over entities, and its standard error.
    fn average(clock: f64, lag: f64, of: fn(f64, f64) -> f64) -> (f64, f64) {
        let process = process();
        mean((0..100_000).map(|entity| {
            let mut nearby = Nearby::default();
            let first = process.near(&mut nearby, entity, clock);
            of(first, process.near(&mut nearby, entity, clock + lag))
        }))
    }

    #[test]
    fn constants_are_those_of_the_bridge() {
        for (level, (weight, deviation)) in MIDPOINTS.into_iter().enumerate() {
            let rho = (-8.0 / f64::from(1 << level)).exp();
            assert!((weight - rho / (1.0 + rho * rho)).abs() < 1e-15);
            let variance = (1.0 - rho * rho) / (1.0 + rho * rho);
            assert!((deviation - variance.sqrt()).abs() < 1e-14);
        }
        for x in [0.0, 0.001, 0.01, CELL] {
            assert!((sinh(x) - x.sinh()).abs() <= 1e-15 * x);
        }
    }

    #[test]
    fn mean_is_0_and_variance_1_at_any_clock() {
        // An anchor, midpoints, and places in cells.
        for clock in [0.0, 8.0, 3.0 + CELL, 3.0 + 0.5 * CELL, 5.0 + 0.9 * CELL, 1e6 + 0.2 * CELL] {
            let moment = |of: fn(f64, f64) -> f64| average(clock, 0.0, of);
            assert_mean(&format!("mean at {clock}"), moment(|x, _| x), 0.0);
            assert_mean(&format!("variance at {clock}"), moment(|x, _| x * x), 1.0);
            assert_mean(&format!("kurtosis at {clock}"), moment(|x, _| x.powi(4)), 3.0);
        }
    }

    #[test]
    fn correlation_is_exponential() {
        // From an anchor, across one, across a coarse midpoint, from inside a cell.
        for clock in [0.0, 15.9, 7.99, 2.3 + 0.4 * CELL] {
            for lag in [0.02, 0.1, 0.5, 1.0, 2.0, 4.0, 20.0] {
                let what = format!("correlation {lag} after {clock}");
                assert_mean(&what, average(clock, lag, |x, y| x * y), f64::exp(-lag));
            }
        }
    }

    /// The increments are far more precise than the correlation: their variance is 2·(1 − e^(−lag)).
    #[test]
    fn increments_have_their_variance() {
        let variance = |clock, lag| average(clock, lag, |x, y| (y - x) * (y - x));
        for lag in [CELL, 4.0 * CELL, 0.3] {
            let wanted = 2.0 * (1.0 - f64::exp(-lag));
            assert_mean(&format!("increment {lag}"), variance(2.0 + 0.5 * CELL, lag), wanted);
        }
        // Within a cell, from quarter to quarter: the stated error, δ/4 of correlation.
        let wanted = 2.0 * (1.0 - f64::exp(-0.5 * CELL)) - 2.0 * CELL / 4.0;
        let (measured, error) = variance(2.0 + 0.25 * CELL, 0.5 * CELL);
        assert_mean("increment in a cell", (measured, error + 2.5e-5), wanted);
    }

    #[test]
    fn nearby_changes_nothing() {
        let process = process();
        let other = Process::new(StreamFamily::new(3, 0, Purpose::SHADOWING_NLOS));
        let mut nearby = Nearby::default();
        let mut stream = StreamFamily::new(1, 0, Purpose::DEVICE).of(0);
        let mut clock = 100.0;
        for step in 0..20_000 {
            // Small and large steps, back and forth, and other entities and families between.
            let size = [1e-4, 0.01, 0.3, 5.0, 40.0][stream.below(5)];
            clock = (clock + size * (2.0 * stream.uniform() - 1.0)).abs();
            let entity = u64::from(step % 50 == 0);
            let of = if step % 70 == 0 { &other } else { &process };
            let value = of.near(&mut nearby, entity, clock);
            assert_eq!(value.to_bits(), of.at(entity, clock).to_bits(), "step {step}");
        }
    }

    #[test]
    fn paths_are_continuous() {
        let process = process();
        for cell in 0..3_000 {
            let clock = f64::from(cell) * CELL;
            let (before, after) = (process.at(1, clock - 1e-13 * clock), process.at(1, clock));
            assert!((before - after).abs() < 1e-4, "{clock}: {before}, {after}");
        }
    }

    /// The values are part of every result.
    #[test]
    fn values_are_pinned() {
        let values = [0.0, 0.3, 17.25, 12_345.678].map(|clock| process().at(7, clock));
        let pinned =
            [0.7605584670233432, -0.08368070888494279, -1.0151943107671526, 0.6025074990737117];
        // The last bit of the logarithm in the tail of the quantile depends on the machine.
        for (value, pinned) in values.into_iter().zip(pinned) {
            assert!((value - pinned).abs() < 1e-12, "{value} for {pinned}");
        }
    }
}
