//! Contents of a study file: the first of the two stages in which it is read.
//!
//! Each field is defined here once, as those of scenarios are; the table in `scenarios/README.md`
//! is generated from these definitions.

use std::collections::BTreeMap;

use offramp_harness::reference::Reference;
use offramp_results::exhibit::{ExhibitKind, Quantity};
use offramp_scenario::field::{Field, Section, Shown};
use offramp_scenario::{Raw, sections, variants};
use serde::Deserialize;

/// The fields of a study file, in order, those of nested sections too.
pub fn fields() -> Vec<Field> {
    let mut fields = Vec::new();
    StudyFile::list("", &mut fields);
    fields
}

/// The size of a study.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// All seeds, episodes and points.
    Full,
    /// Fewer of them, as its `quick` section states.
    Quick,
}

/// Fields of a scenario and their values, by path.
pub(crate) type Settings = BTreeMap<String, Raw>;

sections! {
    /// A study: policies to train, distil and compare, and the tables and figures made of that.
    struct StudyFile("Study") {
        /// The name that results use: not empty, without slashes, not beginning with a dot.
        name: String {},
        /// Its purpose, in a sentence.
        about: String { default: String::new(), },
        /// The scenario in which policies that do not learn are evaluated.
        scenario: String {},
        /// The training seeds: everything that learns is trained once under each.
        training_seeds: Vec<u64> { range: "at least one, all different", },
        /// How everything is evaluated: all policies on bit-identical tasks.
        evaluate: StudyEvaluation { nested: section, },
        /// The policies to compare, a map by the name that results use.
        policies: BTreeMap<String, PolicySource> { nested: section, },
        /// What `--quick` changes.
        quick: QuickSection { default: QuickSection::default(), nested: section, },
        /// The tables and figures, a list, in order.
        items: Vec<ExhibitSection> { nested: section, },
        /// Claims about the numbers, a list, in order.
        claims: Vec<ClaimSection> { default: Vec::new(), nested: section, },
    }

    /// How everything is evaluated.
    struct StudyEvaluation("evaluate") {
        /// Episodes.
        episodes: u64 { range: "1 … 10⁶", },
        /// The seed of their tasks.
        seed: u64 {},
    }

    /// Changes of a quick run, which is smaller and marked as such.
    struct QuickSection("quick"): Default {
        /// Training seeds.
        training_seeds: Option<Vec<u64>> { default: None, shown: "those above", range: "at least one, all different", },
        /// Episodes of an evaluation.
        episodes: Option<u64> { default: None, shown: "as above", range: "1 … 10⁶", },
        /// Fields of every scenario and their values. The `set` of a policy or a point overrides
        /// it.
        set: Settings { default: Settings::new(), },
    }

    /// A table or a figure.
    struct ExhibitSection("item") {
        /// The name by which `--only` selects it, and of its files: letters, digits and hyphens; not
        /// `index`, `lessons`, `claims` or `budgets`.
        id: String {},
        /// The title above it.
        title: String {},
        /// `Table`; `Bars`: one figure per metric, with one bar per policy and point; `Lines`: one
        /// figure per metric, with one line per policy over the points; `Curves`: the course of
        /// training; `Profiles`: performance profiles, the share of episodes that reach each
        /// threshold, one figure per metric, with means of the middle half and how often each
        /// policy is above the reference; `Streams`: live runs, over time and by phase.
        form: ExhibitKind {},
        /// The policies it compares; of `Streams` those of the live run, by the names that its results use.
        policies: Vec<String> { range: "at least one, all different", },
        /// The live runs of `Streams`, one for each training seed.
        live: Option<StreamsSection> { default: None, nested: section, },
        /// The policy that the others are compared with, episode by episode.
        reference: Option<String> { default: None, },
        /// The circumstances under which policies are compared, a list.
        points: Vec<PointSection> {
            default: vec![PointSection::unlabelled()], shown: "one without a label", nested: section,
        },
        /// Labels of the points of a quick run.
        quick_points: Option<Vec<String>> { default: None, shown: "all", },
        /// The quantity that the points are values of: the horizontal axis of a figure.
        axis: String { default: String::new(), },
        /// Where policies that learn are trained: `EachPoint`, under its circumstances, or `Once`,
        /// as the study describes them, to be evaluated at each point.
        trained: TrainedAt { default: TrainedAt::default(), },
        /// The [metrics](#metrics) it shows, as spelled in studies, and `Parameters`: the number
        /// of parameters as the paper counts them. Of `Streams`: `QoePerTask`, `Recovery`, `Regret`,
        /// `BytesPerDevice`, `QueriesPerDevice`, `MultiplyAdds`, `Epsilon`.
        metrics: Vec<Quantity> { range: "at least one, except of `Curves`", },
        /// The paper's numbers, by policy, point and metric.
        paper: BTreeMap<String, BTreeMap<String, BTreeMap<Quantity, f64>>> {
            default: BTreeMap::new(),
        },
    }

    /// Live runs.
    struct StreamsSection("item.live") {
        /// The scenario with the section [`live`](#live-runs). Its phases are the points of the item: `0`
        /// and the slots in which changes begin. The seed of a stream is that of `evaluate` plus the
        /// training seed.
        scenario: String {},
        /// The checkpoints among its files that policies of the study learn:
        /// `{ "student.safetensors": "student" }`. A live run has those of its training seed.
        checkpoints: BTreeMap<String, String> { default: BTreeMap::new(), },
        /// Fields of the scenario and their values, which override it:
        /// `{ "live.drift": [(at: 9000, set: { "tasks.arrival_probability": 0.5 })] }`.
        set: Settings { default: Settings::new(), },
        /// Likewise in a quick run, where they override `set`.
        quick: Settings { default: Settings::new(), },
    }

    /// Circumstances.
    struct PointSection("point") {
        /// Its name in tables and on axes; a number if it is a place on an axis.
        label: String {},
        /// Fields of every scenario and their values. `train.…` concerns trainings alone,
        /// `distill.…` distillations.
        set: Settings { default: Settings::new(), },
        /// Likewise, for one policy alone, by its name:
        /// `{ "teacher": { "train.learner.parameters.discount": 0.9 } }`. It also counts where that
        /// policy teaches.
        of: BTreeMap<String, Settings> { default: BTreeMap::new(), },
    }

    /// A claim about the numbers.
    struct ClaimSection("claim") {
        /// The claim, in words.
        text: String {},
        /// The author of the claim, and the place where it is made.
        source: String {},
        /// The condition under which it holds.
        holds_if: Condition { nested: section, },
    }

    /// A policy at a point of an item.
    struct Place("place") {
        /// The policy.
        policy: String {},
        /// The label of the point; needed if there are several.
        point: String { default: String::new(), },
    }
}

