//! What a plugin is told: the system at creation, and an observation in each slot.

use offramp_host::plugin::{
    Context, EnergyAccounting, Feature, Needs, Observation, ObservationSpec, SystemSpec, UNDECIDED,
};
use offramp_model::{Episode, observation};

use crate::scenario::Scenario;

/// A scenario's system in the form that crosses the boundary; made once, lent to every instance.
#[derive(Debug)]
pub struct Environment {
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

impl Environment {
    /// The environment of a scenario.
    pub fn new(scenario: &Scenario) -> Self {
        let system = &scenario.system;
        let parameters = system.parameters();
        let of_devices = |quantity: fn(&offramp_model::Device) -> f64| {
            parameters.devices.iter().map(quantity).collect::<Vec<_>>()
        };
        Self {
            scenario_sha256: scenario.sha256.clone(),
            features: observation::features(system, scenario.observation.kind)
                .into_iter()
                .map(|feature| Feature { name: feature.name.into(), scale: feature.scale })
                .collect(),
            history_slots: scenario.observation.history_slots,
            history_scale: observation::load_scale(system),
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

    /// The context from which a plugin's instance is created.
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

/// Buffers for what is observed and decided in a slot; they grow to their size once.
#[derive(Debug, Default)]
pub struct SlotBuffers {
    devices: Vec<u32>,
    features: Vec<f64>,
    knowledge: Vec<f64>,
    tasks: Vec<f64>,
    links: Vec<f64>,
    histories: Vec<f64>,
    load: Vec<f64>,
    uplink_mbps: Vec<f64>,
    /// One a task: what has been decided.
    pub actions: Vec<u32>,
}

impl SlotBuffers {
    /// λ, τ^C, τ^T, B^E_1…M, α, ρ, D_max of every row.
    fn fill_knowledge(&mut self, episode: &Episode<'_>) {
        episode.task_table(&mut self.tasks);
        episode.link_table(&mut self.links);
        let servers = episode.system().server_count() as usize;
        self.knowledge.clear();
        let (task_width, link_width) =
            (observation::task_columns().len(), observation::link_columns().len() * servers);
        for (task, link) in self.tasks.chunks(task_width).zip(self.links.chunks(link_width)) {
            self.knowledge.extend_from_slice(&task[..3]);
            self.knowledge.extend_from_slice(&link[..servers]);
            self.knowledge.extend_from_slice(&task[3..6]);
        }
    }

    /// Computes what `needs` asks for of the slot at which `episode` stands, and leaves every
    /// action [`UNDECIDED`].
    pub fn observe<'a>(&'a mut self, episode: &Episode<'_>, needs: Needs) -> Seen<'a> {
        let arrivals = episode.arrivals();
        self.devices.clear();
        self.devices.extend(arrivals.iter().map(|arrival| arrival.device));
        self.actions.clear();
        self.actions.resize(arrivals.len(), UNDECIDED);
        // What is not needed was never filled, and stays empty.
        if needs.includes(Needs::FEATURES) {
            episode.features(&mut self.features);
        }
        if needs.includes(Needs::KNOWLEDGE) {
            self.fill_knowledge(episode);
        }
        if needs.includes(Needs::LOAD) {
            self.load.clear();
            self.load.extend(episode.active_devices().iter().map(|&active| f64::from(active)));
        }
        if needs.includes(Needs::UPLINK) {
            let servers = episode.system().server_count();
            self.uplink_mbps.clear();
            for arrival in arrivals {
                self.uplink_mbps
                    .extend((0..servers).map(|server| episode.uplink_mbps(arrival.device, server)));
            }
        }
        if needs.includes(Needs::HISTORY) {
            self.histories.clear();
            self.histories.extend_from_slice(episode.history());
        }
        Seen {
            observation: Observation {
                slot: episode.slot(),
                devices: self.devices.as_slice().into(),
                features: self.features.as_slice().into(),
                histories: self.histories.as_slice().into(),
                history_of: [].as_slice().into(),
                knowledge: self.knowledge.as_slice().into(),
                load: self.load.as_slice().into(),
                uplink_mbps: self.uplink_mbps.as_slice().into(),
            },
            actions: &mut self.actions,
        }
    }
}

/// A slot as a policy gets it.
#[derive(Debug)]
pub struct Seen<'a> {
    /// What it sees.
    pub observation: Observation<'a>,
    /// What it fills.
    pub actions: &'a mut [u32],
}
