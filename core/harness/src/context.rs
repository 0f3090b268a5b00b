//! What a plugin is created from: the system and the shape of its observations.

use offramp_host::plugin::{Context, EnergyAccounting, Feature, ObservationSpec, SystemSpec};
use offramp_model::observation;
use offramp_scenario::Scenario;

/// A scenario's system in the form that crosses the boundary; made once, lent to every instance.
#[derive(Debug)]
pub struct PolicyContext {
    scenario_sha256: String,
    features: Vec<Feature>,
    history_slots: u32,
    history_scale: f64,
    slot_seconds: f64,
    deadline_slots: u32,
    arrival_slots: u32,
    device_ghz: Vec<f64>,
    compute_w: Vec<f64>,
    transmit_w: Vec<f64>,
    idle_w: Vec<f64>,
    server_ghz: Vec<f64>,
    energy: EnergyAccounting,
    reference_energy: f64,
}

impl PolicyContext {
    /// The context of a scenario whose text has the SHA-256 `sha256`.
    pub fn new(scenario: &Scenario, sha256: &str) -> Self {
        let system = &scenario.system;
        let parameters = system.parameters();
        let of_devices = |quantity: fn(&offramp_model::Device) -> f64| {
            parameters.devices.iter().map(quantity).collect::<Vec<_>>()
        };
        Self {
            scenario_sha256: sha256.to_owned(),
            features: observation::features(system, scenario.observation.kind)
                .into_iter()
                .map(|feature| Feature { name: feature.name.into(), scale: feature.scale })
                .collect(),
            history_slots: scenario.observation.history_slots,
            // Were the devices spread evenly and all active, each server would have this many.
            history_scale: f64::from(system.device_count()) / f64::from(system.server_count()),
            slot_seconds: parameters.slot_seconds,
            deadline_slots: parameters.deadline_slots,
            arrival_slots: parameters.arrival_slots,
            device_ghz: of_devices(|device| device.cpu_ghz),
            compute_w: of_devices(|device| device.compute_w),
            transmit_w: of_devices(|device| device.transmit_w),
            idle_w: of_devices(|device| device.idle_w),
            server_ghz: parameters.servers.iter().map(|server| server.ghz).collect(),
            energy: match system.energy() {
                offramp_model::EnergyAccounting::Physical => EnergyAccounting::Physical,
                offramp_model::EnergyAccounting::Published => EnergyAccounting::Published,
            },
            reference_energy: system.reference_energy(),
        }
    }

    /// The context from which one instance of a plugin is created: `parameters` is RON,
    /// `checkpoint` the bytes of a checkpoint, `seed` one of [`crate::seeds`], and `threads` how
    /// many threads the instance may use, which must not change its results.
    pub fn context<'a>(
        &'a self,
        parameters: &'a str,
        checkpoint: Option<&'a [u8]>,
        seed: u64,
        threads: u32,
    ) -> Context<'a> {
        Context {
            parameters: parameters.into(),
            checkpoint: checkpoint.map(Into::into).into(),
            scenario_sha256: self.scenario_sha256.as_str().into(),
            seed,
            threads,
            observation: ObservationSpec {
                features: self.features.as_slice().into(),
                history_slots: self.history_slots,
                history_scale: self.history_scale,
            },
            system: SystemSpec {
                slot_seconds: self.slot_seconds,
                deadline_slots: self.deadline_slots,
                arrival_slots: self.arrival_slots,
                device_ghz: self.device_ghz.as_slice().into(),
                compute_w: self.compute_w.as_slice().into(),
                transmit_w: self.transmit_w.as_slice().into(),
                idle_w: self.idle_w.as_slice().into(),
                server_ghz: self.server_ghz.as_slice().into(),
                energy: self.energy,
                reference_energy: self.reference_energy,
            },
        }
    }
}
