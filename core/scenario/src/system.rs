//! The system that a scenario describes.

use std::path::PathBuf;
use std::sync::Arc;

use offramp_model::rng::{Purpose, StreamFamily, WHOLE_RUN};
use offramp_model::{
    Arrivals, Device, Distribution, EnergyAccounting, InvalidSystem, Outages, PowerPreference,
    PreferenceRule, Range, Server, System, SystemParameters, TaskClass, Uplink, UplinkRates,
};
use serde::de::DeserializeOwned;

use crate::fault::explain;
use crate::file::{
    AlphaRule, DrawnQuantity, EnergyField, NamedArrivals, NamedRates, OutageSection, Quantity,
    ScenarioFile,
};
use crate::name::check_name;
use crate::recording::{Parts, Recordings};
use crate::source::Source;
use crate::{Fault, Raw, recording, world};

/// Upper bound on the numbers in a window of history, K × M.
const MAX_LOADS: u64 = 100_000_000;
/// Upper bound on devices × servers.
const MAX_PAIRS: u64 = 10_000_000_000;

/// The system of a scenario; what is drawn once for it is drawn with `system.seed`.
pub(crate) fn system(source: Source<'_>, file: &ScenarioFile) -> Result<Systems, Fault> {
    source.bounds(file)?;
    source.modes(&file.alpha.modes)?;
    let drawn = |purpose| StreamFamily::new(file.system.seed, WHOLE_RUN, purpose);
    // Tracks first: other files may use the names that they give to devices.
    let mut recordings = Recordings::new(source, file)?;
    let world = world::world(source, file, &mut recordings, drawn(Purpose::STATIONS))?;
    let uplink = source.uplink(file, &mut recordings, drawn(Purpose::UPLINK))?;
    let mut classes = source.classes(file)?;
    let field = "tasks.arrivals";
    let recorded = source.files_in(field, &file.tasks.arrivals, "Recorded")?;
    let recorded =
        recorded.map(|named| recordings.tasks(field, &named, file, &mut classes)).transpose()?;
    let parts = Parts::of(file.recordings.as_ref());
    let parameters = SystemParameters {
        slot_seconds: file.system.slot_seconds,
        arrival_slots: file.system.slots,
        devices: source.devices(file, drawn(Purpose::DEVICE))?,
        servers: source.servers(file, drawn(Purpose::SERVER))?,
        uplink,
        world,
        backhaul: world::backhaul(source, file)?,
        outages: source.outages(file)?,
        classes,
        // Recorded tasks take its place.
        arrivals: if recorded.is_some() { Arrivals::Bernoulli } else { source.arrivals(file)? },
        recorded,
        window: parts.evaluation,
        power_preference: PowerPreference {
            modes: file.alpha.modes.clone(),
            rule: match file.alpha.rule {
                AlphaRule::PerEpisode => PreferenceRule::PerEpisode,
                AlphaRule::Fixed => PreferenceRule::Fixed(drawn(Purpose::POWER_MODE)),
                AlphaRule::Switching(probability) => PreferenceRule::Switching(probability),
            },
        },
        energy: match file.energy {
            EnergyField::Published => EnergyAccounting::Published,
            EnergyField::Physical => EnergyAccounting::Physical,
        },
    };
    recording::check(source, file, &parameters)?;
    let invalid = |InvalidSystem { parameter, fault }: InvalidSystem| {
        // What is too short may be so because of the division.
        let is_divided = file.recordings.is_some() && fault.starts_with("the part ");
        let field = if is_divided { "recordings" } else { field_of(parameter) };
        let help = "record for longer, or shorten `system.slots`".to_owned();
        let help = fault.starts_with("the part ").then_some(help);
        source.fault(field, fault, help)
    };
    let evaluation = System::new(parameters).map(Arc::new).map_err(invalid)?;
    Ok(Systems {
        training: evaluation.during(parts.training).map_err(invalid)?,
        validation: evaluation.during(parts.validation).map_err(invalid)?,
        evaluation,
        files: recordings.files,
    })
}

/// A system, by the part of its recordings; one and the same if it has none.
pub(crate) struct Systems {
    pub(crate) training: Arc<System>,
    pub(crate) validation: Arc<System>,
    pub(crate) evaluation: Arc<System>,
    /// The files of recorded data that were read.
    pub(crate) files: Vec<PathBuf>,
}

