//! The system: the devices, servers, channel and tasks, which stay the same during an episode.

use std::sync::Arc;

use crate::arrivals::Arrivals;
use crate::backhaul::{Backhaul, Ways};
use crate::channel::{Uplink, UplinkRates};
use crate::class::TaskClass;
use crate::device::{Device, PowerPreference, PreferenceRule};
use crate::distribution::{Distribution, Range};
use crate::energy::EnergyAccounting;
use crate::outage::Outages;
use crate::recording::{RecordedTasks, Window};
use crate::server::Server;
use crate::world::association::Neighbours;
use crate::world::{Band, Mobility, Position, Radio, World};

/// The parameters of a [`System`], not yet checked.
#[derive(Clone, Debug, PartialEq)]
pub struct SystemParameters {
    /// τ: duration of a slot, seconds, above 0.
    pub slot_seconds: f64,
    /// S: slots in which tasks may arrive, at least 1.
    pub arrival_slots: u32,
    /// The N devices, at least 1.
    pub devices: Vec<Device>,
    /// The M servers, at least 1.
    pub servers: Vec<Server>,
    /// R: uplink rate of each device to each server, Mbit/s; 0 where there is no coverage. A radio
    /// channel of `world` takes its place.
    pub uplink: Uplink,
    /// Positions, movement, radio channel and serving stations; `None` if rates depend on none.
    pub world: Option<Arc<World>>,
    /// The wired ways to servers.
    pub backhaul: Backhaul,
    /// Outages of servers; `None` if there are none.
    pub outages: Option<Outages>,
    /// The classes of tasks, at least one; by shares.
    pub classes: Vec<TaskClass>,
    /// The process by which tasks arrive.
    pub arrivals: Arrivals,
    /// Tasks that were recorded; they take the place of `arrivals` and are of the first class, or of
    /// that which they name.
    pub recorded: Option<Arc<RecordedTasks>>,
    /// The part of recordings (of tasks, rates and tracks) that episodes are taken from.
    pub window: Window,
    /// α: the power modes of devices, and the rule by which devices draw one.
    pub power_preference: PowerPreference,
    /// The accounting that rewards and metrics use.
    pub energy: EnergyAccounting,
}

/// A parameter that is out of range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{parameter}: {fault}")]
pub struct InvalidSystem {
    /// The field of [`SystemParameters`], of a [`Device`] or of a [`Server`].
    pub parameter: &'static str,
    /// Its value and the range needed.
    pub fault: String,
}

/// A system whose parameters are valid.
#[derive(Clone, Debug)]
pub struct System {
    parameters: SystemParameters,
    reference_energy: f64,
    deadline_slots: u32,
    /// Size and density.
    largest: (f64, f64),
    changes: bool,
    /// The stations near each place, if there are positions.
    neighbours: Option<Arc<Neighbours>>,
}

impl SystemParameters {
    /// N of the paper.
    pub const PAPER_DEVICES: usize = 50;
    /// M of the paper.
    pub const PAPER_SERVERS: usize = 5;

    /// The parameters of the paper's section 6.1, for any number of devices and
    /// servers. This is the only place where these values stand.
    ///
    /// | symbol | value | |
    /// |---|---|---|
    /// | τ | 0.1 s | duration of a slot |
    /// | S | 100 | slots in which tasks arrive |
    /// | D_max | 10 slots | deadline |
    /// | f^L | 2.6 GHz | CPU of a device |
    /// | f^E | 42 GHz | CPU of a server |
    /// | R | 14 Mbit/s | uplink rate |
    /// | λ | 1 … 7 Mbit | size of a task, uniform |
    /// | ρ | 0.197, 0.297 or 0.397 Gcycles/Mbit | density of a task, equally likely |
    /// | z | 0.3 | probability that a task arrives |
    /// | p^C | 2.0 W | device, computing |
    /// | p^T | 2.3 W | device, sending |
    /// | p^I | 0.1 W | device, waiting for a server |
    /// | p^E | 5.0 W | server, computing |
    /// | α | 0.25, 0.5 or 0.75 | power modes, drawn per episode |
    ///
    /// Energy: the published accounting, on which the paper's tables rest.
    pub fn paper(devices: usize, servers: usize) -> Self {
        let device = Device {
            cpu_ghz: 2.6,
            compute_w: 2.0,
            transmit_w: 2.3,
            idle_w: 0.1,
            arrival_probability: 0.3,
        };
        Self {
            slot_seconds: 0.1,
            arrival_slots: 100,
            devices: vec![device; devices],
            servers: vec![Server { ghz: 42.0, power_w: 5.0 }; servers],
            uplink: UplinkRates::Same(14.0).into(),
            world: None,
            backhaul: Backhaul::NONE,
            outages: None,
            classes: vec![TaskClass {
                name: "task".into(),
                share: 1.0,
                size_mbit: Distribution::Uniform(1.0, 7.0),
                density: Distribution::Choice(vec![0.197, 0.297, 0.397]),
                deadline_slots: 10,
            }],
            arrivals: Arrivals::Bernoulli,
            recorded: None,
            window: Window::WHOLE,
            power_preference: PowerPreference {
                modes: vec![0.25, 0.5, 0.75],
                rule: PreferenceRule::PerEpisode,
            },
            energy: EnergyAccounting::Published,
        }
    }

