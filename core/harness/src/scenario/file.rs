//! What a scenario file says: the first of the two stages in which it is read. Fields that are
//! left out have the values of the paper; fields that do not exist are errors.
//!
//! `scenarios/README.md` explains the same fields to a user, and a test holds the two together.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

/// A value whose form only the second stage knows: its RON text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Raw(pub(crate) String);

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<ron::value::RawValue>::deserialize(deserializer)?;
        Ok(Self(raw.get_ron().trim().to_owned()))
    }
}

fn raw(text: &str) -> Raw {
    Raw(text.to_owned())
}

/// An experiment.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename = "Scenario")]
pub(super) struct ScenarioFile {
    /// The name by which results call it.
    pub(super) name: String,
    /// What it is for, in a sentence.
    #[serde(default)]
    pub(super) about: String,
    /// Devices, servers, uplinks, time.
    #[serde(default)]
    pub(super) system: SystemSection,
    /// What arrives.
    #[serde(default)]
    pub(super) tasks: TasksSection,
    /// The power preference α.
    #[serde(default)]
    pub(super) alpha: AlphaSection,
    /// The energy accounting.
    #[serde(default)]
    pub(super) energy: EnergyField,
    /// The features of o.
    #[serde(default)]
    pub(super) observation: ObservationField,
    /// K.
    #[serde(default = "ten")]
    pub(super) history_slots: u32,
    /// What is compared.
    #[serde(default)]
    pub(super) policies: Vec<PolicySection>,
    /// What is trained.
    #[serde(default)]
    pub(super) train: Option<TrainSection>,
    /// What is distilled.
    #[serde(default)]
    pub(super) distill: Option<DistillSection>,
    /// How it is evaluated.
    #[serde(default)]
    pub(super) evaluate: EvaluateSection,
    /// Whether each run has a process of its own.
    #[serde(default)]
    pub(super) isolate: bool,
    /// How far a run in a process of its own may go.
    #[serde(default)]
    pub(super) limits: LimitsSection,
    /// Values to try, by the path of the field.
    #[serde(default)]
    pub(super) sweep: BTreeMap<String, Vec<Raw>>,
}

fn ten() -> u32 {
    10
}

