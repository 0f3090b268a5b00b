//! Scenario files: one self-explaining RON file an experiment.
//!
//! A file is read in two stages: what it says (unknown fields denied), then a valid [`Scenario`]
//! that can't be wrong. Every error knows its place in the file.
//!
//! A sweep is text: each point is the file with some values replaced, so that every point is a
//! scenario one could have written and can run alone, whatever the fields are, a policy's own
//! parameters included.

pub(crate) mod file;
mod outline;

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use offramp_host::plugin::Capabilities;
use offramp_host::{Library, OfferKind, PluginRef, Registry, UnknownName, nearest};
use offramp_model::rng::{self, StreamFamily, WHOLE_RUN};
use offramp_model::{
    Device, Distribution, EnergyAccounting, ObservationKind, ObservationSpec, PowerPreference,
    PreferenceRule, Server, System, SystemParameters, UplinkRates,
};
use serde::de::DeserializeOwned;

use crate::isolate::Limits;
use file::{
    AlphaRule, DistillSection, DrawnQuantity, EnergyField, LimitsSection, NamedRates,
    ObservationField, PluginSection, PolicySection, Quantity, Raw, ScenarioFile, TeacherSection,
    TrainSection,
};
use outline::Outline;
pub(crate) use outline::replace;

/// A valid scenario, or one point of its sweep.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The name by which results call it.
    pub name: String,
    /// What it is for.
    pub about: String,
    /// The system.
    pub system: System,
    /// What policies see.
    pub observation: ObservationSpec,
    /// What is compared; labels differ. Never empty if it was read to be evaluated.
    pub policies: Vec<PolicyEntry>,
    /// What is trained, if anything.
    pub train: Option<TrainEntry>,
    /// What is distilled, if anything.
    pub distill: Option<DistillEntry>,
    /// Episodes of an evaluation, at least 1.
    pub episodes: u64,
    /// The seed of all randomness.
    pub seed: u64,
    /// How far a run may go in a process of its own, if it has one.
    pub isolation: Option<Limits>,
    /// What checkpoints are relative to.
    pub folder: PathBuf,
    /// Its text, that of the point alone.
    pub text: Arc<str>,
    /// SHA-256 of the text, in hexadecimal.
    pub sha256: String,
    /// The point of the sweep: each swept field and its value; empty outside a sweep.
    pub point: Vec<(String, String)>,
}

/// A policy as a scenario names it.
#[derive(Clone, Debug)]
pub struct PolicyEntry {
    /// The policy among the plugins.
    pub found: PluginRef,
    /// What results call it.
    pub label: String,
    /// The RON text of its parameters; empty if there are none.
    pub parameters: String,
    /// The file with what it has learned.
    pub checkpoint: Option<PathBuf>,
}

/// A learner or explorer as a scenario names it.
#[derive(Clone, Debug)]
pub struct PluginEntry {
    /// It among the plugins.
    pub found: PluginRef,
    /// The RON text of its parameters; empty if there are none.
    pub parameters: String,
}

/// What a scenario trains, and how.
#[derive(Clone, Debug)]
pub struct TrainEntry {
    /// Who learns; has the capability.
    pub learner: PluginEntry,
    /// Who explores; if no one does, the learner decides everything.
    pub explorer: Option<PluginEntry>,
    /// Training episodes, at least 1.
    pub episodes: u64,
    /// The seed of all randomness of the training.
    pub seed: u64,
    /// Episodes between validations, at least 1.
    pub validate_every: u64,
    /// Episodes of a validation, at least 1.
    pub validate_episodes: u64,
    /// Episodes between saves, at least 1.
    pub save_every: u64,
}

/// What a scenario distils into what, and how.
#[derive(Clone, Debug)]
pub struct DistillEntry {
    /// Who teaches; has a value function.
    pub teacher: PolicyEntry,
    /// Who learns; can be fitted to a teacher.
    pub student: PluginEntry,
    /// States in the dataset, at least 1.
    pub states: u64,
    /// Share of the decisions that are drawn while it is collected, 0 … 1.
    pub explored: f64,
    /// Mini-batch steps, at least 1.
    pub steps: u64,
    /// States of each device in a mini-batch, at least 1.
    pub batch: u64,
    /// Times that the student's own episodes are added.
    pub rounds: u64,
    /// States that a round adds, at least 1.
    pub round_states: u64,
    /// The seed of all randomness of the distillation.
    pub seed: u64,
    /// Steps between validations, at least 1.
    pub validate_every: u64,
    /// Episodes of a validation, at least 1.
    pub validate_episodes: u64,
}

