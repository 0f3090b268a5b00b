//! Random waypoint: straight to a position drawn uniformly in the area, a pause, and on.

use super::{Area, Bodies, Position, check_speeds, check_step};
use crate::distribution::{Distribution, Range};
use crate::rng::Stream;
use crate::world::InvalidWorld;

/// The random waypoint model.
///
/// A simulation that starts every device on a fresh leg slows down for a long time, because slow
/// legs last longer. Here devices start in the stationary regime, sampled exactly (Le Boudec and
/// Vojnović 2005, "Perfect simulation and stationarity of a class of mobility models"): pausing with
/// probability equal to the share of time spent pausing; otherwise on a leg drawn in proportion to
/// its length, uniformly along it, at a speed with density proportional to 1/v.
#[derive(Clone, Debug, PartialEq)]
pub struct RandomWaypoint {
    /// Speed of a leg, m/s: uniform between the two, the lower one above 0. The time
    /// average while moving is (high − low)/ln(high/low).
    pub speed_mps: (f64, f64),
    /// Length of a pause, slots, 0 or more.
    pub pause_slots: Distribution,
}

impl RandomWaypoint {
    pub(super) fn check(&self, area: Area, slot_seconds: f64) -> Result<(), InvalidWorld> {
        check_speeds(self.speed_mps)?;
        check_step(self.speed_mps.1, slot_seconds, area.width_m.max(area.height_m))?;
        self.pause_slots
            .fault(&Range::NotNegative)
            .map_or(Ok(()), |fault| Err(InvalidWorld { parameter: "pause_slots", fault }))
    }

    /// Mean duration of a leg, seconds: E[distance] · E[1/v].
    fn mean_leg_seconds(&self, area: Area) -> f64 {
        let (low, high) = self.speed_mps;
        let inverse = if high > low { (high / low).ln() / (high - low) } else { 1.0 / low };
        mean_distance_m(area) * inverse
    }
}

/// Mean distance of two positions drawn uniformly in the area, metres (Ghosh 1951).
fn mean_distance_m(Area { width_m: a, height_m: b }: Area) -> f64 {
    let d = a.hypot(b);
    let (a2, b2) = (a * a, b * b);
    let cubes = a * a2 / b2 + b * b2 / a2 + d * (3.0 - a2 / b2 - b2 / a2);
    let logarithms = b2 / a * (d / b).acosh() + a2 / b * (d / a).acosh();
    cubes / 15.0 + logarithms / 6.0
}

/// A draw in proportion to its size: the pause met at a random time.
fn length_biased(distribution: &Distribution, stream: &mut Stream) -> f64 {
    match distribution {
        Distribution::Constant(value) => *value,
        // Density proportional to x between low and high.
        Distribution::Uniform(low, high) => {
            (low * low + (high * high - low * low) * stream.uniform()).sqrt()
        }
        Distribution::Choice(values) => {
            let mut rest = stream.uniform() * values.iter().sum::<f64>();
            let found = values.iter().find(|&&value| {
                rest -= value;
                rest < 0.0
            });
            *found.unwrap_or(&values[values.len() - 1])
        }
    }
}

fn mean(distribution: &Distribution) -> f64 {
    match distribution {
        Distribution::Constant(value) => *value,
        Distribution::Uniform(low, high) => 0.5 * (low + high),
        Distribution::Choice(values) => values.iter().sum::<f64>() / values.len() as f64,
    }
}

/// The legs of all devices, one entry each.
#[derive(Clone, Debug)]
pub(super) struct State {
    model: RandomWaypoint,
    /// End of the leg, or the place of the pause.
    target: Vec<Position>,
    /// Metres per slot to the east and to the north; 0 in a pause.
    step: Vec<(f64, f64)>,
    /// Slots until the end of the leg or pause.
    remaining: Vec<f64>,
    stream: Vec<Stream>,
}

impl State {
    pub(super) fn new(
        model: &RandomWaypoint,
        bodies: &mut Bodies,
        streams: impl ExactSizeIterator<Item = Stream>,
    ) -> Self {
        let devices = streams.len();
        let mut state = Self {
            model: model.clone(),
            target: vec![Position::default(); devices],
            step: vec![(0.0, 0.0); devices],
            remaining: vec![0.0; devices],
            stream: streams.collect(),
        };
        let pause = mean(&model.pause_slots) * bodies.slot_seconds;
        let pausing = pause / (pause + model.mean_leg_seconds(bodies.area));
        for device in 0..devices {
            state.start(bodies, device, pausing);
        }
        state
    }

