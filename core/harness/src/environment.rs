//! What a plugin is told: the system at creation, and an observation in each slot.

use offramp_host::plugin::testing;
use offramp_host::plugin::{
    Context, EnergyAccounting, EpisodeStart, Feature, Needs, Observation, ObservationSpec, RStr,
    SystemSpec, UNDECIDED,
};
use offramp_model::{Episode, System, observation};

use crate::scenario::Scenario;

/// A system in the form that crosses the boundary.
#[derive(Debug)]
pub struct SystemBuffers {
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

impl SystemBuffers {
    /// Those of a system.
    pub fn new(system: &System) -> Self {
        let parameters = system.parameters();
        let of_devices = |quantity: fn(&offramp_model::Device) -> f64| {
            parameters.devices.iter().map(quantity).collect::<Vec<_>>()
        };
        Self {
            slot_seconds: parameters.slot_seconds,
            deadline_slots: parameters.deadline_slots,
            arrival_slots: parameters.arrival_slots,
            device_ghz: of_devices(|device| device.cpu_ghz),
            compute_w: of_devices(|device| device.compute_w),
            transmit_w: of_devices(|device| device.transmit_w),
            idle_w: of_devices(|device| device.idle_w),
            server_ghz: parameters.servers.iter().map(|server| server.ghz).collect(),
            energy: match system.energy() {
                offramp_model::EnergyAccounting::Physical => EnergyAccounting::PHYSICAL,
                offramp_model::EnergyAccounting::Published => EnergyAccounting::PUBLISHED,
            },
            reference_energy: system.reference_energy(),
        }
    }

    /// As a plugin gets it.
    pub fn spec(&self) -> SystemSpec<'_> {
        SystemSpec {
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
        }
    }
}

/// A scenario's system in the form that crosses the boundary; made once, lent to every instance.
#[derive(Debug)]
pub struct Environment {
    scenario_sha256: String,
    features: Vec<Feature>,
    task_columns: Vec<RStr<'static>>,
    link_columns: Vec<RStr<'static>>,
    server_columns: Vec<RStr<'static>>,
    history_slots: u32,
    history_scale: f64,
    system: SystemBuffers,
}

impl Environment {
    /// The environment of a scenario.
    pub fn new(scenario: &Scenario) -> Self {
        let system = &scenario.system;
        let names = |columns: &[(&'static str, f64)]| {
            columns.iter().map(|&(name, _)| RStr::from(name)).collect::<Vec<_>>()
        };
        Self {
            scenario_sha256: scenario.sha256.clone(),
            features: observation::features(system, scenario.observation.kind)
                .into_iter()
                .map(|feature| Feature { name: feature.name.into(), scale: feature.scale })
                .collect(),
            task_columns: names(&testing::TASK_COLUMNS),
            link_columns: names(&testing::LINK_COLUMNS),
            server_columns: names(&testing::SERVER_COLUMNS),
            history_slots: scenario.observation.history_slots,
            // Were the devices spread evenly and all active, each server would have this many.
            history_scale: f64::from(system.device_count()) / f64::from(system.server_count()),
            system: SystemBuffers::new(system),
        }
    }

    /// What contexts and episodes of a plugin refer to.
    pub fn parts(&self) -> Parts<'_> {
        Parts {
            scenario_sha256: &self.scenario_sha256,
            observation: ObservationSpec {
                features: self.features.as_slice().into(),
                task_columns: self.task_columns.as_slice().into(),
                link_columns: self.link_columns.as_slice().into(),
                server_columns: self.server_columns.as_slice().into(),
                history_slots: self.history_slots,
                history_scale: self.history_scale,
            },
            system: self.system.spec(),
        }
    }
}

/// What contexts and episodes of a plugin refer to.
#[derive(Debug)]
pub struct Parts<'a> {
    scenario_sha256: &'a str,
    observation: ObservationSpec<'a>,
    system: SystemSpec<'a>,
}

impl Parts<'_> {
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
            scenario_sha256: self.scenario_sha256.into(),
            seed,
            threads,
            observation: &self.observation,
            system: &self.system,
        }
    }

    /// The start of an episode outside training.
    pub fn start(&self, episode: u64, seed: u64) -> EpisodeStart<'_> {
        EpisodeStart { episode, seed, training: false, system: &self.system }
    }
}

/// Buffers for what is observed and decided in a slot; they grow to their size once.
#[derive(Debug, Default)]
pub struct SlotBuffers {
    devices: Vec<u32>,
    features: Vec<f64>,
    histories: Vec<f64>,
    knowledge: Vec<f64>,
    tasks: Vec<f64>,
    links: Vec<f64>,
    servers: Vec<f64>,
    /// One per task: what has been decided.
    pub actions: Vec<u32>,
}

impl SlotBuffers {
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
        if needs.includes(Needs::HISTORY) {
            self.histories.clear();
            self.histories.extend_from_slice(episode.history());
        }
        let servers = episode.system().server_count();
        if needs.includes(Needs::TASKS) || needs.includes(Needs::LINKS) {
            episode.knowledge(&mut self.knowledge);
        }
        // A row of knowledge: size, two queues, the backlog at each server, α, density, deadline.
        let rows = self.knowledge.chunks_exact(6 + servers as usize).zip(arrivals);
        if needs.includes(Needs::TASKS) {
            self.tasks.clear();
            for (row, _) in rows.clone() {
                self.tasks.extend_from_slice(&row[..3]);
                self.tasks.extend_from_slice(&row[3 + servers as usize..]);
            }
        }
        if needs.includes(Needs::LINKS) {
            let uplink = &episode.system().parameters().uplink;
            self.links.clear();
            for (row, arrival) in rows {
                self.links.extend_from_slice(&row[3..3 + servers as usize]);
                self.links.extend((0..servers).map(|server| uplink.mbps(arrival.device, server)));
            }
        }
        if needs.includes(Needs::SERVERS) {
            self.servers.clear();
            self.servers.extend(episode.active_devices().iter().map(|&active| f64::from(active)));
            let speeds = &episode.system().parameters().servers;
            self.servers.extend(speeds.iter().map(|server| server.ghz));
        }
        Seen {
            observation: Observation {
                slot: episode.slot(),
                server_count: servers,
                history_slots: episode.observation().history_slots,
                devices: self.devices.as_slice().into(),
                features: self.features.as_slice().into(),
                histories: self.histories.as_slice().into(),
                history_of: [].as_slice().into(),
                tasks: self.tasks.as_slice().into(),
                links: self.links.as_slice().into(),
                servers: self.servers.as_slice().into(),
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
