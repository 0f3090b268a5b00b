//! Mobility: models of how devices move, and their positions in an episode.
//!
//! | model | source | stationary from slot 0 on |
//! |---|---|---|
//! | [`Mobility::Static`] | | yes |
//! | [`Mobility::RandomWaypoint`] | Le Boudec and Vojnović 2005 | yes, by perfect simulation |
//! | [`Mobility::GaussMarkov`] | Liang and Haas 1999 | yes |
//! | [`Mobility::Manhattan`] | 3GPP TR 36.885, annex A.1.2 | yes |
//! | [`Mobility::Recorded`] | tracks of real or simulated devices | |
//!
//! The trajectory of a device depends on (seed, episode, device) and the parameters alone: each
//! device reads a stream of its own in order, so neither the number of devices nor any decision
//! changes it.

mod gauss_markov;
mod manhattan;
mod tracks;
mod waypoint;

pub use gauss_markov::GaussMarkov;
pub use manhattan::{Manhattan, Turns};
pub use tracks::{InvalidTracks, Sample, TrackFault, Tracks};
pub use waypoint::RandomWaypoint;

use std::sync::Arc;

use super::{InvalidWorld, check};
use crate::distribution::Range;
use crate::rng::{Purpose, Stream, StreamFamily};

/// A position, metres from the south-western corner of the area.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Position {
    /// To the east.
    pub x_m: f64,
    /// To the north.
    pub y_m: f64,
}

impl Position {
    /// The distance to another position, metres.
    #[inline]
    pub fn distance_m(self, to: Self) -> f64 {
        // Not `hypot`, which is several times slower and guards against sizes that areas refuse.
        let (x, y) = (to.x_m - self.x_m, to.y_m - self.y_m);
        (x * x + y * y).sqrt()
    }
}

/// The rectangle in which devices move, each side above 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// From west to east, metres.
    pub width_m: f64,
    /// From south to north, metres.
    pub height_m: f64,
}

impl Area {
    /// The distance between opposite corners, metres.
    pub fn diagonal_m(self) -> f64 {
        self.width_m.hypot(self.height_m)
    }

    /// True for positions in the area and on its border.
    pub fn contains(self, place: Position) -> bool {
        (0.0..=self.width_m).contains(&place.x_m) && (0.0..=self.height_m).contains(&place.y_m)
    }

    /// A position drawn uniformly; takes two draws.
    fn draw(self, stream: &mut Stream) -> Position {
        let x_m = self.width_m * stream.uniform();
        Position { x_m, y_m: self.height_m * stream.uniform() }
    }
}

/// A model of how devices move.
#[derive(Clone, Debug, PartialEq)]
pub enum Mobility {
    /// Devices stay where they are.
    Static(Placement),
    /// Straight to a position drawn uniformly, a pause, and on to the next.
    RandomWaypoint(RandomWaypoint),
    /// A velocity whose memory fades gradually.
    GaussMarkov(GaussMarkov),
    /// Along the streets of a grid.
    Manhattan(Manhattan),
    /// Along recorded tracks. A device is present from its first to its last sample.
    Recorded(Arc<Tracks>),
}

/// The positions of devices that do not move.
#[derive(Clone, Debug, PartialEq)]
pub enum Placement {
    /// Drawn uniformly in the area, anew in each episode.
    Uniform,
    /// One position per device, in the area.
    Listed(Vec<Position>),
}

impl Mobility {
    /// Checks the parameters for `devices` devices in `area` and slots of `slot_seconds`.
    ///
    /// # Errors
    /// [`InvalidWorld`] names the first parameter out of range, a position outside the area or a list
    /// that does not fit the number of devices.
    pub fn check(&self, area: Area, devices: u32, slot_seconds: f64) -> Result<(), InvalidWorld> {
        check("slot_seconds", slot_seconds, Range::Positive)?;
        check("area", area.width_m, Range::Positive)?;
        check("area", area.height_m, Range::Positive)?;
        match self {
            Self::Static(Placement::Uniform) => Ok(()),
            Self::Static(Placement::Listed(places)) => {
                if places.len() != devices as usize {
                    let fault =
                        format!("{} for {devices} devices: one each is needed", places.len());
                    return Err(InvalidWorld { parameter: "positions", fault });
                }
                places.iter().try_for_each(|&place| check_inside("positions", area, place))
            }
            Self::RandomWaypoint(model) => model.check(area, slot_seconds),
            Self::GaussMarkov(model) => model.check(),
            Self::Manhattan(model) => model.check(area, slot_seconds),
            Self::Recorded(tracks) => tracks.check(area, devices),
        }
    }
}

impl Mobility {
    /// Slots of recorded tracks, up to the last sample; `None` if none are recorded.
    pub(crate) fn recorded_slots(&self, slot_seconds: f64) -> Option<u32> {
        match self {
            Self::Recorded(tracks) => Some(tracks.slot_count(slot_seconds)),
            _ => None,
        }
    }
}

/// Checks that a position is in the area.
fn check_inside(parameter: &'static str, area: Area, place: Position) -> Result<(), InvalidWorld> {
    if area.contains(place) {
        return Ok(());
    }
    let fault = format!(
        "({}, {}) is outside the area of {} m × {} m",
        place.x_m, place.y_m, area.width_m, area.height_m
    );
    Err(InvalidWorld { parameter, fault })
}

