//! The radio channel: the rate at which a device sends to a station.
//!
//! Loss grows with distance ([`PathLoss`]), depends on whether there is a line of sight, and varies
//! around its mean as the device moves ([`Shadowing`]); fading ([`super::fading`]) varies it from
//! slot to slot. The rate is B·min(η_max, log₂(1 + SINR)).
//!
//! Formulas: 3GPP TR 38.901 (v16), table 7.4.1-1 (path loss), 7.4.2-1 (line of sight), 7.5-6
//! (shadowing), 7.6.3 (spatial consistency). f_c in GHz, distances in metres, loss in dB:
//!
//! | | UMi, street canyon | UMa |
//! |---|---|---|
//! | LOS up to d′_BP | 32.4 + 21·log₁₀ d₃D + 20·log₁₀ f_c | 28 + 22·log₁₀ d₃D + 20·log₁₀ f_c |
//! | LOS beyond | 32.4 + 40·log₁₀ d₃D + 20·log₁₀ f_c − 9.5·log₁₀(d′_BP² + Δh²) | 28 + 40·log₁₀ d₃D + 20·log₁₀ f_c − 9·log₁₀(d′_BP² + Δh²) |
//! | NLOS, at least LOS | 35.3·log₁₀ d₃D + 22.4 + 21.3·log₁₀ f_c − 0.3·(h_UT − 1.5) | 13.54 + 39.08·log₁₀ d₃D + 20·log₁₀ f_c − 0.6·(h_UT − 1.5) |
//! | P(LOS) beyond 18 m | 18/d + e^(−d/36)·(1 − 18/d) | 18/d + e^(−d/63)·(1 − 18/d), h_UT ≤ 13 m |
//! | σ LOS, NLOS | 4, 7.82 dB | 4, 6 dB |
//! | d_corr LOS, NLOS | 10, 13 m | 37, 50 m |
//!
//! d′_BP = 4·(h_BS − 1)·(h_UT − 1)·f_c/c. Below 1 m the 3-D distance counts as 1 m.

use std::sync::Arc;

use super::fading::{Fade, Fading, Gains, LIGHT_MPS};
use super::process::{Nearby, Process};
use super::special::Quantiles;
use super::{InvalidWorld, check, check_between};
use crate::distribution::Range;
use crate::rng::{Purpose, StreamFamily};

/// A model of the mean loss over distance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PathLoss {
    /// 20·log₁₀(4π·d·f_c/c), always in line of sight.
    FreeSpace,
    /// reference + 10·exponent·log₁₀ d, always in line of sight.
    LogDistance {
        /// Above 0; 2 in free space, 2.7 to 4 in cities.
        exponent: f64,
        /// Loss at 1 m, dB.
        reference_db: f64,
    },
    /// Urban micro, street canyon: stations at 10 m, below the roofs.
    Umi,
    /// Urban macro: stations at 25 m, above the roofs.
    Uma,
}

/// Shadowing: Gaussian in dB, with correlation e^(−Δd/d_corr) over the distance Δd that the device
/// travels (Gudmundson 1991), independent between pairs. It is a function of the distance travelled,
/// not of the position: a device that returns to a place finds a different loss there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shadowing {
    /// The loss is the mean.
    None,
    /// σ and d_corr of [`PathLoss::Umi`] or [`PathLoss::Uma`].
    Standard,
    /// One σ and d_corr, in and out of line of sight.
    Gudmundson {
        /// σ: standard deviation, dB, 0 or more.
        sigma_db: f64,
        /// d_corr: metres, above 0.
        correlation_m: f64,
    },
}