/// What a scenario is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Its policies are compared.
    Evaluate,
    /// Its learner is trained.
    Train,
    /// Its teacher is distilled.
    Distill,
    /// It is looked at: it need have nothing to run.
    Inspect,
}

/// A scenario file that has been read, with every point of its sweep.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// The name by which results call it.
    pub name: String,
    /// The file as it is run, changes from the command line included.
    pub text: String,
    /// Every point of the sweep, in order; one if there is no sweep.
    pub points: Vec<Scenario>,
}

/// Changes that the command line makes to a scenario.
#[derive(Clone, Copy, Debug, Default)]
pub struct Overrides {
    /// Another seed.
    pub seed: Option<u64>,
    /// Another number of episodes.
    pub episodes: Option<u64>,
    /// A process of its own for each run.
    pub isolate: bool,
}

/// What is wrong with a scenario file, and where.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// It can't be read.
    #[error("{path}: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// It says something that no scenario can say.
    #[error("{0}")]
    Invalid(Box<Fault>),
}

/// A fault at a place in a file.
#[derive(Debug)]
pub struct Fault {
    /// The file, with the point of the sweep if only that is at fault.
    pub source_name: String,
    /// The text.
    pub text: String,
    /// The bytes at fault.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What would mend it, if that is known.
    pub help: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = &self.text[..self.span.start];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&character| character != '\n').count() + 1;
        write!(f, "{}:{line}:{column}: {}", self.source_name, self.message)
    }
}

/// A scenario file larger than this is none.
const MOST_BYTES: u64 = 64 << 20;
/// More than this is surely a slip, and would not fit into memory.
const MOST_DEVICES: u32 = 100_000_000;
/// As for devices.
const MOST_SERVERS: u32 = 1_000_000;
/// Numbers in a window of history.
const MOST_LOADS: u64 = 100_000_000;
/// Devices × servers.
const MOST_PAIRS: u64 = 10_000_000_000;
/// Points of one sweep.
const MOST_POINTS: usize = 100_000;

