//! Arrivals: whether a task arrives at a device in a slot.

use crate::rng::{Stream, StreamFamily};

/// The process by which tasks arrive at a device, the same for all devices and independent between
/// them. At most one task arrives per device and slot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrivals {
    /// In each slot with the device's probability, independently.
    Bernoulli,
    /// A two-state Markov chain per device, in its stationary regime from slot 0 on: probable while
    /// on, rare while off. The device's own probability has no effect.
    Bursty {
        /// Probability that a device that is off is on in the next slot, above 0.
        p_on: f64,
        /// Probability that a device that is on is off in the next slot, above 0.
        p_off: f64,
        /// Probability that a task arrives in a slot while the device is on.
        probability_on: f64,
        /// Probability that a task arrives in a slot while the device is off.
        probability_off: f64,
    },
    /// The device's probability times 1 + amplitude·sin(2π·t/period).
    Daily {
        /// Slots after which it repeats, above 0.
        period_slots: f64,
        /// 0 … 1.
        amplitude: f64,
    },
}

impl Arrivals {
    /// What a probability is multiplied by in a slot.
    pub(crate) fn factor(&self, slot: u32) -> f64 {
        match *self {
            Self::Daily { period_slots, amplitude } => {
                1.0 + amplitude * (std::f64::consts::TAU * f64::from(slot) / period_slots).sin()
            }
            Self::Bernoulli | Self::Bursty { .. } => 1.0,
        }
    }
}

/// A two-state Markov chain of each entity, in its stationary regime from the slot on in which it begins. Whether an
/// entity changes its state in a slot is the draw of that slot in its stream.
#[derive(Clone, Debug)]
pub(crate) struct Switches {
    streams: StreamFamily,
    /// Probabilities that it is switched on while off, and off while on.
    p_on: f64,
    p_off: f64,
    on: Vec<bool>,
}

impl Switches {
    /// The chains of `count` entities in `slot`, in which they begin.
    pub(crate) fn new(
        streams: StreamFamily,
        count: usize,
        p_on: f64,
        p_off: f64,
        slot: u32,
    ) -> Self {
        let share = p_on / (p_on + p_off);
        let on = |entity| streams.of(entity).skip(u64::from(slot)).uniform() < share;
        Self { streams, p_on, p_off, on: (0..count as u64).map(on).collect() }
    }

    /// Advances all to `slot`; slots must follow each other.
    pub(crate) fn advance(&mut self, slot: u32) {
        for (entity, on) in (0..).zip(&mut self.on) {
            let mut stream: Stream = self.streams.of(entity).skip(u64::from(slot));
            let probability = if *on { self.p_off } else { self.p_on };
            if stream.uniform() < probability {
                *on = !*on;
            }
        }
    }

    /// The state of each entity.
    pub(crate) fn on(&self) -> &[bool] {
        &self.on
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;

    /// The share of slots that are on is p_on/(p_on + p_off), and a visit lasts 1/p_off slots.
    #[test]
    fn switches_are_stationary_from_the_start() {
        let (p_on, p_off, count) = (0.1, 0.3, 20_000);
        let streams = StreamFamily::new(3, 0, Purpose::BURSTS);
        let mut switches = Switches::new(streams, count, p_on, p_off, 0);
        let share = |switches: &Switches| {
            switches.on().iter().filter(|on| **on).count() as f64 / count as f64
        };
        let (mut ends, mut on_slots) = (0, 0);
        for slot in 1..40 {
            // Five standard deviations of a share of 1/4 among 20,000.
            assert!((share(&switches) - 0.25).abs() < 5.0 * (0.1875_f64 / count as f64).sqrt());
            let before = switches.on().to_vec();
            switches.advance(slot);
            on_slots += before.iter().filter(|on| **on).count();
            ends += before.iter().zip(switches.on()).filter(|(was, is)| **was && !**is).count();
        }
        let length = on_slots as f64 / ends as f64;
        assert!((length - 1.0 / p_off).abs() < 0.05, "{length}");
    }

    /// Over a whole period a sine changes nothing.
    #[test]
    fn a_day_has_its_peak_and_its_mean() {
        let daily = Arrivals::Daily { period_slots: 40.0, amplitude: 0.5 };
        let sum: f64 = (0..40).map(|slot| daily.factor(slot)).sum();
        assert!((sum - 40.0).abs() < 1e-12);
        assert!((daily.factor(10) - 1.5).abs() < 1e-12);
        assert_eq!(Arrivals::Bernoulli.factor(10), 1.0);
    }
}