variants! {
    /// Where a policy comes from.
    enum PolicySource {
        /// A policy that does not learn.
        Fixed {
            /// Its name among the plugins.
            plugin: String {},
            /// Its own parameters.
            parameters: Option<Raw> { otherwise: default },
            /// Fields of the study's scenario and their values, which override it.
            set: Settings { otherwise: default },
        },
        /// A reference: a plan that knows more than any device does.
        Reference {
            /// `Chance`, `Central` or `Hindsight`; see [Share of hindsight](#share-of-hindsight).
            of: Reference {},
            /// Fields of the study's scenario and their values, which override it.
            set: Settings { otherwise: default },
        },
        /// The policy that a scenario trains.
        Trained {
            /// The scenario.
            scenario: String {},
            /// Files of [settings](#settings-from-files), relative to the study, such as
            /// `offramp tune` writes: fields of the scenario and their values. `set` overrides them.
            settings: Vec<String> { otherwise: default },
            /// Fields of the scenario and their values, which override it:
            /// `{ "train.episodes": 70 }`.
            set: Settings { otherwise: default },
            /// Likewise in a quick run, where they override `set`.
            quick: Settings { otherwise: default },
            /// Where it is trained, as `trained` of an item, which this overrides.
            trained: Option<TrainedAt> { otherwise: default },
        },
        /// The policy that a scenario distils.
        Distilled {
            /// The scenario.
            scenario: String {},
            /// The teacher: a policy of the study that is trained.
            teacher: String {},
            /// Files of settings, as for `Trained`.
            settings: Vec<String> { otherwise: default },
            /// Fields of the scenario and their values, which override it.
            set: Settings { otherwise: default },
            /// Likewise in a quick run, where they override `set`.
            quick: Settings { otherwise: default },
            /// Where it is trained, as `trained` of an item, which this overrides.
            trained: Option<TrainedAt> { otherwise: default },
        },
    }

    /// The condition under which a claim holds. All differences are taken episode by episode.
    enum Condition {
        /// A policy is ahead of all rivals at every point of an item.
        Best {
            /// The id of the item.
            item: String {},
            /// The metric that is compared.
            metric: Quantity {},
            /// `Above` if larger numbers are ahead, `Below` if smaller ones are.
            order: Order {},
            /// The policy that is ahead.
            policy: String {},
            /// The policies that it is ahead of, at least one.
            rivals: Vec<String> {},
        },
        /// One number is above or below another, or a multiple of it.
        Compare {
            /// The id of the item.
            item: String {},
            /// The metric that is compared.
            metric: Quantity {},
            /// `Above` or `Below`: where the left number is, seen from the right one.
            order: Order {},
            /// The left number: a policy at a point.
            left: Place { nested: section },
            /// The multiple of the right number, above 0.
            factor: Factor { otherwise: default },
            /// The right number: a policy at a point.
            right: Place { nested: section },
        },
        /// A policy loses less than all rivals, or gains more, from one point of an item to another.
        Steadier {
            /// The id of the item.
            item: String {},
            /// The metric that is compared.
            metric: Quantity {},
            /// `Above` if larger numbers are ahead, `Below` if smaller ones are.
            order: Order {},
            /// The policy that loses less.
            policy: String {},
            /// The policies that it loses less than, at least one.
            rivals: Vec<String> {},
            /// The label of the first point.
            from: String {},
            /// The label of the second point.
            to: String {},
        },
        /// A policy is above or below a number at every point of an item.
        Bounded {
            /// The id of the item.
            item: String {},
            /// The metric that is compared.
            metric: Quantity {},
            /// `Above` or `Below`: where the policy is, seen from the bound.
            order: Order {},
            /// The policy.
            policy: String {},
            /// The bound.
            bound: f64 {},
        },
    }
}