impl Source<'_> {
    /// Checks that what is kept for each server and each device fits into memory.
    fn bounds(&self, file: &ScenarioFile) -> Result<(), Fault> {
        let (devices, servers) = (u64::from(file.system.devices), u64::from(file.system.servers));
        if u64::from(file.history_slots) * servers > MAX_LOADS {
            let message = format!("history_slots × servers is more than {MAX_LOADS}");
            return Err(self.fault("history_slots", message, None));
        }
        if devices * servers > MAX_PAIRS {
            let message = format!("devices × servers is more than {MAX_PAIRS}");
            return Err(self.fault("system.devices", message, None));
        }
        Ok(())
    }

    /// Checks that the power modes differ: results have a row for each.
    fn modes(&self, modes: &[f64]) -> Result<(), Fault> {
        let Some(twice) = (1..modes.len()).find(|&at| modes[..at].contains(&modes[at])) else {
            return Ok(());
        };
        let message = format!("the power mode {} is listed twice", modes[twice]);
        let help = "list each α once: devices draw all modes equally often".to_owned();
        Err(self.fault(&format!("alpha.modes.{twice}"), message, Some(help)))
    }

    /// The classes of tasks; one that is called `task` if none are named.
    fn classes(&self, file: &ScenarioFile) -> Result<Vec<TaskClass>, Fault> {
        let tasks = &file.tasks;
        let all = TaskClass {
            name: "task".to_owned(),
            share: 1.0,
            size_mbit: self.distribution("tasks.size_mbit", &tasks.size_mbit)?,
            density: self.distribution("tasks.density", &tasks.density)?,
            deadline_slots: tasks.deadline_slots,
        };
        if tasks.classes.is_empty() {
            return Ok(vec![all]);
        }
        let mut classes: Vec<TaskClass> = Vec::with_capacity(tasks.classes.len());
        for (number, section) in tasks.classes.iter().enumerate() {
            let field = |name: &str| format!("tasks.classes.{number}.{name}");
            check_name(&section.name).map_err(|fault| self.fault(&field("name"), fault, None))?;
            if classes.iter().any(|class| class.name == section.name) {
                let message = format!("two classes are called `{}`", section.name);
                return Err(self.fault(&field("name"), message, None));
            }
            let own = |name: &str, raw: &Option<Raw>, all: &Distribution, range: &Range| {
                let Some(raw) = raw else { return Ok(all.clone()) };
                let drawn = self.distribution(&field(name), raw)?;
                let fault = drawn.fault(range).map(|fault| self.fault(&field(name), fault, None));
                fault.map_or(Ok(drawn), Err)
            };
            if section.deadline_slots == Some(0) {
                let message = "a deadline of at least one slot is needed".to_owned();
                return Err(self.fault(&field("deadline_slots"), message, None));
            }
            classes.push(TaskClass {
                name: section.name.clone(),
                share: section.share,
                size_mbit: own("size_mbit", &section.size_mbit, &all.size_mbit, &Range::Positive)?,
                density: own("density", &section.density, &all.density, &Range::Positive)?,
                deadline_slots: section.deadline_slots.unwrap_or(tasks.deadline_slots),
            });
        }
        Ok(classes)
    }

    /// The process of arrivals.
    fn arrivals(&self, file: &ScenarioFile) -> Result<Arrivals, Fault> {
        let forms = "Bernoulli, Bursty(p_on: …, p_off: …, probability_on: …, probability_off: …), \
                     Daily(period_slots: …, amplitude: …) or Recorded(\"FILE\")";
        Ok(match self.named("tasks.arrivals", &file.tasks.arrivals, forms)? {
            NamedArrivals::Bernoulli => Arrivals::Bernoulli,
            NamedArrivals::Bursty { p_on, p_off, probability_on, probability_off } => {
                Arrivals::Bursty { p_on, p_off, probability_on, probability_off }
            }
            NamedArrivals::Daily { period_slots, amplitude } => {
                Arrivals::Daily { period_slots, amplitude }
            }
        })
    }

    /// The outages of servers.
    fn outages(&self, file: &ScenarioFile) -> Result<Option<Outages>, Fault> {
        let Some(section) = &file.system.outages else { return Ok(None) };
        let OutageSection { mean_up_slots, mean_down_slots, servers, capacity } = section;
        let capacity = *capacity;
        let fault = |field: &str, message: &str| {
            let help = "write (mean_up_slots: …, mean_down_slots: …) for outages that are drawn, or \
                        (servers: [1, 2]) for servers that are down";
            let field = format!("system.outages{field}");
            Err(self.fault(&field, message.to_owned(), Some(help.to_owned())))
        };
        match (mean_up_slots, mean_down_slots) {
            (Some(_), _) | (_, Some(_)) if !servers.is_empty() => {
                fault(".servers", "outages are drawn or of named servers, not both")
            }
            (&Some(mean_up_slots), &Some(mean_down_slots)) => {
                Ok(Some(Outages::Drawn { mean_up_slots, mean_down_slots, capacity }))
            }
            (None, None) if !servers.is_empty() => {
                let count = file.system.servers;
                for (at, &server) in servers.iter().enumerate() {
                    let place = format!(".servers.{at}");
                    if !(1..=count).contains(&server) {
                        return fault(&place, &format!("there is no server {server}: 1 … {count}"));
                    }
                    if servers[..at].contains(&server) {
                        return fault(&place, &format!("server {server} is listed twice"));
                    }
                }
                let servers = servers.iter().map(|server| server - 1).collect();
                Ok(Some(Outages::Servers { servers, capacity }))
            }
            (None, None) => fault("", "it does not say which servers are down, or when"),
            (Some(_), None) => fault("", "`mean_down_slots` is missing"),
            (None, Some(_)) => fault("", "`mean_up_slots` is missing"),
        }
    }

    /// Reads a value that has a few named forms, which `forms` lists.
    pub(crate) fn named<T: DeserializeOwned>(
        &self,
        field: &str,
        raw: &Raw,
        forms: &str,
    ) -> Result<T, Fault> {
        raw.read().map_err(|error| {
            let (message, help) = explain(&error.code);
            self.fault(field, message, Some(help.unwrap_or_else(|| format!("it may be {forms}"))))
        })
    }

    fn devices(&self, file: &ScenarioFile, streams: StreamFamily) -> Result<Vec<Device>, Fault> {
        let count = file.system.devices as usize;
        let each = |field: &'static str, raw: &Raw, draw: u64, range: Range| {
            self.each(field, raw, ("devices", count), (streams, draw), range)
        };
        // The last number is the position of the quantity in its device's stream: never renumber.
        let power = &file.system.power;
        let cpu = each("system.device_ghz", &file.system.device_ghz, 0, Range::Positive)?;
        let compute = each("system.power.compute_w", &power.compute_w, 1, Range::NotNegative)?;
        let transmit = each("system.power.transmit_w", &power.transmit_w, 2, Range::NotNegative)?;
        let idle = each("system.power.idle_w", &power.idle_w, 3, Range::NotNegative)?;
        let arrival =
            each("tasks.arrival_probability", &file.tasks.arrival_probability, 4, Range::Unit)?;
        let device = |index| Device {
            cpu_ghz: cpu.at(index),
            compute_w: compute.at(index),
            transmit_w: transmit.at(index),
            idle_w: idle.at(index),
            arrival_probability: arrival.at(index),
        };
        Ok((0..count).map(device).collect())
    }

    fn servers(&self, file: &ScenarioFile, streams: StreamFamily) -> Result<Vec<Server>, Fault> {
        let count = file.system.servers as usize;
        let each = |field: &'static str, raw: &Raw, draw: u64, range: Range| {
            self.each(field, raw, ("servers", count), (streams, draw), range)
        };
        // As for devices: never renumber.
        let ghz = each("system.server_ghz", &file.system.server_ghz, 0, Range::Positive)?;
        let power =
            each("system.power.server_w", &file.system.power.server_w, 1, Range::NotNegative)?;
        let server = |index| Server { ghz: ghz.at(index), power_w: power.at(index) };
        Ok((0..count).map(server).collect())
    }

    /// A quantity of each of `count` devices or servers, named `of` in errors, drawn from each one's
    /// stream, at position `draw`. What a distribution can yield must be in `range`; other values are
    /// checked with the system.
    fn each(
        &self,
        field: &'static str,
        raw: &Raw,
        (of, count): (&str, usize),
        (streams, draw): (StreamFamily, u64),
        range: Range,
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
        self.drawable(field, &distribution, range)?;
        let value = |entity| distribution.draw(&mut streams.of(entity).skip(draw));
        Ok(Each::List((0..count as u64).map(value).collect()))
    }

    /// Reads a number, a list or a distribution.
    fn quantity(&self, field: &str, raw: &Raw) -> Result<Quantity, Fault> {
        raw.quantity().map_err(|error| {
            let (message, help) = explain(&error.code);
            let forms = "a number, a list, Uniform(low, high) or Choice([…])";
            self.fault(field, message, Some(help.unwrap_or_else(|| format!("it may be {forms}"))))
        })
    }

    /// Checks that a distribution is valid before anything is drawn from it.
    fn drawable(
        &self,
        field: &str,
        distribution: &Distribution,
        range: Range,
    ) -> Result<(), Fault> {
        match distribution.fault(&range) {
            None => Ok(()),
            Some(fault) => Err(self.fault(field, fault, None)),
        }
    }

    /// A quantity that is drawn for each task.
    fn distribution(&self, field: &str, raw: &Raw) -> Result<Distribution, Fault> {
        match self.quantity(field, raw)? {
            Quantity::One(value) => Ok(Distribution::Constant(value)),
            Quantity::Drawn(drawn) => Ok(drawn.into()),
            Quantity::List(_) => {
                let message = "a list can't describe tasks".to_owned();
                let help = "did you mean Choice([…])?".to_owned();
                Err(self.fault(field, message, Some(help)))
            }
        }
    }

    /// Reads the uplinks, whose rates are constant or recorded.
    fn uplink(
        &self,
        file: &ScenarioFile,
        recordings: &mut Recordings<'_>,
        streams: StreamFamily,
    ) -> Result<Uplink, Fault> {
        let (field, raw) = ("system.uplink_mbps", &file.system.uplink_mbps);
        match self.files_in(field, raw, "Recorded")? {
            Some(named) => {
                let rates = recordings.rates(field, &named, &file.system)?;
                Ok(Uplink::Recorded(Arc::new(rates)))
            }
            None => self.constant_rates(field, raw, streams).map(Uplink::Constant),
        }
    }

    fn constant_rates(
        &self,
        field: &str,
        raw: &Raw,
        streams: StreamFamily,
    ) -> Result<UplinkRates, Fault> {
        let named = raw.0.starts_with(|first: char| first.is_alphabetic());
        let parsed = if named {
            ron::from_str::<NamedRates>(&raw.0)
        } else {
            ron::from_str::<f64>(&raw.0).map(|rate| NamedRates::Uniform(rate, rate))
        };
        let rates = parsed.map_err(|error| {
            let (message, help) = explain(&error.code);
            let forms = "it may be a number, Uniform(low, high), Choice([…]), PerDevice([…]), \
                         PerServer([…]), PerPair([[…], …]) or Recorded(\"FILE\")";
            self.fault(field, message, Some(help.unwrap_or_else(|| forms.to_owned())))
        })?;
        let drawn = |distribution: Distribution| {
            self.drawable(field, &distribution, Range::ZeroOrPositive)?;
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

/// The values of a quantity of devices or servers.
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

/// The field of a scenario that determines a parameter of the model.
fn field_of(parameter: &str) -> &'static str {
    match parameter {
        "devices" => "system.devices",
        "servers" => "system.servers",
        "arrival_slots" => "system.slots",
        "slot_seconds" => "system.slot_seconds",
        "deadline_slots" => "tasks.deadline_slots",
        "arrivals" => "tasks.arrivals",
        "classes" | "share" => "tasks.classes",
        "recorded" => "tasks.arrivals",
        "delay_slots" => "system.backhaul.delay_slots",
        "mbps" => "system.backhaul.mbps",
        "mean_up_slots" => "system.outages.mean_up_slots",
        "mean_down_slots" => "system.outages.mean_down_slots",
        "capacity" => "system.outages.capacity",
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
        parameter => world::field_of(parameter),
    }
}
