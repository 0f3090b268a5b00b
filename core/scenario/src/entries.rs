//! The entries of a scenario: evaluation, training and distillation, with plugins by name.

use serde::Deserialize;

use crate::drawn::{self, DrawnSystems};
use crate::fault::explain;
use crate::field::Bounds;
use crate::file::{
    COUNTS, DistillSection, EvaluateSection, LimitsSection, PluginSection, PolicySection,
    TeacherSection, TrainSection,
};
use crate::source::Source;
use crate::{Fault, Raw};

/// A policy or explorer that a scenario refers to by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginEntry {
    /// The name of the policy or explorer among the plugins.
    pub name: String,
    /// The SHA-256 that the plugin's file must have, if the scenario pins it.
    pub sha256: Option<String>,
    /// The RON text of its parameters; empty if there are none.
    pub parameters: String,
    /// The path of the entry in the scenario, such as `policies.0`: where errors point.
    pub field: String,
}

/// A policy that a scenario refers to by name, with a label and a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyEntry {
    /// The plugin, its parameters and its place in the scenario.
    pub plugin: PluginEntry,
    /// The name that results use.
    pub label: String,
    /// The path of the file with what it has learned, relative to the scenario, as written there.
    pub checkpoint: Option<String>,
    /// True if it is to run without a checkpoint although it learns. Its label then says so.
    pub untrained: bool,
}

/// How policies are evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvaluationEntry {
    /// Number of episodes, 1 … 10⁹.
    pub episodes: u64,
    /// The seed of all randomness of the evaluation, and of quantities that are drawn.
    pub seed: u64,
}

/// The training of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingEntry {
    /// The policy that learns.
    pub learner: PluginEntry,
    /// The explorer; without one the learner decides everything.
    pub explorer: Option<PluginEntry>,
    /// The teacher whose values the learner is shown: a policy with a value function.
    pub teacher: Option<PolicyEntry>,
    /// The path of the checkpoint that the learner begins from, relative to the scenario, as
    /// written there.
    pub from: Option<String>,
    /// Training episodes, 1 … 10⁹.
    pub episodes: u64,
    /// The seed of all randomness of the training.
    pub seed: u64,
    /// Episodes between validations, 1 … 10⁹.
    pub validate_every: u64,
    /// Episodes of a validation, 1 … 10⁹.
    pub validate_episodes: u64,
    /// Validations in a row without a better one after which it ends early, 1 … 10⁹.
    pub stop_after: Option<u64>,
    /// The distribution of the systems of its episodes; without it all are in the scenario's own.
    pub systems: Option<DrawnSystems>,
    /// Systems of that distribution that validations play in turn, 1 … 10⁹; without it they play the
    /// scenario's own alone.
    pub validate_systems: Option<u64>,
    /// Episodes between saves, 1 … 10⁹.
    pub save_every: u64,
}

/// The states of a mini-batch, drawn anew in each step; each number is 1 … 10⁹.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum MiniBatch {
    /// So many states of each device.
    PerDevice(u64),
    /// All states of so many slots.
    Slots(u64),
    /// So many states of all, drawn singly.
    States(u64),
}

/// The distillation of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct DistillationEntry {
    /// The teacher: a policy with a value function.
    pub teacher: PolicyEntry,
    /// The student: a policy that can be fitted to a teacher.
    pub student: PluginEntry,
    /// The path of the checkpoint that the student begins from, relative to the scenario, as
    /// written there.
    pub from: Option<String>,
    /// States in the dataset, 1 … 10⁹.
    pub states: u64,
    /// Share of decisions that are drawn at random while the dataset is collected, 0 … 1.
    pub explored: f64,
    /// Mini-batch steps, 1 … 10⁹.
    pub steps: u64,
    /// The states of a mini-batch.
    pub batch: MiniBatch,
    /// Rounds in which states from the student's own episodes are added; 0 for none.
    pub rounds: u64,
    /// States that each of these rounds adds, 1 … 10⁹.
    pub round_states: u64,
    /// The seed of all randomness of the distillation.
    pub seed: u64,
    /// Steps between validations, 1 … 10⁹.
    pub validate_every: u64,
    /// Episodes of a validation, 1 … 10⁹.
    pub validate_episodes: u64,
    /// Validations in a row without a better one after which it ends early, 1 … 10⁹.
    pub stop_after: Option<u64>,
}

/// Limits of a run in a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Limits {
    /// Seconds that one call into the policy may take, 0.001 … 10⁶.
    pub call_seconds: f64,
    /// Memory beyond what the process has before the policy is created, MiB, 1 … 2³⁰.
    pub memory_mib: u64,
}

