//! Records: the runs of an evaluation as run folders store them.

use offramp_results::reference;
use offramp_results::run_folder::{Identity, PluginRecord, RunRecord, Scenarios};

use offramp_scenario::Experiment;

use crate::bind::{BoundPolicy, Decider, Evaluation};
use crate::engine::provenance;
use crate::metrics::classes;
use crate::survey::Surveyor;

/// The record of a run before its first episode: scenario, point, policy, plugin and identity.
pub(crate) fn run_record(
    evaluation: &Evaluation,
    policy: &BoundPolicy,
    identity: Identity,
) -> RunRecord {
    let scenario = &evaluation.scenario;
    RunRecord {
        scenario: scenario.name.clone(),
        policy: policy.label.clone(),
        seed: scenario.evaluation.seed,
        sweep: scenario.point.clone(),
        power_modes: scenario.system.parameters().power_preference.modes.clone(),
        classes: classes(&scenario.system).iter().map(|class| class.name.clone()).collect(),
        moves: Surveyor::new(&scenario.system).is_some(),
        episodes: 0,
        plugin: plugin_record(policy),
        provenance: Some(provenance()),
        identity: Some(identity),
        error: None,
    }
}

/// The source of a run's decisions. References are part of the engine, which the provenance states.
fn plugin_record(policy: &BoundPolicy) -> PluginRecord {
    let name = policy.name().to_owned();
    match &policy.decider {
        Decider::Plugin(plugin) => {
            let library = &plugin.library;
            let file = library.path.file_name();
            PluginRecord {
                policy: name,
                name: library.plugin.clone(),
                version: library.version.clone(),
                file: file.map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
                sha256: library.sha256.clone(),
            }
        }
        Decider::Reference(_) => PluginRecord {
            policy: name,
            name: reference::PROVIDER.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..PluginRecord::default()
        },
    }
}

/// The name and the text, as it is run, of each scenario, in the order of `experiments`.
pub fn scenarios(experiments: &[Experiment<Evaluation>]) -> Scenarios {
    experiments.iter().map(|each| (each.name.clone(), each.text.clone())).collect()
}