impl Experiment {
    /// Reads a scenario file.
    ///
    /// # Errors
    /// [`ScenarioError`] with the place in the file, what is wrong and how to mend it.
    pub fn read(
        path: &Path,
        registry: &Registry,
        purpose: Purpose,
        overrides: Overrides,
    ) -> Result<Self, ScenarioError> {
        let text = read_text(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let name = path.display().to_string();
        Self::parse(&name, text, folder, registry, purpose, overrides)
            .map_err(|fault| ScenarioError::Invalid(Box::new(fault)))
    }

    /// Reads the text of a scenario; `folder` is what its checkpoints are relative to.
    ///
    /// # Errors
    /// The first fault.
    pub fn parse(
        source_name: &str,
        text: String,
        folder: &Path,
        registry: &Registry,
        purpose: Purpose,
        overrides: Overrides,
    ) -> Result<Self, Fault> {
        let source = Source { name: source_name, text: &text, folder, registry, purpose };
        source.read_file()?; // So that an error shows the file as it was written.
        let mut changed = text.clone();
        let (seed, episodes) = match purpose {
            Purpose::Evaluate | Purpose::Inspect => ("evaluate.seed", "evaluate.episodes"),
            Purpose::Train => ("train.seed", "train.episodes"),
            Purpose::Distill => ("distill.seed", "distill.steps"),
        };
        let changes = [
            (seed, overrides.seed.map(|seed| seed.to_string())),
            (episodes, overrides.episodes.map(|episodes| episodes.to_string())),
            ("isolate", overrides.isolate.then(|| "true".to_owned())),
        ];
        for (field, value) in changes {
            let Some(value) = value else { continue };
            // The file has been read, so its sections are structs.
            changed = replace(&changed, field, &value).unwrap_or(changed);
        }
        let text = changed;
        let source = Source { name: source_name, text: &text, folder, registry, purpose };
        let file = source.read_file()?;
        let missing = match purpose {
            Purpose::Train if file.train.is_none() => Some("train"),
            Purpose::Distill if file.distill.is_none() => Some("distill"),
            _ => None,
        };
        if let Some(section) = missing {
            let message = format!("there is nothing to {section}");
            let help = format!("give it a `{section}` section; scenarios/README.md explains it");
            return Err(source.fault("", message, Some(help)));
        }
        let combinations = combinations(&source, &file.sweep)?;
        let name = file.name.clone();
        let mut points = Vec::with_capacity(combinations.len());
        for point in combinations {
            if point.is_empty() {
                points.push(source.scenario(&file, point)?);
                continue;
            }
            let mut text = text.clone();
            for (field, value) in &point {
                text = replace(&text, field, value).ok_or_else(|| {
                    let message = format!("the sweep's `{field}` is no field of anything here");
                    source.fault(&format!("sweep.{field}"), message, None)
                })?;
            }
            let described: Vec<_> =
                point.iter().map(|(field, value)| format!("{field} = {value}")).collect();
            let name = format!("{source_name} (sweep, {})", described.join(", "));
            let source = Source { name: &name, text: &text, folder, registry, purpose };
            points.push(source.scenario(&source.read_file()?, point)?);
        }
        Ok(Self { name, text, points })
    }
}

/// The text of a file that is not too large to be one that a person wrote.
pub(crate) fn read_text(path: &Path) -> Result<String, ScenarioError> {
    let unreadable = |cause| ScenarioError::Unreadable { path: path.to_owned(), cause };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MOST_BYTES {
        let cause = std::io::Error::other(format!("{size} bytes are more than {MOST_BYTES}"));
        return Err(unreadable(cause));
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

/// Reads RON; what is wrong with it is told with its place.
pub(crate) fn read_ron<T: DeserializeOwned>(source_name: &str, text: &str) -> Result<T, Fault> {
    let options =
        ron::Options::default().with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME);
    options.from_str(text).map_err(|error| {
        let start = byte_of(text, error.span.start);
        let end = byte_of(text, error.span.end).max(start);
        let (message, help) = explain(&error.code);
        let (source_name, text) = (source_name.to_owned(), text.to_owned());
        Fault { source_name, text, span: start..end, message, help }
    })
}

/// A fault of the value of `field`, or of what is nearest around it in the text.
pub(crate) fn fault_of(
    source_name: &str,
    text: &str,
    field: &str,
    message: String,
    help: Option<String>,
) -> Fault {
    let span = Outline::of(text).find_nearest(field).span.clone();
    let (source_name, text) = (source_name.to_owned(), text.to_owned());
    Fault { source_name, text, span, message, help }
}

/// Whether the text has a value at `path`.
pub(crate) fn has(text: &str, path: &str) -> bool {
    Outline::of(text).find(path).is_some()
}

/// Every combination of the swept values; the last field varies fastest.
fn combinations(
    source: &Source<'_>,
    sweep: &std::collections::BTreeMap<String, Vec<Raw>>,
) -> Result<Vec<Vec<(String, String)>>, Fault> {
    let mut all = vec![Vec::new()];
    for (field, values) in sweep {
        let at = format!("sweep.{field}");
        if values.is_empty() {
            return Err(source.fault(&at, "there is nothing to sweep over".into(), None));
        }
        if field == "sweep" || field.starts_with("sweep.") || field == "name" {
            return Err(source.fault(&at, format!("`{field}` can't be swept"), None));
        }
        if all.len().saturating_mul(values.len()) > MOST_POINTS {
            let message = format!("the sweep has more than {MOST_POINTS} points");
            return Err(source.fault("sweep", message, None));
        }
        all = all
            .into_iter()
            .flat_map(|point| {
                values.iter().map(move |value| {
                    let mut point = point.clone();
                    point.push((field.clone(), value.0.clone()));
                    point
                })
            })
            .collect();
    }
    Ok(all)
}

/// A scenario's text, with what it is called in errors.
#[derive(Clone, Copy)]
struct Source<'t> {
    name: &'t str,
    text: &'t str,
    /// What checkpoints are relative to.
    folder: &'t Path,
    /// Where policies are looked up.
    registry: &'t Registry,
    purpose: Purpose,
}

impl Source<'_> {
    fn fault(&self, field: &str, message: String, help: Option<String>) -> Fault {
        fault_of(self.name, self.text, field, message, help)
    }