/// The parameters of a [`Radio`], not yet checked.
#[derive(Clone, Debug, PartialEq)]
pub struct RadioParameters {
    /// Mean loss.
    pub path_loss: PathLoss,
    /// Variation of the loss as the device moves.
    pub shadowing: Shadowing,
    /// Variation from slot to slot.
    pub fading: Fading,
    /// f_c: carrier, GHz, 0.5 … 100.
    pub frequency_ghz: f64,
    /// B: band, MHz, above 0.
    pub bandwidth_mhz: f64,
    /// Power that a device radiates, with the gains of both antennas, dBm, −200 … 200.
    pub transmit_dbm: f64,
    /// Noise figure of a station, dB, 0 … 100.
    pub noise_figure_db: f64,
    /// Rise of the noise by other cells' devices, dB, 0 … 100.
    pub interference_margin_db: f64,
    /// SINR, without fading, below which there is no coverage and nothing can be sent, dB,
    /// −200 … 200; about −6.7 for the lowest CQI.
    pub min_sinr_db: f64,
    /// η_max: bit/s/Hz, above 0; 7.4063 is 256-QAM at the highest CQI (3GPP TS 38.214, table
    /// 5.2.2.1-3).
    pub max_efficiency: f64,
    /// h_BS: height of stations, metres; 5 … 50 for UMi and UMa.
    pub station_height_m: f64,
    /// h_UT: height of devices, metres; 1.5 … 13 for UMi and UMa.
    pub device_height_m: f64,
}

impl RadioParameters {
    /// An uplink of 10 MHz at 3.5 GHz from a hand-held device: 23 dBm, a noise figure of 5 dB, no
    /// interference, coverage down to −6.7 dB, heights of 10 m (UMa 25 m) and 1.5 m, Rayleigh
    /// fading, and the model's shadowing where it has one.
    pub fn new(path_loss: PathLoss) -> Self {
        let urban = matches!(path_loss, PathLoss::Umi | PathLoss::Uma);
        Self {
            path_loss,
            shadowing: if urban { Shadowing::Standard } else { Shadowing::None },
            fading: Fading::Rayleigh,
            frequency_ghz: 3.5,
            bandwidth_mhz: 10.0,
            transmit_dbm: 23.0,
            noise_figure_db: 5.0,
            interference_margin_db: 0.0,
            min_sinr_db: -6.7,
            max_efficiency: 7.4063,
            station_height_m: if path_loss == PathLoss::Uma { 25.0 } else { 10.0 },
            device_height_m: 1.5,
        }
    }
}

/// Loss over distance: intercept + slope·log₁₀ d₃D, dB.
type Line = (f64, f64);

/// In or out of line of sight; as a number, an index.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sight {
    Los,
    Nlos,
}

/// σ (dB) and 1/d_corr (1/m).
type Variation = (f64, f64);

/// A radio channel whose parameters are valid; equal to another one with the same parameters.
#[derive(Clone, Debug)]
pub struct Radio {
    parameters: RadioParameters,
    near: Line,
    /// 2-D distance from which `far` applies, metres.
    break_m: f64,
    far: Line,
    /// Loss out of line of sight, where it exceeds that in it.
    nlos: Line,
    /// Square of the difference of heights, m².
    height_squared: f64,
    /// Decay of the probability of a line of sight, 1/m; `None` if there always is one.
    los_decay: Option<f64>,
    quantiles: Quantiles,
    /// In and out of line of sight; `None` without shadowing.
    variation: Option<[Variation; 2]>,
    gains: Gains,
    /// Transmit power over noise and interference, dB.
    budget_db: f64,
}

