//! What a scenario file says: the first of the two stages in which it is read. Fields that are
//! left out have the values of the paper; fields that do not exist are errors.
//!
//! `scenarios/README.md` explains the same fields to a user, and a test holds the two together.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::Raw;

fn raw(text: &str) -> Raw {
    Raw(text.to_owned())
}

/// An experiment.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename = "Scenario")]
pub(crate) struct ScenarioFile {
    /// The name by which results call it.
    pub(crate) name: String,
    /// What it is for, in a sentence.
    #[serde(default)]
    pub(crate) about: String,
    /// Devices, servers, uplinks, time.
    #[serde(default)]
    pub(crate) system: SystemSection,
    /// What arrives.
    #[serde(default)]
    pub(crate) tasks: TasksSection,
    /// The power preference α.
    #[serde(default)]
    pub(crate) alpha: AlphaSection,
    /// The energy accounting.
    #[serde(default)]
    pub(crate) energy: EnergyField,
    /// The features of o.
    #[serde(default)]
    pub(crate) observation: ObservationField,
    /// K.
    #[serde(default = "ten")]
    pub(crate) history_slots: u32,
    /// What is compared.
    #[serde(default)]
    pub(crate) policies: Vec<PolicySection>,
    /// What is trained.
    #[serde(default)]
    pub(crate) train: Option<TrainSection>,
    /// What is distilled.
    #[serde(default)]
    pub(crate) distill: Option<DistillSection>,
    /// How it is evaluated.
    #[serde(default)]
    pub(crate) evaluate: EvaluateSection,
    /// Whether each run has a process of its own.
    #[serde(default)]
    pub(crate) isolate: bool,
    /// How far a run in a process of its own may go.
    #[serde(default)]
    pub(crate) limits: LimitsSection,
    /// Values to try, by the path of the field.
    #[serde(default)]
    pub(crate) sweep: BTreeMap<String, Vec<Raw>>,
}

fn ten() -> u32 {
    10
}

/// Devices, servers, uplinks, time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default, rename = "system")]
pub(crate) struct SystemSection {
    /// N.
    pub(crate) devices: u32,
    /// M.
    pub(crate) servers: u32,
    /// S.
    pub(crate) slots: u32,
    /// τ.
    pub(crate) slot_seconds: f64,
    /// f^L.
    pub(crate) device_ghz: Raw,
    /// f^E.
    pub(crate) server_ghz: Raw,
    /// R.
    pub(crate) uplink_mbps: Raw,
    /// Powers.
    pub(crate) power: PowerSection,
}

impl Default for SystemSection {
    fn default() -> Self {
        Self {
            devices: 50,
            servers: 5,
            slots: 100,
            slot_seconds: 0.1,
            device_ghz: raw("2.6"),
            server_ghz: raw("42.0"),
            uplink_mbps: raw("14.0"),
            power: PowerSection::default(),
        }
    }
}

/// Powers, W.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default, rename = "power")]
pub(crate) struct PowerSection {
    /// p^T.
    pub(crate) transmit_w: Raw,
    /// p^I.
    pub(crate) idle_w: Raw,
    /// p^C.
    pub(crate) compute_w: Raw,
    /// p^E.
    pub(crate) server_w: Raw,
}

impl Default for PowerSection {
    fn default() -> Self {
        Self {
            transmit_w: raw("2.3"),
            idle_w: raw("0.1"),
            compute_w: raw("2.0"),
            server_w: raw("5.0"),
        }
    }
}

/// What arrives.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default, rename = "tasks")]
pub(crate) struct TasksSection {
    /// z.
    pub(crate) arrival_probability: Raw,
    /// λ.
    pub(crate) size_mbit: Raw,
    /// ρ.
    pub(crate) density: Raw,
    /// D_max.
    pub(crate) deadline_slots: u32,
}

impl Default for TasksSection {
    fn default() -> Self {
        Self {
            arrival_probability: raw("0.3"),
            size_mbit: raw("Uniform(1.0, 7.0)"),
            density: raw("Choice([0.197, 0.297, 0.397])"),
            deadline_slots: 10,
        }
    }
}

/// The power preference α.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default, rename = "alpha")]
pub(crate) struct AlphaSection {
    /// The power modes.
    pub(crate) modes: Vec<f64>,
    /// When a device draws one.
    pub(crate) rule: AlphaRule,
}

impl Default for AlphaSection {
    fn default() -> Self {
        Self { modes: vec![0.25, 0.5, 0.75], rule: AlphaRule::PerEpisode }
    }
}

/// When a device draws its power mode.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) enum AlphaRule {
    /// Anew for each episode.
    PerEpisode,
    /// Once for the whole run.
    Fixed,
    /// Anew for each episode, then changing with this probability per slot.
    Switching(f64),
}

/// The energy accounting.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) enum EnergyField {
    /// The public code's.
    #[default]
    Published,
    /// Joules.
    Physical,
}

/// The features of o.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) enum ObservationField {
    /// Eq. (10).
    #[default]
    Paper,
    /// With ρ and deadline.
    Extended,
    /// The public code's.
    Published,
}

/// A policy to compare.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename = "policy")]
pub(crate) struct PolicySection {
    /// The policy's name among the plugins.
    pub(crate) plugin: String,
    /// The SHA-256 that the plugin's file must have.
    #[serde(default)]
    pub(crate) sha256: Option<String>,
    /// What results call it; the plugin's name if left out.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// A file with what it has learned, relative to the scenario.
    #[serde(default)]
    pub(crate) checkpoint: Option<String>,
    /// The policy's own parameters.
    #[serde(default)]
    pub(crate) parameters: Option<Raw>,
}

