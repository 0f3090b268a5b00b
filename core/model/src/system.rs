//! The system: everything about devices, servers and tasks that stays the same in an episode.

use crate::device::{Device, PowerPreference, PreferenceRule};
use crate::distribution::{Distribution, Range};
use crate::energy::EnergyAccounting;
use crate::server::Server;
use crate::uplink::UplinkRates;

/// What a [`System`] is made of (the table of section 1 of the model).
#[derive(Clone, Debug)]
pub struct SystemParameters {
    /// τ: seconds a slot lasts.
    pub slot_seconds: f64,
    /// S: slots in which tasks may arrive.
    pub arrival_slots: u32,
    /// D_max: slots within which a task must end, the slot of its arrival counted.
    pub deadline_slots: u32,
    /// The N devices.
    pub devices: Vec<Device>,
    /// The M servers.
    pub servers: Vec<Server>,
    /// R of each device to each server.
    pub uplink: UplinkRates,
    /// λ: size of a task, Mbit.
    pub size_mbit: Distribution,
    /// ρ: density of a task, Gcycles per Mbit.
    pub density: Distribution,
    /// α: by which rule devices draw it, and from what.
    pub power_preference: PowerPreference,
    /// Which accounting rewards and metrics use.
    pub energy: EnergyAccounting,
}

/// A parameter that no system can have.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{parameter}: {fault}")]
pub struct InvalidSystem {
    /// The field of [`SystemParameters`], of a [`Device`] or of a [`Server`].
    pub parameter: &'static str,
    /// What is wrong with it and what is needed.
    pub fault: String,
}

/// A valid system.
#[derive(Clone, Debug)]
pub struct System {
    parameters: SystemParameters,
    reference_energy: f64,
}

impl System {
    /// The system of `parameters`.
    ///
    /// # Errors
    /// [`InvalidSystem`] names the first parameter out of range: no device or server, a number
    /// that is not finite or not positive, a probability or α outside 0 … 1, rates that are not
    /// one a device or server.
    pub fn new(parameters: SystemParameters) -> Result<Self, InvalidSystem> {
        check(&parameters)?;
        let reference_energy = reference_energy(&parameters);
        Ok(Self { parameters, reference_energy })
    }

    /// What the system is made of.
    pub fn parameters(&self) -> &SystemParameters {
        &self.parameters
    }

    /// N.
    pub fn device_count(&self) -> u32 {
        self.parameters.devices.len() as u32
    }

    /// M.
    pub fn server_count(&self) -> u32 {
        self.parameters.servers.len() as u32
    }

    /// D_max, slots.
    pub fn deadline_slots(&self) -> u32 {
        self.parameters.deadline_slots
    }

    /// T = S + D_max: slots of an episode.
    pub fn slot_count(&self) -> u32 {
        self.parameters.arrival_slots + self.parameters.deadline_slots
    }

    /// The accounting of rewards and metrics.
    pub fn energy(&self) -> EnergyAccounting {
        self.parameters.energy
    }

    /// E_ref: joules of the largest, densest task executed the costliest way on the thirstiest
    /// device: computed locally, or sent over the slowest uplink and then waited for until the
    /// deadline.
    pub fn reference_energy(&self) -> f64 {
        self.reference_energy
    }
}

fn reference_energy(parameters: &SystemParameters) -> f64 {
    let (size, density) = (parameters.size_mbit.max(), parameters.density.max());
    let longest_wait = f64::from(parameters.deadline_slots) * parameters.slot_seconds;
    (0..).zip(&parameters.devices).fold(0.0, |most, (index, device)| {
        let local = device.compute_w * size * density / device.cpu_ghz;
        let offloaded = device.transmit_w * size / parameters.uplink.slowest(index)
            + device.idle_w * longest_wait;
        local.max(offloaded).max(most)
    })
}

fn check(parameters: &SystemParameters) -> Result<(), InvalidSystem> {
    let fail = |parameter, fault: String| Err(InvalidSystem { parameter, fault });
    let number = |parameter, value: f64, range: Range| match range.fault(value) {
        None => Ok(()),
        Some(fault) => fail(parameter, fault),
    };
    let distribution = |parameter, value: &Distribution| match value.fault(&Range::Positive) {
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
        rates.iter().try_for_each(|&rate| number("uplink", rate, Range::Positive))
    };
    match &parameters.uplink {
        UplinkRates::Same(rate) => number("uplink", *rate, Range::Positive)?,
        UplinkRates::PerDevice(list) => rates(list, devices.len(), "devices")?,
        UplinkRates::PerServer(list) => rates(list, servers.len(), "servers")?,
        UplinkRates::PerPair(rows) => {
            if rows.len() != devices.len() {
                let fault = format!("{} rows for {} devices", rows.len(), devices.len());
                return fail("uplink", fault);
            }
            rows.iter().try_for_each(|row| rates(row, servers.len(), "servers"))?;
        }
        UplinkRates::Drawn(drawn, _) => distribution("uplink", drawn)?,
    }
    distribution("size_mbit", &parameters.size_mbit)?;
    distribution("density", &parameters.density)?;
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