impl PolicySource {
    /// True if something learns for it.
    pub(crate) fn learns(&self) -> bool {
        matches!(self, Self::Trained { .. } | Self::Distilled { .. })
    }

    /// Where it is trained, in an item that states `of_item`.
    pub(crate) fn trained(&self, of_item: TrainedAt) -> TrainedAt {
        match self {
            Self::Fixed { .. } | Self::Reference { .. } => of_item,
            Self::Trained { trained, .. } | Self::Distilled { trained, .. } => {
                trained.unwrap_or(of_item)
            }
        }
    }
}

impl Condition {
    /// The item, the metric and the order of any condition.
    pub(crate) fn compared(&self) -> (&String, Quantity, Order) {
        let (Self::Best { item, metric, order, .. }
        | Self::Compare { item, metric, order, .. }
        | Self::Steadier { item, metric, order, .. }
        | Self::Bounded { item, metric, order, .. }) = self;
        (item, *metric, *order)
    }
}

impl PointSection {
    /// The point without a label, whose circumstances are those of the scenarios.
    pub(crate) fn unlabelled() -> Self {
        Self { label: String::new(), set: Settings::new(), of: BTreeMap::new() }
    }
}

/// The multiple of a number; once, by default.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Factor(pub(crate) f64);

impl Default for Factor {
    fn default() -> Self {
        Self(1.0)
    }
}

impl Shown for Factor {
    fn shown(&self) -> Option<String> {
        self.0.shown()
    }
}

/// Which of two numbers is to be larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum Order {
    /// The first.
    Above,
    /// The second.
    Below,
}

/// Where policies that learn are trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum TrainedAt {
    /// At each point, under its circumstances.
    #[default]
    EachPoint,
    /// Once; points change its evaluation alone.
    Once,
}

impl Shown for TrainedAt {
    fn shown(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }
}

#[cfg(test)]
mod tests {
    use offramp_scenario::field::{table, with_generated};

    use super::*;

    /// The document has the table; with `UPDATE_DOCS=1` it gets it.
    #[test]
    fn the_document_has_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenarios/README.md");
        let document = std::fs::read_to_string(path).unwrap();
        let wanted = with_generated(&document, "study fields", &table(&fields())).unwrap();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, wanted).unwrap();
        } else {
            assert_eq!(document, wanted, "run this test with UPDATE_DOCS=1");
        }
    }
}