    /// True if tasks, rates or tracks are recorded, so that episodes are parts of recordings.
    pub fn has_recordings(&self) -> bool {
        let tracks = |world: &Arc<World>| matches!(world.mobility, Mobility::Recorded(_));
        self.recorded.is_some()
            || matches!(self.uplink, Uplink::Recorded(_))
            || self.world.as_ref().is_some_and(tracks)
    }
}

impl System {
    /// The system with these parameters.
    ///
    /// # Errors
    /// [`InvalidSystem`] names the first parameter out of range: no device or server, a number
    /// that is not finite or not positive, a probability or α outside 0 … 1, a list of rates
    /// whose length is not that of devices or servers.
    pub fn new(parameters: SystemParameters) -> Result<Self, InvalidSystem> {
        check(&parameters)?;
        let reference_energy = reference_energy(&parameters);
        let deadline_slots = longest_deadline(&parameters);
        let largest = largest(&parameters);
        let changes = parameters.world.is_some()
            || parameters.outages.is_some()
            || parameters.backhaul != Backhaul::NONE
            || matches!(parameters.uplink, Uplink::Recorded(_));
        let neighbours = parameters.world.as_ref();
        let neighbours = neighbours.map(|world| Arc::new(Neighbours::new(&world.stations)));
        Ok(Self { parameters, reference_energy, deadline_slots, largest, changes, neighbours })
    }

    /// The system of [`SystemParameters::paper`]: the start of examples and tests.
    ///
    /// # Panics
    /// If `devices` or `servers` is 0.
    pub fn paper(devices: usize, servers: usize) -> Self {
        match Self::new(SystemParameters::paper(devices, servers)) {
            Ok(system) => system,
            Err(fault) => panic!("{fault}"),
        }
    }

    /// The parameters it was made from.
    pub fn parameters(&self) -> &SystemParameters {
        &self.parameters
    }

    /// N: number of devices.
    pub fn device_count(&self) -> u32 {
        self.parameters.devices.len() as u32
    }

    /// M: number of servers.
    pub fn server_count(&self) -> u32 {
        self.parameters.servers.len() as u32
    }

    /// D_max: slots within which a task must end, counting that of its arrival; the longest of all
    /// classes and recorded tasks.
    pub fn deadline_slots(&self) -> u32 {
        self.deadline_slots
    }

    /// T = S + D_max: slots of an episode, so that every task can meet its deadline.
    pub fn slot_count(&self) -> u32 {
        self.parameters.arrival_slots + self.deadline_slots
    }

    /// The accounting that rewards and metrics use.
    pub fn energy(&self) -> EnergyAccounting {
        self.parameters.energy
    }

    /// R of a device to a server, both counted from 0, Mbit/s, where rates are constant; otherwise 0.
    #[inline]
    pub fn constant_mbps(&self, device: u32, server: u32) -> f64 {
        match &self.parameters.uplink {
            Uplink::Constant(rates) => rates.mbps(device, server),
            Uplink::Recorded(_) => 0.0,
        }
    }

    /// False if a device can never send to a server: its constant rate there is 0.
    pub fn reaches(&self, device: u32, server: u32) -> bool {
        self.rates_change() || self.constant_mbps(device, server) > 0.0
    }

    /// The fastest rate that an uplink can have, Mbit/s.
    pub fn fastest_mbps(&self) -> f64 {
        match self.radio() {
            Some(radio) => radio.parameters().bandwidth_mhz * radio.parameters().max_efficiency,
            None => self.parameters.uplink.fastest(),
        }
    }

    /// True if uplink rates change during an episode.
    pub fn rates_change(&self) -> bool {
        self.radio().is_some() || matches!(self.parameters.uplink, Uplink::Recorded(_))
    }

