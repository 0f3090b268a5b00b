//! Binding: from names to plugins.
//!
//! A [`Scenario`] is plain data. [`bind_evaluation`], [`bind_training`], [`bind_distillation`] and [`bind_live`]
//! find its plugins, check their capabilities and the files it refers to, and return a type that can
//! run: a scenario with nothing to train never becomes a [`Training`].

use std::path::PathBuf;
use std::sync::OnceLock;

use offramp_host::plugin::Capabilities;
use offramp_host::{Library, OfferKind, PluginRef, Registry, UnknownName};
use offramp_results::files::sha256;
use offramp_scenario::{
    DistillationEntry, Exchange, Fault, Learns, LiveEntry, LivePolicy, NamedFileError, OnlineEntry,
    PluginEntry, PolicyEntry, Scenario, TrainingEntry, fields_of, named_file, nearest, replace,
    value_of,
};

use crate::reference::Reference;

/// A policy or explorer, ready to be created.
#[derive(Clone, Debug)]
pub struct BoundPlugin {
    /// The plugin that provides it.
    pub plugin: PluginRef,
    /// The RON text of its parameters; empty if there are none.
    pub parameters: String,
}

/// A policy, ready to be created, with the file of what it has learned.
#[derive(Clone, Debug)]
pub struct BoundPolicy {
    /// The plugin that provides it, or what it is without one.
    pub decider: Decider,
    /// The name that results use.
    pub label: String,
    /// The RON text of its parameters; empty if there are none.
    pub parameters: String,
    /// The file with what it has learned, if it has one.
    pub checkpoint: Option<PathBuf>,
}

/// The source of the decisions of a run.
#[derive(Clone, Debug)]
pub enum Decider {
    /// A plugin.
    Plugin(PluginRef),
    /// A reference that offramp itself provides.
    Reference(Reference),
}

impl BoundPolicy {
    /// The name of the policy in its plugin, or that of a reference.
    pub fn name(&self) -> &str {
        match &self.decider {
            Decider::Plugin(plugin) => &plugin.offer.name,
            Decider::Reference(reference) => reference.name(),
        }
    }

    /// The plugin that provides it; `None` of a reference.
    pub fn plugin(&self) -> Option<&PluginRef> {
        match &self.decider {
            Decider::Plugin(plugin) => Some(plugin),
            Decider::Reference(_) => None,
        }
    }
}

/// A teacher, ready to be created.
#[derive(Clone, Debug)]
pub struct BoundTeacher {
    /// The plugin that provides it.
    pub plugin: PluginRef,
    /// The RON text of its parameters; empty if there are none.
    pub parameters: String,
    /// The file with what it has learned, if it has one.
    pub checkpoint: Option<PathBuf>,
}

/// A scenario with at least one policy, ready to be evaluated.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The scenario it was bound from.
    pub scenario: Scenario,
    /// SHA-256 of its text, in hexadecimal.
    pub sha256: String,
    /// Its policies, in order; never empty.
    pub policies: Vec<BoundPolicy>,
    /// The folder that records of checkpoints are relative to: that of the scenario, unless they are
    /// kept elsewhere, in a folder that may be renamed.
    pub checkpoint_home: PathBuf,
    /// Its text in parts, once a run asks for isolation.
    parts: OnceLock<TextParts>,
    /// The hash of what all of its runs depend on, once one of them asks for it.
    pub(crate) shared_identity: OnceLock<String>,
}

/// The text of a scenario in parts: there may be thousands of policies, and a process that runs one of
/// them reads no other.
#[derive(Clone, Debug)]
struct TextParts {
    /// The text without policies and sweep.
    rest: String,
    /// The text of each policy.
    policies: Vec<String>,
}

