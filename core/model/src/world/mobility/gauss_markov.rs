//! Gauss–Markov: a velocity whose memory fades gradually.

use super::{Bodies, Position};
use crate::distribution::Range;
use crate::rng::Stream;
use crate::world::special::next_normal;
use crate::world::{InvalidWorld, check};

/// The Gauss–Markov model (Liang and Haas 1999). Each component of the velocity follows
/// v ← a·v + (1 − a)·v̄ + σ·√(1 − a²)·w once per slot, w standard normal: its mean is v̄, its
/// standard deviation σ, its correlation n slots apart aⁿ.
///
/// v̄ has the mean speed and a direction that each device draws once. At the border of the area a
/// device is reflected, with v and v̄. The start is stationary: positions
/// are uniform in the area.
#[derive(Clone, Debug, PartialEq)]
pub struct GaussMarkov {
    /// |v̄|: m/s, 0 or more.
    pub mean_speed_mps: f64,
    /// a: memory of a slot, 0 (none) … 1 (all).
    pub memory: f64,
    /// σ: standard deviation of each component of the velocity, m/s, 0 or more.
    pub sigma_mps: f64,
}

impl GaussMarkov {
    pub(super) fn check(&self) -> Result<(), InvalidWorld> {
        check("mean_speed_mps", self.mean_speed_mps, Range::NotNegative)?;
        check("memory", self.memory, Range::Unit)?;
        check("sigma_mps", self.sigma_mps, Range::NotNegative)
    }
}

/// A velocity, m/s to the east and to the north.
type Velocity = [f64; 2];

/// The velocities of all devices, one entry each.
#[derive(Clone, Debug)]
pub(super) struct State {
    memory: f64,
    /// σ·√(1 − a²).
    noise_mps: f64,
    pub(super) velocity: Vec<Velocity>,
    pub(super) mean: Vec<Velocity>,
    stream: Vec<Stream>,
}

impl State {
    pub(super) fn new(
        model: &GaussMarkov,
        bodies: &mut Bodies,
        streams: impl ExactSizeIterator<Item = Stream>,
    ) -> Self {
        let mut state = Self {
            memory: model.memory,
            noise_mps: model.sigma_mps * (1.0 - model.memory * model.memory).sqrt(),
            velocity: Vec::with_capacity(streams.len()),
            mean: Vec::with_capacity(streams.len()),
            stream: Vec::with_capacity(streams.len()),
        };
        for (device, mut stream) in streams.enumerate() {
            bodies.place(device, bodies.area.draw(&mut stream));
            let (sine, cosine) = (std::f64::consts::TAU * stream.uniform()).sin_cos();
            let mean = [model.mean_speed_mps * cosine, model.mean_speed_mps * sine];
            let velocity = mean.map(|mean| mean + model.sigma_mps * next_normal(&mut stream));
            bodies.speed_mps[device] = size(velocity);
            state.mean.push(mean);
            state.velocity.push(velocity);
            state.stream.push(stream);
        }
        state
    }

    pub(super) fn advance(&mut self, bodies: &mut Bodies) {
        let (memory, noise, seconds) = (self.memory, self.noise_mps, bodies.slot_seconds);
        let extent = [bodies.area.width_m, bodies.area.height_m];
        let devices = self.velocity.iter_mut().zip(&mut self.mean).zip(&mut self.stream);
        for (device, ((velocity, mean), stream)) in devices.enumerate() {
            let mut place = [bodies.x_m[device], bodies.y_m[device]];
            for axis in 0..2 {
                velocity[axis] = memory * velocity[axis]
                    + (1.0 - memory) * mean[axis]
                    + noise * next_normal(stream);
                place[axis] += velocity[axis] * seconds;
                if !(0.0..=extent[axis]).contains(&place[axis]) {
                    let (reflected, flips) = reflect(place[axis], extent[axis]);
                    place[axis] = reflected;
                    if flips {
                        velocity[axis] = -velocity[axis];
                        mean[axis] = -mean[axis];
                    }
                }
            }
            bodies.place(device, Position { x_m: place[0], y_m: place[1] });
            let speed = size(*velocity);
            bodies.speed_mps[device] = speed;
            bodies.travelled_m[device] += speed * seconds;
        }
    }
}

fn size([x, y]: Velocity) -> f64 {
    (x * x + y * y).sqrt()
}

/// A coordinate reflected at 0 and `extent` as often as needed; true if its direction is reversed.
fn reflect(place: f64, extent: f64) -> (f64, bool) {
    let unfolded = place.rem_euclid(2.0 * extent);
    if unfolded <= extent { (unfolded, false) } else { (2.0 * extent - unfolded, true) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reflection_folds() {
        for (place, wanted) in [
            (-1.0, (1.0, true)),
            (11.0, (9.0, true)),
            (21.0, (1.0, false)),
            (-11.0, (9.0, false)),
            (-21.0, (1.0, true)),
            (4.0, (4.0, false)),
        ] {
            assert_eq!(reflect(place, 10.0), wanted, "{place}");
        }
    }
}