/// Devices, servers, uplinks, time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default, rename = "system")]
pub(super) struct SystemSection {
    /// N.
    pub(super) devices: u32,
    /// M.
    pub(super) servers: u32,
    /// S.
    pub(super) slots: u32,
    /// τ.
    pub(super) slot_seconds: f64,
    /// f^L.
    pub(super) device_ghz: Raw,
    /// f^E.
    pub(super) server_ghz: Raw,
    /// R.
    pub(super) uplink_mbps: Raw,
    /// Powers.
    pub(super) power: PowerSection,
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
pub(super) struct PowerSection {
    /// p^T.
    pub(super) transmit_w: Raw,
    /// p^I.
    pub(super) idle_w: Raw,
    /// p^C.
    pub(super) compute_w: Raw,
    /// p^E.
    pub(super) server_w: Raw,
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
pub(super) struct TasksSection {
    /// z.
    pub(super) arrival_probability: Raw,
    /// λ.
    pub(super) size_mbit: Raw,
    /// ρ.
    pub(super) density: Raw,
    /// D_max.
    pub(super) deadline_slots: u32,
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
pub(super) struct AlphaSection {
    /// The power modes.
    pub(super) modes: Vec<f64>,
    /// When a device draws one.
    pub(super) rule: AlphaRule,
}

impl Default for AlphaSection {
    fn default() -> Self {
        Self { modes: vec![0.25, 0.5, 0.75], rule: AlphaRule::PerEpisode }
    }
}

/// When a device draws its power mode.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) enum AlphaRule {
    /// Anew for each episode.
    PerEpisode,
    /// Once for the whole run.
    Fixed,
    /// Anew for each episode, then changing with this probability per slot.
    Switching(f64),
}

/// The energy accounting.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) enum EnergyField {
    /// The public code's.
    #[default]
    Published,
    /// Joules.
    Physical,
}

/// The features of o.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) enum ObservationField {
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
pub(super) struct PolicySection {
    /// The policy's name among the plugins.
    pub(super) plugin: String,
    /// The SHA-256 that the plugin's file must have.
    #[serde(default)]
    pub(super) sha256: Option<String>,
    /// What results call it; the plugin's name if left out.
    #[serde(default)]
    pub(super) name: Option<String>,
    /// A file with what it has learned, relative to the scenario.
    #[serde(default)]
    pub(super) checkpoint: Option<String>,
    /// The policy's own parameters.
    #[serde(default)]
    pub(super) parameters: Option<Raw>,
}

/// What is trained, and how.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename = "train")]
pub(super) struct TrainSection {
    /// Who learns.
    pub(super) learner: PluginSection,
    /// Who explores.
    #[serde(default)]
    pub(super) explorer: Option<PluginSection>,
    /// Training episodes.
    pub(super) episodes: u64,
    /// The seed of all randomness of the training.
    #[serde(default = "one")]
    pub(super) seed: u64,
    /// Episodes between validations.
    #[serde(default = "fifty")]
    pub(super) validate_every: u64,
    /// Episodes of a validation.
    #[serde(default = "twenty")]
    pub(super) validate_episodes: u64,
    /// Episodes between saves.
    #[serde(default = "fifty")]
    pub(super) save_every: u64,
}

/// What is distilled into what, and how.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename = "distill")]
pub(super) struct DistillSection {
    /// Who teaches.
    pub(super) teacher: TeacherSection,
    /// Who learns.
    pub(super) student: PluginSection,
    /// States in the dataset.
    #[serde(default = "hundred_thousand")]
    pub(super) states: u64,
    /// Share of the decisions that are drawn instead of the teacher's while it is collected.
    #[serde(default = "a_tenth")]
    pub(super) explored: f64,
    /// Mini-batch steps.
    #[serde(default = "ten_thousand")]
    pub(super) steps: u64,
    /// States of each device in a mini-batch.
    #[serde(default = "thirty_two")]
    pub(super) batch: u64,
    /// Times that the student's own episodes, labelled by the teacher, are added.
    #[serde(default)]
    pub(super) rounds: u64,
    /// States that a round adds.
    #[serde(default = "twenty_thousand")]
    pub(super) round_states: u64,
    /// The seed of all randomness of the distillation.
    #[serde(default = "one")]
    pub(super) seed: u64,
    /// Steps between validations.
    #[serde(default = "thousand")]
    pub(super) validate_every: u64,
    /// Episodes of a validation.
    #[serde(default = "twenty")]
    pub(super) validate_episodes: u64,
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
pub(super) struct TeacherSection {
    /// Its name among the plugins.
    pub(super) plugin: String,
    /// The SHA-256 that the plugin's file must have.
    #[serde(default)]
    pub(super) sha256: Option<String>,
    /// What it has learned, relative to the scenario.
    #[serde(default)]
    pub(super) checkpoint: Option<String>,
    /// Its own parameters.
    #[serde(default)]
    pub(super) parameters: Option<Raw>,
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
pub(super) struct PluginSection {
    /// Its name among the plugins.
    pub(super) plugin: String,
    /// The SHA-256 that the plugin's file must have.
    #[serde(default)]
    pub(super) sha256: Option<String>,
    /// Its own parameters.
    #[serde(default)]
    pub(super) parameters: Option<Raw>,
}

/// How it is evaluated.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default, rename = "evaluate")]
pub(super) struct EvaluateSection {
    /// Episodes.
    pub(super) episodes: u64,
    /// The seed of all randomness.
    pub(super) seed: u64,
}

impl Default for EvaluateSection {
    fn default() -> Self {
        Self { episodes: 50, seed: 1 }
    }
}

/// How far a run in a process of its own may go.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default, rename = "limits")]
pub(super) struct LimitsSection {
    /// Seconds of one call.
    pub(super) call_seconds: f64,
    /// MiB of memory.
    pub(super) memory_mib: u64,
}

impl Default for LimitsSection {
    fn default() -> Self {
        Self { call_seconds: 10.0, memory_mib: 4096 }
    }
}

/// What a quantity may be.
#[derive(Debug)]
pub(super) enum Quantity {
    /// One value.
    One(f64),
    /// One each.
    List(Vec<f64>),
    /// Drawn.
    Drawn(DrawnQuantity),
}

/// The named forms of a quantity.
#[derive(Debug, Deserialize)]
pub(super) enum DrawnQuantity {
    /// Uniform between two values.
    Uniform(f64, f64),
    /// One of these.
    Choice(Vec<f64>),
}

/// The named forms of the uplink rates.
#[derive(Debug, Deserialize)]
pub(super) enum NamedRates {
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
    pub(super) fn quantity(&self) -> Result<Quantity, ron::error::SpannedError> {
        match self.0.chars().next() {
            Some('[') => ron::from_str(&self.0).map(Quantity::List),
            Some(first) if first.is_alphabetic() && !matches!(self.0.as_str(), "inf" | "NaN") => {
                ron::from_str(&self.0).map(Quantity::Drawn)
            }
            _ => ron::from_str(&self.0).map(Quantity::One),
        }
    }
}
