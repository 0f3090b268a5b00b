//! The system that a scenario describes: bounds, quantities that are drawn, parameters.

use offramp_model::rng::{Purpose, StreamFamily, WHOLE_RUN};
use offramp_model::{
    Device, Distribution, EnergyAccounting, PowerPreference, PreferenceRule, Server, System,
    SystemParameters, UplinkRates,
};

use crate::fault::explain;
use crate::file::{AlphaRule, DrawnQuantity, EnergyField, NamedRates, Quantity, ScenarioFile};
use crate::{Fault, Raw, Source};

/// More than this is surely a slip, and would not fit into memory.
const MAX_DEVICES: u32 = 100_000_000;
/// As for devices.
const MAX_SERVERS: u32 = 1_000_000;
/// Upper bound on the numbers in a window of history, K × M.
const MAX_LOADS: u64 = 100_000_000;
/// Upper bound on devices × servers.
const MAX_PAIRS: u64 = 10_000_000_000;

/// The system of a scenario; quantities given as distributions are drawn by `evaluate.seed`.
pub(crate) fn system(source: &Source<'_>, file: &ScenarioFile) -> Result<System, Fault> {
    source.system(file)
}

impl Source<'_> {
    fn system(&self, file: &ScenarioFile) -> Result<System, Fault> {
        let section = &file.system;
        let range = |field: &str, value: u32, most: u32| {
            if (1..=most).contains(&value) {
                return Ok(value as usize);
            }
            Err(self.fault(field, format!("{value} is out of range 1 … {most}"), None))
        };
        let devices = range("system.devices", section.devices, MAX_DEVICES)?;
        let servers = range("system.servers", section.servers, MAX_SERVERS)?;
        // What is kept for each of them would not fit into memory.
        if u64::from(file.history_slots) * servers as u64 > MAX_LOADS {
            let message = format!("history_slots × servers is more than {MAX_LOADS}");
            return Err(self.fault("history_slots", message, None));
        }
        if devices as u64 * servers as u64 > MAX_PAIRS {
            let message = format!("devices × servers is more than {MAX_PAIRS}");
            return Err(self.fault("system.devices", message, None));
        }
        let seed = file.evaluate.seed;
        let of_devices = |field: &'static str, raw: &Raw, draw: u64| {
            let streams = StreamFamily::new(seed, WHOLE_RUN, Purpose::DEVICE);
            self.each(field, raw, "devices", devices, streams, draw)
        };
        let of_servers = |field: &'static str, raw: &Raw, draw: u64| {
            let streams = StreamFamily::new(seed, WHOLE_RUN, Purpose::SERVER);
            self.each(field, raw, "servers", servers, streams, draw)
        };
        // The last number is the position of the quantity in its device's stream: never renumber.
        let cpu = of_devices("system.device_ghz", &section.device_ghz, 0)?;
        let compute = of_devices("system.power.compute_w", &section.power.compute_w, 1)?;
        let transmit = of_devices("system.power.transmit_w", &section.power.transmit_w, 2)?;
        let idle = of_devices("system.power.idle_w", &section.power.idle_w, 3)?;
        let arrival = of_devices("tasks.arrival_probability", &file.tasks.arrival_probability, 4)?;
        let ghz = of_servers("system.server_ghz", &section.server_ghz, 0)?;
        let power = of_servers("system.power.server_w", &section.power.server_w, 1)?;
        let parameters = SystemParameters {
            slot_seconds: section.slot_seconds,
            arrival_slots: section.slots,
            deadline_slots: file.tasks.deadline_slots,
            devices: (0..devices)
                .map(|device| Device {
                    cpu_ghz: cpu.at(device),
                    compute_w: compute.at(device),
                    transmit_w: transmit.at(device),
                    idle_w: idle.at(device),
                    arrival_probability: arrival.at(device),
                })
                .collect(),
            servers: (0..servers)
                .map(|server| Server { ghz: ghz.at(server), power_w: power.at(server) })
                .collect(),
            uplink: self.uplink(&section.uplink_mbps, seed)?,
            size_mbit: self.distribution("tasks.size_mbit", &file.tasks.size_mbit)?,
            density: self.distribution("tasks.density", &file.tasks.density)?,
            power_preference: PowerPreference {
                modes: file.alpha.modes.clone(),
                rule: match file.alpha.rule {
                    AlphaRule::PerEpisode => PreferenceRule::PerEpisode,
                    AlphaRule::Fixed => PreferenceRule::Fixed,
                    AlphaRule::Switching(probability) => PreferenceRule::Switching(probability),
                },
            },
            energy: match file.energy {
                EnergyField::Published => EnergyAccounting::Published,
                EnergyField::Physical => EnergyAccounting::Physical,
            },
        };
        System::new(parameters)
            .map_err(|invalid| self.fault(field_of(invalid.parameter), invalid.fault, None))
    }

    /// A quantity that each of `count` entities has.
    fn each(
        &self,
        field: &'static str,
        raw: &Raw,
        of: &str,
        count: usize,
        streams: StreamFamily,
        draw: u64,
    ) -> Result<Each, Fault> {
        let distribution = match self.quantity(field, raw)? {
            Quantity::One(value) => return Ok(Each::Same(value)),
            Quantity::List(list) if list.len() == count => return Ok(Each::List(list)),
            Quantity::List(list) => {
                let message = format!("a list of {} for {count} {of}", list.len());
                return Err(self.fault(field, message, None));
            }
            Quantity::Drawn(drawn) => drawn.into(),
        };
        self.drawable(field, &distribution)?;
        let value = |entity| distribution.draw(&mut streams.of(entity).skip(draw));
        Ok(Each::List((0..count as u64).map(value).collect()))
    }

    fn quantity(&self, field: &str, raw: &Raw) -> Result<Quantity, Fault> {
        raw.quantity().map_err(|error| {
            let (message, help) = explain(&error.code);
            let forms = "a number, a list, Uniform(low, high) or Choice([…])";
            self.fault(field, message, Some(help.unwrap_or_else(|| format!("it may be {forms}"))))
        })
    }

    /// A distribution must be one before anything is drawn from it.
    fn drawable(&self, field: &str, distribution: &Distribution) -> Result<(), Fault> {
        match distribution.fault(&offramp_model::Range::NotNegative) {
            None => Ok(()),
            Some(fault) => Err(self.fault(field, fault, None)),
        }
    }

    /// A quantity of each task.
    fn distribution(&self, field: &str, raw: &Raw) -> Result<Distribution, Fault> {
        match self.quantity(field, raw)? {
            Quantity::One(value) => Ok(Distribution::Constant(value)),
            Quantity::Drawn(drawn) => Ok(drawn.into()),
            Quantity::List(_) => {
                let message = "a list says nothing about tasks".to_owned();
                let help = "did you mean Choice([…])?".to_owned();
                Err(self.fault(field, message, Some(help)))
            }
        }
    }

    fn uplink(&self, raw: &Raw, seed: u64) -> Result<UplinkRates, Fault> {
        let field = "system.uplink_mbps";
        let named = raw.0.starts_with(|first: char| first.is_alphabetic());
        let parsed = if named {
            ron::from_str::<NamedRates>(&raw.0)
        } else {
            ron::from_str::<f64>(&raw.0).map(|rate| NamedRates::Uniform(rate, rate))
        };
        let rates = parsed.map_err(|error| {
            let (message, help) = explain(&error.code);
            let forms = "it may be a number, Uniform(low, high), Choice([…]), PerDevice([…]), \
                         PerServer([…]) or PerPair([[…], …])";
            self.fault(field, message, Some(help.unwrap_or_else(|| forms.to_owned())))
        })?;
        let drawn = |distribution: Distribution| {
            self.drawable(field, &distribution)?;
            let streams = StreamFamily::new(seed, WHOLE_RUN, Purpose::UPLINK);
            Ok(UplinkRates::Drawn(distribution, streams))
        };
        match rates {
            NamedRates::Uniform(low, high) if low == high || !named => Ok(UplinkRates::Same(low)),
            NamedRates::Uniform(low, high) => drawn(Distribution::Uniform(low, high)),
            NamedRates::Choice(rates) => drawn(Distribution::Choice(rates)),
            NamedRates::PerDevice(rates) => Ok(UplinkRates::PerDevice(rates)),
            NamedRates::PerServer(rates) => Ok(UplinkRates::PerServer(rates)),
            NamedRates::PerPair(rates) => Ok(UplinkRates::PerPair(rates)),
        }
    }
}

