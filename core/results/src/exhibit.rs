//! Exhibits: the numbers behind the tables and figures of a study.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::de::{self, Deserializer, EnumAccess, VariantAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::group::Grouped;
use crate::learning::TrainingRow;
use crate::live::{LiveMetric, LiveRun, PhaseNumbers};
use crate::metric::{self, EpisodeResult, Metric, Pooling, QUANTITY_NAMES};
use crate::reference::is_reference;
use crate::run_folder::{RunFolder, RunRecord};
use crate::statistics::{Scores, Weighted};

/// A table or a figure with its numbers.
#[derive(Clone, Debug)]
pub struct Exhibit {
    /// The name by which `--only` selects it, and of its files.
    pub id: String,
    /// The title above it.
    pub title: String,
    /// How it is shown.
    pub kind: ExhibitKind,
    /// The quantity that the points are values of; may be empty.
    pub axis: String,
    /// The quantities it shows, in order.
    pub quantities: Vec<Quantity>,
    /// The policy that the others are compared with, if there is one.
    pub reference: Option<String>,
    /// One cell per policy and point, point by point.
    pub cells: Vec<Cell>,
    /// The live runs that [`ExhibitKind::Streams`] are made of, by training seed.
    pub streams: Vec<(u64, LiveRun)>,
}

/// How an exhibit is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExhibitKind {
    /// Numbers alone.
    Table,
    /// One figure per quantity, with one bar per policy and point.
    Bars,
    /// One figure per quantity, with one line per policy over the points.
    Lines,
    /// Training curves: one line per policy and point.
    Curves,
    /// Performance profiles: one figure per quantity, with one line per policy and point: the
    /// share of episodes that reach each threshold.
    Profiles,
    /// Live runs: one figure, with one line per policy over time. Its points are the phases.
    Streams,
}

/// A number that an exhibit shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quantity {
    /// A metric of the evaluation's episodes.
    Metric(&'static Metric),
    /// The policy's number of parameters as the paper counts them: evaluation and target network.
    Parameters,
    /// A number of a phase of live runs.
    Live(LiveMetric),
}

impl Quantity {
    /// True for what is counted once and for all, so that it has no interval and needs none.
    pub fn is_exact(&self) -> bool {
        *self == Self::Parameters
    }

    /// True for the time of a decision, which whatever else runs at the same time disturbs.
    pub fn is_time(&self) -> bool {
        matches!(self, Self::Metric(metric) if metric.pooling == Pooling::Decisions)
    }
}

/// A policy at a point.
#[derive(Clone, Debug)]
pub struct Cell {
    /// The policy's name in the study.
    pub policy: String,
    /// The point's label; empty if there is only one point.
    pub point: String,
    /// The measurements, or the reason why there are none.
    pub outcome: Result<Measured, String>,
    /// The paper's numbers.
    pub paper: BTreeMap<Quantity, f64>,
}

/// The measurements of a policy at a point.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// One run per training seed; one if the policy does not learn.
    pub runs: Vec<MeasuredRun>,
    /// Number of parameters as the paper counts them, if the policy has a network.
    pub parameters: Option<f64>,
    /// The rows of each training.
    pub trainings: Vec<Vec<TrainingRow>>,
    /// The numbers of live runs.
    pub live: LiveNumbers,
}

/// The numbers of a policy in a phase of live runs.
#[derive(Clone, Debug, Default)]
pub struct LiveNumbers {
    /// True if something was trained for each live run, or learns in it.
    pub learns: bool,
    /// The phase of each live run, by training seed.
    pub phases: Vec<(u64, PhaseNumbers)>,
}

/// The training that a run's policy descends from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// The training seed.
    pub seed: u64,
    /// The name of the training: that of the teacher, if the policy was distilled. It differs
    /// unless exactly the same was trained.
    pub training: String,
}

/// A run with all its episodes.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasuredRun {
    /// Where the policy comes from, if it learns.
    pub lineage: Option<Lineage>,
    /// What was run.
    pub record: RunRecord,
    /// Its episodes in order, without their groups, delays and mobility; empty if it failed.
    pub episodes: Vec<EpisodeResult>,
}

impl MeasuredRun {
    /// Memory of an episode, bytes.
    pub const EPISODE_BYTES: u64 = size_of::<EpisodeResult>() as u64;

    /// Reads the run of `reference` in a run folder, or without one the first, of a policy that descends
    /// from `lineage`; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Unreadable`] names the file and what is wrong in it.
    pub fn read(
        folder: &Path,
        reference: Option<&str>,
        lineage: Option<Lineage>,
    ) -> Result<Option<Self>, Error> {
        let mut folder = RunFolder::open(folder)?;
        let record = loop {
            let Some(record) = folder.next_run() else { return Ok(None) };
            if reference.is_none_or(|name| is_reference(&record) && record.policy == name) {
                break record;
            }
            while folder.next_episode()?.is_some() {}
        };
        let mut episodes = Vec::new();
        while let Some(episode) = folder.next_episode()? {
            episodes.push(EpisodeResult {
                by_group: Grouped::default(),
                done_by_delay: Vec::new(),
                mobility: None,
                ..episode
            });
        }
        Ok(Some(Self { lineage, record, episodes }))
    }

    /// A metric of each episode, with its weight.
    fn values(&self, metric: &Metric) -> Vec<Option<Weighted>> {
        self.episodes.iter().map(|episode| metric.of(episode)).collect()
    }
}