impl Evaluation {
    /// The text of the scenario at this point, with only that policy.
    pub(crate) fn text_with(&self, policy: &BoundPolicy) -> String {
        let TextParts { rest, policies } = self.parts.get_or_init(|| {
            let text = &self.scenario.text;
            let policies = fields_of(value_of(text, "policies").unwrap_or_default());
            let without = |text: &str, field, nothing| {
                replace(text, field, nothing).unwrap_or_else(|| text.to_owned())
            };
            TextParts {
                rest: without(
                    &without(&without(text, "policies", "[]"), "sweep", "{}"),
                    "hindsight",
                    "false",
                ),
                policies: policies.into_iter().map(|(_, text)| text.to_owned()).collect(),
            }
        });
        let number = self.policies.iter().position(|entry| entry.label == policy.label);
        let entry = number.and_then(|number| policies.get(number)).map_or("", String::as_str);
        replace(rest, "policies", &format!("[{entry}]")).unwrap_or_else(|| rest.clone())
    }
}

/// A scenario with a learner, ready to be trained.
#[derive(Clone, Debug)]
pub struct Training {
    /// The scenario it was bound from.
    pub scenario: Scenario,
    /// SHA-256 of its text, in hexadecimal.
    pub sha256: String,
    /// How it is trained.
    pub entry: TrainingEntry,
    /// The policy that learns.
    pub learner: BoundPlugin,
    /// The explorer; without one the learner decides everything.
    pub explorer: Option<BoundPlugin>,
    /// The teacher, which has a value function and to which the learner can be fitted.
    pub teacher: Option<BoundTeacher>,
    /// The file of the checkpoint that the learner begins from, if there is one.
    pub from: Option<PathBuf>,
}

/// A scenario with a teacher and a student, ready to be distilled.
#[derive(Clone, Debug)]
pub struct Distillation {
    /// The scenario it was bound from.
    pub scenario: Scenario,
    /// SHA-256 of its text, in hexadecimal.
    pub sha256: String,
    /// How it is distilled.
    pub entry: DistillationEntry,
    /// The teacher, which has a value function.
    pub teacher: BoundTeacher,
    /// The student, which can be fitted to a teacher.
    pub student: BoundPlugin,
    /// The file of the checkpoint that the student begins from, if there is one.
    pub from: Option<PathBuf>,
}

/// A scenario with a live run, ready to begin.
#[derive(Clone, Debug)]
pub struct Live {
    /// The scenario it was bound from.
    pub scenario: Scenario,
    /// SHA-256 of its text, in hexadecimal.
    pub sha256: String,
    /// The stream: its length, its windows, and how the system drifts.
    pub entry: LiveEntry,
    /// Its policies, in order; never empty.
    pub policies: Vec<BoundLivePolicy>,
}

/// A policy of a live run, ready to be created.
#[derive(Clone, Debug)]
pub struct BoundLivePolicy {
    /// The plugin that provides it.
    pub plugin: PluginRef,
    /// The name that results use.
    pub label: String,
    /// The field of the scenario that names it, such as `live.policies.0`.
    pub field: String,
    /// The RON text of its parameters; empty if there are none.
    pub parameters: String,
    /// The file with what it has learned, if it has one.
    pub checkpoint: Option<PathBuf>,
    /// The files that replace it, by the slot from which on they decide, in order.
    pub renewed: Vec<(u32, PathBuf)>,
    /// How it learns; `None` if it does not.
    pub learns: Option<Learns>,
    /// The explorer of a policy that learns; without one it decides everything.
    pub explorer: Option<BoundPlugin>,
    /// How its devices learn from a teacher, and the teacher, which has a value function.
    pub online: Option<(OnlineEntry, BoundTeacher)>,
    /// The scenario's entry.
    pub entry: LivePolicy,
}