    /// True if the devices that send to a station in a slot share its band.
    pub fn shares_bands(&self) -> bool {
        let world = self.parameters.world.as_ref();
        world.is_some_and(|world| world.radio.is_some() && world.band == Band::Shared)
    }

    /// The stations that a device at `place` measures; none without positions.
    pub(crate) fn stations_near(&self, place: Position) -> &[u32] {
        self.neighbours.as_ref().map_or(&[], |neighbours| neighbours.of(place))
    }

    fn radio(&self) -> Option<&Radio> {
        self.parameters.world.as_deref()?.radio.as_deref()
    }

    /// True if something besides its tasks changes during an episode, or tasks take wired ways.
    #[inline]
    pub fn changes(&self) -> bool {
        self.changes
    }

    /// This system, its episodes taken from another part of its recordings; itself where it has none.
    ///
    /// # Errors
    /// [`InvalidSystem`] if that part is too short for an episode.
    pub fn during(self: &Arc<Self>, window: Window) -> Result<Arc<Self>, InvalidSystem> {
        let parameters = &self.parameters;
        if !parameters.has_recordings() || window == parameters.window {
            return Ok(Arc::clone(self));
        }
        Self::new(SystemParameters { window, ..parameters.clone() }).map(Arc::new)
    }

    /// The largest size that a task is drawn with or was recorded with, Mbit.
    pub fn largest_mbit(&self) -> f64 {
        self.largest.0
    }

    /// The highest density that a task is drawn with or was recorded with, Gcycles per Mbit.
    pub fn highest_density(&self) -> f64 {
        self.largest.1
    }

    /// E_ref: physical energy, J, of the largest and densest task executed in the costliest way
    /// on the device that uses most: computed locally (p^C · λρ/f^L), or sent over the slowest
    /// uplink that has coverage and awaited until the deadline (p^T · λ/R + p^I · D_max · τ). Where
    /// rates are drawn from 0 up, none is the slowest: there sending ends with the deadline
    /// (p^T · D_max · τ).
    pub fn reference_energy(&self) -> f64 {
        self.reference_energy
    }
}

/// The longest deadline of all tasks, slots.
fn longest_deadline(parameters: &SystemParameters) -> u32 {
    let classes = parameters.classes.iter().map(|class| class.deadline_slots);
    let recorded = parameters.recorded.iter().flat_map(|recorded| recorded.tasks());
    classes.chain(recorded.map(|task| task.arrival.deadline_slots)).max().unwrap_or(0)
}

/// The largest size, Mbit, and the highest density, Gcycles per Mbit, of all tasks.
fn largest(parameters: &SystemParameters) -> (f64, f64) {
    let classes =
        parameters.classes.iter().map(|class| (class.size_mbit.max(), class.density.max()));
    let recorded = parameters.recorded.iter().flat_map(|recorded| recorded.tasks());
    let recorded = recorded.map(|task| (task.arrival.size_mbit, task.arrival.density));
    classes.chain(recorded).fold((0.0, 0.0), |(size, density), (other, denser)| {
        (size.max(other), f64::max(density, denser))
    })
}

fn reference_energy(parameters: &SystemParameters) -> f64 {
    let (size, density) = largest(parameters);
    let longest_wait = f64::from(longest_deadline(parameters)) * parameters.slot_seconds;
    let has_radio = parameters.world.as_ref().is_some_and(|world| world.radio.is_some());
    (0..).zip(&parameters.devices).fold(0.0, |most, (index, device)| {
        let local = device.compute_w * size * density / device.cpu_ghz;
        // With a radio channel no rate is the slowest.
        let slowest = if has_radio { Some(0.0) } else { parameters.uplink.slowest(index) };
        let offloaded = slowest.map_or(0.0, |rate| {
            let sending = if rate > 0.0 {
                device.transmit_w * size / rate
            } else {
                device.transmit_w * longest_wait
            };
            sending + device.idle_w * longest_wait
        });
        local.max(offloaded).max(most)
    })
}