impl Exhibit {
    /// The cell of a policy at a point.
    pub fn cell(&self, policy: &str, point: &str) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.policy == policy && cell.point == point)
    }
}

impl Cell {
    /// A quantity for each training seed and episode; `None` if the cell failed or does not have
    /// it.
    pub fn scores(&self, quantity: Quantity) -> Option<Scores> {
        self.outcome.as_ref().ok()?.scores(quantity)
    }

    /// A quantity of each training seed alone; empty if the cell failed, does not have it or does
    /// not learn.
    pub fn by_seed(&self, quantity: Quantity) -> Vec<(u64, Scores)> {
        self.outcome.as_ref().map_or_else(|_| Vec::new(), |measured| measured.by_seed(quantity))
    }
}

impl Measured {
    /// A quantity for each training seed and episode; `None` if there is no such number.
    pub fn scores(&self, quantity: Quantity) -> Option<Scores> {
        let metric = match quantity {
            Quantity::Metric(metric) => metric,
            Quantity::Live(metric) => return self.live_scores(metric),
            Quantity::Parameters => {
                let parameters = Weighted { value: self.parameters?, weight: 1.0 };
                return Scores::untrained(vec![Some(parameters)]);
            }
        };
        if let [run @ MeasuredRun { lineage: None, .. }] = self.runs.as_slice() {
            return Scores::untrained(run.values(metric));
        }
        let row = |run: &MeasuredRun| Some((run.lineage.clone()?.training, run.values(metric)));
        Scores::trained(self.runs.iter().map(row).collect::<Option<_>>()?)
    }

    /// A number of the phase for each live run; `None` if none has it.
    fn live_scores(&self, metric: LiveMetric) -> Option<Scores> {
        let value =
            |phase: &PhaseNumbers| metric.of(phase).map(|value| Weighted { value, weight: 1.0 });
        if !self.live.learns {
            return Scores::untrained(
                self.live.phases.iter().map(|(_, phase)| value(phase)).collect(),
            );
        }
        let stream = |(seed, phase): &(u64, PhaseNumbers)| (seed.to_string(), value(phase));
        Scores::streams(self.live.phases.iter().map(stream).collect())
    }

    fn by_seed(&self, quantity: Quantity) -> Vec<(u64, Scores)> {
        let metric = match quantity {
            Quantity::Metric(metric) => metric,
            Quantity::Parameters => return Vec::new(),
            Quantity::Live(metric) => {
                let alone = |(seed, phase): &(u64, PhaseNumbers)| {
                    let value = Weighted { value: metric.of(phase)?, weight: 1.0 };
                    Some((*seed, Scores::untrained(vec![Some(value)])?))
                };
                return self.live.phases.iter().filter_map(alone).collect();
            }
        };
        let alone = |run: &MeasuredRun| {
            let Lineage { seed, training } = run.lineage.clone()?;
            Some((seed, Scores::trained(vec![(training, run.values(metric))])?))
        };
        self.runs.iter().filter_map(alone).collect()
    }
}

impl Quantity {
    /// The JSON key.
    pub fn id(self) -> &'static str {
        match self {
            Self::Metric(metric) => metric.id,
            Self::Live(metric) => metric.id(),
            Self::Parameters => "parameters",
        }
    }

    /// The spelling in study files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Metric(metric) => metric.name,
            Self::Live(metric) => metric.name(),
            Self::Parameters => "Parameters",
        }
    }

    /// The heading of tables and the label of axes.
    pub fn title(self) -> &'static str {
        match self {
            Self::Metric(metric) => metric.title,
            Self::Live(metric) => metric.title(),
            Self::Parameters => "parameters",
        }
    }

    /// Digits after the point.
    pub fn digits(self) -> usize {
        match self {
            Self::Metric(metric) => metric.digits,
            Self::Live(metric) => metric.digits(),
            Self::Parameters => 0,
        }
    }
}

/// Spelled as a unit variant, by [`Quantity::name`].
impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_enum("Metric", QUANTITY_NAMES, QuantityVisitor)
    }
}

struct QuantityVisitor;

impl<'de> Visitor<'de> for QuantityVisitor {
    type Value = Quantity;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name of a metric, or `Parameters`")
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<Quantity, A::Error> {
        let (Named(quantity), variant) = access.variant()?;
        variant.unit_variant()?;
        Ok(quantity)
    }
}

/// A quantity by its name alone.
struct Named(Quantity);

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(NamedVisitor)
    }
}

struct NamedVisitor;

impl Visitor<'_> for NamedVisitor {
    type Value = Named;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        QuantityVisitor.expecting(formatter)
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Named, E> {
        if name == Quantity::Parameters.name() {
            return Ok(Named(Quantity::Parameters));
        }
        let metric = metric::by_name(name).map(Quantity::Metric);
        let named = metric.or_else(|| LiveMetric::by_name(name).map(Quantity::Live));
        named.map(Named).ok_or_else(|| E::unknown_variant(name, QUANTITY_NAMES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_by_name() {
        for &name in QUANTITY_NAMES {
            let quantity: Quantity = serde_json::from_str(&format!("\"{name}\"")).unwrap();
            assert_eq!(quantity.name(), name);
        }
        let unknown = serde_json::from_str::<Quantity>("\"Joy\"").unwrap_err().to_string();
        assert!(unknown.starts_with("unknown variant `Joy`, expected one of `Tasks`"), "{unknown}");
    }
}
