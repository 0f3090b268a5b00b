//! The world that a scenario describes: stations, movement, radio channel, and the wired ways.

use std::sync::Arc;

use offramp_model::rng::StreamFamily;
use offramp_model::world::mobility::{GaussMarkov, Manhattan, Placement, RandomWaypoint, Turns};
use offramp_model::world::{
    Area, Association, Band, Fading, Handover, Mobility, PathLoss, Position, Radio,
    RadioParameters, Shadowing, World,
};
use offramp_model::{Backhaul, Distribution, Ways};
use serde::Deserialize;

use crate::file::{BandField, RadioSection, ScenarioFile, WorldSection};
use crate::recording::Recordings;
use crate::source::Source;
use crate::{Fault, Raw};

/// The forms of the list of stations that have a name.
#[derive(Debug, Deserialize)]
enum NamedStations {
    /// Columns and rows.
    Grid(u32, u32),
    /// How many.
    Drawn(u32),
    /// As many as servers, drawn.
    OnePerServer,
}

/// A speed, or the bounds of one that is drawn.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
enum Speeds {
    One(f64),
    Between(f64, f64),
}

impl Speeds {
    fn bounds(self) -> (f64, f64) {
        match self {
            Self::One(speed) => (speed, speed),
            Self::Between(low, high) => (low, high),
        }
    }
}

/// The named movements.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
enum NamedMobility {
    Static,
    At(Vec<(f64, f64)>),
    RandomWaypoint {
        speed_mps: Speeds,
        #[serde(default)]
        pause_slots: u32,
    },
    GaussMarkov {
        mean_speed_mps: f64,
        memory: f64,
        sigma_mps: f64,
    },
    Manhattan {
        block_m: Option<(f64, f64)>,
        lanes: Option<u32>,
        lane_m: Option<f64>,
        speed_mps: Option<Speeds>,
        straight: Option<f64>,
        left: Option<f64>,
        right: Option<f64>,
    },
}

/// The named path losses.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
enum NamedLoss {
    Umi,
    Uma,
    FreeSpace,
    LogDistance { exponent: f64, reference_db: f64 },
}

/// The named shadowings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
enum NamedShadowing {
    None,
    Standard,
    Gudmundson { sigma_db: f64, correlation_m: f64 },
}

/// The named kinds of fading.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
enum NamedFading {
    None,
    Rayleigh,
    Rician { k_db: f64 },
}

/// The named associations.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
enum NamedAssociation {
    Direct,
    Serving { hysteresis_db: f64, time_to_trigger_slots: u32, interruption_slots: u32 },
}

/// The named ways.
#[derive(Debug, Deserialize)]
enum NamedWays {
    PerPair(Vec<Vec<f64>>),
}

/// The world of a scenario, if it has one.
pub(crate) fn world(
    source: Source<'_>,
    file: &ScenarioFile,
    recordings: &mut Recordings<'_>,
    streams: StreamFamily,
) -> Result<Option<Arc<World>>, Fault> {
    let Some(section) = &file.world else { return Ok(None) };
    let area = Area { width_m: section.width_m, height_m: section.height_m };
    let radio = section.radio.as_ref().map(|radio| source.radio(radio)).transpose()?;
    let band = match section.radio.as_ref().map(|radio| radio.band) {
        Some(BandField::Shared) => Band::Shared,
        Some(BandField::PerDevice) | None => Band::PerDevice,
    };
    let forms = "Direct or Serving(hysteresis_db: …, time_to_trigger_slots: …, \
                 interruption_slots: …)";
    let association = match source.named("world.association", &section.association, forms)? {
        NamedAssociation::Direct => Association::Direct,
        NamedAssociation::Serving { hysteresis_db, time_to_trigger_slots, interruption_slots } => {
            Association::Serving(Handover {
                hysteresis_db,
                time_to_trigger_slots,
                interruption_slots,
            })
        }
    };
    Ok(Some(Arc::new(World {
        area,
        stations: source.stations(section, area, file.system.servers, recordings, streams)?,
        mobility: source.mobility(section, file.system.devices, recordings)?,
        radio,
        band,
        association,
    })))
}