/// Checks a range of speeds, m/s: low above 0, and high not below low.
fn check_speeds((low, high): (f64, f64)) -> Result<(), InvalidWorld> {
    check("speed_mps", low, Range::Positive)?;
    check("speed_mps", high, Range::Positive)?;
    if low > high {
        let fault = format!("({low}, {high}) has its bounds the wrong way round");
        return Err(InvalidWorld { parameter: "speed_mps", fault });
    }
    Ok(())
}

/// Checks that no device covers more than 100 times `length_m` in a slot, which bounds the work of
/// a slot.
fn check_step(speed_mps: f64, slot_seconds: f64, length_m: f64) -> Result<(), InvalidWorld> {
    if speed_mps * slot_seconds <= 100.0 * length_m {
        return Ok(());
    }
    let fault = format!(
        "{speed_mps} m/s is {} m per slot, more than 100 times {length_m} m",
        speed_mps * slot_seconds
    );
    Err(InvalidWorld { parameter: "speed_mps", fault })
}

/// The positions of all devices in one slot of an episode.
#[derive(Clone, Debug)]
pub struct Motion {
    bodies: Bodies,
    model: Model,
}

/// The state that all models share, one entry per device.
#[derive(Clone, Debug)]
struct Bodies {
    x_m: Vec<f64>,
    y_m: Vec<f64>,
    /// In this slot, m/s.
    speed_mps: Vec<f64>,
    /// Since slot 0.
    travelled_m: Vec<f64>,
    area: Area,
    slot_seconds: f64,
}

impl Bodies {
    fn place(&mut self, device: usize, place: Position) {
        self.x_m[device] = place.x_m;
        self.y_m[device] = place.y_m;
    }
}

#[derive(Clone, Debug)]
enum Model {
    Static,
    RandomWaypoint(waypoint::State),
    GaussMarkov(gauss_markov::State),
    Manhattan(manhattan::State),
    Recorded(tracks::State),
}

impl Motion {
    /// The devices at slot 0 of an episode.
    ///
    /// # Errors
    /// Those of [`Mobility::check`].
    pub fn new(
        mobility: &Mobility,
        area: Area,
        devices: u32,
        slot_seconds: f64,
        seed: u64,
        episode: u64,
    ) -> Result<Self, InvalidWorld> {
        mobility.check(area, devices, slot_seconds)?;
        let zeros = vec![0.0; devices as usize];
        let mut bodies = Bodies {
            x_m: zeros.clone(),
            y_m: zeros.clone(),
            speed_mps: zeros.clone(),
            travelled_m: zeros,
            area,
            slot_seconds,
        };
        let family = StreamFamily::new(seed, episode, Purpose::MOBILITY);
        let streams = || (0..devices).map(|device| family.of(u64::from(device)));
        let model = match mobility {
            Mobility::Static(placement) => {
                for (device, mut stream) in streams().enumerate() {
                    let place = match placement {
                        Placement::Uniform => area.draw(&mut stream),
                        Placement::Listed(places) => places[device],
                    };
                    bodies.place(device, place);
                }
                Model::Static
            }
            Mobility::RandomWaypoint(model) => {
                Model::RandomWaypoint(waypoint::State::new(model, &mut bodies, streams()))
            }
            Mobility::GaussMarkov(model) => {
                Model::GaussMarkov(gauss_markov::State::new(model, &mut bodies, streams()))
            }
            Mobility::Manhattan(model) => {
                Model::Manhattan(manhattan::State::new(model, &mut bodies, streams()))
            }
            Mobility::Recorded(tracks) => Model::Recorded(tracks::State::new(tracks, &mut bodies)),
        };
        Ok(Self { bodies, model })
    }

    /// Begins recorded tracks at one of their slots; other models are as they were.
    #[must_use]
    pub fn from_slot(mut self, slot: u32) -> Self {
        if let Model::Recorded(state) = &mut self.model {
            state.begin(u64::from(slot), &mut self.bodies);
        }
        self
    }

    /// Moves to the next slot.
    pub fn advance(&mut self) {
        let bodies = &mut self.bodies;
        match &mut self.model {
            Model::Static => {}
            Model::RandomWaypoint(state) => state.advance(bodies),
            Model::GaussMarkov(state) => state.advance(bodies),
            Model::Manhattan(state) => state.advance(bodies),
            Model::Recorded(state) => state.advance(bodies),
        }
    }

    /// Number of devices.
    pub fn device_count(&self) -> u32 {
        self.bodies.x_m.len() as u32
    }

    /// The position of a device; of an absent one, where it will enter or has left.
    #[inline]
    pub fn position(&self, device: u32) -> Position {
        let device = device as usize;
        Position { x_m: self.bodies.x_m[device], y_m: self.bodies.y_m[device] }
    }

    /// The current speed of a device, m/s.
    #[inline]
    pub fn speed_mps(&self, device: u32) -> f64 {
        self.bodies.speed_mps[device as usize]
    }

    /// Distance travelled by a device since slot 0, metres; never decreases.
    #[inline]
    pub fn travelled_m(&self, device: u32) -> f64 {
        self.bodies.travelled_m[device as usize]
    }

    /// False for a recorded device before its first and after its last sample.
    #[inline]
    pub fn is_present(&self, device: u32) -> bool {
        match &self.model {
            Model::Recorded(state) => state.is_present(device),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests;
