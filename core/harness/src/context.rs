//! The context of a plugin's instances and episodes: the system and the shape of its observations.

use std::path::{Path, PathBuf};

use offramp_host::PluginRef;
use offramp_host::plugin::{
    Context, EnergyAccounting, EpisodeStart, Feature, Needs, ObservationSpec, RSlice, RStr,
    SystemSpec, bytes_of,
};
use offramp_model::{System, observation};
use offramp_scenario::Scenario;

use crate::hardware::hardware_sha256;

/// A scenario's system and observation in the form that crosses the boundary; made once per run,
/// lent to every instance by [`PolicyContext::lend`].
#[derive(Debug)]
pub struct PolicyContext {
    scenario_sha256: String,
    hardware_sha256: String,
    /// The scenario's folder, absolute, as bytes.
    folder: Vec<u8>,
    kind: &'static str,
    features: Vec<Feature>,
    task_columns: Vec<RStr<'static>>,
    link_columns: Vec<RStr<'static>>,
    server_columns: Vec<RStr<'static>>,
    history_slots: u32,
    history_scale: f64,
    system: SystemTables,
}

/// The quantities of a system, one vector each.
#[derive(Debug)]
pub(crate) struct SystemTables {
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

/// A [`PolicyContext`] as plugins borrow it.
#[derive(Clone, Copy, Debug)]
pub struct LentContext<'a> {
    scenario_sha256: &'a str,
    hardware_sha256: &'a str,
    folder: &'a [u8],
    observation: ObservationSpec<'a>,
    system: SystemSpec<'a>,
}

impl PolicyContext {
    /// The context of a scenario whose text has the SHA-256 `sha256`.
    pub fn new(scenario: &Scenario, sha256: &str) -> Self {
        let system = &scenario.system;
        let name = |column: &'static observation::Column| RStr::from(column.name);
        Self {
            scenario_sha256: sha256.to_owned(),
            hardware_sha256: hardware_sha256(system),
            folder: bytes_of(&absolute(&scenario.folder)),
            kind: scenario.observation.kind.name(),
            features: observation::features(system, scenario.observation.kind)
                .into_iter()
                .map(|feature| Feature { name: feature.name.into(), scale: feature.scale })
                .collect(),
            task_columns: observation::task_columns().iter().map(name).collect(),
            link_columns: observation::link_columns().iter().map(name).collect(),
            server_columns: scenario.observation.server_columns().map(name).collect(),
            history_slots: scenario.observation.history_slots,
            history_scale: observation::load_scale(system),
            system: SystemTables::new(system),
        }
    }

    /// The parts that contexts and starts of episodes refer to.
    pub fn lend(&self) -> LentContext<'_> {
        LentContext {
            scenario_sha256: &self.scenario_sha256,
            hardware_sha256: &self.hardware_sha256,
            folder: &self.folder,
            observation: ObservationSpec {
                features: self.features.as_slice().into(),
                task_columns: self.task_columns.as_slice().into(),
                link_columns: self.link_columns.as_slice().into(),
                server_columns: self.server_columns.as_slice().into(),
                history_slots: self.history_slots,
                history_scale: self.history_scale,
                kind: self.kind.into(),
            },
            system: self.system.spec(),
        }
    }
}

impl LentContext<'_> {
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
            scenario_sha256: self.scenario_sha256.into(),
            seed,
            threads,
            observation: &self.observation,
            system: &self.system,
            folder: self.folder.into(),
            checkpoint_file: RSlice::EMPTY,
            learning_steps: 0,
            hardware_sha256: self.hardware_sha256.into(),
        }
    }

    /// The start of an episode that is evaluated, not learned from; `seed` is that of the policy's
    /// own draws.
    pub fn start(&self, episode: u64, seed: u64) -> EpisodeStart<'_> {
        EpisodeStart { episode, seed, training: false, system: &self.system }
    }

    /// The start of an episode that is learned from.
    pub fn training_start(&self, episode: u64, seed: u64) -> EpisodeStart<'_> {
        EpisodeStart { training: true, ..self.start(episode, seed) }
    }
}

impl SystemTables {
    pub(crate) fn new(system: &System) -> Self {
        let parameters = system.parameters();
        let of_devices = |quantity: fn(&offramp_model::Device) -> f64| {
            parameters.devices.iter().map(quantity).collect::<Vec<_>>()
        };
        Self {
            slot_seconds: parameters.slot_seconds,
            deadline_slots: system.deadline_slots(),
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

    pub(crate) fn spec(&self) -> SystemSpec<'_> {
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

/// How often an instance of `plugin` learns, as [`Context::learning_steps`] states it: `steps` if it
/// asks for that, else 0.
pub fn learning_steps(plugin: &PluginRef, steps: u64) -> u64 {
    if plugin.offer.needs.includes(Needs::LENGTH) { steps } else { 0 }
}

/// The absolute path of a checkpoint's file, as [`Context::checkpoint_file`] has it; empty if
/// there is none.
pub(crate) fn file_bytes(checkpoint: Option<&Path>) -> Vec<u8> {
    checkpoint.map(|path| bytes_of(&absolute(path))).unwrap_or_default()
}

/// The absolute form of a path; as it is if the current folder is gone.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    // An empty path is the current folder.
    std::path::absolute(Path::new(".").join(path)).unwrap_or_else(|_| path.to_owned())
}
