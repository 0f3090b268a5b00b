//! The channel: the rate at which a device sends to a server (R of eq. 1).

use std::sync::Arc;

use crate::distribution::Distribution;
use crate::recording::RecordedRates;
use crate::rng::StreamFamily;

/// R: Mbit/s by device and server, each 0 or above. Only [`UplinkRates::PerPair`] stores
/// devices × servers numbers.
///
/// At rate 0 the device is out of the server's coverage. What it sends there never arrives: the
/// task holds the uplink until its deadline, is dropped, and the next one is sent. Since nothing is
/// sent, it takes no energy.
#[derive(Clone, Debug, PartialEq)]
pub enum UplinkRates {
    /// One rate for all pairs.
    Same(f64),
    /// One rate per device, N of them.
    PerDevice(Vec<f64>),
    /// One rate per server, M of them.
    PerServer(Vec<f64>),
    /// A rate for every pair: N rows, one per device, of M rates.
    PerPair(Vec<Vec<f64>>),
    /// Drawn for each pair on its own; a pure function of the pair, so nothing is stored.
    Drawn(Distribution, StreamFamily),
}

impl UplinkRates {
    /// R of a device to a server, both counted from 0, Mbit/s.
    #[inline]
    pub(crate) fn mbps(&self, device: u32, server: u32) -> f64 {
        match self {
            Self::Same(rate) => *rate,
            other => other.differing_mbps(device, server),
        }
    }

    fn differing_mbps(&self, device: u32, server: u32) -> f64 {
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

    /// The slowest rate above 0 of a device, Mbit/s; 0 if it may be arbitrarily slow, `None` if no
    /// server covers the device.
    pub(crate) fn slowest(&self, device: u32) -> Option<f64> {
        let least =
            |rates: &[f64]| rates.iter().copied().filter(|&rate| rate > 0.0).min_by(f64::total_cmp);
        match self {
            Self::Same(rate) => least(&[*rate]),
            Self::PerDevice(rates) => least(&[rates[device as usize]]),
            Self::PerServer(rates) => least(rates),
            Self::PerPair(rates) => least(&rates[device as usize]),
            Self::Drawn(Distribution::Constant(rate), _) => least(&[*rate]),
            Self::Drawn(Distribution::Choice(rates), _) => least(rates),
            Self::Drawn(Distribution::Uniform(low, high), _) => (*high > 0.0).then_some(*low),
        }
    }

    /// The fastest rate of any pair, Mbit/s.
    pub(crate) fn fastest(&self) -> f64 {
        let most = |rates: &[f64]| rates.iter().copied().fold(0.0, f64::max);
        match self {
            Self::Same(rate) => *rate,
            Self::PerDevice(rates) | Self::PerServer(rates) => most(rates),
            Self::PerPair(rows) => rows.iter().map(|row| most(row)).fold(0.0, f64::max),
            Self::Drawn(distribution, _) => distribution.max(),
        }
    }
}

/// The uplinks where no radio channel of a [`World`](crate::world::World) determines their rates.
#[derive(Clone, Debug, PartialEq)]
pub enum Uplink {
    /// Rates that stay the same.
    Constant(UplinkRates),
    /// Rates that were recorded.
    Recorded(Arc<RecordedRates>),
}

impl From<UplinkRates> for Uplink {
    fn from(rates: UplinkRates) -> Self {
        Self::Constant(rates)
    }
}

impl Uplink {
    /// As [`UplinkRates::slowest`].
    pub(crate) fn slowest(&self, device: u32) -> Option<f64> {
        match self {
            Self::Constant(rates) => rates.slowest(device),
            Self::Recorded(rates) => {
                let (slowest, fastest) = rates.range();
                (fastest > 0.0).then_some(slowest)
            }
        }
    }

    /// As [`UplinkRates::fastest`].
    pub(crate) fn fastest(&self) -> f64 {
        match self {
            Self::Constant(rates) => rates.fastest(),
            Self::Recorded(rates) => rates.range().1,
        }
    }
}