/// What is trained, and how.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename = "train")]
pub(crate) struct TrainSection {
    /// Who learns.
    pub(crate) learner: PluginSection,
    /// Who explores.
    #[serde(default)]
    pub(crate) explorer: Option<PluginSection>,
    /// Training episodes.
    pub(crate) episodes: u64,
    /// The seed of all randomness of the training.
    #[serde(default = "one")]
    pub(crate) seed: u64,
    /// Episodes between validations.
    #[serde(default = "fifty")]
    pub(crate) validate_every: u64,
    /// Episodes of a validation.
    #[serde(default = "twenty")]
    pub(crate) validate_episodes: u64,
    /// Episodes between saves.
    #[serde(default = "fifty")]
    pub(crate) save_every: u64,
}

/// What is distilled into what, and how.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename = "distill")]
pub(crate) struct DistillSection {
    /// Who teaches.
    pub(crate) teacher: TeacherSection,
    /// Who learns.
    pub(crate) student: PluginSection,
    /// States in the dataset.
    #[serde(default = "hundred_thousand")]
    pub(crate) states: u64,
    /// Share of the decisions that are drawn instead of the teacher's while it is collected.
    #[serde(default = "a_tenth")]
    pub(crate) explored: f64,
    /// Mini-batch steps.
    #[serde(default = "ten_thousand")]
    pub(crate) steps: u64,
    /// States of each device in a mini-batch.
    #[serde(default = "thirty_two")]
    pub(crate) batch: u64,
    /// Times that the student's own episodes, labelled by the teacher, are added.
    #[serde(default)]
    pub(crate) rounds: u64,
    /// States that a round adds.
    #[serde(default = "twenty_thousand")]
    pub(crate) round_states: u64,
    /// The seed of all randomness of the distillation.
    #[serde(default = "one")]
    pub(crate) seed: u64,
    /// Steps between validations.
    #[serde(default = "thousand")]
    pub(crate) validate_every: u64,
    /// Episodes of a validation.
    #[serde(default = "twenty")]
    pub(crate) validate_episodes: u64,
}

fn a_tenth() -> f64 {
    0.1
}

fn thirty_two() -> u64 {
    32
}

fn thousand() -> u64 {
    1_000
}

fn ten_thousand() -> u64 {
    10_000
}

fn twenty_thousand() -> u64 {
    20_000
}

fn hundred_thousand() -> u64 {
    100_000
}

/// Who teaches.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename = "teacher")]
pub(crate) struct TeacherSection {
    /// Its name among the plugins.
    pub(crate) plugin: String,
    /// The SHA-256 that the plugin's file must have.
    #[serde(default)]
    pub(crate) sha256: Option<String>,
    /// What it has learned, relative to the scenario.
    #[serde(default)]
    pub(crate) checkpoint: Option<String>,
    /// Its own parameters.
    #[serde(default)]
    pub(crate) parameters: Option<Raw>,
}

fn one() -> u64 {
    1
}

fn twenty() -> u64 {
    20
}

fn fifty() -> u64 {
    50
}

/// A learner or an explorer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename = "plugin")]
pub(crate) struct PluginSection {
    /// Its name among the plugins.
    pub(crate) plugin: String,
    /// The SHA-256 that the plugin's file must have.
    #[serde(default)]
    pub(crate) sha256: Option<String>,
    /// Its own parameters.
    #[serde(default)]
    pub(crate) parameters: Option<Raw>,
}

/// How it is evaluated.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default, rename = "evaluate")]
pub(crate) struct EvaluateSection {
    /// Episodes.
    pub(crate) episodes: u64,
    /// The seed of all randomness.
    pub(crate) seed: u64,
}

impl Default for EvaluateSection {
    fn default() -> Self {
        Self { episodes: 50, seed: 1 }
    }
}

/// How far a run in a process of its own may go.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default, rename = "limits")]
pub(crate) struct LimitsSection {
    /// Seconds of one call.
    pub(crate) call_seconds: f64,
    /// MiB of memory.
    pub(crate) memory_mib: u64,
}

impl Default for LimitsSection {
    fn default() -> Self {
        Self { call_seconds: 10.0, memory_mib: 4096 }
    }
}

/// What a quantity may be.
#[derive(Debug)]
pub(crate) enum Quantity {
    /// One value.
    One(f64),
    /// One each.
    List(Vec<f64>),
    /// Drawn.
    Drawn(DrawnQuantity),
}

/// The named forms of a quantity.
#[derive(Debug, Deserialize)]
pub(crate) enum DrawnQuantity {
    /// Uniform between two values.
    Uniform(f64, f64),
    /// One of these.
    Choice(Vec<f64>),
}

/// The named forms of the uplink rates.
#[derive(Debug, Deserialize)]
pub(crate) enum NamedRates {
    /// Each pair drawn.
    Uniform(f64, f64),
    /// Each pair drawn.
    Choice(Vec<f64>),
    /// One a device.
    PerDevice(Vec<f64>),
    /// One a server.
    PerServer(Vec<f64>),
    /// A row a device, a rate a server.
    PerPair(Vec<Vec<f64>>),
}

impl Raw {
    /// Reads a quantity: a number, a list, or a named distribution.
    pub(crate) fn quantity(&self) -> Result<Quantity, ron::error::SpannedError> {
        match self.0.chars().next() {
            Some('[') => ron::from_str(&self.0).map(Quantity::List),
            Some(first) if first.is_alphabetic() && !matches!(self.0.as_str(), "inf" | "NaN") => {
                ron::from_str(&self.0).map(Quantity::Drawn)
            }
            _ => ron::from_str(&self.0).map(Quantity::One),
        }
    }
}