impl Radio {
    /// The channel with these parameters.
    ///
    /// # Errors
    /// [`InvalidWorld`] names the first parameter out of range.
    pub fn new(parameters: RadioParameters) -> Result<Self, InvalidWorld> {
        check_parameters(&parameters)?;
        let RadioParameters { path_loss, frequency_ghz, .. } = parameters;
        let (station, device) = (parameters.station_height_m, parameters.device_height_m);
        let height_squared = (station - device).powi(2);
        let carrier = 20.0 * frequency_ghz.log10();
        let break_m = 4.0 * (station - 1.0) * (device - 1.0) * frequency_ghz * 1e9 / LIGHT_MPS;
        let beyond = (break_m * break_m + height_squared).log10();
        let above = device - 1.5;
        let (near, break_m, far, nlos) = match path_loss {
            PathLoss::FreeSpace => {
                let wave = 20.0 * (4.0 * std::f64::consts::PI * 1e9 / LIGHT_MPS).log10();
                let line = (wave + carrier, 20.0);
                (line, f64::INFINITY, line, line)
            }
            PathLoss::LogDistance { exponent, reference_db } => {
                let line = (reference_db, 10.0 * exponent);
                (line, f64::INFINITY, line, line)
            }
            PathLoss::Umi => {
                let nlos = (22.4 + 21.3 * frequency_ghz.log10() - 0.3 * above, 35.3);
                ((32.4 + carrier, 21.0), break_m, (32.4 + carrier - 9.5 * beyond, 40.0), nlos)
            }
            PathLoss::Uma => {
                let nlos = (13.54 + carrier - 0.6 * above, 39.08);
                ((28.0 + carrier, 22.0), break_m, (28.0 + carrier - 9.0 * beyond, 40.0), nlos)
            }
        };
        let los_decay = match path_loss {
            PathLoss::Umi => Some(1.0 / 36.0),
            PathLoss::Uma => Some(1.0 / 63.0),
            PathLoss::FreeSpace | PathLoss::LogDistance { .. } => None,
        };
        let variation = match (parameters.shadowing, path_loss) {
            (Shadowing::Standard, PathLoss::Uma) => Some([(4.0, 1.0 / 37.0), (6.0, 1.0 / 50.0)]),
            (Shadowing::Standard, _) => Some([(4.0, 1.0 / 10.0), (7.82, 1.0 / 13.0)]),
            (Shadowing::Gudmundson { sigma_db, correlation_m }, _) => {
                Some([(sigma_db, 1.0 / correlation_m); 2])
            }
            (Shadowing::None, _) => None,
        };
        let gains = Gains::new(parameters.fading)?;
        let budget_db =
            parameters.transmit_dbm - noise_dbm(&parameters) - parameters.interference_margin_db;
        Ok(Self {
            parameters,
            near,
            break_m,
            far,
            nlos,
            height_squared,
            los_decay,
            quantiles: Quantiles::new(),
            variation,
            gains,
            budget_db,
        })
    }

    /// The parameters it was made from.
    pub fn parameters(&self) -> &RadioParameters {
        &self.parameters
    }

    /// Mean loss in line of sight at a 2-D distance in metres, dB.
    pub fn los_loss_db(&self, distance_m: f64) -> f64 {
        self.mean_loss_db(distance_m, Sight::Los)
    }

    /// Mean loss out of line of sight at a 2-D distance in metres, dB.
    pub fn nlos_loss_db(&self, distance_m: f64) -> f64 {
        self.mean_loss_db(distance_m, Sight::Nlos)
    }

    #[inline]
    fn mean_loss_db(&self, distance_m: f64, sight: Sight) -> f64 {
        let log_distance = 0.5 * (distance_m * distance_m + self.height_squared).max(1.0).log10();
        let on = |(intercept, slope): Line| intercept + slope * log_distance;
        let clear = on(if distance_m <= self.break_m { self.near } else { self.far });
        match sight {
            Sight::Los => clear,
            Sight::Nlos => clear.max(on(self.nlos)),
        }
    }

    /// Probability of a line of sight at a 2-D distance in metres.
    #[inline]
    pub fn los_probability(&self, distance_m: f64) -> f64 {
        match self.los_decay {
            Some(decay) if distance_m > 18.0 => {
                let share = 18.0 / distance_m;
                share + (-distance_m * decay).exp() * (1.0 - share)
            }
            _ => 1.0,
        }
    }

    /// Rate without shadowing and fading at a 2-D distance in metres, Mbit/s: the mean over in and out of
    /// line of sight, with their probabilities.
    pub fn expected_mbps(&self, distance_m: f64) -> f64 {
        let rate = |loss_db: f64| {
            let sinr_db = self.budget_db - loss_db;
            if sinr_db < self.parameters.min_sinr_db {
                return 0.0;
            }
            let efficiency = (1.0 + 10.0_f64.powf(0.1 * sinr_db)).log2();
            self.parameters.bandwidth_mhz * efficiency.min(self.parameters.max_efficiency)
        };
        let clear = self.los_probability(distance_m);
        clear * rate(self.los_loss_db(distance_m))
            + (1.0 - clear) * rate(self.nlos_loss_db(distance_m))
    }