    /// The first stage.
    fn read_file(&self) -> Result<ScenarioFile, Fault> {
        read_ron(self.name, self.text)
    }

    /// The second stage.
    fn scenario(
        &self,
        file: &ScenarioFile,
        point: Vec<(String, String)>,
    ) -> Result<Scenario, Fault> {
        let observation = ObservationSpec {
            kind: match file.observation {
                ObservationField::Paper => ObservationKind::Paper,
                ObservationField::Extended => ObservationKind::Extended,
                ObservationField::Published => ObservationKind::Published,
            },
            history_slots: file.history_slots,
        };
        if !(1..=10_000).contains(&file.history_slots) {
            let message = format!("{} is out of range 1 … 10000", file.history_slots);
            return Err(self.fault("history_slots", message, None));
        }
        if !(1..=1_000_000_000).contains(&file.evaluate.episodes) {
            let message = format!("{} is out of range 1 … 10⁹", file.evaluate.episodes);
            return Err(self.fault("evaluate.episodes", message, None));
        }
        if file.name.is_empty() || file.name.contains(['/', '\\']) || file.name.starts_with('.') {
            let message = "a name must not be empty, begin with a dot or have a slash".to_owned();
            return Err(self.fault("name", message, None));
        }
        let LimitsSection { call_seconds, memory_mib } = file.limits;
        if !(0.001..=1e6).contains(&call_seconds) || !(1..=1 << 30).contains(&memory_mib) {
            let message = "call_seconds: 0.001 … 10⁶, memory_mib: 1 … 2³⁰".to_owned();
            return Err(self.fault("limits", message, None));
        }
        let limits = Limits { call_seconds, memory_mib };
        Ok(Scenario {
            name: file.name.clone(),
            about: file.about.clone(),
            system: self.system(file)?,
            observation,
            policies: self.policies(&file.policies)?,
            train: file.train.as_ref().map(|section| self.train(section)).transpose()?,
            distill: file.distill.as_ref().map(|section| self.distill(section)).transpose()?,
            episodes: file.evaluate.episodes,
            seed: file.evaluate.seed,
            isolation: file.isolate.then_some(limits),
            folder: self.folder.to_owned(),
            text: self.text.into(),
            sha256: offramp_host::sha256(self.text.as_bytes()),
            point,
        })
    }

    /// The plugin that the entry `field` names, whose file has the hash it asks for, if it does.
    fn find(
        &self,
        kind: OfferKind,
        name: &str,
        pinned: Option<&String>,
        field: &str,
    ) -> Result<PluginRef, Fault> {
        let found = self.registry.find(kind, name).map_err(|unknown| {
            let help = which_names(&unknown);
            self.fault(&format!("{field}.plugin"), unknown.to_string(), help)
        })?;
        let Library { path, sha256, .. } = &*found.library;
        match pinned {
            Some(pinned) if !pinned.eq_ignore_ascii_case(sha256) => {
                let message =
                    format!("`{name}` comes from {}, which is another file", path.display());
                let help = format!("its SHA-256 is {sha256}");
                Err(self.fault(&format!("{field}.sha256"), message, Some(help)))
            }
            _ => Ok(found),
        }
    }

    fn counts(&self, counts: &[(&str, u64)]) -> Result<(), Fault> {
        match counts.iter().find(|(_, count)| !(1..=1_000_000_000).contains(count)) {
            None => Ok(()),
            Some((field, count)) => {
                let message = format!("{count} is out of range 1 … 10⁹");
                Err(self.fault(field, message, None))
            }
        }
    }

