//! The rules: how a device predicts the outcome of each action from what it alone knows, and how it
//! chooses among the predictions.
//!
//! The paper names the idea (contribution 2: heuristic rules in the action selection, with hard and
//! soft constraints) but not the rules; these are ours.
//!
//! - **Predict** delay and energy of each action from the device's own FIFOs, its own backlog at
//!   each server, the last load m(t−1), and its task's λ, ρ and deadline; with the rates, wired ways
//!   and speeds of servers of this slot.
//! - **Hard**: actions predicted to miss the deadline are masked, unless all are.
//! - **Soft**: among the rest, draw from softmax(−predicted cost / temperature); at temperature 0
//!   the cheapest.

use std::ops::RangeInclusive;

use offramp_plugin::{
    Context, EnergyAccounting, Error, LinkColumn, LocalColumns, LocalState, Observation,
    ServerColumn, SystemSpec,
};
use rand::Rng;

/// Settings of the rules.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RuleParameters {
    /// Temperature of the soft rule, 10⁻⁶ to 10⁶ units of cost; 0 takes the cheapest action.
    pub(crate) temperature: f64,
    /// Trust in a server's last load lasting until the task gets there, 0 … 1; the rest of the
    /// weight is on the mean load of all servers.
    pub(crate) load_trust: f64,
}

/// Checks that the parameter `field` is in its range.
///
/// # Errors
/// If it is not, or not a number.
pub(crate) fn check(field: &str, value: f64, range: RangeInclusive<f64>) -> Result<(), Error> {
    if range.contains(&value) {
        return Ok(());
    }
    let (low, high) = range.into_inner();
    let message = format!("{field}: {value:?} is out of range: {low:?} to {high:?} is needed");
    Err(Error::new(message))
}

/// The rules for the system of an episode. They own what they need of it, since the system is lent
/// for one call only.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    parameters: RuleParameters,
    local: LocalColumns,
    load: ServerColumn,
    up: ServerColumn,
    wired_slots: LinkColumn,
    slot_seconds: f64,
    device_ghz: Vec<f64>,
    compute_w: Vec<f64>,
    transmit_w: Vec<f64>,
    idle_w: Vec<f64>,
    server_ghz: Vec<f64>,
    energy: EnergyAccounting,
    reference_energy: f64,
    /// Predictions for the current task: local, then each server.
    pub(crate) predictions: Vec<Prediction>,
}

/// The predicted outcome of an action.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Prediction {
    /// D without a deadline, slots.
    pub(crate) delay_slots: f64,
    /// Cost, eq. (11); infinite without coverage.
    pub(crate) cost: f64,
    /// The cost by which actions are compared: that of whole slots. By fractions of a slot one server
    /// would be the cheapest for all devices, which see the same loads and would all go there; whole slots
    /// make ties, and among those a device draws.
    pub(crate) compared: f64,
    /// True if the deadline would pass first.
    pub(crate) late: bool,
}

/// The way of a task to a server, as it is in this slot.
#[derive(Clone, Copy, Debug)]
struct Way {
    /// R, Mbit/s; 0 without coverage.
    rate_mbps: f64,
    /// On the backhaul.
    wired_slots: f64,
    /// Speed of the server, less in an outage; 0 if it is down.
    ghz: f64,
    /// The load that is expected there, devices.
    load: f64,
}

impl Rules {
    /// The rules for the system of `context`.
    ///
    /// # Errors
    /// If a parameter is out of its range, or they do not fit the system.
    pub(crate) fn new(context: &Context<'_>, parameters: RuleParameters) -> Result<Self, Error> {
        if parameters.temperature != 0.0 {
            check("temperature", parameters.temperature, 1e-6..=1e6)?;
        }
        check("load_trust", parameters.load_trust, 0.0..=1.0)?;
        let mut rules = Self {
            parameters,
            local: LocalColumns::find(context)?,
            load: context.server_column("load")?,
            up: context.server_column("up")?,
            wired_slots: context.link_column("wired_slots")?,
            slot_seconds: 0.0,
            device_ghz: Vec::new(),
            compute_w: Vec::new(),
            transmit_w: Vec::new(),
            idle_w: Vec::new(),
            server_ghz: Vec::new(),
            energy: context.system.energy,
            reference_energy: 0.0,
            predictions: Vec::with_capacity(context.system.actions()),
        };
        rules.enter(context.system)?;
        Ok(rules)
    }