/// Binds the policies of a scenario's live run.
///
/// # Errors
/// If the scenario has no `live` section, a plugin or checkpoint is missing, a plugin is not the pinned
/// one, or a policy that is to learn can't.
pub fn bind_live(scenario: Scenario, registry: &Registry) -> Result<Live, Fault> {
    let entry = scenario.live.clone().ok_or_else(|| {
        let help = "give it a `live` section; scenarios/README.md explains it".to_owned();
        scenario.fault("", "it describes no live run".to_owned(), Some(help))
    })?;
    let bound = entry.policies.iter().map(|one| live_policy(&scenario, one, registry));
    let policies = bound.collect::<Result<_, _>>()?;
    let sha256 = sha256(scenario.text.as_bytes());
    Ok(Live { sha256, scenario, entry, policies })
}

fn live_policy(
    scenario: &Scenario,
    one: &LivePolicy,
    registry: &Registry,
) -> Result<BoundLivePolicy, Fault> {
    let LivePolicy { policy: entry, renewed, learns, explorer, online, federated, .. } = one;
    let field = entry.plugin.field.clone();
    let bound = plugin(scenario, &entry.plugin, OfferKind::Policy, registry)?;
    if learns.is_some() && !bound.plugin.offer.capabilities.has(Capabilities::LEARNER) {
        let message = format!("`{}` can't learn", entry.plugin.name);
        let help = "name a policy with the capability `learner` (`offramp plugins` lists them), or leave \
                    out `learns`";
        return Err(scenario.fault(&format!("{field}.plugin"), message, Some(help.to_owned())));
    }
    let lacks = |capability: Capabilities| !bound.plugin.offer.capabilities.has(capability);
    let online = online.as_ref().map(|online| {
        can_be_fitted(scenario, &bound, &entry.plugin)?;
        let teacher = bind_teacher(scenario, &online.teacher, registry)?;
        if online.reporting > 0.0 && !teacher.plugin.offer.capabilities.has(Capabilities::LEARNER) {
            let message = format!("`{}` can't learn", online.teacher.plugin.name);
            let help = "with `reporting: 0.0` it stays as it is".to_owned();
            let at = format!("{}.plugin", online.teacher.plugin.field);
            return Err(scenario.fault(&at, message, Some(help)));
        }
        Ok((online.clone(), teacher))
    });
    let online = online.transpose()?;
    if let Some(federated) = federated {
        let values = matches!(federated.exchange, Exchange::Values { .. });
        let needed = [
            (Capabilities::MERGEABLE, true),
            (Capabilities::VALUE_FUNCTION, values),
            (Capabilities::STUDENT, values),
        ];
        let missing = needed.iter().find(|(capability, is)| *is && lacks(*capability));
        if let Some((missing, _)) = missing {
            let missing = missing.names().concat();
            let message = format!("`{}` lacks the capability `{missing}`", entry.plugin.name);
            let help = "`offramp plugins` lists those that have it".to_owned();
            return Err(scenario.fault(&format!("{field}.federated"), message, Some(help)));
        }
    }
    // What learns may begin with nothing.
    let learning = learns.is_some() || online.is_some();
    let untrained = entry.untrained || (learning && entry.checkpoint.is_none());
    let begins = PolicyEntry { untrained, ..entry.clone() };
    let BoundTeacher { plugin: found, parameters, checkpoint: file } =
        with_checkpoint(scenario, &begins, bound)?;
    let renewed = renewed.iter().map(|(slot, file)| {
        Ok((*slot, checkpoint(scenario, &format!("{field}.renewed.{slot}"), file)?))
    });
    let explorer = explorer.as_ref();
    let explorer = explorer.map(|entry| plugin(scenario, entry, OfferKind::Explorer, registry));
    Ok(BoundLivePolicy {
        plugin: found,
        label: entry.label.clone(),
        parameters,
        checkpoint: file,
        renewed: renewed.collect::<Result<_, _>>()?,
        learns: *learns,
        explorer: explorer.transpose()?,
        online,
        entry: one.clone(),
        field,
    })
}

/// Binds the policies of a scenario, to evaluate them; its references follow if it asks for
/// [`hindsight`](Scenario::hindsight).
///
/// # Errors
/// If there is no policy, a plugin or checkpoint is missing, or a plugin is not the pinned one.
pub fn bind_evaluation(scenario: Scenario, registry: &Registry) -> Result<Evaluation, Fault> {
    let home = scenario.folder.clone();
    bind_evaluation_with(scenario, home, registry)
}