    fn plugin(
        &self,
        kind: OfferKind,
        field: &str,
        section: &PluginSection,
    ) -> Result<PluginEntry, Fault> {
        let found = self.find(kind, &section.plugin, section.sha256.as_ref(), field)?;
        let parameters = section.parameters.clone().map_or_else(String::new, |raw| raw.0);
        Ok(PluginEntry { found, parameters })
    }

    /// The file of a checkpoint. A scenario may come from anyone, so that what it names by a
    /// relative path is in its folder.
    fn checkpoint(&self, field: &str, file: Option<&String>) -> Result<Option<PathBuf>, Fault> {
        let Some(file) = file else { return Ok(None) };
        let path = self.folder.join(file);
        let fail = |cause: std::io::Error| {
            self.fault(field, format!("checkpoint {}: {cause}", path.display()), None)
        };
        std::fs::File::open(&path).map_err(fail)?;
        if Path::new(file).is_relative() {
            let folder = match self.folder.as_os_str().is_empty() {
                true => Path::new("."),
                false => self.folder,
            };
            let folder = folder.canonicalize().map_err(fail)?;
            if !path.canonicalize().map_err(fail)?.starts_with(folder) {
                let message = format!("`{file}` leaves the scenario's folder");
                let help = "give the path from the root on, if that is meant".to_owned();
                return Err(self.fault(field, message, Some(help)));
            }
        }
        Ok(Some(path))
    }

    fn distill(&self, section: &DistillSection) -> Result<DistillEntry, Fault> {
        self.counts(&[
            ("distill.states", section.states),
            ("distill.steps", section.steps),
            ("distill.batch", section.batch),
            ("distill.round_states", section.round_states),
            ("distill.validate_every", section.validate_every),
            ("distill.validate_episodes", section.validate_episodes),
        ])?;
        if let Some(fault) = offramp_model::Range::Unit.fault(section.explored) {
            return Err(self.fault("distill.explored", fault, None));
        }
        let TeacherSection { plugin, sha256, checkpoint, parameters } = &section.teacher;
        let found = self.find(OfferKind::Policy, plugin, sha256.as_ref(), "distill.teacher")?;
        if !found.offer.capabilities.has(Capabilities::VALUE_FUNCTION) {
            let message = format!("`{plugin}` has no values to teach");
            return Err(self.fault("distill.teacher.plugin", message, None));
        }
        let checkpoint = self.checkpoint("distill.teacher.checkpoint", checkpoint.as_ref())?;
        let parameters = parameters.clone().map_or_else(String::new, |raw| raw.0);
        let teacher = PolicyEntry { found, label: plugin.clone(), parameters, checkpoint };
        let student = self.plugin(OfferKind::Policy, "distill.student", &section.student)?;
        if !student.found.offer.capabilities.has(Capabilities::STUDENT) {
            let message = format!("`{}` can't be taught", section.student.plugin);
            return Err(self.fault("distill.student.plugin", message, None));
        }
        Ok(DistillEntry {
            teacher,
            student,
            states: section.states,
            explored: section.explored,
            steps: section.steps,
            batch: section.batch,
            rounds: section.rounds,
            round_states: section.round_states,
            seed: section.seed,
            validate_every: section.validate_every,
            validate_episodes: section.validate_episodes,
        })
    }

    fn train(&self, section: &TrainSection) -> Result<TrainEntry, Fault> {
        let counts = [
            ("train.episodes", section.episodes),
            ("train.validate_every", section.validate_every),
            ("train.validate_episodes", section.validate_episodes),
            ("train.save_every", section.save_every),
        ];
        self.counts(&counts)?;
        let learner = self.plugin(OfferKind::Policy, "train.learner", &section.learner)?;
        if !learner.found.offer.capabilities.has(Capabilities::LEARNER) {
            let message = format!("`{}` can't learn", section.learner.plugin);
            return Err(self.fault("train.learner.plugin", message, None));
        }
        let explorer = section.explorer.as_ref();
        Ok(TrainEntry {
            learner,
            explorer: explorer
                .map(|section| self.plugin(OfferKind::Explorer, "train.explorer", section))
                .transpose()?,
            episodes: section.episodes,
            seed: section.seed,
            validate_every: section.validate_every,
            validate_episodes: section.validate_episodes,
            save_every: section.save_every,
        })
    }

