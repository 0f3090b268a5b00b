//! Records: what a run was, and what it was made of.

use serde::{Deserialize, Serialize};

use crate::files::FileRecord;
use crate::group::{Grouping, Label};
use crate::metric::Metric;
use crate::provenance::Provenance;
use crate::statistics::MeanSd;
use crate::summary::Summary;

/// A run: a policy at a point of a scenario.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The scenario's name.
    pub scenario: String,
    /// The policy's label in the scenario.
    pub policy: String,
    /// The seed of all randomness.
    pub seed: u64,
    /// The point of the sweep: field and value, in the sweep's order.
    pub sweep: Vec<(String, String)>,
    /// The power modes' α, in the order of `power-modes.csv`.
    pub power_modes: Vec<f64>,
    /// The names of the classes of tasks, in the order of `classes.csv`; none if there is one kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// True if devices move or rates change: each episode has a row in `mobility.csv`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub moves: bool,
    /// Number of episodes; 0 if the run failed.
    pub episodes: u64,
    /// The plugin that decided.
    pub plugin: PluginRecord,
    /// What ran it; `None` in folders written before it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
    /// Everything the run was made of; `None` in folders written before it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// The reason, if the run failed.
    pub error: Option<String>,
}

/// The plugin that a run used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PluginRecord {
    /// The policy's name among the plugins.
    pub policy: String,
    /// Its crate.
    pub name: String,
    /// The version of its crate.
    pub version: String,
    /// The name of its file.
    pub file: String,
    /// SHA-256 of its file.
    pub sha256: String,
}

/// All that the results of a run depend on, except its plugin, which is a [`PluginRecord`]. Two
/// runs of the same identity have bit-identical results.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The build id of the engine; empty in folders written before it was recorded.
    #[serde(default)]
    pub engine: String,
    /// SHA-256 of the scenario's text at this point, without its policies and limits.
    pub scenario: String,
    /// SHA-256 of the policy's entry: its name among the plugins and its parameters.
    pub policy: String,
    /// The file with what it has learned, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<FileRecord>,
    /// The files that the policy stated it reads by itself, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileRecord>,
}

/// A stored run: what was run, and what came out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredRun {
    /// What was run.
    pub record: RunRecord,
    /// The statistics of its episodes; of none if it failed.
    pub summary: Summary,
}

impl RunRecord {
    /// The groups of its tasks, in the order of the scenario; none if they are not divided so.
    pub fn groups(&self, grouping: Grouping) -> Vec<Label<'_>> {
        match grouping {
            Grouping::PowerMode => {
                self.power_modes.iter().map(|&alpha| Label::Alpha(alpha)).collect()
            }
            Grouping::Class => self.classes.iter().map(|name| Label::Class(name)).collect(),
        }
    }

    /// The point of the sweep as one text, `field=value; field=value`; empty outside a sweep.
    pub fn point(&self) -> String {
        let parts: Vec<_> =
            self.sweep.iter().map(|(field, value)| format!("{field}={value}")).collect();
        parts.join("; ")
    }

    /// The run as messages name it: `random in paper (tasks.arrival_probability=0.3)`.
    pub fn title(&self) -> String {
        let point = match self.point() {
            point if point.is_empty() => point,
            point => format!(" ({point})"),
        };
        format!("{} in {}{point}", self.policy, self.scenario)
    }

    /// The part of what the run was made of that is another one in `other`, which is as it is now, as
    /// messages name it; `None` if the results of both are bit-identical.
    pub fn change(&self, other: &Self) -> Option<String> {
        let named = |part: &str| Some(format!("the {part}"));
        let engine = |run: &Self| {
            let engine = run.identity.as_ref().map_or("", |identity| &identity.engine);
            if engine.is_empty() { "unknown".to_owned() } else { engine.to_owned() }
        };
        let engines =
            || Some(format!("the engine of offramp ({}; now {})", engine(self), engine(other)));
        let (Some(ours), Some(theirs)) = (&self.identity, &other.identity) else {
            return engines();
        };
        let (own, their) = (&self.plugin, &other.plugin);
        if ours.engine != theirs.engine {
            return engines();
        }
        if ours.scenario != theirs.scenario {
            return named("scenario");
        }
        if ours.policy != theirs.policy {
            return named("policy's entry in the scenario");
        }
        if own.sha256 != their.sha256 {
            return Some(format!("the plugin {}", their.file));
        }
        if ours.checkpoint != theirs.checkpoint {
            let checkpoint = theirs.checkpoint.as_ref().or(ours.checkpoint.as_ref());
            return checkpoint.map(|file| format!("the checkpoint {}", file.path));
        }
        let changed = ours.files.iter().zip(&theirs.files).find(|(own, their)| own != their);
        match changed {
            Some((_, their)) => Some(format!("the file {}", their.path)),
            None if ours.files.len() == theirs.files.len() => None,
            None => named("list of files that the policy reads"),
        }
    }
}

impl StoredRun {
    /// A metric over the episodes; `None` if it has no value.
    pub fn mean_sd(&self, metric: &Metric) -> Option<MeanSd> {
        self.summary.mean_sd(metric)
    }

    /// The same of one group of tasks, by its number in [`RunRecord::groups`].
    pub fn mean_sd_of_group(
        &self,
        grouping: Grouping,
        group: usize,
        metric: &Metric,
    ) -> Option<MeanSd> {
        self.summary.mean_sd_of_group(grouping, group, metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_changed_is_named() {
        let file =
            |path: &str, sha256: &str| FileRecord { path: path.into(), sha256: sha256.into() };
        let identity = Identity { files: vec![file("a.py", "1")], ..Identity::default() };
        let run = RunRecord { identity: Some(identity.clone()), ..RunRecord::default() };
        let with = |identity: Identity| RunRecord { identity: Some(identity), ..run.clone() };
        let change = |other: RunRecord| run.change(&other);
        assert_eq!(change(run.clone()), None);
        let engine = Identity { engine: "x".into(), ..identity.clone() };
        assert_eq!(change(with(engine)).unwrap(), "the engine of offramp (unknown; now x)");
        let scenario = Identity { scenario: "x".into(), ..identity.clone() };
        assert_eq!(change(with(scenario)).unwrap(), "the scenario");
        let files = Identity { files: vec![file("a.py", "2")], ..identity.clone() };
        assert_eq!(change(with(files)).unwrap(), "the file a.py");
        let files = Identity { files: Vec::new(), ..identity.clone() };
        assert_eq!(change(with(files)).unwrap(), "the list of files that the policy reads");
        let checkpoint = Identity { checkpoint: Some(file("x", "3")), ..identity };
        assert_eq!(change(with(checkpoint)).unwrap(), "the checkpoint x");
        let plugin = PluginRecord { sha256: "4".into(), file: "p.so".into(), ..run.plugin.clone() };
        assert_eq!(change(RunRecord { plugin, ..run.clone() }).unwrap(), "the plugin p.so");
    }
}