/// Binds the policies of a scenario whose checkpoints are relative to `checkpoint_home`, unlike all other
/// files that it names.
///
/// # Errors
/// As for [`bind_evaluation`].
pub fn bind_evaluation_with(
    scenario: Scenario,
    checkpoint_home: PathBuf,
    registry: &Registry,
) -> Result<Evaluation, Fault> {
    if scenario.policies.is_empty() && !scenario.hindsight {
        let message = "there is no policy to run".to_owned();
        let help = match scenario.live {
            Some(_) => "it describes a live run, which `offramp live` plays",
            None => "give at least one, like (plugin: \"random\")",
        };
        return Err(scenario.fault("policies", message, Some(help.to_owned())));
    }
    let at_home = Scenario { folder: checkpoint_home.clone(), ..scenario.clone() };
    let policies = scenario.policies.iter().map(|entry| policy(&at_home, entry, registry));
    let mut policies = policies.collect::<Result<Vec<_>, _>>()?;
    if scenario.hindsight {
        for reference in Reference::ALL {
            policies.push(referred(&scenario, reference)?);
        }
    }
    let sha256 = sha256(scenario.text.as_bytes());
    Ok(Evaluation {
        scenario,
        sha256,
        policies,
        checkpoint_home,
        parts: OnceLock::new(),
        shared_identity: OnceLock::new(),
    })
}

/// Binds the learner, the explorer and the teacher of a scenario, to train the learner.
///
/// # Errors
/// If the scenario has no `train` section, a plugin is missing or not the pinned one, the learner
/// can't learn, the teacher has no value function or the learner can't be fitted to it, one of them does
/// not cope with the systems that are drawn, or a checkpoint is missing.
pub fn bind_training(scenario: Scenario, registry: &Registry) -> Result<Training, Fault> {
    let entry = scenario.training.clone().ok_or_else(|| nothing_to(&scenario, "train"))?;
    let learner = plugin(&scenario, &entry.learner, OfferKind::Policy, registry)?;
    if !learner.plugin.offer.capabilities.has(Capabilities::LEARNER) {
        let message = format!("`{}` can't learn", entry.learner.name);
        let help = Some(with_capability(Capabilities::LEARNER));
        return Err(scenario.fault("train.learner.plugin", message, help));
    }
    let explorer = entry.explorer.as_ref();
    let explorer = explorer.map(|entry| plugin(&scenario, entry, OfferKind::Explorer, registry));
    let explorer = explorer.transpose()?;
    let teacher = entry.teacher.as_ref().map(|entry| bind_teacher(&scenario, entry, registry));
    let teacher = teacher.transpose()?;
    if teacher.is_some() {
        can_be_fitted(&scenario, &learner, &entry.learner)?;
    }
    if entry.systems.is_some() {
        let explorers = explorer.iter().zip(&entry.explorer);
        let named = std::iter::once((&learner, &entry.learner)).chain(explorers);
        for (bound, entry) in named {
            copes_with_any_system(&scenario, &bound.plugin, entry)?;
        }
        for (bound, entry) in teacher.iter().zip(&entry.teacher) {
            copes_with_any_system(&scenario, &bound.plugin, &entry.plugin)?;
        }
    }
    let from = entry.from.as_deref().map(|file| checkpoint(&scenario, "train.from", file));
    let from = from.transpose()?;
    let sha256 = sha256(scenario.text.as_bytes());
    Ok(Training { sha256, scenario, entry, learner, explorer, teacher, from })
}

