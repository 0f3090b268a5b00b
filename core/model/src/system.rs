//! The system: the devices, servers, channel and tasks, which stay the same during an episode.

use crate::channel::UplinkRates;
use crate::device::{Device, PowerPreference, PreferenceRule};
use crate::distribution::{Distribution, Range};
use crate::energy::EnergyAccounting;
use crate::server::Server;

/// The parameters of a [`System`], not yet checked.
#[derive(Clone, Debug)]
pub struct SystemParameters {
    /// τ: duration of a slot, seconds, above 0.
    pub slot_seconds: f64,
    /// S: slots in which tasks may arrive, at least 1.
    pub arrival_slots: u32,
    /// D_max: slots within which a task must end, counting that of its arrival, at least 1.
    pub deadline_slots: u32,
    /// The N devices, at least 1.
    pub devices: Vec<Device>,
    /// The M servers, at least 1.
    pub servers: Vec<Server>,
    /// R: uplink rate of each device to each server, Mbit/s; 0 where there is no coverage.
    pub uplink: UplinkRates,
    /// λ: size of a task, Mbit, above 0.
    pub size_mbit: Distribution,
    /// ρ: density of a task, Gcycles per Mbit, above 0.
    pub density: Distribution,
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
            deadline_slots: 10,
            devices: vec![device; devices],
            servers: vec![Server { ghz: 42.0, power_w: 5.0 }; servers],
            uplink: UplinkRates::Same(14.0),
            size_mbit: Distribution::Uniform(1.0, 7.0),
            density: Distribution::Choice(vec![0.197, 0.297, 0.397]),
            power_preference: PowerPreference {
                modes: vec![0.25, 0.5, 0.75],
                rule: PreferenceRule::PerEpisode,
            },
            energy: EnergyAccounting::Published,
        }
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
        Ok(Self { parameters, reference_energy })
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

    /// D_max: slots within which a task must end, counting that of its arrival.
    pub fn deadline_slots(&self) -> u32 {
        self.parameters.deadline_slots
    }

    /// T = S + D_max: slots of an episode, so that every task can meet its deadline.
    pub fn slot_count(&self) -> u32 {
        self.parameters.arrival_slots + self.parameters.deadline_slots
    }

    /// The accounting that rewards and metrics use.
    pub fn energy(&self) -> EnergyAccounting {
        self.parameters.energy
    }

    /// R of a device to a server, both counted from 0, Mbit/s.
    #[inline]
    pub fn uplink_mbps(&self, device: u32, server: u32) -> f64 {
        self.parameters.uplink.mbps(device, server)
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

fn reference_energy(parameters: &SystemParameters) -> f64 {
    let (size, density) = (parameters.size_mbit.max(), parameters.density.max());
    let longest_wait = f64::from(parameters.deadline_slots) * parameters.slot_seconds;
    (0..).zip(&parameters.devices).fold(0.0, |most, (index, device)| {
        let local = device.compute_w * size * density / device.cpu_ghz;
        let offloaded = parameters.uplink.slowest(index).map_or(0.0, |rate| {
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
    if parameters.deadline_slots == 0 {
        return fail("deadline_slots", "a deadline of at least one slot is needed".into());
    }
    if parameters.arrival_slots.checked_add(parameters.deadline_slots).is_none() {
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
    match &parameters.uplink {
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
    distribution("size_mbit", &parameters.size_mbit, Range::Positive)?;
    distribution("density", &parameters.density, Range::Positive)?;
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
