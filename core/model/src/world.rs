//! The moving world: positions of devices, their radio channel to base stations, and fading.
//!
//! Everything random here is a pure function of seed, episode, purpose and entity ([`crate::rng`]):
//! every policy sees bit-identical trajectories, shadowing and fading, whatever it decides and
//! however often it asks.
//!
//! | module | contents |
//! |---|---|
//! | [`association`] | the station that serves a device, and handover |
//! | [`mobility`] | models of movement ([`Mobility`]) and the positions of an episode ([`Motion`]) |
//! | [`radio`] | path loss, line of sight, shadowing, rate of a pair of device and station |
//! | [`fading`] | small-scale fading, slot by slot or averaged over a slot |
//! | [`process`] | the correlated Gaussian process under line of sight, shadowing and fading |
//! | [`special`] | the special functions that these need, with their errors |
//!
//! In each slot, compute the links you need, then advance the devices and their fading.
//!
//! ```
//! use std::sync::Arc;
//! use offramp_model::world::fading::doppler_turns;
//! use offramp_model::world::mobility::Manhattan;
//! use offramp_model::world::{
//!     Area, Channel, FadeClocks, LinkMemory, Mobility, Motion, PathLoss, Position, Radio,
//!     RadioParameters, Whereabouts,
//! };
//!
//! let (seed, episode, slot_seconds) = (1, 0, 0.1);
//! // 60 vehicles in nine blocks of a city, and a station at the crossing in the middle.
//! let mobility = Mobility::Manhattan(Manhattan::default());
//! let area = Area { width_m: 1299.0, height_m: 750.0 };
//! let station = Position { x_m: 649.5, y_m: 375.0 };
//! let mut motion = Motion::new(&mobility, area, 60, slot_seconds, seed, episode)?;
//! // Its uplink: 3GPP urban micro, 10 MHz at 3.5 GHz, Rayleigh fading.
//! let radio = Arc::new(Radio::new(RadioParameters::new(PathLoss::Umi))?);
//! let channel = Channel::new(&radio, seed, episode);
//! let turns = |motion: &Motion, device| {
//!     doppler_turns(motion.speed_mps(device), 3.5, slot_seconds)
//! };
//! let mut fades = FadeClocks::new((0..60).map(|device| turns(&motion, device)));
//! // Caches one pair from slot to slot.
//! let mut memory = LinkMemory::default();
//!
//! for _slot in 0..100 {
//!     let at = Whereabouts {
//!         distance_m: motion.position(7).distance_m(station),
//!         travelled_m: motion.travelled_m(7),
//!         fade: fades.fade(7),
//!     };
//!     let link = channel.link(&mut memory, 7, 0, at);
//!     assert!((0.0..=74.063).contains(&link.rate_mbps));
//!     motion.advance();
//!     for device in 0..60 {
//!         fades.advance(device, turns(&motion, device));
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod association;
pub mod fading;
pub mod mobility;
pub mod process;
pub mod radio;
pub mod special;
#[cfg(test)]
mod statistics;

pub use association::{Association, Handover};
pub use fading::{Fade, FadeClocks, Fading};
pub use mobility::{Area, Mobility, Motion, Position, Tracks};
pub use process::{Nearby, Process};
pub use radio::{
    Channel, Link, LinkMemory, PathLoss, Radio, RadioParameters, Shadowing, Signal, Whereabouts,
};

use std::sync::Arc;

use crate::distribution::Range;

/// Where devices and stations are, and how they reach each other.
///
/// A base station (or road-side unit) has a server: server j stands at station j. Servers beyond the
/// number of stations stand at none; they are clouds, reached over the
/// [backhaul](crate::Backhaul) alone.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    /// The rectangle in which devices move.
    pub area: Area,
    /// The stations, at least one and at most as many as servers; they may stand outside the area.
    pub stations: Vec<Position>,
    /// How devices move.
    pub mobility: Mobility,
    /// The radio channel; `None` if rates do not depend on positions.
    pub radio: Option<Arc<Radio>>,
    /// How a station's band is divided; matters with a radio channel only.
    pub band: Band,
    /// The stations that a device sends to.
    pub association: Association,
}

/// Upper bound on stations: each square of the map lists its nearest.
const MAX_STATIONS: usize = 10_000;

/// The division of a station's band between the devices that send to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Band {
    /// Each device has a band of its own.
    PerDevice,
    /// One band, divided equally between the devices that send in a slot.
    Shared,
}

impl World {
    /// Checks it for so many devices and servers and slots of `slot_seconds`.
    ///
    /// # Errors
    /// [`InvalidWorld`] names the first parameter out of range.
    pub fn check(&self, devices: u32, servers: u32, slot_seconds: f64) -> Result<(), InvalidWorld> {
        let fail = |parameter, fault: String| Err(InvalidWorld { parameter, fault });
        self.mobility.check(self.area, devices, slot_seconds)?;
        if self.stations.is_empty() || self.stations.len() > servers as usize {
            let fault = format!(
                "{} for {servers} servers: at least one is needed, and at most one per server",
                self.stations.len()
            );
            return fail("stations", fault);
        }
        if self.stations.len() > MAX_STATIONS {
            let fault = format!("{} are more than {MAX_STATIONS}", self.stations.len());
            return fail("stations", fault);
        }
        for station in &self.stations {
            for coordinate in [station.x_m, station.y_m] {
                check_between("stations", coordinate, -1e6, 1e6)?;
            }
        }
        if self.radio.is_none() && self.association != Association::Direct {
            let fault = "serving stations need a radio channel: their signals decide".into();
            return fail("association", fault);
        }
        self.association.check()
    }
}

/// A parameter of the world that is out of range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{parameter}: {fault}")]
pub struct InvalidWorld {
    /// The field.
    pub parameter: &'static str,
    /// Its value and the range needed.
    pub fault: String,
}

/// Checks one number against a range.
fn check(parameter: &'static str, value: f64, range: Range) -> Result<(), InvalidWorld> {
    range.fault(value).map_or(Ok(()), |fault| Err(InvalidWorld { parameter, fault }))
}

/// Checks one number against `low` … `high`, both included.
fn check_between(
    parameter: &'static str,
    value: f64,
    low: f64,
    high: f64,
) -> Result<(), InvalidWorld> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    let fault = format!("{value} is out of range: a number from {low} to {high} is needed");
    Err(InvalidWorld { parameter, fault })
}