    fn policies(&self, sections: &[PolicySection]) -> Result<Vec<PolicyEntry>, Fault> {
        if matches!(self.purpose, Purpose::Train | Purpose::Distill) {
            return Ok(Vec::new()); // Their checkpoints may be what is about to be made.
        }
        if sections.is_empty() && self.purpose == Purpose::Evaluate {
            let message = "there is no policy to run".to_owned();
            let help = "give at least one, like (plugin: \"random\")".to_owned();
            return Err(self.fault("policies", message, Some(help)));
        }
        let mut entries: Vec<PolicyEntry> = Vec::with_capacity(sections.len());
        for (index, section) in sections.iter().enumerate() {
            let label = section.name.clone().unwrap_or_else(|| section.plugin.clone());
            if entries.iter().any(|entry| entry.label == label) {
                let message = format!("there are two policies called `{label}`");
                let help = "give one of them a `name` of its own".to_owned();
                return Err(self.fault(&format!("policies.{index}"), message, Some(help)));
            }
            let field = format!("policies.{index}");
            let pinned = section.sha256.as_ref();
            let found = self.find(OfferKind::Policy, &section.plugin, pinned, &field)?;
            let field = format!("policies.{index}.checkpoint");
            let checkpoint = self.checkpoint(&field, section.checkpoint.as_ref())?;
            let parameters = section.parameters.clone().map_or_else(String::new, |raw| raw.0);
            entries.push(PolicyEntry { found, label, parameters, checkpoint });
        }
        Ok(entries)
    }