/// The limits of a run in a process of its own.
pub(crate) fn limits(section: &LimitsSection) -> Limits {
    let &LimitsSection { call_seconds, memory_mib } = section;
    Limits { call_seconds, memory_mib }
}

/// How policies are evaluated.
pub(crate) fn evaluation(section: &EvaluateSection) -> EvaluationEntry {
    let &EvaluateSection { episodes, seed } = section;
    EvaluationEntry { episodes, seed }
}

/// The policies that the list at `path` has. Their labels must differ.
pub(crate) fn policies(
    source: Source<'_>,
    path: &str,
    sections: &[PolicySection],
) -> Result<Vec<PolicyEntry>, Fault> {
    let mut entries: Vec<PolicyEntry> = Vec::with_capacity(sections.len());
    for (index, section) in sections.iter().enumerate() {
        let field = format!("{path}.{index}");
        let label = section.name.clone().unwrap_or_else(|| section.plugin.clone());
        if label.trim().is_empty() || label.contains(char::is_control) {
            let message =
                "a name must not be empty or have line breaks or other control characters";
            return Err(source.fault(&format!("{field}.name"), message.to_owned(), None));
        }
        if entries.iter().any(|entry| entry.label == label) {
            let message = format!("there are two policies called `{label}`");
            let help = "give one of them a `name` of its own".to_owned();
            return Err(source.fault(&field, message, Some(help)));
        }
        let PolicySection { plugin, sha256, checkpoint, untrained, parameters, .. } = section;
        trained_or_not(source, &field, *untrained, checkpoint.as_ref())?;
        let label = if *untrained { format!("{label} (untrained)") } else { label };
        entries.push(PolicyEntry {
            plugin: plugin_entry(field, plugin, sha256.as_ref(), parameters.as_ref()),
            label,
            checkpoint: checkpoint.clone(),
            untrained: *untrained,
        });
    }
    Ok(entries)
}

/// A policy that is untrained has no checkpoint.
fn trained_or_not(
    source: Source<'_>,
    field: &str,
    untrained: bool,
    checkpoint: Option<&String>,
) -> Result<(), Fault> {
    if untrained && checkpoint.is_some() {
        let message = "a policy with a checkpoint is not untrained".to_owned();
        let help = "leave out `checkpoint` or `untrained`".to_owned();
        return Err(source.fault(&format!("{field}.untrained"), message, Some(help)));
    }
    Ok(())
}

/// The training that a section describes.
pub(crate) fn training(source: Source<'_>, section: &TrainSection) -> Result<TrainingEntry, Fault> {
    let systems = drawn::systems(source, "train.systems", &section.systems)?;
    if section.validate_systems.is_some() && systems.is_none() {
        let message = "there are no `systems` that validations could draw from".to_owned();
        return Err(source.fault("train.validate_systems", message, None));
    }
    let episodes = section.validate_episodes;
    if let Some(systems) = section.validate_systems.filter(|systems| *systems > episodes) {
        let message = format!("{episodes} `validate_episodes` do not play {systems} systems");
        let help = "each plays one: let there be at least as many episodes as systems".to_owned();
        return Err(source.fault("train.validate_systems", message, Some(help)));
    }
    Ok(TrainingEntry {
        learner: listed("train.learner", &section.learner),
        explorer: section.explorer.as_ref().map(|section| listed("train.explorer", section)),
        teacher: section
            .teacher
            .as_ref()
            .map(|section| teacher(source, "train.teacher", section))
            .transpose()?,
        from: section.from.clone(),
        episodes: section.episodes,
        seed: section.seed,
        validate_every: section.validate_every,
        validate_episodes: section.validate_episodes,
        stop_after: section.stop_after,
        systems,
        validate_systems: section.validate_systems,
        save_every: section.save_every,
    })
}

/// The distillation that a section describes.
pub(crate) fn distillation(
    source: Source<'_>,
    section: &DistillSection,
) -> Result<DistillationEntry, Fault> {
    let DistillSection { rounds, steps, .. } = *section;
    if rounds >= steps {
        let message = format!("{rounds} rounds do not fit between {steps} steps");
        let help = format!("at most {} rounds divide them; or distil for more steps", steps - 1);
        return Err(source.fault("distill.rounds", message, Some(help)));
    }
    Ok(DistillationEntry {
        teacher: teacher(source, "distill.teacher", &section.teacher)?,
        student: listed("distill.student", &section.student),
        from: section.from.clone(),
        states: section.states,
        explored: section.explored,
        steps: section.steps,
        batch: mini_batch(source, &section.batch)?,
        rounds: section.rounds,
        round_states: section.round_states,
        seed: section.seed,
        validate_every: section.validate_every,
        validate_episodes: section.validate_episodes,
        stop_after: section.stop_after,
    })
}