/// The wired ways of a scenario.
pub(crate) fn backhaul(source: Source<'_>, file: &ScenarioFile) -> Result<Backhaul, Fault> {
    let section = &file.system.backhaul;
    let ways = |field: &str, raw: &Raw| {
        let forms = "a number, a list with one value per server, or PerPair([[…], …]) with one row \
                     per station";
        match raw.0.chars().next() {
            Some('[') => source.named(field, raw, forms).map(Ways::PerServer),
            Some(first) if first.is_alphabetic() => {
                source.named(field, raw, forms).map(|NamedWays::PerPair(rows)| Ways::PerPair(rows))
            }
            _ => source.named(field, raw, forms).map(Ways::Same),
        }
    };
    Ok(Backhaul {
        delay_slots: ways("system.backhaul.delay_slots", &section.delay_slots)?,
        mbps: match &section.mbps {
            Some(raw) => ways("system.backhaul.mbps", raw)?,
            None => Ways::Same(f64::INFINITY),
        },
    })
}

impl Source<'_> {
    fn stations(
        &self,
        section: &WorldSection,
        area: Area,
        servers: u32,
        recordings: &mut Recordings<'_>,
        streams: StreamFamily,
    ) -> Result<Vec<Position>, Fault> {
        let field = "world.stations";
        let forms = "Grid(columns, rows), Drawn(n), OnePerServer, a list, [(x, y), …], or \
                     Recorded(\"FILE\")";
        let raw = &section.stations;
        if let Some(named) = self.files_in(field, raw, "Recorded")? {
            return recordings.positions(field, &named);
        }
        if raw.0.starts_with('[') {
            let places: Vec<(f64, f64)> = self.named(field, raw, forms)?;
            return Ok(places.into_iter().map(position).collect());
        }
        let many = |count: u64| {
            let message = format!("{count} stations are more than a million");
            if count > 1_000_000 { Err(self.fault(field, message, None)) } else { Ok(()) }
        };
        let drawn = |count: u32| {
            many(u64::from(count))?;
            let draw = |station| {
                let mut stream = streams.of(station);
                let x_m = area.width_m * stream.uniform();
                Position { x_m, y_m: area.height_m * stream.uniform() }
            };
            Ok((0..u64::from(count)).map(draw).collect())
        };
        match self.named(field, raw, forms)? {
            NamedStations::Grid(columns, rows) => {
                many(u64::from(columns) * u64::from(rows))?;
                let middle = |index: u32, count: u32, length: f64| {
                    (f64::from(index) + 0.5) / f64::from(count) * length
                };
                let of_row = |row: u32| {
                    let y_m = middle(row, rows, area.height_m);
                    (0..columns)
                        .map(move |column| (middle(column, columns, area.width_m), y_m))
                        .map(position)
                };
                Ok((0..rows).flat_map(of_row).collect())
            }
            NamedStations::Drawn(count) => drawn(count),
            NamedStations::OnePerServer => drawn(servers),
        }
    }

    fn mobility(
        &self,
        section: &WorldSection,
        devices: u32,
        recordings: &mut Recordings<'_>,
    ) -> Result<Mobility, Fault> {
        let forms = "Static, At([(x, y), …]), At(\"FILE\"), RandomWaypoint(speed_mps: …, pause_slots: \
                     …), GaussMarkov(mean_speed_mps: …, memory: …, sigma_mps: …), \
                     Manhattan(block_m: …, speed_mps: …) or Recorded(\"FILE\")";
        let (field, raw) = ("world.mobility", &section.mobility);
        if let Some(named) = self.files_in(field, raw, "Recorded")? {
            return recordings.tracks(field, &named).map(Mobility::Recorded);
        }
        if let Some(named) = self.files_in(field, raw, "At")? {
            let mut places = recordings.positions(field, &named)?;
            // The first ones of a file that has more.
            places.truncate(devices as usize);
            return Ok(Mobility::Static(Placement::Listed(places)));
        }
        Ok(match self.named(field, raw, forms)? {
            NamedMobility::Static => Mobility::Static(Placement::Uniform),
            NamedMobility::At(places) => {
                Mobility::Static(Placement::Listed(places.into_iter().map(position).collect()))
            }
            NamedMobility::RandomWaypoint { speed_mps, pause_slots } => {
                Mobility::RandomWaypoint(RandomWaypoint {
                    speed_mps: speed_mps.bounds(),
                    pause_slots: Distribution::Constant(f64::from(pause_slots)),
                })
            }
            NamedMobility::GaussMarkov { mean_speed_mps, memory, sigma_mps } => {
                Mobility::GaussMarkov(GaussMarkov { mean_speed_mps, memory, sigma_mps })
            }
            NamedMobility::Manhattan {
                block_m,
                lanes,
                lane_m,
                speed_mps,
                straight,
                left,
                right,
            } => {
                let default = Manhattan::default();
                Mobility::Manhattan(Manhattan {
                    block_m: block_m.unwrap_or(default.block_m),
                    lanes: lanes.unwrap_or(default.lanes),
                    lane_m: lane_m.unwrap_or(default.lane_m),
                    speed_mps: speed_mps.map_or(default.speed_mps, Speeds::bounds),
                    turns: Turns {
                        straight: straight.unwrap_or(default.turns.straight),
                        left: left.unwrap_or(default.turns.left),
                        right: right.unwrap_or(default.turns.right),
                    },
                })
            }
        })
    }

    fn radio(&self, section: &RadioSection) -> Result<Arc<Radio>, Fault> {
        let forms = "Umi, Uma, FreeSpace or LogDistance(exponent: …, reference_db: …)";
        let path_loss = match self.named("world.radio.path_loss", &section.path_loss, forms)? {
            NamedLoss::Umi => PathLoss::Umi,
            NamedLoss::Uma => PathLoss::Uma,
            NamedLoss::FreeSpace => PathLoss::FreeSpace,
            NamedLoss::LogDistance { exponent, reference_db } => {
                PathLoss::LogDistance { exponent, reference_db }
            }
        };
        let usual = RadioParameters::new(path_loss);
        let forms = "None, Standard or Gudmundson(sigma_db: …, correlation_m: …)";
        // Not an `Option`: RON would read the shadowing `None` as one that was not given.
        let shadowing = if section.shadowing == Raw::default() {
            usual.shadowing
        } else {
            match self.named("world.radio.shadowing", &section.shadowing, forms)? {
                NamedShadowing::None => Shadowing::None,
                NamedShadowing::Standard => Shadowing::Standard,
                NamedShadowing::Gudmundson { sigma_db, correlation_m } => {
                    Shadowing::Gudmundson { sigma_db, correlation_m }
                }
            }
        };
        let forms = "None, Rayleigh or Rician(k_db: …)";
        let fading = match self.named("world.radio.fading", &section.fading, forms)? {
            NamedFading::None => Fading::None,
            NamedFading::Rayleigh => Fading::Rayleigh,
            NamedFading::Rician { k_db } => Fading::Rician { k_db },
        };
        let radio = Radio::new(RadioParameters {
            path_loss,
            shadowing,
            fading,
            frequency_ghz: section.frequency_ghz,
            bandwidth_mhz: section.bandwidth_mhz,
            transmit_dbm: section.transmit_dbm,
            noise_figure_db: section.noise_figure_db,
            interference_margin_db: section.interference_margin_db,
            min_sinr_db: section.min_sinr_db,
            max_efficiency: section.max_efficiency,
            station_height_m: section.station_height_m.unwrap_or(usual.station_height_m),
            device_height_m: section.device_height_m,
        });
        radio.map(Arc::new).map_err(|invalid| {
            let field = match invalid.parameter {
                "exponent" | "reference_db" => "path_loss",
                "sigma_db" | "correlation_m" => "shadowing",
                "k_db" => "fading",
                parameter => parameter,
            };
            let message = if field == invalid.parameter {
                invalid.fault
            } else {
                format!("{}: {}", invalid.parameter, invalid.fault)
            };
            self.fault(&format!("world.radio.{field}"), message, None)
        })
    }
}

fn position((x_m, y_m): (f64, f64)) -> Position {
    Position { x_m, y_m }
}

/// The field of a scenario that determines a parameter of the world; empty if none does.
pub(crate) fn field_of(parameter: &str) -> &'static str {
    match parameter {
        "area" => "world.width_m",
        "stations" => "world.stations",
        "association" | "hysteresis_db" => "world.association",
        "positions" | "speed_mps" | "pause_slots" | "mean_speed_mps" | "memory" | "sigma_mps"
        | "block_m" | "lanes" | "lane_m" | "turns" | "tracks" => "world.mobility",
        _ => "",
    }
}
