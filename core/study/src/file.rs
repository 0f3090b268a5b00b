//! What a study file says: the first of the two stages in which it is read.
//!
//! `scenarios/README.md` explains the same fields to a user, and a test holds the two together.

use std::collections::BTreeMap;

use offramp_results::exhibit::{ExhibitKind, Quantity};
use serde::Deserialize;

use offramp_scenario::Raw;

/// Fields of a scenario and what they are set to, by path.
pub(crate) type Settings = BTreeMap<String, Raw>;

/// What is trained, distilled and compared, and the tables and figures made of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename = "Study")]
pub(crate) struct StudyFile {
    /// The name by which results call it.
    pub(crate) name: String,
    /// What it is for, in a sentence.
    #[serde(default)]
    pub(crate) about: String,
    /// The scenario in which policies that don't learn are evaluated, relative to the study.
    pub(crate) scenario: String,
    /// The seeds under which everything that learns is trained.
    pub(crate) training_seeds: Vec<u64>,
    /// How everything is evaluated.
    pub(crate) evaluate: StudyEvaluation,
    /// What is compared, by the name results call it.
    pub(crate) policies: BTreeMap<String, PolicySource>,
    /// What a quick run does otherwise.
    #[serde(default)]
    pub(crate) quick: QuickSection,
    /// The tables and figures, in order.
    pub(crate) items: Vec<ExhibitSection>,
    /// What is said of them, in order.
    #[serde(default)]
    pub(crate) claims: Vec<ClaimSection>,
}

/// What someone says of the numbers, and when it holds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename = "claim")]
pub(crate) struct ClaimSection {
    /// The claim, in words.
    pub(crate) text: String,
    /// Who makes it, and where.
    pub(crate) source: String,
    /// When it holds.
    pub(crate) holds_if: Condition,
}

/// When a claim holds. All differences are episode by episode.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) enum Condition {
    /// A policy is ahead of all rivals at every point of an item.
    Best {
        /// The item.
        item: String,
        /// The number that is compared.
        metric: Quantity,
        /// Whether more is better.
        order: Order,
        /// Who is ahead.
        policy: String,
        /// Of whom.
        rivals: Vec<String>,
    },
    /// One number against another, or against a multiple of it.
    Compare {
        /// The item.
        item: String,
        /// The number that is compared.
        metric: Quantity,
        /// Whether the left one is to be above or below.
        order: Order,
        /// The left one.
        left: Place,
        /// What the right one is multiplied by.
        #[serde(default = "once")]
        factor: f64,
        /// The right one.
        right: Place,
    },
}

fn once() -> f64 {
    1.0
}

/// A cell of an item.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename = "place")]
pub(crate) struct Place {
    /// The policy.
    pub(crate) policy: String,
    /// The point; the one without a name if left out.
    #[serde(default)]
    pub(crate) point: String,
}

/// Which of two numbers is to be larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum Order {
    /// The first.
    Above,
    /// The second.
    Below,
}

/// How everything is evaluated.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename = "evaluate")]
pub(crate) struct StudyEvaluation {
    /// Episodes.
    pub(crate) episodes: u64,
    /// The seed of their tasks.
    pub(crate) seed: u64,
}

/// Where a policy comes from.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) enum PolicySource {
    /// It does not learn.
    Fixed {
        /// Its name among the plugins.
        plugin: String,
        /// Its own parameters.
        #[serde(default)]
        parameters: Option<Raw>,
        /// What is otherwise than in the study's scenario.
        #[serde(default)]
        set: Settings,
    },
    /// It is what a scenario trains.
    Trained {
        /// The scenario, relative to the study.
        scenario: String,
        /// What is otherwise than in it.
        #[serde(default)]
        set: Settings,
        /// What a quick run does otherwise besides.
        #[serde(default)]
        quick: Settings,
    },
    /// It is what a scenario distils.
    Distilled {
        /// The scenario, relative to the study.
        scenario: String,
        /// Who teaches: another policy of the study.
        teacher: String,
        /// What is otherwise than in it.
        #[serde(default)]
        set: Settings,
        /// What a quick run does otherwise besides.
        #[serde(default)]
        quick: Settings,
    },
}

/// What a quick run does otherwise: smaller, and marked as such.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename = "quick")]
pub(crate) struct QuickSection {
    /// Training seeds.
    pub(crate) training_seeds: Option<Vec<u64>>,
    /// Episodes of an evaluation.
    pub(crate) episodes: Option<u64>,
    /// What is otherwise in every scenario, unless a policy or a point sets it.
    pub(crate) set: Settings,
}

/// A table or a figure.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename = "item")]
pub(crate) struct ExhibitSection {
    /// What it is asked for by, and its files are called.
    pub(crate) id: String,
    /// Above it.
    pub(crate) title: String,
    /// How it is drawn.
    pub(crate) form: ExhibitKind,
    /// What it compares.
    pub(crate) policies: Vec<String>,
    /// The policy that the others are compared with, pair by pair.
    #[serde(default)]
    pub(crate) reference: Option<String>,
    /// Under which circumstances; one without a name if left out.
    #[serde(default = "one_point")]
    pub(crate) points: Vec<PointSection>,
    /// Of the points, those of a quick run; all if left out.
    #[serde(default)]
    pub(crate) quick_points: Option<Vec<String>>,
    /// What the points are values of: the horizontal axis of a figure.
    #[serde(default)]
    pub(crate) axis: String,
    /// Whether what learns is trained at each point, or once as the study has it.
    #[serde(default)]
    pub(crate) trained: TrainedAt,
    /// Which metrics it shows.
    pub(crate) metrics: Vec<Quantity>,
    /// The paper's numbers: policy, point, metric.
    #[serde(default)]
    pub(crate) paper: BTreeMap<String, BTreeMap<String, BTreeMap<Quantity, f64>>>,
}

fn one_point() -> Vec<PointSection> {
    vec![PointSection::default()]
}

/// Circumstances.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename = "point")]
pub(crate) struct PointSection {
    /// What tables and axes call it; a number if it is a place on an axis.
    pub(crate) label: String,
    /// What is otherwise in every scenario.
    #[serde(default)]
    pub(crate) set: Settings,
    /// What is otherwise for one policy alone, by its name: it also counts where the policy
    /// teaches.
    #[serde(default)]
    pub(crate) of: BTreeMap<String, Settings>,
}

/// Where what learns is trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum TrainedAt {
    /// At each point, under its circumstances.
    #[default]
    EachPoint,
    /// Once; points change its evaluation alone.
    Once,
}