    fn system(&self, file: &ScenarioFile) -> Result<System, Fault> {
        let section = &file.system;
        let range = |field: &str, value: u32, most: u32| {
            if (1..=most).contains(&value) {
                return Ok(value as usize);
            }
            Err(self.fault(field, format!("{value} is out of range 1 … {most}"), None))
        };
        let devices = range("system.devices", section.devices, MOST_DEVICES)?;
        let servers = range("system.servers", section.servers, MOST_SERVERS)?;
        // What is kept for each of them would not fit into memory.
        if u64::from(file.history_slots) * servers as u64 > MOST_LOADS {
            let message = format!("history_slots × servers is more than {MOST_LOADS}");
            return Err(self.fault("history_slots", message, None));
        }
        if devices as u64 * servers as u64 > MOST_PAIRS {
            let message = format!("devices × servers is more than {MOST_PAIRS}");
            return Err(self.fault("system.devices", message, None));
        }
        let seed = file.evaluate.seed;
        let of_devices = |field: &'static str, raw: &Raw, draw: u64| {
            let streams = StreamFamily::new(seed, WHOLE_RUN, rng::Purpose::Device);
            self.each(field, raw, "devices", devices, streams, draw)
        };
        let of_servers = |field: &'static str, raw: &Raw, draw: u64| {
            let streams = StreamFamily::new(seed, WHOLE_RUN, rng::Purpose::Server);
            self.each(field, raw, "servers", servers, streams, draw)
        };
        // The last number is the position of the quantity in its device's stream: never renumber.
        let cpu = of_devices("system.device_ghz", &section.device_ghz, 0)?;
        let compute = of_devices("system.power.compute_w", &section.power.compute_w, 1)?;
        let transmit = of_devices("system.power.transmit_w", &section.power.transmit_w, 2)?;
        let idle = of_devices("system.power.idle_w", &section.power.idle_w, 3)?;
        let arrival = of_devices("tasks.arrival_probability", &file.tasks.arrival_probability, 4)?;
        let ghz = of_servers("system.server_ghz", &section.server_ghz, 0)?;
        let power = of_servers("system.power.server_w", &section.power.server_w, 1)?;
        let parameters = SystemParameters {
            slot_seconds: section.slot_seconds,
            arrival_slots: section.slots,
            deadline_slots: file.tasks.deadline_slots,
            devices: (0..devices)
                .map(|device| Device {
                    cpu_ghz: cpu.at(device),
                    compute_w: compute.at(device),
                    transmit_w: transmit.at(device),
                    idle_w: idle.at(device),
                    arrival_probability: arrival.at(device),
                })
                .collect(),
            servers: (0..servers)
                .map(|server| Server { ghz: ghz.at(server), power_w: power.at(server) })
                .collect(),
            uplink: self.uplink(&section.uplink_mbps, seed)?,
            size_mbit: self.distribution("tasks.size_mbit", &file.tasks.size_mbit)?,
            density: self.distribution("tasks.density", &file.tasks.density)?,
            power_preference: PowerPreference {
                modes: file.alpha.modes.clone(),
                rule: match file.alpha.rule {
                    AlphaRule::PerEpisode => PreferenceRule::PerEpisode,
                    AlphaRule::Fixed => PreferenceRule::Fixed,
                    AlphaRule::Switching(probability) => PreferenceRule::Switching(probability),
                },
            },
            energy: match file.energy {
                EnergyField::Published => EnergyAccounting::Published,
                EnergyField::Physical => EnergyAccounting::Physical,
            },
        };
        System::new(parameters)
            .map_err(|invalid| self.fault(field_of(invalid.parameter), invalid.fault, None))
    }

    /// A quantity that each of `count` entities has.
    fn each(
        &self,
        field: &'static str,
        raw: &Raw,
        of: &str,
        count: usize,
        streams: StreamFamily,
        draw: u64,
    ) -> Result<Each, Fault> {
        let distribution = match self.quantity(field, raw)? {
            Quantity::One(value) => return Ok(Each::Same(value)),
            Quantity::List(list) if list.len() == count => return Ok(Each::List(list)),
            Quantity::List(list) => {
                let message = format!("a list of {} for {count} {of}", list.len());
                return Err(self.fault(field, message, None));
            }
            Quantity::Drawn(drawn) => drawn.into(),
        };
        self.drawable(field, &distribution)?;
        let value = |entity| distribution.draw(&mut streams.of(entity).skip(draw));
        Ok(Each::List((0..count as u64).map(value).collect()))
    }

    fn quantity(&self, field: &str, raw: &Raw) -> Result<Quantity, Fault> {
        raw.quantity().map_err(|error| {
            let (message, help) = explain(&error.code);
            let forms = "a number, a list, Uniform(low, high) or Choice([…])";
            self.fault(field, message, Some(help.unwrap_or_else(|| format!("it may be {forms}"))))
        })
    }

    /// A distribution must be one before anything is drawn from it.
    fn drawable(&self, field: &str, distribution: &Distribution) -> Result<(), Fault> {
        match distribution.fault(&offramp_model::Range::NotNegative) {
            None => Ok(()),
            Some(fault) => Err(self.fault(field, fault, None)),
        }
    }

    /// A quantity of each task.
    fn distribution(&self, field: &str, raw: &Raw) -> Result<Distribution, Fault> {
        match self.quantity(field, raw)? {
            Quantity::One(value) => Ok(Distribution::Constant(value)),
            Quantity::Drawn(drawn) => Ok(drawn.into()),
            Quantity::List(_) => {
                let message = "a list says nothing about tasks".to_owned();
                let help = "did you mean Choice([…])?".to_owned();
                Err(self.fault(field, message, Some(help)))
            }
        }
    }

    fn uplink(&self, raw: &Raw, seed: u64) -> Result<UplinkRates, Fault> {
        let field = "system.uplink_mbps";
        let named = raw.0.starts_with(|first: char| first.is_alphabetic());
        let parsed = if named {
            ron::from_str::<NamedRates>(&raw.0)
        } else {
            ron::from_str::<f64>(&raw.0).map(|rate| NamedRates::Uniform(rate, rate))
        };
        let rates = parsed.map_err(|error| {
            let (message, help) = explain(&error.code);
            let forms = "it may be a number, Uniform(low, high), Choice([…]), PerDevice([…]), \
                         PerServer([…]) or PerPair([[…], …])";
            self.fault(field, message, Some(help.unwrap_or_else(|| forms.to_owned())))
        })?;
        let drawn = |distribution: Distribution| {
            self.drawable(field, &distribution)?;
            let streams = StreamFamily::new(seed, WHOLE_RUN, rng::Purpose::Uplink);
            Ok(UplinkRates::Drawn(distribution, streams))
        };
        match rates {
            NamedRates::Uniform(low, high) if low == high || !named => Ok(UplinkRates::Same(low)),
            NamedRates::Uniform(low, high) => drawn(Distribution::Uniform(low, high)),
            NamedRates::Choice(rates) => drawn(Distribution::Choice(rates)),
            NamedRates::PerDevice(rates) => Ok(UplinkRates::PerDevice(rates)),
            NamedRates::PerServer(rates) => Ok(UplinkRates::PerServer(rates)),
            NamedRates::PerPair(rates) => Ok(UplinkRates::PerPair(rates)),
        }
    }
}

