//! Effect: which fields of a scenario a study may set, since something comes of it.

use crate::file::PolicySource;

/// What the settings are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setter {
    /// Everything: trainings, distillations and evaluations.
    Anything,
    /// Evaluations alone.
    Evaluation,
    /// A policy that does not learn, or a reference.
    Fixed,
    /// A policy that is trained.
    Trained,
    /// A policy that is distilled.
    Distilled,
    /// A live run.
    Live,
}

impl Setter {
    /// The one of the settings of a policy.
    pub(crate) fn of(source: &PolicySource) -> Self {
        match source {
            PolicySource::Fixed { .. } | PolicySource::Reference { .. } => Self::Fixed,
            PolicySource::Trained { .. } => Self::Trained,
            PolicySource::Distilled { .. } => Self::Distilled,
        }
    }
}

/// Fields that a study states itself, and where; whatever is inside them too.
const OWN: [(&str, &str); 10] = [
    ("evaluate", "the study's `evaluate` counts"),
    ("policies", "the study's `policies` count"),
    ("train.seed", "the study's `training_seeds` count"),
    ("distill.seed", "the study's `training_seeds` count"),
    ("distill.teacher.plugin", "the study's `teacher` counts"),
    ("distill.teacher.parameters", "the study's `teacher` counts"),
    ("distill.teacher.checkpoint", "the study's `teacher` counts"),
    ("distill.teacher.untrained", "the study's `teacher` counts"),
    ("sweep", "the study's `points` count"),
    ("tune", "a study does not search"),
];

/// The reason why nothing comes of setting a field, as the end of a sentence; `None` if something
/// does.
pub(crate) fn why_without_effect(field: &str, setter: Setter) -> Option<&'static str> {
    let inside = |section: &str| {
        field.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let own = OWN.iter().find(|(section, _)| inside(section)).map(|(_, why)| *why);
    if own.is_some() {
        return own;
    }
    let (train, distill) = (inside("train"), inside("distill"));
    match setter {
        Setter::Fixed if train || distill => Some("this policy does not learn"),
        Setter::Trained if distill => Some("this policy is trained"),
        Setter::Distilled if train => Some("this policy is distilled"),
        Setter::Evaluation if train || distill => Some("it is evaluated here, not taught"),
        Setter::Live if train || distill => Some("nothing is trained or distilled in a live run"),
        Setter::Live if inside("live.seed") => {
            Some("the study's `evaluate` and `training_seeds` count")
        }
        _ => None,
    }
}