/// The teacher that the section at `field` describes.
pub(crate) fn teacher(
    source: Source<'_>,
    field: &str,
    section: &TeacherSection,
) -> Result<PolicyEntry, Fault> {
    let TeacherSection { plugin, sha256, checkpoint, untrained, parameters } = section;
    trained_or_not(source, field, *untrained, checkpoint.as_ref())?;
    Ok(PolicyEntry {
        plugin: plugin_entry(field.to_owned(), plugin, sha256.as_ref(), parameters.as_ref()),
        label: plugin.clone(),
        checkpoint: checkpoint.clone(),
        untrained: *untrained,
    })
}

/// Reads the states of a mini-batch.
fn mini_batch(source: Source<'_>, raw: &Raw) -> Result<MiniBatch, Fault> {
    let fault = |message: String, help: Option<String>| {
        let forms = "PerDevice(32), Slots(64) or States(512)";
        let help = help.unwrap_or_else(|| format!("it may be {forms}, for instance"));
        source.fault("distill.batch", message, Some(help))
    };
    if let Ok(number) = ron::from_str::<u64>(&raw.0) {
        let help = format!("for so many states of each device write `PerDevice({number})`");
        return Err(fault("a number does not say which states".to_owned(), Some(help)));
    }
    let batch = ron::from_str(&raw.0).map_err(|error| {
        let (message, help) = explain(&error.code);
        fault(message, help)
    })?;
    let (MiniBatch::PerDevice(count) | MiniBatch::Slots(count) | MiniBatch::States(count)) = batch;
    match Bounds::fault(&COUNTS, &count) {
        None => Ok(batch),
        Some(out) => Err(fault(out, None)),
    }
}

pub(crate) fn listed(field: &str, section: &PluginSection) -> PluginEntry {
    let PluginSection { plugin, sha256, parameters } = section;
    plugin_entry(field.to_owned(), plugin, sha256.as_ref(), parameters.as_ref())
}

fn plugin_entry(
    field: String,
    name: &str,
    sha256: Option<&String>,
    parameters: Option<&Raw>,
) -> PluginEntry {
    let parameters = parameters.map_or_else(String::new, |raw| raw.0.clone());
    PluginEntry { name: name.to_owned(), sha256: sha256.cloned(), parameters, field }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Experiment;

    fn read(batch: &str) -> Result<MiniBatch, Fault> {
        let teacher = "teacher: (plugin: \"a\"), student: (plugin: \"b\")";
        let text = format!("(name: \"x\", distill: ({teacher}{batch}))");
        let experiment = Experiment::parse("x.ron", text, "".as_ref(), &[])?;
        Ok(experiment.points[0].distillation.as_ref().unwrap().batch)
    }

    #[test]
    fn rounds_that_do_not_fit_are_refused() {
        assert!(read(", steps: 4, rounds: 3").is_ok());
        let fault = read(", steps: 3, rounds: 3").unwrap_err();
        assert_eq!(fault.message, "3 rounds do not fit between 3 steps");
        assert_eq!(&fault.text[fault.span], "3");
        assert!(read(", steps: 1").is_ok());
    }

    #[test]
    fn a_mini_batch_says_which_states() {
        assert_eq!(read("").unwrap(), MiniBatch::PerDevice(32));
        assert_eq!(read(", batch: Slots(64)").unwrap(), MiniBatch::Slots(64));
        assert_eq!(read(", batch: States(512)").unwrap(), MiniBatch::States(512));
    }

    #[test]
    fn a_mini_batch_that_is_not_one_is_refused_with_what_to_write() {
        let check = |batch: &str, message: &str, help: &str| {
            let fault = read(&format!(", batch: {batch}")).unwrap_err();
            assert_eq!(fault.message, message);
            assert_eq!(fault.help.as_deref(), Some(help));
            assert_eq!(&fault.text[fault.span], batch);
        };
        let forms = "it may be PerDevice(32), Slots(64) or States(512), for instance";
        check(
            "16",
            "a number does not say which states",
            "for so many states of each device write `PerDevice(16)`",
        );
        check("Slots(0)", "0 is out of range 1 … 10⁹", forms);
        check("Slot(3)", "there is no `Slot` here", "did you mean `Slots`?");
        check("Slots", "Expected opening `(`", forms);
    }
}