    /// Puts a device into the stationary regime, in a pause with probability `pausing`.
    fn start(&mut self, bodies: &mut Bodies, device: usize, pausing: f64) {
        let area = bodies.area;
        let mut stream = self.stream[device];
        if stream.uniform() < pausing {
            let place = area.draw(&mut stream);
            bodies.place(device, place);
            self.target[device] = place;
            let pause = length_biased(&self.model.pause_slots, &mut stream);
            self.remaining[device] = pause * stream.uniform();
        } else {
            // Rejection: a leg is kept with probability length / diagonal.
            let (from, to) = loop {
                let (from, to) = (area.draw(&mut stream), area.draw(&mut stream));
                if stream.uniform() * area.diagonal_m() < from.distance_m(to) {
                    break (from, to);
                }
            };
            let done = stream.uniform();
            let place = Position {
                x_m: from.x_m + done * (to.x_m - from.x_m),
                y_m: from.y_m + done * (to.y_m - from.y_m),
            };
            bodies.place(device, place);
            let (low, high) = self.model.speed_mps;
            let speed = low * (high / low).powf(stream.uniform());
            self.go(bodies, device, to, speed);
        }
        self.stream[device] = stream;
    }

    /// Starts a leg from where the device is.
    fn go(&mut self, bodies: &mut Bodies, device: usize, to: Position, speed_mps: f64) {
        let from = Position { x_m: bodies.x_m[device], y_m: bodies.y_m[device] };
        let distance = from.distance_m(to);
        let slots = distance / (speed_mps * bodies.slot_seconds);
        self.target[device] = to;
        self.remaining[device] = slots;
        // A leg without length has no direction, and ends at once.
        let per_slot = if distance > 0.0 { 1.0 / slots } else { 0.0 };
        self.step[device] = ((to.x_m - from.x_m) * per_slot, (to.y_m - from.y_m) * per_slot);
        bodies.speed_mps[device] = speed_mps;
    }

    pub(super) fn advance(&mut self, bodies: &mut Bodies) {
        for device in 0..self.remaining.len() {
            if self.remaining[device] > 1.0 {
                self.remaining[device] -= 1.0;
                let (x, y) = self.step[device];
                bodies.x_m[device] += x;
                bodies.y_m[device] += y;
                bodies.travelled_m[device] += bodies.speed_mps[device] * bodies.slot_seconds;
            } else {
                self.end_legs(bodies, device);
            }
        }
    }

    /// A slot in which a leg or pause ends, and the next ones begin.
    fn end_legs(&mut self, bodies: &mut Bodies, device: usize) {
        let mut rest = 1.0;
        while self.remaining[device] <= rest {
            let spent = self.remaining[device];
            rest -= spent;
            let moved = bodies.speed_mps[device] > 0.0;
            bodies.travelled_m[device] += bodies.speed_mps[device] * bodies.slot_seconds * spent;
            bodies.place(device, self.target[device]);
            let stream = &mut self.stream[device];
            let pause = if moved { self.model.pause_slots.draw(stream) } else { 0.0 };
            if pause > 0.0 {
                self.remaining[device] = pause;
                self.step[device] = (0.0, 0.0);
                bodies.speed_mps[device] = 0.0;
            } else {
                let to = bodies.area.draw(stream);
                let (low, high) = self.model.speed_mps;
                let speed = low + (high - low) * stream.uniform();
                self.go(bodies, device, to, speed);
            }
        }
        self.remaining[device] -= rest;
        let (x, y) = self.step[device];
        bodies.x_m[device] += x * rest;
        bodies.y_m[device] += y * rest;
        bodies.travelled_m[device] += bodies.speed_mps[device] * bodies.slot_seconds * rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, StreamFamily};

    #[test]
    fn mean_distance_is_that_of_two_uniform_places() {
        let square = Area { width_m: 1.0, height_m: 1.0 };
        assert!((mean_distance_m(square) - 0.521_405_433_164_721).abs() < 1e-12);
        let area = Area { width_m: 300.0, height_m: 100.0 };
        let mut stream = StreamFamily::new(1, 0, Purpose::MOBILITY).of(0);
        let n = 100_000;
        let sum: f64 =
            (0..n).map(|_| area.draw(&mut stream).distance_m(area.draw(&mut stream))).sum();
        // Standard deviation of the distance is about 70 m: four standard errors are 0.9 m.
        assert!((sum / f64::from(n) - mean_distance_m(area)).abs() < 0.9);
    }

    #[test]
    fn length_biased_draws_have_their_mean() {
        let mut stream = StreamFamily::new(1, 0, Purpose::MOBILITY).of(1);
        // E[L²]/E[L] of the plain distribution.
        for (distribution, wanted) in [
            (Distribution::Constant(3.0), 3.0),
            (Distribution::Uniform(1.0, 4.0), 7.0 / 2.5),
            (Distribution::Choice(vec![1.0, 0.0, 5.0]), 26.0 / 6.0),
        ] {
            let n = 40_000;
            let sum: f64 = (0..n).map(|_| length_biased(&distribution, &mut stream)).sum();
            // Standard deviations up to 1.5: four standard errors are 0.03.
            assert!((sum / f64::from(n) - wanted).abs() < 0.03, "{distribution:?}");
        }
    }
}
