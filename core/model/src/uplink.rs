//! The uplink: the rate at which a device sends to a server (R of eq. 1).

use crate::distribution::Distribution;
use crate::rng::StreamFamily;

/// R: Mbit/s by device and server. No form of it stores devices × servers, but for the one in
/// which a scenario spells every pair out.
#[derive(Clone, Debug)]
pub enum UplinkRates {
    /// One rate for all.
    Same(f64),
    /// One rate a device.
    PerDevice(Vec<f64>),
    /// One rate a server.
    PerServer(Vec<f64>),
    /// Every pair, a row a device.
    PerPair(Vec<Vec<f64>>),
    /// Each pair drawn for itself; a pure function of the pair, so nothing is stored.
    Drawn(Distribution, StreamFamily),
}

impl UplinkRates {
    /// R of device i to server j (counted from 0), Mbit/s.
    #[inline]
    pub fn mbps(&self, device: u32, server: u32) -> f64 {
        match self {
            Self::Same(rate) => *rate,
            Self::PerDevice(rates) => rates[device as usize],
            Self::PerServer(rates) => rates[server as usize],
            Self::PerPair(rates) => rates[device as usize][server as usize],
            Self::Drawn(distribution, streams) => {
                let pair = (u64::from(device) << 32) | u64::from(server);
                distribution.draw(&mut streams.of(pair))
            }
        }
    }

    /// The slowest rate of a device.
    pub(crate) fn slowest(&self, device: u32) -> f64 {
        let least = |rates: &[f64]| rates.iter().copied().fold(f64::INFINITY, f64::min);
        match self {
            Self::Same(rate) => *rate,
            Self::PerDevice(rates) => rates[device as usize],
            Self::PerServer(rates) => least(rates),
            Self::PerPair(rates) => least(&rates[device as usize]),
            Self::Drawn(distribution, _) => distribution.min(),
        }
    }
}