fn check(parameters: &SystemParameters) -> Result<(), InvalidSystem> {
    let fail = |parameter, fault: String| Err(InvalidSystem { parameter, fault });
    let number = |parameter, value: f64, range: Range| match range.fault(value) {
        None => Ok(()),
        Some(fault) => fail(parameter, fault),
    };
    let distribution = |parameter, value: &Distribution, range| match value.fault(&range) {
        None => Ok(()),
        Some(fault) => fail(parameter, fault),
    };
    let SystemParameters { devices, servers, power_preference, .. } = parameters;
    // One value below u32::MAX stands for "none" in the engine's indices.
    let most = u32::MAX as usize - 1;
    if devices.is_empty() || devices.len() > most {
        return fail("devices", "at least one device is needed".into());
    }
    if servers.is_empty() || servers.len() > most {
        return fail("servers", "at least one server is needed".into());
    }
    if parameters.arrival_slots == 0 {
        return fail("arrival_slots", "at least one slot is needed".into());
    }
    if parameters.classes.is_empty() {
        return fail("classes", "at least one class of tasks is needed".into());
    }
    if parameters.classes.iter().any(|class| class.deadline_slots == 0) {
        return fail("deadline_slots", "a deadline of at least one slot is needed".into());
    }
    let longest = longest_deadline(parameters);
    if parameters.arrival_slots.checked_add(longest).is_none() {
        return fail("arrival_slots", "arrival slots and deadline together are too many".into());
    }
    number("slot_seconds", parameters.slot_seconds, Range::Positive)?;
    for device in devices {
        number("cpu_ghz", device.cpu_ghz, Range::Positive)?;
        number("compute_w", device.compute_w, Range::NotNegative)?;
        number("transmit_w", device.transmit_w, Range::NotNegative)?;
        number("idle_w", device.idle_w, Range::NotNegative)?;
        number("arrival_probability", device.arrival_probability, Range::Unit)?;
    }
    for server in servers {
        number("ghz", server.ghz, Range::Positive)?;
        number("power_w", server.power_w, Range::NotNegative)?;
    }
    let rates = |rates: &[f64], wanted: usize, of: &str| {
        if rates.len() != wanted {
            return fail(
                "uplink",
                format!("{} rates for {wanted} {of}: one each is needed", rates.len()),
            );
        }
        rates.iter().try_for_each(|&rate| number("uplink", rate, Range::ZeroOrPositive))
    };
    let constant = match &parameters.uplink {
        Uplink::Constant(rates) => rates,
        Uplink::Recorded(recorded) => {
            if recorded.servers().is_some_and(|count| count as usize != servers.len()) {
                return fail("uplink", format!("rates to other than {} servers", servers.len()));
            }
            &UplinkRates::Same(0.0)
        }
    };
    match constant {
        UplinkRates::Same(rate) => number("uplink", *rate, Range::ZeroOrPositive)?,
        UplinkRates::PerDevice(list) => rates(list, devices.len(), "devices")?,
        UplinkRates::PerServer(list) => rates(list, servers.len(), "servers")?,
        UplinkRates::PerPair(rows) => {
            if rows.len() != devices.len() {
                let fault = format!("{} rows for {} devices", rows.len(), devices.len());
                return fail("uplink", fault);
            }
            rows.iter().try_for_each(|row| rates(row, servers.len(), "servers"))?;
        }
        UplinkRates::Drawn(drawn, _) => distribution("uplink", drawn, Range::ZeroOrPositive)?,
    }
    for class in &parameters.classes {
        number("share", class.share, Range::Positive)?;
        distribution("size_mbit", &class.size_mbit, Range::Positive)?;
        distribution("density", &class.density, Range::Positive)?;
    }
    arrivals(parameters)?;
    if let Some(world) = &parameters.world {
        world.check(devices.len() as u32, servers.len() as u32, parameters.slot_seconds).map_err(
            |invalid| InvalidSystem { parameter: invalid.parameter, fault: invalid.fault },
        )?;
    }
    backhaul(parameters)?;
    match &parameters.outages {
        None => {}
        Some(Outages::Drawn { mean_up_slots, mean_down_slots, capacity }) => {
            for (parameter, &value) in
                [("mean_up_slots", mean_up_slots), ("mean_down_slots", mean_down_slots)]
            {
                number(parameter, value, Range::Positive)?;
                if value < 1.0 {
                    return fail(
                        parameter,
                        format!("{value} is out of range: 1 or more is needed"),
                    );
                }
            }
            number("capacity", *capacity, Range::Unit)?;
        }
        Some(Outages::Servers { servers: down, capacity }) => {
            if let Some(server) = down.iter().find(|&&server| server as usize >= servers.len()) {
                let fault = format!("server {} of {}", u64::from(*server) + 1, servers.len());
                return fail("outages", fault);
            }
            number("capacity", *capacity, Range::Unit)?;
        }
    }
    windows(parameters)?;
    if power_preference.modes.is_empty() {
        return fail("power_preference", "at least one power mode is needed".into());
    }
    for &mode in &power_preference.modes {
        number("power_preference", mode, Range::Unit)?;
    }
    if let PreferenceRule::Switching(probability) = power_preference.rule {
        number("power_preference", probability, Range::Unit)?;
    }
    Ok(())
}