/// What each device or server has.
enum Each {
    Same(f64),
    List(Vec<f64>),
}

impl Each {
    fn at(&self, index: usize) -> f64 {
        match self {
            Self::Same(value) => *value,
            Self::List(values) => values[index],
        }
    }
}

impl From<DrawnQuantity> for Distribution {
    fn from(drawn: DrawnQuantity) -> Self {
        match drawn {
            DrawnQuantity::Uniform(low, high) => Self::Uniform(low, high),
            DrawnQuantity::Choice(values) => Self::Choice(values),
        }
    }
}

/// Which names there are instead.
fn which_names(unknown: &UnknownName) -> Option<String> {
    let mut help = match (&unknown.nearest, unknown.known.is_empty()) {
        (Some(name), _) => format!("did you mean `{name}`?"),
        (None, false) => format!("there are: {}", unknown.known.join(", ")),
        (None, true) => "no plugins were found: build them, or name their folder with --plugins \
                         or OFFRAMP_PLUGINS"
            .to_owned(),
    };
    if unknown.refused > 0 {
        let count = unknown.refused;
        help += &format!(" ({count} refused; `offramp plugins` says why)");
    }
    Some(help)
}

/// The field of a scenario that a parameter of the model comes from.
fn field_of(parameter: &str) -> &'static str {
    match parameter {
        "devices" => "system.devices",
        "servers" => "system.servers",
        "arrival_slots" => "system.slots",
        "slot_seconds" => "system.slot_seconds",
        "deadline_slots" => "tasks.deadline_slots",
        "cpu_ghz" => "system.device_ghz",
        "compute_w" => "system.power.compute_w",
        "transmit_w" => "system.power.transmit_w",
        "idle_w" => "system.power.idle_w",
        "arrival_probability" => "tasks.arrival_probability",
        "ghz" => "system.server_ghz",
        "power_w" => "system.power.server_w",
        "uplink" => "system.uplink_mbps",
        "size_mbit" => "tasks.size_mbit",
        "density" => "tasks.density",
        "power_preference" => "alpha",
        _ => "",
    }
}

/// What `ron` says, with the nearest valid name where a name is wrong.
fn explain(error: &ron::Error) -> (String, Option<String>) {
    let near = |found: &str, expected: &[&'static str]| {
        nearest(found, expected.iter().copied())
            .map(|name| format!("did you mean `{name}`?"))
            .or_else(|| Some(format!("there are: {}", expected.join(", "))))
    };
    let inside = |outer: &Option<String>| {
        outer.as_ref().map_or_else(String::new, |outer| format!(" in `{outer}`"))
    };
    match error {
        ron::Error::NoSuchStructField { expected, found, outer } => {
            (format!("there is no field `{found}`{}", inside(outer)), near(found, expected))
        }
        ron::Error::NoSuchEnumVariant { expected, found, .. } => {
            (format!("there is no `{found}` here"), near(found, expected))
        }
        ron::Error::MissingStructField { field, outer } => {
            (format!("the field `{field}`{} is missing", inside(outer)), None)
        }
        other => (other.to_string(), None),
    }
}

/// The byte at a line and column, both counted from 1 in characters.
fn byte_of(text: &str, position: ron::error::Position) -> usize {
    let line_start: usize =
        text.split_inclusive('\n').take(position.line.saturating_sub(1)).map(str::len).sum();
    let line = &text[line_start.min(text.len())..];
    let column = position.col.saturating_sub(1);
    line.char_indices().nth(column).map_or(text.len(), |(byte, _)| line_start + byte)
}