/// Binds the teacher and the student of a scenario, to distil the teacher.
///
/// # Errors
/// If the scenario has no `distill` section, a plugin or the teacher's checkpoint is missing, a
/// plugin is not the pinned one, the teacher has no value function, the student can't be fitted, or
/// the checkpoint it begins from is missing.
pub fn bind_distillation(scenario: Scenario, registry: &Registry) -> Result<Distillation, Fault> {
    let entry = scenario.distillation.clone().ok_or_else(|| nothing_to(&scenario, "distill"))?;
    let teacher = bind_teacher(&scenario, &entry.teacher, registry)?;
    let student = plugin(&scenario, &entry.student, OfferKind::Policy, registry)?;
    can_be_fitted(&scenario, &student, &entry.student)?;
    let from = entry.from.as_deref().map(|file| checkpoint(&scenario, "distill.from", file));
    let from = from.transpose()?;
    let sha256 = sha256(scenario.text.as_bytes());
    Ok(Distillation { sha256, scenario, entry, teacher, student, from })
}

/// Checks that a plugin may be handed an episode in any system.
fn copes_with_any_system(
    scenario: &Scenario,
    plugin: &PluginRef,
    entry: &PluginEntry,
) -> Result<(), Fault> {
    if plugin.offer.capabilities.has(Capabilities::ANY_SYSTEM) {
        return Ok(());
    }
    let name = &entry.name;
    let message = format!(
        "`{name}` does not cope with a system that differs from episode to episode: it lacks the \
         capability `any_system`"
    );
    let help = "name a plugin that has it (`offramp plugins` lists them), or leave out \
                `train.systems`";
    Err(scenario.fault(&format!("{}.plugin", entry.field), message, Some(help.to_owned())))
}

/// Checks that a plugin is a student.
fn can_be_fitted(
    scenario: &Scenario,
    bound: &BoundPlugin,
    entry: &PluginEntry,
) -> Result<(), Fault> {
    if bound.plugin.offer.capabilities.has(Capabilities::STUDENT) {
        return Ok(());
    }
    let message = format!("`{}` can't be fitted to a teacher", entry.name);
    let help = Some(with_capability(Capabilities::STUDENT));
    Err(scenario.fault(&format!("{}.plugin", entry.field), message, help))
}

fn bind_teacher(
    scenario: &Scenario,
    entry: &PolicyEntry,
    registry: &Registry,
) -> Result<BoundTeacher, Fault> {
    let PluginEntry { name, field, .. } = &entry.plugin;
    let teacher = plugin(scenario, &entry.plugin, OfferKind::Policy, registry)?;
    if teacher.plugin.offer.capabilities.has(Capabilities::VALUE_FUNCTION) {
        return with_checkpoint(scenario, entry, teacher);
    }
    let message = format!("`{name}` has no value function to teach from");
    let help = Some(with_capability(Capabilities::VALUE_FUNCTION));
    Err(scenario.fault(&format!("{field}.plugin"), message, help))
}

/// Where to find a plugin that can do what this one can't.
fn with_capability(capability: Capabilities) -> String {
    let name = capability.names().concat();
    format!("name a plugin that has the capability `{name}`: `offramp plugins` lists them")
}

fn nothing_to(scenario: &Scenario, section: &str) -> Fault {
    let help = format!("give it a `{section}` section; scenarios/README.md explains it");
    scenario.fault("", format!("there is nothing to {section}"), Some(help))
}

/// The plugin that an entry refers to. Its file must have the SHA-256 that the entry pins, if it
/// does.
pub(crate) fn plugin(
    scenario: &Scenario,
    entry: &PluginEntry,
    kind: OfferKind,
    registry: &Registry,
) -> Result<BoundPlugin, Fault> {
    let PluginEntry { name, sha256: pinned, parameters, field } = entry;
    let found = registry.find(kind, name).map_err(|unknown| {
        scenario.fault(&format!("{field}.plugin"), unknown.to_string(), Some(help_with(&unknown)))
    })?;
    let Library { path, sha256, .. } = &*found.library;
    match pinned {
        Some(pinned) if !pinned.eq_ignore_ascii_case(sha256) => {
            let message = format!("`{name}` comes from {}, which is another file", path.display());
            let help = format!("its SHA-256 is {sha256}");
            Err(scenario.fault(&format!("{field}.sha256"), message, Some(help)))
        }
        _ => Ok(BoundPlugin { plugin: found, parameters: parameters.clone() }),
    }
}