/// What each device or server has.
enum Each {
    Same(f64),
    List(Vec<f64>),
}

impl Each {
    fn at(&self, index: usize) -> f64 {
        match self {
            Self::Same(value) => *value,
            Self::List(values) => values[index],
        }
    }
}

impl From<DrawnQuantity> for Distribution {
    fn from(drawn: DrawnQuantity) -> Self {
        match drawn {
            DrawnQuantity::Uniform(low, high) => Self::Uniform(low, high),
            DrawnQuantity::Choice(values) => Self::Choice(values),
        }
    }
}

/// The field of a scenario that a parameter of the model comes from.
fn field_of(parameter: &str) -> &'static str {
    match parameter {
        "devices" => "system.devices",
        "servers" => "system.servers",
        "arrival_slots" => "system.slots",
        "slot_seconds" => "system.slot_seconds",
        "deadline_slots" => "tasks.deadline_slots",
        "cpu_ghz" => "system.device_ghz",
        "compute_w" => "system.power.compute_w",
        "transmit_w" => "system.power.transmit_w",
        "idle_w" => "system.power.idle_w",
        "arrival_probability" => "tasks.arrival_probability",
        "ghz" => "system.server_ghz",
        "power_w" => "system.power.server_w",
        "uplink" => "system.uplink_mbps",
        "size_mbit" => "tasks.size_mbit",
        "density" => "tasks.density",
        "power_preference" => "alpha",
        _ => "",
    }
}