    /// Takes the system of an episode.
    ///
    /// # Errors
    /// If its energy accounting is not one the rules know.
    pub(crate) fn enter(&mut self, system: &SystemSpec<'_>) -> Result<(), Error> {
        if ![EnergyAccounting::PHYSICAL, EnergyAccounting::PUBLISHED].contains(&system.energy) {
            return Err(Error::new("the rules do not know the system's energy accounting"));
        }
        self.slot_seconds = system.slot_seconds;
        for (own, of_system) in [
            (&mut self.device_ghz, system.device_ghz),
            (&mut self.compute_w, system.compute_w),
            (&mut self.transmit_w, system.transmit_w),
            (&mut self.idle_w, system.idle_w),
            (&mut self.server_ghz, system.server_ghz),
        ] {
            own.clear();
            own.extend_from_slice(&of_system);
        }
        self.energy = system.energy;
        self.reference_energy = system.reference_energy;
        Ok(())
    }

    /// The local state of a row's device.
    pub(crate) fn state<'a>(&self, observation: &Observation<'a>, row: usize) -> LocalState<'a> {
        self.local.state(observation, row)
    }

    /// m(t−1).
    pub(crate) fn load<'a>(&self, observation: &Observation<'a>) -> &'a [f64] {
        observation.server(self.load)
    }

    /// Predicts every action for the task of a row.
    ///
    /// # Errors
    /// If a predicted cost is not a number: it could not be compared.
    pub(crate) fn predict(
        &mut self,
        observation: &Observation<'_>,
        row: usize,
    ) -> Result<(), Error> {
        let device = observation.devices[row] as usize;
        let state = self.state(observation, row);
        let load = self.load(observation);
        let trust = self.parameters.load_trust;
        let mean_load = load.iter().sum::<f64>() / load.len() as f64;
        let mut predictions = std::mem::take(&mut self.predictions);
        predictions.clear();
        predictions.push(self.local(device, &state));
        let (up, wired_slots) =
            (observation.server(self.up), observation.link(row, self.wired_slots));
        for (server, &rate_mbps) in state.uplink_mbps.iter().enumerate() {
            let way = Way {
                rate_mbps,
                wired_slots: wired_slots[server],
                ghz: self.server_ghz[server] * up[server],
                load: trust * load[server] + (1.0 - trust) * mean_load,
            };
            predictions.push(self.offload(device, &state, server, &way));
        }
        self.predictions = predictions;
        match self.predictions.iter().position(|prediction| prediction.cost.is_nan()) {
            None => Ok(()),
            Some(action) => Err(Error::new(format!(
                "device {device} in slot {}: the predicted cost of action {action} is not a number",
                observation.slot
            ))),
        }
    }

    /// The delay of the fastest action predicted last, slots.
    pub(crate) fn shortest_delay(&self) -> f64 {
        let delays = self.predictions.iter().map(|prediction| prediction.delay_slots);
        delays.fold(f64::INFINITY, f64::min)
    }

    fn local(&self, device: usize, state: &LocalState<'_>) -> Prediction {
        let ghz = self.device_ghz[device];
        let per_slot = ghz * self.slot_seconds / state.density_gcycles_per_mbit;
        let slots = (state.size_mbit / per_slot).ceil();
        let energy = match self.energy {
            EnergyAccounting::PHYSICAL => {
                self.compute_w[device] * state.size_mbit * state.density_gcycles_per_mbit / ghz
            }
            _ => {
                // c² for each full slot, (left/ρ)·c for the last.
                let left = state.size_mbit - (slots - 1.0) * per_slot;
                (slots - 1.0) * per_slot * per_slot
                    + left / state.density_gcycles_per_mbit * per_slot
            }
        };
        self.prediction(state, state.compute_queue_slots + slots, energy)
    }

    fn offload(
        &self,
        device: usize,
        state: &LocalState<'_>,
        server: usize,
        &Way { rate_mbps, wired_slots, ghz, load }: &Way,
    ) -> Prediction {
        if rate_mbps <= 0.0 || ghz <= 0.0 {
            // Out of coverage it never gets there, and a server that is down serves nothing.
            let (delay_slots, cost) = (f64::INFINITY, f64::INFINITY);
            return Prediction { delay_slots, cost, compared: cost, late: true };
        }
        let sent_per_slot = rate_mbps * self.slot_seconds;
        let sending = (state.size_mbit / sent_per_slot).ceil();
        let at_server = state.uplink_queue_slots + sending + wired_slots;
        // Eq. (5): the server is shared with those active there, this device among them.
        let backlog = state.backlog_mbit[server];
        let sharing = if backlog > 0.0 { load.max(1.0) } else { load + 1.0 };
        let served_per_slot = ghz * self.slot_seconds / state.density_gcycles_per_mbit / sharing;
        let backlog_then = (backlog - served_per_slot * at_server).max(0.0);
        let waiting = (backlog_then / served_per_slot).ceil();
        let service = state.size_mbit / served_per_slot;
        let energy = |service_slots: f64| match self.energy {
            EnergyAccounting::PHYSICAL => {
                self.transmit_w[device] * state.size_mbit / rate_mbps
                    + self.idle_w[device]
                        * (wired_slots + waiting + service_slots)
                        * self.slot_seconds
            }
            _ => sending * sent_per_slot * self.transmit_w[device],
        };
        let delay_slots = at_server + waiting + service.ceil();
        // Of the last slot, the device waits for the fraction that its service takes.
        let exact = self.prediction(state, delay_slots, energy(service));
        let whole = self.prediction(state, delay_slots, energy(service.ceil()));
        Prediction { compared: whole.cost, ..exact }
    }

    fn prediction(&self, state: &LocalState<'_>, delay_slots: f64, energy: f64) -> Prediction {
        let scaled = match self.energy {
            // Where nothing takes any energy, none is scaled.
            EnergyAccounting::PHYSICAL if self.reference_energy == 0.0 => 0.0,
            EnergyAccounting::PHYSICAL => 10.0 * energy / self.reference_energy,
            _ => 10.0 * energy / 20.0,
        };
        let delay = delay_slots.min(state.deadline_slots);
        let cost = 2.0 * (state.alpha * delay + (1.0 - state.alpha) * scaled);
        Prediction { delay_slots, cost, compared: cost, late: delay_slots > state.deadline_slots }
    }

    /// Chooses an action for the task predicted last, by the hard and the soft rule.
    pub(crate) fn choose(&self, rng: &mut impl Rng) -> u32 {
        let (predictions, temperature) = (&self.predictions, self.parameters.temperature);
        let all_late = predictions.iter().all(|prediction| prediction.late);
        let open = |prediction: &Prediction| all_late || !prediction.late;
        // Where equal predictions are looked at first is drawn, so that devices that see the
        // same do not all do the same.
        let count = predictions.len();
        let start = rng.random_range(0..count);
        let mut cheapest = (f64::INFINITY, 0);
        for offset in 0..count {
            let action = (start + offset) % count;
            let prediction = &predictions[action];
            if open(prediction) && prediction.compared < cheapest.0 {
                cheapest = (prediction.compared, action);
            }
        }
        if temperature == 0.0 {
            return cheapest.1 as u32;
        }
        // Relative to the cheapest, so that the largest weight is 1.
        let weight = |prediction: &Prediction| {
            if open(prediction) {
                ((cheapest.0 - prediction.compared) / temperature).exp()
            } else {
                0.0
            }
        };
        let total: f64 = predictions.iter().map(weight).sum();
        let mut left = rng.random::<f64>() * total;
        for (action, prediction) in predictions.iter().enumerate() {
            left -= weight(prediction);
            if left < 0.0 {
                return action as u32;
            }
        }
        cheapest.1 as u32
    }
}