    /// Noise of a station over the whole band, dBm: −174 + 10·log₁₀ B + noise figure, B in Hz.
    pub fn noise_dbm(&self) -> f64 {
        noise_dbm(&self.parameters)
    }
}

fn noise_dbm(parameters: &RadioParameters) -> f64 {
    -174.0 + 10.0 * (parameters.bandwidth_mhz * 1e6).log10() + parameters.noise_figure_db
}

fn check_parameters(parameters: &RadioParameters) -> Result<(), InvalidWorld> {
    let (station, device) = (parameters.station_height_m, parameters.device_height_m);
    match parameters.path_loss {
        PathLoss::Umi | PathLoss::Uma => {
            check_between("station_height_m", station, 5.0, 50.0)?;
            check_between("device_height_m", device, 1.5, 13.0)?;
        }
        PathLoss::FreeSpace | PathLoss::LogDistance { .. } => {
            check("station_height_m", station, Range::NotNegative)?;
            check("device_height_m", device, Range::NotNegative)?;
            if parameters.shadowing == Shadowing::Standard {
                let fault = "only Umi and Uma have a standard shadowing".into();
                return Err(InvalidWorld { parameter: "shadowing", fault });
            }
        }
    }
    if let PathLoss::LogDistance { exponent, reference_db } = parameters.path_loss {
        check_between("exponent", exponent, 0.1, 20.0)?;
        check_between("reference_db", reference_db, -200.0, 500.0)?;
    }
    if let Shadowing::Gudmundson { sigma_db, correlation_m } = parameters.shadowing {
        check_between("sigma_db", sigma_db, 0.0, 100.0)?;
        check_between("correlation_m", correlation_m, 1e-3, 1e6)?;
    }
    check_between("frequency_ghz", parameters.frequency_ghz, 0.5, 100.0)?;
    check("bandwidth_mhz", parameters.bandwidth_mhz, Range::Positive)?;
    check_between("transmit_dbm", parameters.transmit_dbm, -200.0, 200.0)?;
    check_between("noise_figure_db", parameters.noise_figure_db, 0.0, 100.0)?;
    check_between("interference_margin_db", parameters.interference_margin_db, 0.0, 100.0)?;
    check_between("min_sinr_db", parameters.min_sinr_db, -200.0, 200.0)?;
    check("max_efficiency", parameters.max_efficiency, Range::Positive)
}

/// The entity that the streams of a pair have.
fn pair(device: u32, station: u32) -> u64 {
    (u64::from(device) << 32) | u64::from(station)
}

impl PartialEq for Radio {
    fn eq(&self, other: &Self) -> bool {
        // All else is computed from them.
        self.parameters == other.parameters
    }
}

/// Correlation distance of the line of sight, 1/m (TR 38.901, 7.6.3: 50 m, UMi and UMa).
const LINE_OF_SIGHT_PER_M: f64 = 1.0 / 50.0;

/// The state of a device that its link to a station depends on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Whereabouts {
    /// 2-D distance to the station, metres.
    pub distance_m: f64,
    /// Distance travelled by the device since slot 0, metres.
    pub travelled_m: f64,
    /// The fading of the device in this slot.
    pub fade: Fade,
}

/// The signal of a device at a station in one slot, averaged over fading: what coverage and
/// handover are judged by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Signal {
    /// True in line of sight.
    pub line_of_sight: bool,
    /// Path loss and shadowing, dB.
    pub loss_db: f64,
    /// SINR without fading, dB.
    pub sinr_db: f64,
    /// False below [`RadioParameters::min_sinr_db`].
    pub covered: bool,
}