fn policy(
    scenario: &Scenario,
    entry: &PolicyEntry,
    registry: &Registry,
) -> Result<BoundPolicy, Fault> {
    let bound = plugin(scenario, &entry.plugin, OfferKind::Policy, registry)?;
    let BoundTeacher { plugin, parameters, checkpoint } = with_checkpoint(scenario, entry, bound)?;
    Ok(BoundPolicy {
        decider: Decider::Plugin(plugin),
        label: entry.label.clone(),
        parameters,
        checkpoint,
    })
}

/// A reference as a policy; no other has its name.
fn referred(scenario: &Scenario, reference: Reference) -> Result<BoundPolicy, Fault> {
    let label = reference.name().to_owned();
    let mut labels = scenario.policies.iter().map(|entry| &entry.label);
    if let Some(index) = labels.position(|other| *other == label) {
        let message = format!("`hindsight` adds a row that is called `{label}`, too");
        let help = "give this policy another `name`".to_owned();
        return Err(scenario.fault(&format!("policies.{index}"), message, Some(help)));
    }
    let decider = Decider::Reference(reference);
    Ok(BoundPolicy { decider, label, parameters: String::new(), checkpoint: None })
}

fn with_checkpoint(
    scenario: &Scenario,
    entry: &PolicyEntry,
    bound: BoundPlugin,
) -> Result<BoundTeacher, Fault> {
    let BoundPlugin { plugin, parameters } = bound;
    let learns = plugin.offer.capabilities.has(Capabilities::SAVED);
    if learns && entry.checkpoint.is_none() && !entry.untrained {
        let message = format!("`{}` has learned nothing without a checkpoint", entry.plugin.name);
        let help = "train or distil it (offramp train, offramp distill) and name the file as its \
                    `checkpoint`, or say `untrained: true` to run it as it is before any training"
            .to_owned();
        return Err(scenario.fault(&entry.plugin.field, message, Some(help)));
    }
    if entry.untrained && !learns {
        let message = format!("`{}` does not learn, so it is never untrained", entry.plugin.name);
        let field = format!("{}.untrained", entry.plugin.field);
        return Err(scenario.fault(&field, message, Some("leave out `untrained`".to_owned())));
    }
    let file = entry.checkpoint.as_deref();
    let field = format!("{}.checkpoint", entry.plugin.field);
    let checkpoint = file.map(|file| checkpoint(scenario, &field, file)).transpose()?;
    Ok(BoundTeacher { plugin, parameters, checkpoint })
}

/// The file of a checkpoint.
fn checkpoint(scenario: &Scenario, field: &str, file: &str) -> Result<PathBuf, Fault> {
    named_file(&scenario.folder, file).map_err(|error| {
        let message = match &error {
            NamedFileError::Unreadable { .. } => format!("checkpoint {error}"),
            NamedFileError::Outside(_) => error.to_string(),
        };
        scenario.fault(field, message, error.help().map(str::to_owned))
    })
}

/// Help for a name that no plugin offers: the nearest name, or all names, and how many libraries
/// were refused.
pub fn help_with(unknown: &UnknownName) -> String {
    let UnknownName { name, known, refused, .. } = unknown;
    let mut help = match (nearest(name, known.iter().map(String::as_str)), known.is_empty()) {
        (Some(name), _) => format!("did you mean `{name}`?"),
        (None, false) => format!("there are: {}", known.join(", ")),
        (None, true) => "no plugins were found: build them, or name their folder with --plugins \
                         or OFFRAMP_PLUGINS"
            .to_owned(),
    };
    if *refused > 0 {
        help += &format!(" ({refused} refused; `offramp plugins` says why)");
    }
    help
}