/// Checks the process of arrivals, and recorded tasks.
fn arrivals(parameters: &SystemParameters) -> Result<(), InvalidSystem> {
    let fail = |parameter, fault: String| Err(InvalidSystem { parameter, fault });
    match parameters.arrivals {
        Arrivals::Bernoulli => {}
        Arrivals::Bursty { p_on, p_off, probability_on, probability_off } => {
            for value in [p_on, p_off, probability_on, probability_off] {
                if let Some(fault) = Range::Unit.fault(value) {
                    return fail("arrivals", fault);
                }
            }
            if p_on == 0.0 || p_off == 0.0 {
                return fail("arrivals", "p_on and p_off are above 0, so that bursts end".into());
            }
        }
        Arrivals::Daily { period_slots, amplitude } => {
            if let Some(fault) = Range::Positive.fault(period_slots) {
                return fail("arrivals", fault);
            }
            if let Some(fault) = Range::Unit.fault(amplitude) {
                return fail("arrivals", fault);
            }
            let most = parameters.devices.iter().map(|device| device.arrival_probability);
            let most = most.fold(0.0, f64::max) * (1.0 + amplitude);
            if most > 1.0 {
                let fault = format!("at its peak the probability of an arrival is {most}, above 1");
                return fail("arrivals", fault);
            }
        }
    }
    let Some(recorded) = &parameters.recorded else { return Ok(()) };
    for task in recorded.tasks() {
        if task.arrival.device as usize >= parameters.devices.len() {
            let (device, devices) = (task.arrival.device, parameters.devices.len());
            return fail("recorded", format!("a task of device {device}: there are {devices}"));
        }
        if task.arrival.class as usize >= parameters.classes.len() {
            return fail("recorded", format!("a task of class {}", task.arrival.class));
        }
    }
    Ok(())
}

/// Checks the wired ways.
fn backhaul(parameters: &SystemParameters) -> Result<(), InvalidSystem> {
    let fail = |parameter, fault: String| Err(InvalidSystem { parameter, fault });
    let servers = parameters.servers.len();
    let stations = parameters.world.as_ref().map_or(0, |world| world.stations.len());
    let Backhaul { delay_slots, mbps } = &parameters.backhaul;
    for (parameter, ways) in [("delay_slots", delay_slots), ("mbps", mbps)] {
        match ways {
            Ways::PerServer(values) if values.len() != servers => {
                return fail(parameter, format!("{} values for {servers} servers", values.len()));
            }
            Ways::PerPair(rows)
                if rows.len() != stations || rows.iter().any(|row| row.len() != servers) =>
            {
                let fault = format!("{stations} rows of {servers} values are needed");
                return fail(parameter, fault);
            }
            _ => {}
        }
    }
    let is_given = *delay_slots != Backhaul::NONE.delay_slots || *mbps != Backhaul::NONE.mbps;
    let same = matches!((delay_slots, mbps), (Ways::Same(_), Ways::Same(_)));
    if stations == 0 && same && is_given {
        let fault = "one value for all ways has no effect without stations: list one per server";
        return fail("delay_slots", fault.into());
    }
    for value in delay_slots.values() {
        if !(0.0..=1e9).contains(&value) || value.fract() != 0.0 {
            return fail("delay_slots", format!("{value} is not a number of slots from 0 to 10⁹"));
        }
    }
    for value in mbps.values() {
        // An infinite rate takes no time.
        let fault = Range::Positive.fault(value).filter(|_| value != f64::INFINITY);
        if let Some(fault) = fault {
            return fail("mbps", fault);
        }
    }
    Ok(())
}

/// Checks that each recording is long enough.
fn windows(parameters: &SystemParameters) -> Result<(), InvalidSystem> {
    let fail = |parameter, fault: Option<String>| match fault {
        Some(fault) => Err(InvalidSystem { parameter, fault }),
        None => Ok(()),
    };
    let slots = parameters.arrival_slots + longest_deadline(parameters);
    let window = parameters.window;
    if let Some(recorded) = &parameters.recorded {
        fail("recorded", window.fault(recorded.slot_count(), parameters.arrival_slots))?;
    }
    if let Uplink::Recorded(rates) = &parameters.uplink {
        fail("uplink", window.fault(rates.slot_count(), slots))?;
    }
    let world = parameters.world.as_ref();
    if let Some(tracks) =
        world.and_then(|world| world.mobility.recorded_slots(parameters.slot_seconds))
    {
        fail("tracks", window.fault(tracks, slots))?;
    }
    Ok(())
}