/// The link of a device to a station in one slot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// The signal.
    pub signal: Signal,
    /// 0 without coverage, else min(η_max, log₂(1 + SINR·g)), bit/s/Hz; with the mean of the logarithm where a slot averages
    /// over many fades.
    pub efficiency: f64,
    /// R: Mbit/s over the whole band.
    pub rate_mbps: f64,
}

/// A cache of one pair from slot to slot: makes [`Channel::link`] faster, never different.
/// 600 bytes.
#[derive(Clone, Debug, Default)]
pub struct LinkMemory {
    line_of_sight: Nearby,
    shadowing: Nearby,
    fading: [Nearby; 2],
}

/// The radio channel in one episode: line of sight, shadowing and fading of every pair, each a pure
/// function of seed, episode, pair and [`Whereabouts`].
#[derive(Clone, Debug)]
pub struct Channel {
    radio: Arc<Radio>,
    line_of_sight: Process,
    /// In and out of line of sight.
    shadowing: [Process; 2],
    /// Real and imaginary part.
    fading: [Process; 2],
}

impl Channel {
    /// The channel in an episode.
    pub fn new(radio: &Arc<Radio>, seed: u64, episode: u64) -> Self {
        let process = |purpose| Process::new(StreamFamily::new(seed, episode, purpose));
        Self {
            radio: Arc::clone(radio),
            line_of_sight: process(Purpose::LINE_OF_SIGHT),
            shadowing: [Purpose::SHADOWING_LOS, Purpose::SHADOWING_NLOS].map(process),
            fading: [Purpose::FADING_REAL, Purpose::FADING_IMAGINARY].map(process),
        }
    }

    /// The radio parameters of all episodes.
    pub fn radio(&self) -> &Radio {
        &self.radio
    }

    /// The link from a device to a station. `memory` may be new, or that of the same pair in an
    /// earlier slot; the result is bit-identical.
    pub fn link(
        &self,
        memory: &mut LinkMemory,
        device: u32,
        station: u32,
        at: Whereabouts,
    ) -> Link {
        let radio = &*self.radio;
        let signal = self.signal(memory, device, station, at);
        let mut efficiency = 0.0;
        if signal.covered {
            let (pair, fades) = (pair(device, station), &mut memory.fading);
            let faded = radio.gains.efficiency(&self.fading, fades, pair, at.fade, signal.sinr_db);
            efficiency = faded.min(radio.parameters.max_efficiency);
        }
        Link { signal, efficiency, rate_mbps: radio.parameters.bandwidth_mhz * efficiency }
    }

    /// The signal of a device at a station; costs less than [`Channel::link`].
    pub fn signal(
        &self,
        memory: &mut LinkMemory,
        device: u32,
        station: u32,
        at: Whereabouts,
    ) -> Signal {
        let radio = &*self.radio;
        let pair = pair(device, station);
        let sight = self.sight(memory, pair, at);
        let mut loss_db = radio.mean_loss_db(at.distance_m, sight);
        if let Some(variation) = radio.variation {
            let (sigma_db, per_m) = variation[sight as usize];
            let process = &self.shadowing[sight as usize];
            loss_db += sigma_db * process.near(&mut memory.shadowing, pair, at.travelled_m * per_m);
        }
        let sinr_db = radio.budget_db - loss_db;
        let covered = sinr_db >= radio.parameters.min_sinr_db;
        Signal { line_of_sight: sight == Sight::Los, loss_db, sinr_db, covered }
    }

    fn sight(&self, memory: &mut LinkMemory, pair: u64, at: Whereabouts) -> Sight {
        let probability = self.radio.los_probability(at.distance_m);
        if probability >= 1.0 {
            return Sight::Los;
        }
        // Φ(x) < p, as x < Φ⁻¹(p).
        let clock = at.travelled_m * LINE_OF_SIGHT_PER_M;
        let x = self.line_of_sight.near(&mut memory.line_of_sight, pair, clock);
        if self.radio.quantiles.is_below(x, probability) { Sight::Los } else { Sight::Nlos }
    }
}

#[cfg(test)]
mod tests;
